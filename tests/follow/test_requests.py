"""Listing Requests by what they are, and how many there are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from processmaker import InvalidData, ProcessNotFound
from processmaker.follow.pmql import Conditions
from processmaker.sandbox import Sandbox

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("asked", "pmql"),
    [
        ({}, ""),
        ({"pmql": "data.days > 3"}, "data.days > 3"),
        ({"pmql": "  "}, ""),
        ({"process_id": 2}, "process_id = 2"),
        ({"status": "ACTIVE"}, 'status = "In Progress"'),
        ({"status": "completed"}, 'status = "Completed"'),
        ({"status": ["ERROR", "CANCELED"]}, '(status = "Error" OR status = "Canceled")'),
        ({"since": timedelta(hours=1)}, "created >= NOW -3600 second"),
        ({"since": NOW - timedelta(days=2)}, "created >= NOW -172800 second"),
        ({"since": NOW + timedelta(days=2)}, "created >= NOW -0 second"),
        (
            {"pmql": "a = 1 OR b = 2", "process_id": 2, "status": "ERROR", "since": timedelta(seconds=1.5)},
            '(a = 1 OR b = 2) AND process_id = 2 AND status = "Error" AND created >= NOW -2 second',
        ),
    ],
)
def test_conditions_become_pmql(asked: dict[str, Any], pmql: str) -> None:
    process_id = asked.pop("process_id", None)
    assert Conditions(**asked).in_pmql(process_id, NOW) == pmql


@pytest.fixture
def several(pm: Any, sandbox: Sandbox) -> Any:
    """1 and 2 are Leave Requests, 3 is over; an hour later 4 is a Leave Request, and 2 was canceled meanwhile."""
    for process in (2, 2, 4):
        pm.start(process, event="node_1")
    sandbox.clock.sleep(3600)
    pm.start(2, event="node_1")
    sandbox.cancel(2)
    return pm


@pytest.mark.parametrize(
    ("asked", "ids"),
    [
        ({}, [1, 2, 3, 4]),
        ({"process": "Leave Request"}, [1, 2, 4]),
        ({"process": 4}, [3]),
        ({"status": "ACTIVE"}, [1, 4]),
        ({"status": ("COMPLETED", "CANCELED")}, [2, 3]),
        ({"since": timedelta(minutes=30)}, [4]),
        ({"since": timedelta(hours=2), "process": 2, "status": "ACTIVE", "pmql": "id > 1"}, [4]),
        ({"status": "ERROR"}, []),
    ],
)
def test_requests_are_listed_and_counted_by_what_they_are(several: Any, asked: dict[str, Any], ids: list[int]) -> None:
    assert [request.id for request in several.requests(**asked)] == ids
    assert several.count_requests(**asked) == len(ids)


def test_since_a_time_of_day_needs_no_time_zone_of_the_server(several: Any, sandbox: Sandbox) -> None:
    half_an_hour_ago = sandbox.clock.now() - timedelta(minutes=30)
    assert [request.id for request in several.requests(since=half_an_hour_ago)] == [4]


def test_counting_is_one_call(several: Any, sandbox: Sandbox) -> None:
    before = len(sandbox.calls)
    assert several.count_requests(process=2) == 3
    assert sandbox.calls[before:] == [("GET", "/requests", 200)]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"status": "FINISHED"}, "status='FINISHED' is none of ACTIVE, COMPLETED, ERROR, CANCELED"),
        ({"status": []}, "names none"),
        ({"status": [1]}, "status=1 is none of"),
        ({"since": "yesterday"}, "neither a datetime nor a timedelta"),
        ({"since": datetime(2026, 11, 24)}, "has no time zone"),
        ({"process": -1}, "process -1"),
    ],
)
def test_conditions_that_cannot_be_are_refused_before_anything_is_sent(
    pm: Any, sandbox: Sandbox, asked: dict[str, Any], said: str
) -> None:
    for ask in (lambda: list(pm.requests(**asked)), lambda: pm.count_requests(**asked)):
        with pytest.raises(InvalidData, match=said):
            ask()
    assert sandbox.calls == []


def test_a_process_that_is_not_there_is_named(pm: Any) -> None:
    with pytest.raises(ProcessNotFound, match="Leave Request"):
        pm.count_requests(process="Leave Reqest")
