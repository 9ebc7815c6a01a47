"""What has not gone the straight way can be seen afterwards, by somebody who was not there."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from support import run

from delivery.servers import Gate, Server, delivering, make_spans
from otel_tracker.delivery import lanes, reports
from otel_tracker.doctor.delivered import check_delivery
from otel_tracker.doctor.findings import NOTE, OK, PROBLEM


def test_doctor_shows_what_waits_for_which_destination() -> None:
    """Until the next process that sends there has taken it along."""
    with delivering(Server("the collector", takes=lambda _: False)) as (provider, _):
        make_spans(provider, 5)
    (finding,) = check_delivery()
    assert finding.verdict == NOTE
    assert "bytes of spans for the collector wait in" in finding.sentence
    with delivering(Server("the collector")) as (provider, processor):
        make_spans(provider, 1)
        assert processor.force_flush(10_000)
    (finding,) = check_delivery()
    assert finding.verdict == OK


def test_doctor_shows_what_a_process_has_dropped_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that lost something says so although it is gone."""
    monkeypatch.setenv("OTEL_TRACKER_DELIVERY_JOURNAL_MAX_BYTES", "10KiB")
    gate = Gate()
    with delivering(Server("the collector", gate), max_queue_size=64, max_export_batch_size=32) as (provider, _):
        make_spans(provider, 32)
        assert gate.reached.wait(10)
        make_spans(provider, 500)
        gate.open()
    problems = [finding for finding in check_delivery() if finding.verdict == PROBLEM]
    assert len(problems) == 1
    assert f"process {os.getpid()}" in problems[0].sentence
    assert "of 532 spans for the collector: " in problems[0].sentence
    assert "journal_full" in problems[0].sentence


def test_only_the_newest_reports_are_kept_and_only_their_owner_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports of a program that fails every minute do not fill the disk."""
    monkeypatch.setattr(reports, "_KEPT", 3)
    for number in range(5):
        monkeypatch.setattr(reports, "_started_s", number)
        lanes.forget_closed()
        with delivering(Server("the collector", takes=lambda _: False)) as (provider, _):
            make_spans(provider, 1)
        os.utime(next(iter(reports.reports_folder().glob(f"*-{number}.json"))), (number, number))
    files = sorted(reports.reports_folder().iterdir())
    assert len(files) == 3
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert len(list(reports.left_reports())) == 3


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"destinations": 3}', "\x00"])
def test_damaged_report_is_passed_over(content: str) -> None:
    """Whatever lies there, the doctor goes on."""
    with delivering(Server("the collector", takes=lambda _: False)) as (provider, _):
        make_spans(provider, 1)
    (file,) = reports.reports_folder().iterdir()
    file.write_text(content, encoding="utf-8")
    assert [finding.verdict for finding in check_delivery()] == [NOTE]


@pytest.mark.slow
def test_doctor_names_a_destination_that_does_not_take_the_probe_span() -> None:
    """Every destination is tried, not only the one that can be read back."""
    Path("folder").mkdir()
    variables = {"OTEL_TRACES_EXPORTER": "sqlite,jsonl", "OTEL_TRACKER_JSONL_PATH": "folder"}
    ended = run(sys.executable, "-m", "otel_tracker", "doctor", "--json", **variables)
    assert ended.status == 1
    findings = [json.loads(line) for line in ended.stdout.splitlines()]
    probes = [(one["verdict"], one["sentence"]) for one in findings if one["subject"] == "probe"]
    assert ("ok", f"{os.path.abspath('otel-tracker.db')} took the probe span.") in probes
    refused = [sentence for verdict, sentence in probes if verdict == "problem"]
    assert len(refused) == 1
    assert refused[0].startswith(f"{os.path.abspath('folder')} did not take the probe span: ")
    assert "is a directory; expected a JSONL file" in refused[0]
