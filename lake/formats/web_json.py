"""JSON access logs of nginx and Apache by the variables' own names.

Belongs here: presets, each rule of which a source's own map overrides. Does not: the combined
format. Traps: nginx stamps the end of a request, Apache its start; body_bytes_sent and %B do not
hold the headers; a request that went through several upstreams has a list of times.
"""

from __future__ import annotations

from lake.field_map import FieldMap
from lake.formats.base import Look
from lake.formats.heads import keys_look
from lake.formats.json_map import JsonMap

_NGINX_KEYS = (
    "body_bytes_sent", "remote_addr", "time_local", "time_iso8601", "http_user_agent",
    "request_time", "upstream_response_time", "http_referer",
)  # fmt: skip
_APACHE_KEYS = ("remoteIP", "userAgent", "duration_us", "request", "query")
_LAST_NUMBER = r"([0-9]+(?:\.[0-9]+)?)[^0-9]*$"
NGINX = FieldMap.model_validate(
    {
        "event_time": {
            "from": ["msec", "time_iso8601", "time_local", "@timestamp", "timestamp", "time"],
            "unit": "auto",
            "stamp": "end",
        },
        "duration_ms": {"from": "request_time", "unit": "s"},
        "origin_duration_ms": {
            "from": "upstream_response_time", "unit": "s", "pattern": _LAST_NUMBER,
        },
        "origin_ttfb_ms": {"from": "upstream_header_time", "unit": "s", "pattern": _LAST_NUMBER},
        "origin_status": {"from": "upstream_status", "pattern": _LAST_NUMBER},
        "status": {"from": "status"},
        "bytes_out_total": {"from": "bytes_sent"},
        "bytes_out_body": {"from": "body_bytes_sent"},
        "bytes_in": {"from": "request_length"},
        "request_line": "request",
        "url": "request_uri",
        "path": "uri",
        "query": ["args", "query_string"],
        "host": ["host", "http_host", "server_name"],
        "scheme": "scheme",
        "method": "request_method",
        "http_version": "server_protocol",
        "request_id": "request_id",
        "pop": "hostname",
        "client_ip": "remote_addr",
        "client_port": {"from": "remote_port"},
        "tls_version": "ssl_protocol",
        "tls_cipher": "ssl_cipher",
        "user_agent": "http_user_agent",
        "referer": "http_referer",
        "content_type": ["sent_http_content_type", "content_type"],
        "range_raw": "http_range",
        "cache_status": {"from": "upstream_cache_status"},
        "extra": {"x-forwarded-for": "http_x_forwarded_for", "upstream_addr": "upstream_addr"},
        "ignore": ["remote_user", "pid", "connection", "connection_requests", "gzip_ratio"],
    }
)  # fmt: skip
APACHE = FieldMap.model_validate(
    {
        # %t stands in brackets
        "event_time": {
            "from": ["time", "timestamp", "@timestamp"],
            "unit": "auto",
            "pattern": r"^\[?([^\]]+)\]?$",
        },
        "duration_ms": {"from": ["duration_us", "time_us", "D"], "unit": "us"},
        "status": {"from": "status"},
        "bytes_out_total": {"from": ["bytes_out", "O"]},
        "bytes_out_body": {"from": ["bytes", "size", "B"]},
        "bytes_in": {"from": ["bytes_in", "I"]},
        "url": "request",
        "query": "query",
        "host": ["host", "vhost"],
        "method": "method",
        "http_version": "protocol",
        "request_id": "request_id",
        "client_ip": ["remoteIP", "remote_ip", "client"],
        "user_agent": ["userAgent", "user_agent"],
        "referer": ["referer", "referrer"],
        "tls_version": "ssl_protocol",
        "tls_cipher": "ssl_cipher",
        "content_type": "content_type",
        "extra": {"x-forwarded-for": "x_forwarded_for"},
        "ignore": ["user", "pid", "process", "filename"],
    }
)


class NginxJson(JsonMap):
    """Access logs of nginx as JSON (log_format ... escape=json)."""

    name = "nginx_json"
    version = 3
    preset = NGINX
    default_prefix = "syslog"

    def looks_like(self, head: bytes) -> Look | None:
        """Return a look for the variables of nginx."""
        return keys_look(head, _NGINX_KEYS, 3)


class ApacheJson(JsonMap):
    """Access logs of Apache as JSON (LogFormat)."""

    name = "apache_json"
    version = 3
    preset = APACHE
    default_prefix = "syslog"

    def looks_like(self, head: bytes) -> Look | None:
        """Return a look for the usual keys of an Apache LogFormat."""
        return keys_look(head, _APACHE_KEYS, 3, 0.8)
