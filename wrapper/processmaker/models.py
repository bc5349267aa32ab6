"""What the server's answers become: frozen values, the same for both clients. Verbs live on the client.

Every value keeps the JSON object it was made from in `raw`, unknown fields included.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeGuard

from attrs import field, frozen

from .data import IDEMPOTENCY_KEY

FINISHED = frozenset({"COMPLETED", "ERROR", "CANCELED"})

Raw = dict[str, Any]


@frozen(kw_only=True)
class StartEvent:
    """A place where a process begins.

    Args:
        id: the node id, such as `node_1`; this is what goes on the wire.
        name: what people call it, such as `Ask for leave`.
        manual: whether a user starts it; False for timers, signals and messages.
        raw: the JSON object as the server sent it.
    """

    id: str
    name: str
    manual: bool = True
    raw: Raw = field(factory=dict, repr=False, hash=False)


@frozen(kw_only=True)
class Process:
    """A process that this token may start.

    Args:
        id: the number that identifies it.
        name: unique among the processes of one server (observed on 4.15.5).
        description: what its author wrote about it.
        start_events: where it begins: the manual ones this user may use, then timers and the like.
        raw: the JSON object as the server sent it.
    """

    id: int
    name: str
    description: str = ""
    start_events: tuple[StartEvent, ...] = ()
    raw: Raw = field(factory=dict, repr=False, hash=False)


@frozen(kw_only=True)
class Request:
    """A running (or finished) instance of a process.

    Args:
        id: the number that identifies it.
        status: ACTIVE, COMPLETED, ERROR or CANCELED; a newer server may have more.
        name: the name of its process.
        process_id: the id of its process.
        case_number: the number of the case it belongs to.
        data: what it holds, where the server sent it (`pm.get` does, a start does not); None where it did not.
            An empty answer of `[]` is `{}`, and a list is a dict of its positions, as the server keeps both. Deeper
            in it, what was sent as an object comes back as a list where it was empty or all its keys were numbers
            (observed on 4.15.5): which of the two a list was, and what the keys were, cannot be known from it.
        errors: what the engine said, one JSON object for each error (`message`, `element_id`, …).
        created_at, completed_at: aware datetimes.
        url: its page for a browser.
        idempotency_key: the key it was started with, where that is known: after a start or a look with the key, and
            where the summary was read, `get(…, include=["summary"])`. Elsewhere None says nothing; with the summary,
            it says that there was none.
        created: True when a start made it, False when it was there before, None when that is not known or it was
            only read.
        raw: the JSON object as the server sent it.
    """

    id: int
    status: str
    name: str
    process_id: int | None = None
    case_number: int | None = None
    data: dict[str, Any] | None = field(default=None, hash=False)
    errors: tuple[Raw, ...] = field(default=(), hash=False)
    created_at: datetime | None = None
    completed_at: datetime | None = None
    url: str = ""
    idempotency_key: str | None = None
    created: bool | None = None
    raw: Raw = field(factory=dict, repr=False, hash=False)

    @property
    def finished(self) -> bool:
        """Whether it is over: COMPLETED, ERROR or CANCELED."""
        return self.status in FINISHED


@frozen(kw_only=True)
class Task:
    """A step of a Request that waits for a person, or did.

    Args:
        id: the number that identifies it.
        name: what people call it, such as `Approve leave`.
        status: ACTIVE while it waits, CLOSED afterwards; a newer server may have more.
        element_id: the node id in the process.
        request_id, process_id: where it belongs.
        user_id: whom it waits for; None where nobody is assigned.
        created_at, due_at, completed_at: aware datetimes.
        raw: the JSON object as the server sent it.
    """

    id: int
    name: str
    status: str
    element_id: str = ""
    request_id: int | None = None
    process_id: int | None = None
    user_id: int | None = None
    created_at: datetime | None = None
    due_at: datetime | None = None
    completed_at: datetime | None = None
    raw: Raw = field(factory=dict, repr=False, hash=False)


def request_from(answer: object, site: str, *, created: bool | None = None) -> Request:
    """The Request that the server described. Raises ValueError where it has no id; all else may be missing."""
    raw = _object(answer)
    request_id = _needed_id(raw)
    return Request(
        id=request_id,
        status=_text(raw.get("status")),
        name=_text(raw.get("name")),
        process_id=integer(raw.get("process_id")),
        case_number=integer(raw.get("case_number")),
        data=_data(raw.get("data")),
        errors=_errors(raw.get("errors")),
        created_at=moment(raw.get("created_at")),
        completed_at=moment(raw.get("completed_at")),
        idempotency_key=_key(raw.get("summary")),
        url=f"{site}/requests/{request_id}",
        created=created,
        raw=raw,
    )


def process_from(answer: object) -> Process:
    """The process that the server described. Raises ValueError where it has no id."""
    raw = _object(answer)
    # `startEvents` are the manual ones; `events` has all that this user may use, timers too (4.15.5).
    manual = _start_events(raw.get("startEvents"))
    automatic = (event for event in _start_events(raw.get("events")) if not event.manual)
    return Process(
        id=_needed_id(raw),
        name=_text(raw.get("name")),
        description=_text(raw.get("description")),
        start_events=(*manual, *automatic),
        raw=raw,
    )


def task_from(answer: object) -> Task:
    """The task that the server described. Raises ValueError where it has no id."""
    raw = _object(answer)
    return Task(
        id=_needed_id(raw),
        name=_text(raw.get("element_name")),
        status=_text(raw.get("status")),
        element_id=_text(raw.get("element_id")),
        request_id=integer(raw.get("process_request_id")),
        process_id=integer(raw.get("process_id")),
        user_id=integer(raw.get("user_id")),
        created_at=moment(raw.get("created_at")),
        due_at=moment(raw.get("due_at")),
        completed_at=moment(raw.get("completed_at")),
        raw=raw,
    )


def items(answer: object) -> list[Any]:
    """The rows of a list answer. An answer without them is not an empty list: that would hide what is there."""
    rows = _object(answer).get("data")
    if not isinstance(rows, list):
        raise ValueError("no list of data")
    return rows


def last_page(answer: object) -> int:
    """The number of the last page of a list answer; 1 where it does not say."""
    meta = _object(answer).get("meta")
    return integer(meta.get("last_page") if isinstance(meta, dict) else None) or 1


def is_id(value: object) -> TypeGuard[int]:
    """Whether it can be the id of something: a whole number from 1 that the server can hold."""
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value < 2**63


def total(answer: object) -> int:
    """How many rows there are on all pages. Raises ValueError where the answer does not say."""
    meta = _object(answer).get("meta")
    number = integer(meta.get("total") if isinstance(meta, dict) else None)
    if number is None:
        raise ValueError("no total")
    return number


def integer(value: object) -> int | None:
    """Ids come as integers and, in places, as strings (observed on 4.15.5); anything else is None."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        return int(value)
    return None


def _object(answer: object) -> Raw:
    if not isinstance(answer, dict):
        raise ValueError(f"no JSON object, but {type(answer).__name__}")
    return answer


def _needed_id(raw: Raw) -> int:
    number = integer(raw.get("id"))
    if number is None or number < 1:
        raise ValueError(f"no usable id: {raw.get('id')!r}")
    return number


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _key(summary: object) -> str | None:
    for item in summary if isinstance(summary, list) else ():
        if isinstance(item, dict) and item.get("key") == IDEMPOTENCY_KEY and isinstance(item.get("value"), str):
            return str(item["value"])
    return None


def moment(value: object) -> datetime | None:
    """Both forms observed on 4.15.5: `2026-11-23T22:12:30+00:00` and, in UTC, `2026-11-23 22:10:18`."""
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found and found.tzinfo is None else found


def _data(value: object) -> dict[str, Any] | None:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, list):
        return {str(position): item for position, item in enumerate(value)}
    return None


def _errors(value: object) -> tuple[Raw, ...]:
    if not value or not isinstance(value, list):
        return ({"message": value},) if isinstance(value, str) and value else ()
    return tuple(dict(error) if isinstance(error, Mapping) else {"message": str(error)} for error in value)


def _start_events(value: object) -> list[StartEvent]:
    return [
        StartEvent(id=event["id"], name=_text(event.get("name")), manual=not event.get("eventDefinitions"), raw=event)
        for event in (value if isinstance(value, list) else ())
        if isinstance(event, dict) and isinstance(event.get("id"), str)
    ]
