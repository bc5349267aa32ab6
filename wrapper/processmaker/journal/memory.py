"""A journal in memory: for the threads and tasks of one Python process."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

from attrs import evolve

from ..clock import Clock
from ..fork import begins_anew
from .lock import StepLock
from .protocol import DEFAULT_LEASE, RESERVATION, KeyedStart
from .rows import Change, Changed, Row, RowJournal

T = TypeVar("T")

MAX_STARTED = 10_000
"""Started entries that are kept at most, about 600 bytes each."""

MAX_WAIT = 10.0
"""Seconds to wait for another thread's step, which takes microseconds. Only a signal handler can make it longer."""


class MemoryJournal(RowJournal):
    """A journal of starts in the memory of this process, for its threads and tasks.

    It knows nothing of other processes, and ends with its own: use `SQLiteJournal` or `RedisJournal` for more. It
    starts no thread and opens no file.

    Entries are dropped when their lease is over, as they count no more then. Of the started ones, the latest 10,000
    are kept.

    In a child process after a fork, every open entry is `unknown` since the fork: the parent may go on sending it.

    Args:
        lease: see `Journal.lease`.
    """

    def __init__(self, *, lease: float = DEFAULT_LEASE) -> None:
        super().__init__("in memory", lease)
        self.clock = Clock()
        """The journal's clock. Tests may set another one."""
        self._lock = StepLock()
        self._rows: dict[KeyedStart, Row] = {}  # in the order in which they were last changed
        self._sweep_at = 64
        begins_anew(self)

    def _change(self, changes: dict[KeyedStart, Change]) -> tuple[float, dict[KeyedStart, Changed]]:
        def step() -> tuple[float, dict[KeyedStart, Changed]]:
            now, done = self.clock.monotonic(), {}
            for start, change in changes.items():
                before = self._row(start, now)
                after, answer = change(before, now)
                if after is not before:
                    self._rows.pop(start, None)
                    if after is not None:
                        self._rows[start] = after
                done[start] = after, answer
            if len(self._rows) >= self._sweep_at:
                self._sweep(now)
            return now, done

        return self._run(step)

    def _list(self, *, started: bool) -> tuple[float, list[tuple[KeyedStart, Row]]]:
        def step() -> tuple[float, list[tuple[KeyedStart, Row]]]:
            now = self.clock.monotonic()
            rows = [(start, self._row(start, now)) for start in list(self._rows)]
            return now, [(start, row) for start, row in rows if row and (started or row.state != "started")]

        return self._run(step)

    def _row(self, start: KeyedStart, now: float) -> Row | None:
        """Return the row of a start. A started one counts for as long as the lease: after that the server lists it."""
        row = self._rows.get(start)
        if row and row.state == "started" and now - row.since > self._lease:
            del self._rows[start]
            return None
        return row

    def _sweep(self, now: float) -> None:
        """Drop the entries that count no more, once there are an eighth more of them than after the last time."""
        keep_for = max(self._lease, RESERVATION)
        kept = {start: row for start, row in self._rows.items() if now - row.since <= keep_for}
        known = [start for start, row in kept.items() if row.state == "started"]
        for start in known[:-MAX_STARTED]:
            del kept[start]
        self._rows = kept
        self._sweep_at = len(kept) + max(64, len(kept) // 8)

    def _run(self, step: Callable[[], T]) -> T:
        return self._lock.run(step, MAX_WAIT, self._error)

    def _moment(self, since: float, now: float) -> datetime:
        return self.clock.now() - timedelta(seconds=now - since)

    def in_child(self) -> None:
        """Make the open entries unknown, in a child process after a fork."""
        self._lock = StepLock()  # a thread that is not there in the child may have held it
        now = self.clock.monotonic()
        self._rows = {
            start: row if row.state == "started" else _of_parent(row, now) for start, row in self._rows.items()
        }


def _of_parent(row: Row, now: float) -> Row:
    """Return an open row of the parent process, as its child knows it. Its owner, who may be here too, has lost it."""
    since = row.since if row.state == "unknown" else now
    return evolve(row, state="unknown", owner=f"{row.owner} (before the fork)", since=since, before=None)
