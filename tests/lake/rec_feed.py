"""The feed of recommendation events, delivered to a lake box: names, files, and what is there.

Belongs here: what tests of the ingest, of a replay and of commits share. Does not: how a lake is
made (box.py).
"""

from __future__ import annotations

from datetime import UTC, datetime

T0 = datetime(2026, 11, 16, 12, tzinfo=UTC)
REC, CDN = "bronze.rec_events", "bronze.cdn_requests"


def key_of(n: int, hour: int = 10) -> str:
    return f"rec_events/dt=2026-11-16/hour={hour}/rec-1-{n}.ndjson.gz"


def events(make, *numbers: int, hour: int = 10, late: int = 0, bad: int = 0) -> bytes:
    """Return a file of an hour; those numbered below `late` lie an hour after its period."""
    at = 1794823205123 + (hour - 10) * 3_600_000
    lines = [
        make.line("rec_events", {"event_id": f"e-{n}", "event_ts_ms": at + (n < late) * 3_600_000})
        for n in numbers
    ]
    return make.file("rec_events", [*lines, *([b"nonsense"] * bad)])


def ids(box) -> list[str]:
    return [r[0] for r in box.sql("select event_id from {} order by all", REC)]


def bronze_snapshots(box) -> int:
    return box.snapshots()[REC]


def no_strays(box) -> None:
    """Assert that the folder of a bronze table holds no file that no snapshot knows."""
    for identifier in (REC, CDN):
        known = box.catalog.load_table(identifier).inspect.all_files()["file_path"].to_pylist()
        assert box.data_files(identifier) <= {str(p).removeprefix("file://") for p in known}


def assert_lines_add_up(box) -> None:
    """Assert I1 and I5: rows of bronze and rejected lines are those the ledger speaks of."""
    for d in box.ledger().values():
        if d.lines is not None:
            assert d.lines == d.accepted + d.rejected + d.header + d.blank
            assert d.accepted == sum(h.rows for h in d.hours)
    loaded = sum(d.accepted or 0 for d in box.ledger().values() if d.is_loaded)
    assert loaded == box.count(CDN) + box.count(REC)
    distinct = {d.content_id: d.rejected or 0 for d in box.ledger().values()}
    assert box.count("ops.rejects") == sum(distinct.values())
