"""Which server, and with which token: from an option, else the environment, else a profile made by `login`."""

from __future__ import annotations

import json
import os
import tempfile
from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from attrs import field, frozen

from .._errors import ConfigurationError
from ._exits import NotSignedIn

DEFAULT_PROFILE = "default"

_SIGN_IN = ("TOKEN", "CLIENT_ID", "CLIENT_SECRET", "USERNAME", "PASSWORD")


@frozen(kw_only=True)
class Source:
    """One place that settings come from.

    Args:
        url: the server it names, if any. Its credentials and options are for that server only.
        credentials: `token` or `auth`, as a client takes them; empty where it has none.
        options: further arguments of a client.
    """

    url: str | None = None
    credentials: dict[str, Any] = field(factory=dict, repr=False)
    options: dict[str, Any] = field(factory=dict)


def server(options: Namespace, environ: Mapping[str, str]) -> dict[str, Any]:
    """The arguments of a client that say which server: `base_url`, `timeout` and what else was set for it.

    Raises:
        NotSignedIn: none is named anywhere.
    """
    for source in _sources(options, environ):
        if source.url:
            arguments = {"base_url": source.url, "timeout": options.timeout, **source.options}
            if options.allow_http:
                arguments["allow_http"] = True
            return {name: value for name, value in arguments.items() if value is not None}
    raise NotSignedIn("no server is named: run processmaker login, or set PROCESSMAKER_URL and PROCESSMAKER_TOKEN")


def signed_in(options: Namespace, environ: Mapping[str, str]) -> dict[str, Any]:
    """The same with `token` or `auth`: the first credentials that are not another server's.

    Raises:
        NotSignedIn: there are none.
    """
    from .._settings import site_of

    arguments = server(options, environ)
    # Before anything is said about signing in to an address that cannot be used.
    site_of(arguments["base_url"], allow_http=arguments.get("allow_http", False))
    origin = _origin(arguments["base_url"])
    for source in _sources(options, environ):
        if source.credentials and (source.url is None or _origin(source.url) == origin):
            return {**arguments, **source.credentials}
    raise NotSignedIn(
        f"not signed in to {origin.partition('://')[2]}: run processmaker login --url {arguments['base_url']}, "
        "or set PROCESSMAKER_TOKEN"
    )


def _sources(options: Namespace, environ: Mapping[str, str]) -> Iterator[Source]:
    """All of them, the one that wins first. A profile asked for by name is an option, so it beats the environment."""
    yield Source(url=options.url)
    if options.profile is not None:
        yield _profile(options.profile, environ)
    yield from _environment(environ)
    if options.profile is None and DEFAULT_PROFILE in read_profiles(environ):
        yield _profile(DEFAULT_PROFILE, environ)


def _environment(environ: Mapping[str, str]) -> Iterator[Source]:
    """What the environment says, read as `ProcessMaker.from_env` reads it, but each value for itself."""
    from .._settings import from_environment

    url = environ.get("PROCESSMAKER_URL", "").strip() or None
    if url is None and environ.get("API_HOST", "").strip() and environ.get("API_TOKEN", "").strip():
        script_task = from_environment(environ)
        options = {"verify": script_task["verify"]}
        yield Source(url=script_task["base_url"], credentials={"token": script_task["token"]}, options=options)
    credentials: dict[str, Any] = {}
    if any(environ.get(f"PROCESSMAKER_{name}", "").strip() for name in _SIGN_IN):
        credentials = from_environment({**environ, "PROCESSMAKER_URL": url or "any"})
        del credentials["base_url"]
    yield Source(url=url, credentials=credentials)


def _origin(url: str) -> str:
    """`https://pm.example.com`: scheme, host, and the port where it is not the usual one."""
    from .._settings import site_of

    parts = urlsplit(site_of(url, allow_http=True))
    usual = {"http": 80, "https": 443}[parts.scheme]
    port = f":{parts.port}" if parts.port not in (None, usual) else ""
    host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
    return f"{parts.scheme}://{host}{port}"


def _profile(name: str, environ: Mapping[str, str]) -> Source:
    profiles = read_profiles(environ)
    if name not in profiles:
        there = f"; there are: {', '.join(profiles)}" if profiles else ""
        raise NotSignedIn(f"no profile {name!r}{there}; make it with processmaker login --profile {name}")
    profile = profiles[name]
    options = {"allow_http": True} if profile.get("allow_http") is True else {}
    return Source(url=profile["url"], credentials={"token": profile["token"]}, options=options)


def profile_url(name: str, environ: Mapping[str, str]) -> str:
    """The server of a profile; empty where there is no such profile."""
    return str(read_profiles(environ).get(name, {}).get("url", ""))


def profiles_file(environ: Mapping[str, str]) -> Path:
    """Where profiles are kept: in the user's config folder, as the platform has it."""
    if os.name == "nt" and environ.get("APPDATA"):
        folder = Path(environ["APPDATA"])
    else:
        folder = Path(environ.get("XDG_CONFIG_HOME", ""))
        if not folder.is_absolute():
            folder = Path.home() / ".config"
    return folder / "processmaker" / "profiles.json"


def read_profiles(environ: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The profiles by name; each has `url` and `token`, and may have `allow_http`.

    Raises:
        ConfigurationError: the file cannot be read, or is not what `login` writes.
    """
    path = profiles_file(environ)
    try:
        profiles = json.loads(path.read_text("utf-8"))
        usable = all(
            isinstance(profile["url"], str) and isinstance(profile["token"], str) for profile in profiles.values()
        )
    except FileNotFoundError:
        return {}
    except OSError as problem:
        raise ConfigurationError(f"{path} cannot be read: {problem.strerror}") from problem
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        usable = False
    if not usable:
        raise ConfigurationError(f"{path} is not what processmaker login writes; remove it and log in again")
    return profiles  # type: ignore[no-any-return]


def save_profile(name: str, profile: dict[str, Any], environ: Mapping[str, str]) -> Path:
    """Keeps a profile for later; only this user can read it, and there is never half a file.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    path = profiles_file(environ)
    profiles = {**read_profiles(environ), name: profile}
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.parent.chmod(0o700)
        # A file that mkstemp makes has mode 0600 from its first moment.
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(profiles, file, indent=2)
                file.write("\n")
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as problem:
        raise ConfigurationError(f"{path} cannot be written: {problem.strerror}") from problem
    return path
