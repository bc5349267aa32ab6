"""Completion in the shell: small scripts that ask this command for the words that may follow.

`processmaker __complete SHELL …` prints them, one a line: for bash, which passes its line, as the shell inserts
them; for zsh and fish, which pass the words, with a description each. click finds the words; its own scripts for
the shells are not used, because they break names with blanks and colons, such as `Leave Request`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from click.shell_completion import ShellComplete

from ._app import app, argument, command
from ._params import Words
from ._session import Session

TIMEOUT = 3.0
"""Seconds that a shell waits at most for each answer of the server."""

Candidate = tuple[str, str]
"""A word, and what it is."""


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
    session.output.text(SCRIPTS[shell], end="")


def answer(shell: str, given: Sequence[str]) -> str:
    """What `__complete` prints."""
    if shell == "bash":
        words, raw = _split(given[0])
        return "".join(f"{_for_bash(word, raw)}\n" for word, _ in candidates(words))
    words = [_unquoted(word) for word in given] or [""]
    if shell == "zsh":
        return "".join(f"{word.replace(':', chr(92) + ':')}:{what}\n" for word, what in candidates(words))
    return "".join(f"{word}\t{what}\n" for word, what in candidates(words))


def candidates(words: Sequence[str]) -> list[Candidate]:
    """What the last of the words, which may be empty, can become."""
    *before, current = words
    session = Session(before)
    session.settings.timeout, session.settings.retries = TIMEOUT, 0
    option, sign, _ = current.partition("=")
    prefix = f"{option}=" if sign and option.startswith("--") else ""
    try:
        found = ShellComplete(app, {"obj": session}, "processmaker", "").get_completions(before, current)
    finally:
        session.close()
    return [(prefix + item.value, (item.help or "").rstrip(".")) for item in found if item.type == "plain"]


def _split(line: str) -> tuple[list[str], str]:
    """The words after the command of a line that is being typed, and the last one as it stands there."""
    pieces = re.findall(r"""(?:\\.|"(?:\\.|[^"\\])*(?:"|$)|'[^']*(?:'|$)|[^\s"'\\])+|\\$""", line)
    if not pieces or (line[-1:].isspace() and not line.endswith(pieces[-1])):
        pieces = [*pieces, ""]
    pieces = pieces if len(pieces) > 1 else [*pieces, ""]
    return [_unquoted(piece) for piece in pieces[1:]], pieces[-1]


def _unquoted(word: str) -> str:
    """The word that a shell makes of it, also if it is quoted or its quotes are still open."""
    for ending in ("", '"', "'"):
        try:
            parts = shlex.split(word + ending)
        except ValueError:
            continue
        return parts[0] if len(parts) == 1 else word
    return word


def _for_bash(word: str, raw: str) -> str:
    """The word as bash inserts it: only what follows the last character that breaks words there."""
    if raw[:1] in ('"', "'"):
        return word
    broken = max(raw.rfind("="), raw.rfind(":")) + 1
    return re.sub(r"([^\w@%+=:,./-])", r"\\\1", word[broken:])


SCRIPTS = {
    "bash": """\
# bash completion for processmaker. For this shell: source <(processmaker completion bash)
_processmaker() {
  local word
  COMPREPLY=()
  while IFS= read -r word; do
    COMPREPLY+=("$word")
  done < <("${COMP_WORDS[0]}" __complete bash "${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
  if [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == */ ]]; then compopt -o nospace 2>/dev/null; fi
}
complete -o default -F _processmaker processmaker
""",
    "zsh": """\
#compdef processmaker
# zsh completion for processmaker. For this shell: source <(processmaker completion zsh)
_processmaker() {
  local -a found folders
  found=("${(@f)$("${words[1]}" __complete zsh "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  found=("${(@)found:#}")
  if (( ! ${#found} )); then [[ $PREFIX == -* ]] || _files; return; fi
  folders=("${(@M)found:#*/:}")
  found=("${(@)found:#*/:}")
  (( ${#folders} )) && _describe -t folders folder folders -S ''
  (( ${#found} )) && _describe -t words word found
}
if [[ $funcstack[1] == _processmaker ]]; then _processmaker "$@"; else compdef _processmaker processmaker; fi
""",
    "fish": """\
# fish completion for processmaker. For this shell: processmaker completion fish | source
function __processmaker_words
    set -l words (commandline -opc)
    set -l found ($words[1] __complete fish $words[2..-1] (commandline -ct) 2>/dev/null)
    if set -q found[1]
        printf '%s\\n' $found
    else if not string match -q -- '-*' (commandline -ct)
        __fish_complete_path (commandline -ct)
    end
end
complete -c processmaker -f -a '(__processmaker_words)'
""",
}
