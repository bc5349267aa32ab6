"""Starting once: the idempotency key, answers that get lost, and outcomes that stay unknown."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from conftest import Connect
from processmaker import (
    ConfigurationError,
    ConnectionFailed,
    IdempotencyKeyReused,
    InvalidData,
    KeyReusedWarning,
    ProcessNotFound,
    RequestCanceled,
    RequestFailed,
    ServerError,
    StartOutcomeUnknown,
    TimedOut,
    UnreadableResponse,
)
from processmaker.journal import MemoryJournal
from processmaker.sandbox import Kind, Sandbox

LOST_AFTER: list[Kind] = ["answer lost", "reset", "html", "empty", "500 after", "502 after", "504 after"]
LOST_BEFORE: list[Kind] = ["lost before", 500, 502, 504]
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


def test_the_key_travels_in_the_data_and_is_hidden_from_forms(pm: Any, sandbox: Sandbox) -> None:
    request = pm.start(4, {"n": 1}, event="node_1", idempotency_key="k")
    fingerprint = request.idempotency_fingerprint or pm.find("k", process=4).idempotency_fingerprint
    assert fingerprint.startswith("4:")
    assert sandbox.request(request.id).data == {
        "n": 1,
        "_idempotency_key": "k",
        "_idempotency_fingerprint": fingerprint,
    }
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
    for _ in range(2):
        pm.request("POST", "/process_events/4?event=node_1", json={"_idempotency_key": "k"})
    assert pm.find("k", process=4).id == 1


@pytest.mark.parametrize(
    "key", ["", 'say "hi"', "back\\slash", "x" * 201, " padded", "line\nbreak", "{{x}}", "<b>1</b>"]
)
def test_a_key_that_would_not_be_found_again_is_refused(pm: Any, sandbox: Sandbox, key: str) -> None:
    with pytest.raises(InvalidData):
        pm.start(4, event="node_1", idempotency_key=key)
    with pytest.raises(InvalidData):
        pm.find(key, process=4)
    assert sandbox.calls == []


@pytest.mark.parametrize(
    "key",
    [
        "order-1234",
        "a.b:c_d-e 100%",
        "o'clock",
        "Größe 7",
        "x" * 200,
        "注文-1",
        "orders/1",
        "order#1",
        "a@b.com",
        "2026-11-23",
    ],
)
def test_a_key_is_found_again(pm: Any, key: str) -> None:
    started = pm.start(4, event="node_1", idempotency_key=key)
    assert pm.start(4, event="node_1", idempotency_key=key).id == started.id


@pytest.mark.parametrize("fault", LOST_AFTER)
def test_a_lost_answer_is_found_by_its_key(pm: Any, sandbox: Sandbox, fault: Kind) -> None:
    sandbox.fail_next(fault, on=START)
    request = pm.start("Leave Request", {"days": 3}, idempotency_key="k")
    assert [started.id for started in sandbox.requests] == [request.id]
    assert request.idempotency_key == "k"
    assert request.created is None, "another caller may have made it between the look and the lost answer"


def test_a_server_that_is_still_working_is_waited_for(pm: Any, sandbox: Sandbox) -> None:
    sandbox.fail_next("answer lost", on=START)
    sandbox.fail_next(502, on="GET /requests", times=3)
    began = sandbox.clock.monotonic()
    found = pm.start(4, event="node_1", idempotency_key="k")
    assert found.created is None
    assert [request.id for request in sandbox.requests] == [found.id]
    assert 0 < sandbox.clock.monotonic() - began < 15


@pytest.mark.parametrize("fault", LOST_BEFORE)
def test_a_start_that_never_shows_up_is_unknown(pm: Any, sandbox: Sandbox, fault: Any) -> None:
    sandbox.fail_next(fault, on=START)
    began = sandbox.clock.monotonic()
    with pytest.raises(StartOutcomeUnknown, match="Start again with the same key after 8") as failure:
        pm.start(2, {"days": 3}, event="node_1", idempotency_key="order-1", look_again_for=6)
    error = failure.value
    assert (error.process_id, error.event, error.idempotency_key) == (2, "node_1", "order-1")
    assert error.processed is error.request_id is None
    assert error.wire_error is error.__cause__
    assert sandbox.clock.monotonic() - began == pytest.approx(6)
    assert sandbox.requests == []
    assert error.started is None
    with pytest.raises(StartOutcomeUnknown):  # the server may still be at work on it
        pm.start(2, {"days": 3}, event="node_1", idempotency_key="order-1", look_again_for=6)
    assert sandbox.requests == []
    assert error.retry_after
    sandbox.clock.advance(error.retry_after)
    assert pm.start(2, {"days": 3}, event="node_1", idempotency_key="order-1").created


def test_what_is_about_a_key_is_refused_without_one(pm: Any, sandbox: Sandbox) -> None:
    with pytest.raises(InvalidData, match="idempotency_key"):
        pm.start(4, event="node_1", again=True)
    assert sandbox.calls == []


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
    assert failure.value.retryable is False


def test_a_request_found_by_its_key_that_was_canceled_is_no_started_order(pm: Any, sandbox: Sandbox) -> None:
    request = pm.start("Leave Request", idempotency_key="k")
    sandbox.cancel(request.id)
    with pytest.raises(RequestCanceled, match=r"was canceled\. .*again=True starts a new one") as failure:
        pm.start("Leave Request", idempotency_key="k")
    assert (failure.value.request.id, failure.value.request.created) == (request.id, False)
    assert len(sandbox.requests) == 1


@pytest.mark.parametrize("end", ["fail", "cancel"])
def test_what_has_ended_badly_is_started_again_on_purpose(pm: Any, sandbox: Sandbox, end: str) -> None:
    first = pm.start("Leave Request", idempotency_key="k")
    assert pm.start("Leave Request", idempotency_key="k", again=True).id == first.id, "it has not ended"
    getattr(sandbox, end)(first.id)
    second = pm.start("Leave Request", idempotency_key="k", again=True)
    assert (second.created, second.id) == (True, 2)
    assert pm.start("Leave Request", idempotency_key="k").id == second.id, "the one that did not fail counts"
    assert pm.find("k", process=2).id == second.id
    assert pm.start("Leave Request", idempotency_key="k", again=True).id == second.id
    getattr(sandbox, end)(second.id)
    assert pm.find("k", process=2).id == second.id, "where all have failed, the newest counts"


@pytest.mark.parametrize("fault", LOST_AFTER)
def test_a_lost_answer_of_a_start_made_again_is_not_the_failed_one(pm: Any, sandbox: Sandbox, fault: Kind) -> None:
    first = pm.start("Leave Request", idempotency_key="k")
    sandbox.fail(first.id)
    sandbox.fail_next(fault, on=START)
    assert pm.start("Leave Request", idempotency_key="k", again=True).id == 2


def test_a_start_made_again_that_never_arrived_is_unknown_and_not_the_failed_one(pm: Any, sandbox: Sandbox) -> None:
    first = pm.start("Leave Request", idempotency_key="k")
    sandbox.fail(first.id)
    sandbox.fail_next("lost before", on=START)
    with pytest.raises(StartOutcomeUnknown):
        pm.start("Leave Request", idempotency_key="k", again=True)


def test_a_look_that_fails_is_told_with_its_reason(
    connect: Connect, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    def server(request: httpx.Request) -> httpx.Response:
        if sandbox.requests:
            return of_gateway(502)
        answer = sandbox(request)
        return of_gateway(504) if request.method == "POST" else answer

    pm = connect(sandbox.url, token=sandbox.token(), transport=httpx.MockTransport(server), clock=sandbox.clock)
    with pytest.raises(StartOutcomeUnknown, match=r"The last look for it failed: GET .* 502 Bad Gateway") as failure:
        pm.start(4, event="node_1", idempotency_key="k")
    assert isinstance(failure.value.look_error, ServerError)
    assert "That was a look for a lost start" in caplog.text


def test_a_first_look_that_fails_sends_no_start(pm: Any, sandbox: Sandbox) -> None:
    sandbox.fail_next("lost before", on="GET /requests", times=9)
    with pytest.raises(TimedOut, match="the look for the key before the start: nothing was sent") as failure:
        pm.start(4, event="node_1", idempotency_key="k")
    assert failure.value.processed is False
    assert failure.value.retryable
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


@pytest.mark.parametrize("summary", [None, [], "?", [{"key": "n", "value": 1}]])
def test_a_row_without_a_readable_summary_is_not_taken_for_not_found(connect: Any, summary: Any) -> None:
    posts = []

    def server(request: httpx.Request) -> httpx.Response:
        posts.extend([request] * (request.method == "POST"))
        return httpx.Response(200, json={"data": [{"id": 7, "process_id": 4, "summary": summary}]})

    pm = connect(Sandbox().url, token="t", retries=None, transport=httpx.MockTransport(server))
    with pytest.raises(StartOutcomeUnknown) as failure:
        pm.start(4, event="node_1", idempotency_key="k")
    assert isinstance(failure.value.__cause__, UnreadableResponse)
    facts: tuple[object, ...] = (failure.value.processed, failure.value.started, failure.value.retryable)
    assert facts == (False, None, True)
    assert posts == []


def calls(sandbox: Sandbox) -> list[str]:
    return [f"{call.method} {call.status}" for call in sandbox.calls]


@pytest.mark.parametrize(("fault", "status"), [("refused", None), (429, 429), (503, 503)])
def test_with_a_key_a_start_is_never_sent_again_without_a_look(
    pm: Any, sandbox: Sandbox, fault: Any, status: int | None
) -> None:
    sandbox.fail_next(fault, on=START, times=2)
    assert pm.start(4, event="node_1", idempotency_key="k").created
    refused, look = f"POST {status}", "GET 200"
    assert calls(sandbox) == [look, refused, look, refused, look, "POST 201"]


def after_processing(sandbox: Sandbox, answers: list[httpx.Response]) -> httpx.MockTransport:
    """A server whose gateway answers starts with these, one after the other, after they were processed."""

    def server(request: httpx.Request) -> httpx.Response:
        response = sandbox(request)
        return fresh(answers.pop(0)) if request.method == "POST" and answers else response

    return httpx.MockTransport(server)


def fresh(answer: httpx.Response) -> httpx.Response:
    """The same answer once more: httpx reads each only once."""
    return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


def of_gateway(status: int, text: str = "upstream connect error or disconnect/reset", **headers: str) -> httpx.Response:
    return httpx.Response(status, text=text, headers={name.replace("_", "-"): value for name, value in headers.items()})


MAY_COME_AFTER = [
    of_gateway(503),
    of_gateway(503, retry_after="1"),
    httpx.Response(503, html="<title>503 Service Temporarily Unavailable</title>"),
    httpx.Response(503, json={"message": "Service Unavailable"}),
    httpx.Response(503, json={"message": "Service Unavailable soon"}, headers={"retry-after": "1"}),
    *[of_gateway(status) for status in (304, 408, 409, 423, 424, 425, 460, 499, 500, 520, 599, 600, 999)],
    *[of_gateway(status, location="/requests/1") for status in (301, 302, 303, 307, 308)],
    of_gateway(302, location="pm.example.com:8443/requests/17"),
    of_gateway(302, location="https://pm.example.com/home?from=/login"),
    of_gateway(302, location="http://[/login"),
    of_gateway(303),
]


@pytest.mark.parametrize("answer", MAY_COME_AFTER, ids=lambda answer: str(answer.status_code))
def test_an_answer_that_may_come_after_the_start_was_made_is_a_lost_one(
    connect: Any, sandbox: Sandbox, answer: httpx.Response
) -> None:
    transport = after_processing(sandbox, [answer, answer])
    pm = connect(sandbox.url, token=sandbox.token(), transport=transport, clock=sandbox.clock)
    assert pm.start(4, event="node_1", idempotency_key="k").id == 1
    assert len(sandbox.requests) == 1
    with pytest.raises(StartOutcomeUnknown) as failure:
        pm.start(4, event="node_1")
    assert getattr(failure.value.wire_error, "processed", True) is None
    assert len(sandbox.requests) == 2


CERTAIN_REFUSALS = [
    httpx.Response(503, json={"message": "Service Unavailable"}, headers={"retry-after": "60"}),
    httpx.Response(503, html="<title>Service Unavailable</title>", headers={"retry-after": "60"}),
    of_gateway(302, location="https://pm.example.com/login"),
    of_gateway(302, location="/login?next=/api"),
    *[of_gateway(status, location="https://new.example.com/api") for status in (307, 308)],
    *[of_gateway(status) for status in (400, 401, 403, 404, 405, 413, 422, 429)],
]


@pytest.mark.parametrize("answer", CERTAIN_REFUSALS, ids=lambda answer: str(answer.status_code))
def test_an_answer_that_comes_in_place_of_a_start_is_no_unknown_one(connect: Any, answer: httpx.Response) -> None:
    transport = httpx.MockTransport(lambda _: fresh(answer))
    pm = connect(Sandbox().url, token="t", retries=None, transport=transport)
    with pytest.raises(Exception, match=str(answer.status_code)) as failure:
        pm.start(4, event="node_1")
    assert failure.value.processed is False  # type: ignore[attr-defined]


def test_the_answer_to_somebody_elses_start_is_not_this_one_s(connect: Any, sandbox: Sandbox) -> None:
    for _ in range(3):
        sandbox(start_of(sandbox, 2))
    for text in ('{"id": 3, "process_id": 2}', '{"id": 3, "process_id": "2", "na', '{"process_id": 2, "id": 3, "na'):
        answers = [httpx.Response(201, text=text)] * 2
        transport = after_processing(sandbox, answers)
        pm = connect(sandbox.url, token=sandbox.token(), transport=transport, clock=sandbox.clock)
        with pytest.raises(StartOutcomeUnknown) as failure:
            pm.start(4, event="node_1")
        assert failure.value.request_id is None
        key = f"k{len(sandbox.requests)}"
        assert pm.start(4, event="node_1", idempotency_key=key).id == len(sandbox.requests)


def start_of(sandbox: Sandbox, process: int) -> httpx.Request:
    url = f"{sandbox.url}/api/1.0/process_events/{process}?event=node_1"
    return httpx.Request("POST", url, json={}, headers={"Authorization": f"Bearer {sandbox.token()}"})


@pytest.mark.parametrize("of", ["another process", "long ago", "nobody"])
def test_an_id_that_was_salvaged_is_looked_at_before_it_is_believed(connect: Any, sandbox: Sandbox, of: str) -> None:
    sandbox(start_of(sandbox, 2 if of == "another process" else 4))
    sandbox.clock.advance(3600)
    wrong = {"nobody": 99}.get(of, 1)
    answers = [httpx.Response(201, text=f'{{"id": {wrong}, "na')] * 2
    transport = after_processing(sandbox, answers)
    pm = connect(sandbox.url, token=sandbox.token(), transport=transport, clock=sandbox.clock)
    with pytest.raises(StartOutcomeUnknown) as failure:
        pm.start(4, event="node_1")
    assert failure.value.request_id is None
    assert pm.start(4, event="node_1", idempotency_key="k").id == 3


@pytest.mark.parametrize("number", ["0", "-1", '"0"'])
def test_an_id_below_one_is_none(connect: Any, number: str) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(201, text=f'{{"id": {number}, "process_id": 4, "na'))
    pm = connect(Sandbox().url, token="t", transport=transport)
    with pytest.raises(StartOutcomeUnknown) as failure:
        pm.start(4, event="node_1")
    assert failure.value.request_id is None


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


# --- the same key with other data -----------------------------------------------------------------------------------


def test_the_same_key_with_other_data_is_an_error(pm: Any, sandbox: Sandbox) -> None:
    first = pm.start(2, {"days": 3}, event="node_1", idempotency_key="k")
    with pytest.raises(IdempotencyKeyReused, match='Request 1 was started with the key "k" and other data') as refusal:
        pm.start(2, {"days": 4}, event="node_1", idempotency_key="k")
    error = refusal.value
    assert (error.processed, error.started, error.retryable, error.existing.id) == (False, False, False, first.id)
    assert "days" not in str(error)
    assert len(sandbox.requests) == 1


def test_the_same_data_through_another_start_event_is_other_data(pm: Any) -> None:
    pm.start("Two Doors", {"n": 1}, event="node_web", idempotency_key="k")
    with pytest.raises(IdempotencyKeyReused):
        pm.start("Two Doors", {"n": 1}, event="node_mail", idempotency_key="k")


def test_a_client_without_the_first_ones_journal_compares_the_data_too(connect: Connect, sandbox: Sandbox) -> None:
    options = {"token": sandbox.token(), "transport": sandbox.transport()}
    connect(sandbox.url, **options, journal=MemoryJournal()).start(4, {"n": 1}, event="node_1", idempotency_key="k")
    other = connect(sandbox.url, **options, journal=MemoryJournal())
    assert other.start(4, {"n": 1.0}, event="node_1", idempotency_key="k").created is False
    with pytest.raises(IdempotencyKeyReused):
        other.start(4, {"n": 2}, event="node_1", idempotency_key="k")


def test_other_data_can_be_told_or_ignored(pm: Any, sandbox: Sandbox) -> None:
    first = pm.start(4, {"n": 1}, event="node_1", idempotency_key="k")
    with pytest.warns(KeyReusedWarning, match='Request 1 was started with the key "k"') as told:
        assert pm.start(4, {"n": 2}, event="node_1", idempotency_key="k", on_reused_key="warn").id == first.id
    assert told[0].filename.endswith(("test_idempotency.py", "conftest.py", "runners.py", "events.py"))
    assert pm.start(4, {"n": 2}, event="node_1", idempotency_key="k", on_reused_key="ignore").id == first.id
    with pytest.raises(ConfigurationError, match="on_reused_key='no' is none of"):
        pm.start(4, event="node_1", idempotency_key="k2", on_reused_key="no")
    assert len(sandbox.requests) == 1


def test_what_a_client_is_told_about_reused_keys_holds_for_its_starts(connect: Connect, sandbox: Sandbox) -> None:
    options = {"token": sandbox.token(), "transport": sandbox.transport()}
    pm = connect(sandbox.url, **options, on_reused_key="ignore", fingerprint_without=("at",))
    pm.start(4, {"n": 1, "at": 1}, event="node_1", idempotency_key="k")
    assert pm.start(4, {"n": 2}, event="node_1", idempotency_key="k").created is False
    assert pm.start(4, {"n": 1, "at": 2}, event="node_1", idempotency_key="k", on_reused_key="error").id == 1


def test_fields_that_change_at_each_try_can_be_left_out(pm: Any) -> None:
    for at in (1, 2):
        request = pm.start(4, {"n": 1, "at": at}, event="node_1", idempotency_key="k", fingerprint_without=("at",))
        assert request.id == 1
    with pytest.raises(IdempotencyKeyReused):
        pm.start(4, {"n": 2, "at": 2}, event="node_1", idempotency_key="k", fingerprint_without=("at",))


def test_a_request_that_ended_badly_is_that_error_whatever_its_data(pm: Any, sandbox: Sandbox) -> None:
    first = pm.start("Leave Request", {"days": 3}, idempotency_key="k")
    sandbox.cancel(first.id)
    with pytest.raises(RequestCanceled):
        pm.start("Leave Request", {"days": 4}, idempotency_key="k")
    assert pm.start("Leave Request", {"days": 4}, idempotency_key="k", again=True).created


def test_a_request_without_a_fingerprint_counts(pm: Any) -> None:
    pm.request("POST", "/process_events/4?event=node_1", json={"n": 9, "_idempotency_key": "k"})
    found = pm.start(4, {"n": 1}, event="node_1", idempotency_key="k")
    assert (found.id, found.created) == (1, False)


def test_a_start_without_a_key_stores_neither_field(pm: Any, sandbox: Sandbox) -> None:
    assert sandbox.request(pm.start(4, {"n": 1}, event="node_1").id).data == {"n": 1}


@pytest.mark.filterwarnings("ignore::processmaker.DataAlteredWarning")
@pytest.mark.parametrize(
    "data",
    [
        {},
        {"days": 3, "rate": 2.0, "big": 1e17, "on": True, "none": None, "list": [1, [2.5, "x"], {"a": None}]},
        {"name": "  Ana <b>x</b> {{y}} ", "empty": "", "blank": " ", "deep": {"a": ["  <b>x</b> ", ""]}},
        {"prices": {"17": 100, "01": 5}, "empty": {}, "deep": [{"-1.5": {}}, {"1": 2, "x": 3}]},
        {"_hidden": {"a": 1}, "accents": "Größe 注文", "key with blanks": "x", "long": "x" * 5000},
    ],
)
def test_the_same_data_is_never_taken_for_other_data(pm: Any, data: dict[str, Any]) -> None:
    for process in (2, 4):
        assert pm.start(process, data, event="node_1", idempotency_key="k").created
        assert pm.start(process, data, event="node_1", idempotency_key="k").created is False


def test_what_a_task_has_changed_since_is_not_other_data(pm: Any) -> None:
    request = pm.start("Two Steps", {"days": 3}, idempotency_key="k")
    pm.complete(pm.tasks(request)[0], {"days": 4})
    assert pm.start("Two Steps", {"days": 3}, idempotency_key="k").id == request.id


def test_the_child_of_a_sub_process_does_not_hide_a_start(pm: Any, sandbox: Sandbox) -> None:
    parent = pm.start("Caller", {"n": 1}, idempotency_key="order-1")
    child = next(request for request in sandbox.requests if request.process_id == 4)
    assert child.data["_idempotency_key"] == "order-1"
    assert pm.find("order-1", process=4) is None
    own = pm.start("Auto Approve", {"n": 1}, idempotency_key="order-1")
    assert own.created
    assert own.id not in (parent.id, child.id)
