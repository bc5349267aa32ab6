"""What goes wrong between a client and a server, on request or at random."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

import attrs
import httpx

from . import _shapes

Kind = str | int

KINDS: dict[Kind, str] = {
    "answer lost": "processed; no answer comes: httpx.ReadTimeout",
    "reset": "processed; the connection breaks before the answer: httpx.ReadError",
    "lost before": "not processed; no answer comes: httpx.ReadTimeout, as with `answer lost`",
    "refused": "not processed; no connection: httpx.ConnectError",
    "slow": "processed; takes `seconds` on the clock; if that is beyond the read time-out: httpx.ReadTimeout",
    "html": "processed; the right status with an HTML page",
    "truncated": "processed; the JSON ends early, after `at` bytes",
    "empty": "processed; the right status without a body",
    "token expired": "not processed; 401, and the access tokens given out by grants become invalid",
    429: "not processed; JSON with Retry-After",
    500: "not processed; JSON",
    502: "not processed; HTML",
    503: "not processed; JSON with Retry-After, as in maintenance",
    504: "not processed; HTML",
    "500 after": "processed; JSON",
    "502 after": "processed; HTML",
    "504 after": "processed; HTML",
}
MIX: tuple[Kind, ...] = (
    "answer lost",
    "reset",
    "lost before",
    "refused",
    429,
    502,
    503,
    "502 after",
    "html",
    "truncated",
)
"""What `misbehave` mixes unless told otherwise."""

_NOT_PROCESSED = ("lost before", "refused", "token expired", 429, 500, 502, 503, 504)


@attrs.frozen
class Fault:
    """One thing going wrong with one call."""

    kind: Kind
    seconds: float = 60
    retry_after: int | str | None = 1
    at: float = 0.5
    """How much of the answer `truncated` lets through: from 1 on bytes, below 1 a share."""

    def befall(
        self,
        request: httpx.Request,
        process: Callable[[], httpx.Response],
        wait: Callable[[float], None],
    ) -> httpx.Response:
        """The answer as the client gets it; `process` is called if the server is to process the call."""
        if self.kind == "refused":
            raise httpx.ConnectError("[Errno 111] Connection refused", request=request)
        answer = None if self.kind in _NOT_PROCESSED else process()
        if self.kind in ("answer lost", "lost before"):
            raise httpx.ReadTimeout("The read operation timed out", request=request)
        if self.kind == "reset":
            raise httpx.ReadError("[Errno 104] Connection reset by peer", request=request)
        if answer is None or isinstance(self.kind, int) or self.kind.endswith(" after"):
            return self._page()
        if self.kind == "slow":
            wait(self.seconds)
            limit = request.extensions.get("timeout", {}).get("read")
            if limit is not None and self.seconds > limit:
                raise httpx.ReadTimeout("The read operation timed out", request=request)
            return answer
        if self.kind == "html":
            return _shapes.html(answer.status_code, "Welcome")
        cut = 0 if self.kind == "empty" else int(self.at if self.at >= 1 else self.at * len(answer.content))
        headers = {name: value for name, value in answer.headers.items() if name != "content-length"}
        return httpx.Response(answer.status_code, headers=headers, content=answer.content[:cut])

    def _page(self) -> httpx.Response:
        later = {} if self.retry_after is None else {"retry_after": str(self.retry_after)}
        match self.kind:
            case "token expired":
                return _shapes.answer({"error": "Unauthenticated."}, 401)
            case 429:
                return _shapes.message(429, "Too Many Attempts.", **later)
            case 503:
                return _shapes.message(503, "Service Unavailable", **later)
            case 500 | "500 after":
                return _shapes.message(500, "Server Error")
            case 502 | "502 after":
                return _shapes.html(502, "502 Bad Gateway")
            case _:
                return _shapes.html(504, "504 Gateway Time-out")


@attrs.define
class Rule:
    """Which fault happens when: to calls that match `on`, `times` times or for ever, at this `rate`."""

    kinds: Sequence[Kind]
    on: str | None
    times: int | None
    rate: float
    chance: random.Random
    template: Fault

    def pick(self, call: str) -> Fault | None:
        """The fault for this call, such as `POST /process_events/2`."""
        if self.times == 0 or not _matches(self.on, call):
            return None
        if self.rate < 1 and self.chance.random() >= self.rate:
            return None
        if self.times is not None:
            self.times -= 1
        at = self.template.at if len(self.kinds) == 1 else self.chance.random()
        return attrs.evolve(self.template, kind=self.chance.choice(self.kinds), at=at)


def known(kind: Kind) -> Kind:
    """The kind under its name in KINDS; ValueError, with the names, if there is none. `502 before` is 502."""
    if isinstance(kind, str) and kind.removesuffix(" before").isdecimal():
        kind = int(kind.removesuffix(" before"))
    if kind not in KINDS:
        raise ValueError(f"no fault {kind!r}; there are: {', '.join(map(str, KINDS))}")
    return kind


def place(on: str | None) -> str | None:
    """`on` as calls are compared with it; ValueError if no call can begin so."""
    if on is None:
        return None
    found = re.fullmatch(r"([A-Z]+)? ?(/.*)?", on)
    if not found or found[1] not in (None, "GET", "POST", "PUT"):
        raise ValueError(f'on={on!r} is neither a method, a path nor both, such as "POST /process_events"')
    path = (found[2] or "").removeprefix("/api/1.0")
    return f"{found[1]} {path}".rstrip() if found[1] else path


def _matches(on: str | None, call: str) -> bool:
    """`on` is the beginning of `METHOD /path` or of `/path`."""
    return on is None or call.startswith(on) or call.partition(" ")[2].startswith(on)
