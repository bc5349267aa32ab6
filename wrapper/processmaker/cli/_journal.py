"""The journal of starts on the command line: which one, what it says, and forgetting."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import _output
from ._exits import Absent, UsageError
from ._parser import COMMON, Argument, Command, id_or_name
from ._settings import server
from ._typed import typed_line

if TYPE_CHECKING:
    from ..journal import Entry, RedisJournal, SQLiteJournal
    from ._session import Session

NONE = "none"

JOURNAL = Argument(
    "--journal",
    metavar="FILE|URL",
    help="the journal of starts, which all share who start the same keys: a file, redis://…, or the word none "
    "(default: PROCESSMAKER_JOURNAL)",
    completed="files",
)


def place(given: str | None, environ: Mapping[str, str]) -> str | None:
    """Where the journal is: the option, else the environment; None where neither says so, "none" for none."""
    return given or environ.get("PROCESSMAKER_JOURNAL", "").strip() or None


def opened(where: str, **options: Any) -> SQLiteJournal | RedisJournal:
    """The journal there; options are those of the classes.

    Raises:
        JournalError: it cannot be used.
    """
    from ..journal import RedisJournal, SQLiteJournal

    if re.match(r"(rediss?|unix)://", where):
        return RedisJournal.from_url(where, **options)
    return SQLiteJournal(where, **options)


def shown(where: str) -> str:
    """The place without a password."""
    return re.sub(r"(?<=://).*@", "…@", where)


def journal(session: Session) -> None:
    options = session.options
    if options.what in ("list", "prune") and (options.key or options.process):
        raise UsageError(f"{options.what} is about all keys; leave KEY and --process out")
    if (options.older_than is not None) != (options.what == "prune"):
        raise UsageError("--older-than goes with prune, and prune needs it, such as --older-than 90d")
    with _existing(session) as there:
        if options.what == "prune":
            dropped = there.prune(options.older_than)
            session.output.facts({"dropped": dropped}, quietly=str(dropped))
        elif options.what == "forget":
            _forget(session, there)
        else:
            _list(session, there)


def _existing(session: Session) -> SQLiteJournal | RedisJournal:
    where = place(session.options.journal, os.environ)
    if where is None or where == NONE:
        raise UsageError("no journal is named: give --journal FILE or --journal redis://…, or set PROCESSMAKER_JOURNAL")
    if "://" not in where and not Path(where).exists():
        raise Absent(f"there is no journal {where}")
    return opened(where)


def _list(session: Session, there: SQLiteJournal | RedisJournal) -> None:
    everything = session.options.all
    entries = sorted(there.entries(started=everything), key=lambda entry: entry.since)
    if session.output.as_json:
        for entry in entries:
            session.output.row(_fields(entry))
        return
    session.output.journal([_fields(entry) for entry in entries], everything=everything)


def _fields(entry: Entry) -> dict[str, Any]:
    return {
        "key": entry.start.key,
        "process_id": entry.start.process_id,
        "server": entry.start.server,
        "state": "being sent" if entry.request_id is None else "started",
        "request_id": entry.request_id,
        "since": entry.since,
        "silent_for": round(entry.silent_for, 1),
        "owner": entry.owner,
    }


def _forget(session: Session, there: SQLiteJournal | RedisJournal) -> None:
    from ..config.settings import site_of
    from ..journal import KeyedStart
    from ..wire.call import run

    options = session.options
    if not options.key or options.process is None:
        raise UsageError("forget needs the KEY, and its process: --process PROCESS")
    arguments = server(options, os.environ)
    site = site_of(arguments["base_url"], allow_http=arguments.get("allow_http", False))
    process = id_or_name(options.process)
    if isinstance(process, str):
        process = run(session.pm._catalog.process_id(process))
    start = KeyedStart(site, process, options.key)
    entry = there.read(start)
    if entry is None:
        raise Absent(f"the journal says nothing of the key {options.key} of process {process} on {site}")
    says = _says(entry)
    if not options.yes and not _agreed(says):
        raise UsageError(f"{says}; nothing was forgotten. To forget it: --yes")
    there.forget(start)
    session.output.facts({"forgotten": True, **_fields(entry)}, quietly=options.key)


def _says(entry: Entry) -> str:
    what = f"process {entry.start.process_id} on {entry.start.server}"
    if entry.request_id is not None:
        return f"{entry.start.key} of {what} was started as Request {entry.request_id}"
    return (
        f"{entry.start.key} of {what} has been sent by {entry.owner} since "
        f"{entry.since.isoformat(' ', 'seconds')}, and what became of it is not known"
    )


def _agreed(says: str) -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    question = "Once it is forgotten, a second start becomes possible. Forget it? [y/N] "
    _output.write_error(f"{_output.printable(says)}.\n{question}")
    return typed_line().lower() in ("y", "yes")


def age(text: str) -> timedelta:
    """`90d`."""
    found = re.fullmatch(r"([0-9]{1,6})([smhd])", text)
    if not found:
        raise ValueError
    unit = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}[found[2]]
    return timedelta(**{unit: int(found[1])})


age.__name__ = "age, such as 90d or 12h,"

COMMANDS = (
    Command(
        name="journal",
        help="list what a journal of starts says, forget a key, or drop what is old",
        example="processmaker journal --journal rows.csv.journal\n"
        "processmaker journal list --all --json\n"
        'processmaker journal forget order-17 --process "Leave Request"\n'
        "processmaker journal prune --older-than 90d",
        more="Listed is what is still being sent: for whom, since when. Forget a key only once it is known that its "
        "sender, and the server, are done: a second start becomes possible. prune drops what was started, and "
        "nothing that is being sent. --json prints one document a line: key, process_id, server, state, request_id, "
        "since, silent_for (seconds) and owner.",
        arguments=(
            Argument(
                "what",
                metavar="list|forget|prune",
                nargs="?",
                default="list",
                choices=("list", "forget", "prune"),
                help="what to do (default: list)",
            ),
            Argument("key", metavar="KEY", nargs="?", help="the idempotency key to forget"),
            JOURNAL,
            Argument("--all", action="store_true", help="list also what was started"),
            Argument(
                "--process",
                metavar="PROCESS",
                help="the process of the key: its id, or its name",
                completed="processes",
            ),
            Argument("--yes", action="store_true", help="forget without asking back"),
            Argument("--older-than", type=age, metavar="AGE", help="how old what prune drops is at least: 90d, 12h"),
        ),
        settings=COMMON,
        run=journal,
    ),
)
