"""Landing in a real S3 server, undisturbed and behind a proxy that breaks what goes through it."""

from __future__ import annotations

import base64
import gzip
import hashlib
import logging
from datetime import UTC, datetime

import pytest

from lake.landing import GoneError
from lake.locations import S3Access, S3Location, StorageError
from lake.records import REC_EVENTS
from lake.refused import RefusedError
from lake.s3 import Retries, client_of
from lake.s3_landing import S3Landing

PREFIX = "rec_events/"
HOSTILE = (
    "it's.gz",
    'say "hello".gz',
    "two words.gz",
    "tail .gz",
    "'; drop table x; --.gz",
    "a*b?[c].gz",
    "100%41%2F.gz",
    "plus+plus.gz",
    "semi;&=#hash.gz",
    "<xml>&amp;.gz",
    "line\nfeed\ttab.gz",
    "\x01\x1b[31mred.gz",
    "\u202egz.exe.gz",
    "üñí-☃.gz",
    "e\u0301 is not é.gz",
)


def access_of(server, endpoint: str | None = None, **changes) -> S3Access:
    given = {
        "endpoint": endpoint or server.endpoint,
        "region": server.region,
        "access_key_id": server.access_key,
        "secret_access_key": server.secret_key,
    }
    return S3Access(**{**given, **changes})


@pytest.fixture
def bucket(s3_server) -> str:
    return s3_server.new_bucket()


@pytest.fixture
def put(s3_server, bucket):
    def put_one(key: str, body: bytes, **more) -> None:
        s3_server.client.put_object(Bucket=bucket, Key=f"land/{key}", Body=body, **more)

    return put_one


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def landing(s3_server, s3_proxy, bucket, waits):
    """Return a maker of landings that go through the proxy and note their waits."""

    def make_one(read_seconds: float = 60.0, **more) -> S3Landing:
        client = client_of(access_of(s3_server, s3_proxy.endpoint), read_seconds)
        given = {"retries": Retries(sleep=waits.append), **more}
        return S3Landing(client, S3Location(bucket, "land/"), **given)

    return make_one


def read(landing: S3Landing, found) -> bytes:
    with landing.open(found) as stream:
        stream.require_intact()
        data = stream.read()
        stream.seek(0)
        assert stream.read() == data
        return data


def contents(landing: S3Landing) -> dict[str, bytes]:
    return {o.key: read(landing, o) for o in landing.list("", "")}


# --- listing and reading -----------------------------------------------------------------------


def test_pages_of_two_give_every_version_once(landing, put, s3_proxy):
    bodies = {f"rec_events/{n:02}.gz": b"%d" % n * 100 for n in range(7)}
    for key, body in bodies.items():
        put(key, body)
    put("rec_events/not-a-log.txt", b"x")
    put("other/x.gz", b"x")
    before = datetime.now(UTC)
    found = list(landing(page_keys=2).list(PREFIX, ".gz"))
    assert [o.key for o in found] == sorted(bodies)
    assert s3_proxy.count("GET", "/") == 4
    for o in found:
        assert o.etag == hashlib.md5(bodies[o.key]).hexdigest()
        assert o.size_bytes == len(bodies[o.key])
        assert abs((o.last_modified - before).total_seconds()) < 60
        assert o.last_modified.microsecond == 0
        assert landing().find(o.key) == o
    assert landing().find("rec_events/none.gz") is None


def test_hostile_keys_are_keys(landing, put, box, make):
    for n, name in enumerate(HOSTILE):
        line = make.line("rec_events", {"event_id": f"e-{n}", "event_ts_ms": 1794823205123})
        put(PREFIX + name, gzip.compress(make.file("rec_events", [line])))
    report = box.ingest_of(REC_EVENTS, landing=landing(page_keys=2)).run()
    assert report.by_state == {"loaded": len(HOSTILE)}
    assert sorted(d.key for d in report.changes) == sorted(PREFIX + name for name in HOSTILE)
    assert box.ingest_of(REC_EVENTS, landing=landing()).run().changes == ()


def test_dots_in_a_key_go_out_as_they_are(landing, s3_proxy):
    assert landing().find("dots/../../up.gz") is None
    assert s3_proxy.count("HEAD", "/land/dots/../../up.gz") == 1


def test_a_multipart_object_is_read_and_its_etag_is_no_digest(landing, s3_server, bucket):
    client, key = s3_server.client, "land/big.gz"
    upload = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    bodies = [b"a" * (5 << 20), b"tail"]
    parts = [
        {
            "PartNumber": n,
            "ETag": client.upload_part(
                Bucket=bucket, Key=key, UploadId=upload, PartNumber=n, Body=body
            )["ETag"],
        }
        for n, body in enumerate(bodies, 1)
    ]
    client.complete_multipart_upload(
        Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}
    )
    (found,) = landing().list("", "")
    assert found.etag.endswith("-2")
    assert read(landing(), found) == b"".join(bodies)


# --- versions that come and go -----------------------------------------------------------------


def test_only_the_listed_version_is_read(landing, put, s3_server, bucket):
    put("x.gz", b"one")
    (found,) = landing().list("", "")
    put("x.gz", b"another")
    with pytest.raises(GoneError, match="PreconditionFailed"):
        landing().open(found)
    s3_server.client.delete_object(Bucket=bucket, Key="land/x.gz")
    with pytest.raises(GoneError, match="NoSuchKey"):
        landing().open(found)


def test_what_vanishes_between_listing_and_reading_is_taken_up_by_the_next_listing(
    landing, put, box, make, s3_server, bucket, caplog
):
    def log(n: int) -> bytes:
        line = make.line("rec_events", {"event_id": f"e-{n}", "event_ts_ms": 1794823205123})
        return gzip.compress(make.file("rec_events", [line]), mtime=0)

    keys = [f"{PREFIX}{n}\x1b[31m.gz" for n in range(3)]
    for n, key in enumerate(keys):
        put(key, log(n))

    class Changing(S3Landing):
        """A landing that others write to right after it was listed."""

        def list(self, prefix: str, suffix: str):
            yield from super().list(prefix, suffix)
            put(keys[1], log(11))
            s3_server.client.delete_object(Bucket=bucket, Key=f"land/{keys[2]}")

    client = client_of(access_of(s3_server))
    changing = Changing(client, S3Location(bucket, "land/"))
    with caplog.at_level(logging.WARNING):
        report = box.ingest_of(REC_EVENTS, landing=changing).run()
    assert report.by_state == {"loaded": 1}
    assert sorted(report.vanished) == keys[1:]
    assert "\x1b" not in caplog.text
    put(keys[2], log(2))
    assert box.ingest_of(REC_EVENTS, landing=landing()).run().by_state == {"loaded": 2}
    ids = box.sql("select event_id from {} order by all", "bronze.rec_events")
    assert [i for (i,) in ids] == ["e-0", "e-11", "e-2"]


def test_a_stale_listing_loses_nothing(landing, put, box, make, s3_proxy):
    def log(n: int) -> bytes:
        line = make.line("rec_events", {"event_id": f"e-{n}", "event_ts_ms": 1794823205123})
        return gzip.compress(make.file("rec_events", [line]), mtime=0)

    # of two versions of one second the greater etag counts: make the later one greater
    first, changed = sorted((log(1), log(11)), key=lambda b: hashlib.md5(b).hexdigest())
    put(f"{PREFIX}1.gz", first)
    assert box.ingest_of(REC_EVENTS, landing=landing()).run().by_state == {"loaded": 1}
    s3_proxy.add("stale_listing")
    put(f"{PREFIX}1.gz", changed)
    put(f"{PREFIX}2.gz", log(2))
    stale = box.ingest_of(REC_EVENTS, landing=landing()).run()
    assert (stale.changes, stale.vanished) == ((), ())
    s3_proxy.clear()
    fresh = box.ingest_of(REC_EVENTS, landing=landing()).run()
    assert fresh.by_state == {"loaded": 2, "replaced": 1}


# --- faults ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_a_store_that_fails_three_requests_of_ten_is_worked_through(landing, put, s3_proxy, seed):
    bodies = {f"{n:02}.gz": bytes([n]) * (2000 * n) for n in range(12)}
    for key, body in bodies.items():
        put(key, body)
    s3_proxy.at_random(0.3, seed)
    assert contents(landing(page_keys=5)) == bodies
    assert any(r.fault for r in s3_proxy.log)


def test_a_store_that_is_down_is_given_up_and_the_next_ingest_goes_on(
    landing, put, box, make, s3_proxy, s3_server, waits
):
    for n in range(3):
        line = make.line("rec_events", {"event_id": f"e-{n}", "event_ts_ms": 1794823205123})
        put(f"{PREFIX}{n}.gz", gzip.compress(make.file("rec_events", [line])))
    s3_proxy.add("status", where=lambda r: r.path.endswith("2.gz"))
    with pytest.raises(StorageError) as caught:
        box.ingest_of(REC_EVENTS, landing=landing()).run()
    assert "reading 'rec_events/2.gz'" in str(caught.value)
    assert "failed 10 times, the last time with 503 SlowDown" in str(caught.value)
    assert s3_server.secret_key not in str(caught.value)
    assert len(waits) == 9
    assert sum(waits) < 20
    assert box.data_files("bronze.rec_events") == set()
    s3_proxy.clear()
    assert box.ingest_of(REC_EVENTS, landing=landing()).run().by_state == {"loaded": 3}


def test_retries_share_a_budget_so_that_all_workers_stop_together(landing, s3_proxy, waits):
    s3_proxy.add("reset")
    shared = landing(retries=Retries(budget=12, sleep=waits.append))
    for _ in range(5):
        with pytest.raises(StorageError, match="ConnectionClosedError"):
            list(shared.list("", ""))
    assert len(waits) == 12
    assert s3_proxy.count() == 12 + 5


def test_a_cut_body_is_resumed_where_it_ended(landing, put, s3_proxy):
    body = bytes(range(256)) * 40_000
    put("big.gz", body)
    (found,) = landing().list("", "")
    s3_proxy.add("cut", method="GET", path="big.gz", times=3, after=3_000_000)
    assert read(landing(), found) == body
    asked = [r.byte_range for r in s3_proxy.log if r.path.endswith("big.gz")]
    assert asked == ["", "bytes=3000000-", "bytes=6000000-", "bytes=9000000-"]


def test_an_answer_that_comes_too_late_is_asked_for_again(landing, put, s3_proxy):
    put("x.gz", b"x")
    (found,) = landing().list("", "")
    s3_proxy.add("delay", method="GET", path="x.gz", times=1, seconds=2.0)
    assert read(landing(read_seconds=0.4), found) == b"x"
    s3_proxy.add("delay", method="GET", path="x.gz", seconds=2.0)
    with pytest.raises(StorageError, match="failed 4 times, the last time with ReadTimeoutError"):
        landing(read_seconds=0.4).open(found)


def test_a_flipped_bit_is_seen_and_read_again(landing, put, s3_proxy):
    put("x.gz", b"abcdef")
    (found,) = landing().list("", "")
    s3_proxy.add("flip", method="GET", path="x.gz", times=1, after=2)
    assert read(landing(), found) == b"abcdef"
    assert s3_proxy.count("GET", "x.gz") >= 2


def test_bytes_that_stay_wrong_refuse_one_delivery_and_no_neighbour(
    landing, put, box, make, s3_proxy
):
    for n in range(2):
        line = make.line("rec_events", {"event_id": f"e-{n}", "event_ts_ms": 1794823205123})
        put(f"{PREFIX}{n}.gz", gzip.compress(make.file("rec_events", [line])))
    s3_proxy.add("flip", method="GET", path="1.gz", after=4)  # gzip does not look at its time
    report = box.ingest_of(REC_EVENTS, landing=landing()).run()
    assert report.by_state == {"loaded": 1, "rejected": 1}
    (refused,) = (d for d in report.changes if d.state == "rejected")
    assert refused.reason.startswith("checksum: expected md5 ")
    assert "by the store's etag" in refused.reason


def test_an_etag_that_is_no_md5_can_be_said_to_be_none(landing, put, s3_proxy):
    put("x.gz", b"abcdef")
    (found,) = landing().list("", "")
    s3_proxy.add("flip", method="GET", path="x.gz", after=2)
    assert read(landing(etag_is_md5=False), found) == b"abbdef"


@pytest.mark.parametrize("algorithm", ["SHA256", "SHA1", "CRC32"])
def test_the_stores_own_checksum_is_held_against_the_bytes(landing, put, s3_proxy, algorithm):
    put("x.gz", b"abcdef", ChecksumAlgorithm=algorithm)
    (found,) = landing().list("", "")
    sure = landing(etag_is_md5=False)
    assert read(sure, found) == b"abcdef"
    s3_proxy.add("flip", method="GET", path="x.gz", times=1, after=2)
    assert read(sure, found) == b"abcdef"
    s3_proxy.add("flip", method="GET", path="x.gz", after=2)
    with sure.open(found) as stream, pytest.raises(RefusedError, match="by the store's checksum"):
        stream.require_intact()


@pytest.mark.parametrize("form", ["hex", "base64"])
def test_a_digest_in_the_metadata_refuses_a_file_cut_between_members(landing, put, box, make, form):
    whole = b"".join(
        gzip.compress(make.file("rec_events", [make.line("rec_events", {"event_id": f"e-{n}"})]))
        for n in range(2)
    )
    digest = hashlib.md5(whole).digest()
    stated = digest.hex() if form == "hex" else base64.b64encode(digest).decode()
    cut = whole[: whole.index(b"\x1f\x8b", 2)]
    put(f"{PREFIX}x.gz", cut, Metadata={"md5chksum": stated})
    report = box.ingest_of(REC_EVENTS, landing=landing()).run()
    assert report.by_state == {"rejected": 1}
    assert "by its metadata 'md5chksum'" in report.changes[0].reason


# --- what is set up wrong ----------------------------------------------------------------------


def test_errors_of_set_up_say_what_to_do_and_no_secret(s3_server, bucket, waits):
    def listing(access: S3Access, name: str) -> str:
        wrong = S3Landing(
            client_of(access), S3Location(name, ""), retries=Retries(sleep=waits.append)
        )
        with pytest.raises(StorageError) as caught:
            list(wrong.list("", ""))
        return str(caught.value)

    canary = "canary-of-a-secret"
    wrong_secret = access_of(s3_server, secret_access_key=canary)
    assert "WEIR_S3_SECRET_ACCESS_KEY" in listing(wrong_secret, bucket)
    assert "WEIR_LANDING" in listing(access_of(s3_server), "no-such-bucket")
    assert "WEIR_S3_ACCESS_KEY_ID" in listing(access_of(s3_server, access_key_id="me"), bucket)
    assert waits == []
    nobody = access_of(s3_server, "http://127.0.0.1:9", secret_access_key=canary)
    text = listing(nobody, bucket)
    assert "WEIR_S3_ENDPOINT" in text
    assert canary not in text + repr(nobody) + repr(wrong_secret)
