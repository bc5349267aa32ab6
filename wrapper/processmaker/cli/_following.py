"""Waiting for a Request, and watching it change."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click

from . import _options
from ._app import command
from ._facts import print_request
from ._options import WAIT_SECONDS
from ._output import is_terminal, live, messages, printable
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

    def show(progress: Progress) -> None:
        if output.as_json:
            output.row(progress)
        elif not output.quiet:
            output.line(described(progress))

    for _ in _changes(session, request, limit, show):
        if output.problem:
            return
    session.pm.wait(request)  # It has finished: this looks once, and raises what there is to raise.


def wait_for(session: Session, request: int | Request, limit: float | None, until: str = "finished") -> Request:
    """Waits for a Request, and shows on standard error how it changes.

    Args:
        request: the Request or its id.
        limit: seconds; None for the default.
        until: "finished" or "task".

    Returns:
        The Request as it is then.

    Raises:
        ProcessMakerError: those of `ProcessMaker.wait`.
    """
    for progress in _changes(session, request, limit, None):
        request = progress.request
        if until == "task" and progress.tasks:
            return request
    return session.pm.wait(request)  # It has finished: this looks once, and raises what there is to raise.


def _changes(
    session: Session, request: int | Request, limit: float | None, show: Callable[[Progress], None] | None
) -> Iterator[Progress]:
    """Each change of a Request until it finishes, shown as it comes: by `show`, or else on standard error."""
    import sys

    if isinstance(request, int):
        session.waits_for = request
    else:
        session.waits_for, session.request = request.id, request
    quiet = session.output.quiet
    line = _Line(f"Request {session.waits_for}") if is_terminal(sys.stderr) and not quiet else None
    with live(line) if line else nullcontext():
        for progress in session.pm.watch(request, timeout=WAIT_SECONDS if limit is None else limit):
            session.request = progress.request
            if line:
                line.text = printable(described(progress))
            if show:
                show(progress)
            elif not line and not quiet:
                messages.write(printable(described(progress)) + "\n")
            yield progress


class _Line:
    """What a wait shows on a terminal: where the Request stands, and the seconds since it began."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._began = time.monotonic()

    def __rich_console__(self, _: Any, options: Any) -> Iterator[Any]:
        from rich.text import Text

        elapsed = f" {time.monotonic() - self._began:.0f} s"
        text = Text(self.text, no_wrap=True)
        text.truncate(max(options.max_width - len(elapsed), 1), overflow="ellipsis")
        yield text.append(elapsed, style="dim")


def described(progress: Progress) -> str:
    """Where a Request stands, in one line."""
    request = progress.request
    waits = ", ".join(f'task {task.id} "{task.name}"' for task in progress.tasks)
    return f'Request {request.id} "{request.name}" {request.status}' + (f", waits for {waits}" if waits else "")
