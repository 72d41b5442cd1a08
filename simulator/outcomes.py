"""Codes for what is asked and how it ends, and the draws of endings, cache states and transfers.

Belongs here: which ending and cache state go together, by vendor. Does not belong here: what the
vendors call them (cloudfront, cloudflare), and who asks for what and when (traffic).
"""

from __future__ import annotations

import numpy as np

from simulator.arrays import FloatArray, IntArray, weighted
from simulator.audience import Sessions
from simulator.world import CLOUDFLARE, CLOUDFRONT

MASTER, PLAYLIST, INIT, VIDEO, AUDIO = range(5)
GET, HEAD, OPTIONS = range(3)
METHODS = ("GET", "HEAD", "OPTIONS")
# Normalised cache states.
HIT, STALE, REVALIDATED, SHIELD_HIT, MISS, BYPASS, ERROR, SYNTH, UNKNOWN = range(9)
# How a request ended. ABORTED: the client left while bytes flowed; GONE: before any byte did.
(
    OK,
    PARTIAL,
    NOT_MODIFIED,
    NOT_FOUND,
    FORBIDDEN,
    BAD_RANGE,
    SERVER_ERROR,
    BAD_GATEWAY,
    UNAVAILABLE,
    REDIRECT,
    GONE,
    ABORTED,
) = range(12)
_ENDINGS = (0, 0.03, 0.02, 0.004, 0.002, 0.0015, 0.001, 0.0015, 0.0015, 0.0015, 0.003, 0.006)
STATUS = np.asarray([200, 206, 304, 404, 403, 416, 500, 502, 503, 301, 0, 200], dtype=np.int32)


def draw_endings(
    rng: np.random.Generator, kind: IntArray, method: IntArray, cdn: IntArray
) -> IntArray:
    """Draw how each request ends, where that ending is possible for what was asked."""
    shares = np.asarray(_ENDINGS)
    shares[OK] = 1.0 - shares.sum()
    ending = weighted(rng, shares, kind.size).astype(np.int8)
    is_manifest = kind <= PLAYLIST
    ending[((ending == PARTIAL) | (ending == BAD_RANGE)) & is_manifest] = OK
    ending[((ending == NOT_MODIFIED) | (ending == REDIRECT)) & ~is_manifest] = OK
    ending[method != GET] = OK
    # CloudFront books a client that left during a tiny manifest as served: nothing was left.
    ending[(ending == ABORTED) & is_manifest & (cdn == CLOUDFRONT)] = OK
    return ending


def draw_cache_states(
    rng: np.random.Generator,
    sessions: Sessions,
    session: IntArray,
    *,
    cdn: IntArray,
    method: IntArray,
    ending: IntArray,
) -> IntArray:
    """Draw the normalised cache state: popular content hits, errors differ by vendor."""
    dice = rng.random(session.size)
    popular = 1.0 - sessions.popularity[session]
    hit = np.where(sessions.is_live[session], 0.93 + 0.05 * popular, 0.62 + 0.33 * popular)
    rest = (dice - hit) / (1.0 - hit)
    cache = np.full(session.size, HIT, dtype=np.int8)
    cache[rest > 0.0] = SHIELD_HIT
    cache[rest > 0.3] = MISS
    cache[(rest > 0.95) & (cdn == CLOUDFLARE)] = BYPASS
    cache[(dice < 0.012) & (cdn == CLOUDFLARE)] = STALE
    cache[(dice >= 0.012) & (dice < 0.03)] = REVALIDATED
    cache[ending == NOT_MODIFIED] = REVALIDATED
    is_error = (ending >= NOT_FOUND) & (ending <= UNAVAILABLE)
    is_origin_error = (ending >= SERVER_ERROR) & (ending <= UNAVAILABLE)
    on_cloudfront = cdn == CLOUDFRONT
    cache[is_error] = np.where(on_cloudfront, ERROR, UNKNOWN)[is_error]
    cache[is_origin_error & ~on_cloudfront] = MISS
    cache[ending == REDIRECT] = np.where(on_cloudfront, SYNTH, UNKNOWN)[ending == REDIRECT]
    cache[ending == GONE] = np.where(on_cloudfront, ERROR, UNKNOWN)[ending == GONE]
    # The detailed type of an aborted CloudFront request names the abort, not the shield.
    cache[(ending == ABORTED) & on_cloudfront & (cache == SHIELD_HIT)] = MISS
    cache[method == OPTIONS] = np.where(on_cloudfront, MISS, BYPASS)[method == OPTIONS]
    return cache


def draw_transfers(
    rng: np.random.Generator,
    body_size: IntArray,
    speed_kbps: FloatArray,
    *,
    ending: IntArray,
    method: IntArray,
    cache: IntArray,
) -> tuple[IntArray, IntArray, IntArray]:
    """Return bytes of body sent, time to first byte in ms and duration in us."""
    size = body_size.size
    share = np.where(ending == ABORTED, rng.random(size) * 0.95, 1.0)
    share = np.where(ending == PARTIAL, 0.25 + rng.random(size) * 0.5, share)
    body = (body_size * share).astype(np.int32)
    body[(ending == NOT_MODIFIED) | (ending == GONE) | (method != GET)] = 0
    is_page = ((ending >= NOT_FOUND) & (ending <= UNAVAILABLE)) | (ending == REDIRECT)
    body = np.where(is_page, 120 + body_size % 400, body).astype(np.int32)
    waits = np.asarray([14, 16, 60, 55, 170, 190, 120, 5, 12])[cache]
    ttfb_ms = (waits * rng.lognormal(0.0, 0.55, size)).astype(np.int32) + 1
    sending_us = body * 8_000.0 / speed_kbps * rng.uniform(0.8, 1.2, size)
    gone_us = rng.integers(0, 900_000, size)
    duration_us = ttfb_ms * 1_000 + np.where(ending == GONE, gone_us, sending_us + 150)
    return body, ttfb_ms, duration_us.astype(np.int64)
