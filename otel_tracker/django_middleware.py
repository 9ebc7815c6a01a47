"""Activates the Django instrumentor at the moment in which Django reads its middleware, and not before.

The instrumentor edits ``settings.MIDDLEWARE``. Often ``manage.py`` or ``wsgi.py`` names the settings, after the
launcher has started us; upstream's instrumentor then configures empty settings by itself, and the application dies of
it. Every handler of Django's (WSGI, ASGI, the test client's) reads the setting in `BaseHandler.load_middleware`: there
it must be known, however the program has set it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from typing import Any


def before_middleware_is_read(activate: Callable[[], object]) -> None:
    """Call ``activate`` once, before the first handler of this process reads the middleware."""
    handler = import_module("django.core.handlers.base").BaseHandler
    load_middleware = handler.load_middleware
    lock = threading.RLock()  # another thread's handler must see the middleware that the first one edited
    is_done = False

    @wraps(load_middleware)
    def load_instrumented(self: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal is_done
        with lock:
            if not is_done and _are_settings_usable():
                is_done = True
                activate()
        return load_middleware(self, *args, **kwargs)

    handler.load_middleware = load_instrumented


def _are_settings_usable() -> bool:
    """Whether there are settings; if not, Django says why as soon as it reads them itself."""
    try:
        return hasattr(import_module("django.conf").settings, "MIDDLEWARE")
    except Exception:  # whatever the program's settings module raises
        return False
