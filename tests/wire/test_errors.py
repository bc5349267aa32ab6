"""Errors: which one comes when, what it says and carries, and that it survives the way to another process."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
import re
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import httpx
import processmaker
import pytest
from conftest import START_OF_TIME, Connect
from processmaker import (
    CancelNotAllowed,
    ConfigurationError,
    ConnectionFailed,
    ConnectionLost,
    Forbidden,
    InvalidData,
    NotFound,
    ProcessMakerError,
    RateLimited,
    Redirected,
    Request,
    RequestCanceled,
    RequestFailed,
    ResponseError,
    ServerError,
    SignInError,
    StartOutcomeUnknown,
    TaskAlreadyClosed,
    TimedOut,
    TransportError,
    Unauthorized,
    UnreadableResponse,
    ValidationFailed,
    WaitTimeout,
)
from processmaker.errors import error_of, retry_after, server_message
from processmaker.sandbox import Sandbox
from provoked import SCENES, provoked

URL = "https://pm.example.com"
CLASSES = {
    kind for kind in vars(processmaker.errors).values() if inspect.isclass(kind) and issubclass(kind, ProcessMakerError)
}
ABSTRACT = {ProcessMakerError, processmaker.CannotStart, TransportError}


@pytest.fixture
def make(connect: Connect, sandbox: Sandbox) -> Any:
    def make(**options: Any) -> Any:
        usual = {"token": sandbox.token(), "transport": sandbox.transport(), "clock": sandbox.clock}
        return connect(sandbox.url, **{**usual, **options})

    return make


def raised(connect: Connect, answer: Any, operation: str, *arguments: Any) -> ProcessMakerError:
    """What an operation raises when the server gives this answer, or httpx this exception."""

    def respond(request: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(
            answer.status_code,
            headers=answer.headers,
            content=answer.content,
            extensions=answer.extensions,
            request=request,
        )

    pm = connect(URL, token="good-token", transport=httpx.MockTransport(respond), retries=None)
    options = {"event": "node_1"} if operation == "start" else {}
    with pytest.raises(ProcessMakerError) as error:
        getattr(pm, operation)(*arguments, **options)
    return error.value


# --- which error ----------------------------------------------------------------------------------------------------

STATUSES: list[tuple[int, type[ResponseError], bool | None, bool]] = [
    # status, class, processed (for a call that changes something), transient
    (301, Redirected, None, False),
    (302, Redirected, None, False),
    (304, Redirected, None, False),
    (307, Redirected, None, False),
    (400, ResponseError, False, False),
    (401, Unauthorized, False, False),
    (402, ResponseError, False, False),
    (403, Forbidden, False, False),
    (404, NotFound, False, False),
    (405, ResponseError, False, False),
    (408, ResponseError, None, True),
    (409, ResponseError, None, False),
    (413, ResponseError, False, False),
    (414, ResponseError, False, False),
    (419, ResponseError, False, False),
    (422, ValidationFailed, False, False),
    (425, ResponseError, None, True),
    (429, RateLimited, False, True),
    (499, ResponseError, None, True),
    (500, ServerError, None, True),
    (501, ServerError, None, True),
    (502, ServerError, None, True),
    (503, ServerError, None, True),
    (504, ServerError, None, True),
    (520, ServerError, None, True),
    (600, ServerError, None, True),
]


@pytest.mark.parametrize(("status", "kind", "processed", "transient"), STATUSES)
def test_each_status_has_its_error(
    connect: Connect, status: int, kind: type[ResponseError], processed: bool | None, transient: bool
) -> None:
    answer = httpx.Response(status, json={"message": "So it is"}, headers={"Retry-After": "7"})
    error: Any = raised(connect, answer, "request", "PUT", "/tasks/5")
    assert type(error) is kind
    assert (error.processed, error.transient) == (processed, transient)
    assert (error.asked, error.status_code, error.retry_after) == ("PUT /api/1.0/tasks/5", status, 7)
    asked = f"PUT /api/1.0/tasks/5: {status} {answer.reason_phrase}"
    assert str(error).startswith(asked)
    assert (error.method, error.path) == ("PUT", "/api/1.0/tasks/5")
    assert error.headers["retry-after"] == "7"
    if kind is not Redirected:
        assert error.server_message == "So it is"
    words, _, way_out = str(error).partition(". Whether it was done is not known")
    assert words.endswith(": So it is") or kind is Redirected
    assert bool(way_out) == (processed is None)


@pytest.mark.parametrize(("status", "kind"), [(status, kind) for status, kind, *_ in STATUSES])
def test_a_call_that_only_reads_was_never_processed(connect: Connect, status: int, kind: type[ResponseError]) -> None:
    error = raised(connect, httpx.Response(status, json={}), "get", 5)
    assert type(error) is kind
    assert error.processed is False


def test_what_was_asked_names_the_query_and_not_the_host(connect: Connect) -> None:
    error: Any = raised(connect, httpx.Response(400), "request", "GET", "/tasks?process_request_id=5&status=ACTIVE")
    assert error.asked == "GET /api/1.0/tasks?process_request_id=5&status=ACTIVE"
    assert str(error) == f"{error.asked}: 400 Bad Request"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"error": "Not Found"}', "Not Found"),
        ('{"message": "This action is unauthorized."}', "This action is unauthorized."),
        (
            '{"message": "The Name has already been taken.", "errors": {"name": ["taken"]}}',
            "The Name has already been taken.",
        ),
        ('{"error": "invalid_grant", "error_description": "Wrong.", "message": "Wrong, sorry."}', "Wrong, sorry."),
        ('{"error": "invalid_grant", "error_description": "Wrong."}', "Wrong."),
        ('{"message": "", "error": "Boom"}', "Boom"),
        ('{"message": {"a": 1}}', '{"message": {"a": 1}}'),
        ('["a", 1]', '["a", 1]'),
        ("<html><head><TITLE>\n502 Bad\n Gateway </title></head><body>x</body></html>", "502 Bad Gateway"),
        ("plain\n  text", "plain text"),
        ("\xff\xfe", "\xff\xfe"),
        ("", ""),
        ("a" * 400, "a" * 300 + "…"),
        ("[" * 100_000, "[" * 300 + "…"),
    ],
)
def test_the_servers_words_are_found_in_every_shape(connect: Connect, body: str, words: str) -> None:
    error: Any = raised(connect, httpx.Response(400, content=body.encode()), "get", 5)
    assert error.server_message == words
    assert str(error) == f"GET /api/1.0/requests/5?include=data: 400 Bad Request{': ' if words else ''}{words}"


@pytest.mark.parametrize(
    "words",
    [
        "\x1b[31mred\x1b[0m",
        "\x1b]0;title\x07",
        "a\u202egnp.exe",
        "zero\u200bwidth",
        "\x9b31m",
        "a\x00b\x08c",
        "x" * 5000,
    ],
)
@pytest.mark.parametrize(
    "shape", ['{"message": %s}', '{"errors": {"a": [%s]}, "message": "m"}', "<title>%s</title>", "%s"]
)
def test_the_servers_words_are_cut_and_move_no_terminal(connect: Connect, shape: str, words: str) -> None:
    body = shape % (json.dumps(words) if "{" in shape else words)
    for status in (400, 422):
        error: Any = raised(connect, httpx.Response(status, content=body.encode()), "get", 5)
        for text in (
            str(error),
            error.server_message,
            *(t for ts in getattr(error, "fields", {}).values() for t in ts),
        ):
            assert text.isprintable()
            assert len(text) < 450
            assert text


def test_what_a_server_says_beside_its_body_is_cut_and_moves_no_terminal(connect: Connect) -> None:
    odd = b"a\x1b[31m" + b"x" * 9000
    answer = httpx.Response(302, headers={"Location": "/" + "y" * 9000}, extensions={"reason_phrase": odd})
    error: Any = raised(connect, answer, "get", 5)
    assert str(error).isprintable()
    assert len(str(error)) < 450
    answer = httpx.Response(200, content=b"x", headers=[("Content-Type", odd.decode())])
    error = raised(connect, answer, "get", 5)
    assert str(error).isprintable()
    assert len(str(error)) < 250


@pytest.mark.parametrize("piece", ["<title>", "<title", "<title ", "<title></title", "</title>"])
def test_a_page_full_of_titles_costs_no_more_than_its_beginning(piece: str) -> None:
    """A search that begins anew at each of them would take hours."""
    words = server_message((piece * 1_000_000 + "<title>late</title>").encode())
    assert words.endswith("…")
    assert "late" not in words


def test_bytes_that_are_no_text_are_no_obstacle(connect: Connect) -> None:
    error: Any = raised(connect, httpx.Response(500, content=b"\xff\xfe\x00"), "get", 5)
    assert error.server_message.startswith("\N{REPLACEMENT CHARACTER}")


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"message": "m", "errors": {"name": ["a", "b"], "x": "c"}}, {"name": ["a", "b"], "x": ["c"]}),
        ({"message": "m"}, {}),
        ({"message": "m", "errors": ["a"]}, {}),
        (["a"], {}),
    ],
)
def test_a_422_has_the_messages_of_each_field(connect: Connect, body: Any, fields: Any) -> None:
    error: Any = raised(connect, httpx.Response(422, json=body), "complete", 5)
    assert type(error) is ValidationFailed
    assert error.fields == fields


@pytest.mark.parametrize(
    ("operation", "arguments", "thing"),
    [("get", [9999], "Request 9999"), ("cancel", [9999], "Request 9999"), ("complete", [88, {}], "task 88")],
)
def test_what_is_not_there_is_named(pm: Any, operation: str, arguments: list[Any], thing: str) -> None:
    with pytest.raises(NotFound, match=rf"^there is no {thing} that this token may see \(.* /api.*404 Not Found.*\)$"):
        getattr(pm, operation)(*arguments)


def test_a_page_of_another_server_does_not_say_that_something_is_not_there(connect: Connect) -> None:
    error = raised(connect, httpx.Response(404, html="<title>404 nginx</title>"), "get", 9999)
    assert error.message == "GET /api/1.0/requests/9999?include=data: 404 Not Found: 404 nginx"


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(404, html="<title>404 nginx</title>"),
        httpx.Response(405, text="Method Not Allowed"),
        httpx.Response(302, headers={"Location": "/login"}),
        httpx.Response(200, html="<title>Welcome</title>"),
    ],
    ids=lambda answer: str(answer.status_code),
)
def test_an_answer_that_no_processmaker_gives_points_to_doctor(connect: Connect, answer: httpx.Response) -> None:
    error = raised(connect, answer, "get", 5)
    assert error.hint == "To find out what is wrong with the address: processmaker doctor"
    assert str(error) == f"{error.message}. {error.hint}"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 422, 429, 500, 502, 503])
def test_an_answer_of_processmaker_does_not_point_to_doctor(connect: Connect, status: int) -> None:
    assert raised(connect, httpx.Response(status, json={"message": "m"}), "get", 5).hint is None


def test_the_engines_words_and_names_move_no_terminal(pm: Any, sandbox: Sandbox) -> None:
    sandbox.add_process("Fails", fails_with="\x1b[31m" + "x" * 5000)
    with pytest.raises(RequestFailed) as error:
        pm.start("Fails")
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 500


def test_narrower_errors_keep_the_facts_of_the_wider_one(make: Any, sandbox: Sandbox) -> None:
    closed: Any = provoked(TaskAlreadyClosed, make, sandbox)
    assert (closed.status_code, closed.fields, closed.server_message) == (422, {}, "Task already closed")
    refused: Any = provoked(CancelNotAllowed, make, sandbox)
    assert (refused.status_code, refused.asked) == (403, "PUT /api/1.0/requests/2")


def test_a_redirect_to_the_login_page_says_what_that_means(connect: Connect) -> None:
    answer = httpx.Response(302, headers={"Location": f"{URL}/login"}, html="<title>Redirecting</title>")
    error: Any = raised(connect, answer, "get", 5)
    assert error.location == f"{URL}/login"
    assert error.message.endswith(
        f"302 Found: a redirect to {URL}/login, the login page: the server took this call for a browser's, or base_url "
        "is not the API's"
    )


@pytest.mark.parametrize("status", [307, 308])
@pytest.mark.parametrize(
    ("location", "site"),
    [
        ("https://new.example.com/api/1.0/process_events/2?event=node_1", "https://new.example.com"),
        ("https://pm.example.com:8443/", "https://pm.example.com:8443"),
        ("//u:secret@new.example.com/x?token=secret", "https://new.example.com"),
        ("/pm/api/1.0/process_events/2?event=node_1", f"{URL}/pm"),
    ],
)
def test_a_redirect_that_keeps_the_method_comes_in_place_of_the_call_and_names_the_address(
    connect: Connect, status: int, location: str, site: str
) -> None:
    error: Any = raised(connect, httpx.Response(status, headers={"Location": location}), "start", 2, {})
    assert (type(error), error.processed, error.retryable) == (Redirected, False, False)
    assert error.hint == f"If the server moved there, set base_url to {site}."
    assert "secret" not in f"{error} {vars(error)}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "location",
    [
        "/requests/17",
        f"{URL}/api/1.0/process_events/2?event=node_1",
        "pm.example.com:8443/requests/17",
        "about:blank",
        "requests:17",
        "data:text/html,x",
        "http://[",
        "",
    ],
)
def test_any_other_redirect_after_a_start_leaves_it_unknown(connect: Connect, status: int, location: str) -> None:
    error = raised(connect, httpx.Response(status, headers={"Location": location}), "start", 2, {})
    assert type(error) is StartOutcomeUnknown
    assert type(error.wire_error) is Redirected


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("60", 60),
        (" 60 ", 60),
        ("Mon, 23 Nov 2026 22:14:30 GMT", 120),
        ("Mon, 23 Nov 2026 22:00:00 GMT", 0),
        ("Mon, 23 Nov 2026 23:14:30 +0100", 120),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("9" * 30, None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, START_OF_TIME) == seconds


def test_a_success_is_no_error() -> None:
    for status in (200, 201, 204, 206):
        assert error_of(status, "", {}, b"", method="GET", url=URL, now=START_OF_TIME) is None


# --- what happens on the way ----------------------------------------------------------------------------------------

ON_THE_WAY: dict[type[Exception], tuple[type[ProcessMakerError], bool | None]] = {
    # what httpx raises: what we raise, and whether a start may have been processed
    httpx.ConnectTimeout: (ConnectionFailed, False),
    httpx.PoolTimeout: (ConnectionFailed, False),
    httpx.ConnectError: (ConnectionFailed, False),
    httpx.ProxyError: (ConnectionFailed, False),
    httpx.ReadTimeout: (TimedOut, None),
    httpx.WriteTimeout: (TimedOut, None),
    httpx.ReadError: (ConnectionLost, None),
    httpx.WriteError: (ConnectionLost, None),
    httpx.CloseError: (ConnectionLost, None),
    httpx.RemoteProtocolError: (ConnectionLost, None),
    httpx.DecodingError: (ConnectionLost, None),
    httpx.TooManyRedirects: (ConnectionLost, None),
    httpx.LocalProtocolError: (ConfigurationError, False),
    httpx.UnsupportedProtocol: (ConfigurationError, False),
}


def leaves(kind: type[Exception]) -> Iterator[type[Exception]]:
    if not kind.__subclasses__():
        yield kind
    for narrower in kind.__subclasses__():
        yield from leaves(narrower)


def test_every_exception_of_httpx_is_known() -> None:
    assert set(leaves(httpx.RequestError)) == set(ON_THE_WAY)


@pytest.mark.parametrize("cause", ON_THE_WAY)
def test_each_exception_of_httpx_has_its_error(connect: Connect, cause: type[Exception]) -> None:
    kind, processed = ON_THE_WAY[cause]
    request = httpx.Request("PUT", f"{URL}/api/1.0/tasks/5", headers={"Authorization": "Bearer good-token"})
    problem = cause("it happened", request=request)  # type: ignore[call-arg]
    error: Any = raised(connect, problem, "complete", 5)
    assert (type(error), error.processed) == (kind, processed)
    assert error.__cause__ is error.__context__ is None, "httpx's exception holds the token of its request"
    if kind is not ConfigurationError:
        assert (error.transient, error.asked) == (True, "PUT /api/1.0/tasks/5")


def test_an_error_of_the_operating_system_is_one_of_ours(connect: Connect) -> None:
    assert type(raised(connect, OSError("No route to host"), "get", 5)) is ConnectionLost


def test_a_token_function_that_fails_is_not_taken_for_a_lost_connection(connect: Connect, sandbox: Sandbox) -> None:
    def token() -> str:
        raise FileNotFoundError("no token file")

    pm = connect(sandbox.url, token=token, transport=sandbox.transport())
    with pytest.raises(SignInError, match="the function given as token= raised FileNotFoundError") as error:
        pm.start(2, event="node_1")
    assert (error.value.processed, error.value.retryable) == (False, True)
    assert isinstance(error.value.__cause__, FileNotFoundError)
    assert sandbox.calls == []


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'"text"', b'{"data": 5}', b'{"id": "x"}', b"\xff"])
def test_a_success_that_is_not_what_was_promised_is_an_error(connect: Connect, body: bytes) -> None:
    error: Any = raised(connect, httpx.Response(200, content=body, headers={"content-type": "text/x"}), "get", 5)
    assert type(error) is UnreadableResponse
    assert f"not the JSON that was promised (text/x, {len(body)} bytes)" in str(error)


# --- what they have in common ---------------------------------------------------------------------------------------


def test_each_error_can_be_provoked() -> None:
    assert set(SCENES) == CLASSES - ABSTRACT


@pytest.mark.parametrize("kind", SCENES, ids=lambda kind: kind.__name__)
def test_each_error_says_whether_it_happened_and_survives_a_copy(
    make: Any, sandbox: Sandbox, kind: type[ProcessMakerError]
) -> None:
    error = provoked(kind, make, sandbox)
    assert error.processed in (True, False, None)
    assert error.transient in (True, False)
    assert str(error)
    assert "\n" not in str(error)
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(other) is kind
        assert str(other) == str(error)
        assert facts(other) == facts(error)


def facts(error: Any) -> dict[str, Any]:
    """What it carries, in a form that can be compared."""
    found = {**vars(error), "processed": error.processed, "transient": error.transient}
    if "wire_error" in found:
        found["wire_error"] = facts(found["wire_error"])
    return found


def fail(message: str) -> None:
    raise StartOutcomeUnknown(
        message, process_id=2, event="node_1", idempotency_key="order-1", wire_error=TimedOut("x")
    )


def test_an_error_comes_back_whole_from_another_process() -> None:
    with (
        ProcessPoolExecutor(1, get_context("spawn")) as pool,
        pytest.raises(StartOutcomeUnknown, match="lost") as error,
    ):
        pool.submit(fail, "lost").result()
    assert (error.value.process_id, error.value.idempotency_key, error.value.processed) == (2, "order-1", None)
    assert type(error.value.wire_error) is TimedOut


def test_errors_are_also_what_python_calls_them() -> None:
    assert issubclass(ConfigurationError, ValueError)
    assert issubclass(processmaker.InvalidData, ValueError)
    assert issubclass(processmaker.CannotStart, LookupError)
    assert issubclass(processmaker.WaitTimeout, TimeoutError)


def test_the_engines_messages_are_there_whatever_their_shape() -> None:
    request = Request(id=1, status="ERROR", name="x", errors=({"message": "a"}, {"body": "b"}))
    assert RequestFailed("", request=request).messages == ("a", "{'body': 'b'}")


def test_a_likely_cause_and_a_hint_follow_the_message_as_sentences() -> None:
    error = NotFound("404 Not Found")
    error.likely_cause = "it is not there"
    assert str(error) == error.message == "404 Not Found. Likely cause: it is not there"
    error.hint = "Look elsewhere."
    assert str(error) == "404 Not Found. Likely cause: it is not there. Look elsewhere."
    assert error.message == "404 Not Found. Likely cause: it is not there"


def tree_in_docstring() -> Iterator[tuple[str, str | None]]:
    """The names of the tree at the top of errors.py, each with the name above it."""
    above: list[str] = []
    for line in str(processmaker.errors.__doc__).splitlines():
        if found := re.match(r"    ([│├└─ ]*)([A-Z]\w+)", line):
            depth, name = len(found[1]) // 4, found[2]
            yield name, above[depth - 1] if depth else None
            above[depth:] = [name]


def test_the_tree_at_the_top_of_the_module_is_that_of_the_classes() -> None:
    bases = {kind.__name__: [base for base in kind.__mro__[1:] if base in CLASSES] for kind in CLASSES}
    assert dict(tree_in_docstring()) == {name: above[0].__name__ if above else None for name, above in bases.items()}


def test_every_error_is_a_public_name_of_the_package() -> None:
    assert {kind.__name__ for kind in CLASSES} <= set(processmaker.__all__)


def table_in_changelog() -> dict[str, str]:
    rows = re.findall(
        r"^\| `(\w+)` \| `(\w+)` \|", (Path(__file__).parents[2] / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE
    )
    return dict(rows)


def test_the_changelog_has_every_old_name() -> None:
    assert table_in_changelog() == processmaker.errors.RENAMED


@pytest.mark.parametrize("old", processmaker.errors.RENAMED)
@pytest.mark.parametrize("module", [processmaker, processmaker.errors], ids=["package", "module"])
def test_an_old_name_means_another_error_for_one_release_and_warns(module: Any, old: str) -> None:
    now = processmaker.errors.RENAMED[old]
    with pytest.warns(DeprecationWarning, match=f"{old} is {now} since 0.2.0") as warned:
        assert getattr(module, old) is getattr(processmaker, now)
    assert warned[0].filename == __file__
    assert old not in dir(module) or module is processmaker.errors
    with pytest.warns(DeprecationWarning, match=old) as warned:
        exec(f"from {module.__name__} import {old}")
    assert {warning.filename for warning in warned} == {"<string>"}


def test_a_name_that_never_was_is_not_there() -> None:
    for module in (processmaker, processmaker.errors):
        with pytest.raises(AttributeError, match="has no attribute 'NoSuchError'"):
            module.NoSuchError  # noqa: B018


# --- may it simply be tried again later? ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "retryable"),
    [
        (ConnectionFailed("refused"), True),
        (TimedOut("GET /requests", processed=False), True),
        (TimedOut("PUT /tasks/1"), False),
        (RateLimited("429"), True),
        (ServerError("503, maintenance", processed=False), True),
        (ServerError("503 of a gateway"), False),
        (SignInError("too many tries", retry_after=30.0), True),
        (SignInError("wrong password"), False),
        (StartOutcomeUnknown("with a key", idempotency_key="k"), True),
        (StartOutcomeUnknown("without"), False),
        (InvalidData("data.x is a set"), False),
        (NotFound("404"), False),
        (RequestFailed("failed"), False),
        (RequestCanceled("canceled"), False),
        (WaitTimeout("still ACTIVE", request_id=1), True),
    ],
    ids=lambda value: str(value),
)
def test_whether_the_same_call_may_simply_be_made_again_later(error: ProcessMakerError, retryable: bool) -> None:
    assert error.retryable is retryable
    assert pickle.loads(pickle.dumps(error)).retryable is retryable
    assert error.retry_after in (None, 30)
