"""What a step makes of a row: pure functions, which all journals of this package share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Self

from attrs import evolve, frozen

from ..errors import JournalError
from .protocol import RESERVATION, Entry, KeyedStart, State, check_age, check_lease


@frozen
class Before:
    """What `release` restores: `unknown` since it was sent, or `started` if that Request is being replaced."""

    state: State
    owner: str
    since: float


@frozen
class Row:
    """One entry as it is kept. See `Entry`; `since` is in seconds of the journal's clock."""

    state: State
    owner: str
    since: float
    request_id: int | None = None
    uuid: str | None = None
    fingerprint: str | None = None
    before: Before | None = None


Changed = tuple[Row | None, bool]
"""What is there after a step, and its answer. If it is the same object as before, nothing has changed."""

Change = Callable[[Row | None, float], Changed]
"""A step: what is there, and the time."""


def reserve(row: Row | None, now: float, *, owner: str, lease: float, replace: int | None) -> Changed:
    """See `Journal.reserve`. The answer is whether it is the owner's."""
    if row is None:
        return Row("reserved", owner, now), True
    taken = evolve(row, state="reserved", owner=owner, since=now)
    if row.state == "started":
        if row.request_id != replace:
            return row, False
        return evolve(taken, before=Before("started", row.owner, row.since)), True
    if row.owner == owner and row.state in ("reserved", "sending"):
        return (taken, True) if row.state == "reserved" else (row, False)
    if now < row.since:
        # The clock was set back. The time counts from now on, or the key would be blocked for as long.
        return evolve(row, since=now), False
    if row.state == "reserved":
        return (taken, True) if now - row.since > RESERVATION else (row, False)
    if now - row.since > lease:
        return evolve(taken, before=Before("unknown", row.owner, row.since)), True
    return row, False


def sending(row: Row | None, now: float, *, owner: str) -> Changed:
    """See `Journal.sending`."""
    if row and row.owner == owner and row.state in ("reserved", "sending"):
        return evolve(row, state="sending", since=now), True
    return row, False


def started(
    row: Row | None, now: float, *, owner: str, request_id: int, uuid: str | None, fingerprint: str | None
) -> Changed:
    """See `Journal.started`."""
    if row is None or row.owner != owner:
        return row, False
    if row.state == "started":  # its answer was lost
        return row, row.request_id == request_id
    return Row("started", owner, now, request_id, uuid, fingerprint), True


def unknown(row: Row | None, now: float, *, owner: str) -> Changed:  # noqa: ARG001
    """See `Journal.unknown`. What was there before the reservation counts no more: its lease was over."""
    if row and row.owner == owner and row.state == "sending":
        return evolve(row, state="unknown", before=None), True
    return row, bool(row and row.owner == owner and row.state == "unknown")  # its answer was lost


def release(row: Row | None, now: float, *, owner: str) -> Changed:  # noqa: ARG001
    """See `Journal.release`."""
    if row is None or row.owner != owner or row.state not in ("reserved", "sending"):
        return row, False
    before = row.before
    if before is None:
        return None, True
    return evolve(row, state=before.state, owner=before.owner, since=before.since, before=None), True


def forget(row: Row | None, now: float, *, request_id: int | None) -> Changed:  # noqa: ARG001
    """See `Journal.forget`."""
    if row is None or (request_id is not None and (row.state, row.request_id) != ("started", request_id)):
        return row, False
    return None, True


def drop_started(row: Row | None, now: float, *, older_than: float) -> Changed:
    """See `Journal.prune`."""
    if row and row.state == "started" and now - row.since > older_than:
        return None, True
    return row, False


def look(row: Row | None, now: float) -> Changed:  # noqa: ARG001
    """See `Journal.read`."""
    return row, False


class RowJournal(ABC):
    """The steps of a journal over rows. A subclass says how rows are kept, and what its clock counts."""

    def __init__(self, name: str, lease: float) -> None:
        self._name = name
        self.lease = lease

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._name}, lease={self._lease:g}>"

    @property
    def lease(self) -> float:
        """See `Journal.lease`."""
        return self._lease

    @lease.setter
    def lease(self, lease: float) -> None:
        self._lease = check_lease(lease)

    @abstractmethod
    def _change(self, changes: dict[KeyedStart, Change]) -> tuple[float, dict[KeyedStart, Changed]]:
        """Take a step for each start. Return the time, and for each start its row and the answer."""

    @abstractmethod
    def _list(self, *, started: bool) -> tuple[float, list[tuple[KeyedStart, Row]]]:
        """Return the time, and the rows that are not started; with `started`, all rows."""

    def reserve(self, starts: Sequence[tuple[KeyedStart, str]], *, replace: int | None = None) -> list[Entry]:
        """See `Journal.reserve`."""
        changes: dict[KeyedStart, Change] = {}
        for start, owner in starts:
            changes.setdefault(start, partial(reserve, owner=owner, lease=self._lease, replace=replace))
        if not changes:
            return []
        now, done = self._change(changes)
        entries = []
        for start, _ in starts:
            row, mine = done[start]
            assert row is not None
            entries.append(self._entry(start, row, now, mine=mine))
            done[start] = row, False  # if it is given twice, the second one is not the caller's
        return entries

    def sending(self, start: KeyedStart, owner: str) -> bool:
        """See `Journal.sending`."""
        return self._change_one(start, partial(sending, owner=owner))[2]

    def started(
        self, start: KeyedStart, owner: str, request_id: int, *, uuid: str | None = None, fingerprint: str | None = None
    ) -> bool:
        """See `Journal.started`."""
        change = partial(started, owner=owner, request_id=request_id, uuid=uuid, fingerprint=fingerprint)
        return self._change_one(start, change)[2]

    def unknown(self, start: KeyedStart, owner: str) -> bool:
        """See `Journal.unknown`."""
        return self._change_one(start, partial(unknown, owner=owner))[2]

    def release(self, start: KeyedStart, owner: str) -> bool:
        """See `Journal.release`."""
        return self._change_one(start, partial(release, owner=owner))[2]

    def read(self, start: KeyedStart) -> Entry | None:
        """See `Journal.read`."""
        now, row, _ = self._change_one(start, look)
        return self._entry(start, row, now) if row else None

    def entries(self, *, started: bool = False) -> Iterator[Entry]:
        """See `Journal.entries`. They are read when this is called."""
        now, found = self._list(started=started)
        return iter([self._entry(start, row, now) for start, row in found])

    def forget(self, start: KeyedStart, *, request_id: int | None = None) -> bool:
        """See `Journal.forget`."""
        return self._change_one(start, partial(forget, request_id=request_id))[2]

    def prune(self, older_than: timedelta) -> int:
        """See `Journal.prune`."""
        change = partial(drop_started, older_than=check_age("older_than", older_than).total_seconds())
        now, found = self._list(started=True)
        _, done = self._change({start: change for start, row in found if change(row, now)[1]})
        return sum(dropped for _, dropped in done.values())

    def close(self) -> None:  # noqa: B027  # in memory nothing is open
        """Close what is open. A later step opens it again."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _change_one(self, start: KeyedStart, change: Change) -> tuple[float, Row | None, bool]:
        now, done = self._change({start: change})
        return now, *done[start]

    def _entry(self, start: KeyedStart, row: Row, now: float, *, mine: bool = False) -> Entry:
        return Entry(
            start=start,
            state=row.state,
            owner=row.owner,
            since=self._moment(row.since, now),
            age=max(0.0, now - row.since),
            request_id=row.request_id,
            uuid=row.uuid,
            fingerprint=row.fingerprint,
            mine=mine,
        )

    def _moment(self, since: float, now: float) -> datetime:  # noqa: ARG002
        return datetime.fromtimestamp(since, UTC)

    def _error(self, why: str, *, transient: bool = False) -> JournalError:
        return JournalError(f"the journal {self._name}: {why}", journal=self._name, transient=transient)
