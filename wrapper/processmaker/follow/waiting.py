"""Waits for a Request, and watches it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from attrs import frozen

from ..errors import InvalidData, ProcessMakerError, WaitTimeout, clean, sentence
from ..log import log, of_request
from ..models import Request, Task
from ..wire.call import IO
from .reading import AnyRequest, bad_end, check_seconds, fetch, id_of
from .tasks import active_tasks, open_tasks_of

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
        with polls.patience():
            now = polls.last = await fetch(io, polls.id, include, within=polls.left)
            if callable(until) and until(now):
                return now
            if now.finished:
                return _ended(now, until)
            if until == "task":
                active = active_tasks(now)
                if active or (active is None and await open_tasks_of(io, now, within=polls.left)):
                    return now
        await polls.pause()


async def watch(io: IO, request: AnyRequest, *, timeout: float, poll: float) -> AsyncGenerator[Progress, None]:
    """Look at a Request until it has finished, and yield what has changed."""
    polls = _Polls(io, request, timeout, poll)
    looked: object = None
    shown: object = None
    while True:
        with polls.patience():
            now = polls.last = await fetch(io, polls.id, ("activeTasks", "data"), within=polls.left)
            active = active_tasks(now)
            # The list of tasks is only read after a change; from a server before 4.9 it is the only way to see one.
            if active is None or looked != (now.status, active):
                tasks = [] if now.finished else await open_tasks_of(io, now, within=polls.left)
                looked = now.status, active
                if shown != (now.status, [task.id for task in tasks]):
                    shown = now.status, [task.id for task in tasks]
                    yield Progress(request=now, tasks=tuple(tasks))
                    polls.begin_anew()
            if now.finished:
                return
        await polls.pause()


class _Polls:
    """Looks at a Request at growing intervals, within a time."""

    def __init__(self, io: IO, request: AnyRequest, timeout: float, poll: float) -> None:
        check_seconds("timeout", timeout)
        check_seconds("poll", poll)
        if poll == 0:
            raise InvalidData("poll=0 would ask without pause; give the seconds before the second look")
        self.id = id_of(request, Request)
        self.last = request if isinstance(request, Request) else None
        self._io = io
        self._first, self._longest = poll, max(poll, LONGEST_POLL)
        self._pause = poll
        self._timeout, self._deadline = timeout, io.clock.monotonic() + timeout
        self._error: ProcessMakerError | None = None

    @property
    def left(self) -> float:
        """The seconds until the time is over."""
        return self._deadline - self._io.clock.monotonic()

    @contextmanager
    def patience(self) -> Iterator[None]:
        """Go on after an error of the block that may pass, such as a lost answer or a 502."""
        try:
            yield
            self._error = None
        except ProcessMakerError as error:
            if not error.transient:
                raise
            words = "%s The wait for Request %d goes on."
            log.warning(words, sentence(error), self.id, extra=of_request(self.id))
            self._error = error

    async def pause(self) -> None:
        """Let time pass until the next look.

        Raises:
            WaitTimeout: the time is over.
        """
        left = self.left
        if left <= 0:
            message = f"Request {self.id} could not be read within {self._timeout:g} s: {self._error}"
            if self.last:
                status = clean(self.last.status, 60)
                message = f"Request {self.id} is still {status} after {self._timeout:g} s. It goes on."
            hint = f"Wait again: wait({self.id})."
            raise WaitTimeout(message, request=self.last, request_id=self.id, hint=hint) from self._error
        await self._io.sleep(min(self._pause, left))
        self._pause = min(self._pause * 1.5, self._longest)

    def begin_anew(self) -> None:
        """Look often again: after one change the next one may be near."""
        self._pause = self._first


def _ended(request: Request, until: Until) -> Request:
    """Return a Request that has finished, or raise the error that says how it ended."""
    if error := bad_end(request):
        raise error
    if callable(until):
        message = f"Request {request.id} is {request.status} and changes no more; what was waited for did not come."
        raise WaitTimeout(message, request=request, request_id=request.id)
    return request
