"""The algorithm that starts a Request once: reserve, look, send, record. The rules are in the docstring of the room."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve
from processmaker_api.api.processes import trigger_start_event
from processmaker_api.models import TriggerStartEventBody

from ..data import OnAlteredData, check_data, report_alterations
from ..errors import (
    CannotStart,
    ConfigurationError,
    Forbidden,
    InvalidData,
    NotFound,
    ProcessMakerError,
    UnreadableResponse,
    sentence,
)
from ..follow.reading import check_seconds, fetch
from ..journal.protocol import new_owner
from ..log import about, log, of_request
from ..models import Request, request_from
from ..processes import AnyEvent, AnyProcess, Catalog
from ..wire.retry import Retries, retrying
from .key import check_fingerprint_without, check_key
from .lookup import choose, find_all
from .lost import explain_unknown, resolve_lost
from .others import KeyInProgress, check_fingerprint, raise_if_ended, read_all_recorded, read_recorded, wait_for_other
from .state import ENDED_BADLY, OnReusedKey, Start, Starts

LOOK_IS_FRESH_FOR = 2.0
"""Seconds for which a look counts, if callers of other processes do not share the journal."""

STEP_PART = 0.25
"""The part of the lease that the step to "sending" may take; after that it is taken again."""


class ReservationLost(Exception):
    """The reservation ended before the first byte left, so another caller may hold the key. Nothing was sent."""


async def start(
    starts: Starts,
    catalog: Catalog,
    process: AnyProcess,
    data: object,
    *,
    event: AnyEvent,
    idempotency_key: str | None,
    look_again_for: float,
    again: bool,
    timeout: float | None,
    on_altered_data: OnAlteredData,
    on_reused_key: OnReusedKey,
    fingerprint_without: Sequence[str],
) -> Request:
    """Check the arguments of `ProcessMaker.start`, and start."""
    if again and idempotency_key is None:
        raise InvalidData("again=True is about what was started with a key; give an idempotency_key, too")
    checked = check_data(data)
    report_alterations(checked, on_altered_data)
    key = None if idempotency_key is None else check_key(idempotency_key)
    check_seconds("look_again_for", look_again_for)
    deadline = None
    if timeout is not None:
        check_seconds("timeout", timeout)
        deadline = starts.io.clock.monotonic() + timeout
    process_id, event_id = await catalog.resolve(process, event)
    this = Start(
        process_id=process_id,
        event=event_id,
        data=checked,
        key=key,
        look_again_for=look_again_for,
        again=again,
        on_reused_key=check_on_reused_key(on_reused_key),
        fingerprint_without=check_fingerprint_without(fingerprint_without),
        deadline=deadline,
    )
    try:
        return await start_and_resolve(starts, this)
    except (Forbidden, NotFound) as error:
        ids = await correct_ids(catalog, process, event, this, error)
    return await start_and_resolve(starts, this.with_ids(*ids))


async def correct_ids(
    catalog: Catalog, process: AnyProcess, event: AnyEvent, this: Start, error: Forbidden | NotFound
) -> tuple[int, str]:
    """Return other ids for a start that the server refused, if a fresh listing has others.

    The server does not say which of the two is wrong, the process or the start event (observed on 4.15.5).

    Raises:
        Forbidden, NotFound: `error` itself, with its likely cause, if there are no other ids.
    """
    if error.method != "POST":
        raise error  # it was a look
    try:
        ids = await catalog.resolve_again(process, event, (this.process_id, this.event))
    except CannotStart as cause:
        error.likely_cause = sentence(cause.message)
        raise error from None
    except ProcessMakerError:
        raise error from None
    if ids == (this.process_id, this.event):
        error.likely_cause = "none was found: this token may start this process with this start event."
        raise error
    return ids


def check_on_reused_key(how: object) -> OnReusedKey:
    """Return `how`.

    Raises:
        ConfigurationError: it is none of the three.
    """
    if how not in ("error", "warn", "ignore"):
        raise ConfigurationError(f'on_reused_key={how!r} is none of "error", "warn" and "ignore"')
    return how


async def start_and_resolve(starts: Starts, this: Start) -> Request:
    """Return the Request of a start; wait for another caller who holds the key.

    Raises:
        ProcessMakerError: see `ProcessMaker.start`.
    """
    began = starts.io.clock.monotonic()
    token = about.set(this)
    try:
        while True:
            try:
                return await attempt_start(starts, this)
            except KeyInProgress as other:
                entry = other.entry
            request = await wait_for_other(starts, this, entry, began)
            if request is not None:
                return raise_if_ended(check_fingerprint(this, request))
    finally:
        about.reset(token)


async def attempt_start(starts: Starts, this: Start) -> Request:
    """Return the Request of a start. Retry what certainly was not processed.

    Raises:
        KeyInProgress: another caller holds the key.
        ProcessMakerError: see `ProcessMaker.start`.
    """
    io = starts.io
    send_or_find = send if this.key is None else find_or_send
    retries: Retries | None = io.retries
    if retries and (left := this.seconds_left(starts)) is not None:
        retries = evolve(retries, total=min(retries.total, left))
    pause = this.gate.pause if this.gate else None
    token = about.set(this)
    try:
        request = await retrying(io, retries, lambda: send_or_find(starts, this), pause=pause)
        how = "started" if this.request is request else "found"
        how += "" if this.key is None else f' with the key "{this.key}"'
        log.info("Request %d of process %d was %s.", request.id, this.process_id, how, extra=of_request(request.id))
    except KeyInProgress:
        raise
    except ProcessMakerError as error:
        if isinstance(error, UnreadableResponse) and this.sent_at is None:
            raise explain_unknown(this, error, sent=False) from error  # a look: start again later
        if this.key is None and error.started is None:
            error.started = error.processed
        raise
    except Exception as problem:
        if this.sent_at is None:
            raise
        # A log handler, an auth or a callback of the caller's own: it must not hide a Request that was made.
        raise explain_unknown(this, problem, request=this.request) from problem
    finally:
        about.reset(token)
    return raise_if_ended(request)


async def find_or_send(starts: Starts, this: Start) -> Request:
    """Make one attempt: reserve the key, look for it, send the start, record what became of it.

    Raises:
        KeyInProgress: another caller holds the key.
        ProcessMakerError: with `processed` False if the start certainly was not processed.
    """
    try:
        while True:
            if this.entry is None:
                await prepare(starts, [this])
            if not this.holds_key:
                if this.found is not None and this.found.status not in ENDED_BADLY:
                    return check_fingerprint(this, this.found)
                request = await read_recorded(starts, this)
                if not (this.again and request.status in ENDED_BADLY):
                    return check_fingerprint(this, request)
                this.replaces, this.newer_than = request.id, max(this.newer_than, request.id)
                this.forget_attempt()
                continue
            if this.found is not None and not this.replaces_found:
                await record(starts, this, this.found)
                return check_fingerprint(this, this.found)
            if this.found is not None:
                this.newer_than = max(this.newer_than, this.found.id)
            if this.gate:
                await this.gate.wait_open()
            if await nothing_new(starts, this):
                try:
                    return await send(starts, this)
                except ReservationLost:
                    this.forget_attempt()
    except BaseException as error:
        absent = this.holds_key and this.looked_at is not None and (this.found is None or this.replaces_found)
        if isinstance(error, ProcessMakerError) and error.processed is False and error.started is None and absent:
            error.started = False
        if not isinstance(error, GeneratorExit):  # a coroutine that is closed can await nothing
            await give_back(starts, this)
        this.forget_attempt()
        raise


# --- reserve and look -----------------------------------------------------------------------------------------------


async def prepare(starts: Starts, block: Sequence[Start]) -> None:
    """Reserve the keys of a block of starts of one process, then look for what was reserved with one call for all."""
    for this in block:
        this.forget_attempt()
        this.owner = this.owner or new_owner()  # here, as it names the thread that starts it
    pairs = [(this.keyed(starts), this.owner) for this in block]
    replace = block[0].replaces if len(block) == 1 else None
    entries = await starts.step("reserve", pairs, replace=replace)
    for this, entry in zip(block, entries, strict=True):
        this.entry = entry
    if worth_a_look := [this for this in block if this.holds_key or this.may_be_there]:
        await look(starts, worth_a_look)
    if len(block) > 1:
        await read_all_recorded(starts, block)


async def look(starts: Starts, block: Sequence[Start]) -> None:
    """Look for the keys of a block of starts of one process, with one call."""
    for this in block:
        this.looked_at = None  # if the look fails, nothing is known
    left = block[0].seconds_left(starts) if len(block) == 1 else None
    try:
        found = await find_all(starts, block[0].process_id, [str(this.key) for this in block], within=left, once=True)
    except ProcessMakerError as error:
        error.args = (f"{sentence(error.args[0])} That was the look for the key before the start: nothing was sent.",)
        raise
    for this in block:
        this.found, this.block = choose(found.get(str(this.key), ())), block
        this.looked_at = starts.io.clock.monotonic()


async def nothing_new(starts: Starts, this: Start) -> bool:
    """Whether the last look found nothing. If it is too old, look once more for all unsent starts of the block."""
    now = starts.io.clock.monotonic()
    old = this.looked_at is None or now - this.looked_at > LOOK_IS_FRESH_FOR
    if old and not this.looked_twice and not starts.callers_share_journal:
        unsent = [other for other in this.block if other.holds_key and other.sent_at is None and other.found is None]
        await look(starts, unsent if this in unsent else [this])
        this.looked_twice = True
    return this.found is None or this.replaces_found


# --- send and record ------------------------------------------------------------------------------------------------


async def send(starts: Starts, this: Start) -> Request:
    """Send the start, once, and find out what became of it.

    Raises:
        ReservationLost: nothing was sent.
        StartOutcomeUnknown: it is not known whether the Request exists.
        ProcessMakerError: with `processed` False, the start certainly was not processed.
    """
    began = starts.io.clock.now()
    try:
        request = await post(starts, this)
    except ProcessMakerError as error:
        if error.processed is False:
            this.sent_at = None
            if this.gate and error.retry_after is not None:
                this.gate.close_for(error.retry_after)
            raise
        log.warning("%s Whether the Request was started is not known yet.", sentence(error))
        request = await resolve_lost(starts, this, error, began)
    this.request = request
    await record(starts, this, request)
    return request


async def post(starts: Starts, this: Start) -> Request:
    """POST /process_events/{id}, once.

    Raises:
        ProcessMakerError: `processed` is None if the answer is lost, or may be that of another start.
    """

    def read(answer: object) -> Request:
        request = request_from(answer, starts.io.site, created=True)
        if request.process_id not in (None, this.process_id):
            raise ValueError(f"the answer to the start of another process, {request.process_id}")
        return request if this.key is None else evolve(request, idempotency_key=this.key)

    async def write_sending() -> None:
        if this.gate:
            this.gate.check()
        began = starts.io.clock.monotonic()
        while this.key is not None:
            if not await starts.step("sending", this.keyed(starts), this.owner):
                raise ReservationLost
            began, took = starts.io.clock.monotonic(), starts.io.clock.monotonic() - began
            if took <= STEP_PART * starts.journal.lease:
                break
        this.sent_at = starts.io.clock.monotonic()

    body = TriggerStartEventBody.from_dict(this.body)
    call = trigger_start_event.build_request(this.process_id, event=this.event, body=body)
    within = this.seconds_left(starts)
    request = await starts.io.call(call, read, once=True, within=within, sending=write_sending, expected=201)
    if this.key is None:
        return request
    before = starts.remember_answer(request.id, this.process_id, this.key)
    if before not in (None, (this.process_id, this.key)) and not await has_key(starts, this, request.id):
        # A proxy that repeats an earlier answer, for example.
        raise ProcessMakerError(
            f"the answer names Request {request.id}, which an earlier answer named for another key", processed=None
        )
    return request


async def has_key(starts: Starts, this: Start, request_id: int) -> bool:
    """Whether a Request has the key of this start."""
    try:
        return (await fetch(starts.io, request_id, ("summary",))).idempotency_key == this.key
    except ProcessMakerError:
        return False


async def record(starts: Starts, this: Start, request: Request) -> None:
    """Write into the journal as which Request the key was started. A failure loses nothing: the key is looked for."""
    if this.key is not None and this.holds_key:
        fingerprint = this.fingerprint if request is not this.found else request.idempotency_fingerprint
        facts = {"uuid": request.uuid or None, "fingerprint": fingerprint}
        await starts.try_step("started", this.keyed(starts), this.owner, request.id, **facts)
        this.entry = None


async def give_back(starts: Starts, this: Start) -> None:
    """After an attempt that made no Request: release the key, or record that the outcome is not known."""
    if this.sent_at is not None:
        log.warning("A start of process %d was sent, and its outcome is not known.", this.process_id)
    if this.holds_key:
        step = "release" if this.sent_at is None else "unknown"
        await starts.try_step(step, this.keyed(starts), this.owner)
