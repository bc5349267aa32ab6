"""How near many starts at once come to the limit: a ratio, measured side by side in one run. Not a test:

    python tests/benchmarks/connections.py [--repeats 5]

The limit is what is in flight, divided by the 0.1 s that the server takes over an answer. The server is a minimal one
in a process of its own, so that it is not what is measured. At the end, what a start costs beside a raw httpx.Client.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from statistics import median
from typing import Any

import httpx
from processmaker import AsyncProcessMaker, ProcessMaker
from processmaker.sandbox import Sandbox

DELAY = 0.1
DATA: dict[str, Any] = {"employee": "Ana", "days": 3}
PATH = "/api/1.0/process_events/4?event=node_1"


class Answering(asyncio.Protocol):
    """Answers each POST, after a while, with what a real start was answered with."""

    answer = b""
    delay = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.arrived = b""

    def data_received(self, data: bytes) -> None:
        self.arrived += data
        head, end, body = self.arrived.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        if end and len(body) >= int(length):
            self.arrived = b""
            if self.delay:
                asyncio.get_running_loop().call_later(self.delay, self.transport.write, self.answer)
            else:
                self.transport.write(self.answer)


def serve(answer: bytes, delay: float, pipe: Connection) -> None:
    async def main() -> None:
        Answering.answer, Answering.delay = answer, delay
        server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0, backlog=1024)
        pipe.send(server.sockets[0].getsockname()[1])
        await asyncio.to_thread(pipe.recv)

    asyncio.run(main())


@contextmanager
def server(delay: float) -> Iterator[str]:
    sandbox = Sandbox()
    with httpx.Client(transport=sandbox.transport(), headers={"Authorization": f"Bearer {sandbox.token()}"}) as client:
        body = json.dumps(client.post(sandbox.url + PATH, json=DATA).json()).encode()
    head = f"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(head.encode() + body, delay, theirs))
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}"
    finally:
        ours.send("over")
        process.join()


def tasks(url: str, number: int, starts: int) -> float:
    """Seconds for that many starts by that many tasks, once their connections are made."""

    async def main() -> float:
        async with AsyncProcessMaker(url, token="t") as pm:

            async def some(share: int) -> None:
                for _ in range(share):
                    await pm.start(4, DATA, event="node_1")

            await asyncio.gather(*(some(1) for _ in range(number)))
            began = time.perf_counter()
            await asyncio.gather(*(some(starts // number) for _ in range(number)))
            return time.perf_counter() - began

    return asyncio.run(main())


def httpx_tasks(url: str, number: int, starts: int) -> float:
    """The same over one httpx.AsyncClient."""

    async def main() -> float:
        async with httpx.AsyncClient(base_url=url, headers={"Authorization": "Bearer t"}) as client:

            async def some(share: int) -> None:
                for _ in range(share):
                    (await client.post(PATH, json=DATA)).json()

            await asyncio.gather(*(some(1) for _ in range(number)))
            began = time.perf_counter()
            await asyncio.gather(*(some(starts // number) for _ in range(number)))
            return time.perf_counter() - began

    return asyncio.run(main())


def threads(url: str, number: int, starts: int) -> float:
    """The same by threads over one ProcessMaker."""
    with ProcessMaker(url, token="t") as pm, ThreadPoolExecutor(number) as pool:

        def some(share: int) -> None:
            for _ in range(share):
                pm.start(4, DATA, event="node_1")

        list(pool.map(some, [1] * number))
        began = time.perf_counter()
        list(pool.map(some, [starts // number] * number))
        return time.perf_counter() - began


def alone(url: str, repeats: int) -> None:
    """One start after another, beside the same calls over a kept httpx.Client."""
    with (
        ProcessMaker(url, token="t") as pm,
        httpx.Client(base_url=url, headers={"Authorization": "Bearer t", "Accept": "application/json"}) as client,
    ):
        ways: dict[str, Callable[[], object]] = {
            "httpx.Client": lambda: client.post(PATH, json=DATA).json(),
            "pm.start": lambda: pm.start(4, DATA, event="node_1"),
        }
        taken: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(repeats * 20):
            for way, call in ways.items():
                began = time.perf_counter()
                for _ in range(50):
                    call()
                taken[way].append((time.perf_counter() - began) / 50)
    one = median(taken["httpx.Client"])
    for way, times in taken.items():
        print(f"{way:34}{1000 * median(times):6.2f} ms   x {median(times) / one:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=5, help="how often each way is measured (5)")
    repeats = parser.parse_args().repeats
    ways = {"httpx.AsyncClient": httpx_tasks, "AsyncProcessMaker, tasks": tasks, "ProcessMaker, threads": threads}
    with server(DELAY) as url:
        for number in (10, 50, 100):
            limit = number / DELAY
            taken: dict[str, list[float]] = {way: [] for way in ways}
            for _ in range(repeats):
                for name, way in ways.items():
                    taken[name].append(way(url, number, 10 * number))
            for name, times in taken.items():
                print(f"{name:26}{number:4} in flight   {10 * number / median(times) / limit:.2f} of the limit")
    with server(0) as url:
        alone(url, repeats)


if __name__ == "__main__":
    main()
