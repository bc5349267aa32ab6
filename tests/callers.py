"""One of several callers of one server, for test_many_callers.py: starts each key it is given until it is answered.

    python tests/callers.py URL TOKEN JOURNAL KEY...

JOURNAL is a file, a redis:// address, or `none`. For each key that was answered it prints a line: the key and the id.
"""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from processmaker import Journal, ProcessMaker, ProcessMakerError, RedisJournal, Retries, SQLiteJournal

LEASE = 4.0


def journal_of(place: str) -> Journal | None:
    if place == "none":
        return None
    if place.startswith("redis://"):
        return RedisJournal.from_url(place, lease=LEASE)
    return SQLiteJournal(place, lease=LEASE)


def answered(pm: ProcessMaker, key: str) -> int:
    """As a job queue does it: what may work later is tried again later."""
    while True:
        try:
            return pm.start(4, {"key": key}, event="node_1", idempotency_key=key, look_again_for=1).id
        except ProcessMakerError as error:
            if not error.retryable:
                raise
            time.sleep(0.05)


def main(url: str, token: str, place: str, *keys: str) -> None:
    settings: dict[str, Any] = {"retries": Retries(attempts=2), "timeout": 5}
    if journal := journal_of(place):
        settings["journal"] = journal
    with ProcessMaker(url, token=token, **settings) as pm, ThreadPoolExecutor(8) as pool:

        def tell(key: str) -> None:
            os.write(sys.stdout.fileno(), f"{key} {answered(pm, key)}\n".encode())  # whole lines, whoever is killed

        list(pool.map(tell, keys))


if __name__ == "__main__":
    main(*sys.argv[1:])
