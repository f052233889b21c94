"""The page of recovery in a real Chromium: drawn in both themes and on a phone, a cell and a row clicked."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
from browser import LONG_MS, Watch, served, settled
from make_campaign import make_campaign
from make_survey import make_survey

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser
ROW, HEADER = 35, 36  #: heights in a table [pixels]
#: Each view with something that is there once it is drawn.
VIEWS = {
    "Tables": ".js-plotly-plot", "Heat+maps": ".js-plotly-plot", "Trade-off": ".js-plotly-plot",
    "Clusters": "[data-testid=stDataFrame] canvas", "Encoders": "h3", "New+campaign": "[data-testid=stRadio]",
}  # fmt: skip


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("recovery")
    root = make_campaign(make_survey(folder / "survey", n_hits=20), name="<img src=x onerror=alert(1)>")
    with served(root, folder / "server.log") as url:
        yield url


def show(page: Page, address: str, view: str) -> Watch:
    watch = Watch(page)
    page.goto(f"{address}/recovery?view={view}")
    page.locator(f"[role=tabpanel] {VIEWS[view]}").first.wait_for()
    settled(page)
    return watch


def asked(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_view_is_drawn_without_an_error_and_fits_a_phone(scheme: str, browser: Browser, address: str) -> None:
    context = browser.new_context(color_scheme=scheme)  # type: ignore[arg-type]
    context.set_default_timeout(LONG_MS)
    for view in VIEWS:
        page = context.new_page()
        watch = show(page, address, view)
        assert page.locator("[data-testid=stException]").count() == 0
        page.set_viewport_size({"width": 390, "height": 844})  # a phone scrolls one way only
        page.wait_for_timeout(500)
        assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= 390
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert watch.is_clean()
        page.close()
    context.close()


def test_a_click_on_a_cell_lists_what_was_missed_and_a_row_shows_it(page: Page, address: str) -> None:
    watch = show(page, address, "Heat+maps")
    plot = page.locator(".js-plotly-plot .draglayer .nsewdrag").first
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box
    # two cells across, four up: not the middle of one, but its side
    page.mouse.click(box["x"] + 0.35 * box["width"], box["y"] + 0.05 * box["height"])
    page.get_by_text("1 missed in the cell of SNR from 1000 and drift rate from 2").wait_for()
    assert asked(page)["cell"] == ["1000,2"]
    table = page.locator("[data-testid=stDataFrame]").first
    table.scroll_into_view_if_needed()
    place = table.bounding_box()
    assert place
    page.mouse.click(place["x"] + 18, place["y"] + HEADER + ROW / 2)
    page.get_by_role("heading", name="Injection 2").wait_for()
    page.locator(".js-plotly-plot").nth(1).wait_for()
    assert asked(page)["injection"] == ["2"]
    page.get_by_role("button", name="Show all").click()
    page.get_by_text("2 missed").wait_for()
    assert "cell" not in asked(page)
    assert watch.is_clean()
