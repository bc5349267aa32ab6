"""The id of a Request whose answer did not arrive whole."""

from __future__ import annotations

import json
import re

from ..models import integer

_JSON_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:]|[^\s{}\[\],:"]+|"', re.DOTALL)
_PROCESS_IN_PATH = re.compile(r"/process_events/([0-9]+)$")


def salvaged_id(body: bytes, path: str = "") -> int | None:
    """The `id` that stands directly in a JSON object, also in one that was cut off or that Python refuses to read.

    Args:
        body: what arrived.
        path: that of the call. An answer that names another process than a start's path is not that start's.
    """
    found = _integers(body)
    started = _PROCESS_IN_PATH.search(path)
    if started and found.get("process_id") not in (None, int(started[1])):
        return None
    number = found.get("id")
    return number if number and number > 0 else None


def _integers(body: bytes) -> dict[str, int | None]:
    """`id` and `process_id`, if they stand directly in the object.

    They count only with what follows them: a number at the very end may have lost digits.
    """
    text = body.decode(json.detect_encoding(body), "replace").strip()
    depth, last_three = 0, ("", "", "")
    found: dict[str, int | None] = {}
    for match in _JSON_TOKEN.finditer(text):
        token = match[0]
        if token == '"' or (depth == 0 and (match.start() or token != "{")):
            break  # a string without its end; no object, or what follows it
        name, colon, value = last_three
        if depth == 1 and token in (",", "}") and colon == ":" and name in ('"id"', '"process_id"'):
            found[name.strip('"')] = integer(value.strip('"'))
        depth += (token in ("{", "[")) - (token in ("}", "]"))
        last_three = (colon, value, token)
    return found
