"""What the ledger knows of deliveries that are not in: held ones and refused ones.

Belongs here: the ledger as bills read it, and which hours such deliveries touch, so that their
months become stale. Does not: how much is missing (int_billing__completeness in the dbt project),
nor the state of a delivery (lake.deliveries).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from lake.formats import family_of
from lake.ledger import Ledger
from lake.reads import quote_literal
from lake.records import CDN_REQUESTS
from lake.source import Source

#: days of a delivery that is not in, from the hours of its rows, else from the period of its name
_OPEN = f"""
select distinct
    concat_ws(' ', delivery_id, content_id, state, parser_version, lines, accepted, size_bytes),
    date_trunc('day', unnest(
        case when len(hours) > 0 then [h.hour for h in hours]
            else range(date_trunc('day', period_start), period_end, interval 1 day) end
    ))
from ({{current}})
where state in ('held', 'rejected')
and table_name = {quote_literal(CDN_REQUESTS.identifier)}
"""


def with_cdn(ledger: str, sources: Iterable[Source]) -> str:
    """Return a SELECT over the ledger's rows of CDN feeds, with the feed's cdn and sampling.

    ledger: a SELECT over ops.deliveries. sampled_ppm: logged requests in a million.
    """
    feeds = [
        (s.name, s.cdn or family_of(s.format).cdn, int(s.sampled_percent * 10_000))
        for s in sources
        if family_of(s.format).record is CDN_REQUESTS
    ]
    rows = ", ".join(
        f"({quote_literal(name)}, {quote_literal(cdn or name)}, {ppm})" for name, cdn, ppm in feeds
    )
    rows = rows or "(NULL::VARCHAR, NULL::VARCHAR, NULL::INTEGER)"
    return (
        f"SELECT d.*, f.cdn, f.sampled_ppm FROM ({ledger}) AS d "
        f"JOIN (VALUES {rows}) AS f(source, cdn, sampled_ppm) ON f.source = d.source"
    )


def open_hours(ledger: Ledger) -> list[tuple[datetime, str]]:
    """Return every hour that deliveries not in may change the completeness of, with their facts.

    These are all hours of their days in UTC: what an hour without any other delivery lacks is
    spread over its day. One whose name declares no period and of which no row is known has none.
    """
    return [
        (day.astimezone(UTC) + timedelta(hours=n), facts)
        for facts, day in ledger.ask(_OPEN)
        for n in range(24)
    ]
