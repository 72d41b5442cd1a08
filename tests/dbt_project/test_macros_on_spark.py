"""Every macro that an engine has in a form of its own says the same on DuckDB and on Spark.

Belongs here: what macros make of edge values. Whole models: test_rating_on_spark.
"""

from __future__ import annotations

import datetime as dt
import itertools
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from .on_spark import Spark, SparkError, ask_duckdb, macros_of, missing
from .test_portability import KNOWN

WHOLE = pa.decimal128(38, 0)
INSTANT = pa.timestamp("us", tz="UTC")
MODES = ("half_up", "half_even", "up", "down")
LARGEST_WHOLE = 10**38 - 1
#: numerators and denominators: halves and what is beside them, 64 bits, 53 bits and one more,
#: a quotient of 32 digits (money has room for no more), 38 digits
DIVISIONS = [
    (0, 1), (0, 7), (1, 2), (3, 2), (5, 2), (7, 2), (1, 3), (2, 3), (10, 4), (14, 4), (9, 4),
    (2**53 + 1, 1), (2**63, 300), (2**64 + 1, 2), (10**32 - 1, 1), (10**38 - 1, 10**7),
    (10**37 + 5 * 10**9, 10**10), (1, 10**37), (None, 3), (3, None),
]  # fmt: skip
#: of zones whose clocks change, hours around it; the epoch; a leap day; parts of a second
MOMENTS = [
    "1970-01-01T00:00:00", "1970-01-01T00:04:59.999999", "2024-02-29T23:59:59.999999",
    "2026-03-29T00:59:59", "2026-03-29T01:00:00", "2026-03-08T06:59:59.5", "2026-03-08T07:00:00",
    "2026-10-25T00:30:00", "2026-10-25T01:00:00", "2026-11-01T05:59:59.000001",
    "2026-11-16T05:07:09", "2099-12-31T23:59:59.999999",
]  # fmt: skip
#: zones east and west, of half an hour, and without a midnight where clocks go forward. Not those
#: where it comes twice (Azores, Havana): DuckDB takes the second, zoneinfo the first; not asked.
ZONES = (
    "UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Asia/Shanghai",
    "Australia/Lord_Howe", "Africa/Cairo", "America/Santiago",
)  # fmt: skip
DAYS = [
    *(dt.date(2024, 2, day) for day in (28, 29)), dt.date(2026, 1, 31), dt.date(2026, 3, 8),
    *(dt.date(2026, 3, day) for day in (28, 29, 30)), dt.date(2026, 4, 24), dt.date(2026, 9, 6),
    *(dt.date(2026, 10, day) for day in (4, 25, 26, 30)), dt.date(2026, 11, 1),
    dt.date(2026, 12, 31), None,
]  # fmt: skip


def _utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(f"{text}+00:00")


def _table(names: list[tuple[str, pa.DataType]], rows: list[Any]) -> pa.Table:
    """Return rows with an id in front, by which answers are ordered."""
    schema = pa.schema([("id", pa.int32()), *names])
    records = [dict(zip(schema.names, (n, *row), strict=True)) for n, row in enumerate(rows)]
    return pa.Table.from_pylist(records, schema)


def _decimal(value: int | None) -> Decimal | None:
    return None if value is None else Decimal(value)


def _tables() -> dict[str, pa.Table]:
    wholes = [
        (_decimal(n), _decimal(d), mode) for n, d in DIVISIONS for mode in (*MODES, None)
    ]  # fmt: skip
    longs = [(2**53 + 1, 1), (2**62 + 12345, 16384), (2**63 - 1, 3), (7, 2), (0, 5), (None, 5)]
    micros = [0, 1, -1, 999_999, -999_999, 1_234_567_890_123_456, 10**32 - 1, 1 - 10**32, None]
    billionths = [0, 1, 999_999_999, 10**9, 123_456_789_012_345_678, 10**29 - 1, 1 - 10**29, None]
    amounts = [
        "0",
        "0.000001",
        "-0.000001",
        "0.005",
        "1234567.654321",
        "-999999999999.999999",
        None,
    ]
    instants = [_utc(m) for m in MOMENTS]
    places = [(g, s, p) for g, s, p in [
        (0, 5, 3), (0, 5, 1), (0, 9, 2), (0, 0, 4), (0, 5, 9000), (1, None, 1), (1, 7, 1),
        (1, 2**48 - 1, 8927), (2, None, 5), (0, 2**48 - 1, 9999), (1, 2**48 - 1, 0), (3, 5, None),
    ]]  # fmt: skip
    touched = pa.struct([("hour", INSTANT), ("rows", pa.int64())])
    hours = [{"hour": _utc(m), "rows": n} for n, m in enumerate(MOMENTS[:3])]
    return {
        "wholes": _table([("n", WHOLE), ("d", WHOLE), ("mode", pa.string())], wholes),
        "longs": _table([("n", pa.int64()), ("d", pa.int64())], longs),
        "micros": _table([("n", WHOLE)], [(_decimal(n),) for n in micros]),
        "billionths": _table([("n", WHOLE)], [(_decimal(n),) for n in billionths]),
        "amounts": _table(
            [("a", pa.decimal128(18, 6))], [(None if a is None else Decimal(a),) for a in amounts]
        ),
        "instants": _table(
            [("x", INSTANT), ("y", INSTANT)],
            [*itertools.product(instants[:2], instants), (None, instants[0])],
        ),
        "zoned": _table(
            [("day", pa.date32()), ("zone", pa.string())], [*itertools.product(DAYS, ZONES)]
        ),
        "moved": _table(
            [("day", pa.date32()), ("n", pa.int64())],
            [*itertools.product(DAYS, (0, 1, -1, 11, 12, 31, None))],
        ),
        "samples": _table(
            [("of", pa.int32()), ("sample", pa.int64()), ("place", pa.int32())], places
        ),
        "lists": _table(
            [("list", pa.list_(pa.int64())), ("k", pa.int64())],
            [([9, 7, 5], 1), ([9, 7, 5], 3), ([9, 7, 5], 4), ([9], 448), ([], 1), (None, 1),
             ([2**62, 1], 2), ([9, None], 2), ([9, 7], None)],
        ),
        "spreads": _table(
            [("hours", pa.list_(touched)), ("names", pa.list_(pa.string()))],
            [(hours, ["", "a,b", None]), (hours[:1], ["ü"]), ([], []), (None, None)],
        ),
    }  # fmt: skip


#: what is asked of both engines, under the name of what it shows
ASKED = {
    "whole": "select id, {{ whole('n') }} from wholes order by id",
    "div_floor": "select id, {{ div_floor(whole('n'), whole('d')) }} from wholes order by id",
    "div_floor_of_64_bits": "select id, {{ div_floor('n', 'd') }} from longs order by id",
    "div_rounded": """
        select id, mode, {{ div_rounded('n', 'd', 'mode') }}
        from (select id, {{ whole('n') }} as n, {{ whole('d') }} as d, mode from wholes) as w
        where n is null or n < {{ whole("'1' || repeat('0', 37)") }} order by id""",
    "completed": """
        select id, {{ completed('n') }}
        from (select id, n, cast(d as integer) as completeness_ppm from longs) as l order by id""",
    "money": "select id, {{ money('n') }} from micros order by id",
    "micros": "select id, {{ micros('a') }} from amounts order by id",
    "quantity": """
        select id, {{ quantity('n') }}, {{ bytes_to_gb('n') }} from billionths order by id""",
    "instant": """
        select id, x = {{ instant('2026-03-29T01:00:00+00:00') }},
            {{ instant('2026-03-29T03:00:00+02:00') }}, cast(null as {{ instant_type() }}),
            cast({{ instant('2026-10-25T00:30:00Z') }} as {{ instant_type() }})
        from instants order by id""",
    "slot_start": """
        select id, {{ slot_start('y', 300) }}, {{ slot_start('y', 3600) }},
            {{ slot_start('y', 86400) }}
        from instants order by id""",
    "slot_number": "select id, {{ slot_number('y') }} from instants order by id",
    "slot_after": """
        select id, {{ slot_after('y', 0) }}, {{ slot_after('y', 'cast(id as bigint) * 8927') }},
            {{ slot_after('y', key_place('cast(id as bigint)')) }}
        from instants order by id""",
    "slots_between": """
        select id, {{ slots_between('x', 'y') }}, {{ slots_between('y', 'x') }}
        from instants order by id""",
    "midnight": "select id, day, zone, {{ midnight('day', 'zone') }} from zoned order by id",
    "add_days": "select id, {{ add_days('day', 'n') }} from moved order by id",
    "add_months": "select id, {{ add_months('day', 'n') }} from moved order by id",
    "days_between": """
        select id, {{ days_between("date '2024-02-28'", 'day') }},
            {{ days_between('day', "date '2024-02-28'") }}
        from moved order by id""",
    "spine": "select * from ({{ spine('day', '2024-02-27', '2024-03-02') }}) as s order by 1",
    "spine_of_minutes": """
        select count(*), min(starts_at), max(starts_at)
        from ({{ spine('minute', '2026-03-29', '2026-03-30') }}) as s""",
    "numbers": "select n, n + 1 from {{ numbers(300) }} as numbers order by 1",
    "numbers_below_0": "select count(*) from {{ numbers(0) }} as numbers",
    "largest": """
        select of,
            {% for k in [1, 3, 448] %}
            {{ largest(sample_key('sample', turn('place')), k) }}, {% endfor %}
            {{ largest(sample_key(whole('sample'), turn('place')), 'coalesce(of, 1) + 1') }}
        from samples where sample is not null and place is not null
        group by of order by of""",
    "largest_of_nothing": """
        select of, {{ nth(largest('sample', 3), 1) }} from samples group by of order by of""",
    "nth": "select id, {{ nth('list', 1) }}, {{ nth('list', 'k') }} from lists order by id",
    "first_below": """
        select id, {{ first_below('list', 9) }}, {{ first_below('list', 'k') }}
        from lists order by id""",
    "keys": """
        select id, {{ key_sample(sample_key('sample', turn('place'))) }},
            {{ key_place(sample_key('sample', turn('place'))) }},
            {{ key_sample(sample_key(whole('sample'), turn('place'))) }},
            {{ key_place(sample_key(whole('sample'), turn('place'))) }}
        from samples order by id""",
    "count_turns": """
        select of, {{ count_turns(turn('place')) }} from samples group by of order by of""",
    "each_of": """
        select spreads.id, touched.hour, touched.rows
        from spreads {{ each_of('spreads.hours', 'touched') }} order by 1, 2""",
    "each_of_texts": """
        select spreads.id, touched
        from spreads {{ each_of('spreads.names', 'touched') }} order by 1, 2 nulls last""",
}
#: of a money column the type is part of the answer: digits before and behind the point
MONEY = {"money": "decimal(38,6)", "quantity": "decimal(38,9)"}
#: what fits no whole number or no amount: an error, never a wrong sum
TOO_LARGE = {
    "product": "select {{ whole('n') }} * {{ whole('n') }} from wholes",
    "sum": "select {{ whole('sum(n)') }} from (select {{ whole('n') }} as n from wholes) as w",
    "money": "select {{ money(whole('n')) }} from wholes",
    "quantity": "select {{ quantity(whole('n')) }} from wholes",
    "sample_key": "select {{ sample_key('n', 'd') }} from longs",
}


@pytest.fixture(scope="module")
def tables() -> dict[str, pa.Table]:
    return _tables()


@pytest.fixture(scope="module")
def connection(tables: dict[str, pa.Table]) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connected:
        connected.execute("set TimeZone = 'UTC'; set threads = 1")
        for name, table in tables.items():
            connected.register(name, table)
        yield connected


@pytest.fixture(scope="module")
def filled(spark: Spark, tables: dict[str, pa.Table], tmp_path_factory: Any) -> Spark:
    """Return Spark with the relations of edge values."""
    folder: Path = tmp_path_factory.mktemp("edges")
    for name, table in tables.items():
        pq.write_table(table, folder / f"{name}.parquet")
        spark.read(name, folder / f"{name}.parquet")
    return spark


def _sql(engine: str, template: str) -> str:
    return macros_of(engine).from_string(template).render()


@pytest.mark.slow
@pytest.mark.parametrize("name", ASKED)
def test_a_macro_says_the_same_on_both_engines(
    name: str, filled: Spark, connection: duckdb.DuckDBPyConnection
) -> None:
    ours = ask_duckdb(connection, _sql("duckdb", ASKED[name]))
    theirs = filled.ask(_sql("spark", ASKED[name]))
    differ = [(o, t) for o, t in zip(ours.rows, theirs.rows, strict=True) if o != t]
    assert differ == []
    assert ours.rows
    if name in MONEY:
        assert {re.sub(" ", "", t) for t in (*ours.types[1:], *theirs.types[1:])} == {MONEY[name]}


@pytest.mark.slow
@pytest.mark.parametrize("name", TOO_LARGE)
def test_what_does_not_fit_is_an_error_on_both_engines(
    name: str, filled: Spark, connection: duckdb.DuckDBPyConnection
) -> None:
    with pytest.raises((duckdb.OutOfRangeException, duckdb.ConversionException)):
        ask_duckdb(connection, _sql("duckdb", TOO_LARGE[name]))
    with pytest.raises(SparkError, match=r"OUT_OF_RANGE|OVERFLOW"):
        filled.ask(_sql("spark", TOO_LARGE[name]))


@pytest.mark.slow
def test_a_form_that_is_wrong_on_spark_would_be_seen(
    filled: Spark, connection: duckdb.DuckDBPyConnection
) -> None:
    """A quotient of doubles, as a plain division of 64-bit numbers is on Spark."""
    ours = ask_duckdb(connection, _sql("duckdb", ASKED["div_floor_of_64_bits"]))
    theirs = filled.ask("select id, cast(floor(n / d) as decimal(38, 0)) from longs order by id")
    assert ours.rows != theirs.rows


@pytest.mark.slow
def test_requested_periods_are_replaced_in_one_commit_of_iceberg(spark: Spark) -> None:
    """A month that became empty loses its rows, and the others stay."""
    if not spark.has_iceberg:
        pytest.skip("WEIR_SPARK_ICEBERG names no runtime of Iceberg for Spark")
    months = "values ('a', date '2026-01-01'), ('b', date '2026-02-01'), ('c', date '2026-03-01')"
    spark.ask(
        "create table lake.n.bills (k string, month date) using iceberg partitioned by (month)"
    )
    spark.ask(f"insert into lake.n.bills {months}")
    spark.ask(
        "create or replace temporary view fresh as select 'd' as k, date '2026-02-01' as month"
    )
    asked = "\"month in (date '2026-02-01', date '2026-03-01')\""
    call = (
        f"adapter.dispatch('replace_periods_sql', '')('lake.n.bills', 'fresh', 'k, month', {asked})"
    )
    spark.ask(_sql("spark", f"{{{{ {call} }}}}"))
    assert spark.ask("select k from lake.n.bills order by k").rows == [["a"], ["d"]]
    assert spark.ask("select count(*) from lake.n.bills.snapshots").rows == [[{"number": "2"}]]


def test_every_dispatched_macro_is_asked_of_both_engines() -> None:
    rendered = " ".join((*ASKED.values(), *TOO_LARGE.values()))
    called = set()
    environment = macros_of("spark")
    adapter = environment.globals["adapter"]
    dispatch = adapter.dispatch  # type: ignore[attr-defined]

    def noting(name: str, package: str) -> Any:
        called.add(name)
        return dispatch(name, package)

    adapter.dispatch = noting  # type: ignore[attr-defined]
    environment.from_string(rendered).render()
    assert called | {"replace_periods_sql"} == KNOWN


def test_without_java_17_or_pyspark_the_reason_is_said(tmp_path: Path) -> None:
    assert (
        "WEIR_SPARK_PYTHON" in str(missing({"PATH": str(tmp_path)}))
        or missing({"PATH": str(tmp_path)}) == "no Java 17 in JAVA_HOME or on the path"
    )
    named = {"WEIR_SPARK_PYTHON": "python", "PATH": str(tmp_path)}
    assert missing(named) == "no Java 17 in JAVA_HOME or on the path"
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\necho 'openjdk version \"25.0.1\"' >&2\n")
    java.chmod(0o755)
    assert missing(named) == f"{java} is Java 25, not 17"
