"""What a secret looks like, as data: the names of secret keys, and the shapes of secret values.

`otel_tracker.redaction` applies both tables; a test runs every example. Adding a kind of secret is one more row.
Not here, on purpose: e-mail addresses (people look for users by them) and plain hexadecimal text or UUIDs (trace
ids must survive).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

REDACTED = "[redacted]"
"""What stands where a secret stood."""

KEY_PATTERNS: tuple[str, ...] = (
    *("*password", "*passwords", "*password_*", "*passwd", "*passwd_*", "*pwd", "*passphrase", "*passcode"),
    *("pass", "user_pass", "db_pass", "smtp_pass", "userpass", "dbpass"),
    *("*secret", "*secrets", "secret_*", "*_secret_*", "secretkey", "secretaccesskey"),
    # Singular: `max_tokens` and `tokens_used` count words of a language model.
    *("*token", "access_tokens", "refresh_tokens", "auth_tokens", "api_tokens", "csrf*", "xsrf*", "jwt", "*_jwt"),
    *("*api_key", "*apikey", "*api_keys", "*apikeys", "*private_key", "*privatekey", "*signing_key", "*encryption_key"),
    *("access_key", "*_access_key", "accesskey", "*account_key", "accountkey", "*shared_key", "master_key", "ssh_key"),
    *("*authorization", "auth", "basic_auth", "http_auth", "proxy_auth", "auth_header", "auth_key", "bearer"),
    *("cookie", "cookies", "*_cookie", "*_cookies", "setcookie", "session_key", "sessionkey"),
    *("*credential", "*credentials", "*creds"),
    *("*credit_card*", "*creditcard*", "*card_number", "*cardnumber", "card_no", "cc_number", "cc_num"),
    *("cvv", "cvc", "*_cvv", "*_cvc", "cvv_code", "cvc_code", "ssn", "*_ssn", "social_security*"),
    *("pin", "pin_code", "card_pin", "user_pin", "otp", "*_otp", "otp_code", "mfa_code"),
)
"""Globs over normalised names: words in lower case joined by ``_``, without digits at the end.

``apiKey``, ``X-Api-Key`` and ``API_KEY_2`` are all compared as ``api_key`` (the second as ``x_api_key``).
"""

KEY_STEM = re.compile(
    "pass|pwd|secret|token|csrf|xsrf|jwt|key|auth|bearer|cookie|cred|card|cc|cv|ssn|social|pin|otp|mfa"
)
"""What a text in lower case must hold before its ``name=value`` pairs are looked at; each key pattern holds one."""

_EDGE = r"(?<![\w-])"  # a pattern starts only where a word starts: each character is looked at once, never n times


@dataclass(frozen=True, slots=True)
class ValuePattern:
    """One shape of secret: what must be in a text before the expression is tried, and an example of it.

    A text without the character ``gate`` and without any of the ``hints`` cannot match. The replacement keeps what
    says which kind of secret it was.
    """

    name: str
    gate: str
    hints: tuple[str, ...]
    regex: re.Pattern[str]
    example: str
    replacement: str = REDACTED


# The examples are split where a secret scanner of a code host would otherwise take them for the real thing.
VALUE_PATTERNS: tuple[ValuePattern, ...] = (
    ValuePattern(
        "json_web_token",
        ".",
        ("eyJ",),
        re.compile(_EDGE + r"eyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*){0,3}"),
        "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0NSJ9.4pcPyMD09olPSyXnrXCjTwXyr4BsezdI1AVTmud2fU4",
    ),
    ValuePattern(
        "authorization_header",
        " ",
        ("earer ", "EARER ", "asic ", "ASIC "),
        # A digit, a change of case or an inner mark: "basic authentication" is prose.
        re.compile(
            _EDGE + r"([Bb]earer|BEARER|[Bb]asic|BASIC) {1,3}"
            r"(?=[\w+/=~.-]*(?:\d|[a-z][A-Z]|\w[-_+/.]\w))[\w+/=~.-]{8,}"
        ),
        "Basic dXNlcjpodW50ZXIy",
        rf"\1 {REDACTED}",
    ),
    ValuePattern(
        "aws_access_key_id",
        "A",
        ("AKIA", "ASIA", "AROA", "AIDA"),
        re.compile(_EDGE + r"A(?:KIA|SIA|ROA|IDA)[A-Z0-9]{16}(?!\w)"),
        "AKIA" + "IOSFODNN7EXAMPLE",
    ),
    ValuePattern(
        "google_key",
        "A",
        ("AIza",),
        re.compile(_EDGE + r"AIza[\w-]{30,}"),
        "AIza" + "SyA1234567890abcdefghijklmnopqrstuv",
    ),
    ValuePattern(
        "google_oauth_token",
        ".",
        ("ya29.",),
        re.compile(_EDGE + r"ya29\.[\w.-]{20,}"),
        "ya29." + "a0AfH6SMBx1234567890abcdefghij",
    ),
    ValuePattern(
        "github_token",
        "_",
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        re.compile(_EDGE + r"(?:gh[pousr]|github_pat)_\w{20,}"),
        "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a",
    ),
    ValuePattern(
        "stripe_key",
        "_",
        ("k_live_", "k_test_", "whsec_"),
        re.compile(_EDGE + r"(?:[rs]k_(?:live|test)|whsec)_\w{16,}"),
        "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc",
    ),
    ValuePattern(
        "package_registry_token",
        "_",
        ("npm_", "hf_"),
        re.compile(_EDGE + r"(?:npm|hf)_[A-Za-z0-9]{30,}"),
        "npm_" + "abcdefghijklmnopqrstuvwxyz0123456789",
    ),
    ValuePattern(
        "gitlab_token",
        "-",
        ("glpat-", "gldt-", "glrt-", "glptt-", "glsoat-"),
        re.compile(_EDGE + r"gl(?:pat|dt|rt|ptt|soat)-[\w-]{20,}"),
        "glpat-" + "xYz123AbCdEfGhIjKlMn",
    ),
    ValuePattern(
        "slack_token",
        "-",
        ("xox", "xapp-"),
        re.compile(_EDGE + r"x(?:ox[abeoprs]|app)-[\w-]{10,}"),
        "xoxb-" + "123456789012-abcdefABCDEF",
    ),
    ValuePattern(
        "openai_key",
        "-",
        ("sk-",),
        re.compile(_EDGE + r"sk-(?=[\w-]*\d)[\w-]{20,}"),
        "sk-" + "proj-abc123def456ghi789jkl012mno345",
    ),
    ValuePattern(
        "private_key_block",
        "-",
        ("-----BEGIN ",),
        # Without its end (a cut text) the rest of the text goes.
        re.compile(
            r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]{1,60}-----|\Z)", re.S
        ),
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA\n-----END RSA PRIVATE KEY-----",
    ),
    ValuePattern(
        "url_credentials",
        "@",
        ("://",),
        re.compile(r"://([^\s/?#:@\"'<>]{0,100}):(?!\[redacted\]@)[^\s/?#\"'<>]{1,300}@"),
        "postgresql://shop:hunter2@db.example:5432/shop",
        rf"://\1:{REDACTED}@",
    ),
)

CARD_NUMBER = re.compile(
    r"(?<![\w.-])(?:"
    r"4\d{12}(?:\d{3}){0,2}|5[1-5]\d{14}|2[2-7]\d{14}|3[47]\d{13}|3[068]\d{12}|35\d{14}|6[0245]\d{14}(?:\d{3})?"
    r"|(?:4\d{3}|5[1-5]\d\d|2[2-7]\d\d|35\d\d|6[0245]\d\d)([ -])\d{4}\1\d{4}\1\d{4}(?:\1\d{3})?"
    r"|3[47]\d\d([ -])\d{6}\2\d{5}"
    r")(?![\w-]|\.\d)",
    re.ASCII,
)
"""Payment card numbers by the first digits of the networks, plain or grouped; the Luhn sum decides.

Without the first digits one in ten nanosecond timestamps would count as a card.
"""

ASSIGNED_NAME = re.compile(
    r"(?<![\w.-])(?P<name>[\w.-]{1,64})(?P<quote>\\{0,3}[\"'])?[^\S\r\n]{0,3}(?P<sign>=>?|:)(?P<gap>[^\S\r\n]{0,3})"
)
"""A name and the sign after it, in ``password=x``, ``"token": "x"``, ``--api-key=x``, ``Cookie: x``."""

ASSIGNED_VALUE = re.compile(
    r"(?P<opening>\\{1,3}[\"'])[^\"'\\\r\n]*"
    r"|(?P<start>[bru]?(?P<quote>[\"']))(?:(?!(?P=quote))[^\\]|\\.)*"
    r"|(?!(?:[A-Za-z]+ +)?\[redacted\])(?:"
    r"[\[({][^\])}\r\n]{0,1000}[\])}]?"
    r"|(?:(?:[Bb]earer|[Bb]asic|[Tt]oken|[Dd]igest) +)?[^\s\"'&;,)\]}>]+"
    r")",
    re.DOTALL,
)
"""The value after the sign: quoted (the closing quote stays), bracketed, or up to the next blank or separator."""

HEADER_VALUE = re.compile(r"(?!\[redacted\])[^\r\n\"']+")
"""The value of a header that goes on to the end of the line (cookies)."""
