"""A hand on the connection of one httpx client: it bounds an exchange in total time, and sees what became of a call.

httpx bounds each single read, so that a server that sends a byte now and then outlasts every time-out, and it cannot
say whether a call that got no answer was ever received. So httpcore, which connects for httpx, is given the network
backends of this module (its public interface; that they reach it is pinned by a test, as httpx 0.28 has no argument
for them). They pass everything on, but

- no wait is longer than what is left for the exchange;
- what a call consists of is written in one piece, when it is whole, so that it has left or it has not;
- where a server closes a connection as a call is on its way, the system is asked whether any of it was received.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

import httpcore
import httpx

DEADLINE = "processmaker.deadline"
"""Where a call carries the time (of time.monotonic) at which it must be over: among the extensions of its request."""

MOST_AT_ONCE = 256 * 1024
"""Bytes to read at once: all that asyncio takes from the system at once, so that nothing is left where none looks."""

RESET_WITHIN = 0.5
"""Seconds to wait for the reset with which a closed connection answers what still arrives."""

_POLLS = 20

Options = Iterable[Any] | None


class Call:
    """One call, before which an auth may send sign-ins of its own. Whatever is sent in its `with` block is told to it.

    Args:
        path: that of its address, or the end of it.
        leaves: called when the call itself is about to be sent.
    """

    def __init__(self, path: str, leaves: Callable[[], None] | None) -> None:
        self._path = path
        self._leaves = leaves
        self.sent = False
        """Whether it was sent, and not refused with a 401, on which the server does nothing."""

    def __enter__(self) -> None:
        self._token = _under_way.set(self)

    def __exit__(self, *_: object) -> None:
        _under_way.reset(self._token)

    def begins(self, request: httpx.Request) -> None:
        if self._is(request):
            self.sent = True
            if self._leaves:
                self._leaves()

    def ends(self, response: httpx.Response) -> None:
        if response.status_code == 401 and self._is(response.request):
            self.sent = False

    def _is(self, request: httpx.Request) -> bool:
        # Not by identity: an auth may send another request in its place.
        return request.url.path.endswith(self._path) or self._path in request.url.raw_path.decode("ascii", "replace")


_under_way: ContextVar[Call | None] = ContextVar("processmaker.call", default=None)


class Watch:
    """One exchange at a time: how long it may take, and how much of it has happened.

    Args:
        total: seconds for each exchange, from connecting to the last byte; None for no bound.
    """

    def __init__(self, total: float | None) -> None:
        self._total = float("inf") if total is None else total
        self._until = float("inf")
        self.unsent = bytearray()
        """What was written and not yet sent."""
        self.heard = True
        """Whether anything arrived since the call was sent."""
        self.missed = False
        """Whether the server closed the connection, and certainly received nothing of the call."""
        self.streams: list[Any] = []
        """The connections made, the latest being the one in use."""
        self._acknowledged: int | None = None

    def begin(self, request: httpx.Request) -> None:
        """A request is about to be sent: the call itself, or the sign-in before it."""
        self._until = min(request.extensions.get(DEADLINE, float("inf")), time.monotonic() + self._total)
        self.unsent.clear()
        self.heard = self.missed = False
        if call := _under_way.get():
            call.begins(request)

    def answered(self, response: httpx.Response) -> None:
        """The head of an answer is there.

        Raises:
            httpx.RemoteProtocolError: it was there before the call was sent, where `_connections.py` could not see it.
        """
        if not self.heard and self.streams:
            words = "the connection held one answer too many, of an earlier call"
            raise httpx.RemoteProtocolError(words, request=response.request)
        if call := _under_way.get():
            call.ends(response)

    def left(self, timeout: float | None, over: type[httpcore.TimeoutException]) -> float | None:
        """The time-out of the next step; raises `over` where no time is left for it."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise over("the time for the whole exchange is over")
        return left if timeout is None and left != float("inf") else timeout and min(timeout, left)

    def take(self, connection: socket.socket | None) -> bytes:
        """What is to be sent now."""
        data = bytes(self.unsent)
        self.unsent.clear()
        self.heard = False  # anew, as a proxy may have been heard before the call itself
        self._acknowledged = _acknowledged(connection)
        return data

    def unreceived(self, connection: socket.socket | None) -> bool:
        """Whether the peer, which has just closed, had received nothing of what was sent before it closed."""
        return self._acknowledged is not None and _acknowledged(connection) == self._acknowledged

    def abandon(self) -> None:
        """Closes the connections without a word to the server, in a child: they are the parent's."""
        for stream in self.streams:
            with suppress(OSError):
                os.close(stream.get_extra_info("socket").detach())  # which leaves TLS alone


def _acknowledged(connection: socket.socket | None) -> int | None:
    """How many bytes the peer's system has acknowledged on this connection; None where that cannot be known."""
    if connection is None or sys.platform != "linux":
        return None
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 128)
    except OSError:
        return None
    # tcpi_bytes_acked of Linux's struct tcp_info, since 4.1
    return int.from_bytes(info[120:128], sys.byteorder) if len(info) == 128 else None


def _is_reset(connection: socket.socket, seconds: float) -> bool:
    """Whether the connection is reset, or will be in that time: then the peer reads no more from it."""
    poll = select.poll()
    poll.register(connection.fileno(), 0)
    return bool(poll.poll(1000 * seconds))


class Stream(httpcore.NetworkStream):
    """A connection of blocking code."""

    def __init__(self, stream: httpcore.NetworkStream, watch: Watch) -> None:
        self._stream = stream
        self._watch = watch
        self._write_timeout: float | None = None
        self._socket = stream.get_extra_info("socket")
        watch.streams = [stream]

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._watch.unsent += buffer
        self._write_timeout = timeout
        if self._watch.unsent and not buffer:  # the end of a body whose length was given
            self._send()

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._watch.unsent:
            self._send()
        first, self._watch.heard = not self._watch.heard, True
        data = self._stream.read(max_bytes, self._watch.left(timeout, httpcore.ReadTimeout))
        if first and not data:
            self._watch.missed = self._missed()
        return data

    def _send(self) -> None:
        # Where no time is left for this first step, nothing was sent.
        limit = self._watch.left(self._write_timeout, httpcore.ConnectTimeout)
        data = memoryview(self._watch.take(self._socket))
        # A server may refuse a call before it has read it, and close; its answer can still be read.
        with suppress(httpcore.WriteError):
            for begin in range(0, len(data), MOST_AT_ONCE):
                self._stream.write(data[begin : begin + MOST_AT_ONCE], limit)  # type: ignore[arg-type]
                limit = self._watch.left(self._write_timeout, httpcore.WriteTimeout)

    def _missed(self) -> bool:
        connection = self._socket
        unreceived = self._watch.unreceived(connection) and _is_reset(connection, RESET_WITHIN)
        return unreceived and self._watch.unreceived(connection)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        limit = self._watch.left(timeout, httpcore.ConnectTimeout)
        return Stream(self._stream.start_tls(ssl_context, server_hostname, limit), self._watch)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class Backend(httpcore.SyncBackend):
    """Connects for blocking code."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Options = None,
    ) -> httpcore.NetworkStream:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as problem:
            raise httpcore.ConnectError(str(problem)) from problem
        addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
        # One that does not answer leaves time for the others.
        for others in range(len(addresses) - 1, -1, -1):
            limit = self._watch.left(timeout, httpcore.ConnectTimeout)
            limit = limit and limit / (others + 1)
            try:
                stream = super().connect_tcp(addresses[-1 - others], port, limit, local_address, socket_options)
                return Stream(stream, self._watch)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if not others:
                    raise
        raise httpcore.ConnectError(f"{host} has no address")


class AsyncStream(httpcore.AsyncNetworkStream):
    """A connection of asyncio."""

    def __init__(self, stream: httpcore.AsyncNetworkStream, watch: Watch) -> None:
        self._stream = stream
        self._watch = watch
        self._write_timeout: float | None = None
        # Asked once: anyio asks the system for addresses, too, each time.
        self._socket = stream.get_extra_info("socket")
        self._tls = stream.get_extra_info("ssl_object")
        watch.streams = [stream]

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._watch.unsent += buffer
        self._write_timeout = timeout
        if self._watch.unsent and not buffer:
            await self._send()

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._watch.unsent:
            await self._send()
        first, self._watch.heard = not self._watch.heard, True
        data = await self._stream.read(max(max_bytes, MOST_AT_ONCE), self._watch.left(timeout, httpcore.ReadTimeout))
        if first and not data:
            self._watch.missed = await self._missed()
        return data

    async def _send(self) -> None:
        limit = self._watch.left(self._write_timeout, httpcore.ConnectTimeout)
        if _holds_more(self._tls):
            raise httpcore.ConnectError("the kept connection held unread bytes, or was closed; the call was not sent")
        data = self._watch.take(self._socket)
        with suppress(httpcore.WriteError):
            await self._stream.write(data, limit)

    async def _missed(self) -> bool:
        connection = self._socket
        for _ in range(_POLLS):
            if not self._watch.unreceived(connection):
                return False
            if _is_reset(connection, 0):
                return True
            await asyncio.sleep(RESET_WITHIN / _POLLS)
        return False

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        limit = self._watch.left(timeout, httpcore.ConnectTimeout)
        return AsyncStream(await self._stream.start_tls(ssl_context, server_hostname, limit), self._watch)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _holds_more(tls: ssl.SSLObject | None) -> bool:
    """Whether what was read from the socket holds more than the answers taken from it: TLS keeps it to itself."""
    if tls is None:
        return False
    try:
        tls.read(1)
    except ssl.SSLWantReadError:
        return False
    except ssl.SSLError:
        return True
    return True


class AsyncBackend(httpcore.AnyIOBackend):
    """Connects for asyncio."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Options = None,
    ) -> httpcore.AsyncNetworkStream:
        limit = self._watch.left(timeout, httpcore.ConnectTimeout)
        stream = await super().connect_tcp(host, port, limit, local_address, socket_options)
        return AsyncStream(stream, self._watch)


def expect_asyncio() -> None:
    """Spares httpcore the search for sniffio at each step of a call, which anyio no longer brings along.

    Where it is not there, each search goes through all of sys.path: together a third of a call. What is not asyncio has
    imported it already, so that the answer stays the same.
    """
    synchronization: Any = getattr(httpcore, "_synchronization", None)
    search = getattr(synchronization, "current_async_library", None)
    if search is None or getattr(search, "spared", False):
        return

    def library() -> Any:
        return search() if "sniffio" in sys.modules else "asyncio"

    library.spared = True  # type: ignore[attr-defined]
    synchronization.current_async_library = library
