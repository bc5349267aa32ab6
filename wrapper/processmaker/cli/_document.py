"""What this client sends, against the document of its API that a server shows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from ..config.settings import API_PATH

SENT: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "POST /process_events/{process_id}": (("event",), ()),
    "GET /start_processes": ((), ()),
    "GET /requests": (("include", "per_page", "order_by", "order_direction"), ("pmql", "page")),
    "GET /requests/{process_request_id}": ((), ("include",)),
    "PUT /requests/{process_request_id}": ((), ()),
    "GET /tasks": (("process_request_id",), ("status", "page")),
    "PUT /tasks/{task_id}": ((), ()),
}
"""By operation, the query parameters that are sent: those in every official document, and those that some leave out."""


def document_from(content: bytes) -> dict[str, Any] | None:
    """The OpenAPI document in an answer; None where it is none."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) and isinstance(document.get("paths"), dict) else None


def misfits_of(document: dict[str, Any]) -> Iterator[str]:
    """What this client sends and the document does not have, or the document requires and this client does not send.

    Args:
        document: an OpenAPI document, of whatever quality.
    """
    offered = {}
    for path, methods in document["paths"].items():
        if isinstance(methods, dict):
            shape = _without_names(path.removeprefix(API_PATH))
            for method in methods:
                offered[f"{method.upper()} {shape}"] = [methods, methods[method]]
    for operation, (sends, undocumented) in SENT.items():
        places = offered.get(_without_names(operation))
        if places is None:
            yield f"no {operation}"
            continue
        parameters = [
            _resolved(parameter, document)
            for place in places
            if isinstance(place, dict) and isinstance(place.get("parameters"), list)
            for parameter in place["parameters"]
        ]
        # Wherever they are: documents say that a parameter is in the path that is in the query (4.2 to 4.15).
        names = {parameter.get("name") for parameter in parameters}
        for name in sends:
            if name not in names:
                yield f"{operation} has no parameter {name}"
        for parameter in parameters:
            if parameter.get("in") == "query" and parameter.get("required") is True:
                wanted = parameter.get("name")
                if wanted not in (*sends, *undocumented):
                    yield f"{operation} wants the parameter {wanted}, which is not sent"


def _without_names(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", path.rstrip("/"))


def _resolved(parameter: Any, document: Any) -> dict[str, Any]:
    reference = parameter.get("$ref") if isinstance(parameter, dict) else None
    if isinstance(reference, str):
        parameter = document
        for name in reference.removeprefix("#/").split("/"):
            parameter = parameter.get(name) if isinstance(parameter, dict) else None
    return parameter if isinstance(parameter, dict) else {}
