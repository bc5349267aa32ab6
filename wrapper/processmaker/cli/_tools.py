"""Commands beside the Requests: any other call, the sandbox, completion."""

from __future__ import annotations

from ..errors import READING
from . import _completion
from ._exits import UsageError
from ._parser import ALLOW_HTTP, DEBUG, JSON, PROFILE, RETRIES, TIMEOUT, URL, Argument, Command, count, seconds
from ._requests import CURL
from ._session import Session
from ._typed import body_of_document, data_of_pairs, refuse_piped

METHODS = (*READING, "POST", "PUT", "PATCH", "DELETE")


def method(word: str) -> str:
    if word.upper() not in METHODS:
        raise ValueError
    return word.upper()


method.__name__ = f"method ({', '.join(METHODS)})"


def api(session: Session) -> None:
    options = session.options
    reads = options.method in READING
    session.changes = session.changes and not reads
    fields, body = data_of_pairs(options.field), None
    if options.data is not None and reads:
        raise UsageError(f"{options.method} sends no body: give -f key=value in place of --data")
    if not reads:
        refuse_piped(options.data)
    if options.data is not None:
        body = body_of_document(options.data)
    elif not reads:
        fields, body = {}, fields or None
    answer = session.pm.request(options.method, options.path, params=fields, json=body)
    if answer is not None:
        session.output.document(answer)


def doctor(session: Session) -> None:
    from ._doctor import doctor

    doctor(session)


def sandbox(session: Session) -> None:
    from ..sandbox.__main__ import serve

    try:
        serve(**{argument.dest: getattr(session.options, argument.dest) for argument in SANDBOX})
    except ValueError as problem:
        raise UsageError(str(problem)) from problem


def completion(session: Session) -> None:
    session.output.text(_completion.SCRIPTS[session.options.shell], end="")


SANDBOX = (
    Argument("--port", type=count, metavar="N", help="port on 127.0.0.1 (default: 8765; 0: a free one)"),
    Argument(
        "--setup",
        metavar="FILE",
        completed="files",
        help="a file of JSON with processes and faults of your own",
    ),
    Argument("--start-takes", type=seconds, metavar="SECONDS", help="how long a start takes (default: 0)"),
    Argument(
        "--appears-after",
        type=seconds,
        metavar="SECONDS",
        help="how long after the call the Request is listed (default: with the answer)",
    ),
)

COMMANDS = (
    Command(
        name="api",
        help="call anything else of the API, and print the JSON of its answer",
        example="processmaker api GET /users/1\n"
        "processmaker api GET /processes -f per_page=5 -f status=ACTIVE\n"
        "processmaker api PUT /requests/17 -f status=CANCELED\n"
        "processmaker api POST /groups --data @group.json",
        more="It is signed in, bounded and confined to this server's API as all commands are; what changes something "
        "is sent again only where it certainly was not done.",
        arguments=(
            Argument(
                "method",
                metavar="METHOD",
                type=method,
                choices=METHODS,
                help=", ".join(METHODS),
            ),
            Argument("path", metavar="PATH", help="below /api/1.0, such as /users/1"),
            Argument(
                "-f",
                "--field",
                action="append",
                default=[],
                metavar="key=value",
                completed="data",
                help="a field: of the query for GET and with --data, else of a JSON body; key:=JSON for what is no "
                "string",
            ),
            Argument(
                "--data",
                metavar="JSON",
                help="the body; @FILE reads a file, - standard input",
                completed="data",
            ),
            CURL,
        ),
        settings=(URL, PROFILE, ALLOW_HTTP, TIMEOUT, RETRIES, DEBUG),
        run=api,
        changes=True,
    ),
    Command(
        name="doctor",
        help="look for what is wrong between here, the server and the token",
        example="processmaker doctor\nprocessmaker doctor --url https://pm.example.com --json",
        more="It only reads. A line for each check: ok, advice, failed or skipped, and what to do. The exit code is 0 "
        "where none failed, else that of the first that did. --json: url, ok, and checks, each with check, status, "
        "message and facts (proxy, answered_in_ms, valid_until, found, server_ahead_seconds, misfits, processes, "
        "process, look_up_ms, without_data_ms).",
        settings=(URL, PROFILE, ALLOW_HTTP, TIMEOUT, JSON, DEBUG),
        run=doctor,
    ),
    Command(
        name="sandbox",
        help="serve a ProcessMaker in memory, to try things out",
        example="processmaker sandbox --port 8765\nprocessmaker sandbox --setup sandbox.json",
        arguments=SANDBOX,
        settings=(DEBUG,),
        run=sandbox,
    ),
    Command(
        name="completion",
        help="print a script that completes commands, options and names in the shell",
        example="source <(processmaker completion bash)\n"
        "processmaker completion zsh > ~/.zfunc/_processmaker\n"
        "processmaker completion fish > ~/.config/fish/completions/processmaker.fish",
        more="Processes, start events and profiles are completed, too; for the first two the server is asked.",
        arguments=(Argument("shell", choices=("bash", "zsh", "fish"), help="which shell"),),
        settings=(DEBUG,),
        run=completion,
    ),
)
