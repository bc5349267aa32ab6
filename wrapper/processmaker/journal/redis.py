"""A journal in Redis: for the callers on many machines."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from ..errors import ConfigurationError
from ..fork import begins_anew
from .lock import StepLock
from .protocol import DEFAULT_LEASE, KeyedStart, check_age
from .rows import Before, Change, Changed, Row, RowJournal

if TYPE_CHECKING:
    import redis

T = TypeVar("T")

Persistence = Literal["appendonly", "snapshots", "unchecked"]
"""What a `RedisJournal` asks of its server; see `RedisJournal.from_url`."""

PREFIX = "processmaker:starts"

TIMEOUT = 5.0
"""Seconds for a connection and for an answer, unless the URL says others (`?socket_timeout=`)."""

RETRIES = 3
"""How often redis-py sends again after a failed connection, if the journal was made by `from_url`."""

CHUNK = 500
"""Entries that are sent in one round trip."""

# One start is one hash: a field is missing if it has no value. 0.1.0 wrote `taken_over` (0 or 1) with each claim, and
# no `state`.
_FIELDS = (
    *("state", "owner", "since", "request_id", "uuid", "fingerprint"),
    *("before_state", "before_owner", "before_since", "taken_over"),
)

# Answers with what is there, and first replaces that if it is what the caller expects: no other caller was faster.
#
# ARGV: the name of the call; then, to replace: the milliseconds that the new entry is kept or "", what is expected of
# each field, and the new value of each. "" stands for no value; an entry without any value is removed.
_SWAP = f"""
local fields = {{{", ".join(f"'{name}'" for name in _FIELDS)}}}
local time, there = redis.call('TIME'), redis.call('HMGET', KEYS[1], unpack(fields))
local swap, set, gone = #ARGV > 1, {{}}, {{}}
for n, name in ipairs(fields) do
  local new = ARGV[2 + #fields + n]
  if (there[n] or '') ~= ARGV[2 + n] then
    swap = false
  elseif new == '' then
    gone[#gone + 1] = name
  else
    set[#set + 1], set[#set + 2] = name, new
  end
end
if swap and #set == 0 then
  redis.call('DEL', KEYS[1])
elseif swap then
  -- HSET first: if Redis has no memory, it refuses the first command or none.
  redis.call('HSET', KEYS[1], unpack(set))
  redis.call('HDEL', KEYS[1], unpack(gone))
  if ARGV[2] == '' then
    redis.call('PERSIST', KEYS[1])
  else
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
  end
end
return {{ARGV[1], swap, time[1], time[2], there}}
"""


class RedisJournal(RowJournal):
    """A journal of starts in Redis (5 or later, or Valkey), for the callers on many machines.

    A step reads an entry, and then replaces it if nobody was faster: two round trips, also for many starts. Time is
    counted by the clock of Redis. What is being sent never expires.

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
        """Make a journal over a client of redis-py, which stays the caller's to configure and to close.

        Nothing is sent to Redis yet. The arguments are those of `from_url`; give the client a `socket_timeout`, or a
        step has no end if the server is silent. If a process with threads forks, make it anew in the child
        (`from_url` does so by itself): a lock of the client's may have been held at that moment.
        """
        if not isinstance(client, _redis().Redis):
            raise ConfigurationError(
                f"RedisJournal takes a redis.Redis, not {type(client).__module__}.{type(client).__name__}; asyncio's "
                "clients, too, use this journal, in threads"
            )
        if not isinstance(prefix, str) or not prefix or "|" in prefix:
            raise ConfigurationError(f"prefix={prefix!r} is not a text without | for the names of Redis keys")
        if persistence not in ("appendonly", "snapshots", "unchecked"):
            raise ConfigurationError(f"persistence={persistence!r} is not 'appendonly', 'snapshots' or 'unchecked'")
        if keep is not None and not check_age("keep", keep):
            raise ConfigurationError("keep=timedelta(0) would keep nothing; None keeps everything")
        super().__init__(_name_of(client), lease)
        self._client = client
        self._make: Callable[[], redis.Redis] | None = None
        self._prefix = prefix
        self._keep = keep
        self._persistence = persistence
        self._checked = False
        self._thread = threading.local()
        begins_anew(self)

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
        """Make a journal at `redis://…`, `rediss://…` (TLS) or `unix://…`, as redis-py takes them. Nothing is sent yet.

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
        from redis.backoff import ExponentialBackoff
        from redis.retry import Retry

        def make() -> redis.Redis:
            client: redis.Redis = module.Redis.from_url(
                url,
                socket_timeout=TIMEOUT,
                socket_connect_timeout=TIMEOUT,
                # A connection for each thread; redis-py also counts those that an exception of a signal handler lost.
                max_connections=1_000_000,
                # Not after a time-out: redis-py takes a signal handler's TimeoutError for one, and would go on.
                retry=Retry(ExponentialBackoff(cap=0.4, base=0.05), RETRIES, (module.ConnectionError,)),
                retry_on_error=[module.ConnectionError],
            )
            return client

        try:
            client = make()
        except Exception:  # its message may repeat a part of the password
            raise ConfigurationError(
                "the URL of the Redis journal cannot be read; it is like redis://:password@redis.example.com:6379/0"
            ) from None
        journal = cls(client, lease=lease, prefix=prefix, keep=keep, persistence=persistence)
        journal._make = make
        return journal

    # --- rows -------------------------------------------------------------------------------------------------------

    def _change(self, changes: dict[KeyedStart, Change]) -> tuple[float, dict[KeyedStart, Changed]]:
        now, done = 0.0, dict[KeyedStart, Changed]()
        # The first call only reads. Each one after that writes what the one before led to, if nobody was faster.
        pending: dict[KeyedStart, list[str]] = {start: [] for start in changes}
        while pending:
            for start, answer in self._call(pending).items():
                swapped, now, there = answer
                if not swapped:
                    before = _row(there)
                    done[start] = after, _ = changes[start](before, now)
                    if after is not before:
                        pending[start] = [self._kept_for(after, now), *there, *_values(after)]
                        continue
                del pending[start]
        return now, done

    def _list(self, *, started: bool) -> tuple[float, list[tuple[KeyedStart, Row]]]:
        pattern = re.sub(r"([\\\[\]*?^-])", r"\\\1", self._prefix) + "|*"
        names = self._step(lambda: {_text(name) for name in self._client.scan_iter(match=pattern, count=1000)})
        starts = []
        for name in names:
            server, process_id, key = name.removeprefix(f"{self._prefix}|").split("|", 2)
            starts.append(KeyedStart(server, int(process_id), key))
        answers = self._call({start: [] for start in starts})
        rows = [(start, _row(there)) for start, (_, _, there) in answers.items()]
        now = max((now for _, now, _ in answers.values()), default=0.0)
        return now, [(start, row) for start, row in rows if row and (started or row.state != "started")]

    def _kept_for(self, row: Row | None, now: float) -> str:
        """Return for how many milliseconds an entry is kept; "" for as long as it is not removed."""
        if row is None or row.state != "started" or self._keep is None:
            return ""
        return str(max(1, round((self._keep.total_seconds() - (now - row.since)) * 1000)))

    # --- the server -------------------------------------------------------------------------------------------------

    def _call(self, calls: dict[KeyedStart, list[str]]) -> dict[KeyedStart, tuple[bool, float, list[str]]]:
        """Run the script for each start, with these arguments after its name.

        Returns:
            Whether the entry was replaced, the time, and what was there before.
        """
        starts, answers = list(calls), []
        for n in range(0, len(starts), CHUNK):
            chunk = {self._key(start): calls[start] for start in starts[n : n + CHUNK]}
            answers += self._step(partial(self._send, chunk))
        return dict(zip(starts, answers, strict=True))

    def _key(self, start: KeyedStart) -> str:
        # Neither a prefix nor a server's address holds a "|".
        return f"{self._prefix}|{start.server}|{start.process_id}|{start.key}"

    def _send(self, calls: dict[str, list[str]]) -> list[tuple[bool, float, list[str]]]:
        errors = _redis()
        names = [token_hex(8) for _ in calls]
        # One key a command and no transaction, as a cluster, and a proxy before one, want it.
        with self._client.pipeline(transaction=False) as pipeline:
            for name, (key, arguments) in zip(names, calls.items(), strict=True):
                # Encoded here: another client may have another encoding.
                pipeline.eval(_SWAP, 1, key.encode(), name, *(value.encode() for value in arguments))
            answers: list[Any] = pipeline.execute(raise_on_error=False)
        found = []
        for name, answer in zip(names, answers, strict=True):
            if isinstance(answer, Exception):
                raise answer
            # redis-py takes a connection back of which an exception of a signal handler left an answer unread.
            if not isinstance(answer, list) or _text(answer[0]) != name:
                raise errors.ConnectionError("a connection gave the answer to an earlier call, which was interrupted")
            _, swapped, seconds, microseconds, there = answer
            found.append((bool(swapped), int(seconds) + int(microseconds) / 1e6, [_text(value) for value in there]))
        return found

    def _step(self, work: Callable[[], T]) -> T:
        # A lock for each thread: it only refuses a step in the middle of a step.
        lock: StepLock = vars(self._thread).setdefault("lock", StepLock())
        return lock.run(lambda: self._work(work), 0, self._error)

    def _work(self, work: Callable[[], T]) -> T:
        try:
            if not self._checked:
                self._check_server()
                self._checked = True
            return work()
        except BaseException as problem:
            # An exception of a signal handler may have come before an answer was read: close the idle connections.
            with suppress(TypeError):  # a BlockingConnectionPool of redis-py 5 knows no such thing
                self._client.connection_pool.disconnect(inuse_connections=False)
            if isinstance(problem, _redis().RedisError):
                raise self._error(str(problem), transient=_is_passing(problem)) from problem
            raise

    def _check_server(self) -> None:
        """Make sure that the server keeps what is written."""
        if self._persistence == "unchecked":
            return
        unchecked = "or give persistence='unchecked', once you know that it keeps what it is told"
        try:
            # INFO, as managed servers often forbid CONFIG and allow this.
            memory, persistence = self._client.info("memory"), self._client.info("persistence")
            kept = persistence["aof_enabled"]
            if not kept and self._persistence == "snapshots":
                kept = self._client.config_get("save").get("save")
            limit, policy = memory["maxmemory"], memory["maxmemory_policy"]
        except (_redis().ResponseError, KeyError) as problem:
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

    def close(self) -> None:
        """Close the connections, if the journal was made by `from_url`. A later step opens others."""
        if self._make:
            self._client.close()

    def in_child(self) -> None:
        """Make the client anew, in a child process after a fork: a thread may have held a lock of the parent's."""
        if self._make:
            self._client.auto_close_connection_pool = False  # else its end would wait for that lock
            self._client = self._make()


def _redis() -> Any:
    try:
        import redis
    except ImportError:
        raise ConfigurationError("RedisJournal needs redis-py: pip install 'processmaker-client[redis]'") from None
    return redis


def _name_of(client: redis.Redis) -> str:
    """Return its address, without a user name, a password and options."""
    pool = client.connection_pool
    where = pool.connection_kwargs
    if "path" in where:
        return f"unix://{where['path'].partition('?')[0]}"
    host = getattr(pool, "service_name", None) or where.get("host", "localhost")  # the name of a service of Sentinel's
    return f"redis://{host}:{where.get('port', 6379)}/{where.get('db') or 0}"


# redis-py has a class for some codes and takes those out of the text. In a script Redis 6 has the code somewhere in it.
_PASSING = re.compile(r"\b(READONLY|OOM|MISCONF|MASTERDOWN|NOREPLICAS|LOADING|BUSY|CLUSTERDOWN|TRYAGAIN)\b")


def _is_passing(problem: Exception) -> bool:
    """Return whether the same step may work later."""
    kinds = _redis().exceptions
    if isinstance(problem, kinds.AuthenticationError | kinds.AuthorizationError):
        return False
    connection = kinds.ConnectionError | kinds.TimeoutError
    refusal = kinds.OutOfMemoryError | kinds.ReadOnlyError | kinds.ClusterDownError | kinds.TryAgainError
    return isinstance(problem, connection | refusal) or bool(_PASSING.search(str(problem)))


def _values(row: Row | None) -> list[str]:
    """Return a row as the values of the fields."""
    if row is None:
        return [""] * len(_FIELDS)
    before = row.before
    values = (
        *(row.state, row.owner, _microseconds(row.since), row.request_id, row.uuid, row.fingerprint),
        *((before.state, before.owner, _microseconds(before.since)) if before else (None, None, None)),
        None,
    )
    return ["" if value is None else str(value) for value in values]


def _row(values: Sequence[Any]) -> Row | None:
    """Return the row of the values of the fields."""
    state, owner, since, request_id, uuid, fingerprint, *before, taken_over = values
    if not owner:
        return None
    request = int(request_id) if request_id else None
    if taken_over:  # what 0.1.0 wrote last counts; a claim of its may have been sent at any time since then
        return Row("started" if request else "sending", owner, int(since) / 1e6, request)
    restored = Before(before[0], before[1], int(before[2]) / 1e6) if before[0] else None
    return Row(state, owner, int(since) / 1e6, request, uuid or None, fingerprint or None, restored)


def _microseconds(since: float) -> int:
    return round(since * 1e6)


def _text(value: bytes | str | None) -> str:
    """Return it as it was sent; a client with `decode_responses` has read it already."""
    return (value or b"").decode() if not isinstance(value, str) else value
