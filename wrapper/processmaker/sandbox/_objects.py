"""The users and processes of the server that the recordings were made on."""

from __future__ import annotations

from ._model import CatchEvent, Process, Script, StartEvent, SubProcess, Task, ThrowEvent, User

PASSWORD_CLIENT = ("3", "client-secret")
"""OAuth client id and secret for the password and refresh_token grants."""
CREDENTIALS_CLIENT = ("2", "other-client-secret")
"""OAuth client id and secret for the client_credentials grant, whose tokens the API refuses."""


def users() -> list[User]:
    """New users for one sandbox."""
    admin_zone = "America/Los_Angeles"
    return [
        User(1, "admin", "admin-password", "Admin", "User", "admin@processmaker.com", True, admin_zone),
        User(3, "integration.bot", "bot-password", "Integration", "Bot", "bot@example.com"),
        User(4, "mail.user", "mail-password", "Mail", "User", "mail@example.com"),
        User(5, "reviewer", "reviewer-password", "Rita", "Reviewer", "reviewer@example.com"),
    ]


SIGNALS = {"order-arrived": "sig_order"}
"""The ids of signals, by name. Others get an id made from their name."""

_START = (StartEvent("node_1", "Start"),)
_ASK = (StartEvent("node_1", "Ask for leave"),)
_NIGHT = StartEvent("node_timer", "Every night", timer=True)
_APPROVE = (Task("Approve leave", id="node_2"),)
_NO_EMAIL = 'Class "ProcessMaker\\Packages\\Connectors\\ActionsByEmail\\EmailProvider" not found'

SIMPLE_PROCESSES = (
    Process(2, "Leave Request", "Ask for days off", _ASK, _APPROVE),
    Process(3, "Leave Request Contractors", "Ask for days off, contractors", _ASK, _APPROVE, bpmn_name="Leave Request"),
    Process(4, "Auto Approve", "Approves at once", _START),
    Process(
        5,
        "Two Doors",
        "Has two start events",
        (StartEvent("node_web", "From the web"), StartEvent("node_mail", "From an email")),
        (Task("Handle", id="node_2"),),
    ),
    Process(6, "Nightly Report", "Timer start only", (_NIGHT,), users=()),
    Process(7, "Nightly or Manual", "Timer start and a manual one", (_NIGHT, StartEvent("node_man", "By hand"))),
    Process(8, "Payroll", "Only administrators may start it", _START, users=()),
    Process(9, "Retired", "An inactive process", _START, status="INACTIVE"),
    Process(10, "Broken Flow", "Invalid BPMN", _START, broken=True),
    Process(
        11,
        "Mail Approval",
        "First task sends an email",
        _ASK,
        _APPROVE,
        users=(4,),
        bpmn_name="Leave Request",
        fails_with=_NO_EMAIL,
    ),
    Process(12, "Two Steps", "Two tasks in a row", _START, (Task("Fill in", id="node_a"), Task("Review", id="node_b"))),
)
"""Processes of the requester's own tasks, as on the server of the first recordings."""

_PARTS = tuple(Task(f"Part {number}", id=f"node_t{number}") for number in range(1, 16))
_CLAIM = Task("Claim me", claimable_by=("integration.bot", "reviewer"), id="node_t")
_REVIEW_TWICE = (Task("Fill in", id="node_a"), Task("Review", user="reviewer", id="node_b"))
_BY_HAND_OR_SIGNAL = (StartEvent("node_1", "By hand"), StartEvent("node_9", "Order arrived", signal="order-arrived"))

PROCESSES = (
    *SIMPLE_PROCESSES,
    Process(
        13,
        "Scripted",
        "A script of two seconds",
        _START,
        (Script("Run script", 2, {"scripted": True}, id="node_s"),),
    ),
    Process(14, "Reviewed", "Its task is of another user", _START, (Task("Review", user="reviewer", id="node_t"),)),
    Process(15, "Caller", "Calls Auto Approve", _START, (SubProcess("Call", "Auto Approve", id="node_c"),)),
    Process(16, "Signal or Manual", "Starts by hand or by a signal", _BY_HAND_OR_SIGNAL),
    Process(17, "Fan Out", "Fifteen tasks at once", _START, (_PARTS,)),
    Process(18, "Claim", "A self-service task", _START, (_CLAIM,)),
    Process(
        19,
        "Script Fails",
        "A script that fails",
        _START,
        (Script("Run script", 1, {"scripted": True}, "script exploded", id="node_s"),),
    ),
    Process(20, "Reviewed Twice", "A task of the requester, then one of another user", _START, _REVIEW_TWICE),
    Process(21, "Waits for a Message", "Waits at an intermediate event", _START, (CatchEvent("Paid", id="node_x"),)),
    *(Process(number, f"Bulk {number}", "Plain", _START) for number in range(22, 61)),
    Process(
        61, "Sends the Signal", "Throws order-arrived", _START, (ThrowEvent("Send", "order-arrived", id="node_s"),)
    ),
    Process(
        62,
        "Waits for a Signal",
        "Waits for order-arrived",
        _START,
        (CatchEvent("Order arrived", "order-arrived", id="node_x"),),
    ),
    Process(63, "Calls the Reviewed", "Calls Reviewed", _START, (SubProcess("Call", "Reviewed", id="node_c"),)),
    Process(64, "Calls and Waits", "Calls Leave Request", _START, (SubProcess("Call", "Leave Request", id="node_c"),)),
)
"""Those and the later ones, as on the server of the recordings of several users."""
