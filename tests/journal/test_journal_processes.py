"""Journals between real processes: who claims at once, who is killed with SIGKILL, who forks.

The journal is a SQLite file, then a real redis-server.
"""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from processmaker.journal import Journal, KeyedStart, RedisJournal, SQLiteJournal
from redis_server import RedisServer

PROCESSES, KEYS, KILLS = 4, 50, 5

SITE = "https://pm.example.com"

OPEN = """
import os, random, sys, threading
from processmaker.journal import KeyedStart, RedisJournal, SQLiteJournal

def opened(where, lease=3600.0):
    if where.startswith("redis:"):
        return RedisJournal.from_url(where, lease=lease)
    return SQLiteJournal(where, lease=lease, busy_timeout=60)

def start(key):
    return KeyedStart("https://pm.example.com", 2, key)

def say(*words):  # in one piece, also when several write to the same pipe
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

where = sys.argv[1]
"""

CLAIM_ALL = """
name, lease, keys = sys.argv[2], float(sys.argv[3]), [f"order-{n}" for n in range(int(sys.argv[4]))]
random.shuffle(keys)
say("ready")
sys.stdin.readline()
journal = opened(where, lease)
for key in keys:
    entry = journal.claim(start(key), name)
    if entry.mine:
        say("mine", key, entry.taken_over)
"""

WRITE = """
name, journal = sys.argv[2], opened(where)
for n in range(1_000_000):
    key = f"{name}-{n}"
    journal.claim(start(key), name)
    say("claimed", key, n)
    if n % 3 == 1:
        journal.started(start(key), name, n)
        say("started", key, n)
    elif n % 3 == 2:
        say("releasing", key, n)
        journal.release(start(key), name)
        say("released", key, n)
"""

FORK = """
journal = opened(where)
# Python's own locks, of modules that a first connection imports, do not bear a fork in the middle.
list(journal.entries())

def keep_claiming(thread):
    for n in range(60):
        assert journal.claim(start(f"parent-{thread}-{n}"), "parent").mine

threads = [threading.Thread(target=keep_claiming, args=(n,)) for n in range(3)]
for thread in threads:
    thread.start()
children = []
for child in range(6):
    pid = os.fork()
    if not pid:
        for n in range(10):
            assert journal.claim(start(f"child-{child}-{n}"), f"child {child}").mine
        assert not journal.claim(start("child-0-0"), "eve").mine if child == 0 else True
        if child % 2:
            os._exit(0)  # as multiprocessing's children end
        sys.exit(0)  # as a program's own children end, with all that is cleaned up then
    children.append(pid)
for thread in threads:
    thread.join()
assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 6
assert not journal.claim(start("child-5-9"), "parent").mine
say(len(list(journal.entries())))
"""


@pytest.fixture(params=["sqlite", "redis"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A path, or a URL: nothing is there yet."""
    if request.param == "sqlite":
        yield str(tmp_path / "starts.db")
        return
    with RedisServer(tmp_path) as server:
        yield server.url


def journal_at(where: str, lease: float = 3600.0) -> Journal:
    if where.startswith("redis:"):
        return RedisJournal.from_url(where, lease=lease)
    return SQLiteJournal(where, lease=lease)


def close(journal: Journal) -> None:
    assert isinstance(journal, SQLiteJournal | RedisJournal)
    journal.close()


def start(key: str) -> KeyedStart:
    return KeyedStart(SITE, 2, key)


def run(program: str, *arguments: object) -> subprocess.Popen[str]:
    # Python itself warns of a fork beside threads; that these journals bear it is what is tested.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", OPEN + program, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def claimed_at_once(where: str, lease: float) -> list[tuple[str, str, str]]:
    """Process, key and whether it was taken over, for everything that processes got which claim all keys at once."""
    processes = [run(CLAIM_ALL, where, f"process {n}", lease, KEYS) for n in range(PROCESSES)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    got = []
    for n, process in enumerate(processes):
        said, problem = process.communicate()
        assert process.returncode == 0, problem
        got += [(f"process {n}", *line.split()[1:]) for line in said.splitlines()]
    return got  # type: ignore[return-value]


def test_of_the_processes_that_claim_a_key_at_once_one_gets_it(where: str) -> None:
    got = claimed_at_once(where, 3600.0)
    assert Counter(key for _, key, _ in got) == {f"order-{n}": 1 for n in range(KEYS)}
    assert {taken_over for _, _, taken_over in got} == {"False"}
    journal = journal_at(where)
    assert {(entry.owner, entry.start.key) for entry in journal.entries()} == {(name, key) for name, key, _ in got}
    close(journal)


def test_of_the_processes_that_take_a_key_over_at_once_one_gets_it(where: str) -> None:
    journal, lease = journal_at(where), 2.0
    for n in range(KEYS):
        journal.claim(start(f"order-{n}"), "killed meanwhile")
    while min(entry.silent_for for entry in journal.entries()) <= lease:
        time.sleep(0.05)
    # Those who get a key hold it for the long lease of the others.
    assert all(not journal.claim(start(f"order-{n}"), "eve").mine for n in range(KEYS))
    got = claimed_at_once(where, lease)
    assert {key for _, key, _ in got} == {f"order-{n}" for n in range(KEYS)}
    assert {taken_over for _, _, taken_over in got} == {"True"}
    # On a machine that stands still for the length of a lease a key may be taken over again, by another: then it is
    # the last one's. It is never two processes' at once.
    owners = {entry.start.key: entry.owner for entry in journal.entries()}
    assert all((owner, key, "True") in got for key, owner in owners.items())
    assert len(got) == KEYS
    close(journal)


def test_what_was_said_is_there_after_its_writer_was_killed(where: str, tmp_path: Path) -> None:
    """And nothing is half there: whatever the moment of the SIGKILL, the other writers go on."""
    said: list[list[str]] = []
    for kill in range(KILLS):
        writers = []
        for n in range(2):
            words = tmp_path / f"said-{kill}-{n}"
            with words.open("w") as file:
                command = [sys.executable, "-c", OPEN + WRITE, where, f"writer-{kill}-{n}"]
                writers.append((subprocess.Popen(command, stdout=file), words))
        for writer, words in writers:
            while not words.stat().st_size:
                assert writer.poll() is None
                time.sleep(0.005)
            time.sleep(random.uniform(0.01, 0.1))
            writer.kill()
            writer.wait()
        said += [line.split() for _, words in writers for line in words.read_text().splitlines()]
    journal = journal_at(where)
    entries = {entry.start.key: entry for entry in journal.entries(started=True)}
    last = {key: (what, int(n)) for what, key, n in said}
    assert Counter(what for what, _ in last.values()).keys() >= {"claimed", "started", "released"}
    for key, (what, n) in last.items():
        entry = entries.pop(key, None)
        if what == "started":
            assert entry is not None
            assert entry.request_id == n
        elif what == "claimed":  # the next step may have been done, and its word not have come out
            assert entry is not None
            assert entry.request_id in (None, n)
        elif what == "released":
            assert entry is None
        if entry is not None:
            assert key.startswith(f"{entry.owner}-")
            assert entry.start == start(key)
            assert not entry.taken_over
    # What is left was done, and its word did not come out: the last step of each writer at most.
    assert len(entries) <= 2 * KILLS
    assert {entry.request_id for entry in entries.values()} <= {None}
    close(journal)
    if not where.startswith("redis:"):
        with sqlite3.connect(where) as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        db.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_journal_is_used_on_both_sides_of_a_fork(where: str) -> None:
    """Beside threads that are in the middle of a step."""
    said, problem = run(FORK, where).communicate(timeout=120)
    assert (said, problem) == (f"{3 * 60 + 6 * 10}\n", "")
