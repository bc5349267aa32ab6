"""The pictures of the pages: each ```mermaid block is one that a code host can draw.

This is a check of the structure, not mermaid's own parser: a diagram type that we use, balanced brackets, and arrows
that have both ends.
"""

from __future__ import annotations

import re

import pytest
from pages import BLOCKS, ROOT, Block

PICTURES = [
    pytest.param(block, id=f"{page}:{block.line}")
    for page, blocks in BLOCKS.items()
    for block in blocks
    if block.language == "mermaid"
]

FLOWCHART = re.compile(r"(flowchart|graph) (TD|TB|LR|RL|BT)")
TEXT = re.compile(r'"[^"\n]*"')
NODE = r'(?!end\b)\w+(?:\["[^"]*"\]|\{"[^"]*"\}|\("[^"]*"\)|\[[^\[\]"]*\])?'
ARROW = r'(?:-->|---|-\.->|==>)(?:\|(?:"[^"]*"|[^|"]*)\|)?'
FLOWCHART_LINE = re.compile(rf"{NODE}(?: {ARROW} {NODE}(?: & {NODE})*)*|subgraph .+|end")

PARTICIPANT = re.compile(r"(?:participant|actor) (\w+)(?: as .+)?")
MESSAGE = re.compile(r"(\w+)(->>|-->>|->|-->|-x|--x|-\)|--\))(\w+): \S.*")
NOTE = re.compile(r"Note (?:over|left of|right of) (\w+)(?:,(\w+))?: .+")
BLOCK = re.compile(r"(?:alt|else|opt|loop|par|and|rect)\b.*|end|autonumber")


def problem_of(code: str) -> str | None:
    """What a code host could not draw; None if there is nothing."""
    first, *rest = [line.strip() for line in code.splitlines() if line.strip() and not line.strip().startswith("%%")]
    bare = TEXT.sub("", code)
    for left, right in ("[]", "()", "{}"):
        # Arrows such as -) have a bracket of their own.
        text = re.sub(r"--?\)", "", bare) if first == "sequenceDiagram" else bare
        if text.count(left) != text.count(right):
            return f"{left} and {right} are not balanced"
    if bare.count('"'):
        return "a quotation mark is not closed"
    if FLOWCHART.fullmatch(first):
        return next((f"cannot be read: {line}" for line in rest if not FLOWCHART_LINE.fullmatch(line)), None)
    if first == "sequenceDiagram":
        return problem_of_sequence(rest)
    return f"is no known type of diagram: {first}"


def problem_of_sequence(lines: list[str]) -> str | None:
    known, open_blocks = set(), 0
    for line in lines:
        if found := PARTICIPANT.fullmatch(line):
            known.add(found[1])
        elif found := MESSAGE.fullmatch(line) or NOTE.fullmatch(line):
            ends = {end for end in found.groups() if end and end[0].isalpha()}
            if strangers := ends - known:
                return f"has no participant {', '.join(sorted(strangers))}: {line}"
        elif BLOCK.fullmatch(line):
            open_blocks += -1 if line == "end" else line.split()[0] in ("alt", "opt", "loop", "par", "rect")
        else:
            return f"cannot be read: {line}"
    return "a block is not closed" if open_blocks else None


@pytest.mark.parametrize("picture", PICTURES)
def test_a_picture_can_be_drawn(picture: Block) -> None:
    assert problem_of(picture.code) is None


def test_the_promised_pictures_are_there() -> None:
    pictures = {page: sum(block.language == "mermaid" for block in blocks) for page, blocks in BLOCKS.items()}
    assert pictures["wrapper/docs/once.md"] >= 2
    assert pictures["wrapper/docs/errors.md"] >= 1


def test_the_picture_of_the_errors_has_the_tree_as_it_is() -> None:
    from processmaker import errors

    (picture,) = [block.code for block in BLOCKS["wrapper/docs/errors.md"] if block.language == "mermaid"]
    names = {name: text.split(" ")[0].rstrip(":") for name, text in re.findall(r'(\w+)\["([^"]+)"\]', picture)}
    drawn = {(names[parent], names[child]) for parent, child in re.findall(r"(\w+)(?:\[.*?\])? --> (\w+)", picture)}
    public = {
        name: kind
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.ProcessMakerError)
    }
    tree = {
        (base.__name__, name)
        for name, kind in public.items()
        for base in kind.__bases__
        if issubclass(base, errors.ProcessMakerError)
    }
    assert drawn == tree


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ('flowchart TD\n  a --> b["x (y"]', None),
        ("flowchart TD\n  a -->", "cannot be read"),
        ('flowchart TD\n  a["x" --> b', "not balanced"),
        ('flowchart TD\n  a["x] --> b', "not"),
        ("pie\n  a", "no known type"),
        ("sequenceDiagram\n  participant A\n  A->>A: hi", None),
        ("sequenceDiagram\n  participant A\n  A->>B: hi", "no participant B"),
        ("sequenceDiagram\n  participant A\n  A->>: hi", "cannot be read"),
        ("sequenceDiagram\n  participant A\n  opt x\n  A->>A: hi", "not closed"),
    ],
)
def test_a_picture_that_cannot_be_drawn_is_noticed(code: str, problem: str | None) -> None:
    found = problem_of(code)
    assert found == problem if problem is None else problem in str(found)


def test_the_pages_of_the_guide_are_short_and_open_with_an_example() -> None:
    for page in sorted((ROOT / "wrapper" / "docs").glob("*.md")):
        text = page.read_text(encoding="utf-8")
        assert len(text.split()) <= 1500, page.name
        assert "```" in " ".join(text.split()[:80]), f"{page.name} does not open with an example"
