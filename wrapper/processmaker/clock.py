"""Time as the operations know it; a sandbox has another one."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

LONGEST = 1_000_000_000
"""Seconds: more than thirty years. Python and the system cannot wait much longer."""


def is_seconds(value: object) -> bool:
    """Whether it is a number of seconds, from 0 to LONGEST."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LONGEST


class Clock:
    """The time of this machine."""

    def monotonic(self) -> float:
        return time.monotonic()

    def now(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    async def async_sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def clock_of(transport: object) -> Clock | None:
    """The time that a transport's clients live by; None for this machine's."""
    clock = getattr(transport, "clock", None)
    return clock if isinstance(clock, Clock) else None
