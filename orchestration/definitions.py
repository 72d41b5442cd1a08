"""What Dagster loads (workspace.yaml, [tool.dg])."""

from __future__ import annotations

from orchestration.build import build_defs

defs = build_defs()
