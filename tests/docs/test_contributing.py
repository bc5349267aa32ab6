"""CONTRIBUTING.md says what is so: its targets and files exist, and its picture is that of the code."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import yaml
from pages import blocks_of, commands_of, targets
from test_rooms import MAY_IMPORT

from openapi.regenerate import steps

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\t@?(.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def picture(first_node: str) -> str:
    """The Mermaid picture in which this node comes first."""
    pictures = [block.code for block in blocks_of(TEXT) if block.language == "mermaid"]
    (found,) = [code for code in pictures if code.splitlines()[1].strip().startswith(f"{first_node}[")]
    return found


def arrows(code: str) -> set[tuple[str, str]]:
    named = re.sub(r'\["[^"]*"\]|\|[^|]*\|', "", code)
    found = set()
    for line in named.splitlines()[1:]:
        nodes = [node.strip() for node in line.split("-->")]
        found |= set(pairwise(nodes))
    return found


def test_the_targets_that_are_named_exist() -> None:
    named = set(re.findall(r"`make ([a-z-]+)", TEXT))
    for block in blocks_of(TEXT):
        if block.language == "console":
            named |= {command.split()[1] for command, _ in commands_of(block.code) if command.startswith("make ")}
    assert len(named) > 8
    assert named <= set(targets())


def test_the_picture_of_the_rooms_has_the_arrows_of_the_code() -> None:
    drawn = arrows(picture("cli"))
    names = {"(public)": "public", "_client": "clients"}
    allowed = {
        (names.get(room, room), names.get(below, below)) for room, rooms in MAY_IMPORT.items() for below in rooms
    }
    rooms = {room for arrow in drawn for room in arrow}
    # The package's own names are those of the clients and of what the clients use.
    assert drawn - {("public", "clients")} <= allowed
    reached = {room: rooms_below(room, drawn) for room in rooms}
    assert {(room, other) for room, other in allowed if {room, other} <= rooms and other not in reached[room]} == set()


def rooms_below(room: str, drawn: set[tuple[str, str]]) -> set[str]:
    """The rooms that arrows lead to from a room, at once or by way of others."""
    direct = {to for start, to in drawn if start == room}
    return direct.union(*(rooms_below(other, drawn) for other in direct))


def test_the_picture_of_regenerate_has_its_steps_in_order() -> None:
    chain = dict(arrows(picture("official")) - {("rules", "trim")})
    step, drawn = "trim", []
    while step in chain:
        drawn.append(step)
        step = chain[step]
    without_node = list(steps("document.yaml"))
    assert [name for name in drawn if name != "postman" or name in without_node] == without_node


def test_the_hooks_are_commands_of_the_makefile() -> None:
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert repository["repo"] == "local"
    entries = [hook["entry"].replace(".venv/bin/", "$(BIN)/") for hook in repository["hooks"]]
    assert len(entries) == 4
    assert [entry for entry in entries if entry not in COMMANDS] == []
