"""Which server, and with which token: options come first, then the order of `config/sources.py`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..config.address import origin_of, site_of
from ..config.profiles import read_profiles
from ..config.sources import Source, credentials_for, server_of, sources
from ..errors import ConfigurationError
from ._exits import NotSignedIn

if TYPE_CHECKING:
    from ._session import Settings

MAX_RETRY_AFTER = 60.0
"""Seconds that a command with --retries waits at most between two attempts: a maintenance says 60 (4.15.5)."""


def server(settings: Settings, environ: Mapping[str, str]) -> dict[str, Any]:
    """The arguments of a client that say which server: `base_url`, `timeout` and what else was set for it.

    Raises:
        NotSignedIn: none is named anywhere.
    """
    if source := server_of(_sources(settings, environ)):
        return {"base_url": source.url, **source.options, **connection(settings)}
    there = ", ".join(read_profiles(environ))
    choose = f"choose one of the profiles {there} with processmaker use, " if there else ""
    raise NotSignedIn(
        f"no server is named: {choose}run processmaker login, or set PROCESSMAKER_URL and PROCESSMAKER_TOKEN"
    )


def connection(settings: Settings) -> dict[str, Any]:
    """The arguments of a client that options set, whatever the server."""
    from .. import Retries

    arguments: dict[str, Any] = {}
    if settings.timeout is not None:
        arguments["timeout"] = settings.timeout
    if settings.allow_http:
        arguments["allow_http"] = True
    if settings.retries == 0:
        arguments["retries"] = None
    elif settings.retries is not None:
        total = max(Retries().total, settings.retries * MAX_RETRY_AFTER)
        arguments["retries"] = Retries(attempts=settings.retries + 1, max_delay=MAX_RETRY_AFTER, total=total)
    return arguments


def signed_in(settings: Settings, environ: Mapping[str, str]) -> dict[str, Any]:
    """The same with `token` or `auth`: the first credentials that are not another server's.

    Raises:
        NotSignedIn: there are none.
    """
    arguments = server(settings, environ)
    credentials = _credentials(arguments, settings, environ).credentials
    return {**arguments, **(credentials() if credentials else {})}


def signed_in_by(settings: Settings, environ: Mapping[str, str]) -> str:
    """What gives those credentials, such as `PROCESSMAKER_TOKEN` or `the profile staging`.

    Raises:
        NotSignedIn: nothing does.
    """
    return _credentials(server(settings, environ), settings, environ).name


def checked_site(url: str, *, allow_http: bool = False) -> str:
    """The address of a server, without the path of its API.

    Raises:
        ConfigurationError: no token may be sent to it.
    """
    try:
        return site_of(url, allow_http=allow_http)
    except ConfigurationError as error:
        if not allow_http and url.strip().startswith("http:"):
            error.hint = "--allow-http sends it all the same"
        raise


def _credentials(arguments: Mapping[str, Any], settings: Settings, environ: Mapping[str, str]) -> Source:
    url = arguments["base_url"]
    # Before anything is said about signing in to an address that cannot be used.
    checked_site(url, allow_http=arguments.get("allow_http", False))
    source, others = credentials_for(url, _sources(settings, environ))
    if source:
        return source
    of_others = "".join(
        f"; {other.name} is for {origin_of(other.url or '')}, and goes to no other server" for other in others
    )
    raise NotSignedIn(
        f"not signed in to {origin_of(url).partition('://')[2]}{of_others}: run processmaker login --url {url}, or set "
        "PROCESSMAKER_URL and PROCESSMAKER_TOKEN for it"
    )


def _sources(settings: Settings, environ: Mapping[str, str]) -> Iterator[Source]:
    try:
        yield from sources(environ, url=settings.url, profile=settings.profile)
    except ConfigurationError as error:
        name = settings.profile or environ.get("PROCESSMAKER_PROFILE", "").strip()
        if name and name not in read_profiles(environ):
            raise NotSignedIn(str(error)) from None
        raise
