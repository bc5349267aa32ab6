"""Starting Requests and following them."""

from __future__ import annotations

import os
import re
from datetime import datetime, timedelta
from itertools import islice

from attrs import evolve

from ..errors import ProcessMakerError
from ._exits import Absent, UsageError
from ._journal import JOURNAL
from ._output import say
from ._parser import (
    DEBUG,
    JSON,
    PROFILE,
    QUIET,
    URL,
    WAIT_SECONDS,
    Argument,
    Command,
    count,
    id_or_name,
    identifier,
    seconds,
)
from ._session import Session, changes, waited
from ._settings import server
from ._typed import DATA, data_from

LIMIT = 20
"""How many Requests are listed unless told otherwise."""


def processes(session: Session) -> None:
    session.output.processes(session.pm.processes())


def start(session: Session) -> None:
    options = session.options
    if options.curl and options.wait is not None:
        raise UsageError("--curl sends nothing, so there is nothing to --wait for")
    request = session.pm.start(
        id_or_name(options.process),
        data_from(options),
        event=options.event,
        idempotency_key=options.idempotency_key,
        # Looking for the key would be another HTTP request than the one to show.
        look_first=not options.curl or options.idempotency_key is None,
        again=options.again,
    )
    session.request = request
    if options.wait is not None:
        key, created = request.idempotency_key, request.created
        request = evolve(waited(session, request, options.wait), idempotency_key=key, created=created)
    session.output.request(request)


def find(session: Session) -> None:
    options = session.options
    found = session.pm.find(options.key, process=id_or_name(options.process))
    if found is None:
        raise Absent(f"no Request of process {options.process} that this token may see has the key {options.key}")
    session.output.request(found)


def requests(session: Session) -> None:
    options, output, pm = session.options, session.output, session.pm
    process = None if options.process is None else id_or_name(options.process)
    asked = {"process": process, "status": options.status, "since": options.since}
    if options.count:
        number = pm.count_requests(options.pmql, **asked)
        if output.as_json:
            output.row({"count": number})
        else:
            output.line(str(number))
        return
    limit = options.limit or None
    newest = pm.requests(options.pmql, **asked, order_direction="desc", per_page=min(limit, 100) if limit else 100)
    if output.as_json:
        for request in islice(newest, limit):
            output.row(request)
            if output.problem:
                return
        return
    listed = list(islice(newest, limit))
    output.requests(listed)
    if len(listed) == limit and not output.quiet:
        there = pm.count_requests(options.pmql, **asked)
        if there > limit:
            say(f"these are the newest {limit} of {there}; --limit 0 lists all")


def show(session: Session) -> None:
    session.output.request(session.pm.get(session.options.id))


def open_(session: Session) -> None:
    import webbrowser

    from ..config.settings import site_of

    site = site_of(server(session.options, os.environ)["base_url"], allow_http=True)  # no token goes there from here
    url = f"{site}/requests/{session.options.id}"
    session.output.facts({"url": url}, quietly=url)
    if not webbrowser.open(url):
        raise ProcessMakerError("there is no browser here that opens it; BROWSER names one")


def wait(session: Session) -> None:
    # For this command and `watch`, --timeout is about the Request.
    limit, session.options.timeout = session.options.timeout, None
    session.output.request(waited(session, session.options.id, limit, session.options.until))


def watch(session: Session) -> None:
    limit, session.options.timeout = session.options.timeout, None
    for _ in changes(session, session.options.id, limit, session.output.change):
        if session.output.problem:
            return
    session.pm.wait(session.options.id)  # It is over: this is one look, which raises what is to be raised.


def tasks(session: Session) -> None:
    found = session.pm.tasks(session.options.id)
    if not found:
        session.pm.get(session.options.id, include=())  # so that no tasks and no such Request are told apart
    session.output.tasks(found)


def complete(session: Session) -> None:
    session.output.task(session.pm.complete(session.options.id, data_from(session.options)))


def cancel(session: Session) -> None:
    session.output.request(session.pm.cancel(session.options.id))


def moment(text: str) -> datetime | timedelta:
    """`90m` is so long ago, `2026-11-24T09:00` the time in this machine's zone."""
    if ago := re.fullmatch(r"([0-9]{1,6})([smhd])", text):
        unit = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}[ago[2]]
        return timedelta(**{unit: int(ago[1])})
    return datetime.fromisoformat(text).astimezone()


moment.__name__ = "time, such as 90m, 2h, 1d or 2026-11-24T09:00,"

ID = Argument("id", type=identifier, metavar="ID", help="the Request's id")
PROCESS = Argument("process", metavar="PROCESS", help="its exact name; digits are its id", completed="processes")
OF_PROCESS = Argument(
    "--process",
    metavar="PROCESS",
    help="only of this process: its exact name; digits are its id",
    completed="processes",
)
CURL = Argument("--curl", action="store_true", help="print the HTTP request as a curl command; send nothing")
WAIT_FOR = Argument(
    "--timeout",
    type=seconds,
    metavar="SECONDS",
    help=f"how long to wait for the Request (default: {WAIT_SECONDS:.0f})",
)

COMMANDS = (
    Command(
        name="processes",
        help="list what this token may start",
        example="processmaker processes",
        arguments=(CURL,),
        run=processes,
    ),
    Command(
        name="start",
        help="start a Request, once",
        example='processmaker start "Leave Request" employee=Mia days:=3 --idempotency-key leave-2026-17\n'
        "processmaker start 5 --event node_mail --data @mail.json --wait 60\n"
        "processmaker start 2 letter=@letter.txt items:=@items.json\n"
        "generate-data | processmaker start 2",
        more="A lost answer is not a lost start: with --idempotency-key the Request is looked for before it is "
        "started, and after an answer that got lost. Data that is piped in is read where none is given.",
        arguments=(
            PROCESS,
            *DATA,
            Argument(
                "--event",
                metavar="EVENT",
                help="the start event's node id or name, where there are several",
                completed="events",
            ),
            Argument(
                "--idempotency-key",
                metavar="KEY",
                help="what makes this start recognisable, such as order-1234; where a Request has it, "
                "that one is the answer",
            ),
            Argument(
                "--again",
                action="store_true",
                help="start anew where every Request with this key has failed or was canceled",
            ),
            JOURNAL,
            Argument(
                "--wait",
                nargs="?",
                type=seconds,
                metavar="SECONDS",
                help=f"wait until it has finished, at most so long (default: {WAIT_SECONDS:.0f}); a number that "
                "follows is always its seconds",
            ),
            CURL,
        ),
        run=start,
        changes=True,
    ),
    Command(
        name="find",
        help="find the Request started with an idempotency key",
        example='processmaker find leave-2026-17 --process "Leave Request"',
        more="This is the next step after a start whose outcome is unknown.",
        arguments=(
            Argument("key", metavar="KEY", help="the idempotency key it was started with"),
            Argument(
                "--process",
                metavar="PROCESS",
                required=True,
                help="its process: the exact name; digits are its id",
                completed="processes",
            ),
        ),
        run=find,
    ),
    Command(
        name="requests",
        help="list Requests, the newest first",
        example='processmaker requests --process "Leave Request" --status ACTIVE --since 2h\n'
        "processmaker requests --pmql 'data.days > 3' --limit 100 --json\n"
        "processmaker requests --status ERROR --count",
        more="With --json it prints one document a line, as the pages come.",
        arguments=(
            OF_PROCESS,
            Argument(
                "--status",
                choices=("ACTIVE", "COMPLETED", "ERROR", "CANCELED"),
                type=str.upper,
                help="only with this status",
            ),
            Argument(
                "--since",
                type=moment,
                metavar="TIME",
                help="only created since then: 90m, 2h or 1d ago, or 2026-11-24T09:00",
            ),
            Argument("--pmql", metavar="PMQL", help="only where this condition in ProcessMaker's query language holds"),
            Argument(
                "--limit",
                type=count,
                default=LIMIT,
                metavar="N",
                help=f"how many at most (default: {LIMIT}; 0: all)",
            ),
            Argument("--count", action="store_true", help="print only how many there are"),
        ),
        run=requests,
    ),
    Command(
        name="show",
        help="show a Request with its data",
        example="processmaker show 17",
        arguments=(ID, CURL),
        run=show,
    ),
    Command(
        name="open",
        help="open a Request in the browser",
        example="processmaker open 17",
        arguments=(ID,),
        settings=(URL, PROFILE, JSON, QUIET, DEBUG),
        run=open_,
    ),
    Command(
        name="wait",
        help="wait until a Request has finished",
        example="processmaker wait 17 --timeout 600",
        more="It fails where the Request does. Ctrl-C leaves the Request as it is.",
        arguments=(
            ID,
            Argument(
                "--until",
                choices=("finished", "task"),
                default="finished",
                help="task: only until a task waits for a person",
            ),
            WAIT_FOR,
        ),
        run=wait,
    ),
    Command(
        name="watch",
        help="print each change of a Request until it has finished",
        example="processmaker watch 17",
        more="With --json each change is one document on a line of its own. Ctrl-C leaves the Request as it is.",
        arguments=(ID, WAIT_FOR),
        run=watch,
    ),
    Command(
        name="tasks",
        help="list the tasks of a Request that wait for a person",
        example="processmaker tasks 17",
        arguments=(ID, CURL),
        run=tasks,
    ),
    Command(
        name="complete",
        help="complete a task",
        example="processmaker complete 3 approved:=true comment=fine",
        arguments=(Argument("id", type=identifier, metavar="TASK", help="the task's id"), *DATA, CURL),
        run=complete,
        changes=True,
    ),
    Command(
        name="cancel",
        help="cancel a Request",
        example="processmaker cancel 17",
        arguments=(ID, CURL),
        run=cancel,
        changes=True,
    ),
)
