"""Each rule of money by its name, with the vector that its source publishes."""

from __future__ import annotations

import datetime as dt
import random
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from simulator.rating import Usage

from .cases import contract, local_slots, rated, table_of

GB = 10**9
MBPS = 37_500_000  # bytes in five minutes
APRIL, MARCH = dt.date(2026, 4, 1), dt.date(2026, 3, 1)


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(f"{text}+00:00")


def volume(gigabytes: float | str, **fields: Any) -> list[Usage]:
    return [Usage(at("2026-04-03T00:00"), "a", int(Decimal(str(gigabytes)) * GB), **fields)]


def tiers(unit: str, *prices_and_edges: object, flats: tuple[object, ...] = ()) -> dict[str, Any]:
    """Build tiers from alternating price, edge, price."""
    edges = [0, *prices_and_edges[1::2], None]
    made = []
    for i, price in enumerate(prices_and_edges[::2]):
        tier = {f"from_{unit}": edges[i], f"price_per_{unit}": price}
        if edges[i + 1] is not None:
            tier[f"to_{unit}"] = edges[i + 1]
        if flats:
            tier["flat"] = flats[i]
        made.append(tier)
    return {"tiers": made}


def graduated(*prices_and_edges: object, **more: Any) -> dict[str, Any]:
    return {"kind": "per_gb_graduated", **tiers("gb", *prices_and_edges), **more}


def total(usage: list[Usage], *components: dict[str, Any], **fields: Any) -> Decimal:
    (amount,) = rated(usage, contract(list(components), **fields)).totals().values()
    return amount


def rates(
    values: list[int], first: dt.date = APRIL, zone: str = "UTC", scope: str = "a"
) -> list[Usage]:
    """Return samples, in Mbps, from the beginning of a local day."""
    days = len(values) // 276 + 2
    slots = local_slots(zone, first, days)
    return [Usage(s, scope, v * MBPS) for s, v in zip(slots, values, strict=False)]


# ---------------------------------------------------------------- per GB


@pytest.mark.parametrize(
    ("gigabytes", "component", "expected"),
    [
        pytest.param(10_290, graduated("0.24", 10_240, "0.23"), "2469.10", id="alibaba"),
        pytest.param(10_200, graduated("0.24", 10_240, "0.23"), "2448.00", id="alibaba-before"),
        pytest.param(10_300, graduated("0.20", 10_000, "0.17"), "2051.00", id="baidu"),
        pytest.param(51_200, graduated("0.085", 10_240, "0.080"), "4147.20", id="cloudfront"),
        pytest.param(10_240, graduated("0.24", 10_240, "0.23"), "2457.60", id="on-the-edge"),
    ],
)
def test_graduated_prices_each_slice_at_its_own_price(gigabytes, component, expected):
    assert total(volume(gigabytes), component) == Decimal(expected)


@pytest.mark.parametrize(
    ("gigabytes", "expected"), [(0, 2), (1, 12), (10, 102), (11, 110), (12, 115), (21, 163)]
)
def test_a_flat_amount_is_charged_once_for_each_tier_that_is_reached(gigabytes, expected):
    # Lago: 0-10 at 10 + flat 2, 11-20 at 5 + flat 3, 21 and more at 5 + flat 3
    component = {"kind": "per_gb_graduated",
                 **tiers("gb", 10, 10, 5, 20, 5, flats=(2, 3, 3))}  # fmt: skip
    assert total(volume(gigabytes), component) == expected


@pytest.mark.parametrize(
    ("gigabytes", "expected"), [(100, "10.00"), ("100.000000001", "8.00"), (300, "24.00")]
)
def test_volume_prices_all_at_the_tier_reached(gigabytes, expected):
    component = {"kind": "per_gb_volume", **tiers("gb", "0.10", 100, "0.08")}
    assert total(volume(gigabytes), component) == Decimal(expected)


def test_a_gib_is_2_to_the_30_bytes():
    usage = [Usage(at("2026-04-03T00:00"), "a", 2**30)]
    assert total(usage, graduated(1), unit="GiB") == 1
    assert total(usage, graduated(1), unit="GB") == Decimal("1.07")


def test_regions_have_prices_of_their_own_and_the_rest_has_one():
    usage = [u for r, n in (("eu", 10), ("us", 20), ("asia", 30)) for u in volume(n, region=r)]
    parts = graduated(1, regions=["eu"]), graduated(2, regions=["us"]), graduated(3)
    assert total(usage, *parts) == 10 + 40 + 90


def test_a_region_is_found_by_the_longest_beginning_of_the_pop():
    usage = table_of(volume(10) + volume(20) + volume(40))
    usage = usage.set_column(2, "pop", pa.array(["FRA56-P3", "FRX1", "GRU3"]))
    usage = usage.set_column(3, "region", pa.array([None] * 3, pa.string()))
    document = contract(
        [graduated(1, regions=["eu"]), graduated(2, regions=["fra"]), graduated(3)],
        regions={"eu": ["F", "AMS"], "fra": ["FRA"]},
    )
    assert list(rated(usage, document).totals().values()) == [20 * 1 + 10 * 2 + 40 * 3]


def test_scopes_that_count_alone_start_each_at_the_first_tier():
    usage = [Usage(at("2026-04-03T00:00"), scope, 100 * GB) for scope in "ab"]
    component = graduated(2, 100, 1)
    assert total(usage, component) == 300
    assert total(usage, component | {"per": "scope"}) == 400


# ---------------------------------------------------------------- requests


def test_requests_are_priced_by_the_package_exactly_or_begun():
    usage = volume(0, requests=10_001)
    fee = {"kind": "requests", "price": "0.0075"}
    exact = total(usage, fee, graduated(0), rounding={"digits": 6})
    assert exact == Decimal("0.007501")  # 0.00750075
    begun = total(usage, fee | {"count": "ceil"}, graduated(0), rounding={"digits": 4})
    assert begun == Decimal("0.0150")


def test_http_and_https_have_prices_of_their_own():
    # CloudFront price list: 51,200 GB, 10 M HTTP, 5 M HTTPS
    usage = volume(51_200, requests=10_000_000, scheme="http")
    usage += volume(0, requests=5_000_000, scheme="https")
    fees = [{"kind": "requests", "price": "0.0100"},
            {"kind": "requests", "price": "0.0075", "schemes": ["http"]}]  # fmt: skip
    assert total(usage, graduated("0.085", 10_240, "0.080"), *fees) == Decimal("4159.70")


# ---------------------------------------------------------------- bandwidth

P95 = {"kind": "p95", "price_per_mbps": 15}


@pytest.mark.parametrize(("peaks", "expected"), [(432, 100), (433, 1000)])
def test_the_95th_percentile_drops_432_of_8640_samples_and_bills_the_433rd(peaks, expected):
    values = [1000] * peaks + [100] * (8640 - peaks)
    random.Random(1).shuffle(values)
    found = rated(rates(values), contract([P95 | {"price_per_mbps": 1}]))
    (line,) = found.lines
    assert (line["amount"], line["billed_rank"], line["samples"]) == (expected, 433, 8640)
    first = min(u.slot_start for u in rates(values) if u.bytes == expected * MBPS)
    assert line["billed_slot"] == first


@pytest.mark.parametrize(
    ("month", "zone", "samples", "rank"),
    [
        (dt.date(2026, 2, 1), "UTC", 8064, 404),
        (dt.date(2028, 2, 1), "UTC", 8352, 418),  # leap day; Alibaba's 29-day month
        (dt.date(2026, 4, 1), "Asia/Shanghai", 8640, 433),
        (dt.date(2026, 1, 1), "UTC", 8928, 447),
        (dt.date(2026, 3, 1), "Europe/Berlin", 8916, 446),  # an hour less
        (dt.date(2026, 10, 1), "Europe/Berlin", 8940, 448),  # an hour more
        (dt.date(2026, 11, 1), "America/New_York", 8652, 433),
    ],
)
def test_samples_come_from_the_calendar_of_the_billing_zone(month, zone, samples, rank):
    # one silent slot after another: what is there is less than what is counted
    count = rank - 1 + 50
    values = list(range(1, count + 1))
    found = rated(rates(values, month, zone), contract([P95], timezone=zone))
    (line,) = [one for one in found.lines if one["month"] == month]
    assert (line["samples"], line["billed_rank"]) == (samples, rank)
    assert line["quantity"] == sorted(values, reverse=True)[rank - 1]


def test_a_silent_slot_is_a_zero_and_counts():
    assert total(rates([500] * 432), P95) == 0
    assert total(rates([500] * 433), P95) == 500 * 15


@pytest.mark.parametrize("month_days", [26])
def test_valid_days_prorate_the_month(month_days):
    # Alibaba: 900 Mbps at 15 a month, valid on 26 of 30 days, is 11,700
    component = P95 | {"valid_days": "activation"}
    usage = rates([900] * 288 * month_days, dt.date(2026, 4, 5)) + rates([5000] * 288)
    assert total(usage, component, activated_on=dt.date(2026, 4, 5)) == 11_700
    # Huawei: days with a byte are valid, of 288 samples each
    silent = rates([900] * 288 * month_days, dt.date(2026, 4, 5))
    assert total(silent, P95 | {"valid_days": "traffic"}) == 11_700


def test_domains_are_added_up_before_the_percentile_is_taken():
    halves = [(u.scope, u) for u in rates([100] * 4320)]
    later = rates([100] * 4320, dt.date(2026, 4, 16), scope="b")
    usage = [u for _, u in halves] + later
    found = rated(usage, contract([P95 | {"price_per_mbps": 1}]))
    assert found.totals() == {APRIL: 100}
    alone = rated(usage, contract([P95 | {"price_per_mbps": 1, "per": "scope"}]))
    assert alone.totals() == {APRIL: 200}


def test_a_direction_is_chosen_for_each_sample():
    usage = [
        Usage(u.slot_start, "a", (30 if i % 2 else 10) * MBPS, bytes_in=20 * MBPS)
        for i, u in enumerate(rates([1] * 8640))
    ]
    one = {"kind": "average_daily_peak", "price_per_mbps": 1}
    assert total(usage, one) == 30
    p95 = P95 | {"price_per_mbps": 1}
    assert total(usage, p95 | {"direction": "sum"}) == 50
    low = [Usage(u.slot_start, "a", 10 * MBPS, bytes_in=20 * MBPS) for u in usage]
    assert total(low, p95 | {"direction": "max"}) == 20
    assert total(low, p95) == 10


def test_a_daily_peak_is_billed_day_by_day_at_the_tier_it_reaches():
    # Alibaba: a peak of 400 Mbps at 0.6 is 240
    component = {"kind": "daily_peak", **tiers("mbps", "0.7", 100, "0.6")}
    usage = rates([3, 400, 7]) + rates([50], dt.date(2026, 4, 2))
    found = rated(usage, contract([component]))
    amounts = {line["billed_day"]: line["amount"] for line in found.lines}
    assert amounts[APRIL] == 240
    assert amounts[dt.date(2026, 4, 2)] == 35
    assert len(amounts) == 30
    assert sum(amounts.values()) == found.totals()[APRIL] == 275


def daily(*peaks: int) -> list[Usage]:
    return [u for day, peak in enumerate(peaks)
            for u in rates([peak] * 5 + [1], APRIL + dt.timedelta(days=day))]  # fmt: skip


def test_the_average_of_daily_peaks_divides_by_the_days_of_the_month():
    one = {"kind": "average_daily_peak", "price_per_mbps": 1}
    assert total(daily(10, 20, 30), one, rounding={"digits": 6}) == 2
    prorated = total(daily(10, 20, 30), one | {"valid_days": "traffic"})
    assert prorated == 2  # mean of three days 20, times 3 of 30


def test_the_fourth_peak_is_the_fourth_highest_day_and_nothing_before_four_days():
    one = {"kind": "fourth_peak", "price_per_mbps": 1, "valid_days": "traffic"}
    assert total(daily(10, 50, 40), one) == 0
    found = rated(daily(10, 50, 40, 30, 20), contract([one | {"valid_days": "month"}]))
    (line,) = found.lines
    assert (line["amount"], line["billed_day"]) == (20, dt.date(2026, 4, 5))


def test_monthly_top_5_is_the_mean_of_five_days_by_their_fifth_sample():
    # Tencent: fifth highest sample of each day, mean of the five highest days
    one = {"kind": "monthly_top5", "price_per_mbps": 1}
    assert total(daily(10, 20, 30, 40, 50, 60), one) == 40
    lone = rates([999, 999, 999, 999, 7])  # four higher samples are left out
    assert total(lone, one, rounding={"digits": 4}) == Decimal("1.4")
    few = one | {"valid_days": "traffic"}
    assert total(daily(30, 60), few) == 3  # mean of two days 45, times 2 of 30


def test_an_unused_commit_is_paid_and_the_overage_has_its_price():
    one = {"kind": "p95", "price_per_mbps": 10, "commit_mbps": 100, "overage_price_per_mbps": 12}
    below = rated(rates([40] * 8640), contract([one]))
    assert [(x["item"], x["quantity"], x["amount"]) for x in below.lines] == [
        ("commit", 40, 400),
        ("commit_unused", 60, 600),
    ]
    assert total(rates([130] * 8640), one) == 1000 + 30 * 12
    assert total(rates([1]), one) == 1000


def test_used_and_unused_commit_add_up_to_the_commit_to_the_cent():
    one = {"kind": "p95", "price_per_mbps": "0.005", "commit_mbps": 3, "overage_price_per_mbps": 1}
    assert total(rates([1] * 8640), one) == Decimal("0.02")  # 0.015, once: not 0.01 + 0.01 + ...


def test_burst_is_billed_on_the_sum_of_use_less_the_sum_of_commits():
    one = {"kind": "p95", "price_per_mbps": 1, "commit_mbps": 200, "overage_price_per_mbps": 2}
    usage = rates([150] * 8640) + rates([40] * 8640, scope="b")
    assert total(usage, one) == 200  # 190 together: no burst


def test_a_rate_can_be_rounded_to_whole_mbps():
    usage = [Usage(u.slot_start, "a", 100 * MBPS + 1) for u in rates([1] * 8640)]
    one = P95 | {"price_per_mbps": 1}
    assert total(usage, one | {"round_mbps": "up"}) == 101
    assert total(usage, one | {"round_mbps": "down"}) == 100
    assert total(usage, one | {"minimum_mbps": 300}) == 300


def test_a_binary_mbps_is_2_to_the_20_bits():
    # Baidu's 10.54 GB per Mbps and day: 2^20 bits a second, in GiB
    one = P95 | {"price_per_mbps": 1}
    usage = [Usage(u.slot_start, "a", 2**20 * 300 // 8) for u in rates([1] * 8640)]
    assert total(usage, one, rate_unit="Mibps") == 1
    assert total(usage, one, rounding={"digits": 4}) == Decimal("1.0486")


def test_rates_stay_whole_bytes_until_the_line_is_rounded():
    # 1/3 of a Mbps has no end as a decimal; times 15 it is exactly 5
    usage = [Usage(u.slot_start, "a", MBPS // 3) for u in rates([1] * 8640)]
    assert total(usage, P95, rounding={"digits": 6, "mode": "down"}) == 5


def test_quantile_disc_is_the_rank_of_the_contract_for_every_number_of_samples():
    with duckdb.connect() as connection:
        wrong = connection.execute(
            "select count(*) from (select n, (select quantile_disc(x, 0.95) from range(1, n + 1) "
            "as t(x)) as engine, n - (n * 5 // 100 + 1) + 1 as rule from range(1, 9001) as s(n)) "
            "where engine is distinct from rule"
        ).fetchall()
        assert wrong == [(0,)]
        (cont,) = connection.execute(
            "select quantile_cont(x, 0.95) from (select case when i < 432 then 1000 else 100 end "
            "as x from range(8640) as t(i))"
        ).fetchone() or (None,)
        assert cont == pytest.approx(144.99, abs=0.2)  # what an interpolation would bill


# ---------------------------------------------------------------- money


def test_a_money_commit_is_paid_and_usage_above_it_can_cost_more():
    commit = {"kind": "commit", "amount": 1000, "overage_multiplier": "1.2"}
    assert total(volume(400), graduated(1), commit) == 1000
    assert total(volume(1500), graduated(1), commit) == 1500 + 100


def test_a_minimum_is_filled_up_before_credits_and_tax():
    parts = [graduated(1), {"kind": "tax", "percent": 10}, {"kind": "credit", "amount": 50},
             {"kind": "minimum", "amount": 100}]  # fmt: skip
    assert total(volume(30), *parts) == 55


def test_credits_take_off_no_more_than_there_is():
    parts = [graduated(1), {"kind": "credit", "percent": 50}, {"kind": "credit", "amount": 70}]
    found = rated(volume(100), contract(parts))
    assert [x["amount"] for x in found.lines] == [100, -50, -50]
    assert found.totals() == {APRIL: 0}


def test_a_credit_counts_in_its_months_alone():
    credit = {"kind": "credit", "amount": 5, "first_month": MARCH, "last_month": MARCH}
    assert total(volume(100), graduated(1), credit) == 100
    assert total(volume(100), graduated(1), credit | {"last_month": APRIL}) == 95


def test_a_fee_is_charged_in_every_month_in_force_a_silent_one_too():
    usage = [*volume(1), Usage(at("2026-06-01T00:00"), "a", GB)]
    fee = {"kind": "fee", "amount": 9}
    months = rated(usage, contract([graduated(0), fee])).totals()
    assert months == {dt.date(2026, m, 1): 9 for m in (4, 5, 6)}
    commit = {"kind": "commit", "amount": 7}
    silent = rated(usage, contract([graduated(0) | {"per": "scope"}, commit])).totals()
    assert silent == {dt.date(2026, m, 1): 7 for m in (4, 5, 6)}


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("half_up", ["0.13", "0.12"]), ("half_even", ["0.12", "0.12"]), ("up", ["0.13", "0.13"]),
     ("down", ["0.12", "0.12"])],
)  # fmt: skip
def test_each_line_is_rounded_once_by_the_mode_of_the_contract(mode, expected):
    found = rated(
        [*volume(1, region="eu"), *volume("0.992", region="us")],
        contract([graduated("0.125", regions=["eu"]), graduated("0.125")], rounding={"mode": mode}),
    )
    assert [x["amount"] for x in found.lines] == [Decimal(x) for x in expected]
    assert found.totals()[APRIL] == sum(map(Decimal, expected))


def test_network_overhead_is_a_factor_on_the_bytes_of_the_log_with_an_interval():
    # Alibaba: billed traffic is typically 1.1 times that of the log
    overhead = {"factor": "1.1", "low": "1.05", "high": "1.15"}
    (bill,) = rated(volume(100), contract([graduated(1)], overhead=overhead)).bills
    assert (bill["amount_low"], bill["amount"], bill["amount_high"]) == (105, 110, 115)
    assert bill["logged_bytes"] == 100 * GB


def test_incomplete_slots_raise_the_expected_and_the_high_bill_and_leave_the_low_one():
    usage = table_of(volume(100), completeness=800_000)
    found = rated(usage, contract([graduated(1)], overhead={"factor": "1", "high": "1.1"}))
    (bill,), (line,) = found.bills, found.lines
    assert (bill["amount_low"], bill["amount"], bill["amount_high"]) == (100, 125, Decimal("137.5"))
    assert (bill["logged_bytes"], bill["estimated_bytes"]) == (100 * GB, 25 * GB)
    assert (line["logged"], line["estimated"], line["quantity"]) == (100 * GB, 25 * GB, 125)
    samples = table_of(rates([100] * 8640), completeness=500_000)
    found = rated(samples, contract([P95 | {"price_per_mbps": 1}]))
    (bill,), (line,) = found.bills, found.lines
    assert (bill["amount_low"], bill["amount"], bill["amount_high"]) == (100, 200, 200)
    assert line["logged"] == line["estimated"] == 100 * 37_500_000
    assert bill["incomplete_slots"] == 8640


# ---------------------------------------------------------------- invariance


def test_neither_the_order_of_rows_nor_how_they_are_split_changes_a_bill():
    dice = random.Random(5)
    usage = [Usage(u.slot_start, dice.choice("abc"), dice.randrange(10**11), requests=i)
             for i, u in enumerate(rates([1] * 2000))]  # fmt: skip
    parts = [P95, {"kind": "requests", "price": "0.01"}]
    before = rated(usage, contract(parts))
    split = []
    for u in usage:
        share = dice.randrange(u.bytes + 1)
        split += [Usage(u.slot_start, u.scope, share, u.requests),
                  Usage(u.slot_start, u.scope, u.bytes - share)]  # fmt: skip
    dice.shuffle(split)
    assert rated(split, contract(parts)) == before


def test_customers_of_other_contracts_are_not_in_this_one():
    usage = [Usage(at("2026-04-03T00:00"), scope, 10 * GB) for scope in "abc"]
    named = contract([graduated(1)], contract_id="named", customers=["a", "b"])
    rest = contract([graduated(2)], contract_id="rest")
    found = rated(usage, named, rest)
    assert found.of("named").totals() == {APRIL: 20}
    assert found.of("rest").totals() == {APRIL: 20}
    assert rated(usage, rest).totals() == {APRIL: 60}
