"""What this token may start, and finding in it the process and the start event that a caller means."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
from .fork import begins_anew
from .log import log
from .models import Process, StartEvent, integer, is_id, process_from
from .wire.call import IO
from .wire.pages import PER_PAGE, read_list
from .wire.pending import Pending

REMEMBERED_FOR = 60.0
"""Seconds for which a listing is used again."""

LONGEST_WAIT = 30.0
"""Seconds to wait for the listing that another call has asked for."""

AnyProcess = int | str | Process
"""A process: its id, its exact name, or itself."""

AnyEvent = str | StartEvent | None
"""A start event: its node id, its exact name, or itself; None for the only manual one."""


class Catalog:
    """The processes that this token may start, remembered for a short while."""

    def __init__(self, io: IO) -> None:
        self._io = io
        # By what was asked for: a name, which the server narrows the list by, or None for the whole list.
        self._lists: dict[str | None, tuple[list[Process], float]] = {}
        self._looks: dict[str | None, Pending[None]] = {}
        begins_anew(self)

    def in_child(self) -> None:
        """A look under way is of a thread that is not here."""
        self._looks = {}

    async def listing(self) -> list[Process]:
        """The processes as they are now, for the caller to keep."""
        return list(await self._look(fresh=True))

    async def process_id(self, process: AnyProcess) -> int:
        """The id of a process; only a name makes it look.

        Raises:
            ProcessNotFound: no process of that name.
        """
        check_process(process)
        if isinstance(process, str):
            process = self._remembered(process) or await self._find(process)
        return process if isinstance(process, int) else process.id

    async def resolve(self, process: AnyProcess, event: AnyEvent) -> tuple[int, str]:
        """The ids that go on the wire. Looks only if one of them is missing.

        Raises:
            CannotStart: it is not clear what to start.
        """
        check_process(process)
        event = node_id_or_name(event)
        if isinstance(process, int) and event is not None and is_node_id(event):
            return process, event
        known = process if isinstance(process, Process) else self._remembered(process)
        if known is None:
            found = await self._find(process)
            return found.id, find_event(found, event).id
        try:
            return known.id, find_event(known, event).id
        except CannotStart as miss:
            # What is at hand or remembered may be old.
            try:
                found = await self._find(process, fresh=True)
            except ProcessNotFound:
                raise miss from None
        return found.id, find_event(found, event).id

    async def resolve_again(self, process: AnyProcess, event: AnyEvent, refused: tuple[int, str]) -> tuple[int, str]:
        """The ids that a fresh listing gives, after a start with the ids `refused` was answered with 403 or 404.

        Raises:
            CannotStart: the listing has no such process or start event; the message is the likely cause.
        """
        among = await self._look(fresh=True)
        named = process if isinstance(process, str) else refused[0]
        return find_both(named, node_id_or_name(event), among, tried=True)

    def _remembered(self, process: int | str) -> Process | None:
        for found, looked_at in self._lists.values():
            for candidate in found if self._is_fresh(looked_at) else ():
                if process in (candidate.id, candidate.name):
                    return candidate
        return None

    async def _find(self, process: AnyProcess, *, fresh: bool = False) -> Process:
        """The process as the server has it.

        Raises:
            ProcessNotFound: it is not there; the message has the nearest names of the whole list.
        """
        name = process.name if isinstance(process, Process) else process
        wanted = process.id if isinstance(process, Process) else process
        if isinstance(name, str):
            for candidate in await self._look(name, fresh=fresh):
                if wanted in (candidate.id, candidate.name):
                    return candidate
        return find_process(wanted, await self._look(fresh=fresh or self._list(None) is not None))

    async def _look(self, name: str | None = None, *, fresh: bool = False) -> list[Process]:
        """GET /start_processes, the only listing of processes that an ordinary user may read (observed on 4.15.5).

        With a name the server narrows it to those with that text in their name, description or category, which is
        faster where there are many.
        """
        if not fresh and self._list(name) is None and (other := self._looks.get(name)):
            await self._io.over(other, LONGEST_WAIT)  # if that fails, or takes longer, this call looks for itself
        if not fresh and (found := self._list(name)) is not None:
            return found

        def page(number: int) -> dict[str, Any]:
            return start_processes.build_request(
                filter_=name or UNSET, order_by="id", per_page=PER_PAGE, page=number if number > 1 else UNSET
            )

        look = self._looks[name] = Pending()
        try:
            found = [process async for process in read_list(self._io, page, process_from)]
            # Replaced, never changed: other threads may be reading it. The whole list is newer than its parts.
            lists = {} if name is None else {**self._lists}
            lists = {asked: seen for asked, seen in lists.items() if self._is_fresh(seen[1])}
            self._lists = {**lists, name: (found, self._io.clock.monotonic())}
        finally:
            if self._looks.get(name) is look:
                del self._looks[name]
            look.set_result(None)
        if name is None:
            log.info("Looked up what this token may start: %d processes.", len(found))
        else:
            log.info('Looked up the process "%s".', clean(name, 80))
        return found

    def _list(self, name: str | None) -> list[Process] | None:
        """What was last found for a name, if that is not too old."""
        found, looked_at = self._lists.get(name, ([], float("-inf")))
        return found if self._is_fresh(looked_at) else None

    def _is_fresh(self, looked_at: float) -> bool:
        return self._io.clock.monotonic() - looked_at <= REMEMBERED_FOR


def check_process(process: object) -> None:
    """Refuses what cannot name a process, before anything is sent."""
    if isinstance(process, bool) or not isinstance(process, int | str | Process):
        raise InvalidData(f"a process is named by its id, its name or a Process, not by {short_repr(process)}")
    if isinstance(process, int) and not is_id(process):
        raise InvalidData(f"process {short_repr(process)} cannot be: ids are numbers from 1, of 63 bits at most")
    if isinstance(process, str):
        check_text("process", process)


def node_id_or_name(event: object) -> str | None:
    """What names the start event; refuses what cannot, before anything is sent."""
    named = event.id if isinstance(event, StartEvent) else event
    if named is not None and not isinstance(named, str):
        raise InvalidData(f"a start event is named by its node id, name or a StartEvent, not by {short_repr(event)}")
    if named is not None:
        check_text("event", named)
    return named


def is_node_id(event: str) -> bool:
    """Whether it may be the id of a node in the process: an XML name, so without blanks."""
    return event.split() == [event]


UNLISTED = "One that is inactive or has only timers is not listed. It is started by its id and its event's node id."


def find_process(process: int | str, among: Sequence[Process], *, tried: bool = False) -> Process:
    """The one with that id, or with exactly that name; `tried` if a start by its ids was refused just now."""
    for candidate in among:
        if process in (candidate.id, candidate.name):
            return candidate
    what = f"process {process} is not" if isinstance(process, int) else f'no process named "{process}"'
    there = nearest(process, among)
    message = f"{what} among those this token may start; {there}"
    hint = None if tried or there.startswith("nearest: ") else UNLISTED
    if isinstance(process, str) and (number := integer(process)):
        hint = f"To start a process by its id, give a number: {number}"
    raise ProcessNotFound(message, processes=tuple(among), hint=hint)


def find_both(
    process: int | str, event: str | None, among: Sequence[Process], *, tried: bool = False
) -> tuple[int, str]:
    """The ids of the process and of its start event."""
    found = find_process(process, among, tried=tried)
    return found.id, find_event(found, event).id


def find_event(process: Process, event: str | None) -> StartEvent:
    """The start event with that id, or with exactly that name; with None, the only manual one."""
    events = process.start_events
    where = f"process {shown([process])}"
    if event is None:
        manual = [candidate for candidate in events if candidate.manual]
        if len(manual) == 1:
            return manual[0]
        if manual:
            raise AmbiguousStartEvent(
                f"{where} has several start events",
                hint=f"Name one with event=: {shown(manual)}",
                start_events=events,
            )
        raise StartEventNotFound(
            f"{where} has no manual start event that this token may use; it has {shown(events) or 'none at all'}",
            hint="Any other start event can be started by its node id, event=.",
            start_events=events,
        )
    by_name = [candidate for candidate in events if candidate.name == event]
    for candidate in events:
        if candidate.id == event:
            return candidate
    if len(by_name) == 1:
        return by_name[0]
    if by_name:
        raise AmbiguousStartEvent(
            f'{where} has several start events named "{event}"',
            hint=f"Give the node id: {shown(by_name)}",
            start_events=events,
        )
    message = f'{where} has no start event "{event}" that this token may use; it has {shown(events) or "none"}'
    raise StartEventNotFound(message, start_events=events)


SHOWN = 5
"""How many a message lists at most: it is to stay one line."""


def shown(items: Iterable[Process | StartEvent]) -> str:
    """`2 "Leave Request", 5 "Two Doors" and 3 more`: ids and names, as errors list them."""
    found = [f'{clean(item.id, 60)} "{clean(item.name, 80)}"' for item in items]
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return ", ".join(found[:SHOWN]) + more


def nearest(process: int | str, among: Sequence[Process]) -> str:
    """What may have been meant by a name, and how many more there are; for an id, only those: no id is near another."""
    by_name = {item.name.casefold(): item for item in among}
    named = process.casefold() if isinstance(process, str) else ""
    close = [by_name[name] for name in get_close_matches(named, by_name, n=3, cutoff=0.5)]
    if not close:
        return f"there are: {shown(among)}" if among else "there are none"
    more = f" (of {len(among)})" if len(among) > len(close) else ""
    return f"nearest: {shown(close)}{more}"
