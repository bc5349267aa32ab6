"""The journals agree: after the same steps, in any order, each says the same.

Those in memory and in SQLite share their transitions; the scripts of the one in Redis are written anew.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import timedelta
from operator import methodcaller
from pathlib import Path
from typing import Any

import pytest
from journal.clocks import ManualClock
from processmaker.journal import Entry, KeyedStart, MemoryJournal, RedisJournal, SQLiteJournal
from redis_server import make_older

LEASE = 90.0

STARTS = [KeyedStart("https://pm.example.com", 2, key) for key in ("a", "b")]
OWNERS = ("ada", "bob", "eve")
REQUESTS = (17, 18)

Step = Callable[[Any], object]


class Together:
    """The three journals, and a time that passes for all of them."""

    def __init__(self, path: Path, url: str) -> None:
        self.clock = ManualClock()
        self.memory, self.sqlite = MemoryJournal(lease=LEASE), SQLiteJournal(path, lease=LEASE)
        self.memory.clock = self.sqlite.clock = self.clock
        self.redis = RedisJournal.from_url(url, lease=LEASE)
        self._url = url

    def take(self, step: Step) -> tuple[Any, Any, Any]:
        return step(self.memory), step(self.sqlite), step(self.redis)

    def pass_time(self, seconds: float) -> None:
        self.clock.passed += seconds
        make_older(self._url, seconds)

    def clear(self) -> None:
        for start in STARTS:
            self.take(methodcaller("forget", start))

    def close(self) -> None:
        self.sqlite.close()
        self.redis.close()


@pytest.fixture
def together(tmp_path: Path, redis_at: str) -> Iterator[Together]:
    journals = Together(tmp_path / "starts.db", redis_at)
    yield journals
    journals.close()


def said(entry: Entry | None) -> object:
    """What has to be the same. The time that a test takes counts for Redis alone, so it is rounded."""
    if entry is None:
        return None
    values = (entry.request_id, entry.uuid, entry.fingerprint)
    return entry.start.key, entry.state, entry.owner, round(entry.age / 20), *values, entry.mine


def random_step(chance: random.Random, journal: MemoryJournal) -> tuple[str, Step]:
    start, owner, request_id = chance.choice(STARTS), chance.choice(OWNERS), chance.choice(REQUESTS)
    entry = journal.read(start)
    if entry and chance.random() < 0.6:  # else hardly any step would be its owner's
        owner, request_id = entry.owner, entry.request_id or request_id
    pairs = [(start, owner)] if chance.random() < 0.7 else [(each, chance.choice(OWNERS)) for each in STARTS]
    replace = request_id if chance.random() < 0.5 else None
    uuid = chance.choice([None, "9f-1"])
    steps: dict[str, tuple[int, Step]] = {
        f"reserve({pairs}, replace={replace})": (
            6,
            lambda journal: [said(entry) for entry in journal.reserve(pairs, replace=replace)],
        ),
        f"sending({start.key}, {owner})": (6, lambda journal: journal.sending(start, owner)),
        f"started({start.key}, {owner}, {request_id})": (
            3,
            lambda journal: journal.started(start, owner, request_id, uuid=uuid, fingerprint="2:1c30"),
        ),
        f"unknown({start.key}, {owner})": (5, lambda journal: journal.unknown(start, owner)),
        f"release({start.key}, {owner})": (3, lambda journal: journal.release(start, owner)),
        f"forget({start.key}, {request_id})": (1, lambda journal: journal.forget(start, request_id=request_id)),
    }
    ((name, (_, step)),) = chance.choices(list(steps.items()), [weight for weight, _ in steps.values()])
    return name, step


@pytest.mark.parametrize("seed", range(3))
def test_the_journals_agree_after_the_same_steps(together: Together, seed: int) -> None:
    chance = random.Random(seed)
    states: set[object] = set()
    for _ in range(10):
        history: list[str] = []
        together.clear()
        for _ in range(30):
            if chance.random() < 0.3:
                seconds = chance.choice([20, 40, 100, 100, -60])
                history.append(f"{seconds} s pass")
                together.pass_time(seconds)
                together.take(methodcaller("prune", timedelta(seconds=LEASE)))
            name, step = random_step(chance, together.memory)
            history.append(name)
            memory, sqlite, redis = together.take(step)
            assert memory == sqlite == redis, "\n".join(history)
            # The one in memory forgets what was started when its lease is over.
            together.take(methodcaller("prune", timedelta(seconds=LEASE)))
            for start in STARTS:
                memory, sqlite, redis = together.take(methodcaller("read", start))
                assert said(memory) == said(sqlite) == said(redis), "\n".join(history)
                states.add(memory and memory.state)
    assert states == {None, "reserved", "sending", "unknown", "started"}
