"""Finds the store behind a path or url: the registry of installed stores and `open_store`.

Stores are entry points of the group ``otel_tracker_store``; the core imports none by name, so a store of your
own is used like ours. This module opens readers; writing is the exporters' business.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import entry_points
from os import PathLike, fspath
from pathlib import Path

from otel_tracker.diagnostics import logger
from otel_tracker.errors import StoreNotFoundError, StoreUnreadableError, UnknownStoreError
from otel_tracker.query import StoreReader

ENTRY_POINT_GROUP = "otel_tracker_store"
_SNIFFED_BYTES = 4096
# Two letters at least, so that a Windows drive is no scheme.
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Store:
    """What a store registers: how it is named, recognised and opened.

    ``suffixes`` are file endings with the dot. ``recognises`` is asked, with a file's first 4096 bytes, where the
    ending says nothing. ``default_location`` names the place the settings give, for commands without ``--store``.
    ``open_reader`` takes a location without its scheme and raises `StoreNotFoundError` or `StoreUnreadableError`.
    """

    name: str
    schemes: tuple[str, ...]
    suffixes: tuple[str, ...]
    open_reader: Callable[[str], StoreReader]
    default_location: Callable[[], str]
    recognises: Callable[[bytes], bool]


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
    text = fspath(url_or_path)
    url = _URL.fullmatch(text)
    if url is not None:
        return _store_for_scheme(url[1].lower(), text).open_reader(url[2].removeprefix("/"))
    return _store_for_path(Path(text)).open_reader(text)


def _store_for_scheme(scheme: str, url: str) -> Store:
    for store in installed_stores().values():
        if scheme in store.schemes:
            return store
    raise UnknownStoreError(f"No installed store reads {url!r}; {_known_forms()}")


def _store_for_path(path: Path) -> Store:
    if path.is_dir():
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
    stores = installed_stores().values()
    schemes = ", ".join(f"{scheme}://" for store in stores for scheme in store.schemes)
    suffixes = ", ".join(suffix for store in stores for suffix in store.suffixes)
    return f"expected a file ending in {suffixes} or a url beginning with {schemes}."
