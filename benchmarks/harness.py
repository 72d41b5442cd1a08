"""Measuring: each candidate in a fresh process, its CPU and memory as the kernel counts them.

Belongs here: what every benchmark shares (process, usage, medians). Does not: what is measured.

A candidate is a function `module:name` that takes keyword arguments of plain JSON, sets itself up
(imports, catalog, tables) and returns a Job. Only `Job.run` counts as steady CPU; set-up is
measured beside it; `Job.outcome` reads back what came of it and is not measured.
"""

from __future__ import annotations

import importlib
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
_STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Job:
    """What a candidate does when measured, and what it can say about it afterwards."""

    run: Callable[[], None]
    outcome: Callable[[], Mapping[str, Any]]


@dataclass(frozen=True)
class Usage:
    """What one run cost: CPU is user + system seconds of all its threads and ended children.

    setup: from the start of the interpreter until the candidate was ready. steady: the job alone.
    """

    setup_cpu_s: float
    steady_cpu_s: float
    steady_wall_s: float
    peak_rss_mb: float
    outcome: Mapping[str, Any]

    @property
    def process_cpu_s(self) -> float:
        """Return the CPU of the whole process until the job was done."""
        return self.setup_cpu_s + self.steady_cpu_s


def measure(target: str, arguments: Mapping[str, Any]) -> Usage:
    """Run a candidate in a fresh process; what it prints goes to standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.harness", target, json.dumps(dict(arguments))],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        check=False,
        text=True,
    )
    if done.returncode != 0:
        raise RuntimeError(
            f"{target} ended with {done.returncode}; expected 0. Its error is above this one: run "
            "it alone with `python -m benchmarks.harness` and the same arguments."
        )
    return Usage(**json.loads(done.stdout))


def rounds(
    candidates: Mapping[str, Callable[[], Usage]], count: int
) -> Iterator[tuple[int, str, Usage]]:
    """Run every candidate once a round, each round beginning with another one.

    Interleaved, so that a slow minute of the machine falls on all of them; rotated, so that none
    always runs after the same neighbour.
    """
    names = list(candidates)
    for number in range(count):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            yield number, name, candidates[name]()


@dataclass(frozen=True)
class Spread:
    """A median with what it was taken from."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Return the spread of at least one value."""
        known = list(values)
        return cls(median(known), min(known), max(known))


def ratios(of: Sequence[float], to: Sequence[float]) -> Spread:
    """Return the spread of the ratios taken round by round."""
    return Spread.of(a / b for a, b in zip(of, to, strict=True))


def _cpu_s() -> float:
    """Return user + system seconds of this process and of its children that have ended."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    used = [resource.getrusage(kind) for kind in kinds]
    return sum(u.ru_utime + u.ru_stime for u in used)


def _peak_rss_mb() -> float:
    """Return the high-water mark of this process's memory.

    Not ru_maxrss where it can be helped: Linux starts it at the size of the parent.
    """
    if _STATUS.exists():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    scale = 1024**2 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale


def _child(target: str, arguments: Mapping[str, Any]) -> Usage:
    """Set a candidate up, run it, and return what that cost."""
    module, _, name = target.partition(":")
    job: Job = getattr(importlib.import_module(module), name)(**arguments)
    before, started = _cpu_s(), time.perf_counter()
    job.run()
    wall, after, peak = time.perf_counter() - started, _cpu_s(), _peak_rss_mb()
    return Usage(before, after - before, wall, peak, job.outcome())


def _main() -> None:
    target, arguments = sys.argv[1:]
    with redirect_stdout(sys.stderr):
        usage = _child(target, json.loads(arguments))
    sys.stdout.write(json.dumps(asdict(usage)))


if __name__ == "__main__":
    _main()
