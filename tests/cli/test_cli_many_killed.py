"""Thousands of rows, a network that loses answers, and a command that is killed again and again: each started once."""

from __future__ import annotations

import csv
import os
import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest
from command_line import COMMAND, running
from processmaker.sandbox import Sandbox

ROWS = int(os.environ.get("PROCESSMAKER_TEST_ROWS", "3000"))
"""Fewer, where a machine is in a hurry: PROCESSMAKER_TEST_ROWS=500."""

KILLS, RUNS = 10, 25

OPTIONS = "--event node_1 --key-column order --type n=int --concurrency 32 --timeout 10 --lease 3 --look-again-for 1"


@pytest.mark.proof
def test_rows_whose_command_is_killed_ten_times_are_each_started_once(tmp_path: Path) -> None:
    sandbox, chance = Sandbox(), random.Random(8)
    kinds = ["answer lost", "reset", "lost before", "refused", "502 after", "503 after", 502, 429, "truncated"]
    sandbox.misbehave(rate=0.02, kinds=kinds, retry_after=None, seed=8)  # type: ignore[arg-type]
    rows, results = tmp_path / "rows.csv", tmp_path / "results.csv"
    keys = [f"order-{number}" for number in range(ROWS)]
    rows.write_text("order,n\n" + "".join(f"{key},{number}\n" for number, key in enumerate(keys)))
    command = [*COMMAND, "start-many", "4", str(rows), *OPTIONS.split(), "--output", str(results)]
    killed = runs = 0
    code = -1
    with sandbox.serve() as url:
        environment = {**os.environ, "PROCESSMAKER_URL": url, "PROCESSMAKER_TOKEN": sandbox.token()}
        while code and runs < RUNS:
            runs += 1
            before = len(sandbox.requests)
            with running(command, 300, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as run:
                if killed < KILLS:
                    # At a random moment after a part of what is left was started.
                    enough = before + chance.randrange(1, (ROWS - before) // (KILLS - killed + 1) + 2)
                    while run.poll() is None and len(sandbox.requests) < enough:
                        time.sleep(0.01)
                    time.sleep(chance.uniform(0, 0.1))
                    run.send_signal(signal.SIGKILL)
                    killed += run.wait() == -signal.SIGKILL
                said, _ = run.communicate()
                code = run.returncode
    assert code == 0, said
    assert killed == KILLS
    assert Counter(request.data["_idempotency_key"] for request in sandbox.requests) == Counter(keys)
    with results.open(newline="") as file:
        told = {row["key"]: int(row["request_id"]) for row in csv.DictReader(file)}
    assert told == {request.data["_idempotency_key"]: request.id for request in sandbox.requests}
    assert all(request.data["n"] == int(request.data["_idempotency_key"][6:]) for request in sandbox.requests)
