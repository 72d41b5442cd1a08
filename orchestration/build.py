"""The one place where everything is put together; tests override resources here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from lake.formats import family_of
from lake.records import BRONZE, LANDED
from lake.settings import load_settings
from lake.source import load_sources
from orchestration.assets.gold import gold_assets
from orchestration.assets.ingest import (
    ingest_asset,
    landing_specs,
    ledger_specs,
    unfed_specs,
)
from orchestration.assets.maintenance import MAINTENANCE_ASSETS
from orchestration.assets.models import (
    audit_check,
    contracts_spec,
    model_assets,
)
from orchestration.freshness import freshness_check, marts_freshness_check
from orchestration.jobs import (
    BACK_UP,
    FAMILIES,
    FRESHNESS,
    INGEST,
    MAINTAIN,
    SWEEP_ORPHANS,
    refresh_job,
)
from orchestration.operations import landed
from orchestration.resources import Clock, Dbt, Lake
from orchestration.schedules import SCHEDULES
from orchestration.sensors import SENSORS
from orchestration.settings import DBT_PROJECT, tool


def build_defs(resource_overrides: Mapping[str, Any] | None = None) -> dg.Definitions:
    """Return all definitions; touches no catalog, no landing, no secret and no network."""
    sources = list(load_sources(load_settings().sources).values())
    resources = {
        "lake": Lake(),
        "clock": Clock(),
        "dbt": Dbt(
            project_dir=str(DBT_PROJECT),
            profiles_dir=str(DBT_PROJECT),
            dbt_executable=tool("dbt"),
        ),
        **(resource_overrides or {}),
    }
    fed = landed(sources)
    feeds = {
        r.identifier: [s for s in sources if family_of(s.format).record.identifier == r.identifier]
        for r in fed
    }
    return dg.Definitions(
        assets=[
            *landing_specs(sources),
            *(ingest_asset(r, feeds[r.identifier]) for r in fed),
            *unfed_specs([r for r in LANDED if r not in fed]),
            *ledger_specs(),
            contracts_spec(),
            *(model_assets(f) for f in FAMILIES),
            *(gold_assets(f) for f in FAMILIES),
            *MAINTENANCE_ASSETS,
        ],
        asset_checks=[
            *(audit_check(f) for f in FAMILIES),
            *(freshness_check(r, feeds[r.identifier]) for r in BRONZE),
            marts_freshness_check(),
        ],
        jobs=[
            INGEST,
            FRESHNESS,
            MAINTAIN,
            SWEEP_ORPHANS,
            BACK_UP,
            *(refresh_job(f) for f in FAMILIES),
        ],
        schedules=SCHEDULES,
        sensors=SENSORS,
        resources=resources,
    )
