"""Where landing, warehouse and catalog are: a folder or a prefix in S3, and how S3 is reached.

Belongs here: reading such addresses, and the errors that say what is wrong with one without
showing a secret. Does not: the environment (lake.settings), opening anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

_BUCKET = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{1,253}[a-zA-Z0-9]")
#: `#?` would end the path of a URI; DuckDB takes `*?[` for patterns
_NOT_IN_WAREHOUSE = re.compile(r"[#?*\[\]\x00-\x1f\x7f]")
_SQL = ("sqlite", "postgresql")


class LocationError(ValueError):
    """A setting that names no place: says which, what was expected and what to do."""


class StorageError(RuntimeError):
    """The store does not answer, or refuses: says what was asked, what came and what to do."""


@dataclass(frozen=True)
class S3Location:
    """A bucket and what all keys in it begin with: empty, or ends with a slash."""

    bucket: str
    prefix: str = ""

    @property
    def uri(self) -> str:
        """Return it as s3://bucket/prefix, without a slash at the end."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def __str__(self) -> str:
        return self.uri


Location = Path | S3Location


@dataclass(frozen=True)
class S3Access:
    """How an S3 is reached; without keys, the default AWS credential chain answers.

    endpoint: an http(s) URL; None is AWS itself. addressing: path, virtual, or auto (virtual on
    AWS, path elsewhere). etag_is_md5: whether a plain 32-digit etag is held against the bytes.
    """

    endpoint: str | None = None
    region: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    addressing: str = "auto"
    etag_is_md5: bool = True

    @property
    def is_virtual(self) -> bool:
        """Tell whether the bucket stands in the host name."""
        return self.addressing == "virtual" or (self.addressing == "auto" and self.endpoint is None)


def location_of(text: str, name: str) -> Location:
    """Return the folder or S3 prefix that a setting names."""
    if "://" not in text:
        return Path(text).absolute()
    parts = urlsplit(text)
    if parts.scheme == "file" and not parts.netloc:
        return Path(unquote(parts.path)).absolute()
    if parts.scheme not in ("s3", "s3a", "s3n"):
        raise LocationError(
            f"{name} begins with {parts.scheme}://; expected a folder or s3://bucket/prefix."
        )
    # not parts.path: `#` and `?` may stand in a key
    bucket, _, prefix = text.split("://", 1)[1].partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise LocationError(
            f"{name} names no bucket; expected 3 or more letters, digits, dots and hyphens, as in "
            "s3://bucket/prefix. Keys of access belong into WEIR_S3_* variables."
        )
    return S3Location(bucket, f"{prefix.rstrip('/')}/" if prefix.strip("/") else "")


def warehouse_of(text: str, name: str) -> Location:
    """Return the location of a warehouse: its files are named by URIs and read through SQL."""
    found = location_of(text, name)
    if bad := sorted(set(_NOT_IN_WAREHOUSE.findall(str(found)))):
        raise LocationError(
            f"{name} is {str(found)!r}; expected none of {''.join(bad)!r} in it: Iceberg names "
            "data files by URIs, and DuckDB takes *?[ for patterns. Choose another place."
        )
    return found


def s3_access(env: Mapping[str, str], landing: bool = False) -> S3Access:
    """Return the access that WEIR_S3_* variables give; landing: WEIR_LANDING_S3_* come first.

    Keys go together: a landing that has a key id of its own takes no secret from WEIR_S3_*.
    """

    def given(name: str, *, own_only: bool = False) -> str | None:
        own = env.get(f"WEIR_LANDING_S3_{name}") if landing else None
        return own or (None if own_only else env.get(f"WEIR_S3_{name}")) or None

    own_keys = landing and any(
        env.get(f"WEIR_LANDING_S3_{n}") for n in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY")
    )
    key_id = given("ACCESS_KEY_ID", own_only=own_keys)
    secret = given("SECRET_ACCESS_KEY", own_only=own_keys)
    prefix = "WEIR_LANDING_S3_" if own_keys else "WEIR_S3_"
    if (key_id is None) != (secret is None):
        raise LocationError(
            f"of {prefix}ACCESS_KEY_ID and {prefix}SECRET_ACCESS_KEY one is set; expected both, or "
            "neither for the default AWS credential chain."
        )
    addressing = given("ADDRESSING") or "auto"
    if addressing not in ("auto", "path", "virtual"):
        raise LocationError(f"WEIR_S3_ADDRESSING is {addressing!r}; expected auto, path, virtual.")
    return S3Access(
        endpoint=_endpoint(given("ENDPOINT")),
        region=given("REGION"),
        access_key_id=key_id,
        secret_access_key=secret,
        session_token=given("SESSION_TOKEN", own_only=own_keys) if key_id else None,
        addressing=addressing,
        etag_is_md5=(given("ETAG_IS_MD5") or "true").lower() not in ("0", "false", "no"),
    )


def _endpoint(text: str | None) -> str | None:
    if text is None:
        return None
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise LocationError(
            "WEIR_S3_ENDPOINT is no plain address; expected https://host or http://host:port, "
            "without a user in it. Keys belong into WEIR_S3_ACCESS_KEY_ID and _SECRET_ACCESS_KEY."
        )
    return text.rstrip("/")


def catalog_uri_of(text: str) -> str:
    """Return a catalog's address as the libraries want it; an error shows no password.

    A plain postgresql:// means psycopg 3 to SQLAlchemy 2.1; psycopg 2 is what is installed, and
    what Dagster's storage needs.
    """
    scheme, separator, rest = text.partition("://")
    if separator and scheme in ("postgres", "postgresql"):
        return f"postgresql+psycopg2://{rest}"
    if separator and scheme.split("+")[0] in _SQL:
        return text
    if separator and scheme in ("http", "https") and "@" not in rest.partition("/")[0]:
        return text
    raise LocationError(
        "WEIR_CATALOG_URI is none that is known; expected sqlite:////path/file.db, "
        "postgresql://user:password@host/database, or the https:// address of a REST catalog "
        "without a user in it (its credentials belong into WEIR_CATALOG_CREDENTIAL or _TOKEN)."
    )


def sqlite_uri(path: Path) -> str:
    """Return the address of a SQLite file, whatever its path holds."""
    return "sqlite:///" + str(path).replace("%", "%25").replace("?", "%3F")


def sqlite_file(uri: str) -> Path | None:
    """Return the file of a SQLite catalog; None for another catalog."""
    if not uri.startswith("sqlite:///"):
        return None
    return Path(unquote(uri.removeprefix("sqlite:///").partition("?")[0]))
