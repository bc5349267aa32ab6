"""The files of `processmaker start-many`: none is destroyed, and each is whole or not there."""

from __future__ import annotations

import csv
import io
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from command_line import COMMAND, Ended, Run, running, wait_until
from processmaker import SQLiteJournal
from processmaker.cli._files import LineFile
from processmaker.sandbox import Sandbox

CSV = "order,days\norder-1,3\norder-2,4\norder-3,5\n"

MANY = [*COMMAND, "start-many", "4", "rows.csv", "--event", "node_1", "--key-column", "order"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with rows.csv in it and nothing else."""
    folder = tmp_path / "rows"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "rows.csv").write_text(CSV)
    return folder


@pytest.fixture
def start(run: Run, folder: Path) -> Any:
    def start(*options: str, process: str = "4", rows: str = "rows.csv") -> Ended:
        return run("start-many", process, rows, "--key-column", "order", "--event", "node_1", *options)

    assert folder.exists()
    return start


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# --- one file by several names --------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["--output", "--rejects", "--journal"])
@pytest.mark.parametrize("name", ["rows.csv", "x/../rows.csv", "symlink.csv", "hardlink.csv", "folder/rows.csv"])
def test_a_file_that_is_the_input_by_another_name_is_refused(
    start: Any, sandbox: Sandbox, folder: Path, option: str, name: str
) -> None:
    (folder / "x").mkdir()
    (folder / "symlink.csv").symlink_to("rows.csv")
    (folder / "hardlink.csv").hardlink_to(folder / "rows.csv")
    (folder / "folder").symlink_to(".")
    before = names(folder)
    ended = start(option, name)
    assert (ended.code, sandbox.calls) == (2, [])
    called = {"--output": "--output", "--rejects": "--rejects", "--journal": "the journal"}[option]
    assert f"the input and {called} are the same file" in ended.err
    assert (folder / "rows.csv").read_text() == CSV
    assert names(folder) == before


@pytest.mark.parametrize(
    "options",
    [
        ("--output", "a.csv", "--rejects", "x/../a.csv"),
        ("--output", "a.csv", "--rejects", "folder/a.csv"),
        ("--output", "a.csv", "--rejects", "dangling.csv"),
        ("--output", "a.csv", "--rejects", "a.csv.part"),
        ("--output", "a.csv", "--journal", "x/../a.csv"),
        ("--output", "a.csv", "--journal", "a.csv.part"),
        ("--rejects", "rows.csv.journal"),
        ("--rejects", "rows.csv.journal-wal"),
        ("--output", "a.csv", "--journal", "folder/a.csv.part"),
    ],
)
def test_files_that_are_each_other_are_refused_before_they_are_there(
    start: Any, sandbox: Sandbox, folder: Path, options: tuple[str, ...]
) -> None:
    (folder / "x").mkdir()
    (folder / "folder").symlink_to(".")
    (folder / "dangling.csv").symlink_to("a.csv")
    before = names(folder)
    ended = start(*options)
    assert (ended.code, sandbox.calls) == (2, [])
    assert "are the same file" in ended.err
    assert names(folder) == before


def test_a_journal_in_use_is_neither_results_nor_rejects(start: Any, folder: Path) -> None:
    assert start("--journal", "starts.csv").code == 0
    for option in ("--output", "--rejects"):
        assert start("--journal", "starts.csv", option, "starts.csv").code == 2
    with SQLiteJournal("starts.csv") as journal:
        assert len(list(journal.entries(started=True))) == 3
    assert not (folder / "starts.csv.part").exists()


def test_standard_streams_are_files_too(served: Sandbox, folder: Path) -> None:
    piped = [word if word != "rows.csv" else "-" for word in MANY]
    piped += ["--journal", "j.db", "--rejects", "rows.csv"]
    with (folder / "rows.csv").open() as rows:
        done = subprocess.run(piped, stdin=rows, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "the input and --rejects are the same file" in done.stderr
    with (folder / "summary.csv").open("w") as out:
        done = subprocess.run(
            [*MANY, "--output", "summary.csv"], stdout=out, stderr=subprocess.PIPE, text=True, timeout=60
        )
    assert done.returncode == 2
    assert "standard output and --output are the same file" in done.stderr
    assert served.calls == []


def test_several_devices_are_no_one_file(start: Any, sandbox: Sandbox) -> None:
    assert start("--output", os.devnull, "--rejects", os.devnull).code == 0
    assert len(sandbox.requests) == 3


# --- whole or not at all --------------------------------------------------------------------------------------------


def test_a_mistyped_process_leaves_all_files_as_they_were(start: Any, folder: Path) -> None:
    (folder / "results.csv").write_text("last month's")
    (folder / "mend.csv").write_text("half mended")
    before = names(folder)
    ended = start("--output", "results.csv", "--rejects", "mend.csv", process="Auto Aprove")
    assert ended.code == 4
    assert "no process named" in ended.err
    assert ended.out == ""
    assert names(folder) == before
    assert (folder / "results.csv").read_text() == "last month's"
    assert (folder / "mend.csv").read_text() == "half mended"


def test_rejects_stay_if_nothing_was_rejected(start: Any, folder: Path) -> None:
    (folder / "mend.csv").write_text("half mended")
    ended = start("--rejects", "mend.csv", "--json")
    assert (ended.code, ended.json["rejects"]) == (0, None)
    assert (folder / "mend.csv").read_text() == "half mended"
    assert "mend.csv.part" not in names(folder)


def test_results_of_no_rows_are_results(start: Any, folder: Path) -> None:
    (folder / "rows.csv").write_text("order\n")
    (folder / "results.csv").write_text("last month's")
    assert start("--output", "results.csv").code == 0
    assert (folder / "results.csv").read_text() == "line,key,request_id,outcome,status,error\n"


def test_results_have_their_name_only_when_they_are_whole(served: Sandbox, folder: Path) -> None:
    served.start_takes = 0.2
    (folder / "results.csv").write_text("last month's")
    (folder / "results.csv").chmod(0o600)
    (folder / "latest.csv").symlink_to("results.csv")
    with running([*MANY, "--output", "latest.csv", "--concurrency", "1"], stdout=subprocess.DEVNULL) as run:
        wait_until(lambda: len(served.requests) >= 2, run)
        assert (folder / "results.csv").read_text() == "last month's"
        assert "order-1" in (folder / "results.csv.part").read_text()
        assert run.wait(60) == 0
    assert len((folder / "results.csv").read_text().splitlines()) == 4
    assert (folder / "latest.csv").is_symlink()
    assert (folder / "results.csv").stat().st_mode & 0o777 == 0o600
    assert "results.csv.part" not in names(folder)


def test_a_second_shell_that_writes_the_same_file_is_refused(start: Any, sandbox: Sandbox, folder: Path) -> None:
    first = LineFile("results.csv", head="")
    first.write("line\n")
    ended = start("--output", "results.csv")
    assert (ended.code, sandbox.calls) == (2, [])
    assert "another run is writing" in ended.err
    first.close()
    assert (folder / "results.csv").read_text() == "line\n"
    assert start("--output", "results.csv").code == 0


def test_results_go_directly_to_a_pipe_and_to_standard_output(start: Any, folder: Path) -> None:
    os.mkfifo(folder / "results.csv")
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append((folder / "results.csv").read_text()))
    reader.start()
    assert start("--output", "results.csv").code == 0
    reader.join(30)
    assert len(read[0].splitlines()) == 4
    printed = start("--output", "-")
    assert [row["outcome"] for row in csv.DictReader(printed.out.splitlines())] == ["found"] * 3
    assert "3 of 3 done, 3 found, 0 failed" in printed.err
    assert {line["outcome"] for line in start("--output", "-", "--json").lines} == {"found"}
    assert start("--output", "-", "--quiet").out.startswith("line,key,request_id,")
    assert names(folder) == {"rows.csv", "rows.csv.journal", "results.csv"}


def test_rows_without_keys_that_a_killed_run_may_have_started_are_not_started_again(
    run: Run, sandbox: Sandbox, folder: Path
) -> None:
    (folder / "results.csv.part").write_text("line,key,request_id,outcome,status,error\n2,,1,started,COMPLETED,\n")
    ended = run("start-many", 4, "rows.csv", "--no-key", "--output", "results.csv")
    assert (ended.code, sandbox.calls) == (2, [])
    assert "results.csv.part is there already: have its rows been started?" in ended.err


def test_a_run_that_starts_nothing_leaves_no_journal(
    start: Any, folder: Path, environ: pytest.MonkeyPatch, sandbox: Sandbox
) -> None:
    environ.setenv("PROCESSMAKER_TOKEN", "a-token-of-yesterday")
    assert start().code == 3
    assert names(folder) == {"rows.csv"}
    environ.setenv("PROCESSMAKER_TOKEN", sandbox.token())
    (folder / "rows.csv").write_text("order,days\n,3\n")
    assert start().code == 1
    assert names(folder) == {"rows.csv"}


def test_an_empty_journal_that_another_process_uses_stays(start: Any, folder: Path) -> None:
    (folder / "rows.csv").write_text("order,days\n,3\n")
    with SQLiteJournal("rows.csv.journal"):
        assert start().code == 1
        assert (folder / "rows.csv.journal").exists()


@pytest.mark.proof
def test_after_kill_9_results_of_before_stand_and_the_next_run_goes_on(served: Sandbox, folder: Path) -> None:
    (folder / "rows.csv").write_text("order\n" + "".join(f"order-{number}\n" for number in range(60)))
    (folder / "results.csv").write_text("last month's")
    served.start_takes = 0.05
    command = [*MANY, "--output", "results.csv", "--lease", "0.5", "--look-again-for", "0.2"]
    with running(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        wait_until(lambda: len(served.requests) >= 10, run)
        run.send_signal(signal.SIGKILL)
        assert run.wait(30) == -signal.SIGKILL
    assert (folder / "results.csv").read_text() == "last month's"
    part = (folder / "results.csv.part").read_text()
    assert part.startswith("line,key,")
    mistyped = subprocess.run([*command[:4], "No Such", *command[5:]], capture_output=True, text=True, timeout=60)
    assert mistyped.returncode == 4
    assert (folder / "results.csv.part").read_text() == part
    served.start_takes = 0
    again = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert again.returncode == 0, again.stderr
    assert "results.csv.part is what a run that was killed has written; this run writes it anew" in again.stderr
    assert len(served.requests) == 60
    with (folder / "results.csv").open() as file:
        assert sorted(row["key"] for row in csv.DictReader(file)) == sorted(f"order-{number}" for number in range(60))
    assert "results.csv.part" not in names(folder)


# --- input without an end -------------------------------------------------------------------------------------------


def test_rows_that_cannot_be_read_have_an_end(start: Any, sandbox: Sandbox, folder: Path) -> None:
    (folder / "rows.csv").write_text("order,days\n" + "x,y,z\n" * 5_000)
    ended = start("--output", "results.csv", "--rejects", "mend.csv", "--json")
    assert (ended.code, sandbox.calls) == (2, [])
    assert "rows.csv:1001: 1,000 rows one after the other cannot be read; what follows was not read" in ended.err
    assert ended.json["not_started"] == 1_000
    assert len((folder / "mend.csv").read_text().splitlines()) == 1_001
    assert start("--dry-run").code == 1


def test_a_line_without_an_end_is_refused(folder: Path, served: Sandbox) -> None:
    assert folder.exists()
    command = [word if word != "rows.csv" else "-" for word in MANY]
    with Path("/dev/zero").open("rb") as zeros:
        done = subprocess.run(
            [*command, "--journal", "j.db"],
            stdin=zeros,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 2
    assert "standard input cannot be read: line 1 is too long to be a row" in done.stderr
    assert served.calls == []


class Interrupted(io.RawIOBase):
    """Standard input on which, after some bytes, a signal comes in place of the next."""

    def __init__(self, given: bytes, number: signal.Signals) -> None:
        self._given = given
        self._number = number

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        given, self._given = self._given, b""
        if not given:
            os.kill(os.getpid(), self._number)
        buffer[: len(given)] = given
        return len(given)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("given", [b"", b"order\n"])
def test_an_interrupt_before_the_first_row_says_that_nothing_was_sent(
    start: Any, sandbox: Sandbox, folder: Path, environ: pytest.MonkeyPatch, number: signal.Signals, given: bytes
) -> None:
    (folder / "results.csv").write_text("last month's")
    environ.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(Interrupted(given, number))))
    ended = start("--journal", "j.db", "--output", "results.csv", rows="-")
    assert ended.code == 128 + number
    assert "nothing was sent" in ended.err
    assert (ended.out, sandbox.requests) == ("", [])
    assert (folder / "results.csv").read_text() == "last month's"
    assert names(folder) == {"rows.csv", "results.csv"}
