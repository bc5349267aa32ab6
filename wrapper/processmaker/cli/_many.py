"""Starting a Request for each row of a file, so that the same command run again goes on where it stopped."""

from __future__ import annotations

import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import errors as e
from . import _journal, _output
from ._exits import FAILED, INTERRUPTED, OUTCOME_UNKNOWN, TERMINATED, UsageError, exit_code, explained, in_options
from ._parser import Argument, Command, count, id_or_name, seconds
from ._progress import Counts, duration, shown
from ._requests import PROCESS
from ._rows import BadRow, Reader, Rejects, Results, Row, Source, column_type, written_as
from ._session import Session
from ._settings import signed_in

if TYPE_CHECKING:
    from .. import Outcome, Outcomes
    from ..journal import RedisJournal, SQLiteJournal

TOLD_AT_MOST = 20
"""Rows that went wrong, and those that the server would alter, of which a line each is shown."""

GIVE_UP_AFTER = 100
"""Rows one after the other that the server, or the way to it, refused; the rest would fare no better."""

FIELDS = ("line", "key", "request_id", "outcome", "status", "error")
"""Of the results file."""

_OF_THE_ROW = (e.InvalidData, e.ValidationFailed, e.PayloadTooLarge)
"""What is wrong with a row itself, which can be mended."""

_OF_NO_ROW = (e.Unauthorized, e.SignInError)
"""What the next row would fare no better with."""


def start_many(session: Session) -> None:
    options = session.options
    path = None if options.file == "-" else Path(options.file)
    source = Source(
        path=path,
        format=options.format,
        encoding=options.encoding,
        delimiter={"tab": "\t"}.get(options.delimiter, options.delimiter),
        types=dict(options.type),
    )
    _check(options, path)
    with ExitStack() as stack:
        reader = stack.enter_context(source.open())
        if options.key_column is not None and reader.format == "csv" and options.key_column not in reader.columns:
            raise UsageError(f"{source.name} has no column {options.key_column!r}; it has: {', '.join(reader.columns)}")
        this = Run(session, source, reader)
        if options.dry_run:
            this.rejects = _closed(stack, Rejects(Path(options.rejects), reader)) if options.rejects else None
            this.check()
        else:
            journal = _journal_of(session, source)
            options.journal = _journal.NONE  # it is opened here
            pm = session.connect(**signed_in(options, os.environ), **({} if journal is None else {"journal": journal}))
            this.results = _closed(stack, Results(Path(options.output), FIELDS)) if options.output else None
            this.rejects = _closed(stack, Rejects(Path(options.rejects), reader)) if options.rejects else None
            this.start(pm)
        code = this.code
    this.summary()
    if code:
        raise SystemExit(code)


def _closed(stack: ExitStack, file: Any) -> Any:
    stack.callback(file.close)
    return file


def _check(options: Any, path: Path | None) -> None:
    """Refuses what cannot work, or would start rows twice, before anything is read or written."""
    if (options.key_column is None) != options.no_key:
        if options.no_key:
            raise UsageError("give either --key-column or --no-key")
        raise UsageError(
            "say with --key-column which column has the idempotency keys, such as an order number: with them the same "
            "command can be run again, and starts no row twice. Without keys, --no-key: a row whose answer gets lost "
            "stays unknown, and another run starts all rows again"
        )
    given = [Path(name).absolute() for name in (path, options.output, options.rejects) if name is not None]
    if len(set(given)) < len(given):
        raise UsageError("the input, --output and --rejects have to be files of their own")
    if not options.concurrency:
        raise UsageError("--concurrency is a number of starts at a time, from 1")
    if options.no_key and options.journal:
        raise UsageError("a journal is of keys; leave --journal out, or give --key-column")
    if options.output:
        written_as(Path(options.output))
        if options.no_key and not options.dry_run and Path(options.output).exists():
            raise UsageError(
                f"{options.output} is there already: have its rows been started? They have no keys, and would be "
                "started again. If that is meant, give another --output"
            )


def _journal_of(session: Session, source: Source) -> SQLiteJournal | RedisJournal | None:
    """The journal of this run: the one that was named, else a file beside the input."""
    options = session.options
    where = None if options.no_key else _journal.place(options.journal, os.environ)
    if where is None and not options.no_key:
        if not source.lasts:
            raise UsageError(
                f"rows from {source.name} have no place for a journal beside them: give --journal FILE, with which the "
                "same rows can be given again, or --journal none"
            )
        where = f"{source.path}.journal"
    options.journal_place = None if where == _journal.NONE else where
    if options.journal_place is None:
        return None
    lease = {} if options.lease is None else {"lease": options.lease}
    return session.journal(options.journal_place, **lease)


class Run:
    """One run over the rows of a file.

    Attributes:
        code: the exit code.
    """

    def __init__(self, session: Session, source: Source, reader: Reader) -> None:
        self.code = 0
        self.results: Results | None = None
        self.rejects: Rejects | None = None
        self._session = session
        self._options = session.options
        self._source = source
        self._reader = reader
        self._counts = Counts()
        self._told = 0
        self._altered = 0
        self._repeated = 0
        self._in_a_row = 0
        self._signal: int | None = None
        self._reading = False
        self._ended: Exception | None = None
        self._done: Callable[[], None] = lambda: None
        self._outcomes: Outcomes | None = None

    # --- starting -----------------------------------------------------------------------------------------------------

    def start(self, pm: Any) -> None:
        options = self._options
        self._tell_of_those_before(pm)
        if _output.is_terminal(sys.stderr) and self._source.lasts and not options.quiet:
            with self._source.open() as again:
                self._counts.total = sum(1 for _ in again)
        more = {} if options.look_again_for is None else {"look_again_for": options.look_again_for}
        self._outcomes = outcomes = pm.start_many(
            id_or_name(options.process),
            self._good_rows(),
            key=options.key_column,
            event=options.event,
            concurrency=options.concurrency,
            on_altered_data="ignore",  # told here, with the line
            **more,
        )
        with self._few_messages(), self._stopped_by_signals(), shown(self._counts, quiet=options.quiet) as self._done:
            try:
                with outcomes:
                    for outcome in outcomes:
                        self._take(outcome)
            except Exception as problem:
                self._ended = problem
            for outcome in outcomes.rest:
                self._take(outcome)
        self.code = self._code()

    def _good_rows(self) -> Iterator[Row]:
        rows = iter(self._reader)
        while (row := self._next_of(rows)) is not None:
            if isinstance(row, BadRow):
                self._bad(row.line, row.text, row.problem)
                self._done()
            else:
                self._look_for_alterations(row)
                yield row

    def _next_of(self, rows: Iterator[Row | BadRow]) -> Row | BadRow | None:
        """The next row; None at their end, and where a signal comes while it is awaited: that may take long."""
        try:
            self._reading = True
            row = None if self._signal is not None else next(rows, None)
            self._reading = False
        except _Stopped:
            return None
        return row

    def _take(self, outcome: Outcome) -> None:
        """Counts, tells and writes what became of a row."""
        row, error, request = outcome.row, outcome.error, outcome.request
        counts = self._counts
        said = None if error is None else self._words(error)
        if isinstance(error, _OF_THE_ROW) and outcome.started is False:
            self._bad(row.line, row.text, str(said), outcome.key)
            self._done()
            return
        held_back = outcome.started is False and self._stopping and getattr(error, "retryable", False)
        if error is None:
            found = request is not None and request.created is False
            word = "found" if found else "started"
        elif outcome.started:
            word = "failed"
        else:
            word = "unknown" if outcome.started is None else "not_started"
        setattr(counts, word, getattr(counts, word) + 1)
        if request is not None and self._session.output.quiet:
            self._session.output.line(str(request.id))
        if said is not None and not held_back:
            self._tell(row.line, said)
        request_id = request.id if request else getattr(error, "request_id", None)
        self._write(row.line, outcome.key, request_id, word, request.status if request else None, said)
        self._in_a_row = self._in_a_row + 1 if word in ("not_started", "unknown") else 0
        if isinstance(error, _OF_NO_ROW) or self._in_a_row >= GIVE_UP_AFTER:
            self._give_up(error)
        self._done()

    def _bad(self, line: int, text: str, problem: str, key: str | None = None) -> None:
        self._counts.not_started += 1
        self._tell(line, problem)
        if self.rejects:
            self.rejects.add(text)
            if self.rejects.problem:
                self._give_up(self.rejects.problem)
        self._write(line, key, None, "not_started", None, problem)

    def _write(self, *values: Any) -> None:
        if self.results:
            self.results.add(dict(zip(FIELDS, values, strict=True)))
            if self.results.problem:
                self._give_up(self.results.problem)

    def _give_up(self, problem: Exception | None) -> None:
        """Starts nothing more: the other rows would fare no better."""
        self._ended = self._ended or problem
        if self._outcomes:
            self._outcomes.stop()

    @property
    def _stopping(self) -> bool:
        return self._signal is not None or self._ended is not None

    def _code(self) -> int:
        counts = self._counts
        if self._signal is not None:
            return TERMINATED if self._signal == signal.SIGTERM else INTERRUPTED
        if counts.unknown:
            return OUTCOME_UNKNOWN
        if self._ended is not None:
            return exit_code(self._ended, changes=False) if isinstance(self._ended, e.ProcessMakerError) else FAILED
        return FAILED if counts.failed or counts.not_started else 0

    # --- checking -----------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Checks every row, and sends nothing."""
        from ..data import check_data
        from ..many import key_of_row

        column = self._options.key_column
        with shown(self._counts, quiet=self._options.quiet) as self._done, _Seen() as seen:
            for row in self._good_rows():
                key = None
                try:
                    check_data(row)
                    if column is not None:
                        key = key_of_row(row, column)
                except e.InvalidData as error:
                    self._bad(row.line, row.text, self._words(error))
                    continue
                self._counts.found += 1  # fit to be sent
                if key is not None and (before := seen.before(key, row.line)):
                    self._repeated += 1
                    self._tell(row.line, f"the key {key} is that of line {before}, too: one Request for both")
                self._done()
        self.code = FAILED if self._counts.not_started else 0

    def _look_for_alterations(self, row: Row) -> None:
        from ..data import alterations, check_data

        try:
            found = alterations(check_data(row))
        except e.InvalidData:
            return  # told when its turn comes
        if found:
            self._altered += 1
            if self._altered <= TOLD_AT_MOST and not self._options.quiet:
                places = "; ".join(alteration.words for alteration in found[:3]) + ("; …" if found[3:] else "")
                self._say(f"{self._source.name}:{row.line}: the server will alter this data: {places}")

    # --- telling ------------------------------------------------------------------------------------------------------

    def summary(self) -> None:
        options, counts, output = self._options, self._counts, self._session.output
        if options.dry_run:
            facts: dict[str, object] = {
                "rows": counts.rows,
                "good": counts.found,
                "bad": counts.not_started,
                "altered": self._altered,
                "repeated keys": self._repeated,
            }
        else:
            facts = {
                "rows": counts.rows,
                "started": counts.started,
                "found": counts.found,
                "failed": counts.failed,
                "not started": counts.not_started,
                "unknown": counts.unknown,
                "seconds": round(counts.seconds, 1) if output.as_json else None,
                "took": None if output.as_json else f"{duration(counts.seconds)} ({counts.rate:,.0f}/s)",
                "journal": options.journal_place and _journal.shown(options.journal_place),
                "results": options.output,
            }
        facts["rejects"] = options.rejects if self.rejects and self.rejects.count else None
        if output.as_json:
            facts.pop("took", None)
            output.row({name.replace(" ", "_"): fact for name, fact in facts.items()})
        elif not output.quiet:
            output.facts(facts, quietly="")
        if self._told > TOLD_AT_MOST:
            where = f"; {options.output} has them all" if self.results else "; --output FILE writes them all"
            self._say(f"{self._told - TOLD_AT_MOST:,} more rows with errors are not shown{where}")
        if not options.dry_run:
            self._how_to_go_on()

    def _how_to_go_on(self) -> None:
        counts, keyed = self._counts, self._options.key_column is not None
        again = (
            "run the same command again: what is started is found, and the rest is started"
            if keyed
            else "the rows have no keys: the same command would start all of them again; leave out those that were done"
        )
        if self._signal is not None:
            self._say(f"stopped, and nothing is in flight. To go on, {again}")
        elif self._ended is not None:
            self._say(f"gave up: {self._words(self._ended)} To go on, once that is mended, {again}")
        elif counts.unknown and keyed:
            self._say(f"what became of {counts.unknown:,} rows is not known. To find out, {again}")
        elif counts.unknown:
            self._say(
                f"what became of {counts.unknown:,} rows is not known, and they have no keys: look with "
                f"processmaker requests --process {self._options.process} --since 1h"
            )

    def _words(self, error: Exception) -> str:
        if isinstance(error, e.StartOutcomeUnknown):
            return in_options(str(error))
        if isinstance(error, e.ProcessMakerError):
            return e.sentence(explained(error))
        if isinstance(error, OSError):
            return f"{error.filename or 'a file'}: {error.strerror or error}."
        return f"{type(error).__name__}: {error}."

    def _tell(self, line: int, words: str) -> None:
        self._told += 1
        if self._told <= TOLD_AT_MOST:
            self._say(f"{self._source.name}:{line}: {words}")

    def _say(self, words: str) -> None:
        _output.say(words)

    def _tell_of_those_before(self, pm: Any) -> None:
        """Says what an earlier run, which was killed, left open. In Redis that would cost a look at all keys."""
        journal = pm._io.journal
        if journal is None or "://" in self._options.journal_place or self._options.quiet:
            return
        if open_ := sum(1 for _ in journal.entries()):
            self._say(
                f"{open_:,} starts were being sent when an earlier run ended: each is looked for, and sent again only "
                f"where the server does not show it within {journal.lease:g} s of that (--lease); the others go on"
            )

    @contextmanager
    def _few_messages(self) -> Iterator[None]:
        """Warnings are of rows, and are told like those; of what is tried again only --debug tells."""
        log = logging.getLogger("processmaker")
        before = log.level, warnings.showwarning

        def show(message: Warning | str, *_: object, **__: object) -> None:
            self._told += 1
            if self._told <= TOLD_AT_MOST and not self._options.quiet:
                self._say(f"warning: {in_options(str(message))}")

        if not self._options.debug:
            log.setLevel(logging.CRITICAL)
        warnings.showwarning = show
        try:
            yield
        finally:
            log.setLevel(before[0])
            warnings.showwarning = before[1]

    @contextmanager
    def _stopped_by_signals(self) -> Iterator[None]:
        """The first Ctrl-C or SIGTERM finishes what is in flight, the second ends at once."""

        def stop(number: int, _: Any) -> None:
            if self._signal is not None:
                os._exit(128 + number)  # what is in flight stands in the journal as being sent
            self._signal = number
            if self._outcomes:
                self._outcomes.stop()
            with suppress(RuntimeError):  # it may come while something is being written there
                self._say("finishing what is in flight; once more ends at once")
            if self._reading:
                raise _Stopped

        before: dict[int, Any] = {}
        try:
            for kind in (signal.SIGINT, signal.SIGTERM):
                before[kind] = signal.signal(kind, stop)
        except ValueError:  # not in the main thread
            yield
            return
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler or signal.SIG_DFL)


class _Stopped(Exception):
    """A signal came while a row was awaited."""


class _Seen:
    """Keys, and the lines on which they were first; on disk, as there may be millions."""

    def __init__(self) -> None:
        import sqlite3  # for this only

        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute("CREATE TABLE keys (key TEXT PRIMARY KEY, line INTEGER) WITHOUT ROWID")
        self._db.execute("BEGIN")

    def before(self, key: str, line: int) -> int | None:
        """The line on which this key was before."""
        if self._db.execute("INSERT OR IGNORE INTO keys VALUES (?, ?)", (key, line)).rowcount:
            return None
        return int(self._db.execute("SELECT line FROM keys WHERE key = ?", (key,)).fetchone()[0])

    def __enter__(self) -> _Seen:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()


COMMANDS = (
    Command(
        name="start-many",
        help="start a Request for each row of a file, once",
        example='processmaker start-many "Leave Request" rows.csv --key-column order_id --type days=int\n'
        "processmaker start-many 2 rows.jsonl --key-column order_id --event node_1 --output results.csv\n"
        "processmaker start-many 2 rows.csv --key-column order_id --dry-run --rejects mend.csv\n"
        "make-rows | processmaker start-many 2 - --key-column order_id --journal starts.db",
        more="The same command run again goes on where it stopped, after Ctrl-C, a crash or kill -9: a journal beside "
        "the input (FILE.journal) knows what was started. A row is the data of its Request: of CSV, columns are "
        "strings unless --type says otherwise, and an empty cell is null; of JSON lines, each is an object. The exit "
        "code is 0 where every row is started, 6 where that is not known of some, else 1 where some are not, or have "
        "failed; 130 or 143 where it was stopped.",
        arguments=(
            PROCESS,
            Argument(
                "file",
                metavar="FILE",
                help="the rows, .csv or .jsonl; - for standard input",
                completed="files",
            ),
            Argument("--key-column", metavar="COLUMN", help="the column with each row's idempotency key"),
            Argument(
                "--no-key",
                action="store_true",
                help="start without keys: what gets lost stays unknown, and another run starts all rows again",
            ),
            Argument(
                "--event",
                metavar="EVENT",
                help="the start event's node id or name, where there are several",
                completed="events",
            ),
            Argument("--concurrency", type=count, default=8, metavar="N", help="starts at a time (default: 8)"),
            Argument(
                "--type",
                action="append",
                type=column_type,
                default=[],
                metavar="COLUMN=TYPE",
                help="what the cells of a CSV column are: str (default), int, float, bool or json",
            ),
            Argument("--format", choices=("csv", "jsonl"), help="what the file is (default: by its suffix)"),
            Argument("--delimiter", metavar="CHAR", help="between the cells of CSV (default: a comma); tab for a tab"),
            Argument(
                "--encoding",
                metavar="NAME",
                help="how the file is written, such as cp1252 (default: UTF-8, or what a byte order mark says)",
            ),
            Argument(
                "--output",
                metavar="FILE",
                help="write what became of each row, as it ends, to this .csv or .jsonl: "
                "line, key, request_id, outcome, status, error",
                completed="files",
            ),
            Argument(
                "--rejects",
                metavar="FILE",
                help="write the rows that cannot be sent to this file, to be mended and given again",
                completed="files",
            ),
            Argument(
                "--dry-run",
                action="store_true",
                help="check every row, and what the server would alter; send nothing",
            ),
            Argument(
                "--journal",
                metavar="FILE|URL",
                help="the journal of starts: a file, redis://…, or none (default: PROCESSMAKER_JOURNAL, else "
                "FILE.journal beside the input)",
                completed="files",
            ),
            Argument(
                "--lease",
                type=seconds,
                metavar="SECONDS",
                help="how long what a killed run was sending is waited for, before it may be sent again; longer than "
                "the server works on a start (default: 90)",
            ),
            Argument(
                "--look-again-for",
                type=seconds,
                metavar="SECONDS",
                help="how long a start whose answer got lost is looked for (default: 15)",
            ),
        ),
        run=start_many,
        changes=True,
    ),
)
