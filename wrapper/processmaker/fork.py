"""What a process that forks must not share with its children: each begins anew with what was held for the parent."""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class BeginsAnew(Protocol):
    """Something that holds connections, locks, or waits for threads."""

    def in_child(self) -> None:
        """Lets go of what belongs to the parent. Called in the child, of whose threads only the forking one is left."""


_living: WeakSet[BeginsAnew] = WeakSet()


def begins_anew(thing: BeginsAnew) -> None:
    """Has `thing.in_child()` called in every child that this process forks, for as long as the thing lives."""
    _living.add(thing)


def _in_child() -> None:
    for thing in list(_living):
        thing.in_child()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_in_child)
