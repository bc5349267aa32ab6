"""What all starts of one client share, one start, and the steps of the journal."""

from __future__ import annotations

import asyncio
import inspect
from collections import OrderedDict
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, Literal, TypeVar

from attrs import define, evolve, field, frozen

from ..clock import check_key_lifetime
from ..data import OnAlteredData, check_on_altered_data
from ..errors import ConfigurationError, TimedOut, sentence
from ..journal import AsyncJournal, Entry, Journal, KeyedStart, MemoryJournal
from ..journal.protocol import check_journal
from ..log import log
from ..models import Request
from ..processes import Catalog
from ..wire.call import IO, AsyncIO
from ..wire.retry import RateGate
from ..wire.transport import is_mock
from .key import check_fingerprint_without, fingerprint_of

T = TypeVar("T")

_in_this_process = MemoryJournal()
"""The journal of all clients without `journal=`. It tells servers apart by their addresses."""

REMEMBERED_ANSWERS = 1_000
"""Answers of which a client remembers for which key it got them."""

LOOK_AGAIN_FOR = 15.0
"""Seconds for which a start whose answer was lost is looked for by its key."""

ENDED_BADLY = ("ERROR", "CANCELED")
"""Status of a Request that is no answer to "did my order start?"."""

OnReusedKey = Literal["error", "warn", "ignore"]


def check_on_reused_key(how: object) -> OnReusedKey:
    """Return `how` if it is one of the three.

    Raises:
        ConfigurationError: it is not.
    """
    if how not in ("error", "warn", "ignore"):
        raise ConfigurationError(f'on_reused_key={how!r} is none of "error", "warn" and "ignore"')
    return how


@frozen
class Policy:
    """What to do about data that the server alters, and about a key that was used with other data.

    Args:
        on_altered_data: what to do before data is sent that the server would change.
        on_reused_key: what to do if the Request of the key was started with other data.
        fingerprint_without: top-level keys of the data that the fingerprint leaves out.
    """

    on_altered_data: OnAlteredData = field(default="warn", converter=check_on_altered_data)
    on_reused_key: OnReusedKey = field(default="error", converter=check_on_reused_key)
    fingerprint_without: tuple[str, ...] = field(default=(), converter=check_fingerprint_without)

    def replace(
        self,
        on_altered_data: OnAlteredData | None,
        on_reused_key: OnReusedKey | None = None,
        fingerprint_without: Sequence[str] | None = None,
    ) -> Policy:
        """Return the same policy with those of these settings that are not None."""
        return Policy(
            self.on_altered_data if on_altered_data is None else on_altered_data,
            self.on_reused_key if on_reused_key is None else on_reused_key,
            self.fingerprint_without if fingerprint_without is None else fingerprint_without,
        )


@define(kw_only=True, eq=False)
class Start:
    """One start.

    Args:
        process_id: the process.
        event: the node id of the start event.
        data: what `check_data` returned.
        key: the idempotency key, or None.
        look_again_for: seconds for which a lost start is looked for.
        again: start anew if the Request of the key has failed or was canceled.
        policy: what to do about altered data and reused keys.
        deadline: when the whole start must be over, by the client's clock; None for no bound.
        gate: holds back the starts of a run while the server wants a pause.
    """

    process_id: int
    event: str
    data: dict[str, Any]
    key: str | None = None
    look_again_for: float = LOOK_AGAIN_FOR
    again: bool = False
    policy: Policy = Policy()
    deadline: float | None = None
    gate: RateGate | None = None
    owner: str = field(default="", init=False)
    fingerprint: str | None = field(default=None, init=False)
    # What the attempt under way knows: what the journal says, what the last look found, and when that was.
    entry: Entry | None = field(default=None, init=False)
    found: Request | None = field(default=None, init=False)
    looked_at: float | None = field(default=None, init=False)
    # What outlasts an attempt: when the start was sent, unless it certainly did nothing; the id of the ended Request
    # that it replaces, which what it makes is above; and the Request once it is known.
    sent_at: float | None = field(default=None, init=False)
    newer_than: int = field(default=0, init=False)
    request: Request | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        if self.key is not None:
            self.fingerprint = fingerprint_of(self.process_id, self.event, self.data, self.policy.fingerprint_without)

    def with_ids(self, process_id: int, event: str) -> Start:
        """Return the same start of another process or start event."""
        return evolve(self, process_id=process_id, event=event)

    def keyed(self, starts: Starts) -> KeyedStart:
        """Return what the journal keeps apart."""
        return KeyedStart(starts.io.site, self.process_id, str(self.key))

    @property
    def holds_key(self) -> bool:
        """Return whether this start holds the reservation of its key, as far as it knows."""
        return self.entry is not None and self.entry.mine

    def is_replaced(self, request: Request) -> bool:
        """Return whether that Request ended badly, and this start is to replace it."""
        return self.again and request.status in ENDED_BADLY

    def forget_attempt(self) -> None:
        """Begin another attempt with nothing known."""
        self.entry = self.found = self.looked_at = None

    def seconds_left(self, starts: Starts) -> float | None:
        """Return the seconds left for the whole start; None if it has no bound.

        Raises:
            TimedOut: none are left, and nothing was sent.
        """
        if self.deadline is None:
            return None
        left = self.deadline - starts.io.clock.monotonic()
        if left <= 0 and self.sent_at is None:
            raise TimedOut("the time for this start is over. Nothing was sent.", processed=False)
        return max(left, 0.0)


@define(eq=False)
class Starts:
    """The starts of one client.

    Args:
        io: the client's connection.
        journal: holds the keys.
        policy: what to do about altered data and reused keys, if a call does not say otherwise.
        key_lifetime: how old a Request may be to be found by its key; None for any age.
        catalog: the processes that this token may start.
        answers: for the ids of the latest answers, which process and key they answered.
        too_old: up to which id Requests are too old, and when the server said so.
    """

    io: IO
    journal: Journal | AsyncJournal
    policy: Policy = Policy()
    key_lifetime: timedelta | None = field(default=None, converter=check_key_lifetime)
    catalog: Catalog = field(init=False)
    answers: OrderedDict[int, tuple[int, str]] = field(factory=OrderedDict)
    too_old: tuple[int, float] = (0, float("-inf"))

    def __attrs_post_init__(self) -> None:
        self.catalog = Catalog(self.io)

    async def step(self, name: str, *args: Any, **options: Any) -> Any:
        """Take one step of the journal, such as "reserve".

        In an asynchronous client a blocking journal runs in a thread, and a task that is cancelled meanwhile waits for
        the end of the step: before that, nobody knows what the journal says.
        """
        method = getattr(self.journal, name)
        if not isinstance(self.io, AsyncIO) or isinstance(self.journal, MemoryJournal):
            return method(*args, **options)
        if inspect.iscoroutinefunction(method):
            return await run_to_end(method(*args, **options))
        return await run_to_end(asyncio.to_thread(method, *args, **options))

    async def try_step(self, name: str, *args: Any, **options: Any) -> None:
        """Take a step whose failure must not hide what became of a start."""
        try:
            await self.step(name, *args, **options)
        except Exception as problem:
            log.warning('The journal could not take the step "%s": %s', name, sentence(problem))


def choose_journal(
    given: Journal | AsyncJournal | None, transport: object, *, asynchronous: bool = False
) -> Journal | AsyncJournal:
    """Return the journal of a client: the one that is given, that of its sandbox, or that of this process.

    Transports that wrap the network, such as for tracing, share the journal of this process. Each client of an
    `httpx.MockTransport` has one of its own, so that one test's keys are not known to the next.

    Raises:
        ConfigurationError: what is given is no journal, or one for asyncio in blocking code.
    """
    if given is not None:
        if check_journal(given) == "async" and not asynchronous:
            raise ConfigurationError(f"{given!r} is a journal for asyncio: give it to AsyncProcessMaker")
        return given
    if is_mock(transport):
        return MemoryJournal()
    own = getattr(transport, "journal", None)
    return own if isinstance(own, MemoryJournal) else _in_this_process


async def run_to_end(step: Coroutine[Any, Any, T]) -> T:
    """Await a step to its end, also if the task is cancelled meanwhile; then the cancellation goes on."""
    task = asyncio.ensure_future(step)
    try:
        return await asyncio.shield(task)
    finally:
        while not task.done():
            with suppress(asyncio.CancelledError):  # anyio cancels again at each await
                await asyncio.wait([task])
