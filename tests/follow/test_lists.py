"""Lists that are longer than a page, or that change while they are read."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from conftest import Connect
from processmaker import ProcessNotFound, UnreadableResponse
from signed_in import BOT, token_of

URL = "https://pm.example.com"
Row = dict[str, Any]


def page_of(rows: list[Row], params: httpx.QueryParams) -> dict[str, Any]:
    """A page of these rows, as ProcessMaker cuts it."""
    per_page, page = int(params.get("per_page", 10)), int(params.get("page", 1))
    last = max(1, -(-len(rows) // per_page))
    shown = rows[(page - 1) * per_page : page * per_page]
    return {"data": shown, "meta": {"total": len(rows), "per_page": per_page, "current_page": page, "last_page": last}}


class Server:
    """Answers GETs with what a function makes of the query, and starts with a Request."""

    def __init__(self, answer: Callable[[httpx.QueryParams], dict[str, Any]]) -> None:
        self._answer = answer
        self.asked: list[httpx.URL] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url)
        if request.method == "POST":
            process_id = int(request.url.path.rpartition("/")[2])
            started = {"id": 9, "process_id": process_id, "name": "x", "status": "ACTIVE"}
            return httpx.Response(201, json=started)
        return httpx.Response(200, json=self._answer(request.url.params))

    def client(self, connect: Connect) -> Any:
        return connect(URL, token=token_of(BOT), transport=httpx.MockTransport(self), retries=None)


def process(number: int, name: str, **more: Any) -> Row:
    event = {"id": "node_1", "name": "Start", "eventDefinitions": []}
    return {"id": number, "name": name, "startEvents": [event], "events": [event], **more}


def shop(count: int) -> list[Row]:
    return [process(number, f"Order {number}") for number in range(1, count + 1)]


def filtered(rows: list[Row]) -> Callable[[httpx.QueryParams], dict[str, Any]]:
    """A list of processes that honours `filter`: a substring of the name."""
    return lambda params: page_of([row for row in rows if params.get("filter", "") in row["name"]], params)


# --- processes ------------------------------------------------------------------------------------------------------


def test_all_processes_are_listed_in_order_of_their_ids(connect: Connect) -> None:
    server = Server(filtered(shop(250)))
    found = server.client(connect).processes()
    assert [process.id for process in found] == list(range(1, 251))
    assert [dict(url.params) for url in server.asked] == [
        {"order_by": "id", "per_page": "100"},
        {"order_by": "id", "per_page": "100", "page": "2"},
        {"order_by": "id", "per_page": "100", "page": "3"},
    ]


@pytest.mark.parametrize("count", [0, 1, 99, 100])
def test_no_page_is_asked_for_beyond_the_last(connect: Connect, count: int) -> None:
    """The server answers page 2 of 1 with all rows again."""
    server = Server(lambda _: page_of(shop(count), httpx.QueryParams(per_page=100)))
    assert len(server.client(connect).processes()) == count
    assert len(server.asked) == 1


def test_a_server_that_ignores_the_page_gives_each_process_once(connect: Connect) -> None:
    server = Server(lambda _: {"data": shop(8), "meta": {"last_page": 1_000_000}})
    assert len(server.client(connect).processes()) == 8
    assert len(server.asked) == 2


def test_a_process_by_name_costs_one_narrow_look(connect: Connect) -> None:
    server = Server(filtered(shop(250)))
    pm = server.client(connect)
    assert pm.start("Order 250").process_id == 250
    assert [url.params.get("filter") for url in server.asked] == ["Order 250", None]
    pm.start("Order 250")
    assert len(server.asked) == 3  # the process is remembered


def test_a_name_that_is_part_of_many_names_is_found_on_any_page(connect: Connect) -> None:
    longer = [process(number, f"Order {number}") for number in range(1, 151)]
    server = Server(filtered([*longer, process(151, "Order")]))
    assert server.client(connect).start("Order").process_id == 151
    assert [url.params.get("page") for url in server.asked[:2]] == [None, "2"]


def test_a_server_that_ignores_the_filter_gives_the_right_process(connect: Connect) -> None:
    server = Server(lambda params: page_of(shop(250), params))
    assert server.client(connect).start("Order 201").process_id == 201


def test_a_name_that_does_not_exist_is_told_with_the_nearest_of_all(connect: Connect) -> None:
    server = Server(filtered(shop(250)))
    with pytest.raises(ProcessNotFound, match=r'nearest: .*"Order 249".* \(of 250\)') as failure:
        server.client(connect).start("Ordr 249")
    assert len(failure.value.processes) == 250


def test_a_process_that_is_new_is_found_by_its_name_although_the_list_is_remembered(connect: Connect) -> None:
    rows = shop(3)
    pm = Server(filtered(rows)).client(connect)
    pm.start(1)  # reads the whole list, for the start event
    rows.append(process(4, "Order 4"))
    assert pm.start("Order 4").process_id == 4


def test_a_start_event_that_is_new_is_found_although_the_process_is_remembered(connect: Connect) -> None:
    rows = shop(1)
    server = Server(filtered(rows))
    pm = server.client(connect)
    pm.start("Order 1")
    rows[0]["startEvents"].append({"id": "node_2", "name": "By phone", "eventDefinitions": []})
    pm.start("Order 1", event="By phone")
    assert server.asked[-1].params["event"] == "node_2"


def test_each_start_event_is_listed_once_and_starts_by_its_name(connect: Connect) -> None:
    def event(node: str, name: str, kind: str = "") -> Row:
        return {"id": node, "name": name, "eventDefinitions": [{"$type": kind, "id": "d"}] if kind else []}

    by_hand = [
        event("node_1", "Start"),
        event("node_9", "Order arrived", "signalEventDefinition"),
        event("node_3", "Mail in", "messageEventDefinition"),
        event("node_4", "Stock low", "conditionalEventDefinition"),
    ]
    timer = event("node_t", "Nightly", "timerEventDefinition")
    server = Server(
        lambda params: page_of([{**process(2, "Order"), "startEvents": by_hand, "events": [*by_hand, timer]}], params)
    )
    pm = server.client(connect)
    (order,) = pm.processes()
    assert [(found.id, found.manual) for found in order.start_events] == [
        ("node_1", True),
        ("node_9", False),
        ("node_3", False),
        ("node_4", False),
        ("node_t", False),
    ]
    named = {None: "node_1", "Order arrived": "node_9", "Mail in": "node_3", "Stock low": "node_4", "Nightly": "node_t"}
    for name, node in named.items():
        pm.start("Order", event=name)
        assert server.asked[-1].params["event"] == node


def test_start_events_beside_nonsense_are_read(connect: Connect) -> None:
    event = {"id": "node_1", "name": "Start", "eventDefinitions": []}
    rows = [{"id": 2, "name": "Order", "startEvents": [None, 7, event], "events": "none"}]
    (order,) = Server(lambda params: page_of(rows, params)).client(connect).processes()
    assert [found.id for found in order.start_events] == ["node_1"]


# --- Requests -------------------------------------------------------------------------------------------------------


def test_canceling_what_is_listed_reaches_all(admin: Any) -> None:
    for n in range(25):
        admin.start(2, {"n": n}, event="node_1")
    canceled = [admin.cancel(request).id for request in admin.requests(process=2, status="ACTIVE", per_page=4)]
    assert len(canceled) == 25
    assert admin.count_requests(process=2, status="ACTIVE") == 0


def test_a_request_that_is_started_while_others_are_listed_shifts_none(pm: Any) -> None:
    ids = [pm.start(4, event="node_1").id for _ in range(7)]
    seen = []
    for request in pm.requests(per_page=2):
        seen.append(request.id)
        if len(seen) <= 3:
            ids.append(pm.start(4, event="node_1").id)
    assert seen == ids


def test_a_condition_holds_on_every_page(pm: Any) -> None:
    for n in range(6):
        pm.start(2 if n % 2 else 4, {"n": n}, event="node_1")
    by_pages = pm.requests("data.n < 2 OR data.n > 2", process=4, per_page=1, include="data")
    assert [request.data["n"] for request in by_pages] == [0, 4]


def test_newest_first_goes_by_pages_and_gives_each_once(pm: Any) -> None:
    ids = [pm.start(4, event="node_1").id for _ in range(5)]
    seen = []
    for request in pm.requests(per_page=2, order_direction="desc"):
        seen.append(request.id)
        if len(seen) == 1:
            pm.start(4, event="node_1")
    assert seen == ids[::-1]


# --- tasks ----------------------------------------------------------------------------------------------------------


def test_tasks_that_share_a_moment_come_each_once_and_in_order(connect: Connect) -> None:
    """Unless it is asked for another order, the server sorts by the time of the last change."""
    shuffled = random.Random(1)
    rows = [
        {"id": number, "element_name": "Review", "status": "ACTIVE", "process_request_id": 7, "user_id": BOT}
        for number in range(101, 326)
    ]

    def answer(params: httpx.QueryParams) -> dict[str, Any]:
        if "process_request_id" not in params:
            return {"id": 7, "status": "ACTIVE"}  # the Request, of a server that names no active tasks
        ordered = rows if params.get("order_by") == "id" else shuffled.sample(rows, len(rows))
        return page_of(ordered, params)

    found = Server(answer).client(connect).tasks(7)
    assert [task.id for task in found] == list(range(101, 326))


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({}, ": no id"),
        ({"id": None}, ": no usable id: None"),
        ({"id": 1}, ": no status"),
        ({"id": 1, "status": ""}, "''"),
    ],
)
def test_a_row_without_what_it_needs_says_so(connect: Connect, row: dict[str, Any], words: str) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=row))
    with pytest.raises(UnreadableResponse, match=f"{words}$"):
        connect(URL, token="t", transport=transport, retries=None).get(1)
