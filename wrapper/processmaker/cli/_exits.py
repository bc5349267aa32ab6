"""How a command ends: the exit codes, and what is said about an error."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import ceil
from typing import Any

from attrs import frozen

from .. import errors as e


class UsageError(e.ProcessMakerError):
    """The command was called in a way that cannot work. Nothing was sent."""


class NotSignedIn(e.ProcessMakerError):
    """There is no token for the server in use. Nothing was sent."""


class Absent(e.ProcessMakerError):
    """What was looked for is not there."""


class ChecksFailed(e.ProcessMakerError):
    """Checks of `doctor` failed."""

    code: int
    """The exit code: that of the first check that failed."""


class Terminated(KeyboardInterrupt):
    """SIGTERM came."""


@contextmanager
def signals_handled(*kinds: signal.Signals, by: Callable[[int, Any], Any]) -> Iterator[None]:
    """Set a handler for these signals, and restore the earlier ones at the end.

    It does nothing outside the main thread, where Python allows no handler.
    """
    before: dict[int, Any] = {}
    try:
        for kind in kinds:
            before[kind] = signal.signal(kind, by)
    except ValueError:  # not in the main thread
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


@frozen
class Exit:
    """An exit code, what it means, and the errors that lead to it; those below them in the tree included."""

    code: int
    meaning: str
    errors: tuple[type[e.ProcessMakerError], ...] = ()


DONE, FAILED, USAGE, OUTCOME_UNKNOWN, KEY_REUSED, INTERRUPTED, TERMINATED = 0, 1, 2, 6, 7, 130, 143

EXITS = (
    Exit(DONE, "done"),
    Exit(FAILED, "failed", (e.ProcessMakerError,)),
    Exit(USAGE, "bad usage", (UsageError, e.ConfigurationError, e.InvalidData, e.AmbiguousStartEvent)),
    Exit(3, "not signed in", (NotSignedIn, e.Unauthorized, e.SignInError)),
    Exit(4, "not found or not allowed", (Absent, e.CannotStart, e.NotFound, e.Forbidden)),
    Exit(5, "timed out", (e.WaitTimeout, e.TimedOut)),
    Exit(OUTCOME_UNKNOWN, "outcome unknown: look before doing it again", (e.StartOutcomeUnknown,)),
    Exit(KEY_REUSED, "the key belongs to other data; nothing was sent", (e.IdempotencyKeyReused,)),
    Exit(INTERRUPTED, "interrupted with Ctrl-C"),
    Exit(TERMINATED, "ended by SIGTERM"),
)

_CODES = {kind: exit_.code for exit_ in EXITS for kind in exit_.errors}


def exit_code(problem: BaseException, *, changes: bool) -> int:
    """The exit code for what ended a command.

    Args:
        problem: the exception.
        changes: whether the command was changing something on the server at that moment.
    """
    if isinstance(problem, SystemExit):
        return int(problem.code or 0)
    if isinstance(problem, KeyboardInterrupt):
        return TERMINATED if isinstance(problem, Terminated) else INTERRUPTED
    if not isinstance(problem, e.ProcessMakerError):
        return OUTCOME_UNKNOWN if changes else FAILED
    if changes and problem.processed is None:
        return OUTCOME_UNKNOWN
    if isinstance(problem, ChecksFailed):
        return problem.code
    if isinstance(problem, e.CancelNotAllowed) and problem.request:
        return FAILED  # it is over, whoever asks
    return next(_CODES[kind] for kind in type(problem).__mro__ if kind in _CODES)


def hint_for(error: e.ProcessMakerError, look: str = "") -> str | None:
    """The next step after an error, as a command or an option; None if there is none to name.

    Args:
        error: the error.
        look: the command that shows whether what was sent was done.
    """
    if own := next((_HINTS[kind] for kind in type(error).__mro__ if kind in _HINTS), None):
        return own(error)
    if look and error.processed is None:
        return f"look with {look}"
    return error.hint


def _after_unknown_start(error: Any) -> str:
    if error.request_id is not None:
        return f"processmaker show {error.request_id}"
    look = find_command(error.process_id, error.idempotency_key)
    if error.idempotency_key is None:
        return f"before you start again, look among the latest Requests of process {error.process_id}: {look}"
    later = f"after {ceil(error.retry_after)} s" if error.retry_after else "later"
    return f"look with {look}, or start again {later} with the same --idempotency-key: it looks first"


def _name_an_event(error: Any) -> str | None:
    events = ", ".join(f'{event.id} "{event.name}"' for event in error.start_events)
    return f"name one with --event: {events}" if events else None


_HINTS: dict[type[BaseException], Callable[[Any], str | None]] = {
    e.StartOutcomeUnknown: _after_unknown_start,
    e.IdempotencyKeyReused: lambda error: f"to see what was started with it: processmaker show {error.existing.id}",
    e.WaitTimeout: lambda error: f"to wait again: processmaker wait {error.request_id}",
    e.TaskNotClosed: lambda error: (
        f"do not complete it again before you know; look with processmaker tasks {error.task.request_id or 'REQUEST'}"
    ),
    e.AmbiguousStartEvent: _name_an_event,
    e.StartEventNotFound: lambda _: "any other start event can be started by its node id: --event",
}
"""By kind of error. An error without an entry brings its own `hint`."""


def find_command(process: int | str, key: str | None) -> str:
    """The command that looks for a start whose outcome is not known."""
    named = shlex.quote(str(process))
    if key is None:
        return f"processmaker requests --process {named} --since 1h"
    return f"processmaker find {shlex.quote(key)} --process {named}"
