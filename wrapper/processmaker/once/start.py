"""The algorithm that starts a Request once: reserve, look, send, record. The rules are in the docstring of the room."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from attrs import evolve
from processmaker_api.api.processes import trigger_start_event
from processmaker_api.models import TriggerStartEventBody

from ..data import check_data, report_alterations
from ..errors import (
    CannotStart,
    Forbidden,
    InvalidData,
    NotFound,
    ProcessMakerError,
    UnreadableResponse,
    sentence,
)
from ..follow.reading import check_seconds, fetch
from ..journal import MemoryJournal
from ..journal.protocol import new_owner
from ..log import about, log, of_request
from ..models import Request, request_from
from ..processes import AnyEvent, AnyProcess
from ..wire.call import AsyncIO
from ..wire.retry import Retries, retrying
from .existing import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    KeyInProgress,
    check_fingerprint,
    explain_unknown,
    explain_waiting,
    longest_wait,
    raise_if_ended,
    read_existing,
    resolve_lost,
    wait_for_change,
)
from .key import check_key, with_key
from .lookup import choose, find_all
from .state import REMEMBERED_ANSWERS, Policy, Start, Starts

LOOK_IS_FRESH_FOR = 2.0
"""Seconds for which a look counts, if callers of other processes do not share the journal."""

STEP_PART = 0.25
"""The part of the lease that the step to "sending" may take; after that it is taken again."""


class ReservationLost(Exception):
    """The reservation ended before the first byte left, so another caller may hold the key. Nothing was sent."""


async def start(
    starts: Starts,
    process: AnyProcess,
    data: object,
    *,
    event: AnyEvent,
    idempotency_key: str | None,
    look_again_for: float,
    again: bool,
    timeout: float | None,
    policy: Policy,
) -> Request:
    """Check the arguments of `ProcessMaker.start`, and start."""
    if again and idempotency_key is None:
        raise InvalidData("again=True is about what was started with a key; give an idempotency_key, too")
    checked = check_data(data)
    report_alterations(checked, policy.on_altered_data)
    key = None if idempotency_key is None else check_key(idempotency_key)
    check_seconds("look_again_for", look_again_for)
    deadline = None
    if timeout is not None:
        check_seconds("timeout", timeout)
        deadline = starts.io.clock.monotonic() + timeout
    process_id, event_id = await starts.catalog.resolve(process, event)
    this = Start(
        process_id=process_id,
        event=event_id,
        data=checked,
        key=key,
        look_again_for=look_again_for,
        again=again,
        policy=policy,
        deadline=deadline,
    )
    try:
        return await start_or_wait(starts, this)
    except (Forbidden, NotFound) as error:
        ids = await correct_ids(starts, process, event, this, error)
    return await start_or_wait(starts, this.with_ids(*ids))


async def correct_ids(
    starts: Starts, process: AnyProcess, event: AnyEvent, this: Start, error: Forbidden | NotFound
) -> tuple[int, str]:
    """Return other ids for a start that the server refused, if a fresh listing has others.

    The server does not say which of the two is wrong, the process or the start event (observed on 4.15.5).

    Raises:
        Forbidden, NotFound: `error` itself, with its likely cause, if there are no other ids.
    """
    if error.method != "POST":
        raise error  # it was a look
    try:
        ids = await starts.catalog.resolve_again(process, event)
        if ids != (this.process_id, this.event):
            return ids
        error.likely_cause = "none was found: this token may start this process with this start event."
    except CannotStart as cause:
        error.likely_cause = sentence(cause.message)
    except ProcessMakerError:
        pass  # the listing cannot be read, and the cause stays unknown
    raise error


async def start_or_wait(starts: Starts, this: Start) -> Request:
    """Return the Request of a start. While another caller holds its key, wait and try again.

    Raises:
        StartOutcomeUnknown: the wait was too long.
        ProcessMakerError: see `ProcessMaker.start`.
    """
    began = starts.io.clock.monotonic()
    while True:
        try:
            return await start_once(starts, this)
        except KeyInProgress as other:
            entry = other.entry
        is_unknown = entry.state == "unknown"
        same_thread = entry.owner.rpartition(":")[0] == this.owner.rpartition(":")[0]
        if same_thread and not is_unknown and not isinstance(starts.io, AsyncIO):
            # In a signal handler, a finalizer, or the thread of an event loop: the other start cannot go on meanwhile.
            raise explain_waiting(starts, this, entry, "this thread itself is starting it")
        waited = starts.io.clock.monotonic() - began
        if waited >= (this.look_again_for if is_unknown else longest_wait(starts)):
            raise explain_waiting(starts, this, entry)
        await wait_for_change(starts, this, entry, min(max(waited, FIRST_PAUSE), LONGEST_PAUSE))


async def start_once(starts: Starts, this: Start) -> Request:
    """Return the Request of a start. Retry what certainly was not processed.

    Raises:
        KeyInProgress: another caller holds the key.
        ProcessMakerError: see `ProcessMaker.start`.
    """
    retries: Retries | None = starts.io.retries
    if retries and (left := this.seconds_left(starts)) is not None:
        retries = evolve(retries, total=min(retries.total, left))
    pause = this.gate.pause if this.gate else None
    token = about.set(this)
    try:
        request = await retrying(starts.io, retries, lambda: attempt(starts, this), pause=pause)
        check_fingerprint(this, request)
        how = "found" if request.created is False else "started"
        how += "" if this.key is None else f' with the key "{this.key}"'
        log.info("Request %d of process %d was %s.", request.id, this.process_id, how, extra=of_request(request.id))
    except UnreadableResponse as error:  # to a look: start again later
        raise explain_unknown(starts, this, error) from error
    except Exception as problem:
        if this.sent_at is None or isinstance(problem, ProcessMakerError | KeyInProgress):
            raise
        # A log handler, an auth or a callback of the caller's own: it must not hide a Request that was made.
        raise explain_unknown(starts, this, problem, request=this.request) from problem
    finally:
        about.reset(token)
    return raise_if_ended(request)


async def attempt(starts: Starts, this: Start) -> Request:
    """Make one attempt: reserve the key, look for it, send the start, record what became of it.

    Raises:
        KeyInProgress: another caller holds the key.
        ProcessMakerError: with `processed` False if the start certainly was not processed.
    """
    try:
        if this.gate:
            await this.gate.wait_open()
        request = None
        while request is None:  # again if the reservation was lost
            if this.key is not None:
                request = await find_or_reserve(starts, this)
            if request is None:
                request = await send(starts, this)
        return request
    except BaseException as error:
        absent = this.key is None or (this.holds_key and this.looked_at is not None and this.found is None)
        if absent and isinstance(error, ProcessMakerError) and error.processed is False and error.started is None:
            error.started = False
        if not isinstance(error, GeneratorExit):  # a coroutine that is closed can await nothing
            await give_back(starts, this)
        this.forget_attempt()
        raise


# --- reserve and look -----------------------------------------------------------------------------------------------


async def find_or_reserve(starts: Starts, this: Start) -> Request | None:
    """Return the Request that the key has already. None if it has none, and is reserved for this start.

    Raises:
        KeyInProgress: another caller holds the key.
    """
    if this.entry is None:
        await prepare(starts, [this])
    while this.entry is not None and not this.entry.mine:
        request = await read_existing(starts, this, this.entry)
        if not this.is_replaced(request):
            return request
        this.newer_than = max(this.newer_than, request.id)
        await prepare(starts, [this], replace=request.id)
    if this.found is None and is_look_old(starts, this):
        await look(starts, [this])
    if this.found is not None:
        await record(starts, this, this.found)
    return this.found


async def prepare(starts: Starts, block: Sequence[Start], *, replace: int | None = None) -> None:
    """Reserve the keys of a block of starts of one process, then look for them with one call for all.

    Args:
        starts: the starts of the client.
        block: the starts, all with keys.
        replace: the ended Request, named by the journal, that the only start of the block replaces.
    """
    for this in block:
        this.forget_attempt()
        this.owner = this.owner or new_owner()  # here, as it names the thread that starts it
    entries = await starts.step("reserve", [(this.keyed(starts), this.owner) for this in block], replace=replace)
    for this, entry in zip(block, entries, strict=True):
        this.entry = entry
    if len(block) > 1 or entries[0].state != "started":  # one that the journal names is read by its id
        await look(starts, block)


async def look(starts: Starts, block: Sequence[Start]) -> None:
    """Look for the keys of a block of starts of one process, with one call."""
    for this in block:
        this.looked_at = None  # if the look fails, nothing is known
    within = block[0].seconds_left(starts)
    try:
        found = await find_all(starts, block[0].process_id, [str(this.key) for this in block], within=within, once=True)
    except ProcessMakerError as error:
        error.args = (f"{sentence(error.args[0])} That was the look for the key before the start: nothing was sent.",)
        raise
    for this in block:
        this.looked_at, this.found = starts.io.clock.monotonic(), choose(found.get(str(this.key), ()))
        if this.found is not None and this.is_replaced(this.found):
            this.newer_than, this.found = max(this.newer_than, this.found.id), None


def is_look_old(starts: Starts, this: Start) -> bool:
    """Return whether another process, which does not share the journal, may have started the key since the look."""
    age = starts.io.clock.monotonic() - (this.looked_at or float("-inf"))
    return this.holds_key and age > LOOK_IS_FRESH_FOR and isinstance(starts.journal, MemoryJournal)


# --- send and record ------------------------------------------------------------------------------------------------


async def send(starts: Starts, this: Start) -> Request | None:
    """Send the start, once, and find out what became of it. None if the reservation was lost, and nothing was sent.

    Raises:
        StartOutcomeUnknown: it is not known whether the Request exists.
        ProcessMakerError: with `processed` False, the start certainly was not processed.
    """

    def read(answer: object) -> Request:
        request = request_from(answer, starts.io.site, created=True)
        if request.process_id not in (None, this.process_id):
            raise ValueError(f"the answer to the start of another process, {request.process_id}")
        return evolve(request, idempotency_key=this.key, idempotency_fingerprint=this.fingerprint)

    data = this.data if this.key is None else with_key(this.data, this.key, str(this.fingerprint))
    body = TriggerStartEventBody.from_dict(data)
    call = trigger_start_event.build_request(this.process_id, event=this.event, body=body)
    sending = partial(write_sending, starts, this)
    try:
        within = this.seconds_left(starts)
        request = await starts.io.call(call, read, once=True, within=within, sending=sending, expected=201)
        if this.key is not None:
            await check_answer(starts, this, request)
    except ReservationLost:
        this.sent_at = None  # if it was sent already, the answer was a 401
        this.forget_attempt()
        return None
    except ProcessMakerError as error:
        if error.processed is False:
            this.sent_at = None
            if this.gate and error.retry_after is not None:
                this.gate.close_for(error.retry_after)
            raise
        log.warning("%s Whether the Request was started is not known yet.", sentence(error))
        request = await resolve_lost(starts, this, error)
    this.request = request
    await record(starts, this, request)
    return request


async def write_sending(starts: Starts, this: Start) -> None:
    """Write "sending" into the journal, right before the first byte leaves.

    Raises:
        ReservationLost: another caller may hold the key.
        ProcessMakerError: the run was left.
    """
    if this.gate:
        this.gate.check()
    now, took = starts.io.clock.monotonic, float("inf")
    while this.key is not None and took > STEP_PART * starts.journal.lease:
        began = now()
        if not await starts.step("sending", this.keyed(starts), this.owner):
            raise ReservationLost
        took = now() - began
    this.sent_at = now()


async def check_answer(starts: Starts, this: Start, request: Request) -> None:
    """Check that an answer is this start's, and not an earlier one that a proxy repeats.

    Raises:
        ProcessMakerError: an earlier answer named the same Request for another key, and it does not have this key.
    """
    own = this.process_id, str(this.key)
    if starts.answers.setdefault(request.id, own) != own:
        with suppress(ProcessMakerError):
            if (await fetch(starts.io, request.id, ("summary",))).idempotency_key == this.key:
                return
        words = f"the answer names Request {request.id}, which an earlier answer named for another key"
        raise ProcessMakerError(words, processed=None)
    if len(starts.answers) > REMEMBERED_ANSWERS:
        starts.answers.popitem(last=False)


async def record(starts: Starts, this: Start, request: Request) -> None:
    """Write into the journal as which Request the key was started. A failure loses nothing: the key is looked for."""
    if this.holds_key:
        facts = {"uuid": request.uuid or None, "fingerprint": request.idempotency_fingerprint}
        await starts.try_step("started", this.keyed(starts), this.owner, request.id, **facts)
        this.entry = None


async def give_back(starts: Starts, this: Start) -> None:
    """After an attempt that made no Request: release the key, or record that the outcome is not known."""
    if this.sent_at is not None:
        log.warning("A start of process %d was sent, and its outcome is not known.", this.process_id)
    if this.holds_key:
        step = "release" if this.sent_at is None else "unknown"
        await starts.try_step(step, this.keyed(starts), this.owner)
