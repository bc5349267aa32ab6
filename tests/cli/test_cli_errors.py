"""What the command line says when something goes wrong: a message, a next step, and the same as JSON."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from command_line import COMMAND, TOKEN, Run, mind_ctrl_c
from processmaker import ProcessMaker
from processmaker.cli import _session
from processmaker.sandbox import Sandbox


def test_an_error_is_json_with_json(run: Run, sandbox: Sandbox) -> None:
    sandbox.fail_next("answer lost", on="POST")
    unknown = run("--json", "start", 2, "--event", "node_1")
    assert (unknown.code, unknown.out) == (6, "")
    error = unknown.error
    assert list(error) == ["message", "hint", "type", "exit_code", "processed", "retryable", "retry_after"]
    assert (error["type"], error["exit_code"], error["processed"]) == ("StartOutcomeUnknown", 6, None)
    assert "processmaker requests --process 2 --since 1h" in error["hint"]
    assert "It was not sent again" in error["message"]


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["strat", "--json"], "there is no command 'strat'", "did you mean start?"),
        (["--json", "start"], "missing argument 'PROCESS'", "see processmaker start --help"),
        (["start", "2", "--evnt", "x", "--json"], "no such option '--evnt'", "did you mean --event?"),
        (["--json"], "missing command", "see processmaker --help"),
        (
            ["show", "x", "--json"],
            "invalid value for 'ID': 'x' is not the id of a Request",
            "see processmaker show --help",
        ),
        (["start", "2", "a", "--json"], "'a' is neither key=value nor key:=JSON", None),
        (["doctor", "--quiet", "--json"], "doctor does not use --quiet; leave it out", None),
    ],
)
def test_a_usage_error_is_json_with_json(run: Run, words: list[str], message: str, hint: str | None) -> None:
    ended = run(*words)
    assert (ended.code, ended.out) == (2, "")
    assert (ended.error["message"], ended.error["hint"]) == (message, hint)
    assert (ended.error["type"], ended.error["exit_code"]) == ("UsageError", 2)


def test_a_warning_is_json_with_json(run: Run) -> None:
    ended = run("start", 2, "who= Mia ", "--json")
    assert '{"warning": {"message": "The server will alter this data: data.who (trimmed)' in ended.err


def test_an_internal_error_is_json_with_json(run: Run, environ: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("by zero")

    environ.setattr(ProcessMaker, "processes", broken)
    assert run("processes", "--json").error["type"] == "ZeroDivisionError"


@pytest.mark.parametrize("path", ["/login", "/requests", "/api/documentation", "/tasks/3/edit"])
def test_the_address_of_a_page_is_refused_with_the_right_one(
    run: Run, sandbox: Sandbox, environ: pytest.MonkeyPatch, path: str
) -> None:
    environ.setenv("PROCESSMAKER_URL", sandbox.url + path)
    ended = run("processes")
    assert ended.code == 2
    assert ended.err.endswith(f"is the address of a page, not of the server: leave its end out, {sandbox.url}\n")
    assert sandbox.calls == []


@pytest.mark.parametrize("name", ["PROCESSMAKER_URL", "PROCESSMAKER_TOKEN"])
def test_literal_quotes_are_named(run: Run, environ: pytest.MonkeyPatch, name: str) -> None:
    environ.setenv(name, f'"{os.environ[name]}"')
    ended = run("processes")
    assert ended.code == 2
    assert name in ended.err
    assert "quot" in ended.err


def test_a_server_that_is_no_processmaker_points_to_doctor(run: Run, environ: pytest.MonkeyPatch) -> None:
    def other_server(_: httpx.Request) -> httpx.Response:
        return httpx.Response(404, html="<title>It works!</title>")

    connect = _session.Session.connect

    def to_another(self: _session.Session, **arguments: Any) -> ProcessMaker:
        return connect(self, **{**arguments, "transport": httpx.MockTransport(other_server)})

    environ.setattr(_session.Session, "connect", to_another)
    for words in (["processes"], ["requests"], ["show", "1"]):
        assert run(*words).err.endswith("processmaker doctor\n")


def test_what_is_not_there_does_not_point_to_doctor(run: Run) -> None:
    assert "doctor" not in run("show", 99).err
    assert "doctor" not in run("api", "/nothing").err


def test_the_password_in_a_journals_address_is_not_shown(run: Run) -> None:
    for place in ("unix:///run/r.sock?password=s3cretword&db=1", "redis://me:s3cretword@127.0.0.1:1/0"):
        ended = run("start", 4, "--event", "node_1", "--key", "k", "--journal", place)
        assert ended.code != 0
        assert "s3cretword" not in ended.out + ended.err


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        ("starts.db", "starts.db"),
        ("odd?name.db", "odd?name.db"),
        ("redis://me:pw@host:6379/1", "redis://…@host:6379/1"),
        ("rediss://:p@ss@host", "rediss://…@host"),
        ("unix:///run/r.sock?password=pw", "unix:///run/r.sock?…"),
        ("unix://me:p?w@/run/r.sock?db=1", "unix://…"),
    ],
)
def test_a_place_of_a_journal_is_shown_without_its_password(place: str, shown: str) -> None:
    assert _session.without_password(place) == shown


def test_ctrl_c_while_data_is_awaited_says_that_nothing_was_sent(served: Sandbox) -> None:
    command = [*COMMAND, "start", "2", "--event", "node_1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=mind_ctrl_c) as process:
        assert process.stderr
        process.stderr.readline()  # it says that it waits
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == b"processmaker: interrupted; nothing was sent\n"
    assert process.returncode == 130
    assert served.calls == []


def test_a_secret_in_an_error_is_not_shown_in_json_either(run: Run, environ: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError(f"with {TOKEN}")

    environ.setattr(ProcessMaker, "processes", broken)
    assert run("processes", "--json").error["message"].startswith("internal error: ZeroDivisionError: with …")


def test_without_click_it_says_what_to_install(tmp_path: Path) -> None:
    code = (
        "import importlib.util as util, sys\n"
        "find = util.find_spec\n"
        "util.find_spec = lambda name: None if name in ('click', 'rich') else find(name)\n"
        "sys.modules['click'] = sys.modules['rich'] = None\n"
        "from processmaker.cli import main\n"
        "sys.exit(main(['--version']))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=os.environ)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "processmaker: the command line needs click and rich: pip install 'processmaker-client[cli]'\n"
    )


def test_the_sandbox_needs_no_extra() -> None:
    code = (
        "import sys\n"
        "sys.modules['click'] = sys.modules['rich'] = None\n"
        "import processmaker.pytest_plugin\n"
        "from processmaker.sandbox.__main__ import main\n"
        "sys.exit(main(['--demo']))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, "COMPLETED" in done.stdout) == (0, True), done.stderr


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["start", "--help"], ["strat"], ["start", "--evnt", "x"]])
def test_help_and_usage_errors_load_neither_httpx_nor_rich(words: list[str]) -> None:
    assert loaded(words) == []


@pytest.mark.parametrize(("line", "position"), [("processmaker st", "1"), ("processmaker start --ev", "2")])
def test_completion_of_commands_and_options_loads_neither_httpx_nor_rich(
    environ: pytest.MonkeyPatch, line: str, position: str
) -> None:
    for name, value in {"_PROCESSMAKER_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": position}.items():
        environ.setenv(name, value)
    assert loaded([]) == []


def loaded(words: list[str]) -> list[str]:
    """Which of the two the command loads."""
    code = (
        "import sys\n"
        "from processmaker.cli import main\n"
        f"main({words!r})\n"
        "print(*[name for name in ('httpx', 'rich') if name in sys.modules], sep='\\n', end='', file=sys.__stderr__)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return [line for line in done.stderr.splitlines() if line in ("httpx", "rich")]
