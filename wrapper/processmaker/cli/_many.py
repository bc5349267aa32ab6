"""Starts a Request for each row of a file, so that the same command run again goes on where it stopped."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from attrs import define, field, frozen

from .. import errors as e
from . import _options
from ._app import argument, command
from ._check import DryRun
from ._exits import (
    DONE,
    FAILED,
    KEY_REUSED,
    OUTCOME_UNKNOWN,
    UsageError,
    exit_code,
    find_command,
    signals_handled,
)
from ._files import STDOUT, LineFile, check_distinct, is_replaceable, part_of, places_of
from ._output import say
from ._params import COUNT, SECONDS, Parsed, Words
from ._progress import Counts, duration, progress_of
from ._report import FIELDS, Report
from ._rows import JSON_SUFFIXES, TYPES, Reader, Row, Source
from ._session import Session, journal_place, without_password

if TYPE_CHECKING:
    from .. import Outcome, Outcomes, ProcessMaker
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
    if text == "tab":
        return "\t"
    if len(text) != 1 or text in '"\r\n':
        raise ValueError
    return text


COLUMN_TYPE = Parsed("column=type", _column_type, "COLUMN=TYPE, with str, int, float, bool or json as the type")
DELIMITER = Parsed("char", _delimiter, "one character, or the word tab")
REUSED_KEY = Words("error", "warn", "ignore")
PATH = click.Path()


@frozen(kw_only=True)
class Options(Source):
    """What was typed: where the rows come from, and what to do with them."""

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
    lease: float
    look_again_for: float


@command(
    "start-many",
    changes=True,
    examples='processmaker start-many "Leave Request" rows.csv --key order --type days=int\n'
    "processmaker start-many 2 rows.jsonl --key order --output results.csv\n"
    "processmaker start-many 2 rows.csv --key order --dry-run --rejects mend.csv\n"
    "make-rows | processmaker start-many 2 - --key order --journal starts.db",
)
@_options.process
@argument("file", type=PATH, metavar="FILE", help="The rows, CSV or JSON lines; - for standard input.")
@click.option("--key-column", "--key", "keys", multiple=True, metavar="COLUMN", help="Has the keys; may be repeated.")
@click.option("--key-prefix", default="", metavar="TEXT", help="What every key begins with, such as june-.")
@click.option("--no-key", is_flag=True, help="Start without keys; a rerun starts all rows.")
@_options.event
@click.option("--concurrency", type=COUNT, default=8, help="Starts at a time (default: 8).")
@click.option("--type", "types", type=COLUMN_TYPE, multiple=True, help="int, float, bool, json.")
@click.option("--decimal", type=click.Choice([".", ","]), default=".", help="Of floats in CSV (default: a point).")
@click.option("--delimiter", type=DELIMITER, help="Of CSV (default: as in the first line).")
@click.option("--encoding", default="utf-8", metavar="NAME", help="Of FILE, such as cp1252 (default: UTF-8).")
@click.option("--output", type=PATH, metavar="FILE", help="Write what became of each row (.csv, .jsonl).")
@click.option("--rejects", type=PATH, metavar="FILE", help="Write the rows that cannot be sent.")
@click.option("--dry-run", is_flag=True, help="Check and describe the rows; send nothing.")
@click.option("--on-reused-key", type=REUSED_KEY, default="error", help="If a key has other data (default: error).")
@click.option("--fingerprint-without", multiple=True, metavar="COLUMN", help="May differ if a row is sent again.")
@click.option("--journal", metavar="FILE|URL", help="Default: FILE.journal; the word none for none.")
@click.option("--lease", type=SECONDS, default=90.0, help="How long a killed run holds keys (default: 90).")
@click.option("--look-again-for", type=SECONDS, default=15.0, help="Look so long for a lost start (default: 15).")
def start_many(session: Session, **given: Any) -> None:
    """Start a Request for each row of a file, once.

    Run the same command again to go on after Ctrl-C, a crash or kill -9: a journal beside the input knows what was
    started. A row of CSV has strings, unless --type says otherwise, and null for empty cells.
    """
    options = Options(**given)
    _check_options(options)
    journal = _place_of_journal(options)
    _check_files(options, journal)
    with ExitStack() as stack:
        reader = stack.enter_context(options.open())
        results_as_json = _is_json(options, session)
        head = "" if results_as_json else ",".join(FIELDS) + "\n"
        results = rejects = None
        if options.output and not options.dry_run:
            results = stack.enter_context(closing(LineFile(options.output, head)))
        if options.rejects:
            rejects = stack.enter_context(closing(LineFile(options.rejects, reader.head, options.encoding)))
        report = Report(options.name, results, rejects, as_json=results_as_json)
        work: DryRun | Run
        if options.dry_run:
            work = DryRun(session.output, reader, report, options.fingerprint_without, options.on_reused_key)
        else:
            work = Run(session, options, reader, report, journal)
        code = work.run()
    work.show_summary()
    if code:
        raise SystemExit(code)


def _check_options(options: Options) -> None:
    """Refuse what cannot work, or would start rows twice, before anything is read or written."""
    if bool(options.keys) is options.no_key:
        raise UsageError(
            "say with --key-column which column has the idempotency keys, such as an order number: with them the same "
            "command can be run again, and starts no row twice. Else give --no-key: a row whose answer gets lost stays "
            "unknown, and another run starts all rows again"
        )
    if options.no_key and (options.key_prefix or options.journal):
        raise UsageError("--key-prefix and --journal are about keys; leave them out, or give --key-column")
    if options.rejects == STDOUT:
        raise UsageError("--rejects needs the name of a file")
    if options.output and options.no_key and not options.dry_run:
        for path in (options.output, part_of(options.output)):
            if Path(path).is_file():
                raise UsageError(
                    f"{path} is there already: have its rows been started? They have no keys, and would be started "
                    "again. If that is meant, give another --output"
                )


def _check_files(options: Options, journal: str | None) -> None:
    """Refuse files that are one by several names, before anything is opened for writing."""
    files: dict[str, str | int] = {"the input": 0 if options.file == "-" else options.file}
    with suppress(OSError, ValueError):
        files["standard output"] = sys.stdout.fileno()
    files |= places_of("--output", options.output) | places_of("--rejects", options.rejects)
    if journal and "://" not in journal:
        files |= {"the journal": journal} | {f"the journal's {end}": f"{journal}{end}" for end in ("-wal", "-shm")}
    check_distinct(files)


def _is_json(options: Options, session: Session) -> bool:
    """Return whether the results are JSON lines, as the suffix of their file says; what has none, as --json says.

    Raises:
        UsageError: the suffix is another one.
    """
    suffix = Path(options.output or STDOUT).suffix.lower()
    if suffix in (".csv", *JSON_SUFFIXES):
        return suffix != ".csv"
    if options.output and is_replaceable(options.output):
        raise UsageError(f"{options.output} is neither .csv nor .jsonl")
    return session.output.as_json


# --- the journal ----------------------------------------------------------------------------------------------------


def _place_of_journal(options: Options) -> str | None:
    """Return where the journal of this run is: where the options or the environment say, else beside the input."""
    if options.no_key:
        return None
    if options.journal or os.environ.get("PROCESSMAKER_JOURNAL", "").strip():
        return journal_place(options.journal)
    if not options.is_pipe:
        return f"{options.file}.journal"
    if options.dry_run:
        return None
    raise UsageError(
        f"rows from {options.name} have no place for a journal beside them: give --journal FILE, with which the same "
        "rows can be given again, or --journal none"
    )


@contextmanager
def _open_journal(session: Session, place: str, lease: float) -> Iterator[SQLiteJournal | RedisJournal]:
    """Open the journal. If this makes its file, and nothing is recorded in it, remove it afterwards."""
    is_new = "://" not in place and not Path(place).exists()
    journal = session.journal(place, lease=lease)
    try:
        yield journal
    finally:
        journal.close()
        if is_new:
            _remove_if_empty(place)


def _remove_if_empty(place: str) -> None:
    """Remove a journal's file in which nothing is recorded, unless another process uses it."""
    with suppress(sqlite3.Error, OSError), closing(sqlite3.connect(place, timeout=0, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = DELETE")  # an error if it is open elsewhere
        db.execute("BEGIN EXCLUSIVE")
        if db.execute("SELECT count(*) FROM entries").fetchone() == (0,):
            Path(place).unlink()


# --- the run --------------------------------------------------------------------------------------------------------


@define
class Run:
    """One run over the rows of a file.

    Args:
        session: what the command works with.
        options: what was typed.
        reader: the rows.
        report: gets what is wrong with them, and what became of them.
        journal: the place of the journal.
    """

    _session: Session
    _options: Options
    _reader: Reader
    _report: Report
    _journal: str | None
    _counts: Counts = field(factory=Counts, init=False)
    _failed_in_sequence: int = field(default=0, init=False)
    _signal: int | None = field(default=None, init=False)
    _awaits_row: bool = field(default=False, init=False)
    _gave_up: Exception | None = field(default=None, init=False)
    _outcomes: Outcomes[Row] | None = field(default=None, init=False)

    def run(self) -> int:
        """Start the rows. Return the exit code.

        Raises:
            ProcessMakerError: no row could be started, such as because the process does not exist.
        """
        session, counts = self._session, self._counts
        # What is lost is told with --quiet, too, and with the lines of the rows. The command restores both settings.
        warnings.showwarning = lambda message, *_, **__: self._report.show_warning(str(message))
        if not session.settings.debug:
            logging.getLogger("processmaker").setLevel(logging.CRITICAL)
        counts.total = self._count_rows()
        with ExitStack() as stack:
            journal = None
            if self._journal:
                journal = stack.enter_context(_open_journal(session, self._journal, self._options.lease))
            pm = session.connect(**session.signed_in(), journal=journal)
            stack.enter_context(signals_handled(signal.SIGINT, signal.SIGTERM, by=self._stop))
            show = stack.enter_context(progress_of(counts, quiet=session.output.quiet))
            try:
                self._outcomes = self._start_many(pm)
                with self._outcomes:
                    for outcome in self._outcomes:
                        self._take(outcome)
                        show()
            except Exception as problem:
                self._gave_up = self._gave_up or problem
            for outcome in self._outcomes.rest if self._outcomes else ():
                self._take(outcome)
        if self._gave_up and not counts.rows:
            raise self._gave_up
        session.changed = True
        if self._report.results and not self._stopped:
            self._report.results.begin()  # no rows are a result, too
        return self._code()

    def _start_many(self, pm: ProcessMaker) -> Outcomes[Row]:
        options = self._options
        return pm.start_many(
            options.process,
            self._good_rows(),
            key=(lambda row: row.key) if options.keys else None,
            event=options.event,
            concurrency=options.concurrency,
            look_again_for=options.look_again_for,
            on_altered_data="ignore",  # the report names them with their lines
            on_reused_key=options.on_reused_key,  # type: ignore[arg-type]
            fingerprint_without=options.fingerprint_without,
        )

    def _good_rows(self) -> Iterator[Row]:
        """Yield the rows until a signal comes, also while a row is awaited: that may take long."""
        from .. import Outcome

        rows = iter(self._reader)
        while self._signal is None:
            try:
                self._awaits_row = True
                row = next(rows, None)
            except KeyboardInterrupt:
                return
            finally:
                self._awaits_row = False
            if row is None:
                return
            if row.problem:
                self._take(Outcome(number=0, row=row, error=e.InvalidData(row.problem), started=False))
            else:
                yield row

    def _take(self, outcome: Outcome[Row]) -> None:
        """Count, show and write what became of a row."""
        row, error, request = outcome.row, outcome.error, outcome.request
        word, words = _word(outcome), _words(error) if error else None
        self._counts.of[word] += 1
        self._report.show_altered(row, outcome.altered)
        if words and not (word == "not_started" and self._stopped):
            self._report.show_error(row, words)
        if request is not None and self._session.output.quiet and self._options.output != STDOUT:
            self._session.output.line(str(request.id))
        request_id = request.id if request else getattr(error, "request_id", None)
        status = request.status if request else None
        self._report.write_result(row.line, outcome.key, request_id, word, status, words)
        if _is_of_row(error):
            self._report.reject(row)
        elif word in ("not_started", "unknown"):
            self._failed_in_sequence += 1
        else:
            self._failed_in_sequence = 0
        if isinstance(error, _ERRORS_OF_ALL) or self._failed_in_sequence >= GIVE_UP_AFTER:
            self._give_up(error)
        elif self._report.problem:
            self._give_up(self._report.problem)

    def _give_up(self, problem: Exception | None) -> None:
        """Start no further row: it would fare no better."""
        self._gave_up = self._gave_up or problem
        if self._outcomes:
            self._outcomes.stop()

    def _stop(self, number: int, _: Any) -> None:
        """Finish what is in flight after the first signal. End at once after the second."""
        if self._signal is not None:
            os._exit(128 + number)  # what is in flight is in the journal
        self._signal = number
        if self._outcomes:
            self._outcomes.stop()
        with suppress(RuntimeError):  # it may come while something is being written there
            say("finishing what is in flight; once more ends at once")
        if self._awaits_row:
            raise KeyboardInterrupt

    @property
    def _stopped(self) -> bool:
        """Whether the run ended before the last row."""
        return self._signal is not None or self._gave_up is not None

    def _code(self) -> int:
        of = self._counts.of
        if self._signal is not None:
            return 128 + self._signal
        if of["unknown"]:
            return OUTCOME_UNKNOWN
        if self._gave_up is not None:
            return exit_code(self._gave_up, changes=False)
        if of["key_reused"]:
            return KEY_REUSED
        return FAILED if of["failed"] or of["not_started"] else DONE

    def _count_rows(self) -> int | None:
        """Return how many rows the source has, as far as it can be read again."""
        if self._options.is_pipe:
            return None
        count = 0
        with suppress(UsageError), self._options.open() as again:
            for _ in again:
                count += 1
        return count

    # --- telling ------------------------------------------------------------------------------------------------------

    def show_summary(self) -> None:
        """Print how many rows ended how, and say how to go on."""
        counts, output, report = self._counts, self._session.output, self._report
        in_all = counts.total if self._stopped else None
        places = {
            "journal": self._journal and without_password(self._journal),
            "results": report.results and report.results.place,
            "rejects": report.rejects and report.rejects.place,
        }
        if self._options.output == STDOUT:
            say(counts.words)
        elif output.as_json:
            output.row({"rows": counts.rows, "of": in_all, **counts.of, "seconds": round(counts.seconds, 1), **places})
        elif not output.quiet and (counts.rows or not self._stopped):
            facts: dict[str, object] = {"rows": f"{counts.rows:,} of {in_all:,}" if in_all else counts.rows}
            facts |= counts.of | {"key_reused": counts.of["key_reused"] or None}
            facts["took"] = f"{duration(counts.seconds)} ({counts.rate:,.0f}/s)"
            output.facts(facts | places, quietly="")
        report.show_rest()
        self._say_how_to_go_on()

    def _say_how_to_go_on(self) -> None:
        of, keyed = self._counts.of, bool(self._options.keys)
        again = "run the same command again: what is started is found, and the rest is started"
        if not keyed:
            look = find_command(self._options.process, None)
            again = f"look with {look}: the rows have no keys, and the same command would start all of them again"
        if self._signal is not None and not (of["started"] or of["failed"] or of["unknown"]):
            say("stopped; nothing was sent")
        elif self._signal is not None:
            say(f"stopped, and nothing is in flight. To go on, {again}")
        elif self._gave_up is not None:
            say(f"gave up: {_words(self._gave_up)} To go on, once that is mended, {again}")
        elif of["unknown"]:
            say(f"what became of {of['unknown']:,} rows is not known. To find out, {again}")


def _word(outcome: Outcome[Row]) -> str:
    """Return what became of a row, in one word: the outcome in the results, and the name of its count."""
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


def _is_of_row(error: Exception | None) -> bool:
    """Return whether something is wrong with the row itself, so that it can be mended."""
    too_large = isinstance(error, e.ResponseError) and error.status_code == 413
    return too_large or isinstance(error, _ERRORS_OF_ROW)


def _words(error: Exception) -> str:
    if isinstance(error, e.ProcessMakerError):
        return e.sentence(error.message)
    return f"{type(error).__name__}: {error}."
