"""Delivers before a platform freezes the process: what AWS Lambda, Cloud Run and Cloud Functions do between calls.

The SDK side is found by name, so that this half imports nothing of it.
"""

from __future__ import annotations

import importlib
import os
import sys
from contextlib import suppress

from otel_tracker import settings
from otel_tracker.diagnostics import report_internal_error

_SDK_MODULE, _LIFECYCLE_MODULE = "opentelemetry.sdk", "otel_tracker.lifecycle"
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html,
# https://cloud.google.com/run/docs/container-contract#env-vars (also Cloud Functions)
_VARIABLES = ("AWS_LAMBDA_FUNCTION_NAME", "K_SERVICE", "FUNCTION_TARGET")


def flush_before_freeze() -> None:
    """On such a platform deliver what has ended, within ``OTEL_TRACKER_DELIVERY_EXIT_TIMEOUT_S``; never raises."""
    if not any(name in os.environ for name in _VARIABLES):
        return
    with suppress(Exception):  # a pipe is written to in blocks; it may be closed, or missing
        sys.stdout.flush()
    try:
        if _SDK_MODULE in sys.modules:  # otherwise nobody can have configured anything
            importlib.import_module(_LIFECYCLE_MODULE).flush(settings.DELIVERY_EXIT_TIMEOUT_S.read())
    except Exception as error:
        report_internal_error("flushing before a freeze", error)
