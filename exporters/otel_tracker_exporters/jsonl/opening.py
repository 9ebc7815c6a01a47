"""Opens a JSONL store for `otel-tracker convert`: in the format that it holds already, or refuses to mix two."""

from __future__ import annotations

import os
from pathlib import Path

from otel_tracker.errors import StoreUnwritableError
from otel_tracker_exporters.jsonl.formats import OTLP, RECORD, format_of
from otel_tracker_exporters.jsonl.names import SIGNALS, active_paths, base_path, is_put_aside, signal_path
from otel_tracker_exporters.jsonl.writer import JsonlWriter

_HEAD_BYTES = 4096
_FOREIGN = "foreign"


def open_writer(location: str, format: str | None) -> JsonlWriter:  # noqa: A002 - the option is called so
    """A writer that keeps everything; ``format`` None is what the store holds, or `record` where it holds nothing.

    In the format `otlp` the file of one signal, ``shop.traces.jsonl``, means the whole store, ``shop.jsonl``. Raises
    `StoreUnwritableError` where a file that would be appended to holds anything else.
    """
    path = Path(os.path.abspath(location))
    if is_put_aside(path):
        raise StoreUnwritableError(
            f"{path} is named as a file that was put aside, which nobody writes to again. Name another file."
        )
    files = (path, *active_paths(base_path(path)))
    chosen = format or next((held for file in files if (held := _held_format(file)) in (RECORD, OTLP)), RECORD)
    if chosen == OTLP:
        path = base_path(path)
    for target in [signal_path(path, signal) for signal in SIGNALS] if chosen == OTLP else [path]:
        _refuse_another(target, chosen)
    return JsonlWriter(str(path), format=chosen)


def _refuse_another(target: Path, chosen: str) -> None:
    held = _held_format(target)
    if held == _FOREIGN:
        raise StoreUnwritableError(
            f"{target} holds something else than records; expected an empty file, or none. Name another file."
        )
    if held not in (None, chosen):
        raise StoreUnwritableError(
            f"{target} holds the format {held}, and one file holds one format; expected {chosen}. "
            f"Name another file, or the format {held}."
        )


def _held_format(path: Path) -> str | None:
    """The format of the file's first line; None for a file that is empty, missing or unreadable."""
    if not path.is_file():  # opening a pipe would block
        return None
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return None  # the first batch says what is wrong
    return format_of(head) or (_FOREIGN if head.strip() else None)
