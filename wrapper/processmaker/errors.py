"""Every error this package raises.

    ProcessMakerError
    ├── ConfigurationError          a setting is missing, contradicts another, or would expose the token
    ├── InvalidData                 the data, or an idempotency key, cannot be sent as it is; nothing was sent
    ├── CannotStart                 what to start is not clear; nothing was sent
    │   ├── ProcessNotFound         no such process among those this token may start
    │   ├── StartEventNotFound      the process has no such start event
    │   ├── NoStartEvent            the process has no manual start event
    │   └── AmbiguousStartEvent     the process has several, and none was named
    ├── JournalError                the journal of starts cannot be read or written
    ├── StartOutcomeUnknown         a start was sent, and it cannot be known whether the Request exists
    ├── RequestFailed               the Request exists and its status is ERROR
    ├── RequestCanceled             the Request exists and was canceled
    ├── AlreadyFinished             the Request was over before it could be canceled
    ├── WaitTimeout                 the Request did not get there in time
    ├── SignInError                 the server gave no token
    ├── TransportError              no whole answer arrived
    │   ├── ConnectionFailed        no connection: refused, unknown host, TLS, none free in the pool
    │   │   └── TLSFailed           the certificate or the TLS handshake was refused
    │   ├── ConnectionLost          the connection broke after the call was sent
    │   └── TimedOut                no answer in time
    └── ResponseError               the server answered, but not with what was asked for
        ├── Redirected              3xx, such as a redirect to a login page
        ├── Unauthorized            401
        ├── Forbidden               403
        │   └── CancelNotAllowed    this user may not cancel this Request
        ├── NotFound                404
        ├── MethodNotAllowed        405
        ├── PayloadTooLarge         413
        ├── ValidationFailed        422, with the messages of each field
        │   └── TaskAlreadyClosed   the task was completed before
        ├── RateLimited             429
        ├── ServerError             5xx
        │   └── ServiceUnavailable  503, such as maintenance
        └── UnreadableResponse      a success whose body is not what was promised: HTML, cut off, empty

What matters after a failure is answered by every one of them: `processed` is False when the server certainly did not
carry out what was asked, True when it did, and None when that cannot be known; `retryable` tells whether the same call
may simply be made again later, and `retry_after` how much later, where that is known.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from datetime import datetime

    from .models import Process, Request, StartEvent
    from .wire.http import HTTPResponse


class ProcessMakerError(Exception):
    """Anything that goes wrong in this package. The facts given by name become attributes.

    Errors can be pickled and copied, so that they survive the way back from a worker process.
    """

    processed: bool | None = False
    """False: the server certainly did nothing. True: it did what was asked. None: not known."""
    transient: bool = False
    """Whether the same call may work later."""
    retry_after: float | None = None
    """Seconds to wait before the same call, where that is known."""
    likely_cause: str | None = None
    """What a further look found out; likely, because the server itself gives no reason."""

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message)
        vars(self).update(facts)

    @property
    def retryable(self) -> bool:
        """Whether the same call may simply be made again later (a start with the same key): it may work then, and

        nothing is done twice. This is what a job queue's retry policy asks; `retry_after` is the pause, where known.
        """
        return self.processed is False and (self.transient or self.retry_after is not None)

    def __str__(self) -> str:
        message = str(self.args[0])
        return f"{sentence(message)} Likely cause: {self.likely_cause}" if self.likely_cause else message

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.args[0],), vars(self)


class ConfigurationError(ProcessMakerError, ValueError):
    """A setting is missing, contradicts another, or would expose the token."""


class InvalidData(ProcessMakerError, ValueError):
    """The data, or an idempotency key, cannot be sent as it is. The message names the place; nothing was sent."""

    path: str | None = None
    """Where the value stands, such as `data.items[3].when`."""


class CannotStart(ProcessMakerError, LookupError):
    """What to start is not clear. Nothing was sent."""

    processes: tuple[Process, ...] = ()
    """What this token may start."""
    start_events: tuple[StartEvent, ...] = ()
    """The start events of the process, where the process is clear."""


class ProcessNotFound(CannotStart):
    """No such process among those this token may start."""


class StartEventNotFound(CannotStart):
    """The process has no such start event."""


class NoStartEvent(CannotStart):
    """The process has no manual start event. A timer start event still starts when it is given by its node id."""


class AmbiguousStartEvent(CannotStart):
    """The process has several start events, and none was named."""


class JournalError(ProcessMakerError):
    """The journal of starts cannot be read or written; what would have been sent after that was not."""

    journal: str = ""
    """Which journal: the path of its file, or its address without a password."""


class StartOutcomeUnknown(ProcessMakerError):
    """A start was sent, and it cannot be known whether the Request exists. The message gives the next step.

    With an idempotency key it is `retryable`: the next start looks for the Request first. `retry_after` are the seconds
    for which the server may still be at work on the lost start.
    """

    processed = None
    process_id: int
    event: str
    """The node id of the start event."""
    idempotency_key: str | None = None
    request_id: int | None = None
    """The Request's id, where that much of the answer arrived: then the Request exists."""
    wire_error: ProcessMakerError
    """What happened on the wire."""
    look_error: ProcessMakerError | None = None
    """Why the last look for the Request failed, where it did."""

    @property
    def retryable(self) -> bool:
        return self.idempotency_key is not None


class RequestFailed(ProcessMakerError):
    """The Request exists and its status is ERROR."""

    processed = True
    request: Request

    @property
    def messages(self) -> tuple[str, ...]:
        """What the engine said, in its own words."""
        return tuple(str(error.get("message", error)) for error in self.request.errors)


class RequestCanceled(ProcessMakerError):
    """The Request exists and was canceled."""

    processed = True
    request: Request


class AlreadyFinished(ProcessMakerError):
    """The Request was over before it could be canceled; it stays as it is."""

    request: Request


class WaitTimeout(ProcessMakerError, TimeoutError):
    """The Request did not get there in time. It goes on in the server."""

    processed = True
    request_id: int
    request: Request | None = None
    """Its last known state; None where it could not be read at all, and then the reason is the cause."""

    @property
    def retryable(self) -> bool:
        return not (self.request and self.request.finished)


class SignInError(ProcessMakerError):
    """The server gave no token: wrong password, wrong client secret, too many tries. Nothing else was sent."""

    status_code: int | None = None
    code: str | None = None
    """OAuth's error code, such as `invalid_grant`."""


class TransportError(ProcessMakerError):
    """No whole answer arrived."""

    transient = True
    processed: bool | None = None
    asked: str = ""
    """What was asked, such as `POST /api/1.0/process_events/2?event=node_1`."""
    request_id: int | None = None
    """The Request's id, where that much of the answer to a start arrived."""


class ConnectionFailed(TransportError):
    """No connection was made, so nothing was sent: refused, unknown host, TLS, none free in the pool."""

    processed = False


class TLSFailed(ConnectionFailed):
    """The server's certificate, or the TLS handshake, was refused. Nothing was sent."""


class ConnectionLost(TransportError):
    """The connection broke after the call was sent."""


class TimedOut(TransportError):
    """No answer in time. Observed on 4.15.5: the server goes on after the client has left."""


class ResponseError(ProcessMakerError):
    """The server answered, but not with what was asked for.

    `processed` is None for what may come after the call was carried out, such as 408, 409 and 499 from a gateway.
    """

    asked: str = ""
    """What was asked, such as `POST /api/1.0/process_events/2?event=node_1`."""
    status_code: int = 0
    server_message: str = ""
    """The server's own words."""
    response: HTTPResponse
    """The answer, without secrets that were echoed in it. Its request has no credentials and no body."""


class Redirected(ResponseError):
    """The server answered with a redirect, such as one to its login page. It is not followed: the token stays here.

    One to a login page comes in place of what was asked; any other may come after it, and then `processed` is None.
    """

    location: str = ""
    """Where to, without what follows ? or #, which may hold a token."""


class Unauthorized(ResponseError):
    """401: the token is missing, wrong, expired, or of a kind the API does not accept."""


class Forbidden(ResponseError):
    """403: this user may not do that. Observed on 4.15.5: also the answer to a start event that does not exist."""


class CancelNotAllowed(Forbidden):
    """403: this user may not cancel this Request."""


class NotFound(ResponseError):
    """404: there is no such thing, or the start event is missing."""


class MethodNotAllowed(ResponseError):
    """405: observed on 4.15.5 for a process id that is not a number."""


class PayloadTooLarge(ResponseError):
    """413: the data is larger than the web server lets through."""


class ValidationFailed(ResponseError):
    """422: the server refused the values."""

    fields: dict[str, list[str]]
    """The messages of each field."""


class TaskAlreadyClosed(ValidationFailed):
    """422: the task was completed before."""


class RateLimited(ResponseError):
    """429: too many calls; nothing was done."""

    transient = True


class ServerError(ResponseError):
    """5xx: the server, or a proxy before it, failed; whether it did what was asked is not known."""

    transient = True
    processed: bool | None = None


class ServiceUnavailable(ServerError):
    """503. ProcessMaker's own maintenance answer comes before the application runs (4.15.5): `processed` is False.

    It is told by its Retry-After and its words. Any other 503 may be a gateway's, after the application did what was
    asked: `processed` is None.
    """


class UnreadableResponse(ResponseError):
    """A success whose body is not what was promised: HTML, cut off, empty, or another shape."""

    transient = True
    processed: bool | None = None
    request_id: int | None = None
    """The Request's id, where that much of the body arrived."""


E = TypeVar("E", bound=ProcessMakerError)

_BY_STATUS: dict[int, type[ResponseError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    405: MethodNotAllowed,
    413: PayloadTooLarge,
    422: ValidationFailed,
    429: RateLimited,
    503: ServiceUnavailable,
}


_REFUSALS = frozenset(
    {400, 401, 402, 403, 404, 405, 407, 410, 411, 412, 413, 414, 415, 417, 419, 421, 422, 426, 428, 429, 431, 451}
)
"""Answers that come in place of what was asked, never after it. The other ones may have a proxy for their author."""

_MAY_PASS = frozenset({408, 425, 499})
"""Those outside 5xx that may be another answer the next time."""


def error_of(response: HTTPResponse, now: datetime) -> ResponseError | None:
    """The error that `response` (read to its end) stands for; None for a success. `now` dates Retry-After."""
    status = response.status_code
    if 200 <= status < 300:
        return None
    kind = _BY_STATUS.get(status)
    facts: dict[str, Any] = {}
    if kind is ValidationFailed:
        facts["fields"] = _fields(response)
    elif kind is None and 300 <= status < 400:
        kind, facts["location"] = Redirected, clean(response.headers.get("location", ""))
    elif kind is None:
        kind = ResponseError if 400 <= status < 500 else ServerError
    words = server_message(response)
    if kind is Redirected:
        words = f"a redirect to {facts['location'] or 'nowhere'}"
        if _is_login(facts["location"]):
            words += " (the login page: the server took this call for a browser's, or base_url is not the API's)"
    if status in _MAY_PASS:
        facts["transient"] = True
    refused = status in _REFUSALS or _is_maintenance(response, words) or _is_login(facts.get("location", ""))
    facts["processed"] = False if refused else None
    return describe(kind, response, words, retry_after=retry_after(response.headers.get("retry-after"), now), **facts)


def _is_maintenance(response: HTTPResponse, words: str) -> bool:
    """Whether it is ProcessMaker's own 503 (4.15.5), in JSON or HTML; a gateway's has other words."""
    kind = response.headers.get("content-type", "")
    own = words == "Service Unavailable" and kind.startswith(("application/json", "text/html"))
    return response.status_code == 503 and "retry-after" in response.headers and own


def _is_login(location: str) -> bool:
    try:
        return "login" in urlsplit(location).path.split("/")
    except ValueError:
        return False


def describe(kind: type[E], response: HTTPResponse, words: str, **facts: Any) -> E:
    """An error of `kind` that carries what was asked, the server's words, and the answer."""
    asked = asked_by(response.request)
    error = kind(
        f"{asked}: {response.status_code} {clean(response.reason_phrase, 60)}: {words}".removesuffix(": "),
        asked=asked,
        status_code=response.status_code,
        server_message=words,
        response=response,
        **facts,
    )
    return only_reads(error, response.request.method)


READING = ("GET", "HEAD", "OPTIONS")


def only_reads(error: E, method: str) -> E:
    """The same error; where the call only reads, there was nothing that the server could have carried out."""
    if method in READING:
        error.processed = False
    return error


def sentence(words: object) -> str:
    """The words with a full stop, so that others can follow them."""
    text = str(words)
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."


@contextmanager
def left_open(what: str, way_out: str) -> Iterator[None]:
    """An error of the block after which it is not known whether `what` was done, such as `Request 17 was canceled`,

    says so, and how to find out.
    """
    try:
        yield
    except ProcessMakerError as error:
        if error.processed is None:
            error.args = (f"{sentence(error.args[0])} Whether {what} is not known: {way_out}.",)
        raise


def in_words(value: object) -> str:
    """A value that was given, as a message shows it: cut, and long numbers by their size, as Python prints none."""
    if isinstance(value, int) and value.bit_length() > 63:
        return f"a number of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= 200 else text[:200] + "…"


def asked_by(request: Any) -> str:
    """`POST /api/1.0/process_events/2?event=node_1`: enough to recognise the call by, without the host."""
    return f"{request.method} {request.url.raw_path.decode('ascii', 'replace')}"


LONGEST_WORDS = 300
"""Characters of somebody else's words that a message repeats."""

_TITLE = re.compile(r"<title\b[^>]{0,200}>", re.IGNORECASE)
_END_OF_TITLE = re.compile("</title", re.IGNORECASE)


def clean(words: object, longest: int = LONGEST_WORDS) -> str:
    """Somebody else's words in one line: cut, and without what a terminal would obey, such as escapes."""
    text = str(words)[: 20 * longest]
    text = " ".join("".join(letter for letter in text if letter.isprintable() or letter.isspace()).split())
    return text if len(text) <= longest else text[:longest] + "…"


def server_message(response: HTTPResponse) -> str:
    """The server's own words: one of the JSON shapes observed on 4.15.5, the title of an HTML page, or the text."""
    try:
        body = json.loads(response.content)
    except (ValueError, RecursionError):
        body = None
    if isinstance(body, dict):
        for key in ("message", "error_description", "error"):
            if isinstance(body.get(key), str) and body[key]:
                return clean(body[key])
    text = response.content[:20_000].decode("utf-8", "replace")
    if title := _TITLE.search(text):
        end = _END_OF_TITLE.search(text, title.end())
        text = text[title.end() : end.start() if end else None].strip() or text
    return clean(text)


def _fields(response: HTTPResponse) -> dict[str, list[str]]:
    try:
        errors = json.loads(response.content)["errors"].items()
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return {}
    return {
        clean(field): [clean(text) for text in (texts if isinstance(texts, list) else [texts])]
        for field, texts in errors
    }


def retry_after(value: str | None, now: datetime) -> float | None:
    """The seconds that a Retry-After header (seconds or an HTTP date) asks for; None where it says nothing usable."""
    if value is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}", value.strip()):
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - now).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None
