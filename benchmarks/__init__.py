"""Side-by-side measurements that print ratios; see README.md.

Belongs here: candidates, data for them, and how they are measured. Does not: assertions on
speed. A test asserts that a benchmark runs and counts right, never how fast it was.
"""

from lake.settings import choose_allocator

# every candidate, ours or not, with the allocators that Weir's processes have: they are read once,
# by the first import of Arrow or DuckDB
choose_allocator()
