"""The policy: what maintenance keeps of each table and when it rewrites, from one YAML file."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lake.settings import PACKAGED_POLICY


class PolicyError(ValueError):
    """A policy that cannot be used."""


class TablePolicy(BaseModel):
    """What is kept of one table, and when its files are rewritten; policy.yaml says each."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keep_snapshots: int = Field(ge=1)
    snapshot_minutes: int = Field(ge=0)
    metadata_versions: int = Field(ge=1)
    max_manifests: int = Field(ge=1)
    min_files: int = Field(ge=2)
    target_rows: int = Field(ge=1)
    closed_after_minutes: int | None = Field(ge=0)
    sort_by: tuple[str, ...]

    @property
    def snapshot_grace(self) -> timedelta:
        """Return how long a snapshot is kept after its successor came."""
        return timedelta(minutes=self.snapshot_minutes)

    @property
    def closed_after(self) -> timedelta | None:
        """Return how long after its end an hour is rewritten; None: at any age."""
        minutes = self.closed_after_minutes
        return None if minutes is None else timedelta(minutes=minutes)


class Policy(BaseModel):
    """The whole policy. Refuses graces that are shorter than the longest run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    longest_run_minutes: int = Field(ge=1)
    orphan_grace_hours: float = Field(ge=0)
    reader_grace_minutes: int = Field(ge=0)
    backups: int = Field(ge=1)
    defaults: TablePolicy
    tables: Mapping[str, Mapping[str, Any]] = Field(default_factory=dict)

    @property
    def longest_run(self) -> timedelta:
        """Return how long an ingest, audit, build or publish may take."""
        return timedelta(minutes=self.longest_run_minutes)

    @property
    def orphan_grace(self) -> timedelta:
        """Return how old a file must be that nothing refers to."""
        return timedelta(hours=self.orphan_grace_hours)

    @property
    def reader_grace(self) -> timedelta:
        """Return how long files and releases stay that nothing refers to any more."""
        return timedelta(minutes=self.reader_grace_minutes)

    def of(self, identifier: str) -> TablePolicy:
        """Return the policy of a table: by its name, its namespace, then the defaults."""
        namespace = identifier.split(".")[0]
        merged = {
            **self.defaults.model_dump(),
            **self.tables.get(namespace, {}),
            **self.tables.get(identifier, {}),
        }
        return TablePolicy.model_validate(merged)

    @model_validator(mode="after")
    def _graces_cover_the_longest_run(self) -> Policy:
        if self.orphan_grace < self.longest_run:
            raise ValueError(
                f"orphan_grace_hours is {self.orphan_grace_hours:g}; expected at least "
                f"longest_run_minutes ({self.longest_run_minutes} min = "
                f"{self.longest_run_minutes / 60:g} h): what an ingest has written and its audit "
                "still judges would be deleted under it. Raise the grace"
            )
        if self.reader_grace < self.longest_run:
            raise ValueError(
                f"reader_grace_minutes is {self.reader_grace_minutes}; expected at least "
                f"longest_run_minutes ({self.longest_run_minutes}): a build that reads a snapshot "
                "would lose its files. Raise the grace"
            )
        for name in self.tables:
            self.of(name)
        return self


def load_policy(path: Path = PACKAGED_POLICY) -> Policy:
    """Read a policy file; errors name the file and what is wrong in it."""
    try:
        return Policy.model_validate(yaml.safe_load(path.read_text()))
    except OSError as err:
        raise PolicyError(f"{path}: {err.strerror}. WEIR_MAINTENANCE names the file") from err
    except (yaml.YAMLError, ValidationError) as err:
        raise PolicyError(f"{path} is no maintenance policy: {err}") from err
