"""Writes conditions in PMQL, ProcessMaker's query language."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from math import ceil

from attrs import frozen

from ..errors import InvalidData
from ..models import Status
from ..processes import AnyProcess

IN_PMQL = {"ACTIVE": "In Progress", "COMPLETED": "Completed", "ERROR": "Error", "CANCELED": "Canceled"}
"""What PMQL calls the states of a Request."""

AnyStatus = Status | str | Iterable[str] | None
Since = datetime | timedelta | None


@frozen
class Conditions:
    """What a list of Requests is asked for: those that fulfil all of it.

    Args:
        pmql: a condition in PMQL.
        process: the process that they are of.
        status: their status, or several.
        since: the time since which they were created, or their age at most.
    """

    pmql: str | None = None
    process: AnyProcess | None = None
    status: AnyStatus = None
    since: Since = None

    def in_pmql(self, process_id: int | None, now: datetime) -> str:
        """Return all of it as one condition; an empty text for none.

        Raises:
            InvalidData: a status or a time cannot be one.
        """
        parts = [f"({self.pmql})"] if self.pmql and self.pmql.strip() else []
        if process_id is not None:
            parts.append(f"process_id = {process_id}")
        if self.status is not None:
            names = [self.status] if isinstance(self.status, str) else self.status
            states = [f'status = "{_state(name)}"' for name in names]
            if not states:
                raise InvalidData("status=[] names none; leave it out for any")
            parts.append(states[0] if len(states) == 1 else f"({' OR '.join(states)})")
        if self.since is not None:
            # A time of day would be read in the time zone of the token's user; an age is not.
            parts.append(f"created >= NOW -{_age(self.since, now)} second")
        return self.pmql if self.pmql and parts == [f"({self.pmql})"] else " AND ".join(parts)


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
