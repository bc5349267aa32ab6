"""The fixture `processmaker_sandbox`, as users' own tests get it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from processmaker import (
    AsyncProcessMaker,
    ConfigurationError,
    PasswordGrant,
    ProcessMaker,
    RequestCanceled,
    RequestFailed,
    ServerError,
    SQLiteJournal,
    StartOutcomeUnknown,
)
from processmaker.sandbox import PASSWORD_CLIENT, SandboxFixture


def test_its_clients_start_requests_that_it_shows(processmaker_sandbox: SandboxFixture) -> None:
    processmaker_sandbox.add_process("Order", tasks=["Approve"])
    request = processmaker_sandbox.pm.start("Order", {"amount": 12.5})
    (started,) = processmaker_sandbox.started("Order")
    assert (started.id, started.data, started.event) == (request.id, {"amount": 12.5}, "node_1")

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
    with pytest.raises(ServerError):
        processmaker_sandbox.pm.start(4, event="node_1")


def test_requests_are_finished_and_failed_from_outside(processmaker_sandbox: SandboxFixture) -> None:
    pm = processmaker_sandbox.pm
    processmaker_sandbox.add_process("Order", tasks=["Approve"])
    first, second = pm.start("Order"), pm.start("Order")
    processmaker_sandbox.finish(first)
    processmaker_sandbox.fail(second.id, "No stock")
    assert pm.wait(first).status == "COMPLETED"
    with pytest.raises(RequestFailed, match="No stock"):
        pm.wait(second)


def test_what_was_started_is_shown_as_it_was_sent_with_its_key_beside_it(processmaker_sandbox: SandboxFixture) -> None:
    data = {"note": " <b>x</b> ", "prices": {"17": 1}}
    processmaker_sandbox.pm.start(4, data, event="node_1", idempotency_key="order-1", on_altered_data="ignore")
    processmaker_sandbox.pm.start(4, event="node_1")
    first, second = processmaker_sandbox.started("Auto Approve")
    assert (first.data, first.idempotency_key, first.user) == (data, "order-1", "integration.bot")
    fingerprint = first.request.data["_idempotency_fingerprint"]
    hidden = {"_idempotency_key": "order-1", "_idempotency_fingerprint": fingerprint}
    assert first.request.data == {"note": "x", "prices": {"17": 1}, **hidden}
    assert (second.data, second.idempotency_key, second.status) == ({}, None, "COMPLETED")


def test_what_happens_later_happens_in_the_sandboxs_time(processmaker_sandbox: SandboxFixture) -> None:
    sandbox, pm = processmaker_sandbox, processmaker_sandbox.pm
    sandbox.add_process("Order", tasks=["Approve", "Send"])
    finished, failed, canceled, completed = (pm.start("Order") for _ in range(4))
    began = sandbox.clock.now()
    sandbox.finish(finished.id, after=30)
    sandbox.fail(failed.id, "No stock", after=60)
    sandbox.cancel(canceled.id, after=90)
    sandbox.complete(completed.id, {"approved": True}, after=120)
    sandbox.complete(completed.id, after=150)
    assert {request.status for request in sandbox.requests} == {"ACTIVE"}

    assert pm.wait(finished).status == "COMPLETED"
    assert 30 <= (sandbox.clock.now() - began).total_seconds() < 45
    completed_at = sandbox.request(finished.id).completed_at
    assert completed_at is not None
    assert timedelta() <= completed_at - began - timedelta(seconds=30) < timedelta(seconds=0.5), "when it was due"
    with pytest.raises(RequestFailed, match="No stock"):
        pm.wait(failed)
    with pytest.raises(RequestCanceled):
        pm.wait(canceled)
    seen = [[task.name for task in progress.tasks] for progress in pm.watch(completed)]
    assert seen == [["Approve"], ["Send"], []]
    assert pm.get(completed).data == {"approved": True}


def test_what_is_over_by_then_stays_as_it_is(processmaker_sandbox: SandboxFixture) -> None:
    sandbox = processmaker_sandbox
    request = sandbox.pm.start(2, event="node_1")
    sandbox.cancel(request.id, after=10)
    sandbox.finish(request.id)
    sandbox.clock.advance(20)
    assert sandbox.request(request.id).status == "COMPLETED"
    with pytest.raises(LookupError, match="Request 1 has no open task: it is COMPLETED"):
        sandbox.complete(request)


@pytest.mark.parametrize("address", ["environment", "url"])
def test_a_client_that_the_code_under_test_makes_lives_in_its_time(
    processmaker_sandbox: SandboxFixture, address: str
) -> None:
    sandbox = processmaker_sandbox
    sandbox.fail_next("answer lost", on="POST")
    sandbox.fail_next(503, on="GET", retry_after=20)
    began, really = sandbox.clock.now(), time.monotonic()
    if address == "environment":
        pm = ProcessMaker.from_env()
    else:
        pm = ProcessMaker(f"{sandbox.url}/api/1.0/", token=sandbox.token())
    with pm:
        request = pm.start(2, event="node_1", idempotency_key="k")
        sandbox.finish(request.id, after=200)
        assert pm.wait(request).finished
    assert (sandbox.clock.now() - began).total_seconds() > 200
    assert time.monotonic() - really < 20

    async def signs_in() -> list[str]:
        grant = PasswordGrant(*PASSWORD_CLIENT, "mail.user", "mail-password")
        async with AsyncProcessMaker.from_env(auth=grant) as pm:
            return [process.name for process in await pm.processes()]

    assert asyncio.run(signs_in()) == ["Mail Approval"]


def test_a_journal_counts_in_its_time_if_it_is_told_so(processmaker_sandbox: SandboxFixture, tmp_path: Path) -> None:
    processmaker_sandbox.fail_next("lost before", on="POST")
    really = time.monotonic()
    with SQLiteJournal(tmp_path / "starts.db") as journal, ProcessMaker.from_env(journal=journal) as pm:
        journal.clock = processmaker_sandbox.clock
        with pytest.raises(StartOutcomeUnknown):
            pm.start("Auto Approve", idempotency_key="k")
        with pytest.raises(StartOutcomeUnknown):
            pm.start("Auto Approve", idempotency_key="k")
        processmaker_sandbox.clock.advance(journal.lease)
        assert pm.start("Auto Approve", idempotency_key="k").created
    assert time.monotonic() - really < 20


def test_other_users_have_clients_too(processmaker_sandbox: SandboxFixture) -> None:
    assert "Payroll" in [process.name for process in processmaker_sandbox.client("admin").processes()]
    assert asyncio.run(processmaker_sandbox.async_client(user="mail.user").processes())[0].name == "Mail Approval"
    assert processmaker_sandbox.client(retries=None) is not processmaker_sandbox.pm
    with pytest.raises(LookupError, match=r"no user 'bot'; there are: admin, integration\.bot, mail\.user, reviewer"):
        processmaker_sandbox.client(user="bot")


def test_without_a_loop_of_asyncio_an_async_client_says_so(processmaker_sandbox: SandboxFixture) -> None:
    with pytest.raises(ConfigurationError, match=r"needs a running asyncio loop.* under trio, use ProcessMaker"):
        processmaker_sandbox.async_pm.processes().send(None)


def test_its_url_is_a_real_socket(processmaker_sandbox: SandboxFixture) -> None:
    url = processmaker_sandbox.url
    assert httpx.get(f"{url}/screens").status_code == 404
    headers = {"Authorization": f"Bearer {processmaker_sandbox.token()}"}
    assert httpx.post(f"{url}/api/1.0/process_events/4?event=node_1", headers=headers).status_code == 201
    assert len(processmaker_sandbox.requests) == 1


def run_pytest(folder: Path, test: str, *options: str) -> str:
    """What pytest prints of this test file in a project of its own."""
    (folder / "test_it.py").write_text(test)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, str(folder)]
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
    # These plugins import httpx themselves.
    others = ["-p", "no:respx", "-p", "no:pytest_httpx"]
    assert "1 passed" in run_pytest(tmp_path, test, *others)


def test_a_fault_that_befell_no_call_fails_its_test(tmp_path: Path) -> None:
    test = (
        "def test_unused(processmaker_sandbox):\n"
        "    processmaker_sandbox.fail_next('answer lost', on='POST /process_events')\n"
        "    assert processmaker_sandbox.pm.processes()\n"
        "def test_allowed(processmaker_sandbox):\n"
        "    processmaker_sandbox.check_faults = False\n"
        "    processmaker_sandbox.fail_next(503, on='POST')\n"
        "def test_taken_back(processmaker_sandbox):\n"
        "    processmaker_sandbox.fail_next(503, on='POST')\n"
        "    processmaker_sandbox.behave()\n"
        "def test_used(processmaker_sandbox):\n"
        "    processmaker_sandbox.fail_next(503, times=2)\n"
        "    assert processmaker_sandbox.pm.processes()\n"
    )
    said = run_pytest(tmp_path, test)
    assert "4 passed, 1 error" in said
    assert "no call met the fault that was asked for with fail_next('answer lost', on='POST /process_events')" in said


def test_the_environment_is_set_for_its_test_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROCESSMAKER_URL", "https://before.example.com")
    monkeypatch.delenv("PROCESSMAKER_TOKEN", raising=False)
    test = (
        "import os\nimport pytest\nfrom processmaker import ConfigurationError, ProcessMaker\n"
        "def test_within(processmaker_sandbox):\n"
        "    ProcessMaker.from_env().start('Auto Approve')\n"
        "    assert len(processmaker_sandbox.requests) == 1\n"
        "def test_after():\n"
        "    assert os.environ['PROCESSMAKER_URL'] == 'https://before.example.com'\n"
        "    with pytest.raises(ConfigurationError, match='PROCESSMAKER_TOKEN is not set'):\n"
        "        ProcessMaker.from_env()\n"
    )
    assert "2 passed" in run_pytest(tmp_path, test)
