"""The command `processmaker`; `processmaker --help` explains its use.

`main` runs one command line. `_app.py` is the frame: the commands, the settings that all of them share, help.
`_session.py` is what a command works with, `_output.py` what it prints, `_exits.py` how it ends, and `_main.py` puts
these together. The other modules hold the commands; each is imported when its command is used.

The command line needs the extra `cli`: click reads the command line, rich prints tables and progress.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: the words after `processmaker`; None for those of this process.

    Returns:
        The exit code, see `processmaker --help`. What the command did decides it. If the output cannot be written, the
        code of a command that changes something stays; a command that only reads fails.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:  # the caller closed it
            setattr(sys, name, Path(os.devnull).open("r" if name == "stdin" else "w"))  # noqa: SIM115 - open until the end
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            # A name that the terminal cannot show is no reason to fail after a Request was started.
            reconfigure(errors="backslashreplace")
    if missing := [name for name in ("click", "rich") if not find_spec(name)]:
        print(
            f"processmaker: the command line needs {' and '.join(missing)}: pip install 'processmaker-client[cli]'",
            file=sys.stderr,
        )
        return 2
    from ._main import run

    return run(words)
