"""CloudFront standard logs, version 1, and what version 2 writes as w3c or plain text.

One line a request, columns by the `#Fields` line, as they come and go over the years, or by the
order that the source declares. Fields are separated by tabs, or by spaces where a log came through
Firehose: no value holds a space, as the vendor escapes it. What the fields mean is in
cloudfront_fields.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from lake.formats import cloudfront_fields as fields
from lake.formats import tsv, w3c
from lake.formats.base import Family, Judgement, Layout, Look, Row
from lake.formats.heads import first_lines
from lake.lines import Lines
from lake.records import CDN_REQUESTS
from lake.refused import RefusedError
from lake.source import Source

_BY_SECOND = ("date", "time", "sc-status")
_BY_MS = ("timestamp(ms)", "sc-status")
_MAX_COLUMNS = 200


#: the columns of the standard log; a shorter one of before has the first of them
_ORDER = """
date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer)
cs(User-Agent) cs-uri-query cs(Cookie) x-edge-result-type x-edge-request-id x-host-header
cs-protocol cs-bytes time-taken x-forwarded-for ssl-protocol ssl-cipher
x-edge-response-result-type cs-protocol-version fle-status fle-encrypted-fields c-port
time-to-first-byte x-edge-detailed-result-type sc-content-type sc-content-len
sc-range-start sc-range-end
""".split()  # noqa: SIM905
_WIDTHS = (12, 15, 18, 19, 23, 24, 26, 33)
_RECORD = re.compile(
    rb"\d{4}-\d\d-\d\d\t\d\d:\d\d:\d\d\t[A-Z]{3}\d{1,3}(?:-[A-Z]\d+)?\t\d+\t[0-9a-fA-F.:]+\t"
    rb"[A-Z]+\t\S+\t\S+\t\d{3}\t"
)


class CloudFrontV1(Family):
    """Standard log v1."""

    name = "cloudfront_v1"
    version = 5
    record = CDN_REQUESTS
    cdn = "cloudfront"
    file_names = r"(^|/)[A-Z0-9]{6,20}\.\d{4}-\d{2}-\d{2}-\d{2}\.[0-9a-f]{8}\.gz$"

    def looks_like(self, head: bytes) -> Look | None:
        """Return a look for the header; its fields tell whose W3C log it is."""
        for line in first_lines(head):
            if line.startswith(b"#Fields:"):
                names = {f.decode("utf-8", "replace") for f in line.split()[1:]}
                # other servers write W3C logs too, and time-taken in milliseconds
                is_ours = len(names & {*fields.TYPES, *fields.TEXT}) > 2 and any(
                    name.startswith("x-edge-") for name in names
                )
                return Look(1.0, "a #Fields line of CloudFront") if is_ours else None
        if self.fields_in(head):
            return Look(0.9, "columns as CloudFront's standard log has them, without a header")
        return None

    def fields_in(self, head: bytes) -> Sequence[str]:
        """Return the standard order where all records have its shape and one of its widths."""
        lines = [line.removesuffix(b"\t") for line in first_lines(head)]
        widths = {line.count(b"\t") + 1 for line in lines}
        width = min(widths, default=0)
        is_standard = len(widths) == 1 and width in _WIDTHS and all(map(_RECORD.match, lines))
        return _ORDER[:width] if is_standard else ()

    def layout(self, head: bytes, source: Source, previous: Layout | None) -> Layout:
        """Read `#Fields`; without a header take the source's declared order."""
        found: list[str] = []
        header_lines = 0
        for line in head.split(b"\n"):
            if not line.startswith(b"#"):
                break
            header_lines += 1
            if line.startswith(b"#Fields:"):
                found = line[len(b"#Fields:") :].decode("utf-8", "replace").split()
        if not found and previous is not None:
            return Layout(**{**vars(previous), "header_lines": header_lines, "unknown": ()})
        names = found or list(source.fields)
        if not names:
            raise RefusedError(
                "no_header",
                "expected a #Fields line, found none, and the source declares no order. "
                "Add `fields: [date, time, ...]` to the source file.",
            )
        required = _BY_MS if _BY_MS[0] in names and "date" not in names else _BY_SECOND
        missing = [c for c in required if c not in names]
        if missing or len(set(names)) != len(names) or len(names) > _MAX_COLUMNS:
            raise RefusedError(
                "bad_header",
                f"expected date, time and sc-status, each column once and at most {_MAX_COLUMNS}, "
                f"found {len(names)} columns without {missing}. Check the log configuration or "
                "the source's `fields`.",
            )
        delimiter = tsv.delimiter_of(head, len(names))
        return fields.layout_of_names(
            names, required, header_lines=header_lines, delimiter=delimiter
        )

    def cuts(self, lines: Lines) -> Sequence[int]:
        """Cut where a `#Fields` line begins after data: the columns may change there."""
        return w3c.cuts(lines)

    def read_sql(self, path: str, layout: Layout, longest_line: int) -> str:
        """Return the typed read."""
        return tsv.read_sql(path, layout, longest_line)

    def line_numbers_sql(self) -> str | None:
        """Return the lines that the reader rejected, by physical number."""
        return tsv.REJECTED_LINES

    def overruled(
        self, lines: Lines, layout: Layout, numbers: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        """Return accepted lines that have too many columns."""
        return tsv.overflowing(lines, layout, numbers)

    def judge(self, line: bytes, layout: Layout) -> Judgement:
        """Judge one line; a leap second, which the typed reader has no time for, is the last ms."""
        found = tsv.judge(line, layout)
        if isinstance(found, Row) and found.values.get("time") == "23:59:60":
            return Row({**found.values, "time": "23:59:59.999"})
        return found

    def derived_sql(self, layout: Layout, source: Source) -> Mapping[str, str]:  # noqa: ARG002
        """Return times, host, path and query."""
        col = fields.Columns(layout)
        end = fields.end_of_standard(col)
        return fields.derived_sql(col, end, col("cs-uri-stem"), col("cs-uri-query"))

    def canonical_sql(self, layout: Layout, source: Source) -> Mapping[str, str]:
        """Return the canonical columns."""
        return fields.canonical_sql(fields.Columns(layout), source)
