"""HTTP: the one module of the wrapper's core that imports httpx.

Its names under ours, its clients as this package wants them, and its exceptions as our errors.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import AsyncIterator, Hashable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from weakref import ref

import httpx
from httpx import AsyncBaseTransport, AsyncClient, Auth, BaseTransport, Client, Timeout
from httpx import Request as HTTPRequest
from httpx import Response as HTTPResponse

from ._errors import (
    ConfigurationError,
    ConnectionFailed,
    ConnectionLost,
    ProcessMakerError,
    TimedOut,
    TLSFailed,
    TransportError,
    asked_by,
    clean,
    only_reads,
)
from ._salvage import salvaged_id

if TYPE_CHECKING:
    from ._settings import Settings

__all__ = ["AsyncBaseTransport", "Auth", "BaseTransport", "HTTPRequest", "HTTPResponse", "Timeout"]

TOKEN_PATH = "/oauth/token"
START_PATH = "/process_events/"

ANSWER = "processmaker.answer"
"""Where a start carries its answer: among the extensions of the httpx request."""


def blocking_client(settings: Settings) -> Client:
    """An httpx client that threads may share."""
    _check_transport(settings.transport, "handle_request", "an httpx.BaseTransport")
    # As many connections as threads, and none closed for being idle: where httpcore has a bound to keep, it now and
    # then closes a connection that another thread has just begun to use (encode/httpcore#1110).
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    return Client(**settings.for_httpx(), limits=limits, event_hooks={"response": [_keep_answer]})


def async_client(settings: Settings) -> AsyncClient:
    """An httpx client for the tasks of one event loop."""
    _check_transport(settings.transport, "handle_async_request", "an httpx.AsyncBaseTransport")
    # There may be many tasks, so there is a bound; but all its connections are kept.
    limits = httpx.Limits(max_connections=100, max_keepalive_connections=None)
    return AsyncClient(**settings.for_httpx(), limits=limits, event_hooks={"response": [_keep_answer_async]})


def _check_transport(transport: object, method: str, wanted: str) -> None:
    if transport is not None and not hasattr(transport, method):
        raise ConfigurationError(f"transport= takes {wanted} here, not {type(transport).__name__}")


def decoded(
    response: HTTPResponse,
    headers: list[tuple[bytes, bytes]],
    content: bytes,
    request: HTTPRequest | None,
    extensions: dict[str, Any],
) -> HTTPResponse:
    """An answer like `response` with these headers and this body, which is decoded; nothing else hangs on it."""
    kept = [pair for pair in headers if pair[0].lower() not in (b"content-encoding", b"transfer-encoding")]
    answer = HTTPResponse(response.status_code, headers=kept, content=content, request=request, extensions=extensions)
    if hasattr(response, "_elapsed"):
        answer.elapsed = response.elapsed
    return answer


def server_behind(transport: object) -> Hashable:
    """What tells servers of one address apart: None for the one on the network, else what answers in its place."""
    if transport is None or isinstance(transport, httpx.HTTPTransport | httpx.AsyncHTTPTransport):
        return None
    answers = getattr(transport, "handler", transport)
    try:
        reference = ref(answers)  # what remembers it does not keep it
        hash(reference)  # now, while it lives
    except TypeError:
        return id(answers)
    return reference


def no_longer_than(seconds: float, timeout: Timeout) -> Timeout:
    """The same time-outs, but none above `seconds`, and none below one second."""
    least = max(seconds, 1.0)
    return Timeout(
        **{phase: least if limit is None else min(limit, least) for phase, limit in timeout.as_dict().items()}
    )


@contextmanager
def transport_errors() -> Iterator[None]:
    """Whatever httpx raises becomes one of our errors, which says whether the call was processed."""
    try:
        yield
    except (httpx.ConnectTimeout, httpx.PoolTimeout) as problem:
        what = "connection" if isinstance(problem, httpx.ConnectTimeout) else "free connection in the pool"
        words = f"no {what} to {_server(problem)} in time"
        raise _transport_error(ConnectionFailed, problem, words) from problem
    except (httpx.ConnectError, httpx.ProxyError) as problem:
        kind = TLSFailed if _is_tls(problem) else ConnectionFailed
        way = " through the proxy" if isinstance(problem, httpx.ProxyError) else ""
        words = f"no connection to {_server(problem)}{way}: {_reason(problem)}"
        raise _transport_error(kind, problem, words) from problem
    except httpx.TimeoutException as problem:
        raise _transport_error(TimedOut, problem, f"no answer from {_server(problem)} in time") from problem
    except httpx.LocalProtocolError as problem:
        raise ConfigurationError("httpx cannot send a header of this call; look at the token and at auth=") from problem
    except (httpx.UnsupportedProtocol, httpx.InvalidURL) as problem:
        raise ConfigurationError(f"httpx cannot reach this address: {clean(problem)}") from problem
    # UnicodeError: httpx looks into the Location of a redirect even where it does not follow it.
    except (httpx.HTTPError, httpx.StreamError, httpx.CookieConflict, OSError, UnicodeError) as problem:
        words = f"the connection to {_server(problem)} broke: {_reason(problem)}"
        raise _transport_error(ConnectionLost, problem, words) from problem


def _server(problem: Exception) -> str:
    """`https://pm.example.com`: whom a call was for."""
    request: HTTPRequest | None = getattr(problem, "_request", None)
    return f"{request.url.scheme}://{request.url.netloc.decode()}" if request else "the server"


def _reason(problem: BaseException) -> str:
    """What went wrong, in the words of the operating system or of TLS where it was one of them."""
    causes = list(_causes(problem))
    for cause in reversed(causes):
        if isinstance(cause, ssl.SSLCertVerificationError) and cause.verify_message:
            return f"its certificate is refused: {clean(cause.verify_message)}"
        if isinstance(cause, ssl.SSLError):
            what = getattr(cause, "reason", None)
            if what in _NO_TLS:
                return "it does not speak TLS there; plain http has an address that begins with http://"
            if what == "UNEXPECTED_EOF_WHILE_READING":
                return "it broke off the TLS handshake; perhaps plain http is spoken there"
            return clean(what or cause)
        if isinstance(cause, OSError) and cause.strerror and cause.errno:
            # An address that has no name is a number of another list than the operating system's.
            known = isinstance(cause, socket.gaierror) or cause.errno not in errno.errorcode
            return clean(cause.strerror if known else os.strerror(cause.errno))
    if str(problem) == "illegal request line":  # h11's word for an answer that begins as an alert of TLS does
        return "its answer is not HTTP; perhaps TLS is spoken there, and its address begins with https://"
    return clean(problem) or type(problem).__name__


_NO_TLS = {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "UNKNOWN_PROTOCOL"}
"""What OpenSSL says to an answer that is no TLS; which of them depends on its version."""


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


def _is_tls(problem: BaseException) -> bool:
    return any(isinstance(cause, ssl.SSLError) for cause in _causes(problem))


def _causes(problem: BaseException | None) -> Iterator[BaseException]:
    """An exception and those that it was raised from, the first that happened last."""
    for _ in range(20):
        if problem is None:
            return
        yield problem
        problem = problem.__cause__ or problem.__context__


class _Answer(httpx.SyncByteStream, httpx.AsyncByteStream):
    """The body of the answer to a start, of which everything is kept that arrives: the id may be in it."""

    def __init__(self, response: HTTPResponse) -> None:
        self._stream: Any = response.stream
        self._headers = response.headers
        self._path = response.request.url.path
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
        return salvaged_id(body, self._path)


def _keep_answer(response: HTTPResponse) -> None:
    """httpx itself drops what arrived of a body that breaks off."""
    if response.is_success and START_PATH in response.request.url.path:
        response.stream = response.request.extensions[ANSWER] = _Answer(response)


async def _keep_answer_async(response: HTTPResponse) -> None:
    _keep_answer(response)
