"""The package speaks in single sentences, each once, and speaking never breaks anything."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

import pytest
from support import run_script

from otel_tracker import diagnostics
from otel_tracker.diagnostics import forget_said, report_internal_error, say_once


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "otel_tracker"]


def test_sentence_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """However often the problem occurs; after a new beginning it is said again."""
    for _ in range(3):
        say_once("The disk is full.")
    say_once("Another thing.")
    assert said(caplog) == ["The disk is full.", "Another thing."]
    forget_said()
    say_once("The disk is full.")
    assert len(said(caplog)) == 3


def test_key_makes_different_sentences_the_same_problem(caplog: pytest.LogCaptureFixture) -> None:
    """A sentence that holds a changing number would flood otherwise."""
    for number in range(3):
        say_once(f"{number} spans were lost.", key="lost")
    assert said(caplog) == ["0 spans were lost."]


def test_sentence_is_a_warning_unless_said_otherwise(caplog: pytest.LogCaptureFixture) -> None:
    """What is merely worth knowing does not reach stderr by default."""
    caplog.set_level(logging.DEBUG, "otel_tracker")
    say_once("A problem.")
    say_once("A fact.", level=logging.INFO)
    assert [record.levelno for record in caplog.records] == [logging.WARNING, logging.INFO]


def test_percent_signs_in_a_sentence_are_text(caplog: pytest.LogCaptureFixture) -> None:
    """Paths and values may hold anything."""
    say_once("The file %s is 100% full.")
    assert said(caplog) == ["The file %s is 100% full."]


def test_number_of_remembered_sentences_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    """Beyond a thousand different problems there is silence, not a leak."""
    for number in range(1_100):
        say_once(f"Problem {number}.")
    assert len(said(caplog)) == 1_000


def test_threads_that_meet_the_same_problem_say_it_once(caplog: pytest.LogCaptureFixture) -> None:
    """All of them at the same moment."""
    together = threading.Barrier(8)

    def meet() -> None:
        together.wait()
        for number in range(50):
            say_once(f"Problem {number}.")

    threads = [threading.Thread(target=meet) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(said(caplog)) == sorted(f"Problem {number}." for number in range(50))


def test_internal_error_is_one_sentence_and_its_traceback_is_for_debugging(caplog: pytest.LogCaptureFixture) -> None:
    """A person sees that the program went on; the details come at debug level."""
    caplog.set_level(logging.DEBUG, "otel_tracker")
    for _ in range(2):
        report_internal_error("starting a span", ValueError("secret detail"))
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warning == (
        "otel-tracker failed while starting a span (ValueError); the program goes on without it. "
        "Set OTEL_TRACKER_LOG_LEVEL=debug to see where, and please report it."
    )
    assert all(record.exc_info for record in caplog.records if record.levelno == logging.DEBUG)


class Raising(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise RuntimeError("the handler is broken")


@pytest.fixture
def broken_handler() -> Iterator[None]:
    handler = Raising()
    diagnostics.logger.addHandler(handler)
    yield
    diagnostics.logger.removeHandler(handler)


@pytest.mark.usefixtures("broken_handler")
def test_log_handler_that_raises_never_reaches_the_program() -> None:
    """The program's own logging may be broken; telling it is no reason to break the rest."""
    say_once("The disk is full.")
    report_internal_error("starting a span", ValueError())


def test_warnings_reach_stderr_without_any_logging_and_less_does_not() -> None:
    """Python's last resort prints warnings, as plain sentences."""
    ended = run_script("""
        import logging
        from otel_tracker.diagnostics import say_once
        say_once("A problem.")
        say_once("A fact.", level=logging.INFO)
    """)
    assert (ended.status, ended.stderr) == (0, "A problem.\n")


def test_debug_level_prints_to_stderr_only_where_the_program_has_no_logging() -> None:
    """A program with logging of its own keeps its format, and gets nothing twice."""
    code = """
        import logging, sys
        from otel_tracker.diagnostics import logger, say_once, set_log_level
        if sys.argv[1:]:
            logging.basicConfig(format="theirs %(message)s", level="DEBUG")
        for _ in range(2):
            set_log_level("debug")
        set_log_level("nonsense")
        logger.debug("a detail")
        say_once("A problem.")
    """
    assert run_script(code).complaints == ["otel_tracker DEBUG: a detail", "otel_tracker WARNING: A problem."]
    assert run_script(code, "own").complaints == ["theirs a detail", "theirs A problem."]


def test_error_level_silences_warnings() -> None:
    """Who does not want to hear it can say so."""
    ended = run_script("""
        from otel_tracker.diagnostics import say_once, set_log_level
        set_log_level("error")
        say_once("A problem.")
    """)
    assert ended.stderr == ""
