"""Tokens, passwords and client secrets show nowhere: in no repr, log line, warning, error, traceback or pickle."""

from __future__ import annotations

import logging
import pickle
import re
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import vcr
from conftest import START_OF_TIME, Connect
from processmaker import PasswordGrant, ProcessMakerError
from processmaker._auth import Bearer
from processmaker.sandbox import PASSWORD_CLIENT, Clock, Sandbox
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
