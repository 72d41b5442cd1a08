"""What becomes of single hours: late, emptied, held, failing their audit, audited by nobody.

Each story plays on days of its own in one lake.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from lake.audit import AuditReport, BrokenAuditError
from lake.deliveries import read_ledger
from lake.publish import MARTS, marts_of
from lake.settings import load_settings
from lake.versions import MAX_ATTEMPTS
from orchestration.assets import models
from orchestration.local import run
from orchestration.refresh import BuildPlan, audit_build
from orchestration.sensors import SENSORS
from simulator import Scenario, simulate

pytestmark = pytest.mark.slow

DAY0 = datetime.fromisoformat("2026-11-16T00:00:00+00:00")
HOUR = timedelta(hours=1)
#: a window into which no file of the stories below reaches back
SLOT = 6


def lines_of(hour: datetime, seed: int = 1) -> tuple[str, list[bytes]]:
    """Return key and lines of a Cloudflare file from the middle of an hour."""
    plan = simulate(Scenario(seed, hour, 1, 1200, frozenset()))
    one = [a for a in plan.arrivals if a.feed == "cloudflare"][SLOT]
    return one.key, gzip.decompress(one.data).splitlines()


def packed(lines: Sequence[bytes]) -> bytes:
    return gzip.compress(b"".join(line + b"\n" for line in lines), mtime=0)


def garbled(lines: Sequence[bytes]) -> bytes:
    return packed([*lines, *[b"garbage"] * len(lines)])


@pytest.fixture(scope="module")
def weir(tmp_path_factory: pytest.TempPathFactory, make: Callable[..., Any]) -> Any:
    """Return a lake with one refreshed hour."""
    made = make(tmp_path_factory.mktemp("hours") / "home")
    plan = simulate(Scenario(1, DAY0, 1, 1200, frozenset()))
    plan.deliver(made.settings.landing, None, plan.last_arrival_at)
    assert all(o.is_success for o in made.drain())
    return made


def hours_in(weir: Any, key: str) -> set[datetime]:
    """Return the hours that the loaded delivery of a key touches."""
    return {
        h.hour
        for d in read_ledger(weir.catalog).values()
        if d.key == key and d.is_loaded
        for h in d.hours
    }


def rows_in(weir: Any, hour: datetime) -> dict[str, list[Any]]:
    """Return the rows of an hour in every delivery mart."""
    return {
        m.name: weir.query(
            f"from {{gold_{m.name}}} where date_trunc('hour', {m.partition_by}) = "
            f"timestamptz '{hour.isoformat()}' order by all"
        )
        for m in marts_of("delivery")
    }


def requests_in(weir: Any, hour: datetime) -> int:
    return sum(n for (n,) in weir.query(
        "select requests from {gold_qos_hourly} where hour = "
        f"timestamptz '{hour.isoformat()}'"
    ))  # fmt: skip


def usage(weir: Any) -> list[Any]:
    return weir.query("from {gold_usage_monthly} order by all")


def materialized(weir: Any, runs: Sequence[Any]) -> dict[str, set[str]]:
    """Return the partitions of each gold asset that these runs materialized."""
    ids = {o.run_id for o in runs}
    found: dict[str, set[str]] = {}
    with weir.instance() as instance:
        for mart in MARTS:
            records = instance.fetch_materializations(
                dg.AssetKey(["gold", mart.name]), 1000
            ).records
            for record in records:
                if record.run_id in ids:
                    found.setdefault(mart.name, set()).add(str(record.partition_key))
    return found


def test_a_delivery_for_an_hour_two_days_back_refreshes_that_hour_and_no_other(weir: Any) -> None:
    hour = DAY0 - 2 * timedelta(days=1) + 5 * HOUR
    key, lines = lines_of(hour)
    others = {m: weir.query(f"from {{gold_{m}}} order by all") for m in ("engagement_hourly",)}
    before = rows_in(weir, DAY0)
    weir.land(key, packed(lines), DAY0)

    outcomes = weir.drain()

    assert hours_in(weir, key) == {hour}
    when = {
        "delivery": "2026-11-14-05:00",
        "rollup": "2026-11-14",
        "billing": "2026-11-01",
    }
    assert materialized(weir, outcomes) == {
        m.name: {when[m.family]} for m in MARTS if m.family in when
    }
    assert rows_in(weir, DAY0) == before
    assert weir.query("from {gold_engagement_hourly} order by all") == others["engagement_hourly"]
    assert requests_in(weir, hour) > 0


def test_an_hour_whose_only_delivery_lost_its_rows_becomes_empty_in_every_mart(weir: Any) -> None:
    hour = DAY0 - 3 * timedelta(days=1) + 5 * HOUR
    key, lines = lines_of(hour)
    without = usage(weir)
    weir.land(key, packed(lines), DAY0)
    weir.drain()
    assert all(rows_in(weir, hour).values())
    assert usage(weir) != without

    weir.land(key, packed([b""]), DAY0 + HOUR)
    outcomes = weir.drain()

    assert all(o.is_success for o in outcomes)
    assert not any(rows_in(weir, hour).values())
    assert usage(weir) == without
    assert weir.drain() == []


def test_a_held_delivery_leaves_all_as_it_is_while_its_neighbour_goes_through(weir: Any) -> None:
    held_hour, hour = (DAY0 - 4 * timedelta(days=1) + n * HOUR for n in (5, 9))
    (held_key, held_lines), (key, lines) = lines_of(held_hour), lines_of(hour, seed=2)
    weir.land(held_key, garbled(held_lines), DAY0)
    weir.land(key, packed(lines), DAY0)

    outcomes = weir.drain()

    (held,) = [d for d in read_ledger(weir.catalog).values() if d.key == held_key]
    assert held.state == "held"
    assert not any(rows_in(weir, held_hour).values())
    assert weir.query(
        f"select 1 from {{bronze_cdn_requests}} where delivery_id = '{held.delivery_id}'"
    ) == []  # fmt: skip
    assert materialized(weir, outcomes)["traffic_5m"] == {"2026-11-12-09:00"}
    assert requests_in(weir, hour) == counted(lines)
    assert failed_checks(weir, outcomes) == {"deliveries_audited": {held.delivery_id}}

    assert weir.command("release", held.delivery_id).returncode == 0
    weir.drain()
    assert requests_in(weir, held_hour) == counted(held_lines)

    weir.land(held_key, packed(held_lines[:-20]), DAY0 + HOUR)
    weir.drain()
    assert requests_in(weir, held_hour) == counted(held_lines[:-20])


def test_a_held_delivery_refreshes_the_bills_of_its_month_and_nothing_else(weir: Any) -> None:
    key, lines = lines_of(DAY0 + 5 * HOUR, seed=3)
    others = [m for m in MARTS if m.family != "billing"]
    sql = "from {{gold_{}}} order by all"
    delivered = "select month, contract_id, requests, logged_bytes, amount_low from {gold_bills}"
    estimated = "select sum(estimated_bytes) from {gold_bills} where vendor = 'cloudflare'"
    before = {m.name: weir.query(sql.format(m.name)) for m in others}
    bills, (missing,) = weir.query(delivered), weir.query(estimated)

    weir.land(key, garbled(lines), DAY0)
    outcomes = weir.drain()

    assert materialized(weir, outcomes) == {
        m.name: {"2026-11-01"} for m in MARTS if m.family == "billing"
    }
    assert {m.name: weir.query(sql.format(m.name)) for m in others} == before
    assert weir.query(delivered) == bills
    assert weir.query(estimated)[0] > missing
    assert weir.drain() == []

    weir.land(key, packed(lines), DAY0 + HOUR)
    weir.drain()
    assert weir.query(estimated) == [missing]
    assert weir.drain() == []


def counted(lines: Sequence[bytes]) -> int:
    """Return how many requests of viewers the lines hold."""
    rows = {json.loads(one)["RayID"]: json.loads(one) for one in lines}
    return sum(not one["WorkerSubrequest"] for one in rows.values())


def failed_checks(weir: Any, outcomes: Sequence[Any]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    with weir.instance() as instance:
        for outcome in outcomes:
            for event in instance.all_logs(outcome.run_id):
                if event.dagster_event and event.dagster_event.event_type_value == (
                    "ASSET_CHECK_EVALUATION"
                ):
                    evaluation = event.dagster_event.event_specific_data
                    if evaluation.check_name == "cdns_have_a_contract_in_force":
                        continue  # warns of Cloudflare, whose contract is none of this test's
                    if not evaluation.passed:
                        held = evaluation.metadata.get("held")
                        found[evaluation.check_name] = set(held.value) if held else set()
    return found


def fail_hour(hour: datetime) -> Callable[..., AuditReport]:
    """Return an audit that also finds one hour wanting."""

    def audit(settings: Any, plan: BuildPlan) -> AuditReport:
        report = audit_build(settings, plan)
        return AuditReport(
            tuple(
                replace(r, is_passed=False, observed="planted")
                if r.subject == hour.isoformat() and r.check_name == "traffic_keys_are_unique"
                else r
                for r in report.results
            )
        )

    return audit


def test_an_hour_that_fails_its_audit_keeps_its_rows_while_others_go_out(
    weir: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = (DAY0 - 6 * timedelta(days=1) + n * HOUR for n in (5, 6))
    (good_key, good_lines), (bad_key, bad_lines) = lines_of(good), lines_of(bad, seed=2)
    weir.land(good_key, packed(good_lines[10:]), DAY0)
    weir.land(bad_key, packed(bad_lines[10:]), DAY0)
    weir.drain()
    before = rows_in(weir, bad)
    assert all(before.values())

    with monkeypatch.context() as patch:
        patch.setattr(models, "audit_build", fail_hour(bad))
        weir.land(good_key, packed(good_lines), DAY0 + HOUR)
        weir.land(bad_key, packed(bad_lines), DAY0 + HOUR)
        outcomes = weir.drain()

    assert rows_in(weir, bad) == before
    assert requests_in(weir, good) == counted(good_lines)
    refreshes = [o for o in outcomes if o.job_name == "refresh_delivery"]
    assert [(o.partitions, o.is_success) for o in refreshes] == [
        ("2026-11-10-05:00 .. 2026-11-10-06:00", True),
        ("2026-11-10-06:00", False),
        ("2026-11-10-06:00", False),
    ]
    recorded = weir.query(
        "select outcome, reason, count(*) from {ops_refreshes} where partition_start = "
        f"timestamptz '{bad.isoformat()}' and outcome = 'failed' group by all"
    )
    assert recorded == [("failed", "traffic_keys_are_unique: expected = 0, found planted",
                         MAX_ATTEMPTS)]  # fmt: skip

    status = json.loads(weir.command("status", "--json").stdout)
    assert status["stale"]["delivery"] == {
        "partitions": 1,
        "given_up": 1,
        "first": "2026-11-10T06:00:00Z",
        "last": "2026-11-10T06:00:00Z",
    }
    assert weir.drain() == []  # given up, although the audit would pass now

    weir.land(bad_key, packed(bad_lines[5:]), DAY0 + 2 * HOUR)
    weir.drain()
    assert requests_in(weir, bad) == counted(bad_lines[5:])


def raising(_settings: Any, _plan: BuildPlan) -> AuditReport:
    raise BrokenAuditError("a profile query failed")


def judging_nothing(_file: Any, _family: str, _hours: Any) -> AuditReport:
    return AuditReport(())


@pytest.mark.parametrize(
    ("where", "audit"),
    [
        ("orchestration.assets.models.audit_build", raising),
        ("expectations.runner.audit_hours", judging_nothing),
    ],
)
def test_a_broken_audit_publishes_nothing(
    weir: Any, monkeypatch: pytest.MonkeyPatch, where: str, audit: Callable[..., AuditReport]
) -> None:
    hour = DAY0 - 8 * timedelta(days=1) + 5 * HOUR
    sensor = next(s for s in SENSORS if s.name == "stale_delivery")
    weir.land(*delivered(hour, audit.__name__))
    assert weir.command("ingest").returncode == 0
    before = weir.snapshots()

    with monkeypatch.context() as patch, weir.running() as instance:
        patch.setattr(where, audit)
        with dg.build_sensor_context(
            instance=instance, definitions=weir.defs, sensor_name=sensor.name,
            resources=weir.resources,
        ) as context:  # fmt: skip
            (request,) = sensor.evaluate_tick(context).run_requests
        outcome = run(weir.defs, instance, sensor, request)

    assert not outcome.is_success
    assert weir.snapshots() == before


def delivered(hour: datetime, name: str) -> tuple[str, bytes, datetime]:
    """Return a version of the hour's file that differs by the name."""
    key, lines = lines_of(hour)
    return key, packed(lines[len(name) :]), DAY0 + timedelta(minutes=len(name))


def test_publishing_alone_is_refused(weir: Any) -> None:
    before = weir.snapshots()
    with weir.running() as instance:
        result = dg.materialize(
            [weir.defs.get_assets_def(dg.AssetKey(["gold", "traffic_5m"]))],
            instance=instance,
            resources=weir.resources,
            partition_key="2026-11-16-00:00",
            raise_on_error=False,
        )

    assert not result.success
    assert weir.snapshots() == before
    assert load_settings({}, home=weir.settings.home) == weir.settings
