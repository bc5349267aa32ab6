"""The Celery recipe, with real workers that are killed in the middle of starts."""

from __future__ import annotations

import importlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from pages import recipe
from processmaker import StartOutcomeUnknown
from processmaker.sandbox import Sandbox
from redis_server import RedisServer

JOBS = 12

# Celery's own call of redis-py, as it keeps a result.
pytestmark = [
    pytest.mark.proof,
    pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning"),
]


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    """A broker of this test's own: nobody else's jobs are in it."""
    with RedisServer(tmp_path, what="the Celery recipe") as server:
        yield server.url


@pytest.fixture
def app(redis_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """The recipe's module, of this broker; it is in `tmp_path`."""
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("VISIBILITY_TIMEOUT", "3")
    (program,) = recipe("Celery")
    (tmp_path / "celery_app.py").write_text(program.code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("celery_app")
    yield module
    module.app.close()
    del sys.modules["celery_app"]


class Worker:
    """A Celery worker with two child processes, a group of its own, so that all of it can be killed."""

    def __init__(self, folder: Path, name: str, url: str, token: str) -> None:
        self.log = folder / f"{name}.log"
        settings = {"PROCESSMAKER_URL": url, "PROCESSMAKER_TOKEN": token, "STARTS_LEASE": "3"}
        options = ["--concurrency", "2", "--without-gossip", "--without-mingle", "--hostname", f"{name}@localhost"]
        with self.log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "celery", "--app", "celery_app", "worker", *options, "--loglevel", "WARNING"],
                cwd=folder,
                env={**os.environ, **settings, "PYTHONPATH": str(folder)},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self) -> None:
        """SIGKILL to the worker and its children."""
        if self._process.returncode is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def kill_a_child(self, chance: random.Random) -> bool:
        """SIGKILL to one of its children only, which the worker notices."""
        listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True)
        pairs = [tuple(map(int, line.split())) for line in listed.stdout.splitlines()]
        children = [pid for pid, parent in pairs if parent == self._process.pid]
        if children:
            os.kill(chance.choice(children), signal.SIGKILL)
        return bool(children)


@contextmanager
def workers(folder: Path, url: str, sandbox: Sandbox, *names: str) -> Iterator[dict[str, Worker]]:
    running: dict[str, Worker] = {}
    with ExitStack() as stack:

        @stack.callback
        def kill_all() -> None:
            for worker in running.values():
                worker.kill()

        running.update({name: Worker(folder, name, url, sandbox.token()) for name in names})
        yield running


def wait_for(what: str, true: Any, running: dict[str, Worker], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not true():
        logs = "\n".join(worker.log.read_text() for worker in running.values())
        assert time.monotonic() < end, f"{what}: not within {seconds} s\n{logs}"
        time.sleep(0.05)


def test_jobs_whose_workers_are_killed_in_the_middle_of_starts_make_one_request_each(tmp_path: Path, app: Any) -> None:
    # The server is still at work on a start when its job comes back: only the journal knows of it then.
    chance, sandbox = random.Random(1), Sandbox(start_takes=1.5)
    sandbox.misbehave(
        rate=0.15, kinds=["answer lost", "502 after", "503 after", "truncated", 429], retry_after=1, seed=7
    )

    def starts() -> int:
        return sum(call.path.startswith("/process_events") for call in sandbox.calls)

    with sandbox.serve() as url, workers(tmp_path, url, sandbox, "one", "two") as running:
        jobs = {f"order-{number}": app.place_order.delay(number, 12.5) for number in range(JOBS)}
        wait_for("the first start", starts, running)
        killed = 0
        for _ in range(3):
            time.sleep(chance.uniform(0.2, 0.5))
            killed += running["one"].kill_a_child(chance)
        assert not all(job.ready() for job in jobs.values())
        running["two"].kill()
        running["three"] = Worker(tmp_path, "three", url, sandbox.token())
        wait_for("every job", lambda: all(job.ready() for job in jobs.values()), running)
    assert killed
    ids = {str(request.data["_idempotency_key"]): request.id for request in sandbox.requests}
    assert Counter(str(request.data["_idempotency_key"]) for request in sandbox.requests) == Counter(list(jobs))
    assert {key: job.get() for key, job in jobs.items()} == ids


def test_an_error_survives_celerys_json_with_its_type_and_message(app: Any) -> None:
    error = StartOutcomeUnknown("It is not known.", process_id=4, event="node_1", idempotency_key="order-1")
    app.app.backend.store_result("job", error, "FAILURE")
    with pytest.raises(StartOutcomeUnknown, match=r"^It is not known\.$"):
        app.app.AsyncResult("job").get(timeout=10)


def test_an_error_survives_pickle_with_its_attributes(app: Any) -> None:
    app.app.conf.update(result_serializer="pickle", accept_content=["json", "pickle"])
    error = StartOutcomeUnknown("It is not known.", process_id=4, event="node_1", idempotency_key="order-1")
    app.app.backend.store_result("job", error, "FAILURE")
    with pytest.raises(StartOutcomeUnknown) as caught:
        app.app.AsyncResult("job").get(timeout=10)
    assert (caught.value.idempotency_key, caught.value.retryable) == ("order-1", True)
