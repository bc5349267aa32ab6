"""How far many starts have come: a bar on a terminal (with rich), a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from attrs import define, field

from ._output import is_terminal, say

EVERY = 10.0
"""Seconds between two lines, where there is no bar."""

REDRAWN_EVERY = 0.2
"""Seconds between two looks of the bar."""


@define
class Counts:
    """How many rows ended how.

    Attributes:
        total: how many rows there are, where that is known.
    """

    total: int | None = None
    started: int = 0
    found: int = 0
    failed: int = 0
    not_started: int = 0
    unknown: int = 0
    began: float = field(factory=time.monotonic)

    @property
    def rows(self) -> int:
        return self.started + self.found + self.failed + self.not_started + self.unknown

    @property
    def seconds(self) -> float:
        """Since it began."""
        return max(time.monotonic() - self.began, 0.001)

    @property
    def rate(self) -> float:
        """Rows in a second."""
        return self.rows / self.seconds

    @property
    def words(self) -> str:
        of = "" if self.total is None else f" of {self.total:,}"
        parts = [f"{self.rows:,}{of} done"]
        if self.not_started:
            parts.append(f"{self.not_started:,} not started")
        parts += [f"{self.failed:,} failed", f"{self.unknown:,} unknown", f"{self.rate:,.0f}/s"]
        if self.total and self.rows:
            parts.append(f"{duration((self.total - self.rows) / self.rate)} left")
        return ", ".join(parts)


def duration(seconds: float) -> str:
    """`4 s`, `3:20` or `1:03:20`."""
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02}:{left:02}"
    return f"{minutes}:{left:02}" if minutes else f"{left} s"


@contextmanager
def shown(counts: Counts, *, quiet: bool) -> Iterator[Callable[[], None]]:
    """Shows them; what it gives is to be called after each row."""
    if quiet:
        yield lambda: None
        return
    if is_terminal(sys.stderr) and (bar := _bar(counts)):
        with bar as (progress, task):
            drawn = 0.0

            def redraw() -> None:
                nonlocal drawn
                if (now := time.monotonic()) - drawn >= REDRAWN_EVERY:
                    drawn = now
                    progress.update(task, completed=counts.rows, words=counts.words)

            yield redraw
            progress.update(task, completed=counts.rows, words=counts.words)
        return
    told = time.monotonic()

    def tell() -> None:
        nonlocal told
        if (now := time.monotonic()) - told >= EVERY:
            told = now
            say(counts.words)

    yield tell


def _bar(counts: Counts) -> Any:
    try:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn
    except ImportError:
        return None

    @contextmanager
    def drawn() -> Iterator[tuple[Any, Any]]:
        columns = (BarColumn(bar_width=24), TextColumn("{task.fields[words]}", markup=False))
        with Progress(*columns, console=Console(file=sys.stderr), redirect_stdout=False) as progress:
            yield progress, progress.add_task("", total=counts.total, words=counts.words)

    return drawn()
