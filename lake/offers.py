"""What landing offers an ingest: new object versions, oldest first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lake.landing import LandedObject, Landing
from lake.ledger import Ledger
from lake.source import Source


def new_objects(
    landing: Landing,
    sources: Iterable[Source],
    ledger: Ledger,
    hinted: Sequence[str] | None = None,
) -> list[tuple[Source, LandedObject]]:
    """Return what the ledger does not know, oldest first.

    hinted: keys to look up instead of listing landing; one that is not there gives nothing.
    """
    found = {
        o.delivery_id(source.name): (source, o)
        for source in sources
        for o in _offered(landing, source, hinted)
    }
    new = [found[i] for i in ledger.unknown(list(found))]
    return sorted(new, key=lambda pair: (pair[1].last_modified, pair[1].key))


def _offered(
    landing: Landing, source: Source, hinted: Sequence[str] | None
) -> Iterable[LandedObject]:
    prefix, suffix = source.landing.prefix, source.landing.suffix
    if hinted is None:
        return landing.list(prefix, suffix)
    keys = [k for k in hinted if k.startswith(prefix) and k.endswith(suffix)]
    return [o for k in keys if (o := landing.find(k)) is not None]
