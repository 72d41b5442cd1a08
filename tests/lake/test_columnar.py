"""Parquet: every row accounted for, columns by name, damage and bombs refused by name."""

from __future__ import annotations

import hashlib
import io
import json
import uuid
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from lake import parquet_rows, unpacked
from lake.limits import Limits
from lake.records import REC_EVENTS
from lake.refused import REASONS, RefusedError
from lake.replay import Replay
from lake.selection import Selection
from lake.settings import PACKAGED_SOURCES
from lake.source import LandingSpec, Period, SourceError, load_source, load_sources

BOUNDED = settings(
    derandomize=True,
    max_examples=25,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
#: as pandas writes an instant with a zone
AT_NS = pa.array([1794823205123], pa.timestamp("ms", "UTC")).cast(pa.timestamp("ns", "UTC"))


def packed(table: pa.Table, **options) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


@pytest.fixture(scope="module")
def event(make):
    base = json.loads(make.line("rec_events"))
    return lambda **changes: {**base, **changes}


@pytest.fixture(scope="module")
def read(parse, feed_of):
    """Parse Parquet bytes or a table of events; check what holds for every object."""

    def of(data, *, limits=None, **changes):
        data = packed(data) if isinstance(data, pa.Table) else data
        given = {"limits": Limits(**limits)} if limits else {}
        source = feed_of("rec_events", container="parquet", **given)
        found = parse("rec_events", data, source=source, name="in/a.parquet", **changes)
        t = found.totals
        assert t.lines == t.accepted + t.rejected
        assert (t.header, t.blank) == (0, 0)
        numbers = [r["source_line"] for r in found.rows] + [r.line for r in t.rejects]
        assert sorted(numbers) == list(range(1, t.lines + 1))
        return found

    return of


def reason(read, data, **limits) -> str:
    with pytest.raises(RefusedError) as refusal:
        read(data, limits=limits)
    found = refusal.value
    assert str(found).startswith(f"{found.reason}: expected ")
    assert "found" in found.detail
    assert found.detail.endswith(REASONS[found.reason])
    return found.reason


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


# --- damage ------------------------------------------------------------------------------------


def test_what_is_no_parquet_is_refused_by_what_it_is(read, event):
    data = packed(pa.Table.from_pylist([event()]))
    assert reason(read, b"") == "zero_bytes"
    assert reason(read, json.dumps(event()).encode()) == "wrong_container"
    assert reason(read, b"\x1f\x8b\x08\x00" + data) == "wrong_container"
    assert reason(read, b"PARE" + data[4:]) == "encrypted"
    assert reason(read, data[:-4] + b"PARE") == "encrypted"
    assert reason(read, data + b"more") == "truncated"


def test_parquet_where_none_is_declared_stays_refused(parse, event):
    with pytest.raises(RefusedError, match=r"not_a_log: .*a Parquet file"):
        parse("rec_events", packed(pa.Table.from_pylist([event()])))


def test_an_object_cut_anywhere_is_refused(read, event):
    data = packed(pa.Table.from_pylist([event(event_id=f"e-{n}") for n in range(50)]))
    for end in (*range(1, 24), *range(24, len(data), len(data) // 40), len(data) - 1):
        assert reason(read, data[:end]) in {"truncated", "wrong_container"}, end


def test_a_page_whose_checksum_is_wrong_is_refused(read, event):
    table = pa.Table.from_pylist([event(event_id=f"e-{n}") for n in range(50)])
    data = bytearray(packed(table, write_page_checksum=True, compression="none"))
    at = bytes(data).index(b"e-17")
    data[at] ^= 1
    assert reason(read, bytes(data)) == "crc"


def test_more_rows_or_bytes_than_the_limits_are_refused(read, event, monkeypatch):
    table = pa.Table.from_pylist([event(event_id=f"e-{n}") for n in range(50)])
    assert reason(read, table, max_rows=49) == "bomb"
    assert reason(read, table, max_inflated_bytes=900) == "bomb"
    monkeypatch.setattr(unpacked, "_RATIO_FROM_BYTES", 1 << 12)
    assert reason(read, table, max_ratio=1) == "bomb"


def test_one_long_value_in_a_million_rows_is_a_bomb_and_never_written_out(read, event):
    """A dictionary of one megabyte, a million rows that name it: a terabyte as text."""
    value = "v" * (1 << 20)
    count = 1_000_000
    columns = {
        "event_id": pa.array(["e"]), "event_type": pa.array(["play"]), "item_id": pa.array(["i"]),
        "event_ts_ms": pa.array([1794823205123]), "model_version": pa.array([value]),
    }  # fmt: skip
    zeros = pa.array([0] * count, pa.int32())
    table = pa.table(
        {n: pa.DictionaryArray.from_arrays(zeros, c) if n != "event_ts_ms" else c.take(zeros)
         for n, c in columns.items()}
    )  # fmt: skip
    data = packed(table, compression="zstd")
    assert len(data) < 4_000_000
    before = pa.total_allocated_bytes()
    assert reason(read, data) == "bomb"
    assert pa.total_allocated_bytes() - before < 64 << 20


@pytest.mark.parametrize("encoded", [True, False])
def test_a_row_longer_than_a_line_may_be_is_one_reject(encoded, read, event):
    long = event(event_id="long", model_version="m" * 5_000, experiment={"id": "x" * 3_000})
    table = pa.Table.from_pylist([event(), long, event(event_id="e-3"), long])
    found = read(packed(table, use_dictionary=encoded), limits={"max_line_bytes": 2_048})
    assert found.reasons == {2: "line_too_long", 4: "line_too_long"}
    assert all(r.byte_length < 2_048 for r in found.totals.rejects)


def test_an_object_of_nothing_but_bad_rows_is_refused(read, event):
    table = pa.Table.from_pylist([event(item_id="")] * 30)
    assert reason(read, table, max_rejected_lines=29) == "too_many_rejects"
    assert read(table, limits={"max_rejected_lines": 30}).totals.rejected == 30


# --- any table, any damage -----------------------------------------------------------------------

VALUES = {
    "event_id": st.one_of(st.none(), st.text(max_size=5)),
    "event_type": st.sampled_from(["play", "click", "", "Play", None]),
    "event_ts_ms": st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1),
                             st.just(1794823205123)),
    "item_id": st.one_of(st.just("i"), st.text(max_size=3)),
    "position": st.one_of(st.none(), st.integers(-(2**40), 2**40)),
    "propensity": st.one_of(st.none(), st.floats()),
    "experiment": st.one_of(st.none(), st.fixed_dictionaries({"id": st.text(max_size=3)})),
    "country": st.one_of(st.none(), st.binary(max_size=3)),
}  # fmt: skip


@given(rows=st.lists(st.fixed_dictionaries(VALUES), min_size=1, max_size=8), small=st.booleans())
@BOUNDED
def test_any_table_is_accounted_for(rows, small, read):
    table = pa.Table.from_pylist(rows)
    options = {"row_group_size": 3, "use_dictionary": False} if small else {}
    found = read(packed(table, **options))
    assert found.totals.lines == len(rows)


@given(
    edits=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), min_size=1, max_size=4),
    cut=st.one_of(st.none(), st.tuples(st.floats(0, 1), st.integers(1, 40))),
    plain=st.booleans(),
)
@BOUNDED
def test_any_damage_is_refused_or_accounted_for(edits, cut, plain, read, event):
    table = pa.Table.from_pylist([event(event_id=f"e-{n}") for n in range(9)])
    data = bytearray(packed(table, compression="none" if plain else "snappy"))
    for where, mask in edits:
        data[min(int(where * len(data)), len(data) - 1)] ^= mask
    if cut is not None:
        at = int(cut[0] * len(data))
        del data[at : at + cut[1]]
    with suppress(RefusedError):  # any other error fails the test
        read(bytes(data))


# --- in a lake ---------------------------------------------------------------------------------


def test_rejected_rows_that_now_pass_move_into_bronze_by_a_replay(box, event):
    packaged = load_sources(PACKAGED_SOURCES)["rec_events"]
    with_parquet = {"container": "parquet", "landing": LandingSpec(prefix="rec_events/")}
    period = Period(
        pattern=r"dt=(?P<start>.+)/(?P<producer>.+)-\d+\.parquet$",
        start_format="%Y-%m-%d/hour=%H",
        length=timedelta(hours=1),
    )
    source = packaged.model_copy(update={**with_parquet, "period": period})
    box.sources = {"rec_events": source}
    late = event(event_id="e-2", event_ts_ms=1794823205123 + 3_600_000)
    table = pa.Table.from_pylist([event(), late, event(event_type="purchase")])
    box.land("rec_events/dt=2026-11-16/hour=10/rec-1-1.parquet", packed(table), packed=False)
    box.run(REC_EVENTS)
    assert box.count("bronze.rec_events") == 1
    assert box.sql("select line, reason, byte_offset from {} order by all", "ops.rejects") == [
        (2, "time_out_of_range", 0), (3, "unknown_event_type", 0),
    ]  # fmt: skip
    wide = period.model_copy(update={"late": timedelta(hours=2)})
    box.sources = {"rec_events": source.model_copy(update={"period": wide})}
    one = box.ingest_of(REC_EVENTS)
    parts = ("catalog", "landing", "sources", "record", "audit", "protection", "now")
    given = {name: getattr(one, name) for name in parts}
    assert Replay(**given).run(Selection()).by_outcome == {"changed": 1}
    assert box.sql("select event_id, source_line from {} order by all", "bronze.rec_events") == [
        ("e-1", 1), ("e-2", 2),
    ]  # fmt: skip
    assert box.sql("select line from {}", "ops.rejects") == [(3,)]
    assert Replay(**given).run(Selection()).by_outcome == {"same": 1}


def test_a_container_that_the_format_does_not_know_is_refused_by_its_source_file(tmp_path):
    path = tmp_path / "feed.yaml"
    path.write_text(
        "name: feed\ndescription: d\nowner: o\nformat: cloudfront_v1\ncontainer: parquet\n"
        "landing: {prefix: in/}\n"
    )
    with pytest.raises(SourceError, match=r"container: cloudfront_v1 comes in lines"):
        load_source(path)
