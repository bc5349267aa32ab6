"""Reads rows from CSV and JSON lines as a stream."""

from __future__ import annotations

import codecs
import csv
import io
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from math import isfinite
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Literal, Self

from attrs import field, frozen

from ._exits import UsageError
from ._typed import parsed

Format = Literal["csv", "jsonl"]

SUFFIXES: dict[str, Format] = {".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}

LONGEST_CELL = 16_000_000
"""Characters of one cell. Without a bound, a quote that is not closed would take the rest of the file for one cell."""

LONGEST_LINE = 4 * LONGEST_CELL
"""Characters of one line. Without a bound, a file without line ends would fill the memory."""

MOST_BAD_ROWS = 1_000
"""Unreadable rows one after the other after which reading ends: such a file is not what was meant, or has no end."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before that of UTF-16, which it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class Row(dict[str, Any]):
    """The data of one row.

    Attributes:
        line: the line on which it begins, from 1.
        text: the lines as they are in the file.
        key: its idempotency key; None for a source without keys.
    """

    line: int
    text: str
    key: str | None


@frozen
class BadRow:
    """A row that cannot be read."""

    line: int
    text: str
    problem: str


# --- types of cells -------------------------------------------------------------------------------------------------


def _int(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,30}", text.strip()):
        raise ValueError
    return int(text)


def _float(text: str) -> float:
    # float() also reads 1_0, the digits of other scripts, and "nan".
    if not re.fullmatch(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?", text.strip()):
        raise ValueError
    if not isfinite(value := float(text)):
        raise ValueError
    return value


def _float_with_comma(text: str) -> float:
    if "." in text:  # 1.234 may be a thousand or so
        raise ValueError
    return _float(text.replace(",", "."))


def _bool(text: str) -> bool:
    return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[text.strip().lower()]


TYPES: dict[str, Callable[[str], Any]] = {
    "str": str,
    "int": _int,
    "float": _float,
    "bool": _bool,
    "json": lambda text: parsed(text, "it"),
}


# --- reading --------------------------------------------------------------------------------------------------------


@frozen(kw_only=True)
class Source:
    """Where rows come from, and how they are written.

    Args:
        path: the file; None for standard input.
        format: None to tell it by the file's suffix; on standard input, by its first character.
        encoding: None for UTF-8, or what a byte order mark says.
        delimiter: between the cells; None for what a first line such as `sep=;` says, else a comma (in .tsv files, a
            tab).
        decimal: between the digits of numbers in CSV, "." or ",".
        types: the names of the types of columns that are not strings.
        keys: the columns that make up the idempotency key; none for rows without keys.
        key_prefix: what every key begins with.
    """

    path: Path | None
    format: Format | None = None
    encoding: str | None = None
    delimiter: str | None = None
    decimal: str = "."
    types: Mapping[str, str] = field(factory=dict)
    keys: Sequence[str] = ()
    key_prefix: str = ""

    @property
    def name(self) -> str:
        return "standard input" if self.path is None else str(self.path)

    @property
    def is_file(self) -> bool:
        """Whether it can be read more than once: it is no pipe."""
        return self.path is not None and self.path.is_file()

    def open(self) -> Reader:
        """Opens it and reads the columns.

        Raises:
            UsageError: it cannot be read, its format is not known, or it lacks a column.
        """
        if self.path is None:
            given: Any = sys.stdin.buffer
            return Reader(self, given if hasattr(given, "peek") else io.BufferedReader(given))
        try:
            stream = self.path.open("rb")
        except (OSError, ValueError) as problem:
            raise UsageError(f"{self.name} cannot be read: {getattr(problem, 'strerror', None) or problem}") from None
        try:
            return Reader(self, stream)
        except BaseException:
            stream.close()
            raise

    def key_of(self, row: Mapping[str, Any]) -> str | None:
        """The idempotency key of a row; None if the rows have none.

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
        format: "csv" or "jsonl".
        encoding: of the text.
        head: the lines above the rows, which rows that are written in the same way need, too.
        columns: of CSV.
    """

    def __init__(self, source: Source, stream: BinaryIO) -> None:
        self._source = source
        beginning: bytes = stream.peek(4)[:4]  # type: ignore[attr-defined]
        marked = next((name for mark, name in _MARKS if beginning.startswith(mark)), None)
        self.encoding = source.encoding or marked or "utf-8"
        try:
            if codecs.lookup(self.encoding).name == "utf-8" and marked == "utf-8-sig":
                self.encoding = marked
        except LookupError:
            raise UsageError(f"--encoding {self.encoding} is unknown; such as utf-8, utf-16, cp1252") from None
        self.format = source.format or self._format(beginning)
        # Bytes that are not of the encoding are an error of the row that holds them, not of the file.
        self._text = io.TextIOWrapper(stream, self.encoding, errors="surrogateescape", newline="")
        self._lines: list[str] = []
        self._line = 0
        self.head = ""
        self.columns: list[str] = []
        self._recorded = self._record()
        if self.format == "csv":
            self._read_columns()
        elif source.types or source.delimiter or source.decimal != ".":
            raise UsageError("--type, --delimiter and --decimal are for CSV; JSON says itself what a value is")

    def _format(self, beginning: bytes) -> Format:
        if self._source.path is None:
            return "jsonl" if beginning.removeprefix(codecs.BOM_UTF8).strip(b"\xff\xfe\0")[:1] == b"{" else "csv"
        suffix = self._source.path.suffix.lower()
        if suffix not in SUFFIXES:
            what = "JSON lines, one object a line, are called .jsonl; or say " if suffix == ".json" else "say "
            raise UsageError(f"{self._source.name} is neither .csv nor .jsonl: {what}--format csv or --format jsonl")
        return SUFFIXES[suffix]

    def _read_columns(self) -> None:
        csv.field_size_limit(LONGEST_CELL)
        name, delimiter = self._source.name, self._source.delimiter
        try:
            first = next(self._recorded, "")
            lines: Iterator[str] = chain([first], self._recorded)
            # Excel's way to name the delimiter, and the first line of many of its files.
            if separator := re.fullmatch(r'"?sep=(.)"?[\r\n]*', first, re.IGNORECASE):
                delimiter, lines = delimiter or separator[1], self._recorded
            delimiter = delimiter or ("\t" if name.lower().endswith(".tsv") else None)
            self._cells = csv.reader(lines, delimiter=delimiter or ",", strict=True)
            columns = next((cells for cells in self._cells if cells), None)
        except (csv.Error, UnicodeError) as problem:
            raise UsageError(f"{name}:{self._line}: {_words(problem)}") from None
        if columns is None:
            raise UsageError(f"{name} is empty; its first line has to name the columns")
        self.head, self._lines = "".join(self._lines), []
        if not _is_whole(self.head):
            raise UsageError(f"{name} is not {self.encoding}; say with --encoding what it is, such as cp1252")
        if len(columns) == 1 and delimiter is None and (other := re.search("[;\t|]", columns[0])):
            shown = "tab" if other[0] == "\t" else other[0]
            raise UsageError(
                f"{name} has one column, {columns[0]!r}; is it --delimiter '{shown}'? (--delimiter ',' if not)"
            )
        for number, column in enumerate(columns, 1):
            if not column.strip():
                raise UsageError(f"{name}: column {number} has no name in the first line")
            if columns.index(column) != number - 1:
                raise UsageError(f"{name}: the column {column!r} is there twice")
        for column, why in (
            *((column, ", which --type names") for column in self._source.types),
            *((column, "") for column in self._source.keys),
        ):
            if column not in columns:
                several = " (name several with --key-column each)" if set(column.split(",")) <= set(columns) else ""
                raise UsageError(f"{name} has no column {column!r}{why}; it has: {', '.join(columns)}{several}")
        self.columns = columns
        types = {**TYPES, "float": _float_with_comma} if self._source.decimal == "," else TYPES
        self._types = [types[self._source.types.get(column, "str")] for column in columns]

    def _record(self) -> Iterator[str]:
        """The lines, each kept until its row is whole."""
        while line := self._text.readline(LONGEST_LINE):
            if len(line) == LONGEST_LINE:
                raise UsageError(f"{self._source.name}:{self._line + 1}: the line is too long to be a row")
            self._line += 1
            self._lines.append(line)
            yield line

    def __iter__(self) -> Iterator[Row | BadRow]:
        """The rows.

        Raises:
            UsageError: the rest cannot be read.
        """
        bad = 0
        while (row := self._next()) is not None:
            yield row
            bad = bad + 1 if isinstance(row, BadRow) else 0
            if bad == MOST_BAD_ROWS:
                raise UsageError(
                    f"{self._source.name}:{row.line}: {bad:,} rows one after the other cannot be read; what follows "
                    "was not read"
                )

    def _next(self) -> Row | BadRow | None:
        make = self._row_of_cells if self.format == "csv" else self._row_of_json
        while True:
            began, self._lines = self._line + 1, []
            try:
                row = make()
                if row is None:  # an empty line
                    continue
                row.key = self._source.key_of(row)
            except StopIteration:
                return None
            except OSError as problem:
                raise UsageError(f"{self._source.name} cannot be read: {problem.strerror or problem}") from None
            except UnicodeError as problem:
                raise UsageError(f"{self._source.name}:{began}: not {self.encoding}: {problem}") from None
            except (ValueError, csv.Error) as problem:
                text = "".join(self._lines)
                return BadRow(began, text, _words(problem) if _is_whole(text) else self._other_encoding())
            row.line, row.text = began, "".join(self._lines)
            return row if _is_whole(row.text) else BadRow(began, row.text, self._other_encoding())

    def _row_of_cells(self) -> Row | None:
        cells = next(self._cells)
        if not any(map(str.strip, cells)):  # as spreadsheets write the empty rows below a table
            return None
        if len(cells) != len(self.columns):
            raise ValueError(f"the row has {len(cells)} cells, and there are {len(self.columns)} columns")
        row = Row()
        for column, read, cell in zip(self.columns, self._types, cells, strict=True):
            try:
                # The server turns an empty string into null, too.
                row[column] = read(cell) if cell else None
            except UsageError as problem:
                raise ValueError(f"the cell {column!r}: {problem}") from None
            except (ValueError, KeyError):
                raise ValueError(self._wrong_type(column, cell)) from None
        return row

    def _wrong_type(self, column: str, cell: str) -> str:
        kind = self._source.types[column]
        hint = " (true, false, yes, no, 1, 0)" if kind == "bool" else ""
        if kind == "float" and re.fullmatch(r"[+-]?[0-9.]*,[0-9]+", cell.strip()) and self._source.decimal == ".":
            hint = " (with a decimal comma: --decimal ,)"
        return f"the cell {column!r} is {cell[:60]!r}, which is no {kind}{hint}"

    def _row_of_json(self) -> Row | None:
        line = next(self._recorded)
        if not line.strip():
            return None
        try:
            value = parsed(line, "the line")
        except UsageError as problem:
            raise ValueError(str(problem)) from None
        if not isinstance(value, dict):
            raise ValueError('the line is JSON, but not an object such as {"days": 3}')
        return Row(value)

    def _other_encoding(self) -> str:
        return f"the row is not {self.encoding}; mend it, or say with --encoding what the file is"

    def close(self) -> None:
        if self._source.path is None:
            self._text.detach()  # which is not ours to close
        else:
            self._text.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _words(problem: Exception) -> str:
    words = str(problem)
    if "unexpected end of data" in words:
        return "a quote is not closed until the end of the file"
    return words if not isinstance(problem, csv.Error) else f"it is no CSV: {words}"


def _is_whole(text: str) -> bool:
    """Whether nothing in it stands for bytes that are not of the encoding."""
    return text.isascii() or not any("\udc80" <= character <= "\udcff" for character in text)
