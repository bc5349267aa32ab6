"""What the sandbox does on a server with several users, scripts, sub-processes and signals, beyond the recordings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from processmaker.sandbox import (
    CatchEvent,
    Clock,
    Sandbox,
    SandboxFixture,
    Script,
    StartEvent,
    SubProcess,
    Task,
    ThrowEvent,
)
from processmaker.sandbox._setup import set_up


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox(clock=Clock(datetime(2026, 11, 29, 3, 37, 10, tzinfo=UTC)))


class Clients:
    """A client for each user, by the first part of the user's name."""

    def __init__(self, sandbox: Sandbox, stack: ExitStack) -> None:
        self._sandbox = sandbox
        self._stack = stack

    def __getattr__(self, name: str) -> httpx.Client:
        username = {"bot": "integration.bot", "mail": "mail.user"}.get(name, name)
        headers = {"Authorization": f"Bearer {self._sandbox.token(username)}", "Accept": "application/json"}
        base_url = f"{self._sandbox.url}/api/1.0"
        client = httpx.Client(transport=self._sandbox.transport(), base_url=base_url, headers=headers)
        setattr(self, name, self._stack.enter_context(client))
        return client


@pytest.fixture
def clients(sandbox: Sandbox) -> Iterator[Clients]:
    with ExitStack() as stack:
        yield Clients(sandbox, stack)


def start(client: httpx.Client, process: int, data: object = None, event: str = "node_1") -> Any:
    answer = client.post(f"/process_events/{process}", params={"event": event}, json=data or {})
    assert answer.status_code == 201, answer.text
    return answer.json()


def shown(client: httpx.Client, request_id: int, include: str = "data,activeTasks") -> Any:
    return client.get(f"/requests/{request_id}", params={"include": include}).json()


def open_tasks(client: httpx.Client, **query: Any) -> list[str]:
    rows = client.get("/tasks", params={"status": "ACTIVE", "order_by": "id", **query}).json()["data"]
    return [row["element_name"] for row in rows]


def complete(client: httpx.Client, task_id: int, data: object = None) -> httpx.Response:
    return client.put(f"/tasks/{task_id}", json={"status": "COMPLETED", "data": data or {}})


# Adding processes


def test_an_added_process_has_steps_of_every_kind(sandbox: Sandbox, clients: Clients) -> None:
    sandbox.add_process("Pay", tasks=[Task("Transfer", user="reviewer")])
    order = sandbox.add_process(
        "Order",
        tasks=[
            Script("Check stock", result={"stock": 5}),
            ["Pack", Task("Weigh", user="reviewer")],
            SubProcess("Payment", process="Pay"),
            CatchEvent("Paid", id="paid"),
            Task("Ship", claimable_by=("integration.bot", "reviewer")),
        ],
    )
    request = start(clients.bot, order.id, {"n": 1})["id"]
    assert shown(clients.bot, request)["data"] == {"n": 1, "stock": 5}
    assert open_tasks(clients.bot) == ["Pack"]
    assert open_tasks(clients.admin) == ["Pack", "Weigh"]
    for task in sandbox.request(request).open_tasks:
        assert complete(clients.admin, task.id).json()["status"] == "CLOSED"
    assert open_tasks(clients.bot, process_request_id=request, include_sub_tasks="true") == []
    assert open_tasks(clients.reviewer) == ["Transfer"]
    sandbox.complete(request + 1, {"paid": True})
    assert shown(clients.bot, request)["data"] == {"n": 1, "stock": 5, "paid": True}
    assert clients.mail.post(f"/requests/{request}/events/paid", json={"by": "mail"}).json() == []
    assert open_tasks(clients.reviewer) == open_tasks(clients.bot) == ["Ship"]
    sandbox.complete(request)
    assert shown(clients.bot, request)["status"] == "COMPLETED"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"tasks": "Approve"}, "tasks='Approve' is not a list"),
        ({"tasks": [("node_2", 5)]}, "5 among tasks= is neither a name nor a Task, Script or the like"),
        ({"tasks": [{"name": "Review"}]}, r"\{'name': 'Review'\} among tasks= is neither"),
        ({"tasks": [Task("Review", user="nobody")]}, "no user 'nobody'; there are: admin, integration.bot"),
        ({"tasks": [Task("Review", claimable_by=("nobody",))]}, "no user 'nobody'"),
        ({"tasks": [SubProcess("Pay", process="Payment")]}, "calls a process that is not there: add it first"),
        ({"users": "integration.bot"}, "users='integration.bot' is not a list"),
    ],
)
def test_what_a_process_cannot_be_is_refused_with_its_words(
    sandbox: Sandbox, arguments: dict[str, Any], words: str
) -> None:
    with pytest.raises((ValueError, LookupError), match=words):
        sandbox.add_process("New", **arguments)
    assert "New" not in {process.name for process in sandbox.processes.values()}


def test_a_set_up_file_names_other_peoples_tasks(sandbox: Sandbox, clients: Clients, tmp_path: Any) -> None:
    path = tmp_path / "sandbox.json"
    path.write_text(
        '{"processes": [{"name": "Order", "tasks": ["Enter", {"name": "Review", "user": "reviewer"},'
        ' {"kind": "SubProcess", "name": "Call", "process": "Auto Approve"}]}]}'
    )
    set_up(sandbox, str(path))
    request = start(clients.bot, max(sandbox.processes))["id"]
    sandbox.complete(request)
    assert (open_tasks(clients.bot), open_tasks(clients.reviewer)) == ([], ["Review"])
    sandbox.complete(request)
    assert [one.process_name for one in sandbox.requests] == ["Order", "Auto Approve"]


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ('{"kind": "Gateway", "name": "A"}', r"processes\[0\]: no kind 'Gateway'; there are: Task, Script"),
        ('{"user": "reviewer"}', r"processes\[0\]: Task.__init__\(\) missing .* 'name'"),
        (
            '["A", {"name": "B", "signal": "s"}]',
            r"processes\[0\]: Task.__init__\(\) got an unexpected keyword argument 'signal'",
        ),
    ],
)
def test_a_task_that_a_set_up_file_describes_wrongly_is_refused_with_its_place(
    sandbox: Sandbox, tmp_path: Any, task: str, words: str
) -> None:
    path = tmp_path / "sandbox.json"
    path.write_text(f'{{"processes": [{{"name": "Order", "tasks": [{task}]}}]}}')
    with pytest.raises(ValueError, match=words):
        set_up(sandbox, str(path))


def test_the_fixture_is_small_and_has_a_reviewer(processmaker_sandbox: SandboxFixture) -> None:
    assert max(processmaker_sandbox.processes) == 12
    processmaker_sandbox.add_process("Order", tasks=[Task("Review", user="reviewer")])
    request = processmaker_sandbox.pm.start("Order")
    reviewer = processmaker_sandbox.client(user="reviewer")
    (task,) = reviewer.tasks(request)
    reviewer.complete(task, {"approved": True})
    assert processmaker_sandbox.pm.wait(request).data == {"approved": True}


# Scripts


def test_a_sync_server_answers_after_the_script_and_an_asynchronous_one_before(
    sandbox: Sandbox, clients: Clients
) -> None:
    began = sandbox.clock.now()
    assert start(clients.bot, 13, {"n": 1})["status"] == "ACTIVE"
    assert (sandbox.clock.now() - began).total_seconds() == 2
    assert shown(clients.bot, 1)["status"] == "COMPLETED"

    sandbox.asynchronous = True
    start(clients.bot, 13, {"n": 1})
    assert (sandbox.clock.now() - began).total_seconds() == 2
    assert (shown(clients.bot, 2)["status"], shown(clients.bot, 2)["active_tasks"]) == ("ACTIVE", [])
    sandbox.clock.advance(2)
    assert (shown(clients.bot, 2)["status"], shown(clients.bot, 2)["data"]) == ("COMPLETED", {"n": 1, "scripted": True})


def test_a_script_after_a_task_runs_before_the_completion_is_answered(sandbox: Sandbox, clients: Clients) -> None:
    process = sandbox.add_process(
        "Order", tasks=["Enter", Script("Send", 1, {"sent": 1}), Script("Log", 2, {"log": 2})]
    )
    request = start(clients.bot, process.id)["id"]
    began = sandbox.clock.now()
    assert complete(clients.bot, sandbox.request(request).tasks[0].id).json()["status"] == "CLOSED"
    assert (sandbox.clock.now() - began).total_seconds() == 3
    assert shown(clients.bot, request)["data"] == {"sent": 1, "log": 2}


def test_a_client_that_leaves_during_a_script_does_not_stop_it(sandbox: Sandbox) -> None:
    headers = {"Authorization": f"Bearer {sandbox.token()}"}
    url = f"{sandbox.url}/api/1.0/process_events/13?event=node_1"
    with (
        httpx.Client(transport=sandbox.transport(), headers=headers, timeout=1) as client,
        pytest.raises(httpx.ReadTimeout),
    ):
        client.post(url)
    assert sandbox.requests[0].status == "ACTIVE"
    sandbox.clock.advance(1)
    assert sandbox.requests[0].status == "COMPLETED"


def test_a_canceled_request_ignores_the_end_of_its_script(sandbox: Sandbox, clients: Clients) -> None:
    sandbox.asynchronous = True
    start(clients.bot, 13)
    sandbox.cancel(1)
    sandbox.clock.advance(60)
    assert (sandbox.requests[0].status, sandbox.requests[0].data) == ("CANCELED", {})


def test_a_retry_on_an_asynchronous_server_takes_its_time(sandbox: Sandbox, clients: Clients) -> None:
    sandbox.asynchronous = True
    start(clients.bot, 19)
    sandbox.clock.advance(1)
    assert shown(clients.bot, 1)["status"] == "ERROR"
    assert clients.admin.put("/requests/1/retry").json()["success"] is True
    assert shown(clients.bot, 1)["status"] == "ACTIVE"
    sandbox.clock.advance(1)
    assert len(shown(clients.bot, 1)["errors"]) == 1
    assert clients.reviewer.put("/requests/1/retry").status_code == 403


def test_a_sync_server_waits_for_the_script_of_a_sub_process(sandbox: Sandbox, clients: Clients) -> None:
    process = sandbox.add_process("Order", tasks=[SubProcess("Call", process="Scripted")])
    began = sandbox.clock.now()
    start(clients.bot, process.id)
    assert (sandbox.clock.now() - began).total_seconds() == 2
    assert [request.status for request in sandbox.requests] == ["COMPLETED", "COMPLETED"]


# Locks


def test_completing_a_task_of_a_locked_request_takes_a_minute_and_does_nothing(
    sandbox: Sandbox, clients: Clients
) -> None:
    start(clients.bot, 2)
    sandbox.request(1).locked = True
    began = sandbox.clock.now()
    headers = {"Authorization": f"Bearer {sandbox.token()}"}
    with httpx.Client(transport=sandbox.transport(), headers=headers, timeout=100) as patient:
        answer = patient.put(f"{sandbox.url}/api/1.0/tasks/2", json={"status": "COMPLETED", "data": {"a": 1}})
    assert (answer.status_code, answer.json()["status"]) == (200, "ACTIVE")
    assert (sandbox.clock.now() - began).total_seconds() == 60
    assert shown(clients.bot, 1)["data"] == []

    sandbox.request(1).locked = False
    assert complete(clients.bot, 2).json()["status"] == "CLOSED"


# Sub-processes and signals


def test_a_child_has_a_copy_of_all_data_and_its_own_ends_in_the_parent(sandbox: Sandbox, clients: Clients) -> None:
    start(clients.bot, 64, {"n": 1, "_idempotency_key": "k"})
    parent, child = sandbox.requests
    place = {"process_id": 64, "request_id": 1, "node_id": "node_c"}
    assert (child.parent, child.data["_idempotency_key"], child.data["_parent"]) == (parent, "k", place)
    assert [started.id for started in sandbox.started("Calls and Waits")] == [1]
    assert sandbox.started("Leave Request") == []
    sandbox.complete(child.id, {"ok": True})
    assert parent.status == "COMPLETED"
    assert parent.data == {"n": 1, "_idempotency_key": "k", "ok": True}


def test_the_user_of_a_childs_task_sees_the_child_only(clients: Clients) -> None:
    start(clients.bot, 63)
    assert clients.reviewer.get("/requests/2").status_code == 200
    assert clients.reviewer.get("/requests/1").status_code == 403
    rows = clients.reviewer.get("/tasks").json()["data"]
    assert [(row["process_request_id"], row["can_view_parent_request"]) for row in rows] == [(2, False)]


def test_a_signal_reaches_all_who_wait_and_starts_what_it_starts(sandbox: Sandbox, clients: Clients) -> None:
    caught = sandbox.add_process("Catches", tasks=[CatchEvent("Wait", signal="stock-low"), "Order more"])
    started = sandbox.add_process("Warns", start_events=[StartEvent("by_signal", "Stock", signal="stock-low")])
    retired = sandbox.add_process("Old", start_events=[StartEvent("s", "S", signal="stock-low")], status="INACTIVE")
    throws = sandbox.add_process("Throws", tasks=[ThrowEvent("Warn", signal="stock-low")])
    first, second = (start(clients.bot, caught.id, {"n": n})["id"] for n in (1, 2))
    start(clients.bot, throws.id, {"left": 3})

    assert [sandbox.request(one).data for one in (first, second)] == [{"n": 1, "left": 3}, {"n": 2, "left": 3}]
    assert open_tasks(clients.bot) == ["Order more", "Order more"]
    made = [(one.process_id, one.data, one.parent, one.called) for one in sandbox.requests if one.process == started]
    assert made == [(started.id, {"left": 3}, None, False)]
    assert retired not in [one.process for one in sandbox.requests]


def test_an_event_that_waits_for_a_signal_ignores_a_triggers_body(sandbox: Sandbox, clients: Clients) -> None:
    start(clients.bot, 62)
    assert clients.reviewer.post("/requests/1/events/node_x", json={"a": 1}).status_code == 200
    assert (sandbox.requests[0].status, sandbox.requests[0].data) == ("COMPLETED", {})


# Lists


@pytest.mark.parametrize(("page", "count"), [(1, 10), (6, 8), (7, 0)])
def test_start_processes_has_ten_rows_a_page(clients: Clients, page: int, count: int) -> None:
    found = clients.bot.get("/start_processes", params={"page": page}).json()
    assert (len(found["data"]), found["meta"]["total"], found["meta"]["last_page"]) == (count, 58, 6)


def test_users_and_requests_are_found_by_who_asked(clients: Clients) -> None:
    start(clients.bot, 14)
    start(clients.admin, 4)

    def ids(client: httpx.Client, pmql: str) -> list[int]:
        return [row["id"] for row in client.get("/requests", params={"pmql": pmql}).json()["data"]]

    assert ids(clients.admin, 'requester = "integration.bot"') == [1]
    assert ids(clients.reviewer, "id > 0") == [1]


def test_a_zone_of_the_user_counts_for_times_in_a_query(sandbox: Sandbox, clients: Clients) -> None:
    start(clients.bot, 4)  # at 03:37:10 in UTC, 22:37:10 the day before in New York

    def found(pmql: str) -> bool:
        return bool(clients.bot.get("/requests", params={"pmql": pmql}).json()["data"])

    assert found('created >= "2026-11-29 03:00:00"')
    sandbox.user().timezone = "America/New_York"
    assert not found('created >= "2026-11-29 03:00:00"')
    assert found('created >= "2026-11-28 22:00"')
    assert found('created >= "2026-11-29T03:00:00+09:00"')
    assert not found('created < "2026-11-29"')


# Files


def test_a_file_that_is_not_text_keeps_its_bytes_and_type(clients: Clients) -> None:
    start(clients.bot, 2)
    content = b"%PDF-1.7\r\n\x00\xff--boundary\r\n"
    uploaded = clients.bot.post("/requests/1/files", files={"file": ("an offer.pdf", content, "application/pdf")})
    found = clients.bot.get(f"/requests/1/files/{uploaded.json()['fileUploadId']}")
    assert (found.content, found.headers["content-type"]) == (content, "application/pdf")
    assert found.headers["content-disposition"] == "attachment; filename=an-offer.pdf"


def test_a_file_of_another_request_is_not_found(clients: Clients) -> None:
    start(clients.bot, 2)
    start(clients.bot, 2)
    clients.bot.post("/requests/1/files", files={"file": ("a.txt", b"x")})
    assert clients.bot.get("/requests/2/files/1").status_code == 400
    assert clients.bot.delete("/requests/2/files/1").status_code == 400
    assert clients.bot.get("/requests/2/files").json() == {"data": []}
    assert clients.mail.get("/requests/1/files/1").status_code == 403


# Data


@pytest.mark.parametrize(("length", "stored"), [(8190, "ab"), (8191, "")])
@pytest.mark.parametrize(("begin", "end"), [("<!--", "-->"), ("<?", "?>")])
def test_a_comment_that_is_too_long_loses_the_text(
    sandbox: Sandbox, clients: Clients, begin: str, end: str, length: int, stored: str
) -> None:
    start(clients.bot, 4, {"text": f"a{begin}{'x' * length}{end}b", "open": f"a{begin}{'x' * length}"})
    assert sandbox.requests[0].data == {"text": stored, "open": f"a{begin}{'x' * length}"}
