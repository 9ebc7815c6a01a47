"""Checks that the wheel and the sdist hold what they should: every module, the demo's shop, types, licence, no tests.

``check_wheel.py WHEEL SDIST CHECKOUT`` or ``check_wheel.py --same WHEEL WHEEL``.
"""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

# Where each folder of the checkout lies in the wheel.
PACKAGED = {
    "otel_tracker/": "otel_tracker/",
    "exporters/otel_tracker_exporters/": "otel_tracker_exporters/",
    "examples/flask_shop/": "otel_tracker/examples/flask_shop/",
}
TYPED = {"otel_tracker/py.typed", "otel_tracker_exporters/py.typed"}
METADATA = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}
IN_SDIST = {"pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", "SECURITY.md", "PKG-INFO"}


def wheel_names(path: str) -> set[str]:
    """The files in a wheel."""
    with zipfile.ZipFile(path) as wheel:
        return set(wheel.namelist())


def sdist_names(path: str) -> set[str]:
    """The files in an sdist, without its one top folder."""
    with tarfile.open(path) as sdist:
        return {member.name.split("/", 1)[1] for member in sdist.getmembers() if member.isfile()}


def committed(checkout: str) -> set[str]:
    """The files that git knows."""
    listed = subprocess.run(["git", "ls-files"], cwd=checkout, capture_output=True, text=True, check=True)
    return set(listed.stdout.splitlines())


def expected_in_wheel(names: set[str], dist_info: str) -> set[str]:
    """Every committed file of the packaged folders, and the metadata."""
    moved = {
        target + name[len(source) :] for name in names for source, target in PACKAGED.items() if name.startswith(source)
    }
    return moved | TYPED | {f"{dist_info}/{name}" for name in METADATA}


def differences(what: str, found: set[str], expected: set[str]) -> list[str]:
    """One sentence for each file too few or too many."""
    missing = [f"{what} lacks {name}" for name in sorted(expected - found)]
    return missing + [f"{what} holds {name}, which should not be there" for name in sorted(found - expected)]


def check(wheel: str, sdist: str, checkout: str) -> list[str]:
    """What is wrong with the two."""
    names = committed(checkout)
    dist_info = "-".join(Path(wheel).name.split("-")[:2]) + ".dist-info"
    complaints = differences("the wheel", wheel_names(wheel), expected_in_wheel(names, dist_info))
    folders = ("otel_tracker/", "exporters/", "examples/", "docs/", "tests/", "benchmarks/")
    needed = {name for name in names if name.startswith(folders)} | IN_SDIST
    found = sdist_names(sdist)
    return complaints + differences("the sdist", found - {".gitignore"}, needed)


def main() -> int:
    """Print every complaint; 1 when there is one."""
    if sys.argv[1] == "--same":
        complaints = differences("the wheel from the sdist", wheel_names(sys.argv[2]), wheel_names(sys.argv[3]))
    else:
        complaints = check(*sys.argv[1:4])
    print("\n".join(complaints or ["contents as expected"]))
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
