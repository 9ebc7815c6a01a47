"""Finds the store behind a path or url: the registry of installed stores, `open_store` and `open_writer`.

Stores are entry points of the group ``otel_tracker_store``; the core imports none by name, so a store of your
own is used like ours.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.metadata import entry_points
from os import PathLike, fspath
from pathlib import Path

from otel_tracker.aborting import abort_unfinished
from otel_tracker.diagnostics import logger
from otel_tracker.errors import StoreNotFoundError, StoreUnreadableError, StoreUnwritableError, UnknownStoreError
from otel_tracker.query import StoreReader
from otel_tracker.settings import EXPORTERS
from otel_tracker.writing import Pruned, Retention, StoreWriter

ENTRY_POINT_GROUP = "otel_tracker_store"
_SNIFFED_BYTES = 4096
# Two letters at least, so that a Windows drive is no scheme.
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Store:
    """What a store registers: how it is named, recognised and opened.

    ``suffixes`` are file endings with the dot. ``recognises`` is asked, with a file's first 4096 bytes, where the
    ending says nothing. ``default_location`` names the place the settings give, for commands without ``--store``.
    ``open_reader`` takes a location without its scheme and raises `StoreNotFoundError` or `StoreUnreadableError`;
    None is a store that can only be written.

    The rest is for `otel-tracker convert` and `prune`. ``open_writer`` takes a location and one of ``formats``, or None
    for the store's own choice; the writer keeps everything, whatever retention the settings name. ``prune`` takes a
    location and what to keep, and with True only says what it would remove. ``keeps_scheme`` is a store whose location
    is the url itself. ``whole_location`` leads any location of a store of several files to the one that means them all.
    """

    name: str
    schemes: tuple[str, ...]
    suffixes: tuple[str, ...]
    open_reader: Callable[[str], StoreReader] | None
    default_location: Callable[[], str]
    recognises: Callable[[bytes], bool]
    open_writer: Callable[[str, str | None], StoreWriter] | None = None
    formats: tuple[str, ...] = ()
    prune: Callable[[str, Retention, bool], Pruned] | None = None
    keeps_scheme: bool = False
    whole_location: Callable[[str], str] = os.path.realpath


@dataclass(frozen=True, slots=True)
class Place:
    """A store, and a location in it without the scheme."""

    store: Store
    location: str

    def open_reader(self) -> StoreReader:
        """A reader; raises `StoreUnreadableError` for a store that can only be written."""
        if self.store.open_reader is None:
            raise StoreUnreadableError(f"{self.location} can only be written to; name a store that can be read.")
        if self.store.open_writer is not None and self.store.suffixes:
            open_reader = partial(self.store.open_reader, self.location)
            abort_unfinished(self.store.whole_location(self.location), open_reader, self.open_writer)
        return self.store.open_reader(self.location)

    def open_writer(self, format: str | None = None) -> StoreWriter:  # noqa: A002 - the option is called so
        """A writer that keeps everything; raises `StoreUnwritableError` for a store or a format that takes none."""
        if self.store.open_writer is None:
            raise StoreUnwritableError(f"{self.location} can only be read; name a store that can be written.")
        if format is not None and format not in self.store.formats:
            known = f"expected one of {', '.join(self.store.formats)}" if self.store.formats else "it has only one"
            raise StoreUnwritableError(f"The {self.store.name} store has no format {format!r}; {known}.")
        return self.store.open_writer(self.location, format)


@lru_cache(maxsize=1)
def installed_stores() -> dict[str, Store]:
    """The installed stores by name; one whose package does not import is left out."""
    stores: dict[str, Store] = {}
    for entry_point in entry_points(group=ENTRY_POINT_GROUP):
        try:
            store = entry_point.load()
        except Exception as error:  # a package of anybody's; the other stores shall work
            logger.debug("the store %s does not import", entry_point.name, exc_info=error)
            continue
        if isinstance(store, Store):
            stores.setdefault(entry_point.name, store)
    return stores


def open_store(url_or_path: str | PathLike[str]) -> StoreReader:
    """A reader for what was stored: ``"x.db"``, ``"x.jsonl"``, ``"sqlite:///x.db"`` or another store's url.

    In a url a path is relative to the working directory after three slashes and absolute after four. A file
    with an ending that no store knows is recognised by its content. Raises `UnknownStoreError`,
    `StoreNotFoundError` or `StoreUnreadableError`, each a sentence that says what to do.
    """
    return find_place(url_or_path).open_reader()


def find_place(url_or_path: str | PathLike[str]) -> Place:
    """The store that a path or url means, and the location in it; raises as `open_store`."""
    text = fspath(url_or_path)
    url = _URL.fullmatch(text)
    if url is None:
        return Place(_store_for_path(Path(text)), text)
    store = _store_for_scheme(url[1].lower(), text)
    return Place(store, text if store.keeps_scheme else url[2].removeprefix("/"))


def default_place() -> Place | None:
    """What commands read without ``--store``: the first destination in `EXPORTERS` that can be read back, or None."""
    stores = installed_stores()
    # Entry points of destinations bear the prefix so that they cannot clash with another package's; users may write it.
    named = (stores.get(name.removeprefix("otel_tracker_")) for name in EXPORTERS.read())
    store = next((store for store in named if store is not None and store.open_reader is not None), None)
    return None if store is None else Place(store, store.default_location())


def readable_names() -> list[str]:
    """The names of the installed stores that can be read back."""
    return [name for name, store in installed_stores().items() if store.open_reader is not None]


def _store_for_scheme(scheme: str, url: str) -> Store:
    for store in installed_stores().values():
        if scheme in store.schemes:
            return store
    raise UnknownStoreError(f"No installed store reads {url!r}; {_known_forms()}")


def _store_for_path(path: Path) -> Store:
    if os.path.isdir(path):  # unlike Path.is_dir() it raises nothing where the folder may not be entered
        raise StoreUnreadableError(f"{path} is a directory; expected a store file. Name the file inside it.")
    stores = installed_stores().values()
    by_suffix = next((store for store in stores if path.name.endswith(store.suffixes)), None)
    return by_suffix or _store_for_content(path)


def _store_for_content(path: Path) -> Store:
    try:
        with path.open("rb") as file:
            head = file.read(_SNIFFED_BYTES)
    except FileNotFoundError:
        raise StoreNotFoundError(
            f"There is no store at {path}. Run your program first, or name another place."
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else error
        raise StoreUnreadableError(f"{path} cannot be read: {reason}.") from None
    for store in installed_stores().values():
        if store.recognises(head):
            return store
    raise UnknownStoreError(f"{path} is no store that is known; {_known_forms()}")


def _known_forms() -> str:
    stores = [store for store in installed_stores().values() if store.open_reader is not None]
    schemes = ", ".join(f"{scheme}://" for store in stores for scheme in store.schemes)
    suffixes = ", ".join(suffix for store in stores for suffix in store.suffixes)
    return f"expected a file ending in {suffixes} or a url beginning with {schemes}."
