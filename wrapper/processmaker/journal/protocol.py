"""What a journal of starts is: its steps, and the values they speak of."""

from __future__ import annotations

import inspect
import os
import secrets
import socket
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from typing import Protocol, TypeGuard

from attrs import frozen

from ..clock import is_seconds
from ..errors import ConfigurationError

DEFAULT_LEASE = 90.0
"""Seconds: a little over the 60 that nginx waits for PHP by default (fastcgi_read_timeout)."""


@frozen
class KeyedStart:
    """What a journal keeps apart: the server, the process and the idempotency key, each compared exactly."""

    server: str
    """The server's address, such as `https://pm.example.com`."""
    process_id: int
    key: str


@frozen(kw_only=True)
class Entry:
    """What a journal says of one start: it is being sent (`request_id` is None), or it was started."""

    start: KeyedStart
    owner: str
    """Who is sending it; or who said as what it was started."""
    request_id: int | None = None
    """The Request as which it was started."""
    since: datetime
    """When it was last claimed, or when it was started (with a time zone, by the journal's clock)."""
    silent_for: float
    """The seconds since then, as the journal's clock counts them."""
    taken_over: bool = False
    """Its owner took it over from another one, of whose sending nothing is known: look before sending."""
    mine: bool = False
    """For the answer to a claim: it is being sent by the one who claimed, who may send."""


class Journal(Protocol):
    """A journal of starts. Each method is one step: atomic among all callers, and durable when it returns.

    A step may be called again when its answer was lost, and then has the same result. Every error is to be a
    `JournalError` (its `transient` says whether the same call may work later); nothing is sent after one.
    Objects are used by several threads at once, and by child processes after a fork.
    """

    lease: float
    """Seconds after which a start that is being sent, and was not claimed anew meanwhile, may be taken over.

    It has to be longer than the server works on one start, or a second one is sent beside the first. nginx gives up
    after its fastcgi_read_timeout (60 s unless set), but PHP works on: until php-fpm's request_terminate_timeout, where
    that is set (PHP's own max_execution_time does not count the time spent waiting, such as for the database). Where it
    is not set nothing ends a start; then choose more than the longest one seen. The lease also has to be longer than a
    caller may stand still between its claim and its sending. The lease of the one who claims is what counts.
    """

    def claim(self, start: KeyedStart, owner: str) -> Entry:
        """Says that `owner` is sending this start, if that may be; the entry after that, `mine` if so.

        - Nothing there: it is now being sent by `owner`.
        - Being sent by `owner`: it still is, since now. A sender claims anew before each time it sends.
        - Being sent by another, and silent for longer than `lease`: taken over, it is now being sent by `owner`. The
          entry is `taken_over` from then on, also when it is claimed anew.
        - Being sent by another, and not silent for that long: unchanged.
        - Started: unchanged.

        Args:
            start: what is to be sent.
            owner: who wants to send it; another text for each call of a client's `start`.
        """
        ...

    def started(self, start: KeyedStart, owner: str, request_id: int) -> None:
        """Says that this start became that Request, whoever was sending it: that is a fact.

        Where it was started as another Request before, that one stays, and it is no error.
        """
        ...

    def release(self, start: KeyedStart, owner: str) -> None:
        """Takes back that `owner` is sending it, as it certainly was not processed. Does nothing if that is not so."""
        ...

    def entries(self, *, started: bool = False) -> Iterator[Entry]:
        """What is being sent, in no particular order; with `started`, also what was started."""
        ...

    def read(self, start: KeyedStart) -> Entry | None:
        """What is said of this start, and changes nothing; None where nothing is."""
        ...

    def forget(self, start: KeyedStart, *, request_id: int | None = None) -> bool:
        """Removes what is said of this start; whether it did.

        A start that is being sent is to be forgotten only once it is known that its sender, and the server, are done.

        Args:
            start: the start.
            request_id: only where it was started as this Request: so that a new one can be started on purpose.
        """
        ...

    def prune(self, older_than: timedelta) -> int:
        """Removes what was started longer ago than that, and nothing that is being sent; how many there were."""
        ...


class AsyncJournal(Protocol):
    """The same for asyncio, for an `AsyncProcessMaker`; the steps are described at `Journal`."""

    lease: float

    async def claim(self, start: KeyedStart, owner: str) -> Entry: ...

    async def started(self, start: KeyedStart, owner: str, request_id: int) -> None: ...

    async def release(self, start: KeyedStart, owner: str) -> None: ...

    def entries(self, *, started: bool = False) -> AsyncIterator[Entry]: ...

    async def read(self, start: KeyedStart) -> Entry | None: ...

    async def forget(self, start: KeyedStart, *, request_id: int | None = None) -> bool: ...

    async def prune(self, older_than: timedelta) -> int: ...


def is_async(journal: Journal | AsyncJournal) -> TypeGuard[AsyncJournal]:
    """Whether its steps are coroutine functions."""
    return inspect.iscoroutinefunction(journal.claim)


def new_owner() -> str:
    """A name for one call of `start`, that tells a person which machine and process it is."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(8)}"


def check_lease(lease: float) -> float:
    """The lease, if it is one.

    Raises:
        ConfigurationError: it is not a number of seconds above 0.
    """
    if not is_seconds(lease) or lease == 0:
        raise ConfigurationError(
            f"lease={lease!r} is not a number of seconds above 0; it has to be longer than the server works on one "
            f"start, such as {DEFAULT_LEASE:g}"
        )
    return float(lease)


def check_age(name: str, age: timedelta) -> timedelta:
    if not isinstance(age, timedelta) or age < timedelta(0):
        raise ConfigurationError(f"{name}={age!r} is not a length of time from 0, such as timedelta(days=90)")
    return age
