"""What the demo's customers do: real HTTP requests, some slow, some failing, some at the same time."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

from otel_tracker.cli.demo_shop import Deadline, DemoError

if TYPE_CHECKING:
    from collections.abc import Sequence

_CUSTOMERS_AT_ONCE = 6
_CARD = "4242424242424242"
_BLOCKED_CARD = "4000000000000002"

# Neither a proxy of the environment nor anybody's cookies: the shop is on this machine.
_opener = build_opener(ProxyHandler({}))


@dataclass(frozen=True)
class Call:
    """One request, and the status that the shop answers it with."""

    method: str
    path: str
    status: int
    body: dict[str, Any] | None = None


def _get(path: str, status: int = 200) -> Call:
    return Call("GET", path, status)


def _order(items: dict[str, int], status: int = 201, card_number: str = _CARD) -> Call:
    return Call("POST", "/orders", status, {"customer": "Ada", "card_number": card_number, "items": items})


BROWSING = (_get("/products"), _get("/products?q=tea"), *(_get(f"/products/{number}") for number in range(1, 6)))
RUSH = (
    *(_order({"1": 1, "2": number}) for number in range(1, 9)),
    _get("/products"),
    *(_get(f"/reports/sales?days={days}") for days in (30, 90, 180)),
    *(_order({"3": 2}) for _ in range(4)),
)
TROUBLE = (
    _get("/products/999", 404),
    _order({}, 400),
    _order({"3": 1}, 402, _BLOCKED_CARD),
    _order({"4": 500}, 409),
    _order({"5": 2}, 500),
)


def send_all(url: str, deadline: Deadline) -> int:
    """Browse, rush and cause trouble; how many requests were sent. Raises `DemoError` for an unexpected answer."""
    for call in BROWSING:
        _send(url, call, deadline)
    _send_at_once(url, RUSH, deadline)
    for call in TROUBLE:
        _send(url, call, deadline)
    return len(BROWSING) + len(RUSH) + len(TROUBLE)


def _send_at_once(url: str, calls: Sequence[Call], deadline: Deadline) -> None:
    executor = ThreadPoolExecutor(_CUSTOMERS_AT_ONCE, thread_name_prefix="customer")
    try:
        for _ in executor.map(lambda call: _send(url, call, deadline), calls):
            pass
    finally:
        executor.shutdown(cancel_futures=True)


def _send(url: str, call: Call, deadline: Deadline) -> None:
    status = _status_of_answer(url, call, deadline.remaining_s())
    if status != call.status:
        raise DemoError(f"The shop answered {status} to {call.method} {call.path}; expected {call.status}.")


def _status_of_answer(url: str, call: Call, timeout_s: float) -> int:
    body = None if call.body is None else json.dumps(call.body).encode()
    request = Request(  # noqa: S310 - a loopback url
        f"{url}{call.path}", data=body, method=call.method, headers={"Content-Type": "application/json"}
    )
    try:
        with _opener.open(request, timeout=timeout_s) as answer:
            answer.read()
            return int(answer.status)
    except HTTPError as error:
        with error:
            error.read()
            return error.code
    except (URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise DemoError(f"The shop did not answer {call.method} {call.path}: {reason}.") from None
