"""How old a Request may be to be found by its key: look-ups that stay cheap on a large server."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from conftest import Connect
from processmaker import ConfigurationError
from processmaker.sandbox import Sandbox
from replay import recordings, replayed

DAY = 86_400


@pytest.fixture
def asked(sandbox: Sandbox) -> list[str]:
    """The conditions with which Requests were looked for."""
    conditions: list[str] = []
    answer = sandbox._answer

    def listening(request: Any, *more: Any) -> Any:
        if request.url.path.endswith("/requests"):
            conditions.append(request.url.params["pmql"])
        return answer(request, *more)

    sandbox._answer = listening  # type: ignore[method-assign]
    return conditions


@pytest.fixture
def pm(connect: Connect, sandbox: Sandbox) -> Any:
    options = {"token": sandbox.token(), "transport": sandbox.transport(), "key_lifetime": timedelta(days=30)}
    return connect(sandbox.url, clock=sandbox.clock, **options)


def start(pm: Any, key: str) -> Any:
    return pm.start(4, event="node_1", idempotency_key=key)


def test_a_key_is_found_while_it_is_young_enough(pm: Any, sandbox: Sandbox) -> None:
    first = start(pm, "k")
    sandbox.clock.advance(29 * DAY)
    assert start(pm, "k").id == first.id
    sandbox.clock.advance(2 * DAY)
    assert start(pm, "k").created
    assert len(sandbox.requests) == 2


def test_without_a_lifetime_a_key_is_found_for_ever(connect: Connect, sandbox: Sandbox, asked: list[str]) -> None:
    pm = connect(sandbox.url, token=sandbox.token(), transport=sandbox.transport(), clock=sandbox.clock)
    first = start(pm, "k")
    sandbox.clock.advance(4000 * DAY)
    assert start(pm, "k").id == first.id
    assert asked == ['data._idempotency_key IN ["k"] AND process_id = 4'] * 2


def test_every_look_is_among_the_newer_requests(pm: Any, sandbox: Sandbox, asked: list[str]) -> None:
    old = start(pm, "old")
    sandbox.clock.advance(31 * DAY)
    asked.clear()
    sandbox.fail_next("answer lost", on="POST")
    start(pm, "k")
    pm.find("k", process=4)
    list(pm.start_many(4, [{"key": "many"}], key="key", event="node_1"))
    age, *looks = asked
    assert age == "created < NOW -30 day"
    assert len(looks) == 4
    assert all(look.endswith(f" AND process_id = 4 AND id > {old.id}") for look in looks)


def test_where_the_age_begins_is_asked_once_in_a_24th_of_it(pm: Any, sandbox: Sandbox, asked: list[str]) -> None:
    for number in range(6):
        start(pm, f"k{number}")
        sandbox.clock.advance(DAY / 2)
    assert asked.count("created < NOW -30 day") == 2


def test_nothing_is_too_old_where_there_is_nothing_old(pm: Any, asked: list[str]) -> None:
    start(pm, "k")
    assert asked == ["created < NOW -30 day", 'data._idempotency_key IN ["k"] AND process_id = 4']


@pytest.mark.parametrize(("age", "words"), [(timedelta(hours=1), "-1 hour"), (timedelta(minutes=90), "-2 hour")])
def test_a_look_may_have_an_age_of_its_own(pm: Any, asked: list[str], age: timedelta, words: str) -> None:
    assert pm.find("k", process=4, key_lifetime=age) is None
    assert asked[0] == f"created < NOW {words}"


@pytest.mark.parametrize("age", [timedelta(minutes=59), 30])
def test_an_age_below_an_hour_is_refused_before_the_look(pm: Any, asked: list[str], age: Any) -> None:
    with pytest.raises(ConfigurationError, match="is not a length of time from an hour"):
        pm.find("k", process=4, key_lifetime=age)
    assert asked == []


@pytest.mark.parametrize(("version", "name"), recordings("newest_request_older_than"))
def test_a_real_server_says_where_an_age_begins(connect: Connect, version: str, name: str) -> None:
    with replayed(version, name) as cassette:
        pm = connect("https://pm.example.com", token="t", key_lifetime=timedelta(days=2), retries=None)
        with pytest.raises(Exception, match="_idempotency_key"):
            pm.find("k", process=4)
        assert cassette.play_count == 1
        assert next(iter(pm.requests("created < NOW -0 second", per_page=1, order_direction="desc")))
