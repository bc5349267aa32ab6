"""Reads Requests: one, a list, their number."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypedDict, TypeVar

from processmaker_api.api.process_requests import get_process_request_by_id, get_processes_requests
from processmaker_api.types import UNSET, Unset

from ..clock import LONGEST, is_seconds
from ..errors import InvalidData, NotFound, RequestCanceled, RequestFailed, ResponseError, clean, short_repr
from ..models import Request, Task, is_id, request_from, total
from ..processes import Catalog
from ..wire.call import IO
from ..wire.pages import PER_PAGE, read_list
from .pmql import Conditions

E = TypeVar("E", bound=ResponseError)

INCLUDES = ("data", "summary", "process", "user", "participants", "errors", "activeTasks")
"""What can come along with a Request. The server ignores unknown names; servers before 4.9 do not know the last one."""

AnyRequest = int | Request
"""A Request, or its id."""


class RequestQuery(TypedDict, total=False):
    """What a list of Requests can be asked for."""

    pmql: str | Unset
    include: str | Unset
    order_by: str | Unset
    order_direction: str | Unset
    per_page: int | Unset


async def fetch(io: IO, request: AnyRequest, include: Iterable[str], *, within: float | None = None) -> Request:
    """GET /requests/{id}."""
    number = id_of(request, Request)
    asked = get_process_request_by_id.build_request(process_request_id=number, include=_joined(include))

    def read(answer: object) -> Request:
        found = request_from(answer, io.site)
        if found.id != number:
            raise ValueError(f"the answer is Request {found.id}")
        return found

    with named(f"Request {number}"):
        return await io.call(asked, read, within=within)


async def requests(
    catalog: Catalog,
    conditions: Conditions,
    include: Iterable[str],
    per_page: int | None,
    order_by: str | None,
    order_direction: str | None,
) -> AsyncGenerator[Request, None]:
    """GET /requests: those that fulfil all conditions."""
    if per_page is not None and not is_id(per_page):
        raise InvalidData(f"per_page={short_repr(per_page)} is not a number of Requests, from 1")
    if order_direction not in ("asc", "desc", None):
        raise InvalidData(f'order_direction={short_repr(order_direction)} is neither "asc" nor "desc"')
    query: RequestQuery = {
        "include": _joined(include),
        "per_page": per_page or UNSET,
        "order_by": order_by or UNSET,
        "order_direction": order_direction or UNSET,
        "pmql": await _pmql_of(catalog, conditions),
    }
    async for request in listed(catalog.io, query):
        yield request


async def children(io: IO, request: AnyRequest) -> list[Request]:
    """GET /requests: the sub-processes that this Request started."""
    of = f"parent_request_id = {id_of(request, Request)}"
    query: RequestQuery = {"pmql": of, "order_by": "id", "per_page": PER_PAGE}
    return [child async for child in listed(io, query)]


async def count_requests(catalog: Catalog, conditions: Conditions) -> int:
    """GET /requests: only how many there are."""
    pmql = await _pmql_of(catalog, conditions)
    return await catalog.io.call(get_processes_requests.build_request(pmql=pmql, per_page=1), total)


async def _pmql_of(catalog: Catalog, conditions: Conditions) -> str | Unset:
    process_id = None if conditions.process is None else await catalog.process_id(conditions.process)
    return conditions.in_pmql(process_id, catalog.io.clock.now()) or UNSET


def listed(
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
        once: do not ask for a page again if it fails.
    """

    def read(row: object) -> Request:
        return check(request_from(row, io.site))

    def page(number: int) -> dict[str, Any]:
        return get_processes_requests.build_request(**query, page=number if number > 1 else UNSET)

    def above(number: int) -> dict[str, Any]:
        where = query.get("pmql")
        if number:
            where = f"({where}) AND id > {number}" if where else f"id > {number}"
        rest: RequestQuery = {**query, "pmql": where or UNSET}
        return get_processes_requests.build_request(**rest)

    by_id = query.get("order_by") == "id" and query.get("order_direction") != "desc"
    return read_list(io, above if by_id else page, read, by_id=by_id, within=within, once=once)


def bad_end(request: Request) -> RequestFailed | RequestCanceled | None:
    """Return the error for a Request that failed, with the engine's words, or was canceled; None for any other."""
    which = f'Request {request.id} of "{clean(request.name)}"'
    if request.status == "CANCELED":
        return RequestCanceled(f"{which} was canceled.", request=request)
    if request.status != "ERROR":
        return None
    error = RequestFailed("", request=request)
    # A script that fails leaves its message twice (observed on 4.15.5).
    said = clean("; ".join(dict.fromkeys(error.messages))) or "the engine gives no reason"
    error.args = (f"{which} exists, and failed: {said}",)
    return error


def check_seconds(name: str, value: object) -> None:
    """Refuse what is no bound for a wait."""
    if not is_seconds(value):
        raise InvalidData(f"{name}={short_repr(value)} is not a number of seconds, from 0 to {LONGEST:,}")


def id_of(thing: int | Request | Task, kind: type[Request] | type[Task]) -> int:
    """Return the id of a Request or a task that a caller named."""
    number = thing.id if isinstance(thing, kind) else thing
    if not is_id(number):
        raise InvalidData(f"{short_repr(thing)} is neither a {kind.__name__} nor the id of one, a number from 1")
    return number


@contextmanager
def named(what: str) -> Iterator[None]:
    """Let errors of the block that say that something is not there name it, such as `Request 17`."""
    try:
        yield
    except NotFound as error:
        # Another server's page says nothing about what is there.
        if "json" in error.headers.get("content-type", ""):
            error.args = (f"there is no {what} that this token may see ({error.args[0]})",)
        raise


def narrowed(kind: type[E], error: ResponseError) -> E:
    """Return the same error as one of a narrower kind."""
    return kind(error.args[0], **vars(error))


def _joined(include: Iterable[str]) -> str | Unset:
    names = include.split(",") if isinstance(include, str) else list(include)
    for name in names:
        if name not in INCLUDES:
            there = f"there is no {short_repr(name)} to include; there are: {', '.join(INCLUDES)}"
            raise InvalidData(f"include={short_repr(include)}: {there}")
    return ",".join(names) or UNSET
