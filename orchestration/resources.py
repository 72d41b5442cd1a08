"""What assets are given: the lake, the clock and dbt. Wiring only, no logic."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from importlib import metadata
from pathlib import Path

import dagster as dg
from dagster_dbt import DbtCliResource
from packaging.version import Version, parse
from pyiceberg.catalog import Catalog

from lake.ingest import IngestReport
from lake.landing import Landing, open_landing
from lake.records import Record
from lake.settings import LakeSettings, load_settings
from lake.source import Source
from orchestration.operations import feeds, open_lake, run_ingest


class Clock(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The time of day; `fixed` (ISO) stands still, for the demo and tests."""

    fixed: str = ""

    def now(self) -> datetime:
        """Return the instant, UTC."""
        return datetime.fromisoformat(self.fixed) if self.fixed else datetime.now(UTC)


class Dbt(DbtCliResource):  # type: ignore[misc]
    """dbt, without what dagster-dbt does before each call and nothing here uses.

    That is a process of its own to ask for dbt's version (1.2 s) and reading all macros into an
    adapter of this process, for row counts and column metadata (0.7 s). The overridden names are
    private: dagster-dbt is pinned exactly, move all together.
    """

    @cached_property
    def _cli_version(self) -> Version:
        return parse(metadata.version("dbt-core"))

    def _initialize_dbt_core_adapter(self, args: Sequence[str]) -> None:  # noqa: ARG002
        return None


class Lake(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The lake of one home. Addresses and secrets come from the environment, never from here."""

    home: str = ""

    def settings(self) -> LakeSettings:
        """Return paths and addresses."""
        return load_settings(home=Path(self.home) if self.home else None)

    def catalog(self) -> Catalog:
        """Open the catalog; its tables exist afterwards."""
        return open_lake(self.settings())

    def landing(self) -> Landing:
        """Open landing."""
        return open_landing(self.settings())

    def sources(self) -> Mapping[str, Source]:
        """Load the source files."""
        return feeds(self.settings())

    def ingest(self, record: Record, now: datetime) -> IngestReport:
        """Ingest everything new for one bronze table."""
        return run_ingest(self.settings(), record, now)
