"""The models; each is imported when it is first asked for."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .create_request_file_body import CreateRequestFileBody
    from .create_request_file_response import CreateRequestFileResponse
    from .error_body import ErrorBody
    from .get_processes_requests_response import GetProcessesRequestsResponse
    from .get_request_files_response import GetRequestFilesResponse
    from .get_tasks_response import GetTasksResponse
    from .issue_token_body import IssueTokenBody
    from .media import Media
    from .metadata import Metadata
    from .process_request import ProcessRequest
    from .process_request_editable import ProcessRequestEditable
    from .process_request_token import ProcessRequestToken
    from .process_start_events import ProcessStartEvents
    from .process_with_start_events import ProcessWithStartEvents
    from .start_processes_response import StartProcessesResponse
    from .token import Token
    from .trigger_start_event_body import TriggerStartEventBody
    from .update_task_body import UpdateTaskBody

_MODULES = {
    "CreateRequestFileBody": ".create_request_file_body",
    "CreateRequestFileResponse": ".create_request_file_response",
    "ErrorBody": ".error_body",
    "GetProcessesRequestsResponse": ".get_processes_requests_response",
    "GetRequestFilesResponse": ".get_request_files_response",
    "GetTasksResponse": ".get_tasks_response",
    "IssueTokenBody": ".issue_token_body",
    "Media": ".media",
    "Metadata": ".metadata",
    "ProcessRequest": ".process_request",
    "ProcessRequestEditable": ".process_request_editable",
    "ProcessRequestToken": ".process_request_token",
    "ProcessStartEvents": ".process_start_events",
    "ProcessWithStartEvents": ".process_with_start_events",
    "StartProcessesResponse": ".start_processes_response",
    "Token": ".token",
    "TriggerStartEventBody": ".trigger_start_event_body",
    "UpdateTaskBody": ".update_task_body",
}

__all__ = (
    "CreateRequestFileBody",
    "CreateRequestFileResponse",
    "ErrorBody",
    "GetProcessesRequestsResponse",
    "GetRequestFilesResponse",
    "GetTasksResponse",
    "IssueTokenBody",
    "Media",
    "Metadata",
    "ProcessRequest",
    "ProcessRequestEditable",
    "ProcessRequestToken",
    "ProcessStartEvents",
    "ProcessWithStartEvents",
    "StartProcessesResponse",
    "Token",
    "TriggerStartEventBody",
    "UpdateTaskBody",
)


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name], __name__), name)
