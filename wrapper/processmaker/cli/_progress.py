"""Shows how far many starts have come: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from attrs import define, field

from ._output import has_color, is_terminal, say

LINE_EVERY = 10.0
"""Seconds between two lines, if there is no bar."""

OUTCOMES = ("started", "found", "failed", "key_reused", "not_started", "unknown")
"""What may become of a row."""


@define
class Counts:
    """How many rows ended how.

    Attributes:
        total: how many rows there are; None if that is not known.
        of: how many ended with each of OUTCOMES.
    """

    total: int | None = None
    of: dict[str, int] = field(factory=lambda: dict.fromkeys(OUTCOMES, 0))
    began: float = field(factory=time.monotonic)

    @property
    def rows(self) -> int:
        return sum(self.of.values())

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
        total = "" if self.total is None else f" of {self.total:,}"
        shown = [name for name in OUTCOMES[1:] if self.of[name] or name in ("found", "failed")]
        parts = [f"{self.of[name]:,} {name.replace('_', ' ')}" for name in shown]
        left = ""
        if self.total and self.rows:
            left = f", {duration((self.total - self.rows) / self.rate)} left"
        return f"{self.rows:,}{total} done, {', '.join(parts)}, {self.rate:,.0f}/s{left}"


def duration(seconds: float) -> str:
    """Return hours, minutes and seconds, such as `1:03:20`."""
    return str(timedelta(seconds=round(seconds)))


@contextmanager
def progress_of(counts: Counts, *, quiet: bool) -> Iterator[Callable[[], None]]:
    """Show the counts on standard error. Yield a function to call after each row."""
    if quiet:
        yield lambda: None
    elif is_terminal(sys.stderr):
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        console = Console(file=sys.stderr, force_terminal=True, no_color=not has_color(sys.stderr))
        columns = TextColumn("{task.description}"), BarColumn(bar_width=None)
        bar = Progress(*columns, console=console, transient=True, redirect_stdout=False)  # messages go above it
        task = bar.add_task(counts.words, total=counts.total)
        with bar:
            console.show_cursor()  # a run that ends at once could not show it again
            yield lambda: bar.update(task, completed=counts.rows, description=counts.words)
    else:
        last = time.monotonic()

        def say_now_and_then() -> None:
            nonlocal last
            if time.monotonic() - last >= LINE_EVERY:
                last = time.monotonic()
                say(counts.words)

        yield say_now_and_then
