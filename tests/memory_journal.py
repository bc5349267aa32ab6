"""An async journal, as a user would write one: here, over a blocking one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

from processmaker.journal import Entry, Journal, KeyedStart


class AsyncOver:
    """The steps of a blocking journal, as coroutines."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    @property
    def lease(self) -> float:
        return self._journal.lease

    @lease.setter
    def lease(self, lease: float) -> None:
        self._journal.lease = lease

    async def reserve(self, starts: Sequence[tuple[KeyedStart, str]], *, replace: int | None = None) -> list[Entry]:
        return self._journal.reserve(starts, replace=replace)

    async def sending(self, start: KeyedStart, owner: str) -> bool:
        return self._journal.sending(start, owner)

    async def started(
        self, start: KeyedStart, owner: str, request_id: int, *, uuid: str | None = None, fingerprint: str | None = None
    ) -> bool:
        return self._journal.started(start, owner, request_id, uuid=uuid, fingerprint=fingerprint)

    async def unknown(self, start: KeyedStart, owner: str) -> bool:
        return self._journal.unknown(start, owner)

    async def release(self, start: KeyedStart, owner: str) -> bool:
        return self._journal.release(start, owner)

    async def read(self, start: KeyedStart) -> Entry | None:
        return self._journal.read(start)

    async def entries(self, *, started: bool = False) -> AsyncIterator[Entry]:
        for entry in self._journal.entries(started=started):
            yield entry

    async def forget(self, start: KeyedStart, *, request_id: int | None = None) -> bool:
        return self._journal.forget(start, request_id=request_id)

    async def prune(self, older_than: timedelta) -> int:
        return self._journal.prune(older_than)
