"""Which server and which token a command uses, and signing in."""

from __future__ import annotations

import base64
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import keyring
import pytest
from command_line import COMMAND, TOKEN, Run, Terminal, saved
from conftest import Connect
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked, PasswordDeleteError
from processmaker import AsyncProcessMaker, ConfigurationError, ProcessMaker
from processmaker.cli import _options, _session
from processmaker.config.settings import DEFAULT_TIMEOUT
from processmaker.config.sources import from_profile
from processmaker.follow.waiting import WAIT_TIMEOUT
from processmaker.sandbox import Sandbox

# Settings


A, B, C = "https://a.example.com", "https://b.example.com", "https://c.example.com"


@pytest.mark.parametrize(
    ("options", "environment", "used"),
    [
        ([], {}, (C, "of-c")),
        ([], {"TOKEN": "any"}, (C, "any")),
        ([], {"URL": B, "TOKEN": "of-b"}, (B, "of-b")),
        ([], {"URL": C + "/api/1.0"}, (C + "/api/1.0", "of-c")),
        (["--url", A], {"TOKEN": "any"}, (A, "any")),
        (["--url", C], {"URL": B, "TOKEN": "of-b"}, (C, "of-c")),
        (["--url", "https://C.example.com:443/"], {}, ("https://C.example.com:443/", "of-c")),
        (["--profile", "a"], {"URL": B, "TOKEN": "of-b"}, (A, "of-a")),
        (["--profile", "a", "--url", B], {"URL": B, "TOKEN": "of-b"}, (B, "of-b")),
        (["--url", A], {"URL": B, "TOKEN": "of-b"}, None),
        (["--url", A], {}, None),
        (["--url", C.replace("https", "http"), "--allow-http"], {}, None),
        (["--url", C + ":8443"], {}, None),
        ([], {"URL": B}, None),
        (["--profile", "a", "--url", C], {}, None),
    ],
)
def test_an_option_beats_the_environment_and_that_a_profile_and_no_token_goes_to_another_server(
    run: Run,
    environ: pytest.MonkeyPatch,
    tmp_path: Path,
    connections: list[dict[str, Any]],
    options: list[str],
    environment: dict[str, str],
    used: tuple[str, str] | None,
) -> None:
    saved(tmp_path, default={"url": C, "token": "of-c"}, a={"url": A, "token": "of-a"})
    for name in ("URL", "TOKEN"):
        environ.delenv(f"PROCESSMAKER_{name}")
    for name, value in environment.items():
        environ.setenv(f"PROCESSMAKER_{name}", value)
    ended = run("processes", *options)
    assert [(made["base_url"], made["token"]) for made in connections] == ([used] if used else [])
    if used is None:
        assert ended.code == 3
        assert "not signed in to " in ended.err
        assert "of-" not in ended.err


def test_a_script_task_needs_no_settings(
    run: Run, environ: pytest.MonkeyPatch, connections: list[dict[str, Any]], sandbox: Sandbox
) -> None:
    environ.delenv("PROCESSMAKER_URL")
    environ.delenv("PROCESSMAKER_TOKEN")
    environ.setenv("API_HOST", f"{sandbox.url}/api/1.0")
    environ.setenv("API_TOKEN", TOKEN)
    environ.setenv("API_SSL_VERIFY", "0")
    assert run("processes").code == 0
    assert connections[0]["verify"] is False
    assert run("processes", "--url", "https://other.example.com").code == 3


def test_signing_in_with_a_password_from_the_environment(run: Run, environ: pytest.MonkeyPatch) -> None:
    environ.delenv("PROCESSMAKER_TOKEN")
    environ.setenv("PROCESSMAKER_CLIENT_ID", "3")
    environ.setenv("PROCESSMAKER_CLIENT_SECRET", "client-secret")
    environ.setenv("PROCESSMAKER_USERNAME", "integration.bot")
    assert run("processes").code == 2
    environ.setenv("PROCESSMAKER_PASSWORD", "bot-password")
    assert run("processes").code == 0
    environ.setenv("PROCESSMAKER_PASSWORD", "wrong-password")
    ended = run("processes")
    assert ended.code == 3
    assert "wrong-password" not in ended.err


def test_without_any_settings_it_says_what_to_do(run: Run, environ: pytest.MonkeyPatch) -> None:
    environ.delenv("PROCESSMAKER_URL")
    ended = run("processes")
    assert (ended.code, ended.err) == (
        3,
        "processmaker: no server is named: run processmaker login, or set PROCESSMAKER_URL and PROCESSMAKER_TOKEN\n",
    )


def test_common_options_may_stand_on_either_side_of_the_command(run: Run, connections: list[dict[str, Any]]) -> None:
    run("--timeout", 5, "processes")
    run("processes", "--timeout", 6)
    run("--timeout", 5, "processes", "--timeout", 7)
    assert [made["timeout"] for made in connections] == [5, 6, 7]


def test_in_a_wait_the_timeout_is_about_the_request(run: Run, connections: list[dict[str, Any]]) -> None:
    run("start", 4)
    for command in ("wait", "watch"):
        run("--timeout", 5, command, 1)
    assert all("timeout" not in made for made in connections)


def test_the_defaults_in_the_help_are_those_of_the_library(run: Run) -> None:
    assert _options.WAIT_SECONDS == WAIT_TIMEOUT
    assert f"(default: {DEFAULT_TIMEOUT:.0f}); in wait" in " ".join(run("--help").out.split())


# Signing in


@pytest.mark.usefixtures("signed_out")
def test_login_keeps_a_token_from_standard_input_in_a_file_only_the_user_can_read(
    run: Run, sandbox: Sandbox, typed: Callable[[str], None], tmp_path: Path
) -> None:
    typed(f"{TOKEN}\n")
    ended = run("login", "--url", sandbox.url, "--json")
    file = tmp_path / "config" / "processmaker" / "profiles.json"
    assert ended.json == {
        "profile": "default",
        "url": sandbox.url,
        "processes": len(run("processes", "--json").lines),
        "file": str(file),
        "token_in": "file",
    }
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert sorted(file.parent.iterdir()) == [file, file.with_suffix(".lock")]
    assert run("processes").code == 0


@pytest.mark.usefixtures("signed_out")
def test_login_tightens_a_file_that_others_could_read_and_keeps_other_profiles(
    run: Run, sandbox: Sandbox, typed: Callable[[str], None], tmp_path: Path
) -> None:
    file = saved(tmp_path, default={"url": A, "token": "of-a"})
    file.chmod(0o644)
    file.parent.chmod(0o755)
    typed(TOKEN)
    assert run("login", "--profile", "bot", "--url", sandbox.url).out.startswith("profile    bot\nurl ")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert list(json.loads(file.read_text())) == ["default", "bot"]
    assert run("processes", "--profile", "bot").code == 0


@pytest.mark.usefixtures("signed_out")
def test_login_saves_nothing_that_the_server_refuses(
    run: Run, sandbox: Sandbox, typed: Callable[[str], None], tmp_path: Path
) -> None:
    typed("not-a-token-of-this-server\n")
    ended = run("login", "--url", sandbox.url)
    assert ended.code == 3
    assert "not-a-token" not in ended.out + ended.err
    assert not (tmp_path / "config").exists()


@pytest.mark.usefixtures("signed_out")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "say which server: --url"),
        (["--url", "https://pm.example.com"], "no token came in"),
        (["--url", "http://pm.example.com"], "--allow-http sends it all the same"),
    ],
)
def test_login_without_what_it_needs_is_bad_usage(
    run: Run, typed: Callable[[str], None], words: list[str], said: str
) -> None:
    typed("")
    ended = run("login", *words)
    assert ended.code == 2
    assert said in ended.err


@pytest.mark.usefixtures("signed_out")
def test_on_a_terminal_login_asks_and_does_not_show_the_token(
    run: Run, sandbox: Sandbox, environ: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def getpass(prompt: str, stream: object) -> str:
        assert stream is sys.stderr
        asked.append(prompt)
        return TOKEN

    environ.setattr("getpass.getpass", getpass)
    for answer in (f"{sandbox.url}\n", "\n"):  # the second time an empty line means the same server
        environ.setattr(sys, "stdin", Terminal(answer))
        ended = run("login")
        assert ended.code == 0
        assert asked.pop() == f"Token for {sandbox.url} (it is not shown): "
    assert ended.err == f"Server [{sandbox.url}]: "


@pytest.mark.usefixtures("signed_out")
def test_a_server_that_login_may_reach_over_http_stays_allowed(
    run: Run, typed: Callable[[str], None], connections: list[dict[str, Any]]
) -> None:
    typed(TOKEN)
    assert run("login", "--url", "http://pm.example.com", "--allow-http").code == 0
    assert run("processes").code == 0
    assert run("processes", "--url", "http://pm.example.com").code == 2
    assert [made["allow_http"] for made in connections[:2]] == [True, True]


@pytest.mark.usefixtures("signed_out")
@pytest.mark.parametrize("content", ["{", "[]", '{"default": {"url": 1}}', '{"default": []}'])
def test_a_file_of_profiles_that_is_broken_says_so(run: Run, tmp_path: Path, content: str) -> None:
    saved(tmp_path).write_text(content)
    ended = run("processes")
    assert ended.code == 2
    assert "is not what processmaker login writes" in ended.err


# Several profiles


def token_with(**said: object) -> str:
    """A token that says this about itself, as those of ProcessMaker do: a JWT."""
    parts = [json.dumps(part).encode() for part in ({"alg": "RS256"}, said, "signature")]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


@pytest.fixture
def two(signed_out: None, tmp_path: Path, sandbox: Sandbox) -> Path:  # noqa: ARG001
    """The file of two profiles, of which the one that is not called default is the sandbox's."""
    expiring = token_with(sub="3", exp=1_800_000_000)
    return saved(
        tmp_path, default={"url": A, "token": expiring}, bot={"url": sandbox.url, "token": TOKEN, "allow_http": True}
    )


@pytest.mark.usefixtures("two")
def test_profiles_are_listed_without_their_tokens(run: Run) -> None:
    assert run("profiles").out.splitlines() == [
        "   NAME     SERVER                  TOKEN IN  EXPIRES",
        "*  default  https://a.example.com   file      2027-01-15 08:00:00+00:00",
        "   bot      https://pm.example.com  file",
    ]
    assert run("profiles", "--json").lines[0] == {
        "name": "default",
        "url": A,
        "current": True,
        "token_in": "file",
        "expires_at": "2027-01-15T08:00:00+00:00",
        "allow_http": False,
    }
    assert run("profiles", "--quiet").out == "default\nbot\n"


@pytest.mark.usefixtures("two")
def test_use_chooses_the_profile_that_is_used_where_none_is_named(run: Run, connections: list[dict[str, Any]]) -> None:
    assert run("use", "bot").out == "profile  bot\nurl      https://pm.example.com\n"
    assert run("processes").code == 0
    assert [made["token"] for made in connections] == [TOKEN]
    assert [profile["name"] for profile in run("profiles", "--json").lines if profile["current"]] == ["bot"]
    ended = run("use", "nobody")
    assert ended.code == 3
    assert "there is no profile 'nobody'; there are: default, bot; make it with processmaker login" in ended.err


@pytest.mark.usefixtures("signed_out")
def test_the_first_profile_is_in_use_whatever_its_name(
    run: Run, sandbox: Sandbox, typed: Callable[[str], None]
) -> None:
    for name in ("bot", "box"):
        typed(TOKEN)
        run("login", "--url", sandbox.url, "--profile", name)
    assert [(each["name"], each["current"]) for each in run("profiles", "--json").lines] == [
        ("bot", True),
        ("box", False),
    ]
    assert run("processes").code == 0
    run("logout")
    ended = run("processes")
    assert ended.code == 3
    assert "no server is named: choose one of the profiles box with processmaker use, " in ended.err


@pytest.mark.usefixtures("two")
def test_the_environment_names_a_profile(
    run: Run, environ: pytest.MonkeyPatch, connections: list[dict[str, Any]]
) -> None:
    environ.setenv("PROCESSMAKER_PROFILE", "bot")
    assert run("processes").code == 0
    run("processes", "--profile", "default")
    environ.setenv("PROCESSMAKER_URL", B)
    environ.setenv("PROCESSMAKER_TOKEN", "of-b-and-no-other")
    run("processes")
    assert [made["base_url"] for made in connections] == ["https://pm.example.com", A, B]
    environ.delenv("PROCESSMAKER_URL")
    environ.delenv("PROCESSMAKER_TOKEN")
    environ.setenv("PROCESSMAKER_PROFILE", "nobody")
    assert run("processes").code == 3


def test_logout_takes_the_name_of_a_profile(run: Run, two: Path) -> None:
    assert run("logout", "bot", "--json").json["profile"] == "bot"
    assert list(json.loads(two.read_text())) == ["default"]
    assert run("logout", "nobody").code == 3


def test_logout_forgets_a_profile(run: Run, two: Path) -> None:
    assert run("logout", "--profile", "bot").code == 0
    assert list(json.loads(two.read_text())) == ["default"]
    assert run("logout").code == 0
    assert json.loads(two.read_text()) == {}
    assert run("logout").code == 3


def test_a_file_of_tokens_that_others_can_read_is_refused_until_that_is_mended(run: Run, two: Path) -> None:
    two.chmod(0o640)
    ended = run("processes", "--profile", "bot")
    assert ended.code == 2
    assert f"others than you can read it: run chmod 600 {two}" in ended.err
    with pytest.raises(ConfigurationError, match="chmod 600"):
        ProcessMaker.from_profile("bot")
    two.chmod(0o600)
    assert run("processes", "--profile", "bot").code == 0


def test_a_token_of_the_environment_for_another_address_says_so(run: Run, environ: pytest.MonkeyPatch) -> None:
    environ.setenv("PROCESSMAKER_URL", B)
    ended = run("processes", "--url", A)
    assert ended.code == 3
    assert "not signed in to a.example.com; PROCESSMAKER_TOKEN is for https://b.example.com" in ended.err


@pytest.mark.usefixtures("served", "signed_out")
def test_ten_logins_at_once_keep_ten_profiles(served: Sandbox, tmp_path: Path) -> None:
    with served.serve() as url:
        logins = [
            subprocess.Popen(
                [*COMMAND, "login", "--url", url, "--profile", f"p{number}"], stdin=subprocess.PIPE, text=True
            )
            for number in range(10)
        ]
        for login in logins:
            login.communicate(TOKEN)
    assert [login.returncode for login in logins] == [0] * 10
    file = tmp_path / "config" / "processmaker" / "profiles.json"
    assert sorted(json.loads(file.read_text())) == sorted(f"p{number}" for number in range(10))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.usefixtures("signed_out")
def test_login_with_a_password_keeps_only_the_token(
    run: Run, sandbox: Sandbox, typed: Callable[[str], None], tmp_path: Path
) -> None:
    typed("client-secret\nbot-password\n")
    ended = run("login", "--url", sandbox.url, "--client-id", "3", "--username", "integration.bot", "--json")
    assert (ended.code, ended.json["processes"]) == (0, len(run("processes", "--json").lines))
    written = (tmp_path / "config" / "processmaker" / "profiles.json").read_text()
    assert "sandbox-access-token" in json.loads(written)["default"]["token"]
    assert "password" not in written
    assert "secret" not in written
    assert run("processes").code == 0


@pytest.mark.usefixtures("signed_out")
@pytest.mark.parametrize(
    ("words", "lines", "code", "said"),
    [
        (["--client-id", "3"], "", 2, "to sign in with a password, give --username too"),
        (["--username", "integration.bot"], "", 2, "to sign in with a password, give --client-id too"),
        (["--client-id", "3", "--username", "integration.bot"], "", 2, "no secret came in"),
        (["--client-id", "3", "--username", "integration.bot"], "client-secret\nwrong-password\n", 3, "400"),
    ],
)
def test_a_login_with_a_password_that_cannot_work_saves_nothing(
    run: Run,
    sandbox: Sandbox,
    typed: Callable[[str], None],
    tmp_path: Path,
    words: list[str],
    lines: str,
    code: int,
    said: str,
) -> None:
    typed(lines)
    ended = run("login", "--url", sandbox.url, *words)
    assert ended.code == code
    assert said in ended.err
    assert "wrong-password" not in ended.err
    assert not (tmp_path / "config").exists()


# The system's keyring


class Ring(KeyringBackend):
    """A keyring in memory, in place of the system's."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kept: dict[tuple[str, str], str] = {}
        self.locked = False

    def set_password(self, service: str, username: str, password: str) -> None:
        self._check()
        self.kept[service, username] = password

    def get_password(self, service: str, username: str) -> str | None:
        self._check()
        return self.kept.get((service, username))

    def delete_password(self, service: str, username: str) -> None:
        self._check()
        if (service, username) not in self.kept:
            raise PasswordDeleteError("no such password")
        del self.kept[service, username]

    def _check(self) -> None:
        if self.locked:
            raise KeyringLocked("the keyring is locked")


@pytest.fixture
def ring() -> Iterator[Ring]:
    before = keyring.get_keyring()
    ring = Ring()
    keyring.set_keyring(ring)
    yield ring
    keyring.set_keyring(before)


@pytest.fixture
def logged_in(signed_out: None, run: Run, sandbox: Sandbox, typed: Callable[[str], None], tmp_path: Path) -> Path:  # noqa: ARG001
    typed(TOKEN)
    ended = run("login", "--url", sandbox.url)
    assert ended.code == 0
    return tmp_path / "config" / "processmaker" / "profiles.json"


def test_where_there_is_a_keyring_the_token_lies_in_it_and_not_in_the_file(
    ring: Ring, run: Run, logged_in: Path
) -> None:
    assert ring.kept == {("processmaker-client", "default at https://pm.example.com"): TOKEN}
    assert json.loads(logged_in.read_text()) == {"default": {"url": "https://pm.example.com", "keyring": "by server"}}
    logged_in.chmod(0o644)  # there is no secret in it
    assert run("processes").code == 0
    assert run("profiles", "--json").lines[0]["token_in"] == "keyring"
    assert run("logout").code == 0
    assert ring.kept == {}


def test_a_keyring_that_is_locked_or_lacks_the_token_says_what_to_do(ring: Ring, run: Run, logged_in: Path) -> None:
    ring.locked = True
    ended = run("processes")
    assert ended.code == 2
    assert "the system's keyring cannot be read: the keyring is locked" in ended.err
    assert run("logout").code == 2
    ring.locked = False
    ring.kept.clear()
    assert "log in again: processmaker login --profile default" in run("processes").err
    assert run("logout").code == 0
    assert json.loads(logged_in.read_text()) == {}


@pytest.mark.usefixtures("signed_out")
def test_the_file_takes_the_token_where_the_keyring_does_not(
    ring: Ring, run: Run, sandbox: Sandbox, typed: Callable[[str], None], tmp_path: Path
) -> None:
    file = tmp_path / "config" / "processmaker" / "profiles.json"
    for locked, words in ((True, []), (False, ["--no-keyring"])):
        ring.locked = locked
        typed(TOKEN)
        assert run("login", "--url", sandbox.url, *words).code == 0
        assert json.loads(file.read_text())["default"]["token"] == TOKEN
        assert ring.kept == {}
    typed(TOKEN)
    run("login", "--url", sandbox.url)
    assert ring.kept
    typed(TOKEN)
    run("login", "--url", sandbox.url, "--no-keyring")
    assert ring.kept == {}  # nothing old is left behind


def test_a_profile_of_the_keyring_says_which_extra_it_needs(
    ring: Ring, run: Run, logged_in: Path, environ: pytest.MonkeyPatch
) -> None:
    assert ring.kept
    assert logged_in.exists()
    environ.setitem(sys.modules, "keyring", None)
    assert "pip install 'processmaker-client[keyring]'" in run("processes").err


# In Python, and who it is


@pytest.mark.usefixtures("two")
def test_a_client_is_made_from_a_profile(connect: Connect, environ: pytest.MonkeyPatch, sandbox: Sandbox) -> None:
    arguments = from_profile("bot", os.environ, {"timeout": 5})
    assert arguments == {"base_url": sandbox.url, "token": TOKEN, "allow_http": True, "timeout": 5}
    for client in (ProcessMaker, AsyncProcessMaker):
        assert repr(client.from_profile("bot")) == f"{client.__name__}('https://pm.example.com')"
        assert repr(client.from_profile()) == f"{client.__name__}('{A}')"
        environ.setenv("PROCESSMAKER_PROFILE", "bot")
        assert repr(client.from_profile(token="another-token")) == f"{client.__name__}('https://pm.example.com')"
        environ.delenv("PROCESSMAKER_PROFILE")
    pm = connect(**from_profile("bot", os.environ, {"transport": sandbox.transport()}))
    assert pm.processes()


@pytest.mark.usefixtures("two")
def test_a_profile_that_is_not_there_or_contradicted_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no profile 'nobody'; there are: default, bot"):
        ProcessMaker.from_profile("nobody")
    with pytest.raises(ConfigurationError, match="leave out base_url"):
        ProcessMaker.from_profile("bot", base_url=B)  # type: ignore[call-arg]


def test_whoami_asks_the_api_for_the_user_that_the_token_names(
    run: Run, environ: pytest.MonkeyPatch, connections: list[dict[str, Any]]
) -> None:
    token = token_with(sub="3", exp=1_800_000_000)
    environ.setenv("PROCESSMAKER_TOKEN", token)
    known = {"id": 3, "username": "integration.bot", "fullname": "Integration Bot", "email": "bot@example.com"}
    answers = iter([httpx.Response(200, json=known), httpx.Response(403, json={"message": "Not authorized."})])
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return next(answers)

    connect = _session.Session.connect
    environ.setattr(
        _session.Session,
        "connect",
        lambda self, **arguments: connect(self, transport=httpx.MockTransport(answer), **arguments),
    )
    assert run("whoami", "--json").json == {
        "server": "https://pm.example.com",
        "token_from": "PROCESSMAKER_TOKEN",
        "user_id": 3,
        "user_name": "integration.bot",
        "name": "Integration Bot",
        "email": "bot@example.com",
        "expires": "2027-01-15T08:00:00+00:00",
    }
    told = run("whoami").out  # the API tells nothing
    assert told.splitlines() == [
        "server      https://pm.example.com",
        "token from  PROCESSMAKER_TOKEN",
        "user id     3",
        "expires     2027-01-15 08:00:00+00:00",
    ]
    assert asked == ["/api/1.0/users/3"] * 2
    assert len(connections) == 2


@pytest.mark.parametrize("token", [TOKEN, "a.b.c", "e30.W10.x"])
def test_whoami_with_a_token_that_says_nothing_tells_whether_the_server_takes_it(
    run: Run, environ: pytest.MonkeyPatch, token: str
) -> None:
    environ.setenv("PROCESSMAKER_TOKEN", token)
    ended = run("whoami")
    assert ended.code == (0 if token == TOKEN else 3)
    if token == TOKEN:
        assert ended.out == "server      https://pm.example.com\ntoken from  PROCESSMAKER_TOKEN\n"
        assert ended.err == "processmaker: neither the server nor the token tells whose it is\n"
        quiet = run("whoami", "--quiet")
        assert (quiet.code, quiet.out, quiet.err) == (4, "", ended.err)


def test_whoami_signs_in_with_a_password(run: Run, environ: pytest.MonkeyPatch) -> None:
    environ.delenv("PROCESSMAKER_TOKEN")
    for name, value in PASSWORD.items():
        environ.setenv(f"PROCESSMAKER_{name}", value)
    whoami = run("whoami", "--json").json
    assert (whoami["user_id"], whoami["token_from"]) == (3, "PROCESSMAKER_CLIENT_ID")
    assert whoami["expires"].startswith("2027-11-23T")


def test_whoami_names_the_profile_that_is_used(run: Run, environ: pytest.MonkeyPatch, tmp_path: Path) -> None:
    saved(tmp_path, box={"url": "https://pm.example.com", "token": TOKEN})
    assert run("whoami", "--profile", "box", "--json").json["token_from"] == "the profile box"
    environ.setenv("PROCESSMAKER_PROFILE", "box")
    environ.delenv("PROCESSMAKER_TOKEN")
    assert run("whoami", "--json").json["token_from"] == "the profile box"


def test_login_and_use_say_where_something_else_goes_before_the_profile(
    run: Run, environ: pytest.MonkeyPatch, tmp_path: Path, typed: Callable[[str], None]
) -> None:
    saved(tmp_path, box={"url": A, "token": TOKEN}, bot={"url": A, "token": TOKEN})
    by_token = (
        "PROCESSMAKER_TOKEN goes before the profile bot. To use bot, unset PROCESSMAKER_TOKEN, or give --profile bot\n"
    )
    assert run("use", "bot").err == f"processmaker: {by_token}"
    assert run("profiles").err == f"processmaker: {by_token}"
    assert run("use", "bot", "--quiet").err == ""
    environ.delenv("PROCESSMAKER_TOKEN")
    assert run("use", "bot").err.startswith("processmaker: PROCESSMAKER_URL goes before the profile bot")
    environ.delenv("PROCESSMAKER_URL")
    assert run("use", "bot").err == ""
    environ.setenv("PROCESSMAKER_PROFILE", "box")
    assert run("use", "bot").err == (
        "processmaker: the profile box goes before the profile bot. To use bot, unset PROCESSMAKER_PROFILE, or "
        "give --profile bot\n"
    )
    environ.delenv("PROCESSMAKER_PROFILE")
    typed(TOKEN)
    ended = run("login", "--url", A, "--profile", "box")
    assert ended.err == (
        "processmaker: the profile bot goes before the profile box. To use box, run processmaker use box, or give "
        "--profile box\n"
    )


def test_a_user_without_a_home_has_no_profiles_and_is_told_so_only_at_login(
    run: Run, environ: pytest.MonkeyPatch, sandbox: Sandbox, typed: Callable[[str], None]
) -> None:
    environ.delenv("XDG_CONFIG_HOME")
    environ.setattr(Path, "home", homeless)
    assert run("processes").code == 0
    assert run("profiles").out == "no profile; make one with login\n"
    typed(TOKEN)
    ended = run("login", "--url", sandbox.url)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.endswith("profiles have no place: this user has no home folder; set HOME or XDG_CONFIG_HOME\n")
    environ.delenv("PROCESSMAKER_URL")
    environ.delenv("PROCESSMAKER_TOKEN")
    assert run("processes").code == 3
    with pytest.raises(ConfigurationError, match="there is no profile 'default'"):
        ProcessMaker.from_profile()


def homeless() -> Path:
    raise RuntimeError("Could not determine home directory.")


PASSWORD = {
    "CLIENT_ID": "3",
    "CLIENT_SECRET": "client-secret",
    "USERNAME": "integration.bot",
    "PASSWORD": "bot-password",
}
