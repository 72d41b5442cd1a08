"""The values of small tables: amounts and instants, exactly or not at all.

Belongs here: one text at a time. Does not: which field it is of (lake/formats/tabular.py).
"""

from __future__ import annotations

import re
import zoneinfo
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation

_DECIMAL = re.compile(r"-?[0-9]{1,24}(\.[0-9]{1,30})?([eE]-[0-9]{1,2})?")
_SCALE = 12
_WIDE = Context(prec=80)  # more digits than the pattern lets through
#: also as BigQuery exports a time (a blank and UTC) and .NET prints one (seven decimals)
_ISO = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6}0{0,3})?)? ?(Z|UTC|[+-][0-9]{2}:?[0-9]{2})?)?"
)
_MONTH = re.compile(r"[0-9]{4}-[0-9]{2}")
_UNIX = re.compile(r"[0-9]{10}")
_US = re.compile(r"[0-9]{2}/[0-9]{2}/[0-9]{2}([0-9]{2})? [0-9]{2}:[0-9]{2}:[0-9]{2}")
_SHORT_YEAR = len("01/18/12 21:00:00")


class UnreadableError(Exception):
    """A value that is not of its kind; the text is the reason of the reject."""


def decimal_of(text: str, digits: int, round_to: int | None) -> str:
    """Return a decimal in plain digits; what 12 decimals cannot hold exactly is refused.

    round_to: decimals that the source has numbers rounded to, so that they can.

    An exponent is believed only where it is negative: small numbers are serialised so, while a
    positive one comes from a spreadsheet that has lost digits.
    """
    if not _DECIMAL.fullmatch(text):
        raise UnreadableError("wrong_type")
    if round_to is not None and Decimal(text).as_tuple().exponent < -round_to:  # type: ignore[operator]
        text = f"{Decimal(text).quantize(Decimal(1).scaleb(-round_to), ROUND_HALF_EVEN, _WIDE):f}"
    if "e" not in text and "E" not in text:
        whole, _, fraction = text.partition(".")
    else:
        try:
            whole, _, fraction = f"{Decimal(text):f}".partition(".")
        except InvalidOperation as err:  # pragma: no cover - the pattern leaves none
            raise UnreadableError("wrong_type") from err
    if len(whole.lstrip("-").lstrip("0")) > digits:
        raise UnreadableError("wrong_type")
    if len(fraction) > _SCALE:
        if fraction[_SCALE:].strip("0"):
            raise UnreadableError("wrong_type")
        fraction = fraction[:_SCALE]
    return f"{whole}.{fraction}" if fraction else whole


def instant_of(text: str, time_zone: str, *, is_us: bool) -> str:
    """Return an instant as ISO 8601 in UTC; raises UnreadableError. is_us: month, day, year."""
    try:
        if is_us:
            if not _US.fullmatch(text):
                raise UnreadableError("bad_time")
            form = "%m/%d/%y %H:%M:%S" if len(text) == _SHORT_YEAR else "%m/%d/%Y %H:%M:%S"
            found = datetime.strptime(text, form)  # noqa: DTZ007
        elif _UNIX.fullmatch(text):
            found = datetime.fromtimestamp(int(text), UTC)
        elif _MONTH.fullmatch(text):
            found = datetime.fromisoformat(f"{text}-01")
        elif _ISO.fullmatch(text):
            found = datetime.fromisoformat(text.replace("UTC", "Z").replace(" Z", "Z"))
        else:
            raise UnreadableError("bad_time")
        if found.tzinfo is None:
            found = _in_zone(found, time_zone)
        return found.astimezone(UTC).isoformat()
    except (ValueError, OverflowError, OSError) as err:
        raise UnreadableError("bad_time") from err


def _in_zone(local: datetime, time_zone: str) -> datetime:
    """Return the instant of a local time; one that occurs twice or never is refused."""
    zone = zoneinfo.ZoneInfo(time_zone)
    first, second = local.replace(tzinfo=zone), local.replace(tzinfo=zone, fold=1)
    if first.utcoffset() != second.utcoffset():
        raise UnreadableError("ambiguous_time")
    return first
