"""Lines as the vendors' documentation has them, beyond what one line among good ones can show."""

from __future__ import annotations

import gzip
import io
import json

import pytest

from lake.formats.detection import detect
from lake.refused import RefusedError

ENDPOINT = (
    b'{ "timestamp": "2026-11-16T10:00:05+0000", "client_ip": "192.0.2.7", "geo_country": "x", '
    b'"geo_city": "y", "host": "a.example", "url": "/a.ts", "request_method": "GET", '
    b'"request_protocol": "HTTP/2", "request_referer": "", "request_user_agent": "u", '
    b'"response_state": "HIT", "response_status": 200, "response_reason": "OK", '
    b'"response_body_size": 7, "fastly_server": "cache-fra-etou8220131-FRA", '
    b'"fastly_is_edge": true }\n'
)
SYSLOG = b"<134>2026-11-16T10:00:05Z cache-fra-etou8220131 logs[1]: "


@pytest.mark.parametrize("prefix", [b"", SYSLOG])
def test_the_format_that_fastly_proposes_is_known_by_its_names(parse, prefix):
    data = prefix + ENDPOINT
    assert detect(io.BytesIO(data), "x.log").family == "fastly"
    found = parse("fastly", data)
    assert (found.totals.accepted, found.totals.unknown_fields) == (1, set())


@pytest.mark.parametrize("judged", [False, True])
@pytest.mark.parametrize("names", [("ErrorInfo",), ("errorInfo",), ("errorInfo", "ErrorInfo")])
def test_front_door_writes_the_error_with_either_capital_or_twice(parse, names, judged):
    properties = {"requestUri": "https://a.example:443/x", "httpStatusCode": "200"}
    properties |= dict.fromkeys(names, "ClientDisconnected")
    entry = {"time": "2026-11-16T10:00:05Z", "properties": properties}
    found = parse("azure_front_door", json.dumps(entry).encode() + b"\n", judged=judged)
    row = found.rows[0]
    assert (row["error_detail"], row["client_aborted"]) == ("ClientDisconnected", True)
    assert found.totals.unknown_fields == set()


def test_documented_fields_of_logpush_are_no_news(parse):
    line = {
        "EdgeStartTimestamp": "2026-11-16T10:00:05Z", "EdgeResponseStatus": 200,
        "EdgeResponseBytes": 1, "BotScore": 1, "JA4": "a", "ZoneName": "b", "WAFAction": "unknown",
        "OriginResponseTime": 0, "Invented": 1,
    }  # fmt: skip
    found = parse("cloudflare_logpush", json.dumps(line).encode() + b"\n")
    assert found.totals.unknown_fields == {"Invented"}


def test_the_later_fields_of_cloudfront_are_no_news(parse, feed_of):
    fields = (
        "timestamp",
        "sc-status",
        "r-host",
        "sr-reason",
        "x-edge-mqcs",
        "connection-id",
        "new",
    )
    source = feed_of("cloudfront_realtime", fields=fields)
    data = b"1794823205.802\t200\to.example\tFailover:502\t80\tc\tn\n"
    found = parse("cloudfront_realtime", data, source=source)
    assert (found.totals.accepted, found.totals.unknown_fields) == (1, {"new"})


def test_a_log_of_which_nothing_can_be_unpacked_is_not_called_of_unknown_format():
    packed = gzip.compress(ENDPOINT)[:-20]
    with pytest.raises(RefusedError) as refused:
        detect(io.BytesIO(packed), "x.log.gz")
    assert refused.value.reason == "truncated"
