"""Definitions: generated files are current, a change leaves its trace, nonsense is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from orchestration.metrics import registry as reg
from orchestration.metrics.registry import (
    FOLDER,
    DefinitionError,
    UnknownMetricError,
    load_registry,
)
from orchestration.metrics.render import files
from orchestration.settings import DBT_PROJECT

Edit = Callable[[str, str], reg.Registry]


@pytest.fixture
def edited(tmp_path: Path) -> Edit:
    """Read the definitions of quality with one text replaced."""

    def edit(old: str, new: str) -> reg.Registry:
        folder = tmp_path / "definitions"
        shutil.copytree(FOLDER, folder, dirs_exist_ok=True)
        path = folder / "qos.yaml"
        text = path.read_text()
        assert text.count(old) == 1, old
        path.write_text(text.replace(old, new))
        load_registry.cache_clear()
        return load_registry(folder)

    return edit


def test_generated_files_are_those_of_the_definitions() -> None:
    for path, text in files(load_registry()).items():
        assert path.read_text() == text, (
            f"{path} is stale: run `python -m orchestration.metrics.render`"
        )


def test_every_metric_has_name_formula_unit_source_version_and_owner() -> None:
    for metric in load_registry().metrics.values():
        assert metric.unit, metric.name
        assert metric.formula, metric.name
        assert metric.source, metric.name
        assert metric.version >= 1, metric.name
        assert metric.owner.startswith("team:"), metric.name
        assert metric.rows or load_registry().terms_of(metric) or metric.kind == "percentile"


def test_marts_with_a_contract_by_hand_agree_with_the_definitions() -> None:
    contracts = {}
    for name in ("metrics/_metrics.yml", "billing/_billing.yml"):
        text = (DBT_PROJECT / "models" / "marts" / name).read_text()
        contracts |= {m["name"]: m["columns"] for m in yaml.safe_load(text)["models"]}
    known = load_registry()
    for mart in (m for m in known.marts.values() if not m.is_generated):
        columns = {c["name"]: c for c in contracts[mart.name]}
        assert set(mart.grain) <= columns.keys()
        for name in mart.measures:
            column = columns[known.measures[name].sql_name]
            meta = column["config"]["meta"]
            assert meta["definition_version"] == known.measures[name].version, name
            assert column["data_type"].replace(" ", "") == known.measures[name].type, name


def test_a_changed_definition_is_seen_in_the_mart_the_docs_and_the_semantic_layer(
    edited: Edit,
) -> None:
    """The walk: raise the version, say what changed, generate; each reader sees it."""
    before = "rows: requests with status 500 and above, source: weir, version: 1}"
    with pytest.raises(DefinitionError, match=r"errors_5xx: version 2 with a history of \[\]"):
        edited(f"errors_5xx: {{unit: requests, {before}", "errors_5xx: {unit: requests, "
               + before.replace("version: 1", "version: 2"))  # fmt: skip
    history = "history: [{version: 2, change: Without 501., old_hours: rebuilt}]"
    found = edited(
        f"errors_5xx: {{unit: requests, {before}",
        "errors_5xx: {unit: requests, rows: requests with status 500 and above but 501, "
        f"source: weir, version: 2, {history}}}",
    )
    made = {path.name: text for path, text in files(found).items()}
    models = {m["name"]: m for m in yaml.safe_load(made["_qos.yml"])["models"]}
    for mart in ("qos_5m", "qos_places_hourly", "qos_daily"):
        (column,) = (c for c in models[mart]["columns"] if c["name"] == "errors_5xx")
        assert column["config"]["meta"]["definition_version"] == 2
        assert "but 501" in column["description"]
    metrics = {m["name"]: m for m in yaml.safe_load(made["_semantic.yml"])["metrics"]}
    assert metrics["errors_5xx"]["config"]["meta"]["definition_version"] == 2
    assert "| `errors_5xx` | 2 | Without 501. | rebuilt |" in made["metrics.md"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("kind: ratio, numerator: hit_bytes", "kind: mean, numerator: hit_bytes", "kind 'mean'"),
        ("numerator: hit_bytes", "numerator: hits", "names hits, which is not defined"),
        ("grain: [hour, cdn, pop, hop]", "grain: [cdn, hour, pop, hop]", "begins with cdn"),
        ("grain: [hour, cdn, pop, hop]", "grain: [hour, cdn, pop, hup]", "names hup"),
        ('are fractional.", old_hours: marked', 'are fractional.", old_hours: lost', "old_hours"),
    ],
)
def test_a_definition_that_contradicts_itself_is_refused(
    edited: Edit, old: str, new: str, said: str
) -> None:
    with pytest.raises(DefinitionError, match=said):
        edited(old, new)


def test_an_unknown_metric_is_refused_with_the_nearest_names() -> None:
    with pytest.raises(UnknownMetricError, match=r"nearest: hit_ratio_requests, "):
        load_registry().metric("hit_ratio_request")
    with pytest.raises(UnknownMetricError, match="none is near"):
        load_registry().metric("0")
