"""A program of one process under the launcher: however it ends, it ends the same, and what ended before is stored."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import pytest
from support import launch_script, run, stored_events, stored_spans

from .matrix import assert_worked, counted, launch, needs_linux, program, variables
from .servers import command_line

pytestmark = needs_linux

WORK = """
import asyncio, os, signal, sys, threading, time
from otel_tracker import span, traced
from shop_work import price

for sku in range(20):
    price(sku)
"""

SIGTERM = "os.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(60)"

ENDINGS = {
    "normal end": ("", 0),
    "sys.exit": ("sys.exit(3)", 3),
    "sys.exit in a traced function": ("traced(sys.exit)(4)", 4),
    "SIGTERM": (SIGTERM, -15),
    "SIGTERM with a handler of its own": (f"signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\n{SIGTERM}", 5),
    "SIGTERM that is ignored": (f"signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{SIGTERM.replace('60', '0')}", 0),
    "SIGTERM while asyncio runs": (f"async def main():\n{indent(SIGTERM, '    ')}\nasyncio.run(main())", -15),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_script_loses_nothing_and_keeps_its_exit_status(ending: str) -> None:
    """Twenty spans and events that ended just before."""
    code, status = ENDINGS[ending]
    launch(WORK + code, status=status)
    assert_worked(range(20), besides=1 if "traced" in code else 0)


@pytest.mark.parametrize(("ending", "status"), [("raise RuntimeError('the end')", 1), ("signal.raise_signal(2)", -2)])
def test_script_that_an_exception_ends_loses_nothing(ending: str, status: int) -> None:
    """Nobody catches it, or Ctrl-C; the traceback is the program's own and the only thing on stderr."""
    program("shop_work.py")
    ended = launch_script(WORK + ending, **variables())
    assert ended.status == status
    assert ended.stderr.count("Traceback") == 1, ended.stderr
    assert ended.complaints[-1] in ("RuntimeError: the end", "KeyboardInterrupt")
    assert_worked(range(20))


def test_spans_that_are_open_at_sigterm_take_nothing_along() -> None:
    """Those inside that had ended are stored, with the id of a parent that never did."""
    launch(f"{WORK}\nwith span('open'):\n    price(20)\n{indent(dedent(SIGTERM), '    ')}", status=-15)
    found = assert_worked(range(21))
    assert found["20"].parent_span_id


@pytest.mark.slow
def test_module_is_traced_like_a_script() -> None:
    """`python -m shop`."""
    program("shop_work.py")
    Path("shop.py").write_text(WORK, encoding="utf-8")
    ended = run(*command_line("python -m shop"), OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="*", **variables())
    assert (ended.status, ended.stderr) == (0, "")
    assert_worked(range(20))


PYTEST = """
import pytest
from shop_work import price

@pytest.mark.parametrize("sku", range(10))
def test_price(sku):
    assert price(sku) == sku

def test_that_fails():
    assert price(10) == 11
"""


@pytest.mark.parametrize("command", ["pytest", pytest.param("python -m pytest", marks=pytest.mark.slow)])
def test_suite_under_pytest_is_traced_and_keeps_its_exit_status(command: str) -> None:
    """Captured output, rewritten assertions and a failed test change nothing."""
    program("shop_work.py")
    Path("test_shop.py").write_text(PYTEST, encoding="utf-8")
    quiet = {"PYTHONWARNINGS": "default", "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "*"}
    options = "-q -p no:cacheprovider --rootdir ."
    ended = run(*command_line(f"{command} {options}"), **quiet, **variables())
    assert (ended.status, ended.stderr) == (1, ""), ended
    assert "1 failed, 10 passed" in ended.stdout
    assert_worked(range(11))


@pytest.mark.slow
def test_threads_of_every_kind_lose_nothing() -> None:
    """Several that are joined, one that outlives the main thread, and a daemon that never comes back."""
    launch(
        """
        import threading
        from shop_work import price

        def work(first, count=10):
            for sku in range(first, first + count):
                price(sku)

        def outlive():
            threading.main_thread().join()
            work(40)

        def wait_forever():
            work(50)
            ready.set()
            threading.Event().wait()

        ready = threading.Event()
        threads = [threading.Thread(target=work, args=(first,)) for first in (0, 10, 20, 30)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        threading.Thread(target=outlive).start()
        threading.Thread(target=wait_forever, daemon=True).start()
        ready.wait()
        """
    )
    assert_worked(range(60))


@pytest.mark.slow
def test_sigterm_while_threads_work_loses_nothing_that_had_ended() -> None:
    """They say on stdout what has ended; at least that much is stored, and nothing twice."""
    ended = launch(
        """
        import os, signal, threading, time
        from shop_work import price

        done = {}

        def work(first):
            for sku in range(first, first + 100_000):
                price(sku)
                done[first] = sku

        for first in (0, 100_000, 200_000):
            threading.Thread(target=work, args=(first,), daemon=True).start()
        while len(done) < 3 or min(done[first] - first for first in done) < 300:
            time.sleep(0.001)
        print(*done.values(), flush=True)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
        """,
        status=-15,
    )
    promised = [sku for last in map(int, ended.stdout.split()) for sku in range(last - last % 100_000, last + 1)]
    spans = [span.args["sku"] for span in stored_spans()]
    events = [int(str(event.properties["sku"])) for event in stored_events()]
    assert (len(set(spans)), len(set(events))) == (len(spans), len(events))
    assert set(promised) <= set(spans)
    assert set(promised) <= set(events)
    assert sum(counted().values()) >= len(promised)


ASYNCIO = """
import asyncio
from otel_tracker import traced
from shop_work import price

@traced
async def serve(sku):
    price(sku)
    await asyncio.Event().wait()

async def main():
    tasks = [asyncio.create_task(serve(sku)) for sku in range(20)]
    await asyncio.sleep(0)
    for task in tasks[:10]:
        task.cancel()
    await asyncio.gather(*tasks[:10], return_exceptions=True)

asyncio.run(main())
"""


@pytest.mark.slow
def test_cancelled_tasks_are_stored_as_cancelled() -> None:
    """Ten that the program cancels, and ten that the end of the loop does; none has failed."""
    launch(ASYNCIO)
    found = assert_worked(range(20), besides=20)
    tasks = {span.span_id: span for span in stored_spans() if span.function == "serve"}
    assert {span.parent_span_id for span in found.values()} == set(tasks)
    outcomes = {(span.status, span.attributes.get("otel_tracker.outcome")) for span in tasks.values()}
    assert outcomes == {("completed", "cancelled")}
