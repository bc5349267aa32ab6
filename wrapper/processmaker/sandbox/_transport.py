"""How a call reaches the sandbox, and how time passes for it: in memory, awaited in memory, or over a socket."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import httpx

from ._model import Clock

if TYPE_CHECKING:
    from ._server import Sandbox

T = TypeVar("T")

YIELD, LONGER_YIELD = 0.001, 0.01
"""Real seconds in which other callers run during a call: if it takes no time, and if it does."""


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return the result of a coroutine that never suspends, without an event loop."""
    try:
        coroutine.send(None)
    except StopIteration as finished:
        result: T = finished.value
        return result
    raise RuntimeError("a call in blocking code was suspended")


class Channel:
    """A way in, for blocking code in memory: time jumps, after other threads have run."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    async def until(self, instant: datetime) -> None:
        """Pass the sandbox's time until then."""
        if threading.active_count() > 1:
            time.sleep(LONGER_YIELD if instant > self.clock.now() else YIELD)
        self.clock.reach(instant)

    async def wait(self, request: httpx.Request, seconds: float, *, began: datetime | None = None) -> None:
        """Wait until `seconds` after `began` (now), but no longer than the client's time-out.

        Raises:
            httpx.ReadTimeout: the client would have given up. Behind a socket, it does so itself.
        """
        began = began or self.clock.now()
        limit = request.extensions.get("timeout", {}).get("read")
        if limit is None or seconds <= limit:
            await self.until(began + timedelta(seconds=seconds))
        else:
            await self.until(began + timedelta(seconds=limit))
            raise timed_out(request)


class AsyncChannel(Channel):
    """A way in, for asyncio in memory: time jumps, after other tasks have run."""

    async def until(self, instant: datetime) -> None:
        await asyncio.sleep(LONGER_YIELD if instant > self.clock.now() else 0)
        self.clock.reach(instant)


class SocketChannel(Channel):
    """A way in over a socket: time really passes."""

    async def until(self, instant: datetime) -> None:
        time.sleep(max((instant - self.clock.now()).total_seconds(), 0))
        self.clock.reach(instant)  # for a clock that stands still


class SandboxTransport(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """A transport for `httpx.Client` and `httpx.AsyncClient` that ends in a sandbox.

    Attributes:
        handler: the sandbox; httpx.MockTransport has the same name for it.
        clock: the sandbox's clock, which a `ProcessMaker` or `AsyncProcessMaker` with this transport uses.
        journal: the sandbox's journal, which clients with this transport use if they are given none.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self.handler = sandbox
        self.clock = sandbox.clock
        self.journal = sandbox.journal

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self.handler(request)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        await asyncio.sleep(0)  # as on a network, other tasks run before the call arrives and before its answer does
        try:
            return await self.handler.answer(request, AsyncChannel(self.clock))
        finally:
            await asyncio.sleep(0)


def timed_out(request: httpx.Request) -> httpx.ReadTimeout:
    return httpx.ReadTimeout("The read operation timed out", request=request)
