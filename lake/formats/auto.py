"""The format `auto`: which CDN family a file is of, is looked at file by file.

Belongs here: what stands for a source whose files are not yet looked at. It reads nothing itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from lake.formats.base import Family, Judgement, Layout
from lake.records import CDN_REQUESTS
from lake.refused import RefusedError
from lake.source import Source


class Auto(Family):
    """No family: one is found by lake.formats.detection before anything is read."""

    name = "auto"
    version = 1
    record = CDN_REQUESTS

    def layout(self, head: bytes, source: Source, previous: Layout | None) -> Layout:  # noqa: ARG002
        """Refuse: a file is read by the family it was found to be of."""
        self._refuse()

    def read_sql(self, path: str, layout: Layout, longest_line: int) -> str:  # noqa: ARG002
        """Refuse."""
        self._refuse()

    def line_numbers_sql(self) -> str | None:
        """Return None: nothing is read."""
        return None

    def judge(self, line: bytes, layout: Layout) -> Judgement:  # noqa: ARG002
        """Refuse."""
        self._refuse()

    def derived_sql(self, layout: Layout, source: Source) -> Mapping[str, str]:  # noqa: ARG002
        """Return nothing."""
        return {}

    def canonical_sql(self, layout: Layout, source: Source) -> Mapping[str, str]:  # noqa: ARG002
        """Return nothing."""
        return {}

    def _refuse(self) -> NoReturn:
        raise RefusedError(
            "unknown_format",
            "expected a file whose format was found, found one that nobody looked at. "
            "Declare format: in the source file.",
        )
