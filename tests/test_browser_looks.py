"""Every page as people with other eyes, hands and screens have it: axe-core's serious rules, and a phone's width."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import LONG_MS, served, settled
from make_event import make_event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page
    from test_pages_events import Made

pytestmark = pytest.mark.browser

GRAVE = ("serious", "critical")
PAGES = (
    "", "map", "map?drawn=webgl&view=sky", "hits?side=on", "review", "clusters", "events", "features", "latents",
    "recovery", "lookalikes", "lookalikes?hit={hit}", "hit?hit={hit}", "hit?hit=99",
)  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_event(tmp_path_factory.mktemp("looks") / "shown", features=True)


@pytest.fixture(scope="module")
def address(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(made.root, tmp_path_factory.mktemp("log") / "server.log") as url:
        yield url


def opened(page: Page, url: str) -> None:
    """Open a page and wait until all of it is there."""
    page.goto(url)
    page.locator("h1").wait_for()
    settled(page)
    page.wait_for_timeout(500)  # pictures are drawn after the run


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_shuts_anybody_out(scheme: str, browser: Browser, address: str, made: Made) -> None:
    context = browser.new_context(color_scheme=scheme, viewport={"width": 1400, "height": 1100})
    context.set_default_timeout(LONG_MS)
    page = context.new_page()
    found = []
    for path in PAGES:
        opened(page, f"{address}/{path.format(hit=made.event[0])}")
        told = Axe().run(page)
        found += [
            f"/{path}: {one['id']}: {one['nodes'][0]['html'][:200]} {one['nodes'][0].get('failureSummary', '')[:300]}"
            for one in told.response["violations"]
            if one["impact"] in GRAVE
        ]
    context.close()
    assert not found, "\n".join(found)


def test_a_phone_scrolls_every_page_one_way_only(browser: Browser, address: str, made: Made) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844})
    context.set_default_timeout(LONG_MS)
    page = context.new_page()
    wide = []
    for path in PAGES:
        opened(page, f"{address}/{path.format(hit=made.event[0])}")
        main = page.locator("[data-testid=stMain]")
        across = main.evaluate("main => main.scrollWidth - main.clientWidth")
        if across > 1:
            wide.append(f"/{path}: {across} px too wide")
    context.close()
    assert not wide, "\n".join(wide)
