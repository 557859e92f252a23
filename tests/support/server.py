"""A local HTTP server that misbehaves on purpose."""

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


class Server(http.server.ThreadingHTTPServer):
    """Serves `content` by path, and sends on what is in `moved`.

    Attributes:
        cut: number of bytes of each reply that are sent; claimed: number in its header; deaf: it ignores ranges.
        asked: the range that each request was for.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content: dict[str, bytes] = {}
        self.moved: dict[str, str] = {}
        self.cut: int | None = None
        self.claimed: str | None = None
        self.deaf = False
        self.asked: list[str | None] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        span = self.headers.get("Range")
        self.server.asked.append(span)
        if self.path in self.server.moved:
            self.send_response(302)
            self.send_header("Location", self.server.moved[self.path])
            return self.end_headers()
        body = self.server.content.get(self.path)
        if body is None:
            return self.send_error(404)
        start = int(span.removeprefix("bytes=").removesuffix("-")) if span and not self.server.deaf else 0
        if start and start >= len(body):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", self.server.claimed or str(len(body) - start))
        self.end_headers()
        self.wfile.write(body[start:][: self.server.cut])

    def log_message(self, format: str, *args: object) -> None: ...


@contextmanager
def serving() -> Iterator[Server]:
    """Run a server on a thread of its own."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server
