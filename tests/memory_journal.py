"""A journal in memory, blocking and for asyncio, as a user would write one on a database of their own."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import evolve
from processmaker.journal import Entry, KeyedStart


class MemoryJournal:
    """A journal in this process's memory."""

    def __init__(
        self,
        lease: float,
        kept: dict[KeyedStart, Entry] | None = None,
        lock: Any = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.lease = lease
        self._kept = {} if kept is None else kept
        self._lock = lock or threading.Lock()
        self._now = now

    def claim(self, start: KeyedStart, owner: str) -> Entry:
        with self._lock:
            entry = self._read(start)
            anew = Entry(start=start, owner=owner, since=self._now(), silent_for=0.0)
            if entry is None:
                self._kept[start] = anew
            elif entry.request_id is not None or (entry.owner != owner and entry.silent_for <= self.lease):
                return entry
            else:
                self._kept[start] = evolve(anew, taken_over=entry.taken_over or entry.owner != owner)
            return evolve(self._kept[start], mine=True)

    def started(self, start: KeyedStart, owner: str, request_id: int) -> None:
        with self._lock:
            entry = self._kept.get(start)
            if entry is None or entry.request_id is None:
                self._kept[start] = Entry(
                    start=start, owner=owner, request_id=request_id, since=self._now(), silent_for=0.0
                )

    def release(self, start: KeyedStart, owner: str) -> None:
        with self._lock:
            entry = self._kept.get(start)
            if entry is not None and entry.request_id is None and entry.owner == owner:
                del self._kept[start]

    def entries(self, *, started: bool = False) -> Iterator[Entry]:
        with self._lock:
            found = [self._read(start) for start in self._kept]
        return iter([entry for entry in found if entry and (started or entry.request_id is None)])

    def read(self, start: KeyedStart) -> Entry | None:
        with self._lock:
            return self._read(start)

    def forget(self, start: KeyedStart, *, request_id: int | None = None) -> bool:
        with self._lock:
            entry = self._kept.get(start)
            if entry is None or request_id not in (None, entry.request_id):
                return False
            del self._kept[start]
            return True

    def prune(self, older_than: timedelta) -> int:
        old = [each for each in self.entries(started=True) if each.silent_for > older_than.total_seconds()]
        return sum(self.forget(entry.start) for entry in old if entry.request_id is not None)

    def _read(self, start: KeyedStart) -> Entry | None:
        entry = self._kept.get(start)
        return entry and evolve(entry, silent_for=max(0.0, (self._now() - entry.since).total_seconds()))


class AsyncMemoryJournal:
    """The same for asyncio."""

    def __init__(self, journal: MemoryJournal) -> None:
        self._journal = journal

    @property
    def lease(self) -> float:
        return self._journal.lease

    @lease.setter
    def lease(self, lease: float) -> None:
        self._journal.lease = lease

    async def claim(self, start: KeyedStart, owner: str) -> Entry:
        return self._journal.claim(start, owner)

    async def started(self, start: KeyedStart, owner: str, request_id: int) -> None:
        self._journal.started(start, owner, request_id)

    async def release(self, start: KeyedStart, owner: str) -> None:
        self._journal.release(start, owner)

    async def entries(self, *, started: bool = False) -> AsyncIterator[Entry]:
        for entry in self._journal.entries(started=started):
            yield entry

    async def read(self, start: KeyedStart) -> Entry | None:
        return self._journal.read(start)

    async def forget(self, start: KeyedStart, *, request_id: int | None = None) -> bool:
        return self._journal.forget(start, request_id=request_id)

    async def prune(self, older_than: timedelta) -> int:
        return self._journal.prune(older_than)
