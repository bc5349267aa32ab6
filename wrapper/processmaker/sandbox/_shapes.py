"""The JSON of ProcessMaker 4.15.5, key for key as recorded."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx

from . import _data
from ._model import (
    CatchEvent,
    File,
    Process,
    Request,
    Script,
    StartEvent,
    SubProcess,
    Task,
    ThrowEvent,
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
    """What the framework answers to an exception."""
    return answer({"message": text}, status, pretty=True, **headers)


def not_found() -> httpx.Response:
    return answer({"error": "Not Found"}, 404)


def invalid(errors: dict[str, str]) -> httpx.Response:
    """The answer to a body that is not valid: the message is the first error and the number of others."""
    first, *others = errors.values()
    more = f" (and {len(others)} more error{'s' if len(others) > 1 else ''})" if others else ""
    return answer({"message": first + more, "errors": {field: [text] for field, text in errors.items()}}, 422)


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
            "id": version_id(process),
            "process_id": process.id,
            "process_category_id": 2,
            "user_id": 1,
            "draft": 0,
            **self._process_columns(process),
            "created_at": sql(self.installed),
            "updated_at": sql(self.installed),
        }

    def _process_columns(self, process: Process) -> Json:
        signals = [signal_id(event.signal) for event in process.start_events if event.signal]
        return {
            **_ROWS["process"],
            "description": process.description,
            "name": process.name,
            "status": process.status,
            "start_events": self.events(process, process.start_events),
            "signal_events": signals,
            "properties": {"manager_id": 1} if _needs_manager(process) else None,
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
        return {**self._user_columns(user), "remember_token": None}

    def _user_columns(self, user: User) -> Json:
        return {
            **_ROWS["user"],
            "id": user.id,
            "uuid": uuid_of("user", user.id),
            "email": user.email,
            "firstname": user.firstname,
            "lastname": user.lastname,
            "username": user.username,
            "timezone": user.timezone,
            "is_administrator": user.is_administrator,
            "created_at": iso(self.installed),
            "updated_at": iso(self.installed),
            "password_changed_at": None if user.is_administrator else sql(self.installed),
            "fullname": f"{user.firstname} {user.lastname}",
        }

    # Requests

    def started(self, request: Request) -> Json:
        """The answer to a start: the Request, not wrapped in `data`. It holds more once a task was reached."""
        process = self.process(request.process)
        version = self.process_version(request.process)
        if any(isinstance(node, Task | SubProcess) for node in request.process.nodes):
            version["process"] = process
        signals, collaboration = _signal_events(request), request.collaboration
        return {
            **self._request_at_start(request, request.status),
            "updated_at": iso(request.updated_at),
            **({} if signals is None else {"signal_events": signals}),
            **({"process_collaboration_id": collaboration, "collaboration": None} if collaboration else {}),
            **({"completed_at": iso(request.completed_at)} if request.completed_at else {}),
            **({"errors": request.errors} if request.errors else {}),
            "process_version": version,
            "process": process,
            "parent_request": None,
            "process_version_alternative": "A",
        }

    def _request_at_start(self, request: Request, status: str) -> Json:
        title = request.case.process.name
        return {
            **_ROWS["request"],
            "process_id": request.process.id,
            "process_version_id": version_id(request.process),
            "user_id": request.user.id,
            "name": request.process.name,
            "status": status,
            "initiated_at": iso(request.created_at),
            "case_title": title,
            "case_title_formatted": title,
            "uuid": request.uuid,
            "updated_at": iso(request.created_at),
            "created_at": iso(request.created_at),
            "id": request.id,
            "case_number": request.case_number,
        }

    def request_row(self, request: Request) -> Json:
        return {
            **self._request_at_start(request, request.status),
            "process_collaboration_id": request.collaboration,
            "parent_request_id": request.parent.id if request.parent else None,
            "participant_id": None,
            "errors": request.errors,
            "completed_at": iso(request.completed_at),
            "updated_at": iso(request.updated_at),
            "signal_events": _signal_events(request),
        }

    def shown_request(self, request: Request, include: set[str], now: datetime) -> Json:
        """GET /requests/{id}. Observed: `include=process` adds nothing here, `errors` is always there."""
        return {
            **self.request_row(request),
            "process_version_alternative": "A",
            **self._included(request, include, now),
        }

    def listed_request(self, request: Request, include: set[str], now: datetime) -> Json:
        return {
            **self.shown_request(request, include, now),
            "user_viewed_at": None,
            "process_version": self.process_version(request.process),
            **({"process": self.process(request.process)} if "process" in include else {}),
        }

    def _included(self, request: Request, include: set[str], now: datetime) -> Json:
        included: Json = {}
        if "data" in include:
            included["data"] = _data.shown(request.data)
        if "summary" in include:
            included["summary"] = _data.summary({**request.data, **self._variables_now(request)})
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

    def _variables_now(self, request: Request) -> Json:
        """What the engine keeps beside the data while a task or a script is open."""
        nodes = [token.node for token in request.tokens if token.status != "CLOSED"]
        if request.completed_at or not any(isinstance(node, Task | Script) for node in nodes):
            return {}
        scripted = isinstance(nodes[0], Script)
        return {
            "_user": None if scripted else self._user_columns(request.user),
            "_request": self._request_at_start(request, "ACTIVE"),
        }

    def variables(self, request: Request) -> Json:
        """What a sub-process gets beside the data of the Request that calls it."""
        event = request.event
        more = {"startEventId": event.id, "startEventName": event.name, "alternative": "A"}
        row = self._request_at_start(request, "ACTIVE")
        return {"_user": self._user_columns(request.user), "_request": {**row, "signal_events": [], **more}}

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

    def listed_tasks(self, tasks: list[Token], user: User, now: datetime) -> list[Json]:
        """Rows of GET /tasks. Observed: the second row of a Request shows its parent, the first does not."""
        rows, seen = [], set()
        for task in tasks:
            row, request = self.task_and_user(task, user, now), task.request
            del row["process"]["warnings"]
            row["process_request"]["process"] = row["process"]
            if request.id in seen:
                row["process_request"]["parent_request"] = self.request_row(request.parent) if request.parent else None
            seen.add(request.id)
            rows.append({**row, "user_viewed_at": None})
        return rows

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


def version_id(process: Process) -> int:
    """Each process from 13 on was saved twice, which makes a version each."""
    return process.id if process.id <= 12 else 2 * process.id - 12


def _needs_manager(process: Process) -> bool:
    """A task of a given user goes to the process manager if that user is gone."""
    return any(isinstance(node, Task) and node.user for node in process.nodes)


def _signal_events(request: Request) -> list[str] | None:
    """The signals that its process waits for; None if it has no node that keeps a Request open."""
    nodes = [node for node in request.process.nodes if not isinstance(node, ThrowEvent)]
    if not nodes:
        return None
    return [signal_id(node.signal) for node in nodes if isinstance(node, CatchEvent) and node.signal]


def _advance_status(task: Token, now: datetime) -> str:
    if task.completed_at:
        return "completed"
    return "overdue" if task.created_at + timedelta(days=3) < now else "open"


def page(
    items: list[T],
    render: Callable[[list[T]], list[Json]],
    params: httpx.QueryParams,
    *,
    path: str = "/",
    sliced: bool = False,
) -> Json:
    """A list as Laravel pages it. With per_page=0 or text, the server fails (not recorded for tasks).

    Args:
        items: the whole list.
        render: makes rows of items.
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
    rows = render(shown)
    last = max(pages, 1)

    def link(target: int, label: str) -> Json:
        url = f"{path}?page={target}" if target >= 1 and (target <= last or target < number) else None
        return {"url": url, "label": label, "active": label == str(number)}

    meta = {
        "filter": params.get("filter", ""),
        "sort_by": params.get("order_by", ""),
        "sort_order": params.get("order_direction", ""),
        "count": len(rows),
        "total_pages": pages,
        "current_page": number,
        "from": first + 1 if rows else None,
        "last_page": last,
        "links": [
            link(number - 1, "&laquo; Previous"),
            *(link(target, str(target)) if target else _GAP for target in _linked(number, last)),
            link(number + 1, "Next &raquo;"),
        ],
        "path": path,
        "per_page": per_page,
        "to": first + len(rows) if rows else None,
        "total": len(items),
    }
    return {"data": rows, "meta": meta}


_GAP = {"url": None, "label": "...", "active": False}


def _linked(number: int, last: int) -> list[int]:
    """The pages that Laravel links from a page; 0 stands for a gap."""
    if last < 14:
        return list(range(1, last + 1))
    if number <= 7:
        return [*range(1, 11), 0, last - 1, last]
    if number > last - 7:
        return [1, 2, 0, *range(last - 9, last + 1)]
    return [1, 2, 0, *range(number - 3, number + 4), 0, last - 1, last]


def _number(params: httpx.QueryParams, name: str, default: int, *, otherwise: int) -> int:
    """A number in the query; `otherwise` if it is other text."""
    text = params.get(name, "")
    if not text:
        return default
    return int(text) if re.fullmatch(r"-?[0-9]{1,400}", text) else otherwise
