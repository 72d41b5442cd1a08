"""A hundred thousand random and mutated lines a family: accounted for, in bounded memory."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from lake.formats import FAMILIES

REAL = Path(__file__).parents[2].parent / "shared/data/cdn"
SAMPLES = {
    "cloudfront_v1": ("cloudfront/basic.log",),
    "cloudflare_logpush": ("cloudflare/logfile_cloudflare.json",),
    "akamai_ds2": ("akamai/akamai_ds2_video.shared.ndjson",),
    "nginx_combined": ("nginx/logfile_shop_access_log.0",),
    "apache_combined": ("apache/apache_logs",),
    "fastly": ("fastly/basic.log", "fastly/full-info.log"),
}
LINES = 100_000
MARKS = (b"\t", b'"', b"\\", b"\0", b"\xff", b"\xef\xbb\xbf", b"#", b"{", b"}", b",", b"-", b"%2")
#: parses one file in a process of its own; prints the counts and the peak of its memory
CHILD = """
import json, resource, sys
sys.path.insert(0, sys.argv[1])
from tests.lake.box import NOW, PROTECTION
from tests.lake.feeds import source_of
from lake.formats import FAMILIES
from lake.parse import Constants, Parser
from lake.source import ABSOLUTE_RANGE
family, path = sys.argv[2:]
with open(path, "rb") as stream:
    size = stream.seek(0, 2)
    stream.seek(0)
    parser = Parser(source_of(family), FAMILIES[family], PROTECTION)
    t = parser.parse(stream, "in/a", size, Constants("d", NOW, None, *ABSOLUTE_RANGE), lambda t: 0)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([t.lines, t.accepted, t.rejected, t.header, t.blank,
                  peak // (1024 if sys.platform == "linux" else 1024**2)]))
"""


def mutated(line: bytes, rng: random.Random) -> bytes:
    """Change a line in one to four places."""
    for _ in range(rng.randint(1, 4)):
        at = rng.randint(0, len(line))
        match rng.randrange(5):
            case 0:
                line = line[:at]
            case 1:
                line = line[:at] + rng.choice(MARKS) + line[at:]
            case 2:
                line = line[:at] + line[at + rng.randint(1, 30) :]
            case 3:
                line = line[:at] + line[max(0, at - rng.randint(1, 30)) :]
            case _:
                line = line[:at] + bytes([rng.randrange(256)]) + line[at + 1 :]
    return line


def lines_of(family: str, count: int, make) -> list[bytes]:
    """Make random bytes, mutated lines and good ones; real lines among them where there are any."""
    rng = random.Random(f"{family} {count}")
    good = [make.numbered(family, n) for n in range(500)]
    real = [REAL / name for name in SAMPLES.get(family, ()) if (REAL / name).exists()]
    # a broken header refuses the whole file, as it should: headers stay whole here
    logged = [line for path in real for line in path.read_bytes().split(b"\n")]
    seeds = good + [line for line in logged if line and not line.startswith(b"#")]
    found = []
    for _ in range(count):
        kind = rng.random()
        if kind < 0.3:
            found.append(rng.randbytes(rng.randint(0, 200)))
        elif kind < 0.8:
            found.append(mutated(rng.choice(seeds), rng))
        else:
            found.append(rng.choice(good))
    return found


def measured(family: str, data: bytes, folder: Path) -> tuple[list[int], int]:
    """Parse in a child process; return the counts and its peak memory, MB."""
    path = folder / f"{len(data)}.log"
    path.write_bytes(data)
    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", CHILD, root, family, str(path)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)
    *counts, peak = json.loads(answer.stdout.strip().splitlines()[-1])
    return counts, peak


@pytest.mark.slow
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_hundred_thousand_broken_lines_are_accounted_for_in_bounded_memory(
    family, make, parse, tmp_path
):
    lines = lines_of(family, LINES, make)
    data = make.header(family) + b"\n".join(lines) + b"\n"
    (seen, accepted, rejected, header, blank), peak = measured(family, data, tmp_path)
    assert seen == data.count(b"\n")
    assert seen == accepted + rejected + header + blank
    assert accepted >= lines.count(make.numbered(family, 0))
    assert peak < 1500
    # the same seeds in a tenth of the size: memory grows with the rejects kept, not with the input
    small = make.header(family) + b"\n".join(lines[: LINES // 10]) + b"\n"
    result = parse(family, small)
    result.check_accounts(small)
    assert peak - measured(family, small, tmp_path)[1] < 500
