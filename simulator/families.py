"""The CDN families that the simulator can write: whose words, which files, under which names.

Belongs here: one entry a family, and how a family cuts requests into files. Does not belong here:
what a line looks like (the writers), the files of a run and its incidents (files, board).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

import numpy as np

from simulator.akamai import AkamaiStructuredWriter, AkamaiWriter
from simulator.arrays import IntArray
from simulator.audience import Sessions
from simulator.azure import AzureWriter
from simulator.cloudflare import CloudflareWriter
from simulator.cloudfront import HEADER, CloudFrontWriter
from simulator.cloudfront_realtime import CloudFrontRealtimeWriter
from simulator.cloudfront_v2 import CloudFrontV2Writer
from simulator.combined import ApacheWriter, NginxWriter
from simulator.delimited import HEADER as DELIMITED_HEADER
from simulator.delimited import DelimitedWriter
from simulator.fastly import FastlyWriter
from simulator.files import cloudflare_key, cloudfront_key, own_key, pack, unique_name
from simulator.gcp import GcpWriter
from simulator.scenario import Scenario
from simulator.squid import SquidWriter, TrafficServerWriter
from simulator.traffic import Requests
from simulator.varnish import VarnishWriter
from simulator.world import CLOUDFLARE, CLOUDFLARE_FIRST_POP, CLOUDFRONT, DISTRIBUTIONS

_HOUR_US = 3_600_000_000


class Writer(Protocol):
    """Turns requests into lines of one vendor."""

    def __init__(self, seed: int, sessions: Sessions) -> None: ...

    def lines(self, rows: Requests, /) -> list[str]:
        """Return one line a request, in the order of the rows."""
        ...


class Cut(StrEnum):
    """What a file of a family holds."""

    #: requests that ended one after the other
    TIME = "time"
    #: requests that ended within one hour, in that order
    ENDED = "ended"
    #: requests that began within one hour, in the order of their ends
    BEGAN = "began"
    #: requests of one distribution that ended within one hour, in no order
    DISTRIBUTION = "distribution"


@dataclass(frozen=True)
class Place:
    """Which file it is: a half-open period, the distribution if files have one, a number in it."""

    start: datetime
    end: datetime
    group: str
    number: int


@dataclass(frozen=True)
class CdnFamily:
    """One family.

    source: the name of its example (lake/sources, docs/sources), whose names of files `key` keeps.
    cdn: whose PoPs its requests go to. marks_children: whether it can tell a request that another
    caused from a viewer's; a family that cannot is given none. file: bytes of a file that is no
    text.
    """

    name: str
    format: str
    source: str
    writer: type[Writer]
    key: Callable[[Scenario, Place], str]
    cdn: int = CLOUDFLARE
    cut: Cut = Cut.ENDED
    header: tuple[str, ...] = ()
    marks_children: bool = False
    file: Callable[[Any, Requests], bytes] | None = None

    def data(self, writer: Writer, rows: Requests) -> bytes:
        """Return a file of the rows."""
        if self.file is not None:
            return self.file(writer, rows)
        return pack([line.encode() for line in (*self.header, *writer.lines(rows))])


def _v2_key(folder: str, partition: str, end: str) -> Callable[[Scenario, Place], str]:
    """Name files below partitions, whose names strftime fills in."""

    def key(scenario: Scenario, at: Place) -> str:
        unique = unique_name(scenario, at.group, at.start, at.number)
        name = f"{at.group}.{at.start:%Y-%m-%d-%H}.{unique}.{end}"
        place = f"{folder}/AWSLogs/123456789012/CloudFront"
        return f"{place}/{at.start.strftime(partition.format(at.group))}/{name}"

    return key


def _own(name: str) -> Callable[[Scenario, Place], str]:
    return lambda _, at: own_key(name, f"edge-{at.number + 1}", at.start)


def _akamai_key(name: str) -> Callable[[Scenario, Place], str]:
    return lambda _, at: f"{name}/{at.start:%Y/%m/%d/%H}/ak-{at.number:05d}-ds.gz"


_AZURE = "insights-logs-frontdooraccesslog/resourceId=/PROFILES"
_ENTRIES = (
    CdnFamily(
        "cloudflare", "cloudflare_logpush", "cloudflare", CloudflareWriter,
        lambda scenario, at: cloudflare_key(scenario, at.start, at.end, at.number),
        cut=Cut.TIME, marks_children=True,
    ),
    CdnFamily(
        "cloudfront", "cloudfront_v1", "cloudfront", CloudFrontWriter,
        lambda scenario, at: cloudfront_key(scenario, at.group, at.start, at.number),
        cdn=CLOUDFRONT, cut=Cut.DISTRIBUTION, header=HEADER,
    ),
    CdnFamily(
        "cloudfront_v2", "cloudfront_v2", "cloudfront_v2_json", CloudFrontV2Writer,
        _v2_key("cloudfront_json", "DistributionId={}/year=%Y/month=%m/day=%d/hour=%H", "gz"),
        cdn=CLOUDFRONT, cut=Cut.DISTRIBUTION,
    ),
    CdnFamily(
        "cloudfront_v2_parquet", "cloudfront_v2", "cloudfront_v2_parquet", CloudFrontV2Writer,
        _v2_key("cloudfront_parquet", "{}/%Y/%m/%d/%H", "parquet"),
        cdn=CLOUDFRONT, cut=Cut.DISTRIBUTION, file=CloudFrontV2Writer.parquet,
    ),
    CdnFamily(
        "cloudfront_realtime", "cloudfront_realtime", "cloudfront_realtime",
        CloudFrontRealtimeWriter,
        lambda _, at: f"realtime/cloudfront/{at.start:%Y/%m/%d/%H}/weir-{at.number:05d}.gz",
        cdn=CLOUDFRONT,
    ),
    CdnFamily(
        "akamai", "akamai_ds2", "akamai", AkamaiWriter, _akamai_key("akamai"),
        marks_children=True,
    ),
    CdnFamily(
        "akamai_structured", "akamai_ds2_structured", "akamai_structured",
        AkamaiStructuredWriter, _akamai_key("akamai_structured"), marks_children=True,
    ),
    CdnFamily(
        "fastly", "fastly", "fastly", FastlyWriter,
        lambda _, at: f"fastly/{at.start:%Y-%m-%dT%H-00-00}.000-{at.number:020d}.log.gz",
        marks_children=True,
    ),
    CdnFamily(
        "gcp", "gcp_cdn", "gcp", GcpWriter,
        lambda _, at: f"gcp/requests/{at.start:%Y/%m/%d/%H}:00:00_{at.start:%H}:59:59_"
        f"S{at.number}.json.gz",
        cut=Cut.BEGAN, marks_children=True,
    ),
    CdnFamily(
        "azure", "azure_front_door", "azure", AzureWriter,
        lambda _, at: f"{_AZURE}/P{at.number}/{at.start:y=%Y/m=%m/d=%d/h=%H}/m=00/PT1H.json.gz",
        marks_children=True,
    ),
    CdnFamily(
        "delimited", "delimited_map", "delimited", DelimitedWriter, _own("nimbus"),
        header=DELIMITED_HEADER, marks_children=True,
    ),
    CdnFamily("nginx", "nginx", "nginx", NginxWriter, _own("nginx")),
    CdnFamily("apache", "apache", "apache", ApacheWriter, _own("apache"), cut=Cut.BEGAN),
    CdnFamily(
        "varnishncsa", "varnishncsa", "varnishncsa", VarnishWriter, _own("varnishncsa"),
        cut=Cut.BEGAN,
    ),
    CdnFamily("squid", "squid", "squid", SquidWriter, _own("squid")),
    CdnFamily(
        "ats_squid", "ats_squid", "ats_squid", TrafficServerWriter, _own("ats_squid"),
        cut=Cut.BEGAN,
    ),
)  # fmt: skip
#: name -> family
CDN_FAMILIES = {one.name: one for one in _ENTRIES}


def as_served_by(family: CdnFamily, rows: Requests) -> Requests:
    """Return the requests as if the PoPs of the family's vendor in the same cities had them."""
    pop = rows.pop % CLOUDFLARE_FIRST_POP + family.cdn * CLOUDFLARE_FIRST_POP
    return replace(rows, pop=pop, cdn=np.full_like(rows.cdn, family.cdn))


def cut_files(
    family: CdnFamily,
    scenario: Scenario,
    sessions: Sessions,
    requests: Requests,
    rows: IntArray,
    *,
    lines_per_file: int,
) -> Iterator[tuple[str, IntArray]]:
    """Yield the name and the rows of each file; files are about equal where one would be long."""
    if family.cut is Cut.DISTRIBUTION:
        rows = scenario.rng("disorder").permutation(rows)
    else:
        rows = rows[np.argsort(requests.end_us[rows], kind="stable")]
    if family.cut is Cut.TIME:
        for number, part in enumerate(_even(rows, lines_per_file)):
            ends = (requests.end_us[part] - scenario.start_us) // 1_000_000
            start, end = (scenario.start + timedelta(seconds=int(s)) for s in (ends[0], ends[-1]))
            place = Place(start, end + timedelta(seconds=1), "", number)
            yield family.key(scenario, place), part
        return
    at_us = requests.end_us - (requests.duration_us if family.cut is Cut.BEGAN else 0)
    hour = (at_us[rows] - scenario.start_us) // _HOUR_US
    is_live = sessions.is_live[requests.session[rows]]
    stream = hour * 2 + (is_live if family.cut is Cut.DISTRIBUTION else 0)
    for one in np.unique(stream).tolist():
        start = scenario.start + timedelta(hours=one // 2)
        for number, part in enumerate(_even(rows[stream == one], lines_per_file)):
            group = DISTRIBUTIONS[one % 2].distribution_id
            place = Place(start, start + timedelta(hours=1), group, number)
            yield family.key(scenario, place), part


def _even(rows: IntArray, lines_per_file: int) -> Iterator[IntArray]:
    """Cut rows into about equal parts of about so many lines."""
    if rows.size:
        yield from np.array_split(rows, max(1, round(rows.size / lines_per_file)))
