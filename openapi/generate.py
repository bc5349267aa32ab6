"""Write generated/processmaker_api from processmaker.yaml or, with --check, see whether it is up to date.

    python openapi/generate.py [--check]

It works offline. It insists on the pinned versions of the tools, since others write other bytes.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import distributions
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from openapi import trim  # noqa: E402 - this file is also run as a command

DOCUMENT = HERE / "processmaker.yaml"
PACKAGE = HERE.parent / "generated" / "processmaker_api"
PINS = HERE.parent / ".ci" / "constraints.txt"
TOOLS = ("openapi-python-client", "ruff")


class GenerateError(Exception):
    """Nothing was written. The message says why."""


def check_rules() -> None:
    """Raise GenerateError if trim.yaml has changed since the document was made with it."""
    made = yaml.safe_load(DOCUMENT.read_text(encoding="utf-8"))["info"]
    if made.get(trim.DIGEST) != trim.digest():
        spec = f"<the official document of ProcessMaker {made.get(trim.VERSION)}>"
        todo = f"run `make trim SPEC={spec}`, then `make generate`"
        raise GenerateError(f"{DOCUMENT.name} was made with another trim.yaml: {todo}")


def check_tools(pins: str) -> None:
    """Raise GenerateError unless the tools are installed as `pins`, the text of a constraints file, says."""
    wanted = dict(line.split("==", 1) for line in pins.split() if "==" in line)
    installed = {one.name: one.version for one in distributions()}
    for tool in TOOLS:
        if installed.get(tool) != wanted.get(tool):
            raise GenerateError(
                f"{tool} {wanted.get(tool)} is needed, since versions differ in what they write, "
                f"but {installed.get(tool, 'none')} is installed: run `make install`"
            )


def generate(target: Path, document: Path | None = None) -> None:
    """Write the package to `target`, a directory that does not exist yet."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("RUFF_", "PYTHON"))}
    environment |= {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "PYTHONUTF8": "1",
        "PYTHONHASHSEED": "0",
    }
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--meta=none", "--fail-on-warning"]
    command += [f"--path={document or DOCUMENT}", f"--config={HERE / 'generator.yaml'}", f"--output-path={target}"]
    command += [f"--custom-template-path={HERE / 'templates'}"]
    run = subprocess.run(command, env=environment, cwd=HERE, capture_output=True, text=True, encoding="utf-8")
    if run.returncode:
        raise GenerateError(f"openapi-python-client failed:\n{run.stdout}{run.stderr}".rstrip())
    (target / "py.typed").touch()


def files(package: Path) -> dict[str, bytes]:
    """Return what each file below `package` holds, by its path there."""
    return {
        path.relative_to(package).as_posix(): path.read_bytes()
        for path in sorted(package.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def differences(committed: Path, fresh: Path) -> list[str]:
    """Return a line for each file that is not the same in both directories."""
    old, new = files(committed), files(fresh)
    words = {
        name: "is missing" if name not in old else "should not be there" if name not in new else "differs"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    }
    return [f"{committed.name}/{name} {what}" for name, what in words.items()]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="generate.py", description="Write generated/ from openapi/processmaker.yaml.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if generated/ is not up to date")
    options = parser.parse_args(arguments)
    try:
        if options.check:
            check_rules()
        check_tools(PINS.read_text(encoding="utf-8"))
        # Beside the package, so that it can be renamed to take its place.
        beside = None if options.check else PACKAGE.parent
        with tempfile.TemporaryDirectory(prefix=".fresh-", dir=beside) as scratch:
            fresh = Path(scratch) / "fresh" / PACKAGE.name
            fresh.parent.mkdir()
            generate(fresh)
            if not options.check:
                shutil.rmtree(PACKAGE, ignore_errors=True)
                fresh.rename(PACKAGE)
            elif lines := differences(PACKAGE, fresh):
                raise GenerateError("\n  ".join(["generated/ is not up to date, run `make generate`:", *lines]))
    except (GenerateError, OSError) as error:
        print(f"generate: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
