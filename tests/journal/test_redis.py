"""The journal in Redis, on real servers: killed, full, silent, forgetful, of another mind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
from journal.contract import LEASE, JournalContract
from processmaker import ConfigurationError, JournalError
from processmaker.journal import Entry, KeyedStart, RedisJournal
from processmaker.journal import redis as _redis
from redis_server import DURABLE, RedisServer, make_older

START = KeyedStart("https://pm.example.com", 2, "order-1234")

OTHER = KeyedStart("https://pm.example.com", 2, "order-5678")


@pytest.fixture
def client(redis_at: str) -> Iterator[Any]:
    with redis.Redis.from_url(redis_at) as client:
        yield client


@pytest.fixture
def journal(redis_at: str) -> Iterator[RedisJournal]:
    with RedisJournal.from_url(redis_at) as journal:
        yield journal


Serve = Callable[..., RedisServer]


@pytest.fixture
def serve(redis_program: str | None, tmp_path: Path) -> Serve:
    """Makes a server of the test's own, of each version."""
    return lambda *options: RedisServer(tmp_path, *options, program=redis_program)


def reserve(journal: RedisJournal, start: KeyedStart, owner: str) -> Entry:
    (entry,) = journal.reserve([(start, owner)])
    return entry


def make_started(journal: RedisJournal, start: KeyedStart, owner: str, request_id: int) -> None:
    assert reserve(journal, start, owner).mine
    assert journal.started(start, owner, request_id)


def refusal(journal: RedisJournal, *, transient: bool) -> str:
    with pytest.raises(JournalError) as error:
        reserve(journal, START, "ada")
    assert (error.value.transient, error.value.processed) == (transient, False)
    assert error.value.journal.startswith("redis://127.0.0.1:")
    assert str(error.value).startswith(f"the journal {error.value.journal}: ")
    return str(error.value)


# --- a server that goes and comes back ------------------------------------------------------------------------------


def test_what_was_said_is_there_after_redis_was_killed(serve: Serve) -> None:
    with serve() as server, RedisJournal.from_url(server.url) as journal:
        assert reserve(journal, START, "ada").mine
        make_started(journal, OTHER, "bob", 17)
        server.kill()
        assert "Connection refused" in refusal(journal, transient=True)
        server.start()
        assert reserve(journal, START, "eve").owner == "ada"
        assert reserve(journal, OTHER, "eve").request_id == 17


def test_a_silent_server_is_not_waited_for_for_ever(serve: Serve) -> None:
    with serve() as server, RedisJournal.from_url(f"{server.url}?socket_timeout=0.1") as journal:
        assert reserve(journal, START, "ada").mine
        os.kill(server.pid, signal.SIGSTOP)
        try:
            assert "Timeout" in refusal(journal, transient=True)
        finally:
            os.kill(server.pid, signal.SIGCONT)
        assert reserve(journal, START, "bob").owner == "ada"


def test_a_replica_that_is_not_the_master_yet_may_be_later(serve: Serve) -> None:
    with (
        serve() as server,
        RedisJournal.from_url(server.url) as journal,
        redis.Redis(port=server.port) as client,
    ):
        client.replicaof("127.0.0.1", 1)
        refusal(journal, transient=True)
        client.replicaof("NO", "ONE")
        assert reserve(journal, START, "ada").mine


# --- a server that forgets ------------------------------------------------------------------------------------------


def test_a_server_without_persistence_is_refused(serve: Serve) -> None:
    with serve("--appendonly", "no") as server, redis.Redis(port=server.port) as client:
        with RedisJournal.from_url(server.url) as journal:
            words = refusal(journal, transient=False)
            assert "CONFIG SET appendonly yes" in words
            assert "persistence='unchecked'" in words
            assert client.dbsize() == 0
        with RedisJournal.from_url(server.url, persistence="snapshots") as journal:
            refusal(journal, transient=False)
        with RedisJournal.from_url(server.url, persistence="unchecked") as journal:
            assert reserve(journal, START, "ada").mine


def test_snapshots_are_enough_only_for_those_who_say_so(serve: Serve) -> None:
    with serve("--appendonly", "no") as server, redis.Redis(port=server.port) as client:
        client.config_set("save", "3600 1")
        with RedisJournal.from_url(server.url, persistence="snapshots") as journal:
            assert reserve(journal, START, "ada").mine
        with RedisJournal.from_url(server.url) as journal:
            refusal(journal, transient=False)
            # The way out that the message names, while it runs.
            client.config_set("appendonly", "yes")
            assert reserve(journal, START, "bob").owner == "ada"


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_a_server_that_drops_keys_is_refused(serve: Serve, policy: str) -> None:
    options = ("--maxmemory", "50mb", "--maxmemory-policy", policy)
    with (
        serve(*DURABLE, *options) as server,
        redis.Redis(port=server.port) as client,
        RedisJournal.from_url(server.url) as journal,
    ):
        assert f"maxmemory-policy {policy}" in refusal(journal, transient=False)
        assert client.dbsize() == 0
        client.config_set("maxmemory-policy", "noeviction")
        assert reserve(journal, START, "ada").mine
        # A policy without a limit drops nothing.
        client.config_set("maxmemory-policy", policy)
        client.config_set("maxmemory", 0)
        with RedisJournal.from_url(server.url) as other:
            assert reserve(other, START, "bob").owner == "ada"


def test_a_full_server_may_have_room_later(serve: Serve) -> None:
    options = ("--maxmemory", "50mb", "--maxmemory-policy", "noeviction")
    with (
        serve(*DURABLE, *options) as server,
        redis.Redis(port=server.port) as client,
        RedisJournal.from_url(server.url) as journal,
    ):
        assert reserve(journal, OTHER, "ada").mine
        client.config_set("maxmemory", 1)
        refusal(journal, transient=True)
        client.config_set("maxmemory", 0)
        assert reserve(journal, START, "ada").mine


def test_a_server_that_does_not_let_itself_be_asked_has_to_be_vouched_for(serve: Serve) -> None:
    with serve() as server, redis.Redis(port=server.port) as client:
        client.acl_setuser(
            "worker", enabled=True, passwords=["+order-secret"], keys=["*"], commands=["+@all", "-info", "-config"]
        )
        url = server.url.replace("//", "//worker:order-secret@")
        with RedisJournal.from_url(url) as journal:
            words = refusal(journal, transient=False)
        assert "it does not say how it keeps its data" in words
        assert "persistence='unchecked'" in words
        with RedisJournal.from_url(url, persistence="unchecked") as journal:
            assert reserve(journal, START, "ada").mine
            client.acl_setuser("worker", commands=["-evalsha", "-eval"])
            assert "permission" in refusal(journal, transient=False)


# --- secrets and settings -------------------------------------------------------------------------------------------


def test_a_password_is_asked_for_and_not_repeated(serve: Serve) -> None:
    with serve() as server, redis.Redis(port=server.port) as client:
        client.config_set("requirepass", "order-secret")
        for url in (server.url, server.url.replace("//", "//:wrong-secret@")):
            with RedisJournal.from_url(url) as journal:
                words = refusal(journal, transient=False)
                assert "secret" not in words + repr(journal)
        with RedisJournal.from_url(server.url.replace("//", "//:order-secret@")) as journal:
            assert reserve(journal, START, "ada").mine
            assert "secret" not in repr(journal)


@pytest.mark.parametrize(
    "url",
    ["http://:order-secret@localhost", "order-secret", "redis://:order-secret@localhost:port", "", 3],
)
def test_a_url_that_cannot_be_read_is_not_repeated(url: Any) -> None:
    with pytest.raises(ConfigurationError, match="is like redis://:password@redis") as error:
        RedisJournal.from_url(url)
    assert "order-secret" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("redis://:order-secret@redis.example.com/3", "redis://redis.example.com:6379/3"),
        ("rediss://ada:order-secret@redis.example.com:6380", "redis://redis.example.com:6380/0"),
        ("redis://redis.example.com/3?username=ada&password=order-secret", "redis://redis.example.com:6379/3"),
        ("unix://ada:order-secret@/run/redis.sock?db=1", "unix:///run/redis.sock"),
        ("unix:///run/redis.sock?password=order-secret", "unix:///run/redis.sock"),
        ("unix:///run/redis.sock%3Fpassword=order-secret", "unix:///run/redis.sock"),
    ],
)
def test_a_journal_is_named_by_its_address(url: str, name: str) -> None:
    assert repr(RedisJournal.from_url(url)) == f"<RedisJournal {name}, lease=90>"


def test_redis_py_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'processmaker-client\[redis\]'"):
        RedisJournal.from_url("redis://localhost")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"prefix": ""}, "prefix=''"),
        ({"prefix": "a|b"}, "without"),
        ({"persistence": "yes"}, "persistence='yes' is not 'appendonly'"),
        ({"keep": timedelta(0)}, "would keep nothing"),
        ({"keep": 90}, "keep=90 is not a length of time"),
    ],
)
def test_a_setting_that_cannot_work_is_refused(settings: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        RedisJournal.from_url("redis://localhost", **settings)


def test_a_client_of_another_kind_is_refused() -> None:
    for client in (redis.asyncio.Redis(), "redis://localhost"):
        with pytest.raises(ConfigurationError, match=r"takes a redis.Redis, not .*in threads"):
            RedisJournal(client)  # type: ignore[arg-type]


class TestRedisJournalOverAClientThatDecodes(JournalContract):
    @pytest.fixture(autouse=True)
    def _shared_server(self, redis_at: str) -> None:
        self.url = redis_at

    def make_journal(self) -> RedisJournal:
        client = redis.Redis.from_url(self.url, decode_responses=True, encoding="utf-8")
        return RedisJournal(client, lease=LEASE, prefix="a [strange]* prefix?")

    def pass_time(self, seconds: float) -> None:
        make_older(self.url, seconds)


def test_a_client_stays_its_makers(client: Any) -> None:
    with RedisJournal(client) as journal:
        reserve(journal, START, "ada")
    assert client.connection_pool._available_connections


# --- the keys -------------------------------------------------------------------------------------------------------


def ttl(client: Any) -> int:
    (key,) = client.keys()
    return int(client.pttl(key))


def test_only_what_was_started_expires(redis_at: str, client: Any) -> None:
    with RedisJournal.from_url(redis_at, lease=0.01, keep=timedelta(hours=1)) as journal:
        for owner in ("ada", "bob"):
            while not reserve(journal, START, owner).mine:
                pass
            assert ttl(client) == -1
            assert journal.sending(START, owner)
            assert ttl(client) == -1
        assert journal.unknown(START, "bob")
        assert ttl(client) == -1
        assert journal.started(START, "bob", 17)
        assert 3_500_000 < ttl(client) <= 3_600_000


def test_a_request_that_is_being_replaced_expires_only_after_it_was_restored(redis_at: str, client: Any) -> None:
    with RedisJournal.from_url(redis_at, keep=timedelta(hours=1)) as journal:
        make_started(journal, START, "ada", 17)
        (key,) = client.keys()
        make_older(redis_at, 1800)
        assert journal.reserve([(START, "bob")], replace=17)[0].mine
        assert ttl(client) == -1
        assert journal.release(START, "bob")
        assert 1_700_000 < ttl(client) <= 1_800_000
        assert journal.reserve([(START, "bob")], replace=17)[0].mine
        make_older(redis_at, 3600)
        assert journal.release(START, "bob")
    assert client.pttl(key) <= 1


def test_what_was_started_is_kept_for_ever_unless_told(journal: RedisJournal, client: Any) -> None:
    make_started(journal, START, "ada", 17)
    assert ttl(client) == -1


def test_journals_with_another_prefix_are_apart(redis_at: str, journal: RedisJournal, client: Any) -> None:
    client.set("other:thing", "1")
    with RedisJournal.from_url(redis_at, prefix="processmaker") as other:
        reserve(journal, START, "ada")
        make_started(journal, OTHER, "ada", 17)
        assert reserve(other, START, "bob").mine
        assert [entry.owner for entry in other.entries(started=True)] == ["bob"]
        assert other.prune(timedelta(0)) == 0
        assert other.forget(START)
    assert [entry.owner for entry in journal.entries(started=True)] == ["ada", "ada"]
    assert client.get("other:thing") == b"1"


def test_a_key_that_is_another_s_is_no_entry(journal: RedisJournal, client: Any) -> None:
    reserve(journal, START, "ada")
    (key,) = client.keys()
    client.set(key, "something else")
    assert "WRONGTYPE" in refusal(journal, transient=False)


# --- entries of 0.1.0 -----------------------------------------------------------------------------------------------


def write_old(client: Any, start: KeyedStart, owner: str, age: float, taken_over: int, request_id: int | None) -> None:
    """An entry as 0.1.0 wrote it with its claim; with a Request, as it wrote it then with what was started."""
    seconds, microseconds = client.time()
    name = f"processmaker:starts|{start.server}|{start.process_id}|{start.key}"
    since = seconds * 1_000_000 + microseconds - round(age * 1_000_000)
    of = {"server": start.server, "process_id": start.process_id, "key": start.key}
    client.hset(name, mapping={**of, "owner": owner, "since": since, "taken_over": taken_over})
    if request_id is not None:
        client.hset(name, "request_id", request_id)


@pytest.mark.parametrize("taken_over", [0, 1])
def test_what_0_1_0_claimed_is_being_sent(journal: RedisJournal, client: Any, taken_over: int) -> None:
    write_old(client, START, "ada", 80, taken_over, None)
    entry = reserve(journal, START, "bob")
    assert (entry.start, entry.state, entry.owner, entry.mine) == (START, "sending", "ada", False)
    assert 80 <= entry.age < 85
    write_old(client, START, "ada", 91, taken_over, None)
    assert reserve(journal, START, "bob").mine
    assert journal.release(START, "bob")
    (entry,) = journal.entries()
    assert (entry.state, entry.owner) == ("unknown", "ada")


def test_what_0_1_0_started_is_started(journal: RedisJournal, client: Any) -> None:
    write_old(client, START, "ada", 1000, 0, 17)
    entry = reserve(journal, START, "bob")
    assert (entry.state, entry.owner, entry.request_id, entry.mine) == ("started", "ada", 17, False)
    assert journal.prune(timedelta(seconds=900)) == 1


@pytest.mark.parametrize("request_id", [None, 18])
def test_what_0_1_0_writes_over_an_entry_counts(journal: RedisJournal, client: Any, request_id: int | None) -> None:
    """While callers of both versions share the journal."""
    assert reserve(journal, START, "ada").mine
    assert journal.started(START, "ada", 17, uuid="9f-1", fingerprint="2:1c30")
    assert journal.reserve([(START, "bob")], replace=17)[0].mine
    client.hdel(client.keys()[0], "request_id")
    write_old(client, START, "eve", 0, 1, request_id)
    assert not journal.sending(START, "bob")
    entry = reserve(journal, START, "bob")
    state = "sending" if request_id is None else "started"
    assert (entry.state, entry.owner, entry.request_id) == (state, "eve", request_id)
    assert (entry.uuid, entry.fingerprint) == (None, None)


# --- scripts --------------------------------------------------------------------------------------------------------


def test_many_starts_are_two_round_trips(redis_at: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with RedisJournal.from_url(redis_at) as journal:
        starts = [(KeyedStart("https://pm.example.com", 2, f"order-{n}"), "ada") for n in range(100)]
        journal.reserve(starts[:1])
        sent: list[int] = []
        send = journal._send

        def counted(calls: Any) -> Any:
            sent.append(len(calls))
            return send(calls)

        monkeypatch.setattr(journal, "_send", counted)
        assert all(entry.mine for entry in journal.reserve(starts))
        assert sent == [100, 100]


@pytest.mark.parametrize("meanwhile", ["reserved", "sending", "released"])
def test_a_step_that_was_overtaken_between_its_two_round_trips_looks_again(
    redis_at: str, journal: RedisJournal, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    send = journal._send

    def overtaken(calls: Any) -> Any:
        found = send(calls)
        monkeypatch.setattr(journal, "_send", send)
        with RedisJournal.from_url(redis_at) as other:
            if meanwhile == "reserved":
                assert reserve(other, START, "bob").mine
            elif meanwhile == "sending":
                assert other.sending(START, "bob")
            else:
                assert other.release(START, "bob")
        return found

    if meanwhile != "reserved":
        assert reserve(journal, START, "bob").mine
        make_older(redis_at, 11)
    monkeypatch.setattr(journal, "_send", overtaken)
    entry = reserve(journal, START, "ada")
    expected = {"reserved": ("reserved", "bob"), "sending": ("sending", "bob"), "released": ("reserved", "ada")}
    assert (entry.state, entry.owner) == expected[meanwhile]
    assert entry.mine == (meanwhile == "released")


# --- signal handlers and finalizers ---------------------------------------------------------------------------------


class SoftTimeLimitExceeded(Exception):
    """As Celery's."""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timers")
@pytest.mark.parametrize(
    "problem",
    [KeyboardInterrupt(), SoftTimeLimitExceeded(), TimeoutError("the job took too long")],
)
def test_what_a_signal_handler_raises_ends_the_step(serve: Serve, problem: BaseException) -> None:
    """redis-py takes a TimeoutError for one of its socket's; then it comes out as the cause of a JournalError."""

    def stop(*_: object) -> None:
        raise problem

    with serve() as server, RedisJournal.from_url(f"{server.url}?socket_timeout=30") as journal:
        assert reserve(journal, START, "ada").mine
        os.kill(server.pid, signal.SIGSTOP)
        before = signal.signal(signal.SIGALRM, stop)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises((type(problem), JournalError)) as error:
                journal.sending(START, "ada")
        finally:
            signal.signal(signal.SIGALRM, before)
            os.kill(server.pid, signal.SIGCONT)
        assert (error.value is problem) is not isinstance(problem, TimeoutError)
        assert journal.sending(START, "ada")


def test_a_step_in_the_middle_of_a_step_of_the_same_thread_is_refused_at_once(
    journal: RedisJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = journal._send

    def nested(calls: Any) -> Any:
        with pytest.raises(JournalError, match="in the middle of a step of this thread") as error:
            journal.read(OTHER)
        assert error.value.transient
        return send(calls)

    monkeypatch.setattr(journal, "_send", nested)
    assert reserve(journal, START, "ada").mine


def test_the_answer_to_an_interrupted_call_is_not_taken_for_the_next_ones(redis_at: str) -> None:
    """redis-py gives a connection back whose answer was not read; here, before the answer is there."""
    client = redis.Redis.from_url(redis_at)
    journal = RedisJournal(client)
    assert reserve(journal, OTHER, "bob").mine  # connected
    pool = client.connection_pool
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # redis-py 5 needs a command's name, and later ones warn of it
        connection: Any = pool.get_connection("EVAL")
    server: Any = redis.Redis.from_url(redis_at)
    server.execute_command("CLIENT", "PAUSE", 300, "WRITE")
    connection.send_command("EVAL", _redis._SWAP, 1, "processmaker:starts|s|2|k", "interrupted", "", *[""] * 20)
    pool.release(connection)
    with pytest.raises(JournalError, match="the answer to an earlier call") as error:
        reserve(journal, OTHER, "eve")
    assert error.value.transient
    entry = reserve(journal, OTHER, "eve")
    assert (entry.start, entry.owner) == (OTHER, "bob")
    client.close()
    server.close()


STORM = """
import faulthandler, signal, sys
from processmaker.journal import KeyedStart, RedisJournal

class Stop(BaseException):
    pass

def stop(*_):
    raise Stop

starts = [KeyedStart("https://pm.example.com", 2, f"order-{n}") for n in range(10)]
other = KeyedStart("https://pm.example.com", 2, "order-5678")
faulthandler.dump_traceback_later(60, exit=True)
interrupted = 0
signal.signal(signal.SIGALRM, stop)
with RedisJournal.from_url(sys.argv[1]) as journal:
    while interrupted < 500:
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.0001 + 0.000005 * interrupted)
            for _ in range(1000):  # one that is raised in a finalizer is lost
                entries = journal.reserve([(start, "bob") for start in starts])
                assert [entry.request_id for entry in entries] == list(range(10)), entries
                assert journal.read(other) is None
            signal.setitimer(signal.ITIMER_REAL, 0)
        except Stop:
            interrupted += 1
print("done")
"""


@pytest.mark.proof
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timers")
def test_exceptions_from_a_signal_handler_at_random_moments_mix_up_no_answers(
    redis_at: str, journal: RedisJournal
) -> None:
    """In a process of its own, as they leave locks of Python's own locked, such as that of logging."""
    for n in range(10):
        make_started(journal, KeyedStart("https://pm.example.com", 2, f"order-{n}"), "ada", n)
    done = subprocess.run(
        [sys.executable, "-c", STORM, redis_at], capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
