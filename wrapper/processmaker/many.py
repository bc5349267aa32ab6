"""Many starts: rows in, outcomes out, several at a time.

`Many` says how one row is checked, looked for and started. `Rows` knows what is to be done next, and its workers do it:
threads for `blocking`, tasks for `awaiting`. Rows with a key go in blocks, as one call finds which of their keys are
there already.
"""

from __future__ import annotations

import asyncio
import heapq
import threading
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
)
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import chain, islice
from queue import SimpleQueue
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from attrs import define, evolve, field, frozen

from .data import OnAlteredData, check_data, check_key, check_on_altered_data, report_alterations, with_key
from .errors import ConfigurationError, InvalidData, ProcessMakerError
from .follow.reading import check_seconds
from .models import Request
from .once.lookup import IN_ONE_CALL, find_all
from .once.reuse import KeyReusedWarning, compare
from .once.start import Start, start_as, unknown
from .processes import AnyEvent, AnyProcess, Catalog
from .wire.call import IO, run
from .wire.retry import BeingSent, Gate

if TYPE_CHECKING:
    from .journal import Entry

CONCURRENCY = 8
"""Starts at a time, unless told otherwise."""

FIRST_ASIDE, LONGEST_ASIDE = 0.5, 4.0
"""Seconds for which a row steps aside whose key another caller is sending; each time is twice the one before."""

MOST_ASIDE = 5_000
"""Rows that may have stepped aside while others are read: more than runs that were killed leave behind."""


@frozen(kw_only=True)
class Outcome:
    """What became of one row.

    Args:
        number: the row's number, from 0, in the order in which the rows were read.
        row: the row as it was given.
        key: its idempotency key; None where it has none.
        request: the Request, made or found (`request.created` tells which); also one that failed, beside the error.
        error: what went wrong; None where nothing did.
    """

    number: int
    row: Any
    key: str | None = None
    request: Request | None = None
    error: Exception | None = None

    @property
    def started(self) -> bool | None:
        """True: the Request exists. False: certainly not. None: that is not known."""
        if self.request is not None:
            return True
        return self.error.processed if isinstance(self.error, ProcessMakerError) else False


@define(eq=False)
class Row:
    """One row on its way."""

    number: int
    row: Any
    key: str | None = None
    body: dict[str, Any] = field(factory=dict)
    found: Request | None = None
    looked_for: bool = False
    """Whether its key was looked for a moment ago."""
    known: bool = False
    """Whether the journal says that it was started as what was found."""
    aside: ProcessMakerError | None = None
    """Why it has stepped aside, and what there is to say where nothing more is heard of it."""
    aside_since: float = 0.0
    aside_for: float = FIRST_ASIDE
    """Seconds: for how long it steps aside the next time."""

    def outcome(self, request: Request | None = None, error: Exception | None = None) -> Outcome:
        if error is not None and request is None:
            request = getattr(error, "request", None)
        return Outcome(number=self.number, row=self.row, key=self.key, request=request, error=error)


Key = str | Callable[[Any], str | int] | None
"""A column's name, or a function of the row."""

Job = Callable[[], Coroutine[Any, Any, None]]
"""Makes the coroutine that does something."""


@define(eq=False)
class Many:
    """The starts of one run.

    Args:
        key: what gives a row its idempotency key: a column's name, a function of the row, or None for no keys.
        the others: as `start` takes them.
    """

    io: IO
    catalog: Catalog
    process: AnyProcess
    event: AnyEvent
    key: Key
    look_first: bool
    look_again_for: float
    on_altered_data: OnAlteredData
    concurrency: int
    gate: Gate = field(init=False)
    wake: Callable[[], object] = lambda: None
    """Wakes whoever waits for rows to come."""
    ids: tuple[int, str] = field(init=False)

    def __attrs_post_init__(self) -> None:
        check_seconds("look_again_for", self.look_again_for)
        check_on_altered_data(self.on_altered_data)
        if not isinstance(self.concurrency, int) or isinstance(self.concurrency, bool) or self.concurrency < 1:
            raise InvalidData(f"concurrency={self.concurrency!r} is not a number of starts at a time, from 1")
        if self.key is not None and not isinstance(self.key, str) and not callable(self.key):
            raise InvalidData(f"key={self.key!r} is neither a column's name nor a function of a row")
        if self.key is None and not self.look_first:
            raise InvalidData("look_first=False is about what was started with a key; give key= too")
        self.gate = Gate(self.io)

    async def rows(self) -> Rows:
        """What is to be done, once it is clear what is to be started.

        Raises:
            CannotStart: it is not.
        """
        self.ids = await self.catalog.resolve(self.process, self.event)
        return Rows(self)

    def stop(self) -> None:
        """Nothing more is to be started; may be called at any time, also by the handler of a signal."""
        self.gate.left = True
        with suppress(RuntimeError):  # its event loop is closed
            self.wake()

    def prepare_row(self, row: Row) -> None:
        body = check_data(row.row)
        report_alterations(body, self.on_altered_data)
        if self.key is not None:
            row.key = key_of_row(row.row, self.key)
            body = with_key(body, row.key)
        row.body = body

    async def find_keys(self, block: list[Row]) -> None:
        """Fills in what is there already.

        Where the journal says as which Requests keys were started, these are read, those of a block with one call.

        Raises:
            ProcessMakerError: the look failed.
        """
        started: dict[str, int] = {}
        others = []
        for key in [str(row.key) for row in block]:
            entry = await self._entry(key)
            if entry and entry.request_id is not None:
                started[key] = entry.request_id
            else:
                others.append(key)
        found = await find_all(self.io, self.ids[0], others)
        if started:
            there = await find_all(self.io, self.ids[0], list(started), newer_than=min(started.values()) - 1)
            found |= {key: request for key, request in there.items() if request.id == started[key]}
        for row in block:
            row.looked_for = True
            row.found = found.get(str(row.key))
            row.known = row.found is not None and str(row.key) in started

    async def _entry(self, key: str) -> Entry | None:
        if self.io.journal is None:
            return None
        from .journal import KeyedStart

        entry: Entry | None = await self.io.step("read", KeyedStart(self.io.site, self.ids[0], key))
        return entry

    async def start_row(self, row: Row) -> Request:
        process_id, event = self.ids
        this = Start(
            process_id=process_id,
            event=event,
            body=row.body,
            key=row.key,
            look_again_for=self.look_again_for,
            again=False,
            found=row.found,
            known=row.known,
            gate=self.gate,
            waits=False,
        )
        look_first = row.found is not None or (self.look_first and not row.looked_for)
        try:
            return await start_as(self.io, self.catalog, self.process, self.event, this, look_first=look_first)
        except BeingSent as other:
            other.error = unknown(this, other.error, retry_after=other.left)
            raise


def key_of_row(row: Any, key: str | Callable[[Any], object]) -> str:
    """A row's idempotency key.

    Args:
        row: the row.
        key: a column's name, or a function of the row.

    Raises:
        InvalidData: it has none, or none that can be one.
    """
    if isinstance(key, str):
        value = row.get(key)
        if value is None:
            raise InvalidData(f"the row has no {key!r}, which is to be its idempotency key. Nothing was sent.")
        where = f"its {key!r}"
    else:
        try:
            value = key(row)
        except Exception as problem:
            raise InvalidData(f"the function given as key= raised {problem!r}. Nothing was sent.") from problem
        where = "what the function given as key= returned"
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise InvalidData(f"{where}, {value!r}, cannot be an idempotency key: it must be a str or an int")
    return check_key(str(value))


class Rows:
    """What is to be done next, and what came of it. Workers take one thing to do after another while there is any, also

    while the next row is awaited, and tell when there may be outcomes.

    A row whose key another caller is sending steps aside, so that it holds up no other, and comes back now and then:
    by then it was started, or its sender was killed and the lease is over.
    """

    def __init__(self, many: Many) -> None:
        self.hire: Callable[[Coroutine[Any, Any, None]], object]
        """Lets another worker begin."""
        self.tell: Callable[[], object]
        """Says that there may be outcomes."""
        self.problems: deque[BaseException] = deque()
        """What is of no row, and ends all."""
        self._many = many
        self._gate = many.gate
        self._lock = threading.Lock()
        self._workers = 0
        self._number = 0
        self._block: list[Row] = []
        self._looks: deque[list[Row]] = deque()
        self._starts: deque[Row] = deque()
        self._outcomes: deque[Outcome] = deque()
        self._under_way = 0
        self._looking = 0
        # The rows that stepped aside, by when they come back.
        self._aside: list[tuple[float, int, Row]] = []
        self._pausing = False
        # The keys under way, each with the rows that came with the same key since.
        self._same_key: dict[str, list[Row]] = {}

    @property
    def hungry(self) -> bool:
        """Whether another row is wanted: enough to keep all at work, and no more."""
        busy = self._under_way - min(len(self._aside), MOST_ASIDE)
        return busy < 2 * (IN_ONE_CALL + self._many.concurrency) and not self.stopped

    @property
    def stopped(self) -> bool:
        """Whether nothing more is to be started."""
        return self._gate.left

    def add(self, given: object) -> None:
        """Takes the next row."""
        row = Row(number=self._number, row=given)
        self._number += 1
        try:
            self._many.prepare_row(row)
        except Exception as error:
            self._outcomes.append(row.outcome(error=error))
            return
        with self._lock:
            self._under_way += 1
            if row.key is not None:
                if row.key in self._same_key:
                    self._same_key[row.key].append(row)
                    return
                self._same_key[row.key] = []
            self._enter(row)

    def stop(self) -> None:
        """Nothing more is to be started."""
        with self._lock:
            self._gate.left = True

    def employ(self) -> bool:
        """Hires as many as there is work for; whether anybody is at work then."""
        while True:
            with self._lock:
                if self.stopped:
                    self._drop()
                pause = self._come_back()
                if pause is None or self._pausing:
                    job = self._next() if self._workers < self._many.concurrency else None
                    if job is None:
                        return self._workers > 0 or self._pausing
                    self._workers += 1
                    work = self._work(job)
                else:
                    self._pausing = True
                    work = self._pause(min(pause, FIRST_ASIDE))
                self.hire(work)  # none is hired once `stop` has returned

    @property
    def told(self) -> bool:
        """Whether all outcomes that there are were asked for."""
        return not self._outcomes

    def outcomes(self) -> Iterator[Outcome]:
        """The outcomes since it was last asked."""
        while self._outcomes:
            yield self._outcomes.popleft()

    async def _work(self, job: Job | None) -> None:
        """Does that, and whatever there is to do then."""
        try:
            while job:
                await job()
                self.employ()
                self.tell()
                with self._lock:
                    job = self._next()
                    self._workers -= job is None
        except GeneratorExit:  # the event loop is gone
            raise
        except BaseException as problem:
            self._workers -= 1
            self.problems.append(problem)
        self.tell()

    def _next(self) -> Job | None:
        if self.stopped or len(self._outcomes) >= self._many.concurrency:  # whoever reads them may leave
            return None
        if not self._looks and not self._starts and not self._looking:
            self._close_block()  # rows gather as long as there is something to start, or a look is under way
        if self._looks:  # before the starts, so that there is always something to start
            self._looking += 1
            return partial(self._do_find, self._looks.popleft())
        return partial(self._do_start, self._starts.popleft()) if self._starts else None

    def _enter(self, row: Row) -> None:
        if row.key is None or not (self._many.look_first or row.aside):
            self._starts.append(row)
            return
        self._block.append(row)
        if len(self._block) == IN_ONE_CALL:
            self._close_block()

    def _close_block(self) -> None:
        if self._block:
            self._looks.append(self._block)
            self._block = []

    async def _do_find(self, block: list[Row]) -> None:
        with suppress(ProcessMakerError):  # each row then looks for itself, and tells its own error
            await self._many.find_keys(block)
        with self._lock:
            self._looking -= 1
            self._starts.extend(block)

    async def _do_start(self, row: Row) -> None:
        request: Request | None = None
        failed: Exception | None = None
        try:
            request = await self._many.start_row(row)
        except BeingSent as other:
            with self._lock:
                self._step_aside(row, other)
            return
        except ConfigurationError:
            raise  # it is of no row: the client is closed, or cannot send this at all
        except Exception as error:
            failed = error
        with self._lock:
            self._ended(row, row.outcome(request, failed))

    def _step_aside(self, row: Row, other: BeingSent) -> None:
        now = self._many.io.clock.monotonic()
        if row.aside is None:
            row.aside_since = now
        row.aside = other.error
        if now - row.aside_since > self._many.io.journal.lease + LONGEST_ASIDE:
            self._ended(row, row.outcome(error=other.error))  # others claim it again and again
            return
        # One that was killed is heard no more: its lease ends then.
        due = now + min(row.aside_for, other.left + 0.01)
        row.aside_for = min(2 * row.aside_for, LONGEST_ASIDE)
        heapq.heappush(self._aside, (due, row.number, row))

    def _come_back(self) -> float | None:
        """Takes up those whose time has come; the seconds until the next one's does, or None."""
        if not self._aside:
            return None
        now = self._many.io.clock.monotonic()
        while self._aside and self._aside[0][0] <= now:
            self._enter(heapq.heappop(self._aside)[2])
        return self._aside[0][0] - now if self._aside else None

    def _drop(self) -> None:
        """Lets go of what was not begun, and tells of those rows that were: they stepped aside."""
        held = [row for _, _, row in self._aside]
        held += [*self._block, *chain.from_iterable(self._looks), *self._starts]
        for rows in (self._aside, self._block, self._looks, self._starts):
            rows.clear()
        self._outcomes.extend(row.outcome(error=row.aside) for row in held if row.aside)

    async def _pause(self, seconds: float) -> None:
        with suppress(ProcessMakerError):  # the caller has left
            await self._gate.wait(seconds)
        self._pausing = False
        self.employ()
        self.tell()

    def _ended(self, row: Row, outcome: Outcome) -> None:
        self._under_way -= 1
        self._outcomes.append(outcome)
        same = self._same_key.pop(row.key, []) if row.key is not None else []
        if outcome.request is not None:
            for other in same:
                self._under_way -= 1
                error = outcome.error
                try:
                    compare(str(row.key), outcome.request, row.body, other.body)
                except KeyReusedWarning as warning:  # where warnings are errors
                    error = error or warning
                self._outcomes.append(other.outcome(evolve(outcome.request, created=False), error))
        elif same:
            # It did not start, or nobody knows: the next one looks for itself.
            self._same_key[str(row.key)] = same[1:]
            self._starts.append(same[0])


def blocking(many: Many, given: Iterable[object], rest: list[Outcome]) -> Generator[Outcome, None, None]:
    """The outcomes of all rows, by threads. What ends after the caller has left goes into `rest`."""
    rows = run(many.rows())
    arrived: SimpleQueue[None] = SimpleQueue()
    rows.tell = partial(arrived.put, None)
    with ThreadPoolExecutor(many.concurrency + 1, "start_many") as pool:
        rows.hire = lambda work: pool.submit(run, work)
        unread: Iterator[object] | None = iter(given)
        try:
            while True:
                yield from rows.outcomes()
                at_work = rows.employ()
                if rows.problems:
                    raise rows.problems.popleft()
                if unread and rows.hungry:
                    for row in unread:
                        rows.add(row)
                        break
                    else:
                        unread = None
                elif at_work:
                    arrived.get()  # Ctrl-C, which most often comes while one waits here, takes nothing out
                elif rows.told:
                    return
        finally:
            rows.stop()
            pool.shutdown()  # not by counting: Ctrl-C may come between a step and its being counted
            rows.employ()
            rest += rows.outcomes()


async def awaiting(
    many: Many, given: Iterable[object] | AsyncIterable[object], rest: list[Outcome]
) -> AsyncGenerator[Outcome, None]:
    """The same by tasks."""
    rows = await many.rows()
    arrived = asyncio.Event()
    tasks: set[asyncio.Task[None]] = set()
    reading: asyncio.Task[None] | None = None
    unread: AsyncIterator[object] | Iterator[object] | None
    unread = aiter(given) if isinstance(given, AsyncIterable) else iter(given)

    def begin(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        tasks.add(task := asyncio.create_task(work))
        task.add_done_callback(tasks.discard)
        return task

    async def read(source: AsyncIterator[object]) -> None:
        nonlocal unread, reading
        try:
            rows.add(await anext(source))
        except StopAsyncIteration:
            unread = None
        except Exception as problem:
            rows.problems.append(problem)
        reading = None
        arrived.set()

    rows.hire, rows.tell = begin, arrived.set
    many.wake = partial(asyncio.get_running_loop().call_soon_threadsafe, arrived.set)
    try:
        while True:
            arrived.clear()
            for outcome in rows.outcomes():
                yield outcome
            at_work = rows.employ()
            if rows.problems:
                raise rows.problems.popleft()
            if reading and rows.stopped:
                reading.cancel()  # it may be long until the next row comes
                reading = None
            if unread and not reading and rows.hungry:
                if isinstance(unread, AsyncIterator):
                    reading = begin(read(unread))
                else:
                    number = -1
                    for number, row in enumerate(islice(unread, IN_ONE_CALL)):  # noqa: B007 - counted
                        rows.add(row)
                    unread = unread if number >= 0 else None
                    continue
            if at_work or reading:
                await arrived.wait()
            elif rows.told:
                return
    finally:
        many.wake = lambda: None
        rows.stop()
        if reading:
            reading.cancel()
        try:
            if tasks:
                await asyncio.wait(tasks)
        finally:
            for task in tasks:
                task.cancel()
            rows.employ()
            rest += rows.outcomes()


class Outcomes(Iterator[Outcome]):
    """The outcomes of many starts, each as it comes.

    Leaving early (`break`, an exception, Ctrl-C) finishes what is in flight and starts nothing more. In a `with` block
    that is done at its end, else by `close()`; then `rest` has what became of the starts
    that were in flight, and those that were held back, which were not started.
    """

    def __init__(self, outcomes: Generator[Outcome, None, None], rest: list[Outcome], many: Many) -> None:
        self._outcomes = outcomes
        self._many = many
        self.rest = rest

    def stop(self) -> None:
        """Starts nothing more; the outcomes of what is in flight still come. A handler of a signal may call it, too.

        Rows that are being waited for are waited for still: what blocks in them cannot be left from outside.
        """
        self._many.stop()

    def __next__(self) -> Outcome:
        return next(self._outcomes)

    def close(self) -> None:
        """Finishes what is in flight, and starts nothing more."""
        self._outcomes.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class AsyncOutcomes(AsyncIterator[Outcome]):
    """The outcomes of many starts, each as it comes.

    Leaving early (`break`, an exception, a cancelled task) starts nothing more. In an `async with` block what is in
    flight is finished at its end, else by `aclose()`; then `rest` has what became of the starts
    that were in flight, and those that were held back, which were not started.
    """

    def __init__(self, outcomes: AsyncGenerator[Outcome, None], rest: list[Outcome], many: Many) -> None:
        self._outcomes = outcomes
        self._many = many
        self.rest = rest

    def stop(self) -> None:
        """Starts nothing more; the outcomes of what is in flight still come. A handler of a signal may call it, too, or

        another thread. It does not wait for the next row: whatever async rows are awaiting is cancelled.
        """
        self._many.stop()

    async def __anext__(self) -> Outcome:
        return await anext(self._outcomes)

    async def aclose(self) -> None:
        """Finishes what is in flight, and starts nothing more."""
        await self._outcomes.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()
