"""Sets up the processes that `multiprocessing`'s fork server forks, and not the fork server.

A fork server starts under the launcher as any process does, but the program runs in its children, which do not. Each
of them sets up destinations of its own; what that needs is imported once, in the fork server. (Not in a hook before the
first fork: modules that register hooks of their own are then called after a fork that they did not see coming.)
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module

from otel_tracker.diagnostics import report_internal_error


def start_in_children(start: Callable[[], object]) -> None:
    """Call ``start`` in every process that is forked from this one, but not in those that they fork in turn."""
    _import_what_children_need()
    is_needed = True

    def after_fork() -> None:
        nonlocal is_needed
        if is_needed:
            is_needed = False
            start()

    os.register_at_fork(after_in_child=after_fork)


def _import_what_children_need() -> None:
    try:
        import_module("otel_tracker.providers")
    except Exception as error:  # the SDK reads limits while it is imported; the child says what is wrong
        report_internal_error("importing the SDK", error)
