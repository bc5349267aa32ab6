"""Go the whole way for a changed API: trim the document, validate it, generate from it, run the tests.

    python openapi/regenerate.py SPEC

SPEC is the full OpenAPI document, a file or a URL. When a step fails the old files are put back, byte for
byte. It ends by telling what changed in the API, as diff.py does.
"""

import shutil
import subprocess
import sys
import tempfile
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
USAGE = "usage: make regenerate SPEC=<file or URL of the OpenAPI document; an instance serves its own at /docs>"

Json = Any


def steps(spec: str) -> dict[str, list[str]]:
    """Return the command of each step, by its name."""
    # Where Postman's converter is not installed, the collection stays as it is.
    postman = {"postman": [sys.executable, str(HERE / "postman.py")]} if CONVERTER.exists() else {}
    return {
        "trim": [sys.executable, str(HERE / "trim.py"), spec],
        "validate": [sys.executable, "-m", "openapi_spec_validator", str(DOCUMENT)],
        "generate": [sys.executable, str(HERE / "generate.py")],
        **postman,
        "test": [sys.executable, "-m", "pytest"],
    }


def regenerate(
    commands: dict[str, list[str]],
    document: Path = DOCUMENT,
    package: Path = PACKAGE,
    collection: Path = COLLECTION,
) -> int:
    """Run the commands in turn; return 0, or 1 when one failed and what they write is as it was."""
    with tempfile.TemporaryDirectory() as scratch:
        saved = {path: Path(scratch) / path.name for path in (document, package, collection)}
        for path, copy in saved.items():
            _copy(path, copy)
        before = _load(document)
        try:
            for name, command in commands.items():
                print(f"regenerate: {name}", flush=True)
                if subprocess.run(command, cwd=ROOT).returncode:
                    print(f"regenerate: the step `{name}` failed; the old files are back", file=sys.stderr)
                    break
            else:
                saved.clear()
        finally:
            for path, copy in saved.items():
                _copy(copy, path)
        if saved:
            return 1
    print("\n".join(diff.report(before, _load(document))))
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
    if len(arguments) != 1 or not arguments[0]:
        print(USAGE, file=sys.stderr)
        return 2
    spec = arguments[0]
    return regenerate(steps(spec if "://" in spec else str(Path(spec).resolve())))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
