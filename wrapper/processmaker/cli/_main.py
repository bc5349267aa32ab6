"""Runs a command line: from the words to the exit code."""

from __future__ import annotations

import os
import shlex
import signal
import traceback
from collections.abc import Sequence
from contextlib import suppress
from difflib import get_close_matches
from typing import Any

import click

from .. import errors as e
from ..errors import ProcessMakerError
from . import _exits
from ._app import app
from ._exits import UsageError
from ._facts import print_request
from ._output import messages, say
from ._session import Session

_SECRETS = ("PROCESSMAKER_TOKEN", "PROCESSMAKER_CLIENT_SECRET", "PROCESSMAKER_PASSWORD", "API_TOKEN")


def run(words: Sequence[str]) -> int:
    """Runs one command; returns the exit code."""
    if instruction := os.environ.get("_PROCESSMAKER_COMPLETE"):
        from ._completion import answer

        return answer(instruction)
    session = Session()
    messages.begin(as_json="--json" in words)
    for name in _SECRETS:
        messages.hide(os.environ.get(name, "").strip())
    ended: BaseException | None = None
    with _exits.signals_handled(signal.SIGTERM, by=_terminate):  # like Ctrl-C
        try:
            _invoke(words, session)
        except (Exception, KeyboardInterrupt, SystemExit) as problem:
            ended = problem
        code = _exits.DONE if ended is None else _exits.exit_code(ended, changes=session.changing)
        # The exit code is decided. What follows only reports.
        with suppress(KeyboardInterrupt):
            if ended:
                _report(ended, session, code)
            elif _is_news(session.output.problem) and not session.changed:
                code = _exits.FAILED  # the output was what was asked for
            _report_lost_output(session)
            session.close()
    return code


def _invoke(words: Sequence[str], session: Session) -> None:
    try:
        with app.make_context("processmaker", list(words) or ["--help"], obj=session) as ctx:
            app.invoke(ctx)
    except click.exceptions.Exit as done:
        if done.exit_code:
            raise SystemExit(done.exit_code) from None
    except click.UsageError as problem:
        raise _usage_error(problem) from problem
    except OSError:
        if session.command:
            raise
        session.output.text("", end="")  # The help cannot be written. This notes why.


def _usage_error(problem: click.UsageError) -> UsageError:
    """The same error in our words, with a hint."""
    hint = f"see {problem.ctx.command_path if problem.ctx else 'processmaker'} --help"
    message = problem.format_message().rstrip(".")
    if isinstance(problem, click.NoSuchOption):
        message = f"no such option '{problem.option_name}'"
        if near := get_close_matches(problem.option_name, problem.possibilities or (), n=1):
            hint = f"did you mean {near[0]}?"
    return UsageError(message[:1].lower() + message[1:], hint=hint)


def _terminate(*_: Any) -> None:
    raise _exits.Terminated


def _report(ended: BaseException, session: Session, code: int) -> None:
    """Says why the command ended early, and how to go on."""
    if session.settings.debug and isinstance(ended, Exception):
        messages.write("".join(traceback.format_exception(ended)))
    session.request = getattr(ended, "request", None) or session.request
    if session.request and not session.output.used:
        print_request(session, session.request)  # it exists, and its id must not get lost
    if isinstance(ended, SystemExit):
        return
    facts: dict[str, object] = {"type": type(ended).__name__, "exit_code": code}
    if isinstance(ended, KeyboardInterrupt):
        message, hint = _interrupted(session)
        facts["type"] = "Interrupted"
    elif isinstance(ended, ProcessMakerError):
        message = ended.message
        hint = _exits.hint_for(ended, session.look if session.changing else "")
        if isinstance(ended, e.Unauthorized):
            hint = _sign_in(session)
        facts |= {"processed": ended.processed, "retryable": ended.retryable, "retry_after": ended.retry_after}
    else:
        message = f"internal error: {type(ended).__name__}: {ended}"
        if not session.settings.debug:
            message += " (--debug shows where)"
        hint = None
        if session.changing:
            message += "; whether it was done is not known"
            hint = session.look and f"look with {session.look}"
    messages.error(message, hint or None, facts)


def _sign_in(session: Session) -> str:
    """What to do if the server does not accept the token: that depends on where the token is from."""
    from ._settings import signed_in_by

    if session.command == "login":
        return "nothing was saved"
    by = signed_in_by(session.settings, os.environ)
    if not by.startswith("the profile "):
        return f"the token is from {by}, which goes before a profile: set another, or unset it"
    return f"to sign in again: processmaker login --profile {shlex.quote(by.removeprefix('the profile '))}"


def _interrupted(session: Session) -> tuple[str, str | None]:
    if session.waits_for:
        again = f"to wait again: processmaker wait {session.waits_for}"
        return f"interrupted; Request {session.waits_for} goes on", again
    if session.request:
        return f"interrupted; Request {session.request.id} exists", f"processmaker show {session.request.id}"
    if session.changing:
        return "interrupted; whether the server did it is not known", session.look and f"look with {session.look}"
    if session.changed:
        return "interrupted after it was done", None
    return "interrupted; nothing was sent" if session.changes else "interrupted", None


def _report_lost_output(session: Session) -> None:
    problem, request = session.output.problem, session.request
    if not _is_news(problem) and not (problem and session.changed and request):
        return  # whoever reads it, such as `head`, has enough
    known = f" Request {request.id} exists: processmaker show {request.id}" if request else ""
    say(f"the output cannot be written: {problem.strerror if problem else problem}.{known}")


def _is_news(problem: OSError | None) -> bool:
    return problem is not None and not isinstance(problem, BrokenPipeError)
