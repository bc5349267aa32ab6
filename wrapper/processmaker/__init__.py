"""The Python client that knows whether your ProcessMaker Request started.

    from processmaker import ProcessMaker

    with ProcessMaker("https://pm.example.com", token="…") as pm:
        request = pm.start("Leave Request", {"days": 3}, idempotency_key="leave-2026-17")

`ProcessMaker` and `AsyncProcessMaker` have the same methods; errors are one tree under `ProcessMakerError`.

The guide is in wrapper/docs of the project. An installed package brings its first page, "Once" and "Errors" along:

    import importlib.metadata; print(importlib.metadata.metadata("processmaker-client")["Description"])
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__: str

if TYPE_CHECKING:
    from ._async_client import AsyncProcessMaker
    from ._client import ProcessMaker
    from .data import DataAlteredWarning
    from .errors import (
        AmbiguousStartEvent,
        CancelNotAllowed,
        CannotStart,
        ConfigurationError,
        ConnectionFailed,
        ConnectionLost,
        Forbidden,
        IdempotencyKeyReused,
        InvalidData,
        JournalError,
        NotFound,
        ProcessMakerError,
        ProcessNotFound,
        RateLimited,
        Redirected,
        RequestCanceled,
        RequestFailed,
        ResponseError,
        ServerError,
        SignInError,
        StartEventNotFound,
        StartOutcomeUnknown,
        TaskAlreadyClosed,
        TaskNotClosed,
        TimedOut,
        TransportError,
        Unauthorized,
        UnreadableResponse,
        ValidationFailed,
        WaitTimeout,
    )
    from .follow.waiting import Progress
    from .journal import Journal, MemoryJournal, RedisJournal, SQLiteJournal
    from .many import AsyncOutcomes, Outcome, Outcomes
    from .models import File, Process, Request, StartEvent, Task
    from .once.existing import KeyReusedWarning
    from .wire.auth import PasswordGrant
    from .wire.retry import Retries

__all__ = [
    "AmbiguousStartEvent",
    "AsyncOutcomes",
    "AsyncProcessMaker",
    "CancelNotAllowed",
    "CannotStart",
    "ConfigurationError",
    "ConnectionFailed",
    "ConnectionLost",
    "DataAlteredWarning",
    "File",
    "Forbidden",
    "IdempotencyKeyReused",
    "InvalidData",
    "Journal",
    "JournalError",
    "KeyReusedWarning",
    "MemoryJournal",
    "NotFound",
    "Outcome",
    "Outcomes",
    "PasswordGrant",
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
    "SignInError",
    "StartEvent",
    "StartEventNotFound",
    "StartOutcomeUnknown",
    "Task",
    "TaskAlreadyClosed",
    "TaskNotClosed",
    "TimedOut",
    "TransportError",
    "Unauthorized",
    "UnreadableResponse",
    "ValidationFailed",
    "WaitTimeout",
]

_MODULES = {
    "_async_client": ("AsyncProcessMaker",),
    "_client": ("ProcessMaker",),
    "data": ("DataAlteredWarning",),
    "follow.waiting": ("Progress",),
    "journal": ("Journal", "MemoryJournal", "RedisJournal", "SQLiteJournal"),
    "many": ("AsyncOutcomes", "Outcome", "Outcomes"),
    "models": ("File", "Process", "Request", "StartEvent", "Task"),
    "once.existing": ("KeyReusedWarning",),
    "wire.auth": ("PasswordGrant",),
    "wire.retry": ("Retries",),
}
"""Where the names are that are not errors."""


def __getattr__(name: str) -> Any:
    """Import a name when it is first used: the pytest plugin and the command line's help then cost nothing."""
    if name == "__version__":
        return import_module("importlib.metadata").version("processmaker-client")
    module = next((module for module, names in _MODULES.items() if name in names), "errors")
    home = import_module(f".{module}", __name__)
    if name not in __all__:
        if name in home.RENAMED:
            return home.renamed(name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(home, name)
    return value


def __dir__() -> list[str]:
    return __all__
