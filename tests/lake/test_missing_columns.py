"""A column that every line of a file's head has, and the lines behind it have not."""

from __future__ import annotations

import pytest

from lake.formats import FAMILIES

HEAD, REST = 400, 3_000
FIELD = {"rec_events": "item_duration_ms", "cloudflare_logpush": "ClientRequestBytes"}


def counted(family, monkeypatch) -> list[bytes]:
    """Note every line that the family judges."""
    seen: list[bytes] = []
    judge = type(FAMILIES[family]).judge
    monkeypatch.setattr(
        type(FAMILIES[family]),
        "judge",
        lambda self, line, layout: seen.append(line) or judge(self, line, layout),
    )
    return seen


def logs(family, make) -> bytes:
    whole = [make.numbered(family, n) for n in range(HEAD)]
    without = [make.line(family, drop=[FIELD[family]]) for _ in range(REST)]
    return make.file(family, [*whole, *without, make.line(family, {FIELD[family]: "x"})])


@pytest.mark.parametrize("family", FIELD)
def test_such_lines_are_read_together_and_not_judged_one_by_one(family, make, parse, monkeypatch):
    judged = counted(family, monkeypatch)
    found = parse(family, logs(family, make))
    found.check_accounts(logs(family, make))
    assert found.totals.accepted == HEAD + REST
    assert found.reasons == {HEAD + REST + 1: "wrong_type"}
    assert len(judged) < REST / 4


@pytest.mark.parametrize("family", FIELD)
def test_what_one_file_taught_holds_for_the_next(family, make, parse, feed_of, monkeypatch):
    source = feed_of(family, name="taught")
    parse(family, logs(family, make), source=source)
    judged = counted(family, monkeypatch)
    again = parse(family, logs(family, make), source=source)
    assert again.totals.accepted == HEAD + REST
    assert judged == [make.line(family, {FIELD[family]: "x"})]


@pytest.mark.parametrize("family", FIELD)
def test_the_rows_are_those_of_lines_judged_one_by_one(family, make, parse):
    data = logs(family, make)
    assert parse(family, data).rows == parse(family, data, judged=True).rows
