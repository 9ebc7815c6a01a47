"""Django with its settings named where projects name them: it starts, is instrumented, and loses no request's span."""

from __future__ import annotations

import pytest

from .matrix import needs, needs_linux, program
from .servers import Setup, assert_nothing_is_lost, setups

pytestmark = [needs_linux, needs("django", "opentelemetry.instrumentation.django")]

RUNSERVER = "python manage.py runserver 127.0.0.1:{port}"

# As with Flask, the watcher kills its child when it gets SIGTERM itself.
SETUPS = setups(
    ("runserver",),
    Setup("runserver", f"{RUNSERVER} --noreload", status=-15),
    Setup("runserver-reloader", RUNSERVER, has_supervisor=True, ends_by="serving"),
)


@pytest.mark.parametrize(("setup", "requests"), SETUPS)
def test_runserver_starts_is_instrumented_and_loses_nothing_on_sigterm(setup: Setup, requests: int) -> None:
    """manage.py alone names the settings module; the autoreloader's watcher has no thread and no file of ours."""
    program("django_shop")
    assert_nothing_is_lost(setup, requests, instrumentor="django")


GUNICORN = "gunicorn --bind 127.0.0.1:{port} -w 2 --no-control-socket"


@pytest.mark.slow
@needs("gunicorn")
@pytest.mark.parametrize(
    ("setup", "requests"),
    setups(
        ("gunicorn",),
        Setup("gunicorn", f"{GUNICORN} shop.wsgi", has_supervisor=True),
        Setup("gunicorn--preload", f"{GUNICORN} --preload shop.wsgi", has_supervisor=True),
    ),
)
def test_gunicorn_with_django_is_instrumented_and_loses_nothing_on_sigterm(setup: Setup, requests: int) -> None:
    """wsgi.py alone names the settings module."""
    program("django_shop")
    assert_nothing_is_lost(setup, requests, instrumentor="django")
