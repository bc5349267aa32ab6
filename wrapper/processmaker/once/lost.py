"""What became of a start whose answer was lost."""

from __future__ import annotations

from datetime import timedelta
from math import ceil

from attrs import evolve

from ..errors import Forbidden, NotFound, ProcessMakerError, StartOutcomeUnknown, sentence
from ..follow.reading import fetch
from ..log import log, of_request
from ..models import Request
from .lookup import choose, find_all
from .state import Start, Starts

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 4.0
"""Seconds between two looks at the server; each pause is twice the one before. A start takes 0.15 s (4.15.5)."""

MADE_LATELY = timedelta(minutes=10)
"""The age up to which a Request may be that of a start without a key. The server's clock is not this machine's."""


async def resolve_lost(starts: Starts, this: Start, wire_error: ProcessMakerError) -> Request:
    """Return the Request that a start made whose answer was lost. Never send the start again.

    `created` is True if the answer named the Request, and None if it was found by its key: then another caller may
    have made it.

    Raises:
        StartOutcomeUnknown: it was not found.
    """
    request_id = getattr(wire_error, "request_id", None)
    look_error: ProcessMakerError | None = None
    if request_id is not None:
        try:
            named = await fetch(starts.io, request_id, ("summary",) if this.key is not None else ())
            if is_of(starts, named, this):
                return evolve(named, created=True)
            request_id = None
        except (NotFound, Forbidden) as error:
            request_id, look_error = None, error
        except ProcessMakerError as error:
            look_error = error
    if request_id is None and this.key is not None:
        found, look_error = await look_again(starts, this)
        if found:
            return evolve(found, created=None)
    if request_id is not None and this.holds_key:
        await starts.try_step("started", this.keyed(starts), this.owner, request_id, fingerprint=this.fingerprint)
        this.entry = None
    raise explain_unknown(starts, this, wire_error, request_id=request_id, look_error=look_error) from wire_error


def is_of(starts: Starts, request: Request, this: Start) -> bool:
    """Whether a Request whose id came in what arrived of an answer is of this start."""
    if request.process_id not in (None, this.process_id) or request.id <= this.newer_than:
        return False
    if this.key is not None and request.idempotency_key is not None:
        return request.idempotency_key == this.key and request.idempotency_fingerprint in (None, this.fingerprint)
    return request.created_at is None or starts.io.clock.now() - request.created_at < MADE_LATELY


async def look_again(starts: Starts, this: Start) -> tuple[Request | None, ProcessMakerError | None]:
    """Look for the key until its Request is found or the time is over: the server may still be at work.

    Returns:
        The Request, or None; and why the last look failed, if it did.
    """
    io, key = starts.io, str(this.key)
    deadline, pause = io.clock.monotonic() + this.look_again_for, FIRST_PAUSE
    if this.deadline is not None:
        deadline = min(deadline, this.deadline)
    while True:
        failed, within = None, deadline - io.clock.monotonic()
        try:
            rows = await find_all(starts, this.process_id, [key], newer_than=this.newer_than, within=within)
            # A Request with another fingerprint is another caller's, and says nothing about this start.
            own = [row for row in rows.get(key, ()) if row.idempotency_fingerprint in (None, this.fingerprint)]
            if found := choose(own):
                log.info("The lost start was found: it is Request %d.", found.id, extra=of_request(found.id))
                return found, None
        except ProcessMakerError as error:
            failed = error
            log.warning("%s That was a look for a lost start.", sentence(error))
        left = deadline - io.clock.monotonic()
        if left <= 0 or (failed and not failed.transient):
            return None, failed
        await io.sleep(min(pause, left))
        pause = min(2 * pause, LONGEST_PAUSE)


def explain_unknown(
    starts: Starts,
    this: Start,
    cause: Exception,
    *,
    request_id: int | None = None,
    request: Request | None = None,
    look_error: ProcessMakerError | None = None,
    retry_after: float | None = None,
) -> StartOutcomeUnknown:
    """Return the error for a start of which it is not known whether its Request exists.

    Args:
        starts: the starts of the client.
        this: the start.
        cause: what went wrong.
        request_id, request: the Request, as far as it is known: then it exists.
        look_error: why the last look failed.
        retry_after: seconds for which the server may still be at work on the start of another caller.
    """
    request_id = request.id if request else request_id
    exists = None if request_id is None else True
    if this.key is not None and this.sent_at is not None and not exists:
        retry_after = max(this.sent_at + starts.journal.lease - starts.io.clock.monotonic(), 0.0)
    if exists:
        fact, hint = f"The Request was started, as {request_id}.", f"Read it: get({request_id})."
    elif this.key is not None:
        fact = f'Whether the Request was started is not known: none with the idempotency key "{this.key}" was found.'
        later = f" after {ceil(retry_after)} s: until then the server may be at work on it" if retry_after else ""
        hint = f"Start again with the same key{later}. It is looked for first, and only started if it is not there."
    else:
        fact = "Whether the Request was started is not known. It was not sent again, as that could make a second one."
        hint = f"Look among the latest Requests, requests(process={this.process_id}), before you start again. Give "
        hint += "the next start an idempotency_key, and it is looked for."
    if look_error:
        fact += f" The last look for it failed: {sentence(look_error.message)}"
    said = cause.message if isinstance(cause, ProcessMakerError) else str(cause)
    return StartOutcomeUnknown(
        f"{sentence(said or type(cause).__name__)} {fact}",
        hint=hint,
        processed=False if this.sent_at is None else exists,
        started=exists,
        process_id=this.process_id,
        event=this.event,
        idempotency_key=this.key,
        request_id=request_id,
        request=request,
        wire_error=cause,
        look_error=look_error,
        retry_after=retry_after,
    )
