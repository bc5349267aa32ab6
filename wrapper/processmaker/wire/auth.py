"""How calls get their token: one that is given, or one from signing in with a password, renewed when it is due.

`PasswordGrant` renews once, however many threads and asyncio tasks (of several loops, too) share it. Whoever needs a
token first registers a renewal and does it; everybody else waits for that renewal to be over and looks again. The only
lock guards the bookkeeping and is never held while anything is sent or awaited. So a task that is cancelled in the
middle of a renewal leaves nothing locked: its renewal is over, and one of those who waited begins another.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import suppress
from copy import copy
from typing import Any

from attrs import frozen

from ..clock import Clock
from ..errors import ConfigurationError, SignInError, clean, retry_after, server_message
from ..fork import begins_anew
from .http import TOKEN_PATH, Auth, HTTPRequest, HTTPResponse
from .pending import Pending
from .redact import Secrets
from .watch import DEADLINE

MARGIN = 60.0
"""Seconds before its end that a token is renewed; a tenth of its life, where that is less."""

LONGEST_WAIT = 120.0
"""Seconds to wait for somebody else's renewal: each of its two exchanges has a bound of its own."""


class Bearer(Auth):
    """Adds a personal access token to the calls to one server.

    Args:
        token: the token, or a function that returns it, which is asked at each call and once more after a 401. If it
            then returns another token, the call is sent once more: the server does nothing on a 401.
        origin: an address of that server. Calls to another scheme, host or port go without the token.

    Raises:
        ConfigurationError: the token cannot be one; for a function, when a call asks it, also if it raises.
    """

    def __init__(self, token: str | Callable[[], str], origin: str) -> None:
        self._ask = token if callable(token) else None
        self._token = "" if callable(token) else _checked(token)
        self._origin = _origin(origin)

    def auth_flow(self, request: HTTPRequest) -> Generator[HTTPRequest, HTTPResponse, None]:
        if _origin(request) != self._origin:
            yield request
            return
        token = self._current()
        response = yield _with_token(request, token)
        if response.status_code == 401 and self._ask and (other := self._current()) != token:
            response = yield _with_token(request, other)
        _forget_history(response)

    def _current(self) -> str:
        if not self._ask:
            return self._token
        try:
            token = self._ask()
        except Exception as problem:  # also an OSError, which would pass for a lost connection
            raise ConfigurationError(f"the function given as token= raised {problem!r}") from problem
        return _checked(token)

    def secrets(self) -> list[str]:
        """What no error may show. What a function returns stands in the call's own header."""
        return [self._token]

    def __repr__(self) -> str:
        return "Bearer(token=…)"


@frozen(eq=False)
class _Grant:
    """What a sign-in gave."""

    token: str
    refresh_token: str | None
    renew_at: float


_Origin = tuple[str, str, int | None]

# A step is a request to be sent, or a renewal to wait for; what comes back is the answer, or whether it was waited for.
_Steps = Generator[HTTPRequest | Pending[None], Any, Any]


class PasswordGrant(Auth):
    """Signs in with OAuth's password grant, and renews the token before it expires and after a 401.

    It signs in at the first call. Several clients of one server may share it, blocking and async ones alike.
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
        self._lock = threading.Lock()
        self._renewal: Pending[None] | None = None
        self._grant: _Grant | None = None
        self._failure: SignInError | None = None
        begins_anew(self)

    def in_child(self) -> None:
        """The token holds here, too; a renewal under way is of a thread that is not here, and so may the lock be."""
        self._lock, self._renewal = threading.Lock(), None

    def bind(self, site: str) -> None:
        """Says where to sign in: a client does it when it is given this object.

        Args:
            site: the server's address without `/api/1.0`.

        Raises:
            ConfigurationError: it is bound to another server, which must not learn the password.
        """
        url = str(HTTPRequest("POST", site.rstrip("/") + TOKEN_PATH).url)
        with self._lock:
            if self._token_url not in (None, url):
                bound = str(self._token_url).removesuffix(TOKEN_PATH)
                raise ConfigurationError(f"this PasswordGrant belongs to {bound}; make another one for {site}")
            self._token_url, self._origin = url, _origin(url)

    def __repr__(self) -> str:
        client_id, username = self._client["client_id"], self._user["username"]
        return f"PasswordGrant(client_id={client_id!r}, client_secret=…, username={username!r}, password=…)"

    def secrets(self) -> list[str]:
        """What no error may show."""
        tokens = [self._grant.token, self._grant.refresh_token or ""] if self._grant else []
        return [self._client["client_secret"], self._user["password"], *tokens]

    def sync_auth_flow(self, request: HTTPRequest) -> Generator[HTTPRequest, HTTPResponse, None]:
        steps = self._steps(request)
        step = next(steps)
        while True:
            try:
                if isinstance(step, Pending):
                    answer: Any = step.over_in(_patience(request))
                else:
                    answer = yield step
                    # Read at once: an answer that is not read keeps its connection, which the sign-in may need.
                    answer.read()
            except BaseException as problem:
                _end(steps, problem, cancelled=False)
                raise
            try:
                step = steps.send(answer)
            except StopIteration:
                return

    async def async_auth_flow(self, request: HTTPRequest) -> AsyncGenerator[HTTPRequest, HTTPResponse]:
        steps = self._steps(request)
        step = next(steps)
        while True:
            try:
                if isinstance(step, Pending):
                    answer: Any = await step.over_within(_patience(request))
                else:
                    answer = yield step
                    await answer.aread()
            except BaseException as problem:
                _end(steps, problem, cancelled=_cancelled())
                raise
            try:
                step = steps.send(answer)
            except StopIteration:
                return

    def _steps(self, request: HTTPRequest) -> _Steps:
        """One call, with a sign-in before it or after its 401 where that is needed."""
        if self._token_url is None:
            raise ConfigurationError("this PasswordGrant has no server yet: give it to a client as auth=")
        if _origin(request) != self._origin:
            yield request
            return
        before, failure = self._grant, self._failure
        grant = yield from self._usable(request, before, failure)
        response = yield _with_token(request, grant.token)
        # A token that is new and refused all the same will not get better by another sign-in.
        if response.status_code == 401 and grant is before:
            grant = yield from self._usable(request, before, failure, refused=True)
            response = yield _with_token(request, grant.token)
        _forget_history(response)

    def _usable(
        self, request: HTTPRequest, before: _Grant | None, failure: SignInError | None, *, refused: bool = False
    ) -> Generator[HTTPRequest | Pending[None], Any, _Grant]:
        """A grant to make the call with. `before` and `failure` are what was known when the call began:

        whatever came since, somebody else's sign-in or its failure, holds for this call too.
        """
        stuck: Pending[None] | None = None
        while True:
            with self._lock:
                grant = self._grant
                if grant and (grant is not before or (not refused and self.clock.monotonic() < grant.renew_at)):
                    return grant
                if self._failure and self._failure is not failure:
                    raise copy(self._failure)
                renewal = self._renewal
                if renewal is None or renewal is stuck:
                    renewal = self._renewal = Pending()
                    break
            if not (yield renewal):
                stuck = renewal
        outcome: _Grant | SignInError | None = None
        try:
            outcome = yield from self._renewed(request, grant)
        except SignInError as refusal:
            outcome = copy(refusal)  # without the frames that the original keeps alive
            raise
        except Exception:
            words = "no whole answer arrived to the attempt that this call waited for"
            outcome = SignInError(f"Signing in, POST {TOKEN_PATH}: {words}.", transient=True)
            raise
        finally:  # also when the task is cancelled, and the flow closed: then without an outcome
            with self._lock:
                if isinstance(outcome, _Grant):
                    self._grant, self._failure = outcome, None
                elif outcome:
                    self._failure = outcome
                if self._renewal is renewal:
                    self._renewal = None
            renewal.set_result(None)
        return outcome

    def _renewed(self, request: HTTPRequest, old: _Grant | None) -> Generator[HTTPRequest, HTTPResponse, _Grant]:
        """A new grant: by the old one's refresh token, which serves once, or else by the password."""
        if old and old.refresh_token:
            began = self.clock.monotonic()
            form = {"grant_type": "refresh_token", **self._client, "refresh_token": old.refresh_token}
            answer = yield self._token_request(form, request)
            if answer.status_code not in (400, 401):
                return self._granted(answer, began)
        began = self.clock.monotonic()
        form = {"grant_type": "password", **self._client, **self._user}
        return self._granted((yield self._token_request(form, request)), began)

    def _token_request(self, form: dict[str, str], call: HTTPRequest) -> HTTPRequest:
        headers = {"Accept": "application/json", "User-Agent": call.headers.get("user-agent", "")}
        # Without the call's time-outs it would have none.
        timeouts = {name: value for name, value in call.extensions.items() if name in ("timeout", DEADLINE)}
        return HTTPRequest("POST", str(self._token_url), data=form, headers=headers, extensions=timeouts)

    def _granted(self, answer: HTTPResponse, began: float) -> _Grant:
        try:
            body = json.loads(answer.content)
        except (ValueError, RecursionError):
            body = None
        if not answer.is_success or not isinstance(body, dict):
            raise self._refusal(answer, body)
        token, refresh_token, life = (body.get(name) for name in ("access_token", "refresh_token", "expires_in"))
        if not isinstance(token, str) or _flaw(token):
            raise self._refusal(answer, body)
        life = _seconds(life)
        return _Grant(
            token=token,
            refresh_token=refresh_token if isinstance(refresh_token, str) and refresh_token else None,
            renew_at=began + life - min(MARGIN, life / 10),
        )

    def _refusal(self, answer: HTTPResponse, body: object) -> SignInError:
        answer = Secrets(self).kept_from(answer, {"url": TOKEN_PATH})
        status = answer.status_code
        wait = retry_after(answer.headers.get("retry-after"), self.clock.now())
        code = body.get("error") if isinstance(body, dict) else None
        if 200 <= status < 300:
            # Not in the server's words: they may hold a token.
            kind = clean(answer.headers.get("content-type", "no content type"), 60)
            words = f"the answer ({kind}, {len(answer.content)} bytes) holds no usable access_token"
        elif 300 <= status < 400:
            words = f"a redirect to {clean(answer.headers.get('location', 'nowhere'))}, which is not followed"
        else:
            words = server_message(answer)
        return SignInError(
            f"Signing in, POST {TOKEN_PATH}: {status} {clean(answer.reason_phrase, 60)}: {words.rstrip('.')}."
            f"{_hint(status, code, wait)}",
            status_code=status,
            code=clean(code) if isinstance(code, str) else None,
            retry_after=wait,
            transient=status >= 500,
            processed=False,
        )


def _hint(status: int, code: object, wait: float | None) -> str:
    if code == "invalid_grant":
        return " Check username and password."
    if code == "invalid_client":
        return " Check client_id and client_secret."
    if status == 429:
        return f" Wait {wait:.0f} s before signing in again." if wait is not None else " Wait before signing in again."
    if status < 400 or status == 404:
        return " Check that base_url is the ProcessMaker server's address."
    return ""


def _seconds(life: object) -> float:
    """How long a token lives; without end, where the server says nothing that a clock can count."""
    try:
        seconds = float(life) if isinstance(life, int | float) and not isinstance(life, bool) else 0.0
    except OverflowError:
        seconds = 0.0
    return seconds if seconds > 0 else float("inf")


def _patience(call: HTTPRequest) -> float:
    """Seconds that a call waits for somebody else's renewal."""
    deadline: float = call.extensions.get(DEADLINE, float("inf"))
    return min(LONGEST_WAIT, max(0.0, deadline - time.monotonic()))


def _end(steps: _Steps, problem: BaseException, *, cancelled: bool) -> None:
    """Ends the steps, and lets them know whether an exchange broke: that counts for those who wait, too.

    httpx closes a flow without saying why. If nobody cancelled it, the exchange broke.
    """
    if isinstance(problem, GeneratorExit) and not cancelled:
        problem = ConnectionError()
    with suppress(BaseException):
        steps.throw(problem)


def _cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _with_token(request: HTTPRequest, token: str) -> HTTPRequest:
    request.headers["Authorization"] = f"Bearer {token}"
    return request


def _forget_history(response: HTTPResponse) -> None:
    """httpx hangs the answers before the last one on it: here the sign-in's, with tokens and password."""
    response.history = []


def _origin(place: HTTPRequest | str) -> _Origin:
    url = place.url if isinstance(place, HTTPRequest) else HTTPRequest("GET", place).url
    return url.scheme, url.host, url.port


def _checked(token: object) -> str:
    """The token itself. Raises ConfigurationError, which does not show it."""
    if not isinstance(token, str):
        raise ConfigurationError(f"the token must be a str, not {type(token).__name__}")
    if flaw := _flaw(token):
        raise ConfigurationError(f"the token {flaw}")
    return token


def _flaw(token: str) -> str:
    if not token:
        return "is empty"
    if token[:7].lower() == "bearer ":
        return 'begins with "Bearer ", which is added to it anyway; leave that out'
    for position, character in enumerate(token):
        if not "!" <= character <= "~":
            what = "a blank or line break" if character.isspace() else "a character that no token has"
            return f"holds {what} at position {position}; look at how it was read"
    return ""
