"""Ready-made outputs: what CloudWatch reads from stdout, and what a logger gets."""

from __future__ import annotations

import json
import logging
import time
from typing import Any

import pytest

from otel_tracker import ProcessTracker, emf, logging_output


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """The lines on stdout, each a JSON object."""
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def described(line: dict[str, Any]) -> dict[str, str]:
    """Name and unit of each metric of a line; every one has its value in it."""
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert all(isinstance(line[metric["Name"]], (int, float)) for metric in directive["Metrics"])
    return {metric["Name"]: metric["Unit"] for metric in directive["Metrics"]}


def test_record_becomes_one_line_of_metrics_and_properties(capsys: pytest.CaptureFixture[str]) -> None:
    """Latencies in milliseconds, numbers without a unit; a chosen identifier is the dimension, as text."""
    tracker = ProcessTracker(emf("shop/jobs", dimensions=["region", "absent"]))

    @tracker("handler")
    def handler() -> None:
        with tracker.timer("query"):
            tracker.set_metric("rows", 2)
        tracker.set_metric("kind", "slow")
        tracker.set_identifier("region", 7)
        tracker.set_identifier("order", "o-1")

    before_ms = time.time_ns() // 1_000_000
    handler()
    (line,) = lines(capsys)
    assert described(line) == {"query": "Milliseconds", "handler": "Milliseconds", "rows": "None"}
    assert before_ms <= line["_aws"]["Timestamp"] <= time.time_ns() // 1_000_000
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert (directive["Namespace"], directive["Dimensions"]) == ("shop/jobs", [["region"]])
    assert (line["region"], line["order"], line["kind"], line["rows"]) == ("7", "o-1", "slow", 2)


def test_failed_run_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    tracker = ProcessTracker(emf("shop"))

    @tracker
    def handler() -> None:
        raise KeyError

    with pytest.raises(KeyError):
        handler()
    (line,) = lines(capsys)
    assert line["failed"] is True
    assert line["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [[]]


def test_more_than_a_hundred_metrics_are_several_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Each with the identifiers, and each metric once."""
    record = {"latencies": {f"n{number}": 1.0 for number in range(250)}, "metrics": {}, "order": "o-1"}
    emf("shop")(json.dumps(record))
    found = lines(capsys)
    assert [len(described(line)) for line in found] == [100, 100, 50]
    assert {line["order"] for line in found} == {"o-1"}
    assert len({name for line in found for name in described(line)}) == 250


def test_names_that_occur_twice_are_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    """And no name replaces the description itself."""
    record = {"latencies": {"x": 1.0, "_aws": 2.0, "order": 3.0}, "metrics": {"x": 4}, "order": "o-1", "_aws": "mine"}
    emf("shop")(json.dumps(record))
    (line,) = lines(capsys)
    assert set(described(line)) == {"x", "latencies._aws", "latencies.order", "metrics.x"}
    assert (line["x"], line["metrics.x"], line["order"], line["identifiers._aws"]) == (1.0, 4, "o-1", "mine")


@pytest.mark.parametrize(("value", "text"), [("Zürich", "Z?rich"), ("x" * 2_000, "x" * 1_024), (True, "True")])
def test_value_of_a_dimension_is_what_cloudwatch_takes(
    capsys: pytest.CaptureFixture[str], value: object, text: str
) -> None:
    emf("shop", dimensions="place")(json.dumps({"latencies": {"a": 1.0}, "metrics": {}, "place": value}))
    (line,) = lines(capsys)
    assert line["place"] == text
    assert line["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["place"]]


@pytest.mark.parametrize("value", ["", "  ", None])
def test_empty_value_is_no_dimension(capsys: pytest.CaptureFixture[str], value: object) -> None:
    emf("shop", dimensions=["place"])(json.dumps({"latencies": {"a": 1.0}, "metrics": {}, "place": value}))
    (line,) = lines(capsys)
    assert line["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [[]]


@pytest.mark.parametrize("namespace", ["", " ", ":shop", "AWS/Lambda", "x" * 256, "shop\n", None, 7])
def test_namespace_that_cloudwatch_refuses_raises(namespace: Any) -> None:
    with pytest.raises(ValueError, match="The namespace is"):
        emf(namespace)


@pytest.mark.parametrize("dimensions", [[""], [":a"], [7], [f"d{number}" for number in range(31)]])
def test_dimensions_that_cloudwatch_refuses_raise(dimensions: Any) -> None:
    with pytest.raises(ValueError, match="dimensions"):
        emf("shop", dimensions=dimensions)


def test_logger_gets_each_record_as_a_message(caplog: pytest.LogCaptureFixture) -> None:
    """At INFO unless told; by name or as the object."""
    caplog.set_level(logging.DEBUG)
    for output in (
        logging_output("shop.jobs"),
        logging_output(logging.getLogger("shop.other"), logging.DEBUG),
        logging_output(),
    ):
        ProcessTracker(output)(lambda: None)()
    assert [(record.name, record.levelname) for record in caplog.records] == [
        ("shop.jobs", "INFO"),
        ("shop.other", "DEBUG"),
        ("otel_tracker.processes", "INFO"),
    ]
    assert all(set(json.loads(record.message)) == {"latencies", "metrics"} for record in caplog.records)
