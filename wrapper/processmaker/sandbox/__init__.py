"""A ProcessMaker 4.15.5 in memory, to try things out and to test against.

It answers as a real server was observed to answer, also if that is surprising: a start without an event is 404, JSON
sent as a form is destroyed, a lost answer is not a lost start, other people's tasks are invisible. Nothing leaves the
machine.

    sandbox = Sandbox()
    with httpx.Client(transport=sandbox.transport(), base_url=sandbox.url) as client:
        client.get("/api/1.0/start_processes", headers={"Authorization": f"Bearer {sandbox.token()}"})

Its users are admin, integration.bot (no administrator), mail.user and reviewer. It has the processes 2 to 64 of the
server that was recorded: Leave Request, Two Steps, Scripted, Reviewed, Caller, Signal or Manual, Fan Out, Claim and so
on. `Sandbox(processes=SIMPLE_PROCESSES)` has 2 to 12 only, whose tasks belong to the user who started the Request, and
so does the pytest fixture. `add_process` adds more:

    sandbox.add_process("Order", tasks=["Enter", Task("Review", user="reviewer"), SubProcess("Pay", "Payment")])

`Sandbox(asynchronous=True)` runs scripts on a queue: a start answers at once, and the script ends later.

`python -m processmaker.sandbox` serves it on 127.0.0.1 for curl or another language, with a line for each call on
standard error. `--setup FILE` adds processes and faults, `--demo` shows it at work.

Faults, for `sandbox.fail_next(kind, times=1, on="POST /process_events")` and `sandbox.misbehave(rate=0.3)`:

{faults}

As a function, the sandbox raises httpx's exceptions. Behind a socket, a time-out is a connection that closes without an
answer, a refused or broken connection is a reset, and `slow` really takes its time.
`Sandbox(start_takes=0.15, appears_after=1.5)` lets a start take time, so that races can be tested.

It knows the calls that this package makes, and those that move a Request on: PUT /requests/{id} and its /retry and
/events. Any other call is 404.

Assumed, not recorded: a call without a token and without `Accept: application/json` is redirected to /login; a refresh
revokes the old access token, too; the 8,000 characters of a URL are counted exactly; a sub-process that was canceled
gives its data back like one that was completed.
"""

from ._faults import KINDS, Kind
from ._fixture import SandboxFixture
from ._model import (
    CatchEvent,
    Clock,
    File,
    Process,
    Request,
    Script,
    Started,
    StartEvent,
    SubProcess,
    Task,
    ThrowEvent,
    Token,
    User,
)
from ._objects import CREDENTIALS_CLIENT, PASSWORD_CLIENT, PROCESSES, SIMPLE_PROCESSES
from ._server import URL, Call, Sandbox
from ._transport import SandboxTransport

__all__ = [
    "CREDENTIALS_CLIENT",
    "KINDS",
    "PASSWORD_CLIENT",
    "PROCESSES",
    "SIMPLE_PROCESSES",
    "URL",
    "Call",
    "CatchEvent",
    "Clock",
    "File",
    "Kind",
    "Process",
    "Request",
    "Sandbox",
    "SandboxFixture",
    "SandboxTransport",
    "Script",
    "StartEvent",
    "Started",
    "SubProcess",
    "Task",
    "ThrowEvent",
    "Token",
    "User",
]

if __doc__:  # absent under python -OO
    __doc__ = __doc__.replace("{faults}", "\n".join(f"    {kind!r:17} {text}" for kind, text in KINDS.items()))
