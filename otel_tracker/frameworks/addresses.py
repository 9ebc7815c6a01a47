"""Hosts and client addresses as the semantic conventions want them, out of headers that anybody can write."""

from __future__ import annotations

import re
from ipaddress import ip_address

from otel_tracker.frameworks.carriers import FORWARDED, X_FORWARDED_FOR, Carrier

# https://www.rfc-editor.org/rfc/rfc7239#section-4: pairs, and `for` of the first element is the client. A value in
# quotes may hold what would separate pairs, and elements.
_PAIR = re.compile(r'\s*([^\s=;,"]*)\s*(?:=\s*(?:"([^"]*)"|([^;,\s"]*))\s*)?(;|,|$)')
_MAX_HEADER = 4_000


def host_of(authority: str) -> str:
    """A host without its port: ``shop.example:8000`` and ``[::1]:8000`` are ``shop.example`` and ``::1``."""
    if authority.startswith("["):
        return authority[1:].partition("]")[0]
    host, colon, port = authority.rpartition(":")
    return host if colon and port.isdecimal() else authority


def forwarded_client(carrier: Carrier) -> str | None:
    """The client's address that proxies have passed on; None where they say none, or no address at all."""
    forwarded = carrier.get(FORWARDED)
    if forwarded:
        return _address(_for_of(forwarded[:_MAX_HEADER]))
    chain = carrier.get(X_FORWARDED_FOR)
    return _address(chain[:_MAX_HEADER].partition(",")[0]) if chain else None


def _for_of(forwarded: str) -> str:
    """What ``for=`` says in the first element; nothing where it is missing, or where the header is none."""
    at = 0
    while pair := _PAIR.match(forwarded, at):
        name, quoted, plain, separator = pair.groups()
        if name.lower() == "for":
            return str(quoted or plain or "")
        if separator != ";":
            break
        at = pair.end()
    return ""


def _address(text: str) -> str | None:
    """The address without a port; None for what is none (``unknown``, a made-up name)."""
    text = text.strip()
    for candidate in (text, host_of(text)):
        try:
            return str(ip_address(candidate))
        except ValueError:
            continue
    return None
