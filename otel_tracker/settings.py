"""Every setting in one table: name, variable, type, default and one sentence.

Precedence: argument of `configure()`, then the environment, then the settings file, then the default. A value
that cannot be used is said once, in one sentence, and its default is used; it never stops the program and never
switches the rest off. `python -m otel_tracker.settings` prints the table that ``docs/settings.md`` shows.

The settings file is YAML, one mapping an area: ``sqlite: {path: traces.db}`` sets ``OTEL_TRACKER_SQLITE_PATH``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Generic, TypeVar

from otel_tracker.diagnostics import say_once
from otel_tracker.errors import SettingError, UnknownSettingError
from otel_tracker.setting_values import (
    parse_bool,
    parse_bytes,
    parse_days,
    parse_jsonl_format,
    parse_level,
    parse_names,
    parse_seconds,
    parse_span_engine,
    parse_text,
    parse_whole,
)

T = TypeVar("T")

SETTINGS_FILE_NAME = "otel-tracker.yaml"
_PROJECT_MARKS = ("pyproject.toml", "setup.py", ".git")
_UNSET = object()


@dataclass(frozen=True, slots=True)
class Setting(Generic[T]):
    """One row of the table; `read()` gives its value in force."""

    name: str
    variable: str
    default: T
    parse: Callable[[Any], T]
    expected: str
    fix: str
    sentence: str
    secret: bool = False

    def read(self, argument: object = None) -> T:
        """The value in force; ``argument`` (unless None) goes before everything else. Never raises."""
        if argument is not None:
            return self._usable(argument, f"the argument {self.name}=")
        for source, value in self._candidates():
            if value is not _UNSET:
                return self._usable(value, source)
        return self.default

    def is_set(self) -> bool:
        """Whether anybody gave a value: argument, environment or file."""
        return any(value is not _UNSET for _, value in self._candidates())

    def checked(self, value: object, source: str) -> T:
        """The parsed value; raises `SettingError` when it cannot be used."""
        try:
            return self.parse(value)
        except (ValueError, TypeError):
            raise SettingError(source, "***" if self.secret else value, self.expected, self.fix) from None

    def _usable(self, value: object, source: str) -> T:
        try:
            return self.checked(value, source)
        except SettingError as error:
            say_once(str(error))
            return self.default

    def _candidates(self) -> list[tuple[str, object]]:
        in_environment = os.environ.get(self.variable, "").strip()
        return [
            (f"configure({self.name}=...)", _arguments.get(self.name, _UNSET)),
            (self.variable, in_environment or _UNSET),
            (f"{self.name} in {SETTINGS_FILE_NAME}", _file_settings().get(self.name, _UNSET)),
        ]


def _bool(name: str, variable: str, default: bool, sentence: str) -> Setting[bool]:
    fix = f"Set it to {'false' if default else 'true'}, or unset it for {str(default).lower()}."
    return Setting(name, variable, default, parse_bool, "true or false", fix, sentence)


EXPORTERS: Setting[tuple[str, ...]] = Setting(
    "exporters",
    "OTEL_TRACES_EXPORTER",
    ("sqlite",),
    parse_names,
    "names such as sqlite, jsonl, console, otlp or none, comma-separated",
    "Set it to sqlite, or unset it.",
    "Where spans and events go: `sqlite`, `jsonl`, `console`, `otlp`, `none` or another exporter's entry point, "
    "comma-separated.",
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
    "OTEL_TRACKER_CONFIG_FILE",
    None,
    parse_text,
    "the path of a YAML file",
    f"Name an existing file, or unset it to use {SETTINGS_FILE_NAME} in the project.",
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
CAPTURE_ARGS = _bool(
    "capture_args", "OTEL_TRACKER_CAPTURE_ARGS", True, "Whether `@traced` records arguments unless it says otherwise."
)
CAPTURE_RESULT = _bool(
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
REDACT_ENABLED = _bool(
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
DELIVERY_SIGNALS = _bool(
    "delivery_signals",
    "OTEL_TRACKER_DELIVERY_SIGNALS",
    True,
    "Whether SIGTERM, where the program does not handle it, delivers what waits before it ends the process.",
)
DELIVERY_STARTED = _bool(
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
    "(`otel-tracker.traces.jsonl`, `otel-tracker.logs.jsonl`).",
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
)

_arguments: dict[str, object] = {}


def set_arguments(arguments: Mapping[str, object]) -> None:
    """Put arguments of `configure()` in front of every other source; None takes an earlier one back.

    Raises `UnknownSettingError` for a name that no setting bears; a value that cannot be used is said when read.
    """
    names = {setting.name for setting in TABLE}
    for name in arguments:
        if name not in names:
            raise UnknownSettingError(
                f"configure() got {name}=; expected one of {', '.join(sorted(names))}. See docs/settings.md."
            )
    for name, value in arguments.items():
        if value is None:
            _arguments.pop(name, None)
        else:
            _arguments[name] = value
    forget_file()


def effective() -> dict[str, object]:
    """The value in force of each setting by name, secrets as ``***``."""
    return {setting.name: "***" if setting.secret and setting.is_set() else setting.read() for setting in TABLE}


def forget_file() -> None:
    """Look for the settings file again at the next read."""
    _file_settings.cache_clear()


@lru_cache(maxsize=1)
def _file_settings() -> dict[str, object]:
    path = _settings_file()
    if path is None:
        return {}
    try:
        return _flattened(_parsed(path), path)
    except FileNotFoundError:
        say_once(f"The settings file {path} does not exist. {CONFIG_FILE.fix}")
        return {}
    except Exception as error:  # whatever the file holds, the program goes on
        reason = str(error).replace("\n", " ")[:200]
        say_once(f"The settings file {path} cannot be used: {reason}. Mend it or remove it; its settings are ignored.")
        return {}


def _parsed(path: Path) -> object:
    import yaml  # only who has a settings file pays for the parser

    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _settings_file() -> Path | None:
    named = _arguments.get("config_file") or os.environ.get(CONFIG_FILE.variable, "").strip()
    return Path(str(named)) if named else _found_in_project()


def _found_in_project() -> Path | None:
    """The nearest settings file between the working directory and the project's root, if it is the user's own."""
    try:
        here = Path.cwd()
        for folder in (here, *here.parents):
            candidate = folder / SETTINGS_FILE_NAME
            if candidate.is_file():
                return candidate if _is_own(candidate) else None
            if any((folder / mark).exists() for mark in _PROJECT_MARKS):
                return None
    except OSError:
        return None
    return None


def _is_own(path: Path) -> bool:
    """Whether the file belongs to this user or to root: a stranger's file in a shared folder configures nothing."""
    if not hasattr(os, "getuid"):
        return True
    return path.stat().st_uid in (os.getuid(), 0)


def _flattened(content: object, path: Path) -> dict[str, object]:
    """``{"sqlite": {"path": x}}`` as ``{"sqlite_path": x}``; top-level names stand for themselves."""
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise TypeError("expected a mapping of areas")
    known = {setting.name for setting in TABLE}
    found: dict[str, object] = {}
    for area, values in content.items():
        pairs = (
            {f"{area}_{key}": value for key, value in values.items()} if isinstance(values, dict) else {area: values}
        )
        found.update({str(name): value for name, value in pairs.items() if value is not None})
    for name in found.keys() - known:
        say_once(f"{name} in {path} is no setting; expected one of {', '.join(sorted(known))}. It is ignored.")
    return {name: value for name, value in found.items() if name in known}


def markdown_table() -> str:
    """The table of all settings as Markdown, for the documentation."""
    lines = ["| `configure(...)` | variable | default | what it does |", "|---|---|---|---|"]
    lines += [f"| `{row.name}` | `{row.variable}` | {_shown(row.default)} | {row.sentence} |" for row in TABLE]
    return "\n".join(lines)


def _shown(default: object) -> str:
    if default is None or default == ():
        return "-"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{','.join(default)}`" if isinstance(default, tuple) else f"`{default}`"


if __name__ == "__main__":
    print(markdown_table())
