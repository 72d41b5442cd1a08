"""Objects that are refused whole: one word says why, and nothing of them stays."""

from __future__ import annotations

import bz2
import gzip
import io
import itertools
import re
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import zstandard

from lake import inflate, unpacked
from lake.codecs import codec_of
from lake.inflate import Buffer, Chunk, chunks
from lake.limits import Limits
from lake.records import REC_EVENTS
from lake.refused import REASONS, RefusedError
from lake.unpacked import first_bytes

BODY = b"".join(b'{"a": %d, "b": "%x"}\n' % (n, n * 7919**3) for n in range(3_000))


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


PACK: dict[str, Callable[[bytes], bytes]] = {
    "gz": lambda data: gzip.compress(data, mtime=0),
    "zst": zstd,
    "bz2": bz2.compress,
}
CODEC = {"gz": "gzip", "zst": "zstd", "bz2": "bzip2"}
PACKED = {suffix: pack(BODY) for suffix, pack in PACK.items()}
SUFFIXES = tuple(PACK)


def read(data: bytes, name: str = "in/a", **limits: int) -> bytes:
    """Return the lines that become chunks."""
    with Buffer() as buffer:
        found = chunks(io.BytesIO(data), name, len(data), buffer, Limits(**limits))
        return b"".join(bytes(buffer.memory[: c.size]) for c in found if isinstance(c, Chunk))


def reason(data: bytes, name: str = "in/a", **limits: int) -> str:
    """Return why an object is refused; every refusal says what was expected and found."""
    with pytest.raises(RefusedError) as refusal:
        read(data, name, **limits)
    found = refusal.value
    assert str(found).startswith(f"{found.reason}: expected ")
    assert "found" in found.detail
    assert found.detail.endswith(REASONS[found.reason])
    return found.reason


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_whole_object_is_read(suffix):
    data = PACKED[suffix]
    assert codec_of(data[:16]) == CODEC[suffix]
    for name in ("in/a", f"in/a.{suffix}", f"in/a.LOG.{suffix.upper()}", "in.d/E123.2026-11-16-10"):
        assert read(data, name) == BODY
    assert read(data + data, f"in/a.{suffix}") == BODY + BODY
    assert first_bytes(io.BytesIO(data), "in/a", 30) == BODY[:30]


def test_plain_text_is_read():
    for name in ("in/a", "in/a.log", "in/a.ndjson", "in/a.2026-11-16"):
        assert read(BODY, name) == BODY


def test_a_zstd_object_may_hold_frames_to_be_skipped_and_none_with_a_checksum():
    skipped = b"\x53\x2a\x4d\x18\x04\0\0\0abcd"
    bare = zstandard.ZstdCompressor().compress(BODY)
    assert read(skipped + bare + skipped + PACKED["zst"], "in/a.zst") == BODY + BODY


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_object_cut_anywhere_is_refused(suffix):
    data, name = PACKED[suffix], f"in/a.{suffix}"
    step = len(data) // 60
    for end in (*range(1, 24), *range(24, len(data) - 12, step), *range(len(data) - 12, len(data))):
        assert reason(data[:end], name) in {"truncated", "not_what_its_name_says"}, end
        two = reason(data + data[:end], name)
        assert two == "truncated" or (two == "trailing_garbage" and end < 5), end


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_wrong_checksum_is_refused(suffix):
    at = {"gz": (-8, -5, -4, -1), "zst": (-4, -1), "bz2": (10, 12)}[suffix]
    for place in at:
        broken = bytearray(PACKED[suffix])
        broken[place] ^= 0x5A
        wanted = {"corrupt"} if suffix == "bz2" else {"crc"}
        assert {reason(bytes(broken), f"in/a.{suffix}")} == wanted


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_flipped_byte_becomes_other_lines(suffix):
    data = PACKED[suffix]
    for place in range(0, len(data), len(data) // 97):
        broken = bytearray(data)
        broken[place] ^= 0x10
        # a field of a header that says nothing of the data may be anything
        with suppress(RefusedError):
            assert read(bytes(broken), f"in/a.{suffix}") == BODY


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("more", [b"hello, here is no member", b"#", b"{}\n", b"\xff" * 40])
def test_rubbish_after_the_end_is_refused(suffix, more):
    found = reason(PACKED[suffix] + more, f"in/a.{suffix}")
    # one or two bytes could be the beginning of a member that breaks off
    assert found == "trailing_garbage" or (found == "truncated" and len(more) < 4)


def test_zeros_after_a_gzip_object_are_padding():
    assert read(PACKED["gz"] + b"\0" * 512, "in/a.gz") == BODY
    assert reason(PACKED["zst"] + b"\0" * 512) == "trailing_garbage"


def test_an_empty_object_is_refused_and_an_empty_member_has_no_lines():
    assert reason(b"") == "zero_bytes"
    for suffix, pack in PACK.items():
        assert read(pack(b""), f"in/a.{suffix}") == b""


NAMES = {"plain": "in/a.log", "gz": "in/a.gz", "zst": "in/a.ndjson.zst", "bz2": "in/a.bz2"}


@pytest.mark.parametrize(("content", "name"), list(itertools.permutations(("plain", *SUFFIXES), 2)))
def test_what_is_not_what_its_name_says_is_refused(content, name):
    data = PACKED.get(content, BODY)
    assert reason(data, NAMES[name]) == "not_what_its_name_says"
    with pytest.raises(RefusedError, match=f"found {CODEC.get(content, 'bytes that begin 7b 22')}"):
        read(data, NAMES[name])


def test_a_zlib_stream_is_no_gzip():
    assert reason(zlib.compress(BODY), "in/a.gz") == "not_what_its_name_says"


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (PACK["gz"](PACK["gz"](bytes(10**6))), "a gzip stream inside"),
        (PACK["gz"](zstd(BODY)), "a zstd stream inside"),
        (b"PK\x03\x04" + bytes(40), "a zip archive"),
        (b"PAR1" + bytes(40), "a Parquet file"),
        ('{"a": 1}\n'.encode("utf-16"), "UTF-16 text"),
    ],
    ids=["gzip", "zstd", "zip", "parquet", "utf-16"],
)
def test_what_is_no_log_is_refused(data, what):
    assert reason(data) == "not_a_log"
    with pytest.raises(RefusedError, match=what):
        read(data)


def test_lines_that_end_in_a_bare_carriage_return_are_refused_not_counted_as_one():
    assert reason(b"#Version: 1.0\r#Fields: date time sc-status\r") == "cr_line_ends"
    assert reason(gzip.compress(BODY.replace(b"\n", b"\r"))) == "cr_line_ends"
    assert read(b"{}\r") == b"{}\r"


def test_every_refusal_has_a_reason_that_is_listed():
    lake = Path(unpacked.__file__).parent
    text = "\n".join(p.read_text() for p in lake.rglob("*.py"))
    used = set(re.findall(r'RefusedError\(\s*"(\w+)"', text)) | set(
        re.findall(r'_damaged\("(\w+)"', text)
    )
    assert used >= {"truncated", "corrupt", "bomb", "no_header"}
    assert used - set(REASONS) == set()


# --- bombs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("line", [b"\0", b"a\n", b'{"event_id": "e"}\n', b"\n"])
def test_an_object_that_blows_up_is_refused(suffix, line, monkeypatch):
    monkeypatch.setattr(inflate, "CHUNK_BYTES", 1 << 18)
    monkeypatch.setattr(unpacked, "_RATIO_FROM_BYTES", 1 << 18)
    bomb = PACK[suffix](line * ((1 << 22) // len(line)))
    assert reason(bomb, max_ratio=200) == "bomb"
    with pytest.raises(RefusedError, match=r"at most 200 bytes for one packed .*max_ratio"):
        read(bomb, max_ratio=200)


def test_an_object_larger_than_the_limit_is_refused():
    assert reason(PACKED["gz"], max_inflated_bytes=10_000) == "bomb"
    assert reason(BODY, max_inflated_bytes=10_000) == "bomb"


def test_an_object_that_takes_too_long_is_refused():
    seconds = itertools.count(step=3.0).__next__
    with Buffer() as buffer, pytest.raises(RefusedError, match=r"too_slow: expected .* 5\.0 s"):
        list(chunks(io.BytesIO(BODY), "a", len(BODY), buffer, Limits(max_cpu_s=5.0), seconds))


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
    assert words == [
        "truncated", "crc", "trailing_garbage", "zero_bytes", "not_what_its_name_says",
    ]  # fmt: skip
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
