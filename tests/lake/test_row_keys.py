"""What makes a row itself: its request's id where there is one, else all that the line says."""

from __future__ import annotations

import pytest

#: family -> the field of the URL with its query string
URLS = {
    "fastly": "url",
    "gcp_cdn": "httpRequest/requestUrl",
    "azure_front_door": "properties/requestUri",
}


def keys(found):
    assert not found.totals.rejects
    return [row["row_key"] for row in found.rows]


def test_of_a_map_lines_with_and_without_an_id_have_the_same_keys_on_both_ways(parse, make):
    lines = [
        make.numbered("fastly", 1),
        make.line("fastly", {"status": "404"}),
        make.numbered("fastly", 2),
        make.line("fastly", {"url": "/a?b=1"}),
        make.line("fastly", {"url": "/a?b=2"}),
    ]
    data = make.file("fastly", lines)
    fast = keys(parse("fastly", data))
    assert len(set(fast)) == len(lines)
    assert keys(parse("fastly", data, judged=True)) == fast


def test_without_an_id_the_query_string_tells_two_requests_in_an_access_log(parse, make):
    lines = [make.line("squid", {"url": f"http://a.example/b?c={n}"}) for n in (1, 2)]
    assert len(set(keys(parse("squid", make.file("squid", lines))))) == 2


@pytest.mark.parametrize("family", sorted(URLS))
def test_an_address_in_a_query_string_is_no_host(parse, make, family):
    line = make.line(family, {URLS[family]: "/a/b.ts?u=http://elsewhere.example/c"})
    [row] = parse(family, make.file(family, [line])).rows
    assert row["path"] == "/a/b.ts"
    assert row["host"] != "elsewhere.example"


def test_a_request_of_an_id_logged_at_edge_and_shield_is_two_rows(parse, make):
    lines = [
        make.line("fastly", {"request_id": "one", "is_edge": edge}) for edge in ("true", "false")
    ]
    assert len(set(keys(parse("fastly", make.file("fastly", lines))))) == 2
