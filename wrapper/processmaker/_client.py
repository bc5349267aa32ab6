"""The client for blocking code. Each method is one operation; `_async_client.py` has the same ones to await."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self, Unpack, overload

from httpx import Auth, BaseTransport, Timeout

from .config.settings import DEFAULT_TIMEOUT, Settings, Token, Verify
from .config.sources import from_environment, from_profile
from .data import OnAlteredData, check_rows
from .follow import cancel, files, reading, tasks, waiting
from .follow.files import Upload
from .follow.pmql import AnyStatus, Conditions, Since
from .follow.reading import AnyRequest
from .follow.tasks import LOOK_AT_TASK_FOR, AnyTask
from .follow.waiting import FIRST_POLL, WAIT_TIMEOUT, Progress, Until
from .many import CONCURRENCY, Key, Outcomes, R, Run, run_in_threads
from .models import File, Process, Request, Task
from .once import start
from .once.lookup import find_by_key
from .once.state import LOOK_AGAIN_FOR, OnReusedKey, Policy, Starts, choose_journal
from .processes import AnyEvent, AnyProcess
from .wire import raw_call
from .wire.call import BlockingIO, iterate, run
from .wire.raw_call import Files, Params
from .wire.retry import Retries

if TYPE_CHECKING:
    from .journal import Journal
    from .types import ClientOptions, KeyedStartOptions, ProfileOptions, StartOptions


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
        retries: how often a call is retried if that is safe; None for never.
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
        token: Token | None = None,
        auth: Auth | None = None,
        timeout: float | Timeout = DEFAULT_TIMEOUT,
        verify: Verify = True,
        allow_http: bool = False,
        retries: Retries | None = Retries(),  # noqa: B008 - a frozen value
        on_altered_data: OnAlteredData = "warn",
        on_reused_key: OnReusedKey = "error",
        fingerprint_without: Sequence[str] = (),
        journal: Journal | None = None,
        key_lifetime: timedelta | None = None,
        transport: BaseTransport | None = None,
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
        self._io = BlockingIO(self._settings)
        policy = Policy(on_altered_data, on_reused_key, fingerprint_without)
        keys = choose_journal(journal, self._settings.transport)
        self._starts = Starts(self._io, keys, policy, key_lifetime)

    @classmethod
    def from_env(cls, **options: Unpack[ClientOptions]) -> Self:
        """Return a client for the server and the user that the environment names.

        It reads PROCESSMAKER_URL with PROCESSMAKER_TOKEN, or with PROCESSMAKER_CLIENT_ID, _CLIENT_SECRET, _USERNAME
        and _PASSWORD to sign in with a password. Without PROCESSMAKER_URL, inside a ProcessMaker script task, it reads
        the platform's own API_HOST, API_TOKEN and API_SSL_VERIFY.

        Args:
            options: further arguments of the client; they win over the environment.

        Raises:
            ConfigurationError: something is missing; the message names it.
        """
        return cls(**from_environment(os.environ, options))

    @classmethod
    def from_profile(cls, name: str | None = None, **options: Unpack[ProfileOptions]) -> Self:
        """Return a client for a profile that `processmaker login` saved.

        Args:
            name: the profile's name; None for the one that PROCESSMAKER_PROFILE names, else the one in use.
            options: further arguments of the client, but for `base_url`; they win over the profile.

        Raises:
            ConfigurationError: there is no such profile, or its token cannot be had.
        """
        return cls(**from_profile(name, os.environ, options))

    def processes(self) -> list[Process]:
        """Return all processes that this token may start, each with its start events.

        The server lists only active processes with a start event that is not a timer, and of these only the ones that
        this user may start (observed on 4.15.5). The list is read in pages of 100, one HTTP request each.

        Raises:
            ProcessMakerError: the list could not be read.
        """
        return run(self._starts.catalog.look())

    @overload
    def start(
        self, process: AnyProcess, data: Mapping[str, object] | None = None, **options: Unpack[StartOptions]
    ) -> Request: ...
    @overload
    def start(
        self, process: AnyProcess, data: Mapping[str, object] | None = None, **options: Unpack[KeyedStartOptions]
    ) -> Request: ...
    def start(
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
        """Start a Request, once.

        With a process id and the node id of a start event it is exactly one HTTP request, and with a key one more to
        look for the key. Otherwise the client first looks up what this token may start, and remembers it for a minute.
        The start is sent again only if the server certainly did not process it.

        Args:
            process: its id, its exact name, or a `Process`.
            data: the Request's data, a JSON object (a dict with str keys).
            event: the start event's node id or exact name. May be left out if the process has one manual start event.
            idempotency_key: what identifies this start, such as `order-1234`: 1 to 200 characters. If this process has
                a Request with this key, that Request is returned and nothing is sent. The key is stored in the data,
                as `_idempotency_key`, with a fingerprint of the data beside it. Callers in several processes need a
                shared `journal`, or may both start the key. Requests that this token may not see are not found.
            look_again_for: seconds for which the key is looked for after an answer was lost.
            again: start anew, on purpose, if the Request with this key failed or was canceled.
            timeout: seconds for the whole start: waiting for another caller, the token, the looks and the start. None
                means no bound beside those of its parts.
            on_altered_data: for this start, in place of the client's setting.
            on_reused_key: for this start, in place of the client's setting.
            fingerprint_without: for this start, in place of the client's setting.

        Returns:
            The Request. `created` is True if this start made it, False if it was there before, and None if it was
            found by its key after a lost answer: then another caller may have made it. Its status is that of the
            moment: with a script it is ACTIVE, and COMPLETED or ERROR a moment later (observed on 4.15.5). `wait`
            follows it.

        Raises:
            InvalidData: the data or the key cannot be sent; nothing was sent.
            CannotStart: the process or the start event is not clear; nothing was sent.
            IdempotencyKeyReused: the Request with this key was started with other data; nothing was sent.
            StartOutcomeUnknown: it is not known whether the Request exists. With a key, start again with the same key.
            RequestFailed: the Request exists, and its status is ERROR.
            RequestCanceled: the Request with this key exists, and was canceled.
            TimedOut: the time was over before anything was sent.
            ProcessMakerError: anything else. `started` says whether the Request exists, `processed` whether this
                start may have been processed, and `retryable` whether to start again later, with the same key.
        """
        policy = self._starts.policy.replace(on_altered_data, on_reused_key, fingerprint_without)
        return run(
            start.start(
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
        )

    def start_many(
        self,
        process: AnyProcess,
        rows: Iterable[R],
        *,
        key: Key = None,
        event: AnyEvent = None,
        concurrency: int = CONCURRENCY,
        look_again_for: float = LOOK_AGAIN_FOR,
        on_altered_data: OnAlteredData | None = None,
        on_reused_key: OnReusedKey | None = None,
        fingerprint_without: Sequence[str] | None = None,
    ) -> Outcomes[R]:
        """Start a Request for each row, several at a time, and yield the outcome of each as it ends.

        A row that fails stops no other; bad data is that row's error. Rows are read as they are needed, so that a
        generator of a million rows stays a stream. If the server refuses a start for a while (429, maintenance), all
        starts wait. Keys are looked for in blocks of up to 100. If another caller holds a row's key, the row is tried
        again later, and other rows continue.

        To record such a run and replay it, use `concurrency=1` and a list of rows: then the blocks depend on the rows
        alone.

        Args:
            process: its id, its exact name, or a `Process`.
            rows: the data of each Request, as `start` takes it.
            key: what gives a row its idempotency key: the name of a column (a key of the row, whose value may also be
                an int), a tuple of them, whose values are joined with ":", or a function of the row. Without keys, a
                row whose answer is lost stays unknown.
            event: the start event's node id or exact name. May be left out if the process has one manual start event.
            concurrency: how many starts are under way at once.
            look_again_for: seconds for which a key is looked for after an answer was lost.
            on_altered_data: for these starts, in place of the client's setting.
            on_reused_key: for these starts, in place of the client's setting.
            fingerprint_without: for these starts, in place of the client's setting.

        Returns:
            An iterator of `Outcome`. Leaving it early starts nothing more and finishes what is in flight.

        Raises:
            InvalidData: an argument cannot work; nothing was sent.
            CannotStart: (when it is iterated) the process or the start event is not clear; nothing was sent.
        """
        check_rows(rows)
        policy = self._starts.policy.replace(on_altered_data, on_reused_key, fingerprint_without)
        many = Run(
            self._starts, process, event, key, look_again_for=look_again_for, policy=policy, concurrency=concurrency
        )
        return Outcomes(run_in_threads(many, rows), many)

    def find(
        self, idempotency_key: str, *, process: AnyProcess, key_lifetime: timedelta | None = None
    ) -> Request | None:
        """Return the Request of that process that was started with that key, or None.

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
        return run(find_by_key(self._starts, process, idempotency_key, key_lifetime))

    def get(self, request: AnyRequest, *, include: Iterable[str] = ("data",)) -> Request:
        """Return the state of a Request now; the status in the answer to a start is not final (see `Request.status`).

        Args:
            request: a `Request` or its id.
            include: what comes along, one name or several, of data, summary, process, user, participants, errors and
                activeTasks. `data` fills `Request.data`, `summary` fills `Request.idempotency_key`; all are in `raw`.

        Raises:
            NotFound: no such Request.
            Forbidden: another user's.
            ProcessMakerError: it could not be read.
        """
        return run(reading.fetch(self._io, request, include))

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
        """Iterate over the Requests that this token may see. Each page is fetched when it is needed.

        If several conditions are given, all of them hold. In ascending order of id (the default) a Request may be
        changed or canceled while the list is read: none is skipped, and none comes twice. In any other order a Request
        that drops out of the list meanwhile, or is started, shifts the pages after it, so that others are skipped:
        collect these first, `list(pm.requests(…, order_direction="desc"))`, and then change them.

        Args:
            pmql: a condition in ProcessMaker's query language, such as `data.days > 3`.
            process: only those of this process: its id, its exact name, or a `Process`.
            status: only those with this status, or one of several: ACTIVE, COMPLETED, ERROR, CANCELED.
            since: only those created since this aware datetime, or within this timedelta.
            include: what comes along, such as `data`.
            per_page: how many one HTTP request fetches.
            order_by, order_direction: the order, "asc" or "desc". None leaves any of these to the server.

        Raises:
            InvalidData: an argument cannot be meant; nothing was sent.
            ProcessNotFound: no process of that name.
            ResponseError: such as for PMQL that the server cannot read (400).
            ProcessMakerError: a page could not be read.
        """
        conditions = Conditions(pmql, process, status, since)
        return iterate(reading.requests(self._starts.catalog, conditions, include, per_page, order_by, order_direction))

    def count_requests(
        self,
        pmql: str | None = None,
        *,
        process: AnyProcess | None = None,
        status: AnyStatus = None,
        since: Since = None,
    ) -> int:
        """Return how many Requests `requests` would give for these conditions; one HTTP request.

        Raises:
            InvalidData: a condition cannot be one.
            ProcessNotFound: no process of that name.
            ProcessMakerError: the number could not be had.
        """
        return run(reading.count_requests(self._starts.catalog, Conditions(pmql, process, status, since)))

    def children(self, request: AnyRequest) -> list[Request]:
        """Return the Requests that this one started as sub-processes, in order of id.

        A Request that waits for a sub-process has no open task of its own: the tasks are those of the child,
        `pm.tasks(child)`. When the child ends, the server merges its data into the parent. Children of children are
        not listed.

        Args:
            request: a `Request` or its id.

        Raises:
            ProcessMakerError: they could not be read.
        """
        return run(reading.children(self._io, request))

    def tasks(self, request: AnyRequest | None = None) -> list[Task]:
        """Return the open tasks of a Request, whoever they wait for; without a Request, the tasks for this user.

        `Task.user_id` says whose each is, and `Task.completable` whether this user may complete it. An ACTIVE Request
        without open tasks runs a script, or waits for a sub-process (see `children`), a timer, a message or a signal.

        With a Request, this is two HTTP requests: the Request's active tasks, which name every user's, and the list
        of tasks, which shows an ordinary user only the own and claimable ones, with their node ids (observed on
        4.15.5). Servers before 4.9 do not name active tasks; from these come only the tasks that they list.

        Args:
            request: a `Request` or its id. None: the tasks of all Requests that wait for this user or that this user
                may claim. If the token does not say whose it is, those that the server shows this user.

        Raises:
            ProcessMakerError: they could not be read.
        """
        return run(tasks.open_tasks(self._io, request))

    def claim(self, task: AnyTask) -> Task:
        """Claim a self-service task, and return it as this user's.

        A self-service task can also be completed without a claim; then it is not recorded whose it was (observed on
        4.15.5). Reassigning a task to another user is not offered: the server answers 200 without doing it.

        Args:
            task: a `Task` or its id.

        Raises:
            Forbidden: it is another user's, or was claimed already, also if by this user.
            ConfigurationError: the token does not say whose it is. Nothing was sent.
            ProcessMakerError: anything else; `processed` says whether the task may be claimed.
        """
        return run(tasks.claim(self._io, task))

    def complete(
        self,
        task: AnyTask,
        data: Mapping[str, object] | None = None,
        *,
        look_again_for: float = LOOK_AT_TASK_FOR,
        on_altered_data: OnAlteredData | None = None,
    ) -> Task:
        """Complete a task, which adds `data` (a JSON object) to the Request's, and return it once it is closed.

        The server may accept a completion and leave the task open: the Request is locked, or the engine works
        elsewhere, behind a message broker. Then the task is looked at until it is closed.

        Two completions of one task at the same moment both succeed, and the next task then exists twice, or the Request
        fails (observed on 4.15.5). So this process refuses the second call while the first is under way; see to it that
        no two processes complete the same task.

        Args:
            task: a `Task` or its id.
            data: what the server stores beside the Request's own data. It alters this in other ways than a start's:
                HTML tags and `{{ }}` are stripped at every depth, and nothing is trimmed (observed on 4.15.5).
            look_again_for: seconds for which an accepted completion is looked at.
            on_altered_data: for this task, in place of the client's setting.

        Returns:
            The task, with the status CLOSED.

        Raises:
            InvalidData: the data cannot be sent; nothing was sent.
            TaskAlreadyClosed: it was completed before.
            Forbidden: it is another user's.
            TaskNotClosed: it was still open after `look_again_for`; do not complete it again before you know.
            ProcessMakerError: anything else; `processed` says whether it may be completed.
        """
        how = self._starts.policy.replace(on_altered_data).on_altered_data
        return run(tasks.complete(self._io, task, data, on_altered_data=how, look_again_for=look_again_for))

    def files(self, request: AnyRequest, *, name: str | None = None) -> list[File]:
        """Return the files of a Request.

        Args:
            request: a `Request` or its id.
            name: only those of this name, `File.name`.

        Raises:
            Forbidden: this user has no part in the Request.
            ProcessMakerError: they could not be read.
        """
        return run(files.files(self._io, request, name))

    def upload(self, request: AnyRequest, name: str, file: Upload) -> File:
        """Upload a file to a Request.

        The Request's data is not changed: to show the file in a form, write `File.id` into the data, such as with
        `complete`. A file that has the same name is deleted (both observed on 4.15.5).

        Args:
            request: a `Request` or its id.
            name: the name of the data that the file belongs to.
            file: the path of a file, or a tuple of a file name and the content, `("offer.txt", b"…")`.

        Returns:
            The file as the server stores it.

        Raises:
            InvalidData: the file cannot be read, or an argument cannot be meant; nothing was sent.
            Forbidden: this user has no part in the Request.
            ResponseError: (413) the file is larger than the web server lets through.
            ProcessMakerError: anything else; `processed` says whether it may be uploaded.
        """
        return run(files.upload(self._io, request, name, file))

    def download(self, file: File) -> bytes:
        """Return the content of a file of a Request.

        Args:
            file: a `File`, such as `files` gives.

        Raises:
            ResponseError: such as for a file that is not there any more (400, observed on 4.15.5).
            ProcessMakerError: it could not be read.
        """
        return run(files.download(self._io, file))

    def cancel(self, request: AnyRequest) -> Request:
        """Cancel a Request, and return its state. Its open tasks are closed, also those of other users.

        An ordinary user may not cancel even their own Requests, unless the process allows it. If a parent is canceled,
        its child ends as COMPLETED. If a child is canceled, its parent goes on (all observed on 4.15.5).

        A `Request` that was canceled is returned as it is. For an id, the server decides whether a Request that is
        COMPLETED can be canceled.

        Args:
            request: a `Request` or its id.

        Raises:
            CancelNotAllowed: this user may not, or the Request is over. It is then `error.request`.
            ProcessMakerError: anything else; `processed` says whether it may be canceled.
        """
        return run(cancel.cancel(self._io, request))

    def wait(
        self,
        request: AnyRequest,
        *,
        timeout: float = WAIT_TIMEOUT,
        until: Until = "finished",
        poll: float = FIRST_POLL,
    ) -> Request:
        """Wait for a Request, asking at growing intervals. A failure that may pass, such as a lost answer, is no end.

        The first look is at once, because the status in the answer to a start is not final: a script may have failed or
        completed the Request since. ERROR ends the wait, although it is not always the end: if somebody completes
        an open task of such a Request, or an administrator retries it, wait again.

        Args:
            request: a `Request` or its id.
            timeout: seconds.
            until: "finished"; "task", that is until a task is open, whoever it waits for (or the Request has
                finished); or a function that is given the Request, with its data, and says whether this is it. A
                Request that runs a script or waits for a sub-process has no open task. Of a server before 4.9 only
                the tasks that this user may see count.
            poll: seconds before the second look; later pauses grow up to ten seconds.

        Raises:
            RequestFailed: its status is ERROR; with the engine's messages.
            RequestCanceled: it was canceled.
            WaitTimeout: not in time; carries its last known state.
            ProcessMakerError: it cannot be read, for a reason that will not pass.
        """
        return run(waiting.wait(self._io, request, until=until, timeout=timeout, poll=poll))

    def watch(
        self, request: AnyRequest, *, timeout: float = WAIT_TIMEOUT, poll: float = FIRST_POLL
    ) -> Iterator[Progress]:
        """Yield where a Request stands, now and at each change of its status or its open tasks, until it finishes.

        The tasks are those of `tasks`: everybody's, but not those of sub-processes. While a script runs or a
        sub-process is under way, nothing changes here.

        Args:
            request: a `Request` or its id.
            timeout: seconds.
            poll: seconds before the second look; later pauses grow up to ten seconds, and begin anew at each change.

        Raises:
            WaitTimeout: it did not finish in time; carries its last known state.
            ProcessMakerError: it cannot be read, for a reason that will not pass.
        """
        return iterate(waiting.watch(self._io, request, timeout=timeout, poll=poll))

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        json: object = None,
        files: Files | None = None,
    ) -> Any:
        """Make any other call of the API, with this client's authentication, time-outs and errors.

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
            ProcessMakerError: anything else; `processed` says whether the server may have done it.
        """
        return run(raw_call.request(self._io, method, path, params=params, body=json, files=files))

    def close(self) -> None:
        """Close the connections. A `with` block does it at its end."""
        self._io.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._settings.site!r})"
