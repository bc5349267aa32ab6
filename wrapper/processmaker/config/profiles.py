"""Profiles: servers and their tokens, which `processmaker login` keeps for later.

They are in one file that only this user can read. A token lies in that file too or, where the package `keyring` is
installed and finds one, in the system's keyring.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from attrs import evolve, field, frozen

from ..errors import ConfigurationError

DEFAULT_PROFILE = "default"

KEYRING_SERVICE = "processmaker-client"
"""The name that the tokens have in the keyring."""


@frozen(kw_only=True)
class Profile:
    """A server, and the token for it.

    Args:
        url: the server's address.
        token: the token, where it lies in the file; None where it lies in the keyring.
        allow_http: whether the token may go over plain http to another machine.
        current: whether it is the one in use where none is named.
    """

    url: str
    token: str | None = field(default=None, repr=False)
    allow_http: bool = False
    current: bool = False


def profiles_file(environ: Mapping[str, str]) -> Path:
    """Where profiles are kept: in the user's config folder, as the platform has it.

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
    """The profiles by name.

    Args:
        private: whether to refuse a file with tokens that others can read.

    Raises:
        ConfigurationError: the file cannot be read, is not what `login` writes, or others can read it.
    """
    try:
        path = profiles_file(environ)
    except ConfigurationError:
        return {}  # where none can be kept, there is none
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
    """The name of the profile to use where none is named: PROCESSMAKER_PROFILE, else the one that `use` chose."""
    named = environ.get("PROCESSMAKER_PROFILE", "").strip()
    return named or next((name for name, profile in profiles.items() if profile.current), DEFAULT_PROFILE)


def no_profile(name: str, profiles: Mapping[str, Profile]) -> str:
    """What to say where there is no profile of that name."""
    there = f"; there are: {', '.join(profiles)}" if profiles else ""
    return f"there is no profile {name!r}{there}; make it with processmaker login --profile {name}"


def from_profile(name: str | None, environ: Mapping[str, str], options: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a client for a profile.

    Raises:
        ConfigurationError: there is no such profile, its token cannot be had, or an option contradicts it.
    """
    if "base_url" in options:
        raise ConfigurationError("a profile names its server, and its token is for that one only: leave out base_url")
    profiles = read_profiles(environ)
    name = profile_in_use(profiles, environ) if name is None else name
    if name not in profiles:
        raise ConfigurationError(no_profile(name, profiles))
    profile = profiles[name]
    allowed = {"allow_http": True} if profile.allow_http else {}
    token = {} if "token" in options or "auth" in options else {"token": token_of(name, profile)}
    return {"base_url": profile.url, **allowed, **token, **options}


def token_of(name: str, profile: Profile) -> str:
    """The token of a profile, from the keyring where it lies there.

    Raises:
        ConfigurationError: it cannot be had.
    """
    if profile.token is not None:
        return profile.token
    try:
        import keyring

        token = keyring.get_password(KEYRING_SERVICE, name)
    except ImportError:
        raise ConfigurationError(
            f"the token of the profile {name!r} lies in the system's keyring, which needs the package keyring: "
            "pip install 'processmaker-client[keyring]'"
        ) from None
    except Exception as problem:  # each system's keyring has its own
        raise ConfigurationError(f"the system's keyring cannot be read: {problem}") from problem
    if token is None:
        raise ConfigurationError(
            f"the token of the profile {name!r} is not in the system's keyring any more; "
            f"log in again: processmaker login --profile {name}"
        )
    return token


def save_profile(name: str, profile: Profile, environ: Mapping[str, str], *, in_keyring: bool = True) -> bool:
    """Keeps a profile for later, in place of another of that name.

    Args:
        in_keyring: whether to put the token into the system's keyring, where there is one.

    Returns:
        Whether the token lies in the keyring, and not in the file.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    assert profile.token is not None
    kept = in_keyring and _put_into_keyring(name, profile.token)
    old = read_profiles(environ, private=False).get(name)
    if kept:
        profile = evolve(profile, token=None)
    elif old and old.token is None:
        with suppress(ConfigurationError):  # an old token that is left over does no harm
            _take_from_keyring(name)

    def with_it(profiles: dict[str, Profile]) -> dict[str, Profile]:
        # The first one is in use without more ado; a later one takes its place only where it is told to.
        current = profiles[name].current if name in profiles else not profiles and name != DEFAULT_PROFILE
        return {**profiles, name: evolve(profile, current=current)}

    _change(environ, with_it)
    return kept


def remove_profile(name: str, environ: Mapping[str, str]) -> bool:
    """Forgets a profile and its token; False where there is none."""
    profiles = read_profiles(environ, private=False)
    if name not in profiles:
        return False
    if profiles[name].token is None:
        _take_from_keyring(name)
    _change(environ, lambda profiles: {other: kept for other, kept in profiles.items() if other != name})
    return True


def use_profile(name: str, environ: Mapping[str, str]) -> None:
    """Makes a profile the one in use where none is named."""
    _change(
        environ,
        lambda profiles: {each: evolve(profile, current=each == name) for each, profile in profiles.items()},
    )


def _profile_from(written: Any) -> Profile:
    url, token = written["url"], written.get("token")
    if not isinstance(url, str) or not (isinstance(token, str) or (token is None and written.get("keyring") is True)):
        raise ValueError
    return Profile(
        url=url,
        token=token,
        allow_http=written.get("allow_http") is True,
        current=written.get("current") is True,
    )


def _written(profile: Profile) -> dict[str, Any]:
    token = {"keyring": True} if profile.token is None else {"token": profile.token}
    flags = {name: True for name in ("allow_http", "current") if getattr(profile, name)}
    return {"url": profile.url, **token, **flags}


def _change(environ: Mapping[str, str], change: Callable[[dict[str, Profile]], dict[str, Profile]]) -> None:
    """Writes the file anew: one process at a time, never half a file, and for this user's eyes only."""
    path = profiles_file(environ)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.parent.chmod(0o700)
        with _locked(path.with_suffix(".lock")):
            profiles = change(read_profiles(environ, private=False))
            # A file that mkstemp makes has mode 0600 from its first moment.
            handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    json.dump({name: _written(profile) for name, profile in profiles.items()}, file, indent=2)
                    file.write("\n")
                Path(temporary).replace(path)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
    except OSError as problem:
        raise ConfigurationError(f"{path} cannot be written: {problem.strerror}") from problem


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """While the block runs, no other process is in one. The system lets go of the lock where a process dies."""
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


def _put_into_keyring(name: str, token: str) -> bool:
    """Whether the keyring has it now: there may be no keyring, or one that keeps nothing."""
    try:
        import keyring

        keyring.set_password(KEYRING_SERVICE, name, token)
        return keyring.get_password(KEYRING_SERVICE, name) == token
    except Exception:  # each system's keyring has its own
        return False


def _take_from_keyring(name: str) -> None:
    try:
        import keyring
        from keyring.errors import PasswordDeleteError

        with suppress(PasswordDeleteError):  # it is gone already
            keyring.delete_password(KEYRING_SERVICE, name)
    except Exception as problem:
        raise ConfigurationError(
            f"the token of the profile {name!r} could not be taken from the system's keyring: {problem}"
        ) from problem
