"""The server: which call gets which answer. Each rule is written once, where its call is handled."""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from email.utils import format_datetime
from heapq import heappop, heappush
from itertools import count
from typing import Any, Literal, NamedTuple, TypeVar

import attrs
import httpx

from ..clock import is_seconds
from ..wire.call import run
from . import _data, _faults, _pmql, _shapes
from ._oauth import TokenEndpoint
from ._shapes import Json, Refused, answer, message, not_found
from ._state import PROCESSES, USERS, Clock, Identified, Process, Request, Started, StartEvent, Task, User
from ._transport import Blocking, Line, SandboxTransport

URL = "https://pm.example.com"
API = "/api/1.0"
LONGEST_URL = 8000
"""Observed: nginx refuses a URL beyond about 8,000 characters."""

T = TypeVar("T")

_UNAUTHORIZED = "This action is unauthorized."


class Call(NamedTuple):
    """A call the sandbox has seen."""

    method: str
    path: str
    """Without the leading /api/1.0 and without the query."""
    status: int | None
    """What the client got to see; None where it got no answer."""


@attrs.frozen
class _Asked:
    """A call whose token is good."""

    user: User
    params: httpx.QueryParams
    body: Any
    """As PHP read it: JSON, a form, or None."""
    url: httpx.URL
    id: int = 0
    """The number in the path, if there is one."""

    @property
    def include(self) -> set[str]:
        return set(self.params.get("include", "").split(","))

    def field(self, name: str) -> Any:
        return self.body.get(name) if isinstance(self.body, dict) else None


@attrs.define
class _UnderWay:
    """A start that has been accepted, and becomes a Request while its client waits. Seconds count from `began`."""

    began: datetime
    made_after: float
    answered_after: float
    request: Request | None = None


class Sandbox:
    """An in-memory ProcessMaker: a function from `httpx.Request` to `httpx.Response`, with state.

    Args:
        url: what it calls itself; tests give it to their client.
        clock: the time it lives by, see `Clock`.
        version: the ProcessMaker it imitates; the two answer alike except in a few fields and the ETag.
        expires_in: seconds that an access token from /oauth/token is good for.
        body_limit: bytes of a request's body beyond which nginx answers 413.
        start_takes: seconds that a start takes from its call to its answer (a real one takes 0.15).
        appears_after: seconds after the call from which on the Request is listed, also where its client has left;
            None for at the end of `start_takes`. Beyond that, an answered start is not listed at once.

    `sandbox(request)` raises httpx's exceptions where a network would. It may be called from many threads. A start
    takes effect between its call and its answer, and meanwhile others go on: two callers who look for a key before
    they start may both miss it, as on a server. In memory the seconds are the sandbox's, which jump; behind a socket
    they really pass.

    Attributes:
        calls: `(method, path, status)` of every call seen, without /api/1.0 in the path.
        maintenance: set it to True and everything answers 503.
        expires_in, body_limit, start_takes, appears_after: as above; may be changed at any time.
    """

    def __init__(
        self,
        *,
        url: str = URL,
        clock: Clock | None = None,
        version: Literal["4.15.5", "4.12.2"] = "4.15.5",
        expires_in: int = 31_536_000,
        body_limit: int = 1024 * 1024,
        start_takes: float = 0,
        appears_after: float | None = None,
    ) -> None:
        self._url = url
        self.clock = clock or Clock()
        self.body_limit = body_limit
        self.start_takes = start_takes
        self.appears_after = appears_after
        self.maintenance = False
        self._requests: list[Request] = []
        # What is to happen and when: (instant, number, action), the next one first.
        self._agenda: list[tuple[datetime, int, Callable[[], None]]] = []
        self._numbers = count()
        self._instant: datetime | None = None
        self.calls: list[Call] = []
        self.users: dict[str, User] = {user.username: user for user in USERS}
        self.processes: dict[int, Process] = {process.id: process for process in PROCESSES}
        self._newer = version == "4.15.5"
        if not self._newer:
            # Mail Approval does not fail on 4.12.2.
            self.processes[11] = attrs.evolve(self.processes[11], fails_with=None)
        self._shapes = _shapes.Shapes(newer=self._newer, installed=self.clock.now())
        self._oauth = TokenEndpoint(self.users.values(), self.clock, expires_in)
        self._rules: list[_faults.Rule] = []
        self._tokens = 0
        self._lock = threading.RLock()

    # As a server

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        return run(self.answer(request, Blocking(self.clock)))

    async def answer(self, request: httpx.Request, line: Line) -> httpx.Response:
        """The answer to a request that has been read, for a call that comes in this way."""
        path = request.url.path.removeprefix(API)
        with self._lock:
            call = f"{request.method} {path}"
            fault = next((fault for rule in self._rules if (fault := rule.pick(call))), None)
        status = None
        try:
            if fault is None:
                response = await self._process(request, line)
            else:
                if fault.kind == "token expired":
                    self.revoke()
                response = await fault.befall(request, lambda: self._process(request, line), line)
            status = response.status_code
            return response
        finally:
            with self._lock:
                self.calls.append(Call(request.method, path, status))

    def transport(self) -> SandboxTransport:
        """A transport for `httpx.Client` and `httpx.AsyncClient`; behind it a client's time is the sandbox's."""
        return SandboxTransport(self)

    @contextmanager
    def serve(self, port: int = 0, *, log: Callable[[str], None] | None = None) -> Iterator[str]:
        """Serve on 127.0.0.1 while the block runs; gives the URL.

        Args:
            port: 0 for a free one. OSError: it is not free.
            log: is called with a line for each call: time, method, path and status.
        """
        from ._socket import serving

        with serving(self, port, log) as url:
            yield url

    # For tests: who, what, and what happened

    @property
    def url(self) -> str:
        """What it calls itself, see above."""
        return self._url

    @property
    def requests(self) -> list[Request]:
        """The Requests started so far, oldest first."""
        self._catch_up()
        return self._requests

    @property
    def expires_in(self) -> int:
        return self._oauth.expires_in

    @expires_in.setter
    def expires_in(self, seconds: int) -> None:
        self._oauth.expires_in = seconds

    def user(self, username: str = "integration.bot") -> User:
        """One of the users admin, integration.bot and mail.user.

        Raises:
            LookupError: there is no such user.
        """
        if username not in self.users:
            raise LookupError(f"no user {username!r}; there are: {', '.join(self.users)}")
        return self.users[username]

    def token(self, username: str = "integration.bot") -> str:
        """The user's access token, such as `sandbox-integration-bot-token`; it stays good until revoked."""
        return self.user(username).token

    def revoke(self, token: str | None = None) -> None:
        """Make an access token invalid; without one, all that /oauth/token has given out."""
        with self._lock:
            self._oauth.revoke(token)

    def add_process(
        self,
        name: str,
        *,
        start_events: Sequence[StartEvent] = (StartEvent("node_1", "Start"),),
        tasks: Sequence[str] = (),
        id: int | None = None,  # noqa: A002 - the API's word
        users: Sequence[str] = ("integration.bot",),
        description: str = "",
        status: str = "ACTIVE",
        fails_with: str | None = None,
        broken: bool = False,
    ) -> Process:
        """Add a process with these tasks in a row; without tasks it completes at once.

        Args:
            name: its name.
            start_events: where it starts; one manual event `node_1` unless given.
            tasks: the names of its tasks, in order.
            id: its id; the next free one unless given.
            users: the names of the users who may start it, besides administrators.
            description: its description.
            status: ACTIVE, INACTIVE or ARCHIVED.
            fails_with: let the engine fail after the start: 201 with status ERROR and this message.
            broken: let its BPMN be invalid: a start answers 500.

        Raises:
            ValueError: the name or the id is taken, or one of the others cannot be.
        """
        if isinstance(tasks, str):
            raise ValueError(f"tasks={tasks!r} is one text; give a list of names")
        if status not in ("ACTIVE", "INACTIVE", "ARCHIVED"):
            raise ValueError(f"status={status!r} is neither ACTIVE, INACTIVE nor ARCHIVED")
        if unknown := [username for username in users if username not in self.users]:
            raise ValueError(f"no user {unknown[0]!r}; there are: {', '.join(self.users)}")
        with self._lock:
            if id in self.processes or name in (process.name for process in self.processes.values()):
                raise ValueError(f"there is a process {name!r}, or one with the id {id}, already: names are unique")
            process = Process(
                id=max(self.processes) + 1 if id is None else id,
                name=name,
                description=description,
                start_events=tuple(start_events),
                tasks=tuple((f"node_task_{number}", task) for number, task in enumerate(tasks, 1)),
                users=tuple(self.users[username].id for username in users),
                status=status,
                fails_with=fails_with,
                broken=broken,
            )
            self.processes[process.id] = process
            return process

    def started(self, process_name: str) -> list[Started]:
        """What was started of that process, as its callers sent it, oldest first.

        Raises:
            LookupError: there is no such process.
        """
        names = {process.name for process in self.processes.values()}
        found = [Started.of(request) for request in self.requests if request.process.name == process_name]
        if not found and process_name not in names:
            raise LookupError(f"no process {process_name!r}; there are: {', '.join(sorted(names))}")
        return found

    def request(self, request_id: int | Identified) -> Request:
        """One Request, by its id or as a client gave it; LookupError if there is none."""
        self._catch_up()
        number = request_id if isinstance(request_id, int) else request_id.id
        if not 1 <= number <= len(self._requests):
            raise LookupError(f"no Request {number}")
        return self._requests[number - 1]

    def finish(self, request_id: int | Identified, *, after: float = 0) -> None:
        """Let a Request complete, whatever tasks are left; at once, or so many seconds later if it is ACTIVE then."""
        request = self.request(request_id)
        self._later(request, after, lambda: self._end(request, "COMPLETED"))

    def cancel(self, request_id: int | Identified, *, after: float = 0) -> None:
        """Cancel a Request; at once, or so many seconds later if it is ACTIVE then."""
        request = self.request(request_id)
        self._later(request, after, lambda: self._end(request, "CANCELED"))

    def fail(self, request_id: int | Identified, message: str = "The engine failed", *, after: float = 0) -> None:
        """Let the engine fail: the Request gets status ERROR and an error with that message.

        At once, or so many seconds later if it is ACTIVE then.
        """
        request = self.request(request_id)

        def fail() -> None:
            node = next(
                ((task.element_id, task.name) for task in request.tasks if task.status == "ACTIVE"),
                ("node_1", "Start"),
            )
            self._fail(request, message, *node)

        self._later(request, after, fail)

    def complete(self, request_id: int | Identified, data: dict[str, Any] | None = None, *, after: float = 0) -> None:
        """Complete the open task of a Request, as the person would for whom it waits.

        At once, or so many seconds later if it is ACTIVE then.

        Args:
            request_id: the Request, or its id.
            data: what is added to its data.
            after: seconds.

        Raises:
            LookupError: no such Request, or (at once) it has no open task.
        """
        request = self.request(request_id)
        if not after and not any(task.status == "ACTIVE" for task in request.tasks):
            raise LookupError(f"Request {request.id} has no open task: it is {request.status}")

        def complete() -> None:
            for task in [task for task in request.tasks if task.status == "ACTIVE"]:
                self._complete(task, data or {})

        self._later(request, after, complete)

    def _later(self, request: Request, after: float, action: Callable[[], None]) -> None:
        if not is_seconds(after):
            raise ValueError(f"after={after!r} is not a number of seconds")

        def act() -> None:
            if request.status == "ACTIVE":
                action()

        with self._lock:
            if after:
                self._at(self.clock.now() + timedelta(seconds=after), act)
            else:
                action()

    # For tests: faults

    def fail_next(
        self,
        kind: _faults.Kind,
        *,
        times: int = 1,
        on: str | None = None,
        seconds: float | None = None,
        retry_after: int | str | None = 1,
        at: float = 0.5,
    ) -> None:
        """Let the next calls fail.

        Args:
            kind: one of `KINDS`.
            times: how many calls.
            on: only calls that begin so, such as `POST /process_events`, `GET` or `/oauth/token`; any, unless given.
            seconds: for `slow`, how long the answer takes (60); for `drip`, from one byte to the next (1).
            retry_after: for 429 and 503, the header Retry-After; None leaves it out.
            at: for `truncated`, how much arrives: bytes, or a share if below 1.
        """
        fault = _faults.Fault(_faults.known(kind), seconds, retry_after, at)
        self._add_rule(_faults.Rule([fault.kind], _faults.place(on, _PLACES), times, 1, random.Random(0), fault))

    def misbehave(
        self,
        *,
        seed: int = 1,
        rate: float = 0.3,
        kinds: Iterable[_faults.Kind] = _faults.MIX,
        on: str | None = None,
        seconds: float | None = None,
        retry_after: int | str | None = 1,
    ) -> None:
        """From now on let a share `rate` of the calls fail in ways drawn from `kinds`; alike for one seed."""
        known = [_faults.known(kind) for kind in kinds]
        fault = _faults.Fault(known[0], seconds, retry_after)
        self._add_rule(_faults.Rule(known, _faults.place(on, _PLACES), None, rate, random.Random(seed), fault))

    def unused_faults(self) -> list[str]:
        """What `fail_next` was asked for and has not befallen any call."""
        with self._lock:
            return [str(rule) for rule in self._rules if rule.times is not None and not rule.used]

    def behave(self) -> None:
        """No more faults, no more maintenance."""
        with self._lock:
            self._rules.clear()
            self.maintenance = False

    def _add_rule(self, rule: _faults.Rule) -> None:
        with self._lock:
            self._rules.append(rule)

    # The way of a call: nginx, maintenance, routes, token, handler, ETag

    async def _process(self, request: httpx.Request, line: Line) -> httpx.Response:
        with self._lock:
            self._catch_up()
            try:
                found = self._answer(request)
            except Refused as refused:
                found = refused.response
        response = await self._started(found, request, line) if isinstance(found, _UnderWay) else found
        response.headers["date"] = format_datetime(self.clock.now(), usegmt=True)
        return response

    def _answer(self, request: httpx.Request) -> httpx.Response | _UnderWay:
        as_json = re.search(r"[/+]json", request.headers.get("accept", "")) is not None
        if len(request.url.raw_path) > LONGEST_URL:
            return _shapes.html(414, "414 Request-URI Too Large")
        if len(request.content) > self.body_limit:
            return _shapes.html(413, "413 Request Entity Too Large")
        if self.maintenance:
            refuse = message if as_json else _shapes.html
            return refuse(503, "Service Unavailable", retry_after="60")

        path = request.url.path
        if path == "/oauth/token" and request.method == "POST":
            return self._oauth(request)
        if path == "/docs":
            return answer(_shapes.document())
        if path == "/login":
            return _shapes.html(200, "Log In")
        if request.method == "POST" and re.fullmatch(rf"{API}/process_events/(?!\d+$)[^/]+", path):
            text = f"The POST method is not supported for route {path[1:]}. Supported methods: GET, HEAD."
            return message(405, text)
        route = next(
            (
                (handler, match)
                for method, _, pattern, handler in _ROUTES
                if method == request.method and (match := pattern.fullmatch(path))
            ),
            None,
        )
        if route is None:
            return not_found()
        handler, match = route

        user = self._oauth.user_of(request)
        if user is None:
            if as_json:
                return answer({"error": "Unauthenticated."}, 401)
            login = str(request.url.copy_with(raw_path=b"/login"))
            return httpx.Response(302, headers={"location": login, "content-type": "text/html; charset=UTF-8"})
        number = int(match.groups("0")[0]) if match.groups() else 0
        body = _data.read_body(request.headers.get("content-type", ""), request.content)
        found = handler(self, _Asked(user, request.url.params, body, request.url, number))
        return found if isinstance(found, _UnderWay) else self._tag(request, found)

    def _tag(self, request: httpx.Request, response: httpx.Response) -> httpx.Response:
        """4.15.5 tags its answers to GET, and answers 304 to a tag that still holds."""
        if not self._newer or request.method != "GET" or response.status_code != 200:
            return response
        tag = response.headers.setdefault("etag", _shapes.etag(response.content))
        if request.headers.get("if-none-match") == tag:
            return httpx.Response(304, headers={"cache-control": "no-cache, private", "etag": tag})
        return response

    # Processes

    def _start_processes(self, asked: _Asked) -> httpx.Response:
        """The ACTIVE processes with a manual start event that this user may start, by name, all at once."""
        wanted = asked.params.get("filter", "").lower()
        processes = [
            process
            for process in sorted(self.processes.values(), key=lambda process: process.name.lower())
            if process.status == "ACTIVE"
            and not process.broken
            and any(not event.timer for event in process.startable_by(asked.user))
            and (wanted in process.name.lower() or wanted in process.description.lower())
        ]

        def render(process: Process) -> Json:
            return self._shapes.startable_process(process, asked.user)

        response = answer(_shapes.page(processes, render, asked.params, paged=False))
        if self._newer:
            # Observed: the tag is the same whatever the filter.
            response.headers["etag"] = _shapes.etag(asked.user.id, self.processes)
        return response

    def _start(self, asked: _Asked) -> httpx.Response | _UnderWay:
        process = self.processes.get(asked.id)
        event_id = asked.params.get("event", "").strip()
        if process is None:
            return not_found()
        events = {event.id: event for event in process.startable_by(asked.user)}
        if event_id not in events:
            # The right is looked at first; without an event, that is the right to start the process at all.
            if not asked.user.is_administrator and (event_id or not events):
                return message(403, _UNAUTHORIZED)
            if not event_id:
                return not_found()
            is_node = event_id in (*(node for node, _ in process.tasks), "node_end")
            return message(500, "Server Error") if is_node else not_found()
        if process.broken:
            return message(500, "Server Error")
        return self._begin(process, events[event_id], asked)

    def _begin(self, process: Process, event: StartEvent, asked: _Asked) -> _UnderWay:
        began = self.clock.now()
        appears_after = self.start_takes if self.appears_after is None else self.appears_after
        this = _UnderWay(began, min(appears_after, self.start_takes), self.start_takes)

        def make() -> None:
            this.request = self._make(process, event, asked, began + timedelta(seconds=appears_after))

        self._at(began + timedelta(seconds=this.made_after), make)
        return this

    async def _started(self, this: _UnderWay, request: httpx.Request, line: Line) -> httpx.Response:
        """The answer to a start, which takes effect at its time whatever becomes of the client that waits."""
        for seconds in sorted({this.made_after, this.answered_after}):
            await line.wait(request, seconds, began=this.began, with_others=True)
        with self._lock:
            self._catch_up()
            assert this.request is not None
            return answer(self._shapes.started(this.request), 201)

    def _make(self, process: Process, event: StartEvent, asked: _Asked, appears_at: datetime) -> Request:
        now = self._now()
        data = _data.stored(asked.body)
        request = Request(len(self._requests) + 1, process, asked.user, data, now, now, appears_at, event, asked.body)
        self._requests.append(request)
        self._next_token()  # the start event's
        if process.fails_with:
            self._next_token()
            self._fail(request, process.fails_with, event.id, event.name)
        else:
            self._go_on(request)
        return request

    def _list_processes(self, asked: _Asked) -> httpx.Response:
        _need_administrator(asked)
        wanted = asked.params.get("filter", "").lower()
        processes = [
            process
            for process in self.processes.values()
            if wanted in process.name.lower() or wanted in process.description.lower()
        ]
        ordered = _ordered(processes, self._shapes.process, asked, "name")
        return answer(_shapes.page(ordered, self._shapes.listed_process, asked.params))

    def _show_process(self, asked: _Asked) -> httpx.Response:
        if asked.id not in self.processes:
            return not_found()
        _need_administrator(asked)
        return answer(self._shapes.shown_process(self.processes[asked.id], asked.include))

    def _create_process(self, asked: _Asked) -> httpx.Response:
        """Observed only as far as the name's validation."""
        _need_administrator(asked)
        name = str(asked.field("name") or "")
        if not name:
            return _shapes.invalid("name", "The Name field is required.")
        if not re.fullmatch(r"[\w\s]+", name):
            return _shapes.invalid("name", "The Name may only contain alphanumeric characters.")
        if name in (process.name for process in self.processes.values()):
            return _shapes.invalid("name", "The Name has already been taken.")
        process = self.add_process(name, description=str(asked.field("description") or ""))
        return answer(self._shapes.shown_process(process, set()), 201)

    # Requests

    def _list_requests(self, asked: _Asked) -> httpx.Response:
        if asked.params.get("type") == "all" and not asked.user.is_administrator:
            return message(500, "Server Error")
        try:
            matches = _pmql.parse(asked.params.get("pmql", ""), self.clock.now())
        except _pmql.PmqlError:
            return answer({"message": "Your PMQL contains invalid syntax."}, 400)
        statuses = {"in_progress": ["ACTIVE"], "completed": ["COMPLETED"]}.get(asked.params.get("type", ""))
        wanted = asked.params.get("filter", "").lower()
        now = self.clock.now()
        requests = [
            request
            for request in self._requests
            if request.visible_to(asked.user)
            and request.appears_at <= now
            and (statuses is None or request.status in statuses)
            and (not wanted or wanted in f"{request.id} {request.process.name} {request.status} {request.data}".lower())
            and matches(request)
        ]

        def render(request: Request) -> Json:
            return self._shapes.listed_request(request, asked.include)

        ordered = _ordered(requests, self._shapes.request_row, asked, "name")
        return answer(_shapes.page(ordered, render, asked.params))

    def _find(self, asked: _Asked) -> Request:
        try:
            request = self.request(asked.id)
        except LookupError:
            raise Refused(not_found()) from None
        if not request.visible_to(asked.user):
            raise Refused(message(403, _UNAUTHORIZED))
        return request

    def _show_request(self, asked: _Asked) -> httpx.Response:
        return answer(self._shapes.shown_request(self._find(asked), asked.include))

    def _update_request(self, asked: _Asked) -> httpx.Response:
        request = self._find(asked)
        status, data = asked.field("status"), asked.field("data")
        if status == "CANCELED":
            _need_administrator(asked, "Not authorized to cancel this request.")
            self._end(request, "CANCELED")
        elif status == "COMPLETED":
            _need_administrator(asked, "Not authorized to complete this request.")
            if request.status != "ERROR":
                text = "Only requests with status: ERROR can be manually completed"
                return _shapes.invalid("status", text)
            self._end(request, "COMPLETED")
        elif isinstance(data, dict):
            _need_administrator(asked, "Not authorized to edit request data.")
            request.data.update(_data.stored(data))
            request.updated_at = self._now()
        else:
            return _shapes.invalid("name", "The Name field is required.")
        return httpx.Response(204, headers={"cache-control": "no-cache, private"})

    # Tasks

    def _list_tasks(self, asked: _Asked) -> httpx.Response:
        now = self.clock.now()
        tasks = [
            task
            for request in self._requests
            for task in request.tasks
            if asked.user.is_administrator or task.user == asked.user
        ]
        columns: dict[str, Callable[[Task], str]] = {
            "process_request_id": lambda task: str(task.request.id),
            "process_id": lambda task: str(task.request.process.id),
            "user_id": lambda task: str(task.user.id),
            "status": lambda task: task.status,
            "element_id": lambda task: task.element_id,
            "element_name": lambda task: task.name,
        }
        for name, column in columns.items():
            if name in asked.params:
                tasks = [task for task in tasks if column(task) == asked.params[name]]

        def render(task: Task) -> Json:
            return self._shapes.listed_task(task, now)

        ordered = _ordered(tasks, render, asked, "updated_at")
        body = _shapes.page(ordered, render, asked.params, path=str(asked.url.copy_with(query=None)))
        body["meta"]["in_overdue"] = sum(row["advanceStatus"] == "overdue" for row in body["data"])
        return answer(body)

    def _find_task(self, asked: _Asked) -> Task:
        for request in self._requests:
            for task in request.tasks:
                if task.id == asked.id:
                    if task.user != asked.user and not asked.user.is_administrator:
                        raise Refused(message(403, _UNAUTHORIZED))
                    return task
        raise Refused(not_found())

    def _show_task(self, asked: _Asked) -> httpx.Response:
        return answer(self._shapes.shown_task(self._find_task(asked), self.clock.now()))

    def _update_task(self, asked: _Asked) -> httpx.Response:
        task = self._find_task(asked)
        if asked.field("status") != "COMPLETED":
            return message(422, "")
        if task.status == "CLOSED":
            return message(422, "Task already closed")
        data = asked.field("data") or {}
        if not isinstance(data, dict):
            return message(500, "Server Error")
        self._complete(task, data)
        return answer(self._shapes.shown_task(task, self.clock.now()))

    # The engine

    def _now(self) -> datetime:
        """The instant at which what happens happens: it may have been due before somebody looked."""
        return self._instant or self.clock.now()

    def _at(self, instant: datetime, action: Callable[[], None]) -> None:
        with self._lock:
            heappush(self._agenda, (instant, next(self._numbers), action))

    def _catch_up(self) -> None:
        """Lets happen what is due by now, in its order."""
        with self._lock:
            while self._agenda and self._agenda[0][0] <= self.clock.now():
                self._instant, _, action = heappop(self._agenda)
                try:
                    action()
                finally:
                    self._instant = None

    def _next_token(self) -> int:
        """Start events, tasks and end events take their ids from one sequence."""
        self._tokens += 1
        return self._tokens

    def _go_on(self, request: Request) -> None:
        """Open the next task, or complete the Request."""
        request.updated_at = self._now()
        nodes = request.process.tasks[len(request.tasks) :]
        if nodes:
            element_id, name = nodes[0]
            now = self._now()
            request.tasks.append(Task(self._next_token(), request, element_id, name, request.user, now))
        else:
            self._next_token()  # the end event's
            self._end(request, "COMPLETED")

    def _end(self, request: Request, status: str) -> None:
        with self._lock:
            for task in request.tasks:
                if task.status == "ACTIVE":
                    self._close(task)
            request.status = status
            request.completed_at = request.updated_at = self._now()

    def _complete(self, task: Task, data: dict[str, Any]) -> None:
        task.request.data.update(_data.stored_by_completion(data))
        self._close(task)
        self._go_on(task.request)

    def _close(self, task: Task) -> None:
        task.status = "CLOSED"
        task.completed_at = self._now()

    def _fail(self, request: Request, text: str, element_id: str, element_name: str) -> None:
        now: datetime = self._now()
        error: Json = {
            "message": text,
            "body": "",
            "element_id": element_id,
            "element_name": element_name,
            "created_at": _shapes.iso(now),
            "trace": "#0 (trace cut)",
        }
        request.status = "ERROR"
        request.updated_at = now
        request.errors = [*(request.errors or []), error]


def _need_administrator(asked: _Asked, text: str = _UNAUTHORIZED) -> None:
    if not asked.user.is_administrator:
        raise Refused(message(403, text))


def _ordered(items: list[T], row: Callable[[T], Json], asked: _Asked, default: str) -> list[T]:
    """By order_by and order_direction: text without regard to case, null first. Unknown columns: 500."""
    column = asked.params.get("order_by") or default

    def key(item: T) -> tuple[bool, Any]:
        try:
            value = row(item)[column]
        except KeyError:
            raise Refused(message(500, "Server Error")) from None
        return value is not None, value.lower() if isinstance(value, str) else value or 0

    return sorted(items, key=key, reverse=asked.params.get("order_direction", "").lower() == "desc")


_Handler = Callable[[Sandbox, _Asked], httpx.Response | _UnderWay]


def _route(method: str, path: str, handler: _Handler) -> tuple[str, str, re.Pattern[str], _Handler]:
    return method, path, re.compile(API + path.replace("{id}", r"(\d+)")), handler


_ROUTES = (
    _route("POST", "/process_events/{id}", Sandbox._start),
    _route("GET", "/start_processes", Sandbox._start_processes),
    _route("GET", "/processes", Sandbox._list_processes),
    _route("POST", "/processes", Sandbox._create_process),
    _route("GET", "/processes/{id}", Sandbox._show_process),
    _route("GET", "/requests", Sandbox._list_requests),
    _route("GET", "/requests/{id}", Sandbox._show_request),
    _route("PUT", "/requests/{id}", Sandbox._update_request),
    _route("GET", "/tasks", Sandbox._list_tasks),
    _route("GET", "/tasks/{id}", Sandbox._show_task),
    _route("PUT", "/tasks/{id}", Sandbox._update_task),
)
_PLACES = (
    *((method, path) for method, path, *_ in _ROUTES),
    ("POST", "/oauth/token"),
    ("GET", "/docs"),
    ("GET", "/login"),
)
