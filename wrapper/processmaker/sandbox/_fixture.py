"""The sandbox as users' own tests get it, from the pytest fixture `processmaker_sandbox`."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cached_property
from typing import TypeVar

from .. import AsyncProcessMaker, ProcessMaker
from ._server import Sandbox

Client = TypeVar("Client", ProcessMaker, AsyncProcessMaker)


class SandboxFixture(Sandbox):
    """A sandbox with clients, signed in as integration.bot, who may start whatever `add_process` adds.

    The clients need no network, and their time jumps: a retry, a wait or a look for a lost start takes no time.
    """

    def __init__(self) -> None:
        super().__init__()
        self._open = ExitStack()

    @cached_property
    def pm(self) -> ProcessMaker:
        """A client for blocking code."""
        return self._open.enter_context(self._client(ProcessMaker))

    @cached_property
    def async_pm(self) -> AsyncProcessMaker:
        """A client for asyncio."""
        return self._client(AsyncProcessMaker)

    @cached_property
    def url(self) -> str:
        """The address of a real socket on 127.0.0.1, for code that makes its own client; it opens when first asked.

        Sign in with `token()`.
        """
        return self._open.enter_context(self.serve())

    def close(self) -> None:
        """Closes what was opened."""
        self._open.close()

    def _client(self, kind: type[Client]) -> Client:
        client = kind("https://pm.example.com", token=self.token(), transport=self.transport())
        client._io.clock = self.clock
        return client
