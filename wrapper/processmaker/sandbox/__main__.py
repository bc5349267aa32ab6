"""`python -m processmaker.sandbox`: serve the sandbox, or show it at work."""

from __future__ import annotations

import argparse
import sys
import threading
from typing import Any

from .._clock import is_seconds
from . import PASSWORD_CLIENT, Sandbox

DEMO = """\
from processmaker import ProcessMaker
pm = ProcessMaker(url, token=token)
[process.name for process in pm.processes()]
request = pm.start("Leave Request", {"days": 3})
print(request.id, request.status, request.url)
[task] = pm.tasks(request)
task
pm.complete(task, {"approved": True})
pm.get(request).status
pm.close()
"""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m processmaker.sandbox",
        description="An in-memory ProcessMaker on 127.0.0.1, to try things out. Stop it with Ctrl-C.",
    )
    parser.add_argument("--port", type=int, default=None, help="port to listen on (default: 8765; 0: a free one)")
    parser.add_argument("--demo", action="store_true", help="start a Request with the Python client, then stop")
    parser.add_argument("--start-takes", type=_seconds, default=0, metavar="SECONDS", help="how long a start takes")
    parser.add_argument(
        "--appears-after",
        type=_seconds,
        metavar="SECONDS",
        help="how long after the call the Request is listed (default: with the answer)",
    )
    options = parser.parse_args(arguments)
    sandbox = Sandbox(start_takes=options.start_takes, appears_after=options.appears_after)
    port = options.port if options.port is not None else 0 if options.demo else 8765
    try:
        with sandbox.serve(port) as url:
            if options.demo:
                demonstrate(url, sandbox.token())
            else:
                print(about(sandbox, url), flush=True)
                threading.Event().wait()
    except KeyboardInterrupt:
        print()
    except (OSError, OverflowError) as problem:
        print(f"cannot listen on port {port}: {problem}", file=sys.stderr)
        return 2
    return 0


def _seconds(text: str) -> float:
    if not is_seconds(seconds := float(text)):
        raise ValueError(text)
    return seconds


def about(sandbox: Sandbox, url: str) -> str:
    """What one needs to know to use it."""
    client_id, secret = PASSWORD_CLIENT
    return "\n".join(
        (
            f"ProcessMaker sandbox on {url}",
            "",
            "Users (user name, password, token):",
            *(f"  {user.username:16} {user.password:15} {user.token}" for user in sandbox.users.values()),
            f"OAuth client for the password grant: client_id {client_id}, client_secret {secret}",
            "",
            "Processes (id, name, start events):",
            *(
                f"  {process.id:2} {process.name:26} {', '.join(event.id for event in process.start_events)}"
                for process in sandbox.processes.values()
            ),
            "",
            "Try:",
            f"  curl -s '{url}/api/1.0/process_events/2?event=node_1' -H 'Accept: application/json' \\",
            f"    -H 'Content-Type: application/json' -H 'Authorization: Bearer {sandbox.token()}' \\",
            """    -d '{"days": 3}'""",
            "",
            "Stop with Ctrl-C.",
        )
    )


def demonstrate(url: str, token: str) -> None:
    """Run the lines of DEMO as an interactive Python would, printing each with its result."""
    names: dict[str, Any] = {"url": url, "token": token}
    for line in DEMO.splitlines():
        print(f">>> {line}", flush=True)
        exec(compile(line, "<demo>", "single"), names)


if __name__ == "__main__":
    sys.exit(main())
