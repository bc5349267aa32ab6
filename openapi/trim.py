"""Trim ProcessMaker's OpenAPI document: keep a few operations, correct what is wrong, describe them in our own words.

    python openapi/trim.py SPEC [-o FILE] [--version VERSION]

SPEC is the official document, a file or a URL, JSON or YAML. trim.yaml, beside this file, has the operations, the
corrections and the words. The result is written to processmaker.yaml, or to FILE. It names the version of ProcessMaker
that the document is of, and a digest of trim.yaml, so that `generate.py --check` notices if trim.yaml changes.
"""

import argparse
import copy
import hashlib
import json
import re
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from http import HTTPStatus
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
RULES = HERE / "trim.yaml"
RESULT = HERE / "processmaker.yaml"
HEADER = "# Made by openapi/trim.py from ProcessMaker's OpenAPI document and trim.yaml; not edited by hand.\n"
VERSION, DIGEST = "x-processmaker-version", "x-trim-digest"
ABSENT = "(absent)"
ONLY_IF_THERE = "only_if_there"
ADVICE = f"`{ONLY_IF_THERE}: <reason>`"
NAMING = ("operationId", "tags")
METHODS = ("get", "put", "post", "delete", "patch")
PROSE = {"summary", "description", "example", "examples", "title", "externalDocs"}
# The keys below these are names, which may look like prose: a process has a property "description".
NAMES = {"paths", "properties", "schemas", "responses", "parameters", "content", "securitySchemes"}
# fmt: off
ORDER = [
    "openapi", "info", "servers", "operationId", "tags", "summary", "name", "in", "type", "required",
    "title", "version", "url", "description", *METHODS, "parameters", "requestBody", "items", "properties",
    "responses", "security", "paths",
]
# fmt: on
WIDTH = 110
Json = Any


class TrimError(Exception):
    """The document cannot be trimmed. The message names each place, and what to do."""


# --- reading ------------------------------------------------------------------------------------------------


def read(source: str) -> Json:
    """Return the OpenAPI 3 document at `source`, a file path or an http(s) URL, in JSON or YAML.

    Raises TrimError if there is no such document.
    """
    try:
        text = _fetch(source) if "://" in source else Path(source).read_text(encoding="utf-8-sig")
        # JSON is YAML, too, but json reads it faster.
        document = json.loads(text) if text.lstrip().startswith("{") else yaml.safe_load(text)
    except OSError as error:
        raise TrimError(f"{source}: {error.strerror}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise TrimError(f"{source} is neither JSON nor YAML: {' '.join(str(error).split())}") from None
    if not (isinstance(document, dict) and str(document.get("openapi")).startswith("3.") and document.get("paths")):
        raise TrimError(f"{source} is not an OpenAPI 3 document")
    return document


def _fetch(url: str) -> str:
    import httpx  # only needed here, and slow to import

    try:
        return httpx.get(url, timeout=30, follow_redirects=True).raise_for_status().text
    except httpx.HTTPStatusError as error:
        raise TrimError(f"{url}: the server answered {error.response.status_code}") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise TrimError(f"{url}: {error}") from None


# --- trimming -----------------------------------------------------------------------------------------------


def trim(official: Json, rules: Json) -> tuple[Json, list[str]]:
    """Return the trimmed document, and notes on descriptions in trim.yaml that are missing or have no place.

    Raises TrimError if operations are gone, else if corrections do not fit or if something is left that could make the
    generated client raise on an answer. All of these are named at once.
    """
    official, rules = plain_keys(official), plain_keys(rules)
    document = _pick(official, rules)
    misfits = {entry["where"]: text for entry in rules["corrections"] if (text := _correct(document, entry))}
    try:
        _keep_what_is_needed(document)
    except TrimError as error:  # a correction refers to it
        todo = "if it has another name now, change what refers to it in trim.yaml"
        raise TrimError("\n".join([*misfits.values(), f"{error}\n    to do: {todo}"])) from None
    # A place that a correction should have changed is named already.
    named = [where for where in misfits if not where.endswith("*")]
    found = _intolerances(document)
    left = {place: text for place, text in found if not any(fnmatchcase(place, where) for where in named)}
    disagreements = _merge_all_of(document["components"]["schemas"])
    if problems := [*misfits.values(), *disagreements, *(f"{place} {text}" for place, text in left.items())]:
        raise TrimError("\n".join(problems))
    _keep_what_is_needed(document)
    notes = _describe(document, rules)
    ours = rules["document"]
    document.update(ours, info={**ours["info"], "version": str(official.get("info", {}).get("version", ""))})
    document["components"]["securitySchemes"] = rules["securitySchemes"]
    return _ordered(document), notes


def digest() -> str:
    """Return a digest of trim.yaml, which is the same for all line ends."""
    return hashlib.sha256(RULES.read_text(encoding="utf-8").encode()).hexdigest()


def dump(document: Json) -> str:
    """Return the document as YAML that reads well and is the same on every machine."""
    return HEADER + yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=WIDTH)


def plain_keys(node: Json) -> Json:
    """Return a copy with strings as keys: YAML reads a response code as a number."""
    if isinstance(node, dict):
        return {str(key): plain_keys(value) for key, value in node.items()}
    return [plain_keys(value) for value in node] if isinstance(node, list) else node


def _pick(official: Json, rules: Json) -> Json:
    """Return the kept operations and all components, without prose, each parameter written out where it is used."""
    paths: dict[str, Json] = {}
    gone = []
    added = {c["where"] for c in rules["corrections"] if ABSENT in _accepted(c)}
    for name, words in rules["operations"].items():
        method, path = _operation(name)
        if theirs := official["paths"].get(path, {}).get(method):
            # We name the generated modules, so that a new name in the document moves none of them.
            operation = theirs | {key: words[key] for key in NAMING if key in words}
            if "parameters" in operation:
                operation["parameters"] = [dereference(official, one) for one in operation["parameters"]]
            paths.setdefault(path, {})[method] = operation
        elif not {f"paths.{path}", f"paths.{path}.{method}"} & added:
            advice = "if it moved, change its name and the paths of its corrections; if servers still have it, add it "
            advice += "with a correction; if they do not, take it out of trim.yaml and the wrapper"
            gone.append(f"the operation {name} is not in the document\n    to do: {advice}")
    if gone:
        raise TrimError("\n".join(gone))
    document: Json = _normalised({"paths": paths, "components": official.get("components", {})})
    _keep_what_is_needed(document)
    return document


def _operation(name: str) -> tuple[str, str]:
    method, path = name.split(" ", 1)
    return method.lower(), path


def dereference(document: Json, node: Json) -> Json:
    """Return the component that a node such as {$ref: '#/components/schemas/media'} means, or the node itself."""
    if "$ref" not in node:
        return node
    kind, name = node["$ref"].split("/")[-2:]
    try:
        return document["components"][kind][name]
    except LookupError:
        raise TrimError(f"{node['$ref']} is not in the document") from None


def _normalised(node: Json, names: bool = False) -> Json:
    """Return a copy without prose, in which what means the same is written alike.

    Nothing counts beside a reference, and references come first in `allOf`.
    """
    if isinstance(node, list):
        return [_normalised(value) for value in node]
    if not isinstance(node, dict):
        return node
    if isinstance(node.get("$ref"), str):
        return {"$ref": node["$ref"]}
    whole = {
        key: _normalised(value, names=not names and key in NAMES)
        for key, value in node.items()
        if names or not (key in PROSE or key.startswith("x-"))
    }
    if isinstance(whole.get("allOf"), list):
        whole["allOf"].sort(key=lambda part: "$ref" not in part)
    return whole


# --- corrections --------------------------------------------------------------------------------------------


def _accepted(correction: Json) -> list[Json]:
    """Return what may be at the place of a correction, in one document or another."""
    return correction["was_one_of"] if "was_one_of" in correction else [correction["was"]]


def _correct(document: Json, correction: Json) -> str:
    """Apply one entry at its place or, if `where` has a `*`, at every place that is as `was` says.

    Return what to say if it does not fit, else an empty text.
    """
    where, accepted = correction["where"], _accepted(correction)
    path = where.split(".")
    places = [(holder, key, _value(holder, key)) for holder, key in _places(document, path)]
    fitting = [(holder, key) for holder, key, value in places if value in accepted]
    there = [value for _, _, value in places if value != ABSENT]
    if fitting if "*" in where else len(fitting) == len(places) > 0:
        for holder, key in fitting:
            _set(holder, key, plain_keys(correction["is"]))
        return ""
    if ONLY_IF_THERE in correction and ("*" in where or not there):
        return ""
    found = ", ".join(dict.fromkeys(map(_short, there[:20]))) or "no such place"
    if not there:
        advice = f"if the place moved, correct `where`; if documents do well without it: {ADVICE}"
    elif "*" in where:
        advice = f"correct `where` or `was`, or take the entry out; if some documents do not need it: {ADVICE}"
    elif there[0] == correction["is"]:
        advice = "this is what the correction wants: take it out; or, if older documents need it, use `was_one_of`"
    else:
        advice = "look at what a server does; put what was found into `was`, or beside it into `was_one_of`"
    expected = " or ".join(map(_short, accepted))
    return f"the correction of {where} does not fit\n    expected: {expected}\n    found: {found}\n    to do: {advice}"


def _places(node: Json, path: list[str]) -> Iterator[tuple[Json, str | int]]:
    """Yield the places that `path` means: `*` is any one step, `**` any number of steps.

    In a list, a step is an index or the `name` of an element. The last step may be absent.
    """
    step, *rest = path
    if step == "**":
        yield from _places(node, rest)
        for child in _children(node):
            yield from _places(child, path)
        return
    for key in _keys(node, step):
        if not rest:
            yield node, key
        elif (child := _value(node, key)) != ABSENT:
            yield from _places(child, rest)


def _children(node: Json) -> list[Json]:
    return list(node.values()) if isinstance(node, dict) else node if isinstance(node, list) else []


def _keys(node: Json, step: str) -> list[str | int]:
    if isinstance(node, dict):
        return list(node) if step == "*" else [step]
    if isinstance(node, list):
        if step.isdigit():
            return [int(step)]
        named = [index for index, value in enumerate(node) if isinstance(value, dict) and value.get("name") == step]
        return [*named] or [len(node)]
    return []


def _value(holder: Json, key: str | int) -> Json:
    try:
        return holder[key]
    except LookupError:
        return ABSENT


def _set(holder: Json, key: str | int, value: Json) -> None:
    if value == ABSENT:
        del holder[key]
    elif isinstance(holder, list) and key == len(holder):
        holder.append(value)
    else:
        holder[key] = value


def _short(value: Json) -> str:
    text = value if value == ABSENT else json.dumps(value, default=str)
    return text if len(text) <= 200 else f"{text[:200]}..."


# --- components ---------------------------------------------------------------------------------------------


def _merge_all_of(schemas: dict[str, Json]) -> list[str]:
    """Write each `allOf` of objects as one object with all properties; return what to say of parts that disagree."""
    problems = []

    def properties_of(schema: Json, place: str) -> dict[str, tuple[Json, str]]:
        """Return the value of each property, and its place in the document."""
        found = {key: (value, f"{place}.properties.{key}") for key, value in schema.get("properties", {}).items()}
        for number, part in enumerate(schema.get("allOf", [])):
            whole, there = part, f"{place}.allOf.{number}"
            if "$ref" in part:
                name = part["$ref"].rpartition("/")[2]
                whole, there = schemas[name], f"components.schemas.{name}"
            for key, (value, origin) in properties_of(whole, there).items():
                known, other = found.setdefault(key, (value, origin))
                if known != value:
                    problems.append(
                        f"{other} and {origin}, parts of one schema, disagree\n"
                        f"    found: {_short(known)} and {_short(value)}\n"
                        "    to do: add a correction of one of them, so that they are alike"
                    )
        return found

    properties = {
        name: {key: value for key, (value, _) in properties_of(schema, f"components.schemas.{name}").items()}
        for name, schema in schemas.items()
        if "allOf" in schema
    }
    schemas.update({name: {"type": "object", "properties": copy.deepcopy(parts)} for name, parts in properties.items()})
    return list(dict.fromkeys(problems))


def _keep_what_is_needed(document: Json) -> None:
    """Drop the components that the kept operations do not need, directly or through others."""
    kept: dict[str, dict[str, Json]] = {"responses": {}, "schemas": {}}
    todo = [document["paths"]]
    while todo:
        node = todo.pop()
        todo.extend(_children(node))
        reference = node.get("$ref") if isinstance(node, dict) else None
        if isinstance(reference, str):
            kind, name = reference.split("/")[-2:]
            if name not in kept.setdefault(kind, {}):
                kept[kind][name] = dereference(document, node)
                todo.append(kept[kind][name])
    document["components"] = {kind: dict(sorted(parts.items())) for kind, parts in kept.items()}


# --- tolerance ----------------------------------------------------------------------------------------------

# The generated client hands values of these types through as they come.
_HANDED_THROUGH = {"string", "integer", "number", "boolean", "null"}
# What else has these names in a generated model; without capitals and underscores.
RESERVED = {"d", "cls", "cast", "todict", "fromdict", "additionalproperties", "fielddict"}


def _intolerances(document: Json) -> Iterator[tuple[str, str]]:
    """Find what could make the generated client raise on an answer, when the server has done its work.

    Yield each place, and what to say of it.
    """
    yield from _reserved_names(document, [])
    for path, item in document["paths"].items():
        for method in METHODS:
            operation = item.get(method, {})
            place = f"paths.{path}.{method}"
            for parameter in operation.get("parameters", []):
                schema, name = parameter.get("schema", {}), f"{place}.parameters.{parameter['name']}.schema"
                for word, words in (
                    ("default", "has a default, which would always be sent"),
                    ("enum", "takes only some values, and newer servers may take more"),
                ):
                    if word in schema:
                        yield name, _to_correct(words, schema, f"the same without `{word}`")
            for code, response in operation.get("responses", {}).items():
                yield from _in_answer(document, response, f"{place}.responses.{code}")
    for name, response in document["components"].get("responses", {}).items():
        yield from _in_answer(document, response, f"components.responses.{name}")


def _reserved_names(node: Json, path: list[str]) -> Iterator[tuple[str, str]]:
    steps = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, value in ((str(step), value) for step, value in steps):
        # The generator writes `toDict` as `to_dict`.
        if path[-1:] == ["properties"] and re.sub("[^a-z]", "", name.lower()) in RESERVED:
            words = f"is a property named {name}, which breaks the generated model"
            advice = f"add a correction with this `where`, what was found as `was`, and {ABSENT} as `is`; "
            advice += "the value of an answer can then be read from the model's additional_properties"
            yield ".".join([*path, name]), f"{words}\n    found: {_short(value)}\n    to do: {advice}"
        yield from _reserved_names(value, [*path, name])


def _in_answer(document: Json, response: Json, place: str) -> Iterator[tuple[str, str]]:
    for kind, media in response.get("content", {}).items():
        yield from _in_object(document, media.get("schema", {}), f"{place}.content.{kind}.schema", seen=set())


def _in_object(document: Json, schema: Json, place: str, seen: set[str]) -> Iterator[tuple[str, str]]:
    if "$ref" in schema:
        if schema["$ref"] in seen:
            return
        seen.add(schema["$ref"])
        place = schema["$ref"].removeprefix("#/").replace("/", ".")
        schema = dereference(document, schema)
    if schema == {"type": "string", "format": "binary"}:  # a file, whose bytes are taken as they come
        return
    if schema.get("type", "object" if schema.keys() & {"allOf", "properties"} else "") not in ("object", "string"):
        yield place, _unreadable(schema)
        return
    for word in sorted(schema.keys() - {"type", "properties", "allOf"}):
        yield f"{place}.{word}", _unreadable(schema[word], ABSENT)
    for number, part in enumerate(schema.get("allOf", [])):
        yield from _in_object(document, part, f"{place}.allOf.{number}", seen)
    for name, value in schema.get("properties", {}).items():
        yield from _in_property(document, value, f"{place}.properties.{name}", seen)


def _in_property(document: Json, schema: Json, place: str, seen: set[str]) -> Iterator[tuple[str, str]]:
    types = schema.get("type", [])
    types = set(types if isinstance(types, list) else [types])
    if set(schema) <= {"type"} and types <= _HANDED_THROUGH:
        return
    if set(schema) == {"type", "items"} and types == {"array", "null"}:
        yield from _in_object(document, schema["items"], f"{place}.items", seen)
    elif set(schema) == {"oneOf"} and len(schema["oneOf"]) == 2 and schema["oneOf"][1] == {"type": "null"}:
        yield from _in_object(document, schema["oneOf"][0], f"{place}.oneOf.0", seen)
    else:
        yield place, _unreadable(schema)


def _unreadable(found: Json, better: str = "{} for anything, or plain types such as {type: [string, 'null']}") -> str:
    return _to_correct("could make an answer unreadable", found, better)


def _to_correct(words: str, found: Json, better: str) -> str:
    advice = f"add a correction with this `where`, what was found as `was`, and as `is` {better}"
    return f"{words}\n    found: {_short(found)}\n    to do: {advice}"


# --- descriptions --------------------------------------------------------------------------------------------------


def _describe(document: Json, rules: Json) -> list[str]:
    """Put our descriptions into the document; return notes on those without a place, and on parameters without any."""
    lost = []

    def describe(node: Json, words: str, place: str) -> None:
        if isinstance(node, dict) and "$ref" not in node:
            node["description"] = words
        else:
            lost.append(f"no place for the description of {place}")

    for name, words in rules["operations"].items():
        method, path = _operation(name)
        if not (operation := document["paths"].get(path, {}).get(method)):
            continue
        operation.update({key: words[key] for key in ("summary", "description")})
        # openapi-python-client reads the description of a parameter or a body from its schema.
        parameters = {one["name"]: one.get("schema") for one in operation.get("parameters", [])}
        for key, text in words.get("parameters", {}).items():
            describe(parameters.get(key), text, f"{name}, parameter {key}")
        lost += [
            f"no description of {name}, parameter {key}" for key in parameters if key not in words.get("parameters", {})
        ]
        body = operation.get("requestBody")
        schema = next(iter(body["content"].values()))["schema"] if body else {}
        if "body" in words:
            describe(body if "$ref" in schema else schema, words["body"], f"{name}, body")
        for key, text in words.get("fields", {}).items():
            describe(schema.get("properties", {}).get(key), text, f"{name}, field {key}")
        for code, text in words.get("responses", {}).items():
            describe(operation["responses"].get(code), text, f"{name}, response {code}")
        _describe_responses(operation["responses"])
    components = document["components"]
    for code, text in rules["responses"].items():
        describe(components.get("responses", {}).get(code), text, f"response {code}")
    _describe_responses(components.get("responses", {}))
    for name, words in rules["schemas"].items():
        schema = components.get("schemas", {}).get(name)
        describe(schema, words["description"], f"schema {name}")
        for key, text in words.get("properties", {}).items():
            describe((schema or {}).get("properties", {}).get(key), text, f"schema {name}, property {key}")
    return lost


def _describe_responses(responses: Json) -> None:
    """Describe the other responses by their standard phrase: OpenAPI demands a description."""
    for code, response in responses.items():
        if "$ref" not in response and "description" not in response:
            known = code.isdigit() and int(code) in list(HTTPStatus)  # 419 and `default` are not
            response["description"] = HTTPStatus(int(code)).phrase if known else f"Status {code}"


# --- writing ------------------------------------------------------------------------------------------------


def _ordered(node: Json, names: bool = False) -> Json:
    if isinstance(node, list):
        return [_ordered(value) for value in node]
    if not isinstance(node, dict):
        return node
    keys = list(node)
    if not names:
        keys.sort(key=lambda key: ORDER.index(key) if key in ORDER else len(ORDER))
    elif all(key.isdigit() for key in keys):
        keys.sort()
    return {key: _ordered(node[key], names=not names and key in NAMES) for key in keys}


class _Dumper(yaml.SafeDumper):
    """Folds long text, writes a list of words on one line, and uses no aliases."""

    def ignore_aliases(self, _data: object) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=">" if len(value) > 80 else None)


def _list(dumper: yaml.SafeDumper, values: list[Json]) -> yaml.Node:
    words = all(isinstance(value, str) for value in values)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=words or None)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(list, _list)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="trim.py", description="Trim ProcessMaker's OpenAPI document.")
    parser.add_argument("spec", metavar="SPEC", help="the official document: a file or an http(s) URL")
    parser.add_argument("-o", dest="result", metavar="FILE", default=RESULT, type=Path, help="the result")
    parser.add_argument("--version", help="the version of ProcessMaker; if left out, that in the name of the document")
    options = parser.parse_args(arguments)
    if not options.spec:
        parser.error("a document is needed: make trim SPEC=<file or URL>")
    version = options.version or next(iter(re.findall(r"\d+\.\d+\.\d+", options.spec.rpartition("/")[2])), "unknown")
    try:
        rules = yaml.safe_load(RULES.read_text(encoding="utf-8"))
        document, notes = trim(read(options.spec), rules)
        document["info"] |= {VERSION: version, DIGEST: digest()}
        options.result.write_text(dump(document), encoding="utf-8", newline="\n")
    except (TrimError, OSError) as error:
        print(f"trim: {error}", file=sys.stderr)
        return 1
    for note in notes:
        print(f"trim: note: {note}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
