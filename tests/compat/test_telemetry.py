"""`otel_tracker.compat.telemetry`: programs of the telemetry module run when their import line is changed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from otel_tracker import open_store

SEED = Path(os.environ.get("OTEL_TRACKER_SEEDS", "")) / "telemetry-module.md"
OWN_IMPORT, OUR_IMPORT = "from shared.telemetry import", "from otel_tracker.compat.telemetry import"

# What the README's blocks leave open.
PRELUDE = """
import time, uuid
from flask import Flask, request
from otel_tracker.compat.telemetry import *
app = Flask(__name__)
result = "an image"
def get_current_user_id(): return "user_" + request.headers.get("X-User", "0")
def get_current_user(): return {"id": get_current_user_id()}
def require_auth(view): return view
def do_generation(data):
    if data.get("fails"): raise ValueError("refused")
    return "an image"
telemetry = Telemetry.get_instance()
"""
PROGRAM = """
from otel_tracker.compat.telemetry import Telemetry, track, track_duration, track_error, track_event, track_function

@track_duration("generation")
def generate(prompt):
    if not prompt: raise ValueError("no prompt")
    return prompt

@track_error("error.critical")
@track_function("picture", model="flux")
def risky(prompt): raise KeyError(prompt)

telemetry = Telemetry.get_instance()
assert telemetry is Telemetry.get_instance()
telemetry.set_context(user_id="u1", session_id="s1", request_id="r1", hostname="h.test", path="/p")
generate("secret prompt")
try: risky("x")
except KeyError: pass
track_event("button_click", {"button": "submit", "event_name": "x", "category": "y"})
telemetry.clear_context()
with telemetry.context(user_id="u2"):
    track("user.signed_up")
track("api.ping")
"""


def run(folder: Path, program: str, **variables: str) -> str:
    """Run a program there with the store of that folder; gives what it printed."""
    (folder / "program.py").write_text(program, encoding="utf-8")
    environment = {**os.environ, "OTEL_TRACKER_SQLITE_PATH": "x.db", **variables}
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=folder, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def events_in(folder: Path, store_name: str = "x.db") -> list[tuple[str, dict[str, Any]]]:
    """Name and properties of the events there, oldest first."""
    with open_store(str(folder / store_name)) as store:
        return [(event.name, dict(event.properties)) for event in store.events()][::-1]


def test_program_of_the_telemetry_module_runs_with_another_import(tmp_path: Path) -> None:
    """Events arrive under the README's names, with the context, and no argument is recorded."""
    run(tmp_path, PROGRAM)
    found = events_in(tmp_path)
    assert [name for name, _ in found] == [
        "generation.started",
        "generation.completed",
        "picture",
        "error.critical",
        "button_click",
        "user.signed_up",
        "api.ping",
    ]
    context = {
        "user.id": "u1",
        "session.id": "s1",
        "otel_tracker.request_id": "r1",
        "server.address": "h.test",
        "url.path": "/p",
    }
    assert all(context.items() <= properties.items() for _, properties in found[:5])
    assert found[4][1] == {**context, "button": "submit", "event_name": "x", "category": "y"}
    assert isinstance(found[1][1]["duration_ms"], float)
    assert found[5][1] == {"user.id": "u2"}
    assert found[6][1] == {}
    with open_store(str(tmp_path / "x.db")) as store:
        assert [(record.function, dict(record.args)) for record in store.query_executions()] == [
            ("risky", {}),
            ("generate", {}),
        ]
        (error,) = store.events("error.critical")
        assert "KeyError: 'x'" in error.error["traceback"]


def test_its_file_says_who_gets_what_below_every_other_setting(tmp_path: Path) -> None:
    """A ``config.yaml`` of the module's kind routes events; a variable goes before it."""
    (tmp_path / "config.yaml").write_text(
        "telemetry:\n  destinations:\n    jsonl:\n      enabled: true\n      events: [user.*, generation.*]\n"
    )
    run(tmp_path, PROGRAM)
    names = [name for name, _ in events_in(tmp_path, "otel-tracker.jsonl")]
    assert names == ["generation.started", "generation.completed", "user.signed_up"]
    run(tmp_path, PROGRAM, OTEL_TRACKER_EVENTS_ROUTES="jsonl=api.*", OTEL_TRACKER_JSONL_PATH="y.jsonl")
    assert [name for name, _ in events_in(tmp_path, "y.jsonl")] == ["api.ping"]


@pytest.mark.slow
@pytest.mark.parametrize("text", ["", "- a", "other: 1", "telemetry: 7", "telemetry: {destinations: 5}", "{", "\0"])
def test_another_programs_file_is_left_alone(tmp_path: Path, text: str) -> None:
    """Whatever lies there, the program runs and its events arrive."""
    (tmp_path / "config.yaml").write_text(text)
    run(tmp_path, PROGRAM)
    assert len(events_in(tmp_path)) == 7


def test_importing_it_configures_nothing(tmp_path: Path) -> None:
    """Only a first use does."""
    run(tmp_path, "import otel_tracker.compat.telemetry, sys\nassert 'opentelemetry.sdk.trace' not in sys.modules\n")
    assert not (tmp_path / "x.db").exists()


@pytest.mark.skipif(find_spec("flask") is None, reason="needs flask")
def test_context_of_a_flask_request_is_gone_also_when_its_handler_raised(tmp_path: Path) -> None:
    """The README clears it in ``after_request``, which Flask leaves out after an error."""
    printed = run(
        tmp_path,
        PRELUDE
        + """
@app.before_request
def before_request():
    print(telemetry.get_context(), end=" ")
    telemetry.set_context(user_id=get_current_user_id())

@app.after_request
def after_request(response):
    telemetry.clear_context()
    return response

@app.post("/api/generate")
@track_duration("api.generate")
def generate():
    return do_generation(request.json)
app.config["PROPAGATE_EXCEPTIONS"] = True
client = app.test_client()
for user in range(3):
    try:
        client.post("/api/generate", json={"fails": True}, headers={"X-User": str(user)})
    except ValueError:
        print(telemetry.get_context(), end=" ")
""",
    )
    assert printed.split() == ["{}"] * 6
    failed = [properties["user.id"] for name, properties in events_in(tmp_path) if name == "api.generate.failed"]
    assert failed == ["user_0", "user_1", "user_2"]


@pytest.mark.skipif(not SEED.is_file(), reason="OTEL_TRACKER_SEEDS names no folder with the module's README")
@pytest.mark.skipif(find_spec("flask") is None, reason="needs flask")
def test_every_block_of_its_readme_runs_with_the_import_line_changed(tmp_path: Path) -> None:
    """One after another in one process, the two views of the same path in two applications; then requests."""
    text = SEED.read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (yaml,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "config.yaml").write_text(yaml.replace("umami:", "jsonl:"), encoding="utf-8")
    assert len(blocks) == 11
    program = PRELUDE
    for block in blocks:
        changed = block.replace(OWN_IMPORT, OUR_IMPORT)
        fresh_app = "app = Flask(__name__)\n" if "/api/generate'" in changed and "@app.route" in changed else ""
        program += f"{fresh_app}{changed}\n{_requests(changed)}"
    printed = run(tmp_path, program + "print(telemetry.get_context())\n")
    assert printed.split() == ["200", "500", "200", "500", "{}"]
    names = [name for name, _ in events_in(tmp_path)]
    assert {"generation.started", "generation.completed", "generation.failed", "button_click"} <= set(names)
    assert names.count("api.generate.started") == 2
    routed = [name for name, _ in events_in(tmp_path, "otel-tracker.jsonl")]
    assert routed == [name for name in names if name.split(".")[0] in ("user", "generation", "payment")]


def _requests(block: str) -> str:
    """Two requests to the view of a block, one of which fails."""
    if "@app.route" not in block:
        return ""
    post = "app.test_client().post('/api/generate', json={'model': 'flux', 'fails': %s}).status_code"
    return f"app.logger.disabled = True\nprint({post % False}, {post % True})\n"
