"""`otel-tracker firestore`: the file that a database is prepared with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Run


def test_index_file_covers_every_collection(run: Run, tmp_path: Path) -> None:
    """Composite indexes of the collection group, exemptions and the TTL policy, as firebase reads them."""
    result = run("firestore", "indexes", "--collection", "jobs")
    assert result.returncode == 0, result.stderr
    content = json.loads((tmp_path / "firestore.indexes.json").read_text(encoding="utf-8"))
    groups = {"jobs", "jobs_events", "jobs_logs", "jobs_rollups"}
    assert {index["collectionGroup"] for index in content["indexes"]} == groups
    assert {index["queryScope"] for index in content["indexes"]} == {"COLLECTION_GROUP"}
    overrides = {(one["collectionGroup"], one["fieldPath"]): one for one in content["fieldOverrides"]}
    assert len(overrides) == len(content["fieldOverrides"])
    assert overrides["jobs", "input"]["indexes"] == overrides["jobs", "output"]["indexes"] == []
    assert all(overrides[group, "expire_at"]["ttl"] for group in groups)
    composite = [
        [(column["fieldPath"], column.get("order", column.get("arrayConfig"))) for column in index["fields"]]
        for index in content["indexes"]
        if index["collectionGroup"] == "jobs"
    ]
    assert len({str(columns) for columns in composite}) == len(composite)
    assert [("function_name", "ASCENDING"), ("status", "ASCENDING"), ("timestamp", "DESCENDING")] in composite


def test_an_existing_index_file_is_replaced_by_force_alone(run: Run, tmp_path: Path) -> None:
    """A project's own indexes are not lost by accident; - prints instead."""
    (tmp_path / "firestore.indexes.json").write_text("mine", encoding="utf-8")
    refused = run("firestore", "indexes")
    assert (refused.returncode, (tmp_path / "firestore.indexes.json").read_text(encoding="utf-8")) == (1, "mine")
    assert "--force" in refused.stderr
    assert "function_tracking" in run("firestore", "indexes", "-o", "-").stdout
    assert run("firestore", "indexes", "--force").returncode == 0
    assert "function_tracking" in (tmp_path / "firestore.indexes.json").read_text(encoding="utf-8")
