"""Starting once within one process: threads, tasks and clients that start one key at the same moment."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest
from conftest import START_OF_TIME
from processmaker import (
    AsyncProcessMaker,
    KeyReusedWarning,
    ProcessMaker,
    ProcessMakerError,
    Request,
    RequestFailed,
    ServerError,
    StartOutcomeUnknown,
)
from processmaker.once import turns
from processmaker.sandbox import Clock, Sandbox

CALLERS = 8
START = "POST /process_events"


@pytest.fixture
def sandbox() -> Sandbox:
    """A server that takes a while over a start."""
    return Sandbox(clock=Clock(START_OF_TIME), start_takes=0.2)


@contextmanager
def client(sandbox: Sandbox, **options: Any) -> Iterator[ProcessMaker]:
    options = {"token": sandbox.token(), "transport": sandbox.transport(), **options}
    with ProcessMaker(sandbox.url, **options) as pm:
        yield pm


def async_client(sandbox: Sandbox) -> AsyncProcessMaker:
    return AsyncProcessMaker(sandbox.url, token=sandbox.token(), transport=sandbox.transport())


def start(pm: Any, **options: Any) -> Any:
    return pm.start(4, {"n": 1}, event="node_1", idempotency_key="k", **options)


def at_once(calls: list[Callable[[], Any]]) -> list[Any]:
    """What these return, each called in a thread of its own, all at the same moment."""
    together = threading.Barrier(len(calls))

    def call(function: Callable[[], Any]) -> Any:
        together.wait()
        return function()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(call, calls))


def one_made_it(sandbox: Sandbox, requests: list[Request]) -> None:
    assert [request.id for request in sandbox.requests] == [1]
    assert [request.id for request in requests] == [1] * len(requests)
    assert sorted(str(request.created) for request in requests) == ["False"] * (len(requests) - 1) + ["True"]


@pytest.mark.parametrize("look_first", [True, False])
def test_of_many_threads_with_one_key_one_makes_the_request(sandbox: Sandbox, look_first: bool) -> None:
    with client(sandbox) as pm:
        one_made_it(sandbox, at_once([lambda: start(pm, look_first=look_first)] * CALLERS))


@pytest.mark.parametrize("look_first", [True, False])
def test_of_many_tasks_with_one_key_one_makes_the_request(sandbox: Sandbox, look_first: bool) -> None:
    async def main() -> list[Request]:
        async with async_client(sandbox) as pm:
            return list(await asyncio.gather(*(start(pm, look_first=look_first) for _ in range(CALLERS))))

    one_made_it(sandbox, asyncio.run(main()))


def test_clients_of_either_kind_take_turns_with_each_other(sandbox: Sandbox) -> None:
    async def several() -> list[Request]:
        async with async_client(sandbox) as one, async_client(sandbox) as other:
            return list(await asyncio.gather(start(one), start(other), start(one)))

    with ExitStack() as stack:
        clients = [stack.enter_context(client(sandbox)) for _ in range(3)]
        blocking: list[Callable[[], Any]] = [lambda pm=pm: [start(pm)] for pm in clients]  # type: ignore[misc]
        found = at_once([*blocking, *[lambda: asyncio.run(several())] * 3])
    one_made_it(sandbox, [request for requests in found for request in requests])


def test_other_keys_and_other_servers_of_one_address_are_not_waited_for(sandbox: Sandbox) -> None:
    other = Sandbox(clock=Clock(START_OF_TIME))
    with Stuck(sandbox), client(other) as pm, client(sandbox) as same:
        assert start(pm).created
        assert same.start(4, event="node_1", idempotency_key="another").created
        assert same.start(2, event="node_1", idempotency_key="k").created
    assert len(other.requests) == 1


class Stuck(httpx.BaseTransport):
    """A start with the key `k` in a thread of its own, which stays on its way until the block ends."""

    def __init__(self, sandbox: Sandbox, fault: Any = None) -> None:
        self.handler, self.clock = sandbox, sandbox.clock  # it is a way to that server, in its time
        self._fault = fault
        self._on_its_way, self._go_on = threading.Event(), threading.Event()
        self.outcome: Future[Request] = Future()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            self._on_its_way.set()
            assert self._go_on.wait(30)
            if self._fault:
                self.handler.fail_next(self._fault, on=START)
        return self.handler(request)

    def _run(self) -> None:
        with client(self.handler, transport=self, retries=None) as pm:
            try:
                self.outcome.set_result(start(pm, look_again_for=0))
            except ProcessMakerError as error:
                self.outcome.set_exception(error)

    def __enter__(self) -> Stuck:
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._on_its_way.wait(30)
        return self

    def go_on(self) -> None:
        self._go_on.set()

    def go_on_for(self, second: Future[Request]) -> Request:
        self.go_on()
        return second.result(30)

    def __exit__(self, *_: object) -> None:
        self.go_on()
        self._thread.join()


@pytest.mark.parametrize("fault", [429, 500, "lost before", "token expired"])
def test_where_the_first_comes_to_nothing_the_second_looks_and_goes_on(sandbox: Sandbox, fault: Any) -> None:
    with client(sandbox) as pm, ThreadPoolExecutor(1) as pool, Stuck(sandbox, fault) as first:
        second = pool.submit(start, pm, look_first=False)
        first.go_on()
        found = second.result(30)
        assert first.outcome.exception(30)
    assert [request.id for request in sandbox.requests] == [found.id]


def test_a_request_that_failed_at_once_is_an_error_for_all_who_waited() -> None:
    sandbox = Sandbox(clock=Clock(START_OF_TIME), start_takes=0.2)
    sandbox.add_process("Fails", id=40, fails_with="The engine failed")

    def fails(pm: ProcessMaker) -> RequestFailed:
        with pytest.raises(RequestFailed) as failure:
            pm.start(40, event="node_1", idempotency_key="k")
        return failure.value

    with client(sandbox) as pm:
        errors = at_once([lambda: fails(pm)] * CALLERS)
    assert {error.request.id for error in errors} == {1}
    assert len(sandbox.requests) == 1


def test_a_task_that_is_cancelled_in_its_turn_does_not_block_the_next(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> Request:
        async with async_client(sandbox) as pm:
            first, second = (asyncio.create_task(start(pm)) for _ in range(2))
            while not any(call.method == "GET" for call in sandbox.calls):
                await asyncio.sleep(0)
            await asyncio.sleep(0.002)  # it has been sent
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            found: Request = await asyncio.wait_for(second, 30)
            return found

    found = asyncio.run(main())
    assert [request.id for request in sandbox.requests] == [found.id]
    told = 'A start of process 4 with key "k" was broken off: whether the Request was started is not known.'
    assert told in [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_one_who_waits_and_is_cancelled_harms_nobody(sandbox: Sandbox) -> None:
    async def main() -> list[Request]:
        async with async_client(sandbox) as pm:
            tasks = [asyncio.create_task(start(pm)) for _ in range(3)]
            await asyncio.sleep(0)
            tasks[1].cancel()
            return [await tasks[0], await tasks[2]]

    one_made_it(sandbox, asyncio.run(main()))


def test_a_blocking_call_does_not_wait_for_a_task_that_it_holds_up(sandbox: Sandbox) -> None:
    async def main() -> Request:
        async with async_client(sandbox) as pm:
            task = asyncio.create_task(start(pm))
            while not any(call.method == "GET" for call in sandbox.calls):
                await asyncio.sleep(0)
            with client(sandbox) as blocking, pytest.raises(StartOutcomeUnknown, match="holds up") as failure:
                start(blocking, look_again_for=0)
            assert failure.value.retryable
            found: Request = await task
            return found

    one_made_it(sandbox, [asyncio.run(main())])


def test_the_wait_for_another_s_turn_has_a_bound(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("processmaker.once.start.LONGEST_TURN", 0.05)
    with Stuck(sandbox), client(sandbox) as pm:
        with pytest.raises(
            StartOutcomeUnknown, match='another call of this process is starting the key "k"'
        ) as failure:
            start(pm, look_again_for=2)
        assert failure.value.retry_after == turns.SETTLED_AFTER
    assert len(sandbox.requests) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_does_not_wait_for_the_turns_of_its_parent(sandbox: Sandbox) -> None:
    with Stuck(sandbox), turns._table.lock:  # a lock that is held at the moment of the fork
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            with client(Sandbox(clock=Clock(START_OF_TIME)), transport=sandbox.transport()) as pm:
                os._exit(0 if start(pm).created else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_start_after_one_that_is_unknown_waits_until_it_must_have_shown_up(sandbox: Sandbox, connect: Any) -> None:
    sandbox.appears_after = 20
    sandbox.fail_next("reset", on=START)
    pm = connect(sandbox.url, token=sandbox.token(), transport=sandbox.transport(), clock=sandbox.clock)
    began = sandbox.clock.monotonic()
    with pytest.raises(StartOutcomeUnknown, match=r"Start again later with the same key \(after \d+ s: ") as failure:
        start(pm, look_again_for=1)
    error = failure.value
    assert error.retryable
    assert error.retry_after == pytest.approx(began + turns.SETTLED_AFTER - sandbox.clock.monotonic())
    found = start(pm, look_first=False)
    assert (found.id, found.created) == (1, False)
    assert len(sandbox.requests) == 1


def test_a_start_that_got_lost_is_made_anew_once_it_must_have_shown_up(sandbox: Sandbox, connect: Any) -> None:
    pm = connect(sandbox.url, token=sandbox.token(), transport=sandbox.transport(), clock=sandbox.clock)
    began = sandbox.clock.monotonic()
    sandbox.fail_next("lost before", on=START)
    with pytest.raises(StartOutcomeUnknown):
        start(pm, look_again_for=1)
    assert start(pm).created
    assert sandbox.clock.monotonic() - began >= turns.SETTLED_AFTER
    sandbox.requests[0].data["_idempotency_key"] = "somebody changed it"
    before = sandbox.clock.monotonic()
    assert start(pm).created
    assert sandbox.clock.monotonic() - before < 1, "what has settled is not waited for"


def test_while_a_lost_start_may_still_show_up_a_look_that_fails_sends_nothing(sandbox: Sandbox, connect: Any) -> None:
    pm = connect(sandbox.url, token=sandbox.token(), transport=sandbox.transport(), clock=sandbox.clock, retries=None)
    sandbox.fail_next("lost before", on=START)
    with pytest.raises(StartOutcomeUnknown):
        start(pm, look_again_for=1)
    sandbox.fail_next(500, on="GET", times=99)
    with pytest.raises(ServerError, match="nothing was started"):
        start(pm)
    assert sum(call.method == "POST" for call in sandbox.calls) == 1


def test_the_table_forgets_what_has_settled(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "_table", turns._Table())  # other tests have left theirs
    with client(sandbox) as pm:
        for number in range(1000):
            pm.start(4, event="node_1", idempotency_key=f"k{number}", look_first=False)
            sandbox.clock.advance(1)
        kept = [key for _, _, key in turns._table.sent]
    assert turns._table.turns == {}
    assert kept[-60:] == [f"k{number}" for number in range(940, 1000)]
    assert len(kept) <= 2 * 64


def test_a_start_whose_request_is_not_listed_yet_is_known_to_the_next(sandbox: Sandbox, connect: Any) -> None:
    sandbox.appears_after = 5
    pm = connect(sandbox.url, token=sandbox.token(), transport=sandbox.transport(), clock=sandbox.clock)
    first, second = start(pm), start(pm)
    assert (first.id, second.id, second.created) == (1, 1, False)
    with pytest.warns(KeyReusedWarning, match=r"data\.n differ"):
        pm.start(4, {"n": 2}, event="node_1", idempotency_key="k")
    assert len(sandbox.requests) == 1


def test_so_is_one_that_was_started_again_on_purpose(sandbox: Sandbox, connect: Any) -> None:
    pm = connect(sandbox.url, token=sandbox.token(), transport=sandbox.transport(), clock=sandbox.clock)
    sandbox.cancel(pm.start(2, event="node_1", idempotency_key="k").id)
    sandbox.appears_after = 5
    again = [pm.start(2, event="node_1", idempotency_key="k", again=True) for _ in range(3)]
    assert [request.id for request in again] == [2, 2, 2]


def test_who_waited_with_other_data_is_told(sandbox: Sandbox) -> None:
    with client(sandbox) as pm, Stuck(sandbox) as first, ThreadPoolExecutor(1) as pool:
        second = pool.submit(pm.start, 4, {"n": 2}, event="node_1", idempotency_key="k")
        with pytest.warns(KeyReusedWarning, match=r"Request 1 .*: data\.n differ"):
            assert first.go_on_for(second).created is False


def test_of_many_starts_only_the_latest_are_remembered_but_every_one_whose_outcome_is_not_known(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "MOST_KNOWN", 50)
    clock = sandbox.clock

    def place(number: int) -> turns.Place:
        return ("https://pm.example.com", 4, f"k{number}")

    for number in range(1000):
        turn, own = turns.take(place(number), {})
        assert own
        request_id = None if number == 3 else number + 1
        turns.end(turn, None, turns.Sent(clock=clock, at=clock.monotonic(), request_id=request_id))
    assert turns.recently_sent(place(3))
    assert turns.recently_sent(place(999))
    assert turns.recently_sent(place(4)) is None
    assert len(turns._table.sent) < 200
