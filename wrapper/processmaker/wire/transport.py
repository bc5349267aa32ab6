"""Connections to one server: one exchange at a time on each, within bounds of time and size.

httpx's own pool walks all its connections at each call, so `Transport` and `AsyncTransport` keep a stack of httpx
transports with one connection each, over one SSL context. Each answer is read to its end here, before it is returned:
so a connection is given back, or dropped, in one place.

What became of a call is decided from the wire: httpcore says when the first byte leaves, through the `trace` extension
of a request, which httpx documents. With `transport=`, a call counts as sent when it reaches that transport, unless the
transport cannot connect.
"""

from __future__ import annotations

import asyncio
import math
import os
import ssl
import time
import warnings
import zlib
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import aclosing, closing, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import httpx
from attrs import define

from ..errors import ConfigurationError
from ..fork import begins_anew
from .proxy import proxy_for
from .run import run

if TYPE_CHECKING:
    from ..config.settings import Settings

IDLE_SECONDS = 5.0
"""How long an unused connection is kept: less than servers keep theirs, which they close without asking."""

MAX_CONCURRENT = 100
"""Calls at a time of one AsyncProcessMaker; the others wait in a queue."""

MAX_BODY, MAX_ERROR_BODY = 64 * 1024 * 1024, 64 * 1024
"""Bytes of the longest answer, unpacked; and of what is read of an answer that is no success."""

LOCATION = "processmaker.location"
"""An extension of an answer: its Location."""

NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)
"""Exceptions that say that nothing was sent, whoever raises them."""

H = TypeVar("H", httpx.HTTPTransport, httpx.AsyncHTTPTransport)

Sending = Callable[[], Awaitable[None]]
"""The step before the first byte of a call leaves."""

Trace = Callable[[str, dict[str, Any]], Any]
"""What httpcore calls at each event, such as `connection.connect_tcp.complete`."""


class Call:
    """One API call on its way through httpx. An auth may send sign-ins before it, and the call again after a 401.

    Args:
        request: the call as it was built.
        deadline: the time (of time.monotonic) at which it must be over, sign-ins included.
        sending: awaited right before the first byte of the call itself leaves. If it raises, nothing is sent.
    """

    def __init__(self, request: httpx.Request, deadline: float = math.inf, sending: Sending | None = None) -> None:
        self.request = request
        self.method, self.path = request.method, path_of(request)  # an auth may put a key into the query later
        self.deadline = deadline
        self.sending = sending
        self.sent = False
        """Whether the call itself left, and was not answered with a 401, on which the server does nothing."""
        self.failure: Exception | None = None
        """What `sending` raised."""
        self.begin(request, deadline)

    def begin(self, request: httpx.Request, ends_at: float) -> None:
        """Begin an exchange: the call itself or a sign-in, which must be over at that time."""
        self.current, self.ends_at = request, ends_at
        self.is_sign_in = request is not self.request and not self._is_copy(request)
        self.left = False
        """Whether the first byte of the current request left."""
        self.traced = False
        """Whether httpcore tells what becomes of the current request."""
        self.received = bytearray()
        """What arrived of the body of its answer."""

    def _is_copy(self, request: httpx.Request) -> bool:
        """Whether an auth of the user's sends this request in place of the call."""
        place = without_query(path_of(request))
        return (request.method, place) == (self.method, without_query(self.path))

    async def leave(self) -> None:
        """Take the step before the first byte of the current request leaves."""
        if self.sending and not self.is_sign_in:
            try:
                await self.sending()
            except Exception as failure:
                self.failure = failure
                raise
        if self.traced and time.monotonic() >= self.ends_at:
            raise httpx.ConnectTimeout("the time for the whole exchange is over before anything was sent")
        self.left = True
        self.sent = self.sent or not self.is_sign_in

    def note_not_sent(self) -> None:
        """Note that the current request did not reach the server, or that the server did nothing on it."""
        if not self.is_sign_in:
            self.sent = False


def path_of(request: httpx.Request) -> str:
    """Return `/api/1.0/process_events/2?event=node_1`, as it goes on the wire."""
    return request.url.raw_path.decode("ascii", "replace")


def without_query(path: str) -> str:
    """Return the path without its query, into which an auth may have put a key."""
    return path.partition("?")[0]


current_call: ContextVar[Call | None] = ContextVar("processmaker.call", default=None)
"""The call that httpx is at in this thread or task: a request that an auth makes carries nothing of it."""


@define(eq=False)
class Connection(Generic[H]):
    """An httpx transport and what is known of its one connection."""

    transport: H
    ends_at: float = math.inf
    """When the exchange under way must be over."""
    idle_since: float = 0.0
    stream: Any = None
    """httpcore's network stream, once it is connected."""

    def bound_reads(self) -> None:
        """Bound each read of a blocking stream by the time that is left: a server that drips would go on for ever."""
        read = self.stream.read

        def read_in_time(max_bytes: int, timeout: float | None = None) -> bytes:
            left = self.ends_at - time.monotonic()
            if left <= 0:
                raise httpx.ReadTimeout("the time for the whole exchange is over")
            if left < math.inf:
                timeout = min(left, timeout or left)
            return read(max_bytes, timeout)  # type: ignore[no-any-return]

        self.stream.read = read_in_time


class Answer:
    """An answer as it arrives: its body is unpacked, and bounded.

    Args:
        response: the answer without its body.
        content: takes what arrives of the body.
    """

    def __init__(self, response: httpx.Response, content: bytearray) -> None:
        self._response = response
        self._content = content
        self._longest = MAX_BODY if response.is_success else MAX_ERROR_BODY
        packed = response.headers.pop("content-encoding", "").strip().lower() == "gzip"
        self._unpack = zlib.decompressobj(zlib.MAX_WBITS | 16) if packed else None

    def add(self, part: bytes) -> bool:
        """Add a part of the body. Return whether more of it is to be read: of an error the beginning is enough."""
        self._content += self._unpack.decompress(part, self._longest + 1) if self._unpack else part
        if len(self._content) <= self._longest:
            return True
        if self._response.is_success:
            raise httpx.ReadError(f"the answer has more than {self._longest} bytes")
        return False

    def whole(self) -> httpx.Response:
        # httpx looks into a Location even if it does not follow it, and fails at odd ones.
        self._response.extensions[LOCATION] = self._response.headers.pop("location", "")
        self._response.stream = httpx.ByteStream(bytes(self._content))
        self._response.read()
        return self._response


_inherited: list[object] = []
"""Connections of the parent process. If a child collected asyncio's, they would be taken out of the parent's loop."""


def trusted(verify: bool | ssl.SSLContext) -> ssl.SSLContext:
    """Return what certificates are checked against: for True the file that SSL_CERT_FILE names, else certifi's."""
    try:
        return httpx.create_ssl_context(verify=verify)
    except OSError as problem:  # ssl.SSLError is one, too
        file = os.environ.get("SSL_CERT_FILE")
        raise ConfigurationError(
            f"SSL_CERT_FILE={file!r} is not a readable file of certificates: {problem}"
        ) from problem


class _Transport(ABC, Generic[H]):
    """What blocking code and asyncio have in common."""

    owner: str
    remedy: str
    kind: type[H]
    given: Any

    def __init__(self, settings: Settings, method: str, wanted: str) -> None:
        self.given = settings.transport
        if self.given is not None and not hasattr(self.given, method):
            raise ConfigurationError(f"transport= takes {wanted} here, not {type(self.given).__name__}")
        self._site = settings.site
        self._total = math.inf if self.given is not None or settings.total is None else settings.total
        self._timeouts = settings.timeout.as_dict()
        self._idle: deque[Connection[H]] = deque()
        self._all: set[Connection[H]] = set()
        self.is_closed = False
        begins_anew(self)
        if self.given is None:
            self.ssl_context = trusted(settings.verify)
            self._proxy = proxy_for(settings.site, self.ssl_context, allow_http=settings.allow_http)
            try:  # now, and not in the middle of a start
                self._idle.append(self._open())
            except ImportError:
                raise ConfigurationError("a SOCKS proxy needs another package: pip install httpx[socks]") from None

    def __len__(self) -> int:
        """How many connections there are, used and unused."""
        return len(self._all)

    def check_open(self) -> None:
        if self.is_closed:
            raise ConfigurationError("this client is closed; use it inside its `with` block, or make a new one")

    def _open(self) -> Connection[H]:
        one = httpx.Limits(max_connections=1, max_keepalive_connections=1)
        connection = Connection[H](self.kind(verify=self.ssl_context, proxy=self._proxy, limits=one))
        self._all.add(connection)
        return connection

    async def _take(self) -> Connection[H]:
        """Return the connection used last, or a new one. Close those that were idle for too long."""
        long_ago = time.monotonic() - IDLE_SECONDS
        with suppress(IndexError):  # other threads take from the stack, too
            while self._idle[0].idle_since < long_ago:
                await self._drop(self._idle.popleft())
        with suppress(IndexError):
            return self._idle.pop()
        return self._open()

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        """Send a request and read its answer."""
        call = current_call.get() or Call(request)
        call.begin(request, min(call.deadline, time.monotonic() + self._total))
        request.extensions = {**request.extensions, "timeout": self._timeouts_for(call)}
        if self.given is not None:
            return await self._exchange(Connection(self.given), call)
        connection = await self._take()
        connection.ends_at = call.ends_at
        try:
            answer = await self._exchange(connection, call)
        except BaseException:
            await self._drop(connection)
            raise
        connection.idle_since = time.monotonic()
        self._idle.append(connection)
        if self.is_closed:  # meanwhile, by another thread or task
            await self._close_idle()
        return answer

    def _timeouts_for(self, call: Call) -> dict[str, float | None]:
        """Return the time-outs of the current request, each bounded by the time for the whole exchange."""
        # A request that an auth makes has no time-outs of its own.
        timeouts: dict[str, float | None] = call.current.extensions.get("timeout", self._timeouts)
        if call.ends_at == math.inf:
            return timeouts
        left = max(call.ends_at - time.monotonic(), 0.001)
        bounds = {"connect": left / 2, "read": left, "write": left, "pool": left}  # time for a second address
        return {phase: min(timeouts.get(phase) or bound, bound) for phase, bound in bounds.items()}

    async def _exchange(self, connection: Connection[H], call: Call) -> httpx.Response:
        """Send the current request, read its answer, and note what became of it."""
        try:
            if self.given is None:
                call.current.extensions["trace"] = self._trace_for(connection, call)
            else:
                await call.leave()  # it need not say when it sends
            answer = await self._send_and_read(connection, call)
            if not call.left:
                # Something replaces the network under httpx, such as respx or vcr: only its answer shows that.
                await call.leave()
        except Exception as problem:
            if isinstance(problem, NOT_SENT):
                call.left = False
                call.note_not_sent()
            elif not (call.left or call.traced or problem is call.failure):
                await call.leave()
            raise
        finally:
            call.current.extensions.pop("trace", None)  # a reference cycle
        if answer.status_code == 401:
            call.note_not_sent()
        return answer

    def _note(self, connection: Connection[H], call: Call, event: str, info: dict[str, Any]) -> bool:
        """Note an event of httpcore's. Return whether the first byte of the request is about to leave."""
        call.traced = True
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            connection.stream = info["return_value"]
        if event != "http11.send_request_headers.started" or info["request"].method == b"CONNECT":
            return False
        info["request"].extensions.pop("trace", None)  # nothing after this event matters
        return True

    @abstractmethod
    def _trace_for(self, connection: Connection[H], call: Call) -> Trace:
        """Return a function that notes httpcore's events."""

    @abstractmethod
    async def _send_and_read(self, connection: Connection[H], call: Call) -> httpx.Response:
        """Send the current request and read the answer, within its time."""

    @abstractmethod
    async def _drop(self, connection: Connection[H]) -> None:
        """Close a connection, which is not used again."""

    async def _close_idle(self) -> None:
        with suppress(IndexError):
            while True:
                await self._drop(self._idle.pop())

    def in_child(self) -> None:
        """The connections are the parent's: here they are neither used nor closed."""
        _inherited.append(self._all)
        self._all, self._idle = set(), deque()

    def __del__(self) -> None:
        if any(connection.stream for connection in getattr(self, "_all", ())):
            words = f"{self.owner}({self._site!r}) was not closed: {self.remedy}, which closes its connections"
            warnings.warn(words, ResourceWarning, stacklevel=2, source=self)


class Transport(_Transport[httpx.HTTPTransport], httpx.BaseTransport):
    """The connections of blocking code: as many as threads make calls at a time."""

    owner = "ProcessMaker"
    remedy = "use it in a `with` block, or call its close()"
    kind = httpx.HTTPTransport

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, "handle_request", "an httpx.BaseTransport")

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return run(self._handle(request))

    def _trace_for(self, connection: Connection[httpx.HTTPTransport], call: Call) -> Trace:
        def trace(event: str, info: dict[str, Any]) -> None:
            stream = connection.stream
            if self._note(connection, call, event, info):
                run(call.leave())
            if connection.stream is not stream:
                connection.bound_reads()

        return trace

    async def _send_and_read(self, connection: Connection[httpx.HTTPTransport], call: Call) -> httpx.Response:
        response = connection.transport.handle_request(call.current)
        answer = Answer(response, call.received)
        stream: Any = response.stream
        with closing(stream):
            for part in stream:
                if not answer.add(part):
                    break
        return answer.whole()

    async def _drop(self, connection: Connection[httpx.HTTPTransport]) -> None:
        self._all.discard(connection)
        with suppress(Exception):
            connection.transport.close()
        if connection.stream:
            connection.stream.close()

    def close(self) -> None:
        """Close the idle connections; busy ones are closed when they come back."""
        self.is_closed = True
        if self.given is not None:
            self.given.close()
        run(self._close_idle())

    def __del__(self) -> None:
        super().__del__()
        for connection in list(getattr(self, "_all", ())):
            run(self._drop(connection))


class AsyncTransport(_Transport[httpx.AsyncHTTPTransport], httpx.AsyncBaseTransport):
    """The connections of the tasks of one event loop."""

    owner = "AsyncProcessMaker"
    remedy = "use it in an `async with` block, or await its close()"
    kind = httpx.AsyncHTTPTransport

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, "handle_async_request", "an httpx.AsyncBaseTransport")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._queue = asyncio.Semaphore(MAX_CONCURRENT)
        self._closing: set[asyncio.Future[None]] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.given is not None:
            return await self._handle(request)
        async with self._queue:
            return await self._handle(request)

    def check_loop(self) -> None:
        """Connections belong to the loop that opened them: in another one httpx fails, or waits for ever."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise ConfigurationError(
                "AsyncProcessMaker needs a running asyncio loop, and there is none here; under trio, use ProcessMaker "
                "in trio.to_thread.run_sync(…)"
            ) from None
        self._loop = self._loop or loop
        if self.given is None and self._loop is not loop:
            raise ConfigurationError(
                "this client was used in another event loop before, such as that of an earlier asyncio.run; make one "
                "client for each loop, or use ProcessMaker, which threads may share"
            )

    def _trace_for(self, connection: Connection[httpx.AsyncHTTPTransport], call: Call) -> Trace:
        async def trace(event: str, info: dict[str, Any]) -> None:
            if self._note(connection, call, event, info):
                await call.leave()

        return trace

    async def _send_and_read(self, connection: Connection[httpx.AsyncHTTPTransport], call: Call) -> httpx.Response:
        async with until(call.ends_at):
            response = await connection.transport.handle_async_request(call.current)
            answer = Answer(response, call.received)
            stream: Any = response.stream
            async with aclosing(stream):
                async for part in stream:
                    if not answer.add(part):
                        break
            return answer.whole()

    async def _drop(self, connection: Connection[httpx.AsyncHTTPTransport]) -> None:
        self._all.discard(connection)
        # In a task of its own: under anyio each await of a cancelled one fails.
        closing = asyncio.ensure_future(self._close(connection))
        self._closing.add(closing)  # a loop itself does not keep its tasks
        closing.add_done_callback(self._closing.discard)
        await asyncio.shield(closing)

    async def _close(self, connection: Connection[httpx.AsyncHTTPTransport]) -> None:
        with suppress(Exception):
            await connection.transport.aclose()
        with suppress(Exception):
            if connection.stream:  # if the TLS handshake was cancelled, httpcore has lost it
                await connection.stream.aclose()

    async def aclose(self) -> None:
        """Close the idle connections; busy ones are closed when they come back."""
        self.check_loop()
        self.is_closed = True
        if self.given is not None:
            await self.given.aclose()
        await self._close_idle()

    def in_child(self) -> None:
        super().in_child()
        self._loop, self._queue = None, asyncio.Semaphore(MAX_CONCURRENT)


def until(deadline: float) -> asyncio.Timeout:
    """Like asyncio.timeout, for a time of time.monotonic."""
    return asyncio.timeout(None if deadline == math.inf else deadline - time.monotonic())


def is_mock(transport: object) -> bool:
    """Return whether a function answers in place of a server."""
    return isinstance(transport, httpx.MockTransport)
