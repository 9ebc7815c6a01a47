"""Every setting in one table: name, variable, type, default and one sentence.

Precedence: argument of `configure()`, then the environment, then the settings file, then the default. A value
that cannot be used is said once, in one sentence, and its default is used; it never stops the program and never
switches the rest off. `python -m otel_tracker.settings` prints the table that ``docs/settings.md`` shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otel_tracker import setting_sources as sources
from otel_tracker.errors import UnknownSettingError
from otel_tracker.event_routes import Routes, parse_routes
from otel_tracker.firestore_settings import FIRESTORE_SETTINGS
from otel_tracker.setting_sources import (
    CONFIG_FILE_FIX,
    CONFIG_FILE_VARIABLE,
    KNOWN_NAMES,
    SETTINGS_FILE_NAME,
    Setting,
    bool_setting,
    text_setting,
)
from otel_tracker.setting_values import (
    parse_bytes,
    parse_days,
    parse_header_name,
    parse_jsonl_format,
    parse_level,
    parse_names,
    parse_ratio,
    parse_seconds,
    parse_span_engine,
    parse_text,
    parse_whole,
)
from otel_tracker.umami_settings import UMAMI_SETTINGS

EXPORTERS: Setting[tuple[str, ...]] = Setting(
    "exporters",
    "OTEL_TRACES_EXPORTER",
    ("sqlite",),
    parse_names,
    "names such as sqlite, jsonl, firestore, umami, console, otlp or none, comma-separated",
    "Set it to sqlite, or unset it.",
    "Where spans and events go: `sqlite`, `jsonl`, `firestore`, `umami`, `console`, `otlp`, `none` or another "
    "exporter's entry point, comma-separated.",
)
SERVICE_NAME: Setting[str | None] = Setting(
    "service_name",
    "OTEL_SERVICE_NAME",
    None,
    parse_text,
    "a name",
    "Set it to your service's name, or unset it.",
    "The service that spans and events belong to (`service.name`).",
)
CONFIG_FILE: Setting[str | None] = Setting(
    "config_file",
    CONFIG_FILE_VARIABLE,
    None,
    parse_text,
    "the path of a YAML file",
    CONFIG_FILE_FIX,
    f"The settings file; unset, `{SETTINGS_FILE_NAME}` is looked for in the working directory and upwards to the "
    "project's root.",
)
LOG_LEVEL = Setting(
    "log_level",
    "OTEL_TRACKER_LOG_LEVEL",
    "warning",
    parse_level,
    "debug, info, warning, error or critical",
    "Set it to warning, or unset it.",
    "From which level on the logger `otel_tracker` speaks; `debug` shows the effective settings.",
)
SPAN_ENGINE = Setting(
    "span_engine",
    "OTEL_TRACKER_SPAN_ENGINE",
    "lean",
    parse_span_engine,
    "lean or sdk",
    "Set it to lean, or unset it.",
    "What makes the spans of decorators and blocks: `lean`, spans of ours that cost a fifth, or `sdk`, the SDK's own. "
    "Another tracer than the SDK's always makes its own.",
)
CAPTURE_ARGS = bool_setting(
    "capture_args", "OTEL_TRACKER_CAPTURE_ARGS", True, "Whether `@traced` records arguments unless it says otherwise."
)
CAPTURE_RESULT = bool_setting(
    "capture_result",
    "OTEL_TRACKER_CAPTURE_RESULT",
    False,
    "Whether `@traced` records results unless it says otherwise.",
)
CAPTURE_MAX_LENGTH = Setting(
    "capture_max_length",
    "OTEL_TRACKER_CAPTURE_MAX_LENGTH",
    1000,
    parse_whole,
    "a whole number of characters from 0",
    "Set it to 1000, or unset it.",
    "Characters kept of a captured string; a whole value's JSON text gets four times that. 0 means no limit "
    "(one million while secrets are redacted).",
)
REDACT_ENABLED = bool_setting(
    "redact_enabled", "OTEL_TRACKER_REDACT_ENABLED", True, "Whether secrets are replaced by `[redacted]`."
)
REDACT_KEYS: Setting[tuple[str, ...]] = Setting(
    "redact_keys",
    "OTEL_TRACKER_REDACT_KEYS",
    (),
    parse_names,
    "key names or globs, comma-separated",
    "Set it to names such as iban,*_pin, or unset it.",
    "More parameter and key names whose values are redacted, as globs, comma-separated.",
)
REDACT_VALUES: Setting[tuple[str, ...]] = Setting(
    "redact_values",
    "OTEL_TRACKER_REDACT_VALUES",
    (),
    parse_names,
    "regular expressions, comma-separated",
    r"Set it to expressions such as EMP-\d{6}, or unset it.",
    "More regular expressions; what they match in any text is redacted. Comma-separated (write `\\x2c` for a comma).",
)
EVENTS_ENABLED = bool_setting(
    "events_enabled",
    "OTEL_TRACKER_EVENTS_ENABLED",
    True,
    "Whether `track` and its kin make events.",
    ("TELEMETRY_ENABLED",),
)
EVENTS_PRINTED = bool_setting(
    "events_printed",
    "OTEL_TRACKER_EVENTS_PRINTED",
    False,
    "Whether every event is also printed to the console.",
    ("TELEMETRY_DEBUG",),
)
EVENTS_ROUTES: Setting[Routes] = Setting(
    "events_routes",
    "OTEL_TRACKER_EVENTS_ROUTES",
    Routes(),
    parse_routes,
    "destinations with globs of event names, such as umami=user.*,payment.*;logging=error.*",
    "Set it to such a text, or unset it.",
    "Which events a destination gets, by globs on their names: `umami=user.*,payment.*;logging=error.*`. A destination "
    "that is named here is active; one that is active and not named gets every event.",
)
EVENTS_DEFAULT = text_setting(
    "events_default",
    "OTEL_TRACKER_EVENTS_DEFAULT",
    "the name of a destination",
    "The destination of `events_routes` that also gets the events which match no route.",
)
EVENTS_SAMPLE_RATIO = Setting(
    "events_sample_ratio",
    "OTEL_TRACKER_EVENTS_SAMPLE_RATIO",
    1.0,
    parse_ratio,
    "a number from 0 to 1",
    "Set it to 1, or unset it.",
    "The share of traces whose events are kept, 0 to 1; all events of a trace are kept, or none.",
)
LOGS_STORE = bool_setting(
    "logs_store",
    "OTEL_TRACKER_LOGS_STORE",
    False,
    "Whether log records that are no events are stored too (type `log`).",
)
CONTEXT_BAGGAGE_KEYS: Setting[tuple[str, ...]] = Setting(
    "context_baggage_keys",
    "OTEL_TRACKER_CONTEXT_BAGGAGE_KEYS",
    (),
    parse_names,
    "keys of baggage entries, comma-separated",
    "Set it to keys such as tenant,user.id, or unset it.",
    "Baggage entries that are stamped on spans and events; baggage comes from other services and may hold anything.",
)
HTTP_REQUEST_ID_HEADER = Setting(
    "http_request_id_header",
    "OTEL_TRACKER_HTTP_REQUEST_ID_HEADER",
    "X-Request-ID",
    parse_header_name,
    "the name of an HTTP header",
    "Set it to X-Request-ID, or unset it.",
    "The header that a request's id comes in with, and goes out with in the response.",
)
HTTP_TRUST_FORWARDED = bool_setting(
    "http_trust_forwarded",
    "OTEL_TRACKER_HTTP_TRUST_FORWARDED",
    False,
    "Whether the client's address is taken from `Forwarded` or `X-Forwarded-For`: anybody can send these, so only "
    "behind a proxy that sets them.",
)
HTTP_EXCLUDED_URLS: Setting[tuple[str, ...]] = Setting(
    "http_excluded_urls",
    "OTEL_TRACKER_HTTP_EXCLUDED_URLS",
    ("/health", "/healthz", "/ready", "/metrics", "/favicon.ico", "/static/*"),
    parse_names,
    "globs of paths, comma-separated",
    "Set it to globs such as /health,/static/*, or unset it.",
    "Requests whose spans, and all spans below them, are not kept, by globs on their paths; `none` keeps all.",
)
DELIVERY_EXIT_TIMEOUT_S = Setting(
    "delivery_exit_timeout_s",
    "OTEL_TRACKER_DELIVERY_EXIT_TIMEOUT_S",
    2.0,
    parse_seconds,
    "a number of seconds above 0",
    "Set it to 2, or unset it.",
    "How many seconds the end of a process may take to deliver what waits; the rest goes out at the next start.",
)
DELIVERY_JOURNAL_DIR: Setting[str | None] = Setting(
    "delivery_journal_dir",
    "OTEL_TRACKER_DELIVERY_JOURNAL_DIR",
    None,
    parse_text,
    "the path of a folder",
    "Name a folder of your own, or unset it.",
    "Where telemetry waits for a destination that does not take it; unset, `otel-tracker/journal` in "
    "`XDG_STATE_HOME`, else a folder of yours in the temporary folder.",
)
DELIVERY_JOURNAL_MAX_BYTES = Setting(
    "delivery_journal_max_bytes",
    "OTEL_TRACKER_DELIVERY_JOURNAL_MAX_BYTES",
    256 * 2**20,
    parse_bytes,
    "a number of bytes such as 256MiB",
    "Set it to 256MiB, or to 0 for no limit.",
    "How much may wait there for all destinations together; beyond it telemetry is dropped. 0 means no limit.",
)
DELIVERY_SIGNALS = bool_setting(
    "delivery_signals",
    "OTEL_TRACKER_DELIVERY_SIGNALS",
    True,
    "Whether SIGTERM, where the program does not handle it, delivers what waits before it ends the process.",
)
DELIVERY_STARTED = bool_setting(
    "delivery_started",
    "OTEL_TRACKER_DELIVERY_STARTED",
    False,
    "Whether local stores get a record of every execution when it begins, at the cost of a write on the caller's "
    "thread, so that one that a killed process has not ended is shown as aborted.",
)
SQLITE_PATH = Setting(
    "sqlite_path",
    "OTEL_TRACKER_SQLITE_PATH",
    "otel-tracker.db",
    parse_text,
    "the path of a file",
    "Set it to otel-tracker.db, or unset it.",
    "The file of the `sqlite` store.",
)
SQLITE_MAX_BYTES = Setting(
    "sqlite_max_bytes",
    "OTEL_TRACKER_SQLITE_MAX_BYTES",
    2**30,
    parse_bytes,
    "a number of bytes such as 1GiB",
    "Set it to 1GiB, or to 0 for no limit.",
    "How large the `sqlite` store may become; then the oldest traces are removed, each as a whole. 0 means no limit.",
)
SQLITE_MAX_AGE_DAYS = Setting(
    "sqlite_max_age_days",
    "OTEL_TRACKER_SQLITE_MAX_AGE_DAYS",
    30.0,
    parse_days,
    "a number of days from 0",
    "Set it to 30, or to 0 for no limit.",
    "How long the `sqlite` store keeps a trace after its last span began. 0 means for ever.",
)
JSONL_PATH = Setting(
    "jsonl_path",
    "OTEL_TRACKER_JSONL_PATH",
    "otel-tracker.jsonl",
    parse_text,
    "the path of a file",
    "Set it to otel-tracker.jsonl, or unset it.",
    "The file of the `jsonl` store.",
)
JSONL_FORMAT = Setting(
    "jsonl_format",
    "OTEL_TRACKER_JSONL_FORMAT",
    "record",
    parse_jsonl_format,
    "record or otlp",
    "Set it to record, or unset it.",
    "What a line of the `jsonl` store is: `record`, or `otlp` for OTLP JSON in one file a signal "
    "(`otel-tracker.traces.jsonl`, `.logs.jsonl` and `.metrics.jsonl`).",
)
JSONL_MAX_BYTES = Setting(
    "jsonl_max_bytes",
    "OTEL_TRACKER_JSONL_MAX_BYTES",
    256 * 2**20,
    parse_bytes,
    "a number of bytes such as 256MiB",
    "Set it to 256MiB, or to 0 for no limit.",
    "How large a file of the `jsonl` store may become before it is put aside and a new one is begun. 0 means no limit.",
)
JSONL_BACKUPS = Setting(
    "jsonl_backups",
    "OTEL_TRACKER_JSONL_BACKUPS",
    3,
    parse_whole,
    "a whole number of files from 0",
    "Set it to 3, or unset it.",
    "How many files of the `jsonl` store that were put aside are kept; older ones are deleted.",
)
TABLE: tuple[Setting[Any], ...] = (
    EXPORTERS,
    SERVICE_NAME,
    CONFIG_FILE,
    LOG_LEVEL,
    SPAN_ENGINE,
    CAPTURE_ARGS,
    CAPTURE_RESULT,
    CAPTURE_MAX_LENGTH,
    REDACT_ENABLED,
    REDACT_KEYS,
    REDACT_VALUES,
    EVENTS_ENABLED,
    EVENTS_PRINTED,
    EVENTS_ROUTES,
    EVENTS_DEFAULT,
    EVENTS_SAMPLE_RATIO,
    LOGS_STORE,
    CONTEXT_BAGGAGE_KEYS,
    HTTP_REQUEST_ID_HEADER,
    HTTP_TRUST_FORWARDED,
    HTTP_EXCLUDED_URLS,
    DELIVERY_EXIT_TIMEOUT_S,
    DELIVERY_JOURNAL_DIR,
    DELIVERY_JOURNAL_MAX_BYTES,
    DELIVERY_SIGNALS,
    DELIVERY_STARTED,
    SQLITE_PATH,
    SQLITE_MAX_BYTES,
    SQLITE_MAX_AGE_DAYS,
    JSONL_PATH,
    JSONL_FORMAT,
    JSONL_MAX_BYTES,
    JSONL_BACKUPS,
    *FIRESTORE_SETTINGS,
    *UMAMI_SETTINGS,
)


def set_arguments(arguments: Mapping[str, object]) -> None:
    """Put arguments of `configure()` in front of every other source; None takes an earlier one back.

    Raises `UnknownSettingError` for a name that no setting bears; a value that cannot be used is said when read.
    """
    for name in arguments:
        if name not in KNOWN_NAMES:
            raise UnknownSettingError(
                f"configure() got {name}=; expected one of {', '.join(sorted(KNOWN_NAMES))}. See docs/settings.md."
            )
    for name, value in arguments.items():
        if value is None:
            sources.arguments.pop(name, None)
        else:
            sources.arguments[name] = value
    sources.forget_file()


def effective() -> dict[str, object]:
    """The value in force of each setting by name, secrets as ``***``."""
    return {
        setting.name: setting.shown(value) if setting.is_set() else value
        for setting in TABLE
        for value in (setting.read(),)
    }


def markdown_table() -> str:
    """The table of all settings as Markdown, for the documentation."""
    lines = ["| `configure(...)` | variable | default | what it does |", "|---|---|---|---|"]
    lines += [f"| `{row.name}` | `{row.variable}` | {_shown(row.default)} | {row.sentence} |" for row in TABLE]
    return "\n".join(lines)


def _shown(default: object) -> str:
    if default is None or default in ((), Routes()):
        return "-"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{','.join(default)}`" if isinstance(default, tuple) else f"`{default}`"


if __name__ == "__main__":
    print(markdown_table())
