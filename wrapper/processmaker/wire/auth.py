"""How calls get their token: one that is given, or one from signing in with a password, renewed when it is due.

A renewal is one step for all: the threads of a client take turns by a lock, the tasks of an event loop by another.
A caller that waited uses the token of the renewal before, or raises its error.

No frame here holds a secret in a local variable while it waits or raises: tools print the locals of a traceback.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import re
import threading
import time
from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Generator
from contextlib import asynccontextmanager
from copy import copy
from weakref import WeakKeyDictionary

import httpx
from attrs import field, frozen

from ..clock import Clock, is_seconds
from ..errors import DOCTOR, ConfigurationError, SignInError, clean, retry_after, server_message
from ..fork import begins_anew
from .redact import redact
from .run import run
from .transport import current_call, until

TOKEN_PATH = "/oauth/token"

MARGIN = 60.0
"""Seconds before its end that a token is renewed; a tenth of its life if that is less."""

LONGEST_WAIT = 120.0
"""Seconds to wait for another caller's renewal: each of its two exchanges has a bound of its own."""

AsyncFlow = AsyncGenerator[httpx.Request, httpx.Response]


class OwnAuth(httpx.Auth):
    """An auth of this package. Its flow is written once, and never suspends if it is `blocking`."""

    @abstractmethod
    def flow(self, request: httpx.Request, *, blocking: bool) -> AsyncFlow:
        """Yield the requests to send, the call among them, and take their answers."""

    @abstractmethod
    def secrets(self) -> list[str]:
        """Return all that must not be shown: tokens, passwords, client secrets."""

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        flow = self.flow(request, blocking=True)
        try:
            following = run(anext(flow))
            while True:
                following = run(flow.asend((yield following)))
        except StopAsyncIteration:
            return
        finally:
            run(flow.aclose())

    def async_auth_flow(self, request: httpx.Request) -> AsyncFlow:
        return self.flow(request, blocking=False)


class Bearer(OwnAuth):
    """Adds a personal access token to the calls to one server.

    Args:
        token: the token, or a function that returns it, which is asked at each call and once more after a 401. If it
            then returns another token, the call is sent once more: the server does nothing on a 401. For asyncio it
            may be an async function.
        origin: an address of that server. Calls to another scheme, host or port go without the token.

    Raises:
        ConfigurationError: the token cannot be one; from the calls, if a function returns such a token.
        SignInError: (from the calls) the function raised; the call may be made again.
    """

    def __init__(self, token: str | Callable[[], str | Awaitable[str]], origin: str) -> None:
        self._ask = token if callable(token) else None
        self._token = ""
        if not callable(token):
            if flaw := _flaw(token):
                raise ConfigurationError(flaw)
            self._token = token
        self._origin = _origin(origin)

    async def flow(self, request: httpx.Request, *, blocking: bool) -> AsyncFlow:
        if _origin(request) != self._origin:
            yield request
            return
        await self._sign(request, blocking)
        response = yield request
        if response.status_code == 401 and self._ask and await self._sign(request, blocking):
            yield request

    async def _sign(self, request: httpx.Request, blocking: bool) -> bool:
        """Add the token. Return whether it is another one than before."""
        if self._ask:
            try:
                token = self._ask()
                if blocking and isinstance(token, Coroutine):
                    token.close()
                    raise ConfigurationError("token= is an async function: give it to AsyncProcessMaker")
                if inspect.isawaitable(token):
                    token = await token
            except ConfigurationError:
                raise
            except Exception as problem:  # also an OSError, which would pass for a lost connection
                words = f"the function given as token= raised {problem!r}"
                raise SignInError(words, transient=True) from problem
            if flaw := _flaw(token):
                del token  # from what a traceback shows
                raise ConfigurationError(flaw)
            self._token = token
        before, after = request.headers.get("Authorization"), f"Bearer {self._token}"
        request.headers["Authorization"] = after
        return bool(before != after)

    def secrets(self) -> list[str]:
        return [self._token]

    def __repr__(self) -> str:
        return "Bearer(token=…)"


@frozen(eq=False)
class _Grant:
    """What a sign-in gave."""

    token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    renew_at: float


class PasswordGrant(OwnAuth):
    """Signs in with OAuth's password grant, and renews the token before it expires and after a 401.

    It signs in at the first call. Clients of one server may share it; a blocking and an asyncio client sign in apart.
    The client_credentials grant is not offered: ProcessMaker gives out such tokens, and its API then refuses them
    with 401 (observed on 4.15.5).

    Args:
        client_id, client_secret: those of an OAuth client of the server that may use the password grant.
        username, password: those of the ProcessMaker user who is to make the calls.

    Raises:
        ConfigurationError: one of them is missing.
        SignInError: (from the calls) the server gave no token.
    """

    def __init__(self, client_id: str | int, client_secret: str, username: str = "", password: str = "") -> None:
        if not (username and password):
            raise ConfigurationError(
                "PasswordGrant needs username and password: with a client's id and secret alone (client_credentials) "
                "the server gives out a token that its API then refuses with 401 (observed on 4.15.5)"
            )
        if isinstance(client_id, int):
            client_id = str(client_id)
        self._client = {"client_id": client_id, "client_secret": client_secret}
        self._user = {"username": username, "password": password}
        for name, value in {**self._client, **self._user}.items():
            if not isinstance(value, str) or not value:
                raise ConfigurationError(f"{name} must be a str, and not empty")
        self.clock = Clock()
        self._token_url: str | None = None
        self._origin: _Origin | None = None
        self._grant: _Grant | None = None
        self._failure: SignInError | None = None
        begins_anew(self)
        self.in_child()

    def in_child(self) -> None:
        """The token holds in a child, too. A renewal under way, and its lock, belong to a thread that is not here."""
        # A signal handler that interrupts its own thread's renewal signs in by itself.
        self._lock = threading.RLock()
        self._task_locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()

    def bind(self, site: str) -> None:
        """Say where to sign in: a client does it when it is given this object.

        Args:
            site: the server's address without `/api/1.0`.

        Raises:
            ConfigurationError: it is bound to another server, which must not learn the password.
        """
        url = str(httpx.URL(site.rstrip("/") + TOKEN_PATH))
        if self._token_url not in (None, url):
            bound = str(self._token_url).removesuffix(TOKEN_PATH)
            raise ConfigurationError(f"this PasswordGrant belongs to {bound}; make another one for {site}")
        self._token_url, self._origin = url, _origin(url)

    def __repr__(self) -> str:
        client_id, username = self._client["client_id"], self._user["username"]
        return f"PasswordGrant(client_id={client_id!r}, client_secret=…, username={username!r}, password=…)"

    @property
    def token(self) -> str | None:
        """The access token of the last sign-in; None before the first one."""
        return self._grant.token if self._grant else None

    def secrets(self) -> list[str]:
        tokens = [self._grant.token, self._grant.refresh_token or ""] if self._grant else []
        return [self._client["client_secret"], self._user["password"], *tokens]

    async def flow(self, request: httpx.Request, *, blocking: bool) -> AsyncFlow:
        if self._token_url is None:
            raise ConfigurationError("this PasswordGrant has no server yet: give it to a client as auth=")
        if _origin(request) != self._origin:
            yield request
            return
        before, failure = self._grant, self._failure
        if before and self.clock.monotonic() < before.renew_at:
            request.headers["Authorization"] = f"Bearer {before.token}"
            response = yield request
            if response.status_code != 401:
                return
        async with self._turn(blocking):
            # If another caller has signed in since this call began, or was refused, that holds for this call, too.
            if self._grant is before:
                if self._failure is not None and self._failure is not failure:
                    raise copy(self._failure)
                began, answer = self.clock.monotonic(), None
                if before and before.refresh_token:  # it serves once
                    answer = yield self._token_request(request, before)
                if answer is None or answer.status_code in (400, 401):
                    began = self.clock.monotonic()
                    answer = yield self._token_request(request, None)
                self._take_over(answer, began)
                if self._failure:
                    raise copy(self._failure)  # without the frames that a raised one keeps alive
        # A token that is new and refused all the same does not get better by another sign-in.
        request.headers["Authorization"] = f"Bearer {self.token}"
        yield request

    @asynccontextmanager
    async def _turn(self, blocking: bool) -> AsyncIterator[None]:
        """One thread at a time, or one task of the running loop."""
        call, latest = current_call.get(), time.monotonic() + LONGEST_WAIT
        latest = min(latest, call.deadline) if call else latest
        lock = self._lock if blocking else self._task_locks.setdefault(asyncio.get_running_loop(), asyncio.Lock())
        try:
            if isinstance(lock, asyncio.Lock):
                async with until(latest):
                    await lock.acquire()
            elif not lock.acquire(timeout=max(0.0, latest - time.monotonic())):
                raise TimeoutError
        except TimeoutError:
            raise SignInError("another caller is signing in, and has no answer yet", transient=True) from None
        try:
            yield
        finally:
            lock.release()

    def _token_request(self, call: httpx.Request, old: _Grant | None) -> httpx.Request:
        form = {"grant_type": "password", **self._client, **self._user}
        if old and old.refresh_token:
            form = {"grant_type": "refresh_token", **self._client, "refresh_token": old.refresh_token}
        headers = {"Accept": "application/json", "User-Agent": call.headers.get("user-agent", "")}
        # Without the call's time-outs it would have none.
        extensions = {"timeout": call.extensions.get("timeout", {})}
        return httpx.Request("POST", str(self._token_url), data=form, headers=headers, extensions=extensions)

    def _take_over(self, answer: httpx.Response, began: float) -> None:
        """Take over what an answer to a sign-in gives: a token or a refusal."""
        try:
            body = json.loads(answer.content)
        except (ValueError, RecursionError):
            body = None
        body = body if isinstance(body, dict) else {}
        token, refresh_token, life = body.get("access_token"), body.get("refresh_token"), body.get("expires_in")
        if not answer.is_success or not isinstance(token, str) or _flaw(token):
            self._failure = self._refusal(answer, body.get("error"))
            return
        life = life if is_seconds(life) and life else float("inf")
        refresh_token = refresh_token if isinstance(refresh_token, str) and refresh_token else None
        self._grant, self._failure = _Grant(token, refresh_token, began + life - min(MARGIN, life / 10)), None

    def _refusal(self, answer: httpx.Response, code: object) -> SignInError:
        status, content = answer.status_code, redact(answer.content, self.secrets())
        words, hint = server_message(content), _HINTS.get(str(code))
        if answer.is_success:
            # Not in the server's words: they may hold a token.
            kind = clean(answer.headers.get("content-type", "no content type"), 60)
            words = f"the answer ({kind}, {len(content)} bytes) holds no usable access_token"
        if status < 400 or status == 404:
            hint = f"Check that base_url is the ProcessMaker server's address. {DOCTOR}"
        return SignInError(
            f"Signing in, POST {TOKEN_PATH}: {status} {clean(answer.reason_phrase, 60)}: {words}".removesuffix(": "),
            hint=hint,
            status_code=status,
            code=clean(redact(code, self.secrets())) if isinstance(code, str) else None,
            retry_after=retry_after(answer.headers.get("retry-after"), self.clock.now()),
            transient=status >= 500,
            processed=False,
        )


_HINTS = {"invalid_grant": "Check username and password.", "invalid_client": "Check client_id and client_secret."}
"""What to do about an error code of OAuth."""

_Origin = tuple[str, str, int | None]


def _origin(place: httpx.Request | str) -> _Origin:
    url = place.url if isinstance(place, httpx.Request) else httpx.URL(place)
    return url.scheme, url.host, url.port


def _flaw(token: object) -> str:
    """Return why this cannot be a token, without showing it; an empty text if it can."""
    if not isinstance(token, str):
        return f"the token must be a str, not {type(token).__name__}"
    if token[:7].lower() == "bearer ":
        return 'the token begins with "Bearer ", which is added to it anyway; leave that out'
    if not re.fullmatch("[!-~]+", token):
        return "the token is empty, or holds a blank, a line break or a letter that no token has"
    return ""
