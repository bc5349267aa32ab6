"""Every error that this package raises.

    ProcessMakerError
    ├── ConfigurationError          a setting is missing, contradicts another, or would expose the token
    ├── InvalidData                 the data, or an idempotency key, cannot be sent as it is; nothing was sent
    ├── CannotStart                 it is not clear what to start; nothing was sent
    │   ├── ProcessNotFound         this token may start no such process
    │   ├── StartEventNotFound      the process has no such start event, or no manual one
    │   └── AmbiguousStartEvent     the process has several start events, and none was named
    ├── JournalError                the journal of starts cannot be read or written
    ├── IdempotencyKeyReused        the key belongs to a Request with other data; nothing was sent
    ├── StartOutcomeUnknown         a start was sent, and it is not known whether the Request exists
    ├── RequestFailed               the Request exists, and its status is ERROR
    ├── RequestCanceled             the Request exists, and was canceled
    ├── WaitTimeout                 the wait for a Request took too long; the Request goes on
    ├── TaskNotClosed               the server accepted a completion, and the task is still open
    ├── SignInError                 the server gave no token
    ├── TransportError              no complete answer arrived
    │   ├── ConnectionFailed        no connection: refused, unknown host, TLS, none free in the pool
    │   ├── ConnectionLost          the connection broke after the call was sent
    │   └── TimedOut                no answer in time
    └── ResponseError               the server answered with a failure, such as 405 or 413
        ├── Redirected              3xx, such as a redirect to a login page
        ├── Unauthorized            401
        ├── Forbidden               403
        │   └── CancelNotAllowed    this user may not cancel the Request, or it is over
        ├── NotFound                404
        ├── ValidationFailed        422, with the messages of each field
        │   └── TaskAlreadyClosed   the task was completed before
        ├── RateLimited             429
        ├── ServerError             5xx
        └── UnreadableResponse      a success whose body is not what was promised: HTML, cut off, empty

Each error answers two questions. `processed`: False if the server certainly did not do what was asked, True if it did,
None if that is not known. `retryable`: whether the same call may simply be made again later, after `retry_after`
seconds if that is known. `hint` names a way out, if there is one.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from reprlib import Repr
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urljoin, urlsplit

if TYPE_CHECKING:
    from datetime import datetime

    from .models import Process, Request, StartEvent, Task


class ProcessMakerError(Exception):
    """The base of all errors. The facts given by name become attributes.

    Errors can be pickled and copied, so a worker process can send them back.
    """

    processed: bool | None = False
    """False: the server certainly did nothing. True: it did what was asked. None: not known."""
    started: bool | None = None
    """Whether the Request of the start exists: True, False if it certainly does not, None if that is not known."""
    transient: bool = False
    """Whether the same call may work later."""
    retry_after: float | None = None
    """Seconds to wait before the same call, if that is known."""
    likely_cause: str | None = None
    """What a further look found out. It is likely only: the server itself gives no reason."""
    hint: str | None = None
    """The next step, in Python's words, such as `again=True`; None if there is none to name. The text ends with it."""

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message)
        vars(self).update(facts)

    @property
    def message(self) -> str:
        """What went wrong: the text of the error without the hint."""
        message = str(self.args[0])
        return f"{sentence(message)} Likely cause: {self.likely_cause}" if self.likely_cause else message

    @property
    def retryable(self) -> bool:
        """Whether the same call (a start: with the same key) may work later, and does nothing twice.

        This is what the retry policy of a job queue asks. `retry_after` is the pause, if it is known.
        """
        return self.processed is False and (self.transient or self.retry_after is not None)

    def __str__(self) -> str:
        return f"{sentence(self.message)} {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.args[0],), vars(self)


class ConfigurationError(ProcessMakerError, ValueError):
    """A setting is missing, contradicts another, or would expose the token."""


class InvalidData(ProcessMakerError, ValueError):
    """The data, or an idempotency key, cannot be sent as it is. The message names the place; nothing was sent."""

    path: str | None = None
    """Where the value stands, such as `data.items[3].when`."""


class CannotStart(ProcessMakerError, LookupError):
    """It is not clear what to start. Nothing was sent."""

    processes: tuple[Process, ...] = ()
    """What this token may start."""
    start_events: tuple[StartEvent, ...] = ()
    """The start events of the process, if the process is clear."""


class ProcessNotFound(CannotStart):
    """This token may start no such process."""


class StartEventNotFound(CannotStart):
    """The process has no such start event, or, if none was named, no manual one.

    A timer start event starts, too, if it is named by its node id.
    """


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
    """The Request's id, if that much of the answer arrived: then the Request exists."""
    request: Request | None = None
    """The Request, if it is known: then it exists."""
    wire_error: Exception
    """What happened, such as a lost answer."""
    look_error: ProcessMakerError | None = None
    """Why the last look for the Request failed, if it did."""

    @property
    def retryable(self) -> bool:
        return self.idempotency_key is not None


class IdempotencyKeyReused(ProcessMakerError):
    """The key belongs to a Request that was started with other data. Nothing was sent."""

    existing: Request
    """The Request that was started with the key."""
    idempotency_key: str


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


class WaitTimeout(ProcessMakerError, TimeoutError):
    """The wait for a Request took too long. The Request goes on in the server."""

    processed = True
    request_id: int
    request: Request | None = None
    """Its last known state; None if it could not be read at all. The reason is then the `__cause__`."""

    @property
    def retryable(self) -> bool:
        return not (self.request and self.request.finished)


class TaskNotClosed(ProcessMakerError):
    """The server accepted the completion of a task, and the task was still open at the last look.

    Whether it will be closed is not known: the Request was locked, or the engine works elsewhere. Do not complete the
    task again before you know: a second completion can run the next step twice (observed on 4.15.5).
    """

    processed = None
    task: Task
    """The task, as it was last seen."""


class SignInError(ProcessMakerError):
    """The server gave no token: wrong password, wrong client secret, too many tries. Nothing else was sent."""

    status_code: int | None = None
    code: str | None = None
    """OAuth's error code, such as `invalid_grant`."""


class _Asked:
    """What an error of a call says about that call."""

    method: str = ""
    """The HTTP method, such as `POST`."""
    path: str = ""
    """Path and query, such as `/api/1.0/process_events/2?event=node_1`."""

    @property
    def asked(self) -> str:
        """Both: `POST /api/1.0/process_events/2?event=node_1`."""
        return f"{self.method} {self.path}".strip()


class TransportError(_Asked, ProcessMakerError):
    """No complete answer arrived."""

    transient = True
    processed: bool | None = None
    request_id: int | None = None
    """The Request's id, if that much of the answer to a start arrived."""


class ConnectionFailed(TransportError):
    """No connection was made, so nothing was sent: refused, unknown host, TLS, a proxy, none free in time."""

    processed = False


class ConnectionLost(TransportError):
    """The connection broke after the call was sent."""


class TimedOut(TransportError):
    """No answer in time. Observed on 4.15.5: the server goes on after the client has left."""


class ResponseError(_Asked, ProcessMakerError):
    """The server answered with a failure. A status that has no class of its own, such as 405 and 413, is this one.

    `processed` is None for answers that may come after the call was carried out, such as a gateway's 408, 409 or 499.
    """

    status_code: int = 0
    server_message: str = ""
    """The server's own words, without this client's token and passwords."""
    headers: Mapping[str, str] = {}
    """Those headers of the answer that help to find out who gave it, by their names in small letters."""


class Redirected(ResponseError):
    """The server answered with a redirect, such as one to its login page. It is not followed: the token stays here.

    `processed` is False for a redirect to a login page, and for a 307 or 308 to another address, which come in place
    of what was asked. Any other may come after it: None.
    """

    location: str = ""
    """Where to, without what follows ? or #, which may hold a token."""


class Unauthorized(ResponseError):
    """401: the token is missing, wrong, expired, or of a kind the API does not accept."""


class Forbidden(ResponseError):
    """403: this user may not do that. Observed on 4.15.5: also the answer to a start event that does not exist."""


class CancelNotAllowed(Forbidden):
    """403: this user may not cancel the Request, or the Request is over. Observed on 4.15.5: both get the same answer.

    A look at the Request afterwards tells them apart: `request.finished` is True if it is over.
    """

    request: Request | None = None
    """The Request, if it is over: how it ended. There is nothing to cancel."""


class NotFound(ResponseError):
    """404: there is no such thing, or the start event is missing."""


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
    """5xx: the server, or a proxy before it, failed. It is not known whether it did what was asked.

    ProcessMaker's own 503 of a maintenance is the exception: it comes before the application runs (4.15.5), so
    `processed` is False. Its Retry-After and its words tell it from the 503 of a gateway.
    """

    transient = True
    processed: bool | None = None


class UnreadableResponse(ResponseError):
    """A success whose body is not what was promised: HTML, cut off, empty, or another shape.

    A call that only reads is sent again within the client's `retries`; after that it is not `retryable`.
    """

    transient = True
    processed: bool | None = None
    request_id: int | None = None
    """The Request's id, if that much of the body arrived."""

    @property
    def retryable(self) -> bool:
        return False


E = TypeVar("E", bound=ProcessMakerError)
R = TypeVar("R", bound=ResponseError)

_BY_STATUS: dict[int, type[ResponseError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    422: ValidationFailed,
    429: RateLimited,
}


_REFUSALS = frozenset(
    {400, 401, 402, 403, 404, 405, 407, 410, 411, 412, 413, 414, 415, 417, 419, 421, 422, 426, 428, 429, 431, 451}
)
"""Answers that come in place of what was asked, never after it. The other ones may have a proxy for their author."""

_MAY_PASS = frozenset({408, 425, 499})
"""Those outside 5xx that may be another answer the next time."""


DOCTOR = "To find out what is wrong with the address: processmaker doctor"
"""The hint for an answer that ProcessMaker's API does not give."""


_TELLING = ("content-type", "date", "retry-after", "location", "server", "via", "www-authenticate", "x-request-id")
"""The headers that an error keeps: who answered, when, and what to do."""


def error_of(
    status: int, reason: str, headers: Mapping[str, str], body: bytes, *, method: str, url: str, now: datetime
) -> ResponseError | None:
    """Return the error that an answer stands for; None for a success.

    Args:
        status, reason, headers, body: the answer, without secrets. The names of headers are in small letters.
        method, url: what was asked.
        now: the time for a Retry-After that is a date.
    """
    if 200 <= status < 300:
        return None
    kind = _BY_STATUS.get(status)
    facts: dict[str, Any] = {}
    words = server_message(body)
    refused = status in _REFUSALS or _is_maintenance(status, headers, words)
    if kind is ValidationFailed:
        facts["fields"] = _fields(body)
    elif kind is None and 300 <= status < 400:
        location = facts["location"] = clean(headers.get("location", ""))
        kind, refused = Redirected, _is_login(location)
        words = f"a redirect to {location or 'nowhere'}"
        if refused:
            words += ", the login page: the server took this call for a browser's, or base_url is not the API's"
            facts["hint"] = DOCTOR
        elif status in (307, 308) and (site := _moved_to(url, location)):
            refused = True
            facts["hint"] = f"If the server moved there, set base_url to {site}."
    elif kind is None:
        kind = ResponseError if 400 <= status < 500 else ServerError
    if status in _MAY_PASS:
        facts["transient"] = True
    if status in (404, 405) and "json" not in headers.get("content-type", ""):
        facts["hint"] = DOCTOR  # ProcessMaker's API answers in JSON
    facts["processed"] = False if refused else None
    wait = retry_after(headers.get("retry-after"), now)
    return describe(kind, status, reason, headers, words, method=method, url=url, retry_after=wait, **facts)


def _is_maintenance(status: int, headers: Mapping[str, str], words: str) -> bool:
    """Return whether it is ProcessMaker's own 503 (4.15.5), in JSON or HTML; a gateway's has other words."""
    kind = headers.get("content-type", "")
    own = words == "Service Unavailable" and kind.startswith(("application/json", "text/html"))
    return status == 503 and "retry-after" in headers and own


def _is_login(location: str) -> bool:
    try:
        return "login" in urlsplit(location).path.split("/")
    except ValueError:
        return False


def _moved_to(url: str, location: str) -> str | None:
    """Return the base_url that a Location stands for: another host, or the same path below another one; else None."""
    try:
        here, there = urlsplit(url), urlsplit(urljoin(url, location))
    except ValueError:
        return None
    prefix, api, rest = here.path.partition("/api/1.0/")
    below = there.path.removesuffix(api + rest) if there.path.endswith(api + rest) else ""
    old, new = f"{here.scheme}://{here.netloc}{prefix}", f"{there.scheme}://{there.netloc}{below}"
    return new if there.scheme in ("http", "https") and there.netloc and new != old else None


def describe(
    kind: type[R],
    status: int,
    reason: str,
    headers: Mapping[str, str],
    words: str,
    *,
    method: str,
    url: str,
    **facts: Any,
) -> R:
    """Return an error of `kind` for an answer: what was asked, the server's words, and the headers that matter."""
    parts = urlsplit(url)
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    error = kind(
        f"{method} {path}: {status} {clean(reason, 60)}: {words}".removesuffix(": "),
        method=method,
        path=path,
        status_code=status,
        server_message=words,
        headers={name: clean(headers[name]) for name in _TELLING if name in headers},
        **facts,
    )
    return only_reads(error, method)


READING = ("GET", "HEAD", "OPTIONS")


def only_reads(error: E, method: str) -> E:
    """Return the same error. If the call only reads, there was nothing that the server could have carried out."""
    if method in READING:
        error.processed = False
    return error


def sentence(words: object) -> str:
    """Return the words with a full stop, so that others can follow them."""
    text = str(words)
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."


@contextmanager
def explain_unknown(what: str, way_out: str) -> Iterator[None]:
    """Add to an error of the block that it is not known whether the call was carried out, if that is so.

    Args:
        what: what was asked for, such as `Request 17 was canceled`.
        way_out: how to find out whether it was done, such as `look at it, get(17)`.
    """
    try:
        yield
    except ProcessMakerError as error:
        if error.processed is None:
            error.args = (f"{sentence(error.args[0])} Whether {what} is not known",)
            error.hint = f"To find out: {way_out}."
        raise


_short = Repr()
_short.maxstring = _short.maxother = 60


def short_repr(value: object) -> str:
    """Return a `repr` that is short enough for a message. Of an integer that Python may not print, say the size."""
    if isinstance(value, int) and value.bit_length() > 63:
        return f"a number of {value.bit_length()} bits"
    return _short.repr(value)


LONGEST_WORDS = 300
"""Characters of somebody else's words that a message repeats."""

_TITLE = re.compile(r"<title\b[^>]{0,200}>(.*?)(?:</title|\Z)", re.IGNORECASE | re.DOTALL)


def clean(words: object, longest: int = LONGEST_WORDS) -> str:
    """Return somebody else's words in one line: cut, and without what a terminal would obey, such as escapes."""
    text = str(words)[: 20 * longest]
    text = " ".join("".join(letter for letter in text if letter.isprintable() or letter.isspace()).split())
    return text if len(text) <= longest else text[:longest] + "…"


def server_message(body: bytes) -> str:
    """Return the server's own words: from JSON as observed on 4.15.5, the title of an HTML page, or the text."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict):
        for key in ("message", "error_description", "error"):
            if isinstance(found.get(key), str) and found[key]:
                return clean(found[key])
    text = body[:20_000].decode("utf-8", "replace")
    title = _TITLE.search(text)
    return clean((title[1].strip() if title else "") or text)


def _fields(body: bytes) -> dict[str, list[str]]:
    try:
        errors = json.loads(body)["errors"].items()
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return {}
    return {
        clean(field): [clean(text) for text in (texts if isinstance(texts, list) else [texts])]
        for field, texts in errors
    }


def retry_after(value: str | None, now: datetime) -> float | None:
    """Return the seconds that a Retry-After header (seconds or a date) asks for; None if it says nothing usable."""
    if value is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}", value.strip()):
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - now).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None


RENAMED = {
    "AlreadyFinished": "CancelNotAllowed",
    "MethodNotAllowed": "ResponseError",
    "NoStartEvent": "CannotStart",
    "PayloadTooLarge": "ResponseError",
    "ServiceUnavailable": "ServerError",
    "TLSFailed": "ConnectionFailed",
}
"""The names of 0.1.0 that 0.2.0 still knows, and what they mean now."""


def __getattr__(name: str) -> Any:
    if name not in RENAMED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return renamed(name)


def renamed(name: str) -> type[ProcessMakerError]:
    """Return the class that an old name means. Warn at the line that reads the attribute of the module."""
    words = f"the error {name} is {RENAMED[name]} since 0.2.0; the old name will be removed in 0.3.0"
    warnings.warn(words, DeprecationWarning, stacklevel=3)
    kind: type[ProcessMakerError] = globals()[RENAMED[name]]
    return kind
