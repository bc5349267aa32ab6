"""Rows in files: reading CSV and JSON lines as a stream, and writing them."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Literal, Self, TextIO

from attrs import field, frozen

from ._exits import UsageError
from ._typed import parsed

Format = Literal["csv", "jsonl"]

SUFFIXES: dict[str, Format] = {".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}

LONGEST_CELL = 16_000_000
"""Characters of one cell; without a bound a quote that is never closed would take the whole file for one."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before that of UTF-16, which it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class Row(dict[str, Any]):
    """One row: its data, and where it stands.

    Attributes:
        line: the line on which it begins, from 1.
        text: what stands there.
    """

    line: int
    text: str


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
    value = float(text)
    if not isfinite(value):
        raise ValueError
    return value


def _bool(text: str) -> bool:
    return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[text.strip().lower()]


TYPES: dict[str, Callable[[str], Any]] = {
    "str": str,
    "int": _int,
    "float": _float,
    "bool": _bool,
    "json": lambda text: parsed(text, "it"),
}


def column_type(text: str) -> tuple[str, str]:
    """`days=int`."""
    column, sign, kind = text.rpartition("=")
    if not sign or not column or kind not in TYPES:
        raise ValueError
    return column, kind


column_type.__name__ = "COLUMN=TYPE, with str, int, float, bool or json as the type, "

# --- reading --------------------------------------------------------------------------------------------------------


@frozen(kw_only=True)
class Source:
    """Where rows come from. It is read as a stream, and, where it `lasts`, as often as one likes.

    Args:
        path: the file; None for standard input.
        format: None to tell it by the file's suffix; on standard input, by its first character.
        encoding: None for UTF-8, or what a byte order mark says.
        delimiter: between the cells; None for a comma (a tab in .tsv files).
        types: the names of the types of columns that are no strings.
    """

    path: Path | None
    format: Format | None = None
    encoding: str | None = None
    delimiter: str | None = None
    types: Mapping[str, str] = field(factory=dict)

    @property
    def name(self) -> str:
        return "standard input" if self.path is None else str(self.path)

    @property
    def lasts(self) -> bool:
        """Whether it can be read as often as one likes: it is no pipe."""
        return self.path is not None and self.path.is_file()

    def open(self) -> Reader:
        """Opens it, and reads what the columns are.

        Raises:
            UsageError: it cannot be read, is of no known format, or has no columns.
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


class Reader:
    """The rows of a `Source`, once.

    Attributes:
        format: "csv" or "jsonl".
        encoding: how it is written.
        head: what has to stand above rows that are written in the same way.
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
        self.format = source.format or self._told(beginning)
        # What is not of that encoding is a matter of the row that holds it.
        self._text = io.TextIOWrapper(stream, self.encoding, errors="surrogateescape", newline="")
        self._lines: list[str] = []
        self._line = 0
        self.head = ""
        self.columns: list[str] = []
        if self.format == "csv":
            self._delimiter = source.delimiter or ("\t" if source.name.lower().endswith(".tsv") else ",")
            self._read_columns()
        elif source.types or source.delimiter:
            raise UsageError("--type and --delimiter are for CSV; JSON says itself what a value is")

    def _told(self, beginning: bytes) -> Format:
        if self._source.path is None:
            return "jsonl" if beginning.removeprefix(codecs.BOM_UTF8).strip(b"\xff\xfe\0")[:1] == b"{" else "csv"
        suffix = self._source.path.suffix.lower()
        if suffix not in SUFFIXES:
            what = "JSON lines, one object a line, are called .jsonl; or say " if suffix == ".json" else "say "
            raise UsageError(f"{self._source.name} is neither .csv nor .jsonl: {what}--format csv or --format jsonl")
        return SUFFIXES[suffix]

    def _read_columns(self) -> None:
        csv.field_size_limit(LONGEST_CELL)
        self._cells = csv.reader(self._recorded(), delimiter=self._delimiter, strict=True)
        name = self._source.name
        try:
            columns = next((cells for cells in self._cells if cells), None)
        except (csv.Error, UnicodeError) as problem:
            raise UsageError(f"{name}:{self._line}: {self._why(problem)}") from None
        if columns is None:
            raise UsageError(f"{name} is empty; its first line has to name the columns")
        self.head, self._lines = "".join(self._lines), []
        if not _is_whole(self.head):
            raise UsageError(f"{name} is not {self.encoding}; say with --encoding what it is, such as cp1252")
        if len(columns) == 1 and self._source.delimiter is None and (other := re.search("[;\t|]", columns[0])):
            shown = "tab" if other[0] == "\t" else other[0]
            raise UsageError(
                f"{name} has one column, {columns[0]!r}; is it --delimiter '{shown}'? (--delimiter ',' if not)"
            )
        for number, column in enumerate(columns, 1):
            if not column.strip():
                raise UsageError(f"{name}: column {number} has no name in the first line")
            if columns.index(column) != number - 1:
                raise UsageError(f"{name}: the column {column!r} is there twice")
        for column in self._source.types:
            if column not in columns:
                raise UsageError(f"{name} has no column {column!r}, which --type names; it has: {', '.join(columns)}")
        self.columns = columns

    def _recorded(self) -> Iterator[str]:
        """The lines, each kept until its row is whole."""
        for line in self._text:
            self._line += 1
            self._lines.append(line)
            yield line

    def __iter__(self) -> Iterator[Row | BadRow]:
        """The rows.

        Raises:
            UsageError: from here on nothing can be read.
        """
        make = self._row_of_cells if self.format == "csv" else self._row_of_json
        while True:
            began, self._lines = self._line + 1, []
            try:
                row = make()
            except StopIteration:
                return
            except OSError as problem:
                raise UsageError(f"{self._source.name} cannot be read: {problem.strerror or problem}") from None
            except UnicodeError as problem:
                raise UsageError(f"{self._source.name}:{began}: not {self.encoding}: {problem}") from None
            except (ValueError, csv.Error) as problem:
                text = "".join(self._lines)
                yield BadRow(began, text, self._why(problem) if _is_whole(text) else self._other_encoding())
                continue
            except UsageError as problem:
                yield BadRow(began, "".join(self._lines), str(problem))
                continue
            if row is None:  # an empty line
                continue
            row.line, row.text = began, "".join(self._lines)
            yield row if _is_whole(row.text) else BadRow(began, row.text, self._other_encoding())

    def _row_of_cells(self) -> Row | None:
        cells = next(self._cells)
        if not cells:
            return None
        if len(cells) != len(self.columns):
            raise ValueError(f"the row has {len(cells)} cells, and there are {len(self.columns)} columns")
        row = Row()
        for column, cell in zip(self.columns, cells, strict=True):
            kind = self._source.types.get(column, "str")
            try:
                # Of an empty string the server makes null, too.
                row[column] = TYPES[kind](cell) if cell else None
            except UsageError as problem:
                raise ValueError(f"the cell {column!r}: {problem}") from None
            except (ValueError, KeyError):
                among = " (true, false, yes, no, 1, 0)" if kind == "bool" else ""
                raise ValueError(f"the cell {column!r} is {cell[:60]!r}, which is no {kind}{among}") from None
        return row

    def _row_of_json(self) -> Row | None:
        line = next(self._text)
        self._line += 1
        self._lines.append(line)
        if not line.strip():
            return None
        value = parsed(line, "the line")
        if not isinstance(value, dict):
            raise ValueError('the line is JSON, but not an object such as {"days": 3}')
        return Row(value)

    def _other_encoding(self) -> str:
        return f"the row is not {self.encoding}; mend it, or say with --encoding what the file is"

    def _why(self, problem: Exception) -> str:
        words = str(problem)
        if "unexpected end of data" in words:
            return "a quote is not closed until the end of the file"
        return words if not isinstance(problem, csv.Error) else f"it is no CSV: {words}"

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


def _is_whole(text: str) -> bool:
    """Whether nothing in it stood for bytes that are not of the encoding."""
    return text.isascii() or not any("\udc80" <= character <= "\udcff" for character in text)


# --- writing --------------------------------------------------------------------------------------------------------


def written_as(path: Path) -> Format:
    """The format that a file's suffix names.

    Raises:
        UsageError: it names none.
    """
    if path.suffix.lower() not in SUFFIXES or path.suffix.lower() == ".tsv":
        raise UsageError(f"{path} is neither .csv nor .jsonl")
    return SUFFIXES[path.suffix.lower()]


class File:
    """A file that is written line by line, each of them whole at once.

    Attributes:
        problem: why the last line could not be written, once one could not; nothing more is written then.
    """

    def __init__(self, path: Path, encoding: str = "utf-8") -> None:
        self.path = path
        self.problem: OSError | None = None
        try:
            self._file: TextIO = path.open("w", encoding=encoding, errors="surrogateescape", newline="")
        except (OSError, ValueError) as problem:
            raise UsageError(f"{path} cannot be written: {getattr(problem, 'strerror', None) or problem}") from None

    def write(self, text: str) -> None:
        if self.problem:
            return
        try:
            self._file.write(text)
            self._file.flush()
        except OSError as problem:
            self.problem = problem

    def close(self) -> None:
        try:
            self._file.close()
        except OSError as problem:
            self.problem = self.problem or problem


class Results(File):
    """What became of each row."""

    def __init__(self, path: Path, fields: Sequence[str]) -> None:
        self._as_json = written_as(path) == "jsonl"
        super().__init__(path)
        if not self._as_json:
            self.write(_cells(fields))

    def add(self, result: Mapping[str, Any]) -> None:
        self.write(json.dumps(result) + "\n" if self._as_json else _cells(result.values()))


class Rejects(File):
    """Rows as they stood in what they were read from, so that they can be mended and given again."""

    def __init__(self, path: Path, source: Reader) -> None:
        super().__init__(path, source.encoding)
        self.count = 0
        if source.head:
            self.write(_ended(source.head))

    def add(self, text: str) -> None:
        self.count += 1
        self.write(_ended(text))

    def close(self) -> None:
        super().close()
        if not self.count:
            self.path.unlink(missing_ok=True)


def _cells(values: Any) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(["" if value is None else value for value in values])
    return line.getvalue()


def _ended(text: str) -> str:
    return text if text.endswith(("\n", "\r")) else text + "\n"
