"""Several people at one server: the sandbox with the processes of the recorded one."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest
from conftest import Connect
from processmaker import Forbidden, TaskNotClosed
from processmaker.sandbox import Sandbox
from signed_in import BOT, REVIEWER


@pytest.fixture
def reviewer(connect: Connect, sandbox: Sandbox) -> Any:
    return connect(sandbox.url, token=sandbox.token("reviewer"), transport=sandbox.transport())


def test_what_waits_for_another_user_is_seen_and_is_theirs_to_complete(pm: Any, reviewer: Any) -> None:
    request = pm.start("Reviewed", {"n": 1})
    (task,) = pm.tasks(request)
    assert (task.name, task.user_id, task.completable) == ("Review", REVIEWER, False)
    with pytest.raises(Forbidden, match="waits for user 5"):
        pm.complete(task)
    assert pm.tasks() == []
    (theirs,) = reviewer.tasks()
    assert (theirs.id, theirs.completable, theirs.request_id) == (task.id, True, request.id)
    assert reviewer.complete(theirs, {"approved": True}).status == "CLOSED"
    assert pm.wait(request).data == {"n": 1, "approved": True}


def test_watching_follows_a_request_from_one_user_to_the_next(pm: Any, reviewer: Any) -> None:
    seen = []
    for progress in pm.watch(pm.start("Reviewed Twice")):
        seen.append((progress.request.status, [(task.name, task.completable) for task in progress.tasks]))
        for task in progress.tasks:
            (pm if task.completable else reviewer).complete(task.id)
    assert seen == [("ACTIVE", [("Fill in", True)]), ("ACTIVE", [("Review", False)]), ("COMPLETED", [])]


def test_a_wait_for_a_task_ends_with_anybodys(pm: Any) -> None:
    assert pm.wait(pm.start("Reviewed"), until="task", timeout=1).status == "ACTIVE"


def test_the_tasks_of_a_sub_process_are_those_of_its_child(pm: Any, reviewer: Any) -> None:
    parent = pm.start("Calls the Reviewed", {"n": 1})
    assert pm.tasks(parent) == []
    with closing(pm.watch(parent)) as changes:
        assert next(changes).tasks == ()
    (child,) = pm.children(parent)
    assert (child.parent_request_id, child.name, child.user_id) == (parent.id, "Reviewed", BOT)
    assert pm.children(child) == []
    (task,) = pm.tasks(child)
    reviewer.complete(task.id, {"approved": True})
    assert pm.wait(parent).data == {"n": 1, "approved": True}


def test_more_tasks_than_the_server_shows_at_once(pm: Any) -> None:
    assert [task.name for task in pm.tasks(pm.start("Fan Out"))] == [f"Part {number}" for number in range(1, 16)]


def test_who_claims_first_has_the_task(pm: Any, reviewer: Any) -> None:
    request = pm.start("Claim")
    (task,) = pm.tasks(request)
    assert (task.user_id, task.is_self_service, task.completable) == (None, True, True)
    assert [waiting.id for waiting in reviewer.tasks()] == [task.id]
    claimed = reviewer.claim(task)
    assert (claimed.user_id, claimed.is_self_service, claimed.completable) == (REVIEWER, False, True)
    with pytest.raises(Forbidden, match="cannot be claimed: it is another user's, or has been claimed already"):
        pm.claim(task)
    (now,) = pm.tasks(request)
    assert (now.user_id, now.completable) == (REVIEWER, False)


def test_the_first_call_of_a_client_may_be_a_claim(pm: Any, reviewer: Any) -> None:
    (task,) = pm.tasks(pm.start("Claim"))
    assert reviewer.claim(task.id).user_id == REVIEWER


def test_an_administrator_sees_all_tasks(pm: Any, admin: Any) -> None:
    (task,) = admin.tasks(pm.start("Reviewed"))
    assert (task.user_id, task.element_id, task.completable) == (REVIEWER, "node_t", None)


def test_a_locked_request_completes_nothing(connect: Connect, sandbox: Sandbox) -> None:
    """The server tries for a minute before it answers 200."""
    pm = connect(sandbox.url, token=sandbox.token(), transport=sandbox.transport(), timeout=90)
    request = pm.start("Two Steps")
    (task,) = pm.tasks(request)
    sandbox.request(request.id).locked = True
    with pytest.raises(TaskNotClosed, match="Do not complete it again"):
        pm.complete(task, {"a": 1}, look_again_for=5)
    assert pm.get(request).data == {}
    sandbox.request(request.id).locked = False
    assert pm.complete(task, {"a": 1}).status == "CLOSED"
    assert [now.name for now in pm.tasks(request)] == ["Review"]


def test_all_processes_are_seen_and_each_starts_by_its_name(pm: Any, sandbox: Sandbox) -> None:
    assert pm.start("Signal or Manual", event="Order arrived").status == "COMPLETED"
    # One narrow look and the start.
    assert [call.path for call in sandbox.calls] == ["/start_processes", "/process_events/16"]
    found = pm.processes()
    assert len(found) > 50
    assert pm.start("Bulk 60").process_id == 60
