"""The pytest fixture `processmaker_sandbox`: a sandbox with clients."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cached_property
from typing import Any

from .. import AsyncProcessMaker, ProcessMaker
from ..config.stand_in import standing_in
from ._objects import SIMPLE_PROCESSES
from ._server import URL, Sandbox


class SandboxFixture(Sandbox):
    """A sandbox with clients, signed in as integration.bot, who may start whatever `add_process` adds.

    Its processes are `SIMPLE_PROCESSES`. Clients need no network, and their time jumps: a retry, a wait or a look for a
    lost start takes no time. The same is true of any client that is made for its address meanwhile, also by the code
    under test.

    Attributes:
        check_faults: whether a fault that `fail_next` asked for and that no call met fails the test.
    """

    def __init__(self) -> None:
        super().__init__(processes=SIMPLE_PROCESSES)
        self.check_faults = True
        self._open = ExitStack()
        self._open.enter_context(standing_in(URL, self.transport()))

    @property
    def environment(self) -> dict[str, str]:
        """The variables that `from_env()` and the command line read; the fixture sets them for its test."""
        return {"PROCESSMAKER_URL": URL, "PROCESSMAKER_TOKEN": self.token()}

    @cached_property
    def pm(self) -> ProcessMaker:
        """A client for blocking code."""
        return self.client()

    @cached_property
    def async_pm(self) -> AsyncProcessMaker:
        """A client for asyncio."""
        return self.async_client()

    def client(self, user: str = "integration.bot", **options: Any) -> ProcessMaker:
        """Another client for blocking code.

        Args:
            user: the user who signs in: integration.bot, admin, mail.user or reviewer.
            options: further arguments of `ProcessMaker`.
        """
        return self._open.enter_context(ProcessMaker(URL, **{"token": self.token(user), **options}))

    def async_client(self, user: str = "integration.bot", **options: Any) -> AsyncProcessMaker:
        """Another client for asyncio; see `client`."""
        return AsyncProcessMaker(URL, **{"token": self.token(user), **options})

    @cached_property
    def url(self) -> str:
        """The address of a real socket on 127.0.0.1, for code that is not this package; it opens when first asked for.

        Sign in with `token()`. A client of this package that is made for it needs no socket, and uses the sandbox's
        clock. For others, time really passes.
        """
        url = self._open.enter_context(self.serve())
        self._open.enter_context(standing_in(url, self.transport()))
        return url

    def close(self) -> None:
        """Close the clients and the socket."""
        self._open.close()
