"""Starting many: rows in, outcomes out."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

import httpx
import pytest
from conftest import Connect
from processmaker import (
    AsyncProcessMaker,
    CannotStart,
    DataAlteredWarning,
    IdempotencyKeyReused,
    InvalidData,
    KeyReusedWarning,
    Outcome,
    ProcessMaker,
    ProcessMakerError,
    RequestFailed,
    Retries,
    SQLiteJournal,
    StartOutcomeUnknown,
)
from processmaker import many as _many
from processmaker.journal import KeyedStart, MemoryJournal
from processmaker.sandbox import Clock, Sandbox
from processmaker.wire.call import run
from processmaker.wire.retry import RateGate, retrying

START = "POST /process_events"
AUTO = {"process": 4, "event": "node_1"}


def rows(count: int, first: int = 0) -> list[dict[str, Any]]:
    return [{"order": f"order-{number}", "n": number} for number in range(first, first + count)]


def all_of(pm: Any, given: Any, **options: Any) -> list[Any]:
    """The outcomes in the order of the rows."""
    return sorted(pm.start_many(**{**AUTO, "rows": given, **options}), key=lambda outcome: outcome.number)


def posts(sandbox: Sandbox) -> int:
    return sum(call.method == "POST" for call in sandbox.calls)


def looks(sandbox: Sandbox) -> int:
    return sum((call.method, call.path) == ("GET", "/requests") for call in sandbox.calls)


# --- outcomes -------------------------------------------------------------------------------------------------------


def test_each_row_becomes_a_request(pm: Any, sandbox: Sandbox) -> None:
    outcomes = all_of(pm, rows(50))
    assert [outcome.number for outcome in outcomes] == list(range(50))
    assert all(outcome.started and outcome.request.created and outcome.error is None for outcome in outcomes)
    assert [sandbox.request(outcome.request.id).data for outcome in outcomes] == rows(50)
    assert [outcome.row for outcome in outcomes] == rows(50)


def test_no_rows_no_outcomes(pm: Any, sandbox: Sandbox) -> None:
    assert all_of(pm, []) == []
    assert posts(sandbox) == 0


@pytest.mark.parametrize("key", ["order", lambda row: row["order"]])
def test_a_row_has_its_key_from_a_column_or_a_function(pm: Any, sandbox: Sandbox, key: Any) -> None:
    outcomes = all_of(pm, rows(3), key=key)
    assert [outcome.key for outcome in outcomes] == ["order-0", "order-1", "order-2"]
    assert {request.data["_idempotency_key"] for request in sandbox.requests} == {"order-0", "order-1", "order-2"}


def test_a_column_of_numbers_gives_keys(pm: Any, sandbox: Sandbox) -> None:
    assert [outcome.key for outcome in all_of(pm, rows(3), key="n")] == ["0", "1", "2"]
    assert sandbox.requests[0].data["_idempotency_key"] in ("0", "1", "2")


@pytest.mark.parametrize(
    ("row", "key", "words"),
    [
        ({"order": {1}}, None, r"data\.order is \{1\}"),
        (["a"], None, "must be a dict"),
        ({"order": "x"}, "number", "the row's 'number', None, cannot be an idempotency key"),
        ({"order": None}, "order", "the row's 'order', None, cannot be"),
        ({"order": 1.5}, "order", "the row's 'order', 1.5, cannot be an idempotency key"),
        ({"order": True}, "order", "the row's 'order', True, cannot be an idempotency key"),
        ({"order": "a\nb"}, "order", "idempotency_key"),
        ({"order": "x"}, lambda row: row["number"], "the function given as key= raised KeyError"),
        ({"order": "x"}, lambda _: None, "what the function given as key= returned, None"),
        (["a"], "order", "must be a dict"),
    ],
)
def test_a_bad_row_is_that_rows_error_and_stops_no_other(
    pm: Any, sandbox: Sandbox, row: Any, key: Any, words: str
) -> None:
    good = {"order": "good", "number": 1}
    outcomes = all_of(pm, [good, row, good | {"order": "better", "number": 2}], key=key)
    bad = outcomes[1]
    assert isinstance(bad.error, InvalidData)
    with pytest.raises(InvalidData, match=words):
        raise bad.error
    assert (bad.request, bad.started, bad.row) == (None, False, row)
    if not (callable(key) and key(good) is None):
        assert [outcomes[0].started, outcomes[2].started] == [True, True]
        assert len(sandbox.requests) == 2


def test_a_start_that_failed_has_its_request_and_its_error(pm: Any, sandbox: Sandbox) -> None:
    sandbox.add_process("Fails", id=950, fails_with="no mail server")
    (outcome,) = all_of(pm, rows(1), process=950, key="order")
    assert isinstance(outcome.error, RequestFailed)
    assert (outcome.request.id, outcome.started) == (1, True)


def test_a_start_whose_answer_is_lost_is_found_by_its_key_or_said_to_be_unknown(pm: Any, sandbox: Sandbox) -> None:
    sandbox.fail_next("answer lost", on=START)
    (found,) = all_of(pm, rows(1), key="order")
    assert found.request.id == 1
    sandbox.fail_next("answer lost", on=START)
    (unknown,) = all_of(pm, rows(1))
    assert isinstance(unknown.error, StartOutcomeUnknown)
    assert unknown.started is None


def test_what_is_to_be_started_must_be_clear_before_anything_is_sent(pm: Any, sandbox: Sandbox) -> None:
    with pytest.raises(CannotStart):
        all_of(pm, rows(3), process="Leave Reqest", event=None)
    assert posts(sandbox) == 0


@pytest.mark.parametrize(
    "options",
    [{"concurrency": 0}, {"concurrency": 2.5}, {"key": 17}, {"look_again_for": -1}],
)
def test_what_cannot_be_meant_is_refused_at_once(pm: Any, options: Any) -> None:
    with pytest.raises(InvalidData):
        pm.start_many(4, rows(1), event="node_1", **options)


def test_a_warning_of_altered_data_is_given_for_the_row(pm: Any) -> None:
    with pytest.warns(DataAlteredWarning, match=r"data\.order"):
        all_of(pm, [{"order": " x "}])
    (outcome,) = all_of(pm, [{"order": " x "}], on_altered_data="error")
    assert isinstance(outcome.error, InvalidData)


# --- once -----------------------------------------------------------------------------------------------------------


def test_rows_given_again_are_found_and_not_started_again(pm: Any, sandbox: Sandbox) -> None:
    first = all_of(pm, rows(120), key="order")
    sandbox.calls.clear()
    again = all_of(pm, rows(120), key="order")
    assert [outcome.request.id for outcome in again] == [outcome.request.id for outcome in first]
    assert not any(outcome.request.created for outcome in again)
    assert posts(sandbox) == 0


def test_keys_are_looked_for_in_blocks(pm: Any, sandbox: Sandbox) -> None:
    all_of(pm, rows(500), key="order", concurrency=4)
    assert 5 <= looks(sandbox) <= 20


def test_long_keys_are_looked_for_in_urls_that_a_server_takes(pm: Any, sandbox: Sandbox) -> None:
    long = [{"order": f"{number:03}" + "ö" * 190} for number in range(60)]
    assert all(outcome.request.created for outcome in all_of(pm, long, key="order", concurrency=2))
    assert 414 not in [call.status for call in sandbox.calls]
    assert not any(outcome.request.created for outcome in all_of(pm, long, key="order", concurrency=2))


def test_rows_with_one_key_become_one_request(pm: Any, sandbox: Sandbox) -> None:
    outcomes = all_of(pm, [{"order": "same"}] * 30 + rows(300) + [{"order": "same"}] * 30, key="order", concurrency=8)
    same = [outcome for outcome in outcomes if outcome.key == "same"]
    assert len({outcome.request.id for outcome in same}) == 1
    assert sum(bool(outcome.request.created) for outcome in same) == 1
    assert len(sandbox.requests) == 301


def test_rows_with_one_key_and_other_data_are_an_error(pm: Any, sandbox: Sandbox) -> None:
    twice = [{"order": "A", "days": 3}, {"order": "A", "days": 4}, {"order": "A", "days": 3}]
    outcomes = all_of(pm, twice, key="order", concurrency=1)
    assert [outcome.started for outcome in outcomes] == [True, False, True]
    assert [outcome.how for outcome in outcomes] == ["made", None, "found"]
    refused = outcomes[1]
    assert isinstance(refused.error, IdempotencyKeyReused)
    assert (refused.request, refused.error.existing.id) == (None, outcomes[0].request.id)
    assert len(sandbox.requests) == 1


def test_rows_that_were_imported_before_with_other_data_are_not_lost_in_silence(pm: Any, sandbox: Sandbox) -> None:
    all_of(pm, [{"number": n, "month": "May"} for n in range(1, 41)], key="number")
    june = all_of(pm, [{"number": n, "month": "June"} for n in range(1, 41)], key="number")
    assert all(isinstance(outcome.error, IdempotencyKeyReused) for outcome in june)
    assert len(sandbox.requests) == 40


def test_a_result_is_the_request_or_the_error(pm: Any) -> None:
    first, second = all_of(pm, [{"order": "A", "days": 3}, {"order": "A", "days": 4}], key="order", concurrency=1)
    assert first.result().id == 1
    with pytest.raises(IdempotencyKeyReused):
        second.result()


@pytest.mark.filterwarnings("error::processmaker.KeyReusedWarning")
def test_a_warning_that_is_an_error_is_that_rows_error(pm: Any) -> None:
    twice = [{"order": "A", "days": 3}, {"order": "A", "days": 4}]
    first, second = all_of(pm, twice, key="order", on_reused_key="warn", concurrency=1)
    assert (first.error, first.started) == (None, True)
    assert isinstance(second.error, KeyReusedWarning)
    assert second.started is None


def test_the_key_may_come_from_several_columns(pm: Any) -> None:
    (outcome,) = all_of(pm, [{"order": "A", "line": 7}], key=("order", "line"))
    assert outcome.key == "A:7"


@pytest.mark.parametrize("wrong", [{"order": 1}, "a,b", b"a", 17, None])
def test_what_is_no_iterable_of_rows_is_refused_at_once(pm: Any, wrong: Any) -> None:
    with pytest.raises(InvalidData, match="rows"):
        pm.start_many(4, wrong)


def test_an_event_by_name_is_resolved_once_for_all_rows(pm: Any, sandbox: Sandbox) -> None:
    all_of(pm, rows(30), event="Start", concurrency=1, key="order")
    assert len(sandbox.requests) == 30
    assert [call.path for call in sandbox.calls].count("/start_processes") <= 2
    assert sum(call.status == 403 for call in sandbox.calls) == 1


def test_after_the_ids_were_corrected_keys_are_still_looked_for_in_blocks(pm: Any, sandbox: Sandbox) -> None:
    all_of(pm, rows(250), event="Start", concurrency=1, key="order")
    assert len(sandbox.requests) == 250
    looks = [call.path for call in sandbox.calls].count("/requests")
    of_the_first_block = 100  # reserved for other ids, so each row looks for itself
    assert looks <= of_the_first_block + 4


def test_a_row_after_one_with_the_same_key_that_failed_is_tried_for_itself(connect: Connect, sandbox: Sandbox) -> None:
    pm = connect(sandbox.url, token=sandbox.token(), transport=sandbox.transport(), clock=sandbox.clock, retries=None)
    sandbox.fail_next(503, on=START)
    outcomes = all_of(pm, [{"order": "same"}] * 3, key="order")
    assert [outcome.started for outcome in outcomes] == [False, True, True]
    assert len(sandbox.requests) == 1


def test_a_look_for_many_that_fails_leaves_each_row_to_itself(pm: Any, sandbox: Sandbox) -> None:
    all_of(pm, rows(1), key="order")
    sandbox.fail_next("html", on="GET /requests")
    assert [outcome.request.created for outcome in all_of(pm, rows(2), key="order")] == [False, True]


def test_what_the_journal_knows_is_read_in_blocks(connect: Connect, sandbox: Sandbox) -> None:
    journal = journal_of(sandbox)
    pm = connect(
        sandbox.url, token=sandbox.token(), transport=sandbox.transport(), clock=sandbox.clock, journal=journal
    )
    first = all_of(pm, rows(30), key="order")
    sandbox.calls.clear()
    again = all_of(pm, rows(30), key="order")
    assert [outcome.request.id for outcome in again] == [outcome.request.id for outcome in first]
    assert all(outcome.request.created is False and outcome.request.status for outcome in again)
    assert 1 <= looks(sandbox) < 30
    assert {(call.method, call.path) for call in sandbox.calls} == {("GET", "/requests")}


# --- beside other callers -------------------------------------------------------------------------------------------


def journal_of(sandbox: Sandbox) -> MemoryJournal:
    """A journal in the sandbox's time."""
    journal = MemoryJournal()
    journal.clock = sandbox.clock
    return journal


def beside_another(connect: Connect, sandbox: Sandbox, keys: int) -> tuple[Any, MemoryJournal, list[KeyedStart]]:
    """A client whose journal says that another caller is sending the first keys."""
    journal = journal_of(sandbox)
    theirs = [KeyedStart(sandbox.url, 4, f"order-{number}") for number in range(keys)]
    for start in theirs:
        journal.reserve([(start, "another caller")])
        journal.sending(start, "another caller")
    options = {"token": sandbox.token(), "transport": sandbox.transport(), "clock": sandbox.clock}
    return connect(sandbox.url, journal=journal, **options), journal, theirs


class HeldClock(Clock):
    """Time that stands still until it is let go, and jumps then."""

    def __init__(self) -> None:
        super().__init__(datetime(2026, 11, 24, tzinfo=UTC))
        self.let_go = threading.Event()
        self.asleep = threading.Event()

    def sleep(self, seconds: float) -> None:
        self.asleep.set()
        self.let_go.wait(20)
        super().sleep(seconds)

    async def async_sleep(self, seconds: float) -> None:
        for _ in range(20_000):
            if self.let_go.is_set():
                break
            await asyncio.sleep(0.001)
        await super().async_sleep(seconds)


def test_rows_that_a_killed_caller_was_sending_hold_up_no_other_and_are_started_after_its_lease(
    connect: Connect,
) -> None:
    sandbox = Sandbox(clock=(clock := HeldClock()))
    pm, _, _ = beside_another(connect, sandbox, keys=20)
    began = clock.monotonic()
    told = []
    for outcome in pm.start_many(4, rows(300), event="node_1", key="order", concurrency=4):
        assert outcome.request.created, outcome.error
        told.append(outcome.number)
        if len(told) == 280:
            assert clock.monotonic() == began
            clock.let_go.set()
    assert sorted(told[280:]) == list(range(20))
    assert len(told) == len(sandbox.requests) == 300
    assert 90 < clock.monotonic() - began < 100


KILLED = """
import sys, time
import httpx
from processmaker import ProcessMaker, SQLiteJournal

def server(request):
    if request.method == "POST":
        sys.stdout.write("sending\\n")
        sys.stdout.flush()
        time.sleep(60)
    return httpx.Response(200, json={"data": [], "meta": {"last_page": 1}})

rows = [{"order": f"order-{number}"} for number in range(200)]
journal = SQLiteJournal("starts.db")
with ProcessMaker(sys.argv[1], token="any", transport=httpx.MockTransport(server), journal=journal) as pm:
    list(pm.start_many(4, rows, event="node_1", key="order", concurrency=4))
"""


def test_the_rows_of_a_killed_process_hold_up_no_other_where_it_runs_again(
    tmp_path: Path,
) -> None:
    sandbox = Sandbox(clock=Clock())
    command = [sys.executable, "-c", KILLED, sandbox.url]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout
        told = [run.stdout.readline() for _ in range(4)]
        run.kill()
    assert told == ["sending\n"] * 4
    with (
        SQLiteJournal(tmp_path / "starts.db") as journal,
        ProcessMaker(sandbox.url, token=sandbox.token(), transport=sandbox.transport(), journal=journal) as pm,
    ):
        journal.clock = sandbox.clock
        states = Counter(entry.state for entry in journal.entries(started=True))
        assert states == {"sending": 4, "reserved": 96}
        killed_at = {
            entry.start.key: entry.since.timestamp() for entry in journal.entries() if entry.state == "sending"
        }
        ended_at = {}
        for outcome in pm.start_many(4, rows(200), event="node_1", key="order", concurrency=4):
            assert outcome.request, outcome.error
            ended_at[outcome.key] = sandbox.clock.monotonic()
    assert list(ended_at)[-4:] == sorted(killed_at, key=list(ended_at).index)
    assert all(ended_at[key] - killed_at[key] > 90 for key in killed_at)
    assert sorted(request.data["n"] for request in sandbox.requests) == list(range(200))


def test_more_rows_under_way_elsewhere_than_are_read_ahead_hold_up_no_other(connect: Connect) -> None:
    sandbox = Sandbox(clock=(clock := HeldClock()))
    pm, _, _ = beside_another(connect, sandbox, keys=220)
    told = []
    for outcome in pm.start_many(4, rows(240), event="node_1", key="order", concurrency=4):
        told.append(outcome.number)
        if len(told) == 20:
            clock.let_go.set()
    assert sorted(told[:20]) == list(range(220, 240))
    assert len(sandbox.requests) == 240


def test_a_row_that_another_caller_has_started_meanwhile_is_its_request(connect: Connect) -> None:
    sandbox = Sandbox(clock=(clock := HeldClock()))
    pm, journal, theirs = beside_another(connect, sandbox, keys=2)
    other = connect(sandbox.url, token=sandbox.token(), transport=sandbox.transport())
    began = clock.monotonic()
    ids = []
    for outcome in pm.start_many(4, rows(50), event="node_1", key="order", concurrency=1):
        ids.append(outcome.request.id)
        if len(ids) == 48:
            for start, row in zip(theirs, rows(2), strict=True):
                request = other.start(4, row, event="node_1", idempotency_key=start.key)
                if start is theirs[0]:  # the other one was killed before it could say so
                    journal.started(start, "another caller", request.id)
            clock.let_go.set()
    assert clock.monotonic() - began < 10
    assert sorted(ids) == [request.id for request in sandbox.requests]
    assert len(ids) == 50


def test_a_row_that_others_claim_again_and_again_is_given_up_as_unknown(connect: Connect, sandbox: Sandbox) -> None:
    pm, journal, theirs = beside_another(connect, sandbox, keys=1)
    reserve = journal.reserve

    def reserve_again(*args: Any, **options: Any) -> Any:
        journal.sending(theirs[0], "another caller")
        return reserve(*args, **options)

    journal.reserve = reserve_again  # type: ignore[method-assign]
    first, second = all_of(pm, rows(2), key="order")
    assert isinstance(first.error, StartOutcomeUnknown)
    assert (first.started, first.error.retryable) == (None, True)
    assert '"order-0" is held by another caller' in str(first.error)
    assert second.request.created


def conditions_asked(sandbox: Sandbox) -> tuple[list[str], httpx.MockTransport]:
    """The conditions of all looks, and a transport for a client whose starts take three seconds each."""
    asked: list[str] = []

    def server(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            asked.append(request.url.params.get("pmql", ""))
            return sandbox(request)
        if not sandbox.requests:
            with ProcessMaker(sandbox.url, token=sandbox.token(), transport=httpx.MockTransport(sandbox)) as other:
                other.start(4, rows(9)[8], event="node_1", idempotency_key="order-8")
        answer = sandbox(request)
        sandbox.clock.advance(3)
        return answer

    return asked, httpx.MockTransport(server)


def test_rows_whose_look_is_old_are_looked_for_again_in_blocks(connect: Connect, sandbox: Sandbox) -> None:
    """Another process, with a journal of its own, may have started them meanwhile."""
    asked, transport = conditions_asked(sandbox)
    pm = connect(sandbox.url, token=sandbox.token(), transport=transport, clock=sandbox.clock)
    outcomes = all_of(pm, rows(20), key="order", concurrency=1)
    assert [outcome.number for outcome in outcomes if outcome.how == "found"] == [8]
    assert len(sandbox.requests) == 20
    assert [condition.count("order-") for condition in asked[:3]] == [20, 19, 18]


def test_a_row_that_was_held_back_is_looked_for_again() -> None:
    sandbox = Sandbox(clock=(clock := HeldClock()))
    sandbox.fail_next(429, on=START, retry_after=20)
    first, second = rows(2)

    def coming() -> Iterator[dict[str, Any]]:
        yield first
        clock.asleep.wait(20)  # the first one was refused, and all others are held back
        yield second

    def start_elsewhere() -> None:
        with ProcessMaker(sandbox.url, token=sandbox.token(), transport=httpx.MockTransport(sandbox)) as other:
            other.start(4, second, event="node_1", idempotency_key="order-1")
        clock.let_go.set()

    with ProcessMaker(sandbox.url, token=sandbox.token(), transport=sandbox.transport()) as pm:
        threading.Timer(0.5, start_elsewhere).start()
        outcomes = all_of(pm, coming(), key="order", concurrency=2)
    assert [outcome.how for outcome in outcomes] == ["made", "found"]
    assert len(sandbox.requests) == 2


def test_stop_tells_of_the_rows_that_wait_for_another_caller(connect: Connect) -> None:
    sandbox = Sandbox(clock=(clock := HeldClock()))
    pm, _, _ = beside_another(connect, sandbox, keys=3)
    outcomes = pm.start_many(4, rows(40), event="node_1", key="order", concurrency=2)
    told = [next(outcomes) for _ in range(37)]
    outcomes.stop()
    clock.let_go.set()
    waiting = list(outcomes)
    assert sorted(outcome.number for outcome in waiting) == [0, 1, 2]
    assert {outcome.started for outcome in waiting} == {None}
    assert len(told) == len(sandbox.requests)


def test_many_under_every_fault_are_each_started_once(connect: Connect, sandbox: Sandbox) -> None:
    retries = Retries(attempts=10)
    pm = connect(
        sandbox.url, token=sandbox.token(), transport=sandbox.transport(), clock=sandbox.clock, retries=retries
    )
    sandbox.misbehave(rate=0.3)
    left = rows(300)
    for _ in range(5):
        outcomes = all_of(pm, left, key="order")
        left = [outcome.row for outcome in outcomes if not outcome.started]
    assert left == []
    assert sorted(request.data["n"] for request in sandbox.requests) == list(range(300))


# --- a stream -------------------------------------------------------------------------------------------------------


class Endless:
    """Rows without end, which counts those that were read."""

    def __init__(self) -> None:
        self.read = 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        while True:
            self.read += 1
            yield {"order": f"order-{self.read}"}


@pytest.mark.parametrize("key", [None, "order"])
def test_a_row_does_not_wait_for_the_next_one_to_come(sandbox: Sandbox, key: Any) -> None:
    def coming() -> Iterator[dict[str, Any]]:
        for number, row in enumerate(rows(3), 1):
            yield row
            for _ in range(2_000):
                if len(sandbox.requests) == number:
                    break
                time.sleep(0.01)
            started.append(len(sandbox.requests))

    started: list[int] = []
    with ProcessMaker(sandbox.url, token=sandbox.token(), transport=sandbox.transport()) as pm:
        assert len(list(pm.start_many(4, coming(), event="node_1", key=key))) == 3
    assert started == [1, 2, 3]


@pytest.mark.parametrize("key", [None, "order"])
def test_rows_are_read_as_they_are_needed(pm: Any, sandbox: Sandbox, key: Any) -> None:
    endless = Endless()
    with pm.start_many(4, endless, event="node_1", key=key) as outcomes:
        for _ in range(10):
            next(outcomes)
    assert endless.read < 400
    assert len(sandbox.requests) == 10 + sum(outcome.started for outcome in outcomes.rest)


def test_bad_rows_without_end_do_not_fill_the_memory(pm: Any) -> None:
    endless = Endless()
    with pm.start_many(4, endless, event="node_1", key="no such column") as outcomes:
        assert isinstance(next(outcomes).error, InvalidData)
    assert endless.read < 400


def test_leaving_early_finishes_what_is_in_flight_and_starts_nothing_more(pm: Any, sandbox: Sandbox) -> None:
    outcomes = pm.start_many(4, rows(300), event="node_1", key="order")
    told = [next(outcomes) for _ in range(20)]
    outcomes.close()
    in_flight = outcomes.rest
    assert len(in_flight) < 30
    assert {outcome.started for outcome in in_flight} <= {True, False}
    started = {outcome.request.id for outcome in told + in_flight if outcome.request}
    assert started == {request.id for request in sandbox.requests}
    assert list(outcomes) == []


def test_leaving_early_releases_the_keys_of_rows_that_were_not_sent(connect: Connect, sandbox: Sandbox) -> None:
    journal = journal_of(sandbox)
    pm = connect(sandbox.url, token=sandbox.token(), transport=sandbox.transport(), journal=journal)
    with pm.start_many(4, rows(300), event="node_1", key="order") as outcomes:
        next(outcomes)
    assert list(journal.entries()) == []


def test_a_worker_that_is_broken_off_ends_the_run(sandbox: Sandbox) -> None:
    def server(request: httpx.Request) -> httpx.Response:
        if request.method == "POST" and len(sandbox.requests) == 3:
            raise SystemExit("out of memory, for example")
        return sandbox(request)

    transport = httpx.MockTransport(server)
    with ProcessMaker(sandbox.url, token=sandbox.token(), transport=transport) as pm:
        outcomes = pm.start_many(4, rows(20), event="node_1", concurrency=1)
        told: list[Outcome[Any]] = []
        with pytest.raises(SystemExit):
            told.extend(outcomes)
    assert [outcome.number for outcome in told] == [0, 1, 2]


def test_what_was_held_back_when_the_caller_left_is_not_sent_again_and_may_be_started_later(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    with ProcessMaker(sandbox.url, token=sandbox.token(), transport=sandbox.transport()) as pm:
        gate = RateGate(pm._io)
        gate.cancelled = True
        with pytest.raises(ProcessMakerError, match="not started: the run was left") as raised:
            run(retrying(pm._io, Retries(), gate.wait_open))
    assert (raised.value.processed, raised.value.retryable) == (False, True)
    assert caplog.records == []


def test_stop_starts_nothing_more_and_what_is_in_flight_still_comes(pm: Any, sandbox: Sandbox) -> None:
    outcomes = pm.start_many(4, rows(300), event="node_1", key="order")
    told = [next(outcomes) for _ in range(20)]
    outcomes.stop()
    told += outcomes
    assert {outcome.request.id for outcome in told if outcome.request} == {request.id for request in sandbox.requests}
    assert len(sandbox.requests) < 60


def test_an_exception_of_the_caller_leaves_too(pm: Any, sandbox: Sandbox) -> None:
    def consume(outcomes: Any) -> None:
        with outcomes:
            for _ in outcomes:
                raise RuntimeError("mine")

    outcomes = pm.start_many(4, rows(300), event="node_1")
    with pytest.raises(RuntimeError, match="mine"):
        consume(outcomes)
    assert len(sandbox.requests) == 1 + sum(outcome.started for outcome in outcomes.rest)


def test_an_exception_of_the_rows_is_the_callers_once_the_rest_has_ended(pm: Any, sandbox: Sandbox) -> None:
    def breaking() -> Iterator[dict[str, Any]]:
        yield from rows(5)
        raise RuntimeError("the file is broken")

    outcomes = pm.start_many(4, breaking(), event="node_1", concurrency=2)
    told: list[Outcome[Any]] = []
    with pytest.raises(RuntimeError, match="the file is broken"):
        told.extend(outcomes)
    started = {outcome.request.id for outcome in told + outcomes.rest if outcome.request}
    assert started == {request.id for request in sandbox.requests}


def test_as_many_are_under_way_as_was_said_and_no_more(sandbox: Sandbox) -> None:
    under_way = most = 0
    lock = threading.Lock()

    def counting(request: httpx.Request) -> httpx.Response:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.005)
        try:
            return sandbox(request)
        finally:
            with lock:
                under_way -= 1

    with ProcessMaker(sandbox.url, token=sandbox.token(), transport=httpx.MockTransport(counting)) as pm:
        assert len(all_of(pm, rows(40), concurrency=4)) == 40
    assert most == 4


@pytest.mark.parametrize("key", [None, "order"])
def test_a_refusal_holds_all_starts_back(key: str | None) -> None:
    """Also those of other rows: none is sent before the time that the server asked for."""
    sandbox = Sandbox(clock=(clock := HeldClock()))
    sent: list[float] = []

    def watched(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            sent.append(clock.monotonic())
            if len(sent) > 1:
                clock.asleep.wait(20)  # in flight beside the one that is refused
        return sandbox(request)

    sandbox.fail_next(429, on=START, retry_after=20)
    with ProcessMaker(sandbox.url, token=sandbox.token(), transport=httpx.MockTransport(watched)) as pm:
        pm._io.clock = clock
        threading.Timer(0.3, clock.let_go.set).start()
        assert all(outcome.started for outcome in all_of(pm, rows(30), key=key, concurrency=4))
    assert len(sent) == 31
    assert sent[4] - sent[0] >= 20


# --- asyncio --------------------------------------------------------------------------------------------------------


def test_rows_may_come_from_an_async_generator(sandbox: Sandbox) -> None:
    async def coming() -> AsyncIterator[dict[str, Any]]:
        for row in rows(40):
            await asyncio.sleep(0)
            yield row

    async def main() -> list[Outcome[Any]]:
        async with AsyncProcessMaker(sandbox.url, token=sandbox.token(), transport=sandbox.transport()) as pm:
            return [outcome async for outcome in pm.start_many(4, coming(), event="node_1", key="order")]

    assert len(asyncio.run(main())) == len(sandbox.requests) == 40


def test_outcomes_come_while_the_next_row_is_awaited(sandbox: Sandbox) -> None:
    told = asyncio.Event()

    async def coming() -> AsyncIterator[dict[str, Any]]:
        yield {"n": 1}
        await told.wait()
        yield {"n": 2}

    async def main() -> int:
        count = 0
        async with AsyncProcessMaker(sandbox.url, token=sandbox.token(), transport=sandbox.transport()) as pm:
            async for _ in pm.start_many(4, coming(), event="node_1"):
                count += 1
                told.set()
        return count

    assert asyncio.run(asyncio.wait_for(main(), 30)) == 2


@pytest.mark.parametrize("from_a_thread", [False, True])
def test_stop_does_not_wait_for_the_next_row(sandbox: Sandbox, from_a_thread: bool) -> None:
    put_in_order = []

    async def coming() -> AsyncIterator[dict[str, Any]]:
        try:
            for row in rows(3):
                yield row
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            put_in_order.append(True)

    async def main() -> list[Outcome[Any]]:
        async with AsyncProcessMaker(sandbox.url, token=sandbox.token(), transport=sandbox.transport()) as pm:
            before = asyncio.all_tasks()
            outcomes = pm.start_many(4, coming(), event="node_1", key="order")
            told = []
            async for outcome in outcomes:
                told.append(outcome)
                if len(told) == 3:
                    if from_a_thread:
                        asyncio.get_running_loop().call_later(0.05, Thread(target=outcomes.stop).start)
                    else:
                        asyncio.get_running_loop().call_later(0.05, outcomes.stop)
            assert asyncio.all_tasks() == before
            return told

    assert len(asyncio.run(asyncio.wait_for(main(), 20))) == len(sandbox.requests) == 3
    assert put_in_order == [True]


def test_stop_while_a_row_is_awaited_lets_what_is_in_flight_end(sandbox: Sandbox) -> None:
    async def coming() -> AsyncIterator[dict[str, Any]]:
        yield {"n": 1}
        await asyncio.Event().wait()

    async def main() -> list[Outcome[Any]]:
        async def slow(request: httpx.Request) -> httpx.Response:
            outcomes.stop()
            await asyncio.sleep(0.1)
            return sandbox(request)

        transport = httpx.MockTransport(slow)
        async with AsyncProcessMaker(sandbox.url, token=sandbox.token(), transport=transport) as pm:
            outcomes = pm.start_many(4, coming(), event="node_1")
            return [outcome async for outcome in outcomes]

    (outcome,) = asyncio.run(asyncio.wait_for(main(), 20))
    assert outcome.request
    assert [outcome.request.id] == [request.id for request in sandbox.requests]


def test_a_cancelled_task_finishes_what_is_in_flight(sandbox: Sandbox) -> None:
    async def main() -> tuple[int, int]:
        async with AsyncProcessMaker(sandbox.url, token=sandbox.token(), transport=sandbox.transport()) as pm:
            outcomes = pm.start_many(4, Endless(), event="node_1", key="order")
            told = 0

            async def consume() -> None:
                nonlocal told
                async for _ in outcomes:
                    told += 1
                    if told == 20:
                        asyncio.current_task().cancel()  # type: ignore[union-attr]

            task = asyncio.create_task(consume())
            with pytest.raises(asyncio.CancelledError):
                await task
            assert asyncio.all_tasks() == {asyncio.current_task()}
            return told, sum(outcome.request is not None for outcome in outcomes.rest)

    told, rest = asyncio.run(main())
    assert told < 40
    assert len(sandbox.requests) == told + rest


def test_ctrl_c_between_two_steps_ends_a_run_and_loses_no_outcome(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(SimpleQueue[Any]):
        """Ctrl-C comes just as something has arrived, which is then lost."""

        taken = 0

        def get(self, block: bool = True, timeout: float | None = None) -> Any:
            found = super().get(block, timeout or 20)  # in place of waiting for ever
            self.taken += 1
            if self.taken == 5:
                raise KeyboardInterrupt
            return found

    monkeypatch.setattr(_many, "SimpleQueue", Interrupted)
    told: list[Outcome[Any]] = []
    with ProcessMaker(sandbox.url, token=sandbox.token(), transport=sandbox.transport()) as pm:
        outcomes = pm.start_many(4, rows(100), event="node_1", concurrency=4)
        with pytest.raises(KeyboardInterrupt):
            told.extend(outcomes)
        outcomes.close()
    ids = [outcome.request.id for outcome in (*told, *outcomes.rest) if outcome.request]
    assert sorted(ids) == [request.id for request in sandbox.requests]
    assert len(ids) < 100
