"""The SQL against the independent oracle, on random contracts and usages: difference 0."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from simulator.rating import Usage, month_after, rate
from simulator.tariffs import read_tariff

from .cases import Rated, documents, rated_together, table_of, text_of, usages

#: without shrinking, which takes minutes here; the blob of a failure reproduces it
_QUIET = settings(
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
    database=None,
    phases=(Phase.explicit, Phase.generate),
)
Case = tuple[dict[str, Any], list[Usage]]


class Cases(list[Case]):
    """Cases that print as their number: a failure shows its contract, not a million samples."""

    def __repr__(self) -> str:
        return f"{len(self)} cases"


#: ten a run: planning the SQL costs more than rating a few days
_TEN = st.lists(st.tuples(documents(), usages()), min_size=10, max_size=10).map(Cases)


def check_against_the_oracle(cases: Sequence[Case]) -> None:
    named = [
        (document | {"contract_id": f"c{i}", "vendor": f"v{i}"}, usage)
        for i, (document, usage) in enumerate(cases)
    ]
    table = pa.concat_tables(table_of(usage, vendor=d["vendor"]) for d, usage in named)
    found = rated_together(table, [d for d, _ in named])
    reach = [u.slot_start for _, usage in named for u in usage]
    for document, usage in named:
        _check(document, usage, found.of(document["contract_id"]), reach)


def _check(
    document: dict[str, Any], usage: list[Usage], found: Rated, reach: Sequence[dt.datetime]
) -> None:
    tariff = read_tariff(text_of(document))
    bills = {month: rate(tariff, month, usage) for month in _months(reach, tariff.zone)}
    for month, bill in bills.items():
        theirs: dict[Any, Decimal] = {}
        for line in bill.lines:
            key = (line.component_no, line.item, line.scope, line.tier_no)
            theirs[key] = theirs.get(key, Decimal(0)) + line.amount
        ours = {k: v for k, v in found.by_line(month).items() if v}
        theirs = {k: v for k, v in theirs.items() if v}
        if ours != theirs or found.totals().get(month, Decimal(0)) != bill.total:
            pytest.fail(
                f"{month}: sql {ours} is not the oracle's {theirs}, under\n{text_of(document)}",
                pytrace=False,
            )
    assert set(found.totals()) == {month for month, bill in bills.items() if bill.lines}


def _months(reach: Sequence[dt.datetime], zone: str) -> list[dt.date]:
    """Return the months from the first to the last usage at hand, in the contract's zone."""
    if not reach:
        return []
    first, last = (at.astimezone(ZoneInfo(zone)).date().replace(day=1)
                   for at in (min(reach), max(reach)))  # fmt: skip
    months = [first]
    while months[-1] < last:
        months.append(month_after(months[-1]))
    return months


@settings(_QUIET, max_examples=10)
@given(_TEN)
def test_the_sql_equals_the_oracle_on_a_hundred_contracts(cases: Cases) -> None:
    check_against_the_oracle(cases)


@pytest.mark.slow
@settings(_QUIET, max_examples=100)
@given(_TEN)
def test_the_sql_equals_the_oracle_on_a_thousand_contracts(cases: Cases) -> None:
    check_against_the_oracle(cases)
