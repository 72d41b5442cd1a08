"""Fastly: JSON that each service's owner defines, behind the header of syslog or not.

Belongs here: the usual names of fields, each of which a source's own map overrides. Traps: values
are often all text; %D and time.elapsed.usec are microseconds, time.to_first_byte seconds; the body
fields do not hold the headers; a cache state has suffixes (-CLUSTER, -STALE, -WAIT, -REFRESH);
with shielding a request is logged at the PoP and at the shield, which is no viewer.
"""

from __future__ import annotations

from lake.field_map import FieldMap
from lake.formats.base import Look
from lake.formats.heads import first_lines, keys_look
from lake.formats.json_map import JsonMap

PRESET = FieldMap.model_validate(
    {
        "event_time": {"from": ["time_start", "date_time", "timestamp"], "unit": "auto"},
        "end_time": {"from": "time_end", "unit": "auto"},
        "duration_ms": {"from": "time_elapsed", "unit": "us"},
        "ttfb_ms": {"from": ["time_to_first_byte", "ttfb"], "unit": "s"},
        "bytes_out_total": {
            "sum": ["resp_header_size", "resp_body_size"],
            "from": ["resp_bytes_written", "bytes_written"],
        },
        "bytes_out_body": {"from": ["resp_body_size", "resp_body_bytes_written", "bytes"]},
        "bytes_in": {"sum": ["req_header_size", "req_body_size"]},
        "status": {"from": "status"},
        "is_viewer": {"from": ["is_edge", "fastly_is_edge", "fastly_info.is_edge"]},
        "client_aborted": {
            "from": ["resp_completed", "completed"],
            "values": {"0": True, "false": True, "1": False, "true": False},
        },
        "cache_status": {"from": ["cache_status", "fastly_info.state", "state"]},
        "url": "url",
        "host": "host",
        "scheme": {
            "from": "is_tls",
            "values": {"true": "https", "1": "https", "false": "http", "0": "http"},
        },
        "method": ["request", "request_method", "method"],
        "http_version": ["protocol", "http.protocol"],
        "request_id": "request_id",
        "pop": ["geo_datacenter", "datacenter", "edge_location"],
        "client_ip": ["client_ip", "ip"],
        "asn": {"from": ["client_as_number", "client_asn", "geo_asn"]},
        "country": "geo_country_code",
        "region": "geo_region",
        "tls_version": ["tls_client_protocol", "tls.protocol"],
        "tls_cipher": ["tls_client_cipher", "tls.cipher"],
        "user_agent": ["request_user_agent", "http.useragent"],
        "referer": ["request_referer", "http.referer"],
        "content_type": "content_type",
        "range_raw": "request_range",
        "cmcd": "cmcd",
        "extra": ["service_id", "service_version", "origin_host", "response_age", "is_cacheable"],
        "ignore": [
            "service", "version", "ddsource", "ddtags", "is_h2", "is_ipv6", "geo_city",
            "geo_latitude", "geo_longitude", "socket_cwnd", "socket_nexthop", "socket_ploss",
            "socket_tcpi_rcv_mss", "socket_tcpi_snd_mss", "socket_tcpi_rtt", "socket_tcpi_rttvar",
            "socket_tcpi_rcv_rtt", "socket_tcpi_rcv_space", "socket_tcpi_last_data_sent",
            "socket_tcpi_total_retrans", "socket_tcpi_delta_retrans",
        ],
    }
)  # fmt: skip
#: two of these keys and a time are in no other vendor's log
TELLING = (
    "geo_datacenter", "time_elapsed", "resp_body_size", "cache_status", "tls_client_protocol",
    "fastly_info", "service_id", "edge_location", "date_time",
)  # fmt: skip


class Fastly(JsonMap):
    """Fastly's log streaming."""

    name = "fastly"
    version = 3
    cdn = "fastly"
    preset = PRESET
    default_prefix = "syslog"
    file_names = (
        r"\d{4}-\d{2}-\d{2}T\d{2}-\d{2}-\d{2}\.\d{3}-[A-Za-z0-9_-]{16,24}\.log(\.gz|\.zst)?$"
    )

    def looks_like(self, head: bytes) -> Look | None:
        """Return a look for the usual keys; more sure behind a header of syslog."""
        look = keys_look(head, TELLING, 3)
        if look is None and all(b" cache-" in line[:120] for line in first_lines(head)):
            look = keys_look(head, PRESET.first_keys(), 3, 0.8)
            return look and Look(look.score, f"a syslog header of a cache; {look.reason}")
        return look
