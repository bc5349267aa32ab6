"""The operations that this package sends, each built by its module of the generated client.

That client may have been made from another document than the one committed here. A module or a parameter that it lacks
stops only the call that needs it, and by name; whatever else is new or different there changes nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from attrs import frozen

from ..errors import ConfigurationError
from ..fork import importing

WAY_OUT = "generate the client from a document that has it: `make regenerate SPEC=...`"


@frozen
class Body:
    """A JSON object on its way, as the generated code takes a body."""

    content: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        return self.content

    to_multipart = to_dict


@frozen
class Endpoint:
    """One operation of the API.

    Args:
        operation: its method and path.
        module: where the generated client has it, below `processmaker_api.api`.
        sends: the query parameters that this package gives it.
        undocumented: more of them, which servers read although their documents (or those of some) do not say so.
    """

    operation: str
    module: str
    sends: tuple[str, ...] = ()
    undocumented: tuple[str, ...] = ()

    def request(self, *, body: Body | None = None, **parameters: str | int | None) -> dict[str, Any]:
        """The HTTP request, as httpx's `request` takes it. Parameters that are None are left out.

        Raises:
            ConfigurationError: the generated client lacks the operation or a parameter; nothing was sent.
        """
        try:
            with importing:
                build = import_module(f"processmaker_api.api.{self.module}")._get_kwargs
        except (ImportError, AttributeError):
            raise self._lacking("this operation") from None
        code = build.__code__
        taken = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        arguments: dict[str, Any] = {
            name: Text(value) if isinstance(value, str) else value
            for name, value in parameters.items()
            if value is not None
        }
        for name in arguments:
            sends = name in self.sends or name in self.undocumented
            if not sends and f"{{{name}}}" not in self.operation:
                raise TypeError(f"{self.operation}: {name} is not among what it `sends`")
        if lacking := [name for name in arguments if name not in taken]:
            raise self._lacking(f"the parameter {', '.join(lacking)} of this operation")
        if body is not None and "body" in taken:
            arguments["body"] = body
        required = [name for name in taken if name not in arguments and name not in (build.__kwdefaults__ or ())]
        try:
            request: dict[str, Any] = build(**arguments, **dict.fromkeys(required, NOT_SENT))
        except Exception as problem:  # whatever other types make the generated code raise
            wanted = f", which wants {', '.join(required)}," if required else ""
            raise ConfigurationError(
                f"{self.operation}: the generated client{wanted} cannot build this call: {problem}; correct the "
                "document in openapi/trim.yaml, and `make regenerate SPEC=...`"
            ) from problem
        for part in ("params", "headers", "cookies") if required else ():
            if part in request:
                request[part] = {name: value for name, value in request[part].items() if value is not NOT_SENT}
        return request if body is None else _with_json(request, body)

    def _lacking(self, what: str) -> ConfigurationError:
        return ConfigurationError(f"{self.operation}: the generated client does not have {what}; {WAY_OUT}")


def _with_json(request: dict[str, Any], body: Body) -> dict[str, Any]:
    """The request with this body as JSON, whatever the document takes: sent otherwise, data is destroyed (4.15.5)."""
    for other in ("content", "data", "files"):
        request.pop(other, None)
    headers = {name: value for name, value in request.get("headers", {}).items() if name.lower() != "content-type"}
    return request | {"json": body.content, "headers": headers}


class Text(str):
    """A text that also passes for a member of an enum, should a document list the values of a parameter."""

    __slots__ = ()

    @property
    def value(self) -> str:
        return str(self)


class _NotSent:
    """In place of a parameter that a newer document requires, which this package does not know: it is left out.

    Whether the server can do without it, the server says.
    """

    def __str__(self) -> str:
        raise ValueError("it cannot be left out")

    __bool__ = __iter__ = __str__


NOT_SENT: Any = _NotSent()

START = Endpoint("POST /process_events/{process_id}", "processes.trigger_start_event", ("event",))
PROCESSES = Endpoint("GET /start_processes", "processes.start_processes")
REQUESTS = Endpoint(
    "GET /requests",
    "process_requests.get_processes_requests",
    ("include", "per_page", "order_by", "order_direction"),
    ("pmql", "page"),
)
REQUEST = Endpoint(
    "GET /requests/{process_request_id}", "process_requests.get_process_request_by_id", undocumented=("include",)
)
CHANGE_REQUEST = Endpoint("PUT /requests/{process_request_id}", "process_requests.update_process_request")
TASKS = Endpoint("GET /tasks", "tasks.get_tasks", ("process_request_id",), ("status", "page"))
COMPLETE_TASK = Endpoint("PUT /tasks/{task_id}", "tasks.update_task")

ENDPOINTS = (START, PROCESSES, REQUESTS, REQUEST, CHANGE_REQUEST, TASKS, COMPLETE_TASK)
