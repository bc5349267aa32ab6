"""Starting Requests, finding and listing them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any

import click
from attrs import evolve

from ..errors import ProcessMakerError, RequestCanceled, RequestFailed
from . import _options
from ._app import Command, argument, command
from ._exits import Absent, UsageError, find_command
from ._facts import print_request
from ._following import wait_for
from ._options import WAIT_SECONDS
from ._output import Column, say
from ._params import COUNT, MOMENT, PROCESS, SECONDS, Words
from ._session import Session, journal_place
from ._typed import data_from

if TYPE_CHECKING:
    from .. import Process

LIMIT = 20
"""How many Requests are listed unless told otherwise."""


@command("processes", examples="processmaker processes")
@_options.curl
def processes(session: Session, curl: bool) -> None:
    """List what this token may start."""
    columns = (
        Column("ID", lambda process: process.id, whole=True),
        Column("NAME", lambda process: process.name),
        Column("START EVENTS", _start_events),
    )
    with session.client(curl=curl) as pm:
        session.output.table(
            pm.processes(), columns, quietly=lambda process: process.id, empty="this token may start no process"
        )


def _start_events(process: Process) -> str:
    return ", ".join(
        f'{event.id} "{event.name}"' + ("" if event.manual else " (not manual)") for event in process.start_events
    )


class _Start(Command):
    """`start`: the seconds of --wait may be left out."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        for position, (word, following) in enumerate(pairwise([*args, ""])):
            if word == "--wait" and not re.fullmatch(r"[0-9.]+", following):
                args[position] = f"--wait={WAIT_SECONDS}"
        return super().parse_args(ctx, args)


@command(
    "start",
    cls=_Start,
    changes=True,
    examples='processmaker start "Leave Request" employee=Mia days:=3 --key leave-2026-17\n'
    "processmaker start 5 --event node_mail --data @mail.json --wait 60\n"
    "processmaker start 2 letter=@letter.txt items:=@items.json\n"
    "generate-data | processmaker start 2",
)
@_options.process
@_options.data
@_options.event
@click.option(
    "--idempotency-key",
    "--key",
    "idempotency_key",
    metavar="KEY",
    help="What identifies this start, such as order-1234. If a Request has it, that one is the answer.",
)
@click.option("--again", is_flag=True, help="Start anew if every Request with this key has failed or was canceled.")
@click.option(
    "--on-reused-key",
    type=Words("error", "warn", "ignore"),
    help="What to do if the key was used with other data (default: error).",
)
@click.option(
    "--fingerprint-without", multiple=True, metavar="NAME", help="Data that may differ if it is started again."
)
@_options.journal
@click.option(
    "--wait",
    type=SECONDS,
    metavar="[SECONDS]",
    help=f"Wait for the Request to finish, for at most SECONDS (default: {WAIT_SECONDS:.0f}).",
)
@_options.curl
def start(
    session: Session,
    process: int | str,
    values: Sequence[str],
    document: str | None,
    journal: str | None,
    wait: float | None,
    curl: bool,
    **options: Any,
) -> None:
    """Start a Request, once.

    A lost answer is not a lost start: with --idempotency-key the Request is looked for before it is started, and after
    an answer that got lost. Data that is piped in is read if none is given.
    """
    if curl and wait is not None:
        raise UsageError("--curl sends nothing, so there is nothing to --wait for")
    data = data_from(values, document)
    look = find_command(process, options["idempotency_key"])
    with session.client(curl=curl, journal=journal_place(journal)) as pm, session.change(look):
        try:
            request = pm.start(process, data, **options)
        except (RequestFailed, RequestCanceled) as error:
            if error.request.created is False and not options["again"]:
                error.hint = "--again starts a new one"
            raise
    session.request = request
    if wait is not None:
        ended = wait_for(session, request, wait)
        request = evolve(ended, idempotency_key=request.idempotency_key, created=request.created)
    print_request(session, request)


@command("find", examples='processmaker find leave-2026-17 --process "Leave Request"')
@argument("key", metavar="KEY", help="The idempotency key it was started with.")
@click.option("--process", type=PROCESS, required=True, help="Its process: the exact name; digits are its id.")
def find(session: Session, key: str, process: int | str) -> None:
    """Find the Request started with an idempotency key.

    This is the next step after a start whose outcome is unknown.
    """
    found = session.pm.find(key, process=process)
    if found is None:
        raise Absent(f"no Request of process {process} that this token may see has the key {key}")
    print_request(session, found)


@command(
    "requests",
    examples='processmaker requests --process "Leave Request" --status ACTIVE --since 2h\n'
    "processmaker requests --pmql 'data.days > 3' --limit 100 --json\n"
    "processmaker requests --status ERROR --count",
)
@_options.of_process
@click.option(
    "--status",
    type=Words("ACTIVE", "COMPLETED", "ERROR", "CANCELED"),
    metavar="STATUS",
    help="Only with this status: ACTIVE, COMPLETED, ERROR or CANCELED.",
)
@click.option("--since", type=MOMENT, help="Only those created since then: 90m, 2h or 1d ago, or 2026-11-24T09:00.")
@click.option("--pmql", metavar="PMQL", help="Only if this condition in ProcessMaker's query language holds.")
@click.option("--limit", type=COUNT, default=LIMIT, help=f"How many at most (default: {LIMIT}; 0: all).")
@click.option("--count", is_flag=True, help="Print only how many there are.")
def requests(session: Session, limit: int, count: bool, **conditions: Any) -> None:
    """List Requests, the newest first.

    With --json each is a document on a line of its own, printed as the pages come.
    """
    output, pm = session.output, session.pm
    if count:
        number = pm.count_requests(**conditions)
        output.row({"count": number}) if output.as_json else output.line(str(number))
        return
    per_page = min(limit, 100) if limit else 100
    newest = pm.requests(**conditions, include=("summary",), order_direction="desc", per_page=per_page)
    columns = (
        Column("ID", lambda request: request.id, whole=True),
        Column("STATUS", lambda request: request.status, whole=True),
        Column("NAME", lambda request: request.name),
        Column("KEY", lambda request: request.idempotency_key),
        Column("PROCESS", lambda request: request.process_id, from_width=90, whole=True),
        Column("CREATED", lambda request: request.created_at, from_width=70, whole=True),
        Column("COMPLETED", lambda request: request.completed_at, from_width=110, whole=True),
    )
    listed = output.table(
        islice(newest, limit or None), columns, quietly=lambda request: request.id, empty="no Request"
    )
    if limit and listed == limit and not (output.quiet or output.as_json):
        there = pm.count_requests(**conditions)
        if there > limit:
            say(f"these are the newest {limit} of {there}; --limit 0 lists all")


@command("show", examples="processmaker show 17\nprocessmaker show 17 --json | jq .data")
@_options.request_id
@_options.curl
def show(session: Session, request: int, curl: bool) -> None:
    """Show a Request with its data."""
    with session.client(curl=curl) as pm:
        found = pm.get(request, include=("data", "summary"))
    print_request(session, found)


@command("open", examples="processmaker open 17", uses=("url", "profile", "json", "quiet", "debug"))
@_options.request_id
def open_(session: Session, request: int) -> None:
    """Open a Request in the browser."""
    import webbrowser

    from ._settings import checked_site, server

    site = checked_site(server(session.settings, os.environ)["base_url"], allow_http=True)  # no token is sent from here
    url = f"{site}/requests/{request}"
    session.output.facts({"url": url}, quietly=url)
    if not webbrowser.open(url):
        raise ProcessMakerError("there is no browser here that opens it; BROWSER names one")


@command("cancel", examples="processmaker cancel 17", changes=True)
@_options.request_id
@_options.curl
def cancel(session: Session, request: int, curl: bool) -> None:
    """Cancel a Request.

    Its open tasks are closed. If it waits for a sub-process, that one ends as COMPLETED. ProcessMaker lets only
    administrators cancel.
    """
    with session.client(curl=curl) as pm, session.change(f"processmaker show {request}"):
        canceled = pm.cancel(request)
    print_request(session, canceled)
