"""The tasks of Requests: reading, claiming and completing them."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, TypedDict

from attrs import evolve
from processmaker_api.api.tasks import get_tasks, update_task
from processmaker_api.models.update_task_body import UpdateTaskBody
from processmaker_api.types import UNSET

from ..data import COMPLETING, OnAlteredData, check_data, report_alterations
from ..errors import (
    ConfigurationError,
    Forbidden,
    ProcessMakerError,
    TaskAlreadyClosed,
    TaskNotClosed,
    ValidationFailed,
    clean,
    explain_unknown,
)
from ..fork import begins_anew
from ..models import Request, Task, integer, items, task_from
from ..wire.call import IO
from ..wire.pages import PER_PAGE, read_list
from ..wire.pending import Pending
from .reading import AnyRequest, check_seconds, fetch, id_of, named, narrowed

LOOK_AGAIN_FOR = 15.0
"""Seconds for which an accepted completion is looked at until the task is closed, unless told otherwise."""

FIRST_LOOK = 0.5
"""Seconds before the second look."""

LONGEST_COMPLETION = 120.0
"""Seconds to wait for another completion of the same task by this process."""

AnyTask = int | Task
"""A task, or its id."""


class _TaskQuery(TypedDict, total=False):
    process_request_id: int
    status: str
    user_id: int


async def open_tasks(io: IO, request: AnyRequest | None) -> list[Task]:
    """The open tasks of a Request, whoever they wait for; without one, those that wait for this user."""
    if request is None:
        return await _my_tasks(io)
    return await open_tasks_of(io, await fetch(io, request, ("activeTasks",)))


async def open_tasks_of(io: IO, request: Request, *, within: float | None = None) -> list[Task]:
    """The open tasks of a Request that was read with its active tasks.

    The list of tasks shows an ordinary user only the own and claimable ones, and these with their node ids; a Request's
    active tasks are everybody's (observed on 4.15.5). Servers before 4.9 do not know active tasks.
    """
    active = _active_tasks(request)
    if active == []:
        return []
    listed = await tasks_of(io, request.id, "ACTIVE", within=within)
    me = own_id(io)
    # Only an administrator is shown tasks of others, or anybody by a server older than 4.11.
    sees_all = me is not None and any(task.user_id not in (None, me) for task in listed)
    found = {task.id: evolve(task, completable=_completable(task, me, sees_all)) for task in listed}
    for task in active or ():
        # An own task that is not listed has been closed between the two calls.
        if task.id not in found and (me is None or task.user_id != me):
            found[task.id] = evolve(task, completable=False)
    return sorted(found.values(), key=lambda task: task.id)


def open_task_ids(request: Request) -> list[int] | None:
    """The ids of its open tasks, if it was read with its active tasks; None from a server that does not know them."""
    active = _active_tasks(request)
    return None if active is None else [task.id for task in active]


async def tasks_of(
    io: IO, request: AnyRequest, status: str | None, *, within: float | None = None, once: bool = False
) -> list[Task]:
    """GET /tasks: those of this Request with that status that this user is shown."""
    query: _TaskQuery = {"process_request_id": id_of(request, Request)}
    if status is not None:
        query["status"] = status
    return await _listed(io, query, within=within, once=once)


async def claim(io: IO, task: AnyTask) -> Task:
    """PUT /tasks/{id} with this user's id, which the answer must name."""
    number = id_of(task, Task)
    me = await _ask_own_id(io)
    if me is None:
        raise ConfigurationError(f"Task {number} cannot be claimed: the token does not say whose it is.")
    body = UpdateTaskBody(is_self_service=0, user_id=me)
    open_point = explain_unknown(f"task {number} was claimed", "tasks(…) of its Request shows whose it is")
    try:
        with named(f"task {number}"), open_point:
            claimed = await io.call(update_task.build_request(task_id=number, body=body), task_from)
    except Forbidden as error:
        words = "cannot be claimed: it is another user's, or has been claimed already"
        raise _not_allowed(error, task, number, words) from None
    if claimed.user_id != me:
        # Reassigning, too, is answered with success without being done (observed on 4.15.5).
        whose = f"user {claimed.user_id}'s" if claimed.user_id else "nobody's"
        raise ProcessMakerError(f"The server accepted the claim of task {number}, but it is {whose}.", task=claimed)
    return evolve(claimed, completable=claimed.status == "ACTIVE")


async def complete(
    io: IO, task: AnyTask, data: object, *, on_altered_data: OnAlteredData, look_again_for: float
) -> Task:
    """PUT /tasks/{id}, and looks until the task is closed."""
    check_seconds("look_again_for", look_again_for)
    checked = check_data(data, completing=True)
    report_alterations(checked, on_altered_data, COMPLETING)
    body = UpdateTaskBody(status="COMPLETED", data=checked)
    number = id_of(task, Task)
    of = task.request_id if isinstance(task, Task) else None
    look = f"tasks({of}) lists it until it is" if of else "tasks(…) of its Request lists it until it is"
    async with _completions.one_at_a_time(io, number):
        try:
            with named(f"task {number}"), explain_unknown(f"task {number} was completed", look):
                done = await io.call(update_task.build_request(task_id=number, body=body), task_from)
        except ValidationFailed as error:
            if "already closed" not in error.server_message.lower():
                raise
            raise narrowed(TaskAlreadyClosed, error) from None
        except Forbidden as error:
            raise _not_allowed(error, task, number, "is not this user's to complete") from None
        if done.status != "CLOSED":
            done = await _wait_until_closed(io, done, of, look_again_for)
    return evolve(done, completable=False)


async def _wait_until_closed(io: IO, task: Task, request_id: int | None, seconds: float) -> Task:
    """Looks at a task that is open although the server accepted its completion with 200.

    That happens if its Request is locked, or if the engine works behind a message broker (observed on 4.15.5).
    """
    of = task.request_id or request_id
    deadline, pause = io.clock.monotonic() + seconds, FIRST_LOOK
    cause: ProcessMakerError | None = None
    while of:
        left = deadline - io.clock.monotonic()
        try:
            now = await _find_task(io, evolve(task, request_id=of), within=max(left, 0))
            task, cause = now or task, None
        except ProcessMakerError as error:
            cause = error
        if task.status == "CLOSED":
            return task
        if left <= 0 or (cause and not cause.transient):
            break
        await io.sleep(min(pause, left))
        pause *= 1.5
    message = (
        f'Task {task.id} "{clean(task.name)}" is {clean(task.status, 60)} {seconds:g} s after the server accepted '
        "its completion: its Request is locked, or the engine works elsewhere. Whether it will be completed is not "
        "known."
    )
    hint = f"Do not complete it again before you know: tasks({of or '…'}) lists it until it is."
    raise TaskNotClosed(message, task=task, hint=hint) from cause


async def _find_task(io: IO, task: Task, *, within: float) -> Task | None:
    """The task as it is now; None if that cannot be seen."""
    for row in await tasks_of(io, task.request_id or 0, None, within=within):
        if row.id == task.id:
            return row
    # A self-service task that was completed without a claim is not listed any more (observed on 4.15.5).
    request = await fetch(io, task.request_id or 0, ("activeTasks",), within=within)
    ids = open_task_ids(request)
    return None if ids is None or task.id in ids else evolve(task, status="CLOSED")


async def _my_tasks(io: IO) -> list[Task]:
    me = await _ask_own_id(io)
    query: _TaskQuery = {"status": "ACTIVE"}
    if me is not None:
        query["user_id"] = me
    found = await _listed(io, query)
    return [evolve(task, completable=_completable(task, me, sees_all=False)) for task in found]


async def _listed(io: IO, query: _TaskQuery, *, within: float | None = None, once: bool = False) -> list[Task]:
    # The server's own order is by the time of the last change, which many tasks can share.
    def page(number: int) -> dict[str, Any]:
        return get_tasks.build_request(**query, order_by="id", per_page=PER_PAGE, page=number if number > 1 else UNSET)

    return [task async for task in read_list(io, page, task_from, within=within, once=once)]


def _active_tasks(request: Request) -> list[Task] | None:
    """The tasks that came along with a Request; None from a server that does not know them."""
    rows = request.raw.get("active_tasks")
    if not isinstance(rows, list):
        return None
    tasks = [task_from(row) for row in rows]
    return [
        evolve(task, request_id=request.id, process_id=request.process_id) for task in tasks if task.status == "ACTIVE"
    ]


def _completable(task: Task, me: int | None, sees_all: bool) -> bool | None:
    """Whether the user `me` may complete a task that the server listed."""
    if task.status != "ACTIVE":
        return False
    if task.user_id is None:
        return None if sees_all else True
    return True if task.user_id == me else None


def _not_allowed(error: Forbidden, task: AnyTask, number: int, words: str) -> Forbidden:
    """The same error, in words about the task."""
    whose = ""
    if isinstance(task, Task):
        whose = f' "{clean(task.name)}", which waits for ' + (f"user {task.user_id}," if task.user_id else "a claim,")
    error.args = (f"Task {number}{whose} {words} ({error.args[0]})",)
    return error


def own_id(io: IO) -> int | None:
    """The id of the user whose token the last call had; None if the token does not say.

    ProcessMaker's tokens are JSON Web Tokens, whose `sub` is the user's id. What is read here decides nothing that the
    server does not check, so the signature is not verified.
    """
    parts = (io.authorization or "").removeprefix("Bearer ").split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return None
    return integer(claims.get("sub")) if isinstance(claims, dict) else None


async def _ask_own_id(io: IO) -> int | None:
    """The same; before the first call, whose token would say it, after one that reads next to nothing."""
    if io.authorization is None:
        await io.call(get_tasks.build_request(status="ACTIVE", per_page=1), items)
    return own_id(io)


class _Completions:
    """The completions under way in this process.

    Two completions of one task at the same moment both succeed, and the next step then runs twice, or the Request fails
    (observed on 4.15.5). Nothing prevents that between two processes.
    """

    def __init__(self) -> None:
        self._under_way: dict[tuple[str, int], Pending[None]] = {}
        begins_anew(self)

    def in_child(self) -> None:
        """What is under way is of threads that are not here."""
        self._under_way = {}

    @asynccontextmanager
    async def one_at_a_time(self, io: IO, number: int) -> AsyncGenerator[None, None]:
        """Waits until no other call completes this task.

        Raises:
            ProcessMakerError: the other call takes too long, or this very thread makes it; nothing was sent.
        """
        key, mine, under_way = (io.site, number), Pending[None](), self._under_way
        while (other := under_way.setdefault(key, mine)) is not mine:
            if not await io.over(other, LONGEST_COMPLETION):
                words = f"Another call of this process completes task {number}. Nothing was sent."
                raise ProcessMakerError(words, transient=True)
        try:
            yield
        finally:
            del under_way[key]
            mine.set_result(None)


_completions = _Completions()
