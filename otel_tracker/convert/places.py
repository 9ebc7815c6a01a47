"""What a conversion goes from and to, found and checked before anything is written."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from otel_tracker.errors import OtelTrackerError, StoreNotFoundError, UnknownStoreError
from otel_tracker.stores import Place, find_place, installed_stores
from otel_tracker.writing import StoreWriter


class ConversionError(OtelTrackerError):
    """Source, target and format do not go together: a mistake in the command."""

    exit_code = 2


def source_and_target(source: str, target: str, target_format: str | None) -> tuple[Place, Place]:
    """Both places, which are not one; raises an `OtelTrackerError` that says what does not go together."""
    places = _absolute(find_place(source)), _absolute(_target(target))
    if _are_one(*places):
        raise ConversionError(
            f"{target} belongs to the store that is converted, {source}. Name another file to write to."
        )
    formats = places[1].store.formats
    if target_format is not None and target_format not in formats:
        known = f"expected one of {', '.join(formats)}" if formats else "it has only one; leave --format out"
        raise ConversionError(f"The {places[1].store.name} store has no format {target_format!r}; {known}.")
    return places


def state_path(source: Place, target: Place) -> Path | None:
    """Where the state lies: beside the target, or beside the source of a target that is no file; None for neither.

    It bears the name of the whole store, so that two conversions meet there whichever of its names they were given.
    """
    is_beside_target = target.store.open_reader is not None
    place = target if is_beside_target else source
    if place.store.keeps_scheme:
        return None
    path = Path(place.store.whole_location(place.location) if is_beside_target else place.location)
    return path.with_name(f".{path.name}.convert")


def written_place(target: Place, writer: StoreWriter) -> Place:
    """Where what the writer writes is read back: the store that it fills may be more than the file that was named."""
    return target if target.store.keeps_scheme else replace(target, location=writer.location)


def _absolute(place: Place) -> Place:
    return place if place.store.keeps_scheme else Place(place.store, os.path.abspath(place.location))


def _target(target: str) -> Place:
    try:
        return find_place(target)
    except StoreNotFoundError:  # nothing is there yet, and the ending does not say what it shall be
        suffixes = [store.suffixes[0] for store in installed_stores().values() if store.open_writer and store.suffixes]
        raise UnknownStoreError(
            f"{target} is not there, and its ending does not say which store it shall be; "
            f"expected a file ending in {', '.join(suffixes)}."
        ) from None


def _are_one(source: Place, target: Place) -> bool:
    if source.store is not target.store or source.store.keeps_scheme:
        return source.location == target.location or _are_one_file(source.location, target.location)
    whole = source.store.whole_location
    return whole(source.location) == whole(target.location) or _are_one_file(source.location, target.location)


def _are_one_file(source: str, target: str) -> bool:
    try:
        return os.path.samefile(source, target)
    except (OSError, ValueError):
        return False
