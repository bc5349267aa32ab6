"""How calls reach the server; the one module of the wrapper's core that imports httpx.

Each operation is written once, as a coroutine over an `IO`. `AsyncIO` awaits; `BlockingIO` never suspends, so that
`run` takes an operation from its start to its end in one step, also inside a running event loop.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import httpx
from httpx import AsyncBaseTransport, Auth, BaseTransport, Timeout
from httpx import Request as HTTPRequest
from httpx import Response as HTTPResponse
from processmaker_api import Client

from ._errors import (
    ConfigurationError,
    ConnectionFailed,
    ConnectionLost,
    ProcessMakerError,
    TimedOut,
    TLSFailed,
    TransportError,
    UnreadableResponse,
    asked_by,
    describe,
    error_of,
    only_reads,
)
from ._models import integer
from ._retry import retrying

if TYPE_CHECKING:
    from ._settings import Settings

__all__ = ["AsyncBaseTransport", "Auth", "BaseTransport", "HTTPRequest", "HTTPResponse", "Timeout"]

T = TypeVar("T")
Model = TypeVar("Model")

TOKEN_PATH = "/oauth/token"
START_PATH = "/process_events/"

ANSWER = "processmaker.answer"
"""Where a start carries its answer: among the extensions of the httpx request."""


class Endpoint(Protocol):
    """A generated module: it builds the HTTP request of one operation and reads its answer.

    Its `sync_detailed` would do both in one go, but reads the body before anyone could look at the status.
    """

    _get_kwargs: Any
    _parse_response: Any


class Clock:
    """Time as the operations know it; tests put another one in its place."""

    def monotonic(self) -> float:
        return time.monotonic()

    def now(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    async def async_sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class IO(ABC):
    """One connection to one server, as an operation sees it."""

    def __init__(self, settings: Settings) -> None:
        self.site = settings.site
        self.retries = settings.retries
        self.clock = Clock()
        # The generated code asks it only how strict to be; the calls themselves go through our own httpx client.
        self._api = Client(base_url=settings.api_url)

    async def call(
        self,
        endpoint: Endpoint,
        model: type[Model],
        read: Callable[[Model], T],
        *,
        once: bool = False,
        **arguments: Any,
    ) -> T:
        """One operation of the API: its answer, a generated `model`, as the value that `read` makes of it.

        It is sent again where that is safe, unless `once`.

        Raises:
            ProcessMakerError: for anything else than a success of that shape.
        """

        async def send() -> T:
            response = await self._exchange(endpoint, arguments)
            try:
                parsed = endpoint._parse_response(client=self._api, response=response)
                if isinstance(parsed, model):
                    return read(parsed)
            except Exception as problem:  # whatever a body of another shape makes the generated code raise
                raise unreadable(response) from problem
            raise unreadable(response)

        return await retrying(self, None if once else self.retries, send)

    async def command(self, endpoint: Endpoint, **arguments: Any) -> None:
        """One operation of the API whose answer has no body."""
        await retrying(self, self.retries, lambda: self._exchange(endpoint, arguments))

    async def _exchange(self, endpoint: Endpoint, arguments: dict[str, Any]) -> HTTPResponse:
        with transport_errors():
            response = await self.request(endpoint._get_kwargs(**arguments))
        if error := error_of(response, self.clock.now()):
            raise error
        return response

    @abstractmethod
    async def request(self, arguments: dict[str, Any]) -> HTTPResponse:
        """One exchange over HTTP, with `arguments` as httpx's `request` takes them."""

    @abstractmethod
    async def sleep(self, seconds: float) -> None:
        """Let time pass."""


class BlockingIO(IO):
    """IO that never suspends: whoever awaits it has the result at once."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        # As many connections as threads, and none closed for being idle: where httpcore has a bound to keep, it now and
        # then closes a connection that another thread has just begun to use (encode/httpcore#1110).
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        self.http = httpx.Client(**settings.for_httpx(), limits=limits, event_hooks={"response": [_keep_answer]})

    async def request(self, arguments: dict[str, Any]) -> HTTPResponse:
        _check_open(self.http.is_closed)
        return self.http.request(**arguments)

    async def sleep(self, seconds: float) -> None:
        self.clock.sleep(seconds)


class AsyncIO(IO):
    """IO that awaits."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        # There may be many tasks, so there is a bound; but all its connections are kept.
        limits = httpx.Limits(max_connections=100, max_keepalive_connections=None)
        self.http = httpx.AsyncClient(
            **settings.for_httpx(), limits=limits, event_hooks={"response": [_keep_answer_async]}
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._own_connections = settings.transport is None

    async def request(self, arguments: dict[str, Any]) -> HTTPResponse:
        _check_open(self.http.is_closed)
        self._check_loop()
        return await self.http.request(**arguments)

    async def close(self) -> None:
        self._check_loop()
        await self.http.aclose()

    def _check_loop(self) -> None:
        """Kept connections belong to the loop that opened them: in another one httpx fails, or waits for ever."""
        loop = asyncio.get_running_loop()
        self._loop = self._loop or loop
        if self._own_connections and self._loop is not loop:
            raise ConfigurationError(
                "this client was used in another event loop before, such as that of an earlier asyncio.run; make one "
                "client for each loop, or use ProcessMaker, which threads may share"
            )

    async def sleep(self, seconds: float) -> None:
        await self.clock.async_sleep(seconds)


def run(operation: Coroutine[Any, Any, T]) -> T:
    """The result of an operation over a `BlockingIO`: the whole blocking driver."""
    try:
        operation.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    raise RuntimeError("blocking IO must not suspend")


def iterate(operation: AsyncGenerator[T, None]) -> Iterator[T]:
    """The same for an operation that yields."""
    try:
        while True:
            try:
                yield run(operation.__anext__())
            except StopAsyncIteration:
                return
    finally:
        run(operation.aclose())


def _check_open(closed: bool) -> None:
    if closed:
        raise ConfigurationError("this client is closed; use it inside its `with` block, or make a new one")


def unreadable(response: HTTPResponse) -> UnreadableResponse:
    """The error for a success that is not what was promised, with the Request's id if that much arrived."""
    words = f"not the JSON that was promised ({response.headers.get('content-type', 'no content type')}, "
    words += f"{len(response.content)} bytes)"
    request_id = salvaged_id(response.content) if response.request.method == "POST" else None
    return describe(UnreadableResponse, response, words, request_id=request_id)


_JSON_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:]|[^\s{}\[\],:"]+|"', re.DOTALL)


def salvaged_id(body: bytes) -> int | None:
    """The `id` that stands directly in a JSON object, also in one that was cut off or that Python refuses to read.

    It counts only with what follows it: a number at the very end may have lost digits.
    """
    text = body.decode(json.detect_encoding(body), "replace").strip()
    depth, found, last_three = 0, None, ("", "", "")
    for match in _JSON_TOKEN.finditer(text):
        token = match[0]
        if token == '"' or (depth == 0 and (match.start() or token != "{")):
            break  # a string without its end; no object, or what follows it
        if depth == 1 and token in (",", "}") and last_three[:2] == ('"id"', ":"):
            found = integer(last_three[2].strip('"'))
        depth += (token in ("{", "[")) - (token in ("}", "]"))
        last_three = (*last_three[1:], token)
    return found


class _Answer(httpx.SyncByteStream, httpx.AsyncByteStream):
    """The body of the answer to a start, of which everything is kept that arrives: the id may be in it."""

    def __init__(self, response: HTTPResponse) -> None:
        self._stream: Any = response.stream
        self._headers = response.headers
        self._arrived = bytearray()

    def __iter__(self) -> Iterator[bytes]:
        for part in self._stream:
            self._arrived += part
            yield part

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            self._arrived += part
            yield part

    def close(self) -> None:
        self._stream.close()

    async def aclose(self) -> None:
        await self._stream.aclose()

    def request_id(self) -> int | None:
        body = bytes(self._arrived)
        with suppress(httpx.DecodingError):
            body = HTTPResponse(200, headers=self._headers, content=body).content
        return salvaged_id(body)


def _keep_answer(response: HTTPResponse) -> None:
    """httpx itself drops what arrived of a body that breaks off."""
    if response.is_success and START_PATH in response.request.url.path:
        response.stream = response.request.extensions[ANSWER] = _Answer(response)


async def _keep_answer_async(response: HTTPResponse) -> None:
    _keep_answer(response)


@contextmanager
def transport_errors() -> Iterator[None]:
    """Whatever httpx raises becomes one of our errors, which says whether the call was processed."""
    try:
        yield
    except (httpx.ConnectTimeout, httpx.PoolTimeout) as problem:
        what = "connection" if isinstance(problem, httpx.ConnectTimeout) else "free connection in the pool"
        raise _transport_error(ConnectionFailed, problem, f"no {what} in time") from problem
    except (httpx.ConnectError, httpx.ProxyError) as problem:
        kind = TLSFailed if _is_tls(problem) else ConnectionFailed
        raise _transport_error(kind, problem, f"no connection: {problem}") from problem
    except httpx.TimeoutException as problem:
        raise _transport_error(TimedOut, problem, "no answer in time") from problem
    except httpx.LocalProtocolError as problem:
        raise ConfigurationError("httpx cannot send a header of this call; look at the token and at auth=") from problem
    except (httpx.UnsupportedProtocol, httpx.InvalidURL) as problem:
        raise ConfigurationError(f"httpx cannot reach this address: {problem}") from problem
    # UnicodeError: httpx looks into the Location of a redirect even where it does not follow it.
    except (httpx.HTTPError, httpx.StreamError, httpx.CookieConflict, OSError, UnicodeError) as problem:
        raise _transport_error(ConnectionLost, problem, f"the connection broke: {problem}") from problem


def _transport_error(kind: type[TransportError], problem: Exception, words: str) -> ProcessMakerError:
    request: HTTPRequest | None = getattr(problem, "_request", None)
    if request is None:
        return kind(words)
    # What httpx raised stays the cause, without the token in its request's headers and the password in its body.
    vars(problem)["_request"] = HTTPRequest(request.method, request.url)
    error = kind(f"{asked_by(request)}: {words}", asked=asked_by(request))
    if request.url.path.endswith(TOKEN_PATH):
        # What broke is the sign-in before the call; the call itself never left.
        error.processed = False
    if answer := request.extensions.get(ANSWER):
        error.request_id = answer.request_id()
    return only_reads(error, request.method)


def _is_tls(problem: BaseException | None) -> bool:
    while problem is not None:
        if isinstance(problem, ssl.SSLError):
            return True
        problem = problem.__cause__ or problem.__context__
    return False
