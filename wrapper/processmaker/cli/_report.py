"""Reports what is wrong with rows: on standard error, and in the files of results and rejects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ._files import LineFile, Rejects, Results
from ._output import say
from ._rows import BadRow, Row

SHOWN_AT_MOST = 20
"""Rows with errors, and warnings, of which each has a line on standard error."""

MOST_PLACES = 1_000
"""Places that are counted. JSON lines may have other keys in each line."""

FIELDS = ("line", "key", "request_id", "outcome", "status", "error")
"""Of the file of results."""


class Report:
    """What is said and written of the rows of one run.

    Args:
        source: the name of what the rows are read from.
        results: the file that gets what became of each row.
        rejects: the file that gets the rows that cannot be sent.

    Attributes:
        errors: rows with errors so far.
        altered_rows: rows in which the server alters something.
    """

    def __init__(self, source: str, results: Results | None = None, rejects: Rejects | None = None) -> None:
        self.results = results
        self.rejects = rejects
        self.errors = 0
        self.altered_rows = 0
        self._altered: dict[str, int] = {}
        self._source = source
        self._warnings = 0
        for file in self._files:
            if file.left_over:
                say(f"{file.left_over} is what a run that was killed has written; this run writes it anew")

    @property
    def _files(self) -> list[LineFile]:
        return [file for file in (self.results, self.rejects) if file]

    @property
    def problem(self) -> OSError | None:
        """Why a file cannot be written."""
        return next((file.problem for file in self._files if file.problem), None)

    def show_error(self, line: int, words: str) -> None:
        self.errors += 1
        if self.errors <= SHOWN_AT_MOST:
            say(f"{self._source}:{line}: {words}")

    def show_warning(self, words: str) -> None:
        self._warnings += 1
        if self._warnings <= SHOWN_AT_MOST:
            say(words, "warning")

    def show_altered(self, line: int, places: Sequence[str]) -> None:
        """Says which places of a row the server alters, if no row before had them; counts them otherwise."""
        self.altered_rows += bool(places)
        for place in places:
            if place in self._altered or len(self._altered) < MOST_PLACES:
                self._altered[place] = self._altered.get(place, 0) + 1
                if self._altered[place] == 1:
                    self.show_warning(f"{self._source}:{line}: the server alters {place}")

    def write_result(self, *values: Any) -> None:
        """Writes what became of a row: the values of `FIELDS`."""
        if self.results:
            self.results.add_row(dict(zip(FIELDS, values, strict=True)))

    def reject(self, row: Row | BadRow) -> None:
        if self.rejects:
            self.rejects.add(row.text)

    def close(self) -> None:
        """Gives the files their names. Nothing more is written."""
        for file in self._files:
            file.finish()

    def show_rest(self, *, way_out: str = "") -> None:
        """Says what was not shown, after `close`.

        Args:
            way_out: what is said of rows with errors that are in no file.
        """
        if self._warnings > SHOWN_AT_MOST:
            say(f"{self._warnings - SHOWN_AT_MOST:,} more warnings are not shown", "warning")
        for place, rows in self._altered.items():
            if rows > 1:
                say(f"the server alters {place} in {rows:,} rows", "warning")
        if self.errors > SHOWN_AT_MOST:
            # Every row with an error has a line in the results, but not every one is a reject.
            where = way_out
            if self.results:
                written = self.results.place and not self.results.problem
                where = f"; {self.results.place} has them all" if written else ""
            say(f"{self.errors - SHOWN_AT_MOST:,} more rows with errors are not shown{where}")
