"""Finding Requests by their keys, on recordings of a real server."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Connect
from processmaker import ProcessMaker
from processmaker.models import Request
from processmaker.once.lookup import choose, split_keys
from replay import replayed

SERVER = "https://pm.example.com"


@pytest.fixture
def pm(connect: Connect) -> Any:
    return connect(SERVER, token="recorded")


def post(pm: ProcessMaker, process_id: int, data: dict[str, Any]) -> None:
    pm.request("POST", f"/process_events/{process_id}?event=node_1", json=data)


def test_a_start_with_a_key_and_its_fingerprint_is_found_again(pm: Any) -> None:
    with replayed("4.15.5", "start_with_key_and_fingerprint"):
        started = pm.start(4, {"amount": 12.5}, event="node_1", idempotency_key="order-9001")
        found = pm.find("order-9001", process=4)
    assert (found.id, found.idempotency_key) == (started.id, "order-9001")
    assert found.idempotency_fingerprint == "4:1c30f6b508c62ba983c90bd2d6b0ba1f"


def test_a_copy_that_a_sub_process_made_of_key_and_fingerprint_is_not_found(pm: Any) -> None:
    with replayed("4.15.5", "subprocess_copies_the_fingerprint"):
        copied = {"n": 1, "_idempotency_key": "order-9002"}
        post(pm, 15, {**copied, "_idempotency_fingerprint": "15:3b6899669aea3cb36e2122aaeef9dd69"})
        assert pm.find("order-9002", process=4) is None
        assert pm.find("order-9002", process=15).process_id == 15
        own = {"n": 2, "_idempotency_key": "order-9002"}
        post(pm, 4, {**own, "_idempotency_fingerprint": "4:4197c9cb21a81d767edc097312d8837f"})
        assert pm.find("order-9002", process=4).idempotency_fingerprint == "4:4197c9cb21a81d767edc097312d8837f"


def test_a_copy_that_a_sub_process_made_of_a_key_is_not_found(pm: Any) -> None:
    with replayed("4.15.5", "subprocess_copies_the_key", whole=False):
        assert pm.find("order-1", process=4) is None
        assert pm.find("order-1", process=15).parent_request_id is None


def test_the_fingerprint_stays_after_a_task_has_changed_the_data(pm: Any) -> None:
    with replayed("4.15.5", "fingerprint_after_a_task", whole=False):
        found = pm.find("order-9003", process=2)
    assert found.idempotency_fingerprint == "2:95cbdf0ac0e1806d7689190d00ecbe0d"


@pytest.mark.parametrize("key", ["2026-11-23 00:00:00", "2026-11-23 06:30:00"])
@pytest.mark.parametrize("name", ["key_that_reads_as_a_date", "key_that_reads_as_a_date_new_york"])
def test_a_key_that_reads_as_a_date_is_found(pm: Any, key: str, name: str) -> None:
    equals = f'data._idempotency_key = "{key}" AND process_id = 4'
    with replayed("4.15.5", name, whole=False):
        pm.request("GET", "/requests", params={"pmql": equals, "include": "summary"})  # PMQL rewrites this value
        assert pm.find(key, process=4).idempotency_key == key


def test_a_key_is_compared_exactly_whatever_the_server_takes_for_equal(pm: Any) -> None:
    blank = {"pmql": 'data._idempotency_key = "case-1 " AND process_id = 4', "include": "summary"}
    with replayed("4.15.5", "key_case_and_blanks", whole=False):
        assert [row["id"] for row in pm.request("GET", "/requests", params=blank)["data"]]
        assert pm.find("CASE-1", process=4) is None
        assert pm.find("case-2", process=4) is None


def test_of_requests_with_one_key_the_oldest_that_lives_counts() -> None:
    def request(number: int, status: str) -> Request:
        return Request(id=number, status=status, name="")

    ended, first, second = request(1, "CANCELED"), request(2, "ACTIVE"), request(3, "COMPLETED")
    assert choose([second, ended, first]) is first
    assert choose([ended, request(4, "ERROR")]) == request(4, "ERROR")
    assert choose([]) is None


def test_keys_are_split_into_calls_of_a_length_that_a_server_takes() -> None:
    short = [f"k{n}" for n in range(250)]
    blocks = split_keys(short)
    assert [key for block in blocks for key in block] == short
    assert max(map(len, blocks)) <= 100
    assert len(split_keys(short[:100])) == 1
    blocks = split_keys(["é" * 200] * 20)
    assert sum(map(len, blocks)) == 20
    assert max(map(len, blocks)) < 8
