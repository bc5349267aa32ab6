"""Each error of the package as it really comes about, for the tests of what all of them have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from processmaker import (
    AmbiguousStartEvent,
    CancelNotAllowed,
    ConfigurationError,
    ConnectionFailed,
    ConnectionLost,
    Forbidden,
    IdempotencyKeyReused,
    InvalidData,
    JournalError,
    NotFound,
    PasswordGrant,
    ProcessMakerError,
    ProcessNotFound,
    RateLimited,
    Redirected,
    RequestCanceled,
    RequestFailed,
    ResponseError,
    ServerError,
    SignInError,
    SQLiteJournal,
    StartEventNotFound,
    StartOutcomeUnknown,
    TaskAlreadyClosed,
    TaskNotClosed,
    TimedOut,
    Unauthorized,
    UnreadableResponse,
    ValidationFailed,
    WaitTimeout,
)
from processmaker.sandbox import Sandbox

Make = Callable[..., Any]
"""Makes a client of the sandbox; its arguments are `ProcessMaker`'s, without the address."""

Scene = Callable[[Make, Sandbox], object]

WRONG = ("3", "wrong-client-secret", "integration.bot", "bot-password")

SCENES: dict[type[ProcessMakerError], Scene] = {}


def provokes(kind: type[ProcessMakerError]) -> Callable[[Scene], Scene]:
    def register(scene: Scene) -> Scene:
        SCENES[kind] = scene
        return scene

    return register


def provoked(kind: type[ProcessMakerError], make: Make, sandbox: Sandbox) -> ProcessMakerError:
    """An error of exactly that kind, from a client that `make` makes."""
    with pytest.raises(kind) as error:
        SCENES[kind](make, sandbox)
    assert type(error.value) is kind
    return error.value


def answered(sandbox: Sandbox, status: int, body: object = None, **headers: str) -> httpx.MockTransport:
    """A transport that gives this answer to everything but signing in."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/oauth/token":
            return sandbox(request)
        return httpx.Response(status, json=body, headers={**headers, "Set-Cookie": "session=sandbox-session-token"})

    return httpx.MockTransport(answer)


@provokes(ConfigurationError)
def a_closed_client(make: Make, _: Sandbox) -> None:
    pm = make()
    pm.close()
    pm.processes()


@provokes(InvalidData)
def data_that_json_does_not_have(make: Make, _: Sandbox) -> None:
    make().start(2, {"when": {1, 2}}, event="node_1")


@provokes(JournalError)
def a_journal_in_a_folder_that_is_not_there(_: Make, __: Sandbox) -> None:
    SQLiteJournal("/no such folder/starts.db")


@provokes(ProcessNotFound)
def an_unknown_name(make: Make, _: Sandbox) -> None:
    make().start("No such process")


@provokes(StartEventNotFound)
def an_unknown_event(make: Make, _: Sandbox) -> None:
    make().start("Leave Request", event="no such event")


@provokes(AmbiguousStartEvent)
def several_events(make: Make, _: Sandbox) -> None:
    make().start("Two Doors")


@provokes(StartOutcomeUnknown)
def a_start_whose_answer_gets_lost(make: Make, sandbox: Sandbox) -> None:
    sandbox.fail_next("reset", on="POST /process_events")
    make().start(2, {"days": 3}, event="node_1")


@provokes(IdempotencyKeyReused)
def a_key_used_again_with_other_data(make: Make, _: Sandbox) -> None:
    pm = make()
    pm.start(2, {"days": 3}, event="node_1", idempotency_key="leave-17")
    pm.start(2, {"days": 4}, event="node_1", idempotency_key="leave-17")


@provokes(RequestFailed)
def an_engine_that_fails(make: Make, sandbox: Sandbox) -> None:
    sandbox.add_process("Fails", fails_with="Class EmailProvider does not exist")
    make().start("Fails")


@provokes(RequestCanceled)
def waiting_for_a_canceled_request(make: Make, sandbox: Sandbox) -> None:
    pm = make()
    request = pm.start("Leave Request")
    sandbox.cancel(request.id)
    pm.wait(request)


@provokes(WaitTimeout)
def waiting_too_long(make: Make, _: Sandbox) -> None:
    pm = make()
    pm.wait(pm.start("Leave Request"), timeout=3)


@provokes(SignInError)
def a_wrong_client_secret(make: Make, _: Sandbox) -> None:
    make(token=None, auth=PasswordGrant(*WRONG)).processes()


@provokes(ConnectionFailed)
def a_server_that_refuses(make: Make, sandbox: Sandbox) -> None:
    sandbox.fail_next("refused", on="GET")
    make(retries=None).processes()


@provokes(ConnectionLost)
def a_connection_that_breaks(make: Make, sandbox: Sandbox) -> None:
    pm = make()
    request = pm.start("Leave Request")
    sandbox.fail_next("reset", on="PUT /tasks")
    pm.complete(pm.tasks(request)[0], {"approved": True})


@provokes(TimedOut)
def an_answer_that_does_not_come(make: Make, sandbox: Sandbox) -> None:
    sandbox.fail_next("answer lost", on="GET")
    make(retries=None).processes()


@provokes(ResponseError)
def a_question_that_cannot_be_read(make: Make, _: Sandbox) -> None:
    list(make().requests("status ((("))


@provokes(Redirected)
def a_redirect_to_the_login_page(make: Make, sandbox: Sandbox) -> None:
    make(transport=answered(sandbox, 302, Location=f"{sandbox.url}/login")).start(2, event="node_1")


@provokes(Unauthorized)
def a_refused_token(make: Make, sandbox: Sandbox) -> None:
    make(transport=answered(sandbox, 401, {"error": "Unauthenticated."})).processes()


@provokes(Forbidden)
def a_forbidden_process(make: Make, _: Sandbox) -> None:
    make().start(8, event="node_1")


@provokes(CancelNotAllowed)
def canceling_without_the_right_to(make: Make, _: Sandbox) -> None:
    pm = make()
    pm.cancel(pm.start("Leave Request"))


@provokes(NotFound)
def an_unknown_request(make: Make, _: Sandbox) -> None:
    make().get(4711)


@provokes(ValidationFailed)
def a_value_the_server_refuses(make: Make, sandbox: Sandbox) -> None:
    body = {"message": "The given data was invalid.", "errors": {"data": ["must be an array", "is odd"], "x": "no"}}
    make(transport=answered(sandbox, 422, body)).complete(1, {})


@provokes(TaskAlreadyClosed)
def completing_a_task_twice(make: Make, _: Sandbox) -> None:
    pm = make()
    (task,) = pm.tasks(pm.start("Leave Request"))
    pm.complete(task)
    pm.complete(task)


OPEN = {"id": 1, "element_name": "Approve leave", "process_request_id": 7, "status": "ACTIVE", "user_id": 5}


@provokes(TaskNotClosed)
def a_completion_that_does_not_take_effect(make: Make, sandbox: Sandbox) -> None:
    body = {**OPEN, "data": [OPEN], "meta": {"last_page": 1}}
    make(transport=answered(sandbox, 200, body)).complete(1)


@provokes(RateLimited)
def too_many_calls(make: Make, sandbox: Sandbox) -> None:
    sandbox.fail_next(429, on="GET", retry_after=7)
    make(retries=None).processes()


@provokes(ServerError)
def a_server_error(make: Make, sandbox: Sandbox) -> None:
    sandbox.fail_next(500, on="GET")
    make(retries=None).processes()


@provokes(UnreadableResponse)
def a_page_in_place_of_json(make: Make, sandbox: Sandbox) -> None:
    sandbox.fail_next("html", on="GET")
    make(retries=None).processes()
