"""Once, for everyone: processes that start the same keys at the same time, are killed, and are started again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from processmaker.sandbox import Sandbox
from redis_server import RedisServer

pytestmark = pytest.mark.proof

CALLERS = 4


class Crowd:
    """Callers in processes of their own, each of which starts all keys; see callers.py.

    Args:
        sandbox, url: the server.
        journal: what they share, as callers.py takes it.
        keys: what each of them starts.
    """

    def __init__(self, sandbox: Sandbox, url: str, journal: str, keys: list[str]) -> None:
        self._arguments = [url, sandbox.token(), journal]
        self._keys = keys
        self.told: dict[str, list[int]] = defaultdict(list)
        """What callers were told, by key, whether they lived to the end or not."""
        self._left = [set(keys) for _ in range(CALLERS)]
        self._running: list[subprocess.Popen[str] | None] = [None] * CALLERS
        self.killed = 0

    def run(self, *, kills: int) -> None:
        """Until every caller was told of every key; so many of them are killed at random moments and started again."""
        chance = random.Random(1)
        try:
            for number in range(CALLERS):
                self._begin(number)
            while any(self._left):
                time.sleep(chance.uniform(0.3, 0.9))
                for number, caller in enumerate(self._running):
                    if caller and caller.poll() is not None:
                        assert self._end(number) == 0
                victim = chance.randrange(CALLERS)
                if self.killed < kills and (caller := self._running[victim]):
                    caller.send_signal(signal.SIGKILL)
                    self.killed += self._end(victim) == -signal.SIGKILL
                    if self._left[victim]:
                        self._begin(victim)
        finally:
            for caller in self._running:
                if caller:
                    caller.kill()
                    caller.communicate()

    def _begin(self, number: int) -> None:
        keys = [key for key in self._keys if key in self._left[number]]
        self._running[number] = subprocess.Popen(
            [sys.executable, str(Path(__file__).parents[1] / "callers.py"), *self._arguments, *keys],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONWARNINGS": "error"},
        )

    def _end(self, number: int) -> int:
        caller = self._running[number]
        assert caller
        said, _ = caller.communicate(timeout=60)
        self._running[number] = None
        for line in said.splitlines():
            key, request_id = line.split()
            self.told[key].append(int(request_id))
            self._left[number].discard(key)
        return caller.returncode


def made(sandbox: Sandbox) -> Counter[str]:
    return Counter(str(request.data["_idempotency_key"]) for request in sandbox.requests)


def busy(sandbox: Sandbox) -> None:
    """A server that takes its time over a start, behind a network that loses answers."""
    sandbox.start_takes = 0.1
    kinds = ["answer lost", "reset", "lost before", "502 after", "503 after", 503, 502, 429, "truncated"]
    sandbox.misbehave(rate=0.15, kinds=kinds, retry_after=None, seed=7)  # type: ignore[arg-type]


@pytest.fixture(params=["sqlite", "redis"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "starts.db")
    server: RedisServer = request.getfixturevalue("redis_server")
    return server.url


def test_keys_that_killed_processes_start_at_the_same_time_are_started_once(journal: str) -> None:
    sandbox, keys = Sandbox(), [f"order-{number}" for number in range(200)]
    busy(sandbox)
    with sandbox.serve() as url:
        crowd = Crowd(sandbox, url, journal, keys)
        crowd.run(kills=12)
    assert crowd.killed
    assert made(sandbox) == Counter(keys)
    ids = {str(request.data["_idempotency_key"]): request.id for request in sandbox.requests}
    assert {key: set(told) for key, told in crowd.told.items()} == {key: {ids[key]} for key in keys}
    assert all(len(told) >= CALLERS for told in crowd.told.values())


def test_without_a_journal_such_callers_start_twice() -> None:
    """So that the test above shows something: each caller looks while the first one's starts are not listed yet."""
    sandbox, keys = Sandbox(start_takes=2), [f"order-{number}" for number in range(8)]
    with sandbox.serve() as url:
        Crowd(sandbox, url, "none", keys).run(kills=0)
    assert max(made(sandbox).values()) > 1
