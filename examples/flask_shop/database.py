"""The shop's own SQLite database: products, accounts, orders and a year of past sales, made up but always the same."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from hashlib import sha256

from flask import Flask, current_app, g

SCHEMA_VERSION = 2
SCHEMA = """
CREATE TABLE product (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,
    price_cents INTEGER NOT NULL CHECK (price_cents > 0), stock INTEGER NOT NULL CHECK (stock >= 0)
);
CREATE TABLE account (
    name TEXT PRIMARY KEY, token_sha256 TEXT NOT NULL UNIQUE, is_staff INTEGER NOT NULL
);
CREATE TABLE placed_order (
    id INTEGER PRIMARY KEY, customer TEXT NOT NULL, account TEXT REFERENCES account (name),
    total_cents INTEGER NOT NULL, status TEXT NOT NULL CHECK (status IN ('placed', 'cancelled'))
);
CREATE TABLE order_line (
    order_id INTEGER NOT NULL REFERENCES placed_order (id), product_id INTEGER NOT NULL REFERENCES product (id),
    quantity INTEGER NOT NULL CHECK (quantity > 0), PRIMARY KEY (order_id, product_id)
);
CREATE INDEX order_line_product ON order_line (product_id);
CREATE TABLE daily_sales (day INTEGER PRIMARY KEY, revenue_cents INTEGER NOT NULL);
"""

PRODUCTS = (
    (1, "Teapot", 3_490, 40),
    (2, "Green tea, 100 g", 890, 200),
    (3, "Tea towel", 1_250, 75),
    (4, "Copper kettle", 12_900, 12),
    (5, "Samovar", 89_900, 3),
)
# Name, token, whether staff. For development only: a shop that is open keeps no token anywhere, only its hash.
ACCOUNTS = (
    ("ada", "development-token-of-ada", False),
    ("grace", "development-token-of-grace", True),
)
DAYS = 365


def init_app(app: Flask, path: str) -> None:
    """Fill the database at ``path`` unless it is there, and close each request's connection at its end."""
    app.config["DATABASE"] = path
    app.teardown_appcontext(_close)
    with closing(sqlite3.connect(path)) as database, database:
        found = database.execute("PRAGMA user_version").fetchone()[0]
        if found == SCHEMA_VERSION:
            return
        if database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise SystemExit(f"{path} belongs to another version of this shop. Move it away, or name another one.")
        _fill(database)


def connection() -> sqlite3.Connection:
    """What this request asks the database with; as a ``with`` block it is a transaction."""
    if "connection" not in g:
        g.connection = sqlite3.connect(current_app.config["DATABASE"], timeout=10)
        g.connection.row_factory = sqlite3.Row
        g.connection.execute("PRAGMA foreign_keys = ON")
    return g.connection


def token_hash(token: str) -> str:
    """What is stored of a token. Tokens are long and random, so that a plain hash is enough."""
    return sha256(token.encode()).hexdigest()


def _fill(database: sqlite3.Connection) -> None:
    database.executescript(SCHEMA)
    database.executemany("INSERT INTO product VALUES (?, ?, ?, ?)", PRODUCTS)
    accounts = ((name, token_hash(token), is_staff) for name, token, is_staff in ACCOUNTS)
    database.executemany("INSERT INTO account VALUES (?, ?, ?)", accounts)
    chance = random.Random(20261122)
    sales = ((day, int(chance.gauss(180_000, 40_000))) for day in range(DAYS))
    database.executemany("INSERT INTO daily_sales VALUES (?, ?)", sales)
    database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _close(_error: BaseException | None) -> None:
    opened = g.pop("connection", None)
    if opened is not None:
        opened.close()
