"""Time as the operations know it; a sandbox has another one."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

from .errors import ConfigurationError

LONGEST = 1_000_000_000
"""Seconds: more than thirty years. Python and the system cannot wait much longer."""


def is_seconds(value: object) -> bool:
    """Whether it is a number of seconds, from 0 to LONGEST."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LONGEST


def check_key_lifetime(lifetime: timedelta | None) -> timedelta | None:
    """Returns how old a Request may be to be found by its key; None for any age.

    Raises:
        ConfigurationError: it is no length of time, or shorter than an hour.
    """
    if lifetime is not None and (not isinstance(lifetime, timedelta) or lifetime < timedelta(hours=1)):
        raise ConfigurationError(
            f"key_lifetime={lifetime!r} is not a length of time from an hour, such as timedelta(days=30); "
            "None means any age"
        )
    return lifetime


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
