"""Texts, places and properties are bounded in the server's units, and mean what they meant."""

from __future__ import annotations

import json
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_tracker import attributes as keys
from otel_tracker_exporters.umami.places import host_of, host_of_service, logical_path, path_of, referrer_of
from otel_tracker_exporters.umami.privacy import private, visitor_id
from otel_tracker_exporters.umami.properties import flat, moment_text
from otel_tracker_exporters.umami.texts import clean, cut_name, utf16_length

from .contract import is_url_host

ANY = st.text(st.characters(), max_size=120)


@given(ANY)
def test_clean_text_can_be_stored_and_good_text_stays(text: str) -> None:
    """No NUL, no half character; cleaning twice changes nothing more."""
    found = clean(text)
    assert "\0" not in found
    assert found.encode("utf-8").decode("utf-8") == found == clean(found)
    assert found == text or any(character == "\0" or "\ud800" <= character <= "\udfff" for character in text)


@given(ANY, st.integers(10, 60))
def test_cut_name_fits_in_utf16_units(text: str, limit: int) -> None:
    """And is the name itself where that fits."""
    name = clean(text)
    found = cut_name(name, limit)
    assert utf16_length(found) <= limit
    assert found == name or (utf16_length(name) > limit and found[-9] == "~")


@given(ANY)
def test_host_is_one_that_a_url_can_have(text: str) -> None:
    """Of an address and of a service's name."""
    for found in (host_of(text), host_of_service(text)):
        assert is_url_host(found)
        assert len(found) <= 100
        assert found == "" or host_of(found) == found


@pytest.mark.parametrize(
    ("given_host", "expected"),
    [
        ("Shop.Example.com:8443", "shop.example.com"),
        ("127.0.0.1:80", "127.0.0.1"),
        ("example.com.", "example.com"),
        ("::1", ""),
        ("[::1]:80", ""),
        ("1.2.3.999", ""),
        ("01.2.3.4", ""),
        ("123456789012", ""),
        ("xn--a", ""),
        ("a_b", ""),
        ("", ""),
    ],
)
def test_host_has_no_port_and_no_guesses(given_host: str, expected: str) -> None:
    """What is none is left out."""
    assert host_of(given_host) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [("My shop", "my-shop"), ("orders.1", ""), ("a_b", "a-b"), ("unknown_service:python", ""), ("@@", ""), ("é", "")],
)
def test_service_makes_a_host_where_that_is_possible(name: str, expected: str) -> None:
    """The name that the SDK gives to a service without one is none."""
    assert host_of_service(name) == expected


@given(st.one_of(ANY, ANY.map(lambda text: "/" + text), st.text("/\\%0aé.?#@", max_size=600)))
def test_path_begins_with_one_slash_and_decodes_to_something_harmless(text: str) -> None:
    """ASCII, at most 500 characters, no query, no NUL however it is written."""
    for found in (path_of(text), logical_path(text)):
        assert found.startswith("/")
        assert not found.startswith(("//", "/\\"))
        assert found.isascii()
        assert len(found) <= 500
        assert not set(found) & set('?#\\ "<>[]\n\t')
        decoded = unquote(found, errors="strict")
        assert "\0" not in decoded


@pytest.mark.parametrize(
    ("given_path", "expected"),
    [
        ("/shop/7?token=1#x", "/shop/7"),
        ("//evil/x", "/evil/x"),
        ("\\\\x", "/x"),
        ("/a%20b", "/a%20b"),
        ("/100%", "/100%25"),
        ("/a%00b", "/ab"),
        ("/ü", "/%C3%BC"),
        ("", "/"),
        ("/u/jane@example.com/x", "/u/%5Bredacted%5D/x"),
    ],
)
def test_path_keeps_its_meaning(given_path: str, expected: str) -> None:
    """What the server decodes is what the visitor saw."""
    assert path_of(given_path) == expected


def test_referrer_is_a_page_of_a_site_or_nothing() -> None:
    """A path or free text would make the own host a referrer."""
    assert referrer_of("https://user:pw@Search.example:1/a?q=1#b") == "https://search.example/a"
    assert referrer_of("https://search.example") == "https://search.example/"
    assert [referrer_of(text) for text in ("/path", "free text", "http://[", "", "android-app://x", "http://h:x")] == [
        *[""] * 5,
        "http://h/",
    ]


@given(
    st.text("ab@.%40/?&=: \"'<>-_+#", max_size=200),
)
def test_private_text_stays_private(text: str) -> None:
    """Doing it again finds nothing more, and no address is left."""
    found = private(text)
    assert "@a.aa" not in found.replace("%40", "@")
    assert len(found) <= len(text) + 10 * len(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Is 1 < 2? Yes: a.b@c", "Is 1 < 2? Yes: a.b@c"),
        ("jane@example.com, joe@example.co.uk", "[redacted], [redacted]"),
        ("https://h/p?a=b", "https://h/p"),
        ("see https://h/p?a=b and /x?c", "see https://h/p and /x"),
        ("h.example/x?y", "h.example/x"),
        ("postgres://u:p@db/x", "postgres://db/x"),
        ("why?because=yes", "why"),
        ("react@18.2.0", "react@18.2.0"),
        ("a=1&b=2", "[redacted]"),
        ("what is this?", "what is this?"),
    ],
)
def test_only_what_is_private_is_removed(text: str, expected: str) -> None:
    """Prose, versions and questions stay."""
    assert private(text) == expected


@pytest.mark.parametrize("part", ["?", "/", "a@", "a.", "%40", "a=&", "://", "?a", "a/"])
def test_long_texts_take_no_long_time(part: str) -> None:
    """Every pattern looks at a character once: nothing else would end within the time limit of the suite."""
    text = part * (40_000 // len(part))
    assert len(private(f"?{text}@://&")) <= 11 * len(text)


@given(ANY, ANY)
def test_ids_fit_and_differ(one: str, other: str) -> None:
    """At most 50 units, and two different ids are two visitors."""
    found = [visitor_id(each, None, "website") for each in (one, other)]
    assert all(utf16_length(each) <= 50 for each in found)
    assert (found[0] == found[1]) == (one == other)


def test_properties_are_flat_and_typed() -> None:
    """Of two with the same key the later stays, None is left out, dates take Umami's own form."""
    found = flat(
        {
            "a": {"b": 1, "c": None, "d": {}},
            "a.b": 2,
            "yes": True,
            "big": 2**60,
            "huge": 1e15,
            "list": ["x", {"y": 1}],
            "at": "2024-06-01T10:00:00.123456+02:00",
            "never": "2024-13-45T99:99:99",
            "local": "2024-06-01T10:00:00",
        }
    )
    assert found == {
        "a.b": 2,
        "yes": True,
        "big": str(2**60),
        "huge": "1000000000000000.0",
        "list": '["x",{"y":1}]',
        "at": "2024-06-01T08:00:00.123Z",
        "never": "2024-13-45 99:99:99",
        "local": "2024-06-01T10:00:00.000",
    }


def test_what_was_cut_is_marked_and_counted() -> None:
    """A list stays JSON, two long keys stay two."""
    long_keys = {"k" * 600 + "1": 1, "k" * 600 + "2": 2}
    found = flat({"text": "x" * 900, "list": ["y" * 100] * 9, "fits": "z" * 500, **long_keys})
    assert found[keys.CUT_TEXTS] == 2
    assert found["text"] == "x" * 497 + "..."
    assert json.loads(str(found["list"])) == ["y" * 100] * 4 + ["..."]
    assert sorted(len(key) for key in found if key.startswith("kkk")) == [500, 500]
    assert found["fits"] == "z" * 500


def test_moment_has_milliseconds() -> None:
    """The one form in which Umami takes them for a date."""
    assert moment_text(1_764_324_000_123_999_999) == "2025-11-28T10:00:00.123Z"
