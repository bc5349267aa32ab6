"""The demonstration: a start whose answer is lost on purpose."""

from __future__ import annotations

import logging
import sys

from .. import ProcessMaker
from ._server import Sandbox

KEY = "leave-2026-17"


def demonstrate(sandbox: Sandbox, url: str) -> None:
    """Start a Request, lose the answer, find it, start again, and follow it to its end; print each step."""
    log, handler = logging.getLogger("processmaker"), logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("  (log) %(message)s"))
    log.addHandler(handler)
    with ProcessMaker(url, token=sandbox.token()) as pm:

        def start() -> int:
            print(f'  pm.start("Leave Request", {{"days": 3}}, idempotency_key="{KEY}")')
            request = pm.start("Leave Request", {"days": 3}, idempotency_key=KEY)
            print(f"  -> Request {request.id}, {request.status}")
            return request.id

        print("A ProcessMaker in memory. Its answer to the next start will get lost on the way back.\n", flush=True)
        sandbox.fail_next("answer lost", on="POST /process_events")
        lost = start()
        print("  The server had made it. The client looked for the key, and found it.\n")

        print("The same job comes again, as job queues do:\n", flush=True)
        again = start()
        starts = [call for call in sandbox.calls if call.path.startswith("/process_events")]
        requests = sandbox.started("Leave Request")
        same = "the same" if again == lost else "another"
        print(f"  That is {same} Request. Starts sent: {len(starts)}. Requests on the server: {len(requests)}.\n")

        print("Somebody approves it, and it is followed to its end:\n", flush=True)
        for task in pm.tasks(again):
            pm.complete(task, {"approved": True})
            print(f'  pm.complete("{task.name}")')
        request = pm.wait(again)
        print(f"  -> Request {request.id}, {request.status}, {request.data}")
    log.removeHandler(handler)
