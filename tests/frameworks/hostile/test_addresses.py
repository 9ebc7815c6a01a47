"""The client's address: whose word is taken for it, and what is made of lists, ports and nonsense."""

from __future__ import annotations

from typing import Any

import pytest

from otel_tracker import lifecycle

from ..conftest import Stored
from .apps import SITES

CASES: list[tuple[str, bytes, str]] = [
    ("X-Forwarded-For", b"203.0.113.9", "203.0.113.9"),
    ("X-Forwarded-For", b"203.0.113.9, 198.51.100.7", "203.0.113.9"),
    ("X-Forwarded-For", b" 203.0.113.9 ,10.0.0.1", "203.0.113.9"),
    ("X-Forwarded-For", b"203.0.113.9:4711", "203.0.113.9"),
    ("X-Forwarded-For", b"2001:db8::7", "2001:db8::7"),
    ("X-Forwarded-For", b"[2001:db8::7]", "2001:db8::7"),
    ("X-Forwarded-For", b"[2001:db8::7]:4711, 10.0.0.1", "2001:db8::7"),
    ("X-Forwarded-For", b"unknown", "127.0.0.1"),
    ("X-Forwarded-For", b"<script>alert(1)</script>", "127.0.0.1"),
    ("X-Forwarded-For", b"999.1.1.1", "127.0.0.1"),
    ("X-Forwarded-For", b"", "127.0.0.1"),
    ("X-Forwarded-For", b",", "127.0.0.1"),
    ("X-Forwarded-For", b"\xff\xfe", "127.0.0.1"),
    ("X-Forwarded-For", b"1" * 5000, "127.0.0.1"),
    ("Forwarded", b"for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60"),
    ("Forwarded", b"For=192.0.2.43, for=198.51.100.17", "192.0.2.43"),
    ("Forwarded", b'for="[2001:db8:cafe::17]:4711"', "2001:db8:cafe::17"),
    ("Forwarded", b'proto=https ; FOR = "192.0.2.47:47011"', "192.0.2.47"),
    ("Forwarded", b'by="a,b;for=6.6.6.6";for=192.0.2.1', "192.0.2.1"),
    ("Forwarded", b'for="_gazonk"', "127.0.0.1"),
    ("Forwarded", b"for=unknown", "127.0.0.1"),
    ("Forwarded", b'for="', "127.0.0.1"),
    ("Forwarded", b";;;=,,", "127.0.0.1"),
]

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("site", SITES)]


def test_anybodys_word_is_not_taken_by_default(stored: Stored, site: Any) -> None:
    """A client could otherwise be whoever it says."""
    with site() as ask:
        for name, value, _ in CASES:
            ask("/ok/1", [(name, value), ("X-Real-IP", b"6.6.6.6")])
    assert {server.attributes.get("client.address") for server in stored.servers} == {"127.0.0.1"}
    assert "6.6.6.6" not in repr(stored.servers)


def test_a_proxys_word_is_taken_where_that_is_set(stored: Stored, site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The address alone: without port, brackets and quotes; what is none is not stored as one."""
    monkeypatch.setenv("OTEL_TRACKER_HTTP_TRUST_FORWARDED", "true")
    lifecycle.forget_cached_settings()
    with site() as ask:
        for name, value, _ in CASES:
            ask("/ok/1", [(name, value)])
    found = [server.attributes.get("client.address") for server in stored.servers]
    wrong = [(case, got) for case, got in zip(CASES, found, strict=True) if got != case[2]]
    assert wrong == []


def test_list_over_two_headers_is_one_list(stored: Stored, site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 9110 section 5.3."""
    monkeypatch.setenv("OTEL_TRACKER_HTTP_TRUST_FORWARDED", "true")
    lifecycle.forget_cached_settings()
    with site() as ask:
        ask("/ok/1", [("X-Forwarded-For", b"203.0.113.9"), ("X-Forwarded-For", b"10.0.0.1")])
    assert stored.server.attributes["client.address"] == "203.0.113.9"
