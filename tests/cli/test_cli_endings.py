"""How the command ends, whatever becomes of what it prints."""

from __future__ import annotations

import logging
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import COMMAND, Run, Terminal, mind_ctrl_c, saved
from processmaker import ProcessMaker
from processmaker.cli import _exits
from processmaker.sandbox import Sandbox
from programs import not_run


@pytest.mark.parametrize(
    ("words", "fault", "code"),
    [
        (["processes"], None, 0),
        (["processes"], ("GET", 500), 1),
        (["processes"], ("GET", "refused"), 1),
        (["fly"], None, 2),
        (["show", "two"], None, 2),
        (["show", "-1"], None, 2),
        (["show", "0"], None, 2),
        (["processes", "days=3"], None, 2),
        (["processes", "--url", "ftp://pm.example.com"], None, 2),
        (["processes", "--url", "http://pm.example.com"], None, 2),
        (["start", "2", "--curl", "--wait"], None, 2),
        (["processes", "--curl", "--json"], None, 2),
        (["processes", "--url", "https://other.example.com"], None, 3),
        (["processes", "--profile", "nobody"], None, 3),
        (["processes"], ("GET", "token expired"), 3),
        (["show", "99"], None, 4),
        (["complete", "99"], None, 4),
        (["start", "Payroll"], None, 4),
        (["start", "Two Doors", "--event", "node_9"], None, 4),
        (["start", "8", "--event", "node_1"], None, 4),
        (["processes"], ("GET", "slow"), 5),
        (["start", "2"], ("POST", "answer lost"), 6),
        (["start", "2", "--idempotency-key", "k"], ("POST", "lost before"), 6),
        (["start", "2"], ("POST", "empty"), 6),
    ],
)
def test_exit_codes_tell_what_happened(
    run: Run, sandbox: Sandbox, words: list[str], fault: tuple[str, Any] | None, code: int
) -> None:
    if fault:
        sandbox.fail_next(fault[1], times=9, on=fault[0])
    ended = run(*words)
    assert (ended.code, len(ended.err.splitlines()) in (1, 2)) == (code, bool(code)), ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("words", [["complete", "2"], ["cancel", "1"]])
def test_a_lost_answer_to_any_change_is_an_unknown_outcome(run: Run, sandbox: Sandbox, words: list[str]) -> None:
    run("start", "Leave Request")
    sandbox.fail_next("answer lost", on="PUT")
    assert run(*words).code == 6


def test_after_a_lost_answer_the_next_step_is_a_command(run: Run, sandbox: Sandbox) -> None:
    sandbox.fail_next("answer lost", on="POST")
    assert (
        "look among the latest Requests of process 2: processmaker requests --process 2 --since 1h\n"
        in run("start", "Leave Request").err
    )
    sandbox.fail_next("lost before", on="POST")
    ended = run("start", "Leave Request", "--idempotency-key", "k")
    assert "look with processmaker find k --process 2, or start again" in ended.err
    for command in ("requests --process 2 --since 1h", "find k --process 2"):
        assert run(*command.split()).code in (0, 4)


def test_a_request_that_is_known_to_exist_is_named(run: Run, sandbox: Sandbox) -> None:
    sandbox.fail_next("truncated", on="POST", at=0.95)
    sandbox.fail_next(500, on="GET /requests", times=9)
    ended = run("start", "Leave Request")
    assert "The Request was started, as 1." in ended.err
    assert ended.err.endswith("\n  processmaker show 1\n")


def test_the_exit_codes_are_in_the_help(run: Run) -> None:
    help_ = run("--help").out
    for exit_ in _exits.EXITS:
        assert f"  {exit_.code:<4} {exit_.meaning}\n" in help_


def test_an_unauthorized_call_says_how_to_sign_in(run: Run, environ: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environ.setenv("PROCESSMAKER_TOKEN", "expired")
    assert run("processes").err.endswith(
        "401 Unauthorized: Unauthenticated.\n  the token is from PROCESSMAKER_TOKEN, which goes before a profile: "
        "set another, or unset it\n"
    )
    environ.delenv("PROCESSMAKER_TOKEN")
    saved(tmp_path, **{"of mine": {"url": "https://pm.example.com", "token": "expired", "current": True}})
    ended = run("processes")
    assert (ended.code, ended.err.partition("Unauthenticated.")[2]) == (
        3,
        "\n  to sign in again: processmaker login --profile 'of mine'\n",
    )


def test_a_request_that_could_not_be_read_is_not_said_to_go_on(run: Run, sandbox: Sandbox) -> None:
    sandbox.fail_next("refused", on="GET", times=99)
    ended = run("wait", 17, "--timeout", "5")
    assert ended.code == 5
    assert "Request 17 could not be read within 5 s: " in ended.err
    assert "Connection refused" in ended.err
    assert "It goes on" not in ended.err


def test_an_unexpected_error_is_one_line_and_debug_shows_where(run: Run, environ: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("by\nzero")

    environ.setattr(ProcessMaker, "processes", broken)
    ended = run("processes")
    assert (ended.code, ended.err) == (
        1,
        "processmaker: internal error: ZeroDivisionError: by zero (--debug shows where)\n",
    )
    assert "Traceback (most recent call last)" in run("processes", "--debug").err


def test_debug_shows_the_calls_and_the_traceback(run: Run) -> None:
    ended = run("show", 99, "--debug")
    assert "processmaker: debug: GET /api/1.0/requests/99: " in ended.err
    assert "Traceback (most recent call last)" in ended.err


def test_retries_are_silent_unless_debug(run: Run, sandbox: Sandbox) -> None:
    sandbox.fail_next(503, on="GET")
    assert run("processes").err == ""
    sandbox.fail_next(503, on="GET")
    assert "Sending again in" in run("processes", "--debug").err


def test_ctrl_c_in_a_wait_leaves_the_request(run: Run, sandbox: Sandbox, environ: pytest.MonkeyPatch) -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    environ.setattr(sandbox.clock, "sleep", interrupted)
    for number, words in enumerate((("start", "Leave Request", "--wait"), ("start", "Leave Request", "--wait=9")), 1):
        ended = run(*words, "--json")
        assert (ended.code, ended.json["id"]) == (130, number)
        assert ended.error["message"] == f"interrupted; Request {number} goes on"
        assert ended.error["hint"] == f"to wait again: processmaker wait {number}"
        assert sandbox.request(number).status == "ACTIVE"
    assert run("watch", 1, "--json").json["request"]["status"] == "ACTIVE"


INTERRUPTED_START = (
    "interrupted; whether the server did it is not known\n  look with processmaker requests --process 'Leave Request' "
    "--since 1h"
)

INTERRUPTED_COMPLETION = (
    "interrupted; whether the server did it is not known\n  look with processmaker tasks REQUEST, which lists task 7 "
    "until it is closed"
)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("start", INTERRUPTED_START),
        ("cancel", "interrupted; whether the server did it is not known\n  look with processmaker show 7"),
        ("complete", INTERRUPTED_COMPLETION),
        ("processes", "interrupted"),
    ],
)
def test_ctrl_c_in_a_change_says_that_its_outcome_is_unknown(
    run: Run, environ: pytest.MonkeyPatch, command: str, said: str
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    environ.setattr(ProcessMaker, command, interrupted)
    ended = run(command, *{"start": ["Leave Request"], "processes": []}.get(command, [7]))
    assert (ended.code, ended.err) == (130, f"processmaker: {said}\n")


def test_the_request_in_an_error_is_left_as_it_was_sent(run: Run) -> None:
    ended = run("start", 2, "--event", "nope")
    assert ended.code == 4
    assert ended.err.startswith("processmaker: POST /api/1.0/process_events/2?event=nope: 403 Forbidden")
    assert "----" not in run("start", 2, "--idempotency_key", "x").err


def test_a_change_whose_answer_is_lost_says_that_it_is_not_known(run: Run, sandbox: Sandbox) -> None:
    run("start", 2, "--event", "node_1")
    sandbox.fail_next("answer lost", on="PUT")
    ended = run("complete", 2)
    assert ended.code == 6
    fact, hint = ended.err.splitlines()
    assert re.search("no answer from .* in time. Whether task 2 was completed is not known", fact)
    assert hint == "  look with processmaker tasks REQUEST, which lists task 2 until it is closed"


@pytest.mark.usefixtures("served")
def test_a_start_whose_output_cannot_be_written_names_the_request() -> None:
    if not Path("/dev/full").exists():
        not_run("a full disk was not tried: this system has no /dev/full")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, "start", "4", "--event", "node_1"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 0  # it was started
    assert done.stderr == (
        "processmaker: the output cannot be written: No space left on device. Request 1 exists: processmaker show 1\n"
    )


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_closed_streams_are_no_traceback(closed: str) -> None:
    command = " ".join(map(shlex.quote, COMMAND))
    done = subprocess.run(
        ["sh", "-c", f"{command} start 2 --data - {closed}"], input="{}", capture_output=True, text=True
    )
    assert "Traceback" not in done.stdout + done.stderr
    assert "internal error" not in done.stderr


def test_no_tasks_and_no_such_request_are_told_apart(run: Run) -> None:
    run("start", 4, "--event", "node_1")
    assert run("tasks", 1).code == 0
    assert run("tasks", 99).code == 4


@pytest.mark.usefixtures("served")
def test_output_that_cannot_be_written_after_an_error_is_no_traceback() -> None:
    if not Path("/dev/full").exists():
        not_run("a full disk was not tried: this system has no /dev/full")
    command = [*COMMAND, "start", "2", "--event", "node_1", "--wait", "0"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=environment)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr


@pytest.fixture
def broken() -> Iterator[int]:
    """A pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


ENDINGS = {
    "unknown": (["start", "2", "--event", "node_1", "--retries", "0"], 6),
    "failed": (["start", "11", "--event", "node_1"], 1),
    "refused": (["start", "Payroll"], 4),
    "done": (["start", "4", "--event", "node_1"], 0),
}


def end_as(ending: str, sandbox: Sandbox, environ: pytest.MonkeyPatch) -> tuple[list[str], int]:
    """Sees to it that a command ends so: the command, and its exit code."""
    words, code = ENDINGS[ending]
    if ending == "unknown":
        sandbox.fail_next(500, on="POST")
    if ending == "failed":
        environ.setenv("PROCESSMAKER_TOKEN", sandbox.token("mail.user"))
    return [*COMMAND, *words], code


@pytest.mark.parametrize("gone", ["stdout", "stderr", "both"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_reader_that_is_gone_changes_no_exit_code(
    served: Sandbox, environ: pytest.MonkeyPatch, broken: int, ending: str, gone: str
) -> None:
    command, code = end_as(ending, served, environ)
    out, err = (broken if gone in (name, "both") else subprocess.PIPE for name in ("stdout", "stderr"))
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, text=True)
    assert done.returncode == code
    assert "Traceback" not in (done.stdout or "") + (done.stderr or "")
    if ending == "failed" and gone != "both":
        assert "Request 1 " in (done.stderr or "") or "id       1\n" in (done.stdout or "")
    if ending == "done" and gone == "stdout":
        assert "Request 1 exists: processmaker show 1" in done.stderr


@pytest.mark.parametrize("closed", [">/dev/full", "2>/dev/full", ">/dev/full 2>&1", ">&-", "2>&-", ">&- 2>&- <&-"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_full_disk_or_a_closed_stream_changes_no_exit_code_of_a_change(
    served: Sandbox, environ: pytest.MonkeyPatch, ending: str, closed: str
) -> None:
    if "/dev/full" in closed and not Path("/dev/full").exists():
        not_run("a full disk was not tried: this system has no /dev/full")
    command, code = end_as(ending, served, environ)
    line = f"{shlex.join(command)} {closed}"
    done = subprocess.run(["sh", "-c", line], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == code
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize("words", [["processes"], ["--help"], ["completion", "bash"]])
def test_what_only_reads_fails_where_its_output_cannot_be_kept(words: list[str]) -> None:
    if not Path("/dev/full").exists():
        not_run("a full disk was not tried: this system has no /dev/full")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*COMMAND, *words], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1


@pytest.mark.parametrize(("words", "code"), [(["start", "2"], 6), (["complete", "2"], 6), (["processes"], 1)])
def test_an_unforeseen_exception_leaves_open_whether_a_change_was_done(
    run: Run, environ: pytest.MonkeyPatch, words: list[str], code: int
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    environ.setattr(ProcessMaker, words[0], broken)
    ended = run(*words)
    assert ended.code == code
    assert ("whether it was done is not known" in ended.err) == (code == 6)


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_wait_that_is_ended_by_a_signal_names_its_request(served: Sandbox, sent: signal.Signals) -> None:
    command = [*COMMAND, "start", "Leave Request", "--wait=60"]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=mind_ctrl_c
    ) as process:
        assert process.stderr
        assert process.stdout
        process.stderr.readline()  # now it waits
        process.send_signal(sent)
        assert process.stderr.read() == (
            b"processmaker: interrupted; Request 1 goes on\n  to wait again: processmaker wait 1\n"
        )
        assert process.stdout.read().startswith(b"id       1\nstatus   ACTIVE\n")
    assert process.returncode == 128 + sent
    assert served.request(1).status == "ACTIVE"


def test_a_start_that_is_ended_by_sigterm_says_that_its_outcome_is_unknown(
    run: Run, environ: pytest.MonkeyPatch
) -> None:
    def terminated(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    environ.setattr(ProcessMaker, "start", terminated)
    before = signal.getsignal(signal.SIGTERM)
    ended = run("start", "Leave Request", "--idempotency-key", "k 1")
    assert ended.code == 143
    assert ended.err == (
        "processmaker: interrupted; whether the server did it is not known\n  look with "
        "processmaker find 'k 1' --process 'Leave Request'\n"
    )
    assert signal.getsignal(signal.SIGTERM) is before


def test_on_a_terminal_it_says_that_it_tries_again_and_how_to_stop_it(
    run: Run, sandbox: Sandbox, environ: pytest.MonkeyPatch
) -> None:
    sandbox.fail_next("refused", on="GET")
    terminal = Terminal()
    environ.setattr(sys, "stderr", terminal)
    assert run("processes").code == 0
    said = " ".join(terminal.getvalue().split())
    assert said.startswith("processmaker: GET /api/1.0/start_processes?order_by=id&per_page=100: no connection")
    assert "Sending again in" in said
    sandbox.fail_next("refused", on="GET")
    assert run("processes", "--quiet").code == 0
    assert " ".join(terminal.getvalue().split()) == said


@pytest.mark.parametrize(("retries", "code", "calls"), [("0", 1, 1), ("2", 1, 3), ("9", 0, 6)])
def test_retries_says_how_often_it_is_sent_again(
    run: Run, sandbox: Sandbox, retries: str, code: int, calls: int
) -> None:
    sandbox.fail_next(503, on="GET", times=5, retry_after=60)
    assert run("processes", "--retries", retries).code == code
    assert len(sandbox.calls) == calls


@pytest.mark.parametrize("retries", ["-1", "many", "1.5"])
def test_retries_that_cannot_be_are_bad_usage(run: Run, retries: str) -> None:
    assert run("processes", f"--retries={retries}").code == 2


def test_debug_shows_what_the_library_logs_and_no_secret(run: Run, environ: pytest.MonkeyPatch) -> None:
    ended = run("start", "Leave Request", "who=Mia", "--debug")
    assert ended.code == 0
    assert "processmaker: debug: " in ended.err
    environ.setenv("PROCESSMAKER_TOKEN", "a-token-with\na-line-break")
    ended = run("processes", "--debug")
    assert ended.code == 2
    assert "a-line-break" not in ended.err
    assert "a-token-with" not in ended.err


def test_on_a_terminal_it_tells_the_warnings_of_the_log_and_no_more(run: Run, environ: pytest.MonkeyPatch) -> None:
    def logging_(_: object) -> list[object]:
        log = logging.getLogger("processmaker")
        log.info("Started.")
        log.warning("A start was sent, and its outcome is not known.")
        return []

    environ.setattr(ProcessMaker, "processes", logging_)
    terminal = Terminal()
    environ.setattr(sys, "stderr", terminal)
    run("processes")
    assert terminal.getvalue().splitlines() == ["processmaker: A start was sent, and its outcome is not known."]


def test_canceling_what_is_over_fails_and_says_so(run: Run) -> None:
    run("start", 4, "--event", "node_1")
    ended = run("cancel", 1)
    assert ended.code == 1
    assert "status     COMPLETED" in ended.out
    assert (
        ended.err == 'processmaker: Request 1 of "Auto Approve" is over: it is COMPLETED. There is nothing to cancel.\n'
    )
