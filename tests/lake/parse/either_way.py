"""A file parsed by the fast read and by the judge, and what both must agree on.

Belongs here: what property tests of parsing share. Does not: what is done to the bytes.
"""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, Phase, settings

from lake import formats
from lake.refused import RefusedError

#: one for each way of reading; the others share theirs with one of these and run when it is slow
OFTEN = ("cloudfront_v1", "cloudflare_logpush", "rec_events", "apache", "akamai_ds2", "fastly",
         "delimited_map")  # fmt: skip
FAMILIES = tuple(
    name if name in OFTEN else pytest.param(name, marks=pytest.mark.slow)
    for name, family in formats.FAMILIES.items()
    if family not in formats.COUNTER_FAMILIES  # judged line by line: test_counters.py
)
JSON = (
    "cloudflare_logpush", "cloudfront_v2", "akamai_ds2", "gcp_cdn", "azure_front_door",
    "rec_events",
    *(f.name for f in formats.FEED_FAMILIES if f.name != "cmcd_events"),
)  # fmt: skip
BOUNDED = settings(
    derandomize=True,
    max_examples=12,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


def is_strict(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def both_ways(parse, family: str, data: bytes):
    """Parse by the fast read and by the judge; give back both, or None for a refused file."""
    found = []
    for judged in (False, True):
        try:
            result = parse(family, data, judged=judged)
        except RefusedError as err:
            found.append(err.reason)
            continue
        result.check_accounts(data)
        found.append(result)
    if any(isinstance(f, str) for f in found):
        assert found[0] == found[1]
        return None
    return found


def assert_agreement(family: str, data: bytes, fast, judged) -> None:
    """Assert that the judge gives the same rows; JSON that is none may pass the reader alone."""
    lines = data.split(b"\n")
    strict = [
        row for row in fast.rows if family not in JSON or is_strict(lines[row["source_line"] - 1])
    ]
    assert strict == judged.rows
