"""The client for asyncio. Each method is one operation; `_client.py` has the same ones for blocking code."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self, Unpack, overload

from httpx import AsyncBaseTransport, Auth, Timeout

from .config.settings import DEFAULT_TIMEOUT, AsyncToken, Settings, Verify
from .config.sources import from_environment, from_profile
from .data import OnAlteredData, check_rows
from .follow import cancel, files, reading, tasks, waiting
from .follow.files import Upload
from .follow.pmql import AnyStatus, Conditions, Since
from .follow.reading import AnyRequest
from .follow.tasks import LOOK_AT_TASK_FOR, AnyTask
from .follow.waiting import FIRST_POLL, WAIT_TIMEOUT, Progress, Until
from .many import CONCURRENCY, AsyncOutcomes, Key, R, Run, run_in_tasks
from .models import File, Process, Request, Task
from .once import start
from .once.lookup import find_by_key
from .once.state import LOOK_AGAIN_FOR, OnReusedKey, Policy, Starts, choose_journal
from .processes import AnyEvent, AnyProcess
from .wire import raw_call
from .wire.call import AsyncIO
from .wire.raw_call import Files, Params
from .wire.retry import Retries

if TYPE_CHECKING:
    from .journal import AsyncJournal, Journal
    from .types import AsyncClientOptions, AsyncProfileOptions, KeyedStartOptions, StartOptions


class AsyncProcessMaker:
    """One connection to a ProcessMaker server, for asyncio; `ProcessMaker` is its twin.

    Make one and keep it: its connections are shared by all calls, also by those of several tasks.

    Its arguments and errors are those of `ProcessMaker`. A function for `token` may also be asynchronous.
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
        self._settings = Settings(
            base_url,
            token=token,
            auth=auth,
            timeout=timeout,
            verify=verify,
            allow_http=allow_http,
            retries=retries,
            transport=transport,
        )
        self._io = AsyncIO(self._settings)
        policy = Policy(on_altered_data, on_reused_key, fingerprint_without)
        keys = choose_journal(journal, self._settings.transport, asynchronous=True)
        self._starts = Starts(self._io, keys, policy, key_lifetime)

    @classmethod
    def from_env(cls, **options: Unpack[AsyncClientOptions]) -> Self:
        """See `ProcessMaker.from_env`."""
        return cls(**from_environment(os.environ, options))

    @classmethod
    def from_profile(cls, name: str | None = None, **options: Unpack[AsyncProfileOptions]) -> Self:
        """See `ProcessMaker.from_profile`."""
        return cls(**from_profile(name, os.environ, options))

    async def processes(self) -> list[Process]:
        """See `ProcessMaker.processes`."""
        return await self._starts.catalog.look()

    @overload
    async def start(
        self, process: AnyProcess, data: Mapping[str, object] | None = None, **options: Unpack[StartOptions]
    ) -> Request: ...
    @overload
    async def start(
        self, process: AnyProcess, data: Mapping[str, object] | None = None, **options: Unpack[KeyedStartOptions]
    ) -> Request: ...
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
        policy = self._starts.policy.replace(on_altered_data, on_reused_key, fingerprint_without)
        return await start.start(
            self._starts,
            process,
            data,
            event=event,
            idempotency_key=idempotency_key,
            look_again_for=look_again_for,
            again=again,
            timeout=timeout,
            policy=policy,
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
        policy = self._starts.policy.replace(on_altered_data, on_reused_key, fingerprint_without)
        many = Run(
            self._starts, process, event, key, look_again_for=look_again_for, policy=policy, concurrency=concurrency
        )
        return AsyncOutcomes(run_in_tasks(many, rows), many)

    async def find(
        self, idempotency_key: str, *, process: AnyProcess, key_lifetime: timedelta | None = None
    ) -> Request | None:
        """See `ProcessMaker.find`."""
        return await find_by_key(self._starts, process, idempotency_key, key_lifetime)

    async def get(self, request: AnyRequest, *, include: Iterable[str] = ("data",)) -> Request:
        """See `ProcessMaker.get`."""
        return await reading.fetch(self._io, request, include)

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
        return reading.requests(self._starts.catalog, conditions, include, per_page, order_by, order_direction)

    async def count_requests(
        self,
        pmql: str | None = None,
        *,
        process: AnyProcess | None = None,
        status: AnyStatus = None,
        since: Since = None,
    ) -> int:
        """See `ProcessMaker.count_requests`."""
        return await reading.count_requests(self._starts.catalog, Conditions(pmql, process, status, since))

    async def children(self, request: AnyRequest) -> list[Request]:
        """See `ProcessMaker.children`."""
        return await reading.children(self._io, request)

    async def tasks(self, request: AnyRequest | None = None) -> list[Task]:
        """See `ProcessMaker.tasks`."""
        return await tasks.open_tasks(self._io, request)

    async def claim(self, task: AnyTask) -> Task:
        """See `ProcessMaker.claim`."""
        return await tasks.claim(self._io, task)

    async def complete(
        self,
        task: AnyTask,
        data: Mapping[str, object] | None = None,
        *,
        look_again_for: float = LOOK_AT_TASK_FOR,
        on_altered_data: OnAlteredData | None = None,
    ) -> Task:
        """See `ProcessMaker.complete`."""
        how = self._starts.policy.replace(on_altered_data).on_altered_data
        return await tasks.complete(self._io, task, data, on_altered_data=how, look_again_for=look_again_for)

    async def files(self, request: AnyRequest, *, name: str | None = None) -> list[File]:
        """See `ProcessMaker.files`."""
        return await files.files(self._io, request, name)

    async def upload(self, request: AnyRequest, name: str, file: Upload) -> File:
        """See `ProcessMaker.upload`."""
        return await files.upload(self._io, request, name, file)

    async def download(self, file: File) -> bytes:
        """See `ProcessMaker.download`."""
        return await files.download(self._io, file)

    async def cancel(self, request: AnyRequest) -> Request:
        """See `ProcessMaker.cancel`."""
        return await cancel.cancel(self._io, request)

    async def wait(
        self,
        request: AnyRequest,
        *,
        timeout: float = WAIT_TIMEOUT,
        until: Until = "finished",
        poll: float = FIRST_POLL,
    ) -> Request:
        """See `ProcessMaker.wait`."""
        return await waiting.wait(self._io, request, until=until, timeout=timeout, poll=poll)

    def watch(
        self, request: AnyRequest, *, timeout: float = WAIT_TIMEOUT, poll: float = FIRST_POLL
    ) -> AsyncIterator[Progress]:
        """See `ProcessMaker.watch`."""
        return waiting.watch(self._io, request, timeout=timeout, poll=poll)

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        json: object = None,
        files: Files | None = None,
    ) -> Any:
        """See `ProcessMaker.request`."""
        return await raw_call.request(self._io, method, path, params=params, body=json, files=files)

    async def close(self) -> None:
        """Close the connections. An `async with` block does it at its end."""
        await self._io.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._settings.site!r})"
