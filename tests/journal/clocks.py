"""Clocks for the tests of journals."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from processmaker.clock import Clock


class ManualClock(Clock):
    """A clock that a test advances."""

    def __init__(self) -> None:
        self.passed = 1_000_000.0

    def monotonic(self) -> float:
        return self.passed

    def now(self) -> datetime:
        return datetime.fromtimestamp(1_700_000_000 + self.passed, UTC)


class During(ManualClock):
    """A clock that does something else when it is read, in the middle of a step, as a signal handler does."""

    def __init__(self, do: Callable[[], Any]) -> None:
        super().__init__()
        self._do = do

    def monotonic(self) -> float:
        self._do()
        return super().monotonic()


class DuringNow(During):
    """The same for a journal that counts by the time of day."""

    def now(self) -> datetime:
        self._do()
        return super().now()
