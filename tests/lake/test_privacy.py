"""Nothing that names a person reaches a file of the lake."""

from __future__ import annotations

import hmac
import stat
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from lake.protection import Protection
from lake.pseudonyms import Keyring
from lake.rejects import shape_of
from lake.settings import load_settings, project_home
from lake.source import LandingSpec

T0 = datetime(2026, 11, 16, 12, tzinfo=UTC)
CANARIES = {
    "address": "198.51.100.201",
    "address with port": "203.0.113.177",
    "claimed address": "100.64.7.213",
    "long address": "2001:db8:77:88:99:aa:bb:cc",
    "user": "canary-user-31337",
    "token": "canary-token-31337",
    "cookie": "canary-cookie-31337",
    "unheard of": "canary-unknown-31337",
    "rejected": "canary-rejected-31337",
    "signature": "canary-signature-31337",
    "password": "canary-password-31337",
}
SECRET = "canary-key-31337-canary-key-31337"


@pytest.fixture(scope="module")
def dirty(lake_at, make, feed_of, tmp_path_factory):
    """A lake that was given every canary, in good lines and in bad ones."""
    box = lake_at(tmp_path_factory.mktemp("dirty"))
    token, c = "?v=1&token=" + CANARIES["token"], CANARIES
    signed = c["signature"]
    cf = {
        "cs-uri-query": f"{token[1:]}&Policy={signed}&Signature={signed}&Key-Pair-Id={signed}"
        f"&CMCD=nor%253D%2522x.ts%253Fsig%253D{signed}%2522,sid%253D%2522s%253F{signed}%2522",
        "cs-uri-stem": f"/hdnts=exp=1~acl=/*~hmac={signed}/a.ts;token={signed}",
        "cs(Referer)": f"https://u:{c['password']}@play.example/hdntl%253D{signed}{token}#{signed}",
        "cs(Cookie)": f"session={c['cookie']}",
    }
    flare = {
        "ClientRequestURI": f"/ks/{signed}/a.ts{token}&verify={signed};x-amz-signature={signed}",
        "ClientRequestPath": f"/ks/{signed}/https:/u:{c['password']}@h/a.ts",
        "ClientRequestReferer": f"https://{c['password']}@play.example/a%3Fsig={signed}{token}",
        "Cookies": {"session": c["cookie"]},
        "Unheard": c["unheard of"],
    }
    front = [
        make.line("cloudfront_v1", {**cf, "c-ip": c["address"], "x-forwarded-for": claim})
        for claim in (c["claimed address"], f"{c['claimed address']}:99,%20{c['long address']}")
    ]
    front += [
        make.line("cloudfront_v1", {"c-ip": c["address with port"] + ":4711"}),
        make.line("cloudfront_v1", {"c-ip": c["address"], "sc-status": c["rejected"]}),
    ]
    header = make.header("cloudfront_v1")
    unknown = header.replace(b"\n#Fields: ", b"\n#Fields: x-secret ")
    box.land("cloudfront/a.gz", make.file("cloudfront_v1", front), T0)
    box.land(
        "cloudfront/b.gz",
        unknown + c["unheard of"].encode() + b"\t" + make.line("cloudfront_v1") + b"\n",
        T0,
    )
    flares = [
        make.line("cloudflare_logpush", {**flare, "ClientIP": ip})
        for ip in (c["address"], c["long address"], f"[{c['long address']}]:443")
    ]
    flares.append(make.line("cloudflare_logpush", {"EdgeResponseStatus": c["rejected"]}))
    box.land("cloudflare/a.gz", make.file("cloudflare_logpush", flares), T0)
    own = {
        "nginx": {
            "$remote_addr": c["address"], "$remote_user": c["user"],
            "$http_referer": flare["ClientRequestReferer"],
            "$request": f"GET /a.ts{token} HTTP/1.1", "$http_x_forwarded_for": c["claimed address"],
        },
        "apache": {
            "%h": c["long address"], "%u": c["user"],
            "%r": f"GET /ks/{signed}/a.ts{token} HTTP/1.1",
            "%{X-Forwarded-For}i": f"{c['claimed address']}, {c['address']}",
        },
        "varnishncsa": {
            "%h": c["address"], "%u": c["user"],
            "%r": f"GET http://u:{c['password']}@vod.aurora.example/a.ts{token} HTTP/1.1",
        },
        "squid": {"client": c["address"], "user": c["user"], "url": f"http://a.example/a.ts{token}"},
        "ats_squid": {"client": c["long address"], "user": c["user"]},
    }  # fmt: skip
    box.sources = {
        **box.sources,
        **{f: feed_of(f, name=f, landing=LandingSpec(prefix=f"{f}/")) for f in own},
    }
    status = {"nginx": "$status", "apache": "%>s", "varnishncsa": "%s"}
    for family, changes in own.items():
        good = make.line(family, changes)
        bad = make.line(family, {**changes, status.get(family, "status"): c["rejected"]})
        box.land(f"{family}/a.gz", make.file(family, [good, bad]), T0)
    people = [make.line("rec_events", {"user_id": c["user"], "event_id": n}) for n in "ab"]
    people.append(make.line("rec_events", {"user_id": c["user"], "event_type": c["rejected"]}))
    box.land("rec_events/a.gz", make.file("rec_events", people), T0)
    box.protection = Protection(Keyring.of(SECRET.encode()))
    box.run()
    return box


def cells(path: Path) -> str:
    """All columns of a Parquet file as one text; bytes as they are."""
    return repr(pq.ParquetFile(path).read().to_pydict())


def places_of(box, text: str) -> list[str]:
    """Return the files of the lake that hold a text: as bytes, in cells or in Avro records."""
    found = []
    for path in sorted(p for p in box.settings.home.rglob("*") if p.is_file()):
        if path.is_relative_to(box.settings.landing):
            continue
        if text.encode() in path.read_bytes():
            found.append(f"{path.name} (bytes)")
        if path.suffix == ".parquet" and text in cells(path):
            found.append(f"{path.name} (cells)")
        if path.suffix == ".avro" and text in avro_text(box, path):
            found.append(f"{path.name} (records)")
    return found


@pytest.mark.parametrize("what", [*CANARIES, "key"])
def test_no_byte_of_the_lake_holds_a_canary(dirty, what):
    assert places_of(dirty, {**CANARIES, "key": SECRET}[what]) == []


def test_the_search_finds_what_is_there(dirty):
    kinds = {place.rsplit(" ", 1)[1] for place in places_of(dirty, "cloudfront")}
    assert kinds == {"(bytes)", "(cells)", "(records)"}


def avro_text(box, path: Path) -> str:
    from pyiceberg.avro.file import AvroFile

    table = box.catalog.load_table("bronze.cdn_requests")
    with AvroFile(table.io.new_input(str(path))) as records:
        return repr(list(records))


def test_what_is_left_is_what_may_be_left(dirty):
    addresses = {r[0] for r in dirty.sql("select client_ip from {}", "bronze.cdn_requests")}
    assert addresses == {"198.51.100.0", "203.0.113.0", "192.0.2.0", "2001:db8:77::"}
    queries = {r[0] for r in dirty.sql("select query_raw from {}", "bronze.cdn_requests")}
    assert queries == {"v=1"}
    wanted = hmac.digest(SECRET.encode(), CANARIES["user"].encode(), "sha256").hex()
    assert {r[0] for r in dirty.sql("select user_key from {}", "bronze.rec_events")} == {wanted}
    assert dirty.count("ops.rejects") == 8


def test_equal_users_get_equal_keys_and_another_key_gives_another_name(make, parse):
    data = make.file("rec_events", [make.numbered("rec_events", n) for n in range(3)])
    names = {row["user_key"] for row in parse("rec_events", data).rows}
    assert len(names) == 1
    assert {row["key_epoch"] for row in parse("rec_events", data).rows} == {"1"}
    assert names != {hmac.digest(b"other", b"user-0042", "sha256").hex()}


def test_an_excerpt_shows_the_shape_only():
    assert shape_of(b'{"user": "J\xc3\xb6rg 42"}\t\x00<b>') == '{"xxxx": "x··xx 99"}··<x>'
    assert len(shape_of(b"a" * 10_000)) == 120


def test_the_key_is_made_once_and_is_private(tmp_path):
    settings = load_settings({}, home=tmp_path / "home")
    first = settings.keyring().keys[0]
    assert load_settings({}, home=tmp_path / "home").keyring().keys[0].value == first.value
    path = tmp_path / "home/secrets/hmac_keys.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert len(first.value.reveal()) == 64
    assert [p.name for p in path.parent.iterdir()] == ["hmac_keys.json"]


def test_a_key_that_is_given_counts_and_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setenv("WEIR_HMAC_KEY", SECRET)
    settings = load_settings({}, home=tmp_path / "home")
    assert settings.keyring().keys[0].value.reveal() == SECRET.encode()
    assert not (tmp_path / "home").exists()


def test_no_key_is_in_a_repr(tmp_path, monkeypatch):
    monkeypatch.setenv("WEIR_HMAC_KEY", SECRET)
    settings = load_settings({}, home=tmp_path / "home")
    for shown in (settings, settings.keyring()):
        assert SECRET not in repr(shown)
        assert SECRET not in f"{shown}"


def test_home_is_named_by_argument_then_environment_then_default(tmp_path, monkeypatch):
    named = {"WEIR_HOME": str(tmp_path / "named")}
    given, other = tmp_path / "given", tmp_path / "other"
    assert load_settings(named, home=given, default_home=other).home == given
    assert load_settings(named, default_home=other).home == tmp_path / "named"
    assert load_settings({}, default_home=other).home == other
    monkeypatch.chdir(tmp_path)
    assert load_settings({}).home == tmp_path / ".weir"
    (tmp_path / "workspace.yaml").touch()
    (tmp_path / "deep/er").mkdir(parents=True)
    assert project_home(tmp_path / "deep/er") == tmp_path / ".weir"
