"""How fast starts are: ratios, measured side by side in one run. Not a test; run it by hand:

    python tests/benchmarks/starts.py [--repeats 5]

The sandbox answers from a process of its own on 127.0.0.1. The ways that are compared take turns, and the median of
their times counts.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import requests
import trustme
from processmaker import AsyncProcessMaker, ProcessMaker
from processmaker.sandbox import Sandbox, _socket
from processmaker_api import AuthenticatedClient
from processmaker_api.api.processes import trigger_start_event
from processmaker_api.models.trigger_start_event_body import TriggerStartEventBody

TOKEN = Sandbox().token()
DATA: dict[str, Any] = {"employee": "Ana", "days": 3}

Way = Callable[[int], object]
"""Makes that many starts."""


class SlowSandbox(Sandbox):
    """A sandbox that takes `delay` seconds over each answer, several at a time."""

    delay = 0.0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        time.sleep(self.delay)
        return super().__call__(request)


def serve(delay: float, certificate: str | None, pipe: Connection) -> None:
    sandbox = SlowSandbox()
    sandbox.delay = delay
    if certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
        accept = _socket._Server.get_request

        def get_request(listener: _socket._Server) -> tuple[Any, Any]:
            connection, address = accept(listener)
            return tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address

        _socket._Server.get_request = get_request  # type: ignore[method-assign, assignment]
    with sandbox.serve() as url:
        pipe.send(url.replace("http:", "https:") if certificate else url)
        pipe.recv()


@contextmanager
def server(delay: float = 0.0, certificate: str | None = None) -> Iterator[str]:
    """The URL of a sandbox in another process, so that it does not share our interpreter lock.

    With a file of a private key and its certificate it speaks TLS.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(delay, certificate, theirs))
    process.start()
    try:
        yield ours.recv()
    finally:
        ours.send("over")
        process.join()


def compare(title: str, repeats: int, ways: dict[str, tuple[int, Way]]) -> None:
    """Prints what a start costs in each way, beside the first one. `ways` gives for each how many starts to make."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(repeats + 1):
        for name, (starts, way) in ways.items():
            began = time.perf_counter()
            way(starts)
            if turn:  # the first one warms up
                times[name].append((time.perf_counter() - began) / starts)
    print(f"\n{title}")
    first = median(next(iter(times.values())))
    for name, measured in times.items():
        cost = median(measured)
        print(f"  {name:<45} {1000 * cost:8.2f} ms a start   x {cost / first:.2f}")


def each(start: Callable[[], object]) -> Way:
    def way(starts: int) -> None:
        for _ in range(starts):
            start()

    return way


def new_connections(repeats: int) -> None:
    """The guide makes a new connection for each start; over TLS that is a handshake each time."""
    authority = trustme.CA()
    with TemporaryDirectory() as folder:
        trusted, own = f"{folder}/ca.pem", f"{folder}/server.pem"
        authority.cert_pem.write_to_path(trusted)
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(own)
        with server() as url:
            kept_or_new("plain HTTP", url, trusted, repeats)
        with server(certificate=own) as url:
            kept_or_new("TLS", url, trusted, repeats)


def kept_or_new(protocol: str, url: str, certificates: str, repeats: int) -> None:
    address = f"{url}/api/1.0/process_events/4?event=node_1"
    headers = {"Authorization": f"Bearer {TOKEN}", "Accept": "application/json"}
    context = ssl.create_default_context(cafile=certificates)
    with ProcessMaker(url, token=TOKEN, verify=certificates) as pm:
        ways = {
            "one ProcessMaker, kept": (200, each(lambda: pm.start(4, DATA, event="node_1"))),
            "requests.post each time, as in the guide": (
                50,
                each(lambda: requests.post(address, json=DATA, headers=headers, verify=certificates)),
            ),
            "httpx.post each time": (
                50,
                each(lambda: httpx.post(address, json=DATA, headers=headers, verify=context)),
            ),
        }
        compare(f"One kept client beside a new connection for each start: {protocol}", repeats, ways)


def overhead(url: str, repeats: int) -> None:
    body = TriggerStartEventBody.from_dict(DATA)
    with (
        AuthenticatedClient(base_url=f"{url}/api/1.0", token=TOKEN) as api,
        ProcessMaker(url, token=TOKEN) as pm,
    ):
        ways = {
            "the generated client": (
                300,
                each(lambda: trigger_start_event.sync_detailed(4, client=api, body=body, event="node_1")),
            ),
            "ProcessMaker": (300, each(lambda: pm.start(4, DATA, event="node_1"))),
        }
        compare("What the wrapper adds to the generated client", repeats, ways)


def at_once(url: str, repeats: int) -> None:
    """Threads share one client; so do the tasks of one event loop."""
    with ExitStack() as stack:
        pm = stack.enter_context(ProcessMaker(url, token=TOKEN))

        def threads(number: int) -> Way:
            pool = stack.enter_context(ThreadPoolExecutor(number))
            return lambda starts: list(pool.map(lambda _: pm.start(4, DATA, event="node_1"), range(starts)))

        def tasks(number: int) -> Way:
            runner = stack.enter_context(asyncio.Runner())
            apm = AsyncProcessMaker(url, token=TOKEN)
            stack.callback(lambda: runner.run(apm.close()))

            async def all_of_them(starts: int) -> None:
                turn = asyncio.Semaphore(number)

                async def one() -> None:
                    async with turn:
                        await apm.start(4, DATA, event="node_1")

                await asyncio.gather(*(one() for _ in range(starts)))

            return lambda starts: runner.run(all_of_them(starts))

        ways = {
            "one after the other": (40, each(lambda: pm.start(4, DATA, event="node_1"))),
            "400 starts by 10 threads": (400, threads(10)),
            "400 starts by 50 threads": (400, threads(50)),
            "400 starts by 50 asyncio tasks": (400, tasks(50)),
        }
        compare("Many at once; each start takes the server 50 ms", repeats, ways)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=5, help="how often each way is measured (5)")
    repeats = parser.parse_args().repeats
    new_connections(repeats)
    with server() as url:
        overhead(url, repeats)
    with server(delay=0.05) as url:
        at_once(url, repeats)


if __name__ == "__main__":
    main()
