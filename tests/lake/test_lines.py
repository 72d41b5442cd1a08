"""Counting a byte over a chunk and line by line, whatever the blocks it is looked at in."""

import mmap

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake import lines as lines_module
from lake.lines import Lines


def _lines_of(text: bytes) -> list[bytes]:
    lines = text.split(b"\n")
    return lines[:-1] if not lines[-1] else lines


@pytest.mark.parametrize("block", [1, 7, 262_144])
@given(text=st.lists(st.sampled_from([b"\t", b"\n", b"a"]), max_size=60).map(b"".join))
def test_a_byte_is_counted_in_the_line_it_stands_in(block: int, text: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch, mmap.mmap(-1, len(text) + 1) as memory:
        patch.setattr(lines_module, "_BLOCK_BYTES", block)
        memory[: len(text)] = text
        lines = Lines(memory, len(text))
        expected = [line.count(b"\t") for line in _lines_of(text)]
        assert lines.count_each(9).tolist() == expected
        assert lines.count(9) == sum(expected)
        del lines


@pytest.mark.parametrize("block", [1, 7, 262_144])
@given(
    text=st.lists(st.sampled_from([b"\t", b"\n", b"a", b"#"]), max_size=60).map(b"".join),
    allowed=st.integers(0, 3),
)
def test_lines_with_a_surplus_and_lines_that_begin_with_a_byte_are_found(
    block: int, text: bytes, allowed: int
) -> None:
    with pytest.MonkeyPatch.context() as patch, mmap.mmap(-1, len(text) + 1) as memory:
        patch.setattr(lines_module, "_BLOCK_BYTES", block)
        memory[: len(text)] = text
        lines = Lines(memory, len(text))
        every = _lines_of(text)
        # what is expected of a line is never more than it has: the others were rejected
        expected = np.array([min(line.count(b"\t"), allowed) for line in every], dtype=np.int64)
        found = lines.miscounted(9, expected).tolist()
        assert found == [n for n, line in enumerate(every, 1) if line.count(b"\t") > allowed]
        assert lines.starting_with(ord("#")).tolist() == [
            n for n, line in enumerate(every, 1) if line.startswith(b"#")
        ]
        del lines
