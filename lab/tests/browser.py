"""Debian's Chromium without a window, for the pages that a run leaves.

The picture in the README: ``python -m lab.tests.browser reports/latest/traceability.html docs/images/report.png``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium.webdriver import Chrome
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

from lab import debian

PACKAGES = {"chromium": "chromium", "chromedriver": "chromium-driver"}


@contextmanager
def chromium() -> Iterator[Chrome]:
    """A browser, installed where it is missing; it may reach nothing but files."""
    debian.install(PACKAGES)
    options = Options()
    options.binary_location = "/usr/bin/chromium"
    for argument in (
        "--headless=new",
        "--no-sandbox",  # which root has none of
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--disable-background-networking",
        "--disable-component-update",
        "--proxy-server=127.0.0.1:1",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    try:
        browser.set_page_load_timeout(60)
        yield browser
    finally:
        browser.quit()


def look(browser: Chrome, *, width: int, height: int = 900, theme: str = "light") -> None:
    """Make the window *width* pixels wide, on a system whose colours are *theme*."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": theme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def picture(page: Path, target: Path) -> None:
    """Keep what the first screen of *page* shows as a PNG."""
    with chromium() as browser:
        look(browser, width=1280, height=880)
        browser.get(page.resolve().as_uri())
        target.parent.mkdir(parents=True, exist_ok=True)
        if not browser.save_screenshot(str(target)):
            raise OSError(f"{target} was not written")


if __name__ == "__main__":
    picture(Path(sys.argv[1]), Path(sys.argv[2]))
