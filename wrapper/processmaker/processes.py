"""What this token may start, and finding in it the process and the start event that a caller means."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from typing import TypeVar

from processmaker_api.api.processes import start_processes

from .data import check_text
from .errors import (
    AmbiguousStartEvent,
    CannotStart,
    InvalidData,
    NoStartEvent,
    ProcessNotFound,
    StartEventNotFound,
    clean,
    in_words,
)
from .fork import begins_anew
from .log import log
from .models import Process, StartEvent, integer, is_id, items, process_from
from .wire.call import IO
from .wire.pending import Pending

T = TypeVar("T")

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
        self._processes: list[Process] = []
        self._looked_at = float("-inf")
        self._look: Pending[None] | None = None
        begins_anew(self)

    def in_child(self) -> None:
        """A look under way is of a thread that is not here."""
        self._look = None

    async def processes(self, *, fresh: bool = False) -> list[Process]:
        """GET /start_processes: the only listing that an ordinary user may read, whole in one answer (4.15.5)."""
        if not fresh and not self._remembered() and self._look:
            await self._io.over(self._look, LONGEST_WAIT)  # where it fails, or takes longer, this call looks for itself
        if fresh or not self._remembered():
            look = self._look = Pending()
            try:
                self._processes = await self._io.call(start_processes.build_request(), _read)
                self._looked_at = self._io.clock.monotonic()
            finally:
                if self._look is look:
                    self._look = None
                look.set_result(None)
            log.info("Looked up what this token may start: %d processes.", len(self._processes))
        return self._processes

    async def listing(self) -> list[Process]:
        """The processes as they are now, for the caller to keep."""
        return list(await self.processes(fresh=True))

    async def process_id(self, process: AnyProcess) -> int:
        """The id of a process; only a name makes it look.

        Raises:
            ProcessNotFound: no process of that name.
        """
        check_process(process)
        if isinstance(process, str):
            name = process
            process = await self._pick(lambda among: find_process(name, among))
        return process if isinstance(process, int) else process.id

    async def resolve(self, process: AnyProcess, event: AnyEvent) -> tuple[int, str]:
        """The ids that go on the wire. Looks only where one of them is missing.

        Raises:
            CannotStart: it is not clear what to start.
        """
        check_process(process)
        event = node_id_or_name(event)
        if isinstance(process, Process):
            return await self._resolve_value(process, event)
        if isinstance(process, int) and event is not None and is_node_id(event):
            return process, event
        return await self._pick(lambda among: find_both(process, event, among))

    async def _resolve_value(self, process: Process, event: str | None) -> tuple[int, str]:
        """The ids for a process whose start events are at hand; they may be old, so a miss is looked up."""
        try:
            return process.id, find_event(process, event).id
        except CannotStart as miss:
            try:
                return await self._pick(lambda among: find_both(process.id, event, among))
            except ProcessNotFound:
                raise miss from None

    async def resolve_again(self, process: AnyProcess, event: AnyEvent, refused: tuple[int, str]) -> tuple[int, str]:
        """The ids that a fresh listing gives, after a start with the ids `refused` was answered with 403 or 404.

        Raises:
            CannotStart: the listing has no such process or start event; the message is the likely cause.
        """
        among = await self.processes(fresh=True)
        named = process if isinstance(process, str) else refused[0]
        return find_both(named, node_id_or_name(event), among, tried=True)

    async def _pick(self, pick: Callable[[list[Process]], T]) -> T:
        """What `pick` finds in the listing; asked for afresh where a remembered one does not have it."""
        remembered = self._remembered()
        try:
            return pick(await self.processes())
        except CannotStart:
            if not remembered:
                raise
        return pick(await self.processes(fresh=True))

    def _remembered(self) -> bool:
        return self._io.clock.monotonic() - self._looked_at <= REMEMBERED_FOR


def _read(answer: object) -> list[Process]:
    return [process_from(item) for item in items(answer)]


def check_process(process: object) -> None:
    """Refuses what cannot name a process, before anything is sent."""
    if isinstance(process, bool) or not isinstance(process, int | str | Process):
        raise InvalidData(f"a process is named by its id, its name or a Process, not by {in_words(process)}")
    if isinstance(process, int) and not is_id(process):
        raise InvalidData(f"process {in_words(process)} cannot be: ids are numbers from 1, of 63 bits at most")
    if isinstance(process, str):
        check_text("process", process)


def node_id_or_name(event: object) -> str | None:
    """What names the start event; refuses what cannot, before anything is sent."""
    named = event.id if isinstance(event, StartEvent) else event
    if named is not None and not isinstance(named, str):
        raise InvalidData(f"a start event is named by its node id, its name or a StartEvent, not by {in_words(event)}")
    if named is not None:
        check_text("event", named)
    return named


def is_node_id(event: str) -> bool:
    """Whether it may be the id of a node in the process: an XML name, so without blanks."""
    return event.split() == [event]


UNLISTED = "One that is inactive or has only timers is not listed: it is started by its id and the node id of its event"


def find_process(process: int | str, among: Sequence[Process], *, tried: bool = False) -> Process:
    """The one with that id, or with exactly that name; `tried` where a start by its ids was refused just now."""
    for candidate in among:
        if process in (candidate.id, candidate.name):
            return candidate
    what = f"process {process} is not" if isinstance(process, int) else f'no process named "{process}"'
    message = f"{what} among those this token may start; {nearest(process, among)}"
    if not tried:
        message += f". {UNLISTED}"
    if isinstance(process, str) and (number := integer(process)):
        message += f". To start a process by its id, give a number: {number}"
    raise ProcessNotFound(message, processes=tuple(among))


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
                f"{where} has several start events; name one with event=: {shown(manual)}",
                start_events=events,
            )
        raise NoStartEvent(
            f"{where} has no manual start event that this token may use; it has {shown(events) or 'none at all'}. "
            "A timer start event starts when it is given by its node id, event=",
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
            f'{where} has several start events named "{event}"; give the node id: {shown(by_name)}',
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
