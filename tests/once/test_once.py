"""One key, one payload, one Request: beside other callers, other users, forks, interrupts and code that raises."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from conftest import Connect
from processmaker import (
    AsyncProcessMaker,
    ConfigurationError,
    Forbidden,
    JournalError,
    NotFound,
    ProcessMaker,
    ProcessMakerError,
    ServerError,
    SQLiteJournal,
    StartOutcomeUnknown,
    TimedOut,
)
from processmaker.journal import Entry, KeyedStart, MemoryJournal
from processmaker.sandbox import Sandbox

AUTO: dict[str, Any] = {"process": 4, "event": "node_1"}


def options(sandbox: Sandbox, user: str = "integration.bot") -> dict[str, Any]:
    return {"token": sandbox.token(user), "transport": sandbox.transport()}


@pytest.fixture
def journal(sandbox: Sandbox) -> MemoryJournal:
    """A journal in the sandbox's time."""
    journal = MemoryJournal()
    journal.clock = sandbox.clock
    return journal


def entry_of(journal: MemoryJournal, sandbox: Sandbox, key: str = "k", process_id: int = 4) -> Entry | None:
    return journal.read(KeyedStart(sandbox.url, process_id, key))


# --- the journal's steps --------------------------------------------------------------------------------------------


def test_a_start_is_recorded_with_what_identifies_its_request(
    connect: Connect, sandbox: Sandbox, journal: MemoryJournal
) -> None:
    request = connect(sandbox.url, **options(sandbox), journal=journal).start(**AUTO, idempotency_key="k")
    entry = entry_of(journal, sandbox)
    assert entry
    assert (entry.state, entry.request_id, entry.uuid) == ("started", request.id, request.uuid)
    assert entry.fingerprint
    assert entry.fingerprint.startswith("4:")


def test_a_key_in_the_journal_is_read_by_its_id(connect: Connect, sandbox: Sandbox, journal: MemoryJournal) -> None:
    pm = connect(sandbox.url, **options(sandbox), journal=journal)
    first = pm.start(**AUTO, idempotency_key="k")
    sandbox.calls.clear()
    assert pm.start(**AUTO, idempotency_key="k").id == first.id
    assert [call.path for call in sandbox.calls] == [f"/requests/{first.id}"]


def test_a_request_whose_key_was_overwritten_is_known_by_its_uuid(
    connect: Connect, sandbox: Sandbox, journal: MemoryJournal
) -> None:
    """As a signal does it to a Request that waits for it (observed on 4.15.5)."""
    pm = connect(sandbox.url, **options(sandbox), journal=journal)
    first = pm.start(**AUTO, idempotency_key="k")
    sandbox.request(first.id).data["_idempotency_key"] = "of the sender"
    assert pm.find("k", process=4) is None
    assert pm.start(**AUTO, idempotency_key="k").id == first.id


def test_a_start_without_a_key_leaves_the_journal_alone(
    connect: Connect, sandbox: Sandbox, journal: MemoryJournal
) -> None:
    connect(sandbox.url, **options(sandbox), journal=journal).start(**AUTO)
    assert list(journal.entries(started=True)) == []


@pytest.mark.parametrize("fault", ["refused", 429, 503])
def test_what_certainly_was_not_processed_releases_the_key(
    connect: Connect, sandbox: Sandbox, journal: MemoryJournal, fault: Any
) -> None:
    pm = connect(sandbox.url, **options(sandbox), journal=journal, retries=None)
    sandbox.fail_next(fault, on="POST /process_events")
    with pytest.raises(ProcessMakerError) as failure:
        pm.start(**AUTO, idempotency_key="k")
    assert (failure.value.processed, failure.value.started) == (False, False)
    assert entry_of(journal, sandbox) is None


def test_a_key_whose_start_was_lost_can_be_started_when_the_lease_is_over(
    connect: Connect, sandbox: Sandbox, journal: MemoryJournal
) -> None:
    pm = connect(sandbox.url, **options(sandbox), journal=journal)
    sandbox.fail_next("lost before", on="POST /process_events")
    with pytest.raises(StartOutcomeUnknown) as failure:
        pm.start(**AUTO, idempotency_key="k")
    entry = entry_of(journal, sandbox)
    assert entry
    assert entry.state == "unknown"
    assert failure.value.retry_after == pytest.approx(90 - entry.age)
    assert failure.value.retry_after
    sandbox.clock.advance(failure.value.retry_after)
    assert pm.start(**AUTO, idempotency_key="k").created


def test_a_reservation_whose_owner_is_gone_is_taken_over_after_ten_seconds(
    connect: Connect, sandbox: Sandbox, journal: MemoryJournal
) -> None:
    journal.reserve([(KeyedStart(sandbox.url, 4, "k"), "gone:1:1:x")])
    began = sandbox.clock.monotonic()
    assert connect(sandbox.url, **options(sandbox), journal=journal).start(**AUTO, idempotency_key="k").created
    assert 10 < sandbox.clock.monotonic() - began < 12


def test_a_start_that_a_killed_caller_sent_is_found_before_its_lease_is_over(
    connect: Connect, sandbox: Sandbox, journal: MemoryJournal
) -> None:
    start = KeyedStart(sandbox.url, 4, "k")
    journal.reserve([(start, "gone:1:1:x")])
    journal.sending(start, "gone:1:1:x")
    connect(sandbox.url, **options(sandbox), journal=MemoryJournal()).start(**AUTO, idempotency_key="k")
    found = connect(sandbox.url, **options(sandbox), journal=journal).start(**AUTO, idempotency_key="k")
    assert (found.id, found.created) == (1, False)


def test_the_step_to_sending_comes_right_before_the_first_byte(sandbox: Sandbox, journal: MemoryJournal) -> None:
    states = []

    def server(request: httpx.Request) -> httpx.Response:
        entry = entry_of(journal, sandbox)
        states.append((request.method, entry and entry.state))
        return sandbox(request)

    token = sandbox.token()
    transport = httpx.MockTransport(server)
    with ProcessMaker(sandbox.url, token=lambda: token, transport=transport, journal=journal) as pm:
        pm.start(**AUTO, idempotency_key="k")
    assert states == [("GET", "reserved"), ("POST", "sending")]


# --- beside other callers -------------------------------------------------------------------------------------------


def test_threads_with_one_key_make_one_request() -> None:
    sandbox = Sandbox(start_takes=0.2)
    with ProcessMaker(sandbox.url, **options(sandbox)) as pm, ThreadPoolExecutor(8) as pool:
        requests = list(pool.map(lambda _: pm.start(**AUTO, idempotency_key="k"), range(16)))
    assert {request.id for request in requests} == {1}
    assert [request.created for request in requests].count(True) == 1


def test_tasks_of_two_loops_and_threads_with_one_key_make_one_request() -> None:
    sandbox = Sandbox(start_takes=0.2)

    async def start_some() -> set[int]:
        async with AsyncProcessMaker(sandbox.url, **options(sandbox)) as pm:
            starts = [pm.start(4, event="node_1", idempotency_key="k") for _ in range(8)]
            return {request.id for request in await asyncio.gather(*starts)}

    with ThreadPoolExecutor(3) as pool, ProcessMaker(sandbox.url, **options(sandbox)) as pm:
        loops = [pool.submit(asyncio.run, start_some()) for _ in range(2)]
        blocking = pool.submit(pm.start, 4, event="node_1", idempotency_key="k")
        ids = loops[0].result() | loops[1].result() | {blocking.result().id}
    assert ids == {1}
    assert len(sandbox.requests) == 1


def test_clients_whose_transports_wrap_the_network_share_one_journal(sandbox: Sandbox) -> None:
    class Traced(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            return sandbox(request)

    sandbox.start_takes = 0.2
    clients = [ProcessMaker(sandbox.url, token=sandbox.token(), transport=Traced()) for _ in range(2)]
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda n: clients[n % 2].start(**AUTO, idempotency_key="k").id, range(8)))
    assert set(ids) == {1}


def test_a_start_and_a_run_of_many_make_one_request_for_a_key(sandbox: Sandbox) -> None:
    rows = [{"n": number, "key": f"key-{number}"} for number in range(60)]
    with ProcessMaker(sandbox.url, **options(sandbox)) as pm, ThreadPoolExecutor(1) as pool:
        outcomes = []
        other = None
        for outcome in pm.start_many(4, rows, event="node_1", key="key", concurrency=1):
            outcomes.append(outcome)
            if len(outcomes) == 3:
                other = pool.submit(pm.start, 4, rows[59], event="node_1", idempotency_key="key-59")
        assert other
        last = next(outcome for outcome in outcomes if outcome.key == "key-59")
        assert last.request
        assert last.request.id == other.result().id
    assert len(sandbox.requests) == 60


def test_two_runs_of_many_in_opposite_order_make_one_request_for_each_key(sandbox: Sandbox) -> None:
    rows = [{"n": number, "key": f"key-{number}"} for number in range(120)]

    def run_all(given: list[dict[str, Any]]) -> set[int]:
        with ProcessMaker(sandbox.url, **options(sandbox)) as pm:
            outcomes = list(pm.start_many(4, given, event="node_1", key="key"))
        return {outcome.request.id for outcome in outcomes if outcome.request}

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(run_all, [rows, rows[::-1]])
    assert first == second == set(range(1, 121))
    assert len(sandbox.requests) == 120


def test_an_ordinary_caller_does_not_take_the_old_request_for_one_that_is_being_started_again(
    sandbox: Sandbox, journal: MemoryJournal
) -> None:
    with ProcessMaker(sandbox.url, **options(sandbox), journal=journal) as pm:
        sandbox.cancel(pm.start("Leave Request", idempotency_key="k").id)
        keyed = KeyedStart(sandbox.url, 2, "k")
        (again,) = journal.reserve([(keyed, "other:1:1:x")], replace=1)
        assert again.mine
        journal.sending(keyed, "other:1:1:x")
        with pytest.raises(TimedOut):
            pm.start("Leave Request", idempotency_key="k", timeout=20)
        entry = entry_of(journal, sandbox, process_id=2)
        assert entry
        assert (entry.state, entry.owner) == ("sending", "other:1:1:x")


def test_a_user_is_not_handed_the_request_of_another_user(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.add_process("For All", id=970, users=("integration.bot", "reviewer"))
    connect(sandbox.url, **options(sandbox)).start(970, event="node_1", idempotency_key="k")
    other = connect(sandbox.url, **options(sandbox, "reviewer"))
    with pytest.raises(Forbidden, match="was started as Request 1, which this token may not see") as refusal:
        other.start(970, event="node_1", idempotency_key="k")
    assert (refusal.value.processed, refusal.value.started) == (False, None)
    assert len(sandbox.requests) == 1


def test_a_call_does_not_wait_for_its_own_thread(sandbox: Sandbox) -> None:
    """Such as in a signal handler, or a finalizer, that runs in the middle of a start."""
    errors: list[StartOutcomeUnknown] = []

    def server(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            with pytest.raises(StartOutcomeUnknown, match="this thread itself is starting it") as failure:
                pm.start(**AUTO, idempotency_key="k")
            errors.append(failure.value)
        return sandbox(request)

    with ProcessMaker(sandbox.url, token=sandbox.token(), transport=httpx.MockTransport(server)) as pm:
        assert pm.start(**AUTO, idempotency_key="k").created
    facts: tuple[object, ...] = (errors[0].processed, errors[0].started, errors[0].retryable)
    assert facts == (False, None, True)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a forked child was not tried: this system does not fork")
def test_a_forked_child_knows_what_its_parent_sent_and_lost(sandbox: Sandbox) -> None:
    with ProcessMaker(sandbox.url, **options(sandbox)) as pm:
        sandbox.fail_next("lost before", on="POST /process_events")
        with pytest.raises(StartOutcomeUnknown):
            pm.start(**AUTO, idempotency_key="k", look_again_for=0)
        child = os.fork()
        if child == 0:
            try:
                pm.start(**AUTO, idempotency_key="k", look_again_for=0)
            except StartOutcomeUnknown:
                os._exit(7)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


# --- answers that are another start's -------------------------------------------------------------------------------


def test_a_repeated_answer_to_an_earlier_start_is_not_taken_for_this_one(connect: Connect, sandbox: Sandbox) -> None:
    answers: list[httpx.Response] = []

    def server(request: httpx.Request) -> httpx.Response:
        answer = sandbox(request)
        if request.method == "POST":
            answers.append(answer)
            first = answers[0]
            return httpx.Response(first.status_code, headers=first.headers, content=first.content)
        return answer

    pm = connect(sandbox.url, token=sandbox.token(), transport=httpx.MockTransport(server), clock=sandbox.clock)
    assert pm.start(**AUTO, idempotency_key="A").id == 1
    second = pm.start(**AUTO, idempotency_key="B")
    assert (second.id, second.created) == (2, None)


def test_a_mock_that_always_answers_with_one_id_serves_starts_without_a_key(connect: Connect) -> None:
    answer = {"id": 1, "process_id": 4, "status": "ACTIVE"}
    transport = httpx.MockTransport(lambda _: httpx.Response(201, json=answer))
    pm = connect("https://pm.example.com", token="t", transport=transport)
    assert [pm.start(**AUTO).id for _ in range(3)] == [1, 1, 1]


def test_a_success_that_is_no_201_is_a_lost_answer(connect: Connect) -> None:
    def server(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(404, json={"message": "Not Found"})
        return httpx.Response(202, json={"id": 1, "process_id": 4, "status": "ACTIVE"})

    transport = httpx.MockTransport(server)
    with pytest.raises(StartOutcomeUnknown, match="status 202 in place of 201"):
        connect("https://pm.example.com", token="t", transport=transport).start(**AUTO)


# --- what "not started" means ---------------------------------------------------------------------------------------


class Audited(httpx.Auth):
    """An auth of the user's own that raises after the answer."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:  # type: ignore[override]
        request.headers["Authorization"] = f"Bearer {self.sandbox.token()}"
        yield request
        if request.method == "POST":
            raise RuntimeError("the audit log cannot be reached")


@pytest.mark.parametrize("key", [None, "k"])
def test_an_auth_that_raises_after_the_answer_does_not_say_not_started(
    connect: Connect, sandbox: Sandbox, key: str | None
) -> None:
    pm = connect(sandbox.url, auth=Audited(sandbox), transport=sandbox.transport())
    with pytest.raises(StartOutcomeUnknown) as failure:
        pm.start(**AUTO, idempotency_key=key)
    assert isinstance(failure.value.__cause__, RuntimeError)
    assert (failure.value.processed, failure.value.started) == (None, None)
    (outcome,) = pm.start_many(4, [{"n": 1}], event="node_1")
    assert outcome.started is None


class Raising(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        if "was started" in record.getMessage():
            raise RuntimeError("the log cannot be written")


def test_a_log_handler_that_raises_does_not_lose_the_request(connect: Connect, sandbox: Sandbox) -> None:
    handler = Raising()
    logger = logging.getLogger("processmaker")
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel("INFO")
    try:
        with pytest.raises(StartOutcomeUnknown) as failure:
            connect(sandbox.url, **options(sandbox)).start(**AUTO, idempotency_key="k")
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    assert isinstance(failure.value.__cause__, RuntimeError)
    assert failure.value.request
    facts: tuple[object, ...] = (failure.value.request.id, failure.value.processed, failure.value.started)
    assert facts == (1, True, True)


def test_a_look_that_fails_says_nothing_about_the_key(connect: Connect, sandbox: Sandbox) -> None:
    pm = connect(sandbox.url, **options(sandbox), retries=None)
    pm.start(**AUTO, idempotency_key="k")
    sandbox.clock.advance(100)
    sandbox.fail_next(502, on="GET /requests")
    with pytest.raises(ServerError) as failure:
        pm.start(**AUTO, idempotency_key="k")
    assert (failure.value.processed, failure.value.started) == (False, None)


def test_a_request_that_a_replica_does_not_have_yet_is_read_again(
    connect: Connect, sandbox: Sandbox, journal: MemoryJournal
) -> None:
    lagging = 2

    def server(request: httpx.Request) -> httpx.Response:
        nonlocal lagging
        if request.url.path.endswith("/requests/1") and lagging:
            lagging -= 1
            return httpx.Response(404, json={"message": "Not Found"})
        return sandbox(request)

    transport = httpx.MockTransport(server)
    pm = connect(sandbox.url, token=sandbox.token(), transport=transport, journal=journal, clock=sandbox.clock)
    first = pm.start(**AUTO, idempotency_key="k")
    assert pm.start(**AUTO, idempotency_key="k").id == first.id


def test_a_request_that_is_gone_leaves_the_key_unknown(
    connect: Connect, sandbox: Sandbox, journal: MemoryJournal
) -> None:
    pm = connect(sandbox.url, **options(sandbox), journal=journal)
    journal.reserve([(KeyedStart(sandbox.url, 4, "k"), "a:1:1:x")])
    journal.started(KeyedStart(sandbox.url, 4, "k"), "a:1:1:x", 99)
    with pytest.raises(StartOutcomeUnknown) as failure:
        pm.start(**AUTO, idempotency_key="k")
    assert isinstance(failure.value.__cause__, NotFound)
    facts: tuple[object, ...] = (failure.value.processed, failure.value.started)
    assert facts == (False, None)
    assert "forget" not in str(failure.value)
    assert sandbox.requests == []


def test_a_request_of_another_key_is_not_the_one_that_the_journal_names(
    connect: Connect, sandbox: Sandbox, journal: MemoryJournal
) -> None:
    """Such as after the server's database was replaced."""
    pm = connect(sandbox.url, **options(sandbox), journal=journal)
    other = pm.start(**AUTO, idempotency_key="other")
    journal.reserve([(KeyedStart(sandbox.url, 4, "k"), "a:1:1:x")])
    journal.started(KeyedStart(sandbox.url, 4, "k"), "a:1:1:x", other.id, uuid="of another one")
    with pytest.raises(StartOutcomeUnknown, match="names Request 1, which has another key") as failure:
        pm.start(**AUTO, idempotency_key="k")
    facts: tuple[object, ...] = (failure.value.processed, failure.value.started)
    assert facts == (False, None)


def test_a_cut_off_answer_whose_request_cannot_be_read_is_recorded(
    connect: Connect, sandbox: Sandbox, journal: MemoryJournal
) -> None:
    pm = connect(sandbox.url, **options(sandbox), journal=journal)
    sandbox.fail_next("truncated", on="POST /process_events", at=0.9)
    sandbox.fail_next(500, on="GET /requests/1", times=9)
    with pytest.raises(StartOutcomeUnknown) as failure:
        pm.start(**AUTO, idempotency_key="k")
    assert (failure.value.request_id, failure.value.started) == (1, True)
    entry = entry_of(journal, sandbox)
    assert entry
    assert (entry.state, entry.request_id) == ("started", 1)


def test_a_cut_off_answer_to_the_start_of_another_caller_is_not_this_one_s(connect: Connect, sandbox: Sandbox) -> None:
    def server(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return sandbox(request)
        with ProcessMaker(sandbox.url, token=sandbox.token(), transport=httpx.MockTransport(sandbox)) as other:
            other.start(4, {"n": 2}, event="node_1", idempotency_key="k")
        return httpx.Response(201, text='{"id": 1, "na')

    pm = connect(sandbox.url, token=sandbox.token(), transport=httpx.MockTransport(server), clock=sandbox.clock)
    with pytest.raises(StartOutcomeUnknown) as failure:
        pm.start(4, {"n": 1}, event="node_1", idempotency_key="k")
    assert (failure.value.processed, failure.value.request_id) == (None, None)


def test_a_cut_off_answer_that_names_the_replaced_request_is_not_its_successor(
    connect: Connect, sandbox: Sandbox
) -> None:
    def server(request: httpx.Request) -> httpx.Response:
        if request.method == "POST" and sandbox.requests:
            return httpx.Response(201, text='{"id": 1, "na')
        return sandbox(request)

    pm = connect(sandbox.url, token=sandbox.token(), transport=httpx.MockTransport(server), clock=sandbox.clock)
    sandbox.cancel(pm.start("Leave Request", idempotency_key="k").id)
    with pytest.raises(StartOutcomeUnknown):
        pm.start("Leave Request", idempotency_key="k", again=True)


# --- journals that fail ---------------------------------------------------------------------------------------------


class Failing(MemoryJournal):
    """A journal one of whose steps fails."""

    def __init__(self, step: str, problem: BaseException) -> None:
        super().__init__()
        self.problem = problem

        def fail(*_: object, **__: object) -> Any:
            raise self.problem

        setattr(self, step, fail)


@pytest.mark.parametrize("step", ["reserve", "sending"])
def test_a_journal_that_fails_before_the_first_byte_lets_nothing_be_sent(
    connect: Connect, sandbox: Sandbox, step: str
) -> None:
    journal = Failing(step, JournalError("Redis is down", transient=True))
    pm = connect(sandbox.url, **options(sandbox), journal=journal, retries=None)
    with pytest.raises(JournalError, match="Redis is down") as failure:
        pm.start(**AUTO, idempotency_key="k")
    assert (failure.value.processed, failure.value.retryable) == (False, True)
    assert sandbox.requests == []
    assert list(journal.entries()) == []


def test_a_journal_that_fails_after_the_answer_does_not_lose_it(
    connect: Connect, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Failing("started", JournalError("it was closed"))
    assert connect(sandbox.url, **options(sandbox), journal=journal).start(**AUTO, idempotency_key="k").created
    assert 'could not take the step "started": it was closed' in caplog.text


class TimeLimit(Exception):
    """As Celery raises one in the middle of whatever runs."""


@pytest.mark.parametrize("step", ["reserve", "sending"])
def test_a_time_limit_in_a_journal_step_comes_out_as_itself(connect: Connect, sandbox: Sandbox, step: str) -> None:
    pm = connect(sandbox.url, **options(sandbox), journal=Failing(step, TimeLimit()))
    with pytest.raises(TimeLimit):
        pm.start(**AUTO, idempotency_key="k")
    assert sandbox.requests == []


def test_closing_the_journal_during_a_start_loses_no_request(tmp_path: Path) -> None:
    sandbox = Sandbox()
    journal = SQLiteJournal(tmp_path / "starts.db")

    def server(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            journal.close()
        return sandbox(request)

    transport = httpx.MockTransport(server)
    with ProcessMaker(sandbox.url, token=sandbox.token(), transport=transport, journal=journal) as pm:
        first, second = pm.start_many(4, [{"key": "a"}, {"key": "b"}], event="node_1", key="key", concurrency=1)
        assert first.request
        assert (first.request.id, first.started) == (1, True)
        assert second.request  # the next step opened the journal again
        assert second.request.id == 2
    assert len(sandbox.requests) == 2


def test_closing_the_client_during_a_start_loses_no_request(sandbox: Sandbox) -> None:
    def server(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            pm.close()
        return sandbox(request)

    pm = ProcessMaker(sandbox.url, token=sandbox.token(), transport=httpx.MockTransport(server))
    first, second = pm.start_many(4, [{"key": "a"}, {"key": "b"}], event="node_1", key="key", concurrency=1)
    assert first.request
    assert first.request.id == 1
    assert isinstance(second.error, ConfigurationError)


@pytest.mark.parametrize("wrong", [object(), MemoryJournal, "starts.db"])
def test_what_is_no_journal_is_refused(connect: Connect, sandbox: Sandbox, wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="journal"):
        connect(sandbox.url, **options(sandbox), journal=wrong)


# --- interrupts and cancellation ------------------------------------------------------------------------------------


def interrupt_at(count: int, places: tuple[str, ...]) -> Callable[..., Any]:
    """A trace function that raises KeyboardInterrupt at the nth line that runs in these folders."""
    left = count

    def trace(frame: Any, event: str, _: object) -> Any:
        nonlocal left
        # Python runs no signal handler between the lines of lock.py; its own tests raise where it does.
        file = frame.f_code.co_filename
        if file.endswith("lock.py") or not any(place in file for place in places):
            return None
        if event == "line":
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
        return trace

    return trace


@pytest.mark.filterwarnings("ignore:coroutine", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("first", range(1, 8))
def test_an_interrupt_at_any_moment_blocks_no_key_and_doubles_none(first: int) -> None:
    interrupted = 0
    for count in range(first, 900, 7):
        sandbox = Sandbox()
        with ProcessMaker(sandbox.url, **options(sandbox)) as pm:
            before = sys.gettrace()
            sys.settrace(interrupt_at(count, (f"processmaker{os.sep}once", f"processmaker{os.sep}journal")))
            try:  # in a context of its own, as what is said of this start may not be taken back
                copy_context().run(pm.start, 4, event="node_1", idempotency_key="k")
            except KeyboardInterrupt:
                interrupted += 1
            finally:
                sys.settrace(before)
            sandbox.clock.advance(91)
            with ThreadPoolExecutor(1) as pool:
                request = pool.submit(pm.start, 4, event="node_1", idempotency_key="k").result(20)
        assert [made.id for made in sandbox.requests] == [request.id], count
    assert interrupted > 20


def test_an_interrupt_before_the_first_byte_says_nothing_of_an_unknown_outcome(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture, journal: MemoryJournal
) -> None:
    def server(_: httpx.Request) -> httpx.Response:
        raise KeyboardInterrupt

    transport = httpx.MockTransport(server)
    with (
        ProcessMaker(sandbox.url, token="t", transport=transport, journal=journal) as pm,
        pytest.raises(KeyboardInterrupt),
    ):
        pm.start(**AUTO, idempotency_key="k")  # in the look
    assert "not known" not in caplog.text
    assert list(journal.entries()) == []


@pytest.mark.parametrize("how", ["asyncio", "anyio"])
@pytest.mark.parametrize("sent", [False, True])
def test_a_cancelled_start_leaves_the_journal_as_it_is(sandbox: Sandbox, tmp_path: Path, how: str, sent: bool) -> None:
    async def server(request: httpx.Request) -> httpx.Response:
        if request.method == ("POST" if sent else "GET") and not done.is_set():
            cancel[0]()
            await asyncio.sleep(30)
        return sandbox(request)

    async def main(journal: SQLiteJournal) -> list[str]:
        transport = httpx.MockTransport(server)
        async with AsyncProcessMaker(sandbox.url, token=sandbox.token(), transport=transport, journal=journal) as pm:
            if how == "anyio":
                with anyio.CancelScope() as scope:
                    cancel.append(scope.cancel)
                    await pm.start(4, event="node_1", idempotency_key="k")
            else:
                limit = asyncio.timeout(None)
                cancel.append(lambda: limit.reschedule(0))
                with suppress(TimeoutError):
                    async with limit:
                        await pm.start(4, event="node_1", idempotency_key="k")
            done.set()
            return [entry.state for entry in journal.entries(started=True)]

    done, cancel = threading.Event(), list[Callable[[], None]]()
    with SQLiteJournal(tmp_path / "starts.db") as journal:
        assert asyncio.run(main(journal)) == (["unknown"] if sent else [])


# --- the time for a whole start -------------------------------------------------------------------------------------


def test_a_start_whose_time_is_over_before_the_first_byte_certainly_did_nothing(
    connect: Connect, sandbox: Sandbox, journal: MemoryJournal
) -> None:
    start = KeyedStart(sandbox.url, 4, "k")
    journal.reserve([(start, "other:1:1:x")])
    journal.sending(start, "other:1:1:x")
    began = sandbox.clock.monotonic()
    with pytest.raises(TimedOut) as failure:
        connect(sandbox.url, **options(sandbox), journal=journal).start(**AUTO, idempotency_key="k", timeout=8)
    assert failure.value.processed is False
    assert 8 <= sandbox.clock.monotonic() - began < 10


def test_a_start_whose_time_is_over_after_the_first_byte_is_unknown(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.fail_next("lost before", on="POST /process_events")
    began = sandbox.clock.monotonic()
    with pytest.raises(StartOutcomeUnknown):
        connect(sandbox.url, **options(sandbox)).start(**AUTO, idempotency_key="k", timeout=5)
    assert sandbox.clock.monotonic() - began < 8


@pytest.mark.parametrize("seconds", [-1, float("nan"), "5", True])
def test_a_time_for_a_start_is_a_number_of_seconds(connect: Connect, sandbox: Sandbox, seconds: Any) -> None:
    with pytest.raises(ProcessMakerError, match="timeout"):
        connect(sandbox.url, **options(sandbox)).start(**AUTO, timeout=seconds)
    assert sandbox.calls == []


# --- one row's trouble ----------------------------------------------------------------------------------------------


def test_a_token_function_that_fails_once_is_one_rows_error(sandbox: Sandbox) -> None:
    asked = 0

    def token() -> str:
        nonlocal asked
        asked += 1
        if asked == 3:
            raise OSError("the vault is not reachable")
        return sandbox.token()

    with ProcessMaker(sandbox.url, token=token, transport=sandbox.transport(), retries=None) as pm:
        outcomes = list(pm.start_many(4, [{"n": n} for n in range(6)], event="node_1", concurrency=1))
    assert [outcome.started for outcome in outcomes].count(True) == 5
    (failed,) = [outcome for outcome in outcomes if outcome.error]
    assert (failed.started, "vault" in str(failed.error)) == (False, True)


def test_the_body_that_is_sent_holds_key_and_fingerprint_after_the_data(connect: Connect, sandbox: Sandbox) -> None:
    bodies = []

    def server(request: httpx.Request) -> httpx.Response:
        bodies.extend([json.loads(request.content)] if request.method == "POST" else [])
        return sandbox(request)

    pm = connect(sandbox.url, token=sandbox.token(), transport=httpx.MockTransport(server))
    pm.start(4, {"z": 1, "a": 2.0}, event="node_1", idempotency_key="k")
    assert list(bodies[0]) == ["z", "a", "_idempotency_key", "_idempotency_fingerprint"]


def test_a_start_beside_a_run_of_many_in_one_thread_waits_for_its_row(sandbox: Sandbox) -> None:
    rows = [{"n": number, "key": f"key-{number}"} for number in range(30)]
    own = None
    with ProcessMaker(sandbox.url, **options(sandbox)) as pm:
        for number, _ in enumerate(pm.start_many(4, rows, event="node_1", key="key", concurrency=1)):
            if number == 3:
                own = pm.start(4, rows[29], event="node_1", idempotency_key="key-29")
    assert own
    assert len(sandbox.requests) == 30
