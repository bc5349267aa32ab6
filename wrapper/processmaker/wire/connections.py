"""Connections to one server: a stack of httpx clients, each used by one call at a time and holding one connection.

httpcore's own pool walks all its connections at each call, now and then closes one that another thread has just begun
to use (encode/httpcore#1110), and loses places to tasks that are canceled (encode/httpcore#1093). A client for each
connection costs 0.6 ms when it is made, over one SSL context, which costs 20 ms; httpx still does all it does about
proxies and the environment.

A client whose exchange ended in any exception, also by cancellation, is closed and not used again.
"""

from __future__ import annotations

import asyncio
import time
import warnings
from collections import deque
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import httpx
from attrs import define

from ..errors import ConfigurationError
from ..fork import begins_anew
from .http import HTTPResponse, check_transport, keep_answer, proxy_errors, trusted
from .watch import DEADLINE, AsyncBackend, Backend, Watch, expect_asyncio

if TYPE_CHECKING:
    from ..config.settings import Settings

KEPT_FOR = 5.0
"""Seconds that an unused connection is kept: less than servers do, which close theirs without asking."""

WIDTH = 100
"""Calls at a time of one AsyncProcessMaker; the others wait their turn."""

_of_the_parent: list[object] = []
"""Kept from being collected."""

C = TypeVar("C", httpx.Client, httpx.AsyncClient)


@define(eq=False)
class _One(Generic[C]):
    """A client with its connection."""

    client: C
    watch: Watch
    unused_since: float = 0.0


class _Connections(Generic[C]):
    """What blocking code and asyncio have in common."""

    whose: str
    way_out: str

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._arguments = settings.for_httpx()
        self._idle: deque[_One[C]] = deque()
        self._all: set[_One[C]] = set()
        self.is_closed = False
        self.own = settings.transport is None
        if self.own:
            self._arguments["verify"] = trusted(settings.verify)
        begins_anew(self)

    def __len__(self) -> int:
        """How many connections there are, used and unused."""
        return len(self._all)

    def _first(self) -> _One[C] | None:
        """The client for a transport that is given. Else one is made for the first call: a proxy that cannot be used

        shows here, and not in the middle of a start.
        """
        with proxy_errors(used=self.own and self._arguments["trust_env"]):
            first = self._new()
        self._headers = first.client.headers
        if not self.own:
            return first
        self._put_back(first)
        return None

    def _new(self) -> _One[C]:
        raise NotImplementedError

    def _check_open(self) -> None:
        if self.is_closed:
            raise ConfigurationError("this client is closed; use it inside its `with` block, or make a new one")

    def _made(
        self,
        *,
        url: str,
        params: dict[str, Any] | None = None,
        headers: Any = None,
        timeout: httpx.Timeout | None = None,
        extensions: dict[str, Any] | None = None,
        **others: Any,
    ) -> httpx.Request:
        """The request for these arguments of httpx's `request`. What httpx would merge for each anew is at hand."""
        base = self._settings.api_url if url.startswith("/") else ""
        address = _address(base + url, *(params or ()), *(params or {}).values())
        merged = httpx.Headers(self._headers)
        if headers:
            merged.update(headers)
        # httpx 0.27 adds its client's time-outs only to what that client made.
        timeouts = (self._settings.timeout if timeout is None else timeout).as_dict()
        return httpx.Request(
            url=address, headers=merged, extensions={"timeout": timeouts, **(extensions or {})}, **others
        )

    def _kept(self) -> tuple[_One[C] | None, list[_One[C]]]:
        """The connection used last, if one is free, and those that have been unused for too long."""
        long_ago = time.monotonic() - KEPT_FOR
        stale: list[_One[C]] = []
        with suppress(IndexError):  # other threads take from it, too
            while self._idle[0].unused_since < long_ago:
                stale.append(self._idle.popleft())
        with suppress(IndexError):
            return self._idle.pop(), stale
        return None, stale

    def _put_back(self, one: _One[C]) -> None:
        one.unused_since = time.monotonic()
        self._idle.append(one)

    def in_child(self) -> None:
        """The connections are the parent's; here they are neither used nor shut down, nor collected: that would close

        them, take them out of the parent's event loop, or wait for a lock that a thread of the parent held.
        """
        _of_the_parent.append(self._all)
        self._all, self._idle = set(), deque()

    def __del__(self) -> None:
        if any(one.watch.streams for one in getattr(self, "_all", ())):
            words = (
                f"{self.whose}({self._settings.site!r}) was not closed: {self.way_out}, which closes its connections"
            )
            warnings.warn(words, ResourceWarning, stacklevel=2, source=self)


class Connections(_Connections[httpx.Client]):
    """The connections of blocking code: as many as threads make calls at a time."""

    whose = "ProcessMaker"
    way_out = "use it in a `with` block, or call its close()"

    def __init__(self, settings: Settings) -> None:
        check_transport(settings.transport, "handle_request", "an httpx.BaseTransport")
        super().__init__(settings)
        self._given = self._first()

    def request(self, arguments: dict[str, Any]) -> HTTPResponse:
        """One exchange, with `arguments` as httpx's `request` takes them."""
        self._check_open()
        request = self._made(**arguments)
        if self._given:
            return self._given.client.send(request)
        one, stale = self._kept()
        for other in stale:
            self._drop(other)
        one = one or self._new()
        self._all.add(one)
        try:
            response = one.client.send(request)
        except BaseException as problem:
            self._drop(one)
            if one.watch.missed and isinstance(problem, httpx.TransportError):
                raise _missed(problem) from problem
            raise
        if _holds_more(one.client):
            self._drop(one)
            return response
        self._put_back(one)
        if self.is_closed:
            self.close()
        return response

    def close(self) -> None:
        self.is_closed = True
        if self._given:
            self._given.client.close()
        with suppress(IndexError):
            while True:
                self._drop(self._idle.pop())

    def _new(self) -> _One[httpx.Client]:
        watch = Watch(self._settings.total)
        client = httpx.Client(
            **self._arguments, event_hooks={"request": [watch.begin], "response": [watch.answered, keep_answer]}
        )
        if self.own:
            _lay_hand(client, Backend(watch))
        return _One(client, watch)

    def _drop(self, one: _One[httpx.Client]) -> None:
        self._all.discard(one)
        for stream in one.watch.streams:  # also one that was cut off before httpcore had it
            with suppress(Exception):
                stream.close()
        with suppress(Exception):
            one.client.close()

    def in_child(self) -> None:
        for one in self._all:
            one.watch.abandon()
        super().in_child()

    def __del__(self) -> None:
        super().__del__()
        for one in list(getattr(self, "_all", ())):
            self._drop(one)


class AsyncConnections(_Connections[httpx.AsyncClient]):
    """The connections of the tasks of one event loop, so many at a time."""

    whose = "AsyncProcessMaker"
    way_out = "use it in an `async with` block, or await its close()"

    def __init__(self, settings: Settings) -> None:
        check_transport(settings.transport, "handle_async_request", "an httpx.AsyncBaseTransport")
        super().__init__(settings)
        self._given = self._first()
        expect_asyncio()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turns = asyncio.Semaphore(WIDTH)

    async def request(self, arguments: dict[str, Any]) -> HTTPResponse:
        """One exchange, with `arguments` as httpx's `request` takes them."""
        self._check_open()
        self._check_loop()
        request = self._made(**arguments)
        if self._given:
            return await self._given.client.send(request)
        await self._turn(request)
        try:
            return await self._exchange(request)
        finally:
            self._turns.release()

    async def _turn(self, request: httpx.Request) -> None:
        deadline = request.extensions.get(DEADLINE)
        if deadline is None or not self._turns.locked():
            await self._turns.acquire()
            return
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                await self._turns.acquire()
        except TimeoutError:
            words = "the calls before this one took all its time"
            raise httpx.PoolTimeout(words, request=request) from None

    async def _exchange(self, request: httpx.Request) -> HTTPResponse:
        self._check_open()
        one, stale = self._kept()
        one = one or self._new()
        self._all.add(one)
        try:
            for other in stale:
                await self._drop(other)
            response = await one.client.send(request)
        except BaseException as problem:
            await self._drop(one)
            if one.watch.missed and isinstance(problem, httpx.TransportError):
                raise _missed(problem) from problem
            raise
        if _holds_more(one.client):
            await self._drop(one)
            return response
        _unlock(one.client)
        self._put_back(one)
        if self.is_closed:
            await self.close()
        return response

    async def close(self) -> None:
        self._check_loop()
        self.is_closed = True
        if self._given:
            await self._given.client.aclose()
        with suppress(IndexError):
            while True:
                await self._drop(self._idle.pop())

    def _check_loop(self) -> None:
        """Kept connections belong to the loop that opened them: in another one httpx fails, or waits for ever."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise ConfigurationError(
                "AsyncProcessMaker needs a running asyncio loop, and there is none here; under trio, use ProcessMaker "
                "in trio.to_thread.run_sync(…)"
            ) from None
        self._loop = self._loop or loop
        if self.own and self._loop is not loop:
            raise ConfigurationError(
                "this client was used in another event loop before, such as that of an earlier asyncio.run; make one "
                "client for each loop, or use ProcessMaker, which threads may share"
            )

    def _new(self) -> _One[httpx.AsyncClient]:
        watch = Watch(self._settings.total)

        async def begin(request: httpx.Request) -> None:
            watch.begin(request)

        async def answered(response: httpx.Response) -> None:
            watch.answered(response)
            keep_answer(response)

        client = httpx.AsyncClient(**self._arguments, event_hooks={"request": [begin], "response": [answered]})
        if self.own:
            _lay_hand(client, AsyncBackend(watch))
        return _One(client, watch)

    async def _drop(self, one: _One[httpx.AsyncClient]) -> None:
        self._all.discard(one)
        for stream in one.watch.streams:
            with suppress(Exception):
                await stream.aclose()
        with suppress(Exception):
            await one.client.aclose()

    def in_child(self) -> None:
        super().in_child()
        self._loop, self._turns = None, asyncio.Semaphore(WIDTH)


@lru_cache(maxsize=256, typed=True)
def _address(url: str, *query: Any) -> httpx.URL:
    """The address with these names and then these values: starts of one process have the same."""
    half = len(query) // 2
    params = httpx.QueryParams(dict(zip(query[:half], query[half:], strict=True)))
    return httpx.URL(f"{url}?{params}" if params else url)


def _lay_hand(client: Any, backend: object) -> None:
    """Has the client connect through `backend`. Without it, httpx's own time-outs are the only ones."""
    with suppress(AttributeError):  # in another version of httpx
        for transport in (client._transport, *client._mounts.values()):
            if transport is not None:  # of an address under NO_PROXY
                transport._pool._network_backend = backend


def _holds_more(client: Any) -> bool:
    """Whether more has arrived than the answers that were taken: h11 would take the rest for the answer to the next

    call. Where that cannot be seen, in another version of httpcore, that call is unknown; see `Watch.answered`.
    """
    with suppress(AttributeError):
        for transport in (client._transport, *client._mounts.values()):
            for connection in transport._pool.connections if transport else ():
                while hasattr(connection, "_connection"):
                    connection = connection._connection
                if connection._h11_state.trailing_data[0]:
                    return True
    return False


class _Unlocked:
    """In place of a lock that only one call at a time can want."""

    async def __aenter__(self) -> None: ...

    async def __aexit__(self, *_: object) -> None: ...


_UNLOCKED = _Unlocked()


def _unlock(client: Any) -> None:
    """Takes httpcore's locks off a connection that one call at a time uses.

    At each, anyio lets all other tasks run first: tasks whose answers come together would then send together, too,
    and wait for one another in every round.
    """
    with suppress(AttributeError):  # in another version of httpcore, or of HTTP
        for connection in client._transport._pool.connections:
            connection._request_lock = connection._connection._state_lock = _UNLOCKED


def _missed(problem: httpx.TransportError) -> httpx.ConnectError:
    words = "the server closed the connection, and received nothing of the call"
    return httpx.ConnectError(words, request=problem.request)
