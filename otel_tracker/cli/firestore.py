"""`otel-tracker firestore`: what a Firestore database has to be told before its store is queried."""

from __future__ import annotations

import json
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import click

from otel_tracker.cli.files import OutputError, whole_file
from otel_tracker.cli.options import example
from otel_tracker.errors import UnknownDestinationError

GROUP = "otel_tracker_indexes"
"""The entry points: functions of a collection's name, or None, that give the content of the file."""


@click.group(epilog=example("the indexes for `firebase deploy`", "otel-tracker firestore indexes"))
def firestore() -> None:
    """Prepare a Firestore database."""


@firestore.command(
    epilog=example("those of another collection", "otel-tracker firestore indexes --collection jobs --output jobs.json")
)
@click.option("--collection", metavar="NAME", help="Of this collection.  [default: OTEL_TRACKER_FIRESTORE_COLLECTION]")
@click.option(
    "--output",
    "-o",
    metavar="FILE",
    type=click.Path(path_type=Path),
    default=Path("firestore.indexes.json"),
    show_default=True,
    help="Write to this file; - is stdout.",
)
@click.option("--force", is_flag=True, help="Replace the output file if it exists.")
def indexes(*, collection: str | None, output: Path, force: bool) -> None:
    """Write the index file of the firestore store.

    Composite indexes for its queries, exemptions for what is never asked for, and the TTL policy, for `firebase deploy
    --only firestore:indexes`.
    """
    content = _index_file(collection)
    text = json.dumps(content, indent=2) + "\n"
    if str(output) == "-":
        click.echo(text, nl=False)
        return
    if output.exists() and not (force and output.is_file()):
        raise OutputError(f"{output} exists. Choose another --output, or replace it with --force.")
    with whole_file(output) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
    click.echo(f"{output}: {len(content['indexes'])} composite indexes, {len(content['fieldOverrides'])} fields.")


def _index_file(collection: str | None) -> dict[str, Any]:
    for point in entry_points(group=GROUP, name="firestore"):
        content: dict[str, Any] = point.load()(collection)
        return content
    raise UnknownDestinationError("The firestore store is not installed properly. Run: pip install otel-tracker.")
