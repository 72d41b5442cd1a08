"""No test of a lost answer waits as long as an ingest does between two attempts."""

from __future__ import annotations

import pytest

import lake.outcome


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(lake.outcome, "PAUSE_S", 0.001)
