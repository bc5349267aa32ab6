"""Trim ProcessMaker's OpenAPI document: keep a few operations, correct what is wrong, use our own words.

    python openapi/trim.py SPEC [-o FILE]

SPEC is the full document, a file or a URL, JSON or YAML. What is kept, corrected and said stands in trim.yaml
beside this file. The result goes to processmaker.yaml, or to FILE.
"""

import argparse
import copy
import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from http import HTTPStatus
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
RULES = HERE / "trim.yaml"
RESULT = HERE / "processmaker.yaml"
HEADER = "# Made by openapi/trim.py from ProcessMaker's OpenAPI document and trim.yaml; not edited by hand.\n"
ABSENT = "(absent)"
ONLY_IF_THERE = "only_if_there"
ADVICE = f"`{ONLY_IF_THERE}: <reason>`"
NAMING = ("operationId", "tags")
METHODS = ("get", "put", "post", "delete", "patch")
PROSE = {"summary", "description", "example", "examples", "title", "externalDocs"}
# Below these keys stand names, which may read like prose: a process has a property "description".
NAMES = {"paths", "properties", "schemas", "responses", "parameters", "content", "securitySchemes"}
# fmt: off
ORDER = [
    "openapi", "info", "servers", "operationId", "tags", "summary", "name", "in", "type", "required",
    "title", "version", "url", "description", *METHODS, "parameters", "requestBody", "items", "properties",
    "responses", "security", "paths",
]
# fmt: on
WIDTH = 110
# The official documents have up to 0.5 MB, 20,000 values and 20 levels.
MOST_BYTES, MOST_VALUES, MOST_LEVELS = 8_000_000, 500_000, 100
LONGEST_FETCH = 60
"""Seconds."""

Json = Any


class TrimError(Exception):
    """The document cannot be trimmed; the message names each place, and what to do."""


# --- reading ------------------------------------------------------------------------------------------------


def read(source: str) -> Json:
    """Return the OpenAPI 3 document at `source`, a file path or an http(s) URL, holding JSON or YAML.

    Raises TrimError when it is no such document, or larger than any that could be meant.
    """
    raw = _fetch(source) if source.startswith(("http://", "https://")) else _read_file(source)
    try:
        document = _parsed(raw.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise TrimError(f"{source} is not text in UTF-8") from None
    except (yaml.YAMLError, ValueError) as error:
        raise TrimError(f"{source} is neither JSON nor YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise TrimError(f"{source} is nested more than {MOST_LEVELS} levels deep") from None
    except TrimError as error:
        raise TrimError(f"{source} {error}") from None
    if (
        not isinstance(document, dict)
        or not str(document.get("openapi", "")).startswith("3.")
        or not all(isinstance(document.get(key, {}), dict) for key in ("info", "paths", "components"))
    ):
        raise TrimError(f"{source} is not an OpenAPI 3 document")
    return document


def _parsed(text: str) -> Json:
    try:
        document = json.loads(text)
    except ValueError:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            # Before it is built: what an alias stands for is written out where it is used.
            _check_size(node, lambda part: [x for pair in part.value for x in _parts(pair)] if _compound(part) else [])
            return loader.construct_document(node)
        finally:
            loader.dispose()
    _check_size(document, _children)
    return document


def _compound(node: yaml.Node) -> bool:
    return isinstance(node, yaml.CollectionNode)


def _parts(pair: Json) -> tuple[Json, ...]:
    return pair if isinstance(pair, tuple) else (pair,)


def _check_size(whole: Json, children: Callable[[Json], list[Json]]) -> None:
    """Raise TrimError for a tree that, written out, has too many values or levels: what is shared counts again."""
    sizes: dict[int, tuple[int, int]] = {}

    def measure(node: Json, level: int) -> tuple[int, int]:
        if level > MOST_LEVELS:
            raise TrimError(f"is nested more than {MOST_LEVELS} levels deep, or holds itself")
        if id(node) not in sizes:
            inside = [measure(child, level + 1) for child in children(node)]
            size, depth = 1 + sum(size for size, _ in inside), 1 + max((depth for _, depth in inside), default=0)
            if size > MOST_VALUES:
                raise TrimError(f"holds more than {MOST_VALUES:,} values, those that its aliases stand for included")
            if not inside:
                return size, depth
            sizes[id(node)] = size, depth
        if level + sizes[id(node)][1] > MOST_LEVELS + 1:
            raise TrimError(f"is nested more than {MOST_LEVELS} levels deep")
        return sizes[id(node)]

    measure(whole, 1)


def _read_file(name: str) -> bytes:
    try:
        with Path(name).open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise TrimError(f"{name}: {error.strerror}") from None
    return _bounded(name, raw)


def _fetch(url: str) -> bytes:
    import httpx  # only needed here, and slow to import

    deadline = time.monotonic() + LONGEST_FETCH
    raw = bytearray()
    try:
        with httpx.stream("GET", url, timeout=30, follow_redirects=True) as response:
            response.raise_for_status()
            for part in response.iter_bytes():
                raw += part
                if len(raw) > MOST_BYTES:
                    break
                if time.monotonic() > deadline:
                    raise TrimError(f"{url}: the document did not come in {LONGEST_FETCH} seconds")
    except httpx.HTTPStatusError as error:
        raise TrimError(f"{url}: the server answered {error.response.status_code}") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise TrimError(f"{url}: {error}") from None
    return _bounded(url, bytes(raw))


def _bounded(source: str, raw: bytes) -> bytes:
    if len(raw) > MOST_BYTES:
        raise TrimError(f"{source} is larger than {MOST_BYTES // 1_000_000} MB, which no API document is")
    return raw


# --- trimming -----------------------------------------------------------------------------------------------


def trim(official: Json, rules: Json) -> tuple[Json, list[str]]:
    """Return the trimmed document, and notes on words that trim.yaml has too many or too few.

    Raises TrimError when a kept operation is gone, when a correction does not fit, or when something is left
    that could make a parser raise on an answer. It names all of these at once.
    """
    official, rules = _plain_keys(official), _plain_keys(rules)
    document, absent = _pick(official, rules)
    gone = [text for text in absent.values() if text]
    if gone and not document["paths"]:
        raise TrimError("\n".join(gone))
    corrections = [entry for entry in rules["corrections"] if not entry["where"].startswith(tuple(absent))]
    misfits = {entry["where"]: text for entry in corrections if (text := _correct(document, entry))}
    try:
        _keep_what_is_needed(document)
    except TrimError as error:  # a correction refers to it
        todo = "where it has another name now, give that to what refers to it in trim.yaml"
        raise TrimError("\n".join([*gone, *misfits.values(), f"{error}\n    to do: {todo}"])) from None
    origins, disagreements = _merge_all_of(document["components"]["schemas"])
    _keep_what_is_needed(document)
    left = {_origin(place, origins): text for place, text in _intolerances(document)}
    # A place that a correction should have changed is named already.
    named = [where for where in misfits if not where.endswith("*")]
    left = {place: text for place, text in left.items() if not any(fnmatchcase(place, where) for where in named)}
    if problems := [*gone, *misfits.values(), *disagreements, *(f"{place} {left[place]}" for place in left)]:
        raise TrimError("\n".join(problems))
    notes = _say(document, rules)
    ours = rules["document"]
    document.update(ours, info={**ours["info"], "version": str(official.get("info", {}).get("version", ""))})
    document["components"]["securitySchemes"] = rules["securitySchemes"]
    return _ordered(document), notes


def dump(document: Json) -> str:
    """Return the document as YAML that reads well and is the same on every machine."""
    return HEADER + yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=WIDTH)


def _plain_keys(node: Json) -> Json:
    """Return a copy whose keys are strings: YAML reads a response code as a number."""
    if isinstance(node, dict):
        return {str(key): _plain_keys(value) for key, value in node.items()}
    return [_plain_keys(value) for value in node] if isinstance(node, list) else node


def _pick(official: Json, rules: Json) -> tuple[Json, dict[str, str]]:
    """The kept operations and all components, without prose, each parameter written out where it is used.

    Also, by their places, the operations that are not there, with what is to be said of those that should be.
    """
    paths: dict[str, Json] = {}
    absent: dict[str, str] = {}
    added = {c["where"] for c in rules["corrections"] if ABSENT in _accepted(c)}
    for name, words in rules["operations"].items():
        method, path = _operation(name)
        theirs = _same_path(official.get("paths", {}), path)
        item = official.get("paths", {}).get(theirs, {})
        if method in item:
            operation = dict(item[method])
            parameters = [*item.get("parameters", []), *operation.get("parameters", [])]
            if parameters:
                ours = dict(zip(_PART.findall(theirs), _PART.findall(path), strict=True))
                whole = [_dereference(official, parameter) for parameter in parameters]
                operation["parameters"] = [one | {"name": ours.get(one["name"], one["name"])} for one in whole]
            # The names of the generated modules are ours, so that a new name in the document moves none of them.
            paths.setdefault(path, {})[method] = operation | {key: words[key] for key in NAMING if key in words}
        elif f"paths.{path}" not in added:
            said = f"the operation {name} is not in the document\n    to do: where it moved, change its name and the "
            said += f"paths of its corrections; where documents without it are good enough, say so with it: {ADVICE}"
            absent[f"paths.{path}.{method}."] = "" if ONLY_IF_THERE in words else said
    document: Json = _normalised(_without_prose({"paths": paths, "components": official.get("components", {})}))
    _keep_what_is_needed(document)
    return document, absent


_PART = re.compile(r"\{([^}]*)\}")


def _same_path(paths: Json, path: str) -> str:
    """The path in a document that is this one, whatever it calls the parts that vary: those names are sent nowhere."""
    if path in paths:
        return path
    return next((theirs for theirs in paths if _PART.sub("{}", theirs) == _PART.sub("{}", path)), path)


def _operation(name: str) -> tuple[str, str]:
    method, path = name.split(" ", 1)
    return method.lower(), path


def _dereference(document: Json, node: Json) -> Json:
    if "$ref" not in node:
        return node
    kind, name = _component(node["$ref"])
    try:
        return document["components"][kind][name]
    except LookupError:
        raise TrimError(f"{node['$ref']} is not in the document") from None


def _component(reference: str) -> tuple[str, str]:
    """Return the kind and the name of the component that `reference` means."""
    match reference.split("/"):
        case ["#", "components", kind, name]:
            return kind, name
    raise TrimError(f"{reference} is not a component of the document")


def _without_prose(node: Json, names: bool = False) -> Json:
    if isinstance(node, list):
        return [_without_prose(value) for value in node]
    if not isinstance(node, dict):
        return node
    return {
        key: _without_prose(value, names=not names and key in NAMES)
        for key, value in node.items()
        if names or not (key in PROSE or key.startswith("x-"))
    }


def _normalised(node: Json) -> Json:
    """Write alike what means the same: nothing counts beside a reference, and references come first in `allOf`."""
    if isinstance(node, list):
        return [_normalised(value) for value in node]
    if not isinstance(node, dict):
        return node
    if isinstance(node.get("$ref"), str):
        return {"$ref": node["$ref"]}
    whole = {key: _normalised(value) for key, value in node.items()}
    if isinstance(whole.get("allOf"), list):
        whole["allOf"].sort(key=lambda part: "$ref" not in part)
    return whole


# --- corrections --------------------------------------------------------------------------------------------


def _accepted(correction: Json) -> list[Json]:
    """What may stand at the place of a correction, in one document or another."""
    return correction["was_one_of"] if "was_one_of" in correction else [correction["was"]]


def _correct(document: Json, correction: Json) -> str:
    """Apply one entry: at its place or, when `where` has a `*`, at every place that is as `was` says.

    Returns what is to be said where it does not fit.
    """
    where, accepted = correction["where"], _accepted(correction)
    path = where.split(".")
    places = [(holder, key, _value(holder, key)) for holder, key in _places(document, path)]
    fitting = [(holder, key) for holder, key, value in places if value in accepted]
    there = [value for _, _, value in places if value != ABSENT]
    if fitting if "*" in where else len(fitting) == len(places) > 0:
        for holder, key in fitting:
            _set(holder, key, _plain_keys(correction["is"]))
        return ""
    if ONLY_IF_THERE in correction and ("*" in where or not there):
        return ""
    expected = " or ".join(map(_short, accepted))
    if "*" in where:
        found = ", ".join(dict.fromkeys(map(_short, there[:20]))) or "no such place"
        advice = f"correct `where` or `was`, or take the entry out; where it is not always needed: {ADVICE}"
    elif not there:
        found = f"no such place; there is {_deepest(document, path)}" if not places else ABSENT
        advice = f"where the place moved, correct `where`; where documents without it are good enough: {ADVICE}"
    elif there[0] == correction["is"]:
        found = f"{_short(there[0])}, as this correction wants it"
        advice = "take the entry out; where older documents shall still fit, put both into `was_one_of`"
    else:
        found = _short(there[0])
        advice = "see what a server does; put what the document says now into `was`, or beside it into `was_one_of`"
    return f"the correction of {where} does not fit\n    expected: {expected}\n    found: {found}\n    to do: {advice}"


def _deepest(node: Json, path: list[str]) -> str:
    """The longest part of the path that is there, and what stands there."""
    for length in range(len(path) - 1, 0, -1):
        for holder, key in _places(node, path[:length]):
            if (value := _value(holder, key)) != ABSENT:
                inside = ", ".join(map(str, value)) if isinstance(value, dict) else _short(value)
                return f"{'.'.join(path[:length])} with {inside or 'nothing'}"
    return "nothing of it"


def _places(node: Json, path: list[str]) -> Iterator[tuple[Json, str | int]]:
    """Find the places that `path` means: `*` is any one step, `**` any number of steps.

    In a list a step is an index or the `name` of an element. The last step may be absent.
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
        if step == "*":
            return list(range(len(node)))
        if step.isdigit():
            return [int(step)]
        return [index for index, value in enumerate(node) if _name(value) == step] or [len(node)]
    return []


def _name(node: Json) -> Json:
    return node.get("name") if isinstance(node, dict) else None


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


# --- what comes along ---------------------------------------------------------------------------------------


def _merge_all_of(schemas: dict[str, Json]) -> tuple[dict[str, str], list[str]]:
    """Write each `allOf` of objects out as one object, so that a schema reads as one list of properties.

    Returns the places that properties had before, by those that they have now; and what is to be said of parts that
    cannot be put together.
    """
    origins: dict[str, str] = {}
    problems: dict[str, str] = {}
    done: dict[str, Json] = {}

    def merged(name: str) -> Json:
        if name not in done:
            done[name] = {"type": "object", "properties": {}}  # for a schema that is a part of itself
            done[name] = put_together(f"components.schemas.{name}", schemas[name])
        return done[name]

    def put_together(place: str, schema: Json) -> Json:
        if "allOf" not in schema:
            return schema
        properties: dict[str, Json] = {}
        for number, part in enumerate(schema["allOf"]):
            whole, there = part, f"{place}.allOf.{number}"
            if "$ref" in part:
                name = _component(part["$ref"])[1]
                whole, there = merged(name), f"components.schemas.{name}"
            for word in sorted(whole.keys() - {"type", "properties"}):
                problems[f"{there}.{word}"] = f"{there}.{word} {_unreadable(whole[word], ABSENT)}"
            for key, value in whole.get("properties", {}).items():
                here, origin = f"{place}.properties.{key}", _origin(f"{there}.properties.{key}", origins)
                if properties.setdefault(key, value) != value:
                    problems[here] = (
                        f"{origins[here]} and {origin}, parts of one schema, disagree\n"
                        f"    found: {_short(properties[key])} and {_short(value)}\n"
                        "    to do: add a correction of one of them, so that they are alike"
                    )
                origins.setdefault(here, origin)
        return {"type": "object", "properties": copy.deepcopy(properties)}

    schemas.update({name: merged(name) for name in schemas})
    return origins, list(problems.values())


def _origin(place: str, origins: dict[str, str]) -> str:
    """Where a place within a merged property stands in the document, which is where it can be corrected."""
    for now, before in origins.items():
        if place == now or place.startswith(f"{now}."):
            return before + place.removeprefix(now)
    return place


def _keep_what_is_needed(document: Json) -> None:
    """Drop the components that neither the kept operations need nor what they need in turn."""
    kept: dict[str, dict[str, Json]] = {"responses": {}, "schemas": {}}
    todo = [document["paths"]]
    while todo:
        node = todo.pop()
        todo.extend(_children(node))
        reference = node.get("$ref") if isinstance(node, dict) else None
        if isinstance(reference, str):
            kind, name = _component(reference)
            if name not in kept.setdefault(kind, {}):
                kept[kind][name] = _dereference(document, node)
                todo.append(kept[kind][name])
    document["components"] = {kind: dict(sorted(parts.items())) for kind, parts in kept.items()}


# --- tolerance ----------------------------------------------------------------------------------------------

# What the generated parser accepts without looking: it hands these through as they come.
_HANDED_THROUGH = {"string", "integer", "number", "boolean", "null"}


def _intolerances(document: Json) -> Iterator[tuple[str, str]]:
    """Find what could make the generated parser raise, by when the server has done its work: place and words."""
    for path, item in document["paths"].items():
        for method in METHODS:
            operation = item.get(method, {})
            place = f"paths.{path}.{method}"
            for parameter in operation.get("parameters", []):
                schema, name = parameter.get("schema", {}), f"{place}.parameters.{parameter['name']}.schema"
                if "default" in schema:
                    yield name, _to_correct("has a default, which would always be sent", schema, "the same without it")
                elif "enum" in schema:
                    words = "takes only some values, and not what newer servers add"
                    yield name, _to_correct(words, schema, "the same without `enum`")
            for code, response in operation.get("responses", {}).items():
                yield from _in_answer(document, response, f"{place}.responses.{code}")
    for name, response in document["components"].get("responses", {}).items():
        yield from _in_answer(document, response, f"components.responses.{name}")


def _in_answer(document: Json, response: Json, place: str) -> Iterator[tuple[str, str]]:
    if not isinstance(response, dict):
        yield place, _unreadable(response)
        return
    for kind, media in response.get("content", {}).items():
        yield from _in_object(document, media.get("schema", {}), f"{place}.content.{kind}.schema", seen=set())


def _in_object(document: Json, schema: Json, place: str, seen: set[str]) -> Iterator[tuple[str, str]]:
    if isinstance(schema, dict) and "$ref" in schema:
        if schema["$ref"] in seen:
            return
        seen.add(schema["$ref"])
        place = schema["$ref"].removeprefix("#/").replace("/", ".")
        schema = _dereference(document, schema)
    if schema == {"type": "string", "format": "binary"}:  # a file, whose bytes are taken as they come
        return
    if not isinstance(schema, dict) or schema.get("type") not in ("object", "string"):
        yield place, _unreadable(schema)
        return
    for word in sorted(schema.keys() - {"type", "properties"}):
        yield f"{place}.{word}", _unreadable(schema[word], ABSENT)
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


# --- words --------------------------------------------------------------------------------------------------


def _say(document: Json, rules: Json) -> list[str]:
    """Put our words into the document; return notes on those that found no place and on parameters without any."""
    lost = []

    def describe(node: Json, words: str, place: str) -> None:
        if isinstance(node, dict) and "$ref" not in node:
            node["description"] = words
        else:
            lost.append(f"no place for the words on {place}")

    for name, words in rules["operations"].items():
        method, path = _operation(name)
        if not (operation := document["paths"].get(path, {}).get(method)):
            continue
        operation.update({key: words[key] for key in ("summary", "description")})
        # openapi-python-client takes the words on a parameter or a body from its schema, so there ours go.
        parameters = {one["name"]: one.get("schema") for one in operation.get("parameters", [])}
        for key, text in words.get("parameters", {}).items():
            describe(parameters.get(key), text, f"{name}, parameter {key}")
        lost += [f"no words on {name}, parameter {key}" for key in parameters if key not in words.get("parameters", {})]
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
    """Give a response we have no words for the standard phrase, since OpenAPI demands a description."""
    for code, response in responses.items():
        if "$ref" not in response and "description" not in response:
            response["description"] = HTTPStatus(int(code)).phrase if code.isdigit() else code


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
    """Long text is folded, a list of words stands on one line, and nothing is shared between places."""

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
    parser.add_argument("spec", metavar="SPEC", help="the full document: a file or an http(s) URL")
    parser.add_argument("-o", dest="result", metavar="FILE", default=RESULT, type=Path, help="the result")
    options = parser.parse_args(arguments)
    try:
        rules = yaml.safe_load(RULES.read_text(encoding="utf-8"))
        document, notes = trim(read(options.spec), rules)
        options.result.write_text(dump(document), encoding="utf-8", newline="\n")
    except (TrimError, OSError) as error:
        print(f"trim: {error}", file=sys.stderr)
        return 1
    for note in notes:
        print(f"trim: note: {note}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
