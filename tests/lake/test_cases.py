"""The case tables: one line among good ones, by the fast read and by the judge alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from lake.formats import FAMILIES

CASES = Path(__file__).parent / "cases"
PERIOD = {
    "not_before": datetime(2026, 11, 16, tzinfo=UTC),
    "not_after": datetime(2026, 11, 17, tzinfo=UTC),
}


class PlainLoader(yaml.SafeLoader):
    """Reads dates as the text that a log holds."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [r for r in resolvers if r[0] != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def load(family: str) -> Any:
    return yaml.load((CASES / f"{family}.yaml").read_text(), PlainLoader)


def cases() -> list[Any]:
    return [
        pytest.param(family, number, case, id=f"{family}-{number}")
        for family in FAMILIES
        for number, case in enumerate(load(family), 1)
    ]


def plain(value: Any) -> Any:
    """Return a value as YAML holds it."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, list):
        return dict(value) if isinstance(value[0], tuple) else value
    if isinstance(value, dict):
        return {k: v for k, v in value.items() if v is not None}
    return value


def line_of(family: str, case: dict[str, Any], make: Any) -> bytes:
    if "bytes" in case:
        return str(case["bytes"]).encode("latin-1")
    line = bytes(make.line(family, case.get("set", {}), case.get("drop", ())))
    if "bytes_in" in case:
        (name, text), *_ = case["bytes_in"].items()
        line = make.line(family, {name: "@@"}).replace(b"@@", text.encode("latin-1"))
    if "raw" in case:
        shown = dict.fromkeys(case["raw"], "@@")
        line = make.line(family, shown)
        for name, text in case["raw"].items():
            line = line.replace(f'{json.dumps(name)}:"@@"'.encode(), f'"{name}":{text}'.encode())
    if "keep" in case:
        line = b"\t".join(line.split(b"\t")[: case["keep"]])
    if "tail" in case:
        line = line[:-1] + case["tail"].encode()
    return line + case.get("append", "").encode()


@pytest.fixture(scope="module")
def found(parse, make):
    """Parse all cases of a family as one file, good lines between them; `alone` ones by itself."""
    known: dict[tuple[str, bool, int], tuple[Any, int]] = {}

    def of(family: str, number: int, judged: bool) -> tuple[Any, int]:
        if (family, judged, number) not in known:
            table = dict(enumerate(load(family), 1))
            alone = {n for n, case in table.items() if case.get("alone")}
            chosen = [number] if number in alone else [n for n in table if n not in alone]
            lines = [make.numbered(family, 0)]
            for n in chosen:
                lines += [line_of(family, table[n], make), make.numbered(family, n)]
            data = make.file(family, lines)
            result = parse(family, data, judged=judged, **PERIOD)
            result.check_accounts(data)
            first = make.header(family).count(b"\n") + 1
            good = {row["source_line"] for row in result.rows}
            assert good.issuperset(range(first, first + len(lines), 2))
            for i, n in enumerate(chosen):
                known[family, judged, n] = result, first + 1 + 2 * i
        return known[family, judged, number]

    return of


@pytest.mark.parametrize(("family", "number", "case"), cases())
@pytest.mark.parametrize("judged", [False, True], ids=["fast", "judged"])
def test_a_line_becomes_what_its_case_says(family, number, case, judged, found):
    result, line = found(family, number, judged)
    rows = [
        {k: plain(v) for k, v in row.items()} for row in result.rows if row["source_line"] == line
    ]
    assert result.reasons.get(line) == case.get("reject")
    if "expect" in case:
        assert {k: rows[0][k] for k in case["expect"]} == case["expect"]
    else:
        assert rows == []
    if "skip" in case:
        assert getattr(result.totals, case["skip"]) >= 1
