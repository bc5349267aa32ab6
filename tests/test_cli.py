"""The command `processmaker`: what it prints, what it sends, and how it ends."""

from __future__ import annotations

import io
import json
import os
import pty
import shlex
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from processmaker import ConnectionLost, ProcessMaker, StartOutcomeUnknown, TimedOut, cli
from processmaker._follow import WAIT_TIMEOUT
from processmaker._settings import DEFAULT_TIMEOUT
from processmaker.cli import _commands, _completion, _exits, _parser
from processmaker.sandbox import Sandbox
from programs import need, not_run

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


Run = Callable[..., Ended]


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sandbox: Sandbox) -> pytest.MonkeyPatch:
    """An environment that names the sandbox and its token, with an empty config folder."""
    for name in list(os.environ):
        if name.startswith(("PROCESSMAKER_", "API_")) or name == "NO_COLOR":
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("PROCESSMAKER_URL", sandbox.url)
    monkeypatch.setenv("PROCESSMAKER_TOKEN", TOKEN)
    return monkeypatch


@pytest.fixture
def connections(environ: pytest.MonkeyPatch, sandbox: Sandbox) -> list[dict[str, Any]]:
    """The arguments of each client that a command made; all of them reach the sandbox only, in its own time."""
    made: list[dict[str, Any]] = []
    connect = _commands.Session.connect

    def to_the_sandbox(self: _commands.Session, **arguments: Any) -> ProcessMaker:
        made.append(arguments)
        pm = connect(self, **{"transport": sandbox.transport(), **arguments})
        pm._io.clock = sandbox.clock
        return pm

    environ.setattr(_commands.Session, "connect", to_the_sandbox)
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


# Listing and starting


def test_processes_lists_what_may_be_started_in_columns(run: Run) -> None:
    ended = run("processes")
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert lines[0] == "ID  NAME                       START EVENTS"
    assert '5   Two Doors                  node_web "From the web", node_mail "From an email"' in lines


def test_processes_as_json_is_one_list(run: Run) -> None:
    listed = {process["name"]: process for process in run("processes", "--json").json}
    assert listed["Auto Approve"] == {
        "id": 4,
        "name": "Auto Approve",
        "description": listed["Auto Approve"]["description"],
        "start_events": [{"id": "node_1", "name": "Start", "manual": True}],
    }


def test_start_prints_the_request(run: Run, sandbox: Sandbox) -> None:
    ended = run("start", "Leave Request", "days:=3")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == [
        "id       1",
        "status   ACTIVE",
        "name     Leave Request",
        "process  2",
        "case     1",
        "created  2026-11-23 22:12:30+00:00",
        "url      https://pm.example.com/requests/1",
    ]
    assert sandbox.request(1).data == {"days": 3}


def test_start_as_json_has_the_fields_of_a_request_but_not_the_raw_answer(run: Run) -> None:
    assert run("--json", "start", "Leave Request").json == {
        "id": 1,
        "status": "ACTIVE",
        "name": "Leave Request",
        "process_id": 2,
        "case_number": 1,
        "data": None,
        "errors": [],
        "created_at": "2026-11-23T22:12:30+00:00",
        "completed_at": None,
        "url": "https://pm.example.com/requests/1",
        "idempotency_key": None,
        "created": True,
    }


def test_digits_are_the_id_of_a_process(run: Run, sandbox: Sandbox) -> None:
    assert run("start", "5", "--event", "node_mail").code == 0
    assert sandbox.calls == [("POST", "/process_events/5", 201)]


@pytest.mark.parametrize(
    ("word", "data"),
    [
        ("days=3", {"days": "3"}),
        ("days:=3", {"days": 3}),
        ('tags:=["a", "b"]', {"tags": ["a", "b"]}),
        ("x:=null", {"x": None}),
        ("note=a=b:=c", {"note": "a=b:=c"}),
        ("a.b=1", {"a.b": "1"}),
        ("a:b=1", {"a:b": "1"}),
        ("two words=x\ny", {"two words": "x\ny"}),
    ],
)
def test_values_are_typed_as_in_httpie(run: Run, sandbox: Sandbox, word: str, data: dict[str, Any]) -> None:
    assert run("start", 2, word).code == 0
    assert sandbox.request(1).data == data


def test_values_may_stand_before_and_after_options(run: Run, sandbox: Sandbox) -> None:
    assert run("start", "--json", 2, "a=1", "--event", "node_1", "b=2", "--wait=0", "c=3").code == 5
    assert sandbox.request(1).data == {"a": "1", "b": "2", "c": "3"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["=x"], "'=x' has no key before the ="),
        ([":=1"], "':=1' has no key before the :="),
        (["days"], "'days' is neither key=value nor key:=JSON"),
        (["days:=three"], "the value of days (after :=) is not JSON: Expecting value"),
        (["x:=NaN"], "the value of x (after :=) is not JSON: NaN is not JSON"),
        (['x:={"a": 1, "a": 2}'], "a key is given twice in one object"),
        (["x:=" + "[" * 100_000], "is nested too deeply"),
        (["x:=1e999"], "data.x is inf, which JSON does not have"),
        (["a=1", "a=2"], "the key 'a' is given twice"),
        (["--data", "{}", "a=1"], "give the data either with --data or as key=value, not both"),
        (["--data", "[1]"], "--data is JSON, but not an object"),
        (["--data", "{"], "--data is not JSON"),
        (["--data", "@nowhere.json"], "the file nowhere.json cannot be read: No such file"),
        (["--idempotency-key", 'a"b'], "--idempotency-key 'a\"b' holds '\"'"),
        (["--bogus"], "unrecognized arguments: --bogus; see processmaker start --help"),
        (["--wait=soon"], "invalid number of seconds value: 'soon'"),
        (["--timeout", "0"], "--timeout 0.0 is not a number of seconds above 0"),
    ],
)
def test_what_cannot_be_sent_is_bad_usage_and_nothing_is_sent(
    run: Run, sandbox: Sandbox, words: list[str], said: str
) -> None:
    ended = run("start", "Leave Request", *words)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err
    assert len(ended.err.splitlines()) == 1
    assert sandbox.calls == []


def test_data_comes_from_an_argument_a_file_or_standard_input(
    run: Run, sandbox: Sandbox, tmp_path: Path, typed: Callable[[str], None]
) -> None:
    file = tmp_path / "data.json"
    file.write_text('\ufeff{"who": "Zoë"}', "utf-8")
    typed('{"from": "stdin"}')
    for source in ('{"days": 3}', f"@{file}", "-"):
        assert run("start", 2, "--data", source).code == 0
    assert [request.data for request in sandbox.requests] == [{"days": 3}, {"who": "Zoë"}, {"from": "stdin"}]


def test_data_that_is_not_utf_8_is_bad_usage(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "data.json"
    file.write_bytes(b'{"who": "Zo\xeb"}')
    assert "is not UTF-8" in run("start", 2, "--data", f"@{file}").err


def test_with_an_idempotency_key_it_says_whether_the_request_was_started_or_found(run: Run, sandbox: Sandbox) -> None:
    words = ("start", "Leave Request", "--idempotency-key", "leave-17")
    assert "key      leave-17 (started now)" in run(*words).out
    assert "key      leave-17 (found: it was started before)" in run(*words).out
    assert run(*words, "--json").json["created"] is False
    assert len(sandbox.requests) == 1


def test_data_that_the_server_alters_is_one_line_of_warning(run: Run) -> None:
    ended = run("start", 2, "who= Mia ")
    assert ended.code == 0
    assert ended.err == (
        "processmaker: warning: The server will alter this data: data.who becomes 'Mia'. "
        "Send it as it will be stored.\n"
    )


def test_several_start_events_are_listed(run: Run) -> None:
    ended = run("start", "Two Doors")
    assert ended.code == 2
    assert 'name one with --event: node_web "From the web", node_mail "From an email"' in ended.err


def test_start_can_wait(run: Run) -> None:
    ended = run("start", "Auto Approve", "--idempotency-key", "k", "--wait", "--json")
    assert (ended.code, ended.json["status"], ended.json["data"]) == (0, "COMPLETED", {})
    assert (ended.json["idempotency_key"], ended.json["created"]) == ("k", True)


def test_wait_takes_the_next_word_only_if_it_is_a_number(run: Run, sandbox: Sandbox) -> None:
    began = sandbox.clock.monotonic()
    assert run("start", "--wait", "20", "Leave Request").code == 5
    assert sandbox.clock.monotonic() - began == pytest.approx(20)
    assert run("start", "--wait", "Auto Approve", "a=1").code == 0
    assert run("start", "Auto Approve", "--wait", "a=1").code == 0


def test_a_start_whose_wait_times_out_prints_the_request_once(run: Run) -> None:
    ended = run("start", "Leave Request", "--wait", "60", "--json")
    assert (ended.code, ended.json["id"]) == (5, 1)
    assert ended.err.splitlines()[-1] == (
        "processmaker: Request 1 is still ACTIVE. It goes on; to wait again: processmaker wait 1"
    )


def test_a_start_whose_wait_breaks_down_still_prints_the_request(run: Run, sandbox: Sandbox) -> None:
    sandbox.fail_next("token expired", on="GET /requests/")
    ended = run("start", "Leave Request", "--wait", "--json")
    assert (ended.code, ended.json["id"]) == (3, 1)


def test_a_request_that_fails_is_printed_and_the_command_fails(run: Run, environ: pytest.MonkeyPatch) -> None:
    environ.setenv("PROCESSMAKER_TOKEN", "sandbox-mail-user-token")
    ended = run("start", "Mail Approval")
    assert ended.code == 1
    assert "status   ERROR" in ended.out
    assert ended.err.startswith('processmaker: Request 1 of "Mail Approval" exists, and failed: ')


# Following


def test_show_prints_the_data(run: Run) -> None:
    run("start", 2, "days:=3", "who=Zoë")
    lines = run("show", 1).out.splitlines()
    assert lines[lines.index("data     {") :] == [
        "data     {",
        '           "days": 3,',
        '           "who": "Zoë"',
        "         }",
    ]
    assert run("show", 1, "--json").json["data"] == {"days": 3, "who": "Zoë"}


def test_what_speaks_to_the_terminal_is_not_printed(run: Run, sandbox: Sandbox) -> None:
    sandbox.add_process("Red \x1b[31m \u202e", id=70)
    assert "70  Red \ufffd[31m \ufffd" in run("processes").out


def test_columns_line_up_where_letters_are_wide_or_combined(run: Run, sandbox: Sandbox) -> None:
    sandbox.add_process("休暇", id=70)
    sandbox.add_process("Zoe\u0308", id=71)
    lines = run("processes").out.splitlines()
    assert '70  休暇                       node_1 "Start"' in lines
    assert '71  Zoe\u0308                        node_1 "Start"' in lines


def test_wait_prints_a_line_for_each_change_and_then_the_request(run: Run) -> None:
    run("start", 4)
    ended = run("wait", 1)
    assert (ended.code, ended.err) == (0, 'Request 1 "Auto Approve" COMPLETED\n')
    assert ended.out.startswith("id         1\nstatus     COMPLETED\n")


def test_wait_until_a_task_waits_for_a_person(run: Run) -> None:
    run("start", 2)
    ended = run("wait", 1, "--until", "task", "--json")
    assert (ended.code, ended.json["status"]) == (0, "ACTIVE")
    assert ended.err == 'Request 1 "Leave Request" ACTIVE, waits for task 2 "Approve leave"\n'


def test_a_wait_that_times_out_says_how_to_go_on(run: Run, sandbox: Sandbox) -> None:
    run("start", 2)
    began = sandbox.clock.monotonic()
    ended = run("wait", 1, "--timeout", "30")
    assert ended.code == 5
    assert sandbox.clock.monotonic() - began == pytest.approx(30)
    assert "status   ACTIVE" in ended.out
    assert ended.err.endswith("It goes on; to wait again: processmaker wait 1\n")


@pytest.mark.parametrize("command", ["wait", "watch"])
def test_waiting_for_a_request_that_failed_or_was_canceled_fails(run: Run, sandbox: Sandbox, command: str) -> None:
    run("start", 2)
    run("start", 2)
    sandbox.fail(1, "no mail server")
    sandbox.cancel(2)
    failed, canceled = run(command, 1), run(command, 2)
    assert failed.code == canceled.code == 1
    assert 'Request 1 of "Leave Request" exists, and failed: no mail server' in failed.err
    assert 'Request 2 of "Leave Request" was canceled.' in canceled.err


def test_watch_prints_each_change_until_the_end(run: Run, sandbox: Sandbox, environ: pytest.MonkeyPatch) -> None:
    run("start", "Two Steps")
    sleep = sandbox.clock.sleep

    def and_meanwhile(seconds: float) -> None:
        sleep(seconds)
        sandbox.finish(1)

    environ.setattr(sandbox.clock, "sleep", and_meanwhile)
    ended = run("watch", 1)
    assert (ended.code, ended.err) == (0, "")
    first, last = ended.out.splitlines()
    assert first.startswith('Request 1 "Two Steps" ACTIVE, waits for task ')
    assert last == 'Request 1 "Two Steps" COMPLETED'


def test_watch_as_json_is_one_list_also_when_time_is_over(run: Run) -> None:
    run("start", 2)
    ended = run("watch", 1, "--json", "--timeout", "5")
    assert ended.code == 5
    [change] = ended.json
    assert (change["request"]["status"], change["tasks"][0]["name"]) == ("ACTIVE", "Approve leave")


def test_tasks_complete_and_cancel(run: Run, sandbox: Sandbox, environ: pytest.MonkeyPatch) -> None:
    run("start", "Leave Request")
    run("start", "Leave Request")
    assert run("tasks", 1).out.splitlines()[1].startswith("2   Approve leave  ACTIVE  node_2   3     2026-")
    [task] = run("tasks", 1, "--json").json
    completed = run("complete", task["id"], "approved:=true")
    assert completed.out.splitlines()[:3] == ["id         2", "status     CLOSED", "name       Approve leave"]
    assert sandbox.request(1).data == {"approved": True}
    assert run("tasks", 1).out == "no task waits for a person\n"
    assert run("cancel", 2).code == 4  # only administrators may
    environ.setenv("PROCESSMAKER_TOKEN", sandbox.token("admin"))
    assert "status     CANCELED" in run("cancel", 2).out


def test_on_a_terminal_a_wait_keeps_one_line_up_to_date_and_erases_it(run: Run, environ: pytest.MonkeyPatch) -> None:
    run("start", 2)
    terminal = Terminal()
    environ.setattr(sys, "stderr", terminal)
    environ.setenv("COLUMNS", "61")
    assert run("wait", 1, "--timeout", "3").code == 5
    written = terminal.getvalue()
    assert '\r\x1b[KRequest 1 "Leave Request" ACTIVE, waits for task 2 "Appr 2 s' in written
    live, _, after = written.rpartition("\r\x1b[K")
    assert "\n" not in live
    assert after.startswith("processmaker: Request 1 is still ACTIVE")


def test_a_dumb_terminal_gets_plain_lines(run: Run, environ: pytest.MonkeyPatch) -> None:
    run("start", 4)
    terminal = Terminal()
    environ.setattr(sys, "stderr", terminal)
    environ.setenv("TERM", "dumb")
    run("wait", 1)
    assert terminal.getvalue() == 'Request 1 "Auto Approve" COMPLETED\n'


# How it ends


@pytest.mark.parametrize(
    ("words", "fault", "code"),
    [
        (["processes"], None, 0),
        (["processes"], ("GET", 500), 1),
        (["processes"], ("GET", "refused"), 1),
        ([], None, 2),
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
    assert (ended.code, len(ended.err.splitlines())) == (code, 1 if code else 0), ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("words", [["complete", "2"], ["cancel", "1"]])
def test_a_lost_answer_to_any_change_is_an_unknown_outcome(run: Run, sandbox: Sandbox, words: list[str]) -> None:
    run("start", "Leave Request")
    sandbox.fail_next("answer lost", on="PUT")
    assert run(*words).code == 6


def test_after_a_lost_answer_the_next_step_is_a_command(run: Run, sandbox: Sandbox) -> None:
    sandbox.fail_next("answer lost", on="POST")
    assert "Look among the latest Requests of process 2 before you do" in run("start", "Leave Request").err
    sandbox.fail_next("lost before", on="POST")
    ended = run("start", "Leave Request", "--idempotency-key", "k")
    assert "Start again later with the same --idempotency-key" in ended.err


def test_a_request_that_is_known_to_exist_is_named(run: Run, sandbox: Sandbox) -> None:
    sandbox.fail_next("truncated", on="POST", at=0.95)
    sandbox.fail_next(500, on="GET /requests", times=9)
    ended = run("start", "Leave Request")
    assert "The Request was started: processmaker show 1" in ended.err


def test_the_exit_codes_are_in_the_help(run: Run) -> None:
    help_ = run("--help").out
    for exit_ in _exits.EXITS:
        assert f"  {exit_.code:<4} {exit_.meaning}\n" in help_


def test_an_unauthorized_call_says_how_to_sign_in(run: Run, environ: pytest.MonkeyPatch) -> None:
    environ.setenv("PROCESSMAKER_TOKEN", "expired")
    assert run("processes").err.endswith("To sign in: processmaker login\n")


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
    assert 'HTTP Request: GET https://pm.example.com/api/1.0/requests/99?include=data "HTTP/1.1 404 ' in ended.err
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
        assert ended.err.endswith(
            f"processmaker: Request {number} goes on; to wait again: processmaker wait {number}\n"
        )
        assert sandbox.request(number).status == "ACTIVE"
    assert run("watch", 1, "--json").json[0]["request"]["status"] == "ACTIVE"


@pytest.mark.parametrize(
    ("command", "said"),
    [("start", "interrupted; whether the server did it is not known"), ("processes", "interrupted")],
)
def test_ctrl_c_in_a_change_says_that_its_outcome_is_unknown(
    run: Run, environ: pytest.MonkeyPatch, command: str, said: str
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    environ.setattr(ProcessMaker, command, interrupted)
    ended = run(command, *(["Leave Request"] if command == "start" else []))
    assert (ended.code, ended.err) == (130, f"processmaker: {said}\n")


# Settings


def saved(tmp_path: Path, **profiles: dict[str, Any]) -> Path:
    file = tmp_path / "config" / "processmaker" / "profiles.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(profiles))
    return file


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


@pytest.fixture
def signed_out(environ: pytest.MonkeyPatch) -> None:
    environ.delenv("PROCESSMAKER_URL")
    environ.delenv("PROCESSMAKER_TOKEN")


@pytest.mark.usefixtures("signed_out")
def test_login_keeps_a_token_from_standard_input_in_a_file_only_the_user_can_read(
    run: Run, sandbox: Sandbox, typed: Callable[[str], None], tmp_path: Path
) -> None:
    typed(f"{TOKEN}\n")
    ended = run("login", "--url", sandbox.url, "--json")
    file = tmp_path / "config" / "processmaker" / "profiles.json"
    assert ended.json == {"profile": "default", "url": sandbox.url, "processes": 6, "file": str(file)}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert list(file.parent.iterdir()) == [file]
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


# As a curl command


@pytest.fixture
def shell(sandbox: Sandbox, environ: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """Runs a line in a shell where PROCESSMAKER_TOKEN is set; the sandbox listens. Returns the JSON that came back."""
    need("curl", "the pasted curl command")

    def paste(line: str) -> Any:
        done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True)
        return json.loads(done.stdout) if done.stdout else None

    with sandbox.serve() as url:
        environ.setenv("PROCESSMAKER_URL", url)
        yield paste


def test_curl_prints_the_request_and_sends_nothing(run: Run, sandbox: Sandbox) -> None:
    ended = run("start", 2, "days:=3", "--event", "node_1", "--curl")
    assert ended.out == (
        "curl --fail-with-body -sS -X POST 'https://pm.example.com/api/1.0/process_events/2?event=node_1' "
        "-H \"Authorization: Bearer $PROCESSMAKER_TOKEN\" -H 'Accept: application/json' "
        "-H 'Content-Type: application/json' --data-binary '{\"days\":3}'\n"
    )
    assert sandbox.calls == []


def test_a_pasted_curl_command_does_the_same(
    run: Run, sandbox: Sandbox, shell: Callable[[str], Any], environ: pytest.MonkeyPatch
) -> None:
    data = {"text": 'it\'s "$HOME" `id` \\ \n Zoë', "@": [1, None, {"a": True}]}
    line = run("start", 2, "--event", "node_1", "--data", json.dumps(data), "--idempotency-key", "k'1", "--curl").out
    assert shell(line)["id"] == 1
    assert sandbox.request(1).data == {**data, "_idempotency_key": "k'1"}
    assert {process["id"] for process in shell(run("processes", "--curl").out)["data"]} >= {2, 4}
    assert shell(run("show", 1, "--curl").out)["data"]["text"] == data["text"]
    assert shell(run("tasks", 1, "--curl").out)["data"][0]["id"] == 2
    assert shell(run("complete", 2, "approved:=true", "--curl").out)["status"] == "CLOSED"
    shell(run("start", 2, "--event", "node_1", "--curl").out)
    environ.setenv("PROCESSMAKER_TOKEN", sandbox.token("admin"))
    assert shell(run("cancel", 2, "--curl").out) is None
    assert [request.status for request in sandbox.requests] == ["COMPLETED", "CANCELED"]


@pytest.mark.parametrize("words", [["2"], ["Leave Request", "--event", "node_1"], ["2", "--event", "Ask for leave"]])
def test_curl_cannot_look_up_what_a_start_leaves_open(run: Run, sandbox: Sandbox, words: list[str]) -> None:
    ended = run("start", *words, "--curl")
    assert (ended.code, ended.out) == (2, "")
    assert "give the process's id, and --event with the node id" in ended.err
    assert sandbox.calls == []


def test_curl_needs_no_token_and_checks_the_data_like_a_start(run: Run, environ: pytest.MonkeyPatch) -> None:
    environ.delenv("PROCESSMAKER_TOKEN")
    assert run("show", 1, "--curl").out.startswith("curl ")
    ended = run("start", 2, "who= Mia ", "--event", "node_1", "--curl")
    assert "warning: The server will alter this data" in ended.err
    assert run("start", 2, "_user=x", "--event", "node_1", "--curl").code == 2


# Help and completion


@pytest.mark.parametrize("command", _commands.COMMANDS, ids=lambda command: command.name)
def test_the_help_of_every_command_has_an_example_that_can_be_run(run: Run, command: _parser.Command) -> None:
    help_ = run(command.name, "--help").out
    for example in command.example.splitlines():
        assert f"  {example}\n" in help_
        words = shlex.split(example.removeprefix("source <(").removesuffix(")"))
        before_redirection = [*words, "<"][: next(i for i, word in enumerate([*words, "<"]) if word in "<>")]
        options = _parser.parse(_parser.build(_commands.COMMANDS), before_redirection[1:])
        assert (before_redirection[0], options.command) == ("processmaker", command.name)
        assert options.command != "start" or _commands.data_of_pairs(options.values) or options.data


def test_help_is_quick_because_it_does_not_load_the_client() -> None:
    code = "import sys; from processmaker.cli import main; main(['start', '--help']); sys.exit('httpx' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_the_version_is_that_of_the_distribution(run: Run) -> None:
    assert run("--version").out == f"processmaker {version('processmaker-client')}\n"


def test_the_command_is_installed() -> None:
    [script] = entry_points(group="console_scripts", name="processmaker")
    assert script.load() is cli.main


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ([""], [command.name for command in _commands.COMMANDS]),
        (["co"], ["complete", "completion"]),
        (["--prof"], ["--profile"]),
        (["--profile", "start", "wa"], ["wait", "watch"]),
        (["start", "--ev"], ["--event"]),
        (["start", "2", "wait", "--cu"], ["--curl"]),
        (["wait", "17", "--until", ""], ["finished", "task"]),
        (["completion", "z"], ["zsh"]),
        (["--json", "login", "--allow"], ["--allow-http"]),
        (["start", "--data", ""], []),
    ],
)
def test_bash_completes_commands_options_and_their_words(run: Run, words: list[str], completed: list[str]) -> None:
    need("bash", "the completion script for bash")
    script = run("completion", "bash").out
    asking = f"COMP_WORDS=(processmaker {shlex.join(words)}); COMP_CWORD={len(words)}; _processmaker"
    code = f'{script}\n{asking}\nprintf "%s\\n" "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash", "--norc", "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    found = done.stdout.split()
    assert [word for word in found if words[-1] or not word.startswith("-")] == completed


def test_zsh_is_given_the_same_words(run: Run) -> None:
    script = run("completion", "zsh").out
    assert script.startswith("#compdef processmaker\n")
    for command in _commands.COMMANDS:
        assert f"    '{command.name}:" in script
        assert f"    {command.name}) compadd -- {_completion._words(command)} ;;\n" in script
    assert "    --until) compadd -- finished task; return ;;\n" in script
    assert script.count("{") == script.count("}")
    if zsh := shutil.which("zsh"):
        stubs = 'compdef() {}; _files() {}; _describe() { print -l "$@" }; compadd() { shift; print -l -- "$@" }'
        asking = "words=(processmaker start --ev); CURRENT=3; PREFIX=--ev; _processmaker"
        done = subprocess.run([zsh, "-f", "-c", f"{stubs}\n{script}\n{asking}"], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        assert "--event" in done.stdout.split()


# As a process of its own


@pytest.fixture
def served(sandbox: Sandbox, environ: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """The sandbox, listening where the environment says."""
    with sandbox.serve() as url:
        environ.setenv("PROCESSMAKER_URL", url)
        yield sandbox


COMMAND = [sys.executable, "-m", "processmaker"]


@pytest.mark.usefixtures("served")
def test_it_runs_as_a_module() -> None:
    done = subprocess.run([*COMMAND, "start", "Leave Request", "days:=3"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("id       1\nstatus   ACTIVE\n")


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize(
    ("no_colour", "status"), [("", "status   \x1b[36mACTIVE\x1b[0m"), ("1", "status   ACTIVE")], ids=["colour", "none"]
)
def test_there_is_colour_on_a_terminal_unless_it_is_unwanted(
    environ: pytest.MonkeyPatch, no_colour: str, status: str
) -> None:
    environ.setenv("NO_COLOR", no_colour)
    ours, theirs = pty.openpty()
    done = subprocess.run([*COMMAND, "start", "2"], stdout=theirs, stderr=subprocess.PIPE)
    os.close(theirs)
    with os.fdopen(ours, "rb") as terminal:
        printed = terminal.read1().decode()
    assert (done.returncode, done.stderr) == (0, b"")
    assert status in printed.splitlines()


def _mind_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_ends_a_waiting_process(served: Sandbox) -> None:
    with ProcessMaker(os.environ["PROCESSMAKER_URL"], token=TOKEN) as pm:
        pm.start(2, event="node_1")
    command = [*COMMAND, "wait", "1", "--timeout", "60"]
    # A job in the background of a script ignores Ctrl-C, and so would its children.
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=_mind_ctrl_c) as process:
        assert process.stderr
        process.stderr.readline()  # now it waits
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == "processmaker: Request 1 goes on; to wait again: processmaker wait 1\n"
    assert process.returncode == 130
    assert served.request(1).status == "ACTIVE"


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize("words", [["processes"], ["--help"]])
def test_a_reader_that_has_enough_is_no_error(words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([*COMMAND, *words], stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_sandbox_serves_until_ctrl_c() -> None:
    command = [*COMMAND, "sandbox", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=_mind_ctrl_c) as process:
        assert process.stdout
        assert process.stdout.readline().startswith("ProcessMaker sandbox on http://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        process.stdout.read()
    assert process.returncode == 0


def test_a_sandbox_that_cannot_listen_is_bad_usage(run: Run) -> None:
    assert run("sandbox", "--port", "70000").code == 2


# What goes wrong, word for word


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
    assert ended.err.endswith(
        f"no answer from {sandbox.url} in time. "
        "Whether it was done is not known: look with processmaker show or tasks first.\n"
    )


@pytest.mark.usefixtures("served")
def test_a_start_whose_output_cannot_be_written_names_the_request() -> None:
    if not Path("/dev/full").exists():
        not_run("a full disk was not tried: this system has no /dev/full")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, "start", "4", "--event", "node_1"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 6
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


def test_a_failed_look_for_a_lost_start_is_told_with_its_reason() -> None:
    unknown = StartOutcomeUnknown(
        "", wire_error=TimedOut("no answer"), idempotency_key="k", look_error=ConnectionLost("the connection broke")
    )
    told = _exits.explained(unknown, changes=True)
    assert told.startswith("no answer. Whether the Request was started is not known.")
    assert told.endswith("The last look for it failed: the connection broke.")


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
