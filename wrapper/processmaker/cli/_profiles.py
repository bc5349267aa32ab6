"""Signing in, and the profiles that are kept."""

from __future__ import annotations

import base64
import getpass
import json
import os
import shlex
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from ..config.profiles import (
    Profile,
    no_profile,
    profile_in_use,
    profiles_file,
    read_profiles,
    remove_profile,
    save_profile,
    use_profile,
)
from ..errors import ProcessMakerError
from ._app import LOCAL, argument, command
from ._exits import Absent, NotSignedIn, UsageError
from ._output import Column, messages, say
from ._params import PROFILE
from ._session import Session, Settings
from ._settings import checked_site, connection, signed_in, signed_in_by
from ._typed import piped_text, typed_line

if TYPE_CHECKING:
    from ..wire.auth import PasswordGrant


@command(
    "login",
    examples="processmaker login --url https://pm.example.com\n"
    "processmaker login --profile test --url https://test.example.com < token.txt\n"
    "processmaker login --client-id 3 --username integration.bot",
)
@click.option("--username", metavar="NAME", help="Sign in with a password: as this user.")
@click.option("--client-id", metavar="ID", help="Sign in with a password: by this OAuth client.")
@click.option("--no-keyring", is_flag=True, help="Save the token in the file.")
def login(session: Session, username: str | None, client_id: str | None, no_keyring: bool) -> None:
    """Save the server's address and a token as a profile.

    The token is asked for, or read from standard input, and tried before it is saved. With --username and --client-id
    the password and the client's secret are asked for instead; only the token that the server gives for them is saved.
    It is kept in the system's keyring if the package keyring is installed, else in a file that only you can read.
    """
    options, path = session.settings, profiles_file(os.environ)
    profiles = read_profiles(os.environ, private=False)
    name = options.profile or profile_in_use(profiles, os.environ)
    url = options.url or os.environ.get("PROCESSMAKER_URL", "").strip() or asked_url(profiles.get(name))
    checked_site(url, allow_http=options.allow_http)  # before a token is typed for it
    credentials: dict[str, Any]
    if username or client_id:
        credentials = {"auth": password_grant(url, client_id, username)}
    else:
        credentials = {"token": asked_token(url)}
    count = len(session.connect(base_url=url, **credentials, **connection(options)).processes())
    profile = Profile(url=url, token=token_in_use(credentials), allow_http=options.allow_http)
    in_keyring = save_profile(name, profile, os.environ, in_keyring=not no_keyring)
    facts = {
        "profile": name,
        "url": url,
        "processes": count,
        "file": str(path),
        "token_in": "keyring" if in_keyring else "file",
    }
    session.output.facts(facts, quietly=name)
    say_what_goes_before(name, session)


def say_what_goes_before(name: str, session: Session) -> None:
    """Say so if commands do not use this profile: the environment names another, or other settings."""
    try:
        by = signed_in_by(Settings(), os.environ)
    except ProcessMakerError:
        by = "PROCESSMAKER_URL"
    if session.output.quiet or by == f"the profile {name}":
        return
    variable = "PROCESSMAKER_PROFILE" if by.startswith("the profile") else by
    way = f"unset {variable}" if os.environ.get(variable) else f"run processmaker use {shlex.quote(name)}"
    say(f"{by} goes before the profile {name}. To use {name}, {way}, or give --profile {shlex.quote(name)}")


@command("logout", examples="processmaker logout staging", uses=("profile", *LOCAL))
@argument("name", type=PROFILE, required=False, metavar="[NAME]", help="The profile (default: the one in use).")
def logout(session: Session, name: str | None) -> None:
    """Forget a profile and its token.

    The token stays valid: revoke it on the server.
    """
    known = read_profiles(os.environ, private=False)
    name = name or session.settings.profile or profile_in_use(known, os.environ)
    if not remove_profile(name, os.environ):
        raise NotSignedIn(no_profile(name, known))
    session.output.facts({"profile": name, "state": "forgotten; the token itself stays valid"}, quietly=name)


@command("use", examples="processmaker use staging", uses=LOCAL)
@argument("name", type=PROFILE, metavar="NAME", help="A profile that login saved.")
def use(session: Session, name: str) -> None:
    """Choose the profile to use from now on."""
    profiles = read_profiles(os.environ)
    if name not in profiles:
        raise NotSignedIn(no_profile(name, profiles))
    use_profile(name, os.environ)
    session.output.facts({"profile": name, "url": profiles[name].url}, quietly=name)
    say_what_goes_before(name, session)


@command("profiles", examples="processmaker profiles", uses=LOCAL)
def profiles(session: Session) -> None:
    """List the profiles that login saved.

    The one marked with * is in use.
    """
    known = read_profiles(os.environ)
    in_use = profile_in_use(known, os.environ)
    columns = (
        Column("", lambda profile: "*" if profile["current"] else ""),
        Column("NAME", lambda profile: profile["name"]),
        Column("SERVER", lambda profile: profile["url"]),
        Column("TOKEN IN", lambda profile: profile["token_in"], from_width=70),
        Column("EXPIRES", lambda profile: profile["expires_at"], from_width=60),
    )
    rows = [
        {
            "name": name,
            "url": profile.url,
            "current": name == in_use,
            "token_in": "keyring" if profile.token is None else "file",
            "expires_at": expiry(claims(profile.token or "")),
            "allow_http": profile.allow_http,
        }
        for name, profile in known.items()
    ]
    session.output.table(
        rows, columns, quietly=lambda profile: profile["name"], empty="no profile; make one with login"
    )
    if in_use in known:
        say_what_goes_before(in_use, session)


@command("whoami", examples="processmaker whoami --profile staging")
def whoami(session: Session) -> None:
    """Tell whose token this is, and where it is good.

    If the API tells nothing, it is what the token says about itself.
    """
    from .. import Forbidden, NotFound

    arguments = signed_in(session.settings, os.environ)
    pm = session.connect(**arguments)
    if "auth" in arguments:
        pm.processes()  # signs in
    said = claims(token_in_use(arguments))
    number, user = str(said.get("sub", "")), {}
    if number.isascii() and number.isdigit():
        with suppress(Forbidden, NotFound):
            user = pm.request("GET", f"/users/{number}")
    else:
        pm.processes()  # at least whether the server takes the token
    user = user if isinstance(user, dict) else {}
    who = str(user.get("username") or number)
    if not who:
        untold = "neither the server nor the token tells whose it is"
        if session.output.quiet:
            raise Absent(untold)
        say(untold)
    facts = {
        "server": checked_site(arguments["base_url"], allow_http=True),
        "token_from": signed_in_by(session.settings, os.environ),
        "user_id": int(number) if number.isdigit() else None,
        "user_name": user.get("username"),
        "name": user.get("fullname"),
        "email": user.get("email"),
        "expires": expiry(said),
    }
    session.output.facts(facts, quietly=who)


def claims(token: str) -> dict[str, Any]:
    """What a token says about itself, if it is a JWT. Nothing is verified: the server does that."""
    try:
        _, payload, _ = token.split(".")
        said = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def expiry(said: Mapping[str, Any]) -> datetime | None:
    try:
        return datetime.fromtimestamp(int(said["exp"]), UTC)
    except (LookupError, TypeError, ValueError, OverflowError, OSError):
        return None


def password_grant(url: str, client_id: str | None, username: str | None) -> PasswordGrant:
    """From options, the environment, and for secrets from the terminal or standard input."""
    from .. import PasswordGrant

    values = {
        "--client-id": client_id or os.environ.get("PROCESSMAKER_CLIENT_ID", "").strip(),
        "--username": username or os.environ.get("PROCESSMAKER_USERNAME", "").strip(),
    }
    if missing := [option for option, value in values.items() if not value]:
        raise UsageError(f"to sign in with a password, give {missing[0]} too")
    secret = asked_secret("CLIENT_SECRET", f"Secret of the OAuth client {values['--client-id']}")
    password = asked_secret("PASSWORD", f"Password of {values['--username']} on {url}")
    return PasswordGrant(values["--client-id"], secret, values["--username"], password)


def token_in_use(arguments: Mapping[str, Any]) -> str:
    """Return the token of a client with these arguments: its own, or the one that signing in with a password gave."""
    auth = arguments.get("auth")
    token = str(auth.token or "") if auth else str(arguments["token"])
    messages.hide(token)
    return token


def asked_secret(name: str, prompt: str) -> str:
    """From the environment, a terminal, or the next line of standard input."""
    secret = os.environ.get(f"PROCESSMAKER_{name}", "").strip()
    if not secret and sys.stdin.isatty():
        secret = getpass.getpass(f"{prompt} (it is not shown): ", stream=sys.stderr)
    elif not secret:
        secret = typed_line()
    if not secret:
        raise UsageError(
            "no secret came in; type it when asked, set PROCESSMAKER_CLIENT_SECRET and PROCESSMAKER_PASSWORD, or pipe "
            "in two lines, the client's secret and the password"
        )
    messages.hide(secret)
    return secret


def asked_url(profile: Profile | None) -> str:
    """The server's address as it is typed on a terminal; an empty line means the one that the profile has."""
    if not sys.stdin.isatty():
        raise UsageError("say which server: --url https://pm.example.com")
    known = profile.url if profile else ""
    print(f"Server [{known}]: " if known else "Server: ", end="", file=sys.stderr, flush=True)
    return typed_line() or known


def asked_token(url: str) -> str:
    """The token as it is typed on a terminal, which does not show it, or as it comes in on standard input."""
    if sys.stdin.isatty():
        token = getpass.getpass(f"Token for {url} (it is not shown): ", stream=sys.stderr).strip()
    else:
        token = piped_text()
    if not token:
        raise UsageError("no token came in; type it when asked, or pipe it in, such as: login < token.txt")
    return token
