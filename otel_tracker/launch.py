"""How a program is started under `opentelemetry-instrument` with our distro: shared by `run`, `demo` and `doctor`.

The launcher puts a `sitecustomize` in front of the program's path and then replaces itself by the program, so what
is started has the program's process id, signals and exit status.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

DISTRO = "otel_tracker"
"""Our entry point in the groups ``opentelemetry_distro`` and ``opentelemetry_configurator``."""

_LAUNCHER = "opentelemetry-instrument"
_LAUNCHER_CODE = "from opentelemetry.instrumentation.auto_instrumentation import run; run()"


def launcher() -> list[str]:
    """The command that goes in front of a program to instrument it.

    The script of this interpreter's own environment comes first; one that the PATH finds may belong to another. Where
    scripts were not installed (``pip install --target``, zip applications) its code is run instead.
    """
    folders = [str(Path(sys.executable).parent), sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)]
    found = shutil.which(_LAUNCHER, path=os.pathsep.join(folders))
    return [found] if found else [sys.executable, "-c", _LAUNCHER_CODE]


def instrumented(command: list[str], environment: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """The command line and environment that start ``command`` under the launcher, in one process."""
    if os.name == "posix":
        return [*launcher(), *command], dict(environment)
    # Windows has no exec: the launcher would end at once and leave the program behind. This is what it prepares.
    return command, {**environment, "PYTHONPATH": os.pathsep.join(_launcher_path(environment))}


def with_our_distro(environment: Mapping[str, str]) -> dict[str, str]:
    """A copy of the environment that selects our distro: another one beside us could switch everything off."""
    return {**environment, "OTEL_PYTHON_DISTRO": DISTRO, "OTEL_PYTHON_CONFIGURATOR": DISTRO}


def _launcher_path(environment: Mapping[str, str]) -> list[str]:
    found = find_spec("opentelemetry.instrumentation.auto_instrumentation")
    folders = found.submodule_search_locations if found else None
    given = environment.get("PYTHONPATH", "")
    return [*(folders or []), *([given] if given else [])]
