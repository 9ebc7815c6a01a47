"""What the settings say of HTTP requests: the header of their ids, whom to trust, and which are left out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import translate
from functools import lru_cache
from typing import NamedTuple

from otel_tracker import settings

NONE = "none"
"""The glob of `http_excluded_urls` that leaves out no request."""


class HttpRules(NamedTuple):
    """The settings in force; ``request_id_key`` is the header's name as WSGI has it, in ASGI it is in lower case."""

    request_id_header: str
    request_id_key: str
    trusts_forwarded: bool
    excluded: ExcludedPaths


class ExcludedPaths:
    """Paths by globs; a plain one also with a slash at its end. Nearly all requests are told apart without a regex."""

    __slots__ = ("_exact", "_prefixes", "_regex")

    def __init__(self, globs: Iterable[str]) -> None:
        wanted = [glob for glob in globs if glob != NONE]
        plain = [glob.rstrip("/") for glob in wanted if not _is_glob(glob)]
        prefixes = [glob for glob in wanted if glob.endswith("*") and not _is_glob(glob[:-1])]
        others = [translate(glob) for glob in wanted if _is_glob(glob) and glob not in prefixes]
        self._exact = frozenset([*plain, *(f"{path}/" for path in plain)])
        self._prefixes = tuple(glob[:-1] for glob in prefixes)
        self._regex = re.compile("|".join(others)) if others else None

    def __contains__(self, path: str) -> bool:
        if path in self._exact or path.startswith(self._prefixes):
            return True
        return self._regex is not None and self._regex.match(path) is not None


def _is_glob(text: str) -> bool:
    return any(sign in text for sign in "*?[")


def reset() -> None:
    """Read the settings again at the next request."""
    rules_in_force.cache_clear()


@lru_cache(maxsize=1)
def rules_in_force() -> HttpRules:
    """The rules, read from the settings at the first request."""
    header = settings.HTTP_REQUEST_ID_HEADER.read()
    return HttpRules(
        request_id_header=header,
        request_id_key=f"HTTP_{header.upper().replace('-', '_')}",
        trusts_forwarded=settings.HTTP_TRUST_FORWARDED.read(),
        excluded=ExcludedPaths(settings.HTTP_EXCLUDED_URLS.read()),
    )
