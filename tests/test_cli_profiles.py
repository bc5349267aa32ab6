"""Which server and which token a command uses, and signing in."""

from __future__ import annotations

import json
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import TOKEN, Run, Terminal, saved
from processmaker._follow import WAIT_TIMEOUT
from processmaker._settings import DEFAULT_TIMEOUT
from processmaker.cli import _parser
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
    assert _parser.WAIT_SECONDS == WAIT_TIMEOUT
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
        "processes": 6,
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
    assert "Saved as profile bot in " in run("login", "--profile", "bot", "--url", sandbox.url).out
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
        (["--url", "http://pm.example.com"], "allow it with --allow-http"),
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
