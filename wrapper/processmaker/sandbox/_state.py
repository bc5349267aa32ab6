"""What the sandbox keeps: clock, users, processes, Requests and tasks; and what is on it to begin with."""

from __future__ import annotations

import asyncio
import threading
import uuid
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any, Protocol

import attrs

from ..clock import Clock as RealClock
from ..data import IDEMPOTENCY_KEY


class Clock(RealClock):
    """The time as the sandbox sees it.

    `Clock()` runs with the real time; `Clock(instant)` stands still at that aware datetime. Both jump
    ahead with `advance`, so that a test about expiry or waiting never sleeps.
    """

    def __init__(self, instant: datetime | None = None) -> None:
        self._instant = instant
        self._advanced = timedelta()
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """The present instant, aware, in UTC."""
        return (self._instant or datetime.now(UTC)).astimezone(UTC) + self._advanced

    def advance(self, seconds: float) -> None:
        """Jump ahead, by a microsecond at least where it is at all: whoever waits for an instant gets there."""
        with self._lock:
            self._advanced += timedelta(microseconds=ceil(seconds * 1e6))

    def reach(self, instant: datetime) -> None:
        """Jump ahead to that instant, unless it is over."""
        with self._lock:
            self._advanced += max(instant - self.now(), timedelta())

    def monotonic(self) -> float:
        return self.now().timestamp()

    def sleep(self, seconds: float) -> None:
        """Jump ahead instead of sleeping, so that a client can take this for its clock."""
        self.advance(seconds)

    async def async_sleep(self, seconds: float) -> None:
        self.advance(seconds)
        await asyncio.sleep(0)  # lets other tasks of the loop run, as a real sleep does


class Identified(Protocol):
    """What has the id of a Request, such as the Request that a client gave."""

    @property
    def id(self) -> int: ...


@attrs.frozen
class User:
    """A user of the sandbox, with the password for the password grant and a token that never expires."""

    id: int
    username: str
    password: str = attrs.field(repr=False)
    firstname: str
    lastname: str
    email: str
    is_administrator: bool = False

    @property
    def token(self) -> str:
        """The user's well-known access token, such as `sandbox-integration-bot-token`."""
        return f"sandbox-{self.username.replace('.', '-')}-token"


@attrs.frozen
class StartEvent:
    """A start event: its node id, its name, and whether a timer triggers it."""

    id: str
    name: str
    timer: bool = False


@attrs.frozen
class Process:
    """A process of the sandbox: start events, then tasks in a row; without tasks it completes at once."""

    id: int
    name: str
    description: str
    start_events: tuple[StartEvent, ...]
    tasks: tuple[tuple[str, str], ...] = ()
    """(node id, name) of each task, in order."""
    users: tuple[int, ...] = (3,)
    """Ids of the users who may start it, besides administrators. Timers have no such assignment."""
    status: str = "ACTIVE"
    broken: bool = False
    """Its BPMN is invalid: a start answers 500 and creates nothing."""
    fails_with: str | None = None
    """What the engine complains of after a start, which then answers 201 with status ERROR."""
    bpmn_name: str | None = None
    """The name inside the BPMN, where it differs from the process's own."""

    def startable_by(self, user: User) -> tuple[StartEvent, ...]:
        if user.is_administrator:
            return self.start_events
        return tuple(event for event in self.start_events if not event.timer and user.id in self.users)


@attrs.define(eq=False)
class Task:
    """A task of a Request; status ACTIVE or CLOSED."""

    id: int
    request: Request = attrs.field(repr=False)
    element_id: str
    name: str
    user: User = attrs.field(repr=False)
    created_at: datetime = attrs.field(repr=False)
    status: str = "ACTIVE"
    completed_at: datetime | None = None


@attrs.define(eq=False)
class Request:
    """A Request that was started in the sandbox."""

    id: int
    process: Process = attrs.field(repr=False)
    user: User = attrs.field(repr=False)
    data: dict[str, Any]
    """As stored, with the hidden keys; a list is stored under the keys "0", "1", …"""
    created_at: datetime = attrs.field(repr=False)
    updated_at: datetime = attrs.field(repr=False)
    appears_at: datetime = attrs.field(repr=False)
    """From when on GET /requests lists it."""
    event: StartEvent = attrs.field(repr=False)
    sent: Any = attrs.field(repr=False)
    """The body of its start, as the caller sent it."""
    status: str = "ACTIVE"
    completed_at: datetime | None = attrs.field(default=None, repr=False)
    errors: list[dict[str, Any]] | None = None
    tasks: list[Task] = attrs.field(factory=list)

    @property
    def process_id(self) -> int:
        return self.process.id

    @property
    def process_name(self) -> str:
        return self.process.name

    def visible_to(self, user: User) -> bool:
        """Ordinary users see what they started or take part in."""
        return user.is_administrator or user in (self.user, *(task.user for task in self.tasks))


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
    """As the caller sent it, without the idempotency key."""
    idempotency_key: str | None
    user: str
    """The name of the user who started it."""

    @classmethod
    def of(cls, request: Request) -> Started:
        data, key = request.sent, None
        if isinstance(data, dict):
            data = dict(data)
            key = data.pop(IDEMPOTENCY_KEY, None)
        names = request.process.name, request.event.id
        return cls(request, request.id, *names, {} if data is None else data, key, request.user.username)

    @property
    def status(self) -> str:
        """The Request's, now."""
        return self.request.status

    @property
    def tasks(self) -> list[Task]:
        """The Request's, so far."""
        return self.request.tasks


def uuid_of(kind: str, number: int) -> str:
    """A uuid that stays the same from run to run."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"processmaker-sandbox/{kind}/{number}"))


USERS = (
    User(1, "admin", "admin-password", "Admin", "User", "admin@example.com", is_administrator=True),
    User(3, "integration.bot", "bot-password", "Integration", "Bot", "bot@example.com"),
    User(4, "mail.user", "mail-password", "Mail", "User", "mail@example.com"),
)

PASSWORD_CLIENT = ("3", "client-secret")
"""OAuth client id and secret for the password and refresh_token grants."""
CREDENTIALS_CLIENT = ("2", "other-client-secret")
"""OAuth client id and secret for the client_credentials grant, whose tokens the API refuses."""

_START = (StartEvent("node_1", "Start"),)
_ASK = (StartEvent("node_1", "Ask for leave"),)
_NIGHT = StartEvent("node_timer", "Every night", timer=True)
_APPROVE = (("node_2", "Approve leave"),)

PROCESSES = (
    Process(2, "Leave Request", "Ask for days off", _ASK, _APPROVE),
    Process(
        3,
        "Leave Request Contractors",
        "Ask for days off, contractors",
        _ASK,
        _APPROVE,
        bpmn_name="Leave Request",
    ),
    Process(4, "Auto Approve", "Approves at once", _START),
    Process(
        5,
        "Two Doors",
        "Has two start events",
        (StartEvent("node_web", "From the web"), StartEvent("node_mail", "From an email")),
        (("node_2", "Handle"),),
    ),
    Process(6, "Nightly Report", "Timer start only", (_NIGHT,), users=()),
    Process(7, "Nightly or Manual", "Timer start and a manual one", (_NIGHT, StartEvent("node_man", "By hand"))),
    Process(8, "Payroll", "Only administrators may start it", _START, users=()),
    Process(9, "Retired", "An inactive process", _START, status="INACTIVE"),
    Process(10, "Broken Flow", "Invalid BPMN", _START, broken=True),
    Process(
        11,
        "Mail Approval",
        "First task sends an email",
        _ASK,
        _APPROVE,
        users=(4,),
        bpmn_name="Leave Request",
        fails_with='Class "ProcessMaker\\Packages\\Connectors\\ActionsByEmail\\EmailProvider" not found',
    ),
    Process(12, "Two Steps", "Two tasks in a row", _START, (("node_a", "Fill in"), ("node_b", "Review"))),
)
