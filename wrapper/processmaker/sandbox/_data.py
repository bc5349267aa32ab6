"""What the server does to the data of a Request: reading the body, altering, storing, showing."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qsl

from .._data import SERVERS_OWN, stripped, trimmed


def read_body(content_type: str, body: bytes) -> Any:
    """The body as PHP hands it to the application.

    JSON that does not parse is silently empty. JSON sent as a form, which is what `curl -d` does, becomes
    one long key without a value. Without a known Content-Type nothing is read.
    """
    if "/json" in content_type or "+json" in content_type:
        try:
            return json.loads(body, parse_constant=_not_json)
        except (ValueError, RecursionError):
            return None
    if content_type.startswith("application/x-www-form-urlencoded"):
        pairs = parse_qsl(body.decode(errors="replace"), keep_blank_values=True)
        return {re.sub(r"[ .]", "_", key): value for key, value in pairs}
    return None


def _not_json(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def stored(body: Any) -> dict[str, Any]:
    """The data of a start as the server stores it."""
    return {key: sanitized(altered(value)) for key, value in as_array(body).items() if key not in SERVERS_OWN}


def as_array(value: Any) -> dict[str, Any]:
    """A PHP array: a list has the keys "0", "1", …; a scalar becomes a list of one; null is empty."""
    if isinstance(value, dict):
        return value
    if value is None:
        return {}
    return {str(index): item for index, item in enumerate(value if isinstance(value, list) else [value])}


def altered(value: Any) -> Any:
    """At every depth: strings trimmed, "" to null, `{}` to `[]`, 3.0 to 3, longer than 64 bits to float."""
    if isinstance(value, str):
        return trimmed(value)
    if isinstance(value, list):
        return [altered(item) for item in value]
    if isinstance(value, dict):
        return {key: altered(item) for key, item in value.items()} or []
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return int(value)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return float(value)
    return value


def sanitized(value: Any) -> Any:
    """At the top level only: HTML tags and `{{ }}` stripped from strings."""
    if isinstance(value, str):
        return stripped(value)
    return value


def shown(data: dict[str, Any]) -> Any:
    """`include=data`: without keys that begin with `_`; an empty array or one of a list's keys is a list."""
    visible = {key: value for key, value in data.items() if not key.startswith("_")}
    if list(visible) == [str(index) for index in range(len(visible))]:
        return list(visible.values())
    return visible


def summary(data: dict[str, Any]) -> list[dict[str, Any]]:
    """`include=summary`: every key, hidden ones too, with its value and type."""
    return [{"key": key, "value": value, "type": _type(value)} for key, value in data.items()]


def _type(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (list, dict)):
        return "array"
    return {int: "int", float: "float"}.get(type(value), "string")
