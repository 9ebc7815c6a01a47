"""Exits 1 and says which, when processes that carry a mark in their environment are still there.

``leftovers.py MARK`` looks at ``CI_RUN_MARK`` of every process (Linux; elsewhere nothing is found);
``leftovers.py PREFIX --end`` also ends those whose mark begins so. Only processes of this run bear its folder's name.
"""

import os
import signal
import sys
from pathlib import Path


def marked(mark: str, *, is_prefix: bool) -> dict[int, str]:
    """The command lines, by process id, of all other processes with the mark."""
    wanted = f"CI_RUN_MARK={mark}".encode()
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            variables = (folder / "environ").read_bytes().split(b"\0")
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it ended meanwhile, or belongs to somebody else
            continue
        if any(variable == wanted or (is_prefix and variable.startswith(wanted)) for variable in variables):
            found[int(folder.name)] = command
    found.pop(os.getpid(), None)
    return found


def main() -> int:
    """Look, say, and end what is left if asked to."""
    ends = "--end" in sys.argv
    found = marked(sys.argv[1], is_prefix=ends)
    for process_id, command in found.items():
        print(f"still running: {process_id} {command}")
        if ends:
            os.kill(process_id, signal.SIGKILL)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
