"""The engine: how Requests go from node to node, and what happens at which time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from heapq import heappop, heappush
from itertools import count
from typing import Any

from . import _data
from ._model import CatchEvent, Clock, Process, Request, Script, StartEvent, SubProcess, Task, ThrowEvent, Token, User

PARENT = "_parent"
"""The key of the data that names the parent of a sub-process. It does not go back to the parent."""
_COMPLETED_TWICE = (
    "ProcessMaker\\Jobs\\CompleteActivity::action(): Argument #1 ($token) must be of type "
    "ProcessMaker\\Models\\ProcessRequestToken, null given, called in /var/www/processmaker/vendor/laravel/framework/"
    "src/Illuminate/Container/BoundMethod.php on line 36"
)


class Engine:
    """Makes Requests and moves them on.

    Args:
        clock: its time.
        processes: all processes, by id.
        users: all users, by name.
    """

    def __init__(
        self,
        clock: Clock,
        processes: dict[int, Process],
        users: dict[str, User],
    ) -> None:
        self.clock = clock
        self.lock = threading.RLock()
        self.requests: list[Request] = []
        self.last_token = self.last_case = 0
        self._processes = processes
        self._users = users
        # What is to happen and when: (instant, number, action), the next one first.
        self._agenda: list[tuple[datetime, int, Callable[[], object]]] = []
        self._numbers = count()
        self._instant: datetime | None = None

    # Time

    def now(self) -> datetime:
        """The instant at which an action happens: its time, although somebody may look at it later."""
        return self._instant or self.clock.now()

    def at(self, instant: datetime, action: Callable[[], object]) -> None:
        """Schedule an action for that instant."""
        with self.lock:
            heappush(self._agenda, (instant, next(self._numbers), action))

    def catch_up(self) -> None:
        """Run all actions that are due by now, in order."""
        with self.lock:
            while self._agenda and self._agenda[0][0] <= self.clock.now():
                self._instant, _, action = heappop(self._agenda)
                try:
                    action()
                finally:
                    self._instant = None

    # Requests

    def start(
        self,
        process: Process,
        event: StartEvent,
        user: User,
        data: dict[str, Any],
        *,
        call: Token | None = None,
    ) -> Request:
        """Make a Request and let it run as far as it goes.

        Args:
            process: its process.
            event: the start event.
            user: who started it.
            data: as stored.
            call: the token of the sub-process that starts it.
        """
        now = self.now()
        if call is None:
            self.last_case += 1
        request = Request(
            len(self.requests) + 1,
            process,
            user,
            data,
            created_at=now,
            updated_at=now,
            event=event,
            case_number=call.request.case_number if call else self.last_case,
            appears_at=now,
            call=call,
        )
        self.requests.append(request)
        self.next_token()
        if process.fails_with:
            self.next_token()
            self._fail(request, process.fails_with, event.id, event.name)
        else:
            self._enter(request, 0)
        return request

    def complete(self, task: Token, data: dict[str, Any], *, asynchronous: bool = False) -> None:
        """Complete a task: its data is merged at the top level, and the Request goes on.

        Observed: of two completions at the same moment, the second one reaches the next node again; on an asynchronous
        server, it fails the Request instead.
        """
        if asynchronous and task.status == "CLOSED":
            self._fail(task.request, _COMPLETED_TWICE)
            return
        task.request.data.update(data)
        self._leave(task)

    def trigger(self, waiting: Token, body: Any) -> None:
        """Trigger a catch event. An event that waits for a signal ignores the body."""
        assert isinstance(waiting.node, CatchEvent)
        self.next_token()  # the trigger's
        self.complete(waiting, {} if waiting.node.signal else _data.stored(body))

    def end(self, request: Request, status: str) -> None:
        """End a Request: its tokens are closed, the Requests that it called are completed, its caller goes on."""
        with self.lock:
            now = self.now()
            for token in request.tokens:
                if token.status != "CLOSED":
                    self._close(token)
                    if token.child and token.child.completed_at is None:
                        self.end(token.child, "COMPLETED")
            request.status = status
            request.completed_at = request.updated_at = now
            call = request.call
            if call and call.status == "ACTIVE":
                returned = {key: value for key, value in request.data.items() if key != PARENT}
                self.complete(call, returned)

    def fail(self, request: Request, text: str) -> None:
        """Fail the Request at its open task, or at its start."""
        nodes = [(token.element_id, token.name) for token in request.tokens if token.status == "ACTIVE"]
        self._fail(request, text, *(nodes or [(request.event.id, request.event.name)])[0])

    def retry(self, request: Request) -> list[Token]:
        """Run the failed scripts again; returns their tokens."""
        failing = [token for token in request.tokens if token.status == "FAILING"]
        request.status, request.errors = "ACTIVE", []
        for token in failing:
            self._run(token, retried=True)
        return failing

    def next_token(self) -> int:
        """Start events, gateways, tasks and all other nodes take their ids from one sequence."""
        self.last_token += 1
        return self.last_token

    # Nodes

    def _enter(self, request: Request, position: int) -> None:
        """Go on to the step at this position; beyond the last one, to the end event."""
        request.updated_at = self.now()
        if position == len(request.process.steps):
            self.next_token()
            if all(token.status == "CLOSED" for token in request.tokens):
                self.end(request, "COMPLETED")
            return
        step = request.process.steps[position]
        if isinstance(step, tuple):
            self.next_token()  # the gateway's
        for node in step if isinstance(step, tuple) else (step,):
            token = Token(self.next_token(), request, node, position, self.now())
            request.tokens.append(token)
            self._arrive(token)

    def _arrive(self, token: Token) -> None:
        match token.node:
            case Task(user=name, claimable_by=names):
                token.candidates = tuple(self._users[name] for name in names)
                token.is_self_service = bool(names)
                if not names:
                    token.user = self._users[name] if name else token.request.user
            case Script():
                self._run(token)
            case SubProcess(process=name):
                self._call(token, next(process for process in self._processes.values() if process.name == name))
            case ThrowEvent(signal=signal):
                self._throw(signal, token.request)
                self._leave(token)
            case CatchEvent():
                pass

    def _leave(self, token: Token) -> None:
        """Close the token and go on, unless other tasks of the same step are still open."""
        request, position = token.request, token.position
        self._close(token)
        request.updated_at = self.now()
        if isinstance(request.process.steps[position], tuple):
            if any(other.position == position and other.status == "ACTIVE" for other in request.tokens):
                return
            self.next_token()  # the joining gateway's
        self._enter(request, position + 1)

    def _close(self, token: Token) -> None:
        token.status = "CLOSED"
        token.completed_at = self.now()

    def _run(self, token: Token, *, retried: bool = False) -> None:
        """Run a script: what it does happens when it ends."""
        script, request = token.node, token.request
        assert isinstance(script, Script)
        token.status = "ACTIVE"

        def finish() -> None:
            if token.status != "ACTIVE":
                return
            if script.error is None:
                self.complete(token, script.result)
                return
            token.status = "FAILING"
            # Observed: the first run leaves the message twice, a retry once.
            for _ in range(1 if retried else 2):
                self._fail(request, script.error, script.id, script.name, "\nProcessMaker Stack:\n#0 (trace cut)")

        end = self.now() + timedelta(seconds=script.seconds)
        waiting: Request | None = request
        while waiting:  # a sync server answers the caller of a sub-process after its scripts
            waiting.busy_until = end
            waiting = waiting.parent
        self.at(end, finish)

    def _call(self, token: Token, process: Process) -> None:
        """Start the Request of a sub-process, with a copy of all data."""
        caller = token.request
        place = {"process_id": caller.process.id, "request_id": caller.id, "node_id": token.element_id}
        data = {**caller.data, PARENT: place}
        token.child = self.start(process, process.start_events[0], caller.user, data, call=token)

    def _throw(self, signal: str, sender: Request) -> None:
        """Copy all data of the sender into each Request that waits for the signal, and into those it starts."""
        waiting = [
            token
            for request in self.requests
            for token in request.tokens
            if token.status == "ACTIVE" and isinstance(token.node, CatchEvent) and token.node.signal == signal
        ]
        for process in self._processes.values():
            for event in process.start_events:
                if event.signal == signal and process.status == "ACTIVE":
                    self.start(process, event, sender.user, dict(sender.data))
        for token in waiting:
            self.complete(token, sender.data)

    def _fail(
        self,
        request: Request,
        text: str,
        element_id: str | None = None,
        element_name: str | None = None,
        body: str = "",
    ) -> None:
        now = self.now()
        error = {
            "message": text,
            "body": body,
            "element_id": element_id,
            "element_name": element_name,
            "created_at": now.isoformat(timespec="seconds"),
            "trace": "#0 (trace cut)",
        }
        request.status = "ERROR"
        request.updated_at = now
        request.errors = [*(request.errors or []), error]
