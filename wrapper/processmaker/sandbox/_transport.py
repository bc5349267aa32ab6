"""How a call comes to the sandbox, and so how time passes for it: in memory, awaited in memory, or over a socket."""

from __future__ import annotations

import asyncio
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import httpx

from ..wire.call import run
from ._state import Clock

if TYPE_CHECKING:
    from ._server import Sandbox

YIELD, LONGER_YIELD = 0.001, 0.01
"""Real seconds in which others go on while a start is under way: where it takes no time, and where it does."""


class Line(ABC):
    """One way in."""

    socket = False

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    @abstractmethod
    async def until(self, instant: datetime, *, with_others: bool = False) -> None:
        """Lets the sandbox's time pass until then; with_others: gives other callers the time to do something in it."""

    async def wait(
        self, request: httpx.Request, seconds: float, *, began: datetime | None = None, with_others: bool = False
    ) -> None:
        """Lets its client wait, until `seconds` after `began` (now), but no longer than it would.

        Raises:
            httpx.ReadTimeout: it would have given up. (Behind a socket it does so itself.)
        """
        began = began or self.clock.now()
        limit = None if self.socket else request.extensions.get("timeout", {}).get("read")
        if limit is None or seconds <= limit:
            await self.until(began + timedelta(seconds=seconds), with_others=with_others)
        else:
            await self.until(began + timedelta(seconds=limit), with_others=with_others)
            raise timed_out(request)


class Blocking(Line):
    """In memory, for blocking code: the time jumps, and other threads go on first."""

    async def until(self, instant: datetime, *, with_others: bool = False) -> None:
        if with_others and threading.active_count() > 1:
            time.sleep(LONGER_YIELD if instant > self.clock.now() else YIELD)
        self.clock.reach(instant)


class Awaiting(Line):
    """In memory, for asyncio: the time jumps, and other tasks go on first."""

    async def until(self, instant: datetime, *, with_others: bool = False) -> None:
        await asyncio.sleep(LONGER_YIELD if with_others and instant > self.clock.now() else 0)
        self.clock.reach(instant)


class OnSocket(Line):
    """Over a socket: the time really passes."""

    socket = True

    async def until(self, instant: datetime, *, with_others: bool = False) -> None:  # noqa: ARG002
        time.sleep(max((instant - self.clock.now()).total_seconds(), 0))
        self.clock.reach(instant)  # a clock that stands still goes on, too


class SandboxTransport(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """A transport for `httpx.Client` and `httpx.AsyncClient` that ends in a sandbox.

    Attributes:
        handler: the sandbox, under the name that httpx.MockTransport has for what answers.
        clock: the sandbox's; a `ProcessMaker` or `AsyncProcessMaker` with this transport lives by it.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self.handler = sandbox
        self.clock = sandbox.clock

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self.handler(request)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        await asyncio.sleep(0)  # as on a network, other tasks go on before the call arrives and before its answer does
        try:
            return await self.handler.answer(request, Awaiting(self.clock))
        finally:
            await asyncio.sleep(0)


class Dripping(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that comes byte by byte, `seconds` apart."""

    def __init__(self, body: bytes, seconds: float, line: Line, request: httpx.Request) -> None:
        self._body = body
        self._seconds = seconds
        self._line = line
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        for position in range(len(self._body)):
            run(self._line.wait(self._request, self._seconds))
            yield self._body[position : position + 1]

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for position in range(len(self._body)):
            await self._line.wait(self._request, self._seconds)
            yield self._body[position : position + 1]


def timed_out(request: httpx.Request) -> httpx.ReadTimeout:
    return httpx.ReadTimeout("The read operation timed out", request=request)
