"""How near many starts at once come to the limit, which is what is in flight divided by the server's time.

Each way has a process of its own, in which it first makes its connections and then starts ten rounds.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import httpx
import requests
from answering import DATA, EVENT, HEADERS, PATH, PROCESS, server
from processmaker import AsyncProcessMaker, ProcessMaker, SQLiteJournal

ROUNDS = 10

Way = Callable[[str, int], float]
"""Starts a second at a URL, so many in flight."""


def measure(delay: float, in_flight: tuple[int, ...], repeats: int) -> dict[int, dict[str, list[float]]]:
    """For each number in flight, what part of the limit each way comes to, in each of the interleaved runs."""
    taken: dict[int, dict[str, list[float]]] = {number: {way: [] for way in WAYS} for number in in_flight}
    spawn = multiprocessing.get_context("spawn")
    with server(delay) as url, ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as fresh:
        for _ in range(repeats):
            for number in in_flight:
                for name, way in WAYS.items():
                    taken[number][name].append(fresh.submit(way, url, number).result() * delay / number)
    return taken


def guide(url: str, number: int) -> float:
    """The guide's loop has one in flight, whatever there is to start."""
    del number
    requests.post(url + PATH, json=DATA, headers=HEADERS).json()
    began = time.perf_counter()
    for _ in range(ROUNDS):
        requests.post(url + PATH, json=DATA, headers=HEADERS).json()
    return ROUNDS / (time.perf_counter() - began)


async def by_tasks(number: int, call: Callable[[], Awaitable[Any]]) -> float:
    async def some(rounds: int) -> None:
        for _ in range(rounds):
            await call()

    await asyncio.gather(*(some(1) for _ in range(number)))
    began = time.perf_counter()
    await asyncio.gather(*(some(ROUNDS) for _ in range(number)))
    return ROUNDS * number / (time.perf_counter() - began)


def httpx_tasks(url: str, number: int) -> float:
    async def main() -> float:
        async with httpx.AsyncClient(base_url=url, headers=HEADERS) as client:

            async def call() -> Any:
                return (await client.post(PATH, json=DATA)).json()

            return await by_tasks(number, call)

    return asyncio.run(main())


def aiohttp_tasks(url: str, number: int) -> float:
    async def main() -> float:
        connector = aiohttp.TCPConnector(limit=number)
        async with aiohttp.ClientSession(url, connector=connector, headers=HEADERS) as session:

            async def call() -> Any:
                async with session.post(PATH, json=DATA) as response:
                    return await response.json()

            return await by_tasks(number, call)

    return asyncio.run(main())


def tasks(url: str, number: int) -> float:
    async def main() -> float:
        async with AsyncProcessMaker(url, token="t", allow_http=True) as pm:
            return await by_tasks(number, lambda: pm.start(PROCESS, DATA, event=EVENT))

    return asyncio.run(main())


def threads(url: str, number: int) -> float:
    with ProcessMaker(url, token="t", allow_http=True) as pm, ThreadPoolExecutor(number) as pool:

        def some(rounds: int) -> None:
            for _ in range(rounds):
                pm.start(PROCESS, DATA, event=EVENT)

        list(pool.map(some, [1] * number))
        began = time.perf_counter()
        list(pool.map(some, [ROUNDS] * number))
        return ROUNDS * number / (time.perf_counter() - began)


def start_many(url: str, number: int) -> float:
    with ProcessMaker(url, token="t", allow_http=True) as pm:

        def run(starts: int) -> None:
            rows = (DATA for _ in range(starts))
            outcomes = pm.start_many(PROCESS, rows, event=EVENT, concurrency=number)
            assert sum(bool(outcome.started) for outcome in outcomes) == starts

        run(number)
        began = time.perf_counter()
        run(ROUNDS * number)
        return ROUNDS * number / (time.perf_counter() - began)


def start_many_once(url: str, number: int) -> float:
    """With keys and a journal file."""
    keys = count()
    with (
        TemporaryDirectory() as folder,
        SQLiteJournal(Path(folder) / "starts.db") as journal,
        ProcessMaker(url, token="t", allow_http=True, journal=journal) as pm,
    ):

        def run(starts: int) -> None:
            rows = ({**DATA, "n": next(keys)} for _ in range(starts))
            outcomes = pm.start_many(PROCESS, rows, key="n", event=EVENT, concurrency=number)
            assert sum(bool(outcome.started) for outcome in outcomes) == starts

        run(number)
        began = time.perf_counter()
        run(ROUNDS * number)
        return ROUNDS * number / (time.perf_counter() - began)


def start_many_async(url: str, number: int) -> float:
    async def main() -> float:
        async with AsyncProcessMaker(url, token="t", allow_http=True) as pm:

            async def run(starts: int) -> None:
                rows = (DATA for _ in range(starts))
                outcomes = pm.start_many(PROCESS, rows, event=EVENT, concurrency=number)
                assert len([outcome async for outcome in outcomes if outcome.started]) == starts

            await run(number)
            began = time.perf_counter()
            await run(ROUNDS * number)
            return ROUNDS * number / (time.perf_counter() - began)

    return asyncio.run(main())


WAYS: dict[str, Way] = {
    "the guide's loop": guide,
    "httpx.AsyncClient, tasks": httpx_tasks,
    "aiohttp, tasks": aiohttp_tasks,
    "AsyncProcessMaker, tasks": tasks,
    "ProcessMaker, threads": threads,
    "AsyncProcessMaker.start_many": start_many_async,
    "ProcessMaker.start_many": start_many,
    "the same with keys, in SQLite": start_many_once,
}
