"""Traces the public methods of a class; the class stays a dataclass.

You will see:

    Cart(prices=[10.0, 15.0])
    Cart.of {'prices': [10.0]}
    Cart.add {'price': 15.0}
"""

import tempfile
from dataclasses import dataclass

from otel_tracker import configure, open_store, shutdown, traced


@traced(exclude=["is_empty"])
@dataclass
class Cart:
    prices: list[float]

    @classmethod
    def of(cls, *prices: float) -> "Cart":
        return cls(list(prices))

    def add(self, price: float) -> None:
        self.prices.append(price)

    def is_empty(self) -> bool:
        return not self.prices


with tempfile.TemporaryDirectory() as folder:
    configure(sqlite_path=f"{folder}/traces.db")
    cart = Cart.of(10.0)
    cart.add(15.0)
    print("nothing in it" if cart.is_empty() else cart)
    shutdown()
    with open_store(f"{folder}/traces.db") as store:
        print("\n".join(f"{span.function} {span.args}" for span in reversed(list(store.query_executions("Cart.*")))))
