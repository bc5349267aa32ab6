"""`--curl`: prints the HTTP request of a command as a curl command, and sends nothing."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
import httpx

from ._exits import UsageError
from ._settings import server

if TYPE_CHECKING:
    from .. import ProcessMaker
    from ._session import Session


class _SendsNothing(httpx.BaseTransport):
    """In place of the network: keeps the first HTTP request. A look for an idempotency key finds nothing."""

    unsent: httpx.Request | None = None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET" and "pmql" in request.url.params:
            return httpx.Response(200, json={"data": [], "meta": {"total": 0, "last_page": 1}}, request=request)
        self.unsent = self.unsent or request
        raise click.exceptions.Exit(0)


@contextmanager
def printing_client(session: Session) -> Iterator[ProcessMaker]:
    """A client whose first HTTP request is printed as a curl command; then the command ends.

    Raises:
        UsageError: that HTTP request is not the one that the command is about.
    """
    if session.output.as_json or session.output.quiet:
        raise UsageError("--curl prints a curl command, --json and --quiet do not change that; leave them out")
    session.changes = False
    arguments = {**server(session.settings, os.environ), "retries": None}
    transport = _SendsNothing()
    try:
        yield session.connect(**arguments, token="the-token-is-not-needed-here", transport=transport)
    except Exception:
        # The client may have made another error of the transport's, such as an unknown outcome.
        if transport.unsent is None:
            raise
    if transport.unsent is None:
        return
    if session.command == "start" and transport.unsent.method == "GET":
        raise UsageError(
            "--curl sends nothing, so it looks nothing up: give the process's id, and --event with the node id of its "
            "start event (processmaker processes lists both)"
        )
    session.output.text(curl(transport.unsent))
    raise click.exceptions.Exit(0)


def curl(request: httpx.Request) -> str:
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
