"""Waits for a Request, and watches it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Literal, TypeVar

from attrs import frozen

from ..errors import InvalidData, ProcessMakerError, WaitTimeout, clean, sentence
from ..log import log, of_request
from ..models import Request, Task
from ..wire.call import IO
from .reading import AnyRequest, check_seconds, fetch, id_of, request_canceled, request_failed
from .tasks import open_task_ids, open_tasks_of

T = TypeVar("T")

WAIT_TIMEOUT = 300.0
"""Seconds that a wait lasts at most, unless told otherwise."""

FIRST_POLL = 0.5
"""Seconds before the second poll."""

LONGEST_POLL = 10.0
"""Seconds between two polls at most, unless the first pause is longer."""

Until = Literal["finished", "task"] | Callable[[Request], bool]
"""What to wait for."""


@frozen(kw_only=True)
class Progress:
    """Where a Request stands.

    Args:
        request: its state, with its data.
        tasks: its open tasks, whoever they wait for. An ACTIVE Request without any runs a script, or waits for a
            sub-process, a timer, a message or a signal.
    """

    request: Request
    tasks: tuple[Task, ...] = ()


async def wait(io: IO, request: AnyRequest, *, until: Until, timeout: float, poll: float) -> Request:
    """Look at a Request until it is what is waited for."""
    if not callable(until) and until not in ("finished", "task"):
        raise InvalidData(f'until={until!r} is neither "finished", "task" nor a function of a Request')
    include = ("activeTasks", "data") if until == "task" else ("data",)
    polls = _Polls(io, request, timeout, poll)
    while True:
        now = await polls.state(include)
        if now and callable(until) and until(now):
            return now
        if now and now.finished:
            return _ended(now, until)
        if now and until == "task":
            ids = open_task_ids(now)
            if ids or (ids is None and await polls.open_tasks(now)):
                return now
        await polls.pause()


async def watch(io: IO, request: AnyRequest, *, timeout: float, poll: float) -> AsyncGenerator[Progress, None]:
    """Look at a Request until it has finished, and yield what has changed."""
    polls = _Polls(io, request, timeout, poll)
    looked: object = None
    shown: object = None
    while True:
        now = await polls.state(("activeTasks", "data"))
        state = (now.status, open_task_ids(now)) if now else None
        # The list of tasks is only read after a change; from a server before 4.9 it is the only way to see one.
        if now and (state != looked or open_task_ids(now) is None):
            tasks = () if now.finished else await polls.open_tasks(now)
            if tasks is not None:
                looked = state
                if shown != (now.status, [task.id for task in tasks]):
                    shown = now.status, [task.id for task in tasks]
                    yield Progress(request=now, tasks=tuple(tasks))
                    polls.begin_anew()
                if now.finished:
                    return
        await polls.pause()


class _Polls:
    """Looks at a Request at growing intervals, within a time. What may pass (a lost answer, a 502) does not end it."""

    def __init__(self, io: IO, request: AnyRequest, timeout: float, poll: float) -> None:
        check_seconds("timeout", timeout)
        check_seconds("poll", poll)
        if poll == 0:
            raise InvalidData("poll=0 would ask without pause; give the seconds before the second look")
        self._io = io
        self._id = id_of(request, Request)
        self._first, self._longest = poll, max(poll, LONGEST_POLL)
        self._pause = poll
        self._timeout, self._deadline = timeout, io.clock.monotonic() + timeout
        self._last = request if isinstance(request, Request) else None
        self._error: ProcessMakerError | None = None

    async def state(self, include: tuple[str, ...]) -> Request | None:
        """Return the state now; None if this look failed in a way that may pass."""
        state = await self._patiently(fetch(self._io, self._id, include, within=self._left()))
        self._last = state or self._last
        return state

    async def open_tasks(self, now: Request) -> list[Task] | None:
        """Return the open tasks of a state; None if this look failed in a way that may pass."""
        return await self._patiently(open_tasks_of(self._io, now, within=self._left()))

    async def pause(self) -> None:
        """Let time pass until the next look.

        Raises:
            WaitTimeout: the time is over.
        """
        left = self._left()
        if left <= 0:
            state = f"is still {clean(self._last.status, 60)}" if self._last else "could not be read"
            message = f"Request {self._id} {state} after {self._timeout:g} s. It goes on."
            hint = f"Wait again: wait({self._id})."
            raise WaitTimeout(message, request=self._last, request_id=self._id, hint=hint) from self._error
        await self._io.sleep(min(self._pause, left))
        self._pause = min(self._pause * 1.5, self._longest)

    def begin_anew(self) -> None:
        """Look often again: after one change the next one may be near."""
        self._pause = self._first

    def _left(self) -> float:
        return self._deadline - self._io.clock.monotonic()

    async def _patiently(self, look: Awaitable[T]) -> T | None:
        try:
            found = await look
        except ProcessMakerError as error:
            if not error.transient:
                raise
            words = "%s The wait for Request %d goes on."
            log.warning(words, sentence(error), self._id, extra=of_request(self._id))
            self._error = error
            return None
        self._error = None
        return found


def _ended(request: Request, until: Until) -> Request:
    """Return a Request that has finished, or raise the error that says how it ended."""
    if request.status == "ERROR":
        raise request_failed(request)
    if request.status == "CANCELED":
        raise request_canceled(request)
    if callable(until):
        message = f"Request {request.id} is {request.status} and changes no more; what was waited for did not come."
        raise WaitTimeout(message, request=request, request_id=request.id)
    return request
