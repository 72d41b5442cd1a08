"""Questions: which mart answers, and that no word of a person reaches SQL as it is."""

from __future__ import annotations

import string
from datetime import UTC, datetime

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.commands.metric import Asked, question_of
from orchestration.metrics.query import QuestionError, answerable
from orchestration.metrics.registry import load_registry
from orchestration.metrics.where import ConditionError, parse

REGISTRY = load_registry()
NOV_16 = datetime(2026, 11, 16, tzinfo=UTC)


def _mart(name: str, **words: str) -> str:
    return answerable(REGISTRY, question_of(REGISTRY, Asked(name, **words))).mart.name


def test_the_coarsest_mart_that_has_the_dimensions_answers() -> None:
    assert _mart("requests") == "qos_pops_daily"
    assert _mart("requests", by="country") == "qos_daily"
    assert _mart("requests", by="country", grain="hour") == "qos_places_hourly"
    assert _mart("requests", by="stream", grain="day") == "streams_hourly"
    assert _mart("hit_requests", by="pop", grain="hour") == "qos_5m"
    assert _mart("requests", where="customer = 'a'", grain="month") == "qos_pops_daily"
    assert _mart("requests", by="country", since="2026-11-16T01:00") == "qos_places_hourly"
    assert _mart("requests", since="2026-11-16T01:05") == "qos_5m"
    assert _mart("ttfb_p95_ms", by="pop") == "qos_buckets_5m"
    assert _mart("ttfb_p95_ms", by="asn", grain="day") == "qos_buckets_daily"
    assert _mart("peak_egress_bps", grain="day") == "qos_5m"
    assert _mart("hop_hit_ratio", by="hop") == "qos_hops_hourly"
    assert _mart("ctr", by="scene") == "engagement_hourly"
    assert _mart("billed_amount", by="currency", grain="month") == "bills"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"by": "country,customer"}, "no mart has requests by country, customer"),
        ({"by": "country", "grain": "5m"}, "expected among: cdn, country"),
        ({"by": "nation"}, "--by 'nation' is no dimension"),
        ({"by": "cdn,cdn"}, "names a dimension twice"),
        ({"grain": "week"}, "--grain 'week'"),
        ({"since": "yesterday"}, "--since 'yesterday'"),
        ({"since": "2026-11-16", "until": "2026-11-16"}, "--until is not after --since"),
        ({"against": "others"}, "expected cdn in --by"),
        ({"against": "last-week", "grain": "month"}, "needs a grain that a week is made of"),
        ({"against": "me"}, "--against 'me'"),
    ],
)
def test_a_question_that_nothing_answers_is_refused(words: dict[str, str], said: str) -> None:
    with pytest.raises(QuestionError, match=said):
        _mart("requests", **words)


def test_a_rate_needs_to_know_how_long() -> None:
    with pytest.raises(QuestionError, match="is per second"):
        _mart("egress_bps")
    words = {"since": "2026-11-16", "until": "2026-11-17"}
    found = answerable(REGISTRY, question_of(REGISTRY, Asked("egress_bps", **words)))
    assert found.sql.startswith('select cast(cast(sum("bytes") as bigint) as double) * 8 / 86400')


@pytest.mark.parametrize(
    ("text", "sql"),
    [
        ("cdn = 'x'", "\"cdn\" = 'x'"),
        ("asn IN (1, 2) AND NOT cdn <> 'it''s'",
         "(\"asn\" in (1, 2) and (not \"cdn\" <> 'it''s'))"),
        ("cdn not in ('a') or (asn >= 3 and is_hit = TRUE)",
         "(\"cdn\" not in ('a') or (\"asn\" >= 3 and \"is_hit\" = true))"),
    ],
)  # fmt: skip
def test_a_condition_becomes_sql_of_names_and_quoted_values(text: str, sql: str) -> None:
    assert parse(text, REGISTRY.dimensions).sql == sql


@pytest.mark.parametrize(
    "text",
    [
        "cdn = 'x' -- ", "cdn = 'x'; drop table t", "1 = 1", "cdn = pop", "cdn", "cdn = 'x",
        "cdn ~ 'x'",
        "asn = 'x'", "cdn = 1", "is_hit = maybe", "cdn in ()", "cdn not = 'x'", "sleep(1)",
        "cdn = 'x' or",
        "\"cdn\" = 'x'", "cdn = 'x' union select 1", "(cdn = 'x'", "not", "cdn = e'x'", "(" * 99,
        "cdn='x' or " * 200 + "cdn='x'",
    ],
)  # fmt: skip
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(ConditionError, match="--where"):
        parse(text, REGISTRY.dimensions)


@settings(deadline=None, max_examples=50)
@given(st.text(max_size=40))
def test_any_value_stays_a_value(value: str) -> None:
    quoted = value.replace("'", "''")
    sql = parse(f"cdn = '{quoted}'", REGISTRY.dimensions).sql
    if "\0" in value or any("\ud800" <= c <= "\udfff" for c in value):
        return
    with duckdb.connect() as connection:
        connection.execute("create table t (cdn varchar)")
        connection.execute("insert into t values (?), (?)", [value, value + "x"])
        assert connection.execute(f"select cdn from t where {sql}").fetchall() == [(value,)]


@given(st.text(alphabet=string.ascii_lowercase + " '=()<>,;-0", max_size=30))
def test_any_text_is_a_condition_of_known_words_or_refused(text: str) -> None:
    try:
        found = parse(text, REGISTRY.dimensions)
    except ConditionError:
        return
    assert found.names <= REGISTRY.dimensions.keys()
