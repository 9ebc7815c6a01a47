"""A shop of one page, in Flask; as a program ``python flask_shop.py PORT [debug]``."""

import os
import sys

from flask import Flask

from otel_tracker import counter, traced, track

app = Flask("flask_shop")


@traced
def price(sku: str) -> str:
    track("price.asked", sku=sku)
    counter("prices.asked").add(1, sku=sku[-2:])
    return str(os.getpid())


@app.get("/items/<sku>")
def item(sku: str) -> str:
    return price(sku)


if __name__ == "__main__":
    app.run(port=int(sys.argv[1]), debug="debug" in sys.argv)
