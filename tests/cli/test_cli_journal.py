"""The journal of starts on the command line."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from attrs import evolve
from command_line import Run
from processmaker import SQLiteJournal
from processmaker.journal import KeyedStart
from processmaker.sandbox import Sandbox
from redis_server import RedisServer


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "starts.db"


@pytest.fixture(params=["sqlite", "redis"])
def journal(request: pytest.FixtureRequest, file: Path) -> str:
    """Where a journal is that says nothing yet."""
    if request.param == "sqlite":
        return str(file)
    server: RedisServer = request.getfixturevalue("redis_server")
    import redis

    with redis.Redis(port=server.port) as client:
        client.flushdb()
    return server.url


def being_sent(file: Path, sandbox: Sandbox, key: str = "order-1", process_id: int = 4) -> KeyedStart:
    start = KeyedStart(sandbox.url, process_id, key)
    with SQLiteJournal(file) as journal:
        journal.reserve([(start, "worker-7:4711:abc")])
        journal.sending(start, "worker-7:4711:abc")
    return start


def test_a_start_is_said_to_the_journal_and_listed(run: Run, sandbox: Sandbox, journal: str) -> None:
    words = ["start", 4, "--event", "node_1", "--idempotency-key", "order-1", "--journal", journal]
    assert run(*words).code == 0
    posts = sum(call.method == "POST" for call in sandbox.calls)
    assert "found: it was started before" in run(*words).out
    assert sum(call.method == "POST" for call in sandbox.calls) == posts
    assert run("journal", "--journal", journal).out == "nothing is being sent\n"
    (entry,) = run("journal", "--all", "--json", "--journal", journal).lines
    assert (entry["key"], entry["process_id"], entry["server"]) == ("order-1", 4, sandbox.url)
    assert (entry["state"], entry["request_id"]) == ("started", 1)


def test_the_environment_names_the_journal_of_a_start(run: Run, environ: pytest.MonkeyPatch, file: Path) -> None:
    environ.setenv("PROCESSMAKER_JOURNAL", str(file))
    start = ["start", 4, "--event", "node_1", "--idempotency-key"]
    assert run(*start, "order-1").code == 0
    assert run(*start, "order-2", "--journal", "none").code == 0
    assert [entry["key"] for entry in run("journal", "list", "--all", "--json").lines] == ["order-1"]


def test_what_is_being_sent_is_listed_with_its_sender(run: Run, sandbox: Sandbox, file: Path) -> None:
    being_sent(file, sandbox)
    heading, line = run("journal", "--journal", file).out.splitlines()
    assert heading.split() == ["KEY", "PROCESS", "SERVER", "STATE", "SINCE", "OWNER"]
    assert line.split()[:5] == ["order-1", "4", sandbox.url, "being", "sent"]
    assert line.endswith("worker-7:4711:abc")
    assert run("journal", "--journal", file, "--quiet").out == "order-1\n"


def test_what_is_reserved_or_unknown_is_called_that(run: Run, sandbox: Sandbox, file: Path) -> None:
    being_sent(file, sandbox)
    given_up = being_sent(file, sandbox, "order-2")
    with SQLiteJournal(file) as journal:
        journal.unknown(given_up, "worker-7:4711:abc")
        journal.reserve([(KeyedStart(sandbox.url, 4, "order-3"), "another")])
    states = {entry["key"]: entry["state"] for entry in run("journal", "--json", "--journal", file).lines}
    assert states == {"order-1": "being sent", "order-2": "unknown", "order-3": "reserved"}
    refused = run("journal", "forget", "order-3", "--process", 4, "--journal", file)
    assert "order-3 of process 4 is reserved, by another since" in refused.err


def test_a_key_is_forgotten_once_that_was_agreed_to(run: Run, sandbox: Sandbox, file: Path) -> None:
    start = being_sent(file, sandbox)
    forget = ["journal", "forget", "order-1", "--process", "Auto Approve", "--journal", file]
    refused = run(*forget)
    assert refused.code == 2
    assert "order-1 of process 4 is being sent, by worker-7:4711:abc since" in refused.err
    assert "nothing was forgotten\n  to forget it, after which a second start becomes possible: --yes" in refused.err
    assert run(*forget, "--yes").code == 0
    with SQLiteJournal(file) as journal:
        assert journal.read(start) is None
    assert run(*forget, "--yes").code == 4


def test_only_the_key_of_that_process_and_server_is_forgotten(run: Run, sandbox: Sandbox, file: Path) -> None:
    kept = being_sent(file, sandbox, process_id=2)
    elsewhere = evolve(kept, server="https://other.example.com", process_id=4)
    with SQLiteJournal(file) as journal:
        journal.reserve([(elsewhere, "another")])
    assert run("journal", "forget", "order-1", "--process", 4, "--journal", file, "--yes").code == 4
    being_sent(file, sandbox)
    assert run("journal", "forget", "order-1", "--process", 4, "--journal", file, "--yes").code == 0
    with SQLiteJournal(file) as journal:
        assert {entry.start for entry in journal.entries()} == {kept, elsewhere}


def test_prune_drops_what_was_started_longer_ago(run: Run, sandbox: Sandbox, file: Path) -> None:
    start = being_sent(file, sandbox)
    being_sent(file, sandbox, "order-2")
    with SQLiteJournal(file) as journal:
        journal.started(start, "worker-7:4711:abc", 1)
    assert run("journal", "prune", "--older-than", "90d", "--journal", file, "--json").json == {"dropped": 0}
    assert run("journal", "prune", "--older-than", "0s", "--journal", file, "--quiet").out == "1\n"
    with SQLiteJournal(file) as journal:
        assert [entry.start.key for entry in journal.entries(started=True)] == ["order-2"]
        assert journal.prune(timedelta(0)) == 0


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["journal"], 2, "no journal is named: give --journal FILE"),
        (["journal", "--journal", "nowhere.db"], 4, "there is no journal nowhere.db"),
        (["journal", "prune", "--journal", "{file}"], 2, "prune needs it, such as --older-than 90d"),
        (["journal", "--older-than", "90d", "--journal", "{file}"], 2, "--older-than goes with prune"),
        (
            ["journal", "prune", "--older-than", "soon", "--journal", "{file}"],
            2,
            "'soon' is not an age, such as 90d or 12h",
        ),
        (["journal", "forget", "--journal", "{file}"], 2, "forget needs the KEY, and its process"),
        (["journal", "list", "order-1", "--journal", "{file}"], 2, "list is about all keys"),
        (["start", "4", "--event", "node_1", "--idempotency-key", "k", "--journal", "/"], 1, "unable to open"),
    ],
)
def test_what_cannot_work_is_told(
    run: Run, sandbox: Sandbox, file: Path, words: list[str], code: int, said: str
) -> None:
    being_sent(file, sandbox)
    ended = run(*(word.replace("{file}", str(file)) for word in words))
    assert ended.code == code
    assert said in ended.err
    assert not Path("nowhere.db").exists()
