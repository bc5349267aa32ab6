"""Report what changed between two OpenAPI documents: what breaks callers, why, and which lines of the wrapper call it.

    python openapi/diff.py OLD NEW

OLD and NEW are files or URLs. Official documents are trimmed first, since the client is generated from the result. If
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

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from openapi import trim  # noqa: E402 - this file is also run as a command

WRAPPER = ROOT / "wrapper" / "processmaker"
ANYTHING = "anything"
REFUSED = "calls that do not send it may be refused"

Json = Any


# --- what a document says ---------------------------------------------------------------------------------------------


@define
class Fact:
    """One thing that a document says: an operation, a parameter, an answer, a property.

    Args:
        text: its name in the report.
        within: the key of the fact that it is a part of.
        kinds: the types it may have; empty if it has none.
        values: the only values it may have; None if it may have any.
        required: whether it must be there.
        place: the part of a call that a parameter is sent in, such as query.
        sent, received: whether callers send it, or receive it.
        operations: those that it belongs to.
    """

    text: str
    within: str = ""
    kinds: frozenset[str] = frozenset()
    values: frozenset[str] | None = None
    required: bool = False
    place: str = ""
    sent: bool = False
    received: bool = False
    operations: set[str] = field(factory=set)


def facts(document: Json) -> dict[str, Fact]:
    """Return all that a document says to callers, each with a key that is the same in another document."""
    return _Reader(trim.plain_keys(document)).found


class _Reader:
    def __init__(self, document: Json) -> None:
        self.document = document
        self.found: dict[str, Fact] = {}
        for path, item in document.get("paths", {}).items():
            for method in trim.METHODS:
                if method in item:
                    self._operation(f"{method.upper()} {path}", item[method])

    def _operation(self, name: str, operation: Json) -> None:
        key = f"operation {name}"
        self._add(key, Fact(key), name)
        for parameter in map(self._resolved, operation.get("parameters", [])):
            words, required = f"parameter {parameter['name']} of {name}", bool(parameter.get("required"))
            fact = Fact(words, key, required=required, sent=True, place=parameter["in"])
            self._value(words, fact, parameter.get("schema", {}), name)
        if body := operation.get("requestBody"):
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
        """Add a place that holds a value, and the properties within it, if they are not those of a named schema."""
        fact.kinds, fact.values = frozenset(self._kinds(schema)), _values(schema)
        self._add(key, fact, operation)
        self._inside(key, fact.text, schema, fact, operation)

    def _inside(self, key: str, owner: str, schema: Json, way: Fact, operation: str, within: str | None = None) -> None:
        if "$ref" in schema:
            self._named(schema["$ref"], way, operation)
            return
        within = key if within is None else within
        for name, (value, required) in self._properties(schema).items():
            words = f"property {name} of {owner}"
            here = Fact(words, within, required=required, sent=way.sent, received=way.received)
            self._value(f"{key}: {name}", here, value, operation)
        for word in ("items", "additionalProperties"):
            if isinstance(schema.get(word), dict):
                self._inside(f"{key}[]", f"each of {owner}", schema[word], way, operation, within)
        for choice in schema.get("oneOf", []):
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

    def _properties(self, schema: Json) -> dict[str, tuple[Json, bool]]:
        """Return the properties of an object and of the parts of an `allOf`; each with whether it is required."""
        found: dict[str, tuple[Json, bool]] = {}
        for part in schema.get("allOf", []):
            found |= self._properties(self._resolved(part))
        required = schema.get("required", [])
        found |= {name: (value, name in required) for name, value in schema.get("properties", {}).items()}
        return {name: (value, must or name in required) for name, (value, must) in found.items()}

    def _kinds(self, schema: Json) -> Iterator[str]:
        if "$ref" in schema:
            yield schema["$ref"].rpartition("/")[2]
        elif "oneOf" in schema:
            for choice in schema["oneOf"]:
                yield from self._kinds(choice)
        else:
            implied = "object" if "properties" in schema or "allOf" in schema else ANYTHING
            types = schema.get("type", implied)
            for kind in types if isinstance(types, list) else [types]:
                yield f"array of {_listed(set(self._kinds(schema.get('items', {}))))}" if kind == "array" else kind

    def _resolved(self, node: Json) -> Json:
        return trim.dereference(self.document, node)

    def _add(self, key: str, fact: Fact, operation: str) -> None:
        if known := self.found.get(key):
            known.sent, known.received = known.sent or fact.sent, known.received or fact.received
            known.kinds |= fact.kinds
            known.operations.add(operation)
        else:
            self.found[key] = evolve(fact, operations={operation})


def _values(schema: Json) -> frozenset[str] | None:
    return frozenset(json.dumps(choice) for choice in schema["enum"]) if "enum" in schema else None


# --- what changed -----------------------------------------------------------------------------------------------------


@frozen
class Change:
    """One difference.

    Args:
        sign: + for what appeared, - for what went, ~ for what changed.
        text: what it is; for ~, also how it was and is.
        fact: the fact in question, as it is or, if it went, was.
        why: why callers break; empty if none does.
    """

    sign: str
    text: str
    fact: Fact
    why: str = ""


def changes(before: Json, after: Json) -> list[Change]:
    """Return what changed from one document to another, with what breaks callers first."""
    old, new = facts(before), facts(after)
    found = [_gone(fact) for key, fact in old.items() if key not in new and not _went(fact, old, new)]
    found += [_appeared(fact) for key, fact in new.items() if key not in old and not _went(fact, new, old)]
    found += [change for key, fact in new.items() if key in old for change in _differences(old[key], fact)]
    return sorted(found, key=lambda change: not change.why)


def _went(fact: Fact, here: dict[str, Fact], there: dict[str, Fact]) -> bool:
    """Whether what this is a part of is missing, too: that is reported instead."""
    return bool(fact.within) and fact.within in here and fact.within not in there


def _gone(fact: Fact) -> Change:
    if fact.text.startswith("operation"):
        why = "calls of it fail"
    elif fact.text.startswith("schema"):
        why = "code that imports its model fails"
    else:
        why = "code that sends it fails" if fact.sent else "code that reads it fails"
    return Change("-", fact.text, fact, why)


def _appeared(fact: Fact) -> Change:
    kind = f": {_shown(fact)}" if fact.kinds and not fact.text.startswith("schema") else ""
    must = ", required" if fact.required and fact.sent else ""
    why = REFUSED if must else ""
    return Change("+", f"{fact.text}{kind}{must}", fact, why)


def _differences(old: Fact, new: Fact) -> Iterator[Change]:
    if old.kinds != new.kinds or old.values != new.values:
        reasons = []
        if new.sent and not _within(old, new):
            reasons.append("values that were taken may no longer be")
        if new.received and not _within(new, old):
            reasons.append("values may come that code does not expect")
        yield Change("~", f"{new.text}: {_shown(old)} -> {_shown(new)}", new, " and ".join(reasons))
    if old.required != new.required:
        text = f"{new.text}: {'optional -> required' if new.required else 'required -> optional'}"
        why = REFUSED if new.sent and new.required else ""
        if new.received and old.required:
            why = "code that counts on it may find nothing"
        yield Change("~", text, new, why)
    if old.place != new.place:
        yield Change("~", f"{new.text}: {old.place} -> {new.place}", new, "it is sent elsewhere")


def _within(small: Fact, large: Fact) -> bool:
    """Whether each value of the small fact may be a value of the large one."""
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
    """Return, by operation, the lines of the wrapper that build its requests, such as once/start.py:7.

    mypy says which of them a change breaks, since the wrapper imports the generated client statically.
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


def report(before: Json, after: Json, version: str = "", beside: Sequence[Change] = ()) -> list[str]:
    """Return the lines of the report: what changed, the wrapper's lines that call it, the next version.

    Args:
        before, after: the trimmed documents.
        version: the version to step from; if it is empty, this project's.
        beside: what else changed in the official documents.
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
        lines.append("  in the official documents only, so that the client stays as it is:")
        lines += [f"    {change.sign} {change.text}" for change in beside]
    return [*lines, f"Semantic versioning asks for {step(found, version or _version())}."]


def step(found: list[Change], version: str) -> str:
    """Return the step that semantic versioning asks for, such as `a major step: 1.4.2 -> 2.0.0`."""
    major, minor, patch = (int(part) for part in [*re.findall(r"[0-9]+", version), "0", "0"][:3])
    if not found:
        return "no step"
    breaks = any(change.why for change in found)
    if major:
        return (
            f"a major step: {version} -> {major + 1}.0.0"
            if breaks
            else f"a minor step: {version} -> {major}.{minor + 1}.0"
        )
    after = f"0.{minor + 1}.0" if breaks else f"0.{minor}.{patch + 1}"
    return f"a {'major' if breaks else 'minor'} step, which before 1.0.0 is {version} -> {after}"


def _version() -> str:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return str(tomllib.load(file)["project"]["version"])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="diff.py", description="Report what changed between two OpenAPI documents.")
    parser.add_argument("old", metavar="OLD", help="the old document: a file or an http(s) URL")
    parser.add_argument("new", metavar="NEW", help="the new document: a file or an http(s) URL")
    options = parser.parse_args(arguments)
    if not (options.old and options.new):
        parser.error("two documents are needed: make api-diff OLD=<file or URL> NEW=<file or URL>")
    try:
        full = [trim.read(options.old), trim.read(options.new)]
        rules = yaml.safe_load(trim.RULES.read_text(encoding="utf-8"))
        ours = [trim.DIGEST in document["info"] for document in full]
        try:
            old, new = (one if done else trim.trim(one, rules)[0] for one, done in zip(full, ours, strict=True))
            beside = [] if any(ours) else _beside(changes(old, new), changes(*full), rules)
        except trim.TrimError:
            if any(ours):  # all that trimming drops would seem to be new, or gone
                raise
            print("diff: note: trim.yaml does not fit both; they are compared as they are", file=sys.stderr)
            (old, new), beside = full, []
        print("\n".join(report(old, new, beside=beside)))
    except (trim.TrimError, OSError) as error:
        print(f"diff: {error}", file=sys.stderr)
        return 1
    return 0


def _beside(said: list[Change], full: list[Change], rules: Json) -> list[Change]:
    """Return what else changed in the official documents: about the kept operations, and which others came or went."""
    known, kept = {(change.sign, change.fact.text) for change in said}, set(rules["operations"])
    return [
        change
        for change in full
        if (change.sign, change.fact.text) not in known
        and (change.fact.operations & kept or (change.sign != "~" and change.fact.text.startswith("operation ")))
    ]


if __name__ == "__main__":
    sys.exit(main())
