"""weir inspect on every real log: found out by itself, with the counts of its README."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from .test_cli import weir  # noqa: F401 (a fixture)

DATA = Path(__file__).parents[2].parent / "shared/data/cdn"
#: file -> format, lines, accepted, rejected, header
FILES = {
    "akamai/akamai_ds2_video.shared.ndjson": ("akamai_ds2", 329, 329, 0, 0),
    # combined is the same in Apache and nginx, but for a hyphen where no bytes were sent
    "apache/apache_logs": ("apache", 10_000, 9_999, 1, 0),
    "cloudflare/logfile_cloudflare.json": ("cloudflare_logpush", 1, 1, 0, 0),
    "cloudfront/aws_doc_examples.tsv": ("cloudfront_v1", 6, 6, 0, 0),
    "cloudfront/basic.log": ("cloudfront_v1", 22, 20, 0, 2),
    "cloudfront/basic.log.gz": ("cloudfront_v1", 22, 20, 0, 2),
    "fastly/basic.log": ("fastly", 23, 23, 0, 0),
    "fastly/basic.log.zst": ("fastly", 23, 23, 0, 0),
    "fastly/full-info.log": ("fastly", 20, 20, 0, 0),
    "nginx/logfile_shop_access_log.0": ("nginx", 1_000, 1_000, 0, 0),
}


@pytest.mark.skipif(not DATA.is_dir(), reason="the sample files are not here")
def test_every_real_file_is_looked_at() -> None:
    found = {p.relative_to(DATA).as_posix() for p in DATA.rglob("*") if p.is_file()}
    assert found == FILES.keys()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.skipif(not DATA.is_dir(), reason="the sample files are not here")
def test_a_real_file_is_found_out_and_read(name: str, weir: Callable[..., Result]) -> None:  # noqa: F811
    result = weir("inspect", "--json", DATA / name)
    said = [json.loads(line) for line in result.stdout.splitlines()]
    summary = said[-1]["summary"]
    counts = tuple(summary[k] for k in ("lines", "accepted", "rejected", "header"))
    assert (result.exit_code, summary["format"], *counts) == (0, *FILES[name])
    records = [one["record"] for one in said if "record" in one]
    assert len(records) == summary["accepted"]
    assert all(r["event_time"] and r["path"].startswith("/") for r in records)
