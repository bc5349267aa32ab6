"""Shows how far many starts have come: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from attrs import define, field

from ._output import is_terminal, live, say

if TYPE_CHECKING:
    from rich.console import ConsoleOptions

LINE_EVERY = 10.0
"""Seconds between two lines, if there is no bar."""

NARROWEST_BAR, WIDEST_BAR = 16, 24
"""Columns. On a terminal without room for the narrowest bar, the numbers stand alone."""


@define
class Counts:
    """How many rows ended how.

    Attributes:
        total: how many rows there are; None if that is not known.
        key_reused: rows whose key belongs to a Request with other data.
    """

    total: int | None = None
    started: int = 0
    found: int = 0
    failed: int = 0
    key_reused: int = 0
    not_started: int = 0
    unknown: int = 0
    began: float = field(factory=time.monotonic)

    @property
    def rows(self) -> int:
        return self.started + self.found + self.failed + self.key_reused + self.not_started + self.unknown

    @property
    def seconds(self) -> float:
        """Since the start."""
        return max(time.monotonic() - self.began, 0.001)

    @property
    def rate(self) -> float:
        """Rows per second."""
        return self.rows / self.seconds

    @property
    def words(self) -> str:
        of = "" if self.total is None else f" of {self.total:,}"
        parts = [f"{self.rows:,}{of} done", f"{self.found:,} found", f"{self.failed:,} failed"]
        for count, name in (
            (self.key_reused, "key reused"),
            (self.not_started, "not started"),
            (self.unknown, "unknown"),
        ):
            if count:
                parts.append(f"{count:,} {name}")
        parts.append(f"{self.rate:,.0f}/s")
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
def progress_of(counts: Counts, *, quiet: bool) -> Iterator[Callable[[], None]]:
    """Shows the counts on standard error. Gives a function to call after each row."""
    if quiet or is_terminal(sys.stderr):
        with nullcontext() if quiet else live(_Bar(counts)):  # which is drawn anew four times a second
            yield lambda: None
        return
    last = time.monotonic()

    def say_now_and_then() -> None:
        nonlocal last
        if (now := time.monotonic()) - last >= LINE_EVERY:
            last = now
            say(counts.words)

    yield say_now_and_then


@define
class _Bar:
    """A bar and the counts, as rich draws them."""

    counts: Counts

    def __rich_console__(self, _: Any, options: ConsoleOptions) -> Iterator[Any]:
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        counts = self.counts
        words = counts.words
        parts: list[Any] = [Text(words)]
        width = min(options.max_width - len(words) - 2, WIDEST_BAR)
        if width >= NARROWEST_BAR:
            parts.insert(0, ProgressBar(counts.total, counts.rows, width=width, pulse=counts.total is None))
        line = Table.grid(padding=(0, 1))
        line.add_row(*parts)
        yield line
