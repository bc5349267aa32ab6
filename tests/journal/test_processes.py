"""Journals between real processes: who reserves at once, who is killed with SIGKILL, who forks.

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
from contextlib import closing
from pathlib import Path

import pytest
from journal.test_sqlite import make_old
from processmaker.journal import KeyedStart, RedisJournal, SQLiteJournal
from redis_server import RedisServer, make_older, redis_servers

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

RESERVE_ALL = """
name, lease, keys = sys.argv[2], float(sys.argv[3]), [f"order-{n}" for n in range(int(sys.argv[4]))]
random.shuffle(keys)
say("ready")
sys.stdin.readline()
journal = opened(where, lease)
half = len(keys) // 2
entries = [entry for key in keys[:half] for entry in journal.reserve([(start(key), name)])]
entries += journal.reserve([(start(key), name) for key in keys[half:]])
for entry in entries:
    if entry.mine:
        assert journal.sending(entry.start, name)
        say("mine", entry.start.key)
"""

WRITE = """
name, journal = sys.argv[2], opened(where)
for n in range(1_000_000):
    key = f"{name}-{n}"
    assert journal.reserve([(start(key), name)])[0].mine
    say("reserved", key, n)
    if n % 4 == 0:
        continue
    say("to be sent", key, n)
    assert journal.sending(start(key), name)
    say("sending", key, n)
    if n % 4 == 1:
        assert journal.started(start(key), name, n, fingerprint=f"2:{n}")
        say("started", key, n)
    elif n % 4 == 2:
        say("to be released", key, n)
        assert journal.release(start(key), name)
        say("released", key, n)
    elif n % 8 == 3:
        assert journal.unknown(start(key), name)
        say("unknown", key, n)
"""

FORK = """
journal = opened(where)
# Python's own locks, of modules that a first connection imports, do not bear a fork in the middle.
list(journal.entries())

def reserve(key, owner):
    return journal.reserve([(start(key), owner)])[0].mine

def keep_reserving(thread):
    for n in range(60):
        assert reserve(f"parent-{thread}-{n}", "parent")

threads = [threading.Thread(target=keep_reserving, args=(n,)) for n in range(3)]
for thread in threads:
    thread.start()
children = []
for child in range(6):
    pid = os.fork()
    if not pid:
        for n in range(10):
            assert reserve(f"child-{child}-{n}", f"child {child}")
        assert not reserve("child-0-0", "eve") if child == 0 else True
        if child % 2:
            os._exit(0)  # as multiprocessing's children end
        sys.exit(0)  # as a program's own children end, with all that is cleaned up then
    children.append(pid)
for thread in threads:
    thread.join()
assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 6
say(len(list(journal.entries())))
"""

DIE_AT = """
step, journal = sys.argv[2], opened(where, 90.0)
assert journal.reserve([(start("order-1234"), "ada"), (start("order-5678"), "ada")])[0].mine
if step != "reserved":
    assert journal.sending(start("order-1234"), "ada")
if step == "started":
    assert journal.started(start("order-1234"), "ada", 17, uuid="9f-1", fingerprint="2:1c30")
if step == "unknown":
    assert journal.unknown(start("order-1234"), "ada")
say("done")
sys.stdin.readline()
"""

OPEN_AT_ONCE = """
say("ready")
sys.stdin.readline()
for n in range(20):
    journal = opened(f"{where}-{n}")
    assert len(journal.reserve([(start("order-1234"), sys.argv[2])])) == 1
    journal.close()
"""


@pytest.fixture(params=["sqlite", *(f"redis {n}" for n in range(len(redis_servers()) or 1))])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A path, or a URL: nothing is there yet."""
    if request.param == "sqlite":
        yield str(tmp_path / "starts.db")
        return
    programs = redis_servers()
    with RedisServer(tmp_path, program=programs[int(request.param[6:])] if programs else None) as server:
        yield server.url


def journal_at(where: str, lease: float = 3600.0) -> SQLiteJournal | RedisJournal:
    if where.startswith("redis:"):
        return RedisJournal.from_url(where, lease=lease)
    return SQLiteJournal(where, lease=lease)


def pass_time(where: str, seconds: float) -> None:
    """Makes all entries older."""
    if where.startswith("redis:"):
        make_older(where, seconds)
        return
    with closing(sqlite3.connect(where)) as db:
        db.execute("UPDATE entries SET since = since - ?, before_since = before_since - ?", (seconds, seconds))
        db.commit()


def start(key: str) -> KeyedStart:
    return KeyedStart(SITE, 2, key)


def run(program: str, *arguments: object) -> subprocess.Popen[str]:
    # Python itself warns of a fork beside threads; that these journals bear it is what is tested.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", OPEN + program, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def begin(processes: list[subprocess.Popen[str]]) -> None:
    """Lets processes that are ready go on at the same moment."""
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()


def reserved_at_once(where: str, lease: float) -> list[tuple[str, str]]:
    """Process and key of everything that processes got which reserve all keys at once."""
    processes = [run(RESERVE_ALL, where, f"process {n}", lease, KEYS) for n in range(PROCESSES)]
    begin(processes)
    got = []
    for n, process in enumerate(processes):
        said, problem = process.communicate(timeout=120)
        assert process.returncode == 0, problem
        got += [(f"process {n}", line.split()[1]) for line in said.splitlines()]
    return got


@pytest.mark.proof
def test_of_the_processes_that_reserve_a_key_at_once_one_gets_it(where: str) -> None:
    got = reserved_at_once(where, 3600.0)
    assert Counter(key for _, key in got) == {f"order-{n}": 1 for n in range(KEYS)}
    with journal_at(where) as journal:
        assert {(entry.owner, entry.start.key, entry.state) for entry in journal.entries()} == {
            (name, key, "sending") for name, key in got
        }


@pytest.mark.proof
def test_of_the_processes_that_take_a_key_over_at_once_one_gets_it(where: str) -> None:
    starts = [(start(f"order-{n}"), "killed meanwhile") for n in range(KEYS)]
    with journal_at(where) as journal:
        journal.reserve(starts)
        for each, owner in starts:
            assert journal.sending(each, owner)
        pass_time(where, 3601)
        got = reserved_at_once(where, 3600.0)
        assert Counter(key for _, key in got) == {f"order-{n}": 1 for n in range(KEYS)}
        assert {(entry.owner, entry.start.key) for entry in journal.entries()} == set(got)


@pytest.mark.parametrize(
    ("step", "free_after"), [("reserved", 10), ("sending", 90), ("unknown", 90), ("started", None)]
)
def test_what_a_process_recorded_before_it_was_killed_counts(where: str, step: str, free_after: int | None) -> None:
    process = run(DIE_AT, where, step)
    assert process.stdout is not None
    assert process.stdout.readline() == "done\n"
    process.kill()
    process.communicate()

    with journal_at(where, 90.0) as journal:
        entry, reserved = journal.reserve([(start("order-1234"), "bob"), (start("order-5678"), "bob")])
        assert (entry.state, entry.owner, entry.mine) == (step, "ada", False)
        assert (reserved.state, reserved.owner, reserved.mine) == ("reserved", "ada", False)
        if free_after is None:
            assert (entry.request_id, entry.uuid, entry.fingerprint) == (17, "9f-1", "2:1c30")
            pass_time(where, 10_000)
            assert not journal.reserve([(start("order-1234"), "bob")])[0].mine
            return
        pass_time(where, free_after - 5)
        assert not journal.reserve([(start("order-1234"), "bob")])[0].mine
        pass_time(where, 6)
        assert journal.reserve([(start("order-1234"), "bob")])[0].mine


@pytest.mark.proof
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
            time.sleep(random.uniform(0.05, 0.2))
            writer.kill()
            writer.wait()
        said += [line.rsplit(maxsplit=2) for _, words in writers for line in words.read_text().splitlines()]
    with journal_at(where) as journal:
        entries = {entry.start.key: entry for entry in journal.entries(started=True)}
    last = {key: (what, int(n)) for what, key, n in said}
    assert {what for what, _ in last.values()} >= {"reserved", "sending", "started", "released", "unknown"}
    for key, (what, n) in last.items():
        entry = entries.pop(key, None)
        # The next step may have been taken, and its word not have come out.
        possible: dict[str, set[str | None]] = {
            "reserved": {"reserved"},
            "to be sent": {"reserved", "sending"},
            "sending": {"sending", "started", "unknown"},
            "started": {"started"},
            "to be released": {"sending", None},
            "released": {None},
            "unknown": {"unknown"},
        }
        assert (entry and entry.state) in possible[what], (what, entry)
        if entry is not None:
            assert key.startswith(f"{entry.owner}-")
            assert entry.start == start(key)
            if entry.state == "started":
                assert (entry.request_id, entry.fingerprint) == (n, f"2:{n}")
    # What is left was reserved, and its word did not come out: the last step of each writer at most.
    assert len(entries) <= 2 * KILLS
    assert {entry.state for entry in entries.values()} <= {"reserved"}
    if not where.startswith("redis:"):
        with closing(sqlite3.connect(where)) as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def open_at_once(path: Path) -> None:
    """Let several processes open files of that name at the same moment."""
    processes = [run(OPEN_AT_ONCE, path, f"process {n}") for n in range(PROCESSES)]
    begin(processes)
    for process in processes:
        _, problem = process.communicate(timeout=120)
        assert process.returncode == 0, problem


@pytest.mark.proof
def test_processes_may_make_a_file_at_the_same_moment(tmp_path: Path) -> None:
    open_at_once(tmp_path / "starts.db")
    for n in range(20):
        with SQLiteJournal(tmp_path / f"starts.db-{n}") as journal:
            assert len(list(journal.entries())) == 1


@pytest.mark.proof
def test_processes_may_migrate_a_file_at_the_same_moment(tmp_path: Path) -> None:
    for n in range(20):
        make_old(tmp_path / f"starts.db-{n}", ("order-1234", "ada", time.time(), 0, None))
    open_at_once(tmp_path / "starts.db")
    for n in range(20):
        with SQLiteJournal(tmp_path / f"starts.db-{n}") as journal:
            assert [(entry.state, entry.owner) for entry in journal.entries()] == [("sending", "ada")]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_journal_is_used_on_both_sides_of_a_fork(where: str) -> None:
    """Beside threads that are in the middle of a step."""
    said, problem = run(FORK, where).communicate(timeout=120)
    assert (said, problem) == (f"{3 * 60 + 6 * 10}\n", "")
