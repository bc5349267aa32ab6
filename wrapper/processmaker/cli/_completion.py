"""Completion in the shell: click's, which asks this command for the words that may follow."""

from __future__ import annotations

import os
import re
import shlex
from contextlib import suppress

from click.shell_completion import BashComplete, CompletionItem, add_completion_class, get_completion_class

from ._app import app, argument, command
from ._exits import DONE
from ._output import Output
from ._params import Words
from ._session import Session

VARIABLE = "_PROCESSMAKER_COMPLETE"
"""What click's scripts set, such as to bash_complete."""

TIMEOUT = 3.0
"""Seconds that a shell waits at most for each answer of the server."""


@add_completion_class
class _Bash(BashComplete):
    """Completion in bash: also of names with blanks, such as Leave Request, and of files if nothing else is known."""

    source_template = BashComplete.source_template.replace("-o nosort", "-o nosort -o default")

    def format_completion(self, item: CompletionItem) -> str:
        try:
            shlex.split(os.environ["COMP_WORDS"])
        except ValueError:  # within quotes that are still open
            return super().format_completion(item)
        # click's script reads two backslashes as one.
        return f"{item.type}," + re.sub(r"([^\w@%+=:,./-])", r"\\\\\1", item.value)


@command(
    "completion",
    uses=("debug",),
    examples="source <(processmaker completion bash)\n"
    "processmaker completion zsh > ~/.zfunc/_processmaker\n"
    "processmaker completion fish > ~/.config/fish/completions/processmaker.fish",
)
@argument("shell", type=Words("bash", "zsh", "fish"), metavar="SHELL", help="bash, zsh or fish.")
def completion(session: Session, shell: str) -> None:
    """Print a script for completion in the shell.

    It completes commands, options and names: processes, start events, Requests, tasks and profiles. The server is asked
    for all of these names but profiles.
    """
    if kind := get_completion_class(shell):
        session.output.text(kind(app, {}, "processmaker", VARIABLE).source())


def answer(instruction: str) -> int:
    """Print the words that may follow. If nothing can be found out, nothing is offered."""
    session = Session()
    session.settings.timeout, session.settings.retries = TIMEOUT, 0
    with suppress(Exception, KeyboardInterrupt):
        if kind := get_completion_class(instruction.removesuffix("_complete")):
            Output().text(kind(app, {"obj": session}, "processmaker", VARIABLE).complete())
    session.close()
    return DONE
