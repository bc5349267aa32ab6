"""Any other call of the API, for what this package does not wrap."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote

from ..config.settings import API_PATH
from ..data import check_text
from ..errors import READING, InvalidData, left_open
from .call import IO

Params = Mapping[str, str | int | float | bool | list[str | int] | None]


async def request(io: IO, method: str, path: str, *, params: Params | None, body: object) -> Any:
    """The JSON that the server answers with; None where it answers with nothing."""
    call = build_request(method, path, params=params, body=body)
    with left_open("it was done", "look before you send it again"):
        return await io.call(call, lambda answer: answer)


def build_request(method: str, path: str, *, params: Params | None, body: object) -> dict[str, Any]:
    """The HTTP request, as httpx's `request` takes it, confined to the API of the client's server.

    Raises:
        InvalidData: it cannot be sent as it is.
    """
    if not isinstance(method, str) or not re.fullmatch(r"[A-Za-z]{1,20}", method):
        raise InvalidData(f"method={method!r} is no HTTP method, such as GET")
    method = method.upper()
    path, query = _confined(path)
    if params is not None and not isinstance(params, Mapping):
        raise InvalidData(f"params={params!r} is no mapping of names to values")
    given = [*query, *((name, value) for name, value in (params or {}).items() if value is not None)]
    for name, value in given:
        for each in (name, *_listed(value)):
            if isinstance(each, str):
                check_text("params", each)
            elif isinstance(each, Mapping | list | tuple | set | bytes):
                raise InvalidData(f"params[{name!r}] is {each!r}: a query takes text, numbers and lists of both")
    if body is not None and method in READING:
        raise InvalidData(f"a {method} has no body; give params= in place of json=")
    query_of: dict[str, tuple[str, ...]] = {}
    for name, value in given:
        query_of[name] = (*query_of.get(name, ()), *map(_text, _listed(value)))
    made: dict[str, Any] = {"method": method, "url": path}
    if query_of:
        made["params"] = query_of
    if body is not None:
        made |= {"content": _content(body), "headers": {"Content-Type": "application/json"}}
    return made


def _confined(path: object) -> tuple[str, list[tuple[str, str]]]:
    """The path below the API, and the query that is written behind it.

    Raises:
        InvalidData: it is no path, or leads out of the API or to another server.
    """
    if not isinstance(path, str) or not path.isprintable() or not path.strip():
        raise InvalidData(f"path={path!r} is no path of the API, such as /users/1")
    path, _, query = path.strip().partition("?")
    path = "/" + path.removeprefix(API_PATH + "/").removeprefix("/")
    plain, before = path, ""
    while plain != before:  # a server may decode what is encoded twice
        plain, before = unquote(plain), plain
    steps = plain.replace("\\", "/").split("/")
    if path.startswith("//") or "://" in plain or "\\" in plain or "#" in plain or {".", ".."} & set(steps):
        raise InvalidData(f"path={path!r} leads out of this server's API: give what follows /api/1.0, such as /users/1")
    return path, parse_qsl(query, keep_blank_values=True)


def _content(body: object) -> bytes:
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as problem:
        raise InvalidData(f"json= cannot be sent as JSON: {problem}") from problem


def _text(value: object) -> str:
    """As httpx writes it, but here already: addresses are remembered by their queries, and True equals 1."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
