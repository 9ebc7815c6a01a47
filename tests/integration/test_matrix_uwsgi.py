"""uWSGI, which embeds the interpreter and forks it by itself: no request's span is lost, the master starts nothing."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

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

# A worker that is busy when it is told to end runs none of Python's exit handlers: uWSGI skips them. Its client has
# the answer before that.
LOGGED: dict[str, Any] = {"has_supervisor": True, "keeps_alive": False, "logs": "=> generated"}

SETUPS = setups(
    ("uwsgi",),
    Setup("uwsgi", UWSGI, **LOGGED),
    Setup("uwsgi-threads", f"{UWSGI} --enable-threads --threads 4", **LOGGED),
    Setup("uwsgi-lazy-apps", f"{UWSGI} --lazy-apps", **LOGGED),
)


@pytest.mark.slow
@pytest.mark.parametrize(("setup", "requests"), SETUPS)
def test_uwsgi_loses_nothing_on_sigterm(setup: Setup, requests: int) -> None:
    """By default no Python thread runs but the one that answers, and Python's hooks for forks are not called."""
    program("flask_shop.py")
    assert_nothing_is_lost(setup, requests, instrumentor="flask")
