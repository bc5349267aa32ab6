"""Any other call of the API, for what this package does not wrap."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote

import httpx

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
    """Return the JSON that the server answers with; None if it answers with nothing; bytes if it is no JSON.

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
    """Return the HTTP request, as httpx's `build_request` takes it, confined to the API of the client's server."""
    if not (isinstance(method, str) and method.isascii() and method.isalpha()):
        raise InvalidData(f"method={method!r} is no HTTP method, such as GET")
    path, query = _confined(path)
    made: dict[str, Any] = {"method": method.upper(), "url": path, "params": query.merge(_checked(params or {}))}
    if made["method"] in READING and (body is not None or files is not None):
        raise InvalidData(f"a {made['method']} has no body; give params= in place of json= or files=")
    if body is not None and files is not None:
        raise InvalidData("a call has one body: give json= or files=")
    if body is not None:
        made |= {"content": _content(body), "headers": {"Content-Type": "application/json"}}
    if files is not None:
        made["files"] = _files(files)
    return made


def _checked(params: Params) -> dict[str, Any]:
    """Return the parameters that have a value. httpx would send the repr of anything."""
    given = {name: value for name, value in params.items() if value is not None}
    for name, value in given.items():
        if not all(isinstance(each, str | int | float) for each in (value if isinstance(value, list) else [value])):
            raise InvalidData(f"params[{name!r}] is {value!r}: a query takes text, numbers and lists of both")
    return given


def _confined(path: object) -> tuple[str, httpx.QueryParams]:
    """Return the path below the API, and the query that is written behind it.

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
    return path, httpx.QueryParams(query)


def _content(body: object) -> bytes:
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as problem:
        raise InvalidData(f"json= cannot be sent as JSON: {problem}") from problem


def _files(files: Files) -> dict[str, tuple[Any, ...]]:
    """Return the files as httpx takes them, read once, so that a call can be sent again."""
    read: dict[str, tuple[Any, ...]] = {}
    for name, given in files.items():
        its_name = Path(str(getattr(given, "name", name))).name  # an open file's, without its folder
        file_name, content, *kind = given if isinstance(given, tuple) else (its_name, given)
        content = content.read() if hasattr(content, "read") else content
        if not (isinstance(file_name, str) and isinstance(content, bytes)):
            raise InvalidData(f"files[{name!r}] is no file: give bytes, a file opened with mode 'rb', or a tuple")
        read[name] = (file_name, content, *kind)
    return read
