"""Checks rows without sending anything: `start-many --dry-run`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from attrs import asdict, define, field

from ..errors import InvalidData
from ._exits import DONE, FAILED, KEY_REUSED, UsageError
from ._output import Column as Heading
from ._output import Output, say
from ._report import Report
from ._rows import Reader, Row

COUNTS = ("rows", "good", "bad", "altered", "repeated_keys", "reused_keys")

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


_HEADINGS = (
    Heading("COLUMN", lambda column: column["name"]),
    Heading("TYPE", lambda column: "|".join(column["types"]) or "null"),
    Heading("FILLED", lambda column: column["filled"], whole=True),
    Heading("EMPTY", lambda column: column["empty"], whole=True),
    Heading("FIRST VALUE", lambda column: json.dumps(column["example"], ensure_ascii=False)[:30], from_width=60),
)


@define
class DryRun:
    """Checks every row as `start_many` would, and describes the columns.

    Args:
        output: gets the description.
        reader: the rows.
        report: gets what is wrong with them.
        without: the columns that do not count when rows with the same key are compared.
        on_reused_key: as for `start_many`.
    """

    _output: Output
    _reader: Reader
    _report: Report
    _without: Sequence[str]
    _on_reused_key: str
    _columns: dict[str, Column] = field(factory=dict, init=False)
    _first: dict[str, Any] | None = field(default=None, init=False)
    _keys: dict[str, tuple[int, str]] = field(factory=dict, init=False)
    _counts: dict[str, int] = field(factory=lambda: dict.fromkeys(COUNTS, 0), init=False)

    def run(self) -> int:
        """Check the rows. Return the exit code."""
        is_read = True
        try:
            for row in self._reader:
                self._check(row)
        except UsageError as problem:  # the rest cannot be read
            say(str(problem))
            is_read = False
        if self._counts["bad"] or not is_read:
            return FAILED
        return KEY_REUSED if self._counts["reused_keys"] and self._on_reused_key == "error" else DONE

    def _check(self, row: Row) -> None:
        from ..data import alterations, check_data
        from ..once.key import check_key

        counts = self._counts
        counts["rows"] += 1
        try:
            if row.problem:
                raise InvalidData(row.problem)
            data = check_data(row)
            if row.key is not None:
                check_key(row.key)
        except InvalidData as problem:
            counts["bad"] += 1
            self._report.show_error(row, str(problem))
            self._report.reject(row)
            return
        counts["good"] += 1
        altered = alterations(data)
        counts["altered"] += bool(altered)
        self._report.show_altered(row, [found.words for found in altered])
        for name, value in data.items():
            self._columns.setdefault(name, Column(name)).add(value)
        if self._first is None:
            self._first = data if row.key is None else {**data, "_idempotency_key": row.key}
        if row.key is not None:
            self._compare(row, row.key, data)

    def _compare(self, row: Row, key: str, data: dict[str, Any]) -> None:
        """Report a key that an earlier row has, too."""
        from ..once.key import fingerprint_of

        fingerprint = fingerprint_of(0, "", data, self._without)
        line, first = self._keys.setdefault(key, (row.line, fingerprint))
        if line == row.line:
            return
        if fingerprint == first or self._on_reused_key == "ignore":
            self._counts["repeated_keys"] += 1
            self._report.show_error(row, f"the key {key} is that of line {line}, too: one Request for both")
        else:
            self._counts["reused_keys"] += 1
            self._report.show_error(
                row, f"the key {key} is that of line {line}, which has other data: the row will not be sent"
            )

    def show_summary(self) -> None:
        """Print what was found."""
        output, rejects = self._output, self._report.rejects
        columns = [asdict(column) for column in self._columns.values()]
        facts = {**self._counts, "rejects": rejects and rejects.place}
        if output.as_json:
            output.row({**facts, "columns": columns, "first": self._first})
        elif not output.quiet:
            if self._first is not None:
                output.table(columns, _HEADINGS, quietly=str, empty="")
                output.text("")
                output.line(f"the first row as it will be sent: {json.dumps(self._first, ensure_ascii=False)}")
                output.text("")
            output.facts(facts, quietly="")
        self._report.show_rest()
