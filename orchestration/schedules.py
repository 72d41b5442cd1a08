"""Schedules: a listing of landing whatever the sensor saw, and the freshness objectives."""

from __future__ import annotations

import dagster as dg

from orchestration.jobs import FRESHNESS, INGEST

SCHEDULES = [
    dg.ScheduleDefinition(
        name="ingest_hourly",
        job=INGEST,
        cron_schedule="7 * * * *",
        execution_timezone="UTC",
        description="Lists landing even if the sensor is off; listing is the truth.",
    ),
    dg.ScheduleDefinition(
        name="freshness_every_15_minutes",
        job=FRESHNESS,
        cron_schedule="*/15 * * * *",
        execution_timezone="UTC",
        description="Judges the freshness objectives of sla.yaml.",
    ),
]
