"""The client for blocking code. Each method is one operation; `_async_client.py` has the same ones to await."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self

from .config.profiles import from_profile
from .config.settings import DEFAULT_TIMEOUT, Token, Verify, from_environment, not_copied, settings
from .data import OnAlteredData
from .follow import reading as _follow
from .follow.pmql import AnyStatus, Since
from .follow.reading import FIRST_POLL, WAIT_TIMEOUT, AnyRequest, AnyTask, Progress, Until
from .many import CONCURRENCY, Key, Many, Outcome, Outcomes, blocking
from .models import Process, Request, Task
from .once import start as _start
from .once.start import LOOK_AGAIN_FOR
from .processes import AnyEvent, AnyProcess, Catalog
from .wire import raw_call as _raw_call
from .wire.call import BlockingIO, iterate, run
from .wire.http import Auth, BaseTransport, Timeout
from .wire.raw_call import Params
from .wire.retry import Retries

if TYPE_CHECKING:
    from .journal import Journal


class ProcessMaker:
    """One connection to a ProcessMaker server, for blocking code; `AsyncProcessMaker` is its twin.

    Make one and keep it: its connections are shared by all calls, also by those of several threads.

    Args:
        base_url: the server's address, with or without a trailing slash, `/api/1.0`, or a path prefix.
        token: a personal access token, or a function that returns one, which is asked at each call.
        auth: instead of a token, `PasswordGrant(…)` or any other `httpx.Auth`, whose own exceptions pass through.
        timeout: seconds for one exchange, from connecting to the last byte of the answer; a sign-in before it is one
            of its own. Or an `httpx.Timeout`, whose times for connecting, sending and reading bound it together. In
            blocking code the look-up of the server's name takes what the system's resolver takes.
        verify: False to leave the server's certificate unchecked, a file of certificates, or an `ssl.SSLContext`.
        allow_http: send the token over plain http, also to another machine than this one.
        retries: how often a call is sent again where that is safe; None for never.
        on_altered_data: "warn", "error" or "ignore": what to do before a start, or a task's completion, whose data the
            server would change.
        journal: what callers share so that a key is started once, also by several of them at the same moment:
            `SQLiteJournal` for the processes of one machine, `RedisJournal` for many machines, or one of your own.
        key_lifetime: how old a Request may be to be found by its idempotency key; None for any age. On a server with
            many Requests a look-up among all of them takes long (1.3 s among 500,000, observed on 4.15.5).
        transport: an httpx transport in place of the network, such as a sandbox's. Of its connections only httpx's own
            time-outs hold, for each single step, and nothing bounds a whole exchange.

    Raises:
        ConfigurationError: an argument cannot work; the message names it and the way out.
    """

    def __init__(
        self,
        base_url: str,
        *,
        token: Token | None = None,
        auth: Auth | None = None,
        timeout: float | Timeout = DEFAULT_TIMEOUT,
        verify: Verify = True,
        allow_http: bool = False,
        retries: Retries | None = Retries(),  # noqa: B008 - a frozen value
        on_altered_data: OnAlteredData = "warn",
        journal: Journal | None = None,
        key_lifetime: timedelta | None = None,
        transport: BaseTransport | None = None,
    ) -> None:
        self._settings = settings(
            base_url,
            token=token,
            auth=auth,
            timeout=timeout,
            verify=verify,
            allow_http=allow_http,
            retries=retries,
            on_altered_data=on_altered_data,
            journal=journal,
            key_lifetime=key_lifetime,
            transport=transport,
        )
        self._io = BlockingIO(self._settings)
        self._catalog = Catalog(self._io)

    @classmethod
    def from_env(cls, **options: Any) -> Self:
        """A client for what the environment names.

        Read are PROCESSMAKER_URL with PROCESSMAKER_TOKEN, or with PROCESSMAKER_CLIENT_ID, _CLIENT_SECRET, _USERNAME
        and _PASSWORD to sign in with a password; without PROCESSMAKER_URL, inside a ProcessMaker script task, the
        platform's own API_HOST, API_TOKEN and API_SSL_VERIFY.

        Args:
            options: further arguments of the client; they win over the environment.

        Raises:
            ConfigurationError: something is missing; the message names it.
        """
        return cls(**from_environment(os.environ, options))

    @classmethod
    def from_profile(cls, name: str | None = None, **options: Any) -> Self:
        """A client for a profile that `processmaker login` saved.

        Args:
            name: the profile's name; None for the one that PROCESSMAKER_PROFILE names, else the one in use.
            options: further arguments of the client, but for `base_url`; they win over the profile.

        Raises:
            ConfigurationError: there is no such profile, or its token cannot be had.
        """
        return cls(**from_profile(name, os.environ, options))

    def processes(self) -> list[Process]:
        """What this token may start, each with its start events.

        Only active processes with a manual start event are listed (observed on 4.15.5).

        Raises:
            ProcessMakerError: the list could not be had.
        """
        return run(self._catalog.listing())

    def start(
        self,
        process: AnyProcess,
        data: Mapping[str, object] | None = None,
        *,
        event: AnyEvent = None,
        idempotency_key: str | None = None,
        look_first: bool = True,
        look_again_for: float = LOOK_AGAIN_FOR,
        again: bool = False,
        on_altered_data: OnAlteredData | None = None,
    ) -> Request:
        """Starts a Request, once.

        With a process id and the node id of a start event it is exactly one HTTP request; otherwise what this token
        may start is looked up first, and remembered for a minute. The start itself is sent again only where the
        server certainly did not process it.

        Args:
            process: its id, its exact name, or a `Process`.
            data: the Request's data, a JSON object (a dict with str keys).
            event: the start event's node id or exact name; may be left out where the process has one manual one.
            idempotency_key: what makes this start recognisable, such as `order-1234`: 1 to 200 letters, digits,
                blanks and `. : - _ % '`. A Request of this process with this key is returned instead of a second
                one being started; it is stored as `_idempotency_key` in the data. Where that one was started
                with other data, a KeyReusedWarning says so. Within this process, starts with one key take turns;
                processes that may start one key at the same instant, or while the server is still at work on another's
                lost start, need a shared `journal`, or both start it. Requests that this token may not see are not
                found.
            look_first: whether to look for the key before the start. False saves one HTTP request, for a caller who
                knows that this is the first attempt.
            look_again_for: seconds for which the key is looked for after an answer got lost.
            again: start anew, on purpose, where every Request with this key has failed or was canceled.
            on_altered_data: for this start, in place of the client's setting.

        Returns:
            The Request. `created` is True where this start made it, False where it was there before, and None where
            it was found by its key after a lost answer: then another caller may have made it meanwhile.

        Raises:
            InvalidData: the data or the key cannot be sent; nothing was sent.
            CannotStart: the process or the start event is not clear; nothing was sent.
            StartOutcomeUnknown: sent, and it cannot be known whether the Request exists.
            RequestFailed: the Request exists, and the engine failed (status ERROR).
            RequestCanceled: the Request with this key is there, and was canceled.
            ProcessMakerError: anything else; `processed` tells whether the server may have started it, `retryable`
                whether to start again later, with the same key.
        """
        return run(
            _start.start(
                self._io,
                self._catalog,
                process,
                data,
                event=event,
                idempotency_key=idempotency_key,
                look_first=look_first,
                look_again_for=look_again_for,
                again=again,
                on_altered_data=self._settings.on_altered_data if on_altered_data is None else on_altered_data,
            )
        )

    def start_many(
        self,
        process: AnyProcess,
        rows: Iterable[Mapping[str, object]],
        *,
        key: Key = None,
        event: AnyEvent = None,
        concurrency: int = CONCURRENCY,
        look_first: bool = True,
        look_again_for: float = LOOK_AGAIN_FOR,
        on_altered_data: OnAlteredData | None = None,
    ) -> Outcomes:
        """Starts a Request for each row, several at a time, and yields what became of each as it ends.

        One row's failure never stops the others; bad data is that row's error. Rows are read as they are needed, so
        that a generator of a million rows stays a stream. Where the server refuses a start for a while (429,
        maintenance), all wait. Keys are looked for in blocks of up to 100; those that a journal knows are not looked
        for, and their Requests are read in such blocks.

        Args:
            process: its id, its exact name, or a `Process`.
            rows: the data of each Request, as `start` takes it.
            key: what gives a row its idempotency key: the name of a column (a key of the row, whose value may also be
                an int), or a function of the row. Without keys, a row whose answer gets lost stays unknown.
            event: the start event's node id or exact name; may be left out where the process has one manual one.
            concurrency: how many starts are under way at once.
            look_first: whether to look for the keys before the starts.
            look_again_for: seconds for which a key is looked for after an answer got lost.
            on_altered_data: for these starts, in place of the client's setting.

        Returns:
            An iterator of `Outcome`. Leaving it early starts nothing more and finishes what is in flight; see there.

        Raises:
            InvalidData: an argument cannot work.
            CannotStart: (when it is iterated) the process or the start event is not clear; nothing was sent.
            ConfigurationError: (when it is iterated) the client is closed, or cannot send this at all.
        """
        rest: list[Outcome] = []
        many = Many(
            self._io,
            self._catalog,
            process,
            event,
            key,
            look_first,
            look_again_for,
            self._settings.on_altered_data if on_altered_data is None else on_altered_data,
            concurrency,
        )
        return Outcomes(blocking(many, rows, rest), rest, many)

    def find(
        self, idempotency_key: str, *, process: AnyProcess, key_lifetime: timedelta | None = None
    ) -> Request | None:
        """The Request of that process started with that key, or None.

        Should there be several, the oldest that has neither failed nor been canceled; where all have, the newest.

        Only Requests that this token may see are found. The look-up reads the data of all Requests of the process,
        which costs the server time.

        Args:
            idempotency_key: what it was started with.
            process: its id, its exact name, or a `Process`.
            key_lifetime: how old it may be, in place of the client's setting.

        Raises:
            InvalidData: the key cannot be one.
            ProcessNotFound: no process of that name.
            ProcessMakerError: the look-up failed.
        """
        return run(_start.find_by_key(self._io, self._catalog, process, idempotency_key, key_lifetime))

    def get(self, request: AnyRequest, *, include: Iterable[str] = ("data",)) -> Request:
        """The state of a Request now.

        Args:
            request: a `Request` or its id.
            include: what comes along, one name or several, of data, summary, process, user, participants, errors and
                activeTasks. `data` fills `Request.data`, `summary` fills `Request.idempotency_key`; all are in `raw`.

        Raises:
            NotFound: no such Request.
            Forbidden: somebody else's.
            ProcessMakerError: it could not be read.
        """
        return run(_follow.fetch(self._io, request, include))

    def requests(
        self,
        pmql: str | None = None,
        *,
        process: AnyProcess | None = None,
        status: AnyStatus = None,
        since: Since = None,
        include: Iterable[str] = (),
        per_page: int | None = 100,
        order_by: str | None = "id",
        order_direction: str | None = "asc",
    ) -> Iterator[Request]:
        """The Requests that this token may see, over all pages, each page fetched when it is needed.

        Of several conditions all hold.

        Args:
            pmql: a condition in ProcessMaker's query language, such as `data.days > 3`.
            process: only those of this process: its id, its exact name, or a `Process`.
            status: only those with this status, or one of several: ACTIVE, COMPLETED, ERROR, CANCELED.
            since: only those created since this aware datetime, or within this timedelta.
            include: what comes along, such as `data`.
            per_page: how many one HTTP request fetches.
            order_by, order_direction: the order, "asc" or "desc"; by id, a Request started meanwhile shifts nothing.
                None leaves any of these to the server.

        Raises:
            InvalidData: an argument cannot be meant; nothing was sent.
            ProcessNotFound: no process of that name.
            ResponseError: such as for PMQL that the server cannot read (400).
            ProcessMakerError: a page could not be had.
        """
        return iterate(
            _follow.requests(
                self._io,
                self._catalog,
                include,
                pmql=pmql,
                process=process,
                status=status,
                since=since,
                per_page=per_page,
                order_by=order_by,
                order_direction=order_direction,
            )
        )

    def count_requests(
        self,
        pmql: str | None = None,
        *,
        process: AnyProcess | None = None,
        status: AnyStatus = None,
        since: Since = None,
    ) -> int:
        """How many Requests `requests` would give for these conditions; one HTTP request.

        Raises:
            InvalidData: a condition cannot be one.
            ProcessNotFound: no process of that name.
            ProcessMakerError: the number could not be had.
        """
        return run(
            _follow.count_requests(self._io, self._catalog, pmql=pmql, process=process, status=status, since=since)
        )

    def tasks(self, request: AnyRequest) -> list[Task]:
        """The tasks of a Request that wait for a person.

        Raises:
            ProcessMakerError: they could not be read.
        """
        return run(_follow.open_tasks(self._io, request))

    def complete(
        self,
        task: AnyTask,
        data: Mapping[str, object] | None = None,
        *,
        on_altered_data: OnAlteredData | None = None,
    ) -> Task:
        """Completes a task, which adds `data` (a JSON object) to the Request's.

        Args:
            task: a `Task` or its id.
            data: what the server stores beside the Request's own data, altered otherwise than a start's: HTML tags and
                `{{ }}` are stripped at every depth, and nothing is trimmed (observed on 4.15.5).
            on_altered_data: for this task, in place of the client's setting.

        Raises:
            InvalidData: the data cannot be sent; nothing was sent.
            TaskAlreadyClosed: it was completed before.
            ProcessMakerError: anything else; `processed` tells whether it may be completed.
        """
        return run(
            _follow.complete(
                self._io,
                task,
                data,
                on_altered_data=self._settings.on_altered_data if on_altered_data is None else on_altered_data,
            )
        )

    def cancel(self, request: AnyRequest) -> Request:
        """Cancels a Request, and returns its state.

        A `Request` that was canceled is returned as it is. Given an id, it is the server's to say whether one that is
        COMPLETED can be canceled.

        Raises:
            AlreadyFinished: it is over; it stays as it is.
            CancelNotAllowed: this user may not.
            ProcessMakerError: anything else; `processed` tells whether it may be canceled.
        """
        return run(_follow.cancel(self._io, request))

    def wait(
        self,
        request: AnyRequest,
        *,
        timeout: float = WAIT_TIMEOUT,
        until: Until = "finished",
        poll: float = FIRST_POLL,
    ) -> Request:
        """Waits for a Request, asking at growing intervals. What may pass, such as a lost answer, does not end it.

        Args:
            request: a `Request` or its id.
            timeout: seconds.
            until: "finished"; "task", that is until a task waits for a person (or the Request has finished); or a
                function that is given the Request, with its data, and says whether this is it.
            poll: seconds before the second look; later pauses grow up to ten seconds.

        Raises:
            RequestFailed: its status is ERROR; with the engine's messages.
            RequestCanceled: it was canceled.
            WaitTimeout: not in time; carries its last known state.
            ProcessMakerError: it cannot be read, for a reason that will not pass.
        """
        return run(_follow.wait(self._io, request, until=until, timeout=timeout, poll=poll))

    def watch(
        self, request: AnyRequest, *, timeout: float = WAIT_TIMEOUT, poll: float = FIRST_POLL
    ) -> Iterator[Progress]:
        """Yields where a Request stands, now and at each change of its status or its open tasks, until it finishes.

        Args:
            request: a `Request` or its id.
            timeout: seconds.
            poll: seconds before the second look; later pauses grow up to ten seconds, and begin anew at each change.

        Raises:
            WaitTimeout: it did not finish in time; carries its last known state.
            ProcessMakerError: it cannot be read, for a reason that will not pass.
        """
        return iterate(_follow.watch(self._io, request, timeout=timeout, poll=poll))

    def request(self, method: str, path: str, *, params: Params | None = None, json: object = None) -> Any:
        """Any other call of the API, with this client's authentication, time-outs and errors.

        It is sent again only where that is safe: what only reads (GET, HEAD, OPTIONS), and what the server certainly
        did not process.

        Args:
            method: such as `GET`.
            path: below `/api/1.0`, such as `/users/1`. It cannot lead out of the API or to another server.
            params: the query; a list gives several values of one name, None leaves it out.
            json: the body, any JSON value; None for no body.

        Returns:
            The JSON of the answer; None where it has no body.

        Raises:
            InvalidData: the call cannot be sent as it is; nothing was sent.
            UnreadableResponse: a success that is not JSON, such as a file.
            ProcessMakerError: anything else; `processed` tells whether the server may have done it.
        """
        return run(_raw_call.request(self._io, method, path, params=params, body=json))

    def close(self) -> None:
        """Closes the connections. A `with` block does it at its end."""
        self._io.connections.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise not_copied(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._settings.site!r})"
