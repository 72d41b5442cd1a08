"""Schedules: a listing of landing whatever the sensor saw, freshness objectives, maintenance."""

from __future__ import annotations

import dagster as dg

from orchestration.jobs import BACK_UP, FRESHNESS, INGEST, MAINTAIN, SWEEP_ORPHANS

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
    dg.ScheduleDefinition(
        name="maintain_hourly",
        job=MAINTAIN,
        cron_schedule="23 * * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Keeps tables fast: without it every commit costs more than the one before.",
    ),
    dg.ScheduleDefinition(
        name="sweep_orphans_daily",
        job=SWEEP_ORPHANS,
        cron_schedule="41 3 * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Frees what compaction, expiry and killed runs left in the warehouse.",
    ),
    dg.ScheduleDefinition(
        name="back_up_catalog_daily",
        job=BACK_UP,
        cron_schedule="11 2 * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Writes which metadata each table has into the warehouse.",
    ),
]
