"""A start's dealings with the journal that callers share: who sends a key, and what the others do meanwhile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ..errors import Forbidden, JournalError, NotFound, ProcessMakerError, sentence
from ..journal.protocol import Entry, KeyedStart, new_owner
from ..log import log, of_request
from ..models import Request
from ..wire.call import IO
from ..wire.retry import BeingSent

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
"""Seconds between two looks into the journal; each pause is twice the one before."""

FIRST_LOOK, LONGEST_BETWEEN_LOOKS = 0.5, 4.0
"""Seconds between two looks at the server, which cost more; each pause is twice the one before."""

FRESH = 0.25
"""The part of the lease after which a start that is about to be sent is claimed anew."""


class Claim:
    """What one start says and hears in the journal.

    Args:
        io: with the journal.
        process_id, key: what is to be started.
    """

    def __init__(self, io: IO, process_id: int, key: str) -> None:
        self._io = io
        self._start = KeyedStart(io.site, process_id, key)
        self._owner = new_owner()
        self._claimed_at: float | None = None
        self._unsettled = False
        """Whether another caller's sending stands behind this claim, of which nothing is known yet."""

    async def settled(
        self,
        look: Callable[[], Awaitable[Request | None]],
        read: Callable[[int], Awaitable[Request]],
        renounced: Callable[[Request], bool],
        *,
        waits: bool = True,
    ) -> tuple[Request | None, bool]:
        """Waits until this start may send its key, or another one has started it.

        Args:
            look: looks for the key at the server, in case the other caller is dead.
            read: the Request of that id, if it is the key's.
            renounced: whether a Request that is there is to be no answer, so that a new one is started on purpose.
            waits: whether to wait at all.

        Returns:
            The Request, or None where this start is to send its key now; and then, whether it has to look for the key
            first, as it took over from another caller.

        Raises:
            JournalError: the journal failed; nothing was sent.
            ProcessMakerError: with `processed` None: another caller is still sending this key.
            BeingSent: it is, and this start does not wait.
        """
        clock = self._io.clock
        began = clock.monotonic()
        pause, look_at, between_looks = FIRST_PAUSE, began + FIRST_LOOK, 2 * FIRST_LOOK
        while True:
            entry = await self._claimed()
            if entry.mine:
                self._unsettled = entry.taken_over
                return None, entry.taken_over
            if entry.request_id is not None:
                request = await self._told(entry.request_id, read)
                if not renounced(request):
                    return request, False
                await self._io.step("forget", self._start, request_id=entry.request_id)
                continue
            if not waits:
                raise BeingSent(self._still_sent(entry), max(self._io.journal.lease - entry.silent_for, 0.0))
            now = clock.monotonic()
            if now >= look_at:
                look_at, between_looks = now + between_looks, min(2 * between_looks, LONGEST_BETWEEN_LOOKS)
                if (found := await look()) and not renounced(found):
                    await self.started(found.id)
                    return found, False
            if now - began > self._io.journal.lease + LONGEST_PAUSE:  # whoever is silent so long was taken over from
                raise self._still_sent(entry)
            await self._io.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def holds(self) -> bool:
        """Whether this start, which found nothing, may still send its key: a long look may have cost it the lease."""
        self._unsettled = False
        age = self._io.clock.monotonic() - (self._claimed_at or 0.0)
        return age < FRESH * self._io.journal.lease or (await self._claimed()).mine

    async def started(self, request_id: int) -> None:
        """Says as which Request the key was started. The start is not lost where the journal cannot be written."""
        try:
            await self._io.step("started", self._start, self._owner, request_id)
        except JournalError as error:
            words = "%s So it does not say yet that the key is Request %d; that is found at the server."
            log.warning(words, sentence(error), request_id, extra=of_request(request_id))

    async def release(self) -> None:
        """Takes the claim back: nothing was sent, or what was sent certainly was not processed."""
        if self._claimed_at is None or self._unsettled:
            return
        try:
            await self._io.step("release", self._start, self._owner)
        except JournalError as error:
            words = "%s So the key counts as being sent until the lease of %g s is over."
            log.warning(words, sentence(error), self._io.journal.lease)

    async def _claimed(self) -> Entry:
        self._claimed_at = self._io.clock.monotonic()  # before, as an answer that is lost may have claimed it
        entry: Entry = await self._io.step("claim", self._start, self._owner)
        if not entry.mine:
            self._claimed_at = None
        return entry

    async def _told(self, request_id: int, read: Callable[[int], Awaitable[Request]]) -> Request:
        way_out = "the journal's entry can be dropped: processmaker journal forget"
        try:
            return await read(request_id)
        except (NotFound, Forbidden) as error:
            error.likely_cause = (
                f"this key was started as Request {request_id}, says the journal, which is gone, or which this token "
                f"may not see. Where that is so for good, {way_out}."
            )
            raise
        except LookupError:
            raise JournalError(
                f'the journal says that the key "{self._start.key}" was started as Request {request_id}, and that '
                f"Request has another key; was the server's database replaced? Then {way_out}. Nothing was started.",
            ) from None

    def _still_sent(self, entry: Entry) -> ProcessMakerError:
        return ProcessMakerError(
            f'the key "{self._start.key}" is being sent by another caller, {entry.owner}, '
            f"who was heard {entry.silent_for:.0f} s ago",
            processed=None,
            transient=True,
        )
