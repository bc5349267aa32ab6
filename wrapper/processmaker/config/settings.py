"""From what a caller or the environment says to the settings of one connection; checked before anything is sent."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Mapping
from datetime import timedelta
from http.cookiejar import CookieJar
from importlib.metadata import version
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from attrs import frozen

from ..clock import Clock, clock_of, is_seconds
from ..data import OnAlteredData, check_key_lifetime, check_on_altered_data
from ..errors import ConfigurationError
from ..wire.auth import Bearer, PasswordGrant
from ..wire.http import AsyncBaseTransport, Auth, BaseTransport, HTTPRequest, Timeout
from ..wire.retry import Retries
from .stand_in import stand_in_for

if TYPE_CHECKING:
    from ..journal import AsyncJournal, Journal

API_PATH = "/api/1.0"

DEFAULT_TIMEOUT = 30.0
"""Seconds for one exchange: connecting, sending, and the whole answer."""

LONGEST_TIMEOUT = 1_000_000
"""Seconds; the system's calls take no more than about twice as many."""

Token = str | Callable[[], str]
"""A personal access token, or a function that returns one."""

Verify = bool | str | os.PathLike[str] | ssl.SSLContext
"""Whether, or against which certificates, the server's is checked."""


@frozen(kw_only=True)
class Settings:
    """What one connection is made of.

    `site` is the server's address without `/api/1.0`; `total` bounds an exchange, in seconds.
    """

    site: str
    auth: Auth
    timeout: Timeout
    total: float | None
    verify: bool | ssl.SSLContext
    allow_http: bool
    transport: Any
    retries: Retries | None
    on_altered_data: OnAlteredData
    journal: Journal | AsyncJournal | None
    key_lifetime: timedelta | None

    @property
    def api_url(self) -> str:
        return self.site + API_PATH

    def for_httpx(self) -> dict[str, Any]:
        """The arguments for httpx's clients. Redirects are not followed, so that the token stays with this server."""
        return {
            "base_url": self.api_url,
            "auth": self.auth,
            "timeout": self.timeout,
            "verify": self.verify,
            "transport": self.transport,
            "follow_redirects": False,
            # A proxy sees what passes over plain http: there it gets none with a token unless that is allowed.
            "trust_env": self.allow_http or self.site.startswith("https:"),
            "cookies": _NoCookies(),
            "headers": {
                # Without it the server takes a call for a browser's and answers with its login page.
                "Accept": "application/json",
                "Accept-Encoding": "gzip",
                "User-Agent": f"processmaker-client/{version('processmaker-client')}",
            },
        }


class _NoCookies(CookieJar):
    """Keeps none: a session of the server's would be a second identity beside the token's."""

    def extract_cookies(self, response: object, request: object) -> None: ...


def settings(
    base_url: str,
    *,
    token: Token | None,
    auth: Auth | None,
    timeout: float | Timeout,
    verify: Verify,
    allow_http: bool,
    retries: Retries | None,
    on_altered_data: OnAlteredData,
    journal: Journal | AsyncJournal | None,
    key_lifetime: timedelta | None,
    transport: BaseTransport | AsyncBaseTransport | None,
) -> Settings:
    """The settings for these arguments of a client.

    Raises:
        ConfigurationError: for an argument that cannot work, naming it and the way out.
    """
    site = site_of(base_url, allow_http=allow_http)
    if (token is None) == (auth is None):
        raise ConfigurationError("give either token= (a personal access token) or auth= (such as PasswordGrant(…))")
    if token is not None:
        auth = Bearer(token, site)
    if not isinstance(auth, Auth):
        raise ConfigurationError(f"auth= takes an httpx.Auth, such as PasswordGrant(…), not {type(auth).__name__}")
    transport = stand_in_for(site) if transport is None else transport
    if isinstance(auth, PasswordGrant):
        auth.bind(site)
    for shared in (auth, journal):
        if isinstance(getattr(shared, "clock", None), Clock):
            shared.clock = clock_of(transport) or shared.clock  # type: ignore[union-attr]
    if retries is not None and not isinstance(retries, Retries):
        raise ConfigurationError(f"retries= takes Retries(…) or None, not {retries!r}")
    phases = _timeout(timeout)
    return Settings(
        site=site,
        auth=auth,
        timeout=phases,
        total=_total(phases) if isinstance(timeout, Timeout) else timeout,
        verify=_verify(verify),
        allow_http=allow_http,
        transport=transport,
        retries=retries,
        on_altered_data=check_on_altered_data(on_altered_data),
        journal=_journal(journal),
        key_lifetime=check_key_lifetime(key_lifetime),
    )


def _journal(journal: Journal | AsyncJournal | None) -> Journal | AsyncJournal | None:
    lacking = [
        name for name in ("claim", "started", "release", "read", "forget", "lease") if not hasattr(journal, name)
    ]
    if journal is not None and (lacking or isinstance(journal, type)):
        what = f"has no {lacking[0]}" if lacking else "is a class"
        raise ConfigurationError(f'journal= takes a journal, such as SQLiteJournal("starts.db"): {journal!r} {what}')
    return journal


def site_of(base_url: str, *, allow_http: bool) -> str:
    """The server's address, with a path prefix if it has one, without `/api/1.0` and trailing slashes.

    Raises:
        ConfigurationError: it is not an http(s) address, holds credentials, or would send the token in the clear.
    """
    # What may hold a password or a token is not repeated in a message.
    shown = "base_url" if any(mark in str(base_url) for mark in "@?#") else f"base_url {base_url!r}"
    try:
        # Read by httpx, so that what is checked here is where the token goes later.
        url = HTTPRequest("GET", base_url.strip()).url
        url.raw_host.decode().encode("idna")  # as socket.getaddrinfo does: no empty or overlong label
    except Exception:  # InvalidURL, which is no ValueError; IDNA's errors; for another type than str
        raise ConfigurationError(f"{shown} is not an address such as https://pm.example.com") from None
    if url.userinfo:
        raise ConfigurationError("base_url holds a user name or password; sign in with token= or auth= instead")
    if url.scheme not in ("http", "https") or not url.host or (url.port or 0) > 65535 or len(base_url.split()) > 1:
        raise ConfigurationError(f"{shown} is not an address such as https://pm.example.com")
    if url.query or url.fragment:
        raise ConfigurationError(f"{shown} holds more than an address: leave out what follows ? or #")
    if url.scheme == "http" and not allow_http and not _is_loopback(url.host):
        raise ConfigurationError(
            f"{shown} is plain http: the token would cross the network unencrypted. "
            "Use https, or allow it with allow_http=True"
        )
    path = url.raw_path.decode().partition("?")[0].rstrip("/").removesuffix(API_PATH).rstrip("/")
    return f"{url.scheme}://{url.netloc.decode()}{path}"


def origin_of(url: str) -> str:
    """`https://pm.example.com`: scheme, host, and the port where it is not the usual one."""
    return "/".join(site_of(url, allow_http=True).split("/")[:3])


def not_copied(client: object) -> TypeError:
    """Why a client is neither pickled nor copied, and what to do instead."""
    kind = type(client).__name__
    return TypeError(
        f"a {kind} is neither pickled nor copied: its connections belong to this process, and its token must not "
        f"travel. Make a {kind} where it is needed, such as {kind}.from_env() in each worker, and send it what to do"
    )


def from_environment(environ: Mapping[str, str], options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The arguments of a client that the environment gives: `base_url`, then `token` or `auth`, and `verify`.

    Read are PROCESSMAKER_URL with PROCESSMAKER_TOKEN, or with PROCESSMAKER_CLIENT_ID, _CLIENT_SECRET, _USERNAME and
    _PASSWORD; else API_HOST, API_TOKEN and API_SSL_VERIFY, which the platform sets inside a script task.

    Args:
        environ: such as os.environ.
        options: arguments that are given otherwise; they win, and what they say is not looked for.

    Raises:
        ConfigurationError: something is missing; the message names it.
    """
    options = options or {}
    found = {name: value for name, value in environ.items() if value.strip()}
    signed_in = "token" in options or "auth" in options
    if "PROCESSMAKER_URL" not in found and "base_url" not in options and "API_HOST" in found:
        if not signed_in and "API_TOKEN" not in found:
            raise ConfigurationError("API_HOST is set, and API_TOKEN is not")
        token = {} if signed_in else {"token": found["API_TOKEN"].strip()}
        verify = found.get("API_SSL_VERIFY", "1").strip().lower() not in ("0", "false")
        return {"base_url": found["API_HOST"], "verify": verify, **token, **options}
    base_url = options.get("base_url", found.get("PROCESSMAKER_URL"))
    if base_url is None:
        raise ConfigurationError("PROCESSMAKER_URL is not set (such as https://pm.example.com)")
    if signed_in:
        return {**options, "base_url": base_url}
    at_home = found.get("PROCESSMAKER_URL")
    if "base_url" in options and at_home and (origin := origin_of(at_home)) != origin_of(base_url):
        raise ConfigurationError(
            f"what the environment signs in with is for PROCESSMAKER_URL, {origin}, and goes to no other server: "
            f"give token= or auth= for {origin_of(base_url)}, too"
        )
    if "PROCESSMAKER_TOKEN" in found:
        return {**options, "base_url": base_url, "token": found["PROCESSMAKER_TOKEN"].strip()}
    names = [f"PROCESSMAKER_{name}" for name in ("CLIENT_ID", "CLIENT_SECRET", "USERNAME", "PASSWORD")]
    missing = [name for name in names if name not in found]
    if len(missing) == len(names):
        raise ConfigurationError(f"PROCESSMAKER_TOKEN is not set (nor, to sign in with a password, {', '.join(names)})")
    if missing:
        raise ConfigurationError(f"to sign in with a password, {' and '.join(missing)} must be set too")
    return {**options, "base_url": base_url, "auth": PasswordGrant(*(found[name] for name in names))}


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _timeout(timeout: float | Timeout) -> Timeout:
    if isinstance(timeout, Timeout):
        phases = timeout
    elif is_seconds(timeout) and timeout > 0:
        phases = Timeout(timeout)
    else:
        raise ConfigurationError(
            f"timeout={timeout!r} is not a number of seconds above 0, of {LONGEST_TIMEOUT:,} at most"
        )
    if any((limit or 0) > LONGEST_TIMEOUT for limit in phases.as_dict().values()):
        raise ConfigurationError(f"timeout={timeout!r} is too long: give {LONGEST_TIMEOUT:,} seconds at most")
    return phases


def _total(timeout: Timeout) -> float | None:
    """What bounds a whole exchange: connecting, sending and one wait for an answer."""
    phases = (timeout.connect, timeout.write, timeout.read)
    return None if None in phases else sum(limit or 0 for limit in phases)


def _verify(verify: Verify) -> bool | ssl.SSLContext:
    if isinstance(verify, bool | ssl.SSLContext):
        return verify
    try:
        return ssl.create_default_context(cafile=os.fspath(verify))
    except (OSError, TypeError, ValueError) as problem:
        raise ConfigurationError(f"verify={verify!r} is not a readable file of certificates: {problem}") from problem
