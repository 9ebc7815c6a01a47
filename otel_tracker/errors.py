"""The errors that users see: one class a mistake, one sentence each, with the way out.

Only calls that a user makes on purpose (`open_store`, the command line, `traced` with a wrong option)
raise these. Nothing here is ever raised into a traced function.
"""

from __future__ import annotations


class OtelTrackerError(Exception):
    """The base of every error that this package raises; its text is one sentence for a person."""


class SettingError(OtelTrackerError, ValueError):
    """A setting has a value that cannot be used."""

    def __init__(self, variable: str, value: object, expected: str, fix: str) -> None:
        super().__init__(f"{variable} is {str(value)[:100]!r}; expected {expected}. {fix}")
        self.variable = variable


class MissingSettingError(OtelTrackerError, ValueError):
    """A feature needs a setting that has no default and was not given."""

    def __init__(self, what: str, variable: str, fix: str) -> None:
        super().__init__(f"{what} needs {variable}, which is not set. {fix}")


class UnknownSettingError(OtelTrackerError, TypeError):
    """`configure()` was given a keyword that no setting bears."""


class StoreNotFoundError(OtelTrackerError, FileNotFoundError):
    """Nothing is stored at the place that was named."""

    def __str__(self) -> str:
        """The sentence alone; OSError would render an errno pair."""
        return str(self.args[0])


class StoreUnreadableError(OtelTrackerError):
    """Something lies at the place that was named, but it cannot be read as a store."""


class StoreUnwritableError(OtelTrackerError):
    """Records cannot be written to the store, or not to this one."""


class UnknownStoreError(OtelTrackerError, ValueError):
    """No installed store knows the scheme or the file ending."""


class UnknownDestinationError(OtelTrackerError, ValueError):
    """No installed package provides the destination that was named."""

    exit_code = 2


class QueryError(OtelTrackerError, ValueError):
    """A filter of a query (a time, a status, a limit) cannot be understood."""


class MissingExtraError(OtelTrackerError, ImportError):
    """A feature needs a package that is not installed."""

    def __init__(self, what: str, package: str, extra: str) -> None:
        super().__init__(f'{what} needs {package}, which is not installed. Run: pip install "otel-tracker[{extra}]".')
