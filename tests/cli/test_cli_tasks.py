"""Tasks on the command line, on a server where several people have them."""

from __future__ import annotations

import pytest
from command_line import Run
from processmaker.cli import _app
from processmaker.sandbox import Sandbox, Task

PASSWORD = {
    "CLIENT_ID": "3",
    "CLIENT_SECRET": "client-secret",
    "USERNAME": "integration.bot",
    "PASSWORD": "bot-password",
}


@pytest.fixture
def review(sandbox: Sandbox, run: Run) -> None:
    """A Request with a task of this user, one of another user, and one to claim; they are 1 to 3, in this order."""
    mine, theirs = Task("Fill in"), Task("Review", user="reviewer")
    anybodys = Task("Check", claimable_by=("integration.bot", "reviewer"))
    sandbox.add_process("Several People", id=170, tasks=[[mine, theirs, anybodys]])
    run("start", 170, "--event", "node_1")


def ids(run: Run, *words: object) -> dict[str, int]:
    return {task["name"]: task["id"] for task in run("tasks", *words, "--json").lines}


@pytest.mark.usefixtures("review")
def test_the_tasks_of_a_request_are_everybodys_and_say_whose(run: Run) -> None:
    listed = run("tasks", 1)
    assert listed.code == 0
    rows = [line.split() for line in listed.out.splitlines()]
    assert rows[0] == ["ID", "NAME", "STATUS", "REQUEST", "FOR", "ELEMENT", "DUE"]
    assert {name: row for row in rows[1:] for name in row[1:2]}["Review"][3:6] == ["1", "user", "5"]
    assert "to claim" in next(line for line in listed.out.splitlines() if "Check" in line)
    documents = {task["name"]: task for task in run("tasks", 1, "--json").lines}
    assert documents["Review"]["completable"] is False
    assert documents["Check"]["is_self_service"] is True


@pytest.mark.usefixtures("review")
def test_without_a_request_it_lists_what_waits_for_me(run: Run) -> None:
    run("start", 2, "--event", "node_1")
    listed = run("tasks", "--json").lines
    assert {(task["name"], task["request_id"]) for task in listed} == {
        ("Fill in", 1),
        ("Check", 1),
        ("Approve leave", 2),
    }
    assert set(run("tasks", "--quiet").out.split()) == {str(task["id"]) for task in listed}


def test_without_a_task_it_says_so(run: Run) -> None:
    assert run("tasks").out == "no task waits for this user\n"


@pytest.mark.usefixtures("review")
def test_a_task_is_claimed_once(run: Run, sandbox: Sandbox, environ: pytest.MonkeyPatch) -> None:
    task = ids(run, 1)["Check"]
    environ.delenv("PROCESSMAKER_TOKEN")  # a token from a sign-in says whose it is
    for name, value in PASSWORD.items():
        environ.setenv(f"PROCESSMAKER_{name}", value)
    claimed = run("claim", task, "--json")
    assert (claimed.code, claimed.json["user_id"], claimed.json["is_self_service"]) == (0, 3, False)
    environ.setenv("PROCESSMAKER_USERNAME", "reviewer")
    environ.setenv("PROCESSMAKER_PASSWORD", sandbox.user("reviewer").password)
    late = run("claim", task)
    assert late.code == 4
    assert "cannot be claimed" in late.err


@pytest.mark.usefixtures("review")
def test_a_task_of_another_user_is_not_completed(run: Run) -> None:
    ended = run("complete", ids(run, 1)["Review"])
    assert ended.code == 4
    assert "is not this user's to complete" in ended.err


@pytest.mark.usefixtures("review")
def test_wait_until_a_task_of_another_user(run: Run) -> None:
    ended = run("wait", 1, "--until", "task")
    assert ended.code == 0
    assert '"Review"' in ended.err


def test_nothing_is_offered_that_the_server_does_not_do() -> None:
    assert "reassign" not in _app.PLACES
