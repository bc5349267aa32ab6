"""What the sandbox keeps: its clock, users and processes, and the Requests, tokens and files that calls make."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from math import ceil
from typing import Any, Protocol

import attrs

from ..clock import Clock as RealClock

IDEMPOTENCY_FIELDS = ("_idempotency_key", "_idempotency_fingerprint")


class Clock(RealClock):
    """The time as the sandbox sees it.

    `Clock()` runs with the real time; `Clock(instant)` stands still at that aware datetime. Both jump ahead with
    `advance`, so that a test about expiry or waiting never sleeps.
    """

    def __init__(self, instant: datetime | None = None) -> None:
        self._instant = instant
        self._advanced = timedelta()
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """The present instant, aware, in UTC."""
        return (self._instant or datetime.now(UTC)).astimezone(UTC) + self._advanced

    def advance(self, seconds: float) -> None:
        """Jump ahead."""
        with self._lock:
            self._advanced += _rounded_up(seconds)

    def reach(self, instant: datetime) -> None:
        """Jump ahead to that instant, unless it has passed."""
        with self._lock:
            self._advanced += max(instant - self.now(), timedelta())

    def monotonic(self) -> float:
        return self.now().timestamp()

    def sleep(self, seconds: float) -> None:
        """Jump ahead instead of sleeping, so that a client can use this clock.

        Threads that sleep at the same time wake up side by side: their times do not add up.
        """
        wakes_at = self.now() + _rounded_up(seconds)
        time.sleep(0.001)  # other threads run, as during a real sleep
        self.reach(wakes_at)

    async def async_sleep(self, seconds: float) -> None:
        """See `sleep`."""
        wakes_at = self.now() + _rounded_up(seconds)
        await asyncio.sleep(0)  # other tasks of the loop run, as during a real sleep
        self.reach(wakes_at)


def _rounded_up(seconds: float) -> timedelta:
    """Round up to a microsecond, so that a caller that waits for an instant reaches it."""
    return timedelta(microseconds=ceil(seconds * 1e6))


class Identified(Protocol):
    """Anything with the id of a Request, such as the Request that a client returned."""

    @property
    def id(self) -> int: ...


@attrs.define(eq=False)
class User:
    """A user of the sandbox, with the password for the password grant and a token that never expires."""

    id: int
    username: str
    password: str = attrs.field(repr=False)
    firstname: str
    lastname: str
    email: str
    is_administrator: bool = False
    timezone: str = "UTC"
    """The server reads times in PMQL in this zone, such as `America/New_York`."""

    @property
    def token(self) -> str:
        """The user's well-known access token, such as `sandbox-integration-bot-token`."""
        return f"sandbox-{self.username.replace('.', '-')}-token"


@attrs.frozen
class StartEvent:
    """A start event.

    Args:
        id: its node id.
        name: its name.
        timer: whether a timer triggers it.
        signal: the name of the signal that triggers it.
    """

    id: str
    name: str
    timer: bool = False
    signal: str | None = None


@attrs.frozen
class Task:
    """A task that a person completes.

    Args:
        name: its name.
        user: the name of the user who gets it; the user who started the Request, unless given.
        claimable_by: makes it a self-service task, which these users (by name) may claim.
        id: its node id; `node_task_1` and so on, unless given.
    """

    name: str
    user: str | None = None
    claimable_by: tuple[str, ...] = ()
    id: str = ""


@attrs.frozen
class Script:
    """A script task.

    Args:
        name: its name.
        seconds: how long it runs. A sync server answers a start after that; an asynchronous one answers at once.
        result: what it adds to the data.
        error: lets it fail with this message: the Request gets the status ERROR.
        id: its node id; `node_task_1` and so on, unless given.
    """

    name: str
    seconds: float = 0
    result: dict[str, Any] = attrs.field(factory=dict, hash=False)
    error: str | None = None
    id: str = ""


@attrs.frozen
class SubProcess:
    """A call activity: starts a Request of another process, with a copy of all data, and waits for its end.

    Args:
        name: its name.
        process: the name of the process that it calls.
        id: its node id; `node_task_1` and so on, unless given.
    """

    name: str
    process: str
    id: str = ""


@attrs.frozen
class CatchEvent:
    """An intermediate event that waits for a signal, or for a message: POST /requests/{id}/events/{node id}.

    Args:
        name: its name.
        signal: the name of the signal; a message, unless given.
        id: its node id; `node_task_1` and so on, unless given.
    """

    name: str
    signal: str | None = None
    id: str = ""


@attrs.frozen
class ThrowEvent:
    """An intermediate event that throws a signal, with a copy of all data.

    Args:
        name: its name.
        signal: the name of the signal.
        id: its node id; `node_task_1` and so on, unless given.
    """

    name: str
    signal: str
    id: str = ""


Node = Task | Script | SubProcess | CatchEvent | ThrowEvent
Step = Node | tuple[Task, ...]
"""One node, or several tasks at once, all of which must be completed."""


@attrs.frozen
class Process:
    """A process of the sandbox: start events, then nodes in a row. Without nodes, a Request completes at once."""

    id: int
    name: str
    description: str
    start_events: tuple[StartEvent, ...]
    steps: tuple[Step, ...] = ()
    users: tuple[int, ...] = (3,)
    """Ids of the users who may start it, besides administrators. A timer event has no such users."""
    status: str = "ACTIVE"
    broken: bool = False
    """Its BPMN is invalid: a start answers 500 and makes no Request."""
    fails_with: str | None = None
    """The engine fails with this message after a start, which answers 201 with the status ERROR."""
    bpmn_name: str | None = None
    """The name inside the BPMN, if it differs from the process's own."""

    @property
    def nodes(self) -> tuple[Node, ...]:
        return tuple(node for step in self.steps for node in (step if isinstance(step, tuple) else (step,)))

    def events_for(self, user: User) -> tuple[StartEvent, ...]:
        """The start events that this user may use."""
        if user.is_administrator:
            return self.start_events
        return tuple(event for event in self.start_events if not event.timer and user.id in self.users)


@attrs.define(eq=False)
class Token:
    """A node that a Request has reached, such as a task; ACTIVE, FAILING (a script) or CLOSED."""

    id: int
    request: Request = attrs.field(repr=False)
    node: Node
    position: int = attrs.field(repr=False)
    """Which step of the process it belongs to."""
    created_at: datetime = attrs.field(repr=False)
    user: User | None = attrs.field(default=None, repr=False)
    candidates: tuple[User, ...] = attrs.field(default=(), repr=False)
    """The users who may claim it, claimed or not."""
    is_self_service: bool = attrs.field(default=False, repr=False)
    status: str = "ACTIVE"
    completed_at: datetime | None = None
    child: Request | None = attrs.field(default=None, repr=False)
    """The Request that a sub-process started."""

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def element_id(self) -> str:
        return self.node.id

    def claimable_by(self, user: User) -> bool:
        return self.is_self_service and self.status == "ACTIVE" and user in self.candidates


@attrs.define(eq=False)
class Request:
    """A Request of the sandbox.

    Set `locked` to True, and completing its tasks takes 60 seconds and does nothing, as if a worker had died.
    """

    id: int
    process: Process = attrs.field(repr=False)
    user: User = attrs.field(repr=False)
    data: dict[str, Any]
    """As stored, with the hidden keys. A list is stored under the keys "0", "1", …"""
    created_at: datetime = attrs.field(repr=False)
    updated_at: datetime = attrs.field(repr=False)
    event: StartEvent = attrs.field(repr=False)
    case_number: int = attrs.field(repr=False)
    appears_at: datetime = attrs.field(repr=False)
    """When GET /requests begins to list it."""
    sent: Any = attrs.field(default=None, repr=False)
    """The body of its start, as the caller sent it."""
    called: bool = attrs.field(default=False, repr=False)
    """True if a call started it, not a signal or another Request."""
    call: Token | None = attrs.field(default=None, repr=False)
    """The token of the sub-process that started it."""
    status: str = "ACTIVE"
    completed_at: datetime | None = attrs.field(default=None, repr=False)
    errors: list[dict[str, Any]] | None = None
    tokens: list[Token] = attrs.field(factory=list, repr=False)
    locked: bool = False
    busy_until: datetime | None = attrs.field(default=None, repr=False)
    """When its running script ends."""
    uuid: str = attrs.field(factory=lambda: str(uuid.uuid4()), repr=False)

    @property
    def process_id(self) -> int:
        return self.process.id

    @property
    def process_name(self) -> str:
        return self.process.name

    @property
    def tasks(self) -> list[Token]:
        """The tasks reached so far, in order."""
        return [token for token in self.tokens if isinstance(token.node, Task)]

    @property
    def open_tasks(self) -> list[Token]:
        return [task for task in self.tasks if task.status == "ACTIVE"]

    @property
    def parent(self) -> Request | None:
        return self.call.request if self.call else None

    @property
    def case(self) -> Request:
        """The Request that the case began with."""
        return self.parent.case if self.parent else self

    def visible_to(self, user: User) -> bool:
        """Ordinary users see the Requests that they started or take part in."""
        if user.is_administrator or user is self.user:
            return True
        return any(user is task.user or task.claimable_by(user) for task in self.tasks)


@attrs.frozen(eq=False)
class File:
    """A file of a Request."""

    id: int
    request: Request = attrs.field(repr=False)
    user: User = attrs.field(repr=False)
    data_name: str
    uploaded_name: str
    mime_type: str
    content: bytes = attrs.field(repr=False)
    order: int = attrs.field(repr=False)
    created_at: datetime = attrs.field(repr=False)

    @property
    def name(self) -> str:
        """Its name without the ending, with the blanks that the stored name has lost."""
        return self.uploaded_name.rpartition(".")[0] or self.uploaded_name

    @property
    def file_name(self) -> str:
        """The name under which it is stored."""
        return self.uploaded_name.replace(" ", "-")


@attrs.frozen
class Started:
    """A Request as its caller started it."""

    request: Request = attrs.field(repr=False)
    """The Request as it is now; its `data` is as the server stores it."""
    id: int
    process: str
    """The name of its process."""
    event: str
    """The node id of its start event."""
    data: Any
    """As the caller sent it, without the idempotency key and its fingerprint."""
    idempotency_key: str | None
    user: str
    """The name of the user who started it."""

    @classmethod
    def of(cls, request: Request) -> Started:
        data, key = request.sent, None
        if isinstance(data, dict):
            key = data.get(IDEMPOTENCY_FIELDS[0])
            data = {name: value for name, value in data.items() if name not in IDEMPOTENCY_FIELDS}
        names = request.process.name, request.event.id
        return cls(request, request.id, *names, {} if data is None else data, key, request.user.username)

    @property
    def status(self) -> str:
        """The Request's status now."""
        return self.request.status

    @property
    def tasks(self) -> list[Token]:
        """The Request's tasks so far."""
        return self.request.tasks


def with_ids(steps: Sequence[Any]) -> tuple[Step, ...]:
    """Return the steps as nodes with ids: a text becomes a task, a list or tuple becomes tasks at once.

    Raises:
        ValueError: one of them is no node.
    """
    numbers = count(1)

    def node(given: Any) -> Any:
        made = Task(given) if isinstance(given, str) else given
        if not isinstance(made, Node):
            raise ValueError(f"{given!r} among tasks= is neither a name nor a Task, Script or the like")
        number = next(numbers)
        return made if made.id else attrs.evolve(made, id=f"node_task_{number}")

    return tuple(tuple(map(node, step)) if isinstance(step, list | tuple) else node(step) for step in steps)


def uuid_of(kind: str, number: int) -> str:
    """A uuid that stays the same from run to run."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"processmaker-sandbox/{kind}/{number}"))
