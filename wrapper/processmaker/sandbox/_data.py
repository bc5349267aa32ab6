"""What the server does to data: it reads a body, alters and stores it, and shows what is stored."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

DEEPEST = 512
"""Levels of nesting that PHP reads."""
LONGEST_COMMENT = 8190
"""Characters of a comment. PHP 8.2's regular expressions fail on a longer one, and the whole text is lost."""

# What Laravel trims: Unicode white space, NUL, and three invisible characters.
_BLANKS = "".join(map(chr, (*range(9, 14), 32, 0, 0x85, 0xA0, 0x1680, 0x180E, *range(0x2000, 0x200C), 0x200E))) + (
    "\u2028\u2029\u202f\u205f\u3000\ufeff"
)
_COMMENTS = ((re.compile(r"<\?.+?\?>", re.DOTALL), len("<??>")), (re.compile(r"<!--.+?-->", re.DOTALL), len("<!---->")))
"""What is a comment, and how much of it are its marks."""
_TAG = re.compile(r"</?[a-zA-Z0-9][^>]*>")
_FORM_TAG = re.compile(r"</?(?:form|input|button)\b[^>]*>", re.IGNORECASE)
# PHP's is_numeric.
_NUMBER = re.compile(r"[ \t\n\r\v\f]*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?[ \t\n\r\v\f]*", re.ASCII)


def read_body(content_type: str, body: bytes) -> Any:
    """Return the body as PHP hands it to the application.

    JSON that does not parse is silently empty. JSON sent as a form, which is what `curl -d` does, becomes one long
    key without a value. Without a known Content-Type nothing is read.
    """
    if "/json" in content_type or "+json" in content_type:
        try:
            value = json.loads(body, parse_constant=_not_json)
        except (ValueError, RecursionError):
            return None
        return None if body.count(b"{") + body.count(b"[") > DEEPEST and _depth(value) > DEEPEST else value
    if content_type.startswith("application/x-www-form-urlencoded"):
        pairs = parse_qsl(body.decode(errors="replace"), keep_blank_values=True)
        return {re.sub(r"[ .]", "_", key): value for key, value in pairs}
    return None


def _not_json(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level := [one for one in level if isinstance(one, dict | list)]:
        depth += 1
        level = [item for one in level for item in (one.values() if isinstance(one, dict) else one)]
    return depth


# Storing


def _trimmed(text: str) -> str | None:
    return text.strip(_BLANKS) or None


def _without_tags(text: str) -> str:
    """Remove server-side tags, comments and tags. One comment that is too long loses the whole text."""
    for comment, marks in _COMMENTS:
        if any(len(match[0]) - marks > LONGEST_COMMENT for match in comment.finditer(text)):
            return ""
        text = comment.sub("", text)
    return _TAG.sub("", text)


def _without_braces(text: str) -> str:
    return text.replace("{{", "").replace("}}", "")


def _stripped(text: str) -> str:
    return _without_braces(_without_tags(text) if "<" in text else text)


_NOT_TRIMMED = ("password", "password_confirmation")
_STRIPPED_LESS: dict[str, Callable[[str], str]] = {
    "svg": lambda text: _FORM_TAG.sub("", text),
    "bpmn": lambda text: _FORM_TAG.sub("", text),
    "case_title": _without_tags,
}
"""What a start strips otherwise, by top-level key."""


def stored(body: Any) -> dict[str, Any]:
    """Return the data of a start as the server stores it: trimmed at every depth, stripped at the top only."""
    found = {}
    for key, value in as_array(body).items():
        if isinstance(value, str):
            kept = (value or None) if key in _NOT_TRIMMED else _trimmed(value)
            found[key] = kept if kept is None else _STRIPPED_LESS.get(key, _stripped)(kept)
        else:
            found[key] = altered(value, _trimmed)
    return found


def stored_by_completion(data: dict[str, Any]) -> dict[str, Any]:
    """Return the data of a completed task as the server stores it: stripped at every depth, and never trimmed."""
    return {key: altered(value, _stripped) for key, value in data.items()}


def stored_by_change(data: dict[str, Any]) -> dict[str, Any]:
    """Return the data of PUT /requests/{id} as the server stores it: only trimmed."""
    return {key: altered(value, _trimmed) for key, value in data.items()}


def as_array(value: Any) -> dict[str, Any]:
    """A PHP array: a list has the keys "0", "1", …; a scalar becomes a list of one; null is empty."""
    if isinstance(value, dict):
        return value
    if value is None:
        return {}
    return {str(index): item for index, item in enumerate(value if isinstance(value, list) else [value])}


def altered(value: Any, text: Callable[[str], Any]) -> Any:
    """Apply `text` to strings at every depth; turn `{}` into `[]`, 3.0 into 3, integers beyond 64 bits into floats."""

    def scalar(value: Any) -> Any:
        if isinstance(value, str):
            return text(value)
        if isinstance(value, float) and value.is_integer() and abs(value) < 1e17:
            return int(Decimal(repr(value)))
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            return float(value)
        return value

    return _each(value, scalar, lambda members: members or [])


def _each(value: Any, scalar: Callable[[Any], Any], whole: Callable[[dict[str, Any]], Any]) -> Any:
    """Apply `scalar` to each value at any depth, and `whole` to each object that is made of the results.

    One frame for each level, as data may be nested deeply.
    """
    if isinstance(value, list):
        items = []
        for item in value:
            items.append(_each(item, scalar, whole))  # noqa: PERF401
        return items
    if isinstance(value, dict):
        members = {}
        for key, item in value.items():
            members[key] = _each(item, scalar, whole)
        return whole(members)
    return scalar(value)


# Showing


def shown(data: dict[str, Any]) -> Any:
    """`include=data`: without keys that begin with `_`."""
    return read_back({key: value for key, value in data.items() if not key.startswith("_")} or [])


def read_back(value: Any) -> Any:
    """Return stored data as the API shows it: an object whose keys are all numbers becomes a list, at every depth."""

    def whole(members: dict[str, Any]) -> Any:
        return list(members.values()) if all(_NUMBER.fullmatch(key) for key in members) else members

    return _each(value, lambda scalar: scalar, whole)


def summary(data: dict[str, Any]) -> list[dict[str, Any]]:
    """`include=summary`: every key, hidden ones too, with its value."""
    return [{"key": key, "value": read_back(value)} for key, value in data.items()]
