"""Idempotency keys and fingerprints: which keys are found again, and which starts are the same."""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from processmaker.data import alterations, check_data
from processmaker.errors import ConfigurationError, InvalidData
from processmaker.once.key import check_fingerprint_without, check_key, fingerprint_of, with_key

CASSETTES = Path(__file__).parents[1] / "cassettes" / "4.15.5"


# --- keys -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["order-1234", "a", "x" * 200, "Bestellung Größe 5", "注文.1:2_3", "50%", "it's"])
def test_a_key_of_letters_and_digits_is_accepted(key: str) -> None:
    assert check_key(key) == key


@pytest.mark.parametrize("character", "/#@+,;=!?$&*()[]{}|~^<>`.:-_%' \u00a0🎉é日")
def test_a_key_with_a_character_that_the_server_finds_again_is_accepted(character: str) -> None:
    assert check_key(f"a{character}b") == f"a{character}b"


@pytest.mark.parametrize(
    "key",
    [
        "orders/1",
        "order#1",
        "a@b.com",
        "2026-11-23 00:00:00",
        "{x}",
        "a < b > c",
        "x <y z",
        "[1, 2]",
        "👩‍💻",
        "<",
        "a>b",
    ],
)
def test_keys_that_people_have_are_accepted(key: str) -> None:
    assert check_key(key) == key


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("", "has 0 characters"),
        ("x" * 201, "has 201 characters"),
        ('say "x"', "(U+0022), and would not be found again"),
        ("a\\b", "(U+005C), and would not be found again"),
        ("a\nb", "(U+000A), and would not be found again"),
        ("a\tb", "(U+0009), and would not be found again"),
        ("a\0b", "(U+0000), and would not be found again"),
        ("a\x7fb", "(U+007F), and would not be found again"),
        ("a\x85b", "(U+0085), and would not be found again"),
        ("a\u2028b", "(U+2028), and would not be found again"),
        ("a\ud83c", "(U+D83C), and would not be found again"),
        (" order", "use 'order'"),
        ("order ", "use 'order'"),
        ("order\u00a0", "use 'order'"),
        ("\ufefforder\u200b", "use 'order'"),
        ("   ", "would be stored as None"),
        ("<b>1</b>", "use '1'"),
        ("a<b then c>d", "use 'ad'"),
        ("<br/>", "use another key"),
        ("1<!-- note -->2", "use '12'"),
        ("1<?x?>2", "use '12'"),
        ("{{x}}", "use 'x'"),
        ("x}}", "use 'x'"),
        ("{{ x", "use another key"),
        (7, "is an int, and must be a str"),
        (None, "is a NoneType, and must be a str"),
    ],
)
def test_a_key_that_would_not_be_found_again_is_refused(key: Any, reason: str) -> None:
    with pytest.raises(InvalidData, match=re.escape(reason)) as refusal:
        check_key(key)
    assert refusal.value.path == "idempotency_key"
    assert refusal.value.processed is False
    assert refusal.value.message.endswith("Nothing was sent.")
    assert str(refusal.value).encode()


@given(st.text("ab <>{}!-?/&\u00a0'", max_size=12) | st.text(max_size=6))
def test_an_accepted_key_is_stored_as_it_is_sent(key: str) -> None:
    try:
        check_key(key)
    except InvalidData:
        return
    assert alterations(with_key({}, key, "4:x")) == []
    assert alterations({"key": key}) == []
    assert '"' not in key
    assert "\\" not in key
    assert all(unicodedata.category(character) != "Cc" for character in key)


# --- fingerprints ---------------------------------------------------------------------------------------------------


def recorded_starts(name: str) -> list[tuple[int, str, dict[str, Any]]]:
    """Process, start event and body of each start in a recording."""
    starts = []
    for exchange in yaml.safe_load((CASSETTES / f"{name}.yaml").read_text())["interactions"]:
        request = exchange["request"]
        if found := re.search(r"/process_events/(\d+)\?event=(\w+)", request["uri"]):
            starts.append((int(found[1]), found[2], json.loads(request["body"])))
    return starts


@pytest.mark.parametrize(
    ("name", "count"),
    [("start_with_key_and_fingerprint", 1), ("subprocess_copies_the_fingerprint", 2), ("fingerprint_after_a_task", 1)],
)
def test_a_fingerprint_is_the_one_in_the_recordings(name: str, count: int) -> None:
    starts = recorded_starts(name)
    assert len(starts) == count
    for process_id, event_id, body in starts:
        recorded = body["_idempotency_fingerprint"]
        assert fingerprint_of(process_id, event_id, body) == recorded
        own = {name: value for name, value in body.items() if not name.startswith("_idempotency_")}
        assert fingerprint_of(process_id, event_id, own) == recorded
        assert with_key(own, body["_idempotency_key"], recorded) == body


DATA: dict[str, Any] = {"amount": 12.5, "items": [{"n": 1, "text": "é"}], "_note": None}
FINGERPRINT = fingerprint_of(4, "node_1", DATA)


@pytest.mark.parametrize(
    "same",
    [
        {"_note": None, "items": [{"text": "é", "n": 1}], "amount": 12.5},
        {**DATA, "items": [{"n": 1.0, "text": "é"}]},
        {**DATA, "_idempotency_key": "order-1", "_idempotency_fingerprint": "4:x"},
    ],
    ids=["another order", "a whole float", "with a key"],
)
def test_data_that_the_server_stores_alike_has_one_fingerprint(same: dict[str, Any]) -> None:
    assert fingerprint_of(4, "node_1", same) == FINGERPRINT


@pytest.mark.parametrize(
    "other",
    [
        (5, "node_1", DATA),
        (4, "node_2", DATA),
        (4, "node_1", {**DATA, "amount": 12}),
        (4, "node_1", {**DATA, "amount": "12.5"}),
        (4, "node_1", {**DATA, "more": None}),
        (4, "node_1", {**DATA, "items": []}),
        (4, "node_1", {}),
    ],
)
def test_another_start_has_another_fingerprint(other: tuple[int, str, dict[str, Any]]) -> None:
    assert fingerprint_of(*other) != FINGERPRINT


def test_a_fingerprint_names_its_process() -> None:
    assert re.fullmatch(r"4:[0-9a-f]{32}", FINGERPRINT)


@pytest.mark.parametrize(
    ("number", "same", "stored_alike"),
    [
        (3.0, 3, True),
        (-3.0, -3, True),
        (-0.0, 0, True),
        (1e16, 10**16, True),
        (1e17, 10**17, False),
        (3.5, 3, False),
        (True, 1, False),
    ],
)
def test_a_float_without_a_fraction_counts_as_the_integer_that_the_server_stores(
    number: float, same: int, stored_alike: bool
) -> None:
    one, other = (fingerprint_of(4, "node_1", {"a": {"b": [value]}}) for value in (number, same))
    assert (one == other) is stored_alike


def test_fields_can_be_left_out_of_a_fingerprint_at_the_top_level_only() -> None:
    first = {"n": 1, "submitted_at": "10:00", "rows": [{"submitted_at": "10:00"}]}
    later = {**first, "submitted_at": "10:05"}
    without = fingerprint_of(4, "node_1", first, ("submitted_at",))
    assert fingerprint_of(4, "node_1", later, ["submitted_at"]) == without
    assert fingerprint_of(4, "node_1", later) != fingerprint_of(4, "node_1", first)
    assert fingerprint_of(4, "node_1", {**first, "rows": [{}]}, ("submitted_at",)) != without


@given(st.dictionaries(st.text(max_size=3), st.integers() | st.floats(allow_nan=False) | st.text(max_size=3)))
def test_a_fingerprint_does_not_change_the_data(data: dict[str, Any]) -> None:
    try:
        data = check_data(data)
    except InvalidData:
        return
    before = repr(data)
    fingerprint_of(4, "node_1", data)
    assert repr(data) == before


def test_deep_data_from_a_deep_stack_is_an_error_of_ours() -> None:
    inner: Any = 1
    for _ in range(498):
        inner = {"a": inner}
    assert fingerprint_of(4, "node_1", {"a": inner})

    def from_deep(frames: int) -> str:
        return from_deep(frames - 1) if frames else fingerprint_of(4, "node_1", {"a": inner})

    with pytest.raises(InvalidData, match="so deep a stack"):
        from_deep(600)


@pytest.mark.parametrize("names", [(), ("a", "b"), ["a"], {"a"}, frozenset({"a"})])
def test_fields_to_leave_out_are_a_collection_of_names(names: Any) -> None:
    assert check_fingerprint_without(names) == tuple(names)


@pytest.mark.parametrize("names", ["submitted_at", [1], None, 3, iter(["a"])])
def test_other_fields_to_leave_out_are_a_configuration_error(names: Any) -> None:
    with pytest.raises(ConfigurationError, match=r'fingerprint_without=.*such as \("submitted_at",\)'):
        check_fingerprint_without(names)


# --- both fields in data --------------------------------------------------------------------------------------------


def test_the_key_and_the_fingerprint_are_added_to_a_copy_of_the_data() -> None:
    data = {"days": 1}
    stored = with_key(data, "order-1", "4:x")
    assert stored == {"days": 1, "_idempotency_key": "order-1", "_idempotency_fingerprint": "4:x"}
    assert data == {"days": 1}


def test_the_key_and_the_fingerprint_are_not_announced_as_altered() -> None:
    assert alterations(with_key({}, "order-1", FINGERPRINT)) == []


@pytest.mark.parametrize(
    ("field", "way_out"),
    [
        ("_idempotency_key", "Give it to start, as idempotency_key="),
        ("_idempotency_fingerprint", r"is where the idempotency fingerprint is stored\..* Leave it out"),
    ],
)
def test_a_caller_s_data_has_neither_field(field: str, way_out: str) -> None:
    with pytest.raises(InvalidData, match=way_out) as refusal:
        check_data({field: "4:x"})
    assert refusal.value.path == f"data.{field}"
    assert check_data({"a": {field: "4:x"}})
