"""Fixture: a local server with every error that a real one has shown."""

from __future__ import annotations

import http.server
import re
import threading

import pytest


class Server(http.server.ThreadingHTTPServer):
    """Serves `files`, path to content.

    Each request takes the next of `plan` (an HTTP status, bytes to break off after).
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.plan: list[tuple[str, int]] = []
        self.ranges = True
        self.requests: list[tuple[str, str | None]] = []

    def url(self, name: str = "file") -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        expected = self.headers.get("Range")
        server.requests.append((self.path, expected))
        kind, value = server.plan.pop(0) if server.plan else ("serve", 0)
        content = server.files.get(self.path)
        if kind == "status" or content is None:
            return self.send_error(value if kind == "status" else 404)
        start = int(re.fullmatch(r"bytes=(\d+)-", expected)[1]) if expected and server.ranges else 0
        if start >= len(content):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        body = content[start:]
        self.wfile.write(body[:value] if kind == "break" else body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server():
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()
