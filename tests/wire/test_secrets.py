"""Tokens, passwords and client secrets show nowhere: in no repr, log line, warning, error, traceback or pickle."""

from __future__ import annotations

import html
import json
import logging
import pickle
import re
import traceback
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest
import vcr
from conftest import START_OF_TIME, Connect
from processmaker import PasswordGrant, ProcessMakerError, SignInError
from processmaker.sandbox import PASSWORD_CLIENT, Clock, Sandbox
from processmaker.wire.auth import Bearer, _Grant
from processmaker.wire.redact import _forms
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
                next(Bearer(given, Sandbox().url).auth_flow(httpx.Request("GET", Sandbox().url)))
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
            yield request


URL = "https://pm.example.com"


def signing_in(login: httpx.Response, call: httpx.Response) -> httpx.MockTransport:
    def answer(request: httpx.Request) -> httpx.Response:
        given = login if request.url.path == "/own/login" else call
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
        (OwnSignIn(), GIVEN, httpx.Response(400, text=f"no good: {PASSWORD} {TOKEN} {REFRESH}")),
        (OwnSignIn(), GIVEN, httpx.Response(200, text=f"no JSON: {PASSWORD} {TOKEN} {REFRESH}")),
        (OwnSignIn(goes_on=False), httpx.Response(400, text=f"no good: pin={PASSWORD}"), httpx.Response(500)),
        (OwnSignIn(strict=True), httpx.Response(400, text=f"no good: pin={PASSWORD}"), httpx.Response(500)),
    ],
    ids=["refused call", "unreadable answer", "sign-in that is the answer", "auth that raises"],
)
def test_an_auth_that_signs_in_by_itself_leaves_no_secret_behind(
    connect: Connect, auth: httpx.Auth, login: httpx.Response, call: httpx.Response
) -> None:
    pm = connect(URL, auth=auth, transport=signing_in(login, call), retries=None)
    with pytest.raises(ProcessMakerError) as error:
        pm.get(17)
    shown = shown_by(error.value)
    for secret in (b"bot-password", TOKEN.encode(), REFRESH.encode()):
        assert secret not in shown
    assert re.search(b"no good|no JSON|400 Bad Request", shown)


@pytest.mark.parametrize("key", ["sandbox-x\n-broken-token", "sandbox-é-broken-token"])
def test_a_token_that_cannot_be_a_header_is_not_in_the_traceback(connect: Connect, key: str) -> None:
    pm = connect(URL, auth=ApiKey(key), retries=None)
    with pytest.raises(ProcessMakerError) as error:
        pm.get(17)
    assert b"broken" not in shown_by(error.value)


# --- what a server echoes -------------------------------------------------------------------------------------------

ECHOED = 'sandbox-ä/+="&-token'


def echoes(secret: str) -> dict[str, str]:
    raw = secret.encode()
    return {
        "as it is": secret,
        "in JSON": json.dumps({"a": secret}),
        "in PHP's JSON": json.dumps(secret).replace("/", "\\/"),
        "in a form": urlencode({"a": secret}),
        "in an address": quote(secret),
        "in an address, in small letters": quote(secret, safe="").lower(),
        "in HTML": html.escape(secret),
        "in base64": b64encode(b"user:" + raw + b"!").decode(),
        "in base64 of an address": urlsafe_b64encode(b"me:" + raw).decode(),
        "as Python prints bytes": repr(raw),
        "cut in the middle": "x" * 290 + secret * 3,
    }


@pytest.mark.parametrize("echo", echoes(ECHOED))
def test_what_a_server_echoes_of_a_secret_is_taken_out(connect: Connect, echo: str) -> None:
    text = echoes(ECHOED)[echo]

    def answer(request: httpx.Request) -> httpx.Response:
        headers = [
            (b"X-Echo", text.encode()),
            (b"Location", f"https://u:{quote(ECHOED, safe='')}@sso/login?code={quote(ECHOED)}".encode()),
        ]
        return httpx.Response(302 if request.url.path.endswith("/17") else 400, headers=headers, text=text)

    auth = PasswordGrant("3", ECHOED, "bot", "bot-password")
    auth._grant = _Grant(token="sandbox-token", refresh_token=None, renew_at=float("inf"))
    auth.bind(URL)
    pm = connect(URL, auth=auth, transport=httpx.MockTransport(answer), retries=None)
    for number in (17, 18):
        with pytest.raises(ProcessMakerError) as error:
            pm.get(number)
        shown = shown_by(error.value)
        for form in (*_forms(ECHOED), text.encode()):
            assert form not in shown
        assert b"sandbox-" not in shown
    assert "[removed]" in error.value.response.text  # type: ignore[attr-defined]


def test_a_sign_in_error_does_not_show_the_form_that_it_echoes(connect: Connect) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(400, json={"error": f"x {request.content.decode()}", "message": request.content.decode()})

    auth = PasswordGrant("3", "client-secret", "bot", "bot-password")
    pm = connect(URL, auth=auth, transport=httpx.MockTransport(answer), retries=None)
    with pytest.raises(SignInError, match=r"400 Bad Request: grant_type=\[removed\]|grant_type=password") as error:
        pm.get(17)
    assert not SECRET.search(shown_by(error.value))


def test_an_address_is_shown_without_the_key_that_an_auth_put_into_it(connect: Connect) -> None:
    class Key(httpx.Auth):
        def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:  # type: ignore[override]
            request.url = request.url.copy_merge_params({"key": "sandbox-x-token"})
            yield request

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/18"):
            raise httpx.ReadTimeout(f"no answer from {request.url}", request=request)
        return httpx.Response(404, text=f"nothing at {request.url}")

    pm = connect(URL, auth=Key(), transport=httpx.MockTransport(answer), retries=None)
    for number in (17, 18):
        with pytest.raises(ProcessMakerError, match=r"include=data&key=\[removed\]") as error:
            pm.get(number)
        assert not SECRET.search(shown_by(error.value))


def test_the_callers_own_words_are_no_secrets(connect: Connect) -> None:
    """What is asked stands in the message, though an auth's header may hold a part of it."""

    class Digest(httpx.Auth):
        def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:  # type: ignore[override]
            request.headers["Authorization"] = f'Digest uri="{request.url.raw_path.decode()}", response="12345678"'
            yield request

    pm = connect(URL, auth=Digest(), transport=httpx.MockTransport(lambda _: httpx.Response(400, text="12345678")))
    with pytest.raises(ProcessMakerError) as error:
        pm.get(17)
    assert str(error.value) == "GET /api/1.0/requests/17?include=data: 400 Bad Request: [removed]"


def test_the_parameters_of_any_other_call_are_no_secrets(connect: Connect) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(400, text=f"no: {request.url.query.decode()} {request.content.decode()}")

    pm = connect(URL, token="sandbox-token", transport=httpx.MockTransport(answer), retries=None)
    with pytest.raises(ProcessMakerError) as error:
        pm.request("POST", "/users/a b", params={"filter": "integration"}, json={"name": "somebody-else"})
    assert "filter=integration" in str(error.value)
    assert "somebody-else" in str(error.value)
