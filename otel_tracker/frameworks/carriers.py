"""What came in with a request, read from where the server keeps it: a WSGI environ or an ASGI scope.

Headers are asked for by a `Header`, which knows its name in both. A value is text as the client sent it: nothing here
is trusted, bounded or redacted.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from functools import lru_cache
from typing import Any, NamedTuple, Protocol


class Header(NamedTuple):
    """The name of a header, as WSGI and as ASGI have it."""

    key: str
    name: bytes


@lru_cache(maxsize=64)
def header(name: str) -> Header:
    """The header of this name: ``header("User-Agent")``."""
    return Header(f"HTTP_{name.upper().replace('-', '_')}", name.lower().encode("latin-1"))


HOST = header("Host")
COOKIE = header("Cookie")
REFERER = header("Referer")
ACCEPT_LANGUAGE = header("Accept-Language")
USER_AGENT = header("User-Agent")
FORWARDED = header("Forwarded")
X_FORWARDED_FOR = header("X-Forwarded-For")


class Carrier(Protocol):
    """A request as its server hands it on."""

    @property
    def path(self) -> str:
        """The path without its query, beginning with a slash."""

    @property
    def local_path(self) -> str:
        """The path inside the application: without that under which it is mounted."""

    @property
    def query(self) -> str:
        """What stands behind the ``?``, or nothing."""

    @property
    def peer(self) -> str:
        """The address that the connection comes from, or nothing."""

    @property
    def lacks_target(self) -> bool:
        """Whether upstream's instrumentor finds no path and no query here."""

    @property
    def lacks_host(self) -> bool:
        """Whether it takes the address that the server listens on for the host that was asked for."""

    def get(self, wanted: Header) -> str | None:
        """The value of a header; None without it."""

    def url(self) -> str:
        """The whole URL, without its query."""


class WsgiCarrier:
    """A request of WSGI's; Django keeps every request in this form, also those that came by ASGI (``lacks_host``)."""

    __slots__ = ("_environ", "lacks_host")

    def __init__(self, environ: Mapping[str, Any], *, lacks_host: bool = False) -> None:
        self._environ = environ
        self.lacks_host = lacks_host

    @property
    def path(self) -> str:
        """See `Carrier.path`."""
        environ = self._environ
        return f"{environ.get('SCRIPT_NAME', '')}{environ.get('PATH_INFO', '')}" or "/"

    @property
    def local_path(self) -> str:
        """See `Carrier.local_path`."""
        return self._environ.get("PATH_INFO") or "/"

    @property
    def query(self) -> str:
        """See `Carrier.query`."""
        return str(self._environ.get("QUERY_STRING") or "")

    @property
    def peer(self) -> str:
        """See `Carrier.peer`."""
        return str(self._environ.get("REMOTE_ADDR") or "")

    @property
    def lacks_target(self) -> bool:
        """See `Carrier.lacks_target`."""
        return "REQUEST_URI" not in self._environ and "RAW_URI" not in self._environ

    def get(self, wanted: Header) -> str | None:
        """See `Carrier.get`."""
        return self._environ.get(wanted.key)

    def url(self) -> str:
        """See `Carrier.url`."""
        environ = self._environ
        host = environ.get("HTTP_HOST") or environ.get("SERVER_NAME", "")
        return f"{environ.get('wsgi.url_scheme', 'http')}://{host}{self.path}"


class AsgiCarrier:
    """A request, or a WebSocket, of ASGI's."""

    __slots__ = ("_headers", "_scope")

    lacks_target = False
    lacks_host = True

    def __init__(self, scope: MutableMapping[str, Any]) -> None:
        self._scope = scope
        pairs = list(scope.get("headers") or ())
        self._headers = dict(pairs)
        if len(self._headers) < len(pairs):
            self._headers = _joined(pairs)

    @property
    def path(self) -> str:
        """See `Carrier.path`."""
        return str(self._scope.get("path") or "/")

    @property
    def local_path(self) -> str:
        """See `Carrier.local_path`."""
        path, root = self.path, self._scope.get("root_path")
        return path[len(root) :] or "/" if root and path.startswith(f"{root}/") else path

    @property
    def query(self) -> str:
        """See `Carrier.query`."""
        query = self._scope.get("query_string") or b""
        return query.decode("latin-1") if isinstance(query, bytes) else str(query)

    @property
    def peer(self) -> str:
        """See `Carrier.peer`."""
        client = self._scope.get("client")
        return str(client[0]) if client else ""

    def get(self, wanted: Header) -> str | None:
        """See `Carrier.get`."""
        value = self._headers.get(wanted.name)
        return None if value is None else value.decode("latin-1")

    def url(self) -> str:
        """See `Carrier.url`."""
        return f"{self._scope.get('scheme', 'http')}://{self.get(HOST) or ''}{self.path}"


def _joined(pairs: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Headers by name, those of one name as one list, as WSGI's servers have it already (RFC 9110, section 5.3)."""
    found: dict[bytes, bytes] = {}
    for name, value in pairs:
        separator = b"; " if name == COOKIE.name else b","
        found[name] = found[name] + separator + value if name in found else value
    return found
