"""What the commands print: aligned text for people, JSON for programs, a live line while waiting.

Nothing here fails for want of a reader: what a command did is not undone by output that nobody could be given.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, TextIO

from attrs import asdict, has

if TYPE_CHECKING:
    from .. import Process, Progress, Request, Task
    from .._client import ProcessMaker
    from ..clock import Clock

_COLOURS = {"ACTIVE": "36", "COMPLETED": "32", "ERROR": "31", "CANCELED": "33"}


def is_terminal(stream: TextIO) -> bool:
    """Whether the cursor can be moved about on it."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


class Output:
    """Standard output.

    Args:
        as_json: whether to print JSON in place of text.
        quiet: whether to print ids only, and nothing but errors on standard error.

    Attributes:
        used: whether something was printed.
        problem: why what was printed did not arrive, once it did not.
    """

    def __init__(self, *, as_json: bool, quiet: bool = False) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self.used = False
        self.problem: OSError | None = None
        self._colours = is_terminal(sys.stdout) and not os.environ.get("NO_COLOR")

    def document(self, value: object) -> None:
        """Values as JSON: their fields without `raw`, times as ISO 8601."""
        self.text(json.dumps(_plain(value), indent=2))

    def row(self, value: object) -> None:
        """The same on one line, as the next of several documents."""
        self.text(json.dumps(_plain(value)))

    def line(self, text: str) -> None:
        self.text(printable(text))

    def change(self, progress: Progress) -> None:
        """One change of a Request."""
        if self.as_json:
            self.row(progress)
        elif not self.quiet:
            self.line(described(progress))

    def processes(self, processes: Sequence[Process]) -> None:
        rows = [
            (
                str(process.id),
                process.name,
                ", ".join(
                    f'{event.id} "{event.name}"' + ("" if event.manual else " (not manual)")
                    for event in process.start_events
                ),
            )
            for process in processes
        ]
        self._table(processes, ("ID", "NAME", "START EVENTS"), rows, "no process may be started with this token")

    def tasks(self, tasks: Sequence[Task]) -> None:
        rows = [
            (str(task.id), task.name, task.status, task.element_id, _text(task.user_id), _text(task.due_at))
            for task in tasks
        ]
        self._table(tasks, ("ID", "NAME", "STATUS", "ELEMENT", "USER", "DUE"), rows, "no task waits for a person")

    def requests(self, requests: Sequence[Request]) -> None:
        rows = [
            (
                str(request.id),
                request.status,
                request.name,
                _text(request.process_id),
                _text(request.created_at),
                _text(request.completed_at),
            )
            for request in requests
        ]
        self._table(requests, ("ID", "STATUS", "NAME", "PROCESS", "CREATED", "COMPLETED"), rows, "no Request")

    def profiles(self, profiles: Sequence[Mapping[str, Any]]) -> None:
        rows = [
            (
                "*" if profile["current"] else "",
                profile["name"],
                profile["url"],
                profile["token_in"],
                _text(profile["expires_at"]),
            )
            for profile in profiles
        ]
        self._table(profiles, ("", "NAME", "SERVER", "TOKEN IN", "EXPIRES"), rows, "no profile; make one with login")

    def journal(self, entries: Sequence[Mapping[str, Any]], *, everything: bool) -> None:
        rows = [
            (
                entry["key"],
                _text(entry["process_id"]),
                entry["server"],
                "being sent" if entry["request_id"] is None else f"Request {entry['request_id']}",
                _text(entry["since"]),
                entry["owner"],
            )
            for entry in entries
        ]
        nothing = "the journal is empty" if everything else "nothing is being sent"
        self._table(entries, ("KEY", "PROCESS", "SERVER", "STATE", "SINCE", "OWNER"), rows, nothing)

    def facts(self, facts: Mapping[str, object], *, quietly: str) -> None:
        """Facts by name; `quietly` is what --quiet leaves of them."""
        self._facts({name.replace(" ", "_"): fact for name, fact in facts.items()}, facts, quietly)

    def request(self, request: Request) -> None:
        key = request.idempotency_key
        if key is not None and request.created is not None:
            key += " (started now)" if request.created else " (found: it was started before)"
        facts = {
            "id": request.id,
            "status": request.status,
            "name": request.name,
            "process": request.process_id,
            "case": request.case_number,
            "created": request.created_at,
            "completed": request.completed_at,
            "url": request.url,
            "key": key,
            "errors": "\n".join(str(error.get("message", error)) for error in request.errors) or None,
            "data": None if request.data is None else json.dumps(request.data, indent=2, ensure_ascii=False),
        }
        self._facts(request, facts, str(request.id))

    def task(self, task: Task) -> None:
        facts = {
            "id": task.id,
            "status": task.status,
            "name": task.name,
            "element": task.element_id or None,
            "request": task.request_id,
            "completed": task.completed_at,
        }
        self._facts(task, facts, str(task.id))

    def _facts(self, value: object, facts: Mapping[str, object], quietly: str) -> None:
        if self.as_json:
            self.document(value)
            return
        if self.quiet:
            self.line(quietly)
            return
        shown = {name: _text(fact) for name, fact in facts.items() if fact is not None}
        width = max(map(len, shown)) + 2
        lines = [
            f"{'' if number else name:{width}}{self._coloured(name, printable(line))}"
            for name, text in shown.items()
            for number, line in enumerate(text.split("\n"))
        ]
        self.text("\n".join(lines))

    def _table(
        self, values: Sequence[object], headings: Sequence[str], rows: Sequence[Sequence[str]], if_empty: str
    ) -> None:
        if self.as_json:
            self.document(values)
            return
        if self.quiet:
            column = next(headings.index(name) for name in ("ID", "NAME", "KEY") if name in headings)
            if rows:
                self.text("\n".join(printable(row[column]) for row in rows))
            return
        if not rows:
            self.line(if_empty)
            return
        cells = [headings, *([printable(cell) for cell in row] for row in rows)]
        widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
        lines = []
        for row in cells:
            columns = zip(headings, row, widths, strict=True)
            padded = [self._coloured(name, cell) + " " * (width - _width(cell)) for name, cell, width in columns]
            lines += ["  ".join(padded).rstrip()]
        self.text("\n".join(lines))

    def text(self, text: str, end: str = "\n") -> None:
        """Prints it, all at once, so that a reader who leaves early has all or nothing of it."""
        self.used = True
        if self.problem is None:
            self.problem = _written(sys.stdout, text + end)

    def _coloured(self, name: str, text: str) -> str:
        """What stands under this name, in the colour of that status where it is one."""
        colour = _COLOURS.get(text) if name in ("status", "STATUS") else None
        return f"\x1b[{colour}m{text}\x1b[0m" if colour and self._colours else text


_live_line: _LiveLine | None = None
"""The line that is kept up to date at this moment."""

_secrets: set[str] = set()

SHORTEST_SECRET = 8
"""What is shorter may be part of any word."""


def hide(secret: object) -> None:
    """From now on this is not shown on standard error, wherever it stands."""
    if isinstance(secret, str) and len(secret) >= SHORTEST_SECRET:
        _secrets.add(secret)


def say(text: str) -> None:
    """One line on standard error."""
    write_error(f"processmaker: {printable(' '.join(text.split()))}\n")


def write_error(text: str) -> None:
    """The text on standard error, without secrets. Where nobody can be told, nobody is."""
    if _live_line:
        _live_line.erase()
    for secret in _secrets:
        text = text.replace(secret, "…")
    _written(sys.stderr, text)


def _written(stream: TextIO, text: str) -> OSError | None:
    """Writes it; returns why it could not be written.

    What then is still to be written goes nowhere: else Python tries again when it ends, and changes the exit code.
    """
    try:
        stream.write(text)
        stream.flush()
    except OSError as problem:
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
        return problem
    return None


def printable(text: str) -> str:
    """The text without what would move the cursor or otherwise speak to the terminal."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def described(progress: Progress) -> str:
    """Where a Request stands, in one line."""
    request = progress.request
    waits = ", ".join(f'task {task.id} "{task.name}"' for task in progress.tasks)
    return f'Request {request.id} "{request.name}" {request.status}' + (f", waits for {waits}" if waits else "")


@contextmanager
def live(
    pm: ProcessMaker, show: Callable[[Progress], None] | None, *, quiet: bool
) -> Iterator[Callable[[Progress], None]]:
    """Shows a wait: a line on standard error that is kept up to date, on a terminal; else a line for each change.

    Args:
        pm: the client that waits. Its clock tells when to draw.
        show: what shows each change, on a terminal too; None for standard error, elsewhere only.
        quiet: whether to show nothing on standard error.

    Returns:
        What is to be told each change.
    """
    global _live_line
    line = _LiveLine(sys.stderr, pm._io.clock) if is_terminal(sys.stderr) and not quiet else None

    def tell(progress: Progress) -> None:
        if line:
            line.erase()
            line.text = described(progress)
        if show:
            show(progress)
        elif not (line or quiet):
            write_error(printable(described(progress)) + "\n")

    if line is None:
        yield tell
        return
    clock = pm._io.clock
    pm._io.clock = _ticking(clock, line.draw)
    _live_line = line
    try:
        yield tell
    finally:
        _live_line = None
        pm._io.clock = clock
        line.erase()


class _LiveLine:
    """A line that is written over again and again."""

    def __init__(self, stream: TextIO, clock: Clock) -> None:
        self.text = ""
        self._stream = stream
        self._clock = clock
        self._began = clock.monotonic()

    def draw(self) -> None:
        elapsed = f" {self._clock.monotonic() - self._began:.0f} s"
        room = shutil.get_terminal_size().columns - len(elapsed) - 1
        text = printable(self.text)
        while _width(text) > room > 0:
            text = text[:-1]
        self._write(f"\r\x1b[K{text}{elapsed}")

    def erase(self) -> None:
        self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        _written(self._stream, text)


def _ticking(clock: Clock, tick: Callable[[], None]) -> Clock:
    """The same clock; while it sleeps, it ticks every second."""
    from ..clock import Clock

    class Ticking(Clock):
        monotonic = clock.monotonic
        now = clock.now

        def sleep(self, seconds: float) -> None:
            while True:
                tick()
                clock.sleep(min(1.0, seconds))
                seconds -= 1.0
                if seconds <= 0:
                    return

    return Ticking()


def _plain(value: object) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, datetime):
        return value.isoformat()
    if not has(type(value)):
        return value
    return asdict(
        value,  # type: ignore[arg-type]
        filter=lambda attribute, _: attribute.name != "raw",
        value_serializer=lambda _, __, item: item.isoformat() if isinstance(item, datetime) else item,
    )


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat(" ", "seconds")
    return "" if value is None else str(value)


def _width(text: str) -> int:
    """The columns that a text takes on a terminal."""
    return sum(
        0 if unicodedata.combining(character) else 1 + (unicodedata.east_asian_width(character) in "WF")
        for character in text
    )
