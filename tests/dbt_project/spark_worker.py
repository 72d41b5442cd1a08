"""Answer SQL on a Spark of this Python, a JSON line for each JSON line; started by on_spark.

Belongs here: the session and how a value is written down. It runs under a Python that has pyspark
and nothing of this project, so it imports neither Weir nor its dependencies.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
import time
from decimal import Decimal
from typing import Any

SETTINGS = {
    "spark.driver.memory": "1g",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    # of a few rows nearly all the time goes into compiling: the plans' and the JVM's own
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    # the models are rendered with names in double quotes, as standard SQL has them
    "spark.sql.ansi.doubleQuotedIdentifiers": "true",
}
ICEBERG = "org.apache.iceberg.spark"


def settings(folder: str, iceberg: str) -> dict[str, str]:
    """Return the session's settings; iceberg: the jar of its runtime, or nothing."""
    if not iceberg:
        return SETTINGS | {"spark.sql.warehouse.dir": f"{folder}/tables"}
    return SETTINGS | {
        "spark.sql.warehouse.dir": f"{folder}/tables",
        "spark.jars": iceberg,
        "spark.sql.extensions": f"{ICEBERG}.extensions.IcebergSparkSessionExtensions",
        "spark.sql.catalog.lake": f"{ICEBERG}.SparkCatalog",
        "spark.sql.catalog.lake.type": "hadoop",
        "spark.sql.catalog.lake.warehouse": f"{folder}/iceberg",
    }


def written(value: Any) -> Any:
    """Return a value as JSON that says exactly which it is, whichever engine it came from."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | Decimal):  # a whole number is the same whatever type holds it
        return {"number": format(Decimal(value).normalize(), "f")}
    if isinstance(value, float):
        return {"double": repr(value)}
    if isinstance(value, dt.datetime):  # Spark gives instants in the process's zone, set to UTC
        aware = value if value.tzinfo else value.replace(tzinfo=dt.UTC)
        return {"instant": aware.astimezone(dt.UTC).isoformat()}
    if isinstance(value, dt.date):
        return {"date": value.isoformat()}
    if isinstance(value, list | tuple):
        return [written(v) for v in value]
    raise TypeError(f"no way to write down {type(value).__name__}: {value!r}")


def main() -> None:
    """Answer until the input ends; arguments: a folder, and the jar of Iceberg or nothing."""
    os.environ["TZ"] = "UTC"
    time.tzset()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the JVM prints must not come between the answers
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[1]")
    for name, value in settings(*sys.argv[1:]).items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    answer: dict[str, Any] = {"version": spark.version}
    while True:
        print(json.dumps(answer), file=answers, flush=True)
        line = sys.stdin.readline()
        if not line:
            break
        try:
            frame = spark.sql(json.loads(line))
            rows = [[written(v) for v in row] for row in frame.collect()]
            answer = {"rows": rows, "types": [kind for _name, kind in frame.dtypes]}
        except Exception as error:  # noqa: BLE001 - every kind of it is the asker's to judge
            answer = {"error": f"{type(error).__name__}: {str(error)[:2000]}"}
    spark.stop()


if __name__ == "__main__":
    main()
