"""Reports: slow on purpose, by honest work (a bootstrap in plain Python)."""

from __future__ import annotations

import random
from typing import Any

from flask_shop.database import DAYS, connection
from otel_tracker import span, traced

ROUNDS = 10_000


@traced
def sales(days: int) -> dict[str, Any]:
    """The mean revenue a day over the last days, with a 95 % confidence interval."""
    days = min(max(days, 1), DAYS)
    with span("load sales"):
        rows = connection().execute("SELECT revenue_cents FROM daily_sales ORDER BY day DESC LIMIT ?", (days,))
        revenues = [row["revenue_cents"] for row in rows]
    low, high = confidence_interval(revenues)
    return {"days": days, "mean_cents": sum(revenues) // max(len(revenues), 1), "low_cents": low, "high_cents": high}


@traced(capture_args=False, capture_result=True)
def confidence_interval(values: list[int]) -> tuple[int, int]:
    """The 95 % interval of the mean, from means of samples drawn with replacement."""
    if not values:
        return 0, 0
    chance = random.Random(7)
    means = sorted(sum(chance.choices(values, k=len(values))) // len(values) for _ in range(ROUNDS))
    return means[ROUNDS * 25 // 1000], means[ROUNDS * 975 // 1000]
