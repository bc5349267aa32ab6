"""Where the settings of a client come from, and which of them wins.

In this order; the first one that names a server wins:

1. arguments: of `ProcessMaker.from_env` and `from_profile`, or options of the command line
2. the profile that is asked for by name
3. the environment: PROCESSMAKER_URL, else API_HOST, which the platform sets inside a script task
4. the profile that PROCESSMAKER_PROFILE names, else the one that `processmaker use` chose

`from_env` uses 1 and 3, `from_profile` 1 and a profile, the command line all of them. Credentials are chosen in the
same order, and never go to another server than the one they are kept with: one with another scheme, host or port.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from attrs import field, frozen

from ..errors import ConfigurationError
from .address import origin_of, refuse_quotes
from .profiles import Profile, no_profile, profile_in_use, read_profiles, token_of


@frozen(kw_only=True)
class Source:
    """One place that settings come from.

    Args:
        name: how a message names it, such as `PROCESSMAKER_TOKEN` or `the profile staging`.
        url: the server that it names, if any. Its credentials and options are for that server only.
        credentials: gives `token` or `auth`, as a client takes them; None if it has none.
        options: further arguments of a client.
    """

    name: str
    url: str | None = None
    credentials: Callable[[], dict[str, Any]] | None = field(default=None, repr=False)
    options: dict[str, Any] = field(factory=dict)


def sources(environ: Mapping[str, str], *, url: str | None = None, profile: str | None = None) -> Iterator[Source]:
    """Yield all sources, the one that wins first.

    Args:
        environ: such as os.environ.
        url: the server's address, if an argument or option names it.
        profile: the name of a profile, if it is asked for.

    Raises:
        ConfigurationError: (when it is iterated) a profile is missing or cannot be read.
    """
    if url is not None:
        yield Source(name="the arguments", url=url)
    if profile is not None:
        yield profile_source(profile, read_profiles(environ))
    # API_HOST is a common name: without API_TOKEN it is not taken for the platform's.
    yield from (each for each in environment_sources(environ) if each.name != "API_TOKEN" or each.credentials)
    if profile is None:
        profiles = read_profiles(environ)
        name = profile_in_use(profiles, environ)
        if name in profiles or environ.get("PROCESSMAKER_PROFILE", "").strip():
            yield profile_source(name, profiles)


def server_of(given: Iterable[Source]) -> Source | None:
    """Return the first source that names a server, or None."""
    return next((source for source in given if source.url), None)


def credentials_for(url: str, given: Iterable[Source]) -> tuple[Source | None, list[Source]]:
    """Return the first source with credentials that may go to this server.

    Returns:
        That source, or None; and those before it whose credentials are for other servers.
    """
    others: list[Source] = []
    for source in given:
        if source.credentials is None:
            continue
        if source.url in (None, url) or origin_of(source.url) == origin_of(url):
            return source, others
        others.append(source)
    return None, others


def profile_source(name: str, profiles: Mapping[str, Profile]) -> Source:
    """Return the source for the profile of that name.

    Raises:
        ConfigurationError: there is none.
    """
    if name not in profiles:
        raise ConfigurationError(no_profile(name, profiles))
    profile = profiles[name]
    return Source(
        name=f"the profile {name}",
        url=profile.url,
        credentials=lambda: {"token": token_of(name, profile)},
        options={"allow_http": True} if profile.allow_http else {},
    )


_PASSWORD = tuple(f"PROCESSMAKER_{name}" for name in ("CLIENT_ID", "CLIENT_SECRET", "USERNAME", "PASSWORD"))


def environment_sources(environ: Mapping[str, str]) -> Iterator[Source]:
    """Yield what the environment has. A variable that is empty or blank counts as not set.

    Raises:
        ConfigurationError: (when it is iterated) an address or a token is in literal quotation marks.
    """
    found = {name: value for name, value in environ.items() if value.strip()}

    def unquoted(name: str) -> str | None:
        refuse_quotes(name, found.get(name))
        return found[name].strip() if name in found else None

    url = unquoted("PROCESSMAKER_URL")
    if url is None and (host := unquoted("API_HOST")):
        token = unquoted("API_TOKEN")
        verify = found.get("API_SSL_VERIFY", "1").strip().lower() not in ("0", "false")
        credentials = {"token": token}
        yield Source(
            name="API_TOKEN",
            url=host,
            credentials=credentials.copy if token else None,
            options={"verify": verify},
        )
    token = unquoted("PROCESSMAKER_TOKEN")
    given = next((name for name in ("PROCESSMAKER_TOKEN", *_PASSWORD) if name in found), None)
    yield Source(
        name=given or "PROCESSMAKER_URL",
        url=url,
        credentials=None if given is None else lambda: {"token": token} if token else _password_in(found),
    )


def _password_in(found: Mapping[str, str]) -> dict[str, Any]:
    if missing := [name for name in _PASSWORD if name not in found]:
        raise ConfigurationError(f"to sign in with a password, {' and '.join(missing)} must be set too")
    from ..wire.auth import PasswordGrant

    return {"auth": PasswordGrant(*(found[name] for name in _PASSWORD))}


def from_environment(environ: Mapping[str, str], options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the arguments of a client for arguments and the environment.

    Args:
        environ: such as os.environ.
        options: arguments of a client. They win over the environment.

    Raises:
        ConfigurationError: something is missing, or for another server. The message names it.
    """
    return _arguments(environment_sources(environ), options or {})


def from_profile(name: str | None, environ: Mapping[str, str], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a client for a profile.

    Args:
        name: the profile's; None for the one in use.
        environ: such as os.environ.
        options: arguments of a client, except `base_url`. They win over the profile.

    Raises:
        ConfigurationError: there is no such profile, its token cannot be had, or `base_url` contradicts it.
    """
    if "base_url" in options:
        raise ConfigurationError("a profile names its server, and its token is for that one only: leave out base_url")
    profiles = read_profiles(environ)
    profile = profile_source(profile_in_use(profiles, environ) if name is None else name, profiles)
    return _arguments([profile], options)


def _arguments(given: Iterable[Source], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a client: `options`, then what these sources give."""
    signed_in = "token" in options or "auth" in options
    arguments = Source(name="the arguments", url=options.get("base_url"), credentials=dict if signed_in else None)
    given = [arguments, *given]
    server = server_of(given)
    if server is None or server.url is None:
        raise ConfigurationError("PROCESSMAKER_URL is not set (such as https://pm.example.com)")
    by, others = credentials_for(server.url, given)
    if by is None or by.credentials is None:
        if others:
            raise ConfigurationError(
                f"{others[0].name} is for {origin_of(others[0].url or '')}, and goes to no other server: "
                f"give token= or auth= for {origin_of(server.url)}, too"
            )
        if server.name == "API_TOKEN":
            raise ConfigurationError("API_HOST is set, and API_TOKEN is not")
        raise ConfigurationError(
            f"PROCESSMAKER_TOKEN is not set (nor, to sign in with a password, {', '.join(_PASSWORD)})"
        )
    return {**server.options, "base_url": server.url, **by.credentials(), **options}
