"""The sandbox: what a test can do with it, and the way of a call through it."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from email.utils import format_datetime
from itertools import count
from typing import Any, NamedTuple

import attrs
import httpx

from ..journal import MemoryJournal
from . import _faults, _shapes
from ._engine import Engine
from ._model import (
    Clock,
    File,
    Identified,
    Node,
    Process,
    Request,
    Started,
    StartEvent,
    SubProcess,
    Task,
    User,
    with_ids,
)
from ._oauth import TokenEndpoint, web_token
from ._objects import PROCESSES, users
from ._routes import API, ApiCall, Pending, find_handler
from ._shapes import Refused, answer, message, not_found
from ._transport import Channel, SandboxTransport, run

URL = "https://pm.example.com"
LONGEST_URL = 8000
"""Observed: nginx refuses a URL beyond about 8,000 characters."""


class Call(NamedTuple):
    """A call that the sandbox has seen."""

    method: str
    path: str
    """Without the leading /api/1.0 and without the query."""
    status: int | None
    """What the client got; None if it got no answer."""


def _by_id(processes: Iterable[Process]) -> dict[int, Process]:
    return {process.id: process for process in processes}


@attrs.define(kw_only=True, slots=False, eq=False, repr=False)
class Sandbox:
    """An in-memory ProcessMaker: a function from `httpx.Request` to `httpx.Response`, with state.

    `sandbox(request)` raises httpx's exceptions where a network would. It may be called from many threads. A start
    takes effect between its call and its answer, and other calls are handled meanwhile: two callers who look for a key
    before they start may both miss it, as on a server. In memory, the sandbox's time jumps; behind a socket, time
    really passes.

    Args:
        url: its own address; tests give it to their client.
        clock: its time, see `Clock`.
        processes: the processes on it; those of the recorded server, unless given.
        asynchronous: whether scripts run on a queue. A start then answers at once, and a script ends later.
        expires_in: seconds for which an access token from /oauth/token is valid.
        body_limit: bytes of a request's body beyond which nginx answers 413.
        start_takes: seconds from a start's call to its answer (0.15 on a real server).
        appears_after: seconds from a start's call until its Request is listed, also if its client has left;
            `start_takes`, unless given. If it is longer, an answered start is not listed at once.
        completion_takes: seconds from the call that completes a task to its answer. Two such calls at the same moment
            both succeed, and the next task exists twice.

    Attributes:
        calls: `(method, path, status)` of every call seen, without /api/1.0 in the path.
        journal: the `MemoryJournal` that clients with its transport use if they are given none.
        maintenance: if True, everything answers 503.
        asynchronous, expires_in, body_limit, start_takes, appears_after, completion_takes: as above; may be changed at
            any time.
    """

    _url: str = attrs.field(default=URL, alias="url")
    clock: Clock = attrs.field(factory=Clock)
    processes: dict[int, Process] = attrs.field(default=PROCESSES, converter=_by_id)
    asynchronous: bool = False
    expires_in: int = 31_536_000
    body_limit: int = 1024 * 1024
    start_takes: float = 0
    appears_after: float | None = None
    completion_takes: float = 0

    def __attrs_post_init__(self) -> None:
        self.journal = MemoryJournal()
        self.journal.clock = self.clock
        self.maintenance = False
        self.calls: list[Call] = []
        self.users: dict[str, User] = {user.username: user for user in users()}
        self.files: dict[int, File] = {}
        self.file_numbers = count(1)
        self.shapes = _shapes.Shapes(self.clock.now())
        self.engine = Engine(self.clock, self.processes, self.users)
        self._oauth = TokenEndpoint(self)
        self._rules: list[_faults.Rule] = []
        self._lock = self.engine.lock

    # As a server

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        return run(self.answer(request, Channel(self.clock)))

    async def answer(self, request: httpx.Request, channel: Channel) -> httpx.Response:
        """Answer a request that has been read; `channel` is the way in which it came."""
        path = request.url.path.removeprefix(API)
        with self._lock:
            call = f"{request.method} {path}"
            fault = next(((rule, kind) for rule in self._rules if (kind := rule.pick(call))), None)
        status = None
        try:
            if fault is None:
                response = await self._process(request, channel)
            else:
                rule, kind = fault
                if kind == "token expired":
                    self.revoke()
                response = await rule.apply(kind, request, lambda: self._process(request, channel), channel)
            status = response.status_code
            return response
        finally:
            with self._lock:
                self.calls.append(Call(request.method, path, status))

    def transport(self) -> SandboxTransport:
        """A transport for `httpx.Client` and `httpx.AsyncClient`. A client with it uses the sandbox's clock."""
        return SandboxTransport(self)

    def serve(self, port: int = 0, *, log: Callable[[str], None] | None = None) -> AbstractContextManager[str]:
        """Serve on 127.0.0.1 while the block runs; gives the URL.

        Args:
            port: 0 for a free one. OSError: it is not free.
            log: is called with a line for each call: time, method, path and status.
        """
        from ._socket import serving

        return serving(self, port, log)

    # For tests: who, what, and what happened

    @property
    def url(self) -> str:
        """Its own address."""
        return self._url

    @property
    def requests(self) -> list[Request]:
        """The Requests started so far, oldest first."""
        self.engine.catch_up()
        return self.engine.requests

    def user(self, username: str = "integration.bot") -> User:
        """One of the users admin, integration.bot, mail.user and reviewer.

        Raises:
            LookupError: there is no such user.
        """
        if username not in self.users:
            raise LookupError(f"no user {username!r}; there are: {', '.join(self.users)}")
        return self.users[username]

    def token(self, username: str = "integration.bot") -> str:
        """The user's personal access token, a JWT as the server's are; it stays good until revoked.

        Its last part, such as `sandbox-integration-bot-token`, is accepted as well. That one does not say whose it is.
        """
        user = self.user(username)
        return web_token({"sub": str(user.id)}, user.token)

    def revoke(self, token: str | None = None) -> None:
        """Make an access token invalid; without one, all that /oauth/token has given out."""
        with self._lock:
            self._oauth.revoke(token)

    def add_process(
        self,
        name: str,
        *,
        tasks: Sequence[str | Node | Sequence[str | Task]] = (),
        start_events: Sequence[StartEvent] = (StartEvent("node_1", "Start"),),
        id: int | None = None,  # noqa: A002 - the API's word
        users: Sequence[str] = ("integration.bot",),
        description: str = "",
        status: str = "ACTIVE",
        fails_with: str | None = None,
        broken: bool = False,
    ) -> Process:
        """Add a process with these tasks in a row. Without tasks, its Requests complete at once.

        Args:
            name: its name.
            tasks: its tasks, in order. A text is a task of the user who started the Request; `Task("Review",
                user="reviewer")` is another user's. `Script`, `SubProcess`, `CatchEvent` and `ThrowEvent` may stand
                among them, and a list of tasks that are open at once.
            start_events: where it starts; one manual event `node_1`, unless given.
            id: its id; the next free one, unless given.
            users: the names of the users who may start it, besides administrators.
            description: its description.
            status: ACTIVE, INACTIVE or ARCHIVED.
            fails_with: lets the engine fail after the start: 201 with the status ERROR and this message.
            broken: lets its BPMN be invalid: a start answers 500.

        Raises:
            ValueError: the name or the id is taken, or a task is none, or calls a process that is not there.
            LookupError: there is no such user.
        """
        for argument, given in (("tasks", tasks), ("users", users)):
            if isinstance(given, str):
                raise ValueError(f"{argument}={given!r} is not a list")
        with self._lock:
            process = Process(
                id=max(self.processes, default=1) + 1 if id is None else id,
                name=name,
                description=description,
                start_events=tuple(start_events),
                steps=with_ids(tasks),
                users=tuple(self.user(name).id for name in users),
                status=status,
                fails_with=fails_with,
                broken=broken,
            )
            names = {one.name for one in self.processes.values()}
            for node in process.nodes:
                if isinstance(node, SubProcess) and node.process not in names:
                    raise ValueError(f"{node!r} calls a process that is not there: add it first")
                if isinstance(node, Task):
                    for username in (*node.claimable_by, *([node.user] if node.user else [])):
                        self.user(username)
            if id in self.processes or name in names:
                raise ValueError(f"there is a process {name!r}, or one with the id {id}, already: names are unique")
            self.processes[process.id] = process
            return process

    def started(self, process_name: str) -> list[Started]:
        """Return what callers started of that process, as they sent it, oldest first.

        Sub-processes and what a signal started are left out; `requests` has them.

        Raises:
            LookupError: there is no such process.
        """
        names = {process.name for process in self.processes.values()}
        found = [
            Started.of(request) for request in self.requests if request.called and request.process.name == process_name
        ]
        if not found and process_name not in names:
            raise LookupError(f"no process {process_name!r}; there are: {', '.join(sorted(names))}")
        return found

    def request(self, request_id: int | Identified) -> Request:
        """Return a Request by its id, or as a client returned it. LookupError: there is none."""
        number = request_id if isinstance(request_id, int) else request_id.id
        if not 1 <= number <= len(self.requests):
            raise LookupError(f"no Request {number}")
        return self.engine.requests[number - 1]

    def finish(self, request_id: int | Identified, *, after: float = 0) -> None:
        """Complete a Request, whatever tasks are left: at once, or after so many seconds if it is ACTIVE then."""
        request = self.request(request_id)
        self._later(request, after, lambda: self.engine.end(request, "COMPLETED"))

    def cancel(self, request_id: int | Identified, *, after: float = 0) -> None:
        """Cancel a Request: at once, or after so many seconds if it is ACTIVE then."""
        request = self.request(request_id)
        self._later(request, after, lambda: self.engine.end(request, "CANCELED"))

    def fail(self, request_id: int | Identified, message: str = "The engine failed", *, after: float = 0) -> None:
        """Let the engine fail: the Request gets the status ERROR and an error with that message.

        At once, or after so many seconds if it is ACTIVE then.
        """
        request = self.request(request_id)
        self._later(request, after, lambda: self.engine.fail(request, message))

    def complete(self, request_id: int | Identified, data: dict[str, Any] | None = None, *, after: float = 0) -> None:
        """Complete the open tasks of a Request, as the people would who have them.

        At once, or after so many seconds if it is ACTIVE then.

        Args:
            request_id: the Request, or its id.
            data: what is added to its data.
            after: seconds.

        Raises:
            LookupError: no such Request, or (at once) it has no open task.
        """
        request = self.request(request_id)
        if not after and not request.open_tasks:
            raise LookupError(f"Request {request.id} has no open task: it is {request.status}")

        def complete() -> None:
            for task in request.open_tasks:
                self.engine.complete(task, data or {})

        self._later(request, after, complete)

    def _later(self, request: Request, after: float, action: Callable[[], None]) -> None:
        def act() -> None:
            if request.status == "ACTIVE":
                action()

        with self._lock:
            if after:
                self.engine.at(self.clock.now() + timedelta(seconds=after), act)
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
        """Make the next calls fail.

        Args:
            kind: one of `KINDS`.
            times: how many calls.
            on: only calls that begin so, such as `POST /process_events`, `GET` or `/oauth/token`; any, unless given.
            seconds: for `slow`, how long the answer takes (60).
            retry_after: for 429 and 503, the header Retry-After; None leaves it out.
            at: for `truncated`, how much arrives: bytes, or a share if below 1.
        """
        self._add_rule([kind], on, times=times, seconds=seconds, retry_after=retry_after, at=at)

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
        """Make a share `rate` of all calls fail from now on, in ways drawn from `kinds`; the same for the same seed."""
        chance = random.Random(seed)
        self._add_rule(list(kinds), on, rate=rate, chance=chance, seconds=seconds, retry_after=retry_after)

    def unused_faults(self) -> list[str]:
        """Return the faults asked for with `fail_next` that no call has met."""
        with self._lock:
            return [str(rule) for rule in self._rules if rule.times is not None and not rule.used]

    def behave(self) -> None:
        """End all faults and the maintenance."""
        with self._lock:
            self._rules.clear()
            self.maintenance = False

    def _add_rule(self, kinds: list[_faults.Kind], on: str | None, **options: Any) -> None:
        rule = _faults.Rule(kinds, (on or "").replace(API, ""), **options)
        with self._lock:
            self._rules.append(rule)

    # The way of a call: nginx, maintenance, routes, token, handler, ETag

    async def _process(self, request: httpx.Request, channel: Channel) -> httpx.Response:
        with self._lock:
            self.engine.catch_up()
            try:
                found = self._answer(request)
            except Refused as refused:
                found = refused.response
        response = found if isinstance(found, httpx.Response) else await self._wait_for(found, request, channel)
        response.headers["date"] = format_datetime(self.clock.now(), usegmt=True)
        return response

    async def _wait_for(self, pending: Pending, request: httpx.Request, channel: Channel) -> httpx.Response:
        """Answer a call that takes effect at its time, also if its client leaves."""
        for seconds in sorted(set(pending.after)):
            await channel.wait(request, seconds, began=pending.began)
        with self._lock:
            self.engine.catch_up()
            response, started = pending.answer(), pending.request()
        while not self.asynchronous and started and started.busy_until and started.busy_until > self.clock.now():
            await channel.wait(request, (started.busy_until - pending.began).total_seconds(), began=pending.began)
            self.engine.catch_up()
        return response

    def _answer(self, request: httpx.Request) -> httpx.Response | Pending:
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
        if request.method == "POST" and re.fullmatch(rf"{API}/process_events/(?![0-9]+$)[^/]+", path):
            text = f"The POST method is not supported for route {path[1:]}. Supported methods: GET, HEAD."
            return message(405, text)
        found = find_handler(request.method, path)
        if found is None:
            return not_found()
        handler, parts = found
        user = self._oauth.user_of(request)
        if user is None:
            if as_json:
                return answer({"error": "Unauthenticated."}, 401)
            login = str(request.url.copy_with(raw_path=b"/login"))
            return httpx.Response(302, headers={"location": login, "content-type": "text/html; charset=UTF-8"})
        content_type = request.headers.get("content-type", "")
        call = ApiCall(user, request.url.params, content_type, request.content, request.url, parts)
        response = handler(self, call)
        return response if isinstance(response, Pending) else _tagged(request, response)


def _tagged(request: httpx.Request, response: httpx.Response) -> httpx.Response:
    """The server tags its answers to GET, and answers 304 to a tag that still holds."""
    if request.method != "GET" or response.status_code != 200:
        return response
    tag = response.headers.setdefault("etag", _shapes.etag(response.content))
    if request.headers.get("if-none-match") == tag:
        return httpx.Response(304, headers={"cache-control": "no-cache, private", "etag": tag})
    return response
