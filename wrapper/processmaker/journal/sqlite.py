"""A journal in one SQLite file: for the threads and processes of one machine."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakSet

from attrs import astuple

from ..clock import Clock, is_seconds
from ..errors import ConfigurationError, JournalError
from .lock import StepLock
from .protocol import DEFAULT_LEASE, Entry, KeyedStart
from .rows import Before, Change, Changed, Row, RowJournal

T = TypeVar("T")

_APPLICATION_ID = 0x504D4A31
"""PMJ1: what the file says of itself, so that no other application's database is written to."""

_VERSION = 2
"""Of the tables; kept in the file's user_version."""

_TABLES = (
    """
CREATE TABLE entries (
    server TEXT NOT NULL,
    process_id INTEGER NOT NULL,
    key TEXT NOT NULL,
    state TEXT NOT NULL,
    owner TEXT NOT NULL,
    since REAL NOT NULL,
    request_id INTEGER,
    uuid TEXT,
    fingerprint TEXT,
    before_state TEXT,
    before_owner TEXT,
    before_since REAL,
    PRIMARY KEY (server, process_id, key)
) WITHOUT ROWID
""",
    "CREATE INDEX open_entries ON entries (since) WHERE state != 'started'",
    f"PRAGMA application_id = {_APPLICATION_ID}",
    f"PRAGMA user_version = {_VERSION}",
)

# Version 1 is 0.1.0's. A claim of its may have been sent at any time since then. A 0.1.0 that still runs finds no table
# `starts` any more, and so sends nothing.
_MIGRATION = (
    """
INSERT INTO entries (server, process_id, key, state, owner, since, request_id)
SELECT server, process_id, key, iif(request_id IS NULL, 'sending', 'started'), owner, since, request_id FROM starts
""",
    "DROP TABLE starts",
)

_THIS = "server = ? AND process_id = ? AND key = ?"

_PERMISSIONS = "its folder has to be there, and both writable for this user, as SQLite keeps two more files beside it"

_DENIED = {sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}

# A quota and a limit on the size of files come as IOERR.
_PASSING = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOMEM,
}
"""SQLite's primary result codes after which the same step may work later."""


class SQLiteJournal(RowJournal):
    """A journal of starts in one SQLite file, for the threads and processes of one machine.

    Every step is one transaction with one commit, written through to the disk (WAL, synchronous=FULL): it holds after
    the process was killed, and after the power failed, as far as the disk keeps what it confirmed. So does a
    `reserve` of many starts: all of them are one transaction. One object may be shared by threads, and used after a
    fork: each process opens the file for itself.

    The file is made with mode 0600, and `-wal` and `-shm` files beside it; the three belong together. Give all callers
    the same path. A file with a second name (a hard link) is refused. To share it with a container, mount its folder: a
    mount of the file alone has a log of its own, and a key is started twice. For several users, give the file and its
    folder a common group and widen the file's mode. WAL does not work on network file systems; use `RedisJournal` for
    several machines.

    A file made by 0.1.0 is migrated when it is opened. Versions before 0.2.0 cannot use it afterwards.

    The time is the machine's. A clock that jumps forward shortens a lease by as much.
    """

    _connection: sqlite3.Connection | None = None

    def __init__(
        self, path: str | bytes | os.PathLike[str], *, lease: float = DEFAULT_LEASE, busy_timeout: float = 10.0
    ) -> None:
        """Open the file, or make it.

        Args:
            path: where it is, on a disk of this machine; its folder has to be there.
            lease: see `Journal.lease`.
            busy_timeout: seconds to wait for another process, or thread, that is writing.

        Raises:
            ConfigurationError: the path, lease or busy_timeout cannot work.
            JournalError: the file cannot be used: it cannot be written, is damaged, belongs to another application, or
                was made by a later version of this package.
        """
        name = os.fsdecode(path)
        if name in ("", ":memory:"):
            raise ConfigurationError(
                f"{name!r} cannot be a SQLite journal: it is shared by processes, and lasts; give the path of a file, "
                "or use MemoryJournal"
            )
        if not is_seconds(busy_timeout):
            raise ConfigurationError(f"busy_timeout={busy_timeout!r} is not a number of seconds from 0")
        self._path = Path(name).absolute()  # the same file after a change of folder, too
        super().__init__(str(self._path), lease)
        self.clock = Clock()
        """The journal's clock. Tests may set another one."""
        self._busy_timeout = float(busy_timeout)
        self._file: tuple[int, int] | None = None
        self._run(lambda _: None)

    # --- rows -------------------------------------------------------------------------------------------------------

    def _change(self, changes: dict[KeyedStart, Change]) -> tuple[float, dict[KeyedStart, Changed]]:
        def step(db: sqlite3.Connection) -> tuple[float, dict[KeyedStart, Changed]]:
            now, done = self._now(), {}
            for start, change in changes.items():
                before = _read(db, start)
                after, answer = change(before, now)
                if after is not before:
                    _write(db, start, after)
                done[start] = after, answer
            return now, done

        return self._run(step, "BEGIN IMMEDIATE")

    def read(self, start: KeyedStart) -> Entry | None:
        """See `Journal.read`. It does not wait for a writer: callers who wait for a key read it again and again."""
        now, row = self._run(lambda db: (self._now(), _read(db, start)))
        return self._entry(start, row, now) if row else None

    def _list(self, *, started: bool) -> tuple[float, list[tuple[KeyedStart, Row]]]:
        words = "SELECT * FROM entries" + ("" if started else " WHERE state != 'started'")
        return self._run(lambda db: (self._now(), [_row(values) for values in db.execute(words).fetchall()]))

    def _now(self) -> float:
        return self.clock.now().timestamp()

    # --- the file ---------------------------------------------------------------------------------------------------

    def _run(self, work: Callable[[sqlite3.Connection], T], begin: str = "BEGIN") -> T:
        """Return what `work` returns, in a transaction of its own, which is committed or leaves nothing."""
        return _lock.run(lambda: self._transact(work, begin), self._busy_timeout, self._error)

    def _transact(self, work: Callable[[sqlite3.Connection], T], begin: str) -> T:
        try:
            db = self._open()
            db.execute(begin)
            result = work(db)
            db.execute("COMMIT")
            return result
        except BaseException as problem:
            # A signal handler may have raised anywhere. Closing rolls back, and the next step opens the file again.
            self._disconnect()
            if isinstance(problem, sqlite3.Error):
                code = getattr(problem, "sqlite_errorcode", 0) & 0xFF
                why = f"{problem}; {_PERMISSIONS}" if code in _DENIED else str(problem)
                raise self._error(why, transient=code in _PASSING) from problem
            if isinstance(problem, OSError) and problem.errno:  # a signal handler's TimeoutError has no number
                raise self._error(f"{problem.strerror}; {_PERMISSIONS}") from problem
            raise

    def _open(self) -> sqlite3.Connection:
        """Return the connection of this process to the file."""
        if self._file is None:
            # Closing a file drops every lock that this process has on it, hence only if it is new.
            with suppress(FileExistsError):
                self._path.touch(mode=0o600, exist_ok=False)
            self._file = self._identity()
            _journals.add(self)
        elif self._file != self._identity():
            # Other processes would not find what is written to the file that was opened.
            raise self._error("the file was removed or replaced while it was in use; make a new SQLiteJournal")
        deadline = time.monotonic() + self._busy_timeout
        while self._connection is None:
            try:
                self._connection = self._connect()
            except sqlite3.OperationalError as problem:
                # SQLite itself does not wait if several processes turn a new file to WAL.
                if problem.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
        return self._connection

    def _identity(self) -> tuple[int, int] | None:
        with suppress(FileNotFoundError):
            status = self._path.stat()
            if status.st_nlink > 1 and self._path.is_file():  # a folder always has several
                raise self._error(
                    f"the file has {status.st_nlink} names (hard links), and under each SQLite keeps a write-ahead log "
                    "of its own; remove the other names, or give the path of another file"
                )
            return status.st_dev, status.st_ino
        return None

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, timeout=self._busy_timeout, isolation_level=None, check_same_thread=False)
        try:
            self._prepare(db)
        except BaseException:
            db.close()
            raise
        return db

    def _prepare(self, db: sqlite3.Connection) -> None:
        """Make sure that the file is ours, of our version, and written as it has to be."""
        # One statement, as another process may be making the tables.
        ((application, version, tables),) = db.execute(
            "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_master) "
            "FROM pragma_application_id, pragma_user_version"
        ).fetchall()
        if application != _APPLICATION_ID and (application or version or tables):
            raise self._error("it is the database of another application; give a path of its own")
        if version > _VERSION:
            raise self._error("it was made by a later version of processmaker-client; install that")
        ((mode,),) = db.execute("PRAGMA journal_mode = WAL").fetchall()
        if mode != "wal":
            raise self._error(f"SQLite cannot keep a write-ahead log there (journal_mode is {mode}); give another path")
        db.execute("PRAGMA synchronous = FULL")
        # On macOS fsync alone does not reach the disk.
        db.execute("PRAGMA fullfsync = ON")
        if version < _VERSION:
            db.execute("BEGIN IMMEDIATE")
            ((version,),) = db.execute("PRAGMA user_version").fetchall()  # another process may have been first
            if version < _VERSION:
                for statement in (*_TABLES, *(_MIGRATION if version == 1 else ())):
                    db.execute(statement)
            db.execute("COMMIT")

    def close(self) -> None:
        """Close the file, after the step that another thread is taking. A later step opens it again."""
        with suppress(JournalError):  # in the middle of a step: it is closed with the object
            _lock.run(self._disconnect, self._busy_timeout, self._error)

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def __del__(self) -> None:
        self._disconnect()


def _read(db: sqlite3.Connection, start: KeyedStart) -> Row | None:
    rows = db.execute(f"SELECT * FROM entries WHERE {_THIS}", astuple(start)).fetchall()
    return _row(rows[0])[1] if rows else None


def _row(values: tuple[Any, ...]) -> tuple[KeyedStart, Row]:
    state, owner, since, request_id, uuid, fingerprint, *before = values[3:]
    restored = Before(*before) if before[0] is not None else None
    return KeyedStart(*values[:3]), Row(state, owner, since, request_id, uuid, fingerprint, restored)


def _write(db: sqlite3.Connection, start: KeyedStart, row: Row | None) -> None:
    if row is None:
        db.execute(f"DELETE FROM entries WHERE {_THIS}", astuple(start))
        return
    before = astuple(row.before) if row.before else (None, None, None)
    columns = (*astuple(start), *astuple(row, recurse=False)[:-1], *before)
    db.execute(f"INSERT OR REPLACE INTO entries VALUES (?{', ?' * (len(columns) - 1)})", columns)


_lock = StepLock()
"""One for all files of this process, so that a fork waits for one lock."""

_journals: WeakSet[SQLiteJournal] = WeakSet()


def _before_fork() -> None:
    """Wait for the steps of other threads, and close the files: a child must neither use nor close its parent's
    connections, so there are none while a process forks."""
    _lock.hold()
    for journal in list(_journals):
        journal._disconnect()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_lock.let_go, after_in_child=_lock.let_go)
