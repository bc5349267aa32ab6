"""`python -m processmaker.sandbox`: serve the sandbox, or show it at work."""

from __future__ import annotations

import argparse
import sys
import threading

from . import PASSWORD_CLIENT, Sandbox
from ._demo import demonstrate
from ._setup import set_up


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m processmaker.sandbox",
        description="An in-memory ProcessMaker on 127.0.0.1, to try things out. Each call is a line on standard error. "
        "Stop it with Ctrl-C.",
    )
    parser.add_argument("--port", type=int, help="port to listen on (default: 8765; 0: a free one)")
    parser.add_argument("--demo", action="store_true", help="lose an answer and find the Request, then stop")
    parser.add_argument(
        "--setup",
        metavar="FILE",
        help='JSON: {"processes": [what add_process takes], "faults": [what fail_next takes], "misbehave": {…}}',
    )
    parser.add_argument("--start-takes", type=float, metavar="SECONDS", help="how long a start takes (default: 0)")
    parser.add_argument(
        "--appears-after",
        type=float,
        metavar="SECONDS",
        help="how long after the call the Request is listed (default: with the answer)",
    )
    options = vars(parser.parse_args(arguments))
    if options.pop("demo"):
        sandbox = Sandbox()
        with sandbox.serve() as url:
            demonstrate(sandbox, url)
        return 0
    try:
        serve(**options)
    except ValueError as problem:
        print(problem, file=sys.stderr)
        return 2
    return 0


def serve(
    *,
    port: int | None = None,
    setup: str | None = None,
    start_takes: float | None = None,
    appears_after: float | None = None,
) -> None:
    """Serve a sandbox until Ctrl-C.

    Raises:
        ValueError: it cannot, and why.
    """
    sandbox = Sandbox(start_takes=start_takes or 0, appears_after=appears_after)
    port = 8765 if port is None else port
    if setup is not None:
        try:
            set_up(sandbox, setup)
        except OSError as problem:
            raise ValueError(f"{setup} cannot be read: {problem.strerror}") from None
    try:
        with sandbox.serve(port, log=_log) as url:
            print(about(sandbox, url), flush=True)
            threading.Event().wait()
    except KeyboardInterrupt:
        print()
    except (OSError, OverflowError) as problem:
        raise ValueError(f"cannot listen on port {port}: {getattr(problem, 'strerror', problem)}") from None


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def about(sandbox: Sandbox, url: str) -> str:
    """The text printed on start: address, users, processes and commands to try."""
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
                if not process.name.startswith("Bulk ")
            ),
            "  and Bulk 22 to Bulk 60, so that lists have several pages",
            "",
            "Try, in another shell:",
            f"  export PROCESSMAKER_URL={url}",
            f"  export PROCESSMAKER_TOKEN={sandbox.token()}",
            '  processmaker start "Leave Request" days:=3 --idempotency-key leave-2026-17',
            "",
            "Stop with Ctrl-C.",
        )
    )


if __name__ == "__main__":
    sys.exit(main())
