"""Usage files: CSV or Parquet of delivered bytes, as the relation that rating reads.

Belongs here: reading files, judging their rows, and the error that names file, row, column and
remedy. Does not: what a column may hold (usage_columns.py), nor what the usage costs (rating).

A CSV file is parsed once, into a Parquet file beside it in a folder of the caller: rating reads
usage several times, and parsing text costs ten times what reading columns does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from lake.contracts import Contract
from lake.reads import quote_identifier, quote_literal
from orchestration.usage_columns import (
    COLUMNS,
    NUMBERS,
    PARSED,
    UsageError,
    UsageFile,
    defects_sql,
    value_sql,
)

_HOURLY_FROM = 24
_SLOT_US = 300_000_000


@dataclass(frozen=True)
class _Facts:
    """What one look at all rows of a sound file tells."""

    rows: int
    slots: int
    scopes: int
    is_aligned: bool
    is_complete: bool


def show_usage(
    connection: duckdb.DuckDBPyConnection,
    files: Sequence[Path],
    contract: Contract,
    name: str,
    folder: Path,
) -> bool:
    """Create the relation `name` over usage files, as usage of the contract's vendor.

    folder: for what is made of CSV files; the relation reads it. Returns whether all that is
    measured is complete.
    """
    parts, known = [], []
    for number, file in enumerate(files):
        described = _describe(connection, file)
        if file.suffix != ".parquet":
            described = _parsed(connection, described, folder / f"{number}.parquet")
        facts = _check_rows(connection, described)
        parts.append(_select(described, contract.vendor, facts))
        known.append(facts)
    connection.execute(
        f"create or replace temp view {quote_identifier(name)} as {' union all '.join(parts)}"
    )
    if contract.needs_slots:
        _check_slots(connection, name, contract, known)
    return all(facts.is_complete for facts in known)


def _describe(connection: duckdb.DuckDBPyConnection, file: Path) -> UsageFile:
    if not file.is_file():
        raise UsageError(f"{file}: no such file; expected CSV or Parquet. Correct the path.")
    literal = quote_literal(str(file))
    if file.suffix == ".parquet":
        relation = f"read_parquet({literal})"
    else:
        relation = f"read_csv({literal}, header = true, all_varchar = true, null_padding = false)"
    try:
        rows = connection.execute(f"describe select * from {relation}").fetchall()
    except duckdb.Error as error:
        raise UsageError(
            f"{file}: {str(error).splitlines()[0]}; expected CSV with a header, or Parquet "
            "(named *.parquet). Save it as one of them."
        ) from error
    types = {str(r[0]).strip().lower(): str(r[1]) for r in rows}
    names = [str(r[0]) for r in rows]
    if unknown := [n for n in types if n not in COLUMNS]:
        raise UsageError(
            f"{file}: unknown column {unknown[0]!r}; expected only {', '.join(COLUMNS)}. "
            "Rename it or leave it out."
        )
    if "bytes" not in types or not {"slot_start", "period"} & set(types):
        raise UsageError(
            f"{file}: columns {', '.join(types)}; expected bytes and one of slot_start and period. "
            "Add what is missing."
        )
    if names != list(types):
        renamed = ", ".join(
            f"{quote_identifier(n)} as {quote_identifier(n.strip().lower())}" for n in names
        )
        relation = f"(select {renamed} from {relation})"
    return UsageFile(file, relation, types)


def _parsed(connection: duckdb.DuckDBPyConnection, file: UsageFile, copy: Path) -> UsageFile:
    """Write a CSV file's values as columns; what cannot be read is null there."""
    values = ", ".join(f"{value_sql(file, c)} as {quote_identifier(c)}" for c in file.types)
    literal = quote_literal(str(copy))
    try:
        connection.execute(f"copy (select {values} from {file.relation}) to {literal}")
    except duckdb.Error as error:
        raise _unreadable(file, error) from error
    types = {c: PARSED.get(c, "VARCHAR") for c in file.types}
    return UsageFile(file.path, f"read_parquet({literal})", types, file)


def _unreadable(file: UsageFile, error: duckdb.Error) -> UsageError:
    return UsageError(
        f"{file.path}: {str(error).splitlines()[0]}; expected rows with as many fields as the "
        "header. Correct the file."
    )


def _check_rows(connection: duckdb.DuckDBPyConnection, file: UsageFile) -> _Facts:
    any_bad = " or ".join(f"({condition})" for condition, _ in defects_sql(file).values())
    slot = value_sql(file, "slot_start") if "slot_start" in file.types else "null::timestamptz"
    scope = "scope" if "scope" in file.types else "null"
    share = value_sql(file, "completeness") if "completeness" in file.types else "1"
    try:
        row = connection.execute(
            f"select count(*), count({slot}), count({scope}), "
            f"bool_and(epoch_us({slot}) % {_SLOT_US} = 0), "
            f"count(*) filter (where {any_bad}), min({share}) from {file.relation}"
        ).fetchone()
    except duckdb.Error as error:
        raise _unreadable(file, error) from error
    rows, slots, scopes, is_aligned, bad, least = row or (0, 0, 0, None, 0, None)
    if bad:
        raise _first_bad(connection, file.given or file)
    return _Facts(rows, slots, scopes, bool(is_aligned), least is None or least == 1)


def _first_bad(connection: duckdb.DuckDBPyConnection, file: UsageFile) -> UsageError:
    """Return the error that names the first row that cannot be rated."""
    checks = defects_sql(file)
    any_bad = " or ".join(f"({condition})" for condition, _ in checks.values())
    flags = ", ".join(f"({c}) as bad_{n}" for n, (c, _) in checks.items())
    shown = ", ".join(quote_identifier(n) for n in checks)
    found = connection.execute(
        f"select row_no, {shown}, {flags} from (select *, row_number() over () as row_no "
        f"from {file.relation}) where {any_bad} order by row_no limit 1"
    ).fetchone()
    for at, (column, (_, expected)) in enumerate(checks.items(), 1):
        if found is not None and found[len(checks) + at]:
            return UsageError(
                f"{file.path}: row {found[0]}: {column}: {found[at]!r}; expected {expected}. "
                "Correct it."
            )
    return UsageError(
        f"{file.path}: a row that cannot be rated is gone; expected a file that nobody writes. "
        "Rate it when it is whole."
    )


def _select(file: UsageFile, vendor: str, facts: _Facts) -> str:
    """Return the usage of a checked file; columns that are right as they are stay bare."""
    texts = {
        column: f"nullif({value_sql(file, column)}, '')" if column in file.types else "null"
        for column in ("pop", "region", "scheme")
    }
    scope = value_sql(file, "scope") if "scope" in file.types else "''"
    if facts.scopes < facts.rows:
        scope = f"coalesce({scope}, '')"
    numbers = {c: quote_identifier(c) if c in file.types else "0" for c in NUMBERS}
    slot = value_sql(file, "slot_start") if facts.slots else "null"
    if file.types.get("slot_start") == PARSED["slot_start"] and facts.slots:
        slot = "slot_start"
    if facts.slots and not facts.is_aligned:
        slot = f"make_timestamptz(epoch_us({slot}) // {_SLOT_US} * {_SLOT_US})"
    period = "null"
    if facts.slots < facts.rows:
        period = f"case when ({slot}) is null then {value_sql(file, 'period')} end"
    completeness = "1000000"
    if "completeness" in file.types:
        completeness = f"cast(({value_sql(file, 'completeness')}) * 1000000 as integer)"
    return (
        f"select {quote_literal(vendor)} as vendor, cast({scope} as varchar) as scope, "
        + ", ".join(f"cast({sql} as varchar) as {column}" for column, sql in texts.items())
        + f", cast({slot} as timestamptz) as slot_start, cast({period} as date) as period, "
        + ", ".join(f"cast({numbers[c]} as bigint) as {c}" for c in ("requests", "bytes"))
        + f", cast({numbers['bytes_in']} as bigint) as bytes_in, "
        + f"{completeness} as completeness_ppm from {file.relation}"
    )


def _check_slots(
    connection: duckdb.DuckDBPyConnection, name: str, contract: Contract, known: Sequence[_Facts]
) -> None:
    """Refuse sums of hours or months where samples of five minutes are billed."""
    if without := sum(facts.rows - facts.slots for facts in known):
        raise UsageError(
            f"usage: {without} rows are sums of a month; {contract.contract_id} bills samples of "
            "five minutes. Give slot_start instead of period."
        )
    usage = quote_identifier(name)
    if connection.execute(
        f"select 1 from {usage} where epoch_us(slot_start) % 3600000000 <> 0 limit 1"
    ).fetchone():
        return
    row = connection.execute(f"select count(distinct slot_start) from {usage}").fetchone()
    slots = row[0] if row else 0
    if slots >= _HOURLY_FROM:
        raise UsageError(
            f"usage: all {slots} samples lie on full hours; {contract.contract_id} bills samples "
            "of five minutes, and an hour's sum would count as one of them. Give five-minute sums."
        )
