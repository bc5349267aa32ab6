"""Finds the process and the start event that a caller names, among those that this token may start."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from difflib import get_close_matches
from typing import Any

from processmaker_api.api.processes import start_processes
from processmaker_api.types import UNSET

from .data import check_text
from .errors import (
    AmbiguousStartEvent,
    CannotStart,
    InvalidData,
    ProcessNotFound,
    StartEventNotFound,
    clean,
    short_repr,
)
from .log import log
from .models import Process, StartEvent, integer, is_id, process_from
from .wire.call import IO
from .wire.pages import PER_PAGE, read_list

REMEMBERED_FOR = 60.0
"""Seconds for which a process is used again without another look."""

AnyProcess = int | str | Process
"""A process: its id, its exact name, or itself."""

AnyEvent = str | StartEvent | None
"""A start event: its node id, its exact name, or itself; None for the only manual one."""


class Catalog:
    """The processes that this token may start. Each is remembered for a short while."""

    def __init__(self, io: IO) -> None:
        self.io = io
        # By id and by name, with the time of the look.
        self._known: dict[int | str, tuple[Process, float]] = {}

    async def process_id(self, process: AnyProcess) -> int:
        """Return the id of a process. Only a name needs a look.

        Raises:
            ProcessNotFound: no process of that name.
        """
        check_process(process)
        if isinstance(process, str):
            process = self._remembered(process) or await self._find(process)
        return process if isinstance(process, int) else process.id

    async def resolve(self, process: AnyProcess, event: AnyEvent) -> tuple[int, str]:
        """Return the ids that go on the wire. Looks only if one of them is missing.

        Raises:
            CannotStart: it is not clear what to start.
        """
        check_process(process)
        event = node_id_or_name(event)
        # A node id is an XML name, so it has no blanks.
        if isinstance(process, int) and event is not None and event.split() == [event]:
            return process, event
        known = process if isinstance(process, Process) else self._remembered(process)
        if known is not None:
            with suppress(CannotStart):  # what is at hand or remembered may be old
                return known.id, find_event(known, event).id
        found = await self._find(process.id if isinstance(process, Process) else process)
        return found.id, find_event(found, event).id

    async def resolve_again(self, process: AnyProcess, event: AnyEvent) -> tuple[int, str]:
        """Return the ids that a fresh listing gives, after a start was answered with 403 or 404.

        Raises:
            CannotStart: the listing has no such process or start event; the message is the likely cause.
        """
        found = find_process(process.id if isinstance(process, Process) else process, await self.look())
        return found.id, find_event(found, node_id_or_name(event)).id

    def _remembered(self, process: int | str) -> Process | None:
        found, looked_at = self._known.get(process, (None, 0.0))
        return found if self.io.clock.monotonic() - looked_at <= REMEMBERED_FOR else None

    async def _find(self, process: int | str) -> Process:
        """Return the process as the server has it.

        Raises:
            ProcessNotFound: it is not there; the message has the nearest names of the whole list.
        """
        if isinstance(process, str):
            for candidate in await self.look(process):
                if candidate.name == process:
                    return candidate
        return find_process(process, await self.look())

    async def look(self, name: str | None = None) -> list[Process]:
        """GET /start_processes: the processes as they are now.

        It is the only listing of processes that an ordinary user may read (observed on 4.15.5).

        With a name the server narrows the list to processes with that text in their name, description or category,
        which is faster if there are many.
        """

        def page(number: int) -> dict[str, Any]:
            return start_processes.build_request(
                filter_=name or UNSET, order_by="id", per_page=PER_PAGE, page=number if number > 1 else UNSET
            )

        found = [process async for process in read_list(self.io, page, process_from)]
        for process in found:
            self._known[process.id] = self._known[process.name] = process, self.io.clock.monotonic()
        if name is None:
            log.info("Looked up what this token may start: %d processes.", len(found))
        else:
            log.info('Looked up the process "%s".', clean(name, 80))
        return found


def check_process(process: object) -> None:
    """Refuse what cannot name a process, before anything is sent."""
    if not isinstance(process, str | Process) and not is_id(process):
        words = "a process is named by its id (a number from 1), its name or a Process"
        raise InvalidData(f"process {short_repr(process)} cannot be: {words}")


def node_id_or_name(event: AnyEvent) -> str | None:
    """Return what names the start event."""
    named = event.id if isinstance(event, StartEvent) else event
    if named is not None:
        check_text("event", named)  # it is in the fingerprint
    return named


def find_process(process: int | str, among: Sequence[Process]) -> Process:
    """Return the process with that id, or with exactly that name.

    Raises:
        ProcessNotFound: there is none; the message has the nearest names.
    """
    for candidate in among:
        if process in (candidate.id, candidate.name):
            return candidate
    what, there = f"process {process} is not", f"there are: {shown(among) or 'none'}"
    hint: str | None = (
        "One that is inactive or has only timers is not listed. It is started by its id and its event's node id."
    )
    if isinstance(process, str):
        what = f'no process named "{process}" is'
        by_name = {item.name.casefold(): item for item in among}
        if close := get_close_matches(process.casefold(), by_name, n=3, cutoff=0.5):
            there, hint = f"nearest: {shown(by_name[name] for name in close)} (of {len(among)})", None
        if number := integer(process):
            hint = f"To start a process by its id, give a number: {number}"
    raise ProcessNotFound(f"{what} among those this token may start; {there}", processes=tuple(among), hint=hint)


def find_event(process: Process, event: str | None) -> StartEvent:
    """Return the start event with that id, or with exactly that name; with None, the only manual one.

    Raises:
        AmbiguousStartEvent: there are several.
        StartEventNotFound: there is none.
    """
    events = process.start_events
    where = f"process {shown([process])}"
    if event is None:
        which = "manual start event"
        found = [candidate for candidate in events if candidate.manual]
    else:
        which = f'start event "{event}"'
        found = [candidate for candidate in events if candidate.id == event]
        found = found or [candidate for candidate in events if candidate.name == event]
    if len(found) == 1:
        return found[0]
    if found:
        raise AmbiguousStartEvent(
            f"{where} has more than one {which}",
            hint=f"Give the node id of one, event=: {shown(found)}",
            start_events=events,
        )
    raise StartEventNotFound(
        f"{where} has no {which} that this token may use; it has {shown(events) or 'none'}",
        hint="Any start event can be started by its node id, event=.",
        start_events=events,
    )


SHOWN = 5
"""How many a message lists at most: it is to stay one line."""


def shown(items: Iterable[Process | StartEvent]) -> str:
    """Return `2 "Leave Request", 5 "Two Doors" and 3 more`: ids and names, as errors list them."""
    found = [f'{clean(item.id, 60)} "{clean(item.name, 80)}"' for item in items]
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return ", ".join(found[:SHOWN]) + more
