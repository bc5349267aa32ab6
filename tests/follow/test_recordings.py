"""Following on a lifelike server, as recorded: many processes, several people, sub-processes, scripts.

Calls that the client makes in another way, or not at all, are made with `pm.request`, so that each recording is played
to its end.
"""

from __future__ import annotations

from contextlib import closing
from itertools import islice
from typing import Any

import pytest
from conftest import Connect
from listed import listed_tasks
from processmaker import (
    Forbidden,
    ProcessMakerError,
    ProcessNotFound,
    Progress,
    Request,
    RequestFailed,
    TaskAlreadyClosed,
    TaskNotClosed,
    processes,
)
from processmaker.models import process_from
from processmaker.sandbox import Clock
from replay import replayed
from signed_in import ADMIN, BOT, REVIEWER, token_of

URL = "https://pm.example.com"


@pytest.fixture
def bot(connect: Connect) -> Any:
    return connect(URL, token=token_of(BOT), clock=Clock())


@pytest.fixture
def reviewer(connect: Connect) -> Any:
    return connect(URL, token=token_of(REVIEWER), clock=Clock())


@pytest.fixture
def admin(connect: Connect) -> Any:
    return connect(URL, token=token_of(ADMIN), clock=Clock())


def rows_of(pm: Any, request_id: int, **query: Any) -> list[Any]:
    """GET /tasks as it is."""
    return pm.request("GET", "/tasks", params={"process_request_id": request_id, **query})["data"]  # type: ignore[no-any-return]


def now(pm: Any, request: Request) -> Progress:
    """Where a Request stands."""
    with closing(pm.watch(request)) as changes:
        return next(changes)  # type: ignore[no-any-return]


# --- 1. more processes than fit on a page ---------------------------------------------------------------------------


def test_all_pages_of_processes_are_read(bot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "PER_PAGE", 20)
    with replayed("4.15.5", "start_processes_every_page"):
        found = bot.processes()
    assert len(found) == len({process.id for process in found}) == 54


def test_a_list_of_one_page_is_not_asked_for_another(bot: Any) -> None:
    """The server would give all rows again."""
    with replayed("4.15.5", "start_processes_all_at_once") as cassette:
        # The recording asked for 1,000 rows.
        found = bot.request("GET", "/start_processes", params={"per_page": 1000})
    assert (len(found["data"]), found["meta"]["last_page"], cassette.play_count) == (54, 1, 1)


@pytest.mark.parametrize("version", ["4.15.5", "4.12.2"])
def test_a_name_is_looked_up_with_a_filter_and_compared_exactly(bot: Any, version: str) -> None:
    with replayed(version, "start_processes_filter", "start_active"):
        started = bot.start("Leave Request", {"days": 3, "reason": "Holiday"})
    assert started.process_id == 2  # and not 3, "Leave Request Contractors"


@pytest.mark.parametrize("version", ["4.15.5", "4.12.2"])
def test_a_name_that_the_filter_does_not_find_gets_the_nearest_of_all(bot: Any, version: str) -> None:
    with (
        replayed(version, "start_processes_filter_nothing", "start_processes_bot"),
        pytest.raises(ProcessNotFound, match="there are: ") as failure,
    ):
        bot.start("No Such Process")
    assert {process.id for process in failure.value.processes} == {2, 3, 4, 5, 7, 12}


# --- 2. tasks of other people ---------------------------------------------------------------------------------------


def test_the_task_of_another_user_is_seen(bot: Any, reviewer: Any) -> None:
    with replayed("4.15.5", "tasks_of_another_user"):
        request = bot.start(14, {"n": 1}, event="node_1")
        changes = bot.watch(request)
        (task,) = next(changes).tasks
        assert (task.name, task.status, task.user_id) == ("Review", "ACTIVE", REVIEWER)
        assert (task.completable, task.request_id, task.process_id) == (False, request.id, 14)
        assert task.element_id == ""  # the server does not show it
        with pytest.raises(Forbidden):
            bot.request("GET", f"/tasks/{task.id}")
        with pytest.raises(Forbidden, match='Task 6 "Review", which waits for user 5, is not') as refusal:
            bot.complete(task)
        assert (refusal.value.processed, refusal.value.retryable) == (False, False)
        for _ in range(2):
            assert rows_of(reviewer, request.id, status="ACTIVE")
        assert reviewer.complete(task, {"approved": True}).status == "CLOSED"
        done = next(changes)
        assert (done.request.status, done.tasks) == ("COMPLETED", ())
        assert done.request.data == {"n": 1, "approved": True}
        assert list(changes) == []
        assert rows_of(bot, request.id) == []


def test_a_wait_for_a_task_ends_with_the_task_of_another_user(bot: Any) -> None:
    with replayed("4.15.5", "complete_leads_to_anothers_task"):
        request = bot.start(20, {"n": 1}, event="node_1")
        (mine,) = rows_of(bot, request.id, status="ACTIVE")
        bot.complete(mine["id"], {"filled": True})
        assert rows_of(bot, request.id, status="ACTIVE") == []
        assert bot.wait(request, until="task").status == "ACTIVE"


def test_a_parent_that_waits_for_its_child_has_no_task(bot: Any, admin: Any, reviewer: Any) -> None:
    with replayed("4.15.5", "subprocess_waits_for_another"):
        parent = bot.start(63, {"n": 1}, event="node_1")
        first = now(bot, parent)
        assert (first.request.status, first.tasks) == ("ACTIVE", ())
        assert rows_of(bot, parent.id, status="ACTIVE") == []
        assert rows_of(bot, parent.id, status="ACTIVE", include_sub_tasks="true") == []
        (child,) = bot.children(parent)
        assert (child.parent_request_id, child.process_id, child.user_id) == (parent.id, 14, BOT)
        assert child.case_number == parent.case_number
        assert child.uuid not in ("", parent.uuid)
        assert bot.wait(child, until="task").status == "ACTIVE"
        (task,) = rows_of(admin, parent.id, status="ACTIVE", include_sub_tasks="true")
        reviewer.complete(task["id"], {"approved": True})
        assert bot.get(child).status == "COMPLETED"
        assert bot.wait(parent).data == {"n": 1, "approved": True}


def test_an_own_task_of_a_child_is_completed(bot: Any) -> None:
    with replayed("4.15.5", "subprocess_task_of_mine"):
        parent = bot.start(64, {"n": 1}, event="node_1")
        assert now(bot, parent).tasks == ()
        assert rows_of(bot, parent.id, status="ACTIVE") == []
        (task,) = rows_of(bot, parent.id, status="ACTIVE", include_sub_tasks="true")
        bot.complete(task["id"], {"ok": True})
        assert bot.wait(parent).status == "COMPLETED"


def test_a_self_service_task_is_claimed(bot: Any, reviewer: Any) -> None:
    with replayed("4.15.5", "claim_self_service"):
        request = bot.start(18, event="node_1")
        (task,) = bot.tasks(request)
        assert (task.user_id, task.is_self_service, task.completable) == (None, True, True)
        assert task.element_id == "node_t"
        assert rows_of(reviewer, request.id, status="ACTIVE")
        assert rows_of(bot, request.id, status="ACTIVE", user_id=BOT)
        claimed = bot.claim(task)
        assert (claimed.id, claimed.user_id, claimed.is_self_service) == (task.id, BOT, False)
        assert claimed.completable is True
        assert rows_of(bot, request.id, status="ACTIVE")
        assert rows_of(reviewer, request.id, status="ACTIVE") == []
        with pytest.raises(Forbidden, match="which waits for user 3, cannot be claimed"):
            reviewer.claim(claimed)
        with pytest.raises(Forbidden, match="Not authorized to reassign this task"):
            bot.claim(task.id)
        assert bot.complete(claimed, {"claimed": True}).completable is False
        assert bot.get(request).data == {"claimed": True}


def test_a_self_service_task_is_completed_without_a_claim(bot: Any) -> None:
    with replayed("4.15.5", "complete_self_service_without_claiming"):
        request = bot.start(18, event="node_1")
        (task,) = rows_of(bot, request.id, status="ACTIVE")
        done = bot.complete(task["id"], {"claimed": False})
        assert (done.status, done.user_id) == ("CLOSED", None)
        assert bot.wait(request).status == "COMPLETED"
        assert rows_of(bot, request.id) == []


def test_a_task_that_was_not_reassigned_is_not_claimed(bot: Any, reviewer: Any, admin: Any) -> None:
    """The server says 200 to an administrator who reassigns a task, and does nothing."""
    with replayed("4.15.5", "reassign_task"):
        request = bot.start(14, event="node_1")
        (task,) = bot.tasks(request)
        assert (task.user_id, task.completable) == (REVIEWER, False)
        for pm in (bot, reviewer):
            with pytest.raises(Forbidden):
                pm.request("PUT", f"/tasks/{task.id}", json={"user_id": BOT})
        assert admin.request("PUT", f"/tasks/{task.id}", json={"user_id": BOT})["user_id"] == REVIEWER
        with pytest.raises(Forbidden):
            bot.request("PUT", f"/tasks/{task.id}", json={"user_id": REVIEWER})
        with pytest.raises(Forbidden, match="which waits for user 5"):
            bot.complete(task, {"by": "bot"})
        assert bot.get(request).status == "ACTIVE"


def test_what_waits_for_me_are_own_and_claimable_tasks(bot: Any) -> None:
    with replayed("4.15.5", "tasks_of_me"):
        bot.start(2, event="node_1")
        bot.start(18, event="node_1")
        found = bot.tasks()
        assert {task.user_id for task in found} == {BOT, None}
        assert all(task.completable for task in found)
        assert bot.request("GET", "/tasks", params={"status": "ACTIVE", "order_by": "id", "per_page": 1})["data"]
        assert bot.request("GET", "/tasks", params={"status": "ACTIVE", "user_id": REVIEWER})["data"]


# --- 5. 200 is not always done --------------------------------------------------------------------------------------


def test_a_completion_that_changed_nothing_is_not_done(bot: Any) -> None:
    """The Request was locked: 200, the task is ACTIVE, and nothing happened."""
    with replayed("4.15.5", "complete_while_locked"):
        request = bot.start(12, event="node_1")
        (row,) = rows_of(bot, request.id, status="ACTIVE")
        with pytest.raises(TaskNotClosed, match=r'Task 23 "Fill in" is ACTIVE .* Do not complete it again') as failure:
            bot.complete(row["id"], {"a": 1}, look_again_for=0)
        assert (failure.value.task.id, failure.value.processed, failure.value.retryable) == (23, None, False)
        assert bot.get(request).data == {}
        assert bot.complete(row["id"], {"a": 1}).status == "CLOSED"
        assert [task["status"] for task in rows_of(bot, request.id)] == ["CLOSED", "ACTIVE"]


@pytest.mark.parametrize("name", ["complete_twice_at_once", "complete_twice_at_once_async"])
def test_two_completions_at_once_are_answered_alike(bot: Any, name: str) -> None:
    """What the client avoids within a process: both say CLOSED, and what follows goes wrong."""
    with replayed("4.15.5", name):
        request = bot.start(12, event="node_1")
        (row,) = rows_of(bot, request.id, status="ACTIVE")
        for by in (2, 1):
            assert bot.complete(row["id"], {"by": by}).status == "CLOSED"
        reviews = [task for task in rows_of(bot, request.id) if task["element_id"] == "node_b"]
        if name == "complete_twice_at_once":
            assert [task["status"] for task in reviews] == ["ACTIVE", "ACTIVE"]
            assert bot.get(request).status == "ACTIVE"
            bot.complete(reviews[0]["id"], {"review": 1})
            assert bot.get(request).status == "ACTIVE"
            assert rows_of(bot, request.id)
            bot.complete(reviews[1]["id"], {"review": 2})
            assert bot.get(request).status == "COMPLETED"
        else:
            assert [task["status"] for task in reviews] == ["ACTIVE"]
            assert bot.get(request).status == "ERROR"


# --- 6. a status is right for a moment ------------------------------------------------------------------------------


def test_a_script_completes_a_request_that_was_started_as_active(bot: Any) -> None:
    with replayed("4.15.5", "start_scripted"):
        request = bot.start(13, {"n": 1}, event="node_1")
        assert request.status == "ACTIVE"
        assert bot.wait(request).data == {"n": 1, "scripted": True}
        assert rows_of(bot, request.id, status="ACTIVE") == []


def test_a_script_that_fails_is_seen_by_the_wait(bot: Any) -> None:
    with replayed("4.15.5", "start_script_fails"):
        request = bot.start(19, {"n": 1}, event="node_1")
        assert (request.status, request.errors) == ("ACTIVE", ())
        with pytest.raises(RequestFailed, match=r'Request 40 of "Script Fails" exists, and failed: script exploded$'):
            bot.wait(request)
        assert len(bot.get(request, include="errors").errors) == 2


@pytest.mark.parametrize(
    ("name", "process", "data", "end"),
    [
        ("start_scripted_async", 13, {"n": 1, "scripted": True}, "COMPLETED"),
        ("start_script_fails_async", 19, {}, "ERROR"),
    ],
)
def test_a_queued_script_leaves_the_request_active_without_tasks(
    bot: Any, name: str, process: int, data: dict[str, Any], end: str
) -> None:
    with replayed("4.15.5", name):
        sent = {"n": 1, "_idempotency_key": "async-1"} if process == 13 else {"n": 1}
        answer = bot.request("POST", f"/process_events/{process}", params={"event": "node_1"}, json=sent)
        first = bot.get(answer["id"])
        assert (first.status, first.errors) == ("ACTIVE", ())
        if process == 13:
            assert listed_tasks(bot, first) == []
            assert bot.find("async-1", process=13).id == first.id
        statuses = [bot.get(first, include=()).status for _ in range(3 if process == 13 else 2)]
        assert statuses[-1] == end
        if end == "ERROR":
            with pytest.raises(RequestFailed, match=r"failed: script exploded$"):
                bot.wait(first)
        else:
            assert bot.wait(first).data == data


def test_an_error_is_not_always_the_end(bot: Any, admin: Any) -> None:
    with replayed("4.15.5", "complete_failed_request"):
        request = bot.start(19, {"n": 1}, event="node_1")
        completed = {"status": "COMPLETED"}
        with pytest.raises(Forbidden):
            bot.request("PUT", f"/requests/{request.id}", json=completed)
        admin.request("PUT", f"/requests/{request.id}", json=completed)
        done = bot.wait(request)
        assert done.status == "COMPLETED"
        assert [error["message"] for error in done.errors] == ["script exploded"] * 2
        with pytest.raises(ProcessMakerError, match="Only requests with status: ERROR"):
            admin.request("PUT", f"/requests/{request.id}", json=completed)


def test_a_retry_says_success_although_the_script_fails_again(bot: Any, admin: Any) -> None:
    with replayed("4.15.5", "retry_failed_request"):
        request = bot.start(19, {"n": 1}, event="node_1")
        with pytest.raises(RequestFailed):
            bot.wait(request)
        with pytest.raises(Forbidden):
            bot.request("PUT", f"/requests/{request.id}/retry")
        assert admin.request("PUT", f"/requests/{request.id}/retry")["success"] is True
        with pytest.raises(RequestFailed):
            bot.wait(request)
        assert admin.request("PUT", f"/requests/{request.id}/retry")["success"] is True
        assert (bot.wait(request).status, request.errors) == ("COMPLETED", ())
        with pytest.raises(ProcessMakerError, match="Only requests with ERROR status can be retried"):
            admin.request("PUT", f"/requests/{request.id}/retry")


# --- 7. start events ------------------------------------------------------------------------------------------------


def test_a_signal_start_event_is_listed_once_and_starts_by_name(bot: Any) -> None:
    with replayed("4.15.5", "start_processes_signal_event_listed_twice"):
        # The list was recorded for the filter "Signal", which the client would not use.
        (row,) = bot.request("GET", "/start_processes", params={"filter": "Signal"})["data"]
        process = process_from(row)
        assert [(event.id, event.name, event.manual) for event in process.start_events] == [
            ("node_1", "By hand", True),
            ("node_9", "Order arrived", False),
        ]
        by_hand = bot.start(process)  # the only manual one
        by_name = bot.start(process, {"by": "POST"}, event="Order arrived")
        assert bot.get(by_hand).data == {}
        assert bot.get(by_name).data == {"by": "POST"}


# --- 9. lists that change while they are read -----------------------------------------------------------------------


def test_each_page_of_requests_asks_for_the_ids_above_the_last_one(bot: Any) -> None:
    with replayed("4.15.5", "requests_by_pages_of_ids"):
        for n in range(5):
            bot.start(4, {"n": n}, event="node_1")
        pages = [
            [request.id for request in islice(bot.requests(f"id > {last}", per_page=2), 2)] for last in (28, 30, 32, 33)
        ]
    assert pages == [[29, 30], [31, 32], [33], []]


def test_tasks_are_asked_for_in_the_order_of_their_ids(bot: Any) -> None:
    with replayed("4.15.5", "tasks_page_order"):
        request = bot.start(17, event="node_1")
        assert [task.id for task in listed_tasks(bot, request)] == list(range(25, 40))
        rest = {"status": "ACTIVE", "order_by": "id"}
        assert [row["id"] for row in rows_of(bot, request.id, **rest, order_direction="desc", per_page=2)] == [39, 38]
        assert rows_of(bot, request.id, **rest, page=9) == []


def test_tasks_are_read_over_all_pages(bot: Any) -> None:
    with replayed("4.15.5", "tasks_ten_of_fifteen"):
        assert [task.name for task in listed_tasks(bot, 10)] == [f"Part {n}" for n in range(1, 16)]


# --- 10. canceling parents and children -----------------------------------------------------------------------------


def test_the_child_of_a_canceled_parent_is_completed(bot: Any, admin: Any) -> None:
    with replayed("4.15.5", "cancel_parent"):
        parent = bot.start(64, {"n": 1}, event="node_1")
        (child,) = bot.children(parent)
        (task,) = rows_of(bot, child.id, status="ACTIVE")
        canceled = {"status": "CANCELED"}
        with pytest.raises(Forbidden, match="Not authorized to cancel this request"):
            bot.request("PUT", f"/requests/{parent.id}", json=canceled)
        admin.request("PUT", f"/requests/{parent.id}", json=canceled)
        assert bot.get(parent).status == "CANCELED"
        assert bot.get(child).status == "COMPLETED"
        assert [row["status"] for row in rows_of(bot, child.id)] == ["CLOSED"]
        with pytest.raises(TaskAlreadyClosed):
            bot.complete(task["id"])


def test_the_parent_of_a_canceled_child_goes_on(bot: Any, admin: Any) -> None:
    with replayed("4.15.5", "cancel_child"):
        parent = bot.start(64, {"n": 1}, event="node_1")
        (child,) = bot.children(parent)
        canceled = {"status": "CANCELED"}
        with pytest.raises(Forbidden):
            bot.request("PUT", f"/requests/{child.id}", json=canceled)
        admin.request("PUT", f"/requests/{child.id}", json=canceled)
        assert bot.get(child).status == "CANCELED"
        assert bot.wait(parent).status == "COMPLETED"


def test_canceling_closes_the_tasks_of_others(bot: Any, reviewer: Any, admin: Any) -> None:
    with replayed("4.15.5", "cancel_with_tasks_of_others"):
        request = bot.start(14, event="node_1")
        (row,) = bot.get(request, include="activeTasks").raw["active_tasks"]
        canceled = {"status": "CANCELED"}
        for pm in (bot, reviewer):
            with pytest.raises(Forbidden):
                pm.request("PUT", f"/requests/{request.id}", json=canceled)
        admin.request("PUT", f"/requests/{request.id}", json=canceled)
        assert bot.tasks(request) == []
        assert rows_of(admin, request.id, status="ACTIVE") == []
        with pytest.raises(TaskAlreadyClosed):
            reviewer.complete(row["id"])
        admin.request("PUT", f"/requests/{request.id}", json=canceled)
