"""`otel_tracker.compat.flowtrace.frameworks`: FlowTrace's framework blocks run when their import lines are changed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from otel_tracker.compat.flowtrace import Config

SEED = Path(os.environ.get("OTEL_TRACKER_SEEDS", "")) / "flowtrace-agent.md"
ASK = {
    "flask": "print(app.test_client().get('/health').status_code, app.test_client().get('/api/x').status_code)",
    "fastapi": """
import asyncio, httpx
async def ask():
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        print((await client.get("/health")).status_code, (await client.get("/api/x")).status_code)
asyncio.run(ask())
""",
}
BLOCKS = {
    "flask": """
from flask import Flask
from flowtrace_agent import Config
from flowtrace_agent.frameworks.flask import init_flowtrace, FlowTraceMiddleware
app = Flask(__name__)
init_flowtrace(app, Config(package_prefix='myapp', logfile='flowtrace.jsonl'))
app.wsgi_app = FlowTraceMiddleware(app.wsgi_app)
app.get('/api/x')(lambda: 'ok')
""",
    "fastapi": """
from fastapi import FastAPI
from flowtrace_agent.frameworks.fastapi import FlowTraceMiddleware
app = FastAPI()
app.add_middleware(FlowTraceMiddleware)
app.get('/api/x')(lambda: 'ok')
""",
    "django": """
import django
from django.conf import settings
from django.http import HttpResponse
from django.urls import path
urlpatterns = [path('api/x', lambda request: HttpResponse('ok'))]
MIDDLEWARE = ['django.middleware.common.CommonMiddleware', 'flowtrace_agent.frameworks.django.FlowTraceMiddleware']
settings.configure(MIDDLEWARE=MIDDLEWARE, ROOT_URLCONF=__name__, ALLOWED_HOSTS=['*'], SECRET_KEY='x')
django.setup()
from django.test import Client
for client in (Client(), Client()):
    print(client.get('/nowhere').status_code, client.get('/api/x').status_code)
""",
}


def run(folder: Path, program: str, **variables: str) -> list[dict[str, Any]]:
    """Run a program there with its import lines changed; gives the spans in FlowTrace's file."""
    changed = re.sub(r"\bflowtrace_agent\b", "otel_tracker.compat.flowtrace", program)
    (folder / "program.py").write_text(changed, encoding="utf-8")
    environment = {**os.environ, "PYTHONWARNINGS": "error", **variables}
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=folder, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    lines = (folder / "flowtrace.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    return [record for record in records if record["type"] == "span"]  # the instrumentors measure requests, too


def needs(framework: str, *others: str) -> None:
    for name in (framework, f"opentelemetry.instrumentation.{framework}", *others):
        if find_spec(name.partition(".")[0]) is None or find_spec(name) is None:
            pytest.skip(f"needs {name}")


@pytest.mark.parametrize("framework", [pytest.param(name, marks=pytest.mark.slow) for name in BLOCKS])
def test_middleware_traces_every_request_once(tmp_path: Path, framework: str) -> None:
    """However often and in whatever form the application is told of it, the first request included."""
    needs(framework, *(["httpx"] if framework == "fastapi" else []))
    spans = run(tmp_path, BLOCKS[framework] + ASK.get(framework, ""))
    served = [span["attributes"]["url.path"] for span in spans if span.get("kind") == "server"]
    assert served == (["/nowhere", "/api/x"] * 2 if framework == "django" else ["/api/x"])
    assert len(spans) == len(served)


@pytest.mark.slow
@pytest.mark.skipif(not SEED.is_file(), reason="OTEL_TRACKER_SEEDS does not name the folder of the seed READMEs")
@pytest.mark.parametrize("framework", ["flask", "fastapi"])
def test_block_of_the_readme_runs_with_its_import_lines_changed(tmp_path: Path, framework: str) -> None:
    """As it stands, but for a server that would never end."""
    needs(framework, *(["httpx"] if framework == "fastapi" else []))
    blocks = re.findall(r"```python\n(.*?)```", SEED.read_text(encoding="utf-8"), re.DOTALL)
    (block,) = [block for block in blocks if f"frameworks.{framework} import" in block]
    ask = ASK[framework].replace("/api/x", "/api/users")
    spans = run(tmp_path, block.replace("__main__", "never").replace("[...]", "[]") + ask)
    assert [span["attributes"]["url.path"] for span in spans if span["kind"] == "server"] == ["/api/users"]


def test_config_comes_from_variables_and_dictionaries_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """All fields of the seed; what cannot be used is its default."""
    values = {"PACKAGE_PREFIX": "a,b", "LOGFILE": "x.jsonl", "STDOUT": "true", "MAX_ARG_LENGTH": "5", "EXCLUDE": "t,d"}
    for name, value in values.items():
        monkeypatch.setenv(f"FLOWTRACE_{name}", value)
    monkeypatch.setenv("FLOWTRACE_ASYNC", "perhaps")
    expected = Config("a,b", "x.jsonl", True, 5, ["t", "d"], False)
    assert Config.from_env() == expected
    assert Config.from_dict(expected.to_dict()) == expected
    assert Config.from_dict({"package_prefix": "myapp", "other": 1}) == Config(package_prefix="myapp")
    assert expected.to_dict()["exclude_patterns"] == ["t", "d"]
