"""Write processmaker.postman_collection.json from processmaker.yaml or, with --check, see whether it is up to date.

    python openapi/postman.py [--check]

Postman's own converter, openapi-to-postmanv2, makes the collection. It needs Node.js. Without Node.js, --check fails
only if CI is true. Before the conversion, the collection's variables go into the document as examples. After it, what
differs from run to run (ids) and what the converter makes up (answers) is removed, and each request gets a test for
success.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
DOCUMENT = HERE / "processmaker.yaml"
COLLECTION = HERE / "processmaker.postman_collection.json"
NODE_MODULES = HERE.parent / "tests" / "guide" / "node_modules"
CONVERTER = NODE_MODULES / "openapi-to-postmanv2" / "bin" / "openapi2postmanv2.js"

OPTIONS = {"folderStrategy": "Tags", "parametersResolution": "Example", "enableOptionalParameters": False}

VARIABLES = {
    "url": "https://pm.example.com",
    "baseUrl": "{{url}}/api/1.0",
    "token": "",
    "process_id": "2",
    "event": "node_1",
    "process_request_id": "",
    "task_id": "",
    "file_id": "",
    "client_id": "",
    "client_secret": "",
    "username": "",
    "password": "",
    "refresh_token": "",
}

BODIES: dict[str, dict[str, Any]] = {
    "triggerStartEvent": {"employee": "Ada", "days": 3},
    "updateProcessRequest": {"data": {"days": 4}},
    "updateTask": {"status": "COMPLETED", "data": {"approved": True}},
}

TOKEN_PATH = "/oauth/token"
PASSWORD_GRANT = ["grant_type", "client_id", "client_secret", "username", "password"]

SUCCEEDED = {
    "listen": "test",
    "script": {
        "type": "text/javascript",
        "exec": ['pm.test("The server says that it succeeded", () => pm.response.to.be.success);'],
    },
}


class PostmanError(Exception):
    """Nothing was written. The message says why."""


class NodeMissingError(PostmanError):
    """Node.js, or the converter, is not installed on this machine."""


def with_examples(document: dict[str, Any]) -> dict[str, Any]:
    """Return `document`, changed in place, with an example for each value that the converter would make up."""
    for path, item in document["paths"].items():
        for operation in (value for key, value in item.items() if key in ("get", "post", "put", "delete", "patch")):
            for parameter in operation.get("parameters", []):
                schema, name = parameter["schema"], parameter["name"]
                variable = "process_request_id" if name == "request_id" else name
                parameter["example"] = f"{{{{{variable}}}}}" if parameter.get("required") else f"<{schema['type']}>"
                # The converter reads descriptions only here.
                parameter["description"] = schema.get("description", "")
            if path == TOKEN_PATH:
                form = operation["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]
                form["required"] = PASSWORD_GRANT  # so that these fields are switched on
                for name, field in form["properties"].items():
                    field["example"] = f"{{{{{name}}}}}" if name in VARIABLES else f"<{field['type']}>"
                form["properties"]["grant_type"]["example"] = "password"
            elif operation["operationId"] in BODIES:
                operation["requestBody"]["content"]["application/json"]["example"] = BODIES[operation["operationId"]]
    return document


def converted(document: dict[str, Any]) -> dict[str, Any]:
    """Return the collection that the converter makes of `document`."""
    node = shutil.which("node")
    if node is None:
        raise NodeMissingError("Node.js is not installed here, and Postman's converter needs it")
    if not CONVERTER.exists():
        raise NodeMissingError("openapi-to-postmanv2 is not installed: run `make node`")
    with tempfile.TemporaryDirectory() as scratch:
        source, options, target = (Path(scratch, name) for name in ("document.json", "options.json", "collection.json"))
        source.write_text(json.dumps(document), encoding="utf-8")
        options.write_text(json.dumps(OPTIONS), encoding="utf-8")
        command = [node, str(CONVERTER), "-s", str(source), "-c", str(options), "-o", str(target)]
        run = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
        if not target.exists():  # it exits with 0 also when it fails
            raise PostmanError(f"openapi-to-postmanv2 failed:\n{run.stdout}{run.stderr}".rstrip())
        collection: dict[str, Any] = json.loads(target.read_text(encoding="utf-8"))
        return collection


def finished(collection: dict[str, Any]) -> dict[str, Any]:
    """Return `collection`, changed in place, the same each time and with our variables."""
    del collection["info"]["_postman_id"]
    collection["variable"] = [{"key": key, "value": value} for key, value in VARIABLES.items()]
    collection["auth"] = {"type": "bearer", "bearer": [{"key": "token", "value": "{{token}}", "type": "string"}]}
    collection["event"] = [SUCCEEDED]
    for item in (item for folder in collection["item"] for item in folder["item"]):
        del item["id"]
        item["response"] = []
        request = item["request"]
        if "/" + "/".join(request["url"]["path"]) == TOKEN_PATH:
            # The converter ignores `servers` and `security` of a single operation.
            request["url"]["host"] = ["{{url}}"]
            request["auth"] = {"type": "noauth"}
    return collection


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="postman.py", description="Write the Postman collection.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the collection is not up to date")
    options = parser.parse_args(arguments)
    try:
        document = yaml.safe_load(DOCUMENT.read_text(encoding="utf-8"))
        text = json.dumps(finished(converted(with_examples(document))), indent=2, ensure_ascii=False) + "\n"
        if not options.check:
            COLLECTION.write_text(text, encoding="utf-8", newline="\n")
        elif not COLLECTION.exists() or COLLECTION.read_bytes() != text.encode():
            raise PostmanError(f"openapi/{COLLECTION.name} is not up to date: run `make postman`")
    except (PostmanError, OSError) as error:
        if options.check and isinstance(error, NodeMissingError) and os.environ.get("CI") != "true":
            print(f"postman: not checked: {error}")
            return 0
        print(f"postman: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
