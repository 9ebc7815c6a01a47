"""A shop of one page, in FastAPI; every second item is served by a coroutine, the others by a thread."""

import os

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from starlette.concurrency import run_in_threadpool

from otel_tracker import counter, traced, track

app = FastAPI()


@traced
def price(sku: str) -> str:
    track("price.asked", sku=sku)
    counter("prices.asked").add(1, sku=sku[-2:])
    return str(os.getpid())


@app.get("/items/{sku}", response_class=PlainTextResponse)
async def item(sku: str) -> str:
    return await run_in_threadpool(price, sku) if int(sku) % 2 else price(sku)
