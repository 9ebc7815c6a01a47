"""`opentelemetry-instrument` offers every setting of ours as an option."""

from __future__ import annotations

import ast
from pathlib import Path

from otel_tracker import environment_variables, settings


def test_module_names_every_variable_of_ours_and_no_other() -> None:
    """A setting that is added to the table and forgotten here would be no option of the launcher's."""
    offered = {name: value for name, value in vars(environment_variables).items() if name.startswith("OTEL_")}
    ours = {setting.variable for setting in settings.TABLE if setting.variable.startswith("OTEL_TRACKER_")}
    assert offered == {name: name for name in ours}


def test_module_imports_nothing() -> None:
    """The launcher loads it at every start of every program."""
    tree = ast.parse(Path(environment_variables.__file__).read_text(encoding="utf-8"))
    assert not [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
