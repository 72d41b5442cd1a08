"""A file whose source is not known is told by its first lines, or not at all."""

from __future__ import annotations

import io

import pytest

from lake.formats import FAMILIES
from lake.formats.detection import detect

#: its files do not say what their columns are
_SILENT = "akamai_ds2_structured"


@pytest.mark.parametrize("family", [f for f in FAMILIES if f != _SILENT])
def test_a_line_of_a_family_is_told_from_the_others(family, make):
    data = make.file(family, [make.line(family)])
    assert detect(io.BytesIO(data), "file.log") == family


def test_what_no_family_writes_is_not_guessed(make):
    for data in (b"plain text\n", b'{"time": "now", "status": 200}\n', make.line(_SILENT) + b"\n"):
        assert detect(io.BytesIO(data), "file.log") is None
