"""Every journal passes the same tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from journal.clocks import ManualClock
from journal.contract import LEASE, JournalContract
from memory_journal import AsyncOver
from processmaker.journal import MemoryJournal, RedisJournal, SQLiteJournal
from redis_server import make_older


class WithAClock(JournalContract):
    def setup_method(self) -> None:
        super().setup_method()
        self.clock = ManualClock()

    def pass_time(self, seconds: float) -> None:
        self.clock.passed += seconds


class TestMemoryJournal(WithAClock):
    def setup_method(self) -> None:
        super().setup_method()
        self.memory = MemoryJournal(lease=LEASE)
        self.memory.clock = self.clock

    def make_journal(self) -> Any:
        return self.memory


class TestAsyncJournal(TestMemoryJournal):
    def make_journal(self) -> Any:
        return AsyncOver(self.memory)


class TestSQLiteJournal(WithAClock):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.path = tmp_path / "starts.db"

    def make_journal(self) -> Any:
        journal = SQLiteJournal(self.path, lease=LEASE)
        journal.clock = self.clock
        return journal


class TestRedisJournal(JournalContract):
    @pytest.fixture(autouse=True)
    def _shared_server(self, redis_at: str) -> None:
        self.url = redis_at

    def make_journal(self) -> Any:
        return RedisJournal.from_url(self.url, lease=LEASE)

    def pass_time(self, seconds: float) -> None:
        make_older(self.url, seconds)
