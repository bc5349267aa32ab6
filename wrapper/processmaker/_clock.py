"""Time as the operations know it; tests put another one in its place."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime


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
