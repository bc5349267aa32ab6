"""The command `processmaker`: what it prints, and what it sends."""

from __future__ import annotations

import os
import pty
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Any

import click
import pytest
from command_line import COMMAND, TOKEN, Run, mind_ctrl_c
from processmaker import ProcessMaker, cli
from processmaker.cli import _app, _session
from processmaker.sandbox import Sandbox
from processmaker.sandbox.__main__ import main as serve

# Listing and starting


def test_processes_lists_what_may_be_started_in_columns(run: Run) -> None:
    ended = run("processes")
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert lines[0] == "ID  NAME                       START EVENTS"
    assert '5   Two Doors                  node_web "From the web", node_mail "From an email"' in lines


def test_processes_as_json_are_a_document_a_line(run: Run) -> None:
    listed = {process["name"]: process for process in run("processes", "--json").lines}
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
    document = run("--json", "start", "Leave Request").json
    assert "raw" not in document
    assert (
        document.items()
        >= {
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
        }.items()
    )


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
        (["--idempotency-key", 'a"b'], "idempotency_key 'a\"b' holds '\"'"),
        (["--bogus"], "no such option '--bogus'\n  see processmaker start --help"),
        (["--wait=soon"], "invalid value for '--wait': 'soon' is not a number of seconds"),
        (["--timeout", "0"], "timeout=0.0 is not a number of seconds above 0"),
    ],
)
def test_what_cannot_be_sent_is_bad_usage_and_nothing_is_sent(
    run: Run, sandbox: Sandbox, words: list[str], said: str
) -> None:
    ended = run("start", "Leave Request", *words)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err
    assert len(ended.err.splitlines()) <= 2  # a hint stands on a line of its own
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
    assert ended.err == "processmaker: warning: The server will alter this data: data.who (trimmed).\n"


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
    assert ended.error["message"] == "Request 1 is still ACTIVE after 60 s. It goes on."
    assert ended.error["hint"] == "to wait again: processmaker wait 1"


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


def test_a_key_whose_request_was_canceled_is_no_started_order_unless_it_is_started_again(
    run: Run, sandbox: Sandbox
) -> None:
    words = ("start", "Leave Request", "--idempotency-key", "k")
    run(*words)
    sandbox.cancel(1)
    canceled = run(*words)
    assert canceled.code == 1
    assert 'Request 1 of "Leave Request" was canceled. ' in canceled.err
    assert canceled.err.endswith("\n  --again starts a new one\n")
    again = run(*words, "--again", "--json")
    assert (again.code, again.json["id"], again.json["created"]) == (0, 2, True)
    assert run(*words, "--json").json["id"] == 2


def test_a_key_with_other_data_is_an_error_of_its_own_and_nothing_is_sent(run: Run, sandbox: Sandbox) -> None:
    words = ("start", "Auto Approve", "--event", "node_1", "--key", "order-1")
    assert run(*words, "amount:=1").code == 0
    reused = run(*words, "amount:=2", "--json")
    assert (reused.code, reused.out) == (7, "")
    assert (reused.error["type"], reused.error["processed"]) == ("IdempotencyKeyReused", False)
    assert reused.error["hint"] == "to see what was started with it: processmaker show 1"
    warned = run(*words, "amount:=2", "--on-reused-key", "warn")
    assert (warned.code, warned.err.startswith("processmaker: warning: ")) == (0, True)
    assert run(*words, "amount:=2", "--on-reused-key", "ignore").err == ""
    assert len(sandbox.requests) == 1


def test_an_unknown_start_says_after_how_long_to_start_again(run: Run, sandbox: Sandbox) -> None:
    sandbox.fail_next("lost before", on="POST")
    unknown = run("start", 4, "--event", "node_1", "--idempotency-key", "k")
    assert unknown.code == 6
    assert re.search(r"start again after \d+ s with the same --idempotency-key: it looks first", unknown.err)


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
    assert ended.err.endswith("It goes on.\n  to wait again: processmaker wait 1\n")


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


def test_watch_as_json_is_one_document_a_line_as_the_changes_come(
    run: Run, sandbox: Sandbox, environ: pytest.MonkeyPatch
) -> None:
    run("start", 2)
    [change] = run("watch", 1, "--json", "--timeout", "5").lines
    assert (change["request"]["status"], change["tasks"][0]["name"]) == ("ACTIVE", "Approve leave")
    sleep = sandbox.clock.sleep

    def and_meanwhile(seconds: float) -> None:
        sleep(seconds)
        sandbox.finish(1)

    environ.setattr(sandbox.clock, "sleep", and_meanwhile)
    assert [change["request"]["status"] for change in run("watch", 1, "--json").lines] == ["ACTIVE", "COMPLETED"]


def test_tasks_complete_and_cancel(run: Run, sandbox: Sandbox, environ: pytest.MonkeyPatch) -> None:
    run("start", "Leave Request")
    run("start", "Leave Request")
    assert run("tasks", 1).out.splitlines()[1].startswith("2   Approve leave  ACTIVE  1        user 3  node_2   2026-")
    [task] = run("tasks", 1, "--json").lines
    completed = run("complete", task["id"], "approved:=true")
    assert completed.out.splitlines()[:3] == ["id         2", "status     CLOSED", "name       Approve leave"]
    assert sandbox.request(1).data == {"approved": True}
    assert run("tasks", 1).out == "no task waits for a person\n"
    assert run("cancel", 2).code == 4  # only administrators may
    environ.setenv("PROCESSMAKER_TOKEN", sandbox.token("admin"))
    assert "status     CANCELED" in run("cancel", 2).out


# Help


@pytest.mark.parametrize("name", _app.PLACES)
def test_the_help_of_every_command_has_an_example_that_can_be_run(run: Run, name: str) -> None:
    help_ = run(name, "--help").out
    examples = [line.strip() for line in help_.partition("Examples:\n")[2].splitlines()]
    assert examples
    for example in examples:
        ours = re.sub(r"^source <\((.*)\)$", r"\1", example)
        ours = re.sub(r" [<>] [~\w./-]+$", "", ours.rpartition(" | ")[2] if "jq" not in ours else ours.split(" | ")[0])
        program, command, *words = shlex.split(ours)
        assert (program, command) == ("processmaker", name)
        parse(name, words)


def parse(name: str, words: list[str]) -> None:
    parent = click.Context(_app.app, info_name="processmaker", obj=_session.Session())
    command = _app.app.get_command(parent, name)
    assert command
    command.make_context(name, words, parent=parent)


@pytest.mark.parametrize("name", _app.PLACES)
def test_the_help_of_every_command_fits_a_screen(run: Run, environ: pytest.MonkeyPatch, name: str) -> None:
    environ.setenv("COLUMNS", "80")
    lines = run(name, "--help").out.splitlines()
    assert len(lines) <= 45
    assert [line for line in lines if len(line) > 80] == []


def test_help_is_quick_because_it_does_not_load_the_client() -> None:
    code = "import sys; from processmaker.cli import main; main(['start', '--help']); sys.exit('httpx' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_the_version_is_that_of_the_distribution(run: Run) -> None:
    assert run("--version").out == f"processmaker {version('processmaker-client')}\n"


def test_the_command_is_installed() -> None:
    [script] = entry_points(group="console_scripts", name="processmaker")
    assert script.load() is cli.main


# As a process of its own


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


def test_ctrl_c_ends_a_waiting_process(served: Sandbox) -> None:
    with ProcessMaker(os.environ["PROCESSMAKER_URL"], token=TOKEN) as pm:
        pm.start(2, event="node_1")
    command = [*COMMAND, "wait", "1", "--timeout", "60"]
    # A job in the background of a script ignores Ctrl-C, and so would its children.
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=mind_ctrl_c) as process:
        assert process.stderr
        process.stderr.readline()  # now it waits
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == (
            "processmaker: interrupted; Request 1 goes on\n  to wait again: processmaker wait 1\n"
        )
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
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=mind_ctrl_c) as process:
        assert process.stdout
        assert process.stdout.readline().startswith("ProcessMaker sandbox on http://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        process.stdout.read()
    assert process.returncode == 0


def test_the_sandbox_takes_the_same_options_as_a_module(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        serve(["--help"])
    as_a_module = set(re.findall(r"--[a-z-]+", capfd.readouterr().out)) - {"--demo"}
    assert set(re.findall(r"--[a-z-]+", run("sandbox", "--help").out)) - {"--debug"} == as_a_module


def test_a_sandbox_that_cannot_listen_is_bad_usage(run: Run) -> None:
    ended = run("sandbox", "--port", "70000")
    assert (ended.code, len(ended.err.splitlines())) == (2, 1)
    assert run("sandbox", "--setup", "no.json").err == (
        "processmaker: no.json cannot be read: No such file or directory\n"
    )
