"""Times keep their nanoseconds on the way to a store and back, and a query's bounds mean what they say."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_tracker import timestamps
from otel_tracker.errors import QueryError
from otel_tracker.timestamps import NS_PER_S, format_time, milliseconds_text, parse_time, time_bound, to_datetime

NOON_NS = 1_795_348_800 * NS_PER_S
FIRST_NS = -62_135_596_800 * NS_PER_S
LAST_NS = 253_402_300_800 * NS_PER_S - 1
times = st.integers(FIRST_NS, LAST_NS)
"""From the year 1 to the year 9999, which is all that the text can express."""


@given(times)
def test_text_and_back_is_the_same_nanosecond(time_ns: int) -> None:
    """A record that is written and read is equal to the one that was made."""
    assert parse_time(format_time(time_ns)) == time_ns


@given(st.lists(times, max_size=10))
def test_texts_sort_as_the_times_do(times_ns: list[int]) -> None:
    """`sort` on a file of lines sorts by time."""
    assert sorted(map(format_time, times_ns)) == [format_time(time_ns) for time_ns in sorted(times_ns)]


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [
        (0, "1970-01-01T00:00:00.000000000Z"),
        (NOON_NS + 123_456_789, "2026-11-22T12:00:00.123456789Z"),
        (NOON_NS + 100_000_000, "2026-11-22T12:00:00.100000000Z"),
        (NOON_NS + 99_999_999, "2026-11-22T12:00:00.099999999Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
        (FIRST_NS, "0001-01-01T00:00:00.000000000Z"),
        (LAST_NS, "9999-12-31T23:59:59.999999999Z"),
    ],
)
def test_time_is_utc_text_with_nine_decimals(time_ns: int, text: str) -> None:
    """The form is RFC 3339's, of one fixed width."""
    assert format_time(time_ns) == text


DIGITS = st.integers(0, 19).flatmap(lambda count: st.integers(-1, 10**count + 1))


@given(DIGITS | DIGITS.map(lambda duration_ns: duration_ns * 1_000_000))
def test_milliseconds_are_what_a_json_encoder_writes(duration_ns: int) -> None:
    """A line made of texts says the same duration as one made of numbers, to the last digit."""
    assert milliseconds_text(duration_ns) == repr(duration_ns / 1_000_000)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-22T12:00:00Z",
        "2026-11-22 12:00",
        "2026-11-22t12:00:00z",
        " 2026-11-22T12:00:00.000 ",
        "2026-11-22T12:00:00,0Z",
        "2026-11-22T13:00:00+01:00",
        "2026-11-22T06:30:00-0530",
        "2026-11-22T12:00:00.0000000009Z",
    ],
)
def test_iso_texts_of_all_kinds_are_understood(text: str) -> None:
    """Without an offset it is UTC; digits beyond nanoseconds are cut."""
    assert parse_time(text) == NOON_NS


def test_date_alone_is_its_first_instant_in_utc() -> None:
    """`--since 2026-11-22` begins at midnight."""
    assert parse_time("2026-11-22") == NOON_NS - 12 * 3600 * NS_PER_S


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-13-01", "2026-02-30", "2026-11-22T25:00", "26-11-22", "2026-11-22T", "1795348800"]
)
def test_text_that_is_no_time_is_refused(text: str) -> None:
    """A date that does not exist is not moved to one that does."""
    with pytest.raises(ValueError):
        parse_time(text)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-22T12:00:00.1234567x9Z",
        "2026-11-22T12:00:00.+12345678Z",
        "2026-11-22T12:00:00.1234_5678Z",
        "2026-11-22T12:00:00.12345678\N{SUPERSCRIPT TWO}Z",
        "2026-11-22T12:00+00:00.123456789Z",
        "2026-11-22T12:00:0Z.123456789Z",
        "2026-02-30T12:00:00.123456789Z",
        "2026-11-22T24:00:00.123456789Z",
        "2026-11-22T12:00:60.123456789Z",
        "2026-11-22 12:00Z  .123456789Z",
        "0000-01-01T00:00:00.000000000Z",
    ],
)
def test_text_that_looks_like_ours_and_is_no_time_is_refused(text: str) -> None:
    """The form that a record has is read faster than others, and not less strictly."""
    for _ in range(2):  # what was refused once is not remembered as a time
        with pytest.raises(ValueError):
            parse_time(text)


@given(times, st.sampled_from(["T", "t", " "]))
def test_every_spelling_of_our_form_is_the_same_time(time_ns: int, separator: str) -> None:
    """Whichever way it is read, all nine decimals count."""
    text = format_time(time_ns)
    assert parse_time(text.replace("T", separator)) == time_ns
    assert parse_time(text.lower()) == parse_time(f" {text[:-1]}+00:00") == parse_time(f"{text[:-1]}1Z") == time_ns


@given(times)
def test_datetime_is_aware_and_never_later_than_the_time(time_ns: int) -> None:
    """Microseconds are rounded down, before 1970 too."""
    moment = to_datetime(time_ns)
    assert moment.utcoffset() == timedelta(0)
    exact = timedelta(microseconds=time_ns // 1000)
    assert moment - datetime(1970, 1, 1, tzinfo=timezone.utc) == exact


@pytest.mark.parametrize(
    ("age", "before_ns"),
    [
        ("250ms", 250_000_000),
        ("90s", 90 * NS_PER_S),
        ("15m", 900 * NS_PER_S),
        ("1.5h", 5400 * NS_PER_S),
        ("7d", 604_800 * NS_PER_S),
        (" 2 w ", 1_209_600 * NS_PER_S),
    ],
)
def test_age_counts_back_from_now(age: str, before_ns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """`start_time="1h"` is an hour ago."""
    monkeypatch.setattr(timestamps, "time_ns", lambda: NOON_NS)
    assert time_bound(age, "start_time") == NOON_NS - before_ns


def test_aware_datetime_is_taken_in_its_own_zone() -> None:
    """The instant counts, not the wall clock."""
    moment = datetime(2026, 11, 22, 7, tzinfo=timezone(timedelta(hours=-5)))
    assert time_bound(moment, "start_time") == NOON_NS


def test_no_bound_is_none() -> None:
    """None leaves a query open on that side."""
    assert time_bound(None, "end_time") is None


@pytest.mark.parametrize("value", ["soon", "1 year", "-1h", "", "2026-02-30", 5, 1.5, NOON_NS, [], True])
def test_bound_that_means_nothing_is_one_sentence_that_names_the_parameter(value: object) -> None:
    """A number is refused too: seconds and nanoseconds would be told apart by luck."""
    with pytest.raises(QueryError, match=r"^end_time is .*; expected .*'1h'") as caught:
        time_bound(value, "end_time")  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_datetime_without_zone_is_refused_with_the_way_out() -> None:
    """Guessing the zone would be wrong by hours, silently."""
    with pytest.raises(QueryError, match=r"start_time is a datetime without a time zone; .*\.astimezone\(\)"):
        time_bound(datetime(2026, 11, 22), "start_time")


@pytest.mark.parametrize("value", ["0001-01-01", "9999-12-31T23:59:59-23:59", "99999999w", "9" * 400 + "d"])
def test_bound_beyond_all_stored_times_is_kept_within_64_bits(value: str) -> None:
    """A store holds 64-bit nanoseconds (1677 to 2262); a bound outside them bounds nothing, and breaks nothing."""
    bound = time_bound(value, "start_time")
    assert bound is not None
    assert -(2**63) <= bound < 2**63


@pytest.mark.parametrize("moment", [datetime.min, datetime.max])
def test_extreme_datetimes_are_kept_within_64_bits(moment: datetime) -> None:
    """`datetime.max` is how people write "no end"."""
    bound = time_bound(moment.replace(tzinfo=timezone.utc), "end_time")
    assert bound is not None
    assert -(2**63) <= bound < 2**63
