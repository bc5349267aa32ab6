"""The types of options and arguments: what they accept, and what the shell completes them with."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from itertools import islice
from math import isfinite
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    _ParamType = click.ParamType[Any]
else:  # older versions of click are not generic
    _ParamType = click.ParamType

Complete = Callable[[click.Context, str], Iterable[tuple[str, str]]]
"""Gives words that begin as typed, each with a description."""


class Parsed(_ParamType):
    """A value that a function reads.

    Args:
        name: what the help calls it.
        read: reads the text; a ValueError means that it cannot be one.
        expected: what it has to be, for the message.
        complete: the words that the shell offers.
    """

    def __init__(self, name: str, read: Callable[[str], Any], expected: str, complete: Complete | None = None) -> None:
        self.name = name
        self._read = read
        self._expected = expected
        self._complete = complete

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self._read(value)
        except ValueError:
            self.fail(f"{value!r} is not {self._expected}", param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002
        found = self._complete(ctx, incomplete) if self._complete else ()
        return [CompletionItem(word, help=what) for word, what in found if word.startswith(incomplete)]


def _seconds(text: str) -> float:
    value = float(text)
    if not (isfinite(value) and value >= 0):
        raise ValueError
    return value


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ValueError
    return int(text)


def _identifier(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19 and int(text) > 0):
        raise ValueError
    return int(text)


def id_or_name(text: str) -> int | str:
    """Digits are an id, anything else is a name."""
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else text


_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _age(text: str) -> timedelta:
    found = re.fullmatch(r"([0-9]{1,6})([smhd])", text)
    if not found:
        raise ValueError
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _moment(text: str) -> datetime | timedelta:
    try:
        return _age(text)
    except ValueError:
        return datetime.fromisoformat(text).astimezone()


# --- what the shell offers ------------------------------------------------------------------------------------------


def _processes(ctx: click.Context, _: str) -> Iterable[tuple[str, str]]:
    return [(process.name, f"process {process.id}") for process in _session(ctx).pm.processes()]


def _start_events(ctx: click.Context, _: str) -> Iterable[tuple[str, str]]:
    typed = shlex.split(os.environ["COMP_WORDS"])  # click reads no process from a line that ends in --event
    for process in _session(ctx).pm.processes():
        if process.name in typed or str(process.id) in typed:
            yield from ((event.id, event.name) for event in process.start_events)


def _requests(ctx: click.Context, _: str) -> Iterable[tuple[str, str]]:
    newest = _session(ctx).pm.requests(order_direction="desc", per_page=20)
    for request in islice(newest, 20):
        yield str(request.id), f"{request.status} {request.name}"


def _tasks(ctx: click.Context, _: str) -> Iterable[tuple[str, str]]:
    return [(str(task.id), task.name) for task in _session(ctx).pm.tasks()]


def _profiles(_: click.Context, __: str) -> Iterable[tuple[str, str]]:
    from ..config.profiles import read_profiles

    return [(name, profile.url) for name, profile in read_profiles(os.environ).items()]


def _session(ctx: click.Context) -> Any:
    from ._session import Session

    return ctx.find_object(Session)


SECONDS = Parsed("seconds", _seconds, "a number of seconds")
COUNT = Parsed("n", _count, "a number from 0")
AGE = Parsed("age", _age, "an age, such as 90d or 12h")
MOMENT = Parsed("time", _moment, "a time, such as 90m, 2h, 1d or 2026-11-24T09:00")
PROCESS = Parsed("process", id_or_name, "a process", _processes)
EVENT = Parsed("event", str, "a start event", _start_events)
REQUEST = Parsed("id", _identifier, "the id of a Request", _requests)
TASK = Parsed("task", _identifier, "the id of a task", _tasks)
PROFILE = Parsed("name", str, "a profile", _profiles)
DATA = Parsed("json", str, "data")
PAIR = Parsed("key=value", str, "key=value")


class Words(Parsed):
    """One of several words, in any case."""

    def __init__(self, *words: str) -> None:
        known = {word.lower(): word for word in words}

        def read(text: str) -> str:
            if text.lower() not in known:
                raise ValueError
            return known[text.lower()]

        super().__init__("word", read, f"one of {', '.join(words)}", lambda *_: [(word, "") for word in words])
        self._words = words

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:  # noqa: ARG002
        return "|".join(self._words)
