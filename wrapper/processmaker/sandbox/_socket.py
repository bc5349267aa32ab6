"""The sandbox behind a real socket, for curl, Node or a command line."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import httpx

from ._transport import SocketChannel, run

if TYPE_CHECKING:
    from ._server import Sandbox

HOST_NAMES = ("127.0.0.1", "localhost", "[::1]")
"""The host names it answers. With any other, a web page could reach it through DNS rebinding."""


@contextmanager
def serving(sandbox: Sandbox, port: int, log: Callable[[str], None] | None) -> Iterator[str]:
    """Serve on 127.0.0.1 from a thread of its own; yields the URL."""
    with _Server(("127.0.0.1", port), _Handler) as server:
        server.sandbox, server.log = sandbox, log
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class _Server(ThreadingHTTPServer):
    sandbox: Sandbox
    log: Callable[[str], None] | None
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print no traceback if a client closes its connection."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or the body waits 40 ms for the headers to be acknowledged
    server: _Server

    def handle_call(self) -> None:
        host = self.headers.get("host", "")
        if host.rpartition(":")[0].lower() not in HOST_NAMES or not host.endswith(f":{self.server.server_port}"):
            text = f"This sandbox is not {host!r}: use its own address.\n"
            self._send(httpx.Response(421, headers={"connection": "close"}, text=text))
            return
        request = httpx.Request(
            self.command,
            f"http://{host}{self.path}",
            headers=list(self.headers.items()),
            content=self._body(),
        )
        sandbox = self.server.sandbox
        try:
            response = run(sandbox.answer(request, SocketChannel(sandbox.clock)))
        except httpx.TransportError as problem:
            # The connection ends without an answer; keeping it open would block the client's tests.
            self.close_connection = True
            if isinstance(problem, httpx.ReadTimeout):
                self._log("no answer")
            else:
                self._log("no answer: the connection is reset")
                # Closing with SO_LINGER 0 sends a reset. It is too late to refuse; this comes nearest.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
            return
        self._send(response)

    def _send(self, response: httpx.Response) -> None:
        self._log(str(response.status_code))
        self.send_response_only(response.status_code)
        for name, value in response.headers.items():
            if name != "content-length":
                self.send_header(name, value)
        if response.status_code not in (204, 304):
            self.send_header("content-length", str(len(response.content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.content)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_call  # noqa: N815

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("transfer-encoding", ""):
            return self._read(int(self.headers.get("content-length", 0)))
        body = b""
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            body += self._read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return body

    def _read(self, size: int) -> bytes:
        """Read so many bytes. ConnectionError if the client closed before: a web server passes on no partial body."""
        body = self.rfile.read(size)
        if len(body) < size:
            raise ConnectionError("the client went away")
        return body

    def _log(self, outcome: str) -> None:
        if log := self.server.log:
            time = f"{self.server.sandbox.clock.now().astimezone():%H:%M:%S}"
            path = "".join(character if character.isprintable() else "?" for character in self.path)
            log(f"{time} {self.command} {path} {outcome}")

    def log_message(self, *_: Any) -> None:
        """Print nothing; `_log` does."""
