"""What people read of a Request or a task; with --json, all of its fields."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .. import Request, Task
    from ._session import Session


def print_request(session: Session, request: Request) -> None:
    """Prints a Request, with its data if that was read."""
    key = request.idempotency_key
    if key is not None and request.created is not None:
        key += " (started now)" if request.created else " (found: it was started before)"
    facts = {
        "id": request.id,
        "status": request.status,
        "name": request.name,
        "process": request.process_id,
        "parent": getattr(request, "parent_request_id", None),
        "case": request.case_number,
        "created": request.created_at,
        "completed": request.completed_at,
        "url": request.url,
        "key": key,
        "errors": "\n".join(str(error.get("message", error)) for error in request.errors) or None,
        "data": None if request.data is None else json.dumps(request.data, indent=2, ensure_ascii=False),
    }
    session.output.facts(request, facts, quietly=request.id)


def print_task(session: Session, task: Task) -> None:
    """Prints a task."""
    facts = {
        "id": task.id,
        "status": task.status,
        "name": task.name,
        "element": task.element_id or None,
        "request": task.request_id,
        "user": task.user_id,
        "completed": task.completed_at,
    }
    session.output.facts(task, facts, quietly=task.id)
