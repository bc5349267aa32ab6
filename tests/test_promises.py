"""Each promise of promises.md has a test that is there."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
LINES = [
    (number, line)
    for number, line in enumerate((TESTS / "promises.md").read_text(encoding="utf-8").splitlines(), 1)
    if line.startswith("| ") and not line.startswith("| promise ")
]


def names_by_file() -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for file in TESTS.rglob("*.py"):
        if "node_modules" not in file.parts:
            found[file.stem] |= set(re.findall(r"def test_(\w+)", file.read_text(encoding="utf-8")))
    return found


NAMES = names_by_file()
SHORT = {"many": "test_cli_many", "files": "test_cli_many_files", "killed": "test_cli_many_killed"}
"""What the section about start-many calls its files."""


@pytest.mark.parametrize(("number", "line"), LINES)
def test_a_promise_names_tests_that_are_there(number: int, line: str) -> None:
    promise, said = line.strip("| ").rsplit(" | ", 1)
    if said.startswith("gone;"):
        return
    for short, file in SHORT.items():
        said = re.sub(rf"(^|; ){short}:", rf"\1{file}:", said)
    files = re.findall(r"\b(test_\w+|contract|command_line)\b(?=[:;, .]|$|\()", said)
    assert files, f"line {number} names no test: {promise}"
    for file in files:
        assert NAMES[file.removesuffix(".py")] or file.startswith("command_line"), f"line {number}: no {file}.py"
    every = set().union(*NAMES.values())
    for name in re.findall(r"`([a-z0-9_…]+)`", said):
        pattern = re.compile(".*".join(map(re.escape, name.split("…"))))
        assert any(pattern.search(test) for test in every), f"line {number}: no test {name}"
