"""Signing in, and the profiles that are kept."""

from __future__ import annotations

import base64
import getpass
import json
import os
import shlex
import sys
from argparse import Namespace
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

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
from ._exits import Absent, NotSignedIn, UsageError
from ._output import hide, say
from ._parser import DEBUG, DEFAULTS, JSON, PROFILE, QUIET, Argument, Command
from ._session import Session
from ._settings import connection, signed_in, signed_in_by
from ._typed import piped_text, typed_line

if TYPE_CHECKING:
    from ..wire.auth import PasswordGrant


def login(session: Session) -> None:
    from ..config.settings import site_of

    options, path = session.options, profiles_file(os.environ)
    profiles = read_profiles(os.environ, private=False)
    name = options.profile or profile_in_use(profiles, os.environ)
    url = options.url or os.environ.get("PROCESSMAKER_URL", "").strip() or asked_url(profiles.get(name))
    site_of(url, allow_http=options.allow_http)  # before a token is typed for it
    if options.username or options.client_id:
        grant = password_grant(url, options.client_id, options.username)
        count = len(session.connect(base_url=url, auth=grant, **connection(options)).processes())
        token = token_from(grant)
    else:
        token = asked_token(url)
        count = len(session.connect(base_url=url, token=token, **connection(options)).processes())
    profile = Profile(url=url, token=token, allow_http=options.allow_http)
    in_keyring = save_profile(name, profile, os.environ, in_keyring=not options.no_keyring)
    if session.output.as_json:
        token_in = "keyring" if in_keyring else "file"
        session.output.document(
            {"profile": name, "url": url, "processes": count, "file": str(path), "token_in": token_in}
        )
    elif not session.output.quiet:
        session.output.line(f"Signed in to {url}, where this token may start {count} processes.")
        token_in = "; its token is in the system's keyring" if in_keyring else ""
        session.output.line(f"Saved as profile {name} in {path}{token_in}")
    tell_what_goes_before(name, session)


def tell_what_goes_before(name: str, session: Session) -> None:
    """Says so where commands do not use this profile: the environment names another, or other settings."""
    try:
        by = signed_in_by(Namespace(**DEFAULTS), os.environ)
    except ProcessMakerError:
        by = "PROCESSMAKER_URL"
    if session.output.quiet or by == f"the profile {name}":
        return
    if by.startswith("the profile"):
        named = os.environ.get("PROCESSMAKER_PROFILE", "").strip()
        way = "unset PROCESSMAKER_PROFILE" if named else f"run processmaker use {shlex.quote(name)}"
        say(f"{by} stays in use; to use {name}, {way}, or say --profile {shlex.quote(name)}")
    else:
        say(f"{by} is set, which goes before the profile; to use it, unset that, or say --profile {shlex.quote(name)}")


def logout(session: Session) -> None:
    name = session.options.profile or profile_in_use(read_profiles(os.environ, private=False), os.environ)
    if not remove_profile(name, os.environ):
        raise NotSignedIn(no_profile(name, read_profiles(os.environ, private=False)))
    session.output.facts({"profile": name, "state": "forgotten; the token itself stays valid"}, quietly=name)


def use(session: Session) -> None:
    name, profiles = session.options.name, read_profiles(os.environ)
    if name not in profiles:
        raise NotSignedIn(no_profile(name, profiles))
    use_profile(name, os.environ)
    session.output.facts({"profile": name, "url": profiles[name].url}, quietly=name)
    tell_what_goes_before(name, session)


def profiles(session: Session) -> None:
    known = read_profiles(os.environ)
    in_use = profile_in_use(known, os.environ)
    session.output.profiles(
        [
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
    )
    if in_use in known:
        tell_what_goes_before(in_use, session)


def whoami(session: Session) -> None:
    """The user, as the API tells; what the token itself says, where the API tells nothing."""
    from .. import Forbidden, NotFound, PasswordGrant

    arguments = signed_in(session.options, os.environ)
    pm = session.connect(**arguments)
    auth = arguments.get("auth")
    if isinstance(auth, PasswordGrant):
        pm.processes()
    said = claims(token_from(auth) if isinstance(auth, PasswordGrant) else arguments["token"])
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
        "server": pm._settings.site,
        "token from": signed_in_by(session.options, os.environ),
        "user id": int(number) if number.isdigit() else None,
        "user name": user.get("username"),
        "name": user.get("fullname"),
        "email": user.get("email"),
        "expires": expiry(said),
    }
    session.output.facts(facts, quietly=who)


def claims(token: str) -> dict[str, Any]:
    """What a token says about itself, where it is a JWT. Nothing is verified: the server does that."""
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


def token_from(grant: PasswordGrant) -> str:
    """The token that a sign-in gave."""
    assert grant._grant is not None
    hide(grant._grant.token)
    return grant._grant.token


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
    hide(secret)
    return secret


def asked_url(profile: Profile | None) -> str:
    """The server's address as it is typed on a terminal; an empty line means the one that the profile has."""
    if not sys.stdin.isatty():
        raise UsageError("say which server: --url https://pm.example.com")
    known = profile.url if profile else ""
    print(f"Server [{known}]: " if known else "Server: ", end="", file=sys.stderr, flush=True)
    return typed_line() or known


def asked_token(url: str) -> str:
    """The token as it is typed on a terminal, where it is not shown, or as it comes in on standard input."""
    if sys.stdin.isatty():
        token = getpass.getpass(f"Token for {url} (it is not shown): ", stream=sys.stderr).strip()
    else:
        token = piped_text()
    if not token:
        raise UsageError("no token came in; type it when asked, or pipe it in, such as: login < token.txt")
    return token


COMMANDS = (
    Command(
        name="login",
        help="save the server's address and a token as a profile",
        example="processmaker login --url https://pm.example.com\n"
        "processmaker login --profile staging --url https://staging.example.com < token.txt\n"
        "processmaker login --url https://pm.example.com --client-id 3 --username integration.bot",
        more="The token is asked for, or read from standard input, and tried before it is saved. With --username and "
        "--client-id the password and the client's secret are asked for in its place; only the token that they give "
        "is saved. It lies in the system's keyring where the package keyring is installed, else in a file that only "
        "you can read.",
        arguments=(
            Argument("--username", metavar="NAME", help="sign in with a password: as this user"),
            Argument("--client-id", metavar="ID", help="sign in with a password: by this OAuth client"),
            Argument("--no-keyring", action="store_true", help="save the token in the file"),
        ),
        run=login,
    ),
    Command(
        name="logout",
        help="forget a profile and its token",
        example="processmaker logout --profile staging",
        more="Without --profile it is the one in use. The token stays valid: revoke it on the server.",
        settings=(PROFILE, JSON, QUIET, DEBUG),
        run=logout,
    ),
    Command(
        name="profiles",
        help="list the profiles that login saved",
        example="processmaker profiles",
        more="The one marked with * is in use.",
        settings=(JSON, QUIET, DEBUG),
        run=profiles,
    ),
    Command(
        name="use",
        help="choose the profile to use from now on",
        example="processmaker use staging",
        arguments=(Argument("name", metavar="NAME", help="a profile that login saved", completed="profiles"),),
        settings=(JSON, QUIET, DEBUG),
        run=use,
    ),
    Command(
        name="whoami",
        help="tell whose token this is, and where it is good",
        example="processmaker whoami --profile staging",
        more="Where the API tells nothing, it is what the token says about itself.",
        run=whoami,
    ),
)
