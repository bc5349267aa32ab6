"""Finding Requests by their idempotency keys: one key or many with one call, among those that are not too old.

A sub-process copies all data of its parent into a Request of its own, and a signal copies the data of its sender
(observed on 4.15.5). So a Request counts for a key only if it has no parent and if its fingerprint, if it has one,
names its own process.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from math import ceil
from urllib.parse import quote

from attrs import evolve

from ..clock import check_key_lifetime
from ..data import IDEMPOTENCY_KEY
from ..follow.reading import RequestQuery, listed
from ..models import Request
from ..processes import AnyProcess
from .key import check_key
from .state import ENDED_BADLY, Starts

KEYS_IN_ONE_CALL = 100
"""Keys that one call looks for at most; it is as fast as for one key (observed on 4.15.5)."""

URL_CHARACTERS = 6_000
"""Characters of a URL that those keys take at most: nginx refuses one beyond about 8,000 (observed on 4.15.5)."""


async def find_by_key(starts: Starts, process: AnyProcess, key: str, lifetime: timedelta | None) -> Request | None:
    """Check the arguments of `ProcessMaker.find`, and look."""
    check_key_lifetime(lifetime)
    process_id = await starts.catalog.process_id(process)
    found = await find_all(starts, process_id, [check_key(key)], lifetime=lifetime)
    return choose(found.get(key, ()))


async def find_all(
    starts: Starts,
    process_id: int,
    keys: Sequence[str],
    *,
    newer_than: int = 0,
    lifetime: timedelta | None = None,
    within: float | None = None,
    once: bool = False,
) -> dict[str, list[Request]]:
    """Return the Requests that count for each of these keys, by key.

    Args:
        starts: the starts of the client.
        process_id: the process that the Requests are of.
        keys: the idempotency keys.
        newer_than: only Requests with a larger id count.
        lifetime: how old a Request may be, in place of the client's setting.
        within: seconds for all calls together.
        once: do not retry a call that fails.
    """
    io = starts.io
    deadline = None if within is None else io.clock.monotonic() + within

    def left() -> float | None:
        return None if deadline is None else deadline - io.clock.monotonic()

    newer_than = max(newer_than, await newest_too_old(starts, lifetime, within=within, once=once))
    found: dict[str, list[Request]] = {}
    for block in split_keys(keys):
        # Always IN: the server rewrites a value after `=` that looks like a date (observed on 4.15.5).
        quoted = ", ".join(f'"{key}"' for key in block)
        newer = f" AND id > {newer_than}" if newer_than else ""
        query: RequestQuery = {
            "pmql": f"data.{IDEMPOTENCY_KEY} IN [{quoted}] AND process_id = {process_id}{newer}",
            "include": "summary",
            "per_page": 100,
            "order_by": "id",
        }
        rows = listed(io, query, check=lambda row: read_row(row, process_id), within=left(), once=once)
        async for request in rows:
            if request.id > newer_than and counts(request, process_id) and request.idempotency_key in block:
                found.setdefault(str(request.idempotency_key), []).append(request)
    return found


def read_row(row: Request, process_id: int) -> Request:
    """Return a row that a look-up found.

    Raises:
        ValueError: the row has no readable key. It may be the one that was looked for, so it must not pass for
            an absent one.
    """
    if row.process_id not in (None, process_id):
        raise ValueError(f"a Request of process {row.process_id}")
    if row.idempotency_key is None:
        raise ValueError(f"Request {row.id} without a summary that has its {IDEMPOTENCY_KEY}")
    return evolve(row, created=False)


def counts(request: Request, process_id: int) -> bool:
    """Return whether a Request with a key was started with that key, and is not the copy that another Request made."""
    if request.parent_request_id is not None:
        return False
    fingerprint = request.idempotency_fingerprint
    return fingerprint is None or fingerprint.partition(":")[0] == str(process_id)


def choose(requests: Iterable[Request]) -> Request | None:
    """Return the Request that answers a start: the oldest that did not end badly, else the newest."""
    ordered = sorted(requests, key=lambda request: request.id)
    alive = [request for request in ordered if request.status not in ENDED_BADLY]
    return alive[0] if alive else ordered[-1] if ordered else None


def split_keys(keys: Sequence[str]) -> list[Sequence[str]]:
    """Split the keys into parts that each fit into one call."""
    if len(keys) == 1 or (len(keys) <= KEYS_IN_ONE_CALL and len(quote(f"{keys}", safe="")) <= URL_CHARACTERS):
        return [keys]
    middle = len(keys) // 2
    return split_keys(keys[:middle]) + split_keys(keys[middle:])


async def newest_too_old(
    starts: Starts, lifetime: timedelta | None, *, within: float | None = None, once: bool = False
) -> int:
    """Return the id of the newest Request that is too old to be found, by the server's clock; 0 if there is none.

    A look among newer ids costs the same on a server of any size; a condition on the time would not (observed on
    4.15.5). This call takes a while on a large server (270 ms among 500,000 Requests), so its answer is remembered for
    a 24th of the client's lifetime of keys. A remembered id can only be too low: a look finds more than it has to.
    """
    age = starts.key_lifetime if lifetime is None else lifetime
    if age is None:
        return 0
    known, asked_at = starts.too_old
    now = starts.io.clock.monotonic()
    if lifetime is None and now - asked_at <= age.total_seconds() / 24:
        return known
    hours = ceil(age / timedelta(hours=1))
    query: RequestQuery = {
        "pmql": f"created < NOW -{hours // 24} day" if hours % 24 == 0 else f"created < NOW -{hours} hour",
        "order_by": "id",
        "order_direction": "desc",
        "per_page": 1,
    }
    newest = 0
    async for request in listed(starts.io, query, within=within, once=once):
        newest = request.id
        break
    if lifetime is None:
        starts.too_old = newest, now
    return newest
