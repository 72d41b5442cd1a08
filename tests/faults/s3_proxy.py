"""A proxy that breaks what goes through it, in front of a real S3 server or REST catalog.

Belongs here: faults of the wire and of the server, scripted or seeded. Does not: any answer of its
own making but the errors S3 is known for. Clients sign for the proxy's address and the server
checks that signature, because the Host header goes through unchanged.
"""

from __future__ import annotations

import http.client
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

_HOP = {"connection", "keep-alive", "transfer-encoding", "expect", "te", "upgrade", "trailer"}
_CODES = {500: "InternalError", 503: "SlowDown", 404: "NoSuchKey", 403: "AccessDenied"}


@dataclass(frozen=True)
class Request:
    """A request as it came, and what became of it: the server's status, the fault's name."""

    method: str
    path: str
    query: dict[str, list[str]]
    status: int = 0
    fault: str = ""
    byte_range: str = ""

    @property
    def is_listing(self) -> bool:
        return self.method == "GET" and "list-type" in self.query


@dataclass
class Rule:
    """A fault for the requests that match, at most `times` of them, each with probability p."""

    fault: str
    matches: Callable[[Request], bool]
    times: int | None = None
    p: float = 1.0
    status: int = 503
    after: int = 0
    seconds: float = 0.0


@dataclass
class FaultyS3:
    """The proxy's switches and its log; safe to use while requests are under way."""

    upstream: str
    endpoint: str = ""
    rules: list[Rule] = field(default_factory=list)
    log: list[Request] = field(default_factory=list)
    _random: random.Random = field(default_factory=lambda: random.Random(0))
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _listings: dict[str, tuple[int, list[tuple[str, str]], bytes]] = field(default_factory=dict)

    def add(
        self, fault: str, *, method: str = "", path: str = "", where: object = None, **how: object
    ) -> Rule:
        """Add a fault: status, cut, reset, delay, lose_response, flip or stale_listing.

        method, path: a request matches that has this method and this text in its path.
        where: a predicate of the Request instead. how: times, p, status, after (bytes), seconds.
        """

        def matches(request: Request) -> bool:
            if callable(where):
                return bool(where(request))
            return (not method or request.method == method) and path in request.path

        rule = Rule(fault, matches, **how)  # type: ignore[arg-type]
        with self._lock:
            self.rules.append(rule)
        return rule

    def at_random(self, p: float, seed: int, *faults: str, **how: object) -> None:
        """Break requests with probability p in all: errors, cuts and resets, seeded."""
        self._random.seed(seed)
        kinds = faults or ("status", "cut", "reset", "lose_response")
        for n, fault in enumerate(kinds):
            # each is tried only where the ones before it did not strike
            self.add(fault, p=p / len(kinds) / (1 - n * p / len(kinds)), after=100, **how)

    def clear(self) -> None:
        """Let everything through, and forget the log."""
        with self._lock:
            self.rules.clear()
            self.log.clear()

    def count(self, method: str = "", path: str = "") -> int:
        """Return how many requests with this method and this text in their path came."""
        with self._lock:
            return sum((not method or r.method == method) and path in r.path for r in self.log)

    def fault_for(self, request: Request) -> Rule | None:
        """Return the fault that strikes a request, and count it."""
        with self._lock:
            for rule in self.rules:
                if rule.times == 0 or not rule.matches(request):
                    continue
                if rule.p < 1.0 and self._random.random() >= rule.p:
                    continue
                if rule.times is not None:
                    rule.times -= 1
                return rule
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: FaultyS3
    server: _Server

    def log_message(self, *_: object) -> None:
        return

    def handle_one_request(self) -> None:
        with suppress(ConnectionError, TimeoutError):
            super().handle_one_request()
            return
        self.close_connection = True

    def _handle(self) -> None:
        proxy = self.server.proxy
        parts = urlsplit(self.path)
        query = parse_qs(parts.query, keep_blank_values=True)
        byte_range = self.headers.get("Range", "")
        request = Request(self.command, unquote(parts.path), query, byte_range=byte_range)
        body = self._body()
        rule = proxy.fault_for(request)
        fault = rule.fault if rule else ""
        status = 0
        try:
            if rule and fault == "delay":
                time.sleep(rule.seconds)
            if rule and fault == "reset":
                self._reset()
                return
            if rule and fault == "status":
                status = rule.status
                self._error(status)
                return
            status, headers, answer = self._forward(body)
            if request.is_listing:
                if fault == "stale_listing":
                    status, headers, answer = proxy._listings.get(
                        self.path, (status, headers, answer)
                    )
                else:
                    proxy._listings.setdefault(self.path, (status, headers, answer))
            if rule and fault == "flip" and len(answer) > rule.after:
                at = rule.after
                answer = answer[:at] + bytes([answer[at] ^ 1]) + answer[at + 1 :]
            if rule and fault == "lose_response":
                self._error(rule.status)
                return
            self._answer(status, headers, answer, rule if fault == "cut" else None)
        finally:
            seen = replace(request, status=status, fault=fault)
            with proxy._lock:
                proxy.log.append(seen)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _handle  # noqa: N815

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        at = urlsplit(self.server.proxy.upstream)
        connection = http.client.HTTPConnection(at.hostname or "", at.port or 80, timeout=60)
        try:
            connection.putrequest(
                self.command, self.path, skip_host=True, skip_accept_encoding=True
            )
            for name, value in self.headers.items():
                if name.lower() not in _HOP and name.lower() != "content-length":
                    connection.putheader(name, value)
            if body or self.command in ("PUT", "POST"):
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body or None)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def _answer(
        self, status: int, headers: list[tuple[str, str]], body: bytes, cut: Rule | None
    ) -> None:
        self.send_response_only(status)
        lengths = [v for k, v in headers if k.lower() == "content-length"]
        for name, value in headers:
            if name.lower() not in _HOP and name.lower() != "content-length":
                self.send_header(name, value)
        length = lengths[0] if self.command == "HEAD" and lengths else str(len(body))
        if status not in (204, 304):
            self.send_header("Content-Length", length)
        self.end_headers()
        if self.command == "HEAD":
            return
        if cut is None or len(body) <= cut.after:
            self.wfile.write(body)
            return
        self.wfile.write(body[: cut.after])
        self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_WR)

    def _error(self, status: int) -> None:
        code = _CODES.get(status, "InternalError")
        text = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>fault</Message></Error>"
        self._answer(status, [("Content-Type", "application/xml")], text.encode(), None)

    def _reset(self) -> None:
        """Close with a reset, not an end of file."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    proxy: FaultyS3

    def handle_error(self, *_: object) -> None:
        return


@contextmanager
def running_proxy(upstream: str) -> Iterator[FaultyS3]:
    """Run a proxy in front of an HTTP address until the end of the block."""
    server = _Server(("127.0.0.1", 0), _Handler)
    proxy = FaultyS3(upstream, f"http://127.0.0.1:{server.server_address[1]}")
    server.proxy = proxy
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
