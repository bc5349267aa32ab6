"""Starting once: the idempotency key, answers that get lost, and outcomes that stay unknown."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from processmaker import (
    ConnectionFailed,
    InvalidData,
    ProcessNotFound,
    RequestFailed,
    ServerError,
    StartOutcomeUnknown,
    TimedOut,
)
from processmaker.sandbox import Sandbox

LOST_AFTER = ["answer lost", "reset", "html", "empty", "500 after", "502 after", "504 after"]
LOST_BEFORE = ["lost before", 500, "502 before", 504]
START = "POST /process_events"


def test_the_same_key_gives_the_same_request(pm: Any, sandbox: Sandbox) -> None:
    first = pm.start("Leave Request", {"days": 3}, idempotency_key="order-1234")
    second = pm.start("Leave Request", {"days": 3}, idempotency_key="order-1234")
    assert (first.created, second.created) == (True, False)
    assert first.id == second.id
    assert first.idempotency_key == second.idempotency_key == "order-1234"
    assert len(sandbox.requests) == 1


def test_the_same_key_in_another_process_is_another_request(pm: Any, sandbox: Sandbox) -> None:
    pm.start("Leave Request", idempotency_key="k")
    assert pm.start("Auto Approve", idempotency_key="k").created
    assert len(sandbox.requests) == 2


def test_keys_that_differ_in_case_are_different_keys(pm: Any, sandbox: Sandbox) -> None:
    pm.start(4, event="node_1", idempotency_key="Order")
    assert pm.start(4, event="node_1", idempotency_key="order").created
    assert len(sandbox.requests) == 2


def test_the_first_look_can_be_switched_off(pm: Any, sandbox: Sandbox) -> None:
    pm.start(4, event="node_1", idempotency_key="k", look_first=False)
    assert sandbox.calls == [("POST", "/process_events/4", 201)]


def test_the_key_travels_in_the_data_and_is_hidden_from_forms(pm: Any, sandbox: Sandbox) -> None:
    request = pm.start(4, {"n": 1}, event="node_1", idempotency_key="k")
    assert sandbox.request(request.id).data == {"n": 1, "_idempotency_key": "k"}
    assert pm.get(request).data == {"n": 1}


def test_find_is_the_look_up_alone(pm: Any) -> None:
    assert pm.find("k", process="Leave Request") is None
    started = pm.start("Leave Request", idempotency_key="k")
    leave = next(process for process in pm.processes() if process.id == 2)
    assert {pm.find("k", process=process).id for process in (2, "Leave Request", leave)} == {started.id}
    assert pm.find("k", process=4) is None
    with pytest.raises(ProcessNotFound):
        pm.find("k", process="No Such Process")


def test_of_several_requests_with_one_key_the_oldest_is_found(pm: Any) -> None:
    first = pm.start(4, event="node_1", idempotency_key="k", look_first=False)
    pm.start(4, event="node_1", idempotency_key="k", look_first=False)
    assert pm.find("k", process=4).id == first.id


@pytest.mark.parametrize("key", ["", 'say "hi"', "back\\slash", "x" * 201, " padded", "line\nbreak"])
def test_a_key_that_would_not_be_found_again_is_refused(pm: Any, sandbox: Sandbox, key: str) -> None:
    with pytest.raises(InvalidData):
        pm.start(4, event="node_1", idempotency_key=key)
    with pytest.raises(InvalidData):
        pm.find(key, process=4)
    assert sandbox.calls == []


@pytest.mark.parametrize("key", ["order-1234", "a.b:c_d-e 100%", "o'clock", "Größe 7", "x" * 200, "注文-1"])
def test_a_key_is_found_again(pm: Any, key: str) -> None:
    started = pm.start(4, event="node_1", idempotency_key=key)
    assert pm.start(4, event="node_1", idempotency_key=key).id == started.id


@pytest.mark.parametrize("fault", LOST_AFTER)
def test_a_lost_answer_is_found_by_its_key(pm: Any, sandbox: Sandbox, fault: str) -> None:
    sandbox.fail_next(fault, on=START)
    request = pm.start("Leave Request", {"days": 3}, idempotency_key="k")
    assert [started.id for started in sandbox.requests] == [request.id]
    assert (request.created, request.idempotency_key) == (True, "k")


def test_a_server_that_is_still_working_is_waited_for(pm: Any, sandbox: Sandbox) -> None:
    sandbox.fail_next("answer lost", on=START)
    sandbox.fail_next(502, on="GET /requests", times=3)
    began = sandbox.clock.monotonic()
    found = pm.start(4, event="node_1", idempotency_key="k", look_first=False)
    assert found.created is None, "without a first look it may have been there before"
    assert [request.id for request in sandbox.requests] == [found.id]
    assert 0 < sandbox.clock.monotonic() - began < 15


@pytest.mark.parametrize("fault", LOST_BEFORE)
def test_a_start_that_never_shows_up_is_unknown(pm: Any, sandbox: Sandbox, fault: Any) -> None:
    sandbox.fail_next(fault, on=START)
    began = sandbox.clock.monotonic()
    with pytest.raises(StartOutcomeUnknown, match="Start again later with the same key") as failure:
        pm.start(2, {"days": 3}, event="node_1", idempotency_key="order-1", look_again_for=6)
    error = failure.value
    assert (error.process_id, error.event, error.idempotency_key) == (2, "node_1", "order-1")
    assert error.processed is error.request_id is None
    assert error.wire_error is error.__cause__
    assert sandbox.clock.monotonic() - began == pytest.approx(6)
    assert sandbox.requests == []
    assert pm.start(2, {"days": 3}, event="node_1", idempotency_key="order-1").created


@pytest.mark.parametrize("seconds", [-1, float("inf"), float("nan"), None, True])
def test_a_look_for_a_lost_start_has_a_bound(pm: Any, sandbox: Sandbox, seconds: Any) -> None:
    with pytest.raises(InvalidData, match="look_again_for"):
        pm.start(4, event="node_1", idempotency_key="k", look_again_for=seconds)
    assert sandbox.calls == []


@pytest.mark.parametrize("fault", [*LOST_AFTER, *LOST_BEFORE])
def test_without_a_key_an_unknown_outcome_is_said_at_once_and_nothing_is_sent_again(
    pm: Any, sandbox: Sandbox, fault: Any
) -> None:
    sandbox.fail_next(fault, on=START)
    with pytest.raises(StartOutcomeUnknown, match=r"was not sent again.*idempotency_key"):
        pm.start(2, event="node_1")
    assert [call.method for call in sandbox.calls] == ["POST"]
    assert len(sandbox.requests) == (fault in LOST_AFTER)


def test_a_cut_off_answer_with_an_id_is_that_request(pm: Any, sandbox: Sandbox) -> None:
    sandbox.fail_next("truncated", on=START, at=0.9)
    request = pm.start(2, event="node_1")
    assert [started.id for started in sandbox.requests] == [request.id]
    assert request.created


def test_a_cut_off_answer_whose_request_cannot_be_read_keeps_the_id(pm: Any, sandbox: Sandbox) -> None:
    sandbox.fail_next("truncated", on=START, at=0.9)
    sandbox.fail_next(500, on="GET /requests", times=9)
    with pytest.raises(StartOutcomeUnknown, match=r"get\(1\)") as failure:
        pm.start(2, event="node_1")
    assert failure.value.request_id == 1
    assert failure.value.processed is True


def test_a_request_found_by_its_key_that_has_failed_is_an_error_as_a_new_one_is(pm: Any, sandbox: Sandbox) -> None:
    request = pm.start("Leave Request", idempotency_key="k")
    sandbox.fail(request.id, "The engine failed")
    with pytest.raises(RequestFailed, match="The engine failed") as failure:
        pm.start("Leave Request", idempotency_key="k")
    assert failure.value.request.id == request.id


def test_a_look_that_fails_is_told_with_its_reason(pm: Any, sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    sandbox.fail_next("answer lost", on=START)
    sandbox.fail_next(502, on="GET /requests", times=99)
    with pytest.raises(StartOutcomeUnknown, match=r"The last look for it failed: GET .* 502 Bad Gateway") as failure:
        pm.start(4, event="node_1", idempotency_key="k", look_first=False)
    assert isinstance(failure.value.look_error, ServerError)
    assert 'That was a look for the start with key "k"' in caplog.text


def test_a_first_look_that_fails_sends_no_start(pm: Any, sandbox: Sandbox) -> None:
    sandbox.fail_next("lost before", on="GET /requests", times=9)
    with pytest.raises(TimedOut) as failure:
        pm.start(4, event="node_1", idempotency_key="k")
    assert failure.value.processed is False
    assert all(call.method == "GET" for call in sandbox.calls)


def test_a_list_answer_without_its_rows_is_not_taken_for_not_found(pm: Any, sandbox: Sandbox, connect: Any) -> None:
    pm = connect(
        sandbox.url,
        token="t",
        retries=None,
        transport=httpx.MockTransport(lambda _: httpx.Response(200, json={"message": "try later"})),
    )
    with pytest.raises(Exception, match="not the JSON that was promised"):
        pm.start(4, event="node_1", idempotency_key="k")


@pytest.mark.parametrize("fault", ["refused", 429, 503])
def test_a_start_that_was_certainly_not_processed_is_sent_again(pm: Any, sandbox: Sandbox, fault: Any) -> None:
    sandbox.fail_next(fault, on=START, times=2)
    assert pm.start(4, event="node_1").status == "COMPLETED"
    assert len(sandbox.requests) == 1
    assert len(sandbox.calls) == 3


def test_a_server_that_stays_away_ends_in_the_error_itself(pm: Any, sandbox: Sandbox) -> None:
    sandbox.fail_next("refused", on=START, times=9)
    with pytest.raises(ConnectionFailed) as failure:
        pm.start(4, event="node_1")
    assert failure.value.processed is False
    assert len(sandbox.calls) == 4
