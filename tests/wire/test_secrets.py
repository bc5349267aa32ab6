"""Tokens, passwords and client secrets show nowhere: in no repr, log line, warning, error, traceback or pickle."""

from __future__ import annotations

import json
import logging
import pickle
import re
import traceback
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import vcr
from conftest import START_OF_TIME, Connect
from processmaker import ConnectionFailed, PasswordGrant, ProcessMakerError, SignInError, UnreadableResponse
from processmaker.sandbox import PASSWORD_CLIENT, Clock, Sandbox
from processmaker.wire.auth import Bearer, _Grant
from provoked import SCENES, provoked

SECRET = re.compile(rb"sandbox-[a-z0-9-]*token|bot-password|client-secret")
"""The tokens, the password and the client secrets that the sandbox knows; all hold one of these."""

SIGN_INS: dict[str, Callable[[Sandbox], dict[str, Any]]] = {
    "token": lambda sandbox: {"token": sandbox.token()},
    "token function": lambda sandbox: {"token": sandbox.token},
    "password": lambda _: {"auth": PasswordGrant(*PASSWORD_CLIENT, "integration.bot", "bot-password")},
    "other auth": lambda sandbox: {"auth": ApiKey(sandbox.token())},
}


class ApiKey(httpx.Auth):
    """An auth of somebody else's, with a header of its own beside the usual one."""

    def __init__(self, key: str) -> None:
        self._key = key

    def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:  # type: ignore[override]
        request.headers.update({"X-Api-Key": self._key, "Authorization": f"Bearer {self._key}"})
        yield request


@pytest.fixture(params=SIGN_INS)
def make(request: pytest.FixtureRequest, connect: Connect, sandbox: Sandbox) -> Any:
    """Makes clients that sign in in one of the ways, and whose server keeps a session."""

    def make(**options: Any) -> Any:
        usual = {"transport": sandbox.transport(), "clock": sandbox.clock}
        if "auth" not in options:
            options |= SIGN_INS[request.param](sandbox)
        return connect(sandbox.url, **{**usual, **options})

    return make


def everything_in(thing: object, seen: dict[int, object]) -> Iterator[str | bytes]:
    """All text that an object holds, at any depth, as a debugger or an error tracker would find it."""
    if id(thing) in seen:
        return
    seen[id(thing)] = thing  # kept, so that no other gets its id
    if isinstance(thing, str | bytes):
        yield thing
    elif isinstance(thing, dict):
        for key, value in thing.items():
            yield from everything_in(key, seen)
            yield from everything_in(value, seen)
    elif isinstance(thing, list | tuple | set | frozenset):
        for item in thing:
            yield from everything_in(item, seen)
    elif type(thing).__module__.partition(".")[0] in ("processmaker", "processmaker_api", "httpx"):
        slots = [getattr(thing, name, None) for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())]
        yield from everything_in([getattr(thing, "__dict__", {}), slots], seen)
    if isinstance(thing, BaseException):
        yield from everything_in([thing.args, thing.__cause__, thing.__context__], seen)


def secrets_in(*things: object) -> list[str | bytes]:
    texts = [text for thing in things for text in (*everything_in(thing, {}), repr(thing), str(thing))]
    return [text for text in texts if SECRET.search(text if isinstance(text, bytes) else text.encode())]


def test_the_search_finds_a_secret_wherever_it_is(sandbox: Sandbox) -> None:
    error = ProcessMakerError("x")
    error.__cause__ = httpx.ReadTimeout(
        "x", request=httpx.Request("GET", sandbox.url, headers={"X": f"Bearer {sandbox.token()}"})
    )
    assert secrets_in(error)
    assert secrets_in({"a": [("x", b"client_secret=client-secret")]})
    assert not secrets_in("client_secret=…", "sandbox")


@pytest.mark.parametrize("kind", SCENES, ids=lambda kind: kind.__name__)
def test_no_error_holds_a_secret(
    make: Any,
    sandbox: Sandbox,
    kind: type[ProcessMakerError],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    error = provoked(kind, make, sandbox)
    assert secrets_in(error) == []
    assert not SECRET.search(pickle.dumps(error))
    assert secrets_in("".join(traceback.format_exception(error))) == []
    assert secrets_in(caplog.text, *capfd.readouterr()) == []


@pytest.mark.parametrize("fault", [None, "reset", 503, "html", "truncated", "token expired"])
def test_no_log_line_shows_a_secret_when_a_real_connection_is_used(
    connect: Connect, caplog: pytest.LogCaptureFixture, fault: Any
) -> None:
    """httpx and httpcore log as well, the latter each header of an answer."""
    caplog.set_level(logging.DEBUG)
    sandbox = Sandbox(clock=Clock(START_OF_TIME))
    with sandbox.serve() as url:
        for sign_in in SIGN_INS.values():
            pm = connect(url, clock=sandbox.clock, **sign_in(sandbox))
            if fault:
                sandbox.fail_next(fault, on="POST /process_events")
            with suppress(ProcessMakerError):
                pm.start("Leave Request", {"days": 3}, idempotency_key="leave-17", look_again_for=0)
            pm.close()
    assert {"httpcore.connection", "httpcore.http11", "httpx"} <= {record.name for record in caplog.records}
    assert secrets_in(caplog.text, *(vars(record).get("args") for record in caplog.records)) == []


def test_no_repr_shows_a_secret(make: Any) -> None:
    pm = make()
    request = pm.start("Leave Request")
    for thing in (pm, pm._settings, pm._settings.auth, pm._io, request, pm.processes(), pm.tasks(request)):
        assert not SECRET.search(f"{thing!r} {thing}".encode())


def test_no_value_holds_a_secret(make: Any) -> None:
    pm = make()
    request = pm.start("Leave Request", {"days": 3}, idempotency_key="leave-17")
    assert secrets_in(request, pm.get(request), pm.processes(), pm.tasks(request), list(pm.requests())) == []


def test_a_refused_token_is_not_shown() -> None:
    for token in ("Bearer sandbox-x-token", "sandbox-x-token\n", "sandbox-é-token sandbox-x-token"):
        for given in (token, lambda token=token: token):
            with pytest.raises(ProcessMakerError) as refusal:
                next(Bearer(given, Sandbox().url).sync_auth_flow(httpx.Request("GET", Sandbox().url)))
            assert secrets_in(refusal.value, "".join(traceback.format_exception(refusal.value))) == []


def test_a_cassette_of_a_user_can_leave_the_token_out(sandbox: Sandbox, connect: Connect, tmp_path: Path) -> None:
    """As vcr's own documentation says: the token is in one header, and in no address or body."""
    recorder = vcr.VCR(filter_headers=["authorization"])
    with sandbox.serve() as url, recorder.use_cassette(str(tmp_path / "start.yaml")):
        pm = connect(url, token=sandbox.token())
        pm.start("Leave Request", {"days": 3}, idempotency_key="leave-17")
        pm.close()
    recorded = (tmp_path / "start.yaml").read_bytes()
    assert b"leave-17" in recorded
    assert not SECRET.search(recorded)


# --- a sign-in of somebody else's -----------------------------------------------------------------------------------

URL = "https://pm.example.com"
PASSWORD, TOKEN, REFRESH = "bot-password/ä&\"'", "sandbox-session-token", "sandbox-refresh-token"


class OwnSignIn(httpx.Auth):
    """An auth of a user's own: it signs in by itself before each call."""

    requires_response_body = True

    def __init__(self, *, strict: bool = False, goes_on: bool = True) -> None:
        self._strict, self._goes_on = strict, goes_on

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        answer = yield httpx.Request("POST", f"{URL}/own/login", data={"user": "bot", "pin": PASSWORD})
        if self._strict:
            answer.raise_for_status()
        if self._goes_on:
            request.headers["X-Session"] = f"key={answer.json()['token']}"
            request.url = request.url.copy_merge_params({"key": TOKEN})
            yield request


def signing_in(login: httpx.Response, call: httpx.Response | Exception) -> httpx.MockTransport:
    def answer(request: httpx.Request) -> httpx.Response:
        given = login if request.url.path == "/own/login" else call
        if isinstance(given, Exception):
            raise given
        return httpx.Response(given.status_code, headers=given.headers, content=given.content)

    return httpx.MockTransport(answer)


def shown_by(error: BaseException) -> bytes:
    """All that an error shows or carries, also on its way to another process."""
    texts = ["".join(traceback.format_exception(error)), *map(repr, everything_in(error, {}))]
    pickled = pickle.dumps(error) if isinstance(error, ProcessMakerError) else b""
    return "\n".join(texts).encode("utf-8", "surrogatepass") + pickled


GIVEN = httpx.Response(200, json={"token": TOKEN, "refresh": [REFRESH]})


@pytest.mark.parametrize(
    ("auth", "login", "call"),
    [
        (OwnSignIn(), GIVEN, httpx.Response(400, text="no good")),
        (OwnSignIn(), GIVEN, httpx.Response(200, text="no JSON")),
        (OwnSignIn(), GIVEN, httpx.ReadTimeout("no good")),
        (OwnSignIn(goes_on=False), httpx.Response(400, text="no good"), httpx.Response(500)),
        (OwnSignIn(strict=True), httpx.Response(400, text="no good"), httpx.Response(500)),
    ],
    ids=["refused call", "unreadable answer", "no answer", "sign-in that is the answer", "auth that raises"],
)
def test_an_auth_that_signs_in_by_itself_leaves_no_secret_behind(
    connect: Connect, auth: httpx.Auth, login: httpx.Response, call: httpx.Response | Exception
) -> None:
    """An error carries what was asked and what the server said, and nothing of httpx's requests and answers."""
    pm = connect(URL, auth=auth, transport=signing_in(login, call), retries=None)
    with pytest.raises(ProcessMakerError, match=r"no good|JSON that was promised|400 Bad|no answer") as error:
        pm.get(17)
    shown = shown_by(error.value)
    for secret in (b"bot-password", TOKEN.encode(), REFRESH.encode()):
        assert secret not in shown


@pytest.mark.parametrize("key", ["sandbox-x\n-broken-token", "sandbox-é-broken-token"])
def test_a_token_that_cannot_be_a_header_is_not_in_the_traceback(connect: Connect, key: str) -> None:
    pm = connect(URL, auth=ApiKey(key), retries=None)
    with pytest.raises(ProcessMakerError) as error:
        pm.get(17)
    assert b"broken" not in shown_by(error.value)


# --- what a server echoes -------------------------------------------------------------------------------------------

ECHOED = "sandbox-abc-token"


@pytest.mark.parametrize("text", [ECHOED, json.dumps({"message": f"no: {ECHOED}"}), "x" * 290 + ECHOED * 3])
def test_what_a_server_echoes_of_a_known_secret_is_taken_out(connect: Connect, text: str) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        status = {"17": 302, "18": 400, "19": 422}.get(request.url.path[-2:], 200)
        headers = {"X-Request-Id": ECHOED, "Location": f"https://u:{ECHOED}@sso/{ECHOED}/login?code={ECHOED}#{ECHOED}"}
        body = json.dumps({"message": text, "errors": {ECHOED: [text]}}) if status == 422 else text
        return httpx.Response(status, headers=headers, text=body, extensions={"reason_phrase": ECHOED.encode()})

    auth = PasswordGrant("3", ECHOED, "bot", "bot-password")
    auth._grant = _Grant(token="sandbox-token", refresh_token=None, renew_at=float("inf"))
    pm = connect(URL, auth=auth, transport=httpx.MockTransport(answer), retries=None)
    for number in (17, 18, 19, 20):
        with pytest.raises(ProcessMakerError, match=r"\[removed\]") as error:
            pm.get(number)
        assert b"sandbox-" not in shown_by(error.value)


def test_the_reason_why_an_answer_cannot_be_read_holds_nothing_of_it(connect: Connect) -> None:
    """A parser's exception holds the whole text."""
    answer = httpx.MockTransport(lambda _: httpx.Response(200, text=f'{{"id": "{ECHOED}'))
    pm = connect(URL, token=ECHOED, transport=answer, retries=None)
    with pytest.raises(UnreadableResponse) as error:
        pm.get(17)
    assert error.value.__cause__ is error.value.__context__ is None
    assert ECHOED.encode() not in shown_by(error.value)


def test_a_sign_in_error_does_not_show_the_form_that_it_echoes(connect: Connect) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(400, json={"error": f"x {request.content.decode()}", "message": request.content.decode()})

    auth = PasswordGrant("3", "client-secret", "bot", "bot-password")
    pm = connect(URL, auth=auth, transport=httpx.MockTransport(answer), retries=None)
    with pytest.raises(SignInError, match=r"400 Bad Request: grant_type=password.*\[removed\]") as error:
        pm.get(17)
    assert not SECRET.search(shown_by(error.value))


def test_the_parameters_of_any_other_call_are_no_secrets(connect: Connect) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(400, text=f"no: {request.url.query.decode()} {request.content.decode()}")

    pm = connect(URL, token="sandbox-token", transport=httpx.MockTransport(answer), retries=None)
    with pytest.raises(ProcessMakerError) as error:
        pm.request("POST", "/x?filter=some-long-value", json={"name": "another-long-value"})
    assert "some-long-value" in str(error.value)
    assert "another-long-value" in str(error.value)


# --- tracebacks -----------------------------------------------------------------------------------------------------


def in_locals(error: BaseException | None) -> list[str]:
    """The secrets in the local variables of a traceback, as error trackers and `pytest -l` print them."""
    found, seen = [], set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if "processmaker" in frame.f_code.co_filename and "/tests/" not in frame.f_code.co_filename:
                found += [
                    f"{frame.f_code.co_name}: {name}"
                    for name, value in frame.f_locals.items()
                    if SECRET.search(repr(value).encode())
                ]
        error = error.__cause__ or error.__context__
    return found


class Interruption(BaseException):
    """Comes at any place, as Ctrl-C does."""


@pytest.mark.parametrize(
    "fault",
    [
        lambda _: httpx.Response(401, json={"error": "invalid_client"}),
        lambda _: httpx.Response(500),
        lambda _: httpx.Response(200, json={"access_token": 5, "refresh_token": "sandbox-refresh-token"}),
        lambda request: httpx.ReadTimeout("slow", request=request),
        lambda _: Interruption(),
    ],
    ids=["refused", "500", "no token", "time-out", "interrupted"],
)
@pytest.mark.parametrize("renews", [False, True])
def test_no_secret_is_in_the_locals_of_a_failed_sign_in(
    connect: Connect, sandbox: Sandbox, fault: Any, renews: bool
) -> None:
    transport = sandbox.transport()
    broken = not renews

    def answer(request: httpx.Request) -> httpx.Response:
        if not broken or request.url.path != "/oauth/token":
            return transport.handle_request(request)
        given = fault(request)
        if isinstance(given, BaseException):
            raise given
        return given  # type: ignore[no-any-return]

    auth = PasswordGrant(*PASSWORD_CLIENT, "integration.bot", "bot-password")
    pm = connect(sandbox.url, auth=auth, transport=httpx.MockTransport(answer), retries=None)
    if renews:
        pm.processes()
        sandbox.revoke()
        broken = True
    with pytest.raises((ProcessMakerError, Interruption)) as error:
        pm.processes()
    assert in_locals(error.value) == []


@pytest.mark.parametrize("token", ["sandbox-x-token", lambda: "sandbox-x-token", lambda: "sandbox-x-token\n"])
@pytest.mark.parametrize("problem", [httpx.ConnectError("refused"), Interruption()])
def test_no_token_is_in_the_locals_of_a_call_that_breaks(connect: Connect, token: Any, problem: BaseException) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        raise problem

    pm = connect(URL, token=token, transport=httpx.MockTransport(answer), retries=None)
    with pytest.raises((ProcessMakerError, Interruption)) as error:
        pm.start(4, {}, event="node_1")
    assert in_locals(error.value) == []


def test_an_exception_that_the_caller_is_handling_is_not_altered(connect: Connect) -> None:
    """It becomes the context of ours, by Python's own rule, and says nothing about why the call failed."""
    request = httpx.Request("GET", URL, headers={"Authorization": "Bearer sandbox-x-token"})
    own = httpx.ReadTimeout("sandbox-x-token", request=request)
    own.__cause__ = OSError(5, "the caller's own")
    before = (own.args, own.request, own.__cause__, dict(request.headers))

    def fail(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    pm = connect(URL, token="sandbox-x-token", transport=httpx.MockTransport(fail), retries=None)
    try:
        raise own
    except httpx.ReadTimeout:
        with pytest.raises(ConnectionFailed, match="refused") as error:
            pm.get(17)
    assert error.value.__cause__ is None
    assert (own.args, own.request, own.__cause__, dict(request.headers)) == before
