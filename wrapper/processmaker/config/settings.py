"""The settings of one client, made from its arguments. Everything is checked before anything is sent."""

from __future__ import annotations

import os
import ssl
from collections.abc import Awaitable, Callable
from http.cookiejar import CookieJar
from typing import Any

from httpx import AsyncBaseTransport, Auth, BaseTransport, Timeout

from ..clock import clock_of, is_seconds
from ..errors import ConfigurationError
from ..wire import API_PATH
from ..wire.auth import Bearer, PasswordGrant
from ..wire.retry import Retries
from .address import refuse_quotes, site_of
from .stand_in import stand_in_for

DEFAULT_TIMEOUT = 30.0
"""Seconds for one exchange: connecting, sending, and the whole answer."""

LONGEST_TIMEOUT = 1_000_000
"""Seconds; the system's calls take no more than about twice as many."""

Token = str | Callable[[], str]
"""A personal access token, or a function that returns one."""

AsyncToken = Token | Callable[[], Awaitable[str]]
"""For asyncio the function may be an async one."""

Verify = bool | str | os.PathLike[str] | ssl.SSLContext
"""Whether, or against which certificates, the server's is checked."""


class Settings:
    """What one connection is made of.

    Args:
        base_url: the server's address; `site` is the same without `/api/1.0`.
        token, auth: how to sign in; one of the two.
        timeout: bounds an exchange; `total` is the bound in seconds, None for none.
        verify: whether, or against which certificates, the server's is checked.
        allow_http: whether the token may go over plain http to another machine.
        retries: how often a call is retried if that is safe.
        transport: in place of the network.

    Raises:
        ConfigurationError: for an argument that cannot work, naming it and the way out.
    """

    def __init__(
        self,
        base_url: str,
        *,
        token: AsyncToken | None,
        auth: Auth | None,
        timeout: float | Timeout,
        verify: Verify,
        allow_http: bool,
        retries: Retries | None,
        transport: BaseTransport | AsyncBaseTransport | None,
    ) -> None:
        self.site = site_of(base_url, allow_http=allow_http)
        if (token is None) == (auth is None):
            raise ConfigurationError("give either token= (a personal access token) or auth= (such as PasswordGrant(…))")
        if token is not None:
            refuse_quotes("token", token)
            auth = Bearer(token, self.site)
        if not isinstance(auth, Auth):
            raise ConfigurationError(f"auth= takes an httpx.Auth, such as PasswordGrant(…), not {type(auth).__name__}")
        self.auth = auth
        self.transport: Any = stand_in_for(self.site) if transport is None else transport
        if isinstance(auth, PasswordGrant):
            auth.bind(self.site)
            auth.clock = clock_of(self.transport) or auth.clock
        if retries is not None and not isinstance(retries, Retries):
            raise ConfigurationError(f"retries= takes Retries(…) or None, not {retries!r}")
        self.retries = retries
        self.timeout = _timeout(timeout)
        self.total = _total(timeout) if isinstance(timeout, Timeout) else timeout
        self.verify = _verify(verify)
        self.allow_http = allow_http

    @property
    def api_url(self) -> str:
        return self.site + API_PATH

    def for_httpx(self) -> dict[str, Any]:
        """Return the arguments of httpx's clients. Redirects are not followed: the token stays with this server."""
        from importlib.metadata import version  # it takes long to import, and not everything needs it

        return {
            "base_url": self.api_url,
            "auth": self.auth,
            "timeout": self.timeout,
            "follow_redirects": False,
            "trust_env": False,  # the transport reads it
            "cookies": _NoCookies(),
            "headers": {
                # Without it the server takes a call for a browser's and answers with its login page.
                "Accept": "application/json",
                "Accept-Encoding": "gzip",
                "User-Agent": f"processmaker-client/{version('processmaker-client')}",
            },
        }


class _NoCookies(CookieJar):
    """Keep none: a session of the server's would be a second identity beside the token's."""

    def extract_cookies(self, response: object, request: object) -> None: ...


def _timeout(timeout: float | Timeout) -> Timeout:
    phases = timeout if isinstance(timeout, Timeout) else Timeout(timeout if is_seconds(timeout) else 0)
    limits = [limit for limit in phases.as_dict().values() if limit is not None]
    if any(not 0 < limit <= LONGEST_TIMEOUT for limit in limits):
        raise ConfigurationError(
            f"timeout={timeout!r} is not a number of seconds above 0, of {LONGEST_TIMEOUT:,} at most"
        )
    return phases


def _total(timeout: Timeout) -> float | None:
    """Return what bounds a whole exchange: connecting, sending and one wait for an answer."""
    phases = (timeout.connect, timeout.write, timeout.read)
    return None if None in phases else sum(limit or 0 for limit in phases)


def _verify(verify: Verify) -> bool | ssl.SSLContext:
    if isinstance(verify, bool | ssl.SSLContext):
        return verify
    try:
        return ssl.create_default_context(cafile=os.fspath(verify))
    except (OSError, TypeError, ValueError) as problem:
        raise ConfigurationError(f"verify={verify!r} is not a readable file of certificates: {problem}") from problem
