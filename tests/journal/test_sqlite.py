"""The journal in a SQLite file: what can be wrong with the file, the disk and the clock."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from journal.clocks import DuringNow, ManualClock
from processmaker import ConfigurationError, JournalError
from processmaker.journal import DEFAULT_LEASE, Entry, KeyedStart, RedisJournal, SQLiteJournal
from processmaker.journal import sqlite as _sqlite

START = KeyedStart("https://pm.example.com", 2, "order-1234")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "starts.db"


@pytest.fixture
def journal(path: Path) -> Iterator[SQLiteJournal]:
    with SQLiteJournal(path, busy_timeout=0.05) as journal:
        yield journal


def refused(path: Any) -> JournalError:
    with pytest.raises(JournalError) as error:
        SQLiteJournal(path, busy_timeout=0.05)
    assert str(path) in str(error.value)
    assert (error.value.journal, error.value.processed) == (str(path), False)
    return error.value


def test_a_read_does_not_wait_for_a_writer(path: Path, journal: SQLiteJournal) -> None:
    assert reserve(journal, "ada").mine
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        entry = journal.read(START)
        assert entry is not None
        assert entry.owner == "ada"
        with pytest.raises(JournalError, match="locked"):
            journal.sending(START, "ada")


@contextmanager
def hard_link(path: Path) -> Iterator[Path]:
    other = path.with_name("another name.db")
    other.hardlink_to(path)
    yield other
    other.unlink()


def test_a_file_with_two_names_is_refused(path: Path, journal: SQLiteJournal) -> None:
    """Under each name SQLite would keep a write-ahead log of its own, and a key would be started twice."""
    assert reserve(journal, "ada").mine
    with hard_link(path) as other:
        for name in (path, other):
            error = refused(name)
            assert "has 2 names (hard links)" in str(error)
            assert not error.transient
        with pytest.raises(JournalError, match="remove the other names"):
            journal.sending(START, "ada")
    assert journal.sending(START, "ada")


def reserve(journal: SQLiteJournal, owner: str) -> Entry:
    (entry,) = journal.reserve([(START, owner)])
    return entry


def executed(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for statement in statements:
            db.execute(statement)


# --- settings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lease", [0, -1, float("nan"), float("inf"), True, "90", None])
def test_a_lease_is_a_number_of_seconds(path: Path, journal: SQLiteJournal, lease: Any) -> None:
    for attempt in (
        lambda: SQLiteJournal(path, lease=lease),
        lambda: RedisJournal.from_url("redis://localhost", lease=lease),
        lambda: setattr(journal, "lease", lease),
    ):
        with pytest.raises(ConfigurationError, match=r"lease=.* is not a number of seconds above 0; .* such as 90"):
            attempt()
    assert journal.lease == DEFAULT_LEASE == 90.0


@pytest.mark.parametrize("busy_timeout", [-1, float("nan"), "1", None])
def test_a_busy_timeout_is_a_number_of_seconds(path: Path, busy_timeout: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"busy_timeout=.* is not a number of seconds"):
        SQLiteJournal(path, busy_timeout=busy_timeout)


@pytest.mark.parametrize("age", [-1, 90, None])
def test_an_age_is_a_length_of_time(journal: SQLiteJournal, age: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"older_than=.* is not a length of time"):
        journal.prune(age)


@pytest.mark.parametrize("name", [":memory:", "", b""])
def test_what_is_not_shared_and_does_not_last_is_no_journal(name: Any) -> None:
    with pytest.raises(ConfigurationError, match="it is shared by processes, and lasts; give the path of a file"):
        SQLiteJournal(name)


def test_a_path_comes_in_every_form_and_stays_the_same_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    journals = [SQLiteJournal(name) for name in (path, str(path), os.fsencode(path), "starts.db")]
    monkeypatch.chdir("/")
    assert [reserve(journal, str(n)).mine for n, journal in enumerate(journals)] == [True, False, False, False]
    for journal in journals:
        journal.close()
    assert list(path.parent.iterdir()) == [path]


# --- the file -------------------------------------------------------------------------------------------------------


def test_steps_are_written_through_to_the_disk_before_they_return(journal: SQLiteJournal) -> None:
    db = journal._open()
    assert db.execute("PRAGMA journal_mode").fetchall() == [("wal",)]
    assert db.execute("PRAGMA synchronous").fetchall() == [(2,)]  # FULL


def test_the_file_is_for_its_user_alone(path: Path, journal: SQLiteJournal) -> None:
    reserve(journal, "ada")
    modes = {file.name: oct(stat.S_IMODE(file.stat().st_mode)) for file in path.parent.iterdir()}
    assert modes == {"starts.db": "0o600", "starts.db-wal": "0o600", "starts.db-shm": "0o600"}


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    error = refused(tmp_path / "none" / "starts.db")
    assert "its folder has to be there" in str(error)
    assert not error.transient


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert "unable to open database file" in str(refused(tmp_path))


def test_a_file_that_is_no_database_is_left_alone(path: Path) -> None:
    path.write_bytes(b"order-1234,17\n" * 100)
    error = refused(path)
    assert "file is not a database" in str(error)
    assert not error.transient
    assert path.read_bytes() == b"order-1234,17\n" * 100


def test_the_database_of_another_application_is_left_alone(path: Path) -> None:
    executed(path, "CREATE TABLE orders (id INTEGER)")
    before = path.read_bytes()
    error = refused(path)
    assert "the database of another application; give a path of its own" in str(error)
    assert not error.transient
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_the_file_of_a_later_version_is_left_alone(path: Path) -> None:
    SQLiteJournal(path).close()
    executed(path, "PRAGMA user_version = 3")
    error = refused(path)
    assert "made by a later version of processmaker-client" in str(error)
    assert not error.transient


def test_a_damaged_file_says_so(path: Path) -> None:
    with SQLiteJournal(path) as journal:
        journal.reserve([(KeyedStart("https://pm.example.com", 2, f"order-{n}"), "ada") for n in range(200)])
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    with SQLiteJournal(path) as journal, pytest.raises(JournalError, match="malformed") as error:
        reserve(journal, "ada")
    assert not error.value.transient


def test_an_empty_file_becomes_a_journal(path: Path) -> None:
    """As one that was made just before a power failure."""
    path.touch()
    with SQLiteJournal(path) as journal:
        assert reserve(journal, "ada").mine


@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_was_removed_is_missed(path: Path, journal: SQLiteJournal, replaced: bool) -> None:
    """Other processes would not find what is written to it."""
    reserve(journal, "ada")
    path.rename(path.with_name("moved.db"))
    if replaced:
        SQLiteJournal(path).close()
    for _ in range(2):
        with pytest.raises(JournalError, match="was removed or replaced while it was in use") as error:
            journal.started(START, "ada", 17)
        assert not error.value.transient


@contextmanager
def without_privileges() -> Iterator[None]:
    """For root, to whom permissions do not apply."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that anybody can reach."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)
        Path(name).chmod(0o755)


@pytest.mark.skipif(os.name != "posix", reason="permissions as POSIX has them")
@pytest.mark.parametrize("there", [False, True])
def test_a_folder_that_cannot_be_written_says_so(folder: Path, there: bool) -> None:
    if there:
        SQLiteJournal(folder / "starts.db").close()
        (folder / "starts.db").chmod(0o444)
    folder.chmod(0o555)
    with without_privileges():
        error = refused(folder / "starts.db")
    assert "both writable for this user" in str(error)
    assert not error.transient


# --- a file of 0.1.0 ------------------------------------------------------------------------------------------------

OLD_TABLES = """
CREATE TABLE starts (server TEXT NOT NULL, process_id INTEGER NOT NULL, key TEXT NOT NULL, owner TEXT NOT NULL,
since REAL NOT NULL, taken_over INTEGER NOT NULL, request_id INTEGER, PRIMARY KEY (server, process_id, key)
) WITHOUT ROWID;
CREATE INDEX being_sent ON starts (since) WHERE request_id IS NULL;
PRAGMA application_id = 0x504D4A31;
PRAGMA user_version = 1;
PRAGMA journal_mode = WAL;
"""


def make_old(path: Path, *rows: tuple[str, str, float, int, int | None]) -> None:
    """A file as 0.1.0 made it: key, owner, since, taken_over, request_id."""
    with closing(sqlite3.connect(path)) as db:
        db.executescript(OLD_TABLES)
        db.executemany("INSERT INTO starts VALUES ('https://pm.example.com', 2, ?, ?, ?, ?, ?)", rows)
        db.commit()


def test_a_file_of_0_1_0_is_migrated(path: Path) -> None:
    now = time.time()
    make_old(
        path,
        ("claimed", "ada", now - 30, 0, None),
        ("silent", "bob", now - 100, 0, None),
        ("taken over", "eve", now - 40, 1, None),
        ("started", "dan", now - 10_000, 0, 17),
    )
    with SQLiteJournal(path) as journal:
        entries = {entry.start.key: entry for entry in journal.entries(started=True)}
        assert {key: (entry.state, entry.owner, entry.request_id) for key, entry in entries.items()} == {
            "claimed": ("sending", "ada", None),
            "silent": ("sending", "bob", None),
            "taken over": ("sending", "eve", None),
            "started": ("started", "dan", 17),
        }
        assert [round(entries[key].age, -1) for key in ("claimed", "taken over", "started")] == [30, 40, 10_000]
        starts = [(KeyedStart("https://pm.example.com", 2, key), "fay") for key in entries]
        assert [entry.start.key for entry in journal.reserve(starts) if entry.mine] == ["silent"]
    with SQLiteJournal(path) as journal:  # once migrated it is opened as any other
        assert len(list(journal.entries(started=True))) == 4


def test_0_1_0_cannot_claim_in_a_migrated_file(path: Path) -> None:
    """Its claim fails, and it sends nothing after that."""
    make_old(path)
    with closing(sqlite3.connect(path)) as old:
        assert old.execute("SELECT * FROM starts").fetchall() == []
        SQLiteJournal(path).close()
        with pytest.raises(sqlite3.Error):
            old.execute("INSERT OR REPLACE INTO starts VALUES ('https://pm.example.com', 2, 'a', 'ada', 0, 0, NULL)")


def test_a_migration_that_fails_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_old(path, ("claimed", "ada", 0.0, 0, None))
    with monkeypatch.context() as patch:
        patch.setattr(_sqlite, "_MIGRATION", (*_sqlite._MIGRATION, "nonsense"))
        refused(path)
    with SQLiteJournal(path) as journal:
        assert [entry.state for entry in journal.entries()] == ["sending"]


# --- the disk and the lock ------------------------------------------------------------------------------------------


def test_a_locked_journal_may_be_free_later(path: Path, journal: SQLiteJournal) -> None:
    reserve(journal, "ada")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalError, match="database is locked") as error:
            journal.started(START, "ada", 17)
        assert error.value.transient
        # One who only looks does not wait for a writer.
        assert [entry.owner for entry in journal.entries()] == ["ada"]
        other.execute("ROLLBACK")
    journal.started(START, "ada", 17)
    assert reserve(journal, "bob").request_id == 17


def test_a_thread_does_not_wait_for_another_for_ever(journal: SQLiteJournal) -> None:
    inside, over = threading.Event(), threading.Event()

    def hold() -> None:
        inside.set()
        over.wait(60)

    clock, journal.clock = journal.clock, DuringNow(hold)
    thread = threading.Thread(target=lambda: reserve(journal, "ada"))
    thread.start()
    assert inside.wait(60)
    with pytest.raises(JournalError, match=r"another thread was using it for 0\.05 s") as error:
        reserve(journal, "bob")
    assert error.value.transient
    journal.clock = clock
    over.set()
    thread.join()
    assert journal.sending(START, "ada")


# --- signal handlers and finalizers ---------------------------------------------------------------------------------


class SoftTimeLimitExceeded(Exception):
    """As Celery's."""


@pytest.mark.parametrize("problem", [KeyboardInterrupt, SoftTimeLimitExceeded, TimeoutError])
def test_what_a_signal_handler_raises_comes_out_and_leaves_nothing(
    path: Path, journal: SQLiteJournal, problem: type[BaseException]
) -> None:
    def in_the_transaction() -> None:
        raise problem

    clock, journal.clock = journal.clock, DuringNow(in_the_transaction)
    with pytest.raises(problem):
        reserve(journal, "ada")
    journal.clock = clock
    with SQLiteJournal(path, busy_timeout=0.05) as other:
        assert reserve(other, "bob").mine


def test_what_a_signal_handler_raises_in_a_call_to_the_system_comes_out(
    path: Path, journal: SQLiteJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stat(*_: object, **__: object) -> None:
        raise TimeoutError("the job took too long")

    for attempt in (lambda: reserve(journal, "ada"), lambda: SQLiteJournal(path)):
        with monkeypatch.context() as patch:
            patch.setattr(Path, "stat", stat)
            with pytest.raises(TimeoutError, match="the job took too long"):
                attempt()
    assert reserve(journal, "bob").mine


def test_a_step_in_the_middle_of_a_step_of_the_same_thread_is_refused_at_once(journal: SQLiteJournal) -> None:
    refused: list[JournalError] = []

    def nested() -> None:
        with pytest.raises(JournalError, match="in the middle of a step of this thread") as error:
            reserve(journal, "bob")
        refused.append(error.value)

    journal.clock = DuringNow(nested)
    assert reserve(journal, "ada").mine
    assert {error.transient for error in refused} == {True}


@pytest.mark.proof
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timers")
def test_exceptions_from_a_signal_handler_at_random_moments_leave_nothing_locked(
    path: Path, journal: SQLiteJournal
) -> None:
    class Stop(BaseException):
        pass

    def stop(*_: object) -> None:
        raise Stop

    done: list[bool] = []
    interrupted, before = 0, signal.signal(signal.SIGALRM, stop)
    try:
        while len(done) < 300:
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.000_1 + 0.000_01 * interrupted)
                for _ in range(1000):  # one that is raised in a finalizer is lost
                    reserve(journal, "ada")
                    journal.sending(START, "ada")
                    journal.release(START, "ada")
                signal.setitimer(signal.ITIMER_REAL, 0)
            except Stop:
                interrupted += 1
            # Other threads and other processes are not blocked by what was left.
            thread = threading.Thread(target=lambda: done.append(journal.forget(START)))
            thread.start()
            thread.join()
            with SQLiteJournal(path, busy_timeout=0.05) as other:
                other.prune(timedelta(0))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert interrupted > 200


FILL = """
import resource, sys
from processmaker import JournalError
from processmaker.journal import KeyedStart, SQLiteJournal

path, journal = sys.argv[1], SQLiteJournal(sys.argv[1])
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
if len(sys.argv) > 2:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), hard))

def start(n):
    return KeyedStart("https://pm.example.com", 2, f"order-{n}")

said = 0
try:
    while said < 100_000:
        journal.reserve([(start(said), "ada" * 1000)])
        said += 1
except JournalError as error:
    print(error.transient, error)
assert [entry.mine for entry in journal.reserve([(start(n), "bob") for n in range(said)])] == [False] * said
assert said not in [int(entry.start.key[6:]) for entry in journal.entries()]
if len(sys.argv) > 2:
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
else:
    import os
    os.remove(path + ".ballast")
assert journal.reserve([(start(said), "eve")])[0].mine
print(said)
"""


def filled(*arguments: object) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", FILL, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.skipif(sys.platform == "win32", reason="limits as POSIX has them")
def test_a_limit_on_the_size_of_files_loses_nothing_that_was_said(path: Path) -> None:
    error, said = filled(path, 1_000_000)
    assert error.startswith(f"True the journal {path}: d")
    assert int(said) > 10


def test_a_full_disk_loses_nothing_that_was_said(path: Path) -> None:
    """A tiny disk; where none can be made, the limit on the size of files stands in for it."""
    folder = path.parent / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a full disk was not tried, only a limit on the size of files: only root can mount a tiny disk")
    try:
        (folder / "starts.db.ballast").write_bytes(b"x" * 500_000)
        error, said = filled(folder / "starts.db")
    finally:
        subprocess.run(["umount", str(folder)], check=True)
    assert error.startswith(f"True the journal {folder / 'starts.db'}: database or disk is full")
    assert int(said) > 10


# --- the clock ------------------------------------------------------------------------------------------------------


def test_a_lease_ends_when_it_has_passed_in_full(journal: SQLiteJournal) -> None:
    clock = journal.clock = ManualClock()
    reserve(journal, "ada")
    journal.sending(START, "ada")
    clock.passed += 90.0
    entry = reserve(journal, "bob")
    assert (entry.mine, entry.age) == (False, 90.0)
    clock.passed += 0.5
    entry = reserve(journal, "bob")
    assert (entry.mine, entry.age) == (True, 0.0)


def test_a_waiting_caller_writes_only_once_after_the_clock_was_set_back(journal: SQLiteJournal) -> None:
    clock = journal.clock = ManualClock()
    reserve(journal, "ada")
    journal.sending(START, "ada")
    clock.passed -= 500_000
    changes = [journal._open().total_changes]
    for _ in range(3):
        assert not reserve(journal, "bob").mine
        changes.append(journal._open().total_changes)
    assert changes[1] > changes[0]
    assert changes[1:] == [changes[1]] * 3


# --- the end --------------------------------------------------------------------------------------------------------


def test_a_closed_journal_is_opened_again_by_the_next_step(path: Path) -> None:
    with SQLiteJournal(path) as journal:
        reserve(journal, "ada")
    assert list(path.parent.iterdir()) == [path]
    journal.close()
    assert reserve(journal, "bob").owner == "ada"
    journal.close()
    assert list(path.parent.iterdir()) == [path]
    path.unlink()
    with pytest.raises(JournalError, match="was removed or replaced"):
        reserve(journal, "ada")


def test_closing_in_the_middle_of_a_step_of_the_same_thread_does_not_wait(journal: SQLiteJournal) -> None:
    clock, journal.clock = journal.clock, DuringNow(journal.close)
    assert reserve(journal, "ada").mine
    journal.clock = clock
    assert journal.sending(START, "ada")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_has_no_connection_of_its_parent(journal: SQLiteJournal) -> None:
    """SQLite keeps its locks per process, so that one from before a fork would damage the file."""
    assert reserve(journal, "ada").mine
    pid = os.fork()
    if not pid:
        os._exit(0 if journal._connection is None else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert journal.sending(START, "ada")


def test_a_journal_that_is_not_closed_does_not_complain(path: Path) -> None:
    program = "import sys; from processmaker import SQLiteJournal; journal = SQLiteJournal(sys.argv[1])"
    for end in (
        "",
        "; del journal",
        "; import gc; journal = [journal]; journal.append(journal); del journal; gc.collect()",
    ):
        done = subprocess.run(
            [sys.executable, "-X", "dev", "-W", "error", "-c", program + end, str(path)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")


MAKE = "import sys; from processmaker import SQLiteJournal; SQLiteJournal(sys.argv[1])"


def test_a_file_that_another_process_is_making_at_the_same_moment_is_no_other_applications(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between any two looks into the new file the other one may have made its tables."""
    connect = sqlite3.connect

    class Overtaken:
        """A connection whose file is completed by another journal after so many of its looks."""

        looks = 0

        def __init__(self, *args: Any, **options: Any) -> None:
            self._db = connect(*args, **options)

        def execute(self, words: str, *values: Any) -> Any:
            result = self._db.execute(words, *values)
            rows = result.fetchall()
            Overtaken.looks -= 1
            if Overtaken.looks == 0:
                monkeypatch.setattr(sqlite3, "connect", connect)
                subprocess.run([sys.executable, "-c", MAKE, str(path)], check=True)
            return SimpleNamespace(fetchall=lambda: rows, rowcount=result.rowcount)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._db, name)

    for after in (1, 2, 3):
        for left in path.parent.glob(f"{path.name}*"):
            left.unlink()
        Overtaken.looks = after
        monkeypatch.setattr(sqlite3, "connect", Overtaken)
        with SQLiteJournal(path) as journal:
            assert reserve(journal, "ada").mine
