"""dbt's docs as one file that can be mailed: python dbt_project/static_docs.py OUT.html.

Belongs here: making that file and sealing it. Does not: what it says (models/**/_*.yml, docs/).

dbt's own static page asks an analytics host for a script, an icon for a path that was never filled
in, and logs errors when opened from disk. The sealed page carries a content security policy that
forbids every request, so whatever a later dbt adds stays silent as well.

Reads the build file, so it needs it free like any dbt command. Types of columns come from the
tables built so far, descriptions from the project.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from pathlib import Path

from dbt.cli.main import dbtRunner

PROJECT = Path(__file__).resolve().parent
#: the page has all its scripts, styles, icons and fonts inside; Angular compiles templates by eval
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data:; font-src data:; base-uri 'none'; form-action 'none'"
)
_TRACKER = re.compile(r"//d1fc8wv8zag5ca\.cloudfront\.net/[0-9.]+/sp\.js")
_ICON = re.compile(r'<link rel="(?:shortcut icon|canonical)"[^>]*>')
#: Angular sets ng-attr-* once it knows the value; the browser would ask for "{{ ... }}" before
_TEMPLATE_LINK = re.compile(r'xlink:href="\{\{')
#: dbt cuts descriptions of columns to some 15 letters
_STYLE = (
    "tr.column-row td:nth-child(3) { white-space: normal !important; max-width: none !important;"
    " min-width: 18rem }"
)


class DocsError(RuntimeError):
    """dbt made no docs."""


def generate(out: Path, target: Path) -> Path:
    """Write the docs to a file, replacing it whole; dbt's own artifacts go to target."""
    paths = ["--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)]
    paths += ["--target-path", str(target), "--log-path", str(target)]
    result = dbtRunner().invoke(["--quiet", "docs", "generate", "--static", *paths])
    if not result.success:
        raise DocsError(
            f"dbt docs generate failed ({result.exception or 'see above'}); expected "
            f"{target}/static_index.html. Run `dbt build` to see what is wrong."
        )
    page = seal((target / "static_index.html").read_text(encoding="utf-8"))
    out.parent.mkdir(parents=True, exist_ok=True)
    beside = out.with_name(f".{out.name}.new")
    beside.write_text(page, encoding="utf-8")
    return beside.replace(out)


def seal(page: str) -> str:
    """Return the page without its outward requests, with a policy that forbids them."""
    page = _TRACKER.sub("data:,", page)
    page = _ICON.sub("", page)
    page = _TEMPLATE_LINK.sub('ng-attr-href="{{', page)
    page = page.replace("<title>dbt Docs</title>", "<title>Weir: what the numbers mean</title>")
    policy = f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    icon = '<link rel="icon" href="data:,">'
    return page.replace("<head>", f"<head>{policy}{icon}<style>{_STYLE}</style>", 1)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--target-path", type=Path, help="keep dbt's artifacts here")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        generate(given.out, given.target_path or Path(scratch))


if __name__ == "__main__":
    main()
