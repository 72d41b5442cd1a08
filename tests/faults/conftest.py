"""A warm process whose children can be killed, and the jobs they do."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest


def _load(name: str):
    path = Path(__file__).parent / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"faults_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[f"faults_{name}"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def worker():
    """Return the jobs of worker.py, to do in this process."""
    return _load("worker")


@pytest.fixture(scope="session")
def warm(tmp_path_factory):
    """Return a warm process; see warm.py."""
    with _load("warm").Warm(tmp_path_factory.mktemp("warm") / "log") as made:
        yield made
