"""How calls get their token: one that is given, or one from signing in with a password, renewed when it is due.

A renewal is one step for all: the threads of a client take turns by a lock, the tasks of an event loop by another.
A caller that waited uses the token of the renewal before, or raises its error.

No frame here holds a secret in a local variable while it waits or raises: tools print the locals of a traceback.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from copy import copy

import httpx
from attrs import field, frozen

from ..clock import Clock
from ..errors import DOCTOR, ConfigurationError, SignInError, clean, retry_after, server_message
from ..fork import begins_anew
from .redact import redact, without_credentials
from .run import run
from .transport import LOCATION, SIGN_IN, current_call

TOKEN_PATH = "/oauth/token"

MARGIN = 60.0
"""Seconds before its end that a token is renewed; a tenth of its life if that is less."""

LONGEST_WAIT = 120.0
"""Seconds to wait for another thread's renewal: each of its two exchanges has a bound of its own."""

Flow = Generator[httpx.Request, httpx.Response, None]
AsyncFlow = AsyncGenerator[httpx.Request, httpx.Response]


class Bearer(httpx.Auth):
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

    def sync_auth_flow(self, request: httpx.Request) -> Flow:
        if _origin(request) != self._origin:
            yield request
            return
        run(self._sign(request, may_await=False))
        response = yield request
        if response.status_code == 401 and self._ask and run(self._sign(request, may_await=False)):
            yield request

    async def async_auth_flow(self, request: httpx.Request) -> AsyncFlow:
        if _origin(request) != self._origin:
            yield request
            return
        await self._sign(request, may_await=True)
        response = yield request
        if response.status_code == 401 and self._ask and await self._sign(request, may_await=True):
            yield request

    async def _sign(self, request: httpx.Request, *, may_await: bool) -> bool:
        """Adds the token. Returns whether it is another one than before."""
        if self._ask:
            try:
                token = self._ask()
                if inspect.isawaitable(token):
                    if not may_await:
                        if isinstance(token, Coroutine):
                            token.close()
                        raise ConfigurationError("token= is an async function: give it to AsyncProcessMaker")
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
        """What no error may show: the token in use."""
        return [self._token]

    def __repr__(self) -> str:
        return "Bearer(token=…)"


@frozen(eq=False)
class _Grant:
    """What a sign-in gave."""

    token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    renew_at: float


class PasswordGrant(httpx.Auth):
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
        if isinstance(client_id, bool) or not isinstance(client_id, str | int) or not str(client_id).strip():
            raise ConfigurationError("client_id must be the number of an OAuth client of the server")
        named = {"client_secret": client_secret, "username": username, "password": password}
        for name, value in named.items():
            if not isinstance(value, str) or not value:
                raise ConfigurationError(f"{name} must be a str, and not empty")
        self.clock = Clock()
        self._client = {"client_id": str(client_id), "client_secret": client_secret}
        self._user = {"username": username, "password": password}
        self._token_url: str | None = None
        self._origin: _Origin | None = None
        self._grant: _Grant | None = None
        self._failure: SignInError | None = None
        begins_anew(self)
        self.in_child()

    def in_child(self) -> None:
        """The token holds in a child, too. A renewal under way, and its lock, belong to a thread that is not here."""
        self._lock = threading.Lock()
        self._renewing: int | None = None  # the thread that holds the lock
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_lock = asyncio.Lock()

    def bind(self, site: str) -> None:
        """Says where to sign in: a client does it when it is given this object.

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
        """What no error may show."""
        tokens = [self._grant.token, self._grant.refresh_token or ""] if self._grant else []
        return [self._client["client_secret"], self._user["password"], *tokens]

    def sync_auth_flow(self, request: httpx.Request) -> Flow:
        if not self._is_for(request):
            yield request
            return
        before, failure = self._grant, self._failure
        if self._is_due(before):
            with self._thread_lock():
                yield from self._renew(request, before, failure)
        used = self._sign(request)
        response = yield request
        # A token that is new and refused all the same does not get better by another sign-in.
        if response.status_code == 401 and used is before:
            with self._thread_lock():
                yield from self._renew(request, before, failure)
            self._sign(request)
            yield request

    async def async_auth_flow(self, request: httpx.Request) -> AsyncFlow:
        if not self._is_for(request):
            yield request
            return
        before, failure = self._grant, self._failure
        is_due = self._is_due(before)
        while True:
            if is_due:
                async with self._task_lock():
                    steps = self._renew(request, before, failure)
                    try:
                        step = next(steps, None)
                        while step is not None:
                            answer = yield step
                            await answer.aread()
                            try:
                                step = steps.send(answer)
                            except StopIteration:
                                break
                    finally:
                        steps.close()
            used = self._sign(request)
            response = yield request
            if is_due or response.status_code != 401 or used is not before:
                return
            is_due = True

    def _is_for(self, request: httpx.Request) -> bool:
        if self._token_url is None:
            raise ConfigurationError("this PasswordGrant has no server yet: give it to a client as auth=")
        return _origin(request) == self._origin

    def _is_due(self, grant: _Grant | None) -> bool:
        return grant is None or self.clock.monotonic() >= grant.renew_at

    def _sign(self, request: httpx.Request) -> _Grant:
        """Adds the token. Returns the grant that it is of."""
        grant = self._grant
        assert grant
        request.headers["Authorization"] = f"Bearer {grant.token}"
        return grant

    @contextmanager
    def _thread_lock(self) -> Iterator[None]:
        """One thread at a time. A signal handler that interrupts its own thread's renewal signs in by itself."""
        lock, thread = self._lock, threading.get_ident()
        if self._renewing == thread:
            yield
            return
        call = current_call.get()
        patience = min(LONGEST_WAIT, max(0.0, call.deadline - time.monotonic())) if call else LONGEST_WAIT
        if not lock.acquire(timeout=patience):
            raise SignInError("another thread is signing in, and has no answer yet", transient=True)
        self._renewing = thread
        try:
            yield
        finally:
            self._renewing = None
            lock.release()

    def _task_lock(self) -> asyncio.Lock:
        """One task at a time, by a lock of the running loop."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._loop_lock = loop, asyncio.Lock()
        return self._loop_lock

    def _renew(self, call: httpx.Request, before: _Grant | None, failure: SignInError | None) -> Flow:
        """Gets a new grant.

        `before` and `failure` are what was known when the call began. If another thread or task has signed in since, or
        failed to, that holds for this call, too.
        """
        if self._grant is not before:
            return
        if self._failure is not failure:
            raise copy(self._failure or SignInError("signing in failed"))
        try:
            outcome = yield from self._sign_in(call, before)
        except GeneratorExit:
            # httpx closes a flow without saying why. If nobody cancelled it, the exchange broke.
            if not _is_cancelled():
                words = "no whole answer arrived to the attempt that this call waited for"
                self._failure = SignInError(f"Signing in, POST {TOKEN_PATH}: {words}.", transient=True)
            raise
        if isinstance(outcome, SignInError):
            self._failure = copy(outcome)  # without the frames that a raised one keeps alive
            raise outcome
        self._grant, self._failure = outcome, None

    def _sign_in(
        self, call: httpx.Request, old: _Grant | None
    ) -> Generator[httpx.Request, httpx.Response, _Grant | SignInError]:
        """By the old grant's refresh token, which serves once, or else by the password."""
        if old and old.refresh_token:
            began = self.clock.monotonic()
            answer = yield self._token_request(call, old)
            if answer.status_code not in (400, 401):
                return self._outcome(answer, began)
        began = self.clock.monotonic()
        return self._outcome((yield self._token_request(call, None)), began)

    def _token_request(self, call: httpx.Request, old: _Grant | None) -> httpx.Request:
        form = {"grant_type": "password", **self._client, **self._user}
        if old and old.refresh_token:
            form = {"grant_type": "refresh_token", **self._client, "refresh_token": old.refresh_token}
        headers = {"Accept": "application/json", "User-Agent": call.headers.get("user-agent", "")}
        # Without the call's time-outs it would have none.
        extensions = {SIGN_IN: True, "timeout": call.extensions.get("timeout", {})}
        return httpx.Request("POST", str(self._token_url), data=form, headers=headers, extensions=extensions)

    def _outcome(self, answer: httpx.Response, began: float) -> _Grant | SignInError:
        """What an answer to a sign-in gives."""
        try:
            body = json.loads(answer.read())
        except (ValueError, RecursionError):
            body = None
        if not answer.is_success or not isinstance(body, dict):
            return self._refusal(answer, body)
        token, refresh_token = body.get("access_token"), body.get("refresh_token")
        if not isinstance(token, str) or _flaw(token):
            return self._refusal(answer, body)
        life = _seconds(body.get("expires_in"))
        return _Grant(
            token=token,
            refresh_token=refresh_token if isinstance(refresh_token, str) and refresh_token else None,
            renew_at=began + life - min(MARGIN, life / 10),
        )

    def _refusal(self, answer: httpx.Response, body: object) -> SignInError:
        status, content = answer.status_code, redact(answer.content, self.secrets())
        wait = retry_after(answer.headers.get("retry-after"), self.clock.now())
        code = body.get("error") if isinstance(body, dict) else None
        if 200 <= status < 300:
            # Not in the server's words: they may hold a token.
            kind = clean(answer.headers.get("content-type", "no content type"), 60)
            words = f"the answer ({kind}, {len(content)} bytes) holds no usable access_token"
        elif 300 <= status < 400:
            location = answer.extensions.get(LOCATION) or answer.headers.get("location", "nowhere")
            words = f"a redirect to {clean(without_credentials(location))}, which is not followed"
        else:
            words = server_message(content)
        return SignInError(
            f"Signing in, POST {TOKEN_PATH}: {status} {clean(answer.reason_phrase, 60)}: {words.rstrip('.')}.",
            hint=_hint(status, code, wait),
            status_code=status,
            code=clean(redact(code, self.secrets())) if isinstance(code, str) else None,
            retry_after=wait,
            transient=status >= 500,
            processed=False,
        )


def _hint(status: int, code: object, wait: float | None) -> str | None:
    if code == "invalid_grant":
        return "Check username and password."
    if code == "invalid_client":
        return "Check client_id and client_secret."
    if status == 429:
        return f"Wait {wait:.0f} s before signing in again." if wait is not None else "Wait before signing in again."
    if status < 400 or status == 404:
        return f"Check that base_url is the ProcessMaker server's address. {DOCTOR}"
    return None


def _seconds(life: object) -> float:
    """How long a token lives; without end if the server says nothing that a clock can count."""
    try:
        seconds = float(life) if isinstance(life, int | float) and not isinstance(life, bool) else 0.0
    except OverflowError:
        seconds = 0.0
    return seconds if seconds > 0 else float("inf")


def _is_cancelled() -> bool:
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no loop runs in this thread
        return False
    return task is not None and task.cancelling() > 0


_Origin = tuple[str, str, int | None]


def _origin(place: httpx.Request | str) -> _Origin:
    url = place.url if isinstance(place, httpx.Request) else httpx.URL(place)
    return url.scheme, url.host, url.port


def _flaw(token: object) -> str:
    """Why that cannot be a token, without showing it; an empty text if it can."""
    if not isinstance(token, str):
        return f"the token must be a str, not {type(token).__name__}"
    if not token:
        return "the token is empty"
    if token[:7].lower() == "bearer ":
        return 'the token begins with "Bearer ", which is added to it anyway; leave that out'
    for position, character in enumerate(token):
        if not "!" <= character <= "~":
            what = "a blank or line break" if character.isspace() else "a character that no token has"
            return f"the token holds {what} at position {position}; look at how it was read"
    return ""
