"""A journal in Redis: for the callers on many machines."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from ..errors import ConfigurationError, JournalError
from .protocol import DEFAULT_LEASE, Entry, KeyedStart, check_age, check_lease

if TYPE_CHECKING:
    import redis

T = TypeVar("T")

Persistence = Literal["appendonly", "snapshots", "unchecked"]
"""What a `RedisJournal` asks of its server; see `RedisJournal.from_url`."""

PREFIX = "processmaker:starts"

TIMEOUT = 5.0
"""Seconds for a connection and for an answer, where the URL does not say others (`?socket_timeout=`)."""

# One start is one hash: owner, since (microseconds), taken_over (0 or 1), request_id once it was started, and what it
# is of. Lua's own way to write a large number would cut it, hence the format.
_CLAIM = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local owner, lease = ARGV[1], tonumber(ARGV[2])
local entry = redis.call('HMGET', KEYS[1], 'owner', 'since', 'taken_over', 'request_id')
local silent = entry[1] and now - tonumber(entry[2])
local mine = false
if not entry[1] then
  mine, entry[3] = true, '0'
  redis.call('HSET', KEYS[1], 'server', ARGV[3], 'process_id', ARGV[4], 'key', ARGV[5])
elseif not entry[4] and entry[1] == owner then
  mine = true
elseif not entry[4] and silent > lease then
  mine, entry[3] = true, '1'
elseif not entry[4] and silent < 0 then
  -- Since a time to come: the clock was set back, and its silence is counted from now on.
  owner = entry[1]
else
  return {entry[1], entry[2], entry[3], entry[4], string.format('%.0f', now), '0'}
end
local since = string.format('%.0f', now)
redis.call('HSET', KEYS[1], 'owner', owner, 'since', since, 'taken_over', entry[3])
return {owner, since, entry[3], false, since, mine and '1' or '0'}
"""

_STARTED = """
if redis.call('HEXISTS', KEYS[1], 'request_id') == 1 then return 0 end
local time = redis.call('TIME')
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'since', string.format('%.0f', time[1] * 1000000 + time[2]),
  'request_id', ARGV[2], 'server', ARGV[4], 'process_id', ARGV[5], 'key', ARGV[6])
redis.call('HSETNX', KEYS[1], 'taken_over', '0')
if ARGV[3] ~= '' then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return 1
"""

_RELEASE = """
local entry = redis.call('HMGET', KEYS[1], 'owner', 'request_id')
if entry[1] == ARGV[1] and not entry[2] then return redis.call('DEL', KEYS[1]) end
return 0
"""

_FORGET = """
if ARGV[1] ~= '' and redis.call('HGET', KEYS[1], 'request_id') ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""

_READ = """
local time = redis.call('TIME')
local entry = redis.call('HMGET', KEYS[1], 'owner', 'since', 'taken_over', 'request_id', 'server', 'process_id', 'key')
entry[8] = string.format('%.0f', time[1] * 1000000 + time[2])
return entry
"""

_PRUNE = """
local entry = redis.call('HMGET', KEYS[1], 'since', 'request_id')
local time = redis.call('TIME')
if entry[2] and time[1] * 1000000 + time[2] - tonumber(entry[1]) > tonumber(ARGV[1]) then
  return redis.call('DEL', KEYS[1])
end
return 0
"""


class RedisJournal:
    """A journal of starts in Redis (5 or later, or Valkey), for the callers on many machines.

    Every step is one script, which Redis carries out as a whole, by its own clock. What is being sent never expires.

    What it promises ends where Redis forgets. Before its first use a journal therefore makes sure that the server
    keeps what it was told: that it writes an append-only file (`appendonly yes`), and has no `maxmemory` or the
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
        step has no end where the server is silent. Where a process with threads forks, make it anew in the child
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
        self._use(client)

    def _use(self, client: Any) -> None:
        self._client = client
        self._process = os.getpid()
        self._claim = client.register_script(_CLAIM)
        self._started = client.register_script(_STARTED)
        self._release = client.register_script(_RELEASE)
        self._forget = client.register_script(_FORGET)
        self._read = client.register_script(_READ)
        self._prune = client.register_script(_PRUNE)

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
                  itself be asked, once you know that it keeps what it is told.

        Raises:
            ConfigurationError: redis-py is missing, or an argument cannot work.
        """
        module = _redis()
        from redis.backoff import ExponentialBackoff
        from redis.retry import Retry

        def make() -> Any:
            return module.Redis.from_url(
                url,
                socket_timeout=TIMEOUT,
                socket_connect_timeout=TIMEOUT,
                # Every step may be sent again.
                retry=Retry(ExponentialBackoff(cap=1.0, base=0.1), 3),
                retry_on_error=[module.ConnectionError, module.TimeoutError],
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

    def claim(self, start: KeyedStart, owner: str) -> Entry:
        """See `Journal.claim`."""
        lease = str(int(self._lease * 1_000_000))
        *said, mine = self._step(
            lambda: self._claim(keys=[self._key(start)], args=[_bytes(owner), lease, *_values(start)])
        )
        entry = _entry(start, said, mine=_text(mine) == "1")
        assert entry is not None
        return entry

    def started(self, start: KeyedStart, owner: str, request_id: int) -> None:
        """See `Journal.started`."""
        arguments = [_bytes(owner), request_id, self._keep, *_values(start)]
        self._step(lambda: self._started(keys=[self._key(start)], args=arguments))

    def release(self, start: KeyedStart, owner: str) -> None:
        """See `Journal.release`."""
        self._step(lambda: self._release(keys=[self._key(start)], args=[_bytes(owner)]))

    def entries(self, *, started: bool = False) -> Iterator[Entry]:
        """See `Journal.entries`. It goes through the names of all keys of the database, a few at a time."""
        for key in self._keys():
            *said, server, process_id, name, now = self._step(lambda key=key: self._read(keys=[key]))  # type: ignore[misc]
            if said[0] is None:  # gone meanwhile
                continue
            entry = _entry(KeyedStart(_text(server), int(process_id), _text(name)), [*said, now])
            if started or entry.request_id is None:
                yield entry

    def read(self, start: KeyedStart) -> Entry | None:
        """See `Journal.read`."""
        *said, _, _, _, now = self._step(lambda: self._read(keys=[self._key(start)]))
        return None if said[0] is None else _entry(start, [*said, now])

    def forget(self, start: KeyedStart, *, request_id: int | None = None) -> bool:
        """See `Journal.forget`."""
        only = "" if request_id is None else str(request_id)
        return bool(self._step(lambda: self._forget(keys=[self._key(start)], args=[only])))

    def prune(self, older_than: timedelta) -> int:
        """See `Journal.prune`."""
        age = str(check_age("older_than", older_than) // timedelta(microseconds=1))
        return sum(self._step(lambda key=key: self._prune(keys=[key], args=[age])) for key in self._keys())  # type: ignore[misc]

    def _keys(self) -> set[bytes]:
        pattern = re.sub(r"([\\\[\]*?^-])", r"\\\1", self._prefix) + "|*"
        return self._step(lambda: {_bytes(key) for key in self._client.scan_iter(match=_bytes(pattern), count=1000)})

    def _key(self, start: KeyedStart) -> bytes:
        # Neither a prefix nor a server's address holds a "|".
        return _bytes(f"{self._prefix}|{start.server}|{start.process_id}|{start.key}")

    # --- the server -------------------------------------------------------------------------------------------------

    def _step(self, work: Callable[[], T]) -> T:
        errors = _redis()
        if self._make and self._process != os.getpid():
            # A thread of the parent's may have held one of the client's locks when this process was forked.
            _of_parents.append(self._client)
            self._use(self._make())
        try:
            if not self._checked:
                self._check_server()
                self._checked = True
            return work()
        except (errors.AuthenticationError, errors.exceptions.AuthorizationError) as problem:
            raise self._error(f"it does not let this client in ({problem}); give the URL its password") from problem
        except errors.exceptions.NoPermissionError as problem:
            raise self._error(f"this user may not do that there ({problem}); widen its permissions") from problem
        except errors.TimeoutError as problem:
            raise self._error(f"no answer in time ({problem})", transient=True) from problem
        except errors.ConnectionError as problem:  # also while it is loading its data
            raise self._error(f"no connection ({problem})", transient=True) from problem
        except errors.RedisError as problem:
            # No memory, a replica that is not the master yet, a disk that cannot be written, no replica.
            passing = isinstance(problem, errors.exceptions.OutOfMemoryError | errors.ReadOnlyError)
            passing = passing or str(problem).startswith(("MISCONF", "MASTERDOWN", "NOREPLICAS"))
            raise self._error(f"it refused ({problem})", transient=passing) from problem

    def _check_server(self) -> None:
        """Makes sure that the server keeps what it is told."""
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
        """Closes the connections, where the journal was made by `from_url`."""
        if self._make and self._process == os.getpid():
            self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


_of_parents: list[Any] = []
"""Clients that a parent process goes on using: they are left alone."""


def _redis() -> Any:
    try:
        import redis
    except ImportError:
        raise ConfigurationError("RedisJournal needs redis-py: pip install 'processmaker-client[redis]'") from None
    return redis


def _name_of(client: Any) -> str:
    """Its address, without a user name and password."""
    where = client.connection_pool.connection_kwargs
    if service := getattr(client.connection_pool, "service_name", None):
        return f"{service} (by Sentinel)"
    if "path" in where:
        return f"unix://{where['path']}?db={where.get('db') or 0}"
    scheme = "rediss" if "SSL" in client.connection_pool.connection_class.__name__ else "redis"
    return f"{scheme}://{where.get('host', 'localhost')}:{where.get('port', 6379)}/{where.get('db') or 0}"


def _entry(start: KeyedStart, said: list[Any], *, mine: bool = False) -> Entry:
    owner, since, taken_over, request_id, now = said
    return Entry(
        start=start,
        owner=_text(owner),
        request_id=None if request_id is None else int(request_id),
        since=datetime.fromtimestamp(int(since) / 1_000_000, UTC),
        silent_for=max(0, int(now) - int(since)) / 1_000_000,
        taken_over=_text(taken_over) == "1",
        mine=mine,
    )


def _values(start: KeyedStart) -> tuple[bytes, int, bytes]:
    return _bytes(start.server), start.process_id, _bytes(start.key)


def _bytes(text: str | bytes) -> bytes:
    """As it is sent, whatever encoding the client is set to."""
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")


def _text(answer: bytes | str) -> str:
    """As it was sent; a client with `decode_responses` has read it already."""
    return answer if isinstance(answer, str) else answer.decode("utf-8", "surrogatepass")
