"""What the tests of this folder share: the points that a reader collects."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.metrics.export import InMemoryMetricReader, Metric

Labels = dict[str, Any]


class Measured:
    """What a reader has collected; every question collects again, cumulatively."""

    def __init__(self, reader: InMemoryMetricReader) -> None:
        self._reader = reader

    def metrics(self) -> dict[str, Metric]:
        """The metrics by name."""
        data: Any = self._reader.get_metrics_data()
        every = [] if data is None else data.resource_metrics
        scopes = [scope for resource in every for scope in resource.scope_metrics]
        return {metric.name: metric for scope in scopes for metric in scope.metrics}

    def points(self, name: str) -> list[Any]:
        """The points of a metric."""
        metric = self.metrics().get(name)
        return [] if metric is None else list(metric.data.data_points)

    def values(self, name: str) -> list[tuple[Labels, Any]]:
        """Labels and value of each point; of a histogram its count."""
        points = self.points(name)
        return [(dict(point.attributes), point.count if hasattr(point, "count") else point.value) for point in points]

    def one(self, name: str) -> Any:
        """The only point of a metric."""
        (point,) = self.points(name)
        return point
