"""Activates an upstream instrumentor, once, with the stable HTTP conventions and the id in the response."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from otel_tracker import request_context
from otel_tracker.conventions import stable_http_conventions
from otel_tracker.diagnostics import logger
from otel_tracker.frameworks.responses import give_ids_back
from otel_tracker.setting_values import LEAN
from otel_tracker.settings import SPAN_ENGINE

_LEAN = "otel_tracker.leanspan"


@contextmanager
def active() -> Iterator[None]:
    """What every activation begins with; upstream's is inside."""
    request_context.use()
    give_ids_back()
    with stable_http_conventions():
        yield


def is_active(instrumentor: Any) -> bool:
    """Whether somebody has activated the instrumentor for the whole process already."""
    return bool(getattr(instrumentor, "is_instrumented_by_opentelemetry", False))


def cheap_spans(provider: Any) -> Any:
    """A provider of spans that cost a fifth, in front of ``provider`` or of the global one; else ``provider`` itself.

    What is saved pays for all that is said of a request here. `otel_tracker.leanspan` says when it is not used.
    """
    if SPAN_ENGINE.read() != LEAN:
        return provider
    try:
        return (
            provider if import_module(_LEAN).self_check() else import_module(f"{_LEAN}.tracer").LeanProvider(provider)
        )
    except Exception as error:  # an SDK that it does not know, or no such module
        logger.debug("requests have the SDK's own spans (%s)", error)
        return provider


def both(own: Callable[..., None], given: Callable[..., None] | None) -> Callable[..., None]:
    """Our hook, and after it the program's, if it gave one."""
    if given is None:
        return own

    def hook(*args: Any) -> None:
        own(*args)
        given(*args)

    return hook
