"""The lock that lets one thread at a time take a step of a journal."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from ..errors import JournalError

T = TypeVar("T")


class StepLock:
    """Lets one thread at a time take a step.

    An exception that a signal handler raises at any moment does not leave it locked. A step that is called in the
    middle of another one of the same thread (by a signal handler, or by `__del__`) is refused, as it could only wait
    for itself. All other waits are bounded.
    """

    def __init__(self) -> None:
        # One that its own thread can take again: only so does a signal handler find out that it must not wait.
        self._lock = threading.RLock()
        self._in_step = False

    def run(self, step: Callable[[], T], timeout: float, error: Callable[..., JournalError]) -> T:
        """Return what `step` returns, while no other thread takes one.

        Raises:
            JournalError: another thread was in a step for `timeout` seconds, or this thread is in the middle of one.
                `error` makes it.
        """
        lock = self._lock
        held: list[bool] = []
        try:
            # Python runs signal handlers between calls into C, and this is one such call: it takes the lock and notes
            # that. After `held = lock.acquire()` an exception could come between the two, and nobody would release it.
            held.extend(map(lock.acquire, (True,), (timeout,)))
            if not held[0]:
                raise error(f"another thread was using it for {timeout:g} s", transient=True)
            if self._in_step:
                raise error(
                    "it was called by a signal handler, or __del__, in the middle of a step of this thread",
                    transient=True,
                )
            self._in_step = True
            try:
                return step()
            finally:
                self._in_step = False
        finally:
            if held and held[0]:
                lock.release()

    def hold(self) -> None:
        """Wait until no other thread is in a step, and let none take one until `let_go`."""
        self._lock.acquire()

    def let_go(self) -> None:
        """End `hold`. It is no error if an exception came before it held anything."""
        with suppress(RuntimeError):
            self._lock.release()
