"""MetricFlow, where it is installed, says of every metric what `weir metric` says.

`dbt-metricflow` is no dependency: these tests skip where `mf` is not beside this Python or on the
path (`pip install dbt-metricflow==0.15.0` adds seven packages to a locked environment).
"""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from dbt.cli.main import dbtRunner

from orchestration.metrics.query import Grain, Question, answerable
from orchestration.metrics.registry import load_registry
from orchestration.metrics.render import semantic

from .conftest import PROJECT, Weir, at, event, request

pytestmark = pytest.mark.slow
REGISTRY = load_registry()
MF = shutil.which("mf", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
#: a mart, the dimensions and the grain that its metrics are asked by
ASKED: dict[str, tuple[tuple[str, ...], Grain]] = {
    "qos_5m": (("cdn", "pop", "customer"), "hour"),
    "qos_places_hourly": (("country", "asn", "object_type"), "day"),
    "qos_hops_hourly": (("hop", "pop"), "hour"),
    "streams_hourly": (("stream", "customer"), "hour"),
    "engagement_hourly": (("scene",), "hour"),
    "bills": (("contract_id", "currency"), "month"),
}


def _metrics() -> dict[str, list[str]]:
    """Return the metrics that MetricFlow knows, by mart."""
    found: dict[str, list[str]] = {}
    for metric in semantic(REGISTRY)["metrics"]:
        found.setdefault(metric["config"]["meta"]["mart"], []).append(metric["name"])
    return found


@pytest.fixture(scope="module")
def lake(tmp_path_factory, runner: dbtRunner, plugins: None) -> Iterator[Weir]:
    """Return a lake of two hours with hits, misses, errors, aborts, relays, plays and a bill."""
    if MF is None:
        pytest.skip("mf is not installed")
    home = tmp_path_factory.mktemp("metricflow")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("WEIR_WAREHOUSE", "WEIR_CATALOG_URI", "WEIR_BUILD_FILE", "WEIR_BUILD_PLAN"):
            patch.delenv(name, raising=False)
        patch.setenv("WEIR_HOME", str(home))
        weir = Weir(home, runner)
        weir.deliver(
            *(
                request(
                    f"r{n}",
                    f"{n % 2:02d}:{n % 60:02d}",
                    cdn=("cloudfront", "cloudflare")[n % 3 == 0],
                    pop=("FRA50", "ZRH50", None)[n % 5 % 3],
                    customer=("acme", None)[n % 7 == 0],
                    country=("DE", None)[n % 4 == 0],
                    asn=(3320, None)[n % 6 == 0],
                    cache_status=("HIT", "MISS", "BYPASS", "SYNTH", "STALE")[n % 11 % 5],
                    is_edge_hit=n % 11 % 5 in (0, 4),
                    is_origin_fetch=n % 11 % 5 in (1, 2),
                    status=(200, 200, 404, 503, 499, 0)[n % 13 % 6],
                    client_aborted=n % 17 == 0,
                    bytes_out_total=60_000 + 997 * n,
                    duration_ms=40.0 + n,
                    is_viewer=n % 8 != 0,
                    sample_weight=(1, Decimal("2.5"))[n % 9 == 0],
                )
                for n in range(240)
            )
        )
        weir.happen(
            *(
                event(
                    f"e{n}",
                    f"{n % 2:02d}:{n % 60:02d}",
                    ("impression", "click", "play")[n % 4 % 3],
                    watch_ms=n * 500,
                    scene=("feed", "home")[n % 3 == 0],
                )
                for n in range(60)
            )
        )
        assert weir.run("tag:delivery tag:engagement", verb="run").success
        weir.publish(at("00:00"), at("01:00"))
        assert weir.run("tag:billing tag:rollup", verb="run").success
        assert weir.run("semantic", verb="run").success
        yield weir


def _mf(weir: Weir, *arguments: str) -> subprocess.CompletedProcess[str]:
    folders = {
        "DBT_PROFILES_DIR": str(PROJECT),
        "DBT_TARGET_PATH": str(weir.home / "mf"),
        "DBT_LOG_PATH": str(weir.home / "mf"),
        "PYTHONPATH": str(PROJECT.parent),
    }
    assert MF is not None
    done = subprocess.run(
        [MF, *arguments], cwd=PROJECT, env=os.environ | folders,
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def _value(text: str) -> float | None:
    return float(text) if text else None


def test_metricflow_finds_no_fault_in_the_semantic_models_nor_in_their_tables(lake: Weir) -> None:
    said = _mf(lake, "validate-configs").stdout
    assert said.count("ERRORS: 0, FUTURE_ERRORS: 0, WARNINGS: 0") == 6, said


@pytest.mark.parametrize("mart", sorted(ASKED))
def test_metricflow_answers_every_metric_as_weir_metric_does(lake: Weir, mart: str) -> None:
    names = _metrics()[mart]
    by, grain = ASKED[mart]
    groups = [f"metric_time__{grain}", *(f"{mart}_group__{d}" for d in by)]
    path = lake.home / f"{mart}.csv"
    _mf(
        lake,
        *("query", "--metrics", ",".join(names), "--group-by", ",".join(groups)),
        *("--csv", str(path), "--quiet"),
    )
    with path.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    only = replace(REGISTRY, marts={mart: REGISTRY.marts[mart]})
    assert rows
    for name in names:
        metric = REGISTRY.metric(name.removesuffix("_by_place"))
        asked = answerable(only, Question(metric, by=by, grain=grain))
        ours = {
            tuple(
                str(v) for v in (r[0].strftime("%Y-%m-%d %H:%M:%S"), *r[1 : len(groups)])
            ): _number(r[len(groups)])
            for r in lake.rows(asked.sql.replace("from gold.", "from marts."))
        }
        theirs = {tuple(r[g] for g in groups): _value(r[name]) for r in rows}
        assert ours.keys() == theirs.keys(), name
        expected = {k: v if v is None else pytest.approx(v, rel=1e-9) for k, v in ours.items()}
        assert theirs == expected, name


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def test_every_metric_that_metricflow_knows_is_asked() -> None:
    assert _metrics().keys() == ASKED.keys()
