"""One request, logged by any family, has the same CMCD, path and kinds."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import pytest

HOST = "https://vod.aurora.example"


def by_cloudfront(text: str) -> str:
    """Encode as CloudFront's log does: its own list of signs, the percent sign among them."""
    return re.sub(r"[\x00-\x20\x7f<>\"#%{}|\\^~\[\]`']", lambda m: f"%{ord(m[0]):02X}", text)


def by_nginx(text: str) -> str:
    return re.sub(r"[\"\\]", lambda m: f"\\x{ord(m[0]):02X}", text)


def by_apache(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def target(path: str, query: str | None) -> str:
    return path if query is None else f"{path}?{query}"


Fields = Mapping[str, Any]
#: how each family logs a target; the values are those that its base line has besides
LOGGED: Mapping[str, Callable[[str, str | None], Fields]] = {
    "cloudfront_v1": lambda p, q: {
        "cs-uri-stem": by_cloudfront(p), "cs-uri-query": by_cloudfront(q or "-"),
    },
    "cloudfront_v2": lambda p, q: {
        "cs-uri-stem": by_cloudfront(p), "cs-uri-query": by_cloudfront(q or "-"),
    },
    "cloudflare_logpush": lambda p, q: {
        "ClientRequestPath": p, "ClientRequestURI": target(p, q),
    },
    "akamai_ds2": lambda p, q: {"reqPath": p[1:], "queryStr": q or "-"},
    "fastly": lambda p, q: {"url": target(p, q)},
    "gcp_cdn": lambda p, q: {"httpRequest/requestUrl": HOST + target(p, q)},
    "azure_front_door": lambda p, q: {"properties/requestUri": f"{HOST}:443{target(p, q)}"},
    "nginx": lambda p, q: {"$request": f"GET {by_nginx(target(p, q))} HTTP/1.1"},
    "apache": lambda p, q: {"%r": f"GET {by_apache(target(p, q))} HTTP/1.1"},
    "varnishncsa": lambda p, q: {"%r": f"GET {HOST}{by_apache(target(p, q))} HTTP/1.1"},
    "squid": lambda p, q: {"url": HOST + target(p, q)},
    "ats_squid": lambda p, q: {"url": HOST + target(p, q)},
    "nginx_json": lambda p, q: {"request": f"GET {target(p, q)} HTTP/2.0"},
    "apache_json": lambda p, q: {"request": p, "query": f"?{q}" if q else ""},
    "json_map": lambda p, q: {"what": HOST + target(p, q)},
    "delimited_map": lambda p, q: {"what": '"' + target(p, q).replace('"', '""') + '"'},
}  # fmt: skip
SEEN = ("cmcd", "cmcd_v2", "cmcd_deviations", "path", "object_type", "stream_kind")
DICTIONARY = 'bl=21300,br=3200,bs,cid="one, two \\"3\\"",d=4004,nor="..%2Fa.m4s",ot=v,sid="s-1",su'
SECOND = 'bl=(900;ot=a 2100;ot=v),br=(128;ot=a 3200;ot=v),e=rr,ec=("E1" "E 2"),msd=900,sta=p,v=2'
WHOLE = quote(DICTIONARY, safe="")
QUERIES = {
    "none": None,
    "whole": f"CMCD={WHOLE}",
    "first": f"CMCD={WHOLE}&v=1",
    "middle": f"v=1&CMCD={WHOLE}&quality=2",
    "last": f"v=1&CMCD={WHOLE}",
    "small escapes": f"CMCD={quote(DICTIONARY, safe='').lower()}",
    "second": f"CMCD={quote(SECOND, safe='')}",
    "half": "CMCD=" + quote("br=3200,ot=v,su", safe="=,"),
    "nothing": "CMCD=",
    "nothing, among others": "a=1&CMCD=&b=2",
    "only ends alike": f"xCMCD={WHOLE}",
    "repeated": "CMCD=br%3D1&CMCD=br%3D2",
    "question mark": f"v=1?2&CMCD={WHOLE}",
    "flag off": "CMCD=bs%3D%3F0%2Csu%3D%3F1",
    "broken": "CMCD=br%3D1%2Ccid%3D%22%FF%22%2Cd%3D2%2",
    "long": "CMCD="
    + quote("br=1," + ",".join(f'com.example-{n}="{n}"' for n in range(300)), safe=""),
    "twice": "CMCD=" + quote(WHOLE, safe=""),
}
PATHS = {
    "plain": "/hls/aurora/seg_1.ts",
    "once": "/dash/a%20b/%C3%A9.m4s",
    "twice": "/dash/a%2520b/c.mp4",
    "three times": "/dash/a%252520b/c.M4S",
    "no escape": "/dash/100%/x%zz.m4s",
    "overlong": "/dash/%C0%AF/x%20y.m4s",
    "dots": "/dash/%2e%2e/%2E%2E/x.mpd",
    "question mark": "/dash/x%3Fa=b.m4s",
    "capitals": "/a/MASTER.M3U8",
    "nothing": "/",
}


@pytest.fixture(scope="module")
def seen(parse, make):
    """Give what a family makes of targets."""

    def of(family: str, targets: list[tuple[str, str | None]], *, judged: bool) -> list[Any]:
        lines = [make.line(family, LOGGED[family](p, q)) for p, q in targets]
        found = parse(family, make.file(family, lines), judged=judged)
        assert found.reasons == {}
        return [{c: row[c] for c in SEEN} for row in found.rows]

    return of


@pytest.mark.parametrize("judged", [False, True], ids=["fast", "judged"])
@pytest.mark.parametrize("family", sorted(set(LOGGED) - {"cloudflare_logpush"}))
def test_a_request_has_the_same_cmcd_path_and_kinds_in_every_family(family, judged, seen):
    targets = [(path, query) for path in list(PATHS.values())[:2] for query in QUERIES.values()]
    targets += [(path, QUERIES["whole"]) for path in PATHS.values()]
    wanted = seen("cloudflare_logpush", targets, judged=False)
    for sent, row, other in zip(targets, seen(family, targets, judged=judged), wanted, strict=True):
        assert row == other, sent


def test_what_is_compared_is_there(seen):
    found = seen("cloudflare_logpush", [("/a.m4s", q) for q in QUERIES.values()], judged=False)
    rows = dict(zip(QUERIES, found, strict=True))
    given = {n: (r["cmcd"] or {}).get("br") for n, r in rows.items()}
    full = ("whole", "first", "middle", "last", "small escapes", "second", "half", "twice",
            "question mark")  # fmt: skip
    assert {n for n, br in given.items() if br == 3200.0} == set(full)
    assert given["broken"] == given["long"] == 1.0
    assert {n for n, r in rows.items() if r["cmcd"] is None} == {
        "none", "nothing", "nothing, among others", "only ends alike",
    }  # fmt: skip


def test_a_map_joins_the_four_headers_and_reads_an_object(parse, make, feed_of):
    names = ("object", "request", "session", "status")
    base = feed_of("json_map").map.model_dump(by_alias=True, exclude_unset=True)
    joined = {**base, "cmcd": {"join": [f"cmcd_{n}" for n in names]}}
    source = feed_of("json_map", map=joined)
    said = ("br=3200,ot=v", "bl=900,su", 'cid="a, b",sid="s-1"', "bs")
    headers = {f"cmcd_{n}": text for n, text in zip(names, said, strict=True)}
    row = parse("json_map", make.line("json_map", headers), source=source).rows[0]
    given = {"bl": 900, "br": 3200.0, "bs": True, "cid": "a, b", "ot": "v", "sid": "s-1",
             "su": True}  # fmt: skip
    assert {k: v for k, v in row["cmcd"].items() if v is not None} == given
    assert row["cmcd_deviations"] is None

    source = feed_of("json_map", map={**base, "cmcd": {"from": "player"}})
    row = parse("json_map", make.line("json_map", {"player": given}), source=source).rows[0]
    assert {k: v for k, v in row["cmcd"].items() if v is not None} == given
    assert row["cmcd_deviations"] is None


KINDS = {
    ("/a/init.mp4", None): "init", ("/a/init-stream0.m4s", None): "init",
    ("/a/video_init.cmfv", None): "init", ("/initial/1.mp4", None): "segment",
    ("/init/1.m4s", None): "segment", ("/a/1.mp4", "v"): "segment", ("/a/1.mp4", "i"): "init",
    ("/a/1_0.m4v", "i"): "init", ("/a/1_1.m4v", "v"): "segment", ("/a/1_1.m4a", None): "segment",
    ("/a/1.m4s", "i"): "init", ("/a/1.m4s", "c"): "caption", ("/a/1.mp4", "tt"): "caption",
    ("/a/1.m4s", "m"): "segment", ("/a/1.m4s", "o"): "segment", ("/a/1.m4s", "zz"): "segment",
    ("/a/1.m3u8", "v"): "manifest", ("/a/1.vtt", "v"): "caption", ("/a/init.mp4", "v"): "init",
    ("/play/7", None): "other", ("/play/7", "m"): "manifest", ("/play/7", "av"): "segment",
    ("/play/7", "k"): "key", ("/play/7", "i"): "init", ("/play/7", "o"): "other",
}  # fmt: skip


@pytest.mark.parametrize("family", ["cloudfront_v1", "nginx", "json_map"])
def test_an_object_is_what_its_path_says_then_what_the_player_says(family, seen):
    rows = seen(family, [(p, ot and f"CMCD=ot%3D{ot}") for p, ot in KINDS], judged=False)
    assert {k: r["object_type"] for k, r in zip(KINDS, rows, strict=True)} == KINDS


def test_a_stream_is_told_by_its_extension_in_any_case(seen):
    paths = {"/a/1.M3U8": "hls", "/a/1.Ts": "hls", "/a/1.MPD": "dash", "/a/m3u8": "other"}
    rows = seen("cloudfront_v1", [(p, None) for p in paths], judged=False)
    assert {p: r["stream_kind"] for p, r in zip(paths, rows, strict=True)} == paths
