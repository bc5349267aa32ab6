"""Every exchange recorded on ProcessMaker 4.15.5, played against the sandbox: it answers the same.

Recordings that were made on one server are played on one sandbox, in their order, so that ids are the recorded ones.
Compared are the status, which headers there are, and the whole body, except for what PERMITTED and LEFT_OUT list. The
sandbox does not know the calls that no method of the client makes: NOT_SERVED.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
import yaml
from processmaker.sandbox import PROCESSES, SIMPLE_PROCESSES, Clock, Sandbox, Script

CASSETTES = Path(__file__).parents[1] / "cassettes"
NAMES = sorted(path.stem for path in CASSETTES.glob("4.15.5/*.yaml"))
NOT_SERVED = re.compile(r"/api/1\.0/(processes(/\d+)?|users|signals|files/\d+(/contents)?)")
"""Calls that no method of the client makes. The sandbox answers 404."""
LEFT_OUT = {
    *("links", "parent_request", "process_collaboration_id", "collaboration", "process_version", "process_version_id"),
    *("process_version_alternative", "signal_events", "properties", "warnings", "password_changed_at"),
    *("remember_token", "type"),
}
"""What no client reads, and the sandbox does not send. `type` is that of each value in a summary."""
ENGINES_OWN = ("_user", "_request")
"""The data that the engine adds to a Request with an open task, and that a sub-process gets. The sandbox does not."""

ONLY_NEWER = (
    *("created_at_ms", "completed_at_ms", "is_emailsent", "email_task_notification", "version_id", "version_type"),
    "etag",
)
"""What 4.12.2 does not send, or sends as null."""
# Of newest_request_older_than, 4.12.2 had made one Request less when it was recorded.
OLDER_NAMES = sorted({path.stem for path in CASSETTES.glob("4.12.2/*.yaml")} - {"newest_request_older_than"})

Exchange = dict[str, Any]
Pair = tuple[dict[str, Any], dict[str, Any]]


def start(process_id: int, *, times: int = 1) -> Callable[[Sandbox], None]:
    """A start that was made between two recordings, and not recorded."""

    def make(sandbox: Sandbox) -> None:
        for _ in range(times):
            url = f"{sandbox.url}/api/1.0/process_events/{process_id}?event=node_1"
            answer = sandbox(httpx.Request("POST", url, headers=signed_in(sandbox, "integration.bot"), json={}))
            assert answer.status_code == 201

    return make


def let_the_application_server_be_down(sandbox: Sandbox) -> None:
    sandbox.fail_next(502)


def begin_maintenance(sandbox: Sandbox) -> None:
    sandbox.maintenance = True


def sign_in_sixty_times(sandbox: Sandbox) -> None:
    for _ in range(60):
        sandbox(httpx.Request("POST", f"{sandbox.url}/oauth/token"))


def wait(seconds: float) -> Callable[[Sandbox], None]:
    return lambda sandbox: sandbox.clock.advance(seconds)


def move_the_bot_to(zone: str) -> Callable[[Sandbox], None]:
    def move(sandbox: Sandbox) -> None:
        sandbox.user().timezone = zone

    return move


def keep_processes_below(limit: int) -> Callable[[Sandbox], None]:
    """Those from 61 on were made after the listings."""

    def keep(sandbox: Sandbox) -> None:
        for process in PROCESSES:
            if process.id >= limit:
                del sandbox.processes[process.id]

    return keep


def add_the_later_processes(sandbox: Sandbox) -> None:
    sandbox.processes.update({process.id: process for process in PROCESSES})


def lock(sandbox: Sandbox) -> None:
    sandbox.requests[-1].locked = True


def unlock(sandbox: Sandbox) -> None:
    sandbox.requests[-1].locked = False


def mend_the_script(sandbox: Sandbox) -> None:
    for token in sandbox.requests[-1].tokens:
        if isinstance(token.node, Script):
            token.node = attrs.evolve(token.node, error=None)


Step = str | Callable[[Sandbox], None]
SESSIONS: dict[str, list[Step]] = {
    "2026-11-23": [
        "start_processes_bot",
        "start_processes_admin",
        "start_processes_filter",
        "start_processes_filter_nothing",
        "start_processes_etag",
        "process_show_admin",
        "processes_list_admin",
        "process_show_forbidden",
        "processes_list_forbidden",
        "start_active",
        "request_show",
        "start_completed",
        "start_no_data",
        "start_second_event",
        "start_timer_event_by_hand",
        "start_inactive_process",
        "start_error_status",
        "start_guide_curl_without_content_type",
        "start_invalid_json",
        start(4),
        "start_data_altered_by_server",
        "start_with_idempotency_key",
        "find_many_idempotency_keys",
        "requests_list",
        start(4),
        "follow_to_completion",
        "cancel",
    ],
    "2026-11-24": [
        "start_keys_that_are_numbers",
        "start_all_keys_are_numbers",
        "complete_data_altered_by_server",
        "complete_with_data_that_is_no_object",
        wait(1),
        "newest_request_older_than",
        "requests_page_beyond_the_last",
        "find_key_among_newer_requests",
    ],
    "2026-11-29": [
        keep_processes_below(61),
        "start_processes_page_one_of_many",
        "start_processes_second_page",
        "start_processes_all_at_once",
        "start_processes_every_page",
        "start_processes_per_page_100000",
        "start_processes_page_beyond_the_last",
        "start_processes_page_0_and_minus_1",
        "start_processes_exactly_one_page",
        "start_processes_page_two_of_one",
        "start_processes_ordered",
        "start_processes_order_by_nonsense",
        "start_processes_per_page_0",
        "start_processes_per_page_abc",
        "start_processes_signal_event_listed_twice",
        "tasks_of_another_user",
        "complete_leads_to_anothers_task",
        "reassign_task",
        "claim_self_service",
        "complete_self_service_without_claiming",
        "tasks_of_me",
        "tasks_page_order",
        "tasks_ten_of_fifteen",
        "complete_twice_at_once",
        "subprocess_copies_the_key",
        "key_that_reads_as_a_date",
        move_the_bot_to("America/New_York"),
        "key_that_reads_as_a_date_new_york",
        move_the_bot_to("UTC"),
        "key_that_reads_as_another_date",
        "key_that_reads_as_a_date_with_other_marks",
        "key_case_and_blanks",
        "find_many_keys_among_newer_requests",
        "requests_by_pages_of_ids",
        "requests_by_status",
        "requests_created_since",
        move_the_bot_to("America/New_York"),
        "requests_created_since_new_york",
        move_the_bot_to("UTC"),
        "requests_order_by_nonsense",
        "requests_per_page_0",
        "find_pmql_unknown_field",
        "whoami_bot",
        "whoami_admin",
        "start_scripted",
        "start_script_fails",
        "retry_failed_request",
        "complete_failed_request",
        "request_files",
        "request_file_missing",
        "request_file_too_large_html",
        "request_file_delete",
        "change_request_data",
        "change_request_data_with_the_whole_object",
        "trigger_intermediate_event",
        "start_data_exceptions",
        "complete_data_exceptions",
        add_the_later_processes,
        "send_signal",
        "subprocess_waits_for_another",
        "subprocess_task_of_mine",
        "cancel_parent",
        "cancel_child",
        "cancel_with_tasks_of_others",
    ],
    "2026-11-29, asynchronous": [
        "start_completed_async",
        "start_active_async",
        "start_scripted_async",
        "start_script_fails_async",
        "subprocess_copies_the_key_async",
        "follow_to_completion_async",
        "complete_twice_at_once_async",
        "complete_while_locked",
        start(4, times=19),
        "signal_overwrites_the_key",
    ],
    "2026-11-29, fingerprints": [
        "start_with_key_and_fingerprint",
        "subprocess_copies_the_fingerprint",
        "fingerprint_after_a_task",
    ],
}
"""Recordings that were made on one server, and what happened between them. Any other is played on a new sandbox."""

BEFORE: dict[str, Callable[[Sandbox], None]] = {
    "bad_gateway_502_html": let_the_application_server_be_down,
    "maintenance_503": begin_maintenance,
    "token_rate_limited": sign_in_sixty_times,
}
"""What a recording that is played alone needs first."""

BEFORE_EXCHANGE: dict[tuple[str, int], Callable[[Sandbox], None]] = {
    ("retry_failed_request", 6): mend_the_script,
    ("start_scripted_async", 7): wait(2),
    ("start_script_fails_async", 4): wait(2),
    ("complete_while_locked", 3): lock,
    ("complete_while_locked", 6): unlock,
}
"""What happened before an exchange within a recording; exchanges count from 1."""

AT_ONCE = {"complete_twice_at_once": (4, 3), "complete_twice_at_once_async": (3, 4)}
"""Exchanges that were made at the same moment, in the order in which the server handled them."""

ASKED: dict[str, str | None] = {
    "cancel": "admin",
    "start_timer_event_by_hand": "admin",
    "validation_error_422": "admin",
    "start_error_status": "mail.user",
    "start_unauthenticated": None,
}
"""Who asked, if not integration.bot; the recordings do not say. Those that end in _admin are the administrator's."""

ASKED_EXCHANGE: dict[str, dict[str, tuple[int, ...]]] = {
    "tasks_of_another_user": {"admin": (6,), "reviewer": (7, 8)},
    "reassign_task": {"admin": (5,), "reviewer": (4,)},
    "claim_self_service": {"reviewer": (3, 8, 9)},
    "requests_by_status": {"admin": (2,)},
    "retry_failed_request": {"admin": (4, 6, 8)},
    "complete_failed_request": {"admin": (3, 5)},
    "request_files": {"reviewer": (14, 15)},
    "request_file_delete": {"reviewer": (2,)},
    "change_request_data": {"admin": (4, 8), "reviewer": (3,)},
    "change_request_data_with_the_whole_object": {"reviewer": (5,)},
    "trigger_intermediate_event": {"reviewer": (11,)},
    "send_signal": {"admin": (2, 4)},
    "subprocess_waits_for_another": {"admin": (7,), "reviewer": (8,)},
    "cancel_parent": {"admin": (5,)},
    "cancel_child": {"admin": (4,)},
    "cancel_with_tasks_of_others": {"admin": (5, 7, 9), "reviewer": (4, 8)},
}

COMPARED_HEADERS = ("cache-control", "content-type", "etag", "x-ratelimit-limit")
COUNTING_HEADERS = ("retry-after", "x-ratelimit-remaining", "x-ratelimit-reset")

# What the sandbox knowingly does differently: values of these forms are its own.
PERMITTED = {
    "uuid": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "date": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00",
    "access token": r"TEST-ACCESS-TOKEN|[\w-]+\.[\w-]+\.sandbox-access-token-\d+",
    "refresh token": r"TEST-REFRESH-TOKEN|sandbox-refresh-token-\d+",
    "entity tag": r'"[0-9a-f]{32}"',
    "count": r"count: \d+",
}


@pytest.mark.parametrize("name", NAMES)
def test_the_sandbox_answers_as_the_recorded_server_did(name: str) -> None:
    for recorded, answered in played(name):
        assert with_permitted_differences(answered) == with_permitted_differences(recorded)


@pytest.mark.parametrize("form", PERMITTED)
def test_every_permitted_difference_is_one(form: str) -> None:
    examples = ["follow_to_completion", "token_refresh_then_reuse", "start_processes_etag"]
    others = [other for other in PERMITTED if other != form]

    assert any(
        with_permitted_differences(answered, others) != with_permitted_differences(recorded, others)
        for example in examples
        for recorded, answered in played(example)
    )


@pytest.mark.parametrize("name", OLDER_NAMES)
def test_the_sandbox_answers_as_4_12_2_did_where_both_versions_agree(name: str) -> None:
    for recorded, answered in played(name, "4.12.2"):
        assert without(ONLY_NEWER, answered) == without(ONLY_NEWER, recorded)


def without(names: Iterable[str], value: Any) -> Any:
    """The answer with permitted differences, and without these keys and headers."""
    value = with_permitted_differences(value)

    def cut(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: cut(item) for key, item in value.items() if key not in names}
        return [cut(item) for item in value] if isinstance(value, list) else value

    return cut(value)


def test_every_step_of_a_session_is_a_recording() -> None:
    steps = [step for steps in SESSIONS.values() for step in steps if isinstance(step, str)]
    assert len(steps) == len(set(steps))
    assert {*steps, *BEFORE, *AT_ONCE, *ASKED, *ASKED_EXCHANGE, *(name for name, _ in BEFORE_EXCHANGE)} <= set(NAMES)


def played(name: str, version: str = "4.15.5") -> list[Pair]:
    """What each of the two servers answered to the exchanges of a recording."""
    session = next((session for session, steps in SESSIONS.items() if name in steps), None)
    if session:
        return played_session(session, version)[name]
    sandbox = Sandbox(clock=Clock(datetime(2026, 11, 23, 22, 12, 30, tzinfo=UTC)), processes=SIMPLE_PROCESSES)
    if name in BEFORE:
        BEFORE[name](sandbox)
    return list(play(f"{version}/{name}", sandbox))


@cache
def played_session(session: str, version: str) -> dict[str, list[Pair]]:
    sandbox = Sandbox(
        clock=Clock(datetime.fromisoformat(session[:10]).replace(tzinfo=UTC)),
        processes=PROCESSES if "29" in session else SIMPLE_PROCESSES,
        asynchronous="asynchronous" in session,
    )
    found = {}
    for step in SESSIONS[session]:
        if isinstance(step, str):
            there = (CASSETTES / version / f"{step}.yaml").exists()
            found[step] = list(play(f"{version if there else '4.15.5'}/{step}", sandbox))
        else:
            step(sandbox)
    return found


def play(recording: str, sandbox: Sandbox) -> Iterator[Pair]:
    """Send each request of a recording to a sandbox; gives what each of the two servers answered."""
    exchanges: list[Exchange] = yaml.safe_load((CASSETTES / f"{recording}.yaml").read_text())["interactions"]
    name = recording.partition("/")[2]
    # What the real server gave out and a later request sends back: entity tags and tokens.
    given: dict[str, str] = {}
    answers = {}
    for number, exchange in enumerate(exchanges, 1):
        if prepare := BEFORE_EXCHANGE.get((name, number)):
            prepare(sandbox)
        request = as_sent(sandbox, name, number, exchange, given)
        if NOT_SERVED.fullmatch(request.url.path):
            assert sandbox(request).status_code == 404
            continue
        if number not in AT_ONCE.get(name, ()):
            sandbox.clock.reach(recorded_at(exchange) or sandbox.clock.now())
            answers[number] = sandbox(request)
        elif number not in answers:
            requests = [as_sent(sandbox, name, one, exchanges[one - 1], given) for one in AT_ONCE[name]]
            answers |= zip(AT_ONCE[name], asyncio.run(send_at_once(sandbox, requests)), strict=True)
        recorded, answered = as_recorded(exchange["response"]), as_answered(answers[number])
        yield recorded, answered
        for theirs, ours in ((recorded["headers"], answered["headers"]), (recorded["body"], answered["body"])):
            for key in ("etag", "access_token", "refresh_token"):
                if isinstance(theirs, dict) and isinstance(ours, dict) and key in theirs and key in ours:
                    given.setdefault(theirs[key], ours[key])


async def send_at_once(sandbox: Sandbox, requests: list[httpx.Request]) -> list[httpx.Response]:
    sandbox.completion_takes = 1
    try:
        async with httpx.AsyncClient(transport=sandbox.transport()) as client:
            return await asyncio.gather(*(client.send(request) for request in requests))
    finally:
        sandbox.completion_takes = 0


def as_sent(sandbox: Sandbox, name: str, number: int, exchange: Exchange, given: dict[str, str]) -> httpx.Request:
    request = exchange["request"]
    headers = {key: given.get(values[0], values[0]) for key, values in request["headers"].items()}
    if "TEST-ACCESS-TOKEN" in given:
        headers["authorization"] = f"Bearer {given['TEST-ACCESS-TOKEN']}"
    elif name == "start_bad_token":
        headers["authorization"] = "Bearer not-a-token"
    else:
        of_exchange = ASKED_EXCHANGE.get(name, {})
        usual = ASKED.get(name, "admin" if name.endswith("_admin") else "integration.bot")
        headers |= signed_in(sandbox, next((who for who, numbers in of_exchange.items() if number in numbers), usual))
    body = request["body"].replace("a...", "a" * 1_100_000)  # the bodies that were shortened
    for theirs, ours in given.items():
        body = body.replace(theirs, ours)
    return httpx.Request(request["method"], request["uri"], headers=headers, content=body.encode())


def signed_in(sandbox: Sandbox, username: str | None) -> dict[str, str]:
    return {"authorization": f"Bearer {sandbox.token(username)}"} if username else {}


def recorded_at(exchange: Exchange) -> datetime | None:
    """When the server made the Request of a start."""
    if exchange["response"]["status"]["code"] != 201:
        return None
    return datetime.fromisoformat(json.loads(exchange["response"]["body"]["string"])["created_at"])


def as_recorded(response: dict[str, Any]) -> dict[str, Any]:
    headers = {key: values[0] for key, values in response["headers"].items()}
    recorded = comparable(response["status"]["code"], headers, response["body"]["string"])
    return recorded | {"body": without_what_is_left_out(recorded["body"])}


def without_what_is_left_out(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_what_is_left_out(item) for key, item in value.items() if key not in LEFT_OUT}
    if isinstance(value, list):
        return [without_what_is_left_out(item) for item in value if not is_the_engines_own(item)]
    return value


def is_the_engines_own(row: Any) -> bool:
    """Whether a row of a summary was added by the engine. In start_data_exceptions, the caller sent `{"id": 1}`."""
    return isinstance(row, dict) and row.get("key") in ENGINES_OWN and row["value"] != {"id": 1}


def as_answered(response: httpx.Response) -> dict[str, Any]:
    return comparable(response.status_code, dict(response.headers), response.text)


def comparable(status: int, headers: dict[str, str], body: str) -> dict[str, Any]:
    kept = {key: headers[key] for key in COMPARED_HEADERS if key in headers}
    counts = {key: f"count: {headers[key]}" for key in COUNTING_HEADERS if key in headers}
    return {"status": status, "headers": kept | counts, "body": read(body)}


def read(body: str) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body


def with_permitted_differences(value: Any, permitted: Iterable[str] = PERMITTED) -> Any:
    """The answer with everything of a permitted form replaced by the form's name."""
    if isinstance(value, dict):
        return {key: with_permitted_differences(item, permitted) for key, item in value.items()}
    if isinstance(value, list):
        return [with_permitted_differences(item, permitted) for item in value]
    for form in permitted:
        if isinstance(value, str) and re.fullmatch(PERMITTED[form], value):
            return f"some {form}"
    # Python takes 1 for True, and 1.0 for 1.
    return (type(value).__name__, value)
