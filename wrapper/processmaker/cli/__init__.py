"""The command `processmaker`; `processmaker --help` tells its use.

`main` runs one command line. `_commands.py` holds the table of commands and what they do, `_parser.py` makes the
parser from it, `_exits.py` has the exit codes, `_settings.py` the profiles, `_output.py` all that is printed.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from .._errors import ProcessMakerError
from . import _commands, _exits, _output, _parser

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: the words after `processmaker`; None for those of this process.

    Returns:
        The exit code, see `processmaker --help`.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever called us
            setattr(sys, name, Path(os.devnull).open("r" if name == "stdin" else "w"))  # noqa: SIM115 - for as long as we run
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            # A name that the terminal cannot show is no reason to fail after the deed.
            reconfigure(errors="backslashreplace")
    code = _exits.FAILED
    try:
        code = _run(words)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output, such as `head`, has enough.
        _drop_output()
        code = _exits.DONE
    except OSError:
        # What could not be written to begin with is no news.
        _drop_output()
    return code


def _drop_output() -> None:
    """Python would complain, when it ends, about what is still to be written."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(words: Sequence[str]) -> int:
    debug = "--debug" in words
    changes = False
    session = None
    try:
        options = _parser.parse(_parser.build(_commands.COMMANDS), words)
        command = next(command for command in _commands.COMMANDS if command.name == options.command)
        changes = command.changes
        curl = getattr(options, "curl", False)
        if curl and options.json:
            raise _exits.UsageError("--curl prints a curl command, --json does not change that; leave one out")
        session = (_commands.CurlSession if curl else _commands.Session)(options)
        with _messages(debug):
            if curl:
                _print_curl(session, command)
            else:
                command.run(session)
            sys.stdout.flush()
        return _exits.DONE
    except SystemExit as end:  # argparse, after --help
        return int(end.code or 0)
    except BrokenPipeError:
        raise
    except KeyboardInterrupt:
        if session and session.waits_for:
            _show_what_is_known(session)
            _output.say(f"Request {session.waits_for} goes on; to wait again: processmaker wait {session.waits_for}")
        else:
            _output.say("interrupted" + ("; whether the server did it is not known" if changes else ""))
        return _exits.INTERRUPTED
    except ProcessMakerError as error:
        if debug:
            traceback.print_exc()
        if session:
            session.request = getattr(error, "request", None) or session.request
            _show_what_is_known(session)
        _output.say(_exits.explained(error, changes=changes))
        return _exits.exit_code(error, changes=changes)
    except OSError as error:
        if debug:
            traceback.print_exc()
        known = (
            f" Request {session.request.id} exists: processmaker show {session.request.id}"
            if session and session.request
            else ""
        )
        _output.say(f"the output cannot be written: {error.strerror}.{known}")
        return _exits.OUTCOME_UNKNOWN if changes else _exits.FAILED
    except Exception as error:
        if debug:
            traceback.print_exc()
        _output.say(f"internal error: {type(error).__name__}: {error} (--debug shows where)")
        return _exits.FAILED
    finally:
        if session:
            session.close()


def _show_what_is_known(session: _commands.Session) -> None:
    """Prints the Request that the command did not get done with: it exists, and its id must not get lost."""
    if session.request and not session.output.used:
        session.output.request(session.request)


def _print_curl(session: _commands.Session, command: _parser.Command) -> None:
    from ._curl import Unsent, curl

    try:
        command.run(session)
    except Unsent as unsent:
        if command.changes and unsent.request.method == "GET":
            raise _exits.UsageError(
                "--curl sends nothing, so it looks nothing up: give the process's id, and --event with the node id "
                "of its start event (processmaker processes lists both)"
            ) from None
        print(curl(unsent.request))


@contextmanager
def _messages(debug: bool) -> Iterator[None]:
    """Warnings are one line on standard error. What the library logs is shown with --debug only."""

    def show(message: Warning | str, *_: object, **__: object) -> None:
        _output.say(f"warning: {_exits.in_options(str(message))}")

    handler = logging.StreamHandler() if debug else logging.NullHandler()
    loggers = [logging.getLogger(name) for name in ("processmaker", "httpx")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show
        for logger in loggers:
            logger.addHandler(handler)
            if debug:
                logger.setLevel(logging.INFO)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.removeHandler(handler)
                logger.setLevel(level)
