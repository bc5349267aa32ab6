"""Completion in the shell: small scripts that ask this command for the words that may follow.

`processmaker __complete SHELL …` prints them, one a line: to bash, which hands over its line, as the shell inserts
them; to zsh and fish, which hand over the words, with a description each.
"""

from __future__ import annotations

import os
import re
import shlex
from argparse import Namespace
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from ..config.profiles import read_profiles
from ._parser import ALLOW_HTTP, COMMON, DEFAULTS, PROFILE, URL, Argument, Command, command_position
from ._session import Session

TIMEOUT = 3.0
"""Seconds that a shell waits at most for each answer of the server."""

Candidate = tuple[str, str]
"""A word, and what it is."""


def answer(commands: Sequence[Command], shell: str, given: Sequence[str]) -> str:
    """What `__complete` prints."""
    if shell == "bash":
        words, raw = _split(given[0])
        return "".join(f"{_for_bash(word, raw)}\n" for word, _ in candidates(commands, words))
    words = [_unquoted(word) for word in given] or [""]
    if shell == "zsh":
        return "".join(f"{word.replace(':', chr(92) + ':')}:{what}\n" for word, what in candidates(commands, words))
    return "".join(f"{word}\t{what}\n" for word, what in candidates(commands, words))


def candidates(commands: Sequence[Command], words: Sequence[str]) -> list[Candidate]:
    """What the last of the words, which may be empty, can become."""
    *before, current = words
    position = command_position(before)
    if position is None:
        if argument := _waiting(before, COMMON):
            found = _values(argument, before, current)
        elif current.startswith("-"):
            found = [*_flags(COMMON), ("--help", ""), ("--version", "")]
        else:
            found = [(command.name, command.help) for command in commands]
    else:
        command = next((command for command in commands if command.name == before[position]), None)
        found = _of_command(command, before, position, current) if command else []
    return [(word, what) for word, what in found if word.startswith(current)]


def _of_command(command: Command, before: Sequence[str], position: int, current: str) -> list[Candidate]:
    given = before[position + 1 :]
    if argument := _waiting(given, command.all_arguments):
        return _values(argument, before, current, given)
    flag, sign, _ = current.partition("=")
    if sign and (argument := _waiting([flag], command.all_arguments)):
        return [(f"{flag}={word}", what) for word, what in _values(argument, before, current[len(flag) + 1 :], given)]
    if current.startswith("-"):
        return [*_flags(command.all_arguments), ("--help", "")]
    positionals = [argument for argument in command.arguments if not argument.is_option]
    if not positionals:
        return []
    number = len(_positional(command, given))
    if number >= len(positionals) and positionals[-1].options.get("nargs") != "*":
        return []
    return _values(positionals[min(number, len(positionals) - 1)], before, current, given)


def _values(argument: Argument, before: Sequence[str], current: str, given: Sequence[str] = ()) -> list[Candidate]:
    if argument.choices:
        return [(word, "") for word in argument.choices]
    if argument.completed == "profiles":
        return [(name, profile.url) for name, profile in read_profiles(os.environ).items()]
    if argument.completed == "processes":
        return [(process.name, f"process {process.id}") for process in _processes(before)]
    if argument.completed == "events":
        named = next(iter(word for word in given if not word.startswith("-")), "")
        return [
            (event.id, event.name)
            for process in _processes(before)
            if named in (process.name, str(process.id))
            for event in process.start_events
        ]
    takes_files = argument.completed == "data" or argument.options.get("nargs") == "*"
    # @FILE, or key=@FILE and key:=@FILE
    if takes_files and (at := re.fullmatch(r"((?:[^=]+=)?@)(.*)", current)):
        return [(at[1] + name, "") for name in _files(at[2])]
    return []


def _processes(before: Sequence[str]) -> list[Any]:
    """What may be started on the server that the words so far name."""
    options = Namespace(**DEFAULTS)
    options.timeout, options.retries = TIMEOUT, 0
    options.allow_http = ALLOW_HTTP.flags[0] in before
    for argument in (URL, PROFILE):
        for word, following in pairwise(before):
            if word in argument.flags:
                setattr(options, argument.dest, following)
    session = Session(options)
    try:
        return list(session.pm.processes())
    finally:
        session.close()


def _files(start: str) -> list[str]:
    folder, _, beginning = start.rpartition("/")
    place = Path(folder or ("/" if start.startswith("/") else ".")).expanduser()
    prefix = start[: len(start) - len(beginning)]
    entries = sorted(entry for entry in place.iterdir() if entry.name.startswith(beginning or ""))
    shown = [entry for entry in entries if beginning.startswith(".") or not entry.name.startswith(".")]
    return [f"{prefix}{entry.name}{'/' if entry.is_dir() else ''}" for entry in shown]


def _waiting(before: Sequence[str], arguments: Iterable[Argument]) -> Argument | None:
    """The option whose value comes next."""
    last = before[-1] if before else ""
    return next((argument for argument in arguments if argument.needs_value and last in argument.flags), None)


def _positional(command: Command, given: Sequence[str]) -> list[str]:
    return [
        word
        for word, preceding in zip(given, ["", *given], strict=False)
        if not word.startswith("-") and not _waiting([preceding], command.all_arguments)
    ]


def _flags(arguments: Iterable[Argument]) -> list[Candidate]:
    return [
        (flag, str(argument.options.get("help", "")))
        for argument in arguments
        if argument.is_option
        for flag in argument.flags
        if flag.startswith("--")
    ]


def _split(line: str) -> tuple[list[str], str]:
    """The words after the command of a line that is being typed, and the last one as it stands there."""
    pieces = re.findall(r"""(?:\\.|"(?:\\.|[^"\\])*(?:"|$)|'[^']*(?:'|$)|[^\s"'\\])+|\\$""", line)
    if not pieces or (line[-1:].isspace() and not line.endswith(pieces[-1])):
        pieces = [*pieces, ""]
    pieces = pieces if len(pieces) > 1 else [*pieces, ""]
    return [_unquoted(piece) for piece in pieces[1:]], pieces[-1]


def _unquoted(word: str) -> str:
    """The word that a shell would make of it; one that is quoted, or whose quotes are still open, included."""
    for ending in ("", '"', "'"):
        try:
            parts = shlex.split(word + ending)
        except ValueError:
            continue
        return parts[0] if len(parts) == 1 else word
    return word


def _for_bash(word: str, raw: str) -> str:
    """The word as bash inserts it: of it only what follows the last character that breaks words there."""
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
