"""What the server does to the data of a Request: reading the body, altering, storing, showing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

from ..data import SERVERS_OWN, all_numbers, stripped, trimmed

DEEPEST = 512
"""Levels of nesting that PHP reads."""


def read_body(content_type: str, body: bytes) -> Any:
    """The body as PHP hands it to the application.

    JSON that does not parse is silently empty. JSON sent as a form, which is what `curl -d` does, becomes
    one long key without a value. Without a known Content-Type nothing is read.
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


def stored(body: Any) -> dict[str, Any]:
    """The data of a start as the server stores it: strings trimmed at every depth, sanitized at the top only."""
    found = {}
    for key, value in as_array(body).items():
        if key not in SERVERS_OWN:
            value = altered(value, trimmed)
            found[key] = stripped(value) if isinstance(value, str) else value
    return found


def stored_by_completion(data: dict[str, Any]) -> dict[str, Any]:
    """The data of a completed task as the server stores it: sanitized at every depth, and never trimmed."""
    return {key: altered(value, stripped) for key, value in data.items()}


def as_array(value: Any) -> dict[str, Any]:
    """A PHP array: a list has the keys "0", "1", …; a scalar becomes a list of one; null is empty."""
    if isinstance(value, dict):
        return value
    if value is None:
        return {}
    return {str(index): item for index, item in enumerate(value if isinstance(value, list) else [value])}


def altered(value: Any, text: Callable[[str], Any]) -> Any:
    """What is done at every depth: `text` to strings, `{}` to `[]`, 3.0 to 3, longer than 64 bits to float.

    One frame for each level, as data may be nested deeply.
    """
    if isinstance(value, str):
        return text(value)
    if isinstance(value, list):
        items = []
        for item in value:
            items.append(altered(item, text))  # noqa: PERF401
        return items
    if isinstance(value, dict):
        members = {}
        for key, item in value.items():
            members[key] = altered(item, text)
        return members or []
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e17:
        return int(Decimal(repr(value)))
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return float(value)
    return value


def shown(data: dict[str, Any]) -> Any:
    """`include=data`: without keys that begin with `_`."""
    return read_back({key: value for key, value in data.items() if not key.startswith("_")} or [])


def read_back(value: Any) -> Any:
    """What the API makes of stored data: an object whose keys are all numbers comes as a list, at every depth."""
    if isinstance(value, list):
        items = []
        for item in value:
            items.append(read_back(item))  # noqa: PERF401
        return items
    if isinstance(value, dict):
        members = {}
        for key, item in value.items():
            members[key] = read_back(item)
        return list(members.values()) if all_numbers(members) else members
    return value


def summary(data: dict[str, Any]) -> list[dict[str, Any]]:
    """`include=summary`: every key, hidden ones too, with its value and type."""
    return [{"key": key, "value": read_back(value), "type": _type(value)} for key, value in data.items()]


def _type(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (list, dict)):
        return "array"
    return {int: "int", float: "float"}.get(type(value), "string")
