"""Writes to both stores at once; reads one line by line, the other with SQL of its own.

You will see:

    jsonl: total {'prices': [10.0, 15.0]} 25.0
    sqlite: ('total', 'completed', 15.0, 25.0)
"""

import json
import sqlite3
import tempfile
from contextlib import closing

from otel_tracker import configure, shutdown, traced


@traced(capture_result=True)
def total(prices: list[float]) -> float:
    return sum(prices)


with tempfile.TemporaryDirectory() as folder:
    configure(exporters="jsonl,sqlite", jsonl_path=f"{folder}/traces.jsonl", sqlite_path=f"{folder}/traces.db")
    total([10.0, 15.0])
    shutdown()

    with open(f"{folder}/traces.jsonl", encoding="utf-8") as lines:
        for record in map(json.loads, lines):
            print("jsonl:", record["function"], record["args"], record["result"])

    with closing(sqlite3.connect(f"{folder}/traces.db")) as connection:
        sql = "SELECT function, status, json_extract(args, '$.prices[1]'), json_extract(result, '$') FROM executions"
        for row in connection.execute(sql):
            print("sqlite:", row)
