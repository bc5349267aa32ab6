"""Makes frozen values of the server's answers, the same for both clients. What can be done is on the client.

Every value keeps the JSON object it was made from in `raw`, unknown fields included.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, TypeGuard

from attrs import field, frozen
from processmaker_api.models.media import Media
from processmaker_api.models.process_request import ProcessRequest
from processmaker_api.models.process_request_token import ProcessRequestToken
from processmaker_api.models.process_start_events import ProcessStartEvents
from processmaker_api.models.process_with_start_events import ProcessWithStartEvents
from processmaker_api.types import Unset

from .data import IDEMPOTENCY_FINGERPRINT, IDEMPOTENCY_KEY

FINISHED = frozenset({"COMPLETED", "ERROR", "CANCELED"})

Status = Literal["ACTIVE", "COMPLETED", "ERROR", "CANCELED"]
"""The known values of `Request.status`. A newer server may send others."""

Raw = dict[str, Any]


@frozen(kw_only=True)
class StartEvent:
    """A place where a process begins.

    Args:
        id: the node id, such as `node_1`; this is what goes on the wire.
        name: what people call it, such as `Ask for leave`.
        manual: True if it has no event definition, so that only a user starts it. False for timer, signal, message and
            conditional start events; `start` can start these by hand, too (observed on 4.15.5).
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
        start_events: where it begins, each once: those the server offers to this user first, then timers.
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
        status: ACTIVE, COMPLETED, ERROR or CANCELED (see `processmaker.types.Status`); a newer server may have more.
            The status in the answer to a start is right for that moment only: a process with a script may say ACTIVE
            and be COMPLETED, or in ERROR, a moment later (observed on 4.15.5). ERROR is not always the end: after the
            completion of an open task, or a retry by an administrator, such a Request can still become COMPLETED.
            COMPLETED does not always mean done: the child of a canceled parent ends as COMPLETED, too.
        name: the name of its process.
        process_id: the id of its process.
        user_id: the id of the user who started it; a child has its parent's.
        parent_request_id: the Request that started this one as a sub-process; None if there is none.
        case_number: the number of the case it belongs to; a parent and its children share it.
        uuid: its second identifier, unique on the server.
        data: what it holds, if the server sent it (`pm.get` asks for it, a start does not); None if it did not.
            An empty answer of `[]` is `{}`, and a list is a dict of its positions, as the server keeps both. Deeper
            in it, an object that was sent empty, or whose keys were all numbers, comes back as a list (observed on
            4.15.5): its keys are gone.
        errors: what the engine said, one JSON object for each error (`message`, `element_id`, …). A COMPLETED Request
            can have some, from before it was repaired.
        created_at, completed_at: aware datetimes.
        url: its page for a browser.
        idempotency_key: the key in its data, if it is known: after a start or a look with the key, and if the summary
            was read, `get(…, include=["summary"])`. Otherwise None says nothing. A sub-process has a copy of its
            parent's key.
        idempotency_fingerprint: the fingerprint beside the key, known as the key is.
        created: True if a start made it, False if it was there before, None if that is not known or it was only read.
        raw: the JSON object as the server sent it.
    """

    id: int
    status: str
    name: str
    process_id: int | None = None
    user_id: int | None = None
    parent_request_id: int | None = None
    case_number: int | None = None
    uuid: str = ""
    data: dict[str, Any] | None = field(default=None, hash=False)
    errors: tuple[Raw, ...] = field(default=(), hash=False)
    created_at: datetime | None = None
    completed_at: datetime | None = None
    url: str = ""
    idempotency_key: str | None = None
    idempotency_fingerprint: str | None = None
    created: bool | None = None
    raw: Raw = field(factory=dict, repr=False, hash=False)

    @property
    def finished(self) -> bool:
        """Whether its status is COMPLETED, ERROR or CANCELED."""
        return self.status in FINISHED


@frozen(kw_only=True)
class Task:
    """A step of a Request that waits for a person, or did.

    Args:
        id: the number that identifies it.
        name: what people call it, such as `Approve leave`.
        status: ACTIVE while it waits, CLOSED afterwards; a newer server may have more.
        element_id: the node id in the process; empty for a task that only another user may complete: the server does
            not show more of it (observed on 4.15.5).
        request_id, process_id: where it belongs.
        user_id: the id of the user it waits for; None if it waits for nobody in particular.
        is_self_service: whether several users may claim it, and nobody has.
        completable: whether this user may complete it now: True for an own or claimable task, False for another
            user's and for one that is closed, None if that cannot be known.
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
    is_self_service: bool = False
    completable: bool | None = None
    created_at: datetime | None = None
    due_at: datetime | None = None
    completed_at: datetime | None = None
    raw: Raw = field(factory=dict, repr=False, hash=False)


@frozen(kw_only=True)
class File:
    """A file of a Request.

    Args:
        id: the number that identifies it. To show the file in a form, write this number into the Request's data.
        name: the name of the data that it belongs to; another upload with this name replaces it.
        file_name: its file name; the server replaces blanks in it.
        mime_type: the type of its content, such as `text/plain`.
        size: its bytes.
        request_id: where it belongs.
        created_at: an aware datetime.
        raw: the JSON object as the server sent it.
    """

    id: int
    name: str
    file_name: str
    mime_type: str = ""
    size: int | None = None
    request_id: int
    created_at: datetime | None = None
    raw: Raw = field(factory=dict, repr=False, hash=False)


def request_from(answer: object, site: str, *, created: bool | None = None) -> Request:
    """Return the Request that the server described.

    Raises:
        ValueError: it has no id or no status, or its process has no id that can be one. All else may be missing.
    """
    raw = _object(answer)
    said = ProcessRequest.from_dict(raw)
    request_id = _needed_id("id", said.id)
    return Request(
        id=request_id,
        status=_needed_text("status", said.status),
        name=_text(said.name),
        process_id=_needed_id("process_id", said.process_id) if said.process_id else None,
        user_id=integer(said.user_id),
        parent_request_id=integer(said.parent_request_id),
        case_number=integer(said.case_number),
        uuid=_text(said.uuid),
        data=_data(said.data),
        errors=_errors(said.errors),
        created_at=moment(said.created_at),
        completed_at=moment(said.completed_at),
        idempotency_key=_in_summary(said.summary, IDEMPOTENCY_KEY),
        idempotency_fingerprint=_in_summary(said.summary, IDEMPOTENCY_FINGERPRINT),
        url=f"{site}/requests/{request_id}",
        created=created,
        raw=raw,
    )


def process_from(answer: object) -> Process:
    """Return the process that the server described. Raises ValueError if it has no id."""
    raw = _object(answer)
    said = ProcessWithStartEvents.from_dict(raw)
    # `startEvents` lacks timers, which `events` has; signal events and the like are in both (observed on 4.15.5).
    start_events: dict[str, StartEvent] = {}
    for event in (*_start_events(said.startEvents), *_start_events(said.events)):
        start_events.setdefault(event.id, event)
    return Process(
        id=_needed_id("id", said.id),
        name=_text(said.name),
        description=_text(said.description),
        start_events=tuple(start_events.values()),
        raw=raw,
    )


def task_from(answer: object) -> Task:
    """Return the task that the server described. Raises ValueError if it has no id or no status."""
    raw = _object(answer)
    said = ProcessRequestToken.from_dict(raw)
    return Task(
        id=_needed_id("id", said.id),
        name=_text(said.element_name),
        status=_needed_text("status", said.status),
        element_id=_text(said.element_id),
        request_id=integer(said.process_request_id),
        process_id=integer(said.process_id),
        user_id=integer(said.user_id),
        is_self_service=said.is_self_service in (1, True, "1"),
        created_at=moment(said.created_at),
        due_at=moment(said.due_at),
        completed_at=moment(said.completed_at),
        raw=raw,
    )


def file_from(answer: object, request_id: int) -> File:
    """Return the file that the server described. Raises ValueError if it has no id."""
    raw = _object(answer)
    said = Media.from_dict(raw)
    properties = said.custom_properties
    return File(
        id=_needed_id("id", said.id),
        name=_text(properties.get("data_name") if isinstance(properties, dict) else None),
        file_name=_text(said.file_name),
        mime_type=_text(said.mime_type),
        size=integer(said.size),
        request_id=request_id,
        created_at=moment(said.created_at),
        raw=raw,
    )


def items(answer: object) -> list[Any]:
    """Return the rows of a list answer. An answer without them is not an empty list: that would hide what is there."""
    rows = _object(answer).get("data")
    if not isinstance(rows, list):
        raise ValueError("no list of data")
    return rows


def last_page(answer: object) -> int:
    """Return the number of the last page of a list answer; 1 if it does not say."""
    meta = _object(answer).get("meta")
    return integer(meta.get("last_page") if isinstance(meta, dict) else None) or 1


def is_id(value: object) -> TypeGuard[int]:
    """Return whether it can be the id of something: a whole number from 1 that the server can hold."""
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value < 2**63


def total(answer: object) -> int:
    """Return how many rows there are on all pages. Raises ValueError if the answer does not say."""
    meta = _object(answer).get("meta")
    number = integer(meta.get("total") if isinstance(meta, dict) else None)
    if number is None:
        raise ValueError("no total")
    return number


def integer(value: object) -> int | None:
    """Return an integer, which may come as a string (observed on 4.15.5 for ids); None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        return int(value)
    return None


def _object(answer: object) -> Raw:
    if not isinstance(answer, dict):
        raise ValueError(f"no JSON object, but {type(answer).__name__}")
    return answer


def _needed_id(name: str, value: object) -> int:
    number = integer(value)
    if number is None or number < 1:
        raise _unusable(name, value)
    return number


def _needed_text(name: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise _unusable(name, value)
    return value


def _unusable(name: str, value: object) -> ValueError:
    return ValueError(f"no {name}" if isinstance(value, Unset) else f"no usable {name}: {value!r}")


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _in_summary(summary: object, name: str) -> str | None:
    for item in summary if isinstance(summary, list) else ():
        if isinstance(item, dict) and item.get("key") == name and isinstance(item.get("value"), str):
            return str(item["value"])
    return None


def moment(value: object) -> datetime | None:
    """Read both forms observed on 4.15.5: `2026-11-23T22:12:30+00:00` and, in UTC, `2026-11-23 22:10:18`."""
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
    errors = value if isinstance(value, list) else []
    return tuple(error if isinstance(error, dict) else {"message": str(error)} for error in errors)


def _start_events(events: object) -> Iterator[StartEvent]:
    for said in events if isinstance(events, list) else ():
        # If one entry of a list is of another shape, the generated model leaves the whole list as it came.
        event = ProcessStartEvents.from_dict(said) if isinstance(said, dict) else said
        if isinstance(event, ProcessStartEvents) and isinstance(event.id, str):
            yield StartEvent(
                id=event.id, name=_text(event.name), manual=not event.event_definitions, raw=event.to_dict()
            )
