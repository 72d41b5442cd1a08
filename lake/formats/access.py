"""Access logs of servers of one's own: what their fields become in the canonical record.

Belongs here: the meaning that nginx, Apache, Varnish, Squid and Traffic Server share. Does not:
the variables of one server (its own file), expressions (lake/formats/accesssql.py) and how a line
is cut (lake/formats/templatesql.py).

Traps this module knows: the stamp is the end of the response in some servers and the start of the
request in others; bytes of the body and bytes with headers are different variables; requests that
tried several upstreams have lists of times. Names of users are never kept: they are no fields.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from lake import canonical as sql
from lake.formats import accesssql as access
from lake.formats import templatesql, tsv
from lake.formats.accesssql import NUMBERS, STAMPS, Fields
from lake.formats.base import Family, Judgement, Layout, Look
from lake.formats.heads import server_of
from lake.formats.logformat import LogFormatError
from lake.formats.template import (
    BACKSLASH_MARK,
    LINE,
    QUOTE_MARK,
    STATUS,
    Template,
    TemplateLayout,
    template_of,
)
from lake.lines import Lines
from lake.records import CDN_REQUESTS
from lake.source import Source

_MAX_HEAD_LINES = 50


class AccessLog(Family):
    """A family whose lines follow the format string of a server."""

    record = CDN_REQUESTS
    #: formats that are recognised where the source declares none
    well_known: tuple[str, ...]

    def looks_like(self, head: bytes) -> Look | None:
        """Return a look for the first line of a well-known format."""
        is_ours = server_of(head) == self.name
        return Look(0.7, f"an access log as {self.name} writes it") if is_ours else None

    #: no bytes of the body are logged as a hyphen
    hyphen_is_zero = False

    @abstractmethod
    def template(self, log_format: str) -> Template:
        """Return the template of a format string; raises LogFormatError."""

    def check(self, source: Source) -> None:
        """Raise LogFormatError where the source's format string cannot be read."""
        if source.log_format:
            self._usable(source.log_format)

    def layout(self, head: bytes, source: Source, previous: Layout | None) -> Layout:
        """Return the layout of the declared format, else of the well-known one that fits best."""
        if previous is not None:
            return previous
        if source.log_format:
            return self._usable(source.log_format)
        lines = [line for line in head.split(b"\n")[:_MAX_HEAD_LINES] if line.strip()]
        layouts = [self._usable(text) for text in self.well_known]
        return max(layouts, key=lambda one: sum(one.template.fits(line) for line in lines))

    @lru_cache(maxsize=64)  # noqa: B019  (families live as long as the process)
    def _usable(self, log_format: str) -> TemplateLayout:
        template = self.template(log_format)
        problem = template.problem()
        missing = [] if STATUS in template.fields else ["a status"]
        missing += [] if set(STAMPS) & set(template.fields) else ["a time"]
        if problem or missing:
            found = problem or f"found no variable for {' and '.join(missing)}"
            raise LogFormatError(
                "expected a time, a status, and values whose ends can be told; "
                f"{found}. Mend the format in the server and in `log_format`; one that works is "
                f"{self.well_known[-1]}"
            )
        columns = {LINE: "VARCHAR", **dict.fromkeys(template.fields, "VARCHAR"), STATUS: "INTEGER"}
        as_text = {f: t for f, t in NUMBERS.items() if f in template.fields}
        return TemplateLayout(
            columns, (STATUS,), as_text, unknown=template.unknown, template=template
        )

    def read_sql(self, path: str, layout: Layout, longest_line: int) -> str:
        """Return the read of whole lines, cut in SQL."""
        return templatesql.read_sql(template_of(layout), path, longest_line)

    def line_numbers_sql(self) -> str | None:
        """Return the lines that the reader rejected, by physical number."""
        return tsv.REJECTED_LINES

    def overruled(
        self,
        lines: Lines,
        layout: Layout,  # noqa: ARG002
        numbers: npt.NDArray[np.int64],  # noqa: ARG002
    ) -> npt.NDArray[np.int64]:
        """Return lines that hold the bytes that stand for something while a line is cut."""
        return np.union1d(lines.with_byte(QUOTE_MARK), lines.with_byte(BACKSLASH_MARK))

    def judge(self, line: bytes, layout: Layout) -> Judgement:
        """Judge one line by the regular expression of the format."""
        return template_of(layout).judge(line)

    def derived_sql(self, layout: Layout, source: Source) -> Mapping[str, str]:  # noqa: ARG002
        """Return times, request line, host, path, query and cache status."""
        f = Fields(layout)
        asked = access.request(f)
        return {**access.times(layout), **asked, "cmcd_q": "cmcd_of(query_d)", **self._cache(f)}

    def _cache(self, f: Fields) -> dict[str, str]:
        return {"cache_w": f"lower({self.cache_word(f)})", "cache_d": self.cache_sql()}

    def cache_word(self, f: Fields) -> str:
        """Return the SQL of what the server says of its cache."""
        return f("cache")

    def cache_sql(self) -> str:
        """Return the SQL of the normalised cache status, from cache_w in lower case."""
        # exact words first; the prose of mod_cache and of X-Cache headers after them
        return """case cache_w when 'hit' then 'HIT' when 'miss' then 'MISS'
          when 'expired' then 'MISS' when 'stale' then 'STALE' when 'updating' then 'STALE'
          when 'revalidated' then 'REVALIDATED' when 'bypass' then 'BYPASS'
          when 'pass' then 'BYPASS' when 'pipe' then 'BYPASS' when 'synth' then 'SYNTH'
          when 'hitpass' then 'BYPASS' when 'hit-for-pass' then 'BYPASS'
          when 'error' then 'ERROR'
          else case when cache_w is null then 'UNKNOWN'
            when contains(cache_w, 'conditional') or contains(cache_w, 'revalidat')
            then 'REVALIDATED'
            when contains(cache_w, 'stale') then 'STALE' when contains(cache_w, 'miss') then 'MISS'
            when contains(cache_w, 'hit') then 'HIT' else 'UNKNOWN' end end"""

    def aborted_sql(self, f: Fields) -> str:
        """Return the SQL of whether the viewer went away."""
        by_status = '"status" in (0, 499)'
        if "connection" not in f:
            return by_status
        return f"({by_status} or coalesce({f('connection')} = 'X', false))"

    def canonical_sql(self, layout: Layout, source: Source) -> Mapping[str, str]:
        """Return the canonical columns."""
        f = Fields(layout)
        body = f.number("body_bytes")
        if self.hyphen_is_zero and "body_bytes" in f:
            body = f"coalesce({body}, 0)"
        ttfb = f"{f.number('ttfb_s')} * 1000" if "ttfb_s" in f else f"{f.number('ttfb_us')} / 1000"
        return {
            "event_time_precision": access.precision(access.stamp_of(layout)),
            "end_time": "end_at",
            "row_key": access.row_key(f),
            "customer": sql.lookup("host_l", source.customers),
            "request_id": f("request_id"),
            "pop": f("pop"),
            "client_ip": f("client"),
            "client_port": f.number("client_port"),
            "country": f"upper({f('country')})",
            "host": "host_l",
            "scheme": access.scheme(f),
            "method": "method_d",
            "path_raw": "path_0",
            "path": "path_d",
            "query_raw": sql.allowed_query("query_d", source.privacy.query_allow),
            "status": '"status"',
            "bytes_out_total": f.number("total_bytes"),
            "bytes_out_body": body,
            "bytes_in": f.number("bytes_in"),
            "ttfb_ms": f"cast({ttfb} as double)",
            "duration_ms": "cast(taken_us as double) / 1000",
            "cache_status": "cache_d",
            "cache_status_raw": self.cache_word(f),
            "is_edge_hit": "cache_d in ('HIT', 'STALE', 'REVALIDATED')",
            "is_origin_fetch": "cache_d in ('MISS', 'BYPASS', 'REVALIDATED')",
            "client_aborted": self.aborted_sql(f),
            "http_version": "protocol_d",
            "tls_version": f("tls_version"),
            "tls_cipher": f("tls_cipher"),
            "user_agent": f.unescaped("agent"),
            "referer": f"referer_of({f.unescaped('referer')})",
            "content_type": f("content_type"),
            "content_length": f.number("content_length"),
            **access.range_bounds(f),
            **access.upstreams(f),
            "error_detail": self.error_sql(f),
            "is_viewer": self.viewer_sql(f),
            "object_type": "object_type_of(path_d, ext_d)",
            "stream_kind": "stream_kind_of(path_d, ext_d)",
            "cmcd": access.cmcd(f),
            "extra": sql.extra_map(self.more(f)),
        }

    def error_sql(self, f: Fields) -> str:  # noqa: ARG002
        """Return the SQL of the server's error class."""
        return "cast(null as varchar)"

    def viewer_sql(self, f: Fields) -> str:
        """Return the SQL of whether a viewer asked; Varnish can log its back side as well."""
        return f"coalesce({f('side')} <> 'b', true)"

    def more(self, f: Fields) -> dict[str, str]:
        """Return what the format carries and the record has no column for."""
        found = {"host-port": "odd_port(named_d)"}
        if "forwarded" in f:
            found["x-forwarded-for"] = f"forwarded_for({f('forwarded')})"
        if "hierarchy" in f:
            found["hierarchy"] = f("hierarchy")
        return found
