"""Short turns for the interpreter's threads, while somebody waits for a delivery."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Other threads of the program work on meanwhile, and hold the interpreter for 5 ms by default, each time that delivery
# has waited for the disk: three busy ones make that ten times slower.
_SHORT_S = 0.0002


@contextmanager
def short_turns() -> Iterator[None]:
    """A block in which a thread that wants to run waits for no other one for long."""
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(_SHORT_S)
    try:
        yield
    finally:
        sys.setswitchinterval(usual_s)
