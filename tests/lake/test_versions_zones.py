"""Months of bills in other time zones: an hour makes each month stale that it lies in."""

from __future__ import annotations

from datetime import UTC, datetime

from lake.versions import Partition, month_versions

BORDER = datetime(2026, 1, 31, 16, tzinfo=UTC)


def _months(*zones: str, hour: datetime = BORDER) -> set[datetime]:
    return {start for _, start in month_versions({("delivery", hour): "v"}, "c", zones)}


def test_an_hour_belongs_to_its_month_in_every_zone_that_is_billed() -> None:
    january, february = (datetime(2026, m, 1, tzinfo=UTC) for m in (1, 2))
    assert _months() == {january}
    assert _months("Asia/Shanghai") == {january, february}
    assert _months("America/New_York") == {january}
    before = BORDER.replace(hour=15)
    assert _months("Asia/Shanghai", hour=before) == {january}


def test_an_hour_that_midnight_cuts_belongs_to_both_months() -> None:
    cut = datetime(2026, 1, 31, 18, tzinfo=UTC)  # 23:30 to 00:30 in Kolkata
    assert len(_months("Asia/Kolkata", hour=cut)) == 2


def test_a_changed_hour_changes_both_months() -> None:
    old = month_versions({("delivery", BORDER): "v1"}, "c", ["Asia/Shanghai"])
    new = month_versions({("delivery", BORDER): "v2"}, "c", ["Asia/Shanghai"])
    assert all(old[key] != new[key] for key in old)
    assert len(old) == 2


def test_published_engagement_changes_its_month_of_bills_but_makes_none() -> None:
    engagement: dict[Partition, str] = {("engagement", BORDER): "v"}
    assert month_versions(engagement, "c") == {}
    bills = month_versions({("delivery", BORDER): "v"}, "c")
    costs = month_versions({("delivery", BORDER): "v", **engagement}, "c")
    assert costs.keys() == bills.keys()
    assert costs != bills
    other = month_versions({("delivery", BORDER): "v", ("engagement", BORDER): "w"}, "c")
    assert other != costs
