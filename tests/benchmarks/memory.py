"""What `start_many` holds in memory, however many rows there are. Not a test; run it by hand:

    python tests/benchmarks/memory.py [ROWS …]

Each number of rows (1,000, 100,000 and 1,000,000, which takes a while) goes through a process of its own, from a
generator to a server that is a function in that process, with keys; the peak of that process counts.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from itertools import count

import httpx
from processmaker import ProcessMaker


def peak(rows: int) -> int:
    """Kilobytes that this process took at most, once it has started so many rows."""
    numbers = count(1)

    def server(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json={"data": [], "meta": {"last_page": 1}})
        body = json.loads(request.content)
        return httpx.Response(201, json={"id": next(numbers), "process_id": 4, "status": "ACTIVE", "data": body})

    with ProcessMaker("https://pm.example.com", token="t", transport=httpx.MockTransport(server)) as pm:
        given = ({"order": f"order-{number}", "amount": number} for number in range(rows))
        for outcome in pm.start_many(4, given, key="order", event="node_1"):
            if outcome.error:
                raise outcome.error
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        print(peak(int(sys.argv[2])))
        return
    first = None
    for rows in [int(number) for number in sys.argv[1:]] or [1_000, 100_000, 1_000_000]:
        done = subprocess.run(
            [sys.executable, __file__, "--one", str(rows)], capture_output=True, text=True, check=True
        )
        megabytes = int(done.stdout) / 1024
        first = first or megabytes
        print(f"{rows:>9,} rows: {megabytes:6.1f} MB at the peak, {megabytes - first:+.1f} MB", flush=True)


if __name__ == "__main__":
    main()
