"""The JSON of ProcessMaker 4.15.5, as recorded but for a few keys that no client reads."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import attrs
import httpx

from . import _data
from ._model import (
    File,
    Process,
    Request,
    StartEvent,
    Token,
    User,
    uuid_of,
)
from ._objects import SIGNALS

Json = dict[str, Any]
T = TypeVar("T")

_ROWS: dict[str, Json] = json.loads(Path(__file__).with_name("rows.json").read_text(encoding="utf-8"))
"""What is the same in every row of a kind."""


class Refused(Exception):
    """Leave the handler with this answer."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(response.status_code)
        self.response = response


def answer(body: object, status: int = 200, *, pretty: bool = False, **headers: str) -> httpx.Response:
    """JSON written as PHP writes it. Keyword headers: retry_after="60"."""
    text = json.dumps(body, indent=4) if pretty else json.dumps(body, separators=(",", ":"))
    return httpx.Response(
        status,
        content=text.replace("/", "\\/").encode(),
        headers={"cache-control": "no-cache, private", "content-type": "application/json", **_dashed(headers)},
    )


def no_content() -> httpx.Response:
    return httpx.Response(204, headers={"cache-control": "no-cache, private"})


def message(status: int, text: str, **headers: str) -> httpx.Response:
    """Return what the framework answers to an exception."""
    return answer({"message": text}, status, pretty=True, **headers)


def not_found() -> httpx.Response:
    return answer({"error": "Not Found"}, 404)


def invalid(errors: dict[str, str]) -> httpx.Response:
    """Return the answer to a body that is not valid: the message is the first error and the number of others."""
    first, *others = errors.values()
    more = f" (and {len(others)} more error{'s' if len(others) > 1 else ''})" if others else ""
    return answer({"message": first + more, "errors": {field: [text] for field, text in errors.items()}}, 422)


def html(status: int, title: str, **headers: str) -> httpx.Response:
    """Return a page such as nginx writes."""
    page = (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n"
        "<hr><center>nginx/1.22.1</center>\r\n</body>\r\n</html>\r\n"
    )
    return httpx.Response(status, content=page.encode(), headers={"content-type": "text/html", **_dashed(headers)})


def _dashed(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def etag(*parts: object) -> str:
    return f'"{hashlib.md5(repr(parts).encode(), usedforsecurity=False).hexdigest()}"'


def iso(instant: datetime | None) -> str | None:
    return instant.isoformat(timespec="seconds") if instant else None


def signal_id(name: str) -> str:
    return SIGNALS.get(name, re.sub(r"\W", "_", name))


class Shapes:
    """The shapes, of which some say when the server was installed."""

    def __init__(self, installed: datetime) -> None:
        self.installed = installed

    # Processes

    def event(self, process: Process, event: StartEvent) -> Json:
        assigned = {"assignment": "user", "assignedUsers": ",".join(map(str, process.users))}
        definition: list[Json] = [{"id": "td", "$type": "timerEventDefinition"}] if event.timer else []
        if event.signal:
            definition = [{"id": "sd", "signalRef": signal_id(event.signal), "$type": "signalEventDefinition"}]
        return {
            "id": event.id,
            "name": event.name,
            **(assigned if process.users and not event.timer else {}),
            "ownerProcessId": "P1",
            "ownerProcessName": process.bpmn_name or process.name,
            "eventDefinitions": definition,
        }

    def events(self, process: Process, events: tuple[StartEvent, ...]) -> list[Json]:
        return [self.event(process, event) for event in events]

    def process(self, process: Process) -> Json:
        return {
            **_ROWS["process"],
            "id": process.id,
            "uuid": uuid_of("process", process.id),
            "process_category_id": "2",
            "user_id": 1,
            "description": process.description,
            "name": process.name,
            "status": process.status,
            "start_events": self.events(process, process.start_events),
            "created_at": iso(self.installed),
            "updated_at": iso(self.installed),
            "has_timer_start_events": any(event.timer for event in process.start_events),
            "projects": "[]",
        }

    def startable_process(self, process: Process, user: User) -> Json:
        """In start_processes: `startEvents` are all but timers, `events` those that this user may use."""
        return {
            **self.process(process),
            "startEvents": self.events(process, tuple(event for event in process.start_events if not event.timer)),
            "events": self.events(process, process.events_for(user)),
        }

    # Users

    def user(self, user: User) -> Json:
        return {
            **_ROWS["user"],
            **attrs.asdict(user, filter=attrs.filters.exclude("password")),
            "uuid": uuid_of("user", user.id),
            "created_at": iso(self.installed),
            "updated_at": iso(self.installed),
            "fullname": f"{user.firstname} {user.lastname}",
        }

    # Requests

    def started(self, request: Request) -> Json:
        """The answer to a start: the Request, not wrapped in `data`."""
        return {
            **self._columns(request),
            **({"completed_at": iso(request.completed_at)} if request.completed_at else {}),
            **({"errors": request.errors} if request.errors else {}),
            "process": self.process(request.process),
        }

    def _columns(self, request: Request) -> Json:
        title = request.case.process.name
        return {
            **_ROWS["request"],
            "process_id": request.process.id,
            "user_id": request.user.id,
            "name": request.process.name,
            "status": request.status,
            "initiated_at": iso(request.created_at),
            "case_title": title,
            "case_title_formatted": title,
            "uuid": request.uuid,
            "updated_at": iso(request.updated_at),
            "created_at": iso(request.created_at),
            "id": request.id,
            "case_number": request.case_number,
        }

    def request_row(self, request: Request) -> Json:
        return {
            **self._columns(request),
            "parent_request_id": request.parent.id if request.parent else None,
            "participant_id": None,
            "errors": request.errors,
            "completed_at": iso(request.completed_at),
        }

    def shown_request(self, request: Request, include: set[str], now: datetime) -> Json:
        """GET /requests/{id}. Observed: `include=process` adds nothing here, `errors` is always there."""
        return {**self.request_row(request), **self._included(request, include, now)}

    def listed_request(self, request: Request, include: set[str], now: datetime) -> Json:
        return {
            **self.shown_request(request, include, now),
            "user_viewed_at": None,
            **({"process": self.process(request.process)} if "process" in include else {}),
        }

    def _included(self, request: Request, include: set[str], now: datetime) -> Json:
        included: Json = {}
        if "data" in include:
            included["data"] = _data.shown(request.data)
        if "summary" in include:
            included["summary"] = _data.summary(request.data)
        if "participants" in include:
            users = {user.id: user for user in (request.user, *(task.user for task in request.tasks)) if user}
            included["participants"] = [
                {**self.user(user), "laravel_through_key": request.id} for user in users.values()
            ]
        if "user" in include:
            included["user"] = self.user(request.user)
        if "activeTasks" in include:
            included["active_tasks"] = [
                {
                    "id": task.id,
                    "element_name": task.name,
                    "status": task.status,
                    "user_id": task.user.id if task.user else None,
                    "advanceStatus": _advance_status(task, now),
                }
                for task in request.open_tasks
            ]
        return included

    # Tasks

    def task(self, task: Token, user: User, now: datetime) -> Json:
        """GET and PUT /tasks/{id}, as this user sees it."""
        request = task.request
        due = task.created_at + timedelta(days=3)
        groups = {"users": [str(candidate.id) for candidate in task.candidates], "groups": []}
        return {
            **_ROWS["task"],
            "id": task.id,
            "uuid": uuid_of("task", task.id),
            "user_id": task.user.id if task.user else None,
            "process_id": request.process.id,
            "process_request_id": request.id,
            "element_id": task.element_id,
            "element_name": task.name,
            "status": task.status,
            "completed_at": iso(task.completed_at),
            "due_at": iso(due),
            "riskchanges_at": iso(task.created_at + 0.7 * timedelta(days=3)),
            "created_at": iso(task.created_at),
            "updated_at": iso(task.completed_at or task.created_at),
            "is_self_service": int(task.is_self_service),
            "self_service_groups": groups if task.candidates else [],
            "created_at_ms": iso(task.created_at),
            "completed_at_ms": iso(task.completed_at),
            "advanceStatus": _advance_status(task, now),
            "process_request": self.request_row(request),
            "process": self.process(request.process),
            "can_view_parent_request": bool(request.parent and request.parent.visible_to(user)),
        }

    def task_and_user(self, task: Token, user: User, now: datetime) -> Json:
        return {**self.task(task, user, now), "user": self.user(task.user) if task.user else None}

    def listed_task(self, task: Token, user: User, now: datetime) -> Json:
        """A row of GET /tasks."""
        row = {**self.task_and_user(task, user, now), "user_viewed_at": None}
        row["process_request"]["process"] = row["process"]
        return row

    # Files

    def file(self, file: File) -> Json:
        made_at = f"{file.created_at:%Y-%m-%dT%H:%M:%S}.000000Z"
        user = file.user.id
        own = {"data_name": file.data_name, "createdBy": user, "updatedBy": user, "row_id": None, "parent": None}
        return {
            **_ROWS["file"],
            "id": file.id,
            "uuid": uuid_of("file", file.id),
            "model_id": file.request.id,
            "name": file.name,
            "file_name": file.file_name,
            "mime_type": file.mime_type,
            "size": len(file.content),
            "custom_properties": own,
            "order_column": file.order,
            "created_at": made_at,
            "updated_at": made_at,
            "original_url": f"https://pm.example.com/storage/{file.id}/{file.file_name}",
            "process_request_id": file.request.id,
        }


def _advance_status(task: Token, now: datetime) -> str:
    if task.completed_at:
        return "completed"
    return "overdue" if task.created_at + timedelta(days=3) < now else "open"


def page(
    items: list[T],
    row: Callable[[T], Json],
    params: httpx.QueryParams,
    *,
    path: str = "/",
    sliced: bool = False,
) -> Json:
    """Page a list as Laravel does. With per_page=0 or text, the server fails (not recorded for tasks).

    Args:
        items: the whole list.
        row: makes a row of an item.
        params: the query.
        path: what links and `path` begin with.
        sliced: start_processes cuts its pages out of the whole list itself: a page below 1 counts from the end, and a
            list of one page is never cut.
    """
    per_page = _number(params, "per_page", 10, otherwise=0)
    if per_page < 1:
        raise Refused(message(500, "Server Error"))
    wanted = _number(params, "page", 1, otherwise=1)
    number = max(wanted, 1)
    pages = math.ceil(len(items) / per_page)
    first = (number - 1) * per_page
    shown = items[first : first + per_page]
    if sliced and pages <= 1:
        shown = items
    elif sliced and wanted < 1:
        begin = max(len(items) + (wanted - 1) * per_page, 0)
        shown = items[begin : begin + per_page]
    rows = list(map(row, shown))
    last = max(pages, 1)

    meta = {
        "filter": params.get("filter", ""),
        "sort_by": params.get("order_by", ""),
        "sort_order": params.get("order_direction", ""),
        "count": len(rows),
        "total_pages": pages,
        "current_page": number,
        "from": first + 1 if rows else None,
        "last_page": last,
        "path": path,
        "per_page": per_page,
        "to": first + len(rows) if rows else None,
        "total": len(items),
    }
    return {"data": rows, "meta": meta}


def _number(params: httpx.QueryParams, name: str, default: int, *, otherwise: int) -> int:
    """Read a number of the query; `otherwise` if it is other text."""
    text = params.get(name, "")
    if not text:
        return default
    return int(text) if re.fullmatch(r"-?[0-9]{1,400}", text) else otherwise
