"""The static docs in a real browser: no error in its console, no request out of the file."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

import pytest

from .conftest import PROJECT

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
#: the browser's own: accounts, updates and the clock, asked for whatever page is open
BROWSERS_OWN = ("google.com", "googleapis.com", "gstatic.com")
TRACKED = '<script>i.src="//d1fc8wv8zag5ca.cloudfront.net/2.9.0/sp.js"</script>'


@pytest.fixture(scope="module")
def static_docs() -> ModuleType:
    spec = importlib.util.spec_from_file_location("static_docs", PROJECT / "static_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def page(tmp_path_factory, static_docs) -> Path:
    folder = tmp_path_factory.mktemp("docs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WEIR_HOME", str(folder))
        for name in ("WEIR_WAREHOUSE", "WEIR_CATALOG_URI", "WEIR_BUILD_FILE", "WEIR_BUILD_PLAN"):
            patch.delenv(name, raising=False)
        return static_docs.generate(folder / "site" / "index.html", folder / "target")


def _open(page: Path, at: str, folder: Path) -> tuple[list[str], list[str], str]:
    """Return what the console says, the hosts asked for, and the page as the browser made it."""
    assert CHROMIUM is not None
    net = folder / "net.json"
    done = subprocess.run(
        [
            CHROMIUM,
            *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
            *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
            *("--enable-logging=stderr", "--v=0", "--virtual-time-budget=8000", "--dump-dom"),
            *(f"--user-data-dir={folder / 'profile'}", f"--log-net-log={net}"),
            "--host-resolver-rules=MAP * ~NOTFOUND",
            f"{page.as_uri()}#!/{at}",
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    console = re.findall(r"CONSOLE.*", done.stderr)
    urls = re.findall(r'"url":("(?:[^"\\]|\\.)*")', net.read_text())
    hosts = {urlsplit(json.loads(url)).hostname or "" for url in urls}
    return console, sorted(h for h in hosts if h and not h.endswith(BROWSERS_OWN)), done.stdout


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the path")
@pytest.mark.parametrize(
    ("at", "shown"),
    [
        ("overview", "Where to look"),
        ("model/model.weir.qos_hourly", "Requests a cache could have answered"),
        ("model/model.weir.bill_lines", "What the vendor's invoice should say"),
        ("model/model.weir.qos_hourly?g_v=1", "Lineage Graph"),
    ],
)
def test_the_docs_open_from_disk_without_an_error_or_a_request(page, tmp_path, at, shown):
    console, hosts, dom = _open(page, at, tmp_path)
    assert shown in dom
    assert console == []
    assert hosts == []


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the path")
def test_the_browser_would_have_told(static_docs, tmp_path):
    """The check itself: a script of another host is blocked if sealed, else asked for."""
    page = tmp_path / "page.html"
    body = '<html><head></head><body><script src="http://example.com/x.js"></script></body></html>'
    page.write_text(body)
    assert _open(page, "", tmp_path)[1] == ["example.com"]
    page.write_text(static_docs.seal(body))
    console, hosts, _ = _open(page, "", tmp_path)
    assert "Content Security Policy" in console[0]
    assert hosts == []


@pytest.mark.slow
def test_the_sealed_page_names_no_analytics_host(page, static_docs):
    text = page.read_text()
    assert "what the numbers mean" in text
    assert "sp.js" not in text
    assert text.count("Content-Security-Policy") == 1
    assert "cloudfront.net" not in static_docs.seal(TRACKED)
