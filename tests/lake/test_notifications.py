"""S3 events are hints: parsed with care, looked up, and never in the way of a full listing."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake.locations import S3Access, S3Location
from lake.notifications import NotificationError, hinted_keys
from lake.records import REC_EVENTS
from lake.s3 import client_of
from lake.s3_landing import S3Landing

SAMPLES = Path(__file__).parents[3] / "shared" / "data" / "s3_events"
HERE = S3Location("logs", "land/")


def record(key: str, bucket: str = "logs", name: str = "ObjectCreated:Put") -> dict:
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventName": name,
        "s3": {"bucket": {"name": bucket}, "object": {"key": quote_plus(key, safe="/")}},
    }


def event(*keys: str, **more: str) -> str:
    return json.dumps({"Records": [record(k, **more) for k in keys]})


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the shared samples are not here")
def test_real_events_name_their_keys():
    real = S3Location("rust-staging-crates-io-logs", "cloudfront/")
    key = "index.staging.crates.io/E35K556QRQDZXW.2024-01-16-16.d01d5f13.gz"
    for name, expected in (("valid", [key]), ("multi", [key]), ("empty", [])):
        assert hinted_keys((SAMPLES / f"{name}-event.json").read_text(), real) == expected


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60))
def test_any_key_comes_back_from_its_encoding(key):
    expected = [] if key.endswith("/") else [key]
    assert hinted_keys(event("land/" + key), HERE) == expected


def test_keys_are_those_below_landing_that_were_created_once_each():
    text = event("land/a b+c.gz", "land/%41.gz", "elsewhere/x.gz", "land/a b+c.gz", "land/folder/")
    text += "\n" + event("land/gone.gz", name="ObjectRemoved:Delete")
    text += event("land/copied.gz", name="s3:ObjectCreated:CompleteMultipartUpload")
    assert hinted_keys(text, HERE) == ["a b+c.gz", "%41.gz", "copied.gz"]


def test_the_test_event_and_nothing_at_all_give_no_key():
    test = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "logs"}
    for text in ("", " \n", '{"Records": []}', json.dumps(test)):
        assert hinted_keys(text, HERE) == []


def test_events_are_found_in_their_envelopes():
    plain = event("land/x.gz")
    bridge = {
        "source": "aws.s3",
        "detail-type": "Object Created",
        "detail": {"bucket": {"name": "logs"}, "object": {"key": "land/x.gz"}},
    }
    wrapped = [
        {"Records": [{"eventSource": "aws:sqs", "body": plain}]},
        {"Messages": [{"MessageId": "1", "Body": plain}]},
        {"Type": "Notification", "Message": plain},
        {"Records": [{"EventSource": "aws:sns", "Sns": {"Message": plain}}]},
        {"Messages": [{"Body": json.dumps({"Type": "Notification", "Message": plain})}]},
        bridge,
        {"Messages": [{"Body": json.dumps(bridge)}]},
    ]
    for one in wrapped:
        assert hinted_keys(json.dumps(one), HERE) == ["x.gz"], one


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no json", "no JSON at character 1"),
        (event("land/x") + " }", "no JSON at character"),
        ("[" * 100_000, "no JSON at character"),
        ("[]", "an event is list"),
        ('{"Records": {}}', "no Records in an event"),
        ('{"other": 1}', "no Records in an event with \\['other'\\]"),
        ('{"Records": [1]}', "a record is int"),
        ('{"Records": [{"eventSource": "aws:ec2"}]}', "Only S3 may give hints"),
        (event("land/x", bucket="somebody-else"), "expected 'logs'"),
        (event("land/" + "x" * 1100), "a key of 1,105 bytes"),
        (event("land/x").replace("land/x", "land/%FF"), "no Unicode"),
        (event("land/x").replace('"key": "land/x"', '"key": 7'), "without a key"),
        (event("land/x").replace('"name": "logs"', '"name": null'), "without a bucket"),
        ('{"Message": "{"}', "whose body is no JSON"),
    ],
)
def test_what_is_no_event_of_this_landing_is_refused_in_words(text, said):
    with pytest.raises(NotificationError, match=said):
        hinted_keys(text, HERE)


def test_envelopes_do_not_nest_for_ever():
    text = event("land/x")
    for _ in range(12):
        text = json.dumps({"Message": text})
    with pytest.raises(NotificationError, match="envelopes"):
        hinted_keys(text, HERE)


def test_a_hint_is_looked_up_and_a_listing_finds_all_the_rest(box, make, s3_server, s3_proxy):
    bucket = s3_server.new_bucket()
    access = S3Access(s3_proxy.endpoint, s3_server.region, s3_server.access_key,
                      s3_server.secret_key)  # fmt: skip
    landing = S3Landing(client_of(access), S3Location(bucket, "land/"))
    names = ["a b+c.gz", "%41.gz", "never hinted.gz"]
    for n, name in enumerate(names):
        line = make.line("rec_events", {"event_id": f"e-{n}", "event_ts_ms": 1794823205123})
        body = gzip.compress(make.file("rec_events", [line]))
        s3_server.client.put_object(Bucket=bucket, Key=f"land/rec_events/{name}", Body=body)
    told = event(*(f"land/rec_events/{n}" for n in (*names[:2], "not there.gz")), bucket=bucket)
    keys = hinted_keys(told, S3Location(bucket, "land/"))

    hinted = box.ingest_of(REC_EVENTS, landing=landing).run(hinted=keys)
    assert hinted.by_state == {"loaded": 2}
    assert not any(r.is_listing for r in s3_proxy.log)
    before = box.snapshots()
    assert box.ingest_of(REC_EVENTS, landing=landing).run(hinted=keys).changes == ()
    assert box.ingest_of(REC_EVENTS, landing=landing).run(hinted=[]).changes == ()
    assert box.snapshots() == before
    listed = box.ingest_of(REC_EVENTS, landing=landing).run()
    assert [d.key for d in listed.changes] == ["rec_events/never hinted.gz"]
