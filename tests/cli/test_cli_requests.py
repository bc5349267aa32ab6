"""Finding and listing Requests, and any other call, on the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from command_line import COMMAND, TOKEN, Ended, Run, Terminal, saved
from processmaker.cli import _app
from processmaker.sandbox import Sandbox

ROOT = Path(__file__).parents[2]


def test_find_shows_the_request_with_that_key(run: Run) -> None:
    run("start", "Leave Request", "--idempotency-key", "leave-17")
    assert run("find", "leave-17", "--process", "Leave Request", "--json").json["id"] == 1
    assert run("find", "leave-17", "--process", "2", "--quiet").out == "1\n"
    ended = run("find", "leave-18", "--process", "2")
    assert (ended.code, ended.out) == (4, "")
    assert ended.err == ("processmaker: no Request of process 2 that this token may see has the key leave-18\n")
    assert run("find", "leave-17").code == 2


@pytest.fixture
def several(run: Run, sandbox: Sandbox) -> None:
    for process in (2, 2, 4):
        run("start", process)
    sandbox.clock.sleep(3600)
    run("start", 2)
    sandbox.cancel(2)


@pytest.mark.usefixtures("several")
@pytest.mark.parametrize(
    ("words", "ids"),
    [
        ("", [4, 3, 2, 1]),
        ("--process 2", [4, 2, 1]),
        ("--status active", [4, 1]),
        ("--since 30m", [4]),
        ("--since 2026-11-23T22:20:00+00:00", [4]),
        ("--limit 2", [4, 3]),
        ("--limit 0", [4, 3, 2, 1]),
        ("--pmql id>1 --process 2 --status CANCELED", [2]),
        ("--status ERROR", []),
    ],
)
def test_requests_are_listed_newest_first(run: Run, words: str, ids: list[int]) -> None:
    listed = run("requests", *words.split(), "--quiet")
    assert (listed.code, listed.err) == (0, "")
    assert [int(line) for line in listed.out.split()] == ids
    assert [request["id"] for request in run("requests", *words.split(), "--json").lines] == ids
    if "--limit" not in words:
        assert run("requests", *words.split(), "--count").out == f"{len(ids)}\n"
        assert run("requests", *words.split(), "--count", "--json").json == {"count": len(ids)}


@pytest.mark.usefixtures("several")
def test_a_list_that_is_cut_says_how_many_there_are(run: Run) -> None:
    ended = run("requests", "--limit", 2)
    assert ended.out.splitlines()[:2] == [
        "ID  STATUS     NAME           KEY  PROCESS  CREATED                    COMPLETED",
        "4   ACTIVE     Leave Request       2        2026-11-23 23:12:30+00:00",
    ]
    assert ended.err == "processmaker: these are the newest 2 of 4; --limit 0 lists all\n"
    assert run("requests", "--limit", 4).err == ""
    assert run("requests", "--status", "ERROR").out == "no Request\n"


@pytest.mark.parametrize("words", ["--since soon", "--since 2026-13-01", "--status OVER", "--limit -1", "--process -2"])
def test_conditions_that_cannot_be_are_bad_usage(run: Run, sandbox: Sandbox, words: str) -> None:
    option, value = words.split()
    ended = run("requests", f"{option}={value}")
    assert ended.code in (2, 4)
    assert value in ended.err
    assert not any(path == "/requests" for _, path, _ in sandbox.calls)


def test_api_calls_anything_else_and_prints_its_json(run: Run, sandbox: Sandbox, environ: pytest.MonkeyPatch) -> None:
    run("start", 2)
    listed = run("api", "get", "/requests", "-f", "per_page=1", "--field", "include=data").json
    assert (listed["meta"]["total"], listed["data"][0]["id"]) == (1, 1)
    environ.setenv("PROCESSMAKER_TOKEN", sandbox.token("admin"))
    ended = run("api", "PUT", "/requests/1", "-f", "status=CANCELED")
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    assert sandbox.request(1).status == "CANCELED"
    assert run("api", "POST", "/process_events/4", "--data", '{"a": [1]}', "-f", "event=node_1").json["id"] == 2
    assert sandbox.request(2).data == {"a": [1]}
    assert run("api", "POST", "/process_events/4?event=node_1", "--data", "[1]").json["id"] == 3
    assert sandbox.request(3).sent == [1]


def test_api_reads_unless_something_is_sent(run: Run, sandbox: Sandbox) -> None:
    run("start", 2, "--event", "node_1")
    assert run("api", "/requests").json["meta"]["total"] == 1
    assert run("api", "/requests", "per_page==1", "include==data").json["data"][0]["id"] == 1
    assert run("api", "/process_events/4", "event==node_1", "a=1", "b:=[2]").json["id"] == 2
    assert sandbox.request(2).data == {"a": "1", "b": [2]}
    assert run("api", "/process_events/4?event=node_1", "--data", "{}").json["id"] == 3
    assert [(call.method, call.path) for call in sandbox.calls[1:]] == [
        ("GET", "/requests"),
        ("GET", "/requests"),
        ("POST", "/process_events/4"),
        ("POST", "/process_events/4"),
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("GET", "give a PATH after the method"),
        ("GET /requests a=1", "GET sends no body: give key==value in place of a=1"),
        ("POST /x --data {} a=1", "give the body either with --data or as key=value, not both (a=1)"),
        ("/x y", "'y' is neither key=value nor key:=JSON"),
    ],
)
def test_api_says_what_it_cannot_send(run: Run, sandbox: Sandbox, words: str, said: str) -> None:
    ended = run("api", *words.split())
    assert ended.code == 2
    assert said in ended.err
    assert sandbox.calls == []


def test_api_says_what_became_of_a_change_that_is_interrupted(run: Run, environ: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    environ.setattr("processmaker.ProcessMaker.request", interrupted)
    assert run("api", "POST", "/x", "a=1").err == "processmaker: interrupted; whether the server did it is not known\n"
    assert "not known" not in run("api", "GET", "/x").err


def test_a_key_is_shown_wherever_a_request_is(run: Run) -> None:
    assert run("start", 2, "--event", "node_1", "--key", "leave-17", "--json").json["idempotency_key"] == "leave-17"
    assert run("show", 1, "--json").json["idempotency_key"] == "leave-17"
    assert "key      leave-17\n" in run("show", 1).out
    assert run("requests", "--json").lines[0]["idempotency_key"] == "leave-17"
    assert run("requests").out.splitlines()[1].split()[4] == "leave-17"
    assert run("wait", 1, "--until", "task", "--json").json["idempotency_key"] == "leave-17"


def test_api_ends_as_other_commands_do(run: Run, sandbox: Sandbox) -> None:
    assert run("api", "GET", "/nothing").code == 4
    assert run("api", "GET", "/../oauth/token").code == 2
    assert run("api", "GET", "/requests", "--data", "{}").code == 2
    assert run("api", "FETCH", "/requests").code == 2
    sandbox.fail_next(500, on="PUT")
    assert run("api", "PUT", "/requests/1", "-f", "status=CANCELED").code == 6
    sandbox.fail_next(500, on="GET", times=9)
    assert run("api", "GET", "/requests").code == 1
    assert run("api", "GET", "/requests", "--curl").out.startswith("curl ")


def test_open_opens_the_page_of_a_request_in_the_browser(environ: pytest.MonkeyPatch, tmp_path: Path) -> None:
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened\n')
    browser.chmod(0o755)
    environ.setenv("BROWSER", f"{browser} %s")
    environ.delenv("PROCESSMAKER_TOKEN")
    done = subprocess.run([*COMMAND, "open", "17", "--json"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, '{\n  "url": "https://pm.example.com/requests/17"\n}\n')
    assert (tmp_path / "opened").read_text() == "https://pm.example.com/requests/17\n"


def test_where_there_is_no_browser_open_prints_the_address(run: Run, environ: pytest.MonkeyPatch) -> None:
    environ.setattr("webbrowser.open", lambda _: False)
    ended = run("open", 17)
    assert (ended.code, ended.out) == (1, "url  https://pm.example.com/requests/17\n")
    assert "there is no browser here that opens it; BROWSER names one" in ended.err
    assert run("open", 17, "--quiet").out == "https://pm.example.com/requests/17\n"
    environ.setenv("PROCESSMAKER_URL", "http://pm.internal")  # no token goes there
    assert run("open", 17, "--quiet").out == "http://pm.internal/requests/17\n"


# What is printed


def test_quiet_prints_ids_and_nothing_beside_errors(run: Run, sandbox: Sandbox) -> None:
    ended = run("start", 2, "who= Mia ", "--quiet", "--wait", "1")
    assert (ended.code, ended.out) == (5, "1\n")
    assert (
        ended.err
        == "processmaker: Request 1 is still ACTIVE after 1 s. It goes on.\n  to wait again: processmaker wait 1\n"
    )
    assert run("tasks", 1, "--quiet").out == "2\n"
    assert run("complete", 2, "--quiet").out == "2\n"
    assert run("wait", 1, "--quiet").out == "1\n"
    watched = run("watch", 1, "--quiet")
    assert (watched.code, watched.out, watched.err) == (0, "", "")
    assert run("processes", "--quiet").out.split()[0] == "2"
    assert len(sandbox.requests) == 1


def told_in_the_guide(command: str) -> list[str]:
    """What the guide names in the row of this command, in its order."""
    guide = (ROOT / "wrapper" / "docs" / "command-line.md").read_text("utf-8")
    lines = guide.partition("| command | document |\n")[2].partition("\n\n")[0].splitlines()
    [row] = [cells for cells in (line.split("|") for line in lines) if f"`{command}`" in cells[1]]
    return row[2].split("`")[1::2]


def names_in(document: dict[str, Any]) -> list[str]:
    """The names in a document; those of the first start event, check or column, too."""
    inner = [names_in(document[name][0]) for name in ("start_events", "checks", "columns") if name in document]
    return [*document, *(name for names in inner for name in names)]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("start", ["start", "12", "--idempotency-key", "b"]),
        ("find", ["find", "a", "--process", "12"]),
        ("show", ["show", "1"]),
        ("wait", ["wait", "1", "--until", "task"]),
        ("requests", ["requests", "--process", "12"]),
        ("requests --count", ["requests", "--count"]),
        ("complete", ["complete", "2"]),
        ("tasks", ["tasks", "1"]),
        ("processes", ["processes"]),
        ("watch", ["watch", "1", "--timeout", "1"]),
        ("open", ["open", "1"]),
        ("login", ["login", "--url", "https://pm.example.com", "--profile", "bot"]),
        ("profiles", ["profiles"]),
        ("use", ["use", "box"]),
        ("logout", ["logout", "--profile", "box"]),
        ("whoami", ["whoami"]),
        ("doctor", ["doctor"]),
        ("start-many", ["start-many", "4", "rows.csv", "--key-column", "k"]),
        ("files", ["files", "1"]),
        ("journal", ["journal", "--all", "--journal", "rows.csv.journal"]),
    ],
)
def test_json_has_the_fields_that_the_guide_names(
    run: Run,
    environ: pytest.MonkeyPatch,
    tmp_path: Path,
    typed: Callable[[str], None],
    command: str,
    words: list[str],
) -> None:
    environ.chdir(tmp_path)
    environ.setattr("webbrowser.open", lambda _: True)
    saved(tmp_path, box={"url": "https://pm.example.com", "token": TOKEN})
    typed(TOKEN)
    run("start", "12", "--idempotency-key", "a")
    (tmp_path / "rows.csv").write_text("k\n1\n")
    if command == "journal":
        run("start-many", "4", "rows.csv", "--key-column", "k")
    if command == "files":
        (tmp_path / "offer.txt").write_text("yes")
        uploaded = run("files", "upload", 1, "offer.txt", "--json").json
    names = names_in(first(run(*words, "--json")))
    if command == "start-many":
        names += ["--dry-run", *names_in(run(*words, "--dry-run", "--json").json)]
    if command == "journal":
        prune = run("journal", "prune", "--older-than", "90d", "--journal", "rows.csv.journal", "--json")
        names += ["journal prune", *names_in(prune.json)]
    if command == "files":
        (tmp_path / "offer.txt").unlink()
        saved_as = run("files", "download", 1, uploaded["id"], "--json").json
        names += ["files download", *names_in(saved_as)]
        assert list(uploaded) == names[: len(uploaded)]
    assert told_in_the_guide(command) == names


def test_every_command_that_prints_json_is_in_the_guide_with_its_fields() -> None:
    parent = click.Context(_app.app)
    commands = [_app.app.get_command(parent, name) for name in _app.PLACES]
    named = [command.name for command in commands if isinstance(command, _app.Command) and "json" in command.uses]
    assert all(told_in_the_guide(name) for name in named if name and name != "api")


def first(ended: Ended) -> dict[str, Any]:
    """The first document or the first item of it."""
    try:
        document = ended.json
    except ValueError:
        document = ended.lines
    return dict(document[0] if isinstance(document, list) else document)


def test_only_a_status_has_its_colour(run: Run, sandbox: Sandbox, environ: pytest.MonkeyPatch) -> None:
    sandbox.add_process("ERROR", id=70)
    run("start", 70)
    terminal = Terminal()
    environ.setattr(sys, "stdout", terminal)
    run("requests")
    heading, row = terminal.getvalue().splitlines()
    assert "\x1b[3" not in heading
    assert row.startswith("1   \x1b[32mCOMPLETED\x1b[0m  ERROR ")
    assert row.count("\x1b[") == 2


# What is mistyped


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("strat 2", "there is no command 'strat'\n  did you mean start?\n"),
        ("--json statr", 'there is no command \'statr\'", "hint": "did you mean start?"'),
        ("list", "there is no command 'list'\n  did you mean requests?\n"),
        (
            "start 2 --idempotency_key x",
            "no such option '--idempotency_key'\n  did you mean --idempotency-key?\n",
        ),
        ("start --wait 4", "missing argument 'PROCESS'"),
        ("api /users/1 GET", "the method comes first: api GET /users/1"),
        ("api FETCH /users/1", "'FETCH' is not a method: GET, HEAD, OPTIONS, POST, PUT, PATCH, DELETE"),
        ("api GET /users/1 --quiet", "api does not use --quiet; leave it out"),
        ("profiles --url https://pm.example.com", "profiles does not use --url; leave it out"),
        ("completion bash --profile x", "completion does not use --profile; leave it out"),
        ("--profile x completion bash", "completion does not use --profile; leave it out"),
        ("--quiet doctor", "doctor does not use --quiet; leave it out"),
        ("show 17 --curl --json", "--curl prints a curl command"),
    ],
)
def test_what_is_mistyped_gets_an_answer_that_helps(run: Run, sandbox: Sandbox, words: str, said: str) -> None:
    ended = run(*words.split())
    assert ended.code in (2, 4)
    assert said in ended.err
    assert not any(method == "POST" for method, _, _ in sandbox.calls)


def test_without_a_word_it_prints_its_help(run: Run) -> None:
    assert (run().code, run().out) == (0, run("--help").out)


def test_the_help_fits_a_terminal_of_80_columns(run: Run, environ: pytest.MonkeyPatch) -> None:
    environ.setenv("COLUMNS", "80")
    assert [line for line in run("--help").out.splitlines() if len(line) > 80] == []


def test_help_lists_only_the_options_that_a_command_uses(run: Run) -> None:
    assert "--url" not in run("completion", "--help").out
    assert "--token" not in run("profiles", "--help").out
    assert "--curl" not in run("wait", "--help").out
    assert run("wait", "--help").out.count("--timeout SECONDS") == 1
    assert "Settings such as --url, --profile, --json: processmaker --help" in run("show", "--help").out


def test_the_help_names_what_to_do_after_an_unknown_outcome(run: Run) -> None:
    help_ = run("--help").out
    assert "processmaker find KEY --process PROCESS" in help_
    assert "processmaker requests --process PROCESS --since 1h" in help_


def test_a_list_stops_when_nobody_reads_it_any_more(served: Sandbox) -> None:
    for _ in range(3):
        subprocess.run([*COMMAND, "start", "4", "a=1", "--event", "node_1"], check=True, capture_output=True)
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([*COMMAND, "requests", "--json"], stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(served.requests) == 3
