"""Finding and listing Requests, and any other call, on the command line."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from attrs import fields
from command_line import COMMAND, Run
from processmaker import Process, Progress, Request, StartEvent, Task
from processmaker.sandbox import Sandbox

ROOT = Path(__file__).parents[1]


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
        "ID  STATUS     NAME           PROCESS  CREATED                    COMPLETED",
        "4   ACTIVE     Leave Request  2        2026-11-23 23:12:30+00:00",
    ]
    assert ended.err == "processmaker: these are the newest 2 of 4; --limit 0 lists all\n"
    assert run("requests", "--limit", 4).err == ""
    assert run("requests", "--status", "ERROR").out == "no such Request\n"


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
    assert (ended.code, ended.out) == (4, "url  https://pm.example.com/requests/17\n")
    assert "no browser was found" in ended.err


# What is printed


def test_quiet_prints_ids_and_nothing_beside_errors(run: Run, sandbox: Sandbox) -> None:
    ended = run("start", 2, "who= Mia ", "--quiet", "--wait", "1")
    assert (ended.code, ended.out) == (5, "1\n")
    assert ended.err == "processmaker: Request 1 is still ACTIVE. It goes on; to wait again: processmaker wait 1\n"
    assert run("tasks", 1, "--quiet").out == "2\n"
    assert run("complete", 2, "--quiet").out == "2\n"
    assert run("wait", 1, "--quiet").out == "1\n"
    watched = run("watch", 1, "--quiet")
    assert (watched.code, watched.out, watched.err) == (0, "", "")
    assert run("processes", "--quiet").out.split()[0] == "4"
    assert len(sandbox.requests) == 1


DOCUMENTS: dict[str, Any] = {"start": Request, "complete": Task, "processes": Process, "watch": Progress}


@pytest.mark.parametrize("command", DOCUMENTS)
def test_the_fields_that_the_readme_names_are_those_of_the_documents(run: Run, command: str) -> None:
    guides = [path.read_text("utf-8") for path in (ROOT / "README.md", ROOT / "wrapper" / "README.md") if path.exists()]
    rows = [line.split("|") for guide in guides for line in guide.splitlines() if line.startswith("| ")]
    [told] = [row[2].split("`")[1::2] for row in rows if f"`{command}`" in row[1] and row[2].count("`") > 3]
    names = [attribute.name for attribute in fields(DOCUMENTS[command]) if attribute.name != "raw"]
    if command == "processes":
        names += [attribute.name for attribute in fields(StartEvent) if attribute.name != "raw"]
    assert told == names
    assert run("processes").code == 0


# What is mistyped


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("strat 2", "there is no command 'strat'; did you mean start?"),
        ("--json statr", "there is no command 'statr'; did you mean start?"),
        ("list", "there is no command 'list'; "),
        (
            "start 2 --idempotency_key x",
            "--idempotency_key x (did you mean --idempotency-key?)",
        ),
        ("start --wait 4", "the 4 after --wait is its seconds. Write --wait=4 and the process, or put --wait last"),
        ("completion bash --profile x", "unrecognized arguments: --profile x"),
        ("--profile x completion bash", "completion does not use --profile; leave it out"),
        ("--quiet doctor", "doctor does not use --quiet; leave it out"),
        ("profiles --url https://pm.example.com", "unrecognized arguments: --url"),
        ("show 17 --curl --json", "--curl prints a curl command"),
    ],
)
def test_what_is_mistyped_gets_an_answer_that_helps(run: Run, sandbox: Sandbox, words: str, said: str) -> None:
    ended = run(*words.split())
    assert ended.code in (2, 4)
    assert said in ended.err
    assert not any(method == "POST" for method, _, _ in sandbox.calls)


def test_help_lists_only_the_options_that_a_command_uses(run: Run) -> None:
    assert "--url" not in run("completion", "--help").out
    assert "--token" not in run("profiles", "--help").out
    assert "--curl" not in run("wait", "--help").out
    assert run("wait", "--help").out.count("--timeout SECONDS") == 2  # in the usage, and once explained
    assert "--url" in run("show", "--help").out


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
