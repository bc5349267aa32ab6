"""Finding Requests by their idempotency keys: one key or many with one call, among those that are not too old."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from math import ceil
from urllib.parse import quote

from attrs import evolve

from ..data import IDEMPOTENCY_KEY
from ..follow.reading import RequestQuery, listed
from ..models import Request
from ..wire.call import IO

NOT_STARTED = ("ERROR", "CANCELED")
"""Status of a Request that is no answer to "did my order start?"."""

REMEMBERED_FOR = timedelta(hours=1)
"""How long it is remembered which Requests are too old; for less, where the lifetime of keys is short."""

IN_ONE_CALL = 100
"""Keys that one call looks for at most; it is as fast as for one key (observed on 4.15.5)."""

URL_CHARACTERS = 6_000
"""Characters of a URL that those keys take at most: nginx refuses one beyond about 8,000 (observed on 4.15.5)."""


async def find(
    io: IO,
    process_id: int,
    key: str,
    *,
    newer_than: int = 0,
    lifetime: timedelta | None = None,
    within: float | None = None,
    once: bool = False,
) -> Request | None:
    """The Request of that process that counts for that key, among those this token may see.

    That is the oldest one that has neither failed nor been canceled; where all have, the newest.

    Args:
        io: says how old a Request may be.
        process_id, key: what is looked for.
        newer_than: only Requests with an id above that.
        lifetime: in place of the client's.
        within: seconds.
        once: not again where it fails.
    """
    deadline = None if within is None else io.clock.monotonic() + within
    newer_than = max(newer_than, await _too_old(io, lifetime, within=within, once=once))
    within = None if deadline is None else deadline - io.clock.monotonic()
    found = await _found(io, process_id, f'= "{key}"', {}, newer_than=newer_than, within=within, once=once)
    return _counts([request for request in found if request.idempotency_key == key])


async def find_all(
    io: IO, process_id: int, keys: Sequence[str], *, newer_than: int | None = None
) -> dict[str, Request]:
    """The Requests that count for these keys, by key, as `find` finds them; as many calls as their length takes.

    Args:
        io, process_id, keys: as there.
        newer_than: only Requests with an id above that, in place of those that are young enough.
    """
    if not keys:
        return {}
    newer_than = await _too_old(io, None) if newer_than is None else newer_than
    found: dict[str, Request] = {}
    for block in blocks(keys):
        condition = "IN [" + ", ".join(f'"{key}"' for key in block) + "]"
        rows = await _found(io, process_id, condition, {"per_page": 100, "order_by": "id"}, newer_than=newer_than)
        for key in block:
            if counts := _counts([request for request in rows if request.idempotency_key == key]):
                found[key] = counts
    return found


def blocks(keys: Sequence[str]) -> Iterator[list[str]]:
    """The keys in parts of which each fits into one call."""
    block: list[str] = []
    characters = 0
    for key in keys:
        length = len(quote(f'"{key}", ', safe=""))
        if block and (len(block) == IN_ONE_CALL or characters + length > URL_CHARACTERS):
            yield block
            block, characters = [], 0
        block.append(key)
        characters += length
    if block:
        yield block


def key_of(request: Request) -> str:
    """The idempotency key in its summary. Raises ValueError where that does not come, or not with a key."""
    summary = request.raw.get("summary")
    for item in summary if isinstance(summary, list) else ():
        if isinstance(item, dict) and item.get("key") == IDEMPOTENCY_KEY and item.get("value") is not None:
            return str(item["value"])
    raise ValueError(f"Request {request.id} without a summary that has its {IDEMPOTENCY_KEY}")


async def _found(
    io: IO,
    process_id: int,
    condition: str,
    query: RequestQuery,
    *,
    newer_than: int,
    within: float | None = None,
    once: bool = False,
) -> list[Request]:
    """The Requests whose key fulfils a condition: the server's comparison may ignore case, as MySQL's does."""

    def check(row: Request) -> Request:
        if row.process_id not in (None, process_id):
            raise ValueError(f"a Request of process {row.process_id}")
        # Without its key it cannot be told from the one that is looked for: it is not an absent one.
        return evolve(row, idempotency_key=key_of(row), created=False)

    newer = f" AND id > {newer_than}" if newer_than else ""
    pmql = f"data.{IDEMPOTENCY_KEY} {condition} AND process_id = {process_id}{newer}"
    rows = listed(io, {"pmql": pmql, "include": "summary", **query}, check=check, within=within, once=once)
    return [request async for request in rows if request.id > newer_than]


def _counts(requests: Sequence[Request]) -> Request | None:
    """Of those with one key, the one that is the answer to a start."""
    started = [request.id for request in requests if request.status not in NOT_STARTED]
    counts = min(started) if started else max((request.id for request in requests), default=None)
    return next((request for request in requests if request.id == counts), None)


async def _too_old(io: IO, lifetime: timedelta | None, *, within: float | None = None, once: bool = False) -> int:
    """The newest Request that is older than a key may be, by the server's clock; 0 where there is none.

    It is one call, which takes a while on a large server (270 ms among 500,000 Requests, observed on 4.15.5). What is
    remembered can only become too low, so that a look finds more than it has to.
    """
    age = io.key_lifetime if lifetime is None else lifetime
    if age is None:
        return 0
    known, asked_at = io.too_old.get(age, (0, float("-inf")))
    now = io.clock.monotonic()
    if now - asked_at <= min(REMEMBERED_FOR, age / 24).total_seconds():
        return known
    hours = ceil(age / timedelta(hours=1))
    query: RequestQuery = {
        "pmql": f"created < NOW -{hours // 24} day" if hours % 24 == 0 else f"created < NOW -{hours} hour",
        "order_by": "id",
        "order_direction": "desc",
        "per_page": 1,
    }
    newest = 0
    async for request in listed(io, query, within=within, once=once):
        newest = request.id
        break
    io.too_old[age] = newest, now
    return newest
