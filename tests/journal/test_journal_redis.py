"""The journal in Redis, on real servers: killed, full, silent, forgetful, of another mind."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
from processmaker import ConfigurationError, JournalError
from processmaker.journal import KeyedStart, RedisJournal
from processmaker.journal.contract import JournalContract
from redis_server import DURABLE, RedisServer

START = KeyedStart("https://pm.example.com", 2, "order-1234")

OTHER = KeyedStart("https://pm.example.com", 2, "order-5678")


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[Any]:
    """Of the shared server, which is empty then."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
        yield client


@pytest.fixture
def journal(redis_server: RedisServer, client: Any) -> Iterator[RedisJournal]:
    assert client.dbsize() == 0
    with RedisJournal.from_url(redis_server.url) as journal:
        yield journal


def refusal(journal: RedisJournal, *, transient: bool) -> str:
    with pytest.raises(JournalError) as error:
        journal.claim(START, "ada")
    assert (error.value.transient, error.value.processed) == (transient, False)
    assert error.value.journal.startswith("redis://127.0.0.1:")
    assert str(error.value).startswith(f"the Redis journal {error.value.journal}: ")
    return str(error.value)


# --- a server that goes and comes back ------------------------------------------------------------------------------


def test_what_was_said_is_there_after_redis_was_killed(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server, RedisJournal.from_url(server.url) as journal:
        assert journal.claim(START, "ada").mine
        journal.started(OTHER, "bob", 17)
        server.kill()
        assert "no connection" in refusal(journal, transient=True)
        server.start()
        assert journal.claim(START, "eve").owner == "ada"
        assert journal.claim(OTHER, "eve").request_id == 17


def test_a_silent_server_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server, RedisJournal.from_url(f"{server.url}?socket_timeout=0.1") as journal:
        assert journal.claim(START, "ada").mine
        os.kill(server.pid, signal.SIGSTOP)
        try:
            assert "no answer in time" in refusal(journal, transient=True)
        finally:
            os.kill(server.pid, signal.SIGCONT)
        assert journal.claim(START, "bob").owner == "ada"


def test_a_replica_that_is_not_the_master_yet_may_be_later(tmp_path: Path) -> None:
    with (
        RedisServer(tmp_path) as server,
        RedisJournal.from_url(server.url) as journal,
        redis.Redis(port=server.port) as client,
    ):
        client.replicaof("127.0.0.1", 1)
        assert "it refused" in refusal(journal, transient=True)
        client.replicaof("NO", "ONE")
        assert journal.claim(START, "ada").mine


# --- a server that forgets ------------------------------------------------------------------------------------------


def test_a_server_without_persistence_is_refused(tmp_path: Path) -> None:
    with RedisServer(tmp_path, "--appendonly", "no") as server, redis.Redis(port=server.port) as client:
        with RedisJournal.from_url(server.url) as journal:
            words = refusal(journal, transient=False)
            assert "CONFIG SET appendonly yes" in words
            assert "persistence='unchecked'" in words
            assert client.dbsize() == 0
        with RedisJournal.from_url(server.url, persistence="snapshots") as journal:
            refusal(journal, transient=False)
        with RedisJournal.from_url(server.url, persistence="unchecked") as journal:
            assert journal.claim(START, "ada").mine


def test_snapshots_are_enough_only_for_those_who_say_so(tmp_path: Path) -> None:
    with RedisServer(tmp_path, "--save", "3600 1") as server, redis.Redis(port=server.port) as client:
        with RedisJournal.from_url(server.url, persistence="snapshots") as journal:
            assert journal.claim(START, "ada").mine
        with RedisJournal.from_url(server.url) as journal:
            refusal(journal, transient=False)
            # The way out that the message names, while it runs.
            client.config_set("appendonly", "yes")
            assert journal.claim(START, "bob").owner == "ada"


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_a_server_that_drops_keys_is_refused(tmp_path: Path, policy: str) -> None:
    options = ("--maxmemory", "50mb", "--maxmemory-policy", policy)
    with (
        RedisServer(tmp_path, *DURABLE, *options) as server,
        redis.Redis(port=server.port) as client,
        RedisJournal.from_url(server.url) as journal,
    ):
        assert f"maxmemory-policy {policy}" in refusal(journal, transient=False)
        assert client.dbsize() == 0
        client.config_set("maxmemory-policy", "noeviction")
        assert journal.claim(START, "ada").mine
        # A policy without a limit drops nothing.
        client.config_set("maxmemory-policy", policy)
        client.config_set("maxmemory", 0)
        with RedisJournal.from_url(server.url) as other:
            assert other.claim(START, "bob").owner == "ada"


def test_a_full_server_may_have_room_later(tmp_path: Path) -> None:
    options = ("--maxmemory", "50mb", "--maxmemory-policy", "noeviction")
    with (
        RedisServer(tmp_path, *DURABLE, *options) as server,
        redis.Redis(port=server.port) as client,
        RedisJournal.from_url(server.url) as journal,
    ):
        assert journal.claim(OTHER, "ada").mine
        client.config_set("maxmemory", 1)
        refusal(journal, transient=True)
        client.config_set("maxmemory", 0)
        assert journal.claim(START, "ada").mine


def test_a_server_that_does_not_let_itself_be_asked_has_to_be_vouched_for(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server, redis.Redis(port=server.port) as client:
        client.acl_setuser(
            "worker", enabled=True, passwords=["+order-secret"], keys=["*"], commands=["+@all", "-info", "-config"]
        )
        url = server.url.replace("//", "//worker:order-secret@")
        with RedisJournal.from_url(url) as journal:
            words = refusal(journal, transient=False)
        assert "it does not say how it keeps its data" in words
        assert "persistence='unchecked'" in words
        with RedisJournal.from_url(url, persistence="unchecked") as journal:
            assert journal.claim(START, "ada").mine
            client.acl_setuser("worker", commands=["-evalsha", "-eval"])
            assert "widen its permissions" in refusal(journal, transient=False)


# --- secrets and settings -------------------------------------------------------------------------------------------


def test_a_password_is_asked_for_and_not_repeated(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server, redis.Redis(port=server.port) as client:
        client.config_set("requirepass", "order-secret")
        for url in (server.url, server.url.replace("//", "//:wrong-secret@")):
            with RedisJournal.from_url(url) as journal:
                words = refusal(journal, transient=False)
                assert "give the URL its password" in words
                assert "secret" not in words + repr(journal)
        with RedisJournal.from_url(server.url.replace("//", "//:order-secret@")) as journal:
            assert journal.claim(START, "ada").mine
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
        ("rediss://ada:order-secret@redis.example.com:6380", "rediss://redis.example.com:6380/0"),
        ("unix://:order-secret@/run/redis.sock?db=1", "unix:///run/redis.sock?db=1"),
    ],
)
def test_a_journal_is_named_by_its_address(url: str, name: str) -> None:
    assert repr(RedisJournal.from_url(url)) == f"<RedisJournal {name}, prefix='processmaker:starts', lease=90>"


def test_redis_py_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'processmaker-client\[redis\]'"):
        RedisJournal.from_url("redis://localhost")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"prefix": ""}, "prefix=''"),
        ({"prefix": "a|b"}, "without"),
        ({"persistence": "yes"}, "persistence='yes' is not one of"),
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
    def _server_of_its_own(self, redis_server: RedisServer) -> None:
        self.redis = redis_server

    def make_journal(self, lease: float) -> RedisJournal:
        client = redis.Redis(port=self.redis.port, decode_responses=True, encoding="utf-8")
        return RedisJournal(client, lease=lease, prefix="a [strange]* prefix?")


def test_a_client_stays_its_makers(client: Any) -> None:
    with RedisJournal(client) as journal:
        journal.claim(START, "ada")
    assert client.connection_pool._available_connections


# --- the keys -------------------------------------------------------------------------------------------------------


def ttl(client: Any) -> int:
    (key,) = client.keys()
    return int(client.pttl(key))


def test_what_is_being_sent_never_expires(redis_server: RedisServer, client: Any) -> None:
    with RedisJournal.from_url(redis_server.url, lease=0.01, keep=timedelta(hours=1)) as journal:
        for owner in ("ada", "bob"):
            while not journal.claim(START, owner).mine:
                pass
            assert ttl(client) == -1
        journal.started(START, "bob", 17)
        assert 3_000_000 < ttl(client) <= 3_600_000


def test_what_was_started_is_kept_for_ever_unless_told(journal: RedisJournal, client: Any) -> None:
    journal.started(START, "ada", 17)
    assert ttl(client) == -1


def test_journals_with_another_prefix_are_apart(redis_server: RedisServer, journal: RedisJournal, client: Any) -> None:
    client.set("other:thing", "1")
    with RedisJournal.from_url(redis_server.url, prefix="processmaker") as other:
        journal.claim(START, "ada")
        journal.started(OTHER, "ada", 17)
        assert other.claim(START, "bob").mine
        assert [entry.owner for entry in other.entries(started=True)] == ["bob"]
        assert other.prune(timedelta(0)) == 0
        assert other.forget(START)
    assert [entry.owner for entry in journal.entries(started=True)] == ["ada", "ada"]
    assert client.get("other:thing") == b"1"


def test_a_key_that_is_another_s_is_no_entry(journal: RedisJournal, client: Any) -> None:
    journal.claim(START, "ada")
    (key,) = client.keys()
    client.set(key, "something else")
    assert "WRONGTYPE" in refusal(journal, transient=False)


def test_a_clock_that_was_set_back_neither_ends_a_lease_nor_keeps_it_for_ever(
    journal: RedisJournal, client: Any
) -> None:
    journal.claim(START, "ada")
    (key,) = client.keys()
    client.hset(key, "since", int(client.hget(key, "since")) + 10**12)
    assert [entry.silent_for for entry in journal.entries()] == [0.0]
    entry = journal.claim(START, "bob")
    assert (entry.owner, entry.mine, entry.taken_over, entry.silent_for) == ("ada", False, False, 0.0)
    journal.lease = 0.01
    while not entry.mine:
        entry = journal.claim(START, "bob")
    assert entry.taken_over
