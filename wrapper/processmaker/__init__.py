"""The Python client that knows whether your ProcessMaker Request started.

    from processmaker import ProcessMaker

    with ProcessMaker("https://pm.example.com", token="…") as pm:
        request = pm.start("Leave Request", {"days": 3}, idempotency_key="leave-2026-17")

`ProcessMaker` and `AsyncProcessMaker` have the same methods; errors are one tree under `ProcessMakerError`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__: str

if TYPE_CHECKING:
    from ._async_client import AsyncProcessMaker
    from ._client import ProcessMaker
    from .data import DataAlteredWarning
    from .errors import (
        AlreadyFinished,
        AmbiguousStartEvent,
        CancelNotAllowed,
        CannotStart,
        ConfigurationError,
        ConnectionFailed,
        ConnectionLost,
        Forbidden,
        InvalidData,
        JournalError,
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
    from .follow.reading import Progress
    from .journal import Journal, RedisJournal, SQLiteJournal
    from .many import AsyncOutcomes, Outcome, Outcomes
    from .models import Process, Request, StartEvent, Task
    from .once.reuse import KeyReusedWarning
    from .wire.auth import PasswordGrant
    from .wire.retry import Retries

__all__ = [
    "AlreadyFinished",
    "AmbiguousStartEvent",
    "AsyncOutcomes",
    "AsyncProcessMaker",
    "CancelNotAllowed",
    "CannotStart",
    "ConfigurationError",
    "ConnectionFailed",
    "ConnectionLost",
    "DataAlteredWarning",
    "Forbidden",
    "InvalidData",
    "Journal",
    "JournalError",
    "KeyReusedWarning",
    "MethodNotAllowed",
    "NoStartEvent",
    "NotFound",
    "Outcome",
    "Outcomes",
    "PasswordGrant",
    "PayloadTooLarge",
    "Process",
    "ProcessMaker",
    "ProcessMakerError",
    "ProcessNotFound",
    "Progress",
    "RateLimited",
    "Redirected",
    "RedisJournal",
    "Request",
    "RequestCanceled",
    "RequestFailed",
    "ResponseError",
    "Retries",
    "SQLiteJournal",
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

_HOMES = {
    "AsyncOutcomes": "many",
    "AsyncProcessMaker": "_async_client",
    "DataAlteredWarning": "data",
    "Journal": "journal",
    "KeyReusedWarning": "once.reuse",
    "Outcome": "many",
    "Outcomes": "many",
    "PasswordGrant": "wire.auth",
    "Process": "models",
    "ProcessMaker": "_client",
    "Progress": "follow.reading",
    "RedisJournal": "journal",
    "Request": "models",
    "Retries": "wire.retry",
    "SQLiteJournal": "journal",
    "StartEvent": "models",
    "Task": "models",
}
"""The modules of the names that are not errors."""


def __getattr__(name: str) -> Any:
    """Imports a name when it is first used: the pytest plugin and the command line's help then cost nothing."""
    if name == "__version__":
        return import_module("importlib.metadata").version("processmaker-client")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f".{_HOMES.get(name, 'errors')}", __name__), name)
    return value


def __dir__() -> list[str]:
    return __all__
