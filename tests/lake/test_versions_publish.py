"""Hour versions, publish and releases: what changed is written, and readers see it at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import duckdb
import pytest

from lake.capacities import CapacityVersions
from lake.catalog import table_of
from lake.deliveries import HourRows, to_arrow
from lake.ledger import Ledger
from lake.publish import (
    MARTS,
    last_release,
    marts_of,
    merged_ranges,
    publish_partitions,
    release,
    served_release,
)
from lake.records import REFRESHES, RELEASES
from lake.versions import (
    EMPTY,
    MAX_ATTEMPTS,
    Refreshes,
    Stale,
    day_versions,
    hour_versions,
    month_of,
    month_versions,
    read_refreshes,
    stale,
)

H = datetime(2026, 11, 16, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


# --- versions --------------------------------------------------------------------------------


def versions_of(deliveries):
    with Ledger(to_arrow(deliveries)) as ledger:
        return hour_versions(ledger)


@pytest.fixture
def loaded(box, make):
    """Three deliveries of the same two hours, as the ledger knows them."""
    for n in range(3):
        at = int((H + HOUR).timestamp() * 1000) - 500
        lines = [
            make.line("rec_events", {"event_id": f"{n}-{i}", "event_ts_ms": at + i * 600})
            for i in range(2)
        ]
        box.land(f"rec_events/{n}.gz", make.file("rec_events", lines), NOW)
    box.run()
    return list(box.ledger().values())


def test_an_hour_version_ignores_the_order_of_deliveries(loaded):
    assert versions_of(loaded) == versions_of(loaded[::-1])
    assert {start for _, start in versions_of(loaded)} == {H, H + HOUR}


def test_an_hour_version_ignores_when_and_by_which_batch_it_was_loaded(loaded):
    later = [replace(d, batch_id="other", changed_at=NOW, change_no=7) for d in loaded]
    assert versions_of(later) == versions_of(loaded)


@pytest.mark.parametrize(
    "change",
    [
        {"content_id": "other"},
        {"parser_version": "rec_events/9"},
        {"state": "replaced"},
        {"hours": (HourRows(H, 99),)},
    ],
    ids=str,
)
def test_an_hour_version_changes_with_what_is_in_it(loaded, change):
    changed = [replace(loaded[0], **change), *loaded[1:]]
    key = ("engagement", H)
    assert versions_of(changed)[key] != versions_of(loaded)[key]


def test_only_hours_that_a_delivery_touches_change(loaded):
    late = replace(loaded[0], delivery_id="late", hours=(HourRows(H, 1),))
    before, after = versions_of(loaded), versions_of([*loaded, late])
    assert {k for k in after if after[k] != before[k]} == {("engagement", H)}


def test_an_hour_that_lost_its_last_delivery_is_stale_and_empty():
    published = Refreshes({("delivery", H): "v1", ("delivery", H + HOUR): "v2"})
    (found,) = stale({("delivery", H): "v1"}, published, "delivery")
    assert (found.start, found.version) == (H + HOUR, EMPTY)
    done = Refreshes({("delivery", H): "v1", ("delivery", H + HOUR): EMPTY})
    assert stale({("delivery", H): "v1"}, done, "delivery") == []


def test_a_partition_that_keeps_failing_waits_for_other_input():
    failed = Refreshes({}, {(("delivery", H), "v1"): MAX_ATTEMPTS})
    assert stale({("delivery", H): "v1"}, failed, "delivery")[0].is_given_up
    assert not stale({("delivery", H): "v2"}, failed, "delivery")[0].is_given_up


def test_a_month_changes_with_its_hours_and_its_contracts():
    hours = {("delivery", H): "v1", ("delivery", H.replace(month=12)): "v2"}
    first = month_versions(hours, "c1")
    assert set(first) == {("billing", month_of(H)), ("billing", H.replace(month=12, day=1, hour=0))}
    moved = month_versions({**hours, ("delivery", H): "v3"}, "c1")
    assert {k for k in first if first[k] != moved[k]} == {("billing", month_of(H))}
    assert not set(first.values()) & set(month_versions(hours, "c2").values())


def test_capacities_are_in_the_versions_of_hours_of_delivery_and_of_no_day_or_month(loaded):
    requests = [replace(d, table_name="bronze.cdn_requests") for d in loaded]
    late = CapacityVersions((H + HOUR,), ("c1",))
    with Ledger(to_arrow([*requests, replace(loaded[0], delivery_id="event")])) as ledger:
        without, known = hour_versions(ledger), hour_versions(ledger, late)
    assert {k for k in known if known[k] != without[k]} == {("delivery", H + HOUR)}
    assert known.keys() == without.keys()
    assert day_versions(known) == day_versions(without)
    assert month_versions(known, "c") == month_versions(without, "c")


# --- publish ---------------------------------------------------------------------------------


class Press:
    """A build file made by hand, and what publishing it does."""

    def __init__(self, box) -> None:
        self.box = box
        self.catalog = box.catalog
        self.file = box.settings.build_file
        self.serving = box.settings.serving_file
        self.now = NOW
        self.content: dict[datetime, int] = {}

    def build(self, content: dict[datetime, int]) -> None:
        """Write the marts of the delivery family: one row an hour with a number in it."""
        self.content = content
        self.file.unlink(missing_ok=True)
        with duckdb.connect(str(self.file)) as connection:
            connection.execute("set TimeZone = 'UTC'")
            connection.execute("create schema marts")
            for mart in marts_of("delivery"):
                connection.execute(
                    f"create table marts.{mart.name} ({mart.partition_by} timestamptz, n bigint)"
                )
                for hour, n in content.items():
                    connection.execute(f"insert into marts.{mart.name} values (?, ?)", [hour, n])

    def publish(self, *hours: datetime, failed: tuple[datetime, ...] = ()) -> dict[str, int]:
        self.now += timedelta(minutes=1)

        def partition(hour: datetime) -> Stale:
            return Stale("delivery", hour, f"v{self.content.get(hour)}", 0)

        return publish_partitions(
            self.catalog,
            self.file,
            "delivery",
            [partition(h) for h in hours],
            {partition(h): "a check failed" for h in failed},
            f"run-{self.now:%H%M}",
            self.now,
        )

    def gold(self) -> dict[str, dict[datetime, int]]:
        return {
            m.name: dict(self.box.sql(f"select {m.partition_by}, n from {{}}", m.gold))
            for m in marts_of("delivery")
        }

    def release(self):
        self.now += timedelta(minutes=1)
        return release(self.catalog, self.serving, f"run-{self.now:%H%M}", self.now)

    def served(self, path=None) -> dict[str, dict[datetime, int]]:
        with duckdb.connect(str(path or self.serving), read_only=True) as connection:
            connection.execute("set TimeZone = 'UTC'")
            return {
                m.name: dict(
                    connection.execute(f"select {m.partition_by}, n from gold.{m.name}").fetchall()
                )
                for m in marts_of("delivery")
            }

    def snapshots(self) -> dict[str, int]:
        return {k: v for k, v in self.box.snapshots().items() if k.startswith("gold.")}


@pytest.fixture
def press(box):
    return Press(box)


def everywhere(content: dict[datetime, int]) -> dict[str, dict[datetime, int]]:
    return {m.name: content for m in marts_of("delivery")}


def test_only_changed_partitions_are_written(press):
    press.build({H: 1, H + HOUR: 2})
    assert set(press.publish(H, H + HOUR).values()) == {2}
    assert press.gold() == everywhere({H: 1, H + HOUR: 2})
    before = press.snapshots()
    assert set(press.publish(H, H + HOUR).values()) == {0}
    assert press.snapshots() == before
    press.build({H: 1, H + HOUR: 3})
    assert set(press.publish(H, H + HOUR).values()) == {1}
    assert press.gold() == everywhere({H: 1, H + HOUR: 3})


def test_a_build_file_made_anew_gives_no_snapshot(press):
    press.build({H: 1})
    press.publish(H)
    before = press.snapshots()
    press.file.unlink()
    press.build({H: 1})
    press.publish(H)
    assert press.snapshots() == before


def test_partitions_that_were_not_asked_for_are_left(press):
    press.build({H: 1, H + HOUR: 2})
    press.publish(H, H + HOUR)
    press.build({H: 7, H + HOUR: 8})
    press.publish(H)
    assert press.gold() == everywhere({H: 7, H + HOUR: 2})


def test_a_failed_partition_keeps_its_rows_in_every_mart(press):
    press.build({H: 1, H + HOUR: 2})
    press.publish(H, H + HOUR)
    press.build({H: 10, H + HOUR: 20})
    press.publish(H, failed=(H + HOUR,))
    assert press.gold() == everywhere({H: 10, H + HOUR: 2})
    found = read_refreshes(press.catalog)
    assert found.published == {("delivery", H): "v10", ("delivery", H + HOUR): "v2"}
    assert found.failed == {(("delivery", H + HOUR), "v20"): 1}


def test_an_emptied_hour_becomes_empty_in_every_mart(press):
    press.build({H: 1, H + HOUR: 2})
    press.publish(H, H + HOUR)
    press.build({H: 1})
    press.publish(H + HOUR)
    assert press.gold() == everywhere({H: 1})


def test_an_outcome_without_rows_is_still_recorded(press):
    press.build({})
    press.publish(H)
    assert read_refreshes(press.catalog).published == {("delivery", H): "vNone"}


def test_a_mart_may_gain_a_column(press):
    press.build({H: 1})
    press.publish(H)
    with duckdb.connect(str(press.file)) as connection:
        connection.execute("alter table marts.qos_hourly add column extra varchar default 'new'")
    press.publish(H)
    assert press.box.sql("select n, extra from {}", "gold.qos_hourly") == [(1, "new")]


def test_two_publishers_of_the_same_partitions_do_not_double_them(press, monkeypatch):
    press.build({H: 1})
    from lake import publish as module

    original, calls = module._changed, []

    def meanwhile(*arguments):
        found = original(*arguments)
        if not calls:
            calls.append(1)
            monkeypatch.setattr(module, "_changed", original)
            press.publish(H)
        return found

    monkeypatch.setattr(module, "_changed", meanwhile)
    press.publish(H)
    assert press.gold() == everywhere({H: 1})


def test_ranges_cover_exactly_the_given_partitions():
    assert merged_ranges([H + HOUR, H, H + 3 * HOUR], HOUR) == [
        (H, H + 2 * HOUR),
        (H + 3 * HOUR, H + 4 * HOUR),
    ]


# --- releases --------------------------------------------------------------------------------


def test_nothing_published_is_no_release(press):
    assert press.release() is None
    assert not press.serving.exists()


def test_releases_count_up_and_only_when_gold_changed(press):
    press.build({H: 1})
    press.publish(H)
    first = press.release()
    assert first.release_no == 1
    assert press.release() == first
    press.build({H: 2})
    press.publish(H)
    assert press.release().release_no == 2
    assert last_release(press.catalog).release_no == 2
    assert len(table_of(press.catalog, RELEASES).metadata.snapshots) == 2
    assert press.served() == everywhere({H: 2})


def test_readers_see_a_release_and_nothing_before_it(press):
    press.build({H: 1})
    press.publish(H)
    press.release()
    press.build({H: 2})
    press.publish(H)
    assert press.served() == everywhere({H: 1})
    press.release()
    assert press.served() == everywhere({H: 2})


def test_a_reader_with_the_old_file_open_keeps_working(press):
    press.build({H: 1})
    press.publish(H)
    press.release()
    with duckdb.connect(str(press.serving), read_only=True) as reader:
        reader.execute("set TimeZone = 'UTC'")
        press.build({H: 2})
        press.publish(H)
        old = press.serving.stat().st_ino
        press.release()
        assert press.serving.stat().st_ino != old
        assert reader.execute("select n from gold.qos_hourly").fetchall() == [(1,)]
    assert press.served() == everywhere({H: 2})
    assert [p.name for p in press.serving.parent.glob(".serving*")] == []


def test_a_stale_missing_or_broken_serving_file_is_mended(press):
    press.build({H: 1})
    press.publish(H)
    press.release()
    old = press.serving.read_bytes()
    press.build({H: 2})
    press.publish(H)
    press.release()
    for damage in (
        lambda: press.serving.write_bytes(old),
        press.serving.unlink,
        lambda: press.serving.write_bytes(b"no database"),
    ):
        damage()
        assert press.release().release_no == 2
        assert served_release(press.serving) == 2
        assert press.served() == everywhere({H: 2})


def test_an_unpublished_family_is_no_view_but_no_error(press):
    press.build({H: 1})
    press.publish(H)
    assert set(press.release().marts) == {m.gold for m in MARTS if m.family == "delivery"}


def test_refreshes_are_recorded_once_a_run(press):
    press.build({H: 1})
    press.publish(H)
    assert table_of(press.catalog, REFRESHES).current_snapshot().summary["weir.refresh-id"]
    assert press.box.count("ops.refreshes") == 1
