"""Starting: which process, which start event, what goes over the wire, and what comes back."""

from __future__ import annotations

import asyncio
import re
import warnings
from collections import Counter
from typing import Any

import pytest
from processmaker import (
    AmbiguousStartEvent,
    AsyncProcessMaker,
    ConfigurationError,
    DataAlteredWarning,
    Forbidden,
    InvalidData,
    NotFound,
    ProcessNotFound,
    RequestFailed,
    StartEventNotFound,
)
from processmaker.models import Process, StartEvent
from processmaker.processes import find_event
from processmaker.sandbox import Call, Sandbox
from processmaker.sandbox import StartEvent as Door

LISTING = Call("GET", "/start_processes", 200)


def test_a_start_by_name_looks_for_the_process_and_its_event(pm: Any, sandbox: Sandbox) -> None:
    request = pm.start("Leave Request", {"days": 3})
    assert (request.name, request.status) == ("Leave Request", "ACTIVE")
    assert sandbox.request(request.id).data == {"days": 3}
    assert sandbox.calls == [LISTING, ("POST", "/process_events/2", 201)]


def test_a_name_that_is_part_of_another_name_is_that_name_only(pm: Any) -> None:
    assert pm.start("Leave Request").process_id == 2
    assert pm.start("Leave Request Contractors").process_id == 3


def test_an_id_and_a_node_id_are_exactly_one_http_request(pm: Any, sandbox: Sandbox) -> None:
    pm.start(2, {"days": 3}, event="node_1")
    assert sandbox.calls == [("POST", "/process_events/2", 201)]


@pytest.mark.parametrize("event", ["From an email", "node_mail"])
def test_an_event_is_named_by_name_or_node_id(pm: Any, event: str) -> None:
    assert pm.start("Two Doors", event=event).status == "ACTIVE"


def test_the_event_of_an_id_may_be_named_by_one_word(pm: Any, sandbox: Sandbox) -> None:
    assert pm.start(4, event="Start").status == "COMPLETED"
    assert [call.status for call in sandbox.calls] == [403, 200, 201]


def test_the_event_of_an_id_may_be_a_name_with_blanks(pm: Any) -> None:
    assert pm.start(5, event="From an email").process_id == 5


def test_a_process_from_the_listing_needs_no_further_look(pm: Any, sandbox: Sandbox) -> None:
    leave = next(process for process in pm.processes() if process.name == "Leave Request")
    pm.start(leave)
    pm.start(leave, event=leave.start_events[0])
    assert [call.method for call in sandbox.calls] == ["GET", "POST", "POST"]


def test_the_one_manual_event_is_used_beside_a_timer(pm: Any) -> None:
    assert pm.start("Nightly or Manual").process_id == 7


def test_several_events_are_listed_when_none_is_named(pm: Any, sandbox: Sandbox) -> None:
    with pytest.raises(AmbiguousStartEvent, match='node_web "From the web", node_mail "From an email"') as refusal:
        pm.start("Two Doors")
    assert [event.id for event in refusal.value.start_events] == ["node_web", "node_mail"]
    assert sandbox.requests == []


def test_a_process_with_timers_only_says_how_it_can_be_started() -> None:
    nightly = Process(id=6, name="Nightly Report", start_events=(StartEvent(id="t", name="Night", manual=False),))
    with pytest.raises(StartEventNotFound, match=r'no manual start event.* t "Night".* by its node id'):
        find_event(nightly, None)
    assert find_event(nightly, "t").id == "t"


def test_two_events_of_one_name_are_told_apart_by_node_id(pm: Any, sandbox: Sandbox) -> None:
    sandbox.add_process("Twins", start_events=(Door("a", "In"), Door("b", "In")), id=90)
    with pytest.raises(AmbiguousStartEvent, match='a "In", b "In"'):
        pm.start("Twins", event="In")
    assert pm.start("Twins", event="b").process_id == 90


def test_a_timer_start_event_can_be_started_by_hand(admin: Any) -> None:
    assert admin.start("Nightly or Manual", event="node_timer").process_id == 7
    assert admin.start(6, event="node_timer").name == "Nightly Report"


def test_an_inactive_process_starts_when_its_event_is_given(pm: Any) -> None:
    with pytest.raises(ProcessNotFound, match="inactive or has only timers is not listed"):
        pm.start(9)
    assert pm.start(9, event="node_1").name == "Retired"


def test_a_refused_start_by_ids_is_not_told_to_start_by_ids(pm: Any) -> None:
    with pytest.raises(Forbidden, match="process 6 is not among those this token may start") as caught:
        pm.start(6, event="node_timer")
    assert "is started by its id" not in str(caught.value)


def test_an_event_made_after_the_process_was_listed_is_found(pm: Any, sandbox: Sandbox) -> None:
    sandbox.add_process("Orders", id=91)
    orders = next(process for process in pm.processes() if process.id == 91)
    del sandbox.processes[91]
    sandbox.add_process("Orders", start_events=(Door("node_1", "Start"), Door("node_9", "New")), id=91)
    assert pm.start(orders, event="New").process_id == 91


def test_a_typo_among_many_processes_is_a_message_of_one_line(pm: Any, sandbox: Sandbox) -> None:
    for number in range(300):
        sandbox.add_process(f"Order of kind {number}")
    for named, said in {
        "Leave Reqest": r'nearest: 2 "Leave Request".* \(of \d+\)',
        "zzz": r"there are: .* and \d+ more",
    }.items():
        with pytest.raises(ProcessNotFound, match=said) as refusal:
            pm.start(named)
        assert len(str(refusal.value)) < 500
        assert len(refusal.value.processes) > 300


@pytest.mark.parametrize("process", [444, "444"])
def test_digits_are_not_near_the_ids_of_other_processes(pm: Any, process: int | str) -> None:
    with pytest.raises(ProcessNotFound) as refusal:
        pm.start(process)
    assert "nearest" not in str(refusal.value)


def test_what_was_started_found_and_looked_up_is_logged_and_no_data(pm: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="processmaker")
    for _ in range(2):
        pm.start("Leave Request", {"name": "private-words"}, idempotency_key="leave-17")
    list(pm.requests('data.name = "private-words"'))
    said = {
        level: [record.getMessage() for record in caplog.records if record.levelname == level]
        for level in ("INFO", "DEBUG")
    }
    assert said["INFO"] == [
        'Looked up the process "Leave Request".',
        'Request 1 of process 2 was started with the key "leave-17".',
        'Request 1 of process 2 was found with the key "leave-17".',
    ]
    calls = [
        "GET /api/1.0/start_processes: 200",
        "GET /api/1.0/requests: 200",
        "POST /api/1.0/process_events/2: 201",
        "GET /api/1.0/requests/1: 200",
        "GET /api/1.0/requests: 200",
    ]
    assert [line.partition(" after ")[0] for line in said["DEBUG"]] == calls
    assert all(re.search(r" after [0-9]+\.[0-9]{3} s$", line) for line in said["DEBUG"])
    assert "private-words" not in caplog.text


def facts_of(caplog: pytest.LogCaptureFixture) -> list[tuple[int | None, str | None, int | None]]:
    """What each record is about: the process, the key, the Request."""
    names = ("processmaker_process_id", "idempotency_key", "processmaker_request_id")
    return [tuple(vars(record).get(name) for name in names) for record in caplog.records]  # type: ignore[misc]


def test_what_is_logged_says_which_start_it_is_about(
    pm: Any, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.fail_next(429, on="POST /process_events", retry_after=1)
    sandbox.fail_next("answer lost", on="POST /process_events")
    pm.start(2, event="node_1", idempotency_key="leave-17")
    with caplog.at_level("DEBUG", logger="processmaker"):
        pm.start(2, event="node_1", idempotency_key="leave-17")
        pm.start(2, event="node_1")
        pm.get(1)
    start, found = (2, "leave-17", None), (2, "leave-17", 1)
    assert facts_of(caplog) == [start, start, start, found, (2, None, None), (2, None, 2), (None, None, None)]


def test_starts_at_the_same_time_are_logged_each_for_itself(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="processmaker")
    sandbox.start_takes = 0.1

    async def main() -> None:
        async with AsyncProcessMaker(sandbox.url, token=sandbox.token(), transport=sandbox.transport()) as pm:
            await asyncio.gather(*(pm.start(4, event="node_1", idempotency_key=f"k-{n}") for n in range(8)))

    asyncio.run(main())
    started = [(4, str(request.data["_idempotency_key"]), request.id) for request in sandbox.requests]
    calls = [(process_id, key, None) for process_id, key, _ in started]  # a look and a start
    assert Counter(facts_of(caplog)) == Counter([*started, *calls, *calls])


def test_an_unknown_name_lists_the_nearest(pm: Any, sandbox: Sandbox) -> None:
    with pytest.raises(ProcessNotFound, match='nearest: 2 "Leave Request", 3') as refusal:
        pm.start("leave reqest")
    assert len(refusal.value.processes) == 58
    assert sandbox.requests == []


def test_an_unknown_event_name_lists_those_there_are(pm: Any) -> None:
    with pytest.raises(StartEventNotFound, match='it has node_web "From the web", node_mail "From an email"'):
        pm.start("Two Doors", event="from an e-mail")


def test_an_id_given_as_text_says_to_give_a_number(pm: Any) -> None:
    with pytest.raises(ProcessNotFound, match="give a number: 2"):
        pm.start("2")


@pytest.mark.parametrize("process", [0, -2, True, None, 2.0])
def test_what_cannot_name_a_process_is_refused_before_sending(pm: Any, sandbox: Sandbox, process: Any) -> None:
    with pytest.raises(InvalidData, match="process"):
        pm.start(process, event="node_1")
    assert sandbox.calls == []


def test_the_listing_is_remembered_for_a_minute(pm: Any, sandbox: Sandbox) -> None:
    pm.start("Auto Approve")
    sandbox.clock.advance(59)
    pm.start("Auto Approve")
    assert sandbox.calls.count(LISTING) == 1
    sandbox.clock.advance(2)
    pm.start("Auto Approve")
    assert sandbox.calls.count(LISTING) == 2


def test_a_process_made_meanwhile_is_found_although_the_listing_was_remembered(pm: Any, sandbox: Sandbox) -> None:
    pm.processes()
    pm.start("Auto Approve")
    sandbox.add_process("Brand New")
    assert pm.start("Brand New").name == "Brand New"


def test_an_event_that_moved_meanwhile_is_asked_for_once_more(pm: Any, sandbox: Sandbox) -> None:
    sandbox.add_process("Orders", start_events=(Door("old", "Order"),), id=91)
    pm.start("Orders")
    del sandbox.processes[91]
    sandbox.add_process("Orders", start_events=(Door("new", "Order"),), id=91)
    assert pm.start("Orders").process_id == 91
    assert [call.status for call in sandbox.calls] == [200, 201, 403, 200, 201]


def test_a_403_for_an_event_that_is_not_there_names_those_that_are(pm: Any, sandbox: Sandbox) -> None:
    with pytest.raises(
        Forbidden, match=r'Likely cause: .* no start event "node_99" that this token may use; it has node_1'
    ) as refusal:
        pm.start(2, event="node_99")
    assert refusal.value.likely_cause is not None
    assert [call.status for call in sandbox.calls] == [403, 200]


def test_a_404_for_a_process_that_is_not_there_says_so(admin: Any) -> None:
    with pytest.raises(NotFound, match="Likely cause: process 999 is not among those this token may start"):
        admin.start(999, event="node_1")


def test_a_403_that_cannot_be_explained_stays_a_403(pm: Any, sandbox: Sandbox) -> None:
    sandbox.fail_next(500, times=9, on="GET /start_processes")
    with pytest.raises(Forbidden) as refusal:
        pm.start(8, event="node_1")
    assert refusal.value.likely_cause is None


def test_a_request_whose_engine_failed_is_not_lost(sandbox: Sandbox, connect: Any) -> None:
    pm = connect(sandbox.url, token=sandbox.token("mail.user"), transport=sandbox.transport())
    with pytest.raises(RequestFailed, match="exists, and failed: Class") as failure:
        pm.start("Mail Approval", {"to": "x@example.com"})
    request = failure.value.request
    assert pm.get(request).status == "ERROR"
    assert failure.value.messages == (request.errors[0]["message"],)


def test_the_body_arrives_as_it_was_given(pm: Any) -> None:
    request = pm.start(4, {"key1": "value1", "nested": {"a": [1, 2.5, True, None]}}, event="node_1")
    assert pm.get(request).data == {"key1": "value1", "nested": {"a": [1, 2.5, True, None]}}


def test_data_that_cannot_be_sent_is_refused_before_anything_is_sent(pm: Any, sandbox: Sandbox) -> None:
    with pytest.raises(InvalidData, match=r"data\.items\[1\]\.when"):
        pm.start("Leave Request", {"items": [{}, {"when": object()}]})
    assert sandbox.calls == []


def test_data_the_server_would_change_is_told_before_the_start(pm: Any) -> None:
    with pytest.warns(DataAlteredWarning, match=r"data\.name") as told:
        pm.start(4, {"name": "  Ana "}, event="node_1")
    assert len(told) == 1
    assert told[0].filename.endswith(("test_start.py", "conftest.py", "runners.py", "events.py"))


def test_altered_data_can_be_refused_or_accepted_for_one_start(pm: Any, sandbox: Sandbox) -> None:
    with pytest.raises(InvalidData, match=r"data\.name"):
        pm.start(4, {"name": " x "}, event="node_1", on_altered_data="error")
    assert sandbox.calls == []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pm.start(4, {"name": " x "}, event="node_1", on_altered_data="ignore")


@pytest.mark.parametrize("name", ["on_altered_data", "on_reused_key"])
def test_an_empty_policy_is_not_taken_for_the_client_s(pm: Any, sandbox: Sandbox, name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name}='' is none of"):
        pm.start(4, {}, event="node_1", idempotency_key="k", **{name: ""})
    with pytest.raises(ConfigurationError, match=f"{name}='' is none of"):
        list(pm.start_many(4, [{}], event="node_1", **{name: ""}))
    assert sandbox.calls == []


@pytest.mark.parametrize("number", [10**20, 10**5000, 2**63], ids=["21 digits", "5001 digits", "2**63"])
def test_an_id_that_no_server_can_hold_is_refused_before_sending(pm: Any, sandbox: Sandbox, number: int) -> None:
    with pytest.raises(InvalidData, match=r"process a number of \d+ bits cannot be"):
        pm.start(number, event="node_1")
    for call in (pm.get, pm.tasks, pm.complete, pm.cancel, pm.wait):
        with pytest.raises(InvalidData, match=r"a number of \d+ bits is neither"):
            call(number)
    with pytest.raises(InvalidData, match=r"look_again_for=a number of \d+ bits is not a number of seconds"):
        pm.start(4, event="node_1", idempotency_key="k", look_again_for=number)
    with pytest.raises(ProcessNotFound):
        pm.start("9" * 5000, event="node_1")
    assert all(call == LISTING for call in sandbox.calls)


def test_text_that_cannot_be_sent_is_refused_before_sending(pm: Any, sandbox: Sandbox) -> None:
    with pytest.raises(InvalidData, match=r"event .*haracter 5 is half of a surrogate pair"):
        pm.start(2, event="node_\ud800")
    cannot = "this call cannot be sent: .*surrogates not allowed"
    with pytest.raises(InvalidData, match=cannot):
        pm.start("Leave \ud800")
    with pytest.raises(InvalidData, match=cannot):
        pm.find("k", process="Leave \ud800")
    with pytest.raises(InvalidData, match=cannot):
        list(pm.requests("\udfff = 1"))
    with pytest.raises(InvalidData, match=cannot):
        list(pm.requests(order_by="\udfff"))
    with pytest.raises(InvalidData, match=cannot):
        pm.files(1, name="\udfff")
    with pytest.raises(InvalidData, match=cannot):
        pm.upload(1, "\udfff", ("offer.txt", b""))
    with pytest.raises(InvalidData, match=cannot):
        pm.upload(1, "offer", ("offer\udfff.txt", b""))
    assert sandbox.calls == []


@pytest.mark.parametrize("name", ["²", "٣", "4²"])
def test_a_name_of_digits_that_are_no_number_is_a_name_like_another(pm: Any, name: str) -> None:
    with pytest.raises(ProcessNotFound, match="no process named"):
        pm.start(name)
