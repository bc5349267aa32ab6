"""Starting a Request once: send it, and find out what became of it where the answer got lost."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from math import ceil
from time import monotonic
from typing import TYPE_CHECKING, Any

from attrs import define, evolve
from processmaker_api.api.processes import trigger_start_event
from processmaker_api.models.trigger_start_event_body import TriggerStartEventBody

from ..data import OnAlteredData, check_data, check_key, check_key_lifetime, report_alterations, with_key
from ..errors import (
    CannotStart,
    ConfigurationError,
    Forbidden,
    InvalidData,
    NotFound,
    ProcessMakerError,
    StartOutcomeUnknown,
    sentence,
)
from ..follow.reading import check_seconds, fetch, request_canceled, request_failed
from ..log import about, log, of_request
from ..models import Request, request_from
from ..processes import AnyEvent, AnyProcess, Catalog
from ..wire.call import IO
from ..wire.retry import Gate, retrying
from .lookup import NOT_STARTED, find, key_of
from .reuse import compare, report_other_data
from .turns import LONGEST_TURN, SETTLED_AFTER, Sent, end, recently_sent, settles_in, take

if TYPE_CHECKING:
    from .claim import Claim

LOOK_AGAIN_FOR = 15.0
"""Seconds for which a lost start is looked for by its idempotency key."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 4.0
"""Seconds between two looks; each pause is twice the one before. A start takes about 0.15 s (4.15.5)."""


CLOCKS_DIFFER_BY = timedelta(minutes=5)
"""How much older than its start a Request may seem: the server's clock is not this machine's."""


@define(kw_only=True)
class Start:
    """One start as it goes on the wire.

    `found` is what a look for many keys at once has found just now; with `known` the journal says the same. `gate`
    holds back the starts of a whole run. Where another caller is sending the key, it `waits`, or raises `BeingSent`.
    `ended` is the id of the newest Request with its key that had failed before: what this start makes is newer.
    `sent_at` is when it was sent, by the clock; None where it was not, or certainly did nothing.
    """

    process_id: int
    event: str
    body: dict[str, Any]
    key: str | None
    look_again_for: float
    again: bool
    found: Request | None = None
    known: bool = False
    gate: Gate | None = None
    waits: bool = True
    claim: Claim | None = None
    ended: int = 0
    sent_at: float | None = None


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
    again: bool,
    on_altered_data: OnAlteredData,
) -> Request:
    check_seconds("look_again_for", look_again_for)
    if idempotency_key is None and (again or not look_first):
        what = "again=True" if again else "look_first=False"
        raise InvalidData(f"{what} is about what was started with a key; give an idempotency_key too")
    if again and not look_first:
        raise InvalidData("again=True looks at what was started before; leave look_first=False out")
    body = check_data(data)
    report_alterations(body, on_altered_data)
    if idempotency_key is not None:
        body = with_key(body, check_key(idempotency_key))
    process_id, event_id = await catalog.resolve(process, event)
    this = Start(
        process_id=process_id,
        event=event_id,
        body=body,
        key=idempotency_key,
        look_again_for=look_again_for,
        again=again,
    )
    return await start_as(io, catalog, process, event, this, look_first=look_first)


async def start_as(
    io: IO, catalog: Catalog, process: AnyProcess, event: AnyEvent, this: Start, *, look_first: bool
) -> Request:
    """Starts what is ready to be sent; by other ids where the server refuses these and a fresh listing has others."""
    try:
        return await _start_once(io, this, look_first)
    except (Forbidden, NotFound) as error:
        if error.response.request.method != "POST":
            raise  # it was a look
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


async def find_by_key(
    io: IO, catalog: Catalog, process: AnyProcess, key: str, lifetime: timedelta | None
) -> Request | None:
    check_key_lifetime(lifetime)
    return await find(io, await catalog.process_id(process), check_key(key), lifetime=lifetime)


async def _start_once(io: IO, this: Start, look_first: bool) -> Request:
    token = about.set(this)
    try:
        if this.key is None:
            request = await _known(io, this, look_first=False)
        else:
            request = await _in_turn(io, this, this.key, look_first)
        how = "started" if request.created else "found"
        how += "" if this.key is None else f' with the key "{this.key}"'
        log.info("Request %d of process %d was %s.", request.id, this.process_id, how, extra=of_request(request.id))
    finally:
        about.reset(token)
    return _unless_failed(request if this.key is None else evolve(request, idempotency_key=this.key))


async def _in_turn(io: IO, this: Start, key: str, look_first: bool) -> Request:
    """The same, one start with this key at a time within this process. Whoever comes second gets the first's Request,

    and looks for itself, whatever `look_first` says, where the first one did not come to one.
    """
    place = (io.server, this.process_id, key)
    deadline = monotonic() + LONGEST_TURN
    while True:
        turn, own = take(place, this.body)
        if own:
            break
        if not await io.over(turn, deadline - monotonic()):
            return await _beside(io, this, key)
        first = turn.result()
        if first and not (this.again and first.status in NOT_STARTED):
            compare(key, first, turn.body, this.body)
            return evolve(first, created=False)
        look_first = True
    request = None
    try:
        if io.journal is not None and not this.known:
            from .claim import Claim

            this.claim = Claim(io, this.process_id, key)
        before = recently_sent(place)
        lost = before is not None and before.request_id is None
        request = await _known(io, this, look_first=look_first or lost)
        return request
    finally:
        end(turn, request, _sent_in(io, this, request))


def _sent_in(io: IO, this: Start, request: Request | None) -> Sent | None:
    """The start that was sent, for the next one with its key; None where none was, or it certainly did nothing."""
    if this.sent_at is None or (request and request.created is False):
        return None
    return Sent(io.clock, this.sent_at, request.id if request else None)


async def _beside(io: IO, this: Start, key: str) -> Request:
    """The Request that another call of this process is starting, and that cannot be waited for any longer."""
    found, look_error = await _look_again(io, this, key, this.look_again_for)
    if found:
        return evolve(found, created=False)
    wait = ConfigurationError(
        f'another call of this process is starting the key "{key}", and either takes more than {LONGEST_TURN:g} s over '
        "it, or is a task of the event loop that this blocking call holds up: await it there, or block in a thread"
    )
    raise unknown(this, wait, look_error=look_error, retry_after=SETTLED_AFTER) from wait


async def _known(io: IO, this: Start, *, look_first: bool) -> Request:
    """What there is after a start, found out where its answer got lost."""
    began = io.clock.now()
    try:
        try:
            request = await _sent(io, this, look_first)
        except ProcessMakerError as error:
            if error.processed is not None:
                raise
            log.warning("%s Whether the Request was started is not known yet.", sentence(error))
            request = await _what_became_of(io, this, error, began)
    except BaseException as error:
        claim = None if isinstance(error, GeneratorExit) else this.claim  # a coroutine that is closed awaits no more
        if claim and (request_id := _request_id_of(error)) is not None:
            await claim.started(request_id)
        elif claim and this.sent_at is None:
            await claim.release()
        if not isinstance(error, Exception) and this.sent_at is not None:  # a task that is cancelled, Ctrl-C
            with_key = "" if this.key is None else f' with key "{this.key}"'
            log.warning(
                "A start of process %d%s was broken off: whether the Request was started is not known.",
                this.process_id,
                with_key,
            )
        raise
    if this.claim:
        await this.claim.started(request.id)
    return request


async def _sent(io: IO, this: Start, look_first: bool) -> Request:
    """The Request that is there, or that the start made; with a key, none is sent again without a look before it.

    Each attempt is a claim in the journal, where there is one, a look and a start. It is made again where one of the
    first two failed, or the start certainly did nothing.
    """
    look = look_first

    async def attempt() -> Request:
        nonlocal look
        while True:
            if this.claim and this.key is not None and this.found is None:
                there, taken_over = await _claimed(io, this, this.claim, this.key)
                if there:
                    return await _told(io, this, this.key, there)
                look = look or taken_over
            if look and this.key is not None and (found := this.found or await _look_before(io, this, this.key)):
                return await _told(io, this, this.key, found)
            if this.gate:
                await this.gate.passed()
            if this.claim is None or await this.claim.holds():
                break
        look = True
        return await _send(io, this)

    return await retrying(io, io.retries, attempt, pause=this.gate.pause if this.gate else None)


async def _told(io: IO, this: Start, key: str, found: Request) -> Request:
    """The Request that is there already, after a word where it was started with other data."""
    if found.status not in NOT_STARTED:
        await report_other_data(io, key, this.body, found)
    return found


async def _claimed(io: IO, this: Start, claim: Claim, key: str) -> tuple[Request | None, bool]:
    """What the journal, or the server, has of a key that others may be sending; see `Claim.settled`."""

    async def look() -> Request | None:
        try:
            return await find(io, this.process_id, key, newer_than=this.ended, once=True)
        except ProcessMakerError as error:
            if not error.transient:
                raise
            log.warning('%s That was a look for the start with key "%s".', sentence(error), key)
            return None

    async def read(request_id: int) -> Request:
        request = await fetch(io, request_id, ("summary",))
        with suppress(ValueError):
            if key_of(request) != key:
                raise LookupError
        return evolve(request, created=False)

    def renounced(request: Request) -> bool:
        if not this.again or request.status not in NOT_STARTED:
            return False
        this.ended = max(this.ended, request.id)
        return True

    return await claim.settled(look, read, renounced, waits=this.waits)


async def _look_before(io: IO, this: Start, key: str) -> Request | None:
    """The Request that stands in the way of a start with that key."""
    try:
        found = await find(io, this.process_id, key, once=True)
        if found and this.again and found.status in NOT_STARTED:
            this.ended, found = found.id, None
        if found is None and (sent := recently_sent((io.server, this.process_id, key))):
            found = await _not_listed_yet(io, this, key, sent)
    except ProcessMakerError as error:
        error.args = (
            f"{sentence(error.args[0])} That was the look for the key before the start: nothing was started.",
        )
        raise
    return found


async def _not_listed_yet(io: IO, this: Start, key: str, sent: Sent) -> Request | None:
    """The Request of a start sent a moment ago from this process, which a look does not show, or not yet."""
    if sent.request_id is None:
        words = 'The start with key "%s" may still show up: it is looked for up to %.0f s.'
        log.info(words, key, sent.settles_in, extra={"waits": True})  # which the command line tells
        found, failed = await _look_again(io, this, key, sent.settles_in)
        if failed:
            raise failed
        return found
    with suppress(NotFound, Forbidden, ValueError):
        found = await fetch(io, sent.request_id, ("summary",))
        if found.id > this.ended and key_of(found) == key:
            return evolve(found, created=False)
    return None


async def _send(io: IO, this: Start) -> Request:
    """POST /process_events/{id}, once."""

    def read(answer: object) -> Request:
        request = request_from(answer, io.site, created=True)
        if request.process_id not in (None, this.process_id):
            raise ValueError(f"the answer to the start of another process, {request.process_id}")
        return request

    def leaves() -> None:
        this.sent_at = io.clock.monotonic()  # from here on the Request may exist

    try:
        request = trigger_start_event.build_request(
            process_id=this.process_id, event=this.event, body=TriggerStartEventBody.from_dict(this.body)
        )
        return await io.call(request, read, once=True, leaves=leaves)
    except ProcessMakerError as error:
        if error.processed is False:
            this.sent_at = None
        if this.gate and error.retry_after is not None:
            this.gate.shut(error.retry_after)
        raise


async def _what_became_of(io: IO, this: Start, wire_error: ProcessMakerError, began: datetime) -> Request:
    """The Request that a start made whose answer got lost. Never sends the start again.

    `created` is True where its id came in the answer. Where it was found by its key, another caller may have made it.

    Raises:
        StartOutcomeUnknown: it was not found.
    """
    request_id = _request_id_of(wire_error)
    look_error: ProcessMakerError | None = None
    if request_id is not None:
        try:
            found = await fetch(io, request_id, () if this.key is None else ("summary",))
        except (NotFound, Forbidden) as error:
            request_id, look_error = None, error
        except ProcessMakerError as error:
            look_error = error
        else:
            if _is_of(found, this, began):
                return evolve(found, created=True)
            request_id = None
    if request_id is None and this.key is not None:
        lost, look_error = await _look_again(io, this, this.key, this.look_again_for)
        if lost:
            return evolve(lost, created=None)
    settled_in = None if this.key is None or this.sent_at is None else settles_in(io.clock, this.sent_at)
    raise unknown(this, wire_error, request_id, look_error, settled_in) from wire_error


def unknown(
    this: Start,
    wire_error: ProcessMakerError,
    request_id: int | None = None,
    look_error: ProcessMakerError | None = None,
    retry_after: float | None = None,
) -> StartOutcomeUnknown:
    """The error for a start of which it is not known what became of it."""
    failed_look = f" The last look for it failed: {sentence(look_error)}" if look_error else ""
    return StartOutcomeUnknown(
        f"{sentence(wire_error)} {_next_step(this, request_id, retry_after)}{failed_look}",
        processed=None if request_id is None else True,
        process_id=this.process_id,
        event=this.event,
        idempotency_key=this.key,
        request_id=request_id,
        wire_error=wire_error,
        look_error=look_error,
        retry_after=retry_after,
    )


def _request_id_of(error: BaseException) -> int | None:
    """The id of the Request that was started, where that much of the answer arrived."""
    return getattr(error, "request_id", None)


def _is_of(request: Request, this: Start, began: datetime) -> bool:
    """Whether a Request whose id came in what arrived of an answer is of that start, and not of another one."""
    if request.process_id not in (None, this.process_id) or request.id <= this.ended:
        return False
    if this.key is not None:
        with suppress(ValueError):
            return key_of(request) == this.key
    return request.created_at is None or request.created_at > began - CLOCKS_DIFFER_BY


async def _look_again(io: IO, this: Start, key: str, seconds: float) -> tuple[Request | None, ProcessMakerError | None]:
    """Looks for the key until it is found or the time is over: the server may still be working.

    Returns:
        The Request, or None; and why the last look failed, where it did.
    """
    deadline, pause = io.clock.monotonic() + seconds, FIRST_PAUSE
    while True:
        failed, within = None, deadline - io.clock.monotonic()
        try:
            if found := await find(io, this.process_id, key, newer_than=this.ended, within=within):
                log.info(
                    'The start with key "%s" was found: it is Request %d.', key, found.id, extra=of_request(found.id)
                )
                return found, None
        except ProcessMakerError as error:
            failed = error
            log.warning('%s That was a look for the start with key "%s".', sentence(error), key)
        left = deadline - io.clock.monotonic()
        if left <= 0 or (failed and not failed.transient):
            return None, failed
        await io.sleep(min(pause, left))
        pause = min(2 * pause, LONGEST_PAUSE)


def _next_step(this: Start, request_id: int | None, retry_after: float | None) -> str:
    if request_id is not None:
        return f"The Request was started, as {request_id}; its state could not be read. Read it: get({request_id})."
    if this.key is not None:
        later = f" (after {ceil(retry_after)} s: until then the server may be at work on it)" if retry_after else ""
        return (
            f'Whether the Request was started is not known: none with the idempotency key "{this.key}" was found. '
            f"Start again later with the same key{later}: it is looked for first, and only started if it is not there."
        )
    return (
        "Whether the Request was started is not known, and the start was not sent again, as that could make a second "
        f"one. Look among the latest Requests of process {this.process_id}, "
        f"requests(pmql='process_id = {this.process_id}'), before starting again; give the next start an "
        "idempotency_key, and it is looked for."
    )


def _unless_failed(request: Request) -> Request:
    """The Request, if it is a start; one that failed or was canceled is none, whoever made it."""
    if request.status not in NOT_STARTED:
        return request
    error: ProcessMakerError = request_failed(request) if request.status == "ERROR" else request_canceled(request)
    if request.created is False:
        was_there = "It was there before, with this key; again=True starts a new one on purpose."
        error.args = (f"{sentence(error)} {was_there}",)
    raise error
