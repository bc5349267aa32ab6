"""A journal in one SQLite file: for the threads and processes of one machine."""

from __future__ import annotations

import errno
import os
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from weakref import WeakSet

from attrs import evolve

from ..clock import Clock, is_seconds
from ..errors import ConfigurationError, JournalError
from .protocol import DEFAULT_LEASE, Entry, KeyedStart, check_age, check_lease

T = TypeVar("T")

_APPLICATION_ID = 0x504D4A31
"""PMJ1: what the file says of itself, so that no other application's database is written to."""

_VERSION = 1
"""Of the tables; kept in the file's user_version."""

_TABLES = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS starts (
    server TEXT NOT NULL,
    process_id INTEGER NOT NULL,
    key TEXT NOT NULL,
    owner TEXT NOT NULL,
    since REAL NOT NULL,
    taken_over INTEGER NOT NULL,
    request_id INTEGER,
    PRIMARY KEY (server, process_id, key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS being_sent ON starts (since) WHERE request_id IS NULL;
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {_VERSION};
COMMIT;
"""

_THIS = "server = ? AND process_id = ? AND key = ?"

_NETWORK = {"9p2000.L", "afs", "beegfs", "ceph", "cifs", "gfs2", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2"}
_NETWORK |= {"smb2", "smb3", "smbfs"} | {f"fuse.{name}" for name in ("ceph", "glusterfs", "rclone", "s3fs", "sshfs")}
"""File systems that several machines share, as Linux names them."""

_MOUNTS = Path("/proc/self/mountinfo")

_PERMISSIONS = "the file and its folder have to be writable for this user, as SQLite keeps two more files beside it"

_LOCKED = "it was locked by another process, or thread, for longer than busy_timeout"

_REASONS: dict[int, tuple[str, bool]] = {
    sqlite3.SQLITE_BUSY: (_LOCKED, True),
    sqlite3.SQLITE_LOCKED: (_LOCKED, True),
    sqlite3.SQLITE_PROTOCOL: (_LOCKED, True),
    sqlite3.SQLITE_FULL: ("the disk is full; make room", True),
    # A quota and a limit on the size of files come as this, too.
    sqlite3.SQLITE_IOERR: ("the disk refused; is there room, a quota, a limit on the size of files, a fault?", True),
    sqlite3.SQLITE_NOMEM: ("out of memory", True),
    sqlite3.SQLITE_PERM: (_PERMISSIONS, False),
    sqlite3.SQLITE_READONLY: (_PERMISSIONS, False),
    sqlite3.SQLITE_CANTOPEN: (_PERMISSIONS, False),
    sqlite3.SQLITE_CORRUPT: ("the file is damaged; bring it back from a copy, or give another path", False),
    sqlite3.SQLITE_NOTADB: ("the file is no SQLite database; give another path", False),
}
"""For SQLite's primary result codes: what to say, and whether the same call may work later."""


class SQLiteJournal:
    """A journal of starts in one SQLite file, for the threads and processes of one machine.

    Every step is one transaction with one commit, written through to the disk (WAL, synchronous=FULL): what a step
    said holds after the process was killed, and after the power failed, as far as the disk keeps what it confirmed.
    One object may be shared by threads, and used after a fork: each process opens the file for itself.

    The file is made with mode 0600, and `-wal` and `-shm` files beside it; the three belong together. For several
    users, give the file and its folder a common group and widen the file's mode. The time is the machine's (or the
    sandbox's, with a client of one): a clock that jumps forward shortens a lease by as much.
    """

    def __init__(
        self, path: str | bytes | os.PathLike[str], *, lease: float = DEFAULT_LEASE, busy_timeout: float = 10.0
    ) -> None:
        """Opens the file, or makes it.

        Args:
            path: where it is, on a disk of this machine; its folder has to be there.
            lease: see `Journal.lease`.
            busy_timeout: seconds to wait for another process, or thread, that is writing.

        Raises:
            ConfigurationError: the path, lease or busy_timeout cannot work.
            JournalError: the file cannot be used: it cannot be written, is damaged, is another application's, or was
                made by a later version of this package.
        """
        self._connection: sqlite3.Connection | None = None
        self._closed = False
        self._lock = threading.RLock()
        self.lease = lease
        self.clock = Clock()
        """The machine's; that of a sandbox, where a client of one has this journal."""
        if not is_seconds(busy_timeout):
            raise ConfigurationError(f"busy_timeout={busy_timeout!r} is not a number of seconds from 0")
        self._busy_timeout = float(busy_timeout)
        self._path = _checked(path)
        self._file: tuple[int, int] | None = None
        with _forking:
            _journals.add(self)
        self._step(lambda _: None, writes=True)

    @property
    def lease(self) -> float:
        """See `Journal.lease`."""
        return self._lease

    @lease.setter
    def lease(self, lease: float) -> None:
        self._lease = check_lease(lease)

    def __repr__(self) -> str:
        return f"SQLiteJournal({str(self._path)!r}, lease={self._lease:g})"

    def _now(self) -> float:
        return self.clock.now().timestamp()

    # --- the steps --------------------------------------------------------------------------------------------------

    def claim(self, start: KeyedStart, owner: str) -> Entry:
        """See `Journal.claim`. A claim that changes nothing writes nothing, and waits for no writer."""

        def look(db: sqlite3.Connection) -> Entry | None:
            now = self._now()
            before = _read(db, start, now)
            return before if before and self._claimed(before, start, owner, now) is before else None

        def write(db: sqlite3.Connection) -> Entry:
            now = self._now()
            before = _read(db, start, now)
            after = self._claimed(before, start, owner, now)
            if after is not before:
                db.execute(
                    "INSERT OR REPLACE INTO starts VALUES (?, ?, ?, ?, ?, ?, NULL)",
                    (*_values(start), after.owner, now, after.taken_over),
                )
            return after

        return self._step(look) or self._step(write, writes=True)

    def _claimed(self, before: Entry | None, start: KeyedStart, owner: str, now: float) -> Entry:
        """What is there after a claim; `before` itself where nothing changes."""
        if before is None:
            return Entry(start=start, owner=owner, since=datetime.fromtimestamp(now, UTC), silent_for=0.0, mine=True)
        anew = evolve(before, since=datetime.fromtimestamp(now, UTC), silent_for=0.0)
        if before.request_id is not None:
            return before
        if before.owner == owner:
            return evolve(anew, mine=True)
        if before.silent_for > self._lease:
            return evolve(anew, owner=owner, taken_over=True, mine=True)
        # Since a time to come: the clock was set back, and its silence is counted from now on.
        return anew if before.silent_for < 0 else before

    def started(self, start: KeyedStart, owner: str, request_id: int) -> None:
        """See `Journal.started`."""

        def write(db: sqlite3.Connection) -> None:
            db.execute(
                "INSERT INTO starts VALUES (?, ?, ?, ?, ?, 0, ?) ON CONFLICT DO UPDATE SET owner = excluded.owner, "
                "since = excluded.since, request_id = excluded.request_id WHERE request_id IS NULL",
                (*_values(start), owner, self._now(), request_id),
            )

        self._step(write, writes=True)

    def release(self, start: KeyedStart, owner: str) -> None:
        """See `Journal.release`."""
        self._delete(f"{_THIS} AND owner = ? AND request_id IS NULL", (*_values(start), owner))

    def entries(self, *, started: bool = False) -> Iterator[Entry]:
        """See `Journal.entries`. They are read when this is called, as of one moment."""

        def look(db: sqlite3.Connection) -> list[Entry]:
            now, where = self._now(), "1" if started else "request_id IS NULL"
            found = [_entry(row, now) for row in db.execute(f"SELECT * FROM starts WHERE {where}").fetchall()]
            return [evolve(entry, silent_for=max(0.0, entry.silent_for)) for entry in found]

        return iter(self._step(look))

    def read(self, start: KeyedStart) -> Entry | None:
        """See `Journal.read`."""
        entry = self._step(lambda db: _read(db, start, self._now()))
        return entry and evolve(entry, silent_for=max(0.0, entry.silent_for))

    def forget(self, start: KeyedStart, *, request_id: int | None = None) -> bool:
        """See `Journal.forget`."""
        if request_id is None:
            return self._delete(_THIS, _values(start)) > 0
        return self._delete(f"{_THIS} AND request_id = ?", (*_values(start), request_id)) > 0

    def prune(self, older_than: timedelta) -> int:
        """See `Journal.prune`."""
        age = check_age("older_than", older_than).total_seconds()
        return self._delete("request_id IS NOT NULL AND since < ?", (self._now() - age,))

    def _delete(self, where: str, values: tuple[object, ...]) -> int:
        return self._step(lambda db: db.execute(f"DELETE FROM starts WHERE {where}", values).rowcount, writes=True)

    # --- the file ---------------------------------------------------------------------------------------------------

    def _step(self, work: Callable[[sqlite3.Connection], T], *, writes: bool = False) -> T:
        """What `work` returns; when it writes, in a transaction of its own, which is committed or leaves nothing."""
        if not self._lock.acquire(timeout=self._busy_timeout):
            raise self._error(_LOCKED, transient=True)
        try:
            db = self._open()
            try:
                if writes:
                    db.execute("BEGIN IMMEDIATE")
                result = work(db)
                if writes:
                    db.execute("COMMIT")
            except BaseException:
                try:
                    db.rollback()
                except sqlite3.Error:
                    self._disconnect()
                raise
            return result
        except sqlite3.Error as problem:
            raise self._sqlite_error(problem) from problem
        except OSError as problem:
            full = problem.errno in (errno.ENOSPC, errno.EDQUOT)
            why = f"{problem.strerror}; " + ("make room" if full else _PERMISSIONS)
            raise self._error(why, transient=full) from problem
        finally:
            self._lock.release()

    def _open(self) -> sqlite3.Connection:
        """The connection of this process to the file."""
        if self._closed:
            raise ConfigurationError(f"the SQLite journal {self._path} is closed; make a new one")
        self._check_file()
        deadline = time.monotonic() + self._busy_timeout
        while self._connection is None:
            try:
                self._connection = self._connect()
            except sqlite3.Error as problem:
                # SQLite itself does not wait where several turn a new file to WAL.
                if _code(problem) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        if not self._path.parent.is_dir():
            raise self._error("its folder is not there; make it first")
        if self._path.is_dir():
            raise self._error("it is a folder; give the path of a file")
        if network := _network(self._path):
            raise self._error(
                f"it is on a network file system ({network}), where SQLite's WAL does not work between machines; give "
                "a path on a disk of this machine, or use RedisJournal for many machines"
            )
        # Closing a file drops every lock that this process has on it: no other thread may be about to use it.
        with _making, suppress(FileExistsError):
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        db = sqlite3.connect(self._path, timeout=self._busy_timeout, isolation_level=None, check_same_thread=False)
        try:
            self._prepare(db)
            status = self._path.stat()
        except BaseException:
            db.close()
            raise
        self._file = status.st_dev, status.st_ino
        return db

    def _prepare(self, db: sqlite3.Connection) -> None:
        """Makes sure that the file is ours, of our version, and written as it has to be."""
        # In this order: another process may be making the tables, and says last whose they are.
        ((tables,),) = db.execute("SELECT count(*) FROM sqlite_master").fetchall()
        ((version,),) = db.execute("PRAGMA user_version").fetchall()
        ((application,),) = db.execute("PRAGMA application_id").fetchall()
        new = not application and not version and not tables
        if not new and application != _APPLICATION_ID:
            raise self._error("it is the database of another application; give a path of its own")
        if version > _VERSION:
            raise self._error("it was made by a later version of processmaker-client; install that")
        ((mode,),) = db.execute("PRAGMA journal_mode = WAL").fetchall()
        if mode != "wal":
            raise self._error(f"SQLite cannot keep a write-ahead log there (journal_mode is {mode}); give another path")
        db.execute("PRAGMA synchronous = FULL")
        # On macOS fsync alone does not reach the disk.
        db.execute("PRAGMA fullfsync = ON")
        if new:
            db.executescript(_TABLES)

    def _check_file(self) -> None:
        """Whether the path is still the file that was opened: in another one others would not find what this says."""
        if self._file is None:
            return
        try:
            status = self._path.stat()
        except FileNotFoundError:
            raise self._error("the file was removed while it was in use; make a new SQLiteJournal") from None
        if (status.st_dev, status.st_ino) != self._file:
            raise self._error("the file was replaced while it was in use; make a new SQLiteJournal")

    def _sqlite_error(self, problem: sqlite3.Error) -> JournalError:
        why, transient = _REASONS.get(_code(problem), ("SQLite failed", False))
        return self._error(f"{why} ({problem})", transient=transient)

    def _error(self, why: str, *, transient: bool = False) -> JournalError:
        return JournalError(f"the SQLite journal {self._path}: {why}", journal=str(self._path), transient=transient)

    def close(self) -> None:
        """Closes the file. Doing so twice is no error."""
        with self._lock:
            self._closed = True
            self._disconnect()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self._disconnect()


def _checked(path: str | bytes | os.PathLike[str]) -> Path:
    """The absolute path: it is to be the same file after a change of folder, too."""
    try:
        name = os.fsdecode(path)
    except TypeError:
        raise ConfigurationError(f"the path of a SQLite journal is a str, bytes or a path, not {path!r}") from None
    if not name or name == ":memory:" or "\0" in name:
        raise ConfigurationError(
            f"{name!r} cannot be a SQLite journal: it is shared by processes, and lasts; give the path of a file"
        )
    return Path(name).absolute()


def _network(path: Path) -> str | None:
    """The network file system that holds the path, as far as that can be told."""
    if str(path).startswith(("\\\\", "//")):
        return "a share"
    try:
        mounts = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:  # not Linux
        return None
    whole, longest, kind = os.path.realpath(path), -1, ""
    for mount in mounts:
        fields, _, more = mount.partition(" - ")
        # Blanks and backslashes are written as octal numbers.
        point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields.split()[4])
        if len(point) >= longest and (whole + "/").startswith(point.rstrip("/") + "/"):
            longest, kind = len(point), more.split()[0]
    return kind if kind in _NETWORK else None


def _values(start: KeyedStart) -> tuple[str, int, str]:
    return start.server, start.process_id, start.key


def _read(db: sqlite3.Connection, start: KeyedStart, now: float) -> Entry | None:
    rows = db.execute(f"SELECT * FROM starts WHERE {_THIS}", _values(start)).fetchall()
    return _entry(rows[0], now) if rows else None


def _entry(row: tuple[Any, ...], now: float) -> Entry:
    server, process_id, key, owner, since, taken_over, request_id = row
    return Entry(
        start=KeyedStart(server, process_id, key),
        owner=owner,
        request_id=request_id,
        since=datetime.fromtimestamp(since, UTC),
        silent_for=now - since,
        taken_over=bool(taken_over),
    )


def _code(problem: sqlite3.Error) -> int:
    """SQLite's primary result code; 0 where the error is the module's own."""
    return getattr(problem, "sqlite_errorcode", 0) & 0xFF


_journals: WeakSet[SQLiteJournal] = WeakSet()
_making = threading.Lock()
_forking = threading.RLock()
_held: list[SQLiteJournal] = []


def _before_fork() -> None:
    """A child must neither use nor close its parent's connections, so there are none while a process forks."""
    _forking.acquire()
    for journal in list(_journals):
        journal._lock.acquire()
        _held.append(journal)
        journal._disconnect()


def _after_fork() -> None:
    while _held:
        _held.pop()._lock.release()
    _forking.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
