"""HTTP: with `_connections.py` and `_watch.py`, which are about connections, what imports httpx in the wrapper's core.

Its names under ours, its answers read to a bound, and its exceptions as our errors.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Hashable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.request import getproxies
from weakref import ref

import httpx
from httpx import AsyncBaseTransport, Auth, BaseTransport, Timeout
from httpx import Request as HTTPRequest
from httpx import Response as HTTPResponse

from ..errors import (
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
    sentence,
)
from .salvage import salvaged_id

__all__ = ["AsyncBaseTransport", "Auth", "BaseTransport", "HTTPRequest", "HTTPResponse", "Timeout"]

TOKEN_PATH = "/oauth/token"
START_PATH = "/process_events/"

ANSWER = "processmaker.answer"
"""Where a call carries its answer: among the extensions of the httpx request."""

LOCATION = "processmaker.location"
"""Where an answer carries a Location that httpx cannot read: among its extensions."""

CUT = "processmaker.cut"
"""What says that an answer was cut off: among its extensions."""

LONGEST_ANSWER, LONGEST_ERROR = 64 * 1024 * 1024, 64 * 1024
"""Bytes that are read of an answer, unpacked, and of one that is no success."""

SALVAGED = 1024 * 1024
"""Bytes of an answer that is not whole in which an id is looked for."""


def check_transport(transport: object, method: str, wanted: str) -> None:
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


LEAST = 1.0
"""Seconds that an exchange is given, however little is left: a look at the very end of a wait is a look."""


def no_longer_than(seconds: float, timeout: Timeout) -> Timeout:
    """The same time-outs, but none above `seconds`, and none below one second."""
    least = max(seconds, LEAST)
    return Timeout(
        **{phase: least if limit is None else min(limit, least) for phase, limit in timeout.as_dict().items()}
    )


def trusted(verify: bool | ssl.SSLContext) -> ssl.SSLContext:
    """What servers' certificates are checked against: for True the file that SSL_CERT_FILE names, else certifi's."""
    try:
        return httpx.create_ssl_context(verify=verify)
    except OSError as problem:  # ssl.SSLError is one, too
        file = os.environ.get("SSL_CERT_FILE")
        raise ConfigurationError(
            f"SSL_CERT_FILE={file!r} is not a readable file of certificates: {problem}"
        ) from problem


@contextmanager
def proxy_errors(*, used: bool = True) -> Iterator[None]:
    """Whatever httpx raises as it reads a proxy that it cannot use becomes a ConfigurationError.

    Args:
        used: whether a client that is made in the block asks the environment for a proxy.
    """
    try:
        yield
        for kind in ("http", "https", "all") if used else ():
            # The system's calls take the rest of it after a division by 65536.
            if (httpx.URL(getproxies().get(kind, "")).port or 0) > 65535:
                raise ValueError("its port is above 65535")
    except (ImportError, ValueError, httpx.InvalidURL) as problem:
        # What httpx says of an address may be a part of the password in it.
        words = "its address cannot be read" if isinstance(problem, httpx.InvalidURL) else str(problem)
        raise ConfigurationError(
            f"httpx cannot use the proxy that the environment names: {sentence(words)} "
            "Look at HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY."
        ) from None


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
        if isinstance(problem, httpx.HTTPStatusError):
            words = f"auth= took the answer for a failure: {clean(problem)}"
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
            # Python before 3.11.4 takes it for the end of a whole connection.
            if what == "UNEXPECTED_EOF_WHILE_READING" or isinstance(cause, ssl.SSLZeroReturnError):
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
    if isinstance(answer := request.extensions.get(ANSWER), _Answer):
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
    """The body of an answer, unpacked, and cut off where it is too long.

    Of the answer to a start everything is kept that arrives, as the id may be in it: httpx itself drops what arrived
    of a body that breaks off, and unpacks without a bound.
    """

    def __init__(self, response: HTTPResponse) -> None:
        self._stream: Any = response.stream
        self._path = response.request.url.path
        self._left = LONGEST_ANSWER if response.is_success else LONGEST_ERROR
        self._arrived = bytearray()
        self._extensions = response.extensions
        # Unpacked here: to httpx it must not look packed any more.
        packed = "content-encoding" in response.headers and response.headers.pop("content-encoding").strip().lower()
        self._unpack = zlib.decompressobj(zlib.MAX_WBITS | 16) if packed in ("gzip", "x-gzip") else None

    def __iter__(self) -> Iterator[bytes]:
        for part in self._stream:
            yield self._taken(part)
            if CUT in self._extensions:
                return

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            yield self._taken(part)
            if CUT in self._extensions:
                return

    def _taken(self, part: bytes) -> bytes:
        if self._unpack:
            try:
                part = self._unpack.decompress(part, self._left + 1)
            except zlib.error as problem:
                raise httpx.DecodingError(f"it cannot be unpacked: {problem}") from problem
        if len(part) > self._left:
            self._extensions[CUT] = "longer than what is read"
            part = part[: self._left]
        self._left -= len(part)
        if START_PATH in self._path:
            self._arrived += part
        return part

    def close(self) -> None:
        self._stream.close()

    async def aclose(self) -> None:
        await self._stream.aclose()

    def request_id(self) -> int | None:
        return salvaged_id(bytes(self._arrived[:SALVAGED]), self._path)


def keep_answer(response: HTTPResponse) -> None:
    """What is done with each answer whose head has arrived."""
    if not response.is_closed:  # that of a transport that has none to read
        response.stream = response.request.extensions[ANSWER] = _Answer(response)
    if "location" in response.headers and not _is_readable(response):
        # httpx looks into it, and fails, even where it does not follow it.
        response.extensions[LOCATION] = response.headers.pop("location")


def _is_readable(response: HTTPResponse) -> bool:
    try:
        HTTPRequest("GET", response.url.join(response.headers["location"])).url.netloc.decode("ascii")
    except Exception:  # InvalidURL, which is no ValueError; IDNA's errors
        return False
    return True


def whole(response: HTTPResponse) -> HTTPResponse:
    """The answer that an exchange ended with, as the server sent it."""
    if LOCATION in response.extensions:
        response.headers["location"] = response.extensions.pop(LOCATION)
    return response


def is_cut(response: HTTPResponse) -> bool:
    """Whether the answer was longer than what is read of one."""
    return CUT in response.extensions
