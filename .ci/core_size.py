"""Checks the environment it runs in: how many distributions an install brought, and where the packages come from.

``core_size.py``: at most fifteen distributions, ours included, not counting what every venv has.
``core_size.py --where``: both packages are imported from this environment, whatever the current folder holds.
"""

import importlib.metadata
import sys
from pathlib import Path

MAX_DISTRIBUTIONS = 15
OF_THE_VENV = {"pip", "setuptools", "wheel"}


def size() -> int:
    """Count the distributions; 1 when there are too many."""
    names = sorted({distribution.metadata["Name"] for distribution in importlib.metadata.distributions()} - OF_THE_VENV)
    print(f"core install: {len(names)} distributions (limit {MAX_DISTRIBUTIONS}): {', '.join(names)}")
    return 0 if "otel-tracker" in names and len(names) <= MAX_DISTRIBUTIONS else 1


def where() -> int:
    """Say where the packages come from; 1 when from outside this environment."""
    sys.path.insert(0, "")  # as a test run may have it
    import otel_tracker
    import otel_tracker_exporters

    files = [str(otel_tracker.__file__), str(otel_tracker_exporters.__file__)]
    print("imported from:", *files)
    return 0 if all(Path(sys.prefix) in Path(file).parents and "site-packages" in file for file in files) else 1


if __name__ == "__main__":
    sys.exit(where() if "--where" in sys.argv else size())
