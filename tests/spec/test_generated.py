"""The generated code: up to date, light to import, and able to read whatever a server answers.

It may have been generated from the document of another server than those that were recorded.
"""

import copy
import inspect
import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import attrs
import httpx
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from processmaker_api import AuthenticatedClient, Client, models
from processmaker_api.api.oauth import issue_token
from processmaker_api.api.process_requests import (
    get_process_request_by_id,
    get_processes_requests,
    update_process_request,
)
from processmaker_api.api.processes import start_processes, trigger_start_event
from processmaker_api.api.request_files import (
    create_request_file,
    delete_request_file,
    get_request_file,
    get_request_files,
)
from processmaker_api.api.tasks import get_tasks, update_task
from processmaker_api.models import (
    CreateRequestFileBody,
    ErrorBody,
    GetTasksResponse,
    IssueTokenBody,
    ProcessRequest,
    ProcessRequestEditable,
    StartProcessesResponse,
    Token,
    TriggerStartEventBody,
    UpdateTaskBody,
)
from processmaker_api.types import File

from openapi import generate, trim

ROOT = Path(__file__).resolve().parents[2]
CASSETTES = ROOT / "tests" / "cassettes"
HOST = "https://pm.example.com"
API = f"{HOST}/api/1.0"


# --- recordings ---------------------------------------------------------------------------------------------


def endpoint_of(method: str, path: str) -> tuple[ModuleType, list[Any]] | None:
    """The generated module for a request, and its arguments from the path; None for operations not kept."""
    match method, path.removeprefix("/").split("/"):
        case "POST", ["oauth", "token"]:
            return issue_token, []
        case "POST", ["api", "1.0", "process_events", process_id]:
            return trigger_start_event, [process_id]
        case "GET", ["api", "1.0", "start_processes"]:
            return start_processes, []
        case "GET", ["api", "1.0", "requests"]:
            return get_processes_requests, []
        case "GET", ["api", "1.0", "requests", request_id]:
            return get_process_request_by_id, [request_id]
        case "PUT", ["api", "1.0", "requests", request_id]:
            return update_process_request, [request_id]
        case "GET", ["api", "1.0", "requests", request_id, "files"]:
            return get_request_files, [request_id]
        case "POST", ["api", "1.0", "requests", request_id, "files"]:
            return create_request_file, [request_id]
        case "GET", ["api", "1.0", "requests", request_id, "files", file_id]:
            return get_request_file, [request_id, file_id]
        case "DELETE", ["api", "1.0", "requests", request_id, "files", file_id]:
            return delete_request_file, [request_id, file_id]
        case "GET", ["api", "1.0", "tasks"]:
            return get_tasks, []
        case "PUT", ["api", "1.0", "tasks", task_id]:
            return update_task, [task_id]
    return None


RENAMED = {"type": "type_", "filter": "filter_"}
BODIES: dict[ModuleType, Any] = {
    trigger_start_event: TriggerStartEventBody,
    update_process_request: ProcessRequestEditable,
    update_task: UpdateTaskBody,
}


def recorded_exchanges() -> Iterator[Any]:
    """Each recorded exchange with an operation that is kept."""
    for cassette in sorted(CASSETTES.glob("*/*.yaml")):
        name = cassette.relative_to(CASSETTES).with_suffix("").as_posix()
        loaded = yaml.load(cassette.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        for number, exchange in enumerate(loaded["interactions"]):
            request = exchange["request"]
            if endpoint := endpoint_of(request["method"], urlsplit(request["uri"]).path):
                yield pytest.param(exchange, *endpoint, id=f"{name}-{number}")


def content_of(exchange: Any) -> bytes:
    body = exchange["response"]["body"]["string"]
    return body if isinstance(body, bytes) else str(body).encode()


def answering(exchange: Any, seen: list[httpx.Request]) -> httpx.MockTransport:
    """A transport that gives the recorded answer and notes what it was asked."""
    recorded = exchange["response"]

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        headers = [(name, value) for name, values in recorded["headers"].items() for value in values]
        return httpx.Response(recorded["status"]["code"], headers=headers, content=content_of(exchange))

    return httpx.MockTransport(answer)


def arguments_of(request: Any, endpoint: ModuleType) -> dict[str, Any]:
    """The arguments, other than those in the path, that make the generated code ask what was recorded."""
    query = dict(parse_qsl(urlsplit(str(request["uri"])).query))
    arguments: dict[str, Any] = {RENAMED.get(name, name): value for name, value in query.items()}
    if endpoint is trigger_start_event:
        arguments.setdefault("event", "")
    if endpoint is create_request_file:
        arguments["body"] = CreateRequestFileBody(file=File(BytesIO(b"hello"), file_name="offer.txt"))
    elif endpoint is issue_token:
        arguments["body"] = IssueTokenBody.from_dict(dict(parse_qsl(request["body"])))
    elif endpoint in BODIES:
        try:
            arguments["body"] = BODIES[endpoint].from_dict(json.loads(request["body"]))
        except ValueError:  # a recording of a body that is not JSON
            arguments["body"] = BODIES[endpoint].from_dict({})
    return arguments


UNFORESEEN = "unforeseen"
"""For a parameter that a document requires besides."""


def call(endpoint: ModuleType, *path: Any, client: Client, **arguments: Any) -> Any:
    """What the generated code makes of an answer."""
    parameters = inspect.signature(endpoint.sync_detailed).parameters.values()
    needed = {one.name for one in parameters if one.kind is one.KEYWORD_ONLY and one.default is one.empty}
    unforeseen = dict.fromkeys(needed - {"client", *arguments}, UNFORESEEN)
    return endpoint.sync_detailed(*path, client=client, **arguments, **unforeseen)


def asked(request: httpx.Request) -> list[tuple[str, str]]:
    """The query that was asked for."""
    return sorted((name, value) for name, value in request.url.params.multi_items() if value != UNFORESEEN)


@pytest.mark.parametrize(("exchange", "endpoint", "path"), list(recorded_exchanges()))
def test_every_recorded_answer_is_read_and_nothing_in_it_is_lost(
    exchange: Any, endpoint: ModuleType, path: list[Any]
) -> None:
    recorded, seen = exchange["response"], list[httpx.Request]()
    base_url = HOST if endpoint is issue_token else API
    with Client(base_url=base_url, httpx_args={"transport": answering(exchange, seen)}) as client:
        arguments = arguments_of(exchange["request"], endpoint)
        response = call(endpoint, *path, client=client, **arguments)

    status = recorded["status"]["code"]
    assert response.status_code == status
    if status == 200 and endpoint is get_request_file:
        assert response.parsed.payload.read() == content_of(exchange)
    elif status in (200, 201):
        assert type(response.parsed).__module__.startswith("processmaker_api.models.")
        assert response.parsed.to_dict() == json.loads(recorded["body"]["string"])
    elif status in (204, 304):
        assert response.parsed is None
    else:
        assert isinstance(response.parsed, ErrorBody | str)
    recorded_url = httpx.URL(exchange["request"]["uri"])
    assert (seen[0].method, seen[0].url.path) == (exchange["request"]["method"], recorded_url.path)
    if recorded_url.query:
        assert asked(seen[0]) == sorted(recorded_url.params.multi_items())


# --- answers nobody has seen yet ----------------------------------------------------------------------------


REMOVED = object()
ODD_VALUES: list[Any] = [None, "odd", 17, [1, "odd", {"id": None}], {"odd": []}, REMOVED]
Place = tuple[str | int, ...]


def places_in(node: Any, before: Place = ()) -> Iterator[Place]:
    """Where there are values in a JSON document, from the top down."""
    for step, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield (*before, step)
        yield from places_in(value, (*before, step))


def replace(answer: Any, place: Place, value: Any) -> None:
    holder = answer
    for step in place[:-1]:
        holder = holder[step]
    if value is REMOVED:
        del holder[place[-1]]
    else:
        holder[place[-1]] = copy.deepcopy(value)


def recorded_answers() -> list[tuple[Any, Any]]:
    """Each different recorded answer that is an object, with the generated model that reads it."""
    found = {}
    for exchange, endpoint, _ in (parameter.values for parameter in recorded_exchanges()):
        with suppress(ValueError):
            answer = json.loads(content_of(exchange))
            status = exchange["response"]["status"]["code"]
            parsed = endpoint._parse_response(client=Client(API), response=httpx.Response(status, json=answer))
            if attrs.has(type(parsed)):
                found[endpoint, status, content_of(exchange)] = (type(parsed), answer)
    return list(found.values())


def test_no_change_of_a_value_in_a_recorded_answer_makes_its_model_raise() -> None:
    known = set()
    for model, answer in recorded_answers():
        for place in places_in(answer):
            value = answer
            for step in place:
                value = value[step]
            # Of the same places in other answers and in other entries of a list, one is enough.
            kind = model, tuple("*" if isinstance(step, int) else step for step in place), type(value)
            if kind in known:
                continue
            known.add(kind)
            for odd in ODD_VALUES:
                changed = copy.deepcopy(answer)
                replace(changed, place, odd)
                model.from_dict(changed)
    assert len(known) > 500


def test_many_changes_at_once_in_a_recorded_answer_do_not_make_its_model_raise() -> None:
    chance = random.Random(18)
    answers = recorded_answers()
    assert len(answers) > 100
    for model, answer in answers:
        for share in (0.05, 0.3):
            changed = copy.deepcopy(answer)
            # From the last to the first: what is removed or replaced moves no place that is still to come.
            for place in reversed(list(places_in(answer))):
                if chance.random() < share:
                    replace(changed, place, chance.choice(ODD_VALUES))
            model.from_dict(changed)


def started(body: Any, status: int = 201) -> Any:
    """What the generated code makes of this answer to a start."""
    transport = httpx.MockTransport(lambda _: httpx.Response(status, json=body))
    with Client(base_url=API, httpx_args={"transport": transport}) as client:
        data = TriggerStartEventBody.from_dict({"days": 3})
        return call(trigger_start_event, 2, client=client, event="node_1", body=data).parsed


def recorded_start() -> Any:
    cassette = yaml.safe_load((CASSETTES / "4.15.5" / "start_active.yaml").read_text(encoding="utf-8"))
    return json.loads(cassette["interactions"][0]["response"]["body"]["string"])


@pytest.mark.parametrize(
    "odd",
    [
        {"status": "SLEEPING"},
        {"id": "1", "process_id": "2", "user_id": "3", "case_number": "1"},
        {"created_at": "2026-11-23 22:12:30", "updated_at": "yesterday", "initiated_at": 1795472007},
        {"data": []},
        {"data": [1, 2], "errors": {}, "process": [], "user": "me", "participants": {}, "summary": False},
        {"do_not_sanitize": None, "signal_events": {}, "process_version": []},
        {"something_new": {"deep": [None]}},
        dict.fromkeys(recorded_start()),
    ],
)
def test_a_start_is_read_however_odd_the_request_looks(odd: Any) -> None:
    body = recorded_start() | odd
    assert started(body).to_dict() == body


def test_an_empty_object_is_a_request_without_anything() -> None:
    assert started({}) == ProcessRequest()


def test_a_start_answered_with_200_is_read_as_well() -> None:
    assert started(recorded_start(), status=200).to_dict()["id"] == 1


def test_a_status_that_is_not_in_the_document_is_no_error() -> None:
    assert started({"message": "I'm a teapot"}, status=418) is None


@pytest.mark.parametrize("data", [None, [], [{}], [{"id": None, "startEvents": None, "events": [{"id": None}]}]])
def test_a_list_of_processes_may_be_null_or_full_of_nulls(data: Any) -> None:
    body = {"data": data, "meta": None}
    assert StartProcessesResponse.from_dict(body).to_dict() == body


def test_a_task_keeps_fields_the_document_does_not_know() -> None:
    body = {"data": [{"id": "34", "version_id": None, "element_index": 0}], "meta": {"in_overdue": 0, "from": 1}}
    assert GetTasksResponse.from_dict(body).to_dict() == body


ANSWERS = ["CreateRequestFileResponse", "ErrorBody", "GetProcessesRequestsResponse", "GetRequestFilesResponse"]
ANSWERS += ["GetTasksResponse", "ProcessRequest", "ProcessRequestToken"]
ANSWERS += ["StartProcessesResponse", "Token"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "data", "events", "startEvents", "from", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@pytest.mark.parametrize("name", ANSWERS)
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_no_json_object_makes_the_parser_raise(name: str, data: st.DataObject) -> None:
    model = getattr(models, name)
    keys = [field.name.rstrip("_") for field in attrs.fields(model)]
    model.from_dict(data.draw(st.dictionaries(st.sampled_from(keys), VALUES)))


# --- what goes out ------------------------------------------------------------------------------------------


def test_nothing_is_sent_that_was_not_asked_for() -> None:
    seen: list[httpx.Request] = []
    exchange = {"response": {"status": {"code": 200}, "headers": {}, "body": {"string": "{}"}}}
    with Client(base_url=API, httpx_args={"transport": answering(exchange, seen)}) as client:
        call(start_processes, client=client)
        call(get_processes_requests, client=client)
        call(get_tasks, client=client)
        call(get_process_request_by_id, 1, client=client)
    assert [asked(request) for request in seen] == [[], [], [], []]


@pytest.mark.parametrize(
    "data",
    [
        {"days": 3},
        {},
        {"z": 1, "a": {"y": 1.0, "b": 1e17, "additional_properties": [None, {"d": 0.1}]}, "0": -0.0, "cls": "é"},
        {"additional_properties": {"a": 1}, "to_dict": None, "self": True, "body": 12345678901234567890},
    ],
)
def test_data_is_sent_as_json_exactly_as_given(data: dict[str, Any]) -> None:
    request = trigger_start_event.build_request(2, event="node_1", body=TriggerStartEventBody.from_dict(data))
    with httpx.Client(base_url=API) as client:
        sent = client.build_request(**request)
    assert (sent.method, str(sent.url)) == ("POST", f"{API}/process_events/2?event=node_1")
    assert sent.headers["content-type"] == "application/json"
    assert json.dumps(json.loads(sent.content)) == json.dumps(data)


def test_each_request_builder_is_public() -> None:
    modules = [path for path in (ROOT / "generated").rglob("api/*/*.py") if path.name != "__init__.py"]
    assert len(modules) == len(
        yaml.safe_load((ROOT / "openapi" / "trim.yaml").read_text(encoding="utf-8"))["operations"]
    )
    for module in modules:
        text = module.read_text(encoding="utf-8")
        assert "def build_request(" in text
        assert "_get_kwargs" not in text


def test_a_generator_without_a_request_builder_to_rename_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for template in (ROOT / "openapi" / "templates").iterdir():
        (tmp_path / "templates" / template.name).parent.mkdir(exist_ok=True)
        text = template.read_text(encoding="utf-8").replace("def _get_kwargs(", "def _get_arguments(")
        (tmp_path / "templates" / template.name).write_text(text, encoding="utf-8")
    (tmp_path / "generator.yaml").write_bytes((ROOT / "openapi" / "generator.yaml").read_bytes())
    monkeypatch.setattr(generate, "HERE", tmp_path)
    with pytest.raises(generate.GenerateError, match="has no `def _get_arguments\\(` to rename"):
        generate.generate(tmp_path / "processmaker_api", generate.DOCUMENT)


def test_a_task_takes_a_plain_dictionary() -> None:
    body = UpdateTaskBody(status="COMPLETED", data={"approved": True})
    assert body.to_dict() == {"status": "COMPLETED", "data": {"approved": True}}


# --- what is shown ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "thing",
    [
        Client(API, headers={"Authorization": "s3cret"}, cookies={"session": "s3cret"}, httpx_args={"auth": "s3cret"}),
        AuthenticatedClient(API, token="s3cret", headers={"X-Token": "s3cret"}, httpx_args={"auth": ("me", "s3cret")}),
        Token.from_dict(dict.fromkeys(["access_token", "refresh_token", "id_token"], "s3cret")),
        IssueTokenBody.from_dict(
            dict.fromkeys(["client_secret", "password", "refresh_token", "another"], "s3cret")
            | {"grant_type": "password", "client_id": "3"}
        ),
    ],
    ids=lambda thing: type(thing).__name__,
)
def test_no_secret_is_shown(thing: Any) -> None:
    if isinstance(thing, AuthenticatedClient):
        thing.get_httpx_client()  # which puts the token among the headers
        thing.get_async_httpx_client()
    assert "s3cret" not in f"{thing!r} {thing}"
    assert repr(thing).startswith(f"{type(thing).__name__}(")


def test_what_is_not_shown_is_there() -> None:
    body = IssueTokenBody(grant_type="password", client_id="3", client_secret="s3cret", password="s3cret")
    assert body.to_dict() == {
        "grant_type": "password",
        "client_id": "3",
        "client_secret": "s3cret",
        "password": "s3cret",
    }
    token = {"access_token": "s3cret", "refresh_token": "s3cret", "id_token": "s3cret"}
    assert Token.from_dict(token).to_dict() == token


def test_the_documented_example_is_typed(tmp_path: Path) -> None:
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *sorted(ROOT.glob("*/README.md")))]
    blocks = [
        block for text in texts for block in re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    ]
    examples = [block for block in blocks if "from processmaker_api" in block]
    assert examples
    for number, block in enumerate(examples):
        (tmp_path / f"example_{number}.py").write_text(block, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", f"--cache-dir={tmp_path / 'cache'}", "--config-file="]
    done = subprocess.run(
        [*command, *map(str, tmp_path.glob("*.py"))],
        cwd=tmp_path,
        env=os.environ | {"MYPYPATH": str(ROOT / "generated")},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr


# --- importing ----------------------------------------------------------------------------------------------


def modules_after(statement: str) -> set[str]:
    """The modules that `statement` imports beyond those of httpx and attrs."""
    code = (
        "import sys, httpx, attrs\n"
        f"sys.path.insert(0, {str(ROOT / 'generated')!r})\n"
        f"before = set(sys.modules)\n{statement}\n"
        "print(*sys.modules.keys() - before)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return set(run.stdout.split())


def test_importing_the_package_imports_no_endpoint_and_no_model() -> None:
    assert modules_after("import processmaker_api") == {"processmaker_api", "processmaker_api.client"}


def test_importing_the_start_imports_only_its_own_models() -> None:
    imported = modules_after("from processmaker_api.api.processes import trigger_start_event")
    assert {name.rpartition(".")[2] for name in imported if ".models." in name} == {
        "error_body",
        "process_request",
        "trigger_start_event_body",
    }
    assert {name.partition(".")[0] for name in imported} == {"processmaker_api"}


def test_every_model_can_be_imported_from_models() -> None:
    assert {name for name in models.__all__ if not attrs.has(getattr(models, name))} == set()
    with pytest.raises(AttributeError, match="has no attribute 'Unicorn'"):
        models.Unicorn  # noqa: B018


def test_the_package_is_marked_as_typed() -> None:
    assert (ROOT / "generated" / "processmaker_api" / "py.typed").exists()


# --- generating ---------------------------------------------------------------------------------------------


def test_what_is_committed_is_what_is_generated(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = generate.main(["--check"])
    assert (outcome, capsys.readouterr().err) == (0, "")


def test_a_change_of_the_rules_is_noticed_with_what_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "trim.yaml").write_text(trim.RULES.read_text(encoding="utf-8") + "# another line\n", encoding="utf-8")
    monkeypatch.setattr(trim, "RULES", tmp_path / "trim.yaml")
    version = yaml.safe_load(generate.DOCUMENT.read_text(encoding="utf-8"))["info"][trim.VERSION]
    assert generate.main(["--check"]) == 1
    assert capsys.readouterr().err == (
        "generate: processmaker.yaml was made with another trim.yaml: "
        f"run `make trim SPEC=<the official document of ProcessMaker {version}>`, then `make generate`\n"
    )


def test_every_file_that_differs_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    committed = tmp_path / "generated" / "processmaker_api"
    (committed / "__pycache__").mkdir(parents=True)
    (committed / "__pycache__" / "x.pyc").touch()
    for name, text in {"same.py": "1", "edited.py": "2", "old.py": "3"}.items():
        (committed / name).write_text(text)

    def fake(target: Path) -> None:
        target.mkdir()
        for name, text in {"same.py": "1", "edited.py": "changed", "new.py": "4"}.items():
            (target / name).write_text(text)

    monkeypatch.setattr(generate, "PACKAGE", committed)
    monkeypatch.setattr(generate, "generate", fake)
    assert generate.main(["--check"]) == 1
    assert capsys.readouterr().err == (
        "generate: generated/ is not up to date, run `make generate`:\n"
        "  processmaker_api/edited.py differs\n"
        "  processmaker_api/new.py is missing\n"
        "  processmaker_api/old.py should not be there\n"
    )
    assert generate.main([]) == 0
    assert sorted(path.name for path in committed.iterdir()) == ["edited.py", "new.py", "same.py"]
    assert [path.name for path in committed.parent.iterdir()] == ["processmaker_api"]


def test_a_failing_generator_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    committed, document = tmp_path / "generated" / "processmaker_api", tmp_path / "broken.yaml"
    committed.mkdir(parents=True)
    (committed / "kept.py").touch()
    document.write_text("openapi: 3.1.0\ninfo: {title: x, version: '1'}\npaths: {/x: {get: {responses: {'2': {}}}}}")
    monkeypatch.setattr(generate, "PACKAGE", committed)
    monkeypatch.setattr(generate, "DOCUMENT", document)
    assert generate.main([]) == 1
    assert capsys.readouterr().err.startswith("generate: openapi-python-client failed:")
    assert [path.name for path in committed.iterdir()] == ["kept.py"]


@pytest.mark.parametrize("tool", ["openapi-python-client", "ruff"])
def test_other_versions_of_the_tools_are_refused(tool: str) -> None:
    pins = generate.PINS.read_text(encoding="utf-8")
    generate.check_tools(pins)
    other = "\n".join(f"{tool}==0.0.1" if line.startswith(f"{tool}==") else line for line in pins.splitlines())
    with pytest.raises(generate.GenerateError, match=rf"^{tool} 0\.0\.1 is needed"):
        generate.check_tools(other)
