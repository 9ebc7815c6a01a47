"""Prints what the tests need beside the wheel and its extras: the extra ``dev`` without developers' own tools.

``test_requirements.py WHEEL``. The standard library of 3.10 reads no TOML, but every wheel's metadata.
"""

import re
import sys
import zipfile
from email.parser import HeaderParser

TOOLS = re.compile(r"(ruff|mypy|pyright|import-linter|types-\w+|otel-tracker|opentelemetry-[\w-]+)\b", re.IGNORECASE)
IN_DEV = re.compile(r"extra == ['\"]dev['\"]")


def requirements(wheel: str) -> list[str]:
    """The requirement of every test dependency, without its marker."""
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = HeaderParser().parsestr(archive.read(name).decode())
    lines = [line.partition(";") for line in metadata.get_all("Requires-Dist") or []]
    return [
        requirement.strip()
        for requirement, _, marker in lines
        if IN_DEV.search(marker) and not TOOLS.match(requirement)
    ]


if __name__ == "__main__":
    print("\n".join(requirements(sys.argv[1])))
