"""The example sources of the documentation are complete."""

from __future__ import annotations

from pathlib import Path

import pytest

from lake.formats import family_of
from lake.source import load_source

EXAMPLES = Path(__file__).parents[2] / "docs/sources"


@pytest.mark.parametrize("name", sorted(p.name for p in EXAMPLES.glob("*.yaml")))
def test_an_example_is_complete(name):
    source = load_source(EXAMPLES / name)
    assert source.name == name.removesuffix(".yaml")
    assert family_of(source.format)
    assert source.period is not None
    assert source.cadence is not None
    assert source.description
