"""The rating models run on Spark, and every bill there is DuckDB's, line by line.

Belongs here: that both engines say the same. Whether what they say is right: tests/rating.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from lake.contracts import TABLES
from lake.reads import quote_identifier
from orchestration.rating import ALLOCATIONS, MODELS, STREAMS, TRAFFIC, Models, build, rate
from simulator.rating import Usage
from tests.rating.cases import SCHEMA, contract, documents, parsed, table_of, usages

from .on_spark import Spark, ask_duckdb

pytestmark = pytest.mark.slow
NARROWED = "intermediate/billing/int_billing__narrowed"
MADE = Models()
#: what streams_hourly publishes: shares of an hour that leave a rest
OF_STREAMS = f"""
    select vendor, scope, pop, date_trunc('hour', slot_start) as hour, 's' || n as stream,
        cast(sum(requests) * (n + 1) // 7 as bigint) as requests,
        cast(sum(bytes) * (n + 2) // 11 as bigint) as bytes
    from {TRAFFIC} cross join range(3) as streams(n) where scope <> 'c'
    group by vendor, scope, pop, hour, n"""
Case = tuple[dict[str, Any], list[Usage]]
GRADUATED = [
    {"from_gb": 0, "to_gb": 3, "price_per_gb": "0.085", "flat": "12.345"},
    {"from_gb": 3, "to_gb": 40, "price_per_gb": "0.0601"},
    {"from_gb": 40, "price_per_gb": "0.02005"},
]
STEPS = [
    {"from_mbps": 0, "to_mbps": 7, "price_per_mbps": "11.5"},
    {"from_mbps": 7, "price_per_mbps": "9.333"},
]


def _rate(kind: str, **fields: Any) -> dict[str, Any]:
    return {"kind": kind, "price_per_mbps": "8.7654"} | fields


#: every price model that a contract can have, in zones whose clocks change in the month of usage
CONTRACTS: dict[str, dict[str, Any]] = {
    "graduated": contract(
        [{"kind": "per_gb_graduated", "tiers": GRADUATED}, {"kind": "fee", "amount": "9.995"}],
        rounding={"digits": 2, "mode": "half_even"},
    ),
    "volume": contract(
        [{"kind": "per_gb_volume", "tiers": GRADUATED, "per": "scope"}],
        unit="GiB", timezone="Europe/Berlin", rounding={"digits": 6, "mode": "down"},
    ),
    "regions": contract(
        [{"kind": "per_gb_graduated", "tiers": GRADUATED},
         {"kind": "per_gb_volume", "regions": ["eu"],
          "tiers": [{"from_gb": 0, "price_per_gb": "0.123456"}]}],
        regions={"eu": ["FRA"], "us": ["IAD", "FRA2"]},
        overhead={"factor": "1.033333", "low": "1", "high": "1.1"},
    ),
    "requests": contract(
        [{"kind": "requests", "price": "0.0075", "package": 10_000, "count": "ceil"},
         {"kind": "requests", "price": "0.3333", "package": 7, "schemes": ["https"]}],
        rounding={"digits": 0, "mode": "up"},
    ),
    "p95": contract([_rate("p95")], timezone="America/New_York"),
    "p95_of_scopes": contract([_rate("p95", per="scope", direction="max")]),
    "p95_of_days_with_traffic": contract(
        [_rate("p95", valid_days="traffic", direction="sum", round_mbps="up", minimum_mbps=5)],
        timezone="Asia/Kolkata",
    ),
    "p95_with_commit": contract(
        [_rate("p95", commit_mbps=3, overage_price_per_mbps="12.0001", valid_days="activation")],
        timezone="Europe/Berlin", activated_on=dt.date(2026, 10, 8),
    ),
    "daily_peak": contract(
        [{"kind": "daily_peak", "tiers": STEPS, "tier_rule": "graduated"}],
        timezone="Europe/Berlin", rate_unit="Mibps",
    ),
    "average_daily_peak": contract([_rate("average_daily_peak")], timezone="America/New_York"),
    "average_daily_p95": contract(
        [{"kind": "average_daily_p95", "tiers": STEPS, "tier_rule": "reached", "per": "scope"}]
    ),
    "fourth_peak": contract([_rate("fourth_peak", valid_days="traffic", round_mbps="down")]),
    "monthly_top5": contract([_rate("monthly_top5")], timezone="Asia/Shanghai"),
    "sums": contract(
        [{"kind": "per_gb_graduated", "tiers": GRADUATED}, {"kind": "fee", "amount": "100"},
         {"kind": "commit", "amount": "250", "overage_multiplier": "1.2"},
         {"kind": "minimum", "amount": "300.005"}, {"kind": "credit", "percent": "3.333"},
         {"kind": "credit", "amount": "20"}, {"kind": "tax", "percent": "7.7"}],
        overhead={"factor": "1.1"},
    ),
}  # fmt: skip


def _usage(number: int) -> list[Usage]:
    """Return usage of October 2026: silent days, bursts, equal peaks, hours of changed clocks."""
    start = dt.datetime(2026, 9, 30, 22, tzinfo=dt.UTC)
    slots = [*range(0, 40), *range(2000, 2600, 3), *range(6900, 7300, 2), *range(8800, 8960)]
    return [
        Usage(
            start + dt.timedelta(minutes=5 * slot),
            "abc"[slot % 3],
            (slot * 7_919 * (number + 1) % 977) * 1_000_003 + slot % 2,
            slot * 31 % 5000,
            (slot * 104_729 % 1_009) * 900_001,
            ("eu", "us", "asia")[slot % 7 % 3],
            ("http", "https", "other")[slot % 5 % 3],
        )
        for slot in slots
    ]


def _drawn() -> dict[str, Case]:
    """Return random contracts and usages, the same each time."""
    found: list[Case] = []

    @settings(
        max_examples=5,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(documents(), usages())
    def draw(document: dict[str, Any], used: list[Usage]) -> None:
        found.append((document, used))

    draw()
    return {f"drawn_{n}": case for n, case in enumerate(found)}


@pytest.fixture(scope="module")
def cases() -> dict[str, Case]:
    """Return contracts with usage, each under a name that is its vendor's too."""
    chosen = {name: (d, _usage(n)) for n, (name, d) in enumerate(CONTRACTS.items())}
    return chosen | _drawn()


def _located(usage: pa.Table) -> pa.Table:
    """Return usage with locations, by which some rows get their billing region."""
    pops = [("FRA50", "IAD3", "FRA2", None)[n % 9 % 4] for n in range(len(usage))]
    regions = [None if n % 4 == 0 else r for n, r in enumerate(usage["region"].to_pylist())]
    for name, values in (("pop", pops), ("region", regions)):
        at = SCHEMA.get_field_index(name)
        usage = usage.set_column(at, SCHEMA.field(name), pa.array(values, pa.string()))
    return usage


@pytest.fixture(scope="module")
def duckdb_rated(cases: dict[str, Case]) -> Iterator[duckdb.DuckDBPyConnection]:
    """Return DuckDB with every model; of every third contract, slots are incomplete."""
    usage = pa.concat_tables(
        _located(table_of(used, 10**6 if n % 3 else 876_543, vendor=name))
        for n, (name, (_document, used)) in enumerate(cases.items())
    )
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'; set threads = 1")
        connection.register(TRAFFIC, usage)
        named = [d | {"contract_id": n, "vendor": n} for n, (d, _used) in cases.items()]
        rate(connection, [parsed(document) for document in named])
        connection.execute(f"create temp table {STREAMS} as {OF_STREAMS}")
        for model in ALLOCATIONS:
            build(connection, MADE, model)
        yield connection


@pytest.fixture(scope="module")
def spark_rated(
    duckdb_rated: duckdb.DuckDBPyConnection, spark: Spark, tmp_path_factory: Any
) -> Spark:
    """Return Spark with every model, from the same contracts and usage."""
    folder: Path = tmp_path_factory.mktemp("rating")
    # DuckDB writes a whole number of 128 bits to Parquet as a double
    for name in (*TABLES, "int_billing__reach", TRAFFIC, STREAMS):
        kinds = TABLES.get(name, {})
        wide = [c for c, kind in kinds.items() if kind == "HUGEINT"]
        casts = ", ".join(f"cast({c} as decimal(38, 0)) as {c}" for c in wide)
        chosen = f"* replace ({casts})" if casts else "*"
        table = duckdb_rated.sql(f"select {chosen} from {quote_identifier(name)}").to_arrow_table()
        pq.write_table(table, folder / f"{name}.parquet")
        spark.read(name, folder / f"{name}.parquet")
    models = Models(engine="spark")
    for model in (*MODELS, *ALLOCATIONS):
        materialized, sql = models.sql(model)
        name = model.rsplit("/", 1)[-1]
        kind = "temporary view" if materialized == "view" else "table"
        using = "" if materialized == "view" else "using parquet "
        spark.ask(f"create {kind} {name} {using}as {sql}")
    return spark


def test_every_line_of_every_price_model_is_the_same_on_spark(
    duckdb_rated: duckdb.DuckDBPyConnection, spark_rated: Spark
) -> None:
    sql = "select * from bill_lines order by month, contract_id, line_no"
    ours, theirs = ask_duckdb(duckdb_rated, sql), spark_rated.ask(sql)
    at = duckdb_rated.sql(sql).columns.index("contract_id")
    assert CONTRACTS.keys() <= {row[at] for row in ours.rows}
    assert [(o, t) for o, t in zip(ours.rows, theirs.rows, strict=True) if o != t] == []


def test_every_bill_is_the_same_on_spark_low_expected_and_high(
    duckdb_rated: duckdb.DuckDBPyConnection, spark_rated: Spark, cases: dict[str, Case]
) -> None:
    sql = "select * from bills order by month, contract_id"
    ours = ask_duckdb(duckdb_rated, sql)
    assert ours.rows == spark_rated.ask(sql).rows
    assert len(ours.rows) >= len(cases)
    unsure = "select count(*) > 0 from bills where amount_low < amount and incomplete_slots > 0"
    assert ask_duckdb(duckdb_rated, unsure).rows == [[True]]


def test_every_part_of_a_split_bill_is_the_same_on_spark(
    duckdb_rated: duckdb.DuckDBPyConnection, spark_rated: Spark
) -> None:
    sql = "select * from bill_allocations order by 1, 2, 3, 4, 5, 6, 7"
    ours, theirs = ask_duckdb(duckdb_rated, sql), spark_rated.ask(sql)
    assert [(o, t) for o, t in zip(ours.rows, theirs.rows, strict=True) if o != t] == []
    split = """
        select distinct dimension from bill_allocations
        group by month, contract_id, method, dimension having count(distinct part) > 2 order by 1"""
    assert theirs.types[-2] == "decimal(38,6)"
    assert ask_duckdb(duckdb_rated, split).rows == [
        ["customer"], ["pop"], ["region"], ["stream"]
    ]  # fmt: skip


def test_both_ways_to_rank_a_95th_percentile_are_taken_on_spark(spark_rated: Spark) -> None:
    kinds = spark_rated.ask("select distinct is_exact from int_billing__direct order by 1").rows
    ranked = spark_rated.ask("select count(*) > 100 from int_billing__ranked").rows
    assert [True] in kinds
    assert ranked == [[True]]


def test_the_bill_is_the_same_for_usage_that_is_summed_before(
    duckdb_rated: duckdb.DuckDBPyConnection, spark_rated: Spark
) -> None:
    """The form that `weir bill` takes of a usage whose scopes no contract names."""
    _kind, sql = Models(engine="spark").sql(NARROWED, {"scope": "''", "pop": "''", "scheme": "''"})
    ours = "select sum(bytes), sum(requests), count(distinct slot_start) from int_billing__traffic"
    theirs = f"select sum(bytes), sum(requests), count(distinct slot_start) from ({sql}) as s"
    assert ask_duckdb(duckdb_rated, ours).rows == spark_rated.ask(theirs).rows
