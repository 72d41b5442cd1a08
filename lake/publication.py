"""How a vendor publishes what it counted: zone, rounding, when it is final, names of columns.

Belongs here: what a source file says under `published`. Does not: the tables (lake/counters) or
how a file becomes rows (lake/formats).
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

_DURATION = re.compile(r"^(\d+)(s|m|h|d)$")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

BytesMeaning = Literal["with_headers", "body", "with_network_overhead", "with_backend", "unstated"]


def _duration(value: object) -> object:
    if isinstance(value, str) and (found := _DURATION.match(value)):
        return timedelta(**{_UNITS[found[2]]: int(found[1])})
    if isinstance(value, timedelta):
        return value
    raise ValueError(
        f"expected a duration like 30s, 5m, 1h or 2d, found {value!r}; write number and unit"
    )


Duration = Annotated[timedelta, BeforeValidator(_duration)]


def _zone(name: str) -> str:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError) as err:
        raise ValueError(
            f"expected a time zone of the IANA database like UTC or Asia/Shanghai, found {name!r}"
        ) from err
    return name


class Published(BaseModel):
    """What the file itself does not say. Everything has a default; logs use none of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: zone of times that carry none; a local time that occurs twice or never is rejected
    time_zone: Annotated[str, AfterValidator(_zone)] = "UTC"
    #: length of a slot, where neither the family nor the file says it
    slot: Duration | None = None
    #: how long after its end the vendor still changes a slot
    final_after: Duration | None = None
    #: the numbers are whole multiples of these
    requests_unit: Annotated[int, Field(gt=0)] | None = None
    bytes_unit: Annotated[int, Field(gt=0)] | None = None
    #: what the contract says bytes are, where the vendor's documentation leaves it open
    bytes_meaning: BytesMeaning | None = None
    #: the vendor's account, where the file does not say it
    account: str | None = None
    #: who issues the invoice and in which currency, where the file does not say it
    issuer: str | None = None
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] | None = None
    #: amounts, prices and quantities with more decimals are rounded to these, half to even; else
    #: they are rejected, and so are floating point numbers that are no short decimal
    round_decimals: Annotated[int, Field(ge=0, le=12)] | None = None
    #: our name of a field -> its name in the file's header; for invoices, rosters, capacities
    columns: Mapping[str, str] = Field(default_factory=dict)
