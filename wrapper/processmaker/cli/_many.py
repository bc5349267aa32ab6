"""Starts a Request for each row of a file, so that the same command run again goes on where it stopped."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import sys
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from attrs import define, frozen

from .. import errors as e
from . import _options
from ._app import argument, command
from ._exits import (
    FAILED,
    INTERRUPTED,
    KEY_REUSED,
    OUTCOME_UNKNOWN,
    TERMINATED,
    UsageError,
    exit_code,
    find_command,
    message_of,
    signals_handled,
)
from ._files import STDOUT, Rejects, Results, check_distinct, format_of_results, part_of, places_of
from ._output import is_terminal, say
from ._params import COUNT, SECONDS, Parsed, Words
from ._progress import Counts, duration, progress_of
from ._report import FIELDS, Report
from ._rows import TYPES, BadRow, Reader, Row, Source
from ._session import Session, journal_place, without_password

if TYPE_CHECKING:
    from .. import Outcome, Outcomes
    from ..journal import RedisJournal, SQLiteJournal

GIVE_UP_AFTER = 100
"""Rows one after the other that the server, or the way to it, refused; the others would fare no better."""

_ERRORS_OF_ROW = (e.InvalidData, e.ValidationFailed, e.IdempotencyKeyReused)
"""What is wrong with a row itself, which can be mended. So is 413: its data is too large."""

_ERRORS_OF_ALL = (e.Unauthorized, e.SignInError)
"""What the next row would fare no better with."""


def _column_type(text: str) -> tuple[str, str]:
    column, _, kind = text.rpartition("=")
    if not column or kind not in TYPES:
        raise ValueError
    return column, kind


def _delimiter(text: str) -> str:
    character = "\t" if text in ("tab", "\\t") else text
    if len(character) != 1 or character in '"\r\n':
        raise ValueError
    return character


COLUMN_TYPE = Parsed("column=type", _column_type, "COLUMN=TYPE, with str, int, float, bool or json as the type")
DELIMITER = Parsed("char", _delimiter, "one character, or the word tab")
REUSED_KEY = Words("error", "warn", "ignore")
PATH = click.Path()


@frozen(kw_only=True)
class Options:
    """What the command line of start-many says, beside what the rows are."""

    process: int | str
    no_key: bool
    event: str | None
    concurrency: int
    output: str | None
    rejects: str | None
    dry_run: bool
    on_reused_key: str
    fingerprint_without: tuple[str, ...]
    journal: str | None
    lease: float | None
    look_again_for: float | None


@command(
    "start-many",
    changes=True,
    examples='processmaker start-many "Leave Request" rows.csv --key order --type days=int\n'
    "processmaker start-many 2 rows.jsonl --key order --output results.csv\n"
    "processmaker start-many 2 rows.csv --key order --dry-run --rejects mend.csv\n"
    "make-rows | processmaker start-many 2 - --key order --journal starts.db",
)
@_options.process
@argument("file", type=PATH, metavar="FILE", help="The rows, .csv or .jsonl; - for standard input.")
@click.option("--key-column", "--key", "keys", multiple=True, metavar="COLUMN", help="Has the keys; may be repeated.")
@click.option("--key-prefix", default="", metavar="TEXT", help="What every key begins with, such as june-.")
@click.option("--no-key", is_flag=True, help="Start without keys; a rerun starts all rows.")
@_options.event
@click.option("--concurrency", type=COUNT, default=8, metavar="N", help="Starts at a time (default: 8).")
@click.option("--type", "types", type=COLUMN_TYPE, multiple=True, metavar="COLUMN=TYPE", help="int, float, bool, json.")
@click.option("--decimal", type=click.Choice([".", ","]), default=".", help="Of floats in CSV (default: a point).")
@click.option("--format", "written_as", type=Words("csv", "jsonl"), help="Of FILE (default: by its suffix).")
@click.option("--delimiter", type=DELIMITER, metavar="CHAR", help="Of CSV (default: a comma); tab for a tab.")
@click.option("--encoding", metavar="NAME", help="Of FILE, such as cp1252 (default: UTF-8).")
@click.option("--output", type=PATH, metavar="FILE", help="Write what became of each row (.csv, .jsonl).")
@click.option("--rejects", type=PATH, metavar="FILE", help="Write the rows that cannot be sent.")
@click.option("--dry-run", is_flag=True, help="Check and describe the rows; send nothing.")
@click.option(
    "--on-reused-key", type=REUSED_KEY, default="error", metavar="HOW", help="error (default), warn or ignore."
)
@click.option("--fingerprint-without", multiple=True, metavar="COLUMN", help="May differ if a row is sent again.")
@click.option("--journal", metavar="FILE|URL", help="Default: FILE.journal; the word none for none.")
@click.option("--lease", type=SECONDS, metavar="SECONDS", help="How long a killed run holds keys (default: 90).")
@click.option("--look-again-for", type=SECONDS, metavar="SECONDS", help="Look so long for a lost start (default: 15).")
def start_many(
    session: Session,
    file: str,
    keys: tuple[str, ...],
    key_prefix: str,
    types: tuple[tuple[str, str], ...],
    decimal: str,
    written_as: str | None,
    delimiter: str | None,
    encoding: str | None,
    **options: Any,
) -> None:
    """Start a Request for each row of a file, once.

    Run the same command again to go on after Ctrl-C, a crash or kill -9: a journal beside the input knows what was
    started. A row of CSV has strings, unless --type says otherwise, and null for empty cells.
    """
    source = Source(
        path=None if file == "-" else Path(file),
        format=written_as,  # type: ignore[arg-type]
        encoding=encoding,
        delimiter=delimiter,
        decimal=decimal,
        types=dict(types),
        keys=keys,
        key_prefix=key_prefix,
    )
    _run(session, source, Options(**options))


def _run(session: Session, source: Source, options: Options) -> None:
    place = None if options.no_key else _place_of_journal(source, options)
    _check_options(session, source, options)
    _check_files(source, options, place)
    with ExitStack() as stack:
        reader = stack.enter_context(source.open())
        rejects = Rejects(options.rejects, reader) if options.rejects else None
        report = Report(source.name, _results(session, options), rejects)
        stack.callback(report.close)
        if options.dry_run:
            from ._check import DryRun

            check = DryRun(
                session.output, reader, report, without=options.fingerprint_without, on_reused_key=options.on_reused_key
            )
            code = check.run()
            report.close()
            check.show(rejects.place if rejects else None)
        else:
            journal = stack.enter_context(_journal(session, place, options))
            run = Run(session, source, options, reader, report)
            code = run.start(journal)
            report.close()
            run.show_summary(place)
    if code:
        raise SystemExit(code)


def _check_options(session: Session, source: Source, options: Options) -> None:
    """Refuses what cannot work, or would start rows twice, before anything is read or written."""
    if bool(source.keys) is options.no_key:
        if options.no_key:
            raise UsageError("give either --key-column or --no-key")
        raise UsageError(
            "say with --key-column which column has the idempotency keys, such as an order number: with them the same "
            "command can be run again, and starts no row twice. Without keys, --no-key: a row whose answer gets lost "
            "stays unknown, and another run starts all rows again"
        )
    if options.no_key and (source.key_prefix or options.journal):
        raise UsageError("--key-prefix and --journal are about keys; leave them out, or give --key-column")
    if not options.concurrency:
        raise UsageError("--concurrency is a number of starts at a time, from 1")
    if options.rejects == STDOUT:
        raise UsageError("--rejects needs the name of a file")
    if options.output == STDOUT and session.output.quiet:
        raise UsageError("--quiet prints ids on standard output, and --output - the results; leave one out")
    if options.output and options.no_key and not options.dry_run:
        for path in (options.output, part_of(options.output)):
            if Path(path).is_file():
                raise UsageError(
                    f"{path} is there already: have its rows been started? They have no keys, and would be started "
                    "again. If that is meant, give another --output"
                )


def _check_files(source: Source, options: Options, journal: str | None) -> None:
    """Refuses files that are one by several names, before anything is opened for writing."""
    files: dict[str, str | int] = {"the input": 0 if source.path is None else str(source.path)}
    with suppress(OSError, ValueError):
        files["standard output"] = sys.stdout.fileno()
    files |= places_of("--output", options.output) | places_of("--rejects", options.rejects)
    if journal and "://" not in journal:
        files |= {"the journal": journal} | {f"the journal's {end}": f"{journal}{end}" for end in ("-wal", "-shm")}
    check_distinct(files)


def _results(session: Session, options: Options) -> Results | None:
    if not options.output:
        return None
    written_as = format_of_results(options.output, as_json=session.output.as_json)
    return None if options.dry_run else Results(options.output, FIELDS, written_as)


# --- the journal ----------------------------------------------------------------------------------------------------


def _place_of_journal(source: Source, options: Options) -> str | None:
    """Where the journal of this run is: where options or the environment say, else beside the input."""
    given = options.journal or os.environ.get("PROCESSMAKER_JOURNAL", "").strip()
    if given:
        return journal_place(given)
    is_pipe = source.path is None or (source.path.exists() and not source.is_file)
    if is_pipe and not options.dry_run:
        raise UsageError(
            f"rows from {source.name} have no place for a journal beside them: give --journal FILE, with which the "
            "same rows can be given again, or --journal none"
        )
    return None if is_pipe else f"{source.path}.journal"


@contextmanager
def _journal(session: Session, place: str | None, options: Options) -> Iterator[SQLiteJournal | RedisJournal | None]:
    """Opens the journal. If this made its file, and nothing was recorded in it, removes it afterwards."""
    if place is None:
        yield None
        return
    made = "://" not in place and not Path(place).exists()
    journal = session.journal(place, **({} if options.lease is None else {"lease": options.lease}))
    try:
        yield journal
    finally:
        journal.close()
        if made:
            _remove_if_empty(place)


def _remove_if_empty(place: str) -> None:
    """Removes a journal's file in which nothing is recorded, unless another process uses it."""
    with suppress(sqlite3.Error, OSError), closing(sqlite3.connect(place, timeout=0, isolation_level=None)) as db:
        if _is_empty(db):
            db.execute("PRAGMA journal_mode = DELETE")  # an error if it is open elsewhere
            db.execute("BEGIN EXCLUSIVE")
            if _is_empty(db):
                Path(place).unlink()


def _is_empty(db: sqlite3.Connection) -> bool:
    tables = db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    return not any(db.execute(f'SELECT EXISTS (SELECT 1 FROM "{table}")').fetchone()[0] for (table,) in tables)


# --- the run --------------------------------------------------------------------------------------------------------


@define
class _Stopped(Exception):
    """A signal came while a row was awaited."""


class Run:
    """One run over the rows of a file.

    Args:
        session: what the command works with.
        source: where the rows are from.
        options: what was typed.
        reader: the rows.
        report: gets what is wrong with them, and what became of them.
    """

    def __init__(self, session: Session, source: Source, options: Options, reader: Reader, report: Report) -> None:
        self._session = session
        self._source = source
        self._options = options
        self._reader = reader
        self._report = report
        self._counts = Counts()
        self._failed_in_sequence = 0
        self._sent = False
        self._signal: int | None = None
        self._awaits_row = False
        self._gave_up: Exception | None = None
        self._outcomes: Outcomes[Row] | None = None

    def start(self, journal: SQLiteJournal | RedisJournal | None) -> int:
        """Starts the rows. Returns the exit code.

        Raises:
            ProcessMakerError: no row could be started, such as because the process does not exist.
        """
        options, session = self._options, self._session
        given: dict[str, Any] = {
            "event": options.event,
            "concurrency": options.concurrency,
            "look_again_for": options.look_again_for,
            "on_reused_key": options.on_reused_key,
            "fingerprint_without": options.fingerprint_without,
        }
        self._show_interrupted_starts(journal)
        if is_terminal(sys.stderr) and self._source.is_file and not session.output.quiet:
            self._counts.total = self._count_rows()
        pm = session.connect(**session.signed_in(), **({} if journal is None else {"journal": journal}))
        with (
            self._messages(),
            self._stopped_by_signals(),
            progress_of(self._counts, quiet=session.output.quiet) as show,
        ):
            try:
                with session.change(find_command(options.process, None)):
                    self._outcomes = outcomes = pm.start_many(
                        options.process,
                        self._good_rows(),
                        key=(lambda row: row.key) if self._source.keys else None,
                        on_altered_data="ignore",  # the report names them with their lines
                        **{name: value for name, value in given.items() if value is not None},
                    )
                    with outcomes:
                        for outcome in outcomes:
                            self._take(outcome)
                            show()
            except Exception as problem:
                self._gave_up = self._gave_up or problem
            for outcome in self._outcomes.rest if self._outcomes else ():
                self._take(outcome)
        session.changing = False  # what is not known is in the summary
        if self._gave_up and not self._counts.rows:
            raise self._gave_up
        if self._report.results and not self._stopped:
            self._report.results.begin()  # no rows are a result, too
        return self._code()

    def _good_rows(self) -> Iterator[Row]:
        rows = iter(self._reader)
        while (row := self._next_of(rows)) is not None:
            if isinstance(row, BadRow):
                self._reject(row, row.problem)
            else:
                self._sent = True
                yield row

    def _next_of(self, rows: Iterator[Row | BadRow]) -> Row | BadRow | None:
        """The next row; None at their end, and if a signal comes while it is awaited, as that may take long."""
        try:
            self._awaits_row = True
            row = None if self._signal is not None else next(rows, None)
            self._awaits_row = False
        except _Stopped:
            return None
        return row

    def _take(self, outcome: Outcome[Row]) -> None:
        """Counts, shows and writes what became of a row."""
        row, error, request = outcome.row, outcome.error, outcome.request
        self._report.show_altered(row.line, outcome.altered)
        word = _word(outcome)
        too_large = isinstance(error, e.ResponseError) and error.status_code == 413
        if error and (too_large or isinstance(error, _ERRORS_OF_ROW)) and word in ("not_started", "key_reused"):
            self._reject(row, _words(error), outcome.key, word)
            return
        setattr(self._counts, word, getattr(self._counts, word) + 1)
        if request is not None and self._session.output.quiet:
            self._session.output.line(str(request.id))
        held_back = word == "not_started" and self._stopped and getattr(error, "retryable", False)
        said = None if error is None else _words(error)
        if said is not None and not held_back:
            self._report.show_error(row.line, said)
        request_id = request.id if request else getattr(error, "request_id", None)
        self._write(row.line, outcome.key, request_id, word, request.status if request else None, said)
        self._failed_in_sequence = self._failed_in_sequence + 1 if word in ("not_started", "unknown") else 0
        if isinstance(error, _ERRORS_OF_ALL) or self._failed_in_sequence >= GIVE_UP_AFTER:
            self._give_up(error)

    def _reject(self, row: Row | BadRow, words: str, key: str | None = None, word: str = "not_started") -> None:
        setattr(self._counts, word, getattr(self._counts, word) + 1)
        self._report.show_error(row.line, words)
        self._report.reject(row)
        self._write(row.line, key, None, word, None, words)

    def _write(self, *values: Any) -> None:
        self._report.write_result(*values)
        if self._report.problem:
            self._give_up(self._report.problem)

    def _give_up(self, problem: Exception | None) -> None:
        """Starts no further row: it would fare no better."""
        self._gave_up = self._gave_up or problem
        if self._outcomes:
            self._outcomes.stop()

    @property
    def _stopped(self) -> bool:
        """Whether the run ended before the last row."""
        return self._signal is not None or self._gave_up is not None

    def _code(self) -> int:
        counts = self._counts
        if self._signal is not None:
            return TERMINATED if self._signal == signal.SIGTERM else INTERRUPTED
        if counts.unknown:
            return OUTCOME_UNKNOWN
        if self._gave_up is not None:
            known = isinstance(self._gave_up, e.ProcessMakerError)
            return exit_code(self._gave_up, changes=False) if known else FAILED
        if counts.key_reused:
            return KEY_REUSED
        return FAILED if counts.failed or counts.not_started else 0

    def _count_rows(self) -> int | None:
        """How many rows the source has, as far as that can be read again."""
        if not self._source.is_file:
            return None
        count = 0
        with suppress(UsageError), self._source.open() as again:
            for _ in again:
                count += 1
        return count

    # --- telling ------------------------------------------------------------------------------------------------------

    def show_summary(self, journal: str | None) -> None:
        """Prints how many rows ended how, and says how to go on."""
        options, counts, output, report = self._options, self._counts, self._session.output, self._report
        if self._stopped and counts.total is None:
            with suppress(KeyboardInterrupt):
                counts.total = self._count_rows()
        in_all = counts.total if self._stopped else None
        facts: dict[str, object] = {
            "rows": counts.rows,
            "of": in_all,
            "started": counts.started,
            "found": counts.found,
            "failed": counts.failed,
            "key_reused": counts.key_reused,
            "not_started": counts.not_started,
            "unknown": counts.unknown,
            "seconds": round(counts.seconds, 1),
            "journal": journal and without_password(journal),
            "results": report.results and report.results.place,
            "rejects": report.rejects and report.rejects.place,
        }
        if options.output == STDOUT:
            say(counts.words)
        elif output.as_json:
            output.row(facts)
        elif not output.quiet and (counts.rows or not self._stopped):
            if in_all:
                facts["rows"] = f"{counts.rows:,} of {in_all:,}"
            took = f"{duration(counts.seconds)} ({counts.rate:,.0f}/s)"
            facts |= {"of": None, "key_reused": counts.key_reused or None, "seconds": took}
            output.facts({"took" if name == "seconds" else name: fact for name, fact in facts.items()}, quietly="")
        report.show_rest(way_out="; --output FILE writes them all")
        self._say_how_to_go_on()

    def _say_how_to_go_on(self) -> None:
        counts, keyed = self._counts, bool(self._source.keys)
        again = (
            "run the same command again: what is started is found, and the rest is started"
            if keyed
            else "the rows have no keys: the same command would start all of them again; leave out those that were done"
        )
        if self._signal is not None and not (counts.started or counts.failed or counts.unknown):
            say("stopped; nothing was sent")
        elif self._signal is not None:
            say(f"stopped, and nothing is in flight. To go on, {again}")
        elif self._gave_up is not None:
            say(f"gave up: {_words(self._gave_up)} To go on, once that is mended, {again}")
        elif counts.unknown and keyed:
            say(f"what became of {counts.unknown:,} rows is not known. To find out, {again}")
        elif counts.unknown:
            say(
                f"what became of {counts.unknown:,} rows is not known, and they have no keys: look with "
                f"{find_command(self._options.process, None)}"
            )

    def _show_interrupted_starts(self, journal: SQLiteJournal | RedisJournal | None) -> None:
        """Says what an earlier run left open when it was killed. In Redis that would cost a look at all keys."""
        from ..journal import SQLiteJournal

        if not isinstance(journal, SQLiteJournal):
            return
        if sending := sum(1 for entry in journal.entries() if entry.state in ("sending", "unknown")):
            say(
                f"{sending:,} starts were being sent when an earlier run ended: each is looked for, and sent again "
                f"only if the server does not show it within {journal.lease:g} s of that (--lease); the others go on"
            )

    @contextmanager
    def _messages(self) -> Iterator[None]:
        """Shows warnings as those of rows, and what the library logs only with --debug."""
        log = logging.getLogger("processmaker")
        before = log.level, warnings.showwarning
        if not self._session.settings.debug:
            log.setLevel(logging.CRITICAL)
        warnings.showwarning = lambda message, *_, **__: self._report.show_warning(str(message))
        try:
            yield
        finally:
            log.setLevel(before[0])
            warnings.showwarning = before[1]

    def _stopped_by_signals(self) -> AbstractContextManager[None]:
        """The first Ctrl-C or SIGTERM finishes what is in flight, the second ends at once."""

        def stop(number: int, _: Any) -> None:
            if self._signal is not None:
                with suppress(Exception):
                    self._show_cursor()
                os._exit(128 + number)  # what is in flight is in the journal
            self._signal = number
            if self._outcomes:
                self._outcomes.stop()
            with suppress(RuntimeError):  # it may come while something is being written there
                if self._sent:
                    say("finishing what is in flight; once more ends at once")
            if self._awaits_row:
                raise _Stopped

        return signals_handled(signal.SIGINT, signal.SIGTERM, by=stop)

    @staticmethod
    def _show_cursor() -> None:
        """The bar hides it."""
        if is_terminal(sys.stderr):
            os.write(sys.stderr.fileno(), b"\x1b[?25h")


def _word(outcome: Outcome[Row]) -> str:
    """What became of a row, in one word: the outcome in the results, and the name of its count."""
    error = outcome.error
    if error is None:
        return "found" if outcome.request is not None and outcome.request.created is False else "started"
    if isinstance(error, e.IdempotencyKeyReused):
        return "key_reused"
    if outcome.started:
        return "failed"
    # Whether an earlier run started it may be unknown; this one has sent nothing.
    nothing_sent = outcome.started is False or getattr(error, "processed", None) is False
    return "not_started" if nothing_sent else "unknown"


def _words(error: Exception) -> str:
    if isinstance(error, e.IdempotencyKeyReused):
        return (
            f"the key {error.idempotency_key} is that of Request {error.existing.id}, which has other data; the row "
            "was not sent"
        )
    if isinstance(error, e.ProcessMakerError):
        return e.sentence(message_of(error))
    if isinstance(error, OSError):
        return f"{error.filename or 'a file'}: {error.strerror or error}."
    return f"{type(error).__name__}: {error}."
