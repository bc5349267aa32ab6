"""The four recipes of the public how-to guide for starting a Request, over a real socket against the sandbox.

tests/guide/as_printed holds them as the guide has them, in our words; tests/guide/mended as they should be. Each finds
the server in PROCESSMAKER_URL and the token in PROCESSMAKER_TOKEN.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from processmaker.sandbox import PASSWORD_CLIENT, Sandbox
from programs import need, not_run

GUIDE = Path(__file__).resolve().parents[1] / "guide"
ROOT = GUIDE.parent.parent
COLLECTION = ROOT / "openapi" / "processmaker.postman_collection.json"
NODE_MODULES = GUIDE / "node_modules"

AS_PRINTED = {
    "Python requests": GUIDE / "as_printed" / "python_requests.py",
    "Node.js axios": GUIDE / "as_printed" / "node_axios.mjs",
    "Postman": GUIDE / "as_printed" / "postman.sh",
    "curl": GUIDE / "as_printed" / "curl.sh",
}
MENDED = {name: GUIDE / "mended" / path.name for name, path in AS_PRINTED.items()}

INTERPRETERS = {".py": [sys.executable], ".mjs": ["node"], ".sh": ["sh"]}
NEEDS = {"Node.js axios": "node", "Postman": "node", "curl": "curl"}


def demand(recipe: str) -> None:
    """Skip a recipe that this machine cannot run, saying its name; CI must be able to."""
    if program := NEEDS.get(recipe):
        need(program, f"the guide's {recipe} recipe")
    if program == "node" and not NODE_MODULES.exists():
        not_run(f"the guide's {recipe} recipe was not run: what `make node` installs is not there")


@pytest.fixture(params=AS_PRINTED)
def recipe(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    demand(name)
    return name


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox()


@pytest.fixture
def url(sandbox: Sandbox) -> Iterator[str]:
    with sandbox.serve() as url:
        yield url


def run(command: Iterable[str | Path], url: str, token: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run a command as a user would in a fresh shell: no proxies, no .netrc, no .curlrc of this machine."""
    return subprocess.run(
        list(map(str, command)),
        cwd=ROOT,
        env={
            "PATH": f"{NODE_MODULES / '.bin'}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(home),
            "PROCESSMAKER_URL": url,
            "PROCESSMAKER_TOKEN": token,
        },
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
    )


def cook(path: Path, url: str, token: str, home: Path) -> subprocess.CompletedProcess[str]:
    return run([*INTERPRETERS[path.suffix], path], url, token, home)


def test_each_recipe_as_printed_starts_nothing_and_yet_exits_with_0(
    recipe: str, sandbox: Sandbox, url: str, tmp_path: Path
) -> None:
    result = cook(AS_PRINTED[recipe], url, sandbox.token(), tmp_path)
    assert sandbox.calls == [("POST", "/process_events/2", 404)]
    assert sandbox.requests == []
    assert result.returncode == 0, result.stderr


def test_curl_as_printed_with_the_event_added_destroys_the_data(sandbox: Sandbox, url: str, tmp_path: Path) -> None:
    demand("curl")
    printed = AS_PRINTED["curl"].read_text(encoding="utf-8")
    with_event = tmp_path / "curl.sh"
    with_event.write_text(printed.replace("/process_events/2", "/process_events/2?event=node_1"), encoding="utf-8")
    cook(with_event, url, sandbox.token(), tmp_path)
    assert sandbox.calls == [("POST", "/process_events/2", 201)]
    [request] = sandbox.requests
    assert request.data == {'{"key1":"value1","key2":"value2"}': None}


def test_each_recipe_as_mended_starts_a_request_and_its_data_is_intact(
    recipe: str, sandbox: Sandbox, url: str, tmp_path: Path
) -> None:
    result = cook(MENDED[recipe], url, sandbox.token(), tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert sandbox.calls == [("POST", "/process_events/2", 201)]
    [request] = sandbox.requests
    assert request.data == {"employee": "Ada", "days": 3}


@pytest.mark.parametrize("refused", ["wrong token", "maintenance"])
def test_each_recipe_as_mended_fails_when_nothing_was_started_and_keeps_the_token_to_itself(
    recipe: str, refused: str, sandbox: Sandbox, url: str, tmp_path: Path
) -> None:
    token = "not-a-token" if refused == "wrong token" else sandbox.token()
    sandbox.maintenance = refused == "maintenance"
    result = cook(MENDED[recipe], url, token, tmp_path)
    assert result.returncode != 0
    assert sandbox.calls == [("POST", "/process_events/2", 503 if sandbox.maintenance else 401)]
    assert token not in result.stdout + result.stderr


def test_every_request_of_the_postman_collection_succeeds(sandbox: Sandbox, url: str, tmp_path: Path) -> None:
    demand("Postman")
    admin = sandbox.user("admin")
    client_id, client_secret = PASSWORD_CLIENT
    variables = {
        "url": url,
        "token": admin.token,
        "process_request_id": 1,
        "task_id": 2,
        "file_id": 1,
        "client_id": client_id,
        "client_secret": client_secret,
        "username": admin.username,
        "password": admin.password,
    }
    settings = (part for name, value in variables.items() for part in ("--env-var", f"{name}={value}"))
    # Whoever uses the collection chooses a file to upload.
    (tmp_path / "offer.txt").write_text("hello")
    collection = json.loads(COLLECTION.read_text(encoding="utf-8"))
    (upload,) = (item for folder in collection["item"] for item in folder["item"] if "Upload" in item["name"])
    upload["request"]["body"]["formdata"][0]["src"] = str(tmp_path / "offer.txt")
    (tmp_path / "collection.json").write_text(json.dumps(collection), encoding="utf-8")
    result = run(["newman", "run", tmp_path / "collection.json", *settings], url, admin.token, tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert sandbox.calls == [
        ("POST", "/process_events/2", 201),
        ("GET", "/start_processes", 200),
        ("GET", "/requests", 200),
        ("GET", "/requests/1", 200),
        ("PUT", "/requests/1", 204),
        ("GET", "/tasks", 200),
        ("PUT", "/tasks/2", 200),
        ("GET", "/requests/1/files", 200),
        ("POST", "/requests/1/files", 200),
        ("GET", "/requests/1/files/1", 200),
        ("DELETE", "/requests/1/files/1", 204),
        ("POST", "/oauth/token", 200),
    ]
    assert sandbox.request(1).data == {"employee": "Ada", "days": 4, "approved": True}


def test_the_postman_collection_holds_every_operation_of_the_document() -> None:
    document = yaml.safe_load((ROOT / "openapi" / "processmaker.yaml").read_text(encoding="utf-8"))
    collection = json.loads(COLLECTION.read_text(encoding="utf-8"))
    operations = {
        (method.upper(), path)
        for path, item in document["paths"].items()
        for method in item
        if method in ("get", "post", "put", "patch", "delete")
    }
    assert {operation(item["request"]) for folder in collection["item"] for item in folder["item"]} == operations


def operation(request: dict[str, Any]) -> tuple[str, str]:
    path = "/" + "/".join(request["url"]["path"])
    return request["method"], re.sub(r":(\w+)", r"{\1}", path)


def test_the_lock_file_names_no_package_registry() -> None:
    packages = json.loads((GUIDE / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    assert packages
    assert not [name for name, package in packages.items() if "resolved" in package]


def test_the_users_guide_shows_the_mended_recipes() -> None:
    page = (ROOT / "wrapper" / "docs" / "first-start.md").read_text(encoding="utf-8")
    for recipe, path in MENDED.items():
        assert path.read_text(encoding="utf-8") in page, f"the guide shows another {recipe} recipe"
