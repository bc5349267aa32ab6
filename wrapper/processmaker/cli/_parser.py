"""The command line as a table of commands, and the argparse parser made from it."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from importlib.metadata import version
from math import isfinite
from textwrap import fill
from typing import TYPE_CHECKING, Any, NoReturn

from attrs import field, frozen

from ._exits import EXITS, UsageError

if TYPE_CHECKING:
    from ._commands import Session

WAIT_SECONDS = 300.0
"""How long `wait`, `watch` and `start --wait` wait unless told otherwise."""


@frozen(init=False)
class Argument:
    """One argument of a command, as `add_argument` takes it."""

    flags: tuple[str, ...]
    options: dict[str, Any] = field(hash=False)

    def __init__(self, *flags: str, **options: Any) -> None:
        self.__attrs_init__(flags, options)

    @property
    def is_option(self) -> bool:
        return self.flags[0].startswith("-")

    @property
    def needs_value(self) -> bool:
        return "action" not in self.options and self.options.get("nargs") != "?"

    @property
    def choices(self) -> tuple[str, ...]:
        return tuple(self.options.get("choices", ()))


@frozen(kw_only=True)
class Command:
    """One command.

    Args:
        name: the word that calls it.
        help: what it does, in a few words.
        example: a command line, or several.
        arguments: beside the common ones.
        run: does it.
        changes: whether it changes something on the server, so that its outcome may be unknown.
        more: what else to know.
    """

    name: str
    help: str
    example: str
    arguments: tuple[Argument, ...] = ()
    run: Callable[[Session], None]
    changes: bool = False
    more: str = ""


def seconds(text: str) -> float:
    value = float(text)
    if not (isfinite(value) and value >= 0):
        raise ValueError
    return value


def identifier(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise ValueError
    return int(text)


# argparse names them in its messages: "invalid number of seconds value: 'soon'".
seconds.__name__, identifier.__name__ = "number of seconds", "id"

COMMON = (
    Argument("--url", metavar="URL", help="the server's address, such as https://pm.example.com"),
    Argument("--profile", metavar="NAME", help="settings saved by login (default: default)"),
    Argument("--allow-http", action="store_true", help="send the token over plain http, also to another machine"),
    Argument(
        "--timeout",
        metavar="SECONDS",
        type=seconds,
        help="how long to wait for each answer (default: 30); in wait and watch, for the Request (default: 300)",
    ),
    Argument("--json", action="store_true", help="print one JSON document in place of text"),
    Argument("--debug", action="store_true", help="show the HTTP requests and, with an error, the traceback"),
)

DEFAULTS = {"url": None, "profile": None, "timeout": None, "allow_http": False, "json": False, "debug": False}

EPILOG = """\
settings, each from the first of these that has it:
  an option; the environment (PROCESSMAKER_URL, PROCESSMAKER_TOKEN, or PROCESSMAKER_CLIENT_ID, _CLIENT_SECRET,
  _USERNAME and _PASSWORD; inside a script task API_HOST, API_TOKEN and API_SSL_VERIFY); a profile made by login.
  A token that goes with one server's address is never sent to another server.

exit codes:
{exits}

example:
  processmaker start "Leave Request" days:=3 --idempotency-key leave-2026-17 --wait
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help")


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        print(f"processmaker {version('processmaker-client')}")
        parser.exit()


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
        _add(sub, command.arguments)
        # Without a default, so that what was said before the command word stays.
        _add(sub.add_argument_group("settings"), COMMON, default=argparse.SUPPRESS)
    return parser


def parse(parser: argparse.ArgumentParser, words: Sequence[str]) -> argparse.Namespace:
    """The options. argparse itself takes `key=value` only up to the next option; here they may stand anywhere.

    Raises:
        UsageError: the words are not a command.
    """
    options, rest = parser.parse_known_args(_explicit_wait(words), argparse.Namespace(**DEFAULTS))
    if rest and (not hasattr(options, "values") or any(word.startswith("-") for word in rest)):
        raise UsageError(f"unrecognized arguments: {' '.join(rest)}; see {parser.prog} {options.command} --help")
    if rest:
        options.values = [*options.values, *rest]
    return options


def _explicit_wait(words: Sequence[str]) -> list[str]:
    """`--wait` takes the next word only if that is a number; argparse would take any, such as `days=3`."""
    return [
        f"--wait={WAIT_SECONDS}" if word == "--wait" and not re.fullmatch(r"[0-9.]+", following) else word
        for word, following in zip(words, [*words, ""][1:], strict=True)
    ]


def _add(target: Any, arguments: Sequence[Argument], **more: Any) -> None:
    for argument in arguments:
        target.add_argument(*argument.flags, **argument.options, **more)
