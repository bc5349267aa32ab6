"""The data of a start or a completed task: what can be sent, and what the server makes of it."""

from __future__ import annotations

import json
import re
import sys
import warnings
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from math import isfinite
from typing import Any, Literal

from attrs import field, frozen

from .errors import ConfigurationError, InvalidData, short_repr

IDEMPOTENCY_KEY = "_idempotency_key"
"""The top-level key under which the idempotency key is stored: searchable, and hidden from forms."""

IDEMPOTENCY_FINGERPRINT = "_idempotency_fingerprint"
"""The top-level key under which the fingerprint of a start with a key is stored."""

_RESERVED = {
    "_user": ("is the server's own", "use another key"),
    "_request": ("is the server's own", "use another key"),
    IDEMPOTENCY_KEY: ("is where the idempotency key is stored", "give it to start, as idempotency_key="),
    IDEMPOTENCY_FINGERPRINT: ("is where the idempotency fingerprint is stored", "leave it out"),
}
"""Top-level keys that data cannot have: those that the server fills itself (observed on 4.15.5), and our own."""

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

# Where a value stands: the place of the object or list that holds it, and its key or index there; None for the data.
_Place = tuple[Any, str | int] | None


def check_data(data: object) -> dict[str, Any]:
    """Return the data as plain dicts, lists, strings, numbers, booleans and None, which JSON can carry.

    Args:
        data: a mapping with str keys, or None for an empty one. Nested mappings become dicts, tuples become lists, and
            instances of subclasses of str, int and float (such as a StrEnum's) become their plain value.

    Raises:
        InvalidData: the message names the place, the value and the way out.
    """
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        way_out = _way_out(data) or 'put it under a key, such as {"items": …}'
        if isinstance(data, str | bytes):
            way_out = "JSON text is read with json.loads(…)"
        raise _invalid(None, f"is {a_kind(data)}, and must be a dict with str keys", way_out)
    for key, (what, way_out) in _RESERVED.items():
        if key in data:
            raise _invalid((None, key), what, way_out)
    try:
        plain: dict[str, Any] = _plain(data, None, 1)
    except RecursionError:
        raise too_deep_for_the_stack() from None
    return plain


def check_rows(rows: object) -> None:
    """Refuse what is not the data of one Request after another, although some of it can be iterated over.

    Raises:
        InvalidData: `rows` is a table, one mapping, a string, or cannot be iterated over.
    """
    is_one = isinstance(rows, Mapping | str | bytes) or type(rows).__name__ == "DataFrame"
    if is_one or not isinstance(rows, Iterable | AsyncIterable):
        way_out = _way_out(rows) or "give a list of dicts, such as [data]"
        raise invalid(f"rows is {a_kind(rows)}, and must be one dict after another", way_out, "rows")


def check_text(name: str, text: str) -> None:
    """Refuse text that cannot be sent as UTF-8.

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
    """Return the error for data whose nesting needs more of the call stack than is left."""
    return _invalid(
        None,
        "is nested too deep for a call from so deep a stack",
        "flatten it, or make the call from a function that is called less deeply",
    )


def _plain(value: object, place: _Place, depth: int) -> Any:
    """Return the value as JSON can carry it. It takes one stack frame for each level: comprehensions would take two."""
    if value is None or value is True or value is False:
        return value
    if isinstance(value, str):
        return _plain_text(value, place)
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
        is_iterable = isinstance(value, Iterable)
        otherwise = "send list(…)" if is_iterable else "send a dict, list, str, number, bool or None for it"
        what = f"is {short_repr(value)}, {a_kind(value)}, which JSON does not have"
        raise _invalid(place, what, _way_out(value) or otherwise)
    if depth > MAX_DEPTH:
        what = f"is nested deeper than {MAX_DEPTH} levels, or holds itself"
        raise _invalid(place, what, "the server would store nothing; flatten it")
    if not isinstance(value, Mapping):
        items = []
        for index, item in enumerate(value):
            items.append(_plain(item, (place, index), depth + 1))
        return items
    members = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise _invalid(place, f"has the key {short_repr(key)}, {a_kind(key)}", "keys must be str")
        name = _plain_text(key, place)
        members[name] = _plain(item, (place, name), depth + 1)
    return members


def _plain_text(value: str, place: _Place) -> str:
    text = str.__str__(value)
    if not text.isascii():
        check_text(_path(place), text)
    return text


def _invalid(place: _Place, what: str, way_out: str) -> InvalidData:
    path = _path(place)
    return invalid(f"{path} {what}", way_out, path)


def invalid(what: str, way_out: str, path: str) -> InvalidData:
    """Return the error for a value that cannot be sent: what is wrong with it, the way out, and where it stands."""
    return InvalidData(f"{what}. Nothing was sent.", hint=f"{way_out[0].upper()}{way_out[1:]}.", path=path)


def _path(place: _Place) -> str:
    """Return a place as it is written in Python: `data.items[3].when`."""
    keys: list[str | int] = []
    while place is not None:
        place, key = place
        keys.append(key)
    keys.reverse()
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
    """Return the type with its article: `a list`, `an int`."""
    name = type(value).__name__
    return f"an {name}" if name[0].lower() in "aeiou" else f"a {name}"


_WAYS_OUT = {
    "builtins.bytes": "send text, such as .decode() or base64",
    "datetime.date": "send .isoformat()",
    "datetime.time": "send .isoformat()",
    "datetime.timedelta": "send .total_seconds()",
    "decimal.Decimal": "send str(…), or float(…) if rounding does no harm",
    "enum.Enum": "send its .value",
    "numpy.generic": "send .item()",
    "numpy.ndarray": "send .tolist()",
    "pandas.DataFrame": 'use df.to_dict("records"), a list of dicts: the rows of start_many',
    "pandas.NAType": "send None",
    "pandas.NaTType": "send None",
    "pandas.Series": "send .to_dict()",
    "pathlib.PurePath": "send str(…)",
    "polars.DataFrame": "use df.to_dicts(), a list of dicts: the rows of start_many",
    "polars.Series": "send .to_list()",
    "sqlite3.Row": "send dict(row)",
    "uuid.UUID": "send str(…)",
}
"""By the library and the name of a class. None of the libraries is imported for it."""

_WAYS_OUT_BY_MEMBER = {
    "_asdict": "send ._asdict()",
    "__dataclass_fields__": "send dataclasses.asdict(…)",
    "__attrs_attrs__": "send attrs.asdict(…)",
    "model_dump": 'send .model_dump(mode="json")',
}


def _way_out(value: object) -> str:
    for kind in type(value).__mro__:
        if words := _WAYS_OUT.get(f"{kind.__module__.partition('.')[0]}.{kind.__name__}"):
            return words
    return next((words for name, words in _WAYS_OUT_BY_MEMBER.items() if hasattr(value, name)), "")


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
    """Return the text without comments and server-side tags; None if one of them is too long for the server."""
    for comment, end in _COMMENTS:
        # Only up to the last end: after it, every beginning would be followed to the end of the text.
        head, found, tail = text.rpartition(end)
        head += found
        if any(len(match[1].encode()) > MAX_COMMENT for match in comment.finditer(head)):
            return None
        text = comment.sub("", head) + tail
    return text


def _without_tags(text: str) -> str:
    if "<" not in text:
        return text
    text = _without_comments(text) or ""
    for tag in _TAGS:
        text = _without(tag, text)
    return text


def _without(tag: re.Pattern[str], text: str) -> str:
    # Only up to the last end, as for comments.
    head, end, tail = text.rpartition(">")
    return tag.sub("", head + end) + tail


TRIM = Step("trimmed", lambda text: text.strip(_BLANKS))
NULL = Step("stored as null", lambda text: text or None)
EMPTY = Step(
    f"emptied, as it has a comment of more than {MAX_COMMENT:,} bytes",
    lambda text: "" if "<" in text and _without_comments(text) is None else text,
)
STRIP_TAGS = Step("HTML tags stripped", _without_tags)
STRIP_FORM_TAGS = Step("tags of forms stripped", lambda text: _without(_FORM_TAGS, text))
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
        """Return the steps for a string under this top-level key."""
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
    """Return what the server stores for a string, and the words of the steps that changed it."""
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
    """Return what a start stores for a string that stands directly under `data`."""
    return store_text(text, STARTING.top_level)[0]


# PHP's is_numeric. Of it, whole numbers, 01, -1 and 1.5 were observed (4.15.5).
_NUMBER = re.compile(r"[ \t\n\r\v\f]*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?[ \t\n\r\v\f]*", re.ASCII)


def all_numbers(holder: Mapping[str, Any]) -> bool:
    """Return whether all keys are numbers: the API then gives back a list of the values (observed on 4.15.5)."""
    return all(_NUMBER.fullmatch(key) for key in holder)


# --- what it will alter ----------------------------------------------------------------------------------------------

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
    """Return the places where the server will alter the data, each once, in the order of the data.

    Numbers are left out: 3.0 is stored as 3.

    Args:
        data: what `check_data` returned.
        rules: STARTING or COMPLETING.
    """
    found: dict[str, dict[str, None]] = {}
    numbered = bool(data) and all_numbers(data)
    if numbered:
        _add(found, None, [LOSES_KEYS])
    for key, value in data.items():
        place = (None, _ANY if numbered else key)
        _find_alterations(value, place, rules.of_key(key), rules.nested, found)
        if key.startswith("_") and key not in (IDEMPOTENCY_KEY, IDEMPOTENCY_FINGERPRINT):
            _add(found, place, [HIDDEN])
    return [Alteration(place, tuple(kinds)) for place, kinds in found.items()]


def _find_alterations(
    value: Any, place: _Place, text: tuple[Step, ...], nested: tuple[Step, ...], found: dict[str, dict[str, None]]
) -> None:
    """Add what happens to a value, and in it. It takes one stack frame for each level."""
    if isinstance(value, str):
        if kinds := store_text(value, text)[1]:
            _add(found, place, kinds)
    elif isinstance(value, list):
        for item in value:
            _find_alterations(item, (place, _ANY), nested, nested, found)
    elif value == {}:
        _add(found, place, [BECOMES_LIST])
    elif isinstance(value, dict):
        numbered = all_numbers(value)
        if numbered:
            _add(found, place, [LOSES_KEYS])
        for key, item in value.items():
            _find_alterations(item, (place, _ANY if numbered else key), nested, nested, found)


def _add(found: dict[str, dict[str, None]], place: _Place, kinds: list[str]) -> None:
    found.setdefault(_path(place), {}).update(dict.fromkeys(kinds))


def altered_places(data: Mapping[str, Any], rules: Rules = STARTING) -> tuple[str, ...]:
    """Return the places of `alterations`, such as `("data.name", "data.items[*].code")`."""
    return tuple(alteration.place for alteration in alterations(data, rules))


def check_on_altered_data(how: object) -> OnAlteredData:
    """Return `how` if it is one of the three.

    Raises:
        ConfigurationError: it is not.
    """
    if how not in ("warn", "error", "ignore"):
        raise ConfigurationError(f'on_altered_data={how!r} is none of "warn", "error" and "ignore"')
    return how


def report_alterations(data: Mapping[str, Any], how: OnAlteredData, rules: Rules = STARTING) -> None:
    """Report what the server will alter: places and kinds, never the data.

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
    """Return the stack level, as `warnings.warn` counts it, of the nearest frame outside this package."""
    package = __name__.partition(".")[0]
    frame, level = sys._getframe(1), 1
    while frame.f_back and str(frame.f_globals.get("__name__")).partition(".")[0] == package:
        frame, level = frame.f_back, level + 1
    return level
