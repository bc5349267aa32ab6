"""The data of a start or a completed task: what can be sent, and what the server makes of it."""

from __future__ import annotations

import json
import re
import sys
import warnings
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Mapping
from dataclasses import is_dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from math import isfinite
from pathlib import PurePath
from typing import Any, Literal
from uuid import UUID

from attrs import field, frozen, has

from .errors import ConfigurationError, InvalidData, short_repr

IDEMPOTENCY_KEY = "_idempotency_key"
"""The top-level key under which the idempotency key is stored: searchable, and hidden from forms."""

IDEMPOTENCY_FINGERPRINT = "_idempotency_fingerprint"
"""The top-level key under which the fingerprint of a start with a key is stored."""

SERVERS_OWN = ("_user", "_request")
"""Top-level keys that the server fills itself (observed on 4.15.5)."""

MAX_DEPTH = 500
"""Levels of nesting. PHP reads 512. JSON that PHP cannot read becomes empty data, silently (observed on 4.15.5)."""

MAX_NAMED = 10
"""Places that one message names."""

OnAlteredData = Literal["warn", "error", "ignore"]


class DataAlteredWarning(UserWarning):
    """The server will store data other than it was sent, or will not give it back as it was sent.

    The message names places and what happens there, never the data itself.
    """

    hint = 'Send it as it will be stored, or say on_altered_data="ignore" (or "error").'
    """The next step, in Python's words; `str(warning)` ends with it."""

    def __str__(self) -> str:
        return f"{self.args[0]} {self.hint}"


# --- what can be sent -----------------------------------------------------------------------------------------------

# Where a value stands: the place of the object or list that holds it, that holder, and the value's key or index in it.
_Place = tuple[Any, Any, str | int] | None


def check_data(data: object, *, completing: bool = False) -> dict[str, Any]:
    """Returns the data as plain dicts, lists, strings, numbers, booleans and None, which JSON can carry.

    Args:
        data: a mapping with str keys, or None for an empty one. Nested mappings become dicts, tuples become lists, and
            instances of subclasses of str, int and float (such as a StrEnum's) become their plain value.
        completing: True for the data of a task, False for that of a start.

    Raises:
        InvalidData: the message names the place, the value and the way out.
    """
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        raise _invalid(None, f"is {a_kind(data)}, and must be a dict with str keys", _way_out_for_data(data))
    for key in SERVERS_OWN:
        if key in data:
            raise _invalid((None, data, key), "is the server's own", "use another key")
    for key, name in ((IDEMPOTENCY_KEY, "key"), (IDEMPOTENCY_FINGERPRINT, "fingerprint")):
        if key in data and completing:
            what = f"would overwrite the {name} that the Request was started with"
            raise _invalid((None, data, key), what, "leave it out")
        if key in data:
            way_out = "give it as idempotency_key=" if key == IDEMPOTENCY_KEY else "leave it out"
            raise _invalid((None, data, key), f"is where the idempotency {name} is stored", way_out)
    try:
        plain: dict[str, Any] = _plain(data, None, 1)
    except RecursionError:
        raise too_deep_for_the_stack() from None
    return plain


def check_rows(rows: object) -> None:
    """Refuses what iterates, but not over the data of one Request after another.

    Raises:
        InvalidData: `rows` is a table, one mapping, a string, or cannot be iterated over.
    """
    if not isinstance(rows, Iterable | AsyncIterable):
        problem, way_out = "cannot be iterated over", "give a list of dicts"
    elif isinstance(rows, Mapping):
        problem, way_out = "is the data of one Request", "give a list of dicts, such as [data]"
    elif isinstance(rows, str | bytes):
        problem, way_out = "is text", "read it first, such as with json.loads(…) or csv.DictReader(…)"
    elif table := _way_out_of_table(rows):
        problem, way_out = "does not iterate over its rows as dicts", table
    else:
        return
    raise invalid(f"rows is {a_kind(rows)}, which {problem}", way_out, "rows")


def check_text(name: str, text: str) -> None:
    """Refuses text that cannot be sent as UTF-8.

    Raises:
        InvalidData: the message has the name of what the text is.
    """
    try:
        text.encode()
    except UnicodeEncodeError as problem:
        what = f"{name} {short_repr(text)} cannot be sent as UTF-8"
        way_out = f"character {problem.start} is half of a surrogate pair: leave it out"
        raise invalid(what, way_out, name) from None


def too_deep_for_the_stack() -> InvalidData:
    """The error for data whose nesting needs more of the call stack than is left."""
    return _invalid(
        None,
        "is nested too deep for a call from so deep a stack",
        "flatten it, or make the call from a function that is called less deeply",
    )


def _plain(value: object, place: _Place, depth: int) -> Any:
    """The value as JSON can carry it. It takes one stack frame for each level: comprehensions would take two."""
    if value is None or value is True or value is False:
        return value
    if isinstance(value, str):
        return _plain_text(value, place, "is ")
    if isinstance(value, int):
        number = int.__index__(value)
        if not -(2**63) <= number < 2**63:
            what = f"is an integer of {number.bit_length()} bits; the server would make it a float (observed on 4.15.5)"
            raise _invalid(place, what, "send str(…)")
        return number
    if isinstance(value, float):
        if not isfinite(value):
            raise _invalid(place, f"is {float.__repr__(value)}, which JSON does not have", "send None or a string")
        return float.__float__(value)
    if not isinstance(value, Mapping | list | tuple):
        raise _invalid(place, f"is {short_repr(value)}, {a_kind(value)}, which JSON does not have", _way_out(value))
    if depth > MAX_DEPTH:
        raise _too_deep(value, place)
    if not isinstance(value, Mapping):
        items = []
        for index, item in enumerate(value):
            items.append(_plain(item, (place, value, index), depth + 1))
        return items
    members = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise _invalid(place, f"has the key {short_repr(key)}, {a_kind(key)}", "keys must be str")
        name = _plain_text(key, place, "has the key ")
        members[name] = _plain(item, (place, value, name), depth + 1)
    return members


def _plain_text(value: str, place: _Place, before: str) -> str:
    text = str.__str__(value)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as problem:
            what = f"{before}{short_repr(text)}, which cannot be sent as UTF-8"
            way_out = f"character {problem.start} is half of a surrogate pair: leave it out"
            raise _invalid(place, what, way_out) from None
    return text


def _invalid(place: _Place, what: str, way_out: str) -> InvalidData:
    path = _path(place)
    return invalid(f"{path} {what}", way_out, path)


def invalid(what: str, way_out: str, path: str) -> InvalidData:
    """The error for a value that cannot be sent: what is wrong with it, the way out, and where it stands."""
    return InvalidData(f"{what}. Nothing was sent.", hint=f"{way_out[0].upper()}{way_out[1:]}.", path=path)


def _too_deep(value: object, place: _Place) -> InvalidData:
    """The error for nesting beyond MAX_DEPTH. A value that holds itself is looked for only here, as that costs time."""
    seen: dict[int, _Place] = {}
    for holder, at in reversed([(value, place), *((place[1], place[0]) for place in _upwards(place))]):
        if id(holder) in seen:
            return _invalid(at, f"is {_path(seen[id(holder)])} again, without end", "send each value once")
        seen[id(holder)] = at
    return _invalid(place, f"is nested deeper than {MAX_DEPTH} levels", "the server would store nothing; flatten it")


def _upwards(place: _Place) -> Iterator[tuple[Any, Any, str | int]]:
    while place is not None:
        yield place
        place = place[0]


def _path(place: _Place) -> str:
    """`data.items[3].when`."""
    return _path_of([key for _, _, key in _upwards(place)][::-1])


def _path_of(keys: list[str | int]) -> str:
    return "data" + "".join(map(_step, keys[:12])) + ("…" if len(keys) > 12 else "")


_ANY = -1
"""In place of an index: all items of a list are one place."""


def _step(key: str | int) -> str:
    if isinstance(key, int):
        return "[*]" if key == _ANY else f"[{key}]"
    if len(key) > 60:
        key = key[:60] + "…"
    if key.isidentifier():
        return f".{key}"
    return f"[{json.dumps(key, ensure_ascii=not key.isprintable())}]"


def a_kind(value: object) -> str:
    """`a list`, `an int`: the type with its article."""
    name = type(value).__name__
    return f"an {name}" if name[0].lower() in "aeiou" else f"a {name}"


def _way_out_for_data(data: object) -> str:
    if isinstance(data, str | bytes):
        return "JSON text is read with json.loads(…)"
    return _way_out_of_table(data) or _way_out_of_object(data) or 'put it under a key, such as {"items": …}'


_WAYS_OUT: tuple[tuple[tuple[type, ...], str], ...] = (
    ((date, time), "send .isoformat()"),
    ((timedelta,), "send .total_seconds()"),
    ((Decimal,), "send str(…), or float(…) if rounding does no harm"),
    ((bytes, bytearray, memoryview), "send text, such as .decode() or base64"),
    ((Enum,), "send its .value"),
    ((UUID, PurePath), "send str(…)"),
)


def _way_out(value: object) -> str:
    if words := _way_out_of_object(value):
        return words
    for kinds, words in _WAYS_OUT:
        if isinstance(value, kinds):
            return words
    if isinstance(value, Iterable):
        return "send list(…)"
    return "send what stands for it: a dict, list, str, number, bool or None"


def _way_out_of_table(value: object) -> str:
    """For objects that hold many rows. They are recognised by name, so that none of their packages is imported."""
    match _library_and_name(value):
        case "pandas", "DataFrame":
            return 'give start_many df.to_dict("records")'
        case "polars", "DataFrame":
            return "give start_many df.to_dicts()"
        case "numpy", "ndarray":
            return "give its .tolist()"
    return ""


def _way_out_of_object(value: object) -> str:
    """For objects that know how to become what JSON has."""
    match _library_and_name(value):
        case "pandas", "DataFrame":
            return 'send df.to_dict("records")'
        case "pandas" | "polars", "Series":
            return "send .to_dict()" if hasattr(value, "to_dict") else "send .to_list()"
        case "pandas", "NAType" | "NaTType":
            return "send None"
        case "sqlite3", "Row":
            return "send dict(row)"
        case "numpy", name:
            return "send .tolist()" if name == "ndarray" else "send .item()"
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return "send ._asdict()"
    if is_dataclass(value):
        return "send dataclasses.asdict(…)"
    if has(type(value)):
        return "send attrs.asdict(…)"
    if hasattr(value, "model_dump"):
        return 'send .model_dump(mode="json")'
    return ""


def _library_and_name(value: object) -> tuple[str, str]:
    for kind in type(value).__mro__:
        library = kind.__module__.partition(".")[0]
        if library in ("numpy", "pandas", "polars", "sqlite3"):
            return library, kind.__name__
    return "", ""


# --- what the server makes of text ----------------------------------------------------------------------------------


@frozen
class Step:
    """One thing that the server does to a string, and how a message names it."""

    words: str
    change: Callable[[str], str | None]


# What Laravel 11 trims: PCRE's Unicode white space, NUL, and three invisible characters.
_BLANKS = (
    "\t\n\v\f\r \0\x85\xa0\u1680\u180e\u2028\u2029\u202f\u205f\u3000\ufeff\u200b\u200e"
    "\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
)

# Server-side tags and comments, in the order in which the server strips them, each with its end.
_COMMENTS = (
    (re.compile(r"<\?(?!\?>)(.+?)\?>", re.DOTALL), "?>"),
    (re.compile(r"<!--(?!-->)(.+?)-->", re.DOTALL), "-->"),
)
_TAGS = (re.compile(r"<[a-zA-Z0-9][^>]*>"), re.compile(r"</[a-zA-Z0-9][^>]*>"))

MAX_COMMENT = 8_190
"""Bytes in a comment. A longer one exceeds a limit of PHP 8.2's regular expressions, and the server stores "" in place
of the whole text (observed on 4.15.5)."""

# The form elements are those of the server's public source; form, input and button were observed (4.15.5).
_FORM_TAGS = re.compile(
    r"<[\s/]*(?:form|input|textarea|button|select|option|optgroup|fieldset|label|output)[^>]*>", re.IGNORECASE
)


def _without_comments(text: str) -> str | None:
    """The text without comments and server-side tags; None if one of them is too long for the server."""
    for comment, end in _COMMENTS:
        # Only up to the last end: after it, every beginning would be followed to the end of the text.
        head, found, tail = text.rpartition(end)
        if not found:
            continue
        head += end
        if any(len(match[1].encode()) > MAX_COMMENT for match in comment.finditer(head)):
            return None
        text = comment.sub("", head) + tail
    return text


def _without_tags(text: str) -> str:
    if "<" not in text:
        return text
    text = _without_comments(text) or ""
    for tag in _TAGS:
        head, found, tail = text.rpartition(">")
        text = tag.sub("", head + found) + tail if found else text
    return text


def _without_form_tags(text: str) -> str:
    head, found, tail = text.rpartition(">")
    return _FORM_TAGS.sub("", head + found) + tail if found else text


TRIM = Step("trimmed", lambda text: text.strip(_BLANKS))
NULL = Step("stored as null", lambda text: text or None)
EMPTY = Step(
    f"emptied, as it has a comment of more than {MAX_COMMENT:,} bytes",
    lambda text: "" if "<" in text and _without_comments(text) is None else text,
)
STRIP_TAGS = Step("HTML tags stripped", _without_tags)
STRIP_FORM_TAGS = Step("tags of forms stripped", _without_form_tags)
STRIP_BRACES = Step("{{ and }} stripped", lambda text: text.replace("{{", "").replace("}}", ""))


@frozen
class Rules:
    """What the server does to strings, step by step.

    Args:
        nested: to those deeper in the data.
        top_level: to those that stand directly under `data`.
        exceptions: what it does instead to those under certain top-level keys.
    """

    nested: tuple[Step, ...]
    top_level: tuple[Step, ...]
    exceptions: Mapping[str, tuple[Step, ...]] = field(factory=dict)

    def of_key(self, key: str) -> tuple[Step, ...]:
        """The steps for a string under this top-level key."""
        return self.exceptions.get(key, self.top_level)


_PASSWORD = (NULL, EMPTY, STRIP_TAGS, STRIP_BRACES)
_DRAWING = (TRIM, NULL, STRIP_FORM_TAGS)

STARTING = Rules(
    nested=(TRIM, NULL),
    top_level=(TRIM, NULL, EMPTY, STRIP_TAGS, STRIP_BRACES),
    exceptions={
        "password": _PASSWORD,
        "password_confirmation": _PASSWORD,
        "svg": _DRAWING,
        "bpmn": _DRAWING,
        "case_title": (TRIM, NULL, EMPTY, STRIP_TAGS),
    },
)
"""A start, observed on 4.15.5 (and on 4.12.2 without the exceptions).

By the server's public source, rich text fields of a screen keep their tags, too. That was not observed."""

COMPLETING = Rules(nested=(EMPTY, STRIP_TAGS, STRIP_BRACES), top_level=(EMPTY, STRIP_TAGS, STRIP_BRACES))
"""A completed task, observed on 4.15.5 (and on 4.12.2): strings are stripped at every depth, and nothing is trimmed."""


def store_text(text: str, steps: Iterable[Step]) -> tuple[str | None, list[str]]:
    """What the server stores for a string, and the words of the steps that changed it."""
    stored: str | None = text
    changed = []
    for step in steps:
        if stored is None:
            break
        before, stored = stored, step.change(stored)
        if stored != before:
            changed.append(step.words)
    return stored, changed


def stored_text(text: str) -> str | None:
    """What a start stores for a string that stands directly under `data`."""
    return store_text(text, STARTING.top_level)[0]


def trimmed(text: str) -> str | None:
    """What a start stores for a string deeper in the data."""
    return store_text(text, STARTING.nested)[0]


def stripped(text: str | None) -> str | None:
    """What a completed task stores for a string at any depth."""
    return None if text is None else store_text(text, COMPLETING.nested)[0]


# PHP's is_numeric. Of it, whole numbers, 01, -1 and 1.5 were observed (4.15.5).
_NUMBER = re.compile(r"[ \t\n\r\v\f]*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?[ \t\n\r\v\f]*", re.ASCII)


def all_numbers(holder: Mapping[str, Any]) -> bool:
    """Whether all keys are numbers: the API then gives back a list of the values (observed on 4.15.5)."""
    return all(_NUMBER.fullmatch(key) for key in holder)


# --- telling what it will alter -------------------------------------------------------------------------------------

LOSES_KEYS = "all keys are numbers: it reads back as a list without them"
BECOMES_LIST = "{} becomes []"
HIDDEN = "hidden from include=data"


@frozen
class Alteration:
    """A place where the server stores something else than was sent, hides it, or gives back something else.

    Args:
        place: such as `data.items[*].code`. All items of a list are one place, and so are all members of an object
            whose keys are numbers: the warnings of many starts are then one entry in Python's registry of warnings.
        kinds: what happens there, such as `trimmed`.
    """

    place: str
    kinds: tuple[str, ...]

    @property
    def words(self) -> str:
        return f"{self.place} ({', '.join(self.kinds)})"


def alterations(data: Mapping[str, Any], rules: Rules = STARTING) -> list[Alteration]:
    """The places where the server will alter the data, each once, in the order of the data.

    Numbers are left out: 3.0 is stored as 3.

    Args:
        data: what `check_data` returned.
        rules: STARTING or COMPLETING.
    """
    found: dict[str, dict[str, None]] = {}
    try:
        numbered = bool(data) and all_numbers(data)
        if numbered:
            found["data"] = {LOSES_KEYS: None}
        for key, value in data.items():
            keys = (None, _ANY if numbered else key)
            _find_alterations(value, keys, rules.of_key(key), rules.nested, found)
            if key.startswith("_") and key not in (IDEMPOTENCY_KEY, IDEMPOTENCY_FINGERPRINT):
                _add(found, keys, [HIDDEN])
    except RecursionError:
        raise too_deep_for_the_stack() from None
    return [Alteration(place, tuple(kinds)) for place, kinds in found.items()]


# The keys that lead to a value, the last one first.
_Keys = tuple[Any, str | int]


def _find_alterations(
    value: Any, keys: _Keys, text: tuple[Step, ...], nested: tuple[Step, ...], found: dict[str, dict[str, None]]
) -> None:
    """Adds what happens to a value, and in it. It takes one stack frame for each level."""
    if isinstance(value, str):
        if kinds := store_text(value, text)[1]:
            _add(found, keys, kinds)
    elif isinstance(value, list):
        for item in value:
            _find_alterations(item, (keys, _ANY), nested, nested, found)
    elif value == {}:
        _add(found, keys, [BECOMES_LIST])
    elif isinstance(value, dict):
        numbered = all_numbers(value)
        if numbered:
            _add(found, keys, [LOSES_KEYS])
        for key, item in value.items():
            _find_alterations(item, (keys, _ANY if numbered else key), nested, nested, found)


def _add(found: dict[str, dict[str, None]], keys: _Keys, kinds: list[str]) -> None:
    path: list[str | int] = []
    rest: _Keys | None = keys
    while rest:
        rest, key = rest
        path.append(key)
    found.setdefault(_path_of(path[::-1]), {}).update(dict.fromkeys(kinds))


def altered_places(data: Mapping[str, Any], rules: Rules = STARTING) -> tuple[str, ...]:
    """The places of `alterations`, such as `("data.name", "data.items[*].code")`."""
    return tuple(alteration.place for alteration in alterations(data, rules))


def check_on_altered_data(how: object) -> OnAlteredData:
    """Returns `how` if it is one of the three.

    Raises:
        ConfigurationError: it is not.
    """
    if how not in ("warn", "error", "ignore"):
        raise ConfigurationError(f'on_altered_data={how!r} is none of "warn", "error" and "ignore"')
    return how


def report_alterations(data: Mapping[str, Any], how: OnAlteredData, rules: Rules = STARTING) -> None:
    """Reports what the server will alter: places and kinds, never the data.

    Args:
        data: what `check_data` returned.
        how: "warn" for one DataAlteredWarning at the line that called this package; "error"; "ignore" for nothing.
        rules: STARTING or COMPLETING.

    Raises:
        InvalidData: with "error", if the server will alter anything.
        ConfigurationError: `how` is none of the three.
    """
    if check_on_altered_data(how) == "ignore" or not (found := alterations(data, rules)):
        return
    places = "; ".join(alteration.words for alteration in found[:MAX_NAMED])
    if len(found) > MAX_NAMED:
        places += f"; and {len(found) - MAX_NAMED} more"
    if how == "error":
        message = f'The server would alter this data: {places}. Nothing was sent, as on_altered_data is "error".'
        raise InvalidData(message, path=found[0].place)
    warnings.warn(
        DataAlteredWarning(f"The server will alter this data: {places}."),
        stacklevel=callers_level(),
    )


def callers_level() -> int:
    """The stack level, as `warnings.warn` counts it, of the nearest frame outside this package."""
    package = __name__.partition(".")[0]
    frame, level = sys._getframe(1), 1
    while frame.f_back and str(frame.f_globals.get("__name__")).partition(".")[0] == package:
        frame, level = frame.f_back, level + 1
    return level
