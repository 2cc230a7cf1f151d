"""What every page is tried with: two widths, two themes, and axe-core."""

from __future__ import annotations

import os

import pytest
from attrs import frozen

from tests.browser import axe, webdriver
from tests.browser.webdriver import Browser

NEEDED = pytest.mark.skipif(
    webdriver.CHROMIUM is None or webdriver.DRIVER is None,
    reason="needs Debian's chromium and chromium-driver",
)


@frozen
class Window:
    """A screen."""

    width: int
    height: int
    theme: str

    def __str__(self) -> str:
        return f"{self.width}-{self.theme}"

    def apply(self, browser: Browser) -> None:
        """Make a browser's window such a screen."""
        browser.resize(self.width, self.height)
        browser.theme(self.theme)


DESKTOP, PHONE = (1280, 900), (390, 844)
WINDOWS = tuple(Window(*size, theme) for size in (DESKTOP, PHONE) for theme in ("light", "dark"))


def accessible(browser: Browser) -> None:
    """Check that a page is no wider than the window and that axe-core finds nothing."""
    wide, inner = browser.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide <= inner, f"the page is {wide} wide, the window {inner}"
    try:
        source = axe.source()
    except axe.NotThere as error:
        if os.environ.get("CI_AXE") == "required":
            raise
        pytest.skip(str(error))
    found = browser.hindrances(source)
    assert not found, "\n".join(found)
