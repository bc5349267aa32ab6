"""The command `processmaker`; `processmaker --help` tells its use.

`main` runs one command line. `_commands.py` is the table of commands; what they do is in `_requests.py`, `_many.py`,
`_journal.py`, `_profiles.py` and `_tools.py`, what they work with in `_session.py`. `_parser.py` makes the parser from
the table, `_typed.py` reads data that is typed or piped, `_rows.py` files of rows, `_exits.py` has the exit codes,
`_settings.py` finds the server, `_output.py` prints, `_progress.py` shows how far it has come.
"""

from __future__ import annotations

import logging
import os
import shlex
import signal
import sys
import traceback
import warnings
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..errors import ProcessMakerError
from . import _commands, _completion, _exits, _output, _parser, _session, _settings

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: the words after `processmaker`; None for those of this process.

    Returns:
        The exit code, see `processmaker --help`. It is settled by what the command did: no output that cannot be
        written changes it, but for a command that only reads, where the disk is full.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever called us
            setattr(sys, name, Path(os.devnull).open("r" if name == "stdin" else "w"))  # noqa: SIM115 - for as long as we run
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            # A name that the terminal cannot show is no reason to fail after the deed.
            reconfigure(errors="backslashreplace")
    with _sigterm_like_ctrl_c():
        return _run(words)


@contextmanager
def _sigterm_like_ctrl_c() -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise _exits.Terminated

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not in the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def _run(words: Sequence[str]) -> int:
    if words[:1] == ["__complete"]:
        return _complete(*words[1:])
    try:
        options = _parser.parse(_commands.COMMANDS, words)
    except _parser.Help as asked:
        output = _output.Output(as_json=False)
        output.text(str(asked), end="")
        return _exits.FAILED if _is_news(output.problem) else _exits.DONE
    except ProcessMakerError as error:
        _output.say(_exits.explained(error))
        return _exits.exit_code(error, changes=False)
    command = next(command for command in _commands.COMMANDS if command.name == options.command)
    curl = getattr(options, "curl", False)
    session = (_session.CurlSession if curl else _session.Session)(options)
    session.changes = command.changes and not curl
    for name in _SECRETS:
        _output.hide(os.environ.get(name, "").strip())
    ended: BaseException | None = None
    try:
        with _messages(options):
            if curl:
                _print_curl(session, command)
            else:
                command.run(session)
    except (Exception, KeyboardInterrupt, SystemExit) as problem:
        ended = problem
    code = _exits.DONE if ended is None else _exits.exit_code(ended, changes=session.changes)
    # The code stands from here on: what follows only tells.
    with suppress(KeyboardInterrupt):
        if ended:
            _tell(ended, session)
        elif _is_news(session.output.problem) and not session.changes:
            code = _exits.FAILED  # what was asked for was the output
        _tell_what_could_not_be_written(session)
        session.close()
    return code


def _complete(shell: str = "", *given: str) -> int:
    """What a completion script asks for. Where nothing can be had, nothing is offered."""
    with suppress(Exception, KeyboardInterrupt):
        _output.Output(as_json=False).text(_completion.answer(_commands.COMMANDS, shell, given), end="")
    return _exits.DONE


def _tell(ended: BaseException, session: _session.Session) -> None:
    """Says why the command ended before its time, and how to go on."""
    if session.options.debug and isinstance(ended, Exception):
        _output.write_error("".join(traceback.format_exception(ended)))
    session.request = getattr(ended, "request", None) or session.request
    if session.request and not session.output.used:
        session.output.request(session.request)  # it exists, and its id must not get lost
    if isinstance(ended, KeyboardInterrupt):
        _output.say(_interrupted(session))
    elif isinstance(ended, ProcessMakerError):
        _output.say(_exits.explained(ended, _sign_in(session)))
    elif isinstance(ended, Exception):
        unknown = f"; whether it was done is not known{_look(session)}" if session.changes else ""
        where = "" if session.options.debug else " (--debug shows where)"
        _output.say(f"internal error: {type(ended).__name__}: {ended}{where}{unknown}")


def _sign_in(session: _session.Session) -> str:
    """What to do where the server does not take the token: that depends on where the token is from."""
    if session.options.command == "login":
        return "Nothing was saved"
    try:
        by = _settings.signed_in_by(session.options, os.environ)
    except ProcessMakerError:
        return "To sign in: processmaker login"
    if not by.startswith("the profile "):
        return f"The token is from {by}, which goes before a profile: set another, or unset it"
    return f"To sign in again: processmaker login --profile {shlex.quote(by.removeprefix('the profile '))}"


def _interrupted(session: _session.Session) -> str:
    if session.waits_for:
        return f"Request {session.waits_for} goes on; to wait again: processmaker wait {session.waits_for}"
    if session.request:
        return f"interrupted; Request {session.request.id} exists: processmaker show {session.request.id}"
    return "interrupted" + (f"; whether the server did it is not known{_look(session)}" if session.changes else "")


def _look(session: _session.Session) -> str:
    """How to look for what may have been started or changed."""
    options = session.options
    if options.command == "start":
        return f"; look with {_exits.where_to_look(options.process, options.idempotency_key)}"
    ways = {"cancel": "processmaker show {}", "complete": "processmaker tasks REQUEST, which lists task {} until it is"}
    return f"; look with {ways[options.command].format(options.id)}" if options.command in ways else ""


def _tell_what_could_not_be_written(session: _session.Session) -> None:
    problem, request = session.output.problem, session.request
    if not _is_news(problem) and not (problem and session.changes and request):
        return  # whoever reads it, such as `head`, has enough
    known = f" Request {request.id} exists: processmaker show {request.id}" if request else ""
    _output.say(f"the output cannot be written: {problem.strerror if problem else problem}.{known}")


def _is_news(problem: OSError | None) -> bool:
    return problem is not None and not isinstance(problem, BrokenPipeError)


def _print_curl(session: _session.Session, command: _parser.Command) -> None:
    from ._curl import Unsent, curl

    if session.output.as_json or session.output.quiet:
        raise _exits.UsageError("--curl prints a curl command, --json and --quiet do not change that; leave them out")
    try:
        command.run(session)
    except Unsent as unsent:
        if command.name == "start" and unsent.request.method == "GET":
            raise _exits.UsageError(
                "--curl sends nothing, so it looks nothing up: give the process's id, and --event with the node id "
                "of its start event (processmaker processes lists both)"
            ) from None
        session.output.text(curl(unsent.request))


_SECRETS = (
    "PROCESSMAKER_TOKEN",
    "PROCESSMAKER_CLIENT_SECRET",
    "PROCESSMAKER_PASSWORD",
    "API_TOKEN",
)


@contextmanager
def _messages(options: Namespace) -> Iterator[None]:
    """Warnings are one line on standard error. So is what the library logs: all of it with --debug, and on a terminal
    why it waits and tries again."""

    def show(message: Warning | str, *_: object, **__: object) -> None:
        if not options.quiet:
            _output.say(f"warning: {_exits.in_options(str(message))}")

    handler: logging.Handler = logging.NullHandler()
    level = logging.WARNING
    if options.debug:
        handler, level = _Log(_in_debug), logging.DEBUG
    elif _output.is_terminal(sys.stderr) and not options.quiet:
        handler, level = _Log(_on_a_terminal), logging.INFO
    loggers = [logging.getLogger(name) for name in ("processmaker", "httpx")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show
        for logger in loggers:
            logger.addHandler(handler)
            logger.setLevel(level)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.removeHandler(handler)
                logger.setLevel(level)


class _Log(logging.Handler):
    """What is logged, on standard error."""

    def __init__(self, words: Callable[[logging.LogRecord], str]) -> None:
        super().__init__()
        self._words = words

    def emit(self, record: logging.LogRecord) -> None:
        if words := self._words(record):
            _output.say(words)


def _in_debug(record: logging.LogRecord) -> str:
    return f"{record.levelname.lower()}: {record.getMessage()}"


def _on_a_terminal(record: logging.LogRecord) -> str:
    if record.levelno < logging.WARNING and not getattr(record, "waits", False):
        return ""
    words = _exits.in_options(record.getMessage())
    return words if "was broken off" in words else f"{words} (Ctrl-C stops it)"
