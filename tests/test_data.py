"""What can be sent as data, what the server makes of it, and which idempotency keys are found again."""

from __future__ import annotations

import json
import linecache
import math
import re
import warnings
from collections import UserDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st
from processmaker import DataAlteredWarning, ProcessMaker
from processmaker.data import (
    COMPLETING,
    DEPTH,
    STARTING,
    Rules,
    alterations,
    check_data,
    check_key,
    check_on_altered_data,
    report_alterations,
    with_key,
)
from processmaker.errors import ConfigurationError, InvalidData
from processmaker.sandbox import Sandbox, _data

CASSETTES = Path(__file__).parent / "cassettes"


class Colour(StrEnum):
    RED = "red"


class OldColour(str, Enum):  # noqa: UP042 - its str() is "OldColour.RED", and that must not be sent
    RED = "red"


class Size(IntEnum):
    LARGE = 3


class Plain(Enum):
    ONE = 1


@dataclass
class Leave:
    days: int


@frozen
class Order:
    number: int


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="<"))
    | st.sampled_from([" x ", "", "<b>bold</b>", "hi {{name}}", " \u00a0", "a < b", "\u200b"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab_ .17", max_size=3), inner, max_size=4),
    max_leaves=15,
)
json_objects = st.dictionaries(st.text("ab_ .17", max_size=3), json_values, max_size=5)

anything = st.recursive(
    json_values
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary(max_size=3)
    | st.datetimes()
    | st.decimals()
    | st.sampled_from([Colour.RED, OldColour.RED, Size.LARGE, Plain.ONE, Leave(1), object(), Leave]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.frozensets(st.integers(), max_size=2)
        | st.dictionaries(st.text(max_size=3) | st.integers() | st.none(), inner, max_size=3)
    ),
    max_leaves=10,
)


# What can be sent


@given(anything)
def test_data_is_either_refused_or_goes_out_unchanged_as_json_in_utf_8(data: object) -> None:
    try:
        checked = check_data(data)
    except InvalidData as problem:
        refusal = problem
    else:
        assert json.loads(json.dumps(checked, allow_nan=False, ensure_ascii=False).encode()) == checked
        return
    assert refusal.path is not None
    assert refusal.path.startswith("data")
    assert refusal.processed is False
    assert str(refusal).encode()


@given(json_objects)
def test_plain_data_is_sent_as_it_is(data: dict[str, Any]) -> None:
    assert check_data(data) == data


def test_no_data_is_an_empty_object() -> None:
    assert check_data(None) == {}
    assert check_data({}) == {}


def test_mappings_tuples_and_enums_become_what_json_has() -> None:
    class Text(str):
        __slots__ = ()

    checked = check_data(
        UserDict(a=UserDict(b=(1, [2])), c=Colour.RED, d=OldColour.RED, e=Size.LARGE, f=Text("x"), g=True)
    )
    assert checked == {"a": {"b": [1, [2]]}, "c": "red", "d": "red", "e": 3, "f": "x", "g": True}
    kinds = [type(checked[key]) for key in "acdefg"]
    assert kinds == [dict, str, str, int, str, bool]
    assert json.dumps(check_data({Colour.RED: 1})) == '{"red": 1}'


@pytest.mark.parametrize(
    ("data", "path", "way_out"),
    [
        ({"items": [0, 1, 2, {"when": datetime(2026, 1, 2)}]}, "data.items[3].when", ".isoformat()"),
        ({"day": date(2026, 1, 2)}, "data.day", ".isoformat()"),
        ({"long": timedelta(1)}, "data.long", ".total_seconds()"),
        ({"price": Decimal("1.10")}, "data.price", "str(…)"),
        ({"odd key": b"x"}, 'data["odd key"]', "base64"),
        ({"tags": {"a"}}, "data.tags", "list(…)"),
        ({"squares": (n * n for n in range(3))}, "data.squares", "list(…)"),
        ({"one": Plain.ONE}, "data.one", ".value"),
        ({"id": UUID(int=1)}, "data.id", "str(…)"),
        ({"leave": Leave(2)}, "data.leave", "dataclasses.asdict(…)"),
        ({"order": Order(2)}, "data.order", "attrs.asdict(…)"),
        ({"thing": object()}, "data.thing", "a dict, list, str, number, bool or None"),
        ({"ratio": math.nan}, "data.ratio", "None"),
        ({"ratio": [-math.inf]}, "data.ratio[0]", "None"),
        ({"big": 2**63}, "data.big", "str(…)"),
        ({"big": -(2**63) - 1}, "data.big", "str(…)"),
        ({"big": 10**5000}, "data.big", "str(…)"),
        ({"a": {1: "x"}}, "data.a", "str"),
        ({"a": {None: "x"}}, "data.a", "str"),
        ({"text": "half \ud83c"}, "data.text", "leave it out"),
        ({"a": {"\udf89": 1}}, "data.a", "leave it out"),
        ({"_user": 1}, "data._user", "another key"),
        ({"_request": 1}, "data._request", "another key"),
        ([1, 2], "data", '{"items": …}'),
        (3, "data", '{"items": …}'),
        ('{"a": 1}', "data", "json.loads(…)"),
        (Leave(2), "data", "dataclasses.asdict(…)"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_its_place_and_the_way_out(data: object, path: str, way_out: str) -> None:
    with pytest.raises(InvalidData) as refusal:
        check_data(data)
    assert refusal.value.path == path
    assert str(refusal.value).startswith(path + " ")
    assert way_out in str(refusal.value)
    assert len(str(refusal.value)) < 300


def test_integers_of_64_bits_are_sent() -> None:
    assert check_data({"a": 2**63 - 1, "b": -(2**63)}) == {"a": 2**63 - 1, "b": -(2**63)}


def test_the_servers_own_keys_may_stand_deeper() -> None:
    assert check_data({"a": {"_user": 1}}) == {"a": {"_user": 1}}


@pytest.mark.parametrize("wrap", [lambda inner: {"a": inner}, lambda inner: [inner]])
def test_data_nested_too_deep_for_php_is_refused(wrap: Callable[[Any], Any]) -> None:
    def nested(levels: int) -> dict[str, Any]:
        inner: Any = []
        for _ in range(levels - 2):
            inner = wrap(inner)
        return {"a": inner}

    assert json.dumps(check_data(nested(DEPTH))) == json.dumps(nested(DEPTH))
    with pytest.raises(InvalidData, match=f"nested deeper than {DEPTH} levels"):
        check_data(nested(DEPTH + 1))


def test_data_that_holds_itself_is_refused() -> None:
    data: dict[str, Any] = {"order": {"items": [1]}}
    data["order"]["items"].append(data["order"])
    with pytest.raises(InvalidData, match=r"data\.order\.items\[1\] is data\.order again") as refusal:
        check_data(data)
    assert refusal.value.path == "data.order.items[1]"


def test_a_value_may_stand_in_two_places() -> None:
    address = {"city": "Bern"}
    assert check_data({"from": address, "to": address}) == {"from": address, "to": address}


# What the server makes of it


def server_stores(data: dict[str, Any]) -> dict[str, Any]:
    """A second telling of the rules, to hold the first one against."""
    top = {key: trimmed(value) for key, value in data.items()}
    return {key: plain(value) if isinstance(value, str) else value for key, value in top.items()}


def trimmed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: trimmed(item) for key, item in value.items()} or []
    if isinstance(value, list):
        return [trimmed(item) for item in value]
    if isinstance(value, str):
        start, end = 0, len(value)
        while start < end and is_blank(value[start]):
            start += 1
        while start < end and is_blank(value[end - 1]):
            end -= 1
        return value[start:end] or None
    return value


def is_blank(character: str) -> bool:
    if character in "\x1c\x1d\x1e\x1f":  # white space to Python, and not to PHP
        return False
    return character.isspace() or character in "\0\u180e\ufeff\u200b\u200e"


def plain(text: str) -> str:
    return text.replace("<b>", "").replace("</b>", "").replace("{{", "").replace("}}", "")


def with_alterations(data: dict[str, Any], rules: Rules = STARTING) -> dict[str, Any]:
    """The data with what `alterations` predicts put in its places."""
    result = json.loads(json.dumps(data))
    stored = {one.path: one.stored for one in alterations(data, rules) if not one.loses_keys}

    def put(holder: Any, path: str) -> None:
        for key in list(holder) if isinstance(holder, dict) else range(len(holder)):
            simple = isinstance(key, str) and key.isidentifier()
            place = f"{path}.{key}" if simple else f"{path}[{json.dumps(key)}]"
            if (isinstance(holder[key], str) or holder[key] == {}) and place in stored:
                holder[key] = stored.pop(place)
            elif isinstance(holder[key], dict | list):
                put(holder[key], place)

    put(result, "data")
    return result  # type: ignore[no-any-return]


@pytest.mark.parametrize("version", ["4.15.5", "4.12.2"])
def test_the_alterations_are_those_a_real_server_made(version: str) -> None:
    exchanges = yaml.safe_load((CASSETTES / version / "start_data_altered_by_server.yaml").read_text())["interactions"]
    sent = json.loads(exchanges[0]["request"]["body"])
    answer = json.loads(exchanges[2]["response"]["body"]["string"])
    stored = {item["key"]: item["value"] for item in answer["summary"]}
    assert sent["big"] > 2**63, "which is refused, and not predicted"
    del sent["big"], stored["big"]

    assert with_alterations(check_data(sent)) == stored
    hidden = {alteration.path for alteration in alterations(sent) if alteration.hidden}
    assert hidden == {f"data.{key}" for key in stored if key not in answer["data"]} == {"data._hidden"}


@given(json_objects)
def test_there_are_alterations_exactly_where_the_server_stores_something_else(data: dict[str, Any]) -> None:
    found = [alteration for alteration in alterations(data) if alteration.stored != alteration.sent]
    assert with_alterations(data) == server_stores(data)
    assert (not found) == (server_stores(data) == data)


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("  x  ", "x"),
        ("\n\t x\u00a0", "x"),
        ("\ufeffx\u200b", "x"),
        ("", None),
        (" \n ", None),
        ("<b>bold</b>", "bold"),
        ('<a href="x">link</a> and <br/>', "link and "),
        ("a <!-- note --> b", "a  b"),
        ("a <?php echo 1 ?> b", "a  b"),
        ("hi {{name}}", "hi name"),
        (" {{ x }} ", " x "),
        ("<p></p>", ""),
    ],
)
def test_strings_at_the_top_are_trimmed_and_then_stripped(sent: str, stored: str | None) -> None:
    (alteration,) = alterations({"field": sent})
    assert (alteration.path, alteration.sent, alteration.stored) == ("data.field", sent, stored)
    assert alteration.words == f"data.field becomes {stored!r}"


@pytest.mark.parametrize("text", ["a < b and c > d", "x <- y", "i <b", "{x}", "5 > 3", "<>", "日本 🎉 é", "{ {x} }"])
def test_text_that_only_looks_like_html_stays(text: str) -> None:
    assert alterations({"field": text}) == []


def test_deeper_strings_are_trimmed_and_keep_their_html() -> None:
    data = {"a": {"html": "<i>kept</i>", "mustache": "{{x}}", "list": [" a ", ["", {"odd key": " b"}]]}}
    assert [alteration.words for alteration in alterations(data)] == [
        "data.a.list[0] becomes 'a'",
        "data.a.list[1][0] becomes None",
        "data.a.list[1][1][\"odd key\"] becomes 'b'",
    ]


def test_keys_that_begin_with_an_underscore_are_hidden_but_for_our_own() -> None:
    data = {"_note": "x", "_both": " x ", "_idempotency_key": "order-1", "deeper": {"_note": "x"}}
    assert [alteration.words for alteration in alterations(data)] == [
        "data._note is hidden from include=data",
        "data._both becomes 'x' and is hidden from include=data",
    ]


def test_data_that_stays_as_it_is_says_nothing() -> None:
    data = {" key ": "x", "pi": 3.0, "none": None, "list": [1, {"a": "b"}], "text": "a\n b"}
    assert alterations(data) == []
    report_alterations(data, "error")


def test_text_made_to_be_slow_is_not() -> None:
    text = "><a" * 100_000 + "<?" * 100_000 + "<!--" * 100_000
    alterations({"a": text, "b": text + ">", "c": "?>-->" + text})


@pytest.mark.parametrize("keys", [["17", "18"], ["01"], ["-1", "1.5"], [" 7", "1e3"]])
def test_an_object_whose_keys_are_all_numbers_cannot_be_read_back(keys: list[str]) -> None:
    inner = dict.fromkeys(keys, 1)
    words = "is stored with its keys, and reads back as a list without them: they are all numbers"
    assert [one.words for one in alterations(inner)] == [f"data {words}"]
    found = [one.words for one in alterations({"a": inner, "rows": [{"b": inner}], "mixed": {**inner, "x": 1}})]
    assert found == [f"data.a {words}", f"data.rows[0].b {words}"]


def test_an_object_with_the_keys_of_a_list_is_not_said_to_keep_them() -> None:
    (one,) = alterations({"a": {"0": "x", "1": "y"}})
    assert one.words == "data.a has keys that are all numbers, and reads back as a list without them"


@pytest.mark.parametrize("key", ["", "x", "1x", "1_0", "0x1f", "\u0661", "1 2", "-", "."])
def test_an_object_with_a_key_that_is_no_number_stays_one(key: str) -> None:
    assert alterations({"a": {"17": 1, key: 1}}) == []


def test_an_empty_object_becomes_a_list() -> None:
    assert [one.words for one in alterations({"a": {}, "b": [{}]})] == ["data.a becomes []", "data.b[0] becomes []"]
    assert alterations({}) == []


@pytest.mark.parametrize(
    ("sent", "stored"),
    [("<b>x</b>", "x"), ("hi {{name}}", "hi name"), ("<p></p>", ""), (" x ", " x "), ("", ""), (" <i> ", "  ")],
)
def test_strings_of_a_completed_task_are_stripped_at_every_depth_and_not_trimmed(sent: str, stored: str) -> None:
    expected = [] if sent == stored else [stored, stored, stored]
    found = alterations({"a": sent, "b": {"c": sent, "d": [sent]}}, COMPLETING)
    assert [one.stored for one in found] == expected


@given(json_objects)
def test_the_sandbox_gives_back_what_is_predicted(data: dict[str, Any]) -> None:
    def with_floats(value: Any) -> Any:
        return json.loads(json.dumps(value), parse_int=float)

    shown = {key: value for key, value in data.items() if not key.startswith("_")}
    for store, rules in ((_data.stored, STARTING), (_data.stored_by_completion, COMPLETING)):
        stored = with_floats(store(data))
        assert with_floats(with_alterations(data, rules)) == stored
        as_sent = with_floats(_data.shown(store(data))) == with_floats(shown or []) and len(shown) == len(data)
        assert as_sent == (not alterations(data, rules))


# Deep data


@pytest.mark.parametrize("nest", [lambda inner: {"a": inner}, lambda inner: [inner]])
def test_deep_data_from_a_deep_stack_is_sent_or_refused(pm: Any, sandbox: Sandbox, nest: Callable[[Any], Any]) -> None:
    inner: Any = 1
    for _ in range(DEPTH - 1):
        inner = nest(inner)

    def from_deep(frames: int) -> Any:
        return from_deep(frames - 1) if frames else pm.start(4, {"a": inner}, event="node_1")

    outcomes = []
    for frames in range(0, 800, 20):
        try:
            from_deep(frames)
        except InvalidData as refusal:
            assert "too deep a stack" in str(refusal)  # noqa: PT017
            outcomes.append(False)
        else:
            outcomes.append(True)
            assert json.dumps(sandbox.requests[-1].data) == json.dumps({"a": inner})
    assert outcomes == sorted(outcomes, reverse=True)
    assert outcomes[0]
    assert not outcomes[-1]


def test_deep_data_reaches_the_served_sandbox(sandbox: Sandbox) -> None:
    inner: Any = 1
    for level in range(DEPTH - 1):
        inner = {"a": inner} if level % 2 else [inner]
    with sandbox.serve() as url, ProcessMaker(url, token=sandbox.token()) as pm:
        request = pm.start(4, {"a": inner}, event="node_1")
        assert json.dumps(pm.get(request).data) == json.dumps({"a": inner})


# Saying so


@pytest.mark.parametrize(
    ("data", "place"), [({"a": ["<b>x</b>"]}, "data.a[0] becomes 'x'"), ({"a": {"1": 1}}, "data.a is")]
)
def test_a_completion_warns_by_its_own_rules(pm: Any, sandbox: Sandbox, data: dict[str, Any], place: str) -> None:
    for number in range(1, 5):
        pm.start(2, event="node_1")
        assert sandbox.requests[-1].id == number
    tasks = [request.tasks[0].id for request in sandbox.requests]
    with pytest.warns(DataAlteredWarning, match=re.escape(place)) as caught:
        pm.complete(tasks[0], data)
    assert caught[0].filename == __file__ or type(pm).__name__ == "Awaited"
    with pytest.raises(InvalidData, match=re.escape(place)):
        pm.complete(tasks[1], data, on_altered_data="error")
    assert sandbox.requests[1].status == "ACTIVE"
    pm.complete(tasks[1], data, on_altered_data="ignore")
    pm.complete(tasks[2], {"padded": " x ", "empty": ""})


def test_altered_data_warns_once_at_the_callers_line() -> None:
    data = {"name": " x ", "note": ""}
    with (
        ProcessMaker("https://pm.example.com", token="x", transport=Sandbox().transport()) as pm,
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always")
        with pytest.raises(Exception, match="401"):
            pm.start(4, data, event="node_1")  # this line
    (warning,) = caught
    assert warning.category is DataAlteredWarning
    assert "data.name becomes 'x'; data.note becomes None." in str(warning.message)
    assert warning.filename == __file__
    assert "# this line" in linecache.getline(warning.filename, warning.lineno)


def test_a_warning_names_ten_places_and_counts_the_rest() -> None:
    with pytest.warns(DataAlteredWarning, match=r"data\.k9 becomes None; and 3 more\.") as caught:
        report_alterations({f"k{number}": "" for number in range(13)}, "warn")
    assert len(caught) == 1
    assert "data.k10" not in str(caught[0].message)


def test_altered_data_can_be_an_error() -> None:
    with pytest.raises(InvalidData, match=r"data\.a\[0\] becomes 'x'.*Nothing was sent") as refusal:
        report_alterations({"a": [" x"]}, "error")
    assert refusal.value.path == "data.a[0]"


def test_altered_data_can_be_ignored() -> None:
    report_alterations({"a": " x"}, "ignore")


@pytest.mark.parametrize("how", ["warning", None, True])
def test_any_other_wish_is_a_configuration_error(how: Any) -> None:
    with pytest.raises(ConfigurationError, match="on_altered_data="):
        report_alterations({}, how)
    with pytest.raises(ConfigurationError, match="on_altered_data="):
        check_on_altered_data(how)


# Idempotency keys


@pytest.mark.parametrize("key", ["order-1234", "a", "x" * 200, "Bestellung Größe 5", "注文.1:2_3", "50%", "it's"])
def test_a_key_that_is_found_again_is_accepted(key: str) -> None:
    assert check_key(key) == key


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("", "has 0 characters"),
        ("x" * 201, "has 201 characters"),
        (" order", "trims"),
        ("order ", "trims"),
        ('say "x"', "never found again"),
        ("a\\b", "never found again"),
        ("a\nb", "U+000A"),
        ("a/b", "'/'"),
        ("<b>", "'<'"),
        ("{{x}}", "'{'"),
        ("a\ud83c", "U+D83C"),
        (7, "use str"),
    ],
)
def test_a_key_that_would_not_be_found_again_is_refused(key: Any, reason: str) -> None:
    with pytest.raises(InvalidData, match=re.escape(reason)) as refusal:
        check_key(key)
    assert refusal.value.path == "idempotency_key"


@given(st.text(max_size=6))
def test_an_accepted_key_reaches_the_server_as_it_is(key: str) -> None:
    try:
        check_key(key)
    except InvalidData:
        return
    assert alterations(with_key({}, key)) == []


def test_the_key_is_added_to_the_data_and_the_data_stays() -> None:
    data = {"days": 1}
    assert with_key(data, "order-1") == {"days": 1, "_idempotency_key": "order-1"}
    assert data == {"days": 1}


@pytest.mark.parametrize(
    ("completing", "way_out"), [(False, "give it as idempotency_key="), (True, "overwrite the key")]
)
def test_the_key_is_refused_in_the_data(completing: bool, way_out: str) -> None:
    with pytest.raises(InvalidData, match=way_out) as refusal:
        check_data({"_idempotency_key": "order-1"}, completing=completing)
    assert refusal.value.path == "data._idempotency_key"


def test_a_completed_task_cannot_overwrite_the_key_of_its_request(pm: Any, sandbox: Sandbox) -> None:
    first = pm.start(2, event="node_1", idempotency_key="order-1")
    (task,) = pm.tasks(first)
    with pytest.raises(InvalidData, match="overwrite the key"):
        pm.complete(task, {"_idempotency_key": "order-2"})
    assert pm.start(2, event="node_1", idempotency_key="order-1").id == first.id
    assert sandbox.requests[0].status == "ACTIVE"
