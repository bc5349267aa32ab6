"""Following a Request: read it, list, wait, watch, and act on its tasks."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Literal, TypedDict, TypeVar

from attrs import frozen
from processmaker_api.api.process_requests import (
    get_process_request_by_id,
    get_processes_requests,
    update_process_request,
)
from processmaker_api.api.tasks import get_tasks, update_task
from processmaker_api.models.process_request_editable import ProcessRequestEditable
from processmaker_api.models.update_task_body import UpdateTaskBody
from processmaker_api.types import UNSET

from ..clock import LONGEST, is_seconds
from ..data import COMPLETING, OnAlteredData, check_data, check_text, report_alterations
from ..errors import (
    AlreadyFinished,
    CancelNotAllowed,
    Forbidden,
    InvalidData,
    NotFound,
    ProcessMakerError,
    RequestCanceled,
    RequestFailed,
    ResponseError,
    TaskAlreadyClosed,
    TimedOut,
    ValidationFailed,
    WaitTimeout,
    clean,
    in_words,
    left_open,
    sentence,
)
from ..log import log, of_request
from ..models import Request, Task, is_id, items, last_page, request_from, task_from, total
from ..processes import AnyProcess, Catalog
from ..wire.call import IO
from .pmql import AnyStatus, Since, condition

T = TypeVar("T")
E = TypeVar("E", bound=ResponseError)

WAIT_TIMEOUT = 300.0
"""Seconds that a wait lasts at most, unless told otherwise."""

FIRST_POLL = 0.5
"""Seconds before the second poll."""

LONGEST_POLL = 10.0
"""Seconds between two polls at most, unless the first pause is longer."""

INCLUDES = ("data", "summary", "process", "user", "participants", "errors", "activeTasks")
"""What can come along with a Request; the last one from newer servers. Unknown names are ignored by the server."""

AnyRequest = int | Request
"""A Request, or its id."""

AnyTask = int | Task
"""A task, or its id."""

Until = Literal["finished", "task"] | Callable[[Request], bool]
"""What to wait for."""


class RequestQuery(TypedDict, total=False):
    """What a list of Requests can be asked for."""

    pmql: str
    include: str
    order_by: str
    order_direction: str
    per_page: int


@frozen(kw_only=True)
class Progress:
    """Where a Request stands.

    Args:
        request: its state, with its data.
        tasks: the tasks that wait for a person.
    """

    request: Request
    tasks: tuple[Task, ...] = ()


async def fetch(io: IO, request: AnyRequest, include: Iterable[str], *, within: float | None = None) -> Request:
    """GET /requests/{id}."""
    number, related = _id_of(request, Request), _joined(include)

    def read(answer: object) -> Request:
        found = request_from(answer, io.site)
        if found.id != number:
            raise ValueError(f"the answer is Request {found.id}")
        return found

    with _named(f"Request {number}"):
        asked = get_process_request_by_id.build_request(process_request_id=number, include=related or UNSET)
        return await io.call(asked, read, within=within)


def requests(
    io: IO,
    catalog: Catalog,
    include: Iterable[str],
    *,
    pmql: str | None,
    process: AnyProcess | None,
    status: AnyStatus,
    since: Since,
    per_page: int | None,
    order_by: str | None,
    order_direction: str | None,
) -> AsyncGenerator[Request, None]:
    query: RequestQuery = {}
    if related := _joined(include):
        query["include"] = related
    if per_page is not None and not is_id(per_page):
        raise InvalidData(f"per_page={in_words(per_page)} is not a number of Requests, from 1")
    if per_page is not None:
        query["per_page"] = per_page
    if order_direction not in (None, "asc", "desc"):
        raise InvalidData(f'order_direction={in_words(order_direction)} is neither "asc" nor "desc"')
    if order_direction is not None:
        query["order_direction"] = order_direction
    if order_by is not None:
        check_text("order_by", order_by)
        query["order_by"] = order_by
    if pmql is not None:
        check_text("pmql", pmql)

    async def found() -> AsyncGenerator[Request, None]:
        if where := await _condition(io, catalog, pmql, process, status, since):
            query["pmql"] = where
        async for request in listed(io, query):
            yield request

    return found()


async def count_requests(
    io: IO, catalog: Catalog, *, pmql: str | None, process: AnyProcess | None, status: AnyStatus, since: Since
) -> int:
    """GET /requests: only how many there are."""
    if pmql is not None:
        check_text("pmql", pmql)
    condition = await _condition(io, catalog, pmql, process, status, since)
    return await io.call(get_processes_requests.build_request(pmql=condition or UNSET, per_page=1), total)


async def _condition(
    io: IO, catalog: Catalog, pmql: str | None, process: AnyProcess | None, status: AnyStatus, since: Since
) -> str | None:
    process_id = None if process is None else await catalog.process_id(process)
    return condition(pmql, process_id=process_id, status=status, since=since, now=io.clock.now())


async def listed(
    io: IO,
    query: RequestQuery,
    *,
    check: Callable[[Request], Request] = lambda request: request,
    within: float | None = None,
    once: bool = False,
) -> AsyncGenerator[Request, None]:
    """GET /requests, page after page. `check` raises ValueError for a row that is not what was asked for."""

    def read(row: object) -> Request:
        return check(request_from(row, io.site))

    def page(number: int) -> dict[str, Any]:
        return get_processes_requests.build_request(**query, page=number if number > 1 else UNSET)

    async for request in _pages(io, page, read, within=within, once=once):
        yield request


async def open_tasks(io: IO, request: AnyRequest, *, within: float | None = None) -> list[Task]:
    """GET /tasks: those of this Request that wait for a person."""
    return await tasks_of(io, request, "ACTIVE", within=within)


async def tasks_of(
    io: IO, request: AnyRequest, status: str, *, within: float | None = None, once: bool = False
) -> list[Task]:
    """GET /tasks: those of this Request with that status."""
    of = _id_of(request, Request)

    def page(number: int) -> dict[str, Any]:
        return get_tasks.build_request(process_request_id=of, status=status, page=number if number > 1 else UNSET)

    return [task async for task in _pages(io, page, task_from, within=within, once=once)]


async def complete(io: IO, task: AnyTask, data: object, *, on_altered_data: OnAlteredData) -> Task:
    """PUT /tasks/{id}."""
    checked = check_data(data, completing=True)
    report_alterations(checked, on_altered_data, COMPLETING)
    body = UpdateTaskBody(status="COMPLETED", data=checked)
    number = _id_of(task, Task)
    of = task.request_id if isinstance(task, Task) else None
    look = f"tasks({of}) lists it until it is" if of else "tasks(…) of its Request lists it until it is"
    try:
        with _named(f"task {number}"), left_open(f"task {number} was completed", look):
            return await io.call(update_task.build_request(task_id=number, body=body), task_from)
    except ValidationFailed as error:
        if "already closed" not in error.server_message.lower():
            raise
        raise _narrowed(TaskAlreadyClosed, error) from None


async def cancel(io: IO, request: AnyRequest) -> Request:
    """PUT /requests/{id}, and its state afterwards."""
    number = _id_of(request, Request)
    if isinstance(request, Request) and request.status == "CANCELED":
        return request
    if isinstance(request, Request) and request.status == "COMPLETED":
        raise _already(request)
    try:
        with _named(f"Request {number}"), left_open(f"Request {number} was canceled", f"look at it, get({number})"):
            body = ProcessRequestEditable(status="CANCELED")
            await io.command(update_process_request.build_request(process_request_id=number, body=body))
    except Forbidden as error:
        # The answer is the same whether it is over or this user may not.
        now = None
        with suppress(ProcessMakerError):
            now = await fetch(io, number, ())
        if now and now.finished:
            raise _already(now) from error
        raise _narrowed(CancelNotAllowed, error) from None
    try:
        now = await fetch(io, number, ())
    except ProcessMakerError as error:
        error.processed = True  # it is canceled; what failed is reading its state
        raise
    if now.finished and now.status != "CANCELED":
        raise _already(now)
    return now


async def wait(io: IO, request: AnyRequest, *, until: Until, timeout: float, poll: float) -> Request:
    if not callable(until) and until not in ("finished", "task"):
        raise InvalidData(f'until={until!r} is neither "finished", "task" nor a function of a Request')
    polls = _Polls(io, request, timeout, poll)
    while True:
        now = await polls.state()
        if now and callable(until) and until(now):
            return now
        if now and now.finished:
            return _ended(now, until)
        if now and until == "task" and await polls.tasks():
            return now
        await polls.pause()


async def watch(io: IO, request: AnyRequest, *, timeout: float, poll: float) -> AsyncGenerator[Progress, None]:
    polls = _Polls(io, request, timeout, poll)
    seen: object = None
    while True:
        now = await polls.state()
        tasks = await polls.tasks() if now and not now.finished else ()
        if now and tasks is not None:
            state = now.status, [task.id for task in tasks]
            if state != seen:
                seen = state
                yield Progress(request=now, tasks=tuple(tasks))
                polls.begin_anew()
        if now and now.finished:
            return
        await polls.pause()


def request_failed(request: Request) -> RequestFailed:
    """The error for a Request whose status is ERROR, with the engine's words."""
    error = RequestFailed("", request=request)
    said = clean("; ".join(error.messages)) or "the engine gives no reason"
    error.args = (f'Request {request.id} of "{clean(request.name)}" exists, and failed: {said}',)
    return error


def request_canceled(request: Request) -> RequestCanceled:
    """The error for a Request whose status is CANCELED."""
    return RequestCanceled(f'Request {request.id} of "{clean(request.name)}" was canceled.', request=request)


def _already(request: Request) -> AlreadyFinished:
    message = f'Request {request.id} of "{clean(request.name)}" is over: it is {clean(request.status, 60)}.'
    return AlreadyFinished(f"{message} There is nothing to cancel.", request=request)


def check_seconds(name: str, value: object) -> None:
    """Refuses what is no bound for a wait."""
    if not is_seconds(value):
        raise InvalidData(f"{name}={in_words(value)} is not a number of seconds, from 0 to {LONGEST:,}")


class _Polls:
    """Looks at a Request at growing intervals, within a time. What may pass (a lost answer, a 502) does not end it."""

    def __init__(self, io: IO, request: AnyRequest, timeout: float, poll: float) -> None:
        check_seconds("timeout", timeout)
        check_seconds("poll", poll)
        if poll == 0:
            raise InvalidData("poll=0 would ask without pause; give the seconds before the second look")
        self._io = io
        self._id = _id_of(request, Request)
        self._first, self._longest = poll, max(poll, LONGEST_POLL)
        self._pause = poll
        self._timeout, self._deadline = timeout, io.clock.monotonic() + timeout
        self._last = request if isinstance(request, Request) else None
        self._error: ProcessMakerError | None = None

    async def state(self) -> Request | None:
        """The state now, with its data; None where this look failed in a way that may pass."""
        state = await self._patiently(fetch(self._io, self._id, ("data",), within=self._left()))
        self._last = state or self._last
        return state

    async def tasks(self) -> list[Task] | None:
        """The open tasks now; None where this look failed in a way that may pass."""
        return await self._patiently(open_tasks(self._io, self._id, within=self._left()))

    async def pause(self) -> None:
        """Lets time pass until the next look.

        Raises:
            WaitTimeout: the time is over.
        """
        left = self._left()
        if left <= 0:
            state = f"is still {clean(self._last.status, 60)}" if self._last else "could not be read"
            message = f"Request {self._id} {state} after {self._timeout:g} s. It goes on: wait again."
            raise WaitTimeout(message, request=self._last, request_id=self._id) from self._error
        await self._io.sleep(min(self._pause, left))
        self._pause = min(self._pause * 1.5, self._longest)

    def _left(self) -> float:
        return self._deadline - self._io.clock.monotonic()

    def begin_anew(self) -> None:
        """Looks often again: where one thing has changed, the next one may be near."""
        self._pause = self._first

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
    """A Request that is over, where that is what was waited for; else the error that says how it ended."""
    if request.status == "ERROR":
        raise request_failed(request)
    if request.status == "CANCELED":
        raise request_canceled(request)
    if callable(until):
        message = f"Request {request.id} is {request.status} and changes no more; what was waited for did not come."
        raise WaitTimeout(message, request=request, request_id=request.id)
    return request


async def _pages(
    io: IO,
    request: Callable[[int], dict[str, Any]],
    read: Callable[[object], T],
    *,
    within: float | None,
    once: bool = False,
) -> AsyncGenerator[T, None]:
    """All rows of a paged list, each as the value that `read` makes of it; `within` bounds all pages together.

    `request` builds the request for a page, by its number.
    """

    def read_page(answer: object) -> tuple[list[T], int]:
        return [read(row) for row in items(answer)], last_page(answer)

    page, before = 1, None
    deadline = None if within is None else io.clock.monotonic() + within
    while True:
        rows, last = await io.call(request(page), read_page, within=within, once=once)
        if not rows or rows == before:  # the same page again would come for ever
            return
        for row in rows:
            yield row
        page, before = page + 1, rows
        if page > last:
            return
        if deadline is not None and (within := deadline - io.clock.monotonic()) <= 0:
            raise TimedOut(f"the list is longer than the time for it: {page - 1} of {last} pages came", processed=False)


def _joined(include: Iterable[str]) -> str:
    try:
        names = list(filter(None, include.split(","))) if isinstance(include, str) else list(include)
    except TypeError:
        raise InvalidData(f"include={in_words(include)} is neither a name, such as data, nor several") from None
    for name in names:
        if name not in INCLUDES:
            known = ", ".join(INCLUDES)
            raise InvalidData(
                f"include={in_words(include)}: there is no {in_words(name)} to include; there are: {known}"
            )
    return ",".join(names)


@contextmanager
def _named(what: str) -> Iterator[None]:
    """Errors of the block that say that something is not there name it, such as `Request 17`."""
    try:
        yield
    except NotFound as error:
        # Another server's page says nothing about what is there.
        if "json" in error.response.headers.get("content-type", ""):
            error.args = (f"there is no {what} that this token may see ({error.args[0]})",)
        raise


def _id_of(thing: AnyRequest | AnyTask, kind: type[Request] | type[Task]) -> int:
    number = thing.id if isinstance(thing, kind) else thing
    if not is_id(number):
        raise InvalidData(f"{in_words(thing)} is neither a {kind.__name__} nor the id of one, a number from 1")
    return number


def _narrowed(kind: type[E], error: ResponseError) -> E:
    """The same error as one of a narrower kind."""
    return kind(str(error), **vars(error))
