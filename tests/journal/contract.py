"""The tests that every journal passes, blocking or async."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from processmaker.journal import RESERVATION, Entry, Journal, KeyedStart
from processmaker.journal.protocol import check_journal

LEASE = 90.0

AT_ONCE = 8
"""Callers at the same moment."""


class JournalContract:
    """The tests. A subclass says how a journal is made, and how time passes for it.

    `make_journal` is called several times in a test. Each call returns an object over the same entries.
    """

    def make_journal(self) -> Any:
        raise NotImplementedError

    def pass_time(self, seconds: float) -> None:
        """Lets time pass for the journal; a negative number sets its clock back."""
        raise NotImplementedError

    # --- what the tests need ----------------------------------------------------------------------------------------

    def setup_method(self) -> None:
        self._made: list[Any] = []
        self._runner = asyncio.Runner()
        self._server = f"https://{secrets.token_hex(8)}.example.com"  # no other test's

    def teardown_method(self) -> None:
        for journal in self._made:
            if hasattr(journal, "close"):
                journal.close()
        self._runner.close()

    def _make(self) -> Any:
        journal = self.make_journal()
        self._made.append(journal)
        return journal

    def _open(self) -> Journal:
        """A journal to test; an async one behind blocking methods."""
        made = self._make()
        journal: Journal = Driven(made, self._runner.run) if check_journal(made) == "async" else made
        return journal

    def _start(self, key: str = "order-1234", process_id: int = 2) -> KeyedStart:
        return KeyedStart(self._server, process_id, key)

    def _entries(self, journal: Journal, *, started: bool = False) -> list[Entry]:
        """Those of this test, by their keys."""
        found = [entry for entry in journal.entries(started=started) if entry.start.server == self._server]
        return sorted(found, key=lambda entry: entry.start.key)

    def _reserve(self, owner: str, key: str = "order-1234", *, replace: int | None = None) -> Entry:
        (entry,) = self._open().reserve([(self._start(key), owner)], replace=replace)
        return entry

    def _read(self, key: str = "order-1234") -> Entry | None:
        return self._open().read(self._start(key))

    def _state(self, key: str = "order-1234") -> tuple[str, str, int | None] | None:
        entry = self._read(key)
        return (entry.state, entry.owner, entry.request_id) if entry else None

    def _sending(self, owner: str) -> None:
        """Makes it `sending` by the owner."""
        assert self._reserve(owner).mine
        assert self._open().sending(self._start(), owner)

    def _unknown(self, owner: str) -> None:
        self._sending(owner)
        assert self._open().unknown(self._start(), owner)

    def _started(self, owner: str, request_id: int = 17, **values: str) -> None:
        self._sending(owner)
        assert self._open().started(self._start(), owner, request_id, **values)

    # --- reserving --------------------------------------------------------------------------------------------------

    def test_the_first_to_reserve_a_start_holds_it(self) -> None:
        entry = self._reserve("ada")
        assert (entry.start, entry.state, entry.owner, entry.mine) == (self._start(), "reserved", "ada", True)
        assert (entry.request_id, entry.uuid, entry.fingerprint) == (None, None, None)
        assert self._state() == ("reserved", "ada", None)

    def test_an_entry_says_since_when_with_a_time_zone(self) -> None:
        entry = self._reserve("ada")
        assert entry.since.utcoffset() is not None
        assert 0 <= entry.age < 5
        self.pass_time(7)
        again = self._read()
        assert again
        assert 7 <= again.age < 12

    def test_another_caller_is_told_who_holds_it(self) -> None:
        self._reserve("ada")
        entry = self._reserve("bob")
        assert (entry.state, entry.owner, entry.mine) == ("reserved", "ada", False)

    def test_its_owner_reserves_anew_and_so_keeps_it_longer(self) -> None:
        self._reserve("ada")
        self.pass_time(RESERVATION - 1)
        assert self._reserve("ada").mine
        self.pass_time(RESERVATION - 1)
        assert not self._reserve("bob").mine

    def test_asking_does_not_keep_it_longer(self) -> None:
        self._reserve("ada")
        self.pass_time(RESERVATION - 1)
        assert not self._reserve("bob").mine
        self.pass_time(2)
        assert self._reserve("bob").mine

    def test_a_reservation_ends_by_itself(self) -> None:
        self._reserve("ada")
        self.pass_time(RESERVATION + 1)
        entry = self._reserve("bob")
        assert (entry.state, entry.owner, entry.mine) == ("reserved", "bob", True)
        assert not self._open().sending(self._start(), "ada")

    def test_a_reservation_that_nobody_took_over_is_its_owners_after_any_time(self) -> None:
        self._reserve("ada")
        self.pass_time(3 * LEASE)
        assert self._open().sending(self._start(), "ada")

    def test_one_of_those_who_reserve_at_once_gets_it(self) -> None:
        for n in range(5):
            entries = self._reserved_at_once(f"order-{n}")
            (winner,) = [entry for entry in entries if entry.mine]
            assert {entry.owner for entry in entries} == {winner.owner}

    def test_one_of_those_who_take_it_over_at_once_gets_it(self) -> None:
        self._sending("ada")
        self.pass_time(LEASE + 1)
        entries = self._reserved_at_once("order-1234")
        (winner,) = [entry for entry in entries if entry.mine]
        assert {entry.owner for entry in entries} == {winner.owner}

    def _reserved_at_once(self, key: str) -> list[Entry]:
        """What callers are told who reserve the key at the same moment, each through another object."""
        start, journals = self._start(key), [self._make() for _ in range(AT_ONCE)]
        if check_journal(journals[0]) == "async":

            async def all_of_them() -> list[Entry]:
                reserving = (each.reserve([(start, f"caller {n}")]) for n, each in enumerate(journals))
                return [entry for (entry,) in await asyncio.gather(*reserving)]

            return self._runner.run(all_of_them())
        ready = Barrier(AT_ONCE)

        def reserve(n: int) -> Entry:
            ready.wait(60)
            (entry,) = journals[n].reserve([(start, f"caller {n}")])
            assert isinstance(entry, Entry)
            return entry

        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(reserve, range(AT_ONCE)))

    # --- many at once -----------------------------------------------------------------------------------------------

    def test_many_starts_are_reserved_in_one_step_and_told_in_order(self) -> None:
        self._reserve("bob", "b")
        self._reserve("ada", "c")
        answers = self._open().reserve([(self._start(key), "ada") for key in "dbca"])
        assert [(each.start.key, each.owner, each.mine) for each in answers] == [
            ("d", "ada", True),
            ("b", "bob", False),
            ("c", "ada", True),
            ("a", "ada", True),
        ]

    def test_of_a_start_that_is_reserved_twice_in_one_step_the_second_is_not_mine(self) -> None:
        starts = [(self._start("a"), "row 1"), (self._start("b"), "row 2"), (self._start("a"), "row 3")]
        answers = self._open().reserve([*starts, starts[1]])
        assert [(each.owner, each.mine) for each in answers] == [
            ("row 1", True),
            ("row 2", True),
            ("row 1", False),
            ("row 2", False),
        ]

    def test_nothing_is_reserved_of_no_starts(self) -> None:
        assert self._open().reserve([]) == []

    def test_a_thousand_starts_are_reserved_in_one_step(self) -> None:
        answers = self._open().reserve([(self._start(f"order-{n}"), f"row {n}") for n in range(1000)])
        assert [each.owner for each in answers if each.mine] == [f"row {n}" for n in range(1000)]

    # --- sending ----------------------------------------------------------------------------------------------------

    def test_its_owner_records_that_it_is_sending(self) -> None:
        self._reserve("ada")
        self.pass_time(5)
        assert self._open().sending(self._start(), "ada")
        entry = self._read()
        assert entry
        assert (entry.state, entry.owner) == ("sending", "ada")
        assert entry.age < 4

    def test_a_lost_reservation_cannot_be_sent(self) -> None:
        self._reserve("ada")
        self.pass_time(RESERVATION + 1)
        self._reserve("bob")
        assert not self._open().sending(self._start(), "ada")
        assert self._state() == ("reserved", "bob", None)

    @pytest.mark.parametrize("state", ["nothing", "unknown", "started"])
    def test_only_a_reservation_can_be_sent(self, state: str) -> None:
        if state != "nothing":
            getattr(self, f"_{state}")("ada")
        before = self._read()
        assert not self._open().sending(self._start(), "ada")
        after = self._read()
        assert (before and (before.state, before.since)) == (after and (after.state, after.since))

    def test_what_is_sent_again_is_sending_since_then(self) -> None:
        self._sending("ada")
        self.pass_time(LEASE - 1)
        assert self._open().sending(self._start(), "ada")
        self.pass_time(LEASE - 1)
        assert not self._reserve("bob").mine

    def test_what_is_being_sent_is_taken_over_after_the_lease_and_no_earlier(self) -> None:
        self._sending("ada")
        self.pass_time(LEASE - 5)
        entry = self._reserve("bob")
        assert (entry.state, entry.owner, entry.mine) == ("sending", "ada", False)
        self.pass_time(6)
        entry = self._reserve("bob")
        assert (entry.state, entry.owner, entry.mine) == ("reserved", "bob", True)
        assert not self._open().sending(self._start(), "ada")
        assert not self._open().started(self._start(), "ada", 17)
        assert not self._open().unknown(self._start(), "ada")
        assert not self._open().release(self._start(), "ada")
        assert self._state() == ("reserved", "bob", None)

    def test_who_is_sending_cannot_reserve_it_again(self) -> None:
        self._sending("ada")
        entry = self._reserve("ada")
        assert (entry.state, entry.owner, entry.mine) == ("sending", "ada", False)

    # --- giving up --------------------------------------------------------------------------------------------------

    def test_who_gives_up_leaves_the_time_at_which_it_was_sent(self) -> None:
        self._sending("ada")
        self.pass_time(30)
        assert self._open().unknown(self._start(), "ada")
        entry = self._read()
        assert entry
        assert (entry.state, entry.owner) == ("unknown", "ada")
        assert 30 <= entry.age < 35
        self.pass_time(LEASE - 30 + 1)
        assert self._reserve("bob").mine

    def test_what_is_unknown_is_not_taken_over_before_the_lease_is_over(self) -> None:
        self._unknown("ada")
        self.pass_time(LEASE - 5)
        for owner in ("ada", "bob"):
            entry = self._reserve(owner)
            assert (entry.state, entry.owner, entry.mine) == ("unknown", "ada", False)

    def test_giving_up_twice_is_the_same(self) -> None:
        self._unknown("ada")
        assert self._open().unknown(self._start(), "ada")
        assert not self._open().unknown(self._start(), "bob")

    def test_a_reservation_is_not_given_up_but_released(self) -> None:
        self._reserve("ada")
        assert not self._open().unknown(self._start(), "ada")
        assert self._state() == ("reserved", "ada", None)

    def test_what_was_given_up_cannot_be_released(self) -> None:
        self._unknown("ada")
        assert not self._open().release(self._start(), "ada")
        assert self._state() == ("unknown", "ada", None)

    # --- started ----------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("state", ["reserve", "sending", "unknown"])
    def test_its_owner_records_its_request(self, state: str) -> None:
        getattr(self, f"_{state}")("ada")
        assert self._open().started(self._start(), "ada", 2**40 + 17, uuid="9f-1", fingerprint="2:1c30")
        for owner in ("ada", "bob"):
            entry = self._reserve(owner)
            assert (entry.state, entry.owner, entry.mine) == ("started", "ada", False)
            assert (entry.request_id, entry.uuid, entry.fingerprint) == (2**40 + 17, "9f-1", "2:1c30")

    def test_a_request_may_have_neither_a_uuid_nor_a_fingerprint(self) -> None:
        self._started("ada")
        entry = self._read()
        assert entry
        assert (entry.request_id, entry.uuid, entry.fingerprint) == (17, None, None)

    @pytest.mark.parametrize("state", ["nothing", "reserve", "sending", "unknown"])
    def test_nobody_else_records_a_request(self, state: str) -> None:
        if state != "nothing":
            getattr(self, f"_{state}")("ada")
        before = self._state()
        assert not self._open().started(self._start(), "bob", 17)
        assert self._state() == before

    def test_the_first_recorded_request_stays(self) -> None:
        self._started("ada", 17)
        assert self._open().started(self._start(), "ada", 17)  # its answer was lost
        assert not self._open().started(self._start(), "ada", 18)
        assert self._state() == ("started", "ada", 17)

    def test_what_was_started_is_never_taken_over(self) -> None:
        self._started("ada")
        self.pass_time(LEASE / 2)
        assert not self._reserve("bob").mine
        assert not self._open().release(self._start(), "ada")
        assert not self._open().unknown(self._start(), "ada")
        assert self._state() == ("started", "ada", 17)

    # --- releasing --------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("state", ["reserve", "sending"])
    def test_what_was_not_processed_is_released(self, state: str) -> None:
        getattr(self, f"_{state}")("ada")
        assert self._open().release(self._start(), "ada")
        assert self._read() is None
        assert self._entries(self._open(), started=True) == []
        assert self._reserve("bob").mine

    def test_only_its_owner_releases_it(self) -> None:
        self._reserve("ada")
        assert not self._open().release(self._start(), "bob")
        assert self._state() == ("reserved", "ada", None)

    def test_releasing_what_is_not_there_is_no_error(self) -> None:
        assert not self._open().release(self._start(), "ada")
        assert self._read() is None

    @pytest.mark.parametrize("earlier", ["sending", "unknown"])
    @pytest.mark.parametrize("sent", [False, True])
    def test_releasing_what_was_taken_over_restores_what_was_there(self, earlier: str, sent: bool) -> None:
        getattr(self, f"_{earlier}")("ada")
        self.pass_time(LEASE + 10)
        assert self._reserve("bob").mine
        if sent:
            assert self._open().sending(self._start(), "bob")
        assert self._open().release(self._start(), "bob")
        entry = self._read()
        assert entry
        assert (entry.state, entry.owner) == ("unknown", "ada")
        assert LEASE + 10 <= entry.age < LEASE + 15
        assert self._open().started(self._start(), "ada", 17)  # a late answer

    def test_what_was_there_outlives_a_chain_of_reservations(self) -> None:
        self._sending("ada")
        self.pass_time(LEASE + 1)
        for owner in ("bob", "eve", "dan"):
            assert self._reserve(owner).mine
            assert self._reserve(owner).mine
            self.pass_time(RESERVATION + 1)
        assert self._open().release(self._start(), "dan")
        assert self._state() == ("unknown", "ada", None)

    def test_of_two_unknown_starts_the_later_one_counts(self) -> None:
        self._unknown("ada")
        self.pass_time(LEASE + 1)
        self._unknown("bob")
        self.pass_time(LEASE - 5)
        assert not self._reserve("eve").mine
        self.pass_time(6)
        assert self._reserve("eve").mine
        assert self._open().release(self._start(), "eve")
        assert self._state() == ("unknown", "bob", None)

    # --- replacing a Request ----------------------------------------------------------------------------------------

    def test_the_named_request_is_replaced_by_one_caller(self) -> None:
        self._started("ada", 17, uuid="9f-1", fingerprint="2:1c30")
        entry = self._reserve("bob", replace=17)
        assert (entry.state, entry.owner, entry.mine) == ("reserved", "bob", True)
        assert (entry.request_id, entry.uuid, entry.fingerprint) == (17, "9f-1", "2:1c30")
        assert not self._reserve("eve", replace=17).mine
        assert self._reserve("bob", replace=17).mine  # its answer was lost
        assert self._open().sending(self._start(), "bob")
        assert self._state() == ("sending", "bob", 17)
        assert self._open().started(self._start(), "bob", 18)
        entry = self._reserve("eve", replace=17)
        assert (entry.state, entry.owner, entry.mine) == ("started", "bob", False)
        assert (entry.request_id, entry.uuid, entry.fingerprint) == (18, None, None)

    @pytest.mark.parametrize("replace", [None, 16])
    def test_no_other_request_is_replaced(self, replace: int | None) -> None:
        self._started("ada", 17)
        assert not self._reserve("bob", replace=replace).mine
        assert self._state() == ("started", "ada", 17)

    @pytest.mark.parametrize("sent", [False, True])
    def test_releasing_a_replacement_restores_the_request(self, sent: bool) -> None:
        self._started("ada", 17, uuid="9f-1", fingerprint="2:1c30")
        self.pass_time(30)
        self._reserve("bob", replace=17)
        if sent:
            assert self._open().sending(self._start(), "bob")
        assert self._open().release(self._start(), "bob")
        entry = self._read()
        assert entry
        assert (entry.state, entry.owner, entry.request_id) == ("started", "ada", 17)
        assert (entry.uuid, entry.fingerprint) == ("9f-1", "2:1c30")
        assert 30 <= entry.age < 35

    def test_an_unknown_replacement_names_what_it_replaces(self) -> None:
        self._started("ada", 17)
        self._reserve("bob", replace=17)
        assert self._open().sending(self._start(), "bob")
        assert self._open().unknown(self._start(), "bob")
        assert self._state() == ("unknown", "bob", 17)
        assert not self._reserve("eve", replace=17).mine
        self.pass_time(LEASE + 1)
        assert self._reserve("eve").mine
        assert self._open().release(self._start(), "eve")
        assert self._state() == ("unknown", "bob", 17)

    def test_a_replacement_whose_reservation_ended_still_restores_the_request(self) -> None:
        self._started("ada", 17)
        self._reserve("bob", replace=17)
        self.pass_time(RESERVATION + 1)
        assert self._reserve("eve").mine
        assert self._open().release(self._start(), "eve")
        assert self._state() == ("started", "ada", 17)

    # --- keeping apart ----------------------------------------------------------------------------------------------

    def test_keys_are_compared_exactly(self) -> None:
        keys = ["order", "Order", "order ", " order", "örder", "o%rder", "o_rder", "o:r", "o'r", "1", "01", "0" * 200]
        keys += ["orders/1", "order#1", "a@b.com", "a|b", "\N{GRINNING FACE}"]
        journal = self._open()
        assert all(entry.mine for entry in journal.reserve([(self._start(key), f"caller {key}") for key in keys]))
        assert {entry.start.key: entry.owner for entry in self._entries(journal)} == {
            key: f"caller {key}" for key in keys
        }

    def test_keys_are_kept_apart_by_process_and_server(self) -> None:
        journal, other = self._open(), KeyedStart(f"{self._server}/prefix", 2, "order-1234")
        starts = [self._start(), self._start(process_id=22), other]
        for n, start in enumerate(starts):
            assert journal.reserve([(start, "ada")])[0].mine
            assert journal.started(start, "ada", n)
        assert [entry.request_id for entry in journal.reserve([(start, "bob") for start in starts])] == [0, 1, 2]

    # --- what is there ----------------------------------------------------------------------------------------------

    def test_what_is_open_is_listed_and_on_request_what_was_started(self) -> None:
        journal = self._open()
        journal.reserve([(self._start(key), "ada") for key in "abcd"])
        assert journal.sending(self._start("b"), "ada")
        assert journal.sending(self._start("c"), "ada")
        assert journal.unknown(self._start("c"), "ada")
        assert journal.started(self._start("d"), "ada", 17, uuid="9f-1", fingerprint="2:1c30")
        opened = self._entries(journal)
        assert [(each.start.key, each.state, each.request_id) for each in opened] == [
            ("a", "reserved", None),
            ("b", "sending", None),
            ("c", "unknown", None),
        ]
        assert all(each.since.utcoffset() is not None and 0 <= each.age < 5 for each in opened)
        assert not any(each.mine for each in opened)
        *others, started = self._entries(journal, started=True)
        assert [each.start.key for each in others] == ["a", "b", "c"]
        assert (started.state, started.owner, started.mine) == ("started", "ada", False)
        assert (started.request_id, started.uuid, started.fingerprint) == (17, "9f-1", "2:1c30")

    def test_reading_changes_nothing(self) -> None:
        assert self._read() is None
        assert self._entries(self._open(), started=True) == []
        first = self._reserve("ada")
        self.pass_time(LEASE + 1)
        later = self._read()
        assert later
        assert (later.start, later.state, later.owner, later.mine) == (self._start(), "reserved", "ada", False)
        assert later.age > LEASE > first.age

    def test_an_entry_can_be_forgotten(self) -> None:
        journal = self._open()
        journal.reserve([(self._start(key), "ada") for key in "ab"])
        journal.started(self._start("b"), "ada", 17)
        assert [journal.forget(self._start(key)) for key in "abc"] == [True, True, False]
        assert self._entries(journal, started=True) == []

    def test_what_was_started_can_be_forgotten_as_that_request_only(self) -> None:
        journal = self._open()
        journal.reserve([(self._start(key), "ada") for key in "ab"])
        journal.started(self._start("b"), "ada", 17)
        assert not journal.forget(self._start("a"), request_id=17)
        assert not journal.forget(self._start("b"), request_id=18)
        assert not journal.forget(self._start("c"), request_id=17)
        assert len(self._entries(journal, started=True)) == 2
        assert journal.forget(self._start("b"), request_id=17)
        assert self._reserve("bob", "b").mine

    def test_a_request_that_is_being_replaced_is_not_forgotten_as_that_request(self) -> None:
        self._started("ada", 17)
        self._reserve("bob", replace=17)
        assert not self._open().forget(self._start(), request_id=17)

    def test_old_entries_of_what_was_started_are_dropped_and_no_others(self) -> None:
        journal = self._open()
        journal.reserve([(self._start(key), "ada") for key in "abcd"])
        journal.sending(self._start("b"), "ada")
        journal.sending(self._start("c"), "ada")
        journal.unknown(self._start("c"), "ada")
        journal.started(self._start("d"), "ada", 17)
        self.pass_time(50)
        journal.reserve([(self._start("e"), "ada")])
        journal.started(self._start("e"), "ada", 18)
        assert journal.prune(timedelta(seconds=60)) == 0
        assert journal.prune(timedelta(seconds=40)) == 1
        assert [each.start.key for each in self._entries(journal, started=True)] == ["a", "b", "c", "e"]

    def test_a_journal_says_its_lease(self) -> None:
        journal = self._open()
        assert journal.lease == LEASE
        journal.lease = 120.5
        assert journal.lease == 120.5

    # --- the clock --------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("state", ["reserve", "sending", "unknown"])
    def test_a_clock_that_was_set_back_neither_ends_a_lease_nor_keeps_it_for_ever(self, state: str) -> None:
        getattr(self, f"_{state}")("ada")
        self.pass_time(-500_000)
        entry = self._read()
        assert entry
        assert entry.age == 0.0
        entry = self._reserve("bob")
        assert (entry.owner, entry.mine) == ("ada", False)
        assert entry.age < 5
        self.pass_time(5)
        assert not self._reserve("bob").mine
        self.pass_time(LEASE)
        assert self._reserve("bob").mine


class Driven:
    """An async journal behind blocking methods."""

    def __init__(self, journal: Any, run: Callable[[Any], Any]) -> None:
        vars(self).update(_journal=journal, _run=run)

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._journal, name)
        if name == "entries":
            return lambda **options: iter(self._run(_listed(member(**options))))
        return (lambda *args, **options: self._run(member(*args, **options))) if callable(member) else member

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._journal, name, value)


async def _listed(entries: AsyncIterator[Entry]) -> list[Entry]:
    return [entry async for entry in entries]
