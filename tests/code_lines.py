"""Count the code lines of each room: without blank lines, comments and docstrings.

python tests/code_lines.py
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections import Counter
from pathlib import Path

NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}


def count(file: Path) -> int:
    """Return the number of code lines of a file."""
    text = file.read_text(encoding="utf-8")
    docstrings: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            docstrings |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in NO_CODE:
            lines |= set(range(token.start[0], token.end[0] + 1))
    return len(lines - docstrings)


def count_by_room(root: Path) -> Counter[str]:
    """Return the code lines of the core, the other rooms of the wrapper, and openapi."""
    wrapper = root / "wrapper" / "processmaker"
    found: Counter[str] = Counter(openapi=sum(map(count, (root / "openapi").glob("*.py"))))
    for file in wrapper.rglob("*.py"):
        room = file.relative_to(wrapper).parts[0].removesuffix(".py")
        room = {"pytest_plugin": "sandbox"}.get(room, room)
        found[room if room in ("cli", "journal", "sandbox") else "core"] += count(file)
        if room not in ("cli", "journal", "sandbox"):
            found[f"core: {room}"] += count(file)
    return found


if __name__ == "__main__":
    for room, lines in sorted(count_by_room(Path(__file__).parents[1]).items()):
        print(f"{room:24} {lines:6,}")
