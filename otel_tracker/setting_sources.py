"""What a setting is, and where its value comes from: an argument, the environment, the settings file, its default.

The settings file is YAML, one mapping an area: ``sqlite: {path: traces.db}`` sets ``OTEL_TRACKER_SQLITE_PATH``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Generic, TypeVar

from otel_tracker.diagnostics import say_once
from otel_tracker.errors import SettingError
from otel_tracker.setting_values import parse_bool, parse_text
from otel_tracker.telemetry_file import TELEMETRY_AREA, settings_of

T = TypeVar("T")

SETTINGS_FILE_NAME = "otel-tracker.yaml"
CONFIG_FILE_VARIABLE = "OTEL_TRACKER_CONFIG_FILE"
CONFIG_FILE_FIX = f"Name an existing file, or unset it to use {SETTINGS_FILE_NAME} in the project."
_PROJECT_MARKS = ("pyproject.toml", "setup.py", ".git")
_UNSET = object()
_CREDENTIALS = re.compile(r"://[^/\s@]*@")

KNOWN_NAMES: set[str] = set()
"""The name of every setting that there is."""


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
    fallbacks: tuple[str, ...] = ()
    """Variables of the tools that this one replaces, asked after its own."""

    def __post_init__(self) -> None:
        KNOWN_NAMES.add(self.name)

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
            raise SettingError(source, self.shown(value), self.expected, self.fix) from None

    def shown(self, value: object) -> object:
        """The value fit for people: ``***`` for a secret, a url without its user and password."""
        if self.secret:
            return "***"
        return _CREDENTIALS.sub("://***@", value) if isinstance(value, str) else value

    def _usable(self, value: object, source: str) -> T:
        try:
            return self.checked(value, source)
        except SettingError as error:
            say_once(str(error))
            return self.default

    def _candidates(self) -> list[tuple[str, object]]:
        variables = (self.variable, *self.fallbacks)
        return [
            (f"configure({self.name}=...)", arguments.get(self.name, _UNSET)),
            *((variable, os.environ.get(variable, "").strip() or _UNSET) for variable in variables),
            (f"{self.name} in {SETTINGS_FILE_NAME}", file_settings().get(self.name, _UNSET)),
            (f"{self.name} in an adopted file", adopted.get(self.name, _UNSET)),
        ]


def bool_setting(
    name: str, variable: str, default: bool, sentence: str, fallbacks: tuple[str, ...] = ()
) -> Setting[bool]:
    """A row whose value is true or false."""
    fix = f"Set it to {'false' if default else 'true'}, or unset it for {str(default).lower()}."
    return Setting(name, variable, default, parse_bool, "true or false", fix, sentence, fallbacks=fallbacks)


def text_setting(
    name: str,
    variable: str,
    expected: str,
    sentence: str,
    *,
    secret: bool = False,
    fallbacks: tuple[str, ...] = (),
    parse: Callable[[Any], str] = parse_text,
) -> Setting[str | None]:
    """A row whose value is a text, None by default; ``expected`` says what kind of."""
    fix = f"Set it to {expected}, or unset it."
    return Setting(name, variable, None, parse, expected, fix, sentence, secret, fallbacks)


arguments: dict[str, object] = {}
"""What `configure()` was given, by name."""

adopted: dict[str, object] = {}
"""What a file of a tool that this one replaces says, by name: below everything but the defaults."""


def adopt(values: Mapping[str, object]) -> None:
    """Take over settings of such a file."""
    adopted.update(values)


@lru_cache(maxsize=1)
def file_settings() -> dict[str, object]:
    """What the settings file says, by name; read once until `forget_file`."""
    path = _settings_file()
    if path is None:
        return {}
    try:
        return _flattened(parsed(path), path)
    except FileNotFoundError:
        say_once(
            f"The settings file {path} does not exist. Name an existing file in {CONFIG_FILE_VARIABLE}, or unset it."
        )
        return {}
    except Exception as error:  # whatever the file holds, the program goes on
        reason = str(error).replace("\n", " ")[:200]
        say_once(f"The settings file {path} cannot be used: {reason}. Mend it or remove it; its settings are ignored.")
        return {}


def parsed(path: str | Path) -> object:
    """What a YAML file holds; raises OSError, ValueError or what the parser raises."""
    import yaml  # only who has a settings file pays for the parser

    return yaml.safe_load(Path(path).read_text(encoding="utf-8"))


def _settings_file() -> Path | None:
    named = arguments.get("config_file") or os.environ.get(CONFIG_FILE_VARIABLE, "").strip()
    return Path(str(named)) if named else _found_in_project()


def _found_in_project() -> Path | None:
    """The nearest settings file between the working directory and the project's root, if it is the user's own."""
    try:
        here = Path.cwd()
        for folder in (here, *here.parents):
            candidate = folder / SETTINGS_FILE_NAME
            if candidate.is_file():
                return candidate if is_own(candidate) else None
            if any((folder / mark).exists() for mark in _PROJECT_MARKS):
                return None
    except OSError:
        return None
    return None


def is_own(path: str | Path) -> bool:
    """Whether the file belongs to this user or to root: a stranger's file in a shared folder configures nothing."""
    if not hasattr(os, "getuid"):
        return True
    return os.stat(path).st_uid in (os.getuid(), 0)


def _flattened(content: object, path: Path) -> dict[str, object]:
    """``{"sqlite": {"path": x}}`` as ``{"sqlite_path": x}``; top-level names stand for themselves."""
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise TypeError("expected a mapping of areas")
    found: dict[str, object] = {}
    for area, values in content.items():
        if area == TELEMETRY_AREA:
            found.update(settings_of(values))
            continue
        pairs = (
            {f"{area}_{key}": value for key, value in values.items()} if isinstance(values, dict) else {area: values}
        )
        found.update({str(name): value for name, value in pairs.items() if value is not None})
    for name in found.keys() - KNOWN_NAMES:
        say_once(f"{name} in {path} is no setting; expected one of {', '.join(sorted(KNOWN_NAMES))}. It is ignored.")
    return {name: value for name, value in found.items() if name in KNOWN_NAMES}


def forget_file() -> None:
    """Look for the settings file again at the next read."""
    file_settings.cache_clear()
