"""The step before the first byte of a call leaves, and what is known of a call that got no answer."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest
import trustme
from conftest import Awaited, Connect
from processmaker import (
    AsyncProcessMaker,
    ConnectionFailed,
    ConnectionLost,
    JournalError,
    PasswordGrant,
    ProcessMaker,
    ProcessMakerError,
    TimedOut,
    Unauthorized,
)
from processmaker.sandbox import PASSWORD_CLIENT, Sandbox
from processmaker.wire.call import run
from processmaker_api.api.processes import trigger_start_event
from processmaker_api.models.trigger_start_event_body import TriggerStartEventBody
from raw_server import SHORT, Wire, hang_up, reset, tls_for, wired

URL = "https://pm.example.com"


@pytest.fixture
def wire(sandbox: Sandbox) -> Iterator[Wire]:
    with wired(sandbox) as wire:
        yield wire


class Step:
    """A `sending` that counts, and raises what it is told to."""

    def __init__(self, failure: BaseException | None = None, look: Callable[[], Any] = lambda: None) -> None:
        self.seen: list[Any] = []
        self._failure, self._look = failure, look

    async def __call__(self) -> None:
        self.seen.append(self._look())
        if self._failure:
            raise self._failure


def start(pm: Any, step: Step, **options: Any) -> Any:
    """POST /process_events/4, once, with that step."""
    request = trigger_start_event.build_request(process_id=4, event="node_1", body=TriggerStartEventBody())
    call = pm._io.call(request, lambda answer: answer["id"], once=True, sending=step, **options)
    return pm._runner.run(call) if isinstance(pm, Awaited) else run(call)


# --- when it is taken -----------------------------------------------------------------------------------------------


def test_the_step_is_taken_once_when_the_connection_is_there_and_nothing_has_left(connect: Connect, wire: Wire) -> None:
    pm = connect(wire.url, token=wire.sandbox.token())
    step = Step(look=lambda: (len(pm._io.connections), list(wire.targets)))
    assert start(pm, step) == 1
    assert step.seen == [(1, [])]
    assert start(pm, step) == 2  # on the kept connection
    assert [targets for _, targets in step.seen] == [[], ["POST /api/1.0/process_events/4?event=node_1"]]


class OwnFailure(Exception):
    """Of the caller's own."""


@pytest.mark.parametrize(
    "failure",
    [OwnFailure("no"), OSError("disk full"), TimeoutError("slow"), httpx.ReadTimeout("slow"), JournalError("no")],
    ids=lambda failure: type(failure).__name__,
)
@pytest.mark.parametrize("where", ["socket", "mock"])
def test_if_the_step_raises_nothing_is_sent_and_its_exception_comes_out(
    connect: Connect, wire: Wire, failure: Exception, where: str
) -> None:
    reached = []
    mock = httpx.MockTransport(lambda request: reached.append(request) or httpx.Response(500))  # type: ignore[func-returns-value]
    pm = connect(wire.url, token=wire.sandbox.token(), transport=mock if where == "mock" else None)
    with pytest.raises(type(failure)) as raised:
        start(pm, Step(failure))
    assert raised.value is failure
    assert wire.targets == reached == []
    assert start(connect(wire.url, token=wire.sandbox.token()), Step()) == 1


def test_the_step_is_not_taken_for_a_sign_in_and_again_after_a_401(connect: Connect, wire: Wire) -> None:
    auth = PasswordGrant(*PASSWORD_CLIENT, "integration.bot", wire.sandbox.user().password)
    pm = connect(wire.url, auth=auth)
    step = Step(look=lambda: [target.partition("?")[0].rpartition("/")[2] for target in wire.targets])
    assert start(pm, step) == 1
    wire.sandbox.revoke()
    assert start(pm, step) == 2
    assert step.seen == [["token"], ["token", "4"], ["token", "4", "4", "token"]]


def test_the_step_is_not_taken_if_no_connection_is_made(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        place = f"http://127.0.0.1:{listener.getsockname()[1]}"
    step = Step()
    with pytest.raises(ConnectionFailed) as raised:
        start(connect(place, token="t"), step)
    assert (raised.value.processed, raised.value.retryable, step.seen) == (False, True, [])


def test_the_step_of_a_mock_is_taken_before_it_is_reached(connect: Connect) -> None:
    order = []

    class Noted(Step):
        async def __call__(self) -> None:
            order.append("step")

    def answer(_: httpx.Request) -> httpx.Response:
        order.append("mock")
        return httpx.Response(201, json={"id": 1})

    assert start(connect(URL, token="t", transport=httpx.MockTransport(answer)), Noted()) == 1
    assert order == ["step", "mock"]


def test_a_step_that_outlasts_the_exchange_sends_nothing(wire: Wire) -> None:
    async def slow() -> None:
        await asyncio.sleep(60)

    async def main() -> None:
        async with AsyncProcessMaker(wire.url, token=wire.sandbox.token(), timeout=SHORT) as pm:
            request = trigger_start_event.build_request(process_id=4, event="node_1", body=TriggerStartEventBody())
            with pytest.raises(ConnectionFailed) as raised:
                await pm._io.call(request, lambda answer: answer, once=True, sending=slow)
            assert raised.value.processed is False

    asyncio.run(main())
    assert wire.targets == []


def test_a_blocking_step_that_outlasts_the_exchange_sends_nothing(wire: Wire) -> None:
    over = threading.Event()
    with ProcessMaker(wire.url, token=wire.sandbox.token(), timeout=SHORT) as pm:
        with pytest.raises(ConnectionFailed) as raised:
            start(pm, Step(look=lambda: over.wait(2 * SHORT)))
        assert raised.value.processed is False
    assert wire.targets == []


# --- what is known of a call ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("problem", "kind", "processed"),
    [
        (httpx.ConnectError, ConnectionFailed, False),
        (httpx.ConnectTimeout, ConnectionFailed, False),
        (httpx.PoolTimeout, ConnectionFailed, False),
        (httpx.ProxyError, ConnectionFailed, False),
        (httpx.ReadTimeout, TimedOut, None),
        (httpx.ReadError, ConnectionLost, None),
        (httpx.RemoteProtocolError, ConnectionLost, None),
        (OSError, ConnectionLost, None),
    ],
)
def test_what_a_mock_raises_counts_as_sent_unless_it_could_not_connect(
    connect: Connect, problem: type[Exception], kind: type[ProcessMakerError], processed: bool | None
) -> None:
    def fail(_: httpx.Request) -> httpx.Response:
        raise problem("it happened")

    step = Step()
    with pytest.raises(kind) as raised:
        start(connect(URL, token="t", transport=httpx.MockTransport(fail)), step)
    assert (type(raised.value), raised.value.processed, len(step.seen)) == (kind, processed, 1)


class Wrapping(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """A transport of a user's own around httpx's, such as one that logs."""

    def __init__(self, is_async: bool) -> None:
        self._inner: Any = httpx.AsyncHTTPTransport() if is_async else httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._inner.handle_request(request)  # type: ignore[no-any-return]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._inner.handle_async_request(request)  # type: ignore[no-any-return]

    def close(self) -> None:
        self._inner.close()

    async def aclose(self) -> None:
        await self._inner.aclose()


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("misdeed", [reset, hang_up])
def test_a_call_that_left_and_got_no_answer_is_not_known(
    connect: Connect, wire: Wire, misdeed: Any, wrapped: bool, request: pytest.FixtureRequest
) -> None:
    transport = Wrapping("async" in request.node.name) if wrapped else None
    pm = connect(wire.url, token=wire.sandbox.token(), transport=transport)
    wire.misdeeds = [misdeed]
    with pytest.raises(ConnectionLost) as raised:
        start(pm, Step())
    assert (raised.value.processed, raised.value.asked) == (None, "POST /api/1.0/process_events/4?event=node_1")


def test_a_401_means_that_the_call_was_not_processed(connect: Connect, wire: Wire) -> None:
    auth = PasswordGrant(*PASSWORD_CLIENT, "integration.bot", wire.sandbox.user().password)
    pm = connect(wire.url, auth=auth)
    assert start(pm, Step()) == 1
    wire.sandbox.revoke()
    wire.sandbox.fail_next(500, on="/oauth/token", times=2)
    step = Step()
    with pytest.raises(ProcessMakerError) as raised:
        start(pm, step)
    assert (raised.value.processed, len(step.seen)) == (False, 1)
    with pytest.raises(Unauthorized) as refused:
        start(connect(wire.url, token="wrong-token"), step)
    assert refused.value.processed is False


# --- proxies --------------------------------------------------------------------------------------------------------


class Tunnel:
    """A proxy that answers each CONNECT with these bytes, and then listens, or closes the connection."""

    def __init__(self, words: bytes, *, closes: bool) -> None:
        self.heard: list[bytes] = []
        self._words, self._closes = words, closes
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            while not self._over.is_set():
                connection, _ = self._listener.accept()
                with connection, suppress(OSError):
                    self.heard.append(connection.recv(65536).partition(b" ")[0])
                    connection.sendall(self._words)
                    if not self._closes:
                        connection.settimeout(0.05)
                        while not self._over.is_set():
                            with suppress(TimeoutError):
                                if not (data := connection.recv(65536)):
                                    break
                                self.heard.append(data[:1])

    def close(self) -> None:
        self._over.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


@pytest.mark.parametrize(
    ("words", "closes"),
    [
        (b"", False),
        (b"", True),
        (b"babble\r\n\r\n", True),
        (b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.1 20", False),
        (b"HTTP/1.1 200 OK\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\n\r\n", True),
    ],
    ids=["silent", "closes", "babbles", "500", "407", "half", "200, then silent", "200, then closes"],
)
def test_a_proxy_that_fails_at_connect_means_that_nothing_was_sent(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, words: bytes, closes: bool
) -> None:
    tunnel = Tunnel(words, closes=closes)
    monkeypatch.setenv("HTTPS_PROXY", tunnel.url)
    step = Step()
    try:
        with pytest.raises(ConnectionFailed) as raised:
            start(connect(URL, token="t", timeout=2 * SHORT), step)
    finally:
        tunnel.close()
    assert (raised.value.processed, raised.value.retryable, step.seen) == (False, True, [])
    assert tunnel.heard[0] == b"CONNECT"


def test_a_call_through_a_proxy_takes_its_step_after_the_connect(
    connect: Connect, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with wired(sandbox, tls_for(authority, "pm.example.com")) as wire:
        tunnel = Relay(wire.port)
        monkeypatch.setenv("HTTPS_PROXY", tunnel.url)
        pm = connect(URL, token=sandbox.token(), verify=str(tmp_path / "ca.pem"))
        step = Step(look=lambda: (list(tunnel.heard), list(wire.targets)))
        assert start(pm, step) == 1
        assert step.seen == [([b"CONNECT"], [])]
        wire.misdeeds = [reset]
        with pytest.raises(ConnectionLost) as raised:
            start(pm, step)
        assert raised.value.processed is None
        pm.close()
        tunnel.close()


class Relay(Tunnel):
    """A proxy that passes everything on to one port of this machine."""

    def __init__(self, port: int) -> None:
        self._port = port
        super().__init__(b"HTTP/1.1 200 OK\r\n\r\n", closes=False)

    def _serve(self) -> None:
        with suppress(OSError):
            while not self._over.is_set():
                connection, _ = self._listener.accept()
                self.heard.append(connection.recv(65536).partition(b" ")[0])
                connection.sendall(self._words)
                server = socket.create_connection(("127.0.0.1", self._port))
                ends = [(connection, server), (server, connection)]
                threads = [threading.Thread(target=self._pass_on, args=pair) for pair in ends]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                for end in (connection, server):
                    end.close()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)


def test_a_tls_failure_may_be_tried_again(connect: Connect, sandbox: Sandbox) -> None:
    with wired(sandbox, tls_for(trustme.CA(), "127.0.0.1")) as wire:
        step = Step()
        with pytest.raises(ConnectionFailed) as raised:
            start(connect(wire.url, token="t"), step)
    assert (raised.value.processed, raised.value.retryable, step.seen) == (False, True, [])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_child_takes_its_own_steps(wire: Wire) -> None:
    """A connection that the parent opened is not used in a child."""
    with ProcessMaker(wire.url, token=wire.sandbox.token()) as pm:
        assert start(pm, Step()) == 1
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            with suppress(BaseException):
                os.write(writer, str(start(pm, Step())).encode())
            os._exit(0)
        os.close(writer)
        assert os.read(reader, 10) == b"2"
        os.close(reader)
        os.waitpid(child, 0)
        assert start(pm, Step()) == 3
    assert len(wire.connections) == 2
