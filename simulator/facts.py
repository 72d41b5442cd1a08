"""The rows of a run as the metrics see them: event time, bytes, outcome, generated or delivered.

Belongs here: the metric definitions that the ledger applies per row, once. Does not belong here:
sums over rows (truth), or anything read back from a log file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from simulator.arrays import BoolArray, IntArray
from simulator.board import Arrival
from simulator.cloudflare import statuses
from simulator.events import CLICK, IMPRESSION, LIKE, PLAY, SCENES, valid_plays
from simulator.files import World
from simulator.outcomes import ABORTED, ERROR, GONE, HEAD, HIT, REVALIDATED, STALE, STATUS, SYNTH
from simulator.traffic import Requests
from simulator.world import CDNS, CLOUDFRONT, CUSTOMERS, ISPS, POPS

_SECOND_US = 1_000_000


@dataclass(frozen=True)
class Delivered:
    """Which rows the final whole versions of all keys hold, one flag a generated row."""

    requests: BoolArray
    events: BoolArray


def final_versions(arrivals: Sequence[Arrival]) -> set[int]:
    """Return the positions of the last version of each key, given arrivals in order."""
    last = {one.key: position for position, one in enumerate(arrivals)}
    return set(last.values())


def delivered_rows(world: World, arrivals: Sequence[Arrival]) -> Delivered:
    """Mark the rows that the last version of any key holds whole; each row counts once."""
    requests = np.zeros(len(world.requests), dtype=np.bool_)
    events = np.zeros(len(world.events), dtype=np.bool_)
    for position in final_versions(arrivals):
        one = arrivals[position]
        (events if one.feed == "rec_events" else requests)[one.rows] = True
    return Delivered(requests, events)


def request_facts(world: World, delivered: Delivered) -> pa.Table:
    """Return one row a viewer request; worker sub-requests are no viewer's and stay out."""
    # Sub-requests follow the viewers' rows, so that a slice takes these without a copy.
    viewers = slice(0, int((world.requests.parent < 0).sum()))
    rows = world.requests.take(viewers)
    arrived = delivered.requests[viewers]
    on_cloudfront = rows.cdn == CLOUDFRONT
    sent = (rows.body_bytes + rows.header_bytes).astype(np.int64)
    status = np.where(on_cloudfront, STATUS[rows.ending], statuses(rows))
    left = (rows.ending == ABORTED) | (rows.ending == GONE)
    eligible = (rows.method <= HEAD) & (rows.cache != ERROR) & (rows.cache != SYNTH)
    hit = eligible & np.isin(rows.cache, (HIT, STALE, REVALIDATED))
    customer = world.sessions.customer[rows.session]
    isp = world.sessions.audience.isp[world.sessions.user[rows.session]]
    columns: dict[str, IntArray | BoolArray] = {
        "requests_generated": np.ones(len(rows), dtype=np.bool_),
        "requests_delivered": arrived,
        "bytes_generated": sent,
        "bytes_delivered": sent * arrived,
        "eligible_requests": eligible & arrived,
        "eligible_bytes": sent * (eligible & arrived),
        "hit_requests": hit & arrived,
        "hit_bytes": sent * (hit & arrived),
        "errors_4xx": (status // 100 == 4) & ~left & arrived,
        "errors_5xx": (status // 100 == 5) & arrived,
        "no_response": (status == 0) & arrived,
        "aborted": left & arrived,
    }
    return pa.table(
        {
            "event_at": instants(_event_times(rows)),
            "cdn": names(rows.cdn, CDNS),
            "pop": names(rows.pop, [pop.name for pop in POPS]),
            "customer": names(customer, [one.slug for one in CUSTOMERS]),
            "country": names(isp, [one.country for one in ISPS]),
            "asn": np.asarray([one.asn for one in ISPS])[isp],
            "ttfb_ms": rows.ttfb_ms,
            "is_timed": (status // 100 == 2) & ~left & arrived,
            **{name: _narrow(column) for name, column in columns.items()},
        }
    )


def _event_times(rows: Requests) -> IntArray:
    """Return the starts in us as each format carries them: CloudFront stamps ends, in seconds."""
    coarse = rows.end_us // _SECOND_US * _SECOND_US - rows.duration_us // 1_000 * 1_000
    return np.where(rows.cdn == CLOUDFRONT, coarse, rows.end_us - rows.duration_us)


def event_facts(world: World, delivered: Delivered) -> pa.Table:
    """Return one row a recommendation event, each measure as generated and as delivered."""
    rows, arrived = world.events, delivered.events
    measures: dict[str, IntArray | BoolArray] = {
        "impressions": rows.kind == IMPRESSION,
        "clicks": rows.kind == CLICK,
        "plays": rows.kind == PLAY,
        "valid_plays": valid_plays(rows),
        "watch_ms": np.where(rows.kind == PLAY, rows.watch_ms, 0),
        "likes": rows.kind == LIKE,
    }
    columns = {}
    for name, column in measures.items():
        columns[f"{name}_generated"] = _narrow(column)
        columns[f"{name}_delivered"] = _narrow(column * arrived)
    return pa.table(
        {
            "event_at": instants(rows.time_ms * 1_000),
            "customer": names(rows.customer, [one.slug for one in CUSTOMERS]),
            "scene": names(rows.scene, SCENES),
            **columns,
        }
    )


def instants(microseconds: IntArray) -> pa.Array:
    """Return UTC timestamps."""
    return pa.array(microseconds.astype("M8[us]")).cast(pa.timestamp("us", tz="UTC"))


def names(codes: IntArray, known: Sequence[str]) -> pa.Array:
    """Spell codes out, as a dictionary: a name a row would dwarf the numbers."""
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int8)), pa.array(known))


def _narrow(column: IntArray | BoolArray) -> IntArray:
    """Keep flags in a byte each; sums widen them."""
    return column.astype(np.int8) if column.dtype == np.bool_ else column.astype(np.int64)
