"""Redaction: what is hidden, what must survive, and that neither takes long."""

from __future__ import annotations

import json
import logging
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_tracker import diagnostics, redaction, settings
from otel_tracker.redaction import KEY_PATTERNS, MAX_TEXT, REDACTED, VALUE_PATTERNS, Redactor
from otel_tracker.redaction.patterns import ASSIGNED_NAME, ASSIGNED_VALUE, CARD_NUMBER, HEADER_VALUE, KEY_STEM

SECRET_NAMES = """
password passwd pwd PASSWORD password2 userPassword db_password password_hash passphrase secret client_secret
clientSecret secret_key SECRET_KEY aws_secret_access_key token access_token refreshToken csrf_token
csrfmiddlewaretoken id_token api_key apiKey apikey X-Api-Key API_KEY_2 private_key privateKey authorization
Authorization proxy-authorization auth cookie Set-Cookie cookies session_key credential credentials
credit_card creditCardNumber card_number cvv cvc2 ssn user_ssn pin otp http.request.header.authorization
http.request.header.x_api_key otel_tracker.args.password otel_tracker.args.pin
""".split()

PLAIN_NAMES = """
tokens_used max_tokens total_tokens gen_ai.usage.output_tokens tokenizer keyboard key keys monkey author
authors authored pinned spinning shopping passenger compass bypass passed session_id session.id user_id
user.id secretary card cards discard cursor code.function.name otel_tracker.args.name http.request.method cwd
classname assn name id trace_id span_id
""".split()


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_names_of_secrets_are_recognised_in_any_spelling(name):
    """A key is secret whatever its case, its separators and the digits after it."""
    assert Redactor().is_secret_key(name)
    assert Redactor().is_secret_key(name)  # from memory


@pytest.mark.parametrize("name", PLAIN_NAMES)
def test_names_that_only_look_like_secrets_are_left_alone(name):
    """A word inside another word, or a count of tokens, hides nothing."""
    assert not Redactor().is_secret_key(name)


@pytest.mark.parametrize("pattern", VALUE_PATTERNS, ids=lambda pattern: pattern.name)
@pytest.mark.parametrize("around", ["{}", "got {}, gave up", "<{}>", "x={}\n", '"{}"'])
def test_each_value_pattern_hides_its_example(pattern, around):
    """What the table gives as an example is gone from any text that holds it."""
    redacted = Redactor().text(around.format(pattern.example))
    secret = pattern.example.split()[-1].removeprefix("postgresql://shop:").partition("@")[0]
    assert secret not in redacted
    assert REDACTED in redacted


@pytest.mark.parametrize("pattern", VALUE_PATTERNS, ids=lambda pattern: pattern.name)
def test_each_value_pattern_is_reached_through_its_hints(pattern):
    """The cheap pre-check lets every example through to its expression."""
    assert pattern.gate in pattern.example
    assert any(hint in pattern.example for hint in pattern.hints)
    assert pattern.regex.search(pattern.example)


@pytest.mark.parametrize("glob", KEY_PATTERNS)
def test_each_key_pattern_is_reached_through_a_stem(glob):
    """The cheap pre-check of a text lets every secret name through."""
    assert KEY_STEM.search(glob)


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("password=hunter2", "password=[redacted]"),
        ("db Password = 'a b';x=1", "db Password = '[redacted]';x=1"),
        ("{'token': 'abc', 'n': 1}", "{'token': '[redacted]', 'n': 1}"),
        ('{"api_key":"a\\"b","x":[1]}', '{"api_key":"[redacted]","x":[1]}'),
        ('{\\"password\\": \\"abc\\"}', '{\\"password\\": \\"[redacted]\\"}'),
        ("User(name='x', password='hunter2')", "User(name='x', password='[redacted]')"),
        ("Server=x;Password=abc;Port=1", "Server=x;Password=[redacted];Port=1"),
        ("url=https://h/?page=2&access_token=abc&x=1", "url=https://h/?page=2&access_token=[redacted]&x=1"),
        ("cmd --api-key=x --verbose", "cmd --api-key=[redacted] --verbose"),
        ("Cookie: a=b; c=d\nHost: h", "Cookie: [redacted]\nHost: h"),
        ("Authorization: Bearer secret-token", "Authorization: [redacted]"),
        ("sent Bearer abc123def456", "sent Bearer [redacted]"),
        ("redis://:pass@h", "redis://:[redacted]@h"),
        ("postgres://u:p@ss@h/x", "postgres://u:[redacted]@h/x"),
        ("paid with 4111 1111 1111 1111.", "paid with [redacted]."),
        ("order 10 4111-1111-1111-1111", "order 10 [redacted]"),
        ("378282246310005", "[redacted]"),
        ("'passwords': ['a', 'b'] z", "'passwords': [redacted] z"),
        ("-----BEGIN PRIVATE KEY-----\nMIIE (cut", "[redacted]"),
    ],
)
def test_secrets_inside_a_text_are_replaced_and_the_rest_stays(text, redacted):
    """A reader still sees which setting it was, and what stood around it."""
    assert Redactor().text(text) == redacted
    assert Redactor().text(redacted) == redacted


@pytest.mark.parametrize(
    "text",
    [
        "",
        "gift wrap, please",
        "2026-11-22T10:15:30.123456789Z",
        "1732406123456789012",
        "4bf92f3577b34da6a3ce929d0e0e4736",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "12345678-1234-4123-8123-123456789012",
        "4111 1111 1111 1112",
        "ada@example.org",
        "max_tokens=5, keyboard=de",
        "basic authentication is required",
        "Invalid token: unexpected",
        "https://example.org:8080/path?page=2",
        "task-force scikit-learn sk-learn-and-much-more-besides",
    ],
)
def test_ordinary_text_comes_back_as_the_same_object(text):
    """Ids, times, e-mail addresses and prose survive, and are not even copied."""
    assert Redactor().text(text) is text


def test_a_tree_loses_its_secrets_and_keeps_its_shape():
    """Values under secret names go at any depth, types of containers stay."""
    tree = {"user": {"name": "Ada", "apiKey": "k", "pin": 1}, "log": ["password=x", ("a", 1.5)], "none": None}
    assert Redactor().value(tree) == {
        "user": {"name": "Ada", "apiKey": REDACTED, "pin": REDACTED},
        "log": ["password=[redacted]", ("a", 1.5)],
        "none": None,
    }
    assert tree["user"]["apiKey"] == "k"


def test_a_tree_without_secrets_is_the_same_object():
    """Nothing is copied when nothing changes, also when it was redacted before."""
    tree = {"a": [1, {"b": ("x", None)}], "password": REDACTED}
    assert Redactor().value(tree) is tree


def test_attributes_are_redacted_by_whole_key_last_part_and_text():
    """A header's name is the last part of its attribute's key."""
    attributes = {
        "http.request.header.authorization": ["Basic abc"],
        "otel_tracker.args.pin": 1234,
        "url.query": "token=abc&x=1",
        "user.id": "u-1",
    }
    assert dict(Redactor().mapping(attributes)) == {
        "http.request.header.authorization": REDACTED,
        "otel_tracker.args.pin": REDACTED,
        "url.query": "token=[redacted]&x=1",
        "user.id": "u-1",
    }
    clean = {"user.id": "u-1", "otel_tracker.args_json.items": '{"token":"[redacted]","n":1}'}
    assert Redactor().mapping(clean) is clean


@pytest.mark.parametrize("key", ["otel_tracker.args_json.order", "otel_tracker.result_json"])
def test_json_attributes_are_still_json_after_redaction(key):
    """The text of a captured value is parsed, redacted and written again."""
    value = {"password": {"old": "a"}, "note": 'said "token=abc"', "card": "4111111111111111", "n": 4111111111111111}
    redacted = Redactor().mapping({key: json.dumps(value)})[key]
    assert json.loads(redacted) == {
        "password": REDACTED,
        "note": 'said "token=[redacted]"',
        "card": REDACTED,
        "n": 4111111111111111,
    }


def test_json_that_a_limit_has_cut_is_redacted_as_text():
    """What cannot be parsed any more loses its secrets all the same."""
    key = "otel_tracker.args_json.order"
    assert Redactor().mapping({key: '{"password":"hunter2","n":[1,'})[key] == '{"password":"[redacted]","n":[1,'


def test_added_keys_and_values_are_redacted():
    """The settings take globs of names and expressions of values, whatever their spelling."""
    redact = Redactor(keys=("iban", "*_pin", "X-Shop-Key", "customerCode"), values=(r"EMP-\d{6}", r"\d{4}", "x*"))
    assert all(map(redact.is_secret_key, ["IBAN", "led_pin", "x_shop_key", "customer_code"]))
    assert not redact.is_secret_key("ibanese")
    assert redact.text("EMP-123456 iban=DE02 7777 x") == "[redacted] iban=[redacted] [redacted] [redacted]"
    assert redact.text("1234") == REDACTED


def test_an_expression_that_matches_its_own_mark_changes_nothing_twice():
    """Redaction is idempotent also with a greedy expression of the user's."""
    redact = Redactor(values=(r"\w+",))
    assert redact.text("a b") == "[redacted] [redacted]"
    assert redact.text("[redacted] [redacted]") == "[redacted] [redacted]"


def test_a_bad_expression_is_said_once_and_skipped(caplog):
    """A mistyped expression is one sentence with its variable; the others work."""
    diagnostics.forget_said()
    with caplog.at_level(logging.WARNING, "otel_tracker"):
        redact = Redactor(values=("(", r"EMP-\d+"))
        Redactor(values=("(",))
    assert redact.text("EMP-1 (") == "[redacted] ("
    assert len(caplog.records) == 1
    assert "OTEL_TRACKER_REDACT_VALUES" in caplog.text
    diagnostics.forget_said()


def test_a_disabled_redactor_changes_nothing():
    """Who switches redaction off sees everything."""
    redact = Redactor(enabled=False)
    tree = {"password": "hunter2"}
    assert redact.value(tree) is tree
    assert redact.mapping(tree) is tree
    assert redact.text("password=hunter2") == "password=hunter2"
    assert not redact.is_secret_key("password")


def test_the_redactor_in_force_follows_the_settings_after_a_reset(monkeypatch):
    """The settings are read once, at first use, and again after `reset()`."""
    redaction.reset()
    monkeypatch.setenv(settings.REDACT_KEYS.variable, "iban")
    first = redaction.redactor()
    assert first.is_secret_key("iban")
    assert redaction.redactor() is first
    monkeypatch.setenv(settings.REDACT_ENABLED.variable, "false")
    redaction.reset()
    assert not redaction.redactor().enabled
    monkeypatch.undo()
    redaction.reset()


def test_a_huge_text_is_read_and_kept_up_to_a_bound():
    """What is not read is not shown, so that a text of 100 million characters costs what one million do."""
    redacted = Redactor().text("a" * (MAX_TEXT * 3))
    assert len(redacted) == MAX_TEXT
    assert redacted.endswith("...")


def test_names_with_a_secret_in_them_are_not_remembered():
    """The memory of names holds no secret and does not grow without bound."""
    redact = Redactor()
    redact.is_secret_key("4111111111111111")
    redact.is_secret_key("n" * 10_000)
    assert not redact.known_keys
    for number in range(10_000):
        redact.is_secret_key(f"name_{number}_x")
    assert len(redact.known_keys) <= 4_096


EVIL = ["password=", "eyJ-", "eyJa.", "sk-", "a=", "'password':", "token='", "a.", "://a:", "4111 ", "Bearer a", "pin:"]
EVIL += [
    "-----BEGIN PRIVATE KEY-----",
    "password=[",
    " =",
    "{",
    "\\",
    "\\'",
    "token=\\'",
    "a_",
    "@",
    "4111-",
    "Cookie: ",
]


@pytest.mark.parametrize("evil", EVIL)
def test_no_text_takes_more_than_linear_work(evil):
    """Backtracking would show as minutes; linear work on 200,000 characters is far below the limit of the test run."""
    text = evil * (200_000 // len(evil))
    redact = Redactor()
    once = redact.text(text)
    assert redact.text(once) == once


def test_no_expression_nests_repetitions():
    """The usual source of exponential matching, a repeated group that repeats inside, is in none of the tables."""
    expressions = [ASSIGNED_NAME, CARD_NUMBER, HEADER_VALUE, *(pattern.regex for pattern in VALUE_PATTERNS)]
    assert not [regex.pattern for regex in expressions if re.search(r"[+*]\)[+*]", regex.pattern)]
    assert ASSIGNED_VALUE.match("'a\\'b' rest")[0] == "'a\\'b"


@given(
    st.text(), st.sampled_from([*(pattern.example for pattern in VALUE_PATTERNS), "password=x", "4111111111111111", ""])
)
def test_redaction_is_idempotent(noise, secret):
    """Text that capture has redacted passes a second time, where records are made, unchanged."""
    redact = Redactor()
    once = redact.text(noise + " " + secret + " " + noise)
    assert redact.text(once) == once
