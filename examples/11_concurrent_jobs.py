"""Runs jobs at the same time, each with parts of its own, and makes a record of each. You will see:

job 0: ['download', 'store', 'job'] {'download': 2}
job 1: ['download', 'store', 'job'] {'download': 3}
"""

import asyncio
import json

from otel_tracker import ProcessTracker

records: list[str] = []
tracker = ProcessTracker(records.append)


async def download(n: int) -> None:
    async with tracker.timer("download"):
        await asyncio.sleep(0.001 * n)


@tracker.track
def store() -> None: ...  # in a thread; it knows which job it belongs to


@tracker
async def job(number: int) -> None:
    tracker.set_identifier("job", number)
    await asyncio.gather(*(download(n) for n in range(number + 2)))
    await asyncio.to_thread(store)


async def main() -> None:
    await asyncio.gather(*(job(number) for number in range(2)))


asyncio.run(main())
for record in sorted(map(json.loads, records), key=lambda record: record["job"]):
    print(f"job {record['job']}: {[*record['latencies']]} {record['counts']}")
