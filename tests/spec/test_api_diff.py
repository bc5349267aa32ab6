"""What changed between two API documents: every kind of change is found, none is invented, and who uses it is said."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from openapi import diff, trim

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = Path(__file__).parents[1] / "documents"


def document() -> Any:
    return yaml.safe_load("""
        openapi: 3.1.0
        info: {title: Dogs, version: '1'}
        servers: [{url: /api}]
        security: [{bearer: []}]
        paths:
          /dogs:
            get:
              operationId: listDogs
              tags: [Dogs]
              parameters:
                - {name: colour, in: query, schema: {type: string, enum: [black, white]}}
                - {name: limit, in: query, schema: {type: integer, maximum: 100}}
                - {name: since, in: query, required: true, schema: {type: string}}
                - {$ref: '#/components/parameters/page'}
              responses:
                200: {content: {application/json: {schema: {
                  type: object, properties: {data: {type: array, items: {$ref: '#/components/schemas/dog'}}}}}}}
                404: {content: {application/json: {schema: {type: object, properties: {error: {type: string}}}}}}
          /dogs/{dog_id}:
            put:
              operationId: changeDog
              tags: [Dogs]
              parameters: [{name: dog_id, in: path, required: true, schema: {type: integer}}]
              requestBody:
                content:
                  application/json:
                    schema:
                      type: object
                      required: [name]
                      properties: {name: {type: string}, collar: {type: object, properties: {size: {type: integer}}}}
              responses: {204: {}}
        components:
          parameters: {page: {name: page, in: query, schema: {type: integer}}}
          schemas:
            flea: {type: object, properties: {size: {type: integer}}}
            dog:
              allOf:
                - {$ref: '#/components/schemas/animal'}
                - type: object
                  required: [name]
                  properties:
                    name: {type: string}
                    mood: {type: string, enum: [good, bad]}
                    fleas: {type: [array, 'null'], items: {$ref: '#/components/schemas/flea'}}
                    chip: {oneOf: [{type: string}, {type: 'null'}]}
            animal: {type: object, properties: {age: {type: integer}}}
    """)


def found(change: Callable[[Any], Any]) -> list[tuple[str, str]]:
    """What is found after a change of the document: each difference with why it breaks."""
    before, after = document(), document()
    change(after)
    return [(f"{one.sign} {one.text}", one.why) for one in diff.changes(before, after)]


def listing(after: Any) -> Any:
    return after["paths"]["/dogs"]["get"]


def body(after: Any) -> Any:
    return after["paths"]["/dogs/{dog_id}"]["put"]["requestBody"]


def sent(after: Any) -> Any:
    return body(after)["content"]["application/json"]["schema"]


def dog(after: Any) -> Any:
    return after["components"]["schemas"]["dog"]["allOf"][1]


def parameter(after: Any, name: str) -> Any:
    return next(one for one in listing(after)["parameters"] if one.get("name") == name)


FAILS = "code that sends it fails"
READ = "code that reads it fails"
REFUSED = "calls that do not send it may be refused"
FEWER = "values that were taken may no longer be"
MORE = "values may come that code does not expect"
NOTHING = "code that counts on it may find nothing"
ELSEWHERE = "it is sent elsewhere"

KINDS: list[tuple[Callable[[Any], Any], str, str]] = [
    # operations
    (lambda d: d["paths"].pop("/dogs/{dog_id}"), "- operation PUT /dogs/{dog_id}", "calls of it fail"),
    (lambda d: d["paths"].update({"/cats": {"get": {"responses": {"200": {}}}}}), "+ operation GET /cats", ""),
    # parameters
    (lambda d: listing(d)["parameters"].pop(1), "- parameter limit of GET /dogs", FAILS),
    (lambda d: listing(d)["parameters"].pop(3), "- parameter page of GET /dogs", FAILS),
    (
        lambda d: listing(d)["parameters"].append({"name": "size", "in": "query", "schema": {"type": "integer"}}),
        "+ parameter size of GET /dogs: integer",
        "",
    ),
    (
        lambda d: listing(d)["parameters"].append({"name": "x", "in": "header", "required": True, "schema": {}}),
        "+ parameter x of GET /dogs: anything, required",
        REFUSED,
    ),
    (
        lambda d: parameter(d, "limit").update(required=True),
        "~ parameter limit of GET /dogs: optional -> required",
        REFUSED,
    ),
    (
        lambda d: parameter(d, "since").update(required=False),
        "~ parameter since of GET /dogs: required -> optional",
        "",
    ),
    (
        lambda d: parameter(d, "limit").update({"in": "header"}),
        "~ parameter limit of GET /dogs: query -> header",
        ELSEWHERE,
    ),
    (
        lambda d: parameter(d, "limit")["schema"].update(type="string"),
        "~ parameter limit of GET /dogs: integer -> string",
        FEWER,
    ),
    (
        lambda d: parameter(d, "limit")["schema"].update(type="number"),
        "~ parameter limit of GET /dogs: integer -> number",
        "",
    ),
    (
        lambda d: parameter(d, "colour")["schema"].update(enum=["black"]),
        '~ parameter colour of GET /dogs: string in "black", "white" -> string in "black"',
        FEWER,
    ),
    (
        lambda d: parameter(d, "colour")["schema"]["enum"].append("red"),
        '~ parameter colour of GET /dogs: string in "black", "white" -> string in "black", "red", "white"',
        "",
    ),
    (
        lambda d: parameter(d, "colour")["schema"].pop("enum"),
        '~ parameter colour of GET /dogs: string in "black", "white" -> string',
        "",
    ),
    (
        lambda d: parameter(d, "since")["schema"].update(enum=["today"]),
        '~ parameter since of GET /dogs: string -> string in "today"',
        FEWER,
    ),
    # bodies
    (
        lambda d: d["paths"]["/dogs/{dog_id}"]["put"].pop("requestBody"),
        "- the body of PUT /dogs/{dog_id}",
        FAILS,
    ),
    (lambda d: listing(d).update(requestBody={"required": True}), "+ the body of GET /dogs, required", REFUSED),
    (lambda d: body(d).update(required=True), "~ the body of PUT /dogs/{dog_id}: optional -> required", REFUSED),
    (
        lambda d: body(d)["content"].update({"text/plain": {"schema": {"type": "string"}}}),
        "+ the body of PUT /dogs/{dog_id} as text/plain: string",
        "",
    ),
    (
        lambda d: sent(d)["properties"].pop("name"),
        "- property name of the body of PUT /dogs/{dog_id} as application/json",
        FAILS,
    ),
    (
        lambda d: sent(d)["properties"]["collar"]["properties"].pop("size"),
        "- property size of property collar of the body of PUT /dogs/{dog_id} as application/json",
        FAILS,
    ),
    (
        lambda d: sent(d)["properties"].update(age={"type": "integer"}),
        "+ property age of the body of PUT /dogs/{dog_id} as application/json: integer",
        "",
    ),
    (
        lambda d: sent(d)["required"].append("collar"),
        "~ property collar of the body of PUT /dogs/{dog_id} as application/json: optional -> required",
        REFUSED,
    ),
    # answers
    (lambda d: listing(d)["responses"].pop(404), "- answer 404 of GET /dogs", READ),
    (lambda d: listing(d)["responses"].update({"201": {}}), "+ answer 201 of GET /dogs", ""),
    (lambda d: dog(d)["properties"].pop("chip"), "- property chip of dog", READ),
    (lambda d: d["components"]["schemas"]["animal"]["properties"].pop("age"), "- property age of dog", READ),
    (lambda d: dog(d)["properties"].update(tail={"type": "boolean"}), "+ property tail of dog: boolean", ""),
    (lambda d: dog(d)["properties"]["name"].update(type="integer"), "~ property name of dog: string -> integer", MORE),
    (
        lambda d: dog(d)["properties"]["name"].update(type=["string", "null"]),
        "~ property name of dog: string -> string | null",
        MORE,
    ),
    (
        lambda d: dog(d)["properties"].update(chip={"type": "string"}),
        "~ property chip of dog: string | null -> string",
        "",
    ),
    (
        lambda d: dog(d)["properties"]["mood"]["enum"].append("odd"),
        '~ property mood of dog: string in "bad", "good" -> string in "bad", "good", "odd"',
        MORE,
    ),
    (
        lambda d: dog(d)["properties"]["mood"]["enum"].pop(),
        '~ property mood of dog: string in "bad", "good" -> string in "good"',
        "",
    ),
    (lambda d: dog(d)["required"].clear(), "~ property name of dog: required -> optional", NOTHING),
    (lambda d: dog(d)["required"].append("mood"), "~ property mood of dog: optional -> required", ""),
    (
        lambda d: dog(d)["properties"]["fleas"].update(items={"type": "string"}),
        "~ property fleas of dog: array of flea | null -> array of string | null",
        MORE,
    ),
    (lambda d: d["components"]["schemas"]["flea"]["properties"].pop("size"), "- property size of flea", READ),
]


@pytest.mark.parametrize(("change", "text", "why"), KINDS, ids=[text for _, text, _ in KINDS])
def test_each_kind_of_change_is_found_with_why_it_breaks(change: Any, text: str, why: str) -> None:
    # The schema of fleas goes with the only place that had it.
    also = [("- schema flea", "code that imports its model fails")] if "array of string" in text else []
    assert found(change) == [*also, (text, why)]


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["info"].update(title="Cats", version="2", description="Other words"),
        lambda d: listing(d).update(summary="Other words", description="Other words"),
        lambda d: listing(d)["parameters"].reverse(),
        lambda d: parameter(d, "colour")["schema"].update(description="Other words", example="black"),
        lambda d: parameter(d, "colour")["schema"]["enum"].reverse(),
        lambda d: dog(d)["properties"]["name"].update(title="Other words", maxLength=3),
        lambda d: d["components"]["schemas"].update(cat={"type": "object", "properties": {"age": {}}}),
        lambda d: d["components"]["schemas"]["dog"]["allOf"].reverse(),
        lambda d: dog(d)["properties"].update(chip={"type": ["null", "string"]}),
        lambda d: d["components"]["schemas"].update(dog=merged(d)),
        lambda d: listing(d)["parameters"].__setitem__(3, d["components"]["parameters"]["page"]),
        lambda d: listing(d)["responses"].update({"200": listing(d)["responses"].pop(200)}),
    ],
)
def test_what_means_the_same_is_no_change(change: Any) -> None:
    assert found(change) == []


def merged(after: Any) -> Any:
    properties = {"age": {"type": "integer"}, **dog(after)["properties"]}
    return {"type": "object", "required": ["name"], "properties": properties}


def test_what_breaks_comes_first() -> None:
    def change(after: Any) -> None:
        dog(after)["properties"]["tail"] = {"type": "boolean"}
        del listing(after)["parameters"][1]
        listing(after)["responses"]["201"] = {}
        del dog(after)["properties"]["chip"]

    reasons = [bool(why) for _, why in found(change)]
    assert reasons == [True, True, False, False]


def test_a_schema_that_refers_to_itself_is_read_to_its_end() -> None:
    after = document()
    dog(after)["properties"]["mother"] = {"$ref": "#/components/schemas/dog"}
    assert [change.text for change in diff.changes(document(), after)] == ["property mother of dog: dog"]
    assert diff.changes(after, after) == []


# --- documents nobody wrote -----------------------------------------------------------------------------------------

TYPES = st.sampled_from(["string", "integer", "number", "boolean", "object", ["string", "null"]])
NAMES = st.sampled_from(["a", "b", "c", "d", "e"])
SCHEMAS = st.recursive(
    st.builds(lambda kind: {"type": kind}, TYPES)
    | st.builds(lambda values: {"type": "string", "enum": values}, st.lists(NAMES, min_size=1, unique=True))
    | st.just({"$ref": "#/components/schemas/one"}),
    lambda inner: (
        st.builds(lambda item: {"type": "array", "items": item}, inner)
        | st.builds(
            lambda parts, must: {"type": "object", "properties": parts, "required": [n for n in must if n in parts]},
            st.dictionaries(NAMES, inner, max_size=3),
            st.lists(NAMES, max_size=2, unique=True),
        )
    ),
    max_leaves=5,
)
OPERATIONS = st.builds(
    lambda parameters, body, answer: {
        "parameters": [
            {"name": name, "in": "query", "required": must, "schema": schema}
            for name, (schema, must) in parameters.items()
        ],
        "requestBody": {"content": {"application/json": {"schema": body}}},
        "responses": {"200": {"content": {"application/json": {"schema": answer}}}},
    },
    st.dictionaries(NAMES, st.tuples(SCHEMAS, st.booleans()), max_size=3),
    SCHEMAS,
    SCHEMAS,
)
ANY_DOCUMENT = st.builds(
    lambda paths, one: {
        "openapi": "3.1.0",
        "paths": {f"/{name}": {"get": operation} for name, operation in paths.items()},
        "components": {"schemas": {"one": {"type": "object", "properties": one}}},
    },
    st.dictionaries(NAMES, OPERATIONS, max_size=3),
    st.dictionaries(NAMES, SCHEMAS, max_size=3),
)


def turned(node: Any) -> Any:
    """The same with all that has no order in another one, and with words that mean nothing."""
    if isinstance(node, dict):
        return {key: turned(value) for key, value in reversed(node.items())} | (
            {"description": "words"} if "type" in node and isinstance(node["type"], str | list) else {}
        )
    return [turned(value) for value in node] if isinstance(node, list) else node


@settings(max_examples=150, deadline=None)
@given(one=ANY_DOCUMENT)
def test_a_document_is_the_same_as_itself_in_another_order(one: Any) -> None:
    assert diff.changes(one, copy.deepcopy(one)) == []
    assert diff.changes(one, turned(one)) == []


@settings(max_examples=150, deadline=None)
@given(one=ANY_DOCUMENT, other=ANY_DOCUMENT)
def test_what_appeared_one_way_went_the_other_way(one: Any, other: Any) -> None:
    there, back = diff.changes(one, other), diff.changes(other, one)
    assert {c.fact.text for c in there if c.sign == "+"} == {c.fact.text for c in back if c.sign == "-"}
    assert {c.fact.text for c in there if c.sign == "-"} == {c.fact.text for c in back if c.sign == "+"}
    assert {c.fact.text for c in there if c.sign == "~"} == {c.fact.text for c in back if c.sign == "~"}
    assert bool(there) == (diff.facts(one) != diff.facts(other))


@settings(max_examples=100, deadline=None)
@given(one=ANY_DOCUMENT, data=st.data())
def test_one_property_more_is_one_change(one: Any, data: st.DataObject) -> None:
    after = copy.deepcopy(one)
    after["components"]["schemas"]["one"]["properties"]["new"] = {"type": "string"}
    used = "schema one" in diff.facts(one)
    assert [c.text for c in diff.changes(one, after)] == (["property new of one: string"] if used else [])
    if one["paths"]:
        path = data.draw(st.sampled_from(sorted(one["paths"])))
        after = copy.deepcopy(one)
        after["paths"][path]["get"]["parameters"].append({"name": "new", "in": "query", "schema": {"type": "string"}})
        (only,) = diff.changes(one, after)
        assert (only.text, only.why) == (f"parameter new of GET {path}: string", "")


# --- where it is called ----------------------------------------------------------------------------------------------


def test_each_operation_is_named_with_the_lines_that_call_it() -> None:
    operations = yaml.safe_load(trim.RULES.read_text(encoding="utf-8"))["operations"]
    called = diff.callers()
    assert called.keys() <= operations.keys()
    assert called.keys() >= {"POST /process_events/{process_id}", "GET /start_processes", "GET /requests", "GET /tasks"}
    for name, places in called.items():
        module = diff._snake(operations[name]["operationId"])
        for place in places:
            file, _, number = place.partition(":")
            line = (diff.WRAPPER / file).read_text(encoding="utf-8").splitlines()[int(number) - 1]
            assert f"{module}.build_request(" in line


def trimmed(version: str) -> Any:
    rules = yaml.safe_load(trim.RULES.read_text(encoding="utf-8"))
    return trim.trim(trim.read(str(DOCUMENTS / f"{version}.yaml")), rules)[0]


def test_the_report_says_what_breaks_why_where_it_is_called_and_how_the_version_should_step() -> None:
    after = trimmed("4.15.5")
    del after["components"]["schemas"]["processRequest"]["properties"]["case_number"]
    del after["paths"]["/requests"]["get"]["parameters"][6]
    after["paths"]["/start_processes"]["get"]["parameters"][0]["schema"]["type"] = ["string", "null"]
    report = diff.report(trimmed("4.15.5"), after, "1.4.2")
    assert report[0] == "What changed in the API:"
    assert report[1] == "  breaking for callers:"
    (case_number,) = [n for n, line in enumerate(report) if line == "    - property case_number of processRequest"]
    assert report[case_number + 1] == "        why: code that reads it fails"
    assert "once/start.py:" in report[case_number + 2].partition("called in: ")[2]
    pmql = report.index("    - parameter pmql of GET /requests")
    assert "follow/reading.py:" in report[pmql + 2].partition("called in: ")[2]
    assert report[-3:] == [
        "  compatible:",
        "    ~ parameter filter of GET /start_processes: string -> string | null",
        "Semantic versioning asks for a major step: 1.4.2 -> 2.0.0.",
    ]


@pytest.mark.parametrize(
    ("change", "version", "step"),
    [
        (lambda d: listing(d)["parameters"].pop(1), "1.4.2", "a major step: 1.4.2 -> 2.0.0"),
        (
            lambda d: listing(d)["parameters"].pop(1),
            "0.4.2",
            "a major step, which before 1.0.0 is 0.4.2 -> 0.5.0",
        ),
        (lambda d: dog(d)["properties"].update(tail={}), "1.4.2", "a minor step: 1.4.2 -> 1.5.0"),
        (
            lambda d: dog(d)["properties"].update(tail={}),
            "0.4.2",
            "a minor step, which before 1.0.0 is 0.4.2 -> 0.4.3",
        ),
        (lambda d: dog(d)["required"].append("mood"), "1.4.2", "a minor step: 1.4.2 -> 1.5.0"),
        (lambda _: None, "1.4.2", "no step"),
    ],
)
def test_the_version_steps_as_semantic_versioning_asks(change: Any, version: str, step: str) -> None:
    after = document()
    change(after)
    assert diff.step(diff.changes(document(), after), version) == step


# --- the command ----------------------------------------------------------------------------------------------------


def test_full_documents_are_trimmed_before_they_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    old, new = (str(DOCUMENTS / f"{version}.yaml") for version in ("4.2.36", "4.15.5"))
    assert diff.main([old, new]) == 0
    told = capsys.readouterr()
    assert told.out.splitlines()[:2] == ["What changed in the API:", "  compatible:"]
    assert "    + property case_title of processRequest: string | null" in told.out.splitlines()
    assert told.err == ""
    assert diff.main([new, new]) == 0
    assert capsys.readouterr().out == "Nothing changed in the API.\nSemantic versioning asks for no step.\n"


def test_what_the_corrections_even_out_or_trimming_leaves_out_is_told_last(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = DOCUMENTS / "4.15.5.yaml", tmp_path / "new.yaml"
    after = yaml.safe_load(old.read_text(encoding="utf-8"))
    after["components"]["schemas"]["processRequestEditable"]["properties"]["user_id"] = {
        "type": "integer",
        "format": "id",
    }
    after["paths"]["/another"] = {"get": {"responses": {}}}
    new.write_text(yaml.safe_dump(after), encoding="utf-8")
    assert diff.main([str(old), str(new)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "What changed in the API:",
        "  in the official documents only, so that the client stays as it is:",
        "    ~ property user_id of processRequest: string -> integer",
        "    ~ property user_id of processRequestEditable: string -> integer",
        "    + operation GET /another",
        "Semantic versioning asks for no step.",
    ]


def test_what_is_new_and_required_is_named_with_the_lines_that_do_not_send_it() -> None:
    after = trimmed("4.15.5")
    tenant = {"name": "tenant", "in": "query", "required": True, "schema": {"type": "string"}}
    after["paths"]["/process_events/{process_id}"]["post"]["parameters"].append(tenant)
    (place,) = diff.callers()["POST /process_events/{process_id}"]
    assert diff.report(trimmed("4.15.5"), after, "1.4.2")[2:5] == [
        "    + parameter tenant of POST /process_events/{process_id}: string, required",
        "        why: calls that do not send it may be refused",
        f"        called in: {place}",
    ]


def test_a_trimmed_document_is_not_compared_with_one_that_cannot_be_trimmed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    after = yaml.safe_load((DOCUMENTS / "4.15.5.yaml").read_text(encoding="utf-8"))
    del after["paths"]["/tasks"]
    (tmp_path / "new.yaml").write_text(yaml.safe_dump(after), encoding="utf-8")
    assert diff.main([str(ROOT / "openapi" / "processmaker.yaml"), str(tmp_path / "new.yaml")]) == 1
    told = capsys.readouterr()
    assert (told.out, told.err.splitlines()[0]) == ("", "diff: the operation GET /tasks is not in the document")


def test_documents_that_cannot_be_trimmed_are_compared_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "old.yaml").write_text(yaml.safe_dump(document()))
    after = document()
    del after["paths"]["/dogs"]
    (tmp_path / "new.yaml").write_text(yaml.safe_dump(after))
    assert diff.main([str(tmp_path / "old.yaml"), str(tmp_path / "new.yaml")]) == 0
    told = capsys.readouterr()
    assert "    - operation GET /dogs\n        why: calls of it fail\n" in told.out
    assert told.err == "diff: note: trim.yaml does not fit both; they are compared as they are\n"


def test_a_document_that_is_not_there_is_one_line_on_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert diff.main([str(tmp_path / "no.yaml"), str(DOCUMENTS / "4.15.5.yaml")]) == 1
    assert capsys.readouterr().err == f"diff: {tmp_path / 'no.yaml'}: No such file or directory\n"


def test_without_two_documents_it_says_what_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        diff.main(["", ""])
    assert "two documents are needed: make api-diff OLD=<file or URL> NEW=<file or URL>" in capsys.readouterr().err


def test_it_runs_as_a_command_from_any_folder(tmp_path: Path) -> None:
    one = str(DOCUMENTS / "4.15.5.yaml")
    done = subprocess.run(
        [sys.executable, str(ROOT / "openapi" / "diff.py"), one, one],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Nothing changed")
