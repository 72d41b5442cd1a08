"""Parquet that is damaged, cut or a bomb is refused by name, or every row is accounted for."""

from __future__ import annotations

import json
from contextlib import suppress

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake import unpacked
from lake.refused import RefusedError

from .parquet import BOUNDED, packed, reason


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
