"""The options of the `umami` destination: each an argument of the exporters that falls back to its setting."""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from otel_tracker import umami_settings
from otel_tracker.errors import MissingSettingError, SettingError
from otel_tracker.setting_sources import Setting
from otel_tracker.version import __version__

UMAMI, POSTHOG = "umami", "posthog"

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_API_PATHS = ("/api/send", "/api/batch", "/batch", "/api")


@dataclass(frozen=True, slots=True)
class Options:
    """What is in force for one exporter.

    ``base_url`` has no slash at its end and none of the paths of the API; it may hold a user and a password.
    """

    base_url: str
    website_id: str
    hostname: str | None = None
    api_key: str | None = None
    user_agent: str = ""
    dialect: str = UMAMI
    has_page_views: bool = False
    span_globs: tuple[str, ...] = ()
    attribute_globs: tuple[str, ...] = ("*",)
    forwards_client: bool = False
    hash_key: str | None = None
    has_instance_visitor: bool = False
    is_at_least_once: bool = False
    timeout_s: float = 30.0

    @property
    def shown_url(self) -> str:
        """The url without what may be secret in it."""
        parts = urlsplit(self.base_url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))

    def takes_span(self, name: str) -> bool:
        """Whether spans of this name are sent as events."""
        return any(fnmatchcase(name, glob) for glob in self.span_globs)

    def takes_attribute(self, name: str) -> bool:
        """Whether attributes of this name are sent."""
        return _is_taken(self.attribute_globs, name)


def options_of(given: Mapping[str, Any]) -> Options:
    """The options for arguments by their names; a setting stands in for each that is missing or None.

    Raises `MissingSettingError` without an endpoint or website, `SettingError` for a website that cannot be one.
    """
    endpoint = umami_settings.UMAMI_ENDPOINT.read(given.get("endpoint"))
    website_id = umami_settings.UMAMI_WEBSITE_ID.read(given.get("website_id"))
    dialect = umami_settings.UMAMI_DIALECT.read(given.get("dialect"))
    if endpoint is None:
        raise _missing(umami_settings.UMAMI_ENDPOINT)
    if website_id is None:
        raise _missing(umami_settings.UMAMI_WEBSITE_ID)
    if dialect == UMAMI and not _UUID.fullmatch(website_id):
        row = umami_settings.UMAMI_WEBSITE_ID
        raise SettingError(row.variable, website_id, row.expected, "Copy it from the website's settings in Umami.")
    return Options(
        base_url=_base_of(endpoint),
        website_id=website_id,
        hostname=umami_settings.UMAMI_HOSTNAME.read(given.get("hostname")),
        api_key=umami_settings.UMAMI_API_KEY.read(given.get("api_key")),
        user_agent=umami_settings.UMAMI_USER_AGENT.read(given.get("user_agent")) or default_user_agent(),
        dialect=dialect,
        has_page_views=umami_settings.UMAMI_PAGE_VIEWS.read(given.get("page_views")),
        span_globs=umami_settings.UMAMI_SPANS.read(given.get("spans")),
        attribute_globs=umami_settings.UMAMI_ATTRIBUTES.read(given.get("attributes")),
        forwards_client=umami_settings.UMAMI_FORWARD_CLIENT.read(given.get("forward_client")),
        hash_key=umami_settings.UMAMI_HASH_KEY.read(given.get("hash_key")),
        has_instance_visitor=umami_settings.UMAMI_INSTANCE_VISITOR.read(given.get("instance_visitor")),
        is_at_least_once=umami_settings.UMAMI_AT_LEAST_ONCE.read(given.get("at_least_once")),
        timeout_s=umami_settings.UMAMI_TIMEOUT_S.read(given.get("timeout_s")),
    )


def default_user_agent() -> str:
    """One that isbot 3.4 to 5.1, which Umami asks, takes for no bot.

    Measured: a lone ``word/version`` counts as a bot, and so does whatever holds a url; this form passes in all.
    """
    version = ".".join(platform.python_version_tuple()[:2])
    return f"otel-tracker/{__version__} (Python {version}; {platform.system() or 'Linux'})"


def _missing(row: Setting[Any]) -> MissingSettingError:
    return MissingSettingError("The umami destination", row.variable, f"Set it to {row.expected}.")


def _base_of(endpoint: str) -> str:
    """The server's own url, whichever of its paths was given: ``https://host/api/send`` is ``https://host``."""
    parts = urlsplit(endpoint)
    path = parts.path.rstrip("/")
    for ending in _API_PATHS:
        path = path.removesuffix(ending).rstrip("/")
    return urlunsplit((parts.scheme.lower(), parts.netloc, path, "", ""))


@lru_cache(maxsize=2048)
def _is_taken(globs: tuple[str, ...], name: str) -> bool:
    wanted = [glob for glob in globs if not glob.startswith("!")] or ["*"]
    unwanted = [glob[1:] for glob in globs if glob.startswith("!")]
    return any(fnmatchcase(name, glob) for glob in wanted) and not any(fnmatchcase(name, glob) for glob in unwanted)
