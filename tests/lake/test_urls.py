"""URLs are kept without their credentials, however they are signed and encoded."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lake.source import Privacy
from lake.urls import decoded, kept_path, kept_query, kept_referer, kept_text

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NSJ9.SflKxwRJSMeKKF2QT4fwpM"
PATHS = [
    # what has no credential stays as it was logged
    ("/hls/aurora/seg_00017.ts", "/hls/aurora/seg_00017.ts"),
    ("/a%20b/%C3%A9.m4s", "/a%20b/%C3%A9.m4s"),
    ("/tom&jerry/signal/design-token.ts", "/tom&jerry/signal/design-token.ts"),
    ("/100%/x.ts", "/100%/x.ts"),
    ("/3f786850e387550fdab836ed7e6dc881de23001b/x.ts",) * 2,
    ("", ""),
    # Akamai: the token is a segment, and its acl may hold a slash
    ("/hdntl=exp=1~acl=/*~data=hdntl~hmac=ab12/x.m3u8", "/hdntl=[cut]/[cut]/x.m3u8"),
    ("/hdnts=exp=1~acl=%2f*~hmac=ab12/x.m3u8", "/hdnts=[cut]/[cut]/x.m3u8"),
    # Cloudflare Stream and others: a JWT is a segment
    (f"/{JWT}/manifest/video.m3u8", "/[cut]/manifest/video.m3u8"),
    # path parameters, as they are and encoded
    ("/a/seg.ts;token=s3cret", "/a/seg.ts;[cut]"),
    ("/a/seg.ts%253Btoken%253Ds3cret", "/a/seg.ts;[cut]"),
    ("/a/seg.ts%3Ftoken=s3cret&x=1", "/a/seg.ts;[cut]"),
    ("/a/%FF;token=s3cret", "/a/\ufffd;[cut]"),
    ("/a&token=s3cret/x.ts", "/a;[cut]/x.ts"),
    # a parameter that is allowed is kept, one that only holds credentials never
    ("/quality=720p/x.ts", "/quality=720p/x.ts"),
    ("/token=720p/x.ts", "/token=[cut]/x.ts"),
    ("/bcdn_token=HS256-ab&expires=1/x.ts", "/bcdn_token=[cut];[cut]/x.ts"),
    # tokens by name
    ("/ks/djJ8MTIzfG/x.ts", "/ks/[cut]/x.ts"),
    ("/token/s3cret/x.ts", "/token/[cut]/x.ts"),
    ("/token_1700000000_ab12cd34/x.ts", "/[cut]/x.ts"),
    # a user in a URL inside a path
    ("/https://user:s3cret@host/x.ts", "/https://[cut]@host/x.ts"),
    ("\\token=s3cret\\x", "/token=[cut]/x"),
]  # fmt: skip
REFERERS = [
    ("https://play.example/watch", "https://play.example/watch"),
    ("-", "-"),
    ("android-app://com.example/", "android-app://com.example/"),
    ("https://user:s3cret@play.example:8080/watch", "https://play.example:8080/watch"),
    ("https%3A%2F%2Fu%3As3cret%40h%2Fx%3Ftoken%3Ds3cret", "https://h/x"),
    ("//s3cret@h/x", "//h/x"),
    ("https://h/x;jsessionid=s3cret", "https://h/x;[cut]"),
    (f"https://h/{JWT}/x", "https://h/[cut]/x"),
    ("u:s3cret@h/x", "[cut]@h/x"),
]
QUERIES = [
    ("v=1", "v=1"),
    ("v=1&token=s3cret", "v=1"),
    ("quality=720p&X-Amz-Signature=s3cret&v=2", "quality=720p&v=2"),
    ("Expires=1&Signature=s3cret&Key-Pair-Id=K1", None),
    ("se=2026&sp=r&sig=s3cret", None),
    ("v=1;token=s3cret", None),
    ("v=http%253A%252F%252Fu%253As3cret%2540h", None),
    (f"v={JWT}", None),
    (f"v={'x' * 129}", None),
    ("v", "v"),
    ("", None),
]


@pytest.mark.parametrize(("text", "kept"), PATHS)
def test_a_path_is_kept_without_credentials(text, kept):
    assert kept_path(text, ("v", "quality")) == kept
    assert kept_path(kept, ("v", "quality")) == kept


@pytest.mark.parametrize(("text", "kept"), REFERERS)
def test_a_referer_is_kept_without_user_and_credentials(text, kept):
    assert kept_referer(text) == kept


@pytest.mark.parametrize(("text", "kept"), QUERIES)
def test_a_query_is_kept_by_the_allow_list_and_plain_values_only(text, kept):
    assert kept_query(text, ("v", "quality")) == kept


def test_what_only_holds_credentials_is_cut_even_where_it_is_allowed():
    allow = ("token", "Signature", "hdnts", "verify", "X-Goog-Signature", "auth_key", "v")
    query = "&".join(f"{name}=s3cret" for name in allow)
    assert kept_query(query, allow) == "v=s3cret"
    assert kept_query("token=s3cret&w=1", ("*",)) == "w=1"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("aurora-vod-0017", "aurora-vod-0017"),
        ("signal-design", "signal-design"),
        ("YQ==", "YQ=="),
        ("x.ts?sig=s3cret", None),
        ("https://h/x", None),
        (JWT[:64], None),
        ("a" * 128, "a" * 128),
        ("a" * 129, None),
    ],
)
def test_cmcd_keeps_names_not_urls(text, kept):
    assert kept_text(text) == kept


def encoded(text: str, times: int) -> str:
    for _ in range(times):
        text = quote(text, safe="")
    return text


NAMES = st.sampled_from(
    [
        "token",
        "Signature",
        "Policy",
        "Key-Pair-Id",
        "X-Amz-Signature",
        "hdnts",
        "hdntl",
        "verify",
        "sig",
        "GoogleAccessId",
        "jsessionid",
        "q",
        "utm_source",
        "CMCD-x",
        "Expires",
    ]
)
SECRET = st.text("abcdefghijkmnopqrstuvwxyz0123456789-_.~", min_size=12, max_size=24).map(
    lambda t: f"planted-{t}-end"
)


@st.composite
def urls(draw) -> dict[str, str]:
    """Draw path, query and Referer with one secret in parameters and as user."""
    secret, name, times = draw(SECRET), draw(NAMES), draw(st.integers(0, 3))
    pair = f"{name}={secret}"
    joined = draw(st.sampled_from([f"{pair}", f"v=1&{pair}", f"{pair}&v=1", f"v=1;{pair}"]))
    inside = draw(st.sampled_from([";", "/", "?", "&", ";v=1;"]))
    path = f"/hls/a{encoded(inside + pair, times) if inside != '/' else '/' + encoded(pair, times)}"
    user = draw(st.sampled_from(["", f"u:{secret}@", f"{secret}@"]))
    referer = f"https://{user}h.example{path}?{joined}#{pair}"
    return {
        "secret": secret,
        "path": f"{path}/seg1.ts",
        "query": draw(
            st.sampled_from([joined, f"v={encoded('&' + pair, times + 1)}", f"&&{pair}"])
        ),
        "referer": draw(st.sampled_from([referer, encoded(referer, times)])),
    }


@settings(max_examples=60, deadline=None)
@given(st.lists(urls(), min_size=1, max_size=8))
def test_a_secret_in_any_parameter_is_in_no_row(parse, make, feed_of, planted):
    for family, line in (("cloudfront_v1", cloudfront), ("cloudflare_logpush", cloudflare)):
        source = feed_of(family, privacy=Privacy(query_allow=("v", "quality")))
        data = make.file(family, [make.line(family, line(p)) for p in planted])
        rows = parse(family, data, source=source).rows
        assert len(rows) == len(planted)
        text = decoded(repr(rows))
        assert [p["secret"] for p in planted if p["secret"] in text] == []


def cloudfront(p: dict[str, str]) -> dict[str, Any]:
    return {"cs-uri-stem": p["path"], "cs-uri-query": p["query"], "cs(Referer)": p["referer"]}


def cloudflare(p: dict[str, str]) -> dict[str, Any]:
    return {
        "ClientRequestPath": p["path"],
        "ClientRequestURI": f"{p['path']}?{p['query']}",
        "ClientRequestReferer": p["referer"],
    }
