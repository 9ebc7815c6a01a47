"""Activates something when a module is imported for the first time: once, whoever imports it, and never in its way.

The hooks are wrapt's, which runs them at the end of an import, while other threads wait for it. An activation that
fails must say so itself; an exception that leaves it is reported and goes no further, because it would fail the
program's import.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import ModuleType

from wrapt import register_post_import_hook

from otel_tracker.diagnostics import report_internal_error


def is_imported(module: str) -> bool:
    """Whether the program has imported, or begun to import, the module."""
    return module in sys.modules


def defer(activate: Callable[[], object], *, until: str, own_module: str) -> None:
    """Call ``activate`` once the module ``until`` is imported.

    ``own_module`` is what ``activate`` imports. If the program imports that first, it imports ``until`` in turn, and
    the activation would find it half imported; then it comes at the end of that import instead.
    """
    waiting = _Waiting(activate, own_module)
    register_post_import_hook(waiting.own_module_imported, own_module)
    register_post_import_hook(waiting.library_imported, until)


class _Waiting:
    """What waits for its library; due when that is imported, done as soon as its own module is not half imported."""

    def __init__(self, activate: Callable[[], object], own_module: str) -> None:
        self._activate = activate
        self._own_module = own_module
        self._lock = threading.Lock()
        self._is_own_module_ready = False
        self._is_due = False
        self._is_done = False

    def library_imported(self, _: ModuleType) -> None:
        with self._lock:
            self._is_due = True
            is_half_imported = is_imported(self._own_module) and not self._is_own_module_ready
        if not is_half_imported:
            self._run()

    def own_module_imported(self, _: ModuleType) -> None:
        with self._lock:
            self._is_own_module_ready = True
            is_due = self._is_due
        if is_due:
            self._run()

    def _run(self) -> None:
        with self._lock:
            if self._is_done:
                return
            self._is_done = True
        try:
            self._activate()
        except Exception as error:
            report_internal_error(f"activating {self._own_module}", error)
