"""How operations reach the server.

Each operation is written once, as a coroutine over an `IO`. `AsyncIO` awaits; `BlockingIO` never suspends, so that
`run` takes an operation from its start to its end in one step, also inside a running event loop.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ..clock import Clock, clock_of
from ..errors import (
    ConfigurationError,
    JournalError,
    ProcessMakerError,
    TransportError,
    UnreadableResponse,
    clean,
    describe,
    error_of,
)
from ..log import log
from .connections import AsyncConnections, Connections
from .http import LEAST, SALVAGED, HTTPResponse, is_cut, no_longer_than, server_behind, transport_errors, whole
from .pending import Pending
from .redact import Secrets
from .retry import retrying
from .salvage import salvaged_id
from .watch import DEADLINE, Call

if TYPE_CHECKING:
    from ..config.settings import Settings

T = TypeVar("T")


class IO(ABC):
    """One connection to one server, as an operation sees it."""

    def __init__(self, settings: Settings) -> None:
        self.site = settings.site
        self.server = (settings.site, server_behind(settings.transport))
        self.retries = settings.retries
        self.journal: Any = settings.journal
        if self.journal is not None:
            # Now, and not in the middle of a start, when the process may fork; without a journal, not at all.
            from ..once import claim  # noqa: F401
        self.key_lifetime = settings.key_lifetime
        # For an age, up to which id Requests are older than that, and when that was asked; see `_keys.py`.
        self.too_old: dict[timedelta, tuple[int, float]] = {}
        self.clock = clock_of(settings.transport) or Clock()
        self._timeout = settings.timeout
        self._secrets = Secrets(settings.auth)

    async def call(
        self,
        request: dict[str, Any],
        read: Callable[[Any], T],
        *,
        within: float | None = None,
        once: bool = False,
        leaves: Callable[[], None] | None = None,
    ) -> T:
        """Send one request of the API and return its JSON answer, as the value that `read` makes of it.

        It is sent again where that is safe. With `once` it is not; nor with `within`, which also bounds its time-outs.
        `leaves` is called when the call itself is about to be sent, after a sign-in.

        Args:
            request: what a `build_request` of the generated client returned.

        Raises:
            ProcessMakerError: for anything else than a success of that shape.
        """

        async def send() -> T:
            response = await self._exchange(request, within, leaves)
            try:
                return read(json.loads(response.content or b"null"))
            except (ValueError, RecursionError) as problem:
                self._secrets.keep_out_of(problem, request)
                raise unreadable(self._secrets.kept_from(response, request)) from problem

        return await (send() if once or within is not None else retrying(self, self.retries, send))

    async def command(self, request: dict[str, Any]) -> None:
        """Send one request of the API whose answer has no body."""
        await retrying(self, self.retries, lambda: self._exchange(request))

    async def _exchange(
        self,
        request: dict[str, Any],
        within: float | None = None,
        leaves: Callable[[], None] | None = None,
    ) -> HTTPResponse:
        request = dict(request)
        call = Call(request["url"], leaves)
        if within is not None:
            request["timeout"] = no_longer_than(within, self._timeout)
            request["extensions"] = {DEADLINE: time.monotonic() + max(within, LEAST)}
        began, outcome = self.clock.monotonic(), "no whole answer"
        try:
            with transport_errors(), call:
                try:
                    response = whole(await self.request(request))
                except Exception as problem:
                    self._secrets.keep_out_of(problem, request)
                    raise
            outcome = str(response.status_code)
        except TransportError as problem:
            if not call.sent:  # what broke is the sign-in before it
                problem.processed = False
            raise
        finally:  # without the query: a condition in it may hold data
            seconds = self.clock.monotonic() - began
            log.debug("%s %s: %s after %.3f s", request["method"].upper(), request["url"], outcome, seconds)
        if not response.is_success:
            response = self._secrets.kept_from(response, request)
        if error := error_of(response, self.clock.now()):
            raise error
        return response

    @abstractmethod
    async def request(self, arguments: dict[str, Any]) -> HTTPResponse:
        """One exchange over HTTP, with `arguments` as httpx's `request` takes them."""

    @abstractmethod
    async def sleep(self, seconds: float) -> None:
        """Let time pass."""

    @abstractmethod
    async def step(self, name: str, *args: Any, **options: Any) -> Any:
        """One step of the journal, by its name."""

    @contextmanager
    def journal_errors(self) -> Iterator[None]:
        """Whatever a journal of a user's own raises is a JournalError: after a send it must not hide the answer."""
        try:
            yield
        except ProcessMakerError:
            raise
        except Exception as problem:
            raise JournalError(f"the journal raised {problem!r}", journal=repr(self.journal)) from problem

    @abstractmethod
    async def over(self, pending: Pending[Any], seconds: float) -> bool:
        """Whether what another is at ends within that time; False at once where it cannot while this call waits."""


class BlockingIO(IO):
    """IO that never suspends: whoever awaits it has the result at once."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        if self.journal is not None:
            from ..journal.protocol import is_async

            if is_async(self.journal):
                raise ConfigurationError(f"{self.journal!r} is a journal for asyncio: give it to AsyncProcessMaker")
        self.connections = Connections(settings)

    async def request(self, arguments: dict[str, Any]) -> HTTPResponse:
        return self.connections.request(arguments)

    async def sleep(self, seconds: float) -> None:
        self.clock.sleep(seconds)

    async def step(self, name: str, *args: Any, **options: Any) -> Any:
        with self.journal_errors():
            return getattr(self.journal, name)(*args, **options)

    async def over(self, pending: Pending[Any], seconds: float) -> bool:
        return pending.over_in(seconds)


class AsyncIO(IO):
    """IO that awaits."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.connections = AsyncConnections(settings)

    async def request(self, arguments: dict[str, Any]) -> HTTPResponse:
        return await self.connections.request(arguments)

    async def sleep(self, seconds: float) -> None:
        await self.clock.async_sleep(seconds)

    async def step(self, name: str, *args: Any, **options: Any) -> Any:
        method = getattr(self.journal, name)
        if not inspect.iscoroutinefunction(method):
            method = partial(asyncio.to_thread, method)
        # A task that is cancelled meanwhile still waits for the step's end: else nobody knew what the journal says.
        step = asyncio.ensure_future(method(*args, **options))
        with self.journal_errors():
            try:
                return await asyncio.shield(step)
            except asyncio.CancelledError:
                with suppress(Exception):
                    await step
                raise

    async def over(self, pending: Pending[Any], seconds: float) -> bool:
        return await pending.over_within(seconds)


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


def unreadable(response: HTTPResponse) -> UnreadableResponse:
    """The error for a success that is not what was promised, with the Request's id if that much arrived."""
    kind = clean(response.headers.get("content-type", "no content type"), 60)
    words = f"not the JSON that was promised ({kind}, "
    words += f"{len(response.content)} bytes{', of which no more were read' if is_cut(response) else ''})"
    request = response.request
    request_id = salvaged_id(response.content[:SALVAGED], request.url.path) if request.method == "POST" else None
    return describe(UnreadableResponse, response, words, request_id=request_id)
