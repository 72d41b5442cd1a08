"""A folder as landing: versions, names that lead nowhere, and what checksum files say."""

from __future__ import annotations

import gzip
import hashlib
from datetime import UTC, datetime

import pytest

from lake.landing import FolderLanding, GoneError, open_landing
from lake.records import REC_EVENTS
from lake.refused import RefusedError
from lake.settings import load_settings

T0 = datetime(2026, 11, 16, 12, tzinfo=UTC)
KEY = "rec_events/dt=2026-11-16/hour=10/rec-1-1.ndjson.gz"


def two_members(make) -> tuple[bytes, bytes]:
    """Return a gzip of two members, and the same cut at their border: gzip cannot tell."""
    parts = []
    for n in (1, 2):
        line = make.line("rec_events", {"event_id": f"e-{n}", "event_ts_ms": 1794823205123})
        parts.append(gzip.compress(make.file("rec_events", [line]), mtime=0))
    return b"".join(parts), parts[0]


def test_a_key_that_leads_out_of_the_folder_finds_nothing(tmp_path):
    (tmp_path / "secret.gz").write_bytes(b"x")
    inside = tmp_path / "landing"
    (inside / "a").mkdir(parents=True)
    (inside / "a" / "x.gz").write_bytes(b"x")
    landing = FolderLanding(inside)
    assert landing.find("a/x.gz").size_bytes == 1
    for key in ("../secret.gz", "a/../../secret.gz", "/etc/passwd", "a//x.gz", "a", "a/x.gz/b", ""):
        assert landing.find(key) is None, key


def test_a_version_that_was_overwritten_since_is_gone(tmp_path):
    path = tmp_path / "x.gz"
    path.write_bytes(b"one")
    landing = FolderLanding(tmp_path)
    (found,) = landing.list("", ".gz")
    path.write_bytes(b"other")
    with pytest.raises(GoneError, match="was overwritten since the listing"):
        landing.open(found)
    path.unlink()
    with pytest.raises(GoneError, match="not there any more"):
        landing.open(found)


def test_a_file_cut_between_two_members_is_refused_by_its_checksum_file(box, make):
    whole, cut = two_members(make)
    box.land(f"{KEY}.md5", hashlib.md5(whole).hexdigest().encode(), T0, packed=False)
    box.land(KEY, cut, T0, packed=False)

    assert box.run(REC_EVENTS).by_state == {"rejected": 1}
    (refused,) = box.ledger().values()
    assert refused.reason.startswith("checksum: expected md5 ")
    assert refused.lines is None

    box.land(KEY, whole, T0.replace(hour=13), packed=False)
    box.run(REC_EVENTS)
    assert box.by_key() == {KEY: ["replaced", "loaded"]}
    assert box.count("bronze.rec_events") == 2


def test_a_checksum_file_is_no_delivery_and_an_empty_one_states_nothing(tmp_path):
    (tmp_path / "x.log").write_bytes(b"abc")
    (tmp_path / "x.log.md5").write_bytes(b"")
    (tmp_path / "lonely.md5").write_bytes(b"a log of that name")
    landing = FolderLanding(tmp_path)
    found = {o.key: o for o in landing.list("", "")}
    assert sorted(found) == ["lonely.md5", "x.log"]
    with landing.open(found["x.log"]) as stream:
        stream.require_intact()
        assert stream.read() == b"abc"


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
@pytest.mark.parametrize("form", ["{d}", "{d}  {n}\n", "{d} *{n}\n", "MD5 ({n}) = {d}\n"])
def test_checksum_files_have_the_forms_of_the_usual_tools(tmp_path, algorithm, form):
    (tmp_path / "x.gz").write_bytes(b"abc")
    beside = tmp_path / f"x.gz.{algorithm}"
    beside.write_text(form.format(d=hashlib.new(algorithm, b"abcd").hexdigest().upper(), n="x.gz"))
    landing = FolderLanding(tmp_path)
    (found,) = landing.list("", ".gz")
    with landing.open(found) as stream, pytest.raises(RefusedError, match=r"checksum file 'x\.gz"):
        stream.require_intact()


def test_of_many_digests_in_a_checksum_file_the_one_of_the_name_counts(tmp_path):
    (tmp_path / "x.log").write_bytes(b"abc")
    lines = [f"{hashlib.md5(t).hexdigest()}  {n}" for t, n in ((b"b", "y.log"), (b"abc", "x.log"))]
    (tmp_path / "x.log.md5").write_text("\n".join(lines))
    (found,) = FolderLanding(tmp_path).list("", "")
    with FolderLanding(tmp_path).open(found) as stream:
        assert [c.digest for c in stream.checksums] == [hashlib.md5(b"abc").hexdigest()]
        stream.require_intact()


def test_settings_choose_the_landing(tmp_path):
    assert isinstance(open_landing(load_settings({}, home=tmp_path)), FolderLanding)
    there = load_settings({"WEIR_LANDING": "s3://logs/cdn", "WEIR_S3_REGION": "eu-central-1"})
    assert type(open_landing(there)).__name__ == "S3Landing"
