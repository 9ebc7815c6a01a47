"""An Umami server on loopback that answers as real ones of several versions were seen to (see `contract`)."""

from __future__ import annotations

import json
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from .contract import Database, FailedError, RefusedError, check_schema, is_bot, store

WEBSITE = "0f4a1b2c-3d4e-4f50-8a6b-7c8d9e0f1a2b"
RAW_TOKEN = "eyJ0eXAiOiJKV1Qi" + "A" * 80


@dataclass
class Version:
    """What differs between versions."""

    has_batch: bool = True
    is_batch_broken: bool = False
    batch_gives_cache: bool = True
    answers_raw: bool = False
    says_beep: bool = True


V3_1 = Version()
V2_17 = Version(batch_gives_cache=False)
V2_17_BROKEN = Version(is_batch_broken=True, batch_gives_cache=False)
V2_12 = Version(has_batch=False, answers_raw=True)
V2_0 = Version(has_batch=False, answers_raw=True, says_beep=False)


@dataclass
class Request:
    """What came in; ``connection`` counts connections, so that reuse can be seen."""

    path: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def documents(self) -> list[dict[str, Any]]:
        told = json.loads(self.body)
        return told if isinstance(told, list) else [told]


@dataclass
class Reply:
    """An answer that stands in for the server's own; None as status breaks the connection off."""

    status: int | None = 200
    text: str = "{}"
    headers: tuple[tuple[str, str], ...] = ()


class UmamiServer:
    """The server; ``database`` is what it has stored, ``requests`` what it was asked.

    ``replies`` are taken one a request, in front of its own behaviour: a `Reply`, or a function of the request that
    gives one or None for the usual answer (and may wait, or store first).
    """

    def __init__(self, version: Version = V3_1, *, idle_s: float = 5.0) -> None:
        self.version = version
        self.database = Database()
        self.websites = {WEBSITE}
        self.requests: list[Request] = []
        self.replies: deque[Reply | Callable[[Request], Reply | None]] = deque()
        self.always: Callable[[Request], Reply | None] | None = None
        self.is_database_down = False
        self.most_at_once = 0
        self._at_once = 0
        self._connections = 0
        self.closed_connections = 0
        self._counting = threading.Lock()
        self._writing = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler(idle_s))
        self._http.daemon_threads, self._http.block_on_close = True, False
        self._http.handle_error = lambda *_: None  # type: ignore[method-assign]
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(10)

    @property
    def names(self) -> list[str | None]:
        """The names of the stored events, in their order."""
        return [event["name"] for event in self.database.events]

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.requests]

    @property
    def payloads(self) -> list[dict[str, Any]]:
        """The payload of every event that came in, in order."""
        return [document["payload"] for request in self.requests for document in request.documents]

    def answer(self, request: Request) -> Reply:
        """The server's own answer."""
        if request.path in ("/api/send/", "/api/batch/"):
            return Reply(308, "", (("Location", request.path.rstrip("/")),))
        if request.path == "/api/send":
            return self._one(request)
        if request.path == "/api/batch" and self.version.has_batch:
            return self._batch(request)
        return Reply(404, "<!DOCTYPE html><html><title>404: This page could not be found.</title></html>")

    def _one(self, request: Request) -> Reply:
        try:
            document = json.loads(request.body, parse_constant=_refuse)
        except (ValueError, RefusedError):
            return _error(400, "bad-request", "Unexpected token")
        status, told = self._handled(document, request.headers)
        if status == 200 and "beep" in told:
            return Reply(200, json.dumps(told) if self.version.says_beep else "ok")
        if status == 200 and self.version.answers_raw:
            return Reply(200, RAW_TOKEN)
        return Reply(status, json.dumps(told))

    def _batch(self, request: Request) -> Reply:
        try:
            documents = json.loads(request.body, parse_constant=_refuse)
        except (ValueError, RefusedError):
            return _error(400, "bad-request", "Unexpected token")
        if not isinstance(documents, list) or not all(isinstance(document, dict) for document in documents):
            return _error(400, "bad-request", "expected array of objects")
        if self.version.is_batch_broken:
            return _error(500, "server-error", "Failed to parse URL")
        answers = [self._handled(document, request.headers) for document in documents]
        errors = [{"index": at, "response": told} for at, (status, told) in enumerate(answers) if status != 200]
        caches = [told["cache"] for status, told in answers if status == 200 and "cache" in told]
        told = {"size": len(documents), "processed": len(documents) - len(errors), "errors": len(errors)}
        cache = {"cache": caches[-1]} if caches and self.version.batch_gives_cache else {}
        return Reply(200, json.dumps({**told, "details": errors, **cache}))

    def _handled(self, document: Any, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
        try:
            check_schema(document)
            payload = document["payload"]
            if self.is_database_down:
                raise FailedError("Can't reach database server", "P1001")
            if payload["website"] not in self.websites:
                return 400, {"error": {"message": "Website not found.", "code": "bad-request", "status": 400}}
            if is_bot(payload.get("userAgent") or headers.get("user-agent", "")):
                return 200, {"beep": "boop"}
            with self._writing:
                session = store(self.database, document)
            return 200, {"cache": "token", "sessionId": session, "visitId": "visit"}
        except RefusedError as error:
            return 400, {"error": {"message": "Bad request", "code": "bad-request", "errors": [str(error)]}}
        except FailedError as error:
            return 500, _server_error(str(error), error.code)

    def _reply_to(self, request: Request) -> Reply:
        reply = self.replies.popleft() if self.replies else self.always
        found = reply(request) if callable(reply) else reply
        return found or self.answer(request)

    def _begin(self, request: Request) -> None:
        with self._counting:
            self.requests.append(request)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)

    def _end(self) -> None:
        with self._counting:
            self._at_once -= 1

    def _number_of_connection(self) -> int:
        with self._counting:
            self._connections += 1
            return self._connections

    def _handler(self, idle_s: float) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = idle_s
            disable_nagle_algorithm = True  # else each answer would wait for an acknowledgement of its headers

            def setup(self) -> None:
                super().setup()
                self.number = server._number_of_connection()

            def finish(self) -> None:
                super().finish()
                self.connection.close()
                with server._counting:
                    server.closed_connections += 1

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(self.path, headers, body, self.number)
                server._begin(request)
                try:
                    reply = server._reply_to(request)
                finally:
                    server._end()
                if reply.status is None:
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                self._write(reply)

            def _write(self, reply: Reply) -> None:
                content = reply.text.encode()
                self.send_response_only(reply.status or 200)
                sent = {name.lower() for name, _ in reply.headers}
                for name, value in reply.headers:
                    self.send_header(name, value)
                if "date" not in sent:
                    self.send_header("Date", formatdate(usegmt=True))
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


@contextmanager
def serving(version: Version = V3_1, **arguments: Any) -> Iterator[UmamiServer]:
    """A server for the block."""
    server = UmamiServer(version, **arguments)
    try:
        yield server
    finally:
        server.close()


def _error(status: int, code: str, message: str) -> Reply:
    return Reply(status, json.dumps({"error": {"message": message, "code": code, "status": status}}))


def _server_error(message: str, code: str | None) -> dict[str, Any]:
    """Five kilobytes with a stack trace, as the real one."""
    inner = {"name": "Error", "message": message, "stack": "at Object.<anonymous> (/app/.next/server.js)\n" * 100}
    return {
        "error": {
            "message": message,
            "code": "server-error",
            "status": 500,
            "errorObject": {**inner, **({"code": code} if code else {})},
        }
    }


def _refuse(constant: str) -> Any:
    raise RefusedError(constant)
