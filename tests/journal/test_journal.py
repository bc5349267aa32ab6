"""Journals of starts: every one passes the same tests; here those of the package, and two such as users write."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from memory_journal import AsyncMemoryJournal, MemoryJournal
from processmaker.journal import AsyncJournal, Entry, Journal, KeyedStart, RedisJournal, SQLiteJournal
from processmaker.journal.contract import JournalContract
from redis_server import RedisServer

sleep = time.sleep


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


MINE = """
from processmaker import SQLiteJournal
from processmaker.journal.contract import JournalContract

class TestMyJournal(JournalContract):
    def make_journal(self, lease):
        return SQLiteJournal("starts.db", lease=lease)
"""


def test_users_run_the_contract_on_a_journal_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(MINE)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-W", "error", "-k", "claim", "test_mine.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    tests = [name for name in vars(JournalContract) if name.startswith("test_") and "claim" in name]
    assert f"{len(tests)} passed" in done.stdout
