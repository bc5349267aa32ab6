"""The command line as a table of commands, and the argparse parser made from it."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from importlib.metadata import version
from itertools import pairwise
from math import isfinite
from textwrap import fill
from typing import TYPE_CHECKING, Any, NoReturn

from attrs import field, frozen

from ._exits import EXITS, UsageError

if TYPE_CHECKING:
    from ._session import Session

WAIT_SECONDS = 300.0
"""How long `wait`, `watch` and `start --wait` wait unless told otherwise."""


@frozen(init=False)
class Argument:
    """One argument of a command, as `add_argument` takes it.

    Attributes:
        completed: what the shell completes it with: "processes", "events", "profiles", "files" or "data".
    """

    flags: tuple[str, ...]
    options: dict[str, Any] = field(hash=False)
    completed: str = ""

    def __init__(self, *flags: str, completed: str = "", **options: Any) -> None:
        self.__attrs_init__(flags, options, completed)

    @property
    def is_option(self) -> bool:
        return self.flags[0].startswith("-")

    @property
    def needs_value(self) -> bool:
        return self.is_option and self.options.get("action", "append") == "append" and self.options.get("nargs") != "?"

    @property
    def dest(self) -> str:
        flag = next((flag for flag in self.flags if flag.startswith("--")), self.flags[0])
        return flag.lstrip("-").replace("-", "_")

    @property
    def choices(self) -> tuple[str, ...]:
        return tuple(self.options.get("choices", ()))


def seconds(text: str) -> float:
    value = float(text)
    if not (isfinite(value) and value >= 0):
        raise ValueError
    return value


def count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ValueError
    return int(text)


def identifier(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19 and int(text) > 0):
        raise ValueError
    return int(text)


def id_or_name(text: str) -> int | str:
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else text


# argparse names them in its messages: "invalid number of seconds value: 'soon'".
seconds.__name__, count.__name__, identifier.__name__ = "number of seconds", "number", "id"

URL = Argument("--url", metavar="URL", help="the server's address, such as https://pm.example.com")
PROFILE = Argument(
    "--profile",
    metavar="NAME",
    help="settings saved by login (default: PROCESSMAKER_PROFILE, or what use chose)",
    completed="profiles",
)
ALLOW_HTTP = Argument(
    "--allow-http", action="store_true", help="send the token over plain http, also to another machine"
)
TIMEOUT = Argument(
    "--timeout",
    metavar="SECONDS",
    type=seconds,
    help="how long to wait for each answer (default: 30); in wait and watch, for the Request (default: 300)",
)
RETRIES = Argument(
    "--retries",
    metavar="N",
    type=count,
    help="how often to send again, where that is safe (default: 3; 0: never); asked for, it also waits for a "
    "maintenance to end",
)
JSON = Argument("--json", action="store_true", help="print JSON in place of text")
QUIET = Argument("--quiet", action="store_true", help="print ids only, and no more than errors beside them")
DEBUG = Argument("--debug", action="store_true", help="show what is sent and, with an error, the traceback")

COMMON = (URL, PROFILE, ALLOW_HTTP, TIMEOUT, RETRIES, JSON, QUIET, DEBUG)
"""The settings. Before the command word stands any of them; a command refuses those it does not use."""

DEFAULTS = {
    "url": None,
    "profile": None,
    "timeout": None,
    "retries": None,
    "allow_http": False,
    "json": False,
    "quiet": False,
    "debug": False,
}


@frozen(kw_only=True)
class Command:
    """One command.

    Args:
        name: the word that calls it.
        help: what it does, in a few words.
        example: a command line, or several.
        arguments: its own.
        settings: those of the common ones that it uses.
        run: does it.
        changes: whether it changes something on the server, so that its outcome may be unknown.
        more: what else to know.
    """

    name: str
    help: str
    example: str
    arguments: tuple[Argument, ...] = ()
    settings: tuple[Argument, ...] = COMMON
    run: Callable[[Session], None]
    changes: bool = False
    more: str = ""

    @property
    def all_arguments(self) -> tuple[Argument, ...]:
        own = {argument.dest for argument in self.arguments}
        return (*self.arguments, *(argument for argument in self.settings if argument.dest not in own))


EPILOG = """\
settings, each from the first of these that has it:
  an option
  the environment: PROCESSMAKER_URL with PROCESSMAKER_TOKEN, or with
  PROCESSMAKER_CLIENT_ID, _CLIENT_SECRET, _USERNAME and _PASSWORD; inside a
  script task API_HOST, API_TOKEN and API_SSL_VERIFY
  a profile made by login: the one that PROCESSMAKER_PROFILE names, else the one
  that use chose
  A token that goes with one server's address is never sent to another server.

exit codes:
{exits}
  Once something was done, its exit code stays, whatever becomes of the output.

after an unknown outcome:
  processmaker find KEY --process PROCESS   (KEY: its --idempotency-key)
  processmaker requests --process PROCESS --since 1h

example:
  processmaker start "Leave Request" days:=3 --idempotency-key leave-17 --wait
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help")

    def print_help(self, file: Any = None) -> NoReturn:  # noqa: ARG002 - argparse's signature
        raise Help(self.format_help())


class Help(Exception):
    """What --help or --version says."""


class _Version(argparse.Action):
    def __call__(self, *_: Any) -> None:
        raise Help(f"processmaker {version('processmaker-client')}\n")


def build(commands: Sequence[Command]) -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    exits = "\n".join(f"  {exit_.code:<4} {exit_.meaning}" for exit_ in EXITS)
    parser = _Parser(
        prog="processmaker",
        description="Start ProcessMaker Requests, and follow them.",
        epilog=EPILOG.format(exits=exits),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    _add(parser.add_argument_group("settings"), COMMON, default=argparse.SUPPRESS)
    among = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", required=True)
    for command in commands:
        examples = "\n".join(f"  {line}" for line in command.example.splitlines())
        sub = among.add_parser(
            command.name,
            help=command.help,
            description=fill(f"{command.help[0].upper()}{command.help[1:]}. {command.more}"),
            epilog=f"example:\n{examples}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        _add(sub, [argument for argument in command.arguments if argument.dest not in DEFAULTS])
        # Without a default, so that what was said before the command word stays.
        settings = [argument for argument in command.all_arguments if argument.dest in DEFAULTS]
        _add(sub.add_argument_group("settings"), settings, default=argparse.SUPPRESS)
    return parser


def parse(commands: Sequence[Command], words: Sequence[str]) -> argparse.Namespace:
    """The options. argparse itself takes `key=value` only up to the next option; here they may stand anywhere.

    Raises:
        UsageError: the words are not a command.
        Help: they ask for help.
    """
    by_name = {command.name: command for command in commands}
    position = command_position(words)
    if position is not None and words[position] not in by_name:
        near = get_close_matches(words[position], by_name, n=2)
        meant = f"; did you mean {' or '.join(near)}?" if near else f"; there are: {', '.join(by_name)}"
        raise UsageError(f"there is no command {words[position]!r}{meant}")
    parser = build(commands)
    if not words:
        parser.print_help()
    try:
        options, rest = parser.parse_known_args(_explicit_wait(words))
    except UsageError as problem:
        if "required: PROCESS" in str(problem):
            _refuse_seconds_for_a_process(words)
        raise
    command = by_name[options.command]
    if hasattr(options, "wait") and "=" in options.process:
        _refuse_seconds_for_a_process(words)
    used = {flag for argument in command.all_arguments for flag in argument.flags}
    for argument in COMMON:
        flag = argument.flags[0]
        if flag not in used and (hasattr(options, argument.dest) or flag in rest):
            raise UsageError(f"{command.name} does not use {flag}; leave it out")
    if rest and (not hasattr(options, "values") or any(word.startswith("-") for word in rest)):
        raise UsageError(
            f"unrecognized arguments: {' '.join(rest)}{_meant(rest, command)}; see {parser.prog} {command.name} --help"
        )
    if rest:
        options.values = [*options.values, *rest]
    return argparse.Namespace(**{**DEFAULTS, **vars(options)})


def command_position(words: Sequence[str]) -> int | None:
    """Where among the words the command stands; None where there is none yet."""
    with_value = {flag for argument in COMMON if argument.needs_value for flag in argument.flags}
    before = ""
    for position, word in enumerate(words):
        if before not in with_value and not word.startswith("-"):
            return position
        before = word
    return None


def _meant(words: Sequence[str], command: Command) -> str:
    flags = [flag for argument in command.all_arguments if argument.is_option for flag in argument.flags]
    near = [match for word in words if word.startswith("-") for match in get_close_matches(word, flags, n=1)]
    return f" (did you mean {near[0]}?)" if near else ""


def _explicit_wait(words: Sequence[str]) -> list[str]:
    """`--wait` takes the next word only if that is a number; argparse would take any, such as `days=3`."""
    return [
        f"--wait={WAIT_SECONDS}" if word == "--wait" and not re.fullmatch(r"[0-9.]+", following) else word
        for word, following in zip(words, [*words, ""][1:], strict=True)
    ]


def _refuse_seconds_for_a_process(words: Sequence[str]) -> None:
    """Says so where `start --wait 4` means the process 4."""
    taken = next((following for word, following in pairwise(words) if word == "--wait" and following), None)
    if taken:
        raise UsageError(
            f"no PROCESS is named: the {taken} after --wait is its seconds. Write --wait={taken} and the process, "
            "or put --wait last"
        )


def _add(target: Any, arguments: Sequence[Argument], **more: Any) -> None:
    for argument in arguments:
        target.add_argument(*argument.flags, **argument.options, **more)
