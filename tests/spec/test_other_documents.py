"""The wrapper over clients that were generated from the documents of other versions.

`documents` holds extracts, without any prose, of what three versions say about the operations that are kept.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from openapi import generate, trim

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = Path(__file__).parents[1] / "documents"
VERSIONS = sorted(path.stem for path in DOCUMENTS.glob("*.yaml"))
RULES = yaml.safe_load(trim.RULES.read_text(encoding="utf-8"))

EVERYTHING = """
import sys
from pathlib import Path

import processmaker_api
from processmaker import ProcessMaker
from processmaker.sandbox import Clock, Sandbox

assert Path(processmaker_api.__file__).parents[1] == Path(sys.argv[1]), processmaker_api.__file__
sandbox = Sandbox(clock=Clock())


def client(user):
    return ProcessMaker(sandbox.url, token=sandbox.token(user), transport=sandbox.transport())


with client("integration.bot") as pm:
    assert "Leave Request" in [process.name for process in pm.processes()]
    request = pm.start("Leave Request", {"days": 3}, idempotency_key="leave-1")
    assert (request.created, request.name, request.case_number) == (True, "Leave Request", 1)
    assert pm.start("Leave Request", {"days": 3}, idempotency_key="leave-1").id == request.id
    sandbox.fail_next("answer lost", on="POST /process_events")
    assert pm.start(4, {}, event="node_1", idempotency_key="lost").status == "COMPLETED"
    assert pm.get(request).data == {"days": 3}
    (task,) = pm.tasks(request)
    assert task.due_at is not None
    assert pm.complete(task, {"approved": True}).status == "CLOSED"
    assert pm.wait(request).data == {"days": 3, "approved": True}
    assert [each.id for each in pm.requests(order_direction="desc")] == [2, 1]
    assert len(sandbox.requests) == 2
    claimable = pm.start("Claim", {})
    (task,) = pm.tasks()
    assert task.request_id == claimable.id
    assert pm.claim(task).user_id is not None
    calling = pm.start("Calls and Waits", {})
    assert pm.children(calling)
    assert pm.count_requests(process="Claim") == 1
with client("admin") as admin:
    assert admin.cancel(admin.start("Two Steps")).status == "CANCELED"
"""
"""Uses each operation of the wrapper once."""


def run(*command: object, **environment: object) -> str:
    """What a command prints, if it succeeds within its time."""
    done = subprocess.run(
        list(map(str, command)),
        cwd=ROOT,
        env=os.environ | {name: str(value) for name, value in environment.items()},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("version", VERSIONS)
def test_the_wrapper_fits_the_documents_of_other_versions(version: str, tmp_path: Path) -> None:
    document = trim.trim(trim.read(str(DOCUMENTS / f"{version}.yaml")), RULES)[0]
    (tmp_path / "document.yaml").write_text(trim.dump(document), encoding="utf-8")
    generate.generate(tmp_path / "processmaker_api", tmp_path / "document.yaml")
    run(sys.executable, "-c", EVERYTHING, tmp_path, PYTHONPATH=tmp_path)
