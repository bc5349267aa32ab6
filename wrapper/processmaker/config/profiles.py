"""Profiles: servers and their tokens, which `processmaker login` saves.

They are in one file that only this user can read. A token is in that file, too, or in the system's keyring if the
package `keyring` is installed and finds one. An entry of the keyring is named after the profile and its server, so that
no token goes to a server that it was not saved for, whatever happens to the file.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from attrs import evolve, field, frozen

from ..errors import ConfigurationError
from .address import site_of

DEFAULT_PROFILE = "default"

KEYRING_SERVICE = "processmaker-client"
"""The name of the service in the keyring."""

_BY_SERVER = "by server"
"""In the file, in place of a token: the keyring has it under the profile's name and its server."""


@frozen(kw_only=True)
class Profile:
    """A server, and the token for it.

    Args:
        url: the server's address.
        token: the token if it is in the file; None if it is in the keyring.
        allow_http: whether the token may go over plain http to another machine.
        current: whether this profile is used if none is named.
    """

    url: str
    token: str | None = field(default=None, repr=False)
    allow_http: bool = False
    current: bool = False


def profiles_file(environ: Mapping[str, str]) -> Path:
    """Return the file of profiles, in the user's config folder.

    Raises:
        ConfigurationError: there is no such folder, as for a user of a container who has no home.
    """
    if os.name == "nt" and environ.get("APPDATA"):
        folder = Path(environ["APPDATA"])
    else:
        folder = Path(environ.get("XDG_CONFIG_HOME", ""))
        if not folder.is_absolute():
            try:
                folder = Path.home() / ".config"
            except RuntimeError:
                raise ConfigurationError(
                    "profiles have no place: this user has no home folder; set HOME or XDG_CONFIG_HOME"
                ) from None
    return folder / "processmaker" / "profiles.json"


def read_profiles(environ: Mapping[str, str], *, private: bool = True) -> dict[str, Profile]:
    """Return the profiles by name.

    Args:
        environ: such as os.environ.
        private: whether to refuse a file with tokens that other users can read.

    Raises:
        ConfigurationError: the file cannot be read, is not what `login` writes, or other users can read it.
    """
    try:
        path = profiles_file(environ)
    except ConfigurationError:
        return {}  # without a place there are none
    try:
        with path.open(encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode
            profiles = {name: _profile_from(written) for name, written in json.load(file).items()}
    except FileNotFoundError:
        return {}
    except OSError as problem:
        raise ConfigurationError(f"{path} cannot be read: {problem.strerror}") from problem
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise ConfigurationError(f"{path} is not what processmaker login writes; remove it and log in again") from None
    if private and os.name == "posix" and mode & 0o077 and any(profile.token for profile in profiles.values()):
        raise ConfigurationError(
            f"{path} holds tokens, and others than you can read it: run chmod 600 {path}, and think about who may "
            "have read them"
        )
    return profiles


def profile_in_use(profiles: Mapping[str, Profile], environ: Mapping[str, str]) -> str:
    """Return the name of the profile to use if none is named: PROCESSMAKER_PROFILE, else the one that `use` chose."""
    named = environ.get("PROCESSMAKER_PROFILE", "").strip()
    return named or next((name for name, profile in profiles.items() if profile.current), DEFAULT_PROFILE)


def no_profile(name: str, profiles: Mapping[str, Profile]) -> str:
    """Return the message for a profile that does not exist."""
    there = f"; there are: {', '.join(profiles)}" if profiles else ""
    return f"there is no profile {name!r}{there}; make it with processmaker login --profile {name}"


def token_of(name: str, profile: Profile) -> str:
    """Return the token of a profile, from the file or the keyring.

    Raises:
        ConfigurationError: it cannot be had.
    """
    if profile.token is not None:
        return profile.token
    entry = _keyring_entry(name, profile)
    try:
        import keyring

        token = keyring.get_password(KEYRING_SERVICE, entry)
    except ImportError:
        raise ConfigurationError(
            f"the token of the profile {name!r} is in the system's keyring, which needs the package keyring: "
            "pip install 'processmaker-client[keyring]'"
        ) from None
    except Exception as problem:  # each system's keyring has its own
        raise ConfigurationError(f"the system's keyring cannot be read: {problem}") from problem
    if token is None:
        raise ConfigurationError(
            f"the system's keyring has no token of the profile {name!r} for {profile.url}; "
            f"log in again: processmaker login --profile {name}"
        )
    return token


def save_profile(name: str, profile: Profile, environ: Mapping[str, str], *, in_keyring: bool = True) -> bool:
    """Save a profile, in place of another of that name.

    Args:
        name: the profile's name.
        profile: with its token.
        environ: such as os.environ.
        in_keyring: whether to put the token into the system's keyring if there is one.

    Returns:
        Whether the token is in the keyring, and not in the file.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    if profile.token is None:
        raise ConfigurationError(f"the profile {name!r} has no token to save")
    entry = _keyring_entry(name, profile)
    old = read_profiles(environ, private=False).get(name)
    kept = in_keyring and _put_into_keyring(entry, profile.token)

    with _changed(environ) as profiles:
        # The first one is in use at once; a later one only if `use` chooses it.
        current = profiles[name].current if name in profiles else not profiles and name != DEFAULT_PROFILE
        profiles[name] = evolve(profile, token=None if kept else profile.token, current=current)
    if old and old.token is None and not (kept and _keyring_entry(name, old) == entry):
        with suppress(ConfigurationError):  # a token that is left there does no harm: it is bound to its server
            _take_from_keyring(name, old)
    return kept


def remove_profile(name: str, environ: Mapping[str, str]) -> bool:
    """Remove a profile and its token. Return False if there is no such profile.

    Raises:
        ConfigurationError: the keyring does not give the token up, or the file cannot be written.
    """
    profiles = read_profiles(environ, private=False)
    if name not in profiles:
        return False
    if profiles[name].token is None:
        _take_from_keyring(name, profiles[name])
    with _changed(environ) as profiles:
        profiles.pop(name, None)
    return True


def use_profile(name: str, environ: Mapping[str, str]) -> None:
    """Make a profile the one that is used if none is named."""
    with _changed(environ) as profiles:
        for each in profiles:
            profiles[each] = evolve(profiles[each], current=each == name)


def _profile_from(written: Any) -> Profile:
    url, token = written["url"], written.get("token")
    if not isinstance(url, str) or not (isinstance(token, str) or (token is None and written["keyring"])):
        raise ValueError
    return Profile(
        url=url,
        token=token,
        allow_http=written.get("allow_http") is True,
        current=written.get("current") is True,
    )


def _written(profile: Profile) -> dict[str, Any]:
    token = {"keyring": _BY_SERVER} if profile.token is None else {"token": profile.token}
    flags = {name: True for name in ("allow_http", "current") if getattr(profile, name)}
    return {"url": profile.url, **token, **flags}


@contextmanager
def _changed(environ: Mapping[str, str]) -> Iterator[dict[str, Profile]]:
    """Yield the profiles, and write them as the block leaves them: one process at a time, and never half a file."""
    path = profiles_file(environ)
    new = path.with_suffix(".new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.parent.chmod(0o700)
        with _locked(path.with_suffix(".lock")):
            profiles = read_profiles(environ, private=False)
            yield profiles
            new.touch(mode=0o600)  # before it holds a token
            written = {name: _written(profile) for name, profile in profiles.items()}
            new.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")
            new.replace(path)
    except OSError as problem:
        raise ConfigurationError(f"{path} cannot be written: {problem.strerror}") from problem


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock among processes. The system releases it if the process dies."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_LOCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _keyring_entry(name: str, profile: Profile) -> str:
    """Return the user name under which the keyring has the token: it says for which server."""
    return f"{name} at {site_of(profile.url, allow_http=True)}"


def _put_into_keyring(entry: str, token: str) -> bool:
    """Return whether the keyring has it now: there may be no keyring, or one that keeps nothing."""
    try:
        import keyring

        keyring.set_password(KEYRING_SERVICE, entry, token)
        return keyring.get_password(KEYRING_SERVICE, entry) == token
    except Exception:  # each system's keyring has its own
        return False


def _take_from_keyring(name: str, profile: Profile) -> None:
    try:
        import keyring
        from keyring.errors import PasswordDeleteError

        with suppress(PasswordDeleteError):  # it is gone already
            keyring.delete_password(KEYRING_SERVICE, _keyring_entry(name, profile))
    except Exception as problem:
        raise ConfigurationError(
            f"the token of the profile {name!r} could not be taken from the system's keyring: {problem}"
        ) from problem
