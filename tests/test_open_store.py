"""`open_store` finds the store behind any path or url, or says in one sentence why it cannot."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import install_fake_distribution

from otel_tracker import open_store
from otel_tracker.errors import (
    OtelTrackerError,
    StoreNotFoundError,
    StoreUnreadableError,
    StoreUnwritableError,
    UnknownStoreError,
)
from otel_tracker.records import SpanRecord
from otel_tracker.stores import default_place, find_place, installed_stores
from otel_tracker_exporters.jsonl.writer import JsonlWriter
from otel_tracker_exporters.sqlite.writer import SqliteWriter

SPAN = SpanRecord(trace_id="a" * 32, span_id="b" * 16, name="f", start_ns=0, end_ns=1)


def write(path: str | Path, writer: type[SqliteWriter | JsonlWriter] = SqliteWriter) -> str:
    """A store with one span; its absolute path."""
    absolute = os.path.abspath(path)
    made = writer(absolute)
    assert made.write([SPAN])
    made.close()
    return absolute


def holds_the_span(location: str | Path) -> bool:
    with open_store(location) as reader:
        return list(reader.query_executions()) == [SPAN]


@pytest.mark.parametrize("name", ["x.db", "x.sqlite", "x.sqlite3"])
def test_ending_tells_sqlite(name: str) -> None:
    """Relative or absolute, as text or as a path object."""
    absolute = write(name)
    for location in (name, absolute, Path(name), f"sqlite:///{name}", f"sqlite:///{absolute}", f"SQLITE:///{name}"):
        assert holds_the_span(location), location


@pytest.mark.parametrize("name", ["x.jsonl", "x.ndjson"])
def test_ending_tells_jsonl(name: str) -> None:
    """As for SQLite."""
    absolute = write(name, JsonlWriter)
    for location in (name, absolute, Path(name), f"jsonl:///{name}", f"jsonl:///{absolute}"):
        assert holds_the_span(location), location


@pytest.mark.parametrize("writer", [SqliteWriter, JsonlWriter])
@pytest.mark.parametrize("name", ["traces", "traces.data", "x.db.bak", "a b#c?d%20.old"])
def test_content_tells_where_the_ending_does_not(name: str, writer: type[SqliteWriter | JsonlWriter]) -> None:
    """A store that was renamed is still one."""
    write(name, writer)
    assert holds_the_span(name)


def test_four_slashes_make_a_path_absolute() -> None:
    """As in SQLAlchemy's urls, which people know."""
    absolute = write("x.db")
    assert holds_the_span(f"sqlite:///{absolute}")
    assert f"sqlite:///{absolute}".startswith("sqlite:////")


REFUSED: list[tuple[str, type[OtelTrackerError], str]] = [
    ("missing.db", StoreNotFoundError, "There is no store at .*missing.db. Run your program first"),
    ("missing", StoreNotFoundError, "There is no store at missing. Run your program first"),
    ("folder", StoreUnreadableError, "folder is a directory; expected a store file. Name the file inside it."),
    ("folder.db", StoreUnreadableError, "folder.db is a directory; expected a store file."),
    ("sqlite:///folder.db", StoreUnreadableError, "folder.db is a directory; expected an SQLite file"),
    ("text.txt", UnknownStoreError, "text.txt is no store that is known; expected a file ending in .*\\.db"),
    ("empty", UnknownStoreError, "empty is no store that is known"),
    ("text.txt/x", StoreUnreadableError, "text.txt/x cannot be read: Not a directory."),
    ("mongodb://host/db", UnknownStoreError, "No installed store reads 'mongodb://host/db'; expected .*sqlite://"),
    ("", OtelTrackerError, "store"),
    ("a\0b", OtelTrackerError, "a.*b"),
]


@pytest.mark.parametrize(("location", "error", "sentence"), REFUSED, ids=[repr(case[0]) for case in REFUSED])
def test_what_is_no_store_is_one_sentence(location: str, error: type[OtelTrackerError], sentence: str) -> None:
    """It names the place, and nothing is created there."""
    Path("folder").mkdir()
    Path("folder.db").mkdir()
    Path("text.txt").write_text("dear diary\n")
    Path("empty").touch()
    before = sorted(os.listdir())
    with pytest.raises(error, match=sentence) as caught, open_store(location) as reader:
        list(reader.query_executions())
    assert "\n" not in str(caught.value)
    assert sorted(os.listdir()) == before


def test_missing_store_is_also_a_file_not_found_error() -> None:
    """Code that knows nothing of us can handle it."""
    with pytest.raises(FileNotFoundError) as caught:
        open_store("missing")
    assert str(caught.value).startswith("There is no store at missing.")


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Installs another package's store: its module's code, and its entry point."""

    def install_package(code: str, entry_point: str) -> None:
        folder = install_fake_distribution(
            tmp_path / "packages", "fakestore", {"fakestore": code}, f"[otel_tracker_store]\n{entry_point}\n"
        )
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.delitem(__import__("sys").modules, "fakestore", raising=False)
        installed_stores.cache_clear()

    yield install_package
    installed_stores.cache_clear()


def test_store_of_another_package_is_used_like_ours(install: Callable[[str, str], None]) -> None:
    """An entry point is all that it takes: scheme, ending and content."""
    code = """
        from otel_tracker.stores import Store
        opened = []
        STORE = Store("mem", ("mem",), (".mem",), opened.append, lambda: "x.mem", lambda head: head.startswith(b"MEM"))
    """
    install(code, "mem = fakestore:STORE")
    Path("renamed").write_bytes(b"MEM...")
    for location in ("mem://host/name", "x.mem", "renamed"):
        open_store(location)
    import fakestore  # type: ignore[import-not-found]

    assert fakestore.opened == ["host/name", "x.mem", "renamed"]
    with pytest.raises(UnknownStoreError, match="mem://"):
        open_store("mango://x")


@pytest.mark.parametrize("code", ["import nothing_of_this_name", "1 / 0", "STORE = 'no store'", "def broken(:"])
def test_broken_store_of_another_package_leaves_ours_alone(code: str, install: Callable[[str, str], None]) -> None:
    """Its mistake costs its users its store, and nobody anything else."""
    install(code, "broken = fakestore:STORE")
    write("x.db")
    assert holds_the_span("x.db")
    assert "broken" not in installed_stores()


def test_store_that_can_only_be_written_is_not_opened_or_read_by_default(
    install: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A destination without a reader says so, keeps its url, and commands pass over it."""
    code = """
        from otel_tracker.stores import Store
        opened = []
        STORE = Store("out", ("out",), (), None, lambda: "out://x", lambda head: False,
            open_writer=lambda location, format: opened.append((location, format)), formats=("a", "b"),
            keeps_scheme=True)
    """
    install(code, "out = fakestore:STORE")
    with pytest.raises(StoreUnreadableError, match=r"out://host/x can only be written to"):
        open_store("out://host/x")
    find_place("out://host/x").open_writer("b")
    import fakestore

    assert fakestore.opened == [("out://host/x", "b")]
    with pytest.raises(StoreUnwritableError, match=r"no format 'c'; expected one of a, b"):
        find_place("out://host/x").open_writer("c")
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "out,otel_tracker_jsonl")
    place = default_place()
    assert place is not None
    assert place.store.name == "jsonl"
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "out")
    assert default_place() is None


def test_store_that_can_only_be_read_is_not_written(install: Callable[[str, str], None]) -> None:
    """A store of another package that brings no writer says so."""
    code = """
        from otel_tracker.stores import Store
        STORE = Store("mem", ("mem",), (".mem",), lambda location: None, lambda: "x.mem", lambda head: False)
    """
    install(code, "mem = fakestore:STORE")
    with pytest.raises(StoreUnwritableError, match="can only be read"):
        find_place("x.mem").open_writer()
