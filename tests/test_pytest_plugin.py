"""The fixture `processmaker_sandbox`, as users' own tests get it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from processmaker import ProcessMaker, RequestFailed, ServiceUnavailable, StartOutcomeUnknown
from processmaker.sandbox import SandboxFixture


def test_its_clients_start_requests_that_it_shows(processmaker_sandbox: SandboxFixture) -> None:
    processmaker_sandbox.add_process("Order", tasks=["Approve"])
    request = processmaker_sandbox.pm.start("Order", {"amount": 12.5})
    (started,) = processmaker_sandbox.started("Order")
    assert (started.id, started.data) == (request.id, {"amount": 12.5})

    async def again() -> int:
        return (await processmaker_sandbox.async_pm.start("Order")).id

    assert asyncio.run(again()) == request.id + 1


def test_a_lost_answer_costs_no_real_time(processmaker_sandbox: SandboxFixture) -> None:
    processmaker_sandbox.add_process("Order")
    processmaker_sandbox.fail_next("lost before", on="POST /process_events")
    began = time.monotonic()
    with pytest.raises(StartOutcomeUnknown):
        processmaker_sandbox.pm.start("Order", idempotency_key="order-1")
    assert time.monotonic() - began < 5
    assert processmaker_sandbox.started("Order") == []


def test_the_next_call_fails_as_chosen(processmaker_sandbox: SandboxFixture) -> None:
    processmaker_sandbox.fail_next(503, times=9)
    with pytest.raises(ServiceUnavailable):
        processmaker_sandbox.pm.start(4, event="node_1")


def test_requests_are_finished_and_failed_from_outside(processmaker_sandbox: SandboxFixture) -> None:
    pm = processmaker_sandbox.pm
    processmaker_sandbox.add_process("Order", tasks=["Approve"])
    first, second = pm.start("Order"), pm.start("Order")
    processmaker_sandbox.finish(first.id)
    processmaker_sandbox.fail(second.id, "No stock")
    assert pm.wait(first).status == "COMPLETED"
    with pytest.raises(RequestFailed, match="No stock"):
        pm.wait(second)


def test_its_url_is_a_real_socket(processmaker_sandbox: SandboxFixture) -> None:
    assert httpx.get(f"{processmaker_sandbox.url}/docs").is_success
    with ProcessMaker(processmaker_sandbox.url, token=processmaker_sandbox.token()) as pm:
        pm.start("Auto Approve")
    assert len(processmaker_sandbox.requests) == 1


def run_pytest(folder: Path, test: str) -> str:
    """What pytest prints of this test file in a project of its own."""
    (folder / "test_it.py").write_text(test)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return ran.stdout + ran.stderr


def test_it_is_there_without_an_import(tmp_path: Path) -> None:
    test = "def test_it(processmaker_sandbox):\n    assert processmaker_sandbox.pm.processes()\n"
    assert "1 passed" in run_pytest(tmp_path, test)


def test_unused_it_imports_nothing(tmp_path: Path) -> None:
    test = (
        "import sys\n\n\ndef test_it():\n"
        "    ours = [name for name in sys.modules if name.startswith('processmaker')]\n"
        "    assert sorted(ours) == ['processmaker', 'processmaker.pytest_plugin']\n"
        "    assert 'httpx' not in sys.modules\n"
    )
    assert "1 passed" in run_pytest(tmp_path, test)
