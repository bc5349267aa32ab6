"""The data of a start or a completed task: what can be sent, what the server makes of it, and the idempotency key."""

from __future__ import annotations

import json
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import is_dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from math import isfinite
from pathlib import PurePath
from reprlib import Repr
from types import FrameType
from typing import Any, Literal
from uuid import UUID

from attrs import frozen, has

from .errors import ConfigurationError, InvalidData

IDEMPOTENCY_KEY = "_idempotency_key"
"""The top-level key under which the idempotency key is stored: searchable, and hidden from forms."""

KEY_LENGTH = 200
"""Characters of an idempotency key at most. The server compares the first 255 (observed on 4.15.5)."""

SERVERS_OWN = ("_user", "_request")
"""Top-level keys that the server fills itself (observed on 4.15.5)."""

DEPTH = 500
"""Levels of nesting at most. PHP reads 512; JSON that it does not read becomes empty data, silently (4.15.5)."""

DEEP, FRAMES = 50, 200
"""Levels of nesting from which on the caller's stack is looked at, and the frames that sending takes besides them."""

NAMED_AT_MOST = 10
"""Alterations that one message names."""

OnAlteredData = Literal["warn", "error", "ignore"]


class DataAlteredWarning(UserWarning):
    """The server will store data otherwise than it is sent, or not give it back so. The message names each place."""


# Where a value stands: the place of what holds it, what holds it, and its key there.
_Place = tuple[Any, Any, str | int] | None

_shortened = Repr()
_shortened.maxstring = _shortened.maxother = 60


def check_data(data: object, *, completing: bool = False) -> dict[str, Any]:
    """The data as plain dicts, lists, strings, numbers, booleans and None, which JSON can carry as they are.

    Args:
        data: a mapping with str keys; None stands for an empty one. Nested mappings become dicts, tuples become lists,
            and subclasses of str, int and float (such as a StrEnum) become their plain value.
        completing: whether it is a task's, and not a start's.

    Raises:
        InvalidData: the message names the place, the value and the way out.
    """
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        raise _invalid(None, f"is {_a(data)}, and must be a dict with str keys", _way_out_at_top(data))
    for key in SERVERS_OWN:
        if key in data:
            raise _invalid((None, data, key), "is the server's own", "use another key")
    if IDEMPOTENCY_KEY in data:
        if completing:
            what, way_out = "would overwrite the key that the Request was started with", "leave it out"
        else:
            what, way_out = "is where the idempotency key is stored", "give it as idempotency_key="
        raise _invalid((None, data, IDEMPOTENCY_KEY), what, way_out)
    deepest = [1]
    try:
        plain: dict[str, Any] = _plain(data, None, 1, deepest)
    except RecursionError:
        raise _stack_too_deep("so") from None
    if deepest[0] > DEEP and _frames() + deepest[0] + FRAMES > sys.getrecursionlimit():
        raise _stack_too_deep(f"{deepest[0]} levels")
    return plain


def _frames() -> int:
    """How deep the stack is."""
    frame: FrameType | None = sys._getframe()
    count = 0
    while frame:
        frame, count = frame.f_back, count + 1
    return count


def _stack_too_deep(levels: str) -> InvalidData:
    return _invalid(
        None,
        f"is nested {levels} deep, and the call comes from too deep a stack for that",
        "flatten it, or make the call from a function that is called less deeply",
    )


def _plain(value: object, place: _Place, depth: int, deepest: list[int]) -> Any:
    """One frame for each level, or deep data would meet Python's own limit first."""
    if value is None or value is True or value is False:
        return value
    if isinstance(value, str):
        return _plain_text(value, place, "")
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
        raise _invalid(place, f"is {_shortened.repr(value)}, {_a(value)}, which JSON does not have", _way_out(value))
    if depth > deepest[0]:
        deepest[0] = depth
        if depth > DEPTH:
            raise _too_deep(value, place)
    if not isinstance(value, Mapping):
        items = []
        for index, item in enumerate(value):
            items.append(_plain(item, (place, value, index), depth + 1, deepest))
        return items
    members = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise _invalid(place, f"has the key {_shortened.repr(key)}, {_a(key)}", "keys must be str")
        name = _plain_text(key, place, "has the key ")
        members[name] = _plain(item, (place, value, name), depth + 1, deepest)
    return members


def _plain_text(value: str, place: _Place, before: str) -> str:
    text = str.__str__(value)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as problem:
            what = f"{before or 'is '}{_shortened.repr(text)}, which cannot be sent as UTF-8"
            way_out = f"character {problem.start} is half of a surrogate pair: leave it out"
            raise _invalid(place, what, way_out) from None
    return text


def check_text(name: str, text: str) -> None:
    """Refuses text that cannot be sent, before anything is."""
    try:
        text.encode()
    except UnicodeEncodeError as problem:
        what = f"{name} {_shortened.repr(text)} cannot be sent as UTF-8"
        raise InvalidData(f"{what}: character {problem.start} is half of a surrogate pair; leave it out") from None


def _invalid(place: _Place, what: str, way_out: str) -> InvalidData:
    path = _path(place)
    return InvalidData(f"{path} {what}; {way_out}. Nothing was sent.", path=path)


def _too_deep(value: object, place: _Place) -> InvalidData:
    """Nesting without end shows by being too deep; looking for it earlier would cost every start."""
    seen: dict[int, _Place] = {}
    for holder, at in reversed([(value, place), *((place[1], place[0]) for place in _upwards(place))]):
        if id(holder) in seen:
            return _invalid(at, f"is {_path(seen[id(holder)])} again, without end", "send each value once")
        seen[id(holder)] = at
    return _invalid(place, f"is nested deeper than {DEPTH} levels", "the server would store nothing; flatten it")


def _upwards(place: _Place) -> Iterable[tuple[Any, Any, str | int]]:
    while place is not None:
        yield place
        place = place[0]


def _path(place: _Place) -> str:
    keys = [key for _, _, key in _upwards(place)][::-1]
    end = "…" if len(keys) > 12 else ""
    return "data" + "".join(map(_step, keys[:12])) + end


def _step(key: str | int) -> str:
    if isinstance(key, int):
        return f"[{key}]"
    if len(key) > 60:
        key = key[:60] + "…"
    if key.isidentifier():
        return f".{key}"
    return f"[{json.dumps(key, ensure_ascii=not key.isprintable())}]"


def _a(value: object) -> str:
    name = type(value).__name__
    return f"an {name}" if name[0].lower() in "aeiou" else f"a {name}"


def _way_out_at_top(data: object) -> str:
    if isinstance(data, str | bytes):
        return "JSON text is read with json.loads(…)"
    return _way_out_of_object(data) or 'put it under a key, such as {"items": …}'


_WAYS_OUT: tuple[tuple[tuple[type, ...], str], ...] = (
    ((date, time), "send .isoformat()"),
    ((timedelta,), "send .total_seconds()"),
    ((Decimal,), "send str(…), or float(…) where rounding does no harm"),
    ((bytes, bytearray, memoryview), "send text, such as .decode() or base64"),
    ((Enum,), "send its .value"),
    ((UUID, PurePath), "send str(…)"),
)


def _way_out(value: object) -> str:
    for kinds, words in _WAYS_OUT:
        if isinstance(value, kinds):
            return words
    if words := _way_out_of_object(value):
        return words
    if isinstance(value, Iterable):
        return "send list(…)"
    return "send what stands for it: a dict, list, str, number, bool or None"


def _way_out_of_object(value: object) -> str:
    if is_dataclass(value):
        return "send dataclasses.asdict(…)"
    if has(type(value)):
        return "send attrs.asdict(…)"
    if hasattr(value, "model_dump"):
        return 'send .model_dump(mode="json")'
    return ""


@frozen(kw_only=True)
class Alteration:
    """One place where the server stores something else than was sent, hides it, or gives back something else.

    Args:
        path: where the value stands, such as `data.items[3].when`.
        sent: the value as it is sent.
        stored: the value as it will be stored.
        hidden: whether `include=data` leaves it out; it is stored all the same, and `include=summary` shows it.
        loses_keys: whether it is an object whose keys are all numbers, which the API gives back as a list.
    """

    path: str
    sent: Any
    stored: Any
    hidden: bool = False
    loses_keys: bool = False

    @property
    def words(self) -> str:
        if self.loses_keys:
            # PHP keeps the keys 0, 1, 2, … of an object as a list's.
            kept = list(self.sent) != [str(index) for index in range(len(self.sent))]
            stored = "is stored with its keys, and" if kept else "has keys that are all numbers, and"
            why = ": they are all numbers" if kept else ""
            return f"{self.path} {stored} reads back as a list without them{why}"
        if not self.hidden:
            return f"{self.path} becomes {_shortened.repr(self.stored)}"
        becomes = "" if self.stored == self.sent else f"becomes {_shortened.repr(self.stored)} and "
        return f"{self.path} {becomes}is hidden from include=data"


@frozen
class Rules:
    """What the server does to strings: to those that stand directly under `data`, and to those deeper in it."""

    at_the_top: Callable[[str], str | None]
    deeper: Callable[[str], str | None]


def alterations(data: dict[str, Any], rules: Rules | None = None) -> list[Alteration]:
    """What the server will store otherwise than it is sent, or not give back so, in the order of `data`.

    Numbers are left out: 3.0 is stored as 3.

    Args:
        data: what `check_data` returned.
        rules: STARTING, unless given.
    """
    found: list[Alteration] = []
    rules = rules or STARTING
    if data and all_numbers(data):
        found.append(Alteration(path="data", sent=data, stored=data, loses_keys=True))
    for key, value in data.items():
        hidden = key.startswith("_") and key != IDEMPOTENCY_KEY
        stored = _stored(value, rules.at_the_top)
        if hidden or stored is not value:
            found.append(Alteration(path=_path((None, data, key)), sent=value, stored=stored, hidden=hidden))
        _nested(value, (None, data, key), rules.deeper, found)
    return found


def _stored(value: Any, text: Callable[[str], str | None]) -> Any:
    """The value itself, where it stays as it is."""
    if isinstance(value, str):
        stored = text(value)
        return value if stored == value else stored
    return [] if value == {} else value


def _nested(holder: Any, place: _Place, text: Callable[[str], str | None], found: list[Alteration]) -> None:
    if isinstance(holder, dict):
        items: Iterable[tuple[str | int, Any]] = holder.items()
        if holder and all_numbers(holder):
            found.append(Alteration(path=_path(place), sent=holder, stored=holder, loses_keys=True))
    elif isinstance(holder, list):
        items = enumerate(holder)
    else:
        return
    for key, value in items:
        if (stored := _stored(value, text)) is not value:
            found.append(Alteration(path=_path((place, holder, key)), sent=value, stored=stored))
        elif isinstance(value, dict | list):
            _nested(value, (place, holder, key), text, found)


# What Laravel 11 trims: PCRE's Unicode white space, NUL, and three invisible characters.
_BLANKS = (
    "\t\n\v\f\r \0\x85\xa0\u1680\u180e\u2028\u2029\u202f\u205f\u3000\ufeff\u200b\u200e"
    "\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
)

# What the server strips, in this order, each with its end: server-side tags, comments, tags.
_TAGS = (
    (re.compile(r"<\?.+?\?>", re.DOTALL), "?>"),
    (re.compile(r"<!--.+?-->", re.DOTALL), "-->"),
    (re.compile(r"</?[a-zA-Z0-9][^>]*>"), ">"),
)


def trimmed(text: str) -> str | None:
    """What the server makes of a start's strings at any depth."""
    return text.strip(_BLANKS) or None


def stripped(text: str | None) -> str | None:
    """What it then makes of one that stands directly under `data`, and of all strings of a completed task."""
    if text is None:
        return None
    for tag, end in _TAGS if "<" in text else ():
        # Only up to the last end: where none is left, each beginning would be followed to the end of the text.
        head, found, tail = text.rpartition(end)
        if found:
            text = tag.sub("", head + end) + tail
    return text.replace("{{", "").replace("}}", "")


STARTING = Rules(lambda text: stripped(trimmed(text)), trimmed)
"""Observed on 4.15.5 (and 4.12.2): strings are trimmed, and empty ones become null, at every depth; then, in strings
that stand directly under `data`, HTML tags and `{{ }}` are stripped. That stripping comes last, so that it may leave
blanks or an empty string, is how the server's public source has it (4.15.6); it was not observed."""

COMPLETING = Rules(stripped, stripped)
"""Observed on 4.15.5 (and 4.12.2): HTML tags and `{{ }}` are stripped at every depth, and nothing is trimmed."""

# PHP's is_numeric. Of it, whole numbers, 01, -1 and 1.5 were observed (4.15.5).
_NUMBER = re.compile(r"[ \t\n\r\v\f]*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?[ \t\n\r\v\f]*", re.ASCII)


def all_numbers(holder: dict[str, Any]) -> bool:
    """Whether all keys are numbers: the API then gives back a list of the values (observed on 4.15.5)."""
    return all(_NUMBER.fullmatch(key) for key in holder)


def check_on_altered_data(how: object) -> OnAlteredData:
    """`how` itself.

    Raises:
        ConfigurationError: it is none of the three.
    """
    if how not in ("warn", "error", "ignore"):
        raise ConfigurationError(f'on_altered_data={how!r} is none of "warn", "error" and "ignore"')
    return how


def report_alterations(data: dict[str, Any], how: OnAlteredData, rules: Rules = STARTING) -> None:
    """Says what the server will store otherwise than it is sent, or not give back so.

    Args:
        data: what `check_data` returned.
        how: "warn" for one DataAlteredWarning at the line that called this package; "error"; "ignore" for nothing.
        rules: STARTING or COMPLETING.

    Raises:
        InvalidData: with "error", if there is anything to say.
        ConfigurationError: `how` is none of the three.
    """
    if check_on_altered_data(how) == "ignore" or not (found := alterations(data, rules)):
        return
    more = len(found) - NAMED_AT_MOST
    places = "; ".join(alteration.words for alteration in found[:NAMED_AT_MOST]) + (
        f"; and {more} more" if more > 0 else ""
    )
    stored_so = all(alteration.loses_keys for alteration in found)
    if how == "error":
        would = "would not give this data back as it is sent" if stored_so else "would alter this data"
        raise InvalidData(
            f'The server {would}: {places}. Nothing was sent, as on_altered_data is "error".', path=found[0].path
        )
    will = "will not give this data back as it is sent" if stored_so else "will alter this data"
    way_out = "Give it a key that is no number" if stored_so else "Send it as it will be stored"
    warnings.warn(
        f'The server {will}: {places}. {way_out}, or say on_altered_data="ignore" (or "error").',
        DataAlteredWarning,
        stacklevel=callers_level(),
    )


def callers_level() -> int:
    """The stack level, as `warnings.warn` counts it, of the nearest frame outside this package."""
    package = __name__.partition(".")[0]
    frame, level = sys._getframe(1), 1
    while frame.f_back and str(frame.f_globals.get("__name__")).partition(".")[0] == package:
        frame, level = frame.f_back, level + 1
    return level


def check_key(key: str) -> str:
    """The idempotency key itself: 1 to 200 letters and digits of any script, `. : - _ % '`, and blanks inside.

    Raises:
        InvalidData: it could not be found again; the message names the character and the reason.
    """
    path = "idempotency_key"
    if not isinstance(key, str):
        raise InvalidData(f"idempotency_key is {_a(key)}, and must be a str; use str(…)", path=path)
    if not 1 <= len(key) <= KEY_LENGTH:
        raise InvalidData(
            f"idempotency_key has {len(key)} characters, and must have 1 to {KEY_LENGTH}: "
            "the server compares only the beginning of longer ones; use a hash of it, such as its SHA-256",
            path=path,
        )
    if key != key.strip(" "):
        raise InvalidData(
            f"idempotency_key {key!r} begins or ends with a blank, which the server trims, so that it would "
            "not be found again; use .strip()",
            path=path,
        )
    for character in key:
        if not (character.isalnum() or character in ".:-_%' "):
            why = (
                "is never found again (observed on 4.15.5)" if character in '"\\' else "was not seen to be found again"
            )
            raise InvalidData(
                f"idempotency_key {key!r} holds {character!r} (U+{ord(character):04X}), and a key with that {why}; "
                "use letters, digits, . : - _ % ' and blanks",
                path=path,
            )
    return key


def check_key_lifetime(age: timedelta | None) -> timedelta | None:
    """How old a Request may be to be found by its key, itself.

    Raises:
        ConfigurationError: it is no length of time from an hour.
    """
    if age is not None and (not isinstance(age, timedelta) or age < timedelta(hours=1)):
        raise ConfigurationError(
            f"key_lifetime={age!r} is not a length of time from an hour, such as timedelta(days=30); None means any age"
        )
    return age


def with_key(data: dict[str, Any], key: str) -> dict[str, Any]:
    """The data, which `check_data` returned and so holds none, with the idempotency key in it."""
    return {**data, IDEMPOTENCY_KEY: key}
