"""The same key with other data: the Request that is there is returned, and what differs is told."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from datetime import timedelta
from itertools import repeat
from typing import Any

from ..data import IDEMPOTENCY_KEY, SERVERS_OWN, STARTING, all_numbers, callers_level
from ..errors import ProcessMakerError
from ..follow.reading import tasks_of
from ..models import Request, moment
from ..wire.call import IO

STARTED_WITHIN = timedelta(seconds=5)
"""How long the engine may change a Request after it was made, before a change must be somebody's."""

NAMED_AT_MOST = 10


class KeyReusedWarning(UserWarning):
    """A start found the Request that its key was used for before, and that one was started with other data.

    The message names what differs, and where the old data can be seen. The data of this start was not sent.
    """


async def report_other_data(io: IO, key: str, data: dict[str, Any], found: Request) -> None:
    """Warns where a Request was started with other data than `data`.

    What it holds may have been changed since, by a task or anything else. So only what this start would have stored
    is looked for, and only in a Request that nobody has touched.

    Args:
        data: the data of this start, with its key.
        found: as the look for the key gave it, with its summary.
    """
    if (names := differing(data, found.raw.get("summary"))) and await _untouched(io, found):
        _warn(key, found, names)


def compare(key: str, found: Request, first: dict[str, Any], data: dict[str, Any]) -> None:
    """Warns where the start that came to `found` a moment ago had other data than this one has."""
    if names := [name for name in {**first, **data} if first.get(name) != data.get(name)]:
        _warn(key, found, names)


def _warn(key: str, found: Request, names: list[str]) -> None:
    more = f" and {len(names) - NAMED_AT_MOST} more" if len(names) > NAMED_AT_MOST else ""
    what = ", ".join(f"data.{name}" for name in names[:NAMED_AT_MOST]) + more
    warnings.warn(
        f'Request {found.id} was started with the key "{key}" and other data than this start has: {what} differ. It is '
        f'returned as it is, and this data was not sent. See what it holds with get({found.id}, include="summary") or '
        f"on {found.url}; another order needs another key.",
        KeyReusedWarning,
        stacklevel=callers_level(),
    )


def differing(data: dict[str, Any], summary: object) -> list[str]:
    """The names of what `data` would have been stored as, and a Request's summary has otherwise or not at all."""
    rows = [row for row in summary if isinstance(row, dict)] if isinstance(summary, list) else []
    stored = {row.get("key"): row.get("value") for row in rows}
    try:
        return [
            name
            for name, value in data.items()
            if name not in (IDEMPOTENCY_KEY, *SERVERS_OWN)
            and _read_back(value, STARTING.at_the_top) != _read_back(stored.get(name), _as_it_is)
        ]
    except RecursionError:  # called from a deep stack
        return []


async def _untouched(io: IO, found: Request) -> bool:
    """Whether a Request can still be as it was started: nothing was stored late, and no task of it was completed."""
    made, changed = found.created_at, moment(found.raw.get("updated_at"))
    if made is None or changed is None or changed - made > STARTED_WITHIN:
        return False
    try:
        return not await tasks_of(io, found.id, "CLOSED", once=True)
    except ProcessMakerError:
        return False


def _read_back(value: Any, text: Callable[[str], str | None]) -> Any:
    """A value as the API gives it back, if `text` is what the server makes of a string there.

    One frame for each level: the data may be deep.
    """
    if isinstance(value, str):
        return text(value)
    deeper = _as_it_is if text is _as_it_is else STARTING.deeper
    if isinstance(value, list):
        return list(map(_read_back, value, repeat(deeper)))
    if not isinstance(value, dict):
        return value
    members = dict(zip(value, map(_read_back, value.values(), repeat(deeper)), strict=True))
    # Keys that are all numbers are lost, and so are those of an empty object (4.15.5).
    return list(members.values()) if all_numbers(members) else members


def _as_it_is(text: str) -> str:
    return text
