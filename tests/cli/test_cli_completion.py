"""Completion in the shell, asked of the command itself and tried in real shells."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import COMMAND, Run, saved
from processmaker import ProcessMaker
from processmaker.cli import _app, _completion
from processmaker.sandbox import Sandbox
from programs import need

SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "source {script}"),
    "zsh": (["zsh", "-f", "-i"], "autoload -U compinit; compinit -u -D; bindkey -e; source {script}"),
}
LONGEST = 60.0
"""Seconds that a shell may take, on a machine with much else to do."""


def offered(run: Run, *words: str) -> list[str]:
    """The words that the command offers in place of the last of those."""
    ended = run("__complete", "fish", *words)
    assert (ended.code, ended.err) == (0, "")
    return [line.partition("\t")[0] for line in ended.out.splitlines()]


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ([""], list(_app.PLACES)),
        (["co"], ["complete", "completion"]),
        (["--prof"], ["--profile"]),
        (["--url", "start", "wa"], ["wait", "watch"]),
        (["start", "--ev"], ["--event"]),
        (["start", "2", "wait", "--cu"], ["--curl"]),
        (["wait", "17", "--until", ""], ["finished", "task"]),
        (["wait", "17", "--until=t"], ["--until=task"]),
        (["completion", "z"], ["zsh"]),
        (["completion", "--j"], []),
        (["--json", "login", "--allow"], ["--allow-http"]),
        (["start", "Leave"], ["Leave Request", "Leave Request Contractors"]),
        (["find", "k", "--process", "Auto"], ["Auto Approve"]),
        (["start", "Two Doors", "--event", "node_"], ["node_web", "node_mail"]),
        (["start", "5", "a=1", "--event", "node_w"], ["node_web"]),
        (["requests", "--status", "C"], ["COMPLETED", "CANCELED"]),
        (["fly", ""], []),
    ],
)
def test_commands_options_and_names_are_offered(run: Run, words: list[str], completed: list[str]) -> None:
    assert offered(run, *words) == completed


def test_requests_and_tasks_are_offered_with_what_they_are(run: Run) -> None:
    run("start", 2, "--event", "node_1")
    run("start", 4, "--event", "node_1")
    offer = run("__complete", "fish", "show", "").out
    assert offer == "2\tCOMPLETED Auto Approve\n1\tACTIVE Leave Request\n"
    assert run("__complete", "fish", "complete", "").out == "2\tApprove leave\n"
    assert run("__complete", "fish", "wait", "1").out == "1\tACTIVE Leave Request\n"


def test_profiles_are_offered_with_their_servers(run: Run, tmp_path: Path) -> None:
    profile = {"url": "https://a.example.com", "token": "t"}
    saved(tmp_path, bot=profile, box=profile)
    assert offered(run, "--profile", "bo") == offered(run, "use", "bo") == ["bot", "box"]
    assert run("__complete", "fish", "use", "bot").out == "bot\thttps://a.example.com\n"


def test_files_are_offered_for_data(run: Run, tmp_path: Path, environ: pytest.MonkeyPatch) -> None:
    (tmp_path / "data dir").mkdir()
    (tmp_path / "data.json").touch()
    (tmp_path / ".hidden").touch()
    environ.chdir(tmp_path)
    assert offered(run, "start", "2", "--data", "@") == ["@data dir/", "@data.json"]
    assert offered(run, "start", "2", f"letter=@{tmp_path}/data.") == [f"letter=@{tmp_path}/data.json"]
    assert offered(run, "start", "2", "items:=@data.") == ["items:=@data.json"]
    assert offered(run, "api", "POST", "/groups", "-f", "items:=@data.") == ["items:=@data.json"]


def test_where_the_server_cannot_be_asked_nothing_is_offered_and_nothing_fails(
    run: Run, sandbox: Sandbox, environ: pytest.MonkeyPatch
) -> None:
    sandbox.fail_next(500, on="GET", times=9)
    assert offered(run, "start", "Leave") == []
    environ.delenv("PROCESSMAKER_TOKEN")
    assert offered(run, "start", "Leave") == []
    assert run("__complete").code == run("__complete", "tcsh", "x").code == 0


@pytest.mark.parametrize(
    ("line", "words", "raw"),
    [
        ("processmaker ", [""], ""),
        ("processmaker st", ["st"], "st"),
        ("processmaker start ", ["start", ""], ""),
        (r"processmaker start Leave\ Re", ["start", "Leave Re"], r"Leave\ Re"),
        (r"processmaker start Leave" + "\\ ", ["start", "Leave "], "Leave\\ "),
        ('processmaker start "Leave Re', ["start", "Leave Re"], '"Leave Re'),
        ("processmaker start 'Leave Request' --ev", ["start", "Leave Request", "--ev"], "--ev"),
    ],
)
def test_a_line_that_is_being_typed_is_read_as_bash_reads_it(line: str, words: list[str], raw: str) -> None:
    assert _completion._split(line) == (words, raw)


def line_in(shell: str, typed: str, folder: Path) -> list[str]:
    """The words of the line that comes of typing this, up to its last tab, into an interactive shell."""
    need(shell, f"completion in {shell}")
    script = folder / f"completion.{shell}"
    script.write_bytes(subprocess.run([*COMMAND, "completion", shell], capture_output=True, check=True).stdout)
    command, prepare = SHELLS[shell]
    # The line is then made the arguments of printf: begin of line, the words, end of line.
    keys = f"{prepare.format(script=script)}\n{typed}\x01printf '<%s>\\n' \x05\nexit\n"
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "TERM": "dumb",
        "HOME": str(folder),
    }
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execvpe(command[0], command, environment)
    seen, deadline = b"", time.monotonic() + LONGEST
    os.write(terminal, keys.encode())
    try:
        while time.monotonic() < deadline:
            if select.select([terminal], [], [], 1)[0]:
                seen += os.read(terminal, 65536)
    except OSError:  # the shell has ended
        pass
    finally:
        os.close(terminal)
        os.waitpid(pid, 0)
    return re.findall(r"^<(.*)>\r?$", seen.decode(), re.MULTILINE)


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("processmaker comple\tion b\t", ["completion", "bash"]),
        ("processmaker start Auto\t", ["start", "Auto Approve"]),
        ("processmaker start Two\\ D\t --event node_w\t", ["start", "Two Doors", "--event", "node_web"]),
        ("processmaker requests --stat\t ERR\t", ["requests", "--status", "ERROR"]),
        ("processmaker show \t", ["show", "1"]),
        ("processmaker use stag\t", ["use", "staging"]),
        ("processmaker start 2 --data @lett\t", ["start", "2", "--data", "@letters/"]),
        ("processmaker start 2 text=@letters/on\t", ["start", "2", "text=@letters/one.txt"]),
    ],
)
def test_a_real_shell_completes(shell: str, typed: str, words: list[str], tmp_path: Path) -> None:
    with ProcessMaker.from_env() as pm:
        pm.start(2, event="node_1")
    saved(tmp_path, staging={"url": "https://staging.example.com", "token": "t"})
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "one.txt").touch()
    assert line_in(shell, typed, tmp_path) == ["processmaker", *words]


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("processmaker ", list(_app.PLACES)),
        ("processmaker start Leave", ["Leave Request", "Leave Request Contractors"]),
        ("processmaker start 'Two Doors' --event node_", ["node_web", "node_mail"]),
        ("processmaker start 2 --data @lett", ["@letters/"]),
        ("processmaker start-many 2 lett", ["letters/"]),
        ("processmaker sandbox --setup lett", ["letters/"]),
        ("processmaker start --fly", []),
    ],
)
def test_fish_completes(line: str, words: list[str], tmp_path: Path) -> None:
    need("fish", "completion in fish")
    (tmp_path / "letters").mkdir()
    script = tmp_path / "processmaker.fish"
    script.write_bytes(subprocess.run([*COMMAND, "completion", "fish"], capture_output=True, check=True).stdout)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    code = f"source {script}; complete -C {json.dumps(line)}"
    done = subprocess.run(
        ["fish", "--no-config", "-c", code], capture_output=True, text=True, env=environment, cwd=tmp_path
    )
    assert done.stderr == ""
    assert sorted(line.partition("\t")[0] for line in done.stdout.splitlines()) == sorted(words)
