"""Faults between a client and a server, on request or at random."""

from __future__ import annotations

import random
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

import attrs
import httpx

from . import _shapes
from ._transport import Channel, timed_out

Kind = Literal[
    "answer lost",
    "reset",
    "lost before",
    "refused",
    "slow",
    "html",
    "truncated",
    "empty",
    "token expired",
    429,
    500,
    502,
    503,
    504,
    "500 after",
    "502 after",
    "503 after",
    "504 after",
]

KINDS: dict[Kind, str] = {
    "answer lost": "processed; no answer comes: httpx.ReadTimeout",
    "reset": "processed; the connection breaks before the answer: httpx.ReadError",
    "lost before": "not processed; no answer comes: httpx.ReadTimeout, as with `answer lost`",
    "refused": "not processed; no connection: httpx.ConnectError",
    "slow": "processed; takes `seconds` (60) on the clock; if that is beyond the read time-out: httpx.ReadTimeout",
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
    "503 after": "processed; a line of text without Retry-After, from a gateway",
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
    "503 after",
    "html",
    "truncated",
)
"""What `misbehave` mixes unless told otherwise."""


@attrs.frozen
class Fault:
    """One thing going wrong with one call."""

    kind: Kind
    seconds: float | None = None
    retry_after: int | str | None = 1
    at: float = 0.5
    """How much of the answer `truncated` lets through: from 1 on bytes, below 1 a share."""

    async def apply(
        self, request: httpx.Request, process: Callable[[], Awaitable[httpx.Response]], channel: Channel
    ) -> httpx.Response:
        """The answer as the client gets it; `process` is called if the server is to process the call."""
        if self.kind == "refused":
            raise httpx.ConnectError("[Errno 111] Connection refused", request=request)
        answer = None if KINDS[self.kind].startswith("not") else await process()
        match self.kind:
            case "answer lost" | "lost before":
                raise timed_out(request)
            case "reset":
                raise httpx.ReadError("[Errno 104] Connection reset by peer", request=request)
            case "slow" if answer:
                await channel.wait(request, 60 if self.seconds is None else self.seconds)
                return answer
            case "html" if answer:
                return _shapes.html(answer.status_code, "Welcome")
            case "truncated" | "empty" if answer:
                cut = 0 if self.kind == "empty" else int(self.at if self.at >= 1 else self.at * len(answer.content))
                headers = {name: value for name, value in answer.headers.items() if name != "content-length"}
                return httpx.Response(answer.status_code, headers=headers, content=answer.content[:cut])
            case _:
                return self._error()

    def _error(self) -> httpx.Response:
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
            case "503 after":
                # Envoy's words if an application closed the connection instead of answering.
                text = "upstream connect error or disconnect/reset before headers. reset reason: connection termination"
                return httpx.Response(503, text=text)
            case kind:
                status = int(str(kind).partition(" ")[0])
                return _shapes.html(status, f"{status} {httpx.codes.get_reason_phrase(status)}".strip())


@attrs.define
class Rule:
    """Which fault happens to which calls: those that match `on`, `times` times or always, at this `rate`."""

    kinds: Sequence[Kind]
    on: str | None
    times: int | None
    rate: float
    chance: random.Random
    template: Fault
    used: bool = False

    def __str__(self) -> str:
        on = f", on={self.on!r}" if self.on else ""
        return f"{', '.join(repr(kind) for kind in self.kinds)}{on}"

    def pick(self, call: str) -> Fault | None:
        """The fault for this call, such as `POST /process_events/2`."""
        if self.times == 0 or not _matches(self.on, call):
            return None
        if self.rate < 1 and self.chance.random() >= self.rate:
            return None
        if self.times is not None:
            self.times -= 1
        self.used = True
        at = self.template.at if len(self.kinds) == 1 else self.chance.random()
        return attrs.evolve(self.template, kind=self.chance.choice(self.kinds), at=at)


def check_kind(kind: Kind) -> Kind:
    """Return the kind; ValueError, which lists the kinds, if it is none."""
    if kind not in KINDS:
        raise ValueError(f"no fault {kind!r}; there are: {', '.join(map(str, KINDS))}")
    return kind


def check_place(on: str | None, places: Sequence[tuple[str, str]]) -> str | None:
    """Return `on` as calls are compared with it; ValueError if no call to these (method, path) can begin so."""
    if on is None:
        return None
    found = re.fullmatch(r"([A-Z]+)? ?(/.*)?", on)
    if not found or found[1] not in (None, *(method for method, _ in places)):
        raise ValueError(f'on={on!r} is neither a method, a path nor both, such as "POST /process_events"')
    path = (found[2] or "").removeprefix("/api/1.0")
    if not any(found[1] in (None, method) and _leads_to(path, there) for method, there in places):
        known = ", ".join(f"{method} {there}" for method, there in places)
        raise ValueError(f"on={on!r} is the beginning of no call; there are: {known}")
    return f"{found[1]} {path}".rstrip() if found[1] else path


def _leads_to(path: str, there: str) -> bool:
    """Whether a path is the beginning of one such as /requests/{request_id}."""
    *whole, last = path.split("/")
    parts = there.split("/")

    def fits(given: str, part: str) -> bool:
        return part == given or part == "{event_id}" or (part.startswith("{") and given.isdecimal())

    return (
        len(whole) < len(parts)
        and all(fits(given, part) for given, part in zip(whole, parts, strict=False))
        and (fits(last or "0", parts[len(whole)]) or parts[len(whole)].startswith(last))
    )


def _matches(on: str | None, call: str) -> bool:
    """`on` is the beginning of `METHOD /path` or of `/path`."""
    return on is None or call.startswith(on) or call.partition(" ")[2].startswith(on)
