"""The client for asyncio. Each method is one operation; `_client.py` has the same ones for blocking code."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self, Unpack

from httpx import AsyncBaseTransport, Auth, Timeout

from .config.settings import DEFAULT_TIMEOUT, AsyncToken, Verify, not_copied, settings
from .config.sources import from_environment, from_profile
from .data import OnAlteredData, check_rows
from .follow import files as _files
from .follow import reading as _reading
from .follow import tasks as _tasks
from .follow import waiting as _waiting
from .follow.cancel import cancel as _cancel
from .follow.files import Upload
from .follow.pmql import AnyStatus, Conditions, Since
from .follow.reading import AnyRequest
from .follow.tasks import LOOK_AGAIN_FOR as LOOK_AT_TASK_FOR
from .follow.tasks import AnyTask
from .follow.waiting import FIRST_POLL, WAIT_TIMEOUT, Progress, Until
from .many import CONCURRENCY, AsyncOutcomes, Key, R, Run, run_in_tasks
from .models import File, Process, Request, Task
from .once import start as _start
from .once.key import check_fingerprint_without
from .once.lookup import find_by_key
from .once.state import LOOK_AGAIN_FOR, OnReusedKey, Starts, choose_journal
from .processes import AnyEvent, AnyProcess, Catalog
from .wire import raw_call as _raw_call
from .wire.call import AsyncIO
from .wire.raw_call import Files, Params
from .wire.retry import Retries

if TYPE_CHECKING:
    from .journal import AsyncJournal, Journal
    from .types import AsyncClientOptions, AsyncProfileOptions


class AsyncProcessMaker:
    """One connection to a ProcessMaker server, for asyncio; `ProcessMaker` is its twin.

    Make one and keep it: its connections are shared by all calls, also by those of several tasks.

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
        on_reused_key: "error", "warn" or "ignore": what to do if a start finds that the Request of its key was started
            with other data.
        fingerprint_without: top-level keys of the data that do not count for that, such as a time that each attempt
            computes anew.
        journal: what callers share so that a key is started once, also by several of them at the same moment:
            `SQLiteJournal` for the processes of one machine, `RedisJournal` for many machines, or one of your own.
            Without one, the threads and tasks of this process share a journal in memory.
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
        token: AsyncToken | None = None,
        auth: Auth | None = None,
        timeout: float | Timeout = DEFAULT_TIMEOUT,
        verify: Verify = True,
        allow_http: bool = False,
        retries: Retries | None = Retries(),  # noqa: B008 - a frozen value
        on_altered_data: OnAlteredData = "warn",
        on_reused_key: OnReusedKey = "error",
        fingerprint_without: Sequence[str] = (),
        journal: Journal | AsyncJournal | None = None,
        key_lifetime: timedelta | None = None,
        transport: AsyncBaseTransport | None = None,
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
            key_lifetime=key_lifetime,
            transport=transport,
        )
        self._io = AsyncIO(self._settings)
        self._catalog = Catalog(self._io)
        self._on_reused_key: OnReusedKey = _start.check_on_reused_key(on_reused_key)
        self._fingerprint_without = check_fingerprint_without(fingerprint_without)
        self._starts = Starts(
            self._io, choose_journal(journal, self._settings.transport, asynchronous=True), key_lifetime
        )

    @classmethod
    def from_env(cls, **options: Unpack[AsyncClientOptions]) -> Self:
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
    def from_profile(cls, name: str | None = None, **options: Unpack[AsyncProfileOptions]) -> Self:
        """A client for a profile that `processmaker login` saved.

        Args:
            name: the profile's name; None for the one that PROCESSMAKER_PROFILE names, else the one in use.
            options: further arguments of the client, but for `base_url`; they win over the profile.

        Raises:
            ConfigurationError: there is no such profile, or its token cannot be had.
        """
        return cls(**from_profile(name, os.environ, options))

    async def processes(self) -> list[Process]:
        """See `ProcessMaker.processes`."""
        return await self._catalog.listing()

    async def start(
        self,
        process: AnyProcess,
        data: Mapping[str, object] | None = None,
        *,
        event: AnyEvent = None,
        idempotency_key: str | None = None,
        look_again_for: float = LOOK_AGAIN_FOR,
        again: bool = False,
        timeout: float | None = None,
        on_altered_data: OnAlteredData | None = None,
        on_reused_key: OnReusedKey | None = None,
        fingerprint_without: Sequence[str] | None = None,
    ) -> Request:
        """See `ProcessMaker.start`."""
        return await _start.start(
            self._starts,
            self._catalog,
            process,
            data,
            event=event,
            idempotency_key=idempotency_key,
            look_again_for=look_again_for,
            again=again,
            timeout=timeout,
            on_altered_data=self._settings.on_altered_data if on_altered_data is None else on_altered_data,
            on_reused_key=self._on_reused_key if on_reused_key is None else on_reused_key,
            fingerprint_without=self._fingerprint_without if fingerprint_without is None else fingerprint_without,
        )

    def start_many(
        self,
        process: AnyProcess,
        rows: Iterable[R] | AsyncIterable[R],
        *,
        key: Key = None,
        event: AnyEvent = None,
        concurrency: int = CONCURRENCY,
        look_again_for: float = LOOK_AGAIN_FOR,
        on_altered_data: OnAlteredData | None = None,
        on_reused_key: OnReusedKey | None = None,
        fingerprint_without: Sequence[str] | None = None,
    ) -> AsyncOutcomes[R]:
        """See `ProcessMaker.start_many`. The rows may also come from an asynchronous iterable.

        Args:
            rows: a wait inside an asynchronous iterable is cancelled when the run is stopped or left.

        Returns:
            An asynchronous iterator of `Outcome`; use it in an `async with` block if you may leave it early.
        """
        check_rows(rows)
        many = Run(
            self._starts,
            self._catalog,
            process,
            event,
            key,
            look_again_for=look_again_for,
            on_altered_data=self._settings.on_altered_data if on_altered_data is None else on_altered_data,
            on_reused_key=self._on_reused_key if on_reused_key is None else on_reused_key,
            fingerprint_without=(
                self._fingerprint_without
                if fingerprint_without is None
                else check_fingerprint_without(fingerprint_without)
            ),
            concurrency=concurrency,
        )
        return AsyncOutcomes(run_in_tasks(many, rows), many)

    async def find(
        self, idempotency_key: str, *, process: AnyProcess, key_lifetime: timedelta | None = None
    ) -> Request | None:
        """The Request of that process started with that key, or None.

        If there are several, the oldest that has neither failed nor been canceled. If all have, the newest.

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
        return await find_by_key(self._starts, self._catalog, process, idempotency_key, key_lifetime)

    async def get(self, request: AnyRequest, *, include: Iterable[str] = ("data",)) -> Request:
        """See `ProcessMaker.get`."""
        return await _reading.fetch(self._io, request, include)

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
    ) -> AsyncIterator[Request]:
        """See `ProcessMaker.requests`."""
        conditions = Conditions(pmql, process, status, since)
        return _reading.requests(self._io, self._catalog, conditions, include, per_page, order_by, order_direction)

    async def count_requests(
        self,
        pmql: str | None = None,
        *,
        process: AnyProcess | None = None,
        status: AnyStatus = None,
        since: Since = None,
    ) -> int:
        """See `ProcessMaker.count_requests`."""
        return await _reading.count_requests(self._io, self._catalog, Conditions(pmql, process, status, since))

    async def children(self, request: AnyRequest) -> list[Request]:
        """See `ProcessMaker.children`."""
        return await _reading.children(self._io, request)

    async def tasks(self, request: AnyRequest | None = None) -> list[Task]:
        """See `ProcessMaker.tasks`."""
        return await _tasks.open_tasks(self._io, request)

    async def claim(self, task: AnyTask) -> Task:
        """See `ProcessMaker.claim`."""
        return await _tasks.claim(self._io, task)

    async def complete(
        self,
        task: AnyTask,
        data: Mapping[str, object] | None = None,
        *,
        look_again_for: float = LOOK_AT_TASK_FOR,
        on_altered_data: OnAlteredData | None = None,
    ) -> Task:
        """See `ProcessMaker.complete`."""
        return await _tasks.complete(
            self._io,
            task,
            data,
            look_again_for=look_again_for,
            on_altered_data=self._settings.on_altered_data if on_altered_data is None else on_altered_data,
        )

    async def files(self, request: AnyRequest, *, name: str | None = None) -> list[File]:
        """See `ProcessMaker.files`."""
        return await _files.files(self._io, request, name)

    async def upload(self, request: AnyRequest, name: str, file: Upload) -> File:
        """See `ProcessMaker.upload`."""
        return await _files.upload(self._io, request, name, file)

    async def download(self, file: File) -> bytes:
        """See `ProcessMaker.download`."""
        return await _files.download(self._io, file)

    async def cancel(self, request: AnyRequest) -> Request:
        """See `ProcessMaker.cancel`."""
        return await _cancel(self._io, request)

    async def wait(
        self,
        request: AnyRequest,
        *,
        timeout: float = WAIT_TIMEOUT,
        until: Until = "finished",
        poll: float = FIRST_POLL,
    ) -> Request:
        """See `ProcessMaker.wait`."""
        return await _waiting.wait(self._io, request, until=until, timeout=timeout, poll=poll)

    def watch(
        self, request: AnyRequest, *, timeout: float = WAIT_TIMEOUT, poll: float = FIRST_POLL
    ) -> AsyncIterator[Progress]:
        """See `ProcessMaker.watch`."""
        return _waiting.watch(self._io, request, timeout=timeout, poll=poll)

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        json: object = None,
        files: Files | None = None,
    ) -> Any:
        """Any other call of the API, with this client's authentication, time-outs and errors.

        It is sent again only where that is safe: what only reads (GET, HEAD, OPTIONS), and what the server certainly
        did not process.

        Args:
            method: such as `GET`.
            path: below `/api/1.0`, such as `/users/1`. It cannot lead out of the API or to another server.
            params: the query; a list gives several values of one name, None leaves it out.
            json: the body, any JSON value; None for no body.
            files: files to upload, as `multipart/form-data`, by the name of the form's field: the content (bytes or
                a file opened in binary mode), or a tuple of file name and content, and perhaps the content type.

        Returns:
            The JSON of the answer; None if it has no body; bytes if it is no JSON, such as a file.

        Raises:
            InvalidData: the call cannot be sent as it is; nothing was sent.
            UnreadableResponse: a success that says that it is JSON, and is not.
            ProcessMakerError: anything else; `processed` tells whether the server may have done it.
        """
        return await _raw_call.request(self._io, method, path, params=params, body=json, files=files)

    async def close(self) -> None:
        """Closes the connections. An `async with` block does it at its end."""
        await self._io.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def __reduce__(self) -> NoReturn:
        raise not_copied(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._settings.site!r})"
