"""What never leaves for an analytics server: e-mail addresses, query strings, user names and passwords in urls.

Secrets (tokens, passwords, card numbers) in values are gone already: they are redacted where records are made. Here
they are looked for once more, because names of properties, and what was encoded for a url, are texts too. Ids of users
stay different from each other, but an id that is an e-mail address leaves as a hash, and with a key every id does.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from typing import Any

from otel_tracker.redaction import redactor
from otel_tracker.redaction.patterns import REDACTED
from otel_tracker_exporters.umami.texts import clean, utf16_length

MAX_ID = 50
"""Umami's column holds no more, and answers 500 for 51."""

_ID_DIGITS = 32

# Each looks at a character once, or twice: what a program puts into its events may be long.
_EMAIL = re.compile(r"(?<![\w.%+'-])[\w.%+'-]+(?:@|%40)[\w-]+(?:\.[\w-]+)*\.[^\W\d_][\w-]+")
_WORD = re.compile(r"[^\s\"'<>]+")
_USER = re.compile(r"://[^/\s]*@")
_PAIR = re.compile(r"[\w.%\[\]~+-]{1,100}=")
_BARE_QUERY = re.compile(r"\??[\w.%\[\]~+-]+=[^\s&=]*(?:&[\w.%\[\]~+-]+=[^\s&=]*)+")


def private(text: str) -> str:
    """The text without secrets, e-mail addresses and the query string of anything that looks like a url."""
    text = redactor().text(text)
    if "?" in text or "#" in text or "://" in text:
        text = _WORD.sub(lambda match: _without_query(match[0]), text)
    if "&" in text and _BARE_QUERY.fullmatch(text):
        return REDACTED
    return _EMAIL.sub(REDACTED, text) if "@" in text or "%40" in text else text


def private_tree(value: Any) -> Any:
    """A plain value with each of its texts, keys too, as `private` gives it."""
    if isinstance(value, str):
        return private(value)
    if isinstance(value, Mapping):
        return {private(str(key)): private_tree(item) for key, item in value.items()}
    return [private_tree(item) for item in value] if isinstance(value, (list, tuple)) else value


def visitor_id(given: str, hash_key: str | None, website_id: str) -> str:
    """The id by which the server tells visitors apart: as it is where that is fit to leave, else 32 digits of a hash.

    The hash is keyed with ``hash_key``; without one with the website's id, so that at least it differs by website.
    """
    if hash_key is None and clean(given) == given == private(given) and utf16_length(given) <= MAX_ID:
        return given
    key = (hash_key or website_id).encode("utf-8", "surrogatepass")
    return hmac.new(key, given.encode("utf-8", "surrogatepass"), "sha256").hexdigest()[:_ID_DIGITS]


def _without_query(word: str) -> str:
    """A url or path without user, password, query and fragment; any other word as it is."""
    if "://" in word:
        return _USER.sub("://", re.split(r"[?#]", word, maxsplit=1)[0])
    head, mark, tail = word.partition("?")
    if mark and tail and ("/" in head or _PAIR.match(tail)):
        return head
    head, mark, tail = word.partition("#")
    return head if mark and _PAIR.match(tail) else word
