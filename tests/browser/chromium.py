"""A real Chromium without a screen, and what axe-core finds wrong with a page for people who cannot see or point."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_AXE = Path(__file__).parent / "axe-core" / "axe.min.js"
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Without them Chromium asks its maker's hosts for things of its own.
_QUIET = [
    "--disable-background-networking", "--disable-component-update", "--disable-quic", "--disable-sync",
    "--no-first-run",
]  # fmt: skip


@contextmanager
def running_chromium() -> Iterator[Any]:
    """A playwright Browser; skips where the machine has none.

    Playwright's loop runs in this thread until it is closed, so what needs one of its own has to come before or after.
    """
    path = os.environ.get("FARE_TEST_CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        pytest.skip("no Chromium on this machine")
    from playwright.sync_api import sync_playwright

    # Chromium's sandbox does not start for root, as which containers run.
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=_QUIET, chromium_sandbox=hasattr(os, "geteuid") and os.geteuid() != 0
        )
        yield browser
        browser.close()


def axe_findings(page: Any) -> list[str]:
    """What axe-core holds serious or critical on the page as it stands, a line each; [] is what one wants."""
    # Evaluated through the debugger: the page's own policy allows no script but its own.
    page.evaluate(_AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['impact']}: {one['id']}: {node['html'][:200]} ({node['failureSummary']})"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]
