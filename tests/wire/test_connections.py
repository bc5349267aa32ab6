"""How calls share connections: in turn, each with one of its own, within bounds of time and size, on a real socket."""

from __future__ import annotations

import asyncio
import gc
import gzip
import random
import socket
import ssl
import sys
import threading
import time
import tracemalloc
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from typing import Any

import anyio
import httpx
import pytest
import trustme
from conftest import Awaited, Connect
from processmaker import (
    AsyncProcessMaker,
    ConfigurationError,
    ConnectionFailed,
    ConnectionLost,
    PasswordGrant,
    ProcessMaker,
    ProcessMakerError,
    Redirected,
    ServerError,
    StartOutcomeUnknown,
    TimedOut,
    WaitTimeout,
)
from processmaker.models import task_from
from processmaker.sandbox import PASSWORD_CLIENT, Sandbox
from processmaker.wire import transport as _transport
from processmaker.wire.call import run
from processmaker.wire.pages import read_list
from processmaker_api.api.tasks import get_tasks
from raw_server import SHORT, Wire, hang_up, hang_up_in_the_body, reset, tls_for, wired

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


def test_a_list_whose_last_page_never_comes_does_not_outlast_its_time(connect: Connect) -> None:
    pages = count(1)

    def endless(_: httpx.Request) -> httpx.Response:
        number = next(pages)
        if number > 1000:
            raise AssertionError("it goes on and on")
        time.sleep(SHORT / 20)
        return httpx.Response(200, json={"data": [{"id": number, "status": "ACTIVE"}], "meta": {"last_page": 10**9}})

    pm = connect("https://pm.example.com", token="t", transport=httpx.MockTransport(endless))

    async def read_all() -> list[Any]:
        rows = read_list(
            pm._io, lambda page: get_tasks.build_request(process_request_id=1, page=page), task_from, within=SHORT
        )
        return [row async for row in rows]

    with pytest.raises(TimedOut, match="longer than the time for it"):
        pm._runner.run(read_all()) if isinstance(pm, Awaited) else run(read_all())


def test_without_a_time_out_an_answer_may_take_any_time(connect: Connect, either: Wire, verify: ssl.SSLContext) -> None:
    pm = connect(either.url, token=either.sandbox.token(), timeout=httpx.Timeout(None), verify=verify)
    assert pm.start(2, event="node_1").id == 1


@pytest.mark.parametrize("timeout", [1e10, 1_000_001, httpx.Timeout(5, read=1e12)])
def test_a_time_out_that_no_system_takes_is_refused(timeout: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"1,000,000 .*at most"):
        ProcessMaker("https://pm.example.com", token="t", timeout=timeout)


# --- answers that belong to somebody else, and connections that are gone --------------------------------------------


def test_an_answer_too_many_that_comes_by_itself_is_not_taken_for_the_next_one(connect: Connect, wire: Wire) -> None:
    pm = connect(wire.url, token=wire.sandbox.token(), clock=wire.sandbox.clock)

    def twice(connection: socket.socket, answer: bytes) -> None:
        connection.sendall(answer)
        time.sleep(SHORT / 8)
        connection.sendall(answer)

    wire.manner = twice
    for number in range(1, 4):
        assert pm.start(4, event="node_1").id == number
        time.sleep(SHORT / 4)
    assert len(wire.sandbox.requests) == 3


def test_a_second_answer_to_the_start_of_another_process_is_not_taken_for_it(connect: Connect, wire: Wire) -> None:
    pm = connect(wire.url, token=wire.sandbox.token(), clock=wire.sandbox.clock)
    wire.manner = lambda connection, answer: connection.sendall(answer + answer)
    assert pm.start(4, event="node_1").id == 1
    with pytest.raises(StartOutcomeUnknown, match="another process, 4"):
        pm.start(2, event="node_1")


def test_a_kept_connection_that_the_server_has_closed_is_not_used(
    connect: Connect, either: Wire, verify: ssl.SSLContext
) -> None:
    pm = connect(either.url, token=either.sandbox.token(), verify=verify, retries=None)
    pm.start(4, event="node_1")
    either.hang_up()
    while either.connections[0].fileno() >= 0:
        time.sleep(0.001)
    time.sleep(SHORT / 4)
    assert pm.start(4, event="node_1").id == 2
    assert len(either.connections) == 2


# --- bounds in size -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True])
def test_an_answer_that_is_too_long_is_cut_off_and_its_request_is_found(
    connect: Connect, wire: Wire, monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    monkeypatch.setattr(_transport, "MAX_BODY", 20_000)
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


def test_a_small_answer_that_unpacks_to_a_huge_one_is_not_unpacked_further_than_it_is_read(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_transport, "MAX_BODY", 20_000)
    bomb = gzip.compress(bytes(50_000_000))
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    answer = httpx.MockTransport(lambda _: httpx.Response(200, headers=headers, stream=httpx.ByteStream(bomb)))
    pm = connect("https://pm.example.com", token="t", transport=answer, retries=None)
    tracemalloc.start()
    try:
        with pytest.raises(ConnectionLost, match="the answer has more than 20000 bytes"):
            pm.request("GET", "/users")
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_an_answer_that_is_too_long_is_said_to_be(connect: Connect, wire: Wire, monkeypatch: Any) -> None:
    monkeypatch.setattr(_transport, "MAX_BODY", 100)
    pm = connect(wire.url, token=wire.sandbox.token(), retries=None)
    with pytest.raises(ConnectionLost, match="the answer has more than 100 bytes"):
        pm.processes()


@pytest.mark.parametrize("packed", [False, True])
def test_of_an_error_only_the_beginning_is_read(connect: Connect, wire: Wire, packed: bool) -> None:
    """Its server goes on sending, and holds the connection open."""
    pm = connect(wire.url, token=wire.sandbox.token(), retries=None)
    body = b'{"message": "It failed.", "trace": "' + 10_000_000 * b"x"
    content = gzip.compress(body, 1) if packed else body

    def at_length(connection: socket.socket, _: bytes) -> None:
        head = f"HTTP/1.1 500 Internal Server Error\r\nContent-Length: {len(content) + 1}\r\n"
        head += "Content-Encoding: gzip\r\n" * packed
        with suppress(OSError):
            connection.sendall(head.encode() + b"\r\n" + content)
        wire.over.wait(SOON)

    wire.manner = at_length
    with pytest.raises(ServerError) as failure:
        pm.processes()
    assert "It failed." in failure.value.server_message
    assert len(failure.value.server_message) < 500
    wire.manner = lambda connection, answer: connection.sendall(answer)
    assert pm.processes()


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
    monkeypatch.setattr(_transport, "MAX_CONCURRENT", 4)
    wire.manner = slow(wire, 0.05)

    async def main() -> None:
        async with AsyncProcessMaker(wire.url, token=wire.sandbox.token(), timeout=3, retries=None) as pm:
            requests = await asyncio.gather(*(pm.start(4, event="node_1") for _ in range(300)))
            assert len({request.id for request in requests}) == 300
            assert len(pm._io.connections) == 4

    asyncio.run(main())
    assert len(wire.connections) == 4


def test_a_wait_does_not_outlast_its_time_in_the_queue(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_transport, "MAX_CONCURRENT", 1)
    monkeypatch.setattr("processmaker.wire.call.MIN_WITHIN", SHORT)

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
            assert connections._queue._value == _transport.MAX_CONCURRENT
            assert len(connections) == len(connections._idle)
            await asyncio.gather(*(pm.start(4, event="node_1") for _ in range(2 * _transport.MAX_CONCURRENT)))
            assert len(connections) == len(connections._idle) <= _transport.MAX_CONCURRENT

    asyncio.run(main())
    gc.collect()  # what was left open would end in a ResourceWarning, which here is an error


def test_a_connection_that_nobody_used_for_a_while_is_closed(
    connect: Connect, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    pm = connect(wire.url, token=wire.sandbox.token())
    pm.start(4, event="node_1")
    monkeypatch.setattr(_transport, "IDLE_SECONDS", -1.0)
    pm.start(4, event="node_1")
    assert len(wire.connections) == 2
    assert len(pm._io.connections) == 1


def test_a_connection_comes_back_once_however_often_its_answer_is_closed(wire: Wire) -> None:
    with ProcessMaker(wire.url, token=wire.sandbox.token()) as pm:
        answer = run(pm._io.fetch({"method": "GET", "url": "/start_processes"}, lambda answer: answer))
        answer.close()
        answer.close()
        connections = pm._io.connections
        assert len(connections) == len(connections._idle) == 1
        taken = [run(connections._take()) for _ in range(2)]
        assert taken[0] is not taken[1]
        for each in taken:
            connections._idle.append(each)


@pytest.mark.parametrize("kind", ["blocking", "async"])
def test_close_ends_idle_connections_now_and_busy_ones_when_they_come_back(wire: Wire, kind: str) -> None:
    """Seen by the server: each of its connections ends."""
    arrived = threading.Event()

    def held(connection: socket.socket, answer: bytes) -> None:
        arrived.set()
        wire.over.wait(SHORT)
        connection.sendall(answer)

    def check(pm: Any) -> None:
        assert len(pm._io.connections) == 1, "the busy one"
        assert len(pm._io.connections._idle) == 0

    if kind == "blocking":
        pm = ProcessMaker(wire.url, token=wire.sandbox.token())
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda _: pm.processes(), range(2)))
            wire.manner = held
            busy = pool.submit(pm.processes)
            arrived.wait()
            pm.close()
            check(pm)
            assert busy.result()
        assert len(pm._io.connections) == 0
    else:

        async def main() -> None:
            pm = AsyncProcessMaker(wire.url, token=wire.sandbox.token())
            await asyncio.gather(pm.start(4, event="node_1"), pm.start(4, event="node_1"))
            wire.manner = held
            busy = asyncio.create_task(pm.processes())
            await asyncio.to_thread(arrived.wait)
            await pm.close()
            check(pm)
            assert await busy
            assert len(pm._io.connections) == 0

        asyncio.run(main())
    for connection in wire.connections:
        while connection.fileno() >= 0:
            time.sleep(0.001)


def test_a_connection_that_cannot_be_closed_is_dropped_without_an_error(
    connect: Connect, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    pm = connect(wire.url, token=wire.sandbox.token(), retries=None)
    pm.start(4, event="node_1")

    def close(self: Any) -> None:
        self._pool.close()
        raise RuntimeError("it cannot be closed")

    async def aclose(self: Any) -> None:
        await self._pool.aclose()
        raise RuntimeError("it cannot be closed")

    monkeypatch.setattr(httpx.HTTPTransport, "close", close)
    monkeypatch.setattr(httpx.AsyncHTTPTransport, "aclose", aclose)
    wire.misdeeds = [hang_up]
    with pytest.raises(StartOutcomeUnknown):
        pm.start(4, event="node_1")
    assert len(pm._io.connections) == 0
    assert pm.start(4, event="node_1").id == 3
    pm.close()


@pytest.mark.parametrize("misdeed", [reset, hang_up, hang_up_in_the_body])
def test_a_connection_whose_exchange_failed_is_not_used_again(connect: Connect, wire: Wire, misdeed: Any) -> None:
    pm = connect(wire.url, token=wire.sandbox.token(), retries=None)
    wire.misdeeds = [misdeed]
    with pytest.raises(StartOutcomeUnknown):
        pm.start(4, event="node_1")
    assert len(pm._io.connections) == 0


def test_a_client_is_whole_after_cancellation_by_anyio(wire: Wire) -> None:
    """Starlette and FastAPI cancel this way: each await of a cancelled task fails, also those that clean up."""
    arrived = threading.Event()

    def held(connection: socket.socket, answer: bytes) -> None:
        arrived.set()
        wire.over.wait(SHORT / 2)
        connection.sendall(answer)

    async def main() -> None:
        async with AsyncProcessMaker(wire.url, token=wire.sandbox.token()) as pm:
            await pm.start(4, event="node_1")
            wire.manner = held
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as group:
                    group.start_soon(pm.processes)
                    await asyncio.to_thread(arrived.wait)
                    scope.cancel()
            connections = pm._io.connections
            assert len(connections) == 0
            assert connections._queue._value == _transport.MAX_CONCURRENT
            assert await pm.processes()

    asyncio.run(main())
    gc.collect()  # what was left open would end in a ResourceWarning, which here is an error


def test_an_asyncio_client_makes_100_calls_at_a_time(wire: Wire) -> None:
    wire.manner = slow(wire, SHORT)

    async def main() -> None:
        async with AsyncProcessMaker(wire.url, token=wire.sandbox.token()) as pm:
            requests = await asyncio.gather(*(pm.start(4, event="node_1") for _ in range(130)))
            assert len({request.id for request in requests}) == 130
            assert len(pm._io.connections) == 100

    asyncio.run(main())
    assert len(wire.connections) == 100


def test_a_tls_handshake_that_drips_does_not_outlast_the_time_out(connect: Connect) -> None:
    over = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def drip() -> None:
        with suppress(OSError), listener, listener.accept()[0] as connection:
            connection.sendall(b"\x16\x03\x03\x40\x00")  # the head of a record of 16 KB
            while not over.wait(SHORT / 4):
                connection.sendall(b"\0")

    thread = threading.Thread(target=drip)
    thread.start()
    pm = connect(f"https://127.0.0.1:{listener.getsockname()[1]}", token="t", timeout=2 * SHORT, retries=None)
    began = time.monotonic()
    with pytest.raises(ConnectionFailed) as failure:
        pm.start(4, event="node_1")
    thread.join(SOON)  # its connection was closed
    assert not thread.is_alive()
    over.set()
    assert failure.value.processed is False
    assert time.monotonic() - began < SOON


def test_a_task_that_is_cancelled_in_a_tls_handshake_leaves_no_connection_open() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    begun, ended = threading.Event(), threading.Event()

    def say_nothing() -> None:
        with listener, listener.accept()[0] as connection:
            connection.recv(65536)
            begun.set()
            with suppress(OSError):
                while connection.recv(65536):
                    pass
            ended.set()

    thread = threading.Thread(target=say_nothing)
    thread.start()

    async def main() -> None:
        async with AsyncProcessMaker(f"https://127.0.0.1:{listener.getsockname()[1]}", token="t") as pm:
            call = asyncio.create_task(pm.processes())
            await asyncio.to_thread(begun.wait)
            call.cancel()
            await asyncio.wait([call])
            assert len(pm._io.connections) == 0
            assert await asyncio.to_thread(ended.wait, SOON)

    asyncio.run(main())
    thread.join()


def test_an_answer_that_drips_without_a_length_is_not_taken_for_whole_when_its_time_is_over(wire: Wire) -> None:
    """It ends where the connection does, which the end of its time shuts down."""

    def drip(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n[]")
        while not wire.over.wait(SHORT / 4):
            connection.sendall(b" ")

    wire.manner = drip
    pm = ProcessMaker(wire.url, token=wire.sandbox.token(), timeout=2 * SHORT, retries=None)
    with pm, pytest.raises(TimedOut):
        pm.request("GET", "/start_processes")


def test_exchanges_end_at_their_own_deadlines(wire: Wire) -> None:
    wire.manner = dripping(wire)

    def ends(timeout: float) -> float:
        began = time.monotonic()
        pm = ProcessMaker(wire.url, token=wire.sandbox.token(), timeout=timeout, retries=None)
        with pm, pytest.raises(TimedOut):
            pm.processes()
        return time.monotonic() - began

    with ThreadPoolExecutor(4) as pool:
        timeouts = [6 * SHORT, 2 * SHORT, 4 * SHORT, 2 * SHORT]
        for timeout, took in zip(timeouts, pool.map(ends, timeouts), strict=True):
            assert timeout <= took < SOON


def test_a_start_asks_for_an_answer_that_is_not_packed(connect: Connect) -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((request.method, request.headers["accept-encoding"]))
        return httpx.Response(500)

    pm = connect("https://pm.example.com", token="t", transport=httpx.MockTransport(answer), retries=None)
    with suppress(ProcessMakerError):
        pm.start(4, event="node_1")
    with suppress(ProcessMakerError):
        pm.get(1)
    assert asked == [("POST", "identity"), ("GET", "gzip")]


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


@pytest.mark.parametrize("proxy", ["ftp://bot:secret@proxy", "http://bot:sec:ret@[::1"])
def test_a_proxy_that_cannot_be_used_is_named_when_the_client_is_made(
    connect: Connect, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(ConfigurationError, match="Look at HTTP_PROXY, HTTPS_PROXY") as failure:
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
def test_a_redirect_to_what_is_no_address_is_an_error_of_ours(connect: Connect, wire: Wire, location: str) -> None:
    pm = connect(wire.url, token=wire.sandbox.token(), retries=None)

    def redirect(connection: socket.socket, _: bytes) -> None:
        head = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
        connection.sendall(head.encode("latin-1"))

    wire.manner = redirect
    with pytest.raises((Redirected, ConnectionLost)):  # httpx reads it, and refuses some
        pm.processes()
