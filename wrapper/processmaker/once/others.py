"""The Request of another caller who holds, or held, the key of a start."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import chain

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
from ..follow.reading import fetch, request_canceled, request_failed
from ..journal import Entry
from ..journal.protocol import RESERVATION
from ..log import log
from ..models import Request
from ..wire.call import AsyncIO
from .lookup import choose, find_all
from .lost import FIRST_PAUSE, LONGEST_PAUSE, explain_unknown
from .state import ENDED_BADLY, Start, Starts

FIRST_POLL, LONGEST_POLL = 0.05, 1.0
"""Seconds between two looks into the journal, which cost less than looks at the server."""


class KeyReusedWarning(UserWarning):
    """A start found the Request of its key, and that one was started with other data. This data was not sent."""


class KeyInProgress(Exception):
    """Another caller holds the key, so nothing was sent. `entry` is what the journal says."""

    def __init__(self, entry: Entry) -> None:
        super().__init__(entry)
        self.entry = entry


async def read_recorded(starts: Starts, this: Start) -> Request:
    """Return the Request as which the journal says that the key was started, read with the token of this caller.

    Raises:
        KeyInProgress: the key is not started yet.
        Forbidden: this token may not see the Request.
        StartOutcomeUnknown: the server does not have it, or it has another key.
    """
    entry = this.entry
    if entry is None or entry.state != "started" or entry.request_id is None:
        raise KeyInProgress(entry)  # type: ignore[arg-type]
    io, request_id = starts.io, entry.request_id
    if this.recorded is not None and this.recorded.id == request_id:
        return this.recorded
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
                raise explain_unknown(this, error, sent=False) from error
        await io.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
    same = entry.uuid is not None and entry.uuid == request.uuid
    if not same and request.idempotency_key != this.key:
        words = (
            f'the journal says that the key "{this.key}" was started as Request {request_id}, and that one has another '
            "key; was the database of the server replaced?"
        )
        raise explain_unknown(this, ConfigurationError(words), sent=False)
    fingerprint = request.idempotency_fingerprint or entry.fingerprint
    return evolve(request, created=False, idempotency_key=this.key, idempotency_fingerprint=fingerprint)


async def read_all_recorded(starts: Starts, block: Sequence[Start]) -> None:
    """Read the Requests that the journal names for a block of starts, with one call for all."""
    named = {this.entry.request_id: this for this in block if this.entry and not this.entry.mine}
    ids = [request_id for request_id in named if request_id is not None]
    if not ids:
        return
    keys = [str(named[request_id].key) for request_id in ids]
    rows = await find_all(starts, block[0].process_id, keys, newer_than=min(ids) - 1, once=True)
    for request in chain.from_iterable(rows.values()):
        if this := named.get(request.id):
            this.recorded = request


async def wait_for_other(starts: Starts, this: Start, entry: Entry, began: float) -> Request | None:
    """Wait for the caller who holds the key.

    Returns:
        The Request, if a look at the server found it. None if another attempt makes sense: the journal says something
        else now, or the key may be taken over.

    Raises:
        StartOutcomeUnknown: the wait is over, and nothing is known.
        TimedOut: the time for the whole start is over.
    """
    io = starts.io
    same_thread = entry.owner.rpartition(":")[0] == this.owner.rpartition(":")[0]
    if same_thread and entry.state != "unknown" and not isinstance(io, AsyncIO):
        # In a signal handler, a finalizer, or the thread of an event loop: the other start cannot go on meanwhile.
        raise explain_waiting(starts, this, entry, "this thread itself is starting it")
    longest = this.look_again_for if entry.state == "unknown" else starts.journal.lease + LONGEST_PAUSE
    poll, next_look, between_looks = FIRST_POLL, io.clock.monotonic() + FIRST_PAUSE, 2 * FIRST_PAUSE
    while True:
        now = io.clock.monotonic()
        if entry.state in ("sending", "unknown") and now >= next_look:
            next_look, between_looks = now + between_looks, min(2 * between_looks, LONGEST_PAUSE)
            if found := await look_for_other(starts, this):
                return found
        if now - began > longest:
            raise explain_waiting(starts, this, entry, "another caller is starting it, or its outcome is not known")
        this.seconds_left(starts)
        await io.sleep(poll)
        poll = min(2 * poll, LONGEST_POLL)
        current: Entry | None = await starts.step("read", this.keyed(starts))
        if current is None or (current.state, current.owner) != (entry.state, entry.owner):
            return None
        if not is_over_in(starts, current):
            return None


def is_over_in(starts: Starts, entry: Entry) -> float:
    """Return the seconds until another caller may take the key over, 0 if that is so now."""
    return max((RESERVATION if entry.state == "reserved" else starts.journal.lease) - entry.age, 0.0)


async def look_for_other(starts: Starts, this: Start) -> Request | None:
    """Look for the Request that another caller may have made."""
    try:
        rows = await find_all(
            starts, this.process_id, [str(this.key)], newer_than=this.newer_than, within=this.seconds_left(starts)
        )
    except ProcessMakerError as error:
        if not error.transient:
            raise
        log.warning("%s That was a look for the start of another caller.", sentence(error))
        return None
    found = choose(rows.get(str(this.key), ()))
    # One that ended badly may be what the other caller replaces.
    return None if found is None or found.status in ENDED_BADLY else found


def check_fingerprint(this: Start, request: Request) -> Request:
    """Return the Request that is there, unless it was started with other data.

    Raises:
        IdempotencyKeyReused: it was, and `on_reused_key` is "error".
    """
    other = request.idempotency_fingerprint
    ended = request.status in ENDED_BADLY  # that is the error to raise, whatever its data
    if other not in (None, this.fingerprint) and not ended and this.on_reused_key != "ignore":
        words = (
            f'Request {request.id} was started with the key "{this.key}" and other data than this start has. This data '
            "was not sent. Another order needs another key"
        )
        if this.on_reused_key == "error":
            raise IdempotencyKeyReused(
                words,
                hint="A field that changes at each try, such as a time, belongs into fingerprint_without. If the data "
                'does not matter, use on_reused_key="ignore".',
                existing=request,
                idempotency_key=this.key,
                started=False,
            )
        warnings.warn(f"{words}.", KeyReusedWarning, stacklevel=callers_level())
    return evolve(request, idempotency_key=this.key)


def raise_if_ended(request: Request) -> Request:
    """Return the Request if it is a start; one that failed or was canceled is none, whoever made it.

    Raises:
        RequestFailed, RequestCanceled: with the Request.
    """
    if request.status not in ENDED_BADLY:
        return request
    error: ProcessMakerError = request_failed(request) if request.status == "ERROR" else request_canceled(request)
    error.started = True
    if request.created is False:
        error.args = (f"{sentence(error.args[0])} It was there before, with this key.",)
        error.hint = "again=True starts a new one on purpose."
    raise error


def explain_waiting(starts: Starts, this: Start, entry: Entry, why: str) -> StartOutcomeUnknown:
    """Return the error for a start that waited for another caller, and sent nothing."""
    words = ProcessMakerError(f'the key "{this.key}" is held by {entry.owner}: {why}', processed=False)
    return explain_unknown(this, words, retry_after=is_over_in(starts, entry), sent=False)
