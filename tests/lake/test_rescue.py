"""What a judged line is rejected for without a statement is what the SQL would have said."""

from __future__ import annotations

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lake.formats.base import Layout, Row
from lake.rescue import Rescue, misfit

KINDS = ("BIGINT", "INTEGER", "DECIMAL(18,6)", "DATE", "TIME", "DOUBLE", "BOOLEAN", "TIMESTAMPTZ")
WORDS = st.one_of(
    st.text(max_size=12),
    st.from_regex(r"[0-9]{4}-[0-3][0-9]-[0-4][0-9]", fullmatch=True),
    st.sampled_from(["infinity", "-Infinity", "EPOCH", "nan", "inf", "true", "t", "now", "today",
                     "yesterday", "2026-02-29", "2024-02-29", "1900-02-29", "2026-13-45",
                     "e", "-", ".", "0", "1e3", "١٢", "²", "NULL"]),
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_tried", [False, True], ids=["typed", "tried"])
@settings(max_examples=150, deadline=None)
@given(value=WORDS)
def test_no_value_that_can_be_cast_is_a_misfit(kind, is_tried, value) -> None:
    layout = Layout({"x": "VARCHAR"}, (), {"x": kind}) if is_tried else Layout({"x": kind}, ("x",))
    reason = misfit(Row({"x": value}), layout)
    cast = duckdb.execute(f"select try_cast(? as {kind}) is not null", [value]).fetchone()
    assert cast is not None
    if reason is not None:
        assert not cast[0]
        is_time = kind in ("DATE", "TIME") and not is_tried
        assert reason == ("bad_time" if is_time else "wrong_type")


def test_a_word_in_the_place_of_a_number_or_date_is_one() -> None:
    layout = Layout({"day": "DATE", "n": "BIGINT", "text": "VARCHAR"}, (), {"text": "INTEGER"})
    good = {"day": "2026-11-16", "n": "7", "text": "8"}
    assert misfit(Row(good), layout) is None
    assert misfit(Row({**good, "day": "yesterday"}), layout) == "bad_time"
    assert misfit(Row({**good, "day": "2026-02-29"}), layout) == "bad_time"
    assert misfit(Row({**good, "n": "many"}), layout) == "wrong_type"
    assert misfit(Row({**good, "text": "many"}), layout) == "wrong_type"
    assert misfit(Row({**good, "text": None}), layout) is None


def test_a_day_that_is_tried_is_of_the_wrong_type_as_the_sql_says() -> None:
    layout = Layout({"day": "VARCHAR"}, (), {"day": "DATE"})
    assert misfit(Row({"day": "2026-02-29"}), layout) == "wrong_type"
    assert misfit(Row({"day": "2024-02-29"}), layout) is None


@pytest.mark.parametrize("family", ["cloudfront_v1", "cloudflare_logpush", "rec_events"])
def test_it_is_the_verdict_of_the_sql(parse, make, family, monkeypatch) -> None:
    number = {"cloudfront_v1": "sc-bytes", "cloudflare_logpush": "EdgeResponseBytes",
              "rec_events": "watch_ms"}[family]  # fmt: skip
    lines = [make.numbered(family, n) for n in range(20)]
    lines += [make.line(family, {number: word}) for word in ("many", "seven", "é", "+", "1x")]
    if family == "cloudfront_v1":
        lines += [
            make.line(family, {"date": word}) for word in ("yesterday", "2026-02-30", "epoch")
        ]
    data = make.file(family, lines)
    found = parse(family, data)
    found.check_accounts(data)
    assert found.totals.rejected >= 4
    monkeypatch.setattr("lake.rescue.misfit", lambda *_: None)
    again = parse(family, data)
    assert (found.reasons, found.rows) == (again.reasons, again.rows)


@pytest.mark.parametrize("family", ["cloudfront_v1", "cloudflare_logpush"])
def test_a_file_whose_bad_lines_hold_words_costs_no_statement(
    parse, make, family, monkeypatch
) -> None:
    number = {"cloudfront_v1": "sc-bytes", "cloudflare_logpush": "EdgeResponseBytes"}[family]
    lines = [*(make.numbered(family, n) for n in range(20)), make.line(family, {number: "many"})]
    if family == "cloudfront_v1":
        lines.append(make.line(family, {"date": "2026-13-45"}))
    data = make.file(family, lines)

    def computed(*_: object) -> None:
        raise AssertionError("a statement")

    monkeypatch.setattr(Rescue, "_computed", computed)
    reasons = list(parse(family, data).reasons.values())
    assert reasons == ["wrong_type", "bad_time"][: len(lines) - 20]
