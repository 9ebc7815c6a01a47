"""Which HTTP conventions upstream's instrumentors write: the stable ones, unless the program says otherwise.

They read the variable when the first of them is activated, whichever that is, and never again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

VARIABLE = "OTEL_SEMCONV_STABILITY_OPT_IN"
STABLE_HTTP = "http"


@contextmanager
def stable_http_conventions() -> Iterator[None]:
    """For the activation of an instrumentor; the environment of the process is left as it was."""
    is_unsaid = VARIABLE not in os.environ
    if is_unsaid:
        os.environ[VARIABLE] = STABLE_HTTP
    try:
        yield
    finally:
        if is_unsaid:
            del os.environ[VARIABLE]
