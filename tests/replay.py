"""Replaying what a real ProcessMaker said. A cassette that is not played to its end, or asked for more, fails."""

from __future__ import annotations

import json
import re
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
_FINGERPRINT = "_idempotency_fingerprint"


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


_PAGING = {"per_page", "order_by", "order_direction"}


def _same_query(ours: Request, recorded: Request) -> None:
    """Page 1 is what the server gives if no page is named. Paging counts only if the recording names it, too."""
    named = {name for name, _ in recorded.query}

    def compared(request: Request) -> list[tuple[str, str]]:
        return sorted(
            (name, _one_key(value) if name == "pmql" else value)
            for name, value in request.query
            if (name, value) != ("page", "1") and (name in named or name not in _PAGING)
        )

    assert compared(ours) == compared(recorded)


def _one_key(pmql: str) -> str:
    """Older recordings look for a key with `= "k"`, newer ones with `IN ["k"]`."""
    return re.sub(r'(?<!NOT )\bIN \[("[^"]*")\]', r"= \1", pmql)


def _same_body(ours: Request, recorded: Request) -> None:
    def read(request: Request) -> Any:
        body = request.body or b""
        try:
            return json.loads(body)
        except ValueError:
            return re.sub(rb"^--[0-9a-f]{32}", b"--boundary", body, flags=re.MULTILINE)  # of a form with a file

    ours_read, recorded_read = read(ours), read(recorded)
    # Recordings from before the fingerprint was sent have none.
    if isinstance(ours_read, dict) and isinstance(recorded_read, dict) and _FINGERPRINT not in recorded_read:
        ours_read.pop(_FINGERPRINT, None)
    assert ours_read == recorded_read


_vcr = vcr.VCR(record_mode="none", match_on=["method", "scheme", "host", "port", "path", "same_query", "same_body"])
_vcr.register_persister(_Joined)
_vcr.register_matcher("same_query", _same_query)
_vcr.register_matcher("same_body", _same_body)


@contextmanager
def replayed(version: str, *names: str, whole: bool = True) -> Iterator[Cassette]:
    """Answers come from these recordings of that ProcessMaker version, each exactly once; no socket connects.

    Unless `whole` is False, all of them have to be asked for.
    """
    no_sockets = mock.patch.object(socket.socket, "connect", side_effect=AssertionError("a replay connected"))
    with no_sockets, _vcr.use_cassette(str(CASSETTES / version / "+".join(names))) as cassette:
        yield cassette
        assert cassette.all_played or not whole, f"{names} of {version} were not played to their end"


def recordings(*names: str) -> list[Any]:
    """pytest parameters: each of these recordings in each version that has it; all there are, without names."""
    return [
        (path.parent.name, path.stem)
        for version in VERSIONS
        for path in sorted((CASSETTES / version).glob("*.yaml"))
        if not names or path.stem in names
    ]
