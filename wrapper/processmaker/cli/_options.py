"""Options and arguments that several commands have."""

from __future__ import annotations

from typing import Any

import click

from ._app import argument, remember
from ._params import DATA, EVENT, PAIR, PROCESS, REQUEST, SECONDS

WAIT_SECONDS = 300.0
"""How long `wait`, `watch` and `start --wait` wait unless told otherwise."""

process = argument("process", type=PROCESS, metavar="PROCESS", help="Its exact name; digits are its id.")
request_id = argument("request", type=REQUEST, metavar="ID", help="The Request's id.")
event = click.option("--event", type=EVENT, help="The start event's node id or name, if there are several.")
curl = click.option("--curl", is_flag=True, help="Print the HTTP request as a curl command; send nothing.")
journal = click.option(
    "--journal",
    type=click.Path(),
    metavar="FILE|URL",
    help="The journal of starts: a file, redis://…, or none (default: PROCESSMAKER_JOURNAL).",
)
of_process = click.option("--process", type=PROCESS, help="Only of this process: its exact name; digits are its id.")


def data(function: Any) -> Any:
    """The data, as `key=value` among the other words, or with --data."""
    values = argument(
        "values",
        type=PAIR,
        nargs=-1,
        metavar="[key=value]...",
        help="Data: key=value for a string, key:=JSON for anything else, such as days:=3; key=@FILE and key:=@FILE "
        "read it from a file.",
    )
    document = click.option(
        "--data",
        "document",
        type=DATA,
        metavar="JSON",
        help="All of the data as a JSON object; @FILE reads a file, - standard input.",
    )
    return values(document(function))


wait_timeout = click.option(
    "--timeout",
    type=SECONDS,
    expose_value=False,
    callback=remember,
    help=f"How long to wait for the Request (default: {WAIT_SECONDS:.0f}).",
)
"""--timeout of a command that waits for a Request: it stands for the setting of that name."""
