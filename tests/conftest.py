"""What the tests share: a sandbox whose time stands still, and each client in turn behind one face."""

from __future__ import annotations

import asyncio
import inspect
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import pytest
from command_line import connections, environ, run, served, signed_out, typed  # noqa: F401 - fixtures
from processmaker import AsyncOutcomes, AsyncProcessMaker, Outcome, ProcessMaker
from processmaker.journal import MemoryJournal
from processmaker.once import state
from processmaker.sandbox import Clock, Sandbox
from redis_fixtures import _redis_at, redis_at, redis_program  # noqa: F401 - fixtures
from redis_server import RedisServer

START_OF_TIME = datetime(2026, 11, 23, 22, 12, 30, tzinfo=UTC)


class Awaited:
    """An `AsyncProcessMaker` that is used like a `ProcessMaker`, so that one test serves both."""

    def __init__(self, runner: asyncio.Runner, client: AsyncProcessMaker) -> None:
        self._runner = runner
        self._client = client

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._client, name)
        if not inspect.ismethod(member):
            return member

        def call(*args: Any, **kwargs: Any) -> Any:
            result = member(*args, **kwargs)
            if isinstance(result, AsyncOutcomes):
                return AwaitedOutcomes(self._runner, result)
            return self._iterate(result) if inspect.isasyncgen(result) else self._runner.run(result)

        return call

    def _iterate(self, items: Any) -> Iterator[Any]:
        try:
            while True:
                try:
                    yield self._runner.run(anext(items))
                except StopAsyncIteration:
                    return
        finally:
            self._runner.run(items.aclose())


class AwaitedOutcomes:
    """`AsyncOutcomes` that are used like `Outcomes`."""

    def __init__(self, runner: asyncio.Runner, outcomes: AsyncOutcomes[Any]) -> None:
        self._runner = runner
        self._outcomes = outcomes

    def __iter__(self) -> AwaitedOutcomes:
        return self

    def __next__(self) -> Outcome[Any]:
        try:
            return self._runner.run(anext(self._outcomes))
        except StopAsyncIteration:
            raise StopIteration from None

    def __enter__(self) -> AwaitedOutcomes:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def stop(self) -> None:
        self._outcomes.stop()

    def close(self) -> None:
        self._runner.run(self._outcomes.aclose())

    @property
    def rest(self) -> list[Outcome[Any]]:
        return self._outcomes.rest


Connect = Callable[..., Any]
"""Makes a client: its arguments are `ProcessMaker`'s."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("proof"):
            item.add_marker(pytest.mark.timeout(600))


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox(clock=Clock(START_OF_TIME))


@pytest.fixture(params=["blocking", "async"])
def connect(request: pytest.FixtureRequest) -> Iterator[Connect]:
    """Makes clients of either kind, and closes them; `clock` lets time jump where the transport is no sandbox's."""
    with ExitStack() as stack:
        runner = stack.enter_context(asyncio.Runner()) if request.param == "async" else None

        def make(*args: Any, clock: Clock | None = None, **kwargs: Any) -> Any:
            client: Any
            if runner is None:
                client = stack.enter_context(ProcessMaker(*args, **kwargs))
            else:
                client = Awaited(runner, AsyncProcessMaker(*args, **kwargs))
                stack.callback(client.close)
            if clock is not None:
                client._io.clock = clock
            return client

        yield make


@pytest.fixture
def pm(connect: Connect, sandbox: Sandbox) -> Any:
    """A client of the sandbox, signed in as integration.bot: the blocking one, then the async one."""
    return connect(sandbox.url, token=sandbox.token(), transport=sandbox.transport())


@pytest.fixture
def admin(connect: Connect, sandbox: Sandbox) -> Any:
    """The same, signed in as the administrator."""
    return connect(sandbox.url, token=sandbox.token("admin"), transport=sandbox.transport())


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A redis-server for all tests that do not kill it or set it up in another way."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(autouse=True)
def _only_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test leaves the machine: a connection to any other address fails, and no proxy is asked."""
    for scheme in ("http", "https", "all", "no"):
        for name in (f"{scheme}_proxy", f"{scheme}_proxy".upper()):
            monkeypatch.delenv(name, raising=False)
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test tried to connect to {address[0]}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(autouse=True)
def _starts_of_this_test_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal of this process begins anew: another test may start the same key on the same server."""
    monkeypatch.setattr(state, "_in_this_process", MemoryJournal())
