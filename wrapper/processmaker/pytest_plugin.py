"""The pytest fixture `processmaker_sandbox`, there once the package is installed; unused, it imports nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .sandbox import SandboxFixture


@pytest.fixture
def processmaker_sandbox() -> Iterator[SandboxFixture]:
    """A ProcessMaker in memory, new for each test, with clients `pm` and `async_pm`.

    `url` is a real socket when asked. `add_process("Order", tasks=["Approve"])` adds a process;
    `fail_next("answer lost", on="POST /process_events")`, or `fail_next(503)`, lets calls fail;
    `finish(id)`, `fail(id, message)` and `cancel(id)` end a Request; `started("Order")` and `requests` are what was
    started, `calls` what was asked.
    """
    from .sandbox import SandboxFixture

    sandbox = SandboxFixture()
    yield sandbox
    sandbox.close()
