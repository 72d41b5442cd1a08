"""nginx access logs: combined, and whatever the source's `log_format` appends to it.

Belongs here: nginx's variables. Sources: ngx_http_log_module, ngx_http_upstream_module. nginx
stamps the END of a request ($time_local, $msec) and escapes quotes, so none stands in a value.
"""

from __future__ import annotations

from lake.formats.access import AccessLog
from lake.formats.logformat import Names, nginx
from lake.formats.template import Kind, Template

_W, _T, _L = Kind.WORD, Kind.TEXT, Kind.LIST
NAMES: Names = {
    "$remote_addr": ("client", _W), "$remote_user": (None, Kind.NAME),
    "$remote_port": ("client_port", _W),
    "$time_local": ("end_local", Kind.TIME), "$time_iso8601": ("end_iso", _W),
    "$msec": ("end_epoch_s", _W), "$request": ("request", _T), "$request_method": ("method", _W),
    "$request_uri": ("target", _W), "$uri": ("path", _W), "$document_uri": ("path", _W),
    "$args": ("query", _W), "$query_string": ("query", _W), "$server_protocol": ("protocol", _W),
    "$status": ("status", _W), "$body_bytes_sent": ("body_bytes", _W),
    "$bytes_sent": ("total_bytes", _W), "$request_length": ("bytes_in", _W),
    "$request_time": ("duration_s", _W), "$http_referer": ("referer", _T),
    "$http_user_agent": ("agent", _T), "$http_x_forwarded_for": ("forwarded", _T),
    "$proxy_add_x_forwarded_for": ("forwarded", _T), "$host": ("host", _W),
    "$http_host": ("host", _W), "$server_name": ("server_name", _W), "$scheme": ("scheme", _W),
    "$request_id": ("request_id", _W), "$hostname": ("pop", _W), "$http_range": ("range", _T),
    "$upstream_cache_status": ("cache", _W), "$upstream_response_time": ("upstream_s", _L),
    "$upstream_header_time": ("upstream_header_s", _L), "$upstream_status": ("upstream_status", _L),
    "$upstream_addr": ("upstream", _L), "$ssl_protocol": ("tls_version", _W),
    "$ssl_cipher": ("tls_cipher", _W), "$sent_http_content_type": ("content_type", _T),
    "$sent_http_content_length": ("content_length", _W),
    "$geoip_country_code": ("country", _W), "$geoip2_data_country_code": ("country", _W),
    "$http_cmcd_object": ("cmcd_object", _T), "$http_cmcd_request": ("cmcd_request", _T),
    "$http_cmcd_session": ("cmcd_session", _T), "$http_cmcd_status": ("cmcd_status", _T),
    "$connection": (None, _W), "$connection_requests": (None, _W), "$pid": (None, _W),
}  # fmt: skip
COMBINED = (
    '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent '
    '"$http_referer" "$http_user_agent"'
)


class Nginx(AccessLog):
    """Access logs of nginx."""

    name = "nginx"
    version = 3
    #: combined, and `main` of the packaged nginx.conf
    well_known = (COMBINED, f'{COMBINED} "$http_x_forwarded_for"')

    def template(self, log_format: str) -> Template:
        """Return the template of a `log_format`."""
        return Template(nginx(log_format, NAMES))
