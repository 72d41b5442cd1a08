"""Where things are: one of the two modules that read the environment (the other: orchestration).

Every path, address and secret of the data plane is named here and nowhere else.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lake.locations import (
    Location,
    LocationError,
    S3Access,
    S3Location,
    catalog_uri_of,
    location_of,
    s3_access,
    sqlite_uri,
    warehouse_of,
)

if TYPE_CHECKING:
    from lake.protection import Protection
    from lake.pseudonyms import Keyring

PACKAGED_SOURCES = Path(__file__).parent / "sources"
PACKAGED_POLICY = Path(__file__).parent / "maintenance" / "policy.yaml"
#: of a REST catalog: variable -> property of pyiceberg
_CATALOG_OPTIONS = {
    "WEIR_CATALOG_WAREHOUSE": "warehouse",
    "WEIR_CATALOG_CREDENTIAL": "credential",
    "WEIR_CATALOG_TOKEN": "token",
    "WEIR_CATALOG_OAUTH2_URI": "oauth2-server-uri",
    "WEIR_CATALOG_SCOPE": "scope",
}


def choose_allocator() -> None:
    """Have Arrow allocate with jemalloc and DuckDB's own keep its pages, unless told otherwise.

    Called before they are imported, as they read this once: a chunk's columns come and go, and
    pages that are given back to the system are cleared and mapped again for the next chunk. A
    seventh of an ingest's CPU. What they keep is bounded by the largest chunk a worker had.
    """
    if sys.platform in ("linux", "darwin"):  # where Arrow's wheels carry it
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "jemalloc")
    os.environ.setdefault(
        "DUCKDB_JE_MALLOC_CONF", "dirty_decay_ms:-1,muzzy_decay_ms:-1,retain:true"
    )


@dataclass(frozen=True)
class LakeSettings:
    """Paths, addresses and access of one installation.

    home: private state (catalog, build file, Dagster's storage). landing: the user's own folder
    or S3 prefix, only read. warehouse: data files of all tables. sources: folder of source files.
    s3: access to the warehouse; landing_s3: to landing. catalog_options: further properties of a
    REST catalog, as pyiceberg names them.
    """

    home: Path
    landing: Location
    warehouse: Location
    catalog_uri: str = field(repr=False)  # may hold a password
    sources: Path
    #: the maintenance policy
    policy: Path = PACKAGED_POLICY
    s3: S3Access = field(default_factory=S3Access)
    landing_s3: S3Access = field(default_factory=S3Access)
    catalog_options: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def landing_folder(self) -> Path:
        """Return landing as a folder, for what writes into it: the demo and tests."""
        if isinstance(self.landing, S3Location):
            raise LocationError(
                f"landing is {self.landing}; expected a folder here. Unset WEIR_LANDING."
            )
        return self.landing

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
    catalog_uri = env.get("WEIR_CATALOG_URI")
    return LakeSettings(
        home=where,
        landing=location_of(env.get("WEIR_LANDING") or str(where / "landing"), "WEIR_LANDING"),
        warehouse=warehouse_of(
            env.get("WEIR_WAREHOUSE") or str(where / "warehouse"), "WEIR_WAREHOUSE"
        ),
        catalog_uri=catalog_uri_of(catalog_uri)
        if catalog_uri
        else sqlite_uri(where / "catalog.db"),
        sources=Path(env.get("WEIR_SOURCES") or PACKAGED_SOURCES).absolute(),
        policy=Path(env.get("WEIR_MAINTENANCE") or PACKAGED_POLICY).absolute(),
        s3=s3_access(env),
        landing_s3=s3_access(env, landing=True),
        catalog_options={
            option: value for name, option in _CATALOG_OPTIONS.items() if (value := env.get(name))
        },
    )


def storage_environment(settings: LakeSettings) -> dict[str, str]:
    """Return the variables from which a child process reads the same places and accesses."""
    made = {
        "WEIR_LANDING": str(settings.landing),
        "WEIR_WAREHOUSE": str(settings.warehouse),
        "WEIR_CATALOG_URI": settings.catalog_uri,
        **{n: settings.catalog_options.get(o, "") for n, o in _CATALOG_OPTIONS.items()},
    }
    for prefix, access in (("WEIR_S3_", settings.s3), ("WEIR_LANDING_S3_", settings.landing_s3)):
        made |= {
            f"{prefix}ENDPOINT": access.endpoint or "",
            f"{prefix}REGION": access.region or "",
            f"{prefix}ACCESS_KEY_ID": access.access_key_id or "",
            f"{prefix}SECRET_ACCESS_KEY": access.secret_access_key or "",
            f"{prefix}SESSION_TOKEN": access.session_token or "",
            f"{prefix}ADDRESSING": access.addressing,
            f"{prefix}ETAG_IS_MD5": str(access.etag_is_md5).lower(),
        }
    return made


def crash_at() -> str | None:
    """Return the crash point a test asks for."""
    return os.environ.get("WEIR_CRASH_AT")
