"""What a journal of starts is: its steps, and the values they speak of.

An entry is kept for a server, a process id and an idempotency key. It is in one of these states:

    reserved   its owner has sent nothing yet; taken over after RESERVATION seconds, which is always safe
    sending    the first byte of a start left at `since`, or is about to; taken over when the lease is over
    unknown    its owner gave up: whether the start of `since` made a Request is not known; taken over when the lease
               is over
    started    the key was started as Request `request_id`

A take-over keeps what was there before: releasing the entry restores that state.

A journal on another database is a class with the methods of `Journal` or `AsyncJournal`.
"""

from __future__ import annotations

import inspect
import os
import secrets
import socket
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Literal, Protocol

from attrs import frozen

from ..clock import is_seconds
from ..errors import ConfigurationError

DEFAULT_LEASE = 90.0
"""Seconds: a little over the 60 that nginx waits for PHP by default (fastcgi_read_timeout)."""

RESERVATION = 10.0
"""Seconds after which another caller takes over a reservation. Nothing was sent under it, so this is safe."""

State = Literal["reserved", "sending", "unknown", "started"]


@frozen
class KeyedStart:
    """What a journal keeps apart: the server, the process and the idempotency key, each compared exactly."""

    server: str
    """The server's address, such as `https://pm.example.com`."""
    process_id: int
    key: str


@frozen(kw_only=True)
class Entry:
    """What a journal says of one start."""

    start: KeyedStart
    state: State
    owner: str
    """Who reserved it, is sending it, gave it up, or recorded it."""
    since: datetime
    """When it was reserved, sent (also if it is `unknown`) or started. It has a time zone, and is by the journal's
    clock."""
    age: float
    """The seconds since then by the journal's clock, at least 0."""
    request_id: int | None = None
    """If it was started: its Request. Otherwise: the ended Request that it replaces, if it replaces one."""
    uuid: str | None = None
    """The uuid of that Request, if it was recorded."""
    fingerprint: str | None = None
    """The fingerprint of that Request's data, if it was recorded."""
    mine: bool = False
    """In an answer to `reserve`: the caller holds the reservation."""


class Journal(Protocol):
    """A journal of starts.

    Each method is one step: atomic among all callers, and durable when it returns. If its answer was lost, a step can
    be taken again with the same result. Every error is a `JournalError`; `transient` says whether the same step may
    work later. An exception that a signal handler raises during a step comes out unchanged. (Of a `RedisJournal` an
    OSError, such as TimeoutError, does not: redis-py takes it for one of its connection's.)

    A journal measures time with its own clock. Objects are used by several threads at once, and by child processes
    after a fork.
    """

    lease: float
    """Seconds after which a start that is `sending` or `unknown` is taken over by the next caller.

    It has to be longer than the server works on one start plus the lag of its list; otherwise a second Request is made.
    nginx gives up after its fastcgi_read_timeout (60 s unless set), but PHP works on: until php-fpm's
    request_terminate_timeout, if that is set (PHP's own max_execution_time does not count the time spent waiting, such
    as for the database). If it is not set, nothing ends a start; then choose more than the longest one seen. The
    lease of the caller who takes over is what counts.
    """

    def reserve(self, starts: Sequence[tuple[KeyedStart, str]], *, replace: int | None = None) -> list[Entry]:
        """Reserve starts. Each one is an atomic step; all of them are one transaction, or share their round trips.

        For each start and owner:

        - Nothing is there: it is reserved by the owner.
        - It is reserved by the same owner: it still is, since now.
        - It is `sending` by the same owner: unchanged, and not `mine`.
        - It is reserved by another for longer than RESERVATION: taken over.
        - It is `sending` or `unknown` for longer than `lease`: taken over. `release` then restores `unknown`, since the
          time it was sent.
        - It was started as Request `replace`: reserved. The Request is kept, and `release` restores it.
        - Otherwise it is unchanged, and not `mine`.

        Args:
            starts: what is to be reserved, each with its owner: another text for each call of `start`, or row of
                `start_many`. If a start is given twice, the second one is not `mine`.
            replace: the id of the ended Request that a new one is to replace.

        Returns:
            The entry of each start after that, in the same order.
        """
        ...

    def sending(self, start: KeyedStart, owner: str) -> bool:
        """Record that the first byte is about to leave. Called again before it is sent again.

        Returns:
            True if `owner` still holds it, as reserved or `sending`: it is `sending` since now. False if not: nothing
            has changed, and nothing may be sent.
        """
        ...

    def started(
        self, start: KeyedStart, owner: str, request_id: int, *, uuid: str | None = None, fingerprint: str | None = None
    ) -> bool:
        """Record the Request as which it was started.

        Returns:
            True if it was recorded: `owner` holds it, as reserved, `sending` or `unknown`.
        """
        ...

    def unknown(self, start: KeyedStart, owner: str) -> bool:
        """Record that `owner` sent it, and gives up without knowing whether a Request was made.

        Returns:
            True if `owner` was sending it. It is `unknown` since the time it was sent.
        """
        ...

    def release(self, start: KeyedStart, owner: str) -> bool:
        """Give it back: certainly nothing that `owner` sent was processed.

        Returns:
            True if `owner` held it, as reserved or `sending`. It is as it was before the reservation.
        """
        ...

    def read(self, start: KeyedStart) -> Entry | None:
        """What is there of this start, without changing it. None if nothing is."""
        ...

    def entries(self, *, started: bool = False) -> Iterator[Entry]:
        """The entries that are not `started`, in no particular order; with `started`, all of them."""
        ...

    def forget(self, start: KeyedStart, *, request_id: int | None = None) -> bool:
        """Remove an entry.

        An entry that is not `started` may be removed only when its owner, and the server, are known to be done.

        Args:
            start: whose entry.
            request_id: remove it only if it was started as this Request.

        Returns:
            Whether it was removed.
        """
        ...

    def prune(self, older_than: timedelta) -> int:
        """Remove the entries that were `started` longer ago than that. Returns how many there were."""
        ...


class AsyncJournal(Protocol):
    """The same for asyncio, for an `AsyncProcessMaker`. The steps are described at `Journal`."""

    lease: float

    async def reserve(self, starts: Sequence[tuple[KeyedStart, str]], *, replace: int | None = None) -> list[Entry]: ...

    async def sending(self, start: KeyedStart, owner: str) -> bool: ...

    async def started(
        self, start: KeyedStart, owner: str, request_id: int, *, uuid: str | None = None, fingerprint: str | None = None
    ) -> bool: ...

    async def unknown(self, start: KeyedStart, owner: str) -> bool: ...

    async def release(self, start: KeyedStart, owner: str) -> bool: ...

    async def read(self, start: KeyedStart) -> Entry | None: ...

    def entries(self, *, started: bool = False) -> AsyncIterator[Entry]: ...

    async def forget(self, start: KeyedStart, *, request_id: int | None = None) -> bool: ...

    async def prune(self, older_than: timedelta) -> int: ...


STEPS = ("reserve", "sending", "started", "unknown", "release", "read", "forget", "prune")
"""The methods that are coroutine functions in an `AsyncJournal`. There, `entries` returns an asynchronous iterator."""


def check_journal(journal: object) -> Literal["blocking", "async"]:
    """Return which protocol an object has: "blocking" for `Journal`, "async" for `AsyncJournal`.

    Raises:
        ConfigurationError: it has neither.
    """
    missing = [name for name in (*STEPS, "entries", "lease") if not hasattr(journal, name)]
    if missing or isinstance(journal, type):
        lacks = f"it lacks {', '.join(missing)}" if missing else "it is a class"
        raise ConfigurationError(f"{journal!r} is no journal: {lacks}; see processmaker.journal.Journal")
    check_lease(journal.lease)  # type: ignore[attr-defined]  # it is there, as checked above
    coroutines = [name for name in STEPS if inspect.iscoroutinefunction(getattr(journal, name))]
    if coroutines and len(coroutines) < len(STEPS):
        raise ConfigurationError(
            f"the journal {journal!r} is half blocking and half asynchronous; make all of its methods one or the other "
            f"(asynchronous: {', '.join(coroutines)})"
        )
    return "async" if coroutines else "blocking"


def new_owner() -> str:
    """Return a name for one call of `start`: its machine, process and thread, and a random part."""
    return f"{socket.gethostname()}:{os.getpid()}:{threading.get_ident()}:{secrets.token_hex(8)}"


def check_lease(lease: object) -> float:
    """Return the lease as a float.

    Raises:
        ConfigurationError: it is not a number of seconds above 0.
    """
    if not is_seconds(lease) or not lease:
        raise ConfigurationError(
            f"lease={lease!r} is not a number of seconds above 0; it has to be longer than the server works on one "
            f"start, such as {DEFAULT_LEASE:g}"
        )
    return float(lease)  # type: ignore[arg-type]


def check_age(name: str, age: timedelta) -> timedelta:
    """Return the length of time unchanged.

    Raises:
        ConfigurationError: it is not a timedelta, or is negative.
    """
    if not isinstance(age, timedelta) or age < timedelta(0):
        raise ConfigurationError(f"{name}={age!r} is not a length of time from 0, such as timedelta(days=90)")
    return age
