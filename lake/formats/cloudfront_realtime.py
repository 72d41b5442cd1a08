"""CloudFront real-time logs: tab-separated, no header, fields in the order of the configuration.

Traps: the stamp is the END of the response, epoch seconds with milliseconds; cs-uri-stem holds
the query string too; cs-host is what the viewer asked for and x-host-header the distribution's
name, the other way round than in a standard log; a sampled log counts by the source's
`sampled_percent`. CMCD has columns of its own, beside the query string.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from lake.formats import cloudfront_fields as fields
from lake.formats import tsv
from lake.formats.base import Family, Judgement, Layout
from lake.lines import Lines
from lake.records import CDN_REQUESTS
from lake.refused import RefusedError
from lake.source import Source

#: name in a real-time log -> in a standard one
_STANDARD = {
    "cs-host": "x-host-header",
    "x-host-header": "cs(Host)",
    "cs-referer": "cs(Referer)",
    "cs-user-agent": "cs(User-Agent)",
    "cs-cookie": "cs(Cookie)",
}
_STAMP = "timestamp"
_REQUIRED = (_STAMP, "sc-status")


class CloudFrontRealtime(Family):
    """Real-time log."""

    name = "cloudfront_realtime"
    version = 3
    record = CDN_REQUESTS
    cdn = "cloudfront"

    def layout(self, head: bytes, source: Source, previous: Layout | None) -> Layout:
        """Take the order that the source declares."""
        if previous is not None:
            return Layout(**{**vars(previous), "unknown": ()})
        names = [_STANDARD.get(n, n) for n in source.fields]
        missing = [c for c in _REQUIRED if c not in names]
        if missing or len(set(names)) != len(names):
            raise RefusedError(
                "no_header",
                f"expected the source to declare its order with {' and '.join(_REQUIRED)}, each "
                f"field once, found {len(names)} fields without {missing}. Add "
                "`fields: [timestamp, c-ip, ...]` to the source file, as the log is configured.",
            )
        known = [n for n in names if n != _STAMP]
        plain = fields.layout_of_names(
            known, _REQUIRED, delimiter=tsv.delimiter_of(head, len(names))
        )
        kinds = iter(plain.columns.items())
        columns = dict((_STAMP, "DECIMAL(16,6)") if n == _STAMP else next(kinds) for n in names)
        return Layout(**{**vars(plain), "columns": columns})

    def read_sql(self, path: str, layout: Layout, longest_line: int) -> str:
        """Return the typed read."""
        return tsv.read_sql(path, layout, longest_line)

    def line_numbers_sql(self) -> str | None:
        """Return the lines that the reader rejected, by physical number."""
        return tsv.REJECTED_LINES

    def overruled(
        self, lines: Lines, layout: Layout, numbers: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        """Return accepted lines that have too many columns, or look like a comment."""
        return tsv.overflowing(lines, layout, numbers)

    def judge(self, line: bytes, layout: Layout) -> Judgement:
        """Judge one line."""
        return tsv.judge(line, layout)

    def derived_sql(self, layout: Layout, source: Source) -> Mapping[str, str]:  # noqa: ARG002
        """Return times, host, path and query."""
        col = fields.Columns(layout)
        end = (
            'case when "timestamp" between 0 and 9999999999 '
            'then make_timestamptz(cast(cast("timestamp" as decimal(28, 6)) * 1000000 '
            "as bigint)) end"
        )
        stem = col("cs-uri-stem")
        query = (
            f"coalesce({col('cs-uri-query')}, case when contains({stem}, '?') "
            f"then nullif(substr({stem}, instr({stem}, '?') + 1), '') end)"
        )
        return fields.derived_sql(col, end, f"split_part({stem}, '?', 1)", query)

    def canonical_sql(self, layout: Layout, source: Source) -> Mapping[str, str]:
        """Return the canonical columns."""
        return {
            **fields.canonical_sql(fields.Columns(layout), source),
            "event_time_precision": "'end_ms'",
        }
