"""Any other call of the API: `request`."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import Awaited, Connect
from processmaker import (
    ConfigurationError,
    ConnectionFailed,
    ConnectionLost,
    InvalidData,
    NotFound,
    ServerError,
    UnreadableResponse,
)
from processmaker.sandbox import Sandbox
from processmaker.wire.call import run
from processmaker_api.api.request_files import create_request_file
from processmaker_api.models.create_request_file_body import CreateRequestFileBody
from processmaker_api.types import File

Seen = list[httpx.Request]


@pytest.fixture
def seen() -> Seen:
    return []


@pytest.fixture
def echo(connect: Connect, seen: Seen) -> Any:
    """A client of a server that answers whatever it is asked."""

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"asked": str(request.url)})

    return connect("https://pm.example.com/sub", token="a-good-token", transport=httpx.MockTransport(answer))


def test_a_call_that_reads_gives_the_parsed_json(pm: Any, sandbox: Sandbox) -> None:
    pm.start(4, event="node_1")
    listed = pm.request("GET", "/requests", params={"per_page": 1, "include": "data"})
    assert listed["meta"]["total"] == 1
    assert [row["id"] for row in listed["data"]] == [1]
    assert sandbox.calls[-1] == ("GET", "/requests", 200)


def test_a_call_goes_to_the_api_with_the_clients_token(echo: Any, seen: Seen) -> None:
    echo.request("post", "groups", params={"a": ["1", 2], "b": None, "c": True}, json={"name": "Zoë", "tags": []})
    [request] = seen
    assert (request.method, str(request.url)) == (
        "POST",
        "https://pm.example.com/sub/api/1.0/groups?a=1&a=2&c=true",
    )
    assert request.headers["Authorization"] == "Bearer a-good-token"
    assert request.headers["Content-Type"] == "application/json"
    assert request.content == '{"name": "Zoë", "tags": []}'.encode()


@pytest.mark.parametrize("value", [{"a": 1}, [["a"]], b"a", {1}])
def test_what_a_query_cannot_hold_is_refused(echo: Any, seen: Seen, value: Any) -> None:
    with pytest.raises(InvalidData, match=r"params\['x'\] is .*: a query takes text, numbers and lists of both"):
        echo.request("GET", "/tasks", params={"x": value})
    assert seen == []


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("/users/1", "/users/1"),
        ("users/1", "/users/1"),
        ("/api/1.0/users/1", "/users/1"),
        ("/users?filter=a b&page=2", "/users?filter=a+b&page=2"),
        ("/files/a..b", "/files/a..b"),
    ],
)
def test_a_path_is_below_the_api_however_it_is_written(echo: Any, path: str, url: str) -> None:
    asked = echo.request("GET", path)["asked"].replace("%20", "+")  # as httpx 0.27 writes a blank
    assert asked == f"https://pm.example.com/sub/api/1.0{url}"


@pytest.mark.parametrize(
    "path",
    [
        "..",
        "/../oauth/token",
        "/users/../../../oauth/token",
        "/users/%2e%2e/%2E%2E/x",
        "/users/%252e%252e/x",
        "/users/..%2f..%2fx",
        "/users/..\\x",
        "/./users",
        "//evil.example.com/x",
        "https://evil.example.com/x",
        "/https://evil.example.com",
        "/users#x",
        "/users\nHost: evil.example.com",
        "",
        " ",
        None,
        1,
    ],
)
def test_no_path_leads_out_of_the_api_or_to_another_server(echo: Any, seen: Seen, path: Any) -> None:
    with pytest.raises(InvalidData, match="path="):
        echo.request("GET", path)
    assert seen == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"method": "GET /", "path": "/x"}, "no HTTP method"),
        ({"method": 1, "path": "/x"}, "no HTTP method"),
        ({"method": "GET", "path": "/x", "json": {}}, "has no body"),
        ({"method": "POST", "path": "/x", "json": {"a": float("nan")}}, "cannot be sent as JSON"),
        ({"method": "POST", "path": "/x", "json": {"a": {1}}}, "cannot be sent as JSON"),
        ({"method": "POST", "path": "/x", "json": "\ud800"}, "cannot be sent as JSON"),
        ({"method": "GET", "path": "/x", "files": {"a": b""}}, "has no body"),
        ({"method": "POST", "path": "/x", "files": {"a": b""}, "json": 1}, "one body"),
        ({"method": "POST", "path": "/x", "files": {"a": "text"}}, "is no file"),
        ({"method": "POST", "path": "/x", "files": {"a": (b"a", b"b")}}, "is no file"),
        ({"method": "POST", "path": "/x", "params": {"a": "\ud800"}}, "surrogates not allowed"),
        ({"method": "GET", "path": "/x", "params": {"\ud800": ["b"]}}, "surrogates not allowed"),
    ],
)
def test_what_cannot_be_sent_is_refused_before(echo: Any, seen: Seen, arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidData, match=said):
        echo.request(**arguments)
    assert seen == []


def test_an_answer_without_a_body_is_none(admin: Any) -> None:
    request = admin.start(2, event="node_1")
    assert admin.request("PUT", f"/requests/{request.id}", json={"status": "CANCELED"}) is None
    assert admin.get(request).status == "CANCELED"


def test_an_answer_that_is_no_json_comes_back_as_bytes(connect: Connect) -> None:
    content = bytes(range(256))
    file = httpx.MockTransport(lambda _: httpx.Response(200, content=content, headers={"content-type": "image/png"}))
    assert connect("https://pm.example.com", token="t", transport=file).request("GET", "/files/1/contents") == content


@pytest.mark.parametrize(("method", "processed"), [("GET", False), ("PUT", None)])
def test_an_answer_that_only_says_that_it_is_json_is_an_error(
    connect: Connect, method: str, processed: bool | None
) -> None:
    page = httpx.MockTransport(lambda _: httpx.Response(200, headers={"content-type": "application/json"}, text="<p>"))
    with pytest.raises(UnreadableResponse) as raised:
        connect("https://pm.example.com", token="t", transport=page, retries=None).request(method, "/x")
    assert (raised.value.processed, raised.value.retryable) == (processed, False)


@pytest.mark.parametrize(
    "given", [b"--x\r\nPDF", ("offer.txt", b"--x\r\nPDF"), ("offer.txt", b"--x\r\nPDF", "text/plain")]
)
def test_files_are_uploaded_as_a_form(echo: Any, seen: Seen, given: Any) -> None:
    for _ in range(2):
        echo.request("POST", "/requests/1/files", params={"data_name": "doc"}, files={"file": given})
    first, second = (request.headers["content-type"] for request in seen)
    kind, _, boundary = first.partition("; boundary=")
    assert kind == "multipart/form-data"
    assert first != second, "a boundary that is always the same may be in a file"
    parts = seen[0].content.split(b"--" + boundary.encode())
    assert len(parts) == 3
    assert b'name="file"' in parts[1]
    assert parts[1].endswith(b"\r\n\r\n--x\r\nPDF\r\n")


def test_an_open_file_is_read_once_and_may_be_sent_again(echo: Any, seen: Seen, tmp_path: Path) -> None:
    (tmp_path / "offer.pdf").write_bytes(b"content")
    with (tmp_path / "offer.pdf").open("rb") as file:
        echo.request("POST", "/requests/1/files", files={"file": file})
    assert b'filename="offer.pdf"' in seen[0].content
    assert b"content" in seen[0].content


@pytest.mark.parametrize(
    "path",
    ["/files/plain", "/files/Müller%20x", "/scripts/my name%2Fx", "/x/a%2fb", "/x/a|b%20c", "/x/é%C3%A9", "/x/%41 b"],
)
def test_what_may_have_been_carried_out_is_sent_once_whatever_its_path(connect: Connect, path: str) -> None:
    """Whether a call was sent is decided on the wire: a comparison of paths has to know how each was escaped."""
    seen = []

    def carry_out(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        raise httpx.ReadError("reset", request=request)

    pm = connect("https://pm.example.com", token="t", transport=httpx.MockTransport(carry_out))
    with pytest.raises(ConnectionLost) as raised:
        pm.request("POST", path, json={})
    assert (raised.value.processed, len(seen)) == (None, 1)


def test_errors_are_those_of_every_call(pm: Any) -> None:
    with pytest.raises(NotFound) as raised:
        pm.request("GET", "/nothing/here")
    assert raised.value.processed is False
    assert raised.value.asked == "GET /api/1.0/nothing/here"


def test_what_only_reads_is_sent_again(pm: Any, sandbox: Sandbox) -> None:
    sandbox.fail_next(500, on="GET", times=2)
    pm.request("GET", "/start_processes")
    assert [status for _, _, status in sandbox.calls] == [500, 500, 200]


def test_what_changes_something_is_sent_again_only_where_it_certainly_was_not_done(pm: Any, sandbox: Sandbox) -> None:
    path = "/process_events/4?event=node_1"
    sandbox.fail_next("refused", on="POST")
    assert pm.request("POST", path, json={})["status"] == "COMPLETED"
    sandbox.fail_next(500, on="POST")
    with pytest.raises(ServerError, match=r"Whether it was done is not known\. To find out: look before") as raised:
        pm.request("POST", path, json={})
    assert raised.value.processed is None
    assert len(sandbox.requests) <= 2
    sandbox.fail_next("refused", on="POST", times=9)
    with pytest.raises(ConnectionFailed) as refused:
        pm.request("POST", path, json={})
    assert refused.value.processed is False


def test_a_start_whose_answer_breaks_off_still_tells_its_id(pm: Any, sandbox: Sandbox) -> None:
    sandbox.fail_next("truncated", on="POST", at=0.95)
    with pytest.raises(Exception, match="POST") as raised:
        pm.request("POST", "/process_events/4?event=node_1", json={})
    assert raised.value.request_id == 1  # type: ignore[attr-defined]
    assert raised.value.processed is None  # type: ignore[attr-defined]


def test_a_closed_client_says_so_before_anything_else(pm: Any) -> None:
    pm.close()
    with pytest.raises(ConfigurationError, match="closed"):
        pm.request("GET", "/users/1")


def test_a_generated_upload_gets_a_boundary_of_its_own(connect: Connect, seen: Seen) -> None:
    """The generated one is always the same: a file that contains it would be cut in two."""

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"message": "The file was uploaded.", "fileUploadId": 1})

    pm = connect("https://pm.example.com", token="t", transport=httpx.MockTransport(answer))
    content = b"before\r\n--+++\r\nafter"
    body = CreateRequestFileBody(file=File(BytesIO(content), "offer.txt", "text/plain"))
    call = pm._io.call(create_request_file.build_request(request_id=1, body=body), lambda got: got["fileUploadId"])
    assert (pm._runner.run(call) if isinstance(pm, Awaited) else run(call)) == 1
    boundary = seen[0].headers["content-type"].partition("boundary=")[2]
    assert boundary != "+++"
    assert content in seen[0].content.split(b"--" + boundary.encode())[1]
