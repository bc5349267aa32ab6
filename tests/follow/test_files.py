"""Files of a Request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import Connect
from processmaker import (
    File,
    Forbidden,
    InvalidData,
    NotFound,
    ProcessMakerError,
    ResponseError,
    ServerError,
)
from processmaker.sandbox import Sandbox
from replay import replayed
from signed_in import BOT, REVIEWER, token_of

URL = "https://pm.example.com"


@pytest.fixture
def bot(connect: Connect) -> Any:
    return connect(URL, token=token_of(BOT), retries=None)  # a recording has each call once


@pytest.fixture
def reviewer(connect: Connect) -> Any:
    return connect(URL, token=token_of(REVIEWER))


def test_a_file_is_uploaded_listed_downloaded_and_replaced(pm: Any, tmp_path: Path) -> None:
    request = pm.start("Leave Request")
    assert pm.files(request) == []
    (tmp_path / "offer two.txt").write_bytes(b"hello --+++ world\n")
    first = pm.upload(request, "doc", tmp_path / "offer two.txt")
    assert (first.name, first.file_name, first.mime_type) == ("doc", "offer-two.txt", "text/plain")
    assert (first.size, first.request_id) == (18, request.id)
    assert first.created_at is not None
    assert pm.download(first) == b"hello --+++ world\n"
    second = pm.upload(request.id, "doc", ("newer.bin", bytes(range(256))))
    other = pm.upload(request, "notes", ("notes.csv", b"a,b\n"))
    assert [file.id for file in pm.files(request)] == [second.id, other.id]
    assert pm.files(request, name="doc") == [second]
    assert pm.download(second) == bytes(range(256))
    assert pm.get(request).data == {}  # an upload does not change the data
    with pytest.raises(ResponseError, match="cannot be previewed or downloaded"):
        pm.download(first)


def test_files_are_uploaded_listed_and_downloaded_as_recorded(bot: Any, reviewer: Any) -> None:
    with replayed("4.15.5", "request_files"):
        request = bot.start(2, {"n": 1}, event="node_1")
        assert bot.files(request) == []
        path, doc = f"/requests/{request.id}/files", {"data_name": "doc"}
        first = {"file": ("offer.txt", b"hello world\n", "text/plain")}
        assert bot.request("POST", path, params=doc, files=first)["fileUploadId"] == 1
        (offer,) = bot.files(request)
        assert (offer.id, offer.name, offer.file_name, offer.mime_type, offer.size) == (
            1,
            "doc",
            "offer.txt",
            "text/plain",
            12,
        )
        assert bot.download(offer) == b"hello world\n"
        assert bot.request("GET", "/files/1")["id"] == 1
        for gone in (f"{path}/1/contents", "/files/1/contents"):
            with pytest.raises(ResponseError):
                bot.request("GET", gone)
        assert bot.get(request).data == {"n": 1}
        newer = bot.upload(request, "doc", ("offer two.txt", b"newer\n"))
        assert (newer.id, newer.file_name) == (2, "offer-two.txt")
        bot.request("POST", path, files={"file": ("notes.csv", b"a,b\n", "text/csv")})
        assert [(file.id, file.name) for file in bot.files(request)] == [(2, "doc"), (3, "notes.csv")]
        with pytest.raises(Forbidden):
            reviewer.files(request)
        with pytest.raises(Forbidden):
            reviewer.request("POST", path, files={"file": ("a.txt", b"a", "text/plain")})


def test_what_the_server_refuses_of_files_is_an_error(bot: Any) -> None:
    with replayed("4.15.5", "request_file_too_large_html"), pytest.raises(ResponseError, match="413 Request Entity"):
        bot.upload(43, "doc", ("big.txt", b"a..."))  # the recording cuts the content
    with replayed("4.15.5", "request_file_missing"):
        with pytest.raises(ResponseError, match="cannot be previewed or downloaded"):
            bot.download(File(id=9999, name="doc", file_name="x", request_id=43))
        with pytest.raises(ServerError):
            bot.request("POST", "/requests/43/files", params={"data_name": "doc"})
        php = {"file": ("x.php", b"<?php echo 1;", "application/octet-stream")}
        with pytest.raises(ServerError, match="not allowed because it is a PHP file"):
            bot.request("POST", "/requests/43/files", files=php)
        with pytest.raises(NotFound, match="there is no Request 99999"):
            bot.files(99999)


def test_a_stranger_to_the_request_gets_no_files(connect: Connect, pm: Any, sandbox: Sandbox) -> None:
    request = pm.start("Leave Request")
    stranger = connect(sandbox.url, token=sandbox.token("reviewer"), transport=sandbox.transport())
    for ask in (stranger.files, lambda of: stranger.upload(of, "doc", ("a.txt", b"a"))):
        with pytest.raises(Forbidden):
            ask(request)


def test_an_upload_whose_answer_gets_lost_is_not_sent_again(pm: Any, sandbox: Sandbox) -> None:
    request = pm.start("Leave Request")
    sandbox.fail_next("answer lost", on="POST /requests")
    with pytest.raises(ProcessMakerError, match=r"Whether 'a.txt' was uploaded .* files\(1\) lists it") as failure:
        pm.upload(request, "doc", ("a.txt", b"a"))
    assert failure.value.processed is None
    assert len(pm.files(request)) == 1


def test_an_upload_that_cannot_be_read_back_counts_as_processed(pm: Any, sandbox: Sandbox) -> None:
    request = pm.start("Leave Request")
    sandbox.fail_next(500, on="GET /requests", times=9)
    with pytest.raises(ServerError) as failure:
        pm.upload(request, "doc", ("a.txt", b"a"))
    assert failure.value.processed is True


@pytest.mark.parametrize("file", [b"content", 7, None, ("a.txt", "text"), ("a.txt",), "", "no/such/file", ("", b"a")])
def test_what_is_no_file_is_refused_before_sending(pm: Any, sandbox: Sandbox, file: Any) -> None:
    with pytest.raises(InvalidData):
        pm.upload(1, "doc", file)
    assert sandbox.calls == []
