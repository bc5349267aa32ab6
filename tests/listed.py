"""The tasks that a server lists, without the Request's active tasks, which many recordings did not ask for."""

from __future__ import annotations

from typing import Any

from conftest import Awaited
from processmaker import Request, Task
from processmaker.follow.tasks import list_tasks
from processmaker.wire.call import run


def listed_tasks(pm: Any, request: int | Request) -> list[Task]:
    """The open tasks of a Request, as GET /tasks shows them to this user."""
    number = request.id if isinstance(request, Request) else request
    operation = list_tasks(pm._io, request_id=number, status="ACTIVE")
    return pm._runner.run(operation) if isinstance(pm, Awaited) else run(operation)
