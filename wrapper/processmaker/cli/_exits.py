"""How the command ends: the exit codes, and the one line that tells what went wrong."""

from __future__ import annotations

import re
import shlex
from math import ceil

from attrs import frozen

from .. import errors as e


class UsageError(e.ProcessMakerError):
    """The command was called in a way that cannot work. Nothing was sent."""


class NotSignedIn(e.ProcessMakerError):
    """There is no token for the server in use. Nothing was sent."""


class Absent(e.ProcessMakerError):
    """What was looked for is not there."""


class Terminated(KeyboardInterrupt):
    """SIGTERM came."""


@frozen
class Exit:
    """An exit code, what it means, and the errors that lead to it; those below them in the tree included."""

    code: int
    meaning: str
    errors: tuple[type[e.ProcessMakerError], ...] = ()


DONE, FAILED, OUTCOME_UNKNOWN, INTERRUPTED, TERMINATED = 0, 1, 6, 130, 143

EXITS = (
    Exit(DONE, "done"),
    Exit(FAILED, "failed", (e.ProcessMakerError,)),
    Exit(2, "bad usage", (UsageError, e.ConfigurationError, e.InvalidData, e.AmbiguousStartEvent)),
    Exit(3, "not signed in", (NotSignedIn, e.Unauthorized, e.SignInError)),
    Exit(4, "not found or not allowed", (Absent, e.CannotStart, e.NotFound, e.Forbidden)),
    Exit(5, "timed out", (e.WaitTimeout, e.TimedOut)),
    Exit(OUTCOME_UNKNOWN, "outcome unknown: look before doing it again", (e.StartOutcomeUnknown,)),
    Exit(INTERRUPTED, "interrupted with Ctrl-C"),
    Exit(TERMINATED, "ended by SIGTERM"),
)

_CODES = {kind: exit_.code for exit_ in EXITS for kind in exit_.errors}


def exit_code(problem: BaseException, *, changes: bool) -> int:
    """The exit code for what ended a command that `changes` something on the server or only reads."""
    if isinstance(problem, SystemExit):  # argparse, after --help
        return int(problem.code or 0)
    if isinstance(problem, KeyboardInterrupt):
        return TERMINATED if isinstance(problem, Terminated) else INTERRUPTED
    if not isinstance(problem, e.ProcessMakerError):
        return OUTCOME_UNKNOWN if changes else FAILED
    if changes and problem.processed is None:
        return OUTCOME_UNKNOWN
    return next(_CODES[kind] for kind in type(problem).__mro__ if kind in _CODES)


def explained(error: e.ProcessMakerError, sign_in: str = "To sign in: processmaker login") -> str:
    """What went wrong, with the next step as one takes it on the command line.

    Args:
        sign_in: what to do where the server does not take the token.
    """
    if isinstance(error, UsageError):
        return str(error)
    if isinstance(error, e.StartOutcomeUnknown):
        failed_look = f" The last look for it failed: {e.sentence(error.look_error)}" if error.look_error else ""
        return f"{in_options(e.sentence(error.wire_error))} {_after_an_unknown_start(error)}{failed_look}"
    if isinstance(error, e.WaitTimeout):
        again = f"to wait again: processmaker wait {error.request_id}"
        if error.request:
            return f"Request {error.request_id} is still {error.request.status}. It goes on; {again}"
        why = f" ({error.__cause__})" if error.__cause__ else ""
        return f"Request {error.request_id} could not be read in time{why}; {again}"
    if isinstance(error, e.Unauthorized):
        return f"{e.sentence(error)} {sign_in}"
    return in_options(str(error))


def _after_an_unknown_start(error: e.StartOutcomeUnknown) -> str:
    if error.request_id is not None:
        return f"The Request was started: processmaker show {error.request_id}"
    unknown = "Whether the Request was started is not known"
    look = where_to_look(error.process_id, error.idempotency_key)
    if error.idempotency_key is not None:
        later = f"after {ceil(error.retry_after)} s" if error.retry_after else "later"
        return f"{unknown}. Look with {look}, or start again {later} with the same --idempotency-key: it looks first."
    return (
        f"{unknown}, and the start was not sent again. Look among the latest Requests of process {error.process_id} "
        f"before you do: {look}; with --idempotency-key the next start is looked for."
    )


def where_to_look(process: int | str, key: str | None) -> str:
    """The command that looks for a start whose outcome is not known."""
    named = shlex.quote(str(process))
    if key is None:
        return f"processmaker requests --process {named} --since 1h"
    return f"processmaker find {shlex.quote(key)} --process {named}"


# Not within a URL, nor where an option stands already.
_OURS = r"(?<![?&/-])\b"

_AS_OPTIONS = (
    (_OURS + r"again=True", "--again"),
    (_OURS + r"allow_http=True", "--allow-http"),
    (_OURS + r"base_url\b", "the URL"),
    (_OURS + r"get\(([0-9]+)\)", r"processmaker show \1"),
    (_OURS + r'get\(([0-9]+), include="summary"\)', r"processmaker api GET '/requests/\1?include=summary'"),
    (_OURS + r"tasks\(([0-9]+)\)", r"processmaker tasks \1"),
    (_OURS + r"tasks\(…\) of its Request", "processmaker tasks REQUEST"),
    (_OURS + r"event=", "--event"),
    (_OURS + r"idempotency_key\b", "--idempotency-key"),
    (_OURS + r"timeout=", "--timeout "),
    (r", or say on_altered_data=.*", "."),
    (r"send str\(…\)", "send it as a string, key=value"),
    (r"send None or a string", "send null or a string"),
)


def in_options(message: str) -> str:
    """A message of the library, with the names of options in place of those of arguments."""
    for argument, option in _AS_OPTIONS:
        message = re.sub(argument, option, message)
    return message
