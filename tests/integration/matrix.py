"""What the tests of the launch matrix share: a clock that delivers nothing, and what a program did, found exactly.

Processors and readers wait for a minute: what is in the store was delivered by the way in which a process ended.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import Ended, launch_script, stored_events, stored_metrics, stored_spans

if TYPE_CHECKING:
    from otel_tracker import SpanRecord

PROGRAMS = Path(__file__).parent / "programs"

# Since 3.12 Python warns of every fork in a process that has threads.
_WARNINGS = "error,ignore:This process:DeprecationWarning"

# The exit has more time than by default, so that on a busy machine, too, everything is in the store and not on disk.
_ONLY_EXITS_DELIVER = {
    "OTEL_BSP_SCHEDULE_DELAY": "60000",
    "OTEL_BLRP_SCHEDULE_DELAY": "60000",
    "OTEL_METRIC_EXPORT_INTERVAL": "60000",
    "OTEL_TRACKER_DELIVERY_EXIT_TIMEOUT_S": "20",
}

needs_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs signals, fork and Linux's /proc")


def needs(*modules: str) -> pytest.MarkDecorator:
    """Skip a test, by name, where a module is missing."""
    missing = [name for name in modules if not _is_there(name)]
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}")


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def variables() -> dict[str, str]:
    """What every process of the matrix has in its environment."""
    return {**_ONLY_EXITS_DELIVER, "XDG_STATE_HOME": os.path.abspath("state")}


def program(name: str) -> None:
    """Put a program of the folder `programs`, a file or the content of a folder, into the working directory."""
    source = PROGRAMS / name
    if source.is_dir():
        shutil.copytree(source, ".", dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, ".")


def launch(code: str, *arguments: str, status: int = 0) -> Ended:
    """Run a program, which finds `shop_work` beside it, under the launcher; it must end so, and say nothing else."""
    program("shop_work.py")
    ended = launch_script(code, *arguments, PYTHONWARNINGS=_WARNINGS, **variables())
    assert ended.status == status, ended
    assert ended.stderr == "", ended
    return ended


def assert_worked(skus: Iterable[object], *, besides: int = 0) -> dict[str, SpanRecord]:
    """`price` was called once for each of these, tracked its event and counted itself; gives its spans by sku.

    ``besides``: how many spans there are of anything else.
    """
    spans, events = stored_spans(), stored_events()
    functions = [span for span in spans if span.function == "price"]
    expected = sorted(map(str, skus))
    assert (len(functions), len(events), len(spans)) == (len(expected), len(expected), len(expected) + besides)
    assert sorted(str(span.args["sku"]) for span in functions) == expected
    assert sorted(str(event.properties["sku"]) for event in events) == expected
    assert counted() == Counter(sku[-2:] for sku in expected)
    found = {str(span.args["sku"]): span for span in functions}
    for event in events:
        span = found[str(event.properties["sku"])]
        assert (event.trace_id, event.span_id) == (span.trace_id, span.span_id)
    return found


def counted() -> Counter[str]:
    """How often `price` has counted itself, by the end of its sku, over all processes and times."""
    found: Counter[str] = Counter()
    for point in stored_metrics():
        if point.name == "prices.asked":
            assert point.temporality == "delta"
            found[str(point.attributes["sku"])] += int(point.value or 0)
    return found
