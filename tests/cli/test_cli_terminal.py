"""What is different on a terminal: colors, a pager, the width of tables and messages."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import COMMAND, Run, Terminal
from processmaker.sandbox import Sandbox


class Keyboard(io.TextIOWrapper):
    """Standard input at a terminal."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO())

    def isatty(self) -> bool:
        return True


@pytest.fixture
def on_terminal(run: Run, environ: pytest.MonkeyPatch) -> Callable[..., str]:
    """Runs a command at a terminal of so many columns and lines; returns what it shows there."""

    def show(*words: Any, columns: int = 80, lines: int = 40) -> str:
        environ.setenv("COLUMNS", str(columns))
        environ.setenv("LINES", str(lines))
        terminal = Terminal()
        with pytest.MonkeyPatch.context() as streams:
            streams.setattr(sys, "stdin", Keyboard())
            streams.setattr(sys, "stdout", terminal)
            streams.setattr(sys, "stderr", terminal)
            run(*words)
        return terminal.getvalue()

    return show


@pytest.fixture
def requests(run: Run) -> None:
    for number in range(6):
        run("start", 4, "--event", "node_1", "--key", f"order-2026-{number:04}")


@pytest.mark.usefixtures("requests")
@pytest.mark.parametrize(
    ("columns", "headings"),
    [
        (50, "ID STATUS NAME KEY"),
        (80, "ID STATUS NAME KEY CREATED"),
        (120, "ID STATUS NAME KEY PROCESS CREATED COMPLETED"),
    ],
)
def test_a_table_fits_the_terminal(
    on_terminal: Callable[..., str], environ: pytest.MonkeyPatch, columns: int, headings: str
) -> None:
    environ.setenv("NO_COLOR", "1")
    lines = on_terminal("requests", columns=columns).splitlines()
    assert lines[0].split() == headings.split()
    assert len(lines) == 7
    assert max(map(len, lines)) <= columns


def test_a_long_name_is_broken_and_ids_are_not(
    on_terminal: Callable[..., str], sandbox: Sandbox, environ: pytest.MonkeyPatch
) -> None:
    environ.setenv("NO_COLOR", "1")
    sandbox.add_process("Approve the " + "very " * 12 + "long name", id=70)
    shown = on_terminal("processes", columns=50, lines=200)
    assert max(map(len, shown.splitlines())) <= 50
    assert "\n70  Approve the very" in shown


@pytest.mark.parametrize("columns", [50, 80])
def test_an_error_is_broken_between_words_and_its_hint_stands_alone(
    on_terminal: Callable[..., str], environ: pytest.MonkeyPatch, columns: int
) -> None:
    environ.setenv("NO_COLOR", "1")
    shown = on_terminal("show", 99, columns=columns).splitlines()
    assert max(map(len, shown)) <= columns
    assert shown[0].startswith("processmaker: there is no Request 99 that this")
    assert all(line.startswith("  ") for line in shown[1:])


@pytest.mark.usefixtures("requests")
def test_colors_are_for_a_terminal_unless_the_environment_says_otherwise(
    run: Run, on_terminal: Callable[..., str], environ: pytest.MonkeyPatch
) -> None:
    green = "\x1b[32mCOMPLETED\x1b[0m"
    assert green in on_terminal("requests")
    assert "\x1b" not in run("requests").out
    environ.setenv("FORCE_COLOR", "1")
    assert green in run("requests").out
    assert green in run("show", 1).out
    environ.setenv("NO_COLOR", "1")
    assert "\x1b" not in run("requests").out
    assert "\x1b" not in on_terminal("requests")
    assert "\x1b" not in on_terminal("show", 99)


@pytest.mark.usefixtures("requests")
def test_a_list_longer_than_the_screen_goes_to_the_pager(
    on_terminal: Callable[..., str], environ: pytest.MonkeyPatch
) -> None:
    paged: list[str] = []
    environ.setattr("click.echo_via_pager", lambda text, **_: paged.append(text))
    assert on_terminal("requests", lines=40).count("\n") == 7
    assert paged == []
    assert on_terminal("requests", lines=6) == ""
    assert paged[0].count("\n") == 7
    assert on_terminal("requests", "--json", lines=6).count("\n") == 6  # for programs
    assert len(paged) == 1


@pytest.mark.usefixtures("requests", "served")
def test_the_pager_is_the_one_that_the_environment_names(environ: pytest.MonkeyPatch, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    environ.setenv("PAGER", f"tee {copy}")
    environ.setenv("LINES", "5")
    environ.setenv("COLUMNS", "80")
    ours, theirs = pty.openpty()
    done = subprocess.run([*COMMAND, "requests"], stdin=theirs, stdout=theirs, stderr=subprocess.PIPE)
    os.close(theirs)
    os.close(ours)
    assert (done.returncode, done.stderr) == (0, b"")
    assert copy.read_text().count("order-2026-") == 6
