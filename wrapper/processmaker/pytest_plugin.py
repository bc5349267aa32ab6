"""The pytest fixture `processmaker_sandbox`, there once the package is installed; unused, it imports nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .sandbox import SandboxFixture


@pytest.fixture
def processmaker_sandbox() -> Iterator[SandboxFixture]:
    """A ProcessMaker in memory, new for each test, with the clients `pm`, `async_pm` and `client(user="reviewer")`.

    Clients that the code under test makes reach it, too: PROCESSMAKER_URL and PROCESSMAKER_TOKEN are set, for
    `from_env()`; `url` is a real socket, opened when first asked for.

    - `add_process("Order", tasks=["Enter", Task("Review", user="reviewer")])` adds a process. What else may stand among
      its tasks is in `processmaker.sandbox`.
    - `fail_next("answer lost", on="POST /process_events")` or `fail_next(503)` lets calls fail. If no such call is
      made, the test has an error at its end.
    - `start_takes = 0.15` lets starts take time.
    - `finish(id)`, `complete(id, data)`, `fail(id, message)` and `cancel(id)` let a Request go on, at once or
      `after=30` seconds of the sandbox's time.
    - `started("Order")` and `requests` show what was started, `calls` what was asked.
    """
    from .sandbox import SandboxFixture

    sandbox = SandboxFixture()
    with pytest.MonkeyPatch.context() as environ:
        environ.delenv("PROCESSMAKER_PROFILE", raising=False)
        for name, value in sandbox.environment.items():
            environ.setenv(name, value)
        yield sandbox
    sandbox.close()
    if sandbox.check_faults and (unused := sandbox.unused_faults()):
        pytest.fail(
            f"no call met the fault that was asked for with fail_next({'), fail_next('.join(unused)}); "
            "processmaker_sandbox.check_faults = False allows it",
            pytrace=False,
        )
