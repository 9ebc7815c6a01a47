"""Flask's own server, with and without its reloader: no request's span is lost, and the watcher starts nothing."""

from __future__ import annotations

import pytest

from .matrix import needs, needs_linux, program
from .servers import Setup, assert_nothing_is_lost, setups

pytestmark = [needs_linux, needs("flask", "opentelemetry.instrumentation.flask")]

FLASK_RUN = "flask --app flask_shop run --port {port}"

# werkzeug's watcher kills its child with SIGKILL when it gets SIGTERM itself, so a user ends the one that serves.
SETUPS = setups(
    ("app.run", "flask-run-reloader"),
    Setup("app.run", "python flask_shop.py {port}", status=-15),
    Setup("app.run-reloader", "python flask_shop.py {port} debug", has_supervisor=True, ends_by="serving"),
    Setup("flask-run", FLASK_RUN, status=-15),
    Setup("flask-run-reloader", f"{FLASK_RUN} --debug", has_supervisor=True, ends_by="serving"),
)


@pytest.mark.parametrize(("setup", "requests"), SETUPS)
def test_flask_loses_nothing_on_sigterm(setup: Setup, requests: int) -> None:
    """A request's span, the traced function below it and its event are stored once each when the server is ended."""
    program("flask_shop.py")
    assert_nothing_is_lost(setup, requests, instrumentor="flask")
