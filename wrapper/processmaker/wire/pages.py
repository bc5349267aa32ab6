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
    by_id: bool = False,
    within: float | None = None,
    once: bool = False,
) -> AsyncGenerator[R, None]:
    """Yield all rows of a list, page after page; a row that comes again is left out.

    With `by_id` each call asks for the ids above the last one. Rows that leave the list while it is read, or join it,
    shift nothing then: none is skipped.

    Args:
        io: how to reach the server.
        request: builds the request for the page with this number; with `by_id`, for the rows with an id above this one.
        read: makes a value of a row; ValueError for one that cannot be read.
        by_id: the rows come in ascending order of id.
        within: seconds for all pages together.
        once: a page is not asked for again if it fails.

    Raises:
        ProcessMakerError: a page could not be read.
    """

    def read_page(answer: object) -> tuple[list[R], int]:
        return [read(row) for row in items(answer)], last_page(answer)

    place, before = 0 if by_id else 1, set[int]()
    deadline = None if within is None else io.clock.monotonic() + within
    while True:
        left = None if deadline is None else deadline - io.clock.monotonic()
        if left is not None and left <= 0 and before:
            raise TimedOut("The list is longer than the time for it.", processed=False)
        rows, last = await io.call(request(place), read_page, within=left, once=once)
        fresh = [row for row in rows if row.id not in before]
        # A page beyond the only one has all rows again (observed on 4.15.5): an empty page may never come.
        if not fresh:
            return
        for row in fresh:
            yield row
        if last <= (1 if by_id else place):
            return
        before = {row.id for row in rows}
        place = max(before) if by_id else place + 1
