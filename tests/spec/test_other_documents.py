"""The wrapper over clients that were generated from other documents: of older servers, and of none that is known.

`documents` holds extracts, without any prose, of what three versions say about the operations that are kept.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from processmaker import ConfigurationError
from processmaker.sandbox import Sandbox
from processmaker.wire import endpoints as _endpoints

from openapi import generate, trim

DOCUMENTS = Path(__file__).parents[1] / "documents"
VERSIONS = sorted(path.stem for path in DOCUMENTS.glob("*.yaml"))
RULES = yaml.safe_load(trim.RULES.read_text(encoding="utf-8"))


def trimmed(version: str) -> Any:
    return trim.trim(trim.read(str(DOCUMENTS / f"{version}.yaml")), RULES)[0]


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Generates a client from the text of a document, in a folder of its own; once for each text."""

    @cache
    def generated_from(text: str) -> Path:
        folder = tmp_path_factory.mktemp("generated")
        (folder / "document.yaml").write_text(text, encoding="utf-8")
        generate.generate(folder / "processmaker_api", folder / "document.yaml")
        return folder

    return generated_from


@pytest.fixture
def use(generated: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Any], None]]:
    """Puts a client that is generated from a document in the place of `processmaker_api`, until the test is over."""
    committed = {name: sys.modules.pop(name) for name in list(sys.modules) if is_generated(name)}
    folders: list[Path] = []

    def use_client_of(document: Any) -> None:
        folders.append(generated(trim.dump(document)))
        monkeypatch.syspath_prepend(folders[0])

    yield use_client_of
    if used := sys.modules.get("processmaker_api"):
        assert Path(str(used.__file__)).parents[1] in folders
    for name in [name for name in sys.modules if is_generated(name)]:
        del sys.modules[name]
    sys.modules.update(committed)


def is_generated(module: str) -> bool:
    return module.partition(".")[0] == "processmaker_api"


def everything_works(pm: Any, sandbox: Sandbox) -> None:
    """Each operation that the wrapper has, once."""
    assert "Leave Request" in [process.name for process in pm.processes()]
    request = pm.start("Leave Request", {"days": 3}, idempotency_key="leave-1")
    assert (request.created, request.name, request.case_number) == (True, "Leave Request", 1)
    assert pm.start("Leave Request", {"days": 3}, idempotency_key="leave-1").id == request.id
    sandbox.fail_next("answer lost", on="POST /process_events")
    assert pm.start(4, {}, event="node_1", idempotency_key="lost").status == "COMPLETED"
    assert pm.get(request).data == {"days": 3}
    (task,) = pm.tasks(request)
    assert task.due_at is not None
    assert pm.complete(task, {"approved": True}).status == "CLOSED"
    assert pm.wait(request).data == {"days": 3, "approved": True}
    assert [each.id for each in pm.requests(order_direction="desc")] == [2, 1]
    assert len(sandbox.requests) == 2


@pytest.mark.parametrize("version", VERSIONS)
def test_the_whole_way_works_for_documents_of_other_versions(
    version: str, use: Callable[[Any], None], pm: Any, admin: Any, sandbox: Sandbox
) -> None:
    use(trimmed(version))
    everything_works(pm, sandbox)
    assert admin.cancel(admin.start("Two Steps")).status == "CANCELED"


def properties(node: Any) -> Iterator[Any]:
    """All properties of all schemas of answers."""
    for schema in node["components"]["schemas"].values():
        yield schema.get("properties", {})


@pytest.mark.parametrize("change", ["renamed", "retyped", "required", "of an enum", "gone"])
def test_properties_of_answers_may_be_anything(
    change: str, use: Callable[[Any], None], pm: Any, sandbox: Sandbox
) -> None:
    document = trimmed("4.15.5")
    for schema in document["components"]["schemas"].values():
        names = dict(schema.get("properties", {}))
        if change == "renamed":
            schema["properties"] = {f"the_{name}": value for name, value in names.items()}
        elif change == "retyped":
            schema["properties"] = {name: {"type": "boolean"} for name in names}
        elif change == "required":
            schema["properties"] = names | {"never_there": {"type": "object"}}
            schema["required"] = [*names, "never_there"]
        elif change == "of an enum":
            schema["properties"] = {name: {"type": "string", "enum": ["SLEEPING", "WAKING"]} for name in names}
        else:
            schema.pop("properties", None)
    use(document)
    everything_works(pm, sandbox)


def test_a_newer_full_document_goes_the_whole_way_with_the_corrections_that_are_asked_for(
    use: Callable[[Any], None], pm: Any, sandbox: Sandbox
) -> None:
    official, rules = trim.read(str(DOCUMENTS / "4.15.5.yaml")), copy.deepcopy(RULES)
    schemas, paths = official["components"]["schemas"], official["paths"]
    editable = schemas["processRequestEditable"]["properties"]
    editable["number_of_the_case"] = editable.pop("case_number")
    editable["name"] = {"type": "integer"}
    tenant = {"name": "tenant", "in": "query", "required": True, "schema": {"type": "string"}}
    paths["/process_events/{process_id}"]["post"]["parameters"].append(tenant)
    paths["/cases"] = {"get": {"responses": {"200": {}}}}
    trim.trim(official, rules)  # none of that asks for a correction

    editable["status"]["enum"].append("SLEEPING")
    editable["priority"] = {"type": "string", "enum": ["low", "high"]}
    schemas["processRequestEditable"]["required"] = ["name"]
    del paths["/tasks"]
    with pytest.raises(trim.TrimError) as caught:
        trim.trim(official, rules)
    place = "components.schemas.processRequestEditable"
    assert [line for line in str(caught.value).splitlines() if not line.startswith(" ")] == [
        "the operation GET /tasks is not in the document",
        f"the correction of {place}.properties.status does not fit",
        f"{place}.required could make an answer unreadable",
        f"{place}.properties.priority could make an answer unreadable",
    ]
    rules["operations"]["GET /tasks"]["only_if_there"] = "Tasks are looked for in another way."
    (status,) = (one for one in rules["corrections"] if one["where"] == f"{place}.properties.status")
    status["was_one_of"] = [status.pop("was"), editable["status"]]
    rules["corrections"] += [
        {"where": f"{place}.properties.priority", "was": editable["priority"], "is": {"type": ["string", "null"]}},
        {"where": f"{place}.required", "was": ["name"], "is": "(absent)"},
    ]
    use(trim.trim(official, rules)[0])
    request = pm.start("Leave Request", {"days": 3}, idempotency_key="leave-1")
    assert (request.name, request.case_number, request.status) == ("Leave Request", 1, "ACTIVE")
    assert pm.start("Leave Request", {"days": 3}, idempotency_key="leave-1").id == request.id
    with pytest.raises(ConfigurationError, match=r"GET /tasks: .* does not have this operation"):
        pm.tasks(request)
    assert len(sandbox.requests) == 1


def parameters_of(document: Any, operation: str) -> Any:
    method, path = operation.lower().split(" ")
    return document["paths"][path][method]["parameters"]


def test_new_required_parameters_are_left_to_the_server(use: Callable[[Any], None], pm: Any, sandbox: Sandbox) -> None:
    document = trimmed("4.15.5")
    for item in document["paths"].values():
        for operation in (operation for method, operation in item.items() if method in trim.METHODS):
            operation["parameters"] = [
                *operation.get("parameters", []),
                {"name": "tenant", "in": "query", "required": True, "schema": {"type": "string"}},
                {"name": "X-Tenant", "in": "header", "required": True, "schema": {"type": "string"}},
            ]
    use(document)
    everything_works(pm, sandbox)
    assert not [call for call in sandbox.calls if "tenant" in f"{call}".lower()]


def test_parameters_that_take_only_some_values_take_any(use: Callable[[Any], None], pm: Any, sandbox: Sandbox) -> None:
    document = trimmed("4.15.5")
    for operation in ("GET /requests", "GET /tasks", "GET /requests/{process_request_id}"):
        for parameter in parameters_of(document, operation):
            if parameter["schema"]["type"] == "string":
                parameter["schema"]["enum"] = ["one", "another"]
    use(document)
    everything_works(pm, sandbox)


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data", None])
def test_data_goes_out_as_json_whatever_the_document_takes(
    kind: str | None, use: Callable[[Any], None], pm: Any, sandbox: Sandbox
) -> None:
    document = trimmed("4.15.5")
    start = document["paths"]["/process_events/{process_id}"]["post"]
    if kind is None:
        del start["requestBody"]
    else:
        start["requestBody"]["content"] = {kind: start["requestBody"]["content"]["application/json"]}
    use(document)
    everything_works(pm, sandbox)


def test_an_operation_that_is_gone_stops_only_the_calls_that_need_it(
    use: Callable[[Any], None], pm: Any, sandbox: Sandbox
) -> None:
    document = trimmed("4.15.5")
    del document["paths"]["/tasks"]
    document["paths"]["/process_events/{process_id}"]["post"]["operationId"] = "anotherName"
    use(document)
    with pytest.raises(ConfigurationError, match=r"^POST /process_events/\{process_id\}: the generated") as caught:
        pm.start(4, event="node_1")
    assert caught.value.processed is False
    with pytest.raises(ConfigurationError, match=r"^GET /tasks: .* does not have this operation; .*`make regenerate"):
        pm.tasks(1)
    assert sandbox.calls == []
    assert pm.processes()
    assert pm.find("order-1", process=4) is None


def test_a_parameter_that_is_gone_stops_only_the_calls_that_send_it(
    use: Callable[[Any], None], pm: Any, sandbox: Sandbox
) -> None:
    document = trimmed("4.15.5")
    for operation, names in {"GET /requests": ["pmql"], "GET /requests/{process_request_id}": ["include"]}.items():
        parameters_of(document, operation)[:] = [
            parameter for parameter in parameters_of(document, operation) if parameter["name"] not in names
        ]
    use(document)
    request = pm.start(4, event="node_1")
    with pytest.raises(ConfigurationError, match=r"^GET /requests: .* does not have the parameter pmql of this"):
        pm.start(4, event="node_1", idempotency_key="order-1")
    with pytest.raises(ConfigurationError, match=r"^GET /requests/\{process_request_id\}: .* the parameter include of"):
        pm.get(request)
    assert pm.get(request, include=()).id == request.id
    assert [each.id for each in pm.requests()] == [request.id]
    assert len(sandbox.requests) == 1


def test_a_new_part_of_a_path_is_named(use: Callable[[Any], None], pm: Any, sandbox: Sandbox) -> None:
    document = trimmed("4.15.5")
    start = document["paths"].pop("/process_events/{process_id}")
    tenant = {"name": "tenant", "in": "path", "required": True, "schema": {"type": "string"}}
    start["post"]["parameters"] = [tenant, *copy.deepcopy(start["post"]["parameters"])]
    document["paths"]["/{tenant}/process_events/{process_id}"] = start
    use(document)
    with pytest.raises(ConfigurationError, match="the generated client, which wants tenant, cannot build this call"):
        pm.start(4, event="node_1")
    assert sandbox.calls == []


def test_the_committed_client_has_everything_that_is_sent(pm: Any, sandbox: Sandbox) -> None:
    sent = {end.operation for end in vars(_endpoints).values() if isinstance(end, _endpoints.Endpoint)}
    kept = set(RULES["operations"])
    assert sent == kept - {"POST /oauth/token"}  # signing in does without the generated client
    everything_works(pm, sandbox)
