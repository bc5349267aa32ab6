"""What is installed: two packages with their types, two dependencies; and what importing them brings along."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import inspect
import os
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
import typing
import venv
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path
from typing import Any

import attrs
import distribution
import httpx
import processmaker
import pytest
import yaml
from processmaker import ProcessMakerError, journal, types
from processmaker import errors as _errors
from processmaker.sandbox import Sandbox

ROOT = Path(__file__).parents[1]
WRAPPER = ROOT / "wrapper" / "processmaker"
NAME = "processmaker-client"


def python(*arguments: str, executable: Path | str = sys.executable, folder: Path | None = None) -> str:
    """What Python prints, run apart from this process; an AssertionError with its words where it fails."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(executable), *arguments], capture_output=True, cwd=folder, env=environment, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# --- the distribution -----------------------------------------------------------------------------------------------


def built(what: str, source: Path, folder: Path) -> Path:
    python("-m", "hatchling", "build", "--target", what, "--directory", str(folder), folder=source)
    (made,) = folder.iterdir()
    return made


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built("sdist", ROOT, tmp_path_factory.mktemp("sdist"))


def files_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def metadata_of(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return Parser().parsestr(archive.read(name).decode())


def test_the_wheel_holds_both_packages_and_nothing_else(wheel: Path) -> None:
    wanted = {
        path.relative_to(package.parent).as_posix()
        for package in (WRAPPER, ROOT / "generated" / "processmaker_api")
        for path in package.rglob("*")
        if path.suffix == ".py" or path.name in ("py.typed", "rows.json")
    }
    assert {"processmaker/py.typed", "processmaker_api/py.typed", "processmaker/sandbox/__init__.py"} <= wanted
    assert {name for name in files_in(wheel) if ".dist-info/" not in name} == wanted


def test_the_wheel_needs_three_packages_only(wheel: Path) -> None:
    needed = [need for need in metadata_of(wheel).get_all("Requires-Dist", []) if "extra ==" not in need]
    assert [re.split(r"[^a-z]", need)[0] for need in needed] == ["attrs", "httpx", "sniffio"]


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    metadata = metadata_of(wheel)
    assert (metadata["Name"], metadata["License-Expression"]) == (NAME, "MIT")
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Summary"] in str(processmaker.__doc__)
    assert metadata["Author"] == "The processmaker-client authors"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert {"Framework :: Pytest", "Typing :: Typed"} <= set(metadata.get_all("Classifier", []))
    assert any(name.endswith("/licenses/LICENSE") for name in files_in(wheel))


LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)]+)\)")


def test_no_link_of_the_metadata_leads_nowhere(wheel: Path) -> None:
    """There is the README, but a package index has none of the files that it links to; and no address is made up."""
    metadata = metadata_of(wheel)
    text = str(metadata.get_payload())
    targets = [target for _, target in re.findall(r"\[([^\]]*)\]\(([^)]+)\)", text)]  # pictures, too
    assert [target for target in targets if not target.startswith(("https://", "#"))] == []
    assert text.startswith("# processmaker-client\n\nThe Python client")
    assert metadata.get_all("Project-URL") is None
    assert metadata["Home-page"] is None


@pytest.mark.parametrize(
    "readme",
    [*ROOT.glob("README.md"), ROOT / "CONTRIBUTING.md", *ROOT.glob("[a-z]*/README.md")],
    ids=lambda p: p.parent.name,
)
def test_every_link_of_a_readme_leads_to_a_file(readme: Path) -> None:
    targets = [target for _, target in LINK.findall(readme.read_text(encoding="utf-8")) if "://" not in target]
    assert [target for target in targets if not (readme.parent / target.partition("#")[0]).exists()] == []


def test_what_was_built_is_ready_for_an_index(wheel: Path, sdist: Path) -> None:
    told = python("-m", "twine", "check", "--strict", str(wheel), str(sdist))
    assert told.count("PASSED") == 2


def test_the_oldest_versions_that_are_tested_are_the_oldest_that_are_allowed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [needed for name in ("cli", "keyring", "redis") for needed in project["optional-dependencies"][name]]
    allowed = {}
    for needed in [*project["dependencies"], *extras]:
        name, version = re.split(">=", needed.partition(",")[0])
        allowed[name] = [int(part) for part in version.split(".")]
    lines = (ROOT / ".ci" / "oldest.txt").read_text(encoding="utf-8").splitlines()
    tested = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert sorted(tested) == sorted(allowed)
    for name, version in tested.items():
        assert [int(part) for part in version.split(".")][: len(allowed[name])] == allowed[name], name


def test_the_version_stands_in_one_place() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    texts = [path for room in ("wrapper", "generated", ".ci") for path in (ROOT / room).rglob("*") if path.is_file()]
    named = [
        path for path in texts if path.suffix in (".py", "") and f'"{version}"' in path.read_text(encoding="utf-8")
    ]
    assert named == []


@pytest.fixture
def project(sdist: Path, tmp_path: Path) -> Path:
    """The unpacked source distribution."""
    return distribution.unpacked(sdist, tmp_path / "unpacked")


@pytest.mark.parametrize(
    "changelog", ["# Changelog\n", "# Changelog\n\n## 9.9.91\n\n- Mended.\n", "## 9.9.9\n\n## 9.9.8\n\n- Mended.\n"]
)
@pytest.mark.parametrize("target", ["wheel", "sdist"])
def test_a_version_without_a_changelog_entry_is_not_built(project: Path, changelog: str, target: str) -> None:
    settings = project / "pyproject.toml"
    settings.write_text(re.sub(r'^version = ".*"', 'version = "9.9.9"', settings.read_text(), flags=re.MULTILINE))
    (project / "CHANGELOG.md").write_text(changelog)
    with pytest.raises(AssertionError, match=r"CHANGELOG\.md has no entry for 9\.9\.9: write one below a heading"):
        built(target, project, project / "made")
    (project / "CHANGELOG.md").write_text(
        f"{changelog}\n## 9.9.9 - 2026-11-24\n\n- Mended.\n".replace("## 9.9.9\n", "")
    )
    assert "9.9.9" in built(target, project, project / "made").name


README = """# It

The client.

In a checkout of this project:

```console
$ pip install '.[cli]'
```

![how fast](tests/fast.svg)

See [the tests](tests/README.md#it), [it](https://pm.example.com) and [this](#it).

## Two commands

```console
$ make demo
```

## Why

<!-- before: nothing -->
```python
print(1)

# not a heading
```

## Read more

| [tests](tests/README.md) | the tests |
"""

ONCE = """# Once

Give each start a key. See [errors](errors.md).

```mermaid
flowchart TD
    a --> b
```
"""


def described(root: Path) -> str:
    metadata: dict[str, Any] = {}
    runpy.run_path(str(ROOT / ".ci" / "hatch_build.py"))["Description"](str(root), {}).update(metadata)
    return str(metadata["readme"]["text"])


def test_the_long_description_is_the_readme_without_what_only_a_checkout_has(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(README)
    head, _, rest = described(tmp_path).partition("## Install and try")
    assert head == "# It\n\nThe client.\n\n"
    assert rest.partition("each method.\n\n")[2] == (
        "See the tests, [it](https://pm.example.com) and [this](#it).\n\n"
        "## Why\n\n```python\nprint(1)\n\n# not a heading\n```\n"
    )


def test_the_long_description_has_two_pages_of_the_guide(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(README)
    (tmp_path / "wrapper" / "docs").mkdir(parents=True)
    (tmp_path / "wrapper" / "docs" / "once.md").write_text(ONCE)
    assert described(tmp_path).endswith("```\n\n## Once\n\nGive each start a key. See errors.\n")


def test_the_long_description_names_only_what_an_installed_package_can_run(wheel: Path) -> None:
    text = str(metadata_of(wheel).get_payload())
    commands = re.findall(r"^\$ (\S+)", text, re.MULTILINE)
    assert {"pip", "processmaker", "python"} <= set(commands)
    assert not {"make", "git", "cd"} & set(commands)
    assert "`make " not in text


def test_help_says_where_the_guide_is() -> None:
    assert "wrapper/docs" in str(processmaker.__doc__)
    statement = next(line for line in str(processmaker.__doc__).splitlines() if "metadata(" in line).strip()
    assert python("-c", statement).startswith("# processmaker-client\n\nThe Python client")


def test_the_unpacked_source_distribution_regenerates_and_passes_tests_of_its_own(project: Path) -> None:
    """`make build-check` runs all of them, in an environment of its own; here a few run in this one."""
    paths = [project, project / "generated", project / "wrapper"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))}
    document = project / "openapi" / "processmaker.yaml"
    committed, package = document.read_bytes(), project / "generated" / "processmaker_api"
    document.unlink()
    shutil.rmtree(package)
    for command in (
        ["openapi/trim.py", "tests/documents/4.15.5.yaml"],
        ["openapi/generate.py"],
        ["openapi/generate.py", "--check"],
        ["-m", "pytest", "-p", "no:cacheprovider", "tests/once/test_start.py"],
        ["-c", "import processmaker, processmaker_api; print(processmaker.__file__, processmaker_api.__file__)"],
    ):
        done = subprocess.run(
            [sys.executable, *command], cwd=project, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(str(project)) == 2
    assert yaml.safe_load(document.read_bytes())["paths"].keys() == yaml.safe_load(committed)["paths"].keys()


def test_the_commands_for_a_machine_without_make_are_those_of_make() -> None:
    """Where a README gives commands of the Makefile, they are the same, to the letter."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipes = set(
        re.findall(r"^\t@?(.*)$", makefile.replace("$(PYTHON)", "python3").replace("$(BIN)", ".venv/bin"), re.MULTILINE)
    )
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "CONTRIBUTING.md", ROOT / "README.md")]
    commands = [
        line for text in texts for line in re.findall(r"^\$ (python3 -m venv.*|\.venv/.*)$", text, re.MULTILINE)
    ]
    assert len(commands) >= 4
    assert [command for command in commands if command not in recipes] == []


def test_trying_what_was_built_fails_where_nothing_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert distribution.main([str(tmp_path)]) == 1
    assert "should hold one *.whl, not 0: run `make build`" in capsys.readouterr().err


def test_what_a_wheel_brings_besides_is_seen(tmp_path: Path) -> None:
    """The environment of the tests holds much more than the wheel needs: that is what is named."""
    done = python("-c", distribution.BROUGHT, distribution.NAME, folder=tmp_path).strip()
    direct, _, more = done.partition(" |")
    assert direct == " ".join(distribution.DEPENDENCIES)
    assert {"hypothesis", "pytest", "vcrpy"} <= set(more.split())
    assert not {"anyio", "certifi", "h11", "httpcore", "httpx", "idna", "attrs"} & set(more.split())


def test_the_wheel_works_in_a_fresh_environment(wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    (fresh,) = (tmp_path / "venv").glob("*/python")
    python("-m", "pip", "--python", str(fresh), "install", "--quiet", "--no-deps", "--no-index", str(wheel))
    packages = Path(python("-c", "import sysconfig; print(sysconfig.get_path('purelib'))", executable=fresh).strip())
    # Only the dependencies come from here: what stands in .pth files of a folder that is itself added is not read.
    dependencies = {Path(inspect.getfile(package)).parents[1] for package in (attrs, httpx)}
    (packages / "dependencies.pth").write_text("\n".join(map(str, dependencies)))
    for module in ("processmaker", "processmaker_api"):
        found = python("-c", f"import {module}; print({module}.__file__)", executable=fresh, folder=tmp_path)
        assert Path(found.strip()).parents[1] == packages
    assert "COMPLETED" in python("-m", "processmaker.sandbox", "--demo", executable=fresh, folder=tmp_path)
    command = str(fresh.with_name("processmaker"))
    assert "start" in python(command, "--help", executable=fresh, folder=tmp_path)
    monkeypatch.setenv("PROCESSMAKER_TOKEN", Sandbox().token())
    with Sandbox().serve() as url:
        found = python(command, "doctor", "--url", url, executable=fresh, folder=tmp_path)
    assert {line.split()[0] for line in found.splitlines()} == {"ok"}


def test_the_wheel_can_be_built_from_the_source_distribution(wheel: Path, sdist: Path, tmp_path: Path) -> None:
    source = distribution.unpacked(sdist, tmp_path)
    made_by_tools = {
        "node_modules",
        ".venv",
        "__pycache__",
        ".pytest_cache",
        ".mypy_cache",
        ".ruff_cache",
        ".hypothesis",
    }
    assert not [path for path in source.rglob("*") if path.name in made_by_tools]
    assert files_in(built("wheel", source, tmp_path / "wheel")) == files_in(wheel)


# --- what is imported -----------------------------------------------------------------------------------------------


def imports_of(file: Path) -> set[str]:
    """The top-level packages that a module imports from elsewhere."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(str(node.module).partition(".")[0])
    return found


def test_httpx_is_used_in_the_wire_alone() -> None:
    """Elsewhere it lends its names to signatures. The sandbox stands in for a server, and the command line asks without

    the client where that is the point: doctor before a token is sent, --curl in place of sending.
    """
    names = {"AsyncBaseTransport", "Auth", "BaseTransport", "MockTransport", "Request", "Response", "Timeout"}
    for file in WRAPPER.rglob("*.py"):
        # An address is read by httpx, so that what is checked is where the token goes later.
        if {"cli", "sandbox", "wire"} & set(file.relative_to(WRAPPER).parts) or file.name == "address.py":
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.Import) and "httpx" in [alias.name for alias in node.names]), file
            if isinstance(node, ast.ImportFrom) and node.module == "httpx":
                assert {alias.name for alias in node.names} <= names, file


def test_the_wire_uses_public_names_only() -> None:
    """What is private in httpx, httpcore, h11 and sniffio changes without notice."""
    for file in (WRAPPER / "wire").glob("*.py"):
        assert imports_of(file).isdisjoint({"anyio", "h11", "httpcore", "sniffio"}), file
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.endswith("__"):
                assert isinstance(node.value, ast.Name), ast.unparse(node)
                assert node.value.id == "self", ast.unparse(node)


def test_nothing_but_the_dependencies_is_imported() -> None:
    known = {*sys.stdlib_module_names, "attrs", "httpx", "processmaker", "processmaker_api"}
    foreign = {file.relative_to(WRAPPER).as_posix(): imports_of(file) - known for file in WRAPPER.rglob("*.py")}
    # pytest brings itself along where the plugin is loaded; the others are extras, imported where used.
    extras = {"click", "keyring", "pytest", "redis", "rich"}
    assert {name: found for name, found in foreign.items() if found - extras} == {}
    assert {name.split("/")[0] for name, found in foreign.items() if found & {"click", "rich"}} == {"cli"}
    assert {name for name, found in foreign.items() if "pytest" in found} <= {"pytest_plugin.py", "sandbox/_fixture.py"}
    assert {name for name, found in foreign.items() if "redis" in found} == {"journal/redis.py"}
    assert {name for name, found in foreign.items() if "keyring" in found} == {"config/profiles.py"}


def imported_by(statement: str) -> set[str]:
    return set(python("-c", f"import sys; {statement}; print('\\n'.join(sys.modules))").split())


def test_importing_the_package_imports_next_to_nothing() -> None:
    loaded = imported_by("import processmaker")
    assert loaded.isdisjoint({"httpx", "attrs", "attr", "asyncio", "ssl", "argparse", "pytest", "processmaker_api"})
    assert {name for name in loaded if name.startswith("processmaker.")} == set()


def test_importing_the_client_leaves_the_rest_alone() -> None:
    loaded = imported_by("from processmaker import AsyncProcessMaker, ProcessMaker")
    unwanted = {"processmaker.cli", "processmaker.sandbox", "processmaker.pytest_plugin", "pytest", "vcr", "yaml"}
    assert loaded.isdisjoint(unwanted)


def test_importing_a_journal_imports_no_redis() -> None:
    assert imported_by("from processmaker import RedisJournal").isdisjoint({"redis", "httpx", "pytest"})


# --- the public names -----------------------------------------------------------------------------------------------


def test_public_names_are_sorted_and_there() -> None:
    assert processmaker.__all__ == sorted(set(processmaker.__all__))
    assert dir(processmaker) == processmaker.__all__
    for name in processmaker.__all__:
        assert getattr(processmaker, name).__name__ == name
    with pytest.raises(AttributeError, match="module 'processmaker' has no attribute 'Nonsense'"):
        processmaker.Nonsense  # noqa: B018


def test_public_names_are_known_to_type_checkers() -> None:
    tree = ast.parse((WRAPPER / "__init__.py").read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    names = [
        (alias.name, node.module) for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    ]
    assert sorted(name for name, _ in names) == processmaker.__all__
    for name, module in names:
        assert getattr(importlib.import_module(f"processmaker.{module}"), name) is getattr(processmaker, name)


def test_the_names_in_public_signatures_can_be_imported() -> None:
    """A union in an annotation is one of `processmaker.types`, or made of what is public elsewhere."""
    private = set()
    for client in (processmaker.ProcessMaker, processmaker.AsyncProcessMaker):
        for name, method in inspect.getmembers(client, inspect.isfunction):
            if not name.startswith("_") or name == "__init__":
                for annotation in inspect.get_annotations(method).values():
                    private |= set(re.findall(r"[A-Z]\w+", annotation))
    public = {
        *processmaker.__all__,
        *types.__all__,
        *journal.__all__,
        *typing.__all__,
        "Iterable",
        "Iterator",
        "AsyncIterator",
        "AsyncIterable",
        "None",
    }
    of_others = {"timedelta", "Auth", "BaseTransport", "AsyncBaseTransport", "Timeout"}
    assert private - public - of_others == set()
    for name in types.__all__:
        assert getattr(types, name)


def test_the_version_is_that_of_the_distribution() -> None:
    assert processmaker.__version__ == importlib.metadata.version(NAME)


def tree_of_errors() -> dict[str, str | None]:
    """Each error with the one above it, as drawn in the docstring of their module."""
    above: list[str] = []
    drawn: dict[str, str | None] = {}
    for branch, name in re.findall(
        r"^    ((?:[│ ]   )*(?:[├└]── )?)(\w+)(?:  .*)?$", str(_errors.__doc__), re.MULTILINE
    ):
        del above[len(branch) // 4 :]
        drawn[name] = above[-1] if above else None
        above.append(name)
    return drawn


def errors() -> dict[str, Any]:
    found = inspect.getmembers(_errors, inspect.isclass)
    return {name: kind for name, kind in found if issubclass(kind, ProcessMakerError)}


def test_the_tree_of_errors_is_as_it_is_drawn() -> None:
    def above(kind: Any) -> str | None:
        return next((base.__name__ for base in kind.__bases__ if issubclass(base, ProcessMakerError)), None)

    assert tree_of_errors() == {name: above(kind) for name, kind in errors().items()}


def test_every_error_is_public_and_says_what_it_is() -> None:
    assert set(errors()) <= set(processmaker.__all__)
    assert [name for name, kind in errors().items() if not kind.__doc__] == []


def test_every_public_name_says_what_it_is() -> None:
    assert [name for name in processmaker.__all__ if not inspect.getdoc(getattr(processmaker, name))] == []


def test_a_type_checker_refuses_what_cannot_be_meant(tmp_path: Path) -> None:
    lines = {
        'pm.start(4, {"days": 3, "items": [{"a": None}]})': True,
        "pm.start(4, variable)": True,
        "pm.start(4, numbers)": True,
        "pm.complete(7, variable)": True,
        'pm.start(4, event="node_1", timeout=5, on_altered_data="error")': True,
        'pm.start(4, idempotency_key="k", again=True, look_again_for=1, on_reused_key="warn")': True,
        'pm.start(4, idempotency_key=optional, fingerprint_without=["at"])': True,
        "pm.start(4, again=True)": False,
        "pm.start(4, look_again_for=1)": False,
        'pm.start(4, on_reused_key="warn")': False,
        'pm.start(4, fingerprint_without=["at"])': False,
        "await awaited.start(4, again=True)": False,
        'await awaited.start(4, idempotency_key="k", again=True)': True,
        "pm.start(4)": True,
        "pm.start(4, None)": True,
        "pm.start(4, [1, 2])": False,
        "pm.start(4, {1, 2})": False,
        'pm.start(4, "text")': False,
        "pm.start(4, {1: 2})": False,
        "pm.complete(7, [1])": False,
        'sandbox.fail_next("answer lost")': True,
        "sandbox.fail_next(503)": True,
        'sandbox.fail_next("answer last")': False,
        "sandbox.fail_next(204)": False,
        'sandbox.misbehave(kinds=["reset", 502])': True,
        'sandbox.misbehave(kinds=["rest"])': False,
    }
    before = (
        "from processmaker import AsyncProcessMaker, ProcessMaker\n"
        "from processmaker.sandbox import Sandbox\n"
        "async def check(pm: ProcessMaker, awaited: AsyncProcessMaker, sandbox: Sandbox, optional: str | None,\n"
        "    variable: dict[str, object], numbers: dict[str, int]) -> None:\n"
    )
    (tmp_path / "typed.py").write_text(before + "".join(f"    {line}\n" for line in lines))
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={tmp_path / 'cache'}"]
    ran = subprocess.run(
        [*command, "--follow-imports", "silent", str(tmp_path / "typed.py")],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": f"{ROOT / 'generated'}:{ROOT / 'wrapper'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    refused = {int(number) - 5 for number in re.findall(r"typed\.py:(\d+): error", ran.stdout)}
    assert [index not in refused for index in range(len(lines))] == list(lines.values()), ran.stdout + ran.stderr
