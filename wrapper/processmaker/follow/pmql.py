"""Writes conditions in PMQL, ProcessMaker's query language."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from math import ceil

from ..errors import InvalidData
from ..models import Status

IN_PMQL = {"ACTIVE": "In Progress", "COMPLETED": "Completed", "ERROR": "Error", "CANCELED": "Canceled"}
"""What PMQL calls the states of a Request."""

AnyStatus = Status | str | Iterable[str] | None
Since = datetime | timedelta | None


def condition(
    pmql: str | None, *, process_id: int | None, status: AnyStatus, since: Since, now: datetime
) -> str | None:
    """Return all of it as one condition; None for none.

    Raises:
        InvalidData: a status or a time cannot be one.
    """
    parts = [f"({pmql})"] if pmql and pmql.strip() else []
    if process_id is not None:
        parts.append(f"process_id = {process_id}")
    if status is not None:
        states = [f'status = "{_state(one)}"' for one in ([status] if isinstance(status, str) else status)]
        if not states:
            raise InvalidData("status=[] names none; leave it out for any")
        parts.append(states[0] if len(states) == 1 else f"({' OR '.join(states)})")
    if since is not None:
        # A time of day would be read in the time zone of the token's user; an age is not.
        parts.append(f"created >= NOW -{_age(since, now)} second")
    return pmql if parts == [f"({pmql})"] else " AND ".join(parts) or None


def _state(status: object) -> str:
    name = status.upper() if isinstance(status, str) else ""
    if name not in IN_PMQL:
        raise InvalidData(f"status={status!r} is none of {', '.join(IN_PMQL)}")
    return IN_PMQL[name]


def _age(since: object, now: datetime) -> int:
    if isinstance(since, datetime):
        if since.tzinfo is None:
            raise InvalidData(f"since={since!r} has no time zone; give an aware datetime, such as .astimezone() makes")
        since = now - since
    if not isinstance(since, timedelta):
        raise InvalidData(f"since={since!r} is neither a datetime nor a timedelta")
    return max(0, ceil(since.total_seconds()))
