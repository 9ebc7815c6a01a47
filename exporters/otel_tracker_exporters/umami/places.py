"""Where something happened: hosts, paths and referrers that the server can read.

Umami builds a url of host and path. A host that makes none is answered with 500 after the session was written, and the
event is lost; so is a path with ``%00``. What cannot be mended is left out.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address
from urllib.parse import quote, unquote, urlsplit

from otel_tracker_exporters.umami.privacy import private
from otel_tracker_exporters.umami.texts import clean

MAX_HOST = 100
MAX_PATH = 500
MAX_REFERRER = 500

# https://url.spec.whatwg.org/#ends-in-a-number-checker: such a host is an IPv4 address or none.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LABEL = re.compile(r"[a-z0-9-]{1,63}")
_PORT = re.compile(r":[0-9]*$")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]|\ufffd")
_SAFE_IN_PATH = "/:@!$&'()*+,;=~"


def host_of(text: str) -> str:
    """The host without its port, in lower case; empty when it is none that a url can have.

    A label that begins with ``xn--`` may be none, and which are differs from server to server: those are left out, too.
    """
    host = _PORT.sub("", text.strip().lower()).removesuffix(".")
    labels = host.split(".")
    if len(host) > MAX_HOST or not all(_LABEL.fullmatch(label) for label in labels):
        return ""
    if any(label.startswith("xn--") for label in labels):
        return ""
    return host if not _NUMBER.fullmatch(labels[-1]) or _is_ipv4(host) else ""


def host_of_service(name: str) -> str:
    """A host made of a service's name (``My shop`` becomes ``my-shop``); empty where nothing is left of it."""
    if name.startswith("unknown_service"):  # what the SDK calls a service without a name
        return ""
    words = re.sub(r"[^a-z0-9.-]+", "-", name.lower())
    labels = (label.strip("-")[:63].strip("-") for label in words.split("."))
    return host_of(".".join(label for label in labels if label)[:MAX_HOST].strip("-."))


def path_of(text: str) -> str:
    """A path that begins with one ``/``: no query, nothing private, encoded so that the server stores what it means."""
    path = re.split(r"[?#]", text, maxsplit=1)[0]
    readable = _CONTROL.sub("", clean(private(unquote(clean(path), errors="replace"))))
    return _quoted("/" + readable.lstrip("/\\ "))


def logical_path(name: str) -> str:
    """The path of what happened outside any request: ``order.placed`` becomes ``/order/placed``."""
    return _quoted("/" + _CONTROL.sub("", clean(name)).replace(".", "/").lstrip("/\\ "))


def referrer_of(text: str) -> str:
    """A referring page without its query; empty when the text is no url that can be read."""
    try:
        parts = urlsplit(text.strip())
        host = host_of(parts.hostname or "")
    except ValueError:
        return ""
    if parts.scheme.lower() not in ("http", "https") or not host:
        return ""
    return f"{parts.scheme.lower()}://{host}{path_of(parts.path)}"[:MAX_REFERRER]


def _quoted(path: str) -> str:
    """Percent-encoded and at most `MAX_PATH` characters, without half an escape sequence at the end."""
    if path.isascii() and len(path) <= MAX_PATH // 3:
        return quote(path, safe=_SAFE_IN_PATH)
    found, length = [], 0
    for character in path:
        encoded = quote(character, safe=_SAFE_IN_PATH)
        length += len(encoded)
        if length > MAX_PATH:
            break
        found.append(encoded)
    return "".join(found)


def _is_ipv4(host: str) -> bool:
    try:
        return str(IPv4Address(host)) == host
    except AddressValueError:
        return False
