"""CSV with a header: columns by name, one record a physical line, quotes that never run on."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from lake import inflate
from lake.formats.csv_records import CsvRecords
from lake.refused import RefusedError

BOUNDED = settings(
    derandomize=True,
    max_examples=30,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def event(make):
    base = json.loads(make.line("rec_events"))
    return lambda **changes: {**base, **changes}


def text_of(value) -> object:
    return json.dumps(value, separators=(",", ":")) if isinstance(value, dict) else value


def written(events, names=None) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, names or list(events[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: text_of(v) for k, v in e.items()} for e in events)
    return out.getvalue().encode()


@pytest.fixture(scope="module")
def read(parse, feed_of):
    def of(data: bytes, **changes):
        found = parse("rec_events", data, source=feed_of("rec_events", container="csv"), **changes)
        found.check_accounts(data)
        return found

    return of


def test_a_row_means_what_the_same_json_line_means(read, parse, event):
    events = [event(event_id=f"e-{n}", item_id='a "b", c', position=n or None) for n in range(4)]
    found = read(written(events))
    lines = b"".join(json.dumps(e).encode() + b"\n" for e in events)
    wanted = parse("rec_events", lines).rows
    assert [{**r, "source_line": r["source_line"] - 1} for r in found.rows] == wanted
    assert found.totals.header == 1


def test_columns_may_be_missing_new_or_in_another_order(read, event):
    few = [event()]
    names = ["item_id", "shelf", "event_ts_ms", "event_id", "rn", "event_type"]
    data = written([{n: {**few[0], "shelf": "s3", "rn": "4"}[n] for n in names}], names)
    found = read(data)
    assert (found.rows[0]["item_id"], found.rows[0]["position"]) == ("i-9", None)
    assert found.totals.unknown_fields == {"shelf", "rn"}
    assert "s3" not in repr(found.rows)


@pytest.mark.parametrize(
    "header",
    [b"event_id,event_type,event_ts_ms\n", b"event_id,event_type,event_ts_ms,item_id,item_id\n",
     b'"event_id,event_type\n', b"\n", b'{"event_id": 1}\n'],
)  # fmt: skip
def test_a_header_that_names_no_event_is_refused(header, read):
    with pytest.raises(RefusedError, match=r"bad_header: expected a header line with event_id"):
        read(header + b"1,2,3,4\n")


# one comment a case: the line between two good ones, and why it is rejected (None: it is not)
CASES = {
    # a quote that is never closed costs its own line
    'x,"play,1794823205123,i': "bad_quotes",
    # half of a record that a line break was written into, and its other half
    '"x\\u000a': "bad_quotes",
    'y",play,1794823205123,i': "bad_quotes",
    # separators and doubled quotes stand inside quotes
    '"x,""y""",play,1794823205123,"i"': None,
    # a quote in the middle of a field is text
    'x"y"z,play,1794823205123,i': None,
    # an even number of quotes, the last of which opens a field that does not close
    'x"y,play,1794823205123,"i': "bad_quotes",
    # something behind the closing quote
    '"x"y,play,1794823205123,i': "bad_quotes",
    "x,play,1794823205123": "ragged",
    "x,play,1794823205123,i,": "ragged",
    "x,play,1794823205123,i,,,": "ragged",
    # one column too many, inside quotes none
    '"x,y",play,1794823205123,i': None,
    "x,play,soon,i": "wrong_type",
    "x,play,,i": "missing_field",
    "x,purchase,1794823205123,i": "unknown_event_type",
    # numbers may be quoted
    'x,play,"1794823205123",i': None,
    "x,play,1794823205123,i\0": "nul_byte",
    "x,play,17948232\r05123,i": "stray_cr",
    "  x  ,play, 1794823205123 ,i": None,
}


@pytest.mark.parametrize("case", range(len(CASES)))
def test_a_line_is_judged_by_itself_beside_good_ones(case, read):
    line, why = list(CASES.items())[case]
    head = b"event_id,event_type,event_ts_ms,item_id\n"
    good = [f"e-{n},play,1794823205123,i".encode() for n in range(5)]
    data = head + b"\n".join([*good[:3], line.encode(), *good[3:], b""])
    found = read(data)
    assert found.reasons == ({} if why is None else {5: why})
    assert found.totals.accepted == (6 if why is None else 5)


def test_a_second_header_in_mid_file_is_a_header(read, event):
    data = written([event(), event(event_id="e-2")])
    found = read(data + data)
    assert (found.totals.header, found.totals.accepted) == (2, 4)


def test_open_quotes_do_not_have_the_rest_judged_one_by_one(read, event, monkeypatch):
    judged = []
    judge = CsvRecords.judge
    monkeypatch.setattr(CsvRecords, "judge",
                        lambda *given: (judged.append(1), judge(*given))[1])  # fmt: skip
    lines = written([event(event_id=f"e-{n}") for n in range(400)]).split(b"\n")
    lines[7] = b'"half of a line'
    lines[300] = b'another "half'
    found = read(b"\n".join(lines))
    assert (found.totals.accepted, found.totals.rejected) == (398, 2)
    assert len(judged) <= 4


def test_chunks_make_no_difference(read, event, monkeypatch):
    lines = written([event(event_id=f"e-{n}") for n in range(40)]).split(b"\n")
    lines[9:9] = [b'"', b"", b"nonsense"]
    data = b"\n".join(lines)
    whole = read(data)
    monkeypatch.setattr(inflate, "CHUNK_BYTES", 2_000)
    assert read(data) == whole


def test_carriage_returns_before_line_feeds_cost_nothing(read, event):
    data = written([event(), event(event_id="e-2")]).replace(b"\n", b"\r\n")
    assert read(data).totals.accepted == 2


MARKS = st.sampled_from([b'"', b",", b"\n", b"\r", b"\0", b"\xff", b'""', b"x", b"#"])


@given(edits=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 9), MARKS), max_size=6))
@BOUNDED
def test_any_damage_is_accounted_for(edits, read, event):
    head, _, body = written([event(event_id=f"e-{n}") for n in range(6)]).partition(b"\n")
    for where, length, mark in edits:
        at = int(where * len(body))
        body = body[:at] + mark + body[at + length :]
    read(head + b"\n" + body)
