"""Completion in the shell: scripts for bash and zsh, made from the table of commands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ._parser import COMMON, Argument, Command


def bash(commands: Sequence[Command]) -> str:
    return _BASH.format(
        names="|".join(command.name for command in commands),
        first=" ".join([*(command.name for command in commands), *_flags(COMMON), "--help", "--version"]),
        with_value="|".join(_flags(_with_value(commands))),
        choices="".join(
            f'    {" ".join(argument.flags)}) words="{" ".join(argument.choices)}" ;;\n'
            for argument in _with_value(commands)
            if argument.choices
        ),
        options="".join(f'      {command.name}) words="{_words(command)}" ;;\n' for command in commands),
    )


def zsh(commands: Sequence[Command]) -> str:
    return _ZSH.format(
        names="|".join(command.name for command in commands),
        described="".join(f"    {_quoted(f'{command.name}:{command.help}')}\n" for command in commands),
        common=" ".join([*_flags(COMMON), "--help", "--version"]),
        with_value="|".join(_flags(_with_value(commands))),
        choices="".join(
            f"    {'|'.join(argument.flags)}) compadd -- {' '.join(argument.choices)}; return ;;\n"
            for argument in _with_value(commands)
            if argument.choices
        ),
        options="".join(f"    {command.name}) compadd -- {_words(command)} ;;\n" for command in commands),
    )


def _words(command: Command) -> str:
    """What may follow a command: its options, and the words that an argument of it may be."""
    choices = [word for argument in command.arguments if not argument.is_option for word in argument.choices]
    return " ".join([*choices, *_flags(command.arguments), *_flags(COMMON), "--help"])


def _flags(arguments: Iterable[Argument]) -> list[str]:
    return [flag for argument in arguments if argument.is_option for flag in argument.flags]


def _with_value(commands: Sequence[Command]) -> list[Argument]:
    """The options that need a value, each once."""
    arguments = [*COMMON, *(argument for command in commands for argument in command.arguments)]
    needing = {argument.flags: argument for argument in arguments if argument.is_option and argument.needs_value}
    return list(needing.values())


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


_BASH = """\
# bash completion for processmaker. For this shell: source <(processmaker completion bash)
_processmaker() {{
  local word previous= command= words= current=${{COMP_WORDS[COMP_CWORD]}}
  COMPREPLY=()
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case $previous in
      {with_value}) ;;
      *) case $word in {names}) [[ $command ]] || command=$word ;; esac ;;
    esac
    previous=$word
  done
  case $previous in
{choices}    {with_value}) return ;;
    *) case $command in
      '') words="{first}" ;;
{options}    esac ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _processmaker processmaker
"""

_ZSH = """\
#compdef processmaker
# zsh completion for processmaker. For this shell: source <(processmaker completion zsh)
_processmaker() {{
  local word previous= command=
  local -a commands=(
{described}  )
  for word in "${{(@)words[2,CURRENT-1]}}"; do
    case $previous in
      {with_value}) ;;
      *) case $word in {names}) [[ -n $command ]] || command=$word ;; esac ;;
    esac
    previous=$word
  done
  case $previous in
{choices}    {with_value}) _files; return ;;
  esac
  case $command in
    '') if [[ $PREFIX == -* ]]; then compadd -- {common}; else _describe command commands; fi; return ;;
{options}  esac
  [[ $PREFIX == -* ]] || _files
}}
if [[ $funcstack[1] == _processmaker ]]; then _processmaker "$@"; else compdef _processmaker processmaker; fi
"""
