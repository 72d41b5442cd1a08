"""dbt's build to gold to a release: only what was audited, only what changed."""

from collections.abc import Iterator

import dagster as dg

from lake.publish import marts_of, publish_partitions, release
from lake.versions import Family
from orchestration.assets.models import POOL
from orchestration.partitions import PARTITIONS
from orchestration.refresh import audited, load_plan
from orchestration.resources import Clock, Lake

_OWNERS: dict[Family, list[str]] = {
    "delivery": ["team:delivery"],
    "rollup": ["team:delivery"],
    "engagement": ["team:recommendation"],
    "billing": ["team:finance"],
}


def gold_assets(family: Family) -> dg.AssetsDefinition:
    """Return the asset that publishes a family's marts and makes a release of it."""
    marts = marts_of(family)

    @dg.multi_asset(
        name=f"publish_{family}",
        specs=[
            dg.AssetSpec(
                ["gold", m.name],
                deps=[dg.AssetKey(["marts", m.name])],
                description=f"Published {m.name}: audited rows only, read through serving.duckdb",
                group_name="gold",
                owners=_OWNERS[family],
                kinds={"iceberg"},
            )
            for m in marts
        ],
        partitions_def=PARTITIONS[family],
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=POOL,
    )
    def publish(
        context: dg.AssetExecutionContext, lake: Lake, clock: Clock
    ) -> Iterator[dg.MaterializeResult]:  # type: ignore[type-arg]
        settings = lake.settings()
        catalog = lake.catalog()
        plan = load_plan(settings, family, context.run_id)
        passed, failed = audited(settings, plan)
        written = publish_partitions(
            catalog, settings.build_file, family, passed, failed, context.run_id, clock.now()
        )
        shown = release(catalog, settings.serving_file, context.run_id, clock.now())
        for mart in marts:
            yield dg.MaterializeResult(
                asset_key=dg.AssetKey(["gold", mart.name]),
                metadata={
                    "partitions_passed": len(passed),
                    "partitions_held_back": len(failed),
                    "partitions_changed": written.get(mart.gold, 0),
                    "release": shown.release_no if shown else 0,
                },
            )

    return publish
