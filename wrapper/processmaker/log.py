"""What the client logs: to the logger `processmaker`, and with each record what it is about."""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import Any, Protocol

log = logging.getLogger("processmaker")


class Start(Protocol):
    process_id: int
    key: str | None


about: ContextVar[Start | None] = ContextVar("processmaker.about", default=None)
"""The start that is under way: what is logged meanwhile is about it, and says so in its attributes."""


def of_request(request_id: int) -> dict[str, Any]:
    """The `extra` of a record that is about this Request."""
    return {"processmaker_request_id": request_id}


def _tell(record: logging.LogRecord) -> bool:
    if start := about.get():
        record.processmaker_process_id = start.process_id
        if start.key is not None:
            record.idempotency_key = start.key
    return True


log.addFilter(_tell)
