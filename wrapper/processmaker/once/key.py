"""Idempotency keys and fingerprints: what identifies a start, and the payload it was made with.

A start with a key stores two top-level fields beside its data: the key, by which its Request is found again, and a
fingerprint of the process, the start event and the data. A Request with the same key and another fingerprint was
started with other data.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Collection, Mapping
from hashlib import sha256
from typing import Any

from ..data import IDEMPOTENCY_FINGERPRINT, IDEMPOTENCY_KEY, a_kind, invalid, stored_text, too_deep_for_the_stack
from ..errors import ConfigurationError, InvalidData, short_repr

MAX_KEY_LENGTH = 200
"""Characters. The server compares only the first 255 (observed on 4.15.5); what it adds to a key needs some room."""

_NEVER_FOUND = '"\\'
"""Not found however they are escaped in PMQL (observed on 4.15.5)."""

_REFUSED_CATEGORIES = ("Cc", "Cs", "Zl", "Zp")
"""Unicode's categories of control characters, halves of surrogate pairs, and separators of lines and paragraphs."""


def check_key(key: str) -> str:
    """Return the idempotency key if a Request can be found by it.

    Args:
        key: 1 to 200 characters of any script, emoji and punctuation included. Refused are quotation marks,
            backslashes, control characters, and what the server would change: blanks at either end, HTML tags,
            `{{` and `}}`.

    Raises:
        InvalidData: the server would not find a Request by this key. The message names the reason.
    """
    if not isinstance(key, str):
        raise _invalid(f"is {a_kind(key)}, and must be a str", "use str(…)")
    if not 1 <= len(key) <= MAX_KEY_LENGTH:
        raise _invalid(
            f"has {len(key)} characters, and must have 1 to {MAX_KEY_LENGTH}",
            "the server compares only the beginning of long keys: use a hash of it, such as its SHA-256",
        )
    for character in key:
        if character in _NEVER_FOUND or unicodedata.category(character) in _REFUSED_CATEGORIES:
            words = f"{key!r} holds {character!r} (U+{ord(character):04X}), and would not be found again"
            raise _invalid(words, "leave that character out")
    stored = stored_text(key)
    if stored != key:
        way_out = f"use {stored!r}" if stored and stored_text(stored) == stored else "use another key"
        raise _invalid(
            f"{key!r} would be stored as {stored!r}, and not be found again",
            f"the server trims a key and strips HTML tags, {{{{ and }}}} from it: {way_out}",
        )
    return key


def fingerprint_of(process_id: int, event_id: str, data: Mapping[str, Any], without: Collection[str] = ()) -> str:
    """Return the fingerprint of a start, such as `4:1c30f6b508c62ba983c90bd2d6b0ba1f`.

    It is the same for data that the server stores alike: the order of keys does not count, and 3.0 counts as 3.

    Args:
        process_id: the process. It stands in the fingerprint, so that the copy of the data which a sub-process or a
            signal makes is recognised as one.
        event_id: the node id of the start event.
        data: the data as it is sent (what `check_data` returned), with or without the two fields of this module.
        without: top-level keys that do not count, such as a time that each attempt computes anew.

    Raises:
        InvalidData: the data is nested too deep for what is left of the call stack.
    """
    left_out = {IDEMPOTENCY_KEY, IDEMPOTENCY_FINGERPRINT, *without}
    counted = {name: value for name, value in data.items() if name not in left_out}
    try:
        text = json.dumps(
            [event_id, _with_whole_numbers(counted)],
            sort_keys=True,
            separators=(",", ":"),
            ensure_ascii=False,
            allow_nan=False,
        )
    except RecursionError:
        raise too_deep_for_the_stack() from None
    return f"{process_id}:{sha256(text.encode()).hexdigest()[:32]}"


def check_fingerprint_without(without: Collection[str]) -> tuple[str, ...]:
    """Return the top-level keys that a fingerprint leaves out, as a tuple.

    Raises:
        ConfigurationError: it is a str, or holds something else than str.
    """
    if isinstance(without, str) or not isinstance(without, Collection) or not all(isinstance(n, str) for n in without):
        raise ConfigurationError(
            f"fingerprint_without={short_repr(without)} is not a collection of str: give the names of top-level keys, "
            'such as ("submitted_at",)'
        )
    return tuple(without)


def with_key(data: Mapping[str, Any], key: str, fingerprint: str) -> dict[str, Any]:
    """Return the data with its key and fingerprint. `check_data` has made sure that it held neither."""
    return {**data, IDEMPOTENCY_KEY: key, IDEMPOTENCY_FINGERPRINT: fingerprint}


def _with_whole_numbers(value: Any) -> Any:
    """The value with 3 in place of 3.0, up to 1e16: the server stores both as 3 (observed on 4.15.5).

    Loops instead of comprehensions: in Python 3.11 a comprehension takes a second stack frame for each level.
    """
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) <= 1e16 else value
    if isinstance(value, dict):
        members = {}
        for name, member in value.items():
            members[name] = _with_whole_numbers(member)
        return members
    if isinstance(value, list):
        items = []
        for item in value:
            items.append(_with_whole_numbers(item))  # noqa: PERF401
        return items
    return value


def _invalid(what: str, way_out: str) -> InvalidData:
    return invalid(f"idempotency_key {what}", way_out, "idempotency_key")
