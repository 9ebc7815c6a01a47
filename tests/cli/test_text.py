"""Making text from telemetry safe to print."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_tracker.cli.text import compact, json_line, shortened, visible, visible_lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ä 茶 👍", "plain ä 茶 👍"),
        ("a\nb\tc\rd", r"a\nb\tc\rd"),
        ("\x1b[31m\x07\x00\x7f\x9b", r"\x1b[31m\x07\x00\x7f\x9b"),
        ("\u2028\u202e\u2066\ufeff\ud800", r"\u2028\u202e\u2066\ufeff\ud800"),
    ],
)
def test_control_characters_become_visible(text: str, shown: str) -> None:
    """What a terminal could obey is shown as an escape; everything else is left alone."""
    assert visible(text) == shown


@given(st.text())
def test_visible_text_is_one_printable_line(text: str) -> None:
    """Whatever comes in, one line without control characters comes out."""
    assert len(visible(text).splitlines()) <= 1
    assert not any(ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 for character in visible(text))


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.none() | st.lists(st.text())), st.booleans())
def test_json_line_holds_exactly_what_went_in(fields: dict[str, object], ascii_only: bool) -> None:
    """One line in every reader's sense, safe for a terminal, and equal once parsed."""
    line = json_line(fields, ascii_only=ascii_only)
    assert line.splitlines() == [line]
    assert json.loads(line) == fields
    assert visible(line) == line
    assert line.isascii() or not ascii_only


def test_lines_are_kept_apart_and_each_made_visible() -> None:
    """A traceback keeps its shape, not its escapes."""
    assert visible_lines("a\n\tb\x1b\r\nc") == ["a", r"    b\x1b", "c"]


def test_values_are_compact_json() -> None:
    """Strings keep their quotes, so that "1" and 1 differ; what JSON cannot hold is shown as text."""
    assert compact({"a": ["1", 1, None], "b": b"x".hex}).startswith('{"a": ["1", 1, null], "b": "<built-in')


def test_long_text_is_cut_with_a_mark() -> None:
    """The mark is within the limit."""
    assert (shortened("abcdef", 6), shortened("abcdefg", 6)) == ("abcdef", "abc...")
