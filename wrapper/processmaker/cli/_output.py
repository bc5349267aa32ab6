"""What the commands print: tables and facts for people, JSON for programs, messages on standard error.

Nothing here fails because nobody reads: what a command did is not undone by output that cannot be written.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, TextIO

import click
from attrs import asdict, frozen

COLORS = {"ACTIVE": "cyan", "COMPLETED": "green", "CLOSED": "green", "ERROR": "red", "CANCELED": "yellow"}

SHORTEST_SECRET = 8
"""Characters. A shorter text may be part of any word, and is not hidden."""

NARROWEST = 40
"""Columns. On a narrower terminal tables are cut."""


def is_terminal(stream: TextIO) -> bool:
    """Whether the cursor can be moved about on it."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def has_color(stream: TextIO) -> bool:
    """Whether to print colors there: on a terminal, unless NO_COLOR is set; elsewhere if FORCE_COLOR is set."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or is_terminal(stream)


@frozen
class Column:
    """A column of a table.

    Args:
        heading: its name.
        cell: gives the content for a row.
        from_width: on a narrower terminal the column is left out.
        whole: whether its content is never cut.
    """

    heading: str
    cell: Callable[[Any], object]
    from_width: int = 0
    whole: bool = False


class Output:
    """Standard output.

    Args:
        as_json: whether to print JSON in place of text.
        quiet: whether to print ids only.

    Attributes:
        used: whether something was printed.
        problem: why the output could not be written, once it could not.
    """

    def __init__(self, *, as_json: bool = False, quiet: bool = False) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self.used = False
        self.problem: OSError | None = None

    def text(self, text: str, end: str = "\n") -> None:
        """Print the text at once, so that a reader who leaves early has all or nothing of it."""
        self._write(sys.stdout, text + end)

    def bytes(self, content: bytes) -> None:
        """Print bytes as they are."""
        self._write(getattr(sys.stdout, "buffer", sys.stdout), content)

    def _write(self, stream: Any, content: Any) -> None:
        self.used = True
        if self.problem is None:
            self.problem = _write(stream, content)

    def line(self, text: str) -> None:
        """Print a line, without what would speak to the terminal."""
        self.text(printable(text))

    def document(self, value: object) -> None:
        """Print a value as JSON: its fields without `raw`, times as ISO 8601."""
        self.text(json.dumps(value, indent=2, default=_plain))

    def row(self, value: object) -> None:
        """Print a value as JSON on one line, as one of several documents."""
        self.text(json.dumps(value, default=_plain))

    def facts(self, value: object, facts: Mapping[str, object] | None = None, *, quietly: object) -> None:
        """Prints one value.

        Args:
            value: what `--json` prints: a value of the library, or a dict.
            facts: what people read, by name; None for `value` itself. None as a fact is left out.
            quietly: what `--quiet` prints.
        """
        if self.as_json:
            self.document(value)
            return
        if self.quiet:
            self.line(str(quietly))
            return
        facts = dict(value) if facts is None and isinstance(value, Mapping) else facts or {}
        shown = {name.replace("_", " "): _text(fact) for name, fact in facts.items() if fact is not None}
        width = max(map(len, shown), default=0) + 2
        rows = []
        for name, text in shown.items():
            lines = [printable(line) for line in text.split("\n")]
            if name == "status" and text in COLORS and has_color(sys.stdout):
                lines = [click.style(text, fg=COLORS[text])]
            rows.append(f"{name:{width}}" + f"\n{'':{width}}".join(lines))
        self.text("\n".join(rows))

    def table(
        self, values: Iterable[Any], columns: Sequence[Column], *, quietly: Callable[[Any], object], empty: str
    ) -> int:
        """Prints several values: a table, with `--json` one document a line, with `--quiet` one id a line.

        Args:
            values: the rows; with `--json` and `--quiet` each is printed as it comes.
            columns: the columns of the table.
            quietly: gives what `--quiet` prints for a row.
            empty: what people read if there are no rows.

        Returns:
            How many rows there were.
        """
        count = 0
        if self.as_json or self.quiet:
            for value in values:
                count += 1
                self.row(value) if self.as_json else self.line(str(quietly(value)))
                if self.problem:
                    break
            return count
        rows = list(values)
        if not rows:
            self.line(empty)
            return 0
        text = _table(rows, columns)
        if is_terminal(sys.stdout) and sys.stdin.isatty() and text.count("\n") + 2 > shutil.get_terminal_size().lines:
            self.used = True
            with suppress(OSError):
                os.environ.setdefault("LESS", "-RX")
                click.echo_via_pager(text + "\n", color=has_color(sys.stdout))
        else:
            self.text(text)
        return len(rows)


def _table(rows: Sequence[Any], columns: Sequence[Column]) -> str:
    """The table as text; as wide as the terminal, elsewhere as wide as its content."""
    import io

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    on_terminal, color = is_terminal(sys.stdout), has_color(sys.stdout)
    width = max(shutil.get_terminal_size().columns, NARROWEST) if on_terminal else 100_000
    console = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=color,
        color_system="standard" if color else None,
        legacy_windows=False,
        _environ={},
    )
    shown = [column for column in columns if width >= column.from_width]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False, header_style="bold")
    for column in shown:
        table.add_column(column.heading, no_wrap=column.whole, overflow="fold")
    for row in rows:
        cells = []
        for column in shown:
            cell = column.cell(row)
            if on_terminal and isinstance(cell, datetime):
                cell = f"{cell.astimezone():%Y-%m-%d %H:%M}"  # of this machine, to the minute
            text = printable(_text(cell))
            cells.append(Text(text, style=COLORS.get(text, "") if column.heading == "STATUS" else ""))
        table.add_row(*cells)
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


class Messages:
    """Standard error: messages in lines, without secrets; with `--json` each line is a document.

    Attributes:
        as_json: whether to print JSON.
    """

    def __init__(self) -> None:
        self.as_json = False
        self._secrets: set[str] = set()

    def begin(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._secrets.clear()

    def hide(self, secret: object) -> None:
        """From now on this text is not shown on standard error."""
        if isinstance(secret, str) and len(secret) >= SHORTEST_SECRET:
            self._secrets.add(secret)

    def say(self, text: str, kind: str = "note") -> None:
        """A line. `kind` names it in JSON: note, warning or log."""
        text = " ".join(text.split())
        if self.as_json:
            self.write(json.dumps({kind: {"message": self._clean(text)}}) + "\n")
        else:
            self.write(_wrapped(f"processmaker: {'warning: ' if kind == 'warning' else ''}{printable(text)}") + "\n")

    def error(self, message: str, hint: str | None, facts: Mapping[str, object]) -> None:
        """What went wrong, and the next step on a line of its own."""
        message = " ".join(message.split())
        if self.as_json:
            document = {"message": self._clean(message), "hint": hint and self._clean(hint), **facts}
            self.write(json.dumps({"error": document}) + "\n")
            return
        name = click.style("processmaker:", fg="red", bold=True) if has_color(sys.stderr) else "processmaker:"
        text = _wrapped(f"processmaker: {printable(message)}").replace("processmaker:", name, 1)
        self.write(text + "\n" + (f"{_wrapped('  ' + printable(hint))}\n" if hint else ""))

    def write(self, text: str) -> None:
        """The text as it is, but for secrets. If nobody can read it, nobody does."""
        _write(sys.stderr, self._clean(text))

    def _clean(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "…")
        return text


messages = Messages()
"""Those of this process."""


say = messages.say


def _wrapped(text: str) -> str:
    """Break a text between words on a terminal. A command stays on one line, to be copied."""
    if not is_terminal(sys.stderr) or ": processmaker " in text:
        return text
    width = max(shutil.get_terminal_size().columns, NARROWEST)
    indent = "  " if text.startswith("  ") else "    "  # a hint stands out from the message above it
    return textwrap.fill(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _write(stream: Any, text: str | bytes) -> OSError | None:
    """Writes the text; returns why it could not be written.

    Afterwards the stream leads nowhere: otherwise Python tries again when it ends, and changes the exit code.
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


def _plain(value: Any) -> Any:
    """Return what JSON has in place of a value that it does not know: a time, a mapping, or a value of the library."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    return asdict(value, recurse=False, filter=lambda attribute, _: attribute.name != "raw")


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat(" ", "seconds")
    return "" if value is None else str(value)
