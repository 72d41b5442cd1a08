"""From a field map to SQL: each rule becomes an expression over the fields of one row.

Belongs here: which columns a map fills, and what they take from each other. Does not: units and
words (lake/formats/mapped_values.py), nor how a field is got out of a line, which the family gives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from lake import canonical as sql
from lake.field_map import (
    BytesRule,
    DurationRule,
    FieldMap,
    FlagRule,
    IntegerRule,
    TextRule,
    TimeRule,
)
from lake.formats.mapped_values import (
    Leaf,
    cache_word,
    count_of_bytes,
    instant_sql,
    instant_steps,
    milliseconds,
    number_sql,
    precision_sql,
    spoken,
    text_sql,
)
from lake.refused import RefusedError
from lake.source import Source


@dataclass
class Plan:
    """The SQL of a map: derived columns in order, canonical ones, and what a line must have.

    needed: groups of fields, one of each of which must have a value.
    own_key: SQL of the row key of a row whose request has an id, null for others; None where the
    map names no id.
    """

    derived: dict[str, str] = field(default_factory=dict)
    canonical: dict[str, str] = field(default_factory=dict)
    needed: tuple[tuple[str, ...], ...] = ()
    own_key: str | None = None

    def step(self, name: str, expression: str) -> str:
        """Add a derived column; return its name."""
        self.derived[name] = expression
        return name


def incomplete_map(missing: Sequence[str]) -> RefusedError:
    """Return the refusal of a file whose source has no map that makes rows."""
    return RefusedError(
        "incomplete_map",
        f"expected {' and '.join(missing)} in the map of the source, found no rule. Name the "
        "fields of the log under map: in the source file; `weir source new FILE` drafts one.",
    )


def plan_of(
    fields: FieldMap,
    source: Source,
    leaf: Leaf,
    identity: Sequence[str],
    doc: Mapping[str, str],
) -> Plan:
    """Return the SQL of a map.

    leaf: SQL of a field's text by path. identity: SQL of all that makes a row itself where its
    request has no id. doc: derived columns that `leaf` reads.
    """
    plan = Plan(dict(doc))
    _add_times(plan, fields, leaf)
    _add_request(plan, fields, leaf)
    _add_cache(plan, fields, leaf)
    _add_numbers(plan, fields, leaf)
    _add_texts(plan, fields, leaf)
    customer = fields.customer
    plan.canonical["customer"] = (
        spoken(customer, "w_customer", "w_customer")
        if customer and plan.step("w_customer", text_sql(customer, leaf))
        else sql.lookup("w_host", source.customers)
    )
    plan.canonical["query_raw"] = sql.allowed_query("w_query", source.privacy.query_allow)
    plan.own_key = _own_key(plan, fields)
    whole = sql.row_key(identity)
    plan.canonical["row_key"] = f"coalesce({plan.own_key}, {whole})" if plan.own_key else whole
    plan.canonical["extra"] = sql.extra_map(
        {"host-port": "odd_port(w_host_given)"}
        | {name: f"null_if_empty({leaf(path)})" for name, path in fields.extra.items()}
    )
    needed = _groups_of(fields.event_time) if fields.event_time else []
    if fields.status and fields.status.const is None:
        needed.append(fields.status.from_)
    plan.needed = tuple(needed)
    return plan


def _own_key(plan: Plan, fields: FieldMap) -> str | None:
    """Return the SQL of the key of a request that has an id: what tells it but its query string.

    An id alone may be passed on by a client, or be logged at the edge and at the shield.
    """
    rule = fields.request_id
    if rule is None or rule.const is not None or rule.values or rule.otherwise is not None:
        return None
    parts = ["w_request_id", "epoch_us(event_time)", "w_host", "path_0", "w_status"]
    parts += [n for n in ("w_client_ip", "w_pop", "w_is_viewer") if n in plan.derived]
    return f"case when w_request_id is not null then {sql.row_key(parts)} end"


def _groups_of(rule: TimeRule) -> list[tuple[str, ...]]:
    """Return of which fields one each must have a value."""
    return [(path,) for path in rule.join] if rule.join else [rule.from_]


def _add_times(plan: Plan, fields: FieldMap, leaf: Leaf) -> None:
    start, end, took = fields.event_time, fields.end_time, fields.duration_ms
    if start is None:
        raise ValueError("a map without event_time has no time of its rows")
    plan.step("w_status", _integer(fields.status, leaf) if fields.status else "0")
    plan.step("w_given", text_sql(start, leaf))
    plan.step("w_instant", _instant(plan, start, "w_given"))
    plan.step("w_took", milliseconds(took, leaf) if took else "null::double")
    began = "w_instant"
    if start.stamp == "end":
        back = "to_microseconds(cast(round(w_took * 1000) as bigint))"
        began = f"case when w_took between 0 and 1e10 then w_instant - {back} else w_instant end"
    plan.step("event_time", f"case when w_status is not null then {began} end")
    after = "to_microseconds(cast(round(w_took * 1000) as bigint))"
    ended = f"case when w_took between 0 and 1e10 then event_time + {after} end"
    if end is not None:
        plan.step("w_end_given", text_sql(end, leaf))
        ended = f"coalesce({_instant(plan, end, 'w_end_given')}, {ended})"
    elif start.stamp == "end":
        ended = "w_instant"
    plan.step("w_end", ended)
    measured = "case when w_end >= event_time then epoch_us(w_end) - epoch_us(event_time) end"
    plan.canonical |= {
        "event_time_precision": precision_sql(start, "w_given"),
        # an end far in the future is nonsense that no reader of time stamps survives
        "end_time": "case when w_end < timestamptz '2100-01-01' then w_end end",
        "duration_ms": f"coalesce(w_took, {measured} / 1000.0)" if end else "w_took",
        "status": "w_status",
    }


def _instant(plan: Plan, rule: TimeRule, text: str) -> str:
    """Return the SQL of an instant from the column of its text."""
    for name, expression in instant_steps(rule, text).items():
        plan.step(name, expression)
    return instant_sql(rule, text)


def _given(plan: Plan, fields: FieldMap, leaf: Leaf, name: str, otherwise: str) -> str:
    """Return the SQL of a text by its own rule, else what it is otherwise."""
    rule: TextRule | None = getattr(fields, name)
    if rule is None:
        return otherwise
    # the keys of CMCD are sorted header by header: an empty member stands between
    text = plan.step(f"g_{name}", text_sql(rule, leaf, ", ," if name == "cmcd" else ","))
    own = spoken(rule, text, text)
    if name == "cmcd":  # as a dictionary or as an object of wire keys
        of_object = f"cmcd_text(cmcd_of_json({text}))"
        own = f"case when starts_with({text}, '{{') then {of_object} else {own} end"
    return own if otherwise == "null::varchar" else f"coalesce({own}, {otherwise})"


def _add_request(plan: Plan, fields: FieldMap, leaf: Leaf) -> None:
    """Add scheme, host, path and query: by their own rules, else out of URL or request line."""

    def given(name: str, otherwise: str) -> str:
        return _given(plan, fields, leaf, name, otherwise)

    line = plan.step("w_line", given("request_line", "null::varchar"))
    target = f"null_if_empty(split_part({line}, ' ', 2))" if fields.request_line else "null"
    url = plan.step("w_url", given("url", target))
    _add_parts(plan, url)
    authority = "null_if_empty(regexp_extract(w_authority, '([^@]*)$', 1))"
    plan.step("w_host_given", given("host", authority))
    plan.step("w_host", "plain_host(w_host_given)")
    scheme = f"case when w_after is not null then lower(split_part({url}, '://', 1)) end"
    plan.canonical["host"] = "w_host"
    plan.canonical["scheme"] = f"lower({given('scheme', scheme)})"
    is_line = fields.request_line is not None
    first, last = (f"null_if_empty(split_part({line}, ' ', {n}))" for n in (1, 3))
    plan.canonical["method"] = given("method", first if is_line else "null::varchar")
    plan.canonical["http_version"] = given("http_version", last if is_line else "null::varchar")
    _add_path(plan, given)
    _add_query(plan, given)
    plan.canonical |= {
        "path_raw": "path_0",
        "path": "path_d",
        "object_type": "coalesce(object_type_of(path_d, ext_d), 'other')",
        "stream_kind": "coalesce(stream_kind_of(path_d, ext_d), 'other')",
        "cmcd": given("cmcd", "cmcd_of(w_query)"),
    }


def _add_parts(plan: Plan, url: str) -> None:
    """Add what a URL, absolute or from the path on, has before, between and after its marks."""
    # what follows the question mark is cut off first: CMCD makes it the longest part by far
    bare = plan.step("w_bare", f"split_part({url}, '?', 1)")
    plan.step("w_asked", f"case when {bare} <> {url} then substr({url}, length({bare}) + 2) end")
    is_absolute = f"not starts_with({bare}, '/') and contains({bare}, '://')"
    plan.step(
        "w_after", f"case when {is_absolute} then substr({bare}, strpos({bare}, '://') + 3) end"
    )
    plan.step("w_authority", "regexp_extract(w_after, '^[^/#]*')")
    plan.step("w_target", f"coalesce(substr(w_after, length(w_authority) + 1), {bare})")


def _add_path(plan: Plan, given: Callable[[str, str], str]) -> None:
    of_url = "case when w_target = '' then '/' else without_query(w_target) end"
    path = given("path", of_url)
    plan.derived |= sql.path_steps(path if path == of_url else f"without_query({path})")


def _add_query(plan: Plan, given: Callable[[str, str], str]) -> None:
    of_url = "case when contains(w_asked, '#') then split_part(w_asked, '#', 1) else w_asked end"
    plan.step("w_query_given", given("query", of_url))
    # to trim costs as much as all else that is done to a query string
    trimmed = "case when starts_with(w_query_given, '?') then ltrim(w_query_given, '?')"
    plan.step("w_query", f"nullif({trimmed} else w_query_given end, '')")


def _add_cache(plan: Plan, fields: FieldMap, leaf: Leaf) -> None:
    rule = fields.cache_status
    state = "'UNKNOWN'"
    if rule is not None:
        plan.step("w_state", text_sql(rule, leaf))
        state = f"coalesce({spoken(rule, 'w_state', cache_word('w_state'))}, 'UNKNOWN')"
        plan.canonical["cache_status_raw"] = "w_state"
    plan.step("w_cache", state)
    plan.canonical |= {
        "cache_status": "w_cache",
        "is_edge_hit": "w_cache in ('HIT', 'STALE', 'REVALIDATED')",
        "is_origin_fetch": "w_cache in ('MISS', 'BYPASS', 'REVALIDATED')",
    }


def _flag(plan: Plan, name: str, rule: FlagRule | None, leaf: Leaf, otherwise: str) -> str:
    if rule is None:
        return otherwise
    text = plan.step(f"w_{name}", text_sql(rule, leaf))
    return f"coalesce({spoken(rule, text, f'try_cast({text} as boolean)')}, {otherwise})"


def _add_numbers(plan: Plan, fields: FieldMap, leaf: Leaf) -> None:
    for name, rule in fields.rules().items():
        if isinstance(rule, BytesRule):
            plan.canonical[name] = count_of_bytes(rule, leaf)
        elif isinstance(rule, DurationRule) and name != "duration_ms":
            plan.canonical[name] = milliseconds(rule, leaf)
        elif isinstance(rule, IntegerRule) and name != "status":
            value = _integer(rule, leaf)
            plan.canonical[name] = f"nullif({value}, 0)" if name == "origin_status" else value
    plan.canonical["is_viewer"] = _flag(plan, "is_viewer", fields.is_viewer, leaf, "true")
    plan.canonical["client_aborted"] = _flag(
        plan, "client_aborted", fields.client_aborted, leaf, "w_status in (0, 499)"
    )


def _integer(rule: IntegerRule, leaf: Leaf) -> str:
    if rule.const is not None:
        return str(rule.const)
    return number_sql(rule, leaf, "integer" if rule.from_ else "bigint")


_READ_ELSEWHERE = {
    "url", "request_line", "query", "path", "host", "scheme", "method", "http_version", "cmcd",
    "customer",
}  # fmt: skip


def _add_texts(plan: Plan, fields: FieldMap, leaf: Leaf) -> None:
    for name, rule in fields.rules().items():
        if not isinstance(rule, TextRule) or name in _READ_ELSEWHERE:
            continue
        text = plan.step(f"w_{name}", text_sql(rule, leaf))
        value = spoken(rule, text, text)
        plan.canonical[name] = {
            "country": f"upper({value})",
            "referer": f"referer_of({value})",
        }.get(name, value)
        if name == "pop":
            plan.canonical["pop_iata"] = f"iata({value})"
