"""The data of a start: what can be sent, what the server makes of it, and the idempotency key in it."""

from __future__ import annotations

import json
import re
import sys
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import is_dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from math import isfinite
from pathlib import PurePath
from reprlib import Repr
from typing import Any, Literal, get_args
from uuid import UUID

from attrs import frozen, has

from ._errors import ConfigurationError, InvalidData

IDEMPOTENCY_KEY = "_idempotency_key"
"""The top-level key under which the idempotency key is stored: searchable, and hidden from forms."""

KEY_LENGTH = 200
"""Characters of an idempotency key at most. The server compares the first 255 (observed on 4.15.5)."""

SERVERS_OWN = ("_user", "_request")
"""Top-level keys that the server fills itself (observed on 4.15.5)."""

DEPTH = 500
"""Levels of nesting at most. PHP reads 512; JSON that it does not read becomes empty data, silently (4.15.5)."""

NAMED_AT_MOST = 10
"""Alterations that one message names."""

OnAlteredData = Literal["warn", "error", "ignore"]


class DataAlteredWarning(UserWarning):
    """The server will store the data of a start otherwise than it is sent. The message names each place."""


# Where a value stands: the place of what holds it, what holds it, and its key there.
_Place = tuple[Any, Any, str | int] | None

_shortened = Repr()
_shortened.maxstring = _shortened.maxother = 60


def check_data(data: object) -> dict[str, Any]:
    """The data as plain dicts, lists, strings, numbers, booleans and None, which JSON can carry as they are.

    Args:
        data: a mapping with str keys; None stands for an empty one. Nested mappings become dicts, tuples become lists,
            and subclasses of str, int and float (such as a StrEnum) become their plain value.

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
    plain: dict[str, Any] = _plain(data, None, 1)
    return plain


def _plain(value: object, place: _Place, depth: int) -> Any:
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
    if depth > DEPTH:
        raise _too_deep(value, place)
    if not isinstance(value, Mapping):
        items = []
        for index, item in enumerate(value):
            items.append(_plain(item, (place, value, index), depth + 1))
        return items
    members = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise _invalid(place, f"has the key {_shortened.repr(key)}, {_a(key)}", "keys must be str")
        name = _plain_text(key, place, "has the key ")
        members[name] = _plain(item, (place, value, name), depth + 1)
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
    """One place where the server stores something else than was sent, or hides it.

    Args:
        path: where the value stands, such as `data.items[3].when`.
        sent: the value as it is sent.
        stored: the value as it will be stored.
        hidden: whether `include=data` leaves it out; it is stored all the same, and `include=summary` shows it.
    """

    path: str
    sent: Any
    stored: Any
    hidden: bool = False

    @property
    def words(self) -> str:
        if not self.hidden:
            return f"{self.path} becomes {_shortened.repr(self.stored)}"
        becomes = "" if self.stored == self.sent else f"becomes {_shortened.repr(self.stored)} and "
        return f"{self.path} {becomes}is hidden from include=data"


def alterations(data: dict[str, Any]) -> list[Alteration]:
    """What the server will store otherwise than it is sent, in the order of `data`; empty if nothing.

    Observed on 4.15.5 (and 4.12.2): strings are trimmed, and empty ones become null, at every depth; then, in strings
    that stand directly under `data`, HTML tags and `{{ }}` are stripped. That stripping comes last, so that it may
    leave blanks or an empty string, is how the server's public source has it (4.15.6); it was not observed.
    Numbers are left out: 3.0 is stored as 3.

    Args:
        data: what `check_data` returned.
    """
    found: list[Alteration] = []
    for key, value in data.items():
        hidden = key.startswith("_") and key != IDEMPOTENCY_KEY
        stored = stripped(trimmed(value)) if isinstance(value, str) else value
        if hidden or stored != value:
            found.append(Alteration(path=_path((None, data, key)), sent=value, stored=stored, hidden=hidden))
        _nested(value, (None, data, key), found)
    return found


def _nested(holder: Any, place: _Place, found: list[Alteration]) -> None:
    if isinstance(holder, dict):
        items: Iterable[tuple[str | int, Any]] = holder.items()
    elif isinstance(holder, list):
        items = enumerate(holder)
    else:
        return
    for key, value in items:
        if isinstance(value, str):
            if (stored := trimmed(value)) != value:
                found.append(Alteration(path=_path((place, holder, key)), sent=value, stored=stored))
        else:
            _nested(value, (place, holder, key), found)


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
    """What the server makes of a string at any depth."""
    return text.strip(_BLANKS) or None


def stripped(text: str | None) -> str | None:
    """What it then makes of one that stands directly under `data`."""
    if text is None:
        return None
    for tag, end in _TAGS if "<" in text else ():
        # Only up to the last end: where none is left, each beginning would be followed to the end of the text.
        head, found, tail = text.rpartition(end)
        if found:
            text = tag.sub("", head + end) + tail
    return text.replace("{{", "").replace("}}", "")


def check_on_altered_data(how: object) -> OnAlteredData:
    """`how` itself.

    Raises:
        ConfigurationError: it is none of the three.
    """
    if how not in get_args(OnAlteredData):
        raise ConfigurationError(f'on_altered_data={how!r} is none of "warn", "error" and "ignore"')
    return how  # type: ignore[return-value]


def report_alterations(data: dict[str, Any], how: OnAlteredData) -> None:
    """Says what the server will store otherwise than it is sent.

    Args:
        data: what `check_data` returned.
        how: "warn" for one DataAlteredWarning at the line that called this package; "error"; "ignore" for nothing.

    Raises:
        InvalidData: with "error", if there is anything to say.
        ConfigurationError: `how` is none of the three.
    """
    if check_on_altered_data(how) == "ignore" or not (found := alterations(data)):
        return
    more = len(found) - NAMED_AT_MOST
    places = "; ".join(alteration.words for alteration in found[:NAMED_AT_MOST]) + (
        f"; and {more} more" if more > 0 else ""
    )
    if how == "error":
        raise InvalidData(
            f'The server would alter this data: {places}. Nothing was sent, as on_altered_data is "error".',
            path=found[0].path,
        )
    warnings.warn(
        f"The server will alter this data: {places}. "
        'Send it as it will be stored, or say on_altered_data="ignore" (or "error").',
        DataAlteredWarning,
        stacklevel=_callers_level(),
    )


def _callers_level() -> int:
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


def with_key(data: dict[str, Any], key: str) -> dict[str, Any]:
    """The data with the idempotency key in it.

    Raises:
        InvalidData: it holds another one.
    """
    if data.get(IDEMPOTENCY_KEY, key) != key:
        raise InvalidData(
            f"data.{IDEMPOTENCY_KEY} is {_shortened.repr(data[IDEMPOTENCY_KEY])}, and idempotency_key is {key!r}; "
            "leave it out of the data. Nothing was sent.",
            path=f"data.{IDEMPOTENCY_KEY}",
        )
    return {**data, IDEMPOTENCY_KEY: key}
