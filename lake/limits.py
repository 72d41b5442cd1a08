"""How much one object may cost, whatever it holds: a source file can say otherwise.

Every limit is a property of the object's own bytes but one: `max_cpu_s`, the last resort against
input that nobody thought of, far above what the largest allowed log takes.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

_MB, _GB = 1024**2, 1024**3


class Limits(BaseModel):
    """The caps on one object. Beyond one of them it is refused whole, but for `max_line_bytes`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: bytes after unpacking
    max_inflated_bytes: int = Field(default=64 * _GB, gt=0)
    #: inflated : packed, judged from 64 MB on; DEFLATE reaches 1032:1, zstd far more, logs 40:1
    max_ratio: int = Field(default=400, gt=0)
    #: a longer line is one reject, `line_too_long`, and is never held whole
    max_line_bytes: int = Field(default=16 * _MB, ge=1024, le=64 * _MB)
    #: rejected lines are kept in memory until the commit, about 0.5 kB each
    max_rejected_lines: int = Field(default=250_000, gt=0)
    #: rows of a Parquet object, by its footer
    max_rows: int = Field(default=200_000_000, gt=0)
    #: hours of event time in one object: each is an open file
    max_hours: int = Field(default=240, gt=0)
    #: CPU seconds of the thread that reads it
    max_cpu_s: float = Field(default=1800, gt=0)
