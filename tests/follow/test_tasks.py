"""Whose a task is, who may complete it, and when it is completed."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import httpx
import pytest
from conftest import START_OF_TIME, Connect
from processmaker import (
    AsyncProcessMaker,
    ConfigurationError,
    Forbidden,
    ProcessMaker,
    ProcessMakerError,
    ServerError,
    TaskNotClosed,
    UnreadableResponse,
    WaitTimeout,
)
from processmaker.sandbox import Clock
from signed_in import BOT, REVIEWER, token_of

URL = "https://pm.example.com"
Row = dict[str, Any]


def row(number: int, user_id: int | None, status: str = "ACTIVE", **more: Any) -> Row:
    """A task as GET /tasks lists it."""
    return {
        "id": number,
        "element_name": f"Task {number}",
        "element_id": f"node_{number}",
        "status": status,
        "user_id": user_id,
        "process_request_id": 7,
        "process_id": 2,
        "is_self_service": int(user_id is None),
        **more,
    }


class Server:
    """A ProcessMaker with one Request, number 7, whose tasks a test describes."""

    def __init__(self, active: list[Row] | None, listed: list[Row], status: str = "ACTIVE") -> None:
        self.active = active
        self.listed = listed
        self.status = status
        self.completed: Callable[[int], httpx.Response] = lambda number: httpx.Response(
            200, json=row(number, BOT, "CLOSED")
        )
        self.calls: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path, query = request.url.path.removeprefix("/api/1.0"), request.url.params
        self.calls.append(f"{request.method} {path}")
        if request.method == "PUT":
            return self.completed(int(path.rpartition("/")[2]))
        if path == "/tasks":
            rows = [task for task in self.listed if query.get("status") in (None, task["status"])]
            return httpx.Response(200, json={"data": rows, "meta": {"last_page": 1}})
        answer: dict[str, Any] = {"id": 7, "status": self.status, "name": "Order", "process_id": 2, "data": {}}
        if self.active is not None and "activeTasks" in query.get("include", ""):
            shown = ("id", "element_name", "status", "user_id")
            answer["active_tasks"] = [{name: task[name] for name in shown} for task in self.active]
        return httpx.Response(200, json=answer)

    def client(self, connect: Connect, token: str = token_of(BOT)) -> Any:
        return connect(URL, token=token, transport=httpx.MockTransport(self), retries=None, clock=Clock(START_OF_TIME))


# --- whose a task is ------------------------------------------------------------------------------------------------


def test_tasks_say_whose_they_are_and_who_may_complete_them(connect: Connect) -> None:
    mine, claimable, another = row(1, BOT), row(2, None), row(3, REVIEWER)
    server = Server(active=[another, claimable, mine], listed=[mine, claimable])
    found = server.client(connect).tasks(7)
    assert [(task.id, task.user_id, task.completable) for task in found] == [
        (1, BOT, True),
        (2, None, True),
        (3, REVIEWER, False),
    ]
    assert [task.element_id for task in found] == ["node_1", "node_2", ""]
    assert {(task.request_id, task.process_id) for task in found} == {(7, 2)}


def test_a_task_that_nobody_here_may_claim_is_not_completable(connect: Connect) -> None:
    (task,) = Server(active=[row(2, None)], listed=[]).client(connect).tasks(7)
    assert (task.user_id, task.completable) == (None, False)


def test_an_own_task_that_is_closed_meanwhile_is_left_out(connect: Connect) -> None:
    assert Server(active=[row(1, BOT)], listed=[]).client(connect).tasks(7) == []


def test_a_task_that_is_opened_meanwhile_is_there(connect: Connect) -> None:
    found = Server(active=[row(3, REVIEWER)], listed=[row(4, BOT)]).client(connect).tasks(7)
    assert [(task.id, task.completable) for task in found] == [(3, False), (4, True)]


def test_a_request_without_open_tasks_costs_one_call(connect: Connect) -> None:
    server = Server(active=[], listed=[])
    assert server.client(connect).tasks(7) == []
    assert server.calls == ["GET /requests/7"]


@pytest.mark.parametrize("token", ["opaque", "a.b.c", "a.bm8.c", "a.W10.c", token_of(BOT).replace(".", "-")])
def test_without_an_own_id_it_is_not_known_who_may_complete_a_listed_task(connect: Connect, token: str) -> None:
    server = Server(active=[row(1, BOT), row(2, None), row(3, REVIEWER)], listed=[row(1, BOT), row(2, None)])
    assert [task.completable for task in server.client(connect, token).tasks(7)] == [None, True, False]


def test_whoever_is_shown_tasks_of_others_does_not_know_who_may_complete_them(connect: Connect) -> None:
    """An administrator is, and everybody by a server before 4.11."""
    rows = [row(1, BOT), row(2, None), row(3, REVIEWER)]
    found = Server(active=rows, listed=rows).client(connect).tasks(7)
    assert [task.completable for task in found] == [True, None, None]


def test_a_server_that_names_no_active_tasks_shows_those_it_lists(connect: Connect) -> None:
    server = Server(active=None, listed=[row(1, BOT)])
    pm = server.client(connect)
    assert [(task.id, task.completable) for task in pm.tasks(7)] == [(1, True)]
    assert pm.wait(7, until="task").status == "ACTIVE"
    with closing(pm.watch(7)) as changes:
        assert [task.id for task in next(changes).tasks] == [1]
    server.listed = []
    with pytest.raises(WaitTimeout):
        pm.wait(7, until="task", timeout=3)


def test_a_wait_for_a_task_is_one_call_a_look(connect: Connect) -> None:
    server = Server(active=[row(3, REVIEWER)], listed=[])
    assert server.client(connect).wait(7, until="task").id == 7
    assert server.calls == ["GET /requests/7"]


def test_watching_reads_the_list_of_tasks_only_after_a_change(connect: Connect) -> None:
    server = Server(active=[row(3, REVIEWER)], listed=[])
    seen = []
    changes = server.client(connect).watch(7, timeout=20)
    for progress in changes:
        seen.append([task.id for task in progress.tasks])
        if len(seen) == 2:
            break
        server.active = [row(4, REVIEWER)]
    with pytest.raises(WaitTimeout):
        next(changes)
    assert seen == [[3], [4]]
    assert server.calls.count("GET /tasks") == 2
    assert server.calls.count("GET /requests/7") > 4


def test_tasks_without_a_request_are_those_of_the_token(connect: Connect) -> None:
    server = Server(active=None, listed=[row(1, BOT), row(2, None), row(9, BOT, "CLOSED")])
    assert [(task.id, task.completable) for task in server.client(connect).tasks()] == [(1, True), (2, True)]


# --- completing -----------------------------------------------------------------------------------------------------


def accepted(number: int) -> httpx.Response:
    """What a locked Request, or a server with a message broker, answers."""
    return httpx.Response(200, json=row(number, BOT, "ACTIVE"))


def test_a_completion_that_takes_effect_later_is_waited_for(connect: Connect) -> None:
    server = Server(active=None, listed=[row(1, BOT)])
    server.completed = accepted
    pm = server.client(connect)
    clock, sleep = pm._io.clock, pm._io.clock.sleep

    def close_at_five(seconds: float) -> None:
        sleep(seconds)
        if clock.monotonic() - began > 5:
            server.listed = [row(1, BOT, "CLOSED")]

    async def async_close(seconds: float) -> None:
        close_at_five(seconds)

    began, clock.sleep, clock.async_sleep = clock.monotonic(), close_at_five, async_close
    done = pm.complete(1)
    assert (done.status, done.completable) == ("CLOSED", False)
    assert server.calls.count("PUT /tasks/1") == 1


def test_a_completion_that_does_not_take_effect_in_time_says_not_to_repeat_it(connect: Connect) -> None:
    server = Server(active=None, listed=[row(1, BOT)])
    server.completed = accepted
    pm = server.client(connect)
    began = pm._io.clock.monotonic()
    with pytest.raises(TaskNotClosed, match=r"ACTIVE 15 s after .* Do not complete it again .* tasks\(7\)") as failure:
        pm.complete(1)
    assert pm._io.clock.monotonic() - began == pytest.approx(15)
    assert server.calls.count("PUT /tasks/1") == 1
    assert (failure.value.processed, failure.value.retryable, failure.value.task.id) == (None, False, 1)


def test_a_completed_task_that_is_not_listed_any_more_is_closed(connect: Connect) -> None:
    """A self-service task that nobody claimed belongs to nobody afterwards."""
    server = Server(active=[row(3, REVIEWER)], listed=[])
    server.completed = lambda number: httpx.Response(200, json=row(number, None, "ACTIVE"))
    assert server.client(connect).complete(2).status == "CLOSED"


def test_looks_that_fail_do_not_hide_that_the_completion_was_accepted(connect: Connect) -> None:
    server = Server(active=None, listed=[row(1, BOT)])

    def answer(request: httpx.Request) -> httpx.Response:
        return server(request) if request.method == "PUT" else httpx.Response(502)

    server.completed = accepted
    pm = connect(
        URL, token=token_of(BOT), transport=httpx.MockTransport(answer), retries=None, clock=Clock(START_OF_TIME)
    )
    with pytest.raises(TaskNotClosed) as failure:
        pm.complete(1)
    assert isinstance(failure.value.__cause__, ServerError)


def test_an_answer_without_a_status_is_no_completion(connect: Connect) -> None:
    server = Server(active=None, listed=[])
    server.completed = lambda number: httpx.Response(200, json={"id": number})
    with pytest.raises(UnreadableResponse, match="Whether task 1 was completed is not known") as failure:
        server.client(connect).complete(1)
    assert failure.value.processed is None


def test_completing_the_task_of_another_user_says_whose_it_is(connect: Connect) -> None:
    server = Server(active=[row(3, REVIEWER)], listed=[])
    server.completed = lambda _: httpx.Response(403, json={"message": "This action is unauthorized."})
    pm = server.client(connect)
    (task,) = pm.tasks(7)
    with pytest.raises(Forbidden, match='Task 3 "Task 3", which waits for user 5, is not this user') as refusal:
        pm.complete(task)
    assert (refusal.value.status_code, refusal.value.processed) == (403, False)
    with pytest.raises(Forbidden, match="Task 3 is not this user's to complete"):
        pm.complete(3)


REFUSED = r"Another call of this process is completing task 1\. Nothing was sent"


def test_threads_do_not_complete_one_task_at_once() -> None:
    begun, answered = threading.Event(), threading.Event()
    server = Server(active=None, listed=[])

    def answer(request: httpx.Request) -> httpx.Response:
        begun.set()
        answered.wait(10)
        return server(request)

    def complete() -> str:
        # Two clients, as two parts of one program may have them.
        with ProcessMaker(URL, token="t", transport=httpx.MockTransport(answer)) as pm:
            return pm.complete(1).status

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(complete)
        assert begun.wait(10)
        with pytest.raises(ProcessMakerError, match=REFUSED) as refusal:
            complete()
        assert (refusal.value.processed, refusal.value.retryable) == (False, True)
        answered.set()
        assert first.result(10) == "CLOSED"
    assert server.calls == ["PUT /tasks/1"]
    assert complete() == "CLOSED"


def test_tasks_of_a_loop_do_not_complete_one_task_at_once() -> None:
    server = Server(active=None, listed=[])

    async def answer(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0.01)
        return server(request)

    async def both() -> list[Any]:
        async with AsyncProcessMaker(URL, token="t", transport=httpx.MockTransport(answer)) as pm:
            return list(await asyncio.gather(pm.complete(1), pm.complete(1), return_exceptions=True))

    first, second = asyncio.run(both())
    assert first.status == "CLOSED"
    assert re.search(REFUSED, str(second))
    assert server.calls == ["PUT /tasks/1"]


def test_a_completion_that_is_cancelled_holds_up_no_other() -> None:
    server = Server(active=None, listed=[])

    async def answer(request: httpx.Request) -> httpx.Response:
        if not server.calls:
            server.calls.append("hangs")
            await asyncio.sleep(60)
        return server(request)

    async def cancelled() -> str:
        async with AsyncProcessMaker(URL, token="t", transport=httpx.MockTransport(answer)) as pm:
            first = asyncio.ensure_future(pm.complete(1))
            while not server.calls:
                await asyncio.sleep(0)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            return (await pm.complete(1)).status

    assert asyncio.run(cancelled()) == "CLOSED"


def test_a_forked_child_may_complete_what_its_parent_is_completing() -> None:
    begun, answered = threading.Event(), threading.Event()

    def slow(request: httpx.Request) -> httpx.Response:
        begun.set()
        answered.wait(10)
        return Server(active=None, listed=[])(request)

    def complete(handler: Callable[[httpx.Request], httpx.Response]) -> str:
        with ProcessMaker(URL, token="t", transport=httpx.MockTransport(handler)) as pm:
            return pm.complete(1).status

    with ThreadPoolExecutor(1) as pool:
        parents = pool.submit(complete, slow)
        assert begun.wait(10)
        child = os.fork()
        if child == 0:
            signal.alarm(10)
            os._exit(0 if complete(Server(active=None, listed=[])) == "CLOSED" else 1)
        answered.set()
        assert parents.result(10) == "CLOSED"
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# --- claiming -------------------------------------------------------------------------------------------------------


def test_a_claim_that_was_not_carried_out_is_an_error(connect: Connect) -> None:
    server = Server(active=None, listed=[])
    server.completed = lambda number: httpx.Response(200, json=row(number, REVIEWER))
    with pytest.raises(ProcessMakerError, match="accepted the claim of task 2, but it is user 5's") as failure:
        server.client(connect).claim(2)
    assert failure.value.retryable is False


def test_a_claim_needs_a_token_that_says_whose_it_is(connect: Connect) -> None:
    server = Server(active=None, listed=[])
    with pytest.raises(ConfigurationError, match="the token does not say whose it is"):
        server.client(connect, "opaque").claim(2)
    assert "PUT /tasks/2" not in server.calls


def test_a_claim_whose_answer_gets_lost_says_how_to_find_out(connect: Connect) -> None:
    server = Server(active=None, listed=[])

    def lost(_: int) -> httpx.Response:
        raise httpx.ReadTimeout("")

    server.completed = lost
    with pytest.raises(ProcessMakerError, match="Whether task 2 was claimed is not known") as failure:
        server.client(connect).claim(2)
    assert failure.value.processed is None
