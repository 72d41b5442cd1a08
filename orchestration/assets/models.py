"""dbt models as assets, and the audit of what they built."""

import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData,
)
from dagster_dbt import (
    DagsterDbtTranslator,
    DagsterDbtTranslatorSettings,
    DbtCliResource,
    dbt_assets,
)

from lake.audit import check_results_table
from lake.commit import append_rows
from lake.publish import publish_partitions
from lake.records import CHECK_RESULTS
from lake.versions import Family
from orchestration.partitions import PARTITIONS, starts_between
from orchestration.refresh import (
    audit_build,
    audited,
    hand_to_dbt,
    load_plan,
    make_plan,
    mart_names,
    save_audit,
)
from orchestration.resources import Clock, Lake
from orchestration.settings import DBT_PROJECT, exported, price_contracts, tool

#: one writer at a time: DuckDB locks the build file
POOL = "duckdb_writer"
MANIFEST = DBT_PROJECT / "target" / "manifest.json"
CONTRACTS = dg.AssetKey(["contracts", "price_contracts"])


class Translator(DagsterDbtTranslator):  # type: ignore[misc]
    """Names assets by layer: bronze/..., staging/..., marts/..., gold/..."""

    def __init__(self) -> None:
        # source tests as checks would defeat blocking checks on the sources' own assets
        super().__init__(
            settings=DagsterDbtTranslatorSettings(
                enable_asset_checks=True,
                enable_source_tests_as_checks=False,
                enable_duplicate_source_asset_keys=True,  # all tables of contracts are one asset
            )
        )

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        """Return [layer, name]."""
        props = dbt_resource_props
        if props["resource_type"] == "source" and props["source_name"] == "contracts":
            return CONTRACTS
        if props["resource_type"] == "source":
            return dg.AssetKey([props["source_name"], props["name"]])
        return dg.AssetKey([props["fqn"][1], props["name"]])


def manifest() -> Path:
    """Return dbt's manifest, parsing the project where it was never parsed."""
    if not MANIFEST.exists():
        subprocess.run(
            [tool("dbt"), "parse", "--project-dir", str(DBT_PROJECT), "--profiles-dir",
             str(DBT_PROJECT), "--quiet"],
            check=True,
        )  # fmt: skip
    return MANIFEST


def contracts_spec() -> dg.AssetSpec:
    """Return the price contracts, which people write."""
    return dg.AssetSpec(
        CONTRACTS,
        description="Price contracts: one YAML file a contract, in dbt_project/price_contracts",
        owners=["team:finance"],
        group_name="contracts",
        kinds={"yaml"},
    )


def model_assets(family: Family) -> dg.AssetsDefinition:
    """Return the dbt models of a family: one dbt call for all partitions of a run."""
    definition: dg.AssetsDefinition = dbt_assets(
        manifest=manifest(),
        select=f"tag:{family}",
        name=f"{family}_models",
        partitions_def=PARTITIONS[family],
        backfill_policy=dg.BackfillPolicy.single_run(),
        dagster_dbt_translator=Translator(),
        pool=POOL,
    )(_builder(family))
    return definition


def _builder(family: Family) -> Any:
    def build(context: dg.AssetExecutionContext, dbt: DbtCliResource, lake: Lake) -> Iterator[Any]:
        settings = lake.settings()
        span = context.partition_key_range
        starts = starts_between(family, span.start, span.end)
        catalog = lake.catalog()
        plan = make_plan(catalog, settings, family, starts, context.run_id, price_contracts())
        context.log.info("building %d partitions of %s", len(plan.partitions), family)
        with exported(settings, WEIR_BUILD_PLAN=str(hand_to_dbt(catalog, settings, plan))):
            yield from dbt.cli(
                ["--no-write-json", "build", "--exclude-resource-type", "unit_test"],
                context=context,
                target_path=settings.home / "dbt",  # one folder, so that its parse is reused
            ).stream()

    build.__name__ = f"{family}_models"
    return build


def audit_check(family: Family) -> dg.AssetChecksDefinition:
    """Return the check of a family's marts by their suites of expectations.

    A partition that fails is held back by the publishing step while others go out. The check
    blocks when nothing passed, or when the audit itself is broken (it then raises). When nothing
    passed no publishing step runs, so the failures are recorded here.
    """
    marts = mart_names(family)
    specs = {
        mart: dg.AssetCheckSpec(
            "expectations",
            asset=dg.AssetKey(["marts", mart]),
            blocking=True,
            description=f"every rule of the suite {mart}; failed partitions stay unpublished",
        )
        for mart in marts
    }

    @dg.multi_asset_check(name=f"{family}_expectations", specs=list(specs.values()), pool=POOL)
    def expectations(
        context: dg.AssetCheckExecutionContext, lake: Lake, clock: Clock
    ) -> Iterator[dg.Output[None] | dg.AssetCheckEvaluation]:
        settings = lake.settings()
        plan = load_plan(settings, family, context.run.run_id)
        report = audit_build(settings, plan)
        save_audit(settings, plan, report)
        append_rows(
            lake.catalog(),
            CHECK_RESULTS,
            check_results_table(report.results, plan.run_id, clock.now()),
        )
        passed, failed_audit = audited(settings, plan)
        nothing_passed = not passed
        if nothing_passed:
            publish_partitions(
                lake.catalog(), settings.build_file, family, [], failed_audit,
                plan.run_id, clock.now(),
            )  # fmt: skip
        targets = _last_materializations(context.instance, specs.values())
        for mart, spec in specs.items():
            own = [r for r in report.results if r.suite == mart]
            failed = [r for r in own if not r.is_passed and r.severity == "critical"]
            warned = [r for r in own if not r.is_passed and r.severity != "critical"]
            # Not an AssetCheckResult: Dagster would list every hour there ever was for each of
            # them to find what was judged, half a second a mart.
            yield dg.Output(None, output_name=spec.get_python_identifier())
            yield dg.AssetCheckEvaluation(
                check_name=spec.name,
                asset_key=spec.asset_key,
                passed=not failed,
                blocking=True,
                target_materialization_data=targets.get(spec.asset_key),
                severity=dg.AssetCheckSeverity.ERROR
                if nothing_passed
                else dg.AssetCheckSeverity.WARN,
                metadata={
                    "partitions": len(plan.partitions),
                    "judgements": len(own),
                    "failed": dg.MetadataValue.json([_line(r) for r in failed[:20]]),
                    "warnings": dg.MetadataValue.json([_line(r) for r in warned[:20]]),
                },
            )

    return expectations


def _last_materializations(
    instance: dg.DagsterInstance, specs: Iterable[dg.AssetCheckSpec]
) -> dict[dg.AssetKey, AssetCheckEvaluationTargetMaterializationData]:
    """Return what each check judged: the last materialization of its asset."""
    found = {}
    for record in instance.get_asset_records([spec.asset_key for spec in specs]):
        last = record.asset_entry.last_materialization_record
        if last is not None:
            found[record.asset_entry.asset_key] = AssetCheckEvaluationTargetMaterializationData(
                run_id=last.run_id, storage_id=last.storage_id, timestamp=last.timestamp
            )
    return found


def _line(result: Any) -> str:
    return (
        f"{result.subject} {result.check_name}: expected {result.expected}, found {result.observed}"
    )
