"""Connections to one server: one exchange at a time on each, within bounds of time and size.

httpx's own pool walks all its connections at each call, so `Transport` and `AsyncTransport` keep a stack of httpx
transports with one connection each, over one SSL context. Each answer is read to its end here, before it is returned:
so a connection is given back, or dropped, in one place.

What became of a call is decided from the wire: httpcore says when the first byte leaves, through the `trace` extension
of a request, which httpx documents. A transport that emits no such events, such as a mock, counts as having sent
whatever reaches it, unless it fails to connect.
"""

from __future__ import annotations

import asyncio
import math
import os
import socket
import ssl
import threading
import time
import warnings
import zlib
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import ContextVar
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import httpx
from attrs import define

from ..errors import ConfigurationError
from ..fork import begins_anew
from .proxy import proxy_errors, proxy_for
from .run import run

if TYPE_CHECKING:
    from ..config.settings import Settings

IDLE_SECONDS = 5.0
"""How long an unused connection is kept: less than servers keep theirs, which they close without asking."""

MAX_CONCURRENT = 100
"""Calls at a time of one AsyncProcessMaker; the others wait in a queue."""

MAX_BODY, MAX_ERROR_BODY = 64 * 1024 * 1024, 64 * 1024
"""Bytes that are read of an answer, unpacked, and of one that is no success."""

SIGN_IN = "processmaker.sign_in"
"""Marks a request as a sign-in, among its extensions: it is not the call itself."""

TRUNCATED, LOCATION = "processmaker.truncated", "processmaker.location"
"""Extensions of an answer: it was longer than what is read, and the Location that httpx must not see."""

NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)
"""Exceptions that say that nothing was sent, whoever raises them."""

T = TypeVar("T")
H = TypeVar("H", httpx.HTTPTransport, httpx.AsyncHTTPTransport)

Sending = Callable[[], Awaitable[None]]
"""The step before the first byte of a call leaves."""


class Call:
    """One API call on its way through httpx. An auth may send sign-ins before it, and the call again after a 401.

    Args:
        request: the call as it was built.
        deadline: the time (of time.monotonic) at which it must be over, sign-ins included.
        sending: awaited right before the first byte of the call itself leaves. If it raises, nothing is sent.
    """

    def __init__(self, request: httpx.Request, deadline: float = math.inf, sending: Sending | None = None) -> None:
        self.request = request
        self.method, self.path = request.method, path_of(request)
        self.deadline = deadline
        self.sending = sending
        self.latest = request
        """The request that was sent last, or was about to be: the call itself or a sign-in."""
        self.latest_left = False
        """Whether its first byte left."""
        self.sent = False
        """Whether the call itself left, and was not answered with a 401, on which the server does nothing."""
        self.failure: Exception | None = None
        """What `sending` raised."""
        self.received = b""
        """What arrived of the body of its answer."""

    def is_itself(self, request: httpx.Request) -> bool:
        """Whether that is the call, and not a sign-in. An auth of the user's may send a copy in its place."""
        if request is self.request:
            return True
        place = self.path.partition("?")[0]
        return SIGN_IN not in request.extensions and (request.method, without_query(request)) == (self.method, place)


def path_of(request: httpx.Request) -> str:
    """`/api/1.0/process_events/2?event=node_1`, as it goes on the wire."""
    return request.url.raw_path.decode("ascii", "replace")


def without_query(request: httpx.Request) -> str:
    """The same without its query, into which an auth may have put a key."""
    return path_of(request).partition("?")[0]


current_call: ContextVar[Call | None] = ContextVar("processmaker.call", default=None)
"""The call that httpx is at in this thread or task: a request that an auth makes carries nothing of it."""


@define(eq=False)
class Connection(Generic[T]):
    """An httpx transport and what is known of its one connection."""

    transport: T
    idle_since: float = 0.0
    stream: Any = None
    """httpcore's network stream, once it is connected."""
    handshake: socket.socket | None = None
    """A duplicate for the time of the TLS handshake, in which Python moves the socket to another object."""

    def follow(self, event: str, info: dict[str, Any]) -> None:
        """Notes what becomes of the socket, by httpcore's events, such as `connection.connect_tcp.complete`."""
        if event.endswith("connect_tcp.complete"):
            self.stream = info["return_value"]
        elif event.endswith("start_tls.started"):
            plain = self.stream.get_extra_info("socket")
            # TLS within TLS, to an https proxy, wraps the SSLSocket and leaves it in place.
            if isinstance(plain, socket.socket) and not isinstance(plain, ssl.SSLSocket):
                self.handshake = plain.dup()
        elif event.endswith(("start_tls.complete", "start_tls.failed")):
            if self.handshake:
                self.handshake.close()
            self.handshake = None
            if event.endswith("complete"):
                self.stream = info["return_value"]

    def shut_down(self) -> None:
        """Ends whatever is read from the connection or written to it. Another thread may call this."""
        for each in (self.handshake, self.stream and self.stream.get_extra_info("socket")):
            if isinstance(each, socket.socket):
                with suppress(OSError):
                    # Not SSLSocket.shutdown, after which the socket would send and receive in the clear.
                    socket.socket.shutdown(each, socket.SHUT_RDWR)


class Exchange(Generic[T]):
    """One request and its answer.

    Args:
        connection: what it uses.
        request: what is sent: the call, or a sign-in before it.
        deadline: the time (of time.monotonic) at which it must be over.
    """

    def __init__(self, connection: Connection[T], request: httpx.Request, deadline: float) -> None:
        self.connection = connection
        self.request = request
        self.deadline = deadline
        self.expired = False
        self.answer: Answer | None = None
        self.traced = False
        """Whether the transport emits httpcore's events."""
        self._call = call = current_call.get() or Call(request)
        self.is_call = call.is_itself(request)
        call.latest, call.latest_left = request, False

    def expire(self) -> None:
        """Ends a blocking exchange at its deadline."""
        self.expired = True
        self.connection.shut_down()

    def timed_out(self) -> httpx.ReadTimeout:
        return httpx.ReadTimeout("the time for the whole exchange is over", request=self.request)

    def note(self, event: str, info: dict[str, Any]) -> bool:
        """Note an event of httpcore's. Returns whether the first byte is about to leave."""
        if not self.traced:
            self.traced = True
            self._not_sent()  # even if it counts as sent: such a transport says when it sends
        if event == "http11.send_request_headers.started":
            return bool(info["request"].method != b"CONNECT")
        if not event.startswith("http11."):
            self.connection.follow(event, info)
        return False

    async def leave(self) -> None:
        """The first byte is about to leave."""
        if self.is_call and self._call.sending:
            try:
                await self._call.sending()
            except Exception as failure:
                self._call.failure = failure
                raise
        if self.expired:
            raise self.timed_out()
        self._call.latest_left = True
        if self.is_call:
            self._call.sent = True

    def _not_sent(self) -> None:
        self._call.latest_left = False
        if self.is_call:
            self._call.sent = False

    async def end(self, problem: Exception | None) -> None:
        """Draws the conclusions from the end of the exchange, whether an answer or a problem."""
        if self.is_call and self.answer:
            self._call.received = bytes(self.answer.content)
        if problem is None:
            if not self._call.latest_left:
                # Something replaces the network under httpx, such as respx or vcr: only its answer shows that.
                await self.leave()
            if self.answer and self.is_call and self.answer.status == 401:
                self._call.sent = False
        elif not self.traced:
            if isinstance(problem, NOT_SENT):
                self._not_sent()
            elif not self._call.latest_left and problem is not self._call.failure:
                await self.leave()


class Answer:
    """An answer as it arrives: its body is unpacked, and cut off if it is too long."""

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self.content = bytearray()
        self.is_truncated = False
        self._response = response
        self._left = MAX_BODY if response.is_success else MAX_ERROR_BODY
        packed = response.headers.get("content-encoding", "").strip().lower() in ("gzip", "x-gzip")
        self._unpack = zlib.decompressobj(zlib.MAX_WBITS | 16) if packed else None

    def add(self, part: bytes) -> bool:
        """Adds a part of the body. Returns whether more may be read."""
        if self._unpack:
            try:
                part = self._unpack.decompress(part, self._left + 1)
            except zlib.error as problem:
                raise httpx.DecodingError(f"it cannot be unpacked: {problem}") from problem
        self.is_truncated = len(part) > self._left
        self.content += part[: self._left]
        self._left -= len(part)
        return not self.is_truncated

    def response(self) -> httpx.Response:
        """The whole answer."""
        # httpx looks into a Location even if it does not follow it, and fails at odd ones.
        changed = {b"content-length", b"transfer-encoding", b"location"}
        if self._unpack:
            changed.add(b"content-encoding")
        extensions = dict(self._response.extensions)
        if self.is_truncated:
            extensions[TRUNCATED] = True
        if "location" in self._response.headers:
            extensions[LOCATION] = self._response.headers["location"]
        return httpx.Response(
            self.status,
            headers=[pair for pair in self._response.headers.raw if pair[0].lower() not in changed],
            content=bytes(self.content),
            extensions=extensions,
        )


class Watchdog:
    """Ends blocking exchanges at their deadlines: one thread for the whole process, which sleeps until the next one."""

    def __init__(self) -> None:
        begins_anew(self)
        self.in_child()

    def in_child(self) -> None:
        self._watched: set[Exchange[Any]] = set()
        self._wake: SimpleQueue[None] = SimpleQueue()  # its put() may interrupt itself, as in a signal handler
        self._next = math.inf
        self._thread: threading.Thread | None = None

    def watch(self, exchange: Exchange[Any]) -> None:
        if exchange.deadline == math.inf:
            return
        self._watched.add(exchange)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="processmaker-deadlines", daemon=True)
            with suppress(RuntimeError):  # while the interpreter shuts down; httpx's own time-outs still hold
                self._thread.start()
        elif exchange.deadline < self._next:
            self._wake.put(None)

    def forget(self, exchange: Exchange[Any]) -> None:
        self._watched.discard(exchange)

    def _work(self) -> None:
        while True:
            self._next = math.inf  # so that whoever comes from here on wakes this thread
            now = time.monotonic()
            self._next = self._expire(now)
            with suppress(Empty):
                self._wake.get(timeout=None if self._next == math.inf else max(self._next - now, 0))

    def _expire(self, now: float) -> float:
        """Ends what is over. Returns the next deadline."""
        following = math.inf
        for exchange in list(self._watched):
            if exchange.deadline <= now:
                self._watched.discard(exchange)
                exchange.expire()
            else:
                following = min(following, exchange.deadline)
        return following


watchdog = Watchdog()

_inherited: list[object] = []
"""Connections of the parent process. If a child collected asyncio's, they would be taken out of the parent's loop."""


def trusted(verify: bool | ssl.SSLContext) -> ssl.SSLContext:
    """What servers' certificates are checked against: for True the file that SSL_CERT_FILE names, else certifi's."""
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
        self._total = settings.total if self.given is None else None
        self._timeouts = settings.timeout.as_dict()
        self._idle: deque[Connection[H]] = deque()
        self._all: set[Connection[H]] = set()
        self.is_closed = False
        begins_anew(self)
        if self.given is None:
            self.ssl_context = trusted(settings.verify)
            self._proxy = proxy_for(settings.site, allow_http=settings.allow_http)
            with proxy_errors():  # now, and not in the middle of a start
                self._give_back(self._open())

    def __len__(self) -> int:
        """How many connections there are, used and unused."""
        return len(self._all)

    def check_open(self) -> None:
        if self.is_closed:
            raise ConfigurationError("this client is closed; use it inside its `with` block, or make a new one")

    def _open(self) -> Connection[H]:
        proxy = self._proxy.for_httpx(self.ssl_context) if self._proxy else None
        one = httpx.Limits(max_connections=1, max_keepalive_connections=1)
        connection = Connection[H](self.kind(verify=self.ssl_context, proxy=proxy, limits=one))
        self._all.add(connection)
        return connection

    def _take(self) -> tuple[Connection[H], list[Connection[H]]]:
        """The connection used last, or a new one, and those that were idle for too long."""
        long_ago = time.monotonic() - IDLE_SECONDS
        stale: list[Connection[H]] = []
        with suppress(IndexError):  # other threads take from the stack, too
            while self._idle[0].idle_since < long_ago:
                stale.append(self._idle.popleft())
        with suppress(IndexError):
            return self._idle.pop(), stale
        return self._open(), stale

    def _give_back(self, connection: Connection[H]) -> None:
        connection.idle_since = time.monotonic()
        self._idle.append(connection)

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        """Sends a request and reads its answer."""
        self.check_open()
        # A request that an auth makes has no time-outs of its own.
        request.extensions = {"timeout": self._timeouts, **request.extensions}
        if self.given is not None:
            return (await self._send(Exchange(Connection(self.given), request, math.inf))).response()
        connection, stale = self._take()
        is_whole = False
        try:
            for each in stale:
                await self._drop(each)
            answer = await self._send(Exchange(connection, request, self._bound_timeouts(request)))
            is_whole = not answer.is_truncated
        finally:
            if is_whole and not self.is_closed:
                self._give_back(connection)
            else:
                await self._drop(connection)
        if self.is_closed:  # by another thread, after the look above
            await self._close_idle()
        return answer.response()

    def _bound_timeouts(self, request: httpx.Request) -> float:
        """Bounds each step of an exchange by the time for all of it. Returns its deadline."""
        now, call = time.monotonic(), current_call.get()
        deadline = min(call.deadline if call else math.inf, now + (math.inf if self._total is None else self._total))
        if deadline < math.inf:
            left = max(deadline - now, 0.001)
            timeouts = request.extensions["timeout"]
            bounded = {phase: min(timeouts.get(phase) or left, left) for phase in ("connect", "read", "write", "pool")}
            if bounded["connect"] == left:
                bounded["connect"] = left / 2  # if an address does not answer, there is time for another one
            request.extensions["timeout"] = bounded
        return deadline

    async def _send(self, exchange: Exchange[H]) -> Answer:
        exchange.request.extensions["trace"] = self._trace_of(exchange)
        try:
            if type(exchange.connection.transport) is not self.kind:
                await exchange.leave()  # it may emit no events
            answer = exchange.answer = await self._send_and_read(exchange)
            if exchange.expired:  # a body without a length ends where the connection does
                raise exchange.timed_out()
        except Exception as problem:
            await exchange.end(problem)
            if exchange.expired:
                raise exchange.timed_out() from None
            raise
        finally:
            del exchange.request.extensions["trace"]  # a reference cycle
        await exchange.end(None)
        return answer

    @abstractmethod
    def _trace_of(self, exchange: Exchange[H]) -> Callable[[str, dict[str, Any]], Any]:
        """What httpcore calls at each event."""

    @abstractmethod
    async def _send_and_read(self, exchange: Exchange[H]) -> Answer:
        """Sends the request and reads the answer, within the deadline."""

    @abstractmethod
    async def _drop(self, connection: Connection[H]) -> None:
        """Closes a connection, which is not used again."""

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

    def _trace_of(self, exchange: Exchange[httpx.HTTPTransport]) -> Callable[[str, dict[str, Any]], Any]:
        def trace(event: str, info: dict[str, Any]) -> None:
            if exchange.note(event, info):
                run(exchange.leave())

        return trace

    async def _send_and_read(self, exchange: Exchange[httpx.HTTPTransport]) -> Answer:
        watchdog.watch(exchange)
        try:
            response = exchange.connection.transport.handle_request(exchange.request)
            answer = exchange.answer = Answer(response)
            stream: Any = response.stream
            try:
                for part in stream:
                    if not answer.add(part):
                        break
            finally:
                stream.close()
            return answer
        finally:
            watchdog.forget(exchange)

    async def _drop(self, connection: Connection[httpx.HTTPTransport]) -> None:
        self._all.discard(connection)
        with suppress(Exception):
            connection.transport.close()
        if connection.stream:
            connection.stream.close()

    def close(self) -> None:
        """Closes the idle connections; busy ones are closed when they come back."""
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
        self.check_open()
        self.check_loop()
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

    def _trace_of(self, exchange: Exchange[httpx.AsyncHTTPTransport]) -> Callable[[str, dict[str, Any]], Any]:
        async def trace(event: str, info: dict[str, Any]) -> None:
            if exchange.note(event, info):
                await exchange.leave()

        return trace

    async def _send_and_read(self, exchange: Exchange[httpx.AsyncHTTPTransport]) -> Answer:
        left = None if exchange.deadline == math.inf else exchange.deadline - time.monotonic()
        try:
            async with asyncio.timeout(left) as limit:
                response = await exchange.connection.transport.handle_async_request(exchange.request)
                answer = exchange.answer = Answer(response)
                stream: Any = response.stream
                try:
                    async for part in stream:
                        if not answer.add(part):
                            break
                finally:
                    await stream.aclose()
                return answer
        except TimeoutError:
            exchange.expired = limit.expired()
            raise

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
        """Closes the idle connections; busy ones are closed when they come back."""
        self.check_loop()
        self.is_closed = True
        if self.given is not None:
            await self.given.aclose()
        await self._close_idle()

    def in_child(self) -> None:
        super().in_child()
        self._loop, self._queue = None, asyncio.Semaphore(MAX_CONCURRENT)


def is_mock(transport: object) -> bool:
    """Return whether a function answers in place of a server."""
    return isinstance(transport, httpx.MockTransport)
