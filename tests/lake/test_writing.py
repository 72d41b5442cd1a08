"""How rows become data files: one row group where one is enough, dictionaries where they help."""

from datetime import UTC, datetime, timedelta

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import Table
from pyiceberg.transforms import HourTransform

from lake import writing
from lake.catalog import table_of
from lake.columns import LONG, STRING, TIME, Record, opt, req
from lake.datafiles import SchemaError, describe_files
from lake.reads import relation_sql
from lake.writing import HourlyWriter, writer_options

HOUR = datetime(2026, 11, 1, 5, tzinfo=UTC)


SMALL = Record(
    "bronze",
    "small",
    "Rows of a few columns",
    (req("event_time", TIME, "when"), req("source_line", LONG, "line"), opt("a", STRING, "text")),
    partition_by="event_time",
    transform=HourTransform(),
    stats=("event_time",),
)


def _table(tmp_path) -> Table:
    catalog = SqlCatalog("t", uri=f"sqlite:///{tmp_path}/c.db", warehouse=f"file://{tmp_path}/w")
    return table_of(catalog, SMALL)


def _writer(tmp_path) -> HourlyWriter:
    return HourlyWriter(_table(tmp_path), "d1")


def _rows(lines: range, text: str | None = "x", hour: datetime = HOUR) -> pa.Table:
    columns = [[hour] * len(lines), list(lines), [text] * len(lines)]
    arrays = [pa.array(c, f.type) for c, f in zip(columns, SMALL.arrow, strict=True)]
    return pa.Table.from_arrays(arrays, schema=SMALL.arrow)


def test_rows_of_an_hour_that_come_in_parts_are_one_row_group(tmp_path) -> None:
    writer = _writer(tmp_path)
    writer.write(_rows(range(1, 41)))
    writer.write(_rows(range(41, 43)))
    (staged,) = writer.close()
    file = pq.ParquetFile(staged.uri.removeprefix("file://"))
    assert staged.rows == 42
    assert file.metadata.num_row_groups == 1
    assert file.read(["source_line"]).column(0).to_pylist() == list(range(1, 43))


def test_rows_do_not_wait_beyond_the_bound(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(writing, "_MAX_WAITING_BYTES", 1)
    writer = _writer(tmp_path)
    writer.write(_rows(range(1, 3)))
    writer.write(_rows(range(3, 4)))
    (staged,) = writer.close()
    file = pq.ParquetFile(staged.uri.removeprefix("file://"))
    assert file.metadata.num_row_groups == 2
    assert file.metadata.num_rows == 3


def test_discarding_deletes_files_whose_rows_still_wait(tmp_path) -> None:
    writer = _writer(tmp_path)
    writer.write(_rows(range(1, 3)))
    writer.discard()
    assert not list(tmp_path.rglob("*.parquet"))


def _names(uri: str) -> list[str]:
    return pq.ParquetFile(uri.removeprefix("file://")).schema_arrow.names


def test_a_column_that_is_null_in_a_whole_file_is_left_out_and_reads_as_null(tmp_path) -> None:
    table = _table(tmp_path)
    writer = HourlyWriter(table, "d1")
    writer.write(_rows(range(1, 3), None))
    writer.write(_rows(range(3, 5), None, HOUR + timedelta(hours=1)))
    writer.write(_rows(range(5, 6), "late", HOUR + timedelta(hours=1)))
    bare, full = writer.close()
    assert _names(bare.uri) == ["event_time", "source_line"]
    assert _names(full.uri) == ["event_time", "source_line", "a"]
    with table.transaction() as tx, tx.update_snapshot().fast_append() as append:
        for file in describe_files(table, [bare.uri, full.uri]):
            append.append_data_file(file)
    expected = [(1, None), (2, None), (3, None), (4, None), (5, "late")]
    rows = sorted(table.scan().to_arrow().to_pylist(), key=lambda r: r["source_line"])
    assert [(r["source_line"], r["a"]) for r in rows] == expected
    with duckdb.connect() as connection:
        read = connection.execute(
            f"select source_line, a from ({relation_sql(table)}) order by 1"
        ).fetchall()
    assert read == expected
    # a filter on it must not be answered by what a file lacks
    for row_filter, found in (("a is null", 4), ("a is not null", 1), ("a = 'late'", 1)):
        assert table.scan(row_filter=row_filter).to_arrow().num_rows == found


def test_a_file_begun_before_the_end_has_all_columns(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(writing, "_MAX_WAITING_BYTES", 1)
    writer = _writer(tmp_path)
    writer.write(_rows(range(1, 3), None))
    writer.write(_rows(range(3, 4), "late"))
    (staged,) = writer.close()
    assert pq.read_table(staged.uri.removeprefix("file://"))["a"].to_pylist() == [
        None,
        None,
        "late",
    ]


@pytest.mark.parametrize(
    "names",
    [["source_line", "a"], ["event_time", "source_line", "b"], ["source_line", "event_time"]],
)
def test_a_file_of_other_columns_than_the_table_is_not_committed(tmp_path, names) -> None:
    fields = {f.name: f for f in SMALL.arrow} | {"b": pa.field("b", pa.string())}
    rows = pa.table(
        [pa.nulls(0, fields[n].type) for n in names], pa.schema([fields[n] for n in names])
    )
    pq.write_table(rows, tmp_path / "other.parquet")
    with pytest.raises(SchemaError, match="run the ingest again"):
        describe_files(_table(tmp_path), [f"file://{tmp_path}/other.parquet"])


def test_a_column_whose_values_differ_gets_no_dictionary() -> None:
    schema = pa.schema([("a", pa.string()), ("b", pa.string()), ("n", pa.int64())])
    numbers = np.arange(writing._SAMPLE_ROWS)
    sample = pa.table([[f"x{n}" for n in numbers], ["same"] * len(numbers), numbers], schema=schema)
    options = writer_options(schema, (), sample)
    assert options["column_encoding"] == {
        "a": "DELTA_LENGTH_BYTE_ARRAY",
        "n": "DELTA_BINARY_PACKED",
    }
    assert options["use_dictionary"] == ["b"]
    assert writer_options(schema, ())["use_dictionary"] == ["a", "b", "n"]
