"""What only a real socket shows: connections that break, hang or go stale, certificates, and proxies.

Everything stays on 127.0.0.1. Real time passes only where a time-out is what is tested; it is short.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trustme
from conftest import Connect
from processmaker import (
    ConnectionFailed,
    ConnectionLost,
    ProcessMaker,
    StartOutcomeUnknown,
    TimedOut,
    WaitTimeout,
)
from processmaker.sandbox import Sandbox
from raw_server import (
    SHORT,
    Misdeed,
    Wire,
    hang_up,
    hang_up_after_the_id,
    hang_up_in_the_body,
    reset,
    reset_in_the_body,
    tls_for,
    wired,
)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def wire(sandbox: Sandbox) -> Iterator[Wire]:
    with wired(sandbox) as wire:
        yield wire


@pytest.fixture
def pm(wire: Wire, connect: Connect) -> Any:
    """A client that comes over the wire: the blocking one, then the async one. Its pauses are jumps in time."""
    return connect(wire.url, token=wire.sandbox.token(), clock=wire.sandbox.clock)


BREAKS = [reset, reset_in_the_body, hang_up, hang_up_in_the_body]


@pytest.mark.parametrize("misdeed", BREAKS)
def test_a_start_whose_connection_breaks_is_found_by_its_key(pm: Any, wire: Wire, misdeed: Misdeed) -> None:
    wire.misdeeds = [misdeed]
    request = pm.start(2, {"days": 3}, event="node_1", idempotency_key="k")
    assert [started.id for started in wire.sandbox.requests] == [request.id]
    assert request.idempotency_key == "k"


@pytest.mark.parametrize("misdeed", BREAKS)
def test_without_a_key_a_start_whose_connection_breaks_is_unknown(pm: Any, wire: Wire, misdeed: Misdeed) -> None:
    wire.misdeeds = [misdeed]
    with pytest.raises(StartOutcomeUnknown) as failure:
        pm.start(2, {"days": 3}, event="node_1")
    assert isinstance(failure.value.wire_error, ConnectionLost)
    assert failure.value.processed is None
    assert len(wire.sandbox.requests) == len(wire.targets) == 1


def test_an_id_that_arrived_before_the_connection_broke_is_not_lost(pm: Any, wire: Wire) -> None:
    pm.start(2, event="node_1")
    wire.misdeeds = [hang_up_after_the_id]
    request = pm.start(2, event="node_1")
    assert (request.id, request.status, request.created) == (2, "ACTIVE", True)
    assert wire.targets[-1] == "GET /api/1.0/requests/2"


@pytest.mark.parametrize("arrives", [0, 10])
def test_a_server_that_never_answers_ends_in_a_time_out(connect: Connect, wire: Wire, arrives: int) -> None:
    pm = connect(wire.url, token=wire.sandbox.token(), clock=wire.sandbox.clock, timeout=SHORT)

    def fall_silent(connection: socket.socket, answer: bytes) -> None:
        connection.sendall(answer[: arrives and answer.index(b"\r\n\r\n") + arrives])
        wire.over.wait()

    wire.misdeeds = [fall_silent, fall_silent]
    with pytest.raises(StartOutcomeUnknown) as failure:
        pm.start(2, event="node_1")
    assert isinstance(failure.value.wire_error, TimedOut)
    assert pm.start(2, event="node_1", idempotency_key="k").id == 2


def test_a_connection_that_nobody_takes_ends_in_a_time_out(connect: Connect, sandbox: Sandbox) -> None:
    """The system connects on the server's behalf; nobody ever reads what is sent."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        pm = connect(f"http://127.0.0.1:{listener.getsockname()[1]}", token="t", timeout=SHORT, clock=sandbox.clock)
        with pytest.raises(StartOutcomeUnknown, match=r"no answer from http://127\.0\.0\.1:[0-9]+ in time"):
            pm.start(2, event="node_1")
        with pytest.raises(WaitTimeout) as over:
            pm.wait(1, timeout=0)
        assert isinstance(over.value.__cause__, TimedOut)


def test_a_refused_connection_means_that_nothing_was_started(connect: Connect, sandbox: Sandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    pm = connect(f"http://127.0.0.1:{port}", token="t", clock=sandbox.clock)
    with pytest.raises(ConnectionFailed) as failure:
        pm.start(2, event="node_1", idempotency_key="k")
    assert failure.value.processed is False


def test_a_server_that_comes_back_is_connected_to_again(pm: Any, wire: Wire) -> None:
    """The listener stays, so the client is not refused; the connection that was kept is gone."""
    pm.start(2, event="node_1")
    wire.hang_up()
    pm.start(2, event="node_1")
    assert len(wire.sandbox.requests) == len(wire.connections) == 2


@pytest.mark.parametrize("processes", [True, False])
def test_a_kept_connection_that_ends_as_a_start_is_sent_leaves_it_unknown(pm: Any, wire: Wire, processes: bool) -> None:
    """The server may close a connection that it thinks idle at that very moment: the start must not be sent again."""
    pm.start(4, event="node_1")
    wire.misdeeds, wire.processes = [hang_up], processes
    with pytest.raises(StartOutcomeUnknown):
        pm.start(2, event="node_1")
    assert len(wire.connections) == 1
    assert len(wire.targets) == 2
    assert len(wire.sandbox.requests) == 1 + processes


def test_a_kept_connection_that_ends_as_a_start_is_sent_is_settled_with_a_key(pm: Any, wire: Wire) -> None:
    pm.start(4, event="node_1")
    wire.misdeeds, wire.processes = [hang_up], False
    with pytest.raises(StartOutcomeUnknown) as failure:
        pm.start(2, event="node_1", idempotency_key="k")
    assert failure.value.retryable
    assert len(wire.sandbox.requests) == 1


def test_many_starts_share_one_connection(pm: Any, wire: Wire) -> None:
    for _ in range(20):
        pm.start(4, event="node_1")
    assert len(wire.connections) == 1


def test_threads_share_the_connections_of_one_client(wire: Wire) -> None:
    with (
        ProcessMaker(wire.url, token=wire.sandbox.token()) as pm,
        ThreadPoolExecutor(8) as pool,
    ):
        ids = list(pool.map(lambda _: pm.start(4, event="node_1").id, range(200)))
    assert sorted(ids) == list(range(1, 201))
    assert len(wire.connections) <= 8


# TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def certificates(authority: trustme.CA, tmp_path: Path) -> str:
    """A file with the certificate of the authority."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


def test_a_file_of_certificates_is_enough_to_trust_a_server(
    connect: Connect, sandbox: Sandbox, authority: trustme.CA, certificates: str
) -> None:
    with wired(sandbox, tls_for(authority, "127.0.0.1")) as wire:
        pm = connect(wire.url, token=sandbox.token(), verify=certificates)
        assert [pm.start(4, event="node_1").id for _ in range(3)] == [1, 2, 3]
        pm.close()
    assert len(wire.connections) == 1


def test_a_certificate_of_another_name_is_refused_before_anything_is_sent(
    connect: Connect, sandbox: Sandbox, authority: trustme.CA, certificates: str
) -> None:
    with wired(sandbox, tls_for(authority, "pm.example.com")) as wire:
        pm = connect(wire.url, token=sandbox.token(), verify=certificates, clock=sandbox.clock)
        with pytest.raises(ConnectionFailed, match=r"certificate is not valid for '127\.0\.0\.1'") as failure:
            pm.start(4, event="node_1")
    assert failure.value.processed is False
    assert wire.targets == []


def test_a_certificate_of_an_unknown_authority_is_refused(
    connect: Connect, sandbox: Sandbox, authority: trustme.CA
) -> None:
    with wired(sandbox, tls_for(authority, "127.0.0.1")) as wire:
        pm = connect(wire.url, token=sandbox.token(), clock=sandbox.clock)
        with pytest.raises(ConnectionFailed, match=f"{wire.url}: .*certificate verify failed: .*issuer") as failure:
            pm.start(4, event="node_1")
        assert "verify=" in str(failure.value.hint)
        unchecked = connect(wire.url, token=sandbox.token(), verify=False)
        assert unchecked.start(4, event="node_1").id == 1
        unchecked.close()


@contextmanager
def saying(words: bytes) -> Iterator[str]:
    """The host and port of a server that says the same to everybody, after it has read what they have to say."""
    over = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.05)

    def serve() -> None:
        while not over.is_set():
            with suppress(OSError), listener.accept()[0] as connection:
                connection.settimeout(1)
                connection.recv(65536)
                connection.sendall(words)

    thread = threading.Thread(target=serve)
    thread.start()
    yield "127.0.0.1:" + str(listener.getsockname()[1])
    over.set()
    thread.join()
    listener.close()


def test_an_address_with_the_wrong_scheme_is_told_from_a_server_that_is_away(connect: Connect) -> None:
    with saying(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n") as place:
        pm = connect(f"https://{place}", token="t", retries=None)
        with pytest.raises(ConnectionFailed, match=f"no connection to https://{place}: .*SSL") as failure:
            pm.start(4, event="node_1")
    assert "Look whether base_url speaks https" in str(failure.value)
    assert failure.value.processed is False


def test_a_server_that_is_away_is_named(connect: Connect) -> None:
    with saying(b"") as place:
        pass
    pm = connect(f"http://{place}/prefix", token="secret-token", retries=None)
    with pytest.raises(ConnectionFailed, match=f": no connection to http://{place}: .*(refused|failed)$"):
        pm.start(4, event="node_1")


def test_a_host_without_an_address_is_named(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    pm = connect("https://pm.example.com:8443", token="secret-token", retries=None)
    with pytest.raises(ConnectionFailed, match=r"no connection to https://pm\.example\.com:8443: .*Name or"):
        pm.start(4, event="node_1")


# Proxies


def test_the_proxy_of_the_environment_is_used(connect: Connect, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", wire.url)
    pm = connect("http://pm.example.com", token=wire.sandbox.token(), allow_http=True)
    assert pm.start(4, event="node_1").id == 1
    assert wire.targets == ["POST http://pm.example.com/api/1.0/process_events/4?event=node_1"]


def test_a_server_under_no_proxy_is_spoken_to_directly(
    connect: Connect, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    pm = connect(wire.url, token=wire.sandbox.token(), retries=None)
    assert pm.start(4, event="node_1").id == 1


def test_a_proxy_that_refuses_means_that_nothing_was_started(
    connect: Connect, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", wire.url)
    pm = connect("https://pm.example.com", token=wire.sandbox.token(), clock=wire.sandbox.clock, retries=None)
    with pytest.raises(ConnectionFailed) as failure:
        pm.start(4, event="node_1")
    assert failure.value.processed is False
    assert wire.targets == ["CONNECT pm.example.com:443"]
