"""The example applications without tracing: what they need, and that they work. Their real runs are slow tests."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from docs.pages import EXAMPLE_PAGES, ROOT
from support import run

from .examples import start_command
from .matrix import needs

EXAMPLES = ROOT / "examples"
APPLICATIONS = [Path(page).parent.name for page in EXAMPLE_PAGES]


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The examples can be imported, for one test, and leave nothing behind."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(EXAMPLES)
    yield
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in APPLICATIONS:
            del sys.modules[name]


@pytest.mark.parametrize("name", APPLICATIONS)
def test_application_says_what_it_needs_and_starts_with_one_command(name: str) -> None:
    """Its own requirements.txt, with this package in it, and a command that runs under the launcher."""
    assert (EXAMPLES / name / "requirements.txt").read_text("utf-8").startswith("otel-tracker[")
    assert "otel-tracker run " in start_command(name)


def test_there_are_three_applications() -> None:
    """An empty list would make the tests of them pass."""
    assert APPLICATIONS == ["django_orders", "fastapi_chat", "flask_shop"]


@needs("flask")
def test_shop_sells_what_is_in_stock_and_no_more() -> None:
    """The last pot is sold once; and what a guest has ordered is nobody else's business."""
    from flask_shop.app import create_app  # type: ignore[import-not-found]

    shop = create_app("shop.db").test_client()
    order = {"customer": "Ada", "card_number": "4242424242424242"}
    assert shop.post("/orders", json={**order, "items": {"1": 40}}).status_code == 201
    assert shop.post("/orders", json={**order, "items": {"1": 1}}).status_code == 409
    assert shop.get("/products/1").get_json()["stock"] == 0
    assert shop.get("/orders/1").status_code == 401


def test_chat_gives_up_who_does_not_read_and_goes_on_for_the_others() -> None:
    """A member whose queue is full gets no more; memory is bounded, and nobody waits."""
    from fastapi_chat.history import Message  # type: ignore[import-not-found]
    from fastapi_chat.rooms import MAX_WAITING, Member, Rooms  # type: ignore[import-not-found]

    async def chat() -> tuple[list[int], list[int]]:
        rooms, reading, sleeping = Rooms(), Member("ada"), Member("bob")
        with rooms.joined("tea", reading), rooms.joined("tea", sleeping):
            heard, messages = [], reading.messages()
            for number in range(MAX_WAITING + 1):
                rooms.broadcast(Message(number, "tea", "ada", "hello", ""))
                heard.append((await anext(messages)).id)
            return heard, [message.id async for message in sleeping.messages()]

    assert asyncio.run(chat()) == (list(range(MAX_WAITING + 1)), [])


@pytest.mark.slow
@needs("django")
def test_orders_have_a_migration_for_each_change_of_their_models() -> None:
    """Django finds nothing to complain of, and no table that differs from its model."""
    here = {"ORDERS_DATA_DIR": ".", "PYTHONDONTWRITEBYTECODE": "1"}
    ended = run(sys.executable, EXAMPLES / "django_orders" / "manage.py", "makemigrations", "--check", **here)
    assert (ended.status, ended.stdout) == (0, "No changes detected\n"), ended
