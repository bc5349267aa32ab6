"""Faults between a client and a server, on request or at random."""

from __future__ import annotations

import random
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
MIX: tuple[Kind, ...] = ("answer lost", "lost before", "reset", "refused", "html", 429, 502, 503, "503 after")
"""What `misbehave` mixes unless told otherwise."""


@attrs.define
class Rule:
    """Says which calls fail: those that begin with `on`, `times` times or always, a share `rate` of them."""

    kinds: Sequence[Kind]
    on: str = ""
    times: int | None = None
    rate: float = 1
    chance: random.Random = attrs.field(factory=random.Random)
    seconds: float | None = None
    retry_after: int | str | None = 1
    at: float | None = None
    """How much of the answer `truncated` lets through: from 1 on bytes, below 1 a share. None: any share."""
    used: bool = False

    def __attrs_post_init__(self) -> None:
        for kind in self.kinds:
            if kind not in KINDS:
                raise ValueError(f"no fault {kind!r}; there are: {', '.join(map(str, KINDS))}")

    def __str__(self) -> str:
        on = f", on={self.on!r}" if self.on else ""
        return f"{', '.join(repr(kind) for kind in self.kinds)}{on}"

    def pick(self, call: str) -> Kind | None:
        """Return the fault for this call, such as `POST /process_events/2`, if it is to fail."""
        meant = call.startswith(self.on) or call.partition(" ")[2].startswith(self.on)
        if self.times == 0 or not meant or self.chance.random() >= self.rate:
            return None
        if self.times is not None:
            self.times -= 1
        self.used = True
        return self.chance.choice(self.kinds)

    async def apply(
        self, kind: Kind, request: httpx.Request, process: Callable[[], Awaitable[httpx.Response]], channel: Channel
    ) -> httpx.Response:
        """Return the answer as the client gets it. Call `process` if the server is to process the call."""
        if kind == "refused":
            raise httpx.ConnectError("[Errno 111] Connection refused", request=request)
        if KINDS[kind].startswith("not"):
            if kind == "lost before":
                raise timed_out(request)
            return self._error(kind)
        answer = await process()
        match kind:
            case "answer lost":
                raise timed_out(request)
            case "reset":
                raise httpx.ReadError("[Errno 104] Connection reset by peer", request=request)
            case "slow":
                await channel.wait(request, 60 if self.seconds is None else self.seconds)
                return answer
            case "html":
                return _shapes.html(answer.status_code, "Welcome")
            case "empty":
                return _cut(answer, 0)
            case "truncated":
                at = self.chance.random() if self.at is None else self.at
                return _cut(answer, int(at if at >= 1 else at * len(answer.content)))
            case _:
                return self._error(kind)

    def _error(self, kind: Kind) -> httpx.Response:
        later = {} if self.retry_after is None else {"retry_after": str(self.retry_after)}
        match kind:
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
            case _:
                status = int(str(kind).partition(" ")[0])
                return _shapes.html(status, f"{status} {httpx.codes.get_reason_phrase(status)}")


def _cut(answer: httpx.Response, length: int) -> httpx.Response:
    headers = {name: value for name, value in answer.headers.items() if name != "content-length"}
    return httpx.Response(answer.status_code, headers=headers, content=answer.content[:length])
