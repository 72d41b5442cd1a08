"""Commands of weir that come in groups: weir contract, maintain, source, keys.

Each only names its arguments; what it does is in orchestration.commands, imported when called.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from orchestration.cli_options import Dir, Json

contracts = typer.Typer(
    help="Price contracts: what vendors charge, as files.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


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


maintain = typer.Typer(
    help="Keep the tables fast and small. The same runs by schedule under weir up.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

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


source_app = typer.Typer(
    help="Source files: draft one from sample logs, try one, see what one may say.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


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
