"""What a command works with: the settings, the output and the client."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

from attrs import define, field

from ._output import Output, messages

if TYPE_CHECKING:
    from .. import ProcessMaker, Request
    from ..journal import RedisJournal, SQLiteJournal


@define
class Settings:
    """The settings that all commands share, as options give them.

    Attributes:
        given: the names of those that were given.
    """

    url: str | None = None
    profile: str | None = None
    allow_http: bool = False
    timeout: float | None = None
    retries: int | None = None
    json: bool = False
    quiet: bool = False
    debug: bool = False
    given: set[str] = field(factory=set)

    def set(self, name: str, value: object) -> None:
        setattr(self, name, value)
        self.given.add(name)


class Session:
    """One run of one command: click passes it to the command's function.

    Attributes:
        settings: the settings that all commands share.
        command: the name of the command.
        waits_for: the id of the Request that the command waits for, if it does.
        request: the last known state of the Request that the command is about.
        changes: whether the command changes something on the server.
        changing: whether a change was sent whose outcome is not known yet.
        changed: whether something was changed on the server.
        look: the command that shows whether that change was made.
    """

    def __init__(self) -> None:
        self.settings = Settings()
        self.command = ""
        self.waits_for: int | None = None
        self.request: Request | None = None
        self.changes = False
        self.changing = False
        self.changed = False
        self.look = ""
        self._to_close: list[Any] = []

    @cached_property
    def output(self) -> Output:
        return Output(as_json=self.settings.json, quiet=self.settings.quiet)

    @cached_property
    def pm(self) -> ProcessMaker:
        """The client, signed in; made when it is first used."""
        return self.connect(**self.signed_in())

    @contextmanager
    def client(self, *, curl: bool = False, journal: str | None = None) -> Iterator[ProcessMaker]:
        """The client of a command that may print its HTTP request in place of sending it, or that has a journal.

        Args:
            curl: whether --curl was given: the first HTTP request is printed, and the command ends there.
            journal: the place of the journal, or None.
        """
        if curl:
            from ._curl import printing_client

            with printing_client(self) as pm:
                yield pm
        elif journal:
            yield self.connect(**self.signed_in(), journal=self.journal(journal))
        else:
            yield self.pm

    def signed_in(self) -> dict[str, Any]:
        """The arguments of a client for the server and the token in use.

        Raises:
            NotSignedIn: there are none.
        """
        from ._settings import signed_in

        return signed_in(self.settings, os.environ)

    def connect(self, **arguments: Any) -> ProcessMaker:
        """A client that is closed at the end of the command."""
        from .. import ProcessMaker

        messages.hide(arguments.get("token"))
        pm = ProcessMaker(**arguments)
        self._to_close.append(pm)
        return pm

    def journal(self, place: str, **options: Any) -> SQLiteJournal | RedisJournal:
        """The journal at that place, which is closed at the end of the command.

        Args:
            place: a file, or a URL of a Redis server.
            options: further arguments of the journal's class.

        Raises:
            JournalError: it cannot be used.
        """
        from ..journal import RedisJournal, SQLiteJournal

        in_redis = re.match(r"(rediss?|unix)://", place)
        journal = RedisJournal.from_url(place, **options) if in_redis else SQLiteJournal(place, **options)
        self._to_close.append(journal)
        return journal

    @contextmanager
    def change(self, look: str = "") -> Iterator[None]:
        """Marks the block in which something is changed on the server.

        Args:
            look: the command that shows whether the change was made, for the case that this stays unknown.
        """
        self.look = look
        self.changing = True
        yield
        self.changing, self.changed = False, True

    def close(self) -> None:
        for user in self._to_close:
            with suppress(Exception):  # what was done is done
                user.close()


def journal_place(given: str | None) -> str | None:
    """Where the journal of starts is: as the option says, else PROCESSMAKER_JOURNAL; None if there is none.

    The word "none" switches off what the variable names.
    """
    place = given or os.environ.get("PROCESSMAKER_JOURNAL", "").strip()
    return place if place and place != "none" else None


def without_password(place: str) -> str:
    """The place of a journal without what may be a password: of a URL, neither user and password nor the query."""
    scheme, mark, rest = place.partition("://")
    if not mark:
        return place
    address, mark, query = rest.partition("?")
    if "@" in query:  # a password with a question mark in it, or in the query
        return f"{scheme}://…"
    _, at, host = address.rpartition("@")
    return f"{scheme}://{'…@' if at else ''}{host}{'?…' if mark else ''}"
