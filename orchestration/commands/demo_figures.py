"""The figures of the demo: what the lake says after it, beside the truth.

Belongs here: what is asked of the lake, and the result. Does not: running it (demo.py), showing it
(summary.py).
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lake.settings import LakeSettings
from orchestration.commands.truth import Check, Estimate, Truth, read_incidents

if TYPE_CHECKING:
    from orchestration.local import RunOutcome


@dataclass(frozen=True)
class DemoResult:
    """Everything the summary shows."""

    settings: LakeSettings
    scenario: dict[str, object]
    checks: list[Check]
    estimates: list[Estimate]
    deliveries: list[dict[str, Any]]
    incidents: list[dict[str, Any]]
    runs: list[RunOutcome]
    repeat_runs: int
    repeat_snapshots: int
    checks_by_layer: list[dict[str, Any]]
    qos: list[dict[str, Any]]
    engagement: list[dict[str, Any]]
    places: list[dict[str, Any]]
    bills: list[dict[str, Any]]
    duplicates: list[dict[str, Any]]
    release_no: int
    seconds: float
    peak_mb: float

    @property
    def is_right(self) -> bool:
        """Tell whether every figure is the truth, every run ended well and a repeat did nothing."""
        return (
            all(c.difference == 0 for c in self.checks)
            and all(e.is_within for e in self.estimates)
            and all(r.is_success for r in self.runs)
            and self.repeat_runs == 0
            and self.repeat_snapshots == 0
        )


def collect(
    settings: LakeSettings,
    scenario: dict[str, object],
    runs: Sequence[RunOutcome],
    repeat: tuple[int, int],
    began: float,
) -> DemoResult:
    """Ask the lake of a demo that is done; began: of the monotonic clock."""
    from lake.publish import MARTS, last_release
    from lake.reads import connect, create_views
    from lake.records import RECORDS
    from orchestration.operations import open_lake

    catalog = open_lake(settings)
    shown = last_release(catalog)
    with connect(catalog) as connection:
        create_views(connection, catalog, RECORDS)
        create_views(connection, catalog, [m.gold for m in MARTS], shown.marts if shown else {})
        truth = Truth(connection, settings.home / "truth")

        def rows(sql: str) -> list[dict[str, Any]]:
            result = connection.execute(sql)
            names = [c[0] for c in result.description or []]
            return [dict(zip(names, r, strict=True)) for r in result.fetchall()]

        return DemoResult(
            settings=settings,
            scenario=scenario,
            checks=truth.checks(),
            estimates=truth.estimates(PERCENTILES),
            deliveries=rows(_DELIVERIES),
            incidents=_incidents(read_incidents(settings.home / "truth"), rows(_STATES)),
            runs=list(runs),
            repeat_runs=repeat[0],
            repeat_snapshots=repeat[1],
            checks_by_layer=rows(_CHECKS),
            qos=rows(_QOS),
            engagement=rows(_ENGAGEMENT),
            places=rows(_PLACES),
            bills=rows(_BILLS),
            duplicates=rows(_DUPLICATES),
            release_no=shown.release_no if shown else 0,
            seconds=time.monotonic() - began,
            peak_mb=_peak_mb(),
        )


def _peak_mb() -> float:
    """Return the largest resident size of this process or a child, MB."""
    unit = 1 if sys.platform == "darwin" else 1024
    sizes = [
        resource.getrusage(who).ru_maxrss * unit
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    ]
    return max(sizes) / 1e6


def _incidents(
    reports: Sequence[dict[str, Any]], states: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Put what became of each incident's files beside what happened."""
    found = []
    for report in reports:
        own = [s for s in states if s["key"] in set(report["keys"])]
        counts: dict[str, int] = {}
        for s in own:
            counts[s["way"]] = counts.get(s["way"], 0) + 1
        became = ", ".join(f"{n} {way}" for way, n in sorted(counts.items()))
        found.append({**report, "became": became or "no delivery: nothing arrived"})
    return found


_STATES = """
select key, delivery_id, string_agg(state, ' -> ' order by change_no) as way
from ops.deliveries group by 1, 2
"""
_DELIVERIES = """
select source, state, count(*) as deliveries, sum(lines) as lines, sum(accepted) as accepted,
    sum(rejected) as rejected, sum(header) as header, sum(blank) as blank
from latest group by 1, 2 order by 1, 2
"""
_CHECKS = """
select layer, severity, count(*) as judged, count(*) filter (where not is_passed) as failed
from ops.check_results group by 1, 2 order by 1, 2
"""
_QOS = """
select cdn, sum(requests) as requests, sum(bytes) as bytes,
    sum(hit_requests) / sum(eligible_requests) as hit_ratio_requests,
    sum(hit_bytes) / sum(eligible_bytes) as hit_ratio_bytes,
    sum(errors_4xx) as errors_4xx, sum(errors_5xx) as errors_5xx,
    sum(no_response) as no_response, sum(aborted) as aborted
from gold.qos_hourly group by 1 order by 1
"""
_ENGAGEMENT = """
select customer, sum(impressions) as impressions, sum(clicks) as clicks,
    sum(clicks) / sum(impressions) as ctr, sum(plays) as plays, sum(valid_plays) as valid_plays,
    sum(watch_ms) / 3600000 as watch_hours
from gold.engagement_hourly group by 1 order by 1
"""
_PLACES = """
select coalesce(country, 'unknown') as country, count(distinct asn) as networks,
    sum(requests) as requests, sum(bytes) as bytes,
    sum(requests) / sum(sum(requests)) over () as share
from places group by 1 order by requests desc, country
"""
_BILLS = """
select month, contract_id, currency, amount_low, amount, amount_high, logged_bytes,
    estimated_bytes, incomplete_slots
from gold.bills order by 1, 2
"""
_DUPLICATES = """
select source, rows - distinct_rows as duplicate_rows from (
    select source, count(*) as rows, count(distinct row_key) as distinct_rows
    from bronze.cdn_requests group by 1
    union all
    select source, count(*), count(distinct row_key) from bronze.rec_events group by 1
) order by 1
"""
#: the project's rule: representative of the bucket of rank ceil(q * n), growth 1.02
PERCENTILES = """
with merged as (
    select cdn, bucket, sum(requests) as n from gold.ttfb_buckets_hourly group by 1, 2
), ranked as (
    select cdn, bucket, sum(n) over (partition by cdn order by bucket) as upto,
        sum(n) over (partition by cdn) as total
    from merged
), wanted as (select unnest([50, 95, 99]) as percent)
select cdn, percent / 100.0 as q,
    2 * power(1.02, min(bucket) filter (where upto * 100 >= total * percent)) / 2.02 as value
from ranked cross join wanted group by 1, 2
"""
