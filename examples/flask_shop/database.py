"""The shop's own SQLite database: products, orders and a year of past sales, made up but always the same."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing

from flask import Flask, current_app, g

SCHEMA = """
CREATE TABLE product (id INTEGER PRIMARY KEY, name TEXT NOT NULL, price_cents INTEGER NOT NULL, stock INTEGER NOT NULL);
CREATE TABLE placed_order (id INTEGER PRIMARY KEY, customer TEXT NOT NULL, total_cents INTEGER NOT NULL);
CREATE TABLE daily_sales (day INTEGER PRIMARY KEY, revenue_cents INTEGER NOT NULL);
"""

PRODUCTS = (
    (1, "Teapot", 3_490, 40),
    (2, "Green tea, 100 g", 890, 200),
    (3, "Tea towel", 1_250, 75),
    (4, "Copper kettle", 12_900, 12),
    (5, "Samovar", 89_900, 3),
)
DAYS = 365


def init_app(app: Flask, path: str) -> None:
    """Fill the database at ``path`` unless it is there, and close each request's connection at its end."""
    app.config["DATABASE"] = path
    app.teardown_appcontext(_close)
    with closing(sqlite3.connect(path)) as connection, connection:
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            return
        connection.executescript(SCHEMA)
        connection.executemany("INSERT INTO product VALUES (?, ?, ?, ?)", PRODUCTS)
        chance = random.Random(20261122)
        sales = ((day, int(chance.gauss(180_000, 40_000))) for day in range(DAYS))
        connection.executemany("INSERT INTO daily_sales VALUES (?, ?)", sales)


def connection() -> sqlite3.Connection:
    """This request's connection."""
    if "connection" not in g:
        g.connection = sqlite3.connect(current_app.config["DATABASE"], timeout=10)
        g.connection.row_factory = sqlite3.Row
    return g.connection


def _close(_error: BaseException | None) -> None:
    opened = g.pop("connection", None)
    if opened is not None:
        opened.close()
