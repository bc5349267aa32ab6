"""What the commands print: aligned text for people, one JSON document for programs, a live line while waiting."""

from __future__ import annotations

import json
import os
import shutil
import sys
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, TextIO

from attrs import asdict, has

if TYPE_CHECKING:
    from .. import Process, Progress, Request, Task
    from .._client import ProcessMaker
    from .._clock import Clock

_COLOURS = {"ACTIVE": "36", "COMPLETED": "32", "ERROR": "31", "CANCELED": "33"}


def is_terminal(stream: TextIO) -> bool:
    """Whether the cursor can be moved about on it."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


class Output:
    """Standard output.

    Args:
        as_json: whether to print one JSON document in place of text.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.used = False
        self._colours = is_terminal(sys.stdout) and not os.environ.get("NO_COLOR")

    def document(self, value: object) -> None:
        """Values as JSON: their fields without `raw`, times as ISO 8601."""
        self._print(json.dumps(_plain(value), indent=2))

    def line(self, text: str) -> None:
        self._print(printable(text))

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
        self._facts(request, facts)

    def task(self, task: Task) -> None:
        facts = {
            "id": task.id,
            "status": task.status,
            "name": task.name,
            "element": task.element_id or None,
            "request": task.request_id,
            "completed": task.completed_at,
        }
        self._facts(task, facts)

    def _facts(self, value: object, facts: dict[str, object]) -> None:
        if self.as_json:
            self.document(value)
            return
        shown = {name: _text(fact) for name, fact in facts.items() if fact is not None}
        width = max(map(len, shown)) + 2
        for name, text in shown.items():
            for number, line in enumerate(text.split("\n")):
                self._print(f"{'' if number else name:{width}}{self._coloured(printable(line))}")

    def _table(
        self, values: Sequence[object], headings: Sequence[str], rows: Sequence[Sequence[str]], if_empty: str
    ) -> None:
        if self.as_json:
            self.document(values)
            return
        if not rows:
            self.line(if_empty)
            return
        cells = [headings, *([printable(cell) for cell in row] for row in rows)]
        widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
        for row in cells:
            columns = zip(row, widths, strict=True)
            padded = [self._coloured(cell) + " " * (width - _width(cell)) for cell, width in columns]
            self._print("  ".join(padded).rstrip())

    def _print(self, text: str) -> None:
        self.used = True
        print(text, flush=True)

    def _coloured(self, text: str) -> str:
        colour = _COLOURS.get(text)
        return f"\x1b[{colour}m{text}\x1b[0m" if colour and self._colours else text


def say(text: str) -> None:
    """One line on standard error."""
    print(f"processmaker: {printable(' '.join(text.split()))}", file=sys.stderr)


def printable(text: str) -> str:
    """The text without what would move the cursor or otherwise speak to the terminal."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def described(progress: Progress) -> str:
    """Where a Request stands, in one line."""
    request = progress.request
    waits = ", ".join(f'task {task.id} "{task.name}"' for task in progress.tasks)
    return f'Request {request.id} "{request.name}" {request.status}' + (f", waits for {waits}" if waits else "")


@contextmanager
def live(pm: ProcessMaker, print_change: Callable[[str], None] | None) -> Iterator[Callable[[Progress], None]]:
    """Shows a wait: a line on standard error that is kept up to date, on a terminal; else a line for each change.

    Args:
        pm: the client that waits. Its clock tells when to draw.
        print_change: where each change goes, on a terminal too; None for standard error, elsewhere only.

    Returns:
        What is to be told each change.
    """
    line = _LiveLine(sys.stderr, pm._io.clock) if is_terminal(sys.stderr) else None

    def tell(progress: Progress) -> None:
        text = described(progress)
        if line:
            line.erase()
            line.text = text
        if print_change:
            print_change(text)
        elif not line:
            print(printable(text), file=sys.stderr, flush=True)

    if line is None:
        yield tell
        return
    clock = pm._io.clock
    pm._io.clock = _ticking(clock, line.draw)
    try:
        yield tell
    finally:
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
        self._stream.write(text)
        self._stream.flush()


def _ticking(clock: Clock, tick: Callable[[], None]) -> Clock:
    """The same clock; while it sleeps, it ticks every second."""
    from .._clock import Clock

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
