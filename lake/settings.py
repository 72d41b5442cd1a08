"""Where things are: one of the two modules that read the environment (the other: orchestration).

Every path, address and secret of the data plane is named here and nowhere else.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

PACKAGED_SOURCES = Path(__file__).parent / "sources"


@dataclass(frozen=True)
class HmacKey:
    """The key that user ids are hashed with; never shown, logged or stored in a table."""

    epoch: str
    value: bytes = field(repr=False)


@dataclass(frozen=True)
class LakeSettings:
    """Paths and addresses of one installation.

    home: private state (catalog, build file, Dagster's storage). landing: the user's own folder,
    only read. warehouse: data files of all tables. sources: folder of source files.
    """

    home: Path
    landing: Path
    warehouse: Path
    catalog_uri: str
    sources: Path

    @property
    def serving_file(self) -> Path:
        """Return the DuckDB file of views that readers open."""
        return self.home / "serving.duckdb"

    @property
    def build_file(self) -> Path:
        """Return dbt's DuckDB file: a cache, safe to delete."""
        return self.home / "build.duckdb"

    @property
    def builds(self) -> Path:
        """Return the folder of build plans and audit outcomes, one folder a run."""
        return self.home / "builds"

    def hmac_key(self) -> HmacKey:
        """Return the key of the current epoch: WEIR_HMAC_KEY, else one made once under home."""
        given = os.environ.get("WEIR_HMAC_KEY")
        if given:
            return HmacKey("1", given.encode())
        path = self.home / "secrets" / "hmac_key"
        if not path.exists():
            _make_key(path)
        return HmacKey("1", path.read_text().strip().encode())


def _make_key(path: Path) -> None:
    """Make a key that appears whole or not at all; of two makers one wins."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as out:
        out.write(secrets.token_hex(32))
    with suppress(FileExistsError):
        os.link(beside, path)
    beside.unlink()


def project_home(start: Path) -> Path:
    """Return .weir beside the nearest workspace.yaml at or above a folder, else in the folder."""
    for folder in (start, *start.parents):
        if (folder / "workspace.yaml").is_file():
            return folder / ".weir"
    return start / ".weir"


def load_settings(
    environ: Mapping[str, str] | None = None,
    home: Path | None = None,
    *,
    default_home: Path | None = None,
) -> LakeSettings:
    """Return the settings named by WEIR_* variables; everything defaults to the project's .weir.

    home: overrides WEIR_HOME. default_home: used instead of the project's .weir where neither
    names one.
    """
    env = os.environ if environ is None else environ
    named = env.get("WEIR_HOME")
    where = home or (Path(named) if named else default_home or project_home(Path.cwd()))
    where = where.absolute()
    return LakeSettings(
        home=where,
        landing=Path(env.get("WEIR_LANDING") or where / "landing").absolute(),
        warehouse=Path(env.get("WEIR_WAREHOUSE") or where / "warehouse").absolute(),
        catalog_uri=env.get("WEIR_CATALOG_URI") or f"sqlite:///{where / 'catalog.db'}",
        sources=Path(env.get("WEIR_SOURCES") or PACKAGED_SOURCES).absolute(),
    )


def crash_at() -> str | None:
    """Return the crash point a test asks for."""
    return os.environ.get("WEIR_CRASH_AT")
