"""weir metric from the command line, over gold that was published."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField, StringType, TimestamptzType
from typer.testing import CliRunner

from lake.catalog import ensure_table, open_catalog
from lake.publish import release
from lake.settings import load_settings
from orchestration.cli import app
from orchestration.metrics.registry import load_registry

NOW = datetime(2026, 11, 17, tzinfo=UTC)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a lake with two groups of qos_5m published."""
    folder = tmp_path_factory.mktemp("home")
    settings = load_settings({"WEIR_HOME": str(folder)})
    mart = load_registry().marts["qos_5m"]
    fields = [NestedField(1, "slot_start", TimestamptzType(), required=False)]
    fields += [
        NestedField(i, n, StringType(), required=False) for i, n in enumerate(mart.grain[1:], 2)
    ]
    fields += [
        NestedField(i, n, LongType(), required=False) for i, n in enumerate(mart.measures, 5)
    ]
    schema = Schema(*fields)
    catalog = open_catalog(settings)
    table = ensure_table(catalog, "gold.qos_5m", schema)
    zeros = dict.fromkeys(mart.measures, 0)
    base = {"slot_start": NOW, "pop": "FRA", "customer": "=evil()"} | zeros
    table.append(
        pa.Table.from_pylist(
            [
                base | {"cdn": "a", "requests": 300, "eligible_requests": 200, "hit_requests": 50},
                base | {"cdn": "b", "requests": 3, "eligible_requests": 3, "hit_requests": 3},
            ],
            schema=schema_to_pyarrow(schema),
        )
    )
    release(catalog, settings.serving_file, "r", NOW)
    return folder


def _weir(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["metric", *words])
    return done.exit_code, done.stdout, done.stderr


def test_an_answer_brings_definition_unit_freshness_and_sql(home: Path) -> None:
    code, out, err = _weir("hit_ratio_requests", "--by", "cdn", "--grain", "5m", "--dir", str(home),
                           "--json")  # fmt: skip
    assert code == 0, err
    said = json.loads(out)
    assert [(r["cdn"], r["hit_ratio_requests"], r["n"], r["is_small"]) for r in said["rows"]] == [
        ("a", 0.25, 200, False),
        ("b", 1.0, 3, True),
    ]
    assert said["unit"] == "ratio"
    assert said["formula"] == "sum(hit_requests) / sum(eligible_requests)"
    assert said["definition_version"] == 1
    assert said["owner"] == "team:delivery"
    assert said["mart"] == "gold.qos_5m"
    assert said["freshness"]["release_no"] == 1
    assert "gold.qos_5m" in said["sql"]


def test_a_table_and_csv_say_it_too_and_no_cell_is_run(home: Path) -> None:
    words = ("requests", "--by", "customer", "--grain", "5m", "--dir", str(home))
    code, out, _ = _weir(*words)
    assert code == 0
    assert "requests in requests: All viewer requests." in out
    assert "release 1 of 2026-11-17T00:00:00Z" in out
    code, out, err = _weir(*words, "--csv")
    assert out.splitlines()[0] == "period,customer,requests,unit,definition_version"
    assert ",'=evil(),303,requests,1" in out
    assert "SQL, which `weir sql` takes as it is" in err


def test_the_sql_alone_asks_no_lake(tmp_path: Path) -> None:
    code, out, _ = _weir("availability", "--sql", "--dir", str(tmp_path / "none"))
    assert code == 0
    assert "from gold.qos_pops_daily" in out
    assert not (tmp_path / "none").exists()


def test_without_a_name_all_metrics_are_listed() -> None:
    code, out, _ = _weir("--json")
    assert code == 0
    assert [m["metric"] for m in json.loads(out)] == list(load_registry().metrics)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("hit_ratio",), "nearest: "),
        (("requests", "--where", "1=1"), "--where: found '1'"),
        (("requests", "--by", "moon"), "is no dimension"),
    ],
)
def test_what_is_not_defined_is_refused_with_2(words: tuple[str, ...], said: str) -> None:
    code, out, err = _weir(*words)
    assert (code, out) == (2, "")
    assert said in err


def test_a_mart_that_was_never_published_is_named(home: Path) -> None:
    code, _, err = _weir("ctr", "--dir", str(home))
    assert code == 2
    assert "gold.engagement_hourly was not published yet" in err
