"""A sandbox behind a raw socket, which can do to an answer whatever a network does."""

from __future__ import annotations

import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx
import trustme
from processmaker.sandbox import Sandbox

SHORT = 0.2
"""Seconds of a time-out that is to be over soon."""


Misdeed = Callable[[socket.socket, bytes], None]
"""What is done with a connection in place of sending the answer, which is given whole; then it is closed."""


class Wire:
    """A sandbox behind a socket, which does to the next starts what is asked of it."""

    def __init__(self, sandbox: Sandbox, tls: ssl.SSLContext | None = None) -> None:
        self.sandbox = sandbox
        self.misdeeds: list[Misdeed] = []
        self.manner: Misdeed = lambda connection, answer: connection.sendall(answer)
        """How answers are sent otherwise."""
        self.processes = True
        """Whether a start with a misdeed is carried out."""
        self.targets: list[str] = []
        """The request targets seen, such as `/api/1.0/requests?pmql=…`."""
        self.over = threading.Event()
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        self.connections: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        self.over.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listener.close()
        self.hang_up()
        for thread in self._threads[1:]:
            thread.join()

    def hang_up(self) -> None:
        """Closes the connections that clients keep."""
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self.over.is_set():
            with suppress(OSError):
                connection, _ = self._listener.accept()
                self.connections.append(connection)
                self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
                self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            if self._tls:
                place = self.connections.index(connection)
                connection = self.connections[place] = self._tls.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as stream:
                while request := self._read(stream):
                    misdeed = self.misdeeds.pop(0) if self.misdeeds and request.method == "POST" else None
                    answer = b"" if misdeed and not self.processes else written(self.sandbox(request))
                    if misdeed:
                        misdeed(connection, answer)
                        return
                    self.manner(connection, answer)

    def _read(self, stream: Any) -> httpx.Request | None:
        request_line = re.fullmatch(rb"([A-Z]+) (\S+) HTTP/1\.1\r\n", stream.readline())
        if not request_line:
            return None
        method, target = (part.decode("ascii") for part in request_line.groups())
        self.targets.append(f"{method} {target}")
        headers = []
        while line := stream.readline().strip():
            name, _, value = line.partition(b":")
            headers.append((name, value.strip()))
        content = stream.read(int(dict(headers).get(b"Content-Length", 0)))
        url = target if target.startswith("http") else self.sandbox.url + target.removeprefix("pm.example.com:443")
        return httpx.Request(method, url, headers=headers, content=content)


def written(response: httpx.Response) -> bytes:
    """The answer as it goes over the wire."""
    kept = {name: value for name, value in response.headers.items() if name != "content-length"}
    head = [f"HTTP/1.1 {response.status_code} {response.reason_phrase}"]
    head += [f"{name}: {value}" for name, value in {**kept, "content-length": str(len(response.content))}.items()]
    return "\r\n".join([*head, "", ""]).encode() + response.content


def reset(connection: socket.socket, _: bytes) -> None:
    """The connection breaks as where a machine in between gives up: closing with SO_LINGER 0 sends a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def reset_in_the_body(connection: socket.socket, answer: bytes) -> None:
    connection.sendall(answer[: answer.index(b"\r\n\r\n") + 10])
    reset(connection, answer)


def hang_up(_: socket.socket, __: bytes) -> None:
    """The connection ends in good order, without a word."""


def hang_up_in_the_body(connection: socket.socket, answer: bytes) -> None:
    connection.sendall(answer[: answer.index(b"\r\n\r\n") + 10])


def hang_up_after_the_id(connection: socket.socket, answer: bytes) -> None:
    connection.sendall(answer[: answer.index(b'"id":') + 10])


@contextmanager
def wired(sandbox: Sandbox, tls: ssl.SSLContext | None = None) -> Iterator[Wire]:
    wire = Wire(sandbox, tls)
    try:
        yield wire
    finally:
        wire.close()


def tls_for(authority: trustme.CA, name: str) -> ssl.SSLContext:
    """What a server presents: a certificate for `name`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context
