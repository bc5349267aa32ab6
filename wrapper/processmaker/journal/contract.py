"""The tests that every journal has to pass, to be run on one's own with pytest:

    from processmaker.journal.contract import JournalContract

    class TestMyJournal(JournalContract):
        def make_journal(self, lease):
            return MyJournal("postgresql://…", lease=lease)

Give it a journal for tests only: what was started is removed from it.
"""

from __future__ import annotations

import asyncio
import inspect
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any, TypeVar

from .protocol import AsyncJournal, Entry, Journal, KeyedStart, is_async

T = TypeVar("T")

LONG, SHORT = 3600.0, 0.01
"""Seconds of a lease: one that does not end during a test, and one that has ended after a moment."""

AT_ONCE = 8
"""Callers at the same moment."""


class JournalContract:
    """The tests. `make_journal` makes the journal with that lease: a `Journal`, or an `AsyncJournal`.

    It is called several times in a test; each call makes another object, all of them over the same entries. It may be
    a coroutine function. Where an object has a `close`, that is called after the test.
    """

    def make_journal(self, lease: float) -> Any:
        """A journal with that lease, in seconds."""
        raise NotImplementedError("make_journal(self, lease) is to return the journal that is tested")

    # --- what the tests need ----------------------------------------------------------------------------------------

    def setup_method(self) -> None:
        self._made: list[Any] = []
        self._runner = asyncio.Runner()
        self._server = f"https://{secrets.token_hex(8)}.example.com"  # no other test's

    def teardown_method(self) -> None:
        for journal in self._made:
            if hasattr(journal, "close"):
                self._done(journal.close())
        self._runner.close()

    def _done(self, result: Any) -> Any:
        """The result of a step, blocking or not."""

        async def awaited() -> Any:
            return await result

        return self._runner.run(awaited()) if inspect.isawaitable(result) else result

    def _make(self, lease: float) -> Any:
        journal = self._done(self.make_journal(lease))
        self._made.append(journal)
        return journal

    def _open(self, lease: float = LONG) -> Journal:
        """A journal to test; an async one behind blocking methods."""
        made: Any = self._make(lease)
        journal: Journal = _Driven(made, self._done) if is_async(made) else made
        return journal

    def _start(self, key: str = "order-1234", process_id: int = 2) -> KeyedStart:
        return KeyedStart(self._server, process_id, key)

    def _entries(self, journal: Journal, *, started: bool = False) -> list[Entry]:
        """Those of this test, by their keys."""
        found = [entry for entry in journal.entries(started=started) if entry.start.server == self._server]
        return sorted(found, key=lambda entry: entry.start.key)

    def _taken_over(self, start: KeyedStart, owner: str) -> Entry:
        """The entry, once a caller with a short lease has taken the start over."""
        journal = self._open(SHORT)
        return self._until(lambda: journal.claim(start, owner), lambda entry: entry.mine)

    def _until(self, step: Callable[[], T], enough: Callable[[T], bool]) -> T:
        """What the step says once it is enough: clocks need a moment, and may be set back."""
        for _ in range(200):
            result = step()
            if enough(result):
                return result
            time.sleep(2 * SHORT)
        raise AssertionError(f"it did not come to that; the last answer was {result!r}")

    def _claimed_at_once(self, start: KeyedStart, lease: float) -> list[Entry]:
        """What callers are told who claim the start at the same moment, each through another object."""
        journals = [self._make(lease) for _ in range(AT_ONCE)]
        if is_async(journals[0]):

            async def all_of_them() -> list[Entry]:
                return list(
                    await asyncio.gather(*(each.claim(start, f"caller {n}") for n, each in enumerate(journals)))
                )

            return self._runner.run(all_of_them())
        ready = Barrier(AT_ONCE)

        def claim(n: int) -> Entry:
            ready.wait(60)
            entry: Entry = journals[n].claim(start, f"caller {n}")
            return entry

        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(claim, range(AT_ONCE)))

    # --- claiming ---------------------------------------------------------------------------------------------------

    def test_the_first_to_claim_a_start_may_send_it(self) -> None:
        entry = self._open().claim(self._start(), "ada")
        assert entry.mine
        assert (entry.start, entry.owner, entry.request_id, entry.taken_over) == (self._start(), "ada", None, False)

    def test_an_entry_says_since_when_with_a_time_zone(self) -> None:
        entry = self._open().claim(self._start(), "ada")
        assert entry.since.utcoffset() is not None
        assert 0 <= entry.silent_for < LONG

    def test_a_second_caller_is_told_who_is_sending(self) -> None:
        self._open().claim(self._start(), "ada")
        entry = self._open().claim(self._start(), "bob")
        assert not entry.mine
        assert (entry.owner, entry.request_id, entry.taken_over) == ("ada", None, False)

    def test_asking_does_not_make_a_silent_sender_heard(self) -> None:
        journal = self._open()
        first = journal.claim(self._start(), "ada")
        later = self._until(lambda: journal.claim(self._start(), "bob"), lambda entry: entry.silent_for > 0)
        assert later.since == first.since

    def test_a_sender_claims_anew_before_it_sends_again(self) -> None:
        journal = self._open()
        first = journal.claim(self._start(), "ada")
        anew = self._until(lambda: journal.claim(self._start(), "ada"), lambda entry: entry.since > first.since)
        assert anew.mine
        assert not anew.taken_over
        assert journal.claim(self._start(), "bob").since == anew.since

    def test_a_silent_start_is_taken_over_after_the_lease(self) -> None:
        self._open().claim(self._start(), "ada")
        entry = self._taken_over(self._start(), "bob")
        assert (entry.owner, entry.request_id, entry.taken_over) == ("bob", None, True)
        late = self._open().claim(self._start(), "ada")
        assert not late.mine
        assert (late.owner, late.taken_over) == ("bob", True)

    def test_a_start_that_was_taken_over_stays_so_when_it_is_claimed_anew(self) -> None:
        """An answer can get lost, and the claim be sent again: its sender still has to look first."""
        self._open().claim(self._start(), "ada")
        self._taken_over(self._start(), "bob")
        anew = self._open().claim(self._start(), "bob")
        assert (anew.mine, anew.taken_over) == (True, True)

    def test_one_of_those_who_claim_at_once_may_send(self) -> None:
        for n in range(5):
            entries = self._claimed_at_once(self._start(f"order-{n}"), LONG)
            (winner,) = [entry for entry in entries if entry.mine]
            assert {entry.owner for entry in entries} == {winner.owner}

    def test_one_of_those_who_claim_a_silent_start_at_once_takes_it_over(self) -> None:
        silent, lease = self._start(), 0.5
        journal = self._open()
        journal.claim(silent, "ada")
        self._until(lambda: journal.claim(silent, "bob"), lambda entry: entry.silent_for > lease)
        entries = self._claimed_at_once(silent, lease)
        (winner,) = [entry for entry in entries if entry.mine]
        assert winner.taken_over
        assert {entry.owner for entry in entries} == {winner.owner}

    def test_the_lease_of_the_one_who_claims_counts(self) -> None:
        self._open(SHORT).claim(self._start(), "ada")
        time.sleep(2 * SHORT)
        assert not self._open(LONG).claim(self._start(), "bob").mine

    # --- afterwards -------------------------------------------------------------------------------------------------

    def test_everyone_is_told_as_what_it_was_started(self) -> None:
        journal = self._open()
        journal.claim(self._start(), "ada")
        journal.started(self._start(), "ada", 2**40 + 17)
        for owner in ("ada", "bob"):
            entry = self._open(SHORT).claim(self._start(), owner)
            assert (entry.mine, entry.request_id, entry.owner) == (False, 2**40 + 17, "ada")

    def test_what_was_started_is_never_taken_over(self) -> None:
        self._open().started(self._start(), "ada", 17)
        journal = self._open(SHORT)
        self._until(lambda: journal.claim(self._start(), "bob"), lambda entry: entry.silent_for > SHORT)
        assert journal.claim(self._start(), "bob").request_id == 17

    def test_a_known_request_counts_whoever_was_sending(self) -> None:
        self._open().claim(self._start(), "ada")
        self._open().started(self._start(), "bob", 17)
        assert self._open().claim(self._start(), "ada").request_id == 17

    def test_a_known_request_counts_where_nobody_was_sending(self) -> None:
        self._open().started(self._start(), "bob", 17)
        assert self._open().claim(self._start(), "ada").request_id == 17

    def test_the_first_known_request_stays(self) -> None:
        journal = self._open()
        journal.started(self._start(), "ada", 17)
        journal.started(self._start(), "bob", 18)
        entry = journal.claim(self._start(), "eve")
        assert (entry.request_id, entry.owner) == (17, "ada")

    def test_a_start_that_was_not_processed_is_taken_back(self) -> None:
        self._open().claim(self._start(), "ada")
        self._open().release(self._start(), "ada")
        assert self._entries(self._open(), started=True) == []
        entry = self._open().claim(self._start(), "bob")
        assert (entry.mine, entry.taken_over) == (True, False)

    def test_only_its_sender_takes_a_start_back(self) -> None:
        journal = self._open()
        journal.claim(self._start(), "ada")
        journal.release(self._start(), "bob")
        assert journal.claim(self._start(), "bob").owner == "ada"

    def test_one_who_was_silent_takes_nothing_back_from_the_next(self) -> None:
        journal = self._open()
        journal.claim(self._start(), "ada")
        self._taken_over(self._start(), "bob")
        journal.release(self._start(), "ada")
        assert journal.claim(self._start(), "eve").owner == "bob"

    def test_what_was_started_is_not_taken_back(self) -> None:
        journal = self._open()
        journal.claim(self._start(), "ada")
        journal.started(self._start(), "ada", 17)
        journal.release(self._start(), "ada")
        assert journal.claim(self._start(), "bob").request_id == 17

    def test_taking_back_what_is_not_there_is_no_error(self) -> None:
        journal = self._open()
        journal.release(self._start(), "ada")
        assert self._entries(journal, started=True) == []

    # --- keeping apart ----------------------------------------------------------------------------------------------

    def test_keys_are_compared_exactly(self) -> None:
        keys = ["order", "Order", "order ", " order", "örder", "o%rder", "o_rder", "o:r", "o'r", "1", "01", "0" * 200]
        journal = self._open()
        for n, key in enumerate(keys):
            assert journal.claim(self._start(key), f"caller {n}").mine
        assert {entry.start.key: entry.owner for entry in self._entries(journal)} == {
            key: f"caller {n}" for n, key in enumerate(keys)
        }

    def test_keys_are_kept_apart_by_process_and_server(self) -> None:
        journal, other = self._open(), KeyedStart(f"{self._server}/prefix", 2, "order-1234")
        starts = [self._start(), self._start(process_id=22), other]
        for n, start in enumerate(starts):
            assert journal.claim(start, "ada").mine
            journal.started(start, "ada", n)
        assert [journal.claim(start, "bob").request_id for start in starts] == [0, 1, 2]

    # --- what is there ----------------------------------------------------------------------------------------------

    def test_what_is_being_sent_is_listed_and_on_request_what_was_started(self) -> None:
        journal = self._open()
        journal.claim(self._start("a"), "ada")
        journal.claim(self._start("b"), "bob")
        journal.started(self._start("b"), "bob", 17)
        (sent,) = self._entries(journal)
        assert (sent.start, sent.owner, sent.request_id, sent.mine) == (self._start("a"), "ada", None, False)
        assert sent.since.utcoffset() is not None
        assert 0 <= sent.silent_for < LONG
        assert [(each.start.key, each.request_id) for each in self._entries(journal, started=True)] == [
            ("a", None),
            ("b", 17),
        ]

    def test_a_start_can_be_forgotten(self) -> None:
        journal = self._open()
        journal.claim(self._start("a"), "ada")
        journal.started(self._start("b"), "ada", 17)
        assert [journal.forget(self._start(key)) for key in "abc"] == [True, True, False]
        assert self._entries(journal, started=True) == []

    def test_what_was_started_can_be_forgotten_as_that_request_only(self) -> None:
        journal = self._open()
        journal.claim(self._start("a"), "ada")
        journal.started(self._start("b"), "ada", 17)
        assert not journal.forget(self._start("a"), request_id=17)
        assert not journal.forget(self._start("b"), request_id=18)
        assert not journal.forget(self._start("c"), request_id=17)
        assert len(self._entries(journal, started=True)) == 2
        assert journal.forget(self._start("b"), request_id=17)
        assert journal.claim(self._start("b"), "bob").mine

    def test_reading_tells_and_changes_nothing(self) -> None:
        journal = self._open(SHORT)
        assert journal.read(self._start()) is None
        assert self._entries(journal, started=True) == []
        first = journal.claim(self._start(), "ada")
        later = self._until(lambda: journal.read(self._start()), lambda entry: bool(entry and entry.silent_for > SHORT))
        assert later
        assert (later.owner, later.since, later.mine, later.request_id) == ("ada", first.since, False, None)
        journal.started(self._start(), "ada", 17)
        entry = journal.read(self._start())
        assert entry
        assert (entry.start, entry.request_id) == (self._start(), 17)

    def test_old_entries_of_what_was_started_are_dropped_and_no_others(self) -> None:
        journal = self._open()
        journal.claim(self._start("being sent"), "ada")
        journal.started(self._start("started"), "ada", 17)
        journal.prune(timedelta(seconds=LONG))
        assert len(self._entries(journal, started=True)) == 2
        self._until(lambda: journal.prune(timedelta(0)), lambda dropped: dropped >= 1)
        assert [entry.start.key for entry in self._entries(journal, started=True)] == ["being sent"]

    def test_a_journal_says_its_lease(self) -> None:
        journal = self._open(LONG)
        assert journal.lease == LONG
        journal.lease = 120.5
        assert journal.lease == 120.5


class _Driven:
    """An async journal behind blocking methods."""

    def __init__(self, journal: AsyncJournal, done: Callable[[Any], Any]) -> None:
        vars(self).update(_journal=journal, _done=done)

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._journal, name)
        if name == "entries":
            return lambda **options: self._done(_listed(member(**options)))
        return (lambda *args, **options: self._done(member(*args, **options))) if callable(member) else member

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._journal, name, value)


async def _listed(entries: Any) -> list[Entry]:
    return [entry async for entry in entries]
