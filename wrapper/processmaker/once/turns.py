"""One start at a time for each key within this process: who comes second waits for the first, and gets its Request.

The server has no lock, and a look cannot see a Request that is still being made. Whoever begins a start with a key
takes a turn, which ends however its start ended. The only lock guards the bookkeeping, and is never held while anything
is sent or awaited. What was sent in a turn is remembered until a look must show it: the next start reads that Request
by its id or, where what became of it is not known, looks for so long. Between processes a journal does this.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable
from typing import Any

from attrs import evolve, frozen

from ..clock import Clock
from ..fork import begins_anew
from ..models import Request
from ..wire.pending import Pending

SETTLED_AFTER = 60.0
"""Seconds from the sending of a start within which its Request shows, if there is to be one: nginx gives up on PHP
after 60 s unless it is configured otherwise, and a start takes 0.15 s (4.15.5)."""

MOST_KNOWN = 10_000
"""Starts whose Request is known that are remembered at most, about 300 bytes each."""

LONGEST_TURN = 120.0
"""Seconds to wait for another's turn at most."""

Place = tuple[Hashable, int, str]
"""The server, the id of the process, the key."""


class Turn(Pending[Request | None]):
    """One start with a key. Its result is the Request, or None where the next one has to look for itself.

    Args:
        place: what it is a turn for.
        body: the data that is sent.
    """

    def __init__(self, place: Place, body: dict[str, Any]) -> None:
        super().__init__()
        self.place = place
        self.body = body


@frozen
class Sent:
    """A start that was sent from this process.

    Args:
        clock, at: when, by which clock.
        request_id: what it made; None where that is not known.
    """

    clock: Clock
    at: float
    request_id: int | None

    @property
    def settles_in(self) -> float:
        """The seconds after which its Request shows in a look, if there is one; 0 once that must be so."""
        return settles_in(self.clock, self.at)


class _Table:
    def __init__(self) -> None:
        self.begin_anew()
        begins_anew(self)

    def in_child(self) -> None:
        """A child has none of the threads and tasks whose turns these are, and the lock may have been held."""
        self.begin_anew()

    def begin_anew(self) -> None:
        self.lock = threading.Lock()
        self.turns: dict[Place, Turn] = {}
        self.sent: dict[Place, Sent] = {}
        self.sweep_at = 64


_table = _Table()


def take(place: Place, body: dict[str, Any]) -> tuple[Turn, bool]:
    """The turn that is under way there, or a new one; and whether it is new, and so the caller's."""
    with _table.lock:
        if turn := _table.turns.get(place):
            return turn, False
        turn = _table.turns[place] = Turn(place, body)
        return turn, True


def end(turn: Turn, request: Request | None, sent: Sent | None) -> None:
    """Ends a turn.

    Args:
        turn: the caller's.
        request: what there is now, for those who wait; None where they have to look for themselves.
        sent: the start that was sent in it, if one was; not where it certainly did nothing.
    """
    with _table.lock:
        if _table.turns.get(turn.place) is turn:  # not so in a child that was forked meanwhile
            del _table.turns[turn.place]
        if sent:
            _table.sent[turn.place] = sent
        elif request and (before := _table.sent.get(turn.place)):
            _table.sent[turn.place] = evolve(before, request_id=request.id)
        if len(_table.sent) >= _table.sweep_at:
            _table.sent = _worth_keeping(_table.sent)
            _table.sweep_at = max(64, 2 * len(_table.sent))
    turn.set_result(request)


def _worth_keeping(sent: dict[Place, Sent]) -> dict[Place, Sent]:
    """What has not settled; of the starts whose Request is known, only the latest, as there may be a million."""
    recent = [(place, start) for place, start in sent.items() if start.settles_in]
    known = sum(start.request_id is not None for _, start in recent)
    kept: dict[Place, Sent] = {}
    for place, start in recent:
        if start.request_id is not None:
            known -= 1
            if known >= MOST_KNOWN:
                continue
        kept[place] = start
    return kept


def recently_sent(place: Place) -> Sent | None:
    """The last start sent from this process, for as long as a look may not show what it made."""
    with _table.lock:
        sent = _table.sent.get(place)
    return sent if sent and sent.settles_in else None


def settles_in(clock: Clock, sent_at: float) -> float:
    """The seconds after which a start that was sent then has shown up, if it ever will."""
    return min(max(sent_at + SETTLED_AFTER - clock.monotonic(), 0.0), SETTLED_AFTER)
