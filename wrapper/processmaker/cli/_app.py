"""The frame of the command line: the commands, the settings that all of them share, and help."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import version
from typing import Any

import click
from click.shell_completion import CompletionItem

from ._exits import EXITS, UsageError
from ._output import is_terminal, messages, say
from ._params import COUNT, PROFILE, SECONDS
from ._session import Session, Settings

SECTIONS = {
    "Requests": {
        "processes": "_requests:processes",
        "start": "_requests:start",
        "start-many": "_many:start_many",
        "find": "_requests:find",
        "requests": "_requests:requests",
        "show": "_requests:show",
        "open": "_requests:open_",
        "wait": "_following:wait",
        "watch": "_following:watch",
        "cancel": "_requests:cancel",
        "files": "_request_files:files",
    },
    "Tasks": {"tasks": "_tasks:tasks", "claim": "_tasks:claim", "complete": "_tasks:complete"},
    "Signing in": {
        "login": "_profiles:login",
        "logout": "_profiles:logout",
        "profiles": "_profiles:profiles",
        "use": "_profiles:use",
        "whoami": "_profiles:whoami",
    },
    "Tools": {
        "api": "_tools:api",
        "doctor": "_tools:doctor",
        "journal": "_journal:journal",
        "sandbox": "_tools:sandbox",
        "completion": "_completion:completion",
    },
}
"""The commands, and where they are: a module and a name in it."""

PLACES = {name: place for commands in SECTIONS.values() for name, place in commands.items()}

SYNONYMS = {"ls": "requests", "list": "requests", "get": "show", "run": "start", "signin": "login", "status": "show"}
"""Words of other command lines, and what they are called here."""

ALL = ("url", "profile", "allow_http", "timeout", "retries", "json", "quiet", "debug")
"""The settings. Any of them may stand before the command or after it; a command refuses those that it does not use."""

LOCAL = ("json", "quiet", "debug")
"""The settings of a command that talks to no server."""

EPILOG = """\
Settings come from the first of these that has them: an option; the
environment (PROCESSMAKER_URL with PROCESSMAKER_TOKEN, or with
PROCESSMAKER_CLIENT_ID, _CLIENT_SECRET, _USERNAME and _PASSWORD; in a script
task API_HOST, API_TOKEN and API_SSL_VERIFY); a profile made by login: the one
that PROCESSMAKER_PROFILE names, else the one that use chose. A token that
belongs to one server is never sent to another.

Exit codes:
{exits}

After an unknown outcome:
  processmaker find KEY --process PROCESS      (KEY: its --idempotency-key)
  processmaker requests --process PROCESS --since 1h

Example:
  processmaker start "Leave Request" days:=3 --idempotency-key leave-17 --wait

The guide is in wrapper/docs of the project. "python -m pydoc processmaker"
says which pages the installed package brings along.
"""


class Argument(click.Argument):
    """An argument with a line of help."""

    def __init__(self, *args: Any, help: str = "", **options: Any) -> None:  # noqa: A002 - click's name
        super().__init__(*args, **options)
        self.meaning = help  # not `help`, which only newer versions of click know, and show themselves


def argument(*names: str, **options: Any) -> Callable[[Any], Any]:
    return click.argument(*names, cls=Argument, **options)


def _show_help(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        ctx.ensure_object(Session).output.text(ctx.get_help())
        ctx.exit()


def _show_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        ctx.ensure_object(Session).output.text(f"processmaker {version('processmaker-client')}")
        ctx.exit()


class _WithHelp(click.Command):
    """A command whose help is printed like all other output."""

    def get_help_option(self, ctx: click.Context) -> click.Option | None:  # noqa: ARG002 - click's signature
        return click.Option(
            ["-h", "--help"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_show_help,
            help="Show this message.",
        )


class Command(_WithHelp):
    """One command.

    Args:
        examples: command lines that show its use.
        uses: the names of the settings that it uses.
        changes: whether it changes something on the server.
    """

    def __init__(
        self, *args: Any, examples: str = "", uses: Sequence[str] = ALL, changes: bool = False, **options: Any
    ) -> None:
        super().__init__(*args, **options)
        self.examples = examples
        self.changes = changes
        self.uses = tuple(uses)
        own = {param.name for param in self.params}
        self.params += [setting for setting in settings(hidden=True) if setting.name not in own]

    def invoke(self, ctx: click.Context) -> Any:
        session = ctx.ensure_object(Session)
        for name in ALL:
            if name in session.settings.given and name not in self.uses:
                raise UsageError(f"{ctx.info_name} does not use --{name.replace('_', '-')}; leave it out")
        messages.as_json = session.settings.json
        session.command, session.changes = str(self.name), self.changes
        with _shown(session.settings):
            return super().invoke(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        described = [(param.human_readable_name, param.meaning) for param in self.params if isinstance(param, Argument)]
        if rows := [row for row in described if row[1]]:
            with formatter.section("Arguments"):
                formatter.write_dl(rows)
        super().format_options(ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        shared = ", ".join(f"--{name}" for name in ("url", "profile", "json") if name in self.uses)
        formatter.write(f"\n{f'Settings such as {shared}' if shared else 'All settings'}: processmaker --help\n")
        if self.examples:
            with formatter.section("Examples"):
                for line in self.examples.splitlines():
                    formatter.write(f"  {line}\n")

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        found = super().shell_complete(ctx, incomplete)
        if incomplete.startswith("-"):
            offered = {item.value for item in found}
            found += [
                CompletionItem(flag, help=param.help)
                for param in settings(hidden=True)
                for flag in param.opts
                if param.name in self.uses and flag.startswith(incomplete) and flag not in offered
            ]
        return found


class App(_WithHelp, click.Group):
    """The command `processmaker`; a sub-command's module is imported when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(PLACES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in PLACES:
            return None
        module, _, name = PLACES[cmd_name].partition(":")
        command: click.Command = getattr(import_module(f".{module}", __package__), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] in PLACES:
            return super().resolve_command(ctx, args)
        near = [SYNONYMS[args[0]]] if args[0] in SYNONYMS else get_close_matches(args[0], PLACES, n=2)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(PLACES)}"
        raise UsageError(f"there is no command {args[0]!r}", hint=hint)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.format_commands(ctx, formatter)
        click.Command.format_options(self, ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, PLACES))
        for section, names in SECTIONS.items():
            rows = [(name, self.get_command(ctx, name)) for name in names]
            with formatter.section(section):
                formatter.write_dl(
                    [(f"{name:{width}}", command.get_short_help_str(100)) for name, command in rows if command]
                )

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        exits = "\n".join(f"  {exit_.code:<4} {exit_.meaning}" for exit_ in EXITS)
        formatter.write(f"\n{EPILOG.format(exits=exits)}")


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Puts a setting that was given into the session."""
    if value is not None and value is not False and param.name:
        ctx.ensure_object(Session).settings.set(param.name, value)


def setting(*names: str, **options: Any) -> click.Option:
    """An option whose value goes into the session's settings."""
    return click.Option(names, expose_value=False, callback=_remember, **options)


def settings(*, hidden: bool = False) -> list[click.Option]:
    """The options for the settings. Commands accept them, too, but only `processmaker --help` explains them."""
    shown: dict[str, Any] = {"hidden": hidden}
    flag: dict[str, Any] = {"is_flag": True, **shown}
    return [
        setting("--url", metavar="URL", help="The server's address, such as https://pm.example.com.", **shown),
        setting("--profile", type=PROFILE, metavar="NAME", help="The settings that login saved as NAME.", **shown),
        setting("--allow-http", help="Send the token over plain http, also to another machine.", **flag),
        setting(
            "--timeout",
            type=SECONDS,
            metavar="SECONDS",
            help="How long to wait for each answer (default: 30); in wait and watch, for the Request (default: 300).",
            **shown,
        ),
        setting(
            "--retries",
            type=COUNT,
            metavar="N",
            help="How often to send again if that is safe (default: 3; 0: never); also waits for a maintenance to end.",
            **shown,
        ),
        setting("--json", help="Print JSON; the errors on standard error, too.", **flag),
        setting("--quiet", help="Print ids only, and nothing but errors beside them.", **flag),
        setting("--debug", help="Show what is sent and, with an error, the traceback.", **flag),
    ]


app = App(
    "processmaker",
    help="Start ProcessMaker Requests, and follow them.",
    params=[
        *settings(),
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_show_version,
            help="Print the version.",
        ),
    ],
    subcommand_metavar="COMMAND [ARGS]...",
)


def command(name: str, *, cls: type[Command] = Command, **options: Any) -> Callable[[Callable[..., None]], Command]:
    """Makes a command of a function of a `Session` and of what was typed; its docstring is the help.

    Args:
        name: the word that calls it.
        cls: the class of the command.
        options: further arguments of that class.
    """

    def decorate(function: Callable[..., None]) -> Command:
        return click.command(name, cls=cls, **options)(click.pass_obj(function))

    return decorate


@contextmanager
def _shown(settings: Settings) -> Iterator[None]:
    """Shows warnings and what the library logs: all of it with --debug, on a terminal why it waits and tries again."""

    def show(message: Warning | str, *_: object, **__: object) -> None:
        if not settings.quiet:
            say(str(message.args[0] if isinstance(message, Warning) else message), "warning")

    on_terminal = is_terminal(sys.stderr) and not settings.quiet
    handler = _Log() if settings.debug or on_terminal else logging.NullHandler()
    level = logging.DEBUG if settings.debug else logging.WARNING
    loggers = [logging.getLogger(name) for name in ("processmaker", "httpx")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show
        for logger in loggers:
            logger.addHandler(handler)
            logger.setLevel(level)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.removeHandler(handler)
                logger.setLevel(level)


class _Log(logging.Handler):
    """Shows records on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        prefix = "" if record.levelno == logging.WARNING else f"{record.levelname.lower()}: "
        say(prefix + record.getMessage(), "log")
