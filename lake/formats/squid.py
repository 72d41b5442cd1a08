"""Squid's native access log, and that of Apache Traffic Server in Squid's format.

Belongs here: the one layout both write and their result codes. Sources: Squid's FAQ on log files,
Traffic Server's reference of log formats and cache result codes. Squid stamps the END of a request,
Traffic Server its START; both log bytes with headers. Squid pads the duration with blanks.
"""

from __future__ import annotations

from lake.formats.access import AccessLog
from lake.formats.accesssql import Fields
from lake.formats.logformat import LogFormatError
from lake.formats.template import Kind, Piece, Template, Variable

_HITS = (
    "TCP_HIT", "TCP_MEM_HIT", "TCP_INM_HIT", "TCP_NEGATIVE_HIT", "TCP_OFFLINE_HIT", "TCP_CF_HIT",
    "TCP_HIT_RAM", "TCP_HIT_REDIRECT", "UDP_HIT",
)  # fmt: skip
_CODES = {
    **dict.fromkeys(_HITS, "HIT"),
    "TCP_IMS_HIT": "HIT", "TCP_STALE_HIT": "STALE", "TCP_REFRESH_FAIL": "STALE",
    "TCP_REFRESH_FAIL_OLD": "STALE", "TCP_REFRESH_FAIL_HIT": "STALE", "TCP_REF_FAIL_HIT": "STALE",
    "TCP_REFRESH_HIT": "REVALIDATED", "TCP_REFRESH_UNMODIFIED": "REVALIDATED",
    "TCP_CF_REFRESH_UNMODIFIED": "REVALIDATED",
    "TCP_MISS": "MISS", "TCP_REFRESH_MISS": "MISS", "TCP_REFRESH_MODIFIED": "MISS",
    "TCP_CF_MISS": "MISS", "TCP_IMS_MISS": "MISS", "TCP_EXPIRED_MISS": "MISS",
    "TCP_SWAPFAIL": "MISS", "TCP_SWAPFAIL_MISS": "MISS", "TCP_CLIENT_REFRESH": "MISS",
    "TCP_CLIENT_REFRESH_MISS": "MISS", "TCP_REFRESH": "MISS", "UDP_MISS": "MISS",
    "TCP_TUNNEL": "BYPASS", "TCP_WEBFETCH_MISS": "BYPASS", "TCP_REDIRECT": "SYNTH",
    "TCP_DENIED": "ERROR", "TCP_DENIED_REPLY": "ERROR", "UDP_DENIED": "ERROR",
}  # fmt: skip


def _pieces(stamp: str) -> tuple[Piece, ...]:
    """Return the layout: stamp, ms, client, code/status, bytes, method, URL, user, peer, type."""

    def word(name: str, field: str | None) -> Variable:
        return Variable(name, field, Kind.WORD)

    return (
        word("time", stamp), " ", word("elapsed", "duration_ms"), " ", word("client", "client"),
        " ", word("code", "cache"), "/", word("status", "status"), " ",
        word("bytes", "total_bytes"), " ", word("method", "method"), " ", word("url", "target"),
        " ", word("user", None), " ", word("hierarchy", "hierarchy"), "/",
        word("peer", "upstream"), " ", word("type", "content_type"),
    )  # fmt: skip


class Squid(AccessLog):
    """Squid's native format."""

    name = "squid"
    version = 3
    well_known = ("squid",)
    _stamp = "end_epoch_s"

    def template(self, log_format: str) -> Template:
        """Return the one template; raises LogFormatError for a format of one's own."""
        if log_format not in self.well_known:
            raise LogFormatError(
                f"expected no log_format, found {log_format!r}: only the native format is read. "
                "Remove log_format from the source, and log `squid` in the server."
            )
        return Template(_pieces(self._stamp), is_padded=True)

    def cache_sql(self) -> str:
        """Return the SQL of the cache status; what happened to the client is no part of it."""
        code = "regexp_replace(cache_w, '_(aborted|timedout|ignored)$', '')"
        cases = " ".join(f"when '{c.lower()}' then '{state}'" for c, state in _CODES.items())
        return (
            f"case {code} {cases} "
            "else case when starts_with(cache_w, 'err_') then 'ERROR' else 'UNKNOWN' end end"
        )

    def aborted_sql(self, f: Fields) -> str:
        """Return the SQL of whether the viewer went away."""
        return (
            f"(\"status\" = 0 or coalesce(ends_with({f('cache')}, '_ABORTED') or {f('cache')} in "
            "('ERR_CLIENT_ABORT', 'ERR_CLIENT_READ_ERROR'), false))"
        )

    def error_sql(self, f: Fields) -> str:
        """Return the SQL of the error class: the code, where it is one."""
        return f"case when cache_d = 'ERROR' then {f('cache')} end"

    def viewer_sql(self, f: Fields) -> str:
        """Return the SQL of whether a viewer asked: neighbours ask by ICP."""
        return f"not coalesce(starts_with({f('cache')}, 'UDP_'), false)"


class TrafficServer(Squid):
    """Traffic Server's log in Squid's format, whose stamp is the client's request."""

    name = "ats_squid"
    version = 3
    _stamp = "start_epoch_s"
