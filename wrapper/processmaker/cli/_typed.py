"""Data that is typed, piped, or lies in a file."""

from __future__ import annotations

import json
import os
import re
import select
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from ._exits import UsageError
from ._output import say

SAY_AFTER, PATIENCE = 1.0, 10.0
"""Seconds after which it says that it waits for standard input, and after which it no longer does."""


def data_from(values: Sequence[str], document: str | None) -> dict[str, Any]:
    """Return the data of a start or of a completion.

    Args:
        values: what was given as `key=value` and `key:=JSON`.
        document: what was given with --data. If neither is given, standard input is read.

    Raises:
        UsageError: it cannot be read, or is given twice.
    """
    if document is not None:
        if values:
            raise UsageError(f"give the data either with --data or as key=value, not both ({values[0]})")
        refuse_piped(document)
        return json_object(*_document(document))
    if values:
        refuse_piped()
        return data_of_pairs(values)
    if not _is_piped():
        return {}
    what = "what came in on standard input (as no data is given; </dev/null for none)"
    text = _decoded(sys.stdin.buffer.read(), what)
    return json_object(text, what) if text.strip() else {}


def data_of_pairs(pairs: Sequence[str]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for pair in pairs:
        parts = re.fullmatch(r"([^=]*?)(:?=)(.*)", pair, re.DOTALL)
        if parts is None:
            raise UsageError(f"{pair!r} is neither key=value nor key:=JSON")
        key, sign, text = parts.groups()
        if not key:
            raise UsageError(f"{pair!r} has no key before the {sign}")
        if key in data:
            raise UsageError(f"the key {key!r} is given twice")
        what = f"the value of {key} (after :=)"
        if text.startswith("@"):
            what = f"the file {text[1:]}"
            text = _file(text[1:])
        data[key] = text if sign == "=" else parsed(text, what)
    return data


def body_of_document(source: str) -> Any:
    """Return what --data says: JSON of any kind."""
    return parsed(*_document(source))


def _document(source: str) -> tuple[str, str]:
    """Return the text that --data names, and what to call it."""
    if source == "-":
        what = "what --data - read from standard input"
        return _decoded(sys.stdin.buffer.read(), what), what
    if source.startswith("@"):
        return _file(source[1:]), f"the file {source[1:]}"
    return source, "--data"


def parsed(text: str, what: str) -> Any:
    """Return what a JSON text stands for. If JSON readers differ (NaN, a key given twice), it is refused."""

    def unambiguous(members: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(members)
        if len(found) != len(members):
            raise ValueError("a key is given twice in one object")
        return found

    def not_json(word: str) -> NoReturn:
        raise ValueError(f"{word} is not JSON")

    try:
        return json.loads(text, object_pairs_hook=unambiguous, parse_constant=not_json)
    except ValueError as problem:
        raise UsageError(f"{what} is not JSON: {problem}") from problem
    except RecursionError as problem:
        raise UsageError(f"{what} is nested too deeply") from problem


def typed_line() -> str:
    """Return one line from standard input."""
    return sys.stdin.readline().strip()


def piped_text() -> str:
    """Return all of standard input."""
    return _decoded(sys.stdin.buffer.read(), "standard input").strip()


def json_object(text: str, what: str) -> dict[str, Any]:
    """Return the object that a JSON text stands for."""
    data = parsed(text, what)
    if not isinstance(data, dict):
        raise UsageError(f'{what} is JSON, but not an object such as {{"days": 3}}')
    return data


def _file(name: str) -> str:
    try:
        return _decoded(Path(os.path.expanduser(name)).read_bytes(), f"the file {name}")  # noqa: PTH111 - it never fails
    except (OSError, ValueError) as problem:
        raise UsageError(f"the file {name} cannot be read: {getattr(problem, 'strerror', problem)}") from problem


def _decoded(content: bytes, what: str) -> str:
    """Return text in UTF-8, or in UTF-16 or -32, as Windows shells write it; the first characters say which."""
    try:
        return content.decode(json.detect_encoding(content))
    except UnicodeDecodeError as problem:
        raise UsageError(f"{what} is not UTF-8") from problem


def refuse_piped(data: str | None = None) -> None:
    """Refuse what lies on standard input, unless `data` (of --data) asks for it: it would get lost.

    A file that somebody else has begun to read, such as the loop of a shell, is not for this command.

    Raises:
        UsageError: something does.
    """
    if data != "-" and _waiting():
        raise UsageError(
            "there is data on standard input, too, which would get lost: to send it, give no other data but --data -; "
            "if it is not for this command, add </dev/null"
        )


def _waiting() -> bool:
    """Return whether standard input has something for this command by now; a terminal has nothing."""
    try:
        handle = sys.stdin.fileno()
        status = os.fstat(handle)
        if stat.S_ISREG(status.st_mode):
            return status.st_size > 0 and os.lseek(handle, 0, os.SEEK_CUR) == 0
        if not (stat.S_ISFIFO(status.st_mode) or stat.S_ISSOCK(status.st_mode)) or sys.platform == "win32":
            return False
        import fcntl
        import termios

        return fcntl.ioctl(handle, termios.FIONREAD, bytes(4)) != bytes(4)
    except (OSError, ValueError, ImportError):
        return False


def _is_piped() -> bool:
    """Return whether somebody sends something on standard input: it is no terminal and no /dev/null.

    Raises:
        UsageError: it is open, and for ten seconds nothing has come; what may still come must not get lost.
    """
    try:
        handle = sys.stdin.fileno()
        status = os.fstat(handle)
    except (OSError, ValueError):
        return False
    if stat.S_ISCHR(status.st_mode):
        return False
    if sys.platform == "win32":  # select knows sockets only there
        return True
    if select.select([handle], [], [], SAY_AFTER)[0]:
        return True
    say("waiting for data on standard input; with </dev/null or --data '{}' there is none")
    if select.select([handle], [], [], PATIENCE - SAY_AFTER)[0]:
        return True
    raise UsageError(
        "standard input is open, but nothing came: to wait for it, say --data -; for none, --data '{}' or </dev/null"
    )
