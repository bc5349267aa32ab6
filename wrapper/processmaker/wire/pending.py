"""Work that one thread or task does while others wait for it, such as reading the list of processes.

It is a `concurrent.futures.Future`, because threads and the tasks of several event loops can wait for one. The thread
or task that does the work ends it, also if it fails or is cancelled.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future, wait
from typing import TypeVar

T = TypeVar("T")


class Pending(Future[T]):
    """Something under way in this thread, or in a task of its event loop."""

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.get_ident()
        # From here on a task that stops waiting for it cannot cancel it for the others.
        self.set_running_or_notify_cancel()

    def over_in(self, seconds: float) -> bool:
        """Whether it is over in that time. Blocks, but not for a task of this very thread: that cannot go on."""
        return self._thread != threading.get_ident() and bool(wait([self], seconds).done)

    async def over_within(self, seconds: float) -> bool:
        """The same, awaited."""
        try:
            async with asyncio.timeout(seconds):
                await asyncio.wrap_future(self)
        except TimeoutError:
            return False
        return True
