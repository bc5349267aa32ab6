"""Starting once while everything goes wrong: thousands of starts under a seeded mix of all the sandbox's faults.

The callers do what the documentation says, and no more. Nothing sleeps: the clients' time is the sandbox's.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import httpx
import pytest
from conftest import START_OF_TIME
from processmaker import AsyncProcessMaker, PasswordGrant, ProcessMaker, ProcessMakerError, StartOutcomeUnknown
from processmaker import Request as Started
from processmaker.sandbox import KINDS, PASSWORD_CLIENT, Clock, Sandbox

T = TypeVar("T")

RATE = 0.3
THREADS = TASKS = 8
ATTEMPTS = 50

# All but those that only a connection shows.
FAULTS = list(KINDS)

Outcome = Started | ProcessMakerError


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Thousands of warnings about calls that are sent again would only cost time."""
    caplog.set_level(logging.CRITICAL)


def in_threads(sandbox: Sandbox, numbers: Sequence[int], start: Callable[[ProcessMaker, int], T]) -> list[T]:
    """`start(pm, number)` for each number, by several threads over one client."""
    client = ProcessMaker(sandbox.url, auth=signing_in(), transport=sandbox.transport())
    with client as pm, ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(lambda number: start(pm, number), numbers))


def in_tasks(
    sandbox: Sandbox, numbers: Sequence[int], start: Callable[[AsyncProcessMaker, int], Awaitable[T]]
) -> list[T]:
    """The same by asyncio tasks."""

    async def main() -> list[T]:
        async with AsyncProcessMaker(sandbox.url, auth=signing_in(), transport=sandbox.transport()) as pm:
            turn = asyncio.Semaphore(TASKS)

            async def in_turn(number: int) -> T:
                async with turn:
                    return await start(pm, number)

            return await asyncio.gather(*map(in_turn, numbers))

    return asyncio.run(main())


def signing_in() -> PasswordGrant:
    return PasswordGrant(*PASSWORD_CLIENT, "integration.bot", "bot-password")


def pause_after(error: ProcessMakerError) -> float:
    """The seconds after which to start again with the same key; raises where that would not be right."""
    if error.processed is not False and not isinstance(error, StartOutcomeUnknown):
        raise error
    return getattr(error, "retry_after", None) or 1.0


def start_until_it_is_known(pm: ProcessMaker, number: int) -> Started:
    for _ in range(ATTEMPTS):
        try:
            return pm.start("Auto Approve", {"number": number}, idempotency_key=f"order-{number}")
        except ProcessMakerError as error:
            pm._io.clock.sleep(pause_after(error))
    raise AssertionError(f"order-{number} is still not known after {ATTEMPTS} attempts")


async def start_until_it_is_known_async(pm: AsyncProcessMaker, number: int) -> Started:
    for _ in range(ATTEMPTS):
        try:
            return await pm.start(4, {"number": number}, event="node_1", idempotency_key=f"order-{number}")
        except ProcessMakerError as error:
            await pm._io.clock.async_sleep(pause_after(error))
    raise AssertionError(f"order-{number} is still not known after {ATTEMPTS} attempts")


def start_without_key(pm: ProcessMaker, number: int) -> Outcome:
    try:
        return pm.start("Auto Approve", {"number": number})
    except ProcessMakerError as error:
        return error


async def start_without_key_async(pm: AsyncProcessMaker, number: int) -> Outcome:
    try:
        return await pm.start("Auto Approve", {"number": number})
    except ProcessMakerError as error:
        return error


def start_as_one_does(sandbox: Sandbox, http: httpx.Client, number: int) -> None:
    """The usual loop: try again on anything that is not the answer."""
    for _ in range(ATTEMPTS):
        try:
            answer = http.post("/process_events/4?event=node_1", json={"number": number})
            answer.raise_for_status().json()["id"]
        except (httpx.HTTPError, ValueError):
            sandbox.clock.sleep(1)
        else:
            return


def started(sandbox: Sandbox) -> Counter[int]:
    """How many Requests there are for each number."""
    return Counter(request.data["number"] for request in sandbox.requests)


def misbehaving(seed: int) -> Sandbox:
    sandbox = Sandbox(clock=Clock(START_OF_TIME))
    sandbox.misbehave(seed=seed, rate=RATE, kinds=FAULTS)
    return sandbox


def each_exactly_once(sandbox: Sandbox, numbers: Sequence[int], found: Sequence[Started]) -> None:
    """0 lost, 0 doubled; and everyone was told the right Request."""
    assert started(sandbox) == dict.fromkeys(numbers, 1)
    assert [sandbox.request(request.id).data["number"] for request in found] == list(numbers)


def known_or_said_to_be_unknown(sandbox: Sandbox, numbers: Sequence[int], outcomes: Sequence[Outcome]) -> None:
    there = started(sandbox)
    assert max(there.values()) == 1
    for number, outcome in zip(numbers, outcomes, strict=True):
        if isinstance(outcome, Started):
            assert sandbox.request(outcome.id).data["number"] == number
        elif isinstance(outcome, StartOutcomeUnknown):
            if outcome.request_id is not None:
                assert sandbox.request(outcome.request_id).data["number"] == number
        else:
            assert (outcome.processed, there[number]) == (False, 0), outcome


@pytest.mark.parametrize(("seed", "size"), [pytest.param(1, 1000, marks=pytest.mark.proof), (2, 100), (3, 100)])
def test_starts_with_keys_end_with_exactly_one_request_for_each_key(seed: int, size: int) -> None:
    """2,000 starts with the first seed: half of them by threads, half by asyncio tasks."""
    numbers = range(size)
    by_threads, by_tasks = misbehaving(seed), misbehaving(seed)
    each_exactly_once(by_threads, numbers, in_threads(by_threads, numbers, start_until_it_is_known))
    each_exactly_once(by_tasks, numbers, in_tasks(by_tasks, numbers, start_until_it_is_known_async))


@pytest.mark.parametrize("seed", [1, 2])
def test_starts_without_keys_are_never_doubled_and_each_unknown_one_is_reported_as_unknown(seed: int) -> None:
    numbers = range(400)
    by_threads, by_tasks = misbehaving(seed), misbehaving(seed)
    known_or_said_to_be_unknown(by_threads, numbers, in_threads(by_threads, numbers, start_without_key))
    known_or_said_to_be_unknown(by_tasks, numbers, in_tasks(by_tasks, numbers, start_without_key_async))


def test_the_mix_has_everything_in_it() -> None:
    """Or the tests above would prove little."""
    sandbox = misbehaving(1)
    outcomes = in_threads(sandbox, range(400), start_without_key)
    seen = {call.status for call in sandbox.calls if call.path == "/process_events/4"}
    assert seen >= {None, 201, 401, 429, 500, 502, 503, 504}
    unknown = [outcome for outcome in outcomes if isinstance(outcome, StartOutcomeUnknown)]
    not_returned = len(sandbox.requests) - sum(isinstance(outcome, Started) for outcome in outcomes)
    assert 0 < not_returned < len(unknown), "some of those reported as unknown exist, and some do not"


def test_the_usual_loop_doubles_under_the_same_mix() -> None:
    sandbox = misbehaving(1)
    headers = {"Authorization": f"Bearer {sandbox.token()}", "Accept": "application/json"}
    site = f"{sandbox.url}/api/1.0"
    with httpx.Client(base_url=site, headers=headers, transport=sandbox.transport()) as http:
        for number in range(400):
            start_as_one_does(sandbox, http, number)
    there = started(sandbox)
    assert set(there) == set(range(400))
    assert sum(count > 1 for count in there.values()) > 20
