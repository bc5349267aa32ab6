"""The algorithm of starts in thousands of schedules of a model; see start_model.py. A failure names its seed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from attrs import evolve
from processmaker.journal import MemoryJournal, protocol, rows
from processmaker.once import existing, lookup, start
from processmaker.once.state import Start, Starts
from start_model import run_schedule

SCHEDULES = 1_000
MOST_SCHEDULES = 4_000
"""Schedules in which the lack of a step must show."""


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def run_schedules(first: int, count: int) -> None:
    kinds: list[dict[str, Any]] = [{}, {"users": 2}, {"forks": True}, {"keys": 1, "callers": 9}]
    for seed in range(first, first + count):
        try:
            run_schedule(seed, **kinds[seed % len(kinds)])
        except AssertionError as failure:
            raise AssertionError(f"seed {seed}, {kinds[seed % len(kinds)]}: {failure}") from failure


def test_a_key_becomes_one_request_and_every_caller_is_told_the_truth() -> None:
    run_schedules(0, SCHEDULES)


@pytest.mark.proof
def test_a_key_becomes_one_request_in_many_more_schedules() -> None:
    run_schedules(SCHEDULES, 4 * SCHEDULES)


def without_reserving(patch: pytest.MonkeyPatch) -> None:
    reserve = MemoryJournal.reserve
    patch.setattr(
        MemoryJournal,
        "reserve",
        lambda *args, **options: [evolve(entry, mine=True) for entry in reserve(*args, **options)],
    )
    patch.setattr(MemoryJournal, "sending", lambda *_: True)


def without_looking(patch: pytest.MonkeyPatch) -> None:
    async def look(starts: Starts, block: list[Start]) -> None:
        for this in block:
            this.looked_at = starts.io.clock.monotonic()

    patch.setattr(start, "look", look)


def without_the_step_to_sending(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(MemoryJournal, "sending", lambda *_: True)


def with_a_step_to_sending_that_never_fails(patch: pytest.MonkeyPatch) -> None:
    sending = MemoryJournal.sending
    patch.setattr(MemoryJournal, "sending", lambda *args: sending(*args) or True)


def without_taking_a_slow_step_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(start, "STEP_PART", float("inf"))


def without_recording(patch: pytest.MonkeyPatch) -> None:
    async def record(*_: object) -> None: ...

    patch.setattr(start, "record", record)


def with_a_release_after_an_unknown_outcome(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(MemoryJournal, "unknown", MemoryJournal.release)


def with_a_lease_as_short_as_a_reservation(patch: pytest.MonkeyPatch) -> None:
    reserve = rows.reserve
    short = {"lease": protocol.RESERVATION}
    patch.setattr(rows, "reserve", lambda row, now, **options: reserve(row, now, **{**options, **short}))


def with_copies_that_count(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(lookup, "counts", lambda *_: True)


def without_a_bound_of_ids_for_what_is_started_again(patch: pytest.MonkeyPatch) -> None:
    find_all = lookup.find_all
    patch.setattr(existing, "find_all", lambda *args, **options: find_all(*args, **{**options, "newer_than": 0}))


def without_comparing_fingerprints(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(start, "check_fingerprint", lambda _, request: request)


def with_a_child_that_takes_its_parents_entries_for_its_own(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(MemoryJournal, "in_child", lambda journal: journal._rows.clear())


@pytest.mark.parametrize(
    "change",
    [
        without_reserving,
        without_looking,
        without_the_step_to_sending,
        with_a_step_to_sending_that_never_fails,
        without_taking_a_slow_step_again,
        without_recording,
        with_a_release_after_an_unknown_outcome,
        with_a_lease_as_short_as_a_reservation,
        with_copies_that_count,
        without_a_bound_of_ids_for_what_is_started_again,
        without_comparing_fingerprints,
        with_a_child_that_takes_its_parents_entries_for_its_own,
    ],
)
def test_the_model_finds_the_lack_of_any_step(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[pytest.MonkeyPatch], None]
) -> None:
    change(monkeypatch)
    with pytest.raises((AssertionError, KeyError, ValueError)):
        run_schedules(0, MOST_SCHEDULES)
