"""The journal in memory: what it keeps, and what forks, signal handlers and finalizers do to it."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from journal.clocks import During, ManualClock
from processmaker import JournalError
from processmaker.journal import KeyedStart, MemoryJournal, memory

LEASE = 90.0


def start(key: object = "order-1234") -> KeyedStart:
    return KeyedStart("https://pm.example.com", 2, str(key))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def journal(clock: ManualClock) -> MemoryJournal:
    journal = MemoryJournal(lease=LEASE)
    journal.clock = clock
    return journal


def run(journal: MemoryJournal, key: object, *, request_id: int) -> None:
    """One start."""
    journal.reserve([(start(key), "ada")])
    journal.sending(start(key), "ada")
    journal.started(start(key), "ada", request_id)


# --- what is kept ---------------------------------------------------------------------------------------------------


def test_open_entries_are_kept_until_their_lease_is_over(journal: MemoryJournal, clock: ManualClock) -> None:
    journal.reserve([(start(n), "ada") for n in range(6000)])
    for n in range(2000, 6000):
        journal.sending(start(n), "ada")
    for n in range(4000, 6000):
        journal.unknown(start(n), "ada")
    clock.passed += LEASE - 1
    journal.reserve([(start(f"another {n}"), "ada") for n in range(1000)])
    assert len(list(journal.entries())) == 7000
    clock.passed += 2
    journal.reserve([(start(f"one more {n}"), "ada") for n in range(1000)])
    assert len(list(journal.entries())) == 2000


def test_the_latest_started_entries_are_kept(journal: MemoryJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    assert memory.MAX_STARTED == 10_000
    monkeypatch.setattr(memory, "MAX_STARTED", 1000)
    for n in range(2500):
        run(journal, n, request_id=n)
    kept = [entry.request_id for entry in journal.entries(started=True)]
    assert 1000 <= len(kept) <= 1125
    assert kept == list(range(2500 - len(kept), 2500))


def test_a_started_entry_counts_until_its_lease_is_over(journal: MemoryJournal, clock: ManualClock) -> None:
    run(journal, "a", request_id=17)
    clock.passed += LEASE - 1
    journal.reserve([(start(n), "ada") for n in range(1000)])
    assert [entry.request_id for entry in journal.reserve([(start("a"), "bob")])] == [17]
    clock.passed += 2
    journal.reserve([(start(-n), "ada") for n in range(1000)])
    assert journal.read(start("a")) is None


def test_a_short_lease_does_not_drop_a_reservation_that_may_still_be_sent(clock: ManualClock) -> None:
    journal = MemoryJournal(lease=1)
    journal.clock = clock
    journal.reserve([(start("a"), "ada")])
    clock.passed += 5
    journal.reserve([(start(n), "bob") for n in range(1000)])
    assert journal.sending(start("a"), "ada")


def test_a_journal_starts_no_thread_and_opens_no_file() -> None:
    threads, files = threading.active_count(), len(list(Path("/dev/fd").iterdir()))
    journal = MemoryJournal()
    journal.reserve([(start(), "ada")])
    assert (threading.active_count(), len(list(Path("/dev/fd").iterdir()))) == (threads, files)


def test_journals_are_apart() -> None:
    first, second = MemoryJournal(), MemoryJournal()
    first.reserve([(start(), "ada")])
    assert second.reserve([(start(), "bob")])[0].mine


def test_time_is_the_machines_unless_a_clock_is_set() -> None:
    journal = MemoryJournal()
    (entry,) = journal.reserve([(start(), "ada")])
    assert abs(entry.since.timestamp() - time.time()) < 5
    assert journal.read(start()).age < 5  # type: ignore[union-attr]


# --- signal handlers and finalizers ---------------------------------------------------------------------------------


STEPS: list[Callable[[MemoryJournal], Any]] = [
    lambda journal: journal.reserve([(start(), "ada")]),
    lambda journal: journal.sending(start(), "ada"),
    lambda journal: journal.started(start(), "ada", 17),
    lambda journal: journal.read(start()),
    lambda journal: list(journal.entries()),
]


@pytest.mark.parametrize("step", STEPS)
def test_a_step_in_the_middle_of_a_step_of_the_same_thread_is_refused_at_once(
    journal: MemoryJournal, step: Callable[[MemoryJournal], Any]
) -> None:
    refused: list[JournalError] = []

    def nested() -> None:
        with pytest.raises(JournalError, match="in the middle of a step of this thread") as error:
            step(journal)
        refused.append(error.value)

    clock = journal.clock
    journal.clock = During(nested)
    assert journal.reserve([(start("outer"), "ada")])[0].mine
    assert [error.transient for error in refused] == [True]
    journal.clock = clock
    step(journal)


def test_a_finalizer_in_the_middle_of_a_step_does_not_deadlock(journal: MemoryJournal) -> None:
    problems: list[JournalError] = []

    class Starts:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            try:
                journal.reserve([(start("finalizer"), "ada")])
            except JournalError as problem:
                problems.append(problem)

    clock = journal.clock
    Starts()
    journal.clock = During(gc.collect)
    assert journal.reserve([(start("outer"), "ada")])[0].mine
    assert len(problems) == 1
    journal.clock = clock
    Starts()
    gc.collect()
    assert len(problems) == 1
    assert journal.read(start("finalizer"))


def test_an_exception_in_the_middle_of_a_step_comes_out_and_leaves_nothing_locked(journal: MemoryJournal) -> None:
    class SoftTimeLimitExceeded(Exception):
        pass

    def fail() -> None:
        raise SoftTimeLimitExceeded

    clock = journal.clock
    journal.clock = During(fail)
    with pytest.raises(SoftTimeLimitExceeded):
        journal.reserve([(start(), "ada")])
    journal.clock = clock
    in_another_thread(lambda: journal.reserve([(start(), "bob")]))
    assert journal.read(start()).owner == "bob"  # type: ignore[union-attr]


def in_another_thread(step: Callable[[], object]) -> None:
    """It has to be done within a second."""
    thread = threading.Thread(target=step, daemon=True)
    thread.start()
    thread.join(1)
    assert not thread.is_alive()


def test_another_thread_that_is_held_up_in_a_step_is_not_waited_for_for_ever(
    journal: MemoryJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "MAX_WAIT", 0.05)
    inside, over = threading.Event(), threading.Event()
    clock = journal.clock
    journal.clock = During(lambda: inside.set() or over.wait(60))  # type: ignore[func-returns-value]
    thread = threading.Thread(target=lambda: journal.reserve([(start(), "ada")]))
    thread.start()
    assert inside.wait(60)
    with pytest.raises(JournalError, match=r"another thread was using it for 0\.05 s") as error:
        journal.sending(start(), "ada")
    assert error.value.transient
    journal.clock = clock
    over.set()
    thread.join()
    assert journal.sending(start(), "ada")


@pytest.mark.proof
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timers")
def test_exceptions_from_a_signal_handler_at_random_moments_leave_nothing_locked(journal: MemoryJournal) -> None:
    class Stop(BaseException):
        pass

    def stop(*_: object) -> None:
        raise Stop

    interrupted, n, before = 0, 0, signal.signal(signal.SIGALRM, stop)
    try:
        while interrupted < 2000:
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.000_02 + 0.000_001 * (n % 97))
                for _ in range(1000):  # one that is raised in a finalizer is lost
                    n += 1
                    run(journal, n % 50, request_id=n)
                    journal.forget(start(n % 50))
                signal.setitimer(signal.ITIMER_REAL, 0)
            except Stop:
                interrupted += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    in_another_thread(lambda: journal.reserve([(start("another"), "bob")]))
    assert journal.read(start("another"))


# --- a fork ---------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_in_a_child_what_is_open_is_unknown_and_nobodys(journal: MemoryJournal, clock: ManualClock) -> None:
    journal.reserve([(start(key), "ada") for key in ("reserved", "sending", "unknown", "started", "replaced")])
    for key in ("sending", "unknown", "started", "replaced"):
        journal.sending(start(key), "ada")
    journal.unknown(start("unknown"), "ada")
    journal.started(start("started"), "ada", 17)
    journal.started(start("replaced"), "ada", 18)
    journal.reserve([(start("replaced"), "bob")], replace=18)
    clock.passed += 30

    def child() -> None:
        found = {entry.start.key: entry for entry in journal.entries(started=True)}
        assert {key: (entry.state, entry.age, entry.request_id) for key, entry in found.items()} == {
            "reserved": ("unknown", 0, None),
            "sending": ("unknown", 0, None),
            "unknown": ("unknown", 30, None),
            "started": ("started", 30, 17),
            "replaced": ("unknown", 0, 18),
        }
        assert found["started"].owner == "ada"
        assert found["sending"].owner == "ada (before the fork)"
        for key in ("reserved", "sending", "unknown"):
            assert not journal.reserve([(start(key), "ada")])[0].mine
            assert not journal.sending(start(key), "ada")
            assert not journal.started(start(key), "ada", 19)
            assert not journal.unknown(start(key), "ada")
            assert not journal.release(start(key), "ada")
        clock.passed += LEASE + 1
        assert journal.reserve([(start("sending"), "eve")])[0].mine

    in_child(child)
    assert journal.started(start("sending"), "ada", 19)
    assert journal.release(start("replaced"), "bob")
    assert journal.read(start("replaced")).request_id == 18  # type: ignore[union-attr]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_that_is_forked_in_the_middle_of_another_threads_step_is_not_blocked(journal: MemoryJournal) -> None:
    inside, over = threading.Event(), threading.Event()
    clock = journal.clock
    me = threading.get_ident()
    journal.clock = During(lambda: threading.get_ident() == me or inside.set() or over.wait(60))  # type: ignore[func-returns-value]
    thread = threading.Thread(target=lambda: journal.reserve([(start(), "ada")]))
    thread.start()
    assert inside.wait(60)
    journal.clock, during = clock, journal.clock

    def child() -> None:
        assert journal.reserve([(start("another"), "bob")])[0].mine

    in_child(child)
    assert during is not clock
    over.set()
    thread.join()


def in_child(check: Callable[[], None]) -> None:
    pid = os.fork()
    if not pid:
        try:
            check()
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
