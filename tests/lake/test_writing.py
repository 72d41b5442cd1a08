"""How rows become data files: one row group where one is enough, dictionaries where they help."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.transforms import HourTransform

from lake import writing
from lake.catalog import table_of
from lake.columns import LONG, STRING, TIME, Record, opt, req
from lake.writing import HourlyWriter, writer_options

HOUR = datetime(2026, 11, 1, 5, tzinfo=UTC)


SMALL = Record(
    "bronze",
    "small",
    "Rows of a few columns",
    (req("event_time", TIME, "when"), req("source_line", LONG, "line"), opt("a", STRING, "text")),
    partition_by="event_time",
    transform=HourTransform(),
)


def _writer(tmp_path) -> HourlyWriter:
    catalog = SqlCatalog("t", uri=f"sqlite:///{tmp_path}/c.db", warehouse=f"file://{tmp_path}/w")
    return HourlyWriter(table_of(catalog, SMALL), "d1")


def _rows(lines: range) -> pa.Table:
    columns = [[HOUR] * len(lines), list(lines), ["x"] * len(lines)]
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
