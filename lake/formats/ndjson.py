"""Reading newline-delimited JSON: DuckDB's typed reader, and the judge of single lines.

DuckDB coerces where JSON's type differs from the declared one ("8" -> 8, 7.6 -> 8, true -> 1)
and takes the first of equal keys; the judge does the same, so that a line means the same on both
ways. Keys that are not declared are not read: the layout names those it saw in the head of the
file. Text that is not quite JSON (a comma before the closing brace) passes the typed reader alone.

A declared key may be a path of keys joined by `/` (`httpRequest/status`): objects in objects are
read as structs and become flat columns of that name. What stands where an object is declared and
is none reads as null, and so do all paths through it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from lake.formats.base import Judgement, Layout, Reject, Row, Skip
from lake.jsonpaths import leaves, parents_of, undeclared, value_at
from lake.reads import quote_identifier, quote_literal

_SAMPLE_LINES = 200
#: DuckDB allocates and fills twice as much at a time: small enough to stay in caches
_MIN_OBJECT = 1024 * 1024
_WHOLE = ("BIGINT", "INTEGER")
_MAX_DIGITS = 400  # a longer number is infinite for every purpose, and slow to make exact


def layout_of(
    head: bytes,
    fields: Mapping[str, str],
    required: tuple[str, ...],
    nulls: tuple[str, ...] = ("",),
    left_out: tuple[str, ...] = (),
) -> Layout:
    """Return the layout of a file from its head.

    fields: declared key or path -> DuckDB type. A number or flag that the sampled lines do not all
    have is read as text and tried, because the typed reader turns a wrong type into null silently.
    nulls: texts that stand for nothing. left_out: keys that are known and not read.
    """
    parents = parents_of(fields)
    known = {*fields, *left_out}
    numbers = {n for n, kind in fields.items() if kind != "VARCHAR" and n not in required}
    always, others = set(numbers), set[str]()
    lines = 0
    for line in head.split(b"\n")[:_SAMPLE_LINES]:
        try:
            found = json.loads(line.decode())
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            lines += 1
            # most formats have no objects in objects: their keys are the paths
            values = dict(leaves(found, parents)) if parents else found
            others.update(n for n in values.keys() - known if not _is_null(values[n], nulls))
            always -= {n for n in always if _is_null(values.get(n), nulls)}
    columns: dict[str, str] = {}
    as_text: dict[str, str] = {}
    typed: list[str] = []
    for name, kind in fields.items():
        if name not in numbers or (lines and name in always):
            columns[name] = kind
            if name in required or kind != "VARCHAR":
                typed.append(name)
        else:
            columns[name] = "VARCHAR"
            as_text[name] = kind
    unknown = tuple(sorted(undeclared(others, (*fields, *left_out))))
    seen = frozenset(typed) - set(required)
    return Layout(columns, tuple(typed), as_text, unknown=unknown, nulls=nulls, seen=seen)


def _is_null(value: object, nulls: Collection[str]) -> bool:
    return value is None or value in nulls


def read_sql(path: str, layout: Layout, longest_line: int) -> str:
    """Return the typed read of an NDJSON file: one row per line that is not blank, in order."""
    columns, picked = columns_of(layout.columns)
    return (
        f"select row_number() over () as rn, {picked} from read_ndjson({quote_literal(path)}, "
        f"columns={{{columns}}}, ignore_errors=true, records=true, "
        f"maximum_object_size={_object_limit(longest_line)}) raw"
    )


def objects_sql(path: str, shape: Mapping[str, Any], longest_line: int) -> str:
    """Return the read of an NDJSON file as one struct `doc`; shape: key -> type or shape."""
    columns = ", ".join(f"{quote_literal(k)}: {quote_literal(_type(t))}" for k, t in shape.items())
    return (
        f"select doc from read_ndjson({quote_literal(path)}, columns={{{columns}}}, "
        "ignore_errors=true, records=true, "
        f"maximum_object_size={_object_limit(longest_line)}) doc"
    )


def columns_of(fields: Mapping[str, str]) -> tuple[str, str]:
    """Return what to read of paths and types (`columns`), and what to select of it (from `raw`)."""
    tree: dict[str, Any] = {}
    picked = []
    for name, kind in fields.items():
        *parents, last = name.split("/")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = kind
        steps = ".".join(quote_identifier(step) for step in (*parents, last))
        picked.append(f"raw.{steps} as {quote_identifier(name)}")
    columns = ", ".join(f"{quote_literal(c)}: {quote_literal(_type(t))}" for c, t in tree.items())
    return columns, ", ".join(picked)


def _type(node: str | Mapping[str, Any]) -> str:
    if isinstance(node, str):
        return node
    members = ", ".join(f"{quote_identifier(n)} {_type(t)}" for n, t in node.items())
    return f"STRUCT({members})"


def _object_limit(longest_line: int) -> int:
    """Return a limit that few files differ in, so that prepared statements are shared."""
    limit = _MIN_OBJECT
    while limit < longest_line + 16:
        limit *= 4
    return limit


def _integer(text: str) -> int | float:
    return int(text) if len(text) < _MAX_DIGITS else float(text)


def _first_of_equal_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    return dict(reversed(pairs))


def _text(value: object, kind: str, column: str, nulls: Collection[str]) -> str | None:
    """Return the text that casts to what the typed reader makes of a value; raises TypeError.

    kind: declared type. column: type of the layout's column, VARCHAR where the number is tried.
    """
    if value is None or (kind != "VARCHAR" and isinstance(value, str) and value in nulls):
        return None
    if isinstance(value, str):
        return value
    if kind == "VARCHAR":
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if not isinstance(value, int | float):
        raise TypeError(kind)
    if kind == "BOOLEAN":
        return "true" if value else "false"
    if isinstance(value, bool):
        return str(int(value))
    if kind in _WHOLE and kind == column and isinstance(value, float):
        return str(round(value))
    return repr(value)


def _encodes(value: object) -> bool:
    """Tell whether all text is UTF-8: JSON can escape half a surrogate pair, Parquet cannot."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError):
        return False
    return True


def record_in(line: bytes) -> dict[str, object] | Reject | Skip:
    """Return the JSON object that a line is, or what it is instead."""
    if not line.strip():
        return Skip.BLANK
    if b"\0" in line:
        return Reject("nul_byte")
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        return Reject("bad_utf8")
    return object_of(text)


def object_of(text: str) -> dict[str, object] | Reject:
    """Return the object that a text is, the first of equal keys, or why it is none."""
    try:
        found = json.loads(text, parse_int=_integer, object_pairs_hook=_first_of_equal_keys)
    except (ValueError, RecursionError):
        return Reject("invalid_json")
    if "\\u" in text and not _encodes(found):
        return Reject("bad_utf8")
    return found if isinstance(found, dict) else Reject("not_an_object")


def judge_record(
    found: Mapping[str, object],
    fields: Mapping[str, str],
    layout: Layout,
    required: tuple[str, ...],
) -> Row | Reject:
    """Judge a record's fields; values come back as text that casts to the layout's columns."""
    values: dict[str, str | None] = {}
    for name, kind in fields.items():
        try:
            value = value_at(found, name.split("/")) if "/" in name else found.get(name)
            text = _text(value, kind, layout.columns[name], layout.nulls)
        except (TypeError, ValueError, OverflowError):
            return Reject("wrong_type")
        values[name] = None if text in layout.nulls and text != "" else text
        if not values[name] and name in required:
            return Reject("missing_field")
    return Row(values)


def judge(
    line: bytes, fields: Mapping[str, str], layout: Layout, required: tuple[str, ...]
) -> Judgement:
    """Judge one NDJSON line; values come back as text that casts to the layout's columns."""
    found = record_in(line)
    return judge_record(found, fields, layout, required) if isinstance(found, dict) else found
