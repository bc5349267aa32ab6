"""The docstrings and the pages are plain English: a short list of what made readers stop.

A room is listed in ROOMS once it is clean.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WRAPPER = ROOT / "wrapper" / "processmaker"

ROOMS = sorted(path.name for path in WRAPPER.iterdir() if path.suffix == ".py" or any(path.glob("*.py")))

PAGES = (
    "CONTRIBUTING.md",
    "README.md",
    "wrapper/README.md",
    *(page.relative_to(ROOT).as_posix() for page in ROOT.glob("wrapper/docs/*.md")),
)

LONGEST = 30
"""The most words of a sentence. Longer ones have to be read twice."""

PATTERNS = {
    r"[,;(] where (?:it|they|he|she|that|there|this|these|one|some|several|all|many|no|nothing|nobody|known)\b": (
        '"where" means a place; write "if"'
    ),
    r"[.!?;:)] Where (?:it|they|he|she|a|an|the|there|this|these|one|some|several|all|many|no|nothing|nobody)\b": (
        '"Where" at the start of a sentence means a place; write "If"'
    ),
    r"\b(?:is|are|was|were|be|been) told\b": "somebody is told something; a value is named, raised or recognised",
    r"\bhand(?:s|ed)? (?:on|over)\b": 'nothing here has hands; write "pass" or "give"',
    r"\bsteps? aside\b": 'nobody walks; write "is retried later" or "waits"',
    r"\b(?:lay|lays|laid) (?:a )?hands?\b": "nothing here has hands; name what is done",
    r"\bhire[sd]?\b": 'nobody is hired; write "start a thread" or "schedule"',
    r"(?:^|[.!?;:] )Whoever\b": 'begin with the subject: "A caller that", "The next caller"',
    r"\b(?:at most|for) so (?:long|many)\b": "name the number or the setting",
}


def docstrings(file: Path) -> Iterator[tuple[int, str]]:
    """The docstrings of a file and its definitions, and the texts below attributes, each with its line."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else []:
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                text = statement.value.value
                if isinstance(text, str):
                    yield statement.lineno, text


def is_split(text: str) -> bool:
    """Whether a blank line breaks the first sentence."""
    summary, blank, _ = text.partition("\n\n")
    return bool(blank) and not summary.rstrip().endswith((".", ":", "!", "?", "…", '."'))


def problems_of(text: str) -> list[str]:
    """The patterns that a text matches, with what to write instead."""
    flat = re.sub(r"\s+", " ", re.sub(r"`[^`]*`", "code", text)).strip()
    return [f"{found[0]!r}: {reason}" for pattern, reason in PATTERNS.items() if (found := re.search(pattern, flat))]


def sentences_of(page: str) -> Iterator[str]:
    """The sentences outside of code; an item of a list and a cell of a table are each at least one."""
    text = re.sub(r"^```.*?^```$|<!--.*?-->", "\n\n", page, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"`[^`]*`", "code", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text))
    for piece in re.split(r"\n\s*\n|^\s*(?:[-*]|\d+\.) |\||^#.*$", text, flags=re.MULTILINE):
        yield from re.split(r"(?<=[.!?])\s+", " ".join((piece or "").split()))


def files_of(room: str) -> list[Path]:
    path = WRAPPER / room
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


@pytest.mark.parametrize("room", [*ROOMS, "openapi"])
def test_the_docstrings_of_a_room_are_plain_english(room: str) -> None:
    files = sorted((ROOT / "openapi").glob("*.py")) if room == "openapi" else files_of(room)
    assert files
    found = [
        f"{file.relative_to(ROOT)}:{line}: {problem}"
        for file in files
        for line, text in docstrings(file)
        for problem in [*problems_of(text), *(["a blank line splits the summary"] if is_split(text) else [])]
    ]
    assert found == []


@pytest.mark.parametrize("page", PAGES)
def test_the_sentences_of_a_page_are_short_and_plain(page: str) -> None:
    sentences = list(sentences_of((ROOT / page).read_text(encoding="utf-8")))
    assert [sentence for sentence in sentences if len(sentence.split()) > LONGEST] == []
    assert [problem for sentence in sentences for problem in problems_of(sentence)] == []


@pytest.mark.parametrize(
    "text",
    [
        "The pause, where it is known.",
        "It waits. Where a process forks, it is made anew.",
        "What is altered is told before.",
        "The row steps aside.",
        "They hand over the words.",
        "Whoever waits is next.",
        "Wait for so long.",
    ],
)
def test_a_text_that_made_readers_stop_is_found(text: str) -> None:
    assert problems_of(text)


@pytest.mark.parametrize("text", ["Where a Request stands.", "The folder where the file is.", "`is told` is code."])
def test_a_place_and_code_are_not_found(text: str) -> None:
    assert problems_of(text) == []


def test_a_split_summary_and_a_long_sentence_are_found() -> None:
    assert is_split("Whether the call may be made again, and\n\nnothing is done twice.")
    assert not is_split("Whether the call may be made again.\n\nThen nothing is done twice.")
    (sentence,) = sentences_of(" ".join(["word"] * 31) + ".")
    assert len(sentence.split()) > LONGEST
