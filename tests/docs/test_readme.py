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
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import START_OF_TIME
from pages import (
    BLOCKS,
    MARK,
    PIECE,
    READMES,
    ROOT,
    TEXTS,
    Block,
    agrees,
    blocks_of,
    check,
    commands_of,
    marked,
    only_checked,
    shell,
    targets,
)
from processmaker import ProcessMaker, clock
from processmaker.sandbox import SIMPLE_PROCESSES, Clock, Sandbox
from processmaker.sandbox._setup import set_up

LANGUAGES = {"python", "text", "console", "json", "yaml", "toml", "javascript", "mermaid"}


each_readme = pytest.mark.parametrize("readme", READMES)


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
    sandbox = Sandbox(clock=Clock(START_OF_TIME), processes=SIMPLE_PROCESSES)

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
            clock.Clock, name, (lambda method: lambda _, *given: method(*given))(getattr(sandbox.clock, name))
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
    sandbox = Sandbox(processes=SIMPLE_PROCESSES)
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
