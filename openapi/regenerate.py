"""Adopt a changed API: trim the document, validate it, generate from it, check the types, run the tests.

    python openapi/regenerate.py SPEC [VERSION]

SPEC is the official OpenAPI document, a file or a URL. VERSION is the version of ProcessMaker that it is of; if it is
left out, it is read from the name of the document. At the end, what changed in the API is reported, as diff.py does it.
If a step fails, the report comes all the same, and the old files are put back, byte for byte.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT))

from openapi import diff  # noqa: E402 - this file is also run as a command

DOCUMENT = HERE / "processmaker.yaml"
COLLECTION = HERE / "processmaker.postman_collection.json"
CONVERTER = ROOT / "tests" / "guide" / "node_modules" / "openapi-to-postmanv2"
PACKAGE = ROOT / "generated" / "processmaker_api"
USAGE = """usage: make regenerate SPEC=<file or URL of the OpenAPI document> [VERSION=<its version of ProcessMaker>]
A ProcessMaker serves its own document at /docs."""

Json = Any


def steps(spec: str, version: str = "") -> dict[str, list[str]]:
    """Return the command of each step, by its name."""
    # Without Postman's converter, the collection stays as it is.
    postman = {"postman": [sys.executable, str(HERE / "postman.py")]} if CONVERTER.exists() else {}
    return {
        "trim": [sys.executable, str(HERE / "trim.py"), spec, f"--version={version}"],
        "validate": [sys.executable, "-m", "openapi_spec_validator", str(DOCUMENT)],
        "generate": [sys.executable, str(HERE / "generate.py")],
        **postman,
        "types": [sys.executable, "-m", "mypy"],
        "test": [sys.executable, "-m", "pytest", "-n", "auto"],
    }


def regenerate(commands: dict[str, list[str]], paths: Sequence[Path] = (DOCUMENT, PACKAGE, COLLECTION)) -> int:
    """Run the commands in turn; return 0, or 1 if one failed and the files that they write were put back.

    The first of the paths is the document.
    """
    with tempfile.TemporaryDirectory() as scratch:
        saved = [Path(scratch) / path.name for path in paths]
        for path, copy in zip(paths, saved, strict=True):
            _copy(path, copy)
        before = after = _load(paths[0])
        failed = None
        try:
            for name, command in commands.items():
                print(f"regenerate: {name}", flush=True)
                failed = name  # also if the user interrupts it
                if subprocess.run(command, cwd=ROOT).returncode:
                    break
                failed = None
                after = _load(paths[0])
        finally:
            if failed:
                for path, copy in zip(paths, saved, strict=True):
                    _copy(copy, path)
    # The report explains a failure of a later step. If the first one fails, there is nothing to compare.
    if not failed or after != before:
        print("\n".join(diff.report(before, after)), flush=True)
    if failed:
        print(f"regenerate: the step `{failed}` failed; the old files are back", file=sys.stderr)
        return 1
    return 0


def _copy(source: Path, target: Path) -> None:
    """Make `target` what `source` is: a directory, a file or nothing."""
    if target.is_dir():
        shutil.rmtree(target)
    target.unlink(missing_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    elif source.exists():
        shutil.copy2(source, target)


def _load(document: Path) -> Json:
    return yaml.safe_load(document.read_text(encoding="utf-8")) if document.exists() else {}


def main(arguments: list[str]) -> int:
    spec, version = [*arguments, "", ""][:2]
    if not spec:
        print(USAGE, file=sys.stderr)
        return 2
    return regenerate(steps(spec if "://" in spec else str(Path(spec).resolve()), version))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
