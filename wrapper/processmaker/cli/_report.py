"""Reports what is wrong with rows: on standard error, and in the files of results and rejects."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

from attrs import define, field

from ._files import LineFile
from ._output import say
from ._rows import Row

SHOWN_AT_MOST = 20
"""Rows with errors, and warnings, of which each has a line on standard error."""

FIELDS = ("line", "key", "request_id", "outcome", "status", "error")
"""Of the file of results."""


@define
class Report:
    """What is said and written of the rows of one run.

    Args:
        source: the name of what the rows are read from.
        results: the file that gets what became of each row.
        rejects: the file that gets the rows that cannot be sent, as they are in the input.
        as_json: whether the lines of the results are JSON; else they are CSV.
    """

    _source: str
    results: LineFile | None
    rejects: LineFile | None
    _as_json: bool
    _said: Counter[str] = field(factory=Counter, init=False)
    _altered: Counter[str] = field(factory=Counter, init=False)

    def show_error(self, row: Row, words: str) -> None:
        self._show("rows with errors", f"{self._source}:{row.line}: {words}", "note")

    def show_warning(self, words: str) -> None:
        self._show("warnings", words, "warning")

    def _show(self, group: str, words: str, kind: str) -> None:
        self._said[group] += 1
        if self._said[group] <= SHOWN_AT_MOST:
            say(words, kind)

    def show_altered(self, row: Row, places: Iterable[str]) -> None:
        """Say which places of a row the server alters, if no row before had them; count them otherwise."""
        for place in places:
            self._altered[place] += 1
            if self._altered[place] == 1:
                self.show_warning(f"{self._source}:{row.line}: the server alters {place}")

    def write_result(self, *values: Any) -> None:
        """Write what became of a row: the values of `FIELDS`."""
        if self.results and self._as_json:
            self.results.write(json.dumps(dict(zip(FIELDS, values, strict=True))) + "\n")
        elif self.results:
            csv.writer(self.results, lineterminator="\n").writerow(values)

    def reject(self, row: Row) -> None:
        if self.rejects:
            self.rejects.write(row.text if row.text.endswith(("\n", "\r")) else row.text + "\n")

    @property
    def problem(self) -> OSError | None:
        """Why a file cannot be written."""
        return next((file.problem for file in (self.results, self.rejects) if file and file.problem), None)

    def show_rest(self) -> None:
        """Say what was not shown."""
        for group, count in self._said.items():
            if count > SHOWN_AT_MOST:
                say(f"{count - SHOWN_AT_MOST:,} more {group} are not shown", "warning")
        for place, rows in self._altered.items():
            if rows > 1:
                say(f"the server alters {place} in {rows:,} rows", "warning")
