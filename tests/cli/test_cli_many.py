"""A Request for each row of a file: `processmaker start-many`."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from command_line import COMMAND, Ended, Run, Terminal, running, wait_until
from processmaker.sandbox import Sandbox
from programs import not_run

CSV = "order,days\norder-1,3\norder-2,4\norder-3,5\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def start(run: Run, folder: Path) -> Any:
    """Runs the command over rows of process 4, written to a file first; their column `order` has the keys."""

    def start(content: str | bytes | None, *options: str, name: str = "rows.csv") -> Ended:
        if content is not None:
            (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
        keys = () if "--no-key" in options else ("--key-column", "order")
        return run("start-many", 4, name, "--event", "node_1", *keys, "--concurrency", 2, *options)

    return start


def sent(sandbox: Sandbox) -> list[dict[str, Any]]:
    """The data of the Requests, in the order of their keys."""
    datas = (
        {name: value for name, value in request.data.items() if not name.startswith("_")}
        for request in sandbox.requests
    )
    return sorted(datas, key=lambda data: str(data.get("order")))


def results(text: str) -> dict[str, dict[str, str]]:
    return {row["line"]: row for row in csv.DictReader(io.StringIO(text))}


# --- once -----------------------------------------------------------------------------------------------------------


def test_each_row_is_started_and_the_same_command_again_finds_them(start: Any, sandbox: Sandbox, folder: Path) -> None:
    ended = start(CSV, "--type", "days=int", "--output", "results.csv")
    assert ended.code == 0
    assert "started      3\n" in ended.out
    assert "journal      rows.csv.journal\n" in ended.out
    assert sent(sandbox) == [{"order": f"order-{n}", "days": n + 2} for n in (1, 2, 3)]
    first = results((folder / "results.csv").read_text())
    again = start(None, "--type", "days=int", "--output", "results.csv", "--json")
    assert (again.code, again.json["found"], again.json["started"]) == (0, 3, 0)
    told = results((folder / "results.csv").read_text())
    assert {line: row["request_id"] for line, row in told.items()} == {
        line: row["request_id"] for line, row in first.items()
    }
    assert {(row["outcome"], row["status"], row["error"]) for row in told.values()} == {("found", "COMPLETED", "")}
    assert len(sandbox.requests) == 3


def test_a_start_whose_answer_is_lost_is_found(start: Any, sandbox: Sandbox) -> None:
    sandbox.fail_next("answer lost", on="POST")
    ended = start(CSV, "--json")
    assert (ended.code, ended.json["started"], len(sandbox.requests)) == (0, 3, 3)


def test_what_stays_unknown_is_code_6_and_says_how_to_go_on(start: Any, sandbox: Sandbox, folder: Path) -> None:
    sandbox.fail_next("lost before", on="POST")
    ended = start(CSV, "--output", "results.jsonl", "--look-again-for", "0")
    assert ended.code == 6
    assert "unknown      1\n" in ended.out
    assert "run the same command again: what is started is found, and the rest is started" in ended.err
    rows = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    assert sorted(row["outcome"] for row in rows) == ["started", "started", "unknown"]


@pytest.mark.parametrize(("name", "content"), [("rows.csv", "order,days\n"), ("rows.jsonl", "")])
def test_no_rows_are_no_error(start: Any, name: str, content: str) -> None:
    ended = start(content, name=name)
    assert (ended.code, ended.err) == (0, "")
    assert "rows         0\n" in ended.out


def test_rows_without_keys_have_to_be_meant(run: Run, start: Any, sandbox: Sandbox, folder: Path) -> None:
    (folder / "rows.csv").write_text(CSV)
    refused = run("start-many", 4, "rows.csv")
    assert (refused.code, sandbox.calls) == (2, [])
    assert "--no-key: a row whose answer gets lost stays unknown" in refused.err
    assert start(CSV, "--no-key", "--output", "results.csv").code == 0
    assert not (folder / "rows.csv.journal").exists()
    again = start(CSV, "--no-key", "--output", "results.csv")
    assert again.code == 2
    assert "results.csv is there already" in again.err
    assert len(sandbox.requests) == 3


def test_rows_from_standard_input_need_a_journal_of_their_own(
    start: Any, sandbox: Sandbox, typed: Any, folder: Path
) -> None:
    typed(CSV)
    refused = start(None, name="-")
    assert refused.code == 2
    assert "have no place for a journal beside them" in refused.err
    assert sandbox.calls == []
    for started in (3, 0):
        typed('{"order": 1}\n{"order": 2}\n\n{"order": 3}\n')
        assert start(None, "--journal", "starts.db", "--json", name="-").json["started"] == started
    assert [data["order"] for data in sent(sandbox)] == [1, 2, 3]
    assert (folder / "starts.db").exists()


def test_the_environment_may_name_the_journal(start: Any, environ: pytest.MonkeyPatch, folder: Path) -> None:
    environ.setenv("PROCESSMAKER_JOURNAL", "shared.db")
    assert start(CSV, "--json").json["journal"] == "shared.db"
    environ.setenv("PROCESSMAKER_JOURNAL", "none")
    assert start(CSV, "--json").json["journal"] is None
    assert not (folder / "rows.csv.journal").exists()


# --- rows that go wrong ---------------------------------------------------------------------------------------------


def test_bad_rows_are_told_with_file_and_line_and_can_be_mended(start: Any, sandbox: Sandbox, folder: Path) -> None:
    rows = 'order,days,note\norder-1,3,"two\nlines"\norder-2,many,\n\n,5,\norder-4,6\norder-5,7,"a"b\norder-6,8,x\n'
    ended = start(rows, "--type", "days=int", "--rejects", "mend.csv", "--output", "results.csv")
    assert ended.code == 1
    assert "rows.csv:4: the cell 'days' is 'many', which is no int.\n" in ended.err
    assert "rows.csv:6: the row has no 'order'" in ended.err
    assert "rows.csv:7: the row has 2 cells, and there are 3 columns.\n" in ended.err
    assert "rows.csv:8: ',' expected after '\"'.\n" in ended.err
    assert [data["order"] for data in sent(sandbox)] == ["order-1", "order-6"]
    assert sent(sandbox)[0]["note"] == "two\nlines"
    assert sorted((folder / "mend.csv").read_text().splitlines()[1:]) == [
        ",5,", "order-2,many,", "order-4,6", 'order-5,7,"a"b',
    ]  # fmt: skip
    told = results((folder / "results.csv").read_text())
    assert {line: row["outcome"] for line, row in told.items()} == {
        "2": "started", "4": "not_started", "6": "not_started", "7": "not_started", "8": "not_started", "9": "started",
    }  # fmt: skip
    mended = (folder / "mend.csv").read_text().replace("many", "4").replace("\n,5", "\norder-3,5")
    mended = mended.replace("order-4,6", "order-4,6,").replace('"a"b', "ab")
    assert start(mended, "--type", "days=int", name="mend.csv").code == 0
    assert [data["order"] for data in sent(sandbox)] == [f"order-{number}" for number in range(1, 7)]


def test_bad_lines_of_json_are_told_and_written_as_they_are(start: Any, sandbox: Sandbox, folder: Path) -> None:
    bad = ["[1]", '{"order": "order-3"', '{"order": "x", "order": "y"}', '{"order": "order-5", "days": NaN}']
    lines = ['{"order": "order-1", "items": [{"a": null}]}', *bad, '{"order": 6}']
    ended = start("\n".join(lines), "--rejects", "mend.jsonl", name="rows.jsonl")
    assert ended.code == 1
    assert (folder / "mend.jsonl").read_text().splitlines() == bad
    assert "rows.jsonl:2: the line is JSON, but not an object" in ended.err
    assert [data["order"] for data in sent(sandbox)] == [6, "order-1"]


def test_ctrl_c_while_the_summary_is_printed_does_not_say_that_nothing_was_sent(
    start: Any, environ: pytest.MonkeyPatch, sandbox: Sandbox
) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    environ.setattr("processmaker.cli._many.Run.show_summary", interrupted)
    ended = start(CSV)
    assert (ended.code, ended.err) == (130, "processmaker: interrupted after it was done\n")
    assert len(sandbox.requests) == 3


def test_no_rejects_no_file(start: Any, folder: Path) -> None:
    assert start(CSV, "--rejects", "mend.csv").code == 0
    assert not (folder / "mend.csv").exists()


def test_a_start_whose_request_fails_is_told_with_its_request(start: Any, run: Run, sandbox: Sandbox) -> None:
    sandbox.add_process("Fails always", id=600, fails_with="no mail server")
    start("order\norder-1\n", "--dry-run")
    ended = run("start-many", "Fails always", "rows.csv", "--key-column", "order", "--output", "results.csv")
    assert ended.code == 1
    told = results(Path("results.csv").read_text())["2"]
    assert (told["request_id"], told["outcome"], told["status"]) == ("1", "failed", "ERROR")
    assert "no mail server" in told["error"]


def test_a_token_that_is_refused_stops_the_run(start: Any, environ: pytest.MonkeyPatch) -> None:
    environ.setenv("PROCESSMAKER_TOKEN", "a-token-of-yesterday")
    ended = start("order\n" + "".join(f"order-{number}\n" for number in range(500)), "--json")
    assert ended.code == 3
    assert "gave up" in ended.err
    assert ended.json["rows"] < 20


def test_only_the_first_rows_that_went_wrong_are_shown(start: Any) -> None:
    ended = start("order,days\n" + "".join(f"order-{number},x\n" for number in range(30)), "--type", "days=int")
    assert ended.err.count("which is no int") == 20
    assert "10 more rows with errors are not shown\n" in ended.err


# --- reading --------------------------------------------------------------------------------------------------------


def test_cells_become_what_their_column_is_and_empty_ones_null(start: Any, sandbox: Sandbox) -> None:
    types = ["--type=i=int", "--type=f=float", "--type=b=bool", "--type=j=json"]
    rows = 'order,i,f,b,j,s\no1,007,1.5,yes,"{""a"": [1]}",007\no2,,,,,\n'
    assert start(rows, *types).code == 0
    assert sent(sandbox) == [
        {"order": "o1", "i": 7, "f": 1.5, "b": True, "j": {"a": [1]}, "s": "007"},
        {"order": "o2", "i": None, "f": None, "b": None, "j": None, "s": None},
    ]


@pytest.mark.parametrize(
    ("encoding", "options"),
    [
        ("utf-8", ()),
        ("utf-8-sig", ()),
        ("utf-8-sig", ("--encoding", "utf-8")),
        ("utf-16", ("--encoding", "utf-16")),
        ("cp1252", ("--encoding", "cp1252")),
    ],
)
@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl"])
def test_files_are_read_in_their_encoding_and_rejects_written_in_it(
    start: Any, sandbox: Sandbox, folder: Path, encoding: str, options: tuple[str, ...], name: str
) -> None:
    rows = "order,who\r\no1,Zoë\r\n,Noël\r\n" if name == "rows.csv" else '{"order": "o1", "who": "Zoë"}\r\n["Noël"]\r\n'
    assert start(rows.encode(encoding), *options, "--rejects", "mend" + name, name=name).code == 1
    assert sent(sandbox) == [{"order": "o1", "who": "Zoë"}]
    rejected = (folder / ("mend" + name)).read_bytes().decode(encoding)
    assert rejected == ("order,who\r\n,Noël\r\n" if name == "rows.csv" else '["Noël"]\r\n')


def test_a_row_that_is_not_of_the_encoding_is_told_and_kept(start: Any, sandbox: Sandbox, folder: Path) -> None:
    ended = start("order,who\no1,Zoë\no2,Mia\n".encode("latin-1"), "--rejects", "mend.csv")
    assert "rows.csv:2: the row is not utf-8; mend it, or say with --encoding what the file is" in ended.err
    assert (folder / "mend.csv").read_bytes() == "order,who\no1,Zoë\n".encode("latin-1")
    assert [data["who"] for data in sent(sandbox)] == ["Mia"]


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        ("", (), "rows.csv: the first line has to name the columns"),
        ("\norder\n1\n", (), "rows.csv: the first line has to name the columns"),
        ("order,order\n1,2\n", (), "each by a name of its own"),
        ("order,\n1,2\n", (), "each by a name of its own"),
        ('"order;n,m"n\n1\n', (), "rows.csv cannot be read: ',' expected after '\"'"),
        ("number\n1\n", (), "has no column 'order'; it has: number"),
        (CSV, ("--type", "date=int"), "has no column 'date'; it has: order, days"),
        (CSV, ("--type", "days=date"), "COLUMN=TYPE"),
        (CSV, ("--encoding", "ebcdic-x"), "--encoding ebcdic-x is unknown"),
        (CSV, ("--output", "rows.csv"), "the input and --output are the same file"),
        (CSV, ("--output", "results.txt"), "results.txt is neither .csv nor .jsonl"),
        (CSV, ("--output", "nowhere/results.csv"), "nowhere/results.csv cannot be written"),
        (CSV, ("--concurrency", "0"), "concurrency=0"),
        (CSV.encode("utf-16"), (), "rows.csv is not utf-8; say with --encoding what it is, such as cp1252 or utf-16"),
        ('{"order": 1}\n', ("--type", "order=int"), "--type, --delimiter and --decimal are for CSV"),
        (None, (), "rows.csv cannot be read: No such file"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_sent(
    start: Any, sandbox: Sandbox, content: str | bytes | None, options: tuple[str, ...], words: str
) -> None:
    ended = start(content, *options)
    assert (ended.code, sandbox.calls) == (2, [])
    assert words in ended.err


@pytest.mark.parametrize(
    ("content", "name", "options"),
    [
        ("order;n\no1;1,5\n", "rows.csv", ()),
        ("order\tn\no1\t1,5\n", "rows.tsv", ()),
        ("order|n\no1|1,5\n", "rows.txt", ()),
        ("order^n,m\no1^1,5\n", "rows.csv", ("--delimiter", "^")),
        ('{"order": "o1"}', "rows.txt", ()),
        ('\n{"order": "o1"}', "rows.ndjson", ()),
    ],
)
def test_the_first_line_says_the_delimiter_and_whether_it_is_json(
    start: Any, sandbox: Sandbox, content: str, name: str, options: tuple[str, ...]
) -> None:
    assert start(content, *options, name=name).code == 0
    assert [data["order"] for data in sent(sandbox)] == ["o1"]
    assert "1,5" in content or len(sent(sandbox)[0]) == 1


@pytest.mark.parametrize("blank", [",\n", ',""\n', " ,\n", ",,\n", "\n"])
def test_a_row_whose_cells_are_all_empty_is_skipped_as_a_blank_line_is(
    start: Any, sandbox: Sandbox, blank: str
) -> None:
    ended = start(f"order,days\n{blank}A-1,12\n{blank}{blank}", "--no-key", "--json")
    assert (ended.code, ended.json["rows"]) == (0, 1)
    assert sent(sandbox) == [{"order": "A-1", "days": "12"}]


@pytest.mark.parametrize("first", ["sep=;\r\n", '"sep=;"\n', "SEP=;\n", "\ufeffsep=;\n"])
def test_a_first_line_that_names_the_delimiter_is_understood(
    start: Any, sandbox: Sandbox, folder: Path, first: str
) -> None:
    ended = start(f"{first}order;days\no1;1,5\n;2\n", "--type", "days=float", "--decimal", ",", "--rejects", "mend.csv")
    assert ended.code == 1
    assert sent(sandbox) == [{"order": "o1", "days": 1.5}]
    mended = (folder / "mend.csv").read_text().replace("\n;2", "\no2;2")
    assert start(mended, "--type", "days=float", "--decimal", ",", name="mend.csv").code == 0
    assert sent(sandbox)[1] == {"order": "o2", "days": 2.0}


@pytest.mark.parametrize(
    ("cell", "kind", "options"),
    [
        ("1_0", "float", ()), ("\u0663.\u0665", "float", ()), ("nan", "float", ()), ("0x1", "float", ()),
        (".", "float", ()), ('"1,5"', "float", ()), ("1.5", "float", ("--decimal", ",")),
        ('"1.234,5"', "float", ("--decimal", ",")), ("1_0", "int", ()), ("\u0663", "int", ()), ("1.0", "int", ()),
    ],
)  # fmt: skip
def test_a_cell_is_a_number_only_if_every_program_reads_it_alike(
    start: Any, sandbox: Sandbox, cell: str, kind: str, options: tuple[str, ...]
) -> None:
    ended = start(f"order,amount\nA,{cell}\n", f"--type=amount={kind}", *options)
    assert (ended.code, sandbox.requests) == (1, [])
    assert f"the cell 'amount' is {cell.strip(chr(34))!r}, which is no {kind}" in ended.err


@pytest.mark.parametrize(
    ("cell", "number"), [("10", 10), (" 1.5 ", 1.5), ("-.5", -0.5), ("+3.", 3), ("1e3", 1000), ("2.5E-1", 0.25)]
)
def test_numbers_of_a_column_of_floats(start: Any, sandbox: Sandbox, cell: str, number: float) -> None:
    assert start(f"order,amount\nA,{cell}\n", "--type", "amount=float").code == 0
    assert sent(sandbox) == [{"order": "A", "amount": number}]


def test_a_float_that_is_too_large_is_an_error(start: Any, sandbox: Sandbox) -> None:
    ended = start("order,amount\nA,1e999\n", "--type", "amount=float")
    assert (ended.code, sandbox.requests) == (1, [])
    assert "rows.csv:2: " in ended.err


def keys(sandbox: Sandbox) -> set[str]:
    return {request.data["_idempotency_key"] for request in sandbox.requests}


def test_a_key_has_a_prefix_and_may_be_of_several_columns(run: Run, sandbox: Sandbox, folder: Path) -> None:
    (folder / "rows.csv").write_text("shop,order\na,1\nb,1\nb,2\n")
    assert run("start-many", 4, "rows.csv", "--key", "shop", "--key", "order", "--key-prefix", "june-").code == 0
    assert keys(sandbox) == {"june-a:1", "june-b:1", "june-b:2"}
    missing = run("start-many", 4, "rows.csv", "--key", "shop,order")
    assert missing.code == 2
    assert "no column 'shop,order'; it has: shop, order\n" in missing.err


def test_keys_of_json_lines_are_text_or_integers(run: Run, sandbox: Sandbox, folder: Path) -> None:
    rows = ['{"order": 1}', '{"order": "b"}', '{"order": 1.5}', '{"order": true}', '{"order": ""}', '{"order": []}']
    (folder / "rows.jsonl").write_text("\n".join(rows))
    ended = run("start-many", 4, "rows.jsonl", "--key", "order")
    assert (ended.code, keys(sandbox)) == (1, {"1", "b"})
    assert "rows.jsonl:3: its 'order', 1.5, cannot be an idempotency key: give text or an integer" in ended.err
    assert "rows.jsonl:5: the row has no 'order'" in ended.err


# --- checking -------------------------------------------------------------------------------------------------------


def test_a_dry_run_checks_every_row_and_sends_nothing(start: Any, sandbox: Sandbox, folder: Path) -> None:
    (folder / "results.csv").write_text("what the last run wrote")
    rows = 'order,days\no1, 3 \no2,<b>x</b>\n"a""b",1\no1,2\n'
    ended = start(rows, "--dry-run", "--output", "results.csv")
    assert (ended.code, sandbox.calls) == (1, [])
    assert "rows.csv:2: the server alters data.days (trimmed)" in ended.err
    assert "rows.csv:4: idempotency_key" in ended.err.replace("--idempotency-key", "idempotency_key")
    assert "rows.csv:5: the key o1 is that of line 2, which has other data: the row will not be sent" in ended.err
    assert ended.out.splitlines() == [
        "COLUMN  TYPE    FILLED  EMPTY  FIRST VALUE",
        'order   string  3       0      "o1"',
        'days    string  3       0      " 3 "',
        "",
        'the first row as it will be sent: {"order": "o1", "days": " 3 ", "_idempotency_key": "o1"}',
        "",
        "rows           4",
        "good           3",
        "bad            1",
        "altered        2",
        "repeated keys  0",
        "reused keys    1",
    ]
    assert (folder / "results.csv").read_text() == "what the last run wrote"
    assert not (folder / "rows.csv.journal").exists()
    assert start(CSV, "--dry-run").code == 0


def test_a_dry_run_describes_the_columns_in_json(start: Any, sandbox: Sandbox) -> None:
    ended = start("order,days,note\no1,3,\no1,3, x\no2,4,\n", "--dry-run", "--type", "days=int", "--json")
    assert (ended.code, sandbox.calls) == (7, [])
    told = ended.json
    assert (told["rows"], told["good"], told["repeated_keys"], told["reused_keys"]) == (3, 3, 0, 1)
    assert told["first"] == {"order": "o1", "days": 3, "note": None, "_idempotency_key": "o1"}
    assert told["columns"][1:] == [
        {"name": "days", "types": ["integer"], "filled": 3, "empty": 0, "example": 3},
        {"name": "note", "types": ["string"], "filled": 1, "empty": 2, "example": " x"},
    ]


# --- progress, and stopping -----------------------------------------------------------------------------------------


def test_on_a_terminal_a_bar_shows_how_far_it_has_come(start: Any, environ: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    environ.setattr(sys, "stderr", terminal)
    assert start(CSV).code == 0
    assert "3 of 3 done, 0 found, 0 failed, " in terminal.getvalue()


def test_what_was_not_started_is_not_shown_as_failed(start: Any, environ: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    environ.setattr(sys, "stderr", terminal)
    assert start("order,days\nA,3\nB,x\n", "--type", "days=int").code == 1
    assert "2 of 2 done, 0 found, 0 failed, 1 not started, " in terminal.getvalue()


def test_on_a_narrow_terminal_the_numbers_are_whole(start: Any, environ: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    environ.setattr(sys, "stderr", terminal)
    environ.setenv("COLUMNS", "50")
    assert start(CSV).code == 0
    assert "3 of 3 done, 0 found, 0 failed, " in terminal.getvalue()


def test_elsewhere_progress_is_a_line_now_and_then(start: Any, environ: pytest.MonkeyPatch) -> None:
    from processmaker.cli import _progress

    stream = io.StringIO()
    environ.setattr(sys, "stderr", stream)
    assert start(CSV).code == 0
    assert stream.getvalue() == ""
    environ.setattr(_progress, "LINE_EVERY", 0.0)
    assert start(None).code == 0
    assert len(stream.getvalue().splitlines()) == 3
    assert "processmaker: 3 of 3 done, 3 found, 0 failed, " in stream.getvalue()


def test_quiet_prints_the_ids(start: Any) -> None:
    ended = start(CSV, "--quiet")
    assert sorted(ended.out.split()) == ["1", "2", "3"]
    assert ended.err == ""


@pytest.mark.parametrize("sent_signal", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_what_is_in_flight_and_the_same_command_goes_on(
    served: Sandbox, folder: Path, sent_signal: signal.Signals
) -> None:
    served.start_takes = 0.05
    (folder / "rows.csv").write_text("order\n" + "".join(f"order-{number}\n" for number in range(100)))
    command = [*COMMAND, "start-many", "4", "rows.csv", "--event", "node_1", "--key-column", "order"]
    command += ["--output", "results.csv"]
    with running(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        wait_until(lambda: len(served.requests) >= 10, run)
        run.send_signal(sent_signal)
        out, err = run.communicate(timeout=30)
    assert run.returncode == 128 + sent_signal
    assert "finishing what is in flight" in err
    assert "stopped, and nothing is in flight. To go on, run the same command again" in err
    started = len(served.requests)
    assert started < 100
    assert f"started      {started}\n" in out
    assert " of 100\n" in out.splitlines(keepends=True)[0]
    outcomes = [row["outcome"] for row in results((folder / "results.csv").read_text()).values()]
    assert outcomes.count("started") == started
    assert set(outcomes) <= {"started", "not_started"}
    served.start_takes = 0
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert len(served.requests) == 100
    assert len(results((folder / "results.csv").read_text())) == 100


def test_rows_that_were_held_back_when_a_signal_came_are_told_and_the_same_command_starts_them(
    served: Sandbox, folder: Path
) -> None:
    served.fail_next(429, on="POST", retry_after=25)
    (folder / "rows.csv").write_text("order\n" + "".join(f"order-{number}\n" for number in range(40)))
    command = [*COMMAND, "start-many", "4", "rows.csv", "--event", "node_1", "--key-column", "order"]
    command += ["--output", "results.csv", "--concurrency", "1", "--json"]
    with running(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        wait_until(lambda: any(call.status == 429 for call in served.calls), run)
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=30)
    assert run.returncode == 130
    assert "rows.csv:" not in err
    ((line, told),) = results((folder / "results.csv").read_text()).items()
    assert (line, told["key"], told["outcome"]) == ("2", "order-0", "not_started")
    assert "the run was left before its turn came" in told["error"]
    assert (json.loads(out)["rows"], json.loads(out)["not_started"]) == (1, 1)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    told_again = results((folder / "results.csv").read_text()).values()
    assert [row["outcome"] for row in told_again] == ["started"] * 40
    assert len(served.requests) == 40


def test_a_signal_does_not_wait_for_the_next_row(served: Sandbox, folder: Path) -> None:
    command = [*COMMAND, "start-many", "4", "-", "--event", "node_1", "--key-column", "order"]
    command += ["--journal", "starts.db", "--output", "results.csv"]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with running(command, **pipes) as run:
        assert run.stdin
        run.stdin.write("order\norder-1\norder-2\n")
        run.stdin.flush()
        wait_until(lambda: len(served.requests) >= 2, run)
        run.send_signal(signal.SIGTERM)
        assert run.wait(30) == 143
    assert len(results((folder / "results.csv").read_text())) == len(served.requests)


def test_rows_from_a_pipe_are_read_once_and_need_a_journal_of_their_own(
    start: Any, sandbox: Sandbox, folder: Path, environ: pytest.MonkeyPatch
) -> None:
    os.mkfifo(folder / "pipe.csv")

    environ.setattr(sys, "stderr", Terminal())
    assert start(None, name="pipe.csv").code == 2
    writer = threading.Thread(target=lambda: (folder / "pipe.csv").write_text(CSV))
    writer.start()
    assert start(None, "--journal", "starts.db", name="pipe.csv").code == 0
    writer.join(30)
    assert len(sandbox.requests) == 3


def test_results_that_cannot_be_written_stop_the_run(served: Sandbox, folder: Path) -> None:
    del served
    if not Path("/dev/full").exists():
        not_run("a full disk was not tried: this system has no /dev/full")
    (folder / "rows.csv").write_text("order\n" + "".join(f"order-{number}\n" for number in range(500)))
    (folder / "results.csv").symlink_to("/dev/full")
    command = [*COMMAND, "start-many", "4", "rows.csv", "--event", "node_1", "--key-column", "order"]
    done = subprocess.run([*command, "--output", "results.csv"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


# --- messages -------------------------------------------------------------------------------------------------------


def test_the_results_have_every_row_with_an_error_that_is_not_shown(start: Any, folder: Path) -> None:
    rows = "order,days\n" + "".join(f"order-{number},x\n" for number in range(30))
    ended = start(rows, "--type", "days=int", "--output", "results.csv")
    assert "10 more rows with errors are not shown\n" in ended.err
    told = results((folder / "results.csv").read_text())
    assert [row["error"] for row in told.values()] == ["the cell 'days' is 'x', which is no int."] * 30
    dry = start(rows, "--type", "days=int", "--dry-run", "--output", "results.csv")
    assert "10 more rows with errors are not shown\n" in dry.err


def test_what_the_server_alters_is_told_once_for_each_place(start: Any) -> None:
    rows = "order,days,note\n" + "".join(f"order-{number}, {number},<b>x</b>\n" for number in range(30))
    for options in ((), ("--quiet",), ("--dry-run",)):  # what is lost is told with --quiet, too
        told = start(rows, *options).err.splitlines()
        assert [line.partition(": the server")[2][:17] for line in told[:2]] == [
            " alters data.days",
            " alters data.note",
        ]


def test_a_run_that_gives_up_before_the_first_row_prints_no_zeros(run: Run, folder: Path) -> None:
    (folder / "rows.csv").write_text(CSV)
    ended = run("start-many", 4, "rows.csv", "--key", "order", "--event", "No Such", "--json")
    assert (ended.code, ended.out) == (4, "")
    assert json.loads(ended.err)["error"]["type"] == "StartEventNotFound"


def test_a_run_that_gives_up_says_how_many_rows_there_were(start: Any, environ: pytest.MonkeyPatch) -> None:
    environ.setenv("PROCESSMAKER_TOKEN", "a-token-of-yesterday")
    rows = "order\n" + "".join(f"order-{number}\n" for number in range(500))
    ended = start(rows)
    assert " of 500\n" in ended.out
    assert start(rows, "--json").json["of"] == 500


# --- a key used again with other data -------------------------------------------------------------------------------

JUNE = "order,days\norder-1,13\norder-2,14\norder-4,6\n"


def test_keys_of_other_data_are_errors_with_a_code_of_their_own(start: Any, sandbox: Sandbox, folder: Path) -> None:
    assert start(CSV).code == 0
    ended = start(JUNE, "--output", "results.csv", "--rejects", "mend.csv")
    assert ended.code == 7
    assert "key reused   2\n" in ended.out
    assert "started      1\n" in ended.out
    assert re.search(
        r'rows\.csv:2: Request \d was started with the key "order-1" and other data .* not sent\.', ended.err
    )
    told = results((folder / "results.csv").read_text())
    assert [told[line]["outcome"] for line in ("2", "3", "4")] == ["key_reused", "key_reused", "started"]
    assert told["2"]["request_id"] == ""
    assert (folder / "mend.csv").read_text() == "order,days\norder-1,13\norder-2,14\n"
    assert len(sandbox.requests) == 4
    again = start(JUNE, "--key-prefix", "june-", "--json")
    assert (again.code, again.json["started"], again.json["key_reused"]) == (0, 3, 0)


def test_rows_of_one_file_with_one_key_and_other_data_are_errors(start: Any, sandbox: Sandbox) -> None:
    ended = start("order,days\nA,3\nA,4\nA,3\n", "--json", "--concurrency", "1")
    assert (ended.code, len(sandbox.requests)) == (7, 1)
    assert (ended.json["started"], ended.json["found"], ended.json["key_reused"]) == (1, 1, 1)


def test_a_reused_key_may_be_a_warning_or_ignored(start: Any, sandbox: Sandbox) -> None:
    assert start(CSV).code == 0
    for how, warned in (("warn", True), ("ignore", False)):
        ended = start(JUNE, "--on-reused-key", how, "--json", "--quiet")
        assert ended.code == 0
        assert ("other data" in ended.err) is warned  # data that is not sent is told with --quiet, too
    assert len(sandbox.requests) == 4


def test_columns_may_be_left_out_of_what_is_compared(start: Any, sandbox: Sandbox) -> None:
    rows = "order,days,at\nA,3,9:00\n"
    assert start(rows, "--fingerprint-without", "at").code == 0
    again = start(rows.replace("9:00", "9:05"), "--fingerprint-without", "at", "--json")
    assert (again.code, again.json["found"]) == (0, 1)
    assert start(rows.replace("A,3", "A,4"), "--fingerprint-without", "at").code == 7
    dry = start("order,days,at\nA,3,1\nA,3,2\nA,4,3\n", "--dry-run", "--fingerprint-without", "at", "--json")
    assert (dry.code, dry.json["repeated_keys"], dry.json["reused_keys"]) == (7, 1, 1)
    assert len(sandbox.requests) == 1
