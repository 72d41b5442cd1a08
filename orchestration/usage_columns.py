"""The columns of a usage file: what each may hold, and the SQL that reads and judges it.

Belongs here: one column of one row. Does not: files (usage_files.py).

Columns: `bytes`, and `slot_start` (an instant; without an offset it is UTC) or `period` (a month,
2026-03). Optional: `scope` (a customer or domain), `requests`, `bytes_in`, `region`, `pop`,
`scheme` (http or https), `completeness` (from above 0 to 1). Rows of the same slot and scope add
up, so their order and how they are spread over files make no difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lake.reads import quote_identifier

_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER",
          "UBIGINT", "HUGEINT")  # fmt: skip
_TEXTS = ("scope", "region", "pop", "scheme")
NUMBERS = ("bytes", "requests", "bytes_in")
#: what a CSV file's columns are parsed as; the others are texts
PARSED = {"slot_start": "TIMESTAMP WITH TIME ZONE", "period": "DATE",
           "completeness": "DECIMAL(9,6)"} | dict.fromkeys(NUMBERS, "BIGINT")  # fmt: skip
COLUMNS = ("slot_start", "period", *NUMBERS, *_TEXTS, "completeness")


class UsageError(RuntimeError):
    """A usage file that cannot be rated; names file, row, column, finding and remedy."""


@dataclass(frozen=True)
class UsageFile:
    """relation: what is rated. given: the file as it came, whose rows an error counts."""

    path: Path
    relation: str
    types: Mapping[str, str]
    given: UsageFile | None = None


def value_sql(file: UsageFile, column: str) -> str:
    """Return the SQL of a column's value: null where it is missing or cannot be read."""
    kind = file.types.get(column)
    name = quote_identifier(column)
    if kind is None:
        return "0" if column in ("requests", "bytes_in") else "null"
    if column in NUMBERS:
        if kind in _WHOLE:
            return f"case when {name} >= 0 then try_cast({name} as bigint) end"
        if kind != "VARCHAR":
            raise UsageError(
                f"{file.path}: {column} is a {kind}; expected whole numbers. Write it as integers: "
                "a binary fraction is no count of bytes."
            )
        # a cast alone would read 1e3, 1_000 and 0x10 too
        digits = f"regexp_full_match({name}, ' *[0-9]{{1,19}} *')"
        number = f"case when {digits} then try_cast({name} as bigint)"
        if column == "bytes":
            return f"{number} end"
        return f"{number} when {name} is null or trim({name}) = '' then 0 end"
    if column == "slot_start":
        return f"try_cast({name} as timestamptz)"
    if column == "period":
        if kind == "DATE":
            return f"case when day({name}) = 1 then {name} end"
        return (
            f"case when regexp_full_match({name}, '[0-9]{{4}}-[0-9]{{2}}(-01)?') "
            f"then try_cast(left({name}, 7) || '-01' as date) end"
        )
    if column == "completeness":
        share = f"try_cast({name} as decimal(9, 6))"
        if file.given is not None:  # null: it could not be read
            return share
        return f"case when {name} is null then 1 when {share} > 0 and {share} <= 1 then {share} end"
    return f"cast({name} as varchar)"


def defects_sql(file: UsageFile) -> dict[str, tuple[str, str]]:
    """Return by column: the condition of a row that cannot be rated, and what was expected."""
    checks = {
        column: (
            f"{column} is null or {column} < 0"  # cheaper, for large files
            if file.types[column] == "BIGINT"
            else f"({value_sql(file, column)}) is null",
            "a whole number of at least 0",
        )
        for column in NUMBERS
        if column in file.types
    }
    if "completeness" in file.types:
        wrong = f"({value_sql(file, 'completeness')}) is null"
        checks["completeness"] = (wrong, "a share above 0 and up to 1")
    slot, period = (value_sql(file, c) for c in ("slot_start", "period"))
    if "slot_start" in file.types and "period" in file.types:
        checks["slot_start"] = (
            f"({slot}) is null and ({period}) is null",
            "an instant such as 2026-03-01T00:05:00Z, or a period",
        )
    elif "slot_start" in file.types:
        checks["slot_start"] = (
            f"({slot}) is null",
            "an instant such as 2026-03-01T00:05:00Z",
        )
    else:
        checks["period"] = (f"({period}) is null", "a month such as 2026-03")
    if "scheme" in file.types:
        wrong = "scheme is not null and scheme not in ('', 'http', 'https')"
        checks["scheme"] = (wrong, "http, https or nothing")
    return checks
