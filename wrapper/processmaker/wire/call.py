"""How operations reach the server: one API call, from a request to a value or an error.

Each operation is written once, as a coroutine over an `IO`. `AsyncIO` awaits; `BlockingIO` never suspends, so that
`run` takes an operation from its start to its end in one step, also inside a running event loop.
"""

from __future__ import annotations

import asyncio
import copy
import errno
import json
import math
import os
import socket
import ssl
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

import httpx

from ..clock import Clock, clock_of
from ..errors import (
    DOCTOR,
    READING,
    ConfigurationError,
    ConnectionFailed,
    ConnectionLost,
    ProcessMakerError,
    ResponseError,
    TimedOut,
    TransportError,
    UnreadableResponse,
    clean,
    describe,
    error_of,
    only_reads,
)
from ..log import log
from .redact import KnowsSecrets, redact, without_credentials
from .retry import retrying
from .run import iterate, run
from .salvage import salvaged_id
from .transport import (
    LOCATION,
    TRUNCATED,
    AsyncTransport,
    Call,
    Sending,
    Transport,
    current_call,
    without_query,
)

if TYPE_CHECKING:
    from ..config.settings import Settings

__all__ = ["IO", "AsyncIO", "BlockingIO", "iterate", "run"]

T = TypeVar("T")

MIN_WITHIN = 1.0
"""Seconds that a call is given, however little is left: a look at the very end of a wait is a look."""

SALVAGED = 1024 * 1024
"""Bytes of an answer that is not whole in which an id is looked for."""


class IO(ABC):
    """One connection to one server, as an operation sees it."""

    http: Any
    """The httpx client."""
    connections: Any
    """What the httpx client sends through."""

    def __init__(self, settings: Settings) -> None:
        self.site = settings.site
        self.retries = settings.retries
        self.clock = clock_of(settings.transport) or Clock()
        # The Authorization header of the last call: its token says whose it is.
        self.authorization: str | None = None
        self._timeout = settings.timeout
        self._auth = settings.auth
        self._api_url = settings.api_url
        self._host = "/".join(settings.site.split("/")[:3])

    async def call(
        self,
        request: dict[str, Any],
        read: Callable[[Any], T],
        *,
        within: float | None = None,
        once: bool = False,
        sending: Sending | None = None,
        expected: int | None = None,
    ) -> T:
        """One call of the API: the JSON of its answer, as the value that `read` makes of it.

        It is sent again if that is safe, unless `once` or `within` is given.

        Args:
            request: what a generated `build_request` returned.
            read: makes a value of the parsed JSON; a ValueError says that it is not what was promised.
            within: seconds for the whole call: sign-in, queue, connecting, answer.
            once: do not send it again.
            expected: the status that a success has; another one is not what was promised. None for any success.
            sending: awaited right before the first byte of the call itself leaves, after a sign-in and a proxy's
                CONNECT, and once more if the call is sent again after a 401. If it raises, nothing is sent, and its
                exception comes out unchanged. If the transport does not say when it sends, it is awaited before that.

        Raises:
            ProcessMakerError: for anything else than a success of that shape. `processed` is False if the first byte
                of the call did not leave, or if the answer certainly refuses it.
        """

        def read_json(answer: httpx.Response) -> T:
            if expected not in (None, answer.status_code):
                raise ValueError(f"status {answer.status_code} in place of {expected}")
            return read(parse_json(answer.content))

        return await self.fetch(request, read_json, within=within, once=once, sending=sending)

    async def command(self, request: dict[str, Any]) -> None:
        """One call of the API whose answer has no body."""
        await self.fetch(request, lambda _: None)

    async def fetch(
        self,
        request: dict[str, Any],
        read: Callable[[httpx.Response], T],
        *,
        within: float | None = None,
        once: bool = False,
        sending: Sending | None = None,
    ) -> T:
        """The same as `call`, for an answer that need not be JSON: `read` is given the whole answer."""

        async def attempt() -> T:
            answer, call = await self._answer(request, within, sending)
            if not answer.is_success:
                raise self.error_for(answer, call) or ResponseError("")
            try:
                return read(answer)
            except (ValueError, RecursionError) as problem:
                # A parser's exception holds the whole text, and says only where in it.
                is_parsers = isinstance(problem, json.JSONDecodeError | UnicodeError | RecursionError)
                reason = "" if is_parsers else self._redacted(clean(problem))
            raise self._unreadable(answer, call, reason)  # out here, so that the exception is no context of it

        return await (attempt() if once or within is not None else retrying(self, self.retries, attempt))

    async def request(self, request: dict[str, Any]) -> httpx.Response:
        """The answer to one HTTP request, whatever its status.

        Raises:
            ProcessMakerError: there was none.
        """
        answer, _ = await self._answer(request, None, None)
        return answer

    async def _answer(
        self, request: dict[str, Any], within: float | None, sending: Sending | None
    ) -> tuple[httpx.Response, Call]:
        began, outcome = self.clock.monotonic(), "no whole answer"
        handled = sys.exception()  # what the caller is handling: the context of whatever is raised here, but no cause
        call: Call | None = None
        try:
            deadline = math.inf
            if within is not None:
                within = max(within, MIN_WITHIN)
                deadline = time.monotonic() + within
                request = {**request, "timeout": no_longer_than(within, self._timeout)}
            if request["method"].upper() not in READING:
                # If the answer to a start is cut off, what arrived of it can be read.
                request = {**request, "headers": {**request.get("headers", {}), "Accept-Encoding": "identity"}}
            call = Call(self._build(**request), deadline, sending)
            token = current_call.set(call)
            try:
                answer = await self._send(call)
            finally:
                current_call.reset(token)
            if location := answer.extensions.get(LOCATION):
                answer.headers = httpx.Headers([*answer.headers.raw, (b"location", location.encode())])
            outcome = str(answer.status_code)
            self.authorization = answer.request.headers.get("authorization")
            return answer, call
        except Exception as problem:
            failure = call.failure if call and call.failure else self._failure_of(problem, call, handled)
            if failure is None or failure is problem:
                raise
        finally:  # without the query: a condition in it may hold data
            seconds = self.clock.monotonic() - began
            log.debug("%s %s: %s after %.3f s", request["method"].upper(), request["url"], outcome, seconds)
        raise failure  # out here, so that httpx's exception, with its request's headers, is no context of it

    def _build(self, *, url: str, params: dict[str, Any] | None = None, **others: Any) -> httpx.Request:
        if "files" in others:
            # The generated boundary is always the same, and a file may contain it; httpx makes up another each time.
            headers = others.get("headers", {}).items()
            others["headers"] = {name: value for name, value in headers if name.lower() != "content-type"}
        base = self._api_url if url.startswith("/") else ""
        address = _address(base + url, *(params or ()), *(params or {}).values())
        request: httpx.Request = self.http.build_request(url=address, **others)
        return request

    @abstractmethod
    async def _send(self, call: Call) -> httpx.Response:
        """Sends a call, with the sign-ins that it needs."""

    def _failure_of(
        self, problem: Exception, call: Call | None, handled: BaseException | None
    ) -> ProcessMakerError | None:
        """The error for what httpx raised; None for an exception that is neither httpx's nor the system's.

        Its cause is what the operating system or TLS said. It has nothing of httpx, whose exceptions hold the token and
        the body of their request.
        """
        if isinstance(problem, ProcessMakerError) or not isinstance(problem, _ON_THE_WIRE):
            return None
        if isinstance(problem, httpx.LocalProtocolError):
            return ConfigurationError("httpx cannot send a header of this call; look at the token and at auth=")
        if isinstance(problem, httpx.UnsupportedProtocol | httpx.InvalidURL) and not (call and call.sent):
            return ConfigurationError(f"httpx cannot reach this address: {self._redacted(clean(problem))}")
        kind: type[TransportError] = ConnectionLost
        causes = list(_causes(problem, handled))
        timed_out = isinstance(problem, httpx.TimeoutException | TimeoutError)
        if call is None or not call.latest_left:
            kind = ConnectionFailed
            way = " through the proxy" if isinstance(problem, httpx.ProxyError) else ""
            words = f"no connection to {self._host}{' in time' if timed_out else f'{way}: {_reason(causes)}'}"
        elif timed_out:
            kind, words = TimedOut, f"no answer from {self._host} in time"
        elif isinstance(problem, httpx.HTTPStatusError):
            words = f"auth= took the answer for a failure: {clean(problem)}"
        else:
            words = f"the connection to {self._host} broke: {_reason(causes)}"
        if call is None:
            error = kind(self._redacted(words), processed=False)
        else:
            method, path = call.method, call.path
            if not call.is_itself(call.latest):
                method, path = call.latest.method, without_query(call.latest)
            words = self._redacted(f"{method} {path}: {words}")
            error = kind(words, method=method, path=path, processed=None if call.sent else False)
            if call.method == "POST":
                error.request_id = salvaged_id(call.received[:SALVAGED], without_query(call.request))
            error = only_reads(error, call.method)
        error.__cause__ = _cause_of(causes)
        if any(getattr(cause, "verify_code", None) in _UNKNOWN_ISSUER for cause in causes):
            error.hint = "If its CA is your own, give the file of the CA: verify=, or SSL_CERT_FILE in the environment."
        return error

    def error_for(self, answer: httpx.Response, call: Call | None = None) -> ResponseError | None:
        """The error that an answer stands for; None for a success."""
        return error_of(
            answer.status_code,
            self._redacted(answer.reason_phrase),
            self._headers_of(answer),
            redact(answer.content, self._secrets()),
            method=answer.request.method if call is None else call.method,
            url=str(answer.request.url) if call is None else self._host + call.path,
            now=self.clock.now(),
        )

    def _unreadable(self, answer: httpx.Response, call: Call, reason: str) -> UnreadableResponse:
        """The error for a success that is not what was promised, with the Request's id if that much arrived."""
        headers = self._headers_of(answer)
        kind = clean(headers.get("content-type", "no content type"), 60)
        cut = ", of which no more were read" if TRUNCATED in answer.extensions else ""
        words = f"not the JSON that was promised ({kind}, {len(answer.content)} bytes{cut})"
        is_start = call.method == "POST"
        return describe(
            UnreadableResponse,
            answer.status_code,
            self._redacted(answer.reason_phrase),
            headers,
            f"{words}: {reason}" if reason else words,
            method=call.method,
            url=self._host + call.path,
            request_id=salvaged_id(answer.content[:SALVAGED], without_query(call.request)) if is_start else None,
            hint=DOCTOR if "html" in kind else None,
        )

    def _headers_of(self, answer: httpx.Response) -> dict[str, str]:
        headers = {name: self._redacted(value) for name, value in answer.headers.items()}
        if "location" in headers:
            headers["location"] = without_credentials(headers["location"])
        return headers

    def _secrets(self) -> list[str]:
        return self._auth.secrets() if isinstance(self._auth, KnowsSecrets) else []

    def _redacted(self, text: str) -> str:
        return redact(text, self._secrets())

    @abstractmethod
    async def sleep(self, seconds: float) -> None:
        """Lets time pass."""


class BlockingIO(IO):
    """IO that never suspends: whoever awaits it has the result at once."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.connections = Transport(settings)
        self.http = httpx.Client(**settings.for_httpx(), transport=self.connections)

    async def _send(self, call: Call) -> httpx.Response:
        self.connections.check_open()
        answer: httpx.Response = self.http.send(call.request)
        return answer

    async def sleep(self, seconds: float) -> None:
        self.clock.sleep(seconds)

    def close(self) -> None:
        """Closes the connections."""
        self.connections.close()


class AsyncIO(IO):
    """IO that awaits."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.connections = AsyncTransport(settings)
        self.http = httpx.AsyncClient(**settings.for_httpx(), transport=self.connections)

    async def _send(self, call: Call) -> httpx.Response:
        self.connections.check_open()
        self.connections.check_loop()
        left = None if call.deadline == math.inf else call.deadline - time.monotonic()
        async with asyncio.timeout(left):
            answer: httpx.Response = await self.http.send(call.request)
            return answer

    async def sleep(self, seconds: float) -> None:
        await self.clock.async_sleep(seconds)

    async def close(self) -> None:
        """Closes the connections."""
        await self.connections.aclose()


@lru_cache(maxsize=256, typed=True)
def _address(url: str, *query: Any) -> httpx.URL:
    """The address with these names and then these values. httpx would parse it anew for each start of one process."""
    half = len(query) // 2
    params = httpx.QueryParams(dict(zip(query[:half], query[half:], strict=True)))
    return httpx.URL(f"{url}?{params}" if params else url)


def parse_json(content: bytes) -> Any:
    """The JSON of an answer's body; None if there is none."""
    return json.loads(content or b"null")


def no_longer_than(seconds: float, timeout: httpx.Timeout) -> httpx.Timeout:
    """The same time-outs, but none above `seconds`."""
    return httpx.Timeout(
        **{phase: seconds if limit is None else min(limit, seconds) for phase, limit in timeout.as_dict().items()}
    )


_ON_THE_WIRE = (httpx.HTTPError, httpx.StreamError, httpx.CookieConflict, httpx.InvalidURL, OSError, UnicodeError)


def _reason(causes: list[BaseException]) -> str:
    """What went wrong, in the words of the operating system or of TLS if it was one of them."""
    for cause in reversed(causes):
        if isinstance(cause, ssl.SSLCertVerificationError) and cause.verify_message:
            return f"its certificate is refused: {clean(cause.verify_message)}"
        if isinstance(cause, ssl.SSLError):
            what = getattr(cause, "reason", None)
            if what in _NO_TLS:
                return "it does not speak TLS there; plain http has an address that begins with http://"
            # Python before 3.11.4 takes it for the end of a whole connection.
            if what == "UNEXPECTED_EOF_WHILE_READING" or isinstance(cause, ssl.SSLZeroReturnError):
                return "it broke off the TLS handshake; perhaps plain http is spoken there"
            return clean(what or cause)
        if isinstance(cause, OSError) and cause.strerror and cause.errno:
            # An address that has no name is a number of another list than the operating system's.
            known = isinstance(cause, socket.gaierror) or cause.errno not in errno.errorcode
            return clean(cause.strerror if known else os.strerror(cause.errno))
    problem = causes[0]
    if str(problem) == "illegal request line":  # h11's word for an answer that begins as an alert of TLS does
        return "its answer is not HTTP; perhaps TLS is spoken there, and its address begins with https://"
    return clean(problem) or type(problem).__name__


_NO_TLS = {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "UNKNOWN_PROTOCOL"}
"""What OpenSSL says to an answer that is no TLS; which of them depends on its version."""


_UNKNOWN_ISSUER = range(18, 22)
"""OpenSSL's codes for a certificate that no known CA has signed."""


def _cause_of(causes: list[BaseException]) -> OSError | None:
    """A copy, without its traceback, of what the operating system or TLS raised."""
    known = (cause for cause in reversed(causes) if isinstance(cause, OSError))
    return next((copy.copy(cause) for cause in known if type(cause).__module__ in ("builtins", "socket", "ssl")), None)


def _causes(problem: BaseException | None, end: BaseException | None) -> Iterator[BaseException]:
    """An exception and those that it was raised from, up to `end`; the first that happened comes last."""
    for _ in range(20):
        if problem is None or problem is end:
            return
        yield problem
        problem = problem.__cause__ or problem.__context__
