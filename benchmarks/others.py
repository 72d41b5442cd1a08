"""What other tools make of the same logs: Polars, dlt and PySpark, where they are installed.

None of them is a dependency. Most end at the first broken line, so what is measured is a copy of
the logs without them, made before the clock runs; what becomes of the real files is tried
afterwards and told in a sentence. None keeps a ledger, looks up, cuts or hashes anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import Job

if TYPE_CHECKING:
    from benchmarks.logs import Logs

#: candidate -> what it is
OTHERS = {
    "polars": "Polars to pyiceberg, raw columns, clean copy",
    "dlt": "dlt to Iceberg files, its own columns, clean copy",
    "pyspark": "PySpark to Parquet, raw columns, clean copy, JVM included",
}
_POLARS = {"BIGINT": "Int64", "INTEGER": "Int32", "BOOLEAN": "Boolean", "DOUBLE": "Float64"}
_SPARK = {"BIGINT": "bigint", "INTEGER": "int", "BOOLEAN": "boolean", "DOUBLE": "double"}
#: lines that dlt is given at most: it takes minutes for what the others do in seconds
DLT_LINES = 100_000


def installed() -> list[str]:
    """Return the tools that can be imported here."""
    return [name for name in OTHERS if find_spec(name) is not None]


def polars(manifest: str, home: str) -> Job:
    """Scan typed, collect, append."""
    import polars as pl

    from benchmarks.ingest import raw_table

    logs, files = _clean(manifest, home)
    table, types, layout = raw_table(logs, home)
    schema = {c: getattr(pl, _POLARS.get(t, "String")) for c, t in types.items()}

    def read(paths: list[str]) -> Any:
        if layout.header_lines:
            return pl.scan_csv(
                paths, separator="\t", has_header=False, skip_rows=layout.header_lines,
                quote_char=None, null_values="-", schema=schema,
            )  # fmt: skip
        return pl.scan_ndjson(paths, schema=schema, ignore_errors=True)

    def run() -> None:
        table.append(read(files).collect().to_arrow().cast(table.schema().as_arrow()))

    return Job(run, lambda: _told(logs, len(read(files).collect()), lambda p: read(p).collect()))


def pyspark(manifest: str, home: str) -> Job:
    """Read with a schema, permissive, two cores; write Parquet. The start of the JVM counts."""
    from pyspark.sql import SparkSession

    from benchmarks.ingest import raw_table

    logs, files = _clean(manifest, home)
    _, types, layout = raw_table(logs, home)
    ddl = ", ".join(f"`{c}` {_SPARK.get(t, 'string')}" for c, t in types.items())
    found: dict[str, int] = {}

    def frame(spark: Any, paths: list[str]) -> Any:
        reader = spark.read.schema(f"{ddl}, `_corrupt` string").options(
            mode="PERMISSIVE", columnNameOfCorruptRecord="_corrupt"
        )
        if not layout.header_lines:
            return reader.json(paths)
        return reader.options(sep="\t", quote="", nullValue="-", comment="#").csv(paths)

    def run() -> None:
        spark = (
            SparkSession.builder.master("local[2]")
            .config("spark.ui.enabled", "false")
            .config("spark.driver.memory", "3g")
            .getOrCreate()
        )
        frame(spark, files).write.parquet(f"{home}/spark")
        process = spark.sparkContext._gateway.proc
        if "rows" not in found:
            found["rows"] = spark.read.parquet(f"{home}/spark").count()
        spark.stop()
        spark.sparkContext._gateway.shutdown()
        process.stdin.close()
        process.wait()

    def outcome() -> Mapping[str, Any]:
        return {"rows": found["rows"], "malformed": None, "is_exact": None, "lost": None}

    return Job(run, outcome)


def dlt(manifest: str, home: str) -> Job:
    """Let dlt read JSON lines and write what its file destination writes."""
    import itertools

    import dlt as tool
    from isal import igzip

    logs, files = _clean(manifest, home)
    count = min(DLT_LINES, logs.lines)
    pipeline = tool.pipeline(
        "bench",
        pipelines_dir=f"{home}/dlt",
        destination=tool.destinations.filesystem(f"file://{home}/out"),
        dataset_name="logs",
    )

    def lines() -> Any:
        import json

        for path in files:
            with igzip.open(path) as stream:
                for line in stream:
                    yield json.loads(line)

    def run() -> None:
        resource = tool.resource(itertools.islice(lines(), count), name="rows")
        pipeline.run(resource, loader_file_format="parquet")

    return Job(
        run, lambda: {"rows": count, "malformed": None, "is_exact": None, "lost": "given a part"}
    )


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
        lost = f"real files: {kept:,} rows for {good:,} good lines, and no word about the rest"
    return {"rows": rows, "malformed": None, "is_exact": None, "lost": lost}
