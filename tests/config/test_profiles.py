"""Profiles in their file and in the system's keyring: no token goes to a server that it was not saved for."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError
from processmaker import ConfigurationError
from processmaker.config.profiles import Profile, read_profiles, remove_profile, save_profile, token_of

OLD, NEW = "https://old.example.com", "https://new.example.com"


class Ring(KeyringBackend):
    """A keyring in memory, in place of the system's."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kept: dict[str, str] = {}

    def set_password(self, service: str, username: str, password: str) -> None:
        assert service == "processmaker-client"
        self.kept[username] = password

    def get_password(self, service: str, username: str) -> str | None:
        assert service == "processmaker-client"
        return self.kept.get(username)

    def delete_password(self, service: str, username: str) -> None:
        assert service == "processmaker-client"
        if username not in self.kept:
            raise PasswordDeleteError("no such password")
        del self.kept[username]


@pytest.fixture
def ring(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ring]:
    # The package keeps the keyring that it finds first: not that of whoever runs the tests.
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    before = keyring.get_keyring()
    ring = Ring()
    keyring.set_keyring(ring)
    yield ring
    keyring.set_keyring(before)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"XDG_CONFIG_HOME": str(tmp_path)}


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on no file can be put in another's place."""

    def replace(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", replace)


def written(environ: dict[str, str]) -> Any:
    return json.loads((Path(environ["XDG_CONFIG_HOME"]) / "processmaker" / "profiles.json").read_text())


def token(environ: dict[str, str], name: str = "default") -> str:
    return token_of(name, read_profiles(environ)[name])


def write_as_0_1_0(environ: dict[str, str], ring: Ring) -> None:
    file = Path(environ["XDG_CONFIG_HOME"]) / "processmaker" / "profiles.json"
    file.parent.mkdir()
    file.write_text(json.dumps({"default": {"url": OLD, "keyring": True}}))
    ring.kept["default"] = "of-old"


def test_an_entry_of_the_keyring_is_bound_to_the_name_and_the_server(ring: Ring, environ: dict[str, str]) -> None:
    assert save_profile("default", Profile(url=f"{OLD}/api/1.0/", token="of-old"), environ)
    assert save_profile("other", Profile(url=OLD, token="of-other"), environ)
    assert ring.kept == {f"default at {OLD}": "of-old", f"other at {OLD}": "of-other"}
    assert (token(environ), token(environ, "other")) == ("of-old", "of-other")
    assert "of-o" not in json.dumps(written(environ))


def test_a_login_that_cannot_write_the_file_gives_the_old_server_no_other_token(
    ring: Ring, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    save_profile("default", Profile(url=OLD, token="of-old"), environ)
    before = written(environ)
    request.getfixturevalue("full_disk")
    with pytest.raises(ConfigurationError, match="cannot be written: No space left"):
        save_profile("default", Profile(url=NEW, token="of-new"), environ)
    monkeypatch.undo()
    assert written(environ) == before
    assert ring.kept[f"default at {OLD}"] == "of-old"
    assert token(environ) == "of-old"


def test_a_file_that_names_another_server_gets_no_token(ring: Ring, environ: dict[str, str]) -> None:
    save_profile("default", Profile(url=OLD, token="of-old"), environ)
    file = Path(environ["XDG_CONFIG_HOME"]) / "processmaker" / "profiles.json"
    file.write_text(file.read_text().replace(OLD, NEW))
    with pytest.raises(ConfigurationError, match=f"no token of the profile 'default' for {NEW}; log in again"):
        token(environ)
    assert ring.kept == {f"default at {OLD}": "of-old"}


@pytest.mark.parametrize("in_keyring", [True, False])
def test_a_login_to_another_server_leaves_no_old_token_behind(
    ring: Ring, environ: dict[str, str], in_keyring: bool
) -> None:
    save_profile("default", Profile(url=OLD, token="of-old"), environ)
    assert save_profile("default", Profile(url=NEW, token="of-new"), environ, in_keyring=in_keyring) is in_keyring
    assert ring.kept == ({f"default at {NEW}": "of-new"} if in_keyring else {})
    assert token(environ) == "of-new"


def test_a_token_that_0_1_0_put_into_the_keyring_is_not_used_until_the_next_login(
    ring: Ring, environ: dict[str, str]
) -> None:
    write_as_0_1_0(environ, ring)
    with pytest.raises(ConfigurationError, match=f"no token of the profile 'default' for {OLD}; log in again"):
        token(environ)
    save_profile("default", Profile(url=OLD, token="new"), environ)
    assert token(environ) == "new"


def test_a_profile_is_removed_with_its_token(ring: Ring, environ: dict[str, str]) -> None:
    save_profile("default", Profile(url=OLD, token="of-old"), environ)
    assert remove_profile("default", environ)
    assert not remove_profile("default", environ)
    assert (ring.kept, written(environ)) == ({}, {})


def test_a_profile_without_a_token_is_not_saved(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="has no token to save"):
        save_profile("default", Profile(url=OLD), environ)


def test_a_token_is_not_in_the_repr_of_a_profile() -> None:
    assert "s3cret" not in repr(Profile(url=OLD, token="s3cret"))


@pytest.mark.skipif(os.name == "nt", reason="modes of files are POSIX's")
def test_the_file_is_for_this_user_only(environ: dict[str, str]) -> None:
    save_profile("default", Profile(url=OLD, token="of-old"), environ, in_keyring=False)
    file = Path(environ["XDG_CONFIG_HOME"]) / "processmaker" / "profiles.json"
    assert file.stat().st_mode & 0o077 == 0
    file.chmod(0o644)
    with pytest.raises(ConfigurationError, match="others than you can read it: run chmod 600"):
        read_profiles(environ)
