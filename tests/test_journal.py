"""Journals of starts: every one passes the same tests; here those of the package, and two such as users write."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from processmaker.journal import AsyncJournal, Entry, Journal, KeyedStart, RedisJournal, SQLiteJournal
from processmaker.journal.contract import JournalContract
from redis_server import RedisServer

sleep = time.sleep


class MemoryJournal:
    """A journal in this process's memory, as a user would write one on a database of their own."""

    def __init__(self, lease: float, kept: dict[KeyedStart, Entry], lock: Any) -> None:
        self.lease = lease
        self._kept = kept
        self._lock = lock

    def claim(self, start: KeyedStart, owner: str) -> Entry:
        with self._lock:
            entry = self._read(start)
            anew = Entry(start=start, owner=owner, since=datetime.now(UTC), silent_for=0.0)
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
                    start=start, owner=owner, request_id=request_id, since=datetime.now(UTC), silent_for=0.0
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

    def forget(self, start: KeyedStart) -> bool:
        with self._lock:
            return self._kept.pop(start, None) is not None

    def prune(self, older_than: timedelta) -> int:
        old = [each for each in self.entries(started=True) if each.silent_for > older_than.total_seconds()]
        return sum(self.forget(entry.start) for entry in old if entry.request_id is not None)

    def _read(self, start: KeyedStart) -> Entry | None:
        entry = self._kept.get(start)
        return entry and evolve(entry, silent_for=max(0.0, (datetime.now(UTC) - entry.since).total_seconds()))


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

    async def forget(self, start: KeyedStart) -> bool:
        return self._journal.forget(start)

    async def prune(self, older_than: timedelta) -> int:
        return self._journal.prune(older_than)


class TestMemoryJournal(JournalContract):
    def setup_method(self) -> None:
        super().setup_method()
        self.kept: dict[KeyedStart, Entry] = {}
        self.lock = threading.Lock()

    def make_journal(self, lease: float) -> Journal:
        return MemoryJournal(lease, self.kept, self.lock)


class TestAsyncMemoryJournal(TestMemoryJournal):
    def make_journal(self, lease: float) -> AsyncJournal:  # type: ignore[override]
        return AsyncMemoryJournal(MemoryJournal(lease, self.kept, self.lock))


class TestSQLiteJournal(JournalContract):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.path = tmp_path / "starts.db"

    def make_journal(self, lease: float) -> Journal:
        return SQLiteJournal(self.path, lease=lease)


class TestRedisJournal(JournalContract):
    @pytest.fixture(autouse=True)
    def _server_of_its_own(self, redis_server: RedisServer) -> None:
        self.redis = redis_server

    def make_journal(self, lease: float) -> Journal:
        return RedisJournal.from_url(self.redis.url, lease=lease)


# --- the contract itself --------------------------------------------------------------------------------------------


class Pausing(dict[KeyedStart, Entry]):
    """Memory where another caller comes in between a look and what is written after it."""

    def get(self, *arguments: Any) -> Any:
        found = super().get(*arguments)
        time.sleep(0.01)
        return found


class WithoutALock:
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


class ForgetsTheTakeover(MemoryJournal):
    def claim(self, start: KeyedStart, owner: str) -> Entry:
        before = self._kept.get(start)
        entry = super().claim(start, owner)
        if before and before.owner == owner and entry.mine:
            self._kept[start] = evolve(self._kept[start], taken_over=False)
        return evolve(entry, taken_over=self._kept[start].taken_over)


class AnyoneTakesBack(MemoryJournal):
    def release(self, start: KeyedStart, owner: str) -> None:  # noqa: ARG002
        self._kept.pop(start, None)


class TheLastRequestStays(MemoryJournal):
    def started(self, start: KeyedStart, owner: str, request_id: int) -> None:
        self._kept.pop(start, None)
        super().started(start, owner, request_id)


class AskingRenews(MemoryJournal):
    def claim(self, start: KeyedStart, owner: str) -> Entry:
        entry = super().claim(start, owner)
        self._kept[start] = evolve(self._kept[start], since=datetime.now(UTC))
        return entry


class NeverRenews(MemoryJournal):
    def claim(self, start: KeyedStart, owner: str) -> Entry:
        before = self._kept.get(start)
        entry = super().claim(start, owner)
        if before and before.owner == owner and entry.mine:
            self._kept[start] = entry = evolve(entry, since=before.since)
        return entry


class TakesOverWhatWasStarted(MemoryJournal):
    def claim(self, start: KeyedStart, owner: str) -> Entry:
        entry = super().claim(start, owner)
        if entry.request_id is not None and entry.silent_for > self.lease:
            self._kept.pop(start)
            return super().claim(start, owner)
        return entry


class DropsWhatIsBeingSent(MemoryJournal):
    def prune(self, older_than: timedelta) -> int:
        old = [each for each in self.entries(started=True) if each.silent_for > older_than.total_seconds()]
        return sum(self.forget(entry.start) for entry in old)


class IgnoresCase(MemoryJournal):
    def claim(self, start: KeyedStart, owner: str) -> Entry:
        return super().claim(evolve(start, key=start.key.lower()), owner)


class SaysNoTimeZone(MemoryJournal):
    def claim(self, start: KeyedStart, owner: str) -> Entry:
        entry = super().claim(start, owner)
        return evolve(entry, since=entry.since.replace(tzinfo=None))


def fails(contract: JournalContract) -> list[str]:
    """The names of its tests that fail."""
    failed = []
    for name in dir(contract):
        if name.startswith("test_"):
            contract.setup_method()
            try:
                getattr(contract, name)()
            except (AssertionError, ValueError, TypeError):  # also where one winner is unpacked, and there are two
                failed.append(name)
            finally:
                contract.teardown_method()
    return failed


@pytest.mark.parametrize(
    "kind",
    [
        AnyoneTakesBack,
        AskingRenews,
        DropsWhatIsBeingSent,
        ForgetsTheTakeover,
        IgnoresCase,
        NeverRenews,
        SaysNoTimeZone,
        TakesOverWhatWasStarted,
        TheLastRequestStays,
    ],
)
def test_the_contract_finds_a_journal_that_breaks_it(
    kind: type[MemoryJournal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(min(seconds, 0.001)))

    class Contract(TestMemoryJournal):
        def make_journal(self, lease: float) -> Journal:
            return kind(lease, self.kept, self.lock)

    assert fails(Contract())


def test_the_contract_finds_a_journal_whose_steps_are_not_atomic() -> None:
    class Contract(TestMemoryJournal):
        def make_journal(self, lease: float) -> Journal:
            return MemoryJournal(lease, self.kept, WithoutALock())

        def setup_method(self) -> None:
            super().setup_method()
            self.kept = Pausing()

    assert {name for name in fails(Contract()) if "at_once" in name} == {
        "test_one_of_those_who_claim_at_once_may_send",
        "test_one_of_those_who_claim_a_silent_start_at_once_takes_it_over",
    }
