"""Log formats: one file a family, and the registry that finds a family by its name.

A family is a pure description: which raw columns a file has, how one suspicious line is judged,
and which SQL turns raw columns into the canonical record. It knows nothing of where it runs.
"""

from __future__ import annotations

from lake.formats.auto import Auto
from lake.formats.base import Family
from lake.formats.cloudflare import CloudflareLogpush
from lake.formats.cloudfront import CloudFrontV1
from lake.formats.fastly import Fastly
from lake.formats.json_map import JsonMap
from lake.formats.rec_events import RecEvents
from lake.formats.web_json import ApacheJson, NginxJson

#: the format of a source whose files may be of any CDN family: each is looked at
AUTO = Auto.name
_AUTO = Auto()
FAMILIES: dict[str, Family] = {
    f.name: f
    for f in (
        CloudFrontV1(),
        CloudflareLogpush(),
        Fastly(),
        NginxJson(),
        ApacheJson(),
        JsonMap(),
        RecEvents(),
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
