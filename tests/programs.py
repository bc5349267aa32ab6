"""Programs that some tests run, and that a machine with Python alone does not have."""

from __future__ import annotations

import os
import shutil

import pytest


def need(program: str, what: str) -> None:
    """Leaves out a test whose program is not installed, saying `what` was not run; CI must have them all."""
    if shutil.which(program) is None:
        not_run(f"{what} was not run: {program} is not installed here")


def not_run(reason: str) -> None:
    """Ends a test without a result; in CI as a failure."""
    (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
