"""What a command works with, and waiting for a Request."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ._journal import NONE, opened, place
from ._output import Output, hide, live
from ._parser import WAIT_SECONDS
from ._settings import server, signed_in

if TYPE_CHECKING:
    from .. import ProcessMaker, Progress, Request
    from ..journal import RedisJournal, SQLiteJournal


class Session:
    """What a command works with: its options, where it prints, and the client, made when it is first used.

    Attributes:
        waits_for: the id of the Request that the command waits for, once it does.
        request: the last known state of that Request.
        changes: whether the command changes something on the server.
    """

    def __init__(self, options: Namespace) -> None:
        self.options = options
        self.output = Output(as_json=options.json, quiet=options.quiet)
        self.waits_for: int | None = None
        self.request: Request | None = None
        self.changes = False
        self._clients: list[ProcessMaker] = []
        self._journals: list[SQLiteJournal | RedisJournal] = []

    @cached_property
    def pm(self) -> ProcessMaker:
        where = place(self.options.journal, os.environ) if "journal" in self.options else None
        journal = {} if where in (None, NONE) else {"journal": self.journal(str(where))}
        return self.connect(**signed_in(self.options, os.environ), **journal)

    def journal(self, where: str, **options: Any) -> SQLiteJournal | RedisJournal:
        """The journal there, which is closed at the end of the command."""
        journal = opened(where, **options)
        self._journals.append(journal)
        return journal

    def connect(self, **arguments: Any) -> ProcessMaker:
        """A client that is closed at the end of the command."""
        from .. import ProcessMaker

        hide(arguments.get("token"))
        pm = ProcessMaker(**arguments)
        self._clients.append(pm)
        return pm

    def close(self) -> None:
        for user in (*self._clients, *self._journals):
            with suppress(Exception):  # what was done is done
                user.close()


class CurlSession(Session):
    """The same for `--curl`: the first HTTP request is raised as `Unsent` in place of being sent."""

    @cached_property
    def pm(self) -> ProcessMaker:
        from ._curl import PLACEHOLDER, SendsNothing

        arguments = server(self.options, os.environ)
        return self.connect(**arguments, token=PLACEHOLDER, transport=SendsNothing())


def changes(
    session: Session, request: int | Request, limit: float | None, show: Callable[[Progress], None] | None
) -> Iterator[Progress]:
    """Each change of a Request until it finishes, shown as it comes: by `show`, or else on standard error."""
    if isinstance(request, int):
        session.waits_for = request
    else:
        session.waits_for, session.request = request.id, request
    with live(session.pm, show, quiet=session.output.quiet) as tell:
        for progress in session.pm.watch(request, timeout=WAIT_SECONDS if limit is None else limit):
            session.request = progress.request
            tell(progress)
            yield progress


def waited(session: Session, request: int | Request, limit: float | None, until: str = "finished") -> Request:
    """The Request once it is there; the errors of `ProcessMaker.wait` where it failed or was canceled."""
    for progress in changes(session, request, limit, None):
        request = progress.request
        if until == "task" and progress.tasks:
            return request
    return session.pm.wait(request)  # It is over: this is one look, which raises what is to be raised.
