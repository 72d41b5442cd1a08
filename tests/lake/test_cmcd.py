"""CMCD: what becomes of a text, of any text, of every line that real players sent."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lake import cmcd, cmcd_keys, cmcd_pairs
from lake.cmcd_columns import CMCD, CMCD_V2
from lake.engine import Engine
from lake.urls import clean_names

CASES = yaml.safe_load((Path(__file__).parent / "cases/cmcd.yaml").read_text())
DATA = Path(__file__).parents[2].parent / "shared/data/cmcd"
PLAYERS = pytest.mark.skipif(not DATA.is_dir(), reason="the sample files are not here")
BOUNDED = settings(
    derandomize=True, max_examples=60, deadline=None, suppress_health_check=list(HealthCheck)
)
MARKS = ["CMCD", "br=", "sid=", '"', ",", "(", ")", ";ot=v", "\\", "%", "%22", "%2C", "?0", " ",
         "v=2", "nor=", "=", "\0", "é", "1e999", "-"]  # fmt: skip


@pytest.fixture(scope="module")
def read():
    """Give the reading of texts as they stand in queries: what is filled, and the deviations."""
    engine = Engine()
    reader = cmcd.CmcdReader(engine)

    def of(texts, column=cmcd.TEXT):
        plain = ["other"] * len(texts)
        rows = pa.table(
            {
                column: pa.array(texts, pa.string()),
                "object_type": pa.array(plain, pa.string()),
                "stream_kind": pa.array(plain, pa.string()),
            }
        )
        found = reader.filled(rows)
        assert found.schema.field("cmcd").type.num_fields == len(CMCD.fields)
        assert found.schema.field("cmcd_v2").type.num_fields == len(CMCD_V2.fields)
        return [
            (
                {
                    k: v
                    for k, v in {**(r["cmcd"] or {}), **(r["cmcd_v2"] or {})}.items()
                    if v is not None
                },
                r["cmcd_deviations"],
            )
            for r in found.to_pylist()
        ]

    yield of
    engine.close()


def query_of(case) -> str:
    return str(case.get("query", quote(case.get("text", ""), safe="")))


@pytest.mark.parametrize("number", range(1, len(CASES) + 1))
def test_a_text_becomes_what_its_case_says(number, read):
    case = CASES[number - 1]
    assert read([query_of(case)]) == [(case["expect"], case.get("deviations"))]


def test_texts_of_every_kind_in_one_chunk_do_not_disturb_each_other(read):
    texts = [None, "", *(query_of(c) for c in CASES), None]
    nothing = ({}, None)
    wanted = [nothing, nothing, *((c["expect"], c.get("deviations")) for c in CASES), nothing]
    assert read(texts) == wanted
    assert read(texts[::-1]) == wanted[::-1]


def test_texts_that_are_all_decoded_first_keep_their_places(read):
    quoted, plain = quote('cid="a,b",d=1', safe=""), "br=2,d=3"
    assert read([quoted, plain]) == [({"cid": "a,b", "d": 1}, None), ({"br": 2.0, "d": 3}, None)]


def test_a_chunk_without_texts_is_read(read):
    assert read([None, None]) == [({}, None)] * 2
    assert read([]) == []


# --- a log that encodes what it logs once more, and what is remembered ---------------------------


def once_more(text: str) -> str:
    """Encode a query as CloudFront's log does: its percent signs, and what is not plain ASCII."""
    return quote(text, safe="".join(chr(c) for c in range(32, 127) if chr(c) != "%"))


def test_what_a_log_encoded_once_more_is_read_as_what_was_sent(read):
    sent = [query_of(c) for c in CASES]
    for logged in ([once_more(t) for t in sent], [quote(t, safe="") for t in sent]):
        assert read(logged, cmcd.TWICE) == read(sent)
    assert read([None, "", None], cmcd.TWICE) == [({}, None)] * 3


@given(texts=st.lists(st.lists(st.sampled_from(MARKS)).map("".join), max_size=6))
@BOUNDED
def test_any_text_that_a_log_encoded_once_more_is_read_as_what_was_sent(texts, read):
    sent = [t for text in texts for t in (text, quote(text, safe=""))]
    assert read([once_more(t) for t in sent], cmcd.TWICE) == read(sent)


@pytest.mark.parametrize("bound", ["_MOST_PAIRS", "_MOST_BYTES"])
def test_pairs_that_are_too_many_to_remember_are_read_anew(bound, read, monkeypatch):
    texts = [query_of(c) for c in CASES]
    wanted = read(texts)
    monkeypatch.setattr(cmcd_pairs, bound, 3)
    assert [read(texts[n : n + 5]) for n in range(0, len(texts), 5)] == [
        wanted[n : n + 5] for n in range(0, len(texts), 5)
    ]
    assert read(texts) == wanted


def test_a_text_is_kept_up_to_the_length_that_its_key_may_have():
    engine = Engine()
    reader = cmcd.CmcdReader(engine, clean_names)
    longest = {"sid": 64, "cid": 128, "cdn": 128, "cen": 64}
    texts = [f'{k}="{"a" * (n + more)}"' for k, n in longest.items() for more in (0, 1)]
    found = reader.filled(pa.table({cmcd.TEXT: [quote(t, safe="") for t in texts]})).to_pylist()
    engine.close()
    kept = [r["cmcd"][k] if k in r["cmcd"] else r["cmcd_v2"] and r["cmcd_v2"][k]
            for k, r in zip([k for k in longest for _ in (0, 1)], found, strict=True)]  # fmt: skip
    assert [k and len(k) for k in kept] == [64, None, 128, None, 128, None, 64, None]
    assert ["too_long" in (r["cmcd_deviations"] or ()) for r in found] == [False, True] * 4


def test_every_column_has_a_key_and_every_key_a_place():
    columns = {f.name for f in (*CMCD.fields, *CMCD_V2.fields)}
    assert columns == set(cmcd_keys.COLUMNS)
    assert {cmcd_keys.key_of(c) for c in columns} | set(cmcd_keys.UNKEPT) == set(cmcd_keys.KEYS)
    assert list(cmcd_keys.KEYS) == sorted(cmcd_keys.KEYS)


# --- any text ----------------------------------------------------------------------------------


@given(texts=st.lists(st.lists(st.sampled_from(MARKS)).map("".join) | st.text(), max_size=6))
@BOUNDED
def test_any_text_is_read_or_flagged_and_never_crashes(texts, read):
    encoded = [quote(t, safe="") for t in texts]
    for given_texts in (texts, encoded):
        found = read(given_texts)
        assert len(found) == len(texts)
        for _, deviations in found:
            assert set(deviations or ()) <= set(cmcd_keys.DEVIATIONS)
        # what one text becomes does not depend on its neighbours
        assert [read([t])[0] for t in given_texts[:2]] == found[:2]


WORDS = st.from_regex(r"[a-z0-9 ,()=;\\\"]{1,20}", fullmatch=True).filter(lambda t: t == t.strip())
HUNDREDS = st.integers(0, 10**6).map(lambda n: n * 100)
NUMBERS = st.integers(0, 10**9)
VALUES = {
    "br": NUMBERS.map(float), "bl": HUNDREDS, "bs": st.just(True), "cid": WORDS, "d": NUMBERS,
    "dl": HUNDREDS, "mtp": HUNDREDS, "ot": st.sampled_from(["a", "av", "i", "m", "tt", "v"]),
    "pr": st.sampled_from([0.5, 1.25, 2.0]), "rtp": HUNDREDS, "sf": st.sampled_from("dhos"),
    "sid": WORDS, "st": st.sampled_from("lv"), "su": st.just(True), "tb": NUMBERS.map(float),
}  # fmt: skip
SECOND = {
    "ab": NUMBERS.map(float), "tbl": HUNDREDS, "ltc": NUMBERS, "cs": WORDS, "cdn": WORDS,
    "sta": st.sampled_from("spkrawefqd"), "sn": NUMBERS, "msd": NUMBERS, "bsda": NUMBERS,
    "pt": NUMBERS, "nr": st.just(True), "bg": st.just(True), "e": st.sampled_from(["ps", "rr"]),
    "ts": NUMBERS, "rc": NUMBERS, "ttfb": NUMBERS, "dfa": NUMBERS,
}  # fmt: skip
LISTS = ("br", "bl", "mtp", "tb", "ab", "tbl")


def written(value, key: str) -> str:
    """Serialise a bare item as RFC 8941 does."""
    if key in ("ot", "sf", "st", "sta", "e"):
        return str(value)
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"{value:g}" if key == "pr" else str(int(value))


def dictionary(values, version: int) -> str:
    """Serialise a CMCD dictionary; true omits its value, version 2 lists by object type."""
    members = []
    for key in sorted(values):
        value = values[key]
        if value is True:
            members.append(key)
        elif version == 2 and key in LISTS:
            members.append(f"{key}=(7;ot=a {written(value, key)};ot=v)")
        else:
            members.append(f"{key}={written(value, key)}")
    return ",".join(members)


def drawn(kinds):
    return st.fixed_dictionaries({}, optional=kinds).filter(bool)


@given(many=st.lists(drawn(VALUES), min_size=1, max_size=5))
@BOUNDED
def test_a_conformant_dictionary_of_version_1_comes_back_whole(many, read):
    texts = [dictionary(v, 1) for v in many]
    wanted = [(v, None) for v in many]
    assert read([quote(t, safe="") for t in texts]) == wanted


@given(many=st.lists(drawn({**VALUES, **SECOND}), min_size=1, max_size=5))
@BOUNDED
def test_a_conformant_dictionary_of_version_2_comes_back_whole(many, read):
    many = [{**v, "v": 2} for v in many]
    texts = [quote(dictionary(v, 2), safe="") for v in many]
    audio = {"br": ("br_audio", 7.0), "bl": ("bl_audio", 7)}
    wanted = [({**v, **{c: n for k, (c, n) in audio.items() if k in v}}, None) for v in many]
    assert read(texts) == wanted


# --- headers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("case", [str.lower, str.title, str.upper], ids=["lower", "title", "upper"])
def test_headers_are_read_in_any_case_and_in_any_order(case, parse, make):
    headers = {
        case("cmcd-status"): "bs,rtp=12000",
        "accept": "*/*",
        case("cmcd-session"): 'cid="a, b",sf=d,sid="s 1",st=v',
        case("cmcd-object"): "br=3200,d=4004,ot=v,tb=6000",
        case("cmcd-request"): "bl=21300,su",
    }
    line = make.line("cloudflare_logpush", {"RequestHeaders": headers})
    for judged in (False, True):
        row = parse("cloudflare_logpush", line, judged=judged).rows[0]
        assert {k: v for k, v in row["cmcd"].items() if v is not None} == {
            "br": 3200.0, "d": 4004, "ot": "v", "tb": 6000.0, "bl": 21300, "su": True,
            "cid": "a, b", "sf": "d", "sid": "s 1", "st": "v", "bs": True, "rtp": 12000,
        }  # fmt: skip
        assert row["cmcd_deviations"] is None


# --- what real players sent --------------------------------------------------------------------


def lines_of(name: str) -> list[str]:
    return (DATA / name).read_text().splitlines()


def counts(found) -> dict[str, int]:
    keys = [k for values, _ in found for k in values]
    words = [f"!{w}" for _, deviations in found for w in deviations or ()]
    return {k: (keys + words).count(k) for k in sorted({*keys, *words})}


@PLAYERS
def test_every_query_of_bitmovins_player_is_read(read):
    lines = [t for t in lines_of("cmcd-bitmovin-url.log") if t.startswith("CMCD=")]
    found = read([t.removeprefix("CMCD=") for t in lines])
    assert len(found) == 375
    assert counts(found) == {
        "!decimal": 370, "!half_encoded": 375, "!unrounded": 370, "bl": 373, "br": 186,
        "cid": 375, "dl": 373, "mtp": 370, "ot": 375, "sf": 375, "sid": 375, "st": 375,
        "su": 375, "tb": 186,
    }  # fmt: skip


@PLAYERS
def test_every_set_of_headers_of_bitmovins_player_is_read(parse, make):
    shape = re.compile(r"CMCD-(\w+): '([^']*)'")
    sets = [dict(shape.findall(t)) for t in lines_of("cmcd-bitmovin-headers.log")]
    found = of_headers([s for s in sets if s], parse, make)
    assert len(found) == 373
    assert counts(found) == {
        "!decimal": 368, "!unrounded": 368, "bl": 371, "br": 184, "cid": 373, "dl": 371,
        "mtp": 368, "ot": 373, "sf": 373, "sid": 373, "st": 373, "su": 373, "tb": 184,
    }  # fmt: skip


@PLAYERS
def test_every_request_of_dash_js_is_read(parse, make):
    shape = re.compile(r"^CMCD-(\w+): (.*)$", re.MULTILINE)
    requests = (DATA / "cmcd-data-samples-header.txt").read_text().split("\n\n")
    found = of_headers([dict(shape.findall(r)) for r in requests if r.strip()], parse, make)
    every = ("bl", "br", "d", "dl", "mtp", "ot", "rtp", "sf", "sid", "st", "tb")
    assert counts(found) == dict.fromkeys(every, 20)


@PLAYERS
def test_every_url_of_dash_js_is_read(parse, make):
    urls = [
        t.removeprefix("https://dash.akamaized.net")
        for t in lines_of("cmcd-data-samples-queries.txt")
        if t
    ]
    lines = [make.line("cloudflare_logpush", {"ClientRequestURI": u}) for u in urls]
    found = rows_of(lines, parse, make)
    assert len(found) == 20
    assert counts(found) == {
        "bl": 17, "br": 17, "cid": 20, "d": 17, "dl": 17, "mtp": 17, "ot": 20, "rtp": 17,
        "sf": 20, "sid": 20, "st": 20, "su": 3, "tb": 17,
    }  # fmt: skip


@PLAYERS
def test_every_object_of_json_is_read(read):
    objects = lines_of("cmcd-data-samples-json.txt")
    engine = Engine()
    held = engine.holding(pa.table({"object": pa.array(objects)}))
    query = f"select cmcd_text(cmcd_of_json(object)) from {held}"
    texts = [t for (t,) in engine.execute(query).fetchall()]
    engine.close()
    known = set(cmcd_keys.COLUMNS)
    wanted = [{k: v for k, v in json.loads(o).items() if k in known} for o in objects]
    found = read(texts)
    assert [values for values, _ in found] == wanted
    assert len(found) == 9
    assert [i for i, (_, d) in enumerate(found) if d] == [4]
    assert found[4][1] == ["custom_key"]


def of_headers(sets, parse, make):
    """Read sets of headers as Cloudflare logs them."""
    lines = [
        make.line(
            "cloudflare_logpush", {"RequestHeaders": {f"cmcd-{k.lower()}": v for k, v in s.items()}}
        )
        for s in sets
    ]
    return rows_of(lines, parse, make)


def rows_of(lines, parse, make):
    rows = parse("cloudflare_logpush", make.file("cloudflare_logpush", lines)).rows
    return [
        ({k: v for k, v in r["cmcd"].items() if v is not None}, r["cmcd_deviations"]) for r in rows
    ]
