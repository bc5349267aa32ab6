"""Packages that record, mock or trace httpx see each call of either client: the transports under it are httpx's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx
import vcr
from conftest import Awaited, Connect
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from processmaker import StartOutcomeUnknown
from processmaker.sandbox import Sandbox
from processmaker.wire.call import run
from processmaker_api.api.processes import trigger_start_event
from processmaker_api.models.trigger_start_event_body import TriggerStartEventBody
from pytest_httpx import HTTPXMock

URL = "https://pm.example.com"
PATH = f"{URL}/api/1.0/process_events/4?event=node_1"
STARTED = {"id": 17, "status": "COMPLETED", "name": "Auto Approve", "process_id": 4}


def steps_of_a_start(pm: Any) -> tuple[Any, list[str]]:
    """The id that a start is answered with, and the steps before its first byte."""
    steps: list[str] = []

    async def sending() -> None:
        steps.append("sending")

    request = trigger_start_event.build_request(process_id=4, event="node_1", body=TriggerStartEventBody())
    call = pm._io.call(request, lambda answer: answer["id"], once=True, sending=sending)
    return (pm._runner.run(call) if isinstance(pm, Awaited) else run(call)), steps


def test_vcr_records_and_replays_each_call(connect: Connect, sandbox: Sandbox, tmp_path: Path) -> None:
    cassette = str(tmp_path / "start.yaml")
    with sandbox.serve() as url, vcr.use_cassette(cassette) as recorded:
        pm = connect(url, token=sandbox.token())
        assert pm.start(4, event="node_1").id == 1
        assert steps_of_a_start(pm) == (2, ["sending"])
        assert pm.get(1).status == "COMPLETED"
        pm.close()
    assert len(recorded) == 3
    with vcr.use_cassette(cassette, record_mode="none") as replayed:
        pm = connect(url, token=sandbox.token())
        assert pm.start(4, event="node_1").id == 1
        assert steps_of_a_start(pm) == (2, ["sending"])
        assert pm.get(1).status == "COMPLETED"
    assert replayed.all_played
    assert len(sandbox.requests) == 2


def test_respx_answers_each_call(connect: Connect) -> None:
    with respx.mock() as mock:
        route = mock.post(PATH).mock(side_effect=[httpx.Response(201, json=STARTED)] * 2 + [httpx.ReadTimeout])
        pm = connect(URL, token="a-token")
        assert pm.start(4, {"days": 3}, event="node_1").id == 17
        assert steps_of_a_start(pm) == (17, ["sending"])
        with pytest.raises(StartOutcomeUnknown):
            pm.start(4, event="node_1")
    assert [call.request.headers["authorization"] for call in route.calls] == ["Bearer a-token"] * 3


def test_pytest_httpx_answers_each_call(connect: Connect, httpx_mock: HTTPXMock) -> None:
    for _ in range(2):
        httpx_mock.add_response(method="POST", url=PATH, status_code=201, json=STARTED)
    httpx_mock.add_exception(httpx.ReadTimeout("slow"), url=f"{URL}/api/1.0/process_events/5?event=node_1")
    pm = connect(URL, token="a-token")
    assert pm.start(4, {"days": 3}, event="node_1").id == 17
    assert steps_of_a_start(pm) == (17, ["sending"])
    with pytest.raises(StartOutcomeUnknown):
        pm.start(5, event="node_1")
    assert len(httpx_mock.get_requests()) == 3


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    HTTPXClientInstrumentor().instrument(tracer_provider=provider)
    yield exporter
    HTTPXClientInstrumentor().uninstrument()


def test_opentelemetry_has_a_span_for_each_call(
    connect: Connect, sandbox: Sandbox, spans: InMemorySpanExporter
) -> None:
    with sandbox.serve() as url:
        pm = connect(url, token=sandbox.token())
        assert pm.start(4, event="node_1").id == 1
        assert steps_of_a_start(pm) == (2, ["sending"])
        pm.get(1)
        pm.close()
    seen = [dict(span.attributes or {}) for span in spans.get_finished_spans()]
    assert [attributes["http.method"] for attributes in seen] == ["POST", "POST", "GET"]
    assert [attributes["http.status_code"] for attributes in seen] == [201, 201, 200]
