"""The journal in a SQLite file: what can be wrong with the file, the disk and the clock."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from processmaker import ConfigurationError, JournalError
from processmaker.clock import Clock
from processmaker.journal import DEFAULT_LEASE, KeyedStart, RedisJournal, SQLiteJournal
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


@pytest.mark.parametrize("name", [":memory:", "", "a\0b", b""])
def test_what_is_not_shared_and_does_not_last_is_no_journal(name: Any) -> None:
    with pytest.raises(ConfigurationError, match="it is shared by processes, and lasts; give the path of a file"):
        SQLiteJournal(name)


@pytest.mark.parametrize("name", [3, None, ["a"]])
def test_a_path_is_a_text_or_a_path(name: Any) -> None:
    with pytest.raises(ConfigurationError, match="is a str, bytes or a path, not"):
        SQLiteJournal(name)


def test_a_path_comes_in_every_form_and_stays_the_same_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    journals = [SQLiteJournal(name) for name in (path, str(path), os.fsencode(path), "starts.db")]
    monkeypatch.chdir("/")
    assert [journal.claim(START, str(n)).mine for n, journal in enumerate(journals)] == [True, False, False, False]
    for journal in journals:
        journal.close()
    assert list(path.parent.iterdir()) == [path]


# --- the file -------------------------------------------------------------------------------------------------------


def test_steps_are_written_through_to_the_disk_before_they_return(journal: SQLiteJournal) -> None:
    db = journal._open()
    assert db.execute("PRAGMA journal_mode").fetchall() == [("wal",)]
    assert db.execute("PRAGMA synchronous").fetchall() == [(2,)]  # FULL


def test_the_file_is_for_its_user_alone(path: Path, journal: SQLiteJournal) -> None:
    journal.claim(START, "ada")
    modes = {file.name: oct(stat.S_IMODE(file.stat().st_mode)) for file in path.parent.iterdir()}
    assert modes == {"starts.db": "0o600", "starts.db-wal": "0o600", "starts.db-shm": "0o600"}


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    error = refused(tmp_path / "none" / "starts.db")
    assert "its folder is not there" in str(error)
    assert not error.transient


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert "it is a folder" in str(refused(tmp_path))


def test_a_file_that_is_no_database_is_left_alone(path: Path) -> None:
    path.write_bytes(b"order-1234,17\n" * 100)
    error = refused(path)
    assert "is no SQLite database; give another path" in str(error)
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
    executed(path, "PRAGMA user_version = 2")
    error = refused(path)
    assert "made by a later version of processmaker-client" in str(error)
    assert not error.transient


def test_a_damaged_file_says_so(path: Path) -> None:
    with SQLiteJournal(path) as journal:
        for n in range(200):
            journal.started(KeyedStart("https://pm.example.com", 2, f"order-{n}"), "ada", n)
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    with SQLiteJournal(path) as journal, pytest.raises(JournalError, match="the file is damaged") as error:
        journal.claim(START, "ada")
    assert not error.value.transient


def test_an_empty_file_becomes_a_journal(path: Path) -> None:
    """As one that was made just before a power failure."""
    path.touch()
    with SQLiteJournal(path) as journal:
        assert journal.claim(START, "ada").mine


@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_was_removed_is_missed(path: Path, journal: SQLiteJournal, replaced: bool) -> None:
    """Other processes would not find what is written to it."""
    journal.claim(START, "ada")
    path.rename(path.with_name("moved.db"))
    if replaced:
        SQLiteJournal(path).close()
    for _ in range(2):
        with pytest.raises(JournalError, match="was replaced while" if replaced else "was removed while") as error:
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
    assert "have to be writable for this user" in str(error)
    assert not error.transient


MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:26 / {share} rw,relatime shared:9 - nfs4 files.example.com:/ rw,vers=4.2
31 30 254:1 / {share}/disk rw,relatime - xfs /dev/vdb rw
"""


def test_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    share = tmp_path / "a share"
    (share / "disk").mkdir(parents=True)
    monkeypatch.setattr(_sqlite, "_MOUNTS", tmp_path / "mounts")
    (tmp_path / "mounts").write_text(MOUNTS.format(share=str(share).replace(" ", r"\040")))
    error = refused(share / "starts.db")
    assert "on a network file system (nfs4)" in str(error)
    assert "RedisJournal" in str(error)
    SQLiteJournal(share / "disk" / "starts.db").close()
    SQLiteJournal(tmp_path / "a share of something.db").close()


# --- the disk and the lock ------------------------------------------------------------------------------------------


def test_a_locked_journal_may_be_free_later(path: Path, journal: SQLiteJournal) -> None:
    journal.claim(START, "ada")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalError, match="locked by another process, or thread") as error:
            journal.started(START, "ada", 17)
        assert error.value.transient
        # One who only asks does not wait for a writer.
        assert journal.claim(START, "bob").owner == "ada"
        other.execute("ROLLBACK")
    journal.started(START, "ada", 17)
    assert journal.claim(START, "bob").request_id == 17


def test_a_thread_does_not_wait_for_another_for_ever(journal: SQLiteJournal) -> None:
    held, over = threading.Event(), threading.Event()

    def hold() -> None:
        with journal._lock:
            held.set()
            over.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(60)
    with pytest.raises(JournalError, match="locked by another process, or thread") as error:
        journal.claim(START, "ada")
    assert error.value.transient
    over.set()
    thread.join()
    assert journal.claim(START, "ada").mine


def test_a_step_that_is_interrupted_leaves_nothing(journal: SQLiteJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(SQLiteJournal, "_claimed", interrupted)
        with pytest.raises(KeyboardInterrupt):
            journal.claim(START, "ada")
    assert journal.claim(START, "bob").mine


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
        journal.claim(start(said), "ada" * 1000)
        said += 1
except JournalError as error:
    print(error.transient, error)
assert [entry.mine for entry in map(lambda n: journal.claim(start(n), "bob"), range(said))] == [False] * said
assert said not in [int(entry.start.key[6:]) for entry in journal.entries()]
if len(sys.argv) > 2:
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
else:
    import os
    os.remove(path + ".ballast")
assert journal.claim(start(said), "eve").mine
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
    assert error.startswith(f"True the SQLite journal {path}: the disk ")
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
    assert error.startswith(f"True the SQLite journal {folder / 'starts.db'}: the disk is full; make room")
    assert int(said) > 10


# --- the clock ------------------------------------------------------------------------------------------------------


@pytest.fixture
def clock(journal: SQLiteJournal) -> list[float]:
    now = [1_000_000.0]

    class At(Clock):
        def now(self) -> datetime:
            return datetime.fromtimestamp(now[0], UTC)

    journal.clock = At()
    return now


def test_a_lease_ends_when_it_has_passed_in_full(journal: SQLiteJournal, clock: list[float]) -> None:
    journal.claim(START, "ada")
    clock[0] += 90.0
    entry = journal.claim(START, "bob")
    assert (entry.mine, entry.silent_for) == (False, 90.0)
    clock[0] += 0.5
    entry = journal.claim(START, "bob")
    assert (entry.mine, entry.taken_over, entry.silent_for) == (True, True, 0.0)


def test_a_clock_that_was_set_back_neither_ends_a_lease_nor_keeps_it_for_ever(
    journal: SQLiteJournal, clock: list[float]
) -> None:
    journal.claim(START, "ada")
    clock[0] -= 500_000
    assert [entry.silent_for for entry in journal.entries()] == [0.0]
    entry = journal.claim(START, "bob")
    assert (entry.owner, entry.mine, entry.silent_for) == ("ada", False, 0.0)
    clock[0] += 89
    assert not journal.claim(START, "bob").mine
    clock[0] += 2
    assert journal.claim(START, "bob").taken_over


# --- the end --------------------------------------------------------------------------------------------------------


def test_a_closed_journal_says_so(path: Path) -> None:
    with SQLiteJournal(path) as journal:
        journal.claim(START, "ada")
    journal.close()
    with pytest.raises(ConfigurationError, match="is closed; make a new one"):
        journal.claim(START, "ada")


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
                SQLiteJournal(path).close()
            return SimpleNamespace(fetchall=lambda: rows, rowcount=result.rowcount)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._db, name)

    for after in (1, 2, 3):
        for left in path.parent.glob(f"{path.name}*"):
            left.unlink()
        Overtaken.looks = after
        monkeypatch.setattr(sqlite3, "connect", Overtaken)
        with SQLiteJournal(path) as journal:
            assert journal.claim(KeyedStart("https://pm.example.com", 4, "k"), "ada").mine
