"""The programs in wrapper/examples, each run as its docstring says, against the sandbox behind a socket."""

from __future__ import annotations

import ast
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pages import recipe
from processmaker.sandbox import Sandbox
from redis_server import RedisServer

EXAMPLES = Path(__file__).parents[2] / "wrapper" / "examples"
PROGRAMS = sorted(EXAMPLES.glob("*.py"))
SECONDS = 60


def command_of(name: str, *arguments: str) -> list[str]:
    """The command in the docstring of an example, with other arguments if any are given."""
    text = str(ast.get_docstring(ast.parse((EXAMPLES / name).read_text(encoding="utf-8"))))
    words = text.split("\n")[2].split()
    if words[0] == "python":
        return [sys.executable, str(EXAMPLES / words[1]), *(arguments or words[2:])]
    return [sys.executable, "-m", words[0], *arguments, *words[1:]]


class Running:
    """An example that runs until the end of the `with` block; its children end with it."""

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str]) -> None:
        self._file = folder / "output"
        paths = os.pathsep.join([str(EXAMPLES), os.environ.get("PYTHONPATH", "")])
        with self._file.open("w") as output:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env={**os.environ, "PYTHONPATH": paths, **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self._file.read_text(encoding="utf-8")

    def wait_for(self, pattern: str) -> str:
        """Return what it printed that matches the pattern; fail if it ends before, or after a minute."""
        end = time.monotonic() + SECONDS
        while not (found := re.search(pattern, self.output)):
            assert self.process.poll() is None, self.output
            assert time.monotonic() < end, self.output
            time.sleep(0.02)
        return found[1]

    def end(self) -> tuple[int, str]:
        """Wait for it, and return its exit status and its output."""
        return self.process.wait(SECONDS), self.output

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@contextmanager
def run_example(name: str, sandbox: Sandbox, folder: Path, *arguments: str, **environment: str) -> Iterator[Running]:
    with sandbox.serve() as url:
        settings = {"PROCESSMAKER_URL": url, "PROCESSMAKER_TOKEN": sandbox.token(), **environment}
        with Running(command_of(name, *arguments), folder, settings) as running:
            yield running


def keys_of(sandbox: Sandbox) -> Counter[str]:
    return Counter(str(request.data["_idempotency_key"]) for request in sandbox.requests)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_an_example_is_short_and_says_how_it_is_run(program: Path) -> None:
    text = program.read_text(encoding="utf-8")
    assert text.count("\n") <= 60
    docstring = str(ast.get_docstring(ast.parse(text)))
    assert program.name == "gunicorn_conf.py" or re.search(rf"\n\n.*\b{program.stem}\b", docstring)


def test_every_example_is_run_by_a_test_of_this_file() -> None:
    here = Path(__file__).read_text(encoding="utf-8")
    assert len(PROGRAMS) >= 8
    assert [program.name for program in PROGRAMS if f'"{program.name}"' not in here] == []


@pytest.mark.parametrize(
    ("title", "name"),
    [("Celery", "celery_redis"), ("FastAPI", "fastapi_app"), ("A pre-forking web server", "gunicorn_app")],
)
def test_a_recipe_of_the_guide_is_the_example(title: str, name: str) -> None:
    assert recipe(title)[0].code == (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("fault", "status", "said"),
    [
        (None, 0, "Request 1 is COMPLETED, made by this start: True"),
        ("answer lost", 0, "Request 1 is COMPLETED, made by this start: None"),
        ("engine error", 1, "Request 1 exists, but its process failed"),
        ("token expired", 3, "Started: False; the same call may work later: False."),
    ],
)
def test_a_first_start_says_whether_the_request_exists(fault: Any, status: int, said: str, tmp_path: Path) -> None:
    sandbox = Sandbox()
    if fault == "engine error":
        sandbox = Sandbox(processes=())
        sandbox.add_process("Auto Approve", fails_with="No such script")
    elif fault:
        sandbox.fail_next(fault, on="POST /process_events")
    with run_example("first_start.py", sandbox, tmp_path) as running:
        ended, output = running.end()
    assert any(line.startswith(said) for line in output.splitlines()), output  # the log is there, too
    assert ended == status


def test_a_csv_file_is_imported_once_and_bad_rows_are_named(tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text("order,amount\na,12.5\nb,8\nc,nan\n", encoding="utf-8")
    sandbox = Sandbox()
    for ended in ("2 made, 1 failed", "2 found, 1 failed"):
        with run_example("csv_import.py", sandbox, tmp_path) as running:
            status, output = running.end()
        assert status == 1
        assert output.splitlines()[-1] == ended
        assert "\nc: started: False; " in f"\n{output}"
    assert keys_of(sandbox) == {"a": 1, "b": 1}


def test_a_program_waits_for_a_person_and_uses_what_they_entered(tmp_path: Path) -> None:
    sandbox = Sandbox()
    with run_example("wait_for_person.py", sandbox, tmp_path) as running:
        running.wait_for("(waits for user)")
        (request,) = sandbox.requests
        sandbox.complete(request.id, {"approved": True})
        status, output = running.end()
    assert (status, output.splitlines()[-1]) == (0, "approved")
    with run_example("wait_for_person.py", sandbox, tmp_path, "another", "0.1") as running:
        status, output = running.end()
    assert (status, output.splitlines()[-1]) == (2, "Nobody has completed it yet. Run this again to go on waiting.")


def test_a_webhook_that_arrives_several_times_starts_one_request(tmp_path: Path) -> None:
    sandbox = Sandbox(start_takes=0.1)
    sandbox.fail_next("answer lost", on="POST /process_events")
    with run_example("webhook.py", sandbox, tmp_path, "0") as running:
        url = running.wait_for(r"Listening at: (\S+)")
        with httpx.Client(timeout=SECONDS) as client, ThreadPoolExecutor(4) as pool:
            event = {"id": "evt_1", "amount": 12.5}
            answers = list(pool.map(lambda _: client.post(url, json=event).status_code, range(4)))
            assert answers == [204] * 4
            assert client.post(url, json={"id": 'evt"1', "amount": 1}).status_code == 422
            assert client.post(url, json={"id": "evt_1", "amount": 8}).status_code == 500  # the key has other data
    assert keys_of(sandbox) == {"shop-evt_1": 1}


def test_the_example_for_tests_passes_with_pytest(tmp_path: Path) -> None:
    command = command_of("test_with_fixture.py")
    command = [*command[:-1], "-p", "no:cacheprovider", str(EXAMPLES / command[-1])]
    with Running(command, tmp_path, {}) as running:
        status, output = running.end()
    assert status == 0, output
    assert "4 passed" in output


@pytest.mark.proof
def test_a_fastapi_application_starts_each_order_once(tmp_path: Path) -> None:
    sandbox = Sandbox(start_takes=0.1)
    with run_example("fastapi_app.py", sandbox, tmp_path, "--port", "0") as running:
        url = running.wait_for(r"running on (http://127\.0\.0\.1:[0-9]+)")
        running.wait_for(r"(Application startup complete)")
        put_each_order_several_times(f"{url}/orders")
    assert keys_of(sandbox) == {"order-0": 1, "order-1": 1}


@pytest.mark.proof
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_gunicorns_workers_start_each_order_once(tmp_path: Path) -> None:
    """Its settings are those of "gunicorn_conf.py"."""
    sandbox = Sandbox(start_takes=0.1)
    options = ("--bind", "127.0.0.1:0", "--no-control-socket")
    (tmp_path / "gunicorn_conf.py").write_text((EXAMPLES / "gunicorn_conf.py").read_text(encoding="utf-8"))
    with run_example("gunicorn_app.py", sandbox, tmp_path, *options) as running:
        put_each_order_several_times(running.wait_for(r"Listening at: (http://127\.0\.0\.1:[0-9]+)"))
    assert keys_of(sandbox) == {"order-0": 1, "order-1": 1}


def put_each_order_several_times(url: str) -> None:
    with httpx.Client(timeout=SECONDS) as client, ThreadPoolExecutor(4) as pool:
        numbers = [0, 1, 0, 1, 0, 1, 0, 1]
        answers = list(pool.map(lambda number: client.put(f"{url}/{number}", json={"amount": 12.5}), numbers))
    assert [answer.status_code for answer in answers] == [200] * 8
    assert len({answer.json()["request"] for answer in answers}) == 2


@pytest.mark.proof
def test_celerys_workers_start_each_order_once(tmp_path: Path) -> None:
    sandbox = Sandbox(start_takes=0.1)
    sandbox.fail_next("answer lost", on="POST /process_events")
    placing = "import celery_redis as a; jobs = [a.place_order.delay(n % 2, 12.5) for n in range(6)]; "
    placing += "print(len({job.get(timeout=50) for job in jobs}), 'Requests')"
    with (
        RedisServer(tmp_path, what="the Celery example") as redis,
        run_example("celery_redis.py", sandbox, tmp_path, REDIS_URL=redis.url) as worker,
    ):
        (tmp_path / "caller").mkdir()
        with Running([sys.executable, "-c", placing], tmp_path / "caller", {"REDIS_URL": redis.url}) as caller:
            status, output = caller.end()
    assert status == 0, output + worker.output
    assert output == "2 Requests\n"
    assert keys_of(sandbox) == {"order-0": 1, "order-1": 1}
