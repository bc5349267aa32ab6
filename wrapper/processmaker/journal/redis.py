"""A journal in Redis: for the callers on many machines."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from secrets import token_hex
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from attrs import field, frozen

from ..errors import ConfigurationError, JournalError
from .protocol import DEFAULT_LEASE, RESERVATION, Entry, KeyedStart, check_age, check_lease, distinct, in_order

if TYPE_CHECKING:
    import redis

T = TypeVar("T")

Persistence = Literal["appendonly", "snapshots", "unchecked"]
"""What a `RedisJournal` asks of its server; see `RedisJournal.from_url`."""

PREFIX = "processmaker:starts"

TIMEOUT = 5.0
"""Seconds for a connection and for an answer, unless the URL says others (`?socket_timeout=`)."""

RETRIES = 3
"""How often a step is taken again after a failed connection, if the journal was made by `from_url`."""

CHUNK = 500
"""Entries that are read in one round trip."""


@frozen
class Script:
    """A step as Redis carries it out, for one key. It answers with the name of the call, and what the step returns.

    ARGV: the name of the call, the owner, how long to keep what was started, and what the step needs.
    """

    body: str
    text: str = field(init=False)
    sha: str = field(init=False)

    @text.default
    def _text(self) -> str:
        return f"{_ENTRY}\nlocal function step()\n{self.body}\nend\nreturn {{ARGV[1], step() or false}}"

    @sha.default
    def _sha(self) -> str:
        return sha1(self.text.encode()).hexdigest()  # the name that Redis itself gives it


# One start is one hash. 0.1.0 wrote `taken_over` (0 or 1) with each claim, and no `state`; if its callers are still
# there, what they wrote last counts. Lua's own way to write a large number would cut it, hence the format.
_ENTRY = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local owner, keep = ARGV[2], ARGV[3]
local fields = {'state', 'owner', 'since', 'request_id', 'uuid', 'fingerprint', 'before_state', 'before_owner',
  'before_since', 'server', 'process_id', 'key', 'taken_over'}
local values = redis.call('HMGET', KEYS[1], unpack(fields))
local entry = {}
for n, name in ipairs(fields) do
  if values[n] then entry[name] = values[n] end
end
if entry.taken_over then
  entry.state = entry.request_id and 'started' or 'sending'
  entry.taken_over, entry.uuid, entry.fingerprint, entry.before_state = nil, nil, nil, nil
end
local own = entry.owner == owner
local age = entry.owner and now - tonumber(entry.since)

local function save(state, by, since)
  entry.state, entry.owner, entry.since = state, by, string.format('%.0f', since)
  if not entry.before_state then entry.before_owner, entry.before_since = nil, nil end
  local set, gone = {}, {}
  for _, name in ipairs(fields) do
    if entry[name] then
      set[#set + 1], set[#set + 2] = name, entry[name]
    else
      gone[#gone + 1] = name
    end
  end
  -- HSET first: if Redis has no memory, it refuses the first command or none.
  redis.call('HSET', KEYS[1], unpack(set))
  redis.call('HDEL', KEYS[1], unpack(gone))
  if state == 'started' and keep ~= '' then
    redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.max(1, tonumber(keep) - (now - since) / 1000)))
  else
    redis.call('PERSIST', KEYS[1])
  end
end

local function take(before)
  if before then
    entry.before_state, entry.before_owner, entry.before_since = before, entry.owner, entry.since
  end
  save('reserved', owner, now)
  return '1'
end

local function answer(mine)
  return {entry.state, entry.owner, entry.since, string.format('%.0f', math.max(0, now - tonumber(entry.since))),
    entry.request_id or false, entry.uuid or false, entry.fingerprint or false, mine,
    entry.server, entry.process_id, entry.key}
end
"""

_RESERVE = Script("""
local lease, reservation, replace = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local mine = '0'
if not entry.owner then
  entry.server, entry.process_id, entry.key = ARGV[7], ARGV[8], ARGV[9]
  mine = take()
elseif entry.state == 'started' then
  if entry.request_id == replace then mine = take('started') end
elseif own and entry.state ~= 'unknown' then
  if entry.state == 'reserved' then mine = take() end
elseif age < 0 then
  -- The clock was set back. The time counts from now on, or the key would be blocked for as long.
  save(entry.state, entry.owner, now)
elseif entry.state == 'reserved' then
  if age > reservation then mine = take() end
elseif age > lease then
  mine = take('unknown')
end
return answer(mine)
""")

_SENDING = Script("""
if not own or (entry.state ~= 'reserved' and entry.state ~= 'sending') then return 0 end
save('sending', owner, now)
return 1
""")

_STARTED = Script("""
if not own then return 0 end
if entry.state == 'started' then return entry.request_id == ARGV[4] and 1 or 0 end
entry.request_id, entry.uuid, entry.fingerprint, entry.before_state = ARGV[4], nil, nil, nil
if ARGV[5] ~= '' then entry.uuid = ARGV[5] end
if ARGV[6] ~= '' then entry.fingerprint = ARGV[6] end
save('started', owner, now)
return 1
""")

_UNKNOWN = Script("""
if not own then return 0 end
if entry.state ~= 'sending' then return entry.state == 'unknown' and 1 or 0 end
entry.before_state = nil
save('unknown', owner, tonumber(entry.since))
return 1
""")

_RELEASE = Script("""
if not own or (entry.state ~= 'reserved' and entry.state ~= 'sending') then return 0 end
if not entry.before_state then return redis.call('DEL', KEYS[1]) end
local state, by, since = entry.before_state, entry.before_owner, tonumber(entry.before_since)
entry.before_state = nil
save(state, by, since)
return 1
""")

_FORGET = Script("""
if ARGV[4] ~= '' and (entry.state ~= 'started' or entry.request_id ~= ARGV[4]) then return 0 end
return redis.call('DEL', KEYS[1])
""")

_READ = Script("""
return entry.owner and answer('0')
""")

_PRUNE = Script("""
if entry.state ~= 'started' or age <= tonumber(ARGV[4]) then return 0 end
return redis.call('DEL', KEYS[1])
""")


class RedisJournal:
    """A journal of starts in Redis (5 or later, or Valkey), for the callers on many machines.

    Every step is one script, which Redis carries out as a whole, by its own clock. What is being sent never expires.

    What it promises ends where Redis forgets. Before its first use a journal therefore makes sure that the server
    keeps what is written: that it writes an append-only file (`appendonly yes`), and has no `maxmemory` or the
    `maxmemory-policy` noeviction. Even so:

    - With `appendfsync always` a confirmed step is on the disk. With `everysec`, Redis's own default, up to two seconds
      of steps can be lost when the machine, or Redis itself, goes down at once; the keys claimed in them can then be
      started by another caller before the lease is over.
    - Replicas are written to after the answer. A failover to one (Sentinel, Cluster, a managed service) can lose what
      had not reached it; Redis's WAIT makes that rarer, and does not rule it out, so it is not used here.
    """

    def __init__(
        self,
        client: redis.Redis,
        *,
        lease: float = DEFAULT_LEASE,
        prefix: str = PREFIX,
        keep: timedelta | None = None,
        persistence: Persistence = "appendonly",
    ) -> None:
        """A journal over a client of redis-py, which stays the caller's to configure and to close.

        Nothing is sent to Redis yet. The arguments are those of `from_url`; give the client a `socket_timeout`, or a
        step has no end if the server is silent. If a process with threads forks, make it anew in the child
        (`from_url` does so by itself): a lock of the client's may have been held at that moment.
        """
        module = _redis()
        if not isinstance(client, module.Redis):
            raise ConfigurationError(
                f"RedisJournal takes a redis.Redis, not {type(client).__module__}.{type(client).__name__}; asyncio's "
                "clients, too, use this journal, in threads"
            )
        if not isinstance(prefix, str) or not prefix or "|" in prefix:
            raise ConfigurationError(
                f"prefix={prefix!r} is not a text, without |, to begin the names of Redis keys with"
            )
        if persistence not in ("appendonly", "snapshots", "unchecked"):
            raise ConfigurationError(
                f"persistence={persistence!r} is not one of 'appendonly', 'snapshots' and 'unchecked'"
            )
        if keep is not None and not check_age("keep", keep):
            raise ConfigurationError("keep=timedelta(0) would keep nothing; None keeps everything")
        self.lease = lease
        self._make: Callable[[], Any] | None = None
        self._prefix = prefix
        self._keep = "" if keep is None else str(max(1, keep // timedelta(milliseconds=1)))
        self._persistence = persistence
        self._checked = False
        self._name = _name_of(client)
        self._client: Any = client
        self._process = os.getpid()
        self._thread = threading.local()

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        lease: float = DEFAULT_LEASE,
        prefix: str = PREFIX,
        keep: timedelta | None = None,
        persistence: Persistence = "appendonly",
    ) -> Self:
        """A journal at `redis://…`, `rediss://…` (TLS) or `unix://…`, as redis-py takes them. Nothing is sent yet.

        Args:
            url: where Redis is, with the user name, password and number of the database it needs.
            lease: see `Journal.lease`.
            prefix: what the names of its keys in Redis begin with; callers who share a journal give the same.
            keep: how long what was started is kept; None means for ever (or until `prune`). Afterwards a key is only
                found by a look at the server. What is being sent is kept in any case.
            persistence: what is asked of the server before the first step:

                - "appendonly": it writes an append-only file.
                - "snapshots": it writes that, or snapshots (`save`). After a crash all is lost that was said since
                  the last one, which can be an hour by Redis's defaults.
                - "unchecked": nothing, neither that nor the eviction policy; for a managed server that does not let
                  itself be asked, once you know that it keeps what is written.

        Raises:
            ConfigurationError: redis-py is missing, or an argument cannot work.
        """
        module = _redis()
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        def make() -> Any:
            return module.Redis.from_url(
                url,
                socket_timeout=TIMEOUT,
                socket_connect_timeout=TIMEOUT,
                # `_step` sends it again: redis-py would take a TimeoutError of a signal handler for the socket's.
                retry=Retry(NoBackoff(), 0),
            )

        try:
            client = make()
        except Exception:  # its message may repeat a part of the password
            raise ConfigurationError(
                "the URL of the Redis journal cannot be read; it is like redis://:password@redis.example.com:6379/0"
            ) from None
        journal = cls(client, lease=lease, prefix=prefix, keep=keep, persistence=persistence)
        journal._make = make
        return journal

    @property
    def lease(self) -> float:
        """See `Journal.lease`."""
        return self._lease

    @lease.setter
    def lease(self, lease: float) -> None:
        self._lease = check_lease(lease)

    def __repr__(self) -> str:
        return f"<RedisJournal {self._name}, prefix={self._prefix!r}, lease={self._lease:g}>"

    # --- the steps --------------------------------------------------------------------------------------------------

    def reserve(self, starts: Sequence[tuple[KeyedStart, str]], *, replace: int | None = None) -> list[Entry]:
        """See `Journal.reserve`. All of them are one round trip."""
        times = [str(int(seconds * 1_000_000)) for seconds in (self._lease, RESERVATION)]
        reserved = distinct(starts)
        answers = self._run(
            _RESERVE,
            [
                (self._key(start), owner, [*times, _argument(replace), start.server, start.process_id, start.key])
                for start, owner in reserved.items()
            ],
        )
        return in_order(starts, {start: _entry(answer) for start, answer in zip(reserved, answers, strict=True)})

    def sending(self, start: KeyedStart, owner: str) -> bool:
        """See `Journal.sending`."""
        return self._run_one(_SENDING, start, owner)

    def started(
        self, start: KeyedStart, owner: str, request_id: int, *, uuid: str | None = None, fingerprint: str | None = None
    ) -> bool:
        """See `Journal.started`."""
        return self._run_one(_STARTED, start, owner, request_id, _argument(uuid), _argument(fingerprint))

    def unknown(self, start: KeyedStart, owner: str) -> bool:
        """See `Journal.unknown`."""
        return self._run_one(_UNKNOWN, start, owner)

    def release(self, start: KeyedStart, owner: str) -> bool:
        """See `Journal.release`."""
        return self._run_one(_RELEASE, start, owner)

    def entries(self, *, started: bool = False) -> Iterator[Entry]:
        """See `Journal.entries`. It goes through the names of all keys of the database, a few at a time."""
        for answer in self._run_on_all(_READ):
            if answer is not None:  # it is not gone meanwhile
                entry = _entry(answer)
                if started or entry.state != "started":
                    yield entry

    def read(self, start: KeyedStart) -> Entry | None:
        """See `Journal.read`."""
        (answer,) = self._run(_READ, [(self._key(start), "", [])])
        return None if answer is None else _entry(answer)

    def forget(self, start: KeyedStart, *, request_id: int | None = None) -> bool:
        """See `Journal.forget`."""
        return self._run_one(_FORGET, start, "", _argument(request_id))

    def prune(self, older_than: timedelta) -> int:
        """See `Journal.prune`."""
        age = check_age("older_than", older_than) // timedelta(microseconds=1)
        return sum(self._run_on_all(_PRUNE, age))

    def _key(self, start: KeyedStart) -> bytes:
        # Neither a prefix nor a server's address holds a "|".
        return _bytes(f"{self._prefix}|{start.server}|{start.process_id}|{start.key}")

    # --- the server -------------------------------------------------------------------------------------------------

    def _run_one(self, script: Script, start: KeyedStart, owner: str, *arguments: object) -> bool:
        (answer,) = self._run(script, [(self._key(start), owner, arguments)])
        return bool(answer)

    def _run_on_all(self, script: Script, *arguments: object) -> Iterator[Any]:
        """What the script answers for each key of this journal."""
        pattern = _bytes(re.sub(r"([\\\[\]*?^-])", r"\\\1", self._prefix) + "|*")
        keys = self._step(lambda: {_bytes(key) for key in self._client.scan_iter(match=pattern, count=1000)})
        for chunk in _in_chunks(sorted(keys)):
            yield from self._run(script, [(key, "", arguments) for key in chunk])

    def _run(self, script: Script, calls: Sequence[tuple[bytes, str, Sequence[object]]]) -> list[Any]:
        """What the script answers for each key, owner and further arguments. All of them are one round trip."""

        def run() -> list[Any]:
            name = token_hex(8)
            names = [f"{name}:{n}" for n in range(len(calls))]
            arguments = [
                (1, key, *(_bytes(str(value)) for value in (name, owner, self._keep, *more)))
                for name, (key, owner, more) in zip(names, calls, strict=True)
            ]
            answers = self._pipeline([("EVALSHA", script.sha, *each) for each in arguments])
            missing = [n for n, each in enumerate(answers) if isinstance(each, _redis().exceptions.NoScriptError)]
            if missing:  # EVAL makes Redis keep the script, before the next ones come
                evals = [("EVALSHA", script.sha) if n else ("EVAL", script.text) for n in range(len(missing))]
                again = [(*words, *arguments[n]) for words, n in zip(evals, missing, strict=True)]
                for n, answer in zip(missing, self._pipeline(again), strict=True):
                    answers[n] = answer
            for name, answer in zip(names, answers, strict=True):
                if isinstance(answer, Exception):
                    raise answer
                if not isinstance(answer, list) or answer[0] not in (name, name.encode()):
                    raise AnswerMixup
            return [value for _, value in answers]

        return self._step(run) if calls else []

    def _pipeline(self, commands: list[tuple[Any, ...]]) -> list[Any]:
        # One key a command and no transaction, as a cluster, and a proxy before one, want it.
        with self._client.pipeline(transaction=False) as pipeline:
            for command in commands:
                pipeline.execute_command(*command)
            answers: list[Any] = pipeline.execute(raise_on_error=False)
        return answers

    def _step(self, work: Callable[[], T]) -> T:
        if getattr(self._thread, "in_step", False):
            raise self._error(
                "it was called by a signal handler, or __del__, in the middle of a step of this thread", transient=True
            )
        self._thread.in_step = True
        try:
            return self._retried(work)
        except JournalError:
            raise
        except BaseException:
            # An exception of a signal handler may have come before an answer was read.
            self._disconnect()
            raise
        finally:
            self._thread.in_step = False

    def _retried(self, work: Callable[[], T]) -> T:
        errors = _redis()
        if self._make and self._process != os.getpid():
            # A thread of the parent's may have held one of the client's locks when this process was forked.
            _of_parents.append(self._client)
            self._client, self._process = self._make(), os.getpid()
        tries = RETRIES if self._make else 0
        while True:
            try:
                if not self._checked:
                    self._check_server()
                    self._checked = True
                return work()
            except (errors.RedisError, AnswerMixup) as problem:
                if raised := _raised_by_a_handler(problem):
                    raise raised from None
                if isinstance(problem, AnswerMixup):
                    self._disconnect()
                why, transient = _explain(problem)
                again = transient and isinstance(problem, errors.ConnectionError | errors.TimeoutError | AnswerMixup)
                if not again or not tries:
                    raise self._error(why + (f" ({problem})" if str(problem) else ""), transient=transient) from problem
            tries -= 1
            time.sleep(0.4 / 2**tries)

    def _disconnect(self) -> None:
        """Closes the connections that no thread is using."""
        with suppress(TypeError):  # a BlockingConnectionPool of redis-py 5 knows no such thing
            self._client.connection_pool.disconnect(inuse_connections=False)

    def _check_server(self) -> None:
        """Make sure that the server keeps what is written."""
        if self._persistence == "unchecked":
            self._client.ping()
            return
        errors = _redis()
        unchecked = "or give persistence='unchecked', once you know that it keeps what it is told"
        try:
            # INFO, as managed servers often forbid CONFIG and allow this.
            memory, persistence = self._client.info("memory"), self._client.info("persistence")
            kept = bool(persistence["aof_enabled"])
            if not kept and self._persistence == "snapshots":
                kept = bool(self._client.config_get("save").get("save"))
            limit, policy = memory["maxmemory"], memory["maxmemory_policy"]
        except (errors.ResponseError, KeyError) as problem:
            raise self._error(
                f"it does not say how it keeps its data ({problem}); let this user run INFO and CONFIG GET, {unchecked}"
            ) from problem
        if not kept:
            raise self._error(
                "it does not keep what it is told, so after a restart a key could be started twice; switch on its "
                "append-only file (appendonly yes in redis.conf, or CONFIG SET appendonly yes and CONFIG REWRITE), "
                + unchecked
            )
        if limit and policy != "noeviction":
            raise self._error(
                f"it may drop keys when its memory is full (maxmemory-policy {policy}), so a key could be started "
                f"twice; set its maxmemory-policy to noeviction, use another Redis, {unchecked}"
            )

    def _error(self, why: str, *, transient: bool = False) -> JournalError:
        return JournalError(f"the Redis journal {self._name}: {why}", journal=self._name, transient=transient)

    def close(self) -> None:
        """Close the connections, if the journal was made by `from_url`."""
        if self._make and self._process == os.getpid():
            self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AnswerMixup(Exception):
    """A connection that redis-py took back before it had read all its answers, after an exception of a signal handler.

    The next call would read one of those as its own: that it may send, for example.
    """


_of_parents: list[Any] = []
"""Clients that a parent process goes on using: they are left alone."""


def _redis() -> Any:
    try:
        import redis
    except ImportError:
        raise ConfigurationError("RedisJournal needs redis-py: pip install 'processmaker-client[redis]'") from None
    return redis


def _name_of(client: Any) -> str:
    """Its address, without a user name, a password and options."""
    where = client.connection_pool.connection_kwargs
    if service := getattr(client.connection_pool, "service_name", None):
        return f"{service} (by Sentinel)"
    if "path" in where:
        return f"unix://{where['path'].partition('?')[0]}"
    scheme = "rediss" if "SSL" in client.connection_pool.connection_class.__name__ else "redis"
    return f"{scheme}://{where.get('host', 'localhost')}:{where.get('port', 6379)}/{where.get('db') or 0}"


# Redis 6 tells an error in a script as one of the script's, with the code somewhere in its text.
_PASSING = re.compile(r"\b(READONLY|OOM|MISCONF|MASTERDOWN|NOREPLICAS|LOADING|BUSY|CLUSTERDOWN|TRYAGAIN)\b")
_FORBIDDEN = re.compile(r"\bNOPERM\b|can't run this command")


def _explain(problem: Exception) -> tuple[str, bool]:
    """What to say of an error of redis-py, and whether the same step may work later."""
    errors = _redis()
    kinds, text = errors.exceptions, str(problem)
    if isinstance(problem, kinds.AuthenticationError | kinds.AuthorizationError):
        return "it does not let this client in; give the URL its password", False
    if isinstance(problem, kinds.NoPermissionError) or _FORBIDDEN.search(text):
        return "this user may not do that there; widen its permissions", False
    if isinstance(problem, kinds.TimeoutError):
        return "no answer in time", True
    if isinstance(problem, kinds.BusyLoadingError):
        return "it is still loading its data", True
    if isinstance(problem, kinds.ConnectionError):
        return "no connection", True
    if isinstance(problem, AnswerMixup):
        return "a connection gave the answer to an earlier call, which was interrupted", True
    passing = isinstance(
        problem, kinds.OutOfMemoryError | kinds.ReadOnlyError | kinds.ClusterDownError | kinds.TryAgainError
    )
    return "it refused", passing or bool(_PASSING.search(text))


def _raised_by_a_handler(problem: BaseException) -> BaseException | None:
    """The exception of a signal handler, such as the TimeoutError of a time limit, that redis-py took for one of its
    socket's."""
    cause: BaseException | None = problem
    while cause is not None:
        # The system's have a number, and a socket's time-out has these words.
        own = isinstance(cause, OSError) and cause.errno is None
        if own and not (type(cause) is TimeoutError and "timed out" in str(cause)):
            trace = cause.__traceback__
            while trace and trace.tb_next:
                trace = trace.tb_next
            module = trace.tb_frame.f_globals.get("__name__", "") if trace else ""
            if module.partition(".")[0] not in ("redis", "socket", "ssl"):
                return cause
        cause = cause.__context__
    return None


def _entry(answer: list[Any]) -> Entry:
    texts: list[Any] = [None if value is None else _text(value) for value in answer]
    state, owner, since, age, request_id, uuid, fingerprint, mine, server, process_id, key = texts
    return Entry(
        start=KeyedStart(server, int(process_id), key),
        state=state,
        owner=owner,
        since=datetime.fromtimestamp(int(since) / 1_000_000, UTC),
        age=int(age) / 1_000_000,
        request_id=None if request_id is None else int(request_id),
        uuid=uuid,
        fingerprint=fingerprint,
        mine=mine == "1",
    )


def _in_chunks(keys: list[bytes]) -> Iterator[list[bytes]]:
    for n in range(0, len(keys), CHUNK):
        yield keys[n : n + CHUNK]


def _argument(value: object) -> object:
    """A value for a script, which knows no None."""
    return "" if value is None else value


def _bytes(text: str | bytes) -> bytes:
    """As it is sent, whatever encoding the client is set to."""
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")


def _text(answer: bytes | str) -> str:
    """As it was sent; a client with `decode_responses` has read it already."""
    return answer if isinstance(answer, str) else answer.decode("utf-8", "surrogatepass")
