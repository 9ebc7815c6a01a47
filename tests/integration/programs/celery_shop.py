"""A shop whose prices are tasks; the broker is a folder."""

from pathlib import Path
from typing import Any

from celery import Celery

from otel_tracker import counter, traced, track

app: Any = Celery("celery_shop", broker="filesystem://")
app.conf.broker_transport_options = {
    "data_folder_in": "queue",
    "data_folder_out": "queue",
    "control_folder": "control",
    "polling_interval": 0.05,
}
app.conf.task_ignore_result = True


@app.task
@traced
def price(sku: str) -> None:
    track("price.asked", sku=sku)
    counter("prices.asked").add(1, sku=sku[-2:])
    Path("answered", sku).touch()
