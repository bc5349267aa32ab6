"""mypy names the line of the wrapper if the document renames a parameter or a property that the line uses."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from openapi import generate, trim

ROOT = Path(__file__).resolve().parents[2]
WRAPPER = ROOT / "wrapper" / "processmaker"


def rename_event(document: Any) -> None:
    (parameter,) = (
        one for one in operation(document, "post", "/process_events/{process_id}") if one["name"] == "event"
    )
    parameter["name"] = "start_event"


def rename_pmql(document: Any) -> None:
    (parameter,) = (one for one in operation(document, "get", "/requests") if one["name"] == "pmql")
    parameter["name"] = "query"


def rename_status_of_a_task(document: Any) -> None:
    body = document["paths"]["/tasks/{task_id}"]["put"]["requestBody"]["content"]["application/json"]["schema"]
    body["properties"]["state"] = body["properties"].pop("status")


def rename_case_number(document: Any) -> None:
    properties = document["components"]["schemas"]["processRequest"]["properties"]
    properties["number_of_the_case"] = properties.pop("case_number")


def operation(document: Any, method: str, path: str) -> Any:
    return document["paths"][path][method]["parameters"]


# Each change, with a pattern of the lines of the wrapper that no longer fit, and what mypy says of them.
RENAMES: list[tuple[Callable[[Any], None], str, str]] = [
    (rename_event, r"trigger_start_event\.build_request\(", r'"event" for "build_request"'),
    (rename_pmql, r"get_processes_requests\.build_request\(pmql=", r'"pmql" for "build_request"'),
    (rename_case_number, r"\bsaid\.case_number", r'"ProcessRequest" has no attribute "case_number"'),
    (rename_status_of_a_task, r"UpdateTaskBody\(status=", r'"status" for "UpdateTaskBody"'),
]


def lines_with(pattern: str) -> set[str]:
    """The lines of the wrapper in which the pattern is found, such as `once/start.py:7`."""
    return {
        f"{path.relative_to(WRAPPER).as_posix()}:{number}"
        for path in WRAPPER.rglob("*.py")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(pattern, line)
    }


@pytest.mark.proof
def test_mypy_names_the_lines_of_the_wrapper_that_use_what_was_renamed(tmp_path: Path) -> None:
    document = yaml.safe_load((ROOT / "openapi" / "processmaker.yaml").read_text(encoding="utf-8"))
    for rename, _, _ in RENAMES:
        rename(document)
    (tmp_path / "document.yaml").write_text(trim.dump(document), encoding="utf-8")
    generate.generate(tmp_path / "processmaker_api", tmp_path / "document.yaml")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={tmp_path / 'cache'}", str(WRAPPER)],
        cwd=ROOT,
        env=os.environ | {"MYPYPATH": os.pathsep.join([str(tmp_path), str(WRAPPER.parent)])},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    output = done.stdout.replace("\\", "/")
    for _, used, words in RENAMES:
        named = set(re.findall(rf"^wrapper/processmaker/(.+:\d+): error: .*{words}", output, re.MULTILINE))
        assert lines_with(used)
        assert lines_with(used) <= named, done.stdout
