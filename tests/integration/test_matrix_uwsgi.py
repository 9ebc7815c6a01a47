"""uWSGI, which embeds the interpreter and forks it by itself: no request's span is lost, the master starts nothing."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from .matrix import needs, needs_linux, program
from .servers import Setup, assert_nothing_is_lost, setups

pytestmark = [
    needs_linux,
    needs("flask", "opentelemetry.instrumentation.flask"),
    pytest.mark.skipif(
        shutil.which("uwsgi", path=str(Path(sys.executable).parent)) is None, reason="needs uwsgi (or pyuwsgi)"
    ),
]

# Without --die-on-term SIGTERM is "reload".
UWSGI = "uwsgi --http-socket 127.0.0.1:{port} --master --processes 2 --module flask_shop:app --die-on-term --need-app"

SETUPS = setups(
    ("uwsgi",),
    Setup("uwsgi", UWSGI, has_supervisor=True, keeps_alive=False),
    Setup("uwsgi-threads", f"{UWSGI} --enable-threads --threads 4", has_supervisor=True, keeps_alive=False),
    Setup("uwsgi-lazy-apps", f"{UWSGI} --lazy-apps", has_supervisor=True, keeps_alive=False),
)


@pytest.mark.parametrize(("setup", "requests"), SETUPS)
def test_uwsgi_loses_nothing_on_sigterm(setup: Setup, requests: int) -> None:
    """By default no Python thread runs but the one that answers, and Python's hooks for forks are not called."""
    program("flask_shop.py")
    assert_nothing_is_lost(setup, requests, instrumentor="flask")
