"""The READMEs say what is so: their blocks are run, and what they show is what comes out. Of each:

- ```python blocks run in order, in one namespace, against a sandbox at https://pm.example.com whose time stands still
  (sleeping makes it jump). What one prints is the ```text block right after it. pytest runs one that defines a test.
- ```console blocks: `$ ` begins a command, the lines after it are its output. A second sandbox, behind a socket,
  answers them.
- In what is shown, `…` stands for anything within a line; alone on a line, for any lines.
- `<!-- before: code -->` runs that Python, which knows `sandbox`, before the next block.
- `<!-- not run -->` leaves the next block out: it needs more than a sandbox. Recipes have tests of their own, in
  test_recipes.py and test_celery.py.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from attrs import define
from conftest import START_OF_TIME
from processmaker import ProcessMaker, _clock, _settings
from processmaker.sandbox import Clock, Sandbox
from processmaker.sandbox._setup import set_up

ROOT = Path(__file__).parents[1]
READMES = ("README.md", "openapi/README.md", "wrapper/README.md", "tests/README.md")
LANGUAGES = {"python", "text", "console", "json", "yaml", "toml", "javascript"}
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
    _, _, rest = TEXTS["wrapper/README.md"].partition(f"\n### {title}\n")
    return list(blocks_of(re.split(r"^##", rest, maxsplit=1, flags=re.MULTILINE)[0]))


TEXTS = {readme: (ROOT / readme).read_text(encoding="utf-8") for readme in READMES}
BLOCKS = {readme: list(blocks_of(text)) for readme, text in TEXTS.items()}
each_readme = pytest.mark.parametrize("readme", READMES)


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


# --- Python ---------------------------------------------------------------------------------------------------------


@each_readme
def test_the_python_blocks_print_what_is_shown(readme: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sandbox = at_the_documented_address(monkeypatch)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__", "sandbox": sandbox}
    for block in (block for block in BLOCKS[readme] if block.language == "python"):
        code = compile("\n" * (block.line - 1) + block.code, str(ROOT / readme), "exec", dont_inherit=True)
        if not block.run:
            continue
        if "def test_" in block.code:
            by_pytest(block, tmp_path, f"{readme}:{block.line}")
            continue
        exec(block.before, {"sandbox": sandbox, "ProcessMaker": ProcessMaker})
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(code, names)
        check(block.output, printed.getvalue(), f"{readme}:{block.line}")


def at_the_documented_address(monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """A sandbox in place of the network, which takes any token for integration.bot's."""
    sandbox = Sandbox(clock=Clock(START_OF_TIME))

    def answer(request: httpx.Request) -> httpx.Response:
        assert str(request.url).startswith(sandbox.url), f"a README calls {request.url}"
        token = request.headers.get("authorization", "")
        if token.startswith("Bearer ") and "sandbox-" not in token:
            request.headers["authorization"] = f"Bearer {sandbox.token()}"
        return sandbox(request)

    async def async_answer(_: object, request: httpx.Request) -> httpx.Response:
        await request.aread()
        return answer(request)

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", lambda _, request: answer(request))
    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", async_answer)
    for name in ("monotonic", "now", "sleep", "async_sleep"):
        monkeypatch.setattr(
            _clock.Clock, name, (lambda method: lambda _, *given: method(*given))(getattr(sandbox.clock, name))
        )
    monkeypatch.setenv("PROCESSMAKER_URL", sandbox.url)
    monkeypatch.setenv("PROCESSMAKER_TOKEN", sandbox.token())
    return sandbox


def by_pytest(block: Block, folder: Path, where: str) -> None:
    (folder / "test_of_readme.py").write_text(block.code, encoding="utf-8")
    done = shell(f"{sys.executable} -m pytest -q -p no:cacheprovider test_of_readme.py", folder)
    assert " passed" in done, f"{where}: {done}"


@each_readme
def test_the_python_blocks_are_formatted_and_linted(readme: str, tmp_path: Path) -> None:
    for block in BLOCKS[readme]:
        if block.language == "python":
            (tmp_path / f"line_{block.line}.py").write_text(block.code, encoding="utf-8")
    # A block uses what those before it have made, and some begin with a word and only then import.
    for command in (["format", "--check"], ["check", "--ignore", "F821,E402"]):
        settings = ["--no-cache", "--config", str(ROOT / "pyproject.toml")]
        done = subprocess.run([sys.executable, "-m", "ruff", *command, *settings, tmp_path], capture_output=True)
        assert done.returncode == 0, f"{readme}: {done.stdout.decode()}{done.stderr.decode()}"


# --- console --------------------------------------------------------------------------------------------------------


@each_readme
def test_the_console_blocks_print_what_is_shown(readme: str, tmp_path: Path) -> None:
    sandbox = Sandbox()
    with sandbox.serve() as url:
        for block in (block for block in BLOCKS[readme] if block.language == "console" and block.run):
            where = f"{readme}:{block.line}"
            exec(block.before, {"sandbox": sandbox})
            commands = [
                (command, shown) for command, shown in commands_of(block.code) if not only_checked(command, shown)
            ]
            printed = shell("\n".join(marked(command, url) for command, _ in commands), tmp_path, url, sandbox.token())
            assert printed.count(MARK) == len(commands), f"{where} ends early: {printed}"
            for (command, shown), output in zip(commands, printed.split(MARK), strict=False):
                check(shown, output, f"{where}, {command}")


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
        assert all(name.removeprefix("PROCESSMAKER") in str(_settings.from_environment.__doc__) for name in names), (
            command
        )
        return True
    if words[0] == "curl" and shutil.which("curl") is None:
        return True  # the recipe is that of the guide, whose own test says that it was not run
    return words[:2] == ["processmaker", "sandbox"] or words[0] == "cd" or words[:2] == ["git", "clone"]


def targets() -> list[str]:
    return re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)


def rule(target: str) -> str:
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return found[1].replace("\t@", "").replace("\t", "").replace("$(BIN)/", "").strip() if found else "false"


# --- JSON -----------------------------------------------------------------------------------------------------------


def test_a_described_sandbox_can_be_set_up(tmp_path: Path) -> None:
    blocks = [block for blocks in BLOCKS.values() for block in blocks if block.language == "json"]
    assert blocks
    for block in blocks:
        (tmp_path / "sandbox.json").write_text(block.code, encoding="utf-8")
        set_up(Sandbox(), str(tmp_path / "sandbox.json"))


# --- the rest -------------------------------------------------------------------------------------------------------


@each_readme
def test_every_block_says_its_language(readme: str) -> None:
    assert {block.language for block in BLOCKS[readme]} <= LANGUAGES


def headings(text: str) -> set[str]:
    """What a link can name after `#`, as web pages of repositories have it."""
    return {
        re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", PIECE.sub("", text), re.MULTILINE)
    }


@each_readme
def test_every_link_leads_to_a_file_and_a_heading_that_is_there(readme: str) -> None:
    for link in re.findall(r"\]\((?!\w+:)(\S+?)\)", TEXTS[readme]):
        path, _, heading = link.partition("#")
        file = (ROOT / readme).parent / path if path else ROOT / readme
        assert file.exists(), link
        if heading:
            assert heading in headings(file.read_text(encoding="utf-8")), link


@each_readme
def test_every_make_target_it_mentions_exists(readme: str) -> None:
    assert set(re.findall(r"`make ([a-z-]+)", TEXTS[readme])) <= set(targets())


SAMPLE = """
```python
print("Request 17 of http://127.0.0.1:4711")
```

```text
Request … of https://pm.example.com
```

<!-- before: sandbox.maintenance = True -->

```console
$ echo one \\
    two
one two
$ false
```

```text
a picture
```
"""


def test_blocks_are_read_with_their_output_and_notes() -> None:
    python, console, picture = blocks_of(SAMPLE)
    assert (python.line, python.output) == (3, "Request … of https://pm.example.com\n")
    assert (console.before, console.run) == ("sandbox.maintenance = True\n", True)
    assert list(commands_of(console.code)) == [("echo one \\\n    two", "one two"), ("false", "")]
    assert picture.language == "text"


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("", "", True),
        ("", "x\n", False),
        ("Request … of https://pm.example.com", "Request 17 of http://127.0.0.1:4711\n", True),
        ("a\n…\nd", "a\nb\nc\nd\n", True),
        ("a\n…", "a\n", True),
        ("a…", "a\nb\n", False),
        ("a", "b\n", False),
    ],
)
def test_shown_output_is_compared_exactly_but_for_ellipses(shown: str, printed: str, same: bool) -> None:
    assert agrees(shown, printed) is same
