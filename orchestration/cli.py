"""The weir command line: a thin face over the packages, each command with --json."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from lake.locations import LocationError, StorageError


class _Plain(TyperGroup):
    """Prints an error of places and stores as its sentence: it says what to do."""

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]
        """Run a command; 2 for an error of that kind."""
        try:
            return super().invoke(ctx)
        except (LocationError, StorageError) as err:
            from orchestration.commands.output import console, lines_safe

            console(stderr=True).print(f"weir: {lines_safe(str(err))}")
            raise typer.Exit(2) from err


app = typer.Typer(
    name="weir",
    cls=_Plain,
    help="Raw CDN and recommendation logs in, numbers that one can argue with out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # it prints source and may print locals: keys, log text
    context_settings={"help_option_names": ["-h", "--help"]},
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Dir = Annotated[
    Path | None,
    typer.Option("--dir", help="Home of the lake. Default: WEIR_HOME, else the project's .weir."),
]


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
    """Rate usage under one contract: what the vendor's invoice should say."""
    from orchestration.commands.bill import run

    code = run(contract, usage, compare, explained=explain, as_csv=csv, as_json=json)
    raise typer.Exit(code)


contracts = typer.Typer(
    help="Price contracts: what vendors charge, as files.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(contracts, name="contract")


@contracts.command("check")
def contract_check(
    paths: Annotated[list[Path], typer.Argument(help="Contract files, or folders of them.")],
    json: Json = False,
) -> None:
    """Say whether contracts can be billed exactly; a refusal names line, field and remedy."""
    from orchestration.commands.contract import check

    raise typer.Exit(check(paths, as_json=json))


@contracts.command("schema")
def contract_schema() -> None:
    """Print the JSON schema of a contract file, for editors."""
    from orchestration.commands.contract import schema

    raise typer.Exit(schema())


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


maintain = typer.Typer(
    help="Keep the tables fast and small. The same runs by schedule under weir up.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(maintain, name="maintain")

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done; do nothing.")]


@maintain.command("tables")
def maintain_tables(
    only: Annotated[
        list[str] | None, typer.Option("--table", help="This table only; may be repeated.")
    ] = None,
    dry_run: DryRun = False,
    home: Dir = None,
    json: Json = False,
) -> None:
    """Compact closed hours, merge manifests, expire snapshots: what the policy says."""
    from orchestration.commands.maintain import tables

    raise typer.Exit(tables(home, only or [], dry_run=dry_run, as_json=json))


@maintain.command("sweep")
def maintain_sweep(
    grace_hours: Annotated[
        float | None, typer.Option(help="How old an orphan must be. Default: the policy's.")
    ] = None,
    dry_run: DryRun = False,
    home: Dir = None,
    json: Json = False,
) -> None:
    """Delete files of the warehouse that nothing refers to any more."""
    from orchestration.commands.maintain import sweep_orphans

    raise typer.Exit(sweep_orphans(home, grace_hours, dry_run=dry_run, as_json=json))


@maintain.command("backup-catalog")
def maintain_backup(home: Dir = None, json: Json = False) -> None:
    """Write which metadata each table has into the warehouse, for a day without the catalog."""
    from orchestration.commands.maintain import backup_catalog

    raise typer.Exit(backup_catalog(home, as_json=json))


@maintain.command("rebuild-catalog")
def maintain_rebuild(
    backup: Annotated[
        str | None,
        typer.Option(help="A backup that names the tables: its URI. Default: the folders."),
    ] = None,
    take: Annotated[
        list[str] | None,
        typer.Option(help="TABLE=FILE: the metadata file that counts, where two may."),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Also where the catalog has tables.")
    ] = False,
    dry_run: DryRun = False,
    home: Dir = None,
    json: Json = False,
) -> None:
    """Build a lost catalog again from the metadata in the warehouse."""
    from orchestration.commands.maintain import rebuild_catalog

    raise typer.Exit(
        rebuild_catalog(home, backup, take or [], replace=replace, dry_run=dry_run, as_json=json)
    )


@maintain.command("policy")
def maintain_policy(home: Dir = None, json: Json = False) -> None:
    """Show what is kept of each table, and when it is rewritten."""
    from orchestration.commands.maintain import policy

    raise typer.Exit(policy(home, as_json=json))


@app.command()
def up(home: Dir = None) -> None:
    """Start the Dagster UI, its daemon and the dbt docs on loopback; Ctrl-C stops all three."""
    from orchestration.commands.up import run

    raise typer.Exit(run(home))


source_app = typer.Typer(
    help="Source files: draft one from sample logs, try one, see what one may say.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(source_app, name="source")


@source_app.command("new")
def source_new(
    files: Annotated[list[Path], typer.Argument(help="Sample logs: plain, gzip or zstd.")],
    name: Annotated[str | None, typer.Option(help="Name of the feed.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="File to write. Default: print the draft.")
    ] = None,
    json: Json = False,
) -> None:
    """Write a draft: what was detected, and as TODO what you have to decide."""
    from orchestration.commands.source import new

    raise typer.Exit(new(files, name, out, as_json=json))


@source_app.command("check")
def source_check(
    file: Annotated[Path, typer.Argument(help="Source file.")],
    samples: Annotated[list[Path] | None, typer.Argument(help="Logs to try it on.")] = None,
    json: Json = False,
) -> None:
    """Validate a source file and try it on sample logs; writes nothing."""
    from orchestration.commands.source import check

    raise typer.Exit(check(file, samples or [], as_json=json))


@source_app.command("schema")
def source_schema_command(
    json: Annotated[bool, typer.Option("--json", help="It is JSON anyway.")] = True,  # noqa: ARG001
) -> None:
    """Print the JSON schema of source files, for an editor."""
    from orchestration.commands.source import schema

    raise typer.Exit(schema())


keys = typer.Typer(help="Keys that user ids are hashed with, by epoch; values are never shown.")
app.add_typer(keys, name="keys", no_args_is_help=True)


@keys.command("list")
def list_keys(home: Dir = None, json: Json = False) -> None:
    """List the epochs: from when to when, and whether their key is there."""
    from orchestration.commands.keys import list_keys

    raise typer.Exit(list_keys(home, datetime.now(UTC), as_json=json))


@keys.command()
def rotate(
    begins: Annotated[
        str | None,
        typer.Option("--from", help="First instant of the new epoch. Default: next UTC midnight."),
    ] = None,
    home: Dir = None,
    json: Json = False,
) -> None:
    """Give events from an instant on a new key; rows already written stay as they are."""
    from orchestration.commands.keys import rotate

    raise typer.Exit(rotate(home, begins, datetime.now(UTC), as_json=json))


@keys.command()
def destroy(
    epoch: Annotated[str, typer.Argument(help="Epoch that has ended.")],
    yes: Annotated[bool, typer.Option("--yes", help="Yes, for good.")] = False,
    home: Dir = None,
    json: Json = False,
) -> None:
    """Destroy the key of an epoch: its users can never be told again, late events are rejected."""
    from orchestration.commands.keys import destroy

    raise typer.Exit(destroy(home, epoch, datetime.now(UTC), is_sure=yes, as_json=json))


if __name__ == "__main__":
    app()
