"""Any other call of the API, for what this package does not wrap."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, BinaryIO
from urllib.parse import parse_qsl, unquote

from ..errors import READING, InvalidData, explain_unknown
from . import API_PATH
from .call import IO, parse_json

Params = Mapping[str, str | int | float | bool | list[str | int] | None]

Content = bytes | BinaryIO

Files = Mapping[str, Content | tuple[str, Content] | tuple[str, Content, str]]
"""By the name of the form's field: the content, or a file name and the content, and perhaps its content type."""


async def request(
    io: IO, method: str, path: str, *, params: Params | None, body: object, files: Files | None = None
) -> Any:
    """The JSON that the server answers with; None if it answers with nothing; bytes if it is no JSON.

    Raises:
        InvalidData: the call cannot be sent as it is.
    """
    call = _request(method, path, params, body, files)
    with explain_unknown("it was done", "look before you send it again"):
        return await io.fetch(call, lambda answer: _value(answer.headers.get("content-type", ""), answer.content))


def _value(kind: str, content: bytes) -> Any:
    if not content:
        return None
    return parse_json(content) if not kind or "json" in kind.lower() else content


def _request(method: str, path: str, params: Params | None, body: object, files: Files | None) -> dict[str, Any]:
    """The HTTP request, as httpx's `build_request` takes it, confined to the API of the client's server."""
    if not isinstance(method, str) or not re.fullmatch(r"[A-Za-z]{1,20}", method):
        raise InvalidData(f"method={method!r} is no HTTP method, such as GET")
    method = method.upper()
    path, query = _confined(path)
    if params is not None and not isinstance(params, Mapping):
        raise InvalidData(f"params={params!r} is no mapping of names to values")
    given = [*query, *((name, value) for name, value in (params or {}).items() if value is not None)]
    sent: dict[str, tuple[Any, ...]] = {}
    for name, value in given:
        values = list(value) if isinstance(value, list | tuple) else [value]
        for each in (name, *values):
            if isinstance(each, Mapping | list | tuple | set | bytes):
                raise InvalidData(f"params[{name!r}] is {each!r}: a query takes text, numbers and lists of both")
            if isinstance(each, str) and re.search("[\ud800-\udfff]", each):
                raise InvalidData(f"params has half of a surrogate pair, which is no text: {each!r}")
        sent[name] = (*sent.get(name, ()), *values)
    if method in READING and (body is not None or files is not None):
        raise InvalidData(f"a {method} has no body; give params= in place of json= or files=")
    if body is not None and files is not None:
        raise InvalidData("a call has one body: give json= or files=")
    made: dict[str, Any] = {"method": method, "url": path}
    if sent:
        made["params"] = sent
    if body is not None:
        made |= {"content": _content(body), "headers": {"Content-Type": "application/json"}}
    if files is not None:
        # httpx makes up a boundary for each call; one that is always the same may be in a file.
        made["files"] = _files(files)
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


def _files(files: object) -> dict[str, tuple[Any, ...]]:
    """The files as httpx takes them, read once, so that a call can be sent again."""
    if not isinstance(files, Mapping) or not files:
        raise InvalidData("files= is no mapping of form fields to files, such as {'file': ('offer.txt', b'…')}")
    read = {}
    for name, given in files.items():
        parts = list(given) if isinstance(given, tuple) else [str(getattr(given, "name", name)).split("/")[-1], given]
        if not isinstance(name, str) or not 2 <= len(parts) <= 3 or not isinstance(parts[0], str):
            raise InvalidData(f"files[{name!r}] is neither a file nor (file name, content) nor (…, content type)")
        content = parts[1].read() if hasattr(parts[1], "read") else parts[1]
        if not isinstance(content, bytes):
            raise InvalidData(f"files[{name!r}] is no bytes; open a file with mode 'rb'")
        read[name] = (parts[0], content, *parts[2:])
    return read
