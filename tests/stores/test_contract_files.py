"""The one contract, continued: readers, writers, processes and files of every store."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from otel_tracker.errors import StoreNotFoundError, StoreUnreadableError
from otel_tracker.query import StoreReader
from otel_tracker.stores import installed_stores, open_store

from .helpers import (
    BEGIN_NS,
    SECOND_NS,
    SUFFIXES,
    StoreUnderTest,
    ids,
    left_beside,
    let_others_pass,
    make_event,
    make_span,
)


def test_a_reader_sees_what_is_written_after_it_was_opened(store: StoreUnderTest) -> None:
    """Each query answers from the present state, also while an older answer is still being read."""
    store.write(*(make_span(n) for n in range(300)))
    reader = store.reader()
    unfinished = reader.query_executions(limit=None)
    next(unfinished)
    store.write(make_span(1_000))
    assert len(list(reader.query_executions(limit=None))) == 301
    assert len(list(unfinished)) == 299


def test_one_reader_may_be_used_by_several_threads(store: StoreUnderTest) -> None:
    """Queries of different threads do not disturb each other."""
    store.write(*(make_span(n) for n in range(200)))
    reader = store.reader()
    found: list[int] = []

    def ask() -> None:
        found.append(len(list(reader.query_executions(limit=None))) + reader.get_statistics("total").total)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [400] * 8


def test_one_writer_may_be_used_by_several_threads(store: StoreUnderTest) -> None:
    """Batches of different threads are all stored."""
    store.write(make_span(0))
    threads = [threading.Thread(target=store.write, args=[make_span(n), make_event(n)]) for n in range(1, 30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(store.reader().query_executions())) == 30
    assert len(list(store.reader().events())) == 29


def test_a_closed_reader_says_so(store: StoreUnderTest) -> None:
    """Iterators end and queries are refused with a sentence; closing twice is fine."""
    store.write(*(make_span(n) for n in range(300)))
    reader = store.reader()
    unfinished = reader.query_executions(limit=None)
    next(unfinished)
    reader.close()
    reader.close()
    with pytest.raises(StoreUnreadableError, match="is closed"):
        list(unfinished)
    with pytest.raises(StoreUnreadableError, match="is closed"):
        list(reader.query_executions())


@pytest.mark.slow
def test_a_reader_may_be_closed_while_other_threads_ask(store: StoreUnderTest) -> None:
    """Whatever the moment, a question is answered or refused with a sentence; the process lives on."""
    store.write(*(make_span(n) for n in range(2_000)))
    odd: list[BaseException] = []

    def ask(reader: StoreReader) -> None:
        try:
            while True:
                list(reader.query_executions("t*l", limit=300))
                reader.function_statistics()
                list(reader.stored())
        except StoreUnreadableError as error:
            if "is closed" not in str(error):
                odd.append(error)
        except BaseException as error:
            odd.append(error)

    for delay_ms in range(0, 60, 2):
        reader = store.reader()
        threads = [threading.Thread(target=ask, args=[reader]) for _ in range(2)]
        for thread in threads:
            thread.start()
        threading.Event().wait(delay_ms / 1000)
        reader.close()
        for thread in threads:
            thread.join(10)
            assert not thread.is_alive()
    assert odd == []


def test_a_closed_writer_refuses_quietly(store: StoreUnderTest, sentences: list[str]) -> None:
    """After closing nothing is written and nothing is said."""
    store.write(make_span(0))
    store.writers[0].close()
    store.writers[0].close()
    assert store.write(make_span(1)) is False
    assert len(sentences) == 0
    assert len(list(store.reader().query_executions())) == 1


def test_nothing_is_left_beside_the_file(store: StoreUnderTest) -> None:
    """When the last writer and reader have closed, the store is one file."""
    store.write(make_span(0))
    store.writers[0].close()
    assert left_beside(store.path) == [store.path.name]
    reader = store.reader()
    assert len(list(reader.query_executions())) == 1
    reader.close()
    assert left_beside(store.path) == [store.path.name]


def test_a_writer_that_wrote_nothing_leaves_no_file(store: StoreUnderTest) -> None:
    """The file comes with the first record."""
    writer = store.new_writer()
    assert store.write()
    writer.close()
    assert not store.path.exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no file modes")
def test_files_are_private(store: StoreUnderTest) -> None:
    """The file and all that lies beside it is 0600, folders made for it are 0700, whatever the umask."""
    store.path = store.path.parent / "new" / "folder" / store.path.name
    umask = os.umask(0)
    try:
        store.write(make_span(1))
    finally:
        os.umask(umask)
    for path in store.path.parent.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for folder in (store.path.parent, store.path.parent.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps an open file from being deleted")
def test_a_file_that_is_deleted_while_in_use_is_begun_anew(store: StoreUnderTest) -> None:
    """Who deletes the store of a running program gets a new one, with all that comes after."""
    store.write(make_span(0))
    for path in store.path.parent.iterdir():
        path.unlink()
    assert store.write(make_span(1))
    assert ids(store.reader().query_executions()) == ids([make_span(1)])
    store.path.unlink()
    assert store.write(make_span(2))
    assert ids(store.reader().query_executions()) == ids([make_span(2)])


@pytest.mark.parametrize("name", ["with space", "100%41", "a?mode=x", "a#b", "quote'\"", "\N{SNOWMAN}", "%"])
def test_any_file_name_works(store: StoreUnderTest, name: str) -> None:
    """Characters that mean something in a url mean nothing in a path."""
    store.path = store.path.parent / name / f"{name}{SUFFIXES[store.kind]}"
    store.write(make_span(1))
    assert len(list(store.reader().query_executions())) == 1
    assert store.path.is_file()


@pytest.mark.parametrize("form", ["relative", "absolute", "other ending"])
def test_a_store_is_opened_by_url_and_by_content(
    store: StoreUnderTest, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three slashes are a relative path, four an absolute one, and an unknown ending is looked into."""
    store.write(make_span(1))
    store.close()
    monkeypatch.chdir(store.path.parent)
    location = f"{store.kind}:///{store.path.name if form == 'relative' else store.path}"
    if form == "other ending":
        location = str(store.path.rename("store.data"))
    with open_store(location) as reader:
        assert len(list(reader.query_executions())) == 1


def test_an_empty_file_is_an_empty_store(store: StoreUnderTest) -> None:
    """A store that nothing was written to yet answers with nothing, and can be written to."""
    store.path.touch()
    reader = store.reader()
    assert list(reader.query_executions()) == list(reader.events()) == reader.function_statistics() == []
    assert reader.get_trace("a") == []
    assert reader.get_statistics("f").total == 0
    assert store.write(make_span(1))
    assert len(list(reader.query_executions())) == 1


def test_a_missing_store_is_said_in_a_sentence(store: StoreUnderTest) -> None:
    """Nothing there: what, where, and what to do."""
    with pytest.raises(StoreNotFoundError, match=r"There is no store at .*store\..*Run your program first"):
        installed_stores()[store.kind].open_reader(str(store.path))
    assert not store.path.exists()


def test_a_directory_is_refused_in_a_sentence(store: StoreUnderTest, sentences: list[str]) -> None:
    """A folder is no store, neither for reading nor for writing."""
    store.path.mkdir()
    with pytest.raises(StoreUnreadableError, match=r"Name .*file"):
        installed_stores()[store.kind].open_reader(str(store.path))
    assert not store.write(make_span(1))
    assert not store.write(make_span(1))
    assert len(sentences) == 1
    assert left_beside(store.path / "x") == []


@pytest.mark.skipif(os.name == "nt", reason="Windows lets nobody be somebody else")
@pytest.mark.parametrize("read_only", ["file", "folder"])
def test_a_place_that_may_not_be_written_is_said_once(store: StoreUnderTest, read_only: str) -> None:
    """Without the right to write, batches fail with one sentence, what is stored stays and can still be read."""
    if read_only == "file":
        store.write(make_span(1))
        store.close()
        store.path.chmod(0o444)
    before = store.path.read_bytes() if store.path.exists() else b""
    store.path.parent.chmod(0o555)
    script = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from stores.helpers import *
store = StoreUnderTest({store.kind!r}, Path({str(store.path)!r}))
if {read_only == "file"}:  # what reading imports lies where only root may read
    list(store.reader().query_executions())
if os.getuid() == 0:
    os.setgid(65534); os.setuid(65534)
print(store.write(make_span(2)), store.write(make_span(3)))
if {read_only == "file"}:
    print(len(list(store.reader().query_executions())))
store.close()
"""
    let_others_pass(store.path.parent)
    result = subprocess.run([sys.executable, "-c", script], text=True, capture_output=True, check=True)
    store.path.parent.chmod(0o755)
    assert result.stdout.split() == ["False", "False", *(["1"] if read_only == "file" else [])]
    assert result.stderr.count(str(store.path)) == 1
    assert (store.path.read_bytes() if store.path.exists() else b"") == before


def test_several_processes_write_while_one_reads(store: StoreUnderTest) -> None:
    """Four processes beginning together and a reader beside them: no error, no loss, no repeat."""
    children = [store.start_process("write", first, 500, 20) for first in range(0, 2_000, 500)]
    counts = [0]
    while any(child.poll() is None for child in children):
        if store.path.exists():
            with open_store(store.path) as reader:
                counts.append(len(list(reader.query_executions(limit=None))))
    assert [child.communicate()[0] for child in children] == ["done\n"] * 4
    assert [child.returncode for child in children] == [0] * 4
    assert counts == sorted(counts)
    reader = store.reader()
    assert {span.start_ns for span in reader.query_executions(limit=None)} == {
        BEGIN_NS + n * SECOND_NS for n in range(2_000)
    }
    assert len(list(reader.events(limit=None))) == 2_000
    assert reader.get_statistics("total").total == 2_000


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_killed_writer_loses_nothing_that_it_had_written(store: StoreUnderTest) -> None:
    """After SIGKILL every batch that was acknowledged is there, and the next writer goes on."""
    child = store.start_process("write_until_killed")
    assert child.stdout is not None
    for _ in range(20):
        acknowledged = int(child.stdout.readline())
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert store.write(make_span(10**6))
    found = list(store.reader().query_executions(limit=None))
    assert len(found) > acknowledged
    assert [span.start_ns for span in found[1:]] == [BEGIN_NS + n * SECOND_NS for n in range(len(found) - 2, -1, -1)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_forked_child_writes_with_what_it_inherited(store: StoreUnderTest) -> None:
    """Parent and child go on with the same writer, even if another thread was writing during the fork."""
    child = store.start_process("fork")
    output, _ = child.communicate(timeout=30)
    assert (output, child.returncode) == ("0\n", 0)
    assert ids(store.reader().query_executions()) == ids([make_span(n) for n in (3, 2, 1, 0)])
    assert len(list(store.reader().events())) == 2


def test_readers_load_no_sdk(store: StoreUnderTest) -> None:
    """A program that only reads never imports the OpenTelemetry SDK."""
    store.write(make_span(1), make_event(1))
    script = f"""
import sys
from otel_tracker.stores import open_store
with open_store({str(store.path)!r}) as reader:
    print(len(list(reader.query_executions())), len(list(reader.events())))
print([name for name in sys.modules if name.startswith("opentelemetry.sdk")])
"""
    result = subprocess.run([sys.executable, "-c", script], text=True, capture_output=True, check=True)
    assert result.stdout.splitlines() == ["1 1", "[]"]
