"""The frame of the command line: the commands, the settings that all of them share, and help."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click

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


class Command(click.Command):
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
        for setting in settings():
            if setting.name not in own:
                setting.hidden = setting.name not in self.uses
                self.params.append(setting)

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


class App(click.Group):
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


def remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Put a setting that was given into the session."""
    if value is not None and value is not False and param.name:
        ctx.ensure_object(Session).settings.set(param.name, value)


class Setting(click.Option):
    """An option for a setting. Commands accept it, too, but only `processmaker --help` explains it."""

    def __init__(self, *names: str, **options: Any) -> None:
        super().__init__(names, expose_value=False, callback=remember, **options)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        return super().get_help_record(ctx) if isinstance(ctx.command, App) else None


def settings() -> list[Setting]:
    """Return an option for each setting."""
    return [
        Setting("--url", metavar="URL", help="The server's address, such as https://pm.example.com."),
        Setting("--profile", type=PROFILE, help="The settings that login saved as NAME."),
        Setting("--allow-http", is_flag=True, help="Send the token over plain http, also to another machine."),
        Setting(
            "--timeout",
            type=SECONDS,
            help="How long to wait for each answer (default: 30); in wait and watch, for the Request (default: 300).",
        ),
        Setting(
            "--retries",
            type=COUNT,
            help="How often to send again if that is safe (default: 3; 0: never); also waits for a maintenance to end.",
        ),
        Setting("--json", is_flag=True, help="Print JSON; the errors on standard error, too."),
        Setting("--quiet", is_flag=True, help="Print ids only, and nothing but errors beside them."),
        Setting("--debug", is_flag=True, help="Show what is sent and, with an error, the traceback."),
    ]


app = App(
    "processmaker",
    help="Start ProcessMaker Requests, and follow them.",
    params=[*settings()],
    context_settings={"help_option_names": ["-h", "--help"]},
    subcommand_metavar="COMMAND [ARGS]...",
)
click.version_option(package_name="processmaker-client", message="%(prog)s %(version)s")(app)


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

    logger, handler = logging.getLogger("processmaker"), _Log()
    if settings.debug:
        handler.setLevel(logging.DEBUG)
    else:
        handler.setLevel(logging.WARNING if is_terminal(sys.stderr) and not settings.quiet else logging.CRITICAL)
    before = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG if settings.debug else logging.WARNING)
        try:
            yield
        finally:
            logger.removeHandler(handler)
            logger.setLevel(before)


class _Log(logging.Handler):
    """Shows records on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        prefix = "" if record.levelno == logging.WARNING else f"{record.levelname.lower()}: "
        say(prefix + record.getMessage(), "log")
