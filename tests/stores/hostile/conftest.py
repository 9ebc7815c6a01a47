"""Fixtures of the hostile tests: disks that fill up or break, and ledgers of what was written."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk.trace.export import SpanExporter

from ..helpers import SUFFIXES, StoreUnderTest
from .ground import (
    DISK_BYTES,
    FIXTURE,
    FaultyDisk,
    SmallDisk,
    may_mount,
    may_unshare,
    rerun_in_namespace,
    run,
    unmount,
)
from .support import Ledger, TracedProgram, span_exporter, through_writer

collect_ignore_glob = ["test_*.py"] if os.name == "nt" else []  # mounts, modes and signals of POSIX


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """A test that needs a small disk runs in a namespace of its own where this process may not mount."""
    if FIXTURE not in pyfuncitem.fixturenames or may_mount():
        return None
    rerun_in_namespace(pyfuncitem)
    return True


@pytest.fixture(autouse=True)
def _nothing_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """The spans of these tests bear a fixed date, which retention would take for old sooner or later."""
    monkeypatch.setenv("OTEL_TRACKER_SQLITE_MAX_AGE_DAYS", "0")


@pytest.fixture
def small_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SmallDisk]:
    """An empty file system of 2 MiB, or as many bytes as the test asks for, gone afterwards whatever happens."""
    disk = SmallDisk(tmp_path / "disk")
    disk.path.mkdir()
    if not may_mount():
        if not may_unshare():
            pytest.skip("mounting a small file system needs root, or user namespaces (unshare -Urm) for others")
        yield disk  # the test is not run here, see above
        return
    size = getattr(request, "param", DISK_BYTES)
    run("mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "otel-tracker-test", str(disk.path))
    try:
        yield disk
    finally:
        unmount(disk.path)


@pytest.fixture
def faulty_disk(tmp_path: Path) -> Iterator[FaultyDisk]:
    """An ext4 file system in a file, which breaks when it is told to."""
    try:
        disk = FaultyDisk(tmp_path)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"needs root, mkfs.ext4 and a loop device ({error})")
    try:
        yield disk
    finally:
        unmount(disk.path)


@pytest.fixture
def disk_store(kind: str, small_disk: SmallDisk) -> Iterator[StoreUnderTest]:
    """A store of every kind in turn on the small disk."""
    under_test = StoreUnderTest(kind, small_disk.path / f"store{SUFFIXES[kind]}")
    yield under_test
    under_test.close()


@pytest.fixture
def ledger(store: StoreUnderTest) -> Ledger:
    """What one writer of `store` was answered."""
    return Ledger(through_writer(store))


@pytest.fixture
def disk_ledger(disk_store: StoreUnderTest) -> Ledger:
    """What one writer of `disk_store` was answered."""
    return Ledger(through_writer(disk_store))


@pytest.fixture
def exporter_on() -> Iterator[Callable[[str, Path], SpanExporter]]:
    """Makes the exporter of a kind of store on a path; all are shut down afterwards."""
    made: list[SpanExporter] = []

    def make(kind: str, path: Path) -> SpanExporter:
        made.append(span_exporter(kind, path))
        return made[-1]

    yield make
    for exporter in made:
        exporter.shutdown()


@pytest.fixture
def program_on() -> Iterator[Callable[[str, Path], TracedProgram]]:
    """Starts a traced program that writes to a path; all end afterwards."""
    made: list[TracedProgram] = []

    def make(kind: str, path: Path) -> TracedProgram:
        made.append(TracedProgram(kind, path))
        return made[-1]

    yield make
    for program in made:
        program.provider.shutdown()
