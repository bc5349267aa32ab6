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
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from attrs import define, field, frozen

from .data import OnAlteredData, altered_places, check_data, check_on_altered_data, report_alterations
from .errors import Forbidden, InvalidData, NotFound, ProcessMakerError
from .follow.reading import check_seconds
from .journal.protocol import RESERVATION
from .models import Request
from .once.key import check_fingerprint_without, check_key
from .once.lookup import KEYS_IN_ONE_CALL
from .once.others import KeyInProgress, explain_waiting, is_over_in
from .once.start import (
    attempt_start,
    check_on_reused_key,
    correct_ids,
    give_back,
    prepare,
)
from .once.state import OnReusedKey, Start, Starts, run_to_end
from .processes import AnyEvent, AnyProcess, Catalog
from .wire.call import run
from .wire.retry import RateGate

CONCURRENCY = 8
"""Starts at a time, unless told otherwise."""

FIRST_DEFERRAL, LONGEST_DEFERRAL = 0.1, 4.0
"""Seconds after which a deferred row is tried again; each time is twice the one before."""

MOST_DEFERRED = 5_000
"""Deferred rows beside which others are read: more than runs that were killed leave behind."""

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
    start: Start | None = None
    altered: tuple[str, ...] = ()
    waits_for: KeyInProgress | None = None
    deferred_since: float = 0.0
    deferral: float = FIRST_DEFERRAL


@define(eq=False)
class Run:
    """One call of `start_many`. Its methods other than `work` are steps that no other worker interrupts."""

    starts: Starts
    catalog: Catalog
    process: AnyProcess
    event: AnyEvent
    key: Key
    look_again_for: float
    on_altered_data: OnAlteredData
    on_reused_key: OnReusedKey
    fingerprint_without: tuple[str, ...] = field(converter=check_fingerprint_without)
    concurrency: int
    gate: RateGate = field(init=False)
    ids: tuple[int, str] = field(init=False)
    pending: deque[Row] = field(factory=deque, init=False)
    ready: deque[Row] = field(factory=deque, init=False)
    deferred: list[tuple[float, int, Row]] = field(factory=list, init=False)
    outcomes: deque[Outcome[Any]] = field(factory=deque, init=False)
    rest: list[Outcome[Any]] = field(factory=list, init=False)
    rows_read: int = field(default=0, init=False)
    under_way: int = field(default=0, init=False)
    preparing: bool = field(default=False, init=False)
    exhausted: bool = field(default=False, init=False)
    lock: threading.RLock = field(factory=threading.RLock, init=False)
    changes: int = field(default=0, init=False)
    wake_workers: Callable[[], object] = field(default=lambda: None, init=False)
    wake_caller: Callable[[], object] = field(default=lambda: None, init=False)

    def __attrs_post_init__(self) -> None:
        check_seconds("look_again_for", self.look_again_for)
        check_on_altered_data(self.on_altered_data)
        check_on_reused_key(self.on_reused_key)
        if not isinstance(self.concurrency, int) or isinstance(self.concurrency, bool) or self.concurrency < 1:
            raise InvalidData(f"concurrency={self.concurrency!r} is not a number of starts at a time, from 1")
        check_key_source(self.key)
        self.gate = RateGate(self.starts.io)

    async def resolve(self) -> None:
        """Find out what is to be started.

        Raises:
            CannotStart: it is not clear.
            ConfigurationError: the client is closed.
        """
        self.starts.io.connections.check_open()
        self.ids = await self.catalog.resolve(self.process, self.event)

    # --- rows in ----------------------------------------------------------------------------------------------------

    @property
    def wants_more(self) -> bool:
        """Whether another row is wanted: enough to keep all workers busy, and no more."""
        busy = self.under_way - min(len(self.deferred), MOST_DEFERRED)
        return busy < 2 * (KEYS_IN_ONE_CALL + self.concurrency) and not self.gate.cancelled

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
                    self.end(row, error=error, started=False)
                else:
                    (self.ready if row.key is None else self.pending).append(row)
        self.change()

    def check(self, row: Row) -> None:
        data = check_data(row.given)
        row.altered = altered_places(data)
        report_alterations(data, self.on_altered_data)
        row.key = None if self.key is None else key_of_row(row.given, self.key)
        process_id, event = self.ids
        row.start = Start(
            process_id=process_id,
            event=event,
            data=data,
            key=row.key,
            look_again_for=self.look_again_for,
            on_reused_key=self.on_reused_key,
            fingerprint_without=self.fingerprint_without,
            gate=self.gate,
        )

    # --- work -------------------------------------------------------------------------------------------------------

    async def work(self, wait_for_change: Callable[[int, float | None], Awaitable[None]]) -> None:
        """Prepare blocks and start rows until all have ended, or the run was stopped.

        Args:
            wait_for_change: waits while the count of `changes` is the given one; at most for that many seconds.
        """
        while not self.is_over:
            seen = self.changes
            job = self.take()
            if isinstance(job, Row):
                await self.start_row(job)
            elif isinstance(job, list):
                await self.prepare_block(job)
            else:
                await wait_for_change(seen, job)

    @property
    def is_over(self) -> bool:
        return self.gate.cancelled or (self.exhausted and self.under_way == 0)

    def take(self) -> Row | list[Row] | float | None:
        """Return a row to start, a block to prepare, the seconds until the next deferred row is due, or None."""
        with self.lock:
            if self.gate.cancelled or len(self.outcomes) >= self.concurrency:  # whoever reads them may leave
                return None
            now = self.starts.io.clock.monotonic()
            while self.deferred and self.deferred[0][0] <= now:
                self.pending.append(heapq.heappop(self.deferred)[2])
            enough = len(self.pending) >= KEYS_IN_ONE_CALL and len(self.ready) <= self.concurrency
            if self.pending and not self.preparing and (enough or not self.ready):
                self.preparing = True
                return [self.pending.popleft() for _ in range(min(len(self.pending), KEYS_IN_ONE_CALL))]
            if self.ready:
                return self.ready.popleft()
            return self.deferred[0][0] - now if self.deferred else None

    async def prepare_block(self, rows: list[Row]) -> None:
        """Reserve the keys of these rows and look for them. If that fails, each row does it for itself."""
        block = [row.start for row in rows if row.start]
        try:
            await prepare(self.starts, block)
        except Exception:  # each row then meets the same, and tells it
            for start in block:
                await give_back(self.starts, start)  # the run may be stopped before the row is started
                start.forget_attempt()
        finally:
            with self.lock:
                self.preparing = False
                self.ready.extend(rows)
        self.change()

    async def start_row(self, row: Row) -> None:
        """Start one row, and tell its outcome or defer it."""
        assert row.start is not None
        try:
            if (row.start.process_id, row.start.event) != self.ids:  # they were corrected meanwhile
                await give_back(self.starts, row.start)
                row.start = row.start.with_ids(*self.ids)
            try:
                request = await attempt_start(self.starts, row.start)
            except (Forbidden, NotFound) as error:
                if (row.start.process_id, row.start.event) == self.ids:  # no other row has corrected them meanwhile
                    self.ids = await correct_ids(self.catalog, self.process, self.event, row.start, error)
                row.start = row.start.with_ids(*self.ids)
                request = await attempt_start(self.starts, row.start)
        except KeyInProgress as other:
            self.defer(row, other)
        except Exception as error:
            self.end(row, error=error, started=getattr(error, "started", None))
        else:
            self.end(row, request=request, started=True)

    def defer(self, row: Row, other: KeyInProgress) -> None:
        """Try the row again later: another caller holds its key."""
        assert row.start is not None
        with self.lock:
            now = self.starts.io.clock.monotonic()
            if row.waits_for is None:
                row.deferred_since = now
            row.waits_for = other
            row.start.forget_attempt()
            longest = 2 * max(self.starts.journal.lease, RESERVATION)
            if now - row.deferred_since > longest:  # other callers reserve it again and again
                self.end(row, error=self.explain(row))
                return
            due = now + min(row.deferral, is_over_in(self.starts, other.entry) + 0.01)
            row.deferral = min(2 * row.deferral, LONGEST_DEFERRAL)
            heapq.heappush(self.deferred, (due, row.number, row))
        self.change()

    def explain(self, row: Row) -> ProcessMakerError:
        assert row.start is not None
        assert row.waits_for is not None
        return explain_waiting(self.starts, row.start, row.waits_for.entry, "another caller is starting it")

    # --- outcomes out -----------------------------------------------------------------------------------------------

    def end(
        self,
        row: Row,
        *,
        request: Request | None = None,
        error: Exception | None = None,
        started: bool | None = None,
    ) -> None:
        request = getattr(error, "request", None) if request is None else request
        outcome = Outcome(
            number=row.number,
            row=row.given,
            key=row.key,
            request=request,
            error=error,
            started=True if request is not None else started,
            altered=row.altered,
        )
        if row.start is not None:
            row.start.forget_attempt()  # it holds the whole block, and the block holds it
        with self.lock:
            self.under_way -= 1
            self.outcomes.append(outcome)
        self.wake_caller()
        if self.is_over:
            self.change()

    def drain(self) -> Iterator[Outcome[Any]]:
        """Yield the outcomes since it was last asked."""
        while self.outcomes:
            yield self.outcomes.popleft()
            self.change()

    def change(self) -> None:
        """Wake the workers that wait for a change."""
        self.changes += 1
        self.wake_workers()

    def stop(self) -> None:
        """Start nothing more. May be called at any time, also by a signal handler."""
        self.gate.cancelled = True
        self.change()
        self.wake_caller()

    async def drop(self) -> None:
        """After a stop: release the keys of rows that were not sent, and tell of those that were deferred."""
        with self.lock:
            held = [*self.ready, *self.pending, *(row for _, _, row in self.deferred)]
            self.ready.clear()
            self.pending.clear()
            self.deferred.clear()
        for row in held:
            if row.waits_for is not None:
                self.end(row, error=self.explain(row))
            elif row.start is not None:
                await give_back(self.starts, row.start)


def check_key_source(key: object) -> None:
    """Refuse what gives no row a key.

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
    if not callable(key):
        names = (key,) if isinstance(key, str) else key
        for name in names:
            if row.get(name) is None:
                raise InvalidData(f"the row has no {name!r}, which is to be its idempotency key. Nothing was sent.")
        return check_key(":".join(key_part(row[name], f"its {name!r}") for name in names))
    try:
        value = key(row)
    except Exception as problem:
        raise InvalidData(f"the function given as key= raised {problem!r}. Nothing was sent.") from problem
    return check_key(key_part(value, "what the function given as key= returned"))


def key_part(value: object, where: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise InvalidData(f"{where}, {value!r}, cannot be an idempotency key: it must be a str or an int")
    return str(value)


# --- by threads -----------------------------------------------------------------------------------------------------


def run_in_threads(this: Run, rows: Iterable[object]) -> Generator[Outcome[Any], None, None]:
    """Yield the outcomes of all rows. What ends after the caller has left goes into `rest`."""
    run(this.resolve())
    arrived: SimpleQueue[None] = SimpleQueue()
    changed = threading.Condition(this.lock)

    def wake_workers() -> None:
        with changed:
            changed.notify_all()

    async def wait_for_change(seen: int, seconds: float | None) -> None:
        if seconds is not None:  # until a deferred row is due; in parts, as the run may be stopped
            await this.starts.io.sleep(min(seconds, LONGEST_DEFERRAL / 8))
            return
        with changed:
            if this.changes == seen and not this.is_over:
                changed.wait()

    this.wake_workers, this.wake_caller = wake_workers, lambda: arrived.put(None)
    source: Iterator[object] | None = iter(rows)
    at_once = KEYS_IN_ONE_CALL if isinstance(rows, list | tuple) else 1
    pool = ThreadPoolExecutor(this.concurrency, "start_many")
    workers = []
    try:
        try:
            workers += [pool.submit(run, this.work(wait_for_change)) for _ in range(this.concurrency)]
        except RuntimeError as problem:
            raise ProcessMakerError(f"start_many needs threads: {problem}. Nothing was sent.") from problem
        while True:
            yield from this.drain()
            if source and this.wants_more:
                part = list(islice(source, at_once))
                this.add(part)
                if not part:
                    source, this.exhausted = None, True
                    this.change()
            elif this.is_over and not this.outcomes:
                break
            elif not this.outcomes:
                arrived.get()  # Ctrl-C, which most often comes while the caller waits here, takes nothing out
        pool.shutdown()  # after `stop`, some starts may be in flight
        run(this.drop())
        yield from this.drain()
    finally:
        this.stop()
        pool.shutdown()  # waits for what is in flight
        run(this.drop())
        this.rest += this.drain()
    for worker in workers:
        worker.result()


# --- by tasks -------------------------------------------------------------------------------------------------------


async def run_in_tasks(this: Run, rows: Iterable[object] | AsyncIterable[object]) -> AsyncGenerator[Outcome[Any], None]:
    """Yield the outcomes of all rows, as `run_in_threads` does, by tasks of the running loop."""
    await this.resolve()
    loop = asyncio.get_running_loop()
    arrived, changed = asyncio.Event(), asyncio.Event()

    def in_loop(event: asyncio.Event) -> Callable[[], object]:
        def wake() -> None:
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(event.set)

        return wake

    async def wait_for_change(seen: int, seconds: float | None) -> None:
        if seconds is not None:
            await this.starts.io.sleep(min(seconds, LONGEST_DEFERRAL / 8))
        elif this.changes == seen and not this.is_over:
            changed.clear()
            await changed.wait()

    async def read(source: AsyncIterator[object]) -> None:
        with suppress(StopAsyncIteration):
            while True:
                this.add([await anext(source)])
                while not this.wants_more and not this.is_over:
                    seen = this.changes
                    await wait_for_change(seen, None)

    this.wake_workers, this.wake_caller = in_loop(changed), in_loop(arrived)
    workers = [asyncio.create_task(this.work(wait_for_change)) for _ in range(this.concurrency)]
    reading = asyncio.create_task(read(aiter(rows))) if isinstance(rows, AsyncIterable) else None
    source = None if isinstance(rows, AsyncIterable) else iter(rows)
    try:
        while True:
            arrived.clear()
            for outcome in this.drain():
                yield outcome
            if source and this.wants_more:
                part = list(islice(source, KEYS_IN_ONE_CALL))
                this.add(part)
                if not part:
                    source, this.exhausted = None, True
                    this.change()
                continue
            if reading and reading.done():
                reading.result()  # raises what the rows raised
                reading, this.exhausted = None, True
                this.change()
            if this.is_over and not this.outcomes:
                break
            if not this.outcomes:
                await arrived.wait()
        if reading:
            reading.cancel()  # it may be long until the next row comes
        await asyncio.wait(workers)  # after `stop`, some starts may be in flight
        await this.drop()
        for outcome in this.drain():
            yield outcome
    finally:
        this.stop()
        if reading:
            reading.cancel()
        try:
            await asyncio.wait([*workers, *([reading] if reading else [])])
        finally:
            for task in workers:
                task.cancel()
            await run_to_end(this.drop())
            this.rest += this.drain()
    for task in workers:
        task.result()


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
        return self._run.rest

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

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class AsyncOutcomes(AsyncIterator[Outcome[R]]):
    """The outcomes of many starts, awaited; see `Outcomes`. In an `async with` block it is closed at its end."""

    def __init__(self, outcomes: AsyncGenerator[Outcome[R], None], this: Run) -> None:
        self._outcomes = outcomes
        self._run = this

    @property
    def rest(self) -> list[Outcome[R]]:
        """See `Outcomes.rest`."""
        return self._run.rest

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

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()
