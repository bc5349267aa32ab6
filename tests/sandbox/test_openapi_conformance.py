"""schemathesis calls the sandbox with what the document of 4.15.5, trimmed and corrected, allows, and some that it does
not; every answer must be one that the document describes. Which checks are left out, and why, is in schemathesis.toml.

The sandbox answers as 4.15.5 does, whichever document openapi/processmaker.yaml was made from.
"""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from processmaker.sandbox import Sandbox

from openapi import trim

HERE = Path(__file__).resolve().parents[1]
CONFIGURATION = HERE / "schemathesis.toml"
DOCUMENT = HERE / "documents" / "4.15.5.yaml"


def sandbox_with_requests() -> Sandbox:
    """A sandbox with Requests of every status, one of them somebody else's."""
    sandbox = Sandbox()
    starts = [(2, "integration.bot"), (4, "integration.bot"), (12, "integration.bot"), (2, "integration.bot")]
    with httpx.Client(transport=sandbox.transport(), base_url=f"{sandbox.url}/api/1.0") as client:
        for process_id, username in [*starts, (11, "mail.user")]:
            response = client.post(
                f"/process_events/{process_id}?event=node_1",
                json={"days": 3},
                headers={"Authorization": f"Bearer {sandbox.token(username)}"},
            )
            assert response.status_code == 201
    sandbox.cancel(4)
    assert {request.status for request in sandbox.requests} == {"ACTIVE", "COMPLETED", "CANCELED", "ERROR"}
    sandbox.calls.clear()
    return sandbox


def run_schemathesis(sandbox: Sandbox, below: str, username: str, scratch: Path, *arguments: str) -> None:
    """Fail with what schemathesis has to say, should it find a difference."""
    program = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGURATION)]
    document = scratch / "processmaker.yaml"
    assert trim.main([str(DOCUMENT), "-o", str(document)]) == 0
    with sandbox.serve() as url:
        run = subprocess.run(
            [*program, "run", str(document), "--url", url + below, "--no-color", *arguments],
            cwd=scratch,  # where it leaves its caches
            env={"PATH": os.environ["PATH"], "HOME": str(scratch), "SANDBOX_TOKEN": sandbox.token(username)},
            capture_output=True,
            text=True,
            encoding="utf-8",
        )
    if run.returncode:
        pytest.fail(run.stdout + run.stderr, pytrace=False)


def answers(sandbox: Sandbox) -> set[tuple[str, str, int | None]]:
    """Method, first part of the path and status of every call."""
    return {(call.method, call.path.strip("/").split("/")[0], call.status) for call in sandbox.calls}


@pytest.mark.parametrize(
    ("username", "only_this_user"),
    [
        ("integration.bot", {("GET", "requests", 403), ("PUT", "requests", 403), ("POST", "process_events", 403)}),
        ("admin", {("PUT", "requests", 204), ("POST", "process_events", 500)}),
    ],
)
def test_the_sandbox_answers_as_the_document_says(
    username: str, only_this_user: set[tuple[str, str, int | None]], tmp_path: Path
) -> None:
    sandbox = sandbox_with_requests()
    run_schemathesis(sandbox, "/api/1.0", username, tmp_path, "--exclude-path", "/oauth/token")
    assert answers(sandbox) >= only_this_user | {
        ("POST", "process_events", 201),
        ("POST", "process_events", 404),
        ("POST", "process_events", 405),
        ("GET", "start_processes", 200),
        ("GET", "start_processes", 401),
        ("GET", "requests", 200),
        ("GET", "requests", 400),
        ("GET", "requests", 404),
        ("GET", "tasks", 200),
        ("PUT", "tasks", 200),
        ("PUT", "tasks", 422),
    }


def test_the_sandbox_gives_out_tokens_as_the_document_says(tmp_path: Path) -> None:
    sandbox = Sandbox()
    # 80, for after 60 tries comes 429; it would come too early after the coverage phase.
    options = ["--include-path", "/oauth/token", "--phases", "fuzzing", "--max-examples", "80"]
    run_schemathesis(sandbox, "", "integration.bot", tmp_path, *options)
    assert answers(sandbox) >= {("POST", "oauth", status) for status in (200, 400, 401, 429)}
