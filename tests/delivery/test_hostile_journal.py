"""What a process left in the journal is delivered by the next one, whoever else wants it, whatever the disk does."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support import Ended, run, wait_until

from .endpoints import Endpoint, endpoint
from .programs import check_left_sums, end, missing, repeated, run_work, script, start

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs the extra otlp")

LEAVE = """
configure()
first = int(sys.argv[1])
work_and_track(range(first, first + 2_000))
"""
REPLAY = """
configure()
say(ready=True)
sys.stdin.readline()
work(-1)
began_s = time.monotonic()
while not flush(5) and time.monotonic() < began_s + 30:
    pass
print(delivery_report().recovered)
"""
QUICK_EXIT = {"OTEL_TRACKER_DELIVERY_EXIT_TIMEOUT_S": "0.3"}


def leave_behind(server: Endpoint, processes: int) -> range:
    """So many processes end while nobody listens, all at once; the numbers that they made."""
    children = [start(LEAVE, str(n * 2_000), **server.variables, **QUICK_EXIT) for n in range(processes)]
    assert [end(child).status for child in children] == [0] * processes
    assert sum(report["in_journal"] for report in check_left_sums()) == processes * 4_000
    return range(processes * 2_000)


@pytest.mark.slow
def test_processes_that_want_the_same_journal_at_once_deliver_each_part_once() -> None:
    """A file is claimed by its lock: nobody waits for it, and nobody delivers what another has claimed."""
    with endpoint("refuses") as server:
        numbers = leave_behind(server, 3)
        server.recover()
        children = [start(REPLAY, **server.variables) for _ in range(3)]
        for child in children:
            assert child.stdout is not None
            assert json.loads(child.stdout.readline()) == {"ready": True}
        ended = [end(child, stdin="\n") for child in children]
        assert [(each.status, each.stderr) for each in ended] == [(0, "")] * 3
        for found in (server.span_numbers, server.event_numbers):
            assert missing(numbers, found) == []
            assert repeated(number for number in found if number >= 0) == []


@pytest.mark.slow
def test_process_that_is_killed_while_it_replays_leaves_the_rest_to_the_next() -> None:
    """SIGKILL after some batches: the next start delivers all, and repeats no more than what had been under way."""
    with endpoint("refuses") as server:
        numbers = leave_behind(server, 1)
        server.recover()
        server.behaviour = "drips"
        slow = {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "100", "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE": "100"}
        for more in (300, 600):
            child = start(REPLAY, **server.variables, **slow)
            wait_until(lambda more=more: len(server.span_numbers) >= more, 30)
            assert end(child, signal.SIGKILL).status == -signal.SIGKILL
        server.behaviour = "takes"
        ended = run(sys.executable, script(REPLAY), **server.variables)
        assert (ended.status, ended.stderr) == (0, "")
        for found in (server.span_numbers, server.event_numbers):
            assert missing(numbers, found) == []
            assert len(repeated(number for number in found if number >= 0)) <= 2 * 200


FULL = """
configure()
print(sum(work(number) for number in range(20_000)))
for number in range(20_000):
    track("work.done", number=number)
say(**delivery_report().to_dict())
"""


def on_a_disk(options: str, code: str, folder: str = "disk", **variables: str) -> Ended:
    """Run a program in a mount namespace of its own, with a file system at ``folder`` that nobody else sees."""
    Path(folder).mkdir()
    mount = f'mount -t tmpfs -o {options} none {folder} && exec "$@"'
    return run("unshare", "-rm", "sh", "-c", mount, "sh", sys.executable, script(code), **variables)


def _may_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    command = ["unshare", "-rm", "sh", "-c", "mount -t tmpfs -o size=4k none /mnt"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


needs_mount = pytest.mark.skipif(not _may_mount(), reason="needs unshare and mount, for a small disk")


def check_dropped(ended: Ended, sentences: int = 1) -> dict[str, Any]:
    """The program's own result, one sentence, and numbers that add up."""
    assert ended.status == 0, ended
    total, line = ended.stdout.splitlines()
    assert int(total) == sum(range(1, 20_001))
    report: dict[str, Any] = json.loads(line)
    assert report["created"] == 40_000
    parts = sum(report[part] for part in ("exported", "queued", "in_journal", "unknown"))
    assert report["created"] == parts + sum(report["dropped"].values())
    lost = [line for line in ended.complaints if "Telemetry is lost" in line]
    assert len(lost) == sentences, ended.stderr
    return report


@pytest.mark.slow
@needs_mount
@pytest.mark.parametrize("options", ["size=256k,mode=0700", pytest.param("ro,mode=0700", marks=pytest.mark.slow)])
def test_full_or_read_only_disk_loses_what_it_must_and_says_it_once(options: str) -> None:
    """The program's result and exit are its own; what was kept on the disk before is counted apart."""
    with endpoint("hangs") as server:
        journal = {"OTEL_TRACKER_DELIVERY_JOURNAL_DIR": str(Path("disk").resolve())}
        ended = on_a_disk(options, FULL, **journal, **QUICK_EXIT, **server.variables)
    report = check_dropped(ended)
    assert report["dropped"]["journal_unwritable"] > 10_000
    assert (report["in_journal"] > 0) == options.startswith("size")


@pytest.mark.slow
def test_file_that_may_not_grow_takes_what_it_can_and_the_next_start_delivers_that() -> None:
    """A limit on the size of files is what a full disk is: a line that was cut takes no other along."""
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))\n"
    with endpoint("hangs") as server:
        ended = run_work(limit + FULL, **QUICK_EXIT, **server.variables)
        check_dropped(ended)
        (report,) = check_left_sums()
        assert report["in_journal"] > 100
        server.recover()
        ended = run(sys.executable, script(REPLAY), **server.variables)
        assert (ended.status, ended.stderr, int(ended.stdout.split()[-1])) == (0, "", report["in_journal"])
        assert len(server.span_numbers) - 1 + len(server.event_numbers) == report["in_journal"]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root, to give a folder away")
def test_journal_folder_of_another_user_is_neither_written_nor_replayed() -> None:
    """What somebody else may have put there is not sent in our name."""
    Path("theirs").mkdir(mode=0o700)
    os.chown("theirs", 12_345, 12_345)
    with endpoint("hangs") as server:
        journal = {"OTEL_TRACKER_DELIVERY_JOURNAL_DIR": str(Path("theirs").resolve())}
        report = check_dropped(run_work(FULL, **journal, **QUICK_EXIT, **server.variables))
    assert report["in_journal"] == 0
    assert os.listdir("theirs") == []
