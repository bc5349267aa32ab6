"""A command as a curl command."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from command_line import Run
from processmaker.sandbox import Sandbox
from programs import need


@pytest.fixture
def shell(sandbox: Sandbox, environ: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """Runs a line in a shell where PROCESSMAKER_TOKEN is set; the sandbox listens. Returns the JSON that came back."""
    need("curl", "the pasted curl command")

    def paste(line: str) -> Any:
        done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True)
        return json.loads(done.stdout) if done.stdout else None

    with sandbox.serve() as url:
        environ.setenv("PROCESSMAKER_URL", url)
        yield paste


def test_curl_prints_the_request_and_sends_nothing(run: Run, sandbox: Sandbox) -> None:
    ended = run("start", 2, "days:=3", "--event", "node_1", "--curl")
    assert ended.out == (
        "curl --fail-with-body -sS -X POST 'https://pm.example.com/api/1.0/process_events/2?event=node_1' "
        "-H \"Authorization: Bearer $PROCESSMAKER_TOKEN\" -H 'Accept: application/json' "
        "-H 'Content-Type: application/json' --data-binary '{\"days\":3}'\n"
    )
    assert sandbox.calls == []


def test_a_pasted_curl_command_does_the_same(
    run: Run, sandbox: Sandbox, shell: Callable[[str], Any], environ: pytest.MonkeyPatch
) -> None:
    data = {"text": 'it\'s "$HOME" `id` \\ \n Zoë', "@": [1, None, {"a": True}]}
    line = run("start", 2, "--event", "node_1", "--data", json.dumps(data), "--idempotency-key", "k'1", "--curl").out
    assert shell(line)["id"] == 1
    assert sandbox.request(1).data.items() >= {**data, "_idempotency_key": "k'1"}.items()
    assert {process["id"] for process in shell(run("processes", "--curl").out)["data"]} >= {2, 4}
    assert shell(run("show", 1, "--curl").out)["data"]["text"] == data["text"]
    assert shell(run("tasks", 1, "--curl").out)["active_tasks"][0]["id"] == 2
    assert shell(run("complete", 2, "approved:=true", "--curl").out)["status"] == "CLOSED"
    shell(run("start", 2, "--event", "node_1", "--curl").out)
    environ.setenv("PROCESSMAKER_TOKEN", sandbox.token("admin"))
    assert shell(run("cancel", 2, "--curl").out) is None
    assert [request.status for request in sandbox.requests] == ["COMPLETED", "CANCELED"]


@pytest.mark.parametrize("words", [["2"], ["Leave Request", "--event", "node_1"], ["2", "--event", "Ask for leave"]])
def test_curl_cannot_look_up_what_a_start_leaves_open(run: Run, sandbox: Sandbox, words: list[str]) -> None:
    ended = run("start", *words, "--curl")
    assert (ended.code, ended.out) == (2, "")
    assert "give the process's id, and --event with the node id" in ended.err
    assert sandbox.calls == []


def test_curl_needs_no_token_and_checks_the_data_like_a_start(run: Run, environ: pytest.MonkeyPatch) -> None:
    environ.delenv("PROCESSMAKER_TOKEN")
    assert run("show", 1, "--curl").out.startswith("curl ")
    ended = run("start", 2, "who= Mia ", "--event", "node_1", "--curl")
    assert "warning: The server will alter this data" in ended.err
    assert run("start", 2, "_user=x", "--event", "node_1", "--curl").code == 2
