"""How much memory many starts take, by the number of rows: a stream of them is to stay a stream. Not a test:

    python tests/benchmarks/memory.py [--rows 1000000] [--tasks]

One run of start_many over a generator, with keys, against an httpx.MockTransport: the peak of this process, in MB,
after 1,000, 100,000 and 1,000,000 rows. What comes after the first thousand is growth.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import resource
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import httpx
from processmaker import AsyncProcessMaker, ProcessMaker
from processmaker.sandbox import Sandbox

MARKS = (1_000, 100_000, 1_000_000)

OPTIONS: dict[str, Any] = {"process": 4, "event": "node_1", "key": "order", "concurrency": 8}


def measure(count: int) -> dict[str, dict[str, float]]:
    """By the way of starting so many rows, the MB at most after each number of them; each in a process of its own."""
    ways = {"ProcessMaker.start_many": [], "AsyncProcessMaker.start_many": ["--tasks"]}
    return {way: json.loads(_printed("--rows", str(count), *options)) for way, options in ways.items()}


def _printed(*options: str) -> str:
    return subprocess.run([sys.executable, __file__, *options], check=True, capture_output=True, text=True).stdout


def rows(count: int) -> Iterator[dict[str, Any]]:
    return ({"order": f"order-{number}", "days": number % 9} for number in range(count))


def transport() -> httpx.MockTransport:
    """Answers each start as a real one was answered, and finds no key."""
    sandbox = Sandbox()
    with httpx.Client(transport=sandbox.transport(), headers={"Authorization": f"Bearer {sandbox.token()}"}) as client:
        url = f"{sandbox.url}/api/1.0"
        started = client.post(f"{url}/process_events/4?event=node_1", json={}).json()
        none = client.get(f"{url}/requests", params={"pmql": 'data.x = "y"'}).json()
    nothing, headers, ids = json.dumps(none).encode(), {"content-type": "application/json"}, count(10**9)
    before, after = json.dumps({**started, "id": 1234567890}).encode().split(b"1234567890", 1)

    def answer(request: httpx.Request) -> httpx.Response:
        made = request.method == "POST"
        content = before + str(next(ids)).encode() + after if made else nothing
        return httpx.Response(201 if made else 200, headers=headers, content=content)

    return httpx.MockTransport(answer)


def peak() -> float:
    """The most that this process held, in MB. What getrusage says on Linux begins with what the parent held."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most / 1024**2 if sys.platform == "darwin" else most / 1024


class Peaks:
    """The peak at each mark, in MB."""

    def __init__(self, count: int) -> None:
        self.at: dict[int, float] = {}
        self._marks = [mark for mark in MARKS if mark <= count] or [count]
        self._count = 0

    def add(self, outcome: Any) -> None:
        assert outcome.error is None, outcome.error
        self._count += 1
        if self._count in self._marks:
            self.at[self._count] = round(peak(), 1)


def by_threads(count: int, peaks: Peaks) -> None:
    with ProcessMaker(Sandbox().url, token="any", transport=transport()) as pm:
        for outcome in pm.start_many(rows=rows(count), **OPTIONS):
            peaks.add(outcome)


async def by_tasks(count: int, peaks: Peaks) -> None:
    async with AsyncProcessMaker(Sandbox().url, token="any", transport=transport()) as pm:
        async for outcome in pm.start_many(rows=rows(count), **OPTIONS):
            peaks.add(outcome)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=MARKS[-1], help="how many (default: a million)")
    parser.add_argument("--tasks", action="store_true", help="by tasks of asyncio, in place of threads")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    peaks = Peaks(options.rows)
    if options.tasks:
        asyncio.run(by_tasks(options.rows, peaks))
    else:
        by_threads(options.rows, peaks)
    print(json.dumps(peaks.at))


if __name__ == "__main__":
    main()
