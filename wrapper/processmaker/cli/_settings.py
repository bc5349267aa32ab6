"""Which server, and with which token: from an option, else the environment, else a profile made by `login`."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from attrs import field, frozen

from ..config.profiles import Profile, no_profile, profile_in_use, read_profiles, token_of
from ._exits import NotSignedIn

_SIGN_IN = ("TOKEN", "CLIENT_ID", "CLIENT_SECRET", "USERNAME", "PASSWORD")

LONGEST_RETRY_AFTER = 60.0
"""Seconds that one asks for with --retries waits at most between two attempts: a maintenance says 60 (4.15.5)."""


@frozen(kw_only=True)
class Source:
    """One place that settings come from.

    Args:
        name: what it is called in a message.
        url: the server it names, if any. Its credentials and options are for that server only.
        credentials: gives `token` or `auth`, as a client takes them; None where it has none.
        options: further arguments of a client.
    """

    name: str
    url: str | None = None
    credentials: Callable[[], dict[str, Any]] | None = field(default=None, repr=False)
    options: dict[str, Any] = field(factory=dict)


def server(options: Namespace, environ: Mapping[str, str]) -> dict[str, Any]:
    """The arguments of a client that say which server: `base_url`, `timeout` and what else was set for it.

    Raises:
        NotSignedIn: none is named anywhere.
    """
    for source in _sources(options, environ):
        if source.url:
            return {"base_url": source.url, **source.options, **connection(options)}
    there = ", ".join(read_profiles(environ))
    choose = f"choose one of the profiles {there} with processmaker use, " if there else ""
    raise NotSignedIn(
        f"no server is named: {choose}run processmaker login, or set PROCESSMAKER_URL and PROCESSMAKER_TOKEN"
    )


def connection(options: Namespace) -> dict[str, Any]:
    """The arguments of a client that options set, whatever the server."""
    from .. import Retries

    arguments: dict[str, Any] = {}
    if options.timeout is not None:
        arguments["timeout"] = options.timeout
    if options.allow_http:
        arguments["allow_http"] = True
    if options.retries == 0:
        arguments["retries"] = None
    elif options.retries is not None:
        total = max(Retries().total, options.retries * LONGEST_RETRY_AFTER)
        arguments["retries"] = Retries(attempts=options.retries + 1, max_delay=LONGEST_RETRY_AFTER, total=total)
    return arguments


def signed_in(options: Namespace, environ: Mapping[str, str]) -> dict[str, Any]:
    """The same with `token` or `auth`: the first credentials that are not another server's.

    Raises:
        NotSignedIn: there are none.
    """
    arguments = server(options, environ)
    return {**arguments, **_credentials(arguments, options, environ)[1]()}


def signed_in_by(options: Namespace, environ: Mapping[str, str]) -> str:
    """What gives those credentials, such as `PROCESSMAKER_TOKEN` or `the profile staging`.

    Raises:
        NotSignedIn: nothing does.
    """
    return _credentials(server(options, environ), options, environ)[0]


def _credentials(
    arguments: Mapping[str, Any], options: Namespace, environ: Mapping[str, str]
) -> tuple[str, Callable[[], dict[str, Any]]]:
    from ..config.settings import origin_of, site_of

    # Before anything is said about signing in to an address that cannot be used.
    site_of(arguments["base_url"], allow_http=arguments.get("allow_http", False))
    origin = origin_of(arguments["base_url"])
    others = ""
    for source in _sources(options, environ):
        if source.credentials is None:
            continue
        if source.url is None or origin_of(source.url) == origin:
            return source.name, source.credentials
        others += f"; {source.name} is for {origin_of(source.url)}, and goes to no other server"
    raise NotSignedIn(
        f"not signed in to {origin.partition('://')[2]}{others}: run processmaker login --url "
        f"{arguments['base_url']}, or set PROCESSMAKER_URL and PROCESSMAKER_TOKEN for it"
    )


def _sources(options: Namespace, environ: Mapping[str, str]) -> Iterator[Source]:
    """All of them, the one that wins first. A profile asked for by name is an option, so it beats the environment."""
    yield Source(name="--url", url=options.url)
    if options.profile is not None:
        yield _profile(options.profile, read_profiles(environ))
    yield from _environment(environ)
    if options.profile is None:
        profiles = read_profiles(environ)
        name = profile_in_use(profiles, environ)
        if name in profiles or environ.get("PROCESSMAKER_PROFILE", "").strip():
            yield _profile(name, profiles)


def _environment(environ: Mapping[str, str]) -> Iterator[Source]:
    """What the environment says, read as `ProcessMaker.from_env` reads it, but each value for itself."""
    from ..config.settings import from_environment

    url = environ.get("PROCESSMAKER_URL", "").strip() or None
    if url is None and environ.get("API_HOST", "").strip() and environ.get("API_TOKEN", "").strip():
        script_task = from_environment(environ)
        token, options = {"token": script_task["token"]}, {"verify": script_task["verify"]}
        yield Source(name="API_TOKEN", url=script_task["base_url"], credentials=lambda: token, options=options)
    given = next((name for name in _SIGN_IN if environ.get(f"PROCESSMAKER_{name}", "").strip()), None)
    if given is None:
        yield Source(name="PROCESSMAKER_URL", url=url)
        return

    def credentials() -> dict[str, Any]:
        arguments = from_environment({**environ, "PROCESSMAKER_URL": url or "any"})
        del arguments["base_url"]
        return arguments

    yield Source(name=f"PROCESSMAKER_{given}", url=url, credentials=credentials)


def _profile(name: str, profiles: Mapping[str, Profile]) -> Source:
    if name not in profiles:
        raise NotSignedIn(no_profile(name, profiles))
    profile = profiles[name]
    return Source(
        name=f"the profile {name}",
        url=profile.url,
        credentials=lambda: {"token": token_of(name, profile)},
        options={"allow_http": True} if profile.allow_http else {},
    )
