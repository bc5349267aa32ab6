"""Commands beside Requests and tasks: any other call of the API, doctor, the sandbox."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import click

from . import _options
from ._app import argument, command
from ._exits import UsageError
from ._params import COUNT, DATA, PAIR, SECONDS
from ._session import Session
from ._typed import body_of_document, data_of_pairs, refuse_piped

READING = ("GET", "HEAD", "OPTIONS")
METHODS = (*READING, "POST", "PUT", "PATCH", "DELETE")


@command(
    "api",
    uses=("url", "profile", "allow_http", "timeout", "retries", "json", "debug"),
    changes=True,
    examples="processmaker api /tasks status==ACTIVE per_page==5\n"
    "processmaker api GET /processes -f per_page=5\n"
    "processmaker api PUT /requests/17 status=CANCELED\n"
    "processmaker api POST /groups --data @group.json",
)
@argument(
    "words",
    type=PAIR,
    nargs=-1,
    required=True,
    metavar="[METHOD] PATH [key=value]...",
    help="The method (default: GET, or POST if something is sent); the path below /api/1.0; key=value and key:=JSON "
    "for the JSON body; key==value for the query.",
)
@click.option(
    "-f",
    "--field",
    "fields",
    type=PAIR,
    multiple=True,
    help="A field: of the query for GET and with --data, else of the JSON body.",
)
@click.option("--data", "document", type=DATA, help="The body; @FILE reads a file, - standard input.")
@_options.curl
def api(session: Session, words: Sequence[str], fields: Sequence[str], document: str | None, curl: bool) -> None:
    """Call anything else of the API, and print the JSON of its answer.

    The call is signed in, bounded and confined to this server's API as those of all commands. What changes something
    is sent again only if it certainly was not done.
    """
    method, path, pairs = _call(words)
    query = dict(re.split("==", pair, maxsplit=1) for pair in pairs if re.match("[^=:]+==", pair))
    body = [pair for pair in pairs if not re.match("[^=:]+==", pair)]
    if method is None:
        method = "POST" if body or document is not None else "GET"
    reads = method in READING
    if reads and (body or document is not None):
        raise UsageError(f"{method} sends no body: give key==value in place of {(body or ['--data'])[0]}")
    if document is not None and body:
        raise UsageError(f"give the body either with --data or as key=value, not both ({body[0]})")
    of_query = reads or document is not None
    params = {**data_of_pairs(fields if of_query else ()), **query}
    sent = None if reads else data_of_pairs([*(() if of_query else fields), *body]) or None
    if not reads:
        refuse_piped(document)
    if document is not None:
        sent = body_of_document(document)
    with session.client(curl=curl) as pm:
        if reads:
            answer = pm.request(method, path, params=params)
        else:
            with session.change():
                answer = pm.request(method, path, params=params, json=sent)
    if isinstance(answer, bytes):
        session.output.bytes(answer)
    elif answer is not None:
        session.output.document(answer)


def _call(words: Sequence[str]) -> tuple[str | None, str, Sequence[str]]:
    """The method, if one is given, the path, and the rest."""
    first, *rest = words
    if first.upper() in METHODS:
        if not rest:
            raise UsageError("give a PATH after the method, such as /users/1")
        return first.upper(), rest[0], rest[1:]
    if rest and rest[0].startswith("/"):
        raise UsageError(f"{first!r} is not a method: {', '.join(METHODS)}")
    if wrong := next((word for word in rest if word.upper() in METHODS), None):
        raise UsageError(f"the method comes first: api {wrong.upper()} {first}")
    return None, first, rest


@command(
    "doctor",
    uses=("url", "profile", "allow_http", "timeout", "json", "debug"),
    examples="processmaker doctor\nprocessmaker doctor --url https://pm.example.com --json",
)
def doctor(session: Session) -> None:
    """Look for what is wrong between here, the server and the token.

    It only reads. Each check is a line: ok, advice, failed or skipped, and what to do. The exit code is 0 if none
    failed, else that of the first that did.
    """
    from ._doctor import examine

    examine(session)


@command(
    "sandbox", uses=("debug",), examples="processmaker sandbox --port 8765\nprocessmaker sandbox --setup sandbox.json"
)
@click.option("--port", type=COUNT, help="Port on 127.0.0.1 (default: 8765; 0: a free one).")
@click.option(
    "--setup", type=click.Path(), metavar="FILE", help="A file of JSON with processes and faults of your own."
)
@click.option("--start-takes", type=SECONDS, help="How long a start takes (default: 0).")
@click.option(
    "--appears-after", type=SECONDS, help="How long after the call the Request is listed (default: with the answer)."
)
def sandbox(_: Session, **options: Any) -> None:
    """Serve a ProcessMaker in memory, to try things out."""
    from ..sandbox.__main__ import serve

    try:
        serve(**options)
    except ValueError as problem:
        raise UsageError(str(problem)) from problem
