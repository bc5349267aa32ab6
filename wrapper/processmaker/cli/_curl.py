"""`--curl`: the HTTP request of a command, as a curl command."""

from __future__ import annotations

import shlex
from typing import Any

from ..wire.http import BaseTransport, HTTPRequest

PLACEHOLDER = "the-token-is-not-needed-here"


class Unsent(Exception):
    """The HTTP request that would have been sent."""

    def __init__(self, request: HTTPRequest) -> None:
        super().__init__()
        self.request = request


class SendsNothing(BaseTransport):
    """In place of the network: the first HTTP request of a client ends there, and is raised."""

    def handle_request(self, request: HTTPRequest) -> Any:
        raise Unsent(request)


def curl(request: HTTPRequest) -> str:
    """A POSIX shell command that sends the same, with the token taken from PROCESSMAKER_TOKEN."""
    body = request.read()
    words = ["curl", "--fail-with-body", "-sS"]
    if request.method != "GET":
        words += ["-X", request.method]
    words += [shlex.quote(str(request.url)), "-H", '"Authorization: Bearer $PROCESSMAKER_TOKEN"']
    for name in ("Accept", "Content-Type"):
        if name in request.headers:
            words += ["-H", shlex.quote(f"{name}: {request.headers[name]}")]
    if body:
        words += ["--data-binary", shlex.quote(body.decode())]
    return " ".join(words)
