"""`otel_tracker.compat.firestore_tracker`: programs of the Firestore tracker run when their import line is changed."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from firestore.support import documents_of
from firestore_emulator import has_client
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from support import Ended, run

SEED = Path(os.environ.get("OTEL_TRACKER_SEEDS", "")) / "firestore-tracker.md"
OWN_IMPORT, OUR_IMPORT = "from firestore_tracker import", "from otel_tracker.compat.firestore_tracker import"

needs_emulator = [pytest.mark.slow, pytest.mark.xdist_group("firestore")]

# What the README's blocks leave open.
PRELUDE = """
import json
from otel_tracker.compat.firestore_tracker import FirestoreTracker, track
tracker = FirestoreTracker()
processed_data = {"rows": 3}
def process(data): return [data]
"""


def run_program(program: str, **variables: str) -> Ended:
    """Run a program in the working directory; it must end well."""
    Path("program.py").write_text(program, encoding="utf-8")
    ended = run(sys.executable, "program.py", PYTHONWARNINGS="ignore", **variables)
    assert ended.status == 0, ended
    return ended


def by_function(project: str, collection: str = "function_tracking") -> dict[str, dict[str, Any]]:
    """The document of each function."""
    return {document["function_name"]: document for document in documents_of(project, collection).values()}


class TestAgainstTheEmulator:
    pytestmark = needs_emulator

    @pytest.mark.skipif(not SEED.is_file(), reason="OTEL_TRACKER_SEEDS names no folder with the tracker's README")
    def test_every_block_of_its_readme_runs_with_the_import_line_changed(self, firestore_project: str) -> None:
        """One after another in one process, with calls of what they define; each has its document."""
        blocks = re.findall(r"```python\n(.*?)```", SEED.read_text(encoding="utf-8"), re.DOTALL)
        assert len(blocks) == 6
        calls = {
            "def process_data(": "process_data([1, 2])",
            "def frequent_operation(": "frequent_operation('x')\ntracker.flush_batch()",
            "def risky_operation(": "risky_operation(2)\ntry: risky_operation(-1)\nexcept ValueError: pass",
            "def process_sensitive_data(": "process_sensitive_data('secret')",
        }
        program = f"{PRELUDE}"
        for block in blocks:
            called = "\n".join(call for head, call in calls.items() if head in block)
            program += f"{block.replace(OWN_IMPORT, OUR_IMPORT)}\n{called}\n"
            if 'collection_name="my_app_tracking"' in block:
                program += "mine = tracker\n"
        printed = run_program(f"{program}\nassert tracker.flush_batch()\n").stdout
        assert "Success rate: 0.0%" in printed  # of the tracker that the block before has made: another collection
        default = by_function(firestore_project)
        assert default["calculate_sum"]["input"] == {"args": [5, 3], "kwargs": {}}
        assert default["calculate_sum"]["output"] == 8
        mine = by_function(firestore_project, "my_app_tracking")["process_data"]
        assert mine["custom_fields"] == {"version": "1.0", "environment": "production"}
        assert (mine["output"], mine["status"]) == ({"rows": 3}, "completed")
        frequent = by_function(firestore_project, "high_freq_operations")
        assert frequent["process_sensitive_data"]["input"] == {"args": [], "kwargs": {}}
        assert frequent["process_sensitive_data"]["output"] == {"status": "processed", "count": 6}
        risky = documents_of(firestore_project, "high_freq_operations").values()
        (failed,) = [document for document in risky if document["status"] == "failed"]
        assert (failed["error"]["type"], failed["error"]["message"]) == ("ValueError", "Invalid value")
        assert "raise ValueError" in failed["error"]["traceback"]

    def test_documents_have_every_field_of_the_readme(self, firestore_project: str) -> None:
        """With the right types: a timestamp is one, a duration is a number, and input has the form of the call."""
        run_program(
            f"""{PRELUDE}
@track(custom_fields={{"team": "ml", "nested": {{"a": [1, {{"b": 2}}]}}}})
def scale(values, factor=2, *, unit): return [value * factor for value in values]
scale([1, 2], unit="kg")
assert tracker.flush_batch()
"""
        )
        document = by_function(firestore_project)["scale"]
        assert document["input"] == {"args": ["[1,2]"], "kwargs": {"unit": "kg"}}  # Firestore has no list in a list
        assert document["json_text"] == ["input.args.0"]
        assert document["output"] == [2, 4]
        assert document["module"] == "__main__"
        assert document["timestamp"].tzinfo is not None
        assert isinstance(document["execution_time_ms"], float)
        assert len(document["execution_id"]) == 48
        assert document["error"] is None
        assert document["custom_fields"] == {"team": "ml", "nested": {"a": [1, {"b": 2}]}}

    def test_what_is_asked_includes_subcollections_and_what_was_called_just_now(self, firestore_project: str) -> None:
        """Executions in the form of documents, newest first; statistics with percent and milliseconds."""
        printed = run_program(
            f"""{PRELUDE}
@tracker.track(subcollection="ml")
def predict(x):
    if x < 0: raise ValueError("negative")
    return x
for x in (1, 2, 3): predict(x)
try: predict(-1)
except ValueError: pass
found = tracker.query_executions(function_name="predict")
print(json.dumps([[one["status"], one["input"], one["output"], len(one["document_id"])] for one in found]))
print(json.dumps([len(tracker.query_executions("predict", status="completed", limit=2)), len(found[0]["error"])]))
print(json.dumps(tracker.get_statistics("predict")))
"""
        ).stdout.splitlines()
        executions, counts, statistics = (json.loads(line) for line in printed)
        assert executions[0] == ["failed", {"args": [-1], "kwargs": {}}, None, 48]
        assert [execution[2] for execution in executions[1:]] == [3, 2, 1]
        assert counts == [2, 3]
        assert (statistics["success_rate"], statistics["failed"], statistics["total_executions"]) == (75.0, 1, 4)
        performance = statistics["performance"]
        low, middle, high = (performance[f"{name}_execution_time_ms"] for name in ("min", "avg", "max"))
        assert 0 < low <= middle <= high

    def test_two_trackers_keep_apart(self, firestore_project: str) -> None:
        """Each has its own collection, its own switches, and nothing of the other; without errors the status stays."""
        run_program(
            f"""{PRELUDE}
first = FirestoreTracker("first")
second = FirestoreTracker("second", track_errors=False, track_performance=False)
off = FirestoreTracker("off", enable_tracking=False)
@first.track()
def one(): return two()
@second.track()
def two(): raise ValueError("why")
@off.track()
def three(): return 3
for function in (one, two, three):
    try: function()
    except ValueError: pass
assert first.flush_batch()
"""
        )
        (first,) = documents_of(firestore_project, "first").values()
        assert "ValueError: why" in first["error"]["traceback"]
        assert isinstance(first["execution_time_ms"], float)
        second = list(documents_of(firestore_project, "second").values())
        assert [(one["status"], one["error"], one["execution_time_ms"]) for one in second] == [
            ("failed", None, None)
        ] * 2
        assert documents_of(firestore_project, "off") == documents_of(firestore_project) == {}


@pytest.mark.skipif(not has_client(), reason="needs the extra firestore")
def test_input_that_is_not_tracked_is_never_looked_at() -> None:
    """Not even its str() or repr() is asked for, and no credentials and no server are needed to call."""
    ended = run_program(
        f"""{PRELUDE}
from opentelemetry import trace
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
memory = InMemorySpanExporter()
trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(memory))
class Untouchable:
    def __str__(self): raise SystemExit("looked at")
    __repr__ = __str__
@tracker.track(track_input=False)
def private(value, *more, **named): return 1
assert private(Untouchable(), Untouchable(), name=Untouchable()) == 1
@tracker.track()
def log_in(user, password, *, token=None): return True
log_in("ada", "hunter2", token="t")
print(json.dumps([dict(span.attributes) for span in memory.get_finished_spans()]), flush=True)
import os
os._exit(0)  # nobody answers: what was tracked lies in the journal or is gone, which is not of interest here
""",
        OTEL_TRACES_EXPORTER="none",
        FIRESTORE_EMULATOR_HOST="127.0.0.1:9",
        GOOGLE_CLOUD_PROJECT="nobody",
    )
    private, log_in = json.loads(ended.stdout.splitlines()[-1])
    assert not any("args" in key for key in private)
    assert log_in["otel_tracker.args_json.args"] == '["ada","[redacted]"]'
    assert json.loads(log_in["otel_tracker.args_json.kwargs"]) == {"token": "[redacted]"}


@pytest.mark.parametrize("name", ["a/b", "..", "", "__x__", "x" * 300])
def test_name_that_no_collection_may_have_is_refused_at_once(name: str) -> None:
    """Where it was written, with what would be right."""
    from otel_tracker.compat.firestore_tracker import FirestoreTracker

    with pytest.raises(ValueError, match="without a slash"):
        FirestoreTracker(name, enable_tracking=False)


def test_more_fields_than_a_span_holds_do_not_drive_out_where_it_belongs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of hundreds of own fields as many are recorded as leave room for the tracker's and the function's name."""
    from otel_tracker.compat.firestore_tracker import FirestoreTracker

    memory, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    tracker = FirestoreTracker("jobs", "p", enable_tracking=False)
    tracker.enable_tracking = True

    @tracker.track(custom_fields={f"field{number}": number for number in range(300)}, subcollection="wide")
    def wide(value: int) -> int:
        return value

    assert wide(1) == 1
    (span,) = memory.get_finished_spans()
    assert span.attributes is not None
    assert span.attributes["otel_tracker.sink"] == "firestore://p/jobs"
    assert str(span.attributes["code.function.name"]).endswith("wide")
    assert span.attributes["otel_tracker.custom_fields.field63"] == 63
    assert not span.dropped_attributes
