"""The data plane: from landed log files to audited, committed, published Iceberg tables.

Knows no Dagster, dbt or Great Expectations, and reads the clock only where it is passed in.
"""

from lake.settings import choose_allocator

choose_allocator()
