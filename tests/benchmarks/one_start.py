"""What one start costs, one after another, beside the same call over a kept httpx client; plain and over TLS.

TLS is with the certificates that users trust: certifi's bundle, and the server's authority. Reading that bundle is most
of what a new connection for each call costs.
"""

from __future__ import annotations

import asyncio
import inspect
import ssl
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import certifi
import httpx
import requests
import trustme
from answering import DATA, EVENT, HEADERS, PATH, PROCESS, server
from processmaker import AsyncProcessMaker, ProcessMaker
from processmaker_api import AuthenticatedClient
from processmaker_api.api.processes import trigger_start_event
from processmaker_api.models.trigger_start_event_body import TriggerStartEventBody

NEW_CONNECTION = "requests.post, as in the guide"

PARAMETERS: Any = {
    name: EVENT
    for name, parameter in inspect.signature(trigger_start_event.sync_detailed).parameters.items()
    if parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty and name != "client"
}
"""The event, and whatever the document of another server requires besides."""

Costs = dict[str, list[float]]
"""For each way the milliseconds of a start, in each run."""


def measure(runs: int, calls: int) -> dict[str, dict[str, Costs]]:
    """The costs by protocol, then by kind of code. In each run each way makes so many calls, one after the other."""
    measured = {}
    with TemporaryDirectory() as folder:
        bundle, own = trusted(Path(folder))
        for protocol, certificate in (("plain", None), ("TLS", own)):
            with server(certificate=certificate) as url:
                kinds = {"blocking": blocking, "asyncio": awaiting}
                measured[protocol] = {kind: way(url, bundle, runs, calls) for kind, way in kinds.items()}
    return measured


def trusted(folder: Path) -> tuple[str, str]:
    """Files of the certificates that are trusted, and of the server's key and certificate."""
    authority = trustme.CA()
    bundle, own = folder / "trusted.pem", folder / "server.pem"
    bundle.write_bytes(certifi.contents().encode() + authority.cert_pem.bytes())
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(own))
    return str(bundle), str(own)


@contextmanager
def timed(into: list[float], calls: int) -> Iterator[None]:
    began = time.perf_counter()
    yield
    into.append(1000 * (time.perf_counter() - began) / calls)


def blocking(url: str, bundle: str, runs: int, calls: int) -> Costs:
    context = ssl.create_default_context(cafile=bundle)
    body = TriggerStartEventBody.from_dict(DATA)
    with ExitStack() as stack:
        session = stack.enter_context(requests.Session())
        client = stack.enter_context(httpx.Client(base_url=url, headers=HEADERS, verify=context))
        api = stack.enter_context(AuthenticatedClient(f"{url}/api/1.0", token="t", verify_ssl=context))
        pm = stack.enter_context(ProcessMaker(url, token="t", verify=bundle, allow_http=True))
        ways: dict[str, Callable[[], Any]] = {
            NEW_CONNECTION: lambda: requests.post(url + PATH, json=DATA, headers=HEADERS, verify=bundle).json(),
            "requests.Session": lambda: session.post(url + PATH, json=DATA, headers=HEADERS, verify=bundle).json(),
            "httpx.Client": lambda: client.post(PATH, json=DATA).json(),
            "the generated call": lambda: trigger_start_event.sync_detailed(
                PROCESS, client=api, body=body, **PARAMETERS
            ),
            "ProcessMaker": lambda: pm.start(PROCESS, DATA, event=EVENT),
        }
        taken: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(runs + 1):
            for way, call in ways.items():
                number = calls // 4 if way == NEW_CONNECTION else calls
                with timed(taken[way], number):
                    for _ in range(number):
                        call()
    return without_the_first(taken)


def awaiting(url: str, bundle: str, runs: int, calls: int) -> Costs:
    async def main() -> Costs:
        context = ssl.create_default_context(cafile=bundle)
        body = TriggerStartEventBody.from_dict(DATA)
        async with AsyncExitStack() as stack:
            connector = aiohttp.TCPConnector(ssl=context)
            session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector, headers=HEADERS))
            client = await stack.enter_async_context(httpx.AsyncClient(base_url=url, headers=HEADERS, verify=context))
            api = await stack.enter_async_context(AuthenticatedClient(f"{url}/api/1.0", token="t", verify_ssl=context))
            pm = await stack.enter_async_context(AsyncProcessMaker(url, token="t", verify=bundle, allow_http=True))

            async def by_aiohttp() -> Any:
                async with session.post(url + PATH, json=DATA) as response:
                    return await response.json()

            async def by_httpx() -> Any:
                return (await client.post(PATH, json=DATA)).json()

            ways: dict[str, Callable[[], Awaitable[Any]]] = {
                "aiohttp": by_aiohttp,
                "httpx.AsyncClient": by_httpx,
                "the generated call": lambda: trigger_start_event.asyncio_detailed(
                    PROCESS, client=api, body=body, **PARAMETERS
                ),
                "AsyncProcessMaker": lambda: pm.start(PROCESS, DATA, event=EVENT),
            }
            taken: dict[str, list[float]] = {way: [] for way in ways}
            for _ in range(runs + 1):
                for way, call in ways.items():
                    with timed(taken[way], calls):
                        for _ in range(calls):
                            await call()
        return without_the_first(taken)

    return asyncio.run(main())


def without_the_first(taken: Costs) -> Costs:
    return {way: times[1:] for way, times in taken.items()}  # the first run warms up
