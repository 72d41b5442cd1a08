"""The weir command line: a thin face over the packages, each command with --json."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from lake.locations import LocationError, StorageError
from orchestration.cli_groups import contracts, keys, maintain, source_app
from orchestration.cli_options import Dir, Json


class _Plain(TyperGroup):
    """Prints an error of places, stores and source files as its sentence: it says what to do."""

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]
        """Run a command; 2 for an error of that kind."""
        try:
            return super().invoke(ctx)
        except (LocationError, StorageError, ValueError) as err:
            from lake.source_file import SourceError  # `weir --help` does without

            if isinstance(err, ValueError) and not isinstance(err, LocationError | SourceError):
                raise
            from orchestration.commands.output import console, lines_safe

            console(stderr=True).print(f"weir: {lines_safe(str(err))}", soft_wrap=True)
            raise typer.Exit(2) from err


app = typer.Typer(
    name="weir",
    cls=_Plain,
    help="Raw CDN and recommendation logs in, numbers that one can argue with out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # it prints source and may print locals: keys, log text
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.add_typer(contracts, name="contract")
app.add_typer(maintain, name="maintain")
app.add_typer(source_app, name="source")
app.add_typer(keys, name="keys", no_args_is_help=True)


@app.command()
def inspect(
    files: Annotated[list[Path], typer.Argument(help="Log files: plain, gzip or zstd.")],
    source: Annotated[
        str | None, typer.Option(help="Read them as this source (name of its source file).")
    ] = None,
    format_name: Annotated[
        str | None, typer.Option("--format", help="Read them as this format, as no source.")
    ] = None,
    records: Annotated[int, typer.Option(help="Records to show, per file.")] = 3,
    json: Json = False,
) -> None:
    """Show what Weir makes of log files; writes nothing.

    Values are shown as they are in the log, addresses and user ids too.
    """
    from orchestration.commands.inspect import run

    raise typer.Exit(run(files, source, records, as_json=json, format_name=format_name))


@app.command()
def ingest(
    hint: Annotated[
        list[Path] | None,
        typer.Option(help="S3 event notifications (JSON; - is stdin): look up only these keys."),
    ] = None,
    home: Dir = None,
    json: Json = False,
) -> None:
    """Bring every new delivery in landing into bronze."""
    from orchestration.commands.ingest import run

    raise typer.Exit(run(home, released=(), hints=hint, as_json=json))


@app.command()
def release(
    deliveries: Annotated[list[str], typer.Argument(help="Held deliveries: id or its beginning.")],
    home: Dir = None,
    json: Json = False,
) -> None:
    """Let held deliveries into bronze, whatever their audit said."""
    from orchestration.commands.ingest import run

    raise typer.Exit(run(home, released=deliveries, as_json=json))


@app.command()
def replay(
    source: Annotated[list[str] | None, typer.Option(help="Of these feeds only.")] = None,
    reason: Annotated[
        list[str] | None,
        typer.Option(
            help="Why lines were rejected, or the word before the colon of why a "
            "delivery is held or refused."
        ),
    ] = None,
    state: Annotated[
        list[str] | None,
        typer.Option(
            help="held, rejected (refused whole) or loaded. Default: held, rejected, and "
            "loaded ones with rejected lines."
        ),
    ] = None,
    delivery: Annotated[list[str] | None, typer.Option(help="Id or its beginning.")] = None,
    since: Annotated[
        str | None, typer.Option(help="With events at or after this instant (ISO, UTC).")
    ] = None,
    until: Annotated[str | None, typer.Option(help="With events before this instant.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    fewer: Annotated[
        bool, typer.Option("--fewer", help="Also where fewer lines than are loaded would parse.")
    ] = False,
    home: Dir = None,
    json: Json = False,
) -> None:
    """Read deliveries again after a fix: a parser, a source file, caps, keys, geo files.

    What now parses moves, in one transaction a batch; what reads the same is left alone.
    """
    from lake.selection import Selection
    from orchestration.commands.replay import instant, run

    try:
        span = instant(since), instant(until)
    except ValueError as err:
        raise typer.BadParameter(f"{err}; expected e.g. 2026-11-16T10:00") from err
    wanted = Selection(
        frozenset(source or ()), frozenset(reason or ()), frozenset(state or ()),
        frozenset(delivery or ()), *span,
    )  # fmt: skip
    raise typer.Exit(run(home, wanted, is_dry=dry_run, takes_fewer=fewer, as_json=json))


@app.command()
def refresh(home: Dir = None, json: Json = False) -> None:
    """Do at once what the sensors would: ingest, then refresh exactly what is stale."""
    from orchestration.commands.refresh import run

    raise typer.Exit(run(home, as_json=json))


@app.command()
def status(
    delivery: Annotated[
        str | None, typer.Argument(help="Show the history of this delivery: id or its beginning.")
    ] = None,
    held: Annotated[bool, typer.Option("--held", help="List held and rejected only.")] = False,
    home: Dir = None,
    json: Json = False,
) -> None:
    """Say what is in, what is held and why, what is stale, and what readers see."""
    from orchestration.commands.status import run, show

    if delivery is not None:
        raise typer.Exit(show(home, delivery, as_json=json))
    raise typer.Exit(run(home, held=held, as_json=json))


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="One SELECT over gold.*, bronze.* and ops.*")],
    limit: Annotated[int, typer.Option(help="Rows to print in a table; 0: all.")] = 100,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV, safe for spreadsheets.")] = False,
    home: Dir = None,
    json: Json = False,
) -> None:
    """Ask the lake; read-only. gold is what the last release shows."""
    from orchestration.commands.sql import run

    raise typer.Exit(run(query, home, limit, as_csv=csv, as_json=json))


@app.command()
def metric(
    name: Annotated[str | None, typer.Argument(help="The metric; without one, list all.")] = None,
    by: Annotated[str, typer.Option(help="Dimensions, e.g. cdn,country.")] = "",
    grain: Annotated[str, typer.Option(help="5m, hour, day, month or total.")] = "total",
    where: Annotated[
        str, typer.Option(help="E.g. \"country = 'DE' and asn in (3320, 3209)\".")
    ] = "",
    since: Annotated[str, typer.Option(help="From this instant on (ISO, UTC).")] = "",
    until: Annotated[str, typer.Option(help="Before this instant.")] = "",
    against: Annotated[
        str, typer.Option(help="last-week, or others: the other CDNs in the same groups.")
    ] = "",
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV, safe for spreadsheets.")] = False,
    sql: Annotated[bool, typer.Option("--sql", help="Print the SQL only.")] = False,
    home: Dir = None,
    json: Json = False,
) -> None:
    """Ask a metric by its definition: numbers, unit, how fresh, and the SQL."""
    from orchestration.commands.metric import Asked, run

    style = "json" if json else "csv" if csv else "sql" if sql else "table"
    asked = None if name is None else Asked(name, by, grain, where, since, until, against)
    raise typer.Exit(run(asked, home, style))


@app.command()
def rosetta(
    by_cdn: Annotated[bool, typer.Option("--by-cdn", help="One row per CDN.")] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print it as a page, with the reasons.")
    ] = False,
    home: Dir = None,
    json: Json = False,
) -> None:
    """Show each word under our, the vendors' and the standards' definition, from the same rows."""
    from orchestration.commands.rosetta import run

    style = "json" if json else "markdown" if markdown else "table"
    raise typer.Exit(run(home, by_cdn=by_cdn and not markdown, style=style))


@app.command()
def bill(
    contract: Annotated[Path, typer.Option(help="A price contract (YAML).")],
    usage: Annotated[
        list[Path],
        typer.Option(
            help="CSV or Parquet: bytes, slot_start or period (2026-03), and where known scope, "
            "requests, bytes_in, region, pop, scheme, completeness. May be repeated."
        ),
    ],
    explain: Annotated[
        bool, typer.Option("--explain", help="Say of each line how it came about.")
    ] = False,
    compare: Annotated[
        Path | None, typer.Option(help="Rate the same usage under this contract too.")
    ] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV, safe for spreadsheets.")] = False,
    json: Json = False,
) -> None:
    """Rate usage under one contract: what the vendor's invoice should say.

    Requests are counted where a component prices them; else --json says null.
    """
    from orchestration.commands.bill import run

    code = run(contract, usage, compare, explained=explain, as_csv=csv, as_json=json)
    raise typer.Exit(code)


@app.command()
def demo(
    seed: Annotated[int, typer.Option(help="Seed of the simulated traffic.")] = 7,
    hours: Annotated[int, typer.Option(help="Hours of traffic, ending 2026-11-18.", min=3)] = 48,
    lines: Annotated[int, typer.Option(help="Log lines in all.", min=1000)] = 1_000_000,
    home: Annotated[
        Path | None, typer.Option("--dir", help="Where; emptied first if it is a demo's.")
    ] = None,
    json: Json = False,
) -> None:
    """Simulate traffic with incidents, run the whole job, compare with the truth."""
    from orchestration.commands.demo import run

    raise typer.Exit(run(seed, hours, lines, home, as_json=json))


@app.command()
def up(home: Dir = None) -> None:
    """Start the Dagster UI, its daemon and the dbt docs on loopback; Ctrl-C stops all three."""
    from orchestration.commands.up import run

    raise typer.Exit(run(home))


if __name__ == "__main__":
    app()
