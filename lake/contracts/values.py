"""Numbers, dates and names as a contract file may write them; each refuses what is not exact."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from lake.contracts.problems import BrokenRuleError

_MOST = Decimal(10) ** 9


def _exact(scale: int, most: Decimal = _MOST) -> Any:
    """Return a check of a number from 0 to below `most` with at most `scale` decimals."""

    def check(value: object) -> Decimal:
        if isinstance(value, Decimal):
            number = value
        elif isinstance(value, bool) or not isinstance(value, int | str):
            raise BrokenRuleError(
                f"{value!r} is a {type(value).__name__}",
                'a whole number or a quoted decimal such as "0.085"',
                "Put it in quotes: an unquoted decimal is read as a binary fraction.",
            )
        else:
            try:
                number = Decimal(value)
            except InvalidOperation:
                raise BrokenRuleError(f"{value!r}", "a decimal number", "Correct it.") from None
        if not number.is_finite() or number < 0 or number >= most:
            raise BrokenRuleError(
                f"{value!r}", f"a number from 0 to below {most:,f}", "Correct it."
            )
        if number != round(number, scale):
            raise BrokenRuleError(
                f"{value!r} is finer than 10^-{scale}", f"at most {scale} decimals", "Round it."
            )
        return number

    return check


def _number(scale: int, most: Decimal = _MOST) -> Any:
    schema = {"anyOf": [{"type": "integer", "minimum": 0},
                        {"type": "string", "pattern": r"^\d+(\.\d+)?$"}]}  # fmt: skip
    return (BeforeValidator(_exact(scale, most)), WithJsonSchema(schema))


Price = Annotated[Decimal, *_number(9)]
Edge = Annotated[Decimal, *_number(9)]
Rate = Annotated[Decimal, *_number(6)]
Amount = Annotated[Decimal, *_number(6, Decimal(10) ** 12)]
Percent = Annotated[Decimal, *_number(6, Decimal(1000))]
Factor = Annotated[Decimal, *_number(6, Decimal(100))]


def _month(value: object) -> dt.date:
    if isinstance(value, dt.datetime) or not isinstance(value, dt.date) or value.day != 1:
        raise BrokenRuleError(
            f"{value}",
            "the first day of a month, as 2026-01-01 (tiers count calendar months)",
            "Write that.",
        )
    return value


def _day(value: object) -> dt.date:
    if isinstance(value, dt.datetime) or not isinstance(value, dt.date):
        raise BrokenRuleError(f"{value!r}", "a date, as 2026-01-05", "Write that.")
    return value


def _instant(value: object) -> dt.datetime:
    if isinstance(value, dt.datetime):
        return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)
    if isinstance(value, dt.date):
        return dt.datetime(value.year, value.month, value.day, tzinfo=dt.UTC)
    raise BrokenRuleError(
        f"{value!r}", "a date or an instant, as 2026-01-05T10:00:00Z", "Write that."
    )


def _zone(value: str) -> str:
    if value not in available_timezones():
        raise BrokenRuleError(
            f"unknown time zone {value!r}",
            "a name of the IANA database, such as Asia/Shanghai or UTC",
            "Correct it; an offset such as +08:00 has no daylight saving rule.",
        )
    ZoneInfo(value)
    return value


def _currency(value: object) -> str:
    if not isinstance(value, str) or len(value) != 3 or not value.isascii() or not value.isupper():
        raise BrokenRuleError(
            f"{value!r}", "a currency code of ISO 4217, such as USD or CNY", "Write its code."
        )
    if value == "RMB":
        raise BrokenRuleError("'RMB'", "a currency code of ISO 4217", "Write CNY.")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise BrokenRuleError(f"{value!r}", "a text", "Write one.")
    if any(ord(c) < 32 or ord(c) == 127 for c in value) or len(value) > 200:
        raise BrokenRuleError(f"{value!r}", "one line of at most 200 characters", "Shorten it.")
    return value


_DATE = WithJsonSchema({"type": "string", "format": "date"})
Month = Annotated[dt.date, BeforeValidator(_month), _DATE]
Day = Annotated[dt.date, BeforeValidator(_day), _DATE]
Instant = Annotated[dt.datetime, BeforeValidator(_instant), WithJsonSchema({"type": "string"})]
Zone = Annotated[str, BeforeValidator(_text), AfterValidator(_zone)]
Currency = Annotated[str, BeforeValidator(_currency)]
Text = Annotated[str, BeforeValidator(_text)]
Names = Annotated[tuple[Text, ...], Field(min_length=1)]
