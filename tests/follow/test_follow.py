"""Following a Request: read it, list, wait for it, watch it, complete its tasks, cancel it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from processmaker import (
    CancelNotAllowed,
    Forbidden,
    InvalidData,
    NotFound,
    ProcessMakerError,
    RequestCanceled,
    RequestFailed,
    ServerError,
    TaskAlreadyClosed,
    TimedOut,
    WaitTimeout,
)
from processmaker.sandbox import Sandbox


class Meanwhile:
    """Lets something happen in the sandbox when its clock passes a moment, as if somebody else had done it."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._clock = sandbox.clock
        self._events: list[tuple[float, Any]] = []
        self.pauses: list[float] = []

    def after(self, seconds: float, do: Any) -> None:
        self._events.append((self._clock.monotonic() + seconds, do))

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self._clock.advance(seconds)
        for due in [event for event in self._events if event[0] <= self._clock.monotonic()]:
            self._events.remove(due)
            due[1]()

    async def async_sleep(self, seconds: float) -> None:
        self.sleep(seconds)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._clock, name)


@pytest.fixture
def meanwhile(pm: Any, sandbox: Sandbox) -> Meanwhile:
    pm._io.clock = Meanwhile(sandbox)
    return pm._io.clock  # type: ignore[no-any-return]


def finish_tasks(pm: Any, request: Any) -> None:
    while open_tasks := pm.tasks(request):
        pm.complete(open_tasks[0])


def test_a_request_is_read_with_its_data(pm: Any) -> None:
    request = pm.start("Leave Request", {"days": 3})
    assert request.data is None
    assert pm.get(request).data == pm.get(request.id).data == {"days": 3}
    assert pm.get(request).created is None


def test_one_include_may_be_given_as_it_is(pm: Any) -> None:
    request = pm.start("Leave Request", {"days": 3})
    assert pm.get(request, include="data").data == {"days": 3}
    assert next(iter(pm.requests(include="data"))).data == {"days": 3}


def test_an_include_that_does_not_exist_is_refused_with_those_that_do(pm: Any, sandbox: Sandbox) -> None:
    for include in ("dat", ["data", "dat"], "data,dat"):
        for ask in (lambda include=include: pm.get(1, include=include), lambda i=include: list(pm.requests(include=i))):
            with pytest.raises(InvalidData, match="there is no 'dat' to include; there are: data, summary, process"):
                ask()
    assert sandbox.calls == []


@pytest.mark.parametrize(
    "odd",
    [
        *({"per_page": value} for value in (0, -1, 1.5, "10", True, 2**70)),
        *({"order_direction": value} for value in ("down", "", "ASC", 1)),
    ],
)
def test_a_list_that_cannot_be_meant_is_refused(pm: Any, sandbox: Sandbox, odd: dict[str, Any]) -> None:
    with pytest.raises(InvalidData, match="|".join(odd)):
        list(pm.requests(**odd))
    assert sandbox.calls == []


@pytest.mark.parametrize("by", ["id", "value"])
def test_canceling_what_is_over_says_so(pm: Any, sandbox: Sandbox, by: str) -> None:
    request = pm.start("Auto Approve")
    words = f'Request {request.id} of "Auto Approve" is over: it is COMPLETED'
    with pytest.raises(CancelNotAllowed, match=words) as error:
        pm.cancel(request if by == "value" else request.id)
    assert error.value.processed is False
    assert error.value.request
    assert error.value.request.id == request.id
    assert sandbox.request(request.id).status == "COMPLETED"


def test_canceling_again_is_no_error(admin: Any) -> None:
    canceled = admin.cancel(admin.start(2, event="node_1"))
    assert admin.cancel(canceled) == canceled
    assert admin.cancel(canceled.id).status == "CANCELED"


def test_the_key_is_known_where_the_summary_was_read(pm: Any) -> None:
    keyed, other = pm.start("Leave Request", idempotency_key="leave-17"), pm.start("Leave Request")
    assert pm.get(keyed, include=["summary"]).idempotency_key == "leave-17"
    assert pm.get(other, include=["summary"]).idempotency_key is None
    assert [row.idempotency_key for row in pm.requests(include="summary")] == ["leave-17", None]
    assert pm.get(keyed).idempotency_key is None


def test_empty_data_is_an_empty_dict(pm: Any) -> None:
    assert pm.get(pm.start("Auto Approve")).data == {}


def test_an_unknown_request_and_somebody_elses_are_told_apart(pm: Any, admin: Any) -> None:
    secret = admin.start("Payroll")
    with pytest.raises(NotFound):
        pm.get(4711)
    with pytest.raises(Forbidden):
        pm.get(secret)


@pytest.mark.parametrize("nonsense", [0, -1, True, "17", None, 1.0])
def test_what_cannot_be_a_request_is_refused_before_sending(pm: Any, sandbox: Sandbox, nonsense: Any) -> None:
    calls = (pm.get, pm.children, pm.cancel, pm.wait) + (() if nonsense is None else (pm.tasks,))
    for call in calls:
        with pytest.raises(InvalidData, match="neither a Request nor the id of one"):
            call(nonsense)
    assert sandbox.calls == []


def test_a_request_is_not_taken_for_a_task(pm: Any) -> None:
    request = pm.start("Leave Request")
    with pytest.raises(InvalidData, match="neither a Task nor the id of one"):
        pm.complete(request)


def test_requests_come_over_all_pages(pm: Any, sandbox: Sandbox) -> None:
    ids = [pm.start(4, event="node_1").id for _ in range(7)]
    sandbox.calls.clear()
    assert [request.id for request in pm.requests(per_page=3)] == ids
    assert len(sandbox.calls) == 3


def test_a_server_that_gives_the_same_page_for_ever_does_not_hold_us(connect: Any) -> None:
    page = {"data": [{"id": 1, "status": "ACTIVE"}], "meta": {"last_page": 10**9}}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=page))
    pm = connect("https://pm.example.com", token="t", transport=transport)
    assert [request.id for request in pm.requests()] == [1]


def test_a_page_is_fetched_when_it_is_needed(pm: Any, sandbox: Sandbox) -> None:
    for _ in range(3):
        pm.start(4, event="node_1")
    sandbox.calls.clear()
    requests = iter(pm.requests(per_page=1))
    next(requests)
    assert len(sandbox.calls) == 1
    requests.close()


def test_requests_are_chosen_with_pmql(pm: Any) -> None:
    leave = pm.start("Leave Request")
    pm.start("Auto Approve")
    assert [request.id for request in pm.requests('status = "In Progress"')] == [leave.id]
    assert [request.id for request in pm.requests(pmql='status = "In Progress"')] == [leave.id]


def test_pmql_that_cannot_be_read_is_an_error_in_the_servers_words(pm: Any) -> None:
    with pytest.raises(ProcessMakerError, match="PMQL contains invalid syntax"):
        list(pm.requests("status ((("))


def test_a_wait_returns_the_completed_request(pm: Any, sandbox: Sandbox, meanwhile: Meanwhile) -> None:
    request = pm.start("Leave Request", {"days": 3})
    meanwhile.after(20, lambda: sandbox.finish(request.id))
    done = pm.wait(request)
    assert (done.status, done.finished, done.data) == ("COMPLETED", True, {"days": 3})


def test_the_pauses_of_a_wait_grow_and_stay_within_ten_seconds(pm: Any, meanwhile: Meanwhile) -> None:
    request = pm.start("Leave Request")
    with pytest.raises(WaitTimeout):
        pm.wait(request, timeout=60)
    growing = meanwhile.pauses[:-1]
    assert growing == sorted(growing)
    assert growing[0] == 0.5
    assert max(growing) == 10
    assert sum(meanwhile.pauses) == pytest.approx(60)


def test_a_wait_that_is_over_carries_the_last_state(pm: Any, meanwhile: Meanwhile) -> None:
    request = pm.start("Leave Request")
    with pytest.raises(WaitTimeout, match=r"still ACTIVE after 3 s\. It goes on") as over:
        pm.wait(request.id, timeout=3)
    assert over.value.request_id == request.id
    assert over.value.request == pm.get(request)
    assert sum(meanwhile.pauses) == pytest.approx(3)


def test_a_wait_ends_with_the_engines_messages(pm: Any, sandbox: Sandbox, meanwhile: Meanwhile) -> None:
    request = pm.start("Leave Request")
    meanwhile.after(2, lambda: sandbox.fail(request.id, "Script exploded"))
    with pytest.raises(RequestFailed, match="Script exploded") as failure:
        pm.wait(request)
    assert failure.value.request.status == "ERROR"


def test_a_wait_ends_when_somebody_cancels(pm: Any, sandbox: Sandbox, meanwhile: Meanwhile) -> None:
    request = pm.start("Leave Request")
    meanwhile.after(2, lambda: sandbox.cancel(request.id))
    with pytest.raises(RequestCanceled) as failure:
        pm.wait(request)
    assert failure.value.request.status == "CANCELED"


def test_a_wait_for_a_task_ends_with_the_first_task(pm: Any) -> None:
    request = pm.start("Two Steps")
    assert pm.wait(request, until="task").status == "ACTIVE"
    finish_tasks(pm, request)
    assert pm.wait(request, until="task").status == "COMPLETED"


def test_a_wait_for_a_condition_asks_it_of_each_state(pm: Any, sandbox: Sandbox, meanwhile: Meanwhile) -> None:
    request = pm.start("Two Steps", {"title": "Laptop"})
    meanwhile.after(3, lambda: sandbox.request(request.id).data.update(cost=900))
    assert pm.wait(request, until=lambda now: now.data.get("cost") == 900).data["cost"] == 900


def test_a_condition_that_can_no_longer_come_ends_the_wait(pm: Any) -> None:
    request = pm.start("Auto Approve")
    with pytest.raises(WaitTimeout, match="is COMPLETED and changes no more"):
        pm.wait(request, until=lambda _: False)


def test_a_condition_may_be_an_error(pm: Any, sandbox: Sandbox) -> None:
    request = pm.start("Leave Request")
    sandbox.fail(request.id)
    assert pm.wait(request, until=lambda now: now.status == "ERROR").errors


@pytest.mark.parametrize("fault", ["answer lost", "refused", "reset", 429, 500, 502, 503, "html", "truncated"])
def test_what_may_pass_does_not_end_a_wait(pm: Any, sandbox: Sandbox, meanwhile: Meanwhile, fault: Any) -> None:
    request = pm.start("Leave Request")
    sandbox.fail_next(fault, on="GET", times=6)
    meanwhile.after(30, lambda: sandbox.finish(request.id))
    assert pm.wait(request).status == "COMPLETED"


def test_a_wait_that_never_saw_a_state_tells_why(pm: Any, sandbox: Sandbox) -> None:
    request = pm.start("Leave Request")
    sandbox.fail_next(500, on="GET", times=99)
    with pytest.raises(WaitTimeout, match="could not be read within 10 s: ") as over:
        pm.wait(request.id, timeout=10)
    assert (over.value.request, over.value.request_id) == (None, request.id)
    assert isinstance(over.value.__cause__, ServerError)


def test_no_look_of_a_wait_takes_longer_than_what_is_left(connect: Any, sandbox: Sandbox) -> None:
    allowed: list[tuple[float, float]] = []

    def slow(request: httpx.Request) -> httpx.Response:
        allowed.append((sandbox.clock.monotonic() - began, request.extensions["timeout"]["read"]))
        sandbox.clock.advance(2)
        raise httpx.ReadTimeout("", request=request)

    pm = connect("https://pm.example.com", token="t", transport=httpx.MockTransport(slow), clock=sandbox.clock)
    began = sandbox.clock.monotonic()
    with pytest.raises(WaitTimeout):
        pm.wait(1, timeout=9)
    assert len(allowed) > 2
    for at, read in allowed:
        assert read == pytest.approx(max(9 - at, 1), abs=0.5)  # real time passes, too


def test_what_will_not_pass_ends_a_wait(pm: Any) -> None:
    with pytest.raises(NotFound):
        pm.wait(4711)


@pytest.mark.parametrize(
    "arguments", [{"timeout": -1}, {"timeout": float("inf")}, {"timeout": None}, {"poll": 0}, {"until": "done"}]
)
def test_a_wait_without_bounds_or_sense_is_refused(pm: Any, arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidData, match=next(iter(arguments))):
        pm.wait(1, **arguments)


def test_watching_yields_each_change_of_status_or_tasks(pm: Any) -> None:
    request = pm.start("Two Steps")
    seen = []
    for progress in pm.watch(request):
        seen.append((progress.request.status, [task.name for task in progress.tasks]))
        for task in progress.tasks:
            pm.complete(task)
    assert seen == [("ACTIVE", ["Fill in"]), ("ACTIVE", ["Review"]), ("COMPLETED", [])]


def test_watching_survives_what_may_pass(pm: Any, sandbox: Sandbox, meanwhile: Meanwhile) -> None:
    request = pm.start("Leave Request")
    sandbox.fail_next(502, on="GET /tasks", times=3)
    meanwhile.after(40, lambda: sandbox.finish(request.id))
    assert [progress.request.status for progress in pm.watch(request)] == ["ACTIVE", "COMPLETED"]


def test_watching_has_a_bound(pm: Any) -> None:
    request = pm.start("Leave Request")
    with pytest.raises(WaitTimeout):
        list(pm.watch(request, timeout=30))


def test_completing_a_task_adds_its_data(pm: Any) -> None:
    request = pm.start("Two Steps", {"title": "Laptop"})
    (task,) = pm.tasks(request)
    assert (task.name, task.status, task.request_id, task.user_id) == ("Fill in", "ACTIVE", request.id, 3)
    assert task.due_at is not None
    assert pm.complete(task.id, {"cost": 900}).status == "CLOSED"
    assert pm.get(request).data == {"title": "Laptop", "cost": 900}


def test_a_task_is_completed_once(pm: Any) -> None:
    (task,) = pm.tasks(pm.start("Leave Request"))
    pm.complete(task)
    with pytest.raises(TaskAlreadyClosed, match="Task already closed") as refusal:
        pm.complete(task)
    assert refusal.value.status_code == 422
    assert refusal.value.processed is False


def test_a_task_whose_answer_gets_lost_is_not_completed_again(pm: Any, sandbox: Sandbox) -> None:
    (task,) = pm.tasks(pm.start("Leave Request"))
    sandbox.calls.clear()
    sandbox.fail_next("answer lost", on="PUT /tasks")
    words = rf"Whether task {task.id} was completed is not known. To find out: tasks\({task.request_id}\) lists it"
    with pytest.raises(TimedOut, match=words) as failure:
        pm.complete(task)
    assert failure.value.processed is None
    assert len(sandbox.calls) == 1
    assert pm.tasks(task.request_id) == []


def test_a_cancel_whose_answer_gets_lost_says_how_to_find_out(admin: Any, sandbox: Sandbox) -> None:
    request = admin.start("Leave Request")
    sandbox.fail_next("answer lost", on="PUT /requests")
    words = rf"Whether Request {request.id} was canceled is not known. To find out: look at it, get\({request.id}\)"
    with pytest.raises(TimedOut, match=words):
        admin.cancel(request)
    assert admin.get(request.id).status == "CANCELED"


def test_task_data_that_cannot_be_sent_is_refused(pm: Any, sandbox: Sandbox) -> None:
    with pytest.raises(InvalidData, match=r"data\.when"):
        pm.complete(1, {"when": object()})
    assert sandbox.calls == []


def test_an_administrator_cancels_a_request(admin: Any) -> None:
    request = admin.cancel(admin.start("Leave Request"))
    assert (request.status, request.finished) == ("CANCELED", True)


def test_who_may_not_cancel_is_told_so(pm: Any) -> None:
    request = pm.start("Leave Request")
    with pytest.raises(CancelNotAllowed, match="Not authorized to cancel this request"):
        pm.cancel(request)
    assert pm.get(request).status == "ACTIVE"


def test_a_canceled_request_that_cannot_be_read_counts_as_processed(admin: Any, sandbox: Sandbox) -> None:
    request = admin.start("Leave Request")
    sandbox.fail_next(500, on="GET /requests", times=9)
    with pytest.raises(ServerError) as failure:
        admin.cancel(request)
    assert failure.value.processed is True
    assert sandbox.request(request.id).status == "CANCELED"
