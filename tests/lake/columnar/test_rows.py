"""A row of a Parquet object means what the same line means: columns by name, any sensible type."""

from __future__ import annotations

import hashlib
import json
import uuid
from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from lake import parquet_rows
from lake.refused import RefusedError

from .parquet import packed, reason

#: as pandas writes an instant with a zone
AT_NS = pa.array([1794823205123], pa.timestamp("ms", "UTC")).cast(pa.timestamp("ns", "UTC"))


def test_a_row_means_what_the_same_line_means(read, parse, event):
    events = [event(event_id=f"e-{n}", position=n or None, scene="") for n in range(5)]
    lines = b"".join(json.dumps(e).encode() + b"\n" for e in events)
    assert read(pa.Table.from_pylist(events)).rows == parse("rec_events", lines).rows


def test_a_row_that_is_no_event_is_rejected_with_its_number_and_a_hash_of_its_json(read, event):
    events = [
        event(),
        event(event_type="purchase"),
        event(item_id=None),
        event(event_ts_ms=-5),
        event(event_ts_ms=1_000),
        event(),
    ]
    found = read(pa.Table.from_pylist(events))
    assert found.reasons == {
        2: "unknown_event_type", 3: "missing_field", 4: "bad_time", 5: "time_out_of_range",
    }  # fmt: skip
    first = found.totals.rejects[0]
    texts = {
        k: v if isinstance(v, str) else json.dumps(v, separators=(",", ":"))
        for k, v in event(event_type="purchase").items()
    }
    raw = json.dumps(texts, separators=(",", ":")).encode()
    assert first.raw_sha256 == hashlib.sha256(raw).hexdigest()
    assert (first.byte_offset, first.byte_length) == (0, len(raw))
    assert first.excerpt.startswith('{"xxxxx_xx":"x-9"')


def test_the_period_of_the_name_counts(read, event):
    late = datetime(2026, 11, 17, tzinfo=UTC)
    found = read(pa.Table.from_pylist([event()]), not_before=late)
    assert found.reasons == {1: "time_out_of_range"}


@pytest.mark.parametrize(
    ("column", "values", "expected"),
    [
        ("watch_ms", pa.array([9000], pa.int16()), 9000),
        ("watch_ms", pa.array([9000], pa.uint64()), 9000),
        ("watch_ms", pa.array(["9000"]), 9000),
        ("watch_ms", pa.array([""]), None),
        ("watch_ms", pa.array([9000.4]), 9000),
        ("watch_ms", pa.array([Decimal("9000.0")]), 9000),
        ("watch_ms", pa.array([None], pa.null()), None),
        ("watch_ms", pa.array(["soon"]), "wrong_type"),
        ("watch_ms", pa.array([2**63], pa.uint64()), "wrong_type"),
        ("watch_ms", pa.array([1e30]), "wrong_type"),
        ("position", pa.array([2**40]), "wrong_type"),
        ("propensity", pa.array([float("nan")]), "wrong_type"),
        ("propensity", pa.array(["0.25"]), 0.25),
        ("propensity", pa.array([0.25], pa.float32()), 0.25),
        ("is_random", pa.array(["true"]), True),
        ("is_random", pa.array([1]), True),
        ("is_random", pa.array(["perhaps"]), "wrong_type"),
        ("session_id", pa.array([17]), "17"),
        ("session_id", pa.array([b"s-1"], pa.binary()), "s-1"),
        ("session_id", pa.array(["s-1"], pa.large_string()), "s-1"),
        ("session_id", pa.array(["s-1"]).dictionary_encode(), "s-1"),
        ("session_id", pa.array([b"\xff\xfe"], pa.binary()), "bad_utf8"),
        ("session_id", pa.array(["a\0b"]), "nul_byte"),
        ("event_ts_ms", pa.array([1794823205123], pa.timestamp("ms", "UTC")), None),
        ("event_ts_ms", AT_NS.cast(pa.timestamp("ns")), None),
        ("event_ts_ms", AT_NS, None),
        ("event_ts_ms", AT_NS.cast(pa.timestamp("ns", "Asia/Tokyo")), None),
        ("event_ts_ms", pa.array(["yesterday"]), "wrong_type"),
        ("propensity", pa.array([0.25], pa.float16()), 0.25),
        ("session_id", pa.array(["s-1"], pa.string_view()), "s-1"),
        ("session_id", pa.array([b"s-1"], pa.binary_view()), "s-1"),
    ],
)  # fmt: skip
def test_a_column_of_another_type_is_tried(column, values, expected, read, event):
    good = pa.Table.from_pylist([event()])
    table = good.set_column(good.schema.get_field_index(column), column, values)
    found = read(table)
    if isinstance(expected, str) and expected in ("wrong_type", "bad_utf8", "nul_byte"):
        assert found.reasons == {1: expected}
    elif column == "event_ts_ms":
        assert found.rows[0]["event_time"].isoformat() == "2026-11-16T10:00:05.123000+00:00"
    else:
        assert found.rows[0][column] == expected


def test_uuids_are_read_as_they_are_written_in_text(read, event):
    ids = [uuid.UUID(int=7 << 100), None, uuid.UUID(int=2**128 - 1)]
    table = pa.Table.from_pylist([event(event_id=f"e-{n}") for n in range(3)])
    at = table.schema.get_field_index("session_id")
    column = pa.array([i and i.bytes for i in ids], pa.uuid())
    expected = [i and str(i) for i in ids]
    whole = packed(table.set_column(at, "session_id", column))
    assert [r["session_id"] for r in read(whole).rows] == expected
    # without Arrow's own schema in the footer, as other writers leave it
    plain = packed(table.set_column(at, "session_id", column), store_schema=False)
    assert [r["session_id"] for r in read(plain).rows] == expected
    bad = table.set_column(at, "session_id", column).slice(1)
    bad = bad.set_column(0, "event_id", pa.array(["e" * 2_000, ""]))
    found = read(packed(bad), limits={"max_line_bytes": 1_024})
    assert found.reasons == {1: "line_too_long", 2: "missing_field"}


def test_columns_may_be_missing_new_or_in_another_order(read, event):
    full = [event(event_id=f"e-{n}") for n in range(3)]
    base = read(pa.Table.from_pylist(full)).rows
    turned = [dict(reversed([*e.items(), ("shelf", "s"), ("rn", 3)])) for e in full]
    found = read(pa.Table.from_pylist(turned))
    assert found.rows == base
    assert found.totals.unknown_fields == {"shelf", "rn"}
    few = [{k: e[k] for k in ("item_id", "event_ts_ms", "event_type", "event_id")} for e in full]
    found = read(pa.Table.from_pylist(few))
    assert [r["event_id"] for r in found.rows] == ["e-0", "e-1", "e-2"]
    assert {r["position"] for r in found.rows} == {None}


def test_an_experiment_may_be_a_struct_or_json_text(read, event):
    struct = read(pa.Table.from_pylist([event()])).rows
    text = read(pa.Table.from_pylist([event(experiment='{"id":"x7","variant":"b"}')])).rows
    assert struct == text
    assert (struct[0]["experiment_id"], struct[0]["variant"]) == ("x7", "b")


@pytest.mark.parametrize("more", [["a"], {"deep": "x"}, [{"deep": ["x"]}]], ids=repr)
@pytest.mark.parametrize("kind", [pa.string(), pa.string_view()], ids=str)
def test_a_struct_that_grew_by_a_list_is_read_without_it_and_the_drift_told(
    more, kind, read, event
):
    ids = pa.array(["x7", None], kind)
    grown = pa.StructArray.from_arrays(
        [ids, pa.array([more, None]), pa.array(["b", "c"])], ["id", "more", "variant"]
    )
    table = pa.Table.from_pylist([event(), event()])
    at = table.schema.get_field_index("experiment")
    found = read(table.set_column(at, "experiment", grown))
    assert [(r["experiment_id"], r["variant"]) for r in found.rows] == [("x7", "b"), (None, "c")]
    assert found.totals.unknown_fields == {"experiment.more"}


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"item_id": ["a", "b"]}, "item_id"),
        ({"experiment": {"id": ["x7"]}}, "experiment"),
        ({"experiment": {"id": {"deep": "x"}}}, "experiment"),
    ],
)
def test_a_schema_that_no_row_could_fit_is_refused(changes, word, read, event):
    table = pa.Table.from_pylist([event(**changes)])
    assert reason(read, table) == "bad_schema"
    with pytest.raises(RefusedError, match=word):
        read(table)


def test_an_object_without_a_required_column_is_refused(read, event):
    without = pa.Table.from_pylist([event()]).drop_columns(["item_id"])
    assert reason(read, without) == "bad_schema"
    twice = pa.Table.from_pylist([event()])
    twice = twice.append_column("item_id", pa.array(["other"]))
    assert reason(read, twice) == "bad_schema"
    dotted = pa.Table.from_pylist([event()]).append_column("item_id.x", pa.array(["y"]))
    assert reason(read, dotted) == "bad_schema"


def test_row_groups_and_pieces_make_no_difference(read, event, monkeypatch):
    events = [event(event_id=f"e-{n}", position=n, item_id=None if n == 40 else "i")
              for n in range(90)]  # fmt: skip
    table = pa.Table.from_pylist(events)
    whole = read(table)
    assert whole.reasons == {41: "missing_field"}
    for options in ({"row_group_size": 7}, {"use_dictionary": False}, {"compression": "zstd"},
                    {"data_page_version": "2.0"}, {"write_page_checksum": True}):  # fmt: skip
        assert read(packed(table, **options)) == whole
    monkeypatch.setattr(parquet_rows, "_BATCH_ROWS", 11)
    assert read(table) == whole
    monkeypatch.setattr(parquet_rows, "_PIECE_BYTES", 1_000)
    assert read(table) == whole


def test_an_object_without_rows_has_none(read, event):
    found = read(pa.Table.from_pylist([event()]).slice(0, 0))
    assert found.totals.lines == 0
