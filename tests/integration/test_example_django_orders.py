"""The example `django_orders`: eight customers, a visitor and the staff at once, and what is stored of that."""

from __future__ import annotations

import importlib.util
import sqlite3
import subprocess
import sys
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from otel_tracker import attributes as keys

from .examples import Answer, Example, Stored, serving_example
from .matrix import needs, needs_linux

pytestmark = [
    pytest.mark.slow,
    needs_linux,
    needs("django", "opentelemetry.instrumentation.django"),
    pytest.mark.xdist_group("django_orders"),
]

CUSTOMERS = [f"customer-{number}" for number in range(8)]
KETTLE, GREEN_TEA, TOWEL, TEAPOT = 1, 2, 4, 5
CARD, DECLINED_CARD, BROKEN_CARD = "4242424242424242", "4000000000000002", "4000000000000119"

# With ada's password, so that nobody has to wait for eight more hashes.
ADD_CUSTOMERS = f"""
from django.contrib.auth.models import User
password = User.objects.get(username="ada").password
for name in {CUSTOMERS}:
    User.objects.create(username=name, email=name + "@example.org", password=password)
"""


def customer_module(folder: Path) -> ModuleType:
    """The example's own client, out of its copy."""
    spec = importlib.util.spec_from_file_location("customer", folder / "customer.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["customer"] = importlib.util.module_from_spec(spec)  # its dataclasses look themselves up
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules["customer"]
    return module


@dataclass
class Visit:
    """What one browser did: each request, by whom and how it was answered."""

    customer: Any
    user: str = ""
    answers: list[Answer] = field(default_factory=list)

    def get(self, path: str) -> Any:
        return self._noted(f"GET {path}", self.customer.get(path))

    def post(self, path: str, **fields: Any) -> Any:
        return self._noted(f"POST {path}", self.customer.post(path, **fields))

    def order(self, product: int, quantity: int) -> Any:
        return self.post("/orders/", **{f"product_{product}": quantity})

    def log_in(self, name: str) -> None:
        self.get("/login/")
        self.user = name  # from this request on
        assert self.post("/login/", username=name, password="for-development-only").status == 302

    def _noted(self, request: str, answer: Any) -> Any:
        self.answers.append(Answer(self.user, request, answer.status, answer.request_id, answer.location))
        return answer


def buy(visit: Visit, name: str) -> None:
    """Order, pay, order too much, change one's mind, and try what is not possible."""
    visit.log_in(name)
    visit.get("/")
    teapots = visit.order(TEAPOT, 1).location
    visit.get(teapots)
    for card in (DECLINED_CARD, CARD, CARD, "4242"):
        visit.post(f"{teapots}pay/", card_number=card)
    visit.post(f"{teapots}cancel/")
    visit.order(KETTLE, 2)
    visit.post(f"{visit.order(TOWEL, 3).location}cancel/")
    visit.post(f"{visit.order(GREEN_TEA, 1).location}pay/", card_number=BROKEN_CARD)
    visit.order(GREEN_TEA, -1)
    visit.get("/orders/")
    visit.get("/orders/9999/")


def look_around(visit: Visit) -> None:
    """A visitor who is nobody."""
    visit.get("/")
    visit.get("/orders/")
    visit.get("/orders/1/")


def administrate(visit: Visit, order: int) -> None:
    """Ship what was paid, try it again, and fill the stock of towels."""
    visit.log_in("grace")
    visit.get("/admin/shop/order/")
    for _ in range(2):
        visit.post("/admin/shop/order/", action="ship", _selected_action=order)
    visit.post(f"/admin/shop/product/{TOWEL}/change/", name="Tea towel", price_cents=1250, stock=100)
    visit.get("/")


@dataclass
class Bought:
    """A site that has ended."""

    answers: list[Answer]
    shipped: int
    tables: dict[str, list[sqlite3.Row]]
    stored: Stored
    said: str

    def by(self, *names: str) -> list[Answer]:
        return [answer for answer in self.answers if answer.user in names]

    def named(self) -> dict[str, str]:
        """Names of users by the primary key."""
        return {str(row["id"]): row["username"] for row in self.tables["auth_user"]}


@pytest.fixture(scope="module")
def bought(tmp_path_factory: pytest.TempPathFactory) -> Bought:
    """The site, started as its README says, used by everybody at once, and ended with SIGTERM."""
    with serving_example("django_orders", tmp_path_factory.mktemp("orders")) as site:
        add_customers(site)
        answers, shipped = use(site)
        site.stop()
        said = site.said()
    return Bought(answers, shipped, tables_of(site.folder / "orders.db"), Stored(site.folder), said)


def add_customers(site: Example) -> None:
    command = [sys.executable, "manage.py", "shell", "-c", ADD_CUSTOMERS]
    subprocess.run(command, cwd=site.folder, env=site.environment, check=True, capture_output=True, timeout=60)


def use(site: Example) -> tuple[list[Answer], int]:
    make = customer_module(site.folder).Customer
    visits = [Visit(make(site.port)) for _ in CUSTOMERS]
    nobody, staff = Visit(make(site.port)), Visit(make(site.port))
    with ThreadPoolExecutor(len(visits) + 1) as people:
        around = people.submit(look_around, nobody)
        list(people.map(buy, visits, CUSTOMERS))
        around.result()
    shipped = int(next(answer.body for answer in visits[0].answers if answer.request == "POST /orders/").split("/")[2])
    administrate(staff, shipped)
    visits[1].get(f"/orders/{shipped}/")  # somebody else's
    return [answer for visit in (*visits, nobody, staff) for answer in visit.answers], shipped


def tables_of(database: Path) -> dict[str, list[sqlite3.Row]]:
    with closing(sqlite3.connect(database)) as connection:
        connection.row_factory = sqlite3.Row
        names = ("auth_user", "shop_product", "shop_order", "django_session")
        return {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in names}


def test_site_answers_as_it_should_however_many_ask(bought: Bought) -> None:
    """Nothing is sold twice, nobody pays twice, and each refusal has its status."""
    kettles, many = 12 // 2, len(CUSTOMERS)
    assert Counter(answer.status for answer in bought.by(*CUSTOMERS)) == {
        200: 3 * many,  # the products, the order, all orders
        302: many + 6 * many + kettles,  # log-in; three orders, one paid, two cancelled or not; kettles
        400: 2 * many,  # no card number, less than no tea
        404: many + 1,
        409: 2 * many + many - kettles,
        500: many,
    }
    assert [answer.status for answer in bought.by("")] == [200] * many + [200, 302, 302] + [200]
    assert [answer.status for answer in bought.by("grace")] == [302, 200, 302, 302, 302, 200]
    stock = {row["id"]: row["stock"] for row in bought.tables["shop_product"]}
    assert stock == {KETTLE: 0, GREEN_TEA: 200 - many, 3: 3, TOWEL: 100, TEAPOT: 40 - many}
    statuses = Counter(row["status"] for row in bought.tables["shop_order"])
    assert statuses == {"shipped": 1, "paid": many - 1, "placed": kettles + many, "cancelled": many}


def test_every_answer_is_one_connected_trace(bought: Bought) -> None:
    """The id in the answer's header finds its request, with the status and the path; nothing hangs loose."""
    bought.stored.assert_answered(bought.answers)
    bought.stored.assert_connected()
    bought.stored.assert_request_ids(bought.answers)
    for answer in bought.answers:
        assert bought.stored.request(answer).attributes[keys.URL_PATH] == answer.request.split()[1]


def test_requests_and_events_have_the_user_who_is_logged_in(bought: Bought) -> None:
    """Nothing has anybody else's; only what comes before Django has loaded the user has none."""
    names = bought.named()
    for answer in bought.answers:
        request = bought.stored.request(answer)
        assert names.get(request.attributes.get(keys.USER_ID, ""), "") == answer.user
        below = {names.get(span.attributes.get(keys.USER_ID, ""), "") for span in bought.stored.below(request)}
        assert below <= {answer.user, ""}
        for event in bought.stored.events_of(request):
            assert names[event.properties[keys.USER_ID]] == answer.user


def test_sessions_are_told_apart_and_not_told(bought: Bought) -> None:
    """All requests of a log-in have one session id, each log-in another, and none is the cookie's own."""
    sessions = defaultdict(set)
    for answer in bought.answers:
        if answer.user and "login" not in answer.request:
            sessions[answer.user].add(bought.stored.request(answer).attributes[keys.SESSION_ID])
    assert [len(ids) for ids in sessions.values()] == [1] * (len(CUSTOMERS) + 1)
    assert len(set.union(*sessions.values())) == len(CUSTOMERS) + 1
    cookies = {row["session_key"] for row in bought.tables["django_session"]}
    assert not cookies & set.union(*sessions.values())


def test_services_and_receivers_lie_below_the_request(bought: Bought) -> None:
    """Also what follows from the order after its transaction."""
    for answer in bought.by(*CUSTOMERS):
        if answer.request == "POST /orders/" and answer.status == 302:
            request = bought.stored.request(answer)
            below = bought.stored.below(request)
            names = {span.span_id: span.qualified_name for span in (request, *below)}
            assert {(names[span.parent_span_id], span.qualified_name) for span in below} - READ_PRODUCTS == {
                ("POST orders/", "shop.services.place_order"),
                ("shop.services.place_order", "reserve stock"),
                ("shop.services.place_order", "shop.receivers.send_status"),
            }


READ_PRODUCTS = {("POST orders/", "shop.catalog.products"), ("shop.catalog.products", "load products")}


def test_products_come_from_the_cache_until_somebody_orders(bought: Bought) -> None:
    """They are read less often than shown, and again after each change."""
    names = Counter(span.qualified_name for span in bought.stored.spans)
    assert 1 < names["load products"] < names["shop.catalog.products"]


def test_events_tell_the_life_of_the_orders(bought: Bought) -> None:
    """One for each change that was certain, none for what was rolled back."""
    many = len(CUSTOMERS)
    assert Counter(event.name for event in bought.stored.events) == {
        "order.placed": 3 * many + 6,
        "order.paid": many,
        "order.cancelled": many,
        "order.shipped": 1,
        "payment.declined": many,
    }
    [shipped] = [event for event in bought.stored.events if event.name == "order.shipped"]
    assert (shipped.properties["order_id"], bought.named()[shipped.properties[keys.USER_ID]]) == (
        bought.shipped,
        "grace",
    )


def test_unforeseen_error_is_told_once_with_its_traceback(bought: Bought) -> None:
    """Each 500 is the payment provider's; the order is still there to be paid."""
    failed = [answer for answer in bought.answers if answer.status == 500]
    assert len(failed) == len(CUSTOMERS)
    for answer in failed:
        assert bought.stored.assert_failed_once(answer, "ConnectionError").function == "charge"


def test_refusals_are_no_failures(bought: Bought) -> None:
    """What the site answers with 4xx is completed, Http404 too."""
    for answer in bought.answers:
        assert bought.stored.request(answer).status == ("failed" if answer.status == 500 else "completed"), answer


def test_secrets_are_stored_nowhere(bought: Bought) -> None:
    """Neither cards nor passwords, cookies or mail addresses."""
    kept = repr([record.to_dict() for record in (*bought.stored.spans, *bought.stored.events)])
    secrets = [CARD, DECLINED_CARD, BROKEN_CARD, "for-development-only", "@example.org"]
    secrets += [row["session_key"] for row in bought.tables["django_session"]]
    assert [secret for secret in secrets if secret in kept] == []


def test_telemetry_complains_of_nothing(bought: Bought) -> None:
    """The server's log has the tracebacks that Django writes, and not a word of ours."""
    assert bought.said.count("ConnectionError: The payment provider") == len(CUSTOMERS)
    assert "otel_tracker " not in bought.said
