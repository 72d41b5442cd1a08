"""Where things are: one of the two modules that read the environment (the other: orchestration).

Every path, address and secret of the data plane is named here and nowhere else.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lake.protection import Protection
    from lake.pseudonyms import Keyring

PACKAGED_SOURCES = Path(__file__).parent / "sources"
PACKAGED_POLICY = Path(__file__).parent / "maintenance" / "policy.yaml"


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
    #: the maintenance policy
    policy: Path = PACKAGED_POLICY

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

    def keyring(self) -> Keyring:
        """Return the keys of user ids, from where `keys_kept_in` says."""
        from lake.keyring import KeyFile, key_of, read_keyring
        from lake.pseudonyms import HmacKey, Keyring

        one, several = os.environ.get("WEIR_HMAC_KEY"), os.environ.get("WEIR_HMAC_KEYS")
        match self.keys_kept_in:
            case "WEIR_HMAC_KEY":
                return Keyring((HmacKey("1", key_of(one or "", "1", "WEIR_HMAC_KEY")),))
            case "WEIR_HMAC_KEYS":
                text = (several or "").strip()
                if not text.startswith("["):
                    text = Path(text).read_text(encoding="utf-8")
                return read_keyring(text, "WEIR_HMAC_KEYS")
        return KeyFile(self.home).read()

    @property
    def keys_kept_in(self) -> str | None:
        """Return the variable the keys come from; None: a file under home.

        WEIR_HMAC_KEY holds one key, WEIR_HMAC_KEYS several as JSON, or the path of such a file.
        """
        from lake.pseudonyms import KeyringError

        given = [n for n in ("WEIR_HMAC_KEY", "WEIR_HMAC_KEYS") if os.environ.get(n)]
        if len(given) > 1:
            raise KeyringError("expected WEIR_HMAC_KEY or WEIR_HMAC_KEYS, found both. Unset one.")
        return given[0] if given else None

    def protection(self) -> Protection:
        """Return keys and geo files (WEIR_GEOIP, several split as in PATH); raises their errors."""
        from lake.geo import Geo
        from lake.protection import Protection

        named = [Path(p) for p in os.environ.get("WEIR_GEOIP", "").split(os.pathsep) if p]
        return Protection(self.keyring(), Geo(named) if named else None)


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
        policy=Path(env.get("WEIR_MAINTENANCE") or PACKAGED_POLICY).absolute(),
    )


def crash_at() -> str | None:
    """Return the crash point a test asks for."""
    return os.environ.get("WEIR_CRASH_AT")
