"""Objects that are refused whole: one word says why, and nothing of them stays."""

from __future__ import annotations

import gzip
import io
import zlib
from contextlib import suppress

import pytest

from lake import inflate
from lake.inflate import Buffer, chunks
from lake.records import REC_EVENTS
from lake.refused import RefusedError

BODY = b'{"a": 1}\n' * 4_000
PACKED = gzip.compress(BODY, mtime=0)
NOISY = gzip.compress(bytes(range(256)) * 40 + b"\n", mtime=0)


def read(data: bytes, name: str = "in/a.gz") -> bytes:
    with Buffer() as buffer:
        return b"".join(
            bytes(buffer.memory[:n]) for n in chunks(io.BytesIO(data), name, len(data), buffer)
        )


def reason(data: bytes, name: str = "in/a.gz") -> str:
    with pytest.raises(RefusedError) as refusal:
        read(data, name)
    assert str(refusal.value).startswith(f"{refusal.value.reason}: ")
    return refusal.value.reason


def test_a_whole_object_is_read():
    assert read(PACKED) == BODY
    assert read(BODY, "in/a.log") == BODY
    assert read(PACKED, "in/a.log") == BODY


@pytest.mark.parametrize("packed", [PACKED, NOISY], ids=["small", "noisy"])
@pytest.mark.parametrize("share", [0.02, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9, 0.97])
def test_a_truncated_object_is_refused(packed, share):
    assert reason(packed[: max(3, int(share * len(packed)))]) == "truncated"


@pytest.mark.parametrize("missing", range(1, 9))
def test_an_object_without_its_trailer_is_refused(missing):
    assert reason(PACKED[:-missing]) == "truncated"


def test_a_second_member_that_breaks_off_is_refused():
    assert reason(PACKED + PACKED[:-5]) == "truncated"


@pytest.mark.parametrize("at", [-8, -5, -4, -1])
def test_a_wrong_checksum_or_length_is_refused(at):
    broken = bytearray(PACKED)
    broken[at] ^= 0x5A
    assert reason(bytes(broken)) == "crc"


def test_rubbish_after_the_end_is_refused():
    assert reason(PACKED + b"hello, here is no second member") == "trailing_garbage"


def test_rubbish_shorter_than_a_header_is_refused_too():
    assert reason(PACKED + b"x") in {"trailing_garbage", "truncated"}


def test_zeros_after_the_end_are_padding_or_rubbish_but_no_rows():
    with suppress(RefusedError):
        assert read(PACKED + b"\0" * 512) == BODY


def test_a_corrupt_body_is_refused():
    broken = bytearray(NOISY)
    broken[40:60] = b"\xff" * 20
    assert reason(bytes(broken)) in {"corrupt", "crc", "truncated"}


def test_an_empty_object_is_refused():
    assert reason(b"") == "zero_bytes"


def test_an_empty_gzip_object_has_no_lines():
    assert read(gzip.compress(b"")) == b""


def test_plain_text_named_gz_is_refused():
    assert reason(BODY) == "not_gzip"
    assert reason(zlib.compress(BODY)) == "not_gzip"


def test_an_object_that_blows_up_is_refused(monkeypatch):
    monkeypatch.setattr(inflate, "CHUNK_BYTES", 1 << 16)
    monkeypatch.setattr(inflate, "_RATIO_FROM_BYTES", 1 << 16)
    assert reason(gzip.compress(b"\0" * (1 << 20))) == "bomb"
    monkeypatch.setattr(inflate, "MAX_RATIO", 10)
    assert reason(gzip.compress(b"a\n" * (1 << 18))) == "bomb"


def test_an_object_larger_than_the_limit_is_refused(monkeypatch):
    monkeypatch.setattr(inflate, "MAX_INFLATED_BYTES", 10_000)
    assert reason(PACKED) == "bomb"


def test_a_cloudfront_file_without_a_header_is_refused(parse, make):
    with pytest.raises(RefusedError, match=r"no_header: .*Add `fields"):
        parse("cloudfront_v1", make.line("cloudfront_v1") + b"\n")


@pytest.mark.parametrize(
    "header",
    [
        b"#Fields: date time\n",
        b"#Fields: date time sc-status date\n",
        b"#Fields: date time sc-status " + b" ".join(b"c%d" % n for n in range(300)) + b"\n",
    ],
    ids=["no status", "twice the date", "too many"],
)
def test_a_header_that_says_nonsense_is_refused(header, parse):
    with pytest.raises(RefusedError, match=r"bad_header: .*Check the log configuration"):
        parse("cloudfront_v1", header + b"2026-11-16\t10:00:05\n")


KEY = "rec_events/dt=2026-11-16/hour=10/rec-1-{}.ndjson.gz"


def test_what_is_refused_leaves_nothing_staged(box, make, monkeypatch):
    good = make.file("rec_events", [make.numbered("rec_events", n) for n in range(400)])
    whole = gzip.compress(good, mtime=0)
    broken = bytearray(whole)
    broken[-6] ^= 1
    for n, data in enumerate([whole[:-40], bytes(broken), whole + b"here is no member", b"", good]):
        box.land(KEY.format(n), data, packed=False)
    monkeypatch.setattr(inflate, "CHUNK_BYTES", 8_192)
    report = box.run(REC_EVENTS)
    assert report.by_state == {"rejected": 5}
    words = [d.reason.split(":")[0] for d in sorted(box.ledger().values(), key=lambda d: d.key)]
    assert words == ["truncated", "crc", "trailing_garbage", "zero_bytes", "not_gzip"]
    assert {d.lines for d in box.ledger().values()} == {None}
    assert box.data_files("bronze.rec_events") == set()
    assert box.audit.seen == []


def test_a_better_version_of_a_refused_object_is_loaded(box, make):
    good = make.file("rec_events", [make.numbered("rec_events", n) for n in range(4)])
    box.land(KEY.format(1), gzip.compress(good)[:-9], packed=False)
    box.run(REC_EVENTS)
    box.land(KEY.format(1), good, box.now)
    box.run(REC_EVENTS)
    assert box.by_key() == {KEY.format(1): ["replaced", "loaded"]}
    assert box.count("bronze.rec_events") == 4
