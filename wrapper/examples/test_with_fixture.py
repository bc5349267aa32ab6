"""Test an application with the fixture that the package brings. Nothing leaves the machine, and no time passes.

pytest test_with_fixture.py
"""

import pytest
from processmaker import ProcessMaker, RateLimited
from processmaker.sandbox import SandboxFixture


def place_order(number: int, amount: float) -> int:
    """The code under test. It reads PROCESSMAKER_URL and PROCESSMAKER_TOKEN, which the fixture sets."""
    with ProcessMaker.from_env() as pm:
        return pm.start("Order", {"amount": amount}, idempotency_key=f"order-{number}").id


@pytest.fixture
def server(processmaker_sandbox: SandboxFixture) -> SandboxFixture:
    processmaker_sandbox.add_process("Order", tasks=["Approve"])
    return processmaker_sandbox


def test_an_order_starts_once_even_if_the_answer_is_lost(server: SandboxFixture) -> None:
    server.fail_next("answer lost", on="POST /process_events")
    first = place_order(1234, 12.5)
    assert place_order(1234, 12.5) == first
    assert [request.data["amount"] for request in server.started("Order")] == [12.5]


def test_an_order_starts_after_the_server_was_busy(server: SandboxFixture) -> None:
    server.fail_next(429, on="POST /process_events", retry_after=2)
    place_order(1234, 12.5)
    assert len(server.started("Order")) == 1


def test_an_order_is_not_started_if_the_server_stays_busy(server: SandboxFixture) -> None:
    server.fail_next(429, on="POST /process_events", retry_after=3600)
    with pytest.raises(RateLimited) as caught:
        place_order(1234, 12.5)
    assert caught.value.retry_after == 3600
    assert server.started("Order") == []


def test_an_approval_arrives_an_hour_later(server: SandboxFixture) -> None:
    order = place_order(1234, 12.5)
    server.complete(order, {"approved": True}, after=3600)
    request = server.pm.wait(order, timeout=7200)
    assert request.data is not None
    assert request.data["approved"]
