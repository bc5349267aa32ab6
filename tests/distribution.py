"""Tries what `make build` made as its users will: `python -m tests.distribution [FOLDER]` (default: dist).

The wheel goes into a fresh environment, which must then hold its dependencies and what they need, and nothing more; the
command line is tried with the extra `cli`.
The source distribution is unpacked, installed with what is needed to work on it, and goes the whole way from an API
document to its own tests. Both need a package index, pip's as it is set.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import venv
from pathlib import Path
from tempfile import TemporaryDirectory

NAME = "processmaker-client"
DEPENDENCIES = ["attrs", "httpx", "sniffio"]
DOCUMENT = Path("tests", "documents", "4.15.5.yaml")
BROUGHT = """
from importlib.metadata import distributions
import re, sys

needs = {}
for found in distributions():
    name = re.sub("[-_.]+", "-", found.metadata["Name"]).lower()
    needs[name] = [
        re.sub("[-_.]+", "-", re.split("[^A-Za-z0-9._-]", need)[0]).lower()
        for need in found.requires or [] if "extra ==" not in need
    ]
direct, reached, todo = needs[sys.argv[1]], set(), [sys.argv[1]]
while todo:
    name = todo.pop()
    if name in needs and name not in reached:
        reached.add(name)
        todo += needs[name]
print(*sorted(direct), "|", *sorted(needs.keys() - reached - {"pip", "setuptools"}))
"""

DOCTOR = """
import os, sys
from processmaker.cli import main
from processmaker.sandbox import Sandbox

sandbox = Sandbox()
os.environ["PROCESSMAKER_TOKEN"] = sandbox.token()
with sandbox.serve() as url:
    sys.exit(main(["doctor", "--url", url]))
"""


class Failed(Exception):
    """What does not work."""


def python(executable: Path | str, *arguments: str, folder: Path) -> str:
    """What Python prints, run in that folder and apart from whatever is installed here."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(
        [str(executable), *arguments], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    )
    if done.returncode:
        raise Failed(f"{' '.join(arguments[:4])} ended with {done.returncode}\n{done.stdout}")
    return done.stdout


def fresh_environment(folder: Path) -> Path:
    """The Python of a new virtual environment."""
    venv.create(folder, with_pip=True)
    (executable,) = (path for path in folder.glob("*/python*") if path.stem == "python")
    return executable


def try_wheel(wheel: Path, scratch: Path) -> None:
    executable = fresh_environment(scratch / "fresh")
    python(executable, "-m", "pip", "install", "--quiet", str(wheel), folder=scratch)
    brought = python(executable, "-c", BROUGHT, NAME, folder=scratch).strip()
    if brought != f"{' '.join(DEPENDENCIES)} |":
        raise Failed(f"the wheel brought: {brought}")
    python(executable, "-m", "pip", "check", folder=scratch)
    told = python(executable, "-m", "processmaker.sandbox", "--demo", folder=scratch)
    if "COMPLETED" not in told:
        raise Failed(f"the demo ended with: {told}")
    python(executable, "-m", "pip", "install", "--quiet", f"{wheel}[cli]", folder=scratch)
    python(executable, "-m", "processmaker", "--help", folder=scratch)
    python(executable, "-c", DOCTOR, folder=scratch)


def unpacked(sdist: Path, into: Path) -> Path:
    """The project, unpacked from the source distribution."""
    with tarfile.open(sdist) as archive:
        if hasattr(tarfile, "data_filter"):  # from Python 3.11.4 on
            archive.extraction_filter = tarfile.data_filter
        archive.extractall(into)
    (project,) = into.iterdir()
    return project


def try_sdist(sdist: Path, scratch: Path) -> None:
    project = unpacked(sdist, scratch / "unpacked")
    executable = fresh_environment(project / ".venv")
    constraints = str(Path(".ci", "constraints.txt"))
    python(executable, "-m", "pip", "install", "--quiet", "-c", constraints, "-e", ".[dev]", folder=project)
    python(executable, "openapi/regenerate.py", str(DOCUMENT), folder=project)


def main(arguments: list[str]) -> int:
    folder = Path(*arguments[:1] or ["dist"]).resolve()
    try:
        with TemporaryDirectory() as scratch:
            for kind, attempt in (("*.whl", try_wheel), ("*.tar.gz", try_sdist)):
                found = sorted(folder.glob(kind))
                if len(found) != 1:
                    raise Failed(f"{folder} should hold one {kind}, not {len(found)}: run `make build`")
                print(f"distribution: {found[0].name}", flush=True)
                attempt(found[0], Path(scratch))
    except Failed as problem:
        print(f"distribution: {problem}", file=sys.stderr)
        return 1
    print("distribution: both work")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
