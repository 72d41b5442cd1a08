"""Samples: what is measured slot by slot, and that ranking them as they come changes no bill."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from orchestration.rating import TRAFFIC, rate
from simulator.rating import Usage

from .cases import MODELS, contract, local_slots, parsed, rated, table_of

P95 = {"kind": "p95", "price_per_mbps": "1.37", "per": "scope"}
#: prices traffic of a region that nobody has: what it stands beside is summed before it is ranked
ELSEWHERE = {"kind": "p95", "price_per_mbps": 1, "per": "scope", "regions": ["nowhere"]}
MARCH = dt.date(2026, 3, 1)
BILLED = (
    "select month, scope, amount, logged, estimated, quantity, billed_slot, billed_rank, samples, "
    "valid_days, tier_no from bill_lines order by all"
)


@contextmanager
def rating(table: pa.Table, *documents: dict[str, Any]) -> Iterator[duckdb.DuckDBPyConnection]:
    """Give the database in which usage was rated under contracts."""
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'; set threads = 1")
        connection.register("int_billing__traffic", table)
        rate(connection, [parsed(d) for d in documents], MODELS)
        yield connection


def incomplete(table: pa.Table, rows: Sequence[int], ppm: int) -> pa.Table:
    """Return usage of which some rows lack deliveries."""
    at = table.schema.get_field_index("completeness_ppm")
    values = [ppm if i in rows else 10**6 for i in range(table.num_rows)]
    return table.set_column(at, table.schema.field(at), pa.array(values, pa.int32()))


def test_a_sample_says_logged_factor_with_its_interval_and_billed_and_silence_is_0() -> None:
    slots = local_slots("Europe/Berlin", MARCH, 2)
    usage = [Usage(slots[0], "a", 1001), Usage(slots[1], "a", 10), Usage(slots[0], "b", 5)]
    overhead = {"factor": "1.1", "low": "1.05", "high": "1.2"}
    document = contract([P95], timezone="Europe/Berlin", overhead=overhead)
    with rating(incomplete(table_of(usage), [1], 300_000), document) as connection:
        ours = connection.execute(
            "select scope, slot_start, completeness_ppm, logged_bytes, estimated_bytes, "
            "billed_bytes from int_billing__samples where logged_bytes > 0 order by all"
        ).fetchall()
        assert ours == [
            ("a", slots[0], 10**6, 1001, 0, 1101),  # 1101.1
            ("a", slots[1], 300_000, 10, 24, 37),  # 34 of which 10 are in; 37.4
            ("b", slots[0], 10**6, 5, 0, 6),  # 5.5
        ]
        spine = connection.execute(
            "select scope, count(*), count(distinct slot_start), min(slot_start), "
            "sum(logged_bytes), min(day), max(day), min(factor)::varchar, "
            "min(factor_low)::varchar, max(factor_high)::varchar "
            "from int_billing__samples group by scope order by scope"
        ).fetchall()
        rest = (8916, 8916, slots[0])  # an hour less: clocks change
        ends = (MARCH, dt.date(2026, 3, 31), "1.100000", "1.050000", "1.200000")
        assert spine == [("a", *rest, 1011, *ends), ("b", *rest, 5, *ends)]


def _ranked_as_they_come(
    usage: Sequence[Usage], incomplete_rows: Sequence[int] = ()
) -> list[tuple[str, bool]]:
    """Return the scopes that were ranked in one pass, and whether that was right."""
    table = incomplete(table_of(usage), incomplete_rows, 999_999)
    with rating(table, contract([P95 | {"direction": "sum"}])) as connection:
        return connection.execute(
            "select scope, is_exact from int_billing__direct order by scope"
        ).fetchall()


def test_rows_are_ranked_as_they_come_only_where_each_is_a_sample() -> None:
    slots = local_slots("UTC", MARCH)
    usage = [Usage(slots[0], scope, 10**9) for scope in "abcd"]
    usage += [Usage(slots[1], "a", 7), Usage(slots[0], "b", 7)]
    usage += [Usage(slots[1], "d", 2**48 - 1, bytes_in=2**48 - 1)]
    # b has two rows of a slot, c an incomplete one
    expected = [("a", True), ("b", False), ("c", False), ("d", True)]
    assert _ranked_as_they_come(usage, [2]) == expected


@pytest.mark.parametrize("huge", [{"bytes": 2**48}, {"bytes": 1, "bytes_in": 2**48}])
def test_usage_with_a_row_too_large_for_a_narrow_key_is_summed_first(huge: dict[str, int]) -> None:
    slots = local_slots("UTC", MARCH)
    usage = [Usage(slots[0], "a", 10**9), Usage(slots[1], "b", **huge)]
    assert _ranked_as_they_come(usage[:1]) == [("a", True)]
    assert _ranked_as_they_come(usage) == []


def _rate_unreadable(usage: Sequence[Usage], column: str, components: list[dict[str, Any]]) -> None:
    """Rate usage of which a column fails as soon as it is read."""
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.register("readable", table_of(usage))
        failing = f"case when bytes >= 0 then error('{column} was read') end"
        connection.execute(
            f"create view {TRAFFIC} as select * replace (cast({failing} as bigint) as {column}) "
            "from readable"
        )
        rate(connection, [parsed(contract(components))], MODELS)


@pytest.mark.parametrize("per", ["account", "scope"])
def test_a_column_that_no_contract_prices_is_not_read_and_no_figure_stands_for_it(per: str) -> None:
    usage = [Usage(s, "a", 10**9, requests=7, bytes_in=5) for s in local_slots("UTC", MARCH)]
    fee = {"kind": "requests", "price": "0.01"}
    ours, others = P95 | {"per": per}, P95 | {"direction": "max"}
    for column in ("requests", "bytes_in"):
        _rate_unreadable(usage, column, [ours])
        with pytest.raises(duckdb.Error, match=f"{column} was read"):
            _rate_unreadable(usage, column, [others, fee])
    [unpriced] = rated(usage, contract([P95 | {"per": per}])).bills
    [priced] = rated(usage, contract([P95 | {"per": per}, fee])).bills
    assert (unpriced["requests"], priced["requests"]) == (None, 7 * 288)
    assert unpriced["logged_bytes"] == priced["logged_bytes"] == 288 * 10**9


def _random_usage(dice: random.Random, zone: str) -> list[Usage]:
    """Return four scopes: one row a slot, few slots, several rows a slot, nothing but zeros."""
    slots = local_slots(zone, MARCH, 31)
    often = [s for s in slots if dice.random() < 0.9]
    sizes = [dice.choice([0, 5, 10**9, dice.randrange(10**10)]) for _ in often]
    usage = [
        Usage(s, "a", size, bytes_in=dice.randrange(10**10))
        for s, size in zip(often, sizes, strict=True)
    ]
    usage += [Usage(s, "b", 10**9, bytes_in=3) for s in dice.sample(slots, 300)]
    usage += [Usage(s, "c", dice.randrange(10**10)) for s in dice.choices(slots, k=5000)]
    usage += [Usage(s, "d", 0) for s in slots[:40]]
    dice.shuffle(usage)
    return usage


@pytest.mark.parametrize("valid_days", ["month", "activation", "traffic"])
@pytest.mark.parametrize(
    ("direction", "zone"),
    [("egress", "UTC"), ("max", "Europe/Berlin"), ("sum", "Asia/Shanghai")],
)
def test_ranked_as_they_come_or_summed_first_the_bill_is_the_same(
    direction: str, zone: str, valid_days: str
) -> None:
    dice = random.Random(f"{direction} {valid_days}")
    table = table_of(_random_usage(dice, zone))
    frame = {"timezone": zone, "activated_on": dt.date(2026, 3, 9)}
    priced = P95 | {"direction": direction, "valid_days": valid_days}
    with rating(table, contract([priced], **frame)) as connection:
        direct = connection.execute(BILLED).fetchall()
        bills = connection.execute("from bills").fetchall()
        exact = connection.execute(
            "select scope, is_exact from int_billing__direct order by scope"
        ).fetchall()
    assert exact == [("a", True), ("b", True), ("c", False), ("d", True)]
    with rating(table, contract([priced, ELSEWHERE], **frame)) as connection:
        assert connection.execute("from int_billing__direct").fetchall() == []
        assert connection.execute(BILLED).fetchall() == direct
        assert connection.execute("from bills").fetchall() == bills
    assert len(direct) >= 3


def test_a_contract_of_named_customers_and_one_of_the_rest_rank_their_own_alone() -> None:
    usage = [Usage(s, scope, size * 37_500_000)
             for scope, size in (("a", 1), ("b", 2), ("c", 4))
             for s in local_slots("UTC", MARCH, 31)]  # fmt: skip
    named = contract([P95], contract_id="named", customers=["b"])
    rest = contract([P95 | {"price_per_mbps": 1}], contract_id="rest")
    with rating(table_of(usage), named, rest) as connection:
        found = connection.execute(
            "select contract_id, scope, quantity, amount::varchar from bill_lines order by all"
        ).fetchall()
    assert found == [
        ("named", "b", 2, "2.740000"), ("rest", "a", 1, "1.000000"), ("rest", "c", 4, "4.000000"),
    ]  # fmt: skip


def test_sums_of_months_beside_samples_keep_their_bytes() -> None:
    """A month's sum is no sample, but it is usage of the contract."""
    table = table_of([Usage(s, "a", 37_500_000) for s in local_slots("UTC", MARCH, 31)])
    month = {"slot_start": None, "period": MARCH, "bytes": 99}
    whole = pa.Table.from_pylist([*table.to_pylist(), table.slice(0, 1).to_pylist()[0] | month],
                                 table.schema)  # fmt: skip
    with rating(whole, contract([P95])) as connection:
        bills = connection.execute("select logged_bytes, amount::varchar from bills").fetchall()
    assert bills == [(8928 * 37_500_000 + 99, "1.370000")]


@pytest.mark.parametrize("per", ["scope", "account"])
def test_usage_of_a_vendor_without_a_contract_changes_no_bill(per: str) -> None:
    slots = local_slots("UTC", MARCH, 31)
    usage = [Usage(s, "a", 37_500_000) for s in slots]
    tables = [table_of(usage), table_of([Usage(s, "a", 10**10) for s in slots], vendor="other")]
    bills = []
    for rows in (tables[:1], tables):
        with rating(pa.concat_tables(rows), contract([P95 | {"per": per}])) as connection:
            bills.append(connection.execute("select logged_bytes, amount from bills").fetchall())
    assert bills[0] == bills[1] == [(8928 * 37_500_000, Decimal("1.37"))]


@pytest.mark.parametrize("per", ["scope", "account"])
def test_contracts_of_two_vendors_bill_each_its_own_usage(per: str) -> None:
    slots = local_slots("UTC", MARCH, 31)
    table = pa.concat_tables(
        table_of([Usage(s, "a", size * 37_500_000) for s in slots], vendor=vendor)
        for vendor, size in (("one", 1), ("two", 2))
    )
    documents = [contract([P95 | {"per": per}], contract_id=v, vendor=v) for v in ("one", "two")]
    with rating(table, *documents) as connection:
        found = connection.execute("select contract_id, amount from bills order by 1").fetchall()
    assert found == [("one", Decimal("1.37")), ("two", Decimal("2.74"))]


@pytest.mark.parametrize("kind", ["p95", "daily_peak", "fourth_peak"])
@pytest.mark.parametrize("values", [3, 10**9], ids=["many alike", "few alike"])
def test_the_billed_slot_is_the_first_of_its_day_or_month_with_the_billed_sample(
    kind: str, values: int
) -> None:
    dice = random.Random(f"{kind} {values}")
    usage = [Usage(s, "a", dice.randrange(1, values)) for s in local_slots("UTC", MARCH, 31)]
    document = contract([P95 | {"kind": kind}])
    with rating(table_of(dice.sample(usage, len(usage))), document) as connection:
        lines = connection.execute(
            "select billed_day, logged, billed_slot from bill_lines"
        ).fetchall()
    assert len(lines) == (31 if kind == "daily_peak" else 1)
    for day, sample, slot in lines:
        alike = [u.slot_start for u in usage
                 if u.bytes == sample and day in (None, u.slot_start.date())]  # fmt: skip
        assert slot == min(alike)
