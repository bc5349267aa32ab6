"""The id of a Request whose answer did not arrive whole."""

from __future__ import annotations

import json
import re

from ._models import integer

_JSON_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:]|[^\s{}\[\],:"]+|"', re.DOTALL)


def salvaged_id(body: bytes) -> int | None:
    """The `id` that stands directly in a JSON object, also in one that was cut off or that Python refuses to read.

    It counts only with what follows it: a number at the very end may have lost digits.
    """
    text = body.decode(json.detect_encoding(body), "replace").strip()
    depth, found, last_three = 0, None, ("", "", "")
    for match in _JSON_TOKEN.finditer(text):
        token = match[0]
        if token == '"' or (depth == 0 and (match.start() or token != "{")):
            break  # a string without its end; no object, or what follows it
        if depth == 1 and token in (",", "}") and last_three[:2] == ('"id"', ":"):
            found = integer(last_three[2].strip('"'))
        depth += (token in ("{", "[")) - (token in ("}", "]"))
        last_three = (*last_three[1:], token)
    return found
