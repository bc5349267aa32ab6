"""The two clients: alike in everything they offer, closed when they say so, and shared by threads or tasks."""

from __future__ import annotations

import asyncio
import copy
import gc
import inspect
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

import httpx
import pytest
from conftest import Connect
from processmaker import AsyncProcessMaker, ConfigurationError, File, ProcessMaker, Retries
from processmaker.sandbox import Sandbox
from processmaker.wire.call import run


def members(client: type[Any]) -> dict[str, Any]:
    """What a client offers, under the name that both use for it."""
    same = {"__aenter__": "__enter__", "__aexit__": "__exit__"}
    return {
        same.get(name, name): member
        for name, member in vars(client).items()
        if not name.startswith("_") or name in ("__init__", "__enter__", "__exit__", "__repr__", *same)
    }


def in_blocking_words(words: object) -> str:
    """What is said of the async client, as it is said of the other one."""
    words = str(words).replace("Journal | AsyncJournal", "Journal")  # a blocking journal serves both,
    words = words.replace("AsyncIterable[R] | ", "").replace(" | AsyncIterable[R]", "")  # and so do rows
    return words.replace("An `async with`", "A `with`").replace("Async", "")


def function(member: Any) -> Any:
    return getattr(member, "__func__", member)


NAMES = sorted(members(ProcessMaker))


def test_the_clients_offer_the_same() -> None:
    assert sorted(members(AsyncProcessMaker)) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_method_is_the_same_on_both(name: str) -> None:
    blocking, awaited = function(members(ProcessMaker)[name]), function(members(AsyncProcessMaker)[name])
    assert in_blocking_words(inspect.signature(awaited)) == str(inspect.signature(blocking))
    same, see = str(inspect.getdoc(blocking)), f"See `ProcessMaker.{name}`."
    said = str(inspect.getdoc(awaited))
    assert said.startswith(see) or in_blocking_words(said) == same


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("_")])
def test_every_method_says_what_it_does(name: str) -> None:
    assert inspect.getdoc(members(ProcessMaker)[name])


def test_the_arguments_are_described_at_the_blocking_client() -> None:
    described = str(inspect.getdoc(ProcessMaker)).partition("Args:")[2]
    for name in list(inspect.signature(ProcessMaker).parameters):
        assert f"\n    {name}: " in described
    assert "arguments and errors are those of `ProcessMaker`" in str(inspect.getdoc(AsyncProcessMaker))


def test_all_that_waits_is_awaited_and_all_that_iterates_is_iterated() -> None:
    for name, member in members(AsyncProcessMaker).items():
        if name.startswith("__") or name in CONSTRUCTORS:
            continue
        gives = str(inspect.signature(function(member)).return_annotation)
        assert inspect.iscoroutinefunction(member) is not gives.startswith(("AsyncIterator", "AsyncOutcomes"))


# --- open and closed ------------------------------------------------------------------------------------------------

CONSTRUCTORS = {"from_env", "from_profile"}
CALLS: dict[str, Callable[[Any], object]] = {
    "processes": lambda pm: pm.processes(),
    "start": lambda pm: pm.start(2, event="node_1"),
    "start_many": lambda pm: list(pm.start_many(2, [{}], event="node_1")),
    "find": lambda pm: pm.find("key", process=2),
    "get": lambda pm: pm.get(1),
    "requests": lambda pm: list(pm.requests()),
    "count_requests": lambda pm: pm.count_requests(),
    "request": lambda pm: pm.request("GET", "/users/1"),
    "children": lambda pm: pm.children(1),
    "tasks": lambda pm: pm.tasks(1),
    "claim": lambda pm: pm.claim(1),
    "complete": lambda pm: pm.complete(1),
    "files": lambda pm: pm.files(1),
    "upload": lambda pm: pm.upload(1, "doc", ("offer.txt", b"hello")),
    "download": lambda pm: pm.download(File(id=1, name="doc", file_name="offer.txt", request_id=1)),
    "cancel": lambda pm: pm.cancel(1),
    "wait": lambda pm: pm.wait(1),
    "watch": lambda pm: list(pm.watch(1)),
}


def test_every_call_is_among_those_tried_here() -> None:
    assert {"close", *CONSTRUCTORS, *CALLS} == {name for name in NAMES if not name.startswith("_")}


@pytest.mark.parametrize("call", CALLS)
def test_a_closed_client_says_so(pm: Any, sandbox: Sandbox, call: str) -> None:
    pm.close()
    pm.close()
    with pytest.raises(ConfigurationError, match="this client is closed; use it inside its `with` block"):
        CALLS[call](pm)
    assert sandbox.calls == []


def test_a_with_block_closes_the_client(sandbox: Sandbox) -> None:
    with ProcessMaker(sandbox.url, token=sandbox.token(), transport=sandbox.transport()) as pm:
        assert pm.processes()
    with pytest.raises(ConfigurationError, match="closed"):
        pm.processes()

    async def use() -> None:
        async with AsyncProcessMaker(sandbox.url, token=sandbox.token(), transport=sandbox.transport()) as pm:
            assert await pm.processes()
        await pm.processes()

    with pytest.raises(ConfigurationError, match="closed"):
        asyncio.run(use())


def test_an_error_in_a_with_block_closes_the_client_and_goes_on(sandbox: Sandbox) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        ProcessMaker(sandbox.url, token=sandbox.token(), transport=sandbox.transport()) as pm,
    ):
        raise ZeroDivisionError
    with pytest.raises(ConfigurationError, match="closed"):
        pm.processes()


@pytest.mark.parametrize("client", [ProcessMaker, AsyncProcessMaker])
def test_a_client_shows_its_server(client: Any) -> None:
    pm = client("https://pm.example.com/api/1.0/", token="good-token", transport=Sandbox().transport())
    assert repr(pm) == f"{client.__name__}('https://pm.example.com')"


# --- exactly one HTTP request ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "requests"),
    [
        ("processes", 1),
        ("start", 1),
        ("find", 1),
        ("get", 1),
        ("requests", 1),
        ("children", 1),
        ("tasks", 2),
        ("complete", 1),
        ("cancel", 2),
        ("wait", 1),
        ("watch", 1),
    ],
)
def test_a_call_is_as_many_http_requests_as_it_says(admin: Any, sandbox: Sandbox, call: str, requests: int) -> None:
    admin.start("Leave Request")
    if call in ("wait", "watch"):
        sandbox.finish(1)
    (task,) = sandbox.request(1).tasks
    sandbox.calls.clear()
    if call == "complete":
        admin.complete(task.id)
    else:
        CALLS[call](admin)
    assert len(sandbox.calls) == requests


# --- threads, tasks, loops ------------------------------------------------------------------------------------------


def test_a_blocking_client_works_inside_a_running_loop(sandbox: Sandbox) -> None:
    async def use() -> int:
        with ProcessMaker(sandbox.url, token=sandbox.token(), transport=sandbox.transport()) as pm:
            assert list(pm.requests()) == []
            return pm.start("Leave Request").id

    assert asyncio.run(use()) == 1


def test_threads_share_a_client_and_its_connections() -> None:
    sandbox = Sandbox()
    with sandbox.serve() as url, ProcessMaker(url, token=sandbox.token()) as pm, ThreadPoolExecutor(8) as threads:
        ids = list(threads.map(lambda number: pm.start("Leave Request", {"number": number}).id, range(40)))
        assert open_connections(pm) <= 8
    assert sorted(ids) == list(range(1, 41))
    assert {request.id: request.data["number"] for request in sandbox.requests} == dict(
        zip(ids, range(40), strict=True)
    )


def test_tasks_share_a_client_and_its_connections() -> None:
    sandbox = Sandbox()

    async def use(url: str) -> list[int]:
        async with AsyncProcessMaker(url, token=sandbox.token()) as pm:
            starts = (pm.start("Leave Request", {"number": number}) for number in range(40))
            return [request.id for request in await asyncio.gather(*starts)]

    with sandbox.serve() as url:
        ids = asyncio.run(use(url))
    assert sorted(ids) == list(range(1, 41))
    assert {request.id: request.data["number"] for request in sandbox.requests} == dict(
        zip(ids, range(40), strict=True)
    )


def test_a_call_leaves_its_connection_for_the_next_one() -> None:
    sandbox = Sandbox()
    at_once = Retries(max_delay=0)
    with sandbox.serve() as url, ProcessMaker(url, token=sandbox.token(), retries=at_once) as pm:
        for _ in range(3):
            pm.start("Leave Request")
        assert len(list(islice(pm.requests(per_page=1), 1))) == 1
        next(iter(pm.watch(1)))
        for fault in ("html", "truncated", 500):
            sandbox.fail_next(fault, on="GET /requests")
            pm.get(1)
        assert open_connections(pm) == 1


def open_connections(pm: Any) -> int:
    return len(pm._io.connections)


def test_nothing_stays_open_after_a_client_is_closed() -> None:
    """An open socket would end in a ResourceWarning, which here is an error."""
    sandbox = Sandbox()

    async def use(url: str) -> None:
        async with AsyncProcessMaker(url, token=sandbox.token()) as pm:
            await pm.start("Leave Request")
            async for _ in pm.requests(per_page=1):
                break

    with sandbox.serve() as url:
        asyncio.run(use(url))
        with ProcessMaker(url, token=sandbox.token()) as pm:
            pm.start("Leave Request")
    gc.collect()


def test_an_async_client_belongs_to_one_loop() -> None:
    """Its connections do; without a word, httpx would fail with `Event loop is closed`, or wait for ever."""
    sandbox = Sandbox()

    async def use(pm: AsyncProcessMaker) -> None:
        await pm.processes()

    async def close(pm: AsyncProcessMaker) -> None:
        await pm.close()

    with sandbox.serve() as url, asyncio.Runner() as runner:
        pm = AsyncProcessMaker(url, token=sandbox.token())
        runner.run(use(pm))
        runner.run(use(pm))
        for another in (use, close):
            with pytest.raises(ConfigurationError, match="used in another event loop before"):
                asyncio.run(another(pm))
        runner.run(close(pm))
    assert len(sandbox.calls) == 2


def test_an_async_client_of_a_sandbox_may_see_many_loops(sandbox: Sandbox) -> None:
    pm = AsyncProcessMaker(sandbox.url, token=sandbox.token(), transport=sandbox.transport())
    assert [asyncio.run(pm.start("Leave Request")).id for _ in range(3)] == [1, 2, 3]


def test_each_thread_may_have_a_loop_and_a_client() -> None:
    sandbox = Sandbox()

    async def use(url: str) -> int:
        async with AsyncProcessMaker(url, token=sandbox.token()) as pm:
            return (await pm.start("Leave Request")).id

    with sandbox.serve() as url, ThreadPoolExecutor(4) as threads:
        ids = list(threads.map(lambda _: asyncio.run(use(url)), range(8)))
    assert sorted(ids) == list(range(1, 9))


def test_a_cancelled_task_is_cancelled_and_the_client_goes_on(sandbox: Sandbox) -> None:
    async def use() -> None:
        hanging = asyncio.Event()

        async def answer(request: httpx.Request) -> httpx.Response:
            if request.method == "POST":
                hanging.set()
                await asyncio.Event().wait()
            return sandbox(request)

        transport = httpx.MockTransport(answer)
        async with AsyncProcessMaker(sandbox.url, token=sandbox.token(), transport=transport) as pm:
            start = asyncio.create_task(pm.start("Leave Request"))
            await hanging.wait()
            start.cancel()
            with pytest.raises(asyncio.CancelledError):
                await start
            assert await pm.processes()

    asyncio.run(use())


def test_an_interrupt_passes_through(connect: Connect, sandbox: Sandbox) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        raise Interrupted

    pm = connect(sandbox.url, token=sandbox.token(), transport=httpx.MockTransport(answer))
    with pytest.raises(Interrupted):
        pm.start(2, event="node_1")


class Interrupted(BaseException):
    """As KeyboardInterrupt, which asyncio's runner treats in a way of its own."""


def test_blocking_operations_never_suspend() -> None:
    with pytest.raises(RuntimeError, match="blocking IO must not suspend"):
        run(asyncio.sleep(0))


@pytest.mark.parametrize("copied", [pickle.dumps, copy.deepcopy])
def test_a_client_is_not_pickled(pm: Any, copied: Any) -> None:
    """Its token must not travel."""
    with pytest.raises(TypeError, match="cannot pickle"):
        copied(getattr(pm, "_client", pm))
