"""Keeps secrets out: by name, by `hide=`, by `Sensitive`, and by shape in messages.

You will see:

    {'user': 'ada', 'password': '[redacted]'}
    cannot connect to postgresql://shop:[redacted]@db/shop
    {'patient': '[redacted]', 'ward': '[redacted]', 'beds': 2}
"""

import tempfile
from contextlib import suppress
from typing import Annotated

from otel_tracker import Sensitive, configure, open_store, shutdown, traced


@traced
def log_in(user: str, password: str) -> None:
    raise OSError("cannot connect to postgresql://shop:hunter2@db/shop")


@traced(hide=["ward"])
def admit(patient: Annotated[str, Sensitive], ward: str, beds: int) -> None: ...


with tempfile.TemporaryDirectory() as folder:
    configure(sqlite_path=f"{folder}/traces.db")
    with suppress(OSError):
        log_in("ada", "hunter2")
    admit("Grace", "B4", beds=2)
    shutdown()
    with open_store(f"{folder}/traces.db") as store:
        admission, log = store.query_executions()
        print(dict(log.args), log.error["message"], dict(admission.args), sep="\n")
