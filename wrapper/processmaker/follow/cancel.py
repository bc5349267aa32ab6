"""Cancels a Request."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from processmaker_api.api.process_requests import update_process_request
from processmaker_api.models.process_request_editable import ProcessRequestEditable

from ..errors import CancelNotAllowed, Forbidden, ProcessMakerError, clean, explain_unknown
from ..models import Request
from ..wire.call import IO
from .reading import AnyRequest, fetch, id_of, named, narrowed


async def cancel(io: IO, request: AnyRequest) -> Request:
    """PUT /requests/{id}; return its state afterwards."""
    number = id_of(request, Request)
    if isinstance(request, Request) and request.status == "CANCELED":
        return request
    if isinstance(request, Request) and request.status == "COMPLETED":
        raise _is_over(request)
    try:
        what, way_out = f"Request {number} was canceled", f"look at it, get({number})"
        with named(f"Request {number}"), explain_unknown(what, way_out):
            body = ProcessRequestEditable(status="CANCELED")
            await io.command(update_process_request.build_request(process_request_id=number, body=body))
    except Forbidden as error:
        # The answer is the same whether it is over or this user may not.
        now = None
        with suppress(ProcessMakerError):
            now = await fetch(io, number, ())
        if now and now.finished:
            raise _is_over(now, **vars(error)) from None
        raise narrowed(CancelNotAllowed, error) from None
    try:
        now = await fetch(io, number, ())
    except ProcessMakerError as error:
        error.processed = True  # it is canceled; what failed is reading its state
        raise
    if now.finished and now.status != "CANCELED":
        raise _is_over(now)
    return now


def _is_over(request: Request, **facts: Any) -> CancelNotAllowed:
    """Return the error for a Request that is over, with its state in words."""
    message = f'Request {request.id} of "{clean(request.name)}" is over: it is {clean(request.status, 60)}.'
    return CancelNotAllowed(f"{message} There is nothing to cancel.", **facts, request=request)
