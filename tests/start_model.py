"""A model of servers, networks and callers, in which the algorithm of starts runs step by step in simulated time.

The callers run the real coroutines of `processmaker.once` over a stand-in for the client's connection. At each await a
seeded random generator decides who goes on, what the network does to a call, and whether a caller is killed,
cancelled, or a child of a fork. So one seed is one schedule, and a schedule that fails can be run again.
"""

from __future__ import annotations

import asyncio
import copy
import heapq
import random
import re
from collections.abc import Callable, Coroutine, Generator
from contextvars import copy_context
from datetime import UTC, datetime, timedelta
from types import coroutine
from typing import Any

from attrs import define, field
from processmaker import (
    ConnectionFailed,
    Forbidden,
    IdempotencyKeyReused,
    NotFound,
    ProcessMakerError,
    RateLimited,
    RequestCanceled,
    Retries,
    StartOutcomeUnknown,
    TimedOut,
)
from processmaker.journal import MemoryJournal
from processmaker.models import Request
from processmaker.once.key import fingerprint_of
from processmaker.once.start import start_or_wait
from processmaker.once.state import Start, Starts

SITE = "https://pm.example.com"
PROCESS, OTHER_PROCESS = 4, 15
EVENT = "node_1"
LEASE = 30.0
WORK, LAG, NETWORK = 12.0, 6.0, 4.0
"""Seconds at most that the server works on a start, that its list lags, and that a call takes. Together less than the
lease: that is the condition that the algorithm is told to rely on."""


@coroutine
def pause(seconds: float = 0.0) -> Generator[float, None, None]:
    """Let others go on, and at least so many simulated seconds pass."""
    yield seconds


class Clock:
    """Simulated time."""

    def __init__(self) -> None:
        self.time = 1_000.0

    def monotonic(self) -> float:
        return self.time

    def now(self) -> datetime:
        return datetime(2026, 11, 29, tzinfo=UTC) + timedelta(seconds=self.time)


@define(eq=False)
class Made:
    """A Request on the model server."""

    id: int
    process_id: int
    data: dict[str, Any]
    user: str
    caller: Caller | None
    made_at: float
    listed_at: float
    parent: int | None = None
    status: str = "COMPLETED"
    ended_at: float | None = None

    @property
    def key(self) -> Any:
        return self.data.get("_idempotency_key")

    def row(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "uuid": f"uuid-{self.id}",
            "process_id": self.process_id,
            "status": self.status,
            "name": "Order",
            "parent_request_id": self.parent,
            "created_at": (datetime(2026, 11, 29, tzinfo=UTC) + timedelta(seconds=self.made_at)).isoformat(),
            "summary": [{"key": name, "value": value} for name, value in self.data.items()],
        }


class Server:
    """What the server keeps."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.requests: list[Made] = []

    def make(self, caller: Caller, process_id: int, body: dict[str, Any], lag: float) -> Made:
        now = self.world.clock.time
        made = Made(len(self.requests) + 1, process_id, body, caller.user, caller, now, now + lag)
        self.requests.append(made)
        if process_id == PROCESS and self.world.random.random() < 0.2:
            # A sub-process or a signal copies all data, into the same process or another one.
            parent = made.id if self.world.random.random() < 0.5 else None
            where = self.world.random.choice((PROCESS, OTHER_PROCESS)) if parent else OTHER_PROCESS
            self.requests.append(Made(made.id + 1, where, body, caller.user, None, now, now + lag, parent))
        self.world.check_one_each()
        return made

    def seen_by(self, user: str, request_id: int) -> Made:
        for made in self.requests:
            if made.id == request_id:
                if made.user != user:
                    raise Forbidden("403", method="GET", processed=False)
                return made
        raise NotFound("404", method="GET", processed=False)


@define(eq=False)
class Caller:
    """One call of `start`."""

    world: World
    number: int
    key: str
    data: dict[str, Any]
    user: str
    again: bool
    journal: MemoryJournal
    faults: bool
    process_id: int = PROCESS
    starts: ModelStarts = field(init=False)
    start: Start = field(init=False)
    coroutine: Coroutine[Any, Any, Request] = field(init=False)
    begun: bool = False
    began_at: float = 0.0
    due: float = 0.0
    request: Request | None = None
    error: BaseException | None = None
    made: list[Made] = field(factory=list)
    over: bool = False

    def __attrs_post_init__(self) -> None:
        self.starts = ModelStarts(io=ModelIO(self), journal=self.journal)  # type: ignore[arg-type]
        self.start = Start(
            process_id=self.process_id,
            event=EVENT,
            data=self.data,
            key=self.key,
            look_again_for=self.world.random.choice((0.0, 5.0, 15.0)),
            again=self.again,
        )
        self.start.owner = f"machine:1:{self.number}:x"
        self.coroutine = start_or_wait(self.starts, self.start)
        self.due = self.world.clock.time + self.world.random.choice((0.0, 0.0, self.world.random.uniform(0, 20)))

    @property
    def fingerprint(self) -> str:
        return fingerprint_of(self.process_id, EVENT, self.data)

    def go_on(self) -> None:
        if not self.begun:
            self.begun, self.began_at = True, self.world.clock.time
        try:
            if self.faults and self.world.random.random() < 0.004:
                seconds = self.coroutine.throw(asyncio.CancelledError())
            else:
                seconds = self.coroutine.send(None)
            self.due = self.world.clock.time + seconds
        except StopIteration as done:
            self.request, self.over = done.value, True
            self.world.check_told(self)
        except (Exception, asyncio.CancelledError) as error:
            self.error, self.over = error, True
            self.world.check_told(self)


class ModelStarts(Starts):
    """Others may go on before and after each step of the journal."""

    async def step(self, name: str, *args: Any, **options: Any) -> Any:
        world = self.io.caller.world  # type: ignore[attr-defined]
        await pause(world.stall(self.io.caller.faults and name != "sending"))  # type: ignore[attr-defined]
        answer = await super().step(name, *args, **options)
        # A step may take long, such as on a slow disk: too long for "sending" means to take it again.
        await pause(world.stall(self.io.caller.faults and name == "sending"))  # type: ignore[attr-defined]
        return answer


class ModelIO:
    """Stands in for the client's connection to the server."""

    site = SITE
    retries = Retries(attempts=3, max_delay=5, total=15)

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.world = caller.world
        self.clock = caller.world.clock

    async def sleep(self, seconds: float) -> None:
        await pause(seconds)

    async def call(
        self,
        request: dict[str, Any],
        read: Callable[[Any], Any],
        *,
        sending: Callable[[], Any] | None = None,
        **_: Any,
    ) -> Any:
        rnd, server, user = self.world.random, self.world.server, self.caller.user
        faults = self.caller.faults
        await pause(self.world.stall(faults))
        if faults and rnd.random() < 0.1:
            raise ConnectionFailed("refused", processed=False)
        if request["method"].upper() == "POST":
            return read((await self.post(request, sending)).row())
        await pause(rnd.uniform(0, 1))
        params = request.get("params") or {}
        if "pmql" not in params:
            made = server.seen_by(user, int(re.search(r"/requests/(\d+)", request["url"])[1]))  # type: ignore[index]
            rows: Any = made.row()
        else:
            rows = self.list_requests(str(params["pmql"]))
        await pause(rnd.uniform(0, 1))
        if faults and rnd.random() < 0.1:
            raise TimedOut("no answer to a look", processed=False)
        return read(rows)

    def list_requests(self, pmql: str) -> dict[str, Any]:
        keys = re.findall(r'"([^"]*)"', pmql)
        process_id = int(re.search(r"process_id = (\d+)", pmql)[1])  # type: ignore[index]
        newer = re.search(r"id > (\d+)", pmql)
        rows = [
            made.row()
            for made in self.world.server.requests
            if made.key in keys
            and made.process_id == process_id
            and made.user == self.caller.user
            and made.listed_at <= self.clock.time
            and made.id > int(newer[1] if newer else 0)
        ]
        return {"data": rows, "meta": {"last_page": 1, "total": len(rows)}}

    async def post(self, request: dict[str, Any], sending: Callable[[], Any] | None) -> Made:
        rnd, world = self.world.random, self.world
        if sending:
            await sending()
        fate = rnd.choice(("done", "lost", "never arrived", "busy", "done")) if self.caller.faults else "done"
        if fate == "busy":
            await pause(rnd.uniform(0, 1))
            raise RateLimited("429", method="POST", processed=False, retry_after=rnd.uniform(0, 3))
        arrives = rnd.uniform(0, NETWORK / 2)
        done = arrives + (rnd.uniform(0, WORK) if rnd.random() < 0.3 else 0.2)
        body, made = copy.deepcopy(request["json"]), []
        if fate != "never arrived":
            lag = rnd.uniform(0, LAG) if rnd.random() < 0.3 else 0.0

            def make() -> None:
                made.append(world.server.make(self.caller, self.caller.process_id, body, lag))
                self.caller.made.append(made[0])

            world.later(done, make)
        if fate != "done":
            await pause(rnd.uniform(0, NETWORK))
            raise TimedOut("no answer", processed=None)
        while not made:
            await pause(0.1)
        await pause(rnd.uniform(0, 1))
        return made[0]


class World:
    """One schedule."""

    def __init__(self, seed: int, *, keys: int = 2, callers: int = 6, users: int = 1, forks: bool = False) -> None:
        self.random = random.Random(seed)
        self.clock = Clock()
        self.server = Server(self)
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        self.number = 0
        self.finishing = False
        self.journal = self.new_journal()
        self.users = [f"user {n}" for n in range(users)]
        self.keys = [f"key-{n}" for n in range(keys)]
        self.callers: list[Caller] = []
        for _ in range(callers):
            self.add(faults=users == 1)
        if forks:
            self.later(self.random.uniform(0, 20), self.fork)

    def new_journal(self) -> MemoryJournal:
        journal = MemoryJournal(lease=LEASE)
        journal.clock = self.clock  # type: ignore[assignment]
        return journal

    def add(self, *, faults: bool, key: str | None = None, again: bool | None = None, user: str = "") -> Caller:
        rnd = self.random
        self.number += 1
        caller = Caller(
            world=self,
            number=self.number,
            key=key or rnd.choice(self.keys),
            data={"n": 1} if rnd.random() < 0.8 else {"n": 2},
            user=user or rnd.choice(self.users),
            again=rnd.random() < 0.3 if again is None else again,
            journal=self.journal,
            faults=faults,
        )
        self.callers.append(caller)
        return caller

    def later(self, seconds: float, event: Callable[[], None]) -> None:
        self.number += 1
        heapq.heappush(self.events, (self.clock.time + seconds, self.number, event))

    def stall(self, may: bool) -> float:
        """Seconds for which a caller stands still: long enough for a reservation, or a lease, to end."""
        return self.random.choice((0.0, 11.0, LEASE + 1)) if may and self.random.random() < 0.03 else 0.0

    def fork(self) -> None:
        """The starts that were sent go on in the parent, and end there; all others are made by the child."""
        if all(caller.over for caller in self.callers):
            return
        child = self.new_journal()
        child._rows = dict(self.journal._rows)
        child.in_child()
        self.journal = child
        for caller in self.callers:
            if caller.begun and caller.start.sent_at is None:
                caller.over = True
            elif not caller.begun:
                caller.starts.journal = child
            else:
                caller.faults, caller.starts.io.retries = False, None
        for _ in range(3):
            self.add(faults=True)

    def run(self, seconds: float) -> None:
        """Let all callers go on until they are over, or the time is."""
        until = self.clock.time + seconds
        while self.clock.time < until and not all(caller.over for caller in self.callers):
            waiting = [caller for caller in self.callers if not caller.over]
            next_time = min([caller.due for caller in waiting] + [time for time, _, _ in self.events[:1]])
            self.clock.time = max(self.clock.time, next_time)
            while self.events and self.events[0][0] <= self.clock.time:
                heapq.heappop(self.events)[2]()
            ready = [caller for caller in waiting if caller.due <= self.clock.time]
            if ready:
                caller = self.random.choice(ready)
                if caller.faults and self.random.random() < 0.006:
                    caller.over = True  # killed: nothing of it runs any more
                    self.add(faults=True, key=caller.key)
                else:
                    caller.go_on()
            if not self.finishing and self.random.random() < 0.002:
                self.cancel_one()
        while self.events:  # what the server was at work on
            self.clock.time = max(self.clock.time, self.events[0][0])
            heapq.heappop(self.events)[2]()

    def cancel_one(self) -> None:
        """An administrator cancels a Request."""
        if alive := [made for made in self.server.requests if made.status == "COMPLETED" and made.caller]:
            canceled = self.random.choice(alive)
            canceled.status, canceled.ended_at = "CANCELED", self.clock.time

    def finish(self) -> None:
        """The faults stop, and each key is started once more."""
        self.finishing = True
        self.clock.time += LEASE + 1
        for key in self.keys:
            # What a user may not see is known to the journal in memory for as long as the lease only.
            users = [made.user for made in self.server.requests if made.key == key and made.status == "COMPLETED"]
            caller = self.add(faults=False, key=key, again=True, user=users[0] if users else "")
            before = self.clock.time
            self.run(3 * LEASE)
            assert caller.over, f"the start of {key} did not end"
            assert self.clock.time - before < 3 * LEASE
            ok = isinstance(caller.error, IdempotencyKeyReused | Forbidden) or caller.request is not None
            assert ok, f"the start of {key} ended with {caller.error!r}"
            if caller.request is not None:
                before = self.clock.time
                next_one = self.add(faults=False, key=key, again=False, user=caller.user)
                next_one.due = before
                self.run(LEASE)
                assert self.clock.time - before < 5, f"the next start of {key} was not told at once"

    # --- what must hold ---------------------------------------------------------------------------------------------

    def check_one_each(self) -> None:
        """At most one Request that counts for a key."""
        for key in self.keys:
            alive = [
                made
                for made in self.server.requests
                if made.key == key and made.caller is not None and made.status not in ("CANCELED", "ERROR")
            ]
            assert len(alive) <= 1, f"{key} became {[made.id for made in alive]}"

    def check_told(self, caller: Caller) -> None:
        """What a caller was told is true."""
        if caller.request is not None:
            made = next(made for made in self.server.requests if made.id == caller.request.id)
            assert made.key == caller.key
            assert made.process_id == caller.process_id
            assert made.parent is None
            assert made.caller is not None, "a copy was told to be the Request of the key"
            assert made.data["_idempotency_fingerprint"] == caller.fingerprint, "told started for another payload"
        elif isinstance(caller.error, IdempotencyKeyReused):
            assert caller.error.started is False
            assert caller.error.existing.id in {made.id for made in self.server.requests if made.key == caller.key}
        elif isinstance(caller.error, ProcessMakerError):
            error = caller.error
            if error.started is False:
                own = [made.id for made in self.server.requests if made.key == caller.key and made.caller is caller]
                assert own == [], f"told that it was not started, but it is {own}"
            if isinstance(error, RequestCanceled):
                ended_at = next(made.ended_at for made in self.server.requests if made.id == error.request.id)
                assert ended_at is not None
                assert not caller.again or ended_at >= caller.began_at, "told of the Request that was to be replaced"
            known = (Forbidden, NotFound, TimedOut, ConnectionFailed, RateLimited, StartOutcomeUnknown, RequestCanceled)
            assert isinstance(error, known), repr(error)
            if error.processed is False:
                assert not caller.made or error.started is not False
        elif caller.error is not None and not isinstance(caller.error, asyncio.CancelledError):
            raise caller.error


def run_schedule(seed: int, **options: Any) -> None:
    """Run one schedule to its end, and check what must hold."""
    # In a context of its own: callers that are killed do not take back what is said of their starts.
    copy_context().run(run_in_this_context, seed, options)


def run_in_this_context(seed: int, options: dict[str, Any]) -> None:
    world = World(seed, **options)
    try:
        world.run(600)
        world.finish()
    finally:
        for caller in world.callers:
            caller.coroutine.close()  # of those that were killed; it awaits nothing
