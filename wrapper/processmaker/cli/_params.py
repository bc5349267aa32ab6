"""The types of options and arguments: what they accept, and what the shell completes them with."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from itertools import islice
from math import isfinite
from typing import Any

import click
from click.shell_completion import CompletionItem

from ..config.profiles import read_profiles

Complete = Callable[[click.Context], Iterable[tuple[str, str]]]
"""Returns words, each with a description."""


class Parsed(click.ParamType):  # type: ignore[type-arg]  # older versions of click are not generic
    """A value that a function reads.

    Args:
        name: what the help calls it.
        read: reads the text; a ValueError or LookupError means that it cannot be one.
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
        except (LookupError, ValueError):
            self.fail(f"{value!r} is not {self._expected}", param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002
        found = self._complete(ctx) if self._complete else ()
        return [CompletionItem(word, help=what) for word, what in found if word.startswith(incomplete)]


def _seconds(text: str) -> float:
    value = float(text)
    if not (isfinite(value) and value >= 0):
        raise ValueError
    return value


def _number(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise ValueError
    return int(text)


def id_or_name(text: str) -> int | str:
    """Read digits as an id, anything else as a name."""
    try:
        return _number(text)
    except ValueError:
        return text


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


# What the shell offers: words with a description each. The context has the session of the command.


def _processes(ctx: click.Context) -> Iterable[tuple[str, str]]:
    return [(process.name, f"process {process.id}") for process in ctx.obj.pm.processes()]


def _start_events(ctx: click.Context) -> Iterable[tuple[str, str]]:
    typed = shlex.split(os.environ["COMP_WORDS"])  # click reads no process from a line that ends in --event
    for process in ctx.obj.pm.processes():
        if process.name in typed or str(process.id) in typed:
            yield from ((event.id, event.name) for event in process.start_events)


def _requests(ctx: click.Context) -> Iterable[tuple[str, str]]:
    newest = islice(ctx.obj.pm.requests(order_direction="desc", per_page=20), 20)
    return [(str(request.id), f"{request.status} {request.name}") for request in newest]


def _tasks(ctx: click.Context) -> Iterable[tuple[str, str]]:
    return [(str(task.id), task.name) for task in ctx.obj.pm.tasks()]


def _profiles(_: click.Context) -> Iterable[tuple[str, str]]:
    return [(name, profile.url) for name, profile in read_profiles(os.environ).items()]


SECONDS = Parsed("seconds", _seconds, "a number of seconds")
COUNT = Parsed("n", _number, "a number from 0")
AGE = Parsed("age", _age, "an age, such as 90d or 12h")
MOMENT = Parsed("time", _moment, "a time, such as 90m, 2h, 1d or 2026-11-24T09:00")
PROCESS = Parsed("process", id_or_name, "a process", _processes)
EVENT = Parsed("event", str, "a start event", _start_events)
REQUEST = Parsed("id", _number, "the id of a Request", _requests)
TASK = Parsed("task", _number, "the id of a task", _tasks)
PROFILE = Parsed("name", str, "a profile", _profiles)
DATA = Parsed("json", str, "data")
PAIR = Parsed("key=value", str, "key=value")


class Words(Parsed):
    """One of several words, in any case. click.Choice would complete them in small letters."""

    def __init__(self, *words: str) -> None:
        known = {word.lower(): word for word in words}

        def read(text: str) -> str:
            return known[text.lower()]

        super().__init__("word", read, f"one of {', '.join(words)}", lambda *_: [(word, "") for word in words])
        self._words = words

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:  # noqa: ARG002
        return "|".join(self._words)
