"""The pages of documentation, taken apart into their blocks, and how a block is run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attrs import define
from processmaker import ProcessMaker
from processmaker.sandbox import Sandbox

ROOT = Path(__file__).parents[1]


GUIDE = tuple(sorted(page.relative_to(ROOT).as_posix() for page in (ROOT / "wrapper" / "docs").glob("*.md")))


READMES = ("README.md", "openapi/README.md", "wrapper/README.md", *GUIDE, "tests/README.md")


LOCAL = re.compile(r"http://127\.0\.0\.1:\d+")


PIECE = re.compile(r"^```(?P<language>\w*)\n(?P<code>.*?)^```$|<!--(?P<note>.*?)-->", re.DOTALL | re.MULTILINE)


@define
class Block:
    language: str
    code: str
    line: int
    """The line of the document on which the code begins."""
    before: str = ""
    run: bool = True
    output: str | None = None


def blocks_of(text: str) -> Iterator[Block]:
    """The fenced blocks of a document, each with its notes and its output."""
    last: Block | None = None
    before, run, end = "", True, 0
    for piece in PIECE.finditer(text):
        if text[end : piece.start()].strip():
            last = None
        end = piece.end()
        note = (piece["note"] or "").strip()
        if piece["note"] is not None:
            before += note.removeprefix("before:").strip() + "\n" if note.startswith("before:") else ""
            run = run and note != "not run"
        elif piece["language"] == "text" and last and last.language == "python" and last.output is None:
            last.output = piece["code"]
        else:
            line = text.count("\n", 0, piece.start("code")) + 1
            last = Block(piece["language"], piece["code"], line, before, run)
            before, run = "", True
            yield last


def recipe(title: str) -> list[Block]:
    """The blocks of one recipe in the user's guide."""
    _, _, rest = TEXTS["wrapper/docs/recipes.md"].partition(f"\n## {title}\n")
    return list(blocks_of(re.split(r"^##", rest, maxsplit=1, flags=re.MULTILINE)[0]))


TEXTS = {readme: (ROOT / readme).read_text(encoding="utf-8") for readme in READMES}


BLOCKS = {readme: list(blocks_of(text)) for readme, text in TEXTS.items()}


def agrees(shown: str, printed: str) -> bool:
    """Whether that was printed; `…` on a line stands for anything, a line of it for any lines."""
    shown, printed = (LOCAL.sub(Sandbox().url, text).strip("\n") for text in (shown, printed))
    lines = [
        r"(?:.*\n)*" if line.strip() == "…" else ".*".join(map(re.escape, line.rstrip().split("…"))) + r"[ \t]*\n"
        for line in shown.splitlines()
    ]
    return re.fullmatch("".join(lines), printed + "\n" if printed else "") is not None


def check(shown: str | None, printed: str, where: str) -> None:
    assert agrees(shown or "", printed), f"{where} prints\n\n{printed}\ninstead of\n\n{shown or 'nothing'}"


MARK = "end of output of a command\n"


def marked(command: str, url: str) -> str:
    """The command to this address, a mark after its output, and its exit status left as it was."""
    for address in (Sandbox().url, "http://127.0.0.1:8765"):
        command = command.replace(address, url)
    if target := re.fullmatch(r"make (\S+)", command):
        command = rule(target[1])
    return f"{command}\nstatus=$?; echo {MARK.strip()}; (exit $status)"


def shell(script: str, folder: Path, url: str = "", token: str = "") -> str:
    """What it prints, errors included, where this Python and its commands come first."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PROCESSMAKER_URL": url, "PROCESSMAKER_TOKEN": token}
    given: dict[str, Any] = {"cwd": folder, "env": environment, "stdin": subprocess.DEVNULL, "timeout": 60}
    done = subprocess.run(["sh", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, **given)
    return str(done.stdout.decode())


def commands_of(code: str) -> Iterator[tuple[str, str]]:
    """Each command with the output that is shown."""
    for part in re.split(r"^\$ ", code, flags=re.MULTILINE)[1:]:
        command, shown = re.fullmatch(r"((?:[^\n]*\\\n)*[^\n]*)\n(.*)", part, re.DOTALL).groups()  # type: ignore[union-attr]
        yield command, shown.strip("\n")


def only_checked(command: str, shown: str) -> bool:
    """Whether it is a command that is not run here; what it names exists."""
    words = command.split()
    if words[0] == "make":
        assert words[1] in targets(), f"no such target: {command}"
        return not shown
    if words[:2] == ["pip", "install"] or words[:4] == ["python", "-m", "pip", "install"]:
        named = {re.sub(r"\[.*", "", word) for word in words if "processmaker" in word}
        assert named <= {tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["name"]}, command
        return True
    if words[0] == "export":
        names = [word.partition("=")[0] for word in words[1:]]
        assert all(name.removeprefix("PROCESSMAKER") in str(ProcessMaker.from_env.__doc__) for name in names), command
        return True
    if words[0] == "curl" and shutil.which("curl") is None:
        return True  # the recipe is that of the guide, whose own test says that it was not run
    return words[:2] == ["processmaker", "sandbox"] or words[0] == "cd" or words[:2] == ["git", "clone"]


def targets() -> list[str]:
    return re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)


def rule(target: str) -> str:
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return found[1].replace("\t@", "").replace("\t", "").replace("$(BIN)/", "").strip() if found else "false"
