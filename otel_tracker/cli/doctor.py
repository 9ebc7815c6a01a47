"""`otel-tracker doctor`: what is active, what is not and why, and a probe span as the proof."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click
from rich.table import Table
from rich.text import Text

from otel_tracker.cli.options import example, json_option
from otel_tracker.cli.output import console_for, print_json_lines
from otel_tracker.cli.text import visible
from otel_tracker.doctor.asked import check_destination
from otel_tracker.doctor.delivered import check_delivery
from otel_tracker.doctor.findings import NOTE, OK, PROBLEM, Finding
from otel_tracker.doctor.installed import check_instrumentors, check_launcher, check_selections, check_versions
from otel_tracker.doctor.probe import check_probe
from otel_tracker.doctor.stored import check_destinations, check_settings, check_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    check_versions,
    check_launcher,
    check_selections,
    check_settings,
    check_destinations,
    check_instrumentors,
    check_store,
    check_delivery,
    check_probe,
)
_STYLES = {OK: "green", NOTE: "yellow", PROBLEM: "bold red"}


@click.command(epilog=example("see whether events arrive in Umami", "otel-tracker doctor umami"))
@click.argument("name", required=False)
@json_option
def doctor(*, name: str | None, as_json: bool) -> None:
    """Say what is active and what is not, with a probe as proof.

    Looks at the launcher, at the installed distros, exporters and instrumentors, at the settings in the environment,
    at the store, and at what waits for a destination or was dropped; then starts a small program under
    opentelemetry-instrument, whose span every destination has to take, and reads it back. The exit status is 1 when a
    problem was found.

    With the NAME of a destination that can be asked (umami, firestore), sends one probe event or document there and
    says what the server did with it.
    """
    findings = list(check_destination(name)) if name else [finding for check in _CHECKS for finding in check()]
    if as_json:
        print_json_lines(findings)
    else:
        console_for().print(_report(findings))
    if any(finding.verdict == PROBLEM for finding in findings):
        sys.exit(1)


def _report(findings: list[Finding]) -> Table:
    table = Table.grid(padding=(0, 2))
    for finding in findings:
        table.add_row(
            Text(finding.verdict, style=_STYLES[finding.verdict]),
            Text(visible(finding.subject), style="bold", no_wrap=True),
            Text(visible(finding.sentence), overflow="fold"),
        )
    return table
