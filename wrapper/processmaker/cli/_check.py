"""Checks rows without sending anything: `start-many --dry-run`."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Sequence
from typing import Any

from attrs import asdict, define, field

from ..errors import InvalidData
from ._exits import DONE, FAILED, KEY_REUSED, UsageError
from ._output import Column as Heading
from ._output import Output, say
from ._progress import LINE_EVERY
from ._report import Report
from ._rows import BadRow, Reader

MOST_COLUMNS = 100
"""Columns that are described. JSON lines may have other keys in each line."""

_KINDS = {bool: "boolean", int: "integer", float: "number", str: "string", list: "list", dict: "object"}


@define
class Column:
    """What the rows have in one column, or under one top-level key of JSON lines.

    Attributes:
        name: of the column.
        types: of JSON values that it has.
        filled: rows with a value.
        empty: rows with null.
        example: its first value.
    """

    name: str
    types: list[str] = field(factory=list)
    filled: int = 0
    empty: int = 0
    example: Any = None

    def add(self, value: Any) -> None:
        if value is None:
            self.empty += 1
            return
        if not self.filled:
            self.example = value
        self.filled += 1
        if (kind := _KINDS[type(value)]) not in self.types:
            self.types.append(kind)


class DryRun:
    """Checks every row as `start_many` would, and describes the columns.

    Args:
        output: gets the description.
        reader: the rows.
        report: gets what is wrong with them.
        without: the columns that do not count when rows with the same key are compared.
        on_reused_key: as for `start_many`.
    """

    def __init__(
        self, output: Output, reader: Reader, report: Report, *, without: Sequence[str], on_reused_key: str
    ) -> None:
        self._output = output
        self._reader = reader
        self._report = report
        self._keys = _Keys(without)
        self._on_reused_key = on_reused_key
        self._columns: dict[str, Column] = {}
        self._first: dict[str, Any] | None = None
        self._counts = dict.fromkeys(("rows", "good", "bad", "altered", "repeated_keys", "reused_keys"), 0)

    def run(self) -> int:
        """Checks the rows. Returns the exit code."""
        from ..data import alterations, check_data
        from ..once.key import check_key

        counts, ended, last = self._counts, None, time.monotonic()
        try:
            for row in self._reader:
                counts["rows"] += 1
                if time.monotonic() - last >= LINE_EVERY and not self._output.quiet:
                    last = time.monotonic()
                    say(f"{counts['rows']:,} rows checked")
                try:
                    if isinstance(row, BadRow):
                        raise InvalidData(row.problem)
                    data = check_data(row)
                    if row.key is not None:
                        check_key(row.key)
                except InvalidData as error:
                    counts["bad"] += 1
                    self._report.show_error(row.line, str(error))
                    self._report.reject(row)
                    continue
                counts["good"] += 1
                self._report.show_altered(row.line, [found.words for found in alterations(data)])
                for name, value in data.items():
                    if name in self._columns or len(self._columns) < MOST_COLUMNS:
                        self._columns.setdefault(name, Column(name)).add(value)
                if row.key is not None:
                    self._first = self._first or {**data, "_idempotency_key": row.key}
                    self._compare(row.key, row.line, data)
                self._first = self._first or data
        except UsageError as error:  # the rest cannot be read
            ended = error
        counts["altered"] = self._report.altered_rows
        if ended:
            say(str(ended))
        refused = counts["reused_keys"] and self._on_reused_key == "error"
        return FAILED if counts["bad"] or ended else KEY_REUSED if refused else DONE

    def _compare(self, key: str, line: int, data: dict[str, Any]) -> None:
        earlier = self._keys.earlier(key, line, data)
        if earlier is None:
            return
        first, same = earlier
        if same or self._on_reused_key == "ignore":
            self._counts["repeated_keys"] += 1
            self._report.show_error(line, f"the key {key} is that of line {first}, too: one Request for both")
        else:
            self._counts["reused_keys"] += 1
            refused = "it will be refused" if self._on_reused_key == "error" else "its data will not be sent"
            self._report.show_error(line, f"the key {key} is that of line {first}, which has other data: {refused}")

    def show(self, rejects: str | None) -> None:
        """Prints what was found."""
        self._keys.close()
        output = self._output
        columns = [asdict(column) for column in self._columns.values()]
        if output.as_json:
            output.row({**self._counts, "rejects": rejects, "columns": columns, "first": self._first})
        elif not output.quiet:
            if self._first is not None:
                output.table(columns, _HEADINGS, quietly=str, empty="")
                output.text("")
                output.line(f"the first row as it will be sent: {json.dumps(self._first, ensure_ascii=False)}")
                output.text("")
            output.facts({**self._counts, "rejects": rejects}, quietly="")
        self._report.show_rest()


_HEADINGS = (
    Heading("COLUMN", lambda column: column["name"]),
    Heading("TYPE", lambda column: "|".join(column["types"]) or "null"),
    Heading("FILLED", lambda column: column["filled"], whole=True),
    Heading("EMPTY", lambda column: column["empty"], whole=True),
    Heading("FIRST VALUE", lambda column: _short(column["example"]), from_width=60),
)


def _short(value: object, length: int = 30) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= length else text[: length - 1] + "…"


class _Keys:
    """The keys of the rows so far, and the fingerprints of their data; on disk, as there may be millions.

    Args:
        without: the columns that the fingerprint leaves out.
    """

    def __init__(self, without: Sequence[str]) -> None:
        self._without = tuple(without)
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute("CREATE TABLE keys (key TEXT PRIMARY KEY, line INTEGER, fingerprint TEXT) WITHOUT ROWID")
        self._db.execute("BEGIN")

    def earlier(self, key: str, line: int, data: dict[str, Any]) -> tuple[int, bool] | None:
        """The line that had this key first, and whether its data were the same; None if no line had it."""
        from ..once.key import fingerprint_of

        fingerprint = fingerprint_of(0, "", data, self._without)
        if self._db.execute("INSERT OR IGNORE INTO keys VALUES (?, ?, ?)", (key, line, fingerprint)).rowcount:
            return None
        first, before = self._db.execute("SELECT line, fingerprint FROM keys WHERE key = ?", (key,)).fetchone()
        return first, before == fingerprint

    def close(self) -> None:
        self._db.close()
