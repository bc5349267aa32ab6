"""The recipes of the user's guide, as they stand there, with the real thing: servers, workers, a proxy.

The recipe for Celery is in test_celery.py.
"""

from __future__ import annotations

import ast
import asyncio
import base64
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from pages import ROOT, agrees, check, commands_of, recipe, shell
from processmaker import ConfigurationError, JournalError, SQLiteJournal
from processmaker.sandbox import Sandbox, SandboxFixture
from raw_server import tls_for, wired


class Server:
    """The program of a recipe, run by the last line of its docstring, on a free port, until the `with` block ends.

    Args:
        title: the recipe's.
        folder: where the program, its journal and its output are.
        sandbox: which it calls.
        options: further ones of the command.
    """

    def __init__(self, title: str, folder: Path, sandbox: Sandbox, *options: str) -> None:
        code = recipe(title)[0].code
        words = str(ast.get_docstring(ast.parse(code))).splitlines()[-1].split()
        (folder / f"{words[-1].partition(':')[0]}.py").write_text(code, encoding="utf-8")
        self._command = [sys.executable, "-m", *words[:-1], *options, words[-1]]
        self._folder, self._sandbox = folder, sandbox

    def __enter__(self) -> Server:
        self._served = self._sandbox.serve()
        settings = {"PROCESSMAKER_URL": self._served.__enter__(), "PROCESSMAKER_TOKEN": self._sandbox.token()}
        with (self._folder / "output").open("w") as output:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env={**os.environ, **settings},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.url = str(self.said(r"(?:running on|Listening at:) (http://127\.0\.0\.1:[0-9]+)")[0])
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(60)
        finally:
            self._process.kill()
            self._served.__exit__(None, None, None)

    @property
    def output(self) -> str:
        return (self._folder / "output").read_text(encoding="utf-8")

    def said(self, pattern: str, times: int = 1) -> list[str]:
        """What it printed that matches, once it did so often."""
        end = time.monotonic() + 60
        while len(found := re.findall(pattern, self.output)) < times:
            assert self._process.poll() is None, self.output
            assert time.monotonic() < end, self.output
            time.sleep(0.02)
        return found

    def put(self, path: str, content: str = '{"amount": 12.5}') -> httpx.Response:
        with httpx.Client(base_url=self.url, timeout=60) as client:
            return client.put(path, content=content, headers={"Content-Type": "application/json"})


def at_once(*calls: Any) -> list[Any]:
    """What they return, all called at the same moment."""
    barrier = threading.Barrier(len(calls))

    def call(function: Any) -> Any:
        barrier.wait()
        return function()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(call, calls))


def keys_of(sandbox: Sandbox) -> Counter[str]:
    return Counter(str(request.data["_idempotency_key"]) for request in sandbox.requests)


# --- FastAPI --------------------------------------------------------------------------------------------------------


def test_a_fastapi_application_starts_each_order_once_whichever_worker_gets_it(tmp_path: Path) -> None:
    sandbox = Sandbox(start_takes=0.2)
    with Server("FastAPI", tmp_path, sandbox, "--workers", "2", "--port", "0") as server:
        server.said("Application startup complete", times=2)
        answers = at_once(*(lambda n=n: server.put(f"/orders/{n % 4}") for n in range(24)))
    assert {answer.status_code for answer in answers} == {200}
    ids = {f"order-{n % 4}": answer.json()["request"] for n, answer in enumerate(answers)}
    assert ids == {str(request.data["_idempotency_key"]): request.id for request in sandbox.requests}
    assert keys_of(sandbox) == {f"order-{n}": 1 for n in range(4)}


@contextmanager
def fastapi(folder: Path, monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox) -> Iterator[Any]:
    """What calls the application within its lifespan, in the sandbox's time."""

    def journal_in_sandbox_time(path: str) -> SQLiteJournal:
        journal = SQLiteJournal(path)
        journal.clock = sandbox.clock
        return journal

    monkeypatch.chdir(folder)
    names: dict[str, Any] = {"__name__": "fastapi_app"}
    exec(recipe("FastAPI")[0].code, names)
    names["SQLiteJournal"] = journal_in_sandbox_time
    app = names["app"]
    with asyncio.Runner() as runner:

        async def put(path: str, amount: str) -> httpx.Response:
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://orders") as client:
                headers = {"Content-Type": "application/json"}
                return await client.put(path, content=f'{{"amount": {amount}}}', headers=headers)

        lifespan = app.router.lifespan_context(app)
        runner.run(lifespan.__aenter__())
        yield lambda path, amount="12.5": runner.run(put(path, amount))
        runner.run(lifespan.__aexit__(None, None, None))
        with pytest.raises(ConfigurationError, match="this client is closed"):
            runner.run(app.state.pm.processes())


@pytest.mark.parametrize(
    ("fault", "status", "wait"),
    [
        ("answer lost", 200, None),
        (429, 503, "60"),
        ("lost before", 503, "75"),
        (503, 503, "60"),
        ("token expired", 502, None),
    ],
)
def test_a_fastapi_application_says_whether_the_same_call_may_be_made_again(
    processmaker_sandbox: SandboxFixture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: Any,
    status: int,
    wait: str | None,
) -> None:
    processmaker_sandbox.fail_next(fault, on="POST /process_events", retry_after=60)
    with fastapi(tmp_path, monkeypatch, processmaker_sandbox) as put:
        answer = put("/orders/1")
        assert (answer.status_code, answer.headers.get("Retry-After")) == (status, wait)
        processmaker_sandbox.clock.sleep(float(wait or 0))
        assert put("/orders/1").status_code == 200
    assert keys_of(processmaker_sandbox) == {"order-1": 1}


def test_a_fastapi_application_refuses_what_cannot_be_sent(
    processmaker_sandbox: SandboxFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fastapi(tmp_path, monkeypatch, processmaker_sandbox) as put:
        answers = put("/orders/1%22"), put("/orders/1", "1e999"), put("/orders/1", '"much"')
    assert [answer.status_code for answer in answers] == [422, 422, 422]
    assert "holds '\"'" in answers[0].json()["detail"]
    assert "data.amount is inf" in answers[1].json()["detail"]
    assert processmaker_sandbox.requests == []


def test_a_fastapi_application_refuses_an_order_with_another_amount(
    processmaker_sandbox: SandboxFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fastapi(tmp_path, monkeypatch, processmaker_sandbox) as put:
        assert [put("/orders/1").status_code, put("/orders/1", "99").status_code] == [200, 409]
    assert len(processmaker_sandbox.requests) == 1


def test_a_fastapi_application_leaves_a_request_that_failed_to_people(
    processmaker_sandbox: SandboxFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fastapi(tmp_path, monkeypatch, processmaker_sandbox) as put:
        put("/orders/1")
        processmaker_sandbox.requests[0].status = "ERROR"
        assert put("/orders/1").status_code == 502
    assert len(processmaker_sandbox.requests) == 1


# --- gunicorn -------------------------------------------------------------------------------------------------------

PRE_FORKING = "A pre-forking web server"
ACCESS = ("--access-logfile", "-", "--access-logformat", "worker %(p)s answered %(s)s")

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


def gunicorn(folder: Path, sandbox: Sandbox, *options: str) -> Server:
    shutil.copy(ROOT / "wrapper" / "examples" / "gunicorn_conf.py", folder)
    return Server(PRE_FORKING, folder, sandbox, "--bind", "127.0.0.1:0", "--no-control-socket", *ACCESS, *options)


@forks
def test_workers_that_share_a_client_from_before_the_fork_start_each_order_once(tmp_path: Path) -> None:
    sandbox = Sandbox(start_takes=0.2)
    with gunicorn(tmp_path, sandbox) as server:
        server.said("Booting worker", times=4)
        workers: set[str] = set()
        for order in range(20):
            answers = at_once(*6 * [lambda order=order: server.put(f"/{order}")])
            (answer,) = {(answer.status_code, answer.text) for answer in answers}
            assert answer == (200, f'{{"request": {order + 1}}}')
            workers = set(re.findall("worker <([0-9]+)> answered 200", server.output))
            if len(workers) > 1 and order > 2:
                break
    assert len(workers) > 1
    assert set(keys_of(sandbox).values()) == {1}


class Watched(Sandbox):
    """A sandbox that says when a start has arrived, before it takes its time."""

    def __init__(self, start_takes: float) -> None:
        super().__init__(start_takes=start_takes)
        self.arrived = threading.Event()

    async def answer(self, request: httpx.Request, line: Any) -> httpx.Response:
        if request.method == "POST":
            self.arrived.set()
        return await super().answer(request, line)


@forks
def test_a_worker_that_is_killed_in_the_middle_of_a_start_leaves_one_request(tmp_path: Path) -> None:
    sandbox = Watched(start_takes=1)
    with gunicorn(tmp_path, sandbox, "--workers", "1") as server, ThreadPoolExecutor() as pool:
        lost = pool.submit(server.put, "/1")
        assert sandbox.arrived.wait(60)
        os.kill(int(server.said(r"Booting worker with pid: ([0-9]+)")[0]), signal.SIGKILL)
        with pytest.raises(httpx.TransportError):
            lost.result()
        assert server.put("/1").json() == {"request": 1}
    assert keys_of(sandbox) == {"order-1": 1}


# --- a webhook that arrives twice -----------------------------------------------------------------------------------

WEBHOOK = "A webhook that arrives twice"
EVENT = {"id": "evt_1", "amount": 12.5}


def on_order_paid() -> Any:
    names: dict[str, Any] = {}
    exec(recipe(WEBHOOK)[0].code, names)
    return names["on_order_paid"]


def test_a_webhook_that_arrives_again_and_again_at_the_same_moment_starts_one_request(
    processmaker_sandbox: SandboxFixture,
) -> None:
    processmaker_sandbox.start_takes = 0.15
    handler, pm = on_order_paid(), processmaker_sandbox.pm
    assert at_once(*8 * [lambda: handler(pm, EVENT)]) == 8 * [(204, {})]
    assert handler(pm, EVENT) == (204, {})
    assert keys_of(processmaker_sandbox) == {"shop-evt_1": 1}


DELIVERED_TO_A_PROCESS = """
import os, sys

from processmaker import ProcessMaker, SQLiteJournal

with ProcessMaker.from_env(journal=SQLiteJournal("starts.db")) as pm:
    print("ready", flush=True)
    sys.stdin.readline()
    print(on_order_paid(pm, {"id": "evt_1", "amount": 12.5}))
"""


def test_a_webhook_that_arrives_in_two_processes_at_the_same_moment_starts_one_request(tmp_path: Path) -> None:
    sandbox = Sandbox(start_takes=0.3)
    (tmp_path / "handler.py").write_text(recipe(WEBHOOK)[0].code + DELIVERED_TO_A_PROCESS, encoding="utf-8")
    with sandbox.serve() as url:
        environment = {**os.environ, "PROCESSMAKER_URL": url, "PROCESSMAKER_TOKEN": sandbox.token()}
        given: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        command = [sys.executable, "handler.py"]
        handlers = [subprocess.Popen(command, cwd=tmp_path, env=environment, **given) for _ in range(2)]
        assert [handler.stdout.readline() for handler in handlers if handler.stdout] == 2 * ["ready\n"]
        answers = at_once(*(lambda handler=handler: handler.communicate("\n", 60)[0] for handler in handlers))
    assert answers == 2 * ["(204, {})\n"]
    assert keys_of(sandbox) == {"shop-evt_1": 1}


@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        ("answer lost", (204, {})),
        (429, (503, {"Retry-After": "60"})),
        (503, (503, {"Retry-After": "60"})),
        ("lost before", (503, {"Retry-After": "87"})),
        ("token expired", (500, {})),
    ],
)
def test_a_sender_is_told_to_deliver_again_where_that_starts_the_request(
    processmaker_sandbox: SandboxFixture, fault: Any, answer: Any
) -> None:
    processmaker_sandbox.fail_next(fault, on="POST /process_events", retry_after=60)
    handler, pm = on_order_paid(), processmaker_sandbox.pm
    assert handler(pm, EVENT) == answer
    processmaker_sandbox.clock.sleep(float(answer[1].get("Retry-After", 0)))
    assert handler(pm, EVENT) == (204, {})
    assert keys_of(processmaker_sandbox) == {"shop-evt_1": 1}


class FullDisk:
    """A journal that cannot be written for now."""

    lease = 90.0

    def reserve(self, *_: object, **__: object) -> Any:
        raise JournalError("the disk is full", transient=True)

    sending = started = unknown = release = read = forget = prune = reserve

    def entries(self, *, started: bool = False) -> Iterator[Any]:
        yield from self.reserve(started=started)


def test_a_sender_is_told_to_deliver_again_where_the_journal_could_not_be_written(
    processmaker_sandbox: SandboxFixture,
) -> None:
    pm = processmaker_sandbox.client(journal=FullDisk())
    assert on_order_paid()(pm, EVENT) == (503, {"Retry-After": "10"})


@pytest.mark.parametrize("status", ["ERROR", "CANCELED"])
def test_a_sender_is_not_asked_to_deliver_again_what_failed_later(
    processmaker_sandbox: SandboxFixture, status: Any, caplog: pytest.LogCaptureFixture
) -> None:
    handler, pm = on_order_paid(), processmaker_sandbox.pm
    handler(pm, EVENT)
    processmaker_sandbox.requests[0].status = status
    assert handler(pm, EVENT) == (204, {})
    assert "shop-evt_1 needs a look: Request 1" in caplog.text
    assert len(processmaker_sandbox.requests) == 1


def test_a_sender_is_told_that_its_data_cannot_be_sent(processmaker_sandbox: SandboxFixture) -> None:
    handler, pm = on_order_paid(), processmaker_sandbox.pm
    assert handler(pm, {"id": "evt_1", "amount": float("nan")}) == (422, {})
    assert handler(pm, {"id": 'evt"1', "amount": 12.5}) == (422, {})
    assert handler(pm, EVENT) == (204, {})
    assert handler(pm, {**EVENT, "amount": 99}) == (422, {})


# --- a proxy and a private CA ---------------------------------------------------------------------------------------

PROXY = "A proxy and a private CA"


@contextmanager
def proxy(target: str, port: int, user: str) -> Iterator[tuple[str, list[str]]]:
    """A proxy that connects this user to `target`, which it knows as a port of this machine.

    Yields:
        Its host and port, and the first lines of what it was asked.
    """
    asked: list[str] = []
    over = threading.Event()
    allowed = "proxy-authorization: basic " + base64.b64encode(user.encode()).decode().lower()

    def serve(client: socket.socket) -> None:
        with client, client.makefile("rb") as stream, suppress(OSError):
            head = [line.decode().strip() for line in iter(stream.readline, b"\r\n")]
            asked.append(head[0])
            if allowed not in map(str.lower, head):
                client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            elif head[0].startswith(f"CONNECT {target} "):
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                with socket.create_connection(("127.0.0.1", port)) as server:
                    pass_on({client: server, server: client})

    def pass_on(other_end: dict[socket.socket, socket.socket]) -> None:
        while not over.is_set():
            for end in select.select(list(other_end), [], [], 0.05)[0]:
                if not (data := end.recv(65536)):
                    return
                other_end[end].sendall(data)

    def accept() -> None:
        with suppress(OSError), ThreadPoolExecutor() as pool:
            while True:
                pool.submit(serve, listener.accept()[0])

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}", asked
        finally:
            over.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def behind_a_proxy(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Sandbox, str, list[str]]]:
    """A server that only the proxy reaches, whose certificate is of an authority that nobody here knows."""
    sandbox = Sandbox()
    authority.cert_pem.write_to_path(str(tmp_path / "company-ca.pem"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv("PROCESSMAKER_URL", "https://pm.example.com")
    monkeypatch.setenv("PROCESSMAKER_TOKEN", sandbox.token())
    with (
        wired(sandbox, tls_for(authority, "pm.example.com")) as wire,
        proxy("pm.example.com:443", wire.port, "user:password") as (place, asked),
    ):
        yield sandbox, place, asked


def test_the_command_line_goes_through_a_proxy_to_a_server_with_a_private_ca(
    behind_a_proxy: tuple[Sandbox, str, list[str]], tmp_path: Path
) -> None:
    sandbox, place, asked = behind_a_proxy
    console, _ = recipe(PROXY)
    commands = dict(commands_of(console.code))
    exports = "\n".join(command for command in commands if command.startswith("export"))
    (examined,) = commands.keys() - set(exports.splitlines())
    token = {"url": "https://pm.example.com", "token": sandbox.token()}
    printed = shell(f"{exports}\n{examined}".replace("proxy.example.com:3128", place), tmp_path, **token)
    check(commands[examined], printed.replace(place, "proxy.example.com:3128"), examined)
    start = 'processmaker start "Auto Approve" --quiet --debug'
    printed = shell(f"{exports}\n{start}".replace("proxy.example.com:3128", place), tmp_path, **token)
    assert printed.endswith("\n1\n")
    assert "password" not in printed
    assert set(asked) == {"CONNECT pm.example.com:443 HTTP/1.1"}


def test_a_client_trusts_one_more_authority_behind_a_proxy(
    behind_a_proxy: tuple[Sandbox, str, list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sandbox, place, asked = behind_a_proxy
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:password@{place}")
    _, python = recipe(PROXY)
    exec(python.code, {})
    assert capsys.readouterr().out == python.output
    assert asked == ["CONNECT pm.example.com:443 HTTP/1.1"]
    assert len(sandbox.requests) == 1


def test_a_proxy_that_wants_a_password_is_told_from_a_server_that_is_away(
    behind_a_proxy: tuple[Sandbox, str, list[str]], tmp_path: Path
) -> None:
    sandbox, place, _ = behind_a_proxy
    script = f"export HTTPS_PROXY=http://{place} SSL_CERT_FILE=company-ca.pem; processmaker doctor | grep failed"
    printed = shell(script, tmp_path, "https://pm.example.com", sandbox.token())
    assert "no connection to https://pm.example.com: 407 Proxy Authentication Required" in printed
    assert "Look at the proxy, or add pm.example.com to NO_PROXY" in printed


# --- logging --------------------------------------------------------------------------------------------------------


def test_an_applications_log_says_what_the_client_does_and_for_which_start(tmp_path: Path) -> None:
    sandbox = Sandbox()
    sandbox.fail_next("answer lost", on="POST /process_events")
    (program,) = recipe("Logging")
    (tmp_path / "placing.py").write_text(program.code, encoding="utf-8")
    with sandbox.serve() as url:
        printed = shell(f"{sys.executable} placing.py", tmp_path, url, sandbox.token())
    assert program.output
    assert agrees(program.output, printed), printed
    assert sandbox.token() not in printed
