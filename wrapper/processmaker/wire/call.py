"""How operations reach the server: one API call, from a request to a value or an error.

Each operation is written once, as a coroutine over an `IO`. `AsyncIO` awaits; `BlockingIO` never suspends, so that
`run` takes an operation from its start to its end in one step, also inside a running event loop.
"""

from __future__ import annotations

import json
import math
import time
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable
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
    InvalidData,
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
from .auth import OwnAuth
from .redact import redact, without_credentials
from .retry import retrying
from .run import iterate, run
from .salvage import salvaged_id
from .transport import LOCATION, AsyncTransport, Call, Sending, Transport, current_call, path_of, until, without_query

if TYPE_CHECKING:
    from ..config.settings import Settings

__all__ = ["IO", "AsyncIO", "BlockingIO", "iterate", "run"]

T = TypeVar("T")

MIN_WITHIN = 1.0
"""Seconds that a call is given, however little is left: a look at the very end of a wait is a look."""


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
        """Make one call of the API. Return the JSON of its answer, as the value that `read` makes of it.

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
        """Make one call of the API whose answer has no body."""
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
        """Do the same as `call`, for an answer that need not be JSON: `read` is given the whole answer."""

        async def attempt() -> T:
            call = self._build(request, within, sending)
            answer = await self._answer(call)
            if not answer.is_success:
                raise self._error_for(answer, call)
            try:
                return read(answer)
            except (ValueError, RecursionError) as problem:
                # A parser's exception holds the whole text, and says only where in it.
                is_parsers = isinstance(problem, json.JSONDecodeError | UnicodeError | RecursionError)
                reason = "" if is_parsers else self._redacted(problem)
            raise self._unreadable(answer, call, reason)  # out here, so that the exception is no context of it

        return await (attempt() if once or within is not None else retrying(self, self.retries, attempt))

    def _build(self, request: dict[str, Any], within: float | None, sending: Sending | None) -> Call:
        options = {**request, "headers": dict(request.get("headers", {}))}
        if options["method"].upper() not in READING:
            # If the answer to a start is cut off, what arrived of it can be read.
            options["headers"]["Accept-Encoding"] = "identity"
        if "files" in options:
            # The generated boundary is always the same, and a file may contain it; httpx makes up another each time.
            options["headers"].pop("Content-Type", None)
        try:
            query = str(httpx.QueryParams(options.pop("params", None)))
            url = self._api_url + options.pop("url")
            built = self.http.build_request(url=_parsed(f"{url}?{query}" if query else url), **options)
        except (httpx.InvalidURL, UnicodeError) as problem:
            raise InvalidData(f"this call cannot be sent: {clean(problem)}") from None
        deadline = math.inf if within is None else time.monotonic() + max(within, MIN_WITHIN)
        return Call(built, deadline, sending)

    async def _answer(self, call: Call) -> httpx.Response:
        began, outcome = self.clock.monotonic(), "no whole answer"
        token = current_call.set(call)
        try:
            answer = await self._send(call)
        except ProcessMakerError:
            raise
        except _ON_THE_WIRE as problem:
            if problem is call.failure:
                raise
            failure = self._failure_of(problem, call)
        else:
            outcome = str(answer.status_code)
            self.authorization = answer.request.headers.get("authorization")
            return answer
        finally:  # without the query: a condition in it may hold data
            current_call.reset(token)
            seconds = self.clock.monotonic() - began
            log.debug("%s %s: %s after %.3f s", call.method, without_query(call.path), outcome, seconds)
        raise failure  # out here, so that httpx's exception, with its request's headers, is no context of it

    @abstractmethod
    async def _send(self, call: Call) -> httpx.Response:
        """Send a call, with the sign-ins that it needs."""

    def _failure_of(self, problem: Exception, call: Call) -> ProcessMakerError:
        """Return the error for what httpx raised, which has the words of the operating system or of TLS.

        It has nothing of httpx, whose exceptions hold the token and the body of their request.
        """
        if isinstance(problem, httpx.LocalProtocolError) or (
            isinstance(problem, httpx.UnsupportedProtocol | httpx.InvalidURL) and not call.sent
        ):
            return ConfigurationError("httpx cannot send this call; look at base_url, at the token and at auth=")
        timed_out = isinstance(problem, httpx.TimeoutException | TimeoutError)
        reason = " in time" if timed_out else f": {self._redacted(problem) or type(problem).__name__}"
        kind: type[TransportError]
        if not call.left:
            kind, words = ConnectionFailed, f"no connection to {self._host}"
        elif timed_out:
            kind, words = TimedOut, f"no answer from {self._host}"
        else:
            kind, words = ConnectionLost, f"the connection to {self._host} broke"
        method, path = call.method, call.path
        if call.is_sign_in:
            method, path = call.current.method, without_query(path_of(call.current))
        words = redact(f"{method} {path}: {words}{reason}", self._secrets())
        error = kind(words, method=method, path=path, processed=None if call.sent else False)
        if "[SSL" in reason:
            error.hint = "Look whether base_url speaks https. If its CA is your own: verify=, or SSL_CERT_FILE."
        if not call.is_sign_in:
            error.request_id = _started_id(call, bytes(call.received))
        return only_reads(error, call.method)

    def _error_for(self, answer: httpx.Response, call: Call) -> ResponseError:
        """Return the error for an answer that is no success."""
        body = redact(answer.content, self._secrets())
        return error_of(**self._facts(answer, call), body=body, now=self.clock.now()) or ResponseError("")

    def _unreadable(self, answer: httpx.Response, call: Call, reason: str) -> UnreadableResponse:
        """Return the error for a success that is not what was promised, with the Request's id if that much arrived."""
        facts = self._facts(answer, call)
        kind = clean(facts["headers"].get("content-type", "no content type"), 60)
        words = f"not the JSON that was promised ({kind}, {len(answer.content)} bytes): {reason}".removesuffix(": ")
        request_id, hint = _started_id(call, answer.content), DOCTOR if "html" in kind else None
        return describe(UnreadableResponse, **facts, words=words, request_id=request_id, hint=hint)

    def _facts(self, answer: httpx.Response, call: Call) -> dict[str, Any]:
        """Return what an error says of an answer, without secrets."""
        headers = {name: redact(value, self._secrets()) for name, value in answer.headers.items()}
        if location := answer.extensions[LOCATION]:
            headers["location"] = without_credentials(redact(location, self._secrets()))
        return {
            "status": answer.status_code,
            "reason": self._redacted(answer.reason_phrase),
            "headers": headers,
            "method": call.method,
            "url": self._host + call.path,
        }

    def _secrets(self) -> list[str]:
        return self._auth.secrets() if isinstance(self._auth, OwnAuth) else []

    def _redacted(self, words: object) -> str:
        """Return somebody else's words in one line, without secrets."""
        return clean(redact(str(words), self._secrets()))

    @abstractmethod
    async def sleep(self, seconds: float) -> None:
        """Let time pass."""


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
        """Close the connections."""
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
        async with until(call.deadline):
            answer: httpx.Response = await self.http.send(call.request)
            return answer

    async def sleep(self, seconds: float) -> None:
        await self.clock.async_sleep(seconds)

    async def close(self) -> None:
        """Close the connections."""
        await self.connections.aclose()


_parsed = lru_cache(maxsize=256)(httpx.URL)
"""Parsing an address takes a tenth of a start, and the starts of one process have the same one."""


def parse_json(content: bytes) -> Any:
    """Return the JSON of an answer's body; None if there is none."""
    return json.loads(content or b"null")


_ON_THE_WIRE = (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError, UnicodeError, zlib.error)


def _started_id(call: Call, body: bytes) -> int | None:
    """Return the id in what arrived of the answer to a start."""
    return salvaged_id(body, without_query(call.path)) if call.method == "POST" else None
