"""What is a journal, and what is not."""

from __future__ import annotations

import os
import socket
import threading
from functools import partial
from typing import Any

import pytest
from memory_journal import AsyncOver
from processmaker import ConfigurationError
from processmaker.journal import DEFAULT_LEASE, MemoryJournal, RedisJournal, SQLiteJournal
from processmaker.journal.protocol import STEPS, check_journal, new_owner


def refused(journal: object) -> str:
    with pytest.raises(ConfigurationError) as error:
        check_journal(journal)
    return str(error.value)


def changed(journal: object, **members: Any) -> Any:
    """The same journal, with other members; None takes one away."""
    names = ("lease", "entries", *STEPS)
    kept = {name: getattr(journal, name) for name in names} | members
    kind = type("Changed", (), {})
    found = kind()
    vars(found).update({name: member for name, member in kept.items() if member is not None})
    return found


def test_a_journal_is_blocking_or_asynchronous(tmp_path: Any) -> None:
    with SQLiteJournal(tmp_path / "starts.db") as sqlite:
        for journal in (MemoryJournal(), sqlite, RedisJournal.from_url("redis://localhost"), changed(MemoryJournal())):
            assert check_journal(journal) == "blocking"
    asynchronous = AsyncOver(MemoryJournal())
    assert check_journal(asynchronous) == "async"
    assert check_journal(changed(asynchronous, reserve=partial(asynchronous.reserve))) == "async"
    # A method that returns an asynchronous iterator does not have to be a generator.
    assert check_journal(changed(asynchronous, entries=lambda **options: asynchronous.entries(**options))) == "async"


@pytest.mark.parametrize("kind", [MemoryJournal, AsyncOver, SQLiteJournal])
def test_a_class_is_no_journal(kind: type) -> None:
    assert "is no journal: it is a class" in refused(kind)


@pytest.mark.parametrize("name", [*STEPS, "entries", "lease"])
def test_what_lacks_a_method_is_no_journal(name: str) -> None:
    words = refused(changed(MemoryJournal(), **{name: None}))
    assert f"it lacks {name}; see processmaker.journal.Journal" in words


def test_what_is_something_else_is_no_journal() -> None:
    assert "is no journal: it lacks reserve, sending, started" in refused("starts.db")
    assert refused(None)


@pytest.mark.parametrize("lease", [0, -1, float("nan"), True, "90", None])
def test_a_journal_has_a_lease(lease: Any) -> None:
    if lease is not None:
        assert "is not a number of seconds above 0" in refused(changed(MemoryJournal(), lease=lease))
    with pytest.raises(ConfigurationError, match=r"lease=.* is not a number of seconds above 0"):
        MemoryJournal(lease=lease)
    journal = MemoryJournal()
    with pytest.raises(ConfigurationError, match=r"lease=.* is not a number of seconds above 0"):
        journal.lease = lease
    assert journal.lease == DEFAULT_LEASE == 90.0


@pytest.mark.parametrize("name", STEPS)
def test_a_journal_that_is_half_blocking_is_refused(name: str) -> None:
    blocking = MemoryJournal()
    asynchronous = AsyncOver(blocking)
    mixed = changed(asynchronous, **{name: getattr(blocking, name)})
    assert "half blocking and half asynchronous" in refused(mixed)
    assert name in refused(changed(blocking, **{name: getattr(asynchronous, name)}))


def test_an_owner_is_one_call_and_names_its_machine_process_and_thread() -> None:
    first, second = new_owner(), new_owner()
    assert first != second
    assert first.rpartition(":")[0] == f"{socket.gethostname()}:{os.getpid()}:{threading.get_ident()}"
