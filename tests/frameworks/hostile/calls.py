"""Calls an application as a server would, with what no client library agrees to send; nothing is lost of the answer."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

Headers = Iterable[tuple[str, bytes]]


class Answer(NamedTuple):
    """What a client sees, and what the server sees raised; names of headers in lower case, values as sent."""

    status: int
    headers: list[tuple[str, bytes]]
    parts: list[bytes]
    raised: BaseException | None

    @property
    def body(self) -> bytes:
        return b"".join(self.parts)

    def all_of(self, name: str) -> list[str]:
        return [value.decode("latin-1") for found, value in self.headers if found == name]

    @property
    def request_id(self) -> str:
        """Its one request id."""
        (found,) = self.all_of("x-request-id")
        return found


def ask_wsgi(
    app: Any, target: str, headers: Headers = (), *, method: str = "GET", body: bytes = b"", take: int = 99, **more: Any
) -> Answer:
    """One request; ``take``: after how many parts of the body the client is gone."""
    started: list[tuple[str, list[tuple[str, str]]]] = []
    raised: BaseException | None = None
    parts: list[bytes] = []
    result: Any = ()
    try:
        result = app(wsgi_environ(target, headers, method=method, body=body, **more), _starter(started))
        for part in result:
            parts.append(part)
            if len([each for each in parts if each]) >= take:
                break
    except BaseException as error:
        raised = error
    try:
        getattr(result, "close", lambda: None)()
    except BaseException as error:
        raised = raised or error
    status, sent = started[-1] if started else ("500 raised", [])
    encoded = [(name.lower(), value.encode("latin-1")) for name, value in sent]
    return Answer(int(status.split()[0]), encoded, [part for part in parts if part], raised)


def _starter(started: list[Any]) -> Callable[..., Callable[[bytes], None]]:
    def start_response(status: str, headers: Any, exc_info: object = None) -> Callable[[bytes], None]:
        started.append((status, list(headers)))
        return lambda data: None

    return start_response


def wsgi_environ(target: str, headers: Headers, *, method: str, body: bytes = b"", **more: Any) -> dict[str, Any]:
    """As servers make it: repeated headers are joined, bytes are latin-1; ``None`` takes a key away."""
    path, _, query = target.partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "5",
        "HTTP_HOST": "shop.example:8000",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in headers:
        key = f"HTTP_{name.upper().replace('-', '_')}"
        text = value.decode("latin-1")
        environ[key] = f"{environ[key]},{text}" if key in environ and name.lower() != "host" else text
    environ.update(more)
    return {key: value for key, value in environ.items() if value is not None}


def ask_asgi(app: Any, target: str, headers: Headers = (), **how: Any) -> Answer:
    """The same of an ASGI application, in an event loop of its own."""
    return asyncio.run(asked_asgi(app, target, headers, **how))


async def asked_asgi(
    app: Any, target: str, headers: Headers = (), *, method: str = "GET", body: bytes = b"", take: int = 99, **more: Any
) -> Answer:
    """One request; after ``take`` parts of the body the client is gone, and what is sent to it fails."""
    gone = asyncio.Event()
    requests = [{"type": "http.request", "body": body, "more_body": False}]
    messages: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if requests:
            return requests.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        await asyncio.sleep(0)
        if gone.is_set():
            raise OSError("the client is gone")
        messages.append(message)
        if len([each for each in messages if each.get("body")]) >= take:
            gone.set()

    raised: BaseException | None = None
    try:
        await asyncio.wait_for(app(asgi_scope(target, headers, method=method, **more), receive, send), 10)
    except BaseException as error:
        raised = error
    starts = [each for each in messages if each["type"] == "http.response.start"]
    parts = [bytes(each.get("body", b"")) for each in messages if each["type"] == "http.response.body"]
    sent = [(name.decode().lower(), value) for each in starts[-1:] for name, value in each.get("headers", ())]
    return Answer(starts[-1]["status"] if starts else 500, sent, [part for part in parts if part], raised)


def asgi_scope(target: str, headers: Headers, *, method: str = "GET", type: str = "http", **more: Any) -> Any:
    path, _, query = target.partition("?")
    given = [(name.lower().encode("latin-1"), value) for name, value in headers]
    host = [] if any(name == b"host" for name, _ in given) else [(b"host", b"shop.example:8000")]
    scope: dict[str, Any] = {
        "type": type,
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "scheme": "http" if type == "http" else "ws",
        "path": unquote_to_bytes(path).decode("utf-8", "replace"),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [*host, *given],
        "client": ("127.0.0.1", 5),
        "server": ("127.0.0.1", 8000),
        "state": {},
    }
    if type == "http":
        scope["method"] = method
    scope.update(more)
    return {key: value for key, value in scope.items() if value is not None}
