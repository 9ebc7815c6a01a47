"""`otel-tracker prune`: takes out of a store what is old, or more than it shall hold."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from otel_tracker.cli.options import example, place_of_store, store_option
from otel_tracker.errors import StoreUnwritableError
from otel_tracker.setting_values import parse_bytes
from otel_tracker.settings import SQLITE_MAX_AGE_DAYS, SQLITE_MAX_BYTES
from otel_tracker.timestamps import NS_PER_S, time_bound
from otel_tracker.writing import Pruned, Retention

if TYPE_CHECKING:
    from otel_tracker.stores import Place

_NS_PER_DAY = 86_400 * NS_PER_S
_UNITS = ((10**9, "GB"), (10**6, "MB"), (10**3, "kB"))


def _checked_size(ctx: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """The number of bytes in a size as the settings take it."""
    try:
        return None if value is None else parse_bytes(value)
    except ValueError:
        raise click.BadParameter(
            f"{value!r} is no size; expected bytes, or a number with a unit such as 512MiB."
        ) from None


def _checked_age(ctx: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """The moment that is so long ago, in nanoseconds since the epoch."""
    return time_bound(value, parameter.opts[0])


@click.command(epilog=example("what would go if a week were kept", "otel-tracker prune --older-than 7d --dry-run"))
@click.option(
    "--older-than",
    "before_ns",
    metavar="AGE",
    callback=_checked_age,
    help="Remove what is older: an age (15m, 1h, 7d) or ISO 8601 (UTC unless it has an offset).",
)
@click.option(
    "--max-bytes",
    metavar="SIZE",
    callback=_checked_size,
    help="Remove the oldest until the store is no larger (512MiB).",
)
@click.option("--dry-run", is_flag=True, help="Remove nothing; say what would be removed.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the sentence.")
@store_option
def prune(*, before_ns: int | None, max_bytes: int | None, dry_run: bool, as_json: bool, store: str | None) -> None:
    """Remove what is old, or more than a store shall hold.

    The oldest goes first: of an SQLite store whole traces and metric points, of a JSONL store whole files that were
    put aside (the file that is written stays). Without options an SQLite store keeps what
    OTEL_TRACKER_SQLITE_MAX_AGE_DAYS and OTEL_TRACKER_SQLITE_MAX_BYTES say.
    """
    place = place_of_store(store)
    if place.store.prune is None:
        raise StoreUnwritableError(
            f"The {place.store.name} store cannot be pruned; see to {place.location} with its own means."
        )
    retention = _retention(place, before_ns, max_bytes)
    pruned = place.store.prune(place.location, retention, dry_run)
    _print(place, pruned, dry_run=dry_run, as_json=as_json)


def _retention(place: Place, before_ns: int | None, max_bytes: int | None) -> Retention:
    """What to keep: as the options say, else as the settings of this store do."""
    if before_ns is not None or max_bytes:
        return Retention(max_bytes or 0, before_ns)
    if max_bytes == 0 or place.store.name != "sqlite":
        raise click.UsageError("Say what to remove: give --older-than, --max-bytes, or both (more than 0 bytes).")
    days = SQLITE_MAX_AGE_DAYS.read()
    if not (days or SQLITE_MAX_BYTES.read()):
        raise click.UsageError("The settings name no limit. Give --older-than, --max-bytes, or both.")
    return Retention(SQLITE_MAX_BYTES.read(), time.time_ns() - int(days * _NS_PER_DAY) if days else None)


def _print(place: Place, pruned: Pruned, *, dry_run: bool, as_json: bool) -> None:
    from otel_tracker.cli.output import is_utf8
    from otel_tracker.cli.text import json_line, visible

    if as_json:
        fields = {"store": place.location, "dry_run": dry_run, **asdict(pruned)}
        click.echo(json_line(fields, ascii_only=not is_utf8(sys.stdout.encoding)))
    else:
        click.echo(visible(_sentence(place, pruned, dry_run=dry_run)))


def _sentence(place: Place, pruned: Pruned, *, dry_run: bool) -> str:
    counted = (
        (pruned.traces, "trace"),
        (pruned.spans, "span"),
        (pruned.events, "event"),
        (pruned.logs, "log"),
        (pruned.metrics, "metric point"),
        (pruned.files, "file"),
    )
    parts = [f"{number:,} {noun}{'' if number == 1 else 's'}" for number, noun in counted if number]
    if not parts:
        return f"Nothing in {place.location} {'would have' if dry_run else 'had'} to go."
    what = " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))
    verb = "Would remove" if dry_run else "Removed"
    return f"{verb} {what} from {place.location}; {_freed(pruned, dry_run=dry_run)}."


def _freed(pruned: Pruned, *, dry_run: bool) -> str:
    verb = "would be" if dry_run else "are"
    given_back = pruned.bytes - pruned.reusable_bytes
    parts = [f"{_size(given_back)} {verb} given back"] if given_back or not pruned.reusable_bytes else []
    if pruned.reusable_bytes:
        parts.append(f"{_size(pruned.reusable_bytes)} {verb} used again, for which the file keeps its size")
    return ", ".join(parts)


def _size(size_bytes: int) -> str:
    for unit, name in _UNITS:
        if size_bytes >= unit:
            return f"{size_bytes / unit:.1f} {name}"
    return f"{size_bytes} bytes"
