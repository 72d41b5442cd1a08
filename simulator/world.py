"""The fixed world that traffic runs in: customers, networks, PoPs, devices, the bitrate ladder.

Belongs here: constants that no seed changes, and the address plan for enrichment. Does not belong
here: anything drawn at random. Addresses and AS numbers are those reserved for documentation and
benchmarks, so that no line points at a real network.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

CLOUDFRONT, CLOUDFLARE = 0, 1
CDNS = ("cloudfront", "cloudflare")


@dataclass(frozen=True)
class Customer:
    """A video service: `weight` is its share of sessions, `signs_vod` puts a token in its URLs."""

    slug: str
    live_host: str
    vod_host: str
    weight: float
    live_share: float
    signs_vod: bool


CUSTOMERS = (
    Customer("aurora", "live.aurora.example", "vod.aurora.example", 0.5, 0.6, signs_vod=False),
    Customer("borealis", "live.borealis.example", "vod.borealis.example", 0.3, 0.4, signs_vod=True),
    Customer("cascade", "live.cascade.example", "vod.cascade.example", 0.2, 0.3, signs_vod=False),
)


@dataclass(frozen=True)
class Distribution:
    """A CloudFront distribution, which serves all customers."""

    distribution_id: str
    domain: str


# Index 0 is VOD and 1 is live: `int(is_live)` picks one.
DISTRIBUTIONS = (
    Distribution("E2VODQ7ZB1M4KX", "d2weir8vod41.cloudfront.net"),
    Distribution("E1LIVE5T9W3RHC", "d1weir7live3.cloudfront.net"),
)


@dataclass(frozen=True)
class Isp:
    """An access network; clients get addresses from its prefixes, `mbps` is a typical line."""

    name: str
    asn: int
    country: str
    v4: IPv4Network
    v6: IPv6Network
    weight: float
    mbps: float


def _isp(rank: int, name: str, country: str, weight: float, mbps: float) -> Isp:
    """Place the network of one ISP in the ranges for benchmarks (v4) and documentation (v6)."""
    v4 = IPv4Network((int(IPv4Network("198.18.0.0/15").network_address) + (rank << 13), 19))
    v6 = IPv6Network((int(IPv6Network("2001:db8::/32").network_address) + (rank << 92), 36))
    return Isp(name, 64496 + rank, country, v4, v6, weight, mbps)


ISPS = (
    _isp(0, "Nordlicht Breitband", "DE", 0.17, 45.0),
    _isp(1, "Rheinfunk Mobil", "DE", 0.10, 18.0),
    _isp(2, "Polder Glasvezel", "NL", 0.09, 70.0),
    _isp(3, "Thames Fibre", "GB", 0.13, 40.0),
    _isp(4, "Loire Telecom", "FR", 0.11, 42.0),
    _isp(5, "Meseta Movil", "ES", 0.08, 22.0),
    _isp(6, "Prairie Cable", "US", 0.14, 55.0),
    _isp(7, "Bayline Wireless", "US", 0.07, 20.0),
    _isp(8, "Rio Banda Larga", "BR", 0.06, 15.0),
    _isp(9, "Hikari Net", "JP", 0.05, 80.0),
)


@dataclass(frozen=True)
class Pop:
    """A point of presence as its CDN names it; `colo_id` is Cloudflare's number, 0 elsewhere."""

    name: str
    colo_id: int


POPS = (
    Pop("FRA56-P3", 0),
    Pop("AMS58-P1", 0),
    Pop("LHR61-P2", 0),
    Pop("CDG50-P4", 0),
    Pop("MAD53-C1", 0),
    Pop("IAD89-P1", 0),
    Pop("SFO53-P2", 0),
    Pop("GRU3-P5", 0),
    Pop("NRT57-P2", 0),
    Pop("FRA", 29),
    Pop("AMS", 18),
    Pop("LHR", 22),
    Pop("CDG", 37),
    Pop("MAD", 54),
    Pop("IAD", 401),
    Pop("SJC", 5),
    Pop("GRU", 61),
    Pop("NRT", 17),
)
CLOUDFLARE_FIRST_POP = 9

# Nearest and second nearest PoP by country, as offsets inside one CDN's nine PoPs.
NEAREST_POPS = {
    "DE": (0, 1),
    "NL": (1, 0),
    "GB": (2, 3),
    "FR": (3, 2),
    "ES": (4, 3),
    "US": (5, 6),
    "BR": (7, 5),
    "JP": (8, 6),
}
# The PoP that the silent_producer incident mutes: busy enough to be missed, not the busiest.
SILENT_POP = 3
UPPER_TIERS = {"FRA": 29, "IAD": 401}


@dataclass(frozen=True)
class Device:
    """A player platform: `http` is an index of HTTP_VERSIONS, `top_rung` one of LADDER."""

    kind: str
    user_agent: str
    weight: float
    http: int
    top_rung: int
    is_web: bool


_WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"
DEVICES = (
    Device(
        "web",
        f"{_WINDOWS} AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
        0.22,
        2,
        4,
        is_web=True,
    ),
    Device("web", f"{_WINDOWS} Gecko/20100101 Firefox/145.0", 0.08, 1, 4, is_web=True),
    Device(
        "web",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"
        " Version/19.1 Safari/605.1.15",
        0.10,
        1,
        4,
        is_web=True,
    ),
    Device(
        "ios",
        "AppleCoreMedia/1.0.0.23B85 (iPhone; U; CPU OS 19_1 like Mac OS X; en_us)",
        0.20,
        1,
        3,
        is_web=False,
    ),
    Device(
        "android",
        "ExamplePlayer/5.2 (Linux; Android 16; Pixel 10) AndroidXMedia3/1.9.0",
        0.22,
        2,
        3,
        is_web=False,
    ),
    Device(
        "tv",
        'Mozilla/5.0 (SMART-TV; Linux; Tizen 9.0; Build="T-9.0") TV Safari/538.1',
        0.12,
        0,
        5,
        is_web=False,
    ),
    Device("tv", "Roku/DVP-14.5 (14.5.4.5934)", 0.06, 0, 5, is_web=False),
)
# Version as CloudFront and as Cloudflare write it.
HTTP_VERSIONS = (("HTTP/1.1", "HTTP/1.1"), ("HTTP/2.0", "HTTP/2"), ("HTTP/3.0", "HTTP/3"))


@dataclass(frozen=True)
class Rung:
    """One step of the bitrate ladder."""

    name: str
    kbps: int


LADDER = (
    Rung("360p", 1000),
    Rung("432p", 1800),
    Rung("540p", 3000),
    Rung("720p", 4800),
    Rung("1080p", 7200),
    Rung("2160p", 10600),
)
AUDIO_KBPS = 128
LIVE_CHANNELS = 10
VOD_TITLES = 300
PRODUCERS = ("feed-a", "feed-b", "feed-c")
# The producer that the silent_producer incident mutes.
SILENT_PRODUCER = 1
