"""Log formats: one file a family, and the registry that finds a family by its name.

A family is a pure description: which raw columns a file has, how one suspicious line is judged,
and which SQL turns raw columns into the canonical record. It knows nothing of where it runs.
"""

from __future__ import annotations

from lake.formats.akamai import AkamaiDataStream2
from lake.formats.akamai_structured import AkamaiStructured
from lake.formats.akamai_usage import AkamaiUsage
from lake.formats.apache import Apache, Varnish
from lake.formats.assignments import ExperimentAssignments
from lake.formats.auto import Auto
from lake.formats.azure import AzureFrontDoor
from lake.formats.base import Family
from lake.formats.beacons import PlayerBeacons
from lake.formats.cloudflare import CloudflareLogpush
from lake.formats.cloudflare_usage import CloudflareUsage
from lake.formats.cloudfront import CloudFrontV1
from lake.formats.cloudfront_realtime import CloudFrontRealtime
from lake.formats.cloudfront_usage import CloudFrontUsage
from lake.formats.cloudfront_v2 import CloudFrontV2
from lake.formats.cmcd_events import CmcdEvents
from lake.formats.delimited import DelimitedMap
from lake.formats.entities import Creators, Items
from lake.formats.fastly import Fastly
from lake.formats.fastly_usage import FastlyUsage
from lake.formats.gcp import GoogleCdn
from lake.formats.invoices import FocusInvoice, Invoice
from lake.formats.json_map import JsonMap
from lake.formats.nginx import Nginx
from lake.formats.rec_events import RecEvents
from lake.formats.rosters import Capacity, ProducerRoster
from lake.formats.squid import Squid, TrafficServer
from lake.formats.web_json import ApacheJson, NginxJson

#: the format of a source whose files may be of any CDN family: each is looked at
AUTO = Auto.name
_AUTO = Auto()
#: what vendors count themselves; every line of theirs is judged, see lake/formats/tabular.py
COUNTER_FAMILIES: tuple[Family, ...] = (
    CloudflareUsage(),
    FastlyUsage(),
    AkamaiUsage(),
    CloudFrontUsage(),
    Invoice(),
    FocusInvoice(),
    ProducerRoster(),
    Capacity(),
)
#: what players and recommendation say besides: see lake/feeds.py
FEED_FAMILIES: tuple[Family, ...] = (
    PlayerBeacons(),
    CmcdEvents(),
    ExperimentAssignments(),
    Items(),
    Creators(),
)
FAMILIES: dict[str, Family] = {
    f.name: f
    for f in (
        CloudFrontV1(),
        CloudFrontV2(),
        CloudFrontRealtime(),
        CloudflareLogpush(),
        Fastly(),
        JsonMap(),
        DelimitedMap(),
        AkamaiDataStream2(),
        AkamaiStructured(),
        GoogleCdn(),
        AzureFrontDoor(),
        RecEvents(),
        Nginx(),
        NginxJson(),
        Apache(),
        ApacheJson(),
        Varnish(),
        Squid(),
        TrafficServer(),
        *FEED_FAMILIES,
        *COUNTER_FAMILIES,
    )
}


def family_of(name: str) -> Family:
    """Return the family of that name; raises KeyError with the known names."""
    if name == AUTO:
        return _AUTO
    try:
        return FAMILIES[name]
    except KeyError:
        known = ", ".join(sorted(FAMILIES))
        raise KeyError(f"format {name!r} is not known; expected one of {known}") from None
