"""Servers and clients that send what no specification allows: the application answers what it would answer alone."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_tracker import lifecycle

from ..conftest import Stored
from .apps import DJANGO, FASTAPI, FLASK, SITES, STARLETTE
from .test_answers import seen

pytestmark = pytest.mark.slow

WSGI = [
    {"REMOTE_ADDR": None, "SERVER_NAME": None, "SERVER_PORT": None, "HTTP_HOST": "shop.example"},
    {"SERVER_PROTOCOL": None, "QUERY_STRING": None, "HTTP_HOST": "shop.example"},
    {"REMOTE_ADDR": "", "HTTP_USER_AGENT": "\xff\x00\ud800"},
    {"REMOTE_ADDR": "unix:", "QUERY_STRING": "a=\xff\xfe&token=\ud800"},
    {"REMOTE_ADDR": "fe80::1%eth0", "SERVER_PORT": "none"},
    {"HTTP_COOKIE": "\x00=;;;=\xff; session; session=; session=\ud800; sessionid=\ud800"},
    {"HTTP_COOKIE": "session=" + "x" * 100_000},
    {
        "HTTP_REFERER": "\ud800",
        "HTTP_ACCEPT_LANGUAGE": "\x00,;;q=",
        "HTTP_FORWARDED": '"";;=,for=',
        "HTTP_X_FORWARDED_FOR": ",,",
    },
    {"HTTP_HOST": "[::1"},
    {"HTTP_HOST": "a" * 5000},
    {"REMOTE_ADDR": 7, "HTTP_X_REQUEST_ID": 7, "HTTP_USER_AGENT": b"bytes", "QUERY_STRING": ""},
]
ASGI = [
    {"client": None, "server": None},
    {"client": ("127.0.0.1", None), "server": ("/run/app.sock", None)},
    {"client": ["127.0.0.1"], "http_version": None},
    {"client": "127.0.0.1"},
    {"client": (None, None), "state": None},
    {"raw_path": None, "root_path": None},
    {"query_string": b"\xff\xfe&token=\xed\xa0\x80"},
    {
        "headers": [
            (b"cookie", b"\x00=;;\xff; session"),
            (b"cookie", b"session=\xed\xa0\x80"),
            (b"user-agent", b"\xff\x00"),
        ]
    },
    {"headers": [(b"forwarded", b'"";;=,for='), (b"x-forwarded-for", b"\xff,,"), (b"referer", b"\xed\xa0\x80")]},
    {"headers": [(b"\xff\xfe", b"\xff"), (b"", b""), (b"host", b"[::1"), (b"x-request-id", b"\xff")]},
    {"headers": []},
    {"scheme": None},
    {"session": "no dict", "user": object(), "route": object(), "endpoint": None},
]


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("trusts", [pytest.param("false", marks=pytest.mark.slow), "true"])
def test_broken_requests_are_answered_as_without_us(
    stored: Stored, site: Any, monkeypatch: pytest.MonkeyPatch, trusts: str, complaints: list[str]
) -> None:
    """What upstream itself breaks on is upstream's; ours adds nothing to it but, for an impossible one, a sentence."""
    monkeypatch.setenv("OTEL_TRACKER_HTTP_TRUST_FORWARDED", trusts)
    lifecycle.forget_cached_settings()
    broken = WSGI if site in {param.values[0] for param in (FLASK, DJANGO)} else ASGI
    with site(is_instrumented=False) as ask:
        alone = [seen(ask("/ok/1", **how)) for how in broken]
    with site(ours=False) as ask:
        upstream = [seen(ask("/ok/1", **how)) for how in broken]
    with site() as ask:
        observed = [seen(ask("/ok/1", **how)) for how in broken]
    answers = zip(broken, alone, upstream, observed, strict=True)
    assert [each for each in answers if each[3] not in each[1:3]] == []
    assert len(complaints) <= 1
    complaints.clear()


class HostileUser:
    """What authentication of somebody else's may put into a request."""

    @property
    def is_authenticated(self) -> bool:
        raise RuntimeError("no database")

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __str__(self) -> str:
        raise RuntimeError("no name")

    __repr__ = __str__


@pytest.mark.parametrize("site", [FASTAPI, STARLETTE])
def test_hostile_objects_in_the_scope_break_nothing(stored: Stored, site: Any, complaints: list[str]) -> None:
    """A user that raises whatever it is asked, a session that is none: said once, and nothing is lost."""
    with site() as ask:
        for session in ({"user_id": HostileUser()}, HostileUser(), {1: 2}, None):
            answer = ask("/ok/1", user=HostileUser(), session=session, auth=HostileUser())
            assert (answer.status, answer.body, answer.raised) == (200, b"ok 1", None)
    assert (len(stored.servers), len(stored.events)) == (4, 4)
    assert len(complaints) == 1
    complaints.clear()


TEXT = st.binary(max_size=40).map(lambda value: value.replace(b"\r", b"").replace(b"\n", b""))
NAMES = [
    "X-Request-ID",
    "X-Forwarded-For",
    "Forwarded",
    "Cookie",
    "Referer",
    "Accept-Language",
    "User-Agent",
    "traceparent",
]


@pytest.mark.parametrize("site", SITES)
@pytest.mark.slow
def test_any_bytes_in_any_header_are_answered(
    stored: Stored, site: Any, monkeypatch: pytest.MonkeyPatch, complaints: list[str]
) -> None:
    """With forwarded addresses believed, so that these are parsed as well."""
    monkeypatch.setenv("OTEL_TRACKER_HTTP_TRUST_FORWARDED", "true")
    lifecycle.forget_cached_settings()
    with site(is_instrumented=False) as bare, site() as ask:

        @settings(max_examples=15)
        @given(st.lists(st.tuples(st.sampled_from(NAMES), TEXT), max_size=6))
        def check(headers: list[tuple[str, bytes]]) -> None:
            expected = seen(bare("/ok/1", headers))
            stored.exported_spans.clear()
            answer = ask("/ok/1", headers)
            assert seen(answer) == expected
            assert len(stored.servers) == 1
            assert answer.status == 500 or stored.server.attributes["otel_tracker.request_id"] == answer.request_id

        check()
    complaints.clear()  # upstream's, of the baggage
