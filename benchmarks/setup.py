"""What every candidate of the ingest is set up with: lake, source, layout of the logs.

Belongs here: set-up that is not measured. Does not: what a candidate does.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.logs import Logs
    from lake.formats.base import Layout
    from lake.settings import LakeSettings
    from lake.source import Source

_EXAMPLE_SOURCES = Path(__file__).parents[1] / "docs/sources"
_HEAD_BYTES = 1 << 18


def import_what_runs() -> None:
    """Import what the libraries import on first use, so that it counts as set-up everywhere."""
    with suppress(ImportError):
        import pandas as pd  # noqa: F401  (by pyarrow, where it is installed)
    import pyarrow.dataset as ds  # noqa: F401
    import pyarrow.parquet as pq  # noqa: F401
    from pyiceberg.io import pyarrow as io  # noqa: F401


def settings_of(home: str) -> LakeSettings:
    """Return the settings of a lake of its own."""
    from lake.settings import load_settings

    return load_settings({}, Path(home))


def source_of(family: str) -> Source:
    """Return the source of a family: packaged with Weir, or an example of the docs."""
    from lake.settings import PACKAGED_SOURCES
    from lake.source import load_sources
    from simulator.families import CDN_FAMILIES

    name = CDN_FAMILIES[family].source if family in CDN_FAMILIES else family
    packaged = load_sources(PACKAGED_SOURCES)
    return packaged[name] if name in packaged else load_sources(_EXAMPLE_SOURCES)[name]


def source_and_layout(logs: Logs) -> tuple[Source, Layout]:
    """Return the source of a family, and the layout of its first file."""
    from isal import igzip

    from lake.formats import family_of

    source = source_of(logs.family)
    with igzip.open(logs.landing / min(logs.malformed)) as stream:
        head = stream.read(_HEAD_BYTES)
    return source, family_of(source.format).layout(head, source, None)


def keys_of(logs: Logs) -> tuple[str, ...]:
    """Return the keys of the first object of a log whose family reads whole lines."""
    from isal import igzip

    if logs.family != "fastly":
        return ()
    with igzip.open(logs.landing / min(logs.malformed)) as stream:
        first: bytes = stream.read(_HEAD_BYTES).split(b"\n")[0]
    return tuple(json.loads(first[first.index(b"{") :]))


def total_records(table: Any) -> int:
    """Return the rows of a table, as its snapshot says."""
    snapshot = table.refresh().current_snapshot()
    return int(snapshot.summary["total-records"]) if snapshot else 0
