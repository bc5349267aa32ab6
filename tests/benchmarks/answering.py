"""A minimal server in a process of its own, so that it is not what is measured: it reads no more of a call than where
it ends, and answers each with what the sandbox answered a start with, after a fixed time.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
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

    answer = b""
    delay = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.arrived = b""

    def data_received(self, data: bytes) -> None:
        self.arrived += data
        head, end, body = self.arrived.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        if end and len(body) >= int(length):
            self.arrived = b""
            if self.delay:
                asyncio.get_running_loop().call_later(self.delay, self.transport.write, self.answer)
            else:
                self.transport.write(self.answer)


def serve(answer: bytes, delay: float, certificate: str | None, pipe: Connection) -> None:
    async def main() -> None:
        Answering.answer, Answering.delay = answer, delay
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
        body = json.dumps(client.post(sandbox.url + PATH, json=DATA).json()).encode()
    head = f"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body
