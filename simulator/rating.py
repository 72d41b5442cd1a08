"""The bills that follow from usage, exact throughout: the oracle.

Belongs here: every rule of money that the truth ledger needs, reckoned the long way (all samples of
a month, zeros too, sorted and counted off; quantities as fractions, amounts as decimals). It shares
no code with the pipeline: it would share its mistakes. Does not belong here: what a contract says
(terms), how contract files are read (tariffs), speed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor
from zoneinfo import ZoneInfo

from simulator.terms import ZERO, Charge, Tariff

_SLOT = timedelta(minutes=5)
_ROUND: Mapping[str, Callable[[Fraction], int]] = {
    "half_up": lambda x: floor(x + Fraction(1, 2)),
    "half_even": round,
    "up": ceil,
    "down": floor,
    "exact": lambda _: 0,
}


@dataclass(frozen=True)
class Usage:
    """What was delivered in a slot."""

    slot_start: datetime
    scope: str
    bytes: int
    requests: int = 0
    bytes_in: int = 0
    region: str = "other"
    scheme: str = "other"


@dataclass(frozen=True)
class BillLine:
    """One line: the component's number from 1, what it is, and its amount."""

    component_no: int
    item: str
    scope: str
    day: date | None
    tier_no: int | None
    quantity: Fraction | None
    price: Decimal | None
    amount: Decimal


@dataclass(frozen=True)
class Bill:
    """What one contract costs in one month; the total is the sum of the rounded lines."""

    contract_id: str
    vendor: str
    currency: str
    month: date
    lines: tuple[BillLine, ...]

    @property
    def total(self) -> Decimal:
        """Return the sum of the lines."""
        return sum((line.amount for line in self.lines), Decimal("0.00"))


def rate(tariff: Tariff, month: date, usage: Iterable[Usage]) -> Bill:
    """Rate a month in the tariff's zone; usage of other months is left aside."""
    lines = tuple(_Reckoning(tariff, month, list(usage)).lines())
    return Bill(tariff.contract_id, tariff.vendor, tariff.currency, month, lines)


def month_after(month: date) -> date:
    """Return the first day of the next month."""
    return (month.replace(day=1) + timedelta(days=32)).replace(day=1)


def days_of(month: date) -> list[date]:
    """Return the days of a month."""
    days = [month]
    while (following := days[-1] + timedelta(days=1)).month == month.month:
        days.append(following)
    return days


def slots_of(day: date, zone: str) -> list[datetime]:
    """Return the 5-minute slots of a local day, as UTC instants: 276 to 300 where clocks change."""
    at = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    following = day + timedelta(days=1)
    end = datetime(following.year, following.month, following.day, tzinfo=ZoneInfo(zone))
    slots = []
    while at < end.astimezone(UTC):
        slots.append(at)
        at += _SLOT
    return slots


class _Reckoning:
    """One bill in the making."""

    def __init__(self, tariff: Tariff, month: date, usage: Sequence[Usage]) -> None:
        self.tariff = tariff
        self.month = month
        self.day_slots = {day: slots_of(day, tariff.zone) for day in days_of(month)}
        self.day_of = {slot: day for day, slots in self.day_slots.items() for slot in slots}
        self.usage = [u for u in usage if u.slot_start in self.day_of]

    def lines(self) -> Iterator[BillLine]:
        total = ZERO
        for step in (self._usage_lines, self._fees):
            for line in step():
                total += line.amount
                yield line
        for line in self._commit(total):
            total += line.amount
            yield line
        for line in self._minimum(total):
            total += line.amount
            yield line
        left = total
        for number, charge in self._of("credit"):
            share = Fraction(total) * Fraction(charge.percent or ZERO) / 100
            wanted = self._round(share if charge.amount is None else Fraction(charge.amount))
            taken = min(wanted, left)
            left -= taken
            if taken:
                yield BillLine(number, "credit", "", None, None, None, None, -taken)
        for number, charge in self._of("tax"):
            tax = self._round(Fraction(left) * Fraction(charge.percent or ZERO) / 100)
            yield BillLine(number, "tax", "", None, None, None, None, tax)

    def _round(self, amount: Fraction) -> Decimal:
        minors = _ROUND[self.tariff.mode](amount * 10**self.tariff.digits)
        return Decimal(minors).scaleb(-self.tariff.digits)

    def _of(self, kind: str) -> list[tuple[int, Charge]]:
        return [
            (number, charge)
            for number, charge in enumerate(self.tariff.charges, 1)
            if charge.kind == kind
            and (charge.first_month or date.min) <= self.month <= (charge.last_month or date.max)
        ]

    def _fees(self) -> Iterator[BillLine]:
        for number, charge in self._of("fee"):
            amount = self._round(Fraction(charge.amount or ZERO))
            yield BillLine(number, "fee", "", None, None, None, None, amount)

    def _commit(self, total: Decimal) -> Iterator[BillLine]:
        for number, charge in self._of("commit"):
            committed = self._round(Fraction(charge.amount or ZERO))
            if total < committed:
                item, amount = "shortfall", committed - total
            else:
                item = "surcharge"
                amount = self._round(Fraction(total - committed) * Fraction(charge.multiplier - 1))
            if amount:
                yield BillLine(number, item, "", None, None, None, None, amount)

    def _minimum(self, total: Decimal) -> Iterator[BillLine]:
        for number, charge in self._of("minimum"):
            least = self._round(Fraction(charge.amount or ZERO))
            if total < least:
                yield BillLine(number, "minimum", "", None, None, None, None, least - total)

    def _usage_lines(self) -> Iterator[BillLine]:
        for number, charge in enumerate(self.tariff.charges, 1):
            if not charge.tiers:
                continue
            mine = [u for u in self.usage if self._prices(charge, u)]
            for scope in sorted({u.scope for u in mine}) if charge.is_per_scope else [""]:
                rows = [u for u in mine if not charge.is_per_scope or u.scope == scope]
                for day, quantity, share in self._quantities(charge, rows):
                    for line in self._tier_lines(charge, quantity, share):
                        yield BillLine(number, line[0], scope, day, *line[1:])

    def _prices(self, charge: Charge, usage: Usage) -> bool:
        """Tell whether a component prices a row: by its own parts, or as the rest."""
        is_early = self.day_of[usage.slot_start] < self.tariff.activated_on
        if is_early and charge.valid_days == "activation":
            return False
        is_requests = charge.kind == "requests"
        part = usage.scheme if is_requests else usage.region
        if charge.parts is not None:
            return part in charge.parts
        others = [c.parts for c in self.tariff.charges
                  if c.tiers and (c.kind == "requests") == is_requests and c.parts]  # fmt: skip
        return not any(part in parts for parts in others)

    def _quantities(
        self, charge: Charge, rows: Sequence[Usage]
    ) -> Iterator[tuple[date | None, Fraction, Fraction]]:
        """Return (day, quantity in the unit of the price, share of the month)."""
        factor = Fraction(self.tariff.factor)
        if charge.kind == "requests":
            packages = Fraction(sum(u.requests for u in rows)) / Fraction(charge.package)
            yield None, self._whole(charge, packages), Fraction(1)
        elif charge.kind.startswith("per_gb"):
            yield None, sum(u.bytes for u in rows) * factor / self.tariff.gigabyte, Fraction(1)
        else:
            for day, value, share in self._statistic(charge, rows):
                mbps = value * factor * 8 / (300 * self.tariff.megabit)
                yield day, self._whole(charge, max(mbps, Fraction(charge.minimum))), share

    @staticmethod
    def _whole(charge: Charge, quantity: Fraction) -> Fraction:
        if charge.rounding == "exact":
            return quantity
        return Fraction(_ROUND[charge.rounding](quantity))

    def _statistic(
        self, charge: Charge, rows: Sequence[Usage]
    ) -> Iterator[tuple[date | None, Fraction, Fraction]]:
        out: dict[datetime, int] = {}
        into: dict[datetime, int] = {}
        for u in rows:
            out[u.slot_start] = out.get(u.slot_start, 0) + u.bytes
            into[u.slot_start] = into.get(u.slot_start, 0) + u.bytes_in

        def sample(slot: datetime) -> int:
            up, down = out.get(slot, 0), into.get(slot, 0)
            return {"egress": up, "max": max(up, down), "sum": up + down}[charge.direction]

        days = {day: [sample(s) for s in slots] for day, slots in self.day_slots.items()}
        if charge.valid_days == "traffic":
            days = {day: values for day, values in days.items() if any(values)}
        if charge.valid_days == "activation":
            days = {d: values for d, values in days.items() if d >= self.tariff.activated_on}
        share = Fraction(1)
        if charge.valid_days != "month":
            share = Fraction(len(days), len(self.day_slots))
        if charge.kind == "p95":
            yield None, Fraction(_top_5_percent([v for one in days.values() for v in one])), share
            return
        daily = {day: _daily(charge.kind, values) for day, values in days.items()}
        best = sorted(daily.values(), reverse=True)
        if charge.kind == "daily_peak":
            for day, value in daily.items():
                yield day, Fraction(value), Fraction(1)
        elif charge.kind == "fourth_peak":
            yield None, Fraction(best[3] if len(best) > 3 else 0), share
        else:
            chosen = best[:5] if charge.kind == "monthly_top5" else best
            yield None, Fraction(sum(chosen), max(len(chosen), 1)), share

    def _tier_lines(
        self, charge: Charge, quantity: Fraction, share: Fraction
    ) -> Iterator[tuple[str, int, Fraction | None, Decimal | None, Decimal]]:
        for number, tier in enumerate(charge.tiers, 1):
            start, price = Fraction(tier.start), Fraction(tier.price)
            end = None if tier.end is None else Fraction(tier.end)
            is_below = end is None or quantity <= end
            is_first = number == 1 and quantity == 0
            if not is_first and not (quantity > start and (is_below or not charge.is_reached_only)):
                continue
            used = quantity
            if not charge.is_reached_only:
                used = (quantity if end is None or is_below else end) - start
            amount = self._round(used * price * share)
            item = "commit" if tier.is_committed else "tier"
            yield item, number, used, tier.price, amount
            if tier.is_committed and end is not None and used < end:
                whole = self._round(end * price * share)
                yield "commit_unused", number, end - used, tier.price, whole - amount
            if tier.flat:
                yield "flat", number, None, None, self._round(Fraction(tier.flat))


def _top_5_percent(values: Sequence[int]) -> int:
    """Return what is left at the top when five per cent of the samples, rounded down, are gone."""
    dropped = len(values) * 5 // 100
    return sorted(values, reverse=True)[dropped] if values else 0


def _daily(kind: str, values: Sequence[int]) -> int:
    if kind == "average_daily_p95":
        return _top_5_percent(values)
    if kind == "monthly_top5":
        return sorted(values, reverse=True)[4]
    return max(values)
