"""Writes files of results: whole or not at all, and never over another file of the same command."""

from __future__ import annotations

import csv
import io
import json
import os
import stat
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from ._exits import UsageError
from ._rows import SUFFIXES, Format, Reader

STDOUT = "-"


def check_distinct(files: Mapping[str, str | int]) -> None:
    """Refuses two files that are one, whatever they are called: by a symlink, a hard link, or `x/../name`.

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
    """Device and inode of a file; of one that is not there yet, those of its folder, and its name."""
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
    """Where a file is written until it is whole."""
    return f"{os.path.realpath(path)}.part"


def places_of(name: str, path: str | None) -> dict[str, str]:
    """The files that writing one takes up, by name: the file itself, and FILE.part beside it."""
    if path is None or path == STDOUT:
        return {}
    return {name: path, f"{name} FILE.part": part_of(path)} if is_replaceable(path) else {name: path}


def is_replaceable(path: str) -> bool:
    """Whether a path is that of a file, there or not: not standard output, a pipe or a device."""
    try:
        return path != STDOUT and stat.S_ISREG(Path(path).stat().st_mode)
    except (OSError, ValueError):
        return True


class LineFile:
    """Writes a file line by line, each of them at once.

    Until `finish` the lines are in FILE.part, which is locked. A file that was there before is replaced only then, and
    only if a line was written. Standard output ("-"), pipes and devices are written directly.

    Args:
        path: the file.
        encoding: of the text.
        head: the lines that come first.

    Attributes:
        count: the lines written, without the head.
        place: what holds the lines, after `finish`; None if none were written.
        problem: why a line could not be written. Nothing is written after it.
        left_over: the name of a FILE.part of an earlier run that was killed, if there is one. The first line written
            replaces it.

    Raises:
        UsageError: the file cannot be written, or another process is writing it.
    """

    def __init__(self, path: str, encoding: str = "utf-8", head: str = "") -> None:
        self.path = path
        self.count = 0
        self.place: str | None = None
        self.problem: OSError | None = None
        self.left_over: str | None = None
        self._encoding, self._head = encoding, head
        self._file: TextIO | None = None
        self._descriptor: int | None = None
        self._target, self._part = os.path.realpath(path), part_of(path)
        try:
            if not is_replaceable(path):
                self._file = sys.stdout if path == STDOUT else self._text(os.open(path, os.O_WRONLY))
                self._write(head)
            else:
                self._open_part()
        except (OSError, ValueError) as problem:
            raise UsageError(f"{path} cannot be written: {getattr(problem, 'strerror', None) or problem}") from None

    def _open_part(self) -> None:
        there = Path(self._target).exists()
        if there and not os.access(self._target, os.W_OK):
            raise PermissionError(0, "it is write-protected")
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
        while True:
            left_over = Path(self._part).exists()
            self._descriptor = os.open(self._part, flags | (0 if left_over else os.O_EXCL), 0o666)
            if not _locked(self._descriptor):
                self._release()
                raise UsageError(f"another run is writing {self._part}; let it finish first")
            # Another run may have finished, and renamed this file, before it could be locked.
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(self._descriptor), Path(self._part).stat()):
                    break
            self._release()
        if left_over:
            self.left_over = self._part
        if there:
            with suppress(OSError):
                Path(self._part).chmod(stat.S_IMODE(Path(self._target).stat().st_mode))

    def _text(self, descriptor: int) -> TextIO:
        return os.fdopen(descriptor, "w", encoding=self._encoding, errors="surrogateescape", newline="")

    def begin(self) -> None:
        """Writes the head, if it is not there yet: what is finished then has no other lines."""
        if self._file is None and self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            self._file, self._descriptor = self._text(self._descriptor), None
            self._write(self._head)

    def add(self, text: str) -> None:
        """Writes a line, or several that belong together."""
        if self.problem is None:
            self.begin()
            self._write(text if text.endswith(("\n", "\r")) else text + "\n")
            self.count += 1

    def _write(self, text: str) -> None:
        if text and self._file:
            try:
                self._file.write(text)
                self._file.flush()
            except OSError as problem:
                self.problem = problem

    def finish(self) -> None:
        """Gives the file its name, if it was written; after that nothing more is written."""
        if self._file is None and self._descriptor is None:
            return
        file, self._file = self._file, None
        if file is sys.stdout:
            self.place = "standard output"
            return
        if file is None:
            if self.left_over is None:
                Path(self._part).unlink(missing_ok=True)
            self._release()
            return
        try:
            if sys.platform == "win32":  # where an open file has no other name
                file.close()
            if not is_replaceable(self.path):
                self.place = self.path
            elif self.problem:
                self.place = self._part
            else:
                os.replace(self._part, self._target)  # noqa: PTH105 - the lock is held until it has its name
                self.place = self.path
            file.close()
        except OSError as problem:
            self.problem = self.problem or problem

    def _release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _locked(descriptor: int) -> bool:
    """Locks a file until it is closed, also by being killed. False if another process has locked it."""
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


# --- what the files hold --------------------------------------------------------------------------------------------


def format_of_results(path: str, *, as_json: bool) -> Format:
    """The format that a file's suffix names; `as_json` decides for standard output, pipes and devices without one.

    Raises:
        UsageError: the suffix names none.
    """
    suffix = Path(path).suffix.lower()
    if suffix in SUFFIXES and suffix != ".tsv":
        return SUFFIXES[suffix]
    if is_replaceable(path):
        raise UsageError(f"{path} is neither .csv nor .jsonl")
    return "jsonl" if as_json else "csv"


class Results(LineFile):
    """What became of each row, as CSV or JSON lines."""

    def __init__(self, path: str, fields: Sequence[str], written_as: Format) -> None:
        self._as_json = written_as == "jsonl"
        super().__init__(path, head="" if self._as_json else _cells(fields))

    def add_row(self, result: Mapping[str, Any]) -> None:
        self.add(json.dumps(result) if self._as_json else _cells(result.values()))


class Rejects(LineFile):
    """Rows as they are in the input, so that they can be mended and given again."""

    def __init__(self, path: str, source: Reader) -> None:
        head = source.head if source.head.endswith(("\n", "\r")) or not source.head else source.head + "\n"
        super().__init__(path, source.encoding, head)


def _cells(values: Any) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(["" if value is None else value for value in values])
    return line.getvalue()
