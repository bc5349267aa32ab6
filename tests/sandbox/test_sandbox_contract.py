"""Every exchange recorded on a real ProcessMaker, played against the sandbox: it answers the same.

Compared are the status, which headers there are, and the whole body, except for what PERMITTED lists.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from conftest import START_OF_TIME
from processmaker.sandbox import Clock, Sandbox

CASSETTES = Path(__file__).parents[1] / "cassettes"
NAMES = sorted(f"{path.parent.name}/{path.stem}" for path in CASSETTES.glob("*/*.yaml"))

# What had been started on the recorded server, in order, so that Requests and tasks have the recorded ids.
STARTED = [
    ("integration.bot", 2, "node_1", {"days": 3, "reason": "Holiday"}),
    ("integration.bot", 4, "node_1", {}),
    ("integration.bot", 4, "node_1", {}),
    ("integration.bot", 5, "node_mail", {}),
    ("admin", 6, "node_timer", {}),
    ("integration.bot", 9, "node_1", {}),
    ("mail.user", 11, "node_1", {}),
    *[("integration.bot", 4, "node_1", {})] * 4,
    ("integration.bot", 2, "node_1", {}),
    *[("integration.bot", 4, "node_1", {})] * 4,
    ("integration.bot", 12, "node_1", {}),
    ("admin", 2, "node_1", {}),
]
STARTED_BEFORE_LISTING = 15

# The same of the server that the later recordings were made on.
STARTED_LATER: list[tuple[str, int, str, dict[str, Any]]] = [
    ("integration.bot", 4, "node_1", {}),
    ("integration.bot", 4, "node_1", {}),
    ("integration.bot", 2, "node_1", {}),
    ("integration.bot", 2, "node_1", {}),
]
RECORDED_LATER = (
    "complete_data_altered_by_server",
    "complete_with_data_that_is_no_object",
    "find_key_among_newer_requests",
    "newest_request_older_than",
    "requests_page_beyond_the_last",
    "requests_type_all",
    "start_all_keys_are_numbers",
    "start_forbidden_without_event",
    "start_keys_that_are_numbers",
)

# Whose token a recording was made with; the recordings themselves hold none.
TOKEN_OF: dict[str, str | None] = {
    "cancel": "admin",
    "start_timer_event_by_hand": "admin",
    "validation_error_422": "admin",
    "start_error_status": "mail.user",
    "start_unauthenticated": None,
}

COMPARED_HEADERS = ("cache-control", "content-type", "etag", "x-ratelimit-limit")
COUNTING_HEADERS = ("retry-after", "x-ratelimit-remaining", "x-ratelimit-reset")

# What the sandbox knowingly does differently: values of these forms are its own.
PERMITTED = {
    "uuid": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "date": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00",
    "SQL date": r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d",
    "access token": r"TEST-ACCESS-TOKEN|[\w-]+\.[\w-]+\.sandbox-access-token-\d+",
    "refresh token": r"TEST-REFRESH-TOKEN|sandbox-refresh-token-\d+",
    "entity tag": r'"[0-9a-f]{32}"',
    "count": r"count: \d+",
}


def let_the_application_server_be_down(sandbox: Sandbox) -> None:
    sandbox.fail_next(502)


def begin_maintenance(sandbox: Sandbox) -> None:
    sandbox.maintenance = True


def try_to_sign_in_sixty_times(sandbox: Sandbox) -> None:
    for _ in range(60):
        sandbox(httpx.Request("POST", f"{sandbox.url}/oauth/token"))


def let_a_second_pass(sandbox: Sandbox) -> None:
    sandbox.clock.advance(1)
    if len(sandbox.requests) == 4 and sandbox.processes[11].fails_with is None:
        # On 4.12.2 the fourth had been started within that second.
        sandbox.requests[3].created_at = sandbox.clock.now()


PREPARATIONS: dict[str, Callable[[Sandbox], None]] = {
    "bad_gateway_502_html": let_the_application_server_be_down,
    "maintenance_503": begin_maintenance,
    "newest_request_older_than": let_a_second_pass,
    "token_rate_limited": try_to_sign_in_sixty_times,
}


@pytest.mark.parametrize("name", NAMES)
def test_the_sandbox_answers_as_the_recorded_server_did(name: str) -> None:
    for recorded, answered in play(name):
        assert with_permitted_differences(answered) == with_permitted_differences(recorded)


@pytest.mark.parametrize("form", PERMITTED)
def test_every_permitted_difference_is_one(form: str) -> None:
    examples = ["follow_to_completion", "token_refresh_then_reuse", "start_processes_etag"]
    others = [other for other in PERMITTED if other != form]

    assert any(
        with_permitted_differences(answered, others) != with_permitted_differences(recorded, others)
        for example in examples
        for recorded, answered in play(f"4.15.5/{example}")
    )


def play(name: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Send each request of a cassette to a sandbox; gives what each of the two servers answered."""
    version, _, cassette = name.partition("/")
    exchanges = yaml.safe_load((CASSETTES / f"{name}.yaml").read_text())["interactions"]
    sandbox = Sandbox(clock=Clock(START_OF_TIME), version="4.12.2" if version == "4.12.2" else "4.15.5")
    bring_to_the_recorded_state(sandbox, exchanges, later=cassette in RECORDED_LATER)
    if prepare := PREPARATIONS.get(cassette):
        prepare(sandbox)
    # What the real server gave out and a later request sends back: entity tags and tokens.
    given: dict[str, str] = {}
    for exchange in exchanges:
        request = exchange["request"]
        headers = {key: given.get(values[0], values[0]) for key, values in request["headers"].items()}
        if token := given.get("TEST-ACCESS-TOKEN") or token_for(sandbox, cassette):
            headers["authorization"] = f"Bearer {token}"
        body = request["body"].replace("a...", "a" * 1_100_000)  # the one body that was shortened
        for theirs, ours in given.items():
            body = body.replace(theirs, ours)
        answer = sandbox(httpx.Request(request["method"], request["uri"], headers=headers, content=body.encode()))
        recorded, answered = as_recorded(exchange["response"]), as_answered(answer)
        yield recorded, answered
        for theirs, ours in (
            (recorded["headers"], answered["headers"]),
            (recorded["body"], answered["body"]),
        ):
            for key in ("etag", "access_token", "refresh_token"):
                if isinstance(theirs, dict) and isinstance(ours, dict) and key in theirs and key in ours:
                    given.setdefault(theirs[key], ours[key])


def bring_to_the_recorded_state(sandbox: Sandbox, exchanges: list[dict[str, Any]], *, later: bool) -> None:
    first = next(
        (
            json.loads(exchange["response"]["body"]["string"])["id"]
            for exchange in exchanges
            if exchange["response"]["status"]["code"] == 201
        ),
        STARTED_BEFORE_LISTING + 1,
    )
    for username, process_id, event, data in (STARTED_LATER if later else STARTED)[: first - 1]:
        url = f"{sandbox.url}/api/1.0/process_events/{process_id}?event={event}"
        headers = {"authorization": f"Bearer {sandbox.token(username)}"}
        assert sandbox(httpx.Request("POST", url, headers=headers, json=data)).status_code == 201
        if later and process_id == 2 and first > 3 and len(sandbox.requests) == 3:
            sandbox.finish(3)
            sandbox._next_token()  # the end event's


def token_for(sandbox: Sandbox, cassette: str) -> str | None:
    if cassette == "start_bad_token":
        return "not-a-token"
    username = TOKEN_OF.get(cassette, "admin" if cassette.endswith("_admin") else "integration.bot")
    return sandbox.token(username) if username else None


def as_recorded(response: dict[str, Any]) -> dict[str, Any]:
    headers = {key: values[0] for key, values in response["headers"].items()}
    return comparable(response["status"]["code"], headers, response["body"]["string"])


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
