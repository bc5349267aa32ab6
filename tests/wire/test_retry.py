"""Sending again: what, how often, after which pauses; and never what may have been processed."""

from __future__ import annotations

import logging
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from conftest import START_OF_TIME, Connect
from hypothesis import given
from hypothesis import strategies as st
from processmaker import (
    ConnectionFailed,
    ConnectionLost,
    NotFound,
    PasswordGrant,
    ProcessMakerError,
    RateLimited,
    Retries,
    ServerError,
)
from processmaker.sandbox import Kind, Sandbox

READ_AGAIN = ["refused", "answer lost", "lost before", "reset", "html", "truncated", "empty", 429, 500, 502, 503, 504]
WRITE_AGAIN = ["refused", 429, 503]


@pytest.fixture
def pauses(sandbox: Sandbox) -> list[float]:
    """The pauses that clients of the sandbox make, which pass at once."""
    seen: list[float] = []
    sleep = sandbox.clock.sleep

    def note(seconds: float) -> None:
        seen.append(seconds)
        sleep(seconds)

    async def note_async(seconds: float) -> None:
        note(seconds)

    sandbox.clock.sleep, sandbox.clock.async_sleep = note, note_async  # type: ignore[method-assign]
    return seen


@pytest.fixture
def patient(connect: Connect, sandbox: Sandbox) -> Any:
    """A client with these bounds."""

    def make(retries: Retries | None, **options: Any) -> Any:
        options.setdefault("token", sandbox.token())
        return connect(sandbox.url, transport=sandbox.transport(), clock=sandbox.clock, retries=retries, **options)

    return make


@pytest.mark.parametrize("fault", READ_AGAIN)
def test_a_call_that_only_reads_is_sent_again(pm: Any, sandbox: Sandbox, fault: Any) -> None:
    sandbox.fail_next(fault, times=3, on="GET")
    assert pm.processes()
    assert len(sandbox.calls) == 4


@pytest.mark.parametrize("fault", WRITE_AGAIN)
def test_what_was_certainly_not_processed_is_sent_again(pm: Any, sandbox: Sandbox, fault: Any) -> None:
    request = pm.start("Leave Request")
    (task,) = pm.tasks(request)
    sandbox.fail_next(fault, times=2, on="PUT")
    assert pm.complete(task).status == "CLOSED"
    assert [call.method for call in sandbox.calls].count("PUT") == 3


@pytest.mark.parametrize("fault", [fault for fault in READ_AGAIN if fault not in WRITE_AGAIN] + ["500 after"])
def test_what_may_have_been_processed_is_not_sent_again(pm: Any, sandbox: Sandbox, fault: Any) -> None:
    request = pm.start("Leave Request")
    (task,) = pm.tasks(request)
    sandbox.fail_next(fault, on="PUT")
    with pytest.raises(ProcessMakerError) as error:
        pm.complete(task)
    assert error.value.processed is None
    assert [call.method for call in sandbox.calls].count("PUT") == 1


def test_what_will_not_pass_is_not_sent_again(pm: Any, sandbox: Sandbox) -> None:
    with pytest.raises(NotFound):
        pm.get(4711)
    assert len(sandbox.calls) == 1


def test_a_call_is_sent_four_times_at_most_by_default(pm: Any, sandbox: Sandbox) -> None:
    sandbox.fail_next("refused", times=99)
    with pytest.raises(ConnectionFailed):
        pm.processes()
    assert len(sandbox.calls) == 4


@pytest.mark.parametrize(("retries", "attempts"), [(None, 1), (Retries(attempts=1), 1), (Retries(attempts=7), 7)])
def test_attempts_are_the_caller_s_choice(
    patient: Any, sandbox: Sandbox, retries: Retries | None, attempts: int
) -> None:
    sandbox.fail_next("refused", times=99)
    with pytest.raises(ConnectionFailed):
        patient(retries).processes()
    assert len(sandbox.calls) == attempts


def test_the_pauses_double_with_jitter_up_to_the_longest(patient: Any, pauses: list[float], sandbox: Sandbox) -> None:
    sandbox.fail_next("refused", times=99)
    with pytest.raises(ConnectionFailed):
        patient(Retries(attempts=7, max_delay=2, total=99)).processes()
    for pause, longest in zip(pauses, [0.25, 0.5, 1, 2, 2, 2], strict=True):
        assert longest / 2 <= pause <= longest


def test_all_attempts_begin_within_the_total(patient: Any, pauses: list[float], sandbox: Sandbox) -> None:
    sandbox.fail_next("refused", times=999)
    with pytest.raises(ConnectionFailed):
        patient(Retries(attempts=999, max_delay=8, total=30)).processes()
    assert 20 < sum(pauses) <= 30


def test_the_time_that_attempts_take_counts(patient: Any, sandbox: Sandbox) -> None:
    sandbox.fail_next("slow", times=99, on="GET", seconds=40)
    with pytest.raises(ProcessMakerError):
        patient(Retries(attempts=99, total=30)).processes()
    assert len(sandbox.calls) == 1


def test_with_the_default_bounds_a_call_that_times_out_is_sent_again(pm: Any, sandbox: Sandbox) -> None:
    sandbox.fail_next("slow", times=2, on="GET", seconds=40)
    assert pm.processes()
    assert len(sandbox.calls) == 3


@pytest.mark.parametrize("status", [429, 503])
def test_the_pause_the_server_asks_for_is_made(pm: Any, pauses: list[float], sandbox: Sandbox, status: Kind) -> None:
    sandbox.fail_next(status, retry_after=12)
    pm.start(2, event="node_1")
    assert pauses == [12]


def test_the_server_may_name_a_date(pm: Any, pauses: list[float], sandbox: Sandbox) -> None:
    later = START_OF_TIME + timedelta(seconds=9)
    sandbox.fail_next(503, retry_after=format_datetime(later, usegmt=True))
    pm.processes()
    assert pauses == [9]


def test_a_longer_pause_than_the_bounds_allow_raises_at_once(pm: Any, pauses: list[float], sandbox: Sandbox) -> None:
    sandbox.fail_next(503, times=99, retry_after=31)
    with pytest.raises(ServerError) as error:
        pm.start(2, event="node_1")
    assert (error.value.retry_after, pauses, len(sandbox.calls)) == (31, [], 1)


def test_the_bounds_hold_for_all_pauses_together(patient: Any, pauses: list[float], sandbox: Sandbox) -> None:
    sandbox.fail_next(429, times=99, retry_after=14)
    with pytest.raises(RateLimited) as error:
        patient(Retries(total=30)).processes()
    assert (error.value.retry_after, pauses) == (14, [14, 14])


def test_signing_in_is_tried_again_where_that_may_help(patient: Any, sandbox: Sandbox) -> None:
    sandbox.fail_next(503, on="POST /oauth/token", retry_after=20)
    auth = PasswordGrant("3", "client-secret", "integration.bot", "bot-password")
    assert patient(Retries(), token=None, auth=auth).start(2, event="node_1").id == 1
    assert [call.status for call in sandbox.calls] == [503, 200, 201]


def test_each_time_is_logged(pm: Any, sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    sandbox.fail_next(503, retry_after=2)
    pm.start(2, event="node_1")
    (record,) = [record for record in caplog.records if record.name == "processmaker"]
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        "POST /api/1.0/process_events/2?event=node_1: 503 Service Unavailable: Service Unavailable. "
        "Sending again in 2.00 s (attempt 2 of 4)."
    )


def test_success_is_not_logged(pm: Any, caplog: pytest.LogCaptureFixture) -> None:
    pm.start("Leave Request")
    assert [record for record in caplog.records if record.name == "processmaker"] == []


def test_a_lost_answer_is_an_error_of_the_call_and_not_of_the_retries(pm: Any, sandbox: Sandbox) -> None:
    sandbox.fail_next("refused", on="PUT")
    sandbox.fail_next("reset", on="PUT")
    with pytest.raises(ConnectionLost):
        pm.complete(pm.tasks(pm.start("Leave Request"))[0])


@given(
    attempts=st.integers(1, 1000),
    max_delay=st.floats(0, 1e6),
    total=st.floats(0, 1e6),
    attempt=st.integers(1, 10_000),
    elapsed=st.floats(0, 1e6),
    wish=st.none() | st.floats(0, 1e9),
)
def test_no_pause_is_beyond_its_bounds(
    attempts: int, max_delay: float, total: float, attempt: int, elapsed: float, wish: float | None
) -> None:
    pause = Retries(attempts=attempts, max_delay=max_delay, total=total).delay(attempt, elapsed, wish)
    if pause is None:
        return
    assert attempt < attempts
    assert elapsed + pause <= total
    assert (wish or 0) <= pause <= max(max_delay, wish or 0)
