"""The sandbox behind a real socket, for what is not Python: curl, Node, a command line."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx


@contextmanager
def serving(sandbox: Callable[[httpx.Request], httpx.Response], port: int) -> Iterator[str]:
    """Serve on 127.0.0.1 from a thread of its own; gives the URL."""
    with _Server(("127.0.0.1", port), _Handler) as server:
        server.sandbox = sandbox
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
            server.hang_up()


class _Server(ThreadingHTTPServer):
    sandbox: Callable[[httpx.Request], httpx.Response]
    daemon_threads = False  # so that closing waits for them
    request_queue_size = 128

    def __init__(self, *args: Any) -> None:
        self._open: set[socket.socket] = set()
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End the connections that clients keep open."""
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is not worth a traceback."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or the body waits 40 ms for the headers to be acknowledged
    server: _Server

    def handle_call(self) -> None:
        request = httpx.Request(
            self.command,
            f"http://{self.headers.get('host', 'localhost')}{self.path}",
            headers=list(self.headers.items()),
            content=self._body(),
            extensions={"sandbox_wait": time.sleep},
        )
        try:
            response = self.server.sandbox(request)
        except (httpx.ReadError, httpx.ConnectError):
            # Closing with SO_LINGER 0 sends a reset. It is too late to refuse; this comes nearest.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
            return
        except httpx.ReadTimeout:
            # Hanging for ever would hang the client's tests too: the connection ends without an answer.
            self.close_connection = True
            return
        self.send_response_only(response.status_code)
        headers = {name: value for name, value in response.headers.items() if name != "content-length"}
        for name, value in headers.items():
            self.send_header(name, value)
        if response.status_code not in (204, 304):
            self.send_header("content-length", str(len(response.content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.content)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_call  # noqa: N815

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("transfer-encoding", ""):
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        body = b""
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return body

    def log_message(self, *_: Any) -> None:
        """Quiet."""
