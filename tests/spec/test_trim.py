"""From ProcessMaker's full OpenAPI document to the one the code is generated from."""

import json
import re
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from openapi_spec_validator import validate

from openapi import diff, regenerate, trim

ROOT = Path(__file__).resolve().parents[2]
COMMITTED = (ROOT / "openapi" / "processmaker.yaml").read_text(encoding="utf-8")
RULES = yaml.safe_load((ROOT / "openapi" / "trim.yaml").read_text(encoding="utf-8"))


def full_document() -> Any:
    """A small document of the kind ProcessMaker ships."""
    return yaml.safe_load("""
        openapi: 3.0.0
        info: {title: Theirs, version: 1.2.3, description: Their words}
        paths:
          /dogs/{dog_id}:
            get:
              operationId: getDog
              summary: Their words
              parameters:
                - {name: dog_id, in: path, required: true, description: Their words, schema: {type: integer}}
                - {$ref: '#/components/parameters/include'}
              responses:
                200:
                  description: Their words
                  content: {application/json: {schema: {$ref: '#/components/schemas/dog'}}}
            delete: {operationId: deleteDog, responses: {204: {description: Their words}}}
          /cats:
            get: {operationId: getCats, responses: {200: {description: Their words}}}
        components:
          parameters:
            include: {name: include, in: query, schema: {type: string, example: Their words}}
          schemas:
            cat: {type: object}
            flea: {type: object, properties: {size: {type: integer}}}
            dogEditable: {type: object, properties: {name: {type: string}}}
            dog:
              title: Their words
              allOf:
                - {$ref: '#/components/schemas/dogEditable'}
                - type: object
                  properties:
                    description: {type: string, description: Their words}
                    fleas: {type: [array, 'null'], items: {$ref: '#/components/schemas/flea'}}
    """)


def rules(*corrections: dict[str, Any]) -> Any:
    """What to keep of that document, and how to correct it."""
    return {
        "document": {
            "openapi": "3.1.0",
            "info": {"title": "Ours"},
            "servers": [{"url": "/"}],
            "security": [],
        },
        "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        "operations": {
            "GET /dogs/{dog_id}": {
                "summary": "Read a dog",
                "description": "Our words on it.",
                "parameters": {"dog_id": "Which dog."},
                "responses": {200: "The dog."},
            }
        },
        "responses": {},
        "schemas": {"dog": {"description": "A dog.", "properties": {"name": "What it answers to."}}},
        "corrections": list(corrections),
    }


def correction(where: str, was: Any, now: Any) -> dict[str, Any]:
    return {"where": where, "was": was, "is": now}


def trimmed(*corrections: dict[str, Any], official: Any = None) -> Any:
    return trim.trim(official or full_document(), rules(*corrections))[0]


def dog_properties(document: Any) -> Any:
    return document["components"]["schemas"]["dog"]["properties"]


def test_only_the_kept_operations_and_the_schemas_they_need_remain() -> None:
    document = trimmed()
    assert {path: list(item) for path, item in document["paths"].items()} == {"/dogs/{dog_id}": ["get"]}
    assert list(document["components"]["schemas"]) == ["dog", "flea"]


def test_the_result_is_a_valid_document() -> None:
    validate(trimmed())


def test_prose_of_the_full_document_is_dropped() -> None:
    assert "Their" not in trim.dump(trimmed())


def test_a_property_named_like_prose_is_kept() -> None:
    assert list(dog_properties(trimmed())) == ["name", "description", "fleas"]


def test_our_words_are_put_in() -> None:
    document = trimmed()
    operation = document["paths"]["/dogs/{dog_id}"]["get"]
    assert document["info"] == {"title": "Ours", "version": "1.2.3"}
    assert (operation["summary"], operation["description"]) == ("Read a dog", "Our words on it.")
    assert operation["parameters"][0]["schema"]["description"] == "Which dog."
    assert operation["responses"]["200"]["description"] == "The dog."
    assert document["components"]["schemas"]["dog"]["description"] == "A dog."
    assert dog_properties(document)["name"]["description"] == "What it answers to."


def test_descriptions_without_a_place_and_parameters_without_a_description_are_noted() -> None:
    asked = rules()
    asked["operations"]["GET /dogs/{dog_id}"]["parameters"]["colour"] = "Which colour."
    _, notes = trim.trim(full_document(), asked)
    assert notes == [
        "no place for the description of GET /dogs/{dog_id}, parameter colour",
        "no description of GET /dogs/{dog_id}, parameter include",
    ]


def test_a_kept_operation_that_is_gone_is_named() -> None:
    official = full_document()
    del official["paths"]["/dogs/{dog_id}"]["get"]
    with pytest.raises(trim.TrimError, match=r"the operation GET /dogs/\{dog_id\} is not in the document"):
        trimmed(official=official)


def test_a_schema_that_is_gone_is_named() -> None:
    official = full_document()
    del official["components"]["schemas"]["flea"]
    with pytest.raises(trim.TrimError, match="#/components/schemas/flea is not in the document"):
        trimmed(official=official)


def test_a_schema_that_a_correction_refers_to_and_that_is_gone_is_named_with_all_the_rest() -> None:
    parts = [
        correction("components.schemas.dogEditable.properties.puppy", "(absent)", {"$ref": "#/components/schemas/pup"}),
        correction("components.schemas.pup.properties.size", "(absent)", {}),
    ]
    with pytest.raises(trim.TrimError) as caught:
        trimmed(*parts)
    assert [line for line in str(caught.value).splitlines() if not line.startswith(" ")] == [
        "the correction of components.schemas.pup.properties.size does not fit",
        "#/components/schemas/pup is not in the document",
    ]
    assert str(caught.value).endswith("if it has another name now, change what refers to it in trim.yaml")


def test_a_correction_replaces_what_was_there() -> None:
    where = "components.schemas.dogEditable.properties.name"
    document = trimmed(correction(where, {"type": "string"}, {"type": ["string", "null"]}))
    assert dog_properties(document)["name"]["type"] == ["string", "null"]


def test_a_correction_that_does_not_fit_is_named_with_what_was_expected_and_found_and_what_to_do() -> None:
    where = "components.schemas.dogEditable.properties.name"
    with pytest.raises(trim.TrimError) as caught:
        trimmed(correction(where, {"type": "integer"}, {}))
    assert str(caught.value).splitlines() == [
        f"the correction of {where} does not fit",
        '    expected: {"type": "integer"}',
        '    found: {"type": "string"}',
        "    to do: look at what a server does; put what was found into `was`, or beside it into `was_one_of`",
    ]


def test_a_correction_that_the_document_has_made_itself_can_go() -> None:
    where = "components.schemas.dogEditable.properties.name"
    with pytest.raises(trim.TrimError, match="to do: this is what the correction wants: take it out"):
        trimmed(correction(where, {"type": "integer"}, {"type": "string"}))


def test_a_correction_of_a_place_that_is_gone_is_named() -> None:
    where = "components.schemas.dogEditable.properties.colour.type"
    with pytest.raises(trim.TrimError) as caught:
        trimmed(correction(where, {"type": "string"}, {}))
    assert f"the correction of {where} does not fit" in str(caught.value)
    assert "found: no such place\n" in str(caught.value)
    assert "correct `where`; if documents do well without it: `only_if_there: <reason>`" in str(caught.value)


def test_all_that_does_not_fit_is_named_at_once() -> None:
    asked = rules(
        correction("components.schemas.dogEditable.properties.name", {"type": "integer"}, {}),
        correction("components.schemas.flea.properties.size", "(absent)", {}),
        correction("components.schemas.**.properties.*", {"type": "number"}, {}),
    )
    official = full_document()
    official["components"]["schemas"]["dogEditable"]["properties"]["bark"] = {"type": "object"}
    official["components"]["parameters"]["include"]["schema"]["enum"] = ["fleas"]
    with pytest.raises(trim.TrimError) as caught:
        trim.trim(official, asked)
    assert [line for line in str(caught.value).splitlines() if not line.startswith(" ")] == [
        "the correction of components.schemas.dogEditable.properties.name does not fit",
        "the correction of components.schemas.flea.properties.size does not fit",
        "the correction of components.schemas.**.properties.* does not fit",
        "paths./dogs/{dog_id}.get.parameters.include.schema takes only some values, and newer servers may take more",
        "components.schemas.dogEditable.properties.bark could make an answer unreadable",
    ]


def test_a_place_that_no_correction_fits_is_named_once() -> None:
    official = full_document()
    official["components"]["schemas"]["dogEditable"]["properties"]["name"] = {"type": "string", "enum": ["Rex"]}
    with pytest.raises(trim.TrimError) as caught:
        trimmed(correction("components.schemas.dogEditable.properties.name", {"type": "string"}, {}), official=official)
    assert str(caught.value).count("Rex") == 1


def test_a_correction_may_fit_what_several_documents_say() -> None:
    where = "components.schemas.dogEditable.properties.name"
    entry = {"where": where, "was_one_of": [{"type": "integer"}, "(absent)", {"type": "string"}], "is": {}}
    assert "type" not in dog_properties(trimmed(entry))["name"]
    official = full_document()
    del official["components"]["schemas"]["dogEditable"]["properties"]["name"]
    assert "type" not in dog_properties(trimmed(entry, official=official))["name"]
    official["components"]["schemas"]["dogEditable"]["properties"]["name"] = {"type": "number"}
    with pytest.raises(trim.TrimError, match=r'expected: {"type": "integer"} or \(absent\) or {"type": "string"}'):
        trimmed(entry, official=official)


@pytest.mark.parametrize(
    "where",
    [
        "components.schemas.dogEditable.properties.colour",
        "components.schemas.wolf.properties.name",
        "paths./dogs/{dog_id}.get.parameters.colour.schema",
        "components.schemas.**.properties.*",
    ],
)
def test_a_correction_that_only_some_documents_need_may_find_no_place(where: str) -> None:
    entry = correction(where, {"type": "number"}, {})
    with pytest.raises(trim.TrimError, match="does not fit"):
        trimmed(entry)
    assert trimmed(entry | {"only_if_there": "Older documents do not have it."}) == trimmed()


def test_a_place_that_exists_must_fit_all_the_same() -> None:
    entry = correction("components.schemas.dogEditable.properties.name", {"type": "number"}, {})
    with pytest.raises(trim.TrimError, match="does not fit"):
        trimmed(entry | {"only_if_there": "Older documents do not have it."})


def test_the_generated_modules_have_names_of_ours() -> None:
    asked = rules()
    asked["operations"]["GET /dogs/{dog_id}"] |= {"operationId": "readDog", "tags": ["Dogs"]}
    operation = trim.trim(full_document(), asked)[0]["paths"]["/dogs/{dog_id}"]["get"]
    assert (operation["operationId"], operation["tags"]) == ("readDog", ["Dogs"])


def test_the_order_of_the_parts_of_a_schema_does_not_matter() -> None:
    where = "components.schemas.dog.allOf.1.properties.description"
    official = full_document()
    official["components"]["schemas"]["dog"]["allOf"].reverse()
    entry = correction(where, {"type": "string"}, {"type": "integer"})
    assert trimmed(entry, official=official) == trimmed(entry)


def test_what_is_beside_a_reference_does_not_count() -> None:
    official = full_document()
    answer = official["paths"]["/dogs/{dog_id}"]["get"]["responses"][200]
    answer["content"]["application/json"]["schema"]["type"] = "object"
    assert trimmed(official=official) == trimmed()


def test_an_addition_fails_if_there_is_something_already() -> None:
    where = "components.schemas.dogEditable.properties.name"
    with pytest.raises(trim.TrimError, match=rf"{where} does not fit\n    expected: \(absent\)\n    found: {{"):
        trimmed(correction(where, "(absent)", {"type": "string"}))


def test_a_correction_can_add_a_property_a_parameter_and_an_operation() -> None:
    asked = rules(
        correction("components.schemas.dogEditable.properties.age", "(absent)", {"type": "integer"}),
        correction(
            "paths./dogs/{dog_id}.get.parameters.page",
            "(absent)",
            {"name": "page", "in": "query", "schema": {}},
        ),
        correction("paths./bark", "(absent)", {"post": {"operationId": "bark", "responses": {204: {}}}}),
    )
    asked["operations"]["POST /bark"] = {"summary": "Bark", "description": "Makes a noise."}
    document, _ = trim.trim(full_document(), asked)
    assert "age" in dog_properties(document)
    assert [p["name"] for p in document["paths"]["/dogs/{dog_id}"]["get"]["parameters"]] == [
        "dog_id",
        "include",
        "page",
    ]
    assert document["paths"]["/bark"]["post"]["responses"] == {"204": {"description": "No Content"}}


def test_a_correction_can_add_an_operation_to_a_path_that_has_others() -> None:
    put = {"operationId": "putDog", "responses": {"204": {"$ref": "#/components/responses/204"}}}
    asked = rules(
        correction("paths./dogs/{dog_id}.put", "(absent)", put),
        correction("components.responses.204", "(absent)", {}),
    )
    asked["operations"]["PUT /dogs/{dog_id}"] = {"summary": "Change", "description": "Changes a dog."}
    assert list(trim.trim(full_document(), asked)[0]["paths"]["/dogs/{dog_id}"]) == ["get", "put"]


def test_a_correction_can_take_something_away() -> None:
    where = "components.schemas.dogEditable.properties.name"
    document = trimmed(correction(where, {"type": "string"}, "(absent)"))
    assert list(dog_properties(document)) == ["description", "fleas"]


def test_a_correction_with_a_star_applies_wherever_it_fits() -> None:
    document = trimmed(correction("components.schemas.**.properties.*", {"type": "string"}, {}))
    assert dog_properties(document) == {
        "name": {"description": "What it answers to."},
        "description": {},
        "fleas": {"type": ["array", "null"], "items": {"$ref": "#/components/schemas/flea"}},
    }


def test_a_correction_with_a_star_that_fits_nowhere_is_named() -> None:
    where = "components.schemas.**.properties.*"
    with pytest.raises(trim.TrimError) as caught:
        trimmed(correction(where, {"type": "number"}, {}))
    assert str(caught.value).startswith(f"the correction of {where} does not fit")
    assert 'found: {"type": "string"}, {"type": ["array", "null"], "items"' in str(caught.value)


def test_the_halves_of_a_schema_must_agree() -> None:
    official = full_document()
    official["components"]["schemas"]["dog"]["allOf"][1]["properties"]["name"] = {"type": "integer"}
    mine, theirs = "components.schemas.dog.allOf.1.properties.name", "components.schemas.dogEditable.properties.name"
    with pytest.raises(trim.TrimError) as caught:
        trimmed(official=official)
    assert str(caught.value).splitlines()[:2] == [
        f"{theirs} and {mine}, parts of one schema, disagree",
        '    found: {"type": "string"} and {"type": "integer"}',
    ]
    trimmed(correction(mine, {"type": "integer"}, {"type": "string"}), official=official)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "enum": ["ACTIVE"]},
        {"type": "string", "format": "date-time"},
        {"type": "object"},
        {"type": "array", "items": {"$ref": "#/components/schemas/flea"}},
        {"type": "boolean", "nullable": True},
        {"type": "array", "items": {"type": "string"}},
        {"$ref": "#/components/schemas/flea"},
    ],
)
@pytest.mark.parametrize(
    ("holder", "where"),
    [
        (lambda d: d["dogEditable"], "components.schemas.dogEditable.properties.name"),
        (lambda d: d["dog"]["allOf"][1], "components.schemas.dog.allOf.1.properties.name"),
        (lambda d: d["flea"], "components.schemas.flea.properties.name"),
    ],
)
def test_what_could_make_an_answer_unreadable_is_named_by_the_place_to_correct(
    schema: Any, holder: Callable[[Any], Any], where: str
) -> None:
    official = full_document()
    del official["components"]["schemas"]["dogEditable"]["properties"]["name"]
    holder(official["components"]["schemas"])["properties"]["name"] = schema
    with pytest.raises(trim.TrimError) as caught:
        trimmed(official=official)
    named, found, todo = str(caught.value).splitlines()
    assert (named, found) == (f"{where} could make an answer unreadable", f"    found: {json.dumps(schema)}")
    assert "add a correction with this `where`" in todo
    trimmed(correction(where, schema, {}), official=official)  # what it says to do is enough


@pytest.mark.parametrize(
    ("holder", "where"),
    [
        (lambda d: d["dogEditable"], "components.schemas.dogEditable.required"),
        (lambda d: d["dog"]["allOf"][1], "components.schemas.dog.allOf.1.required"),
        (lambda d: d["flea"], "components.schemas.flea.required"),
    ],
)
def test_what_an_answer_would_have_to_have_is_named_by_the_place_to_correct(
    holder: Callable[[Any], Any], where: str
) -> None:
    official = full_document()
    holder(official["components"]["schemas"])["required"] = ["name"]
    with pytest.raises(trim.TrimError) as caught:
        trimmed(official=official)
    named, found, todo = str(caught.value).splitlines()
    assert (named, found) == (f"{where} could make an answer unreadable", '    found: ["name"]')
    assert todo.endswith("and as `is` (absent)")
    trimmed(correction(where, ["name"], "(absent)"), official=official)


@pytest.mark.parametrize("code", ["419", "299", "499", "default"])
def test_a_status_without_a_standard_phrase_is_described_by_its_number(code: str) -> None:
    official = full_document()
    official["paths"]["/dogs/{dog_id}"]["get"]["responses"][code] = {"description": "Their words"}
    document = trimmed(official=official)
    assert document["paths"]["/dogs/{dog_id}"]["get"]["responses"][code] == {"description": f"Status {code}"}
    validate(document)


@pytest.mark.parametrize(
    "name", ["d", "cls", "cast", "to_dict", "from_dict", "additional_properties", "field_dict", "toDict", "D"]
)
@pytest.mark.parametrize(
    ("holder", "where"),
    [
        (lambda d: d["components"]["schemas"]["flea"], "components.schemas.flea"),
        (lambda d: d["components"]["schemas"]["dog"]["allOf"][1], "components.schemas.dog.allOf.1"),
        (lambda d: sent(d), "paths./dogs/{dog_id}.get.requestBody.content.application/json.schema"),
    ],
)
def test_a_property_whose_name_breaks_the_generated_model_is_named_by_the_place_to_correct(
    name: str, holder: Callable[[Any], Any], where: str
) -> None:
    official = full_document()
    content = {"application/json": {"schema": {"type": "object", "properties": {}}}}
    official["paths"]["/dogs/{dog_id}"]["get"]["requestBody"] = {"content": content}
    holder(official)["properties"][name] = {"type": "string"}
    with pytest.raises(trim.TrimError) as caught:
        trimmed(official=official)
    named, found, todo = str(caught.value).splitlines()
    assert named == f"{where}.properties.{name} is a property named {name}, which breaks the generated model"
    assert found == '    found: {"type": "string"}'
    assert "and (absent) as `is`" in todo
    trimmed(correction(f"{where}.properties.{name}", {"type": "string"}, "(absent)"), official=official)


def sent(document: Any) -> Any:
    return document["paths"]["/dogs/{dog_id}"]["get"]["requestBody"]["content"]["application/json"]["schema"]


def test_a_default_that_would_always_be_sent_is_named() -> None:
    official = full_document()
    official["components"]["parameters"]["include"]["schema"]["default"] = ""
    where = "paths./dogs/{dog_id}.get.parameters.include.schema"
    with pytest.raises(trim.TrimError) as caught:
        trimmed(official=official)
    assert str(caught.value).startswith(f"{where} has a default, which would always be sent\n    found: ")
    trimmed(correction(where, {"type": "string", "default": ""}, {"type": "string"}), official=official)


def test_json_and_yaml_give_the_same_bytes_time_and_again(tmp_path: Path) -> None:
    (tmp_path / "full.json").write_text(json.dumps(full_document()))
    (tmp_path / "full.yaml").write_text(yaml.safe_dump(full_document()))
    sources = ["full.json", "full.yaml", "full.json"]
    results = {trim.dump(trim.trim(trim.read(str(tmp_path / name)), rules())[0]) for name in sources}
    assert len(results) == 1


def test_trimming_leaves_its_input_alone() -> None:
    official = full_document()
    trimmed(correction("components.schemas.**.properties.*", {"type": "string"}, {}), official=official)
    assert official == full_document()


# --- the command --------------------------------------------------------------------------------------------


@pytest.fixture
def host() -> Iterator[str]:
    """The address of a server that has the small document at /docs and nothing else."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/docs" else 404)
            self.end_headers()
            self.wfile.write(json.dumps(full_document()).encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_document_can_come_from_a_url(host: str) -> None:
    assert trim.read(f"{host}/docs")["info"]["title"] == "Theirs"


def test_an_address_without_a_document_is_one_line_on_stderr(
    host: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trim.main([f"{host}/nothing", "-o", str(tmp_path / "result.yaml")]) == 1
    assert capsys.readouterr().err == f"trim: {host}/nothing: the server answered 404\n"


@pytest.mark.parametrize(
    ("name", "arguments", "version"),
    [
        ("api-docs-4.15.5.json", [], "4.15.5"),
        ("api-docs-4.15.5.json", ["--version", "4.16.0"], "4.16.0"),
        ("docs", ["--version="], "unknown"),
    ],
)
def test_the_result_names_the_version_of_its_source_and_a_digest_of_the_rules(
    name: str, arguments: list[str], version: str, tmp_path: Path
) -> None:
    spec, result = tmp_path / name, tmp_path / "result.yaml"
    spec.write_bytes((ROOT / "tests" / "documents" / "4.15.5.yaml").read_bytes())
    assert trim.main([str(spec), "-o", str(result), *arguments]) == 0
    info = yaml.safe_load(result.read_text(encoding="utf-8"))["info"]
    assert (info["x-processmaker-version"], info["x-trim-digest"]) == (version, trim.digest())


def test_a_digest_depends_on_the_text_of_the_rules_and_not_on_its_line_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = []
    for number, content in enumerate([b"a\nb\n", b"a\r\nb\r\n", b"a\nc\n"]):
        (tmp_path / f"{number}.yaml").write_bytes(content)
        monkeypatch.setattr(trim, "RULES", tmp_path / f"{number}.yaml")
        digests.append(trim.digest())
    assert digests[0] == digests[1] != digests[2]


def test_without_a_document_it_says_what_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        trim.main([""])
    assert "a document is needed: make trim SPEC=<file or URL>" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "No such file or directory"),
        (b"\xff\xfe\x00", "is neither JSON nor YAML: 'utf-8' codec can't decode"),
        (b"<html>: {", "is neither JSON nor YAML"),
        (b'{"swagger": "2.0"}', "is not an OpenAPI 3 document"),
        (b'{"openapi": "3.0.0", "paths": []}', "is not an OpenAPI 3 document"),
        (b'{"openapi": "3.0.0", "paths": {"/x": {}}}', "the operation POST /process_events/{process_id} is not in the"),
    ],
)
def test_a_useless_file_is_said_on_stderr_and_nothing_is_written(
    content: bytes | None, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec, result = tmp_path / "spec", tmp_path / "result.yaml"
    if content is not None:
        spec.write_bytes(content)
    assert trim.main([str(spec), "-o", str(result)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("trim: ")
    assert error.count("\n") == 1 or "is not in the document" in error
    assert problem in error
    assert not result.exists()


def test_an_unreachable_server_is_one_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        url = f"http://127.0.0.1:{server.server_port}/docs"
    assert trim.main([url]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"trim: {url}: ")
    assert error.count("\n") == 1


# --- what is committed --------------------------------------------------------------------------------------


def operations() -> Iterator[tuple[str, Any]]:
    for path, item in yaml.safe_load(COMMITTED)["paths"].items():
        for method in trim.METHODS:
            if method in item:
                yield f"{method.upper()} {path}", item[method]


def test_the_committed_document_is_valid() -> None:
    validate(yaml.safe_load(COMMITTED))


def test_the_committed_document_is_written_as_trim_writes() -> None:
    assert trim.dump(yaml.safe_load(COMMITTED)) == COMMITTED


def test_the_committed_document_has_the_operations_that_are_kept() -> None:
    assert [name for name, _ in operations()] == list(RULES["operations"])


def test_every_operation_and_parameter_is_described() -> None:
    for name, operation in operations():
        assert operation["summary"], name
        assert operation["description"], name
        for parameter in operation.get("parameters", []):
            # What a newer API has on top may wait for its description: trim.py notes it.
            words = RULES["operations"][name]["parameters"].get(parameter["name"])
            assert bool(words) == bool(parameter["schema"].get("description")), (name, parameter["name"])


def test_every_schema_and_shared_response_is_described() -> None:
    components = yaml.safe_load(COMMITTED)["components"]
    for parts in components.values():
        assert [name for name, part in parts.items() if not part.get("description")] == []


def test_signing_in_is_at_the_root_of_the_host() -> None:
    (server,) = yaml.safe_load(COMMITTED)["paths"]["/oauth/token"]["servers"]
    assert server["url"] == "/"


def test_every_correction_is_complete() -> None:
    for entry in RULES["corrections"]:
        assert {"where", "is", "why", "evidence"} <= set(entry), entry["where"]
        assert len({"was", "was_one_of"} & set(entry)) == 1, entry["where"]
        assert set(entry) <= {"where", "is", "why", "evidence", "was", "was_one_of", "only_if_there"}, entry["where"]
        assert entry.get("only_if_there", "a reason"), entry["where"]


def test_every_evidence_is_a_recording() -> None:
    recordings = ROOT / "tests" / "cassettes"
    for entry in RULES["corrections"]:
        evidence = entry["evidence"]
        for name in evidence if isinstance(evidence, list) else [evidence]:
            assert (recordings / f"{name}.yaml").is_file(), (entry["where"], name)


def test_the_correction_in_the_documentation_is_one_of_the_rules() -> None:
    text = (ROOT / "openapi" / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (entry,) = yaml.safe_load(block)
    assert entry in RULES["corrections"]


# --- regenerating -------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path) -> tuple[Path, Path]:
    """A document and a package to regenerate."""
    document, package = tmp_path / "processmaker.yaml", tmp_path / "processmaker_api"
    document.write_bytes(trim.dump(trimmed()).encode())
    (package / "models").mkdir(parents=True)
    (package / "models" / "dog.py").write_bytes(b"class Dog: ...\r\n")
    return document, package


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_failing_step_is_named_and_the_old_files_come_back(
    project: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document, package = project
    (tmp_path / "collection.json").write_text("{}")
    before = contents(tmp_path)
    commands = {
        "trim": python(f"import pathlib; pathlib.Path({str(document)!r}).write_text('openapi: 3.1.0')"),
        "generate": python(
            f"import pathlib, shutil; shutil.rmtree({str(package)!r});pathlib.Path({str(package)!r}).touch()"
        ),
        "postman": python(f"import pathlib; pathlib.Path({str(tmp_path / 'collection.json')!r}).unlink()"),
        "test": python("raise SystemExit(1)"),
        "never": python(f"import pathlib; pathlib.Path({str(tmp_path / 'never')!r}).touch()"),
    }
    assert regenerate.regenerate(commands, (document, package, tmp_path / "collection.json")) == 1
    assert contents(tmp_path) == before
    assert capsys.readouterr().err == "regenerate: the step `test` failed; the old files are back\n"


def test_a_first_document_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    document = tmp_path / "processmaker.yaml"
    commands = {
        "trim": python(f"import pathlib; pathlib.Path({str(document)!r}).write_text('openapi: 3.1.0')"),
        "test": python("raise SystemExit(1)"),
    }
    assert regenerate.regenerate(commands, (document, tmp_path / "processmaker_api", tmp_path / "collection.json")) == 1
    assert list(tmp_path.iterdir()) == []


def test_success_keeps_the_new_files_and_shows_what_changed(
    project: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    document, package = project
    monkeypatch.setattr(diff, "_version", lambda: "1.1.0")
    changed = trimmed(correction("components.schemas.dogEditable.properties.age", "(absent)", {"type": "integer"}))
    (tmp_path / "changed.yaml").write_text(trim.dump(changed))
    copying = f"import shutil; shutil.copy({str(tmp_path / 'changed.yaml')!r}, {str(document)!r})"
    assert regenerate.regenerate({"trim": python(copying)}, (document, package, tmp_path / "collection.json")) == 0
    assert yaml.safe_load(document.read_text()) == changed
    assert capsys.readouterr().out.splitlines() == [
        "regenerate: trim",
        "What changed in the API:",
        "  compatible:",
        "    + property age of dog: integer",
        "Semantic versioning asks for a minor step: 1.1.0 -> 1.2.0.",
    ]


def test_a_failure_of_a_later_step_comes_with_the_report_of_what_changed(
    project: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document, package = project
    before = contents(tmp_path)
    changed = trim.dump(trimmed(correction("components.schemas.flea.properties.size", {"type": "integer"}, "(absent)")))
    commands = {
        "trim": python(f"import pathlib; pathlib.Path({str(document)!r}).write_text({changed!r})"),
        "types": python("raise SystemExit(1)"),
        "test": python("raise SystemExit('is not reached')"),
    }
    assert regenerate.regenerate(commands, (document, package, tmp_path / "collection.json")) == 1
    told = capsys.readouterr()
    assert told.out.splitlines()[:6] == [
        "regenerate: trim",
        "regenerate: types",
        "What changed in the API:",
        "  breaking for callers:",
        "    - property size of flea",
        "        why: code that reads it fails",
    ]
    assert told.err == "regenerate: the step `types` failed; the old files are back\n"
    assert contents(tmp_path) == before


def test_a_failing_first_step_has_nothing_to_report(
    project: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document, package = project
    commands = {"trim": python("raise SystemExit(1)")}
    assert regenerate.regenerate(commands, (document, package, tmp_path / "collection.json")) == 1
    assert capsys.readouterr().out == "regenerate: trim\n"


def test_types_are_checked_before_the_tests_and_postman_runs_only_if_its_converter_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regenerate, "CONVERTER", tmp_path)
    assert list(regenerate.steps("docs.json")) == ["trim", "validate", "generate", "postman", "types", "test"]
    monkeypatch.setattr(regenerate, "CONVERTER", tmp_path / "not installed")
    assert list(regenerate.steps("docs.json")) == ["trim", "validate", "generate", "types", "test"]


@pytest.mark.parametrize("arguments", [[], [""], ["", "4.16.0"]])
def test_regenerating_nothing_shows_how_it_is_used(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert regenerate.main(arguments) == 2
    assert capsys.readouterr().err.startswith("usage: make regenerate SPEC=<file or URL")
