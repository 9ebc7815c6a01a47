"""A shop of one page, in Flask; as a program ``python flask_shop.py PORT [debug]``."""

import os
import sys

from flask import Flask

from otel_tracker import traced, track

app = Flask("flask_shop")


@traced
def price(sku: str) -> str:
    track("price.asked", sku=sku)
    return str(os.getpid())


@app.get("/items/<sku>")
def item(sku: str) -> str:
    return price(sku)


if __name__ == "__main__":
    app.run(port=int(sys.argv[1]), debug="debug" in sys.argv)
