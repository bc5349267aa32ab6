"""Tasks that wait for a person: list, claim and complete them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from . import _options
from ._app import argument, command
from ._facts import print_task
from ._output import Column
from ._params import REQUEST, TASK
from ._session import Session
from ._typed import data_from

if TYPE_CHECKING:
    from .. import Task

_task = argument("task", type=TASK, metavar="TASK", help="The task's id.")


@command("tasks", examples="processmaker tasks\nprocessmaker tasks 17")
@argument(
    "request", type=REQUEST, required=False, metavar="[ID]", help="The Request's id; without it, what waits for me."
)
@_options.curl
def tasks(session: Session, request: int | None, curl: bool) -> None:
    """List the tasks of a Request that wait for a person.

    Without a Request, list the tasks that wait for this user, those to claim included.
    """
    with session.client(curl=curl) as pm:
        found = pm.tasks(request)
        if request is not None and not found:
            pm.get(request, include=())  # tells "no task" from "no such Request"
    columns = (
        Column("ID", lambda task: task.id, whole=True),
        Column("NAME", lambda task: task.name),
        Column("STATUS", lambda task: task.status, whole=True),
        Column("REQUEST", lambda task: task.request_id, from_width=60, whole=True),
        Column("FOR", _for, whole=True),
        Column("ELEMENT", lambda task: task.element_id, from_width=90),
        Column("DUE", lambda task: task.due_at, from_width=70, whole=True),
    )
    nothing = "no task waits for this user" if request is None else "no task waits for a person"
    session.output.table(found, columns, quietly=lambda task: task.id, empty=nothing)


def _for(task: Task) -> str:
    """Whom the task waits for."""
    if task.completable:
        return "to claim" if task.is_self_service else "me"
    return f"user {task.user_id}" if task.user_id else ""


@command("claim", examples="processmaker claim 3", changes=True)
@_task
def claim(session: Session, task: int) -> None:
    """Claim a task that several people may do.

    Afterwards it waits for this user only.
    """
    pm = session.pm
    with session.change("processmaker tasks"):
        claimed = pm.claim(task)
    print_task(session, claimed)


@command("complete", examples="processmaker complete 3 approved:=true comment=fine", changes=True)
@_task
@_options.data
@_options.curl
def complete(session: Session, task: int, values: Sequence[str], document: str | None, curl: bool) -> None:
    """Complete a task."""
    data = data_from(values, document)
    with (
        session.client(curl=curl) as pm,
        session.change(f"processmaker tasks REQUEST, which lists task {task} until it is closed"),
    ):
        completed = pm.complete(task, data)
    print_task(session, completed)
