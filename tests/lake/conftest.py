"""What a test of the lake may ask for: lines, a parser that lives as long as the run, a lake.

Belongs here: the fixtures. Does not: what they are made of (making.py, feeds.py, parsing.py,
box.py), nor what a test expects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lake.settings import PACKAGED_SOURCES, load_settings
from lake.source import Source, load_sources

from .box import LakeBox
from .feeds import source_of
from .making import Lines
from .parsing import ParseTool


@pytest.fixture(scope="session")
def parse() -> Iterator[ParseTool]:
    tool = ParseTool()
    yield tool
    tool.close()


@pytest.fixture(scope="session")
def make() -> Lines:
    return Lines()


@pytest.fixture(scope="session")
def feed_of() -> Callable[..., Source]:
    return source_of


@pytest.fixture(scope="session")
def lake_at() -> Callable[[Path], LakeBox]:
    sources = load_sources(PACKAGED_SOURCES)

    def make_one(folder: Path) -> LakeBox:
        return LakeBox(load_settings({}, home=folder / "home"), sources)

    return make_one


@pytest.fixture
def box(tmp_path: Path, lake_at: Callable[[Path], LakeBox]) -> LakeBox:
    return lake_at(tmp_path)


@pytest.fixture
def box_in(tmp_path: Path, lake_at: Callable[[Path], LakeBox]) -> Callable[[str], LakeBox]:
    return lambda name: lake_at(tmp_path / name)
