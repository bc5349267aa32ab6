"""Reads, claims and completes the tasks of Requests."""

from __future__ import annotations

import json
import os
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from attrs import evolve
from processmaker_api.api.tasks import get_tasks, update_task
from processmaker_api.models.update_task_body import UpdateTaskBody
from processmaker_api.types import UNSET, Unset

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
from ..models import Request, Task, integer, items, task_from
from ..wire.call import IO
from ..wire.pages import PER_PAGE, read_list
from .reading import AnyRequest, check_seconds, fetch, id_of, named, narrowed

LOOK_AT_TASK_FOR = 15.0
"""Seconds for which an accepted completion is looked at until the task is closed, unless told otherwise."""

FIRST_LOOK = 0.5
"""Seconds before the second look."""

AnyTask = int | Task
"""A task, or its id."""


async def open_tasks(io: IO, request: AnyRequest | None) -> list[Task]:
    """Return the open tasks of a Request, whoever they wait for; without one, those that wait for this user."""
    if request is not None:
        return await open_tasks_of(io, await fetch(io, request, ("activeTasks",)))
    me = await _ask_own_id(io)
    found = await list_tasks(io, status="ACTIVE", user_id=UNSET if me is None else me)
    return [evolve(task, completable=_completable(task, me, sees_all=False)) for task in found]


async def open_tasks_of(io: IO, request: Request, *, within: float | None = None) -> list[Task]:
    """Return the open tasks of a Request that was read with its active tasks.

    The list of tasks shows an ordinary user only the own and claimable ones, and these with their node ids; a Request's
    active tasks are everybody's (observed on 4.15.5). Servers before 4.9 do not know active tasks.
    """
    active = active_tasks(request)
    if active == []:
        return []
    listed = await list_tasks(io, request_id=request.id, status="ACTIVE", within=within)
    me = own_id(io)
    # Only an administrator is shown tasks of others, or anybody by a server older than 4.11.
    sees_all = me is not None and any(task.user_id not in (None, me) for task in listed)
    found = {task.id: evolve(task, completable=_completable(task, me, sees_all)) for task in listed}
    for task in active or ():
        # An own task that is not listed has been closed between the two calls.
        if task.id not in found and (me is None or task.user_id != me):
            found[task.id] = evolve(task, completable=False)
    return sorted(found.values(), key=lambda task: task.id)


async def list_tasks(
    io: IO,
    *,
    request_id: int | Unset = UNSET,
    status: str | Unset = UNSET,
    user_id: int | Unset = UNSET,
    within: float | None = None,
) -> list[Task]:
    """GET /tasks: those that this user is shown."""

    def page(number: int) -> dict[str, Any]:
        return get_tasks.build_request(
            process_request_id=request_id,
            status=status,
            user_id=user_id,
            order_by="id",  # the server's own order is by the time of the last change, which many tasks can share
            per_page=PER_PAGE,
            page=number if number > 1 else UNSET,
        )

    return [task async for task in read_list(io, page, task_from, within=within)]


async def claim(io: IO, task: AnyTask) -> Task:
    """PUT /tasks/{id} with this user's id, which the answer must name."""
    number = id_of(task, Task)
    me = await _ask_own_id(io)
    if me is None:
        raise ConfigurationError(f"Task {number} cannot be claimed: the token does not say whose it is.")
    body = UpdateTaskBody(is_self_service=0, user_id=me)
    way_out = "tasks(…) of its Request shows whose it is"
    refused = "cannot be claimed: it is another user's, or has been claimed already"
    claimed = await _update(io, task, body, done="claimed", way_out=way_out, refused=refused)
    if claimed.user_id != me:
        # Reassigning, too, is answered with success without being done (observed on 4.15.5).
        whose = f"user {claimed.user_id}'s" if claimed.user_id else "nobody's"
        raise ProcessMakerError(f"The server accepted the claim of task {number}, but it is {whose}.", task=claimed)
    return evolve(claimed, completable=claimed.status == "ACTIVE")


async def complete(
    io: IO, task: AnyTask, data: object, *, on_altered_data: OnAlteredData, look_again_for: float
) -> Task:
    """PUT /tasks/{id}, and look until the task is closed."""
    check_seconds("look_again_for", look_again_for)
    checked = check_data(data)
    report_alterations(checked, on_altered_data, COMPLETING)
    body = UpdateTaskBody(status="COMPLETED", data=checked)
    number = id_of(task, Task)
    of = f"({task.request_id})" if isinstance(task, Task) and task.request_id else "(…) of its Request"
    way_out, refused = f"tasks{of} lists it until it is", "is not this user's to complete"
    with _one_at_a_time(io, number):
        try:
            done = await _update(io, task, body, done="completed", way_out=way_out, refused=refused)
        except ValidationFailed as error:
            if "already closed" not in error.server_message.lower():
                raise
            raise narrowed(TaskAlreadyClosed, error) from None
        if done.status != "CLOSED":
            done = await _wait_until_closed(io, done, look_again_for)
    return evolve(done, completable=False)


async def _update(io: IO, task: AnyTask, body: UpdateTaskBody, *, done: str, way_out: str, refused: str) -> Task:
    """PUT /tasks/{id}, with errors that say what is not known, or that the task is another user's."""
    number = id_of(task, Task)
    try:
        with named(f"task {number}"), explain_unknown(f"task {number} was {done}", way_out):
            return await io.call(update_task.build_request(task_id=number, body=body), task_from)
    except Forbidden as error:
        whose = ""
        if isinstance(task, Task):
            of = f"user {task.user_id}," if task.user_id else "a claim,"
            whose = f' "{clean(task.name)}", which waits for {of}'
        error.args = (f"Task {number}{whose} {refused} ({error.args[0]})",)
        raise


async def _wait_until_closed(io: IO, task: Task, seconds: float) -> Task:
    """Look at a task that is open although the server accepted its completion with 200.

    That happens if its Request is locked, or if the engine works behind a message broker (observed on 4.15.5).
    """
    deadline, pause = io.clock.monotonic() + seconds, FIRST_LOOK
    while True:
        left = deadline - io.clock.monotonic()
        cause: ProcessMakerError | None = None
        try:
            task = await _look_at(io, task, within=left)
        except ProcessMakerError as error:
            cause = error
        if task.status == "CLOSED":
            return task
        if left <= 0:
            break
        await io.sleep(min(pause, left))
        pause *= 1.5
    message = (
        f'Task {task.id} "{clean(task.name)}" is {clean(task.status, 60)} {seconds:g} s after the server accepted '
        "its completion: its Request is locked, or the engine works elsewhere. Whether it will be completed is not "
        "known."
    )
    hint = f"Do not complete it again before you know: tasks({task.request_id or '…'}) lists it until it is."
    raise TaskNotClosed(message, task=task, hint=hint) from cause


async def _look_at(io: IO, task: Task, *, within: float) -> Task:
    """Return the task as it is now, as far as that can be seen."""
    if task.request_id is None:
        return task
    for row in await list_tasks(io, request_id=task.request_id, within=within):
        if row.id == task.id:
            return row
    # A self-service task that was completed without a claim is not listed any more (observed on 4.15.5).
    active = active_tasks(await fetch(io, task.request_id, ("activeTasks",), within=within))
    is_open = active is None or any(task.id == other.id for other in active)
    return task if is_open else evolve(task, status="CLOSED")


def active_tasks(request: Request) -> list[Task] | None:
    """Return the open tasks that came along with a Request; None from a server that does not know them."""
    rows = request.raw.get("active_tasks")
    if not isinstance(rows, list):
        return None
    tasks = [task_from(row) for row in rows]
    return [
        evolve(task, request_id=request.id, process_id=request.process_id) for task in tasks if task.status == "ACTIVE"
    ]


def _completable(task: Task, me: int | None, sees_all: bool) -> bool | None:
    """Return whether the user `me` may complete an open task that the server listed; None if that is not known."""
    claimable = task.user_id is None and not sees_all
    return True if claimable or task.user_id == me else None


def own_id(io: IO) -> int | None:
    """Return the id of the user whose token the last call had; None if the token does not say.

    ProcessMaker's tokens are JSON Web Tokens, whose `sub` is the user's id. What is read here decides nothing that the
    server does not check, so the signature is not verified.
    """
    try:
        claims = (io.authorization or "").split(".")[1]
        return integer(json.loads(urlsafe_b64decode(claims + "=="))["sub"])  # needless padding is ignored
    except (LookupError, TypeError, ValueError):
        return None


async def _ask_own_id(io: IO) -> int | None:
    """Return the same. Before the first call, whose token would say it, make one that reads next to nothing."""
    if io.authorization is None:
        await io.call(get_tasks.build_request(status="ACTIVE", per_page=1), items)
    return own_id(io)


_being_completed: dict[tuple[int, str, int], object] = {}
"""The completions under way: process, site and task. With the process, a forked child has none of its parent's."""


@contextmanager
def _one_at_a_time(io: IO, number: int) -> Iterator[None]:
    """Refuse a second completion of one task while this process makes the first.

    Two completions of one task at the same moment both succeed, and the next step then runs twice, or the Request fails
    (observed on 4.15.5). Nothing prevents that between two processes.

    Raises:
        ProcessMakerError: another call is completing the task; nothing was sent.
    """
    key, mine = (os.getpid(), io.site, number), object()
    try:
        if _being_completed.setdefault(key, mine) is not mine:
            words = f"Another call of this process is completing task {number}. Nothing was sent."
            raise ProcessMakerError(words, transient=True)
        yield
    finally:
        if _being_completed.get(key) is mine:
            del _being_completed[key]
