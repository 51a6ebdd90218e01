"""A bucket on a real server that speaks S3, with a proxy in front that can fail and delay.

The server is moto's. It honours `If-None-Match: *` and `If-Match` with an ETag, and of many writers at once exactly one
wins: `test_stores.py` holds it to that.
"""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

START_TIMEOUT_S = 60.0
_HOP_HEADERS = {"connection", "keep-alive", "transfer-encoding", "content-length"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What befalls one request."""

    delay_s: float = 0.0
    status: int | None = None  # answered in place of the server's reply
    reaches_server: bool = True  # whether the server got the request all the same


FINE = Fault()
Plan = Callable[[str, str, int], Fault]  # method, path, how many requests of that method came before


@dataclass
class Bucket:
    """A bucket of its own; `root` is an archive in it. Set `plan` to make trouble."""

    port: int
    name: str = "bucket"
    plan: Plan = field(default=lambda _method, _path, _before: FINE)
    seen: dict[str, int] = field(default_factory=dict)  # requests by method
    faults: int = 0

    @property
    def root(self) -> str:
        return f"s3://{self.name}/an archive"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
        }


class S3Server:
    """The server and its proxy; a context manager."""

    def __init__(self) -> None:
        self._server_port = _free_port()
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self._server_port)]
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen(command, env={**os.environ}, **quiet)
        self._proxy = _Proxy(self._server_port)
        threading.Thread(target=self._proxy.serve_forever, daemon=True).start()

    def bucket(self) -> Bucket:
        """A new, empty bucket. The proxy follows the plan of the newest."""
        bucket = Bucket(port=self._proxy.server_port, name=f"bucket-{time.monotonic_ns()}")
        self._proxy.bucket = bucket
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            request = urllib.request.Request(f"http://127.0.0.1:{self._server_port}/{bucket.name}", method="PUT")
            try:
                with urllib.request.urlopen(request, timeout=10):
                    return bucket
            except (urllib.error.URLError, OSError):
                assert time.monotonic() < deadline, "the S3 server does not start"
                assert self._process.poll() is None, "the S3 server has ended"
                time.sleep(0.1)

    def __enter__(self) -> S3Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._proxy.shutdown()
        self._proxy.server_close()
        self._process.terminate()
        self._process.wait()


@contextmanager
def environment(bucket: Bucket) -> Iterator[None]:
    """This process reaches the bucket."""
    earlier = {name: os.environ.get(name) for name in bucket.environment}
    os.environ.update(bucket.environment)
    try:
        yield
    finally:
        for name, value in earlier.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)


class _Proxy(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, server_port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = server_port
        self.bucket = Bucket(port=0)
        self.lock = threading.Lock()

    def fault(self, method: str, path: str) -> Fault:
        with self.lock:
            before = self.bucket.seen.get(method, 0)
            self.bucket.seen[method] = before + 1
            fault = self.bucket.plan(method, path, before)
            self.bucket.faults += fault.status is not None
            return fault

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed leaves its connection broken."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Proxy

    def _forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        fault = self.server.fault(self.command, self.path)
        if fault.delay_s:
            time.sleep(fault.delay_s)
        status, headers, data = self._ask(body) if fault.reaches_server else (500, [], b"")
        if fault.status is not None:
            status, headers, data = fault.status, [], b"<Error><Code>InternalError</Code></Error>"
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("content-length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.upstream, timeout=60)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_HEADERS}
        connection.request(self.command, self.path, body=body, headers=headers)
        reply = connection.getresponse()
        data = reply.read()
        hop = _HOP_HEADERS - ({"content-length"} if self.command == "HEAD" else set())
        kept = [(name, value) for name, value in reply.getheaders() if name.lower() not in hop]
        connection.close()
        return reply.status, kept, data

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _forward

    def log_message(self, format: str, *args: Any) -> None:
        """The test says what it has to say."""


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
