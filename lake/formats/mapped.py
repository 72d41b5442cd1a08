"""From a field map to SQL: each rule becomes an expression over the fields of one row.

Belongs here: units, zones, words and URLs. Does not: how a field is got out of a line, which the
family gives as SQL of a text by path. All text of a source file is quoted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from lake import canonical as sql
from lake.field_map import (
    BytesRule,
    CacheRule,
    DurationRule,
    FieldMap,
    FlagRule,
    IntegerRule,
    Rule,
    TextRule,
    TimeRule,
    offset_minutes,
)
from lake.reads import quote_literal
from lake.source import Source

Leaf = Callable[[str], str]

_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000}
_IN_MS = {"ns": 1e-6, "us": 1e-3, "ms": 1.0, "s": 1e3, "min": 6e4, "h": 3.6e6}
_IN_BYTES = {
    "kB": 1e3, "KB": 1e3, "KiB": 1024.0, "MB": 1e6, "MiB": 1024.0**2, "GB": 1e9,
    "GiB": 1024.0**3, "bit": 0.125, "kbit": 125.0,
}  # fmt: skip
#: instants are numbers of seconds below this: the year 2100
_END_S = 4_102_444_800
_COMMON_LOG_TIME = "'%d/%b/%Y:%H:%M:%S %z'"
_HAS_ZONE = "(?i)[0-9](z|[+-][0-9]{2}(:?[0-9]{2})?)$"
#: words of the vendors, upper case, after Fastly's suffixes were looked at
_STATES = {
    "HIT": ("HIT", "TCP_HIT", "TCP_MEM_HIT", "TCP_IMS_HIT", "STREAM_HIT", "PARTIAL_HIT"),
    "STALE": ("STALE", "UPDATING", "HIT-STALE"),
    "REVALIDATED": ("REVALIDATED", "REFRESHHIT", "TCP_REFRESH_HIT"),
    "SHIELD_HIT": ("SHIELD_HIT", "ORIGINSHIELDHIT", "REMOTE_HIT"),
    "MISS": ("MISS", "EXPIRED", "TCP_MISS", "TCP_REFRESH_MISS", "SCARCE"),
    "BYPASS": (
        "BYPASS", "DYNAMIC", "IGNORED", "PASS", "HITPASS", "PIPE", "CONFIG_NOCACHE",
        "PRIVATE_NOSTORE",
    ),
    "ERROR": ("ERROR",),
    "SYNTH": ("SYNTH", "REDIRECT", "HIT-SYNTH", "CONSTRUCTED"),
}  # fmt: skip


@dataclass
class Plan:
    """The SQL of a map: derived columns in order, canonical ones, and what a line must have.

    needed: groups of fields, one of each of which must have a value.
    """

    derived: dict[str, str] = field(default_factory=dict)
    canonical: dict[str, str] = field(default_factory=dict)
    needed: tuple[tuple[str, ...], ...] = ()

    def step(self, name: str, expression: str) -> str:
        """Add a derived column; return its name."""
        self.derived[name] = expression
        return name


def text_sql(rule: Rule, leaf: Leaf) -> str:
    """Return the SQL of a rule's text, before any unit."""
    values = [f"null_if_empty({leaf(p)})" for p in rule.from_]
    text = values[0] if len(values) == 1 else f"coalesce({', '.join(values)})"
    if not values:
        text = "null::varchar"
    if isinstance(rule, TextRule) and rule.join:
        joined = ", ".join(f"null_if_empty({leaf(p)})" for p in rule.join)
        text = f"nullif(concat_ws(',', {joined}), '')"
    if rule.pattern is not None:
        group = 1 if _has_group(rule.pattern) else 0
        text = f"nullif(regexp_extract({text}, {quote_literal(rule.pattern)}, {group}), '')"
    return text


def _has_group(pattern: str) -> bool:
    return re.search(r"(?<!\\)\((?!\?)|\(\?P?<(?![=!])", pattern) is not None


def _spoken(rule: CacheRule | FlagRule | TextRule, text: str, plain: str) -> str:
    """Return the SQL of a text through the words of a rule; `plain` is what else it may be."""
    if rule.const is not None:
        return _constant(rule.const)
    cases = " ".join(
        f"when {quote_literal(word)} then {_constant(value)}" for word, value in rule.values.items()
    )
    found = f"case {text} {cases} else {plain} end" if cases else plain
    return found if rule.otherwise is None else f"coalesce({found}, {_constant(rule.otherwise)})"


def _constant(value: str | bool | int) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else quote_literal(value)


def number_sql(rule: Rule, leaf: Leaf, kind: str = "double") -> str:
    """Return the SQL of a number as the log has it; a sum needs all its parts."""
    single = f"try_cast({text_sql(rule, leaf)} as {kind})"
    parts = getattr(rule, "sum", ())
    if not parts:
        return single
    added = " + ".join(f"try_cast(null_if_empty({leaf(p)}) as {kind})" for p in parts)
    return f"coalesce({added}, {single})" if rule.from_ else f"({added})"


def milliseconds(rule: DurationRule, leaf: Leaf) -> str:
    """Return the SQL of a duration in ms; nothing for what is no finite number."""
    value = number_sql(rule, leaf)
    scaled = value if rule.unit == "ms" else f"{value} * {_IN_MS[rule.unit]!r}"
    return f"nullif(nullif(nullif({scaled}, 'nan'), 'inf'), '-inf')"


def count_of_bytes(rule: BytesRule, leaf: Leaf) -> str:
    """Return the SQL of a count of bytes."""
    if rule.unit == "B":
        return number_sql(rule, leaf, "bigint")
    return f"try_cast(round({number_sql(rule, leaf)} * {_IN_BYTES[rule.unit]!r}) as bigint)"


def _epoch(text: str, unit: str) -> str:
    """Return the SQL of an instant from a number since 1970."""
    if unit == "ns":
        whole, per_second = f"try_cast({text} as bigint)", 1_000_000_000
        exact = f"make_timestamptz({whole} // 1000)"
    else:
        per_second = _PER_SECOND[unit]
        whole = f"try_cast({text} as double)"
        exact = f"make_timestamptz(cast(round({whole} * {1_000_000 // per_second}) as bigint))"
    return f"case when {whole} >= 0 and {whole} < {_END_S * per_second} then {exact} end"


def _written(text: str, zone: str) -> str:
    """Return the SQL of an instant from ISO 8601; a leap second is the last ms before it."""
    whole = f"""case when contains({text}, ':59:60') then
      regexp_replace({text}, ':59:60([.][0-9]*)?', ':59:59.999') else {text} end"""
    with_zone = f"try_cast({whole} as timestamptz)"
    if zone == "UTC":
        return f"case when isfinite({with_zone}) then {with_zone} end"
    local = _placed(f"try_cast({whole} as timestamp)", zone)
    return (
        f"case when contains({text}, ':') and regexp_matches({text}, {quote_literal(_HAS_ZONE)}) "
        f"then {with_zone} when isfinite(try_cast({whole} as timestamp)) then {local} end"
    )


def _placed(local: str, zone: str) -> str:
    minutes = offset_minutes(zone)
    if minutes is None:
        return f"timezone({quote_literal(zone)}, {local})"
    return f"timezone('UTC', {local} - to_minutes({minutes}))"


def instant_sql(rule: TimeRule, text: str) -> str:
    """Return the SQL of an instant from the name of its text column."""
    if rule.format is not None:
        found = f"try_strptime({text}, {quote_literal(rule.format)})"
        return found if "%z" in rule.format.lower() else _placed(found, rule.zone)
    if rule.unit == "iso":
        return _written(text, rule.zone)
    if rule.unit != "auto":
        return _epoch(text, str(rule.unit))
    number = f"abs(try_cast({text} as double))"
    return (
        f"case when {number} is null then "
        f"coalesce({_written(text, rule.zone)}, try_strptime({text}, {_COMMON_LOG_TIME})) "
        f"when {number} >= 1e17 then {_epoch(text, 'ns')} "
        f"when {number} >= 1e14 then {_epoch(text, 'us')} "
        f"when {number} >= 1e11 then {_epoch(text, 'ms')} else {_epoch(text, 's')} end"
    )


def _precision(rule: TimeRule, text: str) -> str:
    """Return the SQL of how exactly the vendor stamps."""
    whole = "end_s" if rule.stamp == "end" else "start_s"
    fraction = f"case when contains({text}, '.') then 'start_us' else '{whole}' end"
    if rule.format is not None:
        fine = "start_us" if "%f" in rule.format or "%n" in rule.format else "start_ms"
        is_fine = any(d in rule.format for d in ("%f", "%g", "%n"))
        return quote_literal(fine if is_fine else whole)
    if rule.unit in ("iso", "s"):
        return fraction
    if rule.unit == "auto":
        return (
            f"case when try_cast({text} as bigint) is null or contains({text}, '.') "
            f"then {fraction} when length({text}) > 14 then 'start_us' "
            f"when length({text}) > 11 then 'start_ms' else '{whole}' end"
        )
    return "'start_ms'" if rule.unit == "ms" else "'start_us'"


def cache_word(text: str) -> str:
    """Return the SQL of a vendor's cache word; Fastly's suffixes say stale or refreshed."""
    cases = " ".join(
        f"when {quote_literal(word)} then '{state}'"
        for state, words in _STATES.items()
        for word in words
    )
    return f"""case
      when contains({text}, '-') then case
        when starts_with({text}, 'HIT-SYNTH') then 'SYNTH'
        when contains({text}, '-REFRESH') then 'REVALIDATED'
        when starts_with({text}, 'HIT-') and contains({text}, '-STALE') then 'STALE'
        when starts_with({text}, 'HIT-') then 'HIT'
        when starts_with({text}, 'MISS-') then 'MISS'
        when starts_with({text}, 'PASS-') or starts_with({text}, 'HITPASS-')
          or starts_with({text}, 'PIPE-') then 'BYPASS'
        when starts_with({text}, 'ERROR-') or starts_with({text}, 'BG-ERROR-') then 'ERROR' end
      else case upper({text}) {cases} end end"""


def plan_of(fields: FieldMap, source: Source, leaf: Leaf, identity: str, doc: Mapping[str, str]
            ) -> Plan:  # fmt: skip
    """Return the SQL of a map.

    leaf: SQL of a field's text by path. identity: SQL of what makes a row itself. doc: derived
    columns that `leaf` reads.
    """
    plan = Plan(dict(doc))
    _add_times(plan, fields, leaf)
    _add_request(plan, fields, leaf)
    _add_cache(plan, fields, leaf)
    _add_numbers(plan, fields, leaf)
    _add_texts(plan, fields, leaf)
    customer = fields.customer
    plan.canonical["customer"] = (
        _spoken(customer, "w_customer", "w_customer")
        if customer and plan.step("w_customer", text_sql(customer, leaf))
        else sql.lookup("w_host", source.customers)
    )
    plan.canonical["query_raw"] = sql.allowed_query("w_query", source.privacy.query_allow)
    plan.canonical["row_key"] = sql.row_key([identity])
    plan.canonical["extra"] = sql.extra_map(
        {"host-port": "odd_port(w_host_given)"}
        | {name: f"null_if_empty({leaf(path)})" for name, path in fields.extra.items()}
    )
    needed = [fields.event_time.from_] if fields.event_time else []
    if fields.status and fields.status.const is None:
        needed.append(fields.status.from_)
    plan.needed = tuple(needed)
    return plan


def _add_times(plan: Plan, fields: FieldMap, leaf: Leaf) -> None:
    start, end, took = fields.event_time, fields.end_time, fields.duration_ms
    if start is None:
        raise ValueError("a map without event_time has no time of its rows")
    plan.step("w_status", _integer(fields.status, leaf) if fields.status else "0")
    plan.step("w_given", text_sql(start, leaf))
    plan.step("w_instant", instant_sql(start, "w_given"))
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
        ended = f"coalesce({instant_sql(end, 'w_end_given')}, {ended})"
    elif start.stamp == "end":
        ended = "w_instant"
    plan.step("w_end", ended)
    measured = "case when w_end >= event_time then epoch_us(w_end) - epoch_us(event_time) end"
    plan.canonical |= {
        "event_time_precision": _precision(start, "w_given"),
        "end_time": "w_end",
        "duration_ms": f"coalesce(w_took, {measured} / 1000.0)" if end else "w_took",
        "status": "w_status",
    }


def _add_request(plan: Plan, fields: FieldMap, leaf: Leaf) -> None:
    """Add scheme, host, path and query: by their own rules, else out of URL or request line."""

    def given(name: str, otherwise: str) -> str:
        rule: TextRule | None = getattr(fields, name)
        if rule is None:
            return otherwise
        text = plan.step(f"g_{name}", text_sql(rule, leaf))
        own = _spoken(rule, text, text)
        return own if otherwise == "null::varchar" else f"coalesce({own}, {otherwise})"

    line = plan.step("w_line", given("request_line", "null::varchar"))
    target = f"null_if_empty(split_part({line}, ' ', 2))" if fields.request_line else "null"
    url = plan.step("w_url", given("url", target))
    is_absolute = f"not starts_with({url}, '/') and contains(split_part({url}, '?', 1), '://')"
    plan.step(
        "w_after", f"case when {is_absolute} then substr({url}, strpos({url}, '://') + 3) end"
    )
    plan.step("w_authority", "regexp_extract(w_after, '^[^/?#]*')")
    plan.step("w_target", f"coalesce(substr(w_after, length(w_authority) + 1), {url})")
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
    of_url = "case when w_target in ('', '?') then '/' else without_query(w_target) end"
    plan.derived |= sql.path_steps(f"without_query({given('path', of_url)})")
    plan.step(
        "w_query",
        "nullif(ltrim("
        + given(
            "query",
            "case when contains(w_target, '?') then "
            "split_part(substr(w_target, strpos(w_target, '?') + 1), '#', 1) end",
        )
        + ", '?'), '')",
    )
    plan.canonical |= {
        "path_raw": "path_0",
        "path": "path_d",
        "object_type": "coalesce(object_type_of(path_d), 'other')",
        "stream_kind": "coalesce(stream_kind_of(path_d), 'other')",
        "cmcd": given("cmcd", "cmcd_of(w_query)"),
    }


def _add_cache(plan: Plan, fields: FieldMap, leaf: Leaf) -> None:
    rule = fields.cache_status
    state = "'UNKNOWN'"
    if rule is not None:
        plan.step("w_state", text_sql(rule, leaf))
        state = f"coalesce({_spoken(rule, 'w_state', cache_word('w_state'))}, 'UNKNOWN')"
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
    return f"coalesce({_spoken(rule, text, f'try_cast({text} as boolean)')}, {otherwise})"


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
        value = _spoken(rule, text, text)
        plan.canonical[name] = {
            "country": f"upper({value})",
            "referer": f"referer_of({value})",
        }.get(name, value)
        if name == "pop":
            plan.canonical["pop_iata"] = f"iata({value})"
