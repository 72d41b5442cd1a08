"""Several live processes on one landing: each content once, whoever gets there first."""

from __future__ import annotations

import gzip
import json
import os
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lake.catalog import ensure_all, open_catalog
from lake.deliveries import read_ledger
from lake.reads import connect, relation_sql
from lake.settings import load_settings

T0 = datetime(2026, 11, 16, 12, tzinfo=UTC)
REC = "bronze.rec_events"


def land(home: Path, key: str, lines: list[str], minute: int = 0) -> None:
    path = home / "landing" / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode(), mtime=0))
    at = (T0 + timedelta(minutes=minute)).timestamp()
    os.utime(path, (at, at))


def event(n: int) -> str:
    at = int(T0.replace(hour=10).timestamp() * 1000) + n * 1000
    return json.dumps(
        {"event_id": f"e-{n}", "event_type": "play", "event_ts_ms": at, "item_id": "i"}
    )


def key(n: int, word: str = "rec") -> str:
    return f"rec_events/dt=2026-11-16/hour=10/{word}-1-{n}.ndjson.gz"


def fill(home: Path) -> None:
    """Loaded, copied, held, all rejected: also what bronze never sees is recorded once."""
    for n in range(8):
        land(home, key(n), [event(2 * n), event(2 * n + 1), "nonsense"], n)
        land(home, key(n + 100), [event(2 * n), event(2 * n + 1), "nonsense"], n + 20)
        land(home, key(n, "hold"), [event(50 + n), "nonsense"], n)
        land(home, key(n + 200), [f"nonsense {n}"], n)


def rows(catalog, name: str, columns: str) -> list[tuple]:
    table = catalog.load_table(name)
    with connect(table) as connection:
        sql = f"select {columns} from ({relation_sql(table)}) order by all"
        return connection.execute(sql).fetchall()


@pytest.mark.parametrize(
    ("count", "kind"),
    [
        (3, "sqlite"),
        pytest.param(8, "sqlite", marks=pytest.mark.slow),
        pytest.param(8, "postgres", marks=pytest.mark.slow),
    ],
)
def test_live_workers_on_the_same_landing_load_each_content_once(
    count, kind, tmp_path, request, warm
):
    home = tmp_path / "home"
    fill(home)
    env = {}
    if kind == "postgres":
        env = {"WEIR_CATALOG_URI": request.getfixturevalue("postgres_url")}
    settings = load_settings(env, home=home)
    settings.protection()
    catalog = open_catalog(settings)
    ensure_all(catalog)
    pids = [warm.start("ingest_once", str(home), env=env) for _ in range(count)]
    assert [warm.wait(pid) for pid in pids] == [0] * count, warm.log.read_text()[-3000:]

    ids = rows(catalog, REC, "event_id")
    assert ids == sorted((f"e-{n}",) for n in range(16))
    history = rows(catalog, "ops.deliveries", "delivery_id, change_no")
    assert len(history) == len(set(history))
    ledger = read_ledger(catalog)
    states = Counter(d.state for d in ledger.values())
    assert states == {"loaded": 16, "duplicate": 8, "held": 8}
    # once per content: eight loaded twice over, eight held, eight without a good line
    rejected = rows(catalog, "ops.rejects", "delivery_id, line")
    assert Counter(ledger[i].content_id for i, _ in rejected) == {
        d.content_id: 1 for d in ledger.values()
    }
