"""The example `flask_shop`: twelve customers, guests and the staff at once, and what is stored of that."""

from __future__ import annotations

import sqlite3
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from support import stored_events

from .examples import Answer, Example, Stored, ask, serving_example
from .matrix import needs, needs_linux

pytestmark = [
    pytest.mark.slow,
    needs_linux,
    needs("flask", "opentelemetry.instrumentation.flask"),
    pytest.mark.xdist_group("flask_shop"),
]

CUSTOMERS = [f"customer-{number}" for number in range(12)]
CARD, BLOCKED_CARD = "4242424242424242", "4000000000000002"
TEAPOT, KETTLE, SAMOVAR = "1", "4", "5"


def token_of(name: str) -> str:
    return f"development-token-of-{name}"


def add_customers(database: Path) -> None:
    """Accounts, as the shop's staff would add them."""
    rows = [(name, sha256(token_of(name).encode()).hexdigest(), False) for name in CUSTOMERS]
    with closing(sqlite3.connect(database, timeout=10)) as connection, connection:
        connection.executemany("INSERT INTO account VALUES (?, ?, ?)", rows)


@dataclass(frozen=True)
class Visitor:
    """Somebody with a token, or a guest without a name."""

    port: int
    name: str

    def ask(self, request: str, content: Any = None, **headers: str) -> Answer:
        if self.name:
            headers["Authorization"] = f"Bearer {token_of(self.name)}"
        return ask(self.port, request, content, user=self.name, **headers)

    def order(self, product: str, quantity: int, card: str = CARD, **headers: str) -> Answer:
        content = {"customer": self.name or "guest", "card_number": card, "items": {product: quantity}}
        return self.ask("POST /orders", content, **headers)

    def shop(self) -> list[Answer]:
        """Look around, order, change one's mind, try what is not allowed, and run into the shop's mistake."""
        answers = [self.ask("GET /products?q=tea"), self.ask("GET /products/999")]
        answers.append(self.order(TEAPOT, 1, X_Request_ID=f"order-of:{self.name or 'guest'}"))
        own = f"/orders/{answers[-1].body['order_id']}"
        answers += [self.ask(f"GET {own}"), self.ask(f"DELETE {own}"), self.ask(f"DELETE {own}")]
        answers += [self.ask("GET /orders/1000"), self.ask("POST /products", {"name": "mine"})]
        answers += [self.order(KETTLE, 2), self.order(TEAPOT, 1, BLOCKED_CARD), self.order(SAMOVAR, 2)]
        answers.append(self.ask("POST /orders", {"items": []}))
        return answers


def keep_catalogue(port: int) -> list[Answer]:
    """What the staff does in the meantime: a product comes, changes, is delivered, and goes."""
    staff = Visitor(port, "grace")
    added = staff.ask("POST /products", {"name": "Cup", "price_cents": 750, "stock": 20})
    path = f"/products/{added.body['id']}"
    return [
        added,
        staff.ask("POST /products", {"name": "Cup", "price_cents": 750, "stock": 20}),
        staff.ask(f"PUT {path}", {"name": "Large cup", "price_cents": 950}),
        staff.ask(f"POST {path}/stock", {"added": 5}),
        staff.ask(f"GET {path}"),
        staff.ask(f"DELETE {path}"),
        staff.ask(f"GET {path}"),
        staff.ask("GET /reports/sales?days=30"),
    ]


@dataclass(frozen=True)
class Visited:
    """A shop that was visited and has ended."""

    answers: list[Answer]
    stored: Stored
    folder: Path
    said: str
    stock: dict[int, int]

    def of(self, *statuses: int) -> list[Answer]:
        return [answer for answer in self.answers if answer.status in statuses]


@pytest.fixture(scope="module")
def visited(tmp_path_factory: pytest.TempPathFactory) -> Visited:
    """The shop, started as its README says, asked by everybody at once, and ended with SIGTERM."""
    folder = tmp_path_factory.mktemp("shop")
    with serving_example("flask_shop", folder) as shop:
        add_customers(folder / "shop.db")
        answers = visit(shop)
        shop.stop()
        said = shop.said()
    with closing(sqlite3.connect(folder / "shop.db")) as connection:
        stock = dict(connection.execute("SELECT id, stock FROM product"))
    return Visited(answers, Stored(folder), folder, said, stock)


def visit(shop: Example) -> list[Answer]:
    visitors = [Visitor(shop.port, name) for name in (*CUSTOMERS, "")]
    with ThreadPoolExecutor(len(visitors) + 2) as people:
        catalogue = people.submit(keep_catalogue, shop.port)
        stranger = people.submit(ask, shop.port, "GET /products", Authorization="Bearer stolen")
        everybody = [answer for answers in people.map(Visitor.shop, visitors) for answer in answers]
        return [*everybody, *catalogue.result(), stranger.result()]


def test_shop_answers_as_it_should_however_many_ask(visited: Visited) -> None:
    """Nothing is sold twice, what is cancelled comes back once, and each refusal has its status."""
    customers, kettles = len(CUSTOMERS), 12 // 2
    assert Counter(answer.status for answer in visited.answers if answer.user in CUSTOMERS) == {
        200: 2 * customers,
        201: customers + sum(answer.status == 201 for answer in kettle_orders(visited) if answer.user),
        204: customers,
        400: customers,
        402: customers,
        403: customers,
        404: 2 * customers,
        409: customers + sum(answer.status == 409 for answer in kettle_orders(visited) if answer.user),
        500: customers,
    }
    assert sorted(answer.status for answer in kettle_orders(visited)) == [201] * kettles + [409] * (
        customers + 1 - kettles
    )
    assert [answer.status for answer in visited.answers if answer.user == "grace"] == [
        201,
        409,
        200,
        200,
        200,
        204,
        404,
        200,
    ]
    assert visited.stock == {1: 39, 2: 200, 3: 75, 4: 0, 5: 3}  # the guest has kept a teapot


def kettle_orders(visited: Visited) -> list[Answer]:
    """Of each visitor the ninth request."""
    return [answer for answer in visited.answers if answer.request == "POST /orders" and is_of_kettles(visited, answer)]


def is_of_kettles(visited: Visited, answer: Answer) -> bool:
    places = [span for span in visited.stored.below(visited.stored.request(answer)) if span.function == "place"]
    return any(KETTLE in span.args["order"]["quantities"] for span in places)


def test_every_answer_is_one_connected_trace(visited: Visited) -> None:
    """The id in the answer's header finds its request, with the status; nothing hangs loose."""
    visited.stored.assert_answered(visited.answers)
    visited.stored.assert_connected()


def test_functions_and_blocks_lie_below_who_calls_them(visited: Visited) -> None:
    """Request, orders.place, and below that the block and the payment; reserve lies in the block."""
    for answer in visited.of(201):
        if answer.request == "POST /orders":
            request = visited.stored.request(answer)
            below = visited.stored.below(request)
            names = {span.span_id: span.qualified_name for span in (request, *below)}
            assert {(names[span.parent_span_id], span.qualified_name) for span in below} == {
                ("POST /orders", "flask_shop.orders.parse"),
                ("POST /orders", "flask_shop.orders.place"),
                ("flask_shop.orders.place", "reserve stock"),
                ("reserve stock", "flask_shop.orders.reserve"),
                ("flask_shop.orders.place", "flask_shop.payments.charge"),
                ("flask_shop.payments.charge", "flask_shop.payments.fee_cents"),
            }


def test_everything_of_a_request_has_its_user(visited: Visited) -> None:
    """Spans and events bear who sent the token; a guest's bear nobody."""
    visited.stored.assert_users(visited.answers)


def test_everything_of_a_request_has_its_id(visited: Visited) -> None:
    """The one that the client sent, or else that of the trace."""
    visited.stored.assert_request_ids(visited.answers)
    given = {answer.request_id for answer in visited.answers if answer.request_id.startswith("order-of:")}
    assert given == {f"order-of:{name}" for name in (*CUSTOMERS, "guest")}
    own = [answer for answer in visited.answers if answer.request_id not in given]
    assert [answer for answer in own if visited.stored.request(answer).trace_id != answer.request_id] == []


def test_mistake_is_told_once_with_its_traceback(visited: Visited) -> None:
    """Each 500 is an IndexError of `fee_cents`, the one span that records it."""
    assert len(visited.of(500)) == len(CUSTOMERS) + 1
    for answer in visited.of(500):
        assert visited.stored.assert_failed_once(answer, "IndexError").function == "fee_cents"


def test_refusals_are_no_failures(visited: Visited) -> None:
    """What the shop answers with 4xx is completed, though a block that an exception leaves has failed."""
    for answer in visited.answers:
        if answer.status < 500:
            assert visited.stored.request(answer).status == "completed"
    failed = {span.qualified_name for span in visited.stored.spans if span.status == "failed"}
    assert failed == {
        "POST /orders",
        "reserve stock",
        "flask_shop.orders.place",
        "flask_shop.payments.charge",
        "flask_shop.payments.fee_cents",
    }


def test_events_reach_the_destinations_that_the_settings_file_routes_them_to(visited: Visited) -> None:
    """All are in the store, those about orders in the JSONL file too, refused payments and tokens in the log."""
    orders, people = len(CUSTOMERS) + 1 + 6, len(CUSTOMERS) + 1
    expected = {
        "order.placed": orders,
        "order.cancelled": len(CUSTOMERS),
        "payment.declined": people,
        "access.refused": 1,
        "product.added": 1,
        "product.changed": 1,
        "product.removed": 1,
    }
    assert Counter(event.name for event in visited.stored.events) == expected
    lines = stored_events(visited.folder / "otel-tracker.jsonl")
    assert Counter(event.name for event in lines) == {
        name: expected[name] for name in ("order.placed", "order.cancelled")
    }
    logged = Counter(line.split()[0] for line in visited.said.splitlines() if line.startswith(tuple(expected)))
    assert logged == {name: expected[name] for name in ("payment.declined", "access.refused")}


def test_card_numbers_and_tokens_are_stored_nowhere(visited: Visited) -> None:
    """Neither in the store nor in the other destinations."""
    kept = b"".join(path.read_bytes() for path in visited.folder.glob("otel-tracker.*")) + visited.said.encode()
    assert [secret for secret in (CARD, BLOCKED_CARD, "development-token") if secret.encode() in kept] == []


def test_telemetry_complains_of_nothing(visited: Visited) -> None:
    """The server's log has the tracebacks of the mistake, which Flask writes, and not a word of ours."""
    assert visited.said.count("Traceback") == len(visited.of(500))
    assert "otel_tracker " not in visited.said
