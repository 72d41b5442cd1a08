"""Counting a byte over a chunk and line by line, whatever the blocks it is looked at in."""

import mmap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake import inflate
from lake.inflate import Lines


def _lines_of(text: bytes) -> list[bytes]:
    lines = text.split(b"\n")
    return lines[:-1] if not lines[-1] else lines


@pytest.mark.parametrize("block", [1, 7, 262_144])
@given(text=st.lists(st.sampled_from([b"\t", b"\n", b"a"]), max_size=60).map(b"".join))
def test_a_byte_is_counted_in_the_line_it_stands_in(block: int, text: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch, mmap.mmap(-1, len(text) + 1) as memory:
        patch.setattr(inflate, "_BLOCK_BYTES", block)
        memory[: len(text)] = text
        lines = Lines(memory, len(text))
        expected = [line.count(b"\t") for line in _lines_of(text)]
        assert lines.count_each(9).tolist() == expected
        assert lines.count(9) == sum(expected)
        del lines
