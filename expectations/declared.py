"""Rules that a source file implies: where its values lie, and that its mapped columns have some.

Belongs here: rules and measures by what a source declares. Does not: rules for all sources
(deliveries.yaml) or how a delivery is measured (expectations/deliveries.py).
"""

from __future__ import annotations

from collections.abc import Iterable

from expectations.rules import Guard, Rule, Suite
from lake.reads import quote_identifier
from lake.source import Source

#: rows under which neither mean nor median says anything, nor that no row has a value
_LEAST_ROWS = 20
#: rule of a map -> bronze column that it fills; those of the same name are not listed
_FILLS = {"url": "path_raw", "request_line": "path_raw", "cache_status": "cache_status_raw"}
#: rules of a map whose columns many a delivery has no value of, or has always
_UNWATCHED = {
    "event_time", "status", "is_viewer", "client_aborted", "query", "cmcd", "referer", "customer",
    "range_start", "range_end", "range_raw", "origin_ttfb_ms", "origin_duration_ms",
    "origin_status", "origin_ip", "error_detail", "content_length",
}  # fmt: skip


def declared_columns(source: Source) -> set[str]:
    """Return the columns whose mean and median a source declares."""
    return set(source.expect.given())


def watched_columns(source: Source) -> set[str]:
    """Return the bronze columns that a source's map fills from fields of nearly every request."""
    return {
        _FILLS.get(name, name)
        for name, rule in source.map.rules().items()
        if name not in _UNWATCHED and any(rule.paths()) and getattr(rule, "const", None) is None
    }


def declared_measures(columns: Iterable[str], watched: Iterable[str] = ()) -> dict[str, str]:
    """Return the measures of columns that hold numbers, and of those that are to have values."""
    ranges = {
        f"{column}_{name}": sql.format(quote_identifier(column))
        for column in columns
        for name, sql in (("mean", "avg({})"), ("p50", "quantile_disc({}, 0.5)"))
    }
    return ranges | {f"{c}_values": f"count({quote_identifier(c)})" for c in watched}


def declared_suite(source: Source) -> Suite | None:
    """Return the rules that a source's file implies, None where it implies none.

    Not judged where a delivery has few rows; ranges not where it has no value to measure.
    """
    few = Guard(column="rows", min=_LEAST_ROWS)
    rules = [
        Rule(
            name=f"{column}_{name}_is_as_declared",
            column=f"{column}_{name}",
            kind="between",
            min=bounds[0],
            max=bounds[1],
            optional=True,
            applies_if=few,
            description=f"The {name} of {column} lies where the source's `expect` says.",
        )
        for column, ranges in source.expect.given().items()
        for name in ("mean", "p50")
        if (bounds := getattr(ranges, name)) is not None
    ]
    rules += [
        Rule(
            name=f"{column}_has_values",
            column=f"{column}_values",
            kind="between",
            min=1,
            severity="warning",
            applies_if=few,
            description=f"Some row has a {column}; else the vendor dropped or renamed its field.",
        )
        for column in sorted(watched_columns(source))
    ]
    if not rules:
        return None
    return Suite(
        name="declared",
        description="The values of a delivery are as the file of its source says",
        profiles=("bronze.cdn_requests",),
        rules=tuple(rules),
    )
