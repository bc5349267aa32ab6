"""A process that forks: its children get connections of their own, and wait for nobody who stayed with the parent."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trustme
from processmaker import AsyncProcessMaker, PasswordGrant, ProcessMaker, ProcessMakerError
from processmaker.sandbox import PASSWORD_CLIENT, Sandbox
from raw_server import Wire, tls_for, wired

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
]

TOO_LONG = 60
"""Seconds after which a child is taken to be stuck."""


class Child:
    """A fork of this process, which does its work once `at_once` lets it, and is gone."""

    gate = os.pipe()

    def __init__(self, work: Callable[[], Any]) -> None:
        reader, writer = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            try:
                signal.alarm(TOO_LONG)
                os.close(self.gate[1])
                os.read(self.gate[0], 1)
                os.write(writer, json.dumps(work()).encode())
            except BaseException as problem:
                os.write(writer, json.dumps(repr(problem)).encode())
            finally:
                os._exit(0)
        os.close(writer)
        self._reader = reader

    def result(self) -> Any:
        with os.fdopen(self._reader, "rb") as stream:
            said = stream.read()
        os.waitpid(self.pid, 0)
        return json.loads(said or '"stuck"')


def at_once(children: list[Child]) -> list[Any]:
    """What the children come to, which all work at the same time.

    They begin when the last one is there: while one of them shakes hands with the server, which is in this process,
    OpenSSL holds locks of the whole process, and never gives them back to a child that is forked then.
    """
    os.close(Child.gate[1])
    os.close(Child.gate[0])
    Child.gate = os.pipe()
    return [child.result() for child in children]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(params=["plain", "TLS"])
def wire(request: pytest.FixtureRequest, authority: trustme.CA) -> Iterator[Wire]:
    with wired(Sandbox(), tls_for(authority, "127.0.0.1") if request.param == "TLS" else None) as wire:
        yield wire


@pytest.fixture
def verify(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


def started(pm: ProcessMaker, caller: str) -> list[str]:
    """What some starts of this caller's hold in the server."""
    requests = [pm.start(2, {"caller": caller}, event="node_1") for _ in range(4)]
    return [(pm.get(request).data or {})["caller"] for request in requests]


async def started_async(pm: AsyncProcessMaker, caller: str) -> list[str]:
    requests = await asyncio.gather(*(pm.start(2, {"caller": caller}, event="node_1") for _ in range(4)))
    return [((await pm.get(request)).data or {})["caller"] for request in requests]


def test_children_get_requests_and_connections_of_their_own(wire: Wire, verify: Path) -> None:
    with ProcessMaker(wire.url, token=wire.sandbox.token(), verify=verify) as pm:
        pm.processes()
        children = [Child(lambda number=number: started(pm, f"child {number}")) for number in range(6)]  # type: ignore[misc]
        assert started(pm, "parent") == 4 * ["parent"]
        assert at_once(children) == [4 * [f"child {number}"] for number in range(6)]
        # The parent's connection is as it was: no child has shut it down.
        assert started(pm, "parent") == 4 * ["parent"]
    assert len(wire.connections) == 1 + 6
    assert len(wire.sandbox.requests) == 8 + 4 * 6


def test_children_get_connections_of_their_own_under_asyncio(wire: Wire, verify: Path) -> None:
    with asyncio.Runner() as runner:
        pm = AsyncProcessMaker(wire.url, token=wire.sandbox.token(), verify=verify)
        runner.run(started_async(pm, "parent"))
        before = len(wire.connections)
        children = [
            Child(lambda number=number: asyncio.run(started_async(pm, f"child {number}")))  # type: ignore[misc]
            for number in range(4)
        ]
        assert runner.run(started_async(pm, "parent")) == 4 * ["parent"]
        assert at_once(children) == [4 * [f"child {number}"] for number in range(4)]
        assert runner.run(started_async(pm, "parent")) == 4 * ["parent"]
        runner.run(pm.close())
    assert len(wire.connections) <= before + 4 * 4


def test_children_of_a_parent_in_the_middle_of_calls_are_not_disturbed(wire: Wire, verify: Path) -> None:
    over = threading.Event()
    held: list[str] = []

    def go_on(caller: str) -> None:
        while not over.is_set():
            held.extend({*started(pm, caller), caller})

    with ProcessMaker(wire.url, token=wire.sandbox.token(), verify=verify) as pm:
        threads = [threading.Thread(target=go_on, args=(f"thread {number}",)) for number in range(3)]
        for thread in threads:
            thread.start()
        while wire.url.startswith("https") and len(set(held)) < 3:
            time.sleep(0.01)  # their handshakes, see above
        children = [Child(lambda number=number: started(pm, f"child {number}")) for number in range(6)]  # type: ignore[misc]
        results = at_once(children)
        while len(set(held)) < 3:
            time.sleep(0.01)
        over.set()
        for thread in threads:
            thread.join()
    assert results == [4 * [f"child {number}"] for number in range(6)]
    assert set(held) == {f"thread {number}" for number in range(3)}


def grant(sandbox: Sandbox) -> PasswordGrant:
    return PasswordGrant(*PASSWORD_CLIENT, "integration.bot", sandbox.user().password)


def test_a_child_shares_the_token_but_not_a_renewal_that_another_thread_is_at() -> None:
    """That thread is not there in the child: nobody would ever end the renewal."""
    arrived = threading.Event()
    with wired(Sandbox()) as wire, ProcessMaker(wire.url, auth=grant(wire.sandbox), retries=None) as pm:

        def never_answer(*_: object) -> None:
            arrived.set()
            wire.over.wait()

        wire.misdeeds = [never_answer]
        stuck = threading.Thread(target=suppressed, args=(pm.processes,))
        stuck.start()
        arrived.wait()
        assert at_once([Child(lambda: started(pm, "child"))])[0] == 4 * ["child"]
        wire.over.set()
        stuck.join()


def test_a_lock_that_another_thread_holds_as_the_process_forks_is_open_in_the_child() -> None:
    with wired(Sandbox()) as wire:
        auth = grant(wire.sandbox)
        with ProcessMaker(wire.url, auth=auth) as pm:
            with auth._lock:
                child = Child(lambda: started(pm, "child"))
            assert at_once([child]) == [4 * ["child"]]


def test_a_child_uses_the_token_that_its_parent_signed_in_for() -> None:
    with wired(Sandbox()) as wire, ProcessMaker(wire.url, auth=grant(wire.sandbox)) as pm:
        pm.processes()
        assert at_once([Child(lambda: started(pm, "child"))])[0] == 4 * ["child"]
        assert [target for target in wire.targets if "oauth" in target] == ["POST /oauth/token"]


def suppressed(call: Callable[[], object]) -> None:
    with suppress(ProcessMakerError):
        call()
