"""What each command does. A command is one entry in `COMMANDS`."""

from __future__ import annotations

import getpass
import json
import os
import re
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from attrs import evolve

from . import _completion
from ._exits import UsageError
from ._output import Output, live
from ._parser import WAIT_SECONDS, Argument, Command, identifier, seconds
from ._settings import DEFAULT_PROFILE, profile_url, save_profile, server, signed_in

if TYPE_CHECKING:
    from .. import ProcessMaker, Progress, Request


class Session:
    """What a command works with: its options, where it prints, and the client, made when it is first used.

    Attributes:
        waits_for: the id of the Request that the command waits for, once it does.
        request: the last known state of that Request.
    """

    def __init__(self, options: Namespace) -> None:
        self.options = options
        self.output = Output(as_json=options.json)
        self.waits_for: int | None = None
        self.request: Request | None = None
        self._clients: list[ProcessMaker] = []

    @cached_property
    def pm(self) -> ProcessMaker:
        return self.connect(**signed_in(self.options, os.environ))

    def connect(self, **arguments: Any) -> ProcessMaker:
        """A client that is closed at the end of the command."""
        from .. import ProcessMaker

        pm = ProcessMaker(**arguments)
        self._clients.append(pm)
        return pm

    def close(self) -> None:
        for pm in self._clients:
            pm.close()


class CurlSession(Session):
    """The same for `--curl`: the first HTTP request is raised as `Unsent` in place of being sent."""

    @cached_property
    def pm(self) -> ProcessMaker:
        from ._curl import PLACEHOLDER, SendsNothing

        arguments = server(self.options, os.environ)
        return self.connect(**arguments, token=PLACEHOLDER, transport=SendsNothing())


def processes(session: Session) -> None:
    session.output.processes(session.pm.processes())


def start(session: Session) -> None:
    options = session.options
    if options.curl and options.wait is not None:
        raise UsageError("--curl sends nothing, so there is nothing to --wait for")
    name = options.process
    request = session.pm.start(
        int(name) if re.fullmatch(r"[0-9]{1,18}", name) else name,
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


def show(session: Session) -> None:
    session.output.request(session.pm.get(session.options.id))


def wait(session: Session) -> None:
    # For this command and `watch`, --timeout is about the Request.
    limit, session.options.timeout = session.options.timeout, None
    session.output.request(waited(session, session.options.id, limit, session.options.until))


def watch(session: Session) -> None:
    limit, session.options.timeout = session.options.timeout, None
    output = session.output
    seen: list[Progress] = []
    try:
        for progress in changes(session, session.options.id, limit, None if output.as_json else output.line):
            seen += [progress]
    finally:
        if output.as_json and seen:
            output.document(seen)
    session.pm.wait(seen[-1].request)  # It is over: this is one look, which raises what is to be raised.


def tasks(session: Session) -> None:
    found = session.pm.tasks(session.options.id)
    if not found:
        session.pm.get(session.options.id, include=())  # so that no tasks and no such Request are told apart
    session.output.tasks(found)


def complete(session: Session) -> None:
    session.output.task(session.pm.complete(session.options.id, data_from(session.options)))


def cancel(session: Session) -> None:
    session.output.request(session.pm.cancel(session.options.id))


def login(session: Session) -> None:
    from .._settings import site_of

    options = session.options
    name = options.profile or DEFAULT_PROFILE
    url = options.url or os.environ.get("PROCESSMAKER_URL", "").strip() or asked_url(name)
    allowed = {"allow_http": True} if options.allow_http else {}
    site_of(url, allow_http=options.allow_http)  # before a token is typed for it
    token = asked_token(url)
    patience = {} if options.timeout is None else {"timeout": options.timeout}
    count = len(session.connect(base_url=url, token=token, **allowed, **patience).processes())
    path = save_profile(name, {"url": url, "token": token, **allowed}, os.environ)
    if session.output.as_json:
        session.output.document({"profile": name, "url": url, "processes": count, "file": str(path)})
    else:
        session.output.line(f"Signed in to {url}, where this token may start {count} processes.")
        session.output.line(f"Saved as profile {name} in {path}")


def doctor(session: Session) -> None:
    from ._doctor import doctor

    doctor(session)


def sandbox(session: Session) -> None:
    from ..sandbox.__main__ import main

    port = session.options.port
    if main([] if port is None else ["--port", str(port)]):
        raise UsageError("the sandbox cannot listen there; give it another --port")


def completion(session: Session) -> None:
    script = {"bash": _completion.bash, "zsh": _completion.zsh}[session.options.shell]
    print(script(COMMANDS), end="")


# Waiting


def changes(
    session: Session, request: int | Request, limit: float | None, print_change: Callable[[str], None] | None
) -> Iterator[Progress]:
    """Each change of a Request until it finishes, shown as it comes."""
    if isinstance(request, int):
        session.waits_for = request
    else:
        session.waits_for, session.request = request.id, request
    with live(session.pm, print_change) as tell:
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


# Reading what was typed


def data_from(options: Namespace) -> dict[str, Any]:
    """The data given as `key=value` and `key:=JSON`, or by --data."""
    if options.data is None:
        return data_of_pairs(options.values)
    if options.values:
        raise UsageError(f"give the data either with --data or as key=value, not both ({options.values[0]})")
    return data_of_document(options.data)


def data_of_pairs(pairs: Sequence[str]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for pair in pairs:
        parts = re.fullmatch(r"([^=]*?)(:?=)(.*)", pair, re.DOTALL)
        if parts is None:
            raise UsageError(f"{pair!r} is neither key=value nor key:=JSON")
        key, sign, text = parts.groups()
        if not key:
            raise UsageError(f"{pair!r} has no key before the {sign}")
        if key in data:
            raise UsageError(f"the key {key!r} is given twice")
        data[key] = text if sign == "=" else parsed(text, f"the value of {key} (after :=)")
    return data


def data_of_document(source: str) -> dict[str, Any]:
    what = "--data"
    try:
        if source == "-":
            what = "what --data - read from standard input"
            source = sys.stdin.buffer.read().decode("utf-8-sig")
        elif source.startswith("@"):
            what = f"the file {source[1:]}"
            source = Path(source[1:]).read_text("utf-8-sig")
    except OSError as problem:
        raise UsageError(f"{what} cannot be read: {problem.strerror}") from problem
    except UnicodeDecodeError as problem:
        raise UsageError(f"{what} is not UTF-8") from problem
    data = parsed(source, what)
    if not isinstance(data, dict):
        raise UsageError(f'{what} is JSON, but not an object such as {{"days": 3}}')
    return data


def parsed(text: str, what: str) -> Any:
    """What a JSON text stands for. Where JSON readers differ (NaN, a key given twice) it is refused."""

    def unambiguous(members: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(members)
        if len(found) != len(members):
            raise ValueError("a key is given twice in one object")
        return found

    def not_json(word: str) -> NoReturn:
        raise ValueError(f"{word} is not JSON")

    try:
        return json.loads(text, object_pairs_hook=unambiguous, parse_constant=not_json)
    except ValueError as problem:
        raise UsageError(f"{what} is not JSON: {problem}") from problem
    except RecursionError as problem:
        raise UsageError(f"{what} is nested too deeply") from problem


def asked_url(profile: str) -> str:
    """The server's address as it is typed on a terminal; an empty line means the one that the profile has."""
    if not sys.stdin.isatty():
        raise UsageError("say which server: --url, or set PROCESSMAKER_URL")
    saved = profile_url(profile, os.environ)
    print(f"Server [{saved}]: " if saved else "Server (such as https://pm.example.com): ", end="", file=sys.stderr)
    sys.stderr.flush()
    typed = sys.stdin.readline()
    url = typed.strip() or saved
    if not typed or not url:  # nothing at all: the end of input, Ctrl-D
        raise UsageError("say which server")
    return url


def asked_token(url: str) -> str:
    """The token: not shown where it is typed on a terminal, else the first line of standard input."""
    if sys.stdin.isatty():
        try:
            token = getpass.getpass(f"Token for {url} (it is not shown): ", sys.stderr)
        except EOFError:
            print(file=sys.stderr)
            token = ""
    else:
        token = sys.stdin.readline()
    if not token.strip():
        raise UsageError("no token came in; give it on standard input: processmaker login < file")
    return token.strip()


ID = Argument("id", type=identifier, metavar="ID", help="the Request's id")
CURL = Argument(
    "--curl",
    action="store_true",
    help="send nothing, print the HTTP request as a curl command; it takes the token from PROCESSMAKER_TOKEN",
)
DATA = (
    Argument(
        "values",
        nargs="*",
        default=[],
        metavar="key=value",
        help="data: key=value for a string, key:=JSON for anything else, such as days:=3",
    ),
    Argument("--data", metavar="JSON", help="all of the data as a JSON object; @FILE reads a file, - standard input"),
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
        "processmaker start 5 --event node_mail --data @mail.json --wait 60",
        more="A lost answer is not a lost start: with --idempotency-key the Request is looked for before it is "
        "started, and after an answer that got lost.",
        arguments=(
            Argument("process", metavar="PROCESS", help="its exact name; digits are its id"),
            *DATA,
            Argument("--event", metavar="EVENT", help="the start event's node id or name, where there are several"),
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
            Argument(
                "--wait",
                nargs="?",
                type=seconds,
                metavar="SECONDS",
                help=f"wait until it has finished, at most so long (default: {WAIT_SECONDS:.0f})",
            ),
            CURL,
        ),
        run=start,
        changes=True,
    ),
    Command(
        name="show",
        help="show a Request with its data",
        example="processmaker show 17",
        arguments=(ID, CURL),
        run=show,
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
        ),
        run=wait,
    ),
    Command(
        name="watch",
        help="print each change of a Request until it has finished",
        example="processmaker watch 17",
        more="With --json the list of changes comes at the end. Ctrl-C leaves the Request as it is.",
        arguments=(ID,),
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
    Command(
        name="login",
        help="save the server's address and a token as a profile",
        example="processmaker login --url https://pm.example.com\n"
        "processmaker login --profile staging --url https://staging.example.com < token.txt",
        more="The token is asked for, or read from standard input, and tried before it is saved. "
        "Only you can read the file.",
        run=login,
    ),
    Command(
        name="doctor",
        help="look for what is wrong between here, the server and the token",
        example="processmaker doctor\nprocessmaker doctor --url https://pm.example.com --json",
        more="It only reads. A line for each check: ok, advice, failed or skipped, and what to do. The exit code is 0 "
        "where none failed, else that of the first that did. --json: url, ok, and checks, each with check, status, "
        "message and facts (proxy, answered_in_ms, valid_until, found, server_ahead_seconds, misfits, processes, "
        "process, look_up_ms, without_data_ms).",
        run=doctor,
    ),
    Command(
        name="sandbox",
        help="serve a ProcessMaker in memory, to try things out",
        example="processmaker sandbox --port 8765",
        arguments=(Argument("--port", type=int, metavar="N", help="port on 127.0.0.1 (default: 8765; 0: a free one)"),),
        run=sandbox,
    ),
    Command(
        name="completion",
        help="print a script that completes commands and options in the shell",
        example="source <(processmaker completion bash)\nprocessmaker completion zsh > ~/.zfunc/_processmaker",
        arguments=(Argument("shell", choices=("bash", "zsh"), help="which shell"),),
        run=completion,
    ),
)
