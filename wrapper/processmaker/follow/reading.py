"""Reading Requests: one, a list, their number."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypedDict, TypeVar

from processmaker_api.api.process_requests import get_process_request_by_id, get_processes_requests
from processmaker_api.types import UNSET

from ..clock import LONGEST, is_seconds
from ..data import check_text
from ..errors import InvalidData, NotFound, RequestCanceled, RequestFailed, ResponseError, clean, short_repr
from ..models import Request, Task, is_id, request_from, total
from ..processes import AnyProcess, Catalog
from ..wire.call import IO
from ..wire.pages import PER_PAGE, read_by_id, read_list
from .pmql import AnyStatus, Since, condition, with_id_above

E = TypeVar("E", bound=ResponseError)

INCLUDES = ("data", "summary", "process", "user", "participants", "errors", "activeTasks")
"""What can come along with a Request. The server ignores unknown names; servers before 4.9 do not know the last one."""

AnyRequest = int | Request
"""A Request, or its id."""


class RequestQuery(TypedDict, total=False):
    """What a list of Requests can be asked for."""

    pmql: str
    include: str
    order_by: str
    order_direction: str
    per_page: int


async def fetch(io: IO, request: AnyRequest, include: Iterable[str], *, within: float | None = None) -> Request:
    """GET /requests/{id}."""
    number, related = id_of(request, Request), _joined(include)

    def read(answer: object) -> Request:
        found = request_from(answer, io.site)
        if found.id != number:
            raise ValueError(f"the answer is Request {found.id}")
        return found

    with named(f"Request {number}"):
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
    """GET /requests: those that fulfil all conditions."""
    query: RequestQuery = {}
    if related := _joined(include):
        query["include"] = related
    if per_page is not None:
        if not is_id(per_page):
            raise InvalidData(f"per_page={short_repr(per_page)} is not a number of Requests, from 1")
        query["per_page"] = per_page
    if order_direction is not None:
        if order_direction not in ("asc", "desc"):
            raise InvalidData(f'order_direction={short_repr(order_direction)} is neither "asc" nor "desc"')
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


async def children(io: IO, request: AnyRequest) -> list[Request]:
    """GET /requests: the sub-processes that this Request started."""
    query: RequestQuery = {
        "pmql": f"parent_request_id = {id_of(request, Request)}",
        "order_by": "id",
        "per_page": PER_PAGE,
    }
    return [child async for child in listed(io, query)]


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
    """GET /requests, page after page.

    In ascending order of id each page asks for the ids above the last one, so that a Request that no longer fulfils
    the condition (one that was canceled meanwhile) does not make the list skip another. Any other order goes by the
    numbers of the pages.

    Args:
        io: how to reach the server.
        query: what to ask for.
        check: raises ValueError for a row that is not what was asked for.
        within: seconds for all pages together.
        once: a page is not asked for again if it fails.
    """

    def read(row: object) -> Request:
        return check(request_from(row, io.site))

    def page(number: int) -> dict[str, Any]:
        return get_processes_requests.build_request(**query, page=number if number > 1 else UNSET)

    def above(number: int | None) -> dict[str, Any]:
        where = with_id_above(query.get("pmql"), number)
        return get_processes_requests.build_request(**(query if where is None else {**query, "pmql": where}))

    if query.get("order_by") == "id" and query.get("order_direction") != "desc":
        rows = read_by_id(io, above, read, within=within, once=once)
    else:
        rows = read_list(io, page, read, within=within, once=once)
    async for request in rows:
        yield request


def request_failed(request: Request) -> RequestFailed:
    """The error for a Request whose status is ERROR, with the engine's words."""
    error = RequestFailed("", request=request)
    # A script that fails leaves its message twice (observed on 4.15.5).
    said = clean("; ".join(dict.fromkeys(error.messages))) or "the engine gives no reason"
    error.args = (f'Request {request.id} of "{clean(request.name)}" exists, and failed: {said}',)
    return error


def request_canceled(request: Request) -> RequestCanceled:
    """The error for a Request whose status is CANCELED."""
    return RequestCanceled(f'Request {request.id} of "{clean(request.name)}" was canceled.', request=request)


def check_seconds(name: str, value: object) -> None:
    """Refuses what is no bound for a wait."""
    if not is_seconds(value):
        raise InvalidData(f"{name}={short_repr(value)} is not a number of seconds, from 0 to {LONGEST:,}")


def id_of(thing: int | Request | Task, kind: type[Request] | type[Task]) -> int:
    """The id of a Request or a task that a caller named."""
    number = thing.id if isinstance(thing, kind) else thing
    if not is_id(number):
        raise InvalidData(f"{short_repr(thing)} is neither a {kind.__name__} nor the id of one, a number from 1")
    return number


@contextmanager
def named(what: str) -> Iterator[None]:
    """Errors of the block that say that something is not there name it, such as `Request 17`."""
    try:
        yield
    except NotFound as error:
        # Another server's page says nothing about what is there.
        if "json" in error.headers.get("content-type", ""):
            error.args = (f"there is no {what} that this token may see ({error.args[0]})",)
        raise


def narrowed(kind: type[E], error: ResponseError) -> E:
    """The same error as one of a narrower kind."""
    return kind(error.args[0], **vars(error))


def _joined(include: Iterable[str]) -> str:
    try:
        names = list(filter(None, include.split(","))) if isinstance(include, str) else list(include)
    except TypeError:
        raise InvalidData(f"include={short_repr(include)} is neither a name, such as data, nor several") from None
    for name in names:
        if name not in INCLUDES:
            known = ", ".join(INCLUDES)
            raise InvalidData(
                f"include={short_repr(include)}: there is no {short_repr(name)} to include; there are: {known}"
            )
    return ",".join(names)
