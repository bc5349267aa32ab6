"""Waiting for a Request, and watching it change."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from . import _options
from ._app import command
from ._facts import print_request
from ._options import WAIT_SECONDS
from ._output import messages, printable
from ._params import Words
from ._session import Session

if TYPE_CHECKING:
    from .. import Progress, Request


@command("wait", examples="processmaker wait 17 --timeout 600")
@_options.request_id
@click.option(
    "--until",
    type=Words("finished", "task"),
    default="finished",
    show_default=True,
    help="With task, wait only until a task waits for a person.",
)
@_options.wait_timeout
def wait(session: Session, request: int, until: str) -> None:
    """Wait until a Request has finished.

    The command fails if the Request does. Ctrl-C leaves the Request as it is.
    """
    limit, session.settings.timeout = session.settings.timeout, None
    wait_for(session, request, limit, until)
    print_request(session, session.pm.get(request, include=("data", "summary")))


@command("watch", examples="processmaker watch 17")
@_options.request_id
@_options.wait_timeout
def watch(session: Session, request: int) -> None:
    """Print each change of a Request until it has finished.

    With --json each change is a document on a line of its own. Ctrl-C leaves the Request as it is.
    """
    output = session.output
    limit, session.settings.timeout = session.settings.timeout, None
    for progress in _changes(session, request, limit):
        if output.as_json:
            output.row(progress)
        elif not output.quiet:
            output.line(described(progress))
        if output.problem:
            return
    session.pm.wait(request)  # It has finished: this looks once, and raises what there is to raise.


def wait_for(session: Session, request: int | Request, limit: float | None, until: str = "finished") -> Request:
    """Wait for a Request, and print on standard error how it changes.

    Args:
        request: the Request or its id.
        limit: seconds; None for the default.
        until: "finished" or "task".

    Returns:
        The Request as it is then.

    Raises:
        ProcessMakerError: those of `ProcessMaker.wait`.
    """
    for progress in _changes(session, request, limit):
        if not session.output.quiet:
            messages.write(printable(described(progress)) + "\n")
        if until == "task" and progress.tasks:
            return progress.request
    return session.pm.wait(request)  # It has finished: this looks once, and raises what there is to raise.


def _changes(session: Session, request: int | Request, limit: float | None) -> Iterator[Progress]:
    """Yield each change of a Request until it finishes. The session knows its latest state."""
    session.waits_for = request if isinstance(request, int) else request.id
    for progress in session.pm.watch(request, timeout=WAIT_SECONDS if limit is None else limit):
        session.request = progress.request
        yield progress


def described(progress: Progress) -> str:
    """Return where a Request stands, in one line."""
    request = progress.request
    waits = ", ".join(f'task {task.id} "{task.name}"' for task in progress.tasks)
    return f'Request {request.id} "{request.name}" {request.status}' + (f", waits for {waits}" if waits else "")
