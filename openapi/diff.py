"""What changed between two OpenAPI documents, for those who call the API: what breaks first, why, and for whom.

    python openapi/diff.py OLD NEW

OLD and NEW are files or URLs. A full document is trimmed first, as the client is generated from what is left; where
trim.yaml does not fit one of the two, both are compared as they are.
"""

import argparse
import json
import re
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from attrs import define, evolve, field, frozen

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT))

from openapi import trim  # noqa: E402 - this file is also run as a command

WRAPPER = ROOT / "wrapper" / "processmaker"
LIMITS = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength"}
LIMITS |= {"pattern", "minItems", "maxItems", "uniqueItems"}
# These formats change the type that a value has in Python.
FORMATS = {"date-time", "date", "uuid", "binary"}
ANYTHING = "anything"
REFUSED = "calls that do not send it may be refused"

Json = Any


# --- what a document says ---------------------------------------------------------------------------------------------


@define
class Fact:
    """One thing that a document says: an operation, a parameter, an answer, a property.

    Args:
        text: what it is called in the report.
        within: the key of the fact that it is a part of.
        kinds: the types it may have; empty where it has none.
        values: the only values it may have; None where it may have any.
        required: whether it must be there.
        other: whatever else is said of it, by name.
        sent, received: whether callers send it, or get it.
        operations: those that it belongs to.
        name: its own name, where the wrapper would use it by that.
    """

    text: str
    within: str = ""
    kinds: frozenset[str] = frozenset()
    values: frozenset[str] | None = None
    required: bool = False
    other: dict[str, str] = field(factory=dict)
    sent: bool = False
    received: bool = False
    operations: set[str] = field(factory=set)
    name: str = ""


def facts(document: Json) -> dict[str, Fact]:
    """Return all that a document says to callers, each with a key that is the same in another document."""
    reader = _Reader(trim._plain_keys(document))
    reader.read()
    return reader.found


class _Reader:
    def __init__(self, document: Json) -> None:
        self.document = document
        self.found: dict[str, Fact] = {}

    def read(self) -> None:
        for path, item in self.document.get("paths", {}).items():
            for method in trim.METHODS:
                if method in item:
                    self._operation(f"{method.upper()} {path}", item, item[method])

    def _operation(self, name: str, item: Json, operation: Json) -> None:
        key = f"operation {name}"
        security = operation.get("security", self.document.get("security", []))
        servers = item.get("servers", self.document.get("servers", []))
        said = {
            "operationId": str(operation.get("operationId", "")),
            "tag": ", ".join(operation.get("tags", [])[:1]),
            "security": " or ".join(sorted(" and ".join(sorted(one)) for one in security)),
            "servers": ", ".join(str(server.get("url")) for server in servers),
        }
        self._add(key, Fact(key, other=said | _deprecation(operation)), name)
        parameters = {}
        for one in [*item.get("parameters", []), *operation.get("parameters", [])]:
            parameter = self._resolved(one)
            parameters[parameter["name"], parameter["in"]] = parameter
        for parameter in parameters.values():
            words = f"parameter {parameter['name']} of {name}"
            if words in self.found:
                words += f" in {parameter['in']}"
            fact = Fact(words, key, required=bool(parameter.get("required")), sent=True, name=parameter["name"])
            fact.other = {"place": parameter["in"]} | _deprecation(parameter)
            media: Json = next(iter(parameter.get("content", {}).values()), {})
            schema = parameter.get("schema", media.get("schema", {}))
            self._value(words, fact, schema, name)
        if body := self._resolved(operation.get("requestBody") or {}):
            words = f"the body of {name}"
            self._add(words, Fact(words, key, required=bool(body.get("required")), sent=True), name)
            self._contents(words, body, Fact("", sent=True), name)
        for code, response in operation.get("responses", {}).items():
            words = f"answer {code} of {name}"
            self._add(words, Fact(words, key, received=True), name)
            self._contents(words, self._resolved(response), Fact("", received=True), name)

    def _contents(self, owner: str, holder: Json, way: Fact, operation: str) -> None:
        for kind, media in holder.get("content", {}).items():
            words = f"{owner} as {kind}"
            self._value(words, evolve(way, text=words, within=owner), media.get("schema", {}), operation)

    def _value(self, key: str, fact: Fact, schema: Json, operation: str) -> None:
        """A place that holds a value, and the properties within it, if they are not those of a named schema."""
        fact.kinds, fact.values = frozenset(self._kinds(schema)), _values(schema)
        if fact.sent:
            limits = {name: json.dumps(schema[name]) for name in {"default", *LIMITS} & schema.keys()}
            fact.other = fact.other | limits | _deprecation(schema)
        self._add(key, fact, operation)
        self._inside(key, fact.text, schema, fact, operation)

    def _inside(self, key: str, owner: str, schema: Json, way: Fact, operation: str, within: str | None = None) -> None:
        if "$ref" in schema:
            self._named(schema["$ref"], way, operation)
            return
        within = key if within is None else within
        way = evolve(way, other={}, operations=set())
        for name, (value, required) in self._properties(schema).items():
            words = f"property {name} of {owner}"
            here = Fact(words, within, required=required, sent=way.sent, received=way.received, name=name)
            self._value(f"{key}: {name}", here, value, operation)
        for word in ("items", "additionalProperties"):
            if isinstance(schema.get(word), dict):
                self._inside(f"{key}[]", f"each of {owner}", schema[word], way, operation, within)
        for word in ("oneOf", "anyOf"):
            for choice in schema.get(word, []):
                self._inside(key, owner, choice, way, operation, within)

    def _named(self, reference: str, way: Fact, operation: str) -> None:
        name = reference.rpartition("/")[2]
        key = f"schema {name}"
        known = self.found.get(key)
        if known and operation in known.operations and known.sent >= way.sent and known.received >= way.received:
            return
        schema = self._resolved({"$ref": reference})
        kinds = frozenset(self._kinds(schema))
        fact = Fact(key, kinds=kinds, values=_values(schema), sent=way.sent, received=way.received)
        self._add(key, fact, operation)
        self._inside(key, name, schema, fact, operation)

    def _properties(self, schema: Json, seen: set[str] | None = None) -> dict[str, tuple[Json, bool]]:
        """The properties of an object, those of the parts of an `allOf` too; each with whether it must be there."""
        found: dict[str, tuple[Json, bool]] = {}
        seen = set() if seen is None else seen
        for part in schema.get("allOf", []):
            reference = part.get("$ref")
            if reference not in seen:  # a schema may be a part of itself
                seen |= {reference} - {None}
                found |= self._properties(self._resolved(part), seen)
        required = schema.get("required", [])
        found |= {name: (value, name in required) for name, value in schema.get("properties", {}).items()}
        return {name: (value, must or name in required) for name, (value, must) in found.items()}

    def _kinds(self, schema: Json) -> Iterator[str]:
        if "$ref" in schema:
            yield schema["$ref"].rpartition("/")[2]
        elif choices := [*schema.get("oneOf", []), *schema.get("anyOf", [])]:
            for choice in choices:
                yield from self._kinds(choice)
        else:
            implied = "object" if "properties" in schema or "allOf" in schema else ANYTHING
            types = schema.get("type", implied)
            for kind in types if isinstance(types, list) else [types]:
                if kind == "array":
                    yield f"array of {_listed(set(self._kinds(schema.get('items', {}))))}"
                elif kind == "string" and schema.get("format") in FORMATS:
                    yield f"string ({schema['format']})"
                else:
                    yield kind
        if schema.get("nullable"):
            yield "null"

    def _resolved(self, node: Json) -> Json:
        seen = set()
        while isinstance(node, dict) and "$ref" in node and node["$ref"] not in seen:
            seen.add(node["$ref"])
            node = trim._dereference(self.document, node)
        return node

    def _add(self, key: str, fact: Fact, operation: str) -> None:
        if known := self.found.get(key):
            known.sent, known.received = known.sent or fact.sent, known.received or fact.received
            known.kinds |= fact.kinds
            known.other = known.other | fact.other
            known.operations.add(operation)
        else:
            self.found[key] = evolve(fact, operations={operation})


def _values(schema: Json) -> frozenset[str] | None:
    choices = [schema["const"]] if "const" in schema else schema.get("enum")
    return None if choices is None else frozenset(json.dumps(choice) for choice in choices)


def _deprecation(node: Json) -> dict[str, str]:
    return {"deprecated": "yes"} if node.get("deprecated") else {}


# --- what changed -----------------------------------------------------------------------------------------------------


@frozen
class Change:
    """One difference.

    Args:
        sign: + for what appeared, - for what went, ~ for what changed.
        text: what it is, and for ~ how it was and is.
        fact: the fact in question, as it is or, where it went, was.
        why: for callers that break, why they do; empty where none does.
        minor: whether callers get something new, or a warning.
    """

    sign: str
    text: str
    fact: Fact
    why: str = ""
    minor: bool = False


def changes(before: Json, after: Json) -> list[Change]:
    """Return what changed from one document to another, what breaks callers first."""
    old, new = facts(before), facts(after)
    found = [_gone(fact) for key, fact in old.items() if key not in new and not _went(fact, old, new)]
    found += [_appeared(fact) for key, fact in new.items() if key not in old and not _went(fact, new, old)]
    found += [change for key, fact in new.items() if key in old for change in _differences(old[key], fact)]
    return sorted(found, key=lambda change: not change.why)


def _went(fact: Fact, here: dict[str, Fact], there: dict[str, Fact]) -> bool:
    """Whether what this is a part of is not there either, and says it all."""
    return bool(fact.within) and fact.within in here and fact.within not in there


def _gone(fact: Fact) -> Change:
    if fact.text.startswith("operation"):
        why = "calls of it fail"
    elif fact.text.startswith("schema"):
        why = "code that imports its model fails"
    elif fact.sent and fact.received:
        why = "code that sends or reads it fails"
    elif fact.sent:
        why = "code that sends it fails"
    else:
        why = "such an answer is no longer read" if fact.text.startswith("answer") else "code that reads it fails"
    return Change("-", fact.text, fact, why)


def _appeared(fact: Fact) -> Change:
    kind = f": {_shown(fact)}" if fact.kinds and not fact.text.startswith("schema") else ""
    must = ", required" if fact.required and fact.sent else ""
    why = REFUSED if must else ""
    return Change("+", f"{fact.text}{kind}{must}", fact, why, minor=True)


def _differences(old: Fact, new: Fact) -> Iterator[Change]:
    if old.kinds != new.kinds or old.values != new.values:
        wider, narrower = not _within(new, old), not _within(old, new)
        reasons = []
        if new.sent and narrower:
            reasons.append("values that were taken may no longer be")
        if new.received and wider:
            reasons.append("values may come that code does not expect")
        text = f"{new.text}: {_shown(old)} -> {_shown(new)}"
        yield Change("~", text, new, " and ".join(reasons), minor=wider)
    if old.required != new.required:
        text = f"{new.text}: {'optional -> required' if new.required else 'required -> optional'}"
        why = REFUSED if new.sent and new.required else ""
        if new.received and old.required:
            why = "code that counts on it may find nothing"
        yield Change("~", text, new, why, minor=not new.required)
    for name in sorted(old.other.keys() | new.other.keys()):
        was, now = old.other.get(name, "none"), new.other.get(name, "none")
        if was != now:
            yield Change("~", f"{new.text}: {name} {was} -> {now}", new, _why_other(name, was, now), minor=True)


def _why_other(name: str, was: str, now: str) -> str:
    match name:
        case "deprecated":
            return ""
        case "operationId" | "tag":
            return "its generated module has another name"
        case "security":
            return "calls must show otherwise who they are"
        case "servers" | "place":
            return "it is sent elsewhere"
        case "default":
            return "another value is sent where it is left out"
        case "maximum" | "exclusiveMaximum" | "maxLength" | "maxItems" if now == "none" or _more(now, was):
            return ""
        case "minimum" | "exclusiveMinimum" | "minLength" | "minItems" if now == "none" or _more(was, now):
            return ""
    return "" if now == "none" else "values that were taken may no longer be"


def _more(one: str, other: str) -> bool:
    try:
        return float(one) >= float(other)
    except ValueError:
        return False


def _within(small: Fact, large: Fact) -> bool:
    """Whether each value of the one may be a value of the other."""
    kinds = large.kinds | ({"integer"} if "number" in large.kinds else set())
    if ANYTHING not in kinds and not small.kinds <= kinds:
        return False
    return large.values is None or (small.values is not None and small.values <= large.values)


def _shown(fact: Fact) -> str:
    return _listed(fact.kinds) + (f" in {', '.join(sorted(fact.values))}" if fact.values is not None else "")


def _listed(kinds: set[str] | frozenset[str]) -> str:
    return " | ".join(sorted(kinds, key=lambda kind: (kind == "null", kind)))


# --- where it is called ----------------------------------------------------------------------------------------------


def callers(wrapper: Path = WRAPPER) -> dict[str, list[str]]:
    """Return, by operation, where the wrapper builds requests of it: files and lines.

    Which of these lines a change breaks is said by mypy, since the wrapper imports the generated client statically.
    """
    rules = yaml.safe_load(trim.RULES.read_text(encoding="utf-8"))
    modules = {
        _snake(words["operationId"]): name for name, words in rules["operations"].items() if "operationId" in words
    }
    found: dict[str, list[str]] = {}
    for path in sorted(wrapper.rglob("*.py")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            for module in re.findall(r"\b(\w+)\.build_request\(", line):
                if module in modules:
                    found.setdefault(modules[module], []).append(f"{path.relative_to(wrapper).as_posix()}:{number}")
    return found


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


# --- the report -------------------------------------------------------------------------------------------------------


def report(
    before: Json,
    after: Json,
    version: str | None = None,
    beside: Sequence[Change] = (),
) -> list[str]:
    """Return the lines that tell what changed, where it is called, and which step the version should make.

    Args:
        before, after: the trimmed documents.
        version: the one to step from; this project's where it is left out.
        beside: what else changed in the full documents.
    """
    found = changes(before, after)
    places = callers()
    lines = ["What changed in the API:"] if found or beside else ["Nothing changed in the API."]
    for title, some in (
        ("breaking for callers", [change for change in found if change.why]),
        ("compatible", [change for change in found if not change.why]),
    ):
        if some:
            lines.append(f"  {title}:")
        for change in some:
            lines.append(f"    {change.sign} {change.text}")
            if change.why:
                lines.append(f"        why: {change.why}")
                if called := [place for name in sorted(change.fact.operations) for place in places.get(name, ())]:
                    lines.append(f"        called in: {', '.join(called)}")
    if beside:
        lines.append("  in the full documents only, so that the client stays as it is:")
        lines += [f"    {change.sign} {change.text}" for change in beside]
    return [*lines, f"Semantic versioning asks for {step(found, _version() if version is None else version)}."]


def step(found: list[Change], version: str) -> str:
    """Return the step from this version, such as `a major step: 1.4.2 -> 2.0.0`."""
    major, minor, patch = (int(part) for part in [*re.findall(r"[0-9]+", version), "0", "0"][:3])
    if not found:
        return "no step"
    if any(change.why for change in found):
        if major:
            return f"a major step: {version} -> {major + 1}.0.0"
        return f"a major step: {version} -> 0.{minor + 1}.0, as before 1.0.0 the second number tells what breaks"
    name = "minor" if any(change.minor for change in found) else "patch"
    if name == "minor" and major:
        return f"a minor step: {version} -> {major}.{minor + 1}.0"
    words = "" if name == "patch" else ", as before 1.0.0 the third number tells what is new"
    return f"a {name} step: {version} -> {major}.{minor}.{patch + 1}{words}"


def _version() -> str:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return str(tomllib.load(file)["project"]["version"])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="diff.py", description="Tell what changed between two OpenAPI documents.")
    parser.add_argument("old", metavar="OLD", help="the old document: a file or an http(s) URL")
    parser.add_argument("new", metavar="NEW", help="the new document: a file or an http(s) URL")
    options = parser.parse_args(arguments)
    if not (options.old and options.new):
        parser.error("two documents are needed: make api-diff OLD=<file or URL> NEW=<file or URL>")
    try:
        full = [trim.read(options.old), trim.read(options.new)]
        rules = yaml.safe_load(trim.RULES.read_text(encoding="utf-8"))
        ours = [document["info"].get("title") == rules["document"]["info"]["title"] for document in full]
        beside: list[Change] = []
        try:
            old, new = (
                document if done else trim.trim(document, rules)[0] for document, done in zip(full, ours, strict=True)
            )
            if not any(ours):
                beside = _beside(changes(old, new), changes(*full), rules)
        except trim.TrimError:
            if any(ours):  # all that trimming drops would seem to have appeared, or to be gone
                raise
            print("diff: note: trim.yaml does not fit both; they are compared as they are", file=sys.stderr)
            old, new = full
        print("\n".join(report(old, new, beside=beside)))
    except (trim.TrimError, OSError) as error:
        print(f"diff: {error}", file=sys.stderr)
        return 1
    return 0


def _beside(said: list[Change], full: list[Change], rules: Json) -> list[Change]:
    """What changed in the full documents besides: about the kept operations, and which others there are."""
    known, kept = {(change.sign, change.fact.text) for change in said}, set(rules["operations"])
    return [
        change
        for change in full
        if (change.sign, change.fact.text) not in known
        and (change.fact.operations & kept or (change.sign != "~" and change.fact.text.startswith("operation ")))
    ]


if __name__ == "__main__":
    sys.exit(main())
