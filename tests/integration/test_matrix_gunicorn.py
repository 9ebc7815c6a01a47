"""gunicorn with every kind of worker, with and without --preload: no span is lost, and the master starts nothing."""

from __future__ import annotations

from typing import Any

import pytest

from .matrix import needs, needs_linux, program
from .servers import Setup, assert_nothing_is_lost, setups

pytestmark = [needs_linux, needs("gunicorn")]

# Since release 25 the master has a thread and a socket of its own, for `gunicornc`, and leaves a folder behind.
GUNICORN = "gunicorn --bind 127.0.0.1:{port} -w 2 --no-control-socket"


def kinds(application: str, quick: tuple[str, ...], workers: dict[str, str]) -> list[Any]:
    """Each kind of worker, plain and with the application loaded before the fork."""
    return setups(
        quick,
        *[
            Setup(f"{name}{preload}", f"{GUNICORN} {options} {preload} {application}", has_supervisor=True)
            for name, options in workers.items()
            for preload in ("", "--preload")
        ],
    )


WSGI = kinds("flask_shop:app", ("gthread--preload",), {"sync": "-k sync", "gthread": "-k gthread --threads 4"})
GEVENT = kinds("flask_shop:app", (), {"gevent": "-k gevent"})
ASGI = kinds("fastapi_shop:app", (), {"uvicorn": "-k uvicorn_worker.UvicornWorker"})


@needs("flask", "opentelemetry.instrumentation.flask")
@pytest.mark.parametrize(("setup", "requests"), WSGI)
def test_gunicorn_loses_nothing_on_sigterm(setup: Setup, requests: int) -> None:
    """Processes that answer one request at a time, and processes of threads."""
    program("flask_shop.py")
    assert_nothing_is_lost(setup, requests, instrumentor="flask")


@needs("flask", "gevent", "opentelemetry.instrumentation.flask")
@pytest.mark.parametrize(("setup", "requests"), GEVENT)
def test_gunicorn_with_gevent_loses_nothing_on_sigterm(setup: Setup, requests: int) -> None:
    """Greenlets for threads, patched in after we have started."""
    program("flask_shop.py")
    assert_nothing_is_lost(setup, requests, instrumentor="flask")


@needs("fastapi", "uvicorn_worker", "opentelemetry.instrumentation.fastapi")
@pytest.mark.parametrize(("setup", "requests"), ASGI)
def test_gunicorn_with_uvicorn_workers_loses_nothing_on_sigterm(setup: Setup, requests: int) -> None:
    """An event loop in each process."""
    program("fastapi_shop.py")
    assert_nothing_is_lost(setup, requests, instrumentor="fastapi")
