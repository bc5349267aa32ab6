"""A journal in one SQLite file: for the threads and processes of one machine."""

from __future__ import annotations

import errno
import os
import re
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock, RLock
from types import TracebackType
from typing import Any, Self, TypeVar
from weakref import WeakSet

from attrs import astuple

from ..clock import is_seconds
from ..errors import ConfigurationError, JournalError
from .lock import NotLocked, StepLock
from .protocol import DEFAULT_LEASE, KeyedStart
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

_PERMISSIONS = "the file and its folder have to be writable for this user, as SQLite keeps two more files beside it"

_LOCKED = "it was locked by another process for longer than busy_timeout"

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
    sqlite3.SQLITE_CORRUPT: ("the file is damaged; restore it from a copy, or give another path", False),
    sqlite3.SQLITE_NOTADB: ("the file is no SQLite database; give another path", False),
}
"""For SQLite's primary result codes: what to say, and whether the same step may work later."""


class SQLiteJournal(RowJournal):
    """A journal of starts in one SQLite file, for the threads and processes of one machine.

    Every step is one transaction with one commit, written through to the disk (WAL, synchronous=FULL): it holds after
    the process was killed, and after the power failed, as far as the disk keeps what it confirmed. So does a
    `reserve` of many starts: all of them are one transaction. One object may be shared by threads, and used after a
    fork: each process opens the file for itself.

    The file is made with mode 0600, and `-wal` and `-shm` files beside it; the three belong together. To share it with
    a container, mount its folder, not the file. For several users, give the file and its folder a common group and
    widen the file's mode. WAL does not work on network file systems; use `RedisJournal` for several machines.

    A file made by 0.1.0 is migrated when it is opened. Versions before 0.2.0 cannot use it afterwards.

    The time is the machine's. A clock that jumps forward shortens a lease by as much.
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
            JournalError: the file cannot be used: it cannot be written, is damaged, has a second name, belongs to
                another application, or was made by a later version of this package.
        """
        self._connection: sqlite3.Connection | None = None
        super().__init__(lease)
        if not is_seconds(busy_timeout):
            raise ConfigurationError(f"busy_timeout={busy_timeout!r} is not a number of seconds from 0")
        self._busy_timeout = float(busy_timeout)
        self._path = _checked(path)
        self._file: tuple[int, int] | None = None
        self._closed = False
        self._lock = StepLock()
        with _forking:
            _journals.add(self)
        self._run(lambda _: None)

    def __repr__(self) -> str:
        return f"SQLiteJournal({str(self._path)!r}, lease={self._lease:g})"

    def _now(self) -> float:
        return self.clock.now().timestamp()

    # --- rows -------------------------------------------------------------------------------------------------------

    def _change(self, changes: Sequence[tuple[KeyedStart, Change]]) -> tuple[float, list[Changed]]:
        def step(db: sqlite3.Connection, writes: bool) -> tuple[float, list[Changed]] | None:
            now, done = self._now(), []
            for start, change in changes:
                before = _read(db, start)
                after, answer = change(before, now)
                if after is not before:
                    if not writes:
                        return None
                    _write(db, start, after)
                done.append((after, answer))
            return now, done

        # First a look without a lock: a caller that waits for another one changes nothing, and holds up no writer.
        done = self._run(lambda db: step(db, False)) or self._run(lambda db: step(db, True), writes=True)
        assert done is not None
        return done

    def _find(self, start: KeyedStart) -> tuple[float, Row | None]:
        return self._run(lambda db: (self._now(), _read(db, start)))

    def _list(self, started: bool) -> tuple[float, list[tuple[KeyedStart, Row]]]:
        words = "SELECT * FROM entries" + ("" if started else " WHERE state != 'started'")
        return self._run(lambda db: (self._now(), [_row(values) for values in db.execute(words).fetchall()]))

    def _drop_started(self, older_than: float) -> int:
        def write(db: sqlite3.Connection) -> int:
            words = "DELETE FROM entries WHERE state = 'started' AND since < ?"
            return db.execute(words, (self._now() - older_than,)).rowcount

        return self._run(write, writes=True)

    # --- the file ---------------------------------------------------------------------------------------------------

    def _run(self, work: Callable[[sqlite3.Connection], T], *, writes: bool = False) -> T:
        """What `work` returns. If it writes: in a transaction of its own, which is committed or leaves nothing."""
        try:
            return self._lock.run(lambda: self._transact(work, writes), self._busy_timeout)
        except NotLocked as problem:
            raise self._error(str(problem), transient=True) from None

    def _transact(self, work: Callable[[sqlite3.Connection], T], writes: bool) -> T:
        try:
            db = self._open()
            try:
                if writes:
                    db.execute("BEGIN IMMEDIATE")
                result = work(db)
                if writes:
                    db.execute("COMMIT")
            finally:
                self._roll_back(db)
            return result
        except sqlite3.Error as problem:
            raise self._sqlite_error(problem) from problem
        finally:
            if self._closed:  # by a signal handler, in the middle of this step
                self._disconnect()

    def _open(self) -> sqlite3.Connection:
        """The connection of this process to the file."""
        if self._closed:
            raise self._error("it is closed; make a new one")
        self._check_file()
        if self._connection is not None:
            self._roll_back(self._connection)  # a signal handler may have raised before the last step could
        deadline = time.monotonic() + self._busy_timeout
        while self._connection is None:
            try:
                self._connection = self._connect()
            except sqlite3.Error as problem:
                # SQLite itself does not wait if several processes turn a new file to WAL.
                if _code(problem) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
        return self._connection

    def _roll_back(self, db: sqlite3.Connection) -> None:
        """Ends a transaction that was not committed."""
        try:
            if db.in_transaction:
                db.rollback()
        except sqlite3.Error:
            self._disconnect()

    def _connect(self) -> sqlite3.Connection:
        with self._os_errors():
            if not self._path.parent.is_dir():
                raise self._error("its folder is not there; make it first")
            if self._path.is_dir():
                raise self._error("it is a folder; give the path of a file")
            # Closing a file drops every lock that this process has on it: no other thread may be about to use it.
            with _making, suppress(FileExistsError):
                os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            status = self._path.stat()
            if _is_mounted(self._path):
                raise self._error(
                    "the file is mounted by itself, as into a container, and its write-ahead log would be kept apart "
                    "from the other side's; mount its folder"
                )
        self._check_names(status)
        db = sqlite3.connect(self._path, timeout=self._busy_timeout, isolation_level=None, check_same_thread=False)
        try:
            self._prepare(db)
        except BaseException:
            db.close()
            raise
        self._file = status.st_dev, status.st_ino
        return db

    def _prepare(self, db: sqlite3.Connection) -> None:
        """Makes sure that the file is ours, of our version, and written as it has to be."""
        # In this order: another process may be making the tables, and says last whose they are.
        tables = _value(db, "SELECT count(*) FROM sqlite_master")
        version, application = _value(db, "PRAGMA user_version"), _value(db, "PRAGMA application_id")
        if application != _APPLICATION_ID and (application or version or tables):
            raise self._error("it is the database of another application; give a path of its own")
        if version > _VERSION:
            raise self._error("it was made by a later version of processmaker-client; install that")
        mode = _value(db, "PRAGMA journal_mode = WAL")
        if mode != "wal":
            raise self._error(f"SQLite cannot keep a write-ahead log there (journal_mode is {mode}); give another path")
        db.execute("PRAGMA synchronous = FULL")
        # On macOS fsync alone does not reach the disk.
        db.execute("PRAGMA fullfsync = ON")
        if version < _VERSION:
            db.execute("BEGIN IMMEDIATE")
            version = _value(db, "PRAGMA user_version")  # another process may have been first
            for statement in (*_TABLES, *(_MIGRATION if version == 1 else ())) if version < _VERSION else ():
                db.execute(statement)
            db.execute("COMMIT")

    def _check_file(self) -> None:
        """Makes sure that the path still is the file that was opened: other processes would not find what is written
        to another one."""
        if self._file is None:
            return
        with self._os_errors():
            try:
                status = self._path.stat()
            except FileNotFoundError:
                raise self._error("the file was removed while it was in use; make a new SQLiteJournal") from None
        if (status.st_dev, status.st_ino) != self._file:
            raise self._error("the file was replaced while it was in use; make a new SQLiteJournal")
        self._check_names(status)

    def _check_names(self, status: os.stat_result) -> None:
        # SQLite names the write-ahead log after the path: under two names there are two, and a key is started twice.
        if status.st_nlink > 1:
            raise self._error(
                f"the file has {status.st_nlink} names (hard links), and under each SQLite would keep a write-ahead "
                "log of its own; remove the other names, or give the path of another file"
            )

    @contextmanager
    def _os_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as problem:
            if problem.errno is None:  # not the system's, such as the TimeoutError of a signal handler
                raise
            full = problem.errno in (errno.ENOSPC, errno.EDQUOT)
            why = f"{problem.strerror}; " + ("make room" if full else _PERMISSIONS)
            raise self._error(why, transient=full) from problem

    def _sqlite_error(self, problem: sqlite3.Error) -> JournalError:
        why, transient = _REASONS.get(_code(problem), ("SQLite failed", False))
        return self._error(f"{why} ({problem})", transient=transient)

    def _error(self, why: str, *, transient: bool = False) -> JournalError:
        return JournalError(f"the SQLite journal {self._path}: {why}", journal=str(self._path), transient=transient)

    def close(self) -> None:
        """Closes the file, after the step that another thread is taking. Closing it twice is no error."""
        self._closed = True
        with suppress(NotLocked):  # then the step that is being taken closes it
            self._lock.run(self._disconnect, self._busy_timeout)

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
            f"{name!r} cannot be a SQLite journal: it is shared by processes, and lasts; give the path of a file, or "
            "use MemoryJournal"
        )
    return Path(name).absolute()


def _is_mounted(path: Path) -> bool:
    """Whether the file itself is a mount point (known only on Linux)."""
    with suppress(FileNotFoundError, PermissionError):
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
        # Blanks and backslashes are written as octal numbers.
        name = re.sub(r"[ \t\n\\]", lambda found: f"\\{ord(found[0]):03o}", os.path.realpath(path))
        return any(mount.split(" ", 5)[4] == name for mount in mounts.splitlines())
    return False


def _values(start: KeyedStart) -> tuple[str, int, str]:
    return start.server, start.process_id, start.key


def _read(db: sqlite3.Connection, start: KeyedStart) -> Row | None:
    rows = db.execute(f"SELECT * FROM entries WHERE {_THIS}", _values(start)).fetchall()
    return _row(rows[0])[1] if rows else None


def _row(values: tuple[Any, ...]) -> tuple[KeyedStart, Row]:
    state, owner, since, request_id, uuid, fingerprint, *before = values[3:]
    restored = Before(*before) if before[0] is not None else None
    return KeyedStart(*values[:3]), Row(state, owner, since, request_id, uuid, fingerprint, restored)


def _write(db: sqlite3.Connection, start: KeyedStart, row: Row | None) -> None:
    if row is None:
        db.execute(f"DELETE FROM entries WHERE {_THIS}", _values(start))
        return
    before = astuple(row.before) if row.before else (None, None, None)
    columns = (*_values(start), *astuple(row, recurse=False)[:-1], *before)
    db.execute(f"INSERT OR REPLACE INTO entries VALUES (?{', ?' * (len(columns) - 1)})", columns)


def _value(db: sqlite3.Connection, words: str) -> Any:
    """The only value of the answer, which is read to its end: else it would hold a lock."""
    ((value,),) = db.execute(words).fetchall()
    return value


def _code(problem: sqlite3.Error) -> int:
    """SQLite's primary result code; 0 if the error is the module's own."""
    return getattr(problem, "sqlite_errorcode", 0) & 0xFF


_journals: WeakSet[SQLiteJournal] = WeakSet()
_making = Lock()
_forking = RLock()
_held: list[SQLiteJournal] = []


def _before_fork() -> None:
    """Waits for the steps of other threads, and closes the files: a child must neither use nor close its parent's
    connections, so there are none while a process forks."""
    _forking.acquire()
    for journal in list(_journals):
        _held.append(journal)
        journal._lock.hold()
        journal._disconnect()


def _after_fork() -> None:
    while _held:
        _held.pop()._lock.let_go()
    _forking.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
