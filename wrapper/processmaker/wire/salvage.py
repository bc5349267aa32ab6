"""The id of a Request whose answer did not arrive whole."""

from __future__ import annotations

import json
import re
from typing import Any

from ..models import integer, is_id

_STRING = r'"[^"\\]*(?:\\.[^"\\]*)*"'
_FLAT = rf'{_STRING}|\[(?:{_STRING}|[^"\[\]{{}}])*\]|[^\s"{{}}\[\],]+'
_FIELD = re.compile(rf'[{{,]\s*"(\w+)"\s*:\s*({_FLAT})\s*(?=[,}}])', re.DOTALL)
"""A field of an object with what follows it: a number at the very end may have lost digits."""

_PROCESS_IN_PATH = re.compile(r"/process_events/([0-9]+)$")


def salvaged_id(body: bytes, path: str = "") -> int | None:
    """Return the `id` of a JSON object, also of one that was cut off or that Python refuses to read.

    In the answer to a start it stands before everything nested, but for a list of words (observed on 4.15.5).

    Args:
        body: what arrived.
        path: that of the call. An answer that names another process than a start's path is not that start's.
    """
    found = _fields(body)
    started = _PROCESS_IN_PATH.search(path)
    if started and integer(found.get("process_id")) not in (None, int(started[1])):
        return None
    number = integer(found.get("id"))
    return number if is_id(number) else None


def _fields(body: bytes) -> dict[str, Any]:
    try:
        whole = json.loads(body)
        return whole if isinstance(whole, dict) else {}
    except (ValueError, RecursionError):
        pass
    text = body.decode(json.detect_encoding(body), "replace").strip()
    found, place = {}, 0
    while field := _FIELD.match(text, place):
        found[field[1]] = field[2].strip('"')
        place = field.end()
    return found
