"""Which call gets which answer: a handler for each route, and the table of routes at the end."""

from __future__ import annotations

import email
import mimetypes
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import httpx

from . import _data, _pmql, _shapes
from ._model import CatchEvent, File, Process, Request, StartEvent, Token, User
from ._shapes import Json, Refused, answer, message, no_content, not_found

if TYPE_CHECKING:
    from ._server import Sandbox

T = TypeVar("T")

API = "/api/1.0"
LOCKED_FOR = 60.0
"""Seconds for which completing a task waits for the lock of its Request."""
_UNAUTHORIZED = "This action is unauthorized."
_NO_FILE = "Something went wrong and the file cannot be previewed or downloaded."


@attrs.frozen
class ApiCall:
    """A call with a good token."""

    user: User
    params: httpx.QueryParams
    content_type: str
    content: bytes
    url: httpx.URL
    parts: tuple[str, ...] = ()
    """The values of the placeholders in the path."""

    @property
    def id(self) -> int:
        """The first number in the path."""
        return int(self.parts[0])

    @property
    def body(self) -> Any:
        """The body as PHP read it: JSON, a form, or None."""
        return _data.read_body(self.content_type, self.content)

    @property
    def include(self) -> set[str]:
        return set(self.params.get("include", "").split(","))


@attrs.define
class Pending:
    """An answer that takes time. Seconds count from `began`."""

    began: datetime
    answer: Callable[[], httpx.Response]
    after: tuple[float, ...] = ()
    """When others may see something of it, and when it is ready."""
    request: Callable[[], Request | None] = lambda: None
    """The Request whose scripts a sync server runs before it answers."""


Handler = Callable[["Sandbox", ApiCall], "httpx.Response | Pending"]


def need_administrator(call: ApiCall, text: str) -> None:
    if not call.user.is_administrator:
        raise Refused(message(403, text))


def _ordered(items: list[T], row: Callable[[T], Json], call: ApiCall, default: str) -> list[T]:
    """Sort by order_by and order_direction: text without regard to case, null first. An unknown column is 500."""
    column = call.params.get("order_by") or default

    def key(item: T) -> tuple[bool, Any]:
        value = row(item)[column]
        return value is not None, value.lower() if isinstance(value, str) else value or 0

    try:
        return sorted(items, key=key, reverse=call.params.get("order_direction", "").lower() == "desc")
    except (KeyError, TypeError):
        raise Refused(message(500, "Server Error")) from None


# Processes


def list_start_processes(sandbox: Sandbox, call: ApiCall) -> httpx.Response:
    """The ACTIVE processes with an event, not a timer, that this user may start."""
    wanted = call.params.get("filter", "").lower()
    processes = [
        process
        for process in sandbox.processes.values()
        if process.status == "ACTIVE"
        and not process.broken
        and any(not event.timer for event in process.events_for(call.user))
        and (wanted in process.name.lower() or wanted in process.description.lower())
    ]

    def row(process: Process) -> Json:
        return sandbox.shapes.startable_process(process, call.user)

    try:
        ordered = _ordered(processes, sandbox.shapes.process, call, "name")
        response = answer(_shapes.page(ordered, row, call.params, sliced=True))
    except Refused as refused:
        response = refused.response
    # Observed: the tag is the same whatever the filter and the page, and even an error has it.
    response.headers["etag"] = _shapes.etag(call.user.id, sandbox.processes)
    return response


def start(sandbox: Sandbox, call: ApiCall) -> httpx.Response | Pending:
    process = sandbox.processes.get(call.id)
    event_id = call.params.get("event", "").strip()
    if process is None:
        return not_found()
    events = {event.id: event for event in process.events_for(call.user)}
    if event_id not in events:
        # The server checks the right first; without an event, that is the right to start the process at all.
        if not call.user.is_administrator and (event_id or not events):
            return message(403, _UNAUTHORIZED)
        if not event_id:
            return not_found()
        is_node = event_id in (*(node.id for node in process.nodes), "node_end")
        return message(500, "Server Error") if is_node else not_found()
    if process.broken:
        return message(500, "Server Error")
    return _begin(sandbox, process, events[event_id], call)


def _begin(sandbox: Sandbox, process: Process, event: StartEvent, call: ApiCall) -> Pending:
    """Start, whether or not the client waits for the answer."""
    engine, takes = sandbox.engine, sandbox.start_takes
    began = sandbox.clock.now()
    appears_after = takes if sandbox.appears_after is None else sandbox.appears_after
    made_after = min(appears_after, takes)
    made: list[tuple[Request, httpx.Response]] = []

    def make() -> None:
        body = call.body
        appears_at = began + timedelta(seconds=appears_after)
        request = engine.start(process, event, call.user, _data.stored(body))
        request.sent, request.called, request.appears_at = body, True, appears_at
        made.append((request, answer(sandbox.shapes.started(request), 201)))

    engine.at(began + timedelta(seconds=made_after), make)
    return Pending(began, lambda: made[0][1], (made_after, takes), lambda: made[0][0])


# Requests


def list_requests(sandbox: Sandbox, call: ApiCall) -> httpx.Response:
    if call.params.get("type") == "all" and not call.user.is_administrator:
        return message(500, "Server Error")
    now, pmql = sandbox.clock.now(), call.params.get("pmql", "")
    try:
        matches = _pmql.parse(pmql, now, call.user.timezone)
    except _pmql.PmqlError:
        return answer({"message": "Your PMQL contains invalid syntax."}, 400)
    except _pmql.UnknownField:
        return message(500, "Server Error")
    kind = call.params.get("type", "")
    status = {"in_progress": "ACTIVE", "started_me": "ACTIVE", "completed": "COMPLETED"}.get(kind)
    requests = [
        request
        for request in sandbox.engine.requests
        if request.visible_to(call.user)
        and request.appears_at <= now
        and status in (None, request.status)
        and (kind != "started_me" or request.user is call.user)
        and matches(request)
    ]

    def row(request: Request) -> Json:
        return sandbox.shapes.listed_request(request, call.include, now)

    ordered = _ordered(requests, sandbox.shapes.request_row, call, "name")
    return answer(_shapes.page(ordered, row, call.params))


def _request(sandbox: Sandbox, call: ApiCall) -> Request:
    """Return the Request in the path. Refuse the call if there is none, or if the user may not see it."""
    try:
        request = sandbox.request(call.id)
    except LookupError:
        raise Refused(not_found()) from None
    if not request.visible_to(call.user):
        raise Refused(message(403, _UNAUTHORIZED))
    return request


def _own_request(sandbox: Sandbox, call: ApiCall) -> Request:
    """Return the Request in the path. Refuse the call if the user did not start it."""
    request = _request(sandbox, call)
    if not call.user.is_administrator and request.user is not call.user:
        raise Refused(message(403, _UNAUTHORIZED))
    return request


def show_request(sandbox: Sandbox, call: ApiCall) -> httpx.Response:
    return answer(sandbox.shapes.shown_request(_request(sandbox, call), call.include, sandbox.clock.now()))


def update_request(sandbox: Sandbox, call: ApiCall) -> httpx.Response:
    """Cancel, complete, or change data. With all fields, anybody may replace the data of an own Request."""
    request, body = _own_request(sandbox, call), _data.as_array(call.body)
    data = body.get("data")
    if isinstance(data, dict) and {"name", "process_id"} <= body.keys():
        request.data = _data.stored_by_change(data)
        request.updated_at = sandbox.clock.now()
    elif body.get("status") == "CANCELED":
        need_administrator(call, "Not authorized to cancel this request.")
        sandbox.engine.end(request, "CANCELED")
    elif body.get("status") == "COMPLETED":
        need_administrator(call, "Not authorized to complete this request.")
        if request.status != "ERROR":
            return _shapes.invalid({"status": "Only requests with status: ERROR can be manually completed"})
        sandbox.engine.end(request, "COMPLETED")
    elif isinstance(data, dict) and body.keys() == {"data"}:
        need_administrator(call, "Not authorized to edit request data.")
        request.data.update(_data.stored_by_change(data))
        request.updated_at = sandbox.clock.now()
    else:
        labels = {"name": "Name", "data": "Data", "process_id": "Process id"}
        missing = {
            field: f"The {label} field is required." for field, label in labels.items() if body.get(field) in (None, "")
        }
        return _shapes.invalid(missing or {"data": "The Data must be an array."})
    return no_content()


def retry_request(sandbox: Sandbox, call: ApiCall) -> httpx.Response | Pending:
    request = _own_request(sandbox, call)
    need_administrator(call, "Not authorized to complete this request.")
    if request.status != "ERROR":
        return answer({"message": "Only requests with ERROR status can be retried", "success": False}, 422)
    retried = sandbox.engine.retry(request)
    texts = [f"Retrying ScriptTask ({token.element_id}) for Request::{request.id}" for token in retried]
    return _when_idle(sandbox, request, answer({"message": texts, "success": True}))


def _when_idle(sandbox: Sandbox, request: Request, response: httpx.Response) -> Pending:
    return Pending(sandbox.clock.now(), lambda: response, request=lambda: request)


def trigger_event(sandbox: Sandbox, call: ApiCall) -> httpx.Response | Pending:
    """Trigger an intermediate event. Observed: any signed-in user may."""
    try:
        request = sandbox.request(call.id)
    except LookupError:
        return not_found()
    node = call.parts[1]
    waiting = [token for token in request.tokens if token.element_id == node and token.status == "ACTIVE"]
    if waiting and isinstance(waiting[0].node, CatchEvent):
        sandbox.engine.trigger(waiting[0], call.body)
        return _when_idle(sandbox, request, answer([]))
    known = {"node_end"} | {event.id for event in request.process.start_events}
    if node in known | {one.id for one in request.process.nodes}:
        return not_found()
    return message(500, "Server Error")


# Tasks


def list_tasks(sandbox: Sandbox, call: ApiCall) -> httpx.Response:
    """An administrator sees all tasks; anybody else only own and claimable ones."""
    user, params = call.user, call.params
    tasks = [
        task
        for request in sandbox.engine.requests
        for task in request.tasks
        if user.is_administrator or task.user is user or task.claimable_by(user)
    ]
    with_children = params.get("include_sub_tasks") == "true"

    def belongs(task: Token, number: str) -> bool:
        parent = task.request.parent
        return number == str(task.request.id) or bool(with_children and parent and number == str(parent.id))

    def is_for(task: Token, number: str) -> bool:
        users = [task.user] if task.user else [one for one in task.candidates if task.claimable_by(one)]
        return number in [str(one.id) for one in users]

    filters: dict[str, Callable[[Token, str], bool]] = {
        "process_request_id": belongs,
        "process_id": lambda task, number: number == str(task.request.process.id),
        "user_id": is_for,
        "status": lambda task, status: status == task.status,
    }
    for name, matches in filters.items():
        if name in params:
            tasks = [task for task in tasks if matches(task, params[name])]

    def row(task: Token) -> Json:
        return sandbox.shapes.listed_task(task, user, sandbox.clock.now())

    ordered = _ordered(tasks, row, call, "updated_at")
    body = _shapes.page(ordered, row, params, path=str(call.url.copy_with(query=None)))
    body["meta"]["in_overdue"] = sum(row["advanceStatus"] == "overdue" for row in body["data"])
    return answer(body)


def _task(sandbox: Sandbox, call: ApiCall) -> Token:
    for request in sandbox.engine.requests:
        for task in request.tasks:
            if task.id == call.id:
                # Whoever completes a self-service task without a claim may ask for it again.
                candidate = task.is_self_service and call.user in task.candidates
                if call.user.is_administrator or task.user is call.user or candidate:
                    return task
                raise Refused(message(403, _UNAUTHORIZED))
    raise Refused(not_found())


def show_task(sandbox: Sandbox, call: ApiCall) -> httpx.Response:
    return answer(sandbox.shapes.task_and_user(_task(sandbox, call), call.user, sandbox.clock.now()))


def update_task(sandbox: Sandbox, call: ApiCall) -> httpx.Response | Pending:
    """Complete, claim or reassign. Observed: an administrator's reassignment answers 200 and changes nothing."""
    task, body = _task(sandbox, call), _data.as_array(call.body)
    if body.get("status") == "COMPLETED":
        return _complete_task(sandbox, call, task, body.get("data") or {})
    if body.get("user_id") is None:
        return message(422, "")
    if task.claimable_by(call.user) and body["user_id"] == call.user.id and not body.get("is_self_service", 1):
        task.user, task.is_self_service = call.user, False
    elif not call.user.is_administrator:
        return message(403, "Not authorized to reassign this task")
    row = sandbox.shapes.task_and_user(task, call.user, sandbox.clock.now())
    del row["draft"]
    return answer(row)


def _complete_task(sandbox: Sandbox, call: ApiCall, task: Token, data: Any) -> httpx.Response | Pending:
    if task.status == "CLOSED":
        return message(422, "Task already closed")
    if not isinstance(data, dict):
        return message(500, "Server Error")
    if task.request.locked:
        unchanged = answer(sandbox.shapes.task(task, call.user, sandbox.clock.now()))
        return Pending(sandbox.clock.now(), lambda: unchanged, (LOCKED_FOR,))
    began = sandbox.clock.now()
    completed: list[httpx.Response] = []

    def complete() -> None:
        sandbox.engine.complete(task, _data.stored_by_completion(data), asynchronous=sandbox.asynchronous)
        completed.append(answer(sandbox.shapes.task(task, call.user, sandbox.clock.now())))

    sandbox.engine.at(began + timedelta(seconds=sandbox.completion_takes), complete)
    return Pending(began, lambda: completed[0], (sandbox.completion_takes,), lambda: task.request)


# Files


def list_files(sandbox: Sandbox, call: ApiCall) -> httpx.Response:
    request, name = _request(sandbox, call), call.params.get("name")
    files = [file for file in sandbox.files.values() if file.request is request and name in (None, file.data_name)]
    return answer({"data": [sandbox.shapes.file(file) for file in files]})


def upload_file(sandbox: Sandbox, call: ApiCall) -> httpx.Response:
    """Store the part `file` of a multipart body. It replaces the file of the same data_name."""
    request = _request(sandbox, call)
    found = _part(call, "file")
    if found is None:
        return message(500, "Server Error")
    name, content = found
    if name.lower().endswith(".php"):
        text = f"The file name `{name}` was sanitized to `{name}`. This sanitized file name is not allowed because"
        return answer({"errors": {"message": f"{text} it is a PHP file."}}, 500)
    data_name = call.params.get("data_name") or name
    others = [file for file in sandbox.files.values() if file.request is request]
    for file in others:
        if file.data_name == data_name:
            del sandbox.files[file.id]
    order = max((file.order for file in others if file.data_name != data_name), default=0) + 1
    number, mime_type = next(sandbox.file_numbers), _mime_type(name, content)
    file = File(number, request, call.user, data_name, name, mime_type, content, order, sandbox.clock.now())
    sandbox.files[file.id] = file
    return answer({"message": "The file was uploaded.", "fileUploadId": file.id})


def _part(call: ApiCall, wanted: str) -> tuple[str, bytes] | None:
    """Return the file name and the content of the part with this name."""
    whole = email.message_from_bytes(f"Content-Type: {call.content_type}\r\n\r\n".encode() + call.content)
    for part in whole.walk():
        if part.get_param("name", header="content-disposition") == wanted and part.get_filename():
            return str(part.get_filename()), bytes(part.get_payload(decode=True))
    return None


def _mime_type(name: str, content: bytes) -> str:
    """Return the type by the content: text is text/plain, whatever the file name."""
    try:
        content.decode()
        return "text/plain"
    except UnicodeDecodeError:
        return mimetypes.guess_type(name)[0] or "application/octet-stream"


def _file(sandbox: Sandbox, call: ApiCall) -> File:
    """Return the file in the path. Refuse the call if there is none, or if it belongs to another Request."""
    request, file = _request(sandbox, call), sandbox.files.get(int(call.parts[1]))
    if file is None or file.request is not request:
        raise Refused(message(400, _NO_FILE))
    return file


def download_file(sandbox: Sandbox, call: ApiCall) -> httpx.Response:
    file = _file(sandbox, call)
    text = "; charset=UTF-8" if file.mime_type.startswith("text/") else ""
    headers = {
        "cache-control": "public",
        "content-type": file.mime_type + text,
        "content-disposition": f"attachment; filename={file.file_name}",
        "last-modified": format_datetime(file.created_at, usegmt=True),
    }
    return httpx.Response(200, headers=headers, content=file.content)


def delete_file(sandbox: Sandbox, call: ApiCall) -> httpx.Response:
    del sandbox.files[_file(sandbox, call).id]
    return no_content()


# Users


def show_user(sandbox: Sandbox, call: ApiCall) -> httpx.Response:
    user = next((user for user in sandbox.users.values() if user.id == call.id), None)
    if user is None:
        return not_found()
    if user is not call.user:
        need_administrator(call, "Not authorized to update this user.")
    return answer(sandbox.shapes.user(user))


ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("POST", "/process_events/{process_id}", start),
    ("GET", "/start_processes", list_start_processes),
    ("GET", "/requests", list_requests),
    ("GET", "/requests/{request_id}", show_request),
    ("PUT", "/requests/{request_id}", update_request),
    ("PUT", "/requests/{request_id}/retry", retry_request),
    ("POST", "/requests/{request_id}/events/{event_id}", trigger_event),
    ("GET", "/requests/{request_id}/files", list_files),
    ("POST", "/requests/{request_id}/files", upload_file),
    ("GET", "/requests/{request_id}/files/{file_id}", download_file),
    ("DELETE", "/requests/{request_id}/files/{file_id}", delete_file),
    ("GET", "/tasks", list_tasks),
    ("GET", "/tasks/{task_id}", show_task),
    ("PUT", "/tasks/{task_id}", update_task),
    ("GET", "/users/{user_id}", show_user),
)
"""Method, path below /api/1.0, and handler."""


def _pattern(path: str) -> re.Pattern[str]:
    """All ids are numbers, but for those of events."""
    return re.compile(API + re.sub(r"\{\w+\}", r"([0-9]+)", path.replace("{event_id}", "([^/]+)")))


_PATTERNS = [(method, _pattern(path), handler) for method, path, handler in ROUTES]


def find_handler(method: str, path: str) -> tuple[Handler, tuple[str, ...]] | None:
    """Return the handler of a call, and the values of the placeholders in its path."""
    for known, pattern, handler in _PATTERNS:
        if known == method and (match := pattern.fullmatch(path)):
            return handler, match.groups()
    return None
