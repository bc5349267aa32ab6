"""What the sandbox does beyond the recordings: rules measured but not recorded, faults, its socket, its command."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
from command_line import mind_ctrl_c
from processmaker.sandbox import KINDS, PASSWORD_CLIENT, Clock, Kind, Sandbox, StartEvent
from processmaker.sandbox._setup import set_up

NEVER_PROCESSED = ["lost before", "refused", "token expired", 429, 500, 502, 503, 504]


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox(clock=Clock(datetime(2026, 11, 23, 22, 12, 30, tzinfo=UTC)))


@pytest.fixture
def bot(sandbox: Sandbox) -> Iterator[httpx.Client]:
    with client_of(sandbox) as client:
        yield client


@pytest.fixture
def admin(sandbox: Sandbox) -> Iterator[httpx.Client]:
    with client_of(sandbox, "admin") as client:
        yield client


def client_of(sandbox: Sandbox, username: str = "integration.bot", **settings: Any) -> httpx.Client:
    headers = {"Authorization": f"Bearer {sandbox.token(username)}", "Accept": "application/json"}
    return httpx.Client(transport=sandbox.transport(), base_url=f"{sandbox.url}/api/1.0", headers=headers, **settings)


def start(client: httpx.Client, data: object = None, process: int | str = 4, event: str = "node_1") -> httpx.Response:
    return client.post(f"/process_events/{process}", params={"event": event}, json=data)


def data_of(client: httpx.Client, data: object) -> Any:
    request_id = start(client, data).json()["id"]
    return client.get(f"/requests/{request_id}", params={"include": "data"}).json()["data"]


def found(client: httpx.Client, pmql: str) -> list[int]:
    answer = client.get("/requests", params={"pmql": pmql, "per_page": 500, "order_by": "id"})
    assert answer.status_code == 200, answer.text
    return [request["id"] for request in answer.json()["data"]]


def sign_in(sandbox: Sandbox, **form: str) -> httpx.Response:
    client_id, secret = PASSWORD_CLIENT
    form = {"client_id": client_id, "client_secret": secret, **form}
    return sandbox(httpx.Request("POST", f"{sandbox.url}/oauth/token", data=form))


def grant(sandbox: Sandbox) -> dict[str, Any]:
    answer = sign_in(sandbox, grant_type="password", username="integration.bot", password="bot-password")
    tokens: dict[str, Any] = answer.json()
    return tokens


def status_with(sandbox: Sandbox, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
    return sandbox(httpx.Request("GET", f"{sandbox.url}/api/1.0/requests", headers=headers)).status_code


# Data


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ([1, "two"], [1, "two"]),
        ("text", ["text"]),
        (5, [5]),
        (None, []),
        ({"empty": {}, "list": [{}]}, {"empty": [], "list": [[]]}),
        ({"deep": [{"a": " x ", "b": ""}]}, {"deep": [{"a": "x", "b": None}]}),
        ({"big": 2**63, "small": -(2**63)}, {"big": 2.0**63, "small": -(2**63)}),
        ({"flag": True, "half": 0.5}, {"flag": True, "half": 0.5}),
        ({"text": "a < b", "user": "{{_user.id}}"}, {"text": "a < b", "user": "_user.id"}),
        ({"_user": "me", "_request": "mine", "_other": 1, "seen": 2}, {"seen": 2}),
        ({"17": 1}, [1]),
        ({"a": {"17": 100, "01": 2, "-1": 3, "1.5": 4}}, {"a": [100, 2, 3, 4]}),
        ({"a": {"17": 100, "x": 1}, "b": [{"c": {"1": {"2": 3}}}]}, {"a": {"17": 100, "x": 1}, "b": [{"c": [[3]]}]}),
        ({"a": [1.0, -2.0, 1e15, 1e16, 0.5]}, {"a": [1, -2, 10**15, 10**16, 0.5]}),
        ({"a": [1e17, 1e300]}, {"a": [1e17, 1e300]}),
    ],
)
def test_data_reads_back_as_the_server_stores_it(bot: httpx.Client, sent: object, stored: object) -> None:
    found = data_of(bot, sent)
    assert found == stored
    assert json.dumps(found) == json.dumps(stored), "a whole number is no float"


def nested(levels: int) -> dict[str, Any]:
    inner: Any = 1
    for _ in range(levels - 1):
        inner = {"a": inner}
    return {"a": inner}


def test_json_nested_deeper_than_512_levels_becomes_empty_data(bot: httpx.Client) -> None:
    assert data_of(bot, nested(512)) == nested(512)
    assert data_of(bot, nested(513)) == []


def test_a_start_without_a_body_has_no_data(bot: httpx.Client, sandbox: Sandbox) -> None:
    assert bot.post("/process_events/4?event=node_1").status_code == 201
    assert sandbox.requests[0].data == {}


def test_hidden_data_can_be_seen_from_the_test(bot: httpx.Client, sandbox: Sandbox) -> None:
    start(bot, {"days": 3, "_idempotency_key": "k1"})

    assert sandbox.requests[-1].data == {"days": 3, "_idempotency_key": "k1"}


def test_data_of_a_completed_task_is_merged_into_the_request(bot: httpx.Client, sandbox: Sandbox) -> None:
    start(bot, {"days": 3, "reason": "Holiday"}, process=2)
    task = sandbox.requests[0].tasks[0]
    answer = bot.put(f"/tasks/{task.id}", json={"status": "COMPLETED", "data": {"days": 4}})

    assert answer.json()["status"] == "CLOSED"
    assert sandbox.requests[0].data == {"days": 4, "reason": "Holiday"}
    assert sandbox.requests[0].status == "COMPLETED"


@pytest.mark.parametrize(
    ("data", "status"),
    [({"a": 1}, 200), ({}, 200), ([], 200), (None, 200), ([1], 500), ("x", 500), (5, 500), (True, 500)],
)
def test_a_task_is_completed_with_an_object(bot: httpx.Client, sandbox: Sandbox, data: object, status: int) -> None:
    start(bot, {"days": 3}, process=2)
    answer = bot.put("/tasks/2", json={"status": "COMPLETED", "data": data})

    assert answer.status_code == status
    assert sandbox.requests[0].status == ("COMPLETED" if status == 200 else "ACTIVE")


# Starting


@pytest.mark.parametrize(
    ("username", "process", "status"),
    [("integration.bot", 2, 404), ("integration.bot", 8, 403), ("mail.user", 2, 403), ("admin", 8, 404)],
)
def test_without_an_event_the_right_to_start_is_looked_at_first(
    sandbox: Sandbox, username: str, process: int, status: int
) -> None:
    with client_of(sandbox, username) as client:
        assert client.post(f"/process_events/{process}", json={}).status_code == status


@pytest.mark.parametrize("process_id", ["-2", "2.0", "4f3c7a0e-1111-4222-8333-444455556666"])
def test_a_process_id_that_is_not_a_number_is_405(bot: httpx.Client, process_id: str) -> None:
    assert start(bot, process=process_id).status_code == 405


def test_a_leading_zero_and_a_leading_space_do_not_matter(bot: httpx.Client) -> None:
    assert start(bot, process="04", event=" node_1").json()["process_id"] == 4


def test_event_ids_are_case_sensitive(bot: httpx.Client) -> None:
    assert start(bot, event="Node_1").status_code == 403


def test_an_end_event_is_500_for_an_administrator_and_403_for_others(admin: httpx.Client, bot: httpx.Client) -> None:
    assert start(admin, event="node_end").status_code == 500
    assert start(bot, event="node_end").status_code == 403


def test_a_broken_process_creates_no_request(bot: httpx.Client, sandbox: Sandbox) -> None:
    assert start(bot, process=10).status_code == 500
    assert sandbox.requests == []


def test_without_accept_a_missing_token_redirects_to_the_login_page(sandbox: Sandbox) -> None:
    answer = sandbox(httpx.Request("POST", f"{sandbox.url}/api/1.0/process_events/2?event=node_1"))

    assert answer.status_code == 302
    assert answer.headers["location"] == f"{sandbox.url}/login"


def test_the_body_limit_can_be_set(bot: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.body_limit = 10

    assert start(bot, {"long": "enough"}).status_code == 413


@pytest.mark.parametrize(("accept", "content_type"), [("application/json", "application/json"), ("*/*", "text/html")])
def test_maintenance_answers_503_and_starts_nothing(
    bot: httpx.Client, sandbox: Sandbox, accept: str, content_type: str
) -> None:
    sandbox.maintenance = True
    answer = bot.post("/process_events/4?event=node_1", headers={"Accept": accept})

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
    assert answer.headers["content-type"] == content_type
    assert sandbox.requests == []


def test_any_other_route_is_404_in_json(bot: httpx.Client) -> None:
    answer = bot.get("/screens")

    assert (answer.status_code, answer.json()) == (404, {"error": "Not Found"})


def test_filter_finds_a_process_by_its_description(bot: httpx.Client) -> None:
    answer = bot.get("/start_processes", params={"filter": "CONTRACTORS"}).json()

    assert [process["id"] for process in answer["data"]] == [3]


def test_the_tag_of_start_processes_changes_with_the_processes(bot: httpx.Client, sandbox: Sandbox) -> None:
    tag = bot.get("/start_processes").headers["etag"]
    assert bot.get("/start_processes", headers={"If-None-Match": tag}).status_code == 304

    sandbox.add_process("Travel")
    assert bot.get("/start_processes", headers={"If-None-Match": tag}).status_code == 200


# Finding


@pytest.mark.parametrize(
    ("pmql", "ids"),
    [
        ('data.key = "A-1"', [1]),
        ('data.key = "a-1"', []),
        ('data.key = "A-1 "', [1]),
        ("data.key = 'A-1'", [1]),
        ('data.key IN ["A-1", "b:2", "none"]', [1, 2]),
        ('data.key != "A-1"', [2]),
        ('data.key LIKE "%-_"', [1]),
        ("data.order.size > 4", [2]),
        ('data.order.size = "5"', [2]),
        ('data.absent = "x"', []),
        ("process_id = 2", [1]),
        ("id = 3", [3]),
        ("id IN [1, 3]", [1, 3]),
        ('status = "In Progress"', [1, 3]),
        ('status = "active"', [1, 3]),
        ('status = "Completed"', [2]),
        ('status != "In Progress"', [2]),
        ('request = "Leave Request"', [1]),
        ('request LIKE "%o%"', [2, 3]),
        ('requester = "integration.bot"', [1, 2, 3]),
        ('data.key = "A-1" AND process_id = 4', []),
        ('data.key = "A-1" OR process_id = 4', [1, 2]),
        ("(id = 1 or id = 2) and process_id = 4", [2]),
        ("id = 1 OR id = 2 AND process_id = 4", [1, 2]),
    ],
)
def test_pmql_finds(bot: httpx.Client, pmql: str, ids: list[int]) -> None:
    start(bot, {"key": "A-1", "order": {"size": 4}}, process=2)
    start(bot, {"key": "b:2", "order": {"size": 5}}, process=4)
    start(bot, {}, process=5, event="node_web")

    assert found(bot, pmql) == ids


def test_pmql_finds_by_age(bot: httpx.Client, sandbox: Sandbox) -> None:
    start(bot)
    sandbox.clock.advance(86_400)
    start(bot)
    sandbox.clock.advance(86_400 + 1)
    start(bot)

    assert found(bot, "created < NOW") == [1, 2]
    assert found(bot, "created < NOW -2 day") == [1]
    assert found(bot, "created < NOW -48 hour") == found(bot, "created < NOW -2880 minute") == [1]
    assert found(bot, "created >= NOW -86401 second AND id > 1") == [2, 3]
    assert found(bot, 'created > "2026-11-24 22:12:30"') == [3]
    newest: dict[str, str | int] = {
        "pmql": "created < NOW -1 day",
        "order_by": "id",
        "order_direction": "desc",
        "per_page": 1,
    }
    assert [row["id"] for row in bot.get("/requests", params=newest).json()["data"]] == [2]


def test_type_all_is_for_administrators(bot: httpx.Client, admin: httpx.Client) -> None:
    statuses = [client.get("/requests", params={"type": "all"}).status_code for client in (bot, admin)]
    assert statuses == [500, 200]


@pytest.mark.parametrize(
    "pmql",
    [
        "created < NOW -2",
        "created < NOW -2 week",
        "created < NOW -99999999999 day",
        "id",
        "id =",
        "id = 1 AND",
        "(id = 1",
        'data.key NOT IN ["A-1"]',
        "id = 1)",
        "id = x",
        "parent_request_id = null",
        "parent_request_id IS NULL",
        "id 1",
        'data.k = "a',
        "(" * 2000,
    ],
)
def test_pmql_that_does_not_parse_is_400(bot: httpx.Client, pmql: str) -> None:
    answer = bot.get("/requests", params={"pmql": pmql})

    assert (answer.status_code, answer.json()) == (400, {"message": "Your PMQL contains invalid syntax."})


@pytest.mark.parametrize("key", ["order.1-2_3%:4", "it's 5", "Größe 日本", "x" * 255])
def test_these_keys_are_found(bot: httpx.Client, key: str) -> None:
    start(bot, {"_idempotency_key": key})

    assert found(bot, f'data._idempotency_key = "{key}"') == [1]


@pytest.mark.parametrize(
    ("key", "literal"), [('say "hi"', 'say \\"hi\\"'), ("back\\slash", "back\\\\slash"), ("x" * 256, "x" * 256)]
)
def test_these_keys_are_not_found(bot: httpx.Client, key: str, literal: str) -> None:
    start(bot, {"_idempotency_key": key})

    assert found(bot, f'data._idempotency_key = "{literal}"') == []


def test_the_first_255_characters_of_a_longer_value_are_found(bot: httpx.Client) -> None:
    start(bot, {"_idempotency_key": "x" * 300})

    assert found(bot, f'data._idempotency_key = "{"x" * 255}"') == [1]


@pytest.mark.parametrize(("keys", "status"), [(170, 200), (200, 414)])
def test_a_long_list_of_keys_makes_the_url_too_long(bot: httpx.Client, keys: int, status: int) -> None:
    wanted = ", ".join([f'"{"k" * 36}"'] * keys)

    assert bot.get("/requests", params={"pmql": f"data.key IN [{wanted}]"}).status_code == status


def test_others_requests_are_forbidden_and_not_listed(bot: httpx.Client, admin: httpx.Client) -> None:
    start(admin)

    assert bot.get("/requests/1").status_code == 403
    assert bot.get("/requests/2").status_code == 404
    assert bot.get("/requests").json()["data"] == []
    assert len(admin.get("/requests").json()["data"]) == 1


def test_requests_are_ordered_by_name_unless_told_otherwise(bot: httpx.Client) -> None:
    for process in (12, 4, 2):
        start(bot, process=process)

    def names(**params: str) -> list[str]:
        return [request["name"] for request in bot.get("/requests", params=params).json()["data"]]

    assert names() == ["Auto Approve", "Leave Request", "Two Steps"]
    assert names(order_by="id", order_direction="desc") == ["Leave Request", "Auto Approve", "Two Steps"]
    assert names(type="completed") == ["Auto Approve"]
    assert bot.get("/requests", params={"order_by": "no_such_column"}).status_code == 500


# Tasks, ends


def test_a_task_of_another_user_is_forbidden(bot: httpx.Client, admin: httpx.Client, sandbox: Sandbox) -> None:
    start(admin, process=2)
    task = sandbox.requests[0].tasks[0]

    assert bot.put(f"/tasks/{task.id}", json={"status": "COMPLETED"}).status_code == 403
    assert bot.get("/tasks").json()["data"] == []
    assert bot.get("/tasks/99").status_code == 404


def test_tasks_are_filtered_and_paged(bot: httpx.Client, sandbox: Sandbox) -> None:
    for _ in range(3):
        start(bot, process=2)
    sandbox.finish(1)

    active = bot.get("/tasks", params={"status": "ACTIVE", "per_page": 1}).json()
    assert (active["meta"]["total"], len(active["data"])) == (2, 1)
    closed = bot.get("/tasks", params={"process_request_id": 1, "status": "CLOSED"}).json()
    assert [task["element_name"] for task in closed["data"]] == ["Approve leave"]
    assert bot.get("/tasks", params={"process_request_id": 1, "status": "ACTIVE"}).json()["data"] == []


def test_a_task_becomes_overdue_after_three_days(bot: httpx.Client, sandbox: Sandbox) -> None:
    start(bot, process=2)
    sandbox.clock.advance(3 * 86_400 + 1)

    tasks = bot.get("/tasks").json()
    assert tasks["data"][0]["advanceStatus"] == "overdue"
    assert tasks["meta"]["in_overdue"] == 1


def test_only_an_administrator_may_cancel(bot: httpx.Client, admin: httpx.Client, sandbox: Sandbox) -> None:
    start(bot, process=2)
    refused = bot.put("/requests/1", json={"status": "CANCELED"})

    assert refused.status_code == 403
    assert refused.json() == {"message": "Not authorized to cancel this request."}
    assert admin.put("/requests/1", json={"status": "CANCELED"}).status_code == 204
    assert sandbox.requests[0].status == "CANCELED"


def test_requests_can_be_ended_from_the_test(bot: httpx.Client, sandbox: Sandbox) -> None:
    for _ in range(3):
        start(bot, process=2)
    sandbox.finish(1)
    sandbox.cancel(2)
    sandbox.fail(3, "Out of paper")

    shown = bot.get("/requests", params={"order_by": "id"}).json()["data"]
    assert [request["status"] for request in shown] == ["COMPLETED", "CANCELED", "ERROR"]
    assert shown[2]["errors"][0]["message"] == "Out of paper"
    assert shown[2]["errors"][0]["element_name"] == "Approve leave"


def test_processes_can_be_added(bot: httpx.Client, sandbox: Sandbox) -> None:
    added = sandbox.add_process(
        "Expenses", start_events=[StartEvent("web", "Web"), StartEvent("night", "Night", timer=True)], tasks=["Check"]
    )

    assert start(bot, process=added.id, event="web").json()["status"] == "ACTIVE"
    assert start(bot, process=added.id, event="night").status_code == 403
    assert [request.tasks[0].name for request in sandbox.started("Expenses")] == ["Check"]


def test_an_added_process_completes_at_once_without_tasks(bot: httpx.Client, sandbox: Sandbox) -> None:
    added = sandbox.add_process("Ping", id=77)

    assert start(bot, process=77).json()["status"] == "COMPLETED"
    assert added in sandbox.processes.values()


# Signing in


def test_an_access_token_expires(sandbox: Sandbox) -> None:
    sandbox.expires_in = 60
    tokens = grant(sandbox)
    assert (tokens["expires_in"], status_with(sandbox, tokens["access_token"])) == (60, 200)

    sandbox.clock.advance(60)
    assert status_with(sandbox, tokens["access_token"]) == 401


def test_refreshing_revokes_the_old_pair(sandbox: Sandbox) -> None:
    old = grant(sandbox)
    new = sign_in(sandbox, grant_type="refresh_token", refresh_token=old["refresh_token"]).json()

    assert status_with(sandbox, old["access_token"]) == 401
    assert status_with(sandbox, new["access_token"]) == 200
    again = sign_in(sandbox, grant_type="refresh_token", refresh_token=old["refresh_token"])
    assert (again.status_code, again.json()["hint"]) == (401, "Token has been revoked")


def test_the_sixty_first_try_within_a_minute_is_refused(sandbox: Sandbox) -> None:
    for _ in range(60):
        assert sign_in(sandbox, grant_type="password").status_code == 400
    sandbox.clock.advance(13)
    refused = sign_in(sandbox, grant_type="password")
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "47")

    sandbox.clock.advance(47)
    assert sign_in(sandbox, grant_type="password").status_code == 400


def test_an_unknown_grant_is_refused(sandbox: Sandbox) -> None:
    assert sign_in(sandbox, grant_type="magic").json()["error"] == "unsupported_grant_type"


def test_a_well_known_token_can_be_revoked(sandbox: Sandbox) -> None:
    sandbox.revoke(sandbox.token())

    assert status_with(sandbox, sandbox.token()) == 401
    assert status_with(sandbox, sandbox.token("admin")) == 200


# Faults


def test_the_kinds_of_faults_are_typed() -> None:
    assert get_args(Kind) == tuple(KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_fault_says_truly_whether_the_call_is_processed(sandbox: Sandbox, bot: httpx.Client, kind: Kind) -> None:
    sandbox.fail_next(kind)
    with suppress(httpx.TransportError):
        start(bot)

    assert len(sandbox.requests) == (0 if kind in NEVER_PROCESSED else 1)
    assert KINDS[kind].startswith("not processed" if kind in NEVER_PROCESSED else "processed")
    assert start(bot).status_code == 201


@pytest.mark.parametrize(
    ("kind", "exception"),
    [
        ("answer lost", httpx.ReadTimeout),
        ("lost before", httpx.ReadTimeout),
        ("reset", httpx.ReadError),
        ("refused", httpx.ConnectError),
        ("slow", httpx.ReadTimeout),
    ],
)
def test_a_fault_of_the_network_is_an_exception(
    sandbox: Sandbox, bot: httpx.Client, kind: Kind, exception: type[Exception]
) -> None:
    sandbox.fail_next(kind)

    with pytest.raises(exception):
        start(bot)
    assert sandbox.calls == [("POST", "/process_events/4", None)]


@pytest.mark.parametrize(
    ("kind", "status", "content_type"),
    [
        (429, 429, "application/json"),
        (500, 500, "application/json"),
        (502, 502, "text/html"),
        (503, 503, "application/json"),
        ("503 after", 503, "text/plain; charset=utf-8"),
        ("504 after", 504, "text/html"),
        ("html", 201, "text/html"),
        ("empty", 201, "application/json"),
        ("truncated", 201, "application/json"),
        ("token expired", 401, "application/json"),
    ],
)
def test_a_fault_of_a_server_is_an_answer(
    sandbox: Sandbox, bot: httpx.Client, kind: Kind, status: int, content_type: str
) -> None:
    sandbox.fail_next(kind, retry_after=7)
    answer = start(bot)

    assert (answer.status_code, answer.headers["content-type"]) == (status, content_type)
    assert answer.headers.get("retry-after") == ("7" if kind in (429, 503) else None)


def test_a_truncated_answer_ends_where_it_is_told_to(sandbox: Sandbox, bot: httpx.Client) -> None:
    sandbox.fail_next("truncated", at=20)

    assert len(start(bot).content) == 20


def test_a_slow_answer_arrives_if_the_client_waits_long_enough(sandbox: Sandbox) -> None:
    before = sandbox.clock.now()
    sandbox.fail_next("slow", seconds=30)
    with client_of(sandbox, timeout=31) as patient:
        assert start(patient).status_code == 201

    assert (sandbox.clock.now() - before).total_seconds() == 30


def test_an_expired_token_ends_the_tokens_of_grants_only(sandbox: Sandbox, bot: httpx.Client) -> None:
    token = grant(sandbox)["access_token"]
    sandbox.fail_next("token expired")

    assert start(bot).status_code == 401
    assert status_with(sandbox, token) == 401
    assert start(bot).status_code == 201


def test_a_fault_waits_for_the_call_it_is_meant_for(sandbox: Sandbox, bot: httpx.Client) -> None:
    sandbox.fail_next(502, times=2, on="POST /process_events")

    assert bot.get("/start_processes").status_code == 200
    assert [start(bot).status_code for _ in range(3)] == [502, 502, 201]


def test_an_unknown_fault_is_named_with_those_there_are(sandbox: Sandbox) -> None:
    with pytest.raises(ValueError, match="no fault 'lost'; there are: answer lost, reset"):
        sandbox.fail_next("lost")  # type: ignore[arg-type]


def test_misbehaviour_is_the_same_for_the_same_seed() -> None:
    def outcomes(seed: int) -> list[int | None]:
        sandbox = Sandbox()
        sandbox.misbehave(seed=seed, rate=0.5, on="POST")
        with client_of(sandbox) as bot:
            for _ in range(50):
                assert bot.get("/start_processes").status_code == 200
                with suppress(httpx.TransportError):
                    start(bot)
        return [call.status for call in sandbox.calls if call.method == "POST"]

    assert outcomes(1) == outcomes(1) != outcomes(2)
    assert 10 < sum(status != 201 for status in outcomes(1)) < 40


def test_behave_ends_faults_and_maintenance(sandbox: Sandbox, bot: httpx.Client) -> None:
    sandbox.misbehave(rate=1)
    sandbox.maintenance = True
    sandbox.behave()

    assert start(bot).status_code == 201


# Many at once, and other ways in


def test_ids_are_unique_when_many_threads_start(sandbox: Sandbox, bot: httpx.Client) -> None:
    with ThreadPoolExecutor(16) as pool:
        ids = list(pool.map(lambda _: start(bot, process=2).json()["id"], range(200)))

    assert sorted(ids) == list(range(1, 201))
    assert len({request.tasks[0].id for request in sandbox.requests}) == 200


def test_it_serves_an_async_client(sandbox: Sandbox) -> None:
    async def ask() -> int:
        headers = {"Authorization": f"Bearer {sandbox.token()}"}
        async with httpx.AsyncClient(transport=sandbox.transport(), headers=headers) as client:
            answer = await client.post(f"{sandbox.url}/api/1.0/process_events/4?event=node_1", json={"a": 1})
            return answer.status_code

    assert asyncio.run(ask()) == 201
    assert sandbox.requests[0].data == {"a": 1}


def test_it_serves_on_a_real_socket(sandbox: Sandbox) -> None:
    headers = {"Authorization": f"Bearer {sandbox.token()}", "Accept": "application/json"}
    with sandbox.serve() as url, httpx.Client(base_url=f"{url}/api/1.0", headers=headers, trust_env=False) as bot:
        assert start(bot, {"é": "日本"}).status_code == 201
        assert bot.post("/process_events/4?event=node_1", content=iter([b'{"chu', b'nked": 1}'])).status_code == 201
        tasks = bot.get("/tasks").json()
        assert tasks["meta"]["path"] == f"{url}/api/1.0/tasks"
        tag = bot.get("/start_processes").headers["etag"]
        assert bot.get("/start_processes", headers={"If-None-Match": tag}).status_code == 304
        assert bot.head("/start_processes").content == b""
        faults: dict[Kind, type[Exception]] = {
            "answer lost": httpx.RemoteProtocolError,
            "reset": httpx.ReadError,
            "refused": httpx.ReadError,
        }
        for kind, exceptions in faults.items():
            sandbox.fail_next(kind)
            with pytest.raises(exceptions):
                start(bot)
        sandbox.fail_next("html")
        assert "<html>" in start(bot).text

    with pytest.raises(httpx.ConnectError), httpx.Client(trust_env=False) as late:
        late.get(url)
    assert [request.data for request in sandbox.requests[:2]] == [{"é": "日本"}, {}]


@contextmanager
def socket_client(sandbox: Sandbox, **settings: Any) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {sandbox.token()}", "Accept": "application/json"}
    with (
        sandbox.serve() as url,
        httpx.Client(base_url=f"{url}/api/1.0", headers=headers, trust_env=False, **settings) as bot,
    ):
        yield bot


@pytest.mark.parametrize("host", ["attacker.example:{port}", "127.0.0.1:1", "127.0.0.1", "", "localhost.evil:{port}"])
def test_it_answers_no_other_host_than_its_own(sandbox: Sandbox, host: str) -> None:
    with socket_client(sandbox) as bot:
        port = bot.base_url.port
        refused = bot.get("/start_processes", headers={"Host": host.format(port=port)})
        allowed = bot.get("/start_processes", headers={"Host": f"LocalHost:{port}"})

    assert (refused.status_code, allowed.status_code) == (421, 200)


# A start takes effect between its call and its answer


def look(client: httpx.Client | httpx.AsyncClient) -> Any:
    return client.get("/requests", params={"pmql": 'data.key = "k"'})


def test_two_tasks_that_look_before_they_start_both_start(sandbox: Sandbox) -> None:
    async def start_once(client: httpx.AsyncClient) -> None:
        if not (await look(client)).json()["data"]:
            await client.post("/process_events/4?event=node_1", json={"key": "k"})

    async def both() -> None:
        headers = {"Authorization": f"Bearer {sandbox.token()}"}
        base_url = f"{sandbox.url}/api/1.0"
        async with httpx.AsyncClient(transport=sandbox.transport(), base_url=base_url, headers=headers) as client:
            await asyncio.gather(start_once(client), start_once(client))

    asyncio.run(both())
    assert len(sandbox.requests) == 2


def test_two_threads_that_look_before_they_start_both_start(sandbox: Sandbox, bot: httpx.Client) -> None:
    sandbox.start_takes = 0.15
    together = threading.Barrier(2)

    def start_once(_: int) -> None:
        together.wait()
        if not look(bot).json()["data"]:
            start(bot, {"key": "k"})

    with ThreadPoolExecutor(2) as pool:
        for before in range(0, 40, 2):
            list(pool.map(start_once, range(2)))
            if len(sandbox.requests) == 2:
                return
            assert len(sandbox.requests) <= 1, before
            sandbox.requests.clear()
    raise AssertionError("in twenty tries no two starts met")


def test_a_start_takes_its_time_and_appears_when_told(sandbox: Sandbox, bot: httpx.Client) -> None:
    sandbox.start_takes, sandbox.appears_after = 2, 5
    began = sandbox.clock.now()
    answer = start(bot, {"key": "k"})
    assert (sandbox.clock.now() - began).total_seconds() == 2
    assert datetime.fromisoformat(answer.json()["created_at"]) == began.replace(second=32)
    assert look(bot).json()["data"] == []

    sandbox.clock.advance(3)
    assert [row["id"] for row in look(bot).json()["data"]] == [1]


def test_a_start_goes_on_when_its_client_has_left(sandbox: Sandbox) -> None:
    sandbox.start_takes = 60
    with client_of(sandbox, timeout=10) as impatient:
        began = sandbox.clock.now()
        with pytest.raises(httpx.ReadTimeout):
            start(impatient)
        assert (sandbox.clock.now() - began).total_seconds() == 10
        assert sandbox.requests == []

    sandbox.clock.advance(50)
    assert [request.status for request in sandbox.requests] == ["COMPLETED"]


def test_a_start_goes_on_when_its_task_is_cancelled(sandbox: Sandbox) -> None:
    sandbox.start_takes = 60

    async def leave() -> None:
        headers = {"Authorization": f"Bearer {sandbox.token()}"}
        async with httpx.AsyncClient(transport=sandbox.transport(), headers=headers) as client:
            start = asyncio.create_task(client.post(f"{sandbox.url}/api/1.0/process_events/4?event=node_1"))
            while not sandbox.engine._agenda:
                await asyncio.sleep(0)
            start.cancel()

    asyncio.run(leave())
    assert sandbox.requests == []
    sandbox.clock.advance(60)
    assert len(sandbox.requests) == 1


def test_over_a_socket_a_start_really_takes_its_time(sandbox: Sandbox) -> None:
    sandbox.start_takes, sandbox.appears_after = 0.4, 0.1
    with socket_client(sandbox) as bot, ThreadPoolExecutor(1) as pool:
        began = time.monotonic()
        answer = pool.submit(start, bot, {"key": "k"})
        while not look(bot).json()["data"]:
            assert time.monotonic() - began < 10
        assert not answer.done(), "it is there before its answer"
        assert answer.result().status_code == 201
    assert time.monotonic() - began >= 0.4


# The command


def command(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "processmaker.sandbox", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": ""},
        preexec_fn=mind_ctrl_c,
    )


def test_the_command_serves_until_ctrl_c() -> None:
    with command("--port", "0", "--start-takes", "0.2") as process:
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        while "Ctrl-C" not in lines[-1]:
            lines.append(process.stdout.readline())
            assert lines[-1], "it ended"
        url = lines[0].split()[-1]
        answer = httpx.get(f"{url}/nowhere", trust_env=False)
        headers = {"Authorization": "Bearer sandbox-integration-bot-token"}
        began = time.monotonic()
        httpx.post(f"{url}/api/1.0/process_events/4?event=node_1", headers=headers, trust_env=False)
        took = time.monotonic() - began
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)

    assert answer.status_code == 404
    assert took >= 0.2
    assert any("sandbox-integration-bot-token" in line for line in lines)
    assert (process.returncode, [line.split()[1:] for line in errors.splitlines()]) == (
        0,
        [["GET", "/nowhere", "404"], ["POST", "/api/1.0/process_events/4?event=node_1", "201"]],
    )


def test_a_port_in_use_is_one_line_and_exit_code_2() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with command("--port", str(port)) as process:
            output, errors = process.communicate(timeout=30)

    assert (process.returncode, output) == (2, "")
    assert errors.startswith(f"cannot listen on port {port}: ")
    assert errors.count("\n") == 1


def test_the_demonstration_shows_that_a_lost_request_is_found_and_not_started_again() -> None:
    with command("--demo") as process:
        output, errors = process.communicate(timeout=30)

    assert (process.returncode, errors) == (0, "")
    assert output.count('pm.start("Leave Request", {"days": 3}, idempotency_key="leave-2026-17")') == 2
    assert "Whether the Request was started is not known yet." in output
    assert "That is the same Request. Starts sent: 1. Requests on the server: 1." in output
    assert output.endswith("-> Request 1, COMPLETED, {'days': 3, 'approved': True}\n")
    assert output.count("\n") <= 24  # half a screen


SETUP: dict[str, Any] = {
    "processes": [
        {"name": "Order", "tasks": ["Approve"], "start_events": [{"id": "node_web", "name": "From the web"}]}
    ],
    "faults": [{"kind": "answer lost", "on": "POST /process_events"}],
}


def test_the_served_sandbox_is_set_up_from_a_file_and_logs_each_call(tmp_path: Path) -> None:
    (tmp_path / "sandbox.json").write_text(json.dumps(SETUP))
    with command("--port", "0", "--setup", str(tmp_path / "sandbox.json")) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        while lines[-1] and "Ctrl-C" not in lines[-1]:
            lines.append(process.stdout.readline())
        exported = dict(line.split()[1].split("=") for line in lines if line.startswith("  export "))
        words = [sys.executable, "-m", "processmaker", "start", "Order", "--idempotency-key", "order-1", "--quiet"]
        done = subprocess.run(words, env=os.environ | exported, capture_output=True, text=True, check=False)
        process.send_signal(signal.SIGINT)
        _, log = process.communicate(timeout=30)

    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
    times, calls = zip(*(line.split(" ", 1) for line in log.splitlines()), strict=True)
    assert all(re.fullmatch(r"\d\d:\d\d:\d\d", time) for time in times)
    assert [call for call in calls if "POST" in call] == ["POST /api/1.0/process_events/65?event=node_web no answer"]
    assert re.fullmatch(r"GET /api/1\.0/requests\?\S*order-1\S* 200", calls[-1])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "sandbox.json: Expecting property name"),
        ("[]", "sandbox.json: 'list' object has no attribute 'items'"),
        ('{"proceses": [{}]}', "proceses[0]: there are only processes, faults and misbehave"),
        ('{"processes": [{"tasks": ["A"]}]}', "processes[0]: Sandbox.add_process() missing 1 required"),
        ('{"processes": [{"name": "Payroll"}]}', "processes[0]: there is a process 'Payroll'"),
        (
            '{"processes": [{"name": "A", "start_events": [{"name": "B"}]}]}',
            "processes[0]: StartEvent.__init__() missing",
        ),
        ('{"faults": [{"kind": "answer lost"}, {"kind": 418}]}', "faults[1]: no fault 418; there are: answer lost"),
        (
            '{"faults": [{"kind": 503, "time": 2}]}',
            "faults[0]: Sandbox.fail_next() got an unexpected keyword argument 'time'",
        ),
        ('{"misbehave": {"kinds": ["lost"]}}', "misbehave[0]: no fault 'lost'"),
    ],
)
def test_a_file_that_sets_up_nothing_is_told_by_its_place(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "sandbox.json").write_text(text)
    with pytest.raises(ValueError, match=re.escape(words)):
        set_up(Sandbox(), str(tmp_path / "sandbox.json"))


def test_a_file_that_is_not_there_is_one_line_and_exit_code_2() -> None:
    with command("--port", "0", "--setup", "nowhere.json") as process:
        output, errors = process.communicate(timeout=30)

    assert (process.returncode, output, errors.count("\n")) == (2, "", 1)
    assert "nowhere.json" in errors


def test_importing_processmaker_does_not_import_the_sandbox() -> None:
    script = "import json, sys, processmaker; print(json.dumps('processmaker.sandbox' in sys.modules))"
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout

    assert json.loads(output) is False


@pytest.mark.parametrize("on", ["POST /api/1.0/process_events", "POST /process_events", "/process_events", "POST"])
def test_a_fault_is_placed_by_method_and_path(sandbox: Sandbox, on: str) -> None:
    sandbox.fail_next(503, on=on)
    answer = sandbox(httpx.Request("POST", f"{sandbox.url}/api/1.0/process_events/4?event=node_1"))
    assert answer.status_code == 503


def test_what_was_started_of_an_unknown_process_is_a_mistake(sandbox: Sandbox) -> None:
    with pytest.raises(LookupError, match="no process 'Odrer'; there are: Auto Approve"):
        sandbox.started("Odrer")


@pytest.mark.parametrize(
    "arguments",
    [{"name": "Leave Request"}, {"id": 2}, {"tasks": "Approve"}, {"users": ["nobody"]}],
)
def test_a_process_that_contradicts_the_others_is_refused(sandbox: Sandbox, arguments: dict[str, Any]) -> None:
    with pytest.raises((ValueError, LookupError), match=r"already|not a list|no user"):
        sandbox.add_process(**{"name": "New", **arguments})


@pytest.mark.parametrize(
    "sent",
    [b"Content-Length: 20\r\n\r\n", b'Content-Length: 20\r\n\r\n{"days"', b"Transfer-Encoding: chunked\r\n\r\n14\r\n{"],
)
def test_a_client_that_is_gone_before_its_body_is_whole_starts_nothing(sandbox: Sandbox, sent: bytes) -> None:
    with sandbox.serve() as url, socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as connection:
        connection.sendall(
            b"POST /api/1.0/process_events/2?event=node_1 HTTP/1.1\r\nHost: "
            + url.removeprefix("http://").encode()
            + b"\r\nContent-Type: application/json\r\nAuthorization: Bearer "
            + sandbox.token().encode()
            + b"\r\n"
            + sent
        )
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100) == b""
    assert sandbox.requests == []
    assert sandbox.calls == []
