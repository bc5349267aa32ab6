"""A journal in memory: for the threads and tasks of one Python process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from attrs import evolve

from ..errors import JournalError
from ..fork import begins_anew
from .lock import NotLocked, StepLock
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
        super().__init__(lease)
        self._lock = StepLock()
        self._rows: dict[KeyedStart, Row] = {}
        self._sweep_at = 64
        begins_anew(self)

    def __repr__(self) -> str:
        return f"MemoryJournal(lease={self._lease:g})"

    def _now(self) -> float:
        return self.clock.monotonic()

    def _moment(self, since: float, now: float) -> datetime:
        return self.clock.now() - timedelta(seconds=now - since)

    def _change(self, changes: Sequence[tuple[KeyedStart, Change]]) -> tuple[float, list[Changed]]:
        def step() -> tuple[float, list[Changed]]:
            now, done = self._now(), []
            for start, change in changes:
                before = self._read(start, now)
                after, answer = change(before, now)
                if after is None:
                    self._rows.pop(start, None)
                elif after is not before:
                    self._rows[start] = after
                done.append((after, answer))
            if len(self._rows) >= self._sweep_at:
                self._sweep(now)
            return now, done

        return self._run(step)

    def _find(self, start: KeyedStart) -> tuple[float, Row | None]:
        def step() -> tuple[float, Row | None]:
            now = self._now()
            return now, self._read(start, now)

        return self._run(step)

    def _read(self, start: KeyedStart, now: float) -> Row | None:
        """The row of that start. A started one counts for as long as the lease: after that the server lists it."""
        row = self._rows.get(start)
        return None if row and row.state == "started" and now - row.since > self._lease else row

    def _list(self, started: bool) -> tuple[float, list[tuple[KeyedStart, Row]]]:
        now, rows = self._run(lambda: (self._now(), list(self._rows.items())))
        open_or_young = [
            (start, row) for start, row in rows if row.state != "started" or now - row.since <= self._lease
        ]
        return now, [(start, row) for start, row in open_or_young if started or row.state != "started"]

    def _drop_started(self, older_than: float) -> int:
        def step() -> int:
            now = self._now()
            old = [
                start for start, row in self._rows.items() if row.state == "started" and now - row.since > older_than
            ]
            for start in old:
                del self._rows[start]
            return len(old)

        return self._run(step)

    def _sweep(self, now: float) -> None:
        """Drops the entries that count no more, once there are an eighth more of them than after the last time."""
        keep_for = max(self._lease, RESERVATION)
        kept = {start: row for start, row in self._rows.items() if now - row.since <= keep_for}
        known = sorted((row.since, n, start) for n, (start, row) in enumerate(kept.items()) if row.state == "started")
        for _, _, start in known[:-MAX_STARTED]:
            del kept[start]
        self._rows = kept
        self._sweep_at = len(kept) + max(64, len(kept) // 8)

    def _run(self, step: Callable[[], T]) -> T:
        try:
            return self._lock.run(step, MAX_WAIT)
        except NotLocked as problem:
            raise JournalError(f"the journal in memory: {problem}", journal="memory", transient=True) from None

    def in_child(self) -> None:
        """What is kept, in a child process after a fork."""
        self._lock = StepLock()  # a thread that is not there in the child may have held it
        now = self._now()
        self._rows = {
            start: row if row.state == "started" else _of_parent(row, now) for start, row in self._rows.items()
        }


def _of_parent(row: Row, now: float) -> Row:
    """An open row of the parent process, as its child knows it. It is no longer the owner's, who may be here, too."""
    since = row.since if row.state == "unknown" else now
    return evolve(row, state="unknown", owner=f"{row.owner} (before the fork)", since=since, before=None)
