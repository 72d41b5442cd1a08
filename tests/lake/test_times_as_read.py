"""A time that the typed read finds to be none is none to the judge, and is not computed again."""

from __future__ import annotations

import pytest

from lake.formats import FAMILIES
from lake.rescue import Rescue

#: the families that promise it, and where their time stands
TIMES = {
    "cloudflare_logpush": ("EdgeStartTimestamp", "EdgeEndTimestamp"),
    "gcp_cdn": ("timestamp",),
    "rec_events": ("event_ts_ms",),
}
#: raw JSON in the place of a time
VALUES = (
    '"not a time"', '""', '" "', "null", "true", "[]", "{}", '{"s": 1}', "0", "-1", "-0.0", "1e3",
    "1.7947872e9", "1794787200.5", "1794787200", "1794787200123", "1794787200284049", "1e18",
    "1794787200284049000", '"1794787200284049000"', '"1.7947872e9"', "9223372036854775807",
    "9223372036854775808", "1e400", "123456789012345678901234567890", '"2026-11-16"',
    '"2026-11-16T10:00:00Z"', '"2026-11-16T10:00:00.5+01:00"', '"2026-11-16 10:00:00"',
    '"2026-02-30T10:00:00Z"', '"2026-11-16T24:00:00Z"', '"2026-11-16T23:59:60Z"', '"infinity"',
    '"-infinity"', '"epoch"', '"290000-01-01T00:00:00Z"', '"0001-01-01T00:00:00Z"',
    '"2026-11-16T10:00:00Z "', '"\\u0032026-11-16T10:00:00Z"', '"2026-11-16T10:00:00Z\\u0000"',
)  # fmt: skip


def _files(make, family: str) -> bytes:
    lines = [make.numbered(family, n) for n in range(30)]
    for field in TIMES[family]:
        lines += [
            make.line(family, {field: "PLACE"}).replace(b'"PLACE"', value.encode())
            for value in VALUES
        ]
    return make.file(family, [*lines, *(make.numbered(family, n) for n in range(30, 40))])


def test_the_families_that_promise_it_are_these() -> None:
    assert {n for n, f in FAMILIES.items() if f.judges_times_as_read} == set(TIMES)


@pytest.mark.parametrize("family", TIMES)
def test_the_verdict_is_that_of_computing_the_line_again(parse, make, family, monkeypatch) -> None:
    data = _files(make, family)
    found = parse(family, data)
    found.check_accounts(data)
    assert "bad_time" in found.reasons.values()
    monkeypatch.setattr(FAMILIES[family], "judges_times_as_read", False)
    again = parse(family, data)
    assert found.reasons == again.reasons
    assert found.rows == again.rows


@pytest.mark.parametrize("family", ["cloudflare_logpush", "gcp_cdn"])
def test_lines_without_a_time_cost_no_statement(parse, make, family, monkeypatch) -> None:
    field = TIMES[family][0]
    lines = [make.numbered(family, n) for n in range(10)]
    data = make.file(family, [*lines, make.line(family, {field: "not a time"})])

    def computed(*_: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(Rescue, "_computed", computed)
    assert parse(family, data).reasons == {11: "bad_time"}
