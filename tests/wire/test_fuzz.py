"""Whatever a server may answer: only ProcessMakerError comes out, and a Request that was started is never lost.

hypothesis makes up statuses, headers and bodies, and breaks connections, also in the middle of a body. It always makes
up the same ones, so that this file passes or fails alike on every machine.
"""

from __future__ import annotations

import asyncio
import gzip
import inspect
import json
import logging
import pickle
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any

import httpx
import pytest
from conftest import START_OF_TIME
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from processmaker import (
    AsyncProcessMaker,
    ProcessMaker,
    ProcessMakerError,
    Request,
    RequestFailed,
    StartOutcomeUnknown,
)
from processmaker.sandbox import Clock, Sandbox
from processmaker.wire.salvage import salvaged_id

thorough = settings(
    max_examples=300,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)

SITE = "https://pm.example.com"
AT_MOST = 25
"""Rows of a list that are looked at."""


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


# What a server may answer

Headers = list[tuple[bytes, bytes]]
Problem = Callable[[], Exception]


class Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """The bytes of a body; or two parts of them, and then the end of the connection."""

    def __init__(self, content: bytes, problem: Problem | None) -> None:
        self.content = content
        self.problem = problem

    def __iter__(self) -> Iterator[bytes]:
        if not self.problem:
            yield self.content
            return
        yield self.content[:10]
        yield self.content[10:]
        raise self.problem()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self:
            yield part


class Answer:
    """One answer; with `problem` and no status, none at all."""

    def __init__(
        self, status: int | None, headers: Headers, content: bytes = b"", problem: Problem | None = None
    ) -> None:
        self.status, self.headers, self.content, self.problem = status, headers, content, problem

    def __call__(self) -> httpx.Response:
        if self.status is None:
            assert self.problem
            raise self.problem()
        return httpx.Response(self.status, headers=self.headers, stream=Body(self.content, self.problem))

    def __repr__(self) -> str:
        return f"Answer({self.status!r}, {self.headers!r}, {self.content!r}, {self.problem!r})"

    @property
    def not_processed(self) -> bool:
        """Whether a start may be sent again, or with other ids, after this."""
        if self.status is None:
            nothing_sent = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
            return self.problem is not None and isinstance(self.problem(), nothing_sent)
        return self.status in (403, 404, 429, 503)

    @property
    def request_id(self) -> int | None:
        """The id in the answer to a start, where somebody who reads with care finds one."""
        if self.status is None or not 200 <= self.status < 300:
            return None
        content = self.content
        if content[:2] == b"\x1f\x8b" and [value for name, value in self.headers if name == b"content-encoding"] == [
            b"gzip"
        ]:
            content = gzip.decompress(content)
        try:
            body = json.loads(content)
        except (ValueError, RecursionError):
            return None
        number = body.get("id") if isinstance(body, dict) else None
        if isinstance(number, str) and number.isascii() and number.isdecimal() and len(number) < 20:
            number = int(number)
        return number if type(number) is int and 0 < number < 2**63 else None


def every_problem() -> list[Problem]:
    """One of each class of httpx's exceptions, and what the system itself may raise."""
    request = httpx.Request("POST", SITE)
    problems: list[Problem] = [partial(OSError, "Too many open files"), partial(ConnectionResetError, 104, "reset")]
    for kind in vars(httpx).values():
        if not (inspect.isclass(kind) and issubclass(kind, Exception)) or kind is httpx.CookieConflict:
            continue  # no cookie is kept
        if issubclass(kind, httpx.HTTPStatusError):
            problems.append(partial(kind, "boom", request=request, response=httpx.Response(500, request=request)))
        elif "message" in inspect.signature(kind).parameters:
            problems.append(partial(kind, "boom"))
        else:
            problems.append(kind)
    return problems


def recorded_bodies() -> list[Any]:
    """The sandbox's answers to each operation, as JSON."""
    sandbox = Sandbox(clock=Clock(START_OF_TIME))
    bodies = []
    headers = {"Authorization": f"Bearer {sandbox.token()}", "Accept": "application/json"}
    with httpx.Client(base_url=f"{sandbox.url}/api/1.0", headers=headers, transport=sandbox.transport()) as http:
        bodies.append(http.post("/process_events/2?event=node_1", json={"_idempotency_key": "k"}).json())
        paths = ("/start_processes", "/requests?include=summary,data", "/requests/1?include=data", "/tasks")
        bodies += [http.get(path).json() for path in paths]
        bodies.append(http.put("/tasks/2", json={"status": "COMPLETED", "data": {}}).json())
    return bodies


RECORDED = recorded_bodies()

wild_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=2**63, max_value=10**30)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["", "17", "2026-11-23T22:12:30+00:00", "9" * 30, "\ud800", "\0", "ERROR", "COMPLETED"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "data", "x"]), inner, max_size=3)
    ),
    max_leaves=5,
)


@st.composite
def near_misses(draw: st.DrawFn) -> Any:
    """A recorded body with one or two values, at any depth, replaced or gone."""
    body = json.loads(json.dumps(draw(st.sampled_from(RECORDED))))
    for _ in range(draw(st.integers(1, 2))):
        holder = body
        while True:
            keys: Sequence[Any] = sorted(holder) if isinstance(holder, dict) else range(len(holder))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(holder[key], dict | list) and holder[key] and draw(st.booleans()):
                holder = holder[key]
                continue
            if draw(st.booleans()):
                holder[key] = draw(wild_json)
            else:
                del holder[key]
            break
    return body


deep = st.sampled_from(
    [
        "[" * 100_000,
        '{"id": 17, "data": ' + "[" * 100_000,
        '{"id": 17, "data": ' + "[" * 20_000 + "]" * 20_000 + "}",
        '{"data": ' + '{"a":' * 20_000 + "1" + "}" * 20_000 + ', "id": 17}',
        '{"id": 17, "data": ' + "[" * 600 + "]" * 600 + "}",
        '{"id": ' + "9" * 5_000 + "}",
        '{"data": {"n": ' + "9" * 5_000 + '}, "id": 17}',
        '{"id": 17, "case_number": NaN, "data": {"a": Infinity, "b": "\\ud800"}}',
    ]
)
as_text = (near_misses() | wild_json).map(json.dumps) | st.sampled_from(RECORDED).map(json.dumps) | deep
bodies = st.one_of(
    st.builds(str.encode, as_text, st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-32"])),
    st.builds(lambda text, share: text[: int(share * len(text))].encode(), as_text, st.floats(0, 1)),
    as_text.map(lambda text: gzip.compress(text.encode())),
    st.binary(max_size=60),
    st.just(b"<html><title>502 Bad Gateway</title></html>"),
)
header_values = st.one_of(
    st.sampled_from(
        [
            b"application/json",
            b"text/html; charset=utf-16",
            b"text/html; charset=no-such",
            b"text/html; charset=undefined",
            b"application/json; charset=\xff",
            b"gzip",
            b"deflate",
            b"br, gzip",
            b"identity",
            b"0",
            b"3600",
            b"99999999999999999999",
            b"-1",
            b"1e400",
            b"Mon, 23 Nov 2026 22:13:00 GMT",
            b"Mon, 99 Nov 2026 99:13:00 GMT",
            b"Mon, 23 Nov 0001 00:00:00 +9999",
            b"/login",
            b"https://[",
            b"https://exa\x00mple.com",
            b"//",
            b"http://\xff\xfe",
            b"https://xn--/",
            b"mailto:a@example.com",
            b"a=b; Expires=Mon, 99 Foo 9999999 99:99:99 GMT; Max-Age=x; Domain=.; Path=",
            b"=; ;;; \xff=\xfe",
        ]
    ),
    st.binary(max_size=12),
)
headers = st.lists(
    st.tuples(
        st.sampled_from(
            [b"content-type", b"content-encoding", b"retry-after", b"location", b"set-cookie", b"etag", b"x-cache"]
        ),
        header_values,
    ),
    max_size=3,
)
statuses = st.integers(100, 999) | st.sampled_from([200, 201, 200, 201, 202, 204, 302, 401, 403, 404, 422, 429, 503])
problems = st.sampled_from(every_problem())
breaks = st.sampled_from(
    [
        None,
        partial(httpx.ReadTimeout, "The read operation timed out"),
        partial(httpx.ReadError, "[Errno 104] Connection reset by peer"),
        partial(httpx.RemoteProtocolError, "peer closed connection without sending complete message body"),
    ]
)
answers = st.one_of(
    st.builds(Answer, statuses, headers, bodies),
    st.builds(Answer, st.just(200), st.just([(b"content-type", b"application/json")]), bodies),
    st.builds(Answer, st.just(201), headers, bodies, breaks),
    st.builds(Answer, st.none(), st.just([]), st.just(b""), problems),
)
scripts = st.lists(answers, min_size=1, max_size=6)

# What is done with such a server

Call = Callable[[Any], Any]

NOT_STARTS: dict[str, Call] = {
    "processes": lambda pm: pm.processes(),
    "find": lambda pm: pm.find("k", process=2),
    "find by name": lambda pm: pm.find("k", process="Leave Request"),
    "get": lambda pm: pm.get(1),
    "requests": lambda pm: pm.requests(include=["data"]),
    "tasks": lambda pm: pm.tasks(1),
    "complete": lambda pm: pm.complete(1, {"approved": True}),
    "cancel": lambda pm: pm.cancel(1),
    "wait": lambda pm: pm.wait(1, timeout=0),
    "wait for a task": lambda pm: pm.wait(1, timeout=3, until="task"),
    "watch": lambda pm: pm.watch(1, timeout=3),
}
STARTS: dict[str, Call] = {
    "one HTTP request": lambda pm: pm.start(2, event="node_1"),
    "by name": lambda pm: pm.start("Leave Request", {"days": 3}),
    "with a key": lambda pm: pm.start(2, event="node_1", idempotency_key="k"),
    "with a key, without a first look": lambda pm: pm.start(2, event="node_1", idempotency_key="k"),
}


class Server:
    """Gives the answers of a script, and is gone afterwards."""

    def __init__(self, script: Sequence[Answer]) -> None:
        self.script = iter(script)
        self.starts: list[Answer] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        answer = next(self.script, Answer(None, [], problem=partial(httpx.ConnectError, "Connection refused")))
        if request.method == "POST":
            self.starts.append(answer)
        return answer()

    async def answer(self, request: httpx.Request) -> httpx.Response:
        return self(request)


def told(pm: ProcessMaker, call: Call) -> Any:
    """What the call returns, or the ProcessMakerError it raises; anything else fails the test."""
    try:
        result = call(pm)
        return list(islice(result, AT_MOST)) if isinstance(result, Iterator) else result
    except ProcessMakerError as error:
        return error


async def told_async(pm: AsyncProcessMaker, call: Call) -> Any:
    """The same with the async client."""
    try:
        result = call(pm)
        if not inspect.isasyncgen(result):
            return await result
        items = []
        async for item in result:
            items.append(item)
            if len(items) == AT_MOST:
                break
        await result.aclose()
        return items
    except ProcessMakerError as error:
        return error


def outcome_of(server: Server, call: Call) -> Any:
    with ProcessMaker(SITE, token="t", transport=httpx.MockTransport(server)) as pm:
        pm._io.clock = Clock(START_OF_TIME)
        return told(pm, call)


async def outcome_of_async(server: Server, call: Call) -> Any:
    async with AsyncProcessMaker(SITE, token="t", transport=httpx.MockTransport(server.answer)) as pm:
        pm._io.clock = Clock(START_OF_TIME)
        return await told_async(pm, call)


def check(outcome: Any) -> None:
    if isinstance(outcome, ProcessMakerError):
        assert outcome.processed in (True, False, None)
        assert str(pickle.loads(pickle.dumps(outcome))) == str(outcome)


def check_start(outcome: Any, starts: Sequence[Answer]) -> None:
    check(outcome)
    assert all(answer.not_processed for answer in starts[:-1]), "sent again although it may have been processed"
    if not starts:
        return
    request_id = starts[-1].request_id
    if request_id is not None:
        assert known_id(outcome) == request_id
    elif starts[-1].status in (200, 201) and isinstance(outcome, ProcessMakerError):
        assert isinstance(outcome, StartOutcomeUnknown | RequestFailed)


def known_id(outcome: Any) -> int | None:
    """The id of the Request that the caller gets to know."""
    if isinstance(outcome, RequestFailed):
        return outcome.request.id
    if isinstance(outcome, StartOutcomeUnknown):
        return outcome.request_id
    return outcome.id if isinstance(outcome, Request) else None


@thorough
@given(scripts, st.sampled_from(list(NOT_STARTS.values())))
def test_whatever_the_server_answers_only_our_errors_come_out(script: list[Answer], call: Call) -> None:
    check(outcome_of(Server(script), call))
    check(asyncio.run(outcome_of_async(Server(script), call)))


@thorough
@given(scripts, st.sampled_from(list(STARTS.values())))
def test_whatever_the_server_answers_to_a_start_its_request_is_not_lost(script: list[Answer], call: Call) -> None:
    server = Server(script)
    check_start(outcome_of(server, call), server.starts)
    server = Server(script)
    check_start(asyncio.run(outcome_of_async(server, call)), server.starts)


@pytest.mark.parametrize("problem", every_problem(), ids=lambda problem: type(problem()).__name__)
@pytest.mark.parametrize("call", [*NOT_STARTS.values(), *STARTS.values()], ids=[*NOT_STARTS, *STARTS])
def test_every_exception_of_httpx_becomes_one_of_ours(problem: Problem, call: Call) -> None:
    script = [Answer(None, [], problem=problem)] * 9
    for outcome in (
        outcome_of(Server(script), call),
        asyncio.run(outcome_of_async(Server(script), call)),
    ):
        assert isinstance(outcome, ProcessMakerError)
        check(outcome)


@pytest.mark.parametrize(
    ("body", "request_id"),
    [
        ('{"id": 17, "na', 17),
        ('{"id": 17}', 17),
        ('{"id": "17", ', 17),
        ('{"do_not_sanitize": ["{", "id"], "id": 17,', 17),
        ('{"user": {"id": 5}, "id": 17}', 17),
        ('{"user": {"id": 5}, "id": 17,', None),
        ('{"name": "{\\"id\\": 5, ", "id": 17,', 17),
        ('\ufeff {"n": 1e999, "m": NaN, "id": 17,', 17),
        ('{"id": 17', None),
        ('{"id": 1', None),
        ('{"id": 17 ', None),
        ('{"id": "17', None),
        ('{"id": 1.5, ', None),
        ('{"id": null, ', None),
        ('{"id": {"id": 5}, ', None),
        ('{"id": [5], ', None),
        ('{"id": 1 7, ', None),
        ('{"user": {"id": 5}, "na', None),
        ('{"tags": [{"id": 5}, {"id": 6}], "na', None),
        ('{"name": "\\"id\\": 5, ', None),
        ('{"name": "id", "value": 5, ', None),
        ('{"name": "unknown"} {"id": 5}', None),
        ('[{"id": 5}, ', None),
        ('oops {"id": 5}', None),
        ("", None),
    ],
)
def test_only_a_whole_id_that_stands_directly_in_the_object_is_taken(body: str, request_id: int | None) -> None:
    assert salvaged_id(body.encode()) == request_id


@pytest.mark.parametrize(
    "body",
    [
        '{"id": 17, "data": ' + "[" * 20_000 + "]" * 20_000 + "}",
        '{"n": ' + "9" * 5_000 + ', "id": 17}',
    ],
    ids=["deep after it", "a number of 5,000 digits before it"],
)
def test_an_id_is_kept_where_python_refuses_to_read_the_rest(body: str) -> None:
    with pytest.raises((ValueError, RecursionError)):
        json.loads(body)
    outcome = outcome_of(Server([Answer(201, [], body.encode())]), STARTS["one HTTP request"])
    assert isinstance(outcome, StartOutcomeUnknown)
    assert outcome.request_id == 17


@pytest.mark.parametrize(
    "problem",
    [None, partial(httpx.ReadError, "reset"), partial(httpx.ReadTimeout, "timed out")],
    ids=["short body", "connection reset", "time-out"],
)
def test_an_answer_cut_off_at_any_byte_tells_the_right_request_or_none(problem: Problem | None) -> None:
    sandbox = Sandbox()
    headers = {"Authorization": f"Bearer {sandbox.token()}", "Accept": "application/json"}
    with httpx.Client(base_url=f"{SITE}/api/1.0", headers=headers, transport=sandbox.transport()) as http:
        for _ in range(17):
            content = http.post("/process_events/2?event=node_1").content
    whole_from = content.index(b'"id":17,') + len(b'"id":17,')
    arriving: dict[str, Answer] = {}

    def server(request: httpx.Request) -> httpx.Response:
        return arriving["POST"]() if request.method == "POST" else sandbox(request)

    async def serve(request: httpx.Request) -> httpx.Response:
        return server(request)

    def right_or_none(outcome: Any, cut: int) -> None:
        assert isinstance(outcome, Request if cut >= whole_from else StartOutcomeUnknown)
        assert known_id(outcome) == (17 if cut >= whole_from else None)

    start = STARTS["one HTTP request"]
    with ProcessMaker(SITE, token=sandbox.token(), transport=httpx.MockTransport(server)) as pm:
        for cut in range(0, len(content), 1 if problem is None else 7):
            arriving["POST"] = Answer(201, [], content[:cut], problem)
            right_or_none(told(pm, start), cut)

    async def main() -> None:
        async with AsyncProcessMaker(SITE, token=sandbox.token(), transport=httpx.MockTransport(serve)) as pm:
            for cut in range(0, len(content), 7):
                arriving["POST"] = Answer(201, [], content[:cut], problem)
                right_or_none(await told_async(pm, start), cut)

    asyncio.run(main())


def test_the_state_of_another_request_is_not_taken_for_the_one_that_was_started() -> None:
    started, other = RECORDED[0] | {"id": 17}, json.dumps(RECORDED[0]).encode()
    server = Server([Answer(201, [], json.dumps(started).encode()[:-1]), *[Answer(200, [], other)] * 9])
    outcome = outcome_of(server, STARTS["one HTTP request"])
    assert isinstance(outcome, StartOutcomeUnknown)
    assert outcome.request_id == 17
