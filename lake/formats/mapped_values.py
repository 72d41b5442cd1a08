"""The SQL of one value of a field map: text, number, duration, bytes, instant, cache word.

Belongs here: units, zones and the vendors' words. Does not: which column a value becomes
(lake/formats/mapped.py). All text of a source file is quoted.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from lake.field_map import (
    BytesRule,
    CacheRule,
    DurationRule,
    FlagRule,
    Rule,
    TextRule,
    TimeRule,
)
from lake.field_words import offset_minutes
from lake.reads import quote_literal

#: gives the SQL of a field's text by its path
Leaf = Callable[[str], str]

_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000}
#: unit -> ms
IN_MS = {"ns": 1e-6, "us": 1e-3, "ms": 1.0, "s": 1e3, "min": 6e4, "h": 3.6e6}
#: unit -> bytes; B itself is not there
IN_BYTES = {
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


def text_sql(rule: Rule, leaf: Leaf, between: str = ",") -> str:
    """Return the SQL of a rule's text, before any unit; between: what joins several."""
    values = [f"null_if_empty({leaf(p)})" for p in rule.from_]
    text = values[0] if len(values) == 1 else f"coalesce({', '.join(values)})"
    if not values:
        text = "null::varchar"
    if isinstance(rule, TextRule) and rule.join:
        joined = ", ".join(f"null_if_empty({leaf(p)})" for p in rule.join)
        text = f"nullif(concat_ws({quote_literal(between)}, {joined}), '')"
    if isinstance(rule, TimeRule) and rule.join:  # a date without its time is no instant
        text = " || ' ' || ".join(f"null_if_empty({leaf(p)})" for p in rule.join)
        text = f"({text})"
    if rule.pattern is not None:
        group = 1 if _has_group(rule.pattern) else 0
        text = f"nullif(regexp_extract({text}, {quote_literal(rule.pattern)}, {group}), '')"
    return text


def _has_group(pattern: str) -> bool:
    return re.search(r"(?<!\\)\((?!\?)|\(\?P?<(?![=!])", pattern) is not None


def spoken(rule: CacheRule | FlagRule | TextRule, text: str, plain: str) -> str:
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
    scaled = value if rule.unit == "ms" else f"{value} * {IN_MS[rule.unit]!r}"
    return f"nullif(nullif(nullif({scaled}, 'nan'), 'inf'), '-inf')"


def count_of_bytes(rule: BytesRule, leaf: Leaf) -> str:
    """Return the SQL of a count of bytes."""
    if rule.unit == "B":
        return number_sql(rule, leaf, "bigint")
    return f"try_cast(round({number_sql(rule, leaf)} * {IN_BYTES[rule.unit]!r}) as bigint)"


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


def _without_leap(text: str) -> str:
    """Return the SQL of a time without its leap second: that is the last ms before it."""
    return f"""case when contains({text}, ':59:60') then
      regexp_replace({text}, ':59:60([.][0-9]*)?', ':59:59.999') else {text} end"""


def _written(text: str, zone: str) -> str:
    """Return the SQL of an instant from ISO 8601; reads the columns of `instant_steps`."""
    with_zone = f"{text}_zoned"
    if zone == "UTC":
        return f"case when isfinite({with_zone}) then {with_zone} end"
    whole = _without_leap(text)
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


def instant_steps(rule: TimeRule, text: str) -> dict[str, str]:
    """Return the columns that `instant_sql` reads besides the text, by names made of the text's.

    They are columns because conditions look at them again and again: `nullif` alone computes what
    it is given twice.
    """
    if rule.format is not None or rule.unit not in ("auto", "iso"):
        return {}
    steps = {f"{text}_zoned": f"try_cast({_without_leap(text)} as timestamptz)"}
    if rule.unit == "auto":
        # most times hold a colon, which is cheaper to see than that they are no number
        number = f"abs(try_cast({text} as double))"
        steps[f"{text}_number"] = f"case when not contains({text}, ':') then {number} end"
    return steps


def instant_sql(rule: TimeRule, text: str) -> str:
    """Return the SQL of an instant from the name of its text column and its `instant_steps`."""
    if rule.format is not None:
        found = f"try_strptime({text}, {quote_literal(rule.format)})"
        return found if "%z" in rule.format.lower() else _placed(found, rule.zone)
    if rule.unit == "iso":
        return _written(text, rule.zone)
    if rule.unit != "auto":
        return _epoch(text, str(rule.unit))
    number = f"{text}_number"
    return (
        f"case when {number} is null then "
        f"coalesce({_written(text, rule.zone)}, try_strptime({text}, {_COMMON_LOG_TIME})) "
        f"when {number} >= 1e17 then {_epoch(text, 'ns')} "
        f"when {number} >= 1e14 then {_epoch(text, 'us')} "
        f"when {number} >= 1e11 then {_epoch(text, 'ms')} else {_epoch(text, 's')} end"
    )


def precision_sql(rule: TimeRule, text: str) -> str:
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
