"""CloudFront standard logs, version 2, as JSON or Parquet.

JSON has the names of version 1 as keys, Parquet the same in snake case; all values are text, with
`-` for nothing. Which fields there are is configured, and some of them a real-time log has too.
What version 2 writes as w3c or plain text is format cloudfront_v1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property

from lake.formats import cloudfront_fields as fields
from lake.formats import ndjson, tsv
from lake.formats.base import Layout, Look, Reject, Row
from lake.formats.heads import keys_look
from lake.formats.record_family import RecordFamily
from lake.records import CDN_REQUESTS
from lake.source import Source

_NAMES = (*fields.LEFT_OUT, *fields.CMCD, *fields.CMCD_LEFT_OUT)


def snake_case(name: str) -> str:
    """Return a field's name as a column of Parquet: cs(User-Agent) -> cs_user_agent."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


class CloudFrontV2(RecordFamily):
    """Standard log v2."""

    name = "cloudfront_v2"

    def looks_like(self, head: bytes) -> Look | None:
        """Return a look for the names of version 1 as keys of JSON."""
        return keys_look(head, ("x-edge-location", "sc-status"), 2)

    version = 3
    record = CDN_REQUESTS
    cdn = "cloudfront"
    containers = ("ndjson", "parquet")
    fields: Mapping[str, str] = {**fields.TYPES, **dict.fromkeys(fields.TEXT, "VARCHAR")}
    required = ("sc-status",)
    ignored = frozenset((*_NAMES, *(snake_case(n) for n in _NAMES)))

    @cached_property
    def column_names(self) -> Mapping[str, str]:
        """Return the snake case of each field -> field."""
        return {snake_case(name): name for name in self.fields}

    def layout(self, head: bytes, source: Source, previous: Layout | None) -> Layout:  # noqa: ARG002
        """Read everything as text, as it is; only the status is in every line."""
        if previous is not None:
            return previous
        seen = ndjson.layout_of(head, self.fields, self.required)
        as_text = {n: t for n, t in fields.TYPES.items() if n not in self.required}
        columns = {n: "VARCHAR" if n in as_text else t for n, t in self.fields.items()}
        unknown = tuple(n for n in seen.unknown if n not in self.ignored)
        return Layout(columns, self.required, as_text, unknown=unknown, nulls=tsv.NULLS)

    def read_sql(self, path: str, layout: Layout, longest_line: int) -> str:
        """Return the typed read, with nulls for what stands for nothing."""
        columns = ", ".join(
            f'null_if_empty("{n}") as "{n}"' if t == "VARCHAR" else f'"{n}"'
            for n, t in layout.columns.items()
        )
        return f"select rn, {columns} from ({super().read_sql(path, layout, longest_line)})"

    def judge_record(self, found: Mapping[str, object], layout: Layout) -> Row | Reject:
        """Judge a record; without a stamp it has no place in time."""
        judged = super().judge_record(found, layout)
        if isinstance(judged, Reject):
            return judged
        values = judged.values
        if not values["timestamp(ms)"] and not (values["date"] and values["time"]):
            return Reject("missing_field")
        if values["time"] == "23:59:60":  # a leap second, which the typed reader has no time for
            return Row({**values, "time": "23:59:59.999"})
        return judged

    def derived_sql(self, layout: Layout, source: Source) -> Mapping[str, str]:  # noqa: ARG002
        """Return times, host, path and query."""
        col = fields.Columns(layout)
        end = fields.end_of_standard(col)
        return fields.derived_sql(col, end, col("cs-uri-stem"), col("cs-uri-query"))

    def canonical_sql(self, layout: Layout, source: Source) -> Mapping[str, str]:
        """Return the canonical columns."""
        return fields.canonical_sql(fields.Columns(layout), source)
