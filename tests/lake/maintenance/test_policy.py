"""The policy: what is on by default, and graces that would hurt somebody are refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from lake.maintenance.policy import PolicyError, load_policy
from lake.records import RECORDS

ROOT = Path(__file__).parents[3]


def written(path, **changes):
    body = yaml.safe_load((ROOT / "lake/maintenance/policy.yaml").read_text())
    for name, value in changes.items():
        if value is None:
            del body[name]
        elif isinstance(value, dict):
            body[name] = {**body[name], **value}
        else:
            body[name] = value
    path.write_text(yaml.safe_dump(body))
    return path


def test_a_table_takes_its_own_then_its_namespace_then_the_defaults():
    policy = load_policy()
    assert policy.of("bronze.cdn_requests").min_files == 4
    assert policy.of("ops.releases").min_files == policy.defaults.min_files
    more = {**policy.tables, "gold": {"keep_snapshots": 50}, "gold.bills": {"min_files": 2}}
    policy = policy.model_copy(update={"tables": more})
    assert policy.of("gold.bills").keep_snapshots == 50
    assert (policy.of("gold.bills").min_files, policy.of("gold.x").min_files) == (2, 12)


def test_tables_are_sorted_by_columns_they_have():
    policy = load_policy()
    for identifier, record in RECORDS.items():
        columns = {c.name for c in record.columns}
        assert policy.of(identifier).sort_by
        assert set(policy.of(identifier).sort_by) <= columns


def test_nothing_is_allowed_to_run_longer_than_the_graces_reckon_with():
    longest = load_policy().longest_run.total_seconds()
    dagster = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    assert dagster["run_monitoring"]["max_runtime_seconds"] <= longest
    tags = re.findall(
        r'"dagster/max_runtime": "(\d+)"', (ROOT / "orchestration/jobs.py").read_text()
    )
    assert tags
    assert all(int(t) <= longest for t in tags)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"orphan_grace_hours": 1}, "orphan_grace_hours is 1; expected at least"),
        ({"reader_grace_minutes": 5}, "reader_grace_minutes is 5; expected at least"),
        ({"defaults": {"keep_snapshots": 0}}, "keep_snapshots"),
        ({"tables": {"gold": {"keep_snapshot": 3}}}, "keep_snapshot"),
        ({"surprise": 1}, "surprise"),
        ({"defaults": None}, "defaults"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_policy_that_cannot_be_used_is_refused_with_its_reason(tmp_path, changes, says):
    path = written(tmp_path / "policy.yaml", **changes)
    with pytest.raises(PolicyError) as err:
        load_policy(path)
    assert says in str(err.value)
    assert str(path) in str(err.value)


def test_a_missing_or_broken_policy_file_is_named(tmp_path):
    with pytest.raises(PolicyError, match="WEIR_MAINTENANCE"):
        load_policy(tmp_path / "none.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [")
    with pytest.raises(PolicyError, match="is no maintenance policy"):
        load_policy(broken)
