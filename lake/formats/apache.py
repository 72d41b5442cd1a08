r"""Apache and Varnish access logs: common, combined, and what `LogFormat` or `-F` append to it.

Belongs here: the directives of both servers. Sources: mod_log_config, mod_logio, mod_ssl,
mod_cache; varnishncsa(1). Both stamp the START of a request (%t), log no bytes as a hyphen, and
write a quote inside of a value as \".
"""

from __future__ import annotations

from lake.formats.access import AccessLog
from lake.formats.accesssql import Fields
from lake.formats.logformat import Names, apache
from lake.formats.template import Kind, Template

_W, _T = Kind.WORD, Kind.TEXT
_SHARED: Names = {
    "%h": ("client", _W), "%a": ("client", _W), "%l": (None, _W), "%u": (None, Kind.NAME),
    "%t": ("start_local", Kind.TIME), "%r": ("request", _T), "%m": ("method", _W),
    "%U": ("path", Kind.NAME), "%q": ("query", _W), "%H": ("protocol", _W), "%s": ("status", _W),
    "%b": ("body_bytes", _W), "%B": ("body_bytes", _W), "%O": ("total_bytes", _W),
    "%I": ("bytes_in", _W), "%D": ("duration_us", _W), "%T": ("duration_s", _W),
    "%{host}i": ("host", _W), "%{referer}i": ("referer", _T), "%{user-agent}i": ("agent", _T),
    "%{x-forwarded-for}i": ("forwarded", _T), "%{range}i": ("range", _T),
    "%{content-type}o": ("content_type", _T), "%{content-length}o": ("content_length", _W),
    "%{x-cache}o": ("cache", _T),
    "%{cmcd-object}i": ("cmcd_object", _T), "%{cmcd-request}i": ("cmcd_request", _T),
    "%{cmcd-session}i": ("cmcd_session", _T), "%{cmcd-status}i": ("cmcd_status", _T),
}  # fmt: skip
_APACHE: Names = {
    **_SHARED,
    "%{c}a": ("client", _W), "%v": ("server_name", _W), "%V": ("host", _W),
    "%{ms}T": ("duration_ms", _W), "%{us}T": ("duration_us", _W), "%{s}T": ("duration_s", _W),
    "%^FB": ("ttfb_us", _W), "%X": ("connection", _W), "%{remote}p": ("client_port", _W),
    "%{sec}t": ("start_epoch_s", _W), "%{msec}t": ("start_epoch_ms", _W),
    "%{usec}t": ("start_epoch_us", _W), "%{begin:sec}t": ("start_epoch_s", _W),
    "%{begin:msec}t": ("start_epoch_ms", _W), "%{begin:usec}t": ("start_epoch_us", _W),
    "%{end:sec}t": ("end_epoch_s", _W), "%{end:msec}t": ("end_epoch_ms", _W),
    "%{end:usec}t": ("end_epoch_us", _W), "%{unique_id}e": ("request_id", _W),
    "%L": ("request_id", _W), "%{ssl_protocol}x": ("tls_version", _W),
    "%{ssl_cipher}x": ("tls_cipher", _W), "%{cache-status}e": ("cache", _T),
    "%{geoip_country_code}e": ("country", _W), "%p": (None, _W), "%P": (None, _W), "%k": (None, _W),
}  # fmt: skip
_VARNISH: Names = {
    **_SHARED,
    "%{varnish:time_firstbyte}x": ("ttfb_s", _W), "%{varnish:handling}x": ("cache", _W),
    "%{varnish:hitmiss}x": ("hitmiss", _W), "%{varnish:side}x": ("side", _W),
    "%{varnish:vxid}x": ("request_id", _W),
}  # fmt: skip
_COMMON = '%h %l %u %t "%r" %>s %b'
_COMBINED = f'{_COMMON} "%{{Referer}}i" "%{{User-Agent}}i"'


class Apache(AccessLog):
    """Access logs of Apache httpd."""

    name = "apache"
    version = 3
    hyphen_is_zero = True
    #: with the server's name first: plain combined fits its lines as well, with an odd user
    well_known = (f"%v:%p {_COMBINED}", _COMBINED, _COMMON)

    def template(self, log_format: str) -> Template:
        """Return the template of a `LogFormat`."""
        return Template(apache(log_format, _APACHE), has_escapes=True)


class Varnish(AccessLog):
    """Logs of varnishncsa; its request line names an absolute URI."""

    name = "varnishncsa"
    version = 3
    hyphen_is_zero = True
    well_known = ('%h %l %u %t "%r" %s %b "%{Referer}i" "%{User-agent}i"',)

    def template(self, log_format: str) -> Template:
        """Return the template of a format of varnishncsa."""
        return Template(apache(log_format, _VARNISH), has_escapes=True)

    def cache_word(self, f: Fields) -> str:
        """Return the SQL of the handling, which tells passes from misses; else of hit or miss."""
        return f"coalesce({f('cache')}, {f('hitmiss')})"
