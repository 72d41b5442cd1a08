"""The catalog: tables that an earlier version made, and how often it reads what a table is."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from pyiceberg.serializers import FromInputFile

from lake.catalog import ensure_table, open_catalog, table_of
from lake.commit import BATCH_KEY, MANIFEST_KEY
from lake.ledger import Books
from lake.records import DELIVERIES, INT, REC_EVENTS, Record, opt, req

KEY = "rec_events/dt=2026-11-16/hour=10/rec-1-{}.ndjson.gz"
NAMES = [c.name for c in DELIVERIES.columns]
EARLIER = replace(DELIVERIES, columns=DELIVERIES.columns[: NAMES.index("unknown_fields")])


def make_earlier(box, record: Record = EARLIER):
    """Give a lake the ledger table that an earlier version would have left."""
    table = table_of(box.catalog, DELIVERIES)
    rows = table.scan().to_arrow().select([c.name for c in record.columns])
    said = table.current_snapshot().summary.additional_properties
    box.catalog.purge_table(record.identifier)
    table = ensure_table(
        box.catalog, record.identifier, record.schema, record.spec, record.properties
    )
    table.append(rows, {k: said[k] for k in (BATCH_KEY, MANIFEST_KEY)})


def columns(box) -> list[str]:
    return [f.name for f in box.catalog.load_table(DELIVERIES.identifier).schema().fields]


def test_a_ledger_of_an_earlier_version_goes_on(box, make):
    box.land(KEY.format(1), make.file("rec_events", [make.numbered("rec_events", 1)]))
    box.run(REC_EVENTS)
    make_earlier(box)
    assert "unknown_fields" not in columns(box)
    box.land(KEY.format(2), make.file("rec_events", [make.line("rec_events", {"new_key": 1})]))
    assert box.run(REC_EVENTS).by_state == {"loaded": 1}
    assert columns(box) == [c.name for c in DELIVERIES.columns]
    found = {d.key: (d.state, d.accepted, d.unknown_fields) for d in box.ledger().values()}
    assert found == {
        KEY.format(1): ("loaded", 1, ()),
        KEY.format(2): ("loaded", 1, ("new_key",)),
    }
    before = box.snapshots()
    assert box.run(REC_EVENTS).changes == ()
    assert box.snapshots() == before


def test_two_workers_add_the_same_column_once(box, make):
    box.land(KEY.format(1), make.file("rec_events", [make.line("rec_events")]))
    box.run(REC_EVENTS)
    make_earlier(box)
    handles = [open_catalog(box.settings) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        tables = list(pool.map(lambda c: table_of(c, DELIVERIES), handles))
    assert [len(t.schema().fields) for t in tables] == [len(DELIVERIES.columns)] * 3
    assert columns(box) == [c.name for c in DELIVERIES.columns]


def test_a_column_that_must_be_filled_cannot_be_added(box):
    more = replace(DELIVERIES, columns=(*DELIVERIES.columns, req("weight", INT, "of it")))
    with pytest.raises(ValueError, match=r"missing \['weight'\].*make them optional"):
        table_of(box.catalog, more)
    fine = replace(DELIVERIES, columns=(*DELIVERIES.columns, opt("weight", INT, "of it")))
    assert table_of(box.catalog, fine).schema().find_field("weight").doc == "of it"


def test_metadata_is_read_once_a_version_and_what_others_commit_is_seen(box, make, monkeypatch):
    box.land(KEY.format(1), make.file("rec_events", [make.line("rec_events")]))
    box.run(REC_EVENTS)
    ours, others = open_catalog(box.settings), open_catalog(box.settings)
    read = []
    whole = FromInputFile.table_metadata
    monkeypatch.setattr(
        FromInputFile, "table_metadata", lambda *a: read.append(a[0].location) or whole(*a)
    )
    first = [table_of(ours, DELIVERIES) for _ in range(3)][-1]
    assert read == [first.metadata_location]
    assert first.scan().to_arrow().num_rows == 1
    table_of(others, DELIVERIES).delete()
    read.clear()
    now = [table_of(ours, DELIVERIES) for _ in range(3)][-1]
    assert read == [now.metadata_location] != [first.metadata_location]
    assert now.scan().to_arrow().num_rows == 0
    assert now.metadata == open_catalog(box.settings).load_table(DELIVERIES.identifier).metadata


def test_a_ledger_is_opened_again_only_where_the_table_has_changed(box, make):
    box.land(KEY.format(1), make.file("rec_events", [make.line("rec_events")]))
    box.run(REC_EVENTS)
    with Books() as books:
        before = books.at(table_of(box.catalog, DELIVERIES))
        assert books.at(table_of(box.catalog, DELIVERIES)) is before
        assert before.unknown(list(box.ledger())) == set()
        table_of(box.catalog, DELIVERIES).delete()
        after = books.at(table_of(box.catalog, DELIVERIES))
        assert after is not before
        assert after.unknown(["nobody"]) == {"nobody"}
