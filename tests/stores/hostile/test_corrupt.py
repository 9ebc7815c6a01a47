"""A SQLite file that is damaged: every question has an answer or a sentence, and nobody makes the damage worse."""

from __future__ import annotations

import random
import re
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ..helpers import StoreUnderTest, make_event, make_span
from .support import Ledger, Refusal, ask_everything, assert_is_sentence, assert_said_once, through_writer

PAGE_BYTES = 4_096
SPANS = 400
SEED = 20_261_124
WAY_OUT = re.compile(r"\b(Move|Delete|Rename|Restore|Name|See|Use|Set|Make|Run)\b")


@pytest.fixture
def kind() -> str:
    return "sqlite"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A store of several hundred spans and events, with pages on its freelist, closed."""
    store = StoreUnderTest("sqlite", tmp_path_factory.mktemp("whole") / "store.db")
    for begin in range(0, SPANS, 100):
        spans = [make_span(number, function=f"f{number % 9}") for number in range(begin, begin + 100)]
        assert store.write(*spans, *(make_event(number) for number in range(begin, begin + 100)))
    store.close()
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute("CREATE TABLE filling AS SELECT randomblob(100000) AS bytes")
        connection.execute("DROP TABLE filling")
        connection.commit()
        assert connection.execute("PRAGMA freelist_count").fetchone()[0] > 10
    return store.path.read_bytes()


def put(store: StoreUnderTest, content: bytes) -> None:
    store.path.write_bytes(content)


def overwritten(content: bytes, offset: int, size: int, seed: int = SEED) -> bytes:
    noise = random.Random(seed).randbytes(size)
    return content[:offset] + noise + content[offset + size :]


def pages(content: bytes) -> int:
    return len(content) // PAGE_BYTES


def freelist_trunk(content: bytes) -> int:
    """The number of the first page of the freelist; see section 1.3 of SQLite's file format."""
    return int.from_bytes(content[32:36], "big")


def check(store: StoreUnderTest, sentences: Sequence[str]) -> None:
    """Ask, write, ask again: answers or sentences, a bool, and what was found before is found again."""
    before_bytes = store.path.read_bytes()
    before = ask_everything(store.path)
    _check_refusals(before)
    assert store.path.read_bytes() == before_bytes, "reading changed the file"
    ledger = Ledger(through_writer(store), next_number=10_000)
    for _ in range(3):
        ledger.batch(20)
    assert len(sentences) <= 1, list(sentences)
    if ledger.refused:
        assert_said_once(sentences, store.path)
    after = ask_everything(store.path)
    _check_refusals(after)
    store.close()
    assert store.path.stat().st_size >= len(before_bytes) - PAGE_BYTES
    if not ledger.stored:
        assert store.path.read_bytes() == before_bytes, "a refused batch changed the file"
    for question in ("executions", "stored"):
        if not isinstance(before[question], Refusal) and not isinstance(after[question], Refusal):
            assert after[question] >= before[question]


def _check_refusals(answers: dict[str, Any]) -> None:
    for answer in answers.values():
        if isinstance(answer, Refusal):
            assert WAY_OUT.search(answer.sentence), answer.sentence


def test_a_whole_store_is_told_from_a_damaged_one(
    store: StoreUnderTest, whole: bytes, sentences: Sequence[str]
) -> None:
    """What the other tests here stand on: undamaged, everything is answered and written."""
    put(store, whole)
    check(store, sentences)
    assert len(sentences) == 0
    assert ask_everything(store.path)["executions"] >= set(range(SPANS))


@pytest.mark.parametrize("part", range(8))
def test_a_page_of_noise_anywhere_is_survived(
    store: StoreUnderTest, whole: bytes, sentences: Sequence[str], part: int
) -> None:
    """Every eighth of the file in turn has a page overwritten, as a failing disk does."""
    number = 1 + part * (pages(whole) - 2) // 7
    put(store, overwritten(whole, number * PAGE_BYTES, PAGE_BYTES))
    check(store, sentences)


@pytest.mark.slow
def test_a_page_of_noise_or_of_nothing_everywhere_is_survived(
    tmp_path: Path, whole: bytes, sentences: Sequence[str]
) -> None:
    """Each page after the other, overwritten with noise and with zeros."""
    from otel_tracker.diagnostics import forget_said

    for number in range(1, pages(whole), 2):
        for content in (overwritten(whole, number * PAGE_BYTES, PAGE_BYTES, number), _blanked(whole, number)):
            store = StoreUnderTest("sqlite", tmp_path / f"store{number}" / "store.db")
            store.path.parent.mkdir(exist_ok=True)
            put(store, content)
            try:
                _check_softly(store)
            finally:
                store.close()
            forget_said()
    for sentence in sentences:
        assert_is_sentence(sentence, Path("store.db"))


def _blanked(content: bytes, number: int) -> bytes:
    return content[: number * PAGE_BYTES] + bytes(PAGE_BYTES) + content[(number + 1) * PAGE_BYTES :]


def _check_softly(store: StoreUnderTest) -> None:
    _check_refusals(ask_everything(store.path))
    Ledger(through_writer(store), next_number=10_000).batch(20)
    _check_refusals(ask_everything(store.path))
    assert store.path.exists()


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        (0, b"SQLite format 4\x00"),
        (16, b"\x00\x07"),  # page size
        (16, b"\x80\x00"),
        (18, b"\x09\x09"),  # format versions that do not exist
        (28, b"\x7f\xff\xff\xff"),  # size in pages
        (32, b"\x7f\xff\xff\xff"),  # freelist
        (40, b"\xff\xff\xff\xff"),  # schema cookie
        (44, b"\x00\x00\x00\x63"),  # schema format
        (56, b"\x00\x00\x00\x02"),  # UTF-16
        (60, b"\xff\xff\xff\xff"),  # user_version
        (68, b"\x00\x00\x00\x00"),  # application_id
        (100, b"\x00"),  # kind of the first page
        (105, b"\xff\xff"),
    ],
)
def test_a_damaged_header_is_survived(
    store: StoreUnderTest, whole: bytes, sentences: Sequence[str], offset: int, value: bytes
) -> None:
    """Each field of the header that says how to read the rest, with a value that is wrong."""
    put(store, whole[:offset] + value + whole[offset + len(value) :])
    check(store, sentences)


def test_a_damaged_freelist_is_survived(store: StoreUnderTest, whole: bytes, sentences: Sequence[str]) -> None:
    """Free pages that point nowhere are met when the next batch needs room."""
    trunk = freelist_trunk(whole)
    assert trunk > 1
    put(store, overwritten(whole, (trunk - 1) * PAGE_BYTES, PAGE_BYTES))
    check(store, sentences)


@pytest.mark.parametrize("keep", [1, 50, 99, 100, 512, PAGE_BYTES, PAGE_BYTES + 1, 3 * PAGE_BYTES, "half", "almost"])
def test_a_file_that_is_cut_is_survived(
    store: StoreUnderTest, whole: bytes, sentences: Sequence[str], keep: int | str
) -> None:
    """The end is missing: half a header, a page, half the file, all but the last bytes."""
    size = {"half": len(whole) // 2, "almost": len(whole) - 100}.get(str(keep), keep)
    assert isinstance(size, int)
    put(store, whole[:size])
    check(store, sentences)


LOGS: dict[str, Callable[[bytes], bytes]] = {
    "noise": lambda log: random.Random(SEED).randbytes(20_000),
    "noise behind the header": lambda log: log[:32] + random.Random(SEED).randbytes(len(log) - 32),
    "noise in the middle": lambda log: overwritten(log, len(log) // 2, 500),
    "torn": lambda log: log[: len(log) * 2 // 3],
    "a few bytes": lambda log: log[:10],
    "zeros": lambda log: bytes(len(log)),
    "text": lambda log: b"this is a letter\n" * 1_000,
}


@pytest.mark.parametrize("damage", LOGS)
@pytest.mark.parametrize("index", ["no index", "noise as index"])
def test_a_damaged_log_costs_only_what_was_in_it(
    store: StoreUnderTest, tmp_path: Path, whole: bytes, sentences: Sequence[str], damage: str, index: str
) -> None:
    """What the main file holds is found whatever lies in the write-ahead log and its index, and writing goes on."""
    source = StoreUnderTest("sqlite", tmp_path / "source" / "store.db")
    source.path.parent.mkdir()
    put(source, whole)
    assert source.write(*(make_span(number) for number in range(SPANS, SPANS + 50)))
    log = Path(f"{source.path}-wal").read_bytes()
    assert len(log) > PAGE_BYTES
    put(store, source.path.read_bytes())
    source.close()
    Path(f"{store.path}-wal").write_bytes(LOGS[damage](log))
    if index == "noise as index":
        Path(f"{store.path}-shm").write_bytes(random.Random(SEED).randbytes(32_768))
    assert ask_everything(store.path)["executions"] >= set(range(SPANS))
    ledger = Ledger(through_writer(store), next_number=10_000)
    assert ledger.batch(20)
    found = ask_everything(store.path)["executions"]
    assert found >= set(range(SPANS)) | ledger.stored
    store.close()
    with closing(sqlite3.connect(store.path)) as connection:
        assert connection.execute("PRAGMA quick_check").fetchone() == ("ok",)
    assert len(sentences) == 0


def test_a_store_that_is_damaged_under_a_running_writer_is_said_once(
    store: StoreUnderTest, whole: bytes, sentences: Sequence[str]
) -> None:
    """The pages change under an open connection; batches are answered, and a whole store in its place is used again."""
    put(store, whole)
    ledger = Ledger(through_writer(store), next_number=10_000)
    assert ledger.batch(20)
    with store.path.open("r+b") as file:
        file.seek(PAGE_BYTES)
        file.write(random.Random(SEED).randbytes(len(whole) - PAGE_BYTES))
    for _ in range(3):
        ledger.batch(200)
        _check_refusals(ask_everything(store.path))
    assert len(sentences) <= 1
    for path in store.path.parent.glob("store.db*"):
        path.unlink()
    ledger.stored.clear()
    ledger.batches_until(True, most=2)
    ledger.check(store.path)
