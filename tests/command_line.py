"""Running the command `processmaker`: in this process against a sandbox, or as a process of its own."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from processmaker import ProcessMaker, cli
from processmaker.cli import _session
from processmaker.sandbox import Sandbox

TOKEN = "sandbox-integration-bot-token"


@frozen
class Ended:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        """The error that --json prints on the last line of standard error."""
        return json.loads(self.err.splitlines()[-1])["error"]

    @property
    def lines(self) -> list[Any]:
        """The JSON documents, one a line."""
        return [json.loads(line) for line in self.out.splitlines()]


Run = Callable[..., Ended]


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sandbox: Sandbox) -> pytest.MonkeyPatch:
    """An environment that names the sandbox and its token, with an empty config folder."""
    for name in list(os.environ):
        if name.startswith(("PROCESSMAKER_", "API_")) or name in ("NO_COLOR", "FORCE_COLOR"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("TERM", "xterm")
    # Nothing is kept in the keyring of whoever runs the tests.
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    monkeypatch.setenv("PROCESSMAKER_URL", sandbox.url)
    monkeypatch.setenv("PROCESSMAKER_TOKEN", TOKEN)
    return monkeypatch


@pytest.fixture
def connections(environ: pytest.MonkeyPatch, sandbox: Sandbox) -> list[dict[str, Any]]:
    """The arguments of each client that a command made; all of them reach the sandbox only, in its own time."""
    made: list[dict[str, Any]] = []
    connect = _session.Session.connect

    def to_the_sandbox(self: _session.Session, **arguments: Any) -> ProcessMaker:
        made.append(arguments)
        return connect(self, **{"transport": sandbox.transport(), **arguments})

    environ.setattr(_session.Session, "connect", to_the_sandbox)
    return made


@pytest.fixture
def run(connections: list[dict[str, Any]], capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line in this process. Whatever it prints, the token is not in it."""

    def run(*words: str | int) -> Ended:
        code = cli.main([str(word) for word in words])
        out, err = capfd.readouterr()
        assert TOKEN not in out + err
        return Ended(code, out, err)

    assert not connections
    return run


@pytest.fixture
def typed(environ: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts text on standard input, which is no terminal."""

    def type_(text: str) -> None:
        environ.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    return type_


class Terminal(io.StringIO):
    """A stream that says it is one."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def served(sandbox: Sandbox, environ: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """The sandbox, listening where the environment says."""
    with sandbox.serve() as url:
        environ.setenv("PROCESSMAKER_URL", url)
        yield sandbox


COMMAND = [sys.executable, "-m", "processmaker"]


def saved(tmp_path: Path, **profiles: dict[str, Any]) -> Path:
    file = tmp_path / "config" / "processmaker" / "profiles.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(profiles))
    file.chmod(0o600)
    return file


@pytest.fixture
def signed_out(environ: pytest.MonkeyPatch) -> None:
    environ.delenv("PROCESSMAKER_URL")
    environ.delenv("PROCESSMAKER_TOKEN")


def mind_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def running(command: list[str], seconds: float = 60, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A command as a process of its own. It is killed if it takes longer, or if the block fails."""
    with subprocess.Popen(command, text=True, preexec_fn=mind_ctrl_c, **options) as process:
        killer = threading.Timer(seconds, process.kill)
        killer.start()
        try:
            yield process
        except BaseException:
            process.kill()
            raise
        finally:
            killer.cancel()


def wait_until(reached: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Waits while the process runs."""
    while not reached():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
