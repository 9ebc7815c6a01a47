"""What `opentelemetry-instrument` loads: our distro (defaults, instrumentors) and our configurator (providers).

Neither ever raises: an exception in either would silently switch every instrumentor off. Nor do they import more than
they must, because every Python process that a traced program starts pays for it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from opentelemetry.instrumentation.dependencies import get_dist_dependency_conflicts
from opentelemetry.instrumentation.distro import BaseDistro  # type: ignore[attr-defined] # upstream switches it off

from otel_tracker import deferring, process_role
from otel_tracker.conventions import STABLE_HTTP, VARIABLE
from otel_tracker.diagnostics import logger, report_internal_error, say_once
from otel_tracker.instrumentors import DJANGO, trigger_of

ENVIRONMENT_DEFAULTS = {
    VARIABLE: STABLE_HTTP,
}

LOG_HANDLER = "OTEL_PYTHON_LOG_AUTO_INSTRUMENTATION"
"""Whether upstream's instrumentor of ``logging`` hands each log record to OpenTelemetry, which it does unless told.

We tell it to only where log records are stored. Its handler also breaks the exit of Python 3.12.0 to 3.12.2
(open-telemetry/opentelemetry-python#4752).
"""

_OWN = "otel_tracker"

# Upstream instrumentors that get hooks of ours: from their modules to what activates them with these.
_HOOKED = {
    DJANGO: ("otel_tracker.frameworks.django", "activate"),
    "opentelemetry.instrumentation.fastapi": ("otel_tracker.frameworks.fastapi", "instrument"),
    "opentelemetry.instrumentation.flask": ("otel_tracker.frameworks.flask", "instrument"),
}


class OtelTrackerDistro(BaseDistro):  # type: ignore[misc] # the base is not typed
    """Our defaults for the environment, and upstream's instrumentors, each when its library is first imported."""

    def __init__(self) -> None:
        self._has_work = process_role.current_role() not in (process_role.HELPER, process_role.SUPERVISOR)

    def _configure(self, **kwargs: Any) -> None:
        if not self._has_work:
            return
        for variable, default in ENVIRONMENT_DEFAULTS.items():
            os.environ.setdefault(variable, default)
        if len(entry_points(group="opentelemetry_configurator")) > 1:
            _assert_ours()

    def load_instrumentor(self, entry_point: Any, **kwargs: Any) -> None:
        """Activate an instrumentor, or wait for its library; one that fails is said and leaves the others alone.

        ImportError passes at the start, as the launcher tells a library that is not installed from a failure by it.
        """
        if not self._has_work:
            return
        if LOG_HANDLER not in os.environ:  # now, because the configurator says what is wrong with the settings
            os.environ[LOG_HANDLER] = "true" if _stores_logs() else "false"
        trigger = trigger_of(entry_point)
        if entry_point.module == DJANGO:
            activate = _django_activation(entry_point, kwargs)
        else:
            activate = _activation(entry_point, kwargs)
        if trigger is None or deferring.is_imported(trigger):
            activate()
        else:
            deferring.defer(_said_if_it_fails(entry_point, activate), until=trigger, own_module=entry_point.module)


def _stores_logs() -> bool:
    from otel_tracker.settings import LOGS_STORE

    return LOGS_STORE.read()


def _activation(entry_point: EntryPoint, options: dict[str, Any]) -> Callable[[], None]:
    """Activates the instrumentor unless the program did so itself; raises ImportError, and says everything else."""
    options.pop("skip_dep_check", None)
    hooked = _HOOKED.get(entry_point.module)

    def activate() -> None:
        try:
            if hooked is not None:
                module, function = hooked
                getattr(import_module(module), function)(**options)
                return
            instrumentor = entry_point.load()()
            if not getattr(instrumentor, "is_instrumented_by_opentelemetry", False):
                instrumentor.instrument(**options)
        except ImportError:
            raise
        except Exception as error:  # an instrumentor of anybody's
            _say_failed(entry_point, error)

    return activate


def _said_if_it_fails(entry_point: EntryPoint, activate: Callable[[], None]) -> Callable[[], None]:
    """For a later moment than the start: there is no launcher any more that looks at versions and catches errors."""

    def activate_late() -> None:
        conflict = get_dist_dependency_conflicts(entry_point.dist) if entry_point.dist else None
        if conflict is not None:
            say_once(f"The instrumentor {entry_point.name} is skipped: {str(conflict).rstrip('.')}.")
            return
        try:
            activate()
        except ImportError as error:
            _say_failed(entry_point, error)

    return activate_late


def _django_activation(entry_point: EntryPoint, options: dict[str, Any]) -> Callable[[], None]:
    def activate() -> None:
        from otel_tracker.django_middleware import before_middleware_is_read

        before_middleware_is_read(_said_if_it_fails(entry_point, _activation(entry_point, options)))

    return activate


def _say_failed(entry_point: EntryPoint, error: Exception) -> None:
    reason = str(error).replace("\n", " ")[:300]
    say_once(
        f"The instrumentor {entry_point.name} failed ({type(error).__name__}: {reason}); the others work. "
        f"Add {entry_point.name} to OTEL_PYTHON_DISABLED_INSTRUMENTATIONS to silence this."
    )
    logger.debug("instrumentor %s failed", entry_point.name, exc_info=error)


def _assert_ours() -> None:
    """Beside another distribution: say that the choice was luck, and make the configurator ours as well.

    The launcher picks the two apart from one another, each by the order in which it happens to find them.
    """
    others = {point.name for point in entry_points(group="opentelemetry_distro")} - {_OWN}
    if others and "OTEL_PYTHON_DISTRO" not in os.environ:
        say_once(
            f"Another OpenTelemetry distribution is installed beside otel-tracker ({', '.join(sorted(others))}), "
            "and which one is taken is not certain. "
            f"Set OTEL_PYTHON_DISTRO={_OWN} and OTEL_PYTHON_CONFIGURATOR={_OWN}, or uninstall the other."
        )
    os.environ.setdefault("OTEL_PYTHON_CONFIGURATOR", _OWN)


class OtelTrackerConfigurator:
    """Our providers and destinations; with ``OTEL_CONFIG_FILE`` the SDK's declarative configuration.

    The SDK is imported inside, because with some variables (a limit that is no number) that raises.
    """

    def configure(self, **kwargs: Any) -> None:
        """Set up the SDK; what `opentelemetry-instrument` calls."""
        role = process_role.current_role()
        if role in (process_role.HELPER, process_role.SUPERVISOR):
            return
        version = kwargs.get("auto_instrumentation_version")
        if role == process_role.FORK_SERVER:
            from otel_tracker.fork_server import start_in_children

            start_in_children(lambda: _set_up(version))
        else:
            _set_up(version)


def _set_up(auto_instrumentation_version: str | None) -> None:
    config_file = os.environ.get("OTEL_CONFIG_FILE")
    try:
        if config_file:
            from opentelemetry.sdk._configuration import _OTelSDKConfigurator

            from otel_tracker.lifecycle import guard
            from otel_tracker.propagation import adopt_environment
            from otel_tracker.request_context import join_provider

            _OTelSDKConfigurator().configure()  # type: ignore[no-untyped-call]
            join_provider()
            guard()
            adopt_environment()
        else:
            from otel_tracker.lifecycle import start

            start(auto_instrumentation_version=auto_instrumentation_version)
    except Exception as error:
        if config_file:
            reason = " ".join(str(error).split())[:300]
            say_once(f"OTEL_CONFIG_FILE cannot be used ({reason}); nothing is traced. Mend the file or unset it.")
        else:
            report_internal_error("setting up the SDK", error)
