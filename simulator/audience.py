"""Who watches what: users, the catalogue, and playback sessions over the run.

Belongs here: draws per user, title and session. Does not belong here: single requests or events.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from simulator.arrays import BoolArray, FloatArray, IntArray, hex_strings, weighted, zipf_weights
from simulator.scenario import Scenario
from simulator.world import (
    CLOUDFLARE,
    CUSTOMERS,
    DEVICES,
    ISPS,
    LADDER,
    LIVE_CHANNELS,
    NEAREST_POPS,
    VOD_TITLES,
)

HLS, DASH = 0, 1
NEVER_SWITCHES = 1_000_000
_SHORT_TITLES = 0.35


@dataclass(frozen=True)
class Audience:
    """Users, one element each."""

    user_ids: list[str]
    addresses: list[str]
    isp: IntArray
    device: IntArray
    customer: IntArray


@dataclass(frozen=True)
class Sessions:
    """Playback sessions, one element each.

    `content` counts live channels from 0 and VOD titles from LIVE_CHANNELS, `popularity` is the
    rank inside its kind scaled to 0..1. From row `switch_row` on, the other CDN delivers.
    """

    audience: Audience
    user: IntArray
    is_live: BoolArray
    content: IntArray
    popularity: FloatArray
    duration_ms: IntArray
    format: IntArray
    segment_ms: IntArray
    top_rung: IntArray
    start_us: IntArray
    rows: IntArray
    first_segment: IntArray
    cdn: IntArray
    switch_row: IntArray
    near_pop: IntArray
    far_pop: IntArray
    mbps: FloatArray
    port: IntArray
    has_cmcd: BoolArray
    ids: list[str]

    @property
    def customer(self) -> IntArray:
        """Return the customer of each session."""
        return self.audience.customer[self.user]

    def content_id(self, session: int) -> str:
        """Name what a session plays: CMCD content id and recommendation item id alike."""
        return content_id(
            int(self.audience.customer[self.user[session]]), int(self.content[session])
        )


def content_id(customer: int, content: int) -> str:
    """Name one channel or title of a customer."""
    slug = CUSTOMERS[customer].slug
    if content < LIVE_CHANNELS:
        return f"{slug}-live-{content:02d}"
    return f"{slug}-vod-{content - LIVE_CHANNELS:04d}"


def hour_weights(start: datetime, hours: int) -> FloatArray:
    """Return the share of traffic of each hour: an evening peak in UTC, more at the weekend."""
    weights = []
    for hour in range(hours):
        at = (start + timedelta(hours=hour)).astimezone(UTC)
        day = 0.55 + 0.45 * np.cos((at.hour - 20) * np.pi / 12)
        weights.append((0.15 + day) * (1.25 if at.weekday() >= 5 else 1.0))
    shares = np.asarray(weights, dtype=np.float64)
    return np.asarray(shares / shares.sum())


def make_catalogue(scenario: Scenario) -> IntArray:
    """Draw the length in ms of each customer's channels and titles; a programme is an hour."""
    rng = scenario.rng("catalogue")
    shape = (len(CUSTOMERS), VOD_TITLES)
    short = rng.integers(4_000, 90_000, shape)
    long = rng.integers(120_000, 2_700_000, shape)
    titles = np.where(rng.random(shape) < _SHORT_TITLES, short, long)
    programmes = np.full((len(CUSTOMERS), LIVE_CHANNELS), 3_600_000)
    return np.concatenate([programmes, titles], axis=1)


def make_audience(scenario: Scenario) -> Audience:
    """Draw the users: about one for each 80 lines."""
    rng = scenario.rng("audience")
    count = max(40, scenario.lines // 80)
    isp = weighted(rng, [one.weight for one in ISPS], count)
    host = rng.integers(1, 8_190, count)
    is_v6 = rng.random(count) < 0.12
    addresses = []
    for index, (network, number, six) in enumerate(
        zip(isp.tolist(), host.tolist(), is_v6.tolist(), strict=True)
    ):
        plan = ISPS[network]
        # A /64 per household below the ISP's /36, the interface part from the host number.
        addresses.append(
            str(plan.v6.network_address + ((index % 65_536) << 64) + 0x2000 + number)
            if six
            else str(plan.v4.network_address + number)
        )
    return Audience(
        user_ids=[f"u{number:08d}" for number in rng.permutation(count).tolist()],
        addresses=addresses,
        isp=isp,
        device=weighted(rng, [one.weight for one in DEVICES], count),
        customer=weighted(rng, [one.weight for one in CUSTOMERS], count),
    )


def make_sessions(scenario: Scenario, cdn_rows: int, cloudfront_share: float) -> Sessions:
    """Draw sessions until their requests add up to exactly `cdn_rows` (the last one is cut)."""
    rng = scenario.rng("sessions")
    audience = make_audience(scenario)
    # A session has at least four requests, so this many always suffice.
    count = cdn_rows // 4 + 1
    user = rng.integers(0, len(audience.user_ids), count)
    content = _contents(rng, audience.customer[user])
    duration_ms = make_catalogue(scenario)[audience.customer[user], content]
    segment_ms = np.where(rng.random(count) < 0.25, 6_000, 4_000)
    rows = _rows_wanted(rng, content < LIVE_CHANNELS, duration_ms // segment_ms)
    count = int(np.searchsorted(np.cumsum(rows), cdn_rows)) + 1
    user, content, duration_ms = user[:count], content[:count], duration_ms[:count]
    segment_ms, rows = segment_ms[:count], rows[:count]
    rows[-1] -= int(rows.sum()) - cdn_rows
    isp = audience.isp[user]
    mbps = np.asarray([one.mbps for one in ISPS])[isp] * rng.lognormal(0.0, 0.45, count)
    is_switching = rng.random(count) < 0.03
    return Sessions(
        audience=audience,
        user=user,
        is_live=content < LIVE_CHANNELS,
        content=content,
        popularity=_popularity(content),
        duration_ms=duration_ms,
        format=(rng.random(count) < 0.4).astype(np.int8),
        segment_ms=segment_ms,
        top_rung=_top_rung(mbps, audience.device[user]),
        start_us=_starts(scenario, rng, rows, segment_ms),
        rows=rows,
        first_segment=(rng.random(count) * (duration_ms // segment_ms) * 0.5).astype(np.int64),
        cdn=_share_out(rows, cloudfront_share),
        switch_row=np.where(is_switching, rng.integers(3, 25, count), NEVER_SWITCHES),
        near_pop=_pops(isp, 0),
        far_pop=_pops(isp, 1),
        mbps=mbps,
        port=rng.integers(1024, 65_536, count),
        has_cmcd=rng.random(count) < 0.92,
        ids=_session_ids(rng, count),
    )


def _contents(rng: np.random.Generator, customer: IntArray) -> IntArray:
    """Draw a channel or a title for each session, the first ones most often."""
    live_share = np.asarray([one.live_share for one in CUSTOMERS])[customer]
    channel = weighted(rng, zipf_weights(LIVE_CHANNELS), customer.size)
    title = weighted(rng, zipf_weights(VOD_TITLES, 0.9), customer.size) + LIVE_CHANNELS
    return np.where(rng.random(customer.size) < live_share, channel, title)


def _popularity(content: IntArray) -> FloatArray:
    """Scale the rank of a channel or title inside its kind to 0..1, 0 for the most popular."""
    title = (content - LIVE_CHANNELS) / VOD_TITLES
    return np.where(content < LIVE_CHANNELS, content / LIVE_CHANNELS, title)


def _session_ids(rng: np.random.Generator, count: int) -> list[str]:
    """Draw session ids in the form of UUIDs."""
    texts = hex_strings(rng, count, 32)
    return [f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}" for h in texts]


def _rows_wanted(rng: np.random.Generator, is_live: BoolArray, segments: IntArray) -> IntArray:
    """Draw the number of requests: people leave at a constant rate, and where the title ends."""
    stay = np.where(
        is_live, rng.geometric(1 / 45, is_live.size), rng.geometric(1 / 32, is_live.size)
    )
    wanted = np.minimum(stay + 4, 400)
    return np.asarray(np.where(is_live, wanted, np.minimum(wanted, segments + 4)).astype(np.int64))


def _top_rung(mbps: FloatArray, device: IntArray) -> IntArray:
    """Choose the highest rung that needs at most a third of the line and fits the screen."""
    kbps = np.asarray([rung.kbps for rung in LADDER])
    affordable = np.searchsorted(kbps, mbps * 333, side="right") - 1
    screen = np.asarray([one.top_rung for one in DEVICES])[device]
    return np.asarray(np.clip(affordable, 0, screen))


def _share_out(rows: IntArray, cloudfront_share: float) -> IntArray:
    """Give each session to the CDN that is behind its share, so that small runs keep it too."""
    cdn = np.zeros(rows.size, dtype=np.int8)
    cloudfront = total = 0
    for index, size in enumerate(rows.tolist()):
        total += size
        if cloudfront + size / 2 > total * cloudfront_share:
            cdn[index] = CLOUDFLARE
        else:
            cloudfront += size
    return cdn


def _pops(isp: IntArray, choice: int) -> IntArray:
    """Return the nearest (0) or second nearest (1) PoP as an offset inside one CDN."""
    return np.asarray([NEAREST_POPS[one.country][choice] for one in ISPS], dtype=np.int8)[isp]


def _starts(
    scenario: Scenario, rng: np.random.Generator, rows: IntArray, segment_ms: IntArray
) -> IntArray:
    """Draw start instants that follow the rhythm and leave room to play before the run ends."""
    hour = weighted(rng, hour_weights(scenario.start, scenario.hours), rows.size)
    start = scenario.start_us + ((hour + rng.random(rows.size)) * 3_600e6).astype(np.int64)
    latest = scenario.end_us - (rows + 2) * segment_ms * 1_000
    room = np.maximum(latest - scenario.start_us, 1)
    # Sessions that would outlast the run move to a random earlier instant, not to one heap.
    moved = scenario.start_us + (rng.random(rows.size) * room).astype(np.int64)
    return np.where(start > latest, moved, start)
