"""The Request of a key: one that is there, one that another caller may be making, or that of a lost answer."""

from __future__ import annotations

import warnings
from datetime import timedelta
from math import ceil

from attrs import evolve

from ..data import callers_level
from ..errors import (
    ConfigurationError,
    Forbidden,
    IdempotencyKeyReused,
    NotFound,
    ProcessMakerError,
    StartOutcomeUnknown,
    sentence,
)
from ..follow.reading import bad_end, fetch
from ..journal import Entry
from ..journal.protocol import RESERVATION
from ..log import log, of_request
from ..models import Request
from .lookup import choose, find_all
from .state import ENDED_BADLY, Start, Starts

FIRST_POLL, LONGEST_POLL = 0.05, 1.0
"""Seconds between two looks into the journal, which cost less than looks at the server."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 4.0
"""Seconds between two looks at the server; each pause is twice the one before. A start takes 0.15 s (4.15.5)."""

MADE_LATELY = timedelta(minutes=10)
"""The age up to which a Request may be that of a start without a key. The server's clock is not this machine's."""


class KeyReusedWarning(UserWarning):
    """A start found the Request of its key, and that one was started with other data. This data was not sent."""


class KeyInProgress(Exception):
    """Another caller holds the key, so nothing was sent. `entry` is what the journal says."""

    def __init__(self, entry: Entry) -> None:
        super().__init__(entry)
        self.entry = entry


async def read_existing(starts: Starts, this: Start, entry: Entry) -> Request:
    """Return the Request of a key that this start does not hold, read with the token of this caller.

    Args:
        starts: the starts of the client.
        this: the start, after its look for the key.
        entry: what the journal says of the key.

    Raises:
        KeyInProgress: the key is not started yet, or its Request is not listed yet.
        Forbidden: this token may not see the Request.
        StartOutcomeUnknown: the server does not have it, or it has another key.
    """
    io, request_id, found = starts.io, entry.request_id, this.found
    if entry.state != "started" or request_id is None:
        # One that ended badly may be what the other caller replaces.
        if found is None or found.status in ENDED_BADLY:
            raise KeyInProgress(entry)
        return found
    if found is not None and found.id == request_id:
        return found
    deadline, pause = io.clock.monotonic() + this.look_again_for, FIRST_PAUSE
    while True:
        try:
            request = await fetch(io, request_id, ("summary",), within=this.seconds_left(starts))
            break
        except Forbidden as error:
            words = f'the key "{this.key}" was started as Request {request_id}, which this token may not see'
            error.args = (f"{words} ({error.args[0]}). If several users may use one key, put the user into the key.",)
            raise
        except NotFound as error:  # a replica may lag behind
            if io.clock.monotonic() >= deadline:
                raise explain_unknown(starts, this, error) from error
        await io.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
    if request.idempotency_key != this.key and entry.uuid != request.uuid:
        words = f"the journal names Request {request_id}, which has another key; was the server's database replaced?"
        raise explain_unknown(starts, this, ConfigurationError(words))
    fingerprint = request.idempotency_fingerprint or entry.fingerprint
    return evolve(request, created=False, idempotency_key=this.key, idempotency_fingerprint=fingerprint)


async def wait_for_change(starts: Starts, this: Start, entry: Entry, seconds: float) -> None:
    """Wait until the journal says something else of the key, or the key may be taken over; at most that long.

    Raises:
        TimedOut: the time for the whole start is over.
    """
    clock = starts.io.clock
    until, poll = clock.monotonic() + min(seconds, is_over_in(starts, entry)), FIRST_POLL
    while (left := until - clock.monotonic()) > 0:
        this.seconds_left(starts)
        await starts.io.sleep(min(poll, left))
        poll = min(2 * poll, LONGEST_POLL)
        current: Entry | None = await starts.step("read", this.keyed(starts))
        if current is None or (current.state, current.owner) != (entry.state, entry.owner):
            return


def is_over_in(starts: Starts, entry: Entry) -> float:
    """Return the seconds until another caller may take the key over."""
    over = RESERVATION if entry.state == "reserved" else starts.journal.lease
    return max(over - entry.age, 0.0) + 0.01  # the journal wants more than those seconds


def longest_wait(starts: Starts) -> float:
    """Return the seconds after which a start gives up whose key other callers hold again and again."""
    return max(starts.journal.lease, RESERVATION) + LONGEST_PAUSE


def check_fingerprint(this: Start, request: Request) -> None:
    """Refuse a Request that was started with other data.

    Raises:
        IdempotencyKeyReused: it was, and `on_reused_key` is "error".
    """
    other = request.idempotency_fingerprint
    ended = request.status in ENDED_BADLY  # that is the error to raise, whatever its data
    if other not in (None, this.fingerprint) and not ended and this.policy.on_reused_key != "ignore":
        words = (
            f'Request {request.id} was started with the key "{this.key}" and other data than this start has. This data '
            "was not sent. Another order needs another key"
        )
        if this.policy.on_reused_key == "error":
            raise IdempotencyKeyReused(
                words,
                hint="A field that changes at each try, such as a time, belongs into fingerprint_without. If the data "
                'does not matter, use on_reused_key="ignore".',
                existing=request,
                idempotency_key=this.key,
                started=False,
            )
        warnings.warn(f"{words}.", KeyReusedWarning, stacklevel=callers_level())


def raise_if_ended(request: Request) -> Request:
    """Return the Request if it is a start; one that failed or was canceled is none, whoever made it.

    Raises:
        RequestFailed, RequestCanceled: with the Request.
    """
    error = bad_end(request)
    if error is None:
        return request
    error.started = True
    if request.created is False:
        error.args = (f"{sentence(error.args[0])} It was there before, with this key.",)
        error.hint = "again=True starts a new one on purpose."
    raise error


# --- after a lost answer ----------------------------------------------------------------------------------------------


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
    """Return whether a Request whose id came in what arrived of an answer is of this start."""
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


# --- what is not known ------------------------------------------------------------------------------------------------


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


def explain_waiting(
    starts: Starts, this: Start, entry: Entry, why: str = "another caller is starting it, or its outcome is not known"
) -> StartOutcomeUnknown:
    """Return the error for a start that waited for another caller, and sent nothing."""
    words = ProcessMakerError(f'the key "{this.key}" is held by {entry.owner}: {why}', processed=False)
    return explain_unknown(starts, this, words, retry_after=is_over_in(starts, entry))
