"""What a real ProcessMaker said, through the wrapper: recordings are played, to their end, by both clients."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import httpx
import pytest
import yaml
from conftest import Connect
from listed import listed_tasks
from processmaker import (
    ConfigurationError,
    DataAlteredWarning,
    Forbidden,
    NotFound,
    PasswordGrant,
    ProcessMakerError,
    ProcessNotFound,
    RequestFailed,
    ResponseError,
    Retries,
    ServerError,
    SignInError,
    StartOutcomeUnknown,
    TaskAlreadyClosed,
    Unauthorized,
)
from processmaker.errors import error_of
from replay import CASSETTES, recordings, replayed

URL = "https://pm.example.com"

Scenario = Callable[[Any], None]

SCENARIOS: dict[tuple[str, ...], Scenario] = {}
"""What a user does, by the recordings that answer it."""


def scenario(*names: str) -> Callable[[Scenario], Scenario]:
    def register(play: Scenario) -> Scenario:
        SCENARIOS[names] = play
        return play

    return register


@scenario("start_active")
def a_start_gives_the_request(pm: Any) -> None:
    request = pm.start(2, {"days": 3, "reason": "Holiday"}, event="node_1")
    assert (request.id, request.status, request.name, request.process_id) == (1, "ACTIVE", "Leave Request", 2)
    assert (request.case_number, request.data, request.created, request.errors) == (1, None, True, ())
    assert request.created_at == datetime.fromisoformat(request.raw["created_at"])
    assert request.created_at.tzinfo is not None
    assert request.url == f"{URL}/requests/1"
    assert request.raw["process_version"]["start_events"][0]["assignedUsers"] == "3"


@scenario("start_active", "start_processes_filter")
def a_start_by_name_finds_its_event(pm: Any) -> None:
    assert pm.start("Leave Request", {"days": 3, "reason": "Holiday"}).id == 1


@scenario("start_completed")
def a_process_without_tasks_completes_at_once(pm: Any) -> None:
    request = pm.start(4, {"amount": 12.5}, event="node_1")
    assert request.status == "COMPLETED"
    assert request.completed_at is not None


@scenario("start_processes_filter_nothing", "start_processes_bot")
def a_name_that_does_not_exist_gets_the_others(pm: Any) -> None:
    with pytest.raises(ProcessNotFound, match='there are: 4 "Auto Approve"'):
        pm.start("No Such Process")


@scenario("start_second_event", "start_processes_bot")
def an_event_is_given_by_name(pm: Any) -> None:
    assert pm.start(5, {"from": "ana@example.com"}, event="From an email").name == "Two Doors"


@scenario("start_no_data")
def no_data_reads_back_as_an_empty_dict(pm: Any) -> None:
    request = pm.start(4, event="node_1")
    assert pm.get(request).data == {}


@scenario("start_inactive_process")
def an_inactive_process_starts_by_id(pm: Any) -> None:
    assert pm.start(9, event="node_1").name == "Retired"


@scenario("start_timer_event_by_hand")
def a_timer_start_event_starts_by_id(pm: Any) -> None:
    assert pm.start(6, event="node_timer").name == "Nightly Report"


@scenario("start_error_status")
def a_start_whose_engine_fails_keeps_the_request(pm: Any) -> None:
    with pytest.raises(RequestFailed, match="EmailProvider") as failure:
        pm.start(11, {"to": "x@example.com"}, event="node_1")
    request = failure.value.request
    assert (request.status, request.created, request.errors[0]["element_id"]) == ("ERROR", True, "node_1")
    assert pm.get(request).data == {"to": "x@example.com"}


@scenario("start_broken_process")
def a_500_leaves_the_outcome_unknown(pm: Any) -> None:
    with pytest.raises(StartOutcomeUnknown, match="500 Internal Server Error: Server Error"):
        pm.start(10, event="node_1")


@scenario("start_at_a_task_admin")
def a_start_at_a_task_leaves_the_outcome_unknown(pm: Any) -> None:
    with pytest.raises(StartOutcomeUnknown):
        pm.start(2, event="node_2")


@scenario("bad_gateway_502_html")
def a_502_leaves_the_outcome_unknown(pm: Any) -> None:
    with pytest.raises(StartOutcomeUnknown, match="502 Bad Gateway"):
        pm.start(4, {"n": 1}, event="node_1")


@scenario("start_bad_token")
def a_bad_token_is_unauthorized(pm: Any) -> None:
    with pytest.raises(Unauthorized, match="Unauthenticated"):
        pm.start(2, event="node_1")


@scenario("start_unauthenticated")
def no_token_is_unauthorized(pm: Any) -> None:
    with pytest.raises(Unauthorized) as failure:
        pm.start(2, event="node_1")
    assert failure.value.processed is False


@scenario("start_forbidden", "start_processes_bot")
def a_forbidden_process_says_what_may_be_started(pm: Any) -> None:
    with pytest.raises(Forbidden, match=r'process 8 is not among those .* 4 "Auto Approve"'):
        pm.start(8, event="node_1")


@scenario("start_unknown_process", "start_processes_bot")
def an_unknown_process_says_so(pm: Any) -> None:
    with pytest.raises(NotFound, match="process 999 is not among those this token may start"):
        pm.start(999, event="node_1")


@scenario("start_unknown_event", "start_processes_bot")
def an_unknown_event_is_told_from_a_forbidden_process(pm: Any) -> None:
    with pytest.raises(Forbidden, match=r'has no start event "node_99".* node_1 "Ask for leave"'):
        pm.start(2, event="node_99")


@scenario("start_unknown_event_admin", "start_processes_admin")
def an_unknown_event_is_told_from_an_unknown_process(pm: Any) -> None:
    with pytest.raises(NotFound, match='has no start event "node_99"'):
        pm.start(2, event="node_99")


@scenario("maintenance_503")
def maintenance_says_when_to_come_back(pm: Any) -> None:
    with pytest.raises(ServerError) as failure:
        pm.start(4, event="node_1")
    assert (failure.value.retry_after, failure.value.processed) == (60, False)


@scenario("payload_too_large_html")
def too_much_data_is_refused_by_the_web_server(pm: Any) -> None:
    with pytest.raises(ResponseError, match="413 Request Entity Too Large"):
        pm.start(4, {"x": "a..."}, event="node_1")


@scenario("start_with_idempotency_key")
def a_start_with_a_key_looks_first_and_is_found_afterwards(pm: Any) -> None:
    made = pm.start(2, {"days": 1}, event="node_1", idempotency_key="order-1234")
    assert (made.created, made.idempotency_key) == (True, "order-1234")
    found = pm.find("order-1234", process=2)
    assert (found.id, found.created, found.idempotency_key) == (made.id, False, "order-1234")


def started_with_key(pm: Any, n: object, key: str) -> int:
    """Starts 4 without the look that the client makes first; those recordings have none."""
    answer = pm.request("POST", "/process_events/4", params={"event": "node_1"}, json={"n": n, "_idempotency_key": key})
    return int(answer["id"])


@scenario("find_many_idempotency_keys")
def many_keys_are_looked_for_with_one_call(pm: Any) -> None:
    keys = ["batch-1", "batch-2", "batch-3"]
    ids = [started_with_key(pm, key, key) for key in keys]
    pmql = 'data._idempotency_key IN ["batch-1", "batch-2", "batch-3", "batch-4"] AND process_id = 4'
    found = {request.id: request.idempotency_key for request in pm.requests(pmql, include="summary")}
    assert found == dict(zip(ids, keys, strict=True))


@scenario("find_key_among_newer_requests")
def a_key_is_looked_for_among_newer_requests(pm: Any) -> None:
    first, second = (started_with_key(pm, n, f"window-{n}") for n in (1, 2))

    def found(key: str) -> list[int]:
        pmql = f'data._idempotency_key = "{key}" AND process_id = 4 AND id > {first}'
        return [request.id for request in pm.requests(pmql, include="summary")]

    assert (found("window-1"), found("window-2")) == ([], [second])


@scenario("newest_request_older_than")
def the_newest_request_older_than_a_given_age_is_one_call(pm: Any) -> None:
    newest = {"per_page": 1, "order_by": "id", "order_direction": "desc"}
    assert list(pm.requests("created < NOW -2 day", **newest)) == []
    assert next(iter(pm.requests("created < NOW -0 second", **newest))).id in (3, 4)


@scenario("start_keys_that_are_numbers")
def keys_that_are_all_numbers_do_not_read_back(pm: Any) -> None:
    data = {
        "prices": {"17": 100, "18": 250},
        "mixed": {"17": 100, "x": 1},
        "empty": {},
        "whole": 2.0,
        "rows": [{"2024": {"5": 1}}],
    }
    with pytest.warns(DataAlteredWarning) as warned:
        request = pm.start(4, data, event="node_1")
    there = {"prices": [100, 250], "mixed": {"17": 100, "x": 1}, "empty": [], "whole": 2, "rows": [[[1]]]}
    assert pm.get(request).data == there
    for place in ("data.prices (all", "data.empty ({} becomes []", "data.rows[*] (all", "data.rows[*][*] (all"):
        assert place in str(warned[0].message)
    summary = pm.get(request, include="summary").raw["summary"]
    assert {item["key"]: item["value"] for item in summary} == there


@scenario("start_all_keys_are_numbers")
def data_whose_keys_are_all_numbers_reads_back_as_a_list(pm: Any) -> None:
    with pytest.warns(DataAlteredWarning, match=r"data \(all keys are numbers: it reads back as a list"):
        request = pm.start(4, {"17": 1}, event="node_1")
    assert pm.get(request).raw["data"] == [1]


@scenario("complete_data_altered_by_server")
def a_completion_says_what_the_server_makes_of_its_data(pm: Any) -> None:
    request = pm.start(2, {"days": 3}, event="node_1")
    (task,) = listed_tasks(pm, request)
    data = {
        "html": "<b>bold</b>",
        "mustache": "hi {{name}}",
        "padded": " x ",
        "empty": "",
        "gone": "<p></p>",
        "_hidden": "h",
        "nested": {"html": "<i>lost</i>", "mustache": "{{y}}", "padded": " z ", "empty": ""},
        "list": ["<i>q</i>", {"k": "<p></p>"}],
        "none": None,
        "object": {},
        "whole": 1.0,
        "numbers": {"17": 100},
    }
    with pytest.warns(DataAlteredWarning) as warned:
        pm.complete(task, data)
    assert pm.get(request).data == {
        "days": 3,
        "html": "bold",
        "mustache": "hi name",
        "padded": " x ",
        "empty": "",
        "gone": "",
        "nested": {"html": "lost", "mustache": "y", "padded": " z ", "empty": ""},
        "list": ["q", {"k": ""}],
        "none": None,
        "object": [],
        "whole": 1,
        "numbers": [100],
    }
    message = str(warned[0].message)
    altered = [
        "html",
        "mustache",
        "gone",
        "_hidden",
        "nested.html",
        "nested.mustache",
        "list[*]",
        "list[*].k",
        "object",
        "numbers",
    ]
    assert re.findall(r"data\.(\S+) \(", message) == altered


@scenario("request_show")
def a_request_is_read_with_what_is_asked_for(pm: Any) -> None:
    assert pm.get(1, include=()).data is None
    assert pm.get(1).data == {"days": 3, "reason": "Holiday"}
    everything = pm.get(1, include=["data", "process", "user", "participants", "summary", "errors"])
    assert everything.raw["user"]["username"] == "integration.bot"


@scenario("request_unknown")
def an_unknown_request_is_not_found(pm: Any) -> None:
    with pytest.raises(NotFound):
        pm.get(99999, include=())


@scenario("follow_to_completion")
def a_request_is_followed_to_its_end(pm: Any) -> None:
    request = pm.start(12, {"title": "Laptop"}, event="node_1")
    assert pm.get(request).data == {"title": "Laptop"}
    (fill_in,) = listed_tasks(pm, request)
    assert (fill_in.name, fill_in.status, fill_in.request_id) == ("Fill in", "ACTIVE", request.id)
    assert pm.complete(fill_in, {"cost": 900}).status == "CLOSED"
    assert pm.get(request).data == {"title": "Laptop", "cost": 900}
    (review,) = listed_tasks(pm, request)
    pm.complete(review, {"approved": True})
    assert pm.get(request).finished
    with pytest.raises(TaskAlreadyClosed, match="Task already closed"):
        pm.complete(review)


@scenario("cancel")
def a_request_is_canceled(pm: Any) -> None:
    assert pm.cancel(pm.start(2, event="node_1")).status == "CANCELED"


@scenario("requests_list")
def a_list_is_read_page_after_page(pm: Any) -> None:
    four = list(islice(pm.requests(per_page=2, order_direction="desc"), 4))
    assert [request.id for request in four] == sorted((request.id for request in four), reverse=True)
    # The wrapper asks with PMQL; the third recorded question is put by hand.
    assert httpx.get(f"{URL}/api/1.0/requests?type=in_progress&per_page=2").is_success


@scenario("find_pmql_invalid")
def unreadable_pmql_is_an_error(pm: Any) -> None:
    with pytest.raises(ProcessMakerError, match="invalid syntax"):
        next(iter(pm.requests("bad ((", per_page=None, order_by=None, order_direction=None)))


@scenario("start_processes_bot")
def an_ordinary_user_sees_what_it_may_start(pm: Any) -> None:
    processes = {process.id: process for process in pm.processes()}
    assert set(processes) == {2, 3, 4, 5, 7, 12}
    assert [event.id for event in processes[7].start_events] == ["node_man"]


@scenario("start_processes_admin")
def an_administrator_sees_all_that_can_be_started(pm: Any) -> None:
    processes = {process.id: process for process in pm.processes()}
    assert set(processes) == {2, 3, 4, 5, 7, 8, 11, 12}
    timer_and_manual = [(event.id, event.manual) for event in processes[7].start_events]
    assert timer_and_manual == [("node_man", True), ("node_timer", False)]


PASSWORD = {
    "client_id": "3",
    "client_secret": "client-secret",
    "username": "integration.bot",
    "password": "bot-password",
}


@scenario("token_password_grant", "start_processes_bot")
def a_password_gives_a_token(pm: Any) -> None:
    assert pm.processes()


@scenario("token_wrong_password")
def a_wrong_password_is_said_once(pm: Any) -> None:
    with pytest.raises(SignInError, match="user credentials were incorrect") as failure:
        pm.processes()
    assert (failure.value.status_code, failure.value.code) == (400, "invalid_grant")


@scenario("token_wrong_client_secret")
def a_wrong_client_secret_is_said_once(pm: Any) -> None:
    with pytest.raises(SignInError, match="Client authentication failed") as failure:
        pm.processes()
    assert (failure.value.status_code, failure.value.code) == (401, "invalid_client")


@scenario("token_rate_limited")
def too_many_tries_say_when_to_come_back(pm: Any) -> None:
    with pytest.raises(SignInError) as failure:
        pm.processes()
    assert failure.value.status_code == 429
    assert failure.value.retry_after in (47, 53)


SIGN_IN: dict[str, dict[str, str]] = {
    "token_password_grant": {},
    "token_wrong_password": {"password": "wrong"},
    "token_rate_limited": {"password": "wrong"},
    "token_wrong_client_secret": {"client_secret": "wrong"},
}
"""The recordings that begin with a sign-in, and what is said differently there."""

NEVER_SENT = {
    "complete_with_data_that_is_no_object": "data that is no object",
    "process_show_admin": "GET /processes/{id}",
    "process_show_forbidden": "GET /processes/{id}",
    "processes_list_admin": "GET /processes",
    "processes_list_forbidden": "GET /processes",
    "requests_page_beyond_the_last": "a page beyond the last",
    "requests_type_all": "type=all",
    "start_data_altered_by_server": "an integer beyond 64 bits",
    "start_forbidden_without_event": "no event",
    "start_guide_curl_without_content_type": "no JSON content type",
    "start_guide_without_event": "no event",
    "start_guide_without_event_admin": "no event",
    "start_invalid_json": "invalid JSON",
    "start_process_id_not_a_number": "a process id that is not a number",
    "start_processes_etag": "If-None-Match",
    "token_client_credentials_not_accepted": "the client_credentials grant",
    "token_refresh_then_reuse": "a refresh token that was used before",
    "validation_error_422": "POST /processes",
}
"""Recordings of what the wrapper never sends, by what that is: their answers are checked one by one instead."""


def cases() -> list[Any]:
    """Each scenario in each version that has all of its recordings."""
    there = set(recordings())
    return [
        pytest.param(version, names, play, id=f"{version}-{play.__name__}")
        for names, play in SCENARIOS.items()
        for version in ("4.15.5", "4.12.2")
        if all((version, name) in there for name in names)
    ]


@pytest.mark.parametrize(("version", "names", "play"), cases())
def test_a_recording_is_played_through_the_wrapper(
    version: str, names: tuple[str, ...], play: Scenario, connect: Connect
) -> None:
    how: dict[str, Any] = {"token": "TEST-ACCESS-TOKEN"}
    if names[0] in SIGN_IN:
        how = {"auth": PasswordGrant(**PASSWORD | SIGN_IN[names[0]])}
    with replayed(version, *names):
        play(connect(URL, retries=Retries(), **how))


def test_no_recording_is_left_out() -> None:
    """Each recording of 4.15.5 is also played against the sandbox, by tests/sandbox/test_sandbox_contract.py."""
    played = {name for names in SCENARIOS for name in names} | set(NEVER_SENT)
    assert played <= {name for _, name in recordings()}
    assert {name for version, name in recordings() if version != "4.15.5"} <= played


@pytest.mark.parametrize(("version", "name"), recordings(*NEVER_SENT))
def test_an_answer_to_what_the_wrapper_never_sends_is_read_right(version: str, name: str) -> None:
    spoken = yaml.safe_load((CASSETTES / version / f"{name}.yaml").read_text())["interactions"]
    with replayed(version, name), httpx.Client() as client:
        for said in (interaction["request"] for interaction in spoken):
            headers = {field: values[0] for field, values in said["headers"].items()}
            response = client.request(said["method"], said["uri"], content=said["body"], headers=headers)
            error = error_of(
                response.status_code,
                response.reason_phrase,
                response.headers,
                response.content,
                method=said["method"],
                url=said["uri"],
                now=datetime.now(UTC),
            )
            assert (error is None) == response.is_success
            if error and response.content:
                body = json.loads(response.content)
                assert error.server_message in (body.get("message"), body.get("error"))
                assert error.status_code == response.status_code


def test_client_credentials_are_refused_with_the_reason() -> None:
    with pytest.raises(ConfigurationError, match="client_credentials"):
        PasswordGrant("2", "other-client-secret", "", "")
