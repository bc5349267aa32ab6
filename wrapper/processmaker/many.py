"""Many starts: rows in, outcomes out, several at a time.

`Run` holds the rows of one call of `start_many`, and its workers start them: threads for the blocking client, tasks for
the asynchronous one. Rows with a key are reserved and looked for in blocks, as one call finds which of their keys are
there already. If another caller holds a row's key, the row is deferred and tried again later; other rows continue.
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
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Iterator,
)
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from queue import SimpleQueue
from typing import Any, Generic, Self, TypeVar

from attrs import define, field, frozen

from .data import altered_places, check_data, report_alterations
from .errors import Forbidden, InvalidData, NotFound
from .follow.reading import check_seconds
from .journal import Entry
from .models import Request
from .once.existing import KeyInProgress, explain_waiting, is_over_in, longest_wait
from .once.key import check_key
from .once.lookup import KEYS_IN_ONE_CALL
from .once.start import correct_ids, give_back, is_look_old, prepare, start_once
from .once.state import Policy, Start, Starts
from .processes import AnyEvent, AnyProcess
from .wire.call import iterate, run
from .wire.retry import RateGate

CONCURRENCY = 8
"""Starts at a time, unless told otherwise."""

FIRST_DEFERRAL, LONGEST_DEFERRAL = 0.1, 4.0
"""Seconds after which a deferred row is tried again: as long as it has waited already, between these two."""

LONGEST_NAP = 0.5
"""Seconds that a worker sleeps at a time until a deferred row is due, as the run may be stopped."""

MOST_DEFERRED = 5_000
"""Deferred rows that do not count as under way. With more of them, no further row is read until some have ended."""

R = TypeVar("R")

Key = str | tuple[str, ...] | Callable[[Any], str | int] | None
"""A column's name, several of them, or a function of the row."""


@frozen(kw_only=True)
class Outcome(Generic[R]):
    """What became of one row.

    Args:
        number: the row's number, from 0, in the order in which the rows were read.
        row: the row as it was given.
        key: its idempotency key; None if it has none.
        request: the Request, made or found; also one that failed, beside the error. None with IdempotencyKeyReused,
            whose `existing` is the other Request.
        error: what went wrong; None if nothing did.
        started: True if the Request exists, False if it certainly does not, None if that is not known.
        altered: the places of the data that the server changes, such as `data.items[*].name`.
    """

    number: int
    row: R
    key: str | None = None
    request: Request | None = None
    error: Exception | None = None
    started: bool | None = None
    altered: tuple[str, ...] = ()

    @property
    def how(self) -> str | None:
        """ "made", "found", or "found after a lost answer"; None without a Request."""
        if self.request is None:
            return None
        return {True: "made", False: "found"}.get(self.request.created, "found after a lost answer")  # type: ignore[arg-type]

    def result(self) -> Request:
        """Return the Request.

        Raises:
            Exception: `error`, if there is one.
        """
        if self.error is not None:
            raise self.error
        assert self.request is not None
        return self.request


@define(eq=False)
class Row:
    """One row on its way."""

    number: int
    given: Any
    key: str | None = None
    start: Start = field(init=False)
    altered: tuple[str, ...] = ()
    waits_for: Entry | None = None
    deferred_since: float = 0.0


Job = Row | list[Row] | float
"""A row to start, a block of rows to prepare, or seconds to sleep."""


@define(eq=False)
class Run:
    """One call of `start_many`. Its methods other than `work` are steps that no other worker interrupts."""

    starts: Starts
    process: AnyProcess
    event: AnyEvent
    key: Key
    look_again_for: float
    policy: Policy
    concurrency: int
    gate: RateGate = field(init=False)
    ids: tuple[int, str] = field(init=False)
    pending: deque[Row] = field(factory=deque, init=False)
    ready: deque[Row] = field(factory=deque, init=False)
    deferred: list[tuple[float, int, Row]] = field(factory=list, init=False)
    outcomes: deque[Outcome[Any]] = field(factory=deque, init=False)
    rows_read: int = field(default=0, init=False)
    under_way: int = field(default=0, init=False)
    preparing: bool = field(default=False, init=False)
    exhausted: bool = field(default=False, init=False)
    lock: threading.RLock = field(factory=threading.RLock, init=False)
    wake: Callable[[], object] = field(default=lambda: None, init=False)
    """Wakes the workers and the caller that wait for a change."""

    def __attrs_post_init__(self) -> None:
        check_seconds("look_again_for", self.look_again_for)
        if not isinstance(self.concurrency, int) or isinstance(self.concurrency, bool) or self.concurrency < 1:
            raise InvalidData(f"concurrency={self.concurrency!r} is not a number of starts at a time, from 1")
        check_key_source(self.key)
        self.gate = RateGate(self.starts.io)

    # --- rows in ----------------------------------------------------------------------------------------------------

    @property
    def wants_more(self) -> bool:
        """Return whether another row is wanted: enough to keep all workers busy, and no more."""
        in_memory = self.under_way + len(self.outcomes) - min(len(self.deferred), MOST_DEFERRED)
        return in_memory < 2 * (KEYS_IN_ONE_CALL + self.concurrency) and not self.gate.cancelled

    def add(self, rows: Iterable[object]) -> None:
        """Take the next rows. A row that cannot be sent has its outcome at once."""
        with self.lock:
            for given in rows:
                row = Row(number=self.rows_read, given=given)
                self.rows_read += 1
                self.under_way += 1
                try:
                    self.check(row)
                except Exception as error:
                    self.end(row, error, started=False)
                else:
                    (self.ready if row.key is None else self.pending).append(row)
        self.wake()

    def check(self, row: Row) -> None:
        data = check_data(row.given)
        row.altered = altered_places(data)
        report_alterations(data, self.policy.on_altered_data)
        row.key = None if self.key is None else key_of_row(row.given, self.key)
        process_id, event = self.ids
        row.start = Start(
            process_id=process_id,
            event=event,
            data=data,
            key=row.key,
            look_again_for=self.look_again_for,
            policy=self.policy,
            gate=self.gate,
        )

    # --- work -------------------------------------------------------------------------------------------------------

    async def work(self, next_job: Callable[[], Awaitable[Job | None]]) -> None:
        """Prepare blocks and start rows until all have ended, or the run was stopped.

        Args:
            next_job: waits for a job; None if the run is over.
        """
        try:
            while (job := await next_job()) is not None:
                if isinstance(job, Row):
                    await self.start_row(job)
                elif isinstance(job, list):
                    await self.prepare_block(job)
                else:
                    await self.starts.io.sleep(min(job, LONGEST_NAP))
        finally:
            self.stop()  # the run is over, or else this worker was broken off, and its row has no outcome

    @property
    def is_over(self) -> bool:
        return self.gate.cancelled or (self.exhausted and self.under_way == 0)

    def take(self) -> Job | None:
        """Return a row to start, a block to prepare, or the seconds until a deferred row is due; None if none is."""
        with self.lock:
            if self.gate.cancelled or len(self.outcomes) >= self.concurrency:  # whoever reads them may leave
                return None
            now = self.starts.io.clock.monotonic()
            while self.deferred and self.deferred[0][0] <= now:
                self.pending.append(heapq.heappop(self.deferred)[2])
            if self.ready and is_look_old(self.starts, self.ready[0].start):
                self.pending.extendleft(reversed(self.ready))  # to be looked for once more, in blocks
                self.ready.clear()
            enough = len(self.pending) >= KEYS_IN_ONE_CALL and len(self.ready) <= self.concurrency
            if self.pending and not self.preparing and (enough or not self.ready):
                self.preparing = True
                return [self.pending.popleft() for _ in range(min(len(self.pending), KEYS_IN_ONE_CALL))]
            if self.ready:
                return self.ready.popleft()
            return self.deferred[0][0] - now if self.deferred else None

    async def prepare_block(self, rows: list[Row]) -> None:
        """Reserve the keys of these rows and look for them. If that fails, each row does it for itself."""
        try:
            for row in rows:
                await self.follow_ids(row)
            await prepare(self.starts, [row.start for row in rows])
        except Exception:  # each row then meets the same, and tells it
            for row in rows:
                await give_back(self.starts, row.start)  # the run may be stopped before the row is started
                row.start.forget_attempt()
        finally:
            with self.lock:
                self.preparing = False
                self.ready.extend(rows)
        self.wake()

    async def start_row(self, row: Row) -> None:
        """Start one row, and tell its outcome or defer it."""
        try:
            await self.follow_ids(row)
            try:
                request = await start_once(self.starts, row.start)
            except (Forbidden, NotFound) as error:
                if (row.start.process_id, row.start.event) == self.ids:  # no other row has corrected them meanwhile
                    self.ids = await correct_ids(self.starts, self.process, self.event, row.start, error)
                await self.start_row(row)
                return
        except KeyInProgress as other:
            self.defer(row, other.entry)
        except Exception as error:
            self.end(row, error, started=getattr(error, "started", None))
        else:
            self.end(row, request)

    async def follow_ids(self, row: Row) -> None:
        """Let a row be a start of other ids, if they were corrected meanwhile."""
        if (row.start.process_id, row.start.event) != self.ids:
            await give_back(self.starts, row.start)
            row.start = row.start.with_ids(*self.ids)

    def defer(self, row: Row, entry: Entry) -> None:
        """Try the row again later: another caller holds its key."""
        with self.lock:
            now = self.starts.io.clock.monotonic()
            if row.waits_for is None:
                row.deferred_since = now
            row.waits_for, waited = entry, now - row.deferred_since
            if waited > longest_wait(self.starts):
                self.end(row, explain_waiting(self.starts, row.start, entry))
                return
            pause = min(max(waited, FIRST_DEFERRAL), LONGEST_DEFERRAL, is_over_in(self.starts, entry))
            heapq.heappush(self.deferred, (now + pause, row.number, row))
        self.wake()

    # --- outcomes out -----------------------------------------------------------------------------------------------

    def end(self, row: Row, result: Request | Exception, *, started: bool | None = None) -> None:
        """Tell what became of a row. A Request, also one that an error names, means that it was started."""
        error = result if isinstance(result, Exception) else None
        request = getattr(error, "request", None) if isinstance(result, Exception) else result
        outcome = Outcome(
            number=row.number,
            row=row.given,
            key=row.key,
            request=request,
            error=error,
            started=True if request else started,
            altered=row.altered,
        )
        with self.lock:
            self.under_way -= 1
            self.outcomes.append(outcome)
        self.wake()

    def drain(self) -> Iterator[Outcome[Any]]:
        """Yield the outcomes since it was last asked."""
        while self.outcomes:
            yield self.outcomes.popleft()
            self.wake()

    def stop(self) -> None:
        """Start nothing more. May be called at any time, also by a signal handler."""
        self.gate.cancelled = True
        self.wake()

    async def drop(self) -> None:
        """After a stop: release the keys of rows that were not sent, and tell of those that were deferred."""
        with self.lock:
            held = [*self.ready, *self.pending, *(row for _, _, row in self.deferred)]
            self.ready.clear()
            self.pending.clear()
            self.deferred.clear()
        for row in held:
            await give_back(self.starts, row.start)
            if row.waits_for is not None:
                self.end(row, explain_waiting(self.starts, row.start, row.waits_for))


def check_key_source(key: object) -> None:
    """Check what gives a row its key.

    Raises:
        InvalidData: it is neither a column's name, nor several, nor a function.
    """
    names = isinstance(key, tuple) and key and all(isinstance(name, str) for name in key)
    if key is not None and not isinstance(key, str) and not names and not callable(key):
        raise InvalidData(f"key={key!r} is neither a column's name, nor a tuple of them, nor a function of a row")


def key_of_row(row: Any, key: str | tuple[str, ...] | Callable[[Any], object]) -> str:
    """Return a row's idempotency key; the values of several columns are joined with ":".

    Raises:
        InvalidData: it has none, or none that can be one.
    """
    if callable(key):
        try:
            parts = [("what the function given as key= returned", key(row))]
        except Exception as problem:
            raise InvalidData(f"the function given as key= raised {problem!r}. Nothing was sent.") from problem
    else:
        parts = [(f"the row's {name!r}", row.get(name)) for name in ((key,) if isinstance(key, str) else key)]
    for place, value in parts:
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise InvalidData(f"{place}, {value!r}, cannot be an idempotency key: it must be a str or an int")
    return check_key(":".join(str(value) for _, value in parts))


# --- by threads, or by tasks ----------------------------------------------------------------------------------------


class Threads:
    """Threads that work for a run. Its rows are read by the caller's thread."""

    def __init__(self, this: Run, rows: Iterable[object]) -> None:
        self._run = this
        self._rows: Iterator[object] | None = iter(rows)
        self._rows_at_once = KEYS_IN_ONE_CALL if isinstance(rows, list | tuple) else 1
        self._changed = threading.Condition(this.lock)
        # Its `get` takes nothing out if Ctrl-C interrupts it, which most often comes while the caller waits there.
        self._tokens: SimpleQueue[None] = SimpleQueue()
        self._pool = ThreadPoolExecutor(this.concurrency, "start_many")
        self.workers: list[Any] = []

    async def begin(self) -> None:
        self._run.wake = self._wake
        for _ in range(self._run.concurrency):
            self.workers.append(self._pool.submit(lambda: run(self._run.work(self._next_job))))

    async def go_on(self) -> None:
        """Read rows if more are wanted, else wait for an outcome."""
        if self._rows and self._run.wants_more:
            part = list(islice(self._rows, self._rows_at_once))
            if not part:
                self._rows, self._run.exhausted = None, True
            self._run.add(part)
        elif not self._run.outcomes and not self._run.is_over:
            self._tokens.get()

    async def end(self) -> None:
        """Wait for what is in flight, after a stop."""
        self._pool.shutdown()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()
        if self._tokens.empty():  # a token that is there is taken after what has changed
            self._tokens.put(None)

    async def _next_job(self) -> Job | None:
        with self._changed:
            while not self._run.is_over:
                if (job := self._run.take()) is not None:
                    return job
                self._changed.wait()
        return None


class Tasks:
    """Tasks of the running loop that work for a run. One more reads its rows."""

    def __init__(self, this: Run, rows: Iterable[object] | AsyncIterable[object]) -> None:
        self._run = this
        self._rows = rows if isinstance(rows, AsyncIterable) else as_async(rows)
        self._changed = asyncio.Event()

    async def begin(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._run.wake = self._wake
        self._reading = asyncio.create_task(self._read())
        work = self._run.work
        self.workers = [asyncio.create_task(work(self._next_job)) for _ in range(self._run.concurrency)]

    async def go_on(self) -> None:
        """Wait for an outcome."""
        self._changed.clear()
        if self._reading.done():
            self._reading.result()  # raises what the rows raised
        if not self._run.outcomes and not self._run.is_over:
            await self._changed.wait()

    async def end(self) -> None:
        """Wait for what is in flight, after a stop."""
        self._reading.cancel()  # it may be long until the next row comes
        try:
            await asyncio.wait([*self.workers, self._reading])
        except asyncio.CancelledError:
            for worker in self.workers:
                worker.cancel()
            raise

    def _wake(self) -> None:
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._changed.set)

    async def _read(self) -> None:
        try:
            async for row in self._rows:
                self._run.add([row])
                while not self._run.wants_more and not self._run.is_over:
                    self._changed.clear()
                    await self._changed.wait()
            self._run.exhausted = True
        finally:
            self._run.wake()

    async def _next_job(self) -> Job | None:
        while not self._run.is_over:
            self._changed.clear()
            if (job := self._run.take()) is not None:
                return job
            await self._changed.wait()
        return None


async def as_async(rows: Iterable[object]) -> AsyncIterator[object]:
    for row in rows:
        yield row


async def start_all(this: Run, crew: Threads | Tasks) -> AsyncGenerator[Outcome[Any], None]:
    """Yield the outcomes of all rows. Those that come after the caller has left stay in `this.outcomes`."""
    this.starts.io.connections.check_open()
    this.ids = await this.starts.catalog.resolve(this.process, this.event)
    try:
        await crew.begin()
        while this.outcomes or not this.is_over:
            for outcome in this.drain():
                yield outcome
            await crew.go_on()
    finally:
        this.stop()
        try:
            await crew.end()
        finally:
            await this.drop()
    for outcome in this.drain():  # those that were in flight at a stop
        yield outcome
    for worker in crew.workers:
        worker.result()  # raises what broke it off


def run_in_threads(this: Run, rows: Iterable[object]) -> Generator[Outcome[Any], None, None]:
    """Yield the outcomes of all rows, by threads."""
    yield from iterate(start_all(this, Threads(this, rows)))


def run_in_tasks(this: Run, rows: Iterable[object] | AsyncIterable[object]) -> AsyncGenerator[Outcome[Any], None]:
    """Yield the outcomes of all rows, by tasks of the running loop."""
    return start_all(this, Tasks(this, rows))


class Outcomes(Iterator[Outcome[R]]):
    """The outcomes of many starts, each as it comes.

    Leaving early (`break`, an exception, Ctrl-C) finishes what is in flight and starts nothing more. In a `with` block
    that happens at its end, else by `close()`. Then `rest` has the outcomes of the starts that were in flight, and of
    the rows that were deferred, which were not started.
    """

    def __init__(self, outcomes: Generator[Outcome[R], None, None], this: Run) -> None:
        self._outcomes = outcomes
        self._run = this

    @property
    def rest(self) -> list[Outcome[R]]:
        """The outcomes that came after the caller had left."""
        return list(self._run.outcomes)

    def stop(self) -> None:
        """Start nothing more; the outcomes of what is in flight still come. A signal handler may call it, too.

        It does not interrupt the iterable of rows: a wait inside it goes on.
        """
        self._run.stop()

    def __next__(self) -> Outcome[R]:
        return next(self._outcomes)

    def close(self) -> None:
        """Finish what is in flight, and start nothing more."""
        self._outcomes.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncOutcomes(AsyncIterator[Outcome[R]]):
    """The outcomes of many starts, awaited; see `Outcomes`. In an `async with` block it is closed at its end."""

    def __init__(self, outcomes: AsyncGenerator[Outcome[R], None], this: Run) -> None:
        self._outcomes = outcomes
        self._run = this

    @property
    def rest(self) -> list[Outcome[R]]:
        """See `Outcomes.rest`."""
        return list(self._run.outcomes)

    def stop(self) -> None:
        """See `Outcomes.stop`. Another thread may call it, too. It cancels a wait for the next of async rows."""
        self._run.stop()

    async def __anext__(self) -> Outcome[R]:
        return await anext(self._outcomes)

    async def aclose(self) -> None:
        """See `Outcomes.close`."""
        await self._outcomes.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
