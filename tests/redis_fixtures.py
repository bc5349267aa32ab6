"""The redis-servers that the journal is tested on: each version that is there."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from redis_server import RedisServer, redis_servers


def _name(program: str | None) -> str:
    return "own" if program and Path(program).parent == Path(sys.executable).parent else "installed"


PROGRAMS: list[str | None] = [*redis_servers()] or [None]


@pytest.fixture(scope="session", params=PROGRAMS, ids=_name)
def redis_program(request: pytest.FixtureRequest) -> str | None:
    program: str | None = request.param
    return program


@pytest.fixture(scope="session")
def _redis_at(redis_program: str | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with RedisServer(tmp_path_factory.mktemp("redis"), "--appendonly", "yes", program=redis_program) as server:
        yield server.url


@pytest.fixture
def redis_at(_redis_at: str) -> str:
    """The URL of a redis-server for all tests that do not kill it or set it up in another way. It is empty."""
    with redis.Redis.from_url(_redis_at) as client:
        client.flushall()
    return _redis_at
