"""A ProcessMaker 4.15.5 in memory, to try things out and to test against.

It answers as a real server was observed to answer, also where that surprises: a start without an event is
404, JSON sent as a form is destroyed, a lost answer is not a lost start. Nothing leaves the machine.

    sandbox = Sandbox()
    with httpx.Client(transport=sandbox.transport(), base_url=sandbox.url) as client:
        client.get("/api/1.0/start_processes", headers={"Authorization": f"Bearer {sandbox.token()}"})

On it are the users admin, integration.bot (not an administrator) and mail.user, and the processes Leave
Request, Leave Request Contractors, Auto Approve, Two Doors, Nightly Report, Nightly or Manual, Payroll,
Retired, Broken Flow, Mail Approval and Two Steps. `sandbox.add_process(...)` adds more.

`python -m processmaker.sandbox` serves it on 127.0.0.1 for curl or another language, with a line for each call on
standard error; `--setup FILE` adds processes and faults, `--demo` shows it at work.

Faults, for `sandbox.fail_next(kind, times=1, on="POST /process_events")` and `sandbox.misbehave(rate=0.3)`:

{faults}

As a function the sandbox raises httpx's exceptions; behind a socket a time-out is a connection that closes
without an answer, a refused or broken connection is a reset, and `slow` and `drip` really take their time.
`Sandbox(start_takes=0.15, appears_after=1.5)` lets a start take time, so that races can be tested.

Not recorded, but added so that the sandbox is whole: a call without a token and without `Accept: application/json`
is redirected to /login; a refresh revokes the old access token too; tasks belong to whoever started the Request;
an unknown column in `order_by` is 500; POST /processes creates a process once its name is valid; the 8,000
characters of a URL are counted exactly.
"""

from ._faults import KINDS, Kind
from ._fixture import SandboxFixture
from ._server import URL, Call, Sandbox
from ._state import CREDENTIALS_CLIENT, PASSWORD_CLIENT, Clock, Process, Request, Started, StartEvent, Task, User
from ._transport import SandboxTransport

__all__ = [
    "CREDENTIALS_CLIENT",
    "KINDS",
    "PASSWORD_CLIENT",
    "URL",
    "Call",
    "Clock",
    "Kind",
    "Process",
    "Request",
    "Sandbox",
    "SandboxFixture",
    "SandboxTransport",
    "StartEvent",
    "Started",
    "Task",
    "User",
]

if __doc__:  # absent under python -OO
    __doc__ = __doc__.replace("{faults}", "\n".join(f"    {kind!r:17} {text}" for kind, text in KINDS.items()))
