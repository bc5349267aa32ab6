"""Reading a list of the API, page after page."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Any, Protocol, TypeVar

from ..errors import TimedOut
from ..models import items, last_page
from .call import IO

PER_PAGE = 100
"""Rows that one call fetches, unless told otherwise. The server's own default is 10 (observed on 4.15.5)."""


class Row(Protocol):
    """A value that is read from a row."""

    @property
    def id(self) -> int: ...


R = TypeVar("R", bound=Row)


async def read_list(
    io: IO,
    request: Callable[[int], dict[str, Any]],
    read: Callable[[object], R],
    *,
    within: float | None = None,
    once: bool = False,
) -> AsyncGenerator[R, None]:
    """All rows of a list, by the numbers of its pages; a row that comes again is left out.

    Args:
        io: how to reach the server.
        request: builds the request for the page with this number.
        read: makes a value of a row; ValueError for one that cannot be read.
        within: seconds for all pages together.
        once: a page is not asked for again if it fails.

    Raises:
        ProcessMakerError: a page could not be read.
    """
    pages = _Pages(io, read, within, once)
    page, before = 1, set[int]()
    while True:
        rows, last = await pages.fetch(request(page))
        fresh = [row for row in rows if row.id not in before]
        # A page beyond the only one has all rows again (observed on 4.15.5): an empty page may never come.
        if not fresh:
            return
        for row in fresh:
            yield row
        if page >= last:
            return
        page, before = page + 1, {row.id for row in rows}


async def read_by_id(
    io: IO,
    request: Callable[[int | None], dict[str, Any]],
    read: Callable[[object], R],
    *,
    within: float | None = None,
    once: bool = False,
) -> AsyncGenerator[R, None]:
    """All rows of a list in ascending order of id. Each call asks for the ids above the last one.

    Rows that leave the list while it is read, or join it, shift nothing: none is skipped, and none comes twice.

    Args:
        io, read, within, once: as for `read_list`.
        request: builds the request for the rows with an id above the given one; None for all.
    """
    pages = _Pages(io, read, within, once)
    above: int | None = None
    while True:
        rows, last = await pages.fetch(request(above))
        fresh = [row for row in rows if above is None or row.id > above]
        if not fresh:
            return
        for row in fresh:
            yield row
        if last <= 1:
            return
        above = max(row.id for row in fresh)


class _Pages:
    """Fetches the pages of one list, all within the same time."""

    def __init__(self, io: IO, read: Callable[[object], Any], within: float | None, once: bool) -> None:
        self._io = io
        self._read = read
        self._once = once
        self._deadline = None if within is None else io.clock.monotonic() + within
        self._fetched = 0

    async def fetch(self, request: dict[str, Any]) -> tuple[list[Any], int]:
        """The rows of a page, and the number of the last page."""
        left = None if self._deadline is None else self._deadline - self._io.clock.monotonic()
        if left is not None and left <= 0 and self._fetched:
            raise TimedOut(f"The list is longer than the time for it: {self._fetched} pages came.", processed=False)
        rows, last = await self._io.call(request, self._read_page, within=left, once=self._once)
        self._fetched += 1
        return rows, last

    def _read_page(self, answer: object) -> tuple[list[Any], int]:
        return [self._read(row) for row in items(answer)], last_page(answer)
