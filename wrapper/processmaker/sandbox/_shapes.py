"""The JSON of ProcessMaker 4.15.5 and 4.12.2, key for key as recorded."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

import httpx

from . import _data
from ._state import Process, Request, StartEvent, Task, User, uuid_of

Json = dict[str, Any]
T = TypeVar("T")


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
        headers={
            "cache-control": "no-cache, private",
            "content-type": "application/json",
            **_dashed(headers),
        },
    )


def message(status: int, text: str, **headers: str) -> httpx.Response:
    """What the framework answers to an exception."""
    return answer({"message": text}, status, pretty=True, **headers)


def not_found() -> httpx.Response:
    return answer({"error": "Not Found"}, 404)


def invalid(field: str, text: str) -> httpx.Response:
    return answer({"message": text, "errors": {field: [text]}}, 422)


def html(status: int, title: str, **headers: str) -> httpx.Response:
    """A page such as nginx writes."""
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


def sql(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S}"


class Shapes:
    """The shapes that depend on the server's version and on when it was installed."""

    def __init__(self, *, newer: bool, installed: datetime) -> None:
        self.newer = newer
        self.installed = installed

    # Processes

    def event(self, process: Process, event: StartEvent) -> Json:
        assigned = {"assignment": "user", "assignedUsers": ",".join(map(str, process.users))}
        return {
            "id": event.id,
            "name": event.name,
            **(assigned if process.users and not event.timer else {}),
            "ownerProcessId": "P1",
            "ownerProcessName": process.bpmn_name or process.name,
            "eventDefinitions": [{"id": "td", "$type": "timerEventDefinition"}] if event.timer else [],
        }

    def events(self, process: Process, events: tuple[StartEvent, ...]) -> list[Json]:
        return [self.event(process, event) for event in events]

    def process(self, process: Process) -> Json:
        return {
            "id": process.id,
            "uuid": uuid_of("process", process.id),
            "process_category_id": "2",
            "user_id": 1,
            **self._process_columns(process),
            "created_at": iso(self.installed),
            "updated_at": iso(self.installed),
            "has_timer_start_events": any(event.timer for event in process.start_events),
            "projects": "[]",
        }

    def process_version(self, process: Process) -> Json:
        return {
            "id": process.id,
            "process_id": process.id,
            "process_category_id": 2,
            "user_id": 1,
            "draft": 0,
            **self._process_columns(process),
            "created_at": sql(self.installed),
            "updated_at": sql(self.installed),
        }

    def _process_columns(self, process: Process) -> Json:
        return {
            "description": process.description,
            "name": process.name,
            "cancel_screen_id": None,
            "request_detail_screen_id": None,
            "status": process.status,
            "is_valid": 1,
            "package_key": None,
            "pause_timer_start": 0,
            "deleted_at": None,
            "updated_by": 1,
            "start_events": self.events(process, process.start_events),
            "warnings": None,
            "self_service_tasks": [],
            "signal_events": [],
            "conditional_events": [],
            "properties": None,
            "is_template": 0,
            "case_title": None,
            "launchpad_properties": None,
            "asset_type": None,
            "alternative": "A",
        }

    def startable_process(self, process: Process, user: User) -> Json:
        """In start_processes: `startEvents` are the manual ones, `events` those this user may start."""
        return {
            **self.process(process),
            "startEvents": self.manual_events(process),
            "events": self.events(process, process.startable_by(user)),
        }

    def manual_events(self, process: Process) -> list[Json]:
        return self.events(process, tuple(event for event in process.start_events if not event.timer))

    def listed_process(self, process: Process) -> Json:
        return {
            **self.shown_process(process, {"events"}),
            "startEvents": self.manual_events(process),
            "bookmark_id": 0,
            "launchpad": None,
        }

    def shown_process(self, process: Process, include: set[str]) -> Json:
        silent = dict.fromkeys(("started", "canceled", "completed", "error", "comment"), False)
        events = {"events": self.events(process, process.start_events)} if "events" in include else {}
        return {
            **self.process(process),
            "notifications": dict.fromkeys(("requester", "assignee", "participants", "manager"), silent),
            "task_notifications": {},
            **events,
            "manager_id": None,
        }

    # Users

    def user(self, user: User) -> Json:
        return {**self._user_columns(user), "remember_token": None}

    def _user_columns(self, user: User) -> Json:
        return {
            "id": user.id,
            "uuid": uuid_of("user", user.id),
            "email": user.email,
            "firstname": user.firstname,
            "lastname": user.lastname,
            "username": user.username,
            "status": "ACTIVE",
            **dict.fromkeys(("address", "city", "state", "postal", "country", "phone", "fax", "cell", "title")),
            "birthdate": None,
            "timezone": "UTC",
            "datetime_format": "m/d/Y H:i",
            "language": "en",
            "meta": None,
            "connected_accounts": None,
            "is_administrator": user.is_administrator,
            "is_system": 0,
            "expires_at": None,
            "loggedin_at": None,
            "active_at": None,
            "created_at": iso(self.installed),
            "updated_at": iso(self.installed),
            "deleted_at": None,
            "delegation_user_id": None,
            "manager_id": None,
            "schedule": None,
            "force_change_password": 0,
            "avatar": None,
            "password_changed_at": sql(self.installed),
            "preferences_2fa": None,
            **({"email_task_notification": 0} if self.newer else {}),
            "fullname": f"{user.firstname} {user.lastname}",
        }

    # Requests

    def started(self, request: Request) -> Json:
        """The answer to a start: the Request, not wrapped in `data`. More in it once a task was reached."""
        process = self.process(request.process)
        version = self.process_version(request.process)
        if request.process.tasks:
            version["process"] = process
        return {
            **self._request_at_start(request, request.status),
            "updated_at": iso(request.updated_at),
            **({"signal_events": []} if request.process.tasks else {}),
            **({"completed_at": iso(request.completed_at)} if request.completed_at else {}),
            **({"errors": request.errors} if request.errors else {}),
            "process_version": version,
            "process": process,
            "parent_request": None,
            "process_version_alternative": "A",
        }

    def _request_at_start(self, request: Request, status: str) -> Json:
        return {
            "callable_id": "P1",
            "collaboration_uuid": None,
            "process_id": request.process.id,
            "process_version_id": request.process.id,
            "user_id": request.user.id,
            "name": request.process.name,
            "status": status,
            "initiated_at": iso(request.created_at),
            "do_not_sanitize": [],
            "case_title": request.process.name,
            "case_title_formatted": request.process.name,
            "uuid": uuid_of("request", request.id),
            "updated_at": iso(request.created_at),
            "created_at": iso(request.created_at),
            "id": request.id,
            "case_number": request.id,
        }

    def request_row(self, request: Request) -> Json:
        return {
            **self._request_at_start(request, request.status),
            "process_collaboration_id": None,
            "parent_request_id": None,
            "participant_id": None,
            "errors": request.errors,
            "completed_at": iso(request.completed_at),
            "updated_at": iso(request.updated_at),
            "signal_events": [] if request.process.tasks else None,
        }

    def shown_request(self, request: Request, include: set[str]) -> Json:
        """GET /requests/{id}. Observed: `include=process` adds nothing here, `errors` is always there."""
        return {
            **self.request_row(request),
            "process_version_alternative": "A",
            **self._included(request, include),
        }

    def listed_request(self, request: Request, include: set[str]) -> Json:
        return {
            **self.shown_request(request, include),
            "user_viewed_at": None,
            "process_version": self.process_version(request.process),
            **({"process": self.process(request.process)} if "process" in include else {}),
        }

    def _included(self, request: Request, include: set[str]) -> Json:
        included: Json = {}
        if "data" in include:
            included["data"] = _data.shown(request.data)
        if "summary" in include:
            included["summary"] = _data.summary({**request.data, **self._servers_own(request)})
        if "participants" in include:
            users = {task.user.id: task.user for task in request.tasks}
            included["participants"] = [
                {**self.user(user), "laravel_through_key": request.id}
                for user in ({request.user.id: request.user} | users).values()
            ]
        if "user" in include:
            included["user"] = self.user(request.user)
        return included

    def _servers_own(self, request: Request) -> Json:
        """What the server adds to the data once a task was reached."""
        if not request.process.tasks:
            return {}
        return {
            "_user": self._user_columns(request.user),
            "_request": self._request_at_start(request, "ACTIVE"),
        }

    # Tasks

    def _task_columns(self, task: Task, now: datetime) -> Json:
        request = task.request
        due = task.created_at + timedelta(days=3)
        advance = "completed" if task.completed_at else "overdue" if due < now else "open"
        newer = {
            "is_emailsent": False,
            "created_at_ms": iso(task.created_at),
            "completed_at_ms": iso(task.completed_at),
        }
        return {
            "id": task.id,
            "uuid": uuid_of("task", task.id),
            "user_id": task.user.id,
            "process_id": request.process.id,
            "process_request_id": request.id,
            "subprocess_request_id": None,
            "element_id": task.element_id,
            "element_type": "task",
            "element_name": task.name,
            "status": task.status,
            "element_index": 0,
            "subprocess_start_event_id": None,
            "completed_at": iso(task.completed_at),
            "due_at": iso(due),
            "due_notified": 0,
            "initiated_at": None,
            "riskchanges_at": iso(task.created_at + 0.7 * timedelta(days=3)),
            "created_at": iso(task.created_at),
            "updated_at": iso(task.completed_at or task.created_at),
            "version_id": 3 if self.newer else None,
            "version_type": "ProcessMaker\\Models\\ScreenVersion" if self.newer else None,
            "is_self_service": 0,
            "self_service_groups": [],
            "token_properties": [],
            "is_priority": False,
            "is_actionbyemail": False,
            **(newer if self.newer else {}),
            "advanceStatus": advance,
            "process_request": self.request_row(request),
            "process": self.process(request.process),
            "draft": None,
            "can_view_parent_request": False,
        }

    def shown_task(self, task: Task, now: datetime) -> Json:
        return self._task_columns(task, now)

    def listed_task(self, task: Task, now: datetime) -> Json:
        row = self._task_columns(task, now)
        del row["process"]["warnings"]
        return {
            **row,
            "user_viewed_at": None,
            "process_request": {**row["process_request"], "process": row["process"]},
            "user": self.user(task.user),
        }


def page(
    items: list[T],
    render: Callable[[T], Json],
    params: httpx.QueryParams,
    *,
    path: str = "/",
    paged: bool = True,
) -> Json:
    """A list as Laravel pages it; `paged=False` gives all at once, though `meta` still speaks of pages."""
    per_page = _number(params, "per_page", 10)
    number = _number(params, "page", 1)
    pages = math.ceil(len(items) / per_page)
    first = (number - 1) * per_page
    shown = [render(item) for item in (items[first : first + per_page] if paged else items)]
    last = max(pages, 1)

    def link(target: int, label: str) -> Json:
        url = f"{path}?page={target}" if target >= 1 and (target <= last or target < number) else None
        return {"url": url, "label": label, "active": label == str(number)}

    meta = {
        "filter": params.get("filter", ""),
        "sort_by": params.get("order_by", ""),
        "sort_order": params.get("order_direction", ""),
        "count": len(shown),
        "total_pages": pages,
        "current_page": number,
        "from": first + 1 if shown else None,
        "last_page": last,
        "links": [
            link(number - 1, "&laquo; Previous"),
            *(link(target, str(target)) for target in range(1, last + 1)),
            link(number + 1, "Next &raquo;"),
        ],
        "path": path,
        "per_page": per_page,
        "to": first + len(shown) if shown else None,
        "total": len(items),
    }
    return {"data": shown, "meta": meta}


def _number(params: httpx.QueryParams, name: str, default: int) -> int:
    text = params.get(name, "")
    return max(int(text), 1) if text.isdecimal() else default


OPERATIONS: dict[str, tuple[str, ...]] = {
    "POST /process_events/{process_id}": ("event",),
    "GET /start_processes": (),
    "GET /requests": ("include", "per_page", "order_by", "order_direction", "pmql", "page"),
    "GET /requests/{process_request_id}": ("include",),
    "PUT /requests/{process_request_id}": (),
    "GET /tasks": ("process_request_id", "status", "page"),
    "PUT /tasks/{task_id}": (),
}
"""The operations in the sandbox's OpenAPI document, each with its query parameters."""


def document() -> Json:
    """An OpenAPI document of the operations and parameters that this package's clients send."""
    paths: Json = {}
    for named, parameters in OPERATIONS.items():
        method, path = named.split(" ")
        places = [(name, "path") for name in re.findall(r"{(\w+)}", path)]
        places += [(name, "query") for name in parameters]
        operation: Json = {
            "operationId": f"{method.lower()}{re.sub('[^a-z]+', '_', path)}".strip("_"),
            "parameters": [
                {"name": name, "in": place, "required": place == "path" or name == "event", "schema": {}}
                for name, place in places
            ],
            "responses": {"default": {"description": "JSON, unless it has no body."}},
        }
        if method != "GET":
            operation["requestBody"] = {"content": {"application/json": {"schema": {"type": "object"}}}}
        paths.setdefault(path, {})[method.lower()] = operation
    info = {"title": "ProcessMaker API Documentation", "version": "1.0.0"}
    return {"openapi": "3.0.0", "info": info, "servers": [{"url": "/api/1.0"}], "paths": paths}
