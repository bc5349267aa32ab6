"""The journal of starts on the command line: what it holds, and forgetting."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import _options
from ._app import argument, command
from ._exits import Absent, UsageError
from ._output import Column
from ._params import AGE, PROCESS, Words
from ._session import Session, journal_place
from ._settings import checked_site, server

if TYPE_CHECKING:
    from ..journal import Entry, RedisJournal, SQLiteJournal

COLUMNS = (
    Column("KEY", lambda entry: entry["key"]),
    Column("PROCESS", lambda entry: entry["process_id"], whole=True),
    Column("SERVER", lambda entry: entry["server"], from_width=80),
    Column("STATE", lambda entry: f"Request {entry['request_id']}" if entry["request_id"] else entry["state"]),
    Column("SINCE", lambda entry: entry["since"], from_width=60, whole=True),
    Column("OWNER", lambda entry: entry["owner"], from_width=100),
)


@command(
    "journal",
    examples="processmaker journal --journal rows.csv.journal\n"
    "processmaker journal list --all --json\n"
    'processmaker journal forget order-17 --process "Leave Request"\n'
    "processmaker journal prune --older-than 90d",
)
@argument(
    "what",
    type=Words("list", "forget", "prune"),
    default="list",
    metavar="[list|forget|prune]",
    help="What to do (default: list).",
)
@argument("key", required=False, metavar="[KEY]", help="The idempotency key to forget.")
@_options.journal
@click.option("--all", "everything", is_flag=True, help="List also what was started.")
@click.option("--process", type=PROCESS, help="The process of the key: its id, or its name.")
@click.option("--yes", is_flag=True, help="Forget the key.")
@click.option("--older-than", type=AGE, help="How old the entries that prune drops are at least: 90d, 12h.")
def journal(
    session: Session,
    what: str,
    key: str | None,
    journal: str | None,
    everything: bool,
    process: int | str | None,
    yes: bool,
    older_than: timedelta | None,
) -> None:
    """List the keys in a journal of starts, forget one, or drop old ones.

    The list has the keys that are not started yet: who sends them, or did, and since when. Forget a key only if you
    know that its sender, and the server, are done: afterwards a second start becomes possible. prune drops entries of
    started Requests only.
    """
    if what in ("list", "prune") and (key or process):
        raise UsageError(f"{what} is about all keys; leave KEY and --process out")
    if (older_than is not None) != (what == "prune"):
        raise UsageError("--older-than goes with prune, and prune needs it, such as --older-than 90d")
    there = _existing(session, journal)
    if older_than is not None:
        dropped = there.prune(older_than)
        session.output.facts({"dropped": dropped}, quietly=dropped)
    elif what == "forget":
        if not key or process is None:
            raise UsageError("forget needs the KEY, and its process: --process PROCESS")
        _forget(session, there, key, process, yes=yes)
    else:
        entries = sorted(there.entries(started=everything), key=lambda entry: entry.since)
        session.output.table(
            map(_fields, entries),
            COLUMNS,
            quietly=lambda entry: entry["key"],
            empty="the journal is empty" if everything else "nothing is being sent",
        )


def _existing(session: Session, given: str | None) -> SQLiteJournal | RedisJournal:
    place = journal_place(given)
    if place is None:
        raise UsageError("no journal is named: give --journal FILE or --journal redis://…, or set PROCESSMAKER_JOURNAL")
    if "://" not in place and not Path(place).exists():
        raise Absent(f"there is no journal {place}")
    return session.journal(place)


def _forget(session: Session, there: SQLiteJournal | RedisJournal, key: str, process: int | str, *, yes: bool) -> None:
    from ..journal import KeyedStart

    arguments = server(session.settings, os.environ)
    site = checked_site(arguments["base_url"], allow_http=arguments.get("allow_http", False))
    process_id = process if isinstance(process, int) else _id_of(session, process)
    start = KeyedStart(site, process_id, key)
    entry = there.read(start)
    if entry is None:
        raise Absent(f"the journal says nothing of the key {key} of process {process_id} on {site}")
    if not yes:
        fields = _fields(entry)
        raise UsageError(
            f"{key} of process {process_id} is {fields['state']}, by {entry.owner} since "
            f"{entry.since.isoformat(' ', 'seconds')}; nothing was forgotten",
            hint="to forget it, after which a second start becomes possible: --yes",
        )
    there.forget(start)
    session.output.facts({"forgotten": True, **_fields(entry)}, quietly=key)


def _id_of(session: Session, name: str) -> int:
    found = next((process.id for process in session.pm.processes() if process.name == name), None)
    if found is None:
        raise Absent(f"there is no process {name!r} that this token may start; give its id")
    return found


def _fields(entry: Entry) -> dict[str, Any]:
    return {
        "key": entry.start.key,
        "process_id": entry.start.process_id,
        "server": entry.start.server,
        "state": "being sent" if entry.state == "sending" else entry.state,
        "request_id": entry.request_id if entry.state == "started" else None,
        "since": entry.since,
        "silent_for": round(entry.age, 1),
        "owner": entry.owner,
    }
