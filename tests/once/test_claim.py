"""A start with a journal: who sends a key, and what those do who find it being sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from conftest import Connect
from memory_journal import AsyncMemoryJournal, MemoryJournal
from processmaker import (
    AsyncProcessMaker,
    ConfigurationError,
    Forbidden,
    JournalError,
    NotFound,
    ProcessMaker,
    RateLimited,
    RequestCanceled,
    RequestFailed,
    ServiceUnavailable,
    SQLiteJournal,
    StartOutcomeUnknown,
    UnreadableResponse,
)
from processmaker.journal import Entry, KeyedStart
from processmaker.sandbox import Sandbox

LEASE = 90.0
START = "POST /process_events"
OTHER = "another caller"


class Journal(MemoryJournal):
    """A journal that lives by the sandbox's time, and in which something may happen at one of its steps.

    Args:
        sandbox: whose time.
        happens: called with the number of each claim, from 1, before it.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(LEASE, now=sandbox.clock.now)
        self.claims = 0
        self.happens: Callable[[int], None] = lambda _: None
        self.broken: set[str] = set()

    def claim(self, start: KeyedStart, owner: str) -> Entry:
        self._check("claim")
        if owner != OTHER:
            self.claims += 1
            self.happens(self.claims)
        return super().claim(start, owner)

    def started(self, start: KeyedStart, owner: str, request_id: int) -> None:
        self._check("started")
        super().started(start, owner, request_id)

    def release(self, start: KeyedStart, owner: str) -> None:
        self._check("release")
        super().release(start, owner)

    def renew(self, start: KeyedStart) -> None:
        super().claim(start, OTHER)

    def _check(self, step: str) -> None:
        if step in self.broken:
            raise JournalError("the journal: the disk is full")

    @property
    def said(self) -> list[tuple[str, int | None]]:
        return [(entry.start.key, entry.request_id) for entry in self.entries(started=True)]


def keyed(sandbox: Sandbox, key: str = "k") -> KeyedStart:
    return KeyedStart(sandbox.url, 4, key)


@pytest.fixture
def journal(sandbox: Sandbox) -> Journal:
    return Journal(sandbox)


@pytest.fixture
def pm(connect: Connect, sandbox: Sandbox, journal: Journal) -> Any:
    options = {"token": sandbox.token(), "transport": sandbox.transport(), "clock": sandbox.clock}
    return connect(sandbox.url, journal=journal, **options)


def start(pm: Any, **options: Any) -> Any:
    return pm.start(4, {"n": 1}, **{"event": "node_1", "idempotency_key": "k", **options})


def without_journal(sandbox: Sandbox) -> int:
    """The id of a Request that a caller elsewhere, without this journal, started with the key."""
    headers = {"Authorization": f"Bearer {sandbox.token()}", "Accept": "application/json"}
    with httpx.Client(transport=sandbox.transport(), base_url=f"{sandbox.url}/api/1.0", headers=headers) as other:
        answer = other.post("/process_events/4?event=node_1", json={"n": 1, "_idempotency_key": "k"})
        return int(answer.json()["id"])


# --- what the journal says ------------------------------------------------------------------------------------------


def test_a_start_is_written_down_as_its_request(pm: Any, journal: Journal) -> None:
    assert start(pm).created
    assert journal.said == [("k", 1)]


def test_a_key_that_was_started_is_read_by_its_id_and_not_looked_for(pm: Any, sandbox: Sandbox) -> None:
    first = start(pm)
    sandbox.calls.clear()
    again = start(pm)
    assert (again.id, again.created, again.idempotency_key) == (first.id, False, "k")
    assert sandbox.calls == [("GET", "/requests/1", 200)]


def test_with_a_shared_journal_the_first_look_may_be_left_out(pm: Any, sandbox: Sandbox) -> None:
    assert start(pm, look_first=False).created
    assert not start(pm, look_first=False).created
    assert sandbox.calls == [("POST", "/process_events/4", 201), ("GET", "/requests/1", 200)]


def test_a_start_without_a_key_is_none_of_the_journals_business(pm: Any, journal: Journal) -> None:
    pm.start(4, event="node_1")
    assert journal.claims == 0
    assert journal.said == []


def test_a_request_that_is_there_without_the_journals_knowledge_is_written_down(
    pm: Any, sandbox: Sandbox, journal: Journal
) -> None:
    there = without_journal(sandbox)
    assert start(pm).id == there
    assert journal.said == [("k", there)]


@pytest.mark.parametrize(
    ("options", "fault", "error"),
    [({}, 429, RateLimited), ({}, 503, ServiceUnavailable), ({"event": "node_9"}, None, Forbidden)],
)
def test_what_certainly_was_not_processed_is_taken_back(
    connect: Connect, sandbox: Sandbox, journal: Journal, options: Any, fault: Any, error: Any
) -> None:
    pm = connect(
        sandbox.url,
        token=sandbox.token(),
        transport=sandbox.transport(),
        clock=sandbox.clock,
        journal=journal,
        retries=None,
    )
    if fault:
        sandbox.fail_next(fault, on=START)
    with pytest.raises(error):
        start(pm, **options)
    assert journal.claims
    assert journal.said == []


def test_what_is_not_known_stays_being_sent(pm: Any, sandbox: Sandbox, journal: Journal) -> None:
    sandbox.fail_next("lost before", on=START)
    with pytest.raises(StartOutcomeUnknown):
        start(pm)
    assert journal.said == [("k", None)]


def test_a_lost_answer_that_was_found_is_written_down(pm: Any, sandbox: Sandbox, journal: Journal) -> None:
    sandbox.fail_next("answer lost", on=START)
    assert start(pm).id == 1
    assert journal.said == [("k", 1)]


def test_a_request_whose_state_cannot_be_read_is_written_down_by_its_id(
    pm: Any, sandbox: Sandbox, journal: Journal
) -> None:
    sandbox.fail_next("truncated", on=START, at=0.9)
    sandbox.fail_next(500, on="GET", times=100)
    with pytest.raises(StartOutcomeUnknown) as raised:
        start(pm, look_first=False)
    assert raised.value.request_id == 1
    assert journal.said == [("k", 1)]


def test_a_request_that_failed_is_a_start_too(connect: Connect, sandbox: Sandbox, journal: Journal) -> None:
    pm = connect(
        sandbox.url, token=sandbox.token(), transport=sandbox.transport(), clock=sandbox.clock, journal=journal
    )
    sandbox.add_process("Fails", id=50, fails_with="no mail server")
    for _ in range(2):
        with pytest.raises(RequestFailed):
            pm.start(50, event="node_1", idempotency_key="k")
    assert journal.said == [("k", 1)]
    assert len(sandbox.requests) == 1


# --- while another caller sends it ----------------------------------------------------------------------------------


def test_a_second_caller_waits_for_the_outcome_of_the_first(pm: Any, sandbox: Sandbox, journal: Journal) -> None:
    journal.claim(keyed(sandbox), OTHER)

    def ends(claim: int) -> None:
        if claim == 4:
            sandbox.appears_after = 0
            journal.started(keyed(sandbox), OTHER, without_journal(sandbox))

    journal.happens = ends
    request = start(pm)
    assert (request.id, request.created) == (1, False)
    assert len(sandbox.requests) == 1


def test_a_killed_callers_start_is_found_as_soon_as_the_server_shows_it(
    pm: Any, sandbox: Sandbox, journal: Journal
) -> None:
    journal.claim(keyed(sandbox), OTHER)
    there, began = without_journal(sandbox), sandbox.clock.monotonic()
    assert start(pm).id == there
    assert sandbox.clock.monotonic() - began < 2
    assert journal.said == [("k", there)]


@pytest.mark.parametrize("look_first", [True, False])
def test_a_silent_callers_key_is_taken_over_after_its_lease_and_looked_for_first(
    pm: Any, sandbox: Sandbox, journal: Journal, look_first: bool
) -> None:
    journal.claim(keyed(sandbox), OTHER)
    began = sandbox.clock.monotonic()
    assert start(pm, look_first=look_first).created
    assert LEASE < sandbox.clock.monotonic() - began < LEASE + 5
    assert [call[:2] for call in sandbox.calls][-2:] == [("GET", "/requests"), ("POST", "/process_events/4")]
    assert journal.said == [("k", 1)]


def test_what_shows_only_when_the_lease_is_over_is_not_started_again(
    pm: Any, sandbox: Sandbox, journal: Journal
) -> None:
    journal.claim(keyed(sandbox), OTHER)

    def shows(_: int) -> None:
        entry = journal.read(keyed(sandbox))
        if not sandbox.requests and entry and entry.silent_for > LEASE:
            without_journal(sandbox)

    journal.happens = shows
    assert start(pm).created is False
    assert len(sandbox.requests) == 1


def test_what_was_taken_over_is_not_taken_back_before_a_look_has_found_nothing(
    pm: Any, sandbox: Sandbox, journal: Journal
) -> None:
    """Another caller may have started it: a failed look knows nothing of that."""
    journal.claim(keyed(sandbox), OTHER)
    sandbox.fail_next("html", on="GET", times=100)
    with pytest.raises(UnreadableResponse):
        start(pm)
    assert journal.said == [("k", None)]


def test_waiting_for_a_caller_who_goes_on_sending_ends_in_an_unknown_outcome(
    pm: Any, sandbox: Sandbox, journal: Journal
) -> None:
    journal.claim(keyed(sandbox), OTHER)
    journal.happens = lambda _: journal.renew(keyed(sandbox))
    began = sandbox.clock.monotonic()
    with pytest.raises(StartOutcomeUnknown, match=f'"k" is being sent by another caller, {OTHER}') as raised:
        start(pm, look_again_for=10)
    assert sandbox.clock.monotonic() - began < LEASE + 20
    assert raised.value.retryable
    assert sandbox.requests == []
    assert journal.said == [("k", None)]


def test_a_start_is_claimed_anew_each_time_it_is_sent(pm: Any, sandbox: Sandbox, journal: Journal) -> None:
    sandbox.fail_next(503, on=START, times=2)
    assert start(pm).created
    assert journal.claims == 3


def test_a_key_that_was_taken_over_in_a_pause_is_left_to_the_one_who_did(
    pm: Any, sandbox: Sandbox, journal: Journal
) -> None:
    sandbox.fail_next(503, on=START, retry_after=20)

    def taken_over(claim: int) -> None:
        if claim == 2:
            journal.forget(keyed(sandbox))
            journal.claim(keyed(sandbox), OTHER)
        if claim == 4:
            journal.started(keyed(sandbox), OTHER, without_journal(sandbox))

    journal.happens = taken_over
    assert start(pm).created is False
    assert len(sandbox.requests) == 1


def test_a_look_that_takes_long_costs_the_claim(pm: Any, sandbox: Sandbox, journal: Journal) -> None:
    """Between the claim and the sending another caller may have taken the key over."""
    sandbox.fail_next("slow", on="GET /requests", seconds=25)

    def taken_over(claim: int) -> None:
        if claim == 2:
            journal.forget(keyed(sandbox))
            journal.claim(keyed(sandbox), OTHER)
            journal.started(keyed(sandbox), OTHER, without_journal(sandbox))

    journal.happens = taken_over
    assert start(pm).created is False
    assert len(sandbox.requests) == 1


# --- when the journal fails -----------------------------------------------------------------------------------------


def test_a_journal_that_fails_before_the_sending_lets_nothing_be_sent(
    pm: Any, sandbox: Sandbox, journal: Journal
) -> None:
    journal.broken = {"claim"}
    with pytest.raises(JournalError, match="the disk is full") as raised:
        start(pm)
    assert raised.value.processed is False
    assert sandbox.calls == []


def test_a_journal_that_fails_after_the_sending_does_not_lose_the_answer(
    pm: Any, sandbox: Sandbox, journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    journal.broken = {"started"}
    assert start(pm).created
    assert "the disk is full. So it does not say yet that the key is Request 1" in caplog.text
    assert start(pm).created is False
    assert len(sandbox.requests) == 1


def test_whatever_a_journal_raises_is_a_journal_s_error(
    pm: Any, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def gone(*_: object) -> None:
        raise OSError("the database is gone")

    with monkeypatch.context() as patch:
        patch.setattr(MemoryJournal, "claim", gone)
        with pytest.raises(JournalError, match=r"the journal raised OSError\('the database is gone'\)"):
            start(pm)
    assert sandbox.calls == []
    monkeypatch.setattr(MemoryJournal, "started", gone)
    assert start(pm).created
    assert "the database is gone" in caplog.text


def test_a_journal_that_fails_to_take_back_does_not_hide_the_error(
    pm: Any, journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    journal.broken = {"release"}
    with pytest.raises(Forbidden):
        start(pm, event="node_9")
    assert "counts as being sent until the lease of 90 s is over" in caplog.text


def test_a_request_of_the_journal_that_is_gone_is_named(pm: Any, sandbox: Sandbox, journal: Journal) -> None:
    journal.started(keyed(sandbox), OTHER, 17)
    with pytest.raises(NotFound, match="started as Request 17, says the journal") as raised:
        start(pm)
    assert "processmaker journal forget" in str(raised.value)
    assert sandbox.requests == []


def test_a_request_of_the_journal_with_another_key_is_not_this_start(
    pm: Any, sandbox: Sandbox, journal: Journal
) -> None:
    start(pm, idempotency_key="another")
    journal.started(keyed(sandbox), OTHER, 1)
    with pytest.raises(JournalError, match="that Request has another key"):
        start(pm)
    assert len(sandbox.requests) == 1


# --- starting again on purpose --------------------------------------------------------------------------------------


def test_what_was_canceled_is_started_again_on_purpose_only(pm: Any, sandbox: Sandbox, journal: Journal) -> None:
    first = pm.start(2, event="node_1", idempotency_key="k")
    sandbox.cancel(first.id)
    with pytest.raises(RequestCanceled):
        pm.start(2, event="node_1", idempotency_key="k")
    second = pm.start(2, event="node_1", idempotency_key="k", again=True)
    assert (second.created, second.id) == (True, 2)
    assert journal.said == [("k", 2)]
    assert pm.start(2, event="node_1", idempotency_key="k", again=True).id == 2
    assert len(sandbox.requests) == 2


# --- broken off -----------------------------------------------------------------------------------------------------


def broken_off(sandbox: Sandbox, journal: Any, *, after: float) -> None:
    async def main() -> None:
        transport = sandbox.transport()
        async with AsyncProcessMaker(sandbox.url, token=sandbox.token(), transport=transport, journal=journal) as pm:
            task = asyncio.create_task(start(pm))
            while not ((sandbox.calls and sandbox.calls[-1].path.startswith("/process_events")) or after == 0):
                await asyncio.sleep(0)
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())


def test_a_start_cancelled_before_it_was_sent_is_taken_back(sandbox: Sandbox, journal: Journal) -> None:
    broken_off(sandbox, journal, after=0)
    assert journal.said == []
    assert sandbox.requests == []


def test_a_start_that_is_closed_is_left_as_it_is(sandbox: Sandbox, journal: Journal) -> None:
    """A coroutine that is closed can await nothing more: the journal keeps the claim until its lease is over."""

    class Silent(httpx.AsyncBaseTransport):
        async def handle_async_request(self, _: httpx.Request) -> httpx.Response:
            await asyncio.Event().wait()
            raise AssertionError

    async def main() -> None:
        journal_of_asyncio = AsyncMemoryJournal(journal)
        async with AsyncProcessMaker(sandbox.url, token="t", transport=Silent(), journal=journal_of_asyncio) as pm:
            starting = start(pm)
            step = starting.send(None)
            while not step.done():
                await asyncio.wait([step], timeout=0.01)
                if journal.said and not step.done():
                    break
            starting.close()

    asyncio.run(main())
    assert journal.said == [("k", None)]


# --- what can be a journal ------------------------------------------------------------------------------------------


def test_a_client_for_asyncio_takes_a_journal_of_either_kind(sandbox: Sandbox, journal: Journal) -> None:
    async def main(journal: Any) -> int:
        transport = sandbox.transport()
        async with AsyncProcessMaker(sandbox.url, token=sandbox.token(), transport=transport, journal=journal) as pm:
            request = await start(pm)
            return int(request.id)

    assert {asyncio.run(main(each)) for each in (journal, AsyncMemoryJournal(journal), journal)} == {1}
    assert journal.said == [("k", 1)]


def test_a_client_for_blocking_code_refuses_a_journal_for_asyncio(sandbox: Sandbox, journal: Journal) -> None:
    with pytest.raises(ConfigurationError, match="give it to AsyncProcessMaker"):
        ProcessMaker(sandbox.url, token="t", journal=AsyncMemoryJournal(journal))  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", ["starts.db", SQLiteJournal, 17, object()])
def test_what_is_no_journal_is_refused(sandbox: Sandbox, wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match=r'such as SQLiteJournal\("starts.db"\)'):
        ProcessMaker(sandbox.url, token="t", journal=wrong)


@pytest.mark.parametrize("wrong", [30, timedelta(minutes=59), timedelta(days=-1), "30 days"])
def test_a_key_lifetime_is_a_length_of_time_from_an_hour(sandbox: Sandbox, wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="key_lifetime="):
        ProcessMaker(sandbox.url, token="t", key_lifetime=wrong)
