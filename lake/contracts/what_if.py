"""What a contract's usage would cost under the terms of every other one: more rows for rating.

Belongs here: contracts that nobody signed, as rows beside those on file, so that the same SQL rates
them. Does not: arithmetic, nor what is compared (models/marts/billing/what_ifs).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from lake.contracts.folder import Governed
from lake.contracts.rows import TABLES, Row, rows_of

_ALWAYS = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_FRAME = tuple(TABLES["price_contracts"])
#: what says whose usage it is; all else are terms
_SCOPE = ("vendor", "valid_from", "valid_to", "is_rest")


def with_what_ifs(contracts: Sequence[Governed]) -> dict[str, list[Row]]:
    """Return the rows of contracts, and of each one's terms for the usage of each (itself too).

    A pair counts while both versions are known. Terms are prices, components, regions, rounding,
    overhead, currency and the billing zone; vendor, customers and months are those of the usage.
    """
    rows = rows_of(contracts)
    for used in contracts:
        for terms in contracts:
            for name, more in _rows(used, terms).items():
                rows[name] += more
    return rows


def _rows(used: Governed, terms: Governed) -> dict[str, list[Row]]:
    known_from = max(g.contract.known_from or _ALWAYS for g in (used, terms))
    known_to = min((g.known_to for g in (used, terms) if g.known_to is not None), default=None)
    if known_to is not None and known_to <= known_from:
        return {}
    of_terms, of_usage = rows_of([terms]), rows_of([used])
    (theirs,), (ours,) = (
        [dict(zip(_FRAME, row, strict=True)) for row in rows["price_contracts"]]
        for rows in (of_terms, of_usage)
    )
    key = f"{terms.contract.key} for {used.contract.key}"
    frame = theirs | {name: ours[name] for name in _SCOPE}
    frame |= {"known_from": known_from, "known_to": known_to, "stands_for": used.contract.key}
    rows = {name: [(key, *row[1:]) for row in found] for name, found in of_terms.items()}
    rows["price_contract_customers"] = [
        (key, *row[1:]) for row in of_usage["price_contract_customers"]
    ]
    rows["price_contracts"] = [tuple((frame | {"contract_key": key}).values())]
    return rows
