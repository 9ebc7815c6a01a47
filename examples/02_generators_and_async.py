"""Traces a generator and an async generator; the span of each covers all of its execution.

You will see (closing a generator is no error):

    numbers yielded 3, closed
    rows yielded 2, finished
"""

import asyncio
import tempfile

from otel_tracker import configure, open_store, shutdown, traced


@traced
def numbers():
    yield from range(1, 100)


@traced
async def rows(count):
    for row in range(count):
        yield await asyncio.sleep(0, row)


async def main():
    return [row async for row in rows(2)]


with tempfile.TemporaryDirectory() as folder:
    configure(sqlite_path=f"{folder}/traces.db")
    next(number for number in numbers() if number == 3)
    asyncio.run(main())
    shutdown()
    with open_store(f"{folder}/traces.db") as store:
        for name in ("numbers", "rows"):
            found = next(store.query_executions(name)).attributes
            print(name, f"yielded {found['otel_tracker.items']},", found.get("otel_tracker.outcome", "finished"))
