"""CMCD keys (CTA-5004, version 1 and 2): what kind each is, and the SQL of one `key=value`.

Belongs here: what one pair of a dictionary says, and where it strays from the specification. Does
not: how a text is cut into pairs (lake/cmcd) or what the columns mean (lake/records).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from pyiceberg.types import BooleanType, DoubleType, LongType

from lake.cmcd_columns import CMCD, CMCD_V2

#: keys that are known and not kept: they hold URLs, hosts and ranges
UNKEPT = ("cmsdd", "cmsds", "h", "nor", "nrr", "smrt", "ttfbb", "url")
#: columns that hold the audio's value where version 2 gives one per object type: column -> key
OF_AUDIO = {"br_audio": "br", "bl_audio": "bl", "pb_audio": "pb"}
COLUMNS = {f.name: f.field_type for f in (*CMCD.fields, *CMCD_V2.fields)}
#: every known key in the order that a dictionary has to have
KEYS = tuple(sorted({*COLUMNS, *UNKEPT} - set(OF_AUDIO)))
CODES = {key: code for code, key in enumerate(KEYS, 1)}

_V1 = "bl br bs cid d dl mtp nor nrr ot pr rtp sf sid st su tb v".split()  # noqa: SIM905
_ROUNDED = "bl dl mtp rtp tbl".split()  # noqa: SIM905
_DECIMALS = "br tb pr ab tab lab lb tpb pb".split()  # noqa: SIM905
_TOTALS = ("bsd",)  # a list of durations, of which the sum is kept
_LONGEST = {"sid": 64, "cid": 128, "cdn": 128, "cen": 64}
#: what a token may say
_VOCABULARY = {
    "ot": "m a v av i c tt k o", "sf": "d h s o e", "st": "v l ll", "sta": "s p k r a w e f q d",
    "e": "abs abe ae as b bc c ce e h m pc pe pr ps rr sk t um",
}  # fmt: skip
_TOKENS = tuple(_VOCABULARY)

#: deviations from the specification, as ops and people read them; the order is that of the bits
DEVIATIONS = (
    "decimal",  # a fraction where whole numbers are asked
    "unrounded",  # not rounded to the nearest hundred
    "unquoted",  # text without quotes
    "quoted",  # a number, flag or token in quotes
    "wrong_type",  # a value that does not read as its key's type: null here
    "too_long",  # an identifier beyond its limit
    "custom_key",  # a key of somebody's own (it has a hyphen): its value is not kept
    "unknown_key",  # a key of nobody
    "bad_syntax",  # a quote, list or percent escape that does not end; a number as 1e5 or .5
    "half_encoded",  # a query whose quotes are percent-encoded and whose commas are not
    "unsorted",  # keys out of alphabetical order
    "repeated_key",  # the last counts
    "missing_version",  # keys or lists of version 2 without v=2
    "unknown_token",  # a token that says nothing the specification knows: kept as it is
    "encoded_twice",  # percent-encoded once more than a query is
)
BIT = {word: 1 << at for at, word in enumerate(DEVIATIONS)}


def kind_of(column: str) -> str:
    """Return which column of the pairs a column of the struct is taken from."""
    if column in OF_AUDIO:
        return "audio" if isinstance(COLUMNS[column], DoubleType) else "audio_whole"
    if column in _TOTALS:
        return "total"
    kind = COLUMNS[column]
    if isinstance(kind, BooleanType):
        return "flag"
    if isinstance(kind, LongType):
        return "bigint"
    return "double" if isinstance(kind, DoubleType) else "text"


def key_of(column: str) -> str:
    """Return the key that a column of the struct comes from."""
    return OF_AUDIO.get(column, column)


_WHOLE = [c for c in KEYS if c in COLUMNS and c not in _DECIMALS and kind_of(c) == "bigint"]
_STRINGS = [c for c in KEYS if c in COLUMNS and kind_of(c) == "text" and c not in _TOKENS]
#: what a key is, as bits: one look-up by its code, where lists of codes were joins to DuckDB
_TRAITS: Mapping[str, Collection[str]] = {
    "number": [c for c in COLUMNS if kind_of(c) in ("bigint", "double", "total")],
    "whole": _WHOLE,
    "rounded": _ROUNDED,
    "token": _TOKENS,
    "string": _STRINGS,
    "flag": [c for c in COLUMNS if kind_of(c) == "flag"],
    "total": _TOTALS,
    "later": set(KEYS) - set(_V1),
}
_OF_KEY = [sum(1 << n for n, t in enumerate(_TRAITS) if k in _TRAITS[t]) for k in ("", *KEYS)]
_OF_KEY[0] = 0


def _is(trait: str) -> str:
    """Return the SQL of whether the key of a row has a trait."""
    return f"traits & {1 << list(_TRAITS).index(trait)} > 0"


_LIMITS = " ".join(f"when {CODES[k]} then {n}" for k, n in _LONGEST.items())
_SAID = " ".join(
    f"when {CODES[k]} then value in ({', '.join(map(repr, words.split()))})"
    for k, words in _VOCABULARY.items()
)


def item_of(raw: str, *types: str) -> str:
    """Return the SQL of the item of an inner list that belongs to one of these object types."""
    wanted = "|".join(types)
    return (
        f"nullif(regexp_extract({raw}, "
        rf"'[( +]([^;() +]+)(?:;[ +]*[^; +()]*)*;[ +]*ot=\"?(?:{wanted})\"?[;) +]', 1), '')"
    )


_FIRST = r"regexp_extract(raw, '^\([ +]*([^;() +]*)', 1)"


def texts_of(raw: str) -> str:
    """Return the SQL of the texts of a list, or of one, with a space between."""
    texts = f"""array_to_string(regexp_extract_all({raw}, '"((?:[^"\\\\]|\\\\.)*)"', 1), ' ')"""
    return (
        f"case when contains({raw}, '\\') then regexp_replace({texts}, '\\\\(.)', '\\1', 'g') "
        f"when contains({raw}, '\"') then {texts} else trim({raw}, '() ') end"
    )


_ITEM = f"""case when starts_with(raw, '(') then
    case when {_is("string")} then {texts_of("raw")}
      else coalesce({item_of("raw", "v", "av")}, {_FIRST}) end
  when not contains(raw, ';') then raw
  when starts_with(raw, '"') then
    coalesce(nullif(regexp_extract(raw, '^"(?:[^"\\\\]|\\\\.)*"'), ''), raw)
  else split_part(raw, ';', 1) end"""
_VALUE = rf"""case when not contains(item, '"') then item
  when starts_with(raw, '(') and {_is("string")} then item
  when contains(item, '\') and starts_with(item, '"') then
    regexp_replace(item[2:case when ends_with(item, '"') then -2 else -1 end], '\\(.)', '\1', 'g')
  else replace(item, '"', '') end"""
_AUDIO_ITEM = item_of("raw", "a")
_AUDIO = f"case when starts_with(raw, '(') then try_cast({_AUDIO_ITEM} as double) end"
_TOTAL = rf"""case when not ({_is("total")}) then null
  when starts_with(raw, '(') then
    list_sum(list_transform(regexp_extract_all(raw, '[( +]([0-9.]+)', 1),
      lambda x: coalesce(try_cast(x as bigint), 0)))
  else try_cast(value as bigint) end"""
_FLAG = """case when not has_value or value in ('?1', '1', 'true') then true
  when value in ('?0', '0', 'false') then false end"""

_ODD = "(length({0}) - length(replace({0}, '\"', ''))) % 2 = 1"
_WITHOUT_ESCAPED = r"regexp_replace(pair, '\\.', '', 'g')"

#: an Integer or a Decimal of RFC 8941, of any length
_NUMBER = r"-?[0-9]+(\.[0-9]+)?"

_FLAWS = f"""case when code = 0 then
    case when is_broken or key = '' and not has_value then 0
      when contains(key, '-') then {BIT["custom_key"]}
      else {BIT["unknown_key"]} end
  when {_is("number")} then
    case when double is null and total is null or {_is("whole")} and bigint is null
        and total is null then {BIT["wrong_type"]} else
      case when {_is("whole")} and contains(value, '.')
        then {BIT["decimal"]} else 0 end
      + case when {_is("rounded")} and bigint % 100 <> 0
        then {BIT["unrounded"]} else 0 end
      + case when total is null and not regexp_full_match(value, '{_NUMBER}')
        then {BIT["bad_syntax"]} else 0 end
      + case when contains(raw, '"') and not starts_with(raw, '(')
        then {BIT["quoted"]} else 0 end end
  when {_is("token")} then
    case when value = '' then {BIT["wrong_type"]} else
      case when contains(raw, '"') then {BIT["quoted"]} else 0 end
      + case when case code {_SAID} end then 0 else {BIT["unknown_token"]} end end
  when {_is("string")} then
    case when value = '' then {BIT["wrong_type"]} when not contains(raw, '"')
      then {BIT["unquoted"]} else 0 end
    + case when length(value) > case code {_LIMITS} end then {BIT["too_long"]} else 0 end
  when {_is("flag")} then
    case when flag is null then {BIT["wrong_type"]} when contains(raw, '"') then {BIT["quoted"]}
      when has_value and value not in ('?0', '?1') then {BIT["wrong_type"]} else 0 end
  else 0 end
  + case when is_broken or is_open or
      (starts_with(raw, '(') and not contains(raw, ')')) then {BIT["bad_syntax"]} else 0 end
  + case when ({_is("later")}) or starts_with(raw, '(')
      then {BIT["missing_version"]} else 0 end"""


def pairs_sql(table: str, once: str, pair: str, doubtful: str) -> str:
    """Return the query of distinct pairs: which key each has, and its value as every type.

    table: rn and pair, as it was cut out. once: SQL that brings it to what a query holds. pair: SQL
    of `once` decoded. doubtful: SQL of whether `pair` is cut wrongly. is_careful tells of a pair
    that is, or that a comma inside its quotes may have cut.
    """
    return f"""
      select cast(code as smallint) as code,
        is_doubtful or is_odd or contains(pair, '\\') as is_careful,
        double, bigint, flag, nullif(value, '') as text, audio,
        cast(audio as bigint) as audio_whole,
        cast(total as bigint) as total, cast({_FLAWS} as smallint) as flaws
      from (select *, {_TOTAL} as total
      from (select *, {_FLAG} as flag, {_AUDIO} as audio,
        case when isfinite(try_cast(value as double)) then try_cast(value as double) end as double,
        try_cast(value as bigint) as bigint
      from (select *, {_VALUE} as value
      from (select *, {_ITEM} as item
      from (select *, cast({_OF_KEY} as integer[])[code + 1] as traits
      from (select *, coalesce(list_position({list(KEYS)}, key), 0) as code,
          case when has_value then trim(substr(pair, strpos(pair, '=') + 1)) else '' end as raw
      from (select *, trim(split_part(named, ';', 1)) as key,
          contains(pair, '=') and not contains(named, ';') as has_value,
          {_ODD.format("pair")} as is_odd,
          case when not contains(pair, '\\') then {_ODD.format("pair")}
            else {_ODD.format(_WITHOUT_ESCAPED)} end as is_open
      from (select *, split_part(pair, '=', 1) as named
      from (select rn, {pair} as pair, is_doubtful,
          contains(once, '%') and try(url_decode(once)) is null as is_broken
      from (select rn, {once} as once, {doubtful} as is_doubtful
      from {table}))))))))))
      order by rn"""
