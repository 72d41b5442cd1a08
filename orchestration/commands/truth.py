"""Comparing what the pipeline says with the simulator's truth ledger; for the demo and tests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

Number = int | Decimal

_LINES = {
    "physical lines": ("lines", "lines_physical"),
    "header lines": ("header", "lines_header"),
    "blank lines": ("blank", "lines_blank"),
    "accepted lines": ("accepted", "lines_good"),
    "rejected lines": (
        "rejected",
        "truncated_line + bad_utf8 + garbage + wrong_type + bad_time + ragged + outside_period",
    ),
}
_QOS = (
    "requests", "bytes", "eligible_requests", "hit_requests", "eligible_bytes", "hit_bytes",
    "errors_4xx", "errors_5xx", "no_response", "aborted",
)  # fmt: skip
_ENGAGEMENT = ("impressions", "clicks", "plays", "valid_plays", "watch_ms", "likes")

_PLACES = """
create view places as
select hour, cdn, country, asn, count(*) as requests, sum(bytes) as bytes
from (
    select any_value(cdn) as cdn, any_value(country) as country, any_value(asn) as asn,
        any_value(bytes_out_total) as bytes, date_trunc('hour', any_value(event_time)) as hour
    from bronze.cdn_requests where is_viewer group by row_key
)
group by all
"""

_LINES_OF = """
select month || ' ' || contract_id || ' ' || component_no || '. ' || item
    || coalesce(' ' || cast(tier_no as varchar), ''),
    sum(cast(quantity as decimal(38, 9))), sum(cast(amount as decimal(38, 6)))
from {} group by month, contract_id, component_no, item, tier_no
"""


@dataclass(frozen=True)
class Check:
    """One figure of the pipeline beside the truth; exact, so the difference must be 0."""

    group: str
    of: str
    figure: str
    pipeline: Number
    truth: Number

    @property
    def name(self) -> str:
        """Return the check's name."""
        return f"{self.group}: {self.of}: {self.figure}"

    @property
    def difference(self) -> Number:
        """Return pipeline - truth."""
        return self.pipeline - self.truth


@dataclass(frozen=True)
class Estimate:
    """A percentile from buckets beside the exact one; the error must stay within the bound."""

    of: str
    figure: str
    pipeline: float
    truth: float
    bound: float = 0.01

    @property
    def name(self) -> str:
        """Return the estimate's name."""
        return f"ttfb: {self.of}: {self.figure}"

    @property
    def relative_error(self) -> float:
        """Return |pipeline - truth| / truth."""
        return abs(self.pipeline - self.truth) / self.truth if self.truth else abs(self.pipeline)

    @property
    def is_within(self) -> bool:
        """Tell whether the error is within the bound."""
        return self.relative_error <= self.bound + 1e-9


class Truth:
    """The comparison, over views of the lake and the Parquet files of the ledger."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, ledger: Path) -> None:
        self._connection = connection
        for path in sorted(ledger.glob("*.parquet")):
            name = path.stem
            connection.execute(
                f"create view truth_{name} as select * from read_parquet('{path.as_posix()}')"
            )
        connection.execute(
            "create view latest as select * from ops.deliveries "
            "qualify row_number() over (partition by delivery_id order by change_no desc) = 1"
        )
        connection.execute(_PLACES)

    def checks(self) -> list[Check]:
        """Return every exact comparison."""
        return [
            *self._lines(),
            *self._traffic(),
            *self._qos(),
            *self._engagement(),
            *self._places(),
            *self._usage(),
            *self._bills(),
        ]

    def estimates(self, percentile_sql: str) -> list[Estimate]:
        """Return TTFB percentiles by CDN.

        percentile_sql: SQL of cdn, q, value over gold.ttfb_buckets_hourly.
        """
        found = {(c, float(q)): v for c, q, v in self._rows(percentile_sql)}
        result = []
        for cdn, p50, p95, p99 in self._rows(
            "select cdn, p50_ms, p95_ms, p99_ms from truth_ttfb order by 1"
        ):
            for q, exact in ((0.5, p50), (0.95, p95), (0.99, p99)):
                ours = float(found.get((cdn, q), 0.0))
                result.append(Estimate(cdn, f"p{int(q * 100)} ms", ours, float(exact)))
        return result

    def _rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql).fetchall()

    def _lines(self) -> list[Check]:
        ours = ", ".join(f"sum({c})" for c, _ in _LINES.values())
        theirs = ", ".join(f"sum({t})" for _, t in _LINES.values())
        pipeline = {
            r[0]: r[1:]
            for r in self._rows(
                f"select source, count(*), count(*) filter (where lines is null), {ours} "
                "from latest group by 1"
            )
        }
        truth = {
            r[0]: r[1:]
            for r in self._rows(
                "select feed, count(*) filter (where arrival_at is not null), count(*) filter "
                f"(where arrival_at is not null and not is_whole), {theirs} "
                "from truth_files group by 1"
            )
        }
        names = ["deliveries", "refused deliveries", *_LINES]
        return _compare("lines", names, pipeline, truth)

    def _traffic(self) -> list[Check]:
        cells = self._rows(
            "select cdn, count(*) filter (where coalesce(g.requests, 0) <> "
            "coalesce(t.requests_delivered, 0) or coalesce(g.bytes, 0) <> "
            "coalesce(t.bytes_delivered, 0)) "
            "from gold.traffic_5m g full join truth_traffic_5m t "
            "using (slot_start, cdn, pop, customer) group by 1 order by 1"
        )
        wrong = [Check("traffic", cdn, "5-minute cells that differ", int(n), 0) for cdn, n in cells]
        pipeline = self._by("select cdn, sum(requests), sum(bytes) from gold.traffic_5m group by 1")
        truth = self._by(
            "select cdn, sum(requests_delivered), sum(bytes_delivered) "
            "from truth_traffic_5m group by 1"
        )
        return wrong + _compare("traffic", ["requests", "bytes"], pipeline, truth)

    def _qos(self) -> list[Check]:
        sums = ", ".join(f"sum({c})" for c in _QOS)
        pipeline = self._by(f"select cdn, {sums} from gold.qos_hourly group by 1")
        truth = self._by(f"select cdn, {sums} from truth_qos_hourly group by 1")
        differ = " or ".join(f"coalesce(g.{c}, 0) <> coalesce(t.{c}, 0)" for c in _QOS)
        hours = self._rows(
            f"select cdn, count(*) filter (where {differ}) from "
            f"(select hour, cdn, {', '.join(f'sum({c}) as {c}' for c in _QOS)} "
            "from gold.qos_hourly group by 1, 2) g full join truth_qos_hourly t "
            "using (hour, cdn) group by 1 order by 1"
        )
        wrong = [Check("qos", cdn, "hours that differ", int(n), 0) for cdn, n in hours]
        return wrong + _compare("qos", list(_QOS), pipeline, truth)

    def _engagement(self) -> list[Check]:
        ours = ", ".join(f"sum({c})" for c in _ENGAGEMENT)
        theirs = ", ".join(f"sum({c}_delivered)" for c in _ENGAGEMENT)
        pipeline = self._by(f"select 'all', {ours} from gold.engagement_hourly")
        truth = self._by(f"select 'all', {theirs} from truth_engagement_hourly")
        differ = " or ".join(
            f"coalesce(g.{c}, 0) <> coalesce(t.{c}_delivered, 0)" for c in _ENGAGEMENT
        )
        row = self._rows(
            f"select count(*) filter (where {differ}) from gold.engagement_hourly g "
            "full join truth_engagement_hourly t using (hour, customer, scene)"
        )
        wrong = [Check("engagement", "all", "hour cells that differ", int(row[0][0]), 0)]
        return wrong + _compare("engagement", list(_ENGAGEMENT), pipeline, truth)

    def _places(self) -> list[Check]:
        """Compare where viewers are, in bronze: each row once, worker sub-requests left out."""
        cells = self._rows(
            "select coalesce(p.cdn, t.cdn), count(*) filter (where "
            "coalesce(p.requests, 0) <> coalesce(t.requests, 0) "
            "or coalesce(p.bytes, 0) <> coalesce(t.bytes, 0)) from places p full join "
            "truth_places_hourly t on (p.hour, p.cdn) = (t.hour, t.cdn) and p.country is not "
            "distinct from t.country and p.asn is not distinct from t.asn group by 1 order by 1"
        )
        wrong = [Check("places", c, "hour cells that differ", int(n), 0) for c, n in cells]
        sums = "select coalesce(country, 'unknown'), sum(requests) from"
        pipeline = self._by(f"{sums} places group by 1")
        truth = self._by(f"{sums} truth_places_hourly group by 1")
        return wrong + _compare("places", ["requests"], pipeline, truth)

    def _usage(self) -> list[Check]:
        pipeline = self._by(
            "select month || ' ' || cdn, sum(requests), sum(logged_bytes) from gold.usage_monthly "
            "group by 1"
        )
        truth = self._by(
            "select month || ' ' || cdn, requests_delivered, bytes_delivered "
            "from truth_usage_monthly"
        )
        return _compare("usage", ["requests", "bytes"], pipeline, truth)

    def _bills(self) -> list[Check]:
        """Compare each component's amount and tiers' quantities, then the totals.

        Lines are added up over scopes and days: a daily price has thirty of them. The truth is of
        what was delivered, as is the low amount; the lines are the expected bill's, which counts
        held and refused deliveries too: they are compared where there are none.
        """
        complete = "(select * from {} semi join (from gold.bills where estimated_bytes = 0) " \
            "using (month, contract_id))"  # fmt: skip
        lines = self._by(_LINES_OF.format(complete.format("gold.bill_lines")))
        true_lines = self._by(_LINES_OF.format(complete.format("truth_bills")))
        totals = self._by("select month || ' ' || contract_id, amount_low from gold.bills")
        true_totals = self._by(
            "select distinct month || ' ' || contract_id, cast(total as decimal(38, 6)) "
            "from truth_bills"
        )
        return [
            *_compare("bill", ["quantity", "amount"], lines, true_lines),
            *_compare("bill", ["total of what was delivered"], totals, true_totals),
        ]

    def _by(self, sql: str) -> dict[str, tuple[Any, ...]]:
        return {r[0]: r[1:] for r in self._rows(sql)}


def _compare(
    group: str,
    names: list[str],
    pipeline: Mapping[str, tuple[Any, ...]],
    truth: Mapping[str, tuple[Any, ...]],
) -> list[Check]:
    checks = []
    for key in sorted({*pipeline, *truth}):
        none = (0,) * len(names)
        for name, ours, theirs in zip(
            names, pipeline.get(key, none), truth.get(key, none), strict=True
        ):
            checks.append(Check(group, key, name, _number(ours), _number(theirs)))
    return checks


def _number(value: Any) -> Number:
    if value is None:
        return 0
    if not isinstance(value, Decimal):
        return int(value)
    # as people write money: two digits, more only where they say something
    return max(value.normalize(), value.quantize(Decimal("0.01")), key=_digits) if value else 0


def _digits(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0


def read_incidents(ledger: Path) -> list[dict[str, Any]]:
    """Return the simulator's reports of its incidents."""
    found: list[dict[str, Any]] = json.loads((ledger / "truth.json").read_text())["incidents"]
    return found
