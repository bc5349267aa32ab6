"""How calls share connections: in turn, each with one of its own, within bounds of time and size, on a real socket."""

from __future__ import annotations

import asyncio
import gc
import gzip
import random
import socket
import ssl
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from typing import Any

import httpx
import pytest
import trustme
from conftest import Connect
from processmaker import (
    AsyncProcessMaker,
    ConfigurationError,
    ConnectionFailed,
    PasswordGrant,
    ProcessMaker,
    Redirected,
    ServerError,
    StartOutcomeUnknown,
    TimedOut,
    UnreadableResponse,
    WaitTimeout,
)
from processmaker.sandbox import PASSWORD_CLIENT, Sandbox
from processmaker.wire import connections as _connections
from processmaker.wire import http as _http
from processmaker.wire import watch as _watch
from raw_server import SHORT, Wire, tls_for, wired

SOON = 10.0
"""Seconds that are over when a bound does not hold, and not before, however loaded the machine is."""


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def verify(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
def wire(sandbox: Sandbox) -> Iterator[Wire]:
    with wired(sandbox) as wire:
        yield wire


@pytest.fixture(params=["plain", "TLS"])
def either(request: pytest.FixtureRequest, sandbox: Sandbox, authority: trustme.CA) -> Iterator[Wire]:
    with wired(sandbox, tls_for(authority, "127.0.0.1") if request.param == "TLS" else None) as wire:
        yield wire


def dripping(wire: Wire) -> Any:
    """A byte now and then: none is late, and the last one comes after half a minute."""

    def drip(connection: socket.socket, answer: bytes) -> None:
        for place in range(len(answer)):
            connection.sendall(answer[place : place + 1])
            if wire.over.wait(SHORT / 2):
                return

    return drip


# --- bounds in time -------------------------------------------------------------------------------------------------


def test_a_server_that_drips_does_not_outlast_the_time_out_of_a_start(
    connect: Connect, either: Wire, verify: ssl.SSLContext
) -> None:
    pm = connect(either.url, token=either.sandbox.token(), timeout=2 * SHORT, verify=verify)
    either.manner = dripping(either)
    began = time.monotonic()
    with pytest.raises(StartOutcomeUnknown) as failure:
        pm.start(2, event="node_1")
    assert isinstance(failure.value.wire_error, TimedOut)
    assert time.monotonic() - began < SOON


def test_phases_of_a_time_out_bound_an_exchange_together(connect: Connect, wire: Wire) -> None:
    phases = httpx.Timeout(SHORT, read=2 * SHORT)
    pm = connect(wire.url, token=wire.sandbox.token(), timeout=phases, retries=None)
    wire.manner = dripping(wire)
    began = time.monotonic()
    with pytest.raises(TimedOut):
        pm.processes()
    assert 4 * SHORT <= time.monotonic() - began < SOON


def test_a_server_that_drips_does_not_outlast_a_wait(connect: Connect, wire: Wire) -> None:
    pm = connect(wire.url, token=wire.sandbox.token())
    wire.manner = dripping(wire)
    began = time.monotonic()
    with pytest.raises(WaitTimeout):
        pm.wait(1, timeout=SHORT)
    assert time.monotonic() - began < SOON


@pytest.mark.parametrize("bounded", ["by the time-out", "by a wait"])
def test_a_server_that_drips_does_not_outlast_a_sign_in(connect: Connect, wire: Wire, bounded: str) -> None:
    auth = PasswordGrant(*PASSWORD_CLIENT, "integration.bot", wire.sandbox.user().password)
    wire.manner = dripping(wire)
    began = time.monotonic()
    if bounded == "by a wait":
        with pytest.raises(WaitTimeout):
            connect(wire.url, auth=auth).wait(1, timeout=SHORT)
    else:
        with pytest.raises(TimedOut) as failure:
            connect(wire.url, auth=auth, timeout=2 * SHORT, retries=None).start(2, event="node_1")
        assert failure.value.processed is False
    assert time.monotonic() - began < SOON
    assert wire.targets == ["POST /oauth/token"]


def test_a_list_whose_last_page_never_comes_does_not_outlast_a_wait(connect: Connect) -> None:
    pages = count(1)
    state = Sandbox()

    def endless(request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("/tasks"):
            return state(request)
        if next(pages) > 1000:
            raise AssertionError("it goes on and on")
        time.sleep(SHORT / 20)
        task = {"id": next(pages), "status": "CLOSED", "element_name": "t", "process_request_id": 1}
        return httpx.Response(200, json={"data": [task], "meta": {"last_page": 10**9}})

    pm = connect(state.url, token=state.token(), transport=httpx.MockTransport(endless))
    pm.start("Leave Request")
    with pytest.raises(WaitTimeout):
        pm.wait(1, until="task", timeout=SHORT)


@pytest.mark.parametrize("timeout", [1e10, 1_000_001, httpx.Timeout(5, read=1e12)])
def test_a_time_out_that_no_system_takes_is_refused(timeout: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"1,000,000 .*at most"):
        ProcessMaker("https://pm.example.com", token="t", timeout=timeout)


# --- answers that belong to somebody else, and connections that are gone --------------------------------------------


@pytest.mark.parametrize("apart", [False, True])
def test_one_answer_too_many_is_not_taken_for_the_next_ones(
    connect: Connect, either: Wire, verify: ssl.SSLContext, apart: bool
) -> None:
    pm = connect(either.url, token=either.sandbox.token(), verify=verify, clock=either.sandbox.clock)

    def twice(connection: socket.socket, answer: bytes) -> None:
        for part in [answer, answer] if apart else [answer + answer]:
            connection.sendall(part)

    either.manner = twice
    for number in range(1, 6):
        assert pm.start(2 if number % 2 else 4, event="node_1").id == number
        time.sleep(SHORT / 4 * apart)
    assert len(either.sandbox.requests) == 5


@pytest.mark.parametrize("call", ["GET /tasks", "POST /process_events/4?event=node_1"])
def test_what_was_received_of_a_call_is_asked_once_before_it_is_sent(
    connect: Connect, wire: Wire, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Asked again after a part was sent, it would say that the server received nothing more."""
    pm = connect(wire.url, token=wire.sandbox.token(), clock=wire.sandbox.clock)
    taken: list[bytes] = []
    take = _watch.Watch.take

    def noted(self: _watch.Watch, connection: socket.socket | None) -> bytes:
        taken.append(take(self, connection))
        return taken[-1]

    monkeypatch.setattr(_watch.Watch, "take", noted)
    pm.request(*call.split())
    assert [data.split(b" HTTP")[0] for data in taken] == [call.replace(" ", " /api/1.0").encode()]


def test_one_answer_too_many_of_a_proxy_is_not_taken_either(
    connect: Connect, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", wire.url)
    pm = connect("http://pm.example.com", token=wire.sandbox.token(), clock=wire.sandbox.clock, allow_http=True)
    wire.manner = lambda connection, answer: connection.sendall(answer + answer)
    assert [pm.start(4, event="node_1").id for _ in range(3)] == [1, 2, 3]


def test_a_call_that_a_closed_connection_did_not_take_is_sent_again(
    connect: Connect,
    either: Wire,
    verify: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The server closes a kept connection after the last look at it, and before the call gets there."""
    pm = connect(either.url, token=either.sandbox.token(), verify=verify, clock=either.sandbox.clock)
    pm.start(4, event="node_1")
    take = _watch.Watch.take

    def closed_just_before(self: _watch.Watch, connection: socket.socket | None) -> bytes:
        if either.connections[0].fileno() >= 0:
            either.hang_up()
        while either.connections[0].fileno() >= 0:
            time.sleep(0.001)
        return bytes(take(self, connection))

    monkeypatch.setattr(_watch.Watch, "take", closed_just_before)
    assert pm.start(4, event="node_1").id == 2
    assert "received nothing of the call. Sending again" in caplog.text
    assert len(either.sandbox.requests) == len(either.connections) == 2


# --- bounds in size -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True])
def test_an_answer_that_is_too_long_is_cut_off_and_its_request_is_found(
    connect: Connect, wire: Wire, monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    monkeypatch.setattr(_http, "LONGEST_ANSWER", 20_000)
    pm = connect(wire.url, token=wire.sandbox.token())
    sent = []

    def swollen(connection: socket.socket, answer: bytes) -> None:
        body = answer.partition(b"\r\n\r\n")[2]
        if body.startswith(b'{"id"'):
            body = body[:-1] + b',"more":"' + 10_000_000 * b"0" + b'"}'
            content = gzip.compress(body, 1) if packed else body
            head = f"HTTP/1.1 201 Created\r\nContent-Length: {1_000_000_000 - len(content) * packed}\r\n"
            head += "Content-Encoding: gzip\r\n" * packed
            with suppress(OSError):
                connection.sendall(head.encode() + b"\r\n" + content)
            sent.append(len(content))
            wire.over.wait(SOON)
        else:
            connection.sendall(answer)

    def once(connection: socket.socket, answer: bytes) -> None:
        wire.manner = lambda connection, answer: connection.sendall(answer)
        swollen(connection, answer)

    wire.manner = once
    request = pm.start(2, {"days": 3}, event="node_1")
    assert (request.id, request.created) == (1, True)
    assert sum(target.startswith("POST") for target in wire.targets) == 1


def test_an_answer_that_is_too_long_is_said_to_be(connect: Connect, wire: Wire, monkeypatch: Any) -> None:
    monkeypatch.setattr(_http, "LONGEST_ANSWER", 100)
    pm = connect(wire.url, token=wire.sandbox.token(), retries=None)
    with pytest.raises(UnreadableResponse, match="100 bytes, of which no more were read"):
        pm.processes()


def test_of_an_error_only_the_beginning_is_read(connect: Connect, wire: Wire) -> None:
    pm = connect(wire.url, token=wire.sandbox.token(), retries=None)
    body = b'{"message": "It failed.", "trace": "' + 10_000_000 * b"x"

    def at_length(connection: socket.socket, _: bytes) -> None:
        head = f"HTTP/1.1 500 Internal Server Error\r\nContent-Length: {len(body)}\r\n\r\n"
        with suppress(OSError):
            connection.sendall(head.encode() + body)

    wire.manner = at_length
    with pytest.raises(ServerError) as failure:
        pm.processes()
    assert len(failure.value.response.content) == _http.LONGEST_ERROR


def test_a_packed_answer_is_unpacked(connect: Connect, wire: Wire) -> None:
    pm = connect(wire.url, token=wire.sandbox.token())

    def pack(connection: socket.socket, answer: bytes) -> None:
        head, _, body = answer.partition(b"\r\n\r\n")
        body = gzip.compress(body)
        lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length")]
        lines += [b"Content-Encoding: gzip", f"Content-Length: {len(body)}".encode()]
        connection.sendall(b"\r\n".join([*lines, b"", body]))

    wire.manner = pack
    assert pm.start("Leave Request", {"days": 3}).data == {"days": 3} or pm.get(1).data["days"] == 3


# --- many at once ---------------------------------------------------------------------------------------------------


def slow(wire: Wire, seconds: float) -> Any:
    def answer_slowly(connection: socket.socket, answer: bytes) -> None:
        wire.over.wait(seconds)
        connection.sendall(answer)

    return answer_slowly


def test_tasks_wait_their_turn_for_longer_than_a_time_out(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_connections, "WIDTH", 4)
    wire.manner = slow(wire, 0.02)

    async def main() -> None:
        async with AsyncProcessMaker(wire.url, token=wire.sandbox.token(), timeout=1, retries=None) as pm:
            requests = await asyncio.gather(*(pm.start(4, event="node_1") for _ in range(400)))
            assert len({request.id for request in requests}) == 400
            assert len(pm._io.connections) == 4

    asyncio.run(main())
    assert len(wire.connections) == 4


def test_a_wait_does_not_outlast_its_time_in_the_queue(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_connections, "WIDTH", 1)
    monkeypatch.setattr("processmaker.wire.call.LEAST", SHORT)

    async def main() -> None:
        async with AsyncProcessMaker(wire.url, token=wire.sandbox.token(), timeout=SOON) as pm:
            request = await pm.start(2, event="node_1")
            wire.manner = slow(wire, SOON / 2)
            other = asyncio.create_task(pm.processes())
            await asyncio.sleep(0)
            with pytest.raises(WaitTimeout) as over:
                await pm.wait(request, timeout=SHORT)
            assert isinstance(over.value.__cause__, ConnectionFailed)
            other.cancel()
            await asyncio.wait([other])

    asyncio.run(main())


def test_tasks_whose_answers_come_together_do_not_wait_for_one_another(wire: Wire) -> None:
    async def main() -> None:
        async with AsyncProcessMaker(wire.url, token=wire.sandbox.token()) as pm:
            await pm.start(4, {}, event="node_1")
            (one,) = pm._io.connections._all
            transport: Any = one.client._transport
            (connection,) = transport._pool.connections
            for lock in (connection._request_lock, connection._connection._state_lock):
                with pytest.raises(StopIteration):  # it is taken at once
                    lock.__aenter__().send(None)

    asyncio.run(main())


def test_no_call_searches_for_a_package_that_is_not_there(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[str] = []

    class Finder:
        def find_spec(self, name: str, *_: object) -> None:
            searched.append(name)

    async def main() -> None:
        async with AsyncProcessMaker(wire.url, token=wire.sandbox.token()) as pm:
            await pm.start(4, {}, event="node_1")
            monkeypatch.delitem(sys.modules, "sniffio", raising=False)
            monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
            await pm.start(4, {}, event="node_1")

    asyncio.run(main())
    assert "sniffio" not in searched


def test_a_client_is_whole_after_a_thousand_cancelled_starts(wire: Wire) -> None:
    async def main() -> None:
        async with AsyncProcessMaker(wire.url, token=wire.sandbox.token()) as pm:

            async def cancelled() -> None:
                with suppress(TimeoutError):
                    async with asyncio.timeout(random.uniform(0, 0.02)):
                        await pm.start(4, event="node_1")

            for _ in range(10):
                await asyncio.gather(*(cancelled() for _ in range(100)))
            connections = pm._io.connections
            assert connections._turns._value == _connections.WIDTH
            assert len(connections) == len(connections._idle)
            await asyncio.gather(*(pm.start(4, event="node_1") for _ in range(2 * _connections.WIDTH)))
            assert len(connections) == len(connections._idle) <= _connections.WIDTH

    asyncio.run(main())
    gc.collect()  # what was left open would end in a ResourceWarning, which here is an error


def test_a_connection_that_nobody_used_for_a_while_is_closed(
    connect: Connect, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    pm = connect(wire.url, token=wire.sandbox.token())
    pm.start(4, event="node_1")
    monkeypatch.setattr(_connections, "KEPT_FOR", -1.0)
    pm.start(4, event="node_1")
    assert len(wire.connections) == 2
    assert len(pm._io.connections) == 1


def test_a_client_that_is_not_closed_is_named_with_the_way_out(wire: Wire) -> None:
    pm = [ProcessMaker(wire.url, token=wire.sandbox.token())]
    pm[0].start(4, event="node_1")
    with pytest.warns(ResourceWarning, match=r"^ProcessMaker\('http.*'\) was not closed: use it in a `with` block"):
        pm.clear()


def test_a_client_that_was_never_used_need_not_be_closed() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ProcessMaker("https://pm.example.com", token="t")
        gc.collect()


# --- proxies and redirects ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_token_for_this_machine_does_not_go_to_a_proxy(
    connect: Connect, wire: Wire, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, wire.url)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    pm = connect(f"http://{host}:{port}", token=wire.sandbox.token(), retries=None)
    with pytest.raises(ConnectionFailed):
        pm.start(4, event="node_1")
    assert wire.targets == []


@pytest.mark.parametrize(
    ("proxy", "words"),
    [
        ("ftp://proxy", "Unknown scheme for proxy URL"),
        ("http://127.0.0.1:99999", "its port is above 65535"),
        ("http://bot:sec:ret@[::1", "its address cannot be read"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_named_when_the_client_is_made(
    connect: Connect, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, proxy: str, words: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(ConfigurationError, match=rf"{words}.* Look at HTTP_PROXY, HTTPS_PROXY") as failure:
        connect("https://pm.example.com", token="t")
    assert "ret" not in str(failure.value)
    connect("http://127.0.0.1:9", token="t")
    connect("https://pm.example.com", token="t", transport=sandbox.transport())


def test_a_proxy_that_needs_an_extra_of_httpx_is_named(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
    monkeypatch.setitem(sys.modules, "socksio", None)
    with pytest.raises(ConfigurationError, match=r"pip install httpx\[socks\]"):
        connect("https://pm.example.com", token="t")


@pytest.mark.parametrize("location", ["http://[", "http://a:b/", "http://\xff\xfe/", "http://xn--a/"])
def test_a_redirect_to_what_is_no_address_is_the_servers_answer(connect: Connect, wire: Wire, location: str) -> None:
    pm = connect(wire.url, token=wire.sandbox.token(), retries=None)

    def redirect(connection: socket.socket, _: bytes) -> None:
        head = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
        connection.sendall(head.encode("latin-1"))

    wire.manner = redirect
    with pytest.raises(Redirected) as failure:
        pm.processes()
    assert failure.value.location == location
