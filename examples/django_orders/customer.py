"""A customer without a browser: ``python customer.py NAME [--card NUMBER]`` logs in, orders two teapots and pays.

Prints each request with the status of its answer and the id under which its trace is found.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from http.cookiejar import CookieJar
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, HTTPRedirectHandler, ProxyHandler, build_opener

PASSWORD = "for-development-only"
TEAPOT = 5
TIMEOUT_S = 120
GOOD_CARD = "4242424242424242"


@dataclass(frozen=True)
class Answer:
    """What the shop answered."""

    status: int
    request_id: str
    location: str
    body: str


class Customer:
    """One browser's worth of cookies."""

    def __init__(self, port: int) -> None:
        self._cookies = CookieJar()
        self._url = f"http://127.0.0.1:{port}"
        self._opener = build_opener(ProxyHandler({}), HTTPCookieProcessor(self._cookies), _StayHere())

    def log_in(self, name: str, password: str = PASSWORD) -> Answer:
        """Fetch the form, which brings the cookie that Django wants to see in every POST, and send it."""
        self.get("/login/")
        return self.post("/login/", username=name, password=password)

    def order(self, quantities: dict[int, int]) -> Answer:
        """Order so many of each product."""
        return self.post("/orders/", **{f"product_{product}": count for product, count in quantities.items()})

    def pay(self, order: str, card: str = GOOD_CARD) -> Answer:
        """Pay the order whose page this is."""
        return self.post(f"{order}pay/", card_number=card)

    def get(self, path: str) -> Answer:
        """Ask for a page."""
        return self._ask(path, None)

    def post(self, path: str, **fields: Any) -> Answer:
        """Send a form."""
        token = next((cookie.value for cookie in self._cookies if cookie.name == "csrftoken"), "")
        return self._ask(path, urlencode({**fields, "csrfmiddlewaretoken": token}).encode())

    def _ask(self, path: str, form: bytes | None) -> Answer:
        try:
            response = self._opener.open(f"{self._url}{path}", form, timeout=TIMEOUT_S)
        except HTTPError as error:  # what urllib calls an error is an answer, too
            response = error
        with response:
            headers = response.headers
            body = response.read().decode()
            return Answer(response.status, headers.get("X-Request-ID", ""), headers.get("Location", ""), body)


class _StayHere(HTTPRedirectHandler):
    """Does not follow, so that each answer is seen."""

    def redirect_request(self, *_: Any) -> None:
        """Nowhere."""


def main() -> None:
    """Be the customer that the command line names."""
    parser = argparse.ArgumentParser(prog="customer.py", description="Log in, order two teapots and pay.")
    parser.add_argument("name")
    parser.add_argument("--card", default=GOOD_CARD)
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()

    customer = Customer(options.port)
    show("POST /login/", customer.log_in(options.name))
    ordered = customer.order({TEAPOT: 2})
    show("POST /orders/", ordered)
    show(f"POST {ordered.location}pay/", customer.pay(ordered.location, options.card))


def show(request: str, answer: Answer) -> None:
    """Print one request."""
    print(f"{request}  {answer.status}  {answer.request_id}")


if __name__ == "__main__":
    main()
