"""Tokens: given ones, and those from signing in, renewed once for however many threads and tasks need one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest
from conftest import Connect
from processmaker import (
    AsyncProcessMaker,
    ConfigurationError,
    PasswordGrant,
    ProcessMaker,
    SignInError,
    StartOutcomeUnknown,
    TransportError,
)
from processmaker.clock import Clock
from processmaker.sandbox import Sandbox
from processmaker.wire.auth import Bearer

SITE = "https://pm.example.com"
API = f"{SITE}/api/1.0/start_processes"
SECRETS = ("client-secret", "bot-password", "access-", "refresh-", "personal-token")


class Server:
    """A token server, and an API that accepts the token given out last."""

    def __init__(self) -> None:
        self.signed_in: list[dict[str, str]] = []
        self.requests: list[httpx.Request] = []
        self.calls: list[tuple[str | None, int]] = []
        self.expires_in: Any = 31_536_000
        self.valid: set[str] = set()
        self.refresh_tokens: set[str] = set()
        self.token_answers: list[httpx.Response | Exception] = []
        self.api_answers: list[httpx.Response | Exception] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self.token(request) if request.url.path.endswith("/oauth/token") else self.api(request)

    def token(self, request: httpx.Request) -> httpx.Response:
        form = dict(parse_qsl(request.content.decode()))
        self.signed_in.append(form)
        if self.token_answers:
            return given(self.token_answers.pop(0))
        if form["grant_type"] == "refresh_token":
            if form["refresh_token"] not in self.refresh_tokens:
                return httpx.Response(
                    401, json={"error": "invalid_request", "message": "The refresh token is invalid."}
                )
            self.refresh_tokens.remove(form["refresh_token"])
        number = len(self.signed_in)
        self.valid = {f"access-{number}"}
        self.refresh_tokens.add(f"refresh-{number}")
        return httpx.Response(
            200,
            json={
                "token_type": "Bearer",
                "expires_in": self.expires_in,
                "access_token": f"access-{number}",
                "refresh_token": f"refresh-{number}",
            },
        )

    def api(self, request: httpx.Request) -> httpx.Response:
        if self.api_answers:
            return given(self.api_answers.pop(0))
        token = request.headers.get("authorization", "").removeprefix("Bearer ") or None
        status = 200 if token in self.valid else 401
        self.calls.append((token, status))
        return httpx.Response(status, json={"data": []} if status == 200 else {"error": "Unauthenticated."})

    @property
    def grants(self) -> list[str]:
        return [form["grant_type"] for form in self.signed_in]


def given(answer: httpx.Response | Exception) -> httpx.Response:
    if isinstance(answer, Exception):
        raise answer
    return answer


class FakeClock(Clock):
    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


Call = Callable[..., httpx.Response]


def blocking_call(auth: httpx.Auth, server: Any, url: str = API, **options: Any) -> httpx.Response:
    with httpx.Client(auth=auth, transport=httpx.MockTransport(server), **options) as client:
        return client.get(url)


def async_call(auth: httpx.Auth, server: Any, url: str = API, **options: Any) -> httpx.Response:
    async def call() -> httpx.Response:
        async with httpx.AsyncClient(auth=auth, transport=httpx.MockTransport(server), **options) as client:
            return await client.get(url)

    return asyncio.run(call())


@pytest.fixture(params=[blocking_call, async_call], ids=["blocking", "async"])
def call(request: pytest.FixtureRequest) -> Call:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def auth() -> PasswordGrant:
    return grant()


def grant(client_id: str | int = "3") -> PasswordGrant:
    auth = PasswordGrant(client_id, "client-secret", "integration.bot", "bot-password")
    auth.clock = FakeClock()
    auth.bind(SITE)
    return auth


def advance(auth: PasswordGrant, seconds: float) -> None:
    assert isinstance(auth.clock, FakeClock)
    auth.clock.seconds += seconds


def signed_in(server: Server, auth: PasswordGrant) -> None:
    assert blocking_call(auth, server).status_code == 200


# A given token


def test_a_token_goes_with_each_call(call: Call, server: Server) -> None:
    server.valid = {"personal-token"}
    assert call(Bearer("personal-token", SITE), server).status_code == 200
    assert server.calls == [("personal-token", 200)]


@pytest.mark.parametrize(
    "elsewhere",
    ["http://pm.example.com/x", "https://pm.example.com:8443/x", "https://pm.example.com.evil.test/x"],
)
def test_a_token_goes_to_no_other_origin(call: Call, server: Server, auth: PasswordGrant, elsewhere: str) -> None:
    assert call(Bearer("personal-token", SITE), server, elsewhere).status_code == 401
    assert call(auth, server, elsewhere).status_code == 401
    assert server.calls == [(None, 401), (None, 401)]
    assert server.signed_in == []


def test_the_default_port_and_capitals_are_the_same_origin(call: Call, server: Server) -> None:
    server.valid = {"personal-token"}
    assert call(Bearer("personal-token", "https://PM.example.com:443/prefix"), server).status_code == 200


def test_a_401_to_a_given_token_is_the_answer(call: Call, server: Server) -> None:
    assert call(Bearer("personal-token", SITE), server).status_code == 401
    assert len(server.calls) == 1


def test_a_token_function_is_asked_at_each_call_and_once_more_after_a_401(call: Call, server: Server) -> None:
    tokens = iter(["old", "new", "new", "other", "third"])
    auth = Bearer(lambda: next(tokens), SITE)
    server.valid = {"new"}
    answer = call(auth, server)
    assert answer.status_code == 200
    assert call(auth, server).status_code == 200
    assert call(auth, server).status_code == 401, "and never a third time"
    assert [token for token, _ in server.calls] == ["old", "new", "new", "other", "third"]


def test_a_token_function_with_nothing_new_ends_with_the_401(call: Call, server: Server) -> None:
    assert call(Bearer(lambda: "personal-token", SITE), server).status_code == 401
    assert len(server.calls) == 1


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("", "the token is empty"),
        (None, "must be a str, not NoneType"),
        (b"personal-token", "must be a str, not bytes"),
        ("Bearer personal-token", 'begins with "Bearer "'),
        ("bearer personal-token", 'begins with "Bearer "'),
        ("personal-token\n", "a line break"),
        ("personal token", "blank"),
        ("personal-tökén", "a letter that no token has"),
        ("personal-token\0", "no token has"),
    ],
)
def test_what_cannot_be_a_token_is_refused_without_showing_it(
    call: Call, server: Server, token: Any, words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words) as refusal:
        Bearer(token, SITE)
    with pytest.raises(ConfigurationError, match=words):
        call(Bearer(lambda: token, SITE), server)
    assert "personal" not in str(refusal.value)
    assert server.requests == []


# Signing in


def test_the_first_call_signs_in_and_later_ones_use_that_token(call: Call, server: Server, auth: PasswordGrant) -> None:
    assert call(auth, server).status_code == 200
    assert call(auth, server).status_code == 200
    assert server.calls == [("access-1", 200), ("access-1", 200)]
    assert server.signed_in == [
        {
            "grant_type": "password",
            "client_id": "3",
            "client_secret": "client-secret",
            "username": "integration.bot",
            "password": "bot-password",
        }
    ]
    sent = server.requests[0]
    assert (sent.method, str(sent.url)) == ("POST", f"{SITE}/oauth/token")
    assert sent.headers["accept"] == "application/json"
    assert sent.headers["content-type"] == "application/x-www-form-urlencoded"
    assert "authorization" not in sent.headers


def test_a_client_id_may_be_a_number(call: Call, server: Server) -> None:
    call(grant(3), server)
    assert server.signed_in[0]["client_id"] == "3"


def test_a_path_before_the_api_stands_before_the_token_address_too(call: Call, server: Server) -> None:
    auth = PasswordGrant("3", "client-secret", "integration.bot", "bot-password")
    auth.bind(f"{SITE}/pm/")
    call(auth, server, f"{SITE}/pm/api/1.0/start_processes")
    assert str(server.requests[0].url) == f"{SITE}/pm/oauth/token"


def test_signing_in_has_the_time_out_of_the_call(call: Call, server: Server, auth: PasswordGrant) -> None:
    call(auth, server, timeout=httpx.Timeout(7))
    assert server.requests[0].extensions["timeout"] == {"connect": 7, "read": 7, "write": 7, "pool": 7}


@pytest.mark.parametrize(("expires_in", "margin"), [(31_536_000, 60), (100, 10)])
def test_a_token_is_renewed_shortly_before_it_expires(
    call: Call, server: Server, auth: PasswordGrant, expires_in: int, margin: int
) -> None:
    server.expires_in = expires_in
    call(auth, server)
    advance(auth, expires_in - margin - 1)
    call(auth, server)
    assert server.grants == ["password"]
    advance(auth, 2)
    call(auth, server)
    assert server.grants == ["password", "refresh_token"]
    assert [token for token, _ in server.calls] == ["access-1", "access-1", "access-2"]


@pytest.mark.parametrize("expires_in", [None, 0, -1, "soon", True, 10**400, -(10**400)])
def test_a_token_of_unknown_life_is_used_until_it_is_refused(
    call: Call, server: Server, auth: PasswordGrant, expires_in: Any
) -> None:
    server.expires_in = expires_in
    call(auth, server)
    advance(auth, 1e9)
    call(auth, server)
    assert server.grants == ["password"]


def test_each_renewal_uses_the_refresh_token_of_the_one_before(call: Call, server: Server, auth: PasswordGrant) -> None:
    for _ in range(3):
        server.valid.clear()
        assert call(auth, server).status_code == 200
    assert [form.get("refresh_token") for form in server.signed_in] == [None, "refresh-1", "refresh-2"]
    assert server.signed_in[1] == {
        "grant_type": "refresh_token",
        "client_id": "3",
        "client_secret": "client-secret",
        "refresh_token": "refresh-1",
    }


def test_a_401_renews_once_and_repeats_once(call: Call, server: Server, auth: PasswordGrant) -> None:
    signed_in(server, auth)
    server.valid.clear()
    assert call(auth, server).status_code == 200
    assert server.calls[1:] == [("access-1", 401), ("access-2", 200)]


def test_a_401_to_the_renewed_token_is_the_answer(call: Call, server: Server, auth: PasswordGrant) -> None:
    signed_in(server, auth)
    server.api_answers = [httpx.Response(401, json={"error": "Unauthenticated."}) for _ in range(2)]
    assert call(auth, server).status_code == 401
    assert server.grants == ["password", "refresh_token"]
    assert server.api_answers == []


def test_a_401_right_after_signing_in_is_the_answer(call: Call, server: Server, auth: PasswordGrant) -> None:
    server.api_answers = [httpx.Response(401, json={"error": "Unauthenticated."})]
    answer = call(auth, server)
    assert answer.status_code == 401
    assert answer.json() == {"error": "Unauthenticated."}
    assert server.grants == ["password"]


def test_a_refused_refresh_token_leads_to_the_password_again(call: Call, server: Server, auth: PasswordGrant) -> None:
    signed_in(server, auth)
    server.valid.clear()
    server.refresh_tokens.clear()
    assert call(auth, server).status_code == 200
    assert server.grants == ["password", "refresh_token", "password"]


def test_without_a_refresh_token_the_password_is_used_again(call: Call, server: Server, auth: PasswordGrant) -> None:
    server.token_answers = [httpx.Response(200, json={"access_token": "access-0"})]
    server.valid = {"access-0"}
    signed_in(server, auth)
    server.valid.clear()
    assert call(auth, server).status_code == 200
    assert server.grants == ["password", "password"]


# Signing in that fails


def refused(status: int, body: dict[str, str], retry_after: str = "") -> httpx.Response:
    return httpx.Response(status, json=body, headers={"retry-after": retry_after} if retry_after else {})


@pytest.mark.parametrize(
    ("answer", "words", "facts"),
    [
        (
            refused(400, {"error": "invalid_grant", "message": "The user credentials were incorrect."}),
            "400 Bad Request: The user credentials were incorrect. Check username and password.",
            (400, "invalid_grant", None, False),
        ),
        (
            refused(401, {"error": "invalid_client", "error_description": "Client authentication failed"}),
            "401 Unauthorized: Client authentication failed. Check client_id and client_secret.",
            (401, "invalid_client", None, False),
        ),
        (
            refused(429, {"message": "Too Many Attempts."}, "47"),
            "429 Too Many Requests: Too Many Attempts.",
            (429, None, 47.0, False),
        ),
        (
            refused(503, {"message": "Service Unavailable"}, "60"),
            "503 Service Unavailable: Service Unavailable",
            (503, None, 60.0, True),
        ),
        (
            httpx.Response(502, html="<html><title>502 Bad Gateway</title></html>"),
            "502 Bad Gateway: 502 Bad Gateway",
            (502, None, None, True),
        ),
        (
            httpx.Response(302, headers={"location": "https://sso.example.com/login"}),
            "302 Found. Check that base_url",
            (302, None, None, False),
        ),
        (
            httpx.Response(404, html="<title>Not Found</title>"),
            "404 Not Found: Not Found. Check that base_url",
            (404, None, None, False),
        ),
        (
            httpx.Response(200, html="<html>Welcome</html>"),
            "200 OK: the answer (text/html; charset=utf-8, 20 bytes) holds no usable access_token. Check that base",
            (200, None, None, False),
        ),
        (
            httpx.Response(200, json=["access-1"]),
            "holds no usable access_token",
            (200, None, None, False),
        ),
        (
            httpx.Response(200, json={"access_token": "access-1\r\nX: y"}),
            "holds no usable access_token",
            (200, None, None, False),
        ),
        (
            httpx.Response(200, text='{"access_token": "acc'),
            "holds no usable access_token",
            (200, None, None, False),
        ),
        (httpx.Response(200), "(no content type, 0 bytes) holds no usable", (200, None, None, False)),
    ],
)
def test_a_sign_in_without_a_token_says_what_to_do(
    call: Call,
    server: Server,
    auth: PasswordGrant,
    answer: httpx.Response,
    words: str,
    facts: tuple[int, str | None, float | None, bool],
) -> None:
    server.token_answers = [httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)]
    with pytest.raises(SignInError) as failure:
        call(auth, server)
    error = failure.value
    assert words in str(error)
    assert str(error).startswith("Signing in, POST /oauth/token: ")
    assert (error.status_code, error.code, error.retry_after, error.transient) == facts
    assert error.processed is False
    assert not any(secret in str(error) for secret in SECRETS)
    assert len(server.requests) == 1, "the call itself is not sent, and signing in is not tried again"


def test_a_later_call_may_try_again(call: Call, server: Server, auth: PasswordGrant) -> None:
    server.token_answers = [refused(400, {"error": "invalid_grant"}) for _ in range(2)]
    for _ in range(2):
        with pytest.raises(SignInError):
            call(auth, server)
    assert call(auth, server).status_code == 200
    assert server.grants == ["password"] * 3


def test_a_renewal_that_fails_for_now_keeps_the_refresh_token(call: Call, server: Server, auth: PasswordGrant) -> None:
    signed_in(server, auth)
    server.valid.clear()
    server.token_answers = [refused(503, {"message": "Service Unavailable"})]
    with pytest.raises(SignInError) as failure:
        call(auth, server)
    assert failure.value.transient
    assert call(auth, server).status_code == 200
    assert server.grants == ["password", "refresh_token", "refresh_token"]


def test_a_broken_connection_while_signing_in_is_not_hidden(call: Call, server: Server, auth: PasswordGrant) -> None:
    server.token_answers = [httpx.ConnectError("refused")]
    with pytest.raises(httpx.ConnectError) as failure:
        call(auth, server)
    assert failure.value.request.url.path == "/oauth/token"
    assert call(auth, server).status_code == 200


# What it is made of


def test_secrets_are_never_shown(auth: PasswordGrant) -> None:
    assert repr(auth) == str(auth)
    assert repr(auth) == "PasswordGrant(client_id='3', client_secret=…, username='integration.bot', password=…)"
    assert repr(Bearer("personal-token", SITE)) == "Bearer(token=…)"


@pytest.mark.parametrize("missing", [(), ("integration.bot",), ("", "bot-password"), (None, None)])
def test_client_credentials_alone_are_refused_with_the_reason(missing: tuple[Any, ...]) -> None:
    with pytest.raises(ConfigurationError, match="its API then refuses with 401"):
        PasswordGrant("2", "other-client-secret", *missing)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("", "client-secret", "bot", "bot-password"), "client_id"),
        ((None, "client-secret", "bot", "bot-password"), "client_id"),
        (("3", "", "bot", "bot-password"), "client_secret"),
        (("3", None, "bot", "bot-password"), "client_secret"),
        (("3", "client-secret", 7, "bot-password"), "username"),
        (("3", "client-secret", "bot", b"bot-password"), "password"),
    ],
)
def test_what_is_missing_is_named(arguments: tuple[Any, ...], name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{name} must") as refusal:
        PasswordGrant(*arguments)
    assert not any(secret in str(refusal.value) for secret in SECRETS)


def test_one_grant_belongs_to_one_server(auth: PasswordGrant) -> None:
    auth.bind(SITE)
    auth.bind("https://PM.example.com:443/")
    with pytest.raises(ConfigurationError, match=r"belongs to https://pm\.example\.com; .* for https://other"):
        auth.bind("https://other.example.com")


def test_a_grant_without_a_server_says_so(call: Call, server: Server) -> None:
    with pytest.raises(ConfigurationError, match="give it to a client"):
        call(PasswordGrant("3", "client-secret", "integration.bot", "bot-password"), server)


# Many at once


class Meeting:
    """Holds the answers of the API back until `number` calls have arrived: then all of them get their 401 together."""

    def __init__(self, server: Server, number: int) -> None:
        self.server = server
        self.barrier = threading.Barrier(number)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        answer = self.server(request)
        if answer.status_code == 401 and request.url.path != "/oauth/token":
            self.barrier.wait(timeout=30)
        return answer


def in_threads(number: int, work: Callable[[], Any]) -> list[Any]:
    def outcome(_: int) -> Any:
        try:
            return work()
        except Exception as error:
            return error

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(outcome, range(number)))


def test_fifty_threads_renew_once(server: Server, auth: PasswordGrant) -> None:
    signed_in(server, auth)
    server.valid.clear()
    with httpx.Client(auth=auth, transport=httpx.MockTransport(Meeting(server, 50))) as client:
        answers = in_threads(50, lambda: client.get(API).status_code)
    assert answers == [200] * 50
    assert server.grants == ["password", "refresh_token"]
    assert [status for _, status in server.calls].count(401) == 50


def test_fifty_threads_sign_in_once(server: Server, auth: PasswordGrant) -> None:
    with httpx.Client(auth=auth, transport=httpx.MockTransport(server)) as client:
        answers = in_threads(50, lambda: client.get(API).status_code)
    assert answers == [200] * 50
    assert server.grants == ["password"]


def test_four_hundred_tasks_renew_once(server: Server, auth: PasswordGrant) -> None:
    signed_in(server, auth)
    server.valid.clear()

    async def main() -> list[int]:
        all_refused = asyncio.Event()

        async def handler(request: httpx.Request) -> httpx.Response:
            await asyncio.sleep(0)
            answer = server(request)
            if answer.status_code == 401:
                if len(server.calls) == 401:
                    all_refused.set()
                await all_refused.wait()
            return answer

        async with httpx.AsyncClient(auth=auth, transport=httpx.MockTransport(handler)) as client:
            answers = await asyncio.gather(*(client.get(API) for _ in range(400)))
        return [answer.status_code for answer in answers]

    assert asyncio.run(main()) == [200] * 400
    assert server.grants == ["password", "refresh_token"]


def test_a_blocking_and_an_asyncio_client_may_use_it_one_after_the_other(server: Server, auth: PasswordGrant) -> None:
    for each in (blocking_call, async_call, async_call, blocking_call):
        assert each(auth, server).status_code == 200
    assert server.grants == ["password"]


def test_a_call_in_the_middle_of_its_own_threads_renewal_signs_in_by_itself(
    server: Server, auth: PasswordGrant
) -> None:
    """As a signal handler does, or a `__del__`: it must not wait for the thread that it interrupts."""
    inner: list[Any] = []

    def interrupted(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/oauth/token" and not inner:
            inner.append(None)
            inner.append(blocking_call(auth, server))
        return server(request)

    assert blocking_call(auth, interrupted).status_code == 200
    assert inner[1].status_code == 200
    assert server.grants == ["password", "password"]


WRONG = {"error": "invalid_grant", "message": "The user credentials were incorrect."}


def test_wrong_credentials_are_tried_once_for_all_waiting_threads(server: Server, auth: PasswordGrant) -> None:
    signed_in(server, auth)
    server.valid.clear()
    server.refresh_tokens.clear()
    server.token_answers = [refused(401, {"error": "invalid_request"}), refused(400, WRONG)]
    with httpx.Client(auth=auth, transport=httpx.MockTransport(Meeting(server, 50))) as client:
        failures = in_threads(50, lambda: client.get(API))
    assert {type(failure) for failure in failures} == {SignInError}
    assert {(str(failure), failure.code, failure.processed) for failure in failures} == {
        (str(failures[0]), "invalid_grant", False)
    }
    assert server.grants == ["password", "refresh_token", "password"]


def test_wrong_credentials_are_tried_once_for_all_waiting_tasks(server: Server, auth: PasswordGrant) -> None:
    async def main() -> list[Any]:
        async def handler(request: httpx.Request) -> httpx.Response:
            for _ in range(50):
                await asyncio.sleep(0)
            return server(request)

        async with httpx.AsyncClient(auth=auth, transport=httpx.MockTransport(handler)) as client:
            return await asyncio.gather(*(client.get(API) for _ in range(40)), return_exceptions=True)

    server.token_answers = [refused(400, WRONG)]
    failures = asyncio.run(main())
    assert {type(failure) for failure in failures} == {SignInError}
    assert len(set(map(id, failures))) == 40, "each has its own traceback"
    assert server.grants == ["password"]


@pytest.mark.parametrize("held", ["before the server has it", "after the server has it"])
def test_a_task_cancelled_in_the_middle_of_a_renewal_leaves_it_to_another(
    server: Server, auth: PasswordGrant, held: str
) -> None:
    signed_in(server, auth)
    server.valid.clear()

    async def main() -> None:
        renewing, forever = asyncio.Event(), asyncio.Event()

        async def handler(request: httpx.Request) -> httpx.Response:
            if request.url.path == "/oauth/token" and not renewing.is_set():
                if held == "after the server has it":
                    server(request)
                renewing.set()
                await forever.wait()
            return server(request)

        async with httpx.AsyncClient(auth=auth, transport=httpx.MockTransport(handler)) as client:
            first = asyncio.create_task(client.get(API))
            await renewing.wait()
            others = [asyncio.create_task(client.get(API)) for _ in range(10)]
            gives_up = asyncio.create_task(client.get(API))
            for _ in range(10):
                await asyncio.sleep(0)
            gives_up.cancel()  # one that waits, which must not end the waiting of the others
            await asyncio.sleep(0)
            first.cancel()
            outcomes = await asyncio.gather(first, gives_up, return_exceptions=True)
            assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError] * 2
            assert [answer.status_code for answer in await asyncio.gather(*others)] == [200] * 10

    asyncio.run(main())
    # A refresh token that the server has seen is gone: then it takes the password.
    again = ["refresh_token"] if held == "before the server has it" else ["refresh_token", "refresh_token", "password"]
    assert server.grants == ["password", *again]


class Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that keeps its connection until it is closed."""

    def __init__(self, content: bytes, done: Callable[[], Any]) -> None:
        self.content, self.done = content, done

    def __iter__(self) -> Iterator[bytes]:
        yield self.content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self.content

    def close(self) -> None:
        self.done()

    async def aclose(self) -> None:
        self.done()


def over(connection: Any, answer: httpx.Response) -> httpx.Response:
    return httpx.Response(answer.status_code, headers=answer.headers, stream=Body(answer.content, connection.release))


def test_threads_that_wait_for_a_renewal_hold_no_connection(server: Server) -> None:
    class OneConnection(httpx.BaseTransport):
        connection = threading.Semaphore(1)
        both_refused = threading.Event()

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.path == "/oauth/token" and server.grants:
                assert self.both_refused.wait(10)
            if not self.connection.acquire(timeout=10):
                raise httpx.PoolTimeout("no free connection")
            answer = server(request)
            if len(server.calls) == 3:
                self.both_refused.set()
            return over(self.connection, answer)

    auth = PasswordGrant("3", "client-secret", "integration.bot", "bot-password")
    with ProcessMaker(SITE, auth=auth, transport=OneConnection(), retries=None) as pm:
        pm.processes()
        server.valid.clear()
        assert in_threads(2, pm.processes) == [[], []]
    assert [status for _, status in server.calls] == [200, 401, 401, 200, 200]


def test_tasks_that_wait_for_a_renewal_hold_no_connection(server: Server) -> None:
    class OneConnection(httpx.AsyncBaseTransport):
        def __init__(self) -> None:
            self.connection = asyncio.Semaphore(1)
            self.both_refused = asyncio.Event()

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            async with asyncio.timeout(10):
                if request.url.path == "/oauth/token" and server.grants:
                    await self.both_refused.wait()
                await self.connection.acquire()
            answer = server(request)
            if len(server.calls) == 3:
                self.both_refused.set()
            return over(self.connection, answer)

    async def main() -> None:
        auth = PasswordGrant("3", "client-secret", "integration.bot", "bot-password")
        async with AsyncProcessMaker(SITE, auth=auth, transport=OneConnection(), retries=None) as pm:
            await pm.processes()
            server.valid.clear()
            assert await asyncio.gather(*(pm.processes() for _ in range(2))) == [[], []]

    asyncio.run(main())
    assert [status for _, status in server.calls] == [200, 401, 401, 200, 200]


# --- a token function ------------------------------------------------------------------------------------------------


def test_a_token_function_may_be_an_async_one(server: Server) -> None:
    server.valid = {"personal-token"}

    async def token() -> str:
        await asyncio.sleep(0)
        return "personal-token"

    async def main() -> None:
        async with AsyncProcessMaker(SITE, token=token, transport=httpx.MockTransport(server)) as pm:
            assert await pm.processes() == []

    asyncio.run(main())
    assert server.calls == [("personal-token", 200)]


def test_an_async_token_function_is_refused_by_the_blocking_client(server: Server) -> None:
    async def token() -> str:
        return "personal-token"

    pm = ProcessMaker(SITE, token=token, transport=httpx.MockTransport(server))  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="give it to AsyncProcessMaker"):
        pm.processes()
    assert server.requests == []


def test_a_token_function_that_fails_once_fails_once(connect: Connect, sandbox: Sandbox) -> None:
    calls = count(1)

    def token() -> str:
        if next(calls) == 3:
            raise OSError("the vault did not answer")
        return sandbox.token()

    pm = connect(sandbox.url, token=token, transport=sandbox.transport())
    told = list(pm.start_many(4, [{"n": number} for number in range(9)], event="node_1", concurrency=1))
    assert [outcome.started for outcome in told] == [True] * 9
    assert len(sandbox.requests) == 9


# --- a sign-in of the auth's own before a start ----------------------------------------------------------------------


class OwnSignIn(httpx.Auth):
    """An auth of a user's own: it signs in before each call, or after a 401; it may send a copy of the call."""

    requires_response_body = True

    def __init__(self, *, after_a_401: bool = False, copies: bool = False) -> None:
        self._after_a_401, self._copies = after_a_401, copies

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if self._after_a_401:
            yield request
        answer = yield httpx.Request("POST", "https://sso.example.com/login")
        answer.raise_for_status()
        yield httpx.Request("POST", request.url, content=request.content) if self._copies else request


Answer = Callable[[httpx.Request], httpx.Response]


def breaks(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadError("broken", request=request)


def hangs(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadTimeout("slow", request=request)


def refuses(_: httpx.Request) -> httpx.Response:
    return httpx.Response(503)


def raises(_: httpx.Request) -> httpx.Response:
    raise OSError("the vault is locked")


@pytest.mark.parametrize("sign_in", [breaks, hangs, refuses, raises])
@pytest.mark.parametrize("after_a_401", [False, True])
def test_a_sign_in_that_fails_before_a_start_means_that_nothing_was_started(
    connect: Connect, sandbox: Sandbox, sign_in: Answer, after_a_401: bool
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return sign_in(request) if request.url.path == "/login" else httpx.Response(401)

    auth = OwnSignIn(after_a_401=after_a_401)
    pm = connect(sandbox.url, auth=auth, transport=httpx.MockTransport(answer), retries=None)
    with pytest.raises(TransportError) as failure:
        pm.start(4, event="node_1")
    assert failure.value.processed is False


def test_a_sign_in_that_breaks_off_tells_no_request(connect: Connect, sandbox: Sandbox) -> None:
    class Broken(httpx.SyncByteStream, httpx.AsyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield b'{"id": 5, "access_token": '
            raise httpx.ReadError("broken")

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for part in self:
                yield part

    auth = PasswordGrant("3", "client-secret", "integration.bot", "bot-password")
    answer = httpx.MockTransport(lambda _: httpx.Response(200, stream=Broken()))
    with pytest.raises(TransportError, match=r"POST /oauth/token: .*broken") as failure:
        connect(sandbox.url, auth=auth, transport=answer, retries=None).start(4, event="node_1")
    assert failure.value.processed is False
    assert vars(failure.value).get("request_id") is None


@pytest.mark.parametrize("copies", [False, True])
def test_a_start_that_breaks_after_its_sign_in_is_unknown(connect: Connect, sandbox: Sandbox, copies: bool) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200) if request.url.path == "/login" else breaks(request)

    pm = connect(sandbox.url, auth=OwnSignIn(copies=copies), transport=httpx.MockTransport(answer), retries=None)
    with pytest.raises(StartOutcomeUnknown):
        pm.start(4, event="node_1")


def test_a_start_that_an_auth_did_not_let_out_is_not_waited_for(connect: Connect, sandbox: Sandbox) -> None:
    class Vault(httpx.Auth):
        locked = True

        def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
            if self.locked:
                raise LookupError("the vault is locked")
            request.headers["Authorization"] = f"Bearer {sandbox.token()}"
            yield request

    auth = Vault()
    pm = connect(sandbox.url, auth=auth, transport=sandbox.transport())
    with pytest.raises(LookupError):
        pm.start(4, event="node_1", idempotency_key="k")
    auth.locked = False
    began = sandbox.clock.monotonic()
    assert pm.start(4, event="node_1", idempotency_key="k").created
    assert sandbox.clock.monotonic() - began < 1
