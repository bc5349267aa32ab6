"""Completion in the shell, asked of the command itself and tried in real shells."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import COMMAND, Run, saved
from processmaker import ProcessMaker
from processmaker.cli import _app
from processmaker.sandbox import Sandbox
from programs import need

SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "source {script}"),
    "zsh": (["zsh", "-f", "-i"], "autoload -U compinit; compinit -u -D; bindkey -e; source {script}"),
}
LONGEST = 60.0
"""Seconds that a shell may take, on a machine with much else to do."""


Offered = Callable[..., dict[str, str]]


@pytest.fixture
def offered(run: Run, environ: pytest.MonkeyPatch) -> Offered:
    """The words that the command offers in place of the last of those, each with what it is, as zsh asks for them."""

    def ask(*words: str) -> dict[str, str]:
        with environ.context() as asked:
            asked.setenv("_PROCESSMAKER_COMPLETE", "zsh_complete")
            asked.setenv("COMP_WORDS", shlex.join(["processmaker", *words[:-1], *filter(None, words[-1:])]))
            asked.setenv("COMP_CWORD", str(len(words)))
            ended = run()
        assert (ended.code, ended.err) == (0, "")
        lines = ended.out.split("\n")
        return dict(zip(lines[1::3], lines[2::3], strict=False))

    return ask


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
        (["completion", "z"], ["zsh"]),
        (["completion", "--j"], []),
        (["completion", "--de"], ["--debug"]),
        (["--json", "login", "--allow"], ["--allow-http"]),
        (["start", "Leave"], ["Leave Request", "Leave Request Contractors"]),
        (["find", "k", "--process", "Auto"], ["Auto Approve"]),
        (["start", "Two Doors", "--event", "node_"], ["node_web", "node_mail"]),
        (["start", "5", "a=1", "--event", "node_w"], ["node_web"]),
        (["requests", "--status", "C"], ["COMPLETED", "CANCELED"]),
        (["fly", ""], []),
    ],
)
def test_commands_options_and_names_are_offered(offered: Offered, words: list[str], completed: list[str]) -> None:
    assert list(offered(*words)) == completed


def test_requests_and_tasks_are_offered_with_what_they_are(run: Run, offered: Offered) -> None:
    run("start", 2, "--event", "node_1")
    run("start", 4, "--event", "node_1")
    assert list(offered("show", "").items()) == [("2", "COMPLETED Auto Approve"), ("1", "ACTIVE Leave Request")]
    assert offered("complete", "") == {"2": "Approve leave"}
    assert offered("wait", "1") == {"1": "ACTIVE Leave Request"}


def test_profiles_are_offered_with_their_servers(offered: Offered, tmp_path: Path) -> None:
    profile = {"url": "https://a.example.com", "token": "t"}
    saved(tmp_path, bot=profile, box=profile)
    assert list(offered("--profile", "bo")) == list(offered("use", "bo")) == ["bot", "box"]
    assert offered("use", "bot")["bot"].replace("\\", "") == "https://a.example.com"


def test_where_the_server_cannot_be_asked_nothing_is_offered_and_nothing_fails(
    run: Run, offered: Offered, sandbox: Sandbox, environ: pytest.MonkeyPatch
) -> None:
    sandbox.fail_next(500, on="GET", times=9)
    assert offered("start", "Leave") == {}
    environ.delenv("PROCESSMAKER_TOKEN")
    assert offered("start", "Leave") == {}
    for wrong in ("tcsh_complete", "bash_complete", "x"):
        environ.setenv("_PROCESSMAKER_COMPLETE", wrong)
        assert run().code == 0


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
        ('processmaker start "Two D\t--ev\t', ["start", "Two Doors", "--event"]),
        ("processmaker sandbox --setup letters/on\t", ["sandbox", "--setup", "letters/one.txt"]),
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
