"""Replaying what a real ProcessMaker said. A cassette that is not played to its end, or asked for more, fails."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import vcr
from vcr.cassette import Cassette
from vcr.persisters.filesystem import FilesystemPersister
from vcr.request import Request

CASSETTES = Path(__file__).parent / "cassettes"
VERSIONS = ("4.15.5", "4.12.2")


class _Joined:
    """Loads several recordings as one, in order: `a+b`."""

    @staticmethod
    def load_cassette(path: str, serializer: Any) -> tuple[list[Any], list[Any]]:
        requests: list[Any] = []
        responses: list[Any] = []
        for part in Path(path).name.split("+"):
            loaded = FilesystemPersister.load_cassette(Path(path).with_name(f"{part}.yaml"), serializer)
            requests += loaded[0]
            responses += loaded[1]
        return requests, responses

    @staticmethod
    def save_cassette(*_: Any) -> None:
        raise AssertionError("replaying never writes a recording")


def _same_query(ours: Request, recorded: Request) -> None:
    """Page 1 is what the server gives when no page is named."""
    assert [pair for pair in sorted(ours.query) if pair != ("page", "1")] == [
        pair for pair in sorted(recorded.query) if pair != ("page", "1")
    ]


def _same_body(ours: Request, recorded: Request) -> None:
    def read(request: Request) -> Any:
        body = request.body or b""
        try:
            return json.loads(body)
        except ValueError:
            return body

    assert read(ours) == read(recorded)


_vcr = vcr.VCR(record_mode="none", match_on=["method", "scheme", "host", "port", "path", "same_query", "same_body"])
_vcr.register_persister(_Joined)
_vcr.register_matcher("same_query", _same_query)
_vcr.register_matcher("same_body", _same_body)


@contextmanager
def replayed(version: str, *names: str) -> Iterator[Cassette]:
    """Answers come from these recordings of that ProcessMaker version, each exactly once; no socket connects."""
    no_sockets = mock.patch.object(socket.socket, "connect", side_effect=AssertionError("a replay connected"))
    with no_sockets, _vcr.use_cassette(str(CASSETTES / version / "+".join(names))) as cassette:
        yield cassette
        assert cassette.all_played, f"{names} of {version} were not played to their end"


def recordings(*names: str) -> list[Any]:
    """pytest parameters: each of these recordings in each version that has it; all there are, without names."""
    return [
        (path.parent.name, path.stem)
        for version in VERSIONS
        for path in sorted((CASSETTES / version).glob("*.yaml"))
        if not names or path.stem in names
    ]
