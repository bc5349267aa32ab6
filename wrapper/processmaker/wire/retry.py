"""Sends calls again that certainly were not processed, with growing pauses, within bounds."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from attrs import frozen

from ..clock import is_seconds
from ..errors import ConfigurationError, ProcessMakerError, sentence
from ..log import log

if TYPE_CHECKING:
    from .call import IO

T = TypeVar("T")

FIRST_DELAY = 0.25

LONGEST_CLOSED = 60.0
"""Seconds for which all starts of a run are held back at most, because the server refused one."""


@frozen(kw_only=True)
class Retries:
    """How often, and for how long, a call is sent again.

    Only calls that read are sent again, and calls that the server certainly did not process (no connection, 429, 503).
    The pause doubles from a quarter of a second, with jitter. A Retry-After is honoured; if it asks for more than the
    bounds allow, the error is raised at once with the server's wish in `retry_after`. With the default bounds and
    time-outs a call that times out is sent again, and maintenance (Retry-After: 60 on 4.15.5) is not waited for.

    Args:
        attempts: how often a call is sent at most, the first one included.
        max_delay: the longest pause, in seconds; where Retry-After asks for a longer one, there is none.
        total: how long, in seconds, after the first attempt another one may still begin.

    Raises:
        ConfigurationError: one of them is no such number; there is no infinite one.
    """

    attempts: int = 4
    max_delay: float = 30.0
    total: float = 120.0

    def __attrs_post_init__(self) -> None:
        if not (is_seconds(self.attempts) and isinstance(self.attempts, int) and self.attempts >= 1):
            raise ConfigurationError(f"Retries(attempts={self.attempts!r}) must be a number from 1")
        for name in ("max_delay", "total"):
            if not is_seconds(getattr(self, name)):
                raise ConfigurationError(f"Retries({name}={getattr(self, name)!r}) must be a number from 0")

    def delay(self, attempt: int, elapsed: float, retry_after: float | None) -> float | None:
        """Return the pause in seconds after attempt number `attempt` failed; None if it was the last."""
        pause = min(self.max_delay, FIRST_DELAY * 2 ** min(attempt - 1, 30)) * random.uniform(0.5, 1)
        pause = max(pause, retry_after or 0)
        within = pause <= self.max_delay and elapsed + pause <= self.total
        return pause if attempt < self.attempts and within else None


async def retrying(
    io: IO,
    retries: Retries | None,
    send: Callable[[], Awaitable[T]],
    pause: Callable[[float], Awaitable[None]] | None = None,
) -> T:
    """Return what `send()` returns. Send again if that is safe; with `retries=None`, send once."""
    began = io.clock.monotonic()
    attempt = 0
    while True:
        attempt += 1
        try:
            return await send()
        except ProcessMakerError as error:
            if not retries or not error.transient or error.processed is not False:
                raise
            seconds = retries.delay(attempt, io.clock.monotonic() - began, error.retry_after)
            if seconds is None:
                raise
            words = "%s Sending again in %.2f s (attempt %d of %d)."
            log.warning(words, sentence(error), seconds, attempt + 1, retries.attempts)
        await (pause or io.sleep)(seconds)


class RateGate:
    """Holds back all starts of a run for as long as the server wants one of them to wait."""

    def __init__(self, io: IO) -> None:
        self._io = io
        self._opens_at = float("-inf")
        self.cancelled = False
        """Whether the run was left: nothing more is to be started."""

    def close_for(self, seconds: float) -> None:
        """Let no start pass for a while, at most LONGEST_CLOSED."""
        self._opens_at = max(self._opens_at, self._io.clock.monotonic() + min(seconds, LONGEST_CLOSED))

    async def pause(self, seconds: float) -> None:
        """Wait before another attempt of one start. No other start passes meanwhile.

        Raises:
            ProcessMakerError: the run was cancelled.
        """
        self.close_for(seconds)
        await self._wait_until(self._io.clock.monotonic() + seconds)

    async def wait_open(self) -> None:
        """Wait until starts may go on.

        Raises:
            ProcessMakerError: the run was cancelled.
        """
        self.check()
        while self._opens_at > self._io.clock.monotonic():
            await self._wait_until(self._opens_at)

    async def _wait_until(self, instant: float) -> None:
        while (left := instant - self._io.clock.monotonic()) > 0:
            await self._io.sleep(min(left, 0.5))  # in parts, as the run may be cancelled
            self.check()

    def check(self) -> None:
        """Raise ProcessMakerError if the run was cancelled."""
        if self.cancelled:
            # Not to be sent again here; by the caller, whenever that is.
            raise ProcessMakerError("not started: the run was left before its turn came", retry_after=0.0)
