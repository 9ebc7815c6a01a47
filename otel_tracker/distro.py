"""What `opentelemetry-instrument` loads: our distro (defaults, instrumentors) and our configurator (providers).

Neither ever raises: an exception in either would silently switch every instrumentor off.
"""

from __future__ import annotations

import logging
import os
from importlib.metadata import entry_points
from typing import Any

from opentelemetry.instrumentation.distro import BaseDistro  # type: ignore[attr-defined] # upstream switches it off

from otel_tracker.diagnostics import logger, report_internal_error, say_once
from otel_tracker.lifecycle import start

ENVIRONMENT_DEFAULTS = {
    # The stable HTTP conventions; the instrumentors still write the old names unless told.
    "OTEL_SEMCONV_STABILITY_OPT_IN": "http",
    # Log records that are no events are not stored; its handler also breaks the exit of Python 3.12.0 to 3.12.2
    # (open-telemetry/opentelemetry-python#4752).
    "OTEL_PYTHON_LOG_AUTO_INSTRUMENTATION": "false",
}

_OWN = "otel_tracker"

# Two spans for every ASGI message say nothing that the request's own span does not
# (open-telemetry/opentelemetry-python-contrib#831).
_INSTRUMENTOR_OPTIONS: dict[str, dict[str, Any]] = {"fastapi": {"exclude_spans": ["send", "receive"]}}


class OtelTrackerDistro(BaseDistro):  # type: ignore[misc] # the base is not typed
    """Our defaults for the environment, and our options for the upstream instrumentors."""

    def _configure(self, **kwargs: Any) -> None:
        for variable, default in ENVIRONMENT_DEFAULTS.items():
            os.environ.setdefault(variable, default)
        if len(entry_points(group="opentelemetry_configurator")) > 1:
            _assert_ours()

    def load_instrumentor(self, entry_point: Any, **kwargs: Any) -> None:
        """Activate an instrumentor; one that fails is said in one sentence and leaves the others alone.

        ImportError passes, as the launcher tells a library that is not installed from a failure by it.
        """
        if entry_point.name == "django" and not os.environ.get("DJANGO_SETTINGS_MODULE"):
            # Upstream configures Django's settings itself then, and the application dies of it.
            say_once(
                "Django is not instrumented, because DJANGO_SETTINGS_MODULE is not in the environment. "
                "Set it to your settings module before the start.",
                level=logging.INFO,
            )
            return
        try:
            super().load_instrumentor(entry_point, **{**kwargs, **_INSTRUMENTOR_OPTIONS.get(entry_point.name, {})})
        except ImportError:
            raise
        except Exception as error:  # an instrumentor of anybody's
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
        config_file = os.environ.get("OTEL_CONFIG_FILE")
        try:
            if config_file:
                from opentelemetry.sdk._configuration import _OTelSDKConfigurator

                _OTelSDKConfigurator().configure()  # type: ignore[no-untyped-call]
            else:
                start(auto_instrumentation_version=kwargs.get("auto_instrumentation_version"))
        except Exception as error:
            if config_file:
                reason = " ".join(str(error).split())[:300]
                say_once(f"OTEL_CONFIG_FILE cannot be used ({reason}); nothing is traced. Mend the file or unset it.")
            else:
                report_internal_error("setting up the SDK", error)
