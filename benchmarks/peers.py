"""What `@traced` costs beside ddtrace and Logfire, which do the same.

Run ``python benchmarks/peers.py --install FOLDER`` once: it makes an environment with the peers of ``peers.txt`` and
this package. Then run ``python benchmarks/peers.py --in FOLDER``. Each peer has a process of its own, where it is timed
beside `@traced`, a bare span of the SDK (its cost is B) and the plain function. Exit status 1: a bar was missed.

The network is not used, and orjson is hidden: the figures are those of a plain installation.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import venv
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from _children import hide_package, results_of
from _results import Result, is_wanted, option_parser, print_for_parent, report

ROUNDS = 40
SAMPLE_MS = 4.0
PEERS = ("ddtrace", "logfire")
HERE = Path(__file__).resolve().parent


def main() -> int:
    parser = option_parser(__doc__, rounds=ROUNDS, sample_ms=SAMPLE_MS)
    parser.add_argument("--install", metavar="FOLDER", type=Path, help="make an environment with the peers, and stop")
    parser.add_argument("--in", metavar="FOLDER", type=Path, dest="home", help="measure with that environment")
    options = parser.parse_args()
    if options.install:
        return _install(options.install)
    if options.home:
        return _measure_in(options.home, options)
    if options.process:
        return _measure(options)
    if missing := [peer for peer in PEERS if not find_spec(peer)]:
        parser.error(f"{missing[0]} is not installed here. Run with --install FOLDER, then with --in FOLDER.")
    results: list[Result] = []
    notes: list[str] = []
    for peer in PEERS:
        measured, said = results_of(__file__, peer, options, settings={})
        results += measured
        notes += said
    return report(results, options, notes)


def _install(folder: Path) -> int:
    venv.create(folder, with_pip=True)
    command = [str(_python(folder)), "-m", "pip", "install", "-e", str(HERE.parent), "-r", str(HERE / "peers.txt")]
    return subprocess.run(command, check=False).returncode


def _measure_in(folder: Path, options: argparse.Namespace) -> int:
    passed_on = ["--rounds", str(options.rounds), "--only", options.only, "--sample-ms", str(options.sample_ms)]
    passed_on += ["--factor", str(options.factor), *(["--json", options.json] if options.json else [])]
    return subprocess.run([str(_python(folder)), __file__, *passed_on], check=False).returncode


def _python(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def _measure(options: argparse.Namespace) -> int:
    """In a child process."""
    hide_package("orjson")
    from _decorator_rows import check_capture, recorded_class
    from _peer_rows import ROWS
    from _rounds import results

    rows = [row for row in ROWS[options.process]() if is_wanted(row.name, row.workload, options.only)]
    if not rows:
        return print_for_parent([])
    check_capture()
    note = f"{options.process} {version(options.process)}; a root span of ours is a {recorded_class()}."
    return print_for_parent(results(rows, options.rounds, options.sample_ms), [note])


if __name__ == "__main__":
    sys.exit(main())
