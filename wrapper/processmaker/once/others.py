"""The Request that a key has already, and the other caller who holds a key."""

from __future__ import annotations

import warnings

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
from ..models import Request
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
    same = entry.uuid is not None and entry.uuid == request.uuid
    if not same and request.idempotency_key != this.key:
        words = (
            f'the journal says that the key "{this.key}" was started as Request {request_id}, and that one has another '
            "key; was the database of the server replaced?"
        )
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


def explain_waiting(
    starts: Starts, this: Start, entry: Entry, why: str = "another caller is starting it, or its outcome is not known"
) -> StartOutcomeUnknown:
    """Return the error for a start that waited for another caller, and sent nothing."""
    words = ProcessMakerError(f'the key "{this.key}" is held by {entry.owner}: {why}', processed=False)
    return explain_unknown(starts, this, words, retry_after=is_over_in(starts, entry))
