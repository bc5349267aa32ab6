"""A minimal server in a process of its own, so that it is not what is measured: it reads no more of a call than where
it ends. After a fixed time it answers a start as the sandbox did, each with another id, and a look-up with nothing.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from multiprocessing.connection import Connection
from typing import Any

import httpx
from processmaker.sandbox import Sandbox

DATA: dict[str, Any] = {"employee": "Ana", "days": 3}
PROCESS, EVENT = 4, "node_1"
PATH = f"/api/1.0/process_events/{PROCESS}?event={EVENT}"
HEADERS = {"Authorization": "Bearer t", "Accept": "application/json"}


class Answering(asyncio.Protocol):
    """One connection."""

    before = after = b""
    """The answer to a start, around its id."""
    delay = 0.0
    ids = count(10**9)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.arrived = b""

    def data_received(self, data: bytes) -> None:
        self.arrived += data
        head, end, body = self.arrived.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        if end and len(body) >= int(length or 0):
            self.arrived = b""
            answer = NOTHING if head.startswith(b"GET") else self.before + str(next(self.ids)).encode() + self.after
            if self.delay:
                asyncio.get_running_loop().call_later(self.delay, self.transport.write, answer)
            else:
                self.transport.write(answer)


def serve(answer: bytes, delay: float, certificate: str | None, pipe: Connection) -> None:
    async def main() -> None:
        Answering.before, _, Answering.after = answer.partition(b"1234567890")
        Answering.delay = delay
        tls = None
        if certificate:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(certificate)
        server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0, backlog=1024, ssl=tls)
        pipe.send(server.sockets[0].getsockname()[1])
        await asyncio.to_thread(pipe.recv)

    asyncio.run(main())


@contextmanager
def server(delay: float = 0.0, certificate: str | None = None) -> Iterator[str]:
    """The URL of such a server.

    Args:
        delay: seconds that it takes over each answer.
        certificate: a file of a private key and its certificate, with which it speaks TLS.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(answer(), delay, certificate, theirs))
    process.start()
    try:
        yield f"{'https' if certificate else 'http'}://127.0.0.1:{ours.recv()}"
    finally:
        ours.send("over")
        process.join()


def answer() -> bytes:
    """The answer to a start, as it goes over the wire."""
    sandbox = Sandbox()
    with httpx.Client(transport=sandbox.transport(), headers={"Authorization": f"Bearer {sandbox.token()}"}) as client:
        started = client.post(sandbox.url + PATH, json=DATA).json()
    return written("201 Created", {**started, "id": 1234567890})


def written(status: str, answer: object) -> bytes:
    body = json.dumps(answer).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


NOTHING = written("200 OK", {"data": [], "meta": {"total": 0, "last_page": 1}})
