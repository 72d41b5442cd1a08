"""What becomes of a delivery: rows, rejects and an entry of the ledger, once each."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from lake.landing import GoneError
from lake.records import CDN_REQUESTS, REC_EVENTS

from ..rec_feed import CDN, REC, T0, bronze_snapshots, events, ids, key_of, no_strays


def test_lines_become_rows_rejects_and_a_delivery(box, make):
    box.land(key_of(1), events(make, 1, 2, 3, bad=2), T0)
    report = box.run(REC_EVENTS)
    assert report.by_state == {"loaded": 1}
    assert ids(box) == ["e-1", "e-2", "e-3"]
    (d,) = box.ledger().values()
    assert (d.lines, d.accepted, d.rejected, d.header, d.blank) == (5, 3, 2, 0, 0)
    assert [(h.hour.hour, h.rows) for h in d.hours] == [(10, 3)]
    assert d.period_start == T0.replace(hour=10)
    assert d.lateness_s == 3600
    assert box.sql("select line, reason from {} order by line", "ops.rejects") == [
        (4, "invalid_json"),
        (5, "invalid_json"),
    ]
    assert box.count("ops.check_results") == 1


def test_a_second_ingest_makes_no_snapshot_anywhere(box, make):
    box.land(key_of(1), events(make, 1, bad=1), T0)
    box.land("cloudflare/20261116/x.log.gz", make.file("cloudflare_logpush", [b"{}"]), T0)
    box.run()
    before = box.snapshots()
    assert box.run().changes == ()
    assert box.snapshots() == before


@pytest.mark.parametrize("name", [key_of(1), key_of(2)], ids=["same name", "other name"])
def test_a_duplicate_adds_no_row_and_no_snapshot_to_bronze(box, make, name):
    box.land(key_of(1), events(make, 1, 2, bad=1), T0)
    box.run(REC_EVENTS)
    before, rejects = bronze_snapshots(box), box.count("ops.rejects")
    box.land(name, events(make, 1, 2, bad=1), T0 + timedelta(hours=1))
    assert box.run(REC_EVENTS).by_state == {"duplicate": 1}
    assert bronze_snapshots(box) == before
    assert box.count("ops.rejects") == rejects
    assert ids(box) == ["e-1", "e-2"]
    assert len(box.audit.seen) == 1


def test_duplicates_within_one_batch_are_loaded_once(box, make):
    for n in range(3):
        box.land(key_of(n), events(make, 1, 2), T0)
    assert box.run(REC_EVENTS).by_state == {"duplicate": 2, "loaded": 1}
    assert ids(box) == ["e-1", "e-2"]
    no_strays(box)


def test_content_without_rows_is_audited_once(box):
    box.land(key_of(1), b"nonsense\n", T0)
    box.run(REC_EVENTS)
    box.land(key_of(2), b"nonsense\n", T0)
    assert box.run(REC_EVENTS).by_state == {"duplicate": 1}
    assert box.audit.seen == [key_of(1)]
    assert box.count("ops.rejects") == 1


class Flaky:
    """A landing whose second object cannot be read."""

    def __init__(self, landing, error: Exception) -> None:
        self._landing = landing
        self._error = error

    def list(self, prefix: str, suffix: str):
        return self._landing.list(prefix, suffix)

    def open(self, found):
        if found.key == key_of(2):
            raise self._error
        return self._landing.open(found)


def test_an_error_in_one_delivery_leaves_no_file_of_the_others(box, make):
    for n in range(1, 5):
        box.land(key_of(n), events(make, n), T0)
    flaky = Flaky(box.ingest_of(REC_EVENTS).landing, PermissionError("no"))
    with pytest.raises(PermissionError):
        box.run(REC_EVENTS, landing=flaky)
    assert box.data_files(REC) == set()
    assert box.run(REC_EVENTS).by_state == {"loaded": 4}


def test_an_object_that_vanished_is_left_for_the_next_listing(box, make):
    for n in (1, 2):
        box.land(key_of(n), events(make, n), T0)
    flaky = Flaky(box.ingest_of(REC_EVENTS).landing, GoneError("gone"))
    assert box.run(REC_EVENTS, landing=flaky).by_state == {"loaded": 1}
    assert box.run(REC_EVENTS).by_state == {"loaded": 1}
    assert ids(box) == ["e-1", "e-2"]


HOSTILE = (
    "it's.gz",
    'say "hello".gz',
    "two words.gz",
    "line\nfeed.gz",
    "'; drop table x; --.gz",
    "\u202egz.exe.gz",
    "a*b?[c].gz",
    "..gz",
    "100%.gz",
    "%2e%2e.gz",
    "üñí.gz",
    "back\\slash.gz",
    "\udcff\udcfe.gz",
)


def test_hostile_names_are_names(box, make):
    for n, name in enumerate(HOSTILE):
        box.land(f"rec_events/{name}", events(make, n), T0)
    box.run(REC_EVENTS)
    visible = [n for n in HOSTILE if not n.startswith(".")]
    assert len(ids(box)) == len(visible)
    assert {d.state for d in box.ledger().values()} == {"loaded"}
    before = box.snapshots()
    assert box.run(REC_EVENTS).changes == ()
    assert box.snapshots() == before


def test_the_manifest_lists_the_batch(box, make):
    box.land(key_of(1), events(make, 1, bad=1), T0)
    box.run(REC_EVENTS)
    snapshot = box.catalog.load_table(REC).current_snapshot()
    path = Path(str(snapshot.summary["weir.manifest"]).removeprefix("file://"))
    manifest = json.loads(path.read_text())
    assert manifest["batch_id"] == snapshot.summary["weir.batch-id"]
    assert set(manifest["files"]) == {REC, "ops.rejects", "ops.check_results", "ops.deliveries"}


def test_both_feeds_of_a_table_are_ingested_together(box, make):
    box.land(
        "cloudflare/x.log.gz",
        make.file("cloudflare_logpush", [make.line("cloudflare_logpush")]),
        T0,
    )
    box.land("cloudfront/x.gz", make.file("cloudfront_v1", [make.line("cloudfront_v1")]), T0)
    box.run(CDN_REQUESTS)
    assert box.sql("select cdn from {} order by all", CDN) == [("cloudflare",), ("cloudfront",)]
