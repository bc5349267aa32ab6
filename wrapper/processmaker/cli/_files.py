"""Writes files line by line: whole or not at all, and never over another file of the same command."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from ._exits import UsageError
from ._output import say

STDOUT = "-"


def check_distinct(files: Mapping[str, str | int]) -> None:
    """Refuse two files that are one, whatever they are called: by a symlink, a hard link, or `x/../name`.

    Args:
        files: for what each file is called in messages, its path, or its descriptor.

    Raises:
        UsageError: two are the same. Nothing was opened.
    """
    seen: dict[tuple[object, ...], str] = {}
    for name, place in files.items():
        file = _identity(place)
        if file is not None and seen.setdefault(file, name) != name:
            raise UsageError(f"{seen[file]} and {name} are the same file; give each a file of its own")


def _identity(place: str | int) -> tuple[object, ...] | None:
    """Return device and inode of a file; of one that is not there yet, those of its folder, and its name."""
    try:
        found = os.stat(place)  # noqa: PTH116 - of a path or a descriptor
    except FileNotFoundError:
        path = Path(os.path.realpath(str(place)))  # a symlink may name a file that is not there yet
        with suppress(OSError):
            folder = path.parent.stat()
            # Some file systems take A.csv and a.csv for one.
            return folder.st_dev, folder.st_ino, path.name.casefold()
        return None
    except (OSError, ValueError):
        return None  # opening it says why
    # Devices such as /dev/null may have several uses at once; so may the terminal.
    return None if stat.S_ISCHR(found.st_mode) else (found.st_dev, found.st_ino)


def part_of(path: str) -> str:
    """Return where a file is written until it is whole."""
    return f"{os.path.realpath(path)}.part"


def places_of(name: str, path: str | None) -> dict[str, str]:
    """Return the files that writing one takes up, by name: the file itself, and FILE.part beside it."""
    if path is None or path == STDOUT:
        return {}
    return {name: path, f"{name} FILE.part": part_of(path)} if is_replaceable(path) else {name: path}


def is_replaceable(path: str) -> bool:
    """Return whether a path is that of a file, there or not: not standard output, a pipe or a device."""
    try:
        return path != STDOUT and stat.S_ISREG(Path(path).stat().st_mode)
    except (OSError, ValueError):
        return True


class LineFile:
    """Writes a file, each line at once.

    Until `close` the lines are in FILE.part, which is locked. A file that was there before is replaced only then, and
    only if something was written. Standard output ("-"), pipes and devices are written directly.

    Args:
        path: the file.
        head: the lines that come first.
        encoding: of the text.

    Attributes:
        place: what holds the lines, after `close`; None if none were written.
        problem: why a line could not be written. Nothing is written after it.

    Raises:
        UsageError: the file cannot be written, or another process is writing it.
    """

    def __init__(self, path: str, head: str, encoding: str = "utf-8") -> None:
        self.path = path
        self.place: str | None = None
        self.problem: OSError | None = None
        self._head = head
        self._is_begun = self._is_left_over = False
        self._target, self._part = os.path.realpath(path), part_of(path)
        self._has_part = is_replaceable(path)
        try:
            if self._has_part:
                descriptor = self._open_part()
            else:
                descriptor = os.dup(sys.stdout.fileno()) if path == STDOUT else os.open(path, os.O_WRONLY)
            self._file = os.fdopen(descriptor, "w", encoding=encoding, errors="surrogateescape", newline="")
        except (OSError, ValueError) as problem:
            raise UsageError(f"{path} cannot be written: {getattr(problem, 'strerror', None) or problem}") from None

    def _open_part(self) -> int:
        if Path(self._target).exists() and not os.access(self._target, os.W_OK):
            raise PermissionError(0, "it is write-protected")
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(self._part, flags, 0o666)
        # Another run may have renamed or removed the file before it was locked here.
        if not _lock(descriptor) or _identity(descriptor) != _identity(self._part):
            os.close(descriptor)
            raise UsageError(f"another run is writing {self._part}; let it finish first")
        self._is_left_over = os.fstat(descriptor).st_size > 0
        if self._is_left_over:
            say(f"{self._part} is what a run that was killed has written; this run writes it anew")
        with suppress(OSError):
            shutil.copymode(self._target, self._part)
        return descriptor

    def begin(self) -> None:
        """Write the head, if it is not there yet. What a killed run left in FILE.part is lost only now."""
        if not self._is_begun:
            self._is_begun = True
            if self._has_part:
                self._file.truncate(0)
            self._write(self._head)

    def write(self, lines: str) -> None:
        """Write a line, or several that belong together."""
        self.begin()
        self._write(lines)

    def _write(self, text: str) -> None:
        try:
            if self.problem is None:
                self._file.write(text)
                self._file.flush()
        except OSError as problem:
            self.problem = problem

    def close(self) -> None:
        """Give the file its name, if something was written. Nothing more is written."""
        try:
            self._finish()
        except OSError as problem:
            self.problem = self.problem or problem

    def _finish(self) -> None:
        if sys.platform == "win32":  # where an open file has no other name
            self._file.close()
        if not self._has_part:
            self.place = self.path
        elif self.problem:
            self.place = self._part
        elif self._is_begun:
            os.replace(self._part, self._target)  # noqa: PTH105 - the lock is held until it has its name
            self.place = self.path
        elif not self._is_left_over:
            Path(self._part).unlink()
        self._file.close()


def _lock(descriptor: int) -> bool:
    """Lock a file until it is closed, also by being killed. Return False if another process has locked it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(descriptor, 2**30, os.SEEK_SET)  # no other process can read a byte that is locked
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            os.lseek(descriptor, 0, os.SEEK_SET)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return True  # this file system has no locks
    return True
