"""STRUCTURED logs do not say their columns: the source does, and the first line the separator."""

from __future__ import annotations

import pytest

from lake.refused import RefusedError

FAMILY = "akamai_ds2_structured"


@pytest.mark.parametrize("judged", [False, True], ids=["fast", "judged"])
def test_spaces_separate_as_tabs_do(judged, parse, make):
    tabs = make.file(FAMILY, [make.line(FAMILY, {"reqId": f"n-{n}", "UA": "a"}) for n in range(5)])
    spaces = tabs.replace(b"\t", b" ") + b"5 broken\n"
    wanted, found = (parse(FAMILY, data, judged=judged) for data in (tabs, spaces))
    found.check_accounts(spaces)
    assert found.rows == wanted.rows
    assert set(found.reasons.values()) == {"ragged"}


def test_the_version_may_be_left_out_of_the_declared_order(parse, make, feed_of):
    names = feed_of(FAMILY).fields
    assert names[0] == "version"
    data = make.file(FAMILY, [make.numbered(FAMILY, n) for n in range(3)])
    short = parse(FAMILY, data, source=feed_of(FAMILY, fields=names[1:]))
    assert short.rows == parse(FAMILY, data).rows


@pytest.mark.parametrize(
    "fields",
    [(), ("reqId", "reqTimeSec"), ("reqTimeSec", "statusCode", "statusCode")],
    ids=["none", "no status", "twice"],
)
def test_without_a_usable_order_a_file_is_refused_with_the_remedy(fields, parse, make, feed_of):
    data = make.file(FAMILY, [make.numbered(FAMILY, 1)])
    with pytest.raises(RefusedError, match=r"Add `fields: \[reqId"):
        parse(FAMILY, data, source=feed_of(FAMILY, fields=fields))


def test_a_column_nobody_knows_is_reported_and_stays_out_of_sql(parse, make, feed_of):
    fields = tuple("new');drop" if n == "customField" else n for n in feed_of(FAMILY).fields)
    data = make.file(FAMILY, [make.numbered(FAMILY, n) for n in range(3)])
    found = parse(FAMILY, data, source=feed_of(FAMILY, fields=fields))
    assert found.totals.accepted == 3
    assert len(found.totals.unknown_fields) == 1
    assert "drop" not in str(found.totals.unknown_fields)
