"""The settings of the `umami` destination; a part of the table of `otel_tracker.settings`."""

from __future__ import annotations

from typing import Any

from otel_tracker.setting_sources import Setting, bool_setting, text_setting
from otel_tracker.setting_values import (
    parse_endpoint,
    parse_header,
    parse_names,
    parse_seconds,
    parse_umami_dialect,
)

UMAMI_ENDPOINT = text_setting(
    "umami_endpoint",
    "OTEL_TRACKER_UMAMI_ENDPOINT",
    "the URL of an Umami server, such as https://umami.example.com",
    "The server that the `umami` destination sends to.",
    fallbacks=("UMAMI_API_URL",),
    parse=parse_endpoint,
)
UMAMI_WEBSITE_ID = text_setting(
    "umami_website_id",
    "OTEL_TRACKER_UMAMI_WEBSITE_ID",
    "the id of a website in Umami (a UUID)",
    "The website that events belong to; for the `posthog` dialect the project's API key.",
    fallbacks=("UMAMI_WEBSITE_ID",),
)
UMAMI_HOSTNAME = text_setting(
    "umami_hostname",
    "OTEL_TRACKER_UMAMI_HOSTNAME",
    "a host name such as shop.example.com",
    "The host name that events are shown under; unset, that of the request, else the service's name.",
    fallbacks=("UMAMI_HOSTNAME",),
)
UMAMI_API_KEY = text_setting(
    "umami_api_key",
    "OTEL_TRACKER_UMAMI_API_KEY",
    "an API key",
    "Sent as `x-umami-api-key` (Umami Cloud); a server of your own needs none.",
    secret=True,
    fallbacks=("UMAMI_API_KEY",),
    parse=parse_header,
)
UMAMI_USER_AGENT = text_setting(
    "umami_user_agent",
    "OTEL_TRACKER_UMAMI_USER_AGENT",
    "a User-Agent that Umami's bot filter lets through",
    "The User-Agent of the `umami` destination; unset, one that the bot filters of all versions let through.",
    parse=parse_header,
)
UMAMI_DIALECT = Setting(
    "umami_dialect",
    "OTEL_TRACKER_UMAMI_DIALECT",
    "umami",
    parse_umami_dialect,
    "umami or posthog",
    "Set it to umami, or unset it.",
    "What the server of the `umami` destination speaks: `umami` or `posthog`.",
)
UMAMI_PAGE_VIEWS = bool_setting(
    "umami_page_views",
    "OTEL_TRACKER_UMAMI_PAGE_VIEWS",
    False,
    "Whether HTTP server spans are sent to Umami as page views.",
)
UMAMI_SPANS: Setting[tuple[str, ...]] = Setting(
    "umami_spans",
    "OTEL_TRACKER_UMAMI_SPANS",
    (),
    parse_names,
    "globs of span names, comma-separated",
    "Set it to globs such as checkout.*, or unset it.",
    "Spans that are sent to Umami as events, by globs on their names.",
)
UMAMI_ATTRIBUTES: Setting[tuple[str, ...]] = Setting(
    "umami_attributes",
    "OTEL_TRACKER_UMAMI_ATTRIBUTES",
    ("*",),
    parse_names,
    "globs of attribute names, comma-separated",
    "Set it to globs such as *,!internal.*, or unset it.",
    "Which attributes are sent to Umami, by globs on their names; one that begins with `!` keeps them out.",
)
UMAMI_FORWARD_CLIENT = bool_setting(
    "umami_forward_client",
    "OTEL_TRACKER_UMAMI_FORWARD_CLIENT",
    False,
    "Whether address and User-Agent of the visitor (`client.address`, `user_agent.original`) are sent to Umami.",
)
UMAMI_HASH_KEY = text_setting(
    "umami_hash_key",
    "OTEL_TRACKER_UMAMI_HASH_KEY",
    "a secret text",
    "With this key user ids are sent to Umami as a keyed hash: the same visitors, without their ids.",
    secret=True,
)
UMAMI_INSTANCE_VISITOR = bool_setting(
    "umami_instance_visitor",
    "OTEL_TRACKER_UMAMI_INSTANCE_VISITOR",
    False,
    "Whether what has neither user nor session is shown in Umami as of one visitor for each process "
    "(`service.instance.id`).",
)
UMAMI_AT_LEAST_ONCE = bool_setting(
    "umami_at_least_once",
    "OTEL_TRACKER_UMAMI_AT_LEAST_ONCE",
    False,
    "Whether what was sent to Umami without an answer is sent again, at the risk of duplicates; else it counts as "
    "`unknown`.",
)
UMAMI_TIMEOUT_S = Setting(
    "umami_timeout_s",
    "OTEL_TRACKER_UMAMI_TIMEOUT_S",
    30.0,
    parse_seconds,
    "a number of seconds above 0",
    "Set it to 30, or unset it.",
    "How long the `umami` destination waits for an answer.",
)

UMAMI_SETTINGS: tuple[Setting[Any], ...] = (
    UMAMI_ENDPOINT,
    UMAMI_WEBSITE_ID,
    UMAMI_HOSTNAME,
    UMAMI_API_KEY,
    UMAMI_USER_AGENT,
    UMAMI_DIALECT,
    UMAMI_PAGE_VIEWS,
    UMAMI_SPANS,
    UMAMI_ATTRIBUTES,
    UMAMI_FORWARD_CLIENT,
    UMAMI_HASH_KEY,
    UMAMI_INSTANCE_VISITOR,
    UMAMI_AT_LEAST_ONCE,
    UMAMI_TIMEOUT_S,
)
