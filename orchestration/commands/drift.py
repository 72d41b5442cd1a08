"""What vendors changed and what their deliveries look odd by: names no rule knows, warnings.

Belongs here: the part of `weir status` that a delivery which went in says nothing else of. Does
not: what is held (status), which rules there are (expectations).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pyiceberg.catalog import Catalog

from lake.catalog import table_of
from lake.deliveries import Delivery
from lake.reads import connect, relation_sql
from lake.records import CHECK_RESULTS

_MAX_SHOWN = 40
#: the last judgement of each rule counts: a replay judges again
_WARNINGS = """
select subject, check_name, observed, expected from ({results}) r
where layer = 'delivery' and severity = 'warning'
qualify row_number() over (partition by subject, suite, check_name order by checked_at desc) = 1
  and not is_passed
"""


@dataclass(frozen=True)
class Drift:
    """One thing that loaded or held deliveries of a source say; last_key is the newest's name."""

    source: str
    what: str
    deliveries: int
    last_key: str
    last_delivery_id: str


def drift_of(catalog: Catalog, ledger: Iterable[Delivery]) -> list[Drift]:
    """Return fields that no rule names and warnings of what counts now, newest first."""
    current = {d.delivery_id: d for d in ledger if d.state in ("loaded", "held")}
    said: dict[tuple[str, str], list[Delivery]] = {}
    for d in current.values():
        for name in d.unknown_fields:
            said.setdefault((d.source, f"field no rule names: {name}"), []).append(d)
        if d.state == "loaded" and d.rejected and not d.accepted:  # too few lines to be held for it
            said.setdefault((d.source, "every line is rejected"), []).append(d)
    table = table_of(catalog, CHECK_RESULTS)
    with connect(table) as connection:
        rows = connection.sql(_WARNINGS.format(results=relation_sql(table))).fetchall()
    for subject, name, observed, expected in rows:
        if subject in current:
            # a share differs from delivery to delivery: only what is expected makes it one thing
            what = f"{name}: expected {expected}" + (", found 0" if observed == "0" else "")
            said.setdefault((current[subject].source, what), []).append(current[subject])
    found = [_drift(source, what, ds) for (source, what), ds in said.items()]
    found.sort(key=lambda f: (f.source, f.what))
    found.sort(key=lambda f: current[f.last_delivery_id].last_modified, reverse=True)
    return found


def _drift(source: str, what: str, deliveries: Sequence[Delivery]) -> Drift:
    last = max(deliveries, key=lambda d: (d.last_modified, d.key))
    return Drift(source, what, len(deliveries), last.key, last.delivery_id)


def shown_rows(found: Sequence[Drift]) -> list[tuple[str, str, int, str]]:
    """Return the rows of a table, the newest, and a last one that says how many more there are."""
    rows = [(f.source, f.what, f.deliveries, f.last_key) for f in found[:_MAX_SHOWN]]
    if len(found) > _MAX_SHOWN:
        rows.append(("...", f"{len(found) - _MAX_SHOWN} more: weir status --json", 0, ""))
    return rows
