"""Files of a Request on the command line."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from command_line import COMMAND, Run
from processmaker import File, ProcessMaker

CONTENT = b"%PDF \x00\xff\n two\r\n"


@pytest.fixture
def offer(tmp_path: Path, environ: pytest.MonkeyPatch, run: Run) -> Path:
    """A file in the current folder, and a Request to put it into."""
    environ.chdir(tmp_path)
    run("start", 2, "--event", "node_1")
    file = tmp_path / "offer.pdf"
    file.write_bytes(CONTENT)
    return file


def test_a_file_is_uploaded_listed_and_downloaded(run: Run, offer: Path) -> None:
    assert run("files", 1).out == "this Request has no file\n"
    uploaded = run("files", "upload", 1, "offer.pdf", "--name", "doc", "--json")
    assert (uploaded.code, uploaded.err) == (0, "")
    number = uploaded.json["id"]
    assert (uploaded.json["name"], uploaded.json["file_name"]) == ("doc", "offer.pdf")
    [listed] = run("files", 1, "--json").lines
    assert listed == uploaded.json
    assert (listed["mime_type"], listed["size"]) == ("application/pdf", len(CONTENT))
    assert run("files", "list", 1).out.splitlines()[0].split() == ["ID", "NAME", "FILE", "TYPE", "SIZE", "CREATED"]
    assert run("files", 1, "--quiet").out == f"{number}\n"
    offer.unlink()
    saved = run("files", "download", 1, number, "--json")
    assert saved.json == {"id": number, "saved_as": "offer.pdf", "size": len(CONTENT)}
    assert offer.read_bytes() == CONTENT


def test_a_download_replaces_no_file(run: Run, offer: Path) -> None:
    number = run("files", "upload", 1, offer, "--quiet").out.strip()
    refused = run("files", "download", 1, number)
    assert (refused.code, refused.out) == (2, "")
    assert refused.err == "processmaker: offer.pdf is there already\n  --output FILE saves it under another name\n"
    assert run("files", "download", 1, number, "--output", "again.pdf").code == 0
    assert Path("again.pdf").read_bytes() == offer.read_bytes() == CONTENT


def test_a_file_can_be_piped_on(run: Run, offer: Path, served: object) -> None:  # noqa: ARG001
    number = run("files", "upload", 1, offer, "--quiet").out.strip()
    command = [*COMMAND, "files", "download", "1", number, "--output", "-"]
    done = subprocess.run(command, capture_output=True, check=True, env=os.environ)
    assert done.stdout == CONTENT


def test_an_upload_replaces_the_file_of_that_name(run: Run, offer: Path) -> None:
    first, second = (run("files", "upload", 1, offer, "--name", "doc", "--quiet").out.strip() for _ in range(2))
    assert first != second
    assert run("files", 1, "--quiet").out == f"{second}\n"


@pytest.mark.usefixtures("offer")
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("files upload 1", 2, "upload needs a FILE"),
        ("files list 1 offer.pdf", 2, "list takes no FILE"),
        ("files 1 --name doc", 2, "--name goes with upload"),
        ("files upload 1 offer.pdf --output x", 2, "--output goes with download"),
        ("files upload 1 nowhere.pdf", 2, "'nowhere.pdf' cannot be read: "),
        ("files download 1 offer.pdf", 2, "'offer.pdf' is not the id of a file"),
        ("files download 1 99", 4, "Request 1 has no file 99"),
        ("files remove 1 2", 2, "'remove' is not one of list, upload, download"),
        ("files 99", 4, ""),
    ],
)
def test_what_cannot_work_is_said(run: Run, words: str, code: int, said: str) -> None:
    ended = run(*words.split())
    assert (ended.code, ended.out) == (code, "")
    assert said in ended.err


@pytest.mark.parametrize("name", ["../../etc/passwd", "..\\..\\passwd", "/etc/passwd"])
def test_a_name_on_the_server_leads_out_of_no_folder(
    run: Run, offer: Path, environ: pytest.MonkeyPatch, name: str
) -> None:
    there = File(id=5, name="doc", file_name=name, request_id=1)
    environ.setattr(ProcessMaker, "files", lambda *_: [there])
    environ.setattr(ProcessMaker, "download", lambda *_: b"x")
    assert run("files", "download", 1, 5, "--quiet").out == "passwd\n"
    assert (offer.parent / "passwd").read_bytes() == b"x"
