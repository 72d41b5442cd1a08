"""Asking a metric of what a test built, by the SQL that `weir metric` runs on gold.

Belongs here: the question. Does not: what the answer must be.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from orchestration.metrics.query import Question, answerable
from orchestration.metrics.registry import load_registry

from .conftest import Weir

REGISTRY = load_registry()


def ask(weir: Weir, name: str, **question: Any) -> list[tuple[Any, ...]]:
    """Ask a metric of the build file, by the SQL that `weir metric` runs on gold.

    Days are asked where a test builds them: they are made of gold, not of this build.
    """
    days = question.pop("days", False)
    marts = {n: m for n, m in REGISTRY.marts.items() if days or m.family != "rollup"}
    known = replace(REGISTRY, marts=marts)
    found = answerable(known, Question(REGISTRY.metric(name), **question))
    return weir.rows(found.sql.replace("from gold.", "from marts."))
