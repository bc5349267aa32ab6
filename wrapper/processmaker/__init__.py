"""The Python client that knows whether your ProcessMaker Request started.

    from processmaker import ProcessMaker

    with ProcessMaker("https://pm.example.com", token="…") as pm:
        request = pm.start("Leave Request", {"days": 3}, idempotency_key="leave-2026-17")

`ProcessMaker` and `AsyncProcessMaker` have the same methods; errors are one tree under `ProcessMakerError`.
"""

from ._async_client import AsyncProcessMaker
from ._auth import PasswordGrant
from ._client import ProcessMaker
from ._data import DataAlteredWarning
from ._errors import (
    AmbiguousStartEvent,
    CancelNotAllowed,
    CannotStart,
    ConfigurationError,
    ConnectionFailed,
    ConnectionLost,
    Forbidden,
    InvalidData,
    MethodNotAllowed,
    NoStartEvent,
    NotFound,
    PayloadTooLarge,
    ProcessMakerError,
    ProcessNotFound,
    RateLimited,
    Redirected,
    RequestCanceled,
    RequestFailed,
    ResponseError,
    ServerError,
    ServiceUnavailable,
    SignInError,
    StartEventNotFound,
    StartOutcomeUnknown,
    TaskAlreadyClosed,
    TimedOut,
    TLSFailed,
    TransportError,
    Unauthorized,
    UnreadableResponse,
    ValidationFailed,
    WaitTimeout,
)
from ._follow import Progress
from ._models import Process, Request, StartEvent, Task
from ._retry import Retries

__all__ = [
    "AmbiguousStartEvent",
    "AsyncProcessMaker",
    "CancelNotAllowed",
    "CannotStart",
    "ConfigurationError",
    "ConnectionFailed",
    "ConnectionLost",
    "DataAlteredWarning",
    "Forbidden",
    "InvalidData",
    "MethodNotAllowed",
    "NoStartEvent",
    "NotFound",
    "PasswordGrant",
    "PayloadTooLarge",
    "Process",
    "ProcessMaker",
    "ProcessMakerError",
    "ProcessNotFound",
    "Progress",
    "RateLimited",
    "Redirected",
    "Request",
    "RequestCanceled",
    "RequestFailed",
    "ResponseError",
    "Retries",
    "ServerError",
    "ServiceUnavailable",
    "SignInError",
    "StartEvent",
    "StartEventNotFound",
    "StartOutcomeUnknown",
    "TLSFailed",
    "Task",
    "TaskAlreadyClosed",
    "TimedOut",
    "TransportError",
    "Unauthorized",
    "UnreadableResponse",
    "ValidationFailed",
    "WaitTimeout",
]
