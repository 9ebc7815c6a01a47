"""What `opentelemetry-instrument` costs a script that imports no framework, beside the stock distribution.

Run ``python benchmarks/launch.py --install FOLDER`` once: it makes two environments with the same eight instrumentors
and their libraries (``launch.txt``), one with `opentelemetry-distro` and one with this package. Then run
``python benchmarks/launch.py --in FOLDER``. Both start the same script in turns; time, processor time and peak memory
are those of the whole process, the launcher included. Ours stores in SQLite, the stock one has no exporter. Exit
status 1: a bar was missed.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from _results import Result, option_parser, report

ROUNDS = 15
HERE = Path(__file__).resolve().parent
OURS, STOCK = "ours", "stock"
PACKAGES = {OURS: ["-e", str(HERE.parent)], STOCK: ["opentelemetry-distro>=0.66b0"]}
SCRIPT = "print('done')\n"
NO_EXPORTER = dict.fromkeys(("OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER", "OTEL_LOGS_EXPORTER"), "none")
SETTINGS: dict[str, dict[str, str]] = {OURS: {}, STOCK: NO_EXPORTER}


@dataclass(frozen=True)
class Cost:
    """What one start took."""

    wall_s: float
    cpu_s: float
    peak_mib: float


@dataclass(frozen=True)
class Measure:
    """One row of the table: a cost, and what ours may take of the stock distribution's."""

    name: str
    unit: str
    of: Callable[[Cost], float]
    bar: float


MEASURES = (
    Measure("processor time", "ms", lambda cost: cost.cpu_s * 1_000, 0.5),
    Measure("time by the clock", "ms", lambda cost: cost.wall_s * 1_000, 0.5),
    Measure("memory at its peak", "MiB", lambda cost: cost.peak_mib, 0.6),
)


def main() -> int:
    parser = option_parser(__doc__, rounds=ROUNDS)
    parser.add_argument("--install", metavar="FOLDER", type=Path, help="make the two environments, and stop")
    parser.add_argument("--in", metavar="FOLDER", type=Path, dest="home", help="measure with those environments")
    options = parser.parse_args()
    if options.install:
        return _install(options.install)
    if not options.home:
        parser.error("Run with --install FOLDER, then with --in FOLDER.")
    return _measure(options.home.resolve(), options)


def _install(folder: Path) -> int:
    for name, packages in PACKAGES.items():
        venv.create(folder / name, with_pip=True)
        pip = [str(folder / name / "bin/python"), "-m", "pip", "install", *packages, "-r", str(HERE / "launch.txt")]
        status = subprocess.run(pip, check=False).returncode
        if status:
            return status
    return 0


def _measure(home: Path, options: argparse.Namespace) -> int:
    costs: dict[str, list[Cost]] = {OURS: [], STOCK: []}
    for name in costs:
        _start(home, name)  # writes the bytecode
    for _ in range(options.rounds):
        for name in random.sample((OURS, STOCK), k=2):
            costs[name].append(_start(home, name))
    results = [result for measure in MEASURES for result in _rows(measure, costs)]
    return report(results, options, ["Eight instrumentors, and a script that imports none of their libraries."])


def _rows(measure: Measure, costs: dict[str, list[Cost]]) -> list[Result]:
    ours, stock = ([measure.of(cost) for cost in costs[name]] for name in (OURS, STOCK))
    ratio = statistics.median(mine / its for mine, its in zip(ours, stock, strict=True))
    kept = statistics.median(ours), measure.unit, ratio, min(ours) / min(stock), "x stock", measure.bar
    return [
        Result("opentelemetry-distro", measure.name, statistics.median(stock), measure.unit, 1, 1, "x stock"),
        Result("otel-tracker", measure.name, *kept),
    ]


def _start(home: Path, name: str) -> Cost:
    """One start, in an empty folder; raises RuntimeError when it does not end as it should."""
    binaries = home / name / "bin"
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "PYTHON"))}
    with tempfile.TemporaryDirectory(prefix="otel-tracker-benchmark-") as folder:
        Path(folder, "script.py").write_text(SCRIPT, encoding="utf-8")
        command = [str(binaries / "opentelemetry-instrument"), str(binaries / "python"), "script.py"]
        begun_s = time.perf_counter()
        child = subprocess.Popen(
            command, cwd=folder, env=environment | SETTINGS[name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        output = child.stdout.read() if child.stdout else b""
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        wall_s = time.perf_counter() - begun_s
    if (child.returncode, output) != (0, b"done\n"):
        raise RuntimeError(f"{' '.join(command)} ended with status {child.returncode} and printed {output!r}.")
    kib = used.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    return Cost(wall_s, used.ru_utime + used.ru_stime, kib / 1024)


if __name__ == "__main__":
    sys.exit(main())
