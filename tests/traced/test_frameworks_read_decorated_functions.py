"""Frameworks that look at signatures, annotations and names find them on decorated functions."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from otel_tracker import attributes as keys
from otel_tracker import traced

from .helpers import Recorder, args, attributes


def test_fastapi_injects_into_decorated_views(spans: Recorder) -> None:
    """Path, query and dependencies arrive, wrong input is refused, and the schema names the parameters."""
    pytest.importorskip("fastapi")
    httpx = pytest.importorskip("httpx")
    from .framework_views import app

    async def ask(path: str) -> Any:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as client:
            return await client.get(path)

    answer = asyncio.run(ask("/items/3?limit=5&pin=1234"))
    assert answer.json() == {"number": 3, "db": "db", "other": "traced db", "limit": 5}
    assert asyncio.run(ask("/items/3?limit=0")).status_code == 422
    assert asyncio.run(ask("/plain?q=ab")).json() == "abab"
    assert set(asyncio.run(ask("/openapi.json")).json()["paths"]) == {"/items/{number}", "/plain"}
    assert args(spans["item"])["number"] == 3
    assert args(spans["item"])["limit"] == 5
    assert "1234" not in str(attributes(spans["item"]))
    assert args(spans["plain view"]) == {"q": "ab"}


def test_flask_registers_decorated_views(spans: Recorder) -> None:
    """The endpoint is named after the function, and path parameters arrive by keyword."""
    flask = pytest.importorskip("flask")
    app = flask.Flask(__name__)

    @app.get("/items/<int:number>")
    @traced
    def item(number: int) -> dict[str, int]:
        return {"number": number}

    assert "item" in app.view_functions
    assert app.test_client().get("/items/3").json == {"number": 3}
    assert args(spans.one()) == {"number": 3}


def test_click_makes_commands_of_decorated_functions(spans: Recorder) -> None:
    """A command has the function's name and help, and its options arrive."""
    click = pytest.importorskip("click")
    from click.testing import CliRunner

    @click.command()
    @click.option("--count", default=1)
    @traced
    def greet(count: int) -> None:
        """Greets."""
        click.echo("hello " * count)

    done = CliRunner().invoke(greet, ["--count", "2"])
    assert done.output == "hello hello \n"
    assert greet.name == "greet"
    assert greet.help == "Greets."
    assert args(spans.one()) == {"count": 2}


@pytest.mark.slow
def test_decorated_test_functions_get_their_fixtures(tmp_path: Path) -> None:
    """Pytest reads the names of fixtures from a decorated test and a decorated fixture."""
    (tmp_path / "test_traced.py").write_text(
        """
import pytest
from otel_tracker import traced

@pytest.fixture
@traced
def number():
    yield 5

@traced
@pytest.mark.parametrize("factor", [1, 2])
def test_number(number, factor, tmp_path):
    assert number * factor in (5, 10)
    assert tmp_path.is_dir()
""",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--rootdir", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_function_that_a_thread_pool_runs(spans: Recorder) -> None:
    """Executors take decorated functions like any others."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(traced("pooled")(abs), [-1, -2])) == [1, 2]
    assert sorted(attributes(found)[keys.CODE_FUNCTION_NAME] for found in spans.finished) == ["builtins.abs"] * 2
