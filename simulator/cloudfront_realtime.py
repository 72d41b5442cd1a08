"""Write requests as CloudFront real-time logs: tab-separated, in the order of FIELDS.

Belongs here: what a real-time log calls things and what it has beside a standard log. Does not
belong here: the values both have (simulator.cloudfront), files, delivery and sampling.
"""

from __future__ import annotations

from urllib.parse import unquote

from simulator.audience import Sessions
from simulator.cloudfront import FIELDS as STANDARD
from simulator.cloudfront import escape
from simulator.cloudfront_v2 import MORE_FIELDS, CloudFrontV2Writer
from simulator.traffic import Requests

_V2 = (*STANDARD, *MORE_FIELDS)
#: field of a real-time log -> of a standard one, where they differ
_STANDARD_NAMES = {
    "cs-host": "x-host-header",
    "x-host-header": "cs(Host)",
    "cs-user-agent": "cs(User-Agent)",
    "cs-referer": "cs(Referer)",
    "cs-cookie": "cs(Cookie)",
}
_CMCD = {
    "cmcd-encoded-bitrate": "br", "cmcd-buffer-length": "bl", "cmcd-buffer-starvation": "bs",
    "cmcd-content-id": "cid", "cmcd-object-duration": "d", "cmcd-deadline": "dl",
    "cmcd-measured-throughput": "mtp", "cmcd-next-object-request": "nor",
    "cmcd-next-range-request": "nrr", "cmcd-object-type": "ot", "cmcd-playback-rate": "pr",
    "cmcd-requested-maximum-throughput": "rtp", "cmcd-streaming-format": "sf",
    "cmcd-session-id": "sid", "cmcd-stream-type": "st", "cmcd-startup": "su",
    "cmcd-top-bitrate": "tb", "cmcd-version": "v",
}  # fmt: skip
_OF_THE_VENDOR = (
    "timestamp c-ip time-to-first-byte sc-status sc-bytes cs-method cs-protocol cs-host "
    "cs-uri-stem cs-bytes x-edge-location x-edge-request-id x-host-header time-taken "
    "cs-protocol-version c-ip-version cs-user-agent cs-referer cs-cookie cs-uri-query "
    "x-edge-response-result-type x-forwarded-for ssl-protocol ssl-cipher x-edge-result-type "
    "fle-encrypted-fields fle-status sc-content-type sc-content-len sc-range-start sc-range-end "
    "c-port x-edge-detailed-result-type c-country cs-accept-encoding cs-accept "
    "cache-behavior-path-pattern cs-headers cs-header-names cs-headers-count origin-fbl "
    "origin-lbl asn"
)
FIELDS = (*_OF_THE_VENDOR.split(), *_CMCD)


class CloudFrontRealtimeWriter:
    """Turns requests into lines."""

    def __init__(self, seed: int, sessions: Sessions) -> None:
        self._records = CloudFrontV2Writer(seed, sessions)

    def lines(self, rows: Requests) -> list[str]:
        """Return one line a request, in the order of the rows."""
        return [
            self._line(dict(zip(_V2, values, strict=True)), end_us)
            for values, end_us in zip(
                self._records.records(rows), rows.end_us.tolist(), strict=True
            )
        ]

    def _line(self, record: dict[str, str], end_us: int) -> str:
        ms = end_us // 1_000
        query = record["cs-uri-query"]
        own = {
            "timestamp": f"{ms // 1000}.{ms % 1000:03d}",
            "cs-uri-stem": record["cs-uri-stem"] + ("" if query == "-" else f"?{query}"),
            "c-ip-version": "IPv6" if ":" in record["c-ip"] else "IPv4",
            "cs-headers": f"Host:{record['x-host-header']}%0AAccept:*/*",
            "cs-header-names": "Host%0AAccept",
            "cs-headers-count": "2",
            **_cmcd_columns(query),
        }
        return "\t".join(
            own.get(name) or record.get(_STANDARD_NAMES.get(name, name), "-") for name in FIELDS
        )


def _cmcd_columns(query: str) -> dict[str, str]:
    """Return the columns that CloudFront makes of the CMCD in a query string as it is logged."""
    _, found, text = query.partition("CMCD=")
    if not found:
        return {}
    pairs = dict(p.partition("=")[::2] for p in unquote(unquote(text.partition("&")[0])).split(","))
    return {
        name: escape(pairs[key].strip('"')) or "true" for name, key in _CMCD.items() if key in pairs
    }
