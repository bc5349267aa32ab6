"""Starting a Request once: send it, and find out what became of it where the answer got lost."""

from __future__ import annotations

from typing import Any

from attrs import evolve, frozen

from ._data import IDEMPOTENCY_KEY, OnAlteredData, check_data, check_key, report_alterations, with_key
from ._endpoints import START, Body
from ._errors import CannotStart, Forbidden, NotFound, ProcessMakerError, StartOutcomeUnknown, sentence
from ._follow import check_seconds, fetch, listed, request_failed
from ._io import IO
from ._models import Request, request_from
from ._processes import AnyEvent, AnyProcess, Catalog
from ._retry import log

LOOK_AGAIN_FOR = 15.0
"""Seconds for which a lost start is looked for by its idempotency key."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 4.0
"""Seconds between two looks; each pause is twice the one before. A start takes about 0.15 s (4.15.5)."""


@frozen(kw_only=True)
class Start:
    """One start as it goes on the wire."""

    process_id: int
    event: str
    body: dict[str, Any]
    key: str | None
    look_again_for: float


async def start(
    io: IO,
    catalog: Catalog,
    process: AnyProcess,
    data: object,
    *,
    event: AnyEvent,
    idempotency_key: str | None,
    look_first: bool,
    look_again_for: float,
    on_altered_data: OnAlteredData,
) -> Request:
    check_seconds("look_again_for", look_again_for)
    body = check_data(data)
    report_alterations(body, on_altered_data)
    if idempotency_key is not None:
        body = with_key(body, check_key(idempotency_key))
    process_id, event_id = await catalog.resolve(process, event)
    this = Start(process_id=process_id, event=event_id, body=body, key=idempotency_key, look_again_for=look_again_for)
    try:
        return await _start_once(io, this, look_first)
    except (Forbidden, NotFound) as error:
        if error.response.request.method != "POST":
            raise
        process_id, event_id = await _corrected(catalog, process, event, this, error)
    return await _start_once(io, evolve(this, process_id=process_id, event=event_id), look_first)


async def _corrected(
    catalog: Catalog, process: AnyProcess, event: AnyEvent, this: Start, error: Forbidden | NotFound
) -> tuple[int, str]:
    """Other ids for a start answered with 403 or 404; raises `error`, with its likely cause, if there are none.

    The server itself does not say which it was: no such process for this user, or no such start event.
    """
    refused = this.process_id, this.event
    try:
        ids = await catalog.resolve_again(process, event, refused)
    except CannotStart as cause:
        error.likely_cause = f"{cause}."
        raise error from None
    except ProcessMakerError:
        raise error from None
    if ids == refused:
        error.likely_cause = "none was found: this token may start this process with this start event."
        raise error
    return ids


async def find_by_key(io: IO, catalog: Catalog, process: AnyProcess, key: str) -> Request | None:
    return await find(io, await catalog.process_id(process), check_key(key))


async def find(io: IO, process_id: int, key: str, *, within: float | None = None) -> Request | None:
    """The oldest Request of that process started with that key, among those this token may see."""
    pmql = f'data.{IDEMPOTENCY_KEY} = "{key}" AND process_id = {process_id}'
    found = [
        evolve(request, idempotency_key=key, created=False)
        async for request in listed(io, {"pmql": pmql, "include": "summary"}, within=within)
        # On MySQL the server's comparison may ignore case: only the same key is the same Request.
        if _key_of(request) == key
    ]
    return min(found, key=lambda request: request.id, default=None)


async def _start_once(io: IO, this: Start, look_first: bool) -> Request:
    if this.key is not None and look_first and (found := await find(io, this.process_id, this.key)):
        return _unless_failed(found)
    try:
        request = await _post(io, this)
    except ProcessMakerError as error:
        if error.processed is not None:
            raise
        log.warning("%s Whether the Request was started is not known yet.", sentence(error))
        # Found by its key without a first look, it may have been there before.
        sure = look_first or _request_id_of(error) is not None
        request = evolve(await _what_became_of(io, this, error), created=True if sure else None)
    else:
        request = evolve(request, created=True)
    return _unless_failed(evolve(request, idempotency_key=this.key))


async def _post(io: IO, this: Start) -> Request:
    return await io.call(
        START,
        lambda answer: request_from(answer, io.site),
        process_id=this.process_id,
        event=this.event,
        body=Body(this.body),
    )


async def _what_became_of(io: IO, this: Start, wire_error: ProcessMakerError) -> Request:
    """The Request that a start made whose answer got lost. Never sends the start again.

    Raises:
        StartOutcomeUnknown: it was not found.
    """
    request_id, look_error = _request_id_of(wire_error), None
    if request_id is not None:
        try:
            return await fetch(io, request_id, ())
        except ProcessMakerError as error:
            look_error = error
    elif this.key is not None:
        found, look_error = await _look_again(io, this.process_id, this.key, this.look_again_for)
        if found:
            return found
    failed_look = f" The last look for it failed: {sentence(look_error)}" if look_error else ""
    raise StartOutcomeUnknown(
        f"{sentence(wire_error)} {_next_step(this, request_id)}{failed_look}",
        processed=None if request_id is None else True,
        process_id=this.process_id,
        event=this.event,
        idempotency_key=this.key,
        request_id=request_id,
        wire_error=wire_error,
        look_error=look_error,
    ) from wire_error


def _request_id_of(error: ProcessMakerError) -> int | None:
    """The id of the Request that was started, where that much of the answer arrived."""
    return getattr(error, "request_id", None)


async def _look_again(
    io: IO, process_id: int, key: str, seconds: float
) -> tuple[Request | None, ProcessMakerError | None]:
    """Looks for the key until it is found or the time is over: the server may still be working.

    Returns:
        The Request, or None; and why the last look failed, where it did.
    """
    deadline, pause = io.clock.monotonic() + seconds, FIRST_PAUSE
    while True:
        failed = None
        try:
            if found := await find(io, process_id, key, within=deadline - io.clock.monotonic()):
                log.info('The start with key "%s" was found: it is Request %d.', key, found.id)
                return found, None
        except ProcessMakerError as error:
            failed = error
            log.warning('%s That was a look for the start with key "%s".', sentence(error), key)
        left = deadline - io.clock.monotonic()
        if left <= 0 or (failed and not failed.transient):
            return None, failed
        await io.sleep(min(pause, left))
        pause = min(2 * pause, LONGEST_PAUSE)


def _next_step(this: Start, request_id: int | None) -> str:
    if request_id is not None:
        return f"The Request was started, as {request_id}; its state could not be read. Read it: get({request_id})."
    if this.key is not None:
        return (
            f'Whether the Request was started is not known: none with the idempotency key "{this.key}" was found. '
            "Start again later with the same key: it is looked for first, and only started if it is not there."
        )
    return (
        "Whether the Request was started is not known, and the start was not sent again, as that could make a second "
        f"one. Look among the latest Requests of process {this.process_id}, "
        f"requests(pmql='process_id = {this.process_id}'), before starting again; give the next start an "
        "idempotency_key, and it is looked for."
    )


def _unless_failed(request: Request) -> Request:
    if request.status == "ERROR":
        raise request_failed(request)
    return request


def _key_of(request: Request) -> str | None:
    summary = request.raw.get("summary")
    for item in summary if isinstance(summary, list) else ():
        if isinstance(item, dict) and item.get("key") == IDEMPOTENCY_KEY:
            return str(item.get("value"))
    return None
