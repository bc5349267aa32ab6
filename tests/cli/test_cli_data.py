"""Data that is typed, piped in, or read from files."""

from __future__ import annotations

import codecs
import json
import os
import socket
import subprocess
from pathlib import Path

import pytest
from command_line import COMMAND, Run
from processmaker.cli import _typed
from processmaker.sandbox import Sandbox


def test_a_key_takes_its_text_or_its_json_from_a_file(run: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear Zoë,\nyes.", "utf-8")
    (tmp_path / "items.json").write_text('[1, {"a": null}]')
    ended = run("start", 2, f"letter=@{tmp_path}/letter.txt", f"items:=@{tmp_path}/items.json", 'handle:="@mia"')
    assert ended.code == 0
    assert sandbox.request(1).data == {"letter": "Dear Zoë,\nyes.", "items": [1, {"a": None}], "handle": "@mia"}


def test_a_file_below_the_home_folder_is_read_as_the_shell_completes_it(
    run: Run, sandbox: Sandbox, tmp_path: Path, environ: pytest.MonkeyPatch
) -> None:
    (tmp_path / "letter.txt").write_text("yes")
    environ.setenv("HOME", str(tmp_path))
    assert run("start", 2, "letter=@~/letter.txt").code == 0
    assert sandbox.request(1).data == {"letter": "yes"}


@pytest.mark.parametrize(
    ("word", "said"),
    [
        (
            "handle=@mia",
            "the file mia cannot be read: No such file or directory",
        ),
        ("items:=@{folder}/text.txt", "text.txt is not JSON"),
        ("letter=@{folder}/latin.txt", "latin.txt is not UTF-8"),
        ("letter=@{folder}", "cannot be read: Is a directory"),
        ("letter=@\0", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_is_bad_usage(
    run: Run, sandbox: Sandbox, tmp_path: Path, word: str, said: str
) -> None:
    (tmp_path / "text.txt").write_text("hello")
    (tmp_path / "latin.txt").write_bytes(b"Zo\xeb")
    ended = run("start", 2, word.replace("{folder}", str(tmp_path)))
    assert ended.code == 2
    assert said in ended.err
    assert sandbox.calls == []


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        ("utf-8", b""),
        ("utf-8", codecs.BOM_UTF8),
        ("utf-16-le", codecs.BOM_UTF16_LE),
        ("utf-16-be", codecs.BOM_UTF16_BE),
        ("utf-16-le", b""),
        ("utf-32-le", codecs.BOM_UTF32_LE),
    ],
)
def test_files_are_read_as_windows_shells_write_them(
    run: Run, sandbox: Sandbox, tmp_path: Path, encoding: str, mark: bytes
) -> None:
    file = tmp_path / "data.json"
    file.write_bytes(mark + '{"who": "Zoë 休"}'.encode(encoding))
    assert run("start", 2, "--data", f"@{file}").code == 0
    assert run("start", 2, f"all:=@{file}").code == 0
    assert [request.data for request in sandbox.requests] == [{"who": "Zoë 休"}, {"all": {"who": "Zoë 休"}}]


# What is piped in


def piped(*words: str, content: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*COMMAND, *words], input=content, capture_output=True)


def test_data_that_is_piped_in_is_sent(served: Sandbox) -> None:
    for content in (b'{"days": 3}', codecs.BOM_UTF16_LE + '{"who": "Zoë"}'.encode("utf-16-le"), b"", b" \n"):
        done = piped("start", "2", "--event", "node_1", content=content)
        assert (done.returncode, done.stderr) == (0, b"")
    assert [request.data or {} for request in served.requests] == [{"days": 3}, {"who": "Zoë"}, {}, {}]


def test_data_in_a_file_on_standard_input_is_sent(served: Sandbox, tmp_path: Path) -> None:
    file = tmp_path / "data.json"
    file.write_text('{"days": 3}')
    with file.open("rb") as data:
        subprocess.run([*COMMAND, "start", "2", "--event", "node_1"], stdin=data, check=True, capture_output=True)
    assert served.request(1).data == {"days": 3}


@pytest.mark.parametrize("content", [b"days=3", b"[1]", b"\xff\x00\x01"])
def test_what_is_piped_in_and_is_no_data_is_refused(served: Sandbox, content: bytes) -> None:
    done = piped("start", "2", "--event", "node_1", content=content)
    assert done.returncode == 2
    assert b"standard input" in done.stderr
    assert served.calls == []


@pytest.mark.parametrize("words", [("start", "2", "a=1"), ("complete", "2", "--data", "{}"), ("api", "POST", "/x")])
def test_what_is_piped_in_beside_other_data_is_refused(served: Sandbox, tmp_path: Path, words: tuple[str, ...]) -> None:
    file = tmp_path / "data.json"
    file.write_text('{"days": 3}')
    with file.open("rb") as data:
        from_a_file = subprocess.run([*COMMAND, *words], stdin=data, capture_output=True)
    for done in (piped(*words, content=b'{"days": 3}'), from_a_file):
        assert (done.returncode, done.stdout) == (2, b"")
        assert b"there is data on standard input, too, which would get lost: to send it, give no" in done.stderr
    assert served.calls == []


def test_a_file_that_a_loop_reads_is_left_to_it(served: Sandbox, tmp_path: Path) -> None:
    command = " ".join(COMMAND)
    (tmp_path / "names").write_text("Mia\nZoe\n")
    loop = f"while read -r who; do {command} start 2 who=$who --event node_1 --quiet; done < names"
    done = subprocess.run(["sh", "-c", loop], capture_output=True, text=True, cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("1\n2\n", "")
    assert [request.data for request in served.requests] == [{"who": "Mia"}, {"who": "Zoe"}]


def test_a_loop_over_a_pipe_keeps_it_from_the_command(served: Sandbox) -> None:
    command = " ".join(COMMAND)
    loop = f"while read -r who; do {command} start 2 who=$who --event node_1 --quiet </dev/null; done"
    done = subprocess.run(["sh", "-c", loop], input="Mia\nZoe\n", capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("1\n2\n", "")
    assert [request.data for request in served.requests] == [{"who": "Mia"}, {"who": "Zoe"}]


def test_data_that_comes_late_is_waited_for_and_that_is_said(served: Sandbox) -> None:
    with subprocess.Popen(
        [*COMMAND, "complete", "2"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr
        said = process.stderr.readline()
        process.communicate(b'{"approved": true}')
    assert said.startswith(b"processmaker: waiting for data on standard input; with </dev/null or --data '{}'")
    assert process.returncode == 4  # there is no task 2
    assert served.calls == [("PUT", "/tasks/2", 404)]


def test_where_standard_input_stays_open_and_nothing_comes_it_is_refused(
    run: Run, sandbox: Sandbox, environ: pytest.MonkeyPatch
) -> None:
    ours, theirs = socket.socketpair()
    environ.setattr(_typed, "SAY_AFTER", 0.01)
    environ.setattr(_typed, "PATIENCE", 0.02)
    with ours, theirs, os.fdopen(theirs.fileno(), "r", closefd=False) as stdin:
        environ.setattr("sys.stdin", stdin)
        ended = run("start", 2)
        assert ended.code == 2
        assert "standard input is open, but nothing came: to wait for it, say --data -" in ended.err
        assert sandbox.calls == []
        assert run("start", 2, "--data", "{}").code == 0


def test_json_that_is_printed_can_be_piped_in_again(served: Sandbox) -> None:
    piped("start", "2", "days:=3", "--event", "node_1")
    shown = json.loads(piped("show", "1", "--json").stdout)
    assert piped("start", "2", "--event", "node_1", content=json.dumps(shown["data"]).encode()).returncode == 0
    assert served.request(2).data == {"days": 3}
