"""What other tools make of the same logs: Polars and PySpark, where they are installed.

None of them is a dependency. Most end at the first broken line, so what is measured is a copy of
the logs without them, made before the clock runs; what becomes of the real files is tried
afterwards and told in a sentence. They are given JSON lines and tab-separated text, no other
format. None keeps a ledger, looks up, cuts or hashes anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import Job

if TYPE_CHECKING:
    from benchmarks.logs import Logs

#: candidate -> what it is
OTHERS = {
    "polars": "Polars to pyiceberg, raw columns, clean copy",
    "pyspark": "PySpark to Parquet, raw columns, clean copy, JVM included",
}
_POLARS = {"BIGINT": "Int64", "INTEGER": "Int32", "BOOLEAN": "Boolean", "DOUBLE": "Float64"}
_SPARK = {"BIGINT": "bigint", "INTEGER": "int", "BOOLEAN": "boolean", "DOUBLE": "double"}


def installed() -> list[str]:
    """Return the tools that can be imported here."""
    return [name for name in OTHERS if find_spec(name) is not None]


def polars(manifest: str, home: str) -> Job:
    """Scan typed, collect, append."""
    import polars as pl

    from benchmarks.base import raw_table

    logs, files = _clean(manifest, home)
    table, types, layout = raw_table(logs, home)
    schema = {c: getattr(pl, _POLARS.get(t, "String")) for c, t in types.items()}

    times = [pl.col(c).str.to_time(strict=False) for c, t in types.items() if t == "TIME"]

    def read(paths: list[str]) -> Any:
        if layout.header_lines:
            return pl.scan_csv(
                paths, separator="\t", has_header=False, skip_rows=layout.header_lines,
                quote_char=None, null_values="-", schema=schema,
            ).with_columns(times)  # fmt: skip
        return pl.scan_ndjson(paths, schema=schema, ignore_errors=True)

    def run() -> None:
        table.append(read(files).collect().to_arrow().cast(table.schema().as_arrow()))

    return Job(run, lambda: _told(logs, len(read(files).collect()), lambda p: read(p).collect()))


def pyspark(manifest: str, home: str) -> Job:
    """Read with a schema, permissive, two cores; write Parquet. The start of the JVM counts."""
    from benchmarks.base import raw_table

    logs, files = _clean(manifest, home)
    _, types, layout = raw_table(logs, home)
    ddl = ", ".join(f"`{c}` {_SPARK.get(t, 'string')}" for c, t in types.items())

    def frame(spark: Any, paths: list[str]) -> Any:
        reader = spark.read.schema(f"{ddl}, `_corrupt` string").options(
            mode="PERMISSIVE", columnNameOfCorruptRecord="_corrupt"
        )
        if not layout.header_lines:
            return reader.json(paths)
        return reader.options(sep="\t", quote="", nullValue="-", comment="#").csv(paths)

    def run() -> None:
        with _spark() as spark:
            frame(spark, files).write.parquet(f"{home}/spark")

    def good_of(paths: list[str]) -> range:
        with _spark() as spark:
            rows = frame(spark, paths).cache()  # of the corrupt column alone it reads no files
            return range(rows.filter("_corrupt is null").count())

    def outcome() -> Mapping[str, Any]:
        from pyarrow import dataset

        return _told(logs, dataset.dataset(f"{home}/spark").count_rows(), good_of)

    return Job(run, outcome)


@contextmanager
def _spark() -> Iterator[Any]:
    """Give a session whose JVM has ended afterwards: only then does its CPU count."""
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.memory", "3g")
        .getOrCreate()
    )
    gateway = spark.sparkContext._gateway
    try:
        yield spark
    finally:
        spark.stop()
        gateway.shutdown()
        gateway.proc.stdin.close()
        gateway.proc.wait()
        SparkContext._gateway = SparkContext._jvm = None


def _clean(manifest: str, home: str) -> tuple[Logs, list[str]]:
    """Write the logs again without their broken lines; return them and the paths of the copy."""
    from isal import igzip

    from benchmarks.logs import load_logs

    logs = load_logs(Path(manifest))
    paths = []
    for number, (key, broken) in enumerate(sorted(logs.malformed.items())):
        gone = set(broken)
        with igzip.open(logs.landing / key) as stream:
            lines = stream.read().split(b"\n")
        kept = [line for n, line in enumerate(lines, 1) if n not in gone]
        path = Path(home) / f"clean-{number:04}.gz"
        path.write_bytes(igzip.compress(b"\n".join(kept), 1, mtime=0))
        paths.append(str(path))
    return logs, paths


def _told(logs: Logs, rows: int, read: Callable[[list[str]], Any]) -> Mapping[str, Any]:
    """Try the real files and say what became of them."""
    real = [str(logs.landing / key) for key in sorted(logs.malformed)]
    try:
        kept = len(read(real))
    except Exception as err:  # noqa: BLE001  (whatever a tool raises is the finding)
        lost = f"real files: ends with {type(err).__name__}"
    else:
        good = logs.lines - logs.true_malformed
        lost = f"real files: {kept:,} rows taken for good, {good:,} lines are good"
    return {"rows": rows, "malformed": None, "is_exact": None, "lost": lost}
