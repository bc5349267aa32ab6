"""Reads rows from CSV and JSON lines as a stream."""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from attrs import field, frozen

from ._exits import UsageError
from ._typed import json_object, parsed

LONGEST = 16_000_000
"""Characters of one line, and of one cell. Without a bound, a file without line ends would fill the memory, and a quote
that is not closed would take the rest of the file for one cell."""

MOST_BAD_ROWS = 1_000
"""Unreadable rows one after the other after which reading ends: such a file is not what was meant, or has no end."""

JSON_SUFFIXES = (".jsonl", ".ndjson")


class Row(dict[str, Any]):
    """The data of one row.

    Attributes:
        line: the line on which it begins, from 1.
        text: the lines as they are in the file.
        key: its idempotency key; None for a source without keys.
        problem: why it cannot be read; "" if it can.
    """

    line: int
    text: str
    key: str | None = None
    problem: str = ""


# --- types of cells -------------------------------------------------------------------------------------------------


def _int(text: str) -> int:
    # int() also reads 1_0 and the digits of other scripts.
    if not re.fullmatch(r"[+-]?[0-9]{1,30}", text.strip()):
        raise ValueError
    return int(text)


def _float(text: str) -> float:
    if not re.fullmatch(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?", text.strip()):
        raise ValueError
    return float(text)


def _float_with_comma(text: str) -> float:
    return _float(text.translate({ord(","): ".", ord("."): ","}))


def _bool(text: str) -> bool:
    return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[text.strip().lower()]


def _json(text: str) -> Any:
    return parsed(text, "the cell")


TYPES: dict[str, Callable[[str], Any]] = {"str": str, "int": _int, "float": _float, "bool": _bool, "json": _json}


# --- reading --------------------------------------------------------------------------------------------------------


@frozen(kw_only=True)
class Source:
    """Where rows come from, and how they are written.

    Args:
        file: the path of the file; "-" for standard input.
        encoding: of the text. A byte order mark of UTF-8 is skipped.
        delimiter: between the cells; None for what a first line such as `sep=;` says, else the one of `,;|` and tab
            that the first line has most.
        decimal: between the digits of numbers in CSV, "." or ",".
        types: the columns that are not strings, each with the name of its type.
        keys: the columns that make up the idempotency key; none for rows without keys.
        key_prefix: what every key begins with.
    """

    file: str
    encoding: str
    delimiter: str | None
    decimal: str
    types: Mapping[str, str] = field(converter=dict)
    keys: Sequence[str]
    key_prefix: str

    @property
    def name(self) -> str:
        return "standard input" if self.file == "-" else self.file

    @property
    def is_pipe(self) -> bool:
        """Whether it can be read only once."""
        path = Path(self.file)
        return self.file == "-" or (path.exists() and not path.is_file())

    @contextmanager
    def open(self) -> Iterator[Reader]:
        """Open it and read the columns.

        Raises:
            UsageError: it cannot be read, or lacks a column.
        """
        if self.file == "-":
            yield Reader(self, sys.stdin.buffer)
            return
        try:
            stream = Path(self.file).open("rb")  # noqa: SIM115 - the block below closes it
        except (OSError, ValueError) as problem:
            raise self.unreadable(problem) from None
        with stream:
            yield Reader(self, stream)

    def unreadable(self, problem: Exception) -> UsageError:
        return UsageError(f"{self.name} cannot be read: {getattr(problem, 'strerror', None) or problem}")

    def key_of(self, row: Mapping[str, Any]) -> str | None:
        """Return the idempotency key of a row; None if the rows have none.

        Raises:
            ValueError: a part of it is missing, or is neither text nor an integer.
        """
        parts = []
        for column in self.keys:
            value = row.get(column)
            if value is None or value == "":
                raise ValueError(f"the row has no {column!r}, which is to be its idempotency key")
            if isinstance(value, bool) or not isinstance(value, str | int):
                raise ValueError(f"its {column!r}, {value!r}, cannot be an idempotency key: give text or an integer")
            parts.append(str(value))
        return self.key_prefix + ":".join(parts) if parts else None


class Reader:
    """Reads the rows of a `Source` once.

    Attributes:
        head: the lines above the rows, which rows that are written in the same way need, too.
    """

    def __init__(self, source: Source, stream: BinaryIO) -> None:
        self._source = source
        try:
            # Bytes that are not of the encoding are an error of the row that holds them, not of the file.
            self._text = io.TextIOWrapper(stream, source.encoding, errors="surrogateescape", newline="")
        except LookupError:
            raise UsageError(f"--encoding {source.encoding} is unknown; such as utf-8, utf-16, cp1252") from None
        self._line = 0
        self._lines_of_row: list[str] = []
        self.head = ""
        try:
            first = self._text.readline(LONGEST)
            self._lines = self._read_lines(first)
            first = _without_mark(first)
            is_json = Path(source.file).suffix.lower() in JSON_SUFFIXES or first.startswith("{")
            self._parse = self._parse_json if is_json else self._parse_cells
            if not is_json:
                self._read_columns(first)
            elif source.types or source.delimiter or source.decimal != ".":
                raise UsageError("--type, --delimiter and --decimal are for CSV; JSON says itself what a value is")
        except (OSError, UnicodeError, csv.Error) as problem:
            raise source.unreadable(problem) from None

    def _read_lines(self, first: str) -> Iterator[str]:
        """Yield the lines, and keep them until their row is whole."""
        line = first
        while line:
            self._line += 1
            if len(line) == LONGEST:
                raise OSError(f"line {self._line} is too long to be a row")
            self._lines_of_row.append(line)
            yield _without_mark(line)
            line = self._text.readline(LONGEST)

    def _read_columns(self, first: str) -> None:
        name, delimiter = self._source.name, max(",;\t|", key=first.count)
        # The first line of many of Excel's files names the delimiter.
        if separator := re.fullmatch(r'"?sep=(.)"?[\r\n]*', first, re.IGNORECASE):
            delimiter = separator[1]
            next(self._lines)
        csv.field_size_limit(LONGEST)
        self._cells = csv.reader(self._lines, delimiter=self._source.delimiter or delimiter, strict=True)
        self._columns = columns = next(self._cells, [])
        self.head = "".join(self._lines_of_row)
        if not _is_whole(self.head):
            encoding = self._source.encoding
            raise UsageError(f"{name} is not {encoding}; say with --encoding what it is, such as cp1252 or utf-16")
        if not columns or not all(map(str.strip, columns)) or len(set(columns)) < len(columns):
            raise UsageError(f"{name}: the first line has to name the columns, each by a name of its own")
        for column in (*self._source.types, *self._source.keys):
            if column not in columns:
                raise UsageError(f"{name} has no column {column!r}; it has: {', '.join(columns)}")

    def __iter__(self) -> Iterator[Row]:
        """Yield the rows.

        Raises:
            UsageError: the rest cannot be read.
        """
        source, bad_rows = self._source, 0
        while True:
            began, self._lines_of_row = self._line + 1, []
            try:
                row = self._parse()
                if row is None:  # an empty line
                    continue
                row.key = source.key_of(row)
            except StopIteration:
                return
            except (OSError, UnicodeError) as problem:
                raise source.unreadable(problem) from None
            except (ValueError, UsageError, csv.Error) as problem:
                row = Row()
                row.problem = str(problem)
            row.line, row.text = began, "".join(self._lines_of_row)
            if not _is_whole(row.text):
                row.problem = f"the row is not {source.encoding}; mend it, or say with --encoding what the file is"
            bad_rows = bad_rows + 1 if row.problem else 0
            yield row
            if bad_rows == MOST_BAD_ROWS:
                raise UsageError(
                    f"{source.name}:{row.line}: {bad_rows:,} rows one after the other cannot be read; what follows "
                    "was not read"
                )

    def _parse_cells(self) -> Row | None:
        cells = next(self._cells)
        if not any(map(str.strip, cells)):  # as spreadsheets write the empty rows below a table
            return None
        if len(cells) != len(self._columns):
            raise ValueError(f"the row has {len(cells)} cells, and there are {len(self._columns)} columns")
        return Row((column, self._value(column, cell)) for column, cell in zip(self._columns, cells, strict=True))

    def _value(self, column: str, cell: str) -> Any:
        kind = self._source.types.get(column, "str")
        read = _float_with_comma if kind == "float" and self._source.decimal == "," else TYPES[kind]
        try:
            return read(cell) if cell else None  # the server turns an empty string into null, too
        except (ValueError, KeyError, UsageError):
            raise ValueError(f"the cell {column!r} is {cell[:60]!r}, which is no {kind}") from None

    def _parse_json(self) -> Row | None:
        line = next(self._lines)
        return Row(json_object(line, "the line")) if line.strip() else None


def _without_mark(line: str) -> str:
    """Return the line without a byte order mark, which the rejects keep."""
    return line.removeprefix("\ufeff")


def _is_whole(text: str) -> bool:
    """Return whether nothing in it stands for bytes that are not of the encoding."""
    return text.isascii() or not any("\udc80" <= character <= "\udcff" for character in text)
